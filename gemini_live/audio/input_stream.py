"""Decode sound that comes through a pipe, as it arrives: WAV, or raw PCM of 16 bits, 16 kHz, mono.

Pure: the caller brings the bytes. `input_file` reads files, where it can look ahead and seek.
"""

import struct
from collections.abc import AsyncIterator
from pathlib import Path

from ..errors import ConfigError
from ..files import STDIN
from . import pcm as formats
from .conversion import MicrophoneConverter
from .input_file import AUDIO_MAGIC, UNKNOWN_SIZE, Layout, NotAudioError, read_layout, to_16_bits

MAX_HEAD_BYTES = 1024 * 1024
"""What may come before the sound in a WAV file, such as a picture of the album."""
_TEXT_BYTES = 64
"""How many of the first bytes are looked at to recognise text, which would be heard as noise."""
_RAW = Layout(formats.INPUT.rate_hz, 1, formats.SAMPLE_BYTES, is_float=False)


class InputStream:
    """Sound from stdin as the microphone would pick it up: 16 kHz, mono."""

    path: Path = STDIN

    def __init__(self, data: AsyncIterator[bytes]) -> None:
        """Read nothing yet."""
        self._data = data

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield chunks of 20 ms, 640 bytes each except the last one.

        Raises:
            ConfigError: It is no sound, or cannot be read.
        """
        decoder = StreamDecoder()
        try:
            async for data in self._data:
                for chunk in decoder.feed(data):
                    yield chunk
            for chunk in decoder.finish():
                yield chunk
        except NotAudioError as exc:
            raise ConfigError(f"--input-file -: stdin {exc}") from exc
        except OSError as exc:
            raise ConfigError(f"--input-file -: stdin cannot be read: {exc.strerror or exc}") from exc


class StreamDecoder:
    """Converts a stream of bytes to chunks of 16 kHz mono PCM. Recognises its format by the first bytes."""

    def __init__(self) -> None:
        self._pending = bytearray()
        """The beginning that is not recognised yet; later, the rest of a frame."""
        self._layout: Layout | None = None
        self._converter: MicrophoneConverter | None = None
        self._n_left: float = float("inf")
        """How many bytes of sound are still to come."""

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes of the stream; return the chunks that are complete.

        Raises:
            NotAudioError: It is no sound, or sound of another format.
        """
        self._pending += data
        if self._layout is None:
            self._layout = self._recognise(is_whole=False)
        return self._decode()

    def finish(self) -> list[bytes]:
        """Return the remaining chunks at the end of the stream.

        Raises:
            NotAudioError: There was no sound.
        """
        if self._layout is None:
            self._layout = self._recognise(is_whole=True)
        chunks = self._decode()
        if self._converter is None:
            raise NotAudioError("contains no sound")
        return chunks + self._converter.flush()

    def _decode(self) -> list[bytes]:
        layout = self._layout
        if layout is None:
            return []
        frame_bytes = layout.channels * layout.sample_bytes
        n_bytes = int(min(len(self._pending), self._n_left)) // frame_bytes * frame_bytes
        if not n_bytes:
            return []
        if self._converter is None:
            self._converter = MicrophoneConverter(layout.rate_hz, layout.channels)
        data = bytes(self._pending[:n_bytes])
        del self._pending[:n_bytes]
        self._n_left -= n_bytes
        return self._converter.feed(to_16_bits(data, layout))

    def _recognise(self, *, is_whole: bool) -> Layout | None:
        """Return the layout of the samples and drop what comes before them; None if more bytes are needed."""
        start = bytes(self._pending[:12])
        if len(start) < 12 and not is_whole:
            return None
        if not start:
            raise NotAudioError("is empty")
        if start[:4] == b"RIFF" and start[8:] == b"WAVE":
            return self._read_wav_head(is_whole=is_whole)
        if start.startswith(AUDIO_MAGIC):
            raise NotAudioError("is sound, but neither WAV nor raw PCM: name the file instead of -")
        if _is_text(bytes(self._pending[:_TEXT_BYTES])):
            raise NotAudioError("is text, not sound: leave out --input-file - to ask lines")
        return _RAW

    def _read_wav_head(self, *, is_whole: bool) -> Layout | None:
        layout, position = None, 12
        while (end := position + 8) <= min(len(self._pending), MAX_HEAD_BYTES):
            name, size = struct.unpack_from("<4sI", self._pending, position)
            if name == b"data":
                if layout is None:
                    raise NotAudioError("is a WAV file with a broken header")
                self._n_left = float("inf") if size in (0, UNKNOWN_SIZE) else size
                del self._pending[:end]
                return layout
            if name == b"fmt ":
                if len(self._pending) < end + min(size, 40):
                    break
                layout = read_layout(bytes(self._pending[end : end + min(size, 40)]))
                if layout is None:
                    raise NotAudioError("is a WAV file with encoded samples: name the file instead of -")
            position = end + size + size % 2
        if is_whole or len(self._pending) > MAX_HEAD_BYTES:
            raise NotAudioError("is a WAV file without sound in it")
        return None


def _is_text(data: bytes) -> bool:
    return all(0x20 <= byte < 0x7F or byte in b"\t\r\n" for byte in data)
