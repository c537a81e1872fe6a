"""Makes up arguments that fit a declaration, for tests: what a model that follows the declaration would pass."""

import json
import math
import re
from typing import Any

from hypothesis import strategies as st

JSON_VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3)
_FORMATS: dict[str, list[Any]] = {
    "date": ["2026-01-02"],
    "time": ["12:30:00"],
    "duration": ["PT90S", "P1D"],
    "uuid": ["00000000-0000-0000-0000-000000000001"],
    "path": ["a/b"],
    "binary": ["text"],
}


def arguments_for(declaration: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for the arguments of one call."""
    return _objects(declaration.get("parameters", {"properties": {}}), "")


def _objects(schema: dict[str, Any], words: str) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in schema:
        read: st.SearchStrategy[dict[str, Any]] = schema["read"] if "read" in schema else _maps(schema, words)
        return read
    members = {key: values_for(part) for key, part in schema["properties"].items()}
    required = schema.get("required", [])
    return st.fixed_dictionaries(
        {key: members[key] for key in required},
        optional={key: member for key, member in members.items() if key not in required},
    )


def values_for(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for values that fit `schema`, including what its description says in words."""
    if "anyOf" in schema:
        values = st.one_of(*map(values_for, schema["anyOf"]))
    else:
        values = _values_of_type(schema, schema.get("description", ""))
    return st.none() | values if schema.get("nullable") else values


def _values_of_type(schema: dict[str, Any], words: str) -> st.SearchStrategy[Any]:
    kind = schema.get("type")
    if "enum" in schema:
        values = schema["enum"]
    elif kind not in {"ARRAY", "OBJECT"} and (start := words.find("One of ")) >= 0:
        values, _ = _read_json(words, start + len("One of "))
    elif kind == "BOOLEAN":
        values = [False, True]
    else:
        makers = {"INTEGER": _integers, "NUMBER": _numbers, "STRING": _strings, "ARRAY": _arrays, "OBJECT": _objects}
        return makers[schema["type"]](schema, words)
    return st.sampled_from(values)


def _integers(schema: dict[str, Any], words: str) -> st.SearchStrategy[int]:
    step = int(found[1]) if (found := re.search(r"A multiple of (\d+)\.", words)) else 1
    low, high = _bounds(schema, words)
    return st.integers(math.ceil(low / step), math.floor(high / step)).map(lambda number: number * step)


def _numbers(schema: dict[str, Any], words: str) -> st.SearchStrategy[float]:
    low, high = _bounds(schema, words)
    return st.floats(low, high, allow_subnormal=False) | st.integers(int(low) + 1, int(high) - 1)


def _bounds(schema: dict[str, Any], words: str) -> tuple[float, float]:
    above, below = re.search(r"Greater than ([-\d.]+)\.(?!\d)", words), re.search(r"Less than ([-\d.]+)\.(?!\d)", words)
    low = float(above[1]) + 0.5 if above else schema.get("minimum", -1e6)
    high = float(below[1]) - 0.5 if below else schema.get("maximum", 1e6)
    return low, high


def _strings(schema: dict[str, Any], words: str) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return st.just("2026-01-02T12:30:00Z")
    if match := re.search(r"Format: ([\w-]+)\.", words):
        return st.sampled_from(_FORMATS[match[1]])
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True).filter(str.isprintable)
    if "Matches " in words:  # pydantic's pattern of Decimal
        return st.integers(-99, 99).map(str)
    return st.text("abcé 1", min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 8))


def _arrays(schema: dict[str, Any], words: str) -> st.SearchStrategy[list[Any]]:
    if (start := words.find("In this order: ")) >= 0:
        members, _ = _read_list(words, start + len("In this order: "))
        return st.tuples(*members).map(list)
    return st.lists(
        schema["read"] if "read" in schema else values_for(schema["items"]),
        min_size=schema.get("minItems", 0),
        max_size=schema.get("maxItems", 3),
        unique_by=json.dumps if "No duplicates." in words else None,
    )


def _maps(schema: dict[str, Any], words: str) -> st.SearchStrategy[dict[str, Any]]:
    keys: st.SearchStrategy[Any] = st.text("ab", max_size=2)
    values: st.SearchStrategy[Any] = JSON_VALUES
    if (start := words.find("Each key: ")) >= 0:
        keys, _ = _read_type(words, start + len("Each key: "))
        keys = keys.map(lambda key: key if isinstance(key, str) else json.dumps(key))
    if (start := words.find("Each value: ")) >= 0:
        values, _ = _read_type(words, start + len("Each value: "))
    return st.dictionaries(keys, values, min_size=schema.get("minProperties", 0), max_size=3)


# The phrases in which a declaration describes a type inside a description.


def _read_list(text: str, at: int) -> tuple[list[st.SearchStrategy[Any]], int]:
    members = []
    while True:
        member, at = _read_type(text, at)
        members.append(member)
        if not text.startswith(", ", at):
            return members, at
        at += 2


def _read_type(text: str, at: int) -> tuple[st.SearchStrategy[Any], int]:
    """Return the values of the type whose phrase begins at `at`, and where the phrase ends."""
    values, at = _read_alternative(text, at)
    while text.startswith(" or ", at):
        others, at = _read_alternative(text, at + 4)
        values = values | others
    return values, at


def _read_alternative(text: str, at: int) -> tuple[st.SearchStrategy[Any], int]:
    schema: dict[str, Any] = {}
    if text.startswith("null", at):
        return st.none(), at + 4
    if text.startswith("one of ", at):
        schema["enum"], at = _read_json(text, at + len("one of "))
    elif text.startswith("date-time string", at):
        schema, at = {"type": "STRING", "format": "date-time"}, at + len("date-time string")
    elif text.startswith("array of (", at):
        items, at = _read_type(text, at + len("array of ("))
        schema, at = {"type": "ARRAY", "read": items}, at + 1
    elif text.startswith("object with (", at):
        members, at = _read_members(text, at + len("object with ("))
        schema = {"type": "OBJECT", "read": members}
    else:
        kind = re.compile(r"(string|number|integer|boolean|object)").match(text, at)
        assert kind is not None, text[at:]
        schema, at = {"type": kind[1].upper()}, kind.end()
    at = _read_limits(schema, text, at)
    words = ""
    if text.startswith(" (", at):
        end = _closing(text, at + 1)
        words, at = f"{text[at + 2 : end]}.", end + 1
    return _values_of_type(schema, words), at


def _read_limits(schema: dict[str, Any], text: str, at: int) -> int:
    while True:
        if text.startswith(", matching ", at):
            schema["pattern"], at = json.JSONDecoder().raw_decode(text, at + len(", matching "))
        elif found := next(((key, match) for key, each in _LIMITS.items() if (match := each.match(text, at))), None):
            schema[found[0]], at = json.loads(found[1][1]), found[1].end()
        else:
            return at


def _closing(text: str, at: int) -> int:
    """Return where the parenthesis that opens at `at` closes."""
    depth = 0
    for index in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise AssertionError(f"no closing parenthesis: {text[at:]}")


def _read_json(text: str, at: int) -> tuple[list[Any], int]:
    values = []
    while True:
        value, at = json.JSONDecoder().raw_decode(text, at)
        values.append(value)
        if not re.compile(r', (["\d]|true|false)').match(text, at):
            return values, at
        at += 2


def _read_members(text: str, at: int) -> tuple[st.SearchStrategy[Any], int]:
    members = {}
    while match := re.compile(r"(?:, )?(\w+): ").match(text, at):
        members[match[1]], at = _read_type(text, match.end())
    return st.fixed_dictionaries(members), at + 1


_LIMITS = {
    "minimum": re.compile(r", at least ([-\d.]*\d)"),
    "maximum": re.compile(r", at most ([-\d.]*\d)"),
    "minLength": re.compile(r", (\d+) or more characters"),
    "maxLength": re.compile(r", (\d+) or fewer characters"),
    "minItems": re.compile(r", (\d+) or more items"),
    "maxItems": re.compile(r", (\d+) or fewer items"),
}
