"""Every outgoing message against whole dicts, Google's protos and google-genai's types; and the line for people."""

import base64
import itertools
import json
import random
from typing import Any

import pytest
from google.genai import types

from gemini_live.models import TypedTurn
from gemini_live.wire.messages import (
    FunctionResponse,
    Message,
    build_activity_end,
    build_activity_start,
    build_audio_stream_end,
    build_history,
    build_stale_response,
    build_tool_response,
    build_typed_turn,
    encode_audio,
    encode_video,
    format_message,
)
from tests.protos import CLIENT, NEITHER, SDK_ONLY, SDK_ONLY_VALUES, SERVER, check_client_message, check_server_message
from tests.random_messages import mutate_bytes, mutate_tree, random_server_message

TEXTS = ("hi", "", " ", "né 漢 🎤\n\x00\u2028", "x" * 5000)
RESPONSES: tuple[dict[str, Any], ...] = ({}, {"output": None}, {"error": "ValueError: no"}, {"a_b": {"c_d": [1, 2.5]}})


def test_a_typed_turn_is_realtime_input_where_the_model_takes_that() -> None:
    assert build_typed_turn("hi", TypedTurn.REALTIME_TEXT) == {"realtimeInput": {"text": "hi"}}


def test_a_typed_turn_is_client_content_where_the_model_wants_that() -> None:
    assert build_typed_turn("hi", TypedTurn.CLIENT_CONTENT) == {
        "clientContent": {"turns": [{"role": "user", "parts": [{"text": "hi"}]}], "turnComplete": True}
    }


def test_a_typed_turn_is_sent_even_to_a_model_that_is_said_to_take_none() -> None:
    assert build_typed_turn("hi", TypedTurn.NOT_SUPPORTED) == {"realtimeInput": {"text": "hi"}}


def test_audio_names_its_rate_and_is_base64() -> None:
    message = json.loads(encode_audio(b"\xff\xef\x00\x01"))
    assert message == {"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": "/+8AAQ=="}}}


def test_a_frame_is_a_jpeg() -> None:
    assert json.loads(encode_video(b"\xff\xd8")) == {
        "realtimeInput": {"video": {"mimeType": "image/jpeg", "data": "/9g="}}
    }


def test_the_ends_of_audio_and_activity_are_flags() -> None:
    assert build_audio_stream_end() == {"realtimeInput": {"audioStreamEnd": True}}
    assert build_activity_start() == {"realtimeInput": {"activityStart": {}}}
    assert build_activity_end() == {"realtimeInput": {"activityEnd": {}}}


def test_history_alternates_roles_and_leaves_out_what_was_not_said() -> None:
    assert build_history([("hi", "hello"), ("", "go on"), ("bye", "")], turn_complete=True) == {
        "clientContent": {
            "turns": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [{"text": "hello"}]},
                {"role": "model", "parts": [{"text": "go on"}]},
                {"role": "user", "parts": [{"text": "bye"}]},
            ],
            "turnComplete": True,
        }
    }


def test_a_tool_response_carries_every_answer() -> None:
    responses = [
        FunctionResponse(id="1", name="f", response={"output": 4}),
        FunctionResponse(id="", name="g", response={"error": "no"}, scheduling="SILENT"),
    ]
    assert build_tool_response(responses) == {
        "toolResponse": {
            "functionResponses": [
                {"id": "1", "name": "f", "response": {"output": 4}},
                {"name": "g", "response": {"error": "no"}, "scheduling": "SILENT"},
            ]
        }
    }


def every_message() -> list[Message]:
    """Return every message that can be built, over the product of what can be given."""
    sounds = (b"", b"\x00", b"\xff\xef" * 320)
    pairs = list(itertools.product(TEXTS, TEXTS))
    responses = [
        FunctionResponse(id=id_, name="f", response=response, scheduling=scheduling)
        for id_ in ("", "fc-1")
        for response in RESPONSES
        for scheduling in (None, "SILENT", "WHEN_IDLE", "INTERRUPT")
    ]
    return [
        *(build_typed_turn(text, how) for text in TEXTS for how in TypedTurn),
        *(json.loads(encode_audio(sound)) for sound in sounds),
        *(json.loads(encode_video(sound)) for sound in sounds),
        *(build_history(pairs[:n], turn_complete=is_last) for n in (0, 1, len(pairs)) for is_last in (True, False)),
        *(build_tool_response([response]) for response in responses),
        build_tool_response([]),
        build_tool_response(responses),
        build_audio_stream_end(),
        build_activity_start(),
        build_activity_end(),
    ]


def test_google_s_protos_and_types_take_every_message() -> None:
    for message in every_message():
        check_client_message(message)


def test_the_sdk_reads_back_what_was_built() -> None:
    sound = bytes(range(256))
    read = types.LiveClientMessage.model_validate_json(encode_audio(sound))
    assert read.realtime_input is not None
    assert read.realtime_input.audio == types.Blob(data=sound, mime_type="audio/pcm;rate=16000")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({}, "exactly one field"),
        ({"setup": {}, "realtimeInput": {}}, "exactly one field"),
        ({"realtimeInput": {"text": 5}}, "proto refuses"),
        ({"realtimeInput": {"audio": {"data": b""}}}, "not JSON"),
        ({"realtimeInput": {"audio": {"mime_type": "audio/pcm"}}}, "not the name on the wire"),
        ({"setup": {"inputTranscription": {}}}, "proto refuses"),
        ({"setup": {"historyConfig": {"initial_history_in_client_content": True}}}, "google-genai refuses"),
        ({"setup": {"generationConfig": {"thinkingConfig": {"thinkingLevel": "DEEP"}}}}, "google-genai refuses"),
        ({"setup": {"realtimeInputConfig": {"turnCoverage": "TURN_INCLUDES_NOTHING"}}}, "proto refuses"),
        ({"setup": {"tools": [{"functionDeclarations": [{"parameters": {"$ref": "x"}}]}]}}, "proto refuses"),
    ],
)
def test_the_check_of_client_messages_refuses_what_the_service_would(message: Message, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_client_message(message)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"error": {}}, "proto refuses"),
        ({"serverContent": {}, "toolCall": {}}, "proto refuses"),
        ({"serverContent": {"turn_complete": True}}, "not the name on the wire"),
        ({"serverContent": {"turnCompleteReason": "WHIM"}}, "google-genai refuses"),
        ({"interactionStatus": "BORED"}, "google-genai refuses"),
    ],
)
def test_the_check_of_server_messages_refuses_what_the_service_would_not_send(message: Message, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_server_message(message)


def descriptors(root: Any) -> dict[str, Any]:
    """Return the descriptors of a message and of all that are in it, by short name."""
    found = {}
    waiting = [root.pb(root()).DESCRIPTOR]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.name not in found:
            found[descriptor.name] = descriptor
            waiting += [field.message_type for field in descriptor.fields if field.message_type]
    return found


def test_what_only_the_sdk_knows_is_what_the_protos_do_not_know() -> None:
    known = descriptors(CLIENT) | descriptors(SERVER)
    for name, (model, fields) in SDK_ONLY.items():
        in_proto = {field.json_name for field in known[name].fields}
        in_sdk = {info.alias for info in model.model_fields.values()}
        assert not fields & in_proto, f"{name}: the protos know this by now"
        assert fields <= in_sdk, name
    assert not NEITHER & {info.alias for info in types.LiveServerMessage.model_fields.values()}
    coverage = known["RealtimeInputConfig"].fields_by_name["turn_coverage"].enum_type.values_by_name
    assert SDK_ONLY_VALUES["turnCoverage"] not in coverage
    assert SDK_ONLY_VALUES["turnCoverage"] in [value.value for value in types.TurnCoverage]


def test_a_message_is_shown_as_one_line_with_its_sounds_as_sizes() -> None:
    assert format_message(encode_audio(bytes(640))) == (
        '{"realtimeInput":{"audio":{"mimeType":"audio/pcm;rate=16000","data":"<640 bytes>"}}}'
    )


@pytest.mark.parametrize("n_bytes", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("is_padded", [True, False])
def test_the_size_of_a_payload_is_exact(n_bytes: int, is_padded: bool) -> None:
    data = base64.b64encode(bytes(n_bytes)).decode()
    raw = json.dumps({"inlineData": {"mimeType": "x", "data": data if is_padded else data.rstrip("=")}})
    assert f'"<{n_bytes} bytes>"' in format_message(raw)
    assert format_message(raw.encode()) == format_message(raw)


def test_the_user_s_own_data_is_shown_as_it_is() -> None:
    message = build_tool_response([FunctionResponse(id="1", name="f", response={"data": "AAAA" * 100})])
    assert "AAAA" * 100 in format_message(message)


def test_signatures_are_elided_too() -> None:
    assert format_message({"parts": [{"text": "a", "thoughtSignature": "AAAA"}]}) == (
        '{"parts":[{"text":"a","thoughtSignature":"<3 bytes>"}]}'
    )


def test_nothing_in_a_line_moves_the_cursor() -> None:
    assert format_message({"a": "\x1b[2J\n\r\t\x7f\x9b\u2028é"}) == '{"a":"\\u001b[2J\\n\\r\\t\\u007f\\u009b\\u2028é"}'


@pytest.mark.parametrize("raw", [b"\xff\xfe\xfd", "not JSON", b"", "[" * 100_000, "1" * 5000])
def test_what_is_not_json_is_shown_by_its_size(raw: str | bytes) -> None:
    assert format_message(raw) == f"<{len(raw)} bytes that are not JSON>"


def test_any_message_can_be_shown() -> None:
    for seed in range(1000):
        rng = random.Random(seed)
        message = random_server_message(rng)
        raw = json.dumps(mutate_tree(rng, message)).encode()
        for shown in (format_message(message), format_message(raw), format_message(mutate_bytes(rng, raw))):
            assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
            shown.encode()


@pytest.mark.parametrize(
    ("response", "fields"),
    [
        (FunctionResponse(id="1", name="f", response={}), {"id": "1"}),
        (FunctionResponse(id="", name="f", response={}), {}),
        (FunctionResponse(id="1", name="f", response={}, scheduling="SILENT"), {"id": "1", "scheduling": "SILENT"}),
        (FunctionResponse(id="1", name="f", response={}, will_continue=True), {"id": "1", "willContinue": True}),
        (FunctionResponse(id="1", name="f", response={}, will_continue=False), {"id": "1", "willContinue": False}),
        (
            FunctionResponse(id="1", name="f", response={}, pictures=[("image/png", b"abc")]),
            {"id": "1", "parts": [{"inlineData": {"mimeType": "image/png", "data": "YWJj"}}]},
        ),
    ],
)
def test_a_function_response_has_only_the_fields_that_are_set(response: FunctionResponse, fields: Message) -> None:
    assert build_tool_response([response]) == {
        "toolResponse": {"functionResponses": [{"name": "f", "response": {}, **fields}]}
    }


def test_calls_of_a_lost_connection_are_answered_with_an_error_each() -> None:
    responses = build_stale_response({"1": "f", "2": "g"})["toolResponse"]["functionResponses"]
    assert [(each["id"], each["name"]) for each in responses] == [("1", "f"), ("2", "g")]
    assert all("the connection was lost" in each["response"]["error"] for each in responses)
