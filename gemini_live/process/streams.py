"""The standard streams: reserved for the command itself, and written in the background.

A write may block for as long as the reader likes (`| less`), but the event loop must not block. So one daemon thread
writes all text, in the order in which it was queued, whichever stream it goes to.
"""

import contextlib
import errno
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TextIO

from ..escaping import MIN_SECRET_CHARS
from ..frozen import Frozen

_CLOSED_PIPE = {errno.EPIPE, errno.EINVAL, errno.ESHUTDOWN}
"""The errors of a write to a closed pipe; EINVAL is that of Windows."""
MAX_UNREAD_CHARS = 8 * 1024 * 1024
"""If more text than this waits for a stream, no more should be produced (`is_behind`)."""
MAX_UNREAD_DIAGNOSTICS_CHARS = 1024 * 1024
"""If more text than this waits for stderr, further lines are dropped and counted."""


class Streams(Frozen):
    """The standard streams of the command; a stream is `None` if it was closed when the process started."""

    stdin: TextIO | None
    stdout: TextIO | None
    stderr: TextIO | None


def is_terminal(stream: TextIO | None) -> bool:
    """True if `stream` is open and is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def are_one_terminal(stream: TextIO | None, other: TextIO | None) -> bool:
    """True if both streams are the same terminal."""
    if stream is None or other is None or not (is_terminal(stream) and is_terminal(other)):
        return False
    return os.path.sameopenfile(stream.fileno(), other.fileno())


def claim_stdout() -> TextIO | None:
    """Return stdout on a new descriptor, and let the old descriptor lead to stderr.

    A user's function, or a program that it runs, writes to the old descriptor: it must not write into the conversation.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # This takes the lowest free number, which is the closed stream's. Otherwise a socket would get the number,
            # and text for stderr would go into the socket.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # UTF-8 in a pipe on every system; a character that the encoding lacks is escaped and does not raise.
            encoding = stream.encoding if stream.isatty() or "PYTHONIOENCODING" in os.environ else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")  # type: ignore[union-attr]
    if sys.stdout is not None:
        own = os.dup(sys.stdout.fileno())
        os.dup2(2, sys.stdout.fileno())
        encoding = sys.stdout.encoding
        sys.stdout = open(own, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    return sys.stdout


def claim_stdin() -> TextIO | None:
    """Return stdin on a new descriptor, and let the old descriptor lead to an empty file.

    A user's function, or a program that it runs, reads the old descriptor: it must not read the questions or the keys
    of the prompt. On Windows stdin stays as it is, because the console is read by its handle.
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


def flush(*streams: TextIO | None) -> None:
    """Flush `streams`. One that fails gets the null device, so that the interpreter does not fail on it at exit."""
    for stream in streams:
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class BackgroundWriter:
    """Writes text to streams in a thread of its own, in order.

    The text that waits is bounded, because a stream may have no reader. Text for stdout is never dropped: `is_behind`
    tells its producer to wait. Lines for stderr are dropped and counted.
    """

    def __init__(self, diagnostics: TextIO | None = None) -> None:
        """Start the thread; `diagnostics` is the stream whose lines may be dropped."""
        self._queue: queue.SimpleQueue[tuple[TextIO, str] | threading.Event] = queue.SimpleQueue()
        self._failed: dict[TextIO, OSError] = {}
        self._on_failed: Callable[[TextIO, OSError], None] | None = None
        self._secrets: list[str] = []
        self._diagnostics = diagnostics
        self._lock = threading.RLock()
        """Guards the counts below: a signal handler or a `__del__` may write in the middle of a write."""
        self._n_unread: dict[TextIO, int] = {}
        self._n_dropped = 0
        threading.Thread(target=self._run, name="writer", daemon=True).start()

    @property
    def is_behind(self) -> bool:
        """True if so much text waits to be written that no more should be produced."""
        with self._lock:
            counts = list(self._n_unread.items())
        return any(n > MAX_UNREAD_CHARS for stream, n in counts if stream is not self._diagnostics)

    def keep_secrets(self, secrets: Iterable[str]) -> None:
        """Write asterisks in place of `secrets` from now on, also if a server or a traceback contains them."""
        kept = {secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS}
        self._secrets = sorted({*self._secrets, *kept}, key=len, reverse=True)  # one may be a part of another

    def mask(self, text: str) -> str:
        """Return `text` without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def write(self, stream: TextIO | None, text: str) -> None:
        """Queue `text` for `stream`. Text for a stream that has failed, or for no stream, is dropped."""
        if stream is None or not text:
            return
        text = self.mask(text)
        with self._lock:
            n_unread = self._n_unread.get(stream, 0)
            if stream is self._diagnostics:
                if n_unread and n_unread + len(text) > MAX_UNREAD_DIAGNOSTICS_CHARS:
                    self._n_dropped += 1
                    return
                text = self._report_dropped() + text
            self._n_unread[stream] = n_unread + len(text)
            self._queue.put((stream, text))

    def _report_dropped(self) -> str:
        n_dropped, self._n_dropped = self._n_dropped, 0
        if not n_dropped:
            return ""
        return f"gemini-live: warning: the output was not read: {n_dropped} lines of stderr dropped\n"

    def watch(self, on_failed: Callable[[TextIO, OSError], None] | None) -> None:
        """Call `on_failed` in the writer's thread when a stream fails, and at once for each that has failed before."""
        self._on_failed = on_failed
        if on_failed is not None:
            for stream, error in list(self._failed.items()):
                on_failed(stream, error)

    def error_of(self, stream: TextIO | None) -> OSError | None:
        """Return why `stream` cannot be written to, if it failed."""
        return self._failed.get(stream) if stream is not None else None

    def flush(self, timeout_s: float | None) -> bool:
        """Wait until all queued text is written. Return False if that took longer than `timeout_s`."""
        written = threading.Event()
        with self._lock:
            if self._diagnostics is not None and (report := self._report_dropped()):
                self._queue.put((self._diagnostics, report))
        self._queue.put(written)
        return written.wait(timeout_s)

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            stream, text = item
            if stream not in self._failed:
                self._write(stream, text)
            with self._lock:
                self._n_unread[stream] = max(0, self._n_unread.get(stream, 0) - len(text))

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream object was closed
            self._failed[stream] = error if isinstance(error, OSError) else OSError(errno.EPIPE, str(error))
            if self._on_failed is not None:
                self._on_failed(stream, self._failed[stream])


def is_closed_pipe(error: OSError) -> bool:
    """True if a write failed because the reader has closed the pipe, which is not a mistake of the user's."""
    return error.errno in _CLOSED_PIPE
