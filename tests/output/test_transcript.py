"""The order of a conversation, its utterances whole and its fragments stitched."""

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_live.output.transcript import LONG_CHARS, Piece, Role, Transcript, Utterance

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


def taken(transcript: Transcript[str]) -> list[str]:
    return read(transcript.take())


def pending(transcript: Transcript[str]) -> list[str]:
    return read(transcript.pending())


# A conversation


def begin(question: str = "what?", exchange: int = 1) -> Transcript[str]:
    """Return a transcript with a typed question, whose answer is about to begin."""
    transcript = Transcript[str]()
    transcript.typed(exchange, question)
    transcript.question_complete(exchange)
    return transcript


def test_a_typed_question_and_its_answer() -> None:
    transcript = begin()
    assert taken(transcript) == ["you: what?"]
    transcript.words(1, "This", 0.0)
    transcript.words(1, " and that.", 0.5)
    assert taken(transcript) == []
    assert pending(transcript) == ["gemini: This and that."]
    transcript.answered(1)
    assert pending(transcript) == ["gemini: This and that."]
    assert taken(transcript) == ["gemini: This and that."]
    assert (taken(transcript), pending(transcript)) == ([], [])


def test_what_was_typed_stays_as_it_is() -> None:
    assert taken(begin("  one\n  今 日  ")) == ["you:   one\n  今 日"]


def test_a_spoken_question_grows_until_it_is_complete() -> None:
    transcript = Transcript[str]()
    transcript.heard(1, "how")
    transcript.heard(1, " are")
    assert (taken(transcript), pending(transcript)) == ([], ["you: how are"])
    transcript.words(1, "Fine.", 100.0)
    transcript.heard(1, " you")
    assert (taken(transcript), pending(transcript)) == ([], ["you: how are you", "gemini: Fine."])
    transcript.question_complete(1)
    assert taken(transcript) == ["you: how are you"]
    transcript.answered(1)
    assert taken(transcript) == ["gemini: Fine."]


def test_the_whole_question_may_arrive_after_the_answer_has_begun() -> None:
    transcript = Transcript[str]()
    transcript.words(1, "Fine.\nAnd", 0.0)
    transcript.act(1, "call")
    assert (taken(transcript), pending(transcript)) == ([], ["gemini: Fine.\nAnd", "call"])
    transcript.heard(1, "how are you")
    transcript.question_complete(1)
    assert taken(transcript) == ["you: how are you", "gemini: Fine.\nAnd", "call"]


def test_an_answer_completes_its_question() -> None:
    transcript = Transcript[str]()
    transcript.heard(1, "hi")
    transcript.words(1, "Hello.", 0.0)
    transcript.answered(1)
    transcript.words(2, "Hm?", 1.0)  # nothing was written down that it answers
    transcript.answered(2)
    transcript.heard(3, "never mind")
    transcript.answered(3)  # without a word
    assert taken(transcript) == ["you: hi", "gemini: Hello.", "gemini: Hm?", "you: never mind"]


@pytest.mark.parametrize("typed", [False, True])
def test_what_the_user_says_or_types_during_an_answer_stands_after_it(typed: bool) -> None:
    transcript = begin()
    transcript.words(1, "One, two", 0.0)
    (transcript.typed if typed else transcript.heard)(2, "stop")
    transcript.words(1, ", three", 3.0)
    assert taken(transcript) == ["you: what?"]
    assert pending(transcript) == ["gemini: One, two, three", "you: stop"]
    transcript.answered(1, CUT)
    transcript.words(2, "Fine.", 4.0)
    transcript.answered(2)
    assert taken(transcript) == ["gemini: One, two, three [cut off]", "you: stop", "gemini: Fine."]


def test_the_first_words_of_an_answer_may_arrive_after_the_next_question() -> None:
    transcript = Transcript[str]()
    transcript.heard(1, "count")
    transcript.heard(2, "stop")
    transcript.words(1, "One", 0.0)
    transcript.answered(1, CUT)
    transcript.answered(2)
    assert taken(transcript) == ["you: count", "gemini: One [cut off]", "you: stop"]


def test_what_the_user_says_and_types_before_an_answer_is_one_question_in_the_order_of_its_parts() -> None:
    transcript = Transcript[str]()
    transcript.heard(1, "look")
    transcript.typed(1, "https://x")
    transcript.heard(1, " at this")
    transcript.words(1, "Nice.", 0.0)
    transcript.answered(1)
    assert taken(transcript) == ["you: look at this", "you: https://x", "gemini: Nice."]


def test_words_for_an_exchange_that_was_handed_out_come_first_of_what_follows() -> None:
    transcript = begin()
    transcript.words(1, "One", 0.0)
    transcript.answered(1)
    assert taken(transcript) == ["you: what?", "gemini: One"]
    transcript.heard(2, "more")
    transcript.late_words(1, " two ", "[late]")
    assert pending(transcript) == ["gemini: two [late]", "you: more"]
    assert taken(transcript) == ["gemini: two [late]"]


def test_a_question_that_is_asked_again_is_answered_before_newer_ones() -> None:
    transcript = begin("one", exchange=1)
    transcript.words(1, "Fi", 0.0)
    transcript.restarted(1, CUT)
    transcript.heard(2, "and two?")
    transcript.question_complete(1)
    transcript.words(1, "First.", 9.0)
    transcript.answered(1)
    assert taken(transcript) == ["you: one", "gemini: Fi [cut off]", "gemini: First."]
    assert pending(transcript) == ["you: and two?"]


# What is done


def test_a_note_stands_after_what_was_said_before_it() -> None:
    transcript = begin()
    transcript.words(1, "Well", 0.0)
    transcript.note(1, "source")
    assert taken(transcript) == ["you: what?"]
    assert pending(transcript) == ["gemini: Well", "source"]
    transcript.words(1, ", yes.", 0.1)
    transcript.answered(1)
    assert taken(transcript) == ["gemini: Well, yes.", "source"]


def test_an_act_parts_what_is_said_before_it_from_what_is_said_after_it() -> None:
    transcript = begin()
    transcript.words(1, "I will.", 0.0)
    transcript.act(1, "call")
    assert taken(transcript) == ["you: what?", "gemini: I will.", "call"]
    transcript.note(1, "result")
    transcript.words(1, "Done.", 0.2)
    assert taken(transcript) == ["result"]
    transcript.answered(1)
    assert taken(transcript) == ["gemini: Done."]


def test_what_is_done_stands_in_its_exchange_whenever_it_is_told() -> None:
    transcript = begin("slow")
    transcript.act(1, "call")
    transcript.words(1, "One moment", 0.0)
    transcript.typed(2, "another")
    transcript.note(1, "result")
    transcript.answered(1)
    assert taken(transcript) == ["you: slow", "call", "gemini: One moment", "result", "you: another"]


@pytest.mark.parametrize(
    ("before", "after", "is_apart"),
    [("Wait.", "It is noon", True), ("ok", "\n", True), ("I am look", "ing it up", False), ("ok", " then", False)],
)
def test_what_is_said_after_something_was_done_may_be_apart_from_what_was_said_before(
    before: str, after: str, is_apart: bool
) -> None:
    transcript = begin()
    transcript.words(1, before, 0.0)
    transcript.note(1, "done")
    transcript.words(1, after, 0.0)
    transcript.words(1, "!", 0.0)
    transcript.answered(1)
    apart = [f"gemini: {before}", "done", f"gemini: {after.strip()}!"]
    whole = apart if is_apart else [f"gemini: {before}{after}!", "done"]
    assert taken(transcript) == ["you: what?", *whole]


# How an answer ends


@pytest.mark.parametrize(
    ("happens", "lines"),
    [
        (lambda t: t.answered(1, CUT), ["gemini: One [cut off]"]),
        (lambda t: (t.act(1, "call"), t.answered(1, CUT)), ["gemini: One", "call", "gemini: [cut off]"]),
        (lambda t: (t.act(1, "call"), t.answered(1)), ["gemini: One", "call"]),
        (lambda t: (t.restarted(1, CUT), t.answered(1)), ["gemini: One [cut off]"]),
        (lambda t: t.finish("[unfinished]"), ["gemini: One [unfinished]"]),
        (lambda t: (t.note(1, "source"), t.finish("")), ["gemini: One", "source"]),
        (
            lambda t: (t.stopped(1, "[stopped]"), t.words(1, ", two", 0.0), t.answered(1, CUT)),
            ["gemini: One [stopped]"],
        ),
        (
            lambda t: (t.stopped(1, "[stopped]"), t.restarted(1, CUT), t.words(1, "One, two", 0.0), t.answered(1)),
            ["gemini: One [stopped]", "gemini: One, two"],
        ),
    ],
)
def test_an_answer_ends_with_the_mark_of_how_it_ended(
    happens: Callable[[Transcript[str]], object], lines: list[str]
) -> None:
    transcript = begin()
    transcript.words(1, "One", 0.0)
    happens(transcript)
    assert taken(transcript) == ["you: what?", *lines]


def test_an_answer_that_the_user_stopped_takes_no_words_and_the_next_one_does() -> None:
    transcript = begin()
    transcript.stopped(1, "[stopped]")
    transcript.words(1, " three.", 0.0)
    transcript.answered(1, CUT)
    transcript.late_words(1, " four.", "[late]")
    transcript.words(2, "Yes.", 1.0)
    transcript.answered(2)
    assert taken(transcript) == ["you: what?", "gemini: [stopped]", "gemini: Yes."]


@pytest.mark.parametrize(
    ("after_s", "played", "unplayed"),
    [
        (0.0, "", "One two three four five six"),
        (1.0, "One two", "three four five six"),  # a word is played whole
        (2.0, "One two three", "four five six"),
        (2.9, "One two three four five six", ""),
        (3.0, "One two three four five six", ""),
    ],
)
def test_what_was_played_of_an_answer_is_apart_from_what_was_not(after_s: float, played: str, unplayed: str) -> None:
    transcript = begin()
    transcript.words(1, "One two three", 10.0, queued_s=2.0)
    transcript.words(1, " four five six", 10.0, queued_s=3.0)
    transcript.silenced(CUT, 10.0 + after_s)
    transcript.silenced(CUT, 10.5 + after_s)  # there was nothing left to clear
    transcript.answered(1, CUT)
    *_, piece = transcript.take()
    assert piece == Piece(Role.MODEL, played, CUT, begins=True, unplayed=unplayed)


def test_words_that_arrive_after_playback_was_cleared_are_not_played() -> None:
    transcript = begin()
    transcript.words(1, "One", 10.0)
    transcript.silenced(CUT, 11.0)
    transcript.words(1, " two", 11.0)
    transcript.answered(1, CUT)
    *_, piece = transcript.take()
    assert piece == Piece(Role.MODEL, "One", CUT, begins=True, unplayed="two")


def test_text_without_spaces_is_cut_where_it_was_played() -> None:
    transcript = begin()
    transcript.words(1, "\u4e00\u4e8c\u4e09\u56db", 10.0, queued_s=4.0)
    transcript.silenced(CUT, 12.0)
    transcript.answered(1, CUT)
    *_, piece = transcript.take()
    assert piece == Piece(Role.MODEL, "\u4e00\u4e8c", CUT, begins=True, unplayed="\u4e09\u56db")


def test_lines_that_were_handed_out_stay_though_they_were_not_played() -> None:
    transcript = begin()
    transcript.words(1, "One two\nthree", 10.0, queued_s=9.0)
    assert taken(transcript) == ["you: what?", "gemini: One two"]
    transcript.silenced(CUT, 10.0)
    transcript.answered(1, CUT)
    assert list(transcript.take()) == [Piece(Role.MODEL, "", CUT, begins=False, unplayed="three")]


def test_where_nothing_is_said_nothing_can_be_silenced() -> None:
    transcript = begin()
    transcript.silenced(CUT, 0.0)
    transcript.words(1, "One", 1.0)
    transcript.answered(1, CUT)
    assert taken(transcript) == ["you: what?", "gemini: One [cut off]"]


# A long answer


def test_whole_lines_of_a_long_answer_come_out_while_it_goes_on() -> None:
    transcript = begin()
    transcript.words(1, "One\nt", 0.0)
    assert not transcript.is_inside_utterance
    assert taken(transcript) == ["you: what?", "gemini: One"]
    assert transcript.is_inside_utterance
    assert pending(transcript) == ["+ t"]
    transcript.words(1, "wo\n", 0.0)
    assert pending(transcript) == ["+ two"]
    assert taken(transcript) == ["+ two"]
    assert (taken(transcript), pending(transcript)) == ([], [])
    transcript.words(1, "    three\n\nfour\nfive", 0.0)
    assert taken(transcript) == ["+     three\n\nfour"]
    transcript.answered(1)
    assert taken(transcript) == ["+ five"]
    assert not transcript.is_inside_utterance


def test_an_empty_line_comes_out_when_words_follow_it() -> None:
    transcript = begin()
    transcript.words(1, "One\n", 0.0)
    assert taken(transcript) == ["you: what?", "gemini: One"]
    transcript.words(1, "\n", 0.0)
    assert taken(transcript) == []  # it may be the end
    transcript.words(1, "two", 0.0)
    assert list(transcript.take()) == [Piece(Role.MODEL, "", "", begins=False)]
    transcript.answered(1)
    assert taken(transcript) == ["+ two"]


@pytest.mark.parametrize(("mark", "lines"), [("", []), (CUT, ["+ [cut off]"])])
def test_empty_lines_at_the_end_of_an_answer_do_not_come_out(mark: str, lines: list[str]) -> None:
    transcript = begin()
    transcript.words(1, "One\n\n", 0.0)
    assert taken(transcript) == ["you: what?", "gemini: One"]
    transcript.words(1, " \n", 0.0)
    transcript.answered(1, mark)
    assert taken(transcript) == lines


def test_lines_of_the_user_wait_for_their_end() -> None:
    transcript = Transcript[str]()
    transcript.heard(1, "one\ntwo")
    assert taken(transcript) == []


# The end


def test_at_the_end_everything_comes_out_as_it_stands() -> None:
    transcript = Transcript[str]()
    transcript.heard(1, "count")
    transcript.words(1, "One,", 0.0)
    transcript.note(1, "source")
    transcript.heard(2, "sto")
    assert taken(transcript) == []
    transcript.finish("")
    assert taken(transcript) == ["you: count", "gemini: One,", "source", "you: sto"]
    assert (taken(transcript), pending(transcript)) == ([], [])


# Whatever happens

KINDS = ("typed", "heard", "words", "late words", "note", "act")
ENDS = ("question complete", "restarted", "answered", "cut off", "take", "take")
spaces = st.sampled_from(["", " ", "\n", "\n\n", " \n  "])
exchanges = st.integers(min_value=1, max_value=4)
happenings = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(KINDS), exchanges, spaces, spaces), st.tuples(st.sampled_from(ENDS), exchanges)
    ),
    max_size=40,
)


class Telling:
    """A transcript that is told unique words, in any order of exchanges, and what it has handed out."""

    def __init__(self) -> None:
        self.transcript = Transcript[str]()
        self.taken: list[Piece | str] = []
        self.said: list[str] = []

    def tell(self, what: str, exchange: int, before: str = "", after: str = "") -> None:
        transcript = self.transcript
        word = f"{exchange}_{'you' if what in ('typed', 'heard') else 'gemini'}_{len(self.said)};"
        if what in KINDS:
            self.said.append(word)
        match what:
            case "question complete":
                transcript.question_complete(exchange)
            case "restarted" | "answered" | "cut off":
                (transcript.restarted if what == "restarted" else transcript.answered)(
                    exchange, "" if what == "answered" else CUT
                )
            case "take":
                self.taken += transcript.take()
            case "typed":
                transcript.typed(exchange, before + word + after)
            case "heard":
                transcript.heard(exchange, before + word + after)
            case "words":
                transcript.words(exchange, before + word + after, 0.0)
            case "late words":
                transcript.late_words(exchange, before + word + after, "[late]")
            case _:
                (transcript.note if what == "note" else transcript.act)(exchange, word)

    @property
    def shown(self) -> list[str]:
        """The words that were taken or are pending, in the order in which a reader has them."""
        return words_of([*self.taken, *self.transcript.pending()])


def words_of(items: Iterable[Piece | str]) -> list[str]:
    return [word for item in items for word in re.findall(r"\w+;", item.text if isinstance(item, Piece) else item)]


@settings(deadline=None)
@given(happenings)
def test_whatever_happens_everything_is_shown_once_and_never_moves(happened: list[tuple[Any, ...]]) -> None:
    telling = Telling()
    for what in happened:
        before, n_taken = telling.shown, len(words_of(telling.taken))
        telling.tell(*what)
        after = telling.shown
        assert after[:n_taken] == before[:n_taken]
        assert [word for word in after if word in before] == before
    before = telling.shown
    telling.transcript.finish("")
    telling.taken += telling.transcript.take()
    assert words_of(telling.taken) == before
    assert sorted(before) == sorted(telling.said)


@settings(deadline=None)
@given(happenings)
def test_what_is_pending_is_in_the_order_of_the_exchanges_with_the_user_first(happened: list[tuple[Any, ...]]) -> None:
    telling = Telling()
    for what in happened:
        telling.tell(*what)
    sides = [word.split("_")[:2] for word in words_of(telling.transcript.pending())]
    assert sides == sorted(sides, key=lambda side: (int(side[0]), side[1] == "gemini"))


@settings(deadline=None)
@given(happenings)
def test_nothing_is_pending_when_every_exchange_has_ended(happened: list[tuple[Any, ...]]) -> None:
    telling = Telling()
    for what in happened:
        telling.tell(*what)
    for exchange in range(1, 5):
        telling.transcript.answered(exchange)
    telling.tell("take", 1)
    assert not list(telling.transcript.pending())


@settings(deadline=None)
@given(happenings)
def test_an_utterance_is_in_one_piece_or_in_pieces_that_follow_each_other(happened: list[tuple[Any, ...]]) -> None:
    telling = Telling()
    for what in happened:
        telling.tell(*what)
    telling.transcript.finish("")
    telling.tell("take", 1)
    for before, item in pairwise([None, *telling.taken]):
        if isinstance(item, Piece) and not item.begins:
            assert isinstance(before, Piece)
            assert item.speaker is before.speaker is Role.MODEL
            assert not before.mark


# A line without an end


@pytest.mark.parametrize("separator", [" ", ""], ids=["words", "a script without spaces"])
def test_a_very_long_line_is_handed_out_in_pieces_that_make_up_the_line(separator: str) -> None:
    transcript = begin()
    words = [f"w{n}{separator}" for n in range(6_000)]
    pieces = list(transcript.take())[1:]
    for n, word in enumerate(words):
        transcript.words(1, word, float(n), 0.0)
        pieces += transcript.take()
        assert sum(len(piece.text) for piece in transcript.pending() if isinstance(piece, Piece)) <= LONG_CHARS + 10
    assert len(pieces) > 3
    transcript.answered(1)
    pieces += transcript.take()
    assert all(isinstance(piece, Piece) for piece in pieces)
    assert [piece.begins for piece in pieces] == [True] + [False] * (len(pieces) - 1)  # type: ignore[union-attr]
    assert separator.join(piece.text for piece in pieces) == "".join(words).rstrip()  # type: ignore[union-attr]


def test_what_is_kept_of_an_answer_does_not_grow_with_it() -> None:
    transcript = begin()
    for n in range(3_000):
        transcript.words(1, f"line {n}\n" * 3, float(n), 1.0)
        list(transcript.take())
    (answer,) = transcript._entries
    assert isinstance(answer, Utterance)
    assert len(answer.text) < LONG_CHARS
    assert len(answer.played) < 10


def test_what_was_not_played_of_a_very_long_line_is_marked() -> None:
    transcript = begin()
    list(transcript.take())
    for n in range(4_000):
        transcript.words(1, f"w{n} ", float(n), 0.0)
        list(transcript.take())
    transcript.silenced(CUT, 3_990.0)
    transcript.answered(1)
    (last,) = transcript.take()
    assert isinstance(last, Piece)
    assert last.text.endswith(" w3991")  # up to the end of the word that was being played
    assert last.unplayed == " ".join(f"w{n}" for n in range(3_992, 4_000))
