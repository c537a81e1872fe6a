"""Remove the model's own voice from the microphone's audio, with WebRTC's echo canceller AEC3 (extra `echo`).

Runs on the event loop: 20 ms of audio cost some 0.2 ms. `played` gets everything that was handed to the loudspeaker's
device, `process` everything that was recorded, in the order in which the sound threads delivered it. Noise suppression
and gain control stay off: see docs/echo.md for the measurements.
"""

import importlib.util
from typing import Any

from . import pcm as formats
from .echo_meter import EchoMeter, Leak
from .reference import LowDelayResampler, ReferenceQueue

LEARNS_S = 10.0
"""Seconds of sound after which the canceller knows for itself that there is no echo."""


def is_installed() -> bool:
    """True if the extra `echo` is installed."""
    return importlib.util.find_spec("pywebrtc_audio") is not None


def can_measure() -> bool:
    """True if numpy, which the extra `audio` brings, is installed."""
    return importlib.util.find_spec("numpy") is not None


class EchoPath:
    """The way of the model's voice from the loudspeaker's device back into the microphone; imports numpy.

    It cancels the echo, or only measures it.
    """

    def __init__(self, played_hz: int, *, cancels: bool, device_delay_s: float = 0.0) -> None:
        """Begin in silence.

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
        self._n_gaps = 0

    @property
    def cancels(self) -> bool:
        """True if the echo is cancelled, and not only measured."""
        return self._canceller is not None

    def played(self, pcm: bytes) -> None:
        """Add mono PCM that was just handed to the loudspeaker's device, silence included."""
        self.reference.put(self._resampler.feed(pcm))

    @property
    def _is_bypassed(self) -> bool:
        """True if the cleaned audio is worse than what was recorded.

        Until AEC3 has learned that nothing comes back, which takes some 7 s of sound, it removes every voice while the
        model is heard.
        """
        return self.meter.leak is Leak.ABSENT and self.meter.played_s < LEARNS_S

    def process(self, recorded: bytes) -> bytes:
        """Return microphone audio without the echo, 8 ms late; it must be a multiple of 10 ms of 16 kHz mono PCM."""
        reference = self.reference.take(len(recorded))
        if self.reference.n_gaps != self._n_gaps:
            self._n_gaps = self.reference.n_gaps
            self.reset()
        cleaned = recorded if self._canceller is None else self._cancel(recorded, reference)
        self.meter.add(reference, recorded, cleaned)
        return recorded if self._is_bypassed else cleaned

    @property
    def n_disturbances(self) -> int:
        """Return how often the reference was late or moved: an echo may follow that is not cancelled."""
        return self.reference.n_disturbances

    def reset(self) -> None:
        """Forget everything about the way of the echo: a device has changed or paused."""
        self.meter.reset()
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
