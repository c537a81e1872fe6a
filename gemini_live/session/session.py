"""One conversation from its first connection to its end: joins the parts, and decides when it is over.

Runs on the event loop. `link.py` connects and holds the connection, `conversation.py` says what may be asked,
`dispatch.py` what the server's messages mean, and `prompt_controls.py` what a person does at the prompt. Longer than
300 lines: a third of it builds and joins the parts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from typing import Any, TextIO

from ..audio.pcm import INPUT
from ..config import Config
from ..conversation.conversation import Conversation
from ..conversation.outcomes import Outcome, Question, SpeechLost
from ..conversation.timings import Timings
from ..errors import GeminiLiveError, NotAnsweredError, SessionClosed
from ..functions.call import FunctionCaller
from ..models import Modality, capabilities_of
from ..output import events
from ..output.events import Output
from ..output.function_list import find_declarations
from ..output.status import ConnectionState
from ..process.lines import read_lines
from ..wire.connection import ABNORMAL_CLOSURE
from ..wire.events import ServerEvent
from ..wire.setup import build_setup
from ..wire.setup_facts import SetupFacts, missing_capabilities, read_setup
from .calls import Calls
from .changes import Changes
from .commands import Commands
from .confirmations import Confirmations
from .dispatch import CancelCalls, Dispatcher, Fail, LeaveBefore, StartCalls
from .function_commands import FunctionCommands
from .inputs import MAX_WAITING_LINES, Inputs
from .journal import Journal
from .link import End, How, Link, first_of
from .media import Media
from .prompt_controls import PromptControls
from .speech import UserSpeech
from .stats import Stats
from .uplink import Uplink

SPEAKER_CHECK_S = 0.1
"""How often the session checks whether everything has been played, if nothing else is left to wait for."""
TELL_WAIT_S = 5.0
"""A user without a status bar is told of a wait that lasts longer."""


class Session:
    """One conversation, from the first connection to its end."""

    def __init__(
        self,
        config: Config,
        output: Output,
        *,
        functions: FunctionCaller | None = None,
        reload_functions: Callable[[], Awaitable[list[str]]] | None = None,
        stdin: TextIO | None = None,
        stdin_is_terminal: bool = False,
        typed_lines: AsyncIterator[str] | None = None,
        stdin_sound: AsyncIterator[bytes] | None = None,
        save: Callable[[], str] = str,
        is_output_behind: Callable[[], bool] = bool,
        timings: Timings | None = None,
    ) -> None:
        """Prepare; nothing is opened yet. This function is long because it joins all the parts.

        Args:
            config: What the user asked for.
            output: Writes the conversation.
            functions: The user's functions, loaded.
            reload_functions: Loads them again, and returns what was done.
            stdin: Where lines come from, if stdin is an input.
            stdin_is_terminal: True if a person types there.
            typed_lines: What a person types at a prompt, which then reads the terminal instead of the session.
            stdin_sound: The bytes of stdin, if it is an input file.
            save: Returns the conversation as the person has seen it.
            is_output_behind: Returns True while so much output waits for its reader that no message should be received.
            timings: How long to wait for what.

        Raises:
            ConfigError: The address cannot be used, or the certificates to trust cannot be read.
        """
        self._config, self._output = config, output
        declarations = functions.declarations if functions else []
        setup = build_setup(config, declarations, handle=None, seeds_history=False)
        self._facts = read_setup(setup)
        self._clock = asyncio.get_running_loop().time
        self._changes = Changes()
        self._stats = Stats(self._clock())
        self._speech = UserSpeech(self._stats.latency)
        self._journal = Journal(config, setup, remembers=typed_lines is not None, warn=self._warn, clock=self._clock)
        self._quits = False
        """True if the user wants to leave at once, whatever is open."""
        self._has_prompt = typed_lines is not None
        self._only_connects = False
        """True if there is no input: a connection is all that was asked for."""
        capabilities = capabilities_of(config.model)
        plays = config.plays_audio and self._facts.modality is Modality.AUDIO
        self._conversation = Conversation(
            capabilities,
            timings=timings,
            words_trail=self._facts.transcribes_output or capabilities.transcript_is_answer,
            may_call=bool(self._facts.tools) or reload_functions is not None,
            shows_user_words=self._facts.transcribes_input or capabilities.transcript_is_answer,
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
            self._speech,
            record_event=self._journal.local,
            plays=plays,
            listens=stdin_is_terminal,
            shows_levels=typed_lines is not None,
            stdin_sound=stdin_sound,
            warn=self._warn,
            on_sound_mode=output.emit,
            on_microphone_lost=self._on_microphone_lost,
            on_speaker_lost=self._on_speaker_lost,
        )
        self._dispatcher = Dispatcher(
            self._conversation,
            output,
            self._stats,
            self._speech,
            record_event=self._journal.local,
            transcript_is_answer=capabilities.transcript_is_answer,
            speaks_answers=self._facts.modality is Modality.AUDIO and self._facts.transcribes_output,
            clock=self._clock,
        )
        self._link = Link(
            config,
            declarations,
            conversation=self._conversation,
            uplink=self._uplink,
            dispatcher=self._dispatcher,
            output=output,
            stats=self._stats,
            journal=self._journal,
            changes=self._changes,
            take=self._take,
            on_first_live=lambda facts: output.emit(self._describe(facts)),
            is_output_behind=is_output_behind,
            clock=self._clock,
        )
        self._functions = functions or FunctionCaller({}, schedules=False, timeout_s=config.function_timeout_s)
        self._functions.on_replaced = self._declare_anew
        self._confirmations = confirmations = Confirmations(
            output,
            confirms_all=config.confirm_functions,
            allowed=config.allow,
            has_prompt=typed_lines is not None,
        )
        self._calls = Calls(
            self._functions,
            self._conversation,
            self._uplink,
            output,
            record_event=self._journal.local,
            confirmations=confirmations,
            blocking=self._facts.blocking,
            apply=self._apply,
            clock=self._clock,
        )
        self._function_commands = FunctionCommands(
            self._functions, find_declarations(setup), output, reload=reload_functions
        )
        commands = Commands(
            self._media,
            self._function_commands,
            output,
            summary=self._summarise,
            save=save,
            save_recording=self._journal.save,
            discard_speech=self._discard_speech,
            quit_session=self._quit,
        )
        self.controls = PromptControls(
            config,
            self._facts.voice if self._facts.modality is Modality.AUDIO else None,
            conversation=self._conversation,
            dispatcher=self._dispatcher,
            media=self._media,
            stats=self._stats,
            calls=self._calls,
            function_commands=self._function_commands,
            confirmations=confirmations,
            commands=commands,
            output=output,
            apply=self._apply,
            wake=self._wake,
            clock=self._clock,
        )
        """What a person does at the prompt, and sees there."""
        lines = None if stdin is None else typed_lines or read_lines(stdin)
        self._inputs = Inputs(
            config,
            self._conversation,
            self._uplink,
            self._media,
            piped=None if stdin_is_terminal else lines,
            typed=lines if stdin_is_terminal else None,
            take_typed=self._take_typed,
            live=self._link.live,
            next_change=self._next_change,
            wake=self._wake,
            warn=self._warn,
        )

    async def run(self) -> None:
        """Hold the conversation. Over 40 lines: the order in which everything begins and ends.

        Raises:
            ConfigError: A file or an extra that was asked for is missing, or stdin could not be read.
            DeviceError: A device that was asked for is missing.
            ConnectionFailed: No session came about.
            SessionClosed: The session ended with something unanswered, or for a reason that is final.
            NotAnsweredError: The session ended well, but a question was not answered.
        """
        for warning in missing_capabilities(self._config, self._facts):
            self._warn(warning)
        for warning in self._confirmations.find_warnings(self._functions):
            self._warn(warning)
        failure: Exception | None = None
        is_whole = False
        try:
            self._journal.open()
            await self._media.open()
            self._dispatcher.playout = self._media.speaker
            self._dispatcher.record = self._media.record
            self._inputs.find()
            for path in self._config.image:
                await self._media.show_picture(path)
            self._only_connects = self._is_over()
            async with asyncio.TaskGroup() as self._tasks:
                helpers = [*self._inputs.tasks(), *([] if self._has_prompt else [self._tell_waits])]
                tasks = [self._tasks.create_task(run(), name=run.__name__) for run in helpers]
                await self._converse()
                for task in tasks:
                    task.cancel()
                if self._inputs.failure is not None:
                    raise self._inputs.failure
            is_whole = True
        except* GeminiLiveError as failures:
            failure = _first(failures)
            if not self._has_prompt:  # which shows these lines itself
                self._tell_unsent("")
        finally:
            self.controls.set_connection(ConnectionState.ENDED)
            await self._close(is_whole=is_whole)
            if self._stats.n_connections:
                self._output.emit(self._summarise())
        if failure is None and self._conversation.n_unanswered:
            failure = NotAnsweredError(self._conversation.n_unanswered)
        if failure is not None:
            raise failure

    async def _close(self, *, is_whole: bool) -> None:
        """Write the last complete answer and the text of unfinished ones; end the streams, then the connection."""
        self._apply(self._conversation.finish())
        if not is_whole:
            self._apply(self._conversation.unfinished())
        try:
            await self._media.close()
        finally:
            try:
                await self._link.disconnect()
            finally:
                await self._journal.close()

    # From connection to connection

    async def _converse(self) -> None:
        """Hold one connection after the other until everything has ended."""
        end: End | None = None
        while await first_of(self._connect(end), self._watch_end()):
            await self._media.start()
            self.controls.set_connection(ConnectionState.LIVE)
            end = await self._link.hold(self._conduct())
            if not await self._continues_after(end):
                break
            self._calls.cancel()
            self.controls.set_connection(ConnectionState.RESUMING)
        self._calls.cancel()
        await self._play_out()

    async def _connect(self, end: End | None) -> bool:
        """Connect, after the last connection's `end` if there was one; return True."""
        if end is not None:
            await self._link.wait_after(end)
        await self._link.connect()
        return True

    async def _watch_end(self) -> bool:
        """Return False once everything has ended while there is no connection."""
        while self._only_connects or not self._is_over():
            await self._changes.wait()
        return False

    async def _continues_after(self, end: End) -> bool:
        """Return True if the conversation needs another connection.

        Raises:
            SessionClosed: Speech was lost with the connection, and nothing else will come.
        """
        if end.how is How.OVER:
            return False
        await self._link.disconnect()
        self._apply(self._conversation.finish())
        if self._is_over():
            return False
        is_polite = self._link.is_polite(end)
        has_unasked = self._conversation.has_unanswered or self._inputs.has_more_to_ask
        speaks = self._speech.is_unanswered(self._clock()) and not is_polite
        outcomes = self._conversation.connection_lost(self._clock(), speaks=speaks)
        self._apply(outcomes)
        loses_speech = any(isinstance(outcome, SpeechLost) for outcome in outcomes)
        if is_polite and not (has_unasked or loses_speech):
            self._output.emit(events.Status("the server ended the session"))
            return False
        if self._is_over():
            if loses_speech:
                raise end.failure
            return False
        return True

    async def _conduct(self) -> End:
        """Do what becomes due by time on a live connection; return how the connection has to end."""
        while True:
            if (silence := self._tick()) is not None:
                return End(How.CLOSED, silence)
            is_played = self._media.queued_s <= 0
            if self._is_over() and (self._quits or is_played):
                self._tell_unsent(f"--turns {self._config.turns} reached; ")
                return End(How.OVER)
            end = self._link.check(is_idle=is_played and self._is_idle())
            if end is not None:
                return end
            self._uplink.wake()
            await self._next_change(self._conversation.deadline_s(), *self._link.deadlines_s)

    def _is_idle(self) -> bool:
        """Return True if nothing is open, the user does not speak, and no line is about to be sent."""
        if self._speech.is_unanswered(self._clock()) or not self._conversation.is_quiet:
            return False
        return self._uplink.holds_questions or self._conversation.next_question() is None

    def _is_over(self) -> bool:
        """Return True if everything has ended, and the user's last words have gone to the server."""
        if self._quits:
            return True
        if not self._conversation.is_over:
            return False
        # Speech into a lost connection is not worth waiting for, but a file is sent to its end.
        return not (self._uplink.ends_file or (self._link.live.is_set() and self._uplink.ends_audio))

    async def _play_out(self) -> None:
        """Wait until everything has been played; a lost speaker has nothing queued."""
        while not self._quits and (queued_s := self._media.queued_s) > 0:  # noqa: ASYNC110 - no card tells when it is silent
            await asyncio.sleep(min(queued_s, SPEAKER_CHECK_S))

    # What happens

    def _take(self, received: Sequence[ServerEvent]) -> SessionClosed | None:
        """Apply the events of one message; return the error that the server reported, if it did."""
        for action in self._dispatcher.dispatch(received):
            match action:
                case StartCalls(calls=calls, exchange=exchange):
                    self._calls.start(calls, exchange, self._tasks)
                case CancelCalls(ids=ids):
                    self._calls.cancel(ids)
                case LeaveBefore(time_left_s=time_left_s):
                    self._link.announce_end(time_left_s)
                case Fail(code=code, message=message):
                    return SessionClosed(code or ABNORMAL_CLOSURE, message)
        return None

    def _tick(self) -> SessionClosed | None:
        """Apply what the passing of time has brought; return an error if the server was silent for too long."""
        if outcomes := self._conversation.tick(self._clock()):
            self._apply(outcomes)
            self._changes.notify()  # an answer is complete: an input may have waited for that
        silence_s = self._conversation.silence_s
        if silence_s is None:
            return None
        return SessionClosed(ABNORMAL_CLOSURE, f"the server has said nothing for {silence_s:.0f} s")

    def _apply(self, outcomes: Sequence[Outcome]) -> None:
        self._dispatcher.apply(outcomes)

    async def _next_change(self, *deadlines_s: float | None) -> None:
        """Wait until something happens, or until the first of the times."""
        times = [when_s for when_s in deadlines_s if when_s is not None]
        waits_for_silence = self._quits or self._conversation.is_over or self._link.is_leaving
        if waits_for_silence and self._media.queued_s > 0:
            times.append(self._clock() + SPEAKER_CHECK_S)
        await self._changes.wait(min(times, default=None))

    def _wake(self) -> None:
        self._changes.notify()
        self._uplink.wake()

    def _on_asked(self, question: Question) -> None:
        again, is_repeat = question.times_asked > 0, question.is_repeated
        self._on_progress(self._conversation.asked(question, self._clock()))
        self._link.user_came()
        if not again:
            if question.waits:
                self._stats.latency.asked(self._clock())
            self._output.emit(events.Asked(question.exchange, question.text, typed=not question.waits))
        elif is_repeat:
            self._output.emit(events.Detail(f"sent once more, because nothing came of it: {question.text}"))
        elif question.called:
            names = ", ".join(question.called)
            self._output.emit(events.Warning(f"asked again, and may call again what it has called already: {names}"))
        else:
            self._output.emit(events.Detail(f"asked again on the new connection: {question.text}"))

    def _on_progress(self, outcomes: Sequence[Outcome]) -> None:
        """Write the outcomes of something that was sent, and let `_conduct` look at its deadlines again."""
        self._apply(outcomes)
        self._changes.notify()

    async def _take_typed(self, line: str) -> str:
        """Run a typed line if it is a command; return the text to ask."""
        return "" if self._quits else await self.controls.take_typed(line)

    def _declare_anew(self) -> None:
        """Tell the model of functions that have changed, which needs a new session: a setup cannot be changed."""
        declarations = self._functions.declarations
        setup = build_setup(self._config, declarations, handle=None, seeds_history=False)
        before, self._facts = set(self._facts.tools), read_setup(setup)
        self._calls.blocking = self._facts.blocking
        self._function_commands.declarations = find_declarations(setup)
        self._link.declare(declarations, describe_change(before, set(self._facts.tools)))
        self._wake()

    def _on_microphone_lost(self) -> None:
        self._inputs.end_microphone(by_hand=True)

    def _on_speaker_lost(self) -> None:
        self._dispatcher.playout = None
        self._wake()

    def _discard_speech(self) -> None:
        """Discard what the user says; if the server has received a part of it, replace the connection."""
        if self._media.discard_speech():
            self._speech.answered()
            self._link.leave("connecting again, so that the model does not hear what you discarded")
            self._wake()

    def _quit(self) -> None:
        self._quits = True
        self._dispatcher.stop_playing()
        self._wake()

    # What is told

    async def _tell_waits(self) -> None:
        """Tell a user without a status bar, once per exchange, that the server has sent nothing for `TELL_WAIT_S`."""
        told: set[int] = set()
        while True:
            number, since_s = self._conversation.exchange, self._waits_since_s()
            if since_s is None or number in told:
                await self._changes.wait()
            elif self._clock() < since_s + TELL_WAIT_S:
                await self._changes.wait(since_s + TELL_WAIT_S)
            else:
                told.add(number)
                what = "an answer" if self._link.live.is_set() else "a connection"
                self._output.emit(
                    events.Status(f"waiting for {what}; nothing has come from the server for {TELL_WAIT_S:.0f} s")
                )

    def _waits_since_s(self) -> float | None:
        """Return since when the server has sent nothing that is due; `None` if nothing is."""
        return self._conversation.waits_since_s if self._link.live.is_set() else self._link.connecting_since_s

    def _tell_unsent(self, reason: str) -> None:
        """Warn of the lines that were never sent, if there are any; `reason` begins the warning."""
        n_unsent = len(self._conversation.unsent)
        if n_unsent and not self._quits:
            more = " or more" if n_unsent >= MAX_WAITING_LINES else ""  # a pipe is not read further
            self._output.emit(events.Warning(f"{reason}lines that were not sent: {n_unsent}{more}"))

    def _summarise(self) -> events.Summary:
        dropped_s = INPUT.duration_s(self._uplink.microphone.n_bytes_dropped)
        self._stats.dropped_s = dropped_s - self._stats.withheld_s
        self._stats.n_xruns = self._media.n_xruns
        self._stats.echo_leak_db, self._stats.erle_db = self._media.echo_leak_db, self._media.median_erle_db
        return self._stats.summary(self._clock())

    def _describe(self, facts: SetupFacts) -> events.SessionStarted:
        is_text = facts.modality is not Modality.AUDIO or capabilities_of(self._config.model).transcript_is_answer
        return events.SessionStarted(
            model=self._config.model,
            voice=self.controls.voice,
            tools=facts.tools,
            screen=self._media.describe_screen(),
            sound=self._media.describe_sound(),
            server=self._config.server_name,
            has_words=is_text or facts.transcribes_output,
        )

    def _warn(self, text: str) -> None:
        self._output.emit(events.Warning(text))


def describe_change(before: Set[str], after: Set[str]) -> str:
    """Return how the functions have changed, for the user."""
    changes = [
        f"{what}: {', '.join(sorted(names))}"
        for what, names in (("new", after - before), ("gone", before - after))
        if names
    ]
    return "the functions have changed" + (f" ({'; '.join(changes)})" if changes else "")


def _first(failures: ExceptionGroup[Any]) -> Exception:
    """Return one exception of a group: several of them are one failure, seen by several tasks."""
    failure: Exception = failures
    while isinstance(failure, ExceptionGroup):
        failure = failure.exceptions[0]
    return failure
