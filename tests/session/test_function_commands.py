"""The commands about functions: what the model was told, and calls without the model."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from gemini_live.functions.call import FunctionCaller
from gemini_live.models import capabilities_of
from gemini_live.output.events import Event, Reply
from gemini_live.output.function_list import find_declarations, format_declarations, format_json_lines
from gemini_live.session.function_commands import FunctionCommands
from tests.functions.loading import load_functions

SOURCE = '''
import asyncio
from typing import Annotated, Literal

started = asyncio.Event()

def add(a: int, b: Annotated[int, "What is added"] = 1) -> int:
    """Add numbers.

    Two of them.
    """
    return a + b

def fail(unit: Literal["km", "miles"], of: list[str] | None = None) -> None:
    raise ValueError("no luck")

async def wait() -> None:
    started.set()
    await asyncio.Event().wait()
'''
LISTED = """\
add BLOCKING
  Add numbers.

  Two of them.
  - a: integer
  - b: integer (What is added); default: 1

fail BLOCKING
  - unit: one of "km", "miles"
  - of: array of (string) or null; default: null

wait BLOCKING"""


class Bench:
    """The commands on functions from a file."""

    def __init__(self, folder: Path) -> None:
        path = folder / "tools.py"
        path.write_text(SOURCE)
        self.functions: FunctionCaller = load_functions(
            [path], capabilities=capabilities_of("gemini-3.8-live"), timeout_s=10.0
        )
        self.replies: list[str] = []
        self.changed = asyncio.Event()
        self.commands = FunctionCommands(self.functions, self.functions.declarations, self)

    def emit(self, event: Event) -> None:
        assert isinstance(event, Reply)
        self.replies.append(event.text)
        self.changed.set()

    async def reply_to(self, argument: str) -> str:
        """Return the first reply to `/call`."""
        wrong = await self.commands.call(argument)
        if wrong is not None:
            return wrong
        assert self.commands.is_calling
        async with asyncio.timeout(10):
            await self.changed.wait()
        return self.replies[0]


async def test_tools_lists_what_the_model_was_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    listed = await bench.commands.list_tools("")
    assert re.sub(r"  \(.*tools\.py:\d+\)", "", listed) == LISTED
    assert f"add BLOCKING  ({tmp_path / 'tools.py'}:" in listed


async def test_reload_without_anything_to_load_says_so(tmp_path: Path) -> None:
    assert (
        await Bench(tmp_path).commands.reload("") == "there is nothing to load: start with --import-functions or --mcp"
    )


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ('add {"a": 2, "b": 3}', 'add: {"output": 5}'),
        ('add   {"a": "2"} ', 'add: {"output": 3}'),
        ("fail {}", 'fail: {"error": "the arguments do not fit fail: missing unit"}'),
        ('fail {"unit": "km"}', 'fail: {"error": "ValueError: no luck"}'),
        ("nothing", 'nothing: {"error": "there is no function \'nothing\'; the functions are: add, fail, wait"}'),
        ("", '/call needs the name of a function, as in /call NAME {"argument": "value"} (/tools lists them)'),
        (
            "add a=2",
            "/call add: the arguments are not JSON: Expecting value: line 1 column 1 (char 0)",
        ),
        ("add [1]", '/call add: the arguments are not a JSON object, such as {"argument": "value"}'),
    ],
)
async def test_call_runs_a_function_without_the_model(tmp_path: Path, argument: str, reply: str) -> None:
    bench = Bench(tmp_path)
    assert await bench.reply_to(argument) == reply


async def test_a_call_of_the_users_can_be_cancelled(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert await bench.commands.call("wait") is None
    await asyncio.sleep(0)
    bench.commands.cancel()
    assert bench.replies == ["wait: cancelled"]
    task = next(each for each in asyncio.all_tasks() if each.get_name() == "/call wait")
    await asyncio.wait({task}, timeout=10)
    assert not bench.commands.is_calling
    assert bench.replies == ["wait: cancelled"]


# The lists.


def test_the_list_is_that_of_the_merged_setup() -> None:
    ours: dict[str, Any] = {"name": "f"}
    setup = {"setup": {"tools": [{"googleSearch": {}}, {"functionDeclarations": [ours]}, {"functionDeclarations": []}]}}
    assert find_declarations(setup) == [ours]
    assert find_declarations({"setup": {}}) == []
    assert find_declarations({"setup": {"tools": ["odd"]}}) == []


def test_json_lines_are_what_is_sent() -> None:
    assert format_json_lines([{"name": "f", "description": "é"}, {"name": "g"}]) == (
        '{"name": "f", "description": "é"}\n{"name": "g"}'
    )


def test_declarations_of_others_are_shown_too() -> None:
    assert format_declarations([]) == "the model can call no functions"
    assert format_declarations([{"name": "f", "parametersJsonSchema": {"type": "object"}}]) == (
        'f\n  {"parametersJsonSchema": {"type": "object"}}'
    )
    assert format_declarations([{"name": "f", "parameters": {"properties": {"a": {"$ref": "x"}}}}]) == (
        'f\n  - a: {"$ref": "x"}; optional'
    )
