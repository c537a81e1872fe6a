"""Sleeps on a clock that a test can replace, and pauses a turn of the model until it may go on."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

_PASSED_AT_ONCE = 8
"""Messages that are sent without letting anybody else run: some are a burst, and cheaper together."""


class Timer(Protocol):
    """What a clock gives for a call in the future."""

    def cancel(self) -> None:
        """Call it off."""


class Clock(Protocol):
    """The time of an asyncio event loop, which is the clock unless a test brings its own."""

    def time(self) -> float:
        """Return the seconds since some moment in the past."""

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Timer:
        """Call `callback(*args)` at a time."""


class Alarm:
    """One waiter that sleeps until a time or until it is woken, whichever is first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self, until: float | None) -> None:
        """Sleep until `until`, or with None until woken. What woke it is for the caller to look up."""
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        timer = None if until is None else self._clock.call_at(until, self.wake)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """End the waiting, if somebody waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def sleep(clock: Clock, seconds: float) -> None:
    """Sleep on that clock; not at all where there is nothing to wait for."""
    if seconds > 0:
        await Alarm(clock).wait(clock.time() + seconds)


class CutOff(Exception):
    """The turn was interrupted."""


class TurnClock:
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
