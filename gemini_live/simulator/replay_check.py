"""Checks the fields of a recorded server message that a replay reads. A recording may come from anybody. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

_READ: Mapping[str, Any] = {
    "serverContent": {
        "inputTranscription": {"text": str},
        "outputTranscription": {"text": str},
        "modelTurn": {"parts": [{"text": str, "inlineData": {"data": str}}]},
    },
    "voiceActivity": {"type": str},
    "toolCall": {"functionCalls": [{"id": str, "name": str}]},
    "toolCallCancellation": {"ids": [str]},
    "sessionResumptionUpdate": {"newHandle": str},
}
"""The fields, as nested objects, lists and texts; each one may be missing."""


def find_mistakes(message: Any, read: Any = _READ, path: str = "") -> Iterator[str]:
    """Yield each field that is no object, list or text where a server's message has one."""
    if isinstance(read, Mapping):
        if not isinstance(message, Mapping):
            yield f"{path} is not an object"
            return
        for name, inner in read.items():
            if name in message:
                yield from find_mistakes(message[name], inner, f"{path}.{name}".lstrip("."))
    elif isinstance(read, list):
        if not isinstance(message, list):
            yield f"{path} is not a list"
            return
        for item in message:
            yield from find_mistakes(item, read[0], path)
    elif not isinstance(message, str):
        yield f"{path} is not a text"
