"""Lines in and out: reads stdin line by line, and stands in for stdout and stderr where other code prints."""

import codecs
import contextlib
import errno
import io
import queue
import select
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_READ_BYTES = 65_536
_MAX_PIECES = 1_000
"""A line is kept as up to this many pieces, because joining it at every write would take quadratic time."""
MAX_LINE_CHARS = 1024 * 1024
"""A longer line of stdin is refused: it would cost memory and time, and no model accepts it."""
MAX_PRINTED_LINE_CHARS = 100_000
"""The rest of a longer line that a function prints is dropped and counted."""
MAX_PRINTED_LINES = 1_000
"""If more printed lines than this wait to be written, the threads that print wait."""
MAX_HELD_LINES = 10_000
"""If the event loop hangs, more printed lines than this are dropped and counted."""
LOOP_HANGS_S = 0.5
"""After this time without a line written, the event loop is taken to hang, and the threads that print do not wait."""


async def read_bytes(stdin: TextIO) -> AsyncIterator[bytes]:
    """Yield the bytes of `stdin` as they come, until it ends. A stdin that is closed has ended.

    It reads the file descriptor itself, in the loop's default executor: a thread that waits inside Python's own
    buffered stdin holds a lock that the interpreter needs at exit.

    Raises:
        OSError: stdin cannot be read.
    """
    if stdin.closed:
        return
    import asyncio  # noqa: PLC0415 - slow to import, and not needed for --help

    loop = asyncio.get_running_loop()
    # Raw and unbuffered; on a Windows console this is the object that speaks Unicode, os.read is not.
    with open(stdin.fileno(), "rb", buffering=0, closefd=False) as raw:  # noqa: ASYNC230 - it is open already
        while data := await loop.run_in_executor(None, _read, raw):
            yield data


async def read_lines(stdin: TextIO) -> AsyncIterator[str]:
    """Yield the lines of `stdin` as they come, without their ends, until it ends; replace undecodable bytes.

    Raises:
        OSError: stdin cannot be read, or a line is longer than `MAX_LINE_CHARS`.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")  # without the mark that Windows puts first
    pieces, n_chars = list[str](), 0  # of the line that has not ended
    async for data in read_bytes(stdin):
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
    """Wait for bytes and return them; return no bytes at the end of the stream."""
    while (data := raw.read(_READ_BYTES)) is None:  # another process has made the shared stream non-blocking
        select.select([raw], [], [])
    return data


class _Line:
    """An incomplete line as a terminal would show it: text after a carriage return overwrites the text before it."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._n_chars = self._n_dropped = 0
        self._returns = False
        """True if the line ends with a carriage return, which overwrites the line only if text follows."""

    def add(self, text: str) -> None:
        """Append text without a line break, up to `MAX_PRINTED_LINE_CHARS`."""
        if not text:
            return
        text = "\r" + text if self._returns else text
        self._returns = text.endswith("\r")
        _, overwrites, newest = text.rstrip("\r").rpartition("\r")
        if overwrites:
            self._pieces, self._n_chars, self._n_dropped = [], 0, 0
        kept = newest[: MAX_PRINTED_LINE_CHARS - self._n_chars]
        if kept:
            self._pieces.append(kept)
        self._n_chars += len(kept)
        self._n_dropped += len(newest) - len(kept)
        if len(self._pieces) > _MAX_PIECES:
            self._pieces = ["".join(self._pieces)]

    def text(self) -> str:
        """Return the line, which is empty if nothing was written."""
        dropped = f"... ({self._n_chars + self._n_dropped:,} characters)" if self._n_dropped else ""
        return "".join(self._pieces) + dropped


class LineWriter(io.TextIOBase):
    """Replaces `sys.stdout` or `sys.stderr`: calls a function with each complete line that is written."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        """Call `on_line` with each line, without its end, from whatever thread prints it."""
        self._on_line = on_line
        self._pending: dict[int, _Line] = {}
        """The incomplete line of each thread, so that functions in different threads do not mix their lines."""
        self.buffer = cast(BinaryIO, _Bytes(self))
        """Accepts bytes in UTF-8, as `sys.stdout.buffer` does."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Add text and pass on the lines that are complete; return the length of the text."""
        thread = threading.get_ident()
        *ended, rest = text.split("\n")
        for part in ended:
            line = self._pending.pop(thread, None) or _Line()
            line.add(part)
            self._on_line(line.text())
        if rest:
            self._pending.setdefault(thread, _Line()).add(rest)
        return len(text)

    def close(self) -> None:
        """Do nothing: a function that closes its stdout must not silence the functions after it."""

    def end_line(self) -> None:
        """Pass on the incomplete line of this thread, if there is one."""
        line = self._pending.pop(threading.get_ident(), None)
        if line is not None and (text := line.text()):
            self._on_line(text)

    def finish(self) -> None:
        """Pass on all incomplete lines."""
        pending, self._pending = self._pending, {}
        for line in pending.values():
            if text := line.text():
                self._on_line(text)


class _Bytes(io.RawIOBase):
    """Decodes bytes and writes them to a stream of text."""

    def __init__(self, lines: io.TextIOBase) -> None:
        self._lines = lines
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._lines.write(self._decoder.decode(bytes(data)))
        return len(data)

    def close(self) -> None:
        """Do nothing, as the stream of text does."""


class PrintedLines:
    """Passes the lines that user code prints, in whatever thread, to the thread that may write them, in order.

    It uses `SimpleQueue` and bounds it itself, because user code may print in a `__del__` that runs in the middle of a
    `put`: of the library's queues, only this one may be re-entered in the same thread (docs of `queue.SimpleQueue`).
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        """Call `write` with each line; until `use` is called, in the thread that prints."""
        self._write = write
        self._loop: AbstractEventLoop | None = None
        self._loops_thread = 0
        self._waiting: queue.SimpleQueue[str | threading.Lock] = queue.SimpleQueue()
        """The lines, and a lock for each thread that waits until the lines before it are written."""
        self._is_scheduled = False
        """True if the loop will write what waits."""
        self._loop_hangs = self._is_closed = False
        self._n_dropped = 0
        self._writing = threading.Lock()

    def use(self, loop: "AbstractEventLoop") -> None:
        """Write in the thread of `loop` from now on. Must be called in that thread."""
        self._loop, self._loops_thread = loop, threading.get_ident()
        self._schedule()

    def put(self, line: str) -> None:
        """Queue a line. In the loop's own thread, write all queued lines at once.

        In other threads, wait while too many lines are queued. If the loop hangs, do not wait, and drop lines beyond
        `MAX_HELD_LINES`.
        """
        if self._is_closed:
            return
        if self._loop_hangs and self._waiting.qsize() >= MAX_HELD_LINES:
            self._n_dropped += 1
            return
        self._waiting.put(line)
        if self._loop is None or threading.get_ident() == self._loops_thread:
            self.write_waiting()
            return
        self._schedule()
        if self._waiting.qsize() > MAX_PRINTED_LINES and not self._loop_hangs:
            written = threading.Lock()
            written.acquire()
            self._waiting.put(written)
            self._loop_hangs = not written.acquire(timeout=LOOP_HANGS_S)

    def _schedule(self) -> None:
        """Ask the loop to write the queued lines, once for many lines, so that the loop can process keys meanwhile."""
        if not self._is_scheduled and self._loop is not None:
            self._is_scheduled = True
            with contextlib.suppress(RuntimeError):  # the loop has ended: `close` writes what waits
                self._loop.call_soon_threadsafe(self.write_waiting)

    def write_waiting(self) -> None:
        """Write the lines that are queued now. Lines that are printed meanwhile are written later."""
        if not self._writing.acquire(blocking=False):  # another call is writing, perhaps further up in this thread
            return
        try:
            self._is_scheduled = self._loop_hangs = False
            for _ in range(self._waiting.qsize()):
                match self._waiting.get_nowait():
                    case str(line):
                        self._write(line)
                    case written:
                        written.release()
            if self._n_dropped and self._waiting.empty():
                n_dropped, self._n_dropped = self._n_dropped, 0
                self._write(f"({n_dropped:,} printed lines were dropped, because a function blocked the event loop)")
        finally:
            self._writing.release()
        if not self._waiting.empty():
            self._schedule()

    def close(self) -> None:
        """Write the queued lines, and ignore lines that are printed from now on."""
        self._is_closed = True
        self.write_waiting()


class MaskedStream(io.TextIOBase):
    """Replaces `sys.stderr`: writes text at once, with the secrets masked, and cannot be closed."""

    def __init__(self, stream: TextIO, mask: Callable[[str], str]) -> None:
        """Write to `stream`, after `mask` has removed the secrets from the text."""
        self._stream, self._mask = stream, mask
        self.buffer = cast(BinaryIO, _Bytes(self))
        """Accepts bytes in UTF-8, as `sys.stdout.buffer` does."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the encoding of the stream."""
        return self._stream.encoding

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return True if the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write text with the secrets masked, except a secret that is split between two writes."""
        self._stream.write(self._mask(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def close(self) -> None:
        """Do nothing, because other code writes to the stream too."""
