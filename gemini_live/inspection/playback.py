"""Compute when the model's speech was heard: one piece after the other, and nothing after playback was cleared. Pure.

A client's recording tells when the first sound after silence was handed to its card, which sets the clock of the pieces
that follow. Where no client tells, playback begins as the first piece arrives.
"""

from ..audio.pcm import PcmFormat
from .session import Sound, Span

_MERGE_S = 0.05
"""Pieces that are closer together are one span."""


class Playback:
    """The model's speech on the time line."""

    def __init__(self) -> None:
        """Begin in silence."""
        self.sounds: list[Sound] = []
        self._run: list[Sound] = []
        """The pieces since the last silence."""
        self._end_s = 0.0
        self._latency_s = 0.0

    def add(self, t_s: float, media: dict[str, object], pcm_format: PcmFormat, duration_s: float) -> Sound:
        """Add a piece that arrived at a time; return it at its place."""
        if t_s >= self._end_s:
            self._run = []
            self._end_s = t_s
        sound = Sound(self._end_s, media, pcm_format, duration_s, duration_s)
        self._end_s += duration_s
        self._run.append(sound)
        self.sounds.append(sound)
        return sound

    def begin(self, t_s: float, latency_s: float) -> None:
        """Move the pieces since the last silence to their time: the first one was handed to the card at `t_s`."""
        self._latency_s = latency_s
        if self._run:
            shift_s = max(0.0, t_s + latency_s - self._run[0].start_s)
            for sound in self._run:
                sound.start_s += shift_s
            self._end_s += shift_s

    def clear(self, t_s: float) -> float | None:
        """Discard what was not played at a time; return when it became silent, or None if nothing was played."""
        cut_s = t_s + self._latency_s
        if self._end_s <= cut_s:
            return None
        for sound in self._run:
            sound.played_s = max(0.0, min(sound.played_s, cut_s - sound.start_s))
        self._end_s = cut_s
        self._run = []
        return cut_s

    def is_playing(self, t_s: float) -> bool:
        """Return True if something is played at a time."""
        return self._end_s > t_s


def spans_of(sounds: list[Sound]) -> list[Span]:
    """Return when sounds were heard."""
    return merge([(sound.start_s, sound.end_s) for sound in sounds if sound.played_s > 0])


def merge(spans: list[Span]) -> list[Span]:
    """Return spans in order, with those joined that overlap or touch."""
    merged: list[Span] = []
    for start_s, end_s in sorted(spans):
        if merged and start_s <= merged[-1][1] + _MERGE_S:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end_s))
        else:
            merged.append((start_s, end_s))
    return merged


def overlap_s(spans: list[Span], others: list[Span]) -> float:
    """Return for how long two lists of merged spans overlap."""
    total_s, i, j = 0.0, 0, 0
    while i < len(spans) and j < len(others):
        start_s, end_s = max(spans[i][0], others[j][0]), min(spans[i][1], others[j][1])
        total_s += max(0.0, end_s - start_s)
        if spans[i][1] <= others[j][1]:
            i += 1
        else:
            j += 1
    return total_s
