"""The conversation for programs: every line is an object that follows the schema."""

import io
import json
import re
from typing import Any

import pytest

from gemini_live.audio.report import AudioReport
from gemini_live.conversation.outcomes import (
    Answered,
    LateWords,
    ModelSaid,
    QuestionComplete,
    Restarted,
    SpeechLost,
    Unfinished,
    UserSaid,
)
from gemini_live.output import events
from gemini_live.output.events import Event
from gemini_live.output.jsonl import Jsonl
from gemini_live.output.schema import IN_JSONL, VERSION
from gemini_live.process.streams import BackgroundWriter

WAIT_S = 10
NASTY = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0)))) + "\u202e\u2066\u2028\u2029\ud83d and a \U0001f388"
AUDIO_REPORT: dict[str, Any] = {
    "microphone": NASTY,
    "microphone_rate_hz": 16_000,
    "speaker": NASTY,
    "speaker_rate_hz": 24_000,
    "noise_dbfs": -65.1,
    "round_trip_s": None,
    "echo_leak_db": -8.0,
    "erle_db": 35.5,
    "drift_ppm": 12.0,
    "dropped_blocks": 0,
    "mode": "half duplex",
    "advice": NASTY,
}
SUMMARY: dict[str, Any] = {
    "duration_s": 1.0,
    "answers": 0,
    "interruptions": 0,
    "latency_median_s": None,
    "latency_worst_s": None,
    "audio_in_s": 0.0,
    "audio_out_s": 0.0,
    "audio_dropped_s": 0.0,
    "underruns": 0,
    "xruns": 0,
    "echo_leak_db": None,
    "erle_db": None,
    "reconnects": 0,
    "prompt_tokens": {NASTY: 3},
    "response_tokens": {},
    "context_tokens": 3,
}
USAGE: dict[str, Any] = {
    "prompt_tokens": 1,
    "response_tokens": 2,
    "total_tokens": 3,
    "thoughts_tokens": 4,
    "tool_use_prompt_tokens": 5,
    "cached_tokens": 6,
    "prompt_by_modality": {NASTY: 1},
    "response_by_modality": {},
}
STARTED: dict[str, Any] = {"model": NASTY, "voice": None, "tools": [NASTY], "screen": NASTY, "sound": [NASTY]}
FOUND = events.Sources(1, [NASTY], (events.Source(NASTY, NASTY),))

TABLE: list[tuple[Event, str, dict[str, Any]]] = [
    (events.Connecting(2, "simulator"), "connecting", {"attempt": 2, "server": "simulator"}),
    (events.SessionStarted(**STARTED), "session_started", STARTED | {"server": None, "has_words": True}),
    (events.Asked(1, NASTY, typed=False), "asked", {"exchange": 1, "text": NASTY, "typed": False}),
    (UserSaid(1, NASTY, late=True), "heard", {"exchange": 1, "text": NASTY, "late": True}),
    (ModelSaid(1, NASTY), "words", {"exchange": 1, "text": NASTY}),
    (
        Answered(1, NASTY, asked=True, cut_off=False, reason="SAFETY"),
        "answered",
        {"exchange": 1, "text": NASTY, "asked": True, "cut_off": False, "reason": "SAFETY"},
    ),
    (Restarted(1, NASTY), "restarted", {"exchange": 1, "text": NASTY}),
    (LateWords(1, NASTY), "late_words", {"exchange": 1, "text": NASTY}),
    (Unfinished(1, NASTY), "unfinished", {"exchange": 1, "text": NASTY}),
    (SpeechLost(None), "speech_lost", {"exchange": None}),
    (events.Thought(1, NASTY), "thought", {"exchange": 1, "text": NASTY}),
    (events.Code(1, "PYTHON", NASTY), "code", {"exchange": 1, "language": "PYTHON", "code": NASTY}),
    (events.CodeResult(1, "OUTCOME_OK", ""), "code_result", {"exchange": 1, "outcome": "OUTCOME_OK", "output": ""}),
    (FOUND, "sources", {"exchange": 1, "queries": [NASTY], "sources": [{"title": NASTY, "uri": NASTY}]}),
    (
        events.ToolCall(1, "c1", "f", {NASTY: [None, {"a": NASTY}]}),
        "tool_call",
        {"exchange": 1, "id": "c1", "name": "f", "args": {NASTY: [None, {"a": NASTY}]}},
    ),
    (
        events.ToolResult(1, "c1", "f", {NASTY: 1.5}, failed=True),
        "tool_result",
        {"exchange": 1, "id": "c1", "name": "f", "response": {NASTY: 1.5}, "failed": True, "continues": False},
    ),
    (events.ToolCancelled(1, "c1", NASTY), "tool_cancelled", {"exchange": 1, "id": "c1", "name": NASTY}),
    (events.FunctionOutput(NASTY), "function_output", {"text": NASTY}),
    (events.Usage(**USAGE), "usage", USAGE),
    (events.Status(NASTY), "status", {"text": NASTY}),
    (events.Warning(NASTY), "warning", {"text": NASTY}),
    (events.Error(NASTY), "error", {"text": NASTY}),
    (events.Reply("a\nb"), "reply", {"text": "a\nb"}),
    (events.Summary(**SUMMARY), "summary", SUMMARY),
    (
        events.SoundModeChanged("half duplex", -8.0, 3.5),
        "sound_mode_changed",
        {"mode": "half duplex", "echo_leak_db": -8.0, "erle_db": 3.5},
    ),
    (AudioReport(**AUDIO_REPORT), "audio_report", AUDIO_REPORT),
    (events.SessionEnded(124), "session_ended", {"exit_code": 124}),
]
"""Each event of version 1 of the schema: its class, its type, and its fields. Add to this table; change none of it."""


class People:
    """Keeps what people are told on stderr."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


class Recording:
    """A `Jsonl`, its clock, and what it wrote."""

    def __init__(self) -> None:
        self.writer, self.stream, self.people = BackgroundWriter(), io.StringIO(), People()
        self.now_s = 100.0
        self.jsonl = Jsonl(self.writer, self.stream, self.people, clock=lambda: self.now_s)

    @property
    def text(self) -> str:
        assert self.writer.flush(WAIT_S)
        return self.stream.getvalue()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.mark.parametrize(("event", "kind", "fields"), TABLE, ids=[kind for _, kind, _ in TABLE])
def test_an_event_is_one_harmless_line_of_json_with_its_type_and_fields(
    event: Event, kind: str, fields: dict[str, Any]
) -> None:
    recording = Recording()
    recording.jsonl.emit(event)
    written = recording.text
    assert written.endswith("\n")
    assert len(written.splitlines()) == 1  # by every line end that Python knows
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", written)
    written.encode()
    record = json.loads(written, parse_constant=pytest.fail)
    assert list(record)[:4] == ["v", "type", "t_s", "turn"]
    assert record == {"v": VERSION, "type": kind, "t_s": 0.0, "turn": 0, **fields}
    assert VERSION == 1


def test_the_table_has_every_event_of_the_schema() -> None:
    assert {type(event) for event, _, _ in TABLE} == set(IN_JSONL)


@pytest.mark.parametrize(
    "event", [QuestionComplete(1), events.Stopped(1), events.Silenced(), events.Detail("x"), events.Commanded("/x")]
)
def test_what_only_a_terminal_needs_is_not_written(event: Event) -> None:
    recording = Recording()
    recording.jsonl.emit(event)
    assert recording.text == ""


def test_letters_of_all_scripts_are_written_as_they_are() -> None:
    recording = Recording()
    recording.jsonl.emit(ModelSaid(1, "Grüße 日本 🎈"))
    assert '"text": "Grüße 日本 🎈"' in recording.text


def test_times_are_seconds_since_the_start() -> None:
    recording = Recording()
    recording.jsonl.emit(ModelSaid(1, "at once"))
    recording.now_s += 1.23456
    recording.jsonl.emit(ModelSaid(1, "later"))
    assert [event["t_s"] for event in recording.events] == [0.0, 1.235]


def test_turns_count_the_answers_that_had_ended_before() -> None:
    recording = Recording()
    for exchange, cut_off in ((1, False), (2, True)):
        recording.jsonl.emit(ModelSaid(exchange, "an answer"))
        recording.jsonl.emit(Answered(exchange, "an answer", asked=True, cut_off=cut_off))
    recording.jsonl.emit(LateWords(2, "late"))
    assert [event["turn"] for event in recording.events] == [0, 0, 1, 1, 2]


def test_events_are_written_at_once_and_in_order() -> None:
    recording = Recording()
    for number in range(50):
        recording.jsonl.emit(ModelSaid(1, str(number)))
        assert recording.events[-1]["text"] == str(number)
    assert [event["text"] for event in recording.events] == [str(number) for number in range(50)]


def test_warnings_errors_and_details_go_to_people_too() -> None:
    recording = Recording()
    told: list[Event] = [events.Warning("careful"), events.Error("too late"), events.Detail("< {}")]
    for event in (*told, events.Status("all is well")):
        recording.jsonl.emit(event)
    assert recording.people.events == told
    assert [event["type"] for event in recording.events] == ["warning", "error", "status"]


def test_without_stdout_nothing_is_written() -> None:
    recording = Recording()
    nowhere = Jsonl(recording.writer, None, recording.people, clock=lambda: 0.0)
    for event, _, _ in TABLE:
        nowhere.emit(event)
    assert recording.text == ""
