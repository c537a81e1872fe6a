"""Reads from a client's messages what an answer may be waiting for: a line, the start and end of speech, a result.

A replay reads the recorded client and the client of today with it, and compares what both did. Pure.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gemini_live.models import StreamEnd, capabilities_of

from ..audio.pcm import INPUT, PcmFormat, parse_rate_hz
from ..audio.voice_detector import SpeechStarted, Utterance
from .settings import read_activity
from .speech_segments import SpeechSegments


class Kind(StrEnum):
    """What a client did."""

    TYPED = "typed"
    SPEECH_START = "began to speak"
    SPEECH_END = "spoke"
    RESULT = "answered a call"


@dataclass(frozen=True)
class ClientEvent:
    """One thing that a client did."""

    kind: Kind
    text: str = ""
    """The typed text, or how long the speech was."""
    call_id: str = ""
    name: str = ""
    """The function that has a result."""
    response: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """Return it in words, for people."""
        match self.kind:
            case Kind.TYPED:
                return f'typed "{self.text}"'
            case Kind.RESULT:
                return f"answered {self.name}"
        return f"{self.kind} ({self.text})" if self.text else str(self.kind)

    @property
    def content(self) -> str:
        """The typed text without what clients add or change on their way: case, blanks."""
        return " ".join(self.text.split()).casefold()


class ClientEvents:
    """The events of one connection."""

    def __init__(self, setup: dict[str, Any]) -> None:
        """Read messages after `setup`.

        Raises:
            Refusal: The setup's speech detection makes no sense.
        """
        observed = capabilities_of(setup.get("model", "").removeprefix("models/")).observed
        activity = read_activity(setup.get("realtimeInputConfig", {}))
        flushes = observed.stream_end is StreamEnd.ENDS_TURN
        self._segments = SpeechSegments(activity, stream_end_flushes=flushes)
        self.is_automatic = activity.automatic
        """True if speech is found in the audio; else the client marks it."""
        config = setup.get("historyConfig", {})
        self._is_seeding = observed.takes_history_config and bool(config.get("initialHistoryInClientContent"))
        self._written: list[str] = []
        """The user's words by clientContent that are not answered yet."""
        self.pcm, self.rate_hz = b"", INPUT.rate_hz
        """The audio of the last message; empty if it had none."""

    def read(self, message: dict[str, Any]) -> list[ClientEvent]:
        """Return what a message of the client brings.

        Raises:
            Refusal: The message does not go with the setup.
        """
        self.pcm = b""
        match message:
            case {"realtimeInput": media}:
                return self._read_media(media)
            case {"clientContent": content}:
                return self._read_content(content)
            case {"toolResponse": answer}:
                return [
                    ClientEvent(
                        Kind.RESULT, "", response.get("id", ""), response.get("name", ""), response.get("response", {})
                    )
                    for response in answer.get("functionResponses", [])
                    if not response.get("willContinue")
                ]
        return []

    def _read_content(self, content: dict[str, Any]) -> list[ClientEvent]:
        is_complete = content.get("turnComplete", False)
        for turn in content.get("turns", []):
            if turn.get("role", "user") == "user":
                self._written += [part["text"] for part in turn.get("parts", []) if part.get("text")]
            else:
                self._written.clear()  # earlier history
        if not is_complete:
            return []
        if self._is_seeding:
            self._is_seeding = False
            self._written.clear()
            return []
        return [self._take_written()]

    def _take_written(self, text: str = "") -> ClientEvent:
        words = " ".join([*self._written, text] if text else self._written)
        self._written.clear()
        return ClientEvent(Kind.TYPED, words)

    def _read_media(self, media: dict[str, Any]) -> list[ClientEvent]:
        events: list[ClientEvent] = []
        match media:
            case {"text": text}:
                events = [self._take_text(text)]
            case {"audio": blob}:
                events = self._read_audio(blob)
            case {"mediaChunks": [{"mimeType": str(kind)} as blob, *_]} if kind.startswith("audio/"):
                events = self._read_audio(blob)
            case {"audioStreamEnd": True}:
                events = _to_events(self._segments.end_stream())
            case {"activityStart": _}:
                events = _to_events(self._segments.start_activity())
            case {"activityEnd": _}:
                was_speaking = self._segments.speaking
                events = _to_events(self._segments.end_activity())
                events = events or ([ClientEvent(Kind.SPEECH_END)] if was_speaking else [])
        return events

    def _take_text(self, text: str) -> ClientEvent:
        if not text.strip():
            return self._take_written()
        self._written.clear()
        return ClientEvent(Kind.TYPED, text)

    def _read_audio(self, blob: dict[str, Any]) -> list[ClientEvent]:
        self.pcm, self.rate_hz = blob.get("data", b""), parse_rate_hz(blob.get("mimeType", ""), INPUT)
        return _to_events(self._segments.feed(self.pcm, self.rate_hz))

    @property
    def duration_s(self) -> float:
        """The length of the last message's audio."""
        return PcmFormat(self.rate_hz).duration_s(len(self.pcm))


def _to_events(found: list[SpeechStarted | Utterance]) -> list[ClientEvent]:
    return [
        ClientEvent(Kind.SPEECH_END, f"{event.duration_s:.1f} s")
        if isinstance(event, Utterance)
        else ClientEvent(Kind.SPEECH_START)
        for event in found
    ]
