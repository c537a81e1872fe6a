"""The real command in a pseudo-terminal, as a person has it: keys go in, and a terminal emulator reads the screen."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyte

from .command import COMPLAINTS, IN_A_TERMINAL, LIVENESS_S, Captured, clean_environ
from .kept_recordings import RECORDINGS

COMMAND = (sys.executable, "-X", "dev", "-m", "gemini_live")
PROMPT = "> "
_SLOW_CALLBACK_SHOWN = re.compile(r"^(\| )?Executing <.*?took \d+\.\d+ seconds$", re.MULTILINE | re.DOTALL)


class PseudoTerminal:
    """One run of the command in a terminal of its own, which its Ctrl-C belongs to. Not on Windows."""

    def __init__(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        redirect: str = "",
        columns: int = 100,
        rows: int = 40,
        program: Sequence[str] = COMMAND,
        cwd: Path | None = None,
    ) -> None:
        """Start it.

        Args:
            arguments: Its own.
            environ: In addition to the clean environment.
            redirect: What a shell puts after the command, such as `| cat`.
            columns: The width of the terminal.
            rows: Its height.
            program: What takes the arguments.
            cwd: Where it runs.
        """
        self._screen = pyte.HistoryScreen(columns, rows, history=100_000)
        self._stream = pyte.ByteStream(self._screen)
        self._n_shown = 0
        self._master, self._slave = os.openpty()
        self._set_size(columns, rows)
        argv = (*program, *(RECORDINGS.recorded(arguments) if program is COMMAND else arguments))
        if redirect:
            argv = ("/bin/sh", "-c", f'"$@" {redirect}', "sh", *argv)
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", IN_A_TERMINAL, *argv],
            env=clean_environ(**{"TERM": "xterm-256color", **(environ or {})}),
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd=cwd,
        )
        self.written = Captured(os.fdopen(self._master, "rb", buffering=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._slave)
        self.written.join()

    # What a person does

    def type(self, text: str | bytes) -> None:
        """Press keys."""
        data = text if isinstance(text, bytes) else text.encode()
        while data:
            data = data[os.write(self._master, data) :]

    def clear_line(self) -> None:
        """Press Ctrl-C on a line with text, and wait until it is empty: the terminal sends a signal, not a key."""
        self.type("\x03")
        self.wait_until(lambda: self.input_line.startswith(("type a line", "type, or", "input ended")))

    def paste(self, text: str) -> None:
        """Paste, as a terminal does that knows of brackets."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        self._show()
        self._screen.resize(rows, columns)
        self._set_size(columns, rows)

    # What a person sees

    @property
    def screen(self) -> list[str]:
        """What the window shows, row by row."""
        self._show()
        return [line.rstrip() for line in self._screen.display]

    @property
    def cursor(self) -> tuple[int, int]:
        """The column and the row of the cursor, from 0."""
        self._show()
        return self._screen.cursor.x, self._screen.cursor.y

    @property
    def lines(self) -> list[str]:
        """Everything from the beginning, scrollback included, but for empty rows and remarks about a slow machine."""
        self._show()
        above = ["".join(row[x].data for x in range(self._screen.columns)).rstrip() for row in self._screen.history.top]
        text = "\n".join([*above, *self.screen])
        return [line for line in _SLOW_CALLBACK_SHOWN.sub("", text).splitlines() if line]

    @property
    def styles(self) -> list[list[pyte.screens.Char]]:
        """What the window shows, cell by cell."""
        self._show()
        return [
            [row[x] for x in range(self._screen.columns)]
            for row in map(self._screen.buffer.__getitem__, range(self._screen.lines))
        ]

    @property
    def conversation(self) -> list[str]:
        """The lines above the input line."""
        lines = self.lines
        ends = [index for index, line in enumerate(lines) if line.startswith(PROMPT.rstrip())]
        return lines[: ends[-1]] if ends else lines

    @property
    def input_line(self) -> str:
        """What stands in the input line, on however many rows, without its mark."""
        rows = self.screen
        first = max((index for index, row in enumerate(rows) if row.startswith(PROMPT.rstrip())), default=0)
        last = max((index for index, row in enumerate(rows) if row), default=0)
        return "\n".join(row[len(PROMPT) :] for row in rows[first:last])

    @property
    def bar(self) -> str:
        """The status bar."""
        return next((row for row in reversed(self.screen) if row), "")

    @property
    def settings(self) -> list[Any]:
        """The settings of the terminal, as `termios` has them."""
        return termios.tcgetattr(self._slave)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds of what is seen."""
        assert self.written.wait_until(condition), "\n".join(self.screen)

    def wait_for(self, *parts: str) -> None:
        """Wait until `parts` are in the lines, one after the other."""
        self.wait_until(lambda: _has("\n".join(self.lines), parts))

    def wait_for_prompt(self) -> None:
        """Wait until there is a live connection, and the input line."""
        self.wait_until(lambda: any("live 0:" in row for row in self.screen))

    def wait(self, *, complaints: bool = False) -> int:
        """Wait for its end; unless `complaints` are expected, fail where there are any."""
        code = self.process.wait(LIVENESS_S)
        text = self.written.text
        assert complaints or not any(words in text for words in COMPLAINTS), text
        return code

    def signal_group(self, number: int) -> None:
        """Send a signal to the command and to what it has started."""
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.process.send_signal(signal.SIGKILL)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _show(self) -> None:
        data = self.written.data
        self._stream.feed(data[self._n_shown :])
        self._n_shown = len(data)


def _has(text: str, parts: Sequence[str]) -> bool:
    position = 0
    for part in parts:
        position = text.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return True
