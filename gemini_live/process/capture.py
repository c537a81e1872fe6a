"""Captures what libraries and child processes write to the descriptors of stdout and stderr."""

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

from .ending import LAST_WORDS_S
from .lines import LineWriter
from .streams import flush

_MAX_DRAINED_BYTES = 1024 * 1024
"""The most that is read after the end of the capture, because a child process may write for ever."""


@contextlib.contextmanager
def captured_output(own: TextIO, on_line: Callable[[str], None]) -> Iterator[None]:
    """Capture what goes to the descriptors of stdout and stderr while the body runs, and call `on_line` for each line.

    Libraries, and child processes of the user's functions, write there, and would write over the line that is being
    typed. On Windows, where the console depends on the descriptors, only what Python writes to stderr is captured.

    Args:
        own: The stream to the terminal, which is not captured.
        on_line: Called with each line, in a thread.
    """
    if sys.platform == "win32":
        lines = LineWriter(on_line)
        with contextlib.redirect_stderr(lines):
            yield
        lines.finish()
        return
    captured = [number for number in (1, 2) if number != own.fileno()]
    before = [os.dup(number) for number in captured]
    receiver, sender = os.pipe()
    ended, end = os.pipe()
    reader = threading.Thread(target=_read_lines, args=[receiver, ended, on_line], name="stderr", daemon=True)
    reader.start()
    flush(sys.stderr)
    for number in captured:
        os.dup2(sender, number)
    try:
        yield
    finally:
        flush(sys.stderr)
        for number, kept in zip(captured, before, strict=True):
            os.dup2(kept, number)
            os.close(kept)
        os.close(sender)
        os.close(end)
        reader.join(LAST_WORDS_S)


def _read_lines(descriptor: int, ended: int, on_line: Callable[[str], None]) -> None:
    """Read lines until the other end of the pipe `ended` is closed; a child may still hold `descriptor`."""
    lines = LineWriter(on_line)
    n_left, is_ended = _MAX_DRAINED_BYTES, False
    with open(descriptor, "rb", buffering=0) as pipe, open(ended, "rb", buffering=0):
        while n_left > 0:
            sources = [descriptor] if is_ended else [descriptor, ended]
            readable = select.select(sources, [], [], 0 if is_ended else None)[0]
            is_ended = is_ended or ended in readable
            if descriptor not in readable:
                if is_ended and not readable:
                    break
                continue
            data = pipe.read(4096)
            if not data:
                break
            n_left -= len(data) if is_ended else 0
            lines.buffer.write(data)
    lines.finish()
