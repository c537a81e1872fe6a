"""Runs a simulator in a thread and a loop of its own, for programs and tests that have no loop, or another one."""

import asyncio
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from .records import SessionRecord
from .server import Simulator

_POLL_S = 0.005


class SimulatorInThread:
    """A simulator for any caller.

        with SimulatorInThread(pace=0) as server:
            ...  # a client at server.url

    Takes the arguments of `Simulator`. Any thread may read the records; `wait_for` and `wait_for_session` block.
    """

    def __init__(self, **options: Any) -> None:
        self._simulator = Simulator(**options)
        self._ended = threading.Event()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=self._run, name="gemini-live-simulator", daemon=True)

    @property
    def url(self) -> str:
        """The base URL for a client: `http://127.0.0.1:40001`."""
        return self._simulator.url

    @property
    def socket_url(self) -> str:
        """The address of its WebSocket, for a client that takes one."""
        return self._simulator.socket_url

    @property
    def sessions(self) -> list[SessionRecord]:
        """The records of the sessions, the oldest first."""
        return self._simulator.sessions

    @property
    def mistakes(self) -> list[str]:
        """What the clients did that the protocol does not allow, over all sessions."""
        return self._simulator.mistakes

    @property
    def departures(self) -> list[str]:
        """Where and how the clients of a replay left the recording, over all sessions."""
        return self._simulator.departures

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that point google-genai and gemini-live at the simulator."""
        certificate = self._simulator.certificate
        trust = {"SSL_CERT_FILE": str(certificate.path)} if certificate else {}
        return {"GOOGLE_GEMINI_BASE_URL": self.url, "GOOGLE_API_KEY": self._simulator.key or "any", **trust}

    def verdict(self) -> list[str]:
        """Return the verdict on the clients, in lines."""
        return self._simulator.verdict()

    def wait_for_session(self, n: int = 1, timeout_s: float = 10.0) -> SessionRecord:
        """Return the record of the n-th session as soon as it has been opened.

        Raises:
            TimeoutError: It was not opened in time; the words say what was.
        """
        waiting = self._simulator.wait_for_session(n, timeout_s)
        return asyncio.run_coroutine_threadsafe(waiting, self._loop).result()

    def wait_for(self, condition: Callable[[Self], bool], timeout_s: float = 10.0) -> None:
        """Return as soon as `condition(self)` holds.

        Raises:
            TimeoutError: It did not hold in time; the words say what happened.
        """
        until_s = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > until_s:
                told = "; ".join(record.describe() for record in self.sessions[-3:]) or "no session came"
                raise TimeoutError(f"not within {timeout_s:g} s: {told}")
            self._ended.wait(_POLL_S)

    def __enter__(self) -> Self:
        """Start listening.

        Raises:
            ConfigError: As `Simulator` does.
        """
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every session and end the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001 - raised in the caller's thread
            self._failure = failure
        finally:
            self._ended.set()
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._simulator:
            self._started.set()
            await self._stop.wait()
