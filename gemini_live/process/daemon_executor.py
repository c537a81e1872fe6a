"""An executor whose threads never keep the process from ending.

As the event loop's default executor, it resolves host names and reads stdin. A thread that hangs in a system call
cannot be stopped, so each piece of work gets a daemon thread, which the interpreter does not wait for at exit.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class DaemonExecutor(ThreadPoolExecutor):
    """Runs each piece of work in a daemon thread of its own.

    It is a `ThreadPoolExecutor` because asyncio accepts no other class as the default executor.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn` in a new daemon thread."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name=f"executor: {getattr(fn, '__name__', fn)}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing, because nobody needs to wait for a daemon thread."""
