"""Whether a failed connection is worth another one, and when.

Pure: a table of what failures mean, and a backoff on times that are passed in.
"""

import random
from collections.abc import Callable
from enum import Enum, auto

from ..errors import ConnectionFailed, SessionClosed

FIRST_TRIES = 3
"""How often a server that cannot be reached is tried before there was any session."""
OUTAGE_S = 60.0
"""How long it is tried in all, until something works again."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 8.0
STABLE_AFTER_S = 30.0
"""A connection that lasts as long as this, or brings a complete answer, ends the outage before it."""

_DROPPED = {1001, 1006, 1011, 1012, 1013} | {408, 429, *range(500, 600)}
"""Close codes, and the statuses of an error message, after which the service may well go on with us."""
_REFUSED = {1007, 1008}


class Stage(Enum):
    """When a connection failed."""

    OPENING = auto()
    """Before its setup was complete, without a handle."""
    RESUMING = auto()
    """Before its setup was complete, with a handle."""
    LIVE = auto()
    LEAVING = auto()
    """Live, and the server had said that it goes away."""


class Recovery:
    """The policy of one session."""

    def __init__(self, *, enabled: bool, jitter: Callable[[], float] = random.random) -> None:
        """Begin; `jitter` returns a number from 0 to 1."""
        self._enabled = enabled
        self._jitter = jitter
        self._was_live = False
        self._outage_began_s: float | None = None
        self._tries = 0
        self._resumptions_failed = 0

    def went_live(self) -> None:
        """Note that a setup was completed."""
        self._was_live = True
        self._resumptions_failed = 0

    def is_stable(self) -> None:
        """Note that a connection has proved itself: the next failure begins a new outage."""
        self._outage_began_s = None
        self._tries = 0

    def drops_handle(self, failure: ConnectionFailed | SessionClosed, stage: Stage) -> bool:
        """Whether the handle is to be forgotten: the server does not take it. One whose socket never opened is kept."""
        if stage is not Stage.RESUMING or (isinstance(failure, ConnectionFailed) and not failure.opened):
            return False
        self._resumptions_failed += 1
        refused = isinstance(failure, SessionClosed) and failure.code in _REFUSED
        return refused or self._resumptions_failed > 1

    def delay_s(self, failure: ConnectionFailed | SessionClosed, stage: Stage, now_s: float) -> float | None:
        """Return after how many seconds to connect again; `None`: the failure is final."""
        if not self._enabled or not self._is_worth_it(failure, stage):
            return None
        if self._outage_began_s is None:
            self._outage_began_s = now_s
        self._tries += 1
        is_network = isinstance(failure, ConnectionFailed) and failure.http_status is None
        if not self._was_live and is_network and self._tries >= FIRST_TRIES:
            return None
        if stage is Stage.LEAVING and self._tries == 1:
            return 0.0  # the server said so in good time, and is well
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (self._tries - 1)) * (0.5 + self._jitter() / 2)
        if isinstance(failure, ConnectionFailed) and failure.retry_after_s is not None:
            delay_s = max(delay_s, failure.retry_after_s)
        return delay_s if now_s + delay_s - self._outage_began_s <= OUTAGE_S else None

    def _is_worth_it(self, failure: ConnectionFailed | SessionClosed, stage: Stage) -> bool:
        if isinstance(failure, ConnectionFailed):
            return failure.transient
        if "exceeded your current quota" in failure.reason.lower():
            return False
        match stage:
            case Stage.RESUMING:
                return failure.code in _DROPPED | _REFUSED
            case Stage.LEAVING:
                return failure.code in _DROPPED | {1000, 1008}
            case _:
                return failure.code in _DROPPED
