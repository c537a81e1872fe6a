"""records.py: the log, the record's arithmetic, and the verdict."""

import base64
import json
from pathlib import Path
from typing import Any

from gemini_live.simulator import CallRecord, SessionRecord, Simulator, TurnRecord
from gemini_live.simulator.records import elide, format_verdict

from .fake_clock import FakeClock
from .peer import dial, session, setup


def new_record(**fields: Any) -> SessionRecord:
    return SessionRecord(**{"number": 1, "path": "/ws/x", "api_version": "v1", "opened_s": 0.0, "keep": True, **fields})


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_log_has_every_message_both_ways_with_media_elided(tmp_path: Path) -> None:
    clock = FakeClock()
    path = tmp_path / "log.jsonl"
    async with Simulator(pace=0, espeak=False, log=path, clock=clock) as server, session(server) as peer:
        clock.advance(1.5)
        await peer.speak(bytes(640))
        await peer.ask("Grüße")
    lines = read(path)
    assert [line["event"] for line in lines[:3]] == ["open", "client", "server"]
    assert lines[-1]["event"] == "close" and lines[-1]["session"] == 1
    messages = [line for line in lines if line["event"] in ("client", "server")]
    (record,) = server.sessions
    assert len(messages) == record.n_received + record.n_sent
    audio = {"realtimeInput": {"audio": {"data": "<640 bytes>", "mimeType": "audio/pcm;rate=16000"}}}
    assert {"t_s": 1.5, "session": 1, "event": "client", "content": audio} in lines
    assert "<9600 bytes>" in path.read_text(encoding="utf-8")
    assert "Grüße" in path.read_text(encoding="utf-8")


async def test_log_may_hold_the_media_too(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    async with Simulator(pace=0, espeak=False, log=path, log_media=True) as server, session(server) as peer:
        await peer.speak(bytes(range(256)))
        turn = await peer.ask("Hello")
    contents = [line["content"] for line in read(path)]
    data = base64.b64encode(bytes(range(256))).decode()
    assert {"realtimeInput": {"audio": {"data": data, "mimeType": "audio/pcm;rate=16000"}}} in contents
    assert base64.b64encode(turn.chunks[0]).decode() in path.read_text(encoding="utf-8")


async def test_log_names_mistakes_and_never_a_key(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    options: dict[str, Any] = {"key": "s3cret", "log": path}
    async with Simulator(**options) as server, dial(server, f"{server.socket_url}?key=s3cret") as peer:
        await peer.send(setup())
        await peer.receive()
        await peer.send({"clientContent": {"turns": [{"role": "system"}]}})
        await peer.closed()
    text = path.read_text(encoding="utf-8")
    assert "s3cret" not in text
    (mistake,) = [line["content"] for line in read(path) if line["event"] == "mistake"]
    assert mistake == "Please use a valid role: user, model. (closed with 1007)"


def test_gaps_are_measured_against_the_audio_that_came_before() -> None:
    record = new_record()
    for now_s in (0.0, 0.02, 0.04, 0.10, 0.12):
        record.heard(bytes(640), 0.02, now_s)
    assert (record.n_gaps, round(record.longest_gap_s, 3)) == (0, 0.04)
    record.heard(bytes(640), 0.02, 0.5)
    assert (record.n_gaps, round(record.longest_gap_s, 3)) == (1, 0.36)
    record.microphone_closed()
    record.heard(bytes(640), 0.02, 9.0)
    assert record.n_gaps == 1
    assert (record.n_audio_bytes, round(record.audio_s, 2)) == (7 * 640, 0.14)


def test_audio_sent_ahead_of_time_makes_up_for_a_pause() -> None:
    record = new_record()
    for _ in range(100):
        record.heard(bytes(640), 0.02, 0.0)
    record.heard(bytes(640), 0.02, 1.9)
    assert record.longest_gap_s == 0.0


def test_verdict_on_a_good_client() -> None:
    record = new_record(n_received=3, n_sent=9, turns=[TurnRecord(1, "x", "typed", complete=True)])
    record.close_code, record.closed_by_client = 1000, True
    assert list(format_verdict(record)) == [
        "session 1: /ws/x, closed by the client with 1000",
        "  3 messages received, 9 sent; 1 turns, 1 complete, 0 interrupted",
        "  no protocol mistakes found",
    ]


def test_verdict_on_a_bad_one() -> None:
    calls = [
        CallRecord("1", "f", {}, answers=[{}], open=False, n_again=1),
        CallRecord("2", "f", {}, cancelled=True, open=False, n_late=1),
        CallRecord("3", "g", {}),
    ]
    record = new_record(
        calls={call.id: call for call in calls}, n_audio_bytes=1, audio_s=2.5, n_utterances=1, n_frames=4
    )
    record.n_gaps, record.longest_gap_s = 2, 0.25
    record.mistake("did something")
    record.mistake("did something")
    record.mistake("did more")
    assert list(format_verdict(record)) == [
        "session 1: /ws/x, open",
        "  0 messages received, 0 sent; 0 turns, 0 complete, 0 interrupted",
        "  media: 2.5 s of audio received, 1 utterances in it, 2 gaps above 100 ms, the longest 250 ms; 4 frames",
        "  tool calls: 3 made, 1 answered, 1 cancelled, 1 never answered, 1 answered late, 1 again",
        "  mistakes: 2",
        "    - did something",
        "    - did more",
    ]


def test_verdict_names_code_and_reason_of_a_close_by_the_server() -> None:
    record = new_record(close_code=1011, close_reason="Internal error")
    assert next(format_verdict(record)) == "session 1: /ws/x, closed by the server with 1011 (Internal error)"


def test_elided_messages_are_json_and_name_sizes() -> None:
    message = {"a": [b"123", {"data": base64.b64encode(b"12345").decode()}], "b": 1, "c": None}
    assert elide(message) == {"a": ["<3 bytes>", {"data": "<5 bytes>"}], "b": 1, "c": None}
    assert elide({"a": b"123"}, media=True) == {"a": "MTIz"}


def test_mistakes_are_bounded() -> None:
    record = new_record()
    for i in range(1000):
        record.mistake(str(i))
    assert len(record.mistakes) == 100
