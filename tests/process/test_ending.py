"""The end of the process: deadlines, exit codes, the last line."""

import errno
import io
import os
import threading

import pytest

from gemini_live.process import ending as ending_module
from gemini_live.process.ending import HUNG_UP, INTERRUPTED, OVER, TERMINATED, TIMED_OUT, WAYS, Ending, Way
from gemini_live.process.streams import BackgroundWriter, Streams
from tests.command import LIVENESS_S

from .script import Ended, posix, run


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Ended:
    """The exit codes with which the process was killed. Deadlines expire at once."""
    monkeypatch.setattr(ending_module, "LEAVE_WITHIN_S", 0.0)
    return Ended(monkeypatch)


class Notes(list[object]):
    """What an ending has written: error lines, and the exit code of each last line."""

    def __init__(self, ending: Ending) -> None:
        super().__init__()
        ending.report = self.append
        ending.write_last_line = self.append
        ending.restore_terminal = lambda: self.append("restored")


# Deadlines


@pytest.mark.parametrize(("way", "code"), [(OVER, 4), (INTERRUPTED, 130), (TERMINATED, 143), (HUNG_UP, 129)])
def test_a_deadline_writes_the_last_line_and_kills_the_process(
    way: Way, code: int, killed: Ended, ending: Ending
) -> None:
    notes = Notes(ending)
    ending.start_deadline(way, 4)
    assert killed.came.wait(LIVENESS_S)
    assert (notes, killed) == (["restored", code], [code])


def test_a_deadline_of_the_timeout_reports_it_once(killed: Ended, ending: Ending) -> None:
    notes = Notes(ending)
    ending.limit(0.01)
    assert killed.came.wait(LIVENESS_S)
    assert not ending.happen(TIMED_OUT)
    assert (notes, killed) == (["restored", "timed out after 0.01 s (--timeout)", 124], [124])


def test_a_deadline_kills_the_process_with_the_code_of_what_happened_first(killed: Ended, ending: Ending) -> None:
    ending.way = TERMINATED
    ending.limit(0.0)
    assert killed.came.wait(LIVENESS_S)
    assert killed == [143]


def test_a_deadline_kills_the_process_though_the_last_line_raises(
    killed: Ended, monkeypatch: pytest.MonkeyPatch, ending: Ending
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def fail(_: int) -> None:
        raise RuntimeError

    ending.write_last_line = fail
    ending.start_deadline(OVER, 3)
    assert killed.came.wait(LIVENESS_S)
    assert killed == [3]


def test_a_deadline_that_is_cancelled_or_replaced_does_nothing(killed: Ended, ending: Ending) -> None:
    ending.cancel_deadline(OVER)
    ending.start_deadline(OVER, 1, after_s=1e300)
    ending.start_deadline(OVER, 2)
    assert killed.came.wait(LIVENESS_S)
    ending.start_deadline(OVER, 3, after_s=1e300)
    ending.cancel_deadline(OVER)
    assert killed == [2]


def test_no_deadline_starts_after_the_end(killed: Ended, ending: Ending) -> None:
    ending.limit(1e300)
    assert ending.finish(0) == 0
    assert not ending.happen(INTERRUPTED)
    ending.start_deadline(OVER, 1)
    assert (ending.code, ending._timers, killed) == (None, {}, [])


# Exit codes


@pytest.mark.parametrize("way", [way for way in WAYS if way is not OVER])
def test_what_happens_first_decides_the_exit_code(way: Way, ending: Ending) -> None:
    assert ending.happen(way)
    assert not ending.happen(TERMINATED)
    assert ending.code == way.code
    assert ending.finish(0) == way.code


@pytest.mark.parametrize("code", [0, 4])
def test_the_exit_code_is_that_of_the_result_if_nothing_happens(code: int, ending: Ending) -> None:
    notes = Notes(ending)
    assert ending.finish(code) == code
    assert notes == [code]


@pytest.mark.parametrize(
    ("number", "code", "changed", "line"),
    [
        (errno.EPIPE, 0, 141, ""),
        (errno.ENOSPC, 0, 2, "gemini-live: error: stdout cannot be written to: No space left on device\n"),
        (errno.EPIPE, 4, 4, ""),
        (errno.ENOSPC, 4, 4, ""),
    ],
)
def test_a_failing_stdout_changes_the_exit_code_only_of_a_success(
    number: int, code: int, changed: int, line: str
) -> None:
    class Failing(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(number, os.strerror(number))

    writer, streams = BackgroundWriter(), Streams(None, Failing(), io.StringIO())
    ending = Ending(writer, streams)
    notes = Notes(ending)
    writer.write(streams.stdout, "lost")
    assert ending.finish(code) == changed
    assert notes == [changed]
    assert isinstance(streams.stderr, io.StringIO)
    assert streams.stderr.getvalue() == line


@posix
def test_a_signal_while_a_reader_is_slow_ends_the_wait_and_is_in_the_last_line() -> None:
    script = """
        import sys
        _, unread = os.pipe()
        writer = BackgroundWriter()
        streams = Streams(None, open(unread, "w"), None)
        ending = Ending(writer, streams)
        ending.write_last_line = lambda code: os.write(1, f"last line {code}".encode())
        signals = Signals(ending)
        signals.stop = ending.interrupt
        writer.write(streams.stdout, "x" * 2**20)
        with signals.caught():
            threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
            code = ending.finish(0)
        os._exit(code)
    """
    assert run(script) == (130, "last line 130", "")


def test_interrupt_raises_only_while_finish_waits(ending: Ending) -> None:
    ending.interrupt()


# Leaving


@posix
def test_leave_does_not_wait_for_endless_threads_or_absent_readers() -> None:
    script = """
        import time
        own = claim_stdout()
        stuck = open(os.pipe()[1], "w")  # nobody reads it
        threading.Thread(target=lambda: (stuck.write("x" * 2**20), stuck.flush()), daemon=True).start()
        threading.Thread(target=time.sleep, args=[60]).start()
        print("said", file=own)
        Ending(BackgroundWriter(), Streams(None, own, stuck)).leave(7)
    """
    assert run(script) == (7, "said\n", "")


@posix
def test_leave_waits_for_a_thread_that_ends_soon() -> None:
    script = """
        import atexit, time
        atexit.register(os.write, 1, b"at exit")
        threading.Thread(target=lambda: (time.sleep(0.1), os.write(1, b"thread "))).start()
        make_ending().leave(0)
    """
    assert run(script) == (0, "thread at exit", "")


@posix
def test_leave_prints_nothing_if_stdout_is_full() -> None:
    script = """
        own = claim_stdout()
        own.write("lost")
        Ending(BackgroundWriter(), Streams(None, own, None)).leave(5)
    """
    assert run(script, ">/dev/full") == (5, "", "")


@posix
def test_a_daemon_thread_that_keeps_printing_does_not_crash_the_interpreter_at_exit() -> None:
    script = """
        def print_on():
            while True:
                print("x" * 1000)
        threading.Thread(target=print_on, daemon=True).start()
        Ending(BackgroundWriter(), Streams(None, claim_stdout(), None)).leave(0)
    """
    code, _, err = run(script)
    assert code == 0
    assert "Fatal" not in err


@posix
def test_ctrl_c_during_leave_ends_the_process() -> None:
    script = """
        import time
        threading.Thread(target=time.sleep, args=[60]).start()
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
        make_ending().leave(0)
    """
    assert run(script) == (130, "", "")
