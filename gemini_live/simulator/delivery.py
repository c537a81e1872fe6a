"""Sends the words and the sound of one turn: cut into pieces, mixed and paced as the service does it for each model."""

import array
import base64
import itertools
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any

from gemini_live.models import EmptyMessages, Modality, UserTranscript

from ..audio.pcm import OUTPUT, PcmFormat, from_samples, to_samples
from .clock import TurnClock
from .records import TurnRecord
from .settings import Settings
from .speech import CHUNK_S, Sound
from .wire import Wire

_BURST_S = 0.2
"""Sound that is sent at once."""
_TEXT_PIECE_S = 0.05
_MANY_PARTS = (1, 2, 3)
"""Parts of a message under the fault `many-parts`, each number as likely as the others."""
_QUIET_SHIFT = 11
"""How far the fault `near-silent` shifts each sample down: 66 dB."""
_BARE_SHARE = 0.95
"""Share of the messages with sound that a message without content precedes. pydantic-ai's recordings, Aug 2026."""
_TINY_PART = bytes(2)

_PIECE = re.compile(r"\s*\S+(?:\s+\S+){0,2}")
"""Three words of a transcript."""
_WORD = re.compile(r"\s*\S+")


def cut_words(words: str) -> list[str]:
    """Return pieces of three words each; joined, they are `words`."""
    pieces = _PIECE.findall(words)
    rest = words[sum(map(len, pieces)) :]
    if pieces:
        pieces[-1] += rest
    return pieces or ([words] if words else [])


def cut_transcript(words: str, size: tuple[int, int], random: Random, *, uneven: bool) -> list[str]:
    """Return pieces of an answer's transcript; joined, they are `words`.

    Args:
        words: What is said.
        size: Fewest and most words in a piece.
        random: Chooses the sizes.
        uneven: True if the blank between two pieces may belong to either of them.
    """
    found = _WORD.findall(words)
    pieces: list[str] = []
    while found:
        n = random.randint(*size)
        pieces.append("".join(found[:n]))
        found = found[n:]
    if pieces:
        pieces[-1] += words[sum(map(len, pieces)) :]
    for i in range(1, len(pieces) if uneven else 0):
        if random.random() < 0.5:
            blanks = len(pieces[i]) - len(pieces[i].lstrip())
            pieces[i - 1] += pieces[i][:blanks]
            pieces[i] = pieces[i][blanks:]
    return pieces or ([words] if words else [])


class Delivery:
    """Sends the answers of one session."""

    def __init__(
        self,
        wire: Wire,
        settings: Settings,
        clock: TurnClock,
        *,
        pace: float,
        seed: str,
        halfway: Callable[[], Awaitable[None]],
    ) -> None:
        self._wire = wire
        self._settings = settings
        self._observed = settings.observed
        self._bare = settings.observed.empty_messages is EmptyMessages.BARE
        self._clock = clock
        self._pace = pace
        self._random = Random(f"delivery {seed}")
        self._halfway = halfway
        """To be called in the middle of what is said."""

    async def send_content(self, **content: Any) -> None:
        """Send a serverContent."""
        await self._wire.send({"serverContent": content})

    async def announce(self, times: int = 1) -> None:
        """Send what precedes the first output of an answer: messages without content, where the model has them.

        Args:
            times: How many `serverContent: {}` a model sends that sends no `{}`.
        """
        if self._bare:
            await self._wire.send({})
            await self.send_content()
        elif self._observed.empty_messages is EmptyMessages.CONTENT:
            for _ in range(times):
                await self.send_content()

    async def send_output(self, message: dict[str, Any]) -> None:
        """Send a message of an answer, after an empty one where the model does so."""
        if self._bare and ("toolCall" in message or self._random.random() < _BARE_SHARE):
            await self._wire.send({})
        await self._wire.send(message)

    async def send_parts(self, *parts: dict[str, Any]) -> None:
        """Send parts of the model's turn."""
        await self.send_output({"serverContent": {"modelTurn": self._model_turn(list(parts))}})

    def _model_turn(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        return {"parts": parts, "role": "model"} if self._observed.role_in_model_turn else {"parts": parts}

    async def send_user_words(self, words: str) -> None:
        """Send the transcript of the user's speech, where the session gets one."""
        if not words or not (self._settings.transcribes_input or self._observed.transcribes_unasked):
            return
        whole = self._observed.user_transcript is UserTranscript.WHOLE
        for text in [words] if whole else cut_user_words(words):
            await self.send_content(inputTranscription=self._transcription(text, spoken=True))

    async def send_activity(self, kind: str, offset_s: float) -> None:
        """Send `voiceActivity`, where the model has it."""
        if not self._observed.voice_activity:
            return
        message: dict[str, Any] = {"voiceActivity": {"type": kind, "audioOffset": f"{offset_s:.3f}s"}}
        if self._observed.empty_messages is EmptyMessages.CONTENT:
            message = {"serverContent": {}, **message}
        await self._wire.send(message)

    async def send_interim(self, words: str) -> None:
        """Send a transcript as it grows, each message in place of the one before, and then the final one."""
        pieces = cut_words(words)
        for i in range(1, len(pieces) + 1):
            await self.send_content(interimInputTranscription={"text": "".join(pieces[:i])})
        await self.send_content(inputTranscription={"text": words})

    async def deliver(self, words: str, sound: Sound | None, turn: TurnRecord, *, keeps_last: bool = False) -> str:
        """Send an answer in the session's modality; return the words that come after the turn's end."""
        if self._settings.modality is Modality.TEXT or sound is None:
            await self._write(words, turn)
            return ""
        return await self._speak(words, sound, turn, keeps_last=keeps_last)

    async def _write(self, words: str, turn: TurnRecord) -> None:
        started_s = self._clock.clock.time()
        pieces = cut_words(words)
        for i, text in enumerate(pieces):
            await self._clock.pause_until(started_s + (i * _TEXT_PIECE_S / self._pace if self._pace else 0.0))
            if self._observed.writes_text_as_transcript:
                await self.send_content(outputTranscription={"text": text})
            else:
                await self.send_parts({"text": text})
            turn.words += text
            if i == (len(pieces) - 1) // 2:
                await self._halfway()

    async def _speak(self, words: str, sound: Sound, turn: TurnRecord, *, keeps_last: bool) -> str:
        pieces = self._place_words(words, turn)
        kept_back = pieces.pop()[1] if keeps_last and pieces else ""
        wrong = self._wire.faults.state("wrong-rate")
        output = PcmFormat(int(wrong.number)) if wrong else OUTPUT
        started_s, total_s = self._clock.clock.time(), max(sound.duration_s, CHUNK_S)
        n_bytes, burst_bytes, met_halfway = 0, output.n_bytes(_BURST_S), False
        for parts, is_last in _mark_last(self._cut_sound(sound, output.rate_hz)):
            burst_s = n_bytes // burst_bytes * _BURST_S
            await self._clock.pause_until(started_s + (burst_s / self._pace if self._pace else 0.0))
            text = await self._words_due(pieces, output.duration_s(n_bytes) / total_s, is_last=is_last, turn=turn)
            await self._send_audio(parts, output.mime_type, text)
            size = sum(map(len, parts))
            n_bytes += size
            turn.audio_s += output.duration_s(size)
            turn.words += text
            if not met_halfway and output.duration_s(n_bytes) >= total_s / 2:
                met_halfway = True
                await self._halfway()
        return kept_back

    async def _words_due(
        self, pieces: deque[tuple[float, str]], share: float, *, is_last: bool, turn: TurnRecord
    ) -> str:
        """Return the words that ride in the next audio message, and send before it those that have their own."""
        text = ""
        while pieces and (is_last or pieces[0][0] <= share):
            piece = pieces.popleft()[1]
            if self._observed.transcript_in_audio:
                text += piece
            else:
                await self.send_content(outputTranscription=self._transcription(piece))
                turn.words += piece
        return text

    def _place_words(self, words: str, turn: TurnRecord) -> deque[tuple[float, str]]:
        """Return the pieces of the transcript, each with the share of the sound after which it is due."""
        if not self._settings.transcribes_output:
            turn.words += words
            return deque()
        together = self._observed.transcript_in_audio
        pieces = cut_transcript(words, self._observed.words_a_piece, self._random, uneven=self._bare)
        # Without sound of their own, the first pieces come before any.
        n_first = 1 if together else self._random.randint(1, 3)
        placed: deque[tuple[float, str]] = deque()
        position = 0
        for i, text in enumerate(pieces):
            placed.append((0.0 if i < n_first else position / len(words), text))
            position += len(text)
        return placed

    def _cut_sound(self, sound: Sound, rate_hz: int) -> Iterator[list[bytes]]:
        """Yield the audio parts of each message: one, or with a fault several."""
        faults = self._wire.faults
        chunks = sound.chunks(rate_hz)
        if faults.at_turn("near-silent"):
            chunks = map(_quieten, chunks)
        many = faults.state("many-parts") is not None
        if not many:
            chunks = _join(chunks, max(1, round(self._observed.audio_message_s / CHUNK_S)))
        if faults.state("odd-chunks"):
            chunks = _cut_at_odd_bytes(chunks)
        elif self._random.random() < self._observed.tiny_first_part:
            chunks = itertools.chain([_TINY_PART], chunks)
        while group := list(itertools.islice(chunks, self._random.choice(_MANY_PARTS) if many else 1)):
            yield group

    async def _send_audio(self, chunks: list[bytes], mime_type: str, text: str) -> None:
        """Send sound, with a piece of the transcript in the same message where there is one."""
        parts = [{"inlineData": {"mimeType": mime_type, "data": base64.b64encode(chunk).decode()}} for chunk in chunks]
        content: dict[str, Any] = {"modelTurn": self._model_turn(parts)}
        if text:
            content["outputTranscription"] = self._transcription(text)
        await self.send_output({"serverContent": content})

    def _transcription(self, text: str, *, spoken: bool = False) -> dict[str, Any]:
        language = self._settings.spoken_language if spoken else self._settings.target_language
        return {"text": text, "languageCode": language} if language else {"text": text}


def cut_user_words(words: str) -> list[str]:
    """Return the transcript of the user's speech in pieces that break inside words; joined with a blank before."""
    pieces = cut_words(f" {words}")
    first = pieces[0]
    middle = max(2, len(first) // 2)
    return [piece for piece in (first[:middle], first[middle:], *pieces[1:]) if piece]


def _mark_last(groups: Iterator[list[bytes]]) -> Iterator[tuple[list[bytes], bool]]:
    """Yield each group with True if it is the last."""
    before = next(groups, None)
    for group in groups:
        assert before is not None
        yield before, False
        before = group
    if before is not None:
        yield before, True


def _join(chunks: Iterator[bytes], n: int) -> Iterator[bytes]:
    while joined := b"".join(itertools.islice(chunks, n)):
        yield joined


def _cut_at_odd_bytes(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        rest += chunk
        cut = len(rest) - 1 + len(rest) % 2
        yield rest[:cut]
        rest = rest[cut:]
    if rest:
        yield rest


def _quieten(chunk: bytes) -> bytes:
    return from_samples(array.array("h", (sample >> _QUIET_SHIFT for sample in to_samples(chunk))))
