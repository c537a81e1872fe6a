"""What MCP servers declare, as the model is told it."""

from collections.abc import Mapping
from typing import Any

import pytest

from gemini_live.functions.declare import FUNCTION_NAME
from gemini_live.functions.mcp_tools import MAX_DESCRIPTION_CHARS, declare_tool, name_tools, read_result
from gemini_live.functions.result import CallResult, RemoteFunction
from tests.functions.loading import DEFAULT
from tests.functions.openapi_subset import check_schema

LONG = "x" * 80


@pytest.mark.parametrize(
    ("tools", "taken", "names"),
    [
        ({"a": ["f", "g"], "b": ["h"]}, [], ["f", "g", "h"]),
        ({"a": ["f"], "b": ["f"]}, [], ["a_f", "b_f"]),
        ({"a": ["f"]}, ["f"], ["a_f"]),
        ({"a": ["f"]}, ["f", "a_f"], ["a_f_2"]),
        ({"a": ["x/y", "x y"]}, [], ["a_x_y", "a_x_y_2"]),
        ({"a": ["1st", "", "ö"]}, [], ["_1st", "a__", "a___2"]),
        ({"a": [LONG, LONG + "y"]}, [], ["x" * 55 + "_b2df3f1d", "x" * 55 + "_9dc8b2cd"]),
    ],
)
def test_each_tool_has_a_name_of_its_own_that_the_api_accepts(
    tools: dict[str, list[str]], taken: list[str], names: list[str]
) -> None:
    named = name_tools({server: [{"name": name} for name in listed] for server, listed in tools.items()}, taken)
    assert list(named) == [(server, name) for server, listed in tools.items() for name in listed]
    assert len(set(named.values()) | set(taken)) == len(named) + len(taken)
    assert all(FUNCTION_NAME.fullmatch(name) for name in named.values())
    if LONG not in tools["a"]:
        assert list(named.values()) == names


def declare(**tool: Any) -> RemoteFunction | None:
    async def call(name: str, args: Mapping[str, Any]) -> CallResult:
        return CallResult(response={"name": name, **args})

    return declare_tool("server", {"name": "own/name", **tool}, "own_name", call, DEFAULT)


async def test_a_tool_is_called_by_its_own_name_with_its_own_parameters() -> None:
    schema = {"type": "object", "properties": {"a-b": {"type": "string"}, "_a_b": {}, "c": {}}, "required": ["a-b"]}
    function = declare(inputSchema=schema, title="A title")
    assert function is not None
    declared = function.declaration["parameters"]
    check_schema(declared)
    assert list(declared["properties"]) == ["__a_b", "_a_b", "c"]
    assert declared["required"] == ["__a_b"]
    assert function.declaration["description"] == "A title"
    result = await function.perform({"__a_b": "\ud83d", "c": [{"d": "\ud83d"}]})
    assert result.response == {"name": "own/name", "a-b": "\\ud83d", "c": [{"d": "\\ud83d"}]}


@pytest.mark.parametrize("schema", [None, {}, [], {"type": "object"}, {"type": "object", "properties": []}])
def test_a_tool_without_parameters_has_none(schema: Any) -> None:
    function = declare(inputSchema=schema)
    assert function is not None
    assert function.declaration == {"name": "own_name", "behavior": "BLOCKING"}


def test_what_is_too_long_is_cut_or_not_offered() -> None:
    function = declare(description="d" * 1_000_000)
    assert function is not None
    assert len(function.declaration["description"]) == MAX_DESCRIPTION_CHARS
    properties = {f"p{number}": {"type": "string", "description": "d" * 1_000} for number in range(100)}
    assert declare(inputSchema={"properties": properties}) is None


@pytest.mark.parametrize(
    ("annotations", "confirms"),
    [({"readOnlyHint": True}, False), ({"readOnlyHint": False}, True), ({"readOnlyHint": "yes"}, True), (None, True)],
)
def test_only_a_tool_that_says_that_it_only_reads_needs_no_confirmation(annotations: Any, confirms: bool) -> None:
    function = declare(annotations=annotations)
    assert function is not None
    assert function.options.confirm is confirms


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


@pytest.mark.parametrize(
    ("result", "response"),
    [
        ({"content": [text("a"), text("b")]}, {"output": "a\nb"}),
        ({"content": [text("3")], "structuredContent": {"result": 3}}, {"result": 3}),
        ({"content": [text("a"), text("b")], "structuredContent": {"result": ["a", "b"]}}, {"result": ["a", "b"]}),
        ({"content": [text("more")], "structuredContent": {"n": 1}}, {"n": 1, "text": "more"}),
        ({"content": [text("more")], "structuredContent": {"text": 1, "n": 1}}, {"text": 1, "n": 1}),
        ({"structuredContent": {"n": float("nan")}}, {"n": None}),
        ({"structuredContent": {"n": 10**400}}, {"error": "the result['n'] is too large a number"}),
        (
            {"content": [{"type": "resource", "resource": {"uri": "a:b", "mimeType": "text/csv", "blob": "MTsy"}}]},
            {"output": "a:b: 1;2"},
        ),
        ({"isError": True}, {"error": "the tool failed and did not say why"}),
        ({"content": [{"type": "image", "data": "?"}]}, {"output": "image (unknown type) that is not valid base64"}),
        ({"content": [{"type": "image", "mimeType": "image/gif", "data": "R0lG"}]}, {
            "output": "a picture (image/gif, 3 bytes), which this model cannot use in a result"
        }),
        ({"content": ["nonsense", None, {"type": "new"}]}, {
            "output": "new (unknown type, 0 bytes), which this model cannot use in a result"
        }),
    ],
)  # fmt: skip
def test_each_result_becomes_a_response(result: dict[str, Any], response: dict[str, Any]) -> None:
    assert read_result(result, sees_pictures=False).response == response
