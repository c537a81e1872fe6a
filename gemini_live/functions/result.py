"""The result of a call, and a function that runs elsewhere. Pure."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any

from ..frozen import Frozen
from .pictures import Picture
from .tool import ToolOptions


class CallResult(Frozen, kw_only=True):
    """The result of one call."""

    response: dict[str, Any]
    """The response for the model: JSON by construction."""
    failed: bool = False
    """True if `response` is an error."""
    traceback: str | None = None
    """Traceback of the exception that the function raised; several lines."""
    note: str | None = None
    """One line for the user about this call."""
    pictures: tuple[Picture, ...] = ()
    """The pictures that `response` names by number, from 1 on."""
    continues: bool | None = None
    """True if the function goes on, and more results of this call follow; False after the last of them."""
    is_spoken_of: bool = False
    """True if the model is still to speak of what was reported before this result."""
    scheduling: str | None = None
    """One of `SCHEDULINGS` if the function asked for it; the service uses it for NON_BLOCKING functions only."""


class RemoteFunction(Frozen, kw_only=True):
    """A function that runs elsewhere: a tool of an MCP server."""

    name: str
    """Its name for the model."""
    source: str
    """Where it is from, for people."""
    declaration: dict[str, Any]
    """The function's entry in `functionDeclarations`."""
    perform: Callable[[Mapping[str, Any]], Awaitable[CallResult]]
    """Runs one call; cancelling it cancels the call."""
    options: ToolOptions = field(default_factory=ToolOptions)
