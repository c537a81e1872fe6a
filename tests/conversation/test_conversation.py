"""The contract of `conversation.py`, one order of messages after the other: what is answered, what is warned of.

Each order is a dialogue between a user and a server over parser, dispatcher and conversation (`client.py`).
"""

from collections.abc import Callable

import pytest

from gemini_live.conversation.history import MAX_HISTORY_CHARS, MAX_HISTORY_EXCHANGES
from gemini_live.conversation.outcomes import Exchange, LateWords, Restarted, SpeechLost, Unfinished
from gemini_live.output.events import Thought

from .client import END, ENDED, GENERATED, INTERRUPTED, START, Client, call, content, speech, transcript, words

THINKING, LIVE_3_1, LIVE_2_5, TRANSLATE, TRANSCRIBE = (
    "gemini-3.8-live-extended-thinking",
    "gemini-3.1-flash-live-preview",
    "gemini-2.5-flash-native-audio-latest",
    "gemini-3.5-live-translate-preview",
    "gemini-3.5-transcribe-live",
)
IDLE = content(turnComplete=True, interactionStatus="IDLE")
PAUSED = content(turnComplete=True, interactionStatus="IN_PROGRESS")
REJECTED = content(turnComplete=True, turnCompleteReason="RESPONSE_REJECTED")
HANDLE = {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}}
WAITS = content(waitingForInput=True)
CANCEL = {"toolCallCancellation": {"ids": ["c"]}}


def answer(text: str) -> tuple[dict[str, object], ...]:
    """Return the messages of a whole turn."""
    return speech(text), GENERATED, ENDED


# One line of a pipe


def one_turn(client: Client) -> None:
    client.receive(*answer("Hi."))


def words_without_sound(client: Client) -> None:
    client.receive(words("Hi."), GENERATED, ENDED)


def empty_messages_before_the_answer(client: Client) -> None:
    client.receive({}, content(), {}, *answer("Hi."))


def no_turn_complete(client: Client) -> None:
    client.receive(speech("Hi.", 3.0), GENERATED)
    client.wait(7.9)
    assert client.answers == []
    client.wait(0.2)


def trailing_words(client: Client) -> None:
    client.receive(speech("H"), GENERATED, ENDED)
    client.wait(0.09)
    client.receive(words("i."))


def blocking_call(client: Client) -> None:
    client.receive(call("c"))
    client.wait(40)
    client.finish_call("c")
    client.receive(*answer("Hi."))


def fragment_between_call_and_result(client: Client) -> None:
    client.receive(call("c"), words("H"))
    client.finish_call("c")
    client.receive(words(" i."), ENDED)


def call_whose_turn_ends_with_it(client: Client) -> None:
    client.receive(call("c"), GENERATED, ENDED)
    client.finish_call("c")
    client.receive(ENDED)
    client.wait(3)
    client.receive(*answer("Hi."))


def call_whose_turn_ends_after_the_result(client: Client) -> None:
    client.receive(call("c"))
    client.finish_call("c")
    client.receive(GENERATED, ENDED, ENDED)
    client.wait(3)
    client.receive(*answer("Hi."))


def speech_beside_a_call_that_the_result_interrupts(client: Client) -> None:
    client.receive(call("c"), speech("One moment."), GENERATED)
    client.finish_call("c")
    client.receive(INTERRUPTED, ENDED)
    client.wait(1)
    client.receive(*answer("Hi."))


def speech_beside_a_call_that_ends_first(client: Client) -> None:
    client.receive(call("c"), speech("One "))
    client.finish_call("c")
    client.receive(speech("moment."), GENERATED, ENDED)
    client.wait(5)
    client.receive(*answer("Hi."))


def silent_result(client: Client) -> None:
    client.receive(call("c"), speech("Hi."), GENERATED, ENDED)
    client.finish_call("c", silent=True)


def silent_result_before_the_end(client: Client) -> None:
    client.receive(call("c"), speech("Hi."))
    client.finish_call("c", silent=True)
    client.receive(GENERATED, ENDED)


def silent_result_without_words(client: Client) -> None:
    client.receive(call("c"), ENDED)
    client.finish_call("c", silent=True)


def words_before_a_call_that_the_server_cancels(client: Client) -> None:
    client.receive(speech("Hi."), call("c"), CANCEL)
    client.wait(6)


def call_that_the_server_cancels_and_makes_again(client: Client) -> None:
    client.receive(call("c"))
    client.wait(12)
    client.receive(CANCEL, call("c"))
    client.finish_call("c")
    client.receive(*answer("Hi."))


def two_calls_without_ids(client: Client) -> None:
    client.receive(call("", ""))
    client.finish_call("")
    client.receive(ENDED)
    client.wait(18)
    assert client.answers == []
    client.finish_call("")
    client.receive(*answer("Hi."))


def interrupted_by_nobody(client: Client) -> None:
    client.receive(speech("One "), INTERRUPTED, ENDED)
    client.wait(4)
    client.receive(*answer("two."))


def interrupted_by_nobody_for_good(client: Client) -> None:
    client.receive(speech("Hi."), INTERRUPTED, ENDED)
    client.wait(6)


def interruption_of_the_answer_before(client: Client) -> None:
    client.receive(INTERRUPTED, ENDED)
    client.wait(1)
    client.receive(*answer("Hi."))


def two_empty_turns_before_the_answer(client: Client) -> None:
    client.receive(ENDED)
    client.wait(3)
    client.receive(ENDED)
    client.wait(2)
    client.receive(*answer("Hi."))


def stray_text_beside_the_answer(client: Client) -> None:
    client.receive(content(modelTurn={"parts": [{"text": "thinking"}]}), *answer("Hi."))
    assert client.all_of(Thought) == ["thinking"]


@pytest.mark.parametrize(
    ("play", "text"),
    [
        (one_turn, "Hi."),
        (words_without_sound, "Hi."),
        (empty_messages_before_the_answer, "Hi."),
        (no_turn_complete, "Hi."),
        (trailing_words, "Hi."),
        (blocking_call, "Hi."),
        (fragment_between_call_and_result, "H i."),
        (call_whose_turn_ends_with_it, "Hi."),
        (call_whose_turn_ends_after_the_result, "Hi."),
        (speech_beside_a_call_that_the_result_interrupts, "One moment.\nHi."),
        (speech_beside_a_call_that_ends_first, "One moment.\nHi."),
        (silent_result, "Hi."),
        (silent_result_before_the_end, "Hi."),
        (silent_result_without_words, ""),
        (words_before_a_call_that_the_server_cancels, "Hi.~"),
        (call_that_the_server_cancels_and_makes_again, "Hi."),
        (two_calls_without_ids, "Hi."),
        (interrupted_by_nobody, "One two."),
        (interrupted_by_nobody_for_good, "Hi.~"),
        (interruption_of_the_answer_before, "Hi."),
        (two_empty_turns_before_the_answer, "Hi."),
        (stray_text_beside_the_answer, "Hi."),
    ],
)
@pytest.mark.parametrize("model", ["gemini-3.8-live", LIVE_3_1, LIVE_2_5])
def test_a_line_is_answered_once_without_a_warning(model: str, play: Callable[[Client], None], text: str) -> None:
    client = Client(model)
    client.pipe("one", "two")
    play(client)
    client.wait(0.6)
    assert client.answers == [f"one: {text}"]
    assert client.asked == ["one", "two"]
    client.receive(*answer("Second."))
    client.end_inputs()
    client.wait(0.6)
    assert client.answers == [f"one: {text}", "two: Second."]
    assert client.warnings == []
    assert client.exit_code == 0
    assert client.is_over


# Questions that nothing answers


def test_a_line_that_brings_an_empty_turn_is_sent_once_more_after_8_s() -> None:
    client = Client()
    client.pipe("one")
    client.receive(ENDED)
    client.wait(7.9)
    assert client.asked == ["one"]
    client.wait(0.2)
    assert client.asked == ["one", "one"]
    client.receive(*answer("Hi."))
    client.wait(1)
    assert client.answers == ["one: Hi."]
    assert client.exit_code == 0


def test_a_line_that_brings_two_empty_turns_is_reported_and_the_next_one_asked() -> None:
    client = Client()
    client.pipe("one", "two")
    client.receive(ENDED)
    client.wait(9)
    client.receive(ENDED)
    client.wait(9)
    assert client.asked == ["one", "one", "two"]
    client.receive(*answer("Hi."))
    client.end_inputs()
    client.wait(1)
    assert client.answers == ["one: ", "two: Hi."]
    assert client.warnings == ["no answer came to: one"]
    assert client.exit_code == 4
    assert client.is_over


def test_a_line_is_sent_once_more_if_no_message_comes_for_15_s_and_the_connection_given_up_60_s_later() -> None:
    client, lost = Client(LIVE_3_1), []
    client.on_silence = lambda: lost.append(client.now_s)
    client.pipe("one")
    began_s = client.now_s
    while client.now_s < began_s + 14:
        client.wait(1)
        client.receive(HANDLE)  # handles come all the time, whatever was asked
    client.wait(1.1)
    assert client.asked == ["one", "one"]
    client.wait(60)
    assert lost == [began_s + 75]


def test_a_long_thinker_has_30_s_before_the_line_is_sent_once_more() -> None:
    client = Client(THINKING)
    client.pipe("one")
    client.wait(29)
    assert client.asked == ["one"]
    client.wait(2)
    assert client.asked == ["one", "one"]


def test_a_rejected_turn_is_no_answer() -> None:
    client = Client()
    client.pipe("one")
    client.receive(REJECTED)
    assert client.answers == ["one: "]
    assert client.exit_code == 4
    client = Client()
    client.pipe("one")
    client.receive(speech("I "), REJECTED)
    client.wait(1)
    assert client.answers == ["one: I "]
    assert client.exit_code == 4


def test_a_call_whose_result_nothing_follows_is_no_answer_after_15_s() -> None:
    client = Client()
    client.pipe("one")
    client.receive(call("c"))
    client.finish_call("c")
    client.wait(14.9)
    assert client.answers == []
    client.wait(0.2)
    assert client.answers == ["one: "]
    assert client.exit_code == 4


def test_words_before_a_result_that_nothing_follows_are_the_answer_with_a_warning() -> None:
    client = Client()
    client.pipe("one")
    client.receive(speech("Hm."), call("c"))
    client.finish_call("c")
    client.wait(16)
    assert client.answers == ["one: Hm."]
    assert client.warnings == ["no answer followed the function call"]
    assert client.exit_code == 0


def test_text_that_a_speaking_model_only_wrote_is_the_answer_with_a_warning() -> None:
    client = Client()
    client.pipe("one")
    client.receive(content(modelTurn={"parts": [{"text": "Hi."}]}), GENERATED, ENDED)
    client.wait(1)
    assert client.answers == ["one: Hi."]
    assert client.warnings == ["the model wrote this answer instead of speaking it"]
    assert client.exit_code == 0


def test_speech_that_is_transcribed_and_never_answered_is_reported() -> None:
    client = Client()
    client.speak()
    client.receive(transcript("Hello?"))
    client.wait(20)
    assert client.answers == ["?: "]
    assert client.warnings == ["no answer came to: Hello?"]
    client.end_audio(by_hand=True)
    client.wait(3)
    assert client.exit_code == 4
    assert client.is_over


@pytest.mark.parametrize(
    "messages",
    [
        (WAITS,),
        (WAITS, ENDED),
        (ENDED, WAITS),
        (content(waitingForInput=True, turnComplete=True),),
        (content(turnComplete=True, turnCompleteReason="NEED_MORE_INPUT"),),
    ],
)
def test_a_line_to_which_the_model_only_waits_for_more_is_not_sent_again_but_reported(
    messages: tuple[dict[str, object], ...],
) -> None:
    client = Client()
    client.pipe("and", "one")
    client.receive(*messages)
    client.wait(9)
    assert client.asked == ["and", "one"]
    client.receive(*answer("Hi."))
    client.end_inputs()
    client.wait(1)
    assert client.answers == ["and: ", "one: Hi."]
    assert client.warnings[-1] == "no answer came to: and"
    assert client.is_over


def test_speech_to_which_the_model_waits_for_more_goes_on_whenever_the_user_does() -> None:
    client = Client()
    client.speak()
    client.receive(transcript("What is"), WAITS, ENDED)
    client.wait(60)
    assert client.answers == client.warnings == []
    client.receive(transcript(" a kiwi?"), *answer("A bird."))
    client.wait(1)
    assert client.user_words == [(1, "What is"), (1, " a kiwi?")]
    assert client.answers == ["?: A bird."]
    assert client.exit_code == 0


def test_speech_that_is_never_continued_is_reported_at_its_end() -> None:
    client = Client()
    client.speak()
    client.receive(transcript("What is"), WAITS, ENDED)
    client.end_audio()
    client.wait(11)
    assert client.warnings == ["no answer came after the end of the audio"]
    assert (client.exit_code, client.is_over) == (4, True)


@pytest.mark.parametrize("before", [answer("Hi."), (speech("Hi."), INTERRUPTED)])
def test_a_thought_after_an_answer_belongs_to_the_next_exchange(before: tuple[dict[str, object], ...]) -> None:
    client = Client(LIVE_2_5)
    client.speak()
    client.receive(transcript("One."), *before)
    thought = content(modelTurn={"parts": [{"text": "Hm.", "thought": True}]})
    client.receive(thought, *answer("Two."))
    client.wait(1)
    assert [item.exchange for item in client.written if isinstance(item, Thought)] == [2]
    assert client.answers[-1] == "?: Two."


@pytest.mark.parametrize("model", ["gemini-3.8-live", LIVE_2_5, TRANSLATE, TRANSCRIBE])
def test_a_file_without_any_answer_is_reported(model: str) -> None:
    client = Client(model)
    client.speak()
    client.end_audio()
    client.wait(11)
    assert client.warnings == ["no answer came after the end of the audio"]
    assert client.exit_code == 4
    assert client.is_over


def test_closing_the_microphone_after_silence_ends_soon_and_quietly() -> None:
    client = Client()
    client.speak(is_detected=False)
    client.end_audio(by_hand=True)
    client.wait(2.1)
    assert client.is_over
    assert (client.warnings, client.exit_code) == ([], 0)


# Speech


@pytest.mark.parametrize("is_detected", [True, False])
@pytest.mark.parametrize("late", [False, True])
def test_a_barge_in_ends_the_answer_and_has_its_own_whenever_its_transcript_comes(
    *, is_detected: bool, late: bool
) -> None:
    client = Client()
    client.speak()
    client.receive(transcript("question one"), speech("First "))
    client.wait(1)
    client.speak(is_detected=is_detected)
    client.receive(INTERRUPTED)
    client.wait(0.2)
    client.receive(ENDED)
    client.wait(1)
    question = transcript("stop, question two")
    client.receive(*([speech("Second."), question] if late else [question, speech("Second.")]))
    client.end_audio()
    client.receive(GENERATED, ENDED)
    client.wait(20)
    assert client.answers == ["?: First ~", "?: Second."]
    assert client.user_words == [(1, "question one"), (2, "stop, question two")]
    assert client.exit_code == 0
    assert client.is_over


def test_a_second_sentence_that_cuts_off_the_answer_before_its_first_word_joins_the_question() -> None:
    client = Client(LIVE_2_5)
    client.speak()
    client.receive(transcript(" What"), transcript(" is it?"), INTERRUPTED, ENDED, transcript(" Look it up."))
    client.receive(call("c"))
    client.finish_call("c")
    client.receive(*answer("Fog."))
    client.end_audio()
    client.wait(5)
    assert client.answers == ["?: Fog."]
    assert {exchange for exchange, _ in client.user_words} == {1}
    assert client.exit_code == 0


def test_an_answer_that_the_user_interrupts_is_not_taken_for_one_to_a_line_and_the_line_is_answered() -> None:
    client = Client()
    client.enter("one")
    client.receive(speech("First "))
    client.enter("two")
    client.receive(INTERRUPTED, ENDED, *answer("Second."))
    client.wait(1)
    assert client.answers == ["one: First ~", "two: Second."]


def test_a_line_that_waits_for_the_end_of_the_answer_before_has_its_own() -> None:
    client = Client(LIVE_2_5)
    client.enter("one")
    client.receive(speech("First."))
    client.enter("two")
    client.receive(GENERATED, ENDED)
    client.wait(1)
    client.receive(*answer("Second."))
    client.wait(1)
    assert client.answers == ["one: First.", "two: Second."]


def test_the_result_of_a_call_may_interrupt_speech_though_the_microphone_is_open() -> None:
    client = Client()
    client.speak(is_detected=False)
    client.enter("one")
    client.receive(call("c"), speech("One moment."))
    client.finish_call("c")
    client.receive(INTERRUPTED, ENDED, *answer("Done."))
    client.wait(1)
    assert client.answers == ["one: One moment.\nDone."]


def test_the_echo_of_a_typed_line_is_not_speech() -> None:
    client = Client(LIVE_3_1)
    client.enter("Hello, World!")
    client.receive(transcript("Hello,"), *answer("Hi."))
    client.speak(is_detected=False)
    client.enter("And  you?")
    client.receive(transcript("and"), transcript(" you"), *answer("Fine."), transcript("?"))
    client.wait(1)
    assert client.user_words == []
    client.receive(START, transcript("And you?"), END)
    assert client.user_words == [(3, "And you?")]


def test_the_users_words_are_not_shown_if_they_were_not_asked_for() -> None:
    client = Client(shows_user_words=False)
    client.speak()
    client.receive(transcript("Hello?"), *answer("Hi."))
    client.end_audio()
    client.wait(11)
    assert (client.user_words, client.answers, client.exit_code) == ([], ["?: Hi."], 0)


def test_a_detached_call_is_answered_and_what_follows_its_result_is_an_answer() -> None:
    client = Client()
    client.speak()
    client.enter("one")
    client.receive(call("c"))
    client.receive(START, INTERRUPTED, ENDED, transcript("Two?"), *answer("Second."))
    client.wait(3)
    assert client.answers == ["one: ~", "?: Second."]
    client.finish_call("c")
    client.receive(*answer("Third."))
    client.wait(1)
    assert client.answers[2:] == ["?: Third."]
    assert client.exit_code == 0


def test_a_silent_result_after_the_answer_to_another_result_ends_the_exchange() -> None:
    client = Client()
    client.pipe("one")
    client.receive(call("a"), call("b"), ENDED)
    client.finish_call("a")
    client.receive(speech("A is done."), GENERATED, ENDED)
    client.finish_call("b", silent=True)
    client.wait(1)
    assert client.answers == ["one: A is done."]
    assert client.warnings == []


def test_a_call_after_the_end_of_an_answer_is_run_and_its_answer_printed() -> None:
    client = Client()
    client.enter("one")
    client.receive(*answer("First."))
    client.wait(1.2)
    client.receive(call("c"))
    assert client.open_calls == [("c", 2)]
    client.finish_call("c")
    client.receive(*answer("Second."))
    client.wait(1)
    assert client.answers == ["one: First.", "?: Second."]


def test_a_call_id_that_is_used_again_for_a_later_question_is_answered() -> None:
    client = Client()
    client.pipe("one", "two")
    for _ in range(2):
        client.receive(call("c"), call("c"))  # the second is the first one sent again
        assert [call_id for call_id, _ in client.open_calls] == ["c"]
        client.finish_call("c")
        client.receive(*answer("Hi."))
        client.wait(1)
    assert client.answers == ["one: Hi.", "two: Hi."]


# Late words


def test_words_after_the_end_are_of_the_answer_while_they_may_trail_and_late_words_after_that() -> None:
    client = Client(LIVE_2_5)
    client.enter("one")
    client.receive(speech("Hi"), GENERATED, ENDED)
    client.wait(0.4)
    client.receive(words(" you"))
    client.wait(0.4)
    assert client.answers == []
    client.wait(0.2)
    assert client.answers == ["one: Hi you"]
    client.receive(words(" two"))
    assert client.all_of(LateWords) == [" two"]
    client.conversation.handle_refused()
    assert client.conversation.connect().history == (Exchange("one", "Hi you two"),)


def test_words_before_the_first_sound_are_of_the_next_answer_once_words_no_longer_trail() -> None:
    client = Client(LIVE_2_5)
    client.pipe("one", "two")
    client.receive(*answer("Hi."))
    client.wait(0.6)
    client.receive(words("Second."), speech(), GENERATED, ENDED)
    client.wait(0.6)
    assert client.answers == ["one: Hi.", "two: Second."]


# Extended thinking


@pytest.mark.parametrize("pause", [PAUSED, ENDED])
def test_an_end_in_progress_or_without_status_is_no_end_of_a_long_thinkers_answer(pause: dict[str, object]) -> None:
    client = Client(THINKING)
    client.pipe("one")
    client.receive(speech("Let me see."), GENERATED, pause)
    client.wait(20)
    client.receive(call("c"))
    client.finish_call("c")
    client.wait(20)
    client.receive(speech("It is fog."), GENERATED, IDLE)
    client.wait(0.2)
    assert client.answers == ["one: Let me see.\nIt is fog."]


def test_an_end_without_status_is_one_after_the_answer_to_a_call_or_30_s_later_or_without_functions() -> None:
    client = Client(THINKING)
    client.pipe("one", "two")
    client.receive(call("c"))
    client.finish_call("c")
    client.receive(*answer("Fog."))
    client.wait(0.2)
    assert client.answers == ["one: Fog."]
    client.receive(*answer("Rain."))
    client.wait(29)
    assert len(client.answers) == 1
    client.wait(2)
    assert client.answers[1:] == ["two: Rain."]
    client = Client(THINKING, has_functions=False)
    client.pipe("one")
    client.receive(*answer("Fog."))
    client.wait(0.2)
    assert client.answers == ["one: Fog."]


# Models that only listen


def test_a_translation_that_never_ends_a_turn_is_complete_when_it_is_quiet() -> None:
    client = Client(TRANSLATE)
    client.speak()
    client.receive(transcript("Guten Tag."), speech("Good "), speech("day."))
    client.end_audio()
    client.wait(10)
    assert client.answers == ["?: Good day."]
    assert (client.warnings, client.exit_code) == ([], 0)
    assert client.is_over


def test_a_transcription_is_the_answer() -> None:
    client = Client(TRANSCRIBE)
    client.speak()
    client.receive(transcript("Good day."))
    client.end_audio()
    client.receive(transcript(" Bye."), GENERATED)
    client.wait(6)
    assert client.answers == ["?: Good day. Bye."]
    assert client.is_over


# The end of a session


def test_the_last_answer_waits_for_the_end_of_its_turn_which_brings_the_usage() -> None:
    """The service ends a turn when its sound would have been played, whether or not it is."""
    client = Client()
    client.pipe("one")
    client.end_inputs()
    client.receive(speech("Hi.", 30.0), GENERATED)
    client.wait(34.9)
    assert client.answers == []
    assert not client.is_over
    client.wait(0.2)
    assert client.answers == ["one: Hi."]
    assert client.is_over


def test_no_more_is_asked_after_the_number_of_complete_answers() -> None:
    client = Client(turns=1)
    client.pipe("one", "two")
    client.receive(*answer("Hi."))
    client.wait(1)
    assert client.asked == ["one"]
    assert client.is_over


# Connections


def test_what_was_asked_and_not_answered_is_asked_again_in_order_and_its_words_discarded() -> None:
    client = Client(LIVE_2_5)
    client.enter("one", "two")
    client.receive(speech("Fir"))
    client.lose_connection()
    assert client.all_of(Restarted) == ["Fir"]
    client.receive(*answer("First."))
    client.wait(1)
    client.receive(*answer("Second."))
    client.wait(1)
    assert client.asked == ["one", "two", "one", "two"]
    assert client.answers == ["one: First.", "two: Second."]


@pytest.mark.parametrize("state", ["generated", "interrupted by the user", "trailing"])
def test_an_answer_whose_words_are_all_there_is_not_asked_for_again(state: str) -> None:
    client = Client(LIVE_2_5)
    client.enter("one")
    client.receive(speech("Hi."))
    if state == "generated":
        client.receive(GENERATED)
    elif state == "trailing":
        client.receive(GENERATED, ENDED)
    else:
        client.speak()
        client.receive(INTERRUPTED)
    client.lose_connection()
    assert client.answers[0].startswith("one: Hi.")
    assert client.asked == ["one"]


def test_speech_that_a_lost_connection_leaves_unanswered_is_reported() -> None:
    client = Client()
    client.speak()
    client.receive(transcript("Hello?"))
    client.lose_connection()
    assert SpeechLost(1) in client.written
    assert client.exit_code == 4


def test_a_resumed_session_that_knows_the_line_has_2_s_to_answer_it_before_it_is_asked_again() -> None:
    client = Client()
    client.receive(HANDLE)
    client.pipe("one", "two")
    client.lose_connection()
    assert client.opening.handle == "h"
    client.wait(1.9)
    assert client.asked == ["one"]
    client.receive(*answer("Hi."))
    client.wait(0.2)
    assert client.answers == ["one: Hi."]
    assert client.asked == ["one", "two"]
    client.lose_connection()
    client.wait(2.1)
    assert client.asked == ["one", "two", "two"]


def test_calls_that_were_open_at_a_drop_are_closed_on_the_resumed_session_before_the_line_is_asked_again() -> None:
    client = Client()
    client.receive(HANDLE)
    client.pipe("one")
    client.receive(call("c", name="lookup"))
    client.lose_connection()
    assert client.opening.stale_calls == {"c": "lookup"}
    client.receive(HANDLE)  # given at the setup, it is no newer than the answers to the calls
    client.wait(0.1)
    client.receive(ENDED)
    assert client.asked == ["one", "one"]
    client.lose_connection()
    assert client.opening.stale_calls == {"c": "lookup"}
    client.wait(3.1)
    client.receive(HANDLE)
    client.lose_connection()
    assert client.opening.stale_calls == {}


@pytest.mark.parametrize(("model", "is_kept"), [("gemini-3.8-live", True), (LIVE_3_1, False), (LIVE_2_5, False)])
def test_a_handle_outlives_the_end_of_an_answer_if_it_covers_everything(model: str, *, is_kept: bool) -> None:
    client = Client(model)
    client.receive(HANDLE)
    client.pipe("one")
    client.receive(*answer("Hi."))
    client.wait(1)
    client.lose_connection()
    assert client.opening.handle == ("h" if is_kept else None)
    assert client.opening.history == (() if is_kept else (Exchange("one", "Hi."),))


@pytest.mark.parametrize(("model", "is_trusted"), [("gemini-3.8-live", False), (LIVE_2_5, True)])
def test_a_session_that_was_told_the_conversation_is_told_again_if_it_may_lose_it(
    model: str, *, is_trusted: bool
) -> None:
    client = Client(model)
    client.pipe("one")
    client.receive(*answer("Hi."))
    client.wait(1)
    client.lose_connection()
    assert client.opening.history
    client.pipe("two")
    client.receive(*answer("Yes."), HANDLE)
    client.wait(1)
    client.receive(HANDLE)
    client.lose_connection()
    assert (client.opening.handle is not None) is is_trusted


def test_words_of_answers_that_are_never_complete_are_unfinished() -> None:
    client = Client(LIVE_2_5)
    client.enter("one", "two")
    client.receive(speech("Fir"))
    client.lose_connection()
    client.dispatcher.apply(client.conversation.unfinished())
    assert client.all_of(Unfinished) == ["Fir"]


def test_an_answer_that_the_user_stopped_is_not_asked_for_again() -> None:
    client = Client(LIVE_2_5)
    client.enter("one")
    client.receive(speech("Fir"))
    assert client.conversation.answer_stopped() == 1
    client.lose_connection()
    assert client.answers == ["one: Fir~"]
    assert client.asked == ["one"]
    assert client.exit_code == 0


def test_the_history_is_bounded_in_exchanges_and_characters() -> None:
    client = Client(LIVE_2_5)
    for i in range(MAX_HISTORY_EXCHANGES + 5):
        client.pipe(str(i))
        client.receive(*answer("Hi."))
        client.wait(1)
    opening = client.conversation.connect()
    assert (len(opening.history), opening.omitted) == (MAX_HISTORY_EXCHANGES, 5)
    client.pipe("long")
    client.receive(*answer("x" * MAX_HISTORY_CHARS))
    client.wait(1)
    opening = client.conversation.connect()
    assert [exchange.user for exchange in opening.history] == ["long"]
