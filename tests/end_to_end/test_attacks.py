"""What a hostile or careless neighbour of the real commands can and cannot do, in processes of their own."""

import sys
from pathlib import Path

import pytest

from ..command import SIMULATED, Command

posix = pytest.mark.skipif(sys.platform == "win32", reason="redirected by a POSIX shell")


@posix
@pytest.mark.parametrize("redirect", ["< {}", "> {}", "2>> {}", "<> {} >&0"])
def test_output_file_does_not_overwrite_what_a_stream_is_redirected_to(tmp_path: Path, redirect: str) -> None:
    path = tmp_path / "sound.wav"
    path.touch()
    arguments = (*SIMULATED, "--initial-message=Hi", f"--output-file={path}", "--force")
    with Command(*arguments, redirect=redirect.format(path)) as command:
        result = command.wait()
    assert result.code == 2
    assert "--output-file would overwrite" in result.err + path.read_text()


@pytest.mark.parametrize("how", ["itself", "link"])
def test_simulator_does_not_write_two_files_into_one(tmp_path: Path, how: str) -> None:
    log = verdict = tmp_path / "log"
    if how == "link":
        verdict = tmp_path / "verdict"
        verdict.symlink_to(log)
    with Command(f"--log={log}", f"--verdict={verdict}", "--port=0", module="gemini_live.simulator") as command:
        result = command.wait()
    assert (result.code, result.out) == (2, "")
    assert "--log would overwrite" in result.err
