"""What a session amounts to: latency, turns, sound and tokens, for the status bar and the summary at the end.

Pure bookkeeping on the loop's clock: every method takes the time, none reads it.
"""

import statistics
from collections import Counter, deque
from collections.abc import Iterator, Mapping

from ..output.events import Summary
from ..wire.events import Usage

MAX_LATENCIES = 10_000
"""Of the newest answers, that the median and the worst are taken of."""
_OTHER = "OTHER"
"""Tokens that a report counts in its sum and in no modality."""


class Latency:
    """How long the user waited for an answer's first sound, or word where there is no sound."""

    def __init__(self) -> None:
        self.last_s: float | None = None
        self._all_s: deque[float] = deque(maxlen=MAX_LATENCIES)
        self.asked_s: float | None = None
        """When the user pressed Enter or released the talk key; `None` once the answer has begun."""
        self._since_s: float | None = None
        """When the user had finished what is not answered yet."""
        self.hears_user = False
        """Whether the user has begun to speak since the last answer began."""

    def asked(self, now_s: float) -> None:
        """Note that the user has pressed Enter, or let go of the talk key: an answer is due."""
        self._since_s = self.asked_s = now_s

    def user_began(self) -> None:
        """Note that the user speaks: what has ended before was a pause."""
        self._since_s = None
        self.hears_user = True

    def user_stopped(self, now_s: float) -> None:
        """Note that the user has stopped speaking, unless the answer to that has begun already."""
        if self.hears_user:
            self._since_s = now_s

    def answer_began(self, now_s: float) -> None:
        """Note the first sound of an answer, or the first word; one that nobody waited for has no latency."""
        since_s, self._since_s, self.asked_s = self._since_s, None, None
        self.hears_user = False
        if since_s is not None and now_s >= since_s:
            self.last_s = now_s - since_s
            self._all_s.append(self.last_s)

    @property
    def median_s(self) -> float | None:
        """The middle one of all answers; `None`: there was none."""
        return statistics.median(self._all_s) if self._all_s else None

    @property
    def worst_s(self) -> float | None:
        """Likewise the longest."""
        return max(self._all_s, default=None)


class Tokens:
    """What the service says that it counted, added up.

    A report is about one turn: its prompt is the whole context again, counted anew each time, its response is new. Of
    several reports within one turn a larger one says what the turn has come to (cumulative), a smaller one what has
    come since the last (a delta); once one was smaller, all are taken so.
    """

    def __init__(self) -> None:
        self.context = 0
        """How large the prompt of the newest report was: what the model has before it, not what was counted in all."""
        self._ended: Counter[tuple[str, str]] = Counter()
        """By side (`prompt`, `response`) and modality, of the reports that nothing replaces any more."""
        self._open: Counter[tuple[str, str]] = Counter()
        """Of the newest report, while its turn goes on."""
        self._are_deltas = False

    def take(self, usage: Usage) -> None:
        """Take a report."""
        counts = Counter(dict(_read(usage)))
        self.context = usage.prompt_tokens or self.context
        is_smaller = any(_of_side(counts, side) < _of_side(self._open, side) for side in ("prompt", "response"))
        if self._are_deltas or is_smaller:
            self._are_deltas = True
            self._ended += self._open
        self._open = counts

    def end_turn(self) -> None:
        """Note the end of a turn: the next report is about another one."""
        self._ended += self._open
        self._open = Counter()

    @property
    def total(self) -> int:
        """How many were counted so far, on both sides."""
        return (self._ended + self._open).total()

    def by_modality(self, side: str) -> dict[str, int]:
        """Return how many were counted so far as `prompt` or as `response`, by modality, the most first."""
        counts = self._ended + self._open
        return {modality: n for (which, modality), n in counts.most_common() if which == side}


def _of_side(counts: Mapping[tuple[str, str], int], side: str) -> int:
    return sum(n for (which, _), n in counts.items() if which == side)


def _read(usage: Usage) -> Iterator[tuple[tuple[str, str], int]]:
    prompt = usage.prompt_tokens + usage.tool_use_prompt_tokens
    response = usage.response_tokens + usage.thoughts_tokens
    for side, total, by_modality in (
        ("prompt", prompt, usage.prompt_by_modality),
        ("response", response, usage.response_by_modality),
    ):
        yield from (((side, modality), n) for modality, n in by_modality.items() if n)
        if (rest := total - sum(by_modality.values())) > 0:
            yield (side, _OTHER), rest


class Stats:
    """The counters of one session."""

    def __init__(self, now_s: float) -> None:
        """Begin at a time."""
        self.latency = Latency()
        self.tokens = Tokens()
        self.n_answers = 0
        self.n_interruptions = 0
        """Times that the server said that it was interrupted."""
        self.n_underruns = 0
        """Times that the speaker ran dry in mid-answer."""
        self.n_xruns = 0
        """Times that PortAudio said that sound was lost, because this program or the machine was late."""
        self.n_connections = 0
        """That went live."""
        self.heard_s = 0.0
        """Of the user's voice, as much as was sent."""
        self.spoken_s = 0.0
        """Of the model's voice, as much as was received."""
        self.dropped_s = 0.0
        """Of the user's voice, because the network could not keep up."""
        self._began_s = now_s

    def summary(self, now_s: float) -> Summary:
        """Return the numbers so far."""
        return Summary(
            duration_s=round(now_s - self._began_s, 3),
            answers=self.n_answers,
            interruptions=self.n_interruptions,
            latency_median_s=_rounded(self.latency.median_s),
            latency_worst_s=_rounded(self.latency.worst_s),
            audio_in_s=round(self.heard_s, 3),
            audio_out_s=round(self.spoken_s, 3),
            audio_dropped_s=round(self.dropped_s, 3),
            underruns=self.n_underruns,
            xruns=self.n_xruns,
            reconnects=max(0, self.n_connections - 1),
            prompt_tokens=self.tokens.by_modality("prompt"),
            response_tokens=self.tokens.by_modality("response"),
            context_tokens=self.tokens.context,
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
