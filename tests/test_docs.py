"""The docs tell what the code does: tables are generated, commands are run. As a script, this updates the tables."""

import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from gemini_live.audio import portaudio
from gemini_live.audio.buffers import MIC_QUEUE_S
from gemini_live.conversation import handles, history, questions
from gemini_live.errors import EXIT_CODE_MEANINGS, format_causes
from gemini_live.functions import load, mcp, mcp_config, mcp_process, mcp_streams, mcp_tools
from gemini_live.functions.call import MAX_THREADS
from gemini_live.inspection import commands
from gemini_live.options import REPLAY, build_parser, build_replay_parser
from gemini_live.output import live, plain, transcript
from gemini_live.output.help import COMMANDS, KEYS
from gemini_live.output.schema import format_table
from gemini_live.process import lines, streams
from gemini_live.process.ending import format_ways
from gemini_live.prompt import line_history
from gemini_live.recording import format as recording
from gemini_live.recording import memory, write
from gemini_live.recording.format import MAX_FILE_BYTES
from gemini_live.session import calls, dispatch, link, recovery, stats, uplink
from gemini_live.session.inputs import MAX_WAITING_LINES
from gemini_live.simulator import FAULT_KINDS, http, http_connection, model_turns, server, speech, tokens
from gemini_live.simulator import __main__ as simulator_command
from gemini_live.simulator import history as sim_history
from gemini_live.simulator import records as sim_records
from gemini_live.simulator.arguments import build_parser as build_simulator_parser
from gemini_live.simulator.opening import SETUP_S
from gemini_live.simulator.script_file import MAX_SCRIPT_BYTES
from gemini_live.simulator.session_list import MAX_RECORDS
from gemini_live.wire import connection, parse
from gemini_live.wire.json_fields import MAX_ITEMS
from gemini_live.wire.setup import MAX_SETUP_FILE_BYTES

ROOT = Path(__file__).parent.parent
PLUGIN = "gemini_live.simulator.pytest_plugin"
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}


def _options() -> str:
    with mock.patch.dict(os.environ, COLUMNS="110"):
        return f"```\n{build_parser().format_help()}```"


def _simulator_options() -> str:
    with mock.patch.dict(os.environ, COLUMNS="110"):
        text = build_simulator_parser().format_help()
    return f"```\n{text.split('what the model does')[0].rstrip()}\n```"


def _faults() -> str:
    rows = []
    for kind in FAULT_KINDS:
        argument = f":{kind.argument}" if kind.argument else ""
        default = f" [{kind.default}]" if kind.default else ""
        rows.append(f"| {kind.scope.value} | `{kind.name}{argument}`{default} | {kind.meaning} |")
    head = "| when, if WHEN is left out | KIND:ARG [default] | what it does |\n|---|---|---|\n"
    return head + "\n".join(rows)


def _table(head: str, rows: dict[str, str]) -> str:
    lines = [f"| {code(name)} | {meaning} |" for name, meaning in rows.items()]
    return "\n".join([f"| {head} | what it does |", "|---|---|", *lines])


def code(words: str) -> str:
    """Return words as code, in a cell of a table."""
    return f"`{words}`".replace("|", "\\|")


def _limits() -> str:
    """Return the table of limits, with the numbers of the code."""
    rows = [
        ("**from the server**", "", ""),
        ("one message", _size(connection.MAX_MESSAGE_BYTES), "the session ends, exit code 4"),
        ("pieces of one message", f"{connection.MAX_FRAGMENTS:,}", "the connection is replaced"),
        ("messages that wait to be received", str(connection.MAX_WAITING_FRAMES), "nothing more is read"),
        ("events before setupComplete", f"{link.MAX_BEFORE_SETUP:,}", "the connection is replaced"),
        ("one list in a message, such as calls", f"{MAX_ITEMS:,} items", "the rest is skipped, with a warning"),
        (
            "words, code and calls of one question",
            f"{_characters(link.MAX_EXCHANGE_CHARS)}; a piece counts {link.PIECE_CHARS} more",
            "the session ends, exit code 4",
        ),
        (
            "speech that waits to be played",
            f"{portaudio.MAX_QUEUED_S / 60:g} minutes",
            "more is dropped, with a warning",
        ),
        (
            "answers to pings that it does not read",
            _size(connection.MAX_UNSENT_PONG_BYTES),
            "the connection is replaced",
        ),
        ("function calls that run at once", str(calls.MAX_RUNNING), "others wait"),
        ("function calls that are open", str(calls.MAX_OPEN), "others are answered with an error"),
        ("results of calls that it does not read", f"{uplink.MAX_RESULTS:,}", "nothing more is received"),
        ("the id or name of a call", _characters(parse.MAX_NAME_CHARS), "the call is skipped, with a warning"),
        (
            "ids of one question's calls, to recognise a call that comes twice",
            f"{questions.MAX_KNOWN_CALLS:,}",
            "the oldest is forgotten",
        ),
        ("calls left open by lost connections", f"{handles.MAX_STALE_CALLS:,}", "the oldest is forgotten"),
        ("unknown fields that are told of", str(dispatch.MAX_UNKNOWN), "others are ignored"),
        ("modalities that tokens are counted by", str(stats.MAX_MODALITIES), "others are counted together"),
        (
            "the conversation that is told to a fresh session",
            f"{history.MAX_HISTORY_EXCHANGES} exchanges, {_characters(history.MAX_HISTORY_CHARS)}",
            "the oldest is dropped",
        ),
        ("threads of functions, timed out ones included", str(MAX_THREADS), "calls are answered with an error"),
        (
            "connections",
            f"one in {recovery.SHORTEST_INTERVAL_S:g} s; bursts of {recovery.MAX_BURST}",
            "the next one waits",
        ),
        ("**from you and your functions**", "", ""),
        ("a line of stdin", _characters(lines.MAX_LINE_CHARS), "exit code 2"),
        ("lines of a pipe read ahead", str(MAX_WAITING_LINES), "the pipe waits"),
        ("`--setup @FILE`", _size(MAX_SETUP_FILE_BYTES), "exit code 2"),
        ("`--mcp-config FILE`", _size(mcp_config.MAX_FILE_BYTES), "exit code 2"),
        ("one message of an MCP server", _size(mcp_process.MAX_MESSAGE_BYTES), "the server is ended"),
        (
            "messages of an MCP server",
            f"{mcp_streams.MESSAGES_PER_S:g} a second; bursts of {mcp_streams.MAX_MESSAGES:,}",
            "the server waits, with a warning",
        ),
        ("tools of an MCP server", str(mcp.MAX_TOOLS), "the rest is not offered, with a warning"),
        ("the declaration of a tool", _characters(mcp_tools.MAX_DECLARATION_CHARS), "not offered, with a warning"),
        ("the result of a tool", _characters(mcp_tools.MAX_RESULT_CHARS), "the model gets an error"),
        ("the start of an MCP server", f"{mcp.START_S:g} s", "the session goes on without its tools"),
        ("`--import-functions FILE`", _size(load.MAX_FILE_BYTES), "exit code 2"),
        (
            "a line that a function prints",
            _characters(lines.MAX_PRINTED_LINE_CHARS),
            "the rest is dropped and counted",
        ),
        ("lines that functions print and nobody wrote yet", f"{lines.MAX_PRINTED_LINES:,}", "the function waits"),
        (
            "printed lines while a function blocks the event loop",
            f"{lines.MAX_HELD_LINES:,}",
            "further lines are dropped and counted",
        ),
        ("microphone audio that waits for the network", f"{MIC_QUEUE_S:g} s", "the oldest is dropped"),
        ("**to you**", "", ""),
        (
            "stdout that nobody reads",
            _characters(streams.MAX_UNREAD_CHARS),
            "nothing more is received until it is read",
        ),
        (
            "stderr that nobody reads",
            _characters(streams.MAX_UNREAD_DIAGNOSTICS_CHARS),
            "further lines are dropped and counted",
        ),
        (
            "a line of an answer at the prompt",
            _characters(transcript.LONG_CHARS),
            "shown in pieces before it ends",
        ),
        ("lines that wait for the end of an answer", str(live.MAX_HELD_LINES), "shown in its middle"),
        ("the conversation for `/save`", _characters(plain.MAX_RECORDED_CHARS), "the oldest is dropped"),
        (
            "the session for `/save FILE.jsonl`, without --record",
            _size(memory.MAX_WHOLE_BYTES),
            "the oldest sound is dropped",
        ),
        ("a recording (`--record`)", _size(recording.MAX_FILE_BYTES), "it ends with a warning, the session goes on"),
        (
            "recorded messages that wait for the disk",
            _size(write.MAX_WAITING_BYTES),
            "further ones are dropped and counted",
        ),
        ("a line of a recording", _size(recording.MAX_LINE_BYTES), "inspect and diff refuse the file, exit code 2"),
        ("the history of typed lines", _size(line_history.MAX_BYTES), "the older half is dropped"),
        ("**the simulator**", "", ""),
        ("one message of a client", _size(server.MAX_MESSAGE_BYTES), "closes with 1009"),
        ("messages of a client that wait to be received", str(server.MAX_WAITING_FRAMES), "nothing more is read"),
        ("pieces of one message", f"{http_connection.MAX_FRAGMENTS:,}", "the connection is dropped"),
        (
            "answers to pings that a client does not read",
            _size(http_connection.MAX_UNSENT_PONG_BYTES),
            "the connection is dropped",
        ),
        ("one conversation", _characters(sim_history.MAX_CONVERSATION_CHARS), "closes with 1007"),
        (
            "questions that wait",
            f"{model_turns.MAX_ASKS:,}, {_size(model_turns.MAX_ASK_BYTES)} with their sound",
            "closes with 1008",
        ),
        (
            "handles",
            f"{sim_history.MAX_HANDLES:,}, {_characters(sim_history.MAX_HANDLE_CHARS)} of conversations",
            "the oldest is forgotten",
        ),
        (
            "ephemeral tokens",
            f"{tokens.MAX_TOKENS:,}, {_size(tokens.MAX_TOKEN_BYTES)} of setups",
            "the oldest is forgotten",
        ),
        ("turns and calls of one session (command)", f"{sim_records.MAX_KEPT:,} each", "older ones are counted only"),
        ("mistakes of one session", f"{sim_records._MAX_MISTAKES}, {_characters(sim_records.MAX_WORDS)} each", "cut"),
        ("lines of stderr that nobody reads", f"{simulator_command.MAX_UNREAD_LINES:,}", "dropped and counted"),
        ("a connection without a setup", f"{SETUP_S:g} s", "closes with 1008"),
        ("headers of an HTTP request", _size(http._MAX_HEAD_BYTES), "HTTP 431"),
        ("body of an HTTP request", _size(http._MAX_BODY_BYTES), "HTTP 413"),
        ("voices (espeak-ng) at once", str(speech.MAX_VOICES), "others wait"),
        ("`--script FILE`", _size(MAX_SCRIPT_BYTES), "exit code 2"),
        ("one spoken sound", _size(speech.MAX_SOUND_BYTES), "cut"),
        ("sounds that are kept", _size(speech.MAX_CACHED_BYTES), "the oldest is dropped"),
        ("records of ended sessions (command)", f"{MAX_RECORDS:,}", "the oldest without mistakes is dropped"),
        ("`--log FILE`", _size(MAX_FILE_BYTES), "the log ends, the server goes on"),
    ]
    return "\n".join(["| what | limit | beyond it |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def _size(n_bytes: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if n_bytes >= unit and not n_bytes % unit:
            return f"{n_bytes // unit} {name}"
    return f"{n_bytes:,} bytes"


def _characters(n: int) -> str:
    return f"{n:,} characters"


TABLES = {
    "limits": _limits,
    "faults": _faults,
    "options": _options,
    "simulator options": _simulator_options,
    "jsonl": format_table,
    "causes": format_causes,
    "endings": format_ways,
    "keys": lambda: _table("key", KEYS),
    "commands": lambda: _table("command", COMMANDS),
}
"""What the docs hold between `<!-- NAME: begin -->` and `<!-- NAME: end -->`, in whichever page that is."""


def _with_tables(text: str) -> str:
    for name, make in TABLES.items():
        pattern = rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)"
        text = re.sub(pattern, lambda match, make=make: f"{match[1]}{make()}\n{match[2]}", text, flags=re.S)  # type: ignore[misc]
    return text


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_in_one_page(name: str) -> None:
    assert sum(text.count(f"<!-- {name}: begin -->") for text in TEXT.values()) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_what_the_code_says(page: Path) -> None:
    assert TEXT[page] == _with_tables(TEXT[page]), "run `python -m tests.test_docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_picture_says_what_it_shows(page: Path) -> None:
    for words, path in re.findall(r"!\[([^]]*)\]\(([^)]*)\)", TEXT[page]):
        assert f"<title>{words}</title>" in (page.parent / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"(?<!!)\[[^]]*\]\((?!https?:)([^)#]+)", TEXT[page]):
        assert (page.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len(TEXT[README].encode()) < 8_192


def _first_example(page: Path) -> str:
    example = re.search(r"^```python\n(from websockets.*?)^```", TEXT[page], flags=re.M | re.S)
    assert example is not None
    return example[1]


def test_the_example_of_an_async_test_is_one_of_ours() -> None:
    ours = (ROOT / "tests" / "simulator" / "test_example.py").read_text(encoding="utf-8")
    assert ours.endswith(_first_example(ROOT / "docs" / "simulator.md"))


def test_the_readmes_example_of_a_test_passes_as_copied(tmp_path: Path) -> None:
    (tmp_path / "test_client.py").write_text(_first_example(README), encoding="utf-8")
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
    )
    assert "1 passed" in completed.stdout, completed.stdout


def test_every_exit_code_is_told() -> None:
    text = TEXT[ROOT / "docs" / "scripting.md"]
    for number, meaning in EXIT_CODE_MEANINGS.items():
        assert re.search(rf"^  {number.value} +{re.escape(meaning[:40])}", text, flags=re.M)


def _commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", "\n".join(TEXT.values()), flags=re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(("gemini-live ", "printf "))]


@pytest.mark.parametrize("command", dict.fromkeys(_commands()))
def test_every_command_has_options_that_exist(command: str) -> None:
    word = command.split()[1]
    parser = commands.build_parser(word) if word in commands.DESCRIPTIONS else build_parser()
    parser = build_replay_parser() if word == REPLAY else parser
    known = {option for action in parser._actions for option in action.option_strings}
    used = set(re.findall(r"(?<=\s)--[a-z][a-z-]*", command.split("| jq", maxsplit=1)[0]))
    assert used <= known


def _needs_nothing(command: str) -> bool:
    """True if a command can be run as it stands: it asks by itself, and needs no sound and no screen."""
    return "--text-output" in command and ("--initial-message" in command or "printf" in command)


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")
@pytest.mark.parametrize("command", dict.fromkeys(command for command in _commands() if _needs_nothing(command)))
def test_command_runs_against_the_simulator(command: str, tmp_path: Path) -> None:
    program = tmp_path / "gemini-live"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m gemini_live --simulate='--pace 0' \"$@\"\n")
    program.chmod(0o755)
    completed = subprocess.run(
        ["sh", "-c", command.split("| jq", maxsplit=1)[0]],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    question = (
        re.findall(r"'([^']*)'", command)[-1] if "printf" in command else re.findall(r"message '([^']*)'", command)[0]
    )
    assert question in completed.stdout or "jsonl" in command


@pytest.mark.skipif(sys.platform == "win32", reason="the command is for a POSIX shell")
def test_the_functions_recipe_prints_what_the_readme_says(tmp_path: Path) -> None:
    recipe = re.search(
        r"functions recipe: begin -->\n```python\n(.*?)```\n\n```console\n\$ gemini-live (.*?)\n(.*?)```",
        TEXT[README],
        flags=re.S,
    )
    assert recipe is not None
    (tmp_path / "shop.py").write_text(recipe[1])
    completed = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m gemini_live {recipe[2]} 2>&1"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert (completed.returncode, completed.stdout) == (0, recipe[3])


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(_with_tables(TEXT[path]), encoding="utf-8")
