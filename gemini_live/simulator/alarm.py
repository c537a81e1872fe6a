"""Waiting on a clock that a test can replace, and being woken before the time."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol


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
