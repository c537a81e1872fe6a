"""Joins the fragments of a transcript to text, and finds the ends of words and sentences in it. Pure.

The service sends fragments with a space before them, after them, or none, and inside scripts that use no spaces.
"""

import re

# Scripts that put no spaces between words, with their punctuation; Korean does, and is not among them.
_CJK = r"[\u3000-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
_STRAY_SPACE = re.compile(rf"(?<={_CJK})[ \t]+(?={_CJK})")
_SENTENCE_END = re.compile(rf"(?!{_CJK})[^\W\d_A-Z][.!?]+['\")\]\u2019\u201d]*\Z")
_FULL_STOP = re.compile("[.!?\u2026\u3002\uff01\uff1f\u061f\u0964]['\")\\]\u2019\u201d]*\\Z")
_SENTENCE_START = re.compile(rf"['\"(\[\u2018\u201c]*(?!{_CJK})[^\W\d_a-z]")
_WORD = re.compile(rf"{_CJK}|(?:(?!{_CJK})\S)+")
_LAST_WORD_CHARS = 12
"""How far back the end of a sentence is searched."""


def stitch(text: str, fragment: str) -> str:
    """Return `text` with its next fragment appended, with at most one space between them."""
    if not text:
        return _STRAY_SPACE.sub("", fragment.lstrip())
    seam = max(0, len(text.rstrip(" \t")) - 1)
    if text[-1] in " \t" and text[seam] != "\n":  # else it is an indentation
        fragment = fragment.lstrip(" \t")
    elif _SENTENCE_END.search(text[-_LAST_WORD_CHARS:]) and _SENTENCE_START.match(fragment):
        fragment = f" {fragment}"
    return text[:seam] + _STRAY_SPACE.sub("", text[seam:] + fragment)


def begins_sentence(text: str, fragment: str) -> bool:
    """True if `fragment` begins another sentence or line than the one that `text` ends with."""
    return fragment.startswith("\n") or bool(_FULL_STOP.search(text[-_LAST_WORD_CHARS:].rstrip()))


def find_word_end(text: str, n: int) -> int:
    """Return the number of characters up to the end of the word that holds the `n`-th; 0 if `n` is 0."""
    ends = (0, *(match.end() for match in _WORD.finditer(text)))
    return next((end for end in ends if end >= n), len(text))
