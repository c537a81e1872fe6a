"""Reads the client's messages after its setup and passes each one to the part of the simulator that it concerns."""

import dataclasses
import functools
import math
from typing import Any

from ..audio.pcm import INPUT, SAMPLE_BYTES, PcmFormat, parse_rate_hz
from ..audio.voice_detector import SpeechStarted, Utterance
from .calls import Result, Scheduling
from .clock import Clock
from .close_reasons import INVALID_PAYLOAD, Refusal, invalid_argument
from .history import Said, jpeg_size
from .model_turns import Ask, ModelTurns, Origin
from .records import SessionRecord
from .settings import Settings, has_search, read_declarations
from .speech import Sound
from .speech_segments import SpeechSegments

_LONG_CHUNK_S = 1.0
_FRAME_INTERVAL_S = 0.7
"""Of one frame a second, with the unevenness of any clock."""


@functools.lru_cache(maxsize=64)
def _rate_of(mime_type: str) -> int:
    if not mime_type.lower().startswith("audio/pcm"):
        raise invalid_argument(f"audio of the type {mime_type}: only audio/pcm is taken")
    return parse_rate_hz(mime_type, INPUT)


class ClientMessages:
    """The messages of one client, after its setup."""

    def __init__(self, turns: ModelTurns, record: SessionRecord, clock: Clock) -> None:
        self._turns = turns
        self._record = record
        self._clock = clock
        self._conversation = turns.conversation
        self._segments = SpeechSegments(turns.settings.activity)
        self._seeding = turns.settings.seeds_history
        """Whether what comes by clientContent is history, up to its turnComplete."""
        self._written: list[str] = []
        """What the user said by clientContent since the model last spoke: not answered yet."""
        self._last_frame_s = -math.inf
        self._held_results: list[Ask] = []
        """What the model wants to say at once, but for the user who is speaking."""

    @property
    def _settings(self) -> Settings:
        return self._turns.settings

    def take(self, message: dict[str, Any]) -> None:
        """Do what one message of the client asks for.

        Raises:
            Refusal: The service would end the session for it.
        """
        match message:
            case {"realtimeInput": media}:
                self._take_realtime(media)
            case {"clientContent": content}:
                self._take_content(content)
            case {"setup": _}:
                raise Refusal(INVALID_PAYLOAD, "setup must be the first message and only the first", "a second setup")
            case {"toolResponse": answer}:
                self._take_responses(answer)
            case {"contextUpdate": update}:
                self._update_context(update)
        self._record.changed()

    def _take_content(self, content: dict[str, Any]) -> None:
        """Append to the conversation; answer if the client's turn is complete."""
        if self._settings.interprets:
            raise invalid_argument(f"{self._settings.model} takes audio only")
        for turn in content.get("turns", []):
            self._take_turn(turn)
        if self._seeding:
            self._seeding = not content.get("turnComplete", False)
            return
        # What the client says this way always cuts the model off.
        self._turns.interrupt()
        if not content.get("turnComplete", False):
            return
        self._turns.ask(Ask(Origin.CONTENT, self._take_written()))

    def _take_turn(self, turn: dict[str, Any]) -> None:
        role = turn.get("role", "" if self._settings.requires_roles else "user")
        if role not in ("user", "model"):
            raise Refusal(INVALID_PAYLOAD, "Please use a valid role: user, model.")
        parts = turn.get("parts", [])
        for part in parts:
            if part.get("inlineData", {}).get("mimeType", "").startswith("audio/"):
                self._record.mistake("audio in clientContent: it belongs into realtimeInput")
        text = " ".join(part["text"] for part in parts if part.get("text"))
        if role == "user":
            self._written.append(text)
        else:
            self._remember_written()
            self._conversation.said.append(Said(role, text))

    def _take_written(self) -> str:
        text = " ".join(filter(None, self._written))
        self._written.clear()
        return text

    def _remember_written(self) -> None:
        """What was written so far is only to be known, not to be answered."""
        if self._written:
            self._conversation.said.append(Said("user", self._take_written()))

    def _take_realtime(self, media: dict[str, Any]) -> None:
        if len(media) != 1:
            raise invalid_argument(f"realtimeInput with {len(media)} fields: {', '.join(media)}")
        if self._seeding:
            self._record.mistake("realtimeInput before the history that historyConfig announced was complete")
            self._seeding = False
        if "mediaChunks" in media:
            if self._settings.third_generation:
                words = "realtime_input.media_chunks is deprecated. Use audio, video, or text instead."
                raise Refusal(INVALID_PAYLOAD, words)
            self._record.mistake("mediaChunks is deprecated: use audio and video")
            chunk: dict[str, Any] = next(iter(media["mediaChunks"]), {})
            media = {"audio" if chunk.get("mimeType", "").startswith("audio/") else "video": chunk}
        match media:
            case {"audio": blob}:
                self._take_audio(blob)
            case {"video": blob}:
                self._take_frame(blob)
            case {"text": text}:
                self._take_text(text)
            case {"audioStreamEnd": True}:
                self._record.microphone_closed()
                self._hear(self._segments.end_stream())
                if self._settings.interprets:
                    self._turns.ask(Ask(Origin.END))
            case {"activityStart": _}:
                self._hear(self._segments.start_activity())
            case {"activityEnd": _}:
                self._record.microphone_closed()
                if not self._segments.speaking and not self._settings.activity.automatic:
                    self._record.mistake("activityEnd without an activityStart")
                self._hear(self._segments.end_activity())

    def _take_text(self, text: str) -> None:
        if self._settings.interprets:
            raise invalid_argument(f"{self._settings.model} takes audio only")
        if self._turns.waits_for_calls and self._settings.third_generation:
            self._turns.interrupt()
        if text.strip():
            self._remember_written()
        else:
            text = self._take_written() or text
        self._turns.ask(Ask(Origin.TYPED, text))

    def _take_audio(self, blob: dict[str, Any]) -> None:
        mime_type = blob.get("mimeType", INPUT.mime_type)
        rate_hz = _rate_of(mime_type)
        pcm = blob.get("data", b"")
        duration_s = PcmFormat(rate_hz).duration_s(len(pcm))
        if duration_s > _LONG_CHUNK_S:
            self._record.mistake(f"audio in pieces of more than {_LONG_CHUNK_S:g} s: 20 to 40 ms are advised")
        if len(pcm) % SAMPLE_BYTES:
            self._record.mistake("audio that ends in the middle of a sample")
        self._record.heard(pcm, duration_s, self._clock.time())
        self._hear(self._segments.feed(pcm, rate_hz))

    def _take_frame(self, blob: dict[str, Any]) -> None:
        image = blob.get("data", b"")
        if not blob.get("mimeType", "").startswith("image/"):
            raise invalid_argument(f"video of the type {blob.get('mimeType', '')}: single images are taken")
        if not self._settings.capabilities.video_input:
            raise invalid_argument(f"{self._settings.model} sees nothing")
        now_s = self._clock.time()
        if now_s - self._last_frame_s < _FRAME_INTERVAL_S:
            self._record.mistake("frames at more than 1 a second: the service takes no more")
        self._last_frame_s = now_s
        self._record.n_frames += 1
        if self._record.keep:
            self._record.frames.append(image)
        self._conversation.n_frames += 1
        self._conversation.frame_size = jpeg_size(image)

    def _hear(self, events: list[SpeechStarted | Utterance]) -> None:
        """Do what the beginning or the end of speech asks for."""
        for event in events:
            match event:
                case SpeechStarted():
                    if self._settings.activity.interrupts and not self._settings.interprets:
                        self._turns.interrupt()
                case Utterance():
                    self._record.n_utterances += 1
                    self._remember_written()
                    text = f"(speech, {event.duration_s:.1f} s)"
                    self._turns.ask(Ask(Origin.VOICE, text, Sound(event.pcm, event.rate_hz)))
                    self._release_results()

    def _take_responses(self, answer: dict[str, Any]) -> None:
        for response in answer.get("functionResponses", []):
            result = self._turns.calls.answer(response)
            if result is not None:
                self._schedule(result)
        self._turns.wake()

    def _schedule(self, result: Result) -> None:
        """Have the model speak about a result that it did not wait for, when and if the client wants it to."""
        if result.scheduling is Scheduling.SILENT or not result.response:
            return
        ask = Ask(Origin.RESULT, results=(result,))
        if result.scheduling is Scheduling.WHEN_IDLE:
            self._turns.ask(ask)
        elif self._segments.speaking:
            self._held_results.append(ask)
        else:
            self._turns.interrupt()
            self._turns.ask(ask, first=True)

    def _release_results(self) -> None:
        """The user stopped speaking: say what had to wait for it."""
        for ask in self._held_results:
            self._turns.ask(ask)
        self._held_results.clear()

    def _update_context(self, update: dict[str, Any]) -> None:
        if "tools" in update:
            settings, tools = self._settings, update["tools"].get("tools", [])
            declarations = read_declarations(tools, settings.model, settings.capabilities)
            self._turns.settings = dataclasses.replace(settings, declarations=declarations, search=has_search(tools))
