"""Put both voices of a session on one time line, and write them as a stereo WAV file. Pure but for the file."""

import array
import wave
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from ..audio.pcm import from_samples, to_samples
from ..audio.resampling import build_resampler
from ..errors import ConfigError
from .fields import pcm_of
from .session import Session, Sound

RATE_HZ = 24_000
MAX_DURATION_S = 12 * 3600
"""A WAV file of both voices cannot be longer than 4 GiB."""
_WINDOW_S = 20
_GAP_S = 0.002
"""Pieces that are closer together are one stream."""
_MAX_RUN_S = 30.0


def write_wave(session: Session, file: BinaryIO) -> None:
    """Write what the user said to the left channel, and what was played of the model's speech to the right one.

    Raises:
        ConfigError: The session is too long.
    """
    if session.duration_s > MAX_DURATION_S:
        raise ConfigError(f"--wav: the session is longer than {MAX_DURATION_S // 3600} hours")
    with wave.open(file, "wb") as output:
        output.setparams((2, 2, RATE_HZ, 0, "NONE", ""))
        lanes = [windows_of(sounds, session.duration_s) for sounds in (session.user_sounds, session.model_sounds)]
        for left, right in zip(*lanes, strict=True):
            both = array.array("h", bytes(4 * len(left)))
            both[0::2], both[1::2] = left, right
            output.writeframesraw(from_samples(both))


def windows_of(sounds: Sequence[Sound], duration_s: float, rate_hz: int = RATE_HZ) -> "Iterator[array.array[int]]":
    """Yield the samples of one voice in windows of 20 s, with silence where there is none."""
    runs = runs_of(sounds, rate_hz)
    ready: list[tuple[int, array.array[int]]] = []
    n_frames, start = int(duration_s * rate_hz) + 1, 0
    following = next(runs, None)
    while start < n_frames:
        end = min(start + _WINDOW_S * rate_hz, n_frames)
        while following is not None and round(following[0] * rate_hz) < end:
            ready.append((round(following[0] * rate_hz), to_samples(following[1])))
            following = next(runs, None)
        window = array.array("h", bytes(2 * (end - start)))
        for first, samples in ready:
            begin, stop = max(first, start), min(first + len(samples), end)
            if begin < stop:
                window[begin - start : stop - start] = samples[begin - first : stop - first]
        ready = [run for run in ready if run[0] + len(run[1]) > end]
        yield window
        start = end


def runs_of(sounds: Sequence[Sound], rate_hz: int) -> Iterator[tuple[float, bytes]]:
    """Yield when each stream of sound begins, and its PCM at one rate. A piece whose playback was cut is shortened."""
    run: list[bytes] = []
    start_s = end_s = 0.0
    run_rate_hz = 0
    for sound in sounds:
        if sound.played_s <= 0:
            continue
        is_continued = abs(sound.start_s - end_s) < _GAP_S and sound.format.rate_hz == run_rate_hz
        if run and not (is_continued and end_s - start_s < _MAX_RUN_S):
            yield start_s, _resample(b"".join(run), run_rate_hz, rate_hz)
            run = []
        if not run:
            start_s, run_rate_hz = sound.start_s, sound.format.rate_hz
        run.append(pcm_of(sound.media)[: sound.format.n_bytes(sound.played_s)])
        end_s = sound.end_s
    if run:
        yield start_s, _resample(b"".join(run), run_rate_hz, rate_hz)


def _resample(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    if from_hz == to_hz:
        return pcm
    resampler = build_resampler(from_hz, to_hz)
    return resampler.feed(pcm) + resampler.flush()
