"""Installs foreign clients, each in a virtual environment of its own, and runs their scripts against the simulator.

    python -m tests.foreign.run [--quick]

`--quick` takes only those that install in seconds. Fails if a client could not be installed, did not finish, or did not
get through every step on every model.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from .report import MODELS

ROOT = Path(__file__).parent.parent.parent
QUICK = {"google_genai": "google-genai"}
SLOW = {
    "pydantic_ai_slim": "pydantic-ai-slim[google]",
    "google_adk": "google-adk",
    "livekit_google": "livekit-plugins-google",
}
OLDER_AUDIO = "'mistakes': 'mediaChunks is deprecated: use audio and video'"
"""What google-adk sends sound in on 2.5, to this day."""
REPLAYED = {"google_genai", "pydantic_ai_slim"}
"""Clients that are served a recording too."""
STEPS = ("'typed': 'yes'", "'spoken': 'yes'", "'call': 'yes'", "'resume': 'yes'")


def run(module: str, package: str, folder: Path) -> bool:
    """Install a client and run its script; return True if every step went well on every model."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip = (str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    started_s = time.monotonic()
    subprocess.run([*pip, package, f"{ROOT}[tls]"], check=True, timeout=600)
    installed_s = time.monotonic()
    completed = subprocess.run(
        [python, "-m", f"tests.foreign.{module}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    print(completed.stdout, end="")
    print(f"  installed in {installed_s - started_s:.0f} s, ran {time.monotonic() - installed_s:.0f} s", flush=True)
    steps = (*STEPS, "'replay': 'yes'", "'departures': 'none'") if module in REPLAYED else STEPS
    lines = [
        line
        for line in completed.stdout.splitlines()
        if all(step in line for step in steps) and ("'mistakes': 'none'" in line or OLDER_AUDIO in line)
    ]
    return completed.returncode == 0 and all(any(model in line for line in lines) for model in MODELS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="only those that install in seconds")
    clients = QUICK if parser.parse_args().quick else {**QUICK, **SLOW}
    failed = []
    for module, package in clients.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                passed = run(module, package, Path(folder))
            except subprocess.SubprocessError as error:
                print(f"{module}: {error}", file=sys.stderr)
                passed = False
            if not passed:
                failed.append(module)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
