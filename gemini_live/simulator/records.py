"""What happened: a record of each session, a log of every message, and a verdict on the client.

Records are for tests (`Simulator.sessions`) and for the verdict; the log is JSON lines. Neither ever holds a key.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from gemini_live.errors import ConfigError

_MAX_MISTAKES = 100
_GAP_S = 0.1


@dataclass
class CallRecord:
    """One function call that the server made."""

    id: str
    name: str
    args: dict[str, Any]
    answers: list[dict[str, Any]] = field(default_factory=list)
    """The function responses to it, as they came."""
    n_late: int = 0
    """Answers that came after it was cancelled."""
    n_again: int = 0
    """Answers that came after its last one."""
    cancelled: bool = False
    open: bool = True
    """Whether an answer to it is still awaited."""


@dataclass
class TurnRecord:
    """One turn of the model."""

    number: int
    asked: str
    """What it answers, in words."""
    origin: str
    """`typed`, `voice`, `content`, `result` (of a function)."""
    words: str = ""
    audio_s: float = 0.0
    """Audio sent."""
    generation_complete: bool = False
    complete: bool = False
    interrupted: bool = False


@dataclass
class SessionRecord:
    """Everything that happened in one session, from its handshake on."""

    number: int
    path: str
    api_version: str
    opened_s: float
    """On the server's clock."""
    keep: bool
    """Whether the messages and the sound themselves are kept, not only counted."""
    setup: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    """From the client: camelCase names, `bytes` for base64. The setup is the first."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    """To the client, in order."""
    audio: bytearray = field(default_factory=bytearray)
    """Everything that the microphone sent."""
    frames: list[bytes] = field(default_factory=list)
    """Every picture."""
    turns: list[TurnRecord] = field(default_factory=list)
    calls: dict[str, CallRecord] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    """What the client did that the protocol does not allow."""
    resumed_from: int | None = None
    """Number of the session that it goes on with."""
    n_received: int = 0
    n_sent: int = 0
    n_audio_bytes: int = 0
    n_frames: int = 0
    n_utterances: int = 0
    audio_s: float = 0.0
    """Seconds of audio that the client sent."""
    n_gaps: int = 0
    """Gaps that could be heard: longer than 100 ms."""
    longest_gap_s: float = 0.0
    """The longest time without audio while the microphone was open, beyond the audio that came before it."""
    close_code: int | None = None
    """None while it is open; 1006 for a connection that was lost."""
    close_reason: str = ""
    closed_by_client: bool = False
    on_mistake: Callable[[str], None] = lambda words: None
    """Told of each mistake; for the log."""
    _audio_due_s: float | None = None
    _waiters: list[tuple[Callable[["SessionRecord"], bool], asyncio.Future[None]]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether the session goes on."""
        return self.close_code is None

    async def wait_for(self, condition: Callable[["SessionRecord"], bool], timeout_s: float = 10.0) -> None:
        """Return as soon as `condition(record)` holds.

        Raises:
            TimeoutError: It did not come to hold.
        """
        if condition(self):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((condition, waiter))
        async with asyncio.timeout(timeout_s):
            await waiter

    def changed(self) -> None:
        """Look whether anybody waits for what is now so."""
        if not self._waiters:
            return
        for condition, waiter in self._waiters:
            if not waiter.done() and condition(self):
                waiter.set_result(None)
        self._waiters = [(condition, waiter) for condition, waiter in self._waiters if not waiter.done()]

    def mistake(self, words: str) -> None:
        """Note what the client did wrong, each kind of it once."""
        if words not in self.mistakes and len(self.mistakes) < _MAX_MISTAKES:
            self.mistakes.append(words)
            self.on_mistake(words)

    def received(self, message: dict[str, Any]) -> None:
        """Count a message of the client."""
        self.n_received += 1
        if self.keep:
            self.messages.append(message)

    def heard(self, pcm: bytes, duration_s: float, now_s: float) -> None:
        """Count audio of the client, and the time by which it came late."""
        self.n_audio_bytes += len(pcm)
        self.audio_s += duration_s
        if self.keep:
            self.audio += pcm
        if self._audio_due_s is not None:
            gap_s = now_s - self._audio_due_s
            self.longest_gap_s = max(self.longest_gap_s, gap_s)
            self.n_gaps += gap_s > _GAP_S
        self._audio_due_s = max(now_s, self._audio_due_s or 0.0) + duration_s

    def microphone_closed(self) -> None:
        """The client said that no audio is to be expected."""
        self._audio_due_s = None


def elide(value: Any, *, media: bool = False) -> Any:
    """Return a message as JSON can hold it: bytes as their length, or as base64 where media is wanted."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode() if media else f"<{len(value)} bytes>"
    if isinstance(value, dict):
        return {
            key: _elide_base64(item)
            if key == "data" and isinstance(item, str) and not media
            else elide(item, media=media)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [elide(item, media=media) for item in value]
    return value


def _elide_base64(text: str) -> str:
    return f"<{len(text) * 3 // 4 - text[-2:].count('=')} bytes>"


class MessageLog:
    """Writes every message, both ways, as a line of JSON with the time since the server started."""

    def __init__(self, file: TextIO, *, media: bool) -> None:
        self._file, self._media = file, media
        self._error: OSError | None = None
        """Why nothing more is written: a full disk ends the log, not the server."""

    def write(self, t_s: float, session: int, event: str, content: Any) -> None:
        """Write one line: `event` is `client`, `server` (a message), `open`, `close` or `mistake`."""
        if self._error is not None:
            return
        line = {"t_s": round(t_s, 4), "session": session, "event": event, "content": elide(content, media=self._media)}
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            self._error = error

    def close(self) -> None:
        """Close the file.

        Raises:
            ConfigError: It could not be written to the end.
        """
        try:
            self._file.close()
        except OSError as error:
            self._error = self._error or error
        if self._error is not None:
            raise ConfigError(f"the log could not be written to the end: {self._error.strerror}")


def format_verdict(record: SessionRecord) -> Iterator[str]:
    """Yield the lines of the verdict on one session."""
    how = "open" if record.open else f"closed by the {'client' if record.closed_by_client else 'server'}"
    code = (
        ""
        if record.open
        else f" with {record.close_code}" + (f" ({record.close_reason})" if record.close_reason else "")
    )
    yield f"session {record.number}: {record.path}, {how}{code}"
    complete = sum(turn.complete and not turn.interrupted for turn in record.turns)
    interrupted = sum(turn.interrupted for turn in record.turns)
    yield (
        f"  {record.n_received} messages received, {record.n_sent} sent; "
        f"{len(record.turns)} turns, {complete} complete, {interrupted} interrupted"
    )
    if record.n_audio_bytes or record.n_frames:
        yield (
            f"  media: {record.audio_s:.1f} s of audio received, {record.n_utterances} utterances in it, "
            f"{record.n_gaps} gaps above 100 ms, the longest {record.longest_gap_s * 1000:.0f} ms; "
            f"{record.n_frames} frames"
        )
    if record.calls:
        calls = record.calls.values()
        yield (
            f"  tool calls: {len(calls)} made, {sum(bool(c.answers) for c in calls)} answered, "
            f"{sum(c.cancelled for c in calls)} cancelled, {sum(c.open for c in calls)} never answered, "
            f"{sum(c.n_late for c in calls)} answered late, {sum(c.n_again for c in calls)} again"
        )
    if record.mistakes:
        yield f"  mistakes: {len(record.mistakes)}"
        yield from (f"    - {mistake}" for mistake in record.mistakes)
    else:
        yield "  no protocol mistakes found"
