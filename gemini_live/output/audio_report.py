"""The report of `--check-audio` for people. Pure."""

from ..audio.report import AudioReport


def format_audio_report(report: AudioReport) -> str:
    """Return the report as lines: what was measured, and what to do."""
    rows = [
        ("microphone", f"{report.microphone}, {report.microphone_rate_hz} Hz"),
        ("speaker", f"{report.speaker}, {report.speaker_rate_hz} Hz"),
        ("noise", f"{report.noise_dbfs:.0f} dBFS"),
        ("round trip", _quantity(report.round_trip_s, 1000, "ms")),
        ("echo", _quantity(report.echo_leak_db, 1, "dB relative to what was played")),
        ("cancellation", _format_erle(report)),
        ("clock drift", _quantity(report.drift_ppm, 1, "ppm")),
        ("dropped blocks", str(report.dropped_blocks)),
        ("mode", f"{report.mode}; {report.advice}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _format_erle(report: AudioReport) -> str:
    if report.erle_db is None and report.echo_leak_db is not None:
        return "not installed"
    return _quantity(report.erle_db, 1, "dB of the echo removed (ERLE)")


def _quantity(value: float | None, scale: float, unit: str) -> str:
    return "not measured: no echo" if value is None else f"{value * scale:.0f} {unit}"
