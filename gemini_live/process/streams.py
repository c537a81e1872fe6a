"""The process's own standard streams: output written in the background, input read line by line.

Writing may block for as long as whoever reads the other end likes (`| less`), and the event loop must not: text is
handed to one daemon thread, which writes it in the order in which it was given, whatever stream it goes to.
"""

import asyncio
import codecs
import errno
import io
import os
import queue
import select
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO, cast

_CLOSED_PIPE = {errno.EPIPE, errno.EINVAL, errno.ESHUTDOWN}
"""What a write to a closed pipe says: EINVAL on Windows."""
_READ_BYTES = 65_536
MAX_LINE_CHARS = 1024 * 1024
"""A longer line is no question: it would cost memory and time, and no model accepts it."""
MIN_SECRET_CHARS = 12
"""Shorter ones are no keys, and may be parts of words."""


@dataclass(frozen=True)
class Streams:
    """Where a command reads and writes; a stream that the process does not have is `None`."""

    stdin: TextIO | None
    stdout: TextIO | None
    stderr: TextIO | None


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` is there and a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def are_one_terminal(stream: TextIO | None, other: TextIO | None) -> bool:
    """Whether both streams are the same terminal."""
    if stream is None or other is None or not (is_terminal(stream) and is_terminal(other)):
        return False
    return os.path.sameopenfile(stream.fileno(), other.fileno())


class BackgroundWriter:
    """Writes text to streams in a thread of its own, in order."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[TextIO, str] | threading.Event] = queue.SimpleQueue()
        self._failed: dict[TextIO, OSError] = {}
        self._on_failed: Callable[[TextIO, OSError], None] | None = None
        self._secret = ""
        threading.Thread(target=self._run, name="writer", daemon=True).start()

    def keep_secret(self, secret: str) -> None:
        """Write asterisks in place of `secret` from now on, whoever puts it into a text: a server, a traceback."""
        self._secret = secret if len(secret) >= MIN_SECRET_CHARS else ""

    def mask(self, text: str) -> str:
        """Return `text` without the secret."""
        return text.replace(self._secret, "***") if self._secret else text

    def write(self, stream: TextIO | None, text: str) -> None:
        """Queue `text` for `stream`; what cannot be written any more is dropped."""
        if stream is not None and text:
            self._queue.put((stream, self.mask(text)))

    def watch(self, on_failed: Callable[[TextIO, OSError], None] | None) -> None:
        """Have the writer's thread call `on_failed` when a stream fails, or now for one that has."""
        self._on_failed = on_failed
        if on_failed is not None:
            for stream, error in list(self._failed.items()):
                on_failed(stream, error)

    def error_of(self, stream: TextIO | None) -> OSError | None:
        """Return why `stream` cannot be written to, if it failed."""
        return self._failed.get(stream) if stream is not None else None

    def flush(self, timeout_s: float | None) -> bool:
        """Wait until all that was queued is written, but no longer than `timeout_s` if told; return whether it was."""
        written = threading.Event()
        self._queue.put(written)
        return written.wait(timeout_s)

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            stream, text = item
            if stream in self._failed:
                continue
            try:
                stream.write(text)
                stream.flush()
            except (OSError, ValueError) as error:  # ValueError: the stream object was closed
                self._failed[stream] = error if isinstance(error, OSError) else OSError(errno.EPIPE, str(error))
                if self._on_failed is not None:
                    self._on_failed(stream, self._failed[stream])


def is_closed_pipe(error: OSError) -> bool:
    """Whether a write failed because nobody reads any more, which is no error of the user's."""
    return error.errno in _CLOSED_PIPE


async def read_lines(stdin: TextIO) -> AsyncIterator[str]:
    """Yield the lines of `stdin` as they come, without their ends, until it ends; undecodable bytes are replaced.

    A stdin that is closed has ended.

    It reads the file descriptor itself, in the loop's default executor: a thread that waits inside Python's own
    buffered stdin holds a lock that the interpreter wants at exit.

    Raises:
        OSError: stdin cannot be read, or a line is longer than `MAX_LINE_CHARS`.
    """
    if stdin.closed:
        return
    loop = asyncio.get_running_loop()
    decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")  # without the mark that Windows puts first
    # Raw and unbuffered; on a Windows console this is the object that speaks Unicode, os.read is not.
    with open(stdin.fileno(), "rb", buffering=0, closefd=False) as raw:  # noqa: ASYNC230 - it is open already
        pieces, n_chars = list[str](), 0  # of the line that has not ended
        while data := await loop.run_in_executor(None, _read, raw):
            first, *others = decoder.decode(data).split("\n")
            pieces.append(first)
            n_chars += len(first)
            if n_chars > MAX_LINE_CHARS:
                raise OSError(errno.EMSGSIZE, f"a line is longer than {MAX_LINE_CHARS:,} characters")
            for rest in others:
                yield "".join(pieces).removesuffix("\r")
                pieces, n_chars = [rest], len(rest)
        pieces.append(decoder.decode(b"", final=True))
        if line := "".join(pieces):
            yield line.removesuffix("\r")


def _read(raw: BinaryIO) -> bytes:
    """Return what there is, waiting for some; empty at the end."""
    while (data := raw.read(_READ_BYTES)) is None:  # another process that shares it has made it non-blocking
        select.select([raw], [], [])
    return data


class LineWriter(io.TextIOBase):
    """Stands in for a stream of the process, and passes on, line by line, what is written to it."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        """Call `on_line` with each line, without its end, from whatever thread prints it."""
        self._on_line = on_line
        self._pending: dict[int, str] = {}
        """By thread, so that functions that run side by side do not write into each other's lines."""
        self.buffer = cast(BinaryIO, _Bytes(self))
        """Takes bytes, in UTF-8, as that of a stream of the process does."""

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Take text; a line without an end waits for it."""
        thread = threading.get_ident()
        *lines, rest = (self._pending.pop(thread, "") + text).split("\n")
        if rest:
            self._pending[thread] = rest
        for line in lines:
            self._on_line(line)
        return len(text)

    def end_line(self) -> None:
        """Pass on the line that this thread has begun, if it has."""
        if line := self._pending.pop(threading.get_ident(), ""):
            self._on_line(line)

    def finish(self) -> None:
        """Pass on the lines that have not ended."""
        pending, self._pending = self._pending, {}
        for line in pending.values():
            self._on_line(line)


class _Bytes(io.RawIOBase):
    """Takes bytes for a `LineWriter`."""

    def __init__(self, lines: LineWriter) -> None:
        self._lines = lines
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._lines.write(self._decoder.decode(bytes(data)))
        return len(data)
