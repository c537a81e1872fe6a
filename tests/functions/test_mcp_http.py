"""An MCP server over streamable HTTP, made with the official package, in a process of its own."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gemini_live.functions.mcp_config import ServerSpec
from tests.functions.loading import PATIENCE_S
from tests.functions.test_mcp import running

KEY = "s3cret-header-value"


@contextmanager
def serving() -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    command = [sys.executable, str(Path(__file__).parent / "http_server.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
        process.kill()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as (address, _):
        yield address


def spec(url: str, key: str = KEY) -> ServerSpec:
    return ServerSpec(name="remote", url=url, headers={"X-Key": key})


async def test_tools_are_listed_called_cancelled_and_change(url: str) -> None:
    async with running(spec(url), timeout_s=2.0) as bench:
        assert [name for name in bench.library.caller.sources if name != "late"] == ["add", "grow", "wait"]
        assert await bench.call("add", a=2, b=3) == {"result": 5}
        assert "valid" in (await bench.call("add", a="x", b=3))["error"]
        bench.changed.clear()
        assert await bench.call("grow") == {"result": "grown"}
        assert bench.lines == ["remote: 1 of 1: growing"]
        async with asyncio.timeout(PATIENCE_S):
            await bench.changed.wait()
        assert "late" in bench.library.caller.sources
        assert await bench.call("wait") == {"error": "TimeoutError: wait did not finish within 2 s"}
        assert await bench.call("add", a=1, b=1) == {"result": 2}
        assert bench.warnings == []


async def test_a_server_that_refuses_costs_its_tools_only(url: str) -> None:
    nobody = ServerSpec(name="nobody", url="http://127.0.0.1:9/mcp")
    async with running(spec(url, "wrong"), nobody) as bench:
        assert sorted(bench.warnings) == [
            "MCP server nobody does not start: ConnectError: All connection attempts failed",
            "MCP server remote does not start: HTTP 401 Unauthorized",
        ]


async def test_a_server_that_goes_away_costs_the_call() -> None:
    with serving() as (address, process):
        async with running(spec(address)) as bench:
            process.kill()
            process.wait()
            result: dict[str, Any] = await bench.call("add", a=1, b=1)
            assert result == {"error": "the MCP server remote ended during the call"}
            await bench.until(lambda: bool(bench.warnings))
            assert await bench.call("add", a=1, b=1) == {"error": "the MCP server remote does not run"}
