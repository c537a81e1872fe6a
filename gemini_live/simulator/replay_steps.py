"""Turns a recording into the steps of a replay: messages to send, and client actions to wait for.

If the client's audio was recorded, speech is detected in it. The server's messages show where speech belongs among the
steps, and that there was speech if the audio was not recorded: `voiceActivity`, transcripts, interruptions, and answers
to nothing typed. Pure.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemini_live.errors import ConfigError

from ..recording.format import MAX_LINE_BYTES, Closed, Message, count_media_bytes, find_media
from ..recording.read import Recording, read_recording
from .client_events import ClientEvent, ClientEvents, Kind
from .close_reasons import Refusal
from .replay_check import find_mistakes
from .schema import parse_client_message


@dataclass(frozen=True)
class Send:
    """A message that the server sent."""

    message: Mapping[str, Any]
    t_s: float
    line: int


@dataclass(frozen=True)
class WaitFor:
    """An action of the recorded client. The replay waits for the same action before it sends the next messages."""

    event: ClientEvent
    t_s: float
    line: int
    transcript: str = ""
    """The server's transcript of the speech."""
    n: int = 1
    """The number of utterances in the speech."""


Step = Send | WaitFor


@dataclass(frozen=True)
class RecordedConnection:
    """One connection of a recording."""

    setup: dict[str, Any]
    setup_t_s: float
    steps: tuple[Step, ...]
    closed: Closed | None
    """How the server closed the connection; None: the client did, or nobody."""

    @property
    def handle(self) -> str | None:
        """The handle with which the connection resumed a session; None if the session was fresh."""
        handle: str | None = self.setup.get("sessionResumption", {}).get("handle")
        return handle

    @property
    def function_names(self) -> set[str]:
        """The names of the functions that the server calls."""
        return {
            call.get("name", "")
            for step in self.steps
            if isinstance(step, Send)
            for call in step.message.get("toolCall", {}).get("functionCalls", [])
        }


def read_replay(path: Path) -> list[RecordedConnection]:
    """Return the connections of a recording.

    Raises:
        ConfigError: The recording cannot be read, or has nothing to replay.
    """
    recording = read_recording(path)
    if recording.header.redacted:
        raise ConfigError(f"{path}: a redacted recording cannot be replayed: its words and its sound were removed")
    numbers = sorted({entry.connection for entry in recording.entries if isinstance(entry, Message)})
    found = [_read_connection(recording, number) for number in numbers]
    connections = [connection for connection in found if connection is not None]
    if not connections:
        raise ConfigError(f"{path}: no session in this recording got as far as a setup")
    return connections


def _read_connection(recording: Recording, number: int) -> RecordedConnection | None:
    """Return the connection with a number; None if it has no setup."""
    entries = [
        entry for entry in recording.entries if isinstance(entry, Message | Closed) and entry.connection == number
    ]
    first = next((entry for entry in entries if isinstance(entry, Message)), None)
    if first is None or first.sender != "client":
        return None
    setup = _parse(recording.path, first).get("setup")
    if setup is None:
        return None
    try:
        events = ClientEvents(setup)
    except Refusal:
        events = ClientEvents({"model": setup.get("model", "")})
    steps: list[Step] = []
    spoken: list[WaitFor] = []
    called: set[str] = set()
    for entry in entries:
        if entry is first or isinstance(entry, Closed):
            continue
        if entry.sender == "server":
            if mistake := next(find_mistakes(entry.message), ""):
                raise ConfigError(f"{recording.path}:{entry.line}: not a message of a server: {mistake}")
            steps.append(Send(entry.message, entry.t_s, entry.line))
            called |= {
                call.get("id") or call.get("name", "")
                for call in entry.message.get("toolCall", {}).get("functionCalls", [])
            }
            continue
        for awaited in _read_awaited(recording.path, entry, events, called):
            is_found = events.is_automatic and awaited.event.kind in (Kind.SPEECH_START, Kind.SPEECH_END)
            (spoken if is_found else steps).append(awaited)
    if events.is_automatic:
        audio = [entry for entry in entries if isinstance(entry, Message) and _is_audio(entry)]
        is_kept = any(media["data"] for entry in audio for media in find_media(entry.message))
        steps = list(SpeechPlacement(spoken, bool(audio), is_kept).place(steps))
    closed = next((entry for entry in entries if isinstance(entry, Closed) and entry.by == "server"), None)
    return RecordedConnection(setup, first.t_s, tuple(steps), closed)


def _parse(path: Path, entry: Message) -> dict[str, Any]:
    message = restore_media(entry.message)
    try:
        return parse_client_message(json.dumps(message))
    except Refusal as refusal:
        raise ConfigError(f"{path}:{entry.line}: not a message of a client: {refusal.reason}") from None


def _read_awaited(path: Path, entry: Message, events: ClientEvents, called: set[str]) -> Iterator[WaitFor]:
    """Yield the client's actions in a message, except results of calls that were never made."""
    try:
        found = events.read(_parse(path, entry))
    except (Refusal, ConfigError):
        return  # the service refused it too; what it sent then is in the recording
    for event in found:
        if event.kind is not Kind.RESULT or event.call_id in called or event.name in called:
            yield WaitFor(event, entry.t_s, entry.line)


def _is_audio(entry: Message) -> bool:
    media = entry.message.get("realtimeInput") or entry.message.get("realtime_input")
    return isinstance(media, dict) and any(name in media for name in ("audio", "mediaChunks", "media_chunks"))


def restore_media(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message with zero bytes of the same length in place of media that were not recorded."""
    if not any("bytes" in media for media in find_media(message)):
        return message
    restored: dict[str, Any] = json.loads(json.dumps(message))
    for media in find_media(restored):
        n_bytes = count_media_bytes(media)
        if media.pop("bytes", None) is not None and not media["data"] and n_bytes <= MAX_LINE_BYTES:
            media["data"] = "AAAA" * (n_bytes // 3) + ("", "AA==", "AAA=")[n_bytes % 3]
    return restored


@dataclass
class SpeechPlacement:
    """Places the start and the end of speech among the messages of a connection."""

    found: list[WaitFor]
    """Speech that was found in the recorded audio, in order."""
    has_audio: bool
    """True if the client sent audio at all."""
    is_kept: bool
    """True if that audio was recorded."""
    _is_speaking: bool = False
    """True between a placed start and its end."""
    _is_due: bool = False
    """True if the client did something since the last output: an answer is due."""
    _is_answering: bool = False
    """True in a turn whose cause is known."""
    _is_cut: bool = False
    """True between `interrupted` and the end of that turn."""
    _typed: str = ""
    _started_s: float = -1.0
    _ended_s: float = -1.0

    def place(self, steps: list[Step]) -> Iterator[Step]:
        """Yield the steps with the start and the end of speech inserted before the messages that depend on them."""
        for i, step in enumerate(steps):
            if isinstance(step, WaitFor):
                self._is_due, self._typed = True, step.event.content
            else:
                yield from self._place_before(steps, i, step)
            yield step
            if isinstance(step, Send):
                self._follow(step.message)

    def _place_before(self, steps: list[Step], i: int, step: Send) -> Iterator[WaitFor]:
        """Yield the start or the end of speech that must come before a message, if the message shows that it does."""
        content = step.message.get("serverContent", {})
        activity = step.message.get("voiceActivity", {}).get("type", "")
        heard = content.get("inputTranscription", {}).get("text", "")
        is_echo = bool(heard) and self._is_due and heard.strip().casefold() in self._typed
        is_output = _is_output(step.message)
        cuts = "interrupted" in content and not self._is_due
        unasked = is_output and not (self._is_due or self._is_answering) and self._has_spoken(step.t_s)
        begins = activity == "ACTIVITY_START" or (heard and not is_echo) or cuts or unasked
        if begins and not self._is_speaking and not (heard and self._is_answering and not self._is_cut and not cuts):
            yield self._start(step)
        is_empty = "turnComplete" in content and not self._is_cut
        if self._is_speaking and (
            is_output or is_empty or activity == "ACTIVITY_END" or (heard and _is_whole(steps, i, step))
        ):
            yield self._end(steps, i, step)

    def _has_spoken(self, until_s: float) -> bool:
        """True if the client may have spoken between the last speech and `until_s`."""
        ends = [awaited.t_s for awaited in self.found if awaited.event.kind is Kind.SPEECH_END]
        return any(self._ended_s < t_s <= until_s for t_s in ends) if self.is_kept else self.has_audio

    def _start(self, step: Send) -> WaitFor:
        """Begin speech before a message; use the time of the newest speech that was detected in the audio."""
        self._is_speaking = True
        before = [
            awaited for awaited in self.found if awaited.event.kind is Kind.SPEECH_START and awaited.t_s <= step.t_s
        ]
        self._started_s = before[-1].t_s if before and before[-1].t_s > self._started_s else step.t_s
        return WaitFor(ClientEvent(Kind.SPEECH_START), self._started_s, step.line)

    def _end(self, steps: list[Step], i: int, step: Send) -> WaitFor:
        """End speech before a message; add its transcript and the number of its utterances."""
        self._is_speaking, self._is_due, self._ended_s = False, True, step.t_s
        ends = [
            awaited
            for awaited in self.found
            if awaited.event.kind is Kind.SPEECH_END and self._started_s <= awaited.t_s <= step.t_s
        ]
        text = ends[-1].event.text if ends else ""
        event = ClientEvent(Kind.SPEECH_END, text)
        return WaitFor(
            event, ends[-1].t_s if ends else step.t_s, step.line, _find_transcript(steps, i), max(1, len(ends))
        )

    def _follow(self, message: Mapping[str, Any]) -> None:
        content = message.get("serverContent", {})
        if _is_output(message):
            self._is_due, self._is_answering = False, True
        if "interrupted" in content:
            self._is_cut = True
        if "turnComplete" in content:
            self._is_cut = False
            self._is_answering = content.get("interactionStatus") == "IN_PROGRESS"


def _is_output(message: Mapping[str, Any]) -> bool:
    content = message.get("serverContent", {})
    return "toolCall" in message or bool(content.get("modelTurn") or content.get("outputTranscription"))


def _is_whole(steps: list[Step], i: int, step: Send) -> bool:
    """True if a message has the only piece of transcript of its speech: the service sent it after the speech."""
    for other in steps[i + 1 :]:
        if isinstance(other, WaitFor) or _is_output(other.message):
            break
        if "inputTranscription" in other.message.get("serverContent", {}):
            return False
    for other in reversed(steps[:i]):
        if isinstance(other, WaitFor) or _is_output(other.message):
            break
        if "inputTranscription" in other.message.get("serverContent", {}):
            return False
    return True


def _find_transcript(steps: list[Step], i: int) -> str:
    """Return the transcript around a message: all pieces between the output before it and the output after it."""
    first = i
    while first > 0 and isinstance(before := steps[first - 1], Send) and not _is_output(before.message):
        first -= 1
    words = ""
    for step in steps[first:]:
        if isinstance(step, WaitFor) or (_is_output(step.message) and step is not steps[first] and words):
            break
        words += step.message.get("serverContent", {}).get("inputTranscription", {}).get("text", "")
    return words.strip()
