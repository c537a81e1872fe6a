"""The end of the process: by when it comes, whatever hangs, and with which exit code.

A deadline runs out in a thread of its own, for what hangs may be the main thread.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn, TextIO

from ..errors import ExitCode
from .streams import flush

LAST_WORDS_S = 1.0
"""How long it may take to write what is left, and threads of the user's to end, once the process is to end."""
LEAVE_WITHIN_S = 1.8
"""After Ctrl-C, SIGTERM or `--timeout`, or once a session is over: then the process ends, whatever hangs."""


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


def leave(code: int, *streams: TextIO | None) -> NoReturn:
    """End the process, even where a thread of the user's does not end, or nobody reads what `streams` still hold."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: os._exit(ExitCode.INTERRUPTED))
    deadline_s = time.monotonic() + LAST_WORDS_S
    # In a thread: a writer that is stuck in one of them holds its lock.
    flusher = threading.Thread(target=flush, args=streams, daemon=True)
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
