"""The terminal itself: its keys, its screen, its size, and its settings before and during the prompt.

On POSIX a background thread writes to the terminal, because a terminal may stop accepting text. On Windows
prompt_toolkit writes to the console itself, which blocks while the user selects text there.
"""

import codecs
import contextlib
import locale
import os
import select
import shutil
import signal
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output

from ..process.streams import BackgroundWriter

if sys.platform != "win32":
    import termios

    from prompt_toolkit.input.vt100 import Vt100Input

    class SignallingInput(Vt100Input):
        """Reads keys in raw mode, except that the terminal turns Ctrl-C into SIGINT.

        A signal reaches the process even while a user's function blocks the event loop, which then reads no keys.
        """

        @contextlib.contextmanager
        def raw_mode(self) -> Iterator[None]:
            """Set raw mode while the body runs; if the process ignores SIGINT, Ctrl-C stays a key."""
            with super().raw_mode():
                if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
                    self._enable_ctrl_c()
                yield

        def _enable_ctrl_c(self) -> None:
            """Let the terminal send SIGINT for Ctrl-C, and no other signal for any other key."""
            with contextlib.suppress(termios.error):  # the terminal is gone
                settings = termios.tcgetattr(self.fileno())
                # NOFLSH: without it Ctrl-C would discard what is being written to the screen.
                settings[3] |= termios.ISIG | termios.NOFLSH
                settings[6][termios.VINTR] = b"\x03"
                disabled = bytes([os.fpathconf(self.fileno(), "PC_VDISABLE")])
                settings[6][termios.VSUSP] = settings[6][termios.VQUIT] = disabled
                termios.tcsetattr(self.fileno(), termios.TCSANOW, settings)


DRAIN_S = 1.0
"""How long to wait for the terminal to accept pending text before the process is suspended."""
_RESET = b"\x1b[?2004l\x1b[?25h\x1b[0m\r\x1b[J"
"""Ends bracketed paste, shows the cursor, ends colours and erases what is below the conversation."""


class TerminalStream:
    """A stream for prompt_toolkit that passes text to the background writer instead of blocking."""

    def __init__(self, stdout: TextIO, writer: BackgroundWriter) -> None:
        self._stdout, self._writer = stdout, writer
        self._held: list[str] | None = None
        self.encoding = stdout.encoding

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Collect what the body writes and write it in one piece."""
        held: list[str] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            self.write("".join(held))

    def write(self, text: str) -> int:
        """Queue text for the writer's thread, or hold it; return its length."""
        if self._held is not None:
            self._held.append(text)
        else:
            self._writer.write(self._stdout, text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the writer's thread flushes after each write."""

    def drain(self) -> None:
        """Wait until the terminal has accepted everything, but at most `DRAIN_S`."""
        self._writer.flush(DRAIN_S)

    def fileno(self) -> int:
        """Return the descriptor of the terminal."""
        return self._stdout.fileno()


def create_terminal_input(stdin: TextIO) -> Input:
    """Return prompt_toolkit's reader of keys. Ctrl-C is a signal on POSIX and a key on Windows."""
    return create_input(stdin) if sys.platform == "win32" else SignallingInput(stdin)


def create_terminal_output(stream: TerminalStream, stdout: TextIO, term: str | None) -> Output:
    """Return prompt_toolkit's writer to the screen, which never asks the terminal for its cursor position."""
    if sys.platform == "win32":
        return create_output(stdout)

    def get_size() -> Size:
        try:
            columns, rows = os.get_terminal_size(stdout.fileno())
        except (OSError, ValueError):
            columns, rows = 0, 0
        if not (columns and rows):  # a terminal whose size was never set
            columns, rows = shutil.get_terminal_size()
        return Size(rows=rows, columns=columns)

    return Vt100_Output(stream, get_size, term=term, enable_bell=False, enable_cpr=False)  # type: ignore[arg-type]


def find_keys_encoding() -> str:
    """Return the encoding of typed text: the locale's, or UTF-8 where that is ASCII."""
    encoding = codecs.lookup(locale.getencoding()).name
    return "utf-8" if encoding == "ascii" else encoding


class TerminalSettings:
    """The terminal's settings as they were before the prompt started."""

    def __init__(self, stdin: TextIO, stdout: TextIO) -> None:
        """Read the settings."""
        self._stdin, self._stdout = stdin.fileno(), stdout.fileno()
        self._settings: list[Any] | None = None
        if sys.platform != "win32":
            with contextlib.suppress(termios.error):
                self._settings = termios.tcgetattr(self._stdin)

    @contextlib.contextmanager
    def original(self) -> Iterator[None]:
        """Restore the original settings while the body runs, for another program that uses the terminal."""
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
        """Restore the original settings for good and erase the prompt, from any thread, without waiting."""
        if sys.platform == "win32" or self._settings is None:
            return
        with contextlib.suppress(termios.error, OSError):  # the terminal is gone
            termios.tcsetattr(self._stdin, termios.TCSANOW, self._settings)
            _, writable, _ = select.select([], [self._stdout], [], 0)
            if writable:  # a terminal that accepts no text must not keep the process from ending
                os.write(self._stdout, _RESET)
