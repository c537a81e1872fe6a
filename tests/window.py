"""A window of a terminal inside the process of the test: a terminal emulator reads what is drawn. Not on Windows."""

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import pyte

WAIT_S = 20.0
"""No step takes as long, however busy the machine is."""


class Window:
    """A window: `keys` and `screen` are the program's side of it, the rest is the person's."""

    def __init__(self, columns: int = 60, rows: int = 16) -> None:
        self._emulator = pyte.HistoryScreen(columns, rows, history=100_000)
        self._stream = pyte.ByteStream(self._emulator)
        self._person, self._program = os.openpty()
        os.set_blocking(self._person, False)
        self._set_size(columns, rows)
        self.keys: TextIO = os.fdopen(os.dup(self._program), encoding="utf-8")
        self.screen: TextIO = os.fdopen(os.dup(self._program), "w", encoding="utf-8")
        self.written = b""
        """Everything that was drawn."""

    # What a person does

    def type(self, text: str | bytes) -> None:
        """Press keys, all of which come at once."""
        data = text if isinstance(text, bytes) else text.encode()
        assert os.write(self._person, data) == len(data)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        self.look()
        self._emulator.resize(rows, columns)
        self._set_size(columns, rows)

    def hang_up(self) -> None:
        """Close the window."""
        if self._person >= 0:
            os.close(self._person)
            os.close(self._program)
            self._person = -1

    def close(self) -> None:
        """Close all that is open still."""
        self.hang_up()
        for stream in (self.keys, self.screen):
            with contextlib.suppress(OSError):
                stream.close()

    # What a person sees

    def look(self) -> list[str]:
        """Return the rows of the window as they are now, without the spaces at their ends."""
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self._person, 65_536):
                self.written += data
                self._stream.feed(data)
        return [row.rstrip() for row in self._emulator.display]

    @property
    def text(self) -> str:
        """The rows of the window up to the last that is not empty."""
        return "\n".join(self.look()).rstrip("\n")

    @property
    def lines(self) -> list[str]:
        """Everything from the beginning, scrollback included, but for empty rows."""
        rows = self.look()
        above = ["".join(row[x].data for x in range(self._emulator.columns)) for row in self._emulator.history.top]
        return [row.rstrip() for row in (*above, *rows) if row.strip()]

    @property
    def cursor(self) -> tuple[int, int]:
        """The column and the row of the cursor, from 0."""
        self.look()
        return self._emulator.cursor.x, self._emulator.cursor.y

    @property
    def hides_cursor(self) -> bool:
        """Whether the cursor cannot be seen."""
        self.look()
        return bool(self._emulator.cursor.hidden)

    def style_at(self, part: str) -> Any:
        """Return how the first character of `part` is shown."""
        for y, row in enumerate(self.look()):
            if (x := row.find(part)) >= 0:
                return self._emulator.buffer[y][x]
        raise AssertionError(f"{part} is not to be seen:\n{self.text}")

    @property
    def settings(self) -> list[Any]:
        """The settings of the terminal, as `termios` has them."""
        return termios.tcgetattr(self._program)

    @property
    def is_cooked(self) -> bool:
        """Whether the terminal itself edits and shows what is typed, as it does for a shell's children."""
        flags: int = self.settings[3]
        return bool(flags & termios.ICANON and flags & termios.ECHO)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds, which is looked at whenever something is drawn, and now and then."""
        loop = asyncio.get_running_loop()
        drawn = asyncio.Event()
        loop.add_reader(self._person, drawn.set)
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.02):
                            await drawn.wait()
                    drawn.clear()
        except TimeoutError:
            raise AssertionError(f"it has not come to that; the window shows:\n{self.text}") from None
        finally:
            loop.remove_reader(self._person)

    async def shows(self, *parts: str) -> None:
        """Wait until the window shows `parts`, one after the other."""
        await self.until(lambda: _has(self.text, parts))

    async def shows_no_more(self, part: str) -> None:
        """Wait until the window does not show `part`."""
        await self.until(lambda: part not in self.text)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._program, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextlib.contextmanager
def opened(columns: int = 60, rows: int = 16) -> Iterator[Window]:
    """Open a window, and close it at the end of the block."""
    window = Window(columns, rows)
    try:
        yield window
    finally:
        window.close()


def _has(text: str, parts: tuple[str, ...]) -> bool:
    position = 0
    for part in parts:
        position = text.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return True
