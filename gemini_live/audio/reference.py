"""Align the audio that was played with the audio that is recorded, for the echo canceller. Pure; event loop only.

The canceller needs one frame of reference (what was played) with each frame of the microphone. Both devices deliver
whole buffers at their own times, and their clocks differ by up to some hundred parts per million. An echo can only be
in microphone audio that is delivered after its reference was handed to the sound card. So a reference that is used at
the next opportunity always precedes its echo. The queue keeps a reserve against jitter, which is smaller than
the delay of the devices.
"""

from fractions import Fraction
from statistics import median_low

from . import pcm as formats

MIN_RESERVE_S, MAX_RESERVE_S = 0.01, 0.08
"""Reference that is kept in the queue, so that a buffer may come so late. No devices play and record within 10 ms."""
WINDOW_S, N_WINDOWS = 1.0, 5
"""The reserve is corrected after one window at the start, and later after five, by the median of their lowest reserves:
a program that was slow once, and caught up, has to change nothing."""
MIN_RESERVE_SHARE = 0.2
"""If less of the reserve is left, later reference is used so much later that the reserve is whole again."""
MAX_SURPLUS_S = 0.03
"""A larger surplus over the reserve is dropped. Smaller deviations are left alone: the reserve changes by 10 ms without
any drift, as the buffers of the two devices overtake each other; AEC3 follows a drift of 100 ppm by itself, but each
correction costs it some of its depth, and a slow one costs it for a minute."""
MAX_JITTER_S = 0.1
"""Jitter is over after this time. If reference is still late, the loudspeaker has paused, and its echo is late too."""
MAX_LATE_S = 0.3
"""If the reference is later than this, the loudspeaker has paused for long: a gap."""
MAX_QUEUED_S = 0.5
"""If more reference waits than this, the microphone has paused: a gap."""
_HALF_WIDTH = 16
"""Input frames that the resampler looks ahead, and back: 0.7 ms at 24 kHz."""


class LowDelayResampler:
    """Converts a stream of PCM to 16 kHz with a delay below 1 ms; imports numpy.

    soxr, which the other converters use, delivers the reference up to 30 ms late.
    """

    def __init__(self, from_hz: int) -> None:
        import numpy as np  # noqa: PLC0415 - an extra

        self._np = np
        ratio = Fraction(formats.INPUT.rate_hz, from_hz)
        self._up, self._down = ratio.numerator, ratio.denominator
        cutoff = min(1.0, float(ratio))
        offsets = np.arange(-_HALF_WIDTH + 1, _HALF_WIDTH + 1)
        distance = offsets[np.newaxis, :] - np.arange(self._up)[:, np.newaxis] / self._up
        window = np.cos(np.pi * distance / (2 * _HALF_WIDTH + 2)) ** 2
        taps = np.sinc(cutoff * distance) * window
        self._taps = (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)
        """The filter of each phase: one row for each position between two input frames."""
        self._history = np.zeros(2 * _HALF_WIDTH - 1, np.float32)
        self._position = 0
        """Position of the next output frame behind the first frame that is new, in units of 1/`_up` frames."""

    def feed(self, pcm: bytes) -> bytes:
        """Add mono PCM; return the output that is ready."""
        np = self._np
        if self._up == self._down:
            return pcm
        new = np.frombuffer(pcm, "<i2").astype(np.float32)
        data = np.concatenate((self._history, new))
        self._history = data[len(new) :]
        positions = np.arange(self._position, len(new) * self._up, self._down)
        self._position += len(positions) * self._down - len(new) * self._up
        frames, phases = np.divmod(positions, self._up)
        windows = np.lib.stride_tricks.sliding_window_view(data, 2 * _HALF_WIDTH)[frames]
        output = np.einsum("ij,ij->i", windows, self._taps[phases])
        return bytes(np.rint(output).clip(-32768, 32767).astype("<i2").tobytes())


class ReferenceQueue:
    """The audio that was handed to the loudspeaker and that the canceller has not used yet: 16 kHz mono PCM."""

    def __init__(self, device_delay_s: float = 0.0) -> None:
        """Begin in silence; `device_delay_s`: the shortest time in which the devices can play and record a sound."""
        self._reserve_bytes = formats.INPUT.n_bytes(min(MAX_RESERVE_S, max(MIN_RESERVE_S, device_delay_s)))
        self.n_gaps = 0
        """How often the alignment was lost and found again."""
        self.n_disturbances = 0
        """How often reference came late or was dropped: an uncancelled echo may follow. Delays count in `n_delayed`."""
        self.n_delayed = 0
        """How often all later reference was delayed: the loudspeaker seemed to have paused, or its clock is slower."""
        self.n_late_samples = 0
        """Reference samples that came too late and were replaced by silence."""
        self._pcm = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._pcm.clear()
        self._late_bytes = 0
        """Silence that was used in place of late reference, which is dropped when it comes."""
        self._late_for_bytes = 0
        """Microphone audio since reference was last in time, without the time in which none came."""
        self._plays = False
        """True if reference came since the last chunk of the microphone."""
        self._has_begun = False
        self._n_windows = 1
        """Number of windows until the next correction of the reserve."""
        self._lowest: list[int] = []
        """Smallest reserve in each finished window, in bytes."""
        self._begin_window()

    def _begin_window(self) -> None:
        self._lowest_bytes = formats.INPUT.n_bytes(MAX_QUEUED_S)
        """Smallest reserve in this window."""
        self._window_bytes = formats.INPUT.n_bytes(WINDOW_S)

    def put(self, pcm: bytes) -> None:
        """Append audio that was just handed to the loudspeaker, silence included."""
        n_late = min(self._late_bytes, len(pcm))
        self._late_bytes -= n_late
        self._plays = True
        self._pcm += pcm[n_late:]

    def take(self, n_bytes: int) -> bytes:
        """Remove and return the reference for the next `n_bytes` of the microphone's audio."""
        self._handle_gap(n_bytes)
        if not self._has_begun:
            return bytes(n_bytes)
        taken = bytes(self._pcm[:n_bytes])
        del self._pcm[:n_bytes]
        missing = n_bytes - len(taken)
        self.n_disturbances += bool(missing)
        self._late_bytes += missing
        self.n_late_samples += missing // formats.SAMPLE_BYTES
        self._forgive_pause(n_bytes)
        self._watch(n_bytes)
        return taken.ljust(n_bytes, b"\0")

    def _forgive_pause(self, n_bytes: int) -> None:
        """Use late reference later, if it comes evenly: it would come in a burst if the loudspeaker had not paused."""
        if not self._late_bytes:
            self._late_for_bytes = 0
        elif self._plays:
            self._late_for_bytes += n_bytes
            if self._late_for_bytes >= formats.INPUT.n_bytes(MAX_JITTER_S):
                self._late_bytes = self._late_for_bytes = 0
                self._pcm[:0] = bytes(self._reserve_bytes)  # late reference has used up the reserve
                self._lowest.clear()
                self._begin_window()
                self.n_delayed += 1
        self._plays = False

    def _handle_gap(self, n_bytes: int) -> None:
        """Find the alignment anew at the start, and after one of the devices has paused."""
        too_long = len(self._pcm) > formats.INPUT.n_bytes(MAX_QUEUED_S)
        too_late = self._late_bytes > formats.INPUT.n_bytes(MAX_LATE_S)
        if self._has_begun and not (too_long or too_late):
            return
        n_needed = n_bytes + self._reserve_bytes
        newest = bytes(self._pcm[-n_needed:])
        if self._has_begun:
            self.n_gaps += 1
            self.n_disturbances += 1
            self._begin()
        # While the loudspeaker pauses, there is nothing to align with.
        self._has_begun = bool(newest)
        self._pcm[:] = newest.rjust(n_needed, b"\0") if newest else b""

    def _watch(self, n_bytes: int) -> None:
        """Measure the reserve that was left, and correct it after some windows."""
        self._lowest_bytes = min(self._lowest_bytes, len(self._pcm) - self._late_bytes)
        self._window_bytes -= n_bytes
        if self._window_bytes > 0:
            return
        self._lowest.append(self._lowest_bytes)
        self._begin_window()
        if len(self._lowest) < self._n_windows:
            return
        deviation = median_low(self._lowest) - self._reserve_bytes
        is_warm, self._n_windows = self._n_windows > 1, N_WINDOWS
        self._lowest.clear()
        is_short = deviation < (MIN_RESERVE_SHARE - 1) * self._reserve_bytes
        is_long = deviation > formats.INPUT.n_bytes(MAX_SURPLUS_S)
        if not is_warm or is_short or is_long:
            self._move(deviation)
            self.n_disturbances += is_warm and is_long
            self.n_delayed += is_warm and is_short

    def _move(self, n_bytes: int) -> None:
        """Drop the oldest `n_bytes` of reference, or use it so much later if negative."""
        if n_bytes >= 0:
            del self._pcm[:n_bytes]
            return
        # Late reference is used after all.
        forgiven = min(self._late_bytes, -n_bytes)
        self._late_bytes -= forgiven
        self._pcm[:0] = bytes(-n_bytes - forgiven)
