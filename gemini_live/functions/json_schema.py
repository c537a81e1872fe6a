"""Simplify any JSON schema to the kind that `openapi.py` converts: the schemas of MCP tools are written by strangers.

`$ref` is written out, `allOf` is merged, each schema gets one type or a list of alternatives, and keywords with values
of a wrong type are dropped. What remains unsaid stands in the description, as JSON. Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .openapi import add_remark

MAX_DEPTH, MAX_PARTS = 12, 400
"""A schema is declared down to this depth, and up to this many parts: `$ref` can make a small schema endless."""
MAX_REMARK_CHARS = 300

_TYPES = {"string", "number", "integer", "boolean", "array", "object", "null"}
_HINTS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""The type that a schema without `type` means, by the keywords that it has."""
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_TEXTS = ("pattern", "format")
_FOR_TYPE = {
    "string": ("minLength", "maxLength", *_TEXTS),
    "array": ("minItems", "maxItems", "uniqueItems"),
    "object": ("minProperties", "maxProperties"),
    "number": _NUMBERS,
    "integer": _NUMBERS,
}
"""The keywords that each type keeps."""
_UNSAID = ("not", "if", "then", "else", "patternProperties", "dependentRequired", "dependentSchemas", "contains")
"""Keywords that only JSON Schema has."""
_NULL = {"type": "null"}


@dataclass
class _Budget:
    parts_left: int = MAX_PARTS


def simplify_schema(schema: Any) -> dict[str, Any]:
    """Return a schema with the same meaning, as far as `to_openapi` can express it; without `$ref` and `$defs`."""
    root = schema if isinstance(schema, Mapping) else {}
    return _simplify(schema, root, (), _Budget(), 0)


def _simplify(
    schema: Any, root: Mapping[str, Any], inside: tuple[str, ...], budget: _Budget, depth: int
) -> dict[str, Any]:
    """Return one schema simplified. Over 40 lines: what it could not say is collected until the end.

    Args:
        schema: The schema; anything that is none allows everything.
        root: The whole schema, into which `$ref` points.
        inside: The `$ref`s that lead to it.
        budget: How many parts may still be declared.
        depth: How many schemas are around it.
    """
    budget.parts_left -= 1
    if not isinstance(schema, Mapping):
        return {}
    merged, inside, remarks = _resolve(dict(schema), root, inside)
    if depth > MAX_DEPTH or budget.parts_left < 0:
        kind = merged.get("type")
        kept = {"type": kind} if isinstance(kind, str) and kind in _TYPES - {"array", "null"} else {}
        return kept | _description_of(merged)

    def simplify(part: Any) -> Any:
        return _simplify(part, root, inside, budget, depth + 1)

    choices = _find_choices(merged)
    if choices is not None:
        others = [simplify(choice) for choice in choices if choice != _NULL] or [{"type": "string"}]
        parts = others + [_NULL] * (_NULL in choices)
        result = (
            {**parts[0], **_description_of(merged)} if len(parts) == 1 else _description_of(merged) | {"anyOf": parts}
        )
    else:
        result = _typed(merged, simplify)
        unsaid = {key: merged[key] for key in ("anyOf", "oneOf") if isinstance(merged.get(key), list) and merged[key]}
        remarks += [f"Also: {_as_json(unsaid)}."] if unsaid else []
    if "default" in merged:
        if _fits(merged["default"], result):
            result["default"] = merged["default"]
        else:
            remarks.append(f"Default: {_as_json(merged['default'])}.")
    unsaid = {key: merged[key] for key in _UNSAID if key in merged}
    remarks += [f"Also: {_as_json(unsaid)}."] if unsaid else []
    for remark in remarks:
        add_remark(result, remark)
    return result


def _resolve(
    schema: dict[str, Any], root: Mapping[str, Any], inside: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...], list[str]]:
    """Return a schema with its `$ref` and its `allOf` merged in, the `$ref`s around its parts, and remarks."""
    remarks = []
    while isinstance(reference := schema.pop("$ref", None), str):
        target = _look_up(reference, root)
        if target is None or reference in inside:
            name = "the same" if reference == "#" else f"a {reference.rpartition('/')[2]}"
            remarks.append(f"See {reference}." if target is None else f"Again {name}.")
            if target is not None and target.get("type") == "object":
                schema.setdefault("type", "object")
            break
        inside = (*inside, reference)
        schema = {**target, **schema}
        if "$ref" in target:
            schema["$ref"] = target["$ref"]
    for part in _list(schema.pop("allOf", None)):
        if isinstance(part, Mapping):
            merged, inside, more = _resolve(dict(part), root, inside)
            remarks += more
            schema = _merge(schema, merged)
    return schema, inside, remarks


def _look_up(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema that a `$ref` names inside `root`; None if there is none."""
    if not reference.startswith("#"):
        return None
    value: Any = root
    for word in filter(None, reference[1:].split("/")):
        key = word.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else None


def _merge(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return two schemas that both apply as one."""
    merged = {**other, **one}
    for key in ("properties", "$defs"):
        if isinstance(one.get(key), Mapping) and isinstance(other.get(key), Mapping):
            merged[key] = {**other[key], **one[key]}
    if isinstance(one.get("required"), list) and isinstance(other.get("required"), list):
        merged["required"] = [*one["required"], *other["required"]]
    return merged


def _find_choices(schema: dict[str, Any]) -> list[Any] | None:
    """Return the alternatives of a schema; None if it has one type. Fills in a `type` that is missing."""
    kinds = schema.get("type")
    kinds = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)]
    kinds = [kind for kind in dict.fromkeys(map(str.lower, kinds)) if kind in _TYPES]
    values = [schema["const"]] if "const" in schema else _list(schema.get("enum"))
    values = [each for index, each in enumerate(values) if each not in values[:index]]
    alternatives = schema.get("anyOf") if _is_list(schema.get("anyOf")) else schema.get("oneOf")
    if not kinds and not values and _is_list(alternatives) and "properties" not in schema:
        return [*_list(alternatives), *([_NULL] if schema.get("nullable") is True else [])]
    if not kinds and values:
        kinds = list(dict.fromkeys(_kind_of(value) for value in values))
    if not kinds:
        kinds = [kind for kind, hints in _HINTS.items() if any(hint in schema for hint in hints)][:1]
    if schema.get("nullable") is True and kinds:
        kinds.append("null")
    if not kinds:
        schema.pop("type", None)
        return None
    beside = {key: value for key, value in schema.items() if key not in ("type", "enum", "const", "nullable")}
    of_kind = {kind: [value for value in values if _is_of(value, kind)] for kind in dict.fromkeys(kinds)}
    if len(of_kind) == 1:
        schema.clear()
        schema |= beside | {"type": kinds[0]} | ({"enum": of_kind[kinds[0]]} if of_kind[kinds[0]] else {})
        return None
    for key in ("description", "default"):
        beside.pop(key, None)
    choices = []
    for kind, fitting in of_kind.items():
        if fitting or not values or kind == "null":
            allowed = {"enum": fitting} if fitting else {}
            choices.append(_NULL if kind == "null" else {**beside, "type": kind, **allowed})
    return choices


def _typed(schema: Mapping[str, Any], simplify: Any) -> dict[str, Any]:
    """Return a schema of one type, or of any, with the keywords that this type has."""
    kind, result = schema.get("type"), _description_of(schema)
    if kind == "null":
        return result | {"anyOf": [{"type": "string"}, _NULL]}
    if kind not in _TYPES:
        return result
    result["type"] = kind
    for key in _FOR_TYPE.get(kind, ()):
        if key in schema and _is_valid(key, schema[key]):
            result[key] = schema[key]
    if "enum" in schema:
        result["enum"] = schema["enum"]
    if _is_list(schema.get("examples")):
        result["examples"] = schema["examples"]
    if kind == "object":
        result |= _members(schema, simplify)
    if kind == "array":
        items, first = schema.get("items"), schema.get("prefixItems")
        first = items if isinstance(items, list) else first  # as drafts before 2020 write it
        if _is_list(first):
            result["prefixItems"] = [simplify(part) for part in _list(first)]
        elif isinstance(items, Mapping):
            result["items"] = simplify(items)
    return result


def _members(schema: Mapping[str, Any], simplify: Any) -> dict[str, Any]:
    """Return what an object contains: its properties, or the types of its keys and values."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        required = [key for key in _list(schema.get("required")) if isinstance(key, str) and key in properties]
        declared = {"properties": {str(key): simplify(part) for key, part in properties.items()}}
        return declared | ({"required": list(dict.fromkeys(required))} if required else {})
    typed = [key for key in ("additionalProperties", "propertyNames") if isinstance(schema.get(key), Mapping)]
    return {key: simplify(schema[key]) for key in typed if schema[key]}


def _is_valid(key: str, value: Any) -> bool:
    """True if a keyword has a value of the type that it must have."""
    if key in _COUNTS:
        return type(value) is int and 0 <= value < 2**31
    if key in _NUMBERS:
        return _is_number(value) and abs(value) < 1e300
    return (isinstance(value, str) and bool(value)) if key in _TEXTS else value is True


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """True if a default is of the type that a simplified schema has, and among its values."""
    if "anyOf" in schema:
        return any(_fits(value, choice) for choice in schema["anyOf"])
    kind = schema.get("type")
    return (kind is None or _is_of(value, kind)) and ("enum" not in schema or value in schema["enum"])


def _description_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    text = schema.get("description")
    return {"description": text} if isinstance(text, str) and text.strip() else {}


def _kind_of(value: Any) -> str:
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
    return next((kind for python, kind in kinds if isinstance(value, python)), "null")


def _is_of(value: Any, kind: str) -> bool:
    """True if a JSON value is of a type of JSON Schema."""
    return _is_number(value) if kind == "number" else _kind_of(value) == kind


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - not NaN


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _as_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_REMARK_CHARS else f"{text[: MAX_REMARK_CHARS - 1]}…"
