"""Parameters that may be left out."""

import enum
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: int = 0


_UNSET: Any = object()


def paint(
    thing: str,
    anything: Any,
    *,
    color: Color = Color.RED,
    at: Point = Point(1),  # noqa: B008 - that it can be declared is what is tested
    tags: set[str] = None,  # type: ignore[assignment]  # noqa: RUF013 - many people write it so
    weight: float | None = None,
    scale: float = float("nan"),
    size: int = _UNSET,
    factor: Annotated[int, Field(default=3)],
) -> str:
    """Paint a thing.

    Args:
        thing: what to paint
    """
    shown = "unset" if size is _UNSET else size
    return f"{thing} {anything} {color} {at} {tags} {weight} {scale} {shown} {factor}"
