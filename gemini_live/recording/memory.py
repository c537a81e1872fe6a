"""Keep the newest part of a session in memory, so that it can be saved later.

Any thread may call a `SessionMemory`. Messages lose their sound and pictures when they get old, and the oldest entries
are dropped: both parts have a bound.
"""

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .format import Header, remove_media
from .lines import EntrySink, LineFormat, Piece, dump
from .write import open_new

MAX_WHOLE_BYTES = 32 * 1024 * 1024
"""Messages that are kept with their media: about five minutes of speech in both directions."""
MAX_OLDER_BYTES = 16 * 1024 * 1024
"""Older messages, without media."""
_ENTRY_BYTES = 500
"""What an entry takes beside its message."""


class SessionMemory(EntrySink):
    """The newest part of a session."""

    def __init__(
        self,
        *,
        header: Header,
        redact: bool = False,
        secrets: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin now; the arguments are those of `Recorder`."""
        self._header, self._clock = header, clock
        self._format = LineFormat(redact=redact, secrets=secrets)
        self._began_s = clock()
        self._whole: deque[Piece] = deque()
        self._older: deque[Piece] = deque()
        self._n_whole_bytes = self._n_older_bytes = 0
        self._lock = threading.Lock()

    def save(self, path: Path) -> None:
        """Write what is kept to a new file.

        Raises:
            OSError: The file exists, or cannot be written.
        """
        with self._lock:
            pieces = [*self._older, *self._whole]
        with open_new(path) as file:
            file.write(self._format.header(self._header))
            for piece in pieces:
                file.write(self._format.entry(*piece))

    def _add(self, fields: dict[str, Any], raw: str | bytes | None = None) -> None:
        with self._lock:
            piece = Piece(self._clock() - self._began_s, fields, raw)
            self._whole.append(piece)
            self._n_whole_bytes += _size_of(piece)
            while self._n_whole_bytes > MAX_WHOLE_BYTES:
                old = self._whole.popleft()
                self._n_whole_bytes -= _size_of(old)
                old = old._replace(raw=_without_media(old.raw))
                self._older.append(old)
                self._n_older_bytes += _size_of(old)
            while self._n_older_bytes > MAX_OLDER_BYTES:
                self._n_older_bytes -= _size_of(self._older.popleft())


def _size_of(piece: Piece) -> int:
    return _ENTRY_BYTES + len(piece.raw or b"")


def _without_media(raw: str | bytes | None) -> str | bytes | None:
    if raw is None:
        return None
    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(raw)
        remove_media(message)
        return dump(message)
    return raw[:_ENTRY_BYTES]
