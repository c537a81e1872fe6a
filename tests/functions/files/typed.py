"""A function for each kind of parameter; each returns what it got, as Python shows it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import pathlib
import uuid
from typing import Annotated, Any, Literal, NamedTuple, Optional

import pydantic
import typing_extensions


class Color(enum.Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Label(typing_extensions.TypedDict):
    text: str
    color: typing_extensions.NotRequired[Color]


class Shape(pydantic.BaseModel):
    name: str
    points: list[Point] = []


class Node(pydantic.BaseModel):
    value: int
    children: list[Node] = []


class Pair(NamedTuple):
    left: int
    right: str


def take_string(value: str) -> str:
    return repr(value)


def take_integer(value: int) -> str:
    return repr(value)


def take_number(value: float) -> str:
    return repr(value)


def take_boolean(value: bool) -> str:
    return repr(value)


def take_enum(value: Color) -> str:
    return repr(value)


def take_integer_enum(value: Level) -> str:
    return repr(value)


def take_literal(value: Literal["a", "b"]) -> str:
    return repr(value)


def take_one_literal(value: Literal["a"]) -> str:
    return repr(value)


def take_optional(value: Optional[int]) -> str:  # noqa: UP045 - the old spelling is what is tested
    return repr(value)


def take_union(value: int | str) -> str:
    return repr(value)


def take_list(value: list[int]) -> str:
    return repr(value)


def take_set(value: set[str]) -> str:
    return repr(sorted(value))


def take_tuple(value: tuple[int, int]) -> str:
    return repr(value)


def take_mixed_tuple(value: tuple[int, str]) -> str:
    return repr(value)


def take_named_tuple(value: Pair) -> str:
    return repr(value)


def take_dict(value: dict[str, int]) -> str:
    return repr(value)


def take_dataclass(value: Point) -> str:
    return repr(value)


def take_typed_dict(value: Label) -> str:
    return repr(value)


def take_model(value: Shape) -> str:
    return repr(value)


def take_list_of_dataclasses(value: list[Point]) -> str:
    return repr(value)


def take_datetime(value: datetime.datetime) -> str:
    return repr(value)


def take_date(value: datetime.date) -> str:
    return repr(value)


def take_decimal(value: decimal.Decimal) -> str:
    return repr(value)


def take_uuid(value: uuid.UUID) -> str:
    return repr(value)


def take_path(value: pathlib.Path) -> str:
    return value.as_posix()


def take_described(value: Annotated[int, pydantic.Field(ge=0, description="how many")]) -> str:
    return repr(value)


def take_described_dataclass(value: Annotated[Point, pydantic.Field(description="where")]) -> str:
    return repr(value)


def take_anything(value: Any) -> str:
    return repr(value)


def take_recursive(value: Node) -> str:
    return repr(value)


def take_nothing() -> str:
    return "nothing"
