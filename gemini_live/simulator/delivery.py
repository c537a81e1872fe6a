"""Brings the words and the sound of one turn to the client: cut into pieces, mixed and paced as the service does it."""

import base64
import itertools
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any

from gemini_live.models import Modality

from ..audio.pcm import OUTPUT, PcmFormat
from .clock import TurnClock
from .records import TurnRecord
from .settings import Settings
from .speech import CHUNK_S, Sound
from .wire import Wire

_BURST_S = 0.2
"""Audio that is sent at once."""
_TEXT_PIECE_S = 0.05
_TRAILING_SHARE = 0.25
"""Of the turns: those whose last words come after turnComplete."""
_LONGEST_LAG_S = 0.5
_PARTS = (1, 1, 1, 2, 3)
"""Parts of a message of the 3.x models, each choice as likely as the others."""

_PIECE = re.compile(r"\s*\S+(?:\s+\S+){0,2}")
"""Three words of a transcript."""


def cut_words(words: str) -> list[str]:
    """Return the deltas that make up `words`."""
    pieces = _PIECE.findall(words)
    rest = words[sum(map(len, pieces)) :]
    if pieces:
        pieces[-1] += rest
    return pieces or ([words] if words else [])


class Delivery:
    """How one session's answers are sent."""

    def __init__(
        self,
        wire: Wire,
        settings: Settings,
        turn_clock: TurnClock,
        *,
        pace: float,
        seed: str,
        halfway: Callable[[], Awaitable[None]],
    ) -> None:
        self._wire = wire
        self._settings = settings
        self._clock = turn_clock
        self._pace = pace
        self._random = Random(f"delivery {seed}")
        self._trailing = Random(f"trailing {seed}")
        """Draws once a turn, so that which turns trail depends on nothing but the seed."""
        self._halfway = halfway
        """To be called in the middle of what is said."""

    async def send_content(self, **content: Any) -> None:
        """Send a serverContent."""
        await self._wire.send({"serverContent": content})

    async def send_parts(self, *parts: dict[str, Any]) -> None:
        """Send parts of the model's turn."""
        await self.send_content(modelTurn={"role": "model", "parts": list(parts)})

    async def send_heard(self, words: str) -> None:
        """Send the transcript of what the user said, if it was asked for."""
        if self._settings.transcribes_input:
            for text in cut_words(f" {words}"):
                await self.send_content(inputTranscription=self._transcription(text, spoken=True))

    async def send_interim(self, words: str) -> None:
        """Send a transcript as it grows, each message in place of the one before, and then for good."""
        pieces = cut_words(words)
        for i in range(1, len(pieces) + 1):
            await self.send_content(interimInputTranscription={"text": "".join(pieces[:i])})
        await self.send_content(inputTranscription={"text": words})

    async def deliver(self, words: str, sound: Sound | None, turn: TurnRecord, *, trails: bool) -> str:
        """Send an answer as the session wants it; return the words that are to come after the turn's end."""
        if self._settings.modality is Modality.TEXT or sound is None:
            await self._write(words, turn)
            return ""
        by_chance = self._trailing.random() < _TRAILING_SHARE and len(cut_words(words)) > 1
        # Playing lasts until turnComplete: transcripts lag behind the sound by less than a long answer takes.
        plays_on_s = sound.duration_s * (1 - 1 / self._pace) if self._pace else 0.0
        trails = trails or (by_chance and plays_on_s <= _LONGEST_LAG_S)
        return await self._speak(words, sound, turn, keeps_last=trails)

    async def fill(self, words: str, sound: Sound, turn: TurnRecord) -> None:
        """Say something to pass the time."""
        await self._speak(words, sound, turn, keeps_last=False)

    async def _write(self, words: str, turn: TurnRecord) -> None:
        started_s = self._clock.clock.time()
        pieces = cut_words(words)
        for i, text in enumerate(pieces):
            await self._clock.pause_until(started_s + (i * _TEXT_PIECE_S / self._pace if self._pace else 0.0))
            await self.send_parts({"text": text})
            turn.words += text
            if i == (len(pieces) - 1) // 2:
                await self._halfway()

    async def _speak(self, words: str, sound: Sound, turn: TurnRecord, *, keeps_last: bool) -> str:
        pieces = self._place_words(words, turn)
        kept_back = pieces.pop()[1] if keeps_last and pieces else ""
        wrong = self._wire.faults.state("wrong-rate")
        output = PcmFormat(int(wrong.number)) if wrong else OUTPUT
        started_s, position_s, total_s = self._clock.clock.time(), 0.0, max(sound.duration_s, CHUNK_S)
        n_bytes, burst_bytes = 0, output.n_bytes(_BURST_S)
        met_halfway = False
        for chunks in self._group(self._cut_sound(sound, output.rate_hz)):
            burst_s = n_bytes // burst_bytes * _BURST_S
            await self._clock.pause_until(started_s + (burst_s / self._pace if self._pace else 0.0))
            text = ""
            while pieces and pieces[0][0] <= position_s / total_s:
                text += pieces.popleft()[1]
            await self._send_audio(chunks, output.mime_type, text)
            size = sum(map(len, chunks))
            n_bytes += size
            position_s = output.duration_s(n_bytes)
            turn.audio_s += output.duration_s(size)
            turn.words += text
            if not met_halfway and position_s >= total_s / 2:
                met_halfway = True
                await self._halfway()
        for _, text in pieces:
            await self.send_content(outputTranscription=self._transcription(text))
            turn.words += text
        return kept_back

    def _place_words(self, words: str, turn: TurnRecord) -> deque[tuple[float, str]]:
        """Return the deltas of the transcript, each with the share of the sound after which it is due."""
        if not self._settings.transcribes_output:
            turn.words += words
            return deque()
        placed: deque[tuple[float, str]] = deque()
        position = 0
        for text in cut_words(words):
            placed.append((position / len(words), text))
            position += len(text)
        return placed

    def _cut_sound(self, sound: Sound, rate_hz: int) -> Iterator[bytes]:
        if not self._wire.faults.state("odd-chunks"):
            yield from sound.chunks(rate_hz)
            return
        rest = b""
        for chunk in sound.chunks(rate_hz):
            rest += chunk
            cut = len(rest) - 1 + len(rest) % 2
            yield rest[:cut]
            rest = rest[cut:]
        if rest:
            yield rest

    def _group(self, chunks: Iterator[bytes]) -> Iterator[list[bytes]]:
        """Yield what goes into one message: a chunk, or with the models of the 3.x line now and then several."""
        while group := list(
            itertools.islice(chunks, self._random.choice(_PARTS) if self._settings.third_generation else 1)
        ):
            yield group

    async def _send_audio(self, chunks: list[bytes], mime_type: str, text: str) -> None:
        """Send sound, with a piece of the transcript before it, after it or in the same message."""
        parts = [{"inlineData": {"mimeType": mime_type, "data": base64.b64encode(chunk).decode()}} for chunk in chunks]
        content: dict[str, Any] = {"modelTurn": {"role": "model", "parts": parts}}
        transcript: dict[str, Any] = {"outputTranscription": self._transcription(text)} if text else {}
        place = self._random.randrange(3) if text else 0
        if place == 0:
            await self.send_content(**content, **transcript)
            return
        for sent in (transcript, content) if place == 1 else (content, transcript):
            await self.send_content(**sent)

    def _transcription(self, text: str, *, spoken: bool = False) -> dict[str, Any]:
        language = self._settings.spoken_language if spoken else self._settings.target_language
        return {"text": text, "languageCode": language} if language else {"text": text}
