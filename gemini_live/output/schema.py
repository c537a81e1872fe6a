"""The schema of JSON lines: which events are in it, how their types are called, and their documentation.

The schema is versioned. Within one version, add classes and fields to `events.py`, but change or remove none.
"""

import ast
import inspect
import re
import textwrap
from typing import get_args

from ..conversation.outcomes import ModelSaid, QuestionComplete, UserSaid
from .events import Commanded, Detail, Event, Silenced, Stopped

VERSION = 1

NOT_IN_JSONL = (QuestionComplete, Stopped, Silenced, Detail, Commanded)
"""Only a terminal needs these."""
IN_JSONL: tuple[type[Event], ...] = tuple(cls for cls in get_args(Event) if cls not in NOT_IN_JSONL)

_NAMES = {UserSaid: "heard", ModelSaid: "words"}
"""Types whose names in the schema are older than their classes."""


def type_name(cls: type[Event]) -> str:
    """Return the `type` of an event in JSON lines: `ToolCall` is `tool_call`."""
    return _NAMES.get(cls) or re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def format_table() -> str:
    """Return the Markdown table of the types of JSON lines, from the docstrings of the classes and their fields."""
    rows = [_format_row(cls) for cls in IN_JSONL]
    return "\n".join(["| type | when | fields |", "|---|---|---|", *rows])


def _format_row(cls: type[Event]) -> str:
    fields = "<br>".join(f"`{name}`: {text}" for name, text in _field_docstrings(cls).items())
    return f"| `{type_name(cls)}` | {_join_lines(cls.__doc__ or '')} | {fields} |"


def _field_docstrings(cls: type[Event]) -> dict[str, str]:
    """Return the docstring under each field of a dataclass."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    docstrings = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            docstrings[field.target.id] = _join_lines(ast.literal_eval(below.value))
    return docstrings


def _join_lines(text: str) -> str:
    return " ".join(text.split())
