"""Remove the model's own voice from the microphone's audio, with WebRTC's echo canceller AEC3 (extra `echo`).

Runs on the event loop: 20 ms of audio cost some 0.3 ms. `played` gets everything that was handed to the loudspeaker's
device, `process` everything that was recorded, in the order in which the sound threads delivered it. Noise suppression
and gain control stay off: see docs/echo.md for the measurements.
"""

import importlib.util
import math
from typing import Any

from . import pcm as formats
from .echo_meter import PLAYED_DBFS, EchoMeter, Leak
from .moved_echo import AUDIBLE_DBFS, MovedEcho, Verdict
from .reference import LowDelayResampler, ReferenceQueue
from .removed_echo import RemovedEcho

MAX_REST_DBFS, MIN_REMOVED_DB = -40.0, 10.0
"""While the model's voice is played, cleaned audio is the rest of an echo if it is softer than the first, and softer
than what was recorded by the second."""
ECHO_DBFS = -45.0
"""An echo that is recorded at this level is loud enough to be recognised."""
LOUDER_THAN_ECHO_DB = 10.0
"""Audio that is louder by this than the echo can be, as far as it was measured, is probably a voice."""
RESET_AGAIN_S = 5.0
"""Seconds of sound from the loudspeaker between two resets of a canceller that leaves too much of the echo."""
AUDIBLE_OVER_NOISE_DB = 6.0
"""Audio that is less far above the noise of the room is not audible, or steady noise would pass for a voice."""
SETTLES_S = 2.0
"""Seconds of sound after which the canceller has learned most of the room."""
LEARNS_S = 10.0
"""Seconds of sound after which the canceller knows for itself that there is no echo."""


def is_installed() -> bool:
    """True if the extra `echo` is installed."""
    return importlib.util.find_spec("pywebrtc_audio") is not None


def can_measure() -> bool:
    """True if numpy, which the extra `audio` brings, is installed."""
    return importlib.util.find_spec("numpy") is not None


class EchoPath:
    """Cancels the echo of the model's voice in the microphone's audio, or only measures it; imports numpy."""

    def __init__(self, played_hz: int, *, cancels: bool, device_delay_s: float = 0.0) -> None:
        """Prepare for a session in which nothing was played yet.

        Args:
            played_hz: Rate of the audio that `played` gets.
            cancels: True to cancel the echo, which needs the extra; False only to measure it.
            device_delay_s: The shortest time in which the devices can play and record a sound, as far as known.
        """
        import numpy as np  # noqa: PLC0415 - an extra

        self._np = np
        self.meter = EchoMeter()
        self.reference = ReferenceQueue(device_delay_s)
        self._resampler = LowDelayResampler(played_hz)
        self._canceller: Any = _build_canceller() if cancels else None
        self._moved = MovedEcho()
        self._removed = RemovedEcho()
        self.verdict = Verdict.CLEAR
        """Verdict on the newest chunk."""
        self._n_gaps = self._n_delayed = 0
        self.n_resets = 0
        """How often the canceller began to learn anew."""
        self.learned_s = 0.0
        """Seconds of sound from the loudspeaker since then."""
        self._is_first = True
        """True until the canceller had learned something and has to learn anew."""

    @property
    def cancels(self) -> bool:
        """True if the echo is cancelled, and not only measured."""
        return self._canceller is not None

    def played(self, pcm: bytes) -> None:
        """Add mono PCM that was just handed to the loudspeaker's device, silence included."""
        self.reference.put(self._resampler.feed(pcm))

    @property
    def highest_leak_db(self) -> float | None:
        """Level of the echo relative to what was played, in dB: the higher one of what the two measurements say.

        The search for the echo knows it sooner than the meter, but only of the direct sound.
        """
        measured_db, found_db = self.meter.leak_db, self._moved.leak_db
        if measured_db is None or found_db is None:
            return found_db if measured_db is None else measured_db
        return max(measured_db, found_db)

    @property
    def is_first_removed(self) -> bool:
        """True if the first echo of the session was removed for a second, whoever else spoke.

        A canceller that learns anew in a room with much reverberation removes the direct sound long before the rest.
        """
        return self._is_first and self._removed.is_removed

    @property
    def _is_echo_loud(self) -> bool:
        """True if the newest chunk can be an echo, and one that is loud enough to be recognised."""
        return self.meter.recorded_dbfs > ECHO_DBFS and self.meter.expected_dbfs(0.0) > PLAYED_DBFS

    @property
    def _is_bypassed(self) -> bool:
        """True if `process` should return the recorded audio instead of the cleaned audio.

        Until AEC3 has learned that nothing comes back, which takes some 7 s of sound, it removes every voice while the
        model is heard.
        """
        return self.meter.leak is Leak.ABSENT and self.learned_s < LEARNS_S

    def process(self, recorded: bytes) -> bytes:
        """Return microphone audio without the echo, delayed by 8 ms.

        `recorded` is a multiple of 10 ms of 16 kHz mono PCM.
        """
        reference = self.reference.take(len(recorded))
        if self.reference.n_gaps != self._n_gaps:
            self._n_gaps = self.reference.n_gaps
            self.reset()
        elif self.reference.n_delayed != self._n_delayed:
            self._reset_canceller()
        self._n_delayed = self.reference.n_delayed
        cleaned = recorded if self._canceller is None else self._cancel(recorded, reference)
        self.meter.add(reference, recorded, cleaned)
        self.learned_s += self.meter.new_played_s
        if self.cancels and self._is_first and self.learned_s < LEARNS_S:
            self._removed.add(reference, recorded, cleaned, self._moved.delay_s if self._is_echo_loud else None)
        if self.meter.rest_is_audible and self.learned_s >= RESET_AGAIN_S:
            self._reset_canceller()
        cleaned = recorded if self._is_bypassed else self._soften(cleaned)
        self._judge(reference, recorded, cleaned)
        return cleaned

    def _judge(self, reference: bytes, recorded: bytes, cleaned: bytes) -> None:
        meter = self.meter
        noise_dbfs = AUDIBLE_DBFS if meter.noise_dbfs is None else meter.noise_dbfs + AUDIBLE_OVER_NOISE_DB
        loudest_dbfs = math.inf if meter.leak_db is None else meter.expected_dbfs(meter.leak_db) + LOUDER_THAN_ECHO_DB
        self.verdict = self._moved.judge(
            reference,
            recorded,
            is_echo_loud=self._is_echo_loud,
            is_louder_than_echo=meter.recorded_dbfs > loudest_dbfs,
            is_audible=formats.level_dbfs(cleaned) > max(AUDIBLE_DBFS, noise_dbfs),
            is_absent=meter.leak is Leak.ABSENT,
            is_settled=self.learned_s >= SETTLES_S,
        )
        if self.verdict is Verdict.MOVED:
            if meter.leak is Leak.ABSENT:  # the headphones were taken off
                meter.reset()
            self._reset_canceller()

    def _soften(self, cleaned: bytes) -> bytes:
        """Reduce the residual echo to the level of the room's noise, so that no voice detector takes it for speech.

        The meter measures the audio before this step.
        """
        meter = self.meter
        if not self.cancels or meter.leak is not Leak.PRESENT or meter.expected_dbfs(0.0) < PLAYED_DBFS:
            return cleaned
        rest_dbfs = meter.cleaned_dbfs
        is_rest = rest_dbfs < min(MAX_REST_DBFS, meter.recorded_dbfs - MIN_REMOVED_DB)
        if not is_rest or meter.noise_dbfs is None or rest_dbfs <= meter.noise_dbfs:
            return cleaned
        np = self._np
        softened = np.frombuffer(cleaned, "<i2") * 10 ** ((meter.noise_dbfs - rest_dbfs) / 20)
        return bytes(np.rint(softened).astype("<i2").tobytes())

    def reset(self) -> None:
        """Discard all measurements of the echo, and reset the canceller, after a device has changed or paused."""
        self.meter.reset()
        self._moved = MovedEcho()
        self._reset_canceller()

    def _reset_canceller(self) -> None:
        """Reset the canceller: learning a new echo path is faster than adapting from the old one."""
        self._is_first = self._is_first and self.learned_s == 0.0
        self.learned_s = 0.0
        self.n_resets += 1
        self._moved.reset()
        if self._canceller is not None:
            self._canceller.reset()

    def _cancel(self, recorded: bytes, reference: bytes) -> bytes:
        np = self._np
        near = np.frombuffer(recorded, "<i2").astype(np.int16)
        far = np.frombuffer(reference, "<i2").astype(np.int16)
        return bytes(self._canceller.process(near, far).astype("<i2").tobytes())


def _build_canceller() -> Any:
    from pywebrtc_audio import EchoCanceller  # noqa: PLC0415 - an extra

    return EchoCanceller(formats.INPUT.rate_hz)
