"""Random server messages: valid ones from Google's own descriptions of them, and mutations of those.

Valid ones follow the descriptors of google-ai-generativelanguage, and google-genai's types for the fields that only
those know (`protos.SDK_ONLY`), in every spelling that protobuf's JSON mapping allows. All depends on the `rng` alone.
"""

import base64
import copy
import enum
import json
import random
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from pydantic import BaseModel

from .protos import NEITHER, SDK_ONLY, SERVER, Message

MIME_TYPES = ("audio/pcm;rate=24000", "audio/pcm", "audio/pcm; rate=16000", "Audio/PCM;rate=99", "image/png", "")

_DESCRIPTOR = SERVER.pb(SERVER()).DESCRIPTOR
# What a session is made of: likely, and before others where only one of several fields can be.
_FAVOURITES = ("serverContent", "modelTurn", "parts", "text", "inlineData", "data", "mimeType")
_WIRE_NAMES = {"voiceActivityType": "type"}
_STATUSES = ("INTERACTION_STATUS_UNSPECIFIED", "IN_PROGRESS", "REQUIRES_ACTION", "IDLE")
_ALPHABET = "aB09 \t\n\"\\/{}'é漢🎤\x00\x1b\x85\u2028\ufeff\ufffd"


def random_server_message(rng: random.Random) -> Message:
    """Return a message that the service could send."""
    message = _message(rng, _DESCRIPTOR, rng.choice((0.3, 0.5, 0.7)))
    for name in NEITHER:
        if rng.random() < 0.1:
            message[name] = rng.choice(_STATUSES)
    return message


def encode(rng: random.Random, message: Any) -> str | bytes:
    """Return `message` as JSON, written in one of the ways in which that can be done."""
    text = json.dumps(message, ensure_ascii=rng.random() < 0.5, indent=2 if rng.random() < 0.1 else None)
    return text if rng.random() < 0.5 else text.encode("utf-8", "surrogatepass")


def _message(rng: random.Random, descriptor: Any, chance: float) -> Message:
    message: Message = {}
    taken = set()
    fields = sorted(_fields(descriptor), key=lambda field: rng.random() - field.is_favourite / 2)
    for field in fields:
        draw = rng.random()
        if draw < 0.03:
            message[field.name] = None
        elif field.oneof not in taken and draw < (0.8 if field.is_favourite else chance):
            message[field.name] = _field(rng, field.descriptor, chance)
            taken.add(field.oneof)
    if descriptor.name in SDK_ONLY:
        model, names = SDK_ONLY[descriptor.name]
        message |= _model(rng, model, chance / 2, names)
    return message


class _FieldFacts(typing.NamedTuple):
    name: str
    oneof: str
    is_favourite: bool
    descriptor: Any


_FIELDS: dict[str, list[_FieldFacts]] = {}


def _fields(descriptor: Any) -> list[_FieldFacts]:
    if descriptor.full_name not in _FIELDS:
        _FIELDS[descriptor.full_name] = [
            _FieldFacts(
                field.json_name,
                field.containing_oneof.name if field.containing_oneof else field.name,
                field.json_name in _FAVOURITES,
                field,
            )
            for field in descriptor.fields
        ]
    return _FIELDS[descriptor.full_name]


def _field(rng: random.Random, field: Any, chance: float) -> Any:
    if field.is_repeated:
        return [_single(rng, field, chance) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    return _single(rng, field, chance)


def _single(rng: random.Random, field: Any, chance: float) -> Any:
    if field.name == "mime_type":
        return rng.choice(MIME_TYPES)
    if field.message_type is not None:
        make = _WELL_KNOWN.get(field.message_type.full_name)
        return make(rng) if make else _message(rng, field.message_type, chance)
    if field.enum_type is not None:
        return rng.choice(field.enum_type.values).name
    return _SCALARS[field.type](rng)


def _model(rng: random.Random, model: type[BaseModel], chance: float, names: frozenset[str] | None = None) -> Message:
    return {
        _WIRE_NAMES.get(alias, alias): _annotated(rng, info.annotation, alias)
        for info in model.model_fields.values()
        if (alias := str(info.alias)) and (names is None or alias in names) and rng.random() < chance
    }


def _annotated(rng: random.Random, annotation: Any, alias: str) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _annotated(rng, arguments[0], alias)
    if origin is list:
        return [_annotated(rng, arguments[0], alias) for _ in range(rng.randrange(3))]
    if origin is typing.Literal:
        return rng.choice(arguments)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model(rng, annotation, 0.5)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return rng.choice(list(annotation)).value
    is_duration = annotation is str and alias.lower().endswith("offset")
    return random_duration(rng) if is_duration else _PYTHON_TYPES[origin or annotation](rng)


def random_text(rng: random.Random) -> str:
    """Return a text as people, programs and attackers write them."""
    return "".join(rng.choices(_ALPHABET, k=rng.choice((0, 1, 5, 20))))


def random_integer(rng: random.Random) -> int | str | float:
    """Return a 32-bit integer in one of the ways in which JSON may hold it."""
    value = rng.choice((0, 1, -1, 183, rng.randrange(-(2**31), 2**31)))
    return rng.choice((value, str(value), float(value)))


def random_base64(rng: random.Random) -> str:
    """Return a few bytes in one of the alphabets, with padding or without."""
    encoder = rng.choice((base64.b64encode, base64.urlsafe_b64encode))
    text = encoder(rng.randbytes(rng.choice((0, 1, 2, 3, 8, 97)))).decode("ascii")
    return text if rng.random() < 0.5 else text.rstrip("=")


def random_duration(rng: random.Random) -> str:
    """Return a duration."""
    return rng.choice(("0s", "50s", "1.5s", "-3s", "0.000000001s", "3600s", f"{rng.randrange(10**6)}.25s"))


def random_struct(rng: random.Random, depth: int = 0) -> Message:
    """Return an object of somebody's own making."""
    return {random_text(rng): _json_value(rng, depth + 1) for _ in range(rng.randrange(4))}


def _json_value(rng: random.Random, depth: int) -> Any:
    if depth < 4 and rng.random() < 0.3:
        return random_struct(rng, depth) if rng.random() < 0.5 else [_json_value(rng, depth + 1) for _ in range(2)]
    return rng.choice((None, True, False, 0, -7, 1.5, 1e300, random_text(rng)))


_WELL_KNOWN: dict[str, Callable[[random.Random], Any]] = {
    "google.protobuf.Duration": random_duration,
    "google.protobuf.Struct": random_struct,
}

_SCALARS: dict[int, Callable[[random.Random], Any]] = {
    FieldDescriptor.TYPE_STRING: random_text,
    FieldDescriptor.TYPE_BYTES: random_base64,
    FieldDescriptor.TYPE_BOOL: lambda rng: rng.random() < 0.5,
    FieldDescriptor.TYPE_INT32: random_integer,
    FieldDescriptor.TYPE_FLOAT: random.Random.random,
    FieldDescriptor.TYPE_DOUBLE: random.Random.random,
}

_PYTHON_TYPES: dict[type, Callable[[random.Random], Any]] = {
    str: random_text,
    bytes: random_base64,
    bool: lambda rng: rng.random() < 0.5,
    int: random_integer,
    float: random.Random.random,
    dict: random_struct,
}


def _nested(depth: int) -> Any:
    value: Any = 0
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


_JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 0.5, 1e308, 2**63, 2**70, 10**400, float("inf"), float("nan")),
    *("", "x", "true", "NaN", "1e5", "-", "9" * 30, "\u0663", "\ud800", "\udc00\ud800", "\x00", "AAA=A", "====", "é"),
    *("5", "5s", "1e5s", "s", "-s", ".5s", "\u0663s", "9999999999999s", "audio/pcm;rate=9" * 9, "IDLE"),
    *([], {}, [[]], [{}], [None], [1, "a"], {"": {}}, {"text": 5}, {"parts": [5, None, {"text": [1]}]}),
    *(_nested(63), _nested(64), _nested(90)),
)


def mutate_tree(rng: random.Random, message: Message) -> Any:
    """Return a copy of `message` in which some values are replaced, fields renamed, dropped, moved or repeated."""
    root = {"": copy.deepcopy(message)}
    for _ in range(rng.choice((1, 1, 2, 5))):
        holder, key = rng.choice(list(_places(root)))
        match rng.randrange(6):
            case 0 | 1:
                holder[key] = copy.deepcopy(rng.choice(_JUNK))
            case 2:
                holder[key] = [holder[key]] if rng.random() < 0.5 else {"text": holder[key]}
            case 3:
                other_holder, other_key = rng.choice(list(_places(root)))
                holder[key] = copy.deepcopy(other_holder[other_key])
            case 4 if isinstance(holder, dict) and holder is not root:
                holder[rng.choice((key.upper(), key + "x", "", "error", "text", "\ud800"))] = holder.pop(key)
            case _ if holder is not root:
                del holder[key]
    return root[""]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a JSON value as its container and key."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


def mutate_bytes(rng: random.Random, raw: bytes) -> bytes:
    """Return `raw` with bytes flipped, cut out, repeated or put in."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 3, 10))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((1, 1, 2, 10, 100)))
        match rng.randrange(4):
            case 0 if start < len(data):
                data[start] ^= 1 << rng.randrange(8)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end]
            case _:
                data[start:start] = rng.choice(
                    (b'"', b"{", b"[" * 300, b"]", b",", b":", b"\\u", b"\xff", b"\x00", b"9")
                )
    return bytes(data)
