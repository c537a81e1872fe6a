"""Reads the client's messages after its setup and passes each one to the part of the simulator that it concerns.

Longer than 300 lines: it has a reader for each kind of message.
"""

import dataclasses
import functools
import math
from typing import Any

from gemini_live.models import MidAnswer, StreamEnd

from ..audio.pcm import INPUT, SAMPLE_BYTES, PcmFormat, parse_rate_hz
from ..audio.voice_detector import SpeechStarted, Utterance
from .asks import Ask, Origin
from .calls import Result, Scheduling
from .clock import Clock
from .close_reasons import INVALID_PAYLOAD, Refusal, invalid_argument, not_supported
from .history import MAX_CONVERSATION_CHARS, SAID_CHARS, Said, image_size
from .model_turns import SPEECH, ModelTurns
from .records import SessionRecord
from .settings import Settings, has_search, read_declarations
from .speech import Sound
from .speech_segments import SpeechSegments

_LONG_CHUNK_S = 1.0
_FRAME_INTERVAL_S = 0.7
"""Of one frame a second, with the unevenness of any clock."""
_HANDLE_INTERVAL_S = 0.4
"""Of the handles that come while the microphone streams. pydantic-ai's recordings of 3.1, Aug 2026: 0.1 to 0.8 s."""


@functools.lru_cache(maxsize=64)
def _format_of(mime_type: str) -> PcmFormat:
    if not mime_type.lower().startswith("audio/pcm"):
        raise invalid_argument(f"audio of the type {mime_type}: only audio/pcm is taken")
    return PcmFormat(parse_rate_hz(mime_type, INPUT))


class ClientMessages:
    """The messages of one client, after its setup."""

    def __init__(self, turns: ModelTurns, record: SessionRecord, clock: Clock, *, typed_text_cuts: bool) -> None:
        self._turns = turns
        self._record = record
        self._clock = clock
        self._history = turns.history
        self._observed = turns.observed
        self._typed_text_cuts = typed_text_cuts and self._observed.mid_answer is not MidAnswer.WAIT
        flushes = self._observed.stream_end is StreamEnd.ENDS_TURN
        self._segments = SpeechSegments(turns.settings.activity, stream_end_flushes=flushes)
        self._seeding = turns.settings.seeds_history and self._observed.takes_history_config
        """True while clientContent is earlier history, up to its turnComplete."""
        self._written: list[str] = []
        """The user's words by clientContent since the model last spoke: not answered yet."""
        self._n_written = 0
        """Their size."""
        self._images: list[tuple[int, int] | None] = []
        """Sizes of the pictures beside those words."""
        self._last_frame_s = -math.inf
        self._since_handle_s = 0.0
        """Seconds of audio since the last handle that came while the microphone streamed."""
        self._found: list[SpeechStarted | Utterance] | None = None
        """What `listen` found in the audio that is to be taken next."""
        self._held_results: list[Ask] = []
        """Results that the model speaks of as soon as the user has stopped speaking."""

    @property
    def _settings(self) -> Settings:
        return self._turns.settings

    def listen(self, pcm: bytes, mime_type: str) -> bool:
        """Take audio by which nothing begins or ends; return False if `take` is to be called with it."""
        form = _format_of(mime_type)
        duration_s = form.duration_s(len(pcm))
        is_usual = duration_s <= _LONG_CHUNK_S and not len(pcm) % SAMPLE_BYTES and not self._seeding
        if not is_usual or self._settings.closes_at_first_input or self._is_handle_due(duration_s):
            return False
        self._found = self._segments.feed(pcm, form.rate_hz)
        if self._found:
            return False
        self._found = None
        self._note_audio(pcm, duration_s)
        return True

    async def take(self, message: dict[str, Any]) -> None:
        """Do what one message of the client asks for.

        Raises:
            Refusal: The service would end the session for it.
        """
        if self._settings.closes_at_first_input:
            raise invalid_argument(f"enableAffectiveDialog: {self._settings.model} closes at the first input")
        match message:
            case {"realtimeInput": media}:
                await self._take_realtime(media)
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
        """Append to the conversation; ask for an answer if the client's turn is complete."""
        if self._settings.interprets:
            raise invalid_argument(f"{self._settings.model} takes audio only")
        complete = content.get("turnComplete", False)
        turns = content.get("turns", [])
        for i, turn in enumerate(turns):
            self._take_turn(turn, asks=complete and not self._seeding and i == len(turns) - 1)
        if self._seeding:
            self._seeding = not complete
            return
        if complete and not turns and not self._written and self._turns.is_busy:
            return  # livekit-plugins-google 1.8.9 ends push-to-talk so: nothing new was said
        if self._observed.mid_answer is not MidAnswer.WAIT:
            self._turns.interrupt()
        if complete:
            self._turns.ask(self._take_written(Origin.CONTENT))

    def _take_turn(self, turn: dict[str, Any], *, asks: bool) -> None:
        role = turn.get("role", "" if self._observed.requires_role else "user")
        if role not in ("user", "model"):
            raise Refusal(INVALID_PAYLOAD, "Please use a valid role: user, model.")
        parts = turn.get("parts", [])
        texts = [part["text"] for part in parts if part.get("text")]
        for part in parts:
            blob = part.get("inlineData", {})
            mime_type = blob.get("mimeType", "")
            if mime_type.startswith("audio/"):
                texts.append(self._read_seeded_audio(blob, mime_type, asks=asks))
            elif mime_type.startswith("image/") and role == "user":
                self._images.append(image_size(blob.get("data", b"")))
            if ("functionCall" in part or "functionResponse" in part) and not self._observed.seeds_functions:
                raise invalid_argument(f"function parts in the history: {self._settings.model} takes text only")
        text = " ".join(filter(None, texts))
        if role == "user":
            self._written += [text] if text else []
            self._n_written += SAID_CHARS * (1 + len(parts)) + len(text)
            if self._n_written > MAX_CONVERSATION_CHARS:
                raise invalid_argument(f"clientContent of more than {MAX_CONVERSATION_CHARS:,} characters in one turn")
        else:
            self._remember_written()
            if text:
                self._history.add(Said(role, text, seeded=True))

    def _read_seeded_audio(self, blob: dict[str, Any], mime_type: str, *, asks: bool) -> str:
        """Return the transcript of sound in clientContent, which only earlier turns may hold."""
        if not self._observed.seeds_audio:
            raise Refusal(INVALID_PAYLOAD, "Precondition check failed.", "audio in the history")
        if asks:
            self._record.mistake("audio in clientContent: it belongs into realtimeInput")
            return ""
        rate_hz = parse_rate_hz(mime_type, INPUT)
        if rate_hz != INPUT.rate_hz:
            raise not_supported(f"audio of {rate_hz} Hz in the history: 16000 Hz is taken")
        return f"(speech, {INPUT.duration_s(len(blob.get('data', b''))):.1f} s)"

    def _take_written(self, origin: Origin, text: str = "") -> Ask:
        """Return the question that the words and pictures of clientContent make up."""
        words = " ".join([*self._written, text] if text else self._written)
        ask = Ask(origin, words, images=tuple(self._images))
        self._written.clear()
        self._images.clear()
        self._n_written = 0
        return ask

    def _remember_written(self) -> None:
        """Add the words that the model is not to answer to the history."""
        if self._written or self._images:
            known = self._take_written(Origin.CONTENT)
            self._history.add(Said("user", known.text, n_images=len(known.images), seeded=True))

    async def _take_realtime(self, media: dict[str, Any]) -> None:
        if len(media) != 1:
            raise invalid_argument(f"realtimeInput with {len(media)} fields: {', '.join(media)}")
        if self._seeding:
            self._record.mistake("realtimeInput before the history that historyConfig announced was complete")
            self._seeding = False
        if "mediaChunks" in media:
            media = self._read_media_chunks(media["mediaChunks"])
        match media:
            case {"audio": blob}:
                await self._take_audio(blob)
            case {"video": blob}:
                self._take_frame(blob)
            case {"text": text}:
                self._take_text(text)
            case {"audioStreamEnd": True}:
                self._record.microphone_closed()
                await self._hear(self._segments.end_stream())
                if self._settings.interprets:
                    self._turns.ask(Ask(Origin.END))
            case {"activityStart": _}:
                await self._hear(self._segments.start_activity())
            case {"activityEnd": _}:
                self._record.microphone_closed()
                if not self._segments.speaking and not self._settings.activity.automatic:
                    self._record.mistake("activityEnd without an activityStart")
                await self._hear(self._segments.end_activity())

    def _read_media_chunks(self, chunks: list[dict[str, Any]]) -> dict[str, Any]:
        if not self._observed.media_chunks:
            words = "realtime_input.media_chunks is deprecated. Use audio, video, or text instead."
            raise Refusal(INVALID_PAYLOAD, words)
        self._record.mistake("mediaChunks is deprecated: use audio and video")
        if self._settings.third_generation:
            return {}
        chunk: dict[str, Any] = next(iter(chunks), {})
        return {"audio" if chunk.get("mimeType", "").startswith("audio/") else "video": chunk}

    def _take_text(self, text: str) -> None:
        if self._settings.interprets:
            raise invalid_argument(f"{self._settings.model} takes audio only")
        if self._typed_text_cuts or (self._turns.waits_for_calls and self._settings.third_generation):
            self._turns.interrupt()
        if text.strip():
            self._remember_written()
            self._turns.ask(Ask(Origin.TYPED, text))
        else:
            ask = self._take_written(Origin.TYPED)
            self._turns.ask(ask if ask.text or ask.images else Ask(Origin.TYPED, text))

    async def _take_audio(self, blob: dict[str, Any]) -> None:
        mime_type = blob.get("mimeType", INPUT.mime_type)
        form = _format_of(mime_type)
        pcm = blob.get("data", b"")
        duration_s = form.duration_s(len(pcm))
        if duration_s > _LONG_CHUNK_S:
            self._record.mistake(f"audio in pieces of more than {_LONG_CHUNK_S:g} s: 20 to 40 ms are advised")
        if len(pcm) % SAMPLE_BYTES:
            self._record.mistake("audio that ends in the middle of a sample")
        self._note_audio(pcm, duration_s)
        found, self._found = self._found, None
        await self._hear(found if found is not None else self._segments.feed(pcm, form.rate_hz))
        if self._is_handle_due(0.0):
            self._since_handle_s = 0.0
            await self._turns.handles.offer()

    def _note_audio(self, pcm: bytes, duration_s: float) -> None:
        now_s = self._clock.time()
        self._record.heard(pcm, duration_s, now_s)
        self._history.last_audio_s = now_s
        self._since_handle_s += duration_s

    def _is_handle_due(self, more_s: float) -> bool:
        """True if a handle comes after so many more seconds of audio in which nobody speaks."""
        return self._since_handle_s + more_s >= _HANDLE_INTERVAL_S and not self._segments.speaking

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
        self._history.add_frame(image)

    async def _hear(self, events: list[SpeechStarted | Utterance]) -> None:
        """Do what the beginning or the end of speech asks for."""
        for event in events:
            match event:
                case SpeechStarted():
                    await self._turns.begin_speech(event.offset_s)
                    if self._settings.activity.interrupts and not self._settings.interprets:
                        self._turns.interrupt()
                    await self._turns.send_first_words()
                case Utterance():
                    self._record.n_utterances += 1
                    self._remember_written()
                    text = self._turns.heard() or f"({SPEECH}, {event.duration_s:.1f} s)"
                    sound = Sound(event.pcm, event.rate_hz)
                    self._turns.ask(Ask(Origin.VOICE, text, sound, end_s=event.end_s))
                    self._release_results()

    def _take_responses(self, answer: dict[str, Any]) -> None:
        for response in answer.get("functionResponses", []):
            result = self._turns.calls.answer(response)
            if result is not None:
                self._schedule(result)
        if self._turns.calls.take_stale_closed():
            self._turns.ask(Ask(Origin.STALE))
        self._turns.wake()

    def _schedule(self, result: Result) -> None:
        """Queue what the model says about a result that no turn waits for, in the way that the client asks for."""
        batch = self._turns.calls.gather(result)
        if batch is not None:
            if not self._turns.calls.close_batch(batch) or not batch.results:
                return
            results = tuple(batch.results.values())
            ask = Ask(
                Origin.RESULT,
                results=results,
                next_actions=batch.next_actions,
                about=batch.about,
                is_about_speech=batch.is_about_speech,
            )
        elif not result.is_spoken:
            return
        else:
            ask = Ask(Origin.RESULT, results=(result,))
        cuts = result.scheduling is Scheduling.INTERRUPT or self._observed.mid_answer is not MidAnswer.WAIT
        if not cuts:
            self._turns.ask(ask)
        elif self._segments.speaking:
            self._held_results.append(ask)
        else:
            self._turns.interrupt()
            self._turns.ask(ask, first=result.scheduling is Scheduling.INTERRUPT)

    def _release_results(self) -> None:
        """Queue the results that waited for the end of the user's speech."""
        for ask in self._held_results:
            self._turns.ask(ask)
        self._held_results.clear()

    def _update_context(self, update: dict[str, Any]) -> None:
        if "tools" in update:
            settings, tools = self._settings, update["tools"].get("tools", [])
            declarations = read_declarations(tools, settings.model, settings.capabilities)
            self._turns.settings = dataclasses.replace(settings, declarations=declarations, search=has_search(tools))
