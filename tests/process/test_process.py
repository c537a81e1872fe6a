"""The process's own streams, signals and end: most of it in a process of its own, for it ends that process."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from gemini_live.process import signals as signals_module
from gemini_live.process.capture import captured_output
from gemini_live.process.ending import Deadline
from gemini_live.process.signals import Signals
from tests.command import LIVENESS_S, Timed, clean_environ

posix = pytest.mark.skipif(sys.platform == "win32", reason="closed descriptors and signals are POSIX's")


def run(script: str, redirect: str = "", environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a script in a process of its own; return its exit code, stdout and stderr."""
    rooms = ("streams", "lines", "ending", "signals", "capture")
    imports = "".join(f"from gemini_live.process.{name} import *\n" for name in rooms)
    argv = [sys.executable, "-X", "dev", "-c", imports + textwrap.dedent(script)]
    if redirect:
        argv = ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *argv]
    done = subprocess.run(
        argv, env=clean_environ(**(environ or {})), capture_output=True, timeout=LIVENESS_S, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Ended(list[int]):
    """Takes the place of `os._exit`: keeps the codes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.came = threading.Event()
        monkeypatch.setattr(os, "_exit", self)

    def __call__(self, code: int) -> None:
        self.append(code)
        self.came.set()


# stdout


@posix
def test_stdout_is_ours_alone() -> None:
    script = """
        import os, subprocess
        own = claim_stdout()
        os.write(1, b"descriptor ")
        subprocess.run(["printf", "child "])
        print("ours", file=own, flush=True)
        leave(0, own)
    """
    assert run(script) == (0, "ours\n", "descriptor child ")


@posix
def test_stdin_is_ours_alone(tmp_path: Path) -> None:
    (tmp_path / "questions").write_text("one\nGrüße\n")
    script = """
        import subprocess
        own = claim_stdin()
        print(subprocess.run(["cat"], stdout=subprocess.PIPE).stdout, os.read(0, 10), repr(sys.stdin.read()))
        print(own.read(), end="")
    """
    assert run(script, f"<{tmp_path / 'questions'}") == (0, "b'' b'' ''\none\nGrüße\n", "")


@posix
def test_a_stdin_that_is_closed_is_none() -> None:
    assert run("print(claim_stdin())", "<&-") == (0, "None\n", "")


@posix
def test_the_parser_still_writes_to_stdout() -> None:
    assert run("claim_stdout()\nprint('help')") == (0, "help\n", "")


@posix
@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_socket_gets_the_number_of_a_standard_stream_that_is_closed(redirect: str) -> None:
    script = """
        import os, socket
        claim_stdout()
        left, right = socket.socketpair()
        os._exit(0 if min(left.fileno(), right.fileno()) > 2 else 1)
    """
    assert run(script, redirect)[0] == 0


@posix
@pytest.mark.parametrize(
    ("environ", "out"),
    [
        ({"LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "é\n"),
        ({"PYTHONIOENCODING": "ascii"}, "\\xe9\n"),
    ],
)
def test_a_pipe_gets_utf_8_unless_another_encoding_was_asked_for(environ: dict[str, str], out: str) -> None:
    assert run("print(chr(233), file=claim_stdout())", environ=environ) == (0, out, "")


# Deadlines


def test_a_deadline_says_its_last_words_and_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, said = Ended(monkeypatch), list[int]()
    Deadline(said.append).set(0.0, 124)
    assert ended.came.wait(LIVENESS_S)
    assert (said, ended) == ([124], [124])


def test_a_deadline_ends_the_process_though_its_last_words_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended(monkeypatch)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def fail(_: int) -> None:
        raise RuntimeError

    Deadline(fail).set(0.0, 3)
    assert ended.came.wait(LIVENESS_S)
    assert ended == [3]


def test_a_deadline_that_is_lifted_or_replaced_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended(monkeypatch)
    deadline = Deadline(lambda _: None)
    deadline.lift()
    deadline.set(1e300, 1)
    deadline.set(0.0, 2)
    assert ended.came.wait(LIVENESS_S)
    deadline.set(1e300, 3)
    deadline.lift()
    assert ended == [2]


# Signals


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_raised_where_nothing_can_be_stopped(number: int, code: int) -> None:
    signals = Signals(lambda _: None)
    with signals.caught(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        threading.Event().wait(LIVENESS_S)
    assert signals.exit_code == code


@posix
def test_a_process_that_is_to_end_does_not_stop_as_it_gives_the_terminal_back() -> None:
    """One that was suspended, and is ended by another's signal, is not in the foreground."""
    script = """
        signals = Signals(lambda _: None)
        signals.stop = lambda: None
        with signals.caught():
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            print(signal.getsignal(signal.SIGTTOU) is signal.SIG_IGN)
    """
    assert run(script) == (0, "True\n", "")


@posix
def test_a_signal_stops_what_can_be_stopped() -> None:
    stopped = threading.Event()
    signals = Signals(lambda _: None)
    with signals.caught():
        signals.stop = stopped.set
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(LIVENESS_S)
    assert signals.exit_code == 143


@posix
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_within_a_second_changes_nothing(second: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, stops = Ended(monkeypatch), list[int]()
    signals = Signals(lambda _: None)
    with signals.caught():
        signals.stop = lambda: stops.append(1)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), second)
    assert (ended, stops, signals.exit_code) == ([], [1], 143)


@posix
def test_a_late_second_ctrl_c_ends_the_process_and_restores_the_terminal_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals_module, "SECOND_INTERRUPT_S", 0.0)
    ended, order = Ended(monkeypatch), list[object]()
    signals = Signals(lambda _: None)
    signals.restore = lambda: order.append(list(ended))
    with signals.caught():
        signals.stop = lambda: None
        os.kill(os.getpid(), signal.SIGINT)
        before = list(order)
        os.kill(os.getpid(), signal.SIGINT)
        assert ended.came.wait(LIVENESS_S)
    assert (before, order, ended) == ([], [[]], [130])


@posix
def test_a_terminal_that_is_closed_stops_the_session() -> None:
    stopped = threading.Event()
    signals = Signals(lambda _: None)
    with signals.caught():
        signals.stop = stopped.set
        os.kill(os.getpid(), signal.SIGHUP)
        assert stopped.wait(LIVENESS_S)
    assert signals.exit_code == 129


@posix
def test_what_is_to_outlive_its_terminal_goes_on_when_that_is_closed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals, stopped = Signals(lambda _: None), list[int]()
        with signals.caught():
            signals.stop = lambda: stopped.append(1)
            os.kill(os.getpid(), signal.SIGHUP)
        assert (signals.exit_code, stopped) == (None, [])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@posix
def test_other_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Signals(lambda _: None).caught():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_signals_are_left_alone_outside_the_main_thread() -> None:
    before, inside = signal.getsignal(signal.SIGINT), []

    def look() -> None:
        with Signals(lambda _: None).caught():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert inside == [before]


@posix
def test_a_signal_that_does_not_reach_the_main_thread_ends_the_process_all_the_same() -> None:
    """Let another thread get it, as if it had come just before the main one began to sleep."""
    script = """
        import time
        signals = Signals(lambda code: os.write(1, f"last words {code} ".encode()))
        signals.wake = lambda: os.write(1, b"woken ")
        signals.stop = lambda: None  # should the main thread be awake after all: it goes to sleep
        with signals.caught():
            threading.Thread(target=time.sleep, args=[60], daemon=True).start()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
    """
    with Timed() as timed:
        assert run(script) == (130, "woken last words 130 ", "")
    assert timed.took_s < 20


HANDLED_BY_A_LOOP = """
    import asyncio
    signals = Signals(lambda _: None)

    async def main():
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        resized, woken = asyncio.Event(), threading.Event()
        signals.stop = lambda: loop.call_soon_threadsafe(task.cancel)

        def wake():
            woken.set()
            loop.call_soon_threadsafe(lambda: None)

        signals.wake = wake
        loop.add_signal_handler(signal.SIGWINCH, resized.set)
        signals.relay()
        {act}
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("stopped, the watcher", "knows" if woken.wait(20) else "does not know")

    with signals.caught():
        asyncio.run(main())
"""
"""A loop that handles a signal of its own, and then Ctrl-C."""


@posix
def test_a_loop_that_handles_a_signal_and_the_watcher_of_signals_are_both_told() -> None:
    act = """
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGWINCH)
            await asyncio.wait_for(resized.wait(), 20)
            resized.clear()
            print("resized", flush=True)
    """
    script = HANDLED_BY_A_LOOP.format(act=textwrap.indent(textwrap.dedent(act), " " * 8).strip())
    assert run(script) == (0, "resized\nresized\nstopped, the watcher knows\n", "")


@posix
def test_a_loop_that_handles_no_signal_any_more_leaves_them_to_the_watcher() -> None:
    act = """
        loop.remove_signal_handler(signal.SIGWINCH)
        signals.relay()
    """
    script = HANDLED_BY_A_LOOP.format(act=textwrap.indent(textwrap.dedent(act), " " * 8).strip())
    assert run(script) == (0, "stopped, the watcher knows\n", "")


@posix
def test_signals_that_are_not_caught_are_not_relayed() -> None:
    signals = Signals(lambda _: None)
    signals.relay()
    assert signal.set_wakeup_fd(-1) == -1


@posix
def test_a_loop_that_has_ended_does_not_keep_the_watcher_from_what_follows() -> None:
    script = """
        import asyncio
        signals = Signals(lambda _: None)
        woken = threading.Event()
        signals.wake, signals.stop = woken.set, lambda: None

        async def main():
            asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, lambda: None)
            signals.relay()

        with signals.caught():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
            # Closed without a word to whoever relays: the descriptor is gone.
            own = signals._sender.fileno()
            loop.close()
            signal.set_wakeup_fd(own)
            os.kill(os.getpid(), signal.SIGTERM)
            print(woken.wait(20))
    """
    assert run(script) == (0, "True\n", "")


# What others write to the descriptors

CAPTURED = """
    import subprocess
    lines = []
    own = open(os.dup(1), "w", closefd=False)
    with captured_output(own, lines.append):
        {act}
    print(*map(repr, lines), sep="\\n", file=own, flush=True)
    os.write(1, b"after\\n")
    os.write(2, b"after too\\n")
"""
"""Something is written while output is captured; stdout then has the lines that were, and what was not captured."""


@posix
@pytest.mark.parametrize(
    ("act", "lines"),
    [
        ("pass", []),
        ("print('printed', flush=True)", ["printed"]),
        ("print('printed', file=sys.stderr)", ["printed"]),
        ("os.write(1, b'one\\n'); os.write(2, b'two\\n')", ["one", "two"]),
        ("os.write(1, b'one\\ntwo\\n\\nthree\\n')", ["one", "two", "", "three"]),
        ("os.write(1, b'in '); os.write(1, b'pieces\\n')", ["in pieces"]),
        ("os.write(2, b'partial')", ["partial"]),
        ("print('partial', end='', file=sys.stderr)", ["partial"]),
        ("os.write(2, bytes([0xe6, 0x97]) + b'\\n')", ["\ufffd"]),
        ("os.write(2, 'Grüße 日本\\n'.encode())", ["Grüße 日本"]),
        ("os.write(2, bytes([0, 1, 0])); os.write(2, b' raw\\n'); os.write(2, b'more\\n')", ["\0\1\0 raw", "more"]),
        ("subprocess.run(['sh', '-c', 'echo out; echo err >&2'])", ["out", "err"]),
        ("subprocess.run(['sh', '-c', 'printf partial'])", ["partial"]),
    ],
)
def test_whatever_writes_to_the_descriptors_is_captured_line_by_line(act: str, lines: list[str]) -> None:
    code, out, err = run(CAPTURED.format(act=act))
    assert (code, err) == (0, "after too\n")
    shown = [repr(line) for line in lines]
    assert out.splitlines() == [*(shown or [""]), "after"]


@posix
def test_what_goes_to_our_own_stream_is_not_captured() -> None:
    act = "print('ours', file=own, flush=True)"
    assert run(CAPTURED.format(act=act)) == (0, "ours\n\nafter\n", "after too\n")


@posix
@pytest.mark.parametrize(("stream", "captured"), [("sys.stdout", "err"), ("sys.stderr", "out")])
def test_a_descriptor_that_is_our_own_is_left_alone(stream: str, captured: str) -> None:
    script = f"""
        lines = []
        with captured_output({stream}, lines.append):
            os.write(1, b"out\\n")
            os.write(2, b"err\\n")
        os.write(1, repr(lines).encode())
    """
    code, out, err = run(script)
    assert code == 0
    assert out.removeprefix("out\n") == f"['{captured}']"
    assert (out.startswith("out\n"), err) == (captured == "err", "err\n" if captured == "out" else "")


@posix
def test_nothing_of_what_is_written_much_and_fast_is_lost() -> None:
    act = "subprocess.run(['seq', '100000'])"
    code, out, _ = run(CAPTURED.format(act=act))
    assert code == 0
    assert out.splitlines() == [*(f"'{n}'" for n in range(1, 100_001)), "after"]


@posix
def test_a_child_that_lives_on_holds_up_nobody() -> None:
    act = "child = subprocess.Popen(['sh', '-c', 'echo started; exec sleep 60'], stdin=subprocess.PIPE)"
    # It is waited for until it has said so, for else it might say so too late.
    act += "; [threading.Event().wait(0.01) for _ in iter(lambda: bool(lines), True)]"
    script = CAPTURED.format(act=act) + "    child.kill()\n    child.communicate()\n"
    with Timed() as timed:
        assert run(script) == (0, "'started'\nafter\n", "after too\n")
    assert timed.took_s < 20


@posix
def test_a_child_that_never_stops_writing_holds_up_nobody_either() -> None:
    act = "child = subprocess.Popen(['sh', '-c', 'while :; do echo x; done'], stdin=subprocess.PIPE)"
    act += "; [threading.Event().wait(0.01) for _ in iter(lambda: bool(lines), True)]"
    script = f"""
        import subprocess
        lines = []
        own = open(os.dup(1), "w", closefd=False)
        with captured_output(own, lines.append):
            {act}
        child.kill()
        child.communicate()
        print(len(lines) > 0, set(lines) <= {{"x", ""}}, file=own, flush=True)
    """
    assert run(script) == (0, "True True\n", "")


@posix
def test_the_descriptors_come_back_though_the_body_fails() -> None:
    script = """
        try:
            with captured_output(open(os.dup(1), "w", closefd=False), lambda _: None):
                raise ValueError
        except ValueError:
            os.write(1, b"out")
            os.write(2, b"err")
    """
    assert run(script) == (0, "out", "err")


@posix
def test_what_was_captured_leaves_no_descriptor_open() -> None:
    script = """
        own = open(os.dup(1), "w", closefd=False)
        def look():
            return sorted(os.listdir("/dev/fd"))
        before = look()
        for _ in range(3):
            with captured_output(own, lambda _: None):
                os.write(2, b"captured")
        print(look() == before, file=own, flush=True)
    """
    assert run(script) == (0, "True\n", "")


def test_on_windows_only_what_python_writes_to_stderr_is_captured(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    lines: list[str] = []
    with captured_output(sys.stdout, lines.append):
        print("printed", file=sys.stderr)
        os.write(2, b"not captured")
    assert lines == ["printed"]
    assert capfd.readouterr().err == "not captured"


# The end


@posix
def test_leaving_waits_for_neither_threads_nor_readers_without_end() -> None:
    script = """
        import time
        own = claim_stdout()
        stuck = open(os.pipe()[1], "w")  # nobody reads it
        threading.Thread(target=lambda: (stuck.write("x" * 2**20), stuck.flush()), daemon=True).start()
        threading.Thread(target=time.sleep, args=[60]).start()
        print("said", file=own)
        leave(7, own, stuck, None)
    """
    assert run(script) == (7, "said\n", "")


@posix
def test_leaving_waits_for_a_thread_that_ends_soon() -> None:
    script = """
        import atexit, time
        atexit.register(os.write, 1, b"at exit")
        threading.Thread(target=lambda: (time.sleep(0.1), os.write(1, b"thread "))).start()
        leave(0)
    """
    assert run(script) == (0, "thread at exit", "")


@posix
def test_leaving_is_quiet_where_stdout_cannot_take_what_is_left() -> None:
    script = """
        own = claim_stdout()
        own.write("lost")
        leave(5, own)
    """
    assert run(script, ">/dev/full") == (5, "", "")


@posix
def test_a_daemon_thread_that_prints_on_does_not_disturb_the_end() -> None:
    script = """
        def print_on():
            while True:
                print("x" * 1000)
        threading.Thread(target=print_on, daemon=True).start()
        leave(0, claim_stdout())
    """
    code, _, err = run(script)
    assert code == 0
    assert "Fatal" not in err


@posix
def test_ctrl_c_while_it_leaves_is_the_end() -> None:
    script = """
        import time
        threading.Thread(target=time.sleep, args=[60]).start()
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
        leave(0)
    """
    assert run(script) == (130, "", "")
