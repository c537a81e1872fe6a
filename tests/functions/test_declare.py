"""Declaring functions to the model, and refusing those that cannot be declared."""

import json
import re
import sys
import warnings

import pytest

from gemini_live.models import MODELS, Behavior, ModelCapabilities
from tests.functions.loading import Write, declaration_of, load, load_file, names_of, parameters_of, refusal_of
from tests.protos import check_client_message


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "def f(a: int, b: str, /) -> None: ...",
            "`f` has a positional-only parameter `a`, but the model passes arguments by name: remove the `/`",
        ),
        (
            "def f(*args: int) -> None: ...",
            "`f` takes `*args: int`, but the model must be told each argument: write out the parameters",
        ),
        ("def f(a: int, **kwargs: int) -> None: ...", "`f` takes `**kwargs: int`"),
        ("def f(a) -> None: ...", "`f` has a parameter `a` without a type annotation: write for example `a: str`"),
        ("def f(a: 'Missing') -> None: ...", "annotations that cannot be read: NameError: name 'Missing'"),
        (
            "import threading\ndef f(a: threading.Thread) -> None: ...",
            "`a` of a type that JSON cannot carry: use str, int",
        ),
        (
            "from typing import Callable\ndef f(a: Callable[[], int]) -> None: ...",
            "`a` of a type that JSON cannot carry: use str, int",
        ),
        (
            "from typing import Annotated\nfrom pydantic import WithJsonSchema\n"
            "def f(a: Annotated[int, WithJsonSchema({'$ref': '#/$defs/Nowhere'})]) -> None: ...",
            "`a` of a type that JSON cannot carry: use str, int",
        ),
        ("def f(größe: int) -> None: ...", "a parameter `größe`, a name that the API forbids"),
        (f"def f({'a' * 65}: int) -> None: ...", "a name that the API forbids"),
        ("def grüße() -> None: ...", "`grüße` has a name that the API forbids: use letters"),
        (f"def {'f' * 65}() -> None: ...", "a name that the API forbids"),
        ("def f():\n    yield 1", "`f` is a generator"),
        (
            "def _d(f): return 5\n@_d\ndef f() -> None: ...",
            "`f` is no longer a function but of type int: return a function from its decorator",
        ),
        ("def _d(f): return type\n@_d\ndef f() -> None: ...", "`f` is no longer a function but of type type"),
        (
            "from pydantic import Field\ndef f(a: int = Field(ge=0)) -> None: ...",
            "a `Field` as the default of `a`: write `a: Annotated[type, Field(...)] = value`",
        ),
        ("def f() -> None: ...\nf.__signature__ = 5", "`f` has annotations that cannot be read: TypeError"),
        (
            "from typing import TypedDict\nclass _T(TypedDict):\n    a: int\ndef f(a: _T) -> None: ...",
            "use `typing_extensions.TypedDict`" if sys.version_info < (3, 12) else "",
        ),
    ],
)
def test_a_function_that_the_model_cannot_be_told_whole_is_refused(write: Write, source: str, reason: str) -> None:
    if not reason:
        pytest.skip("possible on this Python")
    path = write(f"\n\n{source}\n")
    refusal = refusal_of(path)
    assert reason in refusal.reason
    lines = path.read_text().splitlines()
    assert refusal.line is not None
    assert re.match(r"(async )?def [^_]", lines[refusal.line - 1])


def test_a_docstring_that_is_no_text_is_refused(write: Write) -> None:
    refusal = refusal_of(write("def f(a: int) -> None:\n    '\\ud800'"))
    # From 3.13 on, the compiler itself looks into docstrings, and the file does not import.
    place = "the declaration['description']" if sys.version_info < (3, 13) else "surrogates not allowed"
    assert place in refusal.reason


def test_the_line_is_that_of_the_definition_in_force(write: Write) -> None:
    path = write("""
        import functools
        if True:
            @functools.cache
            @functools.cache
            def f(a) -> None: ...
        else:
            def f(a: int) -> None: ...
    """)
    assert refusal_of(path).line == 6


# Declarations.


def test_a_declaration_has_name_description_behavior_and_schema(write: Write) -> None:
    path = write('''
        def greet(name: str, times: int = 1) -> str:
            """Greet somebody.

            Args:
                name: who it is
            """
    ''')
    assert load_file(path).declarations == [
        {
            "name": "greet",
            "description": "Greet somebody.\n\nArgs:\n    name: who it is",
            "behavior": "BLOCKING",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "name": {"type": "STRING", "description": "who it is"},
                    "times": {"type": "INTEGER", "default": 1},
                },
                "required": ["name"],
            },
        }
    ]


def test_a_function_without_docstring_and_parameters_has_neither_field(write: Write) -> None:
    assert load_file(write("def f(): ...")).declarations == [{"name": "f", "behavior": "BLOCKING"}]


@pytest.mark.parametrize(
    ("capabilities", "behavior"),
    [
        (ModelCapabilities(), "BLOCKING"),
        (ModelCapabilities(behaviors=(Behavior.BLOCKING,)), "BLOCKING"),
        (ModelCapabilities(behaviors=(Behavior.NON_BLOCKING,)), None),
        (ModelCapabilities(behaviors=()), None),
        (ModelCapabilities(declares_behavior=False), None),
    ],
)
def test_blocking_is_declared_where_the_model_allows_it(
    write: Write, capabilities: ModelCapabilities, behavior: str | None
) -> None:
    declaration = load_file(write("def f(): ..."), capabilities).declarations[0]
    assert declaration.get("behavior") == behavior


# Parameters.


def test_types_of_one_name_are_kept_apart(write: Write) -> None:
    path = write("""
        import enum
        A = enum.Enum("Color", {"X": "x"})
        B = enum.Enum("Color", {"Y": "y"})

        def f(a: list[A], b: list[B]) -> None: ...
    """)
    properties = parameters_of(path)
    assert properties["a"]["items"]["enum"] == ["x"]
    assert properties["b"]["items"]["enum"] == ["y"]


def test_what_has_no_default_is_required_and_the_other_defaults_are_declared() -> None:
    schema = declaration_of(load("defaults.py"), "paint")["parameters"]
    assert schema["required"] == ["thing", "anything", "factor"]
    properties = schema["properties"]
    assert properties["color"]["default"] == "red"
    assert properties["at"]["default"] == {"x": 1, "y": 0}
    assert (properties["tags"]["nullable"], properties["tags"]["default"]) == (True, None)
    assert properties["weight"] == {"type": "NUMBER", "nullable": True, "default": None}


@pytest.mark.parametrize("name", ["scale", "size"])
def test_a_default_that_json_cannot_hold_is_not_declared(name: str) -> None:
    schema = declaration_of(load("defaults.py"), "paint")["parameters"]
    assert "default" not in schema["properties"][name]
    assert name not in schema["required"]


@pytest.mark.parametrize(
    ("annotation", "description"),
    [
        ("Annotated[str, 'The city']", "The city"),
        ("Annotated[str, Field(description='The city')]", "The city"),
        ("Annotated[str, 'not this', Field(description='The city')]", "The city"),
        ("Annotated[str, 'The city'] | None", "The city"),
        ("Optional[Annotated[str, 'The city']]", "The city"),
        ("str", "from the docstring"),
        ("Annotated[str, Field(min_length=1)]", "from the docstring"),
        ("list[str]", "from the docstring"),
        ("set[str]", "from the docstring. No duplicates."),
        ("Annotated[dict[str, int] | None, 'Sizes.']", "Sizes. Each value: integer."),
        ("Annotated[Color, 'The paint']", "The paint"),
    ],
)
def test_a_parameter_is_described_by_its_field_or_bare_string_or_docstring(
    write: Write, annotation: str, description: str
) -> None:
    path = write(f"""
        import enum
        from typing import Annotated, Optional
        from pydantic import Field

        class Color(enum.Enum):
            "A colour."
            RED = "red"

        def f(a: {annotation}) -> None:
            '''Do it.

            Args:
                a: from the docstring
            '''
    """)
    assert parameters_of(path)["a"]["description"] == description


def test_annotations_of_a_decorated_function_are_evaluated_in_its_file(write: Write) -> None:
    path = write("""
        from __future__ import annotations
        import inspect
        from dataclasses import dataclass

        @dataclass
        class Item:
            name: str

        def _signed(function):
            async def wrapper(*args, **kwargs):
                return await function(*args, **kwargs)
            wrapper.__signature__ = inspect.signature(function)
            return wrapper

        @_signed
        async def buy(item: Item, quantity: int = 1) -> Missing: ...
    """)
    assert {key: part["type"] for key, part in parameters_of(path).items()} == {"item": "OBJECT", "quantity": "INTEGER"}


@pytest.mark.parametrize("future", ["", "from __future__ import annotations"])
@pytest.mark.parametrize(
    "copied", ["", "wrapper.__doc__ = function.__doc__", "wrapper.__signature__ = inspect.signature(function)"]
)
async def test_a_function_is_declared_by_its_def_if_its_decorator_copies_no_signature(
    write: Write, future: str, copied: str
) -> None:
    path = write(
        f"""
        {future}
        import inspect
        from dataclasses import dataclass

        @dataclass
        class _Place:
            name: str

        def _bare(function):
            def wrapper(*args, **kwargs):
                return function(*args, **kwargs)
            {copied}
            return wrapper

        @_bare
        def weather(place: _Place, days: int = 3) -> Missing:
            "Tell the weather."
            return f"{{place!r}} {{days}}"
    """.replace("-> Missing", "-> Missing" if future else "")
    )
    functions = load_file(path)
    (declaration,) = functions.declarations
    assert declaration["description"] == "Tell the weather."
    assert declaration["parameters"]["required"] == ["place"]
    assert declaration["parameters"]["properties"]["days"] == {"type": "INTEGER", "default": 3}
    result = await functions.call("weather", {"place": {"name": "Oslo"}})
    assert result.response == {"output": "_Place(name='Oslo') 3"}


def test_return_annotations_are_left_out_whatever_they_are(write: Write) -> None:
    path = write("""
        import dataclasses, threading
        @dataclasses.dataclass
        class Result:
            x: int
        def f(a: int) -> Result: ...
        def g(a: int) -> threading.Thread: ...
    """)
    for declaration in load_file(path).declarations:
        assert set(declaration) == {"name", "behavior", "parameters"}


def test_a_return_type_that_only_type_checkers_know_is_left_out(write: Write) -> None:
    path = write("from __future__ import annotations\ndef f(a: int) -> Missing: ...\n")
    assert [each["name"] for each in load_file(path).declarations] == ["f"]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_told_by_parameters_and_nothing_that_the_service_refuses(model: str) -> None:
    capabilities = MODELS[model]
    functions = load("typed.py", "defaults.py", "definitions.py", capabilities=capabilities)
    setup = {"model": f"models/{model}", "tools": [{"functionDeclarations": functions.declarations}]}
    check_client_message({"setup": setup})
    sent = json.dumps(setup)
    for word in ("parametersJsonSchema", "$", "additionalProperties", '"title"', '""', "NaN"):
        assert word not in sent, word


def test_warnings_of_pydantic_stay_off_stderr(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    path = write("""
        from dataclasses import dataclass

        @dataclass
        class Box:
            content: int = object()

        def f(box: Box) -> None: ...
    """)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert names_of(load_file(path)) == ["f"]
    assert caught == []
    assert capfd.readouterr().err == ""
