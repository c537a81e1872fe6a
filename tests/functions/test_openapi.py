"""JSON schemas of Python types in the OpenAPI subset of `parameters`."""

from typing import Any

import pytest

from gemini_live.functions.openapi import to_openapi
from tests.functions.loading import declaration_of, load

POINT = {
    "type": "OBJECT",
    "properties": {"x": {"type": "INTEGER"}, "y": {"type": "INTEGER", "default": 0}},
    "required": ["x"],
}
COLOR = {"type": "STRING", "description": "A colour.", "format": "enum", "enum": ["red", "blue"]}
ANY = {
    "anyOf": [{"type": "STRING"}, {"type": "NUMBER"}, {"type": "BOOLEAN"}, {"type": "OBJECT"}],
    "nullable": True,
}
TYPES: dict[str, dict[str, Any]] = {
    "take_string": {"type": "STRING"},
    "take_integer": {"type": "INTEGER"},
    "take_number": {"type": "NUMBER"},
    "take_boolean": {"type": "BOOLEAN"},
    "take_enum": COLOR,
    "take_integer_enum": {"type": "INTEGER", "description": "One of 1, 2."},
    "take_literal": {"type": "STRING", "format": "enum", "enum": ["a", "b"]},
    "take_one_literal": {"type": "STRING", "format": "enum", "enum": ["a"]},
    "take_optional": {"type": "INTEGER", "nullable": True},
    "take_union": {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
    "take_list": {"type": "ARRAY", "items": {"type": "INTEGER"}},
    "take_set": {"type": "ARRAY", "items": {"type": "STRING"}, "description": "No duplicates."},
    "take_tuple": {
        "type": "ARRAY",
        "items": {"type": "INTEGER"},
        "minItems": 2,
        "maxItems": 2,
        "description": "In this order: integer, integer.",
    },
    "take_mixed_tuple": {
        "type": "ARRAY",
        "items": {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
        "minItems": 2,
        "maxItems": 2,
        "description": "In this order: integer, string.",
    },
    "take_dict": {"type": "OBJECT", "description": "Each value: integer."},
    "take_dataclass": POINT,
    "take_datetime": {"type": "STRING", "format": "date-time"},
    "take_date": {"type": "STRING", "description": "Format: date."},
    "take_uuid": {"type": "STRING", "description": "Format: uuid."},
    "take_decimal": {"type": "NUMBER"},
    "take_described": {"type": "INTEGER", "description": "how many", "minimum": 0},
    "take_described_dataclass": POINT | {"description": "where"},
    "take_list_of_dataclasses": {"type": "ARRAY", "items": POINT},
    "take_anything": ANY,
    "take_recursive": {
        "type": "OBJECT",
        "properties": {
            "value": {"type": "INTEGER"},
            "children": {
                "type": "ARRAY",
                "items": {"type": "OBJECT", "description": "Again a Node."},
                "default": [],
            },
        },
        "required": ["value"],
    },
}


def test_each_type_is_declared() -> None:
    functions = load("typed.py")
    for name, expected in TYPES.items():
        schema = declaration_of(functions, name)["parameters"]["properties"]["value"]
        assert schema == expected, name
    assert "parameters" not in declaration_of(functions, "take_nothing")


STRING, INTEGER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"title": "T", "type": "string", "minLength": 1, "maxLength": 2},
            {"type": "STRING", "minLength": 1, "maxLength": 2},
        ),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "NUMBER", "description": "Greater than 0."}),
        (
            {"type": "integer", "description": "Even.", "exclusiveMaximum": 9, "multipleOf": 2},
            {"type": "INTEGER", "description": "Even. Less than 9. A multiple of 2."},
        ),
        ({"type": "string", "examples": ["a", "b"]}, {"type": "STRING", "description": 'Examples: "a", "b".'}),
        ({"type": "string", "pattern": "^a+$"}, {"type": "STRING", "pattern": "^a+$"}),
        ({"type": "string", "pattern": "^(?!b)"}, {"type": "STRING", "description": "Matches ^(?!b)."}),
        ({"type": "string", "enum": ["", "no"]}, {"type": "STRING", "description": 'One of "", "no".'}),
        ({"type": "boolean", "const": True}, {"type": "BOOLEAN", "description": "One of true."}),
        (
            {"enum": ["s", "m", 10, None]},
            {
                "anyOf": [
                    {"type": "STRING", "format": "enum", "enum": ["s", "m"]},
                    {"type": "INTEGER", "description": "One of 10."},
                ],
                "nullable": True,
            },
        ),
        (
            {"enum": [[1, 2], 3.5]},
            {
                "anyOf": [
                    {"type": "ARRAY", "items": ANY, "description": "One of [1, 2]."},
                    {"type": "NUMBER", "description": "One of 3.5."},
                ]
            },
        ),
        ({"type": ["string", "null"], "description": "x"}, {"type": "STRING", "nullable": True, "description": "x"}),
        ({"anyOf": [STRING, STRING, NULL]}, {"type": "STRING", "nullable": True}),
        ({"anyOf": [{}, NULL], "default": None}, ANY | {"default": None}),
        ({}, ANY),
        ({"type": "array"}, {"type": "ARRAY", "items": ANY}),
        ({"type": "array", "items": {}}, {"type": "ARRAY", "items": ANY}),
        ({"type": "array", "items": INTEGER, "uniqueItems": False}, {"type": "ARRAY", "items": {"type": "INTEGER"}}),
        ({"type": "array", "maxItems": 0}, {"type": "ARRAY", "maxItems": 0, "items": ANY}),
        (
            {"type": "array", "uniqueItems": True},
            {
                "type": "ARRAY",
                "items": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": True},
                "description": "No duplicates.",
            },
        ),
        (
            {"type": "object", "propertyNames": {"format": "date"}},
            {"type": "OBJECT", "description": "Each key: string (Format: date)."},
        ),
        (
            {"type": "object", "propertyNames": {"const": "a"}},
            {"type": "OBJECT", "description": 'Each key: one of "a".'},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string", "minLength": 1, "pattern": "^a"}},
            {"type": "OBJECT", "description": 'Each value: string, 1 or more characters, matching "^a".'},
        ),
        ({"type": "object", "additionalProperties": True}, {"type": "OBJECT"}),
        (
            {"type": "object", "additionalProperties": {}},
            {"type": "OBJECT", "description": "Each value: string or number or boolean or object or null."},
        ),
        (
            {"type": "object", "propertyNames": {"type": "string", "enum": ["a"]}, "additionalProperties": INTEGER},
            {"type": "OBJECT", "description": 'Each key: one of "a". Each value: integer.'},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "array", "items": {"$ref": "#/$defs/P"}}},
            {"type": "OBJECT", "description": "Each value: array of (object with (x: integer) (A point))."},
        ),
        (
            {"$ref": "#/$defs/P", "description": "here"},
            {"type": "OBJECT", "properties": {"x": {"type": "INTEGER"}}, "description": "here"},
        ),
        (
            {"anyOf": [{"$ref": "#/$defs/P"}, NULL]},
            {"type": "OBJECT", "properties": {"x": {"type": "INTEGER"}}, "description": "A point.", "nullable": True},
        ),
        (
            {"$ref": "#/$defs/L"},
            {"anyOf": [{"type": "INTEGER"}, {"type": "ARRAY", "items": ANY | {"description": "Again a L."}}]},
        ),
    ],
)
def test_what_the_subset_cannot_say_is_in_the_description(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    definitions = {
        "P": {"type": "object", "properties": {"x": INTEGER}, "title": "P", "description": "A point."},
        "L": {"anyOf": [INTEGER, {"type": "array", "items": {"$ref": "#/$defs/L"}}]},
    }
    assert to_openapi(schema, definitions) == expected
