"""Convert results to JSON values, and exceptions to one line for the model. Pure; any thread."""

import base64
import enum
import json
import math
import sys
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from .pictures import Picture, find_picture

MAX_ERROR_CHARS = 2_000
"""Longest error text that is sent to the model."""

MAX_DEPTH = 64
"""Deepest nesting of a result: protobuf parsers stop at 100 levels."""


class UnfitError(Exception):
    """A value does not fit: an argument from the model, or a function's result. The message is for the model."""


def to_json(value: Any, place: str, pictures: list[Picture] | None = None, inside: tuple[int, ...] = ()) -> Any:
    """Return `value` as dicts, lists, strings, numbers, booleans and None.

    Keys become strings, as `json.dumps` writes them. NaN and infinities become None, as in JavaScript. Sets and views
    of dicts become lists. Bytes become text: their own if they are UTF-8, else base64.

    Args:
        value: A value that `json` or pydantic can write, or a value of numpy or pandas.
        place: Name of the value in error messages, such as `the result`.
        pictures: Gets the pictures in the value, which holds their numbers then; None: words stand for them.
        inside: Ids of the containers around the value.

    Raises:
        UnfitError: JSON cannot hold the value; the message names the place of the first such part.
    """
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | float | str):
        return _scalar_to_json(value, place)
    if id(value) in inside:
        raise UnfitError(f"{place} contains itself")
    if len(inside) == MAX_DEPTH:
        raise UnfitError(f"{place.partition('[')[0]} is nested more than {MAX_DEPTH} levels deep")
    inside = (*inside, id(value))
    if isinstance(value, dict):
        converted: dict[str, Any] = {}
        for key, item in value.items():
            name = _key_to_json(key, place)
            if name in converted:
                raise UnfitError(f"{place} has two keys that JSON writes as {name!r:.40}")
            converted[name] = to_json(item, f"{place}[{name!r:.40}]", pictures, inside)
        return converted
    if isinstance(value, list | tuple | range | set | frozenset | KeysView | ValuesView | ItemsView):
        return [to_json(item, f"{place}[{index}]", pictures, inside) for index, item in enumerate(value)]
    if (picture := _find_picture(value, place)) is not None:
        if pictures is None:
            return f"a picture ({picture.mime_type}), which this model cannot see in a result"
        pictures.append(picture)
        return f"picture {len(pictures)} ({picture.mime_type})"
    return to_json(_object_to_json(value, place), place, pictures, inside)


def _find_picture(value: Any, place: str) -> Picture | None:
    try:
        return find_picture(value)
    except Exception as exc:  # an image of Pillow that cannot be written
        raise UnfitError(f"{place} is a picture that cannot be written ({describe_error(exc)})") from exc


def _scalar_to_json(value: Any, place: str) -> Any:
    if isinstance(value, str) and printable(value) != value:
        raise UnfitError(f"{place} is not valid Unicode")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        # The service reads numbers as doubles.
        raise UnfitError(f"{place} is too large a number")
    return value


def _key_to_json(key: Any, place: str) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if not isinstance(key, str):
        if type(key).__module__ == "numpy":
            key = key.tolist()
        if key is None or isinstance(key, bool | int | float):
            (key,) = json.loads(json.dumps({key: None}))
        else:
            from pydantic_core import to_jsonable_python  # noqa: PLC0415 - an extra, and slow to import

            try:
                (key,) = to_jsonable_python({key: None})
            except Exception as exc:
                raise UnfitError(f"{place} has a key of type {type(key).__name__} ({describe_error(exc)})") from exc
    _scalar_to_json(key, f"a key of {place}")
    return str.__str__(key)


def _object_to_json(value: Any, place: str) -> Any:
    """Convert an object that is neither a scalar nor a built-in container, one level deep or more."""
    from pydantic_core import to_jsonable_python  # noqa: PLC0415 - an extra, and slow to import

    kind = f"{place} is of type {type(value).__name__}"
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes_to_text(bytes(value))
    if isinstance(value, Iterator):
        raise UnfitError(f"{kind}: return a list")
    try:
        if type(value).__module__.partition(".")[0] == "pandas":
            return _pandas_to_json(value)
        if callable(to_list := getattr(value, "tolist", None)):
            return to_list()  # numpy
        return to_jsonable_python(value)
    except Exception as exc:
        raise UnfitError(f"{kind} ({describe_error(exc)})") from exc


def _bytes_to_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii")


def _pandas_to_json(value: Any) -> Any:
    """Convert a value of pandas. A table becomes a list of its rows; an index other than 0, 1, 2, ... is kept."""
    has_labels = type(getattr(value, "index", None)).__name__ not in {"RangeIndex", "NoneType"}
    if type(value).__name__ in {"NaTType", "NAType"}:
        return None
    if hasattr(value, "columns"):  # a DataFrame
        return (value.reset_index() if has_labels else value).to_dict(orient="records")
    if hasattr(value, "to_dict") and has_labels:  # a Series with labels, such as the mean of each column
        return value.to_dict()
    from pydantic_core import to_jsonable_python  # noqa: PLC0415 - an extra, and slow to import

    return value.tolist() if hasattr(value, "tolist") else to_jsonable_python(value, fallback=str)


def describe_error(exc: BaseException) -> str:
    """Return the type and the message of an exception in one line."""
    try:
        message = str(exc)
    except Exception:  # noqa: BLE001 - the user's own `__str__`
        message = "(its message cannot be shown)"
    name = type(exc).__name__
    return one_line(f"{name}: {message}" if message else name)


def one_line(text: str) -> str:
    """Return `text` without line breaks, cut to `MAX_ERROR_CHARS`."""
    line = " ".join(printable(text).split())
    return line if len(line) <= MAX_ERROR_CHARS else f"{line[: MAX_ERROR_CHARS - 1]}…"


def printable(text: str) -> str:
    """Return `text` with lone surrogates escaped, which UTF-8 cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
