"""Streams for the tests of `process/`."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TextIO

import pytest

from gemini_live.process.ending import Ending
from gemini_live.process.streams import BackgroundWriter, Streams

WAIT_S = 10


Closing = Callable[[TextIO], TextIO]


@pytest.fixture
def closing() -> Iterator[Closing]:
    """A function that has a stream closed after the test, even one whose flush fails."""
    opened: list[TextIO] = []

    def note(stream: TextIO) -> TextIO:
        opened.append(stream)
        return stream

    yield note
    for stream in opened:
        with contextlib.suppress(OSError):
            stream.close()


@pytest.fixture
def pipe(closing: Closing) -> tuple[TextIO, TextIO]:
    """The reading and the writing end of a pipe, as text."""
    reader, writer = os.pipe()
    return closing(os.fdopen(reader, encoding="utf-8")), closing(os.fdopen(writer, "w", encoding="utf-8"))


@pytest.fixture
def ending() -> Iterator[Ending]:
    """The end of a process without streams; its deadlines are cancelled after the test."""
    ending = Ending(BackgroundWriter(), Streams(None, None, None))
    yield ending
    ending.write_last_line = lambda _: None
    ending.finish(0)
