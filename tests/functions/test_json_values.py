"""What a function's result becomes in JSON."""

import collections
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from typing import Any

import numpy as np
import pytest

from gemini_live.functions.json_values import UnfitError, to_json

DAY = datetime.date(2026, 1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Color(enum.Enum):
    RED = "red"


NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            [{"n": decimal.Decimal("12.50"), "at": NOON, "day": DAY}],
            [{"n": "12.50", "at": "2026-01-02T12:00:00Z", "day": "2026-01-02"}],
        ),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.Path("a"), "a"),
        ({False: "one", 2.5: "two", None: 3, 7: 4}, {"false": "one", "7": 4, "2.5": "two", "null": 3}),
        ({"by_length": {3: {4: 5}}}, {"by_length": {"3": {"4": 5}}}),
        ({np.int64(3): 1, np.bool_(False): 2}, {"3": 1, "false": 2}),
        ({Level.LOW: 1, Color.RED: 2}, {"1": 1, "red": 2}),
        (b"text", "text"),
        ({"a": [bytearray(b"\xff\x00")]}, {"a": ["/wA="]}),
        (memoryview(b"text"), "text"),
        ({DAY: 1}, {"2026-01-02": 1}),
        ({"a"}, ["a"]),
        (frozenset({1}), [1]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        ({"a": 1}.items(), [["a", 1]]),
        (collections.deque([1, 2]), [1, 2]),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (range(3), [0, 1, 2]),
        ({"mean": float("nan"), "max": float("inf")}, {"mean": None, "max": None}),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, np.nan]), [1.0, None]),
    ],
)
def test_a_value_becomes_json(value: Any, expected: Any) -> None:
    converted = to_json(value, "the result")
    assert converted == expected
    assert json.loads(json.dumps(converted, allow_nan=False)) == expected


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ((i for i in range(3)), "the result is of type generator: return a list"),
        ({"1": 1, 1: 2}, "the result has two keys that JSON writes as '1'"),
        ({object(): 1}, "the result has a key of type object (PydanticSerializationError: Unable to serialize"),
        ([object()], "the result[0] is of type object (PydanticSerializationError: Unable to serialize"),
    ],
)
def test_a_value_that_json_cannot_hold_is_refused_with_its_place(value: Any, error: str) -> None:
    with pytest.raises(UnfitError) as caught:
        to_json(value, "the result")
    assert str(caught.value).startswith(error)


class _Values:
    """A value of pandas, as far as this package looks at it."""

    def __init__(self, index: str, **methods: Any) -> None:
        self.index = type(index, (), {})()
        self.__dict__.update({name: (lambda answer=answer: answer) for name, answer in methods.items()})


class _Table(_Values):
    columns = ("a",)

    def to_dict(self, orient: str) -> Any:
        assert orient == "records"
        return self.rows()  # type: ignore[attr-defined]


def _of_pandas(value: Any, name: str) -> Any:
    kind = type(name, (type(value),), {"__module__": "pandas.core"})
    value.__class__ = kind
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (_of_pandas(_Table("RangeIndex", rows=[{"a": 1.0}]), "DataFrame"), [{"a": 1.0}]),
        (
            _of_pandas(
                _Table("Index", reset_index=_Table("RangeIndex", rows=[{"index": "x", "a": NOON}])), "DataFrame"
            ),
            [{"index": "x", "a": "2026-01-02T12:00:00Z"}],
        ),
        (_of_pandas(_Values("RangeIndex", tolist=[1, 2], to_dict={0: 1, 1: 2}), "Series"), [1, 2]),
        (_of_pandas(_Values("Index", tolist=[1, 2], to_dict={"a": 1, "b": 2}), "Series"), {"a": 1, "b": 2}),
        (_of_pandas(_Values("Index"), "NaTType"), None),
    ],
)
def test_tables_and_series_of_pandas_keep_their_labels(value: Any, expected: Any) -> None:
    assert to_json(value, "the result") == expected
