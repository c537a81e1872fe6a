"""Names everything that the simulated model can do in an answer: the words of scripts and of answer functions. Pure.

An answer function gets a `Question` and returns one action, several in a list, a text (the same as `Say`), or None for
the simulator's own answer:

    def answer(question):
        if question.results:
            return Say(f"It is {question.results[0].response['output']}.")
        return [Think("They ask for the weather."), Call("get_weather", {"city": "Oslo"})]

    Simulator(answer=answer)

After a `Call` the model waits for the result. Then it does what follows in the list; at the end of the list the
function is asked again, with `results`.
"""

import wave
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemini_live.errors import ConfigError

from ..audio.pcm import MAX_RATE_HZ, MIN_RATE_HZ, SAMPLE_BYTES, downmix
from .speech import MAX_SOUND_BYTES, Sound

_MAX_CHANNELS = 8


@dataclass(frozen=True)
class Say:
    """Say words, spoken by espeak-ng or in tones."""

    words: str
    sound: Sound | None = None
    """Sound to send in place of the words' own."""
    waits_for_input: bool = False
    """True if the turn ends with `waitingForInput`."""


@dataclass(frozen=True)
class Play:
    """Play a WAV file: PCM of 16 bits."""

    file: str | Path
    words: str = ""
    """The transcript of the file; empty: the answer has none."""


@dataclass(frozen=True)
class Call:
    """Call a function, and wait for its result."""

    name: str
    args: dict[str, Any] | None = None
    """None: arguments made up from the declaration."""


@dataclass(frozen=True)
class Together:
    """Call several functions in one message, and wait for all results."""

    calls: tuple[Call, ...]

    def __init__(self, *calls: Call) -> None:
        object.__setattr__(self, "calls", calls)


@dataclass(frozen=True)
class Think:
    """Send a thought, if the session gets to see thoughts."""

    thought: str


@dataclass(frozen=True)
class Search:
    """Show the results of a search, if the session has Google Search; say what was found with `Say`."""

    query: str
    pages: tuple[tuple[str, str], ...] = ()
    """Address and title of each page; empty: two are made up."""


@dataclass(frozen=True)
class Wait:
    """Do nothing for a time."""

    seconds: float
    """At `pace=1`; speech and pauses have the same pace."""


@dataclass(frozen=True)
class Silent:
    """Send nothing more: the turn has no end. The next input is answered."""


@dataclass(frozen=True)
class End:
    """End the turn now."""

    reason: str = ""
    """The `turnCompleteReason`, such as RESPONSE_REJECTED; empty: none."""


@dataclass(frozen=True)
class Close:
    """Close the session."""

    code: int
    """1006 drops the connection."""
    reason: str = ""


Action = Say | Play | Call | Together | Think | Search | Wait | Silent | End | Close


@dataclass(frozen=True)
class FunctionResult:
    """What a client answered to a call."""

    name: str
    response: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What the model is to answer."""

    text: str
    """The typed text, or the transcript of the speech."""
    spoken: bool
    """True if it was spoken."""
    turn: int
    """The number of the question in the conversation, from 1. A resumed session goes on counting."""
    spoken_turn: int
    """The number among the spoken questions, from 1; of a typed question, the number of spoken ones before it."""
    results: tuple[FunctionResult, ...] = ()
    """The results of the calls that the last answer to this question ended with."""
    pcm: bytes = b""
    """A spoken question's audio: 16-bit PCM, mono."""
    rate_hz: int = 0
    """The sample rate of `pcm`; 0 without audio."""
    n_pictures: int = 0
    """Pictures that the model sees."""
    model: str = ""
    """The model of the session, without `models/`."""
    handle: str | None = None
    """The handle with which the session was resumed."""


Answer = str | Action | Sequence[Action] | None
"""What an answer function returns; None: the simulator's own answer."""
AnswerFunction = Callable[[Question], Answer | Awaitable[Answer]]


def as_actions(answer: Any) -> tuple[Action, ...] | None:
    """Return an answer function's answer as actions; None if it leaves the answer to the simulator.

    Raises:
        TypeError: It is something else.
    """
    match answer:
        case None:
            return None
        case str():
            return (Say(answer),)
        case list() | tuple():
            actions = [action for item in answer for action in as_actions(item) or ()]
            return tuple(actions)
        case Say() | Play() | Call() | Together() | Think() | Search() | Wait() | Silent() | End() | Close():
            return (answer,)
    raise TypeError(f"an answer is a text, an action such as Say, a list of them, or None; not {answer!r}")


def read_wav(path: str | Path) -> Sound:
    """Return the sound of a WAV file, its channels mixed.

    Raises:
        ConfigError: It cannot be read, or is not PCM of 16 bits.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, rate_hz = file.getnchannels(), file.getframerate()
            if file.getsampwidth() != SAMPLE_BYTES or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
                raise ConfigError(f"{path}: PCM of {8 * file.getsampwidth()} bits at {rate_hz} Hz; 16 bits are taken")
            if channels > _MAX_CHANNELS:
                raise ConfigError(f"{path}: {channels} channels; {_MAX_CHANNELS} are taken")
            n_frames = min(file.getnframes(), MAX_SOUND_BYTES // (SAMPLE_BYTES * channels))
            pcm = file.readframes(n_frames)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (wave.Error, EOFError) as error:
        raise ConfigError(f"{path}: not a WAV file of PCM ({error or 'it ends too early'})") from error
    return Sound(downmix(pcm[: len(pcm) - len(pcm) % (SAMPLE_BYTES * channels)], channels), rate_hz)
