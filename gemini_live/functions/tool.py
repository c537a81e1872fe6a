"""`@tool`: what a function wants to be declared and run like. A plain function needs none of it.

Imported by the user's files, so it imports nothing slow.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar, overload

from ..frozen import Frozen
from ..models import Behavior

SCHEDULINGS = ("SILENT", "WHEN_IDLE", "INTERRUPT")
"""When a model that did not wait reacts to a result."""

_ATTRIBUTE = "__gemini_live_tool__"

_F = TypeVar("_F", bound=Callable[..., Any])


class ToolOptions(Frozen, kw_only=True):
    """What `@tool` says about one function."""

    behavior: Behavior | None = None
    """Whether the model waits for the result; None: it does, on models that can."""
    scheduling: str | None = None
    """One of `SCHEDULINGS`, for results that name none; None: the model decides."""
    confirm: bool = False
    """True to ask the user before each call."""
    name: str | None = None
    """The name for the model; None: that of the function."""
    timeout_s: float | None = None
    """How long a call may take; None: as `--function-timeout` says."""


@overload
def tool(function: _F, /) -> _F: ...
@overload
def tool(
    *,
    behavior: str | None = None,
    scheduling: str | None = None,
    confirm: bool = False,
    name: str | None = None,
    timeout_s: float | None = None,
) -> Callable[[_F], _F]: ...
def tool(function: Any = None, /, **options: Any) -> Any:
    """Say how a function is declared to the model and run: `@tool(confirm=True)`.

    Args:
        function: The function, where the decorator is used without parentheses.
        options: See `ToolOptions`. `behavior` is `BLOCKING` or `NON_BLOCKING`, `scheduling` is `SILENT`, `WHEN_IDLE` or
            `INTERRUPT`.

    Raises:
        TypeError: There is no such option, or its value is of the wrong type.
        ValueError: An option has a value that it cannot have.
    """
    read = _read_options(options)

    def mark(target: Any) -> Any:
        setattr(target, _ATTRIBUTE, read)
        return target

    return mark if function is None else mark(function)


def options_of(target: Any) -> ToolOptions:
    """Return what `@tool` said about a function."""
    options = getattr(target, _ATTRIBUTE, None)
    return options if isinstance(options, ToolOptions) else ToolOptions()


def _read_options(options: dict[str, Any]) -> ToolOptions:
    known = [each.name for each in fields(ToolOptions)]
    if unknown := [name for name in options if name not in known]:
        raise TypeError(f"tool: there is no option {unknown[0]}; the options are {', '.join(known)}")
    behavior, scheduling = options.get("behavior"), options.get("scheduling")
    if behavior is not None and behavior not in list(Behavior):
        raise ValueError(f"tool: behavior is BLOCKING or NON_BLOCKING, not {behavior!r}")
    if scheduling is not None and scheduling not in SCHEDULINGS:
        raise ValueError(f"tool: scheduling is {', '.join(SCHEDULINGS[:-1])} or {SCHEDULINGS[-1]}, not {scheduling!r}")
    if scheduling is not None and behavior != Behavior.NON_BLOCKING:
        raise ValueError("tool: scheduling needs behavior='NON_BLOCKING': a model that waits reacts at once")
    if type(options.get("confirm", False)) is not bool:
        raise TypeError(f"tool: confirm is True or False, not {options['confirm']!r}")
    if not isinstance(options.get("name", ""), str | None):
        raise TypeError(f"tool: name is a string, not {options['name']!r}")
    timeout_s = options.get("timeout_s")
    if timeout_s is not None and (type(timeout_s) not in (int, float) or not 0 < timeout_s < float("inf")):
        raise ValueError(f"tool: timeout_s is a number of seconds above 0, not {timeout_s!r}")
    return ToolOptions(**{**options, "behavior": None if behavior is None else Behavior(behavior)})
