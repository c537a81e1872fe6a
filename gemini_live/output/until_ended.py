"""Keeps `SessionEnded` the last event, whichever thread writes it."""

import threading

from ..process.ending import LAST_LINE_S
from .events import Event, Output, SessionEnded


class UntilEnded:
    """Passes events on to a writer until the first `SessionEnded`, and drops every event after it.

    The main thread writes the events; the thread of a deadline writes the last ones if the main thread hangs.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._has_ended = False
        self._lock = threading.RLock()
        """Reentrant, because a `__del__` may print in the middle of an event."""

    def emit(self, event: Event) -> None:
        """Write `event`, unless the last event was written."""
        is_free = self._lock.acquire(timeout=LAST_LINE_S)  # the main thread may hang with it
        try:
            if not self._has_ended:
                self._has_ended = isinstance(event, SessionEnded)
                self._output.emit(event)
        finally:
            if is_free:
                self._lock.release()
