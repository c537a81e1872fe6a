"""Convert a JSON schema to the subset of OpenAPI in which a function's `parameters` are declared. Pure.

The subset has no `$ref` and no `additionalProperties` (close code 1007: LiveKit's pull request 7302, 2026), and `enum`
only for strings that are not empty. What it cannot express is said in the description, in words.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

_Convert = Callable[[Any], dict[str, Any]]

_OPENAPI_KEYS = {
    *("description", "default", "required", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("minItems", "maxItems", "minProperties", "maxProperties"),
}

_REMARKS = {
    "exclusiveMinimum": "Greater than {}.",
    "exclusiveMaximum": "Less than {}.",
    "multipleOf": "A multiple of {}.",
    "format": "Format: {}.",
    "uniqueItems": "No duplicates.",
    "examples": "Examples: {}.",
}
"""JSON Schema keywords that the subset lacks, as sentences for the description."""

_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "{} or more characters",
    "maxLength": "{} or fewer characters",
    "minItems": "{} or more items",
    "maxItems": "{} or fewer items",
    "minProperties": "{} or more keys",
    "maxProperties": "{} or fewer keys",
    "pattern": "matching {}",
}
"""Keywords of the subset as phrases, for a type that is described in words."""

_ANY = [{"type": kind} for kind in ("string", "number", "boolean", "object", "null")]
"""The alternatives of a value of any type. Arrays are left out, because the subset must be told what they contain."""

_HASHABLE = [choice for choice in _ANY if choice["type"] != "object"]
"""The alternatives of a member of a set."""

_JSON_TYPES: dict[type, str] = {
    **{str: "string", bool: "boolean", int: "integer", float: "number"},
    **{list: "array", dict: "object", type(None): "null"},
}


def to_openapi(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], inside: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a JSON schema in the OpenAPI subset of `parameters`.

    Args:
        schema: A schema that pydantic made.
        definitions: The schemas that its `$ref`s name; each is written out where it is used.
        inside: Names of the definitions around `schema`.
    """
    if "$ref" in schema:
        return _inline(schema, definitions, inside)

    def convert(part: Any) -> dict[str, Any]:
        return to_openapi(part if isinstance(part, dict) else {}, definitions, inside)

    result = {key: schema[key] for key in schema if key in _OPENAPI_KEYS}
    choices = schema.get("anyOf") or schema.get("oneOf") or _split(schema)
    if choices is not None:
        others = [choice for index, choice in enumerate(choices) if choice not in choices[:index]]
        others = [choice for choice in others if choice.get("type") != "null"]
        nullable = {"nullable": True} if any(choice.get("type") == "null" for choice in choices) else {}
        if len(others) == 1:
            return convert({**others[0], **result}) | nullable
        return result | {"anyOf": [convert(choice) for choice in others]} | nullable
    result["type"] = schema["type"].upper()
    if schema["type"] == "object":
        _add_properties(result, schema, convert)
    elif schema["type"] == "array":
        _add_items(result, schema, convert)
    _add_values(result, schema)
    if "(?" in schema.get("pattern", ""):  # look-around, which not every engine knows
        add_remark(result, f"Matches {result.pop('pattern')}.")
    for key, sentence in _REMARKS.items():
        if key in schema and schema[key] is not False and key not in result:
            add_remark(result, sentence.format(_list(schema[key])))
    return result


def _inline(schema: Mapping[str, Any], definitions: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
    """Return the definition that a `$ref` names. A type that contains itself is written out once."""
    name = schema["$ref"].removeprefix("#/$defs/")
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    if name in inside:
        kind = definitions[name].get("type")
        beside["description"] = f"{beside.get('description', '')} Again a {name}.".strip()
        return to_openapi(beside | ({"type": kind} if kind == "object" else {}), definitions, inside)
    return to_openapi({**definitions[name], **beside}, definitions, (*inside, name))


def _split(schema: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the alternatives of a schema that has several types, or none; None if it has one type."""
    if isinstance(schema.get("type"), str):
        return None
    if isinstance(schema.get("type"), list):
        beside = {key: value for key, value in schema.items() if key not in ("type", *_OPENAPI_KEYS)}
        return [{**beside, "type": kind} for kind in schema["type"]]
    if "enum" in schema:
        kinds = dict.fromkeys(_JSON_TYPES[type(value)] for value in schema["enum"])
        return [
            {"type": kind, "enum": [value for value in schema["enum"] if _JSON_TYPES[type(value)] == kind]}
            for kind in kinds
        ]
    return _ANY


def _add_properties(result: dict[str, Any], schema: Mapping[str, Any], convert: _Convert) -> None:
    if "properties" in schema:
        result["properties"] = {key: convert(part) for key, part in schema["properties"].items()}
    else:
        if isinstance(keys := schema.get("propertyNames"), dict):
            typed = keys if "$ref" in keys else {"type": "string", **keys}
            add_remark(result, f"Each key: {format_in_words(convert(typed))}.")
        if isinstance(values := schema.get("additionalProperties"), dict):
            add_remark(result, f"Each value: {format_in_words(convert(values))}.")


def _add_items(result: dict[str, Any], schema: Mapping[str, Any], convert: _Convert) -> None:
    if members := schema.get("prefixItems"):
        result["items"] = convert({"anyOf": members})
        add_remark(result, f"In this order: {', '.join(format_in_words(convert(member)) for member in members)}.")
    else:
        anything = {"anyOf": _HASHABLE} if schema.get("uniqueItems") else {}
        result["items"] = convert(schema.get("items") or anything)


def _add_values(result: dict[str, Any], schema: Mapping[str, Any]) -> None:
    """Add the values that are allowed. The subset has them for strings only, and none of them may be empty."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values and result["type"] == "STRING" and all(values):
        result |= {"format": "enum", "enum": values}
    elif values:
        add_remark(result, f"One of {_list(values)}.")
    elif schema.get("format") == "date-time":
        result["format"] = "date-time"


def format_in_words(schema: Mapping[str, Any]) -> str:
    """Return a converted schema as a phrase, for a description."""
    if "anyOf" in schema:
        words = " or ".join(format_in_words(choice) for choice in schema["anyOf"])
    elif "enum" in schema:
        words = f"one of {_list(schema['enum'])}"
    elif "items" in schema:
        words = f"array of ({format_in_words(schema['items'])})"
    elif schema.get("properties"):
        members = (f"{key}: {format_in_words(part)}" for key, part in schema["properties"].items())
        words = f"object with ({', '.join(members)})"
    else:
        words = "date-time string" if schema.get("format") == "date-time" else schema["type"].lower()
    limits = (text.format(_quoted(schema[key])) for key, text in _LIMITS.items() if key in schema)
    phrase = ", ".join([words, *limits])
    remark = schema.get("description", "").rstrip(".")
    return (f"{phrase} ({remark})" if remark else phrase) + (" or null" if schema.get("nullable") else "")


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(values: Any) -> str:
    """Return values as JSON, separated by commas."""
    if not isinstance(values, list):
        return str(values)
    return ", ".join(json.dumps(value, ensure_ascii=False, default=str) for value in values)


def add_remark(schema: dict[str, Any], sentence: str) -> None:
    """Add a sentence to the description of a schema."""
    before = schema.get("description", "").rstrip()
    if before and before[-1] not in ".!?:;":
        before += "."
    schema["description"] = f"{before} {sentence}".strip()
