"""The script that teaches a shell to complete the command, as shtab writes it. The only module that knows shtab."""

import argparse
from collections.abc import Sequence

import shtab

from .models import MODELS, VOICES

_VALUES = {"--model": tuple(MODELS), "--voice": VOICES, "--api-version": ("v1", "v1beta", "v1alpha")}
"""Known values of options that accept other values, too."""


def format_completion(parser: argparse.ArgumentParser, shell: str, commands: Sequence[str]) -> str:
    """Return a script for `shell` that completes the options of `parser` and the `commands`, which take files.

    This spoils the parser for parsing.
    """
    parser.add_argument("command", nargs="?", choices=commands)
    parser.add_argument("file", nargs="*").complete = shtab.FILE  # type: ignore[attr-defined]
    for action in parser._actions:
        for name in action.option_strings:
            action.choices = _VALUES.get(name, action.choices)
            if str(action.metavar).startswith("FILE"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's own way
    return shtab.complete(parser, shell).rstrip("\n") + "\n"
