"""The list of functions, for people and as JSON lines."""

import json
from typing import Any

import pytest

from gemini_live.output.function_list import find_declarations, format_declarations, format_json_lines

GREET = {
    "name": "greet",
    "behavior": "BLOCKING",
    "description": "Greet somebody.\n\nPolitely.",
    "parameters": {
        "type": "OBJECT",
        "properties": {
            "name": {"type": "STRING", "description": "Whom"},
            "times": {"type": "INTEGER", "default": 1},
            "loud": {"type": "BOOLEAN"},
        },
        "required": ["name"],
    },
}
GREET_TEXT = """\
greet BLOCKING
  Greet somebody.

  Politely.
  - name: string (Whom)
  - times: integer; default: 1
  - loud: boolean; optional"""


@pytest.mark.parametrize(
    ("tools", "found"),
    [
        (None, []),
        ([], []),
        ([{"googleSearch": {}}], []),
        ([{"functionDeclarations": [GREET]}, {"functionDeclarations": [{"name": "two"}]}], [GREET, {"name": "two"}]),
        (["odd", {"functionDeclarations": "odd"}], []),
    ],
)
def test_declarations_are_found_in_any_setup(tools: Any, found: list[Any]) -> None:
    assert find_declarations({"setup": {"tools": tools}}) == found


def test_a_function_is_listed_with_its_parameters() -> None:
    assert format_declarations([GREET]) == GREET_TEXT


def test_a_function_is_listed_with_its_source() -> None:
    assert format_declarations([{"name": "f"}, {"name": "g"}], {"f": "tools.py"}) == "f  (tools.py)\n\ng"


def test_without_functions_that_is_said() -> None:
    assert format_declarations([]) == "the model can call no functions"


@pytest.mark.parametrize(
    ("declaration", "text"),
    [
        (
            {"name": "f", "parametersJsonSchema": {"type": "object"}},
            'f\n  {"parametersJsonSchema": {"type": "object"}}',
        ),
        ({"name": "f", "parameters": "odd"}, 'f\n  {"parameters": "odd"}'),
        ({"name": "f", "parameters": {"properties": {"x": 3}}}, "f\n  - x: 3; optional"),
        ({"description": "No name."}, "\n  No name."),
    ],
)
def test_a_declaration_from_setup_may_have_any_form(declaration: dict[str, Any], text: str) -> None:
    assert format_declarations([declaration]) == text


def test_json_lines_are_the_declarations() -> None:
    lines = format_json_lines([GREET, {"name": "grüßen"}]).splitlines()
    assert [json.loads(line) for line in lines] == [GREET, {"name": "grüßen"}]
    assert "grüßen" in lines[1]
