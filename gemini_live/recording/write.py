"""Write a recording in a daemon thread: no caller waits for the disk, and no failure of the disk reaches a caller.

Any thread may call a `Recorder`. Its own thread turns messages into lines, in order, and writes them once a second.
What waits for the disk has a bound.
"""

import base64
import contextlib
import errno
import json
import math
import os
import queue
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import RecordingError
from .format import (
    FORMAT,
    MAX_FILE_BYTES,
    MAX_LINE_BYTES,
    Header,
    Sender,
    is_too_deep,
    redact,
    remove_media,
)

FLUSH_EVERY_S = 1.0
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Messages that may wait for the disk; further ones are dropped, and counted in the recording."""
MAX_UNWRITTEN_BYTES = 1024 * 1024
"""Lines are written before the second is over if they are longer than this."""
CLOSE_TIMEOUT_S = 5.0
MAX_INVALID_CHARS = 1_000
"""How much of a message that is not JSON is kept."""
MIN_SECRET_CHARS = 12
"""A shorter secret is no key, and may be a part of a word."""

_LOCKED_BYTE = 2**40

_Piece = tuple[float, dict[str, Any], str | bytes | None]
"""The time, the fields of the line, and the text of the message, if the line is about one."""


def timestamp(now: datetime | None = None) -> str:
    """Return the time, by default of now, as the header has it."""
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Recorder:
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
        """Create or open the file, and start the thread.

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
        self._path, self._header = path, replace(header, redacted=redact)
        self._redact, self._keep_media = redact, keep_media
        self._secrets = [form for secret in secrets if len(secret) >= MIN_SECRET_CHARS for form in _forms_of(secret)]
        self._on_failure, self._clock = on_failure, clock
        self._pieces: queue.SimpleQueue[_Piece | Future[bool] | None] = queue.SimpleQueue()
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

    def message(self, sender: Sender, connection: int, message: Mapping[str, Any] | str | bytes) -> None:
        """Record a message: an object, or the JSON text of one. Returns at once."""
        raw = message if isinstance(message, (str, bytes)) else _dump(message)
        self._add({"type": "message", "from": sender, "connection": connection}, raw)

    def connected(self, connection: int, url: str) -> None:
        """Record that a WebSocket is open; the user name and the query of its URL are left out."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self._add({"type": "connected", "connection": connection, "url": f"{parts.scheme}://{host}{parts.path}"})

    def closed(self, connection: int, code: int | None, reason: str, by: Sender) -> None:
        """Record that a WebSocket is closed."""
        self._add({"type": "closed", "connection": connection, "code": code, "reason": reason, "by": by})

    def local(self, event: str, **facts: Any) -> None:
        """Record something that the wire does not show; `facts` are numbers, texts and the like."""
        known = {name: None if _is_infinite(fact) else fact for name, fact in facts.items()}
        self._add({"type": "local", "event": event, **known})

    def flush(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Wait until everything recorded so far is in the file; return False if it is not there in time."""
        if self._failure is not None or not self._thread.is_alive():
            return False
        done: Future[bool] = Future()
        self._pieces.put(done)
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
                self._pieces.put((now_s, {"type": "local", "event": "messages_dropped", "n": n_dropped}, None))
            self._pieces.put((now_s, fields, raw))

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
            self._append(self._format(*piece))
            if piece[2] is not None:
                with self._lock:
                    self._n_waiting_bytes -= len(piece[2])
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

    def _take(self) -> "_Piece | Future[bool] | None":
        """Return what comes next; write the lines that are there once a second."""
        while True:
            wait_s = self._written_s + FLUSH_EVERY_S - time.monotonic() if self._unwritten else None
            try:
                return self._pieces.get(timeout=None if wait_s is None else max(0.0, wait_s))
            except queue.Empty:
                self._write_lines()

    def _begin(self) -> None:
        """Empty the file, and write the header at once."""
        self._file.truncate(0)
        header = self._header.to_json()
        if self._redact:
            header["setup"] = redact(json.loads(_dump(header["setup"])))
        self._append(self._mask(_dump(header)).encode() + b"\n")
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

    def _format(self, t_s: float, fields: dict[str, Any], raw: str | bytes | None) -> bytes:
        """Return the line of one entry; a message that no reader could read becomes a local event."""
        start = {"t_s": round(t_s, 6), **fields}
        if raw is None:
            line = _dump(start)
            if not line.startswith("{"):
                line = _dump({"t_s": start["t_s"], "type": "local", "event": "invalid_entry", "reason": line})
            return self._mask(line).encode() + b"\n"
        text, reason = self._read(raw)
        if reason:
            shown = {} if self._redact else {"text": text[:MAX_INVALID_CHARS]}
            lost = {"type": "local", "event": "invalid_message", "reason": reason, "n_bytes": len(raw), **shown}
            return self._mask(_dump({**start, **lost})).encode() + b"\n"
        return self._mask(f'{_dump(start)[:-1]},"message":{text}}}').encode() + b"\n"

    def _read(self, raw: str | bytes) -> tuple[str, str]:
        """Return the text of a message as the file holds it, or the message and why it cannot be kept."""
        text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
        if len(text) > MAX_LINE_BYTES // 2:
            return text, "too long"
        try:
            message = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return text, "not JSON"
        if not isinstance(message, dict):
            return text, "not an object"
        if is_too_deep(message):
            return text, "nested too deeply"
        return self._reduce(message, text), ""

    def _reduce(self, message: dict[str, Any], text: str) -> str:
        """Return the JSON of a message without what is not to be kept; `text` is the JSON that it came as."""
        if self._redact:
            return _dump(redact(message))
        if not self._keep_media:
            remove_media(message)
            return _dump(message)
        # Most messages can be copied as they are, which costs least.
        is_plain = text.isascii() and "\n" not in text and "\r" not in text and "\x7f" not in text
        return text if is_plain else _dump(message)

    def _mask(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _fail(self, reason: str) -> None:
        with self._lock:
            if self._failure is not None:
                return
            self._failure = f"{self._path} is incomplete: {reason}"
        self._on_failure(self._failure)

    def _refuse_rest(self) -> None:
        """Answer everybody who waits, and let go of what was not written."""
        with contextlib.suppress(queue.Empty):
            while True:
                piece = self._pieces.get_nowait()
                if isinstance(piece, Future):
                    piece.set_result(False)


def _is_infinite(fact: object) -> bool:
    return isinstance(fact, float) and not math.isfinite(fact)


def _dump(value: Any) -> str:
    """Return JSON in one line of ASCII, which is harmless on a terminal; bytes become base64, other objects text."""
    try:
        return json.dumps(value, separators=(",", ":"), default=_to_json, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as exc:
        return json.dumps(f"cannot be written as JSON: {exc}")


def _to_json(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, (bytes, bytearray)) else str(value)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _forms_of(secret: str) -> set[str]:
    """Return a secret as it is, and as JSON writes it."""
    return {secret, json.dumps(secret)[1:-1]}


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
        file = open(path, "wb", buffering=0, opener=open_it)  # noqa: SIM115 - the thread closes it
    except OSError as exc:
        raise RecordingError(str(path), None, f"cannot write the recording: {exc.strerror}") from exc
    _lock(file, path)
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # a file system that has no permissions
            os.fchmod(file.fileno(), 0o600)
    return file, is_new


def is_recording(path: Path) -> bool:
    """Return True if a file begins like a recording, of whatever version."""
    with path.open("rb") as file:
        start = file.read(200).replace(b" ", b"")
    return start.startswith(f'{{"format":"{FORMAT}"'.encode())


def _lock(file: FileIO, path: Path) -> None:
    """Keep other programs of ours from writing the same file, until it is closed."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - only Windows has it

            file.seek(_LOCKED_BYTE)  # others cannot read a byte that is locked: not one of the recording
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl  # noqa: PLC0415 - Windows has none

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno not in {errno.EAGAIN, errno.EACCES, errno.EDEADLK}:
            return  # a file system that has no locks
        file.close()
        raise RecordingError(str(path), None, "another program is writing this file; choose another name") from exc
