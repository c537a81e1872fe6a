"""`--check-audio` in a synthetic room, where everything that it measures is known."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.signal import resample_poly

from gemini_live.audio import check, echo
from gemini_live.audio.check import NOISE_DBFS, SILENCE_S, SOUND_S, TAIL_S, make_noise
from gemini_live.audio.report import NO_MICROPHONE, AudioReport
from gemini_live.errors import MissingExtraError
from tests.audio.room import RATE_HZ, Room, Signal, from_pcm, level_db
from tests.audio.room import make_noise as make_room_noise

DURATION_S = SILENCE_S + SOUND_S + TAIL_S
DEVICE: Any = SimpleNamespace(device=SimpleNamespace(name="Fake"), rate_hz=24_000, n_xruns=2, device_latency_s=0.0)


def far() -> Signal:
    signal = np.zeros(round(DURATION_S * RATE_HZ))
    sound = resample_poly(from_pcm(make_noise(SOUND_S)), 2, 3)
    signal[round(SILENCE_S * RATE_HZ) :][: len(sound)] = sound
    return signal


async def examine(*, noise_dbfs: float = -65.0, **room: Any) -> AudioReport:
    """Return the report about a room."""
    recording, now_s = check._Recording(), 0.0
    recording._clock = lambda: now_s
    recording.begin(DEVICE)

    def process(chunk: bytes) -> bytes:
        nonlocal now_s
        now_s += 0.02
        recording.recorded(chunk)
        if now_s == pytest.approx(SILENCE_S):
            recording.mark_sound()
        return chunk

    Room(far(), make_room_noise(DURATION_S, noise_dbfs, 3), **room).run(recording.played, process)
    return recording.report(DEVICE, DEVICE)


@pytest.mark.parametrize(("delay_s", "gain"), [(0.02, 0.4), (0.25, 0.1), (0.08, 1.0)])
async def test_echo_delay_and_noise_are_measured(delay_s: float, gain: float) -> None:
    report = await examine(delay_s=delay_s, gain=gain)
    assert report.mode == "echo cancelled"
    assert report.noise_dbfs == pytest.approx(-65, abs=1)
    assert report.echo_leak_db == pytest.approx(20 * np.log10(gain), abs=2)
    # The room's strongest sound comes 1.5 ms after the delay, and the microphone delivers 20 ms at once.
    assert report.round_trip_s == pytest.approx(delay_s + 0.01, abs=0.025)
    assert report.drift_ppm == pytest.approx(0, abs=3)
    assert report.erle_db is not None and report.erle_db > 18
    assert report.dropped_blocks == 4


@pytest.mark.parametrize("ppm", [100, -100])
async def test_the_drift_of_the_clocks_is_measured(ppm: float) -> None:
    report = await examine(ppm=ppm)
    assert report.drift_ppm == pytest.approx(ppm, abs=10)


async def test_where_nothing_comes_back_headphones_are_assumed() -> None:
    report = await examine(gain=0.0)
    assert (report.mode, report.round_trip_s, report.echo_leak_db, report.erle_db) == ("headphones", None, None, None)


async def test_without_the_extra_half_duplex_and_the_extra_are_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "is_installed", lambda: False)
    report = await examine()
    assert (report.mode, report.erle_db) == ("half duplex", None)
    assert "gemini-live[echo]" in report.advice


async def test_a_microphone_that_records_zeros_is_told_from_headphones() -> None:
    report = await examine(gain=0.0, noise_dbfs=-120.0)
    assert report.mode == NO_MICROPHONE


async def test_where_too_much_is_left_half_duplex_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo.EchoPath, "_cancel", lambda self, recorded, reference: recorded)
    report = await examine()
    assert report.mode == "half duplex"
    assert report.erle_db == pytest.approx(0, abs=0.1)


async def test_an_echo_that_comes_too_late_is_told_from_one_that_is_too_loud() -> None:
    report = await examine(delay_s=0.6)
    assert report.mode == "half duplex"
    assert "later than the 0.5 s" in report.advice


def test_the_noise_is_as_loud_as_speech_and_always_the_same() -> None:
    noise = make_noise(SOUND_S)
    assert noise == make_noise(SOUND_S)
    signal = from_pcm(noise)
    assert level_db(signal) == pytest.approx(NOISE_DBFS, abs=2)
    assert np.abs(signal).max() < 0.9
    assert len(signal) == SOUND_S * 24_000


async def test_without_numpy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.setattr(echo.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    with pytest.raises(MissingExtraError, match=r"--check-audio .*gemini-live\[audio\]"):
        await check.check_audio(None, None)
