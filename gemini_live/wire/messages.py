"""Builds every message to the server except the setup, and formats a message as a line for `-v`. Pure.

Messages are objects, but those of audio and video are JSON text: writing them as JSON anew each time, fifty times a
second, would cost several times as much as encoding the data.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..audio import pcm
from ..frozen import Frozen
from ..models import TypedTurn

Message = dict[str, Any]


class FunctionResponse(Frozen, kw_only=True):
    """The answer to one function call."""

    id: str
    """The id of the call; empty if the server sent none."""
    name: str
    response: dict[str, Any]
    """By convention `output` holds a result and `error` a failure."""
    pictures: Sequence[tuple[str, bytes]] = ()
    """MIME type and content of each picture that belongs to the response."""
    will_continue: bool | None = None
    """True if more answers to this call follow."""
    scheduling: str | None = None
    """When a model that did not wait uses the result: `SILENT`, `WHEN_IDLE` or `INTERRUPT`; `None`: it decides."""


def build_typed_turn(text: str, how: TypedTurn, pictures: Sequence[bytes] = ()) -> Message:
    """Return a line that the user typed, as a turn that asks for an answer; `pictures`: JPEGs, for `clientContent`.

    A model without typed turns gets it as `realtimeInput`, so that the server decides.
    """
    if how is TypedTurn.CLIENT_CONTENT:
        content = _content("user", text)
        content["parts"][:0] = [{"inlineData": _media("image/jpeg", jpeg)} for jpeg in pictures]
        return _client_content([content], turn_complete=True)
    return {"realtimeInput": {"text": text}}


def build_history(exchanges: Sequence[tuple[str, str]], *, turn_complete: bool) -> Message:
    """Return an earlier conversation.

    Args:
        exchanges: Pairs of the user's and the model's text, oldest first; either may be empty.
        turn_complete: True to end the history. In a session that announced it, nothing is answered; in any other,
            this asks for an answer.
    """
    turns = [
        _content(role, text) for exchange in exchanges for role, text in zip(("user", "model"), exchange, strict=True)
    ]
    return _client_content([turn for turn in turns if turn["parts"][0]["text"]], turn_complete=turn_complete)


def encode_audio(chunk: bytes) -> bytes:
    """Return a chunk of microphone audio, 16-bit little-endian mono at 16 kHz, as JSON text."""
    return _BEFORE_AUDIO + binascii.b2a_base64(chunk, newline=False) + _AFTER_DATA


def encode_video(jpeg: bytes) -> bytes:
    """Return one frame of the screen as JSON text."""
    return _BEFORE_VIDEO + binascii.b2a_base64(jpeg, newline=False) + _AFTER_DATA


def build_audio_stream_end() -> Message:
    """Return the end of the audio, after which most models answer what was said."""
    return {"realtimeInput": {"audioStreamEnd": True}}


def build_activity_start() -> Message:
    """Return the start of speech, for a session without automatic detection."""
    return {"realtimeInput": {"activityStart": {}}}


def build_activity_end() -> Message:
    """Return the end of speech, for a session without automatic detection."""
    return {"realtimeInput": {"activityEnd": {}}}


def build_tool_response(responses: Sequence[FunctionResponse]) -> Message:
    """Return the answers to function calls."""
    return {"toolResponse": {"functionResponses": [_function_response(response) for response in responses]}}


def build_stale_response(calls: Mapping[str, str]) -> dict[str, Any]:
    """Return the answers to calls that a lost connection left open: an error each, so that none stays open."""
    error = {"error": "the connection was lost while the function ran; its result is not known"}
    return build_tool_response([FunctionResponse(id=i, name=name, response=error) for i, name in calls.items()])


def _function_response(response: FunctionResponse) -> Message:
    message: Message = {"name": response.name, "response": response.response}
    if response.id:
        message["id"] = response.id
    if response.pictures:
        message["parts"] = [{"inlineData": _media(mime_type, data)} for mime_type, data in response.pictures]
    if response.will_continue is not None:
        message["willContinue"] = response.will_continue
    if response.scheduling is not None:
        message["scheduling"] = response.scheduling
    return message


def _client_content(turns: list[Message], *, turn_complete: bool) -> Message:
    return {"clientContent": {"turns": turns, "turnComplete": turn_complete}}


def _content(role: str, text: str) -> Message:
    return {"role": role, "parts": [{"text": text}]}


def _before_data(kind: str, mime_type: str) -> bytes:
    return f'{{"realtimeInput":{{"{kind}":{{"mimeType":"{mime_type}","data":"'.encode("ascii")


_BEFORE_AUDIO, _BEFORE_VIDEO = _before_data("audio", pcm.INPUT.mime_type), _before_data("video", "image/jpeg")
_AFTER_DATA = b'"}}}'


def _media(mime_type: str, data: bytes) -> Message:
    return {"mimeType": mime_type, "data": base64.b64encode(data).decode("ascii")}


_BASE64_FIELDS = frozenset({"thoughtSignature", "sdkBlob", "voiceSampleAudio", "consentAudio", "imageData"})

# Not escaped by JSON, but harmful to a terminal: DEL, C1 controls, line separators, lone surrogates.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def format_message(message: Message | str | bytes) -> str:
    """Return a message as one line of JSON without control characters, each base64 payload replaced by its size."""
    size_bytes = len(message)
    try:
        if not isinstance(message, dict):
            message = json.loads(message)
        line = json.dumps(_elide(message), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return f"<{size_bytes} bytes that are not JSON>"
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def _elide(value: Any) -> Any:
    if isinstance(value, list):
        return [_elide(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_blob = "mimeType" in value or "mime_type" in value
    return {
        key: _elide_base64(item)
        if isinstance(item, str) and (key in _BASE64_FIELDS or (is_blob and key == "data"))
        else _elide(item)
        for key, item in value.items()
    }


def _elide_base64(text: str) -> str:
    return f"<{len(text.rstrip('=')) * 3 // 4} bytes>"
