"""Functions that end in every way."""

import asyncio
import contextvars
import datetime
import enum
import functools
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pydantic

from tests.functions.files import gates


class Mood(enum.StrEnum):
    GOOD = "good"


@dataclass
class Reading:
    when: datetime.date
    mood: Mood


class Model(pydantic.BaseModel):
    reading: Reading
    delay: datetime.timedelta = datetime.timedelta(seconds=90)


class Awkward(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


class Unusual(BaseException):
    pass


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def _circle() -> list[Any]:
    value: list[Any] = []
    value.append({"again": value})
    return value


RESULTS: dict[str, Any] = {
    "dict": {"a": 1, "b": [None, True, 1.5, "x"]},
    "empty dict": {},
    "none": None,
    "string": "x",
    "list": [1, 2],
    "tuple": (1, 2),
    "enum": Mood.GOOD,
    "enum key": {Mood.GOOD: 1},
    "date": datetime.date(2026, 11, 22),
    "dataclass": Reading(datetime.date(2026, 11, 22), Mood.GOOD),
    "model": Model(reading=Reading(datetime.date(2026, 11, 22), Mood.GOOD)),
    "model inside": {"models": [Model(reading=Reading(datetime.date(2026, 11, 22), Mood.GOOD))]},
    "deep": _nested(64),
    "set": {"a": [{1, 2}]},
    "nan": {"a": [1.0, float("nan")]},
    "infinity": float("-inf"),
    "nan inside": Reading(datetime.date(2026, 11, 22), float("nan")),  # type: ignore[arg-type]
    "integer key": {1: "a"},
    "tuple key": {"a": {("x" * 80, 2): "a"}},
    "circle": _circle(),
    "too deep": _nested(65),
    "object": {"it": threading.Lock()},
    "generator": (n for n in range(3)),
    "half a character": ["\ud800"],
    "half a character in a key": {"\ud800": 1},
    "large number": 10**400,
}

ERRORS: dict[str, Callable[[], BaseException]] = {
    "value": lambda: ValueError("no such city"),
    "lines": lambda: ValueError("one\n  two\r\n\tthree"),
    "long": lambda: ValueError("x" * 10_000),
    "no message": ValueError,
    "awkward": Awkward,
    "half a character": lambda: ValueError("\udcff"),
    "unusual": lambda: Unusual("raised"),
    "exit": lambda: SystemExit("bye"),
    "interrupt": lambda: KeyboardInterrupt("from a thread"),
    "stop iteration": lambda: StopIteration(3),
    "generator exit": GeneratorExit,
    "cancelled": asyncio.CancelledError,
    "group": lambda: ExceptionGroup("several", [ValueError("a"), TypeError("b")]),
    "timeout": lambda: TimeoutError("the oven"),
}


def give(key: str) -> Any:
    return RESULTS[key]


async def give_later(key: str) -> Any:
    await asyncio.sleep(0)
    return RESULTS[key]


def fail(key: str) -> None:
    raise ERRORS[key]()


async def fail_later(key: str) -> None:
    await asyncio.sleep(0)
    raise ERRORS[key]()


def leave() -> None:
    sys.exit(3)


def schedule(how: str) -> dict[str, Any]:
    return {"output": "x", "scheduling": how}


def schedule_oddly() -> dict[str, Any]:
    return {"scheduling": {"how": "SILENT"}}


def show_thread() -> dict[str, Any]:
    thread = threading.current_thread()
    return {"name": thread.name, "daemon": thread.daemon, "caller": gates.caller.get()}


async def show_loop_thread() -> dict[str, Any]:
    return {"main": threading.current_thread() is threading.main_thread(), "caller": gates.caller.get()}


def change_caller() -> str:
    gates.caller.set("changed")
    return gates.caller.get()


def block() -> str:
    """Wait until the test lets it go."""
    gates.entered.set()
    gates.released.wait()
    gates.left.set()
    return "late"


def block_then_return_coroutine() -> Awaitable[str]:
    """Wait until the test lets it go, and leave something to be awaited."""
    gates.entered.set()
    gates.released.wait()
    return _say("late")


async def _say(text: str) -> str:
    gates.log.append(text)
    return text


async def wait() -> str:
    """Wait for ever, and clean up."""
    gates.entered.set()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        gates.left.set()
    return "never"


async def insist() -> str:
    """Do not take a cancellation for an answer."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        gates.left.set()
    return "stubborn"


async def insist_and_fail() -> str:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as exc:
        gates.left.set()
        raise ValueError("stubborn") from exc
    return "never"


def _awaited(function: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Awaitable[str]:
        gates.log.append(threading.current_thread().name)
        return function(*args, **kwargs)

    return wrapper


@_awaited
async def decorated() -> str:
    return threading.current_thread().name


@_awaited
async def decorated_wait() -> str:
    gates.entered.set()
    await asyncio.Event().wait()
    return "never"


@_awaited
async def decorated_fail() -> str:
    raise ValueError("after all")


@contextmanager
def managed() -> Iterator[int]:
    yield 1


@asynccontextmanager
async def managed_later() -> AsyncIterator[int]:
    yield 1


def meet(names: list[str]) -> int:
    """Wait for the other calls of this function."""
    gates.log.extend(names)
    while len(gates.log) < 3:
        time.sleep(0.001)
    return len(names)


def copy_context() -> int:
    return len(contextvars.copy_context())


def validated(value: "Positive") -> int:
    return value.number


class Positive(pydantic.BaseModel):
    number: int

    @pydantic.model_validator(mode="after")
    def check(self) -> "Positive":
        if self.number == 13:
            raise KeyError("unlucky")
        if self.number < 0:
            raise ValueError("negative")
        return self
