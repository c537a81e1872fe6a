"""schema.py: client messages in any spelling, nothing unknown, and the schema as google-genai's types have it."""

import json
import random
from typing import Any

import pytest

from gemini_live.simulator.close_reasons import Refusal
from gemini_live.simulator.schema import parse_client_message, snake_case

from . import generate_schema

PATH = generate_schema.SCHEMA_PATH


def parse(message: Any) -> dict[str, Any]:
    return parse_client_message(json.dumps(message).encode())


def refusal_of(message: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(message)
    return caught.value


def test_schema_is_what_google_genais_types_say() -> None:
    assert PATH.read_text(encoding="utf-8") == generate_schema.format_schema()


def test_snake_and_camel_case_mix_at_any_depth() -> None:
    sent = {
        "setup": {
            "model": "models/m",
            "generation_config": {
                "speechConfig": {"voice_config": {"prebuiltVoiceConfig": {"voice_name": "Kore"}}},
                "responseModalities": ["AUDIO"],
            },
            "realtimeInputConfig": {"automatic_activity_detection": {"silenceDurationMs": 600}},
        }
    }
    assert parse(sent) == {
        "setup": {
            "model": "models/m",
            "generationConfig": {
                "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
                "responseModalities": ["AUDIO"],
            },
            "realtimeInputConfig": {"automaticActivityDetection": {"silenceDurationMs": 600}},
        }
    }


def test_names_inside_free_form_structs_stay_as_they_are() -> None:
    response = {"id": "1", "name": "f", "response": {"some_key": {"otherKey": None}}}
    assert parse({"tool_response": {"function_responses": [response]}}) == {
        "toolResponse": {"functionResponses": [response]}
    }
    properties = {"city_name": {"type": "STRING"}, "cityName": {"type": "string"}}
    setup = {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"properties": properties}}]}]}
    read = parse({"setup": setup})["setup"]["tools"][0]["functionDeclarations"][0]["parameters"]["properties"]
    assert list(read) == ["city_name", "cityName"]
    assert read["cityName"]["type"] == "STRING"


@pytest.mark.parametrize("text", ["_9g=", "/9g=", "_9g", "/9g"])
def test_both_base64_alphabets_with_and_without_padding(text: str) -> None:
    audio = {"realtimeInput": {"audio": {"data": text, "mimeType": "audio/pcm"}}}
    assert parse(audio) == {"realtimeInput": {"audio": {"data": b"\xff\xd8", "mimeType": "audio/pcm"}}}
    video = {"realtime_input": {"video": {"data": text, "mime_type": "image/jpeg"}}}
    assert parse(video) == {"realtimeInput": {"video": {"data": b"\xff\xd8", "mimeType": "image/jpeg"}}}


def test_audio_is_read_alike_by_the_short_way_and_the_long_one() -> None:
    short = {"realtime_input": {"audio": {"data": "AAAA", "mime_type": "audio/pcm"}}}
    long = {"realtimeInput": {"audio": {"data": "AAAA", "mimeType": "audio/pcm"}, "text": None}}
    assert parse(short) == parse(long)


@pytest.mark.parametrize("value", [600, "600", 600.0, "6e2"])
def test_integers_may_be_strings(value: object) -> None:
    message = {"setup": {"contextWindowCompression": {"triggerTokens": value}}}
    assert parse(message)["setup"]["contextWindowCompression"]["triggerTokens"] == 600


def test_null_is_the_default_and_not_a_value() -> None:
    assert parse({"setup": {"model": "m", "tools": None}}) == {"setup": {"model": "m"}}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        # @google/adk 2.0 sends this with every setup.
        ({"setup": {"generationConfig": {"enableAffectiveDialog": False}}}, {"setup": {"generationConfig": {}}}),
        ({"setup": {"proactivity": {"proactiveAudio": False}}}, {"setup": {"proactivity": {}}}),
        ({"setup": {"generationConfig": {"stopSequences": []}}}, {"setup": {"generationConfig": {}}}),
        ({"setup": {"generationConfig": {"responseMimeType": ""}}}, {"setup": {"generationConfig": {}}}),
        (
            {"setup": {"generationConfig": {"thinkingConfig": {"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}}}},
            {"setup": {"generationConfig": {"thinkingConfig": {}}}},
        ),
        ({"setup": {"historyConfig": {"initialHistoryInClientContent": False}}}, {"setup": {"historyConfig": {}}}),
        ({"setup": {"sessionResumption": {"handle": ""}}}, {"setup": {"sessionResumption": {}}}),
        ({"realtimeInput": {"audioStreamEnd": False}}, {"realtimeInput": {}}),
        (
            {"realtimeInput": {"audio": {"data": "", "mimeType": "audio/pcm"}}},
            {"realtimeInput": {"audio": {"mimeType": "audio/pcm"}}},
        ),
        ({"clientContent": {"turns": [], "turnComplete": False}}, {"clientContent": {}}),
        # Where proto3 does tell zero from absence, so do we.
        (
            {"setup": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}},
            {"setup": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}},
        ),
        ({"realtimeInput": {"text": ""}}, {"realtimeInput": {"text": ""}}),
        (
            {"toolResponse": {"functionResponses": [{"response": {"output": False, "x": ""}, "willContinue": False}]}},
            {"toolResponse": {"functionResponses": [{"response": {"output": False, "x": ""}}]}},
        ),
    ],
)
def test_a_default_is_as_good_as_absent(given: Any, read: Any) -> None:
    assert parse(given) == read


def test_enumerations_may_be_in_lower_case() -> None:
    config = {"thinkingConfig": {"thinkingLevel": "low"}}
    assert parse({"setup": {"generationConfig": config}})["setup"]["generationConfig"] == {
        "thinkingConfig": {"thinkingLevel": "LOW"}
    }


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"foo": 1}, 'Invalid JSON payload received. Unknown name "foo": Cannot find field.'),
        (
            {"setup": {"generationConfig": {"outputAudioTranscription": {}}}},
            "Invalid JSON payload received. Unknown name \"outputAudioTranscription\" at 'setup.generation_config': "
            "Cannot find field.",
        ),
        (
            {"setup": {"tools": [{}, {"functionDeclarations": [{"nom": "f"}]}]}},
            "Invalid JSON payload received. Unknown name \"nom\" at 'setup.tools[1].function_declarations[0]': "
            "Cannot find field.",
        ),
        (
            {"setup": {"explicitVadSignal": True}},
            "Invalid JSON payload received. Unknown name \"explicitVadSignal\" at 'setup': Cannot find field.",
        ),
        (
            {"setup": {"generationConfig": {"temperature": "warm"}}},
            "Invalid value at 'setup.generation_config.temperature' (TYPE_DOUBLE), 'warm'",
        ),
        (
            {"setup": {"generationConfig": {"seed": 1.5}}},
            "Invalid value at 'setup.generation_config.seed' (TYPE_INT64), 1.5",
        ),
        (
            {"setup": {"generationConfig": {"seed": True}}},
            "Invalid value at 'setup.generation_config.seed' (TYPE_DOUBLE), True",
        ),
        ({"setup": {"model": 3}}, "Invalid value at 'setup.model' (TYPE_STRING), 3"),
        ({"setup": []}, "Invalid value at 'setup' (LiveClientSetup), []"),
        ({"setup": {"tools": {}}}, "Invalid value at 'setup.tools' (repeated), {}"),
        (
            {"toolResponse": {"functionResponses": [{"response": "x"}]}},
            "Invalid value at 'tool_response.function_responses[0].response' (Struct), 'x'",
        ),
        ({"setup": {"labels": []}}, "Invalid value at 'setup.labels' (map), []"),
        (
            {"clientContent": {"turnComplete": "yes"}},
            "Invalid value at 'client_content.turn_complete' (TYPE_BOOL), 'yes'",
        ),
        (
            {"setup": {"generationConfig": {"mediaResolution": "HUGE"}}},
            "Invalid value at 'setup.generation_config.media_resolution' (MediaResolution), 'HUGE'",
        ),
        (
            {"realtimeInput": {"audio": {"data": "?", "mimeType": "audio/pcm"}}},
            "Invalid value at 'realtime_input.audio.data' (TYPE_BYTES), Base64 decoding failed",
        ),
        ({"realtimeInput": {"audio": {"data": 5}}}, "Invalid value at 'realtime_input.audio.data' (TYPE_BYTES), 5"),
        (
            {"setup": {"model": "a", "Model": "b"}},
            "Invalid JSON payload received. Unknown name \"Model\" at 'setup': Cannot find field.",
        ),
        (
            {"setup": {"systemInstruction": {}, "system_instruction": {}}},
            "Invalid value at 'setup' (LiveClientSetup), 'system_instruction twice'",
        ),
        ({"setup": {}, "clientContent": {}}, "Request contains an invalid argument."),
        ({}, "Request contains an invalid argument."),
        ([], "Invalid JSON payload received. Root element must be a message."),
    ],
)
def test_what_the_api_does_not_have_is_refused_by_name_and_place(message: Any, reason: str) -> None:
    refusal = refusal_of(message)
    assert (refusal.code, refusal.reason) == (1007, reason[:123])


@pytest.mark.parametrize(
    "raw",
    [
        *(
            b"\xff",
            "{",
            "",
            b"nonsense",
            "[" * 100_000,
            '{"a": NaN}',
            '{"a": 1e999}',
            '{"a": -Infinity}',
            '{"a": ' + "9" * 5000 + "}",
        ),
        *('{"realtimeInput": {"text": "\\ud800"}}', '{"\\uDC00": 1}', b'{"a": "\xed\xa0\x80"}'),
    ],
)
def test_what_is_not_json_is_refused(raw: str | bytes) -> None:
    with pytest.raises(Refusal, match="Unexpected token"):
        parse_client_message(raw)


def test_pairs_of_surrogates_are_text() -> None:
    assert parse({"realtimeInput": {"text": "\U0001f600"}}) == {"realtimeInput": {"text": "\U0001f600"}}


@pytest.mark.parametrize("value", [1e300, 2**63, "1e30"])
def test_integers_are_bounded(value: object) -> None:
    assert "TYPE_INT64" in refusal_of({"setup": {"contextWindowCompression": {"triggerTokens": value}}}).reason


def test_an_explanation_is_bounded() -> None:
    assert len(refusal_of({"setup": {"model": ["x" * 10**6]}}).explanation) == 500


def test_reasons_fit_into_a_close_frame_whatever_the_field_is_called() -> None:
    assert len(refusal_of({"ü" * 500: 1}).reason.encode()) <= 123


def test_a_thousand_mutilated_messages_raise_nothing_but_refusals() -> None:
    generator = random.Random(5)
    setup = {"setup": {"model": "m", "tools": [{"functionDeclarations": [{"name": "f", "parameters": {}}]}]}}
    content = {"clientContent": {"turns": [{"role": "user", "parts": [{"text": "hi"}]}], "turnComplete": True}}
    for i in range(1000):
        text = json.dumps((setup, content)[i % 2])
        at = generator.randrange(len(text))
        cut = text[:at] + generator.choice(['"', "{", "1", "null", "[", "", "\\", ":"]) + text[at + 1 :]
        try:
            parse_client_message(cut)
        except Refusal as refusal:
            assert refusal.code == 1007


def test_snake_case_is_the_protos_spelling() -> None:
    assert [snake_case(name) for name in ("topP", "generationConfig", "text")] == ["top_p", "generation_config", "text"]
