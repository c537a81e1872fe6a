"""PCM arithmetic: durations, levels, channels and rates."""

import array
import importlib.util
import math
import random
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_live.audio import pcm
from gemini_live.audio.pcm import LinearResampler, PcmFormat, Resampler, build_resampler

RATES = [(48_000, 16_000), (44_100, 16_000), (16_000, 24_000), (24_000, 48_000), (24_000, 44_100), (8_000, 16_000)]


def sine(rate_hz: int, duration_s: float, hz: float = 440.0, level: float = 0.5) -> bytes:
    times = np.arange(round(rate_hz * duration_s)) / rate_hz
    return bytes((np.sin(2 * np.pi * hz * times) * level * 32767).astype("<i2").tobytes())


def convert(resampler: Resampler, data: bytes, chunk_bytes: int = 640) -> bytes:
    chunks = (data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes))
    return b"".join(map(resampler.feed, chunks)) + resampler.flush()


def samples(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "little", signed=True) for value in values)


def test_the_formats_of_the_live_api() -> None:
    assert pcm.INPUT.mime_type == "audio/pcm;rate=16000"
    assert pcm.OUTPUT.mime_type == "audio/pcm;rate=24000"
    assert pcm.INPUT.n_bytes(0.02) == 640
    assert pcm.OUTPUT.n_bytes(0.02) == 960
    assert pcm.INPUT.duration_s(32_000) == pcm.OUTPUT.duration_s(48_000) == 1.0


def test_a_duration_is_rounded_to_whole_frames() -> None:
    assert PcmFormat(44_100).n_bytes(0.01001) == 2 * 441
    assert PcmFormat(1_000).n_bytes(0.0009) == 2


@pytest.mark.parametrize(
    ("mime_type", "rate_hz"),
    [
        ("audio/pcm;rate=16000", 16_000),
        ("audio/pcm; RATE=48000", 48_000),
        ("audio/pcm;channels=1;rate=8000;x=y", 8_000),
        ("audio/pcm", 24_000),
        ("", 24_000),
        ("audio/pcm;rate=", 24_000),
        ("audio/pcm;rate=-5", 24_000),
        ("audio/pcm;rate=0", 24_000),
        ("audio/pcm;rate=999", 24_000),
        ("audio/pcm;rate=1000", 1_000),
        ("audio/pcm;rate=768000", 768_000),
        ("audio/pcm;rate=768001", 24_000),
        ("audio/pcm;rate=" + "9" * 5000, 24_000),
    ],
)
def test_the_rate_of_a_type_is_read_where_it_can_be_one(mime_type: str, rate_hz: int) -> None:
    assert pcm.parse_rate_hz(mime_type, pcm.OUTPUT) == rate_hz


def test_samples_are_little_endian() -> None:
    assert list(pcm.to_samples(b"\x01\x00\xff\x7f\x00\x80")) == [1, 32767, -32768]
    assert pcm.from_samples(array.array("h", [1, 32767, -32768])) == b"\x01\x00\xff\x7f\x00\x80"


def test_a_big_endian_machine_swaps_and_keeps_what_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "byteorder", "big")
    swapped = pcm.to_samples(b"\x01\x00\xff\x7f")
    assert swapped.tobytes() == b"\x00\x01\x7f\xff"
    assert pcm.from_samples(swapped) == b"\x01\x00\xff\x7f"
    assert swapped.tobytes() == b"\x00\x01\x7f\xff"


def test_levels_are_below_full_scale() -> None:
    assert pcm.level_dbfs(b"") == pcm.level_dbfs(bytes(640)) == -96.0
    assert pcm.level_dbfs(samples(-32768, -32768)) == 0.0
    assert pcm.level_dbfs(samples(1)) == pytest.approx(-90.3, abs=0.1)
    assert pcm.level_dbfs(sine(16_000, 1.0, level=1.0)) == pytest.approx(-3.01, abs=0.01)
    assert pcm.level_dbfs(sine(16_000, 1.0, level=0.1)) == pytest.approx(-23.01, abs=0.05)


def test_downmix_is_the_mean_of_the_channels() -> None:
    assert pcm.downmix(samples(100, 200, -32768, -32768, 32767, 32767), 2) == samples(150, -32768, 32767)
    assert pcm.downmix(samples(1, 2, 3, 10, 20, 30), 3) == samples(2, 20)
    assert pcm.downmix(samples(1, 2), 1) == samples(1, 2)
    assert pcm.downmix(b"", 2) == b""


def test_upmix_repeats_every_sample() -> None:
    assert pcm.upmix(samples(1, -2), 2) == samples(1, 1, -2, -2)
    assert pcm.upmix(samples(1, -2), 1) == samples(1, -2)
    assert pcm.upmix(b"", 6) == b""


@given(st.binary().map(lambda data: data[: len(data) // 2 * 2]), st.integers(1, 8))
def test_what_was_upmixed_can_be_downmixed(data: bytes, channels: int) -> None:
    assert pcm.downmix(pcm.upmix(data, channels), channels) == data


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
