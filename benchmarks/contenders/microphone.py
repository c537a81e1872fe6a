"""A microphone that is a thread: it hands over chunks of 20 ms in the manner of PortAudio, faster than real time."""

import threading
import time
from collections.abc import Callable

CHUNK = b"\x11\x00\xee\xff" * 160
"""20 ms at 16 kHz, soft noise."""


def feed(callback: Callable[[bytes], object], chunks: int, pace_s: float) -> threading.Thread:
    """Start a thread that calls `callback` with that many chunks, `pace_s` seconds apart, and return it."""

    def run() -> None:
        next_s = time.monotonic()
        for _ in range(chunks):
            callback(CHUNK)
            next_s += pace_s
            time.sleep(max(0.0, next_s - time.monotonic()))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
