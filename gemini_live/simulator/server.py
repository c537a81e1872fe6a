"""The simulator as a server: sockets, sessions, and what tests see of them."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from gemini_live.errors import ConfigError

from .clock import Clock
from .faults import Fault, FaultPlan, SessionFaults, parse_fault
from .history import HandleBook
from .http import SocketRequest, answer_plainly, build_error, read_socket_request
from .records import MessageLog, SessionRecord, format_verdict
from .session import ServerContext, Session
from .speech import Synthesizer
from .tls import Certificate
from .wire import Wire

_MAX_MESSAGE_BYTES = 64 * 2**20
_CLOSE_TIMEOUT_S = 1.0
_OPEN_S, _HANG_S = 10.0, 3600.0
"""How long a handshake may take; the longer where it is us who do not answer it."""
_PING_INTERVAL_S, _PING_TIMEOUT_S = 30.0, 120.0


class _Log(logging.LoggerAdapter[logging.Logger]):
    """The log of the WebSocket library, without what it takes for errors and is every day's business of a server."""

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Pass a message on; a handshake that a client gave up is only worth a debugger's attention."""
        super().log(logging.DEBUG if msg == "opening handshake failed" else level, msg, *args, **kwargs)


class Simulator:
    """A Live API server on this machine.

        async with Simulator(faults=["close:1011@turn2"]) as server:
            ...  # point a client at server.url; look at server.sessions

    Args:
        host: Where it listens.
        port: 0: any that is free.
        key: The one API key that it accepts; None: any, or none.
        tls: Whether it speaks https and wss, with a certificate of its own (`server.certificate`).
        pace: How many times faster than real time it sends speech; 0: it never waits, for tests.
        lifetime_s: How long a connection lives; None: as long as it likes. goAway comes 50 s before.
        seed: Of everything that is random.
        faults: What goes wrong, as `--fault` takes it.
        log: A file for every message, as JSON lines; with `log_media`, sound and pictures too.
        keep: Whether the session records hold messages and sound, or only count them.
        typed_text: `interrupts`: realtimeInput.text ends an answer in progress; `queues`: it waits for its end.
        espeak: Whether espeak-ng is the voice, where it is installed; else tones.
        clock: What tells the time; None: the event loop.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        key: str | None = None,
        tls: bool = False,
        pace: float = 4.0,
        lifetime_s: float | None = None,
        seed: int = 0,
        faults: Sequence[str | Fault] = (),
        log: str | Path | None = None,
        log_media: bool = False,
        keep: bool = True,
        typed_text: str = "interrupts",
        espeak: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.sessions: list[SessionRecord] = []
        """A record of each session, the oldest first."""
        self.certificate: Certificate | None = None
        """Where TLS is spoken: what a client has to trust."""
        self.n_refused = 0
        """Handshakes that were not accepted."""
        self._key, self._tls, self._keep = key, tls, keep
        self._pace, self._lifetime_s, self._seed = pace, lifetime_s, seed
        self._plan = FaultPlan(tuple(parse_fault(f) if isinstance(f, str) else f for f in faults), seed)
        self._log_path, self._log_media = log, log_media
        self._typed_text_cuts = typed_text == "interrupts"
        self._clock_given = clock
        self._espeak = espeak
        self._stack = AsyncExitStack()
        self._server: Server
        self._log: MessageLog | None = None
        self._requests: dict[ServerConnection, SocketRequest] = {}
        self._open_sessions: set[int] = set()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._closing = asyncio.Event()

    @property
    def url(self) -> str:
        """The base URL for a client: `http://127.0.0.1:40001`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def socket_url(self) -> str:
        """The address of its WebSocket, for a client that takes one."""
        path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
        return f"{self.url.replace('http', 'ws', 1)}{path}"

    @property
    def needs_key(self) -> bool:
        """Whether only one key is accepted."""
        return self._key is not None

    async def __aenter__(self) -> Self:
        """Start listening.

        Raises:
            ConfigError: The port is taken, the log cannot be written, or TLS lacks its extra.
        """
        clock = self._clock_given or asyncio.get_running_loop()
        self._started_s = clock.time()
        self._context = ServerContext(
            clock=clock,
            synthesizer=Synthesizer(espeak=self._espeak),
            handles=HandleBook(self._seed, clock),
            plan=self._plan,
            open_sessions=self._open_sessions,
            pace=self._pace,
            lifetime_s=self._lifetime_s,
            seed=self._seed,
            typed_text_cuts=self._typed_text_cuts,
        )
        async with AsyncExitStack() as stack:
            if self._log_path is not None:
                self._log = MessageLog(_open_log(self._log_path), media=self._log_media)
                stack.callback(self._log.close)
            context: ssl.SSLContext | None = None
            if self._tls:
                self.certificate = stack.enter_context(Certificate.make(self.host))
                context = self.certificate.server_context
            self._server = await stack.enter_async_context(await self._listen(context))
            self.port = next(iter(self._server.sockets)).getsockname()[1]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every session and stop listening."""
        self._closing.set()
        await self._stack.aclose()

    async def wait_for_session(self, n: int = 1, timeout_s: float = 10.0) -> SessionRecord:
        """Return the record of the n-th session as soon as it has been opened."""
        if len(self.sessions) < n:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((n, waiter))
            async with asyncio.timeout(timeout_s):
                await waiter
        return self.sessions[n - 1]

    def verdict(self) -> list[str]:
        """Return what is to be said about the clients, in lines."""
        return [line for record in self.sessions for line in format_verdict(record)]

    async def _listen(self, context: ssl.SSLContext | None) -> Server:
        try:
            return await serve(
                self._serve_session,
                self.host,
                self.port,
                process_request=self._process_request,
                compression=None,
                ssl=context,
                max_size=_MAX_MESSAGE_BYTES,
                open_timeout=_HANG_S if any(fault.kind.name == "hang" for fault in self._plan.faults) else _OPEN_S,
                close_timeout=_CLOSE_TIMEOUT_S,
                ping_interval=_PING_INTERVAL_S,
                ping_timeout=_PING_TIMEOUT_S,
                server_header="gemini-live-simulator",
                logger=_Log(logging.getLogger("websockets.server")),
            )
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"cannot listen on {self.host}:{self.port}: {reason}") from error

    async def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer what is not a WebSocket of the Live API, and the handshakes that a fault refuses."""
        read = read_socket_request(request, self._key)
        if read is None:
            return answer_plainly(request, self._key)
        if self._plan.take("hang"):
            self.n_refused += 1
            await self._closing.wait()
            return build_error(503, "UNAVAILABLE", "The simulator ends.")
        if refuse := self._plan.take("refuse"):
            self.n_refused += 1
            response = build_error(int(refuse.number), "UNAVAILABLE", "Refused by the simulator, as it was asked to.")
            if refuse.text:
                response.headers["Retry-After"] = refuse.text
            return response
        self._requests[connection] = read
        return None

    async def _serve_session(self, connection: ServerConnection) -> None:
        request = self._requests.pop(connection)
        clock = self._context.clock
        record = SessionRecord(
            number=len(self.sessions) + 1,
            path=request.path,
            api_version=request.api_version,
            opened_s=clock.time(),
            keep=self._keep,
        )
        self.sessions.append(record)
        self._open_sessions.add(record.number)
        faults = SessionFaults(self._plan, record.number)
        wire = Wire(connection, record, faults, clock=clock, log=self._log, started_s=self._started_s)
        wire.log("open", {"path": record.path})
        self._tell_waiters()
        try:
            await Session(wire, self._context, request.refusal).run()
        finally:
            self._open_sessions.discard(record.number)
            wire.settle()

    def _tell_waiters(self) -> None:
        for n, waiter in self._waiters:
            if len(self.sessions) >= n and not waiter.done():
                waiter.set_result(None)
        self._waiters = [(n, waiter) for n, waiter in self._waiters if not waiter.done()]


def _open_log(path: str | Path) -> TextIO:
    try:
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--log {path}: {error.strerror}") from error
