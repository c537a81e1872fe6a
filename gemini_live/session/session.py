"""The life of a conversation across connections: connecting, the tasks of a live connection, reconnecting, ending.

Runs on the event loop. It joins the parts and decides nothing that they decide: `conversation.py` says what may be
asked and when all is over, `recovery.py` whether a failure is final, `dispatch.py` what the server's words mean.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TextIO

from ..audio.pcm import INPUT
from ..config import Config
from ..conversation.conversation import Conversation
from ..conversation.outcomes import Opening, Outcome, Question, SpeechLost
from ..conversation.timings import Timings
from ..errors import ConnectionFailed, GeminiLiveError, ProtocolError, SessionClosed
from ..functions.call import FunctionCaller
from ..models import History, Modality, capabilities_of
from ..output import events
from ..output.events import Output
from ..output.help import is_command
from ..output.status import ConnectionState, Status, meter_cells
from ..process.streams import read_lines
from ..wire.address import build_headers, build_url, check_certificates
from ..wire.connection import ABNORMAL_CLOSURE, GOING_AWAY, NO_STATUS, NORMAL_CLOSURE, Connection
from ..wire.events import ServerError, ServerEvent, SetupComplete
from ..wire.messages import format_message
from ..wire.parse import parse_server_message
from ..wire.setup import build_setup
from ..wire.setup_facts import SetupFacts, lacks_words, missing_capabilities, read_setup, unknown_field
from .calls import Calls
from .commands import Commands
from .dispatch import Action, CancelCalls, Dispatcher, Fail, LeaveBefore, StartCall
from .inputs import Inputs
from .media import Media
from .recovery import STABLE_AFTER_S, Recovery, Stage
from .stats import Stats
from .uplink import Uplink

SETUP_TIMEOUT_S = 10.0
LEAVE_EARLY_S = 2.0
"""How long before the server's deadline a connection that it will close is left."""
UNKNOWN_TIME_LEFT_S = 10.0
SPEAKER_CHECK_S = 0.1
"""How often it is looked whether everything has been played, when that is all that is waited for."""
WORTH_TELLING_S = 2.0
"""From which delay on the user is told when it will be tried again."""


class _Over(Exception):
    """Everything has ended: no error, it ends the tasks of the connection."""


class _Leaves(Exception):
    """The connection is left for a new one, as the server asked."""


class Session:
    """One conversation, from the first connection to its end."""

    def __init__(
        self,
        config: Config,
        output: Output,
        *,
        functions: FunctionCaller | None = None,
        stdin: TextIO | None = None,
        stdin_is_terminal: bool = False,
        typed_lines: AsyncIterator[str] | None = None,
        save: Callable[[], str] = str,
        timings: Timings | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: What the user asked for.
            output: Writes the conversation.
            functions: The user's, loaded.
            stdin: Where lines come from, if they are an input.
            stdin_is_terminal: Whether a person types them.
            typed_lines: What a person types at a prompt, where that reads the terminal in place of the session.
            save: Returns the conversation as the person has seen it.
            timings: How long to wait for what.

        Raises:
            ConfigError: The address cannot be used, or the certificates that are to be trusted cannot be read.
        """
        self._config, self._output, self._functions = config, output, functions
        self._n_attempts = 0
        """Attempts to connect since the last live connection."""
        self._url = build_url(config.base_url, config.api_version, config.api_key, insecure=config.insecure)
        check_certificates(self._url)
        self._declarations = functions.declarations if functions else []
        self._omitted: frozenset[str] = frozenset()
        self._facts = read_setup(build_setup(config, self._declarations, handle=None, seeds_history=False))
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._stats = Stats(self._clock())
        self._state, self._state_since_s = ConnectionState.CONNECTING, self._clock()
        capabilities = capabilities_of(config.model)
        self._plays = config.plays_audio and self._facts.modality is Modality.AUDIO
        self._conversation = Conversation(
            timings=timings,
            plays=self._plays,
            words_trail=self._facts.transcribes_output or capabilities.transcript_is_answer,
            generation_ends_turn=not capabilities.interaction_status,
            turns=config.turns,
        )
        self._uplink = Uplink(
            self._conversation,
            capabilities,
            self._stats,
            automatic_vad=self._facts.vad,
            shows_screen=config.screen_capture_fps is not None,
            on_asked=self._on_asked,
            on_progress=self._on_progress,
            clock=self._clock,
        )
        self._media = Media(
            config,
            self._uplink,
            self._stats.latency,
            plays=self._plays,
            listens=stdin_is_terminal,
            shows_levels=typed_lines is not None,
            warn=self._warn,
            on_microphone_lost=lambda: self._inputs.end_microphone(by_hand=True),
            on_speaker_lost=self._on_speaker_lost,
        )
        self._dispatcher = Dispatcher(
            self._conversation,
            output,
            self._stats,
            transcript_is_answer=capabilities.transcript_is_answer,
            clock=self._clock,
        )
        self._recovery = Recovery(enabled=config.reconnect)
        self._connection: Connection | None = None
        self._live = asyncio.Event()
        self._changed = asyncio.Event()
        self._leave_by_s: float | None = None
        self._only_connects = False
        """Whether there is no input: a connection is all that was asked for."""
        self._quits = False
        """Whether the user wants to leave at once, whatever is open."""
        self._commands = Commands(self._media, output, summary=self._summarise, save=save, quit_session=self._quit)
        self._calls = Calls(
            functions or FunctionCaller({}, schedules=False, timeout_s=config.function_timeout_s),
            self._conversation,
            self._uplink,
            output,
            blocking=self._facts.blocking,
            apply=self._apply,
            clock=self._clock,
        )
        lines = None if stdin is None else typed_lines or read_lines(stdin)
        self._inputs = Inputs(
            config,
            self._conversation,
            self._uplink,
            self._media,
            piped=None if stdin_is_terminal else lines,
            typed=lines if stdin_is_terminal else None,
            take_typed=self._take_typed,
            live=self._live,
            next_change=self._next_change,
            wake=self._wake,
            warn=self._warn,
        )
        self._outage_told = False
        """Whether the user knows that there is no connection: one line is enough, however many tries it takes."""

    async def run(self) -> None:
        """Hold the conversation.

        Raises:
            ConfigError: A file or an extra that was asked for is not there, or stdin could not be read.
            DeviceError: A device that was asked for is not there.
            ConnectionFailed: No session came about.
            SessionClosed: The session ended with something unanswered, or for a reason that is final.
        """
        for warning in missing_capabilities(self._config, self._facts):
            self._warn(warning)
        is_whole = False
        failure: Exception | None = None
        try:
            await self._media.open()
            self._dispatcher.playout = self._media.speaker
            self._dispatcher.record = self._media.record
            self._inputs.find()
            self._only_connects = self._is_over()
            async with asyncio.TaskGroup() as self._tasks:
                inputs = [self._tasks.create_task(give(), name=give.__name__) for give in self._inputs.tasks()]
                await self._converse()
                for task in inputs:
                    task.cancel()
                if self._inputs.failure is not None:
                    raise self._inputs.failure
            is_whole = True
        except* GeminiLiveError as failures:
            failure = _first(failures)
        finally:
            self._set_state(ConnectionState.ENDED)
            await self._close(is_whole=is_whole)
            if self._stats.n_connections:
                self._output.emit(self._summarise())
        if failure is not None:
            raise failure

    async def _close(self, *, is_whole: bool) -> None:
        """Write the answer that is complete, and what there is of others; end the streams, then the connection."""
        self._apply(self._conversation.finish())
        if not is_whole:
            self._apply(self._conversation.unfinished())
        try:
            await self._media.close()
        finally:
            await self._disconnect()

    def _on_speaker_lost(self) -> None:
        self._dispatcher.playout = None
        self._conversation.plays = False
        self._wake()

    # Connections

    async def _converse(self) -> None:
        """Hold a connection after the other until everything has ended."""
        try:
            while True:
                await self._connect()
                end = await self._hold()
                self._live.clear()
                if isinstance(end, _Over):
                    break
                await self._disconnect()
                failure = end if isinstance(end, SessionClosed) else SessionClosed(GOING_AWAY, "")
                self._apply(self._conversation.finish())
                if self._is_over():
                    break
                has_unasked = self._conversation.has_unanswered or self._inputs.has_more_to_ask
                is_polite = self._is_polite(failure)
                speaks = self._stats.latency.hears_user and not is_polite
                outcomes = self._conversation.connection_lost(self._clock(), speaks=speaks)
                self._apply(outcomes)
                loses_speech = any(isinstance(outcome, SpeechLost) for outcome in outcomes)
                if is_polite and not (has_unasked or loses_speech):
                    self._output.emit(events.Status("the server ended the session"))
                    break
                if self._is_over():
                    if loses_speech:
                        raise failure
                    break
                self._calls.cancel()
                self._set_state(ConnectionState.RESUMING)
                await self._recover(failure, left_by_us=isinstance(end, _Leaves))
        except* _Over:
            pass  # while there was no connection
        self._calls.cancel()
        await self._play_out()

    async def _connect(self) -> None:
        """Connect, trying as often as it takes.

        Raises:
            _Over: In a group; everything has ended meanwhile.
            ConnectionFailed, SessionClosed: In a group; it is not worth another try.
        """
        async with asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(self._watch_inputs(), name="inputs")
            while True:
                opening = self._conversation.connect()
                try:
                    await self._open(opening)
                    break
                except (ConnectionFailed, SessionClosed) as failure:
                    await self._disconnect()
                    await self._retry(failure, Stage.RESUMING if opening.handle else Stage.OPENING)
            watcher.cancel()
        self._outage_told = False

    async def _watch_inputs(self) -> None:
        """Leave where the inputs end while there is no connection, and nothing is unanswered."""
        if self._only_connects:
            return
        while not self._is_over():
            await self._next_change()
        raise _Over

    def _is_over(self) -> bool:
        """Whether everything has ended, and what the user said before has gone to the server."""
        if self._quits or not self._conversation.is_over:
            return self._quits
        # What a person said into a dead line is not worth waiting for; a file is sent to its end.
        return not (self._uplink.ends_file or (self._live.is_set() and self._uplink.ends_audio))

    async def _open(self, opening: Opening) -> None:
        """Open a connection and complete its setup."""
        self._n_attempts += 1
        self._output.emit(events.Connecting(self._n_attempts, self._config.server_name))
        headers = build_headers(self._config.api_key)
        on_message = self._show_message if self._config.verbose else None
        connection = await Connection.open(self._url, headers, on_message=on_message)
        self._connection = connection
        setup = build_setup(
            self._config,
            self._declarations,
            handle=opening.handle,
            seeds_history=bool(opening.history),
            omit=self._omitted,
        )
        await connection.send(setup)
        received = await self._await_setup(connection)
        self._recovery.went_live()
        self._n_attempts = 0
        self._stats.n_connections += 1
        if self._stats.n_connections == 1:
            self._output.emit(self._describe(read_setup(setup)))
        self._leave_by_s = None
        self._dispatcher.begin_connection()
        announced = read_setup(setup).history_config
        history = self._uplink.begin_connection(opening.history, announced=announced)
        if history is not None:
            await connection.send(history)
        if opening.history:
            self._tell_fresh_start(opening)
        self._act(self._dispatcher.dispatch(received))

    def _tell_fresh_start(self, opening: Opening) -> None:
        if capabilities_of(self._config.model).history is History.NOT_SUPPORTED:
            self._output.emit(
                events.Status("a new session was begun; this model cannot be told the conversation so far")
            )
            return
        omitted = f" ({opening.omitted} older exchanges left out)" if opening.omitted else ""
        self._output.emit(events.Status(f"a new session was begun and told the conversation so far{omitted}"))

    async def _await_setup(self, connection: Connection) -> list[ServerEvent]:
        """Wait for setupComplete; return what else came."""
        others: list[ServerEvent] = []
        try:
            async with asyncio.timeout(SETUP_TIMEOUT_S):
                while True:
                    for event in self._parse(await connection.receive()):
                        if isinstance(event, ServerError):
                            raise SessionClosed(event.code or ABNORMAL_CLOSURE, event.message)
                        others.append(event)
                    if any(isinstance(event, SetupComplete) for event in others):
                        return others
        except TimeoutError:
            raise ConnectionFailed(
                f"the server has not completed the setup within {SETUP_TIMEOUT_S:g} s", opened=True, transient=True
            ) from None

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _recover(self, failure: SessionClosed, *, left_by_us: bool) -> None:
        """Wait until it is time to go on with a new connection.

        Raises:
            SessionClosed: It is not worth it.
        """
        question = self._conversation.asked_too_often
        if question is not None:
            self._warn(f"no connection lasted long enough to answer: {question.text}")
            raise failure
        announced = self._leave_by_s is not None
        what = "the server is about to close the connection; going on with a new one" if left_by_us else None
        await self._retry(failure, Stage.LEAVING if announced else Stage.LIVE, what)

    async def _retry(self, failure: ConnectionFailed | SessionClosed, stage: Stage, what: str | None = None) -> None:
        """Wait until it is time to connect again; `what` says what happened, where it is no failure.

        Raises:
            ConnectionFailed, SessionClosed: It is not worth it.
        """
        field = unknown_field(failure.reason) if isinstance(failure, SessionClosed) and failure.code == 1007 else None
        if field is not None and field not in self._omitted and self._can_omit(field):
            self._omitted |= {field}
            self._warn(f"the service does not know {field}; connecting again without it")
            return
        if self._recovery.drops_handle(failure, stage):
            self._conversation.handle_refused()
        delay_s = self._recovery.delay_s(failure, stage, self._clock())
        if delay_s is None:
            raise failure
        when = f" in {delay_s:.0f} s" if delay_s >= WORTH_TELLING_S else ""
        self._tell_outage((what or f"{failure.summary}; connecting again") + when)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                while not self._quits:
                    await self._next_change()

    def _can_omit(self, field: str) -> bool:
        """Whether a setup can be without `field`: the user has not put it there, and it brings nothing asked for."""
        omit = self._omitted | {field}
        setup = build_setup(self._config, self._declarations, handle=None, seeds_history=False, omit=omit)
        return field not in setup["setup"] and not lacks_words(self._config, read_setup(setup))

    def _tell_outage(self, text: str) -> None:
        """Tell the user in one line that the connection is gone; what follows until there is one is for `--verbose`."""
        if self._outage_told:
            self._output.emit(events.Detail(text))
            return
        self._outage_told = True
        n_again = self._conversation.n_to_ask_again
        again = f"; asking again: {n_again}" if n_again else ""
        self._output.emit(events.Status(text + again))

    def _is_polite(self, end: SessionClosed) -> bool:
        """Whether the server ended the session as if nothing were open, and did not announce it."""
        return end.code in {NORMAL_CLOSURE, NO_STATUS} and self._leave_by_s is None

    async def _play_out(self) -> None:
        """Wait until what was said has been heard: a lost speaker has nothing queued, so it ends."""
        while not self._quits and (queued_s := self._media.queued_s) > 0:  # noqa: ASYNC110 - a sound card tells nobody when it is silent
            await asyncio.sleep(min(queued_s, SPEAKER_CHECK_S))

    # A live connection

    async def _hold(self) -> _Over | _Leaves | SessionClosed:
        """Run a live connection; return why it ended."""
        connection = self._connection
        assert connection is not None
        await self._media.start()
        self._live.set()
        self._set_state(ConnectionState.LIVE)
        since_s, n_complete = self._clock(), self._conversation.turns_complete
        end: Exception = _Over()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send(connection), name="uplink")
                tasks.create_task(self._conduct(), name="conductor")
                await self._receive(connection)
        except* (_Over, _Leaves, SessionClosed) as ends:
            end = _first(ends)
        assert isinstance(end, _Over | _Leaves | SessionClosed)
        if self._conversation.turns_complete > n_complete or self._clock() - since_s >= STABLE_AFTER_S:
            self._recovery.is_stable()
        return end

    async def _send(self, connection: Connection) -> None:
        # What came before the close is still to be read, be it the end of an answer: the receiving side reports it.
        with contextlib.suppress(SessionClosed):
            await self._uplink.run(connection)

    async def _receive(self, connection: Connection) -> None:
        while True:
            raw = await connection.receive()
            self._act(self._dispatcher.dispatch(self._parse(raw)))
            self._wake()

    def _parse(self, raw: str | bytes) -> tuple[ServerEvent, ...]:
        try:
            return parse_server_message(raw)
        except ProtocolError as error:
            self._warn(f"a message of the server's was skipped: {error}")
            return ()

    async def _conduct(self) -> None:
        """Watch the time: what has to happen when nothing else does, and the end."""
        while True:
            now_s = self._clock()
            if outcomes := self._conversation.tick(now_s):
                self._apply(outcomes)
                self._note_change()  # an answer is whole: an input may have waited for that
            if self._is_over() and (self._quits or self._media.queued_s <= 0):
                self._tell_unsent()
                raise _Over
            is_idle = self._conversation.is_idle and not self._stats.latency.hears_user
            if self._leave_by_s is not None and (now_s >= self._leave_by_s or is_idle):
                raise _Leaves
            self._uplink.wake()
            await self._next_change(self._conversation.deadline_s(), self._leave_by_s)

    async def _next_change(self, *deadlines_s: float | None) -> None:
        """Wait until something happens, or one of the times comes."""
        times = [when_s for when_s in deadlines_s if when_s is not None]
        if self._media.queued_s > 0:
            times.append(self._clock() + SPEAKER_CHECK_S)
        try:
            async with asyncio.timeout_at(min(times, default=None)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._note_change()
        self._uplink.wake()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()  # whoever waits from now on waits for the next change

    def _apply(self, outcomes: list[Outcome]) -> None:
        silence = self._dispatcher.apply(outcomes)
        if silence is not None:
            raise SessionClosed(ABNORMAL_CLOSURE, f"the server has said nothing for {silence.silence_s:.0f} s")

    def _tell_unsent(self) -> None:
        n_unsent = self._conversation.n_waiting
        if n_unsent and not self._quits:
            self._warn(f"--turns {self._config.turns} reached; lines that were not sent: {n_unsent}")

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartCall(call=call, exchange=exchange):
                    self._calls.start(call, exchange, self._tasks)
                case CancelCalls(ids=ids):
                    self._calls.cancel(ids)
                case LeaveBefore(time_left_s=time_left_s) if not self._config.reconnect:
                    left = "soon" if time_left_s is None else f"in {time_left_s:g} s"
                    self._warn(f"the server will end this session {left}")
                case LeaveBefore(time_left_s=time_left_s):
                    left_s = UNKNOWN_TIME_LEFT_S if time_left_s is None else time_left_s
                    self._leave_by_s = self._clock() + max(0.0, left_s - LEAVE_EARLY_S)
                    self._uplink.holds_questions = True
                case Fail(code=code, message=message):
                    raise SessionClosed(code or ABNORMAL_CLOSURE, message)

    # What the user does at the prompt, and sees there

    async def _take_typed(self, line: str) -> str:
        """Do what a typed line says, if it is a command; return what is to be asked, and fall silent for that."""
        if is_command(line):
            self._apply(self._conversation.finish())  # what is whole stands above it
            self._output.emit(events.Commanded(line))
        text = "" if self._quits else await self._commands.run(line)
        if text.strip():
            self._dispatcher.stop_playing()
            self._stats.latency.asked(self._clock())
        return text

    def toggle_microphone(self) -> None:
        """Mute the microphone or open it again: the talk key."""
        reply = self._commands.toggle_microphone()
        if self._media.microphone is None:  # else the bar tells
            self._output.emit(events.Reply(reply))

    def stop_answer(self) -> None:
        """Fall silent: what is still to come of the answer is dropped, too."""
        self._dispatcher.stop_playing()
        exchange = self._conversation.answer_stopped()
        if exchange is not None:
            self._output.emit(events.Stopped(exchange))
        self._wake()

    @property
    def is_answering(self) -> bool:
        """Whether there is something to stop."""
        return self._media.queued_s > 0 or self._conversation.is_generating

    @property
    def queued_s(self) -> float:
        """How many seconds of the model's speech are still to be heard."""
        return self._media.queued_s

    def status(self) -> Status:
        """Return what the status bar shows."""
        media, latency_s, asked_s = self._media, self._stats.latency.last_s, self._stats.latency.asked_s
        waits = asked_s is not None and self._conversation.has_unanswered
        return Status(
            connection=self._state,
            since_s=int(self._clock() - self._state_since_s),
            server=self._config.server_name,
            waiting_s=int(self._clock() - asked_s) if waits and asked_s is not None else None,
            calls=(),
            calling_s=0,
            microphone=media.microphone_state,
            microphone_cells=meter_cells(media.user_level.read_dbfs()),
            plays=media.speaker is not None,
            speaker_cells=meter_cells(media.model_level.read_dbfs()),
            queued_s=round(media.queued_s, 1),
            model=self._config.model,
            voice=self._voice,
            latency_s=None if latency_s is None else round(latency_s, 2),
            tokens=self._stats.tokens.total,
            sound_mode=media.sound_mode,
            unsent=tuple(self._conversation.unsent),
        )

    def _set_state(self, state: ConnectionState) -> None:
        if state is not self._state:
            self._state, self._state_since_s = state, self._clock()

    def _summarise(self) -> events.Summary:
        self._stats.dropped_s = INPUT.duration_s(self._uplink.microphone.n_bytes_dropped)
        self._stats.n_xruns = self._media.n_xruns
        return self._stats.summary(self._clock())

    def _quit(self) -> None:
        self._quits = True
        self._dispatcher.stop_playing()
        self._wake()

    def _on_asked(self, question: Question) -> None:
        again = question.times_asked > 0
        self._on_progress(self._conversation.asked(question, self._clock()))
        if not again:
            if question.waits:
                self._stats.latency.asked(self._clock())
            self._output.emit(events.Asked(question.exchange, question.text, typed=not question.waits))
        elif question.called:
            names = ", ".join(question.called)
            self._warn(f"asked again, and may call again what it has called already: {names}")
        else:
            self._output.emit(events.Detail(f"asked again on the new connection: {question.text}"))

    def _on_progress(self, outcomes: list[Outcome]) -> None:
        """Write what came of something that was sent, and have the conductor set its clock anew."""
        self._apply(outcomes)
        self._note_change()

    def _show_message(self, direction: str, raw: str | bytes) -> None:
        self._output.emit(events.Detail(f"{direction} {format_message(raw)}"))

    @property
    def _voice(self) -> str | None:
        return self._facts.voice if self._facts.modality is Modality.AUDIO else None

    def _describe(self, facts: SetupFacts) -> events.SessionStarted:
        is_text = facts.modality is not Modality.AUDIO or capabilities_of(self._config.model).transcript_is_answer
        return events.SessionStarted(
            model=self._config.model,
            voice=self._voice,
            tools=facts.tools,
            screen=self._media.describe_screen(),
            sound=self._media.describe_sound(),
            server=self._config.server_name,
            has_words=is_text or facts.transcribes_output,
        )

    def _warn(self, text: str) -> None:
        self._output.emit(events.Warning(text))


def _first(failures: ExceptionGroup[Any]) -> Exception:
    """Return one exception of a group: where there are several, they are one failure seen by several tasks."""
    failure: Exception = failures
    while isinstance(failure, ExceptionGroup):
        failure = failure.exceptions[0]
    return failure
