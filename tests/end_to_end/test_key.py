"""No program that the command starts, or that a function starts, sees the key, unless a function passes it on."""

import sys
from pathlib import Path

import pytest

from ..command import run, serving

KEY, OTHER = "AIza-a-key-of-no-one-at-all", "AIza-another-key-of-no-one"
FILE = """
import asyncio, os, subprocess, sys
from gemini_live.functions import api_key

SHOW = "import os; print(sorted(name for name in os.environ if 'API_KEY' in name))"

def _shown(**more):
    return subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, **more).stdout.strip()

async def _asynchronous():
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SHOW, stdout=subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()

def _forked():
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, repr(sorted(name for name in os.environ if "API_KEY" in name)).encode())
        os._exit(0)
    os.wait()
    return os.read(reader, 1000).decode()

def describe():
    '''Start programs in every way.'''
    found = {
        "inherited": _shown(),
        "copied": _shown(env={**os.environ, "MORE": "1"}),
        "shell": subprocess.run("env | grep -c API_KEY", shell=True, capture_output=True, text=True).stdout.strip(),
        "system": str(os.system("env | grep -q API_KEY")),
        "asynchronous": asyncio.run(_asynchronous()),
        "passed on": _shown(env={**os.environ, "MY_API_KEY": api_key()}),
        "asked for": str(len(api_key())),
    }
    if hasattr(os, "fork"):
        found["forked"] = _forked()
    print(found)

describe()
"""
NONE = {
    "inherited": "[]",
    "copied": "[]",
    "shell": "0",
    "asynchronous": "[]",
    "forked": "[]",
    "asked for": str(len(KEY)),
}


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are those of POSIX")
@pytest.mark.parametrize("calls", [False, True], ids=["at import", "in a call"])
def test_programs_that_a_function_starts_do_not_inherit_the_keys(tmp_path: Path, *, calls: bool) -> None:
    file = tmp_path / "starts.py"
    file.write_text(FILE if not calls else FILE.removesuffix("describe()\n"))
    environ = {"GOOGLE_API_KEY": KEY, "GEMINI_API_KEY": OTHER}
    if calls:
        with serving(key=KEY) as server:
            result = run(
                f"--base-url={server.url}",
                "--no-stdin",
                f"--import-functions={file}",
                "--initial-message=call describe()",
                "--text-output",
                environ=environ,
            )
    else:
        result = run("--list-functions", f"--import-functions={file}", environ=environ)
    assert result.code == 0, result.err
    for how, shown in NONE.items():
        assert f"{how!r}: {shown!r}" in result.err, (how, result.err)
    assert "MY_API_KEY" in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")
def test_espeak_does_not_inherit_the_keys(tmp_path: Path) -> None:
    fake = tmp_path / "espeak-ng"
    fake.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\nexit 1\n")
    fake.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GOOGLE_API_KEY": KEY, "GEMINI_API_KEY": OTHER}
    result = run("--simulate", "--no-stdin", "--no-audio-output", "--initial-message=Hello", environ=environ)
    assert result.code == 0, result.err
    assert "API_KEY" not in (tmp_path / "seen").read_text()


def test_both_keys_are_masked_whichever_is_used(tmp_path: Path) -> None:
    file = tmp_path / "shows.py"  # no file of a test may hold a key
    file.write_text(f"def nothing(): pass\nprint('a {KEY[:9]}' '{KEY[9:]}, the other {OTHER[:9]}' '{OTHER[9:]}')\n")
    keys = {"GOOGLE_API_KEY": KEY, "GEMINI_API_KEY": OTHER}
    assert "a ***, the other ***" in run("--list-functions", f"--import-functions={file}", environ=keys).err
