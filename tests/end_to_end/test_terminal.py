"""The real command in a real pseudo-terminal, its screen read by a terminal emulator: what a person types and sees."""

import contextlib
import functools
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("termios", reason="pseudo-terminals are POSIX's")

from tests.command import LIVENESS_S, SIMULATED, TEXT_MODEL, clean_environ, serving
from tests.pseudo_terminal import COMMAND, PseudoTerminal
from tests.scripted_server import Peer, scripted

KEY = "a-key-of-no-one-at-all"
WITH_KEY = {"GEMINI_API_KEY": KEY}
QUIET = ("--text-output", "--no-audio-input")
TEXT = (*SIMULATED, "--no-audio-input")

FUNCTIONS = '''
import asyncio
import logging
import subprocess
import sys
import time

def shout(n: int) -> str:
    """Write by every way there is, many times."""
    for i in range(n):
        print("printed", i)
    print("to stderr", file=sys.stderr)
    logging.warning("logged")
    subprocess.run(["echo", "by a child"], check=True)
    return "shouted"

async def wait(seconds: float = 60) -> str:
    """Wait, so that it can be cancelled."""
    await asyncio.sleep(seconds)
    return "waited"

async def block(seconds: float = 60) -> str:
    """Block the event loop."""
    time.sleep(seconds)
    return "blocked"

def ask() -> str:
    """Read what is not there to be read."""
    print("no end of line", end="")
    child = subprocess.run("read x; echo child got: $x", shell=True, capture_output=True, text=True)
    return child.stdout + input()
'''


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "gemini-live"


@pytest.fixture
def functions(tmp_path: Path) -> str:
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS)
    return f"--import-functions={path}"


@contextlib.contextmanager
def at_prompt(*arguments: str, **options: object) -> Iterator[PseudoTerminal]:
    """Run the command, and wait for its prompt."""
    with PseudoTerminal(*(arguments or TEXT), **options) as terminal:  # type: ignore[arg-type]
        terminal.wait_for_prompt()
        yield terminal


def ends_with(terminal: PseudoTerminal, code: int, before: object) -> None:
    """Assert that the command ends so, and gives the terminal back as it was."""
    assert terminal.wait() == code
    assert terminal.settings == before
    assert terminal.written.data.rfind(b"\x1b[?2004l") > terminal.written.data.rfind(b"\x1b[?2004h"), "paste brackets"
    assert terminal.written.data.rfind(b"\x1b[?25h") > terminal.written.data.rfind(b"\x1b[?25l"), "a hidden cursor"
    assert not [line for line in terminal.lines if "live 0:" in line], "a status bar is left on the screen"


# Talking


def test_a_typed_line_is_answered_above_the_prompt() -> None:
    with PseudoTerminal("--simulate=--pace 0", "--voice=Aoede", "--no-audio-output", "--no-audio-input") as terminal:
        before = terminal.settings
        terminal.wait_for_prompt()
        terminal.wait_for("simulator; gemini-3.8-live; voice Aoede; tools: none")
        terminal.type("Good morning.\n")
        terminal.wait_for("you: Good morning.", "gemini: Good morning.", ">", "latency", "tokens")
        terminal.type("\x04")
        ends_with(terminal, 0, before)
        assert terminal.lines[:3] == [terminal.lines[0], "you: Good morning.", "gemini: Good morning."]
        assert re.match(r"session: 0:0\d; 1 answer; latency median 0\.\d\d s, worst", terminal.lines[3])
        assert "tokens, all turns: prompt " in " ".join(terminal.lines[4:])


def test_without_a_terminal_for_the_answers_the_keyboard_is_no_input() -> None:
    with PseudoTerminal(*SIMULATED, redirect="| cat") as terminal:
        terminal.wait_for("nothing to ask")
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.written.data


def test_words_grow_above_the_prompt_and_are_printed_once_when_they_are_whole() -> None:
    said, seen, go_on = threading.Event(), threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.receive_line()
        peer.say("Once upon")
        peer.say(" a time")
        said.set()
        assert go_on.wait(LIVENESS_S)
        peer.say(" there was.")
        peer.end_turn()

    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY) as terminal:
        terminal.type("a story\rhalf a li")
        terminal.wait_for("gemini: Once upon a time", "> half a li")
        assert said.is_set()
        go_on.set()
        terminal.wait_for("gemini: Once upon a time there was.", "> half a li")
        terminal.type("ne")
        terminal.wait_for("> half a line")
        seen.set()
        assert sum(line.startswith("gemini: Once") for line in terminal.lines) == 1


def test_what_the_user_said_stands_before_its_answer_though_it_came_after_it() -> None:
    def script(peer: Peer) -> None:
        peer.hear(" What is")
        peer.say("It is")
        peer.hear(" the time?")
        peer.send(toolCall={"functionCalls": [{"id": "1", "name": "clock", "args": {}}]})
        peer.receive()
        peer.say(" noon.")
        peer.end_turn()
        peer.hear("今天")
        peer.hear(" 天气")
        peer.say("晴 ")
        peer.say("天")
        peer.end_turn()

    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY) as terminal:
        terminal.wait_for("gemini: 晴天")
        assert terminal.conversation[1:] == [
            "you: What is the time?",
            "gemini: It is",
            "[call] clock()",
            terminal.conversation[4],
            "gemini: noon.",
            "you: 今天天气",
            "gemini: 晴天",
        ]
        assert terminal.conversation[4].startswith("[failed] clock: ")


def test_an_answer_that_was_interrupted_is_marked_where_it_was_cut_off() -> None:
    def script(peer: Peer) -> None:
        peer.receive_line()
        peer.say("Once upon a")
        peer.receive_line()
        peer.send(serverContent={"interrupted": True})
        peer.send(serverContent={"turnComplete": True})
        peer.say("Yes?")
        peer.end_turn()

    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY) as terminal:
        terminal.type("a story\r")
        terminal.wait_for("gemini: Once upon a")
        terminal.type("stop\r")
        terminal.wait_for("gemini: Yes?")
        told = ["you: a story", "gemini: Once upon a [cut off]", "you: stop", "gemini: Yes?"]
        assert terminal.conversation[1:] == told


def test_code_results_and_sources_are_readable_and_long_ones_folded() -> None:
    code = "\n".join(f"print({n})" for n in range(30))

    def script(peer: Peer) -> None:
        peer.receive_line()
        peer.send(serverContent={"modelTurn": {"parts": [{"executableCode": {"language": "PYTHON", "code": code}}]}})
        result = {"outcome": "OUTCOME_OK", "output": "0\n1\n"}
        peer.send(serverContent={"modelTurn": {"parts": [{"codeExecutionResult": result}]}})
        peer.say("Done.")
        web = {"uri": "https://example.com/" + "x" * 300, "title": "A page"}
        peer.send(serverContent={"groundingMetadata": {"groundingChunks": [{"web": web}]}})
        peer.end_turn()

    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY, columns=400) as terminal:
        terminal.type("go\r")
        terminal.wait_for("[source]")
        lines = terminal.conversation[2:]
        assert lines[:3] == ["[code] python", "    print(0)", "    print(1)"]
        assert lines[13:18] == ["    ... (18 more lines)", "[code result] ok", "    0", "    1", "gemini: Done."]
        assert lines[18] == "[source] A page https://example.com/" + "x" * 300


# Typing while things happen


def test_a_half_typed_line_survives_two_hundred_messages() -> None:
    go_on = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        for n in range(200):
            assert go_on.acquire(timeout=LIVENESS_S)
            peer.hear(f"question {n}")
            peer.say(f"answer {n}")
            peer.end_turn()

    line = "The quick brown fox jumps over the lazy dog. " * 4 + "你好 é"
    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY, rows=30) as terminal:
        for n in range(200):
            go_on.release()
            terminal.type(line[n : n + 1])
        terminal.wait_for("gemini: answer 199")
        terminal.wait_until(lambda: terminal.input_line.replace("\n", "") == line)
        told = [line for n in range(200) for line in (f"you: question {n}", f"gemini: answer {n}")]
        assert terminal.conversation[1:] == told
        terminal.clear_line()
        terminal.type("\x03")
        assert terminal.wait() == 130


def test_what_functions_print_never_lands_in_the_line(functions: str) -> None:
    with at_prompt(*TEXT, functions) as terminal:
        terminal.type('call shout({"n": 15})\rhalf a line')
        terminal.wait_for("gemini: shout returned shouted", "> half a line")
        lines = terminal.conversation
        assert [line for line in lines if line.startswith("| printed")] == [f"| printed {n}" for n in range(15)]
        for way in ("| to stderr", "| WARNING:root:logged", "| by a child"):
            assert lines.count(way) == 1
        assert terminal.input_line == "half a line"


def test_a_flood_of_printed_lines_is_counted_and_holds_up_neither_keys_nor_the_end(functions: str) -> None:
    with at_prompt(*TEXT, functions) as terminal:
        terminal.type('call shout({"n": 200000})\rhalf a line')
        terminal.wait_for("| printed 19", "| ... (", " more lines)", "gemini: shout returned shouted", "> half a line")
        # With what goes to the descriptor, or without, which may come after the result.
        assert any(re.fullmatch(r"\| \.\.\. \(199,98\d more lines\)", line) for line in terminal.conversation)
        terminal.clear_line()
        terminal.type('call shout({"n": 10000000})\rhalf a line')
        terminal.wait_for("gemini: shout returned shouted", "| printed 19", "| ... (", "> half a line")
        terminal.clear_line()
        terminal.type("\x03")
        assert terminal.wait() == 130
        terminal.wait_for("session: ", "1 answer")


def test_what_a_file_of_functions_writes_as_it_is_imported_is_shown_as_all_that_it_prints(tmp_path: Path) -> None:
    path = tmp_path / "writes.py"
    path.write_text(
        "import os, subprocess, sys\n"
        "print('by print')\n"
        "print('to \\x1b[31mstderr', file=sys.stderr)\n"
        "subprocess.run(['echo', 'by a child'], check=True)\n"
        "child = subprocess.Popen(['cat'], stdin=subprocess.PIPE)\n"
        "os.write(2, b'to the descriptor\\n')\n"
        "def tell() -> str:\n    child.stdin.write(b'by a child that lives\\n')\n    child.stdin.close()\n"
        "    return str(child.wait())\n"
    )
    with at_prompt(*TEXT, f"--import-functions={path}") as terminal:
        terminal.type("call tell()\r")
        terminal.wait_for("gemini: tell returned 0")
        terminal.wait_for("| by a child that lives")
        shown = sorted(line for line in terminal.lines if line.startswith("| "))
        assert shown == [
            "| by a child",
            "| by a child that lives",
            "| by print",
            "| to \\x1b[31mstderr",
            "| to the descriptor",
        ]


def test_functions_read_neither_the_keyboard_nor_leave_a_line_unfinished(functions: str) -> None:
    with at_prompt(*TEXT, functions) as terminal:
        terminal.type("call ask()\r")
        terminal.wait_for("[call] ask()", "| no end of line", "[failed] ask: ", "EOFError", "gemini: ask failed")
        terminal.type("still here\r")
        terminal.wait_for("gemini: still here")


def test_a_paste_into_a_loop_that_stands_still_arrives_whole(functions: str) -> None:
    text = "\n".join(f"{n:04} {'x' * 60}" for n in range(60))
    with at_prompt(*TEXT, functions) as terminal:
        terminal.type('call block({"seconds": 3})\r')
        terminal.wait_for("[call] block")
        terminal.paste(text)
        terminal.wait_for("gemini: block returned blocked")
        terminal.wait_until(lambda: "0059" in terminal.input_line)
        terminal.type("\r")
        terminal.wait_for("you: 0000", "0059", "gemini: 0000", "0059")


def test_esc_stops_an_answer_that_is_read_too() -> None:
    go_on = threading.Event()

    def script(peer: Peer) -> None:
        peer.receive_line()
        peer.say("One, two,")
        assert go_on.wait(LIVENESS_S)
        peer.say(" three.")
        peer.end_turn()
        peer.receive_line()
        peer.say("Yes?")
        peer.end_turn()

    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY) as terminal:
        terminal.type("count\r")
        terminal.wait_for("gemini: One, two,")
        terminal.type("half a line\x1b")
        terminal.wait_for("gemini: One, two, [stopped]", "> half a line")
        go_on.set()
        terminal.clear_line()
        terminal.type("well\r")
        terminal.wait_for("you: well", "gemini: Yes?")
        assert "three" not in "\n".join(terminal.lines)


def test_esc_cancels_a_running_function_and_answers_its_call_with_an_error(functions: str) -> None:
    with serving() as server, at_prompt(f"--base-url={server.url}", *QUIET, functions, environ=WITH_KEY) as terminal:
        terminal.type("call wait()\rhalf a line")
        terminal.wait_for("[call] wait()", "> half a line", "calling wait 1 s")
        terminal.type("\x1b")
        terminal.wait_for('[failed] wait: {"error": "cancelled by the user"}', "gemini: wait failed", "> half a line")
        terminal.wait_until(lambda: "calling" not in terminal.bar)
        server.wait_for(lambda record: bool(record.turns and record.turns[0].complete))
        [call] = server.sessions[0].calls.values()
        assert [answer["response"] for answer in call.answers] == [{"error": "cancelled by the user"}]


def test_a_function_runs_only_if_the_user_allows_it(functions: str) -> None:
    arguments = (*QUIET, functions, "--confirm-functions")
    with serving() as server, at_prompt(f"--base-url={server.url}", *arguments, environ=WITH_KEY) as terminal:
        terminal.type('call shout({"n": 1})\r')
        terminal.wait_for("run shout(n=1)? [y/N/always]")
        terminal.type("n\r")
        terminal.wait_for(
            '[failed] shout: {"error": "the user did not allow the call of shout"}', "gemini: shout failed"
        )
        terminal.type('call shout({"n": 2})\r')
        terminal.wait_for("run shout(n=2)? [y/N/always]")
        terminal.type("always\r")
        terminal.wait_for("[result] shout:")
        terminal.type('call shout({"n": 3})\r')
        terminal.wait_for("[call] shout(n=3)")
        server.wait_for(lambda record: len(record.turns) == 3 and record.turns[2].complete)
        answers = [answer["response"] for call in server.sessions[0].calls.values() for answer in call.answers]
        assert ["error" in answer for answer in answers] == [True, False, False]


def test_functions_are_listed_and_called_without_the_model(functions: str) -> None:
    with serving() as server, at_prompt(f"--base-url={server.url}", *QUIET, functions, environ=WITH_KEY) as terminal:
        terminal.type("/tools\r")
        terminal.wait_for("shout BLOCKING", "- n: integer")
        terminal.type('/call shout {"n": 1}\r')
        terminal.wait_for("shout: {")
        terminal.type("/call wait\r")
        terminal.type("\x1b")
        terminal.wait_for("wait: cancelled")
        assert not server.sessions[0].turns


def test_the_bar_shows_how_long_an_answer_is_waited_for() -> None:
    go_on = threading.Event()

    def script(peer: Peer) -> None:
        peer.receive_line()
        assert go_on.wait(LIVENESS_S)
        peer.say("Here.")
        peer.end_turn()

    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY) as terminal:
        assert "| 127.0.0.1 |" in terminal.bar
        terminal.type("hello\r")
        terminal.wait_for("you: hello", "waiting 0 s")
        terminal.wait_for("waiting 2 s")
        go_on.set()
        terminal.wait_for("gemini: Here.")
        terminal.wait_until(lambda: "waiting" not in terminal.bar)


def test_turns_of_a_server_that_hears_without_a_microphone_are_told_apart() -> None:
    def script(peer: Peer) -> None:
        for n in range(3):
            peer.hear(f"question {n}")
            peer.say(f"answer {n}", sounds=False)
            peer.end_turn()
            time.sleep(1.2)  # longer than words may trail

    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY) as terminal:
        terminal.wait_for("gemini: answer 2")
        told = [line for n in range(3) for line in (f"you: question {n}", f"gemini: answer {n}")]
        assert terminal.conversation[1:] == told


def test_a_line_that_was_typed_without_a_connection_is_shown_until_it_is_sent() -> None:
    with (
        serving("slow-setup:2") as server,
        PseudoTerminal(f"--base-url={server.url}", *QUIET, environ=WITH_KEY) as terminal,
    ):
        terminal.wait_for("connecting")
        terminal.type("early bird\r")
        terminal.wait_for("you: early bird [not sent yet]")
        terminal.wait_for("gemini: early bird")
        assert terminal.conversation[1:] == ["you: early bird", "gemini: early bird"]


@pytest.mark.parametrize("keys", ["\x03", "/quit\r"])
def test_lines_that_were_never_sent_are_shown_at_the_end(keys: str) -> None:
    with (
        serving("no-setup-complete") as server,
        PseudoTerminal(f"--base-url={server.url}", *QUIET, environ=WITH_KEY) as terminal,
    ):
        terminal.wait_for("connecting")
        terminal.type("question one\rquestion two\rhalf")
        terminal.wait_for("question two [not sent yet]", "> half")
        terminal.clear_line()
        terminal.type(keys)
        assert terminal.wait() == (0 if "quit" in keys else 130)
        assert terminal.lines[-2:] == ["[not sent] question one", "[not sent] question two"]


def test_a_line_that_was_not_sent_at_the_end_is_not_lost() -> None:
    with (
        serving() as server,
        at_prompt(f"--base-url={server.url}", *QUIET, "--timeout=3", environ=WITH_KEY) as terminal,
    ):
        terminal.type("not yet fini")
        assert terminal.wait() == 124
        assert "[not sent] not yet fini" in terminal.lines
    with at_prompt() as terminal:
        terminal.type("\x1b[A")
        terminal.wait_for("> not yet fini")


# Editing


def test_paste_of_ten_kilobytes_is_one_line_however_many_it_has() -> None:
    text = "\n".join(f"{n:04} {'wörter ' * 11}" for n in range(110))
    assert len(text.encode()) > 10_000
    with (
        serving() as server,
        at_prompt(f"--base-url={server.url}", *QUIET, f"--model={TEXT_MODEL}", environ=WITH_KEY) as terminal,
    ):
        terminal.paste(text)
        terminal.wait_for(text.splitlines()[-1].strip())
        assert len([row for row in terminal.screen if row]) <= 40
        terminal.type("\r")
        server.wait_for(lambda record: bool(record.turns and record.turns[0].complete))
        assert server.sessions[0].turns[0].asked == text
        terminal.wait_for("gemini: 0000", "0109")


def test_wide_and_combining_characters_keep_the_cursor_where_it_belongs() -> None:
    text = "日本語 e\u0301 🎈 한국어"
    with at_prompt() as terminal:
        terminal.type(text)
        terminal.wait_for("한국어")
        shown = unicodedata.normalize("NFC", terminal.input_line)
        assert shown == unicodedata.normalize("NFC", text)
        terminal.type("\x01X")
        terminal.wait_for("> X日本語")
        terminal.type("\r")
        terminal.wait_for("gemini: X日本語")


def test_alt_enter_begins_another_line_and_enter_sends_both() -> None:
    with serving() as server, at_prompt(f"--base-url={server.url}", *QUIET, environ=WITH_KEY) as terminal:
        terminal.type("one\x1b\rtwo")
        terminal.wait_for("> one", "  two")
        terminal.type("\r")
        server.wait_for(lambda record: bool(record.turns))
        assert server.sessions[0].turns[0].asked == "one\ntwo"


def test_ctrl_c_clears_a_line_and_leaves_on_an_empty_one() -> None:
    with PseudoTerminal(*TEXT) as terminal:
        before = terminal.settings
        terminal.wait_for_prompt()
        terminal.type("half a line")
        terminal.wait_for("> half a line")
        terminal.type("\x03")
        terminal.wait_until(lambda: terminal.input_line.startswith("type"))
        assert terminal.process.poll() is None
        terminal.type("\x03")
        ends_with(terminal, 130, before)


def test_ctrl_d_in_a_line_deletes_and_on_an_empty_one_ends_every_input() -> None:
    with at_prompt() as terminal:
        terminal.type("abc\x01\x04")
        terminal.wait_for("> bc")
        terminal.type("\x0b\x04")
        assert terminal.wait() == 0


def test_history_is_kept_for_the_next_session_for_its_owners_eyes_only(state: Path) -> None:
    for _ in range(2):
        with at_prompt() as terminal:
            terminal.type("first\rsecond\r")
            terminal.wait_for("gemini: second")
            terminal.type("\x1b[A\x1b[A")
            terminal.wait_for("> first")
            terminal.clear_line()
            terminal.type("\x04")
            assert terminal.wait() == 0
    assert stat.S_IMODE((state / "history").stat().st_mode) == 0o600
    with at_prompt() as terminal:
        terminal.type("\x12fir")
        terminal.wait_for("> first")


def test_without_history_nothing_is_kept(state: Path) -> None:
    with at_prompt(*TEXT, "--no-history") as terminal:
        terminal.type("secret\r")
        terminal.wait_for("gemini: secret")
        terminal.type("\x04")
        assert terminal.wait() == 0
    assert not state.exists()


def test_a_line_that_was_searched_for_is_taken_and_can_be_left() -> None:
    with at_prompt() as terminal:
        terminal.type("alpha one\rbeta two\r")
        terminal.wait_for("gemini: beta two")
        terminal.type("\x12alp")
        terminal.wait_for("> alpha one", "I-search backward: alp")
        terminal.type("\r")
        terminal.wait_until(lambda: "I-search" not in "\n".join(terminal.screen))
        assert terminal.input_line == "alpha one"
        terminal.type("\x05!\r")
        terminal.wait_for("gemini: alpha one!")
        terminal.type("\x12bet")
        terminal.wait_for("I-search backward: bet")
        terminal.type("\x03")
        terminal.wait_until(lambda: "I-search" not in "\n".join(terminal.screen))
        assert terminal.process.poll() is None
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_a_state_directory_that_cannot_be_written_costs_the_history_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with at_prompt(environ={"XDG_STATE_HOME": str(tmp_path / "file")}) as terminal:
        terminal.type("hello\r")
        terminal.wait_for("warning: what you type is not kept for the next session", "gemini: hello")
        terminal.type("\x1b[A")
        terminal.wait_for("> hello")
        terminal.clear_line()
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_what_looks_like_a_mouse_is_no_harm() -> None:
    with at_prompt() as terminal:
        terminal.type("\x1b[31Mab\x1b[<31Mc\x1b[31m")
        terminal.wait_until(lambda: terminal.input_line.replace(" ", "").startswith("ab"))
        terminal.clear_line()
        terminal.type("\x04")
        assert terminal.wait() == 0


# The window


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10), (200, 60)])
def test_the_prompt_fits_the_window(columns: int, rows: int) -> None:
    with at_prompt(columns=columns, rows=rows) as terminal:
        terminal.type("count to 300\r")
        terminal.wait_for("300.")
        terminal.type("x" * 50)
        terminal.wait_until(lambda: terminal.input_line.replace("\n", "") == "x" * 50)
        assert terminal.bar.startswith("live 0:")
        assert len(terminal.bar) <= columns
        assert terminal.screen.count(terminal.bar) == 1
        terminal.clear_line()
        terminal.type("\x1bOP")
        terminal.wait_for("Ctrl-T")
        terminal.type("\x1b")
        terminal.wait_until(lambda: not any("Ctrl-T" in row for row in terminal.screen))


def bar_fits(terminal: PseudoTerminal, columns: int) -> bool:
    return terminal.bar.startswith("live 0:") and len(terminal.bar) <= columns


def test_the_window_may_change_its_size_under_a_line() -> None:
    line = "a line that is longer than forty columns are wide"
    with at_prompt(columns=100, rows=30) as terminal:
        terminal.type(line)
        terminal.wait_for(f"> {line}")
        for columns, rows in ((40, 10), (200, 60), (60, 20)):
            terminal.resize(columns, rows)
            terminal.signal_group(signal.SIGWINCH)
            terminal.wait_until(lambda: terminal.input_line.replace("\n", "") == line)
            terminal.wait_until(functools.partial(bar_fits, terminal, columns))
        terminal.type("!\r")
        terminal.wait_for("gemini: a line that")


def test_the_help_is_printed_where_it_would_fill_the_window() -> None:
    with at_prompt(columns=60, rows=12) as terminal:
        terminal.type("half\x1bOP")
        terminal.wait_for("Enter", "/quit", "> half")
        assert terminal.bar.startswith("live 0:")


def test_a_dumb_terminal_gets_lines_and_nothing_else() -> None:
    with PseudoTerminal("--simulate=--pace 0", *QUIET, environ={"TERM": "dumb"}) as terminal:
        before = terminal.settings
        terminal.wait_for("tools: none")
        terminal.type("hello\n")
        terminal.wait_for("gemini: hello")
        terminal.type("/stats\n")
        terminal.wait_for("session: 0:")
        terminal.type("/quit\n")
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.written.data
        assert terminal.settings == before


def test_colours_are_the_sixteen_of_the_terminal_itself() -> None:
    with at_prompt(environ={"TERM": "xterm"}) as terminal:
        terminal.type("hello\r")
        terminal.wait_for("gemini: hello")
        codes = set(re.findall(rb"\x1b\[([\d;]+)m", terminal.written.data))
        assert any(re.search(rb"(^|;)3[0-7]($|;)", code) for code in codes)
        assert not any(re.search(rb"[34]8;", code) for code in codes)


@pytest.mark.parametrize(("arguments", "environ"), [(("--color=never",), {}), ((), {"NO_COLOR": "1"})])
def test_without_colour_there_is_none(arguments: tuple[str, ...], environ: dict[str, str]) -> None:
    with at_prompt(*TEXT, *arguments, environ=environ) as terminal:
        terminal.type("hello\r")
        terminal.wait_for("gemini: hello")
        codes = set(re.findall(rb"\x1b\[([\d;]*)m", terminal.written.data))
        assert not any(re.search(rb"(^|;)([349]\d|10\d)($|;)", code) for code in codes)


def test_stderr_in_a_file_gets_what_is_not_said(tmp_path: Path) -> None:
    with at_prompt(*TEXT, "-v", redirect=f"2>{tmp_path / 'err'}") as terminal:
        terminal.type("hello\r")
        terminal.wait_for("gemini: hello", "latency")
        terminal.type("/stats\r")
        terminal.wait_for("session: 0:")
        terminal.type("\x04")
        assert terminal.wait() == 0
        assert [line for line in terminal.lines if not line.startswith(("session", "tokens"))] == [
            "you: hello",
            "gemini: hello",
            "> /stats",
        ]
    err = (tmp_path / "err").read_text()
    assert "tools: none\n" in err
    assert '"setupComplete"' in err
    assert "\x1b" not in err
    assert err.count("session: 0:") == 1


# Endings


@pytest.mark.parametrize(("keys", "code"), [("\x04", 0), ("\x03", 130), ("/quit\r", 0), ("call block()\r", 130)])
def test_every_way_to_leave_gives_the_terminal_back(keys: str, code: int, functions: str) -> None:
    with PseudoTerminal(*TEXT, functions) as terminal:
        before = terminal.settings
        terminal.wait_for_prompt()
        terminal.type(keys)
        if "block" in keys:
            terminal.wait_for("[call] block")
            terminal.type("\x03")
        ends_with(terminal, code, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("blocks", [False, True])
def test_a_signal_gives_the_terminal_back(number: int, code: int, blocks: bool, functions: str) -> None:
    with PseudoTerminal(*TEXT, functions) as terminal:
        before = terminal.settings
        terminal.wait_for_prompt()
        if blocks:
            terminal.type("call block()\r")
            terminal.wait_for("[call] block")
        os.kill(terminal.process.pid, number)
        ends_with(terminal, code, before)


def test_ctrl_c_ends_a_blocked_session_though_a_line_is_half_typed(functions: str) -> None:
    with PseudoTerminal(*TEXT, functions) as terminal:
        before = terminal.settings
        terminal.wait_for_prompt()
        terminal.type("call block()\rhalf a line")
        terminal.wait_for("[call] block")
        terminal.type("\x03")
        ends_with(terminal, 130, before)


def test_a_session_goes_on_after_ctrl_c_has_cleared_a_line() -> None:
    with at_prompt() as terminal:
        for text in ("half a line", "another"):
            terminal.type(text)
            terminal.wait_for(f"> {text}")
            terminal.clear_line()
        terminal.wait_for("live 0:04")  # longer than a session may take to end
        terminal.type("hello\r")
        terminal.wait_for("gemini: hello")


def test_a_second_signal_leaves_at_once_and_gives_the_terminal_back(functions: str) -> None:
    with PseudoTerminal(*TEXT, functions) as terminal:
        before = terminal.settings
        terminal.wait_for_prompt()
        terminal.type("call block()\r")
        terminal.wait_for("[call] block")
        for _ in range(2):
            os.kill(terminal.process.pid, signal.SIGINT)
        ends_with(terminal, 130, before)


@pytest.mark.parametrize(("option", "code"), [("--timeout=2", 124), ("--turns=1", 0)])
def test_an_option_that_ends_the_session_gives_the_terminal_back(option: str, code: int) -> None:
    with PseudoTerminal(*TEXT, option, "--initial-message=hello") as terminal:
        before = terminal.settings
        terminal.wait_for("gemini: hello")
        ends_with(terminal, code, before)


@pytest.mark.parametrize(("fault", "code"), [("close:1007", 4), ("error:400", 4), ("close:1000@turn1", 4)])
def test_a_failure_gives_the_terminal_back(fault: str, code: int) -> None:
    with serving(fault) as server, PseudoTerminal(f"--base-url={server.url}", *QUIET, environ=WITH_KEY) as terminal:
        before = terminal.settings
        terminal.wait_for_prompt()
        terminal.type("hello\r")
        ends_with(terminal, code, before)
        assert any("gemini-live: error:" in line for line in terminal.lines)


def test_suspended_and_brought_back_the_line_is_still_there() -> None:
    shell = ("/bin/bash", "--norc", "--noprofile", "-i")
    with PseudoTerminal(program=shell, environ={"PS1": "shell$ "}) as terminal:
        terminal.wait_for("shell$")
        before = terminal.settings
        terminal.type(" ".join(COMMAND) + " '--simulate=--pace 0' --text-output --no-audio-input\r")
        terminal.wait_for_prompt()
        terminal.type("half")
        terminal.wait_for("> half")
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.wait_until(lambda: terminal.settings == before)
        terminal.type("fg\r")
        terminal.wait_for("fg", "> half")
        terminal.type(" a line\r")
        terminal.wait_for("gemini: half a line")
        terminal.type("\x04")
        terminal.wait_for("session: 0:", "shell$")
        terminal.type("exit\r")
        assert terminal.wait() == 0


def test_a_suspended_command_can_be_killed() -> None:
    shell = ("/bin/bash", "--norc", "--noprofile", "-i")
    with PseudoTerminal(program=shell, environ={"PS1": "shell$ "}) as terminal:
        terminal.wait_for("shell$")
        terminal.type(" ".join(COMMAND) + " '--simulate=--pace 0' --text-output --no-audio-input\r")
        terminal.wait_for_prompt()
        terminal.type("\x1a")
        terminal.wait_for("Stopped", "shell$")
        terminal.type("kill %1\r")
        terminal.wait_for("session: 0:")
        while "Exit 143" not in "\n".join(terminal.lines):  # which the shell tells of before a prompt
            n_prompts = terminal.written.text.count("shell$")  # also those that the command has written over
            terminal.type("\r")
            terminal.wait_until(lambda n=n_prompts: terminal.written.text.count("shell$") > n)  # type: ignore[misc]
        terminal.type("exit\r")
        assert terminal.wait() == 0


# The connection


def simulator_process(port: int) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "gemini_live.simulator", f"--port={port}", "--pace=1"]
    process = subprocess.Popen(argv, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"serving")
    return process


def test_the_prompt_survives_a_server_that_is_killed_in_mid_turn() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = simulator_process(port)
    with at_prompt(f"--base-url=http://127.0.0.1:{port}", *QUIET, environ=WITH_KEY) as terminal:
        terminal.type("count to 9\r")
        terminal.wait_for("gemini: 1, 2")
        terminal.type("half a line")
        terminal.wait_for("> half a line")
        server.kill()
        server.communicate()
        terminal.wait_for("connection lost", "> half a line", "resuming")
        server = simulator_process(port)
        terminal.wait_for("gemini: 1, 2, 3, 4, 5, 6, 7, 8, 9.", "> half a line", "live 0:")
        terminal.clear_line()
        terminal.type("\x04")
        assert terminal.wait() == 0
        assert any(line.endswith("[cut off]") for line in terminal.lines)
        assert "1 reconnect" in "\n".join(terminal.lines)
    server.kill()
    server.communicate()


# Commands


def test_commands_are_done_and_never_sent(tmp_path: Path) -> None:
    saved = tmp_path / "talk.txt"
    with serving() as server, at_prompt(f"--base-url={server.url}", *QUIET, environ=WITH_KEY, rows=60) as terminal:
        terminal.type("hello\r")
        terminal.wait_for("gemini: hello")
        for command, reply in {
            "/help": "suspend; fg resumes",
            "/mute": "there is no microphone",
            "/stats": "session: 0:",
            f"/save {saved}": f"saved: {saved}",
            "/sav": "did you mean /save?",
            "/nothing": "there is no command /nothing",
            "/screen": "/screen on|off: start",
            "/stats now": "/stats takes no argument",
            "/image /nowhere.png": "/nowhere.png cannot be read",
        }.items():
            terminal.type(f"{command}\r")
            terminal.wait_for(f"> {command}", reply)
        terminal.type("//etc/passwd\r")
        terminal.wait_for("you: /etc/passwd", "gemini: /etc/passwd")
        terminal.type(f"/save {saved}\r/save {Path(__file__)}\r")
        terminal.wait_for("exists already")
        terminal.type("/quit\r")
        assert terminal.wait() == 0
        assert [turn.asked for turn in server.sessions[0].turns] == ["hello", "/etc/passwd"]
    # A slow machine is what asyncio remarks on here.
    lines = [line for line in saved.read_text().splitlines() if not line.startswith("| Executing ")]
    assert lines == ["you: hello", "gemini: hello", "you: /etc/passwd", "gemini: /etc/passwd"]


def test_a_command_stands_below_the_answer_that_was_whole_when_it_was_given() -> None:
    def script(peer: Peer) -> None:
        peer.receive_line()
        peer.say("Hello.")
        peer.end_turn()
        peer.receive_line()

    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY) as terminal:
        terminal.type("hello\r")
        terminal.wait_for("gemini: Hello.")  # it grows: its last words are waited for
        terminal.type("/stats\r")
        terminal.wait_for("> /stats", "session: ")
        assert [line.partition(":")[0] for line in terminal.conversation[1:4]] == ["you", "gemini", "> /stats"]


def test_replies_to_commands_never_split_an_answer() -> None:
    go_on = threading.Semaphore(0)
    commands = ["/stats", "/mute", "/stats now", "/nope"]

    def script(peer: Peer) -> None:
        peer.receive_line()
        for n in range(len(commands)):
            peer.say(f" word{n}")
            assert go_on.acquire(timeout=LIVENESS_S)
        peer.say(" end.")
        peer.end_turn()
        peer.receive_line()

    with scripted(script) as url, at_prompt(f"--base-url={url}", *QUIET, environ=WITH_KEY) as terminal:
        terminal.type("go\r")
        for n, command in enumerate(commands):
            terminal.wait_for("gemini:", f"word{n}")
            terminal.type(f"{command}\r")
            terminal.wait_for(f"> {command}", "gemini: word0")
            go_on.release()
        terminal.wait_for("gemini: word0 word1 word2 word3 end.")
        assert sum(line.startswith("gemini: ") for line in terminal.conversation) == 1


def test_quitting_does_not_wait_for_an_answer() -> None:
    with at_prompt("--simulate=--pace 1", *QUIET) as terminal:
        terminal.type("count to 99\r")
        terminal.wait_for("gemini: 1, 2")
        terminal.type("/quit\r")
        assert terminal.wait() == 0
        [answer] = [line for line in terminal.lines if line.startswith("gemini: ")]
        assert answer.endswith(" [unfinished]")


def test_quitting_while_the_connection_is_lost_does_not_wait_for_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = simulator_process(port)
    with at_prompt(f"--base-url=http://127.0.0.1:{port}", *QUIET, environ=WITH_KEY) as terminal:
        server.kill()
        server.communicate()
        terminal.wait_for("resuming 3 s")  # between two tries
        terminal.type("/quit\r")
        assert terminal.wait() == 0
        assert "resuming 20 s" not in terminal.written.text


def test_a_picture_is_shown_to_the_model_and_the_screen_too(tmp_path: Path, virtual_screen: object) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "a picture.png"
    image.new("RGBA", (3000, 1000), (200, 10, 10, 128)).save(path)
    with serving() as server, at_prompt(f"--base-url={server.url}", *QUIET, environ=WITH_KEY, columns=200) as terminal:
        terminal.type(f"/image {path}\rwhat do you see?\r")
        terminal.wait_for(f"shown to the model: {path}", "gemini: ", "1024 by 341")

        terminal.type("/screen on\r")
        terminal.wait_for("shown to the model: screen 1 at 1 fps")
        server.wait_for(lambda record: len(record.frames) >= 3)
        terminal.type("/screen off\r")
        terminal.wait_for("screen sharing is off")
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_commands_are_completed() -> None:
    with at_prompt() as terminal:
        terminal.type("/sc")
        terminal.wait_for("> /sc", "/screen on|off")
        terminal.type("\t o")
        terminal.wait_for("> /screen o", "off")
        terminal.clear_line()
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_from_a_pipe_no_line_is_a_command() -> None:
    done = subprocess.run(
        [*COMMAND, *TEXT],
        input=b"/quit\n/help\n",
        capture_output=True,
        env=clean_environ(),
        timeout=LIVENESS_S,
        check=True,
    )
    assert done.stdout == b"/quit\n/help\n"
    assert b"\x1b" not in done.stdout + done.stderr
