"""The turns of a connection as a table: what each event means in each state, and how long each state may last.

Pure data. `Conversation` turns what happens into an `Event`, looks up the step, performs its actions in order and
enters its state. An event that the row of the present state does not list is ignored. `docs/internals.md` has the
diagram.

Words of the model belong to the current exchange: `Act.BEGIN` makes an exchange the current one, `Act.HAND_OUT` ends
it.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias

from ..frozen import Frozen


class _Member(Enum):
    """An enum whose members hash by identity: `Enum` hashes the name each time, which is slower than the look-up."""

    __hash__ = object.__hash__


class State(_Member):
    """Where a connection stands."""

    QUIET = "nothing is asked or open"
    RESUMED = "the resumed session may answer the question unasked"
    ASKED = "sent or transcribed, no output yet"
    ASKED_AGAIN = "sent twice, no output yet"
    EMPTY = "a turn brought no output, another may"
    ANSWERING = "output arrives"
    GENERATED = "only the end of the turn is due"
    PAUSED = "the model will go on by itself"
    CUT = "the user interrupted, the end of the turn is due"
    BROKEN = "the turn broke off, another may continue the answer"
    CALLING = "a call is open"
    SPEAKING = "a call is open, the model speaks meanwhile"
    BETWEEN = "a call is open, its turn has ended"
    FINISHING = "a result was sent into a turn that speaks"
    AWAITING = "a turn about the result is due"
    TRAILING = "the answer is complete, last words may arrive"
    NEXT = "ASKED if something waits, else QUIET"


class Event(_Member):
    """What happens on a connection."""

    SENT = "question sent"
    REPEATED = "question sent again"
    HEARD = "speech transcribed"
    WORDS = "transcript of the answer"
    OUTPUT = "sound, text or code"
    GENERATED = "generationComplete"
    CUT = "interrupted by the user"
    BROKEN = "interrupted by nobody"
    WAITS = "the model waits for more speech"
    ENDED = "turnComplete"
    PAUSED = "turnComplete, more is due"
    REJECTED = "turnComplete with a reason"
    CALLED = "function call"
    RESULT = "last result sent"
    CLOSED = "last result sent, silent"
    CANCELLED = "last call cancelled"
    DEADLINE = "deadline"


class Act(_Member):
    """What a step does before it enters its state."""

    BEGIN = auto()
    """Make the first waiting exchange the current one; if none waits, a new one without a question."""
    NEW_LINE = auto()
    """Begin a new line before the next words of the answer, because a server turn has ended."""
    COMPLETE = auto()
    """Decide whether the current exchange is answered or cut off."""
    HAND_OUT = auto()
    """Return `Answered` for the current exchange. After that no exchange is current."""
    REPEAT = auto()
    """Send the first waiting question again if it was typed and sent once; if not, end its exchange as unanswered."""
    REQUEUE = auto()
    """Put the waiting questions back in the queue, because the resumed session does not answer them by itself."""
    REPORT = auto()
    """Return a notice that no answer followed a function's result or the end of the user's audio."""
    LOSE = auto()
    """Set `Conversation.silence_s`, so that the session closes the connection."""


class Wait(_Member):
    """How long a state may last, counted from the last message, or from the end of playback if that is later.

    The names in braces are fields of `Timings`.
    """

    NONE = "no deadline"
    VOICE = "{after_audio_end_s} s after the end of the user's audio; {after_last_word_s} s if nothing was said"
    RESUME = "{known_question_s} s; {stale_calls_s} s if open calls had to be closed"
    ANSWER = "{no_answer_s} s, long thinkers {long_thought_s} s"
    EMPTY = "{empty_turn_s} s, long thinkers {long_thought_s} s"
    SILENCE = "{silence_s} s"
    END = "{missing_turn_complete_s} s, long thinkers {long_thought_s} s"
    PAUSE = "{long_thought_s} s"
    CUT = "{after_interruption_s} s"
    RESULT = "{after_call_s} s, long thinkers {long_thought_s} s"
    TRAIL = "until words of this model no longer trail"


class Step(Frozen):
    """The actions and the next state for one event in one state."""

    acts: tuple[Act, ...]
    """Performed in this order."""
    state: State
    """The state after the actions."""


class Row(Frozen):
    """The time limit of one state, and the step for each event in that state."""

    wait: Wait
    """How long the state may last before `Event.DEADLINE`."""
    steps: Mapping[Event, Step]


Cell: TypeAlias = tuple[Act | State, ...]
"""The acts of a step, and last its state."""
Cells: TypeAlias = Mapping[tuple[Event, ...], Cell]
"""A column of the table: cells by event. Several events may share a cell."""


def _row(wait: Wait, at_deadline: Cell, *columns: Cells) -> Row:
    """Build the row of one state from its time limit, its cell for `Event.DEADLINE`, and columns.

    If two columns have a cell for the same event, the later column wins.
    """
    steps: dict[Event, Step] = {}
    deadline: Cells = {(Event.DEADLINE,): at_deadline} if at_deadline else {}
    for column in (deadline, *columns):
        for events, cell in column.items():
            *acts, state = cell
            assert isinstance(state, State)
            steps |= dict.fromkeys(events, Step(tuple(act for act in acts if isinstance(act, Act)), state))
    return Row(wait, steps)


S, E, A, W = State, Event, Act, Wait
_OUT = (E.WORDS, E.OUTPUT)
_ENDS = (E.ENDED, E.PAUSED, E.REJECTED)
_EMPTY = (E.ENDED, E.PAUSED, E.BROKEN)
_GIVE_UP = (A.COMPLETE, A.HAND_OUT, S.NEXT)

# Columns that several rows share
_UNANSWERED: Cells = {
    (E.REPEATED,): (S.ASKED_AGAIN,),
    _OUT: (A.BEGIN, S.ANSWERING),
    (E.CALLED,): (A.BEGIN, S.CALLING),
    (E.CUT,): (A.BEGIN, S.CUT),
    (E.WAITS,): (S.QUIET,),
    (E.REJECTED,): (A.BEGIN, *_GIVE_UP),
}
"""Something waits for an answer that has not begun."""
_OPEN: Cells = {(E.CUT,): (S.CUT,), (E.CALLED,): (S.CALLING,)}
"""An answer has begun."""
_ENDS_ANSWER: Cells = {(E.ENDED, E.REJECTED): (A.COMPLETE, S.TRAILING), (E.PAUSED,): (A.NEW_LINE, S.PAUSED)}
"""The end of the present turn ends the answer."""
_CALL_OPEN: Cells = {(E.CUT,): (S.CUT,), (E.CANCELLED,): (S.BROKEN,)}
"""The answer waits for the result of a call."""

TABLE: dict[State, Row] = {
    S.QUIET: _row(
        W.VOICE,
        (A.REPORT, S.QUIET),
        {(E.SENT, E.HEARD): (S.ASKED,), _OUT: (A.BEGIN, S.ANSWERING)},
        {(E.CALLED,): (A.BEGIN, S.CALLING), (E.RESULT,): (A.BEGIN, S.AWAITING)},
    ),
    S.RESUMED: _row(W.RESUME, (A.REQUEUE, S.NEXT), _UNANSWERED, {(E.ENDED, E.PAUSED): (A.REQUEUE, S.NEXT)}),
    S.ASKED: _row(W.ANSWER, (A.REPEAT, S.NEXT), _UNANSWERED, {_EMPTY: (S.EMPTY,)}),
    S.ASKED_AGAIN: _row(W.SILENCE, (A.LOSE, S.ASKED_AGAIN), _UNANSWERED, {_EMPTY: (S.EMPTY,)}),
    S.EMPTY: _row(W.EMPTY, (A.REPEAT, S.NEXT), _UNANSWERED),
    S.ANSWERING: _row(
        W.SILENCE,
        (A.LOSE, S.ANSWERING),
        _OPEN,
        _ENDS_ANSWER,
        {(E.GENERATED,): (S.GENERATED,), (E.BROKEN,): (S.BROKEN,), (E.RESULT,): (S.FINISHING,)},
    ),
    S.GENERATED: _row(W.END, _GIVE_UP, _OPEN, _ENDS_ANSWER, {(E.OUTPUT,): (S.ANSWERING,), (E.RESULT,): (S.FINISHING,)}),
    S.PAUSED: _row(W.PAUSE, _GIVE_UP, _OPEN, _ENDS_ANSWER, {_OUT: (S.ANSWERING,)}),
    S.CUT: _row(
        W.CUT,
        _GIVE_UP,
        {_ENDS: (A.COMPLETE, S.TRAILING), (E.OUTPUT,): (A.COMPLETE, A.HAND_OUT, A.BEGIN, S.ANSWERING)},
        {(E.CALLED,): (A.COMPLETE, A.HAND_OUT, A.BEGIN, S.CALLING)},
    ),
    S.BROKEN: _row(
        W.CUT,
        _GIVE_UP,
        _OPEN,
        {(E.OUTPUT,): (S.ANSWERING,), (E.GENERATED,): (S.GENERATED,), _ENDS: (A.NEW_LINE, S.BROKEN)},
        {(E.SENT, E.HEARD): (A.COMPLETE, A.HAND_OUT, S.ASKED)},
    ),
    S.CALLING: _row(
        W.NONE,
        (),
        _CALL_OPEN,
        {(E.OUTPUT,): (S.SPEAKING,), _ENDS: (A.NEW_LINE, S.BETWEEN)},
        {(E.RESULT,): (A.NEW_LINE, S.AWAITING), (E.CLOSED,): (S.GENERATED,)},
    ),
    S.SPEAKING: _row(
        W.NONE,
        (),
        _CALL_OPEN,
        {(*_ENDS, E.BROKEN): (A.NEW_LINE, S.BETWEEN), (E.RESULT,): (S.FINISHING,), (E.CLOSED,): (S.ANSWERING,)},
    ),
    S.BETWEEN: _row(
        W.NONE,
        (),
        _CALL_OPEN,
        {(E.CALLED,): (S.CALLING,), (E.OUTPUT,): (S.SPEAKING,)},
        {(E.RESULT,): (S.AWAITING,), (E.CLOSED,): (A.COMPLETE, S.TRAILING)},
    ),
    S.FINISHING: _row(W.RESULT, _GIVE_UP, _OPEN, {(*_ENDS, E.BROKEN): (A.NEW_LINE, S.AWAITING)}),
    S.AWAITING: _row(
        W.RESULT,
        (A.REPORT, *_GIVE_UP),
        _OPEN,
        {_OUT: (S.ANSWERING,), (E.REJECTED,): (A.COMPLETE, S.TRAILING)},
    ),
    S.TRAILING: _row(
        W.TRAIL,
        (A.HAND_OUT, S.NEXT),
        {(E.SENT, E.HEARD): (A.HAND_OUT, S.ASKED), (E.OUTPUT,): (A.HAND_OUT, A.BEGIN, S.ANSWERING)},
        {(E.CALLED,): (A.HAND_OUT, A.BEGIN, S.CALLING), (E.RESULT,): (A.HAND_OUT, A.BEGIN, S.AWAITING)},
    ),
}
"""One row for each state but NEXT."""
