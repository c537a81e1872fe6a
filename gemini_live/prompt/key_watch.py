"""Reads the keys in a thread while the event loop cannot, so that Ctrl-C leaves whatever a function of the user's does.

At the prompt Ctrl-C is a key like others, and the loop reads it. A coroutine function that blocks the loop would leave
nobody to do that. Not on Windows, whose console has no descriptor to read from.
"""

import asyncio
import contextlib
import functools
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator

CHECK_S = 0.5
"""How often it is looked whether the loop turns."""
STUCK_S = 0.5
"""A loop that has not turned for longer is stuck."""
_CTRL_C = b"\x03"


class KeyWatch:
    """Watches over one loop, and the terminal that its keys come from."""

    def __init__(self, descriptor: int, feed: Callable[[bytes], None]) -> None:
        """Read from `descriptor`; the loop is to call `feed` with the keys that it missed."""
        self._descriptor, self._feed = descriptor, feed
        self._loop = asyncio.get_running_loop()
        self._ended = threading.Event()
        self._turned = threading.Event()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the body runs."""
        if sys.platform == "win32":
            yield
            return
        thread = threading.Thread(target=self._watch, name="key watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(CHECK_S):
            self._turned.clear()
            if not self._post(self._turned.set):
                return
            if not self._turned.wait(STUCK_S):
                self._read_keys()

    def _read_keys(self) -> None:
        """Read in the loop's place until it turns again."""
        while not (self._turned.is_set() or self._ended.is_set()):
            try:
                readable, _, _ = select.select([self._descriptor], [], [], 0.05)
                if not readable or self._turned.is_set():
                    continue
                keys = os.read(self._descriptor, 1024)
            except OSError:
                return
            if not keys:  # the terminal is gone
                return
            # The loop may have turned, and read what was there, just before: then this is the next key, and its own.
            if _CTRL_C in keys and not self._turned.is_set():
                os.kill(os.getpid(), signal.SIGINT)
            elif not self._post(functools.partial(self._feed, keys)):
                return

    def _post(self, function: Callable[[], None]) -> bool:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop has ended
            return False
        return True
