"""The order of a conversation, its utterances whole and its fragments stitched."""

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_live.output.transcript import LATE_S, Piece, Speaker, Transcript, stitch

IDEOGRAPHIC_SPACE = "\u3000"
CURLY = ("\u201c", "\u201d")
CUT = "[cut off]"


def read(items: Iterable[Piece | str]) -> list[str]:
    """Return what a transcript yields as lines of a script: `+` is more of the same utterance."""
    lines = []
    for item in items:
        if isinstance(item, Piece):
            begin = f"{item.speaker.value}:" if item.begins else "+"
            lines.append(" ".join(part for part in (begin, item.text, item.mark) if part))
        else:
            lines.append(item)
    return lines


def taken(transcript: Transcript[str], now_s: float = 0.0) -> list[str]:
    return read(transcript.take(now_s))


def pending(transcript: Transcript[str]) -> list[str]:
    return read(transcript.pending())


# Fragments


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("", "Hello", "Hello"),
        ("", " Hello ", "Hello "),
        ("", "\n\n  Hello", "Hello"),
        ("", " ", ""),
        ("Hel", "lo", "Hello"),
        ("Hello", " world", "Hello world"),
        ("Hello ", "world", "Hello world"),
        ("Hello ", " world", "Hello world"),
        ("Hello\t", "  world", "Hello\tworld"),
        ("Hello ", "", "Hello "),
        (" ", "x", " x"),
    ],
)
def test_fragments_are_joined_with_one_space_or_none(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("It is.", "Then", "It is. Then"),
        ("Is it?", "Yes", "Is it? Yes"),
        ("It is!", " Then", "It is! Then"),
        ('"It is."', "Then", '"It is." Then'),
        ("(it is.)", "Then", "(it is.) Then"),
        (f"it is.{CURLY[1]}", f"{CURLY[0]}Then", f"it is.{CURLY[1]} {CURLY[0]}Then"),
        ("It is.", "'Then'", "It is. 'Then'"),
        ("Das ist gut.", "Über", "Das ist gut. Über"),
        ("Да.", "Нет", "Да. Нет"),
        ("It is", "Then", "It isThen"),
    ],
)
def test_a_sentence_is_set_off_from_the_next(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("3.", "5", "3.5"),
        ("3.", "Five", "3.Five"),
        ("v1.", "x", "v1.x"),
        ("U.", "S.", "U.S."),
        ("example.", "com", "example.com"),
        ("it is.", '"', 'it is."'),
        ("it is.", ")", "it is.)"),
        ("it is.", ".", "it is.."),
        ("snake_.", "Case", "snake_.Case"),
    ],
)
def test_a_dot_within_a_word_or_number_ends_no_sentence(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("x:\n", "    code", "x:\n    code"),
        ("x:", "\n    code", "x:\n    code"),
        ("x:\n\n", "\tcode", "x:\n\n\tcode"),
        ("x:\n    ", "code", "x:\n    code"),
        ("It is.", "\n- Then", "It is.\n- Then"),
        ("日\n", "  本", "日\n  本"),
        ("日", "\n  本", "日\n  本"),
        ("日\n  ", "本", "日\n  本"),
    ],
)
def test_the_indentation_of_a_line_stays(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("", "今 日 は", "今日は"),
        ("你好", " 世界", "你好世界"),
        ("你好 ", "世界", "你好世界"),
        ("你好 ", " \t世 界", "你好世界"),
        ("你好", ",世界", "你好,世界"),
        ("你好", " 。", "你好。"),
        ("こん", " にちは", "こんにちは"),
        ("カタ ", "カナ", "カタカナ"),
        ("ﾊﾝ", " ｶｸ", "ﾊﾝｶｸ"),
        ("「はい。」", " 「いいえ。」", "「はい。」「いいえ。」"),
        ("ㄅ", " ㄆ", "ㄅㄆ"),
        ("𠮷", " 野", "𠮷野"),
        ("東京", f"{IDEOGRAPHIC_SPACE}大阪", f"東京{IDEOGRAPHIC_SPACE}大阪"),
    ],
)
def test_scripts_without_spaces_get_none(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("안녕", " 하세요", "안녕 하세요"),
        ("안녕 ", " 하세요", "안녕 하세요"),
        ("", "안녕 하세요", "안녕 하세요"),
        ("네.", "그래요", "네. 그래요"),
        ("日本", " GPU", "日本 GPU"),
        ("GPU ", "日本", "GPU 日本"),
        ("日本", " 한국", "日本 한국"),
        ("สวัสดี", " ครับ", "สวัสดี ครับ"),
    ],
)
def test_other_scripts_keep_theirs(text: str, fragment: str, whole: str) -> None:
    assert stitch(text, fragment) == whole


@pytest.mark.parametrize(
    ("text", "fragment", "whole"),
    [
        ("x:\n  ", "  code", "x:\n    code"),
        ("Hello.\n", "World", "Hello.\nWorld"),
        ("Wow!!", "That", "Wow!! That"),
        ("です!", "はい", "です!はい"),
    ],
)
def test_the_start_of_a_line_doubled_marks_and_marks_among_scripts_without_spaces_are_seen(
    text: str, fragment: str, whole: str
) -> None:
    assert stitch(text, fragment) == whole


@settings(deadline=None)
@given(st.text(), st.lists(st.text()))
def test_stitching_changes_nothing_but_spaces(text: str, fragments: list[str]) -> None:
    whole = text
    for fragment in fragments:
        whole = stitch(whole, fragment)
    assert "".join(whole.split()) == "".join((text + "".join(fragments)).split())


@settings(deadline=None)
@given(st.text(), st.text())
def test_stitching_leaves_whole_lines_alone(text: str, fragment: str) -> None:
    lines = text[: text.rfind("\n") + 1]
    assert stitch(text, fragment).startswith(lines)


# A conversation


def test_a_typed_question_and_its_answer() -> None:
    transcript = Transcript[str]()
    transcript.typed("what?")
    assert taken(transcript) == ["you: what?"]
    transcript.words("This", 0.0)
    transcript.words(" and that.", 0.5)
    assert taken(transcript, 0.5) == []
    assert pending(transcript) == ["gemini: This and that."]
    transcript.answered()
    assert pending(transcript) == ["gemini: This and that."]
    assert taken(transcript, 1.0) == ["gemini: This and that."]
    assert (taken(transcript, 9.0), pending(transcript)) == ([], [])


def test_what_was_typed_stays_as_it_is() -> None:
    transcript = Transcript[str]()
    transcript.typed("  one\n  今 日  ")
    assert taken(transcript) == ["you:   one\n  今 日"]


def test_words_of_the_user_grow_until_they_are_answered() -> None:
    transcript = Transcript[str]()
    transcript.heard("how", late=False)
    transcript.heard(" are", late=False)
    assert (taken(transcript, 100.0), pending(transcript)) == ([], ["you: how are"])
    transcript.heard(" you", late=False)
    transcript.words("Fine.", 100.0)
    assert pending(transcript) == ["you: how are you", "gemini: Fine."]
    transcript.answered()
    assert taken(transcript, 100.1) == ["you: how are you", "gemini: Fine."]


def test_words_of_the_user_that_are_late_for_a_sound_without_words_are_words_before_it() -> None:
    transcript = Transcript[str]()
    transcript.heard("Hel", late=False)
    transcript.heard("lo", late=True)
    transcript.words("Hi", 0.0)
    transcript.answered()
    assert taken(transcript, 0.0) == ["you: Hello", "gemini: Hi"]


def test_late_words_of_the_user_stand_before_the_answer() -> None:
    transcript = Transcript[str]()
    transcript.heard("how", late=False)
    transcript.words("Fi", 0.0)
    transcript.heard(" are you", late=True)
    transcript.words("ne.", 0.5)
    assert taken(transcript, 0.5) == []
    transcript.answered()
    assert taken(transcript, 1.0) == ["you: how are you", "gemini: Fine."]


def test_words_of_the_user_may_all_be_late() -> None:
    transcript = Transcript[str]()
    transcript.words("Fine.", 0.0)
    assert (taken(transcript, 0.0), pending(transcript)) == ([], ["gemini: Fine."])
    transcript.heard("how are you", late=True)
    transcript.answered()
    assert taken(transcript, 0.5) == ["you: how are you", "gemini: Fine."]


def test_an_answer_to_nothing_that_was_written_down_stands_alone() -> None:
    transcript = Transcript[str]()
    transcript.words("Hello!", 0.0)
    transcript.answered()
    assert taken(transcript, 0.5) == ["gemini: Hello!"]


def test_late_words_are_waited_for_no_longer_than_they_may_take() -> None:
    transcript = Transcript[str]()
    transcript.heard("how", late=False)
    transcript.words("It is\nlong", 10.0)
    assert taken(transcript, 10.0 + LATE_S - 0.01) == []
    assert taken(transcript, 10.0 + LATE_S) == ["you: how", "gemini: It is"]


def test_words_that_come_later_than_that_are_new_ones() -> None:
    transcript = Transcript[str]()
    transcript.heard("how", late=False)
    transcript.words("It is", 0.0)
    assert taken(transcript, LATE_S) == ["you: how"]
    transcript.heard("stop", late=True)
    transcript.answered()
    assert taken(transcript, LATE_S) == ["gemini: It is"]
    assert pending(transcript) == ["you: stop"]


def test_barging_in_begins_another_utterance_after_the_answer() -> None:
    transcript = Transcript[str]()
    transcript.heard("count", late=False)
    transcript.words("One, two", 0.0)
    transcript.heard("stop", late=False)
    transcript.words(", three", 3.0)
    assert pending(transcript) == ["you: count", "gemini: One, two, three", "you: stop"]
    transcript.heard(" it", late=False)
    transcript.answered(CUT)
    assert taken(transcript, 3.5) == ["you: count", "gemini: One, two, three [cut off]"]
    transcript.words("Fine.", 4.0)
    transcript.answered()
    assert taken(transcript, 4.5) == ["you: stop it", "gemini: Fine."]


def test_a_line_that_is_typed_during_an_answer_stands_after_it() -> None:
    transcript = Transcript[str]()
    transcript.typed("count")
    transcript.words("One,", 0.0)
    transcript.typed("stop")
    transcript.words(" two", 0.5)
    assert taken(transcript, 0.5) == ["you: count"]
    assert pending(transcript) == ["gemini: One, two", "you: stop"]
    transcript.answered(CUT)
    transcript.words("Fine.", 1.0)
    assert taken(transcript, 1.0) == ["gemini: One, two [cut off]", "you: stop"]
    transcript.answered()
    assert taken(transcript, 1.0) == ["gemini: Fine."]


def test_nothing_is_waited_for_before_the_answer_to_a_typed_line() -> None:
    transcript = Transcript[str]()
    transcript.typed("write")
    transcript.words("One\ntwo", 0.0)
    assert taken(transcript, 0.0) == ["you: write", "gemini: One"]


def test_what_is_said_while_a_typed_line_is_answered_is_the_next_question() -> None:
    transcript = Transcript[str]()
    transcript.typed("count")
    transcript.words("One", 0.0)
    transcript.heard("and then", late=False)
    transcript.answered()
    assert taken(transcript, 0.0) == ["you: count", "gemini: One"]
    transcript.words("Two", 1.0)
    transcript.heard("?", late=True)
    transcript.answered()
    assert taken(transcript, 1.0) == ["you: and then?", "gemini: Two"]


def test_an_answer_to_a_typed_line_does_not_make_the_next_one_typed() -> None:
    transcript = Transcript[str]()
    transcript.typed("count")
    transcript.words("One", 0.0)
    transcript.answered()
    transcript.words("Two\n", 5.0)
    assert taken(transcript, 5.0) == ["you: count", "gemini: One"]
    transcript.heard("go on", late=True)
    assert taken(transcript, 5.0 + LATE_S) == ["you: go on", "gemini: Two"]


def test_an_answer_of_silence_settles_what_was_said() -> None:
    transcript = Transcript[str]()
    transcript.heard("never mind", late=False)
    transcript.answered()
    assert taken(transcript) == ["you: never mind"]
    transcript.heard("but", late=False)
    assert pending(transcript) == ["you: but"]


def test_an_answer_of_silence_to_a_typed_line_is_no_answer_to_what_is_said_next() -> None:
    transcript = Transcript[str]()
    transcript.typed("quiet")
    transcript.answered(CUT)
    transcript.words("Yes?\n", 1.0)
    assert taken(transcript, 1.0) == ["you: quiet", "gemini: [cut off]"]
    transcript.heard("hey", late=True)
    transcript.answered()
    assert taken(transcript, 1.0) == ["you: hey", "gemini: Yes?"]


def test_the_end_of_an_answer_settles_it_though_late_words_might_come() -> None:
    transcript = Transcript[str]()
    transcript.heard("hi", late=False)
    transcript.words("Hello.", 0.0)
    transcript.answered()
    assert taken(transcript, 0.0) == ["you: hi", "gemini: Hello."]


def test_late_words_of_the_model_stand_where_they_came_with_their_mark() -> None:
    transcript = Transcript[str]()
    transcript.typed("count")
    transcript.words("One", 0.0)
    transcript.answered()
    transcript.typed("more")
    transcript.late_words(" two ", "[late]")
    assert taken(transcript) == ["you: count", "gemini: One", "you: more", "gemini: two [late]"]


# What is done


def test_a_note_stands_after_what_was_said_before_it() -> None:
    transcript = Transcript[str]()
    transcript.typed("search")
    transcript.words("Well", 0.0)
    transcript.note("source")
    assert taken(transcript, 0.0) == ["you: search"]
    assert pending(transcript) == ["gemini: Well", "source"]
    transcript.words(", yes.", 0.1)
    transcript.answered()
    assert taken(transcript, 0.2) == ["gemini: Well, yes.", "source"]


def test_a_note_of_itself_waits_for_nothing() -> None:
    transcript = Transcript[str]()
    transcript.note("source")
    assert (taken(transcript), taken(transcript)) == (["source"], [])


def test_an_act_parts_what_is_said_before_it_from_what_is_said_after_it() -> None:
    transcript = Transcript[str]()
    transcript.typed("dim the lights")
    transcript.words("I will.", 0.0)
    transcript.act("call", 0.1)
    assert taken(transcript, 0.1) == ["you: dim the lights", "gemini: I will.", "call"]
    transcript.note("result")
    transcript.words("Done.", 0.2)
    assert taken(transcript, 0.2) == ["result"]
    transcript.answered()
    assert taken(transcript, 0.3) == ["gemini: Done."]


def test_an_act_may_be_the_beginning_of_an_answer() -> None:
    transcript = Transcript[str]()
    transcript.heard("dim", late=False)
    transcript.act("call", 0.0)
    transcript.heard(" the lights", late=True)
    assert taken(transcript, 0.0) == []
    assert pending(transcript) == ["you: dim the lights", "call"]
    assert taken(transcript, LATE_S) == ["you: dim the lights", "call"]
    transcript.answered()
    assert taken(transcript, LATE_S) == []


def test_an_answer_that_begins_anew_ends_its_words_with_a_mark() -> None:
    transcript = Transcript[str]()
    transcript.typed("count")
    transcript.words("One, t", 0.0)
    transcript.restarted("[anew]")
    transcript.words("One, two.", 9.0)
    assert taken(transcript, 9.0) == ["you: count", "gemini: One, t [anew]"]
    transcript.answered()
    assert taken(transcript, 9.0) == ["gemini: One, two."]


def test_an_answer_that_had_not_begun_begins_anew_without_a_word() -> None:
    transcript = Transcript[str]()
    transcript.typed("count")
    transcript.restarted("[anew]")
    transcript.words("One.", 9.0)
    transcript.answered()
    assert taken(transcript, 9.0) == ["you: count", "gemini: One."]


def test_an_answer_that_is_cut_off_in_an_act_says_so() -> None:
    transcript = Transcript[str]()
    transcript.typed("dim the lights")
    transcript.words("I will.", 0.0)
    transcript.act("call", 0.1)
    transcript.answered(CUT)
    assert taken(transcript, 0.2) == ["you: dim the lights", "gemini: I will.", "call", "gemini: [cut off]"]


def test_an_answer_that_ends_by_itself_after_an_act_says_nothing() -> None:
    transcript = Transcript[str]()
    transcript.typed("dim the lights")
    transcript.act("call", 0.1)
    transcript.answered()
    assert taken(transcript, 0.2) == ["you: dim the lights", "call"]


# A long answer


def test_whole_lines_of_a_long_answer_come_out_while_it_goes_on() -> None:
    transcript = Transcript[str]()
    transcript.typed("write")
    transcript.words("One\nt", 0.0)
    assert taken(transcript) == ["you: write", "gemini: One"]
    assert pending(transcript) == ["+ t"]
    transcript.words("wo\n", 0.0)
    assert pending(transcript) == ["+ two"]
    assert taken(transcript) == ["+ two"]
    assert (taken(transcript), pending(transcript)) == ([], [])
    transcript.words("    three\n\nfour\nfive", 0.0)
    assert taken(transcript) == ["+     three\n\nfour"]
    transcript.answered()
    assert taken(transcript) == ["+ five"]


def test_an_empty_line_comes_out_too() -> None:
    transcript = Transcript[str]()
    transcript.typed("write")
    transcript.words("One\n", 0.0)
    assert taken(transcript) == ["you: write", "gemini: One"]
    transcript.words("\n", 0.0)
    assert taken(transcript) == []  # it may be the end
    transcript.words("two", 0.0)
    assert list(transcript.take(0.0)) == [Piece(Speaker.MODEL, "", "", begins=False)]
    transcript.answered()
    assert taken(transcript) == ["+ two"]


def test_empty_lines_at_the_end_of_an_answer_do_not_come_out() -> None:
    transcript = Transcript[str]()
    transcript.typed("write")
    transcript.words("One\n\n", 0.0)
    assert taken(transcript) == ["you: write", "gemini: One"]
    transcript.words(" \n", 0.0)
    transcript.answered()
    assert taken(transcript) == []


@pytest.mark.parametrize(
    ("before", "after", "is_apart"),
    [("Wait.", "It is noon", True), ("ok", "\n", True), ("I am look", "ing it up", False), ("ok", " then", False)],
)
def test_what_is_said_after_something_was_done_may_be_apart_from_what_was_said_before(
    before: str, after: str, is_apart: bool
) -> None:
    transcript = Transcript[str]()
    transcript.typed("go")
    transcript.words(before, 0.0)
    transcript.note("done")
    transcript.words(after, 0.0)
    transcript.words("!", 0.0)
    transcript.answered()
    whole = (
        [f"gemini: {before}", "done", f"gemini: {after.strip()}!"]
        if is_apart
        else [f"gemini: {before}{after}!", "done"]
    )
    assert taken(transcript) == ["you: go", *whole]


@pytest.mark.parametrize(
    ("after_s", "heard", "unheard"),
    [
        (0.0, "", "One two three four five six"),
        (1.0, "One two", "three four five six"),  # a word is heard whole
        (2.0, "One two three", "four five six"),
        (2.9, "One two three four five six", ""),
        (3.0, "One two three four five six", ""),
    ],
)
def test_what_was_heard_of_an_answer_is_told_from_what_was_not(after_s: float, heard: str, unheard: str) -> None:
    transcript = Transcript[str]()
    transcript.typed("count")
    transcript.words("One two three", 10.0, queued_s=2.0)
    transcript.words(" four five six", 10.0, queued_s=3.0)
    transcript.silenced(CUT, 10.0 + after_s)
    transcript.silenced(CUT, 10.5 + after_s)  # there was nothing left to drop
    transcript.answered(CUT)
    *_, piece = transcript.take(20.0)
    assert piece == Piece(Speaker.MODEL, heard, CUT, begins=True, unheard=unheard)


def test_words_that_come_when_the_sound_was_dropped_are_not_heard() -> None:
    transcript = Transcript[str]()
    transcript.typed("count")
    transcript.words("One", 10.0)
    transcript.silenced(CUT, 11.0)
    transcript.words(" two", 11.0)
    transcript.answered(CUT)
    *_, piece = transcript.take(20.0)
    assert piece == Piece(Speaker.MODEL, "One", CUT, begins=True, unheard="two")


def test_text_without_spaces_is_cut_where_it_was_heard() -> None:
    transcript = Transcript[str]()
    transcript.typed("?")
    transcript.words("\u4e00\u4e8c\u4e09\u56db", 10.0, queued_s=4.0)
    transcript.silenced(CUT, 12.0)
    transcript.answered(CUT)
    *_, piece = transcript.take(20.0)
    assert piece == Piece(Speaker.MODEL, "\u4e00\u4e8c", CUT, begins=True, unheard="\u4e09\u56db")


def test_lines_that_are_out_stay_where_they_are_though_they_were_not_heard() -> None:
    transcript = Transcript[str]()
    transcript.typed("?")
    transcript.words("One two\nthree", 10.0, queued_s=9.0)
    assert taken(transcript) == ["you: ?", "gemini: One two"]
    transcript.silenced(CUT, 10.0)
    transcript.answered(CUT)
    assert list(transcript.take(20.0)) == [Piece(Speaker.MODEL, "", CUT, begins=False, unheard="three")]


def test_where_nothing_is_said_nothing_can_be_silenced() -> None:
    transcript = Transcript[str]()
    transcript.silenced(CUT, 0.0)
    transcript.typed("?")
    transcript.words("One", 1.0)
    transcript.answered(CUT)
    assert taken(transcript) == ["you: ?", "gemini: One [cut off]"]


def test_an_answer_whose_lines_are_all_out_ends_without_a_word() -> None:
    transcript = Transcript[str]()
    transcript.typed("write")
    transcript.words("One\n", 0.0)
    assert taken(transcript) == ["you: write", "gemini: One"]
    transcript.answered()
    assert taken(transcript) == []


def test_an_answer_whose_lines_are_all_out_is_marked_still() -> None:
    transcript = Transcript[str]()
    transcript.typed("write")
    transcript.words("One\n", 0.0)
    assert taken(transcript) == ["you: write", "gemini: One"]
    transcript.answered(CUT)
    assert taken(transcript) == ["+ [cut off]"]


def test_lines_of_the_user_wait_for_their_end() -> None:
    transcript = Transcript[str]()
    transcript.heard("one\ntwo", late=False)
    assert taken(transcript, 100.0) == []


# The end


def test_at_the_end_everything_comes_out_as_it_stands() -> None:
    transcript = Transcript[str]()
    transcript.heard("count", late=False)
    transcript.words("One,", 0.0)
    transcript.note("source")
    transcript.heard("sto", late=False)
    assert taken(transcript, 0.0) == []
    transcript.settle("")
    assert taken(transcript, 0.0) == ["you: count", "gemini: One,", "source", "you: sto"]


def test_what_comes_after_the_end_is_something_new() -> None:
    transcript = Transcript[str]()
    transcript.heard("count", late=False)
    transcript.words("One", 0.0)
    transcript.settle("")
    transcript.heard("hello", late=True)
    transcript.words("Two", 1.0)
    transcript.answered()
    assert taken(transcript, 1.0) == ["you: count", "gemini: One", "you: hello", "gemini: Two"]


def test_the_end_of_nothing_is_nothing() -> None:
    transcript = Transcript[str]()
    transcript.settle("")
    assert (taken(transcript), pending(transcript)) == ([], [])


# Whatever happens

SAID = ("typed", "heard", "heard late", "words", "late words", "note", "act")
spaces = st.sampled_from(["", " ", "\n", "\n\n", " \n  "])
happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(SAID), spaces, spaces),
        st.tuples(st.sampled_from(["restarted", "answered", "answered", "cut off", "wait", "take", "take"])),
    ),
    max_size=40,
)


class Telling:
    """A transcript that is told unique words, and what of them it has shown."""

    def __init__(self) -> None:
        self.transcript = Transcript[str]()
        self.now_s = 0.0
        self.taken: list[Piece | str] = []
        self.said: dict[str, list[str]] = {kind: [] for kind in SAID}

    def tell(self, what: str, before: str = "", after: str = "") -> str | None:
        """Let something happen; return the word that is new, if one is."""
        match what:
            case "restarted":
                self.transcript.restarted("[anew]")
            case "answered":
                self.transcript.answered()
            case "cut off":
                self.transcript.answered(CUT)
            case "wait":
                self.now_s += LATE_S
            case "take":
                self.taken += self.transcript.take(self.now_s)
            case _:
                return self._say(what, before, after)
        return None

    def _say(self, what: str, before: str, after: str) -> str:
        word = f"{what.replace(' ', '_')}_{len(self.said[what])};"
        self.said[what].append(word)
        text = f"{before}{word}{after}"
        match what:
            case "typed":
                self.transcript.typed(text)
            case "heard":
                self.transcript.heard(text, late=False)
            case "heard late":
                self.transcript.heard(text, late=True)
            case "words":
                self.transcript.words(text, self.now_s)
            case "late words":
                self.transcript.late_words(text, "[late]")
            case "note":
                self.transcript.note(word)
            case "act":
                self.transcript.act(word, self.now_s)
        return word

    @property
    def out(self) -> list[str]:
        """The words that were taken."""
        return words_of(self.taken)

    @property
    def shown(self) -> list[str]:
        """The words that were taken or are pending, in the order in which a reader has them."""
        return words_of([*self.taken, *self.transcript.pending()])


def words_of(items: Iterable[Piece | str]) -> list[str]:
    return [word for item in items for word in re.findall(r"\w+;", item.text if isinstance(item, Piece) else item)]


@settings(deadline=None)
@given(happenings)
def test_whatever_happens_everything_is_shown_once_and_never_moves(happened: list[tuple[str, ...]]) -> None:
    telling = Telling()
    for what in happened:
        before, n_out = telling.shown, len(telling.out)
        word = telling.tell(*what)
        after = telling.shown
        if word is not None:
            assert word in after[n_out:]  # never into what was handed out
            after.remove(word)
        assert after == before
    before = telling.shown
    telling.transcript.settle("")
    telling.tell("take")
    assert telling.out == before
    assert not list(telling.transcript.pending())
    assert sorted(before) == sorted(word for said in telling.said.values() for word in said)


@settings(deadline=None)
@given(happenings)
def test_whatever_happens_each_kind_comes_out_in_the_order_in_which_it_was(happened: list[tuple[str, ...]]) -> None:
    telling = Telling()
    for what in happened:
        telling.tell(*what)
    telling.transcript.settle("")
    telling.tell("take")
    for kind, said in telling.said.items():
        prefix = f"{kind.replace(' ', '_')}_"
        assert [word for word in telling.out if re.fullmatch(rf"{prefix}\d+;", word)] == said


@settings(deadline=None)
@given(happenings)
def test_whatever_happens_an_utterance_is_in_one_piece_or_in_pieces_that_follow_each_other(
    happened: list[tuple[str, ...]],
) -> None:
    telling = Telling()
    for what in happened:
        telling.tell(*what)
    telling.transcript.settle("")
    telling.tell("take")
    for before, item in zip([None, *telling.taken], telling.taken, strict=False):
        if isinstance(item, Piece) and not item.begins:
            assert isinstance(before, Piece)
            assert item.speaker is before.speaker is Speaker.MODEL
            assert not before.mark


@settings(deadline=None)
@given(happenings)
def test_whatever_happens_nothing_is_pending_after_two_answers(happened: list[tuple[str, ...]]) -> None:
    telling = Telling()
    for what, *around in happened:
        telling.tell(what, *around)
    for what in ("answered", "act", "answered", "take"):
        telling.tell(what)
    assert not list(telling.transcript.pending())


# The end of what is said


def test_what_the_model_was_saying_at_the_end_is_marked() -> None:
    transcript = Transcript[str]()
    transcript.typed("a story")
    transcript.words("Once upon", 0.0)
    transcript.settle("[unfinished]")
    assert taken(transcript, 0.0) == ["you: a story", "gemini: Once upon [unfinished]"]


def test_an_answer_that_is_stopped_takes_no_more_words_and_the_next_one_does() -> None:
    transcript = Transcript[str]()
    transcript.typed("count")
    transcript.words("One, two,", 0.0)
    transcript.stopped("[stopped]")
    transcript.words(" three.", 0.0)
    transcript.answered("[cut off]")
    transcript.typed("again")
    transcript.words("One.", 1.0)
    transcript.answered()
    assert taken(transcript, 1.0) == ["you: count", "gemini: One, two, [stopped]", "you: again", "gemini: One."]


def test_where_nothing_is_said_there_is_nothing_to_stop() -> None:
    transcript = Transcript[str]()
    transcript.typed("hello")
    transcript.stopped("[stopped]")
    transcript.words("Hi.", 0.0)
    transcript.answered()
    assert taken(transcript, 0.0) == ["you: hello", "gemini: Hi."]


def test_what_the_user_says_after_speech_that_was_lost_is_another_utterance() -> None:
    transcript = Transcript[str]()
    transcript.heard("What is the capital of", late=False)
    transcript.speech_lost()
    transcript.heard("How are you?", late=False)
    transcript.words("Fine.", 0.0)
    transcript.answered()
    assert taken(transcript, 0.0) == ["you: What is the capital of", "you: How are you?", "gemini: Fine."]
