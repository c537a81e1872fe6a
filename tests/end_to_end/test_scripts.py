"""The real command in a process of its own, over a real WebSocket: pipes, exit codes, signals, and a real terminal.

Every run is in Python's development mode, and a complaint of Python's or asyncio's on stderr fails the test.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gemini_live.simulator import SessionRecord
from tests.command import LIVENESS_S, ROOT, SIMULATED, TEXT_MODEL, Command, Timed, clean_environ, run, serving
from tests.test_layers import SLOW_TO_LOAD

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals, closed descriptors and terminals are POSIX's")

KEY = "a-key-of-no-one-at-all"
WITH_KEY = {"GEMINI_API_KEY": KEY}
ASK = ("--no-stdin", "--initial-message=Good morning.")
MORE_THAN_A_PIPE_HOLDS = [f"{n} {'x' * 9_999}\n" for n in range(20)]
MORE_THAN_A_PIPE_HOLDS = [f"{n} {'x' * 9_999}\n" for n in range(20)]
CLOSED = "stdout is closed: redirect it, e.g. to /dev/null, if you do not want the output"
LEAVES_WITHIN_S = 3.0 + 2.0
"""After a signal; with what a busy machine takes to end a process."""

FUNCTIONS = '''
import asyncio
import os
import subprocess
import threading
import time

def sleep() -> str:
    """Sleep."""
    time.sleep(60)
    return "slept"

async def block() -> str:
    """Block the event loop."""
    time.sleep(60)
    return "blocked"

async def ignore() -> str:
    """Ignore that it is cancelled."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

def start_thread() -> str:
    """Start a thread that does not end."""
    threading.Thread(target=time.sleep, args=(60,)).start()
    return "started"

def chatter() -> str:
    """Print without end."""
    while True:
        print("chatter")
        time.sleep(0.001)

def flood() -> str:
    """Print without end and without a pause."""
    while True:
        print("flood")

def shout() -> str:
    """Write to stdout by every way there is."""
    print("printed")
    os.write(1, b"written\\n")
    subprocess.run(["echo", "by a child"], check=True)
    return "shouted"
'''


@pytest.fixture
def functions(tmp_path: Path) -> str:
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS)
    return f"--import-functions={path}"


# The three uses.


@posix
def test_use_in_a_script_with_grep() -> None:
    command = [sys.executable, "-m", "gemini_live", "--simulate", "--text-output", "--initial-message", "Hello"]
    done = subprocess.run(
        f"{shlex.join(command)} | grep -i hello",
        shell=True,
        env=clean_environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIVENESS_S,
        check=True,
    )
    assert done.stdout == "Hello\n"


def test_use_to_test_tools() -> None:
    options = ("--simulate=--pace 0", f"--model={TEXT_MODEL}", "--text-output")
    result = run(
        *options,
        "--import-functions",
        str(ROOT / "function_examples.py"),
        stdin='call divide({"dividend": 1, "divisor": 8})\n',
    )
    assert (result.code, result.out) == (0, "divide returned 0.125\n")
    assert '[call] divide(dividend=1, divisor=8)\n[result] divide: {"output": 0.125}\n' in result.err


# Pipes.


def test_a_pipe_gets_each_answer_when_it_is_complete() -> None:
    with serving(key=KEY) as server:
        options = (f"--base-url={server.url}", f"--model={TEXT_MODEL}", "--text-output")
        with Command(*options, environ=WITH_KEY) as command:
            for line in ("one", "two", "three"):
                command.send(f"{line}\n")
                command.out.wait_for(f"{line}\n")
            result = command.finish()
    assert (result.code, result.out) == (0, "one\ntwo\nthree\n")
    assert server.sessions[0].close_code == 1000
    assert server.sessions[0].mistakes == []


def test_two_hundred_lines_are_answered_in_order() -> None:
    lines = [f"line {n}" for n in range(200)]
    result = run(*SIMULATED, stdin="\r\n".join(lines) + "\r\n\r\n \n")
    assert (result.code, result.out.splitlines()) == (0, lines)


def test_a_line_of_a_megabyte_is_answered() -> None:
    line = "x" * 2**20
    result = run(*SIMULATED, "-q", stdin=f"{line}\n")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"{line}\n"


@posix
def test_a_reader_that_leaves_ends_it_quietly() -> None:
    with Command(*SIMULATED, "-q", redirect='; echo "exit code $?" >&2; } | head -n 1') as command:
        command.send("first\n")
        command.out.wait_for("first\n")
        # Only the next answer finds out that nobody reads any more.
        command.send("second\nthird\n")
        assert command.wait() == (0, "first\n", "exit code 141\n")


def all_answered(record: SessionRecord) -> bool:
    return sum(turn.complete for turn in record.turns) == len(MORE_THAN_A_PIPE_HOLDS)


@posix
def test_a_slow_reader_gets_everything() -> None:
    receiver, sender = os.pipe()
    options = (*SIMULATED[1:], "-q")
    with serving() as server, Command(f"--base-url={server.url}", *options, environ=WITH_KEY, stdout=sender) as command:
        os.close(sender)
        command.send("".join(MORE_THAN_A_PIPE_HOLDS))
        command.close_stdin()
        server.wait_for(lambda record: all_answered(record) and not record.open)
        with open(receiver, encoding="utf-8") as reader:
            assert reader.readlines() == MORE_THAN_A_PIPE_HOLDS
        assert command.wait()[::2] == (0, "")


@posix
def test_ctrl_c_while_nobody_reads_leaves() -> None:
    receiver, sender = os.pipe()
    options = (*SIMULATED[1:], "-q")
    with serving() as server, Command(f"--base-url={server.url}", *options, environ=WITH_KEY, stdout=sender) as command:
        os.close(sender)
        command.send("".join(MORE_THAN_A_PIPE_HOLDS))
        command.close_stdin()
        server.wait_for(lambda record: all_answered(record) and not record.open)
        assert_leaves(command)
        os.close(receiver)


@posix
@pytest.mark.parametrize(
    ("redirect", "code", "out", "err"),
    [
        ("</dev/null", 0, "Good morning.\n", ""),
        ("<&-", 0, "Good morning.\n", ""),
        (">&-", 2, "", f"gemini-live: error: {CLOSED}\n"),
        ("2>&-", 0, "Good morning.\n", ""),
        ("2>/dev/full", 0, "Good morning.\n", ""),
        ("<&- >&- 2>&-", 2, "", ""),
        (">/dev/full", 2, "", "gemini-live: error: stdout cannot be written to: No space left on device\n"),
    ],
)
def test_streams_that_are_closed_full_or_no_files(redirect: str, code: int, out: str, err: str) -> None:
    with Command(*SIMULATED, "-q", "--initial-message=Good morning.", redirect=redirect) as command:
        command.close_stdin()
        assert command.wait() == (code, out, err)


@posix
@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["inspect", "--help"]])
def test_help_that_cannot_be_written_is_an_error(argv: list[str]) -> None:
    with Command(*argv, redirect=">/dev/full") as command:
        error = "gemini-live: error: stdout cannot be written to: No space left on device\n"
        assert command.wait() == (2, "", error)


def test_text_where_sound_was_asked_for_is_refused() -> None:
    error = "gemini-live: error: --input-file -: stdin is text, not sound: leave out --input-file - to ask lines\n"
    assert run(*SIMULATED, "-q", "--input-file=-", stdin="What is a monad?\n") == (2, "", error)


def test_no_stdin_does_not_wait_for_its_end() -> None:
    with Command(*SIMULATED, *ASK) as command:
        assert command.wait()[:2] == (0, "Good morning.\n")


@posix
@pytest.mark.parametrize(
    ("environ", "out"),
    [
        ({"LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "你好\n"),
        ({"PYTHONIOENCODING": "ascii"}, "\\u4f60\\u597d\n"),
    ],
)
def test_a_pipe_gets_utf_8_unless_another_encoding_was_asked_for(environ: dict[str, str], out: str) -> None:
    assert run(*SIMULATED, "-q", stdin="你好\n", environ=environ) == (0, out, "")


@posix
def test_whatever_a_function_does_with_stdout_the_answer_is_alone_on_it(functions: str) -> None:
    result = run(*SIMULATED, functions, stdin="call shout\n")
    assert (result.code, result.out) == (0, "shout returned shouted\n")
    for line in ("printed\n", "written\n", "by a child\n"):
        assert line in result.err


@posix
def test_a_function_that_prints_on_and_on_is_not_heard_after_the_end(functions: str) -> None:
    result = run(*SIMULATED, functions, "--function-timeout=0.3", stdin="call chatter\n")
    assert result.code == 0
    assert result.out == "chatter failed: TimeoutError: chatter did not finish within 0.3 s\n"
    assert "chatter is still running" in result.err


@posix
def test_a_thread_of_a_function_does_not_keep_the_process(functions: str) -> None:
    with Timed() as timed:
        result = run(*SIMULATED, functions, stdin="call start_thread\n")
    assert (result.code, result.out) == (0, "start_thread returned started\n")
    assert timed.took_s < 30


def test_a_coroutine_that_ignores_its_end_does_not_keep_the_process(functions: str) -> None:
    with Timed() as timed:
        result = run(*SIMULATED, functions, "--function-timeout=0.2", "--output-format=jsonl", stdin="call ignore\n")
    assert result.code == 0
    assert json.loads(result.out.splitlines()[-1])["exit_code"] == 0
    assert timed.took_s < 30


# Signals, in every state.


@contextlib.contextmanager
def silent_server() -> Iterator[tuple[str, Callable[[], None]]]:
    """A server that accepts and says nothing: its address, and a function that waits for a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as connections:
        listener.settimeout(LIVENESS_S)

        def accept() -> None:
            connection = connections.enter_context(listener.accept()[0])
            assert connection.recv(16)

        yield f"http://127.0.0.1:{listener.getsockname()[1]}", accept


def assert_leaves(command: Command, code: int = 130, number: int = signal.SIGINT) -> str:
    """Send a signal, and expect a quick and quiet end; return stdout."""
    with Timed() as timed:
        command.process.send_signal(number)
        result = command.wait()
    assert result.code == code
    assert timed.took_s < LEAVES_WITHIN_S
    return result.out


SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@posix
@SIGNALS
def test_a_signal_before_the_connection(number: int, code: int, tmp_path: Path) -> None:
    file = tmp_path / "slow.py"
    file.write_text('import time\nprint("importing")\ntime.sleep(60)\n')
    with Command(*SIMULATED, *ASK, f"--import-functions={file}") as command:
        command.err.wait_for("importing")
        assert_leaves(command, code, number)


@posix
def test_ctrl_c_while_the_name_is_resolved(tmp_path: Path) -> None:
    file = tmp_path / "hanging_dns.py"
    file.write_text(
        "import socket, sys, time\n"
        "def _resolve(*args, **kwargs):\n"
        '    print("resolving", file=sys.stderr, flush=True)\n'
        "    time.sleep(60)\n"
        "socket.getaddrinfo = _resolve\n"
        "def unused() -> None: ...\n"
    )
    options = ("--base-url=https://example.invalid", f"--import-functions={file}", "--text-output")
    with Command(*options, *ASK, environ=WITH_KEY) as command:
        command.err.wait_for("resolving")
        assert_leaves(command)


@posix
def test_ctrl_c_while_a_server_says_nothing() -> None:
    with silent_server() as (url, accept), Command(f"--base-url={url}", "--text-output", *ASK, environ=WITH_KEY) as it:
        accept()
        assert_leaves(it)


@posix
@pytest.mark.parametrize(
    ("state", "pace", "fault", "line"),
    [
        ("in the setup", 0, "--fault no-setup-complete", '> {"setup"'),
        ("in a turn", 1, "", '< {"serverContent":{"modelTurn"'),
        ("waiting for an answer", 0, "--fault no-answer", '> {"realtimeInput"'),
        ("waiting to connect again", 0, "--fault close:1011", "connecting again"),
    ],
)
def test_ctrl_c_in_a_session(state: str, pace: int, fault: str, line: str) -> None:
    message = "--initial-message=count to 30"
    with Command(f"--simulate=--pace {pace} {fault}", "--text-output", "-v", "--no-stdin", message) as command:
        command.err.wait_for(line)
        assert_leaves(command)


@posix
@SIGNALS
def test_a_signal_while_it_waits_for_a_line(number: int, code: int) -> None:
    with Command(*SIMULATED, "--output-format=jsonl") as command:
        command.send("hello\n")
        command.out.wait_for('"answered"')
        out = assert_leaves(command, code, number)
    assert json.loads(out.splitlines()[-1])["exit_code"] == code


@posix
@pytest.mark.skipif("sys.platform == 'win32'", reason="signals are POSIX's")
def test_a_signal_that_the_parent_ignores_stays_ignored() -> None:
    script = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    argv = [sys.executable, "-c", script, sys.executable, "-m", "gemini_live", *SIMULATED, "--output-format=jsonl"]
    process = subprocess.Popen(argv, env=clean_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"one\n")
    process.stdin.flush()
    while b"answered" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert b'"two"' in process.communicate(b"two\n", LIVENESS_S)[0]
    assert process.returncode == 0


@pytest.mark.skipif("sys.platform == 'win32'", reason="signals are POSIX's")
def test_two_signals_at_once_lose_no_last_line() -> None:
    with Command(*SIMULATED, "--output-format=jsonl") as command:
        command.send("hello\n")
        command.out.wait_for("answered")
        command.process.send_signal(signal.SIGTERM)
        command.process.send_signal(signal.SIGTERM)
        result = command.wait()
    assert json.loads(result.out.splitlines()[-1]) == {**json.loads(result.out.splitlines()[-1]), "exit_code": 143}
    assert result.code == 143


@pytest.mark.parametrize(
    ("function", "number", "code"), [("sleep", signal.SIGINT, 130), ("block", signal.SIGTERM, 143)]
)
def test_a_signal_while_a_function_sleeps(function: str, number: int, code: int, functions: str) -> None:
    with Command(*SIMULATED, functions, "--output-format=jsonl") as command:
        command.send(f"call {function}\n")
        command.out.wait_for("tool_call")
        out = assert_leaves(command, code, number)
    assert json.loads(out.splitlines()[-1])["exit_code"] == code


@posix
def test_ctrl_c_in_the_shutdown(functions: str) -> None:
    with Command(*SIMULATED, functions, "--function-timeout=0.2") as command:
        command.send("call ignore\n")
        command.close_stdin()
        command.out.wait_for("ignore failed")
        assert_leaves(command)


@posix
def test_the_second_ctrl_c_leaves_at_once(functions: str) -> None:
    with Command(*SIMULATED, functions) as command:
        command.send("call block\n")
        command.err.wait_for("[call]")
        command.interrupt()
        assert_leaves(command)


@posix
@pytest.mark.long
def test_ctrl_c_at_any_moment_of_the_start() -> None:
    for step in range(40):
        with Command(*SIMULATED, *ASK) as command:
            with contextlib.suppress(subprocess.TimeoutExpired):
                command.process.wait(0.02 * step)
            command.interrupt()
            result = command.wait(complaints=True)
            # Before it comes to our first line, Python itself is interrupted, and says where.
            if "KeyboardInterrupt" in result.err:
                assert not re.search(r"gemini_live.(?!__main__)", result.err), (step, result.err)
            else:
                assert result.code in {0, 130, -signal.SIGINT}, (step, result)


# --timeout, where the main thread hangs.


def test_the_timeout_holds_while_a_function_blocks_the_loop(functions: str) -> None:
    with Timed() as timed:
        result = run(*SIMULATED, functions, "--timeout=2", "--output-format=jsonl", stdin="call block\n")
    assert result.code == 124
    assert timed.took_s < 2 + LEAVES_WITHIN_S
    assert result.err == "gemini-live: error: timed out after 2 s (--timeout)\n"
    assert json.loads(result.out.splitlines()[-1])["exit_code"] == 124


@pytest.mark.parametrize("events", [False, True])
@pytest.mark.parametrize("ending", ["timeout", "signal"])
def test_a_function_that_prints_without_a_pause_keeps_nobody_from_ending(
    functions: str, *, events: bool, ending: str
) -> None:
    options = [*SIMULATED, functions, *(["--output-format=jsonl"] if events else [])]
    options += ["--timeout=2"] if ending == "timeout" else []
    with Timed() as timed, Command(*options) as command:
        command.send("call flood\n")
        if ending == "signal":
            (command.out if events else command.err).wait_for("flood")
            command.interrupt()
        result = command.wait()
    assert result.code == (124 if ending == "timeout" else 130)
    assert timed.took_s < LIVENESS_S
    if events:
        assert json.loads(result.out.splitlines()[-1])["exit_code"] == result.code


def test_the_timeout_holds_while_a_file_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "slow.py"
    file.write_text("import time\ntime.sleep(60)\n")
    result = run(*SIMULATED, *ASK, f"--import-functions={file}", "--timeout=0.2")
    assert result == (124, "", "gemini-live: error: timed out after 0.2 s (--timeout)\n")


# What is loaded, and what is not installed.


def loaded_modules(*arguments: str, environ: dict[str, str] | None = None) -> set[str]:
    """Return the names of all modules that a piped text session loads."""
    result = run(*arguments, stdin="hello\n", environ={**(environ or {}), "PYTHONPROFILEIMPORTTIME": "1"})
    assert (result.code, result.out) == (0, "hello\n")
    return set(re.findall(r"^import time:.*\| +(\S+)$", result.err, re.MULTILINE))


def test_a_piped_session_with_the_simulator_loads_nothing_slow() -> None:
    loaded = loaded_modules(*SIMULATED)
    assert "gemini_live.simulator.server" in loaded
    assert loaded & SLOW_TO_LOAD == set()


def test_a_piped_session_with_a_service_loads_neither_that_nor_the_simulator() -> None:
    with serving() as server:
        loaded = loaded_modules(f"--base-url={server.url}", *SIMULATED[1:], environ=WITH_KEY)
    assert "gemini_live.session.session" in loaded
    assert loaded & SLOW_TO_LOAD == set()
    assert not any(name.startswith("gemini_live.simulator") for name in loaded)


@pytest.fixture
def core_only(tmp_path: Path) -> dict[str, str]:
    """The environment of an installation without extras: what they bring cannot be imported."""
    extras = ["google", "mss", "numpy", "PIL", "pyaudio", "pydantic", "python_socks", "soundfile", "soxr"]
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({extras}))\n")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


def test_the_core_alone_holds_text_sessions(core_only: dict[str, str]) -> None:
    assert run(*SIMULATED, "-q", stdin="hello\n", environ=core_only) == (0, "hello\n", "")


def test_the_core_alone_does_without_sound_and_says_so_once(core_only: dict[str, str]) -> None:
    result = run("--simulate=--pace 0", stdin="hello\n", environ=core_only)
    assert (result.code, result.out) == (0, "hello\n")
    warnings = [line for line in result.err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert "pip install 'gemini-live[audio]'" in warnings[0]


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["--audio-output"], "audio"),
        (["--list-devices"], "audio"),
        (["--screen-capture-fps=1"], "screen"),
        (["--image=cat.png"], "screen"),
        (["--import-functions=function_examples.py"], "functions"),
        (["--input-file=speech.flac"], "files"),
    ],
)
def test_the_core_alone_names_the_extra_that_an_option_needs(
    arguments: list[str], extra: str, core_only: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "speech.flac").write_bytes(b"fLaC" + bytes(100))
    (tmp_path / "function_examples.py").write_text((ROOT / "function_examples.py").read_text())
    with Command("--simulate", "-q", *ASK, *arguments, environ=core_only, cwd=tmp_path) as command:
        result = command.wait()
    assert (result.code, result.out) == (2, "")
    [line] = result.err.splitlines()
    assert f"pip install 'gemini-live[{extra}]'" in line
