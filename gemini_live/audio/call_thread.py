"""Makes blocking calls for the event loop in a daemon thread, one after the other; one that hangs holds nobody up."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class CallThread:
    """For libraries whose calls must not overlap and may hang for good. The thread does not keep the process alive."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._running: Future[Any] | None = None
        self._hung: Future[Any] | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    @property
    def is_stuck(self) -> bool:
        """Whether a call that was given up has still not come back."""
        return self._hung is not None and not self._hung.done()

    async def call(self, function: Callable[[], _T], timeout_s: float) -> _T:
        """Make one call and return what it returns.

        Raises:
            TimeoutError: it has not come back in time; or the thread is stuck, then it is not made at all.
        """
        if self.is_stuck:
            raise TimeoutError
        future: Future[_T] = Future()
        self._jobs.put((function, future))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            # This one, or an earlier one that nobody waits for any more.
            self._hung = self._running
            raise

    def end(self) -> None:
        """Let the thread end after the calls that it was given."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, future = job
            if not future.set_running_or_notify_cancel():
                continue
            self._running = future
            try:
                result = function()
            except Exception as exc:  # noqa: BLE001 - it belongs to whoever awaits the future
                future.set_exception(exc)
            else:
                future.set_result(result)
