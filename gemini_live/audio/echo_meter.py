"""Measure how much of the loudspeaker's sound the microphone picks up, and how much is left after cancellation.

Works on levels of 10 ms, so it costs little. The model's voice rises and falls with its syllables. If the microphone's
level rises and falls in the same way some time later, it records an echo. Another voice or noise does not follow.
Pure; event loop only.
"""

import math
from enum import Enum
from typing import TYPE_CHECKING

from . import pcm as formats
from .voice_detector import NoiseFloor

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FRAME_S = 0.01
WINDOW_S = 2.0
"""Duration of the audio that one measurement looks at."""
EVERY_S = 1.0
"""Time between two measurements."""
MAX_ECHO_DELAY_S = 1.2
"""Longest delay of an echo that is found. AEC3 cancels up to some 0.5 s; later echoes lead to half duplex."""
MIN_PLAYED_S = 0.5
"""A measurement needs at least so much sound from the loudspeaker in its window."""

PLAYED_DBFS = -50.0
"""Louder audio is heard from the loudspeaker."""
_PLAYED = 10 ** (PLAYED_DBFS / 20)
"""The same as an amplitude."""
_FOLLOWS = 0.7
"""Correlation of two levels from which one follows the other: above 0.85 for an echo, below 0.6 for other voices."""
_CLEARLY_FOLLOWS = 0.85
"""With less, the same delay has to be found twice: two voices may happen to agree for two seconds."""
_SAME_DELAY_S = 0.03
_QUIET_DB = 6.0
"""A microphone whose level stays this close to the noise floor picks up nothing."""
_QUIET_S, _ECHO_IS_DUE_S, _PLAYED_SHARE = 0.6, 0.3, 0.75
"""There is no echo if the microphone is quiet for 0.6 s, and the loudspeaker was heard for 75 % of the 0.6 s that ended
0.3 s ago: an echo would have come by now."""
_N_AUDIBLE, _N_INAUDIBLE = 3, 4
"""Measurements with an audible rest of the echo after which cancellation has failed, and without it until it works."""
_AUDIBLE_DBFS = -55.0
"""A softer rest of the echo does not count as speech for any voice detector."""
_LIKELY_DELAY_S = 0.3
"""Delay of the echo that is expected until it is measured."""
_TAIL_S = 0.25
"""How long a room still sounds: the expected echo decays so long."""
_MAX_MEASUREMENTS = 10_000


class Leak(Enum):
    """What is known about the way from the loudspeaker to the microphone."""

    UNKNOWN = "unknown"
    """Nothing was played yet, or too little."""
    PRESENT = "present"
    ABSENT = "absent"
    """The model was heard and the microphone picked up nothing: the user wears headphones."""


class EchoMeter:
    """Compares the levels of the reference, the microphone and the cleaned audio; imports numpy.

    It measures once a second, if the loudspeaker was heard for at least 0.5 s of the last 2 s.
    """

    def __init__(self) -> None:
        import numpy as np  # noqa: PLC0415 - an extra

        self._np = np
        self.leaks_db: list[float] = []
        """Every measured leak since the beginning, see `leak_db`."""
        self.erles_db: list[float] = []
        """Every measured ERLE since the beginning, see `erle_db`."""
        self._n_window, self._n_lags = round(WINDOW_S / FRAME_S), round(MAX_ECHO_DELAY_S / FRAME_S)
        self._n_kept = self._n_window + self._n_lags
        self.reset()

    def reset(self) -> None:
        """Discard all measurements except the lists for the report, after a gap or a change of device."""
        self.leak = Leak.UNKNOWN
        self.is_audible = False
        """True if several measurements in a row found a residual echo that is loud enough to count as speech."""
        self.leak_db: float | None = None
        """Level of the echo in the microphone relative to the level that was played, in dB; None if not measured.

        This is the slope of the microphone's amplitude over that of the reference, at the delay of the echo.
        """
        self.erle_db: float | None = None
        """Echo return loss enhancement, in dB: the power of the microphone's audio over the power of the cleaned audio,
        while the echo dominates the microphone. The noise of the room limits it. None if not measured."""
        self.delay_s: float | None = None
        """Time from handing audio to the loudspeaker's device to its echo in the microphone; None if not measured."""
        self.noise_dbfs: float | None = None
        """Level of the noise of the room: the quietest 20 ms of the last two seconds; None if not measured."""
        self.recorded_dbfs = self.cleaned_dbfs = -96.0
        """Levels of the newest audio, in dB relative to full scale."""
        self.new_played_s = 0.0
        """Seconds of sound from the loudspeaker in the newest audio."""
        self._likely_delay_s = -1.0
        """Delay of the echo that the last measurement found; -1 if it found none."""
        self._levels: list[npt.NDArray[np.float64]] = []
        self._n_frames = self._n_until_next = 0
        self._floor, self._n_quiet = NoiseFloor(), 0
        self._n_audible = self._n_inaudible = 0
        self._recent: npt.NDArray[np.float64] = self._np.zeros(
            round((_QUIET_S + MAX_ECHO_DELAY_S + _ECHO_IS_DUE_S) / FRAME_S)
        )
        """The newest amplitudes of the reference."""

    def add(self, reference: bytes, recorded: bytes, cleaned: bytes) -> None:
        """Add played, recorded and cleaned audio of equal length: whole frames of 10 ms of 16 kHz mono PCM."""
        np = self._np
        samples = np.frombuffer(reference + recorded + cleaned, "<i2").astype(np.float32)
        n = round(FRAME_S * formats.INPUT.rate_hz)
        levels = np.sqrt((samples.reshape(3, -1, n) ** 2).mean(axis=2)) / 32768
        self._levels.append(levels.astype(np.float64))
        n_new = levels.shape[1]
        self._recent = np.concatenate((self._recent[n_new:], levels[0]))
        self.recorded_dbfs, self.cleaned_dbfs = (_dbfs(float(np.sqrt((row**2).mean()))) for row in levels[1:])
        self.new_played_s = float((levels[0] > _PLAYED).sum()) * FRAME_S
        self._watch_for_silence(n_new)
        self._n_frames += n_new
        self._n_until_next -= n_new
        if self._n_frames >= self._n_kept and self._n_until_next <= 0:
            self._n_until_next = round(EVERY_S / FRAME_S)
            kept = np.concatenate(self._levels, axis=1)[:, -self._n_kept :]
            self._levels, self._n_frames = [kept], kept.shape[1]
            self._measure(*kept)

    @property
    def rest_is_audible(self) -> bool:
        """True if the last measurement found a residual echo that is loud enough to count as speech."""
        return self._n_audible > 0

    def expected_dbfs(self, leak_db: float) -> float:
        """Return the highest level that an echo can have now: that of the recently played audio plus `leak_db`."""
        delay_s = _LIKELY_DELAY_S if self.delay_s is None else self.delay_s
        n = min(len(self._recent), round((delay_s + _TAIL_S) / FRAME_S))
        loudest = float(self._recent[-n:].max())
        return 20 * float(self._np.log10(max(loudest, 1e-5))) + leak_db

    def _watch_for_silence(self, n_frames: int) -> None:
        """Set `leak` to ABSENT if the loudspeaker plays and the microphone picks up nothing but noise."""
        level_dbfs = self.recorded_dbfs
        self._floor.add(level_dbfs)
        self.noise_dbfs = self._floor.level_dbfs
        self._n_quiet = self._n_quiet + n_frames if level_dbfs < self.noise_dbfs + _QUIET_DB else 0
        n, n_due = round(_QUIET_S / FRAME_S), round(((self.delay_s or 0.0) + _ECHO_IS_DUE_S) / FRAME_S)
        if self._n_quiet >= n and (self._recent[-n - n_due : -n_due] > _PLAYED).sum() >= _PLAYED_SHARE * n:
            self.leak, self.leak_db, self.erle_db = Leak.ABSENT, None, None

    def _measure(
        self,
        reference: "npt.NDArray[np.float64]",
        recorded: "npt.NDArray[np.float64]",
        cleaned: "npt.NDArray[np.float64]",
    ) -> None:
        """Look for an echo in the last two seconds; `reference` begins earlier, by the longest delay of an echo."""
        np = self._np
        recorded, cleaned = recorded[-self._n_window :], cleaned[-self._n_window :]
        is_played = reference > _PLAYED
        if is_played[-self._n_window :].sum() * FRAME_S < MIN_PLAYED_S:
            return
        shifted = np.lib.stride_tricks.sliding_window_view(self._smooth(reference), self._n_window)
        follows, slopes = self._correlate(shifted, self._smooth(recorded))
        best = int(follows.argmax())
        is_echo = follows[best] >= _FOLLOWS
        delay_s, self._likely_delay_s = self._likely_delay_s, (self._n_lags - best) * FRAME_S if is_echo else -1.0
        if follows[best] >= _CLEARLY_FOLLOWS or (is_echo and abs(delay_s - self._likely_delay_s) <= _SAME_DELAY_S):
            self._note_echo(
                leak_db=20 * float(np.log10(slopes[best])),
                delay_s=self._likely_delay_s,
                recorded=recorded[is_played[best : best + self._n_window]],
                cleaned=cleaned[is_played[best : best + self._n_window]],
            )
        follows, _ = self._correlate(shifted, self._smooth(cleaned))
        self._judge_rest(follows=self._at_known_delay(follows), level_dbfs=_dbfs(float(np.sqrt((cleaned**2).mean()))))

    def _at_known_delay(self, follows: "npt.NDArray[np.float64]") -> float:
        """Return the best correlation at about the delay of the echo; a voice may follow at another by chance."""
        if self.delay_s is None:
            return float(follows.max())
        n, n_around = round(self.delay_s / FRAME_S), round(_SAME_DELAY_S / FRAME_S)
        by_delay = follows[::-1]
        return float(by_delay[max(0, n - n_around) : n + n_around + 1].max())

    def _note_echo(
        self,
        *,
        leak_db: float,
        delay_s: float,
        recorded: "npt.NDArray[np.float64]",
        cleaned: "npt.NDArray[np.float64]",
    ) -> None:
        self.leak = Leak.PRESENT
        self.leak_db, self.delay_s = leak_db, delay_s
        power, rest = float((recorded**2).mean()), float((cleaned**2).mean())
        self.erle_db = _dbfs(power**0.5) - _dbfs(rest**0.5)
        if len(self.leaks_db) < _MAX_MEASUREMENTS:
            self.leaks_db.append(leak_db)
            self.erles_db.append(self.erle_db)

    def _judge_rest(self, *, follows: float, level_dbfs: float) -> None:
        """Set `is_audible` if the cleaned audio contains an audible echo in several measurements in a row.

        `follows`: how closely the level of the cleaned audio follows that of the reference (correlation).
        """
        if follows >= _FOLLOWS and level_dbfs > _AUDIBLE_DBFS:
            self._n_audible, self._n_inaudible = self._n_audible + 1, 0
        else:
            self._n_audible, self._n_inaudible = 0, self._n_inaudible + 1
        if self._n_audible >= _N_AUDIBLE:
            self.is_audible = True
        elif self._n_inaudible >= _N_INAUDIBLE:
            self.is_audible = False

    def _smooth(self, amplitudes: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
        """Return the levels over 50 ms, because a room smears the echo."""
        return self._np.sqrt(self._np.convolve(amplitudes**2, self._np.full(5, 0.2), "same"))

    def _correlate(
        self, shifted: "npt.NDArray[np.float64]", levels: "npt.NDArray[np.float64]"
    ) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]":
        """Return, for each row of `shifted`, its correlation with `levels` and the slope of the regression on it."""
        np = self._np
        rows = shifted - shifted.mean(axis=1, keepdims=True)
        centred = levels - levels.mean()
        products, powers = rows @ centred, (rows**2).sum(axis=1) + 1e-12
        return products / np.sqrt(powers * ((centred**2).sum() + 1e-12)), products / powers


def _dbfs(amplitude: float) -> float:
    return 20 * float(math.log10(max(amplitude, 1.6e-5)))
