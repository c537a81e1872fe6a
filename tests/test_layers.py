"""The shape of the package: imports go down only, and each foreign library has one module that knows it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "gemini_live"

ROWS = (
    ("frozen",),
    ("config", "errors", "escaping", "files", "hosts", "models"),
    ("conversation", "audio", "functions", "process", "recording", "screen"),
    ("wire", "output"),
    ("session", "prompt", "inspection"),
    ("choose_functions", "choose_output", "completion", "options", "run_session"),
    ("cli",),
    ("__main__",),
)
"""The rooms of the client, the lowest first. A room imports from rows below its own, and from itself."""

FENCES = {
    "websockets": {"wire", "simulator"},
    "pyaudio": {"audio"},
    "soxr": {"audio"},
    "soundfile": {"audio"},
    "pywebrtc_audio": {"audio"},
    "mss": {"screen"},
    "PIL": {"screen"},
    "google": {"functions"},
    "pydantic": {"functions"},
    "mcp": {"functions"},
    "mcp_types": {"functions"},
    "anyio": {"functions"},
    "httpx2": {"functions"},
    "prompt_toolkit": {"prompt"},
    "platformdirs": {"prompt"},
    "shtab": {"completion"},
    "genai_prices": {"inspection"},
}
"""The only rooms that may import a library."""

THE_SIMULATOR_MAY_IMPORT = {
    *("errors", "escaping", "files", "hosts", "models", "audio.pcm", "audio.resampling", "audio.voice_detector"),
    *("recording.format", "recording.lines", "recording.read", "recording.write"),
}
"""What knows nothing of a session."""

FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "misc"}

SLOW_TO_LOAD = {
    *(
        "pyaudio",
        "google.genai",
        "mcp",
        "pydantic",
        "mss",
        "PIL",
        "numpy",
        "soundfile",
        "soxr",
        "prompt_toolkit",
        "shtab",
    ),
}


class Import(NamedTuple):
    """One module named by an import."""

    name: str
    line: int


def module_name(path: Path) -> str:
    """Return the name inside the package: `audio`, `simulator.server`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
CLIENT = [name for name in MODULES if not name.startswith("simulator")]
SIMULATOR = [name for name in MODULES if name.startswith("simulator")]


def imports_of(module: str) -> Iterator[Import]:
    """Yield the absolute name of every module that `module` imports, inside functions and for type checkers too."""
    path = MODULES[module]
    package = ["gemini_live", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield Import(origin, node.lineno)
            # `from . import pcm` and `from google import genai` name modules, other names do no harm.
            yield from (Import(f"{origin}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            yield from (Import(name, node.lineno) for name in names if isinstance(name, str))


def own_imports_of(module: str) -> Iterator[Import]:
    """Yield the modules of this package that `module` imports, by their name inside it."""
    for name, line in imports_of(module):
        inner = name.removeprefix("gemini_live.")
        if name == "gemini_live" or f"{inner}.__init__" in MODULES:
            inner = "__init__" if name == "gemini_live" else f"{inner}.__init__"
        if name.split(".")[0] == "gemini_live" and inner in MODULES and inner != module:
            yield Import(inner, line)


def room_of(module: str) -> str:
    """Return the folder, or the module itself where it lies in none."""
    return module.split(".", maxsplit=1)[0]


def test_every_room_of_the_client_is_in_the_table_once() -> None:
    table = [room for row in ROWS for room in row]
    assert sorted(table) == sorted({room_of(module) for module in CLIENT} - {"__init__"})


def test_imports_between_rooms_go_down_only() -> None:
    height = {room: index for index, row in enumerate(ROWS) for room in row}
    upward = [
        f"{module} (line {line}) imports {name}"
        for module in CLIENT
        for name, line in own_imports_of(module)
        if room_of(name) not in {room_of(module), "__init__", "simulator"}
        and height[room_of(name)] >= height[room_of(module)]
    ]
    assert upward == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    # A package's `__init__` may import its parts.
    faces = {name for name in MODULES if name.split(".")[-1] == "__init__"}
    graph = {name: {target.name for target in own_imports_of(name)} - faces for name in MODULES}
    while graph:
        leaves = {name for name, targets in graph.items() if not targets & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {name: targets for name, targets in graph.items() if name not in leaves}


@pytest.mark.parametrize("library", FENCES)
def test_a_library_is_known_to_one_room(library: str) -> None:
    importers = {
        room_of(module) for module in MODULES for name, _ in imports_of(module) if name.split(".")[0] == library
    }
    assert importers <= FENCES[library]


def test_the_simulator_imports_only_what_knows_nothing_of_a_session() -> None:
    outside = {
        f"{module} (line {line}) imports {name}"
        for module in SIMULATOR
        for name, line in own_imports_of(module)
        if name not in SIMULATOR and not name.endswith("__init__") and name not in THE_SIMULATOR_MAY_IMPORT
    }
    assert outside == set()


def test_only_the_command_line_imports_the_simulator() -> None:
    importers = {module for module in CLIENT for name, _ in own_imports_of(module) if name in SIMULATOR}
    assert importers <= {"cli"}


def test_no_module_is_named_for_being_handy() -> None:
    assert {name for name in MODULES if FORBIDDEN_NAMES & set(name.split("."))} == set()


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_module_only_defines(module: str) -> None:
    """Look for calls whose result nobody keeps: they are there for an effect, on the module's own objects at most."""
    body = ast.parse(MODULES[module].read_bytes()).body
    own = {
        name.id for node in body if isinstance(node, ast.Assign) for name in node.targets if isinstance(name, ast.Name)
    }
    calls = [node.value for node in body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    effects = [ast.unparse(call) for call in calls if ast.unparse(call.func).split(".")[0] not in own]
    assert effects == []


def test_help_loads_nothing_that_is_slow_or_an_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gemini_live", "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "--import-functions" in done.stdout
    loaded = set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "gemini_live.cli" in loaded
    assert loaded & SLOW_TO_LOAD == set()
