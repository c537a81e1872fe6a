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

LAYERS = (
    (
        *(
            "__init__",
            "audio.quiet_stderr",
            "audio.call_thread",
            "config",
            "errors",
            "output.help",
            "wire.json_fields",
            "models",
            "audio.pcm",
        ),
        *("process.streams", "process.daemon_executor"),
    ),
    ("audio.voice_detector",),
    (
        *(
            "audio.buffers",
            "prompt.completer",
            "completion",
            "prompt.line_history",
            "prompt.key_watch",
            "prompt.tty",
            "wire.messages",
            "conversation.conversation",
            "audio.conversion",
            "audio.devices",
            "echo",
            "functions.function_helper",
            "output.jsonl",
        ),
        *("process.process", "session.recovery", "wire.parse", "wire.setup", "output.transcript"),
    ),
    ("session.stats",),
    ("prompt.status_bar", "output.plain"),
    ("output.live", "prompt.view"),
    ("audio.portaudio", "wire.connection", "session.dispatch", "prompt.prompt", "screen", "audio.soundfiles"),
    ("session.uplink",),
    ("session.calls", "session.media"),
    ("session.commands", "session.inputs"),
    ("session.session",),
    ("options", "choose_output"),
    ("cli",),
    ("__main__",),
)
"""Every module of the client, the lowest first: each imports from earlier rows only. A name too many does no harm."""

FENCES = {
    "websockets": {"wire.connection"},
    "pyaudio": {"audio.portaudio"},
    "pywebrtc_audio": {"echo"},
    "mss": {"screen"},
    "PIL": {"screen"},
    "google": {"functions.function_helper"},
    "prompt_toolkit": {"prompt.completer", "prompt.line_history", "prompt.prompt", "prompt.view", "prompt.tty"},
    "platformdirs": {"prompt.line_history"},
    "shtab": {"completion"},
}
"""The only modules of the client that may import a library. (The simulator may import websockets.)"""

FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "misc"}

SLOW_TO_LOAD = {
    *("pyaudio", "google.genai", "pydantic", "mss", "PIL", "numpy", "soundfile", "soxr", "prompt_toolkit", "shtab"),
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


def layer_of(module: str) -> int:
    return next(index for index, row in enumerate(LAYERS) if module in row)


def test_every_module_of_the_client_is_in_the_table_once() -> None:
    table = [name for row in LAYERS for name in row]
    assert len(table) == len(set(table))
    assert {name for name in CLIENT if not name.endswith("__init__")} - set(table) == set()


@pytest.mark.parametrize("module", [name for name in CLIENT if not name.endswith("__init__")])
def test_imports_go_down_only(module: str) -> None:
    own = layer_of(module)
    upward = [
        f"{module} (line {line}) imports {name}"
        for name, line in own_imports_of(module)
        if not name.startswith("simulator") and not name.endswith("__init__") and layer_of(name) >= own
    ]
    assert upward == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    # Between modules of the simulator too, which the table does not rank. A package's `__init__` may import its parts.
    graph = {
        name: {target.name for target in own_imports_of(name)} - {name for name in MODULES if name.endswith("__init__")}
        for name in MODULES
    }
    while graph:
        leaves = {name for name, targets in graph.items() if not targets & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {name: targets for name, targets in graph.items() if name not in leaves}


@pytest.mark.parametrize("library", FENCES)
def test_a_library_has_one_module_that_knows_it(library: str) -> None:
    importers = {
        module
        for module in MODULES
        for name, _ in imports_of(module)
        if name.split(".")[0] == library and not (library == "websockets" and module in SIMULATOR)
    }
    assert importers <= FENCES[library]


def test_the_simulator_imports_only_what_knows_nothing_of_a_session() -> None:
    outside = {
        f"{module} (line {line}) imports {name}"
        for module in SIMULATOR
        for name, line in own_imports_of(module)
        if name not in SIMULATOR and not name.endswith("__init__") and name not in LAYERS[0] + LAYERS[1]
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
