"""Importing, declaring and running the user's functions."""

import asyncio
import contextvars
import json
import logging
import re
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.genai import types

from gemini_live.errors import ExitCode, FunctionDeclarationError, MissingExtraError
from gemini_live.functions.function_helper import CallResult, FunctionHelper
from gemini_live.models import Behavior, ModelCapabilities, capabilities_of
from tests.functions.files import gates
from tests.protos import check_client_message

FILES = Path(__file__).parent / "files"
EXAMPLES = Path(__file__).parents[2] / "function_examples.py"
DEFAULT = capabilities_of("gemini-3.8-live")
OPENAPI = capabilities_of("gemini-3.8-live-extended-thinking")
PATIENCE_S = 10.0


@pytest.fixture(autouse=True)
def _gates() -> Iterator[None]:
    """Let no thread outlive its test: it would write into the next one's gates."""
    gates.close_gates()
    yield
    gates.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("function "):
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def load(*names: str, capabilities: ModelCapabilities = DEFAULT, timeout_s: float = PATIENCE_S) -> FunctionHelper:
    return FunctionHelper.load([FILES / name for name in names], capabilities=capabilities, timeout_s=timeout_s)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a functions file."""

    def write_file(source: str | bytes, name: str = "tools.py") -> Path:
        path = tmp_path / name
        path.write_bytes(source if isinstance(source, bytes) else textwrap.dedent(source).encode())
        return path

    return write_file


Write = Callable[..., Path]


def load_file(path: Path, capabilities: ModelCapabilities = DEFAULT) -> FunctionHelper:
    return FunctionHelper.load([path], capabilities=capabilities, timeout_s=PATIENCE_S)


def refusal_of(*paths: Path, capabilities: ModelCapabilities = DEFAULT) -> FunctionDeclarationError:
    with pytest.raises(FunctionDeclarationError) as caught:
        FunctionHelper.load(paths, capabilities=capabilities, timeout_s=PATIENCE_S)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value


def declaration_of(helper: FunctionHelper, name: str) -> dict[str, Any]:
    return next(declaration for declaration in helper.declarations if declaration["name"] == name)


# Which functions.


def test_no_file_gives_a_helper_without_functions_and_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.genai", None)
    helper = FunctionHelper.load([], capabilities=DEFAULT, timeout_s=1)
    assert (helper.names, helper.declarations) == ((), [])


def test_without_google_genai_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.genai", None)
    monkeypatch.delitem(sys.modules, "google.genai.types")
    with pytest.raises(MissingExtraError, match=r"gemini-live\[functions\]"):
        load("typed.py")


def test_the_public_defs_of_the_file_are_offered_in_their_order_and_nothing_else() -> None:
    assert load("definitions.py").names == (
        "plain",
        "asynchronous",
        "wrapped",
        "cached",
        "twice_wrapped",
        "overloaded",
        "conditional",
        "guarded",
    )


def test_functions_of_several_files_are_offered_in_the_order_of_the_files(write: Write) -> None:
    first, second = write("def b() -> int: return 1", "one.py"), write("def a() -> int: return 2", "two.py")
    helper = FunctionHelper.load([first, second], capabilities=DEFAULT, timeout_s=1)
    assert helper.names == ("b", "a")
    assert [declaration["name"] for declaration in helper.declarations] == ["b", "a"]


async def test_a_wrapped_function_is_declared_as_its_inner_one_and_called_through_its_wrapper() -> None:
    helper = load("definitions.py")
    assert declaration_of(helper, "wrapped")["parametersJsonSchema"] == {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    for name in ("wrapped", "cached", "twice_wrapped", "asynchronous"):
        assert (await helper.call(name, {"city": "Oslo"})).response == {"output": "Oslo"}


async def test_a_function_decorated_without_wraps_goes_by_the_name_in_the_file(write: Write) -> None:
    path = write("""
        def _decorate(function):
            def inner(city: str) -> str:
                return function(city) + "!"
            return inner

        @_decorate
        def shout(city):
            return city
    """)
    helper = load_file(path)
    assert helper.names == ("shout",)
    assert (await helper.call("shout", {"city": "Oslo"})).response == {"output": "Oslo!"}


async def test_pydantics_own_decorator_may_be_used(write: Write) -> None:
    path = write("""
        from typing import Annotated
        from pydantic import Field, validate_call

        @validate_call
        def double(number: Annotated[int, Field(gt=0)] = 1) -> int:
            return 2 * number
    """)
    helper = load_file(path)
    assert (await helper.call("double", {"number": 3})).response == {"output": 6}
    assert (await helper.call("double", {})).response == {"output": 2}


# Files that do not import.


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("\ndef f(:\n    pass\n", 2, "invalid syntax"),
        ("x = 1\nif x:\ny = 2\n", 3, "expected an indented block"),
        ("x = 1\nreturn x\n", 2, "'return' outside function"),
        (b"x = 1\ny = '\xff'\n", None, "codec can't decode byte 0xff"),
        (b"# coding: klingon\nx = 1\n", None, "unknown encoding: klingon"),
        (b"x = 1\0\n", None, "null bytes"),
        ("\n\n1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        ("def g():\n    raise ValueError('a\\nb')\n\ng()\n", 2, "ValueError: a b"),
        ("import json\n\njson.loads('')\n", 3, "JSONDecodeError: Expecting value"),
        ("\nimport no_such_module\n", 2, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("\nfrom . import sibling\n", 2, "ImportError: attempted relative import"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("\nraise SystemExit\n", 2, "SystemExit"),
        ("import asyncio\nraise asyncio.CancelledError\n", 2, "CancelledError"),
        ("", None, "no public function is defined in it"),
        ("def _f(): pass\nclass C:\n    def g(self): pass\nh = lambda: 1\n", None, "no public function"),
    ],
)
def test_a_file_that_does_not_import_is_refused_in_one_line_naming_the_place(
    write: Write, source: str | bytes, line: int | None, reason: str
) -> None:
    path = write(source.replace("\r", "") if isinstance(source, str) else source)
    refusal = refusal_of(path)
    assert refusal.file == str(path)
    assert reason in refusal.reason
    if line is not None:
        assert refusal.line == line
        assert str(refusal).startswith(f"{path}:{line}: ")


def test_a_nested_file_that_does_not_import_names_the_line_of_the_given_one(write: Write) -> None:
    write("\n\n\nx = (", "nested.py")
    refusal = refusal_of(write("\n\nimport nested\ndef f() -> None: ...\n"))
    assert refusal.line == 3
    assert re.search(r"SyntaxError: .* \(nested.py, line 4\)", refusal.reason)


def test_a_file_too_deep_to_parse_is_refused(write: Write) -> None:
    assert refusal_of(write("x = " + "-" * 200_000 + "1")).reason.startswith("does not import: ")


def test_what_is_not_a_readable_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.py"):
        assert str(refusal_of(path)).startswith(f"{path}: cannot be read: ")


def test_ctrl_c_while_a_file_loads_stops_the_program(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_file(write("raise KeyboardInterrupt"))


def test_a_file_that_failed_leaves_nothing_behind(write: Write) -> None:
    modules, path = set(sys.modules), list(sys.path)
    refusal_of(write("import sys\nsys.path.clear()\n1 / 0"))
    assert {name for name in set(sys.modules) - modules if "functions" in name} == set()
    sys.path[:] = path
    refusal_of(write("1 / 0"))
    assert sys.path == path


async def test_the_files_folder_is_importable_while_it_loads_and_its_module_known_by_name(write: Write) -> None:
    write("ANSWER = 42", "beside_it.py")
    path = write("""
        import dataclasses
        import sys
        from beside_it import ANSWER

        assert sys.modules[__name__].__file__ == __file__

        @dataclasses.dataclass
        class Point:
            x: "int"

        def f(point: "Point") -> list:
            return [ANSWER, point.x, __name__.isidentifier()]
    """)
    before = list(sys.path)
    helper = load_file(path)
    assert sys.path == before
    assert (await helper.call("f", {"point": {"x": 1}})).response == {"output": [42, 1, True]}


async def test_a_file_named_like_a_library_or_like_another_one_replaces_neither(write: Write, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = write("def first() -> str: return __file__", "json.py")
    second = write("import json\ndef second() -> str: return json.dumps(1)", "other/json_user.py")
    third = write("def third() -> str: return __file__", "other/json.py")
    helper = FunctionHelper.load([first, second, third], capabilities=DEFAULT, timeout_s=PATIENCE_S)
    assert (await helper.call("first", {})).response == {"output": str(first.resolve())}
    assert (await helper.call("third", {})).response == {"output": str(third.resolve())}
    assert sys.modules["json"] is json


def test_a_file_may_have_any_suffix_and_encoding(write: Write) -> None:
    path = write(
        "# coding: latin-1\ndef f() -> str:\n    'Gr\xfc\xdfe.'\n    return ''\n".encode("latin-1"), "tools.txt"
    )
    assert load_file(path).declarations[0]["description"] == "Gr\xfc\xdfe."


def test_a_return_type_that_only_type_checkers_know_is_left_out(write: Write) -> None:
    path = write("from __future__ import annotations\ndef f(a: int) -> Missing: ...\n")
    assert [each["name"] for each in load_file(path).declarations] == ["f"]


# Functions that cannot be offered.


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(a: int, b: str, /) -> None: ...", "`f` has a positional-only parameter `a`"),
        ("def f(*args: int) -> None: ...", "`f` takes `*args: int`"),
        ("def f(a: int, **kwargs: int) -> None: ...", "`f` takes `**kwargs: int`"),
        ("def f(a) -> None: ...", "`f` has a parameter `a` without a type annotation"),
        ("def f(a: 'Missing') -> None: ...", "annotations that cannot be read: NameError: name 'Missing'"),
        ("import threading\ndef f(a: threading.Thread) -> None: ...", "`a` of a type that the model cannot be told"),
        ("from typing import Callable\ndef f(a: Callable[[], int]) -> None: ...", "`a` of a type that the model"),
        ("def f(größe: int) -> None: ...", "a parameter `größe`, a name that the API forbids"),
        (f"def f({'a' * 65}: int) -> None: ...", "a name that the API forbids"),
        ("def grüße() -> None: ...", "`grüße` is a name that the API forbids"),
        (f"def {'f' * 65}() -> None: ...", "a name that the API forbids"),
        ("def f():\n    yield 1", "`f` is a generator"),
        ("async def f():\n    yield 1", "`f` is a generator"),
        ("def _d(f): return 5\n@_d\ndef f() -> None: ...", "`f` is no function any more but a int"),
        ("def _d(f): return type\n@_d\ndef f() -> None: ...", "`f` is no function any more but a type"),
        ("from pydantic import Field\ndef f(a: int = Field(ge=0)) -> None: ...", "a `Field` for the default of `a`"),
        ("def f() -> None: ...\nf.__signature__ = 5", "`f` has annotations that cannot be read: TypeError"),
        (
            "from typing import TypedDict\nclass _T(TypedDict):\n    a: int\ndef f(a: _T) -> None: ...",
            "typing_extensions.TypedDict" if sys.version_info < (3, 12) else "",
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


def test_types_of_one_name_in_one_function_are_refused_rather_than_mixed_up(write: Write) -> None:
    path = write("""
        import enum
        A = enum.Enum("Color", {"X": "x"})
        B = enum.Enum("Color", {"Y": "y"})

        def f(a: list[A], b: list[B]) -> None: ...
    """)
    assert "two types called Color: rename one" in refusal_of(path).reason


def test_types_of_one_name_in_different_functions_are_fine(write: Write) -> None:
    path = write("""
        import enum
        A = enum.Enum("Color", {"X": "x"})
        B = enum.Enum("Color", {"Y": "y"})

        def f(a: list[A], b: list[A]) -> None: ...
        def g(b: list[B]) -> None: ...
    """)
    assert load_file(path).names == ("f", "g")


def test_a_parameter_that_google_genai_loses_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = types.FunctionDeclaration(name="f", parameters_json_schema={"properties": {"a": {}}})
    monkeypatch.setattr(
        types.FunctionDeclaration, "from_callable_with_api_option", classmethod(lambda cls, **kwargs: declared)
    )
    refusal = refusal_of(write("def f(a: int, b: int) -> None: ..."))
    assert "`f` loses its parameter `b`" in refusal.reason


def test_a_declaration_that_google_genai_refuses_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(cls: Any, /, **kwargs: Any) -> None:
        raise ValueError("cannot\nparse")

    monkeypatch.setattr(types.FunctionDeclaration, "from_callable_with_api_option", classmethod(refuse))
    assert "`f` cannot be declared: ValueError: cannot parse" in refusal_of(write("def f() -> None: ...")).reason


def test_one_name_in_two_files_is_refused_naming_both_places(write: Write) -> None:
    first = write("\ndef f() -> None: ...", "first.py")
    second = write("x = 1\n\n\ndef f() -> None: ...", "second.py")
    refusal = refusal_of(first, second)
    assert str(refusal) == f"{second}:4: `f` is already defined in {first}:2"


def test_a_file_given_twice_is_refused(write: Write, tmp_path: Path) -> None:
    path = write("def f() -> None: ...")
    (tmp_path / "folder").mkdir()
    again = tmp_path / "folder" / ".." / path.name
    assert str(refusal_of(path, again)) == f"{again}: is given twice"


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
            "parametersJsonSchema": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "times": {"type": "integer", "default": 1}},
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


POINT = {
    "properties": {"x": {"title": "X", "type": "integer"}, "y": {"default": 0, "title": "Y", "type": "integer"}},
    "required": ["x"],
    "title": "Point",
    "type": "object",
}
COLOR = {"description": "A colour.", "enum": ["red", "blue"], "title": "Color", "type": "string"}
JSON_SCHEMAS: dict[str, dict[str, Any]] = {
    "take_string": {"type": "string"},
    "take_integer": {"type": "integer"},
    "take_number": {"type": "number"},
    "take_boolean": {"type": "boolean"},
    "take_enum": COLOR,
    "take_integer_enum": {"enum": [1, 2], "title": "Level", "type": "integer"},
    "take_literal": {"enum": ["a", "b"], "type": "string"},
    "take_one_literal": {"const": "a", "type": "string"},
    "take_optional": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "take_union": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    "take_list": {"items": {"type": "integer"}, "type": "array"},
    "take_set": {"items": {"type": "string"}, "type": "array", "uniqueItems": True},
    "take_dict": {"additionalProperties": {"type": "integer"}, "type": "object"},
    "take_dataclass": POINT,
    "take_datetime": {"format": "date-time", "type": "string"},
    "take_date": {"format": "date", "type": "string"},
    "take_uuid": {"format": "uuid", "type": "string"},
    "take_path": {"format": "path", "type": "string"},
    "take_described": {"description": "how many", "minimum": 0, "type": "integer"},
    "take_described_dataclass": {"$ref": "#/$defs/Point", "description": "where"},
    "take_anything": {},
    "take_recursive": {"$ref": "#/$defs/Node"},
    "take_list_of_dataclasses": {"items": {"$ref": "#/$defs/Point"}, "type": "array"},
}


def test_each_type_is_declared_as_json_schema() -> None:
    helper = load("typed.py")
    for name, expected in JSON_SCHEMAS.items():
        schema = declaration_of(helper, name)["parametersJsonSchema"]
        assert schema["properties"] == {"value": expected}, name
        assert schema["required"] == ["value"], name
    described = declaration_of(helper, "take_described_dataclass")["parametersJsonSchema"]
    assert described["$defs"] == {"Point": POINT}
    assert "parametersJsonSchema" not in declaration_of(helper, "take_nothing")


OPENAPI_POINT = {
    "properties": {"x": {"title": "X", "type": "INTEGER"}, "y": {"default": 0, "title": "Y", "type": "INTEGER"}},
    "required": ["x"],
    "title": "Point",
    "type": "OBJECT",
}
OPENAPI_SCHEMAS: dict[str, dict[str, Any]] = {
    "take_string": {"type": "STRING"},
    "take_integer": {"type": "INTEGER"},
    "take_number": {"type": "NUMBER"},
    "take_boolean": {"type": "BOOLEAN"},
    "take_enum": COLOR | {"type": "STRING", "format": "enum"},
    "take_integer_enum": {"description": "One of 1, 2.", "title": "Level", "type": "INTEGER"},
    "take_literal": {"enum": ["a", "b"], "type": "STRING", "format": "enum"},
    "take_one_literal": {"enum": ["a"], "type": "STRING", "format": "enum"},
    "take_optional": {"type": "INTEGER", "nullable": True},
    "take_union": {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
    "take_list": {"items": {"type": "INTEGER"}, "type": "ARRAY"},
    "take_set": {"items": {"type": "STRING"}, "type": "ARRAY"},
    "take_tuple": {"items": {"type": "INTEGER"}, "type": "ARRAY", "minItems": 2, "maxItems": 2},
    "take_mixed_tuple": {
        "items": {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
        "type": "ARRAY",
        "minItems": 2,
        "maxItems": 2,
    },
    "take_dict": {"type": "OBJECT"},
    "take_dataclass": OPENAPI_POINT,
    "take_datetime": {"format": "date-time", "type": "STRING"},
    "take_date": {"description": "Format: date.", "type": "STRING"},
    "take_described": {"description": "how many", "minimum": 0, "type": "INTEGER"},
    "take_described_dataclass": OPENAPI_POINT | {"description": "where"},
    "take_list_of_dataclasses": {"items": OPENAPI_POINT, "type": "ARRAY"},
}


def without_the_untellable(write: Write) -> Path:
    """Return typed.py less the two functions that the OpenAPI subset has no words for."""
    source = (FILES / "typed.py").read_text()
    for name in ("take_anything", "take_recursive"):
        source, count = re.subn(rf"def {name}", f"def _{name}", source)
        assert count == 1
    return write(source)


def test_each_type_is_declared_in_the_openapi_subset_for_a_model_that_wants_it(write: Write) -> None:
    helper = load_file(without_the_untellable(write), OPENAPI)
    for name, expected in OPENAPI_SCHEMAS.items():
        parameters = declaration_of(helper, name)["parameters"]
        assert parameters == {"type": "OBJECT", "properties": {"value": expected}, "required": ["value"]}, name
    assert declaration_of(helper, "take_nothing") == {"name": "take_nothing"}


def test_the_service_takes_the_declarations(write: Write) -> None:
    declarations = load("typed.py", "defaults.py", "definitions.py").declarations
    openapi = load_file(without_the_untellable(write), OPENAPI).declarations
    for declared in (declarations, openapi):
        check_client_message({"setup": {"model": "models/m", "tools": [{"functionDeclarations": declared}]}})
    assert "$" not in json.dumps(openapi)


def test_a_type_used_twice_is_spelt_out_twice_in_the_openapi_subset(write: Write) -> None:
    path = write("""
        from dataclasses import dataclass
        @dataclass
        class Point:
            x: int
        def f(a: list[Point], b: list[Point]) -> None: ...
    """)
    properties = load_file(path, OPENAPI).declarations[0]["parameters"]["properties"]
    assert properties["a"] == properties["b"]
    assert properties["a"]["items"]["properties"] == {"x": {"title": "X", "type": "INTEGER"}}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("from typing import Any\ndef f(a: Any) -> None: ...", "no one type"),
        ("def f(a: list) -> None: ...", "no one type"),
        ("from typing import Literal\ndef f(a: Literal[1, 'a']) -> None: ...", "no one type"),
        (
            "from __future__ import annotations\nimport pydantic\nclass Node(pydantic.BaseModel):\n"
            "    children: list[Node]\ndef f(a: Node) -> None: ...",
            "takes a Node, which contains itself",
        ),
    ],
)
def test_what_the_openapi_subset_cannot_say_is_refused_for_a_model_that_wants_it(
    write: Write, source: str, reason: str
) -> None:
    path = write(source)
    assert reason in refusal_of(path, capabilities=OPENAPI).reason
    assert load_file(path).names == ("f",)


def test_what_is_required_is_what_has_no_default_and_defaults_are_told_where_json_can() -> None:
    schema = load("defaults.py").declarations[0]["parametersJsonSchema"]
    assert schema["required"] == ["thing", "anything", "factor"]
    properties = schema["properties"]
    assert properties["color"]["default"] == "red"
    assert properties["at"]["default"] == {"x": 1, "y": 0}
    assert properties["tags"] == {
        "anyOf": [{"items": {"type": "string"}, "type": "array", "uniqueItems": True}, {"type": "null"}],
        "default": None,
    }
    assert properties["weight"]["default"] is None
    assert "default" not in properties["scale"]
    assert "default" not in properties["size"]
    assert properties["anything"] == {}


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
        assert set(declaration) == {"name", "behavior", "parametersJsonSchema"}


def test_log_lines_and_warnings_of_the_sdk_stay_off_stderr(
    write: Write, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    original = types.FunctionDeclaration.from_callable_with_api_option

    def chatter(cls: Any, /, **kwargs: Any) -> types.FunctionDeclaration:
        logging.getLogger("google_genai.types").warning("not recommended")
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)
        return original(**kwargs)

    monkeypatch.setattr(types.FunctionDeclaration, "from_callable_with_api_option", classmethod(chatter))
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(handler)
    try:
        assert load_file(write("def f(): ...")).names == ("f",)
    finally:
        logging.getLogger().removeHandler(handler)
    assert capfd.readouterr().err == ""
    assert logging.getLogger("google_genai").level == logging.NOTSET


def test_google_genai_is_imported_only_for_a_file() -> None:
    code = (
        "import sys; from gemini_live.functions.function_helper import FunctionHelper;"
        "from gemini_live.models import ModelCapabilities;"
        "FunctionHelper.load([], capabilities=ModelCapabilities(), timeout_s=1);"
        "sys.exit(bool({'google.genai', 'pydantic', 'typing_extensions'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


# Arguments.

FITTING: list[tuple[str, Any, str]] = [
    ("take_string", "x\n\x1b", "'x\\n\\x1b'"),
    ("take_integer", 3, "3"),
    ("take_integer", 3.0, "3"),
    ("take_number", 3, "3.0"),
    ("take_boolean", True, "True"),
    ("take_enum", "red", "<Color.RED: 'red'>"),
    ("take_integer_enum", 2, "<Level.HIGH: 2>"),
    ("take_integer_enum", 2.0, "<Level.HIGH: 2>"),
    ("take_literal", "b", "'b'"),
    ("take_optional", None, "None"),
    ("take_union", "3", "'3'"),
    ("take_list", [1, 2], "[1, 2]"),
    ("take_set", ["b", "a", "b"], "['a', 'b']"),
    ("take_tuple", [1, 2], "(1, 2)"),
    ("take_mixed_tuple", [1, "x"], "(1, 'x')"),
    ("take_named_tuple", [1, "x"], "Pair(left=1, right='x')"),
    ("take_dict", {"a": 1}, "{'a': 1}"),
    ("take_dataclass", {"x": 1}, "Point(x=1, y=0)"),
    ("take_typed_dict", {"text": "x", "color": "blue"}, "{'text': 'x', 'color': <Color.BLUE: 'blue'>}"),
    ("take_model", {"name": "n", "points": [{"x": 1}]}, "Shape(name='n', points=[Point(x=1, y=0)])"),
    ("take_list_of_dataclasses", [{"x": 1, "y": 2}], "[Point(x=1, y=2)]"),
    ("take_datetime", "2026-11-22T10:00:00", "datetime.datetime(2026, 11, 22, 10, 0)"),
    ("take_date", "2026-11-22", "datetime.date(2026, 11, 22)"),
    ("take_decimal", "1.10", "Decimal('1.10')"),
    ("take_uuid", "12345678123456781234567812345678", "UUID('12345678-1234-5678-1234-567812345678')"),
    ("take_path", "a/b", "a/b"),
    ("take_described", 0, "0"),
    ("take_anything", {"a": [1, None]}, "{'a': [1, None]}"),
    (
        "take_recursive",
        {"value": 1, "children": [{"value": 2}]},
        "Node(value=1, children=[Node(value=2, children=[])])",
    ),
]


async def test_arguments_are_converted_to_the_annotated_types() -> None:
    helper = load("typed.py")
    for name, value, shown in FITTING:
        assert await helper.call(name, {"value": value}) == CallResult(response={"output": shown})


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("take_integer", {}, "missing value"),
        ("take_integer", {"value": 1, "a": 2, "b": 3}, "unknown a, b (it takes value)"),
        ("take_nothing", {"a": 2}, "unknown a (it takes no arguments)"),
        ("take_integer", {"valu": 1}, "missing value; unknown valu (it takes value)"),
        ("take_integer", {"value": "three"}, "value: Input should be a valid integer"),
        ("take_integer", {"value": 1.5}, "value: Input should be a valid integer, got a number with a fractional part"),
        ("take_integer", {"value": None}, "value: Input should be a valid integer"),
        ("take_string", {"value": 3}, "value: Input should be a valid string"),
        ("take_enum", {"value": "green"}, "value: Input should be 'red' or 'blue'"),
        ("take_dataclass", {"value": {"y": "x"}}, "value.x: Field required; value.y: Input should be a valid integer"),
        ("take_list_of_dataclasses", {"value": [{"x": 1}, {}]}, "value.1.x: Field required"),
        ("take_date", {"value": "tomorrow"}, "value: Input should be a valid date"),
        ("take_described", {"value": -1}, "value: Input should be greater than or equal to 0"),
        ("take_tuple", {"value": [1]}, "value.1: Field required"),
        ("take_string", {"value": "\ud800"}, "value: Invalid JSON"),
    ],
)
async def test_arguments_that_do_not_fit_are_an_error_that_names_them(
    name: str, args: dict[str, Any], error: str
) -> None:
    result = await load("typed.py").call(name, args)
    assert result.failed
    assert result.traceback is None
    assert result.response["error"].startswith(f"the arguments do not fit {name}: ")
    assert error in result.response["error"]
    json.dumps(result.response).encode()


async def test_arguments_nested_beyond_reason_are_an_error() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    result = await load("typed.py").call("take_anything", {"value": value})
    assert "RecursionError" in result.response["error"]
    while value:  # Python 3.11 overflows its stack when it frees the whole at once
        value = value[0]


@pytest.mark.parametrize(("number", "error"), [(-1, "negative"), (13, "value: KeyError: 'unlucky'")])
async def test_a_validator_that_refuses_or_fails_is_an_error(number: int, error: str) -> None:
    result = await load("running.py").call("validated", {"value": {"number": number}})
    assert error in result.response["error"]


async def test_what_may_be_left_out_takes_its_default() -> None:
    helper = load("defaults.py")
    result = await helper.call("paint", {"thing": "door", "anything": None, "factor": 2})
    assert result.response == {"output": "door None Color.RED Point(x=1, y=0) None None nan unset 2"}
    given = {"thing": "", "anything": 1, "color": "blue", "tags": None, "weight": 2, "size": 4, "factor": 2}
    result = await helper.call("paint", given)
    assert result.response == {"output": " 1 Color.BLUE Point(x=1, y=0) None 2.0 nan 4 2"}


async def test_an_unknown_name_is_an_error_that_lists_the_known_ones(write: Write) -> None:
    helper = load_file(write("def f(): ...\ndef g(): ..."))
    assert await helper.call("h", {}) == CallResult(
        response={"error": "there is no function 'h'; the functions: f, g"}, failed=True
    )
    empty = FunctionHelper.load([], capabilities=DEFAULT, timeout_s=1)
    assert (await empty.call("h", {})).response == {"error": "there is no function 'h'; the functions: there are none"}


# Results.

READING = {"when": "2026-11-22", "mood": "good"}
SENDABLE: dict[str, dict[str, Any]] = {
    "dict": {"a": 1, "b": [None, True, 1.5, "x"]},
    "empty dict": {},
    "none": {"output": None},
    "string": {"output": "x"},
    "list": {"output": [1, 2]},
    "tuple": {"output": [1, 2]},
    "enum": {"output": "good"},
    "enum key": {"good": 1},
    "date": {"output": "2026-11-22"},
    "dataclass": {"output": READING},
    "model": {"output": {"reading": READING, "delay": "PT1M30S"}},
    "model inside": {"models": [{"reading": READING, "delay": "PT1M30S"}]},
}


@pytest.mark.parametrize("name", ["give", "give_later"])
async def test_a_dict_is_the_response_and_anything_else_its_output(name: str) -> None:
    helper = load("running.py")
    for key, response in SENDABLE.items():
        result = await helper.call(name, {"key": key})
        assert result == CallResult(response=response), key
        assert json.loads(json.dumps(result.response)) == response
    deep = (await helper.call(name, {"key": "deep"})).response
    assert str(deep["output"]) == "[" * 64 + "]" * 64


UNSENDABLE = {
    "bytes": "the result['data'] is of type bytes",
    "set": "the result['a'][0] is of type set",
    "nan": "the result['a'][1] is nan",
    "infinity": "the result is -inf",
    "nan inside": "the result['mood'] is nan",
    "integer key": "the result has a key that is no string, 1",
    "tuple key": "the result['a'] has a key that is no string, ('xxx",
    "circle": "the result[0]['again'] contains itself",
    "too deep": "[0][0] is nested too deeply",
    "object": "the result['it'] is of type lock (PydanticSerializationError: Unable to serialize unknown type",
    "generator": "the result is of type generator",
    "half a character": "the result[0] is not valid Unicode",
    "half a character in a key": "a key of the result is not valid Unicode",
    "large number": "the result is too large a number",
}


@pytest.mark.parametrize("name", ["give", "give_later"])
async def test_a_result_that_json_cannot_hold_is_an_error_that_says_where(name: str) -> None:
    helper = load("running.py")
    for key, error in UNSENDABLE.items():
        result = await helper.call(name, {"key": key})
        assert result.failed, key
        assert result.response["error"].startswith("the function returned what JSON cannot hold: "), key
        assert error in result.response["error"], key
        assert len(result.response["error"]) < 2_000
        json.dumps(result.response).encode()


async def test_what_only_a_with_statement_can_use_is_an_error() -> None:
    helper = load("running.py")
    for name in ("managed", "managed_later"):
        assert "GeneratorContextManager" in (await helper.call(name, {})).response["error"]


@pytest.mark.parametrize("how", ["SILENT", "WHEN_IDLE", "INTERRUPT"])
async def test_scheduling_in_the_dict_is_taken_out_for_a_model_that_knows_it(how: str) -> None:
    result = await load("running.py").call("schedule", {"how": how})
    assert result == CallResult(response={"output": "x"}, scheduling=how)


async def test_what_is_no_scheduling_stays_in_the_response() -> None:
    helper = load("running.py")
    result = await helper.call("schedule", {"how": "daily"})
    assert result == CallResult(response={"output": "x", "scheduling": "daily"})
    result = await helper.call("schedule_oddly", {})
    assert result == CallResult(response={"scheduling": {"how": "SILENT"}})


@pytest.mark.parametrize("behavior", list(Behavior))
async def test_scheduling_stays_in_the_response_for_a_model_without_it(behavior: Behavior, write: Write) -> None:
    path = write("def schedule(how: str) -> dict: return {'scheduling': how}")
    result = await load_file(path, ModelCapabilities(behaviors=(behavior,))).call("schedule", {"how": "SILENT"})
    assert result == CallResult(response={"scheduling": "SILENT"})


# Errors.

RAISED = {
    "value": "ValueError: no such city",
    "lines": "ValueError: one two three",
    "no message": "ValueError",
    "awkward": "Awkward: (its message cannot be shown)",
    "half a character": "ValueError: \\udcff",
    "unusual": "Unusual: raised",
    "exit": "SystemExit: bye",
    "generator exit": "GeneratorExit",
    "group": "ExceptionGroup: several (2 sub-exceptions)",
    "timeout": "TimeoutError: the oven",
}


@pytest.mark.parametrize("name", ["fail", "fail_later"])
async def test_what_a_function_raises_is_an_error_in_one_line_with_its_traceback_kept(name: str) -> None:
    helper = load("running.py")
    for key, error in RAISED.items():
        result = await helper.call(name, {"key": key})
        assert (result.response, result.failed) == ({"error": error}, True), key
        assert result.traceback is not None
        assert "ERRORS[key]()" in result.traceback
        assert "function_helper.py" not in result.traceback
        result.traceback.encode()


async def test_a_long_error_is_cut() -> None:
    error = (await load("running.py").call("fail", {"key": "long"})).response["error"]
    assert len(error) == 2_000
    assert error.startswith("ValueError: xxx")
    assert error.endswith("x…")


async def test_sys_exit_in_a_function_is_an_error() -> None:
    assert (await load("running.py").call("leave", {})).response == {"error": "SystemExit: 3"}


async def test_stop_iteration_ends_nothing() -> None:
    helper = load("running.py")
    assert (await helper.call("fail", {"key": "stop iteration"})).response == {"error": "StopIteration: 3"}
    result = await helper.call("fail_later", {"key": "stop iteration"})
    assert result.response == {"error": "RuntimeError: coroutine raised StopIteration"}


async def test_keyboard_interrupt_in_a_thread_is_the_functions_own_error() -> None:
    result = await load("running.py").call("fail", {"key": "interrupt"})
    assert result.response == {"error": "KeyboardInterrupt: from a thread"}


async def test_keyboard_interrupt_on_the_loop_is_the_functions_own_error_too() -> None:
    result = await load("running.py").call("fail_later", {"key": "interrupt"})
    assert (result.response, result.failed) == ({"error": "KeyboardInterrupt: from a thread"}, True)


async def test_cancelled_error_of_a_functions_own_is_an_error() -> None:
    helper = load("running.py")
    assert (await helper.call("fail", {"key": "cancelled"})).response == {"error": "CancelledError"}
    result = await helper.call("fail_later", {"key": "cancelled"})
    assert result.response == {"error": "CancelledError: fail_later cancelled itself"}
    assert result.failed


async def test_a_thread_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    helper = load("running.py")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    result = await helper.call("show_thread", {})
    assert result.response == {"error": "RuntimeError: can't start new thread"}


# Threads, the loop, and time.


async def test_a_plain_function_runs_in_a_daemon_thread_of_its_own_with_the_callers_context() -> None:
    helper = load("running.py")
    gates.caller.set("test")
    expected = {"name": "function show_thread", "daemon": True, "caller": "test"}
    assert (await helper.call("show_thread", {})).response == expected
    assert (await helper.call("change_caller", {})).response == {"output": "changed"}
    assert gates.caller.get() == "test"


async def test_a_coroutine_function_runs_on_the_loop_with_the_callers_context() -> None:
    gates.caller.set("test")
    result = await load("running.py").call("show_loop_thread", {})
    assert result.response == {"main": True, "caller": "test"}


async def test_a_plain_function_that_returns_an_awaitable_is_awaited_on_the_loop() -> None:
    result = await load("running.py").call("decorated", {})
    assert result.response == {"output": threading.current_thread().name}
    assert gates.log == ["function decorated"]
    failed = await load("running.py").call("decorated_fail", {})
    assert failed.response == {"error": "ValueError: after all"}


async def test_calls_run_at_the_same_time() -> None:
    helper = load("running.py")
    results = await asyncio.gather(*(helper.call("meet", {"names": [name]}) for name in "abc"))
    assert [result.response for result in results] == [{"output": 1}] * 3


async def test_the_loop_goes_on_while_a_plain_function_blocks() -> None:
    helper = load("running.py")
    call = asyncio.create_task(helper.call("block", {}))
    await pass_gate(gates.entered)
    assert not call.done()
    gates.released.set()
    assert (await call).response == {"output": "late"}


async def test_a_plain_function_that_takes_too_long_is_an_error_and_its_result_is_dropped() -> None:
    helper = load("running.py", timeout_s=0.05)
    result = await helper.call("block", {})
    assert result == CallResult(
        response={"error": "TimeoutError: block did not finish within 0.05 s"},
        failed=True,
        note="block runs on, for a plain function cannot be stopped; its result will be dropped",
    )
    assert not gates.left.is_set()
    gates.released.set()
    await join_functions()
    await asyncio.sleep(0)
    assert helper.runs_on("block") is None


async def pass_gate(gate: threading.Event) -> None:
    assert await asyncio.to_thread(gate.wait, PATIENCE_S)


async def join_functions() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("function "):
            await asyncio.to_thread(thread.join, PATIENCE_S)


async def test_a_coroutine_that_comes_too_late_to_be_awaited_is_closed() -> None:
    helper = load("running.py", timeout_s=0.05)
    assert (await helper.call("block_then_return_coroutine", {})).failed
    gates.released.set()
    await join_functions()
    await asyncio.sleep(0)
    assert gates.log == []


@pytest.mark.parametrize("name", ["block", "block_then_return_coroutine"])
def test_a_plain_function_that_outlives_the_loop_ends_quietly(name: str) -> None:
    helper = load("running.py", timeout_s=0.05)
    assert asyncio.run(helper.call(name, {})).failed
    gates.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("function "):
            thread.join(PATIENCE_S)
    assert gates.log == []


async def test_a_coroutine_function_that_takes_too_long_is_cancelled_and_cleans_up() -> None:
    helper = load("running.py", timeout_s=0.05)
    result = await helper.call("wait", {})
    assert result == CallResult(
        response={"error": "TimeoutError: wait did not finish within 0.05 s"}, failed=True, note=None
    )
    await pass_gate(gates.left)


@pytest.mark.parametrize("name", ["insist", "insist_and_fail"])
async def test_a_coroutine_that_ignores_its_cancellation_holds_nobody_up(name: str) -> None:
    result = await load("running.py", timeout_s=0.05).call(name, {})
    assert "TimeoutError" in result.response["error"]
    await pass_gate(gates.left)


async def test_an_awaitable_of_a_plain_function_is_cancelled_when_it_takes_too_long() -> None:
    result = await load("running.py", timeout_s=1.0).call("decorated_wait", {})
    assert "TimeoutError" in result.response["error"]
    assert gates.entered.is_set()
    assert result.note is None


async def test_cancelling_a_call_cancels_a_coroutine_function() -> None:
    helper = load("running.py")
    call = asyncio.create_task(helper.call("wait", {}))
    await pass_gate(gates.entered)
    assert helper.runs_on("wait") is None
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await pass_gate(gates.left)


async def test_cancelling_a_call_gives_up_a_plain_function_and_says_that_it_runs_on() -> None:
    helper = load("running.py")
    notes = []

    async def call() -> None:
        try:
            await helper.call("block", {})
        except asyncio.CancelledError:
            notes.append(helper.runs_on("block"))
            raise

    task = asyncio.create_task(call())
    await pass_gate(gates.entered)
    assert helper.runs_on("block") is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notes == ["block runs on, for a plain function cannot be stopped; its result will be dropped"]
    assert not gates.left.is_set()


async def test_a_cancelled_call_of_one_function_leaves_the_others_alone() -> None:
    helper = load("running.py")
    waiting = asyncio.create_task(helper.call("wait", {}))
    blocking = asyncio.create_task(helper.call("block", {}))
    await pass_gate(gates.entered)
    waiting.cancel()
    gates.released.set()
    assert (await blocking).response == {"output": "late"}
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_call_does_not_see_the_context_that_another_left() -> None:
    helper = load("running.py")
    first = (await helper.call("copy_context", {})).response["output"]
    contextvars.ContextVar[int]("one more").set(1)
    assert (await helper.call("copy_context", {})).response["output"] == first + 1


# The examples.


async def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    helper = load_file(EXAMPLES)
    assert helper.names[:2] == ("get_current_weather", "line_printer")
    weather = (await helper.call("get_current_weather", {"location": "Oslo"})).response
    assert weather["unit"] == "celsius"
    warmer = (await helper.call("get_current_weather", {"location": " OSLO", "unit": "fahrenheit"})).response
    assert warmer["temperature"] == round(weather["temperature"] * 9 / 5 + 32)
    assert (await helper.call("line_printer", {"lines": ["one", "two"]})).response == {"output": "printed 2 lines"}
    assert capsys.readouterr().out == "one\ntwo\n"
    assert (await helper.call("set_timer", {"seconds": 0.001})).response == {"output": "timer: 0.001 seconds are over"}
    assert (await helper.call("divide", {"dividend": 1, "divisor": 4})).response == {"output": 0.25}
    assert "ZeroDivisionError" in (await helper.call("divide", {"dividend": 1, "divisor": 0})).response["error"]
    stops = [
        {"name": "Lisbon", "latitude": 38.72, "longitude": -9.14},
        {"name": "Tallinn", "latitude": 59.44, "longitude": 24.75},
    ]
    km = (await helper.call("measure_route", {"stops": stops})).response
    assert km == {"length": pytest.approx(3320, abs=30), "unit": "km"}
    assert (await helper.call("measure_route", {"stops": stops, "unit": "miles"})).response["length"] < km["length"]
    assert "two stops" in (await helper.call("measure_route", {"stops": []})).response["error"]
    args = {"first_day": "2026-11-21", "busy": ["2026-11-23"]}
    assert (await helper.call("find_meeting_day", args)).response == {"output": "2026-11-24"}


@pytest.mark.parametrize("capabilities", [DEFAULT, OPENAPI])
def test_the_examples_are_declared_with_a_description_each(capabilities: ModelCapabilities) -> None:
    for declaration in load_file(EXAMPLES, capabilities).declarations:
        assert declaration["description"].endswith(".")
