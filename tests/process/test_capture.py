"""Captured output of libraries and child processes: in a process of its own, whose descriptors change."""

import os
import sys

import pytest

from gemini_live.process.capture import captured_output
from tests.command import Timed

from .script import posix, run

CAPTURED = """
    import subprocess
    lines = []
    own = open(os.dup(1), "w", closefd=False)
    with captured_output(own, lines.append):
        {act}
    print(*map(repr, lines), sep="\\n", file=own, flush=True)
    os.write(1, b"after\\n")
    os.write(2, b"after too\\n")
"""
"""Something is written while output is captured; stdout then has the lines that were, and what was not captured."""


@posix
@pytest.mark.parametrize(
    ("act", "lines"),
    [
        ("pass", []),
        ("print('printed', flush=True)", ["printed"]),
        ("print('printed', file=sys.stderr)", ["printed"]),
        ("os.write(1, b'one\\n'); os.write(2, b'two\\n')", ["one", "two"]),
        ("os.write(1, b'one\\ntwo\\n\\nthree\\n')", ["one", "two", "", "three"]),
        ("os.write(1, b'in '); os.write(1, b'pieces\\n')", ["in pieces"]),
        ("os.write(2, b'partial')", ["partial"]),
        ("print('partial', end='', file=sys.stderr)", ["partial"]),
        ("os.write(2, bytes([0xe6, 0x97]) + b'\\n')", ["\ufffd"]),
        ("os.write(2, 'Grüße 日本\\n'.encode())", ["Grüße 日本"]),
        ("os.write(2, bytes([0, 1, 0])); os.write(2, b' raw\\n'); os.write(2, b'more\\n')", ["\0\1\0 raw", "more"]),
        ("subprocess.run(['sh', '-c', 'echo out; echo err >&2'])", ["out", "err"]),
        ("subprocess.run(['sh', '-c', 'printf partial'])", ["partial"]),
    ],
)
def test_output_to_the_descriptors_is_captured_by_line(act: str, lines: list[str]) -> None:
    code, out, err = run(CAPTURED.format(act=act))
    assert (code, err) == (0, "after too\n")
    shown = [repr(line) for line in lines]
    assert out.splitlines() == [*(shown or [""]), "after"]


@posix
def test_output_to_our_own_stream_is_not_captured() -> None:
    act = "print('ours', file=own, flush=True)"
    assert run(CAPTURED.format(act=act)) == (0, "ours\n\nafter\n", "after too\n")


@posix
@pytest.mark.parametrize(("stream", "captured"), [("sys.stdout", "err"), ("sys.stderr", "out")])
def test_our_own_descriptor_is_not_captured(stream: str, captured: str) -> None:
    script = f"""
        lines = []
        with captured_output({stream}, lines.append):
            os.write(1, b"out\\n")
            os.write(2, b"err\\n")
        os.write(1, repr(lines).encode())
    """
    code, out, err = run(script)
    assert code == 0
    assert out.removeprefix("out\n") == f"['{captured}']"
    assert (out.startswith("out\n"), err) == (captured == "err", "err\n" if captured == "out" else "")


@posix
def test_100_000_lines_at_once_are_all_captured() -> None:
    act = "subprocess.run(['seq', '100000'])"
    code, out, _ = run(CAPTURED.format(act=act))
    assert code == 0
    assert out.splitlines() == [*(f"'{n}'" for n in range(1, 100_001)), "after"]


@posix
def test_the_capture_ends_while_a_child_still_runs() -> None:
    act = "child = subprocess.Popen(['sh', '-c', 'echo started; exec sleep 60'], stdin=subprocess.PIPE)"
    # It is waited for until it has said so, for else it might say so too late.
    act += "; [threading.Event().wait(0.01) for _ in iter(lambda: bool(lines), True)]"
    script = CAPTURED.format(act=act) + "    child.kill()\n    child.communicate()\n"
    with Timed() as timed:
        assert run(script) == (0, "'started'\nafter\n", "after too\n")
    assert timed.took_s < 20


@posix
def test_the_capture_ends_while_a_child_still_writes() -> None:
    act = "child = subprocess.Popen(['sh', '-c', 'while :; do echo x; done'], stdin=subprocess.PIPE)"
    act += "; [threading.Event().wait(0.01) for _ in iter(lambda: bool(lines), True)]"
    script = f"""
        import subprocess
        lines = []
        own = open(os.dup(1), "w", closefd=False)
        with captured_output(own, lines.append):
            {act}
        child.kill()
        child.communicate()
        print(len(lines) > 0, set(lines) <= {{"x", ""}}, file=own, flush=True)
    """
    assert run(script) == (0, "True True\n", "")


@posix
def test_the_descriptors_are_restored_after_an_exception() -> None:
    script = """
        try:
            with captured_output(open(os.dup(1), "w", closefd=False), lambda _: None):
                raise ValueError
        except ValueError:
            os.write(1, b"out")
            os.write(2, b"err")
    """
    assert run(script) == (0, "out", "err")


@posix
def test_the_capture_leaves_no_descriptor_open() -> None:
    script = """
        own = open(os.dup(1), "w", closefd=False)
        def look():
            return sorted(os.listdir("/dev/fd"))
        before = look()
        for _ in range(3):
            with captured_output(own, lambda _: None):
                os.write(2, b"captured")
        print(look() == before, file=own, flush=True)
    """
    assert run(script) == (0, "True\n", "")


def test_on_windows_only_what_python_writes_to_stderr_is_captured(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    lines: list[str] = []
    with captured_output(sys.stdout, lines.append):
        print("printed", file=sys.stderr)
        os.write(2, b"not captured")
    assert lines == ["printed"]
    assert capfd.readouterr().err == "not captured"
