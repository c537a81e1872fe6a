"""Files of functions are loaded again if they have changed."""

import os
from pathlib import Path

import pytest

from gemini_live.errors import FunctionDeclarationError
from gemini_live.functions.library import FunctionLibrary
from tests.functions.loading import DEFAULT, PATIENCE_S, Write


def library_of(*files: Path) -> FunctionLibrary:
    return FunctionLibrary(files, capabilities=DEFAULT, timeout_s=PATIENCE_S)


async def test_a_changed_file_is_loaded_again_and_others_are_not(write: Write) -> None:
    first, second = write("def f() -> int: return 1\n", "a.py"), write("def g() -> int: return 1\n", "b.py")
    library, changes = library_of(first, second), []
    library.caller.on_replaced = lambda: changes.append(library.caller.declarations)
    assert await library.reload() == []
    write("def f() -> int: return 2\n", "a.py")
    assert await library.reload() == [f"{first}: loaded again"]
    assert (await library.caller.call("f", {})).response == {"output": 2}
    assert changes == []  # the model need not know
    write("def f(n: int) -> int: return n\n", "a.py")
    await library.reload()
    assert changes == [library.caller.declarations]
    assert (await library.caller.call("f", {"n": 3})).response == {"output": 3}


async def test_what_cannot_be_loaded_stays_as_it_was(write: Write) -> None:
    file, other = write("def f() -> int: return 1\n", "a.py"), write("def g() -> int: return 1\n", "b.py")
    library = library_of(file, other)
    for source, why in (
        ("def f(: pass\n", f"{file}:1: cannot be imported: invalid syntax"),
        ("def g() -> int: return 2\n", f"{other}:1: `g` is already defined in {file}:1: rename one of them"),
        ("x = 1\n", f"{file}: defines no public function: write one with `def`"),
    ):
        write(source, "a.py")
        assert await library.reload() == [f"{why}; the functions of before stay"]
        assert (await library.caller.call("f", {})).response == {"output": 1}
    file.unlink()
    assert await library.reload() == [
        f"{file}: cannot be read: No such file or directory; the functions of before stay"
    ]


async def test_a_changed_neighbour_is_imported_again(write: Write) -> None:
    neighbour = write("N = 1\n", "neighbour_of_reload.py")
    file = write("import neighbour_of_reload\ndef f() -> int: return neighbour_of_reload.N\n")
    library = library_of(file)
    assert (await library.caller.call("f", {})).response == {"output": 1}
    neighbour.write_text("N = 22\n")
    later_ns = neighbour.stat().st_mtime_ns + 2_000_000_000
    os.utime(neighbour, ns=(later_ns, later_ns))
    assert await library.reload() == [f"{file}: loaded again"]
    assert (await library.caller.call("f", {})).response == {"output": 22}


def test_a_file_that_is_wrong_at_the_start_is_refused(write: Write) -> None:
    with pytest.raises(FunctionDeclarationError, match="is given twice"):
        library_of(*[write("def f() -> int: return 1\n")] * 2)
