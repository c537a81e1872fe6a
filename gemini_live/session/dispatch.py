"""Applies server events to the conversation, the speaker and the output. Synchronous; runs on the event loop.

Nothing here waits for user code, the disk or the network: what takes time is returned to the session as an `Action`.
Longer than 300 lines: it has a case for each event.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from ..audio.pcm import SAMPLE_BYTES
from ..conversation.conversation import IN_PROGRESS, Conversation
from ..conversation.outcomes import Answered, ModelSaid, Notice, Outcome
from ..frozen import Frozen
from ..output import events
from ..output.events import Output
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
    VoiceActivity,
    WaitingForInput,
)
from .journal import RecordEvent
from .speech import UserSpeech
from .stats import Stats

MAX_UNKNOWN = 200
"""Unknown fields that are remembered and reported."""


class Playout(Protocol):
    """Plays speech: `Speaker`, or a test's."""

    @property
    def is_dry(self) -> bool: ...
    @property
    def latency_s(self) -> float: ...
    def write(self, pcm: bytes, rate_hz: int) -> None: ...
    def clear(self) -> None: ...


class StartCalls(Frozen):
    """Run the functions that one message calls, and answer all of them in one message."""

    calls: tuple[FunctionCall, ...]
    exchange: int
    """The exchange in which the model calls them."""


class CancelCalls(Frozen):
    """Stop these calls, and do not answer them."""

    ids: tuple[str, ...]


class LeaveBefore(Frozen):
    """Leave the connection before the server closes it."""

    time_left_s: float | None
    """Seconds until then; `None`: the server did not say."""


class Fail(Frozen):
    """End the session: the server reported an error."""

    code: int | None
    message: str


Action = StartCalls | CancelCalls | LeaveBefore | Fail
_HANDLES = frozenset({ResumptionUpdate})


class Dispatcher:
    """Applies server events."""

    def __init__(
        self,
        conversation: Conversation,
        output: Output,
        stats: Stats,
        speech: UserSpeech,
        *,
        record_event: RecordEvent,
        transcript_is_answer: bool,
        speaks_answers: bool,
        clock: Callable[[], float],
    ) -> None:
        """Begin without a connection. Over 40 lines: its arguments and what they mean.

        Args:
            conversation: Decides what the events mean.
            output: Writes what was said and done.
            stats: Counts it.
            speech: Says whether the user has just spoken.
            record_event: Records when playback ran dry.
            transcript_is_answer: True if the model's only output is the transcript of what the user says.
            speaks_answers: True if answers are spoken and transcribed, so that text in a turn is none of them.
            clock: Returns the time in seconds.
        """
        self.playout: Playout | None = None
        """Plays speech; `None`: speech is not played."""
        self.record: Callable[[bytes, int], None] | None = None
        """Called with all speech and its rate in Hz, played or not."""
        self._conversation = conversation
        self._output = output
        self._stats = stats
        self._speech = speech
        self._record_event = record_event
        self._transcript_is_answer = transcript_is_answer
        self._speaks_answers = speaks_answers
        self._clock = clock
        self._discards = False
        """True if speech is not played because the user stopped its answer, which the server has not ended."""
        self._runs_code = False
        """True if the model has sent code that it runs."""
        self._unknown: set[str] = set()
        """Unknown fields that were reported."""
        self._n_sounding = 0
        """The number of the answer whose first sound or word has arrived."""

    def begin_connection(self) -> None:
        """Forget the stopped answer of the connection before."""
        self._discards = False

    def dispatch(self, server_events: Sequence[ServerEvent]) -> list[Action]:
        """Apply the events of one message; return what the session must do."""
        now_s = self._clock()
        if not server_events or not _HANDLES.issuperset(map(type, server_events)):
            self._conversation.message_received(now_s)  # handles arrive all the time, whatever was asked
        is_interrupted = False
        actions: list[Action] = []
        for event in server_events:
            if isinstance(event, AudioChunk):
                self._receive_speech(event, now_s, plays=not is_interrupted)
            else:
                is_interrupted |= isinstance(event, Interrupted)  # which comes before the audio of its message
                actions += self._apply_event(event, now_s)
        return actions

    def stop_playing(self) -> None:
        """Clear playback because the user wants silence, and discard the rest of the present answer's speech."""
        self._clear_playback()
        self._discards = self.playout is not None and self._conversation.is_generating

    def apply(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of the conversation."""
        for outcome in outcomes:
            if isinstance(outcome, Notice):
                self._warn(outcome.text)
            else:
                self._stats.n_answers += isinstance(outcome, Answered)
                self._output.emit(outcome)

    def _apply_event(  # noqa: PLR0912, PLR0915 - one case for each event
        self, event: ServerEvent, now_s: float
    ) -> list[Action]:
        """Apply an event other than speech. Over 40 lines: one case for each event."""
        conversation, exchange = self._conversation, self._conversation.exchange
        match event:
            # The turn
            case Interrupted():
                self._discards = False
                self._stats.n_interruptions += 1
                self._clear_playback()
                self.apply(conversation.interrupted(now_s, speaks=self._speech.is_unanswered(now_s)))
            case GenerationComplete():
                self._discards = False
                self.apply(conversation.generation_completed(now_s))
            case TurnComplete(status=status, reason=reason):
                self._discards = False
                if reason is not None:
                    self._warn(f"the service ended the turn early: {reason}")
                self.apply(conversation.turn_completed(now_s, status, reason))
            case WaitingForInput():
                self.apply(conversation.input_awaited(now_s))
            case InteractionStatus(status=status) if status != IN_PROGRESS:
                self.apply(conversation.turn_completed(now_s, status))
            case VoiceActivity(started=True):
                self._speech.began(now_s)
            # Words
            case InputTranscription(text=text) if text and self._transcript_is_answer and not conversation.is_settling:
                self.apply(conversation.output_received(now_s, text=text))
            case InputTranscription(text=text) if text and self._transcript_is_answer:
                self._receive_transcript(text, now_s)  # the last words, which come after the end
            case InputTranscription(text=text) if text:
                self.apply(conversation.heard(text, now_s, speaks=self._speech.is_unanswered(now_s)))
            case OutputTranscription(text=text) if text:
                self._receive_transcript(text, now_s)
            case ModelText(text=text) if text and self._speaks_answers:
                # Of a model that speaks, it is a thought or a call written out (livekit-plugins-google 1.8.9).
                conversation.stray_text_received(text)
                self._output.emit(events.Thought(conversation.next_exchange, text))
            case ModelText(text=text) if text:
                self.apply(conversation.output_received(now_s, text=text))
                self._count_latency(now_s)
            # What the model does
            case Thought(text=text) if text:
                self._output.emit(events.Thought(conversation.next_exchange, text))
            case ExecutableCode(language=language, code=code):
                self._runs_code = True
                self.apply(conversation.output_received(now_s))
                self._output.emit(events.Code(conversation.exchange, language, code))
            case CodeResult() if not self._runs_code:
                # A result without code announces a search (probed on four models, 23 Sep 2026).
                self._output.emit(events.Detail("searching"))
            case CodeResult(outcome=outcome, output=output):
                self.apply(conversation.output_received(now_s))
                self._output.emit(events.CodeResult(conversation.exchange, outcome, output))
            case Grounding(queries=queries, sources=sources):
                found = tuple(events.Source(source.title, source.uri) for source in sources)
                self._output.emit(events.Sources(exchange, queries, found))
            case ToolCall(calls=calls):
                opened = tuple(call for call in calls if self._opens(call, now_s))
                return [StartCalls(opened, conversation.exchange)] if opened else []
            case ToolCallCancellation(ids=ids):
                return [CancelCalls(ids)]
            # The connection
            case ResumptionUpdate(handle=handle, resumable=resumable):
                conversation.resumption_updated(handle, resumable=resumable)
            case GoAway(time_left_s=time_left_s):
                return [LeaveBefore(time_left_s)]
            case ServerError(code=code, message=message):
                return [Fail(code, message)]
            case Usage():
                self._stats.tokens.take(event)
                self._output.emit(events.Usage(**vars(event)))
            case Unrecognised(keys=keys):
                self._report_unknown(keys)
            case Malformed(problems=problems):
                self._warn(f"skipped a malformed part of a server message: {'; '.join(problems)}")
        return []

    def _receive_speech(self, chunk: AudioChunk, now_s: float, *, plays: bool) -> None:
        """Record and play a chunk of the model's speech; `plays` is False in a message that interrupts it."""
        if self.record is not None:
            self.record(chunk.pcm, chunk.rate_hz)
        if not plays:
            return
        speech_s = len(chunk.pcm) / (SAMPLE_BYTES * chunk.rate_hz)
        self._stats.spoken_s += speech_s
        is_continued = self._conversation.is_generating and self._n_sounding == self._conversation.n_begun
        self.apply(self._conversation.output_received(now_s, speech_s=speech_s))
        self._count_latency(now_s)
        if self.playout is not None and not self._discards:
            if is_continued and self.playout.is_dry:
                self._stats.n_underruns += 1
                self._record_event("underrun")
            self.playout.write(chunk.pcm, chunk.rate_hz)

    def _receive_transcript(self, text: str, now_s: float) -> None:
        """Add words that the model has spoken, or is about to speak, to the answer that they belong to."""
        outcomes = self._conversation.words_received(text, now_s, speaks=self._speech.is_unanswered(now_s))
        self.apply(outcomes)
        if self.playout is None and any(isinstance(outcome, ModelSaid) for outcome in outcomes):
            self._count_latency(now_s)  # with a speaker, the first sound counts

    def _count_latency(self, now_s: float) -> None:
        """Measure how long the user waited, if this is the first sound or word of an answer."""
        if self._n_sounding != self._conversation.n_begun:
            self._n_sounding = self._conversation.n_begun
            delay_s = self.playout.latency_s if self.playout is not None else 0.0
            self._stats.latency.answer_began(now_s + delay_s)
            self._speech.answered()

    def _clear_playback(self) -> None:
        """Discard the speech that was not played yet."""
        if self.playout is None:
            return
        if not self.playout.is_dry:
            self._output.emit(events.Silenced())
        self.playout.clear()

    def _opens(self, call: FunctionCall, now_s: float) -> bool:
        """Open a call; return False if the server has sent its id before, so that it is not run twice."""
        if self._conversation.knows_call(call.id):
            self._output.emit(events.Detail(f"the call {call.id} came twice; it is answered once"))
            return False
        self.apply(self._conversation.call_opened(call.id, now_s, call.name))
        return True

    def _report_unknown(self, keys: Sequence[str]) -> None:
        """Report fields that this program does not know, each once."""
        new = [key for key in keys if key not in self._unknown][: MAX_UNKNOWN - len(self._unknown)]
        self._unknown.update(new)
        if new:
            self._output.emit(events.Detail(f"unknown fields of the server, ignored: {', '.join(new)}"))

    def _warn(self, text: str) -> None:
        self._output.emit(events.Warning(text))
