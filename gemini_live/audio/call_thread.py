"""Make blocking calls for the event loop in one daemon thread. A call that hangs blocks nothing else."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class CallThread:
    """Calls functions of a library whose calls must not overlap and may hang. It does not keep the process alive."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._running: Future[Any] | None = None
        self._hung: Future[Any] | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    @property
    def is_stuck(self) -> bool:
        """True while a call that timed out has not returned."""
        return self._hung is not None and not self._hung.done()

    async def call(self, function: Callable[[], _T], timeout_s: float) -> _T:
        """Call `function` in the thread and return its result.

        Raises:
            TimeoutError: The call has not returned in time, or was not made because the thread is stuck.
        """
        if self.is_stuck:
            raise TimeoutError
        future: Future[_T] = Future()
        self._jobs.put((function, future))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            # This call, or an earlier one whose caller was cancelled.
            self._hung = self._running
            raise

    def end(self) -> None:
        """End the thread after the calls that wait."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, future = job
            if not future.set_running_or_notify_cancel():
                continue
            self._running = future
            try:
                result = function()
            except Exception as exc:  # noqa: BLE001 - raised where the future is awaited
                future.set_exception(exc)
            else:
                future.set_result(result)
