"""Find the descriptions of parameters in a docstring: in Google's, NumPy's or reStructuredText's style. Pure."""

import inspect
import re
from collections.abc import Collection
from itertools import pairwise

_HEADING = re.compile(r"(Args|Arguments|Parameters|Params):?")
_GOOGLE = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*)|$)")
_NUMPY = re.compile(r"\*{0,2}(\w+)\s*(?::.*)?()")
_REST = re.compile(r":param(?:eter)?\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")


def read_parameter_docs(doc: str, names: Collection[str]) -> dict[str, str]:
    """Return what a docstring says about each of the parameters `names`, in one line each.

    An entry begins with a parameter's name and goes on in the lines that are indented deeper.
    """
    found: dict[str, list[str]] = {}
    entry, entry_depth = "", 0
    section: re.Pattern[str] | None = None
    """How an entry of the present section begins; None outside a section about parameters."""
    section_depth = 0
    for line, following in pairwise([*inspect.cleandoc(doc).splitlines(), ""]):
        text, depth = line.strip(), len(line) - len(line.lstrip())
        is_underlined = bool(following.strip()) and not following.strip().strip("-")
        if not text or not text.strip("-"):
            continue
        if entry and depth > entry_depth:
            found[entry].append(text)
            continue
        entry = ""
        if is_underlined or (text.endswith(":") and depth <= section_depth) or _HEADING.fullmatch(text):
            is_heading = _HEADING.fullmatch(text) is not None
            section, section_depth = (_NUMPY if is_underlined else _GOOGLE) if is_heading else None, depth
            continue
        match = _REST.fullmatch(text) or (section is not None and section.fullmatch(text)) or None
        if match is not None and match[1] in names:
            entry, entry_depth = match[1], depth
            found[entry] = [match[2] or ""]
    return {name: " ".join(filter(None, texts)) for name, texts in found.items() if any(texts)}
