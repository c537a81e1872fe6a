"""What the server can say: one dataclass for each kind of event. `parse` makes them from messages. Pure data."""

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["IDLE", "IN_PROGRESS"]


@dataclass(frozen=True, slots=True)
class SetupComplete:
    """The session is open."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The answer was cut off: the audio in the playback queue must be discarded."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of the model's speech."""

    pcm: bytes
    """16-bit little-endian mono; a sample may be split between two chunks."""
    rate_hz: int


@dataclass(frozen=True, slots=True)
class ModelText:
    """A piece of an answer in text."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of the model's thinking, not part of its answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ExecutableCode:
    """A program that the model wrote and the server runs."""

    language: str
    code: str


@dataclass(frozen=True, slots=True)
class CodeResult:
    """The output of the model's program."""

    outcome: str
    """`OUTCOME_OK`, `OUTCOME_FAILED` or `OUTCOME_DEADLINE_EXCEEDED`."""
    output: str


@dataclass(frozen=True, slots=True)
class InputTranscription:
    """The next piece of the user's transcript."""

    text: str


@dataclass(frozen=True, slots=True)
class InterimInputTranscription:
    """A preview of the user's transcript. Each one replaces the one before."""

    text: str


@dataclass(frozen=True, slots=True)
class OutputTranscription:
    """The next piece of the transcript of the model's speech."""

    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A page or a document that an answer is based on; either field may be empty."""

    title: str
    uri: str


@dataclass(frozen=True, slots=True)
class Grounding:
    """The model's searches, and the sources of an answer."""

    queries: tuple[str, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class GenerationComplete:
    """The model has generated its whole answer. Playback may still be in progress."""


@dataclass(frozen=True, slots=True)
class TurnComplete:
    """The model's turn has ended."""

    reason: str | None
    """Why it ended badly: `MALFORMED_FUNCTION_CALL`, `PROHIBITED_INPUT_CONTENT` and so on; `None` if it did not."""
    status: Status | None
    """IN_PROGRESS: the turn was only a part of the answer. `None`: the server sent no status."""


@dataclass(frozen=True, slots=True)
class InteractionStatus:
    """A status outside the end of a turn."""

    status: Status


@dataclass(frozen=True, slots=True)
class WaitingForInput:
    """The model waits for the user to continue."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call that the model asks for."""

    id: str
    """Empty if the server sent none."""
    name: str
    args: dict[str, Any] | None
    """`None`: the arguments are not an object, or cannot be handled."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Calls that the model asks for."""

    calls: tuple[FunctionCall, ...]


@dataclass(frozen=True, slots=True)
class ToolCallCancellation:
    """Calls that the model no longer needs. They must not be answered."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GoAway:
    """The server will close this connection."""

    time_left_s: float | None


@dataclass(frozen=True, slots=True)
class ResumptionUpdate:
    """A handle for resuming the session on another connection."""

    handle: str
    resumable: bool
    """True if the session can be resumed now. It cannot while a call is open or an answer is generated; the handle is
    empty then."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of a turn. The prompt counts the whole context each time."""

    prompt_tokens: int = 0
    response_tokens: int = 0
    total_tokens: int = 0
    thoughts_tokens: int = 0
    tool_use_prompt_tokens: int = 0
    cached_tokens: int = 0
    prompt_by_modality: dict[str, int] = field(default_factory=dict)
    response_by_modality: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """The server detected that the user began or stopped speaking. Some models never send it."""

    started: bool
    offset_s: float | None
    """Position in the audio sent, in seconds."""


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error as a message. It ends the session."""

    code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Fields, values and media that this program does not know or cannot use."""

    keys: tuple[str, ...]
    """Dotted paths without indices; an unknown value or media type follows in brackets."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """The parts of a message that could not be understood."""

    problems: tuple[str, ...]
    """One line each."""


ServerEvent = (
    SetupComplete
    | Interrupted
    | AudioChunk
    | ModelText
    | Thought
    | ExecutableCode
    | CodeResult
    | InputTranscription
    | InterimInputTranscription
    | OutputTranscription
    | Grounding
    | GenerationComplete
    | TurnComplete
    | InteractionStatus
    | WaitingForInput
    | ToolCall
    | ToolCallCancellation
    | GoAway
    | ResumptionUpdate
    | Usage
    | VoiceActivity
    | ServerError
    | Unrecognised
    | Malformed
)
