"""Finds the line on which a key of a script stands; tomllib does not tell. Pure."""

import itertools
import re

_STRINGS = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'" r"|#[^\n]*", re.DOTALL
)
_EQUALS = re.compile(r"[ \t]*=")
_RULE = re.compile(r"^[ \t]*\[\[[ \t]*rule[ \t]*\]\]", re.MULTILINE)
_DO = re.compile(r"(?:^|[\s,{])do[ \t]*=[ \t]*\[")
_OPENING, _CLOSING = "[{", "]}"


class ScriptLines:
    """The text of one script; `find` looks keys up in it."""

    def __init__(self, text: str) -> None:
        # Strings and comments hide nothing: their inside becomes blanks, and every position stays.
        self._text = _STRINGS.sub(_blank, text.replace("\r", " "))
        starts = [match.start() for match in _RULE.finditer(self._text)]
        self._rules = list(itertools.pairwise([*starts, len(self._text)]))

    def find(self, key: str, rule: int = -1, action: int = -1) -> int:
        """Return the line of a key, counted from 1; the line of what it should be in if the key is not found.

        Args:
            key: The key; empty: what it would be in.
            rule: The index of the rule that has it; -1: none.
            action: The index of the action in the rule's `do`; -1: none.
        """
        start, end = self._rules[rule] if 0 <= rule < len(self._rules) else (0, len(self._text))
        if action >= 0:
            start, end = self._find_action(start, end, action)
        found = re.compile(rf"(?:^|[\s,{{\[.\"']){re.escape(key)}[\"']?[ \t]*[=\].]").search(self._text, start, end)
        position = found.start() + (found[0][:1] == "\n") if found and key else start
        return self._text.count("\n", 0, position) + 1

    def _find_action(self, start: int, end: int, action: int) -> tuple[int, int]:
        """Return where an action of a rule begins and ends."""
        do = _DO.search(self._text, start, end)
        if do is None:
            return start, end
        depth, n, began = 0, -1, start
        for position in range(do.end(), end):
            letter = self._text[position]
            if letter in _OPENING:
                n += depth == 0
                began = position if depth == 0 else began
                depth += 1
            elif letter in _CLOSING:
                depth -= 1
                if depth == 0 and n == action:
                    return began, position + 1
                if depth < 0:
                    break
        return start, end


def _blank(match: re.Match[str]) -> str:
    """Return a string's quotation marks with blanks between them, or blanks for a comment; a key stays as it is."""
    piece = match[0]
    if _EQUALS.match(match.string, match.end()):
        return piece
    inside = "".join(letter if letter == "\n" else " " for letter in piece)
    return inside if piece.startswith("#") else f"{piece[0]}{inside[1:-1]}{piece[-1]}"
