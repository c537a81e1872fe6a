"""Decides when to leave a connection, and whether, when and with which handle to replace one that failed.

Pure: a table of what failures mean, and times that are passed in.
"""

import random
from collections.abc import Callable
from enum import Enum, auto

from ..errors import ConnectionFailed, SessionClosed
from ..frozen import Frozen

FIRST_TRIES = 3
"""How often an unreachable server is tried before there was any session."""
OUTAGE_S = 60.0
"""How long the client retries in all, until a connection works again."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 8.0
STABLE_AFTER_S = 30.0
"""A connection that lasts this long, or brings an answer that somebody asked for, ends the outage."""
SAME_HANDLE_DELAYS_S = (0.5, 1.0, 2.0)
"""After an internal error at a setup with a handle the same handle is tried again: it works once the server has settled
(measured on 3.8, livekit fork's tests, 2026)."""
SHORTEST_INTERVAL_S, MAX_BURST = 1.0, 3
"""Connections start at most once a second, whatever ended the one before; a few may follow each other faster."""
UNKNOWN_TIME_LEFT_S = 10.0
LEAVE_IDLE_S, HOLD_QUESTIONS_S, LEAVE_S = 60.0, 20.0, 10.0
"""How long before the announced end an idle connection is left, questions begin to wait for the next connection, and
any connection is left. 3.8 announced 300 s one second into a session, and leaving at once cut off the answer (livekit's
agents-js, 15 Sep 2026)."""
SHORT_NOTICE_S, LEAVE_SHORT_NOTICE_S = 15.0, 2.0
"""After a notice shorter than the first, a connection is left the second before its end."""

_DROPPED = {1001, 1006, 1011, 1012, 1013} | {408, 429, *range(500, 600)}
"""Close codes, and HTTP statuses of error messages, after which a new connection may work at any stage."""
_ENDED = {1000, 1005, 1008}
"""Close codes after which a new session may work if the session was live."""
_REFUSED = {1007, 1008}
_LOST = 1006


class Stage(Enum):
    """When a connection failed."""

    OPENING = auto()
    """Before setupComplete, without a handle."""
    RESUMING = auto()
    """Before setupComplete, with a handle."""
    LIVE = auto()
    LEAVING = auto()
    """Live, after the server had announced the end."""


class Recovery:
    """The retry policy of one session."""

    def __init__(self, *, enabled: bool, jitter: Callable[[], float] = random.random) -> None:
        """Start without any failure; `jitter` returns a number from 0 to 1."""
        self._enabled = enabled
        self._jitter = jitter
        self._was_live = False
        self._outage_began_s: float | None = None
        self._tries = 0
        self._resumptions_failed = 0
        self._next_start_s = float("-inf")
        """The next start if connections start `SHORTEST_INTERVAL_S` apart; `MAX_BURST` of them may start earlier."""

    def went_live(self) -> None:
        """Record that a setup completed, and reset the count of failed resumptions."""
        self._was_live = True
        self._resumptions_failed = 0

    def is_stable(self) -> None:
        """Record that the connection has proved to work: the outage is over, and the next failure begins a new one."""
        self._outage_began_s = None
        self._tries = 0

    def drops_handle(self, failure: ConnectionFailed | SessionClosed, stage: Stage) -> bool:
        """Count a failed resumption; return True if the handle must be dropped, because the server refuses it."""
        if stage is not Stage.RESUMING or (isinstance(failure, ConnectionFailed) and not failure.opened):
            return False
        self._resumptions_failed += 1
        if isinstance(failure, ConnectionFailed):  # the server did not complete the setup in time
            return self._resumptions_failed > 1
        return failure.code in _REFUSED or self._resumptions_failed > len(SAME_HANDLE_DELAYS_S)

    def delay_s(self, failure: ConnectionFailed | SessionClosed, stage: Stage, now_s: float) -> float | None:
        """Count a failure; return how long to wait before the next connection, or `None` if the failure is final."""
        if not self._enabled or not self._is_worth_it(failure, stage):
            return None
        if self._outage_began_s is None:
            self._outage_began_s = now_s
        self._tries += 1
        is_network = isinstance(failure, ConnectionFailed) and failure.http_status is None
        if not self._was_live and is_network and self._tries >= FIRST_TRIES:
            return None
        delay_s = self._spaced(self._backoff_s(failure, stage), now_s)
        return delay_s if now_s + delay_s - self._outage_began_s <= OUTAGE_S else None

    def delay_after_leaving_s(self, now_s: float) -> float:
        """Return how long to wait before the next connection after leaving a working one; count no failure."""
        return self._spaced(0.0, now_s)

    def _backoff_s(self, failure: ConnectionFailed | SessionClosed, stage: Stage) -> float:
        """Return the delay for a failure: none, a fixed one for the same handle, or a random exponential one."""
        if stage is Stage.LEAVING and self._tries == 1:
            return 0.0  # the server announced the end, so it works
        if stage is Stage.RESUMING and isinstance(failure, SessionClosed):
            if failure.code in _REFUSED or self._resumptions_failed > len(SAME_HANDLE_DELAYS_S):
                return 0.0  # without the handle
            return SAME_HANDLE_DELAYS_S[max(0, self._resumptions_failed - 1)]
        longest_s: float = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (self._tries - 1))
        delay_s = longest_s * (0.5 + self._jitter() / 2)
        if isinstance(failure, ConnectionFailed) and failure.retry_after_s is not None:
            delay_s = max(delay_s, failure.retry_after_s)
        return delay_s

    def _spaced(self, delay_s: float, now_s: float) -> float:
        """Return `delay_s`, or longer if too many connections have started lately; count the coming one."""
        start_s = max(now_s + delay_s, self._next_start_s - MAX_BURST * SHORTEST_INTERVAL_S)
        self._next_start_s = max(self._next_start_s, start_s) + SHORTEST_INTERVAL_S
        return start_s - now_s

    def _is_worth_it(self, failure: ConnectionFailed | SessionClosed, stage: Stage) -> bool:
        if isinstance(failure, ConnectionFailed):
            return failure.transient
        if failure.is_final:
            return False
        match stage:
            case Stage.OPENING:
                return failure.code in _DROPPED
            case Stage.RESUMING:
                return failure.code in _DROPPED | _REFUSED
            case Stage.LIVE | Stage.LEAVING:
                return failure.code in _DROPPED | _ENDED


class Departure(Frozen):
    """The times at which a connection is left before the server closes it, on the loop's clock."""

    idle_s: float
    """From then on the connection is left as soon as nothing is open."""
    hold_s: float
    """From then on new questions wait for the next connection."""
    latest_s: float

    @classmethod
    def plan(cls, now_s: float, time_left_s: float | None) -> "Departure":
        """Plan to leave a connection that ends in `time_left_s`; `None`: the server did not say when."""
        left_s = UNKNOWN_TIME_LEFT_S if time_left_s is None else time_left_s
        early_s = LEAVE_SHORT_NOTICE_S if left_s < SHORT_NOTICE_S else LEAVE_S
        end_s = now_s + left_s
        return cls(end_s - LEAVE_IDLE_S, end_s - HOLD_QUESTIONS_S, max(now_s, end_s - early_s))


class ResumedSession:
    """Detects a resumed session that generates nothing (a mute session), whose handle must not be used again.

    A mute session transcribes and acknowledges, or closes; a fresh session works at once (public reports, 2026). Only
    a session that was asked something can be mute.
    """

    def __init__(self, patience_s: float) -> None:
        """Begin before the first connection; `patience_s`: how long a session may generate nothing after a question."""
        self._patience_s = patience_s
        self._is_unproven = False
        """True if the session was resumed and has not generated anything."""
        self._asked_s: float | None = None
        self._n_lost = 0
        """How many unproven sessions in a row were lost."""

    def begin_connection(self, *, resumed: bool) -> None:
        """Reset for a new connection; `resumed`: its session was resumed with a handle."""
        self._is_unproven, self._asked_s = resumed, None

    def asked(self, now_s: float) -> None:
        """Start the deadline for output: a question was sent, or the server transcribed speech."""
        if self._asked_s is None:
            self._asked_s = now_s

    def generated(self) -> None:
        """Record that the model has generated output: the session is not mute."""
        self._is_unproven, self._n_lost = False, 0

    @property
    def deadline_s(self) -> float | None:
        """When the session counts as mute if it has generated nothing by then; `None`: it does not."""
        return self._asked_s + self._patience_s if self._is_unproven and self._asked_s is not None else None

    def was_useless(self, code: int, now_s: float) -> bool:
        """Count the end of a session, with close code `code`; return True if its handle must be dropped.

        The handle is kept if the session was fresh or has generated output. It is also kept the first time in a row
        that the network loses the session (1006) before it counts as mute.
        """
        if not self._is_unproven:
            return False
        self._n_lost += 1
        is_mute = self.deadline_s is not None and now_s >= self.deadline_s
        return is_mute or code != _LOST or self._n_lost > 1
