"""When the model may go on: its pauses, which an interruption ends at once."""

import asyncio
from collections.abc import Callable

from .alarm import Alarm, Clock

_PASSED_AT_ONCE = 8
"""Messages that are sent without letting anybody else run: some are a burst, and cheaper together."""


class CutOff(Exception):
    """The turn was interrupted."""


class Cue:
    """The pauses of one session's turns. One task waits; any other may cut it off or wake it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._alarm = Alarm(clock)
        self._cut = False
        self._n_passed = 0
        """Pauses that were over before they began."""

    def begin(self) -> None:
        """A turn begins: what was cut off before it does not concern it."""
        self._cut = False

    def cut_off(self) -> None:
        """End the turn that is going on: its next pause, or the one it is in, raises."""
        self._cut = True
        self._alarm.wake()

    def wake(self) -> None:
        """Something changed that may be waited for."""
        self._alarm.wake()

    async def pause_until(self, when_s: float) -> None:
        """Wait for a time on the clock.

        Raises:
            CutOff: The turn was interrupted.
        """
        if self._cut:
            raise CutOff
        if when_s <= self.clock.time():
            self._n_passed += 1
            if self._n_passed % _PASSED_AT_ONCE == 0:
                await asyncio.sleep(0)  # a long answer must not keep the other sessions waiting
            return
        await self.wait_for(lambda: False, when_s)

    async def wait_for(self, condition: Callable[[], bool], until_s: float | None = None) -> None:
        """Wait until a condition holds, at the longest until a time.

        Raises:
            CutOff: The turn was interrupted.
        """
        while True:
            if self._cut:
                raise CutOff
            if condition() or (until_s is not None and self.clock.time() >= until_s):
                return
            await self._alarm.wait(until_s)
