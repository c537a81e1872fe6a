"""An executor whose threads never keep the process from ending.

The event loop's default executor resolves names and reads stdin here. A thread that is stuck in a system call cannot be
stopped, so every piece of work gets a daemon thread of its own, which the interpreter does not wait for.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class DaemonExecutor(ThreadPoolExecutor):
    """One daemon thread a piece of work; a `ThreadPoolExecutor` in name, for asyncio takes no other as its default."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` in a new daemon thread."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the future
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name=f"executor: {getattr(fn, '__name__', fn)}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: a daemon thread needs no waiting for."""
