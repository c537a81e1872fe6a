"""The handle for resuming the session on another connection, and what a resumed session needs. Pure."""

from ..models import Coverage, ObservedBehavior, StaleCalls

MAX_STALE_CALLS = 1_000
"""Calls that are answered on a later connection: the newest are kept."""


class Handles:
    """The newest handle that covers the whole conversation, if there is one."""

    def __init__(self, model: ObservedBehavior) -> None:
        self._covers_everything = model.handle_covers is Coverage.EVERYTHING
        self._keeps_history = not model.loses_seeded_history
        self._keeps_calls = model.stale_calls is StaleCalls.SWALLOW_AN_INPUT
        self._is_trusted = True
        """True if the session of this connection knows the whole conversation, so that its handles cover it."""
        self.handle: str | None = None
        self.stale_calls: dict[str, str] = {}
        """The names of the calls, by id, that a resumed session still waits for."""

    @property
    def knows_questions(self) -> bool:
        """True if a resumed session knows the questions that were sent on the connection before."""
        return self._covers_everything and self.handle is not None

    def begin_connection(self, *, is_seeded: bool) -> None:
        """Begin a connection; `is_seeded`: its session is a new one that is told the conversation as history."""
        self._is_trusted = not is_seeded

    def offer(self, handle: str, *, resumable: bool, is_settled: bool) -> None:
        """Store a handle; delete the stale calls if it is newer than the errors that closed them (`is_settled`)."""
        if resumable and handle and self._is_trusted:
            self.handle = handle
            if is_settled:
                self.stale_calls.clear()

    def exchange_ended(self) -> None:
        """Forget a handle that does not cover the newest exchange."""
        if not self._covers_everything:
            self.handle = None
        self._is_trusted |= self._keeps_history

    def drop(self) -> None:
        """Forget the handle: the server refuses it, or the session that it resumed is mute."""
        self.handle = None
        self.stale_calls.clear()

    def connection_lost(self, open_calls: dict[str, str]) -> None:
        """Remember the calls that the resumed session will wait for."""
        if self._keeps_calls and self.handle is not None:
            self.stale_calls |= open_calls
            for call_id in list(self.stale_calls)[:-MAX_STALE_CALLS]:
                del self.stale_calls[call_id]
