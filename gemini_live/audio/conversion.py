"""Between the rate and channels of a sound device or file and those of the wire. Pure."""

from array import array

from . import pcm as formats
from .resampling import build_resampler

CHUNK_S = 0.02
"""One microphone chunk, and one buffer of a device. A multiple of 10 ms: at other sizes PulseAudio's pace is uneven."""

_CHUNK_BYTES = formats.INPUT.n_bytes(CHUNK_S)
_FADE_S = 0.0025
_LOUD = 1024
"""A step of so many units of a 16-bit sample is smoothed, a smaller one is not: 3 % of full scale."""


class MicrophoneConverter:
    """Makes 16 kHz mono chunks of exactly 20 ms from what a microphone of some rate and channels hears."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._channels = channels
        self._resampler = build_resampler(rate_hz, formats.INPUT.rate_hz)
        self._pending = bytearray()

    def feed(self, pcm: bytes) -> list[bytes]:
        """Take what was heard next and return the chunks that are complete now."""
        return self._cut(self._resampler.feed(formats.downmix(pcm, self._channels)))

    def flush(self) -> list[bytes]:
        """Return the rest, when nothing follows: its last chunk may be a short one."""
        chunks = self._cut(self._resampler.flush())
        return [*chunks, bytes(self._pending)] if self._pending else chunks

    def _cut(self, pcm: bytes) -> list[bytes]:
        self._pending += pcm
        chunks = []
        while len(self._pending) >= _CHUNK_BYTES:
            chunks.append(bytes(self._pending[:_CHUNK_BYTES]))
            del self._pending[:_CHUNK_BYTES]
        return chunks


class SpeakerConverter:
    """Makes PCM of a speaker's rate and channels from mono PCM of any rate, cut up anywhere.

    Sound that would begin or end with a step, which is heard as a click, gets 2.5 ms of a way in or out.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._rate_hz, self._channels = rate_hz, channels
        self._half_sample = b""
        self._last_sample = b""
        self._from_hz = formats.OUTPUT.rate_hz
        self._resampler = build_resampler(self._from_hz, rate_hz)
        self.withholds = False
        """Whether something may be kept back until it is known what follows."""

    @property
    def frame_bytes(self) -> int:
        """Return the bytes of one frame of the speaker."""
        return self._channels * formats.SAMPLE_BYTES

    @property
    def fade_bytes(self) -> int:
        """Return the bytes of 2.5 ms of the speaker's sound."""
        return _fade_frames(self._rate_hz) * self.frame_bytes

    def reset(self) -> None:
        """Forget what was fed: the next piece begins anew."""
        self.flush()
        self._half_sample = b""

    def feed(self, pcm: bytes, from_hz: int, *, after_silence: bool = False) -> bytes:
        """Return what is ready of all that was fed; half a sample waits for its other half."""
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
            pcm = _make_way(pcm[: formats.SAMPLE_BYTES], from_hz, up=True) + pcm
        self.withholds = from_hz != self._rate_hz
        return rest + formats.upmix(self._resampler.feed(pcm), self._channels)

    def flush(self) -> bytes:
        """Return what was kept back, when nothing may follow."""
        if not self.withholds:
            return b""
        self.withholds = False
        way_out = self._resampler.feed(_make_way(self._last_sample, self._from_hz))
        return formats.upmix(way_out + self._resampler.flush(), self._channels)

    def way_in(self, pcm: bytes) -> bytes:
        """Return what leads from silence to the beginning of the speaker's `pcm`."""
        first = pcm[: formats.SAMPLE_BYTES]
        return formats.upmix(_make_way(first, self._rate_hz, up=True), self._channels)

    def way_out(self, pcm: bytes) -> bytes:
        """Return what leads from the end of the speaker's `pcm` to silence."""
        last = pcm[-formats.SAMPLE_BYTES :]
        return formats.upmix(_make_way(last, self._rate_hz), self._channels)

    def fade_out(self, pcm: bytes) -> bytes:
        """Return the speaker's `pcm`, at most `fade_bytes` of it, growing softer to nothing."""
        samples = formats.to_samples(pcm[: self.fade_bytes])
        n_frames = len(samples) // self._channels
        faded = (sample * (n_frames - i // self._channels) // (n_frames + 1) for i, sample in enumerate(samples))
        return formats.from_samples(array("h", faded))


def _fade_frames(rate_hz: int) -> int:
    return round(_FADE_S * rate_hz)


def _make_way(sample: bytes, rate_hz: int, *, up: bool = False) -> bytes:
    """Return mono PCM that leads from a sample to silence, or up to it; empty where it is too soft to click."""
    height = formats.to_samples(sample)[0]
    if abs(height) < _LOUD:
        return b""
    n_frames = _fade_frames(rate_hz)
    steps = range(1, n_frames + 1) if up else range(n_frames, 0, -1)
    return formats.from_samples(array("h", (height * step // (n_frames + 1) for step in steps)))
