"""Functions over a grammar of types: each is declared within the subset, and arguments that fit its declaration arrive.

`GEMINI_LIVE_EXAMPLES` sets how many functions are tried; `-s` then shows what was counted.
"""

import asyncio
import collections
import dataclasses
import os
import sys
import tempfile
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pydantic
import pytest
import typing_extensions
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.functions.arguments import arguments_for
from tests.functions.loading import load_file
from tests.functions.openapi_subset import check_schema
from tests.protos import check_client_message

EXAMPLES = int(os.environ.get("GEMINI_LIVE_EXAMPLES", "80"))

received: list[dict[str, Any]] = []
"""What the functions were called with."""
counted: collections.Counter[str] = collections.Counter()


@pytest.fixture(scope="module", autouse=True)
def _counts() -> Iterator[None]:
    yield
    print(dict(counted))


PREAMBLE = """
import enum, datetime, decimal, functools, inspect, pathlib, uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, Dict, List, Literal, NamedTuple, Optional, Set, Tuple, Union
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypedDict
from tests.functions.test_type_grammar import received as _received

class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Country(str, enum.Enum):
    NONE = ""
    NORWAY = "no"

@dataclass
class Place:
    name: str
    latitude: float = 0.0

class Item(BaseModel):
    "A thing to buy."
    name: Annotated[str, Field(description="What it is", min_length=1)]
    tags: list[str] = []
    place: Optional[Place] = None

class Options(TypedDict):
    depth: int
    color: NotRequired[Color]

def _wraps(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

def _signed(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    wrapper.__signature__ = inspect.signature(function)
    return wrapper

def _bare(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

def _named(function):
    return function
"""

LEAVES = [
    *(
        "str",
        "int",
        "float",
        "bool",
        "Any",
        "datetime.date",
        "datetime.datetime",
        "datetime.time",
        "datetime.timedelta",
    ),
    *("decimal.Decimal", "uuid.UUID", "pathlib.Path", "bytes", "list", "dict", "set", "tuple"),
    *("Level", "Color", "Country", "Place", "Item", "Options"),
    *(
        "Literal['a', 'b']",
        "Literal['']",
        "Literal[1, 2]",
        "Literal['s', 10]",
        "Literal[True, 'x']",
        "Literal['a', None]",
    ),
    *(
        "Annotated[int, Field(ge=0, le=9)]",
        "Annotated[float, Field(gt=0, lt=5)]",
        "Annotated[int, Field(multiple_of=5)]",
    ),
    *("Annotated[str, Field(min_length=1, max_length=3)]", "Annotated[str, Field(pattern='^[a-c]+$')]"),
    "Annotated[int, Field(gt=0), 'How many']",
]
HASHABLE = ["str", "int", "datetime.date", "uuid.UUID", "Color", "Level", "Literal['a', 'b']"]

leaves = st.sampled_from(LEAVES)
hashable = st.sampled_from(HASHABLE)


def _nest(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def filled(*patterns: str) -> st.SearchStrategy[str]:
        return st.builds(str.format, st.sampled_from(patterns), inner, inner)

    return st.one_of(
        filled(
            "list[{0}]",
            "List[{0}]",
            "tuple[{0}, ...]",
            "tuple[{0}, {1}]",
            "Tuple[{0}]",
            "Annotated[list[{0}], Field(max_length=2)]",
        ),
        filled(
            "Optional[{0}]", "Union[{0}, {1}]", "Annotated[{0}, 'What it is']", "Annotated[Optional[{0}], 'Or nothing']"
        ),
        st.builds(str.format, st.sampled_from(["set[{}]", "frozenset[{}]", "Set[{}]"]), hashable),
        st.builds(str.format, st.sampled_from(["dict[{}, {}]", "Dict[{}, {}]"]), hashable, inner),
    )


annotations = leaves | _nest(leaves) | _nest(_nest(leaves)) | _nest(_nest(_nest(leaves)))

DEFAULTS = ["", " = None", " = 3", " = 'x'", " = ()", " = datetime.date(2026, 1, 2)", " = Color.RED", " = inspect"]
DOCS = {
    "none": "",
    "plain": "Do it.",
    "google": "Do it.\n\nArgs:\n    {0}: the first thing,\n        in two lines\n\nReturns:\n    Text.",
    "numpy": "Do it.\n\nParameters\n----------\n{0} : int\n    the first thing",
    "rest": "Do it.\n\n:param {0}: the first thing\n:returns: text",
}
parameters = st.tuples(annotations, st.sampled_from(DEFAULTS))


@st.composite
def sources(draw: st.DrawFn) -> str:
    listed = draw(st.lists(parameters, min_size=1, max_size=3))
    listed.sort(key=lambda each: bool(each[1]))  # Python wants defaults last
    names = [f"p{index}" for index in range(len(listed))]
    written = [f"{name}: {annotation}{default}" for name, (annotation, default) in zip(names, listed, strict=True)]
    if draw(st.booleans()):
        written.insert(0, "*")
    style = draw(st.sampled_from(sorted(DOCS)))
    decorator = draw(st.sampled_from(["_named", "_wraps", "_signed", "_bare"]))
    is_async, is_postponed = draw(st.booleans()), draw(st.booleans())
    counted.update([f"docstring {style}", f"decorator {decorator}", "async def" if is_async else "def"])
    counted.update(["postponed annotations"] if is_postponed else [])
    doc = textwrap.indent(f'"""{DOCS[style].format(names[0])}"""', "    ") if DOCS[style] else ""
    return (
        ("from __future__ import annotations\n" if is_postponed else "")
        + PREAMBLE
        + f"\n\n@{decorator}\n{'async ' if is_async else ''}def f({', '.join(written)}):\n{doc}\n"
        + f"    _received.append({{{', '.join(f'{name!r}: {name}' for name in names)}}})\n    return 'done'\n"
        + f"\n\ndef _annotated({', '.join(written)}): ...\n"
    )


# Without shrinking: one failing function says enough, and shrinking takes minutes.
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(sources(), st.data())
def test_a_function_of_any_types_is_declared_and_called(source: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tools.py")
        path.write_text(source)
        functions = load_file(path)
        (declaration,) = functions.declarations
        counted.update(["functions"])
        check_schema(declaration["parameters"])
        check_client_message({"setup": {"model": "models/m", "tools": [{"functionDeclarations": [declaration]}]}})
        first = declaration["parameters"]["properties"]["p0"].get("description", "")
        if any(doc in source for doc in ("p0: the first thing", "    the first thing")) and "first thing" not in first:
            assert any(text in first for text in ("What it is", "Or nothing", "How many")), "the docstring is not used"
        again = sys.modules["again"] = types.ModuleType("again")
        exec(compile(source, "again", "exec"), again.__dict__)
        hints = typing.get_type_hints(again._annotated, include_extras=True)
        for _ in range(3):
            arguments = data.draw(arguments_for(declaration))
            received.clear()
            result = asyncio.run(functions.call("f", arguments))
            assert result.response == {"output": "done"}, (
                f"{result.response}\n{source.rpartition('def ')[2]}\n{declaration}"
            )
            counted.update(["calls"])
            for name in arguments:
                counted.update(["arguments"])
                value = received[0][name]
                is_none = value is None and " = None" in source
                assert is_none or is_of(value, hints[name]), (name, value, hints[name])


def is_of(value: Any, annotation: Any) -> bool:
    """True if a value is of an annotated type, judged without pydantic. The user's classes are compared by name."""
    origin, members = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return True
    if origin in (typing.Annotated, typing.Required, typing_extensions.NotRequired):
        return is_of(value, members[0])
    if origin in (typing.Union, types.UnionType):
        return any(is_of(value, member) for member in members)
    if origin is typing.Literal:
        return any(value == member and type(value) is type(member) for member in members)
    if origin is not None:
        return type(value) is origin and _holds(value, origin, members)
    return _is_instance(value, type(None) if annotation is None else annotation)


def _holds(value: Any, origin: Any, members: tuple[Any, ...]) -> bool:
    """True if the members of a container are of the annotated types."""
    if origin is dict:
        return all(is_of(key, members[0]) and is_of(each, members[1]) for key, each in value.items())
    if origin is not tuple or members[-1] is ...:
        return all(is_of(each, members[0]) for each in value)
    return len(value) == len(members) and all(map(is_of, value, members))


def _is_instance(value: Any, kind: type) -> bool:
    if typing_extensions.is_typeddict(kind):
        hints = typing_extensions.get_type_hints(kind)
        return type(value) is dict and all(is_of(each, hints[key]) for key, each in value.items())
    if kind.__module__ != "again":
        return isinstance(value, kind) if kind is Path else type(value) is kind
    if dataclasses.is_dataclass(kind) or issubclass(kind, pydantic.BaseModel):
        hints = typing.get_type_hints(kind)
        return type(value).__name__ == kind.__name__ and all(is_of(getattr(value, key), hints[key]) for key in hints)
    return type(value).__name__ == kind.__name__
