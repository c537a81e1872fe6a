"""Compare detectors of speech on voices in noise: which finds every sentence, and takes nothing else for one.

Each scene is half a minute of noise, and then six sentences by six espeak-ng voices in the same noise. A sentence is
found if it is heard to begin and to end about where it does; every other beginning is a false start.

    python -m benchmarks.voice [--scenes WORD] [--cost]

The same figures come out every time, because noise is seeded and nothing but `--cost` is timed.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np
import webrtcvad
from scipy.signal import butter, sosfilt

from gemini_live.audio.echo import EchoPath
from gemini_live.audio.pcm import INPUT, OUTPUT
from gemini_live.audio.voice_detector import BLOCK_S, SpeechStarted, Utterance, VoiceDetector, VoiceSettings
from gemini_live.session.media import PAUSE_S
from tests.audio.room import Room, Signal, make_noise, to_pcm
from tests.rig.analysis import read_wav, resample

RATE_HZ = INPUT.rate_hz
BLOCK_BYTES = INPUT.n_bytes(BLOCK_S)
SENTENCES = (
    ("en-us", "What does the second test on the left complain about?"),
    ("en-gb+f3", "Please show me the page about lighthouses again."),
    ("de+m3", "Wie wird das Wetter morgen in Hamburg?"),
    ("fr-fr+f4", "Bonjour, je voudrais savoir quelle heure il est."),
    ("es+m7", "Hola, necesito una mesa para dos personas."),
    ("it+f2", "Sì."),
)
"""The voices and what they say. The last one is as short as answers are."""
BABBLE = ("en-us+f2", "en-gb+m4", "de+f1", "fr-fr+m2", "es+f4", "it+m6")
BABBLE_TEXT = "The oldest one stood in Alexandria, and ships saw its fire from fifty kilometres away. " * 4
VOICE_DBFS, FAINT_DB = -26.0, -16.0
"""Level of the voices, and how much fainter the faint ones are."""
FAR_DBFS, ECHO_GAINS = -22.0, (0.1, 0.4, 1.0)
"""Level of the model's voice where it is played, and how much of it comes back."""
ROOM_DBFS = -65.0
"""Noise of a quiet room, also below every other noise."""
ALONE_S = 30.0
"""Seconds of noise before the first sentence."""
PAUSES_S = (2.1, 1.4, 2.7, 1.9, 2.3, 1.6)
"""Quiet after each sentence."""
EARLY_S, LATE_S = 0.3, 0.4
"""How far the beginning and the end of a sentence may be heard from where they are."""


class Detector(Protocol):
    """What finds speech in a stream of audio."""

    def feed(self, pcm: bytes, rate_hz: int) -> list[SpeechStarted | Utterance]:
        """Add a block of 20 ms; return the events in it."""
        ...


@dataclass
class Scene:
    """Audio, and when somebody speaks in it."""

    name: str
    signal: Signal
    spans_s: list[tuple[float, float]]


@dataclass
class Score:
    """How a detector did in one scene or several."""

    n_sentences: int = 0
    n_found: int = 0
    n_false: int = 0
    quiet_s: float = 0.0
    """Time in which nobody speaks."""
    start_delays_s: list[float] = field(default_factory=list)
    """How long after the beginning of each sentence it was told."""
    end_errors_s: list[float] = field(default_factory=list)
    """How much too late the end of each sentence was put; negative if too early."""

    def add(self, other: "Score") -> None:
        """Add the score of another scene."""
        self.n_sentences += other.n_sentences
        self.n_found += other.n_found
        self.n_false += other.n_false
        self.quiet_s += other.quiet_s
        self.start_delays_s += other.start_delays_s
        self.end_errors_s += other.end_errors_s

    def format(self) -> str:
        """Return sentences found, false starts a minute, and the median delays of start and end in seconds."""
        false = 60 * self.n_false / self.quiet_s if self.quiet_s else 0.0
        start, end = (
            f"{statistics.median(values):.2f}" if values else "-" for values in (self.start_delays_s, self.end_errors_s)
        )
        return f"{self.n_found:3}/{self.n_sentences} {false:4.0f} {start:>5} {end:>5}"


# What is heard


@cache
def say(voice: str, text: str) -> Signal:
    """Return what espeak-ng says, at 16 kHz, without the quiet around it, at `VOICE_DBFS`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voice.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-w", str(path), text], check=True)
        samples, rate_hz = read_wav(path)
    signal = resample(samples, rate_hz, RATE_HZ).astype(np.float64) / 32768
    loud = np.flatnonzero(np.abs(signal) > 0.02 * np.abs(signal).max())
    signal = signal[loud[0] : loud[-1] + 1]
    active = np.abs(signal) > 0.05 * np.abs(signal).max()
    return np.asarray(at_level(signal, VOICE_DBFS, active))


def at_level(signal: Signal, dbfs: float, part: "np.ndarray[tuple[int], np.dtype[np.bool_]] | None" = None) -> Signal:
    """Return the signal, of which the chosen part has this level."""
    chosen = signal if part is None else signal[part]
    return np.asarray(signal * 10 ** (dbfs / 20) / np.sqrt(np.mean(chosen**2)))


def pink(n: int, dbfs: float) -> Signal:
    """Return noise whose power falls by 3 dB an octave, from 20 Hz."""
    return _shaped(n, dbfs, -0.5)


def rumble(n: int, dbfs: float) -> Signal:
    """Return the noise of a fan or of traffic: power that falls by 6 dB an octave, and hum at 50 Hz and above."""
    t = np.arange(n) / RATE_HZ
    hum = sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in (1, 2, 3, 4, 6))
    return at_level(_shaped(n, 0.0, -1.0) + at_level(np.asarray(hum), -6.0), dbfs)


def _shaped(n: int, dbfs: float, exponent: float) -> Signal:
    spectrum = np.fft.rfft(np.random.default_rng(11).standard_normal(n))
    hertz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    return at_level(np.fft.irfft(spectrum * np.where(hertz < 20, 0, np.maximum(hertz, 20) ** exponent), n), dbfs)


def babble(n: int, dbfs: float) -> Signal:
    """Return six voices that speak at once."""
    voices = [np.resize(np.roll(say(voice, BABBLE_TEXT), 7_000 * i), n) for i, voice in enumerate(BABBLE)]
    return at_level(np.asarray(sum(voices)), dbfs)


def typing(n: int, dbfs: float) -> Signal:
    """Return keystrokes: clicks and thumps in bursts. `dbfs`: the level of the loudest 20 ms of a keystroke."""
    rng = np.random.default_rng(12)
    signal = np.zeros(n + RATE_HZ)
    t = np.arange(round(0.06 * RATE_HZ)) / RATE_HZ
    position = 0.5
    while position < n / RATE_HZ:
        for _ in range(rng.integers(4, 20)):
            for offset_s, weight in ((0.0, 1.0), (rng.uniform(0.06, 0.11), 0.5)):  # pressed and released
                low_hz = rng.uniform(1_000, 3_000)
                click = sosfilt(
                    butter(1, [low_hz, 2.2 * low_hz], "bandpass", fs=RATE_HZ, output="sos"), rng.normal(size=t.size)
                )
                thump = np.sin(2 * np.pi * rng.uniform(120, 300) * t)
                stroke = at_level(click * np.exp(-t / 0.006), 0.0) + at_level(thump * np.exp(-t / 0.015), -4.0)
                start = round((position + offset_s) * RATE_HZ)
                if start < n:
                    signal[start : start + t.size] += weight * rng.uniform(0.5, 1.0) * stroke
            position += rng.uniform(0.1, 0.25)
        position += rng.uniform(0.3, 1.5)
    loudest = np.convolve(signal**2, np.ones(320) / 320, "valid").max()
    return np.asarray(signal[:n] * 10 ** (dbfs / 20) / np.sqrt(loudest))


def white(n: int, dbfs: float) -> Signal:
    """Return white noise."""
    return make_noise(n / RATE_HZ, dbfs, 13)


def speak() -> tuple[Signal, list[tuple[float, float]]]:
    """Return the sentences after `ALONE_S` of silence, and when they begin and end."""
    parts, spans_s, now = [np.zeros(round(ALONE_S * RATE_HZ))], [], round(ALONE_S * RATE_HZ)
    for (voice, text), pause_s in zip(SENTENCES, PAUSES_S, strict=True):
        sentence = say(voice, text)
        parts += [sentence, np.zeros(round(pause_s * RATE_HZ))]
        spans_s.append((now / RATE_HZ, (now + len(sentence)) / RATE_HZ))
        now += len(sentence) + round(pause_s * RATE_HZ)
    return np.concatenate(parts), spans_s


NOISES: dict[str, tuple[Callable[[int, float], Signal], tuple[int, ...]]] = {
    "white noise": (white, (-50, -40)),
    "pink noise": (pink, (-50, -40)),
    "low noise": (rumble, (-50, -40, -34)),
    "babble": (babble, (-50, -40)),
    "keyboard": (typing, (-40, -30, -24)),
}


def make_scenes(word: str) -> Iterator[Scene]:
    """Yield the scenes whose name contains the word."""
    voices, spans_s = speak()
    n = len(voices)
    room = white(n, ROOM_DBFS)
    makers: dict[str, Callable[[], Signal]] = {
        "quiet room": lambda: voices + room,
        "faint voice": lambda: voices * 10 ** (FAINT_DB / 20) + room,
    }
    for name, (noise, levels) in NOISES.items():
        for dbfs in levels:
            makers[f"{name} {dbfs}"] = partial(lambda noise, dbfs: voices + room + noise(n, dbfs), noise, dbfs)
    for gain in ECHO_GAINS:
        makers[f"echo {gain}"] = partial(cancel, voices + room, gain)
    for name, make in makers.items():
        if word in name:
            yield Scene(name, make(), spans_s)


def cancel(near: Signal, gain: float) -> Signal:
    """Return what the echo canceller leaves of a microphone that hears a voice, and the model through a loudspeaker."""
    far = at_level(np.resize(say("en-us+f5", BABBLE_TEXT), len(near)), FAR_DBFS)
    path = EchoPath(OUTPUT.rate_hz, cancels=True)
    return Room(far, near, gain=gain).run(path.played, path.process)


# The detectors


class Votes:
    """Speech as somebody else's detector finds it block by block, with what makes sentences of blocks."""

    def __init__(self, is_speech: Callable[[bytes], bool], *, needed: int = 3, window: int = 4) -> None:
        """Begin with silence. So many of the blocks in the window begin an utterance."""
        self._is_speech, self._needed = is_speech, needed
        self._votes: deque[bool] = deque(maxlen=window)
        self._n_blocks = self._n_quiet = 0
        self._began_s: float | None = None

    def feed(self, pcm: bytes, rate_hz: int) -> list[SpeechStarted | Utterance]:
        """Add a block of 20 ms; return the events in it."""
        self._votes.append(self._is_speech(pcm))
        self._n_blocks += 1
        if self._began_s is None:
            if sum(self._votes) < self._needed:
                return []
            self._began_s = (self._n_blocks - len(self._votes) + self._votes.index(True)) * BLOCK_S
            self._n_quiet = 0
            return [SpeechStarted(self._began_s)]
        self._n_quiet = 0 if self._votes[-1] else self._n_quiet + 1
        if self._n_quiet * BLOCK_S < PAUSE_S:
            return []
        utterance = Utterance(b"", rate_hz, self._began_s, (self._n_blocks - self._n_quiet) * BLOCK_S)
        self._began_s = None
        self._votes.clear()
        return [utterance]


def make_webrtc(level: int, **votes: int) -> Detector:
    """Return webrtcvad with one of its levels, 0 to 3."""
    vad = webrtcvad.Vad(level)
    return Votes(lambda block: bool(vad.is_speech(block, RATE_HZ)), **votes)


CONTENDERS: dict[str, Callable[[], Detector]] = {
    "ours": lambda: VoiceDetector(VoiceSettings(silence_s=PAUSE_S), keeps_pcm=False),
    "webrtcvad 1": lambda: make_webrtc(1),
    "webrtcvad 2": lambda: make_webrtc(2),
    "webrtcvad 3": lambda: make_webrtc(3),
    "webrtcvad 3, slow": lambda: make_webrtc(3, needed=6, window=8),
}


def listen(detector: Detector, signal: Signal) -> list[tuple[float, float, float]]:
    """Return when each utterance began, when that was told, and when it ended, in seconds."""
    pcm, found, began = to_pcm(signal), [], None
    pcm += bytes(INPUT.n_bytes(1.0))
    for start in range(0, len(pcm) - BLOCK_BYTES + 1, BLOCK_BYTES):
        for event in detector.feed(pcm[start : start + BLOCK_BYTES], RATE_HZ):
            if isinstance(event, SpeechStarted):
                began = (event.offset_s, INPUT.duration_s(start + BLOCK_BYTES))
            elif began is not None:
                found.append((*began, event.end_s))
                began = None
    if began is not None:
        found.append((*began, INPUT.duration_s(len(pcm))))
    return found


def judge(scene: Scene, found: list[tuple[float, float, float]]) -> Score:
    """Return how well the utterances that were found agree with the truth."""
    duration_s = len(scene.signal) / RATE_HZ
    spoken_s = sum(end_s - start_s for start_s, end_s in scene.spans_s)
    score = Score(n_sentences=len(scene.spans_s), quiet_s=duration_s - spoken_s)
    for start_s, end_s in scene.spans_s:
        pieces = [piece for piece in found if start_s - EARLY_S <= piece[0] < end_s]
        if not pieces or pieces[0][0] > start_s + LATE_S or abs(pieces[-1][2] - end_s) > LATE_S:
            continue
        score.n_found += 1
        score.start_delays_s.append(pieces[0][1] - start_s)
        score.end_errors_s.append(pieces[-1][2] - end_s)
    score.n_false = sum(
        not any(start_s - EARLY_S <= began_s < end_s for start_s, end_s in scene.spans_s) for began_s, _, _ in found
    )
    return score


def measure_cost(make: Callable[[], Detector]) -> float:
    """Return the microseconds for a block of 20 ms, the best of five rounds."""
    pcm = to_pcm(speak()[0] + white(len(speak()[0]), ROOM_DBFS))
    blocks = [pcm[start : start + BLOCK_BYTES] for start in range(0, len(pcm) - BLOCK_BYTES + 1, BLOCK_BYTES)]
    best_s = float("inf")
    for _ in range(5):
        detector, began_s = make(), time.perf_counter()
        for block in blocks:
            detector.feed(block, RATE_HZ)
        best_s = min(best_s, time.perf_counter() - began_s)
    return 1e6 * best_s / len(blocks)


def compare(scenes: Iterator[Scene]) -> None:
    """Print how the contenders do in every scene and in all together."""
    total = {name: Score() for name in CONTENDERS}
    for scene in scenes:
        scores = {name: judge(scene, listen(make(), scene.signal)) for name, make in CONTENDERS.items()}
        for name, score in scores.items():
            total[name].add(score)
        print(f"{scene.name:16}" + "".join(f"{score.format():26}" for score in scores.values()), flush=True)
    print(f"{'all':16}" + "".join(f"{score.format():26}" for score in total.values()))


def main(argv: Sequence[str] | None = None) -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scenes", default="", metavar="WORD", help="only scenes whose name contains the word")
    parser.add_argument("--cost", action="store_true", help="the time for 20 ms of audio too")
    options = parser.parse_args(argv)
    print("sentences found, false starts a minute, seconds until the start is told, seconds by which the end is late")
    print(f"{'':16}" + "".join(f"{name:26}" for name in CONTENDERS))
    compare(make_scenes(options.scenes))
    if options.cost:
        print(f"{'us for 20 ms':16}" + "".join(f"{measure_cost(make):<26.1f}" for make in CONTENDERS.values()))


if __name__ == "__main__":
    main()
