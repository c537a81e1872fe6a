"""Everything that can be written about a session: one frozen dataclass for each event. Pure data.

`Terminal`, `LiveTerminal` and `Jsonl` have one method, `emit`, that matches on these classes. To add an event, add a
class here, add it to `Event`, and add a `case` to each writer that shows it. `Jsonl` needs no case: it writes classes
and fields as they are named here, and their documentation is made from the docstrings. See `schema.py`.

Over 300 lines: it is a list, with a docstring under each field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from ..audio.report import AudioReport
from ..conversation.outcomes import (
    Answered,
    LateWords,
    ModelSaid,
    QuestionComplete,
    Restarted,
    SpeechLost,
    Unfinished,
    UserSaid,
)
from ..frozen import Frozen

# The session


class Connecting(Frozen):
    """A connection to the server is being opened: the first one, or another after a loss."""

    attempt: int
    """Counts the attempts since the last live connection, from 1."""
    server: str | None
    """`simulator`, or the host of a base URL that is not Google's; null: Google's service."""


class SessionStarted(Frozen, kw_only=True):
    """The first connection is live: the server accepted the setup."""

    model: str
    """The model's id."""
    voice: str | None
    """The voice; null if the model answers in text."""
    tools: Sequence[str] = ()
    """The tools and functions that the model may use."""
    screen: str | None = None
    """Which screen is shared, and how often; null: none."""
    sound: Sequence[str] = ()
    """The devices and files of the sound, each with its direction, and the sound mode."""
    server: str | None = None
    """`simulator`, or the host of a base URL that is not Google's; null: Google's service."""
    has_words: bool = True
    """True if answers come as text or with a transcript."""


class Summary(Frozen, kw_only=True):
    """What happened in the session, in numbers."""

    duration_s: float
    """Seconds since the start."""
    answers: int
    """How many answers were complete or cut off."""
    interruptions: int
    """How often the server reported an interruption."""
    latency_median_s: float | None
    """Seconds from the end of a question to the first sound or word of its answer, the median; null: no answer."""
    latency_worst_s: float | None
    """The longest of these latencies."""
    audio_in_s: float
    """Seconds of the user's voice that were sent."""
    audio_out_s: float
    """Seconds of the model's voice that were received."""
    audio_dropped_s: float
    """Seconds of the user's voice that were dropped because the network was too slow."""
    underruns: int
    """How often playback ran dry inside an answer."""
    xruns: int
    """How often PortAudio reported lost sound."""
    echo_leak_db: float | None
    """Level of the echo in the microphone relative to what was played, in dB, the median; null: not measured."""
    erle_db: float | None
    """How much of the echo was removed (echo return loss enhancement), in dB, the median; null: not measured."""
    reconnects: int
    """How often the connection was replaced."""
    prompt_tokens: Mapping[str, int]
    """By modality, of all turns."""
    response_tokens: Mapping[str, int]
    """By modality, of all turns."""
    context_tokens: int
    """The size of the newest prompt."""


class SessionEnded(Frozen):
    """The program ends. This is always the last event; there is none if the options themselves cannot be read."""

    exit_code: int
    """The exit code of the process."""


class SoundModeChanged(Frozen):
    """The way in which the model is kept from hearing its own voice has changed, because of a measurement."""

    mode: str
    """`echo cancelled`, `half duplex`, `headphones` (no echo was measured) or `echo not cancelled`."""
    echo_leak_db: float | None
    """Level of the echo in the microphone relative to what was played, in dB; null: not measured."""
    erle_db: float | None
    """How much of the echo is removed, in dB; null: not measured."""


# The conversation, beside the outcomes of `conversation/`


class Asked(Frozen):
    """A typed line or the initial message was sent. A question that is sent again is not reported again."""

    exchange: int
    """The exchange that the question belongs to."""
    text: str
    """The line."""
    typed: bool
    """True if a person typed it at the terminal, so that it is on the screen already."""


class Thought(Frozen):
    """A summary of the model's thinking."""

    exchange: int
    """The exchange that is being answered."""
    text: str
    """The summary, or a piece of it."""


class Code(Frozen):
    """Code that the model runs on the server."""

    exchange: int
    """The exchange that is being answered."""
    language: str
    """The language, such as `PYTHON`."""
    code: str
    """The source."""


class CodeResult(Frozen):
    """What the model's code printed."""

    exchange: int
    """The exchange that is being answered."""
    outcome: str
    """`OUTCOME_OK` or another outcome of the service."""
    output: str
    """What was printed."""


class Source(Frozen):
    """A page that the model used."""

    title: str
    """The title; may be empty."""
    uri: str
    """The link."""


class Sources(Frozen):
    """What the model searched, and the pages that it used."""

    exchange: int
    """The exchange that is being answered."""
    queries: Sequence[str]
    """The search queries."""
    sources: Sequence[Source]
    """The pages, each with `title` and `uri`."""


class ToolCall(Frozen):
    """The model calls a function."""

    exchange: int
    """The exchange that is being answered."""
    id: str
    """The call's id, which its result has too."""
    name: str
    """The function."""
    args: Mapping[str, Any]
    """The arguments."""


class ToolResult(Frozen):
    """The result of a function is sent to the model."""

    exchange: int
    """The exchange of the call."""
    id: str
    """The call's id."""
    name: str
    """The function."""
    response: Mapping[str, Any]
    """The result as it is sent."""
    failed: bool
    """True if the function failed; `response` holds the error."""
    continues: bool = False
    """True if the function still runs, and more results of this call follow."""


class ToolCancelled(Frozen):
    """A call ended without a result."""

    exchange: int
    """The exchange of the call."""
    id: str
    """The call's id."""
    name: str
    """The function."""


class FunctionOutput(Frozen):
    """A line that a function printed."""

    text: str
    """The line."""


class Usage(Frozen, kw_only=True):
    """Token counts as the service reports them, for one turn."""

    prompt_tokens: int = 0
    """Tokens of the prompt, which contains the complete context."""
    response_tokens: int = 0
    """Tokens of the answer."""
    total_tokens: int = 0
    """The service's own sum."""
    thoughts_tokens: int = 0
    """Tokens of the model's thinking."""
    tool_use_prompt_tokens: int = 0
    """Tokens of the results of tools."""
    cached_tokens: int = 0
    """Tokens of the prompt that came from a cache."""
    prompt_by_modality: Mapping[str, int] = field(default_factory=dict)
    """Tokens of the prompt by modality."""
    response_by_modality: Mapping[str, int] = field(default_factory=dict)
    """Tokens of the answer by modality."""


class Stopped(Frozen):
    """The user stopped an answer with a key: the rest of it is not shown."""

    exchange: int
    """The exchange that is being answered."""


class Silenced(Frozen):
    """Playback was cleared before it had ended: the newest words were not played."""


# Messages for people


class Status(Frozen):
    """Something happened that needs no attention. For people: do not parse it."""

    text: str
    """One line."""


class Warning(Frozen):
    """Something may need attention. For people: do not parse it."""

    text: str
    """One line."""


class Error(Frozen):
    """The session fails. For people: do not parse it."""

    text: str
    """What happened, why, and what to do."""


class Detail(Frozen):
    """A line of `--verbose`."""

    text: str
    """One line."""


class Commanded(Frozen):
    """The user typed a command."""

    line: str
    """The command."""


class Reply(Frozen):
    """The answer to a command that the user typed."""

    text: str
    """One line or several."""


Event = (
    Connecting
    | SessionStarted
    | Asked
    | UserSaid
    | QuestionComplete
    | ModelSaid
    | Answered
    | Restarted
    | LateWords
    | Unfinished
    | SpeechLost
    | Thought
    | Code
    | CodeResult
    | Sources
    | ToolCall
    | ToolResult
    | ToolCancelled
    | FunctionOutput
    | Usage
    | Stopped
    | Silenced
    | Status
    | Warning
    | Error
    | Detail
    | Commanded
    | Reply
    | Summary
    | AudioReport
    | SoundModeChanged
    | SessionEnded
)


class Output(Protocol):
    """Writes the session: `Terminal` and `LiveTerminal` for people, `Jsonl` for programs."""

    def emit(self, event: Event) -> None:
        """Write `event`, if this writer shows it."""
