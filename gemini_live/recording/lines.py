"""Make the lines of a recording from what a session tells. Pure."""

import base64
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..escaping import MIN_SECRET_CHARS
from .format import MAX_LINE_BYTES, Header, Sender, is_too_deep, redact, refuse_constant, remove_media

MAX_INVALID_CHARS = 1_000
"""How much of a message that is not JSON is kept."""


def timestamp(now: datetime | None = None) -> str:
    """Return the time, by default of now, as the header has it."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Piece(NamedTuple):
    """One entry before it becomes a line."""

    t_s: float
    fields: dict[str, Any]
    raw: str | bytes | None
    """The text of the message, if the entry is about one."""


class EntrySink(ABC):
    """Takes what happens in a session, one call for each entry."""

    def message(self, sender: Sender, connection: int, message: Mapping[str, Any] | str | bytes) -> None:
        """Record a message: an object, or the JSON text of one. Returns at once."""
        raw = message if isinstance(message, (str, bytes)) else dump(message)
        self._add({"type": "message", "from": sender, "connection": connection}, raw)

    def connected(self, connection: int, url: str) -> None:
        """Record that a WebSocket is open; the user name and the query of its URL are left out."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self._add({"type": "connected", "connection": connection, "url": f"{parts.scheme}://{host}{parts.path}"})

    def closed(self, connection: int, code: int | None, reason: str, by: Sender) -> None:
        """Record that a WebSocket is closed."""
        self._add({"type": "closed", "connection": connection, "code": code, "reason": reason, "by": by})

    def local(self, event: str, **facts: Any) -> None:
        """Record something that the wire does not show; `facts` are numbers, texts and the like."""
        known = {name: None if _is_infinite(fact) else fact for name, fact in facts.items()}
        self._add({"type": "local", "event": event, **known})

    @abstractmethod
    def _add(self, fields: dict[str, Any], raw: str | bytes | None = None) -> None: ...


class LineFormat:
    """Formats lines: what is left out of them, and what is masked in them."""

    def __init__(self, *, redact: bool = False, keep_media: bool = True, secrets: Sequence[str] = ()) -> None:
        """Say what is left out; the arguments are those of `Recorder`."""
        self._redact, self._keep_media = redact, keep_media
        self._secrets = [form for secret in secrets if len(secret) >= MIN_SECRET_CHARS for form in _forms_of(secret)]

    def header(self, header: Header) -> bytes:
        """Return the first line."""
        fields = replace(header, redacted=self._redact).to_json()
        if self._redact:
            fields["setup"] = redact(json.loads(dump(fields["setup"])))
        return self._encode(dump(fields))

    def entry(self, t_s: float, fields: dict[str, Any], raw: str | bytes | None) -> bytes:
        """Return the line of one entry; a message that no reader could read becomes a local event."""
        start = {"t_s": round(t_s, 6), **fields}
        if raw is None:
            line = dump(start)
            if not line.startswith("{"):
                line = dump({"t_s": start["t_s"], "type": "local", "event": "invalid_entry", "reason": line})
            return self._encode(line)
        text, reason = self._read(raw)
        if reason:
            shown = {} if self._redact else {"text": text[:MAX_INVALID_CHARS]}
            lost = {"type": "local", "event": "invalid_message", "reason": reason, "n_bytes": len(raw), **shown}
            return self._encode(dump({**start, **lost}))
        return self._encode(f'{dump(start)[:-1]},"message":{text}}}')

    def _read(self, raw: str | bytes) -> tuple[str, str]:
        """Return the text of a message as the file holds it, or the message and why it cannot be kept."""
        text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
        if len(text) > MAX_LINE_BYTES // 2:
            return text, "too long"
        try:
            message = json.loads(text, parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            return text, "not JSON"
        if not isinstance(message, dict):
            return text, "not an object"
        if is_too_deep(message):
            return text, "nested too deeply"
        return self._reduce(message, text), ""

    def _reduce(self, message: dict[str, Any], text: str) -> str:
        """Return the JSON of a message without what is not to be kept; `text` is the JSON that it came as."""
        if self._redact:
            return dump(redact(message))
        if not self._keep_media:
            remove_media(message)
            return dump(message)
        # Most messages can be copied as they are, which costs least.
        is_plain = text.isascii() and "\n" not in text and "\r" not in text and "\x7f" not in text
        return text if is_plain else dump(message)

    def _encode(self, line: str) -> bytes:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line.encode() + b"\n"


def _is_infinite(fact: object) -> bool:
    return isinstance(fact, float) and not math.isfinite(fact)


def dump(value: Any) -> str:
    """Return JSON in one line of ASCII, which is harmless on a terminal; bytes become base64, other objects text."""
    try:
        return json.dumps(value, separators=(",", ":"), default=_to_json, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as exc:
        return json.dumps(f"cannot be written as JSON: {exc}")


def _to_json(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, (bytes, bytearray)) else str(value)


def _forms_of(secret: str) -> set[str]:
    """Return a secret as it is, and as JSON writes it."""
    return {secret, json.dumps(secret)[1:-1]}
