"""Dataclasses that are built when the first instance is made."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, asdict, field, fields, is_dataclass, replace

import pytest

from gemini_live.frozen import Frozen


class Point(Frozen):
    """What most tests are about."""

    x: int
    y: int = 2


def test_it_is_what_the_decorator_makes() -> None:
    point = Point(1)
    assert repr(point) == "Point(x=1, y=2)"
    assert point == Point(1, y=2)
    assert hash(point) == hash(Point(1))
    assert asdict(replace(point, y=3)) == {"x": 1, "y": 3}
    match point:
        case Point(x, 2):
            assert x == 1


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Point(1).x = 2  # type: ignore[misc]


def test_it_is_a_dataclass_before_there_is_an_instance() -> None:
    class Unused(Frozen):
        a: int

    assert is_dataclass(Unused)
    assert [each.name for each in fields(Unused)] == ["a"]


def test_its_arguments_can_be_by_name_only() -> None:
    class Named(Frozen, kw_only=True):
        a: int = 1
        b: list[int] = field(default_factory=list)

    with pytest.raises(TypeError, match="positional"):
        Named(1)  # type: ignore[call-arg]
    assert Named(b=[2]).b == [2]
    assert Named().b is not Named().b


def test_a_missing_argument_is_told_as_ever() -> None:
    class Strict(Frozen):
        a: int

    for _ in range(2):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
            Strict()  # type: ignore[call-arg]


def test_a_class_without_fields_equals_itself() -> None:
    class Empty(Frozen):
        pass

    assert Empty() == Empty()


def test_threads_may_make_the_first_instances_at_once() -> None:
    n_threads = 8
    for _ in range(20):

        class Shared(Frozen):
            a: int

        def make(together: threading.Barrier, kind: type[Shared] = Shared) -> Shared:
            together.wait()
            return kind(1)

        with ThreadPoolExecutor(n_threads) as pool:
            made = list(pool.map(make, [threading.Barrier(n_threads)] * n_threads))
        assert made == [Shared(1)] * n_threads


def test_it_cannot_have_a_subclass() -> None:
    with pytest.raises(TypeError, match="cannot extend"):

        class Sub(Point):
            pass
