"""MCP servers over stdio: a hostile one of ours, which does in turn all that a server may do, and what none should."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gemini_live.functions import mcp as module
from gemini_live.functions import mcp_streams
from gemini_live.functions.library import FunctionLibrary
from gemini_live.functions.mcp import Listener, McpServers
from gemini_live.functions.mcp_config import ServerSpec
from tests.functions.hostile_server import PNG, TOOLS
from tests.functions.loading import DEFAULT, PATIENCE_S
from tests.functions.openapi_subset import check_schema

HOSTILE = (sys.executable, "-I", str(Path(__file__).parent / "hostile_server.py"))


class Bench:
    """A library with servers, and what they reported."""

    def __init__(self, *servers: ServerSpec, files: tuple[Path, ...] = (), timeout_s: float = PATIENCE_S) -> None:
        self.warnings: list[str] = []
        self.lines: list[str] = []
        self.stderr = b""
        self.changed = asyncio.Event()
        self.reported = asyncio.Event()
        listener = Listener(
            warn=lambda text: self._note(self.warnings, text),
            note=lambda text: None,
            tell=lambda text: None,
            print_line=lambda text: self._note(self.lines, text),
            open_stderr=lambda name: self._add_stderr,
            sees_pictures=True,
        )
        self.servers = McpServers(servers, listener)
        self.library = FunctionLibrary(files, self.servers, capabilities=DEFAULT, timeout_s=timeout_s)
        self.library.caller.on_replaced = self.changed.set

    def _note(self, notes: list[str], text: str) -> None:
        assert "\n" not in text
        notes.append(text)
        self.reported.set()

    def _add_stderr(self, data: bytes) -> None:
        self.stderr += data
        self.reported.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that is reported makes `condition` true."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.reported.clear()
                await self.reported.wait()

    async def call(self, name: str, **args: Any) -> dict[str, Any]:
        result = await self.library.caller.call(name, args)
        assert result.failed == ("error" in result.response)
        return result.response


def spec(*arguments: str, name: str = "hostile", **more: Any) -> ServerSpec:
    return ServerSpec(name=name, command=(*HOSTILE, *arguments), environ=dict(os.environ), **more)


@contextlib.asynccontextmanager
async def running(*servers: ServerSpec, **options: Any) -> AsyncIterator[Bench]:
    bench = Bench(*(servers or (spec(),)), **options)
    try:
        await bench.library.start()
        yield bench
    finally:
        await bench.library.close()
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in names if name.startswith(("MCP", "std", "changes"))}


async def test_tools_are_listed_page_by_page_and_declared_in_the_subset() -> None:
    async with running() as bench:
        declarations = bench.library.caller.declarations
        assert len(declarations) == len(TOOLS) > 5
        assert declarations[0] == {
            "name": "echo",
            "description": "Say it again.",
            "behavior": "BLOCKING",
            "parameters": {"type": "OBJECT", "properties": {"text": {"type": "STRING"}}},
        }
        for declaration in declarations:
            check_schema(declaration.get("parameters", {"type": "OBJECT"}))
        assert bench.library.caller.sources["echo"] == "MCP server hostile"
        assert bench.warnings == []


async def test_only_tools_that_say_that_they_read_run_without_a_confirmation() -> None:
    async with running() as bench:
        caller = bench.library.caller
        assert [name for name in caller.sources if not caller.wants_confirmation(name)] == ["echo"]


RESULTS: dict[str, dict[str, Any]] = {
    "structured": {"sum": 3, "parts": [1, 2]},
    "fail": {"error": "the disk\nis full"},
    "refuse": {"error": "the MCP server hostile answered with an error: not today"},
    "empty": {"output": "done, without a result"},
    "large": {"error": "the result is too large (2,228,238 characters; at most 1,048,576): ask for less"},
    "sample": {"output": '{"code": -32600, "message": "Sampling not supported"}'},
    "elicit": {"output": '{"code": -32600, "message": "Elicitation not supported"}'},
    "several": {
        "output": "done\npicture 1 (image/png)\n"
        "audio (audio/wav, 4 bytes), which this model cannot use in a result\nfile:///a:\nwords\n"
        "file:///b: data (application/pdf, 4 bytes), which this model cannot use in a result\nc: file:///c"
    },
    "odd_name_with__nicode": {"output": '{"$filter": "x", "a-b": 1}'},
}


async def test_each_kind_of_result_and_error_reaches_the_model() -> None:
    async with running() as bench:
        args = {"odd_name_with__nicode": {"__filter": "x", "_a_b": 1}}
        assert {name: await bench.call(name, **args.get(name, {})) for name in RESULTS} == RESULTS
        result = await bench.library.caller.call("several", {})
        assert [(picture.mime_type, picture.data) for picture in result.pictures] == [("image/png", PNG)]
        assert await bench.call("echo", text="\ud83d ö") == {"output": "\\ud83d ö"}
        assert bench.warnings == [
            "MCP server hostile asked for an answer of the model (sampling), which is not supported",
            "MCP server hostile asked for input from the user (elicitation), which is not supported",
        ]


async def test_progress_logs_and_stderr_are_shown_and_chatter_is_told_once() -> None:
    async with running() as bench:
        await bench.call("progress")
        await bench.call("chatter")
        await bench.call("noise")
        await bench.until(lambda: bench.stderr.count(b"\n") == 2)
        assert bench.lines == [
            "hostile: 1 of 2: step 1",
            "hostile: 2 of 2: step 2",
            "hostile: warning: disk \x1b[31mfull",
        ]
        assert bench.stderr.startswith(b"key AIza-not-a-real-key")
        assert bench.warnings == [
            "MCP server hostile wrote something that is no message to stdout (logs belong on stderr): Processing..."
        ]


async def test_a_flood_is_read_slowly_and_the_call_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_streams, "MAX_MESSAGES", 50)
    monkeypatch.setattr(mcp_streams, "MESSAGES_PER_S", 20)
    async with running() as bench:
        assert await bench.call("flood") == {"output": "done"}
        assert bench.warnings == ["MCP server hostile sends more than 500 messages a second: reading them slowly"]


async def test_a_call_that_takes_too_long_or_is_cancelled_is_cancelled_at_the_server() -> None:
    async with running(timeout_s=0.3) as bench:
        assert await bench.call("hang") == {"error": "TimeoutError: hang did not finish within 0.3 s"}
        await bench.until(lambda: b"cancelled" in bench.stderr)
    async with running() as bench:
        task = asyncio.create_task(bench.call("hang"))
        await bench.until(lambda: b"hanging" in bench.stderr)
        task.cancel()
        await bench.until(lambda: b"cancelled" in bench.stderr)
        assert await bench.call("echo", text="alive") == {"output": "alive"}


@pytest.mark.parametrize(
    ("tool", "why"),
    [("die", "it closed the connection (exit code 3)"), ("endless", "it sent a line of more than 16 MiB")],
)
async def test_a_server_that_ends_in_a_call_costs_the_call_and_is_started_again_by_the_next(
    tool: str, why: str
) -> None:
    async with running() as bench:
        assert await bench.call(tool) == {"error": "the MCP server hostile ended during the call"}
        await bench.until(lambda: bool(bench.warnings))
        assert bench.warnings == [f"MCP server hostile has ended: {why}; the next call starts it again"]
        assert await bench.call("echo", text="again") == {"output": "again"}


NOT_STARTED = [
    (("--exit", "2"), "it closed the connection (exit code 2)"),
    (("--not-json",), "it closed the connection (exit code 0)"),
]


@pytest.mark.parametrize(("arguments", "why"), NOT_STARTED)
async def test_a_server_that_does_not_start_costs_its_tools_only(arguments: tuple[str, ...], why: str) -> None:
    async with running(spec(*arguments, name="broken"), spec()) as bench:
        assert bench.warnings[-1] == f"MCP server broken does not start: {why}"
        assert await bench.call("echo", text="x") == {"output": "x"}


async def test_a_command_that_is_not_there_or_cannot_run_is_told_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("words")
    text.chmod(0o755)
    missing = ServerSpec(name="a", command=("no-such-command-of-anyone",), environ=dict(os.environ))
    folder = ServerSpec(name="b", command=HOSTILE, environ=dict(os.environ), cwd=tmp_path / "nowhere")
    async with running(missing, folder) as bench:
        assert sorted(bench.warnings) == [
            "MCP server a does not start: there is no command no-such-command-of-anyone",
            "MCP server b does not start: No such file or directory",
        ]


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_S", 0.5)
    async with running(spec("--never-ready")) as bench:
        assert bench.warnings == ["MCP server hostile did not start within 0.5 s"]
        assert bench.library.caller.declarations == []


async def test_leaving_while_a_server_starts_ends_it() -> None:
    bench = Bench(spec("--never-ready"))
    starting = asyncio.create_task(bench.library.start())
    await asyncio.sleep(0)
    starting.cancel()
    await bench.library.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("MCP", "std"))]
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_names_that_two_servers_or_a_file_share_get_the_name_of_the_server(tmp_path: Path) -> None:
    file = tmp_path / "tools.py"
    file.write_text("def fail(): 'Fail.'; return 'mine'\n")
    one, two = (spec(name=name, includes=frozenset({"echo", "fail"})) for name in ("one", "two"))
    async with running(one, two, files=(file,)) as bench:
        assert list(bench.library.caller.sources) == ["fail", "one_echo", "one_fail", "two_echo", "two_fail"]
        assert await bench.call("fail") == {"output": "mine"}
        assert await bench.call("two_echo", text="2") == {"output": "2"}


async def test_changed_tools_are_offered() -> None:
    async with running(spec(includes=frozenset({"change", "late", "empty"}))) as bench:
        bench.changed.clear()
        await bench.call("change")
        await asyncio.wait_for(bench.changed.wait(), PATIENCE_S)
        assert list(bench.library.caller.sources) == ["change", "late"]


async def test_reload_starts_an_ended_server() -> None:
    async with running() as bench:
        await bench.call("die")
        await bench.until(lambda: bool(bench.warnings))
        assert await bench.library.reload() == ["MCP server hostile: started again"]
        assert await bench.library.reload() == []


async def test_what_a_server_has_started_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"""
import subprocess, sys
with open({str(note)!r}, "w") as file:
    file.write(str(subprocess.Popen(["sleep", "600"]).pid))
sys.argv[1:] = []
exec(open({HOSTILE[2]!r}).read())
"""
    stubborn = ServerSpec(name="s", command=(sys.executable, "-c", script), environ=dict(os.environ))
    async with running(stubborn) as bench:
        assert "echo" in bench.library.caller.sources
    await asyncio.sleep(0)
    with pytest.raises(ProcessLookupError):
        for _ in range(200):
            os.kill(int(note.read_text()), 0)
            await asyncio.sleep(0.01)
