"""Write a comparison as text for people, as JSON, and as JUnit XML for CI. Pure."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

from ..escaping import escape, one_line
from .diff import LATENCIES, Comparison, Difference, median
from .numbers import rounded
from .session import Turn
from .style import TextLayout, format_table, wrap

_CHANGE = re.compile(r"(\[-.*?-\])|(\{\+.*?\+\})", re.DOTALL)
_ILLEGAL_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def format_comparison(comparison: Comparison, layout: TextLayout) -> str:
    """Return the differences, one paragraph a turn, and the latencies of both sessions."""
    lines = list(_format_differences(comparison, layout))
    if not lines:
        n = len(comparison.pairs)
        lines = [f"no differences in {n} turn{'' if n == 1 else 's'}"]
    rows = list(_latency_rows(comparison))
    if len(rows) > 1:
        table = format_table(rows, left=(0,))
        lines += ["", layout.paint("bold", table[0]), *table[1:]]
    return "\n".join(lines) + "\n"


def _format_differences(comparison: Comparison, layout: TextLayout) -> Iterator[str]:
    groups: dict[int | None, list[Difference]] = {}
    for difference in comparison.differences:
        groups.setdefault(difference.turn, []).append(difference)
    for number, differences in groups.items():
        yield layout.paint("bold", _title(comparison, number))
        for difference in differences:
            text = one_line(difference.text, fold=False)
            width = (layout.width or 0) - 12
            pieces = list(wrap(text, width)) if width >= 20 else [text]
            label = f"  {difference.kind:<9} "
            yield layout.paint("label", label) + _paint_changes(pieces[0], layout)
            yield from (" " * 12 + _paint_changes(piece, layout) for piece in pieces[1:])


def _paint_changes(text: str, layout: TextLayout) -> str:
    return _CHANGE.sub(lambda match: layout.paint("error" if match[1] else "model", match[0]), text)


def _title(comparison: Comparison, number: int | None) -> str:
    if number is None:
        return "session"
    turn = _find(comparison, number)
    question = one_line(" ".join(turn.question.split()))[:60] if turn is not None else ""
    return f"turn {number}" + (f": {question}" if question else "")


def _find(comparison: Comparison, number: int) -> Turn | None:
    turns = [turn for pair in comparison.pairs for turn in pair if turn is not None and turn.number == number]
    return turns[0] if turns else None


def _latency_rows(comparison: Comparison) -> Iterator[list[str]]:
    yield ["median, in seconds", "first", "second", "change"]
    for measure, words in LATENCIES.items():
        old_s, new_s = median(comparison.a, measure), median(comparison.b, measure)
        if old_s is not None and new_s is not None:
            change = f"{100 * (new_s / old_s - 1):+.0f} %" if old_s else "-"
            yield [words, f"{old_s:.2f}", f"{new_s:.2f}", change]


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON."""
    return {
        "v": 1,
        "same": comparison.is_same,
        "turns": len(comparison.pairs),
        "differences": [
            {"kind": d.kind, "turn": d.turn, "text": d.text, "a": d.a, "b": d.b} for d in comparison.differences
        ],
        "medians": {
            measure: {"a": rounded(median(comparison.a, measure)), "b": rounded(median(comparison.b, measure))}
            for measure in LATENCIES
        },
    }


def to_junit(comparison: Comparison) -> bytes:
    """Return the comparison as JUnit XML: one test case for the session, and one for each turn."""
    groups: dict[int | None, list[Difference]] = {None: []}
    for left, right in comparison.pairs:
        turn = left or right
        assert turn is not None
        groups.setdefault(turn.number, [])
    for difference in comparison.differences:
        groups.setdefault(difference.turn, []).append(difference)
    n_failed = sum(bool(differences) for differences in groups.values())
    suite = ET.Element("testsuite", name="gemini-live diff", tests=str(len(groups)), failures=str(n_failed))
    for number, differences in groups.items():
        name = _legal(_title(comparison, number))
        case = ET.SubElement(suite, "testcase", classname="gemini-live.diff", name=name, time="0")
        if differences:
            lines = [_legal(f"{difference.kind}: {difference.text}") for difference in differences]
            failure = ET.SubElement(case, "failure", message=lines[0][:500])
            failure.text = "\n".join(lines)
    text: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _legal(text: str) -> str:
    """Return text without what a terminal would obey and XML does not allow."""
    return _ILLEGAL_IN_XML.sub("\N{REPLACEMENT CHARACTER}", escape(text))
