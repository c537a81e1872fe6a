"""A conversation of the real command on open speakers, on a virtual sound card in a noisy room.

A simulated server lets the model speak all the time. A near voice can speak over it.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from gemini_live.audio.pcm import INPUT, OUTPUT
from gemini_live.simulator import Simulator, speech
from gemini_live.simulator.records import SessionRecord
from gemini_live.simulator.speech import Sound
from tests.rig.analysis import Samples, read_wav, resample, write_wav
from tests.rig.virtual_audio import VirtualAudio
from tests.rig.virtual_card import VirtualCard

ROOT = Path(__file__).parent.parent
VOICE_HZ = 48_000
"""Rate of the voices here."""
FAR = (
    "Good afternoon. On the left there is an editor with a test that fails, and on the right a page about the history "
    "of lighthouses. The test wants a list of seven numbers, but the function returns eight: it counts both ends. "
    "Shall we mend the function first, or would you rather hear about the lighthouses? The oldest one stood in "
    "Alexandria, and ships saw its fire from fifty kilometres away. It was built of light stone and fell in an "
    "earthquake. "
)
NEAR = "Wait a moment please. I would like to ask you something about that."
FAR_DBFS, NEAR_DBFS, NOISE_DBFS = -22.0, -26.0, -65.0
FAR_S = 60.0
"""Duration of each answer of the model."""
PACE = 1.2
"""How much faster than real time the model speaks: playback never runs dry, and speech can interrupt it to the end."""
COMMAND = ("-m", "gemini_live")


def synthesize(text: str, folder: Path, dbfs: float, *voice: str) -> Samples:
    """Return `text` as espeak-ng says it, at a level of its loud parts."""
    path = folder / "voice.wav"
    subprocess.run(["espeak-ng", *voice, "-w", str(path), text], check=True)
    samples, rate_hz = read_wav(path)
    said = resample(samples, rate_hz, VOICE_HZ).astype(np.float64) / 32768
    loud = np.abs(said) > 0.01 * np.abs(said).max()
    said *= 10 ** (dbfs / 20) / np.sqrt(np.mean(said[loud] ** 2))
    return np.round(said.clip(-1, 1) * 32767).astype(np.int16)


def make_near(folder: Path) -> Samples:
    """Return what the user says."""
    return synthesize(NEAR, folder, NEAR_DBFS, "-v", "en-gb+f3", "-s", "155", "-p", "60")


def _make_far(folder: Path) -> Sound:
    far = synthesize(FAR, folder, FAR_DBFS, "-v", "en-us", "-s", "150")
    n = round(FAR_S * OUTPUT.rate_hz)
    return Sound(np.resize(resample(far, VOICE_HZ, OUTPUT.rate_hz), n).astype("<i2").tobytes(), OUTPUT.rate_hz)


def make_noise(seconds: float) -> Samples:
    """Return the noise of the room at 16 kHz."""
    noise = np.random.default_rng(1).standard_normal(round(seconds * INPUT.rate_hz)) * 10 ** (NOISE_DBFS / 20)
    return np.round(noise * 32768).astype(np.int16)


class OpenSpeakers(ABC):
    """A virtual sound card whose loudspeaker leaks into its microphone, in a noisy room."""

    environ: dict[str, str]
    """What a program needs to find the card."""
    lead_s = 0.0
    """Seconds from the call of `play_voice` to the beginning of the voice."""

    @property
    @abstractmethod
    def heard(self) -> bytes | bytearray:
        """What the microphone has recorded until now, echo included: PCM at 16 kHz."""

    @abstractmethod
    def open(self, seconds: float) -> AbstractAsyncContextManager[None]:
        """Let the room sound for a time."""

    @abstractmethod
    def set_voice(self, voice: Samples) -> None:
        """Prepare what `play_voice` plays."""

    @abstractmethod
    async def play_voice(self) -> None:
        """Let the voice speak in the room; return when it has spoken."""

    async def set_echo(self, delay_ms: int, gain: float) -> None:
        """Take the echo away, and let it come back with another delay."""
        raise NotImplementedError


class OneClock(OpenSpeakers):
    """The virtual card of PulseAudio: one clock, and an echo that can change."""

    def __init__(self, audio: VirtualAudio, folder: Path, *, delay_ms: int = 80, gain: float = 0.4) -> None:
        """Prepare; the card's own buffers add to the delay."""
        self.environ = audio.environ
        self._audio, self._folder, self._delay_ms, self._gain = audio, folder, delay_ms, gain
        self._heard = bytearray()

    @property
    def heard(self) -> bytearray:
        """What the microphone has recorded."""
        return self._heard

    @contextlib.asynccontextmanager
    async def open(self, seconds: float) -> AsyncIterator[None]:
        """Play the noise and record the microphone beside the command."""
        write_wav(self._folder / "noise.wav", resample(make_noise(seconds), INPUT.rate_hz, VOICE_HZ), VOICE_HZ)
        environ = {**os.environ, **self.environ}
        record = ("parec", "--device=mic", f"--rate={INPUT.rate_hz}", "--channels=1", "--format=s16le", "--raw")
        with self._audio.echo(self._delay_ms, self._gain) if self._gain else contextlib.nullcontext():
            hiss = await asyncio.create_subprocess_exec(
                "paplay", "--device=micfeed", str(self._folder / "noise.wav"), env=environ
            )
            recorder = await asyncio.create_subprocess_exec(
                *record, "--latency-msec=20", stdout=asyncio.subprocess.PIPE, env=environ
            )
            listening = asyncio.create_task(self._listen(recorder))
            try:
                yield
            finally:
                for process in (hiss, recorder):
                    with contextlib.suppress(ProcessLookupError):
                        process.terminate()
                    await process.wait()
                await listening

    async def _listen(self, recorder: asyncio.subprocess.Process) -> None:
        assert recorder.stdout is not None
        while block := await recorder.stdout.read(640):
            self._heard += block

    def set_voice(self, voice: Samples) -> None:
        """Write the voice into a file."""
        write_wav(self._folder / "near.wav", voice, VOICE_HZ)

    async def play_voice(self) -> None:
        """Play the file into the microphone."""
        await asyncio.to_thread(self._audio.feed, self._folder / "near.wav")

    async def set_echo(self, delay_ms: int, gain: float) -> None:
        """Change the echo."""
        await asyncio.to_thread(self._audio.set_echo, delay_ms, gain)


class TwoClocks(OpenSpeakers):
    """The card of files and clocks, as a loudspeaker and a microphone that are two devices."""

    lead_s = 0.05

    def __init__(self, folder: Path, *, ppm: int, delay_ms: int = 80, gain: float = 0.4) -> None:
        """Prepare; `ppm`: how much faster the loudspeaker's clock runs than the microphone's."""
        self._folder = folder / "card"
        self._limits: dict[str, Any] = {
            "ppm": ppm,
            "echo_ms": delay_ms,
            "echo_percent": round(100 * gain),
            "patience_ms": 100,
        }
        self._card = VirtualCard(self._folder, **self._limits)
        self.environ = self._card.environ

    @property
    def heard(self) -> bytes:
        """What the microphone has recorded."""
        return self._card.heard

    @contextlib.asynccontextmanager
    async def open(self, seconds: float) -> AsyncIterator[None]:
        """Write the noise that the card will hear."""
        self._card = VirtualCard(self._folder, make_noise(seconds).tobytes(), **self._limits)
        yield

    def set_voice(self, voice: Samples) -> None:
        """Convert the voice to the rate of the card."""
        self._voice = resample(voice, VOICE_HZ, INPUT.rate_hz)

    async def play_voice(self) -> None:
        """Write the voice into what the card hears next, and wait until it has been heard."""
        self._card.write_voice(self._voice, self.lead_s, INPUT.rate_hz)
        await asyncio.sleep(self.lead_s + len(self._voice) / INPUT.rate_hz)


@dataclass
class Scene:
    """A conversation that a measurement looks into."""

    card: OpenSpeakers
    record: SessionRecord
    process: asyncio.subprocess.Process
    n_interrupted_seen: int = 0

    def ask(self) -> None:
        """Let the model speak for `FAR_S`."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"Tell me more.\n")

    def mark(self) -> tuple[int, int]:
        """Return how many bytes were sent and recorded until now."""
        return len(self.record.audio), len(self.card.heard)

    def n_interrupted(self) -> int:
        """Return how often the server has said `interrupted` since the last call."""
        new, self.n_interrupted_seen = self.record.sent[self.n_interrupted_seen :], len(self.record.sent)
        return sum(bool(message.get("serverContent", {}).get("interrupted")) for message in new)

    async def until_it_speaks(self) -> None:
        """Wait until the model speaks."""
        n = self.record.n_sent
        await self.record.wait_for(lambda record: record.n_sent > n + 5)

    @property
    def is_nearly_silent(self) -> bool:
        """True if the model has nothing left to say for the next 12 s."""
        turn = self.record.turns[-1]
        return turn.complete or turn.audio_s > FAR_S - 12

    async def interrupt(self) -> float | None:
        """Let the near voice speak over the model; return after how many seconds the server said `interrupted`."""
        self.n_interrupted()
        began_s, interrupted_s = time.monotonic() + self.card.lead_s, None
        speaking = asyncio.create_task(self._speak())
        while not speaking.done():
            await asyncio.sleep(0.02)
            if interrupted_s is None and self.n_interrupted():
                interrupted_s = time.monotonic() - began_s
        await speaking
        return interrupted_s

    async def _speak(self) -> None:
        await self.card.play_voice()
        await asyncio.sleep(2.0)  # until the last of it is sent


@contextlib.asynccontextmanager
async def talking(
    card: OpenSpeakers, folder: Path, *arguments: str, seconds: float, command: Sequence[str] = COMMAND
) -> AsyncIterator[Scene]:
    """Run the command; its events go to `folder / events.jsonl`.

    Args:
        card: The sound card.
        folder: For files.
        arguments: Further arguments of the command.
        seconds: How long the room sounds: as long as the caller needs at most.
        command: What Python runs.
    """
    far = _make_far(folder)
    with mock.patch.object(speech, "tones", lambda _: far), (folder / "events.jsonl").open("wb") as stdout:
        async with card.open(seconds), Simulator(espeak=False, pace=PACE) as server:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *command, "--output-format=jsonl", "--quiet", "--base-url", server.url),
                *("--audio-input", *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=stdout,
                env={**os.environ, **card.environ, "PYTHONPATH": str(ROOT), "GOOGLE_API_KEY": "any-key"},
            )
            try:
                record = await server.wait_for_session()
                await record.wait_for(lambda record: record.audio_s > 1.0)
                yield Scene(card, record, process)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()


def read_events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the events of a type that the command wrote."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event for event in events if event["type"] == kind]


def level_db(samples: "np.ndarray[Any, Any]") -> float:
    """Return the level in dB relative to full scale."""
    return 10 * float(np.log10(np.mean((samples.astype(np.float64) / 32768) ** 2) + 1e-10))
