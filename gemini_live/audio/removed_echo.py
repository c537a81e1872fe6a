"""See whether the echo is removed, also while somebody speaks over it. Pure; event loop only.

Levels tell how much of the echo is left only while nobody speaks. The waveform of what was played tells it always: a
voice does not agree with it in the long run. This sees the direct sound only, and no reverberation.
"""

from collections import deque
from typing import TYPE_CHECKING

from . import pcm as formats
from .conversion import CHUNK_S
from .moved_echo import MAX_CANCELLED_DELAY_S

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CANCELLER_DELAY_S = 0.008
"""How much later than the recorded audio the cleaned audio is."""
_AROUND_S = 0.001
"""How exactly the delay is known."""
_WATCHED_S = 1.0
"""Duration of the echo that is looked at."""
_LEFT_SHARE = 0.2
"""The echo is removed if the cleaned audio agrees with what was played so much less than the recorded: by 14 dB."""


class RemovedEcho:
    """Compares recorded and cleaned audio with what was played, at the delay of the echo; imports numpy."""

    def __init__(self) -> None:
        import numpy as np  # noqa: PLC0415 - an extra

        self._np = np
        n_longest = MAX_CANCELLED_DELAY_S + CANCELLER_DELAY_S + CHUNK_S + 2 * _AROUND_S
        self._reference: npt.NDArray[np.float32] = np.zeros(round(n_longest * formats.INPUT.rate_hz), np.float32)
        self._agreements: deque[npt.NDArray[np.float64]] = deque(maxlen=round(_WATCHED_S / CHUNK_S))
        """How the recorded (row 0) and the cleaned audio (row 1) of each chunk agree with what was played."""

    def add(self, reference: bytes, recorded: bytes, cleaned: bytes, delay_s: float | None) -> None:
        """Add a chunk of 20 ms; `delay_s`: of its echo; None if it has none, or if the delay is not known."""
        np = self._np
        new = np.frombuffer(reference, "<i2").astype(np.float32)
        self._reference = np.concatenate((self._reference[len(new) :], new))
        if delay_s is None:
            return
        products = self._agree(recorded, delay_s), self._agree(cleaned, delay_s + CANCELLER_DELAY_S)
        self._agreements.append(np.stack(products))

    def _agree(self, pcm: bytes, delay_s: float) -> "npt.NDArray[np.float64]":
        """Return the products of audio and what was played, at each delay around the known one."""
        rate_hz = formats.INPUT.rate_hz
        # Differences, because the deep tones of any two voices are alike.
        audio = self._np.diff(self._np.frombuffer(pcm, "<i2").astype(self._np.float32))
        end = len(self._reference) - round(max(0.0, delay_s - _AROUND_S) * rate_hz)
        begin = end - len(audio) - 1 - 2 * round(_AROUND_S * rate_hz)
        played = self._np.diff(self._reference[begin:end])
        products: npt.NDArray[np.float64] = self._np.correlate(played, audio, "valid").astype(self._np.float64)
        return products

    @property
    def is_removed(self) -> bool:
        """True if the echo is removed in the last second of chunks with a delay."""
        if len(self._agreements) < (self._agreements.maxlen or 0):
            return False
        recorded, cleaned = self._np.abs(sum(self._agreements)).max(axis=1)
        return bool(cleaned < _LEFT_SHARE * recorded)
