"""Write a recording in a daemon thread: no caller waits for the disk, and no failure of the disk reaches a caller.

Any thread may call a `Recorder`. Its own thread turns messages into lines, in order, and writes them once a second.
What waits for the disk has a bound.
"""

import contextlib
import errno
import os
import queue
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import RecordingError
from ..files import lock
from .format import FORMAT, MAX_FILE_BYTES, Header
from .lines import EntrySink, LineFormat, Piece

FLUSH_EVERY_S = 1.0
BATCH_S = 0.25
"""How often the thread looks for messages: waking it for each one would cost more than writing it."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Messages that may wait for the disk; further ones are dropped, and counted in the recording."""
MAX_UNWRITTEN_BYTES = 1024 * 1024
"""Lines are written before the second is over if they are longer than this."""
CLOSE_TIMEOUT_S = 5.0


class Recorder(EntrySink):
    """A recording that grows in the background.

    The file is created at once, and readable by its owner only. The content of an older recording is kept until there
    is something to write, so that a session that never began destroys nothing.
    """

    def __init__(
        self,
        path: Path,
        *,
        header: Header,
        redact: bool = False,
        keep_media: bool = True,
        force: bool = False,
        secrets: Sequence[str] = (),
        on_failure: Callable[[str], None] = lambda reason: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create or open the file, and start the thread. Over 40 lines: its arguments and what they mean.

        Args:
            path: The file.
            header: Its first line. `redacted` is set as `redact` says.
            redact: True to remove media and to replace words by their length.
            keep_media: False to remove media and keep words.
            force: True to overwrite a file that is not a recording.
            secrets: Texts that are replaced by `***` wherever they appear.
            on_failure: Called once, in the recorder's thread, with one line if nothing more can be written.
            clock: The time in seconds. The recording begins at the time of this call.

        Raises:
            RecordingError: The file cannot be written, is not a recording, or another program writes it.
        """
        self._path, self._header = path, header
        self._format = LineFormat(redact=redact, keep_media=keep_media, secrets=secrets)
        self._on_failure, self._clock = on_failure, clock
        self._pieces: queue.SimpleQueue[Piece | Future[bool] | None] = queue.SimpleQueue()
        self._is_wanted = threading.Event()
        """Set if the thread should look at once."""
        self._lock = threading.RLock()
        """Guards the order of the times, and the counts of what waits."""
        self._n_waiting_bytes = self._n_dropped = 0
        self._is_closed = False
        self._failure: str | None = None
        self._n_written_bytes = 0
        self._unwritten: list[bytes] = []
        self._n_unwritten_bytes = 0
        self._written_s = 0.0
        """When lines were last written, by the real clock. Only the thread uses this and the two fields above."""
        self._file, self._is_new = _open_as_it_is(path, force=force)
        self._began_s = clock()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """Return the file's path."""
        return self._path

    @property
    def failure(self) -> str | None:
        """Return why the recording is incomplete, or None if it is complete."""
        return self._failure

    def flush(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Wait until everything recorded so far is in the file; return False if it is not there in time."""
        if self._failure is not None or not self._thread.is_alive():
            return False
        done: Future[bool] = Future()
        self._pieces.put(done)
        self._is_wanted.set()
        try:
            return done.result(timeout_s)
        except TimeoutError:
            return False

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Write what waits and close the file; return False if the recording is incomplete."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._pieces.put(None)
        self._is_wanted.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._fail("the disk does not respond")
        return self._failure is None

    def _add(self, fields: dict[str, Any], raw: str | bytes | None = None) -> None:
        n_bytes = len(raw) if raw is not None else 0
        with self._lock:
            if self._is_closed or self._failure is not None:
                return
            if self._n_waiting_bytes + n_bytes > MAX_WAITING_BYTES and self._n_waiting_bytes:
                self._n_dropped += 1
                return
            self._n_waiting_bytes += n_bytes
            now_s = self._clock() - self._began_s
            n_dropped, self._n_dropped = self._n_dropped, 0
            if n_dropped:
                self._pieces.put(Piece(now_s, {"type": "local", "event": "messages_dropped", "n": n_dropped}, None))
            self._pieces.put(Piece(now_s, fields, raw))

    # In the thread

    def _run(self) -> None:
        with self._file:
            try:
                self._write_all()
            except OSError as exc:
                self._fail(exc.strerror or str(exc))
            self._refuse_rest()

    def _write_all(self) -> None:
        is_begun = False
        while (piece := self._take()) is not None:
            if isinstance(piece, Future):
                self._answer(piece)
                continue
            if not is_begun:
                self._begin()
                is_begun = True
            self._append(self._format.entry(*piece))
            if piece.raw is not None:
                with self._lock:
                    self._n_waiting_bytes -= len(piece.raw)
        if not is_begun and self._is_new:
            self._begin()
        self._write_lines()

    def _answer(self, flushed: Future[bool]) -> None:
        is_written = False
        try:
            self._write_lines()
            is_written = True
        finally:
            flushed.set_result(is_written)

    def _take(self) -> "Piece | Future[bool] | None":
        """Return what comes next; write the lines that are there once a second."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._pieces.get_nowait()
            if self._unwritten and time.monotonic() - self._written_s >= FLUSH_EVERY_S:
                self._write_lines()
            self._is_wanted.wait(BATCH_S)
            self._is_wanted.clear()

    def _begin(self) -> None:
        """Empty the file, and write the header at once."""
        self._file.truncate(0)
        self._append(self._format.header(self._header))
        self._write_lines()

    def _append(self, line: bytes) -> None:
        if not self._unwritten:
            self._written_s = time.monotonic()
        self._unwritten.append(line)
        self._n_unwritten_bytes += len(line)
        is_due = time.monotonic() - self._written_s >= FLUSH_EVERY_S
        if is_due or self._n_unwritten_bytes > MAX_UNWRITTEN_BYTES:
            self._write_lines()

    def _write_lines(self) -> None:
        data = memoryview(b"".join(self._unwritten))
        self._unwritten.clear()
        self._n_unwritten_bytes = 0
        if self._n_written_bytes + len(data) > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, f"the recording is as long as it may be ({MAX_FILE_BYTES >> 30} GiB)")
        self._n_written_bytes += len(data)
        while data:
            data = data[self._file.write(data) :]

    def _fail(self, reason: str) -> None:
        with self._lock:
            if self._failure is not None:
                return
            self._failure = f"{self._path} is incomplete: {reason}"
        self._on_failure(self._failure)

    def _refuse_rest(self) -> None:
        """Answer every `flush` that waits, and discard what was not written."""
        with contextlib.suppress(queue.Empty):
            while True:
                piece = self._pieces.get_nowait()
                if isinstance(piece, Future):
                    piece.set_result(False)


def _open_as_it_is(path: Path, *, force: bool) -> tuple[FileIO, bool]:
    """Open a file for writing, keep its content, and lock it. Return also True if the file is new or empty."""

    def open_it(name: str, flags: int) -> int:
        return os.open(name, flags & ~os.O_TRUNC, 0o600)

    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise RecordingError(str(path), None, "cannot write the recording: it is not a file")
        is_new = not path.exists() or path.stat().st_size == 0
        if not (is_new or force or is_recording(path)):
            raise RecordingError(
                str(path), None, "it is not a recording; choose another name, or overwrite it with --force"
            )
        if not is_new and not is_recording(path) and not _is_json(path):
            raise RecordingError(
                str(path), None, "it holds no JSON, whatever its name says, and --force overwrites JSON lines only"
            )
        file = open(path, "wb", buffering=0, opener=open_it)  # noqa: SIM115 - the thread closes it
    except OSError as exc:
        raise RecordingError(str(path), None, f"cannot write the recording: {exc.strerror}") from exc
    if not lock(file):
        file.close()
        raise RecordingError(str(path), None, "another program is writing this file; choose another name")
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # a file system that has no permissions
            os.fchmod(file.fileno(), 0o600)
    return file, is_new


def open_new(path: Path) -> BinaryIO:
    """Create a file that only its owner can read.

    Raises:
        OSError: It exists, or cannot be created.
    """
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


def is_recording(path: Path) -> bool:
    """Return True if a file begins like a recording, of whatever version."""
    with path.open("rb") as file:
        start = file.read(200).replace(b" ", b"")
    return start.startswith(f'{{"format":"{FORMAT}"'.encode())


def _is_json(path: Path) -> bool:
    """Return True if a file begins like JSON lines: no link or name may lead to somebody's key or text."""
    with path.open("rb") as file:
        return file.read(2).startswith(b"{")
