"""What a recorded session was: turns, calls, sounds on one time line, and how long everything took. Data only."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..audio.pcm import PcmFormat
from ..recording.format import Header

Span = tuple[float, float]
"""A beginning and an end, in seconds since the recording began."""


class Origin(StrEnum):
    """How a turn was begun."""

    TYPED = "typed"
    SPOKEN = "spoken"
    MODEL = "model"
    """By nobody that the recording shows."""


class Ending(StrEnum):
    """How a turn ended."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    UNFINISHED = "unfinished"


@dataclass
class Sound:
    """One piece of sound, at its place on the time line."""

    start_s: float
    """When it is heard: for the user's sound, when it was sent."""
    media: dict[str, Any]
    format: PcmFormat
    duration_s: float
    played_s: float
    """How much of it was played before playback was cleared."""

    @property
    def end_s(self) -> float:
        """Return when it was over."""
        return self.start_s + self.played_s


@dataclass
class Call:
    """One function call of the model."""

    id: str
    name: str
    args: Any
    called_s: float
    answered_s: float | None = None
    response: Any = None
    ran_s: float | None = None
    """How long the function ran, as the client measured it."""
    is_cancelled: bool = False


@dataclass
class Tokens:
    """Token counts of one turn, added up over its reports."""

    prompt: dict[str, int] = field(default_factory=dict)
    """By modality."""
    response: dict[str, int] = field(default_factory=dict)
    cached: int = 0

    def add(self, other: "Tokens") -> None:
        """Add the counts of another report."""
        for own, more in ((self.prompt, other.prompt), (self.response, other.response)):
            for modality, n in more.items():
                own[modality] = own.get(modality, 0) + n
        self.cached += other.cached


@dataclass
class Turn:
    """What the user said or typed, and what the model answered to it."""

    number: int
    origin: Origin
    began_s: float
    question: str = ""
    asked_s: float | None = None
    """When the line was sent, or when the user stopped speaking."""
    first_byte_s: float | None = None
    """When the first output arrived."""
    first_sound_s: float | None = None
    """When the first sound was heard."""
    speaks_s: float | None = None
    """When the first sound or word arrived."""
    words: str = ""
    calls: list[Call] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    """What happened in which order: `sound`, `words`, `thought`, `code`, `call NAME`, `result NAME`."""
    tokens: Tokens = field(default_factory=Tokens)
    ending: Ending = Ending.UNFINISHED
    reason: str = ""
    """The service's reason for ending the turn early."""
    ended_s: float | None = None
    barge_in_s: float | None = None
    """When the user began to speak, or typed, while the answer was heard."""
    silent_s: float | None = None
    """When playback was silent after an interruption."""
    talk_over_s: float = 0.0
    """For how long the user and the model spoke at once."""
    cost: float | None = None
    """In US dollars."""

    @property
    def is_closed(self) -> bool:
        """Return True if the turn has ended."""
        return self.ended_s is not None

    @property
    def first_byte_after_s(self) -> float | None:
        """Return the time from the end of the question to the first output."""
        return _between(self.asked_s, self.first_byte_s)

    @property
    def first_sound_after_s(self) -> float | None:
        """Return the time from the end of the question to the first sound heard."""
        return _between(self.asked_s, self.first_sound_s)

    @property
    def silent_after_s(self) -> float | None:
        """Return the time from the user's interruption to silence."""
        return _between(self.barge_in_s, self.silent_s)

    @property
    def spoken_s(self) -> float:
        """Return the duration of the answer's speech as it was sent."""
        return sum(sound.duration_s for sound in self.sounds)

    @property
    def heard_s(self) -> float:
        """Return the duration of the answer's speech that was played."""
        return sum(sound.played_s for sound in self.sounds)


@dataclass(frozen=True)
class Mark:
    """Something that happened, for the time line."""

    t_s: float
    kind: str
    text: str
    line: int | None = None
    """The line of the recording behind it."""


@dataclass(frozen=True)
class Connection:
    """One connection of the session."""

    number: int
    opened_s: float
    url: str
    ready_s: float | None
    """When its setup was complete."""


@dataclass
class Session:
    """A recorded session, analysed."""

    header: Header
    duration_s: float
    turns: list[Turn]
    marks: list[Mark]
    """In order of time."""
    user_sounds: list[Sound]
    model_sounds: list[Sound]
    speech: list[Span]
    """When the user spoke."""
    connections: list[Connection]
    is_played: bool
    """True if the sound was played, or if the recorder does not know: then playback is computed from the arrival."""
    problems: list[str]
    cost_problem: str = ""
    """Why there is no cost; empty if there is one."""


def _between(earlier_s: float | None, later_s: float | None) -> float | None:
    """Return the time between two moments, if both are known and in that order."""
    if earlier_s is None or later_s is None or later_s < earlier_s:
        return None
    return later_s - earlier_s
