"""The simulator's voices: espeak-ng where it is installed, else tones, and the user's own voice sent back.

A `Sound` is cut into chunks of 24 kHz PCM only as they are sent, so that a long answer costs the loop nothing at once.
"""

import array
import asyncio
import functools
import math
import shutil
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from ..audio import pcm
from ..audio.resampling import LinearResampler

CHUNK_S = 0.04
"""Audio in one part of a message."""

_RESAMPLED_AT_ONCE_S = 0.4
"""Long enough to be quick, short enough not to keep the loop waiting."""
_CACHED_SOUNDS = 32
_ESPEAK_TIMEOUT_S = 20.0
_WAV_HEADER_BYTES = 44

_TONES_HZ = (262, 294, 330, 392, 440, 523, 587, 659)
_TONE_AMPLITUDE = 8000
_RAMP_S = 0.01
_GAP_S = 0.06
_SECONDS_A_LETTER, _MIN_TONE_S, _MAX_TONE_S = 0.065, 0.12, 0.8


@dataclass(frozen=True)
class Sound:
    """Something to be heard, at the rate it was made in."""

    data: bytes
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """How long it is heard."""
        return pcm.PcmFormat(self.rate_hz).duration_s(len(self.data))

    def chunks(self, rate_hz: int = pcm.OUTPUT.rate_hz) -> Iterator[bytes]:
        """Yield it at `rate_hz`, 40 ms at a time; the last chunk is what is left."""
        resampler = LinearResampler(self.rate_hz, rate_hz)
        n_in = pcm.PcmFormat(self.rate_hz).n_bytes(_RESAMPLED_AT_ONCE_S)
        n_out = pcm.PcmFormat(rate_hz).n_bytes(CHUNK_S)
        ready = b""
        for start in range(0, len(self.data), n_in):
            ready += resampler.feed(self.data[start : start + n_in])
            whole = len(ready) - len(ready) % n_out
            for position in range(0, whole, n_out):
                yield ready[position : position + n_out]
            ready = ready[whole:]
        ready += resampler.flush()
        for start in range(0, len(ready), n_out):
            yield ready[start : start + n_out]


@functools.lru_cache(maxsize=256)
def _tone(frequency_hz: int, n_frames: int) -> bytes:
    ramp = int(_RAMP_S * pcm.OUTPUT.rate_hz)
    step = 2 * math.pi * frequency_hz / pcm.OUTPUT.rate_hz
    samples = (
        int(_TONE_AMPLITUDE * min(1.0, i / ramp, (n_frames - 1 - i) / ramp) * math.sin(step * i))
        for i in range(n_frames)
    )
    return pcm.from_samples(array.array("h", samples))


def tones(words: str) -> Sound:
    """Return a tone for each word, as long as saying it would take."""
    pieces = []
    for word in words.split() or ["."]:
        duration_s = min(_MAX_TONE_S, max(_MIN_TONE_S, len(word) * _SECONDS_A_LETTER))
        frequency_hz = _TONES_HZ[zlib.crc32(word.lower().encode()) % len(_TONES_HZ)]
        pieces += [_tone(frequency_hz, pcm.OUTPUT.n_bytes(duration_s) // pcm.SAMPLE_BYTES)]
        pieces += [bytes(pcm.OUTPUT.n_bytes(_GAP_S))]
    return Sound(b"".join(pieces), pcm.OUTPUT.rate_hz)


class Synthesizer:
    """Says words in a voice, and remembers what it said last."""

    def __init__(self, *, espeak: bool) -> None:
        self._program = shutil.which("espeak-ng") if espeak else None
        self._said: OrderedDict[tuple[str, str], Sound] = OrderedDict()

    @property
    def speaks(self) -> bool:
        """Whether words are spoken; else they are tones."""
        return self._program is not None

    async def say(self, words: str, voice: str) -> Sound:
        """Return the sound of `words` in a voice, each name of one at a pitch of its own."""
        key = (words, voice)
        if key not in self._said:
            self._said[key] = await self._make(words, voice)
            if len(self._said) > _CACHED_SOUNDS:
                self._said.popitem(last=False)
        self._said.move_to_end(key)
        return self._said[key]

    async def _make(self, words: str, voice: str) -> Sound:
        spoken = await self._run_espeak(words, voice) if self._program else None
        return spoken or tones(words)

    async def _run_espeak(self, words: str, voice: str) -> Sound | None:
        assert self._program is not None
        pitch = 30 + zlib.crc32(voice.encode()) % 40
        process = await asyncio.create_subprocess_exec(
            self._program,
            *("--stdin", "--stdout", "-v", "en", "-p", str(pitch)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_ESPEAK_TIMEOUT_S):
                wav, _ = await process.communicate(words.encode())
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                process.kill()
                # A child of its own may hold the pipe: asyncio would wait for the pipe's end as well.
                process._transport.close()  # type: ignore[attr-defined]
                await process.wait()
        data = wav[_WAV_HEADER_BYTES:]
        if len(data) < pcm.SAMPLE_BYTES:
            return None
        rate_hz = int.from_bytes(wav[24:28], "little")
        return Sound(data[: len(data) - len(data) % pcm.SAMPLE_BYTES], rate_hz)
