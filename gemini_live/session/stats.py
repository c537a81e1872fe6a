"""The numbers of a session: latency, answers, sound and tokens, for the status bar and the summary at the end.

Pure: every method takes the time, none reads a clock.
"""

import statistics
from collections import Counter, deque
from collections.abc import Iterator

from ..output.events import Summary
from ..wire.events import Usage

MAX_LATENCIES = 10_000
"""How many of the newest answers the median and the worst are computed from."""
_OTHER = "OTHER"
"""The modality of tokens that a report counts in its total only, and of those beyond `MAX_MODALITIES`."""
MAX_MODALITIES = 32
"""Modalities that are counted on their own: the service has six, and a server may invent others."""


class Latency:
    """How long the user waited for the first sound of an answer, or for its first word if there is no sound."""

    def __init__(self) -> None:
        self.last_s: float | None = None
        self._all_s: deque[float] = deque(maxlen=MAX_LATENCIES)
        self.asked_s: float | None = None
        """When the user pressed Enter, released the talk key or stopped speaking; `None` once the answer has begun."""

    def asked(self, now_s: float) -> None:
        """Start measuring: the user pressed Enter, released the talk key or stopped speaking."""
        self.asked_s = now_s

    def cancel(self) -> None:
        """Stop measuring: the user speaks again."""
        self.asked_s = None

    def answer_began(self, now_s: float) -> None:
        """Record the first sound or word of an answer; an answer that nobody waited for has no latency."""
        asked_s, self.asked_s = self.asked_s, None
        if asked_s is not None and now_s >= asked_s:
            self.last_s = now_s - asked_s
            self._all_s.append(self.last_s)

    @property
    def median_s(self) -> float | None:
        """The median of all answers, or `None` if there was none."""
        return statistics.median(self._all_s) if self._all_s else None

    @property
    def worst_s(self) -> float | None:
        """The longest of all answers, or `None` if there was none."""
        return max(self._all_s, default=None)


class Tokens:
    """The token counts that the service reports, added up.

    Each report stands alone (pydantic-ai's recordings, Aug-Oct 2026): its prompt is the whole context, counted anew
    each time, and its response is new.
    """

    def __init__(self) -> None:
        self.context = 0
        """The size of the newest prompt: what the model reads now, not the sum of all prompts."""
        self._counts: Counter[tuple[str, str]] = Counter()
        """By side (`prompt`, `response`) and modality."""

    def take(self, usage: Usage) -> None:
        """Add a report."""
        for (side, modality), n in _read(usage):
            is_known = (side, modality) in self._counts or len(self._counts) < MAX_MODALITIES
            self._counts[side, modality if is_known else _OTHER] += n
        self.context = usage.prompt_tokens or self.context

    @property
    def total(self) -> int:
        """The number of tokens so far, on both sides."""
        return self._counts.total()

    def by_modality(self, side: str) -> dict[str, int]:
        """Return how many were counted so far as `prompt` or as `response`, by modality, the most first."""
        return {modality: n for (which, modality), n in self._counts.most_common() if which == side}


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
        """Start to count at a time."""
        self.latency = Latency()
        self.tokens = Tokens()
        self.n_answers = 0
        self.n_interruptions = 0
        """How often the server said that the model was interrupted."""
        self.n_underruns = 0
        """How often the speaker ran out of sound in the middle of an answer."""
        self.n_xruns = 0
        """How often PortAudio reported lost sound, because this program or the machine was too slow."""
        self.n_connections = 0
        """Connections whose setup completed."""
        self.heard_s = 0.0
        """Audio of the user that was sent, in seconds."""
        self.spoken_s = 0.0
        """Speech of the model that was received, in seconds."""
        self.dropped_s = 0.0
        """Audio of the user that was dropped because the network was too slow, in seconds."""
        self.withheld_s = 0.0
        """Audio of the user that was dropped because it waited for the end of a function call, in seconds."""
        self.echo_leak_db: float | None = None
        """Median level of the echo relative to what was played, in dB; `None` if it was not measured."""
        self.erle_db: float | None = None
        """Median of how much of the echo was removed, in dB; `None` if it was not measured."""
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
            echo_leak_db=_rounded(self.echo_leak_db),
            erle_db=_rounded(self.erle_db),
            reconnects=max(0, self.n_connections - 1),
            prompt_tokens=self.tokens.by_modality("prompt"),
            response_tokens=self.tokens.by_modality("response"),
            context_tokens=self.tokens.context,
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
