"""The state of a session as facts for the status bar, and the type of styled text. Pure."""

import math
from enum import Enum, StrEnum

from ..frozen import Frozen

Fragments = list[tuple[str, str]]
"""Styled text as prompt_toolkit has it: pairs of a style and a text."""

METER_CELLS = 6
_MIN_DBFS = -60.0


class MicrophoneState(StrEnum):
    """What happens to the user's voice."""

    OFF = "off"
    FILE = "file"
    """A sound file replaces the microphone."""
    LIVE = "live"
    MUTED = "muted"
    WAITING = "waits"
    """Half duplex: the microphone is muted while the model speaks."""
    TALK_KEY_UP = "talk key up"
    TALKING = "talking"


class SoundMode(StrEnum):
    """How the client keeps the model from hearing its own voice."""

    ECHO_CANCELLED = "echo cancelled"
    HALF_DUPLEX = "half duplex"
    """The microphone is muted while the model speaks, but a loud voice can break in."""
    HEADPHONES = "headphones"
    """Measured: the microphone does not pick up the loudspeaker."""
    NOT_CANCELLED = "echo not cancelled"
    """The user has turned off half duplex, and cancellation is off, missing or does not work."""
    PUSH_TO_TALK = "push to talk"


class ConnectionState(Enum):
    """The state of the connection."""

    CONNECTING = "connecting"
    LIVE = "live"
    RESUMING = "resuming"
    """Connecting again after a connection was lost."""
    ENDED = "ended"


class Status(Frozen, kw_only=True):
    """What the bar shows. The bar is redrawn if one status differs from the last."""

    connection: ConnectionState
    since_s: int
    """Whole seconds since the connection changed to this state."""
    server: str | None
    """`simulator`, or the host of the server; `None` if it is Google's."""
    waiting_s: int | None
    """Whole seconds since the user pressed Enter, until the answer begins; `None` if no answer is due."""
    calls: tuple[str, ...]
    """The names of the running functions, the oldest first."""
    calling_s: int
    """Whole seconds since the oldest running function was called."""
    microphone: MicrophoneState
    microphone_cells: int
    """How many cells of the microphone's level meter are filled, at most `METER_CELLS`."""
    plays: bool
    """True if there is a speaker."""
    speaker_cells: int
    """How many cells of the speaker's level meter are filled, at most `METER_CELLS`."""
    queued_s: float
    """Seconds of speech that were received and not played yet, rounded to 0.1 s."""
    model: str
    voice: str | None
    latency_s: float | None
    """Seconds from the end of the last question to the start of its answer, rounded to 0.01 s."""
    tokens: int
    sound_mode: SoundMode | None
    erle_db: int | None
    """By how many dB the echo was reduced in the last second that was measured; `None` if that is unknown."""
    unsent: tuple[str, ...]
    """Typed lines that were not sent yet, which are shown above the input line."""
    question: str | None = None
    """A question that the next typed line answers, which is shown above the input line."""


def meter_cells(level_dbfs: float) -> int:
    """Return how many cells of a meter a level fills; every audible level fills at least one."""
    share = 1 - max(level_dbfs, _MIN_DBFS) / _MIN_DBFS
    return min(METER_CELLS, math.ceil(share * METER_CELLS))
