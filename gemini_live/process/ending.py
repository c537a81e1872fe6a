"""Decides when the process ends, with which exit code, and what is still written.

`WAYS` is the table of all ways in which it can end; `Ending` carries them out. Nothing else calls `os._exit`, apart
from `__main__`, which does so for a signal that comes before the other modules are loaded.

A deadline expires in a thread of its own, because the main thread may hang: in a user's function, in a library, or
while it waits for the reader of the output.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from ..errors import ExitCode
from .streams import BackgroundWriter, Streams, flush, is_closed_pipe

LAST_WORDS_S = 1.0
"""How long the end waits for unread output and for the user's threads, after a signal or `--timeout`."""
LEAVE_WITHIN_S = 1.8
"""The process is killed this long after a signal, after `--timeout`, and after the end of the session."""
LAST_LINE_S = 0.2
"""How long the last line may take if the process is about to be killed."""


class Written(NamedTuple):
    """What is still written when the process ends."""

    what: str
    within_s: float | None
    """How long the process waits for the reader of its output; `None`: as long as the reader takes."""


ALL = Written("all output, and the last line", None)
BRIEFLY = Written(f"what is read within {LAST_WORDS_S:g} s, and the last line", LAST_WORDS_S)
ALL_OF_STDERR = Written("all of stderr", None)
NOTHING = Written("nothing", 0)


class Way(NamedTuple):
    """One way in which the process ends."""

    happened: str
    code: ExitCode | None
    """The exit code; `None`: the exit code of the result or of the error."""
    written: Written
    error: str | None = None
    """The error line that comes first; `None`: none, or it was written before."""


OVER = Way("the session or the command is over", None, ALL)
TIMED_OUT = Way("`--timeout` has passed", ExitCode.TIMEOUT, BRIEFLY, "timed out after {timeout_s:g} s (--timeout)")
INTERRUPTED = Way("Ctrl-C (SIGINT)", ExitCode.INTERRUPTED, BRIEFLY)
TERMINATED = Way("SIGTERM", ExitCode.TERMINATED, BRIEFLY)
HUNG_UP = Way("the terminal was closed (SIGHUP)", ExitCode.HANGUP, BRIEFLY)
INTERRUPTED_AGAIN = Way("Ctrl-C again, more than 1 s after a signal", ExitCode.INTERRUPTED, NOTHING)
STDOUT_CLOSED = Way("the reader of stdout has closed it", ExitCode.CLOSED_STDOUT, ALL_OF_STDERR)
STDOUT_FAILED = Way(
    "stdout fails, e.g. because the disk is full",
    ExitCode.USAGE,
    ALL_OF_STDERR,
    "stdout cannot be written to: {reason}",
)

WAYS = (OVER, TIMED_OUT, INTERRUPTED, TERMINATED, HUNG_UP, INTERRUPTED_AGAIN, STDOUT_CLOSED, STDOUT_FAILED)
"""Every way. The first that happens decides the exit code; after `OVER`, and only then, another one still can."""


def format_ways() -> str:
    """Return the table of ways as Markdown, for the docs."""
    rows = [
        f"| {way.happened} | {way.code or 'of the result or the error'} "
        f"| {'an error line, ' if way.error else ''}{way.written.what} |"
        for way in WAYS
    ]
    return "\n".join(["| what happened | exit code | what is still written |", "|---|---|---|", *rows])


class Ending:
    """Ends the process in time, whatever hangs, and knows its exit code."""

    def __init__(self, writer: BackgroundWriter, streams: Streams) -> None:
        self.way: Way | None = None
        """What ends the process; `None` if nothing has happened, or the session has ended by itself."""
        self.report: Callable[[str], None] = lambda _: None
        """Writes an error line. A deadline's thread may call this, and the next two."""
        self.write_last_line: Callable[[int], None] = lambda _: None
        """Writes the last line, which tells the exit code. Calls after the first one must write nothing."""
        self.restore_terminal: Callable[[], None] = lambda: None
        """Restores the terminal before the process is killed."""
        self._writer, self._streams = writer, streams
        self._timeout_s = 0.0
        self._happened_s = 0.0
        """When `way` happened, by the monotonic clock."""
        self._timers: dict[Way, threading.Timer] = {}
        self._lock = threading.RLock()
        """Guards the fields above: a signal handler and the deadlines' threads change them too."""
        self._is_waiting = False
        """True while `finish` waits for the reader of the output and may be interrupted."""
        self._is_finished = False

    @property
    def code(self) -> ExitCode | None:
        """The exit code of the signal, timeout or failure that ends the process; `None` if there was none."""
        return self.way.code if self.way is not None else None

    @property
    def since_s(self) -> float:
        """Seconds since the signal, timeout or failure that ends the process."""
        return time.monotonic() - self._happened_s

    def happen(self, way: Way) -> bool:
        """Record why the process ends, and start its deadline. Return False if it is ending for another reason already.

        The caller must stop the session: this method only kills the process after `LEAVE_WITHIN_S`.
        """
        is_first = self._decide(way)
        if is_first:
            self.start_deadline(way)
            self._report_timeout()
        return is_first

    def _decide(self, way: Way) -> bool:
        """Record `way` and its time. Return False if another way was recorded before, or the process has finished."""
        with self._lock:
            if self.way is not None or self._is_finished:
                return False
            self.way, self._happened_s = way, time.monotonic()
            return True

    def _report_timeout(self) -> None:
        """Write the error line of a timeout, if that is what ends the process."""
        if self.way is TIMED_OUT and self.way.error is not None:
            self.report(self.way.error.format(timeout_s=self._timeout_s))

    def fail_stdout(self, error: OSError) -> bool:
        """End the process because stdout has failed. Return False if it is ending for another reason already."""
        if is_closed_pipe(error):
            return self.happen(STDOUT_CLOSED)
        if not self.happen(STDOUT_FAILED):
            return False
        assert STDOUT_FAILED.error is not None
        # Not through `report`, which may write to stdout.
        line = f"gemini-live: error: {STDOUT_FAILED.error.format(reason=error.strerror)}\n"
        self._writer.write(self._streams.stderr, line)
        return True

    def limit(self, timeout_s: float) -> None:
        """Kill the process if it still runs `LEAVE_WITHIN_S` after the time of `--timeout`."""
        self._timeout_s = timeout_s
        self.start_deadline(TIMED_OUT, after_s=timeout_s)

    def start_deadline(self, way: Way, code: int = ExitCode.BUG, *, after_s: float = 0.0) -> None:
        """Kill the process in `after_s` + `LEAVE_WITHIN_S`, unless the deadline of this way is cancelled or restarted.

        Args:
            way: Why the process should have ended by then.
            code: The exit code, if `way` has none.
            after_s: How long from now `way` happens, in seconds.
        """
        with self._lock:
            self.cancel_deadline(way)
            if not self._is_finished:
                within_s = min(after_s + LEAVE_WITHIN_S, threading.TIMEOUT_MAX)
                self._timers[way] = timer = threading.Timer(within_s, self._expire, [way, code])
                timer.daemon = True
                timer.start()

    def cancel_deadline(self, way: Way) -> None:
        """Let the process continue past the deadline of this way."""
        with self._lock:
            if (timer := self._timers.pop(way, None)) is not None:
                timer.cancel()

    def _expire(self, way: Way, code: int) -> None:
        """Write the error line and the last line, and kill the process, because the main thread hangs."""
        code = self.code or way.code or code
        try:
            self.restore_terminal()
            if way is not OVER and self._decide(way):
                self._report_timeout()
            self.write_last_line(code)
            self._writer.flush(LAST_LINE_S)
        finally:
            os._exit(code)

    def kill(self) -> NoReturn:
        """End the process at once, as a second Ctrl-C does."""
        assert INTERRUPTED_AGAIN.code is not None
        self.restore_terminal()
        os._exit(INTERRUPTED_AGAIN.code)

    def finish(self, code: int) -> int:
        """Write all output and then the last line, and cancel all deadlines; return the exit code.

        Args:
            code: The exit code if nothing else happens meanwhile.
        """
        code = self._wait_for_reader(code, LAST_WORDS_S)
        self.write_last_line(code)
        code = self._wait_for_reader(code, LAST_LINE_S)
        with self._lock:
            self._is_finished = True
            for way in list(self._timers):
                self.cancel_deadline(way)
        return code

    def interrupt(self) -> None:
        """Stop `finish` from waiting for the reader of the output; a signal handler calls this in the main thread."""
        if self._is_waiting:
            raise KeyboardInterrupt

    def _wait_for_reader(self, code: int, patience_s: float) -> int:
        """Wait until the output is read, after a signal or a timeout for at most `patience_s`; return the exit code.

        If stdout has failed, the exit code says so.
        """
        is_patient = self.way is None or self.way.written.within_s is None
        try:
            self._is_waiting = True
            self._writer.flush(None if is_patient else patience_s)
            self._is_waiting = False  # not in `finally`, where an interruption would not be caught
        except KeyboardInterrupt:
            self._is_waiting = False
        error = self._writer.error_of(self._streams.stdout)
        if code == ExitCode.DONE and error is not None and self.fail_stdout(error):
            self._writer.flush(LAST_WORDS_S)
        return code if self.code is None else self.code

    def leave(self, code: int) -> NoReturn:
        """Exit after `LAST_WORDS_S` at most, even if a user's thread still runs or output is still unread."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, lambda *_: os._exit(ExitCode.INTERRUPTED))
        deadline_s = time.monotonic() + LAST_WORDS_S
        # In a thread, because a writer that hangs in a stream holds its lock.
        streams = (self._streams.stdout, self._streams.stderr)
        flusher = threading.Thread(target=flush, args=streams, daemon=True)
        flusher.start()
        threads = [thread for thread in threading.enumerate() if not thread.daemon]
        threads.remove(threading.main_thread())
        for thread in (flusher, *threads):
            thread.join(max(0.0, deadline_s - time.monotonic()))
        if any(thread.is_alive() for thread in (flusher, *threads)):
            os._exit(code)
        # A daemon thread that keeps printing would hold the lock that the interpreter needs at exit.
        sys.stdout = None
        sys.exit(code)
