"""Recognise an echo whose delay has changed, and tell it from a voice. Pure; event loop only.

When the delay of a device changes, the canceller lets the whole echo through until it has learned the new delay. A
voice detector takes that echo for speech within 0.1 s. But an echo repeats the played audio sample by sample at one
delay; a voice does not. `MovedEcho` says which chunks to hold until this is known; its caller holds them.
"""

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from . import pcm as formats
from .conversion import CHUNK_S
from .correlation import correlate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

AUDIBLE_DBFS = -50.0
"""No voice detector takes softer audio for speech."""
_WINDOW_S = 0.1
"""Duration of the recorded audio that is searched for in the played audio."""
MAX_CANCELLED_DELAY_S = 0.5
"""AEC3 cancels no later echo, so no longer delay is searched."""
_REPEATS = 0.45
"""Correlation of the recorded with the played audio at the delay of an echo: 0.5 to 0.98, if the reverberation is no
louder than the direct sound. At other delays, and with a voice over the echo: up to 0.4 in 98 of 100 searches."""
_STILL_SHARE = 0.5
"""The delay is unchanged if its correlation reaches this share of the best one. A tone, or an echo with much
reverberation, correlates at many delays."""
_SAME_S, _MOVED_S = 0.001, 0.008
"""Two delays are equal if they differ by at most the first. The delay has changed if it differs by more than the
second: the canceller follows smaller changes at once."""
_SEARCH_EVERY = 3
"""Chunks from one search to the next while the echo is cancelled."""
_N_HELD = 5
"""Chunks that are held, from the first audible one: two searches have to agree, and the first ones see too little."""
_N_BEGINNING = 10
"""Chunks in which a voice begins."""
_N_APART, _N_COMPARED = 5, 3
"""Later in a voice, a search has to agree with one of three that are at least five chunks older and saw other audio:
two voices of the same pitch are alike for a moment (on the virtual card, in every third near voice, 2026-11-29)."""
_VOICE_S = 0.5
"""A voice has ended if no chunk was audible for this long."""


class Verdict(Enum):
    """Whether the newest audio is a voice or an echo."""

    CLEAR = auto()
    """Nothing that is known to be an echo: send it."""
    WAITING = auto()
    """A voice or an echo, not known yet: hold it."""
    MOVED = auto()
    """An echo whose delay has changed, or the first one where none came back before."""


class MovedEcho:
    """Compares the waveform of the recorded audio with that of the played audio; imports numpy."""

    def __init__(self) -> None:
        import numpy as np  # noqa: PLC0415 - an extra

        self._np = np
        n_window, n_delays = (
            formats.INPUT.n_bytes(s) // formats.SAMPLE_BYTES for s in (_WINDOW_S, MAX_CANCELLED_DELAY_S)
        )
        self._reference: npt.NDArray[np.float32] = np.zeros(n_window + n_delays, np.float32)
        self._recorded: npt.NDArray[np.float32] = np.zeros(n_window, np.float32)
        self.delay_s: float | None = None
        """Delay of the echo; None if not known."""
        self.leak_db: float | None = None
        """Level of the direct sound in the newest echo, relative to what was played, in dB; None before the first."""
        self._found_leak_db = 0.0
        """The same of what the last search found."""
        self._until_search = 0
        self._found: deque[float | None] = deque(maxlen=_N_APART + _N_COMPARED - 1)
        """What the last searches found, the oldest first."""
        self._n_chunks = self._n_inaudible = 0
        """Chunks since the first audible one of this voice (0: nobody speaks), and since the last audible one."""

    def reset(self) -> None:
        """Forget the delay, after a gap or a change of device; a voice that is being heard goes on."""
        self.delay_s = None
        self._found.clear()

    def judge(
        self,
        reference: bytes,
        recorded: bytes,
        *,
        is_echo_loud: bool,
        is_louder_than_echo: bool,
        is_audible: bool,
        is_absent: bool,
        is_settled: bool,
    ) -> Verdict:
        """Judge a chunk of 20 ms.

        Args:
            reference: What was played.
            recorded: What was recorded.
            is_echo_loud: True if the chunk can be an echo, and one that is loud enough to be found.
            is_louder_than_echo: True if the chunk is too loud for an echo of the measured level. As a voice begins, it
                may be the echo of another device all the same.
            is_audible: True if the chunk is audible after cancellation.
            is_absent: True if no echo is expected, because none came back so far: then every echo is new.
            is_settled: False while the canceller learns: then nothing is sent yet, and nothing counts as moved.
        """
        if is_absent:
            self.delay_s = None
        self._reference = self._append(self._reference, reference)
        self._recorded = self._append(self._recorded, recorded)
        self._until_search -= 1
        is_voice = is_louder_than_echo and self._n_chunks > _N_BEGINNING
        if is_echo_loud and not is_voice and (is_audible or self._until_search <= 0):
            self._until_search = _SEARCH_EVERY
            if self._has_moved(is_absent=is_absent, is_settled=is_settled):
                return Verdict.MOVED
        self._n_inaudible = 0 if is_audible else self._n_inaudible + 1
        if self._n_inaudible > _VOICE_S / CHUNK_S:
            self._n_chunks = 0
        elif self._n_chunks or (is_audible and is_echo_loud and (is_absent or self.delay_s is not None)):
            self._n_chunks += 1
        return Verdict.WAITING if 0 < self._n_chunks <= _N_HELD else Verdict.CLEAR

    def _has_moved(self, *, is_absent: bool, is_settled: bool) -> bool:
        """Search for the delay; return True if it is new and an earlier search found it too."""
        found_s, found = self._find(), list(self._found)
        self._found.append(found_s)
        n_older = max(0, len(found) - _N_APART + 1)
        compared = found[:n_older] if self._n_chunks > _N_BEGINNING else found[-2:]
        if found_s is None or not any(s is not None and abs(s - found_s) <= _SAME_S for s in compared):
            return False
        has_moved = is_absent if self.delay_s is None else abs(found_s - self.delay_s) > _MOVED_S
        if has_moved and not (is_settled or is_absent):
            return False
        self.delay_s, self.leak_db = found_s, self._found_leak_db
        return has_moved

    def _append(self, samples: "npt.NDArray[np.float32]", pcm: bytes) -> "npt.NDArray[np.float32]":
        new = self._np.frombuffer(pcm, "<i2").astype(self._np.float32)
        return self._np.concatenate((samples[len(new) :], new))

    def _find(self) -> float | None:
        """Return the delay in seconds at which the recorded audio repeats what was played; None if there is none.

        Sets `_found_leak_db`.
        """
        np, rate_hz = self._np, formats.INPUT.rate_hz
        # Differences, because the deep tones of any two voices are alike.
        played, recorded = np.diff(self._reference), np.diff(self._recorded)
        by_delay = np.abs(correlate(recorded, played))[::-1]
        best = int(by_delay.argmax())
        if by_delay[best] < _REPEATS:
            return None
        if self.delay_s is not None:
            first, end = (round((self.delay_s + s) * rate_hz) for s in (-_SAME_S, _SAME_S))
            known = max(0, first) + int(by_delay[max(0, first) : end + 1].argmax())
            if by_delay[known] >= _STILL_SHARE * by_delay[best]:
                best = known
        begin = len(played) - len(recorded) - best
        heard = played[begin : begin + len(recorded)]
        # A voice over the echo lowers the correlation as much as it raises the power.
        gain = by_delay[best] * np.sqrt((np.square(recorded).sum() + 1) / (np.square(heard).sum() + 1))
        self._found_leak_db = 20 * float(np.log10(gain))
        return best / rate_hz
