"""Write the model's speech to a WAV file, in a daemon thread: the event loop never waits for the disk."""

import asyncio
import contextlib
import os
import queue
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from io import FileIO
from pathlib import Path

from ..errors import ConfigError
from ..files import lock
from . import pcm as formats
from .conversion import SpeakerConverter

_HEADER_EVERY_S = 1.0
_CLOSE_TIMEOUT_S = 5.0
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Speech that may wait for the disk; more is dropped, and the file is reported as incomplete."""

_MARK = b"LIST" + struct.pack("<I4s4sI", 24, b"INFO", b"ISFT", 12) + b"gemini-live\0"
"""A chunk that names this program, by which it recognises a file that it may overwrite."""


class OutputFile:
    """A WAV file, mono, 16 bits, 24 kHz, that grows in the background.

    The previous content is kept until `start` or the first sound, so that a session that never began destroys nothing.
    The header is updated once a second and at the end, so that the file can be played even after the program was
    killed.
    """

    def __init__(self, path: Path, on_error: Callable[[str], None] | None = None, *, force: bool = False) -> None:
        """Check that the file can be written.

        Args:
            path: The file; its name must end in `.wav`.
            on_error: Called once, on the loop, when nothing more can be written, with the reason.
            force: True to overwrite a sound file that another program wrote.

        Raises:
            ConfigError: The file cannot be written, or was not written by this program.
        """
        self._path = path
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._pieces: queue.SimpleQueue[tuple[bytes, int] | None] = queue.SimpleQueue()
        self._done: Future[None] = Future()
        # From here on it cannot be cancelled by a caller that stops waiting for it.
        self._done.set_running_or_notify_cancel()
        self._started = self._is_overrun = False
        self._n_given_bytes = 0
        """Written by the event loop only."""
        self._n_taken_bytes = 0
        """Written by the thread only."""
        self._file, self._is_new = _open_as_it_is(path, force=force)
        if not lock(self._file):
            self._file.close()
            raise ConfigError(f"cannot write {path}: another program is writing it; choose another name")
        self._keeps = not self._is_new and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
        if not self._keeps:
            try:
                self._file.write(_build_header(0))
            except OSError as exc:
                self._file.close()
                raise ConfigError(f"cannot write {path}: {exc.strerror}") from exc

    def start(self) -> None:
        """Empty the file and begin to write: the session is live."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="output-file", daemon=True).start()

    def write(self, pcm: bytes, rate_hz: int) -> None:
        """Append mono PCM of any length and rate; returns at once."""
        self.start()
        if self._n_given_bytes - self._n_taken_bytes >= MAX_WAITING_BYTES:
            if not self._is_overrun and self._on_error is not None:
                self._on_error(f"{self._path} will be incomplete: the disk is too slow")
            self._is_overrun = True
            return
        self._n_given_bytes += len(pcm)
        self._pieces.put((pcm, rate_hz))

    async def close(self) -> None:
        """Write the rest and finish the file, in five seconds at most.

        Raises:
            ConfigError: The file is incomplete, whether writing failed now or earlier.
        """
        if not self._started:
            self._file.close()
            if self._is_new:
                self._path.unlink(missing_ok=True)
            return
        self._pieces.put(None)
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.wrap_future(self._done)
        except TimeoutError as exc:
            raise ConfigError(f"{self._path} is incomplete: the disk does not respond") from exc
        except OSError as exc:
            raise ConfigError(f"{self._path} is incomplete: {exc.strerror}") from exc
        if self._is_overrun:
            raise ConfigError(f"{self._path} is incomplete: the disk was too slow")

    def _run(self) -> None:
        try:
            with self._file:
                if self._keeps:
                    self._file.truncate(0)
                    self._write_header(0)
                self._write_all()
        except OSError as exc:
            if self._on_error is not None:
                message = f"{self._path} cannot be written any more: {exc.strerror}"
                # The loop may have ended by then.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._on_error, message)
            self._done.set_exception(exc)
        else:
            self._done.set_result(None)

    def _write_all(self) -> None:
        converter = SpeakerConverter(formats.OUTPUT.rate_hz, 1)
        n_bytes, n_in_header = 0, 0
        header_s = time.monotonic()
        for item in self._take():
            piece = converter.feed(*item) if item is not None else converter.flush()
            self._write(piece)
            if item is not None:
                self._n_taken_bytes += len(item[0])
            n_bytes += len(piece)
            if n_bytes != n_in_header and time.monotonic() - header_s >= _HEADER_EVERY_S:
                self._write_header(n_bytes)
                n_in_header, header_s = n_bytes, time.monotonic()
        self._write_header(n_bytes)

    def _take(self) -> Iterator[tuple[bytes, int] | None]:
        """Yield each piece, and None at the end and whenever nothing came for a second."""
        while True:
            try:
                item = self._pieces.get(timeout=_HEADER_EVERY_S)
            except queue.Empty:
                yield None
                continue
            yield item
            if item is None:
                return

    def _write(self, pcm: bytes) -> None:
        while pcm:
            pcm = pcm[self._file.write(pcm) :]

    def _write_header(self, n_bytes: int) -> None:
        self._file.seek(0)
        self._write(_build_header(n_bytes))
        self._file.seek(0, os.SEEK_END)


def _open_as_it_is(path: Path, *, force: bool) -> tuple[FileIO, bool]:
    """Open a file for writing and keep its content. Return also True if the file is new.

    The file is unbuffered, so that everything written survives a kill.
    """

    def open_it(name: str, flags: int) -> int:
        return os.open(name, flags & ~os.O_TRUNC, 0o666)

    try:
        # Opening a pipe would wait for somebody to read it.
        if path.is_fifo():
            raise ConfigError(f"cannot write {path}: it is a pipe, not a file")
        if path.suffix.lower() != ".wav" and (path.is_file() or not path.exists()):
            raise ConfigError(f"cannot write {path}: --output-file writes WAV only; name it {path.with_suffix('.wav')}")
        if path.is_file() and not force and not _is_ours(path):
            raise ConfigError(
                f"cannot write {path}: gemini-live did not write this file; choose another name, or overwrite it with "
                "--force"
            )
        if path.is_file() and not (_is_ours(path) or _is_sound(path)):
            raise ConfigError(
                f"cannot write {path}: it is not a WAV file, whatever its name says, and --force overwrites sound only"
            )
        try:
            return path.open("xb", buffering=0), True
        except FileExistsError:
            file = open(path, "wb", buffering=0, opener=open_it)  # noqa: SIM115 - the caller closes it
    except OSError as exc:
        raise ConfigError(f"cannot write {path}: {exc.strerror}") from exc
    if not file.seekable():
        file.close()
        raise ConfigError(f"cannot write {path}: it is a terminal or a pipe, not a file")
    return file, False


def _is_ours(path: Path) -> bool:
    """Return True if overwriting the file loses nothing of another program: it is empty, or carries our mark."""
    with path.open("rb") as file:
        start = file.read(len(_build_header(0)))
    return not start or (start.startswith(b"RIFF") and _MARK in start)


def _is_sound(path: Path) -> bool:
    """Return True if a file is a WAV file: no link or name may lead to somebody's text, key or history."""
    with path.open("rb") as file:
        start = file.read(12)
    return start[:4] in {b"RIFF", b"RF64"} and start[8:] == b"WAVE"


def _build_header(n_bytes: int) -> bytes:
    """Return the bytes before the samples. `wave` cannot add the chunk with our mark.

    The sizes stop growing where a WAV file ends, at 4 GB, which is a day of sound.
    """
    rate_hz, sample_bytes = formats.OUTPUT.rate_hz, formats.SAMPLE_BYTES
    layout = struct.pack("<HHIIHH", 1, 1, rate_hz, rate_hz * sample_bytes, sample_bytes, 8 * sample_bytes)
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + _MARK
    n_bytes = min(n_bytes, 0xFFFF_FFFF - len(chunks) - 16)
    return b"RIFF" + struct.pack("<I", len(chunks) + 8 + n_bytes) + chunks + b"data" + struct.pack("<I", n_bytes)
