"""Keeps a record of each session, and gives a verdict on the client.

Records are for tests (`Simulator.sessions`) and for the verdict. They never hold a key. What a client sent is escaped
before it is printed. Longer than 300 lines: a third of it is fields, each with its meaning.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gemini_live.escaping import one_line

_MAX_MISTAKES, MAX_WORDS = 100, 1_000
"""How many mistakes of a session are kept, and how many characters of each."""
_MAX_NOTES = 20
MAX_KEPT = 1_000
"""Turns and calls of one session that are kept where messages are not: older ones are only counted."""
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
    """Answers after the last one."""
    cancelled: bool = False
    open: bool = True
    """True while an answer to it is awaited."""


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

    @property
    def state(self) -> str:
        """Return how far it came, in a word."""
        return "interrupted" if self.interrupted else "complete" if self.complete else "not complete"


@dataclass
class SessionRecord:
    """Everything that happened in one session, from its handshake on."""

    number: int
    path: str
    api_version: str
    opened_s: float
    """On the server's clock."""
    keep: bool
    """True if messages and sound are kept, not only counted."""
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
    dropped: Counter[str] = field(default_factory=Counter)
    """What the turns and calls that were not kept add to a verdict."""
    calls: dict[str, CallRecord] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    """What the client did that the protocol does not allow."""
    notes: list[str] = field(default_factory=list)
    """What works, but is doubtful with the service: it does not count as a mistake."""
    departures: list[str] = field(default_factory=list)
    """Where and how the client of a replay left the recording."""
    resumed_from: int | None = None
    """Number of the session that this one resumes."""
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
    """Called with each mistake; for the log."""
    on_departure: Callable[[str], None] = lambda words: None
    """Called with each departure; for the log."""
    on_event: Callable[[str], None] = lambda words: None
    """Called with a line for people at each call, each mistake and each change of the session."""
    _audio_due_s: float | None = None
    _waiters: list[tuple[Callable[["SessionRecord"], bool], asyncio.Future[None]]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """True while the session goes on."""
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
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            raise TimeoutError(f"not within {timeout_s:g} s; {self.describe()}") from None

    def describe(self) -> str:
        """Return in one line what has happened so far."""
        how = "open" if self.open else f"closed with {self.close_code} {self.close_reason}".strip()
        told = [f"session {self.number} is {how}"]
        told.append(f"received {_count_kinds(self.messages) or self.n_received}")
        told.append(f"sent {_count_kinds(self.sent) or self.n_sent}")
        told += [f"turn {turn.number} {turn.asked!r} {turn.state}" for turn in self.turns[-3:]]
        told += [f"call {call.name} {'open' if call.open else 'done'}" for call in self.calls.values()][-3:]
        told += [f"mistake: {words}" for words in self.mistakes[-3:]]
        return one_line("; ".join(told), fold=False)

    def report_calls(self, calls: list[dict[str, Any]]) -> None:
        """Tell people of function calls."""
        for call in calls:
            args = json.dumps(call.get("args", {}), ensure_ascii=False)
            self.on_event(f"calls {call.get('name')}({args})")

    def note(self, words: str) -> None:
        """Add something doubtful that is no mistake, each kind of it once."""
        words = words[:MAX_WORDS]
        if words not in self.notes and len(self.notes) < _MAX_NOTES:
            self.notes.append(words)

    @property
    def n_turns(self) -> int:
        """Return the number of turns, of those too that were not kept."""
        return len(self.turns) + self.dropped["turns.total"]

    @property
    def n_calls(self) -> int:
        """Return the number of calls, of those too that were not kept."""
        return len(self.calls) + self.dropped["calls.total"]

    def add_turn(self, turn: TurnRecord) -> None:
        """Append a turn."""
        self.turns.append(turn)
        if not self.keep and len(self.turns) > MAX_KEPT:
            self.dropped.update(_count_turns([self.turns.pop(0)]))

    def add_call(self, call: CallRecord) -> CallRecord | None:
        """Add a call; return the oldest one if it had to be dropped."""
        self.calls[call.id] = call
        if self.keep or len(self.calls) <= MAX_KEPT:
            return None
        oldest = self.calls.pop(next(iter(self.calls)))
        self.dropped.update(_count_calls([oldest]))
        return oldest

    def forget_messages(self) -> None:
        """Drop everything but counts, mistakes and turns: what a verdict needs of a session that has ended."""
        self.setup = {"model": self.setup.get("model", "")}
        self.messages, self.sent, self.frames, self.audio = [], [], [], bytearray()
        self.dropped.update(_count_turns(self.turns) + _count_calls(self.calls.values()))
        self.turns, self.calls = [], {}

    def changed(self) -> None:
        """Wake everybody whose condition now holds."""
        if not self._waiters:
            return
        for condition, waiter in self._waiters:
            if not waiter.done() and condition(self):
                waiter.set_result(None)
        self._waiters = [(condition, waiter) for condition, waiter in self._waiters if not waiter.done()]

    def mistake(self, words: str) -> None:
        """Add what the client did wrong, each kind of it once."""
        words = words[:MAX_WORDS]
        if words not in self.mistakes and len(self.mistakes) < _MAX_MISTAKES:
            self.mistakes.append(words)
            self.on_mistake(words)
            self.on_event(f"mistake: {words}")

    def departure(self, words: str) -> None:
        """Add where and how the client left the recording."""
        words = words[:MAX_WORDS]
        if len(self.departures) < _MAX_MISTAKES:
            self.departures.append(words)
            self.on_departure(words)
            self.on_event(f"left the recording: {words}")

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
        """Expect no audio: the client said that its microphone is closed."""
        self._audio_due_s = None


def _count_turns(turns: Iterable[TurnRecord]) -> Counter[str]:
    counts = Counter({"turns.total": 0, "turns.complete": 0, "turns.interrupted": 0})
    for turn in turns:
        counts["turns.total"] += 1
        counts["turns.complete"] += turn.complete and not turn.interrupted
        counts["turns.interrupted"] += turn.interrupted
    return counts


def _count_calls(calls: Iterable[CallRecord]) -> Counter[str]:
    names = ("total", "answered", "cancelled", "never_answered", "answered_late", "answered_again")
    counts = Counter({f"calls.{name}": 0 for name in names})
    for call in calls:
        counts["calls.total"] += 1
        counts["calls.answered"] += bool(call.answers)
        counts["calls.cancelled"] += call.cancelled
        counts["calls.never_answered"] += call.open
        counts["calls.answered_late"] += call.n_late
        counts["calls.answered_again"] += call.n_again
    return counts


def _count_kinds(messages: list[dict[str, Any]]) -> str:
    """Return the kinds of messages with their numbers, in the order in which they first came."""
    kinds: dict[str, int] = {}
    for message in messages:
        for kind, content in message.items():
            inner = ".".join([kind, *list(content)[:1]]) if kind in ("realtimeInput", "serverContent") else kind
            kinds[inner] = kinds.get(inner, 0) + 1
    return ", ".join(f"{kind} x{n}" if n > 1 else kind for kind, n in kinds.items())


def build_verdict(records: Iterable[SessionRecord], n_forgotten: int = 0, n_refused: int = 0) -> dict[str, Any]:
    """Return the verdict on all sessions as JSON can hold it: the content of `--verdict FILE`."""
    sessions = [_summarise(record) for record in records]
    return {
        "v": 1,
        "mistakes": sum(len(session["mistakes"]) for session in sessions),
        "departures": sum(len(session["departures"]) for session in sessions),
        "handshakes_refused": n_refused,
        "sessions_forgotten": n_forgotten,
        "sessions": sessions,
    }


def _summarise(record: SessionRecord) -> dict[str, Any]:
    counts = Counter(record.dropped)
    counts.update(_count_turns(record.turns))
    counts.update(_count_calls(record.calls.values()))
    return {
        "session": record.number,
        "path": record.path,
        "model": record.setup.get("model", "").removeprefix("models/"),
        "resumed_from": record.resumed_from,
        "close_code": record.close_code,
        "close_reason": record.close_reason,
        "closed_by": None if record.open else "client" if record.closed_by_client else "server",
        "messages": {"received": record.n_received, "sent": record.n_sent},
        "turns": {name: counts[f"turns.{name}"] for name in ("total", "complete", "interrupted")},
        "media": {
            "audio_s": round(record.audio_s, 3),
            "utterances": record.n_utterances,
            "gaps": record.n_gaps,
            "longest_gap_s": round(record.longest_gap_s, 3),
            "frames": record.n_frames,
        },
        "calls": {name.removeprefix("calls."): n for name, n in counts.items() if name.startswith("calls.")},
        "mistakes": list(record.mistakes),
        "departures": list(record.departures),
        "notes": list(record.notes),
    }


def format_verdict(record: SessionRecord) -> Iterator[str]:
    """Yield the lines of the verdict on one session."""
    summary = _summarise(record)
    how = "open" if record.open else f"closed by the {summary['closed_by']} with {record.close_code}"
    reason = f" ({one_line(record.close_reason)})" if record.close_reason else ""
    yield f"session {record.number}: {one_line(record.path)}, {how}{reason}"
    turns, media, calls = summary["turns"], summary["media"], summary["calls"]
    yield (
        f"  {record.n_received} messages received, {record.n_sent} sent; "
        f"{turns['total']} turns, {turns['complete']} complete, {turns['interrupted']} interrupted"
    )
    if record.n_audio_bytes or record.n_frames:
        yield (
            f"  media: {record.audio_s:.1f} s of audio received, {media['utterances']} utterances in it, "
            f"{media['gaps']} gaps above 100 ms, the longest {record.longest_gap_s * 1000:.0f} ms; "
            f"{media['frames']} frames"
        )
    if record.n_calls:
        yield (
            f"  tool calls: {calls['total']} made, {calls['answered']} answered, {calls['cancelled']} cancelled, "
            f"{calls['never_answered']} never answered, {calls['answered_late']} answered late, "
            f"{calls['answered_again']} again"
        )
    yield from (f"  note: {one_line(words)}" for words in record.notes)
    if record.departures:
        yield f"  left the recording: {len(record.departures)}"
        yield from (f"    - {one_line(words)}" for words in record.departures)
    if record.mistakes:
        yield f"  mistakes: {len(record.mistakes)}"
        yield from (f"    - {one_line(words)}" for words in record.mistakes)
    else:
        yield "  no protocol mistakes found"
