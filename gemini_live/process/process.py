"""The process itself: its standard streams, its signals, and its end, which comes in time whatever hangs.

Belongs to the main thread. A deadline runs out in a thread of its own, for what hangs may be the main thread.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn, TextIO

from ..errors import ExitCode
from .streams import LineWriter

_EXIT_CODES: dict[int, ExitCode] = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
if sys.platform != "win32":
    _EXIT_CODES[signal.SIGHUP] = ExitCode.HANGUP

_MAX_DRAINED_BYTES = 1024 * 1024
"""How much captured output is still read after the capture has ended: a child may write for ever."""

SECOND_INTERRUPT_S = 1.0
"""A SIGINT that comes later than this after the first signal ends the process at once; other signals change nothing."""
LAST_WORDS_S = 1.0
"""How long it may take to write what is left, and threads of the user's to end, once the process is to end."""
LEAVE_WITHIN_S = 1.8
"""After Ctrl-C, SIGTERM or `--timeout`, or once a session is over: then the process ends, whatever hangs."""


def claim_stdout() -> TextIO | None:
    """Make stdout ours alone and return it; what else writes to its descriptor, such as a child, writes to stderr.

    A function of the user's that runs another program must not write into the conversation.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, so this one: else a socket would have it, and be written to as stderr.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # A pipe gets UTF-8 everywhere, and no character stops the program.
            encoding = stream.encoding if stream.isatty() or "PYTHONIOENCODING" in os.environ else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")  # type: ignore[union-attr]
    if sys.stdout is not None:
        own = os.dup(sys.stdout.fileno())
        os.dup2(2, sys.stdout.fileno())
        encoding = sys.stdout.encoding
        sys.stdout = open(own, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    return sys.stdout


def claim_stdin() -> TextIO | None:
    """Make stdin ours alone and return it; what else reads its descriptor, such as a child, finds nothing there.

    A function of the user's, or a program that it runs, must not read the questions, or the keys at a prompt. Not on
    Windows, whose console is read by its handle.
    """
    if sys.stdin is None or sys.platform == "win32":
        return sys.stdin
    descriptor = sys.stdin.fileno()
    own = open(  # noqa: SIM115 - it is ours to the end
        os.dup(descriptor), encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False
    )
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
    return own


class Deadline:
    """Ends the process in time, whatever hangs: a function of the user's, a library, a reader of our output."""

    def __init__(self, last_words: Callable[[int], None]) -> None:
        """Have `last_words` called with the exit code just before; in a thread, where it must not wait for others."""
        self._last_words = last_words
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()

    def set(self, within_s: float, code: int) -> None:
        """End the process with `code` in `within_s`, unless it is lifted; this replaces what was set before."""
        with self._lock:
            self.lift()
            self._timer = threading.Timer(min(within_s, threading.TIMEOUT_MAX), self._end, [code])
            self._timer.daemon = True
            self._timer.start()

    def lift(self) -> None:
        """Let the process go on."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()

    def _end(self, code: int) -> None:
        try:
            self._last_words(code)
        finally:
            os._exit(code)


class Signals:
    """Ctrl-C, SIGTERM and SIGHUP: the first stops the session; a late second Ctrl-C ends the process at once.

    A signal that comes just before the main thread begins to wait for something does not wake it, so that its handler
    would be called at the end of that: a thread is told of every signal, too.
    """

    def __init__(self, last_words: Callable[[int], None]) -> None:
        """Take what a `Deadline` takes."""
        self.exit_code: ExitCode | None = None
        """Of the signal that came."""
        self.stop: Callable[[], None] | None = None
        """Stops the session; while there is none, a signal is raised as `KeyboardInterrupt` where it comes."""
        self.on_ctrl_c: Callable[[], None] | None = None
        """Set while there is a prompt: called in a thread for SIGINT, which may only clear a half-typed line. It has to
        call `spare` or `interrupt` within `LEAVE_WITHIN_S`, else the process ends: a function blocks the event loop."""
        self.wake: Callable[[], None] | None = None
        """Called in a thread; wakes the main one."""
        self.restore: Callable[[], None] = lambda: None
        """Gives the terminal back, where the process ends at once."""
        self._deadline = Deadline(last_words)
        self._stopped_s = 0.0
        """When the first signal came."""
        self._sender: socket.socket | None = None
        self._relayed_to: int | None = None

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals; not outside the main thread, where that is impossible."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # What runs under nohup is to go on when the terminal is closed.
        handled = [number for number in _EXIT_CODES if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._handle) for number in handled}
        receiver, sender = socket.socketpair()
        sender.setblocking(False)
        self._sender = sender
        descriptor = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        watcher = threading.Thread(target=self._watch, args=[receiver], name="signals", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._sender = None
            sender.close()
            watcher.join()
            self._deadline.lift()

    def relay(self) -> None:
        """Be told of signals again, where an event loop has begun to handle one of them, and pass them on to it."""
        if self._sender is None or sys.platform == "win32":  # whose loop wakes by itself
            return
        own = self._sender.fileno()
        other = signal.set_wakeup_fd(own, warn_on_full_buffer=False)
        if other != own:
            self._relayed_to = other if other != -1 else None

    def spare(self) -> None:
        """Let the process continue after a SIGINT that was passed to `on_ctrl_c`."""
        if self.exit_code is None:
            self._deadline.lift()

    def interrupt(self) -> None:
        """Stop the session as SIGINT does."""
        self._stop_by(signal.SIGINT)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if not self._is_for_prompt(number):
            self._stop_by(number)

    def _is_for_prompt(self, number: int) -> bool:
        return number == signal.SIGINT and self.on_ctrl_c is not None and self.exit_code is None

    def _stop_by(self, number: int) -> None:
        code, now_s = _EXIT_CODES[number], time.monotonic()
        if self.exit_code is not None:
            # Supervisors signal twice within milliseconds, and the last lines must still be written.
            if number == signal.SIGINT and now_s - self._stopped_s > SECOND_INTERRUPT_S:
                self.restore()
                os._exit(code)
            return
        self.exit_code, self._stopped_s = code, now_s
        if sys.platform != "win32":
            # Else a process that was stopped by Ctrl-Z and is ended by `kill` would stop again as it tidies up.
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        self._deadline.set(LEAVE_WITHIN_S, code)
        if self.stop is None:
            raise KeyboardInterrupt
        self.stop()

    def _watch(self, receiver: socket.socket) -> None:
        with receiver:
            while number := receiver.recv(1):
                if self._relayed_to is not None:
                    with contextlib.suppress(OSError):  # that loop has ended
                        os.write(self._relayed_to, number)
                if number[0] in _EXIT_CODES:
                    if self.exit_code is None:
                        self._deadline.set(LEAVE_WITHIN_S, _EXIT_CODES[number[0]])
                    if self.on_ctrl_c is not None and self._is_for_prompt(number[0]):
                        self.on_ctrl_c()
                    elif self.wake is not None:
                        self.wake()


@contextlib.contextmanager
def captured_output(own: TextIO, on_line: Callable[[str], None]) -> Iterator[None]:
    """Call `on_line`, in a thread, with each line that goes to the descriptors of stdout and stderr, but not by `own`.

    It is a library's, or a child's of the user's functions, and must not write over what is being typed. On Windows,
    where the console hangs on the descriptors, only what Python writes to stderr.
    """
    if sys.platform == "win32":
        lines = LineWriter(on_line)
        with contextlib.redirect_stderr(lines):
            yield
        lines.finish()
        return
    captured = [number for number in (1, 2) if number != own.fileno()]
    before = [os.dup(number) for number in captured]
    receiver, sender = os.pipe()
    ended, end = os.pipe()
    reader = threading.Thread(target=_read_lines, args=[receiver, ended, on_line], name="stderr", daemon=True)
    reader.start()
    _flush(sys.stderr)
    for number in captured:
        os.dup2(sender, number)
    try:
        yield
    finally:
        _flush(sys.stderr)
        for number, kept in zip(captured, before, strict=True):
            os.dup2(kept, number)
            os.close(kept)
        os.close(sender)
        os.close(end)
        reader.join(LAST_WORDS_S)


def _read_lines(descriptor: int, ended: int, on_line: Callable[[str], None]) -> None:
    """Read lines until the other end of the pipe `ended` is closed: a child that lives on holds `descriptor` open."""
    lines = LineWriter(on_line)
    n_left, is_ended = _MAX_DRAINED_BYTES, False
    with open(descriptor, "rb", buffering=0) as pipe, open(ended, "rb", buffering=0):
        while n_left > 0:
            sources = [descriptor] if is_ended else [descriptor, ended]
            readable = select.select(sources, [], [], 0 if is_ended else None)[0]
            is_ended = is_ended or ended in readable
            if descriptor not in readable:
                if is_ended and not readable:
                    break
                continue
            data = pipe.read(4096)
            if not data:
                break
            n_left -= len(data) if is_ended else 0
            lines.buffer.write(data)
    lines.finish()


def leave(code: int, *streams: TextIO | None) -> NoReturn:
    """End the process, even where a thread of the user's does not end, or nobody reads what `streams` still hold."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: os._exit(ExitCode.INTERRUPTED))
    deadline_s = time.monotonic() + LAST_WORDS_S
    # In a thread: a writer that is stuck in one of them holds its lock.
    flusher = threading.Thread(target=_flush, args=streams, daemon=True)
    flusher.start()
    threads = [thread for thread in threading.enumerate() if not thread.daemon]
    threads.remove(threading.main_thread())
    for thread in (flusher, *threads):
        thread.join(max(0.0, deadline_s - time.monotonic()))
    if any(thread.is_alive() for thread in (flusher, *threads)):
        os._exit(code)
    # A daemon thread that goes on printing would hold the lock that the interpreter wants at its end.
    sys.stdout = None
    sys.exit(code)


def _flush(*streams: TextIO | None) -> None:
    for stream in streams:
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it: keep the interpreter from trying again
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
