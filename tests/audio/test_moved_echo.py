"""An echo that comes at a new delay is told from a voice by its waveform."""

import numpy as np
import pytest

from gemini_live.audio.moved_echo import MovedEcho, Verdict
from tests.audio.room import (
    RATE_HZ,
    Room,
    Signal,
    level_db,
    make_near_response,
    make_noise,
    make_voice,
    to_pcm,
)

CHUNK = RATE_HZ // 50
FAR = make_voice(8, -22, 1)
NOISE = make_noise(8, -65, 2)
ROOMS = [np.ones(1), make_near_response(6.0), make_near_response(0.0, t60_s=0.4)]
MOVED_AT = 4 * RATE_HZ


def judge(reference: Signal, recorded: Signal, audible_from: int, louder_from: int | None = None) -> list[Verdict]:
    """Return the verdict on each chunk, if a canceller removes all that is recorded until `audible_from`.

    From `louder_from`, everything is louder than the echo was before.
    """
    moved = MovedEcho()
    verdicts = []
    for start in range(0, len(recorded) - CHUNK + 1, CHUNK):
        played, chunk = reference[start : start + CHUNK], recorded[start : start + CHUNK]
        is_loud = level_db(chunk) > -45
        verdicts.append(
            moved.judge(
                to_pcm(played),
                to_pcm(chunk),
                is_echo_loud=is_loud,
                is_louder_than_echo=louder_from is not None and start >= louder_from,
                is_audible=is_loud and start >= audible_from,
                is_absent=False,
                is_settled=True,
            )
        )
        if verdicts[-1] is Verdict.MOVED:
            moved.reset()
    return verdicts


@pytest.mark.parametrize("response", ROOMS)
@pytest.mark.parametrize("to_s", [0.02, 0.05, 0.12, 0.3])
@pytest.mark.parametrize("moved_s", [4.0, 4.37])
def test_an_echo_that_moves_is_found_before_any_of_it_is_sent(moved_s: float, to_s: float, response: Signal) -> None:
    moved_at = round(moved_s * RATE_HZ)
    recorded = Room(FAR, NOISE, delay_s=0.08, jumps=((moved_s, to_s),), response=response).recorded
    verdicts = judge(FAR, recorded, moved_at)
    first = next(n for n, verdict in enumerate(verdicts) if verdict is not Verdict.CLEAR)
    assert first * CHUNK >= moved_at
    found = verdicts.index(Verdict.MOVED)
    assert set(verdicts[first:found]) <= {Verdict.WAITING}
    assert found * CHUNK < moved_at + 0.2 * RATE_HZ
    assert verdicts.count(Verdict.MOVED) == 1, "the new delay is known from now on"


def test_an_echo_that_moves_and_becomes_louder_is_found_as_soon() -> None:
    recorded = Room(FAR, NOISE, delay_s=0.08, jumps=((4.0, 0.12),), response=np.ones(1)).recorded
    recorded[MOVED_AT:] *= 5
    verdicts = judge(FAR, recorded, MOVED_AT, MOVED_AT)
    assert verdicts == judge(FAR, recorded, MOVED_AT)
    assert Verdict.MOVED in verdicts


def test_in_the_middle_of_a_voice_nothing_louder_than_the_echo_is_searched() -> None:
    moved = MOVED_AT + RATE_HZ
    recorded = Room(FAR, NOISE, delay_s=0.08, jumps=((5.0, 0.12),), response=np.ones(1)).recorded
    assert Verdict.MOVED in judge(FAR, recorded, MOVED_AT, None)
    assert Verdict.MOVED not in judge(FAR, recorded, MOVED_AT, moved)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("response", ROOMS)
def test_a_voice_over_the_models_is_no_echo_and_is_held_for_100_ms(response: Signal, seed: int) -> None:
    near = make_voice(8, -26, 20 + seed, pitch_hz=110.0 + 20 * seed)
    near[:MOVED_AT] = 0
    recorded = Room(FAR, NOISE + near, response=response).recorded
    verdicts = judge(FAR, recorded, MOVED_AT)
    assert Verdict.MOVED not in verdicts
    assert verdicts.count(Verdict.WAITING) == 5, "the voice is held once, at its beginning"


@pytest.mark.parametrize("response", ROOMS)
@pytest.mark.parametrize("after_s", [0.5, 1.0, 1.6])
def test_a_voice_that_is_like_the_models_for_a_moment_is_no_echo(after_s: float, response: Signal) -> None:
    """As when a vowel has the same pitch: in real double talk that cost half of every third utterance (2026-11-29)."""
    near = make_voice(8, -26, 20, pitch_hz=150.0)
    near[:MOVED_AT] = 0
    start, n, earlier = MOVED_AT + round(after_s * RATE_HZ), round(0.12 * RATE_HZ), round(0.3 * RATE_HZ)
    near[start : start + n] = FAR[start - earlier : start - earlier + n]
    recorded = Room(FAR, NOISE + near, response=response).recorded
    assert Verdict.MOVED not in judge(FAR, recorded, MOVED_AT)


def test_an_echo_that_moves_little_is_left_to_the_canceller() -> None:
    recorded = Room(FAR, NOISE, delay_s=0.08, jumps=((4.0, 0.085),), response=np.ones(1)).recorded
    assert Verdict.MOVED not in judge(FAR, recorded, len(recorded))


def test_a_tone_repeats_at_many_delays_and_has_not_moved() -> None:
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(8 * RATE_HZ) / RATE_HZ)
    tone[: RATE_HZ // 2] = FAR[: RATE_HZ // 2]
    recorded = Room(tone, NOISE, response=make_near_response(6.0)).recorded
    assert Verdict.MOVED not in judge(tone, recorded, MOVED_AT)


def test_nothing_is_held_before_the_delay_is_known() -> None:
    near = make_voice(8, -26, 8, pitch_hz=210.0)
    assert set(judge(FAR, near + NOISE, 0)) == {Verdict.CLEAR}


@pytest.mark.parametrize("near_dbfs", [-90.0, -30.0])
@pytest.mark.parametrize("gain_db", [-20.0, -8.0, 0.0])
def test_the_level_of_the_echo_is_known_soon_also_below_a_voice(gain_db: float, near_dbfs: float) -> None:
    near = make_voice(8, near_dbfs + gain_db + 8, 20, pitch_hz=170)
    recorded = Room(FAR, NOISE + near, gain=10 ** (gain_db / 20), response=np.ones(1)).recorded
    moved = MovedEcho()
    how = {
        "is_echo_loud": True,
        "is_louder_than_echo": False,
        "is_audible": True,
        "is_absent": False,
        "is_settled": True,
    }
    for start in range(0, RATE_HZ // 2, CHUNK):
        moved.judge(to_pcm(FAR[start : start + CHUNK]), to_pcm(recorded[start : start + CHUNK]), **how)
    assert moved.leak_db == pytest.approx(gain_db, abs=2)


def test_nothing_has_moved_while_the_canceller_learns() -> None:
    recorded = Room(FAR, NOISE, delay_s=0.08, jumps=((4.0, 0.2),), response=np.ones(1)).recorded
    moved = MovedEcho()
    how = {"is_echo_loud": True, "is_louder_than_echo": False, "is_audible": True, "is_absent": False}
    for start in range(0, len(recorded) - CHUNK + 1, CHUNK):
        played, chunk = to_pcm(FAR[start : start + CHUNK]), to_pcm(recorded[start : start + CHUNK])
        assert moved.judge(played, chunk, **how, is_settled=False) is not Verdict.MOVED
    assert moved.delay_s == pytest.approx(0.08, abs=0.001)


def test_after_a_reset_the_next_delay_is_not_a_move() -> None:
    moved = MovedEcho()
    verdicts = []
    for delay_s in (0.08, 0.2):
        recorded = Room(FAR, NOISE, delay_s=delay_s, response=np.ones(1)).recorded
        for start in range(0, len(recorded) - CHUNK + 1, CHUNK):
            pcm = to_pcm(FAR[start : start + CHUNK]), to_pcm(recorded[start : start + CHUNK])
            verdicts.append(
                moved.judge(
                    *pcm,
                    is_echo_loud=True,
                    is_louder_than_echo=False,
                    is_audible=False,
                    is_absent=False,
                    is_settled=True,
                )
            )
        assert moved.delay_s == pytest.approx(delay_s, abs=0.001)
        moved.reset()
        assert moved.delay_s is None
    assert Verdict.MOVED not in verdicts
