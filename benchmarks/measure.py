"""Runs contenders and the server as processes of their own, in turn."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .results import Contender, Scale

ROOT = Path(__file__).parent.parent
TIMEOUT_S = 120.0
LONG_S = 300.0
"""Longest time of a session that is an hour long on its own clock."""
KEY = "any-key"
_NOT_INHERITED = {"PYTHONDONTWRITEBYTECODE", "GEMINI_API_KEY", "PYTHONASYNCIODEBUG", "PYTHONDEVMODE"}


class BenchmarkError(Exception):
    """A contender or the server failed; the message says how."""


def environment(**added: str) -> dict[str, str]:
    """Return the environment of a child process: this one's, the project on its path, and a key that means nothing.

    Compiled modules are kept, as in an installation: without them starting would be compiling.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return {**inherited, "PYTHONPATH": str(ROOT), "GOOGLE_API_KEY": KEY, **added}


@contextlib.contextmanager
def serving(**plan: Any) -> Iterator[str]:
    """Run the server with a plan; yield its address."""
    command = [sys.executable, "-m", "benchmarks.server", json.dumps(plan)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        if not port:
            raise BenchmarkError("the server does not start")
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stdin.close()


def run_contender(
    contender: str,
    task: str,
    address: str,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
    **arguments: Any,
) -> dict[str, float]:
    """Run one task of one contender, and return its figures by name.

    Raises:
        BenchmarkError: It failed or did not end.
    """
    command = [sys.executable, "-m", f"benchmarks.contenders.{contender}", task, address, json.dumps(arguments)]
    output = run_to_its_end(command, environ=environ, timeout_s=timeout_s)
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return figures


def run_to_its_end(
    command: Sequence[str],
    lines: str = "",
    *,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> str:
    """Run a command with `lines` as its stdin, and return its stdout.

    Raises:
        BenchmarkError: It failed or did not end.
    """
    name = shlex.join(command[1:])
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment(**(environ or {})),
            input=lines,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
        ).stdout
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{name} has not ended within {timeout_s:g} s") from error
    except subprocess.CalledProcessError as error:
        raise BenchmarkError(f"{name} failed: {error.stderr[-2000:]}") from error


def take_turns(
    contenders: Iterable[str], scale: Scale, measure: Callable[[str], Mapping[str, float]]
) -> dict[str, dict[str, list[float]]]:
    """Measure each contender in turn (A B C A B C ...), so that a noisy moment meets all.

    Returns:
        For each figure, by contender, one value a round.
    """
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(scale.rounds):
        for contender in contenders:
            for name, figure in measure(contender).items():
                found[name][contender].append(figure)
    return {name: dict(figures) for name, figures in found.items()}


ALL_LOOPS = (Contender.FLOOR, Contender.OURS, Contender.SDK)
