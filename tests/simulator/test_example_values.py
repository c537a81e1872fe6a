"""example_values.py, example_text.py: arguments that fit the declaration, whatever it is."""

import random
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, create_model

from gemini_live.simulator.example_text import example_of_pattern
from gemini_live.simulator.example_values import make_up_value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, {}),
        ({"type": "OBJECT", "required": ["a"]}, {"a": "example"}),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {}),
        (
            {
                "type": "object",
                "required": ["i", "n", "b", "s", "e", "d", "l", "o", "u", "t"],
                "properties": {
                    "i": {"type": "INTEGER"},
                    "n": {"type": "number"},
                    "b": {"type": "boolean"},
                    "s": {"type": "string"},
                    "e": {"type": "string", "enum": ["red", "blue"]},
                    "d": {"type": "string", "default": "x"},
                    "l": {"type": "array", "items": {"type": "integer"}, "minItems": "2"},
                    "o": {"type": "object", "required": ["p"], "properties": {"p": {"type": "null"}}},
                    "u": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "t": {"type": ["string", "null"]},
                },
            },
            {
                "i": 1,
                "n": 1.5,
                "b": True,
                "s": "example",
                "e": "red",
                "d": "x",
                "l": [1, 1],
                "o": {"p": None},
                "u": 1,
                "t": "example",
            },
        ),
    ],
)
def test_arguments_are_made_up_from_the_declaration(schema: dict[str, Any], value: object) -> None:
    assert make_up_value(schema) == value


class Colour(Enum):
    RED = "red"


class Node(BaseModel):
    name: Annotated[str, Field(min_length=9)]
    children: list["Node"]
    parent: "Node | None"


class Linked(BaseModel):
    next: "Linked | None"


TYPES: tuple[Any, ...] = (
    *(date, datetime, time, timedelta, UUID, Decimal, IPv4Address, Colour, Literal["x", 1], bool, None | int),
    *(tuple[int, str, date], tuple[int, ...], set[int], dict[str, int], list[Colour], list[tuple[float, float]]),
    *(Node, Linked, list[Node], str | Node, dict[str, Node]),
    Annotated[int, Field(ge=10)],
    Annotated[int, Field(gt=10, lt=12)],
    Annotated[int, Field(le=-5)],
    Annotated[int, Field(ge=7, multiple_of=5)],
    Annotated[int, Field(gt=10, multiple_of=5)],
    Annotated[float, Field(gt=0, lt=0.5)],
    Annotated[float, Field(gt=9)],
    Annotated[float, Field(lt=-9)],
    Annotated[float, Field(ge=0.3, multiple_of=0.25)],
    Annotated[str, Field(pattern=r"^\d{4}-[A-F]+$")],
    Annotated[str, Field(min_length=12, max_length=14)],
    Annotated[str, Field(max_length=3)],
    Annotated[list[int], Field(min_length=3, max_length=4)],
    Annotated[set[int], Field(min_length=3)],
    Annotated[set[str], Field(min_length=3)],
    Annotated[dict[str, int], Field(min_length=2)],
)


@pytest.mark.parametrize("annotation", TYPES, ids=str)
def test_made_up_arguments_fit_the_types_that_pydantic_declares(annotation: Any) -> None:
    model = create_model("Arguments", value=(annotation, ...))
    model.model_validate(make_up_value(model.model_json_schema()))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "STRING", "format": "date"}, "2026-01-31"),
        ({"const": 5}, 5),
        ({"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "2", "maxItems": "2"}, [1, 1]),
        ({"items": [{"type": "integer"}, {"type": "boolean"}]}, [1, True]),
        ({"type": "integer", "exclusiveMinimum": True, "minimum": 4}, 5),
        ({"type": "integer", "minimum": "30", "maximum": "40"}, 30),
        (
            {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"required": ["b"]}]},
            {"a": 1, "b": "example"},
        ),
        ({"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"type": "boolean"}}}, True),
        ({"$ref": "#"}, {}),
        ({"$ref": "#/nowhere"}, {}),
        (True, {}),
        ({"type": "object", "required": ["x"], "properties": {"x": True}}, {"x": "example"}),
        ({"enum": {"a": 1}, "type": "string"}, "example"),
    ],
)
def test_spellings_of_openapi_and_of_older_drafts(schema: Any, value: object) -> None:
    assert make_up_value(schema) == value


JUNK: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        1e300,
        float("nan"),
        float("inf"),
        10**400,
        "",
        "x",
        "9" * 99,
        "nan",
        "object",
        [],
        {},
        [[]],
        [None],
        [1, "a"],
    ),
    *({"type": "array"}, {"$ref": "#"}, {"$ref": "#/properties/a"}, {"anyOf": [{"$ref": "#"}]}, {"minItems": 1e9}),
)
KEYWORDS = (
    *("type", "enum", "const", "default", "examples", "anyOf", "oneOf", "allOf", "$ref", "properties", "required"),
    *(
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "additionalProperties",
        "minProperties",
        "pattern",
    ),
    *("format", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
)
TYPE_NAMES = ("object", "array", "string", "integer", "number", "boolean", "null", "STRING", ["null", "array"], "other")


def random_schema(rng: random.Random, depth: int = 0) -> Any:
    schema: dict[str, Any] = {"type": rng.choice(TYPE_NAMES)} if rng.random() < 0.8 else {}
    for keyword in rng.sample(KEYWORDS, rng.randrange(6)):
        schema[keyword] = random_schema(rng, depth + 1) if depth < 4 and rng.random() < 0.4 else rng.choice(JUNK)
    for keyword in ("properties", "anyOf"):
        if rng.random() < 0.3 and depth < 4:
            inner = [random_schema(rng, depth + 1) for _ in range(2)]
            schema[keyword] = dict(zip("ab", inner, strict=True)) if keyword == "properties" else inner
            schema["required"] = ["a", "b"]
    return schema


@pytest.mark.parametrize("seed", range(3))
def test_a_schema_of_any_kind_gives_some_value(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(2000):
        make_up_value(random_schema(rng))


PATTERNS = (
    *(r"^\d{4}-\d{2}$", r"^[A-Z]{3}$", r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", r"(a|b)+c?", r"[^\w]", r"^(\w)\1$"),
    *(
        "a{3,}",
        "(a+)+$",
        r"\S+@\S+\.com",
        r"^(?P<y>P)T\d+H$",
        "^$",
        "(?>x)y",
        r"(x)?(?(1)y|z)",
        r"[\s\W]",
        "[^a-z]",
        "^.+$",
    ),
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_text_matches_its_pattern(pattern: str) -> None:
    text = example_of_pattern(pattern)
    assert text is not None and re.search(pattern, text)


@pytest.mark.parametrize("pattern", ["[", "a{100000}", "(?<=x)y", r"[^\s\S]", "(" * 2000, "((a{99}){99}){99}", "x(?!)"])
def test_a_pattern_that_cannot_be_matched_quickly_has_no_text(pattern: str) -> None:
    assert example_of_pattern(pattern) is None


def test_values_are_bounded() -> None:
    tree = {"type": "array", "minItems": 9, "items": {"$ref": "#"}}
    assert len(str(make_up_value(tree))) < 100_000
    assert len(make_up_value({"type": "string", "minLength": 10**12})) == 2000
