"""The words of the overlay and of `/help`."""

import re

import pytest

from gemini_live.output.help import COMMAND_MARK, COMMANDS, KEYS, format_help


def test_every_key_and_command_is_told_with_what_it_does_in_the_order_of_the_tables() -> None:
    lines = [re.split(r" {2,}", line, maxsplit=1) for line in format_help().split("\n")]
    assert lines == [list(item) for item in (*KEYS.items(), *COMMANDS.items())]


def test_what_they_do_stands_in_one_column() -> None:
    meanings = (*KEYS.values(), *COMMANDS.values())
    columns = {line.index(meaning) for line, meaning in zip(format_help().split("\n"), meanings, strict=True)}
    assert columns == {2 + max(map(len, (*KEYS, *COMMANDS)))}


def test_every_line_is_as_wide_in_every_font() -> None:
    for line in format_help().split("\n"):
        assert line.isascii()
        assert line.isprintable()


@pytest.mark.parametrize("usage", COMMANDS)
def test_a_command_begins_with_the_mark(usage: str) -> None:
    assert usage.startswith(COMMAND_MARK)


def test_no_key_looks_like_a_command() -> None:
    assert not any(key.startswith(COMMAND_MARK) for key in KEYS)


def test_every_command_has_a_name_of_its_own() -> None:
    names = [usage.split(" ")[0] for usage in COMMANDS]
    assert len(set(names)) == len(names)


def test_a_line_can_be_asked_that_begins_with_the_mark() -> None:
    assert COMMAND_MARK * 2 in COMMANDS
