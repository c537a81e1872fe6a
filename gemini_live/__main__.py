"""`python -m gemini_live`, and the `gemini-live` command."""

import os
import signal
from typing import NoReturn


def run() -> NoReturn:
    """Run the command."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # The rest takes a moment to load, and nothing needs an orderly end before that. A signal that the parent
        # ignores stays ignored, as in plain Python: a background job must not die of the Ctrl-C of its script.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: os._exit(128 + number))
    from .cli import run as run_command  # noqa: PLC0415

    run_command()


if __name__ == "__main__":
    run()
