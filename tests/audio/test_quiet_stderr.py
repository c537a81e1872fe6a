"""What C libraries print."""

import ctypes
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gemini_live.audio.quiet_stderr import _open_null, mute_c_stderr

PROGRAM = """
import ctypes, sys
from gemini_live.audio.quiet_stderr import mute_c_stderr
libc = ctypes.CDLL(None)
with mute_c_stderr():
    libc.perror(b"hidden")
    with mute_c_stderr():
        libc.perror(b"hidden too")
    libc.perror(b"still hidden")
    print("from Python", file=sys.stderr, flush=True)
libc.perror(b"shown again")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux's sound libraries print")
def test_c_code_is_muted_and_python_is_not() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30)
    words = [line.split(":")[0] for line in done.stderr.splitlines()]
    assert words == ["from Python", "shown again"]


@pytest.fixture
def uncached() -> Iterator[None]:
    _open_null.cache_clear()
    yield
    _open_null.cache_clear()


@pytest.mark.usefixtures("uncached")
@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", None)
    with mute_c_stderr():
        assert _open_null() is None


@pytest.mark.usefixtures("uncached")
def test_a_c_library_whose_stderr_is_a_constant_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    with mute_c_stderr():
        assert _open_null() is None
