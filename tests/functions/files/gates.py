"""What a test shares with the functions that it runs."""

import threading
from contextvars import ContextVar

entered, released, left = threading.Event(), threading.Event(), threading.Event()
"""A function is inside; it may go on; it is through."""

log: list[str] = []
caller: ContextVar[str] = ContextVar("caller", default="nobody")


def close_gates() -> None:
    """Make a fresh start."""
    for event in (entered, released, left):
        event.clear()
    log.clear()
