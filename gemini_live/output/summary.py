"""Formats the statistics of a session as lines for people. Pure."""

from collections.abc import Mapping

from .events import Summary

SHORTEST_AUDIO_S = 0.05
"""Audio is mentioned only if there was at least this much of it."""


def format_duration(seconds: float) -> str:
    """Return a duration as a clock shows it: `0:07`, `12:03`, `1:02:45`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_summary(summary: Summary) -> list[str]:
    """Return a summary as lines for people: what happened, then the tokens, if the service reported any."""
    parts = [format_duration(summary.duration_s), _count(summary.answers, "answer")]
    if summary.latency_median_s is not None:
        parts.append(f"latency median {summary.latency_median_s:.2f} s, worst {summary.latency_worst_s:.2f} s")
    if summary.interruptions:
        parts.append(_count(summary.interruptions, "interruption"))
    if max(summary.audio_in_s, summary.audio_out_s) >= SHORTEST_AUDIO_S:
        parts.append(f"audio in {summary.audio_in_s:.1f} s, out {summary.audio_out_s:.1f} s")
        parts.append(_count(summary.underruns, "underrun"))
    if summary.xruns:
        parts.append(_count(summary.xruns, "xrun"))
    if summary.audio_dropped_s:
        parts.append(f"{summary.audio_dropped_s:.1f} s of your voice dropped")
    if summary.echo_leak_db is not None:
        removed = "" if summary.erle_db is None else f", reduced by {summary.erle_db:.0f} dB"
        parts.append(f"echo at {summary.echo_leak_db:.0f} dB{removed}")
    parts.append(_count(summary.reconnects, "reconnect"))
    lines = [f"session: {'; '.join(parts)}"]
    sides = {"prompt": summary.prompt_tokens, "response": summary.response_tokens}
    counts = [f"{side} {_format_tokens(by_modality)}" for side, by_modality in sides.items() if by_modality]
    if counts:
        lines.append(f"tokens, all turns: {'; '.join(counts)}; context now {summary.context_tokens:,}")
    return lines


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _format_tokens(by_modality: Mapping[str, int]) -> str:
    parts = ", ".join(f"{modality.lower()} {n:,}" for modality, n in by_modality.items())
    return f"{sum(by_modality.values()):,} ({parts})"
