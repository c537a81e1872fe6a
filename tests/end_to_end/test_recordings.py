"""Recordings of the real command, and of failed tests."""

import sys
from pathlib import Path

import pytest

from gemini_live.recording.format import Closed, Message
from gemini_live.recording.read import read_recording
from tests.command import SIMULATED, Command, run
from tests.kept_recordings import RECORDINGS

ASK = ("--no-stdin", "--initial-message=Good morning.")


def test_a_recorded_session_can_be_inspected_and_compared_with_another(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.jsonl" for name in "ab"]
    for path in paths:
        assert run(*SIMULATED, *ASK, f"--record={path}").code == 0
    entries = read_recording(paths[0]).entries
    assert isinstance(entries[-1], Closed)
    assert any(isinstance(entry, Message) and "Good morning." in str(entry.message) for entry in entries)
    done = run("inspect", str(paths[0]))
    assert done.code == 0
    assert "gemini   Good morning." in done.out
    done = run("diff", *map(str, paths))
    assert (done.code, done.out.splitlines()[0]) == (0, "no differences in 1 turn")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_client_leaves_a_recording_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "killed.jsonl"
    with Command("--simulate=--pace 1", *ASK, "--text-output", f"--record={path}") as command:
        while not path.exists() or b'"serverContent"' not in path.read_bytes():
            assert command.process.poll() is None
        command.process.kill()
        command.process.wait()
    assert any("Good morning." in str(entry) for entry in read_recording(path).entries)


def test_a_failed_test_leaves_its_recordings(tmp_path: Path) -> None:
    assert run(*SIMULATED, *ASK).code == 0
    (kept,) = RECORDINGS.keep(tmp_path / "kept", "tests/x.py::test[a b]")
    assert kept.name == "tests_x.py_test_a_b_-1.jsonl"
    assert read_recording(kept).entries
    assert RECORDINGS.recorded(["inspect", str(kept)]) == ("inspect", str(kept))
