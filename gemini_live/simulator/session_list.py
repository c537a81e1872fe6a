"""Keeps the records of a server's sessions: counts them, wakes those who wait for one, forgets the oldest."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from gemini_live.escaping import one_line

from .records import SessionRecord, build_verdict, format_verdict

MAX_RECORDS = 1_000
"""Records of ended sessions that are kept if messages are not: the oldest without mistakes are dropped first."""


class SessionList:
    """The sessions of one server."""

    def __init__(self, *, keep: bool, on_event: Callable[[str], None] | None) -> None:
        """Begin without sessions.

        Args:
            keep: True if the records hold messages and sound; False if they only count them.
            on_event: Called with a line for people at each session, call and mistake.
        """
        self.records: list[SessionRecord] = []
        """The oldest first."""
        self.n_opened = 0
        """Sessions so far, those included whose records were dropped."""
        self.n_refused = 0
        """Handshakes that were not accepted."""
        self._keep, self._on_event = keep, on_event
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def tell(self, words: str) -> None:
        """Tell people of something, on one line."""
        if self._on_event is not None:
            self._on_event(one_line(words))

    def refused(self, words: str) -> None:
        """Count a refused handshake, and tell people of it."""
        self.n_refused += 1
        self.tell(words)

    def open(self, path: str, api_version: str, now_s: float) -> SessionRecord:
        """Return the record of a new session."""
        self.n_opened += 1
        record = SessionRecord(
            number=self.n_opened, path=path, api_version=api_version, opened_s=now_s, keep=self._keep
        )
        if self._on_event is not None:
            record.on_event = functools.partial(self._tell_of_session, record.number)
        self.records.append(record)
        return record

    def opened(self) -> None:
        """Wake those who wait for the newest session."""
        for n, waiter in self._waiters:
            if self.n_opened >= n and not waiter.done():
                waiter.set_result(None)
        self._waiters = [(n, waiter) for n, waiter in self._waiters if not waiter.done()]

    def ended(self, record: SessionRecord) -> None:
        """Drop what nobody will ask for of a session that has ended."""
        if not self._keep:
            record.forget_messages()
            self._drop_records()

    async def wait_for(self, n: int, timeout_s: float) -> SessionRecord:
        """Return the record of the n-th session as soon as it has been opened.

        Raises:
            TimeoutError: It was not opened in time; the words say what was.
        """
        if self.n_opened < n:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((n, waiter))
            try:
                async with asyncio.timeout(timeout_s):
                    await waiter
            except TimeoutError:
                came = f"{self.n_opened} sessions, {self.n_refused} handshakes refused"
                told = "".join(f"; {record.describe()}" for record in self.records[-2:])
                raise TimeoutError(f"no session {n} within {timeout_s:g} s: {came}{told}") from None
        return next(record for record in self.records if record.number == n)

    def verdict(self) -> list[str]:
        """Return the verdict on the clients, in lines."""
        lines = [line for record in self.records for line in format_verdict(record)]
        n_forgotten = self.n_opened - len(self.records)
        return [f"{n_forgotten} older sessions without mistakes are not listed", *lines] if n_forgotten else lines

    def verdict_data(self) -> dict[str, Any]:
        """Return the verdict on the clients as JSON can hold it."""
        return build_verdict(self.records, self.n_opened - len(self.records), self.n_refused)

    def _drop_records(self) -> None:
        """Keep the number of records bounded; those with mistakes stay longest."""
        if len(self.records) <= MAX_RECORDS:
            return
        ended = [record for record in self.records if not record.open]
        good = (record for record in ended if not (record.mistakes or record.departures))
        dropped = next(good, ended[0] if ended else None)
        if dropped is not None:
            self.records.remove(dropped)

    def _tell_of_session(self, session: int, words: str) -> None:
        self.tell(f"session {session} {words}")
