"""What every part of the program has to know about files: stdin's name, which files are the same, and a lock.

Imports the standard library only.
"""

import errno
import sys
from io import FileIO
from pathlib import Path

STDIN = Path("-")
"""The path that stands for stdin in options that can read it."""
LOCKED_BYTE = 2**31 - 2
"""Others cannot read a locked byte on Windows, so it lies beyond 12 hours of sound. C libraries of Windows keep the
position in 32 bits, with a sign."""


def describe_non_file(path: Path) -> str | None:
    """Return what `path` is if it exists and is not a regular file; opening such a path may wait for ever."""
    if path.is_dir():
        return "it is a directory"
    return "it is a device or a pipe, not a file" if path.exists() and not path.is_file() else None


def is_same_file(one: Path, other: Path) -> bool:
    """Return True if two paths lead to the same file, through links too."""
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return one.resolve() == other.resolve()


def lock(file: FileIO) -> bool:
    """Lock a file until it is closed; return False if another program of ours has locked it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - only Windows has it

            position = file.tell()
            file.seek(LOCKED_BYTE)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            finally:
                file.seek(position)
        else:
            import fcntl  # noqa: PLC0415 - Windows has none

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        return exc.errno not in {errno.EAGAIN, errno.EACCES, errno.EDEADLK}  # else a file system that has no locks
    return True
