"""Example tests of `conversation.py`, one a rule; `test_conversation_model.py` holds it against a model."""

from functools import partial

import pytest

from gemini_live.conversation.conversation import IN_PROGRESS, MAX_ASKED, TURN_SEAM, Conversation
from gemini_live.conversation.history import MAX_HISTORY_CHARS, MAX_HISTORY_EXCHANGES
from gemini_live.conversation.outcomes import (
    Answered,
    Exchange,
    LateWords,
    ModelSaid,
    Notice,
    Outcome,
    Question,
    QuestionComplete,
    Restarted,
    Silence,
    SpeechLost,
    Unfinished,
    UserSaid,
)
from gemini_live.conversation.timings import Timings
from tests.conversation.contract import Contract

TIMINGS = Timings()
AFTER_INTERRUPTION = TIMINGS.after_interruption_s
AFTER_CALL = TIMINGS.after_call_s
MISSING_END = TIMINGS.missing_turn_complete_s
SILENCE = TIMINGS.silence_s
TRAILING = TIMINGS.trailing_words_s


class Dialogue:
    """A conversation, driven as a session drives it: after every event, a tick, and asking what may be asked."""

    def __init__(
        self, *, plays: bool = True, words_trail: bool = True, thinks: bool = False, turns: int | None = None
    ) -> None:
        self.conversation = Conversation(
            plays=plays, words_trail=words_trail, generation_ends_turn=not thinks, turns=turns
        )
        self.now_s = 100.0
        self.outcomes: list[Outcome] = []
        """What came about, except pieces of words."""
        self.pieces: list[Outcome] = []
        """The pieces of words, and where a question is complete."""
        self.asked: list[str] = []
        self.typed: dict[int, str] = {}
        """What was asked, by exchange."""
        self.calls = 0
        self.contract = Contract()

    # The user

    def line(self, text: str) -> Question:
        """A line from a terminal."""
        question = self.conversation.add_question(text, waits=False)
        self.step([])
        return question

    def pipe(self, *texts: str) -> None:
        """Lines from a pipe."""
        for text in texts:
            self.conversation.add_question(text, waits=True)
        self.step([])

    def listen(self) -> None:
        self.conversation.hears_user = True

    def end_inputs(self) -> None:
        self.conversation.inputs_ended = True

    def end_audio(self, *, by_hand: bool = False) -> None:
        self.end_inputs()
        self.conversation.audio_ended(self.now_s, by_hand=by_hand)

    # The server

    def words(self, text: str) -> None:
        self.message(self.conversation.words_received(text, self.now_s))

    def sound(self, seconds: float = 0.0) -> None:
        self.message(self.conversation.output_received(self.now_s, speech_s=seconds))

    def text(self, text: str) -> None:
        self.message(self.conversation.output_received(self.now_s, text=text))

    def generated(self) -> None:
        self.message(self.conversation.generation_completed(self.now_s))

    def ended(self, status: str | None = None) -> None:
        self.message(self.conversation.turn_completed(self.now_s, status))

    def interrupted(self) -> None:
        self.message(self.conversation.interrupted(self.now_s))

    def heard(self, text: str) -> None:
        self.message(self.conversation.heard(text, self.now_s))

    def call(self, call_id: str = "fc-1") -> None:
        self.message(self.conversation.call_opened(call_id, self.now_s))

    def cancel(self, call_id: str = "fc-1") -> None:
        self.message(self.conversation.call_cancelled(call_id, self.now_s))

    def handle(self, handle: str = "h", *, resumable: bool = True) -> None:
        self.conversation.resumption_updated(handle, resumable=resumable)
        self.message([])

    def speak(self, text: str, seconds: float = 0.0) -> None:
        """Sound with its transcript."""
        self.sound(seconds)
        self.words(text)

    def answer(self, text: str) -> None:
        """A whole turn."""
        self.speak(text)
        self.generated()
        self.ended()

    # The client

    def result(self, call_id: str = "fc-1", *, silent: bool = False) -> None:
        self.step(self.conversation.call_closed(call_id, self.now_s, answered=not silent))

    def lose_connection(self) -> None:
        """The connection is lost, and another is there at once."""
        self.step(self.conversation.connection_lost(self.now_s), ask=False)

    def reconnect(self) -> None:
        self.lose_connection()
        self.conversation.connect()
        self.step([])

    def wait(self, seconds: float) -> None:
        """Let time pass, waking when the conversation wants to."""
        end_s = self.now_s + seconds
        while (deadline_s := self.conversation.deadline_s()) is not None and deadline_s <= end_s:
            self.now_s = max(self.now_s, deadline_s)
            self.step([])
        self.now_s = end_s

    def message(self, outcomes: list[Outcome]) -> None:
        self.conversation.message_received(self.now_s)
        self.step(outcomes)

    def step(self, outcomes: list[Outcome], *, ask: bool = True) -> None:
        self.keep(outcomes + self.conversation.tick(self.now_s))
        while ask and (question := self.conversation.next_question()) is not None:
            self.asked.append(question.text)
            self.keep(self.conversation.asked(question, self.now_s))
            self.typed[question.exchange] = question.text
            self.contract.asked(question.exchange)

    def keep(self, outcomes: list[Outcome]) -> None:
        self.contract.check(outcomes)
        for outcome in outcomes:
            is_piece = isinstance(outcome, UserSaid | QuestionComplete | ModelSaid)
            (self.pieces if is_piece else self.outcomes).append(outcome)

    # What came of it

    @property
    def answers(self) -> list[str]:
        """The answers handed out, as `question: answer`, with `~` for one that was cut off and `?` for speech."""
        return [
            f"{self.typed[outcome.exchange] if outcome.asked else '?'}: {outcome.text}{'~' * outcome.cut_off}"
            for outcome in self.outcomes
            if isinstance(outcome, Answered)
        ]

    @property
    def notices(self) -> list[str]:
        return [outcome.text for outcome in self.outcomes if isinstance(outcome, Notice)]

    @property
    def is_over(self) -> bool:
        return self.conversation.is_over

    def history(self) -> list[Exchange]:
        """What a fresh session would be told."""
        self.conversation.handle_refused()
        return list(self.conversation.connect().history)


# What is asked, and when


def test_a_line_from_a_pipe_is_asked_when_the_answer_before_it_is_whole() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.answer("1")
    dialogue.wait(TIMINGS.trailing_words_in_queue_s - 0.1)
    assert dialogue.asked == ["one"]
    dialogue.wait(0.1)
    assert dialogue.asked == ["one", "two"]
    assert dialogue.answers == ["one: 1"]


def test_a_line_from_a_terminal_is_asked_at_once() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("1")
    dialogue.line("two")
    assert dialogue.asked == ["one", "two"]


def test_a_line_from_a_pipe_waits_for_a_spoken_answer() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("hello")
    dialogue.speak("hi")
    dialogue.pipe("one")
    assert dialogue.asked == []
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.asked == ["one"]


def test_lines_keep_their_order_behind_one_that_waits() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.line("three")
    assert dialogue.asked == ["one"]
    assert dialogue.conversation.unsent == ["two", "three"]


def test_fast_and_slow_pipes_get_the_same_answers() -> None:
    fast, slow = Dialogue(), Dialogue()
    fast.pipe("one", "two", "three")
    for text in ("one", "two", "three"):
        slow.pipe(text)
        for dialogue in (fast, slow):
            dialogue.answer(text.upper())
            dialogue.wait(30)
    assert fast.answers == slow.answers == ["one: ONE", "two: TWO", "three: THREE"]


# When an answer is complete


def test_a_text_turn_on_an_audio_model_is_complete_at_turn_complete() -> None:
    dialogue = Dialogue()
    dialogue.line("Say hi")
    dialogue.sound(0.3)
    dialogue.words("Hi ")
    dialogue.speak("there.", 0.3)
    dialogue.generated()
    assert dialogue.answers == []
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["Say hi: Hi there."]
    assert dialogue.conversation.turns_complete == 1


def test_text_of_a_text_model_is_handed_out_at_once() -> None:
    dialogue = Dialogue(words_trail=False)
    dialogue.line("Say hi")
    dialogue.text("Hi ")
    dialogue.text("there.")
    dialogue.generated()
    dialogue.ended()
    assert dialogue.answers == ["Say hi: Hi there."]


def test_a_voice_turn_is_complete_at_turn_complete() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard(" what time")
    dialogue.heard(" is it?")
    dialogue.answer("Ten.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["?: Ten."]
    assert dialogue.history() == [Exchange("what time is it?", "Ten.")]


def test_words_of_the_model_may_come_before_its_sound() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.words("1")
    dialogue.sound()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1"]


@pytest.mark.parametrize(
    ("queue", "late_s"), [((), 0.0), ((), 0.5), ((), 0.99), (("two",), 0.0), (("two",), 0.25), (("two",), 0.49)]
)
def test_words_that_trail_the_end_of_a_turn_belong_to_its_answer(queue: tuple[str, ...], late_s: float) -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", *queue)
    dialogue.answer("1")
    dialogue.wait(late_s)
    dialogue.words("st")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1st"]


def test_a_complete_answer_is_handed_out_when_the_session_is_ended_while_its_last_words_are_waited_for() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.answer("1")
    assert dialogue.answers == []
    dialogue.step(dialogue.conversation.finish())
    assert dialogue.answers == ["one: 1"]
    assert dialogue.conversation.finish() == []


def test_trailing_words_are_waited_for_until_it_is_quiet() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.end_inputs()
    dialogue.answer("a")
    for text in "bcd":
        dialogue.wait(0.9)
        assert not dialogue.is_over
        dialogue.words(text)
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: abcd"]
    assert dialogue.is_over


def test_a_line_that_is_asked_ends_the_wait_for_trailing_words() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.answer("1")
    dialogue.line("two")
    assert dialogue.answers == ["one: 1"]
    dialogue.words("2")
    dialogue.sound()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "two: 2"]


@pytest.mark.parametrize(("first", "cut_off"), [("Once upon a time", True), ("Answer one.", False), ("One.\n", False)])
def test_words_after_the_user_was_heard_again_begin_the_next_answer_though_no_sound_has_come(
    first: str, cut_off: bool
) -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one")
    dialogue.speak(first)
    if cut_off:
        dialogue.interrupted()
    else:
        dialogue.generated()
    dialogue.ended()
    dialogue.heard("two")
    dialogue.wait(TRAILING / 2)
    dialogue.words("Ye")
    dialogue.sound()
    dialogue.words("s.")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == [f"?: {first}{'~' if cut_off else ''}", "?: Yes."]
    assert dialogue.history() == [Exchange("one", first), Exchange("two", "Yes.")]


@pytest.mark.parametrize("leads", ["words", "sound"])
def test_a_server_whose_words_lead_begins_the_next_answer_with_words(leads: str) -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    if leads == "words":
        dialogue.words("First")
    dialogue.sound()
    dialogue.words(", sec")
    dialogue.generated()
    dialogue.ended()
    dialogue.heard("two")
    dialogue.words("ond")
    dialogue.sound()
    dialogue.words(", third")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    told = ["First, sec", "ond, third"] if leads == "words" else [", second", ", third"]
    assert dialogue.answers == [f"one: {told[0]}", f"?: {told[1]}"]


@pytest.mark.parametrize("leads", ["words", "sound"])
def test_words_that_come_once_a_line_was_sent_are_of_its_answer(leads: str) -> None:
    # A server may have its sound lead in one answer, and its words in the next: the simulator does.
    dialogue = Dialogue()
    dialogue.line("one")
    if leads == "words":
        dialogue.words("Fir")
    dialogue.sound()
    dialogue.words("st")
    dialogue.generated()
    dialogue.line("two")  # before the end, as one who is quick does
    dialogue.ended()
    dialogue.words("Second")
    dialogue.sound()
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == [f"one: {'First' if leads == 'words' else 'st'}", "two: Second"]


@pytest.mark.parametrize("leads", ["words", "sound"])
def test_words_of_a_server_whose_words_lead_are_not_late_once_the_last_answer_is_over(leads: str) -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one")
    if leads == "words":
        dialogue.words("One")
    dialogue.sound()
    dialogue.words(".")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING + 0.5)
    dialogue.words("It is")
    dialogue.sound()
    dialogue.words(" Oslo.")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    late = [outcome.text for outcome in dialogue.outcomes if isinstance(outcome, LateWords)]
    assert late == ([] if leads == "words" else ["It is"])


def test_what_is_heard_of_a_user_who_has_begun_to_speak_since_is_new() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one")
    dialogue.sound()
    assert dialogue.conversation.heard(" late", dialogue.now_s) == [UserSaid(1, " late", late=True)]
    assert dialogue.conversation.heard("stop", dialogue.now_s, speaks=True) == [UserSaid(2, "stop")]
    dialogue.interrupted()
    dialogue.ended()
    dialogue.answer("Yes.")
    dialogue.wait(TRAILING)
    assert dialogue.history() == [Exchange("one late", ""), Exchange("stop", "Yes.")]


@pytest.mark.parametrize(("heard", "said"), [("", "Answer one"), ("one", "Answer o"), ("one", "")])
def test_words_that_may_be_the_last_ones_are_so_though_the_user_is_heard(heard: str, said: str) -> None:
    # What the user said comes late, too, or the answer has not come to a full stop.
    dialogue = Dialogue()
    dialogue.listen()
    if heard:
        dialogue.heard(heard)
    dialogue.sound()
    if said:
        dialogue.words(said)
    dialogue.generated()
    dialogue.ended()
    dialogue.heard("more")
    dialogue.words("ne.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == [f"?: {said}ne."]


def test_words_that_come_later_still_are_late_words() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.answer("1")
    dialogue.wait(2.5)
    dialogue.words("st")
    assert dialogue.outcomes[-1] == LateWords(1, "st")
    assert dialogue.conversation.is_quiet
    assert dialogue.history() == [Exchange("one", "1st")]


def test_late_words_do_not_open_an_answer_while_the_user_may_speak() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.answer("1")
    dialogue.wait(2.5)
    dialogue.words("st")
    assert dialogue.outcomes[-1] == LateWords(1, "st")
    dialogue.line("two")
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "two: 2"]


def test_words_long_after_an_answer_begin_another_while_the_user_may_speak() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.answer("1")
    dialogue.wait(10)
    dialogue.answer("Are you there?")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "?: Are you there?"]


def test_empty_words_are_nothing() -> None:
    dialogue = Dialogue()
    dialogue.words("")
    assert dialogue.conversation.is_quiet


def test_generation_complete_alone_completes_an_answer_after_some_quiet() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.speak("1")
    dialogue.generated()
    dialogue.wait(3)
    dialogue.handle()  # any message counts
    dialogue.wait(MISSING_END - 0.1)
    assert not dialogue.conversation.is_quiet
    dialogue.wait(0.1 + TRAILING)
    assert dialogue.answers == ["one: 1"]
    assert dialogue.asked == ["one", "two"]


def test_the_quiet_after_generation_complete_is_counted_from_when_the_speech_would_have_been_played() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.speak("a long story", 45.0)
    dialogue.generated()
    dialogue.wait(45 + MISSING_END - 0.1)
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: a long story"]
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: a long story", "two: 2"]


def test_speech_of_two_minutes_sent_in_a_burst_is_no_silence() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("a long story", 120.0)
    dialogue.wait(119)
    dialogue.line("two")
    dialogue.wait(SILENCE)
    assert dialogue.outcomes == []
    dialogue.wait(1)
    assert dialogue.outcomes == [Silence(SILENCE + 1)]


def test_a_turn_complete_that_comes_too_late_settles_nothing() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("1")
    dialogue.generated()
    dialogue.wait(MISSING_END + TRAILING)
    dialogue.ended()
    dialogue.line("two")
    assert dialogue.answers == ["one: 1"]
    assert dialogue.conversation.has_unanswered


@pytest.mark.parametrize("already", ["asked", "being answered", "generated"])
def test_a_turn_complete_that_comes_too_late_does_not_end_the_next_answer(already: str) -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two", "three")
    dialogue.speak("1")
    dialogue.generated()
    dialogue.wait(MISSING_END + TRAILING)
    if already == "asked":
        dialogue.ended()
    dialogue.speak("2")
    if already == "being answered":
        dialogue.ended()
    dialogue.words("nd")
    dialogue.generated()
    if already == "generated":
        dialogue.ended()  # taken for the answer's own, which then comes to nothing in its turn
        dialogue.wait(TRAILING)
    dialogue.ended()
    dialogue.wait(TRAILING)
    dialogue.answer("3")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "two: 2nd", "three: 3"]


def test_a_turn_complete_that_nothing_follows_ends_the_answer_though_another_is_owed() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two", "three")
    dialogue.speak("1")
    dialogue.generated()  # and never its turnComplete
    dialogue.wait(MISSING_END + TRAILING)
    dialogue.speak("2", 3.0)
    dialogue.ended()  # without generationComplete
    dialogue.words("nd")
    dialogue.wait(3.0 + MISSING_END - 0.1)
    assert dialogue.asked == ["one", "two"]
    dialogue.wait(0.1 + TRAILING)
    assert dialogue.answers == ["one: 1", "two: 2nd"]
    dialogue.answer("3")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "two: 2nd", "three: 3"]


def test_a_server_that_never_sends_turn_complete_is_understood() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two", "three")
    for text in "123":
        dialogue.speak(text)
        dialogue.generated()
        dialogue.wait(MISSING_END + TRAILING)
    assert dialogue.answers == ["one: 1", "two: 2", "three: 3"]


def test_the_next_answer_of_a_terminal_ends_one_without_turn_complete() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("1")
    dialogue.generated()
    dialogue.line("two")
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "two: 2"]


def test_the_last_answer_of_a_session_that_plays_nothing_is_complete_soon_after_generation() -> None:
    dialogue = Dialogue(plays=False)
    dialogue.pipe("one")
    dialogue.end_inputs()
    dialogue.speak("1", 20.0)
    dialogue.generated()
    dialogue.wait(TIMINGS.last_answer_s + TRAILING)
    assert dialogue.answers == ["one: 1"]
    assert dialogue.is_over


def test_an_answer_is_not_the_last_while_lines_wait_or_may_come() -> None:
    for lines, ended in ((["one", "two"], True), (["one"], False)):
        dialogue = Dialogue(plays=False)
        dialogue.pipe(*lines)
        dialogue.conversation.inputs_ended = ended
        dialogue.speak("1")
        dialogue.generated()
        dialogue.wait(MISSING_END - 0.1)
        assert dialogue.answers == []


def test_a_spoken_answer_is_not_the_last_while_a_typed_line_is_open() -> None:
    dialogue = Dialogue(plays=False)
    dialogue.listen()
    dialogue.heard("hello")
    dialogue.speak("hi")
    dialogue.line("one")
    dialogue.end_inputs()
    dialogue.generated()
    dialogue.wait(MISSING_END - 0.1)
    assert dialogue.answers == []


def test_the_answer_that_reaches_the_number_of_turns_is_the_last() -> None:
    dialogue = Dialogue(plays=False, turns=1)
    dialogue.pipe("one", "two")
    dialogue.speak("1")
    dialogue.generated()
    dialogue.wait(TIMINGS.last_answer_s + TRAILING)
    assert dialogue.is_over


def test_generation_complete_of_a_model_that_thinks_aloud_is_not_the_last_word() -> None:
    dialogue = Dialogue(plays=False, thinks=True)
    dialogue.pipe("one")
    dialogue.end_inputs()
    dialogue.speak("One moment.", 2.0)
    dialogue.generated()
    dialogue.wait(2)
    dialogue.ended(IN_PROGRESS)
    dialogue.wait(SILENCE - 1)
    dialogue.answer(" 1")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: One moment. 1"]


def test_an_empty_turn_is_an_answer() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.ended()
    dialogue.wait(TRAILING)
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: ", "two: "]
    assert dialogue.conversation.turns_complete == 2


def test_an_empty_turn_answers_speech_too() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("hm")
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["?: "]


def test_generation_complete_tells_an_empty_turn_that_answers_speech_from_an_end_that_is_owed() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one")
    dialogue.speak("1")
    dialogue.generated()
    dialogue.wait(MISSING_END + TRAILING)
    dialogue.heard("hm")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["?: 1", "?: "]


def test_a_turn_complete_that_nobody_waits_for_is_nothing() -> None:
    dialogue = Dialogue()
    dialogue.ended()
    dialogue.generated()
    assert dialogue.conversation.is_quiet
    assert dialogue.outcomes == []


def test_a_second_turn_complete_is_nothing() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.answer("1")
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1"]
    assert dialogue.conversation.turns_complete == 1


def test_sound_right_behind_a_turn_complete_goes_on_with_the_answer() -> None:
    dialogue = Dialogue(turns=2)
    dialogue.pipe("one", "two")
    dialogue.speak("half a ")
    dialogue.ended()  # too early
    dialogue.handle("half")
    dialogue.wait(0.3)
    dialogue.speak("sentence")
    assert dialogue.conversation.turns_complete == 0
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: half a sentence"]
    assert dialogue.conversation.turns_complete == 1
    assert dialogue.conversation.connect().handle is None


def test_sound_that_nobody_asked_for_is_an_answer_too() -> None:
    dialogue = Dialogue()
    dialogue.answer("Welcome")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["?: Welcome"]
    assert dialogue.history() == [Exchange("", "Welcome")]


# Interruptions


@pytest.mark.parametrize("when", ["before", "after", "after the turn's end"])
def test_an_answer_that_the_user_talks_over_is_cut_off(when: str) -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.speak("First of all,", 10)
    dialogue.wait(3)
    if when == "before":
        dialogue.heard("stop")
    dialogue.interrupted()
    if when == "after":
        dialogue.heard("stop")
    dialogue.ended()
    dialogue.wait(1.5)
    if when == "after the turn's end":
        dialogue.heard("stop")
    dialogue.answer("Yes?")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: First of all,~", "?: Yes?"]
    assert dialogue.conversation.turns_complete == 1
    assert dialogue.history() == [Exchange("one", "First of all,"), Exchange("stop", "Yes?")]


def test_an_empty_turn_answers_what_the_user_said_over_an_answer() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.speak("First of all,")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.heard("stop")
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: First of all,~", "?: "]


def test_a_typed_line_cuts_off_the_answer_before_it() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("First of all,")
    dialogue.line("two")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: First of all,~", "two: 2"]


def test_a_typed_line_need_not_cut_off_the_answer_before_it() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("1")
    dialogue.line("two")
    dialogue.words("st")
    dialogue.generated()
    dialogue.ended()
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1st", "two: 2"]


def test_lines_typed_at_once_cut_off_one_another() -> None:
    dialogue = Dialogue()
    for text in ("one", "two", "three"):
        dialogue.line(text)
    for _ in range(2):
        dialogue.interrupted()
        dialogue.ended()
    dialogue.answer("3")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: ~", "two: ~", "three: 3"]


def test_a_line_typed_after_an_interruption_caused_it() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("First of all,")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.line("two")
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: First of all,~", "two: 2"]


def test_the_last_words_of_what_was_cut_off_belong_to_it() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("First ")
    dialogue.line("two")
    dialogue.interrupted()
    dialogue.words("of all,")
    dialogue.ended()
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: First of all,~", "two: 2"]


def test_the_end_of_an_interrupted_turn_does_not_end_the_answer_whose_sound_overtook_it() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("First of all,")
    dialogue.line("two")
    dialogue.interrupted()
    dialogue.sound()
    dialogue.ended()
    dialogue.words("2")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: First of all,~", "two: 2"]


def test_an_interrupted_turn_without_an_end_is_ended_by_the_next() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("First of all,")
    dialogue.line("two")
    dialogue.interrupted()
    dialogue.wait(1)
    dialogue.speak("2")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: First of all,~", "two: 2"]


def test_an_interruption_by_nobody_is_followed_by_another_turn() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.speak("Fir")
    dialogue.interrupted()
    dialogue.words("st")
    dialogue.ended()
    dialogue.wait(AFTER_INTERRUPTION - 0.1)
    assert dialogue.outcomes == []
    dialogue.answer("1")
    dialogue.wait(TRAILING)
    assert dialogue.outcomes[0] == Restarted(1, "First")
    assert dialogue.answers == ["one: 1"]
    assert dialogue.asked == ["one", "two"]


def test_no_line_break_comes_into_an_answer_that_begins_anew() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.speak("I was")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.words("Hel")  # before its sound
    dialogue.sound()
    dialogue.words("lo world")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: Hello world"]


def test_an_interruption_by_nobody_may_be_followed_by_nothing() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.speak("First of all,")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.wait(AFTER_INTERRUPTION + TRAILING)
    assert dialogue.answers == ["one: First of all,~"]
    assert dialogue.asked == ["one", "two"]
    assert dialogue.conversation.turns_complete == 0


def test_an_interruption_by_nobody_may_lack_the_end_of_its_turn() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.speak("First of all,", 30)
    dialogue.interrupted()
    dialogue.wait(AFTER_INTERRUPTION + TRAILING)
    dialogue.ended()  # too late
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: First of all,~", "two: 2"]


def test_sound_that_overtakes_the_end_of_an_interrupted_turn_is_not_ended_by_it() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.speak("First of all,")
    dialogue.interrupted()
    dialogue.sound()
    dialogue.ended()
    dialogue.words("1")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1"]


def test_words_after_the_end_of_an_interrupted_turn_begin_the_answer_anew() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.speak("First of all,")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.words("1")
    dialogue.sound()
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1"]


def test_an_interruption_before_any_sound_is_one_of_the_answer_to_come() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.wait(1)
    dialogue.answer("1")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1"]


def test_an_interruption_just_after_generation_complete_is_followed_by_the_real_answer() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.speak("1")
    dialogue.generated()
    dialogue.interrupted()
    dialogue.ended()
    dialogue.wait(2)
    dialogue.heard("and two?")
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1~", "?: 2"]


def test_an_interruption_of_nothing_and_the_end_of_its_turn_are_nothing() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.answer("1")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.wait(TRAILING)
    dialogue.interrupted()
    dialogue.line("two")
    dialogue.ended()
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "two: 2"]


# Function calls


def test_a_blocking_call_is_part_of_the_answer() -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?", "two")
    dialogue.speak("Let me see. ")
    dialogue.generated()
    dialogue.call()
    dialogue.wait(300)
    assert dialogue.conversation.has_open_calls
    assert dialogue.outcomes == []
    dialogue.result()
    dialogue.wait(AFTER_CALL - 0.1)
    dialogue.answer("4 C")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: Let me see. 4 C"]
    assert dialogue.asked == ["weather?", "two"]


@pytest.mark.parametrize("quick", [True, False])
def test_an_empty_turn_complete_right_behind_a_call_completes_nothing(quick: bool) -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?", "two")
    dialogue.call()
    if quick:
        dialogue.result()
    dialogue.ended()
    if not quick:
        dialogue.wait(5)
        dialogue.result()
    dialogue.wait(3)
    dialogue.answer("4 C")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: 4 C"]
    assert dialogue.asked == ["weather?", "two"]


def test_generation_complete_behind_a_call_does_not_end_the_answer_to_its_result() -> None:
    dialogue = Dialogue(plays=False)
    dialogue.pipe("weather?")
    dialogue.end_inputs()
    dialogue.call()
    dialogue.generated()
    dialogue.result()
    dialogue.wait(2)
    dialogue.speak("4")
    dialogue.wait(2)
    dialogue.answer(" C")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: 4 C"]


def test_an_empty_turn_may_follow_a_result() -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?")
    dialogue.call()
    dialogue.ended()
    dialogue.result()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: "]


def test_several_calls_of_one_message_are_waited_for() -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?")
    dialogue.call("a")
    dialogue.call("b")
    dialogue.result("b")
    dialogue.ended()
    dialogue.wait(100)
    dialogue.result("a")
    dialogue.answer("4 C and rain")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: 4 C and rain"]


def test_calls_may_follow_one_another() -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?")
    for call_id in "abc":
        dialogue.call(call_id)
        dialogue.result(call_id)
        dialogue.ended()
        dialogue.wait(2)
    dialogue.answer("4 C")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: 4 C"]


def test_a_call_is_closed_once() -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?")
    dialogue.call()
    dialogue.result()
    dialogue.result()
    dialogue.cancel()
    dialogue.result("another")
    assert not dialogue.conversation.has_open_calls
    dialogue.answer("4 C")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: 4 C"]


@pytest.mark.parametrize("result", ["while it talks", "when it has talked"])
def test_a_model_may_talk_during_a_call(result: str) -> None:
    dialogue = Dialogue()
    dialogue.pipe("book", "two")
    dialogue.call()
    dialogue.speak("I am booking. ", 20)
    if result == "while it talks":
        dialogue.result()
        dialogue.speak("Please wait. ", 5)
    dialogue.generated()
    dialogue.wait(25)
    dialogue.ended()
    if result == "when it has talked":
        dialogue.wait(100)
        dialogue.result()
    dialogue.wait(AFTER_CALL - 0.1)
    dialogue.answer("Done.")
    dialogue.wait(TRAILING)
    assert dialogue.answers[0].endswith("Done.")
    assert dialogue.answers[0].startswith("book: I am booking. ")
    assert dialogue.asked == ["book", "two"]


def test_the_wait_for_what_follows_a_result_begins_when_the_talk_has_been_played() -> None:
    dialogue = Dialogue()
    dialogue.pipe("book")
    dialogue.call()
    dialogue.speak("I am booking. ", 40)
    dialogue.result()
    dialogue.wait(40)
    dialogue.ended()
    dialogue.wait(AFTER_CALL - 0.1)
    assert dialogue.outcomes == []
    dialogue.wait(0.1)
    assert dialogue.notices == ["no answer followed the function call"]


def test_a_model_may_talk_in_several_turns_during_a_call() -> None:
    dialogue = Dialogue()
    dialogue.pipe("book")
    dialogue.call()
    dialogue.answer("I am booking. ")
    dialogue.wait(10)
    dialogue.speak("Still booking. ")
    dialogue.result()
    dialogue.ended()
    dialogue.answer("Done.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["book: I am booking. Still booking. Done."]


def test_the_turn_of_a_quick_result_goes_on_with_the_answer() -> None:
    dialogue = Dialogue()
    dialogue.pipe("book", "two")
    dialogue.call()
    dialogue.result()
    dialogue.answer("I am booking. ")
    dialogue.wait(0.2)
    dialogue.answer("Done.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["book: I am booking. Done."]


def test_a_result_that_nothing_follows_is_given_up() -> None:
    dialogue = Dialogue()
    dialogue.pipe("book", "two")
    dialogue.call()
    dialogue.result()
    dialogue.wait(AFTER_CALL + TRAILING)
    assert dialogue.notices == ["no answer followed the function call"]
    assert dialogue.answers == ["book: "]
    dialogue.ended()  # too late
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["book: ", "two: 2"]


@pytest.mark.parametrize("turn_ends", ["before", "after", "never"])
def test_nothing_follows_a_result_that_is_kept_silent(turn_ends: str) -> None:
    dialogue = Dialogue()
    dialogue.pipe("note this", "two")
    dialogue.call()
    if turn_ends == "before":
        dialogue.ended()
    dialogue.result(silent=True)
    if turn_ends == "after":
        dialogue.ended()
    if turn_ends == "never":
        dialogue.wait(MISSING_END)
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["note this: "]
    assert dialogue.notices == []


def test_a_silent_result_does_not_end_what_the_model_is_saying() -> None:
    dialogue = Dialogue()
    dialogue.pipe("note this")
    dialogue.call()
    dialogue.speak("I note ", 1)
    dialogue.result(silent=True)
    dialogue.wait(2)
    dialogue.speak("this.", 1)
    dialogue.wait(MISSING_END + 5)
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["note this: I note this."]


@pytest.mark.parametrize("first", ["silent", "spoken"])
def test_a_turn_follows_if_one_of_several_results_is_not_silent(first: str) -> None:
    dialogue = Dialogue()
    dialogue.pipe("note this")
    dialogue.call("a")
    dialogue.call("b")
    dialogue.ended()
    dialogue.result("a", silent=first == "silent")
    dialogue.result("b", silent=first != "silent")
    dialogue.wait(3)
    dialogue.answer("Done.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["note this: Done."]


def test_a_result_spoken_before_a_silent_one_needs_no_other_turn() -> None:
    dialogue = Dialogue()
    dialogue.pipe("note this")
    dialogue.call("a")
    dialogue.call("b")
    dialogue.result("a")
    dialogue.speak("Done.")
    dialogue.result("b", silent=True)
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["note this: Done."]
    assert dialogue.notices == []


def test_a_call_cancelled_by_speech_is_cut_off() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("weather?")
    dialogue.speak("Let me see.")
    dialogue.call()
    dialogue.wait(5)
    dialogue.interrupted()
    dialogue.cancel()
    dialogue.ended()
    dialogue.heard("never mind")
    dialogue.answer("Fine.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: Let me see.~", "?: Fine."]


def test_an_answer_that_goes_on_in_words_after_its_call_was_cancelled_is_whole() -> None:
    dialogue = Dialogue()
    dialogue.line("weather?")
    dialogue.call()
    dialogue.cancel()
    dialogue.words("All right.")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: All right."]


def test_a_call_that_is_taken_back_and_made_again_after_the_end_of_the_turn_is_waited_for() -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?", "two")
    dialogue.call("fc-1")
    dialogue.cancel("fc-1")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(3)
    dialogue.call("fc-2")
    dialogue.result("fc-2")
    dialogue.answer("Sunny.")
    dialogue.wait(TRAILING)
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: Sunny.", "two: 2"]


def test_what_the_user_said_long_ago_is_not_lost_with_the_connection() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("mhm")  # which a model may leave unanswered
    dialogue.wait(TIMINGS.after_audio_end_s + 1)
    assert dialogue.conversation.connection_lost(dialogue.now_s) == []


def test_a_line_typed_after_the_end_of_an_interrupted_turn_finds_it_ended() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.interrupted()
    dialogue.ended()
    question = dialogue.conversation.add_question("two", waits=False)
    (ended,) = dialogue.conversation.asked(question, dialogue.now_s)
    dialogue.typed[question.exchange] = question.text
    assert isinstance(ended, Answered)
    assert ended.cut_off
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["two: 2"]


@pytest.mark.parametrize("ends", ["no", "before", "after"])
def test_a_call_cancelled_by_a_typed_line_is_cut_off_without_an_interruption(ends: str) -> None:
    dialogue = Dialogue()
    dialogue.line("weather?")
    dialogue.call()
    if ends == "before":
        dialogue.ended()
    dialogue.line("never mind")
    dialogue.cancel()
    if ends == "after":
        dialogue.ended()
    dialogue.answer("Fine.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: ~", "never mind: Fine."]


@pytest.mark.parametrize("turn_ended", [True, False])
def test_a_call_that_the_server_cancels_by_itself_may_be_repeated(turn_ended: bool) -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?")
    dialogue.call("a")
    if turn_ended:
        dialogue.ended()
    dialogue.wait(12)
    dialogue.cancel("a")
    dialogue.call("b")
    dialogue.result("b")
    dialogue.answer("4 C")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: 4 C"]


def test_a_call_that_the_server_cancels_by_itself_may_be_followed_by_nothing() -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?", "two")
    dialogue.call()
    dialogue.cancel()
    dialogue.wait(AFTER_INTERRUPTION + TRAILING)
    assert dialogue.answers == ["weather?: ~"]
    assert dialogue.asked == ["weather?", "two"]


def test_one_of_two_calls_may_be_cancelled() -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?")
    dialogue.speak("Let me see. ")
    dialogue.call("a")
    dialogue.call("b")
    dialogue.cancel("a")
    dialogue.result("b")
    dialogue.answer("4 C")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: Let me see. 4 C"]


def test_a_call_may_outlive_the_answer_that_was_cut_off() -> None:
    dialogue = Dialogue()
    dialogue.line("book")
    dialogue.speak("Let me see. ")
    dialogue.call()
    dialogue.speak("I am booking.")
    dialogue.line("meanwhile?")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.answer("Coffee. ")
    dialogue.wait(20)
    dialogue.result()
    dialogue.answer("Booked.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["book: Let me see. I am booking.~", "meanwhile?: Coffee. Booked."]


def test_speech_is_generated_until_its_end_is_known() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    assert not dialogue.conversation.is_generating
    dialogue.sound()
    assert dialogue.conversation.is_generating
    dialogue.generated()
    assert not dialogue.conversation.is_generating
    assert dialogue.conversation.is_busy
    dialogue.call()
    assert not dialogue.conversation.is_generating


# Extended thinking


def test_only_idle_ends_an_interaction() -> None:
    dialogue = Dialogue(thinks=True)
    dialogue.pipe("weather?")
    dialogue.speak("One moment. ", 1)
    dialogue.generated()
    dialogue.wait(1)
    dialogue.ended(IN_PROGRESS)
    dialogue.wait(30)
    dialogue.call()
    dialogue.result()
    dialogue.wait(3)
    dialogue.speak("4 C", 1)
    dialogue.generated()
    dialogue.ended("IDLE")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: One moment. 4 C"]


def test_a_status_beside_a_call_gives_the_model_time_to_think_about_its_result() -> None:
    dialogue = Dialogue(thinks=True)
    dialogue.pipe("weather?")
    dialogue.call()
    dialogue.message(dialogue.conversation.interaction_in_progress(dialogue.now_s))
    dialogue.result()
    dialogue.wait(SILENCE - 1)
    dialogue.speak("4 C")
    dialogue.ended("IDLE")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: 4 C"]


def test_idle_right_behind_a_call_that_it_waits_for_completes_nothing() -> None:
    dialogue = Dialogue(thinks=True)
    dialogue.pipe("weather?")
    dialogue.call()
    dialogue.result()
    dialogue.ended("IDLE")
    dialogue.speak("4 C")
    dialogue.ended("IDLE")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: 4 C"]


def test_an_interaction_in_progress_that_falls_silent_is_lost() -> None:
    dialogue = Dialogue(thinks=True)
    dialogue.listen()
    dialogue.heard("hello")
    dialogue.speak("One moment.")
    dialogue.ended(IN_PROGRESS)
    dialogue.wait(SILENCE)
    assert dialogue.outcomes == [Silence(SILENCE)]


def test_a_turn_in_progress_is_not_taken_for_an_end_that_is_owed() -> None:
    dialogue = Dialogue(thinks=True)
    dialogue.pipe("one", "two")
    dialogue.speak("1")
    dialogue.generated()
    dialogue.wait(MISSING_END + TRAILING)
    dialogue.speak("One moment. ")
    dialogue.ended(IN_PROGRESS)
    dialogue.wait(30)
    dialogue.speak("2")
    dialogue.generated()
    dialogue.ended("IDLE")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "two: One moment. 2"]


def test_a_status_that_nobody_asked_for_opens_nothing() -> None:
    dialogue = Dialogue()
    dialogue.message(dialogue.conversation.interaction_in_progress(dialogue.now_s))
    assert dialogue.conversation.is_quiet


# The words of the turns that make up an answer


def thinking(*, pause_s: float = 3.0) -> Dialogue:
    """A dialogue in whose answer a turn of filler has ended, "One moment" without a full stop."""
    dialogue = Dialogue(thinks=True)
    dialogue.pipe("one")
    dialogue.speak("One moment")
    dialogue.generated()
    dialogue.ended(IN_PROGRESS)
    dialogue.wait(pause_s)
    return dialogue


def end_thinking(dialogue: Dialogue) -> None:
    dialogue.generated()
    dialogue.ended("IDLE")
    dialogue.wait(TRAILING)


@pytest.mark.parametrize("words_first", [True, False])
def test_another_turn_of_an_answer_begins_on_a_line_of_its_own(words_first: bool) -> None:
    dialogue = thinking()
    if words_first:
        dialogue.words("It")
        dialogue.sound()
    else:
        dialogue.speak("It")
    assert dialogue.pieces[-2:] == [ModelSaid(1, TURN_SEAM), ModelSaid(1, "It")]
    dialogue.speak("'s one")
    dialogue.words(".")
    end_thinking(dialogue)
    assert dialogue.answers == ["one: One moment\nIt's one."]
    assert dialogue.pieces.count(ModelSaid(1, TURN_SEAM)) == 1
    assert dialogue.history() == [Exchange("one", "One moment\nIt's one.")]


@pytest.mark.parametrize("space", [" ", "\n"])
@pytest.mark.parametrize("leads", [True, False])
def test_turns_that_are_apart_already_stay_as_they_are(leads: bool, space: str) -> None:
    dialogue = thinking(pause_s=0)
    if not leads:
        dialogue.words(space)
    dialogue.speak(space + "It is one." if leads else "It is one.")
    end_thinking(dialogue)
    assert dialogue.answers == [f"one: One moment{space}It is one."]
    assert ModelSaid(1, TURN_SEAM) not in dialogue.pieces[1:] or space == TURN_SEAM


def test_the_last_words_of_a_turn_stay_with_it_and_what_follows_begins_anew() -> None:
    dialogue = thinking(pause_s=0)
    dialogue.words("s.")
    assert dialogue.outcomes == []
    dialogue.words("It")  # the sentence had ended
    dialogue.speak("'s one.")
    end_thinking(dialogue)
    assert dialogue.answers == ["one: One moments.\nIt's one."]


def test_words_of_a_text_model_tell_their_turn_by_themselves() -> None:
    dialogue = Dialogue(words_trail=False, thinks=True)
    dialogue.pipe("one")
    dialogue.text("One moment")
    dialogue.ended(IN_PROGRESS)
    dialogue.text("It")
    dialogue.text("'s one.")
    dialogue.ended("IDLE")
    assert dialogue.answers == ["one: One moment\nIt's one."]


@pytest.mark.parametrize("ends_turn", [True, False])
def test_what_is_said_of_a_result_begins_on_a_line_of_its_own(ends_turn: bool) -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?")
    dialogue.speak("Let me see")
    dialogue.call()
    if ends_turn:
        dialogue.ended()
    dialogue.wait(0.1)
    dialogue.result()
    dialogue.answer("4 C")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: Let me see\n4 C"]


def test_a_sentence_that_a_call_is_made_in_stays_whole() -> None:
    dialogue = Dialogue()
    dialogue.pipe("book")
    dialogue.speak("I am boo")
    dialogue.call()
    dialogue.speak("kin")
    dialogue.result()
    dialogue.speak("g.")
    dialogue.generated()
    dialogue.ended()
    dialogue.wait(2)
    dialogue.answer("Done.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["book: I am booking.\nDone."]


def test_what_follows_a_silent_result_after_all_begins_on_a_line_of_its_own() -> None:
    dialogue = Dialogue()
    dialogue.pipe("note it")
    dialogue.speak("I do.")
    dialogue.call()
    dialogue.result(silent=True)
    dialogue.answer("Noted.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["note it: I do.\nNoted."]


@pytest.mark.parametrize(("calls", "text"), [(True, "Half.\nA"), (False, "HalfA")])
def test_sound_right_behind_an_end_goes_on_with_the_sentence_unless_a_function_was_called(
    calls: bool, text: str
) -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    if calls:
        dialogue.call()
        dialogue.result()
    dialogue.answer("Half" if not calls else "Half.")
    dialogue.wait(0.2)
    dialogue.answer("A")
    dialogue.wait(TRAILING)
    assert dialogue.answers == [f"one: {text}"]


def test_an_answer_that_begins_anew_begins_with_no_empty_line() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.speak("First.")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.wait(1)
    dialogue.answer("Second.")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: Second."]


# Silence


def test_silence_after_a_typed_turn_is_reported_when_no_message_has_come() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.wait(SILENCE - 1)
    dialogue.handle()
    dialogue.wait(SILENCE - 0.1)
    assert dialogue.outcomes == []
    dialogue.wait(0.1)
    assert dialogue.outcomes == [Silence(SILENCE)]
    dialogue.reconnect()
    assert dialogue.asked == ["one", "one"]


def test_silence_in_the_middle_of_an_answer_is_reported() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("Fir", 3)
    dialogue.wait(3 + SILENCE)
    assert dialogue.outcomes == [Silence(3 + SILENCE)]


def test_the_clock_of_silence_stands_while_a_call_is_open() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.call()
    assert dialogue.conversation.deadline_s() is None
    dialogue.wait(1000)
    dialogue.result()
    dialogue.wait(AFTER_CALL - 0.1)
    assert dialogue.outcomes == []


def test_silence_of_a_microphone_is_no_silence_of_the_server() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    assert dialogue.conversation.deadline_s() is None
    dialogue.heard("hello")
    dialogue.answer("hi")
    dialogue.wait(TRAILING)
    assert dialogue.conversation.deadline_s() is None


def test_a_tick_before_the_deadline_does_nothing() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    deadline_s = dialogue.conversation.deadline_s()
    assert deadline_s is not None
    assert dialogue.conversation.tick(deadline_s - 0.001) == []
    assert dialogue.conversation.deadline_s() == deadline_s


# The user's voice, and its end


def test_a_file_that_nothing_answers_ends_with_one_warning() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.end_audio()
    dialogue.wait(TIMINGS.after_audio_end_s - 0.1)
    assert not dialogue.is_over
    dialogue.wait(0.1)
    assert dialogue.is_over
    assert dialogue.notices == ["no answer came after the end of the audio"]


def test_every_transcript_and_output_begins_the_wait_after_the_end_of_the_audio_anew() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.end_audio()
    for sign in (partial(dialogue.heard, "hello"), partial(dialogue.words, "hi"), partial(dialogue.sound, 0.0)):
        dialogue.wait(TIMINGS.after_audio_end_s - 0.1)
        sign()
    dialogue.wait(TIMINGS.after_audio_end_s - 0.1)
    assert not dialogue.is_over
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.is_over
    assert dialogue.answers == ["?: hi"]
    assert dialogue.notices == []


def test_a_file_is_over_when_its_last_words_are_answered() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one")
    dialogue.speak("1", 3)
    dialogue.wait(2.5)
    dialogue.heard("two")
    dialogue.end_audio()
    dialogue.interrupted()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert not dialogue.is_over
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["?: 1~", "?: 2"]
    assert dialogue.is_over


def test_an_answer_cut_off_at_the_end_of_a_file_is_followed_by_another() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.speak("1", 3)
    dialogue.end_audio()
    dialogue.interrupted()
    dialogue.ended()
    dialogue.wait(AFTER_INTERRUPTION + TRAILING)
    assert not dialogue.is_over
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.is_over
    assert dialogue.answers == ["?: 1~", "?: 2"]


def test_silence_at_the_end_of_a_file_that_was_answered_is_waited_for_without_a_warning() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one")
    dialogue.answer("1")
    dialogue.wait(20)
    dialogue.end_audio()
    dialogue.wait(TIMINGS.after_audio_end_s)
    assert dialogue.is_over
    assert dialogue.notices == []


def test_an_answered_message_before_a_file_does_not_hide_that_the_file_was_not_answered() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.pipe("one")
    dialogue.answer("1")
    dialogue.wait(TRAILING)
    dialogue.end_audio()
    dialogue.wait(TIMINGS.after_audio_end_s)
    assert dialogue.notices == ["no answer came after the end of the audio"]


def test_a_long_spoken_answer_without_signs_is_waited_for_until_it_has_been_played() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("tell me a story")
    dialogue.end_audio()
    dialogue.speak("Once upon a time", 60)
    dialogue.wait(60 + TIMINGS.after_audio_end_s - 0.1)
    assert dialogue.outcomes == []
    dialogue.wait(0.1 + TRAILING)
    assert dialogue.answers == ["?: Once upon a time"]
    assert dialogue.notices == ["no answer came after the end of the audio"]
    assert dialogue.is_over


def test_ctrl_d_when_nothing_was_said_ends_soon_and_quietly() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.end_audio(by_hand=True)
    dialogue.wait(TIMINGS.after_last_word_s)
    assert dialogue.is_over
    assert dialogue.notices == []


def test_ctrl_d_after_words_waits_for_their_answer() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one last thing")
    dialogue.end_audio(by_hand=True)
    dialogue.wait(TIMINGS.after_audio_end_s - 0.1)
    assert not dialogue.is_over
    dialogue.answer("yes")
    dialogue.wait(TRAILING)
    assert dialogue.is_over


def test_ctrl_d_during_an_answer_waits_for_its_end_only() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.speak("1", 5)
    dialogue.end_audio(by_hand=True)
    dialogue.wait(5)
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.is_over
    assert dialogue.answers == ["one: 1"]


def test_ctrl_d_right_after_a_line_waits_for_its_answer() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.end_audio(by_hand=True)
    dialogue.wait(SILENCE - 1)
    dialogue.answer("1")
    dialogue.wait(TRAILING)
    assert dialogue.is_over
    assert dialogue.notices == []


def test_a_spoken_answer_that_never_ends_is_let_go() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("hallo")
    dialogue.speak("hello")
    dialogue.wait(SILENCE + TRAILING)
    assert dialogue.answers == ["?: hello"]
    assert dialogue.notices == []


def test_a_transcript_may_come_after_the_answer_has_begun() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("what")
    dialogue.sound(5)
    dialogue.wait(1)
    dialogue.heard(" time?")
    dialogue.end_audio()
    dialogue.words("Ten.")
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.is_over
    assert dialogue.history() == [Exchange("what time?", "Ten.")]


def test_what_was_said_and_typed_before_one_answer_is_remembered() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard(" look at")
    dialogue.line("https://example.org")
    dialogue.answer("Nice.")
    dialogue.wait(TRAILING)
    assert dialogue.history() == [Exchange("look at\nhttps://example.org", "Nice.")]


# When all is over


def test_a_session_is_over_when_inputs_have_ended_and_all_is_answered() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.end_inputs()
    for text in "12":
        assert not dialogue.is_over
        dialogue.answer(text)
        dialogue.wait(TRAILING)
    assert dialogue.is_over


def test_a_session_whose_inputs_go_on_is_not_over() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.answer("1")
    dialogue.wait(1000)
    assert not dialogue.is_over


def test_turns_count_complete_answers_and_not_interrupted_ones() -> None:
    dialogue = Dialogue(turns=2)
    for text in ("one", "two"):
        dialogue.line(text)
    dialogue.speak("1")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.ended()  # an empty one counts
    dialogue.wait(TRAILING)
    assert not dialogue.is_over
    dialogue.pipe("three", "four")
    dialogue.answer("3")
    dialogue.wait(TRAILING)
    assert dialogue.is_over
    dialogue.line("five")
    assert dialogue.asked == ["one", "two", "three"]
    assert dialogue.conversation.unsent == ["four", "five"]


def test_the_last_of_the_turns_waits_for_its_trailing_words() -> None:
    dialogue = Dialogue(turns=1)
    dialogue.line("one")
    dialogue.answer("1")
    assert not dialogue.is_over
    dialogue.wait(0.5)
    dialogue.words("st")
    dialogue.wait(TRAILING)
    assert dialogue.is_over
    assert dialogue.answers == ["one: 1st"]


# Connections


def test_what_was_asked_and_not_answered_is_asked_again_in_order() -> None:
    dialogue = Dialogue()
    for text in ("one", "two"):
        dialogue.line(text)
    dialogue.lose_connection()
    dialogue.conversation.add_question("three", waits=False)
    dialogue.reconnect()
    for text in "123":
        dialogue.answer(text)
        dialogue.wait(TRAILING)
    assert dialogue.asked == ["one", "two", "one", "two", "three"]
    assert dialogue.answers == ["one: 1", "two: 2", "three: 3"]


def test_lines_that_are_asked_again_wait_for_one_another() -> None:
    dialogue = Dialogue()
    for text in ("one", "two"):
        dialogue.line(text)
    dialogue.reconnect()
    assert dialogue.asked == ["one", "two", "one"]


def test_what_an_unfinished_answer_had_said_does_not_count() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.speak("Fir")
    dialogue.generated()
    dialogue.reconnect()
    assert dialogue.outcomes == [Restarted(1, "Fir")]
    dialogue.answer("1")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1"]


def test_an_answer_whose_last_words_were_waited_for_is_not_asked_for_again() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.answer("1")
    dialogue.reconnect()
    assert dialogue.answers == ["one: 1"]
    assert dialogue.asked == ["one", "two"]


def test_an_answer_that_the_user_cut_off_is_not_asked_for_again() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("First of all,")
    dialogue.line("two")
    dialogue.interrupted()
    dialogue.reconnect()
    assert dialogue.answers == ["one: First of all,~"]
    assert dialogue.asked == ["one", "two", "two"]


def test_an_answer_that_nobody_cut_off_is_asked_for_again() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.speak("First of all,")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.reconnect()
    assert dialogue.answers == []
    assert dialogue.asked == ["one", "one"]


@pytest.mark.parametrize("when", ["open", "answered", "talking", "in progress"])
def test_a_call_dies_with_its_connection(when: str) -> None:
    dialogue = Dialogue()
    dialogue.pipe("weather?")
    dialogue.call()
    if when == "talking":
        dialogue.speak("I am looking.")
    if when == "answered":
        dialogue.result()
    if when == "in progress":
        dialogue.ended(IN_PROGRESS)
    dialogue.reconnect()
    assert not dialogue.conversation.has_open_calls
    dialogue.result()  # comes to nothing
    dialogue.answer("4 C")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["weather?: 4 C"]
    assert dialogue.asked == ["weather?", "weather?"]


def test_an_end_that_is_owed_dies_with_its_connection() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.speak("1")
    dialogue.generated()
    dialogue.wait(MISSING_END + TRAILING)
    dialogue.reconnect()
    dialogue.ended()
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "two: "]


@pytest.mark.parametrize("state", ["heard", "answering", "ended"])
def test_a_spoken_turn_that_a_drop_cuts_off_is_lost_and_said_so(state: str) -> None:
    dialogue = Dialogue()
    dialogue.listen()
    if state != "ended":
        dialogue.heard("one")
    if state == "answering":
        dialogue.speak("1")
    if state == "ended":
        dialogue.end_audio()
    dialogue.handle()
    dialogue.reconnect()
    dialogue.wait(100)
    lost = [outcome for outcome in dialogue.outcomes if isinstance(outcome, SpeechLost)]
    assert lost == [SpeechLost(None if state == "ended" else 1)]
    assert dialogue.notices == ["the connection was lost during a spoken turn, which cannot be asked again"]
    assert dialogue.answers == (["?: 1~"] if state == "answering" else [])
    assert dialogue.conversation.is_quiet
    assert dialogue.conversation.connect().handle == "h"


def test_what_the_user_was_saying_is_lost_though_it_was_not_heard_yet() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    outcomes = dialogue.conversation.connection_lost(dialogue.now_s, speaks=True)
    assert [type(outcome) for outcome in outcomes] == [SpeechLost, Notice]
    assert outcomes[0] == SpeechLost(None)


def test_a_spoken_answer_that_had_come_whole_is_not_lost() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one")
    dialogue.speak("1", 20)
    dialogue.generated()
    dialogue.reconnect()
    assert dialogue.answers == ["?: 1"]
    assert dialogue.notices == []
    assert dialogue.history() == [Exchange("one", "1")]


def test_a_drop_when_all_is_quiet_says_nothing() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one")
    dialogue.answer("1")
    dialogue.wait(TRAILING)
    dialogue.end_audio()
    n_outcomes = len(dialogue.outcomes)
    dialogue.reconnect()
    assert dialogue.outcomes[n_outcomes:] == []
    assert dialogue.is_over


def test_a_question_is_asked_on_three_connections_at_most() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    for _ in range(MAX_ASKED - 1):
        assert dialogue.conversation.asked_too_often is None
        dialogue.reconnect()
    dialogue.lose_connection()
    question = dialogue.conversation.asked_too_often
    assert question is not None
    assert question.text == "one"


def test_what_was_said_of_an_answer_that_never_comes_is_handed_out_at_last() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    for text in ("Fi", "Fir", ""):
        dialogue.words(text)
        dialogue.reconnect()
    assert dialogue.conversation.unfinished() == [Unfinished(1, "Fir")]


def test_what_was_said_last_counts_of_an_answer_that_broke_off_twice_on_one_connection() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.speak("First")
    dialogue.interrupted()
    dialogue.ended()
    dialogue.sound()
    assert dialogue.outcomes == [Restarted(1, "First")]
    dialogue.lose_connection()
    assert dialogue.conversation.unfinished() == [Unfinished(1, "First")]


def test_an_answer_that_is_open_when_the_session_fails_is_unfinished() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("one")
    assert dialogue.conversation.unfinished() == []
    dialogue.speak("Fir")
    assert dialogue.conversation.unfinished() == [Unfinished(1, "Fir")]


def test_of_an_answer_that_came_after_all_nothing_is_unfinished() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.speak("Fir")
    dialogue.reconnect()
    dialogue.answer("First.")
    dialogue.reconnect()
    assert dialogue.answers == ["one: First."]
    assert dialogue.conversation.unfinished() == []


# What a new connection begins with


def test_a_first_connection_begins_with_nothing() -> None:
    opening = Conversation(plays=False, words_trail=True).connect()
    assert (opening.handle, opening.history, opening.omitted) == (None, (), 0)


def test_a_handle_that_covers_everything_is_resumed() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.answer("1")
    dialogue.wait(TRAILING)
    dialogue.handle("old")
    dialogue.handle("new")
    dialogue.handle("", resumable=False)
    dialogue.pipe("two")
    dialogue.speak("2")
    dialogue.lose_connection()
    opening = dialogue.conversation.connect()
    assert (opening.handle, opening.history) == ("new", ())


def test_a_handle_given_while_words_still_trail_covers_their_answer() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.answer("1")
    dialogue.handle()
    dialogue.words("st")
    dialogue.wait(TRAILING)
    dialogue.lose_connection()
    assert dialogue.conversation.connect().handle == "h"


def test_a_handle_that_is_older_than_a_complete_exchange_gives_way_to_the_history() -> None:
    dialogue = Dialogue()
    dialogue.handle()
    dialogue.pipe("one")
    dialogue.answer("1")
    dialogue.lose_connection()
    opening = dialogue.conversation.connect()
    assert (opening.handle, opening.history) == (None, (Exchange("one", "1"),))


def test_a_handle_that_is_older_than_what_the_user_cut_off_gives_way_to_the_history() -> None:
    dialogue = Dialogue()
    dialogue.handle()
    dialogue.line("one")
    dialogue.speak("First of all,")
    dialogue.line("two")
    dialogue.interrupted()
    dialogue.lose_connection()
    assert dialogue.conversation.connect().history == (Exchange("one", "First of all,"),)


def test_a_handle_whose_socket_never_opened_is_kept() -> None:
    dialogue = Dialogue()
    dialogue.handle()
    dialogue.lose_connection()
    assert [dialogue.conversation.connect().handle for _ in range(3)] == ["h"] * 3


def test_a_handle_that_the_server_refuses_gives_way_to_the_history() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.answer("1")
    dialogue.handle()
    dialogue.lose_connection()
    dialogue.conversation.handle_refused()
    assert dialogue.conversation.connect().history == (Exchange("one", "1"),)


def test_a_handle_given_before_the_server_has_worked_with_the_history_does_not_cover_it() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.answer("1")
    dialogue.lose_connection()
    assert dialogue.conversation.connect().history
    dialogue.handle("too early")
    dialogue.lose_connection()
    assert dialogue.conversation.connect().history
    dialogue.answer("2")
    dialogue.handle("late enough")
    dialogue.lose_connection()
    assert dialogue.conversation.connect().handle == "late enough"


def test_the_history_is_bounded_in_exchanges_and_says_how_many_it_omits() -> None:
    dialogue = Dialogue(words_trail=False)
    for number in range(MAX_HISTORY_EXCHANGES + 7):
        dialogue.pipe(f"{number}")
        dialogue.ended()
    dialogue.lose_connection()
    opening = dialogue.conversation.connect()
    assert len(opening.history) == MAX_HISTORY_EXCHANGES
    assert opening.omitted == 7
    assert opening.history[0].user == "7"


def test_the_history_is_bounded_in_characters_late_words_included() -> None:
    dialogue = Dialogue()
    for text in ("one", "two", "three"):
        dialogue.pipe(text)
        dialogue.answer("x" * (MAX_HISTORY_CHARS // 3 - 10))
        dialogue.wait(TRAILING)
    dialogue.lose_connection()
    assert len(dialogue.conversation.connect().history) == 3
    dialogue.words("y" * 100)
    opening = dialogue.conversation.connect()
    assert [exchange.user for exchange in opening.history] == ["two", "three"]
    assert opening.omitted == 1


def test_one_exchange_is_kept_however_long() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one")
    dialogue.answer("x" * (2 * MAX_HISTORY_CHARS))
    dialogue.lose_connection()
    assert len(dialogue.conversation.connect().history) == 1


def test_an_answer_that_the_user_stopped_is_not_asked_for_again() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    dialogue.speak("1")
    dialogue.conversation.answer_stopped()
    dialogue.reconnect()
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    assert dialogue.answers == ["one: 1", "two: 2"]


# The numbers of the exchanges


def said(dialogue: Dialogue) -> list[tuple[int, str]]:
    """Return the pieces of words with the numbers of their exchanges, the user's with a question mark."""
    words = [piece for piece in dialogue.pieces if isinstance(piece, UserSaid | ModelSaid)]
    return [(piece.exchange, piece.text + "?" * isinstance(piece, UserSaid)) for piece in words]


def test_typed_questions_and_their_answers_are_numbered_in_order() -> None:
    dialogue = Dialogue()
    dialogue.pipe("one", "two")
    for text in ("1", "2"):
        dialogue.answer(text)
        dialogue.wait(TRAILING)
    assert said(dialogue) == [(1, "1"), (2, "2")]
    assert dialogue.typed == {1: "one", 2: "two"}
    assert [outcome.exchange for outcome in dialogue.outcomes if isinstance(outcome, Answered)] == [1, 2]


def test_what_the_user_says_during_an_answer_is_the_next_exchange() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.heard("count")
    dialogue.sound()
    dialogue.heard(" to ten")  # the transcript comes late
    dialogue.wait(TIMINGS.late_transcript_s)
    dialogue.heard("stop")
    dialogue.words("One, two")  # what was said before the user came
    dialogue.interrupted()
    dialogue.ended()
    dialogue.answer("Fine.")
    dialogue.wait(TRAILING)
    assert said(dialogue) == [(1, "count?"), (1, " to ten?"), (2, "stop?"), (1, "One, two"), (2, "Fine.")]
    assert dialogue.answers == ["?: One, two~", "?: Fine."]
    assert dialogue.pieces.count(QuestionComplete(1)) == 1


def test_the_question_of_a_spoken_answer_is_complete_when_no_more_words_of_it_can_come() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.sound(9.0)
    dialogue.wait(TIMINGS.late_transcript_s - 0.1)
    assert QuestionComplete(1) not in dialogue.pieces
    dialogue.heard("count")
    dialogue.wait(0.1)
    assert dialogue.pieces == [UserSaid(1, "count", late=True), QuestionComplete(1)]


@pytest.mark.parametrize("first", ["said", "typed"])
def test_what_is_said_and_typed_before_an_answer_begins_is_one_exchange(first: str) -> None:
    dialogue = Dialogue()
    dialogue.listen()
    if first == "said":
        dialogue.heard("look")
    dialogue.line("https://x")
    if first == "typed":
        dialogue.heard("look")
    dialogue.answer("Nice.")
    dialogue.wait(TRAILING)
    assert said(dialogue) == [(1, "look?"), (1, "Nice.")]
    assert dialogue.typed == {1: "https://x"}
    dialogue.heard("and now?")
    assert said(dialogue)[-1] == (2, "and now??")


def test_a_question_that_is_asked_again_keeps_its_number() -> None:
    dialogue = Dialogue()
    dialogue.listen()
    dialogue.line("one")
    dialogue.words("Fi")
    dialogue.heard("hm")
    dialogue.reconnect()
    dialogue.answer("First.")
    dialogue.wait(TRAILING)
    dialogue.line("two")
    assert said(dialogue) == [(1, "Fi"), (2, "hm?"), (1, "First.")]
    assert Restarted(1, "Fi") in dialogue.outcomes
    assert SpeechLost(2) in dialogue.outcomes
    assert dialogue.typed == {1: "one", 3: "two"}


def test_the_exchange_in_progress_is_the_one_being_answered_or_next_to_be() -> None:
    dialogue = Dialogue()
    numbers = [dialogue.conversation.exchange]
    dialogue.line("one")
    numbers.append(dialogue.conversation.exchange)
    dialogue.speak("1")
    dialogue.line("two")
    numbers.append(dialogue.conversation.exchange)
    dialogue.generated()
    dialogue.ended()
    numbers.append(dialogue.conversation.exchange)
    dialogue.answer("2")
    dialogue.wait(TRAILING)
    numbers.append(dialogue.conversation.exchange)
    assert numbers == [0, 1, 1, 2, 2]


def test_a_stopped_answer_is_named_by_its_number() -> None:
    dialogue = Dialogue()
    assert dialogue.conversation.answer_stopped() is None
    dialogue.line("one")
    dialogue.speak("1")
    assert dialogue.conversation.answer_stopped() == 1
    dialogue.ended()
    assert dialogue.conversation.answer_stopped() == 1  # its last words may still come
    dialogue.wait(TRAILING)
    assert dialogue.conversation.answer_stopped() is None


def test_an_answer_that_the_service_ended_early_says_why() -> None:
    dialogue = Dialogue()
    dialogue.line("one")
    dialogue.message(dialogue.conversation.turn_completed(dialogue.now_s, None, "SAFETY"))
    dialogue.wait(TRAILING)
    assert Answered(1, "", asked=True, cut_off=False, reason="SAFETY") in dialogue.outcomes
