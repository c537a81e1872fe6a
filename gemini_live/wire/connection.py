"""One WebSocket, from dial to close. With `failures`, the only importer of `websockets`.

Runs on the event loop. Turns everything that can fail into `ConnectionFailed` and `SessionClosed`; it does not know
what the messages mean. The library's log is silenced: it would print the key or the token with every handshake.
"""

import asyncio
import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidProxy, InvalidURI
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import Event
from websockets.version import version as websockets_version

from .. import __version__
from ..errors import ConfigError, MissingExtraError, SessionClosed
from .address import PROXY_ADVICE, authorize, find_proxy, list_secrets, name_proxy
from .failures import explain_dial, mask

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 0.5
PING_INTERVAL_S = 15.0
PING_TIMEOUT_S = 39.5
"""A server that streams may take half a minute to answer a ping. With the interval and the time for closing, a
connection that died without a close is noticed within 55 s."""
SEND_TIMEOUT_S = 40.0
"""How long the network may accept nothing. The library's own pings wait behind what cannot be sent."""
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_UNSENT_PONG_BYTES = 256 * 1024
MAX_FRAGMENTS = 4_000
"""Frames of one message: a server that sends empty ones would fill the memory with them. websockets 17 allows 4,096."""
MAX_WAITING_FRAMES = 4
"""Frames that wait to be received before no more are read, each of which may be a message of the largest size."""
NORMAL_CLOSURE, GOING_AWAY, NO_STATUS, ABNORMAL_CLOSURE, TOO_BIG = 1000, 1001, 1005, 1006, 1009

_SURROGATE = re.compile("[\ud800-\udfff]")

_silent_logger = logging.getLogger(f"{__name__}.websockets")
_silent_logger.addHandler(logging.NullHandler())
_silent_logger.propagate = False
_silent_logger.disabled = True

OnMessage = Callable[[str, str | bytes], None]
"""Called with the direction (`>` out, `<` in) and the text of every message."""


def is_known_failure(error: BaseException | None) -> bool:
    """Return True if an error that the event loop reports comes from a dial that has failed and was reported.

    websockets 17.4 raises out of its own callback if a proxy closes the connection early. Remove this once a proxy that
    closes at once, or right after its 200, causes no traceback.
    """
    frames = traceback.walk_tb(error.__traceback__) if error is not None else ()
    return any(
        frame.f_code.co_name == "connection_lost" and frame.f_globals.get("__name__", "").startswith("websockets.")
        for frame, _ in frames
    )


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow no redirect: the library would send our key to another host."""
        return exc


class _Socket(ClientConnection):
    """Drops a connection that would stay open for ever, or whose unsent bytes would fill the memory."""

    lost_reason = ""
    """Why it was dropped here; empty if it was not."""
    _unsent_bytes = _unsent_pong_bytes = _n_fragments = 0
    _check: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        before_bytes = self.transport.get_write_buffer_size()
        super().data_received(data)  # writes the answers to pings without waiting
        self._unsent_pong_bytes += max(0, self.transport.get_write_buffer_size() - before_bytes)
        if self._unsent_pong_bytes > MAX_UNSENT_PONG_BYTES:
            self._drop("the server sends pings and does not read the answers")

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            self._n_fragments = 0 if event.fin else self._n_fragments + 1
            if self._n_fragments > MAX_FRAGMENTS:
                if not self.lost_reason:
                    self._drop(f"the server sent a message in more than {MAX_FRAGMENTS:,} pieces")
                return
        super().process_event(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._check_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unsent_pong_bytes = 0
        self._stop_checking()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_checking()
        super().connection_lost(exc)

    def _check_later(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._check = self.loop.call_later(SEND_TIMEOUT_S, self._check_progress)

    def _check_progress(self) -> None:
        """Drop the connection if the network has accepted nothing since the last check."""
        if self.transport.get_write_buffer_size() >= self._unsent_bytes:
            self._drop(f"the network has accepted nothing for {SEND_TIMEOUT_S:g} s")
        else:
            self._check_later()

    def _stop_checking(self) -> None:
        if self._check is not None:
            self._check.cancel()

    def _drop(self, reason: str) -> None:
        self.lost_reason = reason
        self.transport.abort()


def _encode(message: Mapping[str, Any]) -> bytes:
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
    if _SURROGATE.search(text):  # half a character, from a terminal or a file: UTF-8 cannot encode it
        text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return text.encode()


class Connection:
    """An open WebSocket to the Live API."""

    def __init__(self, websocket: _Socket, on_message: OnMessage | None, secrets: Sequence[str] = ()) -> None:
        """Wrap an open WebSocket. `secrets` are masked in errors, in case the server repeats them."""
        self._websocket = websocket
        self._on_message = on_message
        self._secrets = secrets

    @classmethod
    async def open(cls, url: str, api_key: str, *, on_message: OnMessage | None = None) -> Self:
        """Dial `url`, which has no query, with a key or a token, and return the open connection.

        Raises:
            ConnectionFailed: Nobody answered, or not as a WebSocket server.
            ConfigError: The proxy settings of the environment are wrong.
            MissingExtraError: A SOCKS proxy is set, and its extra is not installed.
        """
        secrets = list_secrets(api_key)
        address, headers = authorize(url, api_key)
        proxy = find_proxy(url)
        try:
            websocket: Any = await _Connect(
                address,
                additional_headers=headers,
                user_agent_header=f"gemini-live/{__version__} websockets/{websockets_version}",
                proxy=proxy,
                compression=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=PING_INTERVAL_S,
                ping_timeout=PING_TIMEOUT_S,
                max_size=MAX_MESSAGE_BYTES,
                max_queue=MAX_WAITING_FRAMES,
                logger=_silent_logger,
                create_connection=_Socket,
            )
        except InvalidProxy as error:
            raise ConfigError(f"{PROXY_ADVICE} ({error.msg})") from None  # the original may hold a password
        except InvalidURI as error:
            raise ConfigError(f"--base-url cannot be used: {error.msg}") from None  # the original holds the token
        except ImportError as error:
            raise MissingExtraError("the SOCKS proxy of the environment", "socks") from error
        except Exception as error:
            failure = explain_dial(error, urlsplit(url).hostname or "", name_proxy(proxy), secrets, OPEN_TIMEOUT_S)
            if failure is None:
                raise
            raise failure from None  # the original may repeat headers
        return cls(websocket, on_message, secrets)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, message: Mapping[str, Any] | bytes) -> None:
        """Send one message, an object or JSON text in UTF-8, waiting while the network is slow.

        Raises:
            SessionClosed: The connection is lost.
        """
        raw = message if isinstance(message, bytes) else _encode(message)
        if self._on_message:
            self._on_message(">", raw)
        try:
            await self._websocket.send(raw, text=True)
        except ConnectionClosed as error:
            raise self._session_closed(error) from None

    async def receive(self) -> bytes:
        """Return the next message. The parser checks the UTF-8: the library would close the session on bad bytes.

        Raises:
            SessionClosed: The connection is lost.
        """
        try:
            raw = await self._websocket.recv(decode=False)
        except ConnectionClosed as error:
            raise self._session_closed(error) from None
        if self._on_message:
            self._on_message("<", raw)
        return raw

    async def close(self) -> None:
        """Close with a handshake, and within a second in any case, even if cancelled."""
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                await self._websocket.close()
        except TimeoutError:
            pass
        finally:
            self._websocket.transport.abort()  # does nothing to one that is closed

    def _session_closed(self, error: ConnectionClosed) -> SessionClosed:
        """Return the facts of a lost connection: the server's close, or why we closed it."""
        if error.rcvd is not None:
            return SessionClosed(error.rcvd.code, mask(self._secrets, error.rcvd.reason))
        if error.sent is not None and error.sent.code == TOO_BIG:
            return SessionClosed(TOO_BIG, f"the server sent a message of more than {MAX_MESSAGE_BYTES >> 20} MiB")
        if error.sent is not None and error.sent.code != NORMAL_CLOSURE:
            if "ping timeout" in error.sent.reason:
                return SessionClosed(ABNORMAL_CLOSURE, f"the server has not answered for {PING_TIMEOUT_S:g} s")
            return SessionClosed(error.sent.code, error.sent.reason)
        return SessionClosed(ABNORMAL_CLOSURE, self._websocket.lost_reason)
