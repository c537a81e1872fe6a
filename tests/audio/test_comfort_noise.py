"""Comfort noise is as loud as the room, and contains nothing that was said in it."""

import numpy as np
import pytest

from gemini_live.audio.comfort_noise import ComfortNoise
from tests.audio.room import RATE_HZ, Signal, from_pcm, level_db, make_noise, make_voice, to_pcm

CHUNK = RATE_HZ // 50


def learn(signal: Signal) -> ComfortNoise:
    """Return noise that was learned from all of a signal."""
    noise = ComfortNoise()
    for start in range(0, len(signal) - CHUNK + 1, CHUNK):
        noise.learn(to_pcm(signal[start : start + CHUNK]))
    return noise


def make(noise: ComfortNoise, seconds: float) -> Signal:
    """Return `seconds` of noise."""
    return from_pcm(b"".join(noise.make(2 * CHUNK) for _ in range(round(seconds * 50))))


def test_it_is_silence_until_the_room_was_heard_for_two_seconds() -> None:
    assert ComfortNoise().make(640) == bytes(640)
    assert learn(make_noise(1.9, -65, 1)).make(640) == bytes(640)


@pytest.mark.parametrize("seconds", [2.0, 2.5, 4.0])
@pytest.mark.parametrize("seed", range(8))
def test_it_is_never_a_voice_that_speaks_from_the_beginning(seed: int, seconds: float) -> None:
    voice = make_noise(seconds, -65, 1) + make_voice(seconds, -26, seed)
    assert level_db(make(learn(voice), 4)) < -50


@pytest.mark.parametrize("dbfs", [-75.0, -65.0, -45.0])
def test_it_is_as_loud_as_the_room(dbfs: float) -> None:
    assert level_db(make(learn(make_noise(2, dbfs, 1)), 2)) == pytest.approx(dbfs, abs=1)


def test_it_is_the_noise_between_the_words_of_a_voice() -> None:
    voice = make_noise(6, -65, 1) + make_voice(6, -26, 2)
    assert level_db(make(learn(voice), 4)) < -60


def test_it_follows_a_room_that_becomes_louder() -> None:
    noise = learn(np.concatenate((make_noise(5, -65, 1), make_noise(5, -45, 2))))
    assert level_db(make(noise, 2)) == pytest.approx(-45, abs=1)


def test_a_microphone_that_delivers_digital_silence_teaches_it_nothing() -> None:
    noise = learn(np.concatenate((np.zeros(RATE_HZ), make_noise(2, -65, 1), np.zeros(RATE_HZ))))
    assert level_db(make(noise, 2)) == pytest.approx(-65, abs=1)
