"""Between a device's rate and channels and the wire's."""

import random

import numpy as np
import pytest

from gemini_live.audio.conversion import MicrophoneConverter, SpeakerConverter
from tests.rig.analysis import examine_tone, find, make_tone, resample


def feed_all(converter: SpeakerConverter, pcm: bytes, from_hz: int, seed: int = 1) -> bytes:
    """Feed `pcm` in pieces of any size, samples split."""
    rng, played, start = random.Random(seed), b"", 0
    while start < len(pcm):
        n_bytes = rng.randrange(1, 2000)
        played += converter.feed(pcm[start : start + n_bytes], from_hz)
        start += n_bytes
    return played


def test_a_microphone_of_the_right_rate_is_only_cut_into_chunks() -> None:
    converter = MicrophoneConverter(16_000, 1)
    pcm = random.Random(1).randbytes(640 * 10 + 100)
    chunks = [chunk for start in range(0, len(pcm), 700) for chunk in converter.feed(pcm[start : start + 700])]
    assert {len(chunk) for chunk in chunks} == {640}
    assert b"".join(chunks) == pcm[:6400]


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_microphone_of_another_rate_is_resampled(rate_hz: int, channels: int) -> None:
    converter = MicrophoneConverter(rate_hz, channels)
    pcm = np.repeat(make_tone(440, 1.0, rate_hz), channels).tobytes()
    n_bytes = rate_hz // 50 * 2 * channels
    chunks = [chunk for start in range(0, len(pcm), n_bytes) for chunk in converter.feed(pcm[start : start + n_bytes])]
    assert {len(chunk) for chunk in chunks} == {640}
    heard = np.frombuffer(b"".join(chunks), np.int16)
    assert 45 <= len(chunks) <= 50
    report = examine_tone(heard, 16_000, 440)
    assert (report.n_phase_jumps, report.n_gaps) == (0, 0)
    assert report.frequency_hz == pytest.approx(440, abs=0.1)


def test_a_speaker_of_the_right_rate_gets_the_audio_unchanged() -> None:
    pcm = random.Random(2).randbytes(30_000)
    assert feed_all(SpeakerConverter(24_000, 1), pcm, 24_000) == pcm


@pytest.mark.parametrize("from_hz", [16_000, 24_000])
@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_audio_for_a_speaker_of_another_rate_is_resampled_to_the_last_sample(from_hz: int, rate_hz: int) -> None:
    converter = SpeakerConverter(rate_hz, 2)
    tone = make_tone(440, 1.0, from_hz)
    played = np.frombuffer(feed_all(converter, tone.tobytes(), from_hz) + converter.flush(), np.int16)
    left, right = played[::2], played[1::2]
    assert np.array_equal(left, right)
    assert len(left) / rate_hz == pytest.approx(1.0, abs=0.003)
    assert find(resample(tone, from_hz, rate_hz), left, rate_hz).correlation > 0.999
    assert examine_tone(left, rate_hz, 440).duration_s == pytest.approx(1.0, abs=0.004)


def test_a_new_rate_begins_after_the_rest_of_the_old_one() -> None:
    converter = SpeakerConverter(48_000, 1)
    first, second = make_tone(440, 0.5, 24_000), make_tone(640, 0.5, 16_000)
    played = converter.feed(first.tobytes() + b"x", 24_000) + converter.feed(second.tobytes(), 16_000)
    recording = np.frombuffer(played + converter.flush(), np.int16)
    assert len(recording) / 48_000 == pytest.approx(1.0, abs=0.006)
    for half, from_hz, offset_s in ((first, 24_000, 0.0), (second, 16_000, 0.5)):
        match = find(resample(half, from_hz, 48_000), recording, 48_000)
        assert match.correlation > 0.99
        assert match.offset_s == pytest.approx(offset_s, abs=0.003)


def test_reset_discards_all_audio_before_it() -> None:
    converter = SpeakerConverter(48_000, 1)
    converter.feed(make_tone(440, 0.5, 24_000, amplitude=30_000).tobytes() + b"x", 24_000)
    converter.reset()
    assert converter.withholds is False
    quiet = converter.feed(bytes(4_800), 24_000) + converter.flush()
    # The resampler dithers: one unit is what silence is made of.
    assert np.abs(np.frombuffer(quiet, np.int16).astype(int)).max() <= 1


def test_a_second_flush_returns_nothing() -> None:
    converter = SpeakerConverter(48_000, 1)
    converter.feed(make_tone(440, 0.5, 24_000).tobytes(), 24_000)
    assert converter.withholds
    assert converter.flush()
    assert converter.flush() == b""


def loud(value: int, n_frames: int = 1, channels: int = 1) -> bytes:
    return np.full(n_frames * channels, value, np.int16).tobytes()


@pytest.mark.parametrize("rate_hz", [24_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("value", [-30_000, 20_000])
def test_sound_that_begins_and_ends_with_a_step_does_not_click(rate_hz: int, channels: int, value: int) -> None:
    converter = SpeakerConverter(rate_hz, channels)
    played = converter.feed(loud(value, 1200), 24_000, after_silence=True) + converter.flush()
    played += converter.fade_to_silence(played)
    track = np.frombuffer(played, np.int16)[::channels].astype(int)
    assert np.abs(np.diff(track, prepend=0, append=0)).max() <= abs(value) // 30
    assert len(track) / rate_hz == pytest.approx(0.05 + 2 * 0.0025, abs=0.001)


@pytest.mark.parametrize("rate_hz", [24_000, 48_000])
def test_audio_that_follows_without_silence_gets_no_fade(rate_hz: int) -> None:
    converter = SpeakerConverter(rate_hz, 1)
    played = converter.feed(loud(20_000, 480), 24_000) + converter.feed(loud(20_000, 480), 24_000) + converter.flush()
    assert len(played) <= 2 * 0.0401 * rate_hz + converter.fade_bytes


def test_audio_held_by_the_resampler_does_not_count_as_silence() -> None:
    converter = SpeakerConverter(48_000, 1)
    converter.feed(loud(20_000, 10), 24_000, after_silence=True)
    played = converter.feed(loud(20_000, 1200), 24_000, after_silence=True)
    track = np.frombuffer(played, np.int16).astype(int)
    assert np.all(track[200:] > 19_000)


def test_audio_that_begins_and_ends_softly_gets_no_fade() -> None:
    converter = SpeakerConverter(24_000, 1)
    pcm = loud(1000) + loud(30_000) + loud(-1000)
    assert converter.feed(pcm, 24_000, after_silence=True) == pcm
    assert converter.fade_in(pcm) == converter.fade_to_silence(pcm) == b""


def test_half_a_sample_waits_for_its_other_half() -> None:
    converter = SpeakerConverter(24_000, 1)
    assert converter.feed(b"a", 24_000, after_silence=True) == b""
    assert converter.feed(b"\0", 24_000) == b"a\0"


def test_a_fade_out_ends_in_silence() -> None:
    converter = SpeakerConverter(24_000, 2)
    faded = np.frombuffer(converter.fade_out(loud(20_000, 200, 2)), np.int16)
    assert len(faded) * 2 == converter.fade_bytes == 60 * 4
    assert faded[0] > 19_000
    assert 0 < faded[-1] < 400
    assert np.array_equal(faded[::2], faded[1::2])
    assert converter.fade_out(b"") == b""
