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


def test_it_is_silence_until_the_room_was_heard_for_half_a_second() -> None:
    assert ComfortNoise().make(640) == bytes(640)
    voice = make_voice(0.48, -26, 1)
    assert learn(voice).make(640) == bytes(640), "a voice without a pause is no noise"


@pytest.mark.parametrize("dbfs", [-75.0, -65.0, -45.0])
def test_it_is_as_loud_as_the_room(dbfs: float) -> None:
    assert level_db(make(learn(make_noise(0.6, dbfs, 1)), 2)) == pytest.approx(dbfs, abs=1)


def test_it_is_the_noise_between_the_words_of_a_voice() -> None:
    voice = make_noise(6, -65, 1) + make_voice(6, -26, 2)
    assert level_db(make(learn(voice), 4)) < -60


def test_it_follows_a_room_that_becomes_louder() -> None:
    noise = learn(np.concatenate((make_noise(5, -65, 1), make_noise(5, -45, 2))))
    assert level_db(make(noise, 2)) == pytest.approx(-45, abs=1)


def test_a_microphone_that_delivers_digital_silence_teaches_it_nothing() -> None:
    noise = learn(np.concatenate((np.zeros(RATE_HZ), make_noise(0.6, -65, 1), np.zeros(RATE_HZ))))
    assert level_db(make(noise, 2)) == pytest.approx(-65, abs=1)


def test_it_has_the_length_that_is_asked_for() -> None:
    noise = learn(make_noise(1, -65, 1))
    assert [len(noise.make(n)) for n in (0, 320, 640, 960)] == [0, 320, 640, 960]
