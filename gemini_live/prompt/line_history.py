"""The history of lines typed at the prompt, kept in a file that only its owner can read."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from platformdirs import user_state_path
from prompt_toolkit.history import FileHistory

MAX_BYTES = 1_000_000
"""A larger file loses its older half."""
MAX_LINE_CHARS = 50_000
"""A longer line, such as a pasted file, is not written to the history."""
_ENTRY = b"\n# "
"""The start of each entry in prompt_toolkit's file format."""


def history_path() -> Path:
    """Return the path of the history, in the user's state directory of this system."""
    return user_state_path("gemini-live", appauthor=False) / "history"


class LineHistory(FileHistory):
    """The lines of all sessions, or of this session only if the file cannot be used."""

    def __init__(
        self, path: Path, warn: Callable[[str], None], is_secret: Callable[[str], bool] = lambda _: False
    ) -> None:
        """Keep the lines in a file, which is created when it is first used.

        Args:
            path: The file.
            is_secret: Returns True for a line that must not be written to the file.
            warn: Called with one line if the file cannot be used.
        """
        super().__init__(path)
        self._path, self._warn, self._is_secret = path, warn, is_secret
        self._is_prepared, self._is_kept = False, True

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines of the file, the newest first."""
        lines: list[str] = []
        self._attempt(lambda: lines.extend(super(LineHistory, self).load_history_strings()))
        return lines

    def store_string(self, string: str) -> None:
        """Append a line to the file."""
        if len(string) > MAX_LINE_CHARS or self._is_secret(string):
            return

        def store() -> None:
            os.close(_open(self._path))  # creates the file with the right mode if it was deleted
            super(LineHistory, self).store_string(string)

        self._attempt(store)

    def _attempt(self, access: Callable[[], None]) -> None:
        """Call `access`; warn if the file cannot be used, and never try again."""
        if not self._is_kept:
            return
        try:
            if not self._is_prepared:
                self._is_prepared = True
                _prepare(self._path)
            access()
        except OSError as error:
            self._is_kept = False
            self._warn(f"what you type is not kept for the next session: {self._path}: {error.strerror or error}")


def _prepare(path: Path) -> None:
    """Create the folder and the file, and drop the older half of a file that is too large."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(_open(path), "r+b") as file:
        if file.seek(0, os.SEEK_END) > MAX_BYTES and not path.is_symlink():
            file.seek(-MAX_BYTES // 2, os.SEEK_END)
            newer = file.read()
            file.seek(0)
            file.write(newer[max(0, newer.find(_ENTRY)) :])
            file.truncate()


def _open(path: Path) -> int:
    """Open the file, or create it, and let only its owner read it.

    Raises:
        OSError: It cannot be opened, or is not a regular file.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NONBLOCK", 0), 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    if sys.platform != "win32" and not path.is_symlink():  # of a link, the target belongs to somebody else
        os.fchmod(descriptor, 0o600)  # another program may have created it
    return descriptor
