"""Leak, ERLE and delay as the meter measures them, against what the synthetic room really does."""

import numpy as np
import pytest

from gemini_live.audio.echo_meter import EchoMeter, Leak
from gemini_live.audio.pcm import INPUT
from tests.audio.room import RATE_HZ, Room, Signal, level_db, make_noise, make_voice, to_pcm

CHUNK = INPUT.n_bytes(0.02)


def measure(meter: EchoMeter, reference: Signal, recorded: Signal, cleaned: Signal) -> None:
    signals = [to_pcm(signal) for signal in (reference, recorded, cleaned)]
    for start in range(0, len(signals[0]) - CHUNK + 1, CHUNK):
        meter.add(*(pcm[start : start + CHUNK] for pcm in signals))


def hear(room: Room, *, rest: float = 1.0) -> EchoMeter:
    """Return a meter that has heard the room, with a share of the echo left in the cleaned audio."""
    meter = EchoMeter()
    measure(meter, room.far, room.recorded, room.near + rest * room.echo)
    return meter


@pytest.mark.parametrize("gain_db", [-30, -20, -8, 0])
@pytest.mark.parametrize("delay_s", [0.02, 0.25])
def test_the_leak_and_its_delay_are_found(gain_db: float, delay_s: float) -> None:
    room = Room(make_voice(8, -22, 1), make_noise(8, -65, 2), gain=10 ** (gain_db / 20), delay_s=delay_s)
    meter = hear(room)
    assert meter.leak is Leak.PRESENT
    assert meter.leak_db == pytest.approx(gain_db, abs=3)
    assert meter.delay_s == pytest.approx(delay_s + 0.01, abs=0.03)


@pytest.mark.parametrize("rest_db", [-20, -10, 0])
def test_the_erle_is_the_power_that_was_removed(rest_db: float) -> None:
    room = Room(make_voice(8, -22, 1), make_noise(8, -75, 2))
    meter = hear(room, rest=10 ** (rest_db / 20))
    assert meter.erle_db == pytest.approx(-rest_db, abs=1)
    assert len(meter.erles_db) == len(meter.leaks_db) >= 5


def test_headphones_are_recognised_and_taken_off_again() -> None:
    far, noise = make_voice(10, -22, 1), make_noise(10, -65, 2)
    meter = hear(Room(far, noise, gain=0))
    assert meter.leak == Leak.ABSENT
    assert meter.leak_db is None
    assert meter.noise_dbfs == pytest.approx(-65, abs=2)
    open_room = Room(far[: 3 * RATE_HZ], noise[: 3 * RATE_HZ])
    measure(meter, open_room.far, open_room.recorded, open_room.near)
    assert (meter.leak,) == (Leak.PRESENT,)


def test_nothing_is_known_before_something_was_played() -> None:
    meter = hear(Room(np.zeros(5 * RATE_HZ), make_voice(5, -26, 3)))
    assert meter.leak is Leak.UNKNOWN
    assert (meter.leak_db, meter.erle_db, meter.delay_s) == (None, None, None)


def test_another_voice_is_not_mistaken_for_an_echo() -> None:
    """8 pairs of voices that speak at the same time for 20 s, on headphones."""
    for seed in range(0, 16, 2):
        far, near = make_voice(20, -22, seed), make_voice(20, -26, seed + 1, pitch_hz=210)
        meter = hear(Room(far, near + make_noise(20, -65, 99), gain=0))
        assert meter.leak is not Leak.PRESENT, seed
        assert not meter.is_audible, seed


def test_an_echo_that_is_left_is_audible_until_it_is_removed() -> None:
    room = Room(make_voice(10, -22, 1), make_noise(10, -65, 2))
    meter = hear(room)
    assert meter.is_audible
    measure(meter, room.far, room.recorded, room.near)
    assert not meter.is_audible


def test_a_voice_that_rises_and_falls_like_the_models_at_another_delay_is_no_rest_of_the_echo() -> None:
    room = Room(make_voice(8, -22, 1), make_noise(8, -65, 2))
    meter = EchoMeter()
    measure(meter, room.far, room.recorded, room.near + np.roll(room.echo, round(0.4 * RATE_HZ)))
    assert not meter.rest_is_audible


def test_an_echo_that_is_softer_than_any_speech_does_not_count() -> None:
    meter = hear(Room(make_voice(10, -22, 1), make_noise(10, -75, 2), gain=10 ** (-40 / 20)))
    assert meter.leak is Leak.PRESENT
    assert not meter.is_audible


def test_the_expected_echo_is_never_below_the_real_one_and_ends_with_the_room() -> None:
    far = make_voice(10, -22, 1)
    far[6 * RATE_HZ :] = 0
    room = Room(far, make_noise(10, -80, 2))
    meter = EchoMeter()
    signals = [to_pcm(signal) for signal in (room.far, room.recorded, room.recorded)]
    margins = []
    for start in range(0, len(signals[0]) - CHUNK + 1, CHUNK):
        meter.add(*(pcm[start : start + CHUNK] for pcm in signals))
        second = start / 2 / RATE_HZ
        if meter.leak_db is not None and 4 < second < 6:
            echo = room.echo[start // 2 : (start + CHUNK) // 2]
            margins.append(meter.expected_dbfs(meter.leak_db) - level_db(echo))
        if second > 6.5:
            assert meter.expected_dbfs(meter.leak_db or 0.0) < -90
    assert min(margins) > -6
    assert np.median(margins) > 0


def test_a_reset_forgets_everything_but_the_history() -> None:
    meter = hear(Room(make_voice(8, -22, 1), make_noise(8, -65, 2)))
    meter.reset()
    assert (meter.leak, meter.leak_db, meter.erle_db, meter.is_audible) == (Leak.UNKNOWN, None, None, False)
    assert meter.leaks_db
