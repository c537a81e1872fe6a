"""Every control character through every field of both programs: nothing that is written can command a terminal.

The fields are found from the types, so that a new field or event is tried without a change here.
"""

import dataclasses
import io
import json
import types
import typing
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from gemini_live.output import events
from gemini_live.output.jsonl import Jsonl
from gemini_live.output.live import LiveTerminal
from gemini_live.output.plain import Terminal
from gemini_live.output.status import Status
from gemini_live.process.streams import BackgroundWriter
from gemini_live.prompt.status_bar import format_status
from gemini_live.simulator.records import CallRecord, SessionRecord, TurnRecord, build_verdict, format_verdict
from tests.output.samples import NASTY, is_harmless

WAIT_S = 10
OVERRIDES = "\u202d\u202e\u2028\u2029"
ALL = NASTY + OVERRIDES + "\udc00\x1b]8;;http://x\x07link\x1b]8;;\x07\x9b2J\x1bP+q\x1b\\"
"""C0, C1, DEL, halves of surrogate pairs, overrides, and whole sequences: titles, links, device control."""


def nasty_value(type_: Any) -> Any:  # noqa: PLR0911 - one for each kind of type
    """Return a value of a type with `ALL` wherever it can hold text."""
    origin, arguments = typing.get_origin(type_), typing.get_args(type_)
    if type_ in (str, Any, object):
        return ALL
    if origin in (types.UnionType, typing.Union):
        return nasty_value(next(each for each in arguments if each is not type(None)))
    if origin in (list, Sequence):
        return [nasty_value(arguments[0])]
    if origin is tuple:
        return (nasty_value(arguments[0]),)
    if origin is Counter:
        return Counter([nasty_value(arguments[0])])
    if origin in (dict, Mapping):
        key, value = arguments
        return {nasty_value(key): [nasty_value(value)] if value is Any else nasty_value(value)}
    if origin is Callable or type_ in (bytes, bytearray):
        return None
    if dataclasses.is_dataclass(type_):
        return nasty(type_)
    return next(iter(type_.__members__.values())) if hasattr(type_, "__members__") else type_(1)


def nasty(kind: Any) -> Any:
    """Return an instance of a dataclass with `ALL` in every field that can hold text."""
    hints = typing.get_type_hints(kind)
    given = {field.name: nasty_value(hints[field.name]) for field in dataclasses.fields(kind) if field.init}
    return kind(**given)


def written(is_terminal: bool, fills: Callable[[BackgroundWriter, io.StringIO, io.StringIO], None]) -> str:
    """Return what is written by a writer that `fills` drives."""
    writer, stdout, stderr = BackgroundWriter(), io.StringIO(), io.StringIO()
    fills(writer, stdout, stderr)
    assert writer.flush(WAIT_S)
    return stdout.getvalue() + stderr.getvalue()


def plain(writer: BackgroundWriter, stdout: io.StringIO, stderr: io.StringIO, *, is_terminal: bool) -> Terminal:
    return Terminal(
        writer,
        stdout,
        stderr,
        stdout_is_terminal=is_terminal,
        stdout_color=False,
        stderr_color=False,
        quiet=False,
        verbose=True,
        is_interactive=is_terminal,
    )


EVENTS = typing.get_args(events.Event)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("how", ["pipe", "terminal", "jsonl", "prompt", "prompt, with stderr elsewhere"])
def test_no_field_of_an_event_reaches_a_terminal_raw(kind: Any, how: str) -> None:
    shown: list[str] = []

    def fill(writer: BackgroundWriter, stdout: io.StringIO, stderr: io.StringIO) -> None:
        output: events.Output = plain(writer, stdout, stderr, is_terminal=how == "terminal")
        if how == "jsonl":
            output = Jsonl(writer, stdout, output, clock=lambda: 0.0)
        elif how.startswith("prompt"):
            output = LiveTerminal(
                writer,
                stdout,
                stderr,
                shares_stderr=how == "prompt",
                print_above=lambda fragments: shown.extend(text for _, text in fragments),
                columns=lambda: 80,
                queued_s=lambda: 0.0,
                clock=lambda: 0.0,
                quiet=False,
                verbose=True,
            )
        output.emit(nasty(kind))
        if isinstance(output, LiveTerminal):
            shown.extend(text for _, text in output.pending())
        output.emit(events.SessionEnded(0))
        if isinstance(output, Terminal):
            shown.append(output.record)

    text = written(how == "terminal", fill)
    for part in (text, *shown):
        assert is_harmless(part), repr(part)


def test_every_event_that_holds_text_is_tried() -> None:
    silent = [kind.__name__ for kind in EVENTS if "\\x1b" not in ascii(nasty(kind))]
    assert sorted(silent) == ["QuestionComplete", "SessionEnded", "Silenced", "SpeechLost", "Stopped"]


def test_no_field_of_the_status_bar_reaches_a_terminal_raw() -> None:
    status = nasty(Status)
    for columns in (20, 60, 200, 2_000):
        assert is_harmless("".join(text for _, text in format_status(status, columns)))


# The simulator


def nasty_record() -> SessionRecord:
    """Return the record of a session in which every field holds what a client sent."""
    record: SessionRecord = nasty(SessionRecord)
    record.turns = [nasty(TurnRecord)]
    record.calls = {ALL: nasty(CallRecord)}
    record.setup = {"model": ALL}
    record.close_code, record.audio = 1000, bytearray(2)
    record._waiters = []
    return record


def record_lines() -> Iterator[str]:
    """Yield every line that is made of a record."""
    record = nasty_record()
    yield record.describe()
    yield from format_verdict(record)
    yield json.dumps(build_verdict([record]), indent=2)


def test_no_field_of_a_record_reaches_a_terminal_raw() -> None:
    lines = list(record_lines())
    assert len(lines) > 5
    assert "\\x1b" in "".join(lines)
    for line in lines:
        assert is_harmless(line), repr(line)
