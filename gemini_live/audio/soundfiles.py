"""Sound files in place of devices: `InputFile` for the microphone, `OutputFile` for the speaker.

WAV files of whole-number samples are read here; for the rest soundfile is needed, an extra. Files are read as they are
used, so that their length does not matter. Writing is done by a daemon thread: the loop never waits for it.
"""

import asyncio
import contextlib
import os
import queue
import stat
import struct
import threading
import time
import weakref
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from ..errors import ConfigError, MissingExtraError
from . import pcm as formats
from .conversion import MicrophoneConverter, SpeakerConverter

_PIECE_S = 0.02
"""Read at a time: the loop is held up for a millisecond or two at most, whatever the file."""
_MAX_CHANNELS = 256

_PCM, _EXTENSIBLE = 1, 0xFFFE
_UNKNOWN_SIZES = (0, 0xFFFF_FFFF)
"""What programs that write into a pipe put where they cannot know better."""
_AUDIO_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff")
"""How files begin that soundfile may read; MP3 may begin in other ways, too."""

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_HEADER_EVERY_S = 1.0
_CLOSE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class _Source:
    """A sound file as something that 16-bit PCM can be read from, in its own rate and channels."""

    rate_hz: int
    channels: int
    n_frames: int
    """As many as there should be; there may be less."""
    read: Callable[[int], bytes]
    """Returns the next so many frames, less at the end, at last none."""
    close: Callable[[], None]


class InputFile:
    """A sound file as the microphone would have heard it: 16 kHz, mono. Closes itself."""

    def __init__(self, path: Path, source: _Source) -> None:
        self._path = path
        self._source = source
        # Now and not with the first chunk, when the session is live: what resamples is slow to import.
        self._converter = MicrophoneConverter(source.rate_hz, source.channels)
        weakref.finalize(self, source.close)

    @property
    def duration_s(self) -> float:
        """Return how many seconds of sound there are."""
        return self._source.n_frames / self._source.rate_hz

    def chunks(self) -> Iterator[bytes]:
        """Yield 20 ms after 20 ms, 640 bytes each but the last one; once only.

        Raises:
            ConfigError: the file is damaged.
        """
        while pcm := self._read_piece():
            yield from self._converter.feed(pcm)
        yield from self._converter.flush()

    def _read_piece(self) -> bytes:
        try:
            return self._source.read(max(1, round(self._source.rate_hz * _PIECE_S)))
        except (OSError, RuntimeError) as exc:  # RuntimeError: soundfile's
            raise ConfigError(f"{self._path} cannot be read to its end: {exc}") from exc


def open_input(path: Path) -> InputFile:
    """Open a sound file of any rate and channels.

    Raises:
        MissingExtraError: it is not a WAV file of whole-number samples, and soundfile is not installed.
        ConfigError: it cannot be read, is no sound file, or holds no sound.
    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"cannot read {path}: it is not a file")
        with contextlib.ExitStack() as failing:
            file = failing.enter_context(path.open("rb"))
            source = _open_wav(file)
            if source is not None:
                failing.pop_all()
        if source is None:
            source = _open_with_soundfile(path)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror or exc}") from exc
    except _NotAudioError as exc:
        raise ConfigError(f"{path} {exc}") from exc
    if not source.n_frames:
        source.close()
        raise ConfigError(f"{path} holds no sound")
    return InputFile(path, source)


class _NotAudioError(Exception):
    """The end of a sentence that begins with the file's name."""


def _open_wav(file: BinaryIO) -> _Source | None:
    """Return what a WAV file of whole-number samples holds; `None` where it is something else."""
    start = file.read(12)
    if not start:
        raise _NotAudioError("is empty")
    if start[:4] != b"RIFF" or start[8:] != b"WAVE":
        return None
    layout = None
    while len(header := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", header)
        if name == b"fmt ":
            layout = _read_layout(file.read(size + size % 2))
            if layout is None:
                return None
        elif name == b"data":
            return _open_data(file, size, layout)
        else:
            file.seek(size + size % 2, os.SEEK_CUR)
    raise _NotAudioError("is a WAV file without sound in it")


def _read_layout(body: bytes) -> tuple[int, int, int] | None:
    """Return rate, channels and bytes of a sample from a format chunk; `None` where samples are no whole numbers."""
    if len(body) < 16:
        raise _NotAudioError("is a WAV file with a broken header")
    tag, channels, rate_hz, _, frame_bytes = struct.unpack_from("<HHIIH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    if tag != _PCM:
        return None
    sample_bytes = frame_bytes // channels if channels else 0
    is_sane = formats.MIN_RATE_HZ <= rate_hz <= formats.MAX_RATE_HZ and channels <= _MAX_CHANNELS
    if not is_sane or sample_bytes not in (1, 2, 3, 4) or frame_bytes % channels:
        raise _NotAudioError("is a WAV file with a broken header")
    return rate_hz, channels, sample_bytes


def _open_data(file: BinaryIO, size: int, layout: tuple[int, int, int] | None) -> _Source:
    if layout is None:
        raise _NotAudioError("is a WAV file with a broken header")
    rate_hz, channels, sample_bytes = layout
    frame_bytes = channels * sample_bytes
    # The header is only believed where it says less than there is.
    there = os.fstat(file.fileno()).st_size - file.tell()
    n_left = there if size in _UNKNOWN_SIZES else min(size, there)

    def read(n_frames: int) -> bytes:
        nonlocal n_left
        data = file.read(min(n_frames * frame_bytes, n_left))
        n_left -= len(data)
        return _to_16_bits(data[: len(data) // frame_bytes * frame_bytes], sample_bytes)

    return _Source(rate_hz, channels, n_left // frame_bytes, read, file.close)


def _to_16_bits(data: bytes, sample_bytes: int) -> bytes:
    """Return little-endian samples of other sizes as 16-bit PCM."""
    if sample_bytes == formats.SAMPLE_BYTES:
        return data
    if sample_bytes == 1:
        # The only size that has no sign.
        return formats.from_samples(array("h", ((value - 128) << 8 for value in data)))
    highest = bytearray(len(data) // sample_bytes * 2)
    highest[0::2] = data[sample_bytes - 2 :: sample_bytes]
    highest[1::2] = data[sample_bytes - 1 :: sample_bytes]
    return bytes(highest)


def _open_with_soundfile(path: Path) -> _Source:
    try:
        import numpy as np  # noqa: PLC0415 - soundfile brings it
        import soundfile  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as exc:
        if _looks_like_sound(path):
            raise MissingExtraError(f"reading {path}", "files") from exc
        raise _NotAudioError("is not a sound file") from exc

    class Stream(soundfile.SoundFile):  # type: ignore[misc] # it has no types
        """One that is not asked to seek: soundfile does so after every read, which damages MP3 at each seam."""

        def seekable(self) -> bool:
            return False

    try:
        sound = Stream(path)
    except (soundfile.LibsndfileError, TypeError) as exc:  # TypeError: its name says that it has no header
        raise _NotAudioError("is not a sound file that can be read") from exc

    def read(n_frames: int) -> bytes:
        # Not as 16 bits: libsndfile would not scale what is stored as floating point.
        samples = sound.read(n_frames, dtype="float32")
        return bytes((np.clip(np.nan_to_num(samples), -1, 1) * 32767).round().astype("<i2").tobytes())

    return _Source(sound.samplerate, sound.channels, sound.frames, read, sound.close)


def _looks_like_sound(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    return start.startswith(_AUDIO_MAGIC) or (start[:1] == b"\xff" and start[1:2] >= b"\xe0")


class OutputFile:
    """A WAV file, mono, 16 bits, 24 kHz, that grows in the background.

    What was there before is kept until `start` or the first sound, so that a session that never was destroys nothing.
    The header is put right once a second and at the end, so that it can be played even after the program was killed.
    """

    def __init__(self, path: Path, on_error: Callable[[str], None] | None = None) -> None:
        """Make sure that the file can be written.

        Args:
            path: where it is to be.
            on_error: is told, once and on the loop, that nothing more can be written and why.

        Raises:
            ConfigError: it cannot be written.
        """
        self._path = path
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._pieces: queue.SimpleQueue[tuple[bytes, int] | None] = queue.SimpleQueue()
        self._done: Future[None] = Future()
        # Now it cannot be cancelled by whoever gives up waiting for it.
        self._done.set_running_or_notify_cancel()
        self._started = False
        with contextlib.ExitStack() as failing:
            try:
                # Opening a pipe would wait for somebody to read it.
                if path.is_fifo():
                    raise ConfigError(f"cannot write {path}: it is not a file")
                self._file, self._is_new = _open_as_it_is(path)
                failing.enter_context(self._file)
                if not self._file.seekable():
                    raise ConfigError(f"cannot write {path}: it is not a file")
                self._keeps = not self._is_new and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
                if not self._keeps:
                    self._file.write(_build_header(0))
            except OSError as exc:
                raise ConfigError(f"cannot write {path}: {exc.strerror}") from exc
            failing.pop_all()

    def start(self) -> None:
        """Empty the file: the session is live."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="output-file", daemon=True).start()

    def write(self, pcm: bytes, rate_hz: int) -> None:
        """Add mono PCM of any length and rate; returns at once."""
        self.start()
        self._pieces.put((pcm, rate_hz))

    async def close(self) -> None:
        """Write what is left and finish the file, in five seconds at most.

        Raises:
            ConfigError: the file is not complete, then or since long.
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
            raise ConfigError(f"{self._path} is not complete: the disk does not answer") from exc
        except OSError as exc:
            raise ConfigError(f"{self._path} is not complete: {exc.strerror}") from exc

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
            n_bytes += len(piece)
            if n_bytes != n_in_header and time.monotonic() - header_s >= _HEADER_EVERY_S:
                self._write_header(n_bytes)
                n_in_header, header_s = n_bytes, time.monotonic()
        self._write_header(n_bytes)

    def _take(self) -> Iterator[tuple[bytes, int] | None]:
        """Yield what comes, and `None` at the end and whenever nothing came for a while."""
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


def _open_as_it_is(path: Path) -> tuple[FileIO, bool]:
    """Open a file for writing with what is in it; return also whether it was not there, and is created.

    Without a buffer: what was written survives a kill.
    """

    def open_it(name: str, flags: int) -> int:
        return os.open(name, flags & ~os.O_TRUNC, 0o666)

    try:
        return path.open("xb", buffering=0), True
    except FileExistsError:
        return open(path, "wb", buffering=0, opener=open_it), False


def _build_header(n_bytes: int) -> bytes:
    """Return the 44 bytes before the samples; where a WAV file ends, at 4 GB or a day of sound, it stands still."""
    rate_hz, sample_bytes = formats.OUTPUT.rate_hz, formats.SAMPLE_BYTES
    n_bytes = min(n_bytes, 0xFFFF_FFFF - _HEADER.size)
    riff = (b"RIFF", n_bytes + _HEADER.size - 8, b"WAVE")
    layout = (b"fmt ", 16, _PCM, 1, rate_hz, rate_hz * sample_bytes, sample_bytes, 8 * sample_bytes)
    return _HEADER.pack(*riff, *layout, b"data", n_bytes)
