"""Tells whether the user has spoken and has no answer yet, by the client's own voice detector. Pure."""

from .stats import Latency

EXPIRES_S = 10.0
"""If nothing answers the speech for this long, it was a cough or a noise."""


class UserSpeech:
    """The user's newest speech."""

    def __init__(self, latency: Latency) -> None:
        """Begin in silence; `latency` is told when an answer is due."""
        self._latency = latency
        self._heard_s: float | None = None
        """When the newest speech began or ended; `None` after an answer."""

    def began(self, now_s: float) -> None:
        """Record that the user began to speak; a pause before was not the end of the question."""
        self._heard_s = now_s
        self._latency.cancel()

    def stopped(self, now_s: float, *, ended_s: float) -> None:
        """Start the latency clock at `ended_s`, when the user stopped speaking, unless an answer has already begun."""
        if self._heard_s is not None:
            self._heard_s = now_s
            self._latency.asked(ended_s)

    def answered(self) -> None:
        """Record that an answer to the speech has begun."""
        self._heard_s = None

    def is_unanswered(self, now_s: float) -> bool:
        """True if the user spoke in the last seconds and no answer has begun since."""
        return self._heard_s is not None and now_s - self._heard_s <= EXPIRES_S
