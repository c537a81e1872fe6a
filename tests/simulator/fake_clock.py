"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(order=True)
class _Call:
    when: float
    order: int
    callback: Callable[..., Any] = field(compare=False)
    args: tuple[Any, ...] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """Stands in for the event loop's clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._calls: list[_Call] = []
        self._order = itertools.count()
        self._called = asyncio.Event()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> _Call:
        call = _Call(when, next(self._order), callback, args)
        heapq.heappush(self._calls, call)
        self._called.set()
        return call

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due is called, at the time at which it is due."""
        end = self.now + seconds
        while self._calls and self._calls[0].when <= end:
            call = heapq.heappop(self._calls)
            self.now = max(self.now, call.when)
            if not call.cancelled:
                call.callback(*call.args)
        self.now = end

    async def waited_on(self, timeout_s: float = 10.0) -> None:
        """Return as soon as somebody waits for this clock."""
        async with asyncio.timeout(timeout_s):
            while all(call.cancelled for call in self._calls):
                self._called.clear()
                await self._called.wait()
