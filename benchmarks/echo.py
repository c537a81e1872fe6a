"""What reaches the server of the model's own voice, on open speakers: the real command on the virtual sound card.

The card's speaker leaks into its microphone, with noise in the room. A simulated server lets the model speak all the
time. Each second of what the command sends is compared with what the microphone records at that moment: their ratio is
the ERLE. Counted is how often the server, and webrtcvad, take what they get for speech, while nobody speaks; and how
often a near voice, now and then, interrupts the model.

    python -m benchmarks.echo [--seconds 30] [--delay 80] [--gain 0.4] [--near 5] [ARGUMENTS OF GEMINI-LIVE ...]
    python -m benchmarks.echo --matrix
    python -m benchmarks.echo --recovery

Numbers are for espeak-ng voices and a loopback without a room: real loudspeakers and rooms are worse.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import webrtcvad

from gemini_live.audio.correlation import correlate
from gemini_live.audio.pcm import INPUT, OUTPUT
from gemini_live.simulator import Simulator, speech
from gemini_live.simulator.records import SessionRecord
from gemini_live.simulator.speech import Sound
from tests.rig.analysis import Samples, read_wav, resample, write_wav
from tests.rig.virtual_audio import VirtualAudio

ROOT = Path(__file__).parent.parent
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
SETTLES_S = 3.0
"""Not counted at the beginning: the time in which the canceller learns the room."""
OPEN = ("--no-echo-cancellation", "--no-half-duplex")


@dataclass
class Report:
    """What was measured in one session."""

    erles_db: list[float] = field(default_factory=list)
    """For each second in which the model was heard and nobody else."""
    sent_dbfs: list[float] = field(default_factory=list)
    """The level that was sent in each of these seconds."""
    n_false: int = 0
    """Interruptions while nobody spoke."""
    n_vad: int = 0
    """Stretches of 0.2 s and more that webrtcvad took for speech while nobody spoke."""
    seconds: float = 0.0
    """Time in which the model spoke and nobody else."""
    near_delays_s: list[float | None] = field(default_factory=list)
    """For each near voice: seconds until the server said that the model was interrupted; None if it did not."""
    near_levels_db: list[float] = field(default_factory=list)
    """For each near voice: level of what was sent relative to the voice."""
    near_snrs_db: list[float] = field(default_factory=list)
    """For each near voice: its power in what was sent over that of everything else in it."""
    summary: dict[str, Any] = field(default_factory=dict)
    """The command's own summary."""
    modes: list[str] = field(default_factory=list)

    def format(self) -> str:
        """Return the report as a row of a table."""
        erles = f"{statistics.median(self.erles_db):.0f} ({min(self.erles_db):.0f})" if self.erles_db else "-"
        delays = [delay_s for delay_s in self.near_delays_s if delay_s is not None]
        near = f"{len(delays)} of {len(self.near_delays_s)}"
        took = f"{statistics.median(delays):.2f} s" if delays else "-"
        level = f"{statistics.median(self.near_levels_db):.0f} dB" if self.near_levels_db else "-"
        snr = f"{statistics.median(self.near_snrs_db):.0f} dB" if self.near_snrs_db else "-"
        own = self.summary.get("erle_db")
        own_db = "-" if own is None else f"{own:.0f}"
        return f"{erles} | {own_db} | {self.n_false} | {self.n_vad} | {near} | {took} | {level} | {snr}"


HEADER = (
    "ERLE, median (worst second) | own ERLE | false interruptions | webrtcvad | near voices | after | their level | SNR"
)


def say(text: str, folder: Path, dbfs: float, *voice: str) -> Samples:
    """Return `text` at 48 kHz as espeak-ng says it, at a level of its loud parts."""
    path = folder / "voice.wav"
    subprocess.run(["espeak-ng", *voice, "-w", str(path), text], check=True)
    samples, rate_hz = read_wav(path)
    voice_48 = resample(samples, rate_hz, 48_000).astype(np.float64) / 32768
    loud = np.abs(voice_48) > 0.01 * np.abs(voice_48).max()
    voice_48 *= 10 ** (dbfs / 20) / np.sqrt(np.mean(voice_48[loud] ** 2))
    return np.round(voice_48.clip(-1, 1) * 32767).astype(np.int16)


def make_far(folder: Path) -> Sound:
    """Return what the model says."""
    far = say(FAR, folder, FAR_DBFS, "-v", "en-us", "-s", "150")
    n = round(FAR_S * OUTPUT.rate_hz)
    return Sound(np.resize(resample(far, 48_000, OUTPUT.rate_hz), n).astype("<i2").tobytes(), OUTPUT.rate_hz)


def level_db(samples: "np.ndarray[Any, Any]") -> float:
    """Return the level in dB relative to full scale."""
    return 10 * float(np.log10(np.mean((samples.astype(np.float64) / 32768) ** 2) + 1e-10))


class Listener:
    """Records what the virtual microphone hears, at 16 kHz, beside the command."""

    def __init__(self, audio: VirtualAudio) -> None:
        command = ["parec", "--device=mic", f"--rate={INPUT.rate_hz}", "--channels=1", "--format=s16le", "--raw"]
        self._process = subprocess.Popen(
            [*command, "--latency-msec=20"], stdout=subprocess.PIPE, env={**os.environ, **audio.environ}
        )
        self.pcm = bytearray()

    async def listen(self) -> None:
        """Record until the process ends."""
        assert self._process.stdout is not None
        while block := await asyncio.to_thread(self._process.stdout.read, 640):
            self.pcm += block

    async def stop(self, listening: "asyncio.Task[None]") -> None:
        """End the recording."""
        self._process.terminate()
        await listening
        with self._process:
            pass


@dataclass
class Scene:
    """A conversation on the virtual card that a measurement looks into."""

    audio: VirtualAudio
    folder: Path
    record: SessionRecord
    process: asyncio.subprocess.Process
    listener: Listener
    n_interrupted_seen: int = 0

    def ask(self) -> None:
        """Let the model speak for `FAR_S`."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"Tell me more.\n")

    def mark(self) -> tuple[int, int]:
        """Return how many bytes were sent and recorded until now."""
        return len(self.record.audio), len(self.listener.pcm)

    def n_interrupted(self) -> int:
        """Return how often the server has said `interrupted` since the last call."""
        new, self.n_interrupted_seen = self.record.sent[self.n_interrupted_seen :], len(self.record.sent)
        return sum(bool(message.get("serverContent", {}).get("interrupted")) for message in new)

    async def until_it_speaks(self) -> None:
        """Wait until the model speaks."""
        n = self.record.n_sent
        await self.record.wait_for(lambda record: record.n_sent > n + 5)


@contextlib.asynccontextmanager
async def talking(
    audio: VirtualAudio, folder: Path, *arguments: str, noise_s: float, answer: Sound | None = None
) -> AsyncIterator[Scene]:
    """Run the command with microphone and speaker in a noisy room; its events go to `folder / events.jsonl`."""
    noise = np.random.default_rng(1).standard_normal(round(noise_s * 16_000)) * 10 ** (NOISE_DBFS / 20) * 32768
    write_wav(folder / "noise.wav", resample(np.round(noise).astype(np.int16), 16_000, 48_000), 48_000)
    environ = {**os.environ, **audio.environ}
    far = answer or make_far(folder)
    hiss = subprocess.Popen(["paplay", "--device=micfeed", str(folder / "noise.wav")], env=environ)  # noqa: ASYNC220
    listener = Listener(audio)
    with mock.patch.object(speech, "tones", lambda _: far), (folder / "events.jsonl").open("wb") as stdout:
        async with Simulator(espeak=False, pace=PACE) as server:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gemini_live", "--output-format=jsonl", "--quiet", "--base-url", server.url),
                *("--audio-input", *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=stdout,
                env={**environ, "PYTHONPATH": str(ROOT), "GOOGLE_API_KEY": "any-key"},
            )
            listening = asyncio.create_task(listener.listen())
            try:
                record = await server.wait_for_session()
                await record.wait_for(lambda record: record.audio_s > 1.0)
                yield Scene(audio, folder, record, process, listener)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
                await listener.stop(listening)
                hiss.terminate()
                hiss.wait()


def read_events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the events of a type that the command wrote."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event for event in events if event["type"] == kind]


def compare(scene: Scene, begin: tuple[int, int], end: tuple[int, int], report: Report) -> None:
    """Add what was sent between two marks, while nobody but the model spoke, second by second."""
    sent = np.frombuffer(bytes(scene.record.audio[begin[0] // 2 * 2 : end[0] // 2 * 2]), "<i2")
    recorded = np.frombuffer(bytes(scene.listener.pcm[begin[1] // 2 * 2 : end[1] // 2 * 2]), "<i2")
    for start in range(0, min(len(sent), len(recorded)) - INPUT.rate_hz + 1, INPUT.rate_hz):
        heard_db = level_db(recorded[start : start + INPUT.rate_hz])
        if heard_db < NOISE_DBFS + 15:
            continue  # a pause
        sent_db = level_db(sent[start : start + INPUT.rate_hz])
        report.erles_db.append(heard_db - sent_db)
        report.sent_dbfs.append(sent_db)
    report.seconds += len(sent) / INPUT.rate_hz
    report.n_vad += count_speech(sent)


def count_speech(samples: "np.ndarray[Any, Any]") -> int:
    """Return the number of stretches of at least 0.2 s that webrtcvad takes for speech, at its default level 2."""
    vad, pcm, n_run, n_found = webrtcvad.Vad(2), samples.astype("<i2").tobytes(), 0, 0
    for start in range(0, len(pcm) - 639, 640):
        n_run = n_run + 1 if vad.is_speech(pcm[start : start + 640], INPUT.rate_hz) else 0
        n_found += n_run == 10
    return n_found


async def converse(
    audio: VirtualAudio,
    folder: Path,
    *arguments: str,
    seconds: float = 30.0,
    delay_ms: int = 80,
    gain: float = 0.4,
    n_near: int = 0,
    disturb: Callable[[Scene], Awaitable[None]] | None = None,
) -> Report:
    """Let the model speak for `seconds` on open speakers, then let a near voice speak over it `n_near` times.

    Args:
        audio: The virtual sound card.
        folder: For files.
        arguments: Further arguments of the command.
        seconds: How long the model speaks alone.
        delay_ms: Delay of the card's echo; the card's own buffers come on top.
        gain: Gain of the echo.
        n_near: How often the near voice speaks.
        disturb: Called in the middle of the time in which the model speaks alone.
    """
    near = say(NEAR, folder, NEAR_DBFS, "-v", "en-gb+f3", "-s", "155", "-p", "60")
    write_wav(folder / "near.wav", near, 48_000)
    report = Report()
    with audio.echo(delay_ms, gain) if gain else contextlib.nullcontext():
        async with talking(audio, folder, *arguments, noise_s=seconds + 25 * n_near + 60) as scene:
            scene.ask()
            await scene.until_it_speaks()
            await asyncio.sleep(SETTLES_S)
            report.n_false += scene.n_interrupted()
            await speak_alone(scene, seconds, report, disturb)
            for number in range(n_near):
                await speak_over(scene, folder, near, report)
                if number + 1 < n_near:  # the server answers with an echo of the voice
                    await asyncio.sleep(len(near) / 48_000 + 3)
    report.summary = next(iter(read_events(folder, "summary")), {})
    report.modes = [event["mode"] for event in read_events(folder, "sound_mode_changed")]
    return report


async def speak_alone(
    scene: Scene, seconds: float, report: Report, disturb: Callable[[Scene], Awaitable[None]] | None
) -> None:
    """Let nobody but the model speak, and compare what is recorded and sent."""
    left_s = seconds
    while left_s > 0:
        part_s = min(left_s, 10.0)
        begin = scene.mark()
        if disturb is not None and left_s <= seconds / 2:
            await disturb(scene)
            disturb = None
        await asyncio.sleep(part_s)
        compare(scene, begin, scene.mark(), report)
        left_s -= part_s
        n_false = scene.n_interrupted()
        report.n_false += n_false
        if n_false or _is_silent(scene):
            scene.ask()


def _is_silent(scene: Scene) -> bool:
    """True if the model has nothing left to say for the next 12 s."""
    turn = scene.record.turns[-1]
    return turn.complete or turn.audio_s > FAR_S - 12


async def speak_over(scene: Scene, folder: Path, near: Samples, report: Report) -> None:
    """Let the near voice speak over the model once."""
    scene.ask()
    await scene.until_it_speaks()
    await asyncio.sleep(3.0)
    scene.n_interrupted()
    begin = scene.mark()
    began_s = time.monotonic()
    feeding = asyncio.create_task(asyncio.to_thread(scene.audio.feed, folder / "near.wav"))
    duration_s, interrupted_s = len(near) / 48_000, None
    while time.monotonic() < began_s + duration_s + 2:
        await asyncio.sleep(0.02)
        if interrupted_s is None and scene.n_interrupted():
            interrupted_s = time.monotonic() - began_s
    await feeding
    report.near_delays_s.append(interrupted_s)
    voice = resample(near, 48_000, INPUT.rate_hz)
    sent = align(np.frombuffer(bytes(scene.record.audio[begin[0] // 2 * 2 :]), "<i2"), voice)
    report.near_levels_db.append(level_db(sent) - level_db(voice))
    report.near_snrs_db.append(snr_db(sent, voice))


def align(sent: Samples, voice: Samples) -> Samples:
    """Return the part of `sent` that is most like `voice`, of its length."""
    start = int(correlate(voice.astype(np.float64), sent.astype(np.float64)).argmax())
    return sent[start : start + len(voice)]


def snr_db(sent: Samples, voice: Samples) -> float:
    """Return the power of `voice` in `sent` over the power of the rest; a change of the voice counts as rest."""
    x, y = voice.astype(np.float64), sent.astype(np.float64)
    part = x * (x @ y) / (x @ x)
    return level_db(part) - level_db(y - part)


async def change_delay(scene: Scene, delay_ms: int) -> None:
    """Take the echo away, and let it come back with another delay."""
    await asyncio.to_thread(scene.audio.set_echo, delay_ms, 0.4)


async def stop_program(scene: Scene) -> None:
    """Let the command stand still for 0.6 s: its speaker runs dry, and its microphone's audio waits."""
    scene.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.6)
    scene.process.send_signal(signal.SIGCONT)


async def interrupt(scene: Scene) -> None:
    """Let the model be interrupted and answer again: what was handed to the speaker is discarded there."""
    scene.ask()
    await scene.until_it_speaks()
    scene.n_interrupted()


DISTURBANCES: dict[str, Callable[[Scene], Awaitable[None]]] = {
    "delay from 80 to 140 ms": lambda scene: change_delay(scene, 140),
    "delay from 80 to 20 ms": lambda scene: change_delay(scene, 20),
    "the program stands still for 0.6 s": stop_program,
    "an interruption discards what was to be played": interrupt,
}


async def run_recovery(audio: VirtualAudio, folder: Path, n_near: int) -> None:
    """Measure how soon the echo is removed again after each disturbance, and print a table."""
    print(f"after 20 s | ERLE by second since | {HEADER}")
    for name, disturb in DISTURBANCES.items():
        report = await converse(audio, folder, seconds=40.0, n_near=n_near, disturb=disturb)
        after = " ".join(f"{value:.0f}" for value in report.erles_db[20:])
        print(f"{name} | {after} | {report.format()} | {report.modes}", flush=True)


async def run_matrix(audio: VirtualAudio, folder: Path, seconds: float, n_near: int) -> None:
    """Measure at all delays and gains, and print a table."""
    print(f"delay | gain | {HEADER}")
    for delay_ms in (20, 80, 250):
        for gain in (0.1, 0.4, 1.0):
            report = await converse(audio, folder, seconds=seconds, delay_ms=delay_ms, gain=gain, n_near=n_near)
            print(f"{delay_ms} ms | {gain} | {report.format()} | {report.modes}", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the model speaks alone (30)")
    parser.add_argument("--delay", type=int, default=80, metavar="MS", help="delay of the echo (80)")
    parser.add_argument("--gain", type=float, default=0.4, help="gain of the echo (0.4)")
    parser.add_argument("--near", type=int, default=0, metavar="N", help="how often a near voice speaks (0)")
    parser.add_argument("--matrix", action="store_true", help="all delays and gains")
    parser.add_argument("--recovery", action="store_true", help="disturbances in mid-session")
    options, arguments = parser.parse_known_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        audio = VirtualAudio(folder / "audio")
        try:
            if options.recovery:
                asyncio.run(run_recovery(audio, folder, options.near))
                return
            if options.matrix:
                asyncio.run(run_matrix(audio, folder, options.seconds, options.near))
                return
            conditions = {"delay_ms": options.delay, "gain": options.gain, "n_near": options.near}
            report = asyncio.run(converse(audio, folder, *arguments, seconds=options.seconds, **conditions))
            print(HEADER)
            print(report.format())
            print("ERLE by second:", " ".join(f"{value:.0f}" for value in report.erles_db))
            print("sent, dBFS:", " ".join(f"{value:.0f}" for value in report.sent_dbfs))
            print(f"{report.seconds:.0f} s; modes {report.modes}; near delays {report.near_delays_s}")
            print(report.summary)
        finally:
            audio.stop()


if __name__ == "__main__":
    main()
