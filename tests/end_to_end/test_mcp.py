"""MCP servers with the real command: the public time server, a hostile one, and functions that change."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.command import SIMULATED, run, serving
from tests.functions.test_mcp import HOSTILE

KEY = "a-key-of-no-one-at-all"
WITH_KEY = {"GEMINI_API_KEY": KEY}
TIME = f"--mcp={shlex.join([sys.executable, '-m', 'mcp_server_time', '--local-timezone=UTC'])}"
SERVER = f"--mcp={shlex.join(HOSTILE)}"


def test_a_public_server_is_listed_called_and_ended() -> None:
    listed = run(TIME, "--list-functions", "--output-format=jsonl")
    assert listed.code == 0
    assert {json.loads(line)["name"] for line in listed.out.splitlines()} >= {"get_current_time", "convert_time"}
    question = 'call convert_time({"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"})\n'
    result = run(*SIMULATED, TIME, "--output-format=jsonl", stdin=question)
    assert result.code == 0, result.err
    events = [json.loads(line) for line in result.out.splitlines()]
    (called,) = [event for event in events if event["type"] == "tool_result"]
    assert not called["failed"]
    assert "T21:00:00+09:00" in json.dumps(called["response"])


def test_a_hostile_server_costs_its_calls_and_never_the_session() -> None:
    names = ["die", "refuse", "environment", "noise", "flood", "endless", "echo"]
    with serving() as server:
        arguments = (f"--base-url={server.url}", "--text-output", SERVER, "--allow=*")
        result = run(*arguments, stdin="".join(f"call {name}({{}})\n" for name in names), environ=WITH_KEY)
        answers = {
            call.name: answer["response"]
            for session in server.sessions
            for call in session.calls.values()
            for answer in call.answers
        }
    assert result.code == 0, result.err
    assert list(answers) == names
    assert answers["die"] == answers["endless"] == {"error": "the MCP server hostile_server ended during the call"}
    assert "GEMINI_API_KEY" not in str(answers["environment"])
    assert "hostile_server: key *** \\x1b[31m" in result.err.replace("AIza-not-a-real-key", "***")
    assert all(len(line) < 101_000 for line in result.err.splitlines())
    warnings = [line for line in result.err.splitlines() if "warning" in line]
    ended = "has ended: it {}; the next call starts it again"
    assert [line.partition("MCP server hostile_server ")[2] for line in warnings if "ended:" in line] == [
        ended.format("closed the connection (exit code 3)"),
        ended.format("sent a line of more than 16 MiB"),
    ]


def test_without_a_prompt_tools_that_may_change_something_are_refused() -> None:
    result = run(*SIMULATED, SERVER, "--allow=fail", stdin="call empty({})\ncall fail({})\ncall echo({})\n")
    assert "warning: refused, since there is no prompt to confirm them at: structured, several, refuse" in result.err
    assert "needs the user's confirmation, and there is no prompt to ask at" in result.out
    assert "is full" in result.out
    assert "echo returned" in result.out


def test_at_a_prompt_they_are_asked_about_and_an_empty_line_means_no(tmp_path: Path) -> None:
    pytest.importorskip("termios", reason="pseudo-terminals are POSIX's")
    from tests.end_to_end.test_terminal import QUIET, at_prompt

    with serving() as server, at_prompt(f"--base-url={server.url}", *QUIET, SERVER, environ=WITH_KEY) as terminal:
        terminal.type('call empty({"text": "a"})\r')
        terminal.wait_for('run empty(text="a")? [y/N/always]', "run empty? [y/N/always]")
        terminal.type("\r")
        terminal.wait_for('[failed] empty: {"error": "the user did not allow the call of empty"}')
        terminal.wait_until(lambda: "run empty? [y/N/always]" not in "\n".join(terminal.lines))
        terminal.type("call hang({})\r")
        terminal.wait_for("run hang? [y/N/always]")
        terminal.type("\x1b")
        terminal.wait_for('[failed] hang: {"error": "cancelled by the user"}', "hang not run: the call was cancelled")
        terminal.type("/call structured\r")
        terminal.wait_for('structured: {"sum": 3, "parts": [1, 2]}')
        terminal.type("/tools\r")
        terminal.wait_for("echo BLOCKING  (MCP server hostile_server)")


def test_changed_functions_begin_a_new_session_with_the_conversation_so_far(tmp_path: Path) -> None:
    pytest.importorskip("termios", reason="pseudo-terminals are POSIX's")
    from tests.end_to_end.test_terminal import QUIET, at_prompt

    file = tmp_path / "tools.py"
    file.write_text("def one() -> int: return 1\n")
    arguments = (*QUIET, f"--import-functions={file}")
    with serving() as server, at_prompt(f"--base-url={server.url}", *arguments, environ=WITH_KEY) as terminal:
        terminal.type("hello\r")
        terminal.wait_for("gemini:")
        terminal.type("/reload\r")
        terminal.wait_for("nothing has changed")
        file.write_text("def two() -> int: return 2\n")
        terminal.type("/reload\r")
        terminal.wait_for(
            "tools.py: loaded again",
            "the functions have changed (new: two; gone: one); beginning a new session",
            "a new session was begun and told the conversation so far",
        )
        terminal.type("call two({})\r")
        terminal.wait_for("[result] two: ")
        assert len(server.sessions) == 2
        terminal.type("/call t\t\r")
        terminal.wait_for('two: {"output": 2}')
