"""Writes the session for programs: one JSON object a line on stdout, as it happens, without media.

Runs on the event loop. Every object has `v` (the version of the schema), `type`, `t_s` (seconds since the start) and
`turn` (how many answers had ended before); the rest are the fields of the event. `schema.py` says which
events are written.
"""

import dataclasses
import json
from collections.abc import Callable
from typing import TextIO

from ..conversation.outcomes import Answered
from ..escaping import escape_json
from ..process.streams import BackgroundWriter
from .events import Detail, Error, Event, Output, Warning
from .schema import IN_JSONL, VERSION, type_name


class Jsonl:
    """The writer of JSON lines."""

    def __init__(
        self, writer: BackgroundWriter, stdout: TextIO | None, stderr: Output, *, clock: Callable[[], float]
    ) -> None:
        """Write to `stdout`; warnings, errors and the lines of `--verbose` go to `stderr` too, for people."""
        self._writer, self._stdout, self._stderr = writer, stdout, stderr
        self._clock = clock
        self._started_s = clock()
        self._turn = 0

    def emit(self, event: Event) -> None:
        """Write `event`, if it is part of the schema."""
        if isinstance(event, IN_JSONL):
            self._write(event)
        if isinstance(event, Warning | Error | Detail):
            self._stderr.emit(event)
        self._turn += isinstance(event, Answered)

    def _write(self, event: Event) -> None:
        record = {
            "v": VERSION,
            "type": type_name(type(event)),
            "t_s": round(self._clock() - self._started_s, 3),
            "turn": self._turn,
            **dataclasses.asdict(event),
        }
        self._writer.write(self._stdout, escape_json(json.dumps(record, ensure_ascii=False)) + "\n")
