"""Handles Ctrl-C, SIGTERM and SIGHUP. Belongs to the main thread."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from ..errors import ExitCode
from .ending import LEAVE_WITHIN_S, Deadline

_EXIT_CODES: dict[int, ExitCode] = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
if sys.platform != "win32":
    _EXIT_CODES[signal.SIGHUP] = ExitCode.HANGUP

SECOND_INTERRUPT_S = 1.0
"""A SIGINT that comes later than this after the first signal ends the process at once; other signals change nothing."""


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
