"""The conversation for programs: every line is an object that follows the schema."""

import ast
import inspect
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from gemini_live.output import jsonl
from gemini_live.output.jsonl import EVENT_TYPES, SCHEMA_VERSION, Jsonl
from gemini_live.process.streams import BackgroundWriter
from gemini_live.session.dispatch import Output
from gemini_live.session.stats import Stats

WAIT_S = 10
NASTY = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0)))) + "\u2028\u2029\ud83d and a \U0001f388"

CALLS: dict[str, Callable[[Jsonl, str], None]] = {
    "session_started": lambda j, text: j.session_started(
        {"model": text, "voice": None, "tools": [text], "screen": None, "sound": [text]}
    ),
    "asked": lambda j, text: j.asked(text, echo=True),
    "heard": lambda j, text: j.heard(text, late=True),
    "words": lambda j, text: j.words(text),
    "answered": lambda j, text: j.answered(text, asked=True, cut_off=False),
    "restarted": lambda j, text: j.restarted(text),
    "late_words": lambda j, text: j.late_words(text),
    "unfinished": lambda j, text: j.unfinished(text),
    "thought": lambda j, text: j.thought(text),
    "code": lambda j, text: j.code(text, text),
    "code_result": lambda j, text: j.code_result(text, text),
    "sources": lambda j, text: j.sources([text], [(text, text)]),
    "tool_call": lambda j, text: j.tool_call(text, text, {text: [text, {"a": None}]}),
    "tool_result": lambda j, text: j.tool_result(text, text, {text: text}, failed=True),
    "tool_cancelled": lambda j, text: j.tool_cancelled(text, text),
    "function_output": lambda j, text: j.function_output(text),
    "usage": lambda j, text: j.usage({"total_tokens": 3, "prompt_by_modality": {text: 3}}),
    "status": lambda j, text: j.status(text),
    "warning": lambda j, text: j.warning(text),
    "error": lambda j, text: j.error(text),
    "reply": lambda j, text: j.reply(text),
    "summary": lambda j, text: j.summary(Stats(0.0).summary(1.0) | {"prompt_tokens": {text: 3}}),
    "session_ended": lambda j, _: j.session_ended(0),
}
"""For each type the call that writes it, with a text wherever one goes."""


class Recording:
    """A `Jsonl`, its clock, and what it wrote."""

    def __init__(self) -> None:
        self.writer, self.stream = BackgroundWriter(), io.StringIO()
        self.now_s = 100.0
        self.passed_on: list[tuple[str, str]] = []
        self.jsonl = Jsonl(
            self.writer,
            self.stream,
            clock=lambda: self.now_s,
            warn=lambda text: self.passed_on.append(("warn", text)),
            fail=lambda text: self.passed_on.append(("fail", text)),
            detail=lambda text: self.passed_on.append(("detail", text)),
        )

    @property
    def text(self) -> str:
        assert self.writer.flush(WAIT_S)
        return self.stream.getvalue()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def check_schema(event: object) -> None:
    """Assert what every object has, whatever its type."""
    assert isinstance(event, dict)
    assert list(event)[:4] == ["v", "type", "t_s", "turn"]
    assert event["v"] == SCHEMA_VERSION == 1
    assert event["type"] in EVENT_TYPES
    assert isinstance(event["t_s"], float)
    assert event["t_s"] >= 0
    assert isinstance(event["turn"], int)
    documented = set(re.findall(r"`(\w+)`", EVENT_TYPES[event["type"]].split("(each")[0]))
    if event["type"] != "usage":
        assert set(event) - {"v", "type", "t_s", "turn"} == documented


# Schema


def test_every_documented_type_is_written_by_a_call_of_its_name_and_no_other_is() -> None:
    assert set(CALLS) == set(EVENT_TYPES)
    for name, call in CALLS.items():
        recording = Recording()
        call(recording.jsonl, "text")
        assert [event["type"] for event in recording.events] == [name]


def test_no_type_is_written_that_is_not_documented() -> None:
    tree = ast.parse(inspect.getsource(jsonl))
    written = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_write"
        and isinstance(node.args[0], ast.Constant)
    }
    assert written == set(EVENT_TYPES)


def test_everything_that_can_be_put_out_has_a_type_but_what_is_shown_otherwise() -> None:
    methods = {name for name in vars(Output) if not name.startswith("_")}
    assert methods == set(EVENT_TYPES) | {"commanded", "detail", "silenced", "speech_lost", "stopped"}


def test_speech_that_was_lost_is_a_warning_and_to_stop_takes_keys() -> None:
    recording = Recording()
    recording.jsonl.speech_lost("the connection was lost")
    recording.jsonl.stopped()
    assert [event["type"] for event in recording.events] == ["warning"]
    assert recording.passed_on == [("warn", "the connection was lost")]


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_event_has_the_fields_that_are_documented(name: str) -> None:
    recording = Recording()
    CALLS[name](recording.jsonl, "text")
    (event,) = recording.events
    check_schema(event)


@pytest.mark.parametrize("name", EVENT_TYPES)
@pytest.mark.parametrize("text", [NASTY, "", "a\nb\r\nc", '"quoted" \\ \\u0041', "日本 🎈", "x" * 100_000])
def test_every_event_is_one_printable_line_of_json_that_keeps_its_text(name: str, text: str) -> None:
    recording = Recording()
    CALLS[name](recording.jsonl, text)
    written = recording.text
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1  # by every line end that Python knows
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", written)
    written.encode()
    event = json.loads(written, parse_constant=pytest.fail)
    check_schema(event)
    if "text" in event:
        assert event["text"] == text


def test_characters_that_do_no_harm_are_not_escaped() -> None:
    recording = Recording()
    recording.jsonl.words("Grüße 日本 🎈")
    assert '"text": "Grüße 日本 🎈"' in recording.text


def test_each_source_has_a_title_and_a_link() -> None:
    recording = Recording()
    recording.jsonl.sources(("q1", "q2"), [("A", "https://a"), ("", "https://b")])
    (event,) = recording.events
    assert event["queries"] == ["q1", "q2"]
    assert event["sources"] == [{"title": "A", "uri": "https://a"}, {"title": "", "uri": "https://b"}]


def test_a_call_and_its_result_are_joined_by_their_id() -> None:
    recording = Recording()
    recording.jsonl.tool_call("c1", "f", {"a": [1, None, "x"]})
    recording.jsonl.tool_result("c1", "f", {"output": {"b": 1.5}}, failed=False)
    call, result = recording.events
    assert (call["id"], call["name"], call["args"]) == ("c1", "f", {"a": [1, None, "x"]})
    assert (result["id"], result["name"], result["response"], result["failed"]) == (
        "c1",
        "f",
        {"output": {"b": 1.5}},
        False,
    )


def test_token_counts_are_fields() -> None:
    recording = Recording()
    recording.jsonl.usage({"total_tokens": 7, "response_by_modality": {"AUDIO": 5}})
    (event,) = recording.events
    assert (event["total_tokens"], event["response_by_modality"]) == (7, {"AUDIO": 5})


def test_the_last_line_tells_the_exit_code() -> None:
    recording = Recording()
    recording.jsonl.session_ended(124)
    assert recording.events[-1]["exit_code"] == 124


# Time and turns


def test_times_are_seconds_since_the_start() -> None:
    recording = Recording()
    recording.jsonl.words("at once")
    recording.now_s += 1.23456
    recording.jsonl.words("later")
    assert [event["t_s"] for event in recording.events] == [0.0, 1.235]


def test_turns_count_the_answers_that_had_ended_before() -> None:
    recording = Recording()
    for cut_off in (False, True):
        recording.jsonl.words("an answer")
        recording.jsonl.answered("an answer", asked=True, cut_off=cut_off)
    recording.jsonl.late_words("late")
    assert [event["turn"] for event in recording.events] == [0, 0, 1, 1, 2]


def test_events_are_written_at_once_and_in_order() -> None:
    recording = Recording()
    for number in range(50):
        recording.jsonl.words(str(number))
        assert recording.events[-1]["text"] == str(number)
    assert [event["text"] for event in recording.events] == [str(number) for number in range(50)]


# Standard error


def test_warnings_errors_and_details_go_to_people_too() -> None:
    recording = Recording()
    recording.jsonl.warning("careful")
    recording.jsonl.error("too late")
    recording.jsonl.detail("< {}")
    recording.jsonl.status("all is well")
    assert recording.passed_on == [("warn", "careful"), ("fail", "too late"), ("detail", "< {}")]
    assert [event["type"] for event in recording.events] == ["warning", "error", "status"]


def test_a_missing_stdout_is_done_without() -> None:
    recording = Recording()
    nowhere = Jsonl(
        recording.writer, None, clock=lambda: 0.0, warn=lambda _: None, fail=lambda _: None, detail=lambda _: None
    )
    for call in CALLS.values():
        call(nowhere, "text")
    assert recording.text == ""
