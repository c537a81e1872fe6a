"""Makes up a text that a regular expression matches. Pure.

It walks the expression as Python's own `re` parses it. Only small texts are tried against the expression: an evil one
can take for ever to fail on a long text.
"""

import re
import re._constants as op  # type: ignore[import-not-found] # the only parser of expressions in the standard library
import re._parser as parser  # type: ignore[import-not-found]
import warnings
from collections.abc import Iterable
from typing import Any

_MAX_LENGTH = 1_000
_MAX_CHECKED_LENGTH = 20
_MAX_PATTERN = 1_000
_CANDIDATES = "a1A-_ .:/@+,;!#" + "".join(map(chr, range(33, 127))) + "é"
_MORE = (0, 1, 3)
"""How often more than needed a repeated piece is repeated, one try after the other."""


def example_of_pattern(pattern: str) -> str | None:
    """Return a text in which `pattern` is found; None if none is found quickly."""
    if len(pattern) > _MAX_PATTERN:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an expression that may mean something else in another version
            parsed, compiled = parser.parse(pattern), re.compile(pattern)
        texts = [_Writer(more).write(parsed) for more in _MORE]
    except (re.error, RecursionError, OverflowError, ValueError):
        return None
    return next((text for text in texts if len(text) > _MAX_CHECKED_LENGTH or compiled.search(text)), None)


class _Writer:
    """Writes one text."""

    def __init__(self, more: int) -> None:
        self._more = more
        self._groups: dict[int, str] = {}
        self._length = 0

    def write(self, items: Iterable[tuple[Any, Any]]) -> str:
        """Return a text for a sequence of pieces of the expression.

        Raises:
            ValueError: It cannot be matched, or only by a very long text.
        """
        text = "".join(self._write_one(code, argument) for code, argument in items)
        self._length += len(text)
        if self._length > _MAX_LENGTH:
            raise ValueError
        return text

    def _write_one(self, code: Any, argument: Any) -> str:  # noqa: PLR0911 - one line for each kind of piece
        if code is op.LITERAL:
            return chr(argument)
        if code is op.NOT_LITERAL:
            return _choose([(op.NEGATE, None), (op.LITERAL, argument)])
        if code is op.ANY:
            return "a"
        if code is op.IN:
            return _choose(argument)
        if code is op.BRANCH:
            return self.write(argument[1][0])
        if code is op.SUBPATTERN:
            number, *_, inside = argument
            self._groups[number] = self.write(inside)
            return self._groups[number]
        if code is op.ATOMIC_GROUP:
            return self.write(argument)
        if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            least, most, inside = argument
            return "".join(self.write(inside) for _ in range(min(least + self._more, most, _MAX_LENGTH)))
        if code is op.GROUPREF:
            return self._groups.get(int(argument), "")
        if code is op.GROUPREF_EXISTS:
            number, yes, no = argument
            return self.write(yes if number in self._groups else no or ())
        if code is op.FAILURE:
            raise ValueError
        return ""  # positions and assertions have no length; the check at the end says whether they hold


def _choose(items: list[tuple[Any, Any]]) -> str:
    """Return a character of a set."""
    negated: bool = items[0][0] is op.NEGATE
    letters = [chr(argument) for code, argument in items if code is op.LITERAL]
    letters += [chr(argument[0]) for code, argument in items if code is op.RANGE]
    letter: str
    for letter in (*_CANDIDATES, *letters):
        if any(_holds(letter, code, argument) for code, argument in items) != negated:
            return letter
    raise ValueError


def _holds(letter: str, code: Any, argument: Any) -> bool:
    if code is op.LITERAL:
        return bool(ord(letter) == argument)
    if code is op.RANGE:
        return bool(argument[0] <= ord(letter) <= argument[1])
    if code is not op.CATEGORY:
        return False
    tests = {
        op.CATEGORY_DIGIT: letter.isdigit(),
        op.CATEGORY_SPACE: letter.isspace(),
        op.CATEGORY_WORD: letter.isalnum() or letter == "_",
        op.CATEGORY_NOT_DIGIT: not letter.isdigit(),
        op.CATEGORY_NOT_SPACE: not letter.isspace(),
        op.CATEGORY_NOT_WORD: not (letter.isalnum() or letter == "_"),
    }
    return tests.get(argument, False)
