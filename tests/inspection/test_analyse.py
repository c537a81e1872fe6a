"""Turns, times, calls and tokens are found in recordings of every writer."""

from pathlib import Path
from typing import Any

import pytest

from gemini_live.inspection.playback import merge, overlap_s, spans_of
from gemini_live.inspection.session import Ending, Origin, Session

from .tape import Tape, conversation

MEASURES = ("first_byte_after_s", "first_sound_after_s", "silent_after_s", "talk_over_s", "spoken_s", "heard_s")


def measures(session: Session) -> list[dict[str, Any]]:
    return [{name: round(value, 3) for name in MEASURES if (value := getattr(turn, name))} for turn in session.turns]


def test_a_clients_recording_is_measured(tmp_path: Path) -> None:
    session = conversation().analyse(tmp_path)
    assert [(turn.origin, turn.question, turn.words, turn.ending) for turn in session.turns] == [
        (Origin.TYPED, "What is the weather?", "It is sunny in Oslo.", Ending.COMPLETE),
        (Origin.SPOKEN, "tell me a story", "Once upon a time", Ending.INTERRUPTED),
        (Origin.SPOKEN, "stop", "Stopped.", Ending.COMPLETE),
    ]
    assert measures(session) == [
        # Typed at 1.0, the call comes at 1.5; the first sound is handed to the card at 2.01 and heard 0.04 s later.
        {"first_byte_after_s": 0.5, "first_sound_after_s": 1.05, "spoken_s": 1.5, "heard_s": 1.5},
        # Speech ended at 5.0. From 5.66 on 4 s would be heard; the user speaks from 7.0; silent at 7.51 and 0.04 s.
        {
            "first_byte_after_s": 0.6,
            "first_sound_after_s": 0.66,
            "silent_after_s": 0.55,
            "talk_over_s": 0.55,
            "spoken_s": 4.0,
            "heard_s": 1.89,
        },
        {"first_byte_after_s": 1.4, "first_sound_after_s": 1.46, "spoken_s": 0.5, "heard_s": 0.5},
    ]
    (call,) = session.turns[0].calls
    assert (call.name, call.args, call.response, call.ran_s) == ("weather", {"city": "Oslo"}, {"sky": "clear"}, 0.25)
    assert (call.called_s, call.answered_s) == (1.5, 1.76)
    assert session.turns[0].actions == ["call weather", "result weather", "words", "sound"]
    assert [(c.number, c.opened_s, c.ready_s) for c in session.connections] == [(1, 0.0, 0.0), (2, 8.9, 8.9)]
    assert [turn.tokens.prompt for turn in session.turns] == [{"OTHER": 100}, {"OTHER": 200}, {"OTHER": 300}]
    assert [turn.tokens.response for turn in session.turns] == [{"AUDIO": 40}, {"AUDIO": 60}, {"AUDIO": 10}]


def test_without_local_events_speech_is_found_in_the_sound(tmp_path: Path) -> None:
    tape = Tape(role="proxy").connect().microphone(1.0).microphone(2.0, 9_000).microphone(2.7)
    tape.at(3.0).sound(1.0).words("Hi").done().at(4.5).microphone(5.0)
    (turn,) = (session := tape.analyse(tmp_path)).turns
    assert turn.origin is Origin.SPOKEN
    assert turn.asked_s == pytest.approx(2.0, abs=0.11)
    assert turn.first_sound_s == 3.0
    assert [list(span) for span in session.speech] == [pytest.approx([1.0, 2.0], abs=0.15)]


def test_sound_is_read_as_google_genai_sends_it(tmp_path: Path) -> None:
    """Names in snake_case, and the base64 of URLs (google-genai 1.x, Nov 2026); padding may be missing."""
    tape = Tape(role="proxy").connect().microphone(1.0).microphone(2.0, 8_000).microphone(3.0)
    sent = ""
    for line in tape.lines:
        if audio := line.get("message", {}).get("realtimeInput", {}).get("audio"):
            data = audio["data"].replace("+", "-").replace("/", "_").rstrip("=")
            line["message"] = {"realtime_input": {"audio": {"mime_type": audio["mimeType"], "data": data}}}
            sent += data
    assert "-" in sent and "_" in sent
    session = tape.analyse(tmp_path)
    assert [list(span) for span in session.speech] == [pytest.approx([1.0, 2.0], abs=0.2)]


def test_of_a_recording_without_sound_the_servers_detector_is_used(tmp_path: Path) -> None:
    tape = Tape(role="proxy").connect()
    tape.at(1.0).server({"voiceActivity": {"type": "ACTIVITY_START"}})
    tape.at(2.0).server({"voiceActivity": {"type": "ACTIVITY_END"}})
    (turn,) = tape.at(2.5).words("Hi").done().analyse(tmp_path).turns
    assert (turn.origin, turn.first_byte_after_s) == (Origin.SPOKEN, 0.5)


def test_the_ends_of_activities_tell_when_speech_ended(tmp_path: Path) -> None:
    tape = Tape(role="proxy").connect()
    tape.at(1.0).client({"realtime_input": {"activity_start": {}}})
    tape.at(2.0).client({"realtime_input": {"activity_end": {}}})
    (turn,) = tape.at(2.25).words("Hi").done().analyse(tmp_path).turns
    assert (turn.origin, turn.first_byte_after_s) == (Origin.SPOKEN, 0.25)


def test_an_answer_to_a_result_belongs_to_the_turn_that_called(tmp_path: Path) -> None:
    # 3.8 ends the turn of a NON_BLOCKING call before its result, and answers in another one.
    tape = Tape().connect().at(1).type("Go").at(2).call("f", {}).at(2.1).done()
    tape.at(3).result("f", {}).at(4).words("Done").at(5).done()
    (turn,) = tape.analyse(tmp_path).turns
    assert (turn.words, turn.ending, turn.ended_s) == ("Done", Ending.COMPLETE, 5)


def test_a_turn_that_is_in_progress_goes_on(tmp_path: Path) -> None:
    tape = Tape().connect().at(1).type("Go").at(2).words("Let me see. ").done(interactionStatus="IN_PROGRESS")
    (turn,) = tape.at(4).words("Here.").done(interactionStatus="IDLE").analyse(tmp_path).turns
    assert (turn.words, turn.ended_s) == ("Let me see. Here.", 4)


def test_a_line_that_is_asked_again_on_a_new_connection_is_one_turn(tmp_path: Path) -> None:
    tape = Tape().connect().at(1).type("Go").at(2).words("Half").at(3).close(1006, "", "server").at(4).connect()
    (turn,) = tape.at(5).type("Go").at(6).words("All of it").done().analyse(tmp_path).turns
    assert (turn.words, turn.ending) == ("All of it", Ending.COMPLETE)


def test_a_typed_line_that_interrupts_measures_the_time_to_silence(tmp_path: Path) -> None:
    tape = Tape(role="simulator").connect().at(1).type("One").at(2).sound(5.0)
    tape.at(3).type("Two").at(3.25).content(interrupted=True).at(3.5).words("Yes").done()
    first, second = tape.analyse(tmp_path).turns
    assert (first.ending, first.silent_after_s) == (Ending.INTERRUPTED, 0.25)
    assert (second.question, second.words, second.ending) == ("Two", "Yes", Ending.COMPLETE)


def test_typed_turns_and_history_in_client_content_are_told_apart(tmp_path: Path) -> None:
    old = [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]
    new = {"role": "user", "parts": [{"text": "Hello"}]}
    tape = Tape().connect().client({"clientContent": {"turns": old, "turnComplete": True}})
    tape.at(1).client({"clientContent": {"turns": [new], "turnComplete": True}}).at(2).words("Hi").done()
    (turn,) = (session := tape.analyse(tmp_path)).turns
    assert turn.question == "Hello"
    assert [mark.text for mark in session.marks if mark.kind == "history"] == ["2 turns"]


def test_what_waits_when_the_client_leaves_was_not_heard(tmp_path: Path) -> None:
    tape = Tape(role="client").connect().at(1.0).type("Count to 20.").at(2.0).sound(10.0)
    tape.local("first_sound", latency_s=0.1).at(6.0).local("speech_began", ago_s=0.0)
    (turn,) = (session := tape.analyse(tmp_path)).turns
    assert turn.spoken_s == 10.0
    assert turn.heard_s == pytest.approx(4.0)
    assert session.duration_s == pytest.approx(6.1)


def test_what_was_not_played_has_no_first_sound(tmp_path: Path) -> None:
    session = Tape().connect().at(1).type("Go").at(2).sound(1.0).done().analyse(tmp_path)
    assert not session.is_played
    assert session.turns[0].first_sound_s is None


def test_sound_that_comes_too_late_leaves_a_gap(tmp_path: Path) -> None:
    tape = Tape(role="proxy").connect().at(1).type("Go").at(2).sound(1.0).at(4).sound(1.0).at(4.5).sound(0.5)
    assert spans_of(tape.analyse(tmp_path).model_sounds) == [(2, 3), (4, 5.5)]


HOSTILE: list[Any] = [None, True, 1e308, -1, 10**30, "x", [], {}, [[]], [{}], {"a": 1}, "\x1b[2J", [None, 1]]


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_no_value_in_any_place_stops_the_analysis(tmp_path: Path, value: Any) -> None:
    tape = Tape().connect().at(1).type("Go")
    blob = {"mimeType": value, "data": value}
    for message in (
        {"setup": value},
        {"realtimeInput": value},
        {"realtimeInput": {"audio": value, "mediaChunks": value, "text": value, "activityStart": value}},
        {"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=0", "data": "!", "bytes": value}}},
        {"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": "", "bytes": value}}},
        {"clientContent": value},
        {"clientContent": {"turns": value, "turnComplete": value}},
        {"clientContent": {"turns": [value, {"role": value, "parts": value}], "turnComplete": True}},
        {"toolResponse": value},
        {"toolResponse": {"functionResponses": [value, {"id": value, "name": value, "response": value}]}},
    ):
        tape.client(message)
    for message in (
        {"setupComplete": value, "serverContent": value, "toolCall": value, "usageMetadata": value, "goAway": value},
        {"serverContent": {"interrupted": value, "turnComplete": value, "modelTurn": value}},
        {"serverContent": {"modelTurn": {"parts": [value, {"text": value, "inlineData": value}]}}},
        {"serverContent": {"modelTurn": {"parts": [{"inlineData": blob, "thought": value}]}}},
        {"serverContent": {"inputTranscription": value, "outputTranscription": {"text": value}}},
        {"toolCall": {"functionCalls": [value, {"id": value, "name": value, "args": value}]}},
        {"toolCallCancellation": {"ids": value}, "voiceActivity": {"type": value}, "error": {"message": value}},
        {"usageMetadata": {"promptTokenCount": value, "promptTokensDetails": [value, {"modality": value}]}},
    ):
        tape.server(message)
    for event in ("speech_began", "first_sound", "playback_cleared", "function_ran", "odd"):
        tape.local(event, ago_s=value, latency_s=value, discarded_s=value, id=value, duration_s=value, n=value)
    assert tape.analyse(tmp_path).turns[0].question == "Go"


def test_spans_are_joined_and_their_overlap_is_summed() -> None:
    spans = merge([(3.0, 4.0), (1.0, 2.0), (1.5, 2.5), (4.01, 5.0)])
    assert spans == [(1.0, 2.5), (3.0, 5.0)]
    assert overlap_s(spans, [(0.0, 1.5), (2.0, 3.5), (4.9, 9.0)]) == pytest.approx(0.5 + 0.5 + 0.5 + 0.1)
