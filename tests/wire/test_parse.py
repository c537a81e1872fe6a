"""The parser over recorded messages, over what is wrong with messages, and over random ones, valid and mutated."""

import dataclasses
import json
import random
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gemini_live.audio import pcm
from gemini_live.errors import ProtocolError
from gemini_live.wire.events import (
    AudioChunk,
    CodeResult,
    ExecutableCode,
    FunctionCall,
    GenerationComplete,
    GoAway,
    Grounding,
    InputTranscription,
    InteractionStatus,
    InterimInputTranscription,
    Interrupted,
    Malformed,
    ModelText,
    OutputTranscription,
    ResumptionUpdate,
    ServerError,
    ServerEvent,
    SetupComplete,
    Source,
    Thought,
    ToolCall,
    ToolCallCancellation,
    TurnComplete,
    Unrecognised,
    Usage,
    VoiceActivity,
    WaitingForInput,
)
from gemini_live.wire.parse import parse_server_message
from tests.protos import SERVER, Message, check_server_message, to_proto
from tests.random_messages import encode, mutate_bytes, mutate_tree, random_server_message

WIRE = Path(__file__).parent / "messages"

Events = tuple[ServerEvent, ...]

SOUND = AudioChunk(b"\x01\x00\x02\x00\x03\x00\x04\x00", 24_000)
QUIET_USAGE = Usage(
    prompt_tokens=147,
    response_tokens=36,
    total_tokens=183,
    prompt_by_modality={"TEXT": 147},
    response_by_modality={"AUDIO": 36},
)

RECORDED: dict[str, list[Events]] = {
    "text_turn_in_speech": [
        (SetupComplete(),),
        (ResumptionUpdate("h1", resumable=True),),
        (SOUND,),
        (OutputTranscription("Hi "),),
        (AudioChunk(b"\xff\xd8\x01\x00", 24_000), OutputTranscription("there.")),
        (GenerationComplete(),),
        (QUIET_USAGE, TurnComplete(None, None)),
        (ResumptionUpdate("h2", resumable=True),),
    ],
    "text_turn_in_text": [
        (SetupComplete(),),
        (ModelText("Hi "),),
        (ModelText("there."),),
        (GenerationComplete(),),
        (TurnComplete(None, None),),
    ],
    "voice_turn": [
        (InputTranscription(" what time"),),
        (InputTranscription(" is it?"),),
        (SOUND,),
        (OutputTranscription("Ten."),),
        (GenerationComplete(),),
        (TurnComplete(None, None),),
        (OutputTranscription(" O'clock."),),
    ],
    "barge_in": [
        (SOUND,),
        (Interrupted(),),
        (ToolCallCancellation(("fc-1", "fc-2")),),
        (Usage(total_tokens=90), TurnComplete(None, None)),
    ],
    "several_parts": [
        (
            Interrupted(),
            Usage(prompt_tokens=10, total_tokens=10),
            InputTranscription("stop"),
            Thought("They want me to stop."),
            SOUND,
            ModelText("Very"),
            AudioChunk(b"\x05\x00\x06\x00", 24_000),
            ModelText(" well."),
            OutputTranscription("Very well."),
            GenerationComplete(),
            TurnComplete(None, None),
        )
    ],
    "function_calls": [
        (
            ToolCall(
                (
                    FunctionCall("fc-1", "get_current_weather", {"location": "Oslo", "days": 3, "units": None}),
                    FunctionCall("fc-2", "line_printer", {}),
                )
            ),
        ),
        (ResumptionUpdate("", resumable=False),),
    ],
    "extended_thinking": [
        (SOUND, OutputTranscription("Let me think.")),
        (TurnComplete(None, "IN_PROGRESS"),),
        (ToolCall((FunctionCall("fc-1", "f", {}),)), InteractionStatus("IN_PROGRESS")),
        (InteractionStatus("IDLE"),),
        (TurnComplete(None, "IDLE"),),
        (TurnComplete(None, "IDLE"),),
        (TurnComplete(None, None),),
    ],
    "code_and_search": [
        (ExecutableCode("PYTHON", "print(6*7)"),),
        (CodeResult("OUTCOME_OK", "42\n"),),
        (
            Grounding(
                ("oslo weather",),
                (
                    Source("yr.no", "https://yr.example/oslo"),
                    Source("", "https://met.example"),
                    Source("Oslo", "https://maps.example/oslo"),
                    Source("notes.txt", ""),
                    Source("", "https://a.example"),
                    Source("not retrieved: PAYWALL", "https://b.example"),
                ),
            ),
        ),
    ],
    "go_away": [(GoAway(50.0),), (GoAway(0.5),), (GoAway(None),)],
    "live_transcription": [
        (InterimInputTranscription("good"),),
        (InterimInputTranscription("good morn"),),
        (InputTranscription("Good morning."),),
        (GenerationComplete(),),
        (TurnComplete(None, None),),
    ],
    "endings": [
        (TurnComplete(None, None),),
        (TurnComplete("MALFORMED_FUNCTION_CALL", None),),
        (TurnComplete(None, None),),
        (WaitingForInput(),),
        (),
        (),
    ],
    "voice_activity": [
        (VoiceActivity(started=True, offset_s=1.2),),
        (VoiceActivity(started=False, offset_s=3.0),),
        (VoiceActivity(started=True, offset_s=None),),
        (VoiceActivity(started=False, offset_s=None),),
    ],
    "usage": [
        (Usage(1000, 50, 1087, 30, 7, 200, {"AUDIO": 600, "TEXT": 400}, {"AUDIO": 50}),),
        (Usage(),),
    ],
    "unlike_the_protos": [
        (ToolCall((FunctionCall("fc-1", "f", {}),)),),
        (
            ModelText("a"),
            Unrecognised(
                (
                    "weather",
                    "serverContent.mood",
                    "serverContent.modelTurn.temperature",
                    "serverContent.modelTurn.parts.hologram",
                )
            ),
            TurnComplete(None, None),
        ),
        (
            ModelText("b"),
            Unrecognised(
                (
                    "serverContent.modelTurn.parts.inlineData.mimeType (image/png)",
                    "serverContent.modelTurn.parts.fileData",
                )
            ),
        ),
        (Usage(5, 6, 11, response_by_modality={"TEXT": 6}),),
        (SetupComplete(),),
        (ServerError(429, "You exceeded your current quota"),),
        (ServerError(None, "UNAVAILABLE"),),
        (ServerError(None, "no such thing"),),
        (ServerError(400, "Request contains an invalid argument."),),
    ],
}


def parse(message: Any) -> Events:
    return parse_server_message(json.dumps(message))


def content(**fields: Any) -> Message:
    return {"serverContent": fields}


def parts(*items: Any) -> Message:
    return content(modelTurn={"role": "model", "parts": list(items)})


def read_wire(name: str) -> list[Message]:
    messages: list[Message] = json.loads((WIRE / f"{name}.json").read_text(encoding="utf-8"))
    return messages


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_messages_become_their_events(name: str) -> None:
    assert [parse(message) for message in read_wire(name)] == RECORDED[name]


def test_every_recording_is_expected() -> None:
    assert sorted(RECORDED) == sorted(path.stem for path in WIRE.glob("*.json"))


@pytest.mark.parametrize("name", [name for name in RECORDED if name != "unlike_the_protos"])
def test_recorded_messages_are_as_google_describes_them(name: str) -> None:
    for message in read_wire(name):
        check_server_message(message)


def test_text_and_binary_frames_say_the_same() -> None:
    text = json.dumps(content(outputTranscription={"text": "né 漢 🎤"}), ensure_ascii=False)
    expected = (OutputTranscription("né 漢 🎤"),)
    assert parse_server_message(text) == parse_server_message(text.encode()) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "not JSON: Expecting value at character 0"),
        (b"", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        ("\ufeff{}", "not JSON"),
        ('{"goAway":{}} x', "not JSON: Extra data"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('"goAway"', "not a JSON object"),
        ('{"goAway":NaN}', "NaN is not a JSON number"),
        ('{"goAway":-Infinity}', "-Infinity is not a JSON number"),
        ('{"usageMetadata":{"totalTokenCount":' + "9" * 5000 + "}}", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_message_is_a_protocol_error(raw: str | bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason) as caught:
        parse_server_message(raw)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"serverContent": 5}, "serverContent is not an object"),
        ({"setupComplete": True}, "setupComplete is not an object"),
        ({"goAway": "50s"}, "goAway is not an object"),
        ({"toolCall": {"functionCalls": {}}}, "toolCall.functionCalls is not a list"),
        ({"toolCall": {"functionCalls": ["f"]}}, "toolCall.functionCalls holds what is not an object"),
        ({"toolCall": {"functionCalls": [{"name": "f", "args": {"a": 1e999}}]}}, "JSON"),
        ({"toolCallCancellation": {"ids": [1]}}, "ids holds what is not a string"),
        ({"error": 5}, "error is not an object"),
        (content(turnComplete=1), "serverContent.turnComplete is not a boolean"),
        (content(turnComplete="true"), "serverContent.turnComplete is not a boolean"),
        (content(modelTurn=[]), "serverContent.modelTurn is not an object"),
        (parts({"text": 5}), "serverContent.modelTurn.parts.text is not a string"),
        (parts({"inlineData": {"mimeType": "audio/pcm", "data": "A"}}), "inlineData.data is not base64"),
        (parts({"inlineData": {"mimeType": "audio/pcm", "data": "AA A"}}), "inlineData.data is not base64"),
        (parts({"inlineData": {"mimeType": "audio/pcm", "data": "AAé="}}), "inlineData.data is not base64"),
        (parts({"inlineData": {"mimeType": "audio/pcm", "data": 5}}), "inlineData.data is not base64"),
        (content(outputTranscription={"text": ["a"]}), "outputTranscription.text is not a string"),
    ],
)
def test_a_message_of_which_nothing_is_left_is_a_protocol_error(message: Message, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        parse(message)


@pytest.mark.parametrize("time_left", [50, "50", "", "s", "1e3s", "٣s", "9" * 13 + "s", "NaNs", ["50s"]])
def test_a_bad_duration_costs_the_duration_and_not_the_go_away(time_left: Any) -> None:
    assert parse({"goAway": {"timeLeft": time_left}}) == (
        GoAway(None),
        Malformed(("goAway.timeLeft is not a duration",)),
    )


@pytest.mark.parametrize("count", [True, 1.5, 1e300, "1.0", "", "x", 2**70, -(2**70), "9" * 20, "٣", [1]])
def test_a_bad_count_costs_the_count_and_not_the_end_of_the_turn(count: Any) -> None:
    message = content(turnComplete=True) | {"usageMetadata": {"totalTokenCount": count, "promptTokenCount": 5}}
    assert parse(message) == (
        Usage(prompt_tokens=5),
        Malformed(("usageMetadata.totalTokenCount is not an integer",)),
        TurnComplete(None, None),
    )


def test_a_bad_part_costs_that_part_alone() -> None:
    audio = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "!"}}
    assert parse(parts({"text": "a"}, audio, None, {"text": "b"}) | {"goAway": []}) == (
        ModelText("a"),
        ModelText("b"),
        Malformed(
            (
                "serverContent.modelTurn.parts holds what is not an object",
                "serverContent.modelTurn.parts.inlineData.data is not base64",
                "goAway is not an object",
            )
        ),
    )


def test_a_call_whose_arguments_are_lost_is_known_so_that_it_can_be_answered() -> None:
    calls = [{"id": "1", "name": "f", "args": [1]}, {"id": "2", "name": "g"}, {"id": "3", "args": {}}]
    assert parse({"toolCall": {"functionCalls": calls}}) == (
        ToolCall((FunctionCall("1", "f", None), FunctionCall("2", "g", {}), FunctionCall("3", "", {}))),
        Malformed(("toolCall.functionCalls.args is not an object",)),
    )


@pytest.mark.parametrize(("depth", "is_taken"), [(62, True), (63, True), (64, False), (500, False)])
def test_arguments_nested_too_deeply_are_refused(depth: int, is_taken: bool) -> None:
    raw = '{"toolCall":{"functionCalls":[{"id":"1","name":"f","args":{"a":' + "[" * depth + "]" * depth + "}}]}}"
    call, *problems = parse_server_message(raw)
    assert isinstance(call, ToolCall)
    assert (call.calls[0].args is not None) is is_taken
    assert [type(problem) for problem in problems] == ([] if is_taken else [Malformed])


def test_arguments_that_python_could_not_write_as_json_are_refused() -> None:
    raw = '{"toolCall":{"functionCalls":[{"id":"1","name":"f","args":{"a":[1e999]}}]}}'
    call, problem = parse_server_message(raw)
    assert call == ToolCall((FunctionCall("1", "f", None),))
    assert isinstance(problem, Malformed)
    assert "too large" in problem.problems[0]


def test_half_a_surrogate_pair_is_replaced_wherever_it_stands() -> None:
    call = '{"name":"\\ud800f","args":{"\\udc00":["\\ud83c\\udfa4 \\ud83c"]}}'
    assert parse_server_message('{"toolCall":{"functionCalls":[' + call + ']},"x\\ud800":1}') == (
        ToolCall((FunctionCall("", "\ufffdf", {"\ufffd": ["🎤 \ufffd"]}),)),
        Unrecognised(("x\ufffd",)),
    )


def test_null_is_absent() -> None:
    turn = {"serverContent": {"modelTurn": None, "turnComplete": True, "interrupted": None}, "toolCall": None}
    assert parse(turn) == (TurnComplete(None, None),)


@pytest.mark.parametrize("data", ["_-8=", "/+8=", "_-8", "/+8", "_+8"])
def test_both_alphabets_of_base64_are_read_padded_or_not(data: str) -> None:
    blob = {"inlineData": {"mimeType": "audio/pcm", "data": data}}
    assert parse(parts(blob)) == (AudioChunk(b"\xff\xef", pcm.OUTPUT.rate_hz),)


@pytest.mark.parametrize(
    ("mime_type", "rate_hz"),
    [("audio/pcm;rate=16000", 16_000), ("AUDIO/PCM; rate=48000", 48_000), ("audio/pcm;rate=0", 24_000)],
)
def test_the_rate_of_sound_is_read_from_its_type(mime_type: str, rate_hz: int) -> None:
    assert parse(parts({"inlineData": {"mimeType": mime_type, "data": "AAA="}})) == (AudioChunk(b"\0\0", rate_hz),)


@pytest.mark.parametrize(("mime_type", "name"), [("audio/ogg", "audio/ogg"), (None, "none")])
def test_media_that_is_not_pcm_is_named_and_not_played(mime_type: str | None, name: str) -> None:
    assert parse(parts({"inlineData": {"mimeType": mime_type, "data": "AAA="}})) == (
        Unrecognised((f"serverContent.modelTurn.parts.inlineData.mimeType ({name})",)),
    )


def test_values_that_are_not_known_are_named() -> None:
    message = content(turnComplete=True, interactionStatus="DREAMING") | {"voiceActivity": {"type": "ACTIVITY_SONG"}}
    assert parse(message) == (
        Unrecognised(("voiceActivity.type (ACTIVITY_SONG)", "serverContent.interactionStatus (DREAMING)")),
        TurnComplete(None, None),
    )


def test_a_reason_without_the_end_of_a_turn_is_named() -> None:
    assert parse(content(turnCompleteReason="BLOCKLIST")) == (
        Unrecognised(("serverContent.turnCompleteReason (BLOCKLIST)",)),
    )


def test_an_error_comes_last_and_hides_nothing() -> None:
    message = content(turnComplete=True, outputTranscription={"text": "Bye"}) | {"error": {"message": "gone"}, "new": 1}
    assert parse(message) == (
        OutputTranscription("Bye"),
        Unrecognised(("new",)),
        TurnComplete(None, None),
        ServerError(None, "gone"),
    )


STARTED = VoiceActivity(started=True, offset_s=1.5)
CALL = ToolCall((FunctionCall("fc-1", "f", {"a": 1}),))


@pytest.mark.parametrize(
    ("message", "events"),
    [
        # voiceActivity: beside serverContent in the recordings
        ({"voiceActivity": {"type": "ACTIVITY_START", "audioOffset": "1.5s"}}, (STARTED,)),
        (content(voiceActivity={"voiceActivityType": "ACTIVITY_START", "audioOffset": "1.5s"}), (STARTED,)),
        (
            {"serverContent": {}, "voiceActivity": {"type": "ACTIVITY_END", "audioOffset": "3s"}},  # 3.1, one message
            (VoiceActivity(started=False, offset_s=3.0),),
        ),
        # interactionStatus: inside serverContent in the recordings, beside toolCall in the docs
        (content(interactionStatus="IDLE"), (InteractionStatus("IDLE"),)),
        ({"interactionStatus": "IN_PROGRESS"}, (InteractionStatus("IN_PROGRESS"),)),
        (content(turnComplete=True) | {"interactionStatus": "IDLE"}, (TurnComplete(None, "IDLE"),)),
        # functionCall: in toolCall, perhaps without an id (Vertex); as a part only where something went wrong
        (
            {"toolCall": {"functionCalls": [{"name": "f"}, {"id": "", "name": "g", "args": None}]}},
            (ToolCall((FunctionCall("", "f", {}), FunctionCall("", "g", {}))),),
        ),
        (
            parts({"functionCall": {"id": "fc-1", "name": "f", "args": {"a": 1}}}),
            (CALL, Unrecognised(("serverContent.modelTurn.parts.functionCall (treated as a toolCall)",))),
        ),
        (
            parts({"text": "a"}, {"functionCall": {"name": "f"}}, {"text": "b"})
            | {"toolCall": {"functionCalls": [{"id": "2", "name": "g"}]}},
            (
                ModelText("a"),
                ModelText("b"),
                ToolCall((FunctionCall("", "f", {}), FunctionCall("2", "g", {}))),
                Unrecognised(("serverContent.modelTurn.parts.functionCall (treated as a toolCall)",)),
            ),
        ),
        # Signs of life
        ({}, ()),
        ({"serverContent": {}}, ()),
        (content(outputTranscription={}), ()),
        (content(outputTranscription={"finished": True}), ()),
    ],
)
def test_fields_are_read_in_every_place_where_they_were_seen(message: Message, events: Events) -> None:
    assert parse(message) == events


def test_a_resumable_session_has_a_handle() -> None:
    assert parse({"sessionResumptionUpdate": {"resumable": True}}) == (ResumptionUpdate("", resumable=False),)


def test_what_is_reported_of_a_message_is_bounded() -> None:
    unknown, malformed = parse({"setupComplete": {}, **{f"{i}{'x' * 10_000}": 1 for i in range(1000)}, "goAway": 1})[1:]
    assert isinstance(unknown, Unrecognised)
    assert isinstance(malformed, Malformed)
    assert len(unknown.keys) == 16
    assert max(map(len, unknown.keys)) < 130


def facts_from_events(events: Events) -> dict[str, Any]:
    """Return what the events say, without their order across kinds."""

    def all_of(kind: type[Any]) -> list[Any]:
        return [event for event in events if isinstance(event, kind)]

    updates, usages, ends = all_of(ResumptionUpdate), all_of(Usage), all_of(TurnComplete)
    return {
        "flags": [bool(all_of(kind)) for kind in (SetupComplete, Interrupted, GenerationComplete, WaitingForInput)],
        "audio": [(event.pcm, event.rate_hz) for event in all_of(AudioChunk)],
        "text": [
            (event.text, isinstance(event, Thought)) for event in events if isinstance(event, ModelText | Thought)
        ],
        "code": [(named(event.language), event.code) for event in all_of(ExecutableCode)],
        "results": [(named(event.outcome), event.output) for event in all_of(CodeResult)],
        "heard": "".join(event.text for event in all_of(InputTranscription)),
        "spoken": "".join(event.text for event in all_of(OutputTranscription)),
        "queries": {query for event in all_of(Grounding) for query in event.queries},
        "uris": {source.uri for event in all_of(Grounding) for source in event.sources if source.uri},
        "calls": [(call.id, call.name, call.args) for event in all_of(ToolCall) for call in event.calls],
        "cancelled": [id_ for event in all_of(ToolCallCancellation) for id_ in event.ids],
        "go_away": [event.time_left_s for event in all_of(GoAway)],
        "handle": [(event.handle, event.resumable) for event in updates],
        "usage": [
            (*numbers, sums(prompt.items()), sums(response.items()))
            for *numbers, prompt, response in map(dataclasses.astuple, usages)
        ],
        "ended": bool(ends),
    }


def facts_from_proto(message: Any) -> dict[str, Any]:
    """Return the same of a message that Google's parser has read."""
    content, usage, update = message.server_content, message.usage_metadata, message.session_resumption_update
    kinds = [(part.WhichOneof("data"), part) for part in content.model_turn.parts]
    blobs = [part.inline_data for kind, part in kinds if kind == "inline_data"]
    code = [part.executable_code for kind, part in kinds if kind == "executable_code"]
    results = [part.code_execution_result for kind, part in kinds if kind == "code_execution_result"]
    calls = [part.function_call for kind, part in kinds if kind == "function_call"]
    calls += message.tool_call.function_calls
    grounding = content.grounding_metadata
    chunks = [getattr(chunk, chunk.WhichOneof("chunk_type") or "web") for chunk in grounding.grounding_chunks]
    pages = content.url_context_metadata.url_metadata
    time_left = message.go_away.time_left if message.go_away.HasField("time_left") else None
    return {
        "flags": [
            message.HasField("setup_complete"),
            content.interrupted,
            content.generation_complete,
            content.waiting_for_input,
        ],
        "audio": [
            (blob.data, pcm.parse_rate_hz(blob.mime_type, pcm.OUTPUT))
            for blob in blobs
            if blob.mime_type.lower().startswith("audio/pcm") and blob.data
        ],
        "text": [(part.text, part.thought) for kind, part in kinds if kind == "text" and part.text],
        "code": [(named(type(item).Language.Name(item.language)), item.code) for item in code],
        "results": [(named(type(item).Outcome.Name(item.outcome)), item.output) for item in results],
        "heard": content.input_transcription.text,
        "spoken": content.output_transcription.text,
        "queries": {query for query in grounding.web_search_queries if query},
        "uris": {uri for uri in (*(chunk.uri for chunk in chunks), *(page.retrieved_url for page in pages)) if uri},
        "calls": [(call.id, call.name, json_format.MessageToDict(call.args)) for call in calls],
        "cancelled": list(message.tool_call_cancellation.ids),
        "go_away": [time_left and time_left.seconds + time_left.nanos / 1e9] if message.HasField("go_away") else [],
        "handle": [(update.new_handle, update.resumable and update.new_handle != "")]
        if message.HasField("session_resumption_update")
        else [],
        "usage": [
            (
                usage.prompt_token_count,
                usage.response_token_count,
                usage.total_token_count,
                usage.thoughts_token_count,
                usage.tool_use_prompt_token_count,
                usage.cached_content_token_count,
                sums(map(by_modality, usage.prompt_tokens_details)),
                sums(map(by_modality, usage.response_tokens_details)),
            )
        ]
        if message.HasField("usage_metadata")
        else [],
        "ended": content.turn_complete,
    }


def named(value: str) -> str:
    """Return the name of a value; the one for unspecified is as good as none."""
    return "" if value.endswith("UNSPECIFIED") else value


def by_modality(detail: Any) -> tuple[str, int]:
    kinds = type(detail).DESCRIPTOR.fields_by_name["modality"].enum_type.values_by_number
    return kinds[detail.modality].name, detail.token_count


def sums(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for name, count in counts:
        total[named(name)] = total.get(named(name), 0) + count
    return total


# Each example is a seed that makes a hundred messages: hypothesis's own strategies would take a second for them.
MESSAGES_PER_SEED = 100
SEEDS = st.integers(0, 2**32)


def messages_of(seed: int) -> Iterator[tuple[random.Random, Message]]:
    for number in range(MESSAGES_PER_SEED):
        rng = random.Random(f"{seed} {number}")
        yield rng, random_server_message(rng)


def check_valid(seed: int) -> None:
    for rng, message in messages_of(seed):
        raw = encode(rng, message)
        events = parse_server_message(raw)
        assert not any(isinstance(event, Malformed | ServerError) for event in events), raw
        check_usable(events)
        assert_order(events)
        ours, theirs = facts_from_events(events), facts_from_proto(to_proto(message, SERVER))
        for name in ("queries", "uris"):
            # Ours has those of the fields that the proto does not know, too.
            assert theirs.pop(name) <= ours.pop(name), raw
        assert ours == theirs, raw
        check_fields_of_sdk(events, message)


def check_fields_of_sdk(events: Events, message: Message) -> None:
    fields = message.get("serverContent") or {}
    status = known_status(fields) or known_status(message)
    reason = fields.get("turnCompleteReason") or ""
    if fields.get("turnComplete"):
        expected: ServerEvent = TurnComplete(None if reason.endswith("UNSPECIFIED") else reason or None, status)
        assert expected in events
    elif status:
        assert InteractionStatus(status) in events
    if interim := (fields.get("interimInputTranscription") or {}).get("text"):
        assert InterimInputTranscription(interim) in events


def known_status(fields: Message) -> typing.Literal["IDLE", "IN_PROGRESS"] | None:
    status = fields.get("interactionStatus")
    if status == "IN_PROGRESS":
        return "IN_PROGRESS"
    return "IDLE" if status in ("IDLE", "REQUIRES_ACTION") else None


def assert_order(events: Events) -> None:
    order = (SetupComplete, Interrupted, InputTranscription, ModelText, OutputTranscription, ToolCall, TurnComplete)
    kinds = [order.index(type(event)) for event in events if isinstance(event, order)]
    assert kinds == sorted(kinds)
    if any(isinstance(event, TurnComplete) for event in events):
        assert isinstance(events[-1], TurnComplete)


def check_mutated(seed: int) -> int:
    """Parse mutations; return how many of them the parser refused."""
    refused = 0
    for rng, message in messages_of(seed):
        raw = encode(rng, message)
        for mutation in (
            encode(rng, mutate_tree(rng, message)),
            mutate_bytes(rng, raw if isinstance(raw, bytes) else raw.encode()),
        ):
            refused += not parses(mutation)
    return refused


def parses(raw: str | bytes) -> bool:
    """Return whether `raw` is taken; anything that is neither usable events nor a ProtocolError is a failure."""
    try:
        events = parse_server_message(raw)
    except ProtocolError as exc:
        assert "\n" not in str(exc)
        assert len(str(exc)) < 400
        return False
    except Exception as exc:
        exc.add_note(f"of the message {raw!r}")
        raise
    check_usable(events)
    return True


def check_usable(events: Events) -> None:
    """Assert that every field of every event is of its type, and can be encoded again."""
    for event in events:
        assert_typed(event, type(event))
        json.dumps(dataclasses.asdict(event), ensure_ascii=False, allow_nan=False, default=bytes.hex).encode()


def assert_typed(value: Any, annotation: Any) -> None:
    if dataclasses.is_dataclass(annotation):
        assert type(value) is annotation
        for name, hint in FIELD_TYPES[annotation].items():
            assert_typed(getattr(value, name), hint)
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        assert any(is_typed(value, argument) for argument in arguments), (value, annotation)
    elif origin is tuple:
        assert type(value) is tuple
        for item in value:
            assert_typed(item, arguments[0])
    elif origin is dict:
        assert type(value) is dict
        for key, item in value.items():
            assert_typed(key, arguments[0])
            assert_typed(item, arguments[1])
    else:
        assert is_typed(value, annotation), (value, annotation)


def is_typed(value: Any, annotation: Any) -> bool:
    if annotation is Any:
        return True
    if typing.get_origin(annotation) is typing.Literal:
        return value in typing.get_args(annotation)
    if typing.get_origin(annotation) is types.UnionType:
        return any(is_typed(value, each) for each in typing.get_args(annotation))
    annotation = typing.get_origin(annotation) or annotation
    return type(value) is annotation


FIELD_TYPES = {
    kind: {field.name: typing.get_type_hints(kind)[field.name] for field in dataclasses.fields(kind)}
    for kind in (*typing.get_args(ServerEvent), Source, FunctionCall)
}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SEEDS)
def test_valid_messages_say_what_google_s_own_parser_reads_in_them(seed: int) -> None:
    check_valid(seed)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SEEDS)
def test_mutated_messages_raise_nothing_but_protocol_errors(seed: int) -> None:
    assert 0 < check_mutated(seed) < 2 * MESSAGES_PER_SEED


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=4000, deadline=None)
@given(SEEDS)
def test_many_valid_messages_say_what_google_s_own_parser_reads_in_them(seed: int) -> None:
    check_valid(seed)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=4000, deadline=None)
@given(SEEDS)
def test_many_mutated_messages_raise_nothing_but_protocol_errors(seed: int) -> None:
    check_mutated(seed)


JSON_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
FIELD_NAMES = st.sampled_from(
    """
    serverContent modelTurn parts text inlineData mimeType data toolCall functionCalls args name id error code message
    goAway timeLeft usageMetadata totalTokenCount promptTokensDetails modality tokenCount interactionStatus
    """.split()  # noqa: SIM905 - a list of so many words is easier to read like this
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.recursive(
        JSON_LEAVES,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(FIELD_NAMES | st.text(max_size=4), inner, max_size=4)
        ),
    )
)
@example({"error": {"code": True}})
def test_any_json_raises_nothing_but_protocol_errors(message: Any) -> None:
    parses(json.dumps(message))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=64) | st.text(max_size=64))
def test_any_frame_raises_nothing_but_protocol_errors(raw: str | bytes) -> None:
    parses(raw)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(SEEDS)
def test_fields_of_tomorrow_change_nothing_but_the_note_of_them(seed: int) -> None:
    for rng, message in messages_of(seed):
        expected = parse(message)
        holder = rng.choice([message, *(value for value in message.values() if isinstance(value, dict))])
        holder["tomorrow"] = rng.choice((5, "x", [{}], {"a": None}))
        events = parse(message)
        assert [event for event in events if not isinstance(event, Unrecognised)] == [
            event for event in expected if not isinstance(event, Unrecognised)
        ]


@settings(max_examples=4, deadline=None, derandomize=True)
@given(SEEDS)
def test_the_random_messages_are_as_google_describes_them(seed: int) -> None:
    for _, message in messages_of(seed):
        check_server_message(message)
