"""Convert PCM streams from one sample rate to another: with soxr if it is installed, else by linear interpolation.

Pure; any thread. `build_resampler` imports numpy and soxr, but only if soxr is installed.
"""

import array
import importlib.util
import math
from typing import Protocol

from .pcm import SAMPLE_BYTES, from_samples, to_samples

_MIN_FRAMES_PER_PHASE = 16
"""Interpolating one phase at a time is faster if each phase has at least this many output frames."""

_FLIP_SIGN = bytes(byte ^ 0x80 for byte in range(256))
"""Translation table for the high bytes of samples: adds 32,768 to a signed sample, or subtracts it again."""

_LANE_BYTES = 8
_FRACTION_BITS = 40


class Resampler(Protocol):
    """Converts a stream of PCM from one rate to another. The pieces may have any length, in whole frames."""

    def feed(self, pcm: bytes) -> bytes:
        """Add input; return the output that is ready."""

    def flush(self) -> bytes:
        """Return the remaining output and get ready for a new stream."""


class LinearResampler:
    """Interpolates linearly in pure Python: for the simulator, and for clients without soxr."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        divisor = math.gcd(from_hz, to_hz)
        self._from, self._to = from_hz // divisor, to_hz // divisor
        """`_from` input frames become `_to` output frames."""
        self._reset()

    def _reset(self) -> None:
        self._pending = b""
        """Input that later output frames still depend on."""
        self._position = 0
        """Position of the next output frame, counted from the first pending frame, in units of 1/`_to` frames."""

    def feed(self, pcm: bytes) -> bytes:
        """Add input; return the output that is ready."""
        if self._from == self._to:
            return pcm
        pending = self._pending + pcm
        n_frames = len(pending) // SAMPLE_BYTES
        positions = range(self._position, (n_frames - 1) * self._to, self._from)
        many = len(positions) >= self._to * _MIN_FRAMES_PER_PHASE
        output = (_interpolate_by_phase if many else _interpolate)(pending, positions, self._to)
        next_position = positions[-1] + self._from if positions else self._position
        used = min(next_position // self._to, n_frames)
        self._pending, self._position = pending[used * SAMPLE_BYTES :], next_position - used * self._to
        return output

    def flush(self) -> bytes:
        """Return the remaining output, in which the last sample is held, and get ready for a new stream."""
        last = self._pending[-SAMPLE_BYTES:]
        rest = self.feed(last) if last else b""
        self._reset()
        return rest


def _interpolate(pcm: bytes, positions: range, to: int) -> bytes:
    """Return one output frame for each position. Positions are in units of 1/`to` input frames."""
    samples = to_samples(pcm)
    output = [
        left + (samples[index + 1] - left) * (position - index * to) // to
        for position in positions
        for index in (position // to,)
        for left in (samples[index],)
    ]
    return from_samples(array.array("h", output))


def _interpolate_by_phase(pcm: bytes, positions: range, to: int) -> bytes:
    """Return exactly what `_interpolate` returns, several times as fast for long pieces.

    Over 40 lines: the method needs its explanation.

    The output frames number k, k + to, k + 2*to ... form phase k. All frames of a phase lie at the same distance from
    their left and right input frames, so each of them is `(left * (to - share) + right * share) / to` with the same
    `share`. This function computes a whole phase with two multiplications of big integers:

    1. Each sample gets a lane of 64 bits in one big integer. Samples are made unsigned first (0 to 65,535), so that
       no lane borrows from the next one.
    2. The weights are multiplied by 2**40 / to instead of dividing the sum by `to`. Every lane then holds
       `mean * 2**40`, which is below 2**56: no lane overflows into the next one.
    3. The whole part of the mean is therefore in bits 40 to 55 of a lane: bytes 5 and 6.
    """
    low, high = pcm[::2], pcm[1::2].translate(_FLIP_SIGN)
    n, step = len(positions), positions.step
    out_low, out_high = bytearray(n), bytearray(n)
    # Rounded up: the error is small enough that step 3 gives the exact floor if `to` is below 4,096.
    one_part = (1 << _FRACTION_BITS) // to + 1
    mean_byte = _FRACTION_BITS // 8
    lanes_from: dict[int, int] = {}

    def every_step_from(index: int) -> int:
        """Return a big integer of the samples number `index`, `index + step` ... Most are used twice."""
        first = index % step
        if first not in lanes_from:
            lanes_from[first] = _to_lanes(low[first::step], high[first::step])
        return lanes_from[first] >> 8 * _LANE_BYTES * (index // step)

    for phase in range(to):
        index, share = divmod(positions[phase], to)
        size = len(range(phase, n, to))
        if share:
            total = every_step_from(index) * ((to - share) * one_part) + every_step_from(index + 1) * (share * one_part)
            means = total.to_bytes(_LANE_BYTES * (len(low) // step + 2), "little")[: _LANE_BYTES * size]
            out_low[phase::to], out_high[phase::to] = means[mean_byte::_LANE_BYTES], means[mean_byte + 1 :: _LANE_BYTES]
        else:
            end = index + (size - 1) * step + 1
            out_low[phase::to], out_high[phase::to] = low[index:end:step], high[index:end:step]
    output = bytearray(SAMPLE_BYTES * n)
    output[::2], output[1::2] = out_low, out_high.translate(_FLIP_SIGN)
    return bytes(output)


def _to_lanes(low: bytes, high: bytes) -> int:
    """Return an integer with one lane for each sample, made of the samples' low and high bytes."""
    lanes = bytearray(_LANE_BYTES * len(low))
    lanes[::_LANE_BYTES], lanes[1::_LANE_BYTES] = low, high
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
    """Return the best installed resampler: soxr (extras `audio` and `files`), else linear interpolation."""
    if from_hz != to_hz and importlib.util.find_spec("soxr"):
        return _SoxrResampler(from_hz, to_hz)
    return LinearResampler(from_hz, to_hz)
