"""Runs scripts in a process of their own, and replaces `os._exit`: for code that ends its process."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from tests.command import LIVENESS_S, clean_environ

posix = pytest.mark.skipif(sys.platform == "win32", reason="closed descriptors and signals are POSIX's")


def run(script: str, redirect: str = "", environ: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a script in a process of its own; return its exit code, stdout and stderr."""
    rooms = ("streams", "lines", "ending", "signals", "capture")
    imports = "".join(f"from gemini_live.process.{name} import *\n" for name in rooms)
    imports += "def make_ending(): return Ending(BackgroundWriter(), Streams(None, None, None))\n"
    argv = [sys.executable, "-X", "dev", "-c", imports + textwrap.dedent(script)]
    if redirect:
        argv = ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *argv]
    done = subprocess.run(
        argv, env=clean_environ(**(environ or {})), capture_output=True, timeout=LIVENESS_S, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Ended(list[int]):
    """Takes the place of `os._exit`: keeps the codes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.came = threading.Event()
        monkeypatch.setattr(os, "_exit", self)

    def __call__(self, code: int) -> None:
        self.append(code)
        self.came.set()
