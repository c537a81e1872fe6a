"""Gives the API key to a function that asks for it. It is not in the environment, which other programs inherit.

Imported by the user's files, so it imports nothing slow.
"""

from types import SimpleNamespace

_kept = SimpleNamespace(key="")


def api_key() -> str:
    """Return the API key of the environment that gemini-live was started with; empty if there was none."""
    return str(_kept.key)


def keep_api_key(key: str) -> None:
    """Make `api_key` return `key`."""
    _kept.key = key
