"""Read a sound file in place of the microphone: 16 kHz, mono, in chunks of 20 ms.

WAV files of whole numbers or floating point are read here, other formats with soundfile, an extra. WAV headers are
parsed by hand, because both `wave` and libsndfile take a data size of 0 for the truth: programs that write into a pipe
put it there, or 0xFFFFFFFF, since they cannot know better. Files are read as they are used, so that their length does
not matter.
"""

import contextlib
import os
import struct
import weakref
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import ConfigError, MissingExtraError
from ..files import describe_non_file
from ..frozen import Frozen
from . import pcm as formats
from .conversion import MicrophoneConverter

_PIECE_S = 0.02
"""Read at once: this blocks the event loop for a millisecond or two at most, whatever the file."""

_MAX_CHANNELS = 256
_MAX_LAYOUT_BYTES = 4_096
"""What is read of a format chunk, which has 40 bytes; a broken header may claim 4 GB."""
_MAX_CHUNKS = 1_000
"""Chunks that are looked at for the sound; a broken file may seem to have hundreds of millions."""
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SAMPLE_BYTES = {_PCM: (1, 2, 3, 4), _FLOAT: (4, 8)}
UNKNOWN_SIZE = 0xFFFF_FFFF

AUDIO_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff")
"""First bytes of files that soundfile may read. MP3 may begin in other ways, too."""


class _Source(Frozen):
    """An open sound file from which 16-bit PCM can be read, in the file's own rate and channels."""

    rate_hz: int
    channels: int
    is_empty: bool
    read: Callable[[int], bytes]
    """Returns the next frames, at most as many as asked for; nothing at the end."""
    close: Callable[[], None]


class InputFile:
    """A sound file as the microphone would pick it up: 16 kHz, mono. It closes itself."""

    def __init__(self, path: Path, source: _Source) -> None:
        self.path = path
        self._source = source
        # Now and not with the first chunk, when the session is live: the resampler is slow to import.
        self._converter = MicrophoneConverter(source.rate_hz, source.channels)
        weakref.finalize(self, source.close)

    def chunks(self) -> Iterator[bytes]:
        """Yield chunks of 20 ms, 640 bytes each except the last one. The file can be read once only.

        Raises:
            ConfigError: The file is damaged.
        """
        while pcm := self._read_piece():
            yield from self._converter.feed(pcm)
        yield from self._converter.flush()

    def _read_piece(self) -> bytes:
        try:
            return self._source.read(max(1, round(self._source.rate_hz * _PIECE_S)))
        except (OSError, RuntimeError) as exc:  # RuntimeError: soundfile's
            raise ConfigError(f"{self.path} cannot be read to its end: {exc}") from exc


class NotAudioError(Exception):
    """A file is no usable sound file. The message continues a sentence that begins with the file's name."""


def open_input(path: Path) -> InputFile:
    """Open a sound file of any rate and channels.

    Raises:
        MissingExtraError: The format needs soundfile, which is not installed.
        ConfigError: The path cannot be read, or is no sound file, or contains no sound.
    """
    if (kind := describe_non_file(path)) is not None:
        raise ConfigError(f"cannot read {path}: {kind}")
    try:
        with contextlib.ExitStack() as failing:
            file = failing.enter_context(path.open("rb"))
            source = _open_wav(file)
            if source is not None:
                failing.pop_all()
        if source is None:
            source = _open_with_soundfile(path)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror or exc}") from exc
    except NotAudioError as exc:
        raise ConfigError(f"{path} {exc}") from exc
    if source.is_empty:
        source.close()
        raise ConfigError(f"{path} contains no sound")
    return InputFile(path, source)


def _open_wav(file: BinaryIO) -> _Source | None:
    """Return the source in a WAV file of whole numbers or floating point; None for any other file."""
    start = file.read(12)
    if not start:
        raise NotAudioError("is empty")
    if start[:4] != b"RIFF" or start[8:] != b"WAVE":
        return None
    layout = None
    for _ in range(_MAX_CHUNKS):
        if len(header := file.read(8)) < 8:
            break
        name, size = struct.unpack("<4sI", header)
        if name == b"fmt ":
            layout = read_layout(file.read(min(size, _MAX_LAYOUT_BYTES)))
            if layout is None:
                return None
            file.seek(max(0, size - _MAX_LAYOUT_BYTES) + size % 2, os.SEEK_CUR)
        elif name == b"data":
            if layout is None:
                raise NotAudioError("is a WAV file with a broken header")
            return _open_data(file, size, layout)
        else:
            file.seek(size + size % 2, os.SEEK_CUR)
    raise NotAudioError("is a WAV file without sound in it")


class Layout(Frozen):
    """How the samples of a WAV file are stored."""

    rate_hz: int
    channels: int
    sample_bytes: int
    is_float: bool


def read_layout(body: bytes) -> Layout | None:
    """Return what a format chunk says; None if the samples are encoded in another way."""
    if len(body) < 16:
        raise NotAudioError("is a WAV file with a broken header")
    tag, channels, rate_hz, _, frame_bytes = struct.unpack_from("<HHIIH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    if tag not in _SAMPLE_BYTES:
        return None
    is_plausible = formats.MIN_RATE_HZ <= rate_hz <= formats.MAX_RATE_HZ and 0 < channels <= _MAX_CHANNELS
    if not is_plausible or frame_bytes % channels or frame_bytes // channels not in _SAMPLE_BYTES[tag]:
        raise NotAudioError("is a WAV file with a broken header")
    return Layout(rate_hz, channels, frame_bytes // channels, tag == _FLOAT)


def _open_data(file: BinaryIO, size: int, layout: Layout) -> _Source:
    frame_bytes = layout.channels * layout.sample_bytes
    n_left = _count_data_bytes(file, size)

    def read(n_frames: int) -> bytes:
        nonlocal n_left
        data = file.read(min(n_frames * frame_bytes, n_left))
        n_left -= len(data)
        return to_16_bits(data[: len(data) // frame_bytes * frame_bytes], layout)

    return _Source(layout.rate_hz, layout.channels, n_left < frame_bytes, read, file.close)


def _count_data_bytes(file: BinaryIO, size: int) -> int:
    """Return the real size of a data chunk whose header says `size`."""
    n_there = os.fstat(file.fileno()).st_size - file.tell()
    if size == 0:
        # Nothing, if another chunk follows, as ffmpeg writes it; else the header of a stream.
        following = file.read(8)
        file.seek(-len(following), os.SEEK_CUR)
        if len(following) == 8 and following[:4].isalpha() and struct.unpack_from("<I", following, 4)[0] <= n_there - 8:
            return 0
    return n_there if size in (0, UNKNOWN_SIZE) else min(size, n_there)


def to_16_bits(data: bytes, layout: Layout) -> bytes:
    """Return little-endian samples of another size as 16-bit PCM."""
    sample_bytes = layout.sample_bytes
    if layout.is_float:
        n_samples = len(data) // sample_bytes
        values = struct.unpack(f"<{n_samples}{'f' if sample_bytes == 4 else 'd'}", data)
        return formats.from_samples(array("h", map(_to_16_bit_sample, values)))
    if sample_bytes == formats.SAMPLE_BYTES:
        return data
    if sample_bytes == 1:
        # The only unsigned size.
        return formats.from_samples(array("h", ((value - 128) << 8 for value in data)))
    highest = bytearray(len(data) // sample_bytes * 2)
    highest[0::2] = data[sample_bytes - 2 :: sample_bytes]
    highest[1::2] = data[sample_bytes - 1 :: sample_bytes]
    return bytes(highest)


def _to_16_bit_sample(value: float) -> int:
    """Return a sample from -1.0 to 1.0 as a 16-bit one. What is outside is clipped; NaN is silence."""
    return round(max(-1.0, min(value, 1.0)) * 32_767) if value == value else 0  # noqa: PLR0124 - only NaN is not itself


def _open_with_soundfile(path: Path) -> _Source:
    try:
        import numpy as np  # noqa: PLC0415 - soundfile depends on it
        import soundfile  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as exc:
        if _looks_like_sound(path):
            raise MissingExtraError(f"reading {path}", "files") from exc
        raise NotAudioError("is not a sound file") from exc

    class Stream(soundfile.SoundFile):  # type: ignore[misc] # it has no types
        """A sound file that does not seek: soundfile does so after every read, which damages MP3 at each read."""

        def seekable(self) -> bool:
            return False

    try:
        sound = Stream(path)
    except (soundfile.LibsndfileError, TypeError) as exc:  # TypeError: the file's name says that it has no header
        raise NotAudioError("is not a sound file that can be read") from exc

    def read(n_frames: int) -> bytes:
        # Not as 16 bits: libsndfile would not scale samples that are stored as floating point.
        samples = sound.read(n_frames, dtype="float32")
        return bytes((np.clip(np.nan_to_num(samples), -1, 1) * 32767).round().astype("<i2").tobytes())

    return _Source(sound.samplerate, sound.channels, not sound.frames, read, sound.close)


def _looks_like_sound(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    return start.startswith(AUDIO_MAGIC) or (start[:1] == b"\xff" and start[1:2] >= b"\xe0")
