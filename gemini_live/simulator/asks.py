"""Describes what the simulated model has to answer. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from .actions import Action
from .calls import Result
from .speech import Sound


class Origin(StrEnum):
    """What a turn answers."""

    TYPED = "typed"
    CONTENT = "content"
    VOICE = "voice"
    RESULT = "result"
    STALE = "stale"
    """Calls of an earlier session, which the client has answered."""
    END = "end"
    """The end of the stream, if the model only transcribes."""


INPUTS = (Origin.TYPED, Origin.CONTENT, Origin.VOICE)


@dataclass(frozen=True)
class Ask:
    """Something for the model to answer."""

    origin: Origin
    text: str = ""
    sound: Sound | None = None
    """The user's voice, to be echoed; None: the synthesizer says the answer."""
    results: tuple[Result, ...] = ()
    next_actions: tuple[Action, ...] = ()
    """What the model does about the results, if it was decided when the calls were made."""
    about: str = ""
    """The question that the calls of these results belong to."""
    is_about_speech: bool = False
    """True if that question was spoken."""
    images: tuple[tuple[int, int] | None, ...] = ()
    """Width and height of the pictures inside a typed turn."""
    end_s: float = 0.0
    """Where a spoken question ended, in seconds of the session's audio."""

    @property
    def is_spoken(self) -> bool:
        """True if the question is spoken, or the results belong to a spoken one."""
        return self.origin is Origin.VOICE or self.is_about_speech
