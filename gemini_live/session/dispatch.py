"""Applies server events to the speaker, the output and the conversation. Synchronous; runs on the event loop.

It returns what the session must do, and does none of that itself: nothing here waits for user code, the disk or the
network.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..audio.pcm import PcmFormat
from ..conversation.conversation import (
    IN_PROGRESS,
    TURN_SEAM,
    Answered,
    Conversation,
    LateWords,
    NextTurn,
    Notice,
    Outcome,
    Restarted,
    Silence,
    SpeechLost,
    Unfinished,
)
from ..wire.events import (
    AudioChunk,
    CodeResult,
    ExecutableCode,
    FunctionCall,
    GenerationComplete,
    GoAway,
    Grounding,
    InputTranscription,
    InteractionStatus,
    Interrupted,
    Malformed,
    ModelText,
    OutputTranscription,
    ResumptionUpdate,
    ServerError,
    ServerEvent,
    Thought,
    ToolCall,
    ToolCallCancellation,
    TurnComplete,
    Unrecognised,
    Usage,
)
from .stats import Stats


class Output(Protocol):
    """What writes the conversation: `Terminal` for people, `Jsonl` for programs."""

    def session_started(self, facts: Mapping[str, Any]) -> None: ...
    def asked(self, text: str, *, echo: bool) -> None: ...
    def heard(self, text: str, *, late: bool) -> None: ...
    def words(self, text: str) -> None: ...
    def answered(self, text: str, *, asked: bool, cut_off: bool) -> None: ...
    def restarted(self, text: str) -> None: ...
    def late_words(self, text: str) -> None: ...
    def unfinished(self, text: str) -> None: ...
    def thought(self, text: str) -> None: ...
    def code(self, language: str, code: str) -> None: ...
    def code_result(self, outcome: str, output: str) -> None: ...
    def sources(self, queries: Sequence[str], sources: Sequence[tuple[str, str]]) -> None: ...
    def tool_call(self, call_id: str, name: str, args: Mapping[str, Any]) -> None: ...
    def tool_result(self, call_id: str, name: str, response: Mapping[str, Any], *, failed: bool) -> None: ...
    def tool_cancelled(self, call_id: str, name: str) -> None: ...
    def function_output(self, line: str) -> None: ...
    def usage(self, usage: Mapping[str, Any]) -> None: ...
    def stopped(self) -> None: ...
    def silenced(self) -> None: ...
    def speech_lost(self, why: str) -> None: ...
    def status(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...
    def detail(self, text: str) -> None: ...
    def commanded(self, line: str) -> None: ...
    def reply(self, text: str) -> None: ...
    def summary(self, summary: Mapping[str, Any]) -> None: ...
    def session_ended(self, exit_code: int) -> None: ...


class Playout(Protocol):
    """Where speech goes: `Speaker`."""

    @property
    def is_dry(self) -> bool: ...
    @property
    def latency_s(self) -> float: ...
    def write(self, pcm: bytes, rate_hz: int) -> None: ...
    def clear(self) -> None: ...


@dataclass(frozen=True)
class StartCall:
    """Run a function, and answer the call."""

    call: FunctionCall


@dataclass(frozen=True)
class CancelCalls:
    """Stop these calls; they are not answered."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class LeaveBefore:
    """The server will close the connection: leave it before."""

    time_left_s: float | None


@dataclass(frozen=True)
class Fail:
    """The server reported an error: the session is over."""

    code: int | None
    message: str


Action = StartCall | CancelCalls | LeaveBefore | Fail


class Dispatcher:
    """The one place where what the server says takes effect."""

    def __init__(
        self,
        conversation: Conversation,
        output: Output,
        stats: Stats,
        *,
        transcript_is_answer: bool,
        clock: Callable[[], float],
    ) -> None:
        """Begin.

        Args:
            conversation: What the events mean.
            output: Where words and facts are written.
            stats: What is counted.
            transcript_is_answer: Whether the model only writes down what it hears.
            clock: The time in seconds.
        """
        self.playout: Playout | None = None
        """Where speech is played, if it is."""
        self.record: Callable[[bytes, int], None] | None = None
        """Takes all speech with its rate in Hz, played or not."""
        self._conversation = conversation
        self._output = output
        self._stats = stats
        self._transcript_is_answer = transcript_is_answer
        self._clock = clock
        self._discards = False
        """Speech of an answer that the user stopped is dropped until the server says that it has ended."""
        self._unknown: set[str] = set()
        self._called: set[str] = set()
        self._sounding = 0
        """The number of the answer whose first sound, or word, has come."""

    def begin_connection(self) -> None:
        """Forget what belonged to the connection before: an answer that was stopped, the ids of its calls."""
        self._discards = False
        self._called.clear()

    def dispatch(self, events: Sequence[ServerEvent]) -> list[Action]:
        """Apply the events of one message; return what the session must do."""
        now_s = self._clock()
        self._conversation.message_received(now_s)
        stopped = any(isinstance(event, Interrupted) for event in events)
        actions: list[Action] = []
        for event in events:
            if isinstance(event, AudioChunk):
                self._take_speech(event, now_s, plays=not stopped)
            else:
                actions += self._take_turn(event, now_s) or self._take_content(event, now_s)
        return actions

    def stop_playing(self) -> None:
        """Fall silent because the user wants it: what is left of the present answer's speech is dropped, too."""
        self._fall_silent()
        self._discards = self.playout is not None and self._conversation.is_generating

    def _fall_silent(self) -> None:
        if self.playout is None:
            return
        if not self.playout.is_dry:
            self._output.silenced()
        self.playout.clear()

    def apply(self, outcomes: Sequence[Outcome]) -> Silence | None:
        """Write what came about; return the silence of the server, which is the session's business."""
        silence = None
        for outcome in outcomes:
            match outcome:
                case Answered():
                    self._stats.n_answers += 1
                    asked = outcome.question is not None
                    self._output.answered(outcome.text, asked=asked, cut_off=outcome.cut_off)
                case Restarted():
                    self._output.restarted(outcome.lost_text)
                case NextTurn():
                    self._output.words(TURN_SEAM)
                case LateWords():
                    self._output.late_words(outcome.text)
                case Unfinished():
                    self._output.unfinished(outcome.text)
                case SpeechLost():
                    self._output.speech_lost(outcome.why)
                case Notice():
                    self._output.warning(outcome.text)
                case Silence():
                    silence = outcome
        return silence

    def _take_speech(self, chunk: AudioChunk, now_s: float, *, plays: bool) -> None:
        if self.record is not None:
            self.record(chunk.pcm, chunk.rate_hz)
        if not plays:
            return
        speech_s = PcmFormat(chunk.rate_hz).duration_s(len(chunk.pcm))
        self._stats.spoken_s += speech_s
        goes_on = self._conversation.is_generating and self._sounding == self._conversation.n_begun
        self.apply(self._conversation.output_received(now_s, speech_s=speech_s))
        self._note_first_output(now_s)
        if self.playout is not None and not self._discards:
            self._stats.n_underruns += goes_on and self.playout.is_dry
            self.playout.write(chunk.pcm, chunk.rate_hz)

    def _note_first_output(self, now_s: float) -> None:
        """Note what the user has waited for, if it is the first sound or word of an answer."""
        if self._sounding != self._conversation.n_begun:
            self._sounding = self._conversation.n_begun
            delay_s = self.playout.latency_s if self.playout is not None else 0.0
            self._stats.latency.answer_began(now_s + delay_s)

    def _take_turn(self, event: ServerEvent, now_s: float) -> list[Action]:
        """Apply what moves a turn or the connection along."""
        conversation = self._conversation
        match event:
            case Interrupted():
                self._discards = False
                self._stats.n_interruptions += 1
                self._fall_silent()
                self.apply(conversation.interrupted(now_s))
            case GenerationComplete():
                self._discards = False
                conversation.generation_completed(now_s)
            case TurnComplete():
                self._discards = False
                self._stats.tokens.end_turn()
                if event.reason is not None:
                    self._output.warning(f"the turn ended for a reason of the service's: {event.reason}")
                self.apply(conversation.turn_completed(now_s, event.status))
            case InteractionStatus(status=status):
                if status == IN_PROGRESS:
                    self.apply(conversation.interaction_in_progress(now_s))
                else:
                    self.apply(conversation.turn_completed(now_s, status))
            case ResumptionUpdate():
                conversation.resumption_updated(event.handle, resumable=event.resumable)
            case ToolCall(calls=calls):
                return [StartCall(call) for call in calls if self._opens(call, now_s)]
            case ToolCallCancellation(ids=ids):
                self._called.difference_update(ids)  # one that is sent again after that is a new one
                return [CancelCalls(ids)]
            case GoAway(time_left_s=time_left_s):
                return [LeaveBefore(time_left_s)]
            case ServerError():
                return [Fail(event.code, event.message)]
        return []

    def _opens(self, call: FunctionCall, now_s: float) -> bool:
        """Open a call, unless it is one that the server sent already: it is answered once. One without id is new."""
        if call.id in self._called:
            self._output.detail(f"the call {call.id} came twice; it is answered once")
            return False
        if call.id:
            self._called.add(call.id)
        self.apply(self._conversation.call_opened(call.id, now_s))
        return True

    def _take_content(self, event: ServerEvent, now_s: float) -> list[Action]:
        """Apply what there is to read."""
        conversation, output = self._conversation, self._output
        match event:
            case InputTranscription(text=text) if text and self._transcript_is_answer and not conversation.is_settling:
                self.apply(conversation.output_received(now_s, text=text))
                output.words(text)
            case InputTranscription(text=text) if text and self._transcript_is_answer:
                self._take_transcript(text, now_s)  # the last words, flushed after the end
            case InputTranscription(text=text) if text:
                late = conversation.heard(text, now_s, speaks=self._stats.latency.hears_user)
                output.heard(text, late=late)
            case OutputTranscription(text=text) if text:
                self._take_transcript(text, now_s)
            case ModelText(text=text) if text:
                self.apply(conversation.output_received(now_s, text=text))
                self._note_first_output(now_s)
                output.words(text)
            case Thought(text=text) if text:
                output.thought(text)
            case ExecutableCode():
                self.apply(conversation.output_received(now_s))
                output.code(event.language, event.code)
            case CodeResult():
                self.apply(conversation.output_received(now_s))
                output.code_result(event.outcome, event.output)
            case Grounding():
                output.sources(event.queries, [(source.title, source.uri) for source in event.sources])
            case Usage():
                self._stats.tokens.take(event)
                output.usage(dataclasses.asdict(event))
            case Unrecognised(keys=keys):
                self._note_unknown(keys)
            case Malformed(problems=problems):
                output.warning(f"part of a message of the server's was skipped: {'; '.join(problems)}")
        return []

    def _take_transcript(self, text: str, now_s: float) -> None:
        """Apply words that the model has spoken, or is about to."""
        outcomes = self._conversation.words_received(text, now_s)
        self.apply(outcomes)
        if any(isinstance(outcome, LateWords) for outcome in outcomes):
            return
        if self.playout is None:  # else it is the sound that is waited for
            self._note_first_output(now_s)
        self._output.words(text)

    def _note_unknown(self, keys: Sequence[str]) -> None:
        new = [key for key in keys if key not in self._unknown]
        self._unknown.update(new)
        if new:
            self._output.detail(f"unknown fields of the server's, ignored: {', '.join(new)}")
