"""How a session stands, as facts: what the status bar draws, and the styled text that it is drawn with. Pure."""

import math
from dataclasses import dataclass
from enum import Enum, StrEnum

Fragments = list[tuple[str, str]]
"""Styled text, as prompt_toolkit has it: pairs of a style and a text."""

METER_CELLS = 6
_QUIETEST_DBFS = -60.0


class MicrophoneState(StrEnum):
    """What becomes of the user's voice."""

    OFF = "off"
    FILE = "file"
    """A sound file takes its place."""
    LIVE = "live"
    MUTED = "muted"
    WAITING = "waits"
    """Half duplex, while the model is heard."""
    TALK_KEY_UP = "talk key up"
    TALKING = "talking"


class SoundMode(StrEnum):
    """What keeps the model from hearing itself."""

    HEADPHONES = "headphones"
    """The user's own, who was told."""
    HALF_DUPLEX = "half duplex"
    PUSH_TO_TALK = "push to talk"


class ConnectionState(Enum):
    """Where the connection stands."""

    CONNECTING = "connecting"
    LIVE = "live"
    RESUMING = "resuming"
    """It was live before."""
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Status:
    """What the bar shows; two that are equal look the same."""

    connection: ConnectionState
    since_s: int
    """For how long, in whole seconds."""
    microphone: MicrophoneState
    microphone_cells: int
    """How much of the meter is filled, up to `METER_CELLS`."""
    plays: bool
    """Whether there is a speaker."""
    speaker_cells: int
    queued_s: float
    """Speech that is still to be heard, to a tenth of a second."""
    model: str
    voice: str | None
    latency_s: float | None
    """Of the last answer, to a hundredth of a second."""
    tokens: int
    sound_mode: SoundMode | None
    unsent: tuple[str, ...]
    """Lines that were typed and not sent yet; they are shown above the input line."""


def meter_cells(level_dbfs: float) -> int:
    """Return how many cells of a meter a level fills; anything that can be heard fills one."""
    share = 1 - max(level_dbfs, _QUIETEST_DBFS) / _QUIETEST_DBFS
    return min(METER_CELLS, math.ceil(share * METER_CELLS))
