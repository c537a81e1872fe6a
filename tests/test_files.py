"""What files are, which of them are the same, and the lock."""

import os
import sys
from pathlib import Path

import pytest

from gemini_live.files import describe_non_file, is_same_file, lock


def test_only_what_is_there_and_no_regular_file_is_described(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert describe_non_file(tmp_path / "file") is None
    assert describe_non_file(tmp_path / "missing") is None
    assert describe_non_file(tmp_path) == "it is a directory"
    assert describe_non_file(Path(os.devnull)) == "it is a device or a pipe, not a file"


def test_paths_lead_to_the_same_file_through_links_and_before_it_exists(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)
    assert is_same_file(tmp_path / "x" / ".." / "file", file)
    assert is_same_file(link, file)
    file.touch()
    assert is_same_file(link, file)
    assert not is_same_file(link, tmp_path / "other")


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX locks are known to work")
def test_a_file_is_locked_for_others_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb", buffering=0) as first, path.open("wb", buffering=0) as second:
        assert lock(first)
        assert not lock(second)
        first.close()
        assert lock(second)
