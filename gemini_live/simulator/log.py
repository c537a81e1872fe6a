"""Writes the log of a server: a recording (gemini_live.recording) of all its sessions, each with a connection number.

A thread of the recorder writes it, so that the loop never waits for the disk.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gemini_live import __version__
from gemini_live.errors import ConfigError, RecordingError

from ..recording.format import Header
from ..recording.lines import timestamp
from ..recording.write import Recorder

SERVER_ROLE, PROXY_ROLE = "simulator", "proxy"


class Log:
    """One log file, open."""

    def __init__(
        self, path: Path, *, role: str, media: bool, clock: Callable[[], float], on_failure: Callable[[str], None]
    ) -> None:
        """Create the file.

        Args:
            path: The file; a recording in it is overwritten.
            role: Who writes it: `simulator` or `proxy`.
            media: True if sound and pictures are kept.
            clock: Returns the time in seconds.
            on_failure: Called once if nothing more can be written, in the recorder's thread.

        Raises:
            ConfigError: It cannot be written, or is a file of another kind.
        """
        header = Header(program=f"gemini-live-simulator {__version__}", role=role, started_at=timestamp())
        try:
            self._recorder = Recorder(path, header=header, keep_media=media, clock=clock, on_failure=on_failure)
        except RecordingError as error:
            reason = error.reason.removeprefix("cannot write the recording: ").partition(", or overwrite")[0]
            raise ConfigError(f"--log {path}: {reason}") from error

    def opened(self, session: int, url: str) -> None:
        """Write that a session's WebSocket is open."""
        self._recorder.connected(session, url)

    def received(self, session: int, message: str | bytes | Mapping[str, Any]) -> None:
        """Write a message of a client, as it came."""
        self._recorder.message("client", session, message)

    def sent(self, session: int, message: str | bytes | Mapping[str, Any]) -> None:
        """Write a message to a client."""
        self._recorder.message("server", session, message)

    def mistake(self, session: int, words: str) -> None:
        """Write what a client did wrong."""
        self._recorder.local("mistake", connection=session, words=words)

    def departure(self, session: int, words: str) -> None:
        """Write where and how the client of a replay left the recording."""
        self._recorder.local("departure", connection=session, words=words)

    def closed(self, session: int, code: int, reason: str, *, by_client: bool) -> None:
        """Write how a session ended."""
        self._recorder.closed(session, code, reason, "client" if by_client else "server")

    async def close(self) -> None:
        """Write what waits and close the file.

        Raises:
            ConfigError: It could not be written to the end.
        """
        if not await asyncio.to_thread(self._recorder.close):
            raise ConfigError(f"--log: {self._recorder.failure}")
