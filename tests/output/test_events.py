"""The list of all events, and the documentation that is made from it."""

import dataclasses
import re
from typing import get_args

import pytest

from gemini_live.conversation.outcomes import ModelSaid, UserSaid
from gemini_live.output import events
from gemini_live.output.events import Event
from gemini_live.output.schema import IN_JSONL, NOT_IN_JSONL, format_table, type_name

from .samples import sample_events


def test_the_samples_have_every_event() -> None:
    assert {type(event) for event in sample_events("text")} == set(get_args(Event))


@pytest.mark.parametrize("cls", get_args(Event))
def test_an_event_cannot_be_changed_and_says_when_it_comes(cls: type[Event]) -> None:
    assert getattr(cls, "__dataclass_params__").frozen  # noqa: B009 - mypy does not know it
    assert (cls.__doc__ or "").rstrip().endswith(".")
    assert not (cls.__doc__ or "").startswith(f"{cls.__name__}(")


def test_an_event_is_in_the_schema_or_named_as_one_that_is_not() -> None:
    assert {*IN_JSONL, *NOT_IN_JSONL} == set(get_args(Event))
    assert not set(IN_JSONL) & set(NOT_IN_JSONL)


@pytest.mark.parametrize(
    ("cls", "name"),
    [(events.ToolCall, "tool_call"), (events.Asked, "asked"), (UserSaid, "heard"), (ModelSaid, "words")],
)
def test_a_type_has_the_name_of_its_class_unless_it_had_another_before(cls: type[Event], name: str) -> None:
    assert type_name(cls) == name


@pytest.mark.parametrize("cls", IN_JSONL, ids=type_name)
def test_the_table_has_a_row_for_each_type_with_every_field_documented(cls: type[Event]) -> None:
    rows = [row for row in format_table().splitlines() if row.startswith(f"| `{type_name(cls)}` |")]
    assert len(rows) == 1
    names = [field.name for field in dataclasses.fields(cls)]
    assert re.findall(r"(?:\| |<br>)`(\w+)`: (?=[A-Z`])", rows[0]) == names
    assert rows[0].count(" | ") == 2
