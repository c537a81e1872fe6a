"""Check messages of the Live API against what Google publishes, for tests.

Two sources know the messages: the protos of google-ai-generativelanguage (strict, but some features behind) and the
types of google-genai (`extra="forbid"`, but lax about values). A message passes when both take it, each without the
fields that only the other one knows. Those fields are data here, and `test_client_messages.py` checks the data.
"""

import copy
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from google.ai.generativelanguage_v1beta.types import generative_service
from google.genai import types
from google.protobuf import json_format
from pydantic import BaseModel, ValidationError

Message = dict[str, Any]

CLIENT = generative_service.BidiGenerateContentClientMessage
SERVER = generative_service.BidiGenerateContentServerMessage

_SDK_FIELDS: list[tuple[str, type[BaseModel], str]] = [
    ("BidiGenerateContentClientMessage", types.LiveClientMessage, "contextUpdate"),
    (
        "BidiGenerateContentSetup",
        types.LiveClientSetup,
        "proactivity historyConfig explicitVadSignal avatarConfig safetySettings labels",
    ),
    ("GenerationConfig", types.GenerationConfig, "enableAffectiveDialog translationConfig"),
    ("ThinkingConfig", types.ThinkingConfig, "thinkingLevel"),
    ("VoiceConfig", types.VoiceConfig, "replicatedVoiceConfig voice"),
    ("RealtimeInputConfig", types.RealtimeInputConfig, "interimTranscriptTimestampEnabled"),
    ("SessionResumptionConfig", types.SessionResumptionConfig, "transparent"),
    (
        "AudioTranscriptionConfig",
        types.AudioTranscriptionConfig,
        "languageCodes languageAuto languageHints customVocabulary adaptationPhrases wordTimestamp diarization "
        "mode sourceText",
    ),
    (
        "BidiGenerateContentServerMessage",
        types.LiveServerMessage,
        "voiceActivity voiceActivityDetectionSignal",
    ),
    ("BidiGenerateContentSetupComplete", types.LiveServerSetupComplete, "sessionId voiceConsentSignature"),
    (
        "BidiGenerateContentServerContent",
        types.LiveServerContent,
        "interimInputTranscription turnCompleteReason interactionStatus",
    ),
    (
        "BidiGenerateContentTranscription",
        types.Transcription,
        "finished languageCode speakerLabel words startOffset endOffset",
    ),
    ("SessionResumptionUpdate", types.LiveServerSessionResumptionUpdate, "lastConsumedClientMessageIndex"),
    ("UsageMetadata", types.UsageMetadata, "serviceTier trafficType"),
    ("ExecutableCode", types.ExecutableCode, "id"),
    ("CodeExecutionResult", types.CodeExecutionResult, "id"),
    ("GroundingMetadata", types.GroundingMetadata, "imageSearchQueries retrievalQueries sourceFlaggingUris"),
    ("GroundingChunk", types.GroundingChunk, "image"),
    ("Web", types.GroundingChunkWeb, "domain"),
]

SDK_ONLY = {name: (model, frozenset(fields.split())) for name, model, fields in _SDK_FIELDS}
"""By the proto's short name: the same message in the SDK, and the fields that only the SDK knows."""

SDK_ONLY_VALUES = {"turnCoverage": "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO"}
"""Values of enumerations that only the SDK knows, by field."""

NEITHER = frozenset({"interactionStatus"})
"""Server fields at the top level that only Google's documentation shows."""


def check_client_message(message: Message) -> None:
    """Raise AssertionError with a reason unless the service would take `message` from a client."""
    _check_json(message)
    assert len(message) == 1, f"a client message has exactly one field, not {sorted(message)}"
    _check_proto(message, CLIENT)
    rest = copy.deepcopy(message)
    setup = rest.get("setup")
    # The SDK sends this field, and has a type for it, but forgot it in LiveClientSetup.
    if isinstance(setup, dict) and "realtimeInputConfig" in setup:
        _check_sdk(setup.pop("realtimeInputConfig"), types.RealtimeInputConfig)
    _check_sdk(rest, types.LiveClientMessage)


def check_server_message(message: Message) -> None:
    """Raise AssertionError with a reason unless `message` is what the service itself could send."""
    _check_json(message)
    _check_proto(message, SERVER)
    rest = copy.deepcopy(message)
    for name in NEITHER & rest.keys():
        _check_sdk({name: rest.pop(name)}, types.LiveServerContent)
    activity = rest.get("voiceActivity")
    # The name on the wire differs from the one in the SDK's type; its converter renames it likewise.
    if isinstance(activity, dict) and "type" in activity:
        activity["voiceActivityType"] = activity.pop("type")
    _check_sdk(rest, types.LiveServerMessage)


def to_proto(message: Message, wrapper: Any) -> Any:
    """Return `message`, without what its proto does not know, as the protobuf message of `wrapper`."""
    proto = wrapper.pb(wrapper())
    return json_format.ParseDict(without_sdk_fields(message, proto.DESCRIPTOR), proto)


def unknown_to(descriptor: Any) -> frozenset[str]:
    """Return the fields of a message that its proto does not know."""
    names = SDK_ONLY[descriptor.name][1] if descriptor.name in SDK_ONLY else frozenset()
    return names | NEITHER if descriptor.name == "BidiGenerateContentServerMessage" else names


def without_sdk_fields(message: Message, descriptor: Any) -> Message:
    """Return a copy of `message` with only what the proto of `descriptor` knows."""
    others = unknown_to(descriptor)
    known = {}
    for name, value, field in _fields(message, descriptor):
        if name in others or SDK_ONLY_VALUES.get(name, ()) == value:
            continue
        known[name] = value if field is None else _map_objects(value, field, without_sdk_fields)
    return known


def _check_json(message: Message) -> None:
    assert isinstance(message, dict), f"a message is a JSON object, not {type(message).__name__}"
    try:
        json.dumps(message, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise AssertionError(f"not JSON: {exc}") from exc


def _check_proto(message: Message, wrapper: Any) -> None:
    try:
        proto = to_proto(message, wrapper)
    except json_format.ParseError as exc:
        raise AssertionError(f"the proto refuses it: {exc}") from exc
    _check_camel_case(message, proto.DESCRIPTOR)


def _check_camel_case(message: Message, descriptor: Any) -> Message:
    names = {field.json_name for field in descriptor.fields} | unknown_to(descriptor)
    for name, value, field in _fields(message, descriptor):
        assert name in names, f"{descriptor.name}.{name} is not the name on the wire"
        if field is not None:
            _map_objects(value, field, _check_camel_case)
    return message


def _check_sdk(message: Message, model: type[BaseModel]) -> None:
    with warnings.catch_warnings():
        # That is how the SDK says that it does not know a value of an enumeration.
        warnings.simplefilter("error")
        try:
            model.model_validate_json(json.dumps(message), by_alias=True, by_name=False)
        except (ValidationError, UserWarning) as exc:
            raise AssertionError(f"google-genai refuses it: {exc}") from exc


def _fields(message: Message, descriptor: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, value and, where the value is made of messages of Google's API, the field's descriptor."""
    if descriptor.full_name not in _MESSAGE_FIELDS:
        _MESSAGE_FIELDS[descriptor.full_name] = {
            field.json_name: field
            for field in descriptor.fields
            if field.message_type and field.message_type.file.package != "google.protobuf"
        }
    message_fields = _MESSAGE_FIELDS[descriptor.full_name]
    for name, value in message.items():
        yield name, value, message_fields.get(name)


_MESSAGE_FIELDS: dict[str, dict[str, Any]] = {}


def _map_objects(value: Any, field: Any, change: Callable[[Message, Any], Message]) -> Any:
    descriptor = field.message_type
    if descriptor.GetOptions().map_entry:
        item = descriptor.fields_by_name["value"]
        return {key: _map_objects(entry, item, change) for key, entry in value.items()} if item.message_type else value
    if isinstance(value, list):
        return [change(entry, descriptor) if isinstance(entry, dict) else entry for entry in value]
    return change(value, descriptor) if isinstance(value, dict) else value
