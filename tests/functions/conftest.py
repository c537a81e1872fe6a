"""Fixtures for the user's functions."""

import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functions.files import gates
from tests.functions.loading import PATIENCE_S, Write


@pytest.fixture(autouse=True)
def _gates() -> Iterator[None]:
    """Let no thread outlive its test: it would write into the next one's gates."""
    gates.close_gates()
    yield
    gates.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("function "):
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes a file of functions."""

    def write_file(source: str | bytes, name: str = "tools.py") -> Path:
        path = tmp_path / name
        path.write_bytes(source if isinstance(source, bytes) else textwrap.dedent(source).encode())
        return path

    return write_file
