"""What was measured: rows of figures, and how they compare. Pure data."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Contender(StrEnum):
    """A program that is measured, by the name of its module."""

    FLOOR = "floor"
    OURS = "ours"
    SDK = "google_genai"
    CALLBACK = "callback_script"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    """How often each contender has its turn."""
    share: float
    """Part of the full amount of work in each turn."""

    def amount(self, full: int) -> int:
        """Return how many of `full` things to do."""
        return max(1, round(full * self.share))


FULL, SHORT = Scale(rounds=3, share=1.0), Scale(rounds=1, share=0.02)


@dataclass(frozen=True)
class Row:
    """One thing that was measured for several contenders."""

    name: str
    unit: str
    figures: Mapping[str, Sequence[float]]
    """For each contender or case, one figure a round."""
    beside: str = Contender.FLOOR
    """What ours is divided by; empty if the figure stands alone."""
    at_most: float | None = None
    """The aim: the largest ratio, or the largest figure where there is nothing to divide by; `None`: no aim."""
    note: str = ""
    """What a reader must know about the figures."""
    ours: str = Contender.OURS

    def median(self, contender: str) -> float:
        """Return the median of a contender's figures."""
        return statistics.median(self.figures[contender])

    @property
    def ratios(self) -> list[float]:
        """Return ours divided by the other contender, round by round; empty if there is nothing to divide by."""
        if not self.beside:
            return []
        pairs = zip(self.figures[self.ours], self.figures[self.beside], strict=True)
        return [mine / theirs for mine, theirs in pairs if theirs]

    @property
    def result(self) -> float:
        """Return what the aim is about: the median ratio, or the median figure if there is nothing to divide by."""
        return statistics.median(self.ratios) if self.ratios else self.median(self.ours)

    @property
    def spread(self) -> tuple[float, float]:
        """Return the smallest and the largest of what `result` is the median of."""
        values = self.ratios or self.figures[self.ours]
        return min(values), max(values)

    @property
    def is_met(self) -> bool | None:
        """True if the aim is met; `None` if there is no aim."""
        return None if self.at_most is None else self.result <= self.at_most


@dataclass(frozen=True)
class Section:
    """Rows that were measured together, or the reason why they were not."""

    title: str
    rows: Sequence[Row] = field(default_factory=list)
    skipped: str = ""
