"""An event loop on which hours pass in seconds: time stands still while anything runs, and jumps while nothing does.

Sockets are real: what is on its way over loopback, or being worked on by an executor's thread, comes before any jump.
Other threads are not waited for. Everything that asks the loop for the time follows it.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

LONG_JUMP_S = 0.25
GRACE_S = 0.002
"""How long it is really waited before a long jump, for a busy kernel to deliver what was sent."""
TICK_S = 1e-9
"""How long one turn of the loop takes: it may call somebody a little too early, who then looks at the time again."""
STUCK_S = 30.0
"""Nothing is planned and nothing comes for so long: the test hangs."""


class _JumpingSelector(selectors.DefaultSelector):
    """Where others would wait until a time, it makes that time the present."""

    def __init__(self, loop: "AcceleratedLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now_s += TICK_S
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.n_working:
            return list(super().select(STUCK_S))
        if timeout is None or timeout > LONG_JUMP_S:
            ready = super().select(STUCK_S if timeout is None else GRACE_S)
            if ready:
                return ready
        if timeout is None:
            raise TimeoutError("nothing is planned, and nothing happens")
        self._loop.now_s += timeout
        return []


class AcceleratedLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.n_working = 0
        """How many pieces of work executors have in hand."""
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return the seconds since some moment in the past."""
        return self.now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        """Do as the class above; while the work is in hand, time stands still."""
        self.n_working += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._note_done)
        return future

    def _note_done(self, _future: asyncio.Future[Any]) -> None:
        self.n_working -= 1


def run_accelerated(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=AcceleratedLoop) as runner:
        runner.run(main)


def accelerated(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Let an async test run on a loop of its own, whose time jumps."""

    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        run_accelerated(test(*args, **named))

    return run
