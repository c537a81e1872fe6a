"""Any JSON schema becomes one in the OpenAPI subset."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_live.functions.json_schema import MAX_PARTS, simplify_schema
from gemini_live.functions.openapi import to_openapi
from tests.functions.openapi_subset import check_schema


def convert(schema: Any) -> dict[str, Any]:
    return to_openapi(simplify_schema(schema), {})


STRING = {"type": "STRING"}
ANYTHING = to_openapi({}, {})
TABLE: list[tuple[Any, dict[str, Any]]] = [
    ({"type": "string", "title": "Name", "$comment": "x", "deprecated": True}, STRING),
    (True, ANYTHING),
    (None, ANYTHING),
    ({"type": "file"}, ANYTHING),
    ({"type": "String"}, STRING),
    ({"properties": {"a": {"minLength": 1}}}, {"type": "OBJECT", "properties": {"a": {**STRING, "minLength": 1}}}),
    ({"type": ["string", "null"]}, {**STRING, "nullable": True}),
    ({"type": "string", "nullable": True}, {**STRING, "nullable": True}),
    ({"type": "null"}, {**STRING, "nullable": True}),
    (
        {"type": ["string", "integer"], "description": "either"},
        {"anyOf": [STRING, {"type": "INTEGER"}], "description": "either"},
    ),
    ({"enum": ["a", "a", None]}, {**STRING, "format": "enum", "enum": ["a"], "nullable": True}),
    ({"const": "a"}, {**STRING, "format": "enum", "enum": ["a"]}),
    ({"type": "integer", "enum": [1, 2]}, {"type": "INTEGER", "description": "One of 1, 2."}),
    ({"type": "string", "enum": []}, STRING),
    ({"type": "string", "minLength": -1, "maxLength": "9", "pattern": 3}, STRING),
    ({"type": "number", "exclusiveMinimum": True, "minimum": 0}, {"type": "NUMBER", "minimum": 0}),
    ({"type": "number", "exclusiveMinimum": 0}, {"type": "NUMBER", "description": "Greater than 0."}),
    ({"type": "integer", "default": "x"}, {"type": "INTEGER", "description": 'Default: "x".'}),
    ({"type": "integer", "default": 3}, {"type": "INTEGER", "default": 3}),
    ({"type": "object", "additionalProperties": False}, {"type": "OBJECT"}),
    (
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b", 3]},
        {"type": "OBJECT", "properties": {"a": STRING}, "required": ["a"]},
    ),
    ({"type": "array"}, {"type": "ARRAY", "items": ANYTHING}),
    (
        {"type": "array", "items": [{"type": "string"}, {"type": "string"}]},
        {"type": "ARRAY", "items": STRING, "description": "In this order: string, string."},
    ),
    ({"allOf": [{"type": "string"}, {"minLength": 2}]}, {**STRING, "minLength": 2}),
    (
        {"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"properties": {"b": True}}]},
        {"type": "OBJECT", "properties": {"b": ANYTHING, "a": STRING}, "required": ["a"]},
    ),
    (
        {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}]},
        {"type": "OBJECT", "properties": {"a": STRING}, "description": 'Also: {"anyOf": [{"required": ["a"]}]}.'},
    ),
    ({"type": "string", "not": {"const": ""}}, {**STRING, "description": 'Also: {"not": {"const": ""}}.'}),
    ({"$ref": "#/definitions/t", "definitions": {"t": {"type": "string"}}}, STRING),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"$ref": "#/$defs/c"}, "c": {"type": "string"}}}, STRING),
    ({"$ref": "https://example.com/s.json"}, {**ANYTHING, "description": "See https://example.com/s.json."}),
    (
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {
            "type": "OBJECT",
            "properties": {
                "next": {
                    "type": "OBJECT",
                    "properties": {"next": {"type": "OBJECT", "description": "Again the same."}},
                },
            },
        },
    ),
]


@pytest.mark.parametrize(("schema", "expected"), TABLE, ids=[json.dumps(row[0])[:60] for row in TABLE])
def test_each_keyword_becomes_what_the_subset_has(schema: Any, expected: dict[str, Any]) -> None:
    assert convert(schema) == expected
    check_schema(expected)


def test_a_schema_that_grows_without_end_is_cut() -> None:
    definitions: dict[str, Any] = {"d0": {"type": "string"}}
    for level in range(1, 40):
        below = {"$ref": f"#/$defs/d{level - 1}"}
        definitions[f"d{level}"] = {"type": "object", "properties": {name: below for name in "abcdefgh"}}
    schema = convert({"$ref": "#/$defs/d39", "$defs": definitions})
    check_schema(schema)
    assert json.dumps(schema).count('"type"') < 16 * MAX_PARTS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "a", "b", "é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "type"]), inner, max_size=2),
    max_leaves=5,
)
NAMES = st.sampled_from(["a", "b", "$x", "ü"])
KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["string", "number", "integer", "boolean", "array", "object", "null", "any", "Object"])
    | st.lists(st.sampled_from(["string", "null", "integer", "array"]), max_size=3),
    **{key: JSON for key in ("enum", "const", "default", "examples", "title", "description", "format", "nullable")},
    **{key: JSON for key in ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern")},
    **{key: JSON for key in ("exclusiveMinimum", "multipleOf", "required", "uniqueItems", "minProperties", "not")},
    "$ref": st.sampled_from(["#", "#/properties/a", "#/$defs/b", "#/anyOf/0", "#/nowhere", "other.json", ""]),
}


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = st.dictionaries(NAMES, inner, max_size=3)
    several = st.lists(inner, max_size=3)
    nested: dict[str, st.SearchStrategy[Any]] = {
        **{key: parts for key in ("properties", "$defs", "patternProperties")},
        **{key: several for key in ("anyOf", "oneOf", "allOf", "prefixItems")},
        **{key: inner for key in ("items", "additionalProperties", "propertyNames", "if", "then")},
    }
    return st.fixed_dictionaries({}, optional={**KEYWORDS, **nested}) | JSON


@settings(deadline=None, max_examples=150)
@given(st.recursive(JSON, _schemas, max_leaves=12))
def test_whatever_a_server_declares_is_in_the_subset(schema: Any) -> None:
    converted = convert(schema)
    check_schema(converted)
    json.dumps(converted)
