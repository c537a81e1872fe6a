"""Keeps the recordings of failed tests in .pytest_cache/recordings."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.kept_recordings import RECORDINGS


@pytest.fixture(autouse=True)
def recordings(tmp_path: Path) -> Iterator[Path]:
    """Record every session that the test holds through the command."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    RECORDINGS.begin(folder)
    yield folder
    RECORDINGS.begin(None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the recordings of a test that failed, and name them in its report."""
    report = yield
    if report.when == "call" and report.failed:
        kept = RECORDINGS.keep(item.config.rootpath / ".pytest_cache" / "recordings", item.nodeid)
        if kept:
            lines = "\n".join(f"gemini-live inspect {path}" for path in kept)
            report.sections.append(("Recorded sessions", lines))
    return report
