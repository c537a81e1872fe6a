"""Wakes every task of a session that waits for something to happen. Event loop only."""

import asyncio


class Changes:
    """Something that tasks wait for, again and again: "anything changed"."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Wake every task that waits at this moment."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, until_s: float | None = None) -> None:
        """Wait for the next `notify`, or until a time of the loop's clock."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout_at(until_s):
                await future
        except TimeoutError:
            return
        finally:
            self._waiting.discard(future)
