"""What each server event does to the speaker, the output and the conversation, and what it asks of the session."""

from typing import Any

import pytest

from gemini_live.conversation.conversation import Conversation
from gemini_live.conversation.outcomes import (
    Answered,
    LateWords,
    ModelSaid,
    Notice,
    Outcome,
    Question,
    QuestionComplete,
    Restarted,
    SpeechLost,
    Unfinished,
    UserSaid,
)
from gemini_live.models import capabilities_of
from gemini_live.output import events
from gemini_live.output.events import Event
from gemini_live.session.dispatch import Action, CancelCalls, Dispatcher, Fail, LeaveBefore, StartCalls
from gemini_live.session.speech import UserSpeech
from gemini_live.session.stats import Stats
from gemini_live.wire.events import (
    AudioChunk,
    CodeResult,
    ExecutableCode,
    FunctionCall,
    GenerationComplete,
    GoAway,
    Grounding,
    InputTranscription,
    InteractionStatus,
    InterimInputTranscription,
    Interrupted,
    Malformed,
    ModelText,
    OutputTranscription,
    ResumptionUpdate,
    ServerError,
    ServerEvent,
    SetupComplete,
    Source,
    Thought,
    ToolCall,
    ToolCallCancellation,
    TurnComplete,
    Unrecognised,
    Usage,
    VoiceActivity,
    WaitingForInput,
)
from gemini_live.wire.messages import FunctionResponse
from tests.told import describe

CHUNK = AudioChunk(pcm=bytes(480), rate_hz=24_000)


class Recorder:
    """Stands for the output: keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        """The type and the values of each event."""
        return [describe(event) for event in self.events if not isinstance(event, QuestionComplete)]


class FakeSpeaker:
    """Stands for the speaker: what is queued, until it is cleared."""

    def __init__(self) -> None:
        self.queued: list[tuple[bytes, int]] = []
        self.n_cleared = 0
        self.latency_s = 0.0

    @property
    def is_dry(self) -> bool:
        return not self.queued

    def write(self, pcm: bytes, rate_hz: int) -> None:
        self.queued.append((pcm, rate_hz))

    def clear(self) -> None:
        self.queued.clear()
        self.n_cleared += 1


class Bench:
    """A `Dispatcher` with a conversation of its own, a clock that the test moves, and all that it writes to."""

    def __init__(self, *, transcript_is_answer: bool = False, speaks_answers: bool = False, plays: bool = True) -> None:
        self.now_s = 1_000.0
        model = capabilities_of("gemini-3.5-transcribe-live" if transcript_is_answer else "gemini-3.8-live")
        self.conversation = Conversation(model)
        self.recorder, self.speaker = Recorder(), FakeSpeaker()
        self.stats = Stats(self.now_s)
        self.speech = UserSpeech(self.stats.latency)
        self.recorded: list[tuple[bytes, int]] = []
        self.dispatcher = Dispatcher(
            self.conversation,
            self.recorder,
            self.stats,
            self.speech,
            record_event=lambda *_, **__: None,
            transcript_is_answer=transcript_is_answer,
            speaks_answers=speaks_answers,
            clock=lambda: self.now_s,
        )
        if plays:
            self.dispatcher.playout = self.speaker

    @property
    def written(self) -> list[tuple[Any, ...]]:
        return self.recorder.calls

    def ask(self, text: str = "question") -> Question:
        question = self.conversation.add_question(text, waits=False)
        self.dispatcher.apply(self.conversation.asked(question, self.now_s))
        return question

    def receive(self, *events: ServerEvent) -> list[Action]:
        """Dispatch one message."""
        if any(isinstance(event, InputTranscription) for event in events):
            self.conversation.audio_sent(self.now_s)
        return self.dispatcher.dispatch(events)

    def settle(self) -> None:
        """Let the time pass in which last words may come."""
        self.now_s += 1.0
        self.dispatcher.apply(self.conversation.tick(self.now_s))


def call(call_id: str = "c1", name: str = "f") -> FunctionCall:
    return FunctionCall(id=call_id, name=name, args={"a": 1})


# Speech


def test_speech_is_played_with_its_rate() -> None:
    bench = Bench()
    bench.receive(CHUNK, AudioChunk(pcm=b"ab", rate_hz=16_000))
    assert bench.speaker.queued == [(bytes(480), 24_000), (b"ab", 16_000)]


def test_without_a_speaker_speech_is_not_played_and_still_counts_as_an_answer() -> None:
    bench = Bench(plays=False)
    bench.ask()
    bench.receive(CHUNK)
    assert bench.speaker.queued == []
    assert bench.conversation.is_generating


def test_all_speech_is_recorded_played_or_not() -> None:
    bench = Bench(plays=False)
    bench.dispatcher.record = lambda pcm, rate_hz: bench.recorded.append((pcm, rate_hz))
    bench.receive(CHUNK)
    bench.receive(Interrupted(), CHUNK)
    assert bench.recorded == [(CHUNK.pcm, 24_000)] * 2


def test_the_time_that_speech_takes_is_counted() -> None:
    bench = Bench()
    bench.ask()
    second = AudioChunk(pcm=bytes(48_000), rate_hz=24_000)
    bench.receive(second, second, GenerationComplete())
    assert bench.conversation.deadline_s() == bench.now_s + 2 + bench.conversation.timings.missing_turn_complete_s


# What clears the speaker


def test_an_interruption_clears_what_is_queued() -> None:
    bench = Bench()
    bench.receive(CHUNK)
    bench.receive(Interrupted())
    assert bench.speaker.queued == []
    assert bench.speaker.n_cleared == 1


def test_audio_in_the_message_of_an_interruption_is_dropped_and_its_words_are_kept() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK, OutputTranscription("Once "))
    bench.receive(Interrupted(), CHUNK, OutputTranscription("upon"), CHUNK)
    assert bench.speaker.queued == []
    assert [entry for entry in bench.written if entry[0] == "words"] == [("words", "Once "), ("words", "upon")]


def test_what_is_said_after_an_interruption_is_played() -> None:
    bench = Bench()
    bench.receive(CHUNK)
    bench.receive(Interrupted())
    bench.receive(CHUNK)
    assert bench.speaker.queued == [(CHUNK.pcm, 24_000)]


@pytest.mark.parametrize(
    "event",
    [
        GenerationComplete(),
        TurnComplete(None, None),
        TurnComplete("MALFORMED_FUNCTION_CALL", "IDLE"),
        InteractionStatus("IDLE"),
        InteractionStatus("IN_PROGRESS"),
        ToolCall((call(),)),
        ToolCallCancellation(("c1",)),
        GoAway(1.0),
        ServerError(500, "internal"),
        InputTranscription("I spoke"),
        VoiceActivity(started=True, offset_s=0.0),
        WaitingForInput(),
        SetupComplete(),
        Usage(),
    ],
    ids=repr,
)
def test_only_an_interruption_clears_the_speaker(event: ServerEvent) -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK)
    bench.receive(event)
    assert bench.speaker.queued == [(CHUNK.pcm, 24_000)]
    assert bench.speaker.n_cleared == 0


# Clearing at the user's wish


def test_stopping_silences_the_speaker_and_the_rest_of_the_answer() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK)
    bench.dispatcher.stop_playing()
    assert bench.speaker.queued == []
    bench.receive(CHUNK, OutputTranscription("still said"))
    assert bench.speaker.queued == []
    assert ("words", "still said") in bench.written


@pytest.mark.parametrize("by", ["user", "server"])
@pytest.mark.parametrize("is_playing", [False, True])
def test_clearing_playback_is_reported_if_something_was_playing(by: str, is_playing: bool) -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK, OutputTranscription("said"))
    if not is_playing:
        bench.speaker.queued.clear()  # it has been played
    if by == "user":
        bench.dispatcher.stop_playing()
    bench.receive(Interrupted())
    assert bench.written.count(("silenced",)) == is_playing


@pytest.mark.parametrize(
    "end", [Interrupted(), GenerationComplete(), TurnComplete(None, None)], ids=lambda event: type(event).__name__
)
def test_speech_is_played_again_after_the_stopped_answer_has_ended(end: ServerEvent) -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK)
    bench.dispatcher.stop_playing()
    bench.receive(CHUNK)
    bench.receive(end)
    bench.receive(CHUNK)
    assert bench.speaker.queued == [(CHUNK.pcm, 24_000)]


@pytest.mark.parametrize(
    "event",
    [InteractionStatus("IN_PROGRESS"), ToolCall((call(),)), GoAway(None), InputTranscription("x"), WaitingForInput()],
    ids=lambda event: type(event).__name__,
)
def test_other_events_do_not_end_a_stopped_answer(event: ServerEvent) -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK)
    bench.dispatcher.stop_playing()
    bench.receive(event)
    bench.receive(CHUNK)
    assert bench.speaker.queued == []


def test_after_the_end_of_generation_stopping_discards_nothing_that_comes_later() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK, GenerationComplete())
    bench.dispatcher.stop_playing()
    assert bench.speaker.queued == []
    bench.receive(TurnComplete(None, None))
    bench.ask()
    bench.receive(CHUNK)
    assert bench.speaker.queued == [(CHUNK.pcm, 24_000)]


def test_stopping_while_nothing_is_generated_discards_nothing() -> None:
    bench = Bench()
    bench.dispatcher.stop_playing()
    bench.receive(CHUNK)
    assert bench.speaker.queued == [(CHUNK.pcm, 24_000)]


def test_stopping_without_a_speaker_does_nothing() -> None:
    bench = Bench(plays=False)
    bench.receive(CHUNK)
    bench.dispatcher.stop_playing()
    bench.dispatcher.playout = bench.speaker
    bench.receive(CHUNK)
    assert bench.speaker.queued == [(CHUNK.pcm, 24_000)]


def test_a_new_connection_plays_again() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK)
    bench.dispatcher.stop_playing()
    bench.dispatcher.begin_connection()
    bench.receive(CHUNK)
    assert bench.speaker.queued == [(CHUNK.pcm, 24_000)]


# Words


@pytest.mark.parametrize(
    ("event", "written"),
    [
        (ModelText("text"), ("words", "text")),
        (OutputTranscription("said"), ("words", "said")),
        (InputTranscription("heard"), ("heard", "heard", False)),
        (Thought("hm"), ("thought", "hm")),
        (ExecutableCode("PYTHON", "1+1"), ("code", "PYTHON", "1+1")),
        (CodeResult("OUTCOME_OK", "2"), ("detail", "searching")),
        (
            Grounding(("query",), (Source("Title", "https://x"), Source("", "https://y"))),
            ("sources", ("query",), (events.Source("Title", "https://x"), events.Source("", "https://y"))),
        ),
    ],
    ids=repr,
)
def test_text_events_are_written(event: ServerEvent, written: tuple[Any, ...]) -> None:
    bench = Bench()
    bench.ask()
    assert bench.receive(event) == []
    assert bench.written == [written]


def test_the_result_of_code_is_written_after_the_code() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(ExecutableCode("PYTHON", "1+1"), CodeResult("OUTCOME_OK", "2"))
    assert bench.written[1:] == [("code_result", "OUTCOME_OK", "2")]


@pytest.mark.parametrize(
    "event",
    [
        ModelText(""),
        OutputTranscription(""),
        InputTranscription(""),
        Thought(""),
        InterimInputTranscription("half a word"),
        SetupComplete(),
        WaitingForInput(),
        VoiceActivity(started=False, offset_s=1.0),
        InteractionStatus("IDLE"),
        ResumptionUpdate("handle", resumable=True),
    ],
    ids=repr,
)
def test_events_without_text_are_not_written(event: ServerEvent) -> None:
    bench = Bench()
    assert bench.receive(event) == []
    assert bench.written == []


def test_every_part_of_a_message_takes_effect_in_its_order() -> None:
    bench = Bench()
    bench.ask()
    actions = bench.receive(
        Usage(total_tokens=5),
        InputTranscription("you said"),
        CHUNK,
        ModelText("text"),
        OutputTranscription("words"),
        ExecutableCode("PYTHON", "1"),
        Grounding((), ()),
        ToolCall((call(),)),
        GoAway(5.0),
    )
    assert [entry[0] for entry in bench.written] == ["usage", "heard", "words", "words", "code", "sources"]
    assert bench.speaker.queued == [(CHUNK.pcm, 24_000)]
    assert actions == [StartCalls((call(),), exchange=1), LeaveBefore(5.0)]


def test_token_counts_are_written_as_fields() -> None:
    bench = Bench()
    bench.receive(Usage(prompt_tokens=1, total_tokens=3, response_by_modality={"AUDIO": 2}))
    assert bench.recorder.events == [
        events.Usage(prompt_tokens=1, total_tokens=3, response_by_modality={"AUDIO": 2}),
    ]


def test_the_fragments_of_an_answer_are_joined() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(OutputTranscription("Hello "))
    bench.receive(OutputTranscription("there"), GenerationComplete(), TurnComplete(None, None))
    bench.receive(OutputTranscription("!"))  # words may trail the end
    bench.settle()
    assert bench.written[-1] == ("answered", "Hello there!", True, False, None)


def test_words_after_an_answer_was_written_are_late_words_and_nothing_else() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(OutputTranscription("Hello"), TurnComplete(None, None))
    bench.settle()
    before = len(bench.written)
    bench.receive(OutputTranscription(" again"))
    assert bench.written[before:] == [("late_words", " again")]


def test_a_transcribing_model_answers_with_the_transcript_of_the_user() -> None:
    bench = Bench(transcript_is_answer=True)
    bench.receive(InputTranscription("what was said"))
    bench.receive(TurnComplete(None, None))
    bench.receive(InputTranscription(" last"))  # a server may flush its last words after the end
    bench.settle()
    assert bench.written == [
        ("words", "what was said"),
        ("words", " last"),
        ("answered", "what was said last", False, False, None),
    ]


def test_a_transcribing_model_gives_one_answer_for_each_turn() -> None:
    bench = Bench(transcript_is_answer=True)
    for words in ("one", "two"):
        bench.receive(InputTranscription(words))
        bench.receive(TurnComplete(None, None))
        bench.settle()
        bench.now_s += 0.5
    assert [call[1] for call in bench.written if call[0] == "answered"] == ["one", "two"]


# Turns


def test_the_reason_for_an_early_end_is_reported_and_part_of_the_answer() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(TurnComplete("PROHIBITED_INPUT_CONTENT", None))
    bench.settle()
    assert bench.recorder.events == [
        events.Warning("the service ended the turn early: PROHIBITED_INPUT_CONTENT"),
        QuestionComplete(1),
        Answered(1, "", asked=True, cut_off=False, reason="PROHIBITED_INPUT_CONTENT"),
        events.Warning("no answer came to: question"),
    ]


def test_a_turn_that_goes_on_is_not_complete_until_it_is_idle() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(OutputTranscription("one moment"), TurnComplete(None, "IN_PROGRESS"))
    bench.receive(InteractionStatus("IN_PROGRESS"))
    assert not bench.conversation.is_quiet
    bench.receive(OutputTranscription(" done"), InteractionStatus("IDLE"))
    bench.settle()
    assert bench.conversation.is_quiet
    assert bench.written[-1] == ("answered", "one moment done", True, False, None)


def test_a_resumption_handle_is_kept() -> None:
    bench = Bench()
    bench.receive(ResumptionUpdate("old", resumable=True))
    bench.receive(ResumptionUpdate("new", resumable=True))
    bench.receive(ResumptionUpdate("", resumable=False))
    assert bench.conversation.connect().handle == "new"


def test_every_message_counts_as_a_sign_of_life() -> None:
    bench = Bench()
    bench.ask()
    deadline_s = bench.conversation.deadline_s()
    assert deadline_s is not None
    bench.now_s += 30
    bench.receive()
    assert bench.conversation.deadline_s() == deadline_s + 30


# Calls


def test_calls_are_returned_to_the_session_and_opened_in_the_conversation() -> None:
    bench = Bench()
    bench.ask()
    assert bench.receive(ToolCall((call("a"), call("b", "g")))) == [
        StartCalls((call("a"), call("b", "g")), exchange=1),
    ]
    assert bench.conversation.has_open_calls


def test_a_call_that_is_sent_twice_is_run_once() -> None:
    bench = Bench()
    assert bench.receive(ToolCall((call("a"), call("a")))) == [StartCalls((call("a"),), exchange=1)]
    assert bench.receive(ToolCall((call("a"), call("b")))) == [StartCalls((call("b"),), exchange=1)]
    assert [entry[0] for entry in bench.written] == ["detail", "detail"]


def test_an_answered_call_that_is_sent_again_is_not_run_again() -> None:
    bench = Bench()
    bench.receive(ToolCall((call("a"),)))
    answer = FunctionResponse(id="a", name="f", response={})
    bench.conversation.call_closed(answer.id, bench.now_s, answered=True)
    assert bench.receive(ToolCall((call("a"),))) == []
    assert not bench.conversation.has_open_calls


def test_calls_without_an_id_are_all_run() -> None:
    bench = Bench()
    assert bench.receive(ToolCall((call(""), call("")))) == [StartCalls((call(""), call("")), exchange=1)]
    assert bench.receive(ToolCall((call(""),))) == [StartCalls((call(""),), exchange=1)]


def test_a_cancellation_is_returned_to_the_session() -> None:
    bench = Bench()
    bench.receive(ToolCall((call("a"), call("b"))))
    assert bench.receive(ToolCallCancellation(("a", "unknown"))) == [CancelCalls(("a", "unknown"))]


def test_a_cancelled_call_may_be_run_again() -> None:
    bench = Bench()
    bench.receive(ToolCall((call("a"),)))
    bench.receive(ToolCallCancellation(("a",)))
    bench.conversation.call_cancelled("a", bench.now_s)
    assert bench.receive(ToolCall((call("a"),))) == [StartCalls((call("a"),), exchange=1)]


def test_another_connection_may_use_the_same_ids() -> None:
    bench = Bench()
    bench.receive(ToolCall((call("a"),)))
    bench.conversation.connection_lost(bench.now_s)
    bench.dispatcher.begin_connection()
    assert bench.receive(ToolCall((call("a"),))) == [StartCalls((call("a"),), exchange=2)]


# The connection


@pytest.mark.parametrize("time_left_s", [None, 0.0, 9.5])
def test_a_goaway_is_returned_to_the_session(time_left_s: float | None) -> None:
    assert Bench().receive(GoAway(time_left_s)) == [LeaveBefore(time_left_s)]


@pytest.mark.parametrize("code", [None, 429])
def test_an_error_message_fails_the_session_after_what_came_with_it(code: int | None) -> None:
    bench = Bench()
    assert bench.receive(ModelText("last words"), ServerError(code, "it broke")) == [Fail(code, "it broke")]
    assert bench.written == [("words", "last words")]


# What is not understood


def test_unknown_fields_are_reported_once() -> None:
    bench = Bench()
    bench.receive(Unrecognised(("serverContent.new", "other")))
    bench.receive(Unrecognised(("other", "third")))
    bench.receive(Unrecognised(("other",)))
    assert [entry[0] for entry in bench.written] == ["detail", "detail"]
    assert "serverContent.new, other" in bench.written[0][1]
    assert "third" in bench.written[1][1]
    assert "other" not in bench.written[1][1].split(":")[1]


def test_unknown_fields_are_not_reported_again_on_a_new_connection() -> None:
    bench = Bench()
    bench.receive(Unrecognised(("new",)))
    bench.dispatcher.begin_connection()
    bench.receive(Unrecognised(("new",)))
    assert len(bench.written) == 1


def test_a_malformed_part_is_a_warning_and_the_rest_is_applied() -> None:
    bench = Bench()
    bench.receive(ModelText("good"), Malformed(("parts[1].text is no string", "x")))
    assert bench.written[0] == ("words", "good")
    assert bench.written[1][0] == "warning"
    assert "parts[1].text is no string; x" in bench.written[1][1]


# Outcomes


@pytest.mark.parametrize(
    ("outcome", "written"),
    [
        (UserSaid(7, "a", late=True), UserSaid(7, "a", late=True)),
        (QuestionComplete(7), QuestionComplete(7)),
        (ModelSaid(7, "a"), ModelSaid(7, "a")),
        (Answered(7, "a", asked=True, cut_off=False), Answered(7, "a", asked=True, cut_off=False)),
        (Restarted(7, "lost"), Restarted(7, "lost")),
        (LateWords(7, "late"), LateWords(7, "late")),
        (Unfinished(7, "half"), Unfinished(7, "half")),
        (SpeechLost(7), SpeechLost(7)),
        (Notice("careful"), events.Warning("careful")),
    ],
    ids=repr,
)
def test_outcomes_are_written_as_they_are_and_notices_as_warnings(outcome: Outcome, written: events.Event) -> None:
    bench = Bench()
    bench.dispatcher.apply([outcome])
    assert bench.recorder.events == [written]


def test_a_line_break_is_written_between_two_turns_of_an_answer() -> None:
    bench = Bench()
    bench.ask("q")
    bench.receive(OutputTranscription("One moment."), TurnComplete(None, "IN_PROGRESS"))
    bench.receive(OutputTranscription("It is one."))
    assert bench.written == [("words", "One moment."), ("words", "\nIt is one.")]


def test_a_notice_is_a_warning() -> None:
    bench = Bench()
    bench.dispatcher.apply([Notice("and this")])
    assert bench.written == [("warning", "and this")]


def test_no_outcome_writes_nothing() -> None:
    bench = Bench()
    bench.dispatcher.apply([])
    assert bench.receive() == []
    assert bench.written == []


# What is counted


def words(text: str = "word ") -> OutputTranscription:
    return OutputTranscription(text)


def test_latency_ends_with_the_first_sound_that_is_played() -> None:
    bench = Bench()
    bench.speaker.latency_s = 0.1
    bench.stats.latency.asked(bench.now_s)
    bench.ask()
    bench.now_s += 0.5
    bench.receive(words())  # nobody hears it yet
    assert bench.stats.latency.last_s is None
    bench.now_s += 0.25
    bench.receive(CHUNK)
    assert bench.stats.latency.last_s == pytest.approx(0.85)
    bench.now_s += 1
    bench.receive(CHUNK)
    assert bench.stats.latency.last_s == pytest.approx(0.85)


@pytest.mark.parametrize("event", [CHUNK, words(), ModelText("word")], ids=lambda event: type(event).__name__)
def test_latency_ends_with_the_first_sound_or_word_if_nothing_is_played(event: ServerEvent) -> None:
    bench = Bench(plays=False)
    bench.stats.latency.asked(bench.now_s)
    bench.ask()
    bench.now_s += 0.5
    bench.receive(event)
    assert bench.stats.latency.last_s == pytest.approx(0.5)


def test_latency_ends_with_the_first_word_of_a_model_that_writes() -> None:
    bench = Bench()
    bench.stats.latency.asked(bench.now_s)
    bench.ask()
    bench.now_s += 0.5
    bench.receive(ModelText("word"))
    assert bench.stats.latency.last_s == pytest.approx(0.5)


def test_each_answer_has_a_latency_of_its_own() -> None:
    bench = Bench()
    for wait_s in (0.5, 2.0, 1.0):
        bench.stats.latency.asked(bench.now_s)
        bench.ask()
        bench.now_s += wait_s
        bench.receive(CHUNK)
        bench.receive(CHUNK, GenerationComplete(), TurnComplete(None, None))
        bench.settle()
    assert (bench.stats.latency.median_s, bench.stats.latency.worst_s) == pytest.approx((1.0, 2.0))


def test_words_after_a_call_have_no_latency_of_their_own() -> None:
    bench = Bench()
    bench.stats.latency.asked(bench.now_s)
    bench.ask()
    bench.now_s += 0.5
    bench.receive(CHUNK, ToolCall((call("a"),)))
    bench.stats.latency.asked(bench.now_s)
    bench.now_s += 5
    bench.dispatcher.apply(bench.conversation.call_closed("a", bench.now_s, answered=True))
    bench.receive(CHUNK)
    assert bench.stats.latency.last_s == pytest.approx(0.5)


def test_discarded_sound_does_not_end_the_latency() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK)
    bench.stats.latency.asked(bench.now_s)
    bench.ask()
    bench.now_s += 0.1
    bench.receive(Interrupted(), CHUNK)
    bench.receive(TurnComplete(None, None))
    assert bench.stats.latency.last_s is None
    bench.now_s += 0.4
    bench.receive(CHUNK)
    assert bench.stats.latency.last_s == pytest.approx(0.5)


def test_a_speaker_that_runs_dry_in_mid_answer_is_counted() -> None:
    bench = Bench()
    for _ in range(2):
        bench.ask()
        bench.receive(CHUNK)
        bench.receive(CHUNK)  # in time
        bench.speaker.queued.clear()  # all was played
        bench.receive(CHUNK)
        bench.receive(GenerationComplete(), TurnComplete(None, None))
        bench.speaker.queued.clear()
        bench.settle()
    assert bench.stats.n_underruns == 2


def test_a_speaker_that_plays_its_first_sound_after_words_has_not_run_dry() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(OutputTranscription("said"))
    bench.receive(CHUNK)
    assert bench.stats.n_underruns == 0


def test_words_of_a_user_who_has_begun_to_speak_again_are_not_late() -> None:
    bench = Bench()
    bench.receive(InputTranscription("one"), CHUNK)
    bench.receive(InputTranscription(" late"))
    bench.speech.began(bench.now_s)
    bench.receive(InputTranscription("stop"))
    assert [call for call in bench.written if call[0] == "heard"] == [
        ("heard", "one", False),
        ("heard", " late", True),
        ("heard", "stop", False),
    ]


@pytest.mark.parametrize(
    "between",
    [
        (GenerationComplete(),),
        (TurnComplete(None, None),),
        (Interrupted(),),
        (ToolCall((call(),)),),
        (TurnComplete(None, "IN_PROGRESS"),),
    ],
    ids=repr,
)
def test_a_pause_of_the_model_is_no_underrun(
    between: tuple[ServerEvent, ...],
) -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK)
    bench.receive(*between)
    bench.speaker.queued.clear()
    bench.receive(CHUNK)
    assert bench.stats.n_underruns == 0


def test_an_answer_that_the_user_stopped_does_not_run_dry() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK)
    bench.dispatcher.stop_playing()
    bench.receive(CHUNK)
    bench.receive(CHUNK)
    assert bench.stats.n_underruns == 0


def test_without_a_speaker_no_underrun_is_counted() -> None:
    bench = Bench(plays=False)
    bench.ask()
    bench.receive(CHUNK)
    bench.receive(CHUNK)
    assert bench.stats.n_underruns == 0


@pytest.mark.parametrize("plays", [False, True])
def test_received_speech_is_counted_except_what_an_interruption_discards(plays: bool) -> None:
    bench = Bench(plays=plays)
    second = AudioChunk(pcm=bytes(32_000), rate_hz=16_000)
    bench.receive(second, CHUNK)
    bench.receive(Interrupted(), second)
    assert bench.stats.spoken_s == pytest.approx(1.01)


def test_interruptions_of_the_server_are_counted() -> None:
    bench = Bench()
    bench.ask()
    bench.receive(CHUNK)
    bench.dispatcher.stop_playing()
    assert bench.stats.n_interruptions == 0
    for _ in range(2):
        bench.receive(Interrupted())
    assert bench.stats.n_interruptions == 2


def test_answers_are_counted_when_they_are_complete_or_cut_off() -> None:
    bench = Bench()
    for n_answers in (1, 2):
        bench.ask()
        bench.receive(words(), GenerationComplete(), TurnComplete(None, None))
        assert bench.stats.n_answers == n_answers - 1
        bench.settle()
        assert bench.stats.n_answers == n_answers
    bench.dispatcher.apply([Answered(3, "", asked=False, cut_off=True), Restarted(3, "x"), LateWords(3, "y")])
    assert bench.stats.n_answers == 3


def test_tokens_are_counted_report_by_report() -> None:
    bench = Bench()
    for context in (10, 30):
        bench.ask()
        bench.receive(Usage(prompt_tokens=context, response_tokens=1))
        bench.receive(Usage(prompt_tokens=context, response_tokens=5), TurnComplete(None, None))
        bench.settle()
    assert bench.stats.tokens.total == 2 * (10 + 30) + 2 * (1 + 5)  # each report stands alone
    assert bench.stats.tokens.context == 30
