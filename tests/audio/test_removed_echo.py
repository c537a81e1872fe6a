"""Whether an echo is removed is seen in the waveform, also while somebody speaks over it."""

import numpy as np
import pytest

from gemini_live.audio.removed_echo import CANCELLER_DELAY_S, RemovedEcho
from tests.audio.room import RATE_HZ, Room, Signal, make_near_response, make_noise, make_voice, to_pcm

CHUNK = RATE_HZ // 50
FAR, NOISE = make_voice(3, -22, 1), make_noise(3, -65, 2)
NEAR = make_voice(3, -22, 9, pitch_hz=170)


def see(room: Room, left: float, *, near: Signal | None = None, seconds: float = 3.0) -> RemovedEcho:
    """Return what has seen a room in which a share of the echo is left."""
    voice = np.zeros(len(FAR)) if near is None else near
    recorded = room.recorded + voice
    cleaned = np.roll(room.near + voice + left * room.echo, round(CANCELLER_DELAY_S * RATE_HZ))
    removed = RemovedEcho()
    for start in range(0, round(seconds * RATE_HZ) - CHUNK + 1, CHUNK):
        chunk = slice(start, start + CHUNK)
        removed.add(to_pcm(room.far[chunk]), to_pcm(recorded[chunk]), to_pcm(cleaned[chunk]), room.delay_s)
    return removed


@pytest.mark.parametrize("near", [None, NEAR])
@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.08, 0.5])
@pytest.mark.parametrize("response", [np.ones(1), make_near_response(0.0)])
@pytest.mark.parametrize(("left", "is_removed"), [(1.0, False), (0.4, False), (0.05, True), (0.0, True)])
def test_an_echo_is_removed_if_little_of_it_is_left(
    *, left: float, is_removed: bool, response: Signal, delay_s: float, near: Signal | None
) -> None:
    room = Room(FAR, NOISE, gain=0.5, delay_s=delay_s, response=response)
    assert see(room, left, near=near).is_removed is is_removed


def test_it_takes_a_second_of_the_echo() -> None:
    room = Room(FAR, NOISE, response=np.ones(1))
    assert not see(room, 0.0, seconds=0.98).is_removed
    assert see(room, 0.0, seconds=1.0).is_removed


def test_audio_without_an_echo_says_nothing() -> None:
    removed = RemovedEcho()
    for _ in range(100):
        removed.add(bytes(2 * CHUNK), bytes(2 * CHUNK), bytes(2 * CHUNK), None)
    assert not removed.is_removed
