"""PCM arithmetic: formats, durations, levels and channel conversion.

The only module that knows the Live API's sample format: 16-bit signed little-endian, mono, 16 kHz to the server and
24 kHz from it. Pure; any thread.
"""

import array
import math
import re
import sys
from operator import mul

from ..frozen import Frozen

SAMPLE_BYTES = 2
"""Size of one sample. In mono, one frame is one sample."""

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
"""The plausible sample rates. A file or a server that names another rate is mistaken."""

_SILENCE_DBFS = -96.0
_RATE = re.compile(r";\s*rate=(\d+)", re.IGNORECASE)


class PcmFormat(Frozen):
    """Mono 16-bit PCM at one rate."""

    rate_hz: int
    """Frames per second."""

    @property
    def mime_type(self) -> str:
        """Return the MIME type that names this format on the wire."""
        return f"audio/pcm;rate={self.rate_hz}"

    def duration_s(self, n_bytes: int) -> float:
        """Return the duration of `n_bytes` of audio."""
        return n_bytes / (SAMPLE_BYTES * self.rate_hz)

    def n_bytes(self, duration_s: float) -> int:
        """Return the size of `duration_s` seconds of audio, rounded to whole frames."""
        return SAMPLE_BYTES * round(duration_s * self.rate_hz)


INPUT = PcmFormat(rate_hz=16_000)
"""The format that the client sends: 32,000 bytes per second."""

OUTPUT = PcmFormat(rate_hz=24_000)
"""The format of the model's speech: 48,000 bytes per second."""


def parse_rate_hz(mime_type: str, default: PcmFormat) -> int:
    """Return the rate in a MIME type such as `audio/pcm;rate=N`, or `default.rate_hz` if it names no plausible one."""
    match = _RATE.search(mime_type)
    if match is None:
        return default.rate_hz
    rate_hz = int(match[1][:9])
    return rate_hz if MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ else default.rate_hz


def to_samples(pcm: bytes) -> "array.array[int]":
    """Return the samples of `pcm` in this machine's byte order."""
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def from_samples(samples: "array.array[int]") -> bytes:
    """Return `samples` as little-endian PCM."""
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    return samples.tobytes()


def level_dbfs(pcm: bytes) -> float:
    """Return the RMS level of `pcm` in dB below full scale: 0 at the loudest, -96 for silence."""
    samples = to_samples(pcm)
    if not samples:
        return _SILENCE_DBFS
    rms = math.sqrt(sum(map(mul, samples, samples)) / len(samples))
    return max(_SILENCE_DBFS, 20 * math.log10(rms / 32768)) if rms else _SILENCE_DBFS


def downmix(pcm: bytes, channels: int) -> bytes:
    """Return interleaved `pcm` of `channels` channels as mono, the mean of the channels."""
    if channels == 1:
        return pcm
    samples = to_samples(pcm)
    tracks = [samples[channel::channels] for channel in range(channels)]
    return from_samples(array.array("h", (sum(frame) // channels for frame in zip(*tracks, strict=True))))


def upmix(pcm: bytes, channels: int) -> bytes:
    """Return mono `pcm` with each sample repeated for each of `channels` channels."""
    if channels == 1:
        return pcm
    samples = to_samples(pcm)
    interleaved = array.array("h", bytes(len(pcm) * channels))
    for channel in range(channels):
        interleaved[channel::channels] = samples
    return from_samples(interleaved)
