"""Reads JSON from a stranger, field by field: each by its type, and none ignored without a note.

A field that is null, absent or of the wrong type is read as the type's empty value. `Findings` collects wrong fields
and fields that nobody read. The types are those of protobuf's JSON mapping. Pure; any thread.
"""

import binascii
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_NOTES, MAX_NOTE_CHARACTERS = 16, 120
"""Limits of the notes about one message, whatever a stranger sends."""

MAX_DEPTH = 64
"""Limit for a free-form object, which is handled by recursion. Google's own JSON parsers stop at 100."""

MAX_ITEMS = 1_000
"""Items of one list that are read. A megabyte of empty calls would take minutes and all memory."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_DURATION = re.compile(r"(-?\d{1,12}(?:\.\d{1,9})?)s", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_URL_SAFE_TO_STANDARD = str.maketrans("-_", "+/")


def refuse_constant(name: str) -> NoReturn:
    """Raise ValueError for NaN and Infinity, which Python's JSON parser accepts (its `parse_constant`)."""
    raise ValueError(f"{name} is not a JSON number")


def _encodable(text: str) -> str:
    """Return `text` without lone surrogates, which JSON escapes can spell and UTF-8 cannot encode."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def _short(text: str) -> str:
    clean = _encodable(text)
    return clean if len(clean) <= MAX_NOTE_CHARACTERS else clean[:MAX_NOTE_CHARACTERS] + "..."


class Findings:
    """Notes on one message: what is wrong in it, and what is not known."""

    def __init__(self) -> None:
        self._problems: list[str] = []
        self._unknown: list[str] = []
        self.objects: list[JsonObject] = []
        """The objects of the message. Fields that nobody takes out of them count as not known."""

    def add_problem(self, text: str) -> None:
        """Add a line about something wrong."""
        self._problems.append(_short(text))

    def add_unknown(self, text: str) -> None:
        """Add something that is not known."""
        self._unknown.append(text)

    def problems(self) -> tuple[str, ...]:
        """Return the lines about what is wrong, each once."""
        return tuple(dict.fromkeys(self._problems))[:MAX_NOTES] if self._problems else ()

    def unknown(self) -> tuple[str, ...]:
        """Return the paths of what is not known, including fields that nobody took out, each once."""
        left = [f"{object_.path}{name}" for object_ in self.objects if object_.fields for name in object_.left()]
        if not (left or self._unknown):
            return ()
        return tuple(dict.fromkeys(_short(key) for key in (*self._unknown, *left)))[:MAX_NOTES]


class JsonObject:
    """A JSON object. Reading a field takes it out."""

    __slots__ = ("_findings", "_name", "_parent", "fields")

    def __init__(
        self, fields: dict[str, Any], findings: Findings, parent: "JsonObject | None" = None, name: str = ""
    ) -> None:
        self.fields = fields
        """The fields that were not taken out yet; their values may be null."""
        self._findings = findings
        self._parent, self._name = parent, name
        findings.objects.append(self)

    @property
    def path(self) -> str:
        """Where the object is in the message, without indices, ending in a dot; empty for the message itself."""
        return "" if self._parent is None else f"{self._parent.path}{self._name}."

    def left(self) -> Iterator[str]:
        """Yield the names of the fields that were not taken out."""
        return (name for name, value in self.fields.items() if value is not None)

    def has(self, *names: str) -> bool:
        """Return True if any of these fields is present."""
        for name in names:  # noqa: SIM110 - a generator costs three times as much
            if self.fields.get(name) is not None:
                return True
        return False

    def skip(self, *names: str) -> None:
        """Take out fields that are known but not used."""
        if self.fields:
            for name in names:
                self.fields.pop(name, None)

    def unknown(self, name: str, value: str) -> None:
        """Add a note on an unknown value of a known field."""
        self._findings.add_unknown(f"{self.path}{name} ({value})")

    def wrong(self, name: str, what: str) -> None:
        """Add a note on a field of the wrong type."""
        self._findings.add_problem(f"{self.path}{name} {what}")

    def text(self, name: str) -> str:
        """Take out a string."""
        value = self.fields.pop(name, None)
        if isinstance(value, str):
            return value if value.isascii() else _encodable(value)
        if value is not None:
            self.wrong(name, "is not a string")
        return ""

    def flag(self, name: str) -> bool:
        """Take out a boolean."""
        value = self.fields.pop(name, None)
        if value is not None and not isinstance(value, bool):
            self.wrong(name, "is not a boolean")
        return value is True

    def integer(self, name: str) -> int | None:
        """Take out an integer, written as a number or a string."""
        value = self.fields.pop(name, None)
        if type(value) is int and -(2**64) < value < 2**64:
            return value
        if value is None:
            return None
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            return int(value)
        is_whole = isinstance(value, int) if not isinstance(value, float) else value.is_integer()
        if not is_whole or isinstance(value, bool) or abs(value) >= 2**64:
            self.wrong(name, "is not an integer")
            return None
        return int(value)

    def duration_s(self, name: str) -> float | None:
        """Take out a duration such as "1.5s"."""
        value = self.fields.pop(name, None)
        if value is None:
            return None
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            self.wrong(name, "is not a duration")
            return None
        return float(match[1])

    def data(self, name: str) -> bytes:
        """Take out bytes: base64 in either alphabet, with or without padding."""
        value = self.fields.pop(name, None)
        if value is None:
            return b""
        try:
            return binascii.a2b_base64(value, strict_mode=True)
        except (TypeError, ValueError):
            return self._unusual_data(name, value)

    def _unusual_data(self, name: str, value: Any) -> bytes:
        """Return the bytes of what is not padded base64 of the standard alphabet."""
        try:
            digits = value.translate(_URL_SAFE_TO_STANDARD).rstrip("=")
            return binascii.a2b_base64(digits + "=" * (-len(digits) % 4), strict_mode=True)
        except (AttributeError, ValueError):
            self.wrong(name, "is not base64")
            return b""

    def strings(self, name: str) -> tuple[str, ...]:
        """Take out a list of strings."""
        values = self._list(name)
        good = tuple(_encodable(value) for value in values if isinstance(value, str))
        if len(good) < len(values):
            self.wrong(name, "holds what is not a string")
        return good

    def struct(self, name: str) -> dict[str, Any] | None:
        """Take out a free-form object: empty if it is absent, `None` if it cannot be handled."""
        value = self.fields.pop(name, None)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(name, "is not an object")
            return None
        try:
            return {_encodable(key): _plain(item, 1) for key, item in value.items()}
        except ValueError as exc:
            self.wrong(name, str(exc))
            return None

    def child(self, name: str) -> "JsonObject | None":
        """Take out an object with fields of its own; `None` if it is absent."""
        value = self.fields.pop(name, None)
        if isinstance(value, dict):
            return JsonObject(value, self._findings, self, name)
        if value is not None:
            self.wrong(name, "is not an object")
        return None

    def child_or_empty(self, name: str) -> "JsonObject":
        """Take out an object; an empty one if it is absent."""
        return self.child(name) or _EMPTY

    def child_or_text(self, name: str, text_name: str) -> "JsonObject | None":
        """Take out an object. A string in its place becomes an object with the string in the field `text_name`."""
        if isinstance(self.fields.get(name), str):
            self.fields[name] = {text_name: self.fields[name]}
        return self.child(name)

    def children(self, name: str) -> "list[JsonObject]":
        """Take out a list of objects."""
        values = self._list(name)
        good = [value for value in values if isinstance(value, dict)]
        if len(good) < len(values):
            self.wrong(name, "holds what is not an object")
        return [JsonObject(value, self._findings, self, name) for value in good]

    def _list(self, name: str) -> list[Any]:
        value = self.fields.pop(name, None)
        if isinstance(value, list):
            if len(value) > MAX_ITEMS:
                self.wrong(name, f"holds {len(value):,} items, of which the first {MAX_ITEMS:,} are read")
            return value[:MAX_ITEMS]
        if value is not None:
            self.wrong(name, "is not a list")
        return []


_EMPTY = JsonObject({}, Findings())
"""Stands for every absent object. It has no fields, so it causes no notes."""


def _plain(value: Any, depth: int) -> Any:
    """Return a copy of a JSON value that can be encoded again, or raise ValueError."""
    match value:
        case str():
            return _encodable(value)
        case dict() | list() if depth == MAX_DEPTH:
            raise ValueError("is nested too deeply")
        case dict():
            return {_encodable(key): _plain(item, depth + 1) for key, item in value.items()}
        case list():
            return [_plain(item, depth + 1) for item in value]
        case float() if not math.isfinite(value):
            raise ValueError("holds a number that is too large")
        case _:
            return value
