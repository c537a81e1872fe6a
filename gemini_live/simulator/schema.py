"""Reads client messages as the service does: any spelling of the names, both base64 alphabets, nothing unknown.

The schema is package data, made from google-genai's types by `tests/simulator/generate_schema.py`. The result has
camelCase names, numbers that are numbers and `bytes` where the wire has base64. A field that holds its default is left
out, because proto3 does not tell it from an absent one: false, an empty string or list, an unspecified enum value.
Anything that the schema does not have is a `Refusal`. Pure.
"""

import binascii
import json
import math
from collections.abc import Callable
from importlib import resources
from typing import Any

from .audio_message import read_audio_message
from .close_reasons import INVALID_PAYLOAD, Refusal, invalid_argument, invalid_value, unknown_name

_SCHEMA = json.loads(resources.files(__package__).joinpath("schema.json").read_text(encoding="utf-8"))
_ROOT: str = _SCHEMA["root"]
_ENUMS = {name: frozenset(values) for name, values in _SCHEMA["enums"].items()}
_URL_SAFE = str.maketrans("-_", "+/")
_KEEP_EMPTY = frozenset({"text"})
"""Fields of a oneof: an empty one says which of the fields was set."""
_MAX_INT = 2**63


def snake_case(camel: str) -> str:
    """Return the proto spelling of a name: `generation_config` for `generationConfig`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in camel)


def camel_case(name: str) -> str:
    """Return the JSON spelling of a name: `generationConfig` for `generation_config`."""
    first, *others = name.split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)


_FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    message: {
        spelling: (camel, type_name) for camel, type_name in fields.items() for spelling in (camel, snake_case(camel))
    }
    for message, fields in _SCHEMA["messages"].items()
}
"""By message and either spelling: the camelCase name and the type."""


def parse_client_message(raw: str | bytes) -> dict[str, Any]:
    """Return the message with names, numbers and bytes as they are meant.

    Raises:
        Refusal: It is not JSON, or not a message of the API.
    """
    if isinstance(raw, bytes) and (audio := read_audio_message(raw)) is not None:
        return build_audio(*audio)
    try:
        message = load_json(raw)
        if not isinstance(message, dict):
            raise Refusal(INVALID_PAYLOAD, "Invalid JSON payload received. Root element must be a message.")
        read = _read_message(message, _ROOT, "")
    except (ValueError, RecursionError):
        raise Refusal(INVALID_PAYLOAD, "Invalid JSON payload received. Unexpected token.") from None
    if len(read) != 1:
        raise invalid_argument(f"a client message has exactly one field, this one has {len(read)}: {', '.join(read)}")
    return read


def load_json(raw: str | bytes) -> Any:
    """Return the value of a JSON text, more strictly than Python: only finite numbers, and text that UTF-8 can hold.

    Raises:
        ValueError: The text is not JSON.
        RecursionError: The text is nested too deeply.
    """
    text = raw if isinstance(raw, str) else raw.decode()
    if "\\ud" in text or "\\uD" in text:  # half of a surrogate pair may be written so
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    return json.loads(text, parse_float=_parse_finite, parse_constant=_parse_finite)


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def read_message(value: Any, name: str, path: str) -> dict[str, Any]:
    """Return a part of a client message, such as the setup (`LiveClientSetup`), that is sent in another way.

    Raises:
        Refusal: It is not such a message.
    """
    return _read_message(value, name, path)


def build_audio(pcm: bytes, mime_type: str) -> dict[str, Any]:
    """Return the message of a piece of audio, as it is after parsing."""
    return {"realtimeInput": {"audio": {"data": pcm, "mimeType": mime_type}}}


def _read_message(value: Any, name: str, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid_value(path, name, value)
    fields = _FIELDS[name]
    read: dict[str, Any] = {}
    seen: set[str] = set()
    for key, item in value.items():
        if key not in fields:
            raise unknown_name(key, path)
        if item is None:  # proto3 JSON: null is the default
            continue
        camel, type_name = fields[key]
        if camel in seen:
            raise invalid_value(path, name, f"{key} twice")
        seen.add(camel)
        field = _read_value(item, type_name, f"{path}.{snake_case(key)}" if path else snake_case(key))
        if camel in _KEEP_EMPTY or not _is_default(field, type_name):
            read[camel] = field
    return read


def _is_default(value: Any, type_name: str) -> bool:
    """True if proto3 does not tell the value from an absent field. Numbers and messages may be told: they are kept."""
    if type_name.startswith("enum:"):
        return bool(value.endswith("UNSPECIFIED"))
    return type_name.startswith(("bool", "string", "bytes", "[]")) and not value


def _read_value(value: Any, type_name: str, path: str) -> Any:
    if type_name.startswith("[]"):
        if not isinstance(value, list):
            raise invalid_value(path, "repeated", value)
        return [_read_value(item, type_name[2:], f"{path}[{i}]") for i, item in enumerate(value)]
    if type_name.startswith("map:"):
        if not isinstance(value, dict):
            raise invalid_value(path, "map", value)
        return {key: _read_value(item, type_name[4:], f"{path}.{key}") for key, item in value.items()}
    if type_name.startswith("enum:"):
        return _read_enum(value, type_name[5:], path)
    reader = _SCALARS.get(type_name)
    return reader(value, path) if reader else _read_message(value, type_name, path)


def _read_enum(value: Any, name: str, path: str) -> str:
    # The SDK writes its enumerations as they were given, in either case.
    if not isinstance(value, str) or (value.upper() not in _ENUMS[name] and value not in _ENUMS[name]):
        raise invalid_value(path, name, value)
    return value if value in _ENUMS[name] else value.upper()


def _read_string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise invalid_value(path, "TYPE_STRING", value)
    return value


def _read_bool(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise invalid_value(path, "TYPE_BOOL", value)
    return value


def _read_number(value: Any, path: str) -> float:
    try:
        if isinstance(value, bool):
            raise invalid_value(path, "TYPE_DOUBLE", value)
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise invalid_value(path, "TYPE_DOUBLE", value) from None


def _read_int(value: Any, path: str) -> int:
    number = _read_number(value, path)
    if not number.is_integer() or not -_MAX_INT <= number < _MAX_INT:
        raise invalid_value(path, "TYPE_INT64", value)
    return int(number)


def _read_struct(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid_value(path, "Struct", value)
    return value


def _decode_base64(value: Any, path: str) -> bytes:
    if not isinstance(value, str):
        raise invalid_value(path, "TYPE_BYTES", value)
    text = value.translate(_URL_SAFE) if "-" in value or "_" in value else value
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=bool(text))
    except (binascii.Error, ValueError):
        raise Refusal(INVALID_PAYLOAD, f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed") from None


_SCALARS: dict[str, Callable[[Any, str], Any]] = {
    "string": _read_string,
    "bytes": _decode_base64,
    "int": _read_int,
    "number": _read_number,
    "bool": _read_bool,
    "struct": _read_struct,
    "any": lambda value, path: value,
}
