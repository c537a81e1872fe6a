"""Tell the recorder what happens in a session; where nothing is recorded, do nothing.

Runs on the event loop, except for the recorder's own report that it failed.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__
from ..config import Config
from ..errors import ConfigError
from ..recording.format import Header, Sender
from ..recording.lines import EntrySink, timestamp
from ..recording.memory import SessionMemory
from ..recording.write import CLOSE_TIMEOUT_S, Recorder, open_new
from ..wire.address import list_secrets

RecordEvent = Callable[..., None]
"""`Journal.local`: records an event, by its name and facts."""


class Journal:
    """What is recorded of one session."""

    def __init__(
        self,
        config: Config,
        setup: dict[str, Any],
        *,
        remembers: bool,
        warn: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            config: Says whether and where to record.
            setup: The first setup message.
            remembers: True to keep the newest part of the session in memory, for `/save`, if nothing else is recorded.
            warn: Called once with one line if the recording cannot be continued.
            clock: The loop's time in seconds.
        """
        self._config, self._setup, self._remembers = config, setup, remembers
        self._warn, self._clock = warn, clock
        self._sink: EntrySink | None = None
        self._connection = 0
        """Counts the connections."""
        self._is_connected = False

    def open(self) -> None:
        """Begin the recording.

        Raises:
            RecordingError: The file cannot be written, or is not a recording.
        """
        setup = self._setup["setup"]
        header = Header(
            program=f"gemini-live {__version__}",
            role="client",
            started_at=timestamp(),
            model=setup.get("model"),
            setup=setup,
        )
        secrets = list_secrets(self._config.api_key)
        if self._config.record is not None:
            loop = asyncio.get_running_loop()

            def fail(reason: str) -> None:
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._warn, reason)

            self._sink = Recorder(
                self._config.record,
                header=header,
                redact=self._config.redact,
                force=self._config.force,
                secrets=secrets,
                on_failure=fail,
                clock=self._clock,
            )
        elif self._remembers:
            self._sink = SessionMemory(header=header, redact=self._config.redact, secrets=secrets, clock=self._clock)

    async def close(self) -> None:
        """Write the rest of the recording, in five seconds at most."""
        if isinstance(self._sink, Recorder):
            await asyncio.to_thread(self._sink.close)

    def save(self, path: Path, is_ours: bool) -> None:
        """Write the session so far to a file; it must be new, unless it `is_ours`. In a worker thread.

        Raises:
            ConfigError: There is nothing to save, or the recording is incomplete.
            OSError: The file exists, or cannot be written.
        """
        if is_ours:
            path.unlink(missing_ok=True)
        if isinstance(self._sink, SessionMemory):
            self._sink.save(path)
        elif isinstance(self._sink, Recorder):
            if not self._sink.flush():
                late = f"{self._sink.path} cannot be written within {CLOSE_TIMEOUT_S:g} s"
                raise ConfigError(self._sink.failure or late)
            _copy(self._sink.path, path)
        else:
            raise ConfigError("this session is not recorded: start it with --record FILE.jsonl")

    # What happens

    def connected(self, url: str) -> None:
        """Record that a connection is open: what follows belongs to it."""
        self._connection += 1
        self._is_connected = True
        if self._sink is not None:
            self._sink.connected(self._connection, url)

    def message(self, sender: Sender, raw: str | bytes) -> None:
        """Record a message of the present connection."""
        if self._sink is not None:
            self._sink.message(sender, self._connection, raw)

    def closed(self, code: int | None, reason: str, by: Sender) -> None:
        """Record that the present connection is closed; a second call does nothing."""
        if self._is_connected and self._sink is not None:
            self._sink.closed(self._connection, code, reason, by)
        self._is_connected = False

    def local(self, event: str, **facts: Any) -> None:
        """Record something that the wire does not show."""
        if self._sink is not None:
            self._sink.local(event, **facts)


def _copy(source: Path, target: Path) -> None:
    """Copy a recording to a new file that only its owner can read."""
    with source.open("rb") as old, open_new(target) as new:
        shutil.copyfileobj(old, new)
