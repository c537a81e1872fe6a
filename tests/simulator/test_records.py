"""records.py: the log, the record's arithmetic, and the verdict."""

from typing import Any

from gemini_live.simulator import CallRecord, SessionRecord, TurnRecord
from gemini_live.simulator.records import format_verdict


def new_record(**fields: Any) -> SessionRecord:
    return SessionRecord(**{"number": 1, "path": "/ws/x", "api_version": "v1", "opened_s": 0.0, "keep": True, **fields})


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


def test_mistakes_are_bounded() -> None:
    record = new_record()
    for i in range(1000):
        record.mistake(str(i))
    assert len(record.mistakes) == 100
