"""Whether memory and CPU time stay flat in sessions that are hours long, on a clock that jumps."""

from typing import Any

from ..measure import LONG_S, run_contender, serving
from ..results import Row, Scale, Section

_EARLY, _LATE = "second tenth", "ours"
_FLAT = 1.15
_MIB = 2.0


def measure(scale: Scale) -> list[Section]:
    """Measure an hour of audio both ways, 10,000 piped turns, and 200 long turns."""
    cases: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
        ("an hour of audio both ways", "audio", {"seconds": 3600 * scale.share}, {"echo_every": 2}, "20 ms"),
        ("10,000 piped turns", "turns", {"turns": scale.amount(10_000)}, {"answers": True}, "turn"),
        (
            "200 turns of 20,000 characters",
            "turns",
            {"turns": max(20, scale.amount(200)), "line_chars": 20_000},
            {"answers": True},
            "turn",
        ),
    ]
    rows: list[Row] = []
    for name, task, arguments, plan, unit in cases:
        with serving(**plan) as address:
            figures = run_contender("long_session", task, address, timeout_s=LONG_S, **arguments)
        rows += [
            Row(
                f"{name}: CPU in the last tenth",
                f"us CPU a {unit}",
                {_EARLY: [figures["cpu_us_early"]], _LATE: [figures["cpu_us_late"]]},
                _EARLY,
                _FLAT,
            ),
            Row(f"{name}: memory that stays", "MiB", {_LATE: [figures["grown_mib"]]}, "", _MIB),
        ]
    return [Section("Long sessions, time injected", rows)]
