"""Convert between the rate and channels of a device or file and those of the wire. Pure."""

from array import array
from functools import lru_cache

from . import pcm as formats
from .resampling import build_resampler

CHUNK_S = 0.02
"""Duration of a microphone chunk, and of a microphone's buffer."""
SPEAKER_BUFFER_S = 0.01
"""Duration of a loudspeaker's buffer. It is short because what the device has taken plays on after an interruption.
PulseAudio's pace is even at multiples of 10 ms only."""

_CHUNK_BYTES = formats.INPUT.n_bytes(CHUNK_S)
_FADE_S = 0.0025
_LOUD = 1024
"""Height of a step, in units of a 16-bit sample, from which a fade is added: 3 % of full scale."""
_FADE_STEP = 256
"""Fades begin at multiples of this height, so that few different fades exist and each is computed once."""


class MicrophoneConverter:
    """Converts a microphone's audio to 16 kHz mono chunks of exactly 20 ms."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._channels = channels
        self._resampler = build_resampler(rate_hz, formats.INPUT.rate_hz)
        self._pending = bytearray()

    def feed(self, pcm: bytes) -> list[bytes]:
        """Add audio of the microphone; return the chunks that are complete."""
        return self._cut(self._resampler.feed(formats.downmix(pcm, self._channels)))

    def flush(self) -> list[bytes]:
        """Return the remaining chunks at the end of the stream; the last one may be shorter."""
        chunks = self._cut(self._resampler.flush())
        return [*chunks, bytes(self._pending)] if self._pending else chunks

    def _cut(self, pcm: bytes) -> list[bytes]:
        if len(pcm) == _CHUNK_BYTES and not self._pending:  # as most devices deliver it
            return [pcm]
        self._pending += pcm
        chunks = []
        while len(self._pending) >= _CHUNK_BYTES:
            chunks.append(bytes(self._pending[:_CHUNK_BYTES]))
            del self._pending[:_CHUNK_BYTES]
        return chunks


class SpeakerConverter:
    """Converts mono PCM of any rate, split anywhere, to a loudspeaker's rate and channels.

    Sound that would begin or end with a step, which is audible as a click, gets a fade of 2.5 ms.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._rate_hz, self._channels = rate_hz, channels
        self._half_sample = b""
        self._last_sample = b""
        self._from_hz = formats.OUTPUT.rate_hz
        self._resampler = build_resampler(self._from_hz, rate_hz)
        self.withholds = False
        """True if the resampler may hold back audio until more input comes."""

    @property
    def frame_bytes(self) -> int:
        """Return the size of one frame of the loudspeaker."""
        return self._channels * formats.SAMPLE_BYTES

    @property
    def fade_bytes(self) -> int:
        """Return the size of 2.5 ms of the loudspeaker's audio."""
        return _fade_frames(self._rate_hz) * self.frame_bytes

    def reset(self) -> None:
        """Discard everything that was fed and begin a new stream."""
        self.flush()
        self._half_sample = b""

    def feed(self, pcm: bytes, from_hz: int, *, after_silence: bool = False) -> bytes:
        """Add mono PCM of any length; return the output that is ready. Half a sample waits for its other half."""
        if from_hz == self._rate_hz == self._from_hz and self._channels == 1 and not after_silence:
            pcm = self._half_sample + pcm
            n_whole = len(pcm) & -formats.SAMPLE_BYTES
            self._half_sample = pcm[n_whole:]
            return pcm[:n_whole]
        rest = b""
        if from_hz != self._from_hz:
            rest = self.flush()
            self._from_hz = from_hz
            self._half_sample = b""
            self._resampler = build_resampler(from_hz, self._rate_hz)
        pcm = self._half_sample + pcm
        n_whole = len(pcm) // formats.SAMPLE_BYTES * formats.SAMPLE_BYTES
        pcm, self._half_sample = pcm[:n_whole], pcm[n_whole:]
        if not pcm:
            return rest
        self._last_sample = pcm[-formats.SAMPLE_BYTES :]
        if after_silence and not self.withholds:
            pcm = _fade(pcm[: formats.SAMPLE_BYTES], from_hz, up=True) + pcm
        self.withholds = from_hz != self._rate_hz
        return rest + formats.upmix(self._resampler.feed(pcm), self._channels)

    def flush(self) -> bytes:
        """Return the audio that was held back, at the end of a stream."""
        if not self.withholds:
            return b""
        self.withholds = False
        fade = self._resampler.feed(_fade(self._last_sample, self._from_hz))
        return formats.upmix(fade + self._resampler.flush(), self._channels)

    def fade_in(self, pcm: bytes) -> bytes:
        """Return a fade from silence to the first sample of `pcm`, in the loudspeaker's format."""
        return _fade(pcm[: formats.SAMPLE_BYTES], self._rate_hz, self._channels, up=True)

    def fade_to_silence(self, pcm: bytes) -> bytes:
        """Return a fade from the last sample of `pcm` to silence, in the loudspeaker's format."""
        return _fade(pcm[-formats.SAMPLE_BYTES :], self._rate_hz, self._channels)

    def fade_out(self, pcm: bytes) -> bytes:
        """Return the beginning of `pcm`, at most `fade_bytes` of it, faded out, in the loudspeaker's format."""
        samples = formats.to_samples(pcm[: self.fade_bytes])
        n_frames = len(samples) // self._channels
        faded = (sample * (n_frames - i // self._channels) // (n_frames + 1) for i, sample in enumerate(samples))
        return formats.from_samples(array("h", faded))


def _fade_frames(rate_hz: int) -> int:
    return round(_FADE_S * rate_hz)


def _fade(sample: bytes, rate_hz: int, channels: int = 1, *, up: bool = False) -> bytes:
    """Return PCM that leads from `sample` to silence, or up to it; nothing if it is too soft to click."""
    height = int.from_bytes(sample, "little", signed=True)
    return b"" if -_LOUD < height < _LOUD else _make_fade(height // _FADE_STEP, rate_hz, channels, up)


@lru_cache(maxsize=1024)
def _make_fade(level: int, rate_hz: int, channels: int, up: bool) -> bytes:
    height = level * _FADE_STEP
    n_frames = _fade_frames(rate_hz)
    steps = range(1, n_frames + 1) if up else range(n_frames, 0, -1)
    return formats.upmix(
        formats.from_samples(array("h", (height * step // (n_frames + 1) for step in steps))), channels
    )
