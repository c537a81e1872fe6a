"""The format of recordings: the names, the limits, and what one line means.

A recording is JSON Lines: a header, then one entry per line, in order of time. `recording.schema.json` beside this
module is the JSON schema of one line, and docs/recording.md describes the format for people. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FORMAT = "gemini-live-recording"
VERSION = 1

MAX_LINE_BYTES = 32 * 1024 * 1024
"""Longest line: twice the longest message that the client accepts from a server."""
MAX_FILE_BYTES = 2 * 1024**3
"""Longest recording: about eight hours of speech in both directions."""
MAX_DEPTH = 100
"""Deepest nesting of a message."""
MAX_T_S = 1e7
"""Longest time: 115 days."""

Sender = Literal["client", "server"]


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first line: who recorded what, and when."""

    program: str
    """The program that records, with its version: `gemini-live 1.2.3`."""
    role: str
    """`client`, `simulator` or `proxy`."""
    started_at: str
    """The time of `t_s` 0: ISO 8601, UTC, with microseconds. No other line holds a wall-clock time."""
    model: str | None = None
    redacted: bool = False
    """True if media were removed and words replaced by their length."""
    setup: Mapping[str, Any] | None = None
    """The first setup as it was sent: what `{"setup": ...}` holds. A server does not know it when it writes its header:
    readers then take it, and the model, from the first setup message. `None`: nobody sent one."""
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """Return the header's line as JSON."""
        return {
            "format": FORMAT,
            "version": self.version,
            "program": self.program,
            "role": self.role,
            "started_at": self.started_at,
            "model": self.model,
            "redacted": self.redacted,
            "setup": self.setup,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """One line after the header."""

    t_s: float
    """Seconds since the header."""
    line: int = field(compare=False)
    """The line of the file, counted from 1."""


@dataclass(frozen=True, slots=True)
class Message(Entry):
    """A message as it travelled."""

    sender: Sender
    connection: int
    """Counts the connections of the session, from 1."""
    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Connected(Entry):
    """A WebSocket is open."""

    connection: int
    url: str
    """Scheme, host and path."""


@dataclass(frozen=True, slots=True)
class Closed(Entry):
    """A WebSocket is closed."""

    connection: int
    code: int | None
    reason: str
    by: Sender


@dataclass(frozen=True, slots=True)
class Local(Entry):
    """Something that the wire does not show."""

    event: str
    facts: Mapping[str, Any]
    """The other fields of the line."""


def is_media(value: Any) -> bool:
    """Return True for the object of a message that holds sound or a picture as base64."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), str):
        return False
    return "mimeType" in value or "mime_type" in value


def count_media_bytes(media: Mapping[str, Any]) -> int:
    """Return how many bytes of sound or picture an object holds, or held before they were removed."""
    data: str = media["data"]
    if data:
        return max(0, len(data) * 3 // 4 - data[-2:].count("="))
    removed = media.get("bytes")
    return removed if isinstance(removed, int) and not isinstance(removed, bool) and 0 <= removed < 2**40 else 0


def find_media(message: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a message that holds sound or a picture, in order."""
    waiting = [message]
    while waiting:
        value = waiting.pop()
        if is_media(value):
            yield value
        elif isinstance(value, dict):
            waiting += reversed(value.values())
        elif isinstance(value, list):
            waiting += reversed(value)


def remove_media(message: Any) -> None:
    """Empty the media of a message, in place; `bytes` tells how many bytes were there."""
    for media in find_media(message):
        n_bytes = count_media_bytes(media)
        media["data"], media["bytes"] = "", n_bytes


_KEPT = {
    *("model", "role", "mimeType", "mime_type", "name", "id", "type", "format", "language", "outcome", "behavior"),
    *("scheduling", "voiceName", "languageCode", "turnCompleteReason", "finishReason", "interactionStatus", "modality"),
    *("timeLeft", "audioOffset", "startOffset", "endOffset", "mediaResolution", "activityHandling", "turnCoverage"),
    *("startOfSpeechSensitivity", "endOfSpeechSensitivity", "thinkingLevel", "mode", "trafficType", "status"),
}
"""Fields whose text says how the session runs, and not what anybody said."""
_KEPT_LISTS = {"responseModalities", "languageCodes", "required", "allowedFunctionNames"}


def redact(message: Any) -> Any:
    """Return a message without what was said, shown and computed.

    Media are removed. A text becomes its length, `<12 characters>`, except in fields that say how the session runs.
    The arguments of calls keep their names.
    """
    remove_media(message)
    return _redact(message, "")


def _redact(value: Any, key: str) -> Any:
    match value:
        case dict() if key == "response":
            return {"redacted": _length_of(value)}
        case dict() if key == "args":
            return {name: _length_of(inner) for name, inner in value.items()}
        case dict():
            return {name: _redact(inner, name) for name, inner in value.items()}
        case list() if key not in _KEPT_LISTS:
            return [_redact(inner, "") for inner in value]
        case str() if value and key not in _KEPT:
            return _length_of(value)
    return value


def _length_of(value: Any) -> str:
    return f"<{len(value if isinstance(value, str) else str(value))} characters>"


def is_too_deep(value: Any) -> bool:
    """Return True if a message is nested deeper than `MAX_DEPTH`."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in inner if isinstance(item, (dict, list))]


def refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python's JSON reader takes and JSON does not have.

    Raises:
        ValueError: Always.
    """
    raise ValueError(name)
