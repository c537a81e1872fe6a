"""PCM arithmetic: formats, durations, levels and channels."""

import array
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_live.audio import pcm
from gemini_live.audio.pcm import PcmFormat


def sine(rate_hz: int, duration_s: float, hz: float = 440.0, level: float = 0.5) -> bytes:
    times = np.arange(round(rate_hz * duration_s)) / rate_hz
    return bytes((np.sin(2 * np.pi * hz * times) * level * 32767).astype("<i2").tobytes())


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
def test_the_rate_of_a_mime_type_is_used_if_it_is_plausible(mime_type: str, rate_hz: int) -> None:
    assert pcm.parse_rate_hz(mime_type, pcm.OUTPUT) == rate_hz


def test_samples_are_little_endian() -> None:
    assert list(pcm.to_samples(b"\x01\x00\xff\x7f\x00\x80")) == [1, 32767, -32768]
    assert pcm.from_samples(array.array("h", [1, 32767, -32768])) == b"\x01\x00\xff\x7f\x00\x80"


def test_a_big_endian_machine_swaps_bytes_and_keeps_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_downmix_reverses_upmix(data: bytes, channels: int) -> None:
    assert pcm.downmix(pcm.upmix(data, channels), channels) == data
