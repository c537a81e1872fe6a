"""Importing files of functions: which are offered, and which files are refused."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gemini_live.errors import FunctionDeclarationError, MissingExtraError
from tests.functions.loading import (
    DEFAULT,
    PATIENCE_S,
    Write,
    declaration_of,
    load,
    load_file,
    load_functions,
    names_of,
    refusal_of,
)


def test_without_files_there_are_no_functions_and_no_extra_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    assert load_functions([], capabilities=DEFAULT, timeout_s=1).declarations == []


def test_without_pydantic_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(MissingExtraError, match=r"gemini-live\[functions\]"):
        load("typed.py")


def test_the_public_defs_of_the_file_are_offered_in_their_order_and_nothing_else() -> None:
    assert names_of(load("definitions.py")) == [
        "plain",
        "asynchronous",
        "wrapped",
        "cached",
        "twice_wrapped",
        "overloaded",
        "conditional",
        "guarded",
    ]


def test_functions_of_several_files_are_offered_in_the_order_of_the_files(write: Write) -> None:
    first, second = write("def b() -> int: return 1", "one.py"), write("def a() -> int: return 2", "two.py")
    functions = load_functions([first, second], capabilities=DEFAULT, timeout_s=1)
    assert names_of(functions) == ["b", "a"]


async def test_a_wrapped_function_is_declared_as_its_inner_one_and_called_through_its_wrapper() -> None:
    functions = load("definitions.py")
    assert declaration_of(functions, "wrapped")["parameters"] == {
        "type": "OBJECT",
        "properties": {"city": {"type": "STRING"}},
        "required": ["city"],
    }
    for name in ("wrapped", "cached", "twice_wrapped", "asynchronous"):
        assert (await functions.call(name, {"city": "Oslo"})).response == {"output": "Oslo"}


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
    functions = load_file(path)
    assert names_of(functions) == ["shout"]
    assert (await functions.call("shout", {"city": "Oslo"})).response == {"output": "Oslo!"}


async def test_pydantics_own_decorator_may_be_used(write: Write) -> None:
    path = write("""
        from typing import Annotated
        from pydantic import Field, validate_call

        @validate_call
        def double(number: Annotated[int, Field(gt=0)] = 1) -> int:
            return 2 * number
    """)
    functions = load_file(path)
    assert (await functions.call("double", {"number": 3})).response == {"output": 6}
    assert (await functions.call("double", {})).response == {"output": 2}


# Files that cannot be imported.


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
        ("", None, "defines no public function: write one with `def`"),
        ("def _f(): pass\nclass C:\n    def g(self): pass\nh = lambda: 1\n", None, "defines no public function"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused_in_one_line_that_names_the_place(
    write: Write, source: str | bytes, line: int | None, reason: str
) -> None:
    path = write(source.replace("\r", "") if isinstance(source, str) else source)
    refusal = refusal_of(path)
    assert refusal.file == str(path)
    assert reason in refusal.reason
    if line is not None:
        assert refusal.line == line
        assert str(refusal).startswith(f"{path}:{line}: ")


def test_for_an_imported_file_that_fails_the_line_of_the_import_is_named(write: Write) -> None:
    write("\n\n\nx = (", "nested.py")
    refusal = refusal_of(write("\n\nimport nested\ndef f() -> None: ...\n"))
    assert refusal.line == 3
    assert re.search(r"SyntaxError: .* \(nested.py, line 4\)", refusal.reason)


def test_a_file_too_deep_to_parse_is_refused(write: Write) -> None:
    assert refusal_of(write("x = " + "-" * 200_000 + "1")).reason.startswith("cannot be imported: ")


def test_what_is_not_a_readable_file_is_refused(tmp_path: Path) -> None:
    assert str(refusal_of(tmp_path)) == f"{tmp_path}: cannot be read: it is a directory"
    missing = tmp_path / "missing.py"
    assert str(refusal_of(missing)) == f"{missing}: cannot be read: No such file or directory"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes in the file system here")
def test_a_pipe_or_a_device_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        assert str(refusal_of(path)) == f"{path}: cannot be read: it is a device or a pipe, not a file"


def test_ctrl_c_while_a_file_loads_stops_the_program(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_file(write("raise KeyboardInterrupt"))


def test_a_keyboard_interrupt_of_the_file_itself_is_told_with_its_line(write: Write) -> None:
    path = write("x = 1\nraise KeyboardInterrupt")
    with pytest.raises(FunctionDeclarationError) as caught:
        load_functions([path], capabilities=DEFAULT, timeout_s=1, is_interrupted=lambda: False)
    assert str(caught.value) == f"{path}:2: cannot be imported: KeyboardInterrupt"


def test_a_file_that_exits_is_told_with_its_line(write: Write) -> None:
    path = write("import sys\nsys.exit(0)")
    assert str(refusal_of(path)) == f"{path}:2: cannot be imported: SystemExit: 0"


@pytest.mark.parametrize(("number", "name"), [(0, "stdin"), (1, "stdout"), (2, "stderr")])
def test_a_file_that_closes_a_standard_stream_is_refused_and_the_stream_is_there_again(
    write: Write, number: int, name: str
) -> None:
    path = write(f"import os\nos.close({number})\ndef f() -> str: return ''")
    before = os.fstat(number)
    assert str(refusal_of(path)) == f"{path}: cannot be imported: it closes {name}"
    after = os.fstat(number)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.py"
    path.touch()
    os.truncate(path, 3 * 2**30)
    assert str(refusal_of(path)) == f"{path}: is larger than 16 MiB"


def test_a_file_that_failed_leaves_nothing_behind(write: Write) -> None:
    modules, path = set(sys.modules), list(sys.path)
    refusal_of(write("import sys\nsys.path.clear()\n1 / 0"))
    assert {name for name in set(sys.modules) - modules if "functions" in name} == set()
    sys.path[:] = path
    refusal_of(write("1 / 0"))
    assert sys.path == path


@pytest.fixture
def _search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.usefixtures("_search_path")
async def test_a_function_may_import_its_neighbour_when_it_is_called(write: Write) -> None:
    write("GREETING = 'hello'", "late_neighbour.py")
    path = write("""
        def greet(name: str) -> str:
            import late_neighbour
            return f"{late_neighbour.GREETING} {name}"
    """)
    functions = load_file(path)
    assert (await functions.call("greet", {"name": "Ann"})).response == {"output": "hello Ann"}


@pytest.mark.usefixtures("_search_path")
def test_a_neighbour_named_like_a_library_does_not_replace_it_after_the_import(write: Write) -> None:
    write("", "wave.py")
    before = list(sys.path)
    load_file(write("def f() -> None: ..."))
    assert sys.path[: len(before)] == before


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
    functions = load_file(path)
    assert (await functions.call("f", {"point": {"x": 1}})).response == {"output": [42, 1, True]}


async def test_a_file_named_like_a_library_or_like_another_one_replaces_neither(write: Write, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = write("def first() -> str: return __file__", "json.py")
    second = write("import json\ndef second() -> str: return json.dumps(1)", "other/json_user.py")
    third = write("def third() -> str: return __file__", "other/json.py")
    functions = load_functions([first, second, third], capabilities=DEFAULT, timeout_s=PATIENCE_S)
    assert (await functions.call("first", {})).response == {"output": str(first.resolve())}
    assert (await functions.call("third", {})).response == {"output": str(third.resolve())}
    assert sys.modules["json"] is json


def test_a_file_may_have_any_suffix_and_encoding(write: Write) -> None:
    path = write(
        "# coding: latin-1\ndef f() -> str:\n    'Gr\xfc\xdfe.'\n    return ''\n".encode("latin-1"), "tools.txt"
    )
    assert load_file(path).declarations[0]["description"] == "Gr\xfc\xdfe."


def test_one_name_in_two_files_is_refused_naming_both_places(write: Write) -> None:
    first = write("\ndef f() -> None: ...", "first.py")
    second = write("x = 1\n\n\ndef f() -> None: ...", "second.py")
    refusal = refusal_of(first, second)
    assert str(refusal) == f"{second}:4: `f` is already defined in {first}:2: rename one of them"


def test_a_file_given_twice_is_refused(write: Write, tmp_path: Path) -> None:
    path = write("def f() -> None: ...")
    (tmp_path / "folder").mkdir()
    again = tmp_path / "folder" / ".." / path.name
    assert str(refusal_of(path, again)) == f"{again}: is given twice"


def test_pydantic_is_imported_only_for_a_file() -> None:
    code = (
        "import sys; from gemini_live.functions.library import FunctionLibrary;"
        "from gemini_live.models import ModelCapabilities;"
        "FunctionLibrary([], capabilities=ModelCapabilities(), timeout_s=1);"
        "sys.exit(bool({'google', 'pydantic', 'typing_extensions'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
