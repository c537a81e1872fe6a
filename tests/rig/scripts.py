"""Runs the rig's shell scripts and reads the environment that they print."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from . import RigError

_EXPORT = re.compile(r"^export (\w+)=(.*)$", re.MULTILINE)


def run_script(
    name: str, *arguments: str, environ: Mapping[str, str], timeout_s: float | None = 20.0
) -> dict[str, str]:
    """Run a script of this folder to its end and return the variables that it exports.

    Raises:
        RigError: it failed; the text is what it said.
    """
    script = Path(__file__).parent / name
    try:
        # Output goes to pipes only for as long as the script itself runs: what it leaves running has its own.
        done = subprocess.run(
            ["bash", script, *arguments],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise RigError(f"{name} {' '.join(arguments)}: {exc}") from exc
    if done.returncode:
        raise RigError(f"{name} {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
    return dict(_EXPORT.findall(done.stdout))
