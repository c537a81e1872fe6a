"""What was said and done, in the order in which it was, for a reader: fragments grow, and come out once, as a whole.

Pure, on times that are passed in. Fragments of what the user and the model say come in between each other, and late: an
utterance stays open until no more of it can come, and what follows waits behind it. `take` hands out what is settled;
`pending` is the rest, to be shown as it grows.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from ..config import Timings

LATE_S = Timings().late_transcript_s
"""For so long after an answer began, words of the user that it answers may come: transcripts lag."""

# Scripts that put no spaces between words, with their punctuation; Korean does, and is not among them.
_CJK = r"[\u3000-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
_STRAY_SPACE = re.compile(rf"(?<={_CJK})[ \t]+(?={_CJK})")
_SENTENCE_END = re.compile(rf"(?!{_CJK})[^\W\d_A-Z][.!?]+['\")\]\u2019\u201d]*\Z")
_FULL_STOP = re.compile("[.!?\u2026\u3002\uff01\uff1f\u061f\u0964]['\")\\]\u2019\u201d]*\\Z")
_SENTENCE_START = re.compile(rf"['\"(\[\u2018\u201c]*(?!{_CJK})[^\W\d_a-z]")
_WORD = re.compile(rf"{_CJK}|(?:(?!{_CJK})\S)+")
_LAST_WORD_CHARS = 12
"""How far back the end of a sentence is looked for."""

Content = TypeVar("Content")


class Speaker(Enum):
    """Who says something."""

    USER = "you"
    MODEL = "gemini"


@dataclass
class Utterance:
    """What one of the two said in one go."""

    speaker: Speaker
    text: str = ""
    mark: str = ""
    """How it ended, if it did not end by itself."""
    is_settled: bool = False
    n_taken: int = 0
    """Characters of it that were handed out."""
    began_s: float = 0.0
    heard: list[tuple[int, float]] = field(default_factory=list)
    """After each fragment: how many characters there are, and when they will have been heard."""
    n_heard: int | None = None
    """How many characters were heard before its sound was dropped; `None`: it was not."""


@dataclass
class Note(Generic[Content]):
    """Something that was done, and stands between what was said."""

    content: Content


@dataclass(frozen=True)
class Piece:
    """Some of an utterance, for good: whole lines of one that goes on, or the rest of it."""

    speaker: Speaker
    text: str
    """Without the line break that ends it."""
    mark: str
    begins: bool
    """Whether it is the first of its utterance."""
    unheard: str = ""
    """Its last words, which stand behind the mark: they came, but their sound was dropped."""


def stitch(text: str, fragment: str) -> str:
    """Return `text` with the next fragment of it: with one space, or none, wherever the two disagree about it."""
    if not text:
        return _STRAY_SPACE.sub("", fragment.lstrip())
    seam = max(0, len(text.rstrip(" \t")) - 1)
    if text[-1] in " \t" and text[seam] != "\n":  # else it is an indentation
        fragment = fragment.lstrip(" \t")
    elif _SENTENCE_END.search(text[-_LAST_WORD_CHARS:]) and _SENTENCE_START.match(fragment):
        fragment = f" {fragment}"
    return text[:seam] + _STRAY_SPACE.sub("", text[seam:] + fragment)


@dataclass
class Transcript(Generic[Content]):
    """The conversation as it is read; `Content` is whatever stands for what was done."""

    _entries: deque[Utterance | Note[Content]] = field(default_factory=deque)
    """What was not handed out yet, in order."""
    _answers: bool = False
    """Whether an answer has begun and not ended."""
    _began_s: float = 0.0
    _is_typed: bool = False
    """Whether the newest thing that is not answered was typed."""
    _question: Utterance | None = None
    """What the user said that is being answered, as long as late words of it may come."""
    _next: Utterance | None = None
    """What the user said since."""
    _words: Utterance | None = None
    """What the model is saying."""
    _is_stopped: bool = False
    """Whether the user wants to hear, and read, no more of this answer."""

    def typed(self, text: str) -> None:
        """Take a line that was sent."""
        self._entries.append(Utterance(Speaker.USER, text, is_settled=True))
        self._is_typed = True

    def heard(self, fragment: str, *, late: bool) -> None:
        """Take words of the user; `late`: they are answered already."""
        # It may be answered by sounds, and no words yet.
        utterance = (self._question if late else None) or self._next
        if utterance is None:
            utterance = Utterance(Speaker.USER)
            self._entries.append(utterance)
            self._next = utterance
        utterance.text = stitch(utterance.text, fragment)

    def words(self, fragment: str, now_s: float, queued_s: float = 0.0) -> None:
        """Take words of the model, which are being heard, or will have been in `queued_s`."""
        self._begin(now_s)
        if self._is_stopped:
            return
        if self._words is not None and self._entries[-1] is not self._words and _goes_on_anew(self._words, fragment):
            self._end_words("")
        if self._words is None:
            self._words = Utterance(Speaker.MODEL, began_s=now_s)
            self._entries.append(self._words)
        self._words.text = stitch(self._words.text, fragment)
        self._words.heard.append((len(self._words.text), now_s + queued_s))

    def silenced(self, mark: str, now_s: float) -> None:
        """Note that what was not heard yet of the answer will not be: `mark` stands before it."""
        if self._words is not None and self._words.n_heard is None:
            self._words.n_heard = _count_heard(self._words, now_s)
            self._words.mark = mark

    def act(self, content: Content, now_s: float) -> None:
        """Take something that the model does in its answer: what it says after that is another utterance."""
        self._begin(now_s)
        self._end_words("")
        self.note(content)

    def note(self, content: Content) -> None:
        """Take something that stands after what was said so far."""
        self._entries.append(Note(content))

    def restarted(self, mark: str) -> None:
        """Note that the answer begins anew: what it had said ends with `mark`."""
        if not self._is_stopped:
            self._end_words(mark)
        self._is_stopped = False

    def stopped(self, mark: str) -> None:
        """Note that the user stops the answer: nothing more of it is taken."""
        if self._answers:
            self._end_words(mark)
            self._is_stopped = True

    def answered(self, mark: str = "") -> None:
        """Note the end of the answer; `mark` says how, if not by itself."""
        is_silent = not self._answers
        self._answers |= bool(mark)
        self._end_words("" if self._is_stopped else mark)
        self._is_stopped = False
        if is_silent:
            self._question, self._next, self._is_typed = self._next, None, False
        self._settle_question()
        self._answers = False

    def speech_lost(self) -> None:
        """Note that what the user said last will not be answered."""
        if self._next is not None:
            self._next.is_settled = True
            self._next = None

    def late_words(self, fragment: str, mark: str) -> None:
        """Take words of an answer that has ended."""
        self._entries.append(Utterance(Speaker.MODEL, fragment.strip(), mark, is_settled=True))

    def settle(self, mark: str) -> None:
        """Take everything for whole: the session ends. What the model was saying ends with `mark`."""
        self._end_words(mark if self._words is not None else "")
        for entry in self._entries:
            if isinstance(entry, Utterance):
                entry.is_settled = True
        self._answers, self._question, self._next = False, None, None

    def take(self, now_s: float) -> Iterator[Piece | Content]:
        """Yield, once, what no more can come to: whole utterances, notes, and the whole lines of a long answer."""
        if self._question is not None and now_s - self._began_s >= LATE_S:
            self._settle_question()
        while self._entries:
            entry = self._entries[0]
            if isinstance(entry, Note):
                self._entries.popleft()
                yield entry.content
            elif entry.is_settled:
                self._entries.popleft()
                yield from _rest(entry)
            else:
                yield from _whole_lines(entry)
                return

    def pending(self) -> Iterator[Piece | Content]:
        """Yield what `take` has not yielded yet, as it stands."""
        for entry in self._entries:
            if isinstance(entry, Note):
                yield entry.content
            else:
                yield from _rest(entry)

    def _begin(self, now_s: float) -> None:
        if self._answers:
            return
        self._answers, self._began_s = True, now_s
        self._question, self._next = self._next, None
        if self._question is None and not self._is_typed:
            # What the user said may be written down only after the answer to it has begun.
            self._question = Utterance(Speaker.USER)
            self._entries.append(self._question)
        self._is_typed = False

    def _end_words(self, mark: str) -> None:
        if self._words is None and mark and self._answers:
            self._words = Utterance(Speaker.MODEL)
            self._entries.append(self._words)
        if self._words is not None:
            self._words.mark, self._words.is_settled = mark or self._words.mark, True
            self._words = None

    def _settle_question(self) -> None:
        if self._question is not None:
            self._question.is_settled = True
            self._question = None


def _goes_on_anew(utterance: Utterance, fragment: str) -> bool:
    """Whether what is said after something was done is apart from what was said before it."""
    return fragment.startswith("\n") or bool(_FULL_STOP.search(utterance.text[-_LAST_WORD_CHARS:].rstrip()))


def _count_heard(utterance: Utterance, now_s: float) -> int:
    """Return after how many characters, at the end of a word, the sound has come to an end.

    A fragment belongs to the sound that came since the fragment before it, as far as is known.
    """
    n_before, before_s = 0, utterance.began_s
    for n, heard_s in utterance.heard:
        if heard_s > now_s:
            share = max(0.0, now_s - before_s) / (heard_s - before_s)
            n_heard = n_before + round(share * (n - n_before))
            ends = (0, *(match.end() for match in _WORD.finditer(utterance.text)))
            return next((end for end in ends if end >= n_heard), n)
        n_before, before_s = n, heard_s
    return len(utterance.text)


def _rest(utterance: Utterance) -> Iterator[Piece]:
    text = utterance.text[utterance.n_taken :].rstrip()
    if not (text or utterance.mark):
        return
    n_heard = len(text)
    if utterance.mark and utterance.n_heard is not None:
        n_heard = max(0, utterance.n_heard - utterance.n_taken)
    heard, unheard = text[:n_heard].rstrip(), text[n_heard:].strip()
    yield Piece(utterance.speaker, heard, utterance.mark, begins=not utterance.n_taken, unheard=unheard)


def _whole_lines(utterance: Utterance) -> Iterator[Piece]:
    end = utterance.text.find("\n", len(utterance.text.rstrip()))  # empty lines at the end may be the end
    if end < 0:
        end = utterance.text.rfind("\n")
    if utterance.speaker is Speaker.MODEL and end >= utterance.n_taken:
        begins, whole = not utterance.n_taken, utterance.text[utterance.n_taken : end]
        utterance.n_taken = end + 1
        yield Piece(utterance.speaker, whole, "", begins)
