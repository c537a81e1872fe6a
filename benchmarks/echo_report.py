"""What was measured in a conversation on open speakers."""

import statistics
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import webrtcvad

from gemini_live.audio.correlation import correlate
from gemini_live.audio.pcm import INPUT
from tests.rig.analysis import Samples, resample

from .echo_scene import NOISE_DBFS, VOICE_HZ, Scene, level_db

HEADER = (
    "ERLE, median (worst second) | own ERLE | false interruptions | webrtcvad | "
    "near voices | after, median (longest) | their level | SNR"
)


@dataclass
class Report:
    """Levels and interruptions of one conversation."""

    erles_db: list[float] = field(default_factory=list)
    """For each second in which the model was heard and nobody else."""
    sent_dbfs: list[float] = field(default_factory=list)
    """The level that was sent in each of these seconds."""
    n_false: int = 0
    """Interruptions while nobody spoke."""
    n_vad: int = 0
    """How often webrtcvad took 0.2 s and more for speech while nobody spoke."""
    seconds: float = 0.0
    """Time in which the model spoke and nobody else."""
    near_delays_s: list[float | None] = field(default_factory=list)
    """For each near voice: seconds until the server said that the model was interrupted; None if it did not."""
    near_levels_db: list[float] = field(default_factory=list)
    """For each near voice: level of what was sent relative to the voice."""
    near_snrs_db: list[float] = field(default_factory=list)
    """For each near voice: its power in what was sent over that of everything else in it."""
    summary: dict[str, Any] = field(default_factory=dict)
    """The command's own summary."""
    modes: list[str] = field(default_factory=list)

    def add_alone(self, scene: Scene, begin: tuple[int, int], end: tuple[int, int]) -> None:
        """Add the time between two marks, in which nobody but the model spoke, second by second."""
        sent = np.frombuffer(bytes(scene.record.audio[begin[0] // 2 * 2 : end[0] // 2 * 2]), "<i2")
        heard = np.frombuffer(bytes(scene.card.heard[begin[1] // 2 * 2 : end[1] // 2 * 2]), "<i2")
        for start in range(0, min(len(sent), len(heard)) - INPUT.rate_hz + 1, INPUT.rate_hz):
            heard_db = level_db(heard[start : start + INPUT.rate_hz])
            if heard_db < NOISE_DBFS + 15:
                continue  # a pause
            sent_db = level_db(sent[start : start + INPUT.rate_hz])
            self.erles_db.append(heard_db - sent_db)
            self.sent_dbfs.append(sent_db)
        self.seconds += len(sent) / INPUT.rate_hz
        self.n_vad += count_speech(sent)

    def add_near(self, scene: Scene, begin: tuple[int, int], voice: Samples, interrupted_s: float | None) -> None:
        """Add a near voice that spoke over the model since a mark."""
        self.near_delays_s.append(interrupted_s)
        said = resample(voice, VOICE_HZ, INPUT.rate_hz)
        sent = _align(np.frombuffer(bytes(scene.record.audio[begin[0] // 2 * 2 :]), "<i2"), said)
        self.near_levels_db.append(level_db(sent) - level_db(said))
        self.near_snrs_db.append(_snr_db(sent, said))

    def format(self) -> str:
        """Return the report as a row of a table."""
        erles = f"{statistics.median(self.erles_db):.0f} ({min(self.erles_db):.0f})" if self.erles_db else "-"
        delays = [delay_s for delay_s in self.near_delays_s if delay_s is not None]
        near = f"{len(delays)} of {len(self.near_delays_s)}"
        took = f"{statistics.median(delays):.2f} s ({max(delays):.2f})" if delays else "-"
        level = f"{statistics.median(self.near_levels_db):.0f} dB" if self.near_levels_db else "-"
        snr = f"{statistics.median(self.near_snrs_db):.0f} dB" if self.near_snrs_db else "-"
        own = self.summary.get("erle_db")
        own_db = "-" if own is None else f"{own:.0f}"
        return f"{erles} | {own_db} | {self.n_false} | {self.n_vad} | {near} | {took} | {level} | {snr}"


def count_speech(samples: "np.ndarray[Any, Any]") -> int:
    """Return how often webrtcvad takes at least 0.2 s for speech, at its default level 2."""
    vad, pcm, n_run, n_found = webrtcvad.Vad(2), samples.astype("<i2").tobytes(), 0, 0
    for start in range(0, len(pcm) - 639, 640):
        n_run = n_run + 1 if vad.is_speech(pcm[start : start + 640], INPUT.rate_hz) else 0
        n_found += n_run == 10
    return n_found


def _align(sent: Samples, voice: Samples) -> Samples:
    """Return the part of `sent` that is most like `voice`, of its length."""
    start = int(correlate(voice.astype(np.float64), sent.astype(np.float64)).argmax())
    return sent[start : start + len(voice)]


def _snr_db(sent: Samples, voice: Samples) -> float:
    """Return the power of `voice` in `sent` over the power of the rest; a change of the voice counts as rest."""
    x, y = voice.astype(np.float64), sent.astype(np.float64)
    part = x * (x @ y) / (x @ x)
    return level_db(part) - level_db(y - part)
