"""Handles Ctrl-C, SIGTERM and SIGHUP. Belongs to the main thread."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from .ending import HUNG_UP, INTERRUPTED, TERMINATED, Ending, Way

_WAYS: dict[int, Way] = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
if sys.platform != "win32":
    _WAYS[signal.SIGHUP] = HUNG_UP

SECOND_INTERRUPT_S = 1.0
"""A SIGINT that comes later than this after the first signal ends the process at once; other signals change nothing."""


class Signals:
    """Stops the session at the first signal, and ends the process at once at a late second Ctrl-C.

    Python calls a signal's handler in the main thread only, and a signal that comes just before the main thread begins
    to wait does not wake it. So another thread watches for signals too, starts the deadline and wakes the main thread.
    """

    def __init__(self, ending: Ending) -> None:
        """Prepare; signals are handled inside `caught`. Each one is reported to `ending`."""
        self._ending = ending
        self.stop: Callable[[], None] | None = None
        """Stops what runs. If `None`, the handler raises `KeyboardInterrupt` in the main thread."""
        self.on_ctrl_c: Callable[[], None] | None = None
        """Set while there is a prompt, where Ctrl-C may only clear a half-typed line: called in a thread for SIGINT. It
        must call `spare` or `interrupt` within `LEAVE_WITHIN_S`, or the process ends: the event loop hangs."""
        self.wake: Callable[[], None] | None = None
        """Wakes the main thread; called in another one."""
        self._sender: socket.socket | None = None
        self._relayed_to: int | None = None

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals while the body runs, if this is the main thread: other threads cannot."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # What runs under nohup must continue when the terminal is closed.
        handled = [number for number in _WAYS if signal.getsignal(number) is not signal.SIG_IGN]
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

    def relay(self) -> None:
        """Watch signals again after an event loop has begun to handle one of them, and pass them on to that loop."""
        if self._sender is None or sys.platform == "win32":  # whose loop wakes by itself
            return
        own = self._sender.fileno()
        other = signal.set_wakeup_fd(own, warn_on_full_buffer=False)
        if other != own:
            self._relayed_to = other if other != -1 else None

    def spare(self) -> None:
        """Let the process continue after a SIGINT that was passed to `on_ctrl_c`."""
        if self._ending.way is None:
            self._ending.cancel_deadline(INTERRUPTED)

    def interrupt(self) -> None:
        """Stop the session as SIGINT does."""
        self._stop_by(signal.SIGINT)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if not self._is_for_prompt(number):
            self._stop_by(number)

    def _is_for_prompt(self, number: int) -> bool:
        return number == signal.SIGINT and self.on_ctrl_c is not None and self._ending.way is None

    def _stop_by(self, number: int) -> None:
        if not self._ending.happen(_WAYS[number]):
            # Supervisors signal twice within milliseconds, and the last lines must still be written.
            if number == signal.SIGINT and self._ending.way is not None and self._ending.since_s > SECOND_INTERRUPT_S:
                self._ending.kill()
            return
        if sys.platform != "win32":
            # Otherwise a process that was stopped by Ctrl-Z and is ended by `kill` would stop again while it tidies up.
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        if self.stop is None:
            raise KeyboardInterrupt
        self.stop()

    def _watch(self, receiver: socket.socket) -> None:
        with receiver:
            while number := receiver.recv(1):
                if self._relayed_to is not None:
                    with contextlib.suppress(OSError):  # that loop has ended
                        os.write(self._relayed_to, number)
                if number[0] in _WAYS:
                    if self._ending.way is None:
                        self._ending.start_deadline(_WAYS[number[0]])
                    if self.on_ctrl_c is not None and self._is_for_prompt(number[0]):
                        self.on_ctrl_c()
                    elif self.wake is not None:
                        self.wake()
