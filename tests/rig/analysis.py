"""Finds out what became of a known signal on its way: a tone, a sentence, a counter. Samples are 16-bit numbers."""

import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import correlate, resample_poly

from . import RigError

Samples = npt.NDArray[np.int16]

_MODULUS = 65_521
"""Of the counter: a prime, so that no buffer size fits into it."""


def read_wav(path: Path) -> tuple[Samples, int]:
    """Return the samples of a mono 16-bit WAV file, and its rate in Hz."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16), file.getframerate()


def write_wav(path: Path, samples: Samples, rate_hz: int, channels: int = 1) -> None:
    """Write 16-bit WAV; `samples` are interleaved."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def make_tone(frequency_hz: float, duration_s: float, rate_hz: int, amplitude: int = 9000) -> Samples:
    """Return a sine that begins at zero."""
    times_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return np.round(amplitude * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.int16)


def speak(text: str, rate_hz: int, folder: Path) -> Samples:
    """Return `text` as espeak-ng says it."""
    path = folder / "speech.wav"
    try:
        subprocess.run(["espeak-ng", "-v", "en-us", "-w", str(path), text], check=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise RigError(f"{exc}: apt-get install espeak-ng") from exc
    samples, spoken_hz = read_wav(path)
    return resample(samples, spoken_hz, rate_hz)


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Return `samples` at another rate, as well as can be."""
    if from_hz == to_hz:
        return samples
    converted: npt.NDArray[np.float64] = resample_poly(samples.astype(np.float64), to_hz, from_hz)
    return np.clip(np.round(converted), -32768, 32767).astype(np.int16)


def find_span(samples: Samples, rate_hz: int, threshold: int = 200) -> tuple[float, float]:
    """Return when the sound in a recording begins and ends, in seconds; silence in between does not matter."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > threshold)
    assert loud.size, "there is nothing but silence"
    return float(loud[0]) / rate_hz, float(loud[-1] + 1) / rate_hz


@dataclass(frozen=True)
class Match:
    """Where a signal was found in a recording, and how well it fits."""

    offset_s: float
    correlation: float
    """1 where the recording has the signal's shape exactly, at whatever loudness."""
    gain: float


def find(signal: Samples, recording: Samples, rate_hz: int) -> Match:
    """Find `signal` in `recording`, both of one rate, by cross-correlation."""
    wanted, heard = signal.astype(np.float64), recording.astype(np.float64)
    lag = int(np.argmax(correlate(heard, wanted, mode="full", method="fft"))) - (len(wanted) - 1)
    heard = np.pad(heard, (max(0, -lag), len(wanted)))[max(0, lag) :][: len(wanted)]
    product = float(np.dot(wanted, heard))
    energy = float(np.dot(wanted, wanted))
    norm = np.sqrt(energy * float(np.dot(heard, heard)))
    return Match(lag / rate_hz, product / norm if norm else 0.0, product / energy)


@dataclass(frozen=True)
class ToneReport:
    """How whole a tone is."""

    start_s: float
    duration_s: float
    frequency_hz: float
    n_phase_jumps: int
    """Places where samples were lost, repeated or put in: 20 ms apart at least, one sample is enough."""
    n_gaps: int
    """Stretches of 5 ms in which it is softer than it should be."""
    worst_step_rad: float
    """The largest change of phase in 20 ms that the frequency does not explain. One sample is 2*pi*frequency/rate."""


def examine_tone(samples: Samples, rate_hz: int, frequency_hz: float) -> ToneReport:
    """Look for gaps and jumps in the tone that a recording holds, between the first and the last sound in it."""
    start_s, end_s = find_span(samples, rate_hz)
    tone = samples[round(start_s * rate_hz) : round(end_s * rate_hz)].astype(np.float64)
    hop, width = rate_hz // 200, rate_hz // 50
    carrier = np.exp(-2j * np.pi * frequency_hz * np.arange(len(tone)) / rate_hz)
    windows = np.lib.stride_tricks.sliding_window_view(tone * carrier, width)[::hop]
    window = np.hanning(width)
    phasors = windows @ (window / window.sum())
    phase, size = np.unwrap(np.angle(phasors)), np.abs(phasors)
    slope = np.median(np.diff(phase))
    # Windows that do not overlap: a jump shows in full in the step between them, wherever it is.
    apart = width // hop
    steps = np.abs(phase[apart:] - phase[:-apart] - slope * apart)
    one_sample_rad = 2 * np.pi * frequency_hz / rate_hz
    jumps = np.flatnonzero(steps > one_sample_rad / 2)
    return ToneReport(
        start_s=start_s,
        duration_s=end_s - start_s,
        frequency_hz=float(frequency_hz + slope / hop * rate_hz / (2 * np.pi)),
        n_phase_jumps=int(jumps.size and 1 + np.count_nonzero(np.diff(jumps) > apart)),
        n_gaps=int(np.count_nonzero(size < 0.9 * np.median(size))),
        worst_step_rad=float(steps.max(initial=0.0)),
    )


def make_counter(n_frames: int, first: int = 1) -> bytes:
    """Return mono PCM whose samples count up, so that each says which one it is within four seconds at 16 kHz."""
    return ((np.arange(n_frames, dtype=np.int64) + first) % _MODULUS).astype("<u2").tobytes()


@dataclass(frozen=True)
class CounterReport:
    """What arrived of a counter, without the silence before and after it."""

    n_frames: int
    first: int
    n_breaks: int
    """Places where the next sample is not the next number."""
    n_lost: int
    """Frames left out at those places; what goes backwards counts as a whole round of the counter less its step."""


def examine_counter(pcm: bytes) -> CounterReport:
    """Count what is missing or out of order in a counter that was sent as audio."""
    values = np.frombuffer(pcm, "<u2").astype(np.int64)
    sounding = np.flatnonzero(values)
    assert sounding.size, "there is nothing but silence"
    values = values[sounding[0] : sounding[-1] + 1]
    skipped = (np.diff(values) - 1) % _MODULUS
    return CounterReport(
        n_frames=len(values),
        first=int(values[0]),
        n_breaks=int(np.count_nonzero(skipped)),
        n_lost=int(skipped.sum()),
    )
