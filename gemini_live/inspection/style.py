"""Lay out text for a terminal: colours, columns and lines that fit. Pure."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_RESET = "\x1b[0m"
_STYLES = {
    "you": "\x1b[36m",
    "model": "\x1b[1;32m",
    "label": "\x1b[35m",
    "warning": "\x1b[33m",
    "error": "\x1b[1;31m",
    "dim": "\x1b[2m",
    "bold": "\x1b[1m",
}


@dataclass(frozen=True)
class TextLayout:
    """How text is laid out on stdout: its width and its colours."""

    width: int | None = None
    """Columns of the terminal; None: a pipe or a file, whose lines may have any length."""
    has_colors: bool = False

    def paint(self, style: str, text: str) -> str:
        """Return text in a style, where there are colours."""
        return f"{_STYLES[style]}{text}{_RESET}" if self.has_colors and text else text


def columns_of(text: str) -> int:
    """Return how many columns text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Me", "Mn"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def wrap(text: str, width: int) -> Iterator[str]:
    """Yield the lines of text, none wider than `width` columns; lines break at spaces if they can."""
    for paragraph in text.split("\n"):
        line, used = "", 0
        for word in paragraph.split(" "):
            needed = columns_of(word)
            if line and used + 1 + needed > width:
                yield line
                line, used = "", 0
            elif line or used:
                line, used = f"{line} ", used + 1
            for piece in _cut(word, width) if needed > width else (word,):
                if used + columns_of(piece) > width and line:
                    yield line
                    line, used = "", 0
                line, used = line + piece, used + columns_of(piece)
        yield line


def _cut(word: str, width: int) -> Iterator[str]:
    piece, used = "", 0
    for character in word:
        if used + _columns(character) > width:
            yield piece
            piece, used = "", 0
        piece, used = piece + character, used + _columns(character)
    yield piece


def fold(text: str, width: int) -> str:
    """Return text in one line of at most `width` columns, ended by an ellipsis if it was cut."""
    if columns_of(text) <= width:
        return text
    kept, used = "", 0
    for character in text:
        if used + _columns(character) > width - 1:
            break
        kept, used = kept + character, used + _columns(character)
    return f"{kept}…"


def format_table(rows: Sequence[Sequence[str]], *, left: Sequence[int] = ()) -> list[str]:
    """Return rows as lines with columns, aligned to the right except for those in `left`; the first row is the head."""
    widths = [max(columns_of(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for i, cell in enumerate(row):
            space = " " * (widths[i] - columns_of(cell))
            cells.append(cell + space if i in left else space + cell)
        lines.append("  ".join(cells).rstrip())
    return lines
