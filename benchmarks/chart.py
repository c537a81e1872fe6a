"""Draws the rows that have a ratio as bars: how many times the other contender ours costs, and the aim as a mark."""

from collections.abc import Sequence
from html import escape

from .measure import ROOT
from .results import Row, Section

TITLE = "The ratios as bars"
"""What the chart shows, for those who do not see it; the page has the same words."""
CHART = ROOT / "docs" / "pictures" / "benchmarks.svg"
_WIDTH, _LABEL_WIDTH, _LINE = 980, 510, 26
_MAX_RATIO = 3.0
"""A longer bar is cut off; its figure is written beside it."""


def draw_chart(sections: Sequence[Section]) -> str:
    """Return the chart as SVG."""
    rows = [row for section in sections for row in section.rows if row.ratios]
    height = _LINE * (len(rows) + 2)
    scale = (_WIDTH - _LABEL_WIDTH - 70) / _MAX_RATIO
    one = _LABEL_WIDTH + scale
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f"<title>{TITLE}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        '<text x="10" y="18" font-weight="bold">gemini-live, as a multiple of what it is compared with</text>',
        *(_draw_row(row, _LINE * (i + 2), scale) for i, row in enumerate(rows)),
        f'<line x1="{one:.0f}" y1="{_LINE}" x2="{one:.0f}" y2="{height}" stroke="#444" stroke-dasharray="3 3"/>',
        f'<text x="{one + 4:.0f}" y="{_LINE + 10}" font-size="11" fill="#444">1: equal</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _draw_row(row: Row, y: int, scale: float) -> str:
    """Return one bar with its label, its spread and its aim."""
    length = min(row.result, _MAX_RATIO) * scale
    color = {True: "#2e7d32", False: "#c62828", None: "#546e7a"}[row.is_met]
    low, high = (_LABEL_WIDTH + min(value, _MAX_RATIO) * scale for value in row.spread)
    middle = y + 2
    parts = [
        f'<text x="10" y="{y + 6}">{escape(row.name)} / {escape(row.beside)}</text>',
        f'<rect x="{_LABEL_WIDTH}" y="{y - 5}" width="{length:.0f}" height="14" fill="{color}"/>',
        f'<line x1="{low:.0f}" y1="{middle}" x2="{high:.0f}" y2="{middle}" stroke="black"/>',
        f'<text x="{max(length + _LABEL_WIDTH, high) + 6:.0f}" y="{y + 7}">{row.result:.2f}</text>',
    ]
    if row.at_most is not None:
        aim = _LABEL_WIDTH + row.at_most * scale
        parts.append(
            f'<line x1="{aim:.0f}" y1="{y - 8}" x2="{aim:.0f}" y2="{y + 12}" stroke="#f9a825" stroke-width="3"/>'
        )
    return "".join(parts)
