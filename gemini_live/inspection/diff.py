"""Compare two analysed sessions turn by turn. Pure.

Times never make two sessions differ by themselves: only a limit that the user sets does.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from .numbers import MEASURES, percentile, values_of
from .session import Call, Origin, Session, Turn

KINDS = ("setup", "turns", "questions", "words", "calls", "arguments", "results", "order", "endings")
"""What may differ, and can be ignored. `words`: what the model said, and the transcripts of what the user said."""
LATENCIES = {name: words for name, words in MEASURES.items() if name != "spoken_s"}
"""The measures that are compared, in words."""
MIN_SLOWER_S = 0.02
"""A median that is slower by less is as fast, whatever the percentage: clocks tremble."""
_MAX_WORD_PAIRS = 25_000_000
"""Longer texts are not compared word by word: it would take minutes."""
_MISSING = object()


@dataclass(frozen=True)
class Difference:
    """One thing that differs."""

    kind: str
    """One of `KINDS`, or `latency`."""
    turn: int | None
    """The turn of the first session, or of the second if the first lacks it; None: the whole session."""
    text: str
    """What differs, for people; a word-level difference has `[-old-]` and `{+new+}`."""
    a: Any = None
    b: Any = None


@dataclass
class Comparison:
    """Two sessions, compared."""

    a: Session
    b: Session
    differences: list[Difference] = field(default_factory=list)
    pairs: list[tuple[Turn | None, Turn | None]] = field(default_factory=list)
    """The turns that belong together."""

    @property
    def is_same(self) -> bool:
        """Return True if nothing differs that counts."""
        return not self.differences


def compare(
    a: Session,
    b: Session,
    *,
    ignore: Sequence[str] = (),
    max_first_sound_s: float | None = None,
    max_slower_percent: float | None = None,
) -> Comparison:
    """Compare two sessions.

    Args:
        a: The expected session.
        b: The session to judge.
        ignore: The kinds of differences that do not count.
        max_first_sound_s: How long each turn of `b` may take to its first sound (first byte, if nothing was played).
        max_slower_percent: How much slower the median latencies of `b` may be.
    """
    found = [*_compare_setups(a, b)]
    pairs = list(_pair_turns(a.turns, b.turns))
    for left, right in pairs:
        found += _compare_turns(left, right)
    found = [difference for difference in found if difference.kind not in ignore]
    found += _check_first_sounds(b, max_first_sound_s) if max_first_sound_s is not None else ()
    found += _check_medians(a, b, max_slower_percent) if max_slower_percent is not None else ()
    return Comparison(a, b, found, pairs)


def _compare_setups(a: Session, b: Session) -> Iterator[Difference]:
    if a.header.setup is None or b.header.setup is None:
        return
    left, right = dict(_flatten(a.header.setup)), dict(_flatten(b.header.setup))
    for path in sorted(left.keys() | right.keys()):
        old, new = left.get(path, _MISSING), right.get(path, _MISSING)
        if old != new and path != "sessionResumption.handle":
            shown = [None if value is _MISSING else value for value in (old, new)]
            yield Difference("setup", None, f"{path}: {_show(old)} became {_show(new)}", *shown)


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of every leaf of nested JSON."""
    inner: Iterator[tuple[str, Any]]
    if isinstance(value, Mapping) and value:
        inner = ((f"{path}.{name}" if path else str(name), item) for name, item in value.items())
    elif isinstance(value, list) and value:
        inner = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    else:
        yield path, value
        return
    for name, item in inner:
        yield from _flatten(item, name)


def _show(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text):,} characters)"


def _pair_turns(left: Sequence[Turn], right: Sequence[Turn]) -> Iterator[tuple[Turn | None, Turn | None]]:
    """Yield the turns that belong together: a typed question has the same words, any speech is like any other."""
    matcher = SequenceMatcher(None, [_key(turn) for turn in left], [_key(turn) for turn in right], autojunk=False)
    for _, i, j, k, n in matcher.get_opcodes():
        for offset in range(max(j - i, n - k)):
            yield (
                left[i + offset] if i + offset < j else None,
                right[k + offset] if k + offset < n else None,
            )


def _key(turn: Turn) -> tuple[str, str]:
    return turn.origin, " ".join(turn.question.split()) if turn.origin is Origin.TYPED else ""


def _compare_turns(a: Turn | None, b: Turn | None) -> Iterator[Difference]:
    if a is None or b is None:
        turn = a or b
        assert turn is not None
        where = "second" if b is None else "first"
        question = " ".join(turn.question.split())[:200] or turn.origin
        yield Difference("turns", turn.number, f"the {where} session has no such turn: {question}")
        return
    if a.origin is not b.origin:
        yield Difference("questions", a.number, f"{a.origin} became {b.origin}", a.origin, b.origin)
    is_typed = Origin.TYPED in {a.origin, b.origin}
    yield from _compare_words("questions" if is_typed else "words", a.number, "question", a.question, b.question)
    yield from _compare_words("words", a.number, "answer", a.words, b.words)
    yield from _compare_calls(a, b)
    if (left := _order_of(a)) != (right := _order_of(b)):
        yield Difference("order", a.number, f"{', '.join(left)} became {', '.join(right) or 'nothing'}", left, right)
    left_end, right_end = _ending_of(a), _ending_of(b)
    if left_end != right_end:
        yield Difference("endings", a.number, f"{left_end} became {right_end}", left_end, right_end)


def _compare_words(kind: str, number: int, what: str, a: str, b: str) -> Iterator[Difference]:
    left, right = a.split(), b.split()
    if left != right:
        yield Difference(kind, number, f"{what}: {format_word_diff(left, right)}", a, b)


def format_word_diff(left: Sequence[str], right: Sequence[str]) -> str:
    """Return two texts as one, with what was removed as `[-old-]` and what was added as `{+new+}`."""
    if len(left) * len(right) > _MAX_WORD_PAIRS:
        return f"{len(left):,} words became {len(right):,} others"
    parts: list[str] = []
    for tag, i, j, k, n in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            parts += left[i:j] if j - i <= 12 else [*left[i : i + 5], "...", *left[j - 5 : j]]
            continue
        parts += [f"[-{' '.join(left[i:j])}-]"] if j > i else []
        parts += [f"{{+{' '.join(right[k:n])}+}}"] if n > k else []
    return " ".join(parts)


def _compare_calls(a: Turn, b: Turn) -> Iterator[Difference]:
    names = [[call.name for call in turn.calls] for turn in (a, b)]
    if names[0] != names[1]:
        shown = [", ".join(each) or "no call" for each in names]
        yield Difference("calls", a.number, f"{shown[0]} became {shown[1]}", *names)
        return
    for left, right in zip(a.calls, b.calls, strict=True):
        yield from _compare_values("arguments", a.number, left, left.args, right.args)
        yield from _compare_values("results", a.number, left, left.response, right.response)


def _compare_values(kind: str, number: int, call: Call, a: Any, b: Any) -> Iterator[Difference]:
    if a == b:
        return
    left, right = dict(_flatten(a)), dict(_flatten(b))
    for path in sorted(left.keys() | right.keys()):
        old, new = left.get(path, _MISSING), right.get(path, _MISSING)
        if old != new:
            place = f"{call.name}.{path}" if path else call.name
            shown = [None if value is _MISSING else value for value in (old, new)]
            yield Difference(kind, number, f"{place}: {_show(old)} became {_show(new)}", *shown)


def _order_of(turn: Turn) -> list[str]:
    """Return what happened in which order; how speech and its words were cut into messages does not count."""
    order: list[str] = []
    for action in turn.actions:
        name = "speaks" if action in {"sound", "words"} else action
        if name != "thought" and (not order or order[-1] != name):
            order.append(name)
    return order


def _ending_of(turn: Turn) -> str:
    return f"{turn.ending}: {turn.reason}" if turn.reason else str(turn.ending)


def _check_first_sounds(session: Session, limit_s: float) -> Iterator[Difference]:
    what = "first sound" if session.is_played else "first byte"
    for turn in session.turns:
        took_s = turn.first_sound_after_s if session.is_played else turn.first_byte_after_s
        if took_s is not None and took_s > limit_s:
            text = f"{what} after {took_s:.2f} s, more than {limit_s:g} s (--max-first-sound)"
            yield Difference("latency", turn.number, text, limit_s, round(took_s, 4))


def _check_medians(a: Session, b: Session, limit_percent: float) -> Iterator[Difference]:
    for measure, words in LATENCIES.items():
        old_s, new_s = median(a, measure), median(b, measure)
        if old_s is None or new_s is None:
            continue
        if new_s > old_s * (1 + limit_percent / 100) and new_s - old_s > MIN_SLOWER_S:
            slower = f"{100 * (new_s / old_s - 1):.0f} % slower" if old_s else "slower"
            text = f"{words}: median {old_s:.2f} s became {new_s:.2f} s, {slower} (--max-slower {limit_percent:g})"
            yield Difference("latency", None, text, round(old_s, 4), round(new_s, 4))


def median(session: Session, measure: str) -> float | None:
    """Return the median of a measure, or None if no turn has it."""
    values = values_of(session, measure)
    return percentile(values, 50) if values else None
