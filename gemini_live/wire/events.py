"""What the server can say: one dataclass for each kind of event. `parse` makes them from messages. Pure data."""

from dataclasses import field
from typing import Any, Literal

from ..frozen import Frozen

Status = Literal["IDLE", "IN_PROGRESS"]


class SetupComplete(Frozen):
    """The session is open."""


class Interrupted(Frozen):
    """The answer was cut off: the audio in the playback queue must be discarded."""


class AudioChunk(Frozen):
    """A piece of the model's speech."""

    pcm: bytes
    """16-bit little-endian mono; a sample may be split between two chunks."""
    rate_hz: int


class ModelText(Frozen):
    """A piece of an answer in text."""

    text: str


class Thought(Frozen):
    """A piece of the model's thinking, not part of its answer."""

    text: str


class ExecutableCode(Frozen):
    """A program that the model wrote and the server runs."""

    language: str
    code: str


class CodeResult(Frozen):
    """The output of the model's program."""

    outcome: str
    """`OUTCOME_OK`, `OUTCOME_FAILED` or `OUTCOME_DEADLINE_EXCEEDED`."""
    output: str


class InputTranscription(Frozen):
    """The next piece of the user's transcript."""

    text: str


class InterimInputTranscription(Frozen):
    """A preview of the user's transcript. Each one replaces the one before."""

    text: str


class OutputTranscription(Frozen):
    """The next piece of the transcript of the model's speech."""

    text: str


class Source(Frozen):
    """A page or a document that an answer is based on; either field may be empty."""

    title: str
    uri: str


class Grounding(Frozen):
    """The model's searches, and the sources of an answer."""

    queries: tuple[str, ...]
    sources: tuple[Source, ...]


class GenerationComplete(Frozen):
    """The model has generated its whole answer. Playback may still be in progress."""


class TurnComplete(Frozen):
    """The model's turn has ended."""

    reason: str | None
    """Why it ended badly: `MALFORMED_FUNCTION_CALL`, `PROHIBITED_INPUT_CONTENT` and so on; `None` if it did not."""
    status: Status | None
    """IN_PROGRESS: the turn was only a part of the answer. `None`: the server sent no status."""


class InteractionStatus(Frozen):
    """A status outside the end of a turn."""

    status: Status


class WaitingForInput(Frozen):
    """The model waits for the user to continue."""


class FunctionCall(Frozen):
    """One call that the model asks for."""

    id: str
    """Empty if the server sent none."""
    name: str
    args: dict[str, Any] | None
    """`None`: the arguments are not an object, or cannot be handled."""


class ToolCall(Frozen):
    """Calls that the model asks for."""

    calls: tuple[FunctionCall, ...]


class ToolCallCancellation(Frozen):
    """Calls that the model no longer needs. They must not be answered."""

    ids: tuple[str, ...]


class GoAway(Frozen):
    """The server will close this connection."""

    time_left_s: float | None


class ResumptionUpdate(Frozen):
    """A handle for resuming the session on another connection."""

    handle: str
    resumable: bool
    """True if the session can be resumed now. It cannot while a call is open or an answer is generated; the handle is
    empty then."""


class Usage(Frozen):
    """The tokens of a turn. The prompt counts the whole context each time."""

    prompt_tokens: int = 0
    response_tokens: int = 0
    total_tokens: int = 0
    thoughts_tokens: int = 0
    tool_use_prompt_tokens: int = 0
    cached_tokens: int = 0
    prompt_by_modality: dict[str, int] = field(default_factory=dict)
    response_by_modality: dict[str, int] = field(default_factory=dict)


class VoiceActivity(Frozen):
    """The server detected that the user began or stopped speaking. Some models never send it."""

    started: bool
    offset_s: float | None
    """Position in the audio sent, in seconds."""


class ServerError(Frozen):
    """An error as a message. It ends the session."""

    code: int | None
    message: str


class Unrecognised(Frozen):
    """Fields, values and media that this program does not know or cannot use."""

    keys: tuple[str, ...]
    """Dotted paths without indices; an unknown value or media type follows in brackets."""


class Malformed(Frozen):
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
