"""Runs the simulator as a server: sockets and sessions.

Longer than 300 lines: a third of it is the list of its arguments.
"""

import asyncio
import errno
import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import Server, ServerConnection, serve

from gemini_live.errors import ConfigError
from gemini_live.hosts import is_loopback

from .actions import AnswerFunction
from .answerer import Answerer, FunctionAnswerer
from .clock import Clock
from .faults import Fault, FaultPlan, SessionFaults, is_of_the_connection, parse_fault
from .handshakes import Handshakes, answer_in_json
from .history import HandleBook
from .http import (
    Callers,
    SocketRequest,
    secrets_of,
)
from .http_connection import SERVER_HEADER, HttpConnection
from .log import PROXY_ROLE, SERVER_ROLE, Log
from .proxy_session import ProxySession
from .records import SessionRecord
from .session import ServerContext, Session
from .session_list import SessionList
from .speech import Synthesizer
from .tls import Certificate
from .tokens import TokenBook
from .upstream import OPEN_TIMEOUT_S, Upstream
from .wire import Wire

if TYPE_CHECKING:
    from .replay_book import ReplayBook

MAX_MESSAGE_BYTES = 16 * 2**20
"""A larger message of a client closes its connection with 1009."""
_PACE = 4.0
MAX_WAITING_FRAMES = 4
"""Frames of a client that wait to be received before no more are read."""
_CLOSE_TIMEOUT_S = 1.0
_OPEN_S, _HANG_S = 10.0, 3600.0
"""How long a handshake may take; the longer if it is us who do not answer it."""
_PING_INTERVAL_S, _PING_TIMEOUT_S = 30.0, 120.0
_END_S = 3.0
"""How long closing every session may take; what still runs then is cancelled and left alone."""
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


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
        tls: True for https and wss, with a certificate of its own (`server.certificate`).
        tls_names: More names that the certificate is valid for.
        tls_dir: The folder of a certificate that stays the same; None: a new one at each start.
        pace: How many times faster than real time it sends speech; 0: it never waits, for tests. None: 4, and of a
            replay, 1.
        lifetime_s: How long a connection lives; None: as long as it likes. goAway comes 50 s before.
        seed: Of everything that is random; None: handles and tokens are secret, the rest is repeatable.
        faults: What goes wrong, as `--fault` takes it.
        allow_origins: Origins of web pages that may connect, besides those of this machine; `*`: all.
        log: A file for a recording of all sessions; with `log_media`, sound and pictures too.
        keep: True if the session records hold messages and sound; False if they only count them.
        ends_call_turn_s: How long a 2.5 model leaves the turn of an unanswered call open; None: until the answer.
            google-adk 2.13 waits for that turnComplete; recordings with quick answers have none.
        typed_text: `interrupts`: realtimeInput.text ends an answer in progress; `queues`: it waits for its end.
        answer: A function that decides what the model answers; gemini_live.simulator.actions says what it gets and
            returns.
        heard: The transcripts of the spoken questions, in their order; with `answer` or alone.
        script: A file of rules that decide what the model answers, instead of `answer`.
        replay: A recording to serve instead of answers.
        upstream: The address of a server that every client is passed on to; nothing is answered here.
        on_event: Called with a line for people at each session, call and mistake.
        espeak: True if espeak-ng is the voice, where it is installed; else tones.
        clock: What tells the time; None: the event loop.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        key: str | None = None,
        tls: bool = False,
        tls_names: Sequence[str] = (),
        tls_dir: str | Path | None = None,
        pace: float | None = None,
        lifetime_s: float | None = None,
        seed: int | None = None,
        faults: Sequence[str | Fault] = (),
        allow_origins: Sequence[str] = (),
        log: str | Path | None = None,
        log_media: bool = False,
        keep: bool = True,
        ends_call_turn_s: float | None = 0.1,
        typed_text: str = "interrupts",
        answer: AnswerFunction | None = None,
        heard: Sequence[str] = (),
        script: str | Path | None = None,
        replay: str | Path | None = None,
        upstream: str | None = None,
        on_event: Callable[[str], None] | None = None,
        espeak: bool = True,
        clock: Clock | None = None,
    ) -> None:
        """Check the arguments. Over 40 lines: there are many of them."""
        self.host, self.port = host, port
        self.certificate: Certificate | None = None
        """Where TLS is spoken: what a client has to trust."""
        self._key, self._tls = key, tls
        self._list = SessionList(keep=keep, on_event=on_event)
        self._tls_names, self._tls_dir = tuple(tls_names), Path(tls_dir) if tls_dir is not None else None
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allow_origins)
        self._lifetime_s, self._seed = lifetime_s, seed
        default_pace = _PACE if replay is None else 1.0
        self._pace = default_pace if pace is None else pace
        self._plan = FaultPlan(tuple(parse_fault(f) if isinstance(f, str) else f for f in faults), seed or 0)
        self._log_path, self._log_media = log, log_media
        self._ends_call_turn_s = ends_call_turn_s
        self._typed_text_cuts = typed_text == "interrupts"
        if sum(decider is not None for decider in (answer, script, replay, upstream)) > 1:
            raise ConfigError("one thing decides the answers: a script, an answer function, a replay or an upstream")
        if heard and (script, replay, upstream) != (None, None, None):
            raise ConfigError("heard is for an answer function: write it into the script, or leave it out")
        if upstream is not None and (faults or key is not None or lifetime_s is not None):
            raise ConfigError("an upstream gets everything unchanged: leave out faults, key and lifetime")
        strange = next((fault for fault in self._plan.faults if not is_of_the_connection(fault)), None)
        if replay is not None and strange is not None:
            words = "give it a WHEN, as in close@message10, or leave it out"
            raise ConfigError(f"--fault {strange.kind.name} has no effect in a replay, which has no model: {words}")
        self._answerer = _find_answerer(answer, heard, script)
        self._replay = _read_replay(Path(replay), seed) if replay is not None else None
        self._upstream = Upstream(upstream, max_message_bytes=MAX_MESSAGE_BYTES) if upstream is not None else None
        self._clock_given = clock
        self._espeak = espeak
        self._stack = AsyncExitStack()
        self._server: Server
        self._log: Log | None = None
        self._open_sessions: dict[int, Wire] = {}

    @property
    def sessions(self) -> list[SessionRecord]:
        """The records of the sessions, the oldest first."""
        return self._list.records

    @property
    def n_sessions(self) -> int:
        """Sessions so far, those included whose records were dropped."""
        return self._list.n_opened

    @property
    def n_refused(self) -> int:
        """Handshakes that were not accepted."""
        return self._list.n_refused

    @property
    def url(self) -> str:
        """The base URL for a client on this machine: `http://127.0.0.1:40001`."""
        name = _WILDCARDS.get(self.host, self.host)
        host = f"[{name}]" if ":" in name else name
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def socket_url(self) -> str:
        """The address of its WebSocket, for a client that takes one."""
        path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
        return f"{self.url.replace('http', 'ws', 1)}{path}"

    @property
    def key(self) -> str | None:
        """The one API key that is accepted; None: any, or none."""
        return self._key

    @property
    def is_open_to_others(self) -> bool:
        """True if other machines reach the server and need no key."""
        return self._key is None and self._upstream is None and not is_loopback(self.host)

    @property
    def upstream_host(self) -> str:
        """The server that clients are passed on to; empty if they are answered here."""
        return self._upstream.host if self._upstream is not None else ""

    async def __aenter__(self) -> Self:
        """Start listening. Over 40 lines: it builds and joins the parts of the server.

        Raises:
            ConfigError: The port is taken, the log cannot be written, or TLS lacks its extra.
        """
        clock = self._clock_given or asyncio.get_running_loop()
        tokens = TokenBook(clock, None if self._seed is None else Random(f"tokens {self._seed}"))
        names = frozenset(name.lower() for name in self._tls_names)
        self._handshakes = Handshakes(
            Callers(self.host, names, self._origins),
            key=self._key,
            tokens=tokens,
            plan=self._plan,
            upstream=self._upstream,
            sessions=self._list,
        )
        self._context = ServerContext(
            clock=clock,
            synthesizer=Synthesizer(espeak=self._espeak),
            handles=HandleBook(self._seed, clock),
            tokens=tokens,
            plan=self._plan,
            open_sessions=self._open_sessions,
            pace=self._pace,
            lifetime_s=self._lifetime_s,
            seed=self._seed or 0,
            ends_call_turn_s=self._ends_call_turn_s,
            typed_text_cuts=self._typed_text_cuts,
            answerer=self._answerer,
        )
        async with AsyncExitStack() as stack:
            if self._log_path is not None:
                self._log = self._open_log(Path(self._log_path), clock)
                stack.push_async_callback(self._log.close)
            context: ssl.SSLContext | None = None
            if self._tls:
                self.certificate = stack.enter_context(Certificate.make(self.host, self._tls_names, self._tls_dir))
                context = self.certificate.server_context
            self._server = await stack.enter_async_context(await self._listen(context))
            self.port = next(iter(self._server.sockets)).getsockname()[1]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every session and stop listening, within a few seconds whatever still runs."""
        self._handshakes.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._stack.aclose()
        except TimeoutError:
            for task in self._server.handler_tasks:
                task.cancel()

    async def wait_for_session(self, n: int = 1, timeout_s: float = 10.0) -> SessionRecord:
        """Return the record of the n-th session as soon as it has been opened.

        Raises:
            TimeoutError: It was not opened in time; the words say what was.
        """
        return await self._list.wait_for(n, timeout_s)

    @property
    def mistakes(self) -> list[str]:
        """What the clients did that the protocol does not allow, over all sessions."""
        return [words for record in self.sessions for words in record.mistakes]

    @property
    def departures(self) -> list[str]:
        """Where and how the clients of a replay left the recording, over all sessions."""
        return [words for record in self.sessions for words in record.departures]

    def verdict(self) -> list[str]:
        """Return the verdict on the clients, in lines."""
        return self._list.verdict()

    def verdict_data(self) -> dict[str, Any]:
        """Return the verdict on the clients as JSON can hold it."""
        return self._list.verdict_data()

    def _open_log(self, path: Path, clock: Clock) -> Log:
        def tell(words: str) -> None:
            self._list.tell(f"the log {words}")

        role = SERVER_ROLE if self._upstream is None else PROXY_ROLE
        return Log(path, role=role, media=self._log_media, clock=clock.time, on_failure=tell)

    async def _listen(self, context: ssl.SSLContext | None) -> Server:
        try:
            return await serve(
                self._serve_session,
                self.host,
                self.port,
                process_request=self._handshakes.process_request,
                process_response=answer_in_json if self._upstream is None else None,
                create_connection=self._handshakes.make_connection,  # type: ignore[arg-type] # any callable will do
                compression=None,
                ssl=context,
                max_size=MAX_MESSAGE_BYTES,
                max_queue=MAX_WAITING_FRAMES,
                open_timeout=self._open_timeout_s,
                close_timeout=_CLOSE_TIMEOUT_S,
                ping_interval=_PING_INTERVAL_S,
                ping_timeout=_PING_TIMEOUT_S,
                server_header=SERVER_HEADER if self._upstream is None else None,
                logger=_Log(logging.getLogger("websockets.server")),
            )
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                reason = "the port is in use; end the program that has it, or choose another port (0: any that is free)"
            raise ConfigError(f"cannot listen on {self.host}:{self.port}: {reason}") from error

    @property
    def _open_timeout_s(self) -> float:
        """How long a handshake may take; longer if it is not the client who keeps us waiting."""
        if any(fault.kind.name == "hang" for fault in self._plan.faults):
            return _HANG_S
        return _OPEN_S if self._upstream is None else _OPEN_S + OPEN_TIMEOUT_S

    async def _serve_session(self, connection: ServerConnection) -> None:
        assert isinstance(connection, HttpConnection) and connection.socket_request is not None
        request: SocketRequest = connection.socket_request
        clock = self._context.clock
        record = self._list.open(request.path, request.api_version, clock.time())
        if connection.upstream is not None:
            await self._pass_on(connection, connection.upstream, record)
            return
        faults = SessionFaults(self._plan, record.number)
        wire = Wire(connection, record, faults, clock=clock, log=self._log)
        self._open_sessions[record.number] = wire
        if self._log is not None:
            self._log.opened(record.number, f"{self.url.replace('http', 'ws', 1)}{record.path}")
        self._list.opened()
        try:
            if self._replay is not None:
                await self._replay.serve(wire, request, self._context.tokens, clock=clock, pace=self._pace)
            else:
                await Session(wire, self._context, request).run()
        finally:
            del self._open_sessions[record.number]
            wire.settle()
            self._list.ended(record)

    async def _pass_on(self, connection: HttpConnection, dialled: ClientConnection, record: SessionRecord) -> None:
        assert self._upstream is not None and connection.http_request is not None
        if self._log is not None:
            self._log.opened(record.number, self._upstream.socket_url(record.path))
        self._list.opened()
        secrets = secrets_of(connection.http_request)
        try:
            await ProxySession(connection, dialled, record, log=self._log, secrets=secrets).run()
        finally:
            self._list.ended(record)


def _find_answerer(answer: AnswerFunction | None, heard: Sequence[str], script: str | Path | None) -> Answerer | None:
    """Return what decides the answers; None: the simulator's own rules.

    Raises:
        ConfigError: There is a mistake in the script.
    """
    if script is not None:
        from .script_file import read_script  # noqa: PLC0415 - most servers need none

        return read_script(script)
    return FunctionAnswerer(answer or (lambda question: None), heard) if answer or heard else None


def _read_replay(path: Path, seed: int | None) -> "ReplayBook":
    """Return the recording to serve.

    Raises:
        ConfigError: It cannot be replayed.
    """
    from .replay_book import ReplayBook  # noqa: PLC0415 - most servers need none
    from .replay_steps import read_replay  # noqa: PLC0415 - the same

    return ReplayBook(read_replay(path), seed)
