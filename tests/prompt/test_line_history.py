"""The history of typed lines: its file, and what happens where there can be none."""

import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_live.prompt.line_history import MAX_BYTES, LineHistory, history_path

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="modes and devices of POSIX")


class Opened:
    """A history, and the warnings about it."""

    def __init__(self, path: Path) -> None:
        self.warnings: list[str] = []
        self.history = LineHistory(path, self.warnings.append)
        list(self.history.load_history_strings())

    @property
    def lines(self) -> list[str]:
        """The lines of earlier sessions, the newest first."""
        return list(self.history.load_history_strings())


def kept_in(path: Path) -> list[str]:
    """Return what another session finds in a history that is in order."""
    opened = Opened(path)
    lines = opened.lines
    assert opened.warnings == []
    return lines


def write_lines(path: Path, *lines: str) -> None:
    opened = Opened(path)
    for line in lines:
        opened.history.append_string(line)
    assert opened.warnings == []


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def entry(line: str) -> bytes:
    """Return a line as the file has it."""
    return b"\n# 2026-01-01 00:00:00\n" + "".join(f"+{part}\n" for part in line.split("\n")).encode()


# The file


@pytest.mark.skipif(sys.platform != "linux", reason="the directory that XDG names")
def test_the_file_is_in_the_users_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_path() == tmp_path / "gemini-live" / "history"
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_made_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "state" / "gemini-live" / "history"
    assert kept_in(path) == []
    assert path.read_bytes() == b""


@posix_only
def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "gemini-live" / "history"
    write_lines(path, "secret")
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)


@posix_only
def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(entry("kept"))
    path.chmod(0o644)
    assert kept_in(path) == ["kept"]
    assert mode_of(path) == 0o600


@posix_only
def test_the_file_that_a_link_leads_to_keeps_its_mode_and_its_size(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "history"
    target.write_bytes(entry("old") * (MAX_BYTES // 10))
    target.chmod(0o644)
    path.symlink_to(target)
    size = target.stat().st_size
    write_lines(path, "new")
    assert mode_of(target) == 0o644
    assert target.stat().st_size > size


def test_a_secret_line_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "history"
    history = LineHistory(path, lambda _: None, lambda line: "AIza" in line)
    for line in ("before", "my key is AIza-not-a-real-key", "after"):
        history.append_string(line)
    assert kept_in(path) == ["after", "before"]
    assert history.get_strings()[1].startswith("my key")  # this session has it


@posix_only
def test_the_mode_of_an_existing_folder_is_not_changed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write_lines(tmp_path / "history", "line")
    assert mode_of(tmp_path) == 0o755


# The lines


def test_the_newest_line_is_the_first_across_sessions(tmp_path: Path) -> None:
    path = tmp_path / "history"
    write_lines(path, "one", "two")
    write_lines(path, "three")
    assert kept_in(path) == ["three", "two", "one"]


async def test_this_sessions_lines_are_newer_than_those_of_earlier_ones(tmp_path: Path) -> None:
    path = tmp_path / "history"
    write_lines(path, "old")
    history = Opened(path).history
    assert [line async for line in history.load()] == ["old"]
    history.append_string("new")
    assert [line async for line in history.load()] == ["new", "old"]
    assert history.get_strings() == ["old", "new"]


@pytest.mark.parametrize(
    "line",
    [
        "Grüße, 日本語, 안녕, 🎈",
        "one\ntwo\n\n  three",
        "\n",
        "ends with a break\n",
        "# no comment\n+plus",
        "\n# 2026-01-01 00:00:00\n+not an entry",
        "tab\tand return\r, and \x1b[31m",
        "line \u2028 separator",
        "",
    ],
)
def test_a_line_is_restored_exactly(tmp_path: Path, line: str) -> None:
    path = tmp_path / "history"
    write_lines(path, "before", line, "after")
    assert kept_in(path) == ["after", line, "before"]


def test_half_a_surrogate_pair_is_stored_as_a_question_mark(tmp_path: Path) -> None:
    path = tmp_path / "history"
    write_lines(path, "half \ud83d")
    assert kept_in(path) == ["half ?"]


def test_invalid_bytes_in_the_file_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(entry("one") + b"\n# 2026\n+\xff\n")
    assert kept_in(path) == ["\ufffd", "one"]


# A file that has grown large


def test_a_file_of_the_largest_size_stays(tmp_path: Path) -> None:
    path = tmp_path / "history"
    data = (entry("x" * 100) * MAX_BYTES)[:MAX_BYTES]
    path.write_bytes(data)
    kept_in(path)
    assert path.read_bytes() == data


def test_a_larger_file_loses_its_older_half_at_the_beginning_of_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "history"
    lines = [f"{number} ü\n日本語 # {number}" for number in range(30_000)]
    data = b"".join(map(entry, lines))
    assert len(data) > MAX_BYTES
    path.write_bytes(data)
    kept = kept_in(path)
    assert kept == lines[::-1][: len(kept)]
    size = path.stat().st_size
    assert MAX_BYTES // 2 - max(map(len, map(entry, lines))) < size <= MAX_BYTES // 2
    assert path.read_bytes() == data[-size:]
    write_lines(path, "new")
    assert kept_in(path) == ["new", *kept]


def test_a_file_one_byte_over_the_largest_size_is_shortened(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(entry("x" * MAX_BYTES)[: MAX_BYTES - 500] + entry("y" * 500)[:501])
    assert path.stat().st_size == MAX_BYTES + 1
    kept_in(path)
    assert path.stat().st_size <= MAX_BYTES // 2


def test_an_entry_larger_than_the_kept_half_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(entry("old") + entry("x" * MAX_BYTES))
    assert kept_in(path) == []
    assert path.stat().st_size == MAX_BYTES // 2
    write_lines(path, "new")
    assert kept_in(path) == ["new"]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3_000), st.integers(0, 200))
def test_a_shortened_file_has_only_complete_lines(
    tmp_path_factory: pytest.TempPathFactory, length: int, shift: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "history"
    line = "日" * length + "\n# end"
    n_lines = MAX_BYTES // len(entry(line)) + 2
    path.write_bytes(entry("z" * shift) + entry(line) * n_lines)
    kept = kept_in(path)
    assert set(kept) == {line}
    assert 0 < len(kept) < n_lines


# Where there can be no file


@pytest.fixture
def blocked(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path that no file can have: a directory has it, or a file stands where a directory would be."""
    if request.param == "directory":
        (tmp_path / "history").mkdir()
        return tmp_path / "history"
    (tmp_path / "file").touch()
    return tmp_path / "file" / "folder" / "history"


everywhere = pytest.mark.parametrize("blocked", ["directory", "file"], indirect=True)


@everywhere
def test_a_file_that_cannot_be_opened_is_reported_once(blocked: Path) -> None:
    opened = Opened(blocked)
    assert opened.lines == []
    for line in ("one", "two"):
        opened.history.append_string(line)
    (warning,) = opened.warnings
    assert warning.startswith(f"what you type is not kept for the next session: {blocked}: ")
    assert not warning.endswith((": ", "None"))
    assert len(warning.splitlines()) == 1


@everywhere
async def test_without_a_file_the_session_has_its_own_lines(blocked: Path) -> None:
    history = Opened(blocked).history
    assert [line async for line in history.load()] == []
    for line in ("one", "two\nlines"):
        history.append_string(line)
    assert history.get_strings() == ["one", "two\nlines"]
    assert [line async for line in history.load()] == ["two\nlines", "one"]


def test_a_file_that_becomes_unreadable_is_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "history"
    opened = Opened(path)
    path.unlink()
    path.mkdir()
    assert opened.lines == opened.lines == []
    opened.history.append_string("line")
    assert len(opened.warnings) == 1
    assert list(path.iterdir()) == []


def test_a_file_that_becomes_unwritable_is_reported_once_and_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "gemini-live" / "history"
    opened = Opened(path)
    path.unlink()
    path.parent.rmdir()
    for line in ("one", "two"):
        opened.history.append_string(line)
    assert len(opened.warnings) == 1
    path.parent.mkdir()
    opened.history.append_string("three")
    assert list(path.parent.iterdir()) == []
    assert opened.history.get_strings() == ["one", "two", "three"]


@pytest.mark.skipif(sys.platform == "win32", reason="links and devices are POSIX's")
def test_a_path_that_is_not_a_file_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.symlink_to("/dev/null")
    mode = path.stat().st_mode
    opened = Opened(path)
    opened.history.append_string("line")
    assert [warning.rsplit(": ", 1)[-1] for warning in opened.warnings] == ["it is not a regular file"]
    assert path.stat().st_mode == mode


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
def test_a_deleted_file_is_created_again_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "history"
    opened = Opened(path)
    path.unlink()
    opened.history.append_string("line")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert opened.warnings == []
