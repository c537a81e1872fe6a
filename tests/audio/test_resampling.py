"""Resampling: soxr and linear interpolation."""

import importlib.util
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_live.audio import pcm
from gemini_live.audio.resampling import LinearResampler, Resampler, build_resampler

RATES = [(48_000, 16_000), (44_100, 16_000), (16_000, 24_000), (24_000, 48_000), (24_000, 44_100), (8_000, 16_000)]


def sine(rate_hz: int, duration_s: float, hz: float = 440.0, level: float = 0.5) -> bytes:
    times = np.arange(round(rate_hz * duration_s)) / rate_hz
    return bytes((np.sin(2 * np.pi * hz * times) * level * 32767).astype("<i2").tobytes())


def convert(resampler: Resampler, data: bytes, chunk_bytes: int = 640) -> bytes:
    chunks = (data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes))
    return b"".join(map(resampler.feed, chunks)) + resampler.flush()


def samples(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "little", signed=True) for value in values)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_a_resampled_tone_is_the_same_tone(from_hz: int, to_hz: int) -> None:
    for resampler, allowed in ((LinearResampler(from_hz, to_hz), 0.01), (build_resampler(from_hz, to_hz), 0.001)):
        heard = np.frombuffer(convert(resampler, sine(from_hz, 1.0)), "<i2") / 32767
        assert len(heard) == pytest.approx(to_hz, abs=2)
        expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(heard)) / to_hz)
        # The ends of a tone that begins and stops at once ring.
        middle = slice(to_hz // 50, -to_hz // 50)
        assert np.max(np.abs(heard[middle] - expected[middle])) < allowed


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(RATES),
    st.lists(st.integers(0, 400), max_size=8).filter(lambda cuts: sum(cuts) < 2_000),
)
def test_how_a_stream_is_cut_does_not_matter(rates: tuple[int, int], cuts: list[int]) -> None:
    data = sine(rates[0], 2_000 / rates[0])
    whole, cut = LinearResampler(*rates), LinearResampler(*rates)
    pieces, start = [], 0
    for n_frames in cuts:
        pieces.append(cut.feed(data[start : start + 2 * n_frames]))
        start += 2 * n_frames
    pieces.append(cut.feed(data[start:]))
    assert b"".join(pieces) == whole.feed(data)
    assert cut.flush() == whole.flush()


@pytest.mark.parametrize(("from_hz", "to_hz"), [*RATES, (11_025, 16_000)])
def test_long_pieces_are_resampled_to_the_same_bits_as_short_ones(from_hz: int, to_hz: int) -> None:
    noise = random.Random(from_hz).randbytes(2 * from_hz)
    assert convert(LinearResampler(from_hz, to_hz), noise, len(noise)) == convert(
        LinearResampler(from_hz, to_hz), noise, 20
    )


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_a_flushed_resampler_begins_anew(from_hz: int, to_hz: int) -> None:
    data = sine(from_hz, 0.1)
    for resampler in (LinearResampler(from_hz, to_hz), build_resampler(from_hz, to_hz)):
        first, again = (pcm.to_samples(convert(resampler, data)) for _ in range(2))
        # soxr adds random noise of half a step before it rounds.
        assert max(abs(a - b) for a, b in zip(first, again, strict=True)) <= 2


def test_equal_rates_change_nothing() -> None:
    resampler = build_resampler(24_000, 24_000)
    assert resampler.feed(samples(1, 2, 3)) == samples(1, 2, 3)
    assert resampler.flush() == b""


def test_an_empty_stream_resamples_to_nothing() -> None:
    for resampler in (LinearResampler(48_000, 16_000), build_resampler(48_000, 16_000)):
        assert resampler.feed(b"") == b""
        assert resampler.flush() == b""


def test_one_frame_survives() -> None:
    resampler = LinearResampler(16_000, 48_000)
    assert resampler.feed(samples(1000)) == b""
    assert set(pcm.to_samples(resampler.flush())) == {1000}


def test_full_scale_does_not_wrap() -> None:
    square = samples(*([32767] * 50 + [-32768] * 50) * 20)
    for from_hz, to_hz in RATES:
        heard = pcm.to_samples(convert(LinearResampler(from_hz, to_hz), square))
        assert max(heard) <= 32767
        assert math.isclose(abs(min(heard)), 32768)


def test_without_soxr_the_resampler_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert isinstance(build_resampler(48_000, 16_000), LinearResampler)


def test_with_soxr_the_resampler_is_better_than_linear() -> None:
    # A tone above half the new rate must vanish; linear interpolation folds it back instead.
    tone = sine(48_000, 0.5, hz=11_000)
    assert pcm.level_dbfs(convert(build_resampler(48_000, 16_000), tone)[640:-640]) < -60
    assert pcm.level_dbfs(convert(LinearResampler(48_000, 16_000), tone)[640:-640]) > -20
