"""What a `Conversation` returns: what was said, in which exchange, and how each exchange ended. Pure data.

An exchange is a question, typed or spoken, with its answer. The conversation numbers the exchanges from 1, in the order
in which they began, and never gives a number twice. For each exchange the outcomes come in this order:

1. `UserSaid`, any number of times: pieces of the transcript of what the user said. (A typed line is not an outcome: the
   session asks it, and `Question.exchange` holds its number.)
2. `QuestionComplete`, at most once each time that the question is asked: no `UserSaid` of this exchange follows. It may
   come after the first `ModelSaid`, because the transcript of a spoken question may come after the answer has begun.
3. `ModelSaid`, any number of times, and `Restarted` each time that the answer begins again.
4. One of these ends the exchange: `Answered`; `SpeechLost`; `Unfinished`, when the session ends.
5. `LateWords`, any number of times after `Answered`.

Exchanges overlap: the user may begin exchange 5 while exchange 4 is being answered. `Answered` comes in the order of
the numbers, except that a question that is asked again on a new connection keeps its number.

The writers of `output/` write the first group of classes as they are: `output/events.py` lists them with all others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..frozen import Frozen


@dataclass(eq=False, kw_only=True)
class Question:
    """A line that the user typed, or the initial message."""

    text: str
    waits: bool
    """True if it is asked only after everything before it was answered (a pipe); False: at once (a terminal)."""
    exchange: int = 0
    """The number of its exchange; 0 until it is asked for the first time."""
    times_asked: int = 0
    called: dict[str, None] = field(default_factory=dict)
    """The names of the functions that were called to answer it, on all connections."""
    pictures: tuple[bytes, ...] = ()
    """JPEGs that the user showed just before it. They are sent again when it is asked again."""
    lost_text: str = ""
    """The text of its last answer that broke off."""
    is_repeated: bool = False
    """True if it was sent once more on this connection, because nothing came of it."""


# Written to the user, each with the number of its exchange


class UserSaid(Frozen):
    """A piece of the transcript of what the user said."""

    exchange: int
    """The exchange that these words belong to."""
    text: str
    """The words."""
    late: bool = False
    """True if the answer to these words had already begun."""


class QuestionComplete(Frozen):
    """The transcript of what the user said in an exchange is complete."""

    exchange: int
    """The exchange."""


class ModelSaid(Frozen):
    """A piece of an answer's text: the model's own text, or the transcript of its speech."""

    exchange: int
    """The exchange that is being answered."""
    text: str
    """The words. A line break stands between two server turns of one answer where the model sent no white space."""


class Restarted(Frozen):
    """The answer begins again: the text that was written so far is not part of it."""

    exchange: int
    """The exchange that is being answered."""
    text: str
    """The discarded text."""


class Answered(Frozen):
    """An answer is complete: its text is the `words` of its exchange since the last `restarted`."""

    exchange: int
    """The exchange that has ended."""
    text: str
    """The whole answer."""
    asked: bool
    """True if the question was typed, False if it was spoken."""
    cut_off: bool
    """True if the answer was interrupted and not continued."""
    reason: str | None = None
    """The service's reason for ending the answer early, such as `SAFETY`; null if there was none."""


class LateWords(Frozen):
    """Words of an answer that arrived after it was complete."""

    exchange: int
    """The exchange that they belong to."""
    text: str
    """The words."""


class Unfinished(Frozen):
    """The text of an answer that was not complete when the session failed or was stopped."""

    exchange: int
    """The exchange that was being answered."""
    text: str
    """The words."""


class SpeechLost(Frozen):
    """What the user said will not be answered, because the connection was lost. A warning that says so follows."""

    exchange: int | None
    """The exchange of the lost speech; null if no transcript of it had arrived."""


# For the session


class Notice(Frozen):
    """Something that the user should know."""

    text: str
    """One line."""


Outcome = UserSaid | QuestionComplete | ModelSaid | Restarted | Answered | LateWords | Unfinished | SpeechLost | Notice


# How a new connection begins


class Exchange(Frozen):
    """The text of an exchange that has ended, as the history sent to a fresh session contains it."""

    user: str
    model: str


class Opening(Frozen, kw_only=True):
    """How a new connection begins: resumed with a handle, or fresh, with the history of the conversation."""

    handle: str | None
    """The handle for resuming the session; `None`: the session is a fresh one."""
    history: tuple[Exchange, ...] = ()
    """The conversation so far, which is sent to a fresh session."""
    omitted: int = 0
    """How many older exchanges are not in `history`."""
    stale_calls: Mapping[str, str] = field(default_factory=dict)
    """The names, by id, of calls that the resumed session waits for: answer each with an error, before all else."""
