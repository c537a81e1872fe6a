"""What counts as a function of the file, and what does not."""

import contextlib
import functools
import json
import math
from collections.abc import Callable
from json import dumps  # noqa: F401 - nor an imported function
from typing import ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")


def _logged(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


def plain(city: str) -> str:
    """Return the city."""
    return city


async def asynchronous(city: str) -> str:
    return city


@_logged
def wrapped(city: str) -> str:
    """Return the city, wrapped."""
    return city


@functools.cache
def cached(city: str) -> str:
    return city


@functools.lru_cache(maxsize=2)
@_logged
def twice_wrapped(city: str) -> str:
    return city


@overload
def overloaded(value: int) -> int: ...
@overload
def overloaded(value: str) -> str: ...
def overloaded(value: int | str) -> int | str:
    return value


if math.pi > 3:

    def conditional() -> str:
        return "modern"

else:

    def conditional() -> str:
        return "ancient"


with contextlib.suppress(ImportError):

    def guarded() -> str:
        return "guarded"


def deleted() -> None: ...


del deleted


class PublicClass:
    def method(self) -> None: ...


class Callable_:
    def __call__(self) -> None: ...


def _private() -> None: ...


assigned_lambda = lambda: None  # noqa: E731 - that it is not offered is what is tested
partial = functools.partial(plain, "Oslo")
alias = plain
instance = Callable_()
bound = json.JSONDecoder().decode
