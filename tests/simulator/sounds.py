"""Sounds for the simulator's tests: speech by espeak-ng where it is installed, noise, silence."""

import functools
import io
import shutil
import subprocess
import wave

import numpy as np
import pytest

from gemini_live.audio import pcm
from gemini_live.audio.resampling import LinearResampler

SILENCE = bytes(pcm.INPUT.n_bytes(1.2))
SENTENCE = "The quick brown fox jumps over the lazy dog."


@functools.cache
def spoken(text: str = SENTENCE, voice: str = "en", rate_hz: int = 16_000) -> bytes:
    """The text as espeak-ng says it, without the silence around it."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    made = subprocess.run(["espeak-ng", "-v", voice, "--stdout", text], capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(made)) as wav:
        from_hz = wav.getframerate()
    samples = pcm.to_samples(made[44 : len(made) - len(made) % 2])
    loud = [i for i, sample in enumerate(samples) if abs(sample) > 100]
    trimmed = pcm.from_samples(samples[loud[0] : loud[-1] + 1])
    resampler = LinearResampler(from_hz, rate_hz)
    return resampler.feed(trimmed) + resampler.flush()


def noise(duration_s: float, level_dbfs: float, seed: int = 1) -> bytes:
    """White noise at a level."""
    generator = np.random.default_rng(seed)
    samples = generator.standard_normal(round(duration_s * 16_000)) * 32768 * 10 ** (level_dbfs / 20)
    return bytes(np.clip(samples.round(), -32768, 32767).astype("<i2").tobytes())


def mix(*sounds: bytes) -> bytes:
    """Sounds of one length on top of each other."""
    mixed = sum(np.frombuffer(sound, "<i2").astype(int) for sound in sounds)
    return bytes(np.clip(mixed, -32768, 32767).astype("<i2").tobytes())
