"""What was measured, for people and programs: a table, JSON, a page of the docs and its chart."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from .measure import ROOT
from .results import Row, Scale, Section

RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
_PACKAGES = ("websockets", "google-genai", "PyAudio", "pillow", "mss", "soxr")


def describe_machine(scale: Scale) -> dict[str, Any]:
    """Return what the figures depend on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in _read("/proc/cpuinfo").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions,
        "rounds": scale.rounds,
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def format_table(sections: Iterable[Section]) -> str:
    """Return all rows as one Markdown table for each section."""
    return "\n\n".join(map(_format_section, sections))


def _format_section(section: Section) -> str:
    lines = [f"### {section.title}", ""]
    if section.skipped:
        lines += [f"Not measured: {section.skipped}", ""]
    if section.rows:
        lines += ["| what | figures (median) | result | spread | aim | met |", "|---|---|---|---|---|---|"]
        lines += ["| " + " | ".join(_format_row(row)) + " |" for row in section.rows]
        lines += ["", *(f"{row.name}: {row.note}." for row in section.rows if row.note)]
    return "\n".join(lines).rstrip()


def _format_row(row: Row) -> list[str]:
    figures = ", ".join(f"{contender} {_number(row.median(contender))}" for contender in row.figures)
    unit = f" of {row.beside}" if row.ratios else f" {row.unit}"
    low, high = row.spread
    return [
        row.name,
        f"{figures} ({row.unit})",
        f"{_number(row.result)}{unit}",
        f"{_number(low)} to {_number(high)}",
        "" if row.at_most is None else f"{_number(row.at_most)}{unit}",
        {None: "", True: "yes", False: "no"}[row.is_met],
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def to_json(machine: dict[str, Any], sections: Sequence[Section]) -> str:
    """Return everything that was measured as JSON."""
    document = {
        "machine": machine,
        "sections": [
            {
                "title": section.title,
                "skipped": section.skipped,
                "rows": [
                    {
                        "name": row.name,
                        "unit": row.unit,
                        "figures": row.figures,
                        "beside": row.beside,
                        "result": row.result,
                        "spread": row.spread,
                        "at_most": row.at_most,
                        "is_met": row.is_met,
                        "note": row.note,
                    }
                    for row in section.rows
                ],
            }
            for section in sections
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def format_machine(machine: dict[str, Any]) -> str:
    """Return one paragraph about the machine and the versions."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"Taken on {machine['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['system']}, "
        f"{machine['python']}; {versions}. Each figure is the median of {machine['rounds']} rounds, "
        f"and the machine's load was {machine['load_before']} before."
    )


def write_page(machine: dict[str, Any], sections: Sequence[Section]) -> None:
    """Write the results into their place on the page of the docs."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    results = f"{format_machine(machine)}\n\n{format_table(sections)}"
    PAGE.write_text(f"{before}{BEGIN}\n{results}\n{END}{after}", encoding="utf-8")
