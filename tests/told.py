"""What a writer is told, as tests compare it: the type of an event and the values of its fields."""

import dataclasses
from typing import Any

from gemini_live.output.events import Event, SessionStarted, Summary, Usage
from gemini_live.output.schema import type_name


def describe(event: Event) -> tuple[Any, ...]:
    """Return the type and the values of an event, but not its exchange, if it has other values too."""
    kind = type_name(type(event))
    if isinstance(event, SessionStarted | Summary | Usage):
        return kind, event
    values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    if len(values) > 1:
        values.pop("exchange", None)
    return kind, *values.values()
