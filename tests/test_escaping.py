"""What is made visible in text from outside, and what is left alone."""

import json

import pytest

from gemini_live.escaping import FOLD_CHARS, escape, escape_json, one_line

from .output.samples import NASTY, is_harmless

REORDERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("plain, ümlaut, 日本, 🎈", "plain, ümlaut, 日本, 🎈"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x00\x07\x08\x0b\x0c\x1f", "\\x00\\x07\\x08\\x0b\\x0c\\x1f"),
        ("\r\n", "\\r\n"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x7f\x80\x9b\x9f", "\\x7f\\x80\\x9b\\x9f"),
        ("\xa0 no control", "\xa0 no control"),
        ("half \ud83d and \udc00", "half \\ud83d and \\udc00"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        (REORDERING, "\u202a\u202b\u202c\\u202d\\u202e\u2066\u2067\u2068\u2069"),
    ],
)
def test_words_show_what_a_terminal_would_obey_and_nothing_else(text: str, visible: str) -> None:
    assert escape(text) == visible


def test_a_fact_is_one_line_whose_characters_stand_in_their_order() -> None:
    assert one_line("a\nb\r\nc\td") == "a\\nb\\r\\nc\td"
    assert one_line(f"a{REORDERING}b") == "a\\u202a\\u202b\\u202c\\u202d\\u202e\\u2066\\u2067\\u2068\\u2069b"


@pytest.mark.parametrize(
    "text",
    ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f469\u200d\U0001f52c", "\u200e\u200f", "a\u200bb"],
)
def test_what_writing_and_emoji_are_made_of_is_left_alone(text: str) -> None:
    assert one_line(text) == escape(text) == text


def test_a_long_fact_is_cut_and_says_so() -> None:
    assert one_line("x" * FOLD_CHARS) == "x" * FOLD_CHARS
    assert one_line("x" * 12_345) == "x" * FOLD_CHARS + "... (12,345 characters)"
    assert one_line("x" * 12_345, fold=False) == "x" * 12_345


def test_json_means_the_same_and_is_harmless() -> None:
    line = escape_json(json.dumps(NASTY + REORDERING, ensure_ascii=False))
    assert is_harmless(line)
    assert json.loads(line) == NASTY + REORDERING
