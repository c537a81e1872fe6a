"""Measures everything, prints a table, and writes `benchmarks/results.json`, the chart and the page of the docs.

python -m benchmarks             # everything, in six to eleven minutes on two cores
python -m benchmarks --short     # a little of everything, to see that it runs; writes nothing
python -m benchmarks --only screen starting
"""

import argparse
import os
import sys
import time

from . import report
from .chart import CHART, draw_chart
from .measure import BenchmarkError
from .results import FULL, SHORT, Section
from .rows import load, long_sessions, messages, screen, simulator, sound, starting

KINDS = {
    "messages": messages.measure,
    "starting": starting.measure,
    "sound": sound.measure,
    "load": load.measure,
    "screen": screen.measure,
    "long_sessions": long_sessions.measure,
    "simulator": simulator.measure,
}


def main() -> int:
    """Measure and report; return the exit code, which is 1 in CI if something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="measure a little of everything, and write no file")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="what to measure")
    options = parser.parse_args()
    scale = SHORT if options.short else FULL
    machine = report.describe_machine(scale)
    sections: list[Section] = []
    for kind in options.only:
        started_s = time.monotonic()
        try:
            sections += KINDS[kind](scale)
        except BenchmarkError as error:  # the other kinds are worth having
            sections.append(Section(kind, skipped=str(error)))
        print(f"{kind}: {time.monotonic() - started_s:.0f} s", file=sys.stderr, flush=True)
    print(f"{report.format_machine(machine)}\n\n{report.format_table(sections)}")
    if not options.short and options.only == list(KINDS):
        report.RESULTS.write_text(report.to_json(machine, sections), encoding="utf-8")
        CHART.write_text(draw_chart(sections), encoding="utf-8")
        report.write_page(machine, sections)
    skipped = [section.title for section in sections if section.skipped]
    return 1 if skipped and os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
