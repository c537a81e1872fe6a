"""A synthetic room for tests: voices made of seeded noise, an echo path, and two devices that work in buffers.

The voices are not speech, but rise and fall with syllables and have formants and pauses, as speech does. So they need
no speech synthesiser, and are the same everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, fftconvolve, lfilter, resample_poly

from gemini_live.audio.pcm import INPUT, OUTPUT

Signal = npt.NDArray[np.float64]
RATE_HZ = INPUT.rate_hz


def make_voice(duration_s: float, dbfs: float, seed: int, *, pitch_hz: float = 120.0) -> Signal:
    """Return a voice at 16 kHz: syllables of harmonics and hiss, in phrases of about 2 s with short pauses."""
    rng = np.random.default_rng(seed)
    n = round(duration_s * RATE_HZ)
    voice = np.zeros(n)
    start = 0
    while start < n:
        for _ in range(rng.integers(6, 12)):
            voice_syllable = _make_syllable(rng, pitch_hz)
            end = min(n, start + len(voice_syllable))
            voice[start:end] += voice_syllable[: end - start]
            start = end + int(rng.integers(0, round(0.03 * RATE_HZ)))
            if start >= n:
                break
        start += round(rng.uniform(0.15, 0.4) * RATE_HZ)
    active = np.abs(voice) > 0.01 * np.abs(voice).max()
    return np.asarray(voice * 10 ** (dbfs / 20) / np.sqrt(np.mean(voice[active] ** 2)))


def _make_syllable(rng: np.random.Generator, pitch_hz: float) -> Signal:
    n = round(rng.uniform(0.1, 0.28) * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    pitch = pitch_hz * rng.uniform(0.85, 1.2) * (1 + 0.08 * np.sin(2 * np.pi * rng.uniform(1, 4) * t))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    source = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 25)) + 0.15 * rng.standard_normal(n)
    sound = np.zeros(n)
    for centre_hz, width_hz in ((rng.uniform(300, 800), 120), (rng.uniform(900, 2_200), 200), (2_800, 400)):
        low, high = (centre_hz - width_hz) / 8_000, (centre_hz + width_hz) / 8_000
        sound += lfilter(*butter(1, [low, high], "bandpass"), source)
    envelope = np.sin(np.pi * np.minimum(1, np.arange(n) / n)) ** 0.7
    return np.asarray(sound * envelope * rng.uniform(0.4, 1.0))


def make_noise(duration_s: float, dbfs: float, seed: int) -> Signal:
    """Return white noise at 16 kHz."""
    return np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ)) * 10 ** (dbfs / 20)


def make_response(seed: int = 5, t60_s: float = 0.18) -> Signal:
    """Return the impulse response of a small room, with a power of 1."""
    n = round(0.2 * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    response = np.random.default_rng(seed).standard_normal(n) * 10 ** (-3 * t / t60_s) * 0.35
    response[:24] *= 0.1
    response[24] = 1.0
    return np.asarray(response / np.sqrt(np.sum(response**2)))


def make_near_response(direct_db: float, seed: int = 1, t60_s: float = 0.3) -> Signal:
    """Return the impulse response of a loudspeaker close to its microphone, with a power of 1.

    `direct_db`: level of the direct sound over all of the reverberation.
    """
    n = round(t60_s * RATE_HZ)
    reverberation = np.random.default_rng(seed).standard_normal(n) * 10 ** (-3 * np.arange(n) / RATE_HZ / t60_s)
    reverberation[: RATE_HZ // 400] = 0
    response = reverberation * 10 ** (-direct_db / 20) / np.sqrt(np.sum(reverberation**2))
    response[0] = 1.0
    return np.asarray(response / np.sqrt(np.sum(response**2)))


def to_pcm(signal: Signal) -> bytes:
    """Return a signal as 16-bit PCM."""
    return np.round(np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes()


def from_pcm(pcm: bytes) -> Signal:
    """Return 16-bit PCM as a signal."""
    return np.frombuffer(pcm, "<i2").astype(np.float64) / 32768


def level_db(signal: Signal) -> float:
    """Return the level in dB relative to full scale."""
    return 10 * float(np.log10(np.mean(signal**2) + 1e-12))


@dataclass
class Room:
    """A loudspeaker that leaks into a microphone, and the two devices' buffers."""

    far: Signal
    """What is played, at 16 kHz; it is handed over at 24 kHz."""
    near: Signal
    """What else the microphone picks up."""
    delay_s: float = 0.08
    """From handing audio over to its echo."""
    gain: float = 0.4
    ppm: float = 0.0
    """How much faster the loudspeaker's clock runs than the microphone's."""
    jumps: tuple[tuple[float, float], ...] = ()
    """Times from which the echo has another delay, and that delay, in seconds."""
    response: Signal = field(default_factory=make_response)
    jitter: Callable[[int], int] = lambda _: 0
    """How many buffers earlier than usual the loudspeaker takes its n-th buffer."""

    def __post_init__(self) -> None:
        """Compute what the microphone records."""
        n = len(self.near)
        t = np.arange(n) * (1 + self.ppm * 1e-6)
        delays = np.full(n, self.delay_s)
        for from_s, delay_s in self.jumps:
            delays[round(from_s * RATE_HZ) :] = delay_s
        fine = resample_poly(self.far, 4, 1)
        played = np.interp((t - delays * RATE_HZ) * 4, np.arange(len(fine)), fine, left=0, right=0)
        self.echo = self.gain * fftconvolve(played, self.response)[:n]
        self.recorded = self.echo + self.near

    def run(self, played: Callable[[bytes], None], process: Callable[[bytes], bytes]) -> Signal:
        """Hand the loudspeaker's and the microphone's buffers of 20 ms over in the order of their times."""
        handed_over = to_pcm(resample_poly(self.far, 3, 2))
        size_out, size_in = OUTPUT.n_bytes(0.02), INPUT.n_bytes(0.02)
        recorded, cleaned = to_pcm(self.recorded), bytearray()
        n_out = n_in = 0
        while (n_in + 1) * size_in <= len(recorded):
            # The loudspeaker's buffer that is due first: its clock may run faster.
            due = (n_out - self.jitter(n_out)) / (1 + self.ppm * 1e-6)
            if due <= n_in + 0.5:
                played(handed_over[n_out * size_out : (n_out + 1) * size_out].ljust(size_out, b"\0"))
                n_out += 1
            else:
                cleaned += process(recorded[n_in * size_in : (n_in + 1) * size_in])
                n_in += 1
        return from_pcm(bytes(cleaned))
