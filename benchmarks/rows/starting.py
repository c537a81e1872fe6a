"""How long it takes from the start of the process to the setup on the wire, to an answer, and to the end."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve

from ..measure import ROOT, TIMEOUT_S, environment, run_to_its_end, serving, take_turns
from ..results import Row, Scale, Section

_SCRIPT = "minimal_script"
_OURS = "ours"
_PYTHON = (sys.executable,)
_COMMAND = (*_PYTHON, "-m", "gemini_live")
_TEXT = ("--no-audio-output", "--text-output", "--quiet")
_FUNCTIONS = "def add(a: int, b: int) -> int:\n    return a + b\n"


def measure(scale: Scale) -> list[Section]:
    """Measure starting, one question and many piped ones."""
    return [Section("Starting and leaving", [*_start(scale), _one_question(scale), _piped_questions(scale)])]


def _start(scale: Scale) -> list[Row]:
    rounds = Scale(2 * scale.rounds, scale.share)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "functions.py"
        file.write_text(_FUNCTIONS)
        setup = take_turns(
            (_SCRIPT, _OURS, "with functions", "import google.genai"),
            rounds,
            lambda case: {"ms": asyncio.run(_time_to_setup(case, file))},
        )["ms"]
    helped = take_turns(
        ("bare interpreter", _OURS),
        rounds,
        lambda case: {"ms": _time([*_COMMAND, "--help"] if case == _OURS else [*_PYTHON, "-c", ""])},
    )["ms"]
    return [
        Row("start to setup on the wire", "ms", {case: setup[case] for case in (_SCRIPT, _OURS)}, _SCRIPT, 1.25),
        Row("`--help`", "ms", helped, "", 120.0),
        Row(
            "start with `--import-functions` to setup on the wire",
            "ms",
            {"import google.genai": setup["import google.genai"], _OURS: setup["with functions"]},
            "import google.genai",
            1.1,
        ),
    ]


async def _time_to_setup(case: str, functions: Path) -> float:
    """Return the milliseconds from the start of a process to its setup, or to its end if it connects to nobody."""
    if case == "import google.genai":
        return _time([*_PYTHON, "-c", "import google.genai"])
    arrived = asyncio.get_running_loop().create_future()

    async def handle(websocket: ServerConnection) -> None:
        await websocket.recv()
        if not arrived.done():
            arrived.set_result(time.monotonic())

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        address = f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        command = _ask(case, address)
        if case == "with functions":
            command += ["--import-functions", str(functions)]
        started_s = time.monotonic()
        with subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            async with asyncio.timeout(TIMEOUT_S):
                arrived_s: float = await arrived
            process.kill()
    return 1000 * (arrived_s - started_s)


def _ask(case: str, address: str) -> list[str]:
    """Return the command that asks one question."""
    if case == _SCRIPT:
        return [*_PYTHON, f"benchmarks/contenders/{_SCRIPT}.py", address]
    return [*_COMMAND, "--base-url", f"http://{address}", *_TEXT, "--initial-message", "Hello"]


def _one_question(scale: Scale) -> Row:
    with serving(answers=True) as address:
        figures = take_turns((_SCRIPT, _OURS), scale, lambda case: {"ms": _time(_ask(case, address))})["ms"]
    figures["more than the script"] = [
        mine - other for mine, other in zip(figures[_OURS], figures[_SCRIPT], strict=True)
    ]
    note = "the server answers at once; the aim is 300 ms more than the script"
    return Row("one question, its answer, and out", "ms", figures, "", 300.0, note, ours="more than the script")


def _piped_questions(scale: Scale) -> Row:
    n = scale.amount(200)
    lines = "".join(f"Question {i}\n" for i in range(n))
    with serving(answers=True) as address:
        ms = _time([*_COMMAND, "--base-url", f"http://{address}", *_TEXT], lines) / n
    note = f"{n} lines, each asked when the previous answer is complete; the server answers at once"
    return Row("a piped question", "ms", {_OURS: [ms]}, "", 150.0, note)


def _time(command: Sequence[str], lines: str = "") -> float:
    """Run a command to its end and return the milliseconds that it took."""
    started_s = time.monotonic()
    run_to_its_end(command, lines)
    return 1000 * (time.monotonic() - started_s)
