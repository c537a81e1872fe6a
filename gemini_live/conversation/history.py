"""The conversation that is kept to be told to a fresh session. Pure."""

from collections import deque

from .outcomes import Exchange

MAX_HISTORY_EXCHANGES = 200
MAX_HISTORY_CHARS = 100_000


class History:
    """The newest exchanges that have ended, up to `MAX_HISTORY_EXCHANGES` and `MAX_HISTORY_CHARS`."""

    def __init__(self) -> None:
        self.exchanges: deque[Exchange] = deque()
        """The oldest first."""
        self.omitted = 0
        """How many older exchanges were discarded."""
        self._n_chars = 0

    def add(self, exchange: Exchange) -> None:
        """Append `exchange`, and discard the oldest ones while the history is too large."""
        self.exchanges.append(exchange)
        self._n_chars += len(exchange.user) + len(exchange.model)
        while len(self.exchanges) > 1 and (
            len(self.exchanges) > MAX_HISTORY_EXCHANGES or self._n_chars > MAX_HISTORY_CHARS
        ):
            oldest = self.exchanges.popleft()
            self._n_chars -= len(oldest.user) + len(oldest.model)
            self.omitted += 1

    def extend_last(self, text: str) -> None:
        """Append words of the model to the newest exchange."""
        last = self.exchanges.pop()
        self._n_chars -= len(last.user) + len(last.model)
        self.add(Exchange(last.user, last.model + text))
