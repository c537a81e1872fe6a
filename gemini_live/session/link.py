"""Keeps a session connected: connects, retries, sends and receives, and leaves before the server closes.

Runs on the event loop. `recovery.py` decides whether and when to retry; `session.py` decides what the end of a
connection means for the conversation. Longer than 300 lines: all of it is the life of one connection.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import field
from enum import Enum, auto
from typing import Any, TypeVar

from ..config import Config
from ..conversation.conversation import Conversation
from ..conversation.outcomes import Opening
from ..errors import ConnectionFailed, ProtocolError, SessionClosed
from ..frozen import Frozen
from ..models import History, capabilities_of
from ..output import events
from ..output.events import Output
from ..wire.address import build_url, check_certificates
from ..wire.connection import ABNORMAL_CLOSURE, GOING_AWAY, NO_STATUS, NORMAL_CLOSURE, TOO_BIG, Connection
from ..wire.events import (
    AudioChunk,
    CodeResult,
    ExecutableCode,
    Grounding,
    InputTranscription,
    ModelText,
    OutputTranscription,
    ResumptionUpdate,
    ServerError,
    ServerEvent,
    SetupComplete,
    Thought,
    ToolCall,
    Usage,
    VoiceActivity,
)
from ..wire.messages import build_stale_response, format_message
from ..wire.parse import parse_server_message
from ..wire.setup import build_setup
from ..wire.setup_facts import SetupFacts, lacks_words, read_setup, unknown_field
from .changes import Changes
from .dispatch import Dispatcher
from .journal import Journal
from .recovery import STABLE_AFTER_S, Departure, Recovery, ResumedSession, Stage
from .stats import Stats
from .uplink import Uplink

SETUP_TIMEOUT_S = 10.0
MAX_EXCHANGE_CHARS, PIECE_CHARS = 8 * 1024 * 1024, 64
"""Words, code, pages and calls of one exchange, each piece with what it costs beside its text: days of speech. A server
that sends more without ending the exchange would fill the memory."""
MAX_BEFORE_SETUP = 1_000
"""Limit for events before setupComplete; the service sends none."""
SHARE_EVERY_S = 0.01
"""How long a flood of messages may keep everything else waiting."""
READER_CHECK_S = 0.05
"""How often the client checks whether the reader of its output has caught up, if it is far behind."""
INVALID_ARGUMENT = 1007
"""Close code of a refused message."""
DECLARE_WITHIN_S = 30.0
"""How long a connection may continue until nothing is open, before a new session declares changed functions."""
SETTLE_MARGIN_S = 0.1
"""How long audio may take to reach the service."""
WORTH_TELLING_S = 2.0
"""The user is told the delay of a retry if it is at least this long."""
NO_GENERATION_S, NO_GENERATION_THINKING_S = 9.0, 30.0
"""How long a resumed session may generate nothing after a question; the second for models that think for long."""

SERVER_LEAVES = "the server is about to close the connection; going on with a new one"
_HISTORY_CONFIG = "historyConfig"
_GENERATED = frozenset({AudioChunk, ModelText, OutputTranscription, Thought, ToolCall, ExecutableCode, CodeResult})
_MORE_OF_AN_ANSWER = frozenset(
    {AudioChunk, ModelText, OutputTranscription, Thought, Grounding, ResumptionUpdate, Usage}
)
"""Events that need not wake any task while an answer is in progress: they only postpone deadlines."""
_Result = TypeVar("_Result")


class How(Enum):
    """How a connection ended."""

    OVER = auto()
    """The conversation is over."""
    LEFT = auto()
    """The client left it, because the server is going to close it."""
    CLOSED = auto()
    """The server closed it, or it was lost."""


class End(Frozen):
    """The end of a connection."""

    how: How
    failure: SessionClosed = field(default_factory=lambda: SessionClosed(GOING_AWAY, ""))
    """Why the connection was closed; meaningless if `how` is not `CLOSED`."""


class Link:
    """The connections of one session, one after the other."""

    def __init__(
        self,
        config: Config,
        declarations: Sequence[dict[str, Any]],
        *,
        conversation: Conversation,
        uplink: Uplink,
        dispatcher: Dispatcher,
        output: Output,
        stats: Stats,
        journal: Journal,
        changes: Changes,
        take: Callable[[Sequence[ServerEvent]], SessionClosed | None],
        on_first_live: Callable[[SetupFacts], None],
        is_output_behind: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        """Check the address, and open nothing yet. Over 40 lines: its arguments and fields, and what they mean.

        Args:
            config: What the user asked for.
            declarations: The user's functions, as JSON.
            conversation: Says what a connection begins with.
            uplink: Sends on the connection.
            dispatcher: At each new connection, stops discarding the output of an answer that the user stopped.
            output: Writes one line about each outage.
            stats: Counts the connections.
            journal: Records the connections and their messages.
            changes: Is notified after each message.
            take: Applies the events of a message; returns an error if the server reported one.
            on_first_live: Called when the first setup is complete, with what it asked for.
            is_output_behind: Returns True while so much output waits for its reader that no message should be received.
            clock: The loop's time in seconds.

        Raises:
            ConfigError: The address cannot be used, or the certificates to trust cannot be read.
        """
        self._config, self._declarations, self._output = config, declarations, output
        self._conversation, self._uplink, self._dispatcher = conversation, uplink, dispatcher
        self._journal = journal
        self._stats, self._changes, self._take, self._clock = stats, changes, take, clock
        self._on_first_live, self._is_output_behind = on_first_live, is_output_behind
        self._url = build_url(config.base_url, config.api_version, config.api_key, insecure=config.insecure)
        check_certificates(self._url)
        self._recovery = Recovery(enabled=config.reconnect)
        self._capabilities = capabilities_of(config.model)
        thinks = self._capabilities.interaction_status
        self._resumed = ResumedSession(NO_GENERATION_THINKING_S if thinks else NO_GENERATION_S)
        self._omitted: frozenset[str] = frozenset()
        """Fields of the setup that the server has refused."""
        self._announced_history = False
        """True if the newest setup announced history."""
        self._can_resume = True
        """False if the setup has no sessionResumption: a handle that comes unasked would be of no use."""
        self._n_attempts = 0
        """Attempts to connect since the last live connection."""
        self._connection: Connection | None = None
        self._departure: Departure | None = None
        self._leaves_because = SERVER_LEAVES
        """Why the connection is left, for the user."""
        self._outdated_because: str | None = None
        """Set if the functions have changed since the setup, so that the session must not be resumed."""
        self._user_came = False
        """True if the user typed or spoke on this connection."""
        self._has_generated = False
        """True if the model has generated anything on this connection."""
        self._n_exchange_chars, self._measured_exchange = 0, 0
        """Size of what belongs to the exchange that is being answered, and its number."""
        self._outage_told = False
        """True if a line about the present outage was shown: one is enough, however many retries follow."""
        self._connecting_since_s: float | None = None
        """When the first attempt to connect began; `None` while there is a connection."""
        self.live = asyncio.Event()
        """Set while there is a connection."""

    # Connecting

    async def connect(self) -> None:
        """Connect, and retry until a setup is complete.

        Raises:
            ConnectionFailed, SessionClosed: The failure is final, or the retries took too long.
        """
        self._connecting_since_s = self._clock()
        self._changes.notify()
        while True:
            if not self._can_resume or self._outdated_because is not None:
                self._conversation.handle_refused()
            opening = self._conversation.connect()
            if opening.handle:
                await asyncio.sleep(self._settle_s)
            try:
                await self._open(opening)
            except (ConnectionFailed, SessionClosed) as failure:
                self._record_failure(failure)
                await self.disconnect()
                await self._retry(failure, Stage.RESUMING if opening.handle else Stage.OPENING)
            else:
                self._outage_told, self._connecting_since_s = False, None
                return

    async def wait_after(self, end: End) -> None:
        """Wait until it is time to replace the connection that has ended.

        Raises:
            SessionClosed: The end is final, or a question was asked on too many connections.
        """
        question = self._conversation.asked_too_often
        if question is not None:
            self._output.emit(events.Warning(f"no connection lasted long enough to answer: {question.text}"))
            raise end.failure
        if end.failure.code == INVALID_ARGUMENT and self._uplink.sent_picture_turn:
            # 3.1 closed so from March to June 2026 on any clientContent in mid session.
            self._uplink.avoids_picture_turns = True
            self._output.emit(
                events.Warning("the service does not accept pictures in a typed turn; sending them before it")
            )
        elif end.how is How.LEFT:
            self._tell_outage(self._leaves_because)
            await asyncio.sleep(self._recovery.delay_after_leaving_s(self._clock()))
        else:
            await self._retry(end.failure, Stage.LIVE if self._departure is None else Stage.LEAVING)

    @property
    def connecting_since_s(self) -> float | None:
        """When the client began to connect; `None` while connected, or if a line about the outage was shown."""
        return None if self._outage_told else self._connecting_since_s

    @property
    def _settle_s(self) -> float:
        """How long to wait before resuming: the service refuses it shortly after audio was sent."""
        settles_s = self._capabilities.observed.settles_s
        return self._uplink.last_audio_s + settles_s + SETTLE_MARGIN_S - self._clock() if settles_s else 0.0

    async def disconnect(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._journal.closed(NORMAL_CLOSURE, "", "client")
            await connection.close()

    def _record_failure(self, failure: ConnectionFailed | SessionClosed) -> None:
        if isinstance(failure, SessionClosed):
            self._journal.closed(failure.code, failure.reason, "server")
        else:
            self._journal.local("connection_failed", reason=failure.reason, http_status=failure.http_status)

    async def _open(self, opening: Opening) -> None:
        """Open a connection and complete its setup. Over 40 lines: one step after the other."""
        self._n_attempts += 1
        self._output.emit(events.Connecting(self._n_attempts, self._config.server_name))
        connection = self._connection = await Connection.open(
            self._url, self._config.api_key, on_message=self._note_message
        )
        self._journal.connected(self._url)
        setup = build_setup(
            self._config,
            self._declarations,
            handle=opening.handle,
            seeds_history=bool(opening.history),
            omit=self._omitted,
        )
        facts = read_setup(setup)
        self._announced_history, self._can_resume = facts.history_config, facts.resumption
        self._outdated_because = None
        await connection.send(setup)
        received = await self._await_setup(connection)
        self._recovery.went_live()
        self._n_attempts = 0
        self._stats.n_connections += 1
        if self._stats.n_connections == 1:
            self._on_first_live(facts)
        self._departure, self._leaves_because = None, SERVER_LEAVES
        self._user_came = self._has_generated = False
        self._n_exchange_chars = 0
        self._resumed.begin_connection(resumed=opening.handle is not None)
        self._dispatcher.begin_connection()
        self._conversation.connected(opening, self._clock())
        if opening.stale_calls:
            await connection.send(build_stale_response(opening.stale_calls))
        history = self._uplink.begin_connection(
            opening.history, announced=self._announced_history, resumed=opening.handle is not None
        )
        if history is not None:
            await connection.send(history)
        if opening.history:
            self._tell_fresh_start(opening)
        self._take(received)

    async def _await_setup(self, connection: Connection) -> list[ServerEvent]:
        """Wait for setupComplete; return every event that came with it."""
        received: list[ServerEvent] = []
        try:
            async with asyncio.timeout(SETUP_TIMEOUT_S):
                while not any(isinstance(event, SetupComplete) for event in received):
                    received += self._parse(await connection.receive())
                    for event in received:
                        if isinstance(event, ServerError):
                            raise SessionClosed(event.code or ABNORMAL_CLOSURE, event.message)
                    if len(received) > MAX_BEFORE_SETUP:
                        words = f"the server sent more than {MAX_BEFORE_SETUP:,} events before setupComplete"
                        raise ConnectionFailed(words, opened=True, transient=True)
        except TimeoutError:
            raise ConnectionFailed(
                f"the server has not completed the setup within {SETUP_TIMEOUT_S:g} s", opened=True, transient=True
            ) from None
        return received

    async def _retry(self, failure: ConnectionFailed | SessionClosed, stage: Stage) -> None:
        """Wait until it is time to connect again; drop the handle or a field of the setup if the server refused it.

        Raises:
            ConnectionFailed, SessionClosed: The failure is final, or the retries took too long.
        """
        if self._omit_field(failure, stage):
            return
        if self._recovery.drops_handle(failure, stage):
            self._conversation.handle_refused()
        delay_s = self._recovery.delay_s(failure, stage, self._clock())
        if delay_s is None:
            raise failure
        when = f" in {delay_s:.0f} s" if delay_s >= WORTH_TELLING_S else ""
        text = f"{failure.summary}; connecting again{when}"
        if isinstance(failure, SessionClosed) and failure.ends_idle_session and not self._conversation.has_unanswered:
            self._output.emit(events.Detail(text))  # nobody waits for anything, and nothing is lost
        else:
            self._tell_outage(text)
        await asyncio.sleep(delay_s)

    def _omit_field(self, failure: ConnectionFailed | SessionClosed, stage: Stage) -> bool:
        """Omit the field that the server refused from the next setup, with a warning; return False if not possible."""
        if not isinstance(failure, SessionClosed) or failure.code != INVALID_ARGUMENT:
            return False
        name = unknown_field(failure.reason)
        is_first_thing = stage is Stage.OPENING or (stage is Stage.LIVE and not self._has_generated)
        if name is None and is_first_thing and self._announced_history and not failure.is_final:
            # 3.1 closed so in production (voiceclaw, Jun 2026): history can be sent without being announced.
            name = _HISTORY_CONFIG
        if name is None or name in self._omitted or not self._can_omit(name):
            return False
        self._omitted |= {name}
        self._output.emit(events.Warning(f"the service does not know {name}; connecting again without it"))
        return True

    def _can_omit(self, name: str) -> bool:
        """True if a setup without the field still does everything that the user asked for."""
        omit = self._omitted | {name}
        setup = build_setup(self._config, self._declarations, handle=None, seeds_history=False, omit=omit)
        return name not in setup["setup"] and not lacks_words(self._config, read_setup(setup))

    def _tell_outage(self, text: str) -> None:
        """Show a line about an outage: the first one always, further lines of the same outage only with `--verbose`."""
        if self._outage_told:
            self._output.emit(events.Detail(text))
            return
        self._outage_told = True
        n_again = self._conversation.n_to_ask_again
        self._output.emit(events.Status(text + (f"; asking again: {n_again}" if n_again else "")))

    def _tell_fresh_start(self, opening: Opening) -> None:
        """Show a line that a fresh session has begun, and whether the conversation so far was sent to it."""
        if self._capabilities.history is History.NOT_SUPPORTED:
            self._output.emit(
                events.Status("a new session was begun; this model cannot be told the conversation so far")
            )
            return
        omitted = f" ({opening.omitted} older exchanges left out)" if opening.omitted else ""
        kind = events.Status if self._outage_told or omitted else events.Detail  # nothing is lost, and nobody noticed
        self._output.emit(kind(f"a new session was begun and told the conversation so far{omitted}"))

    # Holding

    async def hold(self, conduct: Coroutine[Any, Any, End]) -> End:
        """Send and receive while `conduct` runs, until the connection is lost or `conduct` ends it; return the end."""
        connection = self._connection
        assert connection is not None
        self.live.set()
        self._leave_outdated()  # the functions may have changed during the setup
        since_s, n_complete = self._clock(), self._conversation.turns_complete
        try:
            end = await first_of(self._receive(connection), conduct, self._send(connection))
        finally:
            self.live.clear()
        has_answered = self._user_came and self._conversation.turns_complete > n_complete
        if has_answered or self._clock() - since_s >= STABLE_AFTER_S:
            self._recovery.is_stable()
        if self._spoils_handle(end):
            self._conversation.handle_refused()
        return end

    def _spoils_handle(self, end: End) -> bool:
        """True if a session that is resumed after this end would generate nothing (public reports, Sep 2026)."""
        if end.how is How.CLOSED:
            return self._resumed.was_useless(end.failure.code, self._clock())
        has_history = self._capabilities.history is not History.NOT_SUPPORTED
        return end.how is How.LEFT and has_history and self._conversation.is_busy

    async def _receive(self, connection: Connection) -> End:
        """Receive messages and apply their events until the server closes the connection or reports an error."""
        error: SessionClosed | None = None
        shared_s = self._clock()
        while error is None:
            # Receiving does not wait while messages are there, and keys, signals and sound must not wait for their end.
            if self._clock() - shared_s > SHARE_EVERY_S:
                await asyncio.sleep(0)
                shared_s = self._clock()
            # A thread writes the output, and the results wait for a server that may never read them.
            while self._is_output_behind() or self._uplink.has_too_many_results:  # noqa: ASYNC110
                await asyncio.sleep(READER_CHECK_S)
            try:
                received = self._parse(await connection.receive())
            except SessionClosed as closed:
                self._journal.closed(closed.code, closed.reason, "server")
                return End(How.CLOSED, closed)
            is_more = self._conversation.is_generating and _MORE_OF_AN_ANSWER.issuperset(map(type, received))
            error = self._take(received) or self._measure_exchange(received)
            self._note_signs(received)
            if not (is_more and self._conversation.is_generating):
                self._changes.notify()
        return End(How.CLOSED, error)

    def _measure_exchange(self, received: Sequence[ServerEvent]) -> SessionClosed | None:
        """Add the size of the events to that of the present exchange; return an error if it exceeds the limit."""
        if self._conversation.exchange != self._measured_exchange:
            self._n_exchange_chars, self._measured_exchange = 0, self._conversation.exchange
        self._n_exchange_chars += sum(map(_size, received))
        if self._n_exchange_chars <= MAX_EXCHANGE_CHARS:
            return None
        words = f"the server sent more than {MAX_EXCHANGE_CHARS:,} characters that belong to one question"
        return SessionClosed(TOO_BIG, words)

    async def _send(self, connection: Connection) -> End:
        # What the server sent before it closed is still to be read: the receiving side reports the end.
        with contextlib.suppress(SessionClosed):
            await self._uplink.run(connection)
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    def _parse(self, raw: str | bytes) -> tuple[ServerEvent, ...]:
        try:
            return parse_server_message(raw)
        except ProtocolError as error:
            self._output.emit(events.Warning(f"skipped an invalid message from the server: {error}"))
            return ()

    def _note_signs(self, received: Sequence[ServerEvent]) -> None:
        """Look in a message for signs that the server heard the user or generates an answer; record them."""
        for event in received:
            if type(event) in _GENERATED:
                self._has_generated = True
                self._resumed.generated()
                self._uplink.note_sign_of_answer()
            elif isinstance(event, InputTranscription):
                self.user_came()
                self._uplink.note_sign_of_answer()
            elif isinstance(event, VoiceActivity) and not event.started:
                self._uplink.note_sign_of_answer()

    # Leaving

    def announce_end(self, time_left_s: float | None) -> None:
        """Plan to leave this connection before the server closes it; `None`: the server did not say when."""
        if self._outdated_because is not None:
            return  # it is left before
        if self._config.reconnect:
            self._departure = Departure.plan(self._clock(), time_left_s)
        else:
            left = "soon" if time_left_s is None else f"in {time_left_s:g} s"
            self._output.emit(events.Warning(f"the server will end this session {left}"))

    def leave(self, why: str) -> None:
        """Plan to replace this connection at the next `check`; `why` is shown to the user."""
        now_s = self._clock()
        self._departure, self._leaves_because = Departure(now_s, now_s, now_s), why

    def declare(self, declarations: Sequence[dict[str, Any]], why: str) -> None:
        """Plan a new session that declares `declarations`, as soon as nothing is open; `why` is shown to the user."""
        self._declarations, self._outdated_because = declarations, f"{why}; beginning a new session"
        if self.live.is_set():
            self._leave_outdated()

    def _leave_outdated(self) -> None:
        """If the functions have changed since the setup, plan to leave this connection when nothing is open."""
        if self._outdated_because is not None:
            now_s = self._clock()
            self._departure = Departure(now_s, now_s, now_s + DECLARE_WITHIN_S)
            self._leaves_because = self._outdated_because

    def user_came(self) -> None:
        """Record that the user typed or spoke on this connection; a resumed session must generate something in time."""
        self._user_came = True
        self._resumed.asked(self._clock())

    def check(self, *, is_idle: bool) -> End | None:
        """Return the end of the connection if it is time to leave; hold back new questions shortly before.

        `is_idle`: nothing is open and nothing is being played.
        """
        now_s = self._clock()
        mute_s = self._resumed.deadline_s
        if mute_s is not None and now_s >= mute_s:
            return End(How.CLOSED, SessionClosed(ABNORMAL_CLOSURE, "the resumed session generates nothing"))
        departure = self._departure
        if departure is None:
            return None
        self._uplink.holds_questions = now_s >= departure.hold_s
        is_due = now_s >= departure.latest_s or (is_idle and now_s >= departure.idle_s)
        return End(How.LEFT) if is_due else None

    @property
    def is_leaving(self) -> bool:
        """True if it is planned to leave this connection, perhaps as soon as nothing is open or played."""
        return self._departure is not None

    @property
    def deadlines_s(self) -> list[float]:
        """The times at which `check` must be called again, because its result may change."""
        now_s, departure, mute_s = self._clock(), self._departure, self._resumed.deadline_s
        times = [] if departure is None else [departure.idle_s, departure.hold_s, departure.latest_s]
        return [when_s for when_s in times if when_s > now_s] + ([] if mute_s is None else [mute_s])

    def is_polite(self, end: End) -> bool:
        """True if the server closed the connection normally (code 1000, or none), without announcing the end."""
        return end.how is How.CLOSED and end.failure.code in {NORMAL_CLOSURE, NO_STATUS} and self._departure is None

    def _note_message(self, direction: str, raw: str | bytes) -> None:
        self._journal.message("client" if direction == ">" else "server", raw)
        if self._config.verbose:
            self._output.emit(events.Detail(f"{direction} {format_message(raw)}"))


def _size(event: ServerEvent) -> int:
    """Return the size of an event's content in characters, for the limit of an exchange; audio counts as 0."""
    match event:
        case AudioChunk():
            return 0
        case ModelText(text=text) | OutputTranscription(text=text) | InputTranscription(text=text) | Thought(text=text):
            return PIECE_CHARS + len(text)
        case ExecutableCode(code=text) | CodeResult(output=text):
            return PIECE_CHARS + len(text)
        case Grounding(queries=queries, sources=sources):
            pages = sum(PIECE_CHARS + len(source.title) + len(source.uri) for source in sources)
            return pages + sum(PIECE_CHARS + len(query) for query in queries)
        case ToolCall(calls=calls):
            return sum(PIECE_CHARS + len(str(call.args)) for call in calls)
    return 0


async def first_of(*coroutines: Coroutine[Any, Any, _Result]) -> _Result:
    """Run coroutines side by side until one of them ends; cancel the others, and return its result.

    If several end at once, the first one in the order of the arguments counts.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
