"""The simulator's voices: espeak-ng where it is installed, else tones, and the user's own voice sent back.

A `Sound` is cut into chunks of 24 kHz PCM only as they are sent, so that a long answer costs the loop nothing at once.
"""

import array
import asyncio
import functools
import math
import os
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
MAX_CACHED_BYTES = 32 * 1024 * 1024
"""Sounds that are kept to be sent again."""
MAX_VOICES = 4
"""Programs that speak at once; further words wait for their turn."""
MAX_SOUND_BYTES = 32 * 1024 * 1024
"""A longer sound is cut: 12 minutes."""
_ESPEAK_TIMEOUT_S, _KILLED_TIMEOUT_S = 20.0, 1.0
"""How long espeak-ng may speak, and how long the system may take to end it."""
_SECRETS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""Variables that another program need not see."""
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
        self._n_cached_bytes = 0
        self._voices = asyncio.Semaphore(MAX_VOICES)

    @property
    def speaks(self) -> bool:
        """True if words are spoken; else they are tones."""
        return self._program is not None

    async def say(self, words: str, voice: str) -> Sound:
        """Return the sound of `words` in a voice, each name of one at a pitch of its own."""
        key = (words, voice)
        if key in self._said:
            self._said.move_to_end(key)
            return self._said[key]
        sound = await self._make(words, voice)
        if key not in self._said:  # another session may have said it meanwhile
            self._said[key] = sound
            self._n_cached_bytes += len(sound.data)
        while self._n_cached_bytes > MAX_CACHED_BYTES:
            _, oldest = self._said.popitem(last=False)
            self._n_cached_bytes -= len(oldest.data)
        return sound

    async def _make(self, words: str, voice: str) -> Sound:
        if self._program is not None:
            async with self._voices:
                spoken = await self._run_espeak(self._program, words, voice)
            if spoken is not None:
                return spoken
        return tones(words)

    async def _run_espeak(self, program: str, words: str, voice: str) -> Sound | None:
        pitch = 30 + zlib.crc32(voice.encode()) % 40
        transport, output = await asyncio.get_running_loop().subprocess_exec(
            _Output,
            program,
            *("--stdin", "--stdout", "-v", "en", "-p", str(pitch)),
            stderr=asyncio.subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name not in _SECRETS},
        )
        try:
            stdin = transport.get_pipe_transport(0)
            assert isinstance(stdin, asyncio.WriteTransport)
            stdin.write(words.encode())
            stdin.write_eof()
            async with asyncio.timeout(_ESPEAK_TIMEOUT_S):
                wav = await output.ended
        except TimeoutError:
            return None
        finally:
            transport.close()  # kills the program, and waits for nothing
            await asyncio.wait([output.exited], timeout=_KILLED_TIMEOUT_S)
        data = wav[_WAV_HEADER_BYTES:]
        if len(data) < pcm.SAMPLE_BYTES:
            return None
        rate_hz = int.from_bytes(wav[24:28], "little")
        return Sound(data[: len(data) - len(data) % pcm.SAMPLE_BYTES], rate_hz)


class _Output(asyncio.SubprocessProtocol):
    """Collects what a program writes to its stdout, up to `MAX_SOUND_BYTES`.

    `asyncio.create_subprocess_exec` cannot be used: once its `communicate` is cancelled nobody reads the pipe, and
    `wait` never returns.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self.ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """Set to the output when it has ended or is long enough."""
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set when the system has told that the program has exited."""

    def process_exited(self) -> None:
        """Note that the program has exited."""
        if not self.exited.done():
            self.exited.set_result(None)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the data."""
        self._data += data
        if len(self._data) >= MAX_SOUND_BYTES:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand over the data: the program and its pipes have ended."""
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(bytes(self._data))
