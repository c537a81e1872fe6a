"""Records the sessions of end-to-end tests, so that a failed test leaves its sessions for `gemini-live inspect`."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from gemini_live.options import COMMANDS

NO_SESSION = {"--help", "-h", "--version", "--list-devices", "--list-functions", "--print-completion", "--check-audio"}


class KeptRecordings:
    """The recordings of the test that runs."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        """Where sessions are recorded; None: the test that runs is not recorded."""
        self._n = 0

    def begin(self, folder: Path | None) -> None:
        """Record the sessions of the next test into a folder."""
        self.folder, self._n = folder, 0

    def recorded(self, arguments: Sequence[str]) -> tuple[str, ...]:
        """Return the arguments of a command, with --record if it will hold a session that can be recorded."""
        names = {argument.partition("=")[0] for argument in arguments}
        if self.folder is None or names & {"--record", *NO_SESSION} or (arguments and arguments[0] in COMMANDS):
            return tuple(arguments)
        self._n += 1
        return (*arguments, f"--record={self.folder / f'{self._n}.jsonl'}")

    def keep(self, folder: Path, name: str) -> list[Path]:
        """Copy what was recorded to a folder that lasts; return the files."""
        kept = []
        prefix = re.sub(r"[^-\w.]+", "_", name)[-150:]
        for path in sorted(self.folder.glob("*.jsonl")) if self.folder is not None else ():
            folder.mkdir(parents=True, exist_ok=True)
            kept.append(folder / f"{prefix}-{path.name}")
            shutil.copy(path, kept[-1])
        return kept


RECORDINGS = KeptRecordings()
