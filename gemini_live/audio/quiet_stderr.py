"""Keep the messages of C libraries off the terminal while sound is in use.

ALSA, JACK and PortAudio write up to a hundred lines to C's `stderr` when they look for devices, when a device refuses a
rate and when one is unplugged, some from threads of their own; PortAudio has no switch for it. In glibc `stderr` is a
variable that a program may set: https://sourceware.org/glibc/manual/latest/html_node/Standard-Streams.html. File
descriptor 2, and so Python's `sys.stderr`, is not changed. On other systems these libraries print nothing, and nothing
is done.
"""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def mute_c_stderr() -> Iterator[None]:
    """Discard everything that C code of any thread writes to `stderr` while the body runs."""
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
    """Return a C stream to the null device, or None without glibc. It stays open: a thread may be writing to it."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    # In other C libraries `stderr` is a constant in read-only memory.
    if not hasattr(libc, "gnu_get_libc_version"):
        return None
    libc.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    libc.fopen.restype = ctypes.c_void_p
    null: int | None = libc.fopen(os.devnull.encode(), b"w")
    return null
