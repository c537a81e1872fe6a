"""The terminal itself: what is written to it, its size, and its settings before and after us.

On POSIX text goes out in the background writer's thread, for a terminal may stop taking it. On Windows prompt_toolkit
writes to the console itself, which stands still while the user selects text there.
"""

import codecs
import contextlib
import locale
import os
import select
import shutil
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from prompt_toolkit.data_structures import Size
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output

from ..process.streams import BackgroundWriter

if sys.platform != "win32":
    import termios

DRAIN_S = 1.0
"""How long is waited for a terminal to take what was written, before the process stops."""
_RESET = b"\x1b[?2004l\x1b[?25h\x1b[0m\r\x1b[J"
"""No bracketed paste, the cursor shown, no colours, and what is below the conversation gone."""


class Paper:
    """Stands in for the terminal's stream: what is written goes out in the writer's thread."""

    def __init__(self, stdout: TextIO, writer: BackgroundWriter) -> None:
        self._stdout, self._writer = stdout, writer
        self._held: list[str] | None = None
        self.encoding = stdout.encoding

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Write what the body writes in one piece."""
        held: list[str] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            self.write("".join(held))

    def write(self, text: str) -> int:
        """Take text."""
        if self._held is not None:
            self._held.append(text)
        else:
            self._writer.write(self._stdout, text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the writer does not wait."""

    def drain(self) -> None:
        """Wait until the terminal has taken everything, a second at most."""
        self._writer.flush(DRAIN_S)

    def fileno(self) -> int:
        """Return the descriptor of the terminal."""
        return self._stdout.fileno()


def create_terminal_output(paper: Paper, stdout: TextIO, term: str | None) -> Output:
    """Return what draws on the terminal; it asks the terminal nothing, but the system for its size."""
    if sys.platform == "win32":
        return create_output(stdout)

    def get_size() -> Size:
        try:
            columns, rows = os.get_terminal_size(stdout.fileno())
        except (OSError, ValueError):
            columns, rows = 0, 0
        if not (columns and rows):  # a terminal that was never told
            columns, rows = shutil.get_terminal_size()
        return Size(rows=rows, columns=columns)

    return Vt100_Output(paper, get_size, term=term, enable_bell=False, enable_cpr=False)  # type: ignore[arg-type]


def find_keys_encoding() -> str:
    """Return the encoding of what is typed: the locale's, whatever Python was told of its streams, but never ASCII."""
    encoding = codecs.lookup(locale.getencoding()).name
    return "utf-8" if encoding == "ascii" else encoding


class TerminalSettings:
    """The settings of a terminal as they were before us."""

    def __init__(self, stdin: TextIO, stdout: TextIO) -> None:
        """Read them."""
        self._stdin, self._stdout = stdin.fileno(), stdout.fileno()
        self._settings: list[Any] | None = None
        if sys.platform != "win32":
            with contextlib.suppress(termios.error):
                self._settings = termios.tcgetattr(self._stdin)

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Have them set while the body runs, for whoever takes the terminal meanwhile."""
        if sys.platform == "win32" or self._settings is None:
            yield
            return
        ours = termios.tcgetattr(self._stdin)
        termios.tcsetattr(self._stdin, termios.TCSANOW, self._settings)
        try:
            yield
        finally:
            termios.tcsetattr(self._stdin, termios.TCSANOW, ours)

    def restore(self) -> None:
        """Set them again, at once; from any thread."""
        if sys.platform == "win32" or self._settings is None:
            return
        with contextlib.suppress(termios.error, OSError):  # the terminal is gone
            termios.tcsetattr(self._stdin, termios.TCSANOW, self._settings)
            _, writable, _ = select.select([], [self._stdout], [], 0)
            if writable:  # a terminal that takes nothing must not keep the process from ending
                os.write(self._stdout, _RESET)
