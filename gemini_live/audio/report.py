"""What `--check-audio` found out, as data. Pure."""

from ..frozen import Frozen

NO_MICROPHONE = "no microphone"
"""The mode of a report about a microphone that records nothing."""


class AudioReport(Frozen):
    """What `--check-audio` measured on this machine."""

    microphone: str
    """Name of the device."""
    microphone_rate_hz: int
    """Rate at which the microphone was opened."""
    speaker: str
    """Name of the device."""
    speaker_rate_hz: int
    """Rate at which the loudspeaker was opened."""
    noise_dbfs: float
    """Level of the room's noise in the microphone, in dB relative to full scale."""
    round_trip_s: float | None
    """Seconds from handing a sound to the loudspeaker to getting its echo from the microphone; null: no echo."""
    echo_leak_db: float | None
    """Level of the echo relative to what was played, in dB; null: no echo."""
    erle_db: float | None
    """How much of the echo cancellation removes after 3 s, in dB; null: no echo, or the echo extra is not installed."""
    drift_ppm: float | None
    """How much faster the loudspeaker's clock runs than the microphone's, in parts per million; null: no echo."""
    dropped_blocks: int
    """Buffers that PortAudio reported as late or lost."""
    mode: str
    """The recommended mode: `echo cancelled`, `half duplex`, `headphones`, or `no microphone`: it records nothing."""
    advice: str
    """What to do, in one sentence."""
