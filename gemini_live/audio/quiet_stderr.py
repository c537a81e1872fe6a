"""Keeps what C libraries print off the terminal while sound is in use.

ALSA, JACK and PortAudio write up to a hundred lines to C's `stderr` when they look for devices, when one refuses a rate
and when one is pulled out, some from threads of their own, and PortAudio knows no switch for it. In glibc `stderr` is a
variable that a program may set: https://sourceware.org/glibc/manual/latest/html_node/Standard-Streams.html. File
descriptor 2, and with it Python's `sys.stderr`, is left alone. On other systems nothing is done: there they are quiet.
"""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def mute_c_stderr() -> Iterator[None]:
    """While it is entered, C code that writes to `stderr` writes to nowhere, in every thread."""
    null = _open_null()
    if null is None:
        yield
        return
    stderr = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
    before = stderr.value
    stderr.value = null
    try:
        yield
    finally:
        stderr.value = before


@functools.cache
def _open_null() -> int | None:
    """Return a C stream that leads nowhere, or `None` without glibc. Never closed: a thread may be writing to it."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    # In other C libraries `stderr` is a constant, in memory that cannot be written to.
    if not hasattr(libc, "gnu_get_libc_version"):
        return None
    libc.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    libc.fopen.restype = ctypes.c_void_p
    null: int | None = libc.fopen(os.devnull.encode(), b"w")
    return null
