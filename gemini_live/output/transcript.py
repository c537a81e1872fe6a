"""Sorts what was said and done by exchange, and returns each part once, when it is complete.

Pure; times are passed in. Within an exchange, what the user said comes before what the model said and did. Pieces of
different exchanges may arrive in any order, and the transcript of a spoken question after that of its answer. An
incomplete utterance holds back everything after it. `take` returns what is complete, and `pending` the rest.
"""

from bisect import insort_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from ..frozen import Frozen
from .stitching import begins_sentence, find_word_end, stitch

Content = TypeVar("Content")

LONG_CHARS, KEPT_CHARS = 8_000, 4_000
"""A line of an answer that is longer than the first is returned before it ends, without its newest characters: what
waits for the end of a line must not grow with an answer."""
_CONTEXT_CHARS = 20
"""How many characters of the returned text are kept, so that the next fragment can be joined to them."""


class Role(Enum):
    """The two sides of a conversation."""

    USER = "you"
    MODEL = "gemini"


@dataclass(eq=False, kw_only=True)
class Utterance:
    """What the user or the model said without a break."""

    exchange: int
    speaker: Role
    text: str = ""
    """What was said, except text that `take` returned long ago."""
    mark: str = ""
    """How it ended, such as `[cut off]`; empty: by itself."""
    is_complete: bool = False
    n_taken: int = 0
    """How many characters of `text` `take` has returned."""
    began_s: float = 0.0
    """When its first words arrived."""
    played: list[tuple[int, float]] = field(default_factory=list)
    """After each fragment: the number of characters so far, and the time when their sound will have been played."""
    n_played: int | None = None
    """How many characters had been played when playback was cleared; `None`: playback was not cleared."""


@dataclass(eq=False, kw_only=True)
class Note(Generic[Content]):
    """Something that happened in an exchange, such as a function call."""

    exchange: int
    content: Content


class Piece(Frozen):
    """A part of an utterance that will not change: complete lines of a long one, or all the rest."""

    speaker: Role
    text: str
    """Without the line break at its end."""
    mark: str
    begins: bool
    """True if it is the first piece of its utterance."""
    unplayed: str = ""
    """Its last words, which arrived but were not played; they are not in `text`."""


class Transcript(Generic[Content]):
    """The conversation in the order in which it is read. `Content` is the type of the notes' content."""

    def __init__(self) -> None:
        self._entries: list[Utterance | Note[Content]] = []
        """What `take` has not returned yet, ordered by exchange, the user's side first."""
        self._n_complete = 0
        """The highest exchange whose question is complete."""
        self._stopped = 0
        """The exchange whose answer the user stopped; 0: none."""

    def typed(self, exchange: int, text: str) -> None:
        """Add a typed question."""
        self._add(Utterance(exchange=exchange, speaker=Role.USER, text=text, is_complete=True))

    def heard(self, exchange: int, fragment: str) -> None:
        """Append a fragment of the transcript of a spoken question."""
        question = self._find_open(exchange, Role.USER)
        if question is None:
            question = Utterance(exchange=exchange, speaker=Role.USER)
            self._add(question)
        question.text = stitch(question.text, fragment)

    def question_complete(self, exchange: int) -> None:
        """Declare the question of an exchange complete, so that `take` may return it and the answer after it."""
        self._n_complete = max(self._n_complete, exchange)
        for entry in self._entries:
            if entry.exchange <= exchange and _side(entry) is Role.USER:
                _end(entry)

    def words(self, exchange: int, fragment: str, now_s: float, queued_s: float = 0.0) -> None:
        """Append a fragment of an answer, whose audio will have been played `queued_s` seconds from now."""
        if exchange == self._stopped:
            return
        answer = self._find_open(exchange, Role.MODEL)
        if answer is not None and self._has_note_after(answer) and begins_sentence(answer.text, fragment):
            _end(answer)
            answer = None
        if answer is None:
            answer = Utterance(exchange=exchange, speaker=Role.MODEL, began_s=now_s)
            self._add(answer)
        answer.text = stitch(answer.text, fragment)
        answer.played.append((len(answer.text), now_s + queued_s))

    def act(self, exchange: int, content: Content) -> None:
        """Add a note about what the model does, and end its present utterance: later words begin a new one."""
        _end(self._find_open(exchange, Role.MODEL))
        self.note(exchange, content)

    def note(self, exchange: int, content: Content) -> None:
        """Add a note at the end of an exchange. An utterance before it may continue until its sentence ends."""
        self._add(Note(exchange=exchange, content=content))

    def silenced(self, mark: str, now_s: float) -> None:
        """Put `mark` where playback was cleared in the newest answer, if that answer is not complete."""
        answer = next((entry for entry in reversed(self._entries) if _is_open(entry, Role.MODEL)), None)
        if isinstance(answer, Utterance) and answer.n_played is None:
            answer.n_played, answer.mark = _count_played(answer, now_s), mark

    def stopped(self, exchange: int, mark: str) -> None:
        """End with `mark` an answer that the user stopped, and ignore words of this answer that arrive later."""
        self._end_answer(exchange, mark)
        self._stopped = exchange

    def restarted(self, exchange: int, mark: str) -> None:
        """End the partial answer with `mark`, because the answer begins again; from now on accept its words."""
        if exchange != self._stopped:
            self._end_answer(exchange, mark)
        self._stopped = 0

    def answered(self, exchange: int, mark: str = "") -> None:
        """End an exchange, with `mark` if its answer did not end by itself."""
        self._end_answer(exchange, "" if exchange == self._stopped else mark)
        self.question_complete(exchange)

    def late_words(self, exchange: int, fragment: str, mark: str) -> None:
        """Add late words of a complete answer, with `mark`; ignore them if the user stopped that answer."""
        if exchange == self._stopped:
            return
        text = fragment.strip()
        self._add(Utterance(exchange=exchange, speaker=Role.MODEL, text=text, mark=mark, is_complete=True))

    def finish(self, mark: str) -> None:
        """Declare everything complete, because the session ends; an answer that is incomplete gets `mark`."""
        for entry in self._entries:
            _end(entry, mark if _is_open(entry, Role.MODEL) else "")
            self._n_complete = max(self._n_complete, entry.exchange)

    @property
    def is_inside_utterance(self) -> bool:
        """True if `take` has returned some lines of an utterance, but not its end."""
        return bool(self._entries) and getattr(self._entries[0], "n_taken", 0) > 0

    def take(self) -> Iterator[Piece | Content]:
        """Yield, and forget, what is final: complete utterances, notes, and complete lines of a partial answer."""
        while self._entries:
            entry = self._entries[0]
            if _side(entry) is Role.MODEL and entry.exchange > self._n_complete:
                return  # words of its question may still come
            if isinstance(entry, Utterance) and not entry.is_complete:
                yield from _take_lines(entry)
                return
            self._entries.pop(0)
            yield from _rest(entry)

    def pending(self) -> Iterator[Piece | Content]:
        """Yield everything that `take` has not returned, partial utterances too; forget nothing."""
        for entry in self._entries:
            yield from _rest(entry)

    def _add(self, entry: Utterance | Note[Content]) -> None:
        begin = int(self.is_inside_utterance)  # nothing can be read between the pieces of an utterance
        insort_right(self._entries, entry, begin, key=lambda other: (other.exchange, _side(other) is Role.MODEL))

    def _find_open(self, exchange: int, speaker: Role) -> Utterance | None:
        """Return the incomplete utterance of `speaker` in an exchange, if there is one."""
        for entry in reversed(self._entries):
            if entry.exchange == exchange and isinstance(entry, Utterance) and _is_open(entry, speaker):
                return entry
        return None

    def _has_note_after(self, answer: Utterance) -> bool:
        """True if something was added to the exchange after this answer."""
        behind = self._entries[self._entries.index(answer) + 1 :]
        return bool(behind) and behind[0].exchange == answer.exchange

    def _end_answer(self, exchange: int, mark: str) -> None:
        """End the incomplete answer of an exchange with a mark; if there is none, add the mark alone."""
        answer = self._find_open(exchange, Role.MODEL)
        if answer is None and mark:
            answer = Utterance(exchange=exchange, speaker=Role.MODEL)
            self._add(answer)
        _end(answer, mark)


def _side(entry: Utterance | Note[Content]) -> Role:
    """Return whose part of the exchange an entry belongs to."""
    return entry.speaker if isinstance(entry, Utterance) else Role.MODEL


def _is_open(entry: Utterance | Note[Content], speaker: Role) -> bool:
    return isinstance(entry, Utterance) and entry.speaker is speaker and not entry.is_complete


def _end(entry: Utterance | Note[Content] | None, mark: str = "") -> None:
    """Declare an utterance complete, with a mark if it did not end by itself."""
    if isinstance(entry, Utterance):
        entry.is_complete, entry.mark = True, mark or entry.mark


def _count_played(answer: Utterance, now_s: float) -> int:
    """Return how many characters of an answer have been played, up to the end of a word.

    The words of a fragment are assumed to be spread evenly over the audio that arrived since the fragment before.
    """
    n_before, before_s = 0, answer.began_s
    for n, played_s in answer.played:
        if played_s > now_s:
            share = max(0.0, now_s - before_s) / (played_s - before_s)
            return find_word_end(answer.text, n_before + round(share * (n - n_before)))
        n_before, before_s = n, played_s
    return len(answer.text)


def _rest(entry: Utterance | Note[Content]) -> Iterator[Piece | Content]:
    """Yield the part of an entry that `take` has not returned yet."""
    if isinstance(entry, Note):
        yield entry.content
        return
    text = entry.text[entry.n_taken :].rstrip()
    if not (text or entry.mark):
        return
    n_played = len(text)
    if entry.mark and entry.n_played is not None:
        n_played = max(0, entry.n_played - entry.n_taken)
    played, unplayed = text[:n_played].rstrip(), text[n_played:].strip()
    yield Piece(entry.speaker, played, entry.mark, begins=not entry.n_taken, unplayed=unplayed)


def _take_lines(utterance: Utterance) -> Iterator[Piece]:
    """Yield the complete lines of an incomplete answer, except empty lines at its end."""
    text = utterance.text
    end = text.find("\n", len(text.rstrip()))
    if end < 0:
        end = text.rfind("\n")
    if end < utterance.n_taken and len(text) - utterance.n_taken > LONG_CHARS:
        end = text.rfind(" ", utterance.n_taken + 1, len(text) - KEPT_CHARS)
        end = end if end >= 0 else len(text) - KEPT_CHARS  # a script without spaces
    if utterance.speaker is Role.MODEL and end >= utterance.n_taken:
        begins, lines = not utterance.n_taken, text[utterance.n_taken : end]
        utterance.n_taken = end + text[end].isspace()
        _forget_taken(utterance)
        yield Piece(utterance.speaker, lines, "", begins)


def _forget_taken(utterance: Utterance) -> None:
    """Discard text that `take` has returned, except its end: appending to a long text is slow."""
    n = utterance.n_taken - _CONTEXT_CHARS
    if n <= 0:
        return
    utterance.text, utterance.n_taken = utterance.text[n:], _CONTEXT_CHARS
    played = [(n_chars - n, played_s) for n_chars, played_s in utterance.played]
    n_past = sum(n_chars <= 0 for n_chars, _ in played)
    utterance.played = played[max(0, n_past - 1) :]
    if utterance.n_played is not None:
        utterance.n_played = max(0, utterance.n_played - n)
