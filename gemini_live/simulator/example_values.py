"""Makes up a value that fits a JSON schema: the arguments of a function that the model is told to call. Pure.

The schema comes from a client and may be anything that JSON can hold: what makes no sense in it is ignored, and size
and depth of the value are bounded.
"""

import json
import math
from typing import Any

from .example_text import example_of_pattern

_MAX_DEPTH = 12
_SPARSE_DEPTH = 4
"""From this depth on, lists that may be empty are empty: a recursive schema must come to an end."""
_MAX_ITEMS = 50
_MAX_LENGTH = 2_000
_MAX_VALUES = 1_000
_MIN_STEP = 1e-9

_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00",
    "duration": "PT1H30M",
    "email": "ada@example.com",
    "idn-email": "ada@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "ipvanyaddress": "192.0.2.1",
    "ipv4network": "192.0.2.0/24",
    "ipvanynetwork": "192.0.2.0/24",
    "byte": "ZXhhbXBsZQ==",
    "base64": "ZXhhbXBsZQ==",
    "base64url": "ZXhhbXBsZQ==",
    "json-string": "{}",
    "regex": "a+",
    **dict.fromkeys(("uuid", "uuid1", "uuid3", "uuid4", "uuid5"), "7f2c1d3e-5a6b-4c8d-9e0f-1a2b3c4d5e6f"),
}

_HINTS = (
    ("object", ("properties", "required", "additionalProperties", "minProperties")),
    ("array", ("items", "prefixItems", "minItems")),
    ("string", ("pattern", "format", "minLength", "maxLength")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)
"""Which type a schema without one means, by the keywords in it."""


def make_up_value(schema: Any) -> Any:
    """Return a value that fits `schema`, a JSON schema or the API's own subset of it; required properties only."""
    return _Maker(schema).make(schema, 0)


def fit_value(value: Any, schema: Any) -> Any:
    """Return `value` with texts made numbers or booleans where the schema asks for these and the text reads as one."""
    if not isinstance(schema, dict):
        return value
    if isinstance(value, dict) and isinstance(schema.get("properties"), dict):
        return {name: fit_value(item, schema["properties"].get(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [fit_value(item, schema.get("items")) for item in value]
    return _fit_text(value, str(schema.get("type", "")).lower()) if isinstance(value, str) else value


def _fit_text(text: str, kind: str) -> Any:
    try:
        fitted = json.loads(text.strip().lower())
    except ValueError:
        return text
    if isinstance(fitted, bool):
        return fitted if kind == "boolean" else text
    is_number = isinstance(fitted, int | float) and math.isfinite(fitted)
    return fitted if is_number and (kind == "number" or (kind == "integer" and isinstance(fitted, int))) else text


class _Maker:
    """One value in the making; knows the whole schema, to which references point."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._n_values = 0

    def make(self, schema: Any, depth: int) -> Any:  # noqa: PLR0911 - one line for each kind of schema
        """Return a value for a part of the schema."""
        self._n_values += 1
        schema = self._resolve(schema, sparse=depth >= _SPARSE_DEPTH)
        for name in ("const", "default", "example"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            if isinstance(schema.get(name), list) and schema[name]:
                return schema[name][0]
        kind = _type_of(schema, at_root=depth == 0)
        if depth > _MAX_DEPTH or self._n_values > _MAX_VALUES:
            return {"object": {}, "array": []}.get(kind)
        if kind == "object":
            return self._make_object(schema, depth)
        if kind == "array":
            return self._make_array(schema, depth)
        if kind in ("boolean", "null"):
            return True if kind == "boolean" else None
        return _make_number(schema, whole=kind == "integer") if kind in ("integer", "number") else _make_string(schema)

    def _resolve(self, schema: Any, *, sparse: bool = False) -> dict[str, Any]:
        """Return the schema with its references followed and its alternatives chosen; null if `sparse` and allowed."""
        if not isinstance(schema, dict):
            return {}
        for _ in range(_MAX_DEPTH):
            rest = dict(schema)
            reference, together = rest.pop("$ref", None), rest.pop("allOf", None)
            choices = rest.pop("anyOf", None) or rest.pop("oneOf", None)
            parts = [self._find(reference)] if isinstance(reference, str) else []
            parts += together if isinstance(together, list) else []
            if isinstance(choices, list) and choices:
                parts.append(next((choice for choice in choices if _is_null(choice) == sparse), choices[0]))
            if not parts:
                return rest
            schema = _merge([*parts, rest])
        return {name: value for name, value in schema.items() if name not in ("$ref", "allOf", "anyOf", "oneOf")}

    def _find(self, reference: str) -> Any:
        """Return the part of the schema that a reference such as `#/$defs/City` names."""
        found = self._root
        for name in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found

    def _make_object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        n_wanted = min(int(_number(schema.get("minProperties")) or 0), _MAX_ITEMS)
        names += [name for name in properties if name not in names][: max(0, n_wanted - len(names))]
        names += [f"key{i + 1}" for i in range(max(0, n_wanted - len(names)))]
        other = schema.get("additionalProperties", {})
        return {name: self.make(properties.get(name, other), depth + 1) for name in names}

    def _make_array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems")
        items = schema.get("items", {})
        if isinstance(items, list):  # the older spelling of prefixItems
            first, items = items, schema.get("additionalItems", {})
        made = [self.make(item, depth + 1) for item in first[:_MAX_ITEMS]] if isinstance(first, list) else []
        n_least = _number(schema.get("minItems"))
        n_most = _number(schema.get("maxItems"))
        n_wanted = n_least if n_least is not None else float(depth < _SPARSE_DEPTH and not made)
        n_wanted = max(0, min(n_wanted, n_most if n_most is not None else math.inf, _MAX_ITEMS))
        while len(made) < n_wanted and self._n_values < _MAX_VALUES:
            made.append(self.make(items, depth + 1))
        if schema.get("uniqueItems") is True:
            choices = self._resolve(items).get("enum")
            made = [_vary(value, i, choices) for i, value in enumerate(made)]
        return made


def _type_of(schema: dict[str, Any], *, at_root: bool) -> str:
    named = schema.get("type")
    if isinstance(named, list):
        named = next((name for name in named if str(name).lower() != "null"), "null")
    if isinstance(named, str):
        return named.lower()
    return next(
        (kind for kind, keywords in _HINTS if any(keyword in schema for keyword in keywords)),
        "object" if at_root else "string",
    )


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and str(schema.get("type")).lower() == "null"


def _merge(schemas: list[Any]) -> dict[str, Any]:
    """Return one schema that asks for what each of several does."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        for name, value in schema.items() if isinstance(schema, dict) else ():
            before = merged.get(name)
            if name == "properties" and isinstance(before, dict) and isinstance(value, dict):
                merged[name] = {**before, **value}
            elif name == "required" and isinstance(before, list) and isinstance(value, list):
                merged[name] = [*before, *(item for item in value if item not in before)]
            else:
                merged[name] = value
    return merged


def _number(value: Any) -> int | float | None:
    """Return a bound of the schema as a number: proto3 JSON may write it as a string. None where it is no number."""
    if isinstance(value, str):
        try:
            value = float(value) if any(letter in value for letter in ".eEnN") else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 2**63 else None  # which is false of what is no number


def _make_number(schema: dict[str, Any], *, whole: bool) -> int | float:
    """Return a number within the bounds, which may be exclusive in either spelling: a number, or true beside it."""
    low, high = _number(schema.get("minimum")), _number(schema.get("maximum"))
    above, below = _number(schema.get("exclusiveMinimum")), _number(schema.get("exclusiveMaximum"))
    above = low if schema.get("exclusiveMinimum") is True else above
    below = high if schema.get("exclusiveMaximum") is True else below
    step = abs(_number(schema.get("multipleOf")) or 0)
    step = step if step > _MIN_STEP else 0
    if whole and not (step and float(step).is_integer()):
        step = 1
    if step:
        lows = [math.ceil(bound / step) for bound in _given(low)] + [math.floor(b / step) + 1 for b in _given(above)]
        highs = [math.floor(bound / step) for bound in _given(high)] + [math.ceil(b / step) - 1 for b in _given(below)]
        number = max([min([1, *highs]), *lows]) * step
        return int(number) if whole else number
    least, most = max(_given(low, above), default=None), min(_given(high, below), default=None)
    if least is None:
        return 1.5 if most is None or most > 1.5 else most - 1.0
    if most is None:
        return 1.5 if least < 1.5 else least + 1.0
    return (least + most) / 2


def _given(*bounds: int | float | None) -> list[int | float]:
    return [bound for bound in bounds if bound is not None]


def _make_string(schema: dict[str, Any]) -> str:
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and (text := example_of_pattern(pattern)) is not None:
        return text
    named = schema.get("format")
    if isinstance(named, str) and named in _FORMATS:
        return _FORMATS[named]
    n_least = min(int(_number(schema.get("minLength")) or 0), _MAX_LENGTH)
    n_most = _number(schema.get("maxLength"))
    text = "example".ljust(n_least, "x")
    return text if n_most is None else text[: max(0, n_least, int(n_most))]


def _vary(value: Any, i: int, choices: Any) -> Any:
    """Return the i-th of several values that must differ."""
    if isinstance(choices, list) and i < len(choices):
        return choices[i]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value + i
    return f"{value}{i + 1}" if isinstance(value, str) and i else value
