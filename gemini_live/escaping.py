"""Makes visible what a terminal would obey in text from outside: control characters, overrides of the direction.

All rules for output to people and programs are here, the client's and the simulator's. Pure.
"""

import re

FOLD_CHARS = 400
"""Longer lines of tool calls, results and code are cut, and say so."""
MIN_SECRET_CHARS = 12
"""A shorter secret is not a key, and may be a part of ordinary words, so it is not masked."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e\ud800-\udfff]")
"""Controls except tab and newline, the separators of lines and paragraphs, overrides, halves of surrogate pairs."""
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Embeddings, overrides and isolates (https://www.unicode.org/reports/tr9/). They make a link or an argument look like
another one. Words of people need embeddings and isolates, and the marks and joiners of many scripts."""
_HARMFUL_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What `json.dumps` leaves as it is: DEL, C1 controls, separators, what reorders, halves of surrogate pairs."""


def escape(text: str) -> str:
    """Return words with everything visible that a terminal would obey, except tabs and newlines."""
    return _UNPRINTABLE.sub(_show, text)


def one_line(text: str, *, fold: bool = True) -> str:
    """Return a fact as one line whose characters stand in their order; `fold`: cut it to `FOLD_CHARS`."""
    if fold and len(text) > FOLD_CHARS:  # the rest, which may be long, need not be looked at
        return f"{one_line(text[:FOLD_CHARS], fold=False)[:FOLD_CHARS]}... ({len(text):,} characters)"
    line = _REORDERING.sub(_show, escape(text)).replace("\n", "\\n")
    return line if not fold or len(line) <= FOLD_CHARS else f"{line[:FOLD_CHARS]}... ({len(line):,} characters)"


def escape_json(line: str) -> str:
    """Return a line of JSON that means the same and is harmless on a terminal."""
    return _HARMFUL_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def _show(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
