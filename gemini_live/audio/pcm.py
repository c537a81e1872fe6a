"""PCM arithmetic: formats, durations, levels, channel and rate conversion.

The only place that knows the Live API's sample format: 16-bit signed little-endian, mono, 16 kHz to the server and
24 kHz from it. Pure; any thread. Only `build_resampler` imports numpy and soxr, and only where they are installed.
"""

import array
import importlib.util
import math
import re
import sys
from dataclasses import dataclass
from operator import mul
from typing import Protocol

SAMPLE_BYTES = 2
"""Bytes of one sample; a mono frame is one sample."""

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
"""What counts as a sample rate at all: a file or a server that says otherwise is mistaken."""

_SILENCE_DBFS = -96.0
_FRAMES_A_PHASE = 16
"""From so many frames on, resampling phase by phase is the faster way."""
_FLIP_SIGN = bytes(byte ^ 0x80 for byte in range(256))
"""Makes the high byte of a signed sample that of an unsigned one, and back."""
_RATE = re.compile(r";\s*rate=(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class PcmFormat:
    """Mono 16-bit PCM at one rate."""

    rate_hz: int
    """Frames per second."""

    @property
    def mime_type(self) -> str:
        """The name of this format on the wire."""
        return f"audio/pcm;rate={self.rate_hz}"

    def duration_s(self, n_bytes: int) -> float:
        """Return how many seconds `n_bytes` last."""
        return n_bytes / (SAMPLE_BYTES * self.rate_hz)

    def n_bytes(self, duration_s: float) -> int:
        """Return the bytes of `duration_s` seconds, in whole frames."""
        return SAMPLE_BYTES * round(duration_s * self.rate_hz)


INPUT = PcmFormat(rate_hz=16_000)
"""What the client sends: 32,000 bytes a second."""

OUTPUT = PcmFormat(rate_hz=24_000)
"""What the service speaks: 48,000 bytes a second."""


def parse_rate_hz(mime_type: str, default: PcmFormat) -> int:
    """Return the rate that a `audio/pcm;rate=N` type names, or that of `default` where it names none that can be."""
    match = _RATE.search(mime_type)
    if match is None:
        return default.rate_hz
    rate_hz = int(match[1][:9])
    return rate_hz if MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ else default.rate_hz


def to_samples(pcm: bytes) -> "array.array[int]":
    """Return the samples of `pcm`, whole frames, in this machine's byte order."""
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


class Resampler(Protocol):
    """A stream converter between two rates: feed it PCM in pieces of any length, in whole frames."""

    def feed(self, pcm: bytes) -> bytes:
        """Take more input and return what output is ready."""

    def flush(self) -> bytes:
        """End the stream: return the rest, and be ready for another one."""


class LinearResampler:
    """Linear interpolation in pure Python: for the simulator, and where soxr is not installed."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        divisor = math.gcd(from_hz, to_hz)
        self._from, self._to = from_hz // divisor, to_hz // divisor
        """So many input frames make so many output frames."""
        self._reset()

    def _reset(self) -> None:
        self._pending = b""
        self._position = 0
        """Of the next output frame after the first pending one, in units of 1/to input frames."""

    def feed(self, pcm: bytes) -> bytes:
        """Take more input and return what output is ready."""
        if self._from == self._to:
            return pcm
        pending = self._pending + pcm
        n_frames = len(pending) // SAMPLE_BYTES
        positions = range(self._position, (n_frames - 1) * self._to, self._from)
        by_phase = len(positions) >= self._to * _FRAMES_A_PHASE
        output = (
            _interpolate_by_phase(pending, positions, self._to) if by_phase else self._interpolate(pending, positions)
        )
        next_position = positions[-1] + self._from if positions else self._position
        used = min(next_position // self._to, n_frames)
        self._pending, self._position = pending[used * SAMPLE_BYTES :], next_position - used * self._to
        return output

    def flush(self) -> bytes:
        """End the stream: return the rest, holding the last sample, and be ready for another one."""
        last = self._pending[-SAMPLE_BYTES:]
        rest = self.feed(last) if last else b""
        self._reset()
        return rest

    def _interpolate(self, pcm: bytes, positions: range) -> bytes:
        samples, to = to_samples(pcm), self._to
        output = [
            a + (samples[i + 1] - a) * (position - i * to) // to
            for position in positions
            for i in (position // to,)
            for a in (samples[i],)
        ]
        return from_samples(array.array("h", output))


def _interpolate_by_phase(pcm: bytes, positions: range, to: int) -> bytes:
    """Interpolate as `LinearResampler._interpolate` does, to the bit, but many times as fast.

    Every `to`-th output frame lies equally far between its two neighbours, so that these frames are one sum of two
    products with constants. It is computed for all of them at once, in integers with a lane of 64 bits for each: the
    samples are made positive, weighted so that their mean stands 40 bits up, and it is read off there.
    """
    low, high = pcm[::2], pcm[1::2].translate(_FLIP_SIGN)
    n, step = len(positions), positions.step
    out_low, out_high = bytearray(n), bytearray(n)
    one = (1 << 40) // to + 1  # 1/to, rounded up by so little that the floor is right where to < 4096
    lanes: dict[int, int] = {}

    def every_step_from(i: int) -> int:
        """Return the lanes of every `step`-th sample: most are used twice, as left and as right neighbours."""
        first = i % step
        if first not in lanes:
            lanes[first] = _to_lanes(low[first::step], high[first::step])
        return lanes[first] >> 64 * (i // step)

    for phase in range(to):
        i, share = divmod(positions[phase], to)
        size = len(range(phase, n, to))
        if share:
            total = every_step_from(i) * ((to - share) * one) + every_step_from(i + 1) * (share * one)
            mean = total.to_bytes(8 * (len(low) // step + 2), "little")
            out_low[phase::to], out_high[phase::to] = mean[5 : 8 * size : 8], mean[6 : 8 * size : 8]
        else:
            end = i + (size - 1) * step + 1
            out_low[phase::to], out_high[phase::to] = low[i:end:step], high[i:end:step]
    output = bytearray(SAMPLE_BYTES * n)
    output[::2], output[1::2] = out_low, out_high.translate(_FLIP_SIGN)
    return bytes(output)


def _to_lanes(low: bytes, high: bytes) -> int:
    lanes = bytearray(8 * len(low))
    lanes[::8], lanes[1::8] = low, high
    return int.from_bytes(lanes, "little")


class _SoxrResampler:
    def __init__(self, from_hz: int, to_hz: int) -> None:
        import numpy as np  # noqa: PLC0415 - an extra, and slow to import
        import soxr  # noqa: PLC0415

        self._np = np
        self._stream = soxr.ResampleStream(from_hz, to_hz, num_channels=1, dtype="int16", quality="HQ")

    def feed(self, pcm: bytes) -> bytes:
        return self._convert(pcm, last=False)

    def flush(self) -> bytes:
        rest = self._convert(b"", last=True)
        self._stream.clear()
        return rest

    def _convert(self, pcm: bytes, *, last: bool) -> bytes:
        output = self._stream.resample_chunk(self._np.frombuffer(pcm, "<i2").astype(self._np.int16), last=last)
        return bytes(output.astype("<i2").tobytes())


def build_resampler(from_hz: int, to_hz: int) -> Resampler:
    """Return the best stream converter that is installed: soxr's (the `audio` and `files` extras), else linear."""
    if from_hz != to_hz and importlib.util.find_spec("soxr"):
        return _SoxrResampler(from_hz, to_hz)
    return LinearResampler(from_hz, to_hz)
