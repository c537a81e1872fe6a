"""vad.py: neither deaf nor nervous; and a third-party detector agrees about where speech begins and ends."""

import random

import numpy as np
import pytest
import webrtcvad

from gemini_live.audio import pcm
from gemini_live.audio.voice_detector import MAX_UTTERANCE_S, SpeechStarted, Utterance, VoiceDetector, VoiceSettings
from tests.simulator.sounds import SILENCE, mix, noise, spoken

FRAME = 640
TOLERANCE_S = 0.150


def detect(sound: bytes, *, chunk_bytes: int = FRAME, rate_hz: int = 16_000, **settings: float) -> list[Utterance]:
    """The utterances that are found in a sound, the last one ended by the end of the stream."""
    detector = VoiceDetector(VoiceSettings(**settings))  # type: ignore[arg-type]
    events: list[SpeechStarted | Utterance] = []
    for start in range(0, len(sound), chunk_bytes):
        events += detector.feed(sound[start : start + chunk_bytes], rate_hz)
    events += detector.flush()
    assert [type(event) for event in events] == [SpeechStarted, Utterance] * (len(events) // 2)
    return [event for event in events if isinstance(event, Utterance)]


def ends_of_webrtc(sound: bytes) -> tuple[float, float]:
    """Where WebRTC's detector hears speech: from its first two frames in a row to its last two, in seconds.

    It needs its first half second to get used to any noise, which is why the speech here begins later; and it takes a
    final "s" over noise for noise, which is why no sentence that it is asked about ends in one.
    """
    detector = webrtcvad.Vad(3)
    heard = [
        detector.is_speech(sound[start : start + FRAME], 16_000) for start in range(0, len(sound) - FRAME + 1, FRAME)
    ]
    pairs = [i for i in range(25, len(heard) - 1) if heard[i] and heard[i + 1]]
    return pairs[0] * 0.02, (pairs[-1] + 2) * 0.02


SENTENCES = [
    ("The quick brown fox jumps over the lazy dog.", "en"),
    ("What is the weather like in Oslo today, and will it rain tomorrow?", "en-us"),
    ("Guten Tag, wie geht es Ihnen?", "de"),
    ("Six thick thistles are blooming.", "en+f3"),
    ("Hello.", "en"),
]


@pytest.mark.parametrize("snr_db", [None, 40, 30, 20, 15, 10])
@pytest.mark.parametrize(("text", "voice"), SENTENCES)
def test_webrtcs_detector_agrees_on_speech_over_noise(text: str, voice: str, snr_db: int | None) -> None:
    speech = spoken(text, voice)
    sound = SILENCE + speech + SILENCE
    if snr_db is not None:
        sound = mix(sound, noise(len(sound) / 32_000, pcm.level_dbfs(speech) - snr_db, seed=snr_db))
    (utterance,) = detect(sound)
    start_s, end_s = ends_of_webrtc(sound)
    assert utterance.start_s == pytest.approx(start_s, abs=TOLERANCE_S)
    assert utterance.end_s == pytest.approx(end_s, abs=TOLERANCE_S)


@pytest.mark.parametrize("snr_db", [None, 40, 30, 20, 15, 10, 5])
@pytest.mark.parametrize(("text", "voice"), [*SENTENCES, ("Six thick thistle sticks.", "en+f3")])
def test_speech_is_found_where_it_is(text: str, voice: str, snr_db: int | None) -> None:
    speech = spoken(text, voice)
    sound = SILENCE + speech + SILENCE
    if snr_db is not None:
        sound = mix(sound, noise(len(sound) / 32_000, pcm.level_dbfs(speech) - snr_db, seed=snr_db))
    (utterance,) = detect(sound)
    # What is quieter than the noise around it is lost on every listener.
    tolerance_s = TOLERANCE_S if snr_db is None or snr_db > 10 else 0.35
    assert utterance.start_s == pytest.approx(1.2, abs=tolerance_s)
    assert utterance.end_s == pytest.approx(1.2 + len(speech) / 32_000, abs=tolerance_s)


@pytest.mark.parametrize("level_dbfs", [-70, -60, -50, -40, -30, -20])
def test_noise_alone_is_not_speech_at_any_level(level_dbfs: int) -> None:
    assert detect(noise(6, level_dbfs)) == []


def test_noise_that_grows_slowly_is_not_speech() -> None:
    sound = b"".join(noise(0.5, -60 + step, seed=step) for step in range(25))
    assert detect(sound) == []


def test_sudden_constant_noise_is_learned() -> None:
    sound = noise(3, -60) + noise(12, -35)
    utterances = detect(sound)
    assert len(utterances) <= 1
    assert all(utterance.end_s < 6.5 for utterance in utterances)


def test_clicks_are_not_speech() -> None:
    click = b"\xff\x6f" * 160
    assert detect((SILENCE + click) * 6 + SILENCE) == []


def keystrokes(duration_s: float) -> bytes:
    """Four keys a second, pressed and released, each as loud as a voice: a click, and a thump that takes 60 ms."""
    rng, t = np.random.default_rng(3), np.arange(960) / 16_000
    signal = 40 * rng.standard_normal(round(duration_s * 16_000))
    for start in range(0, len(signal) - 3_000, 4_000):
        for offset in (0, int(rng.integers(1_100, 1_800))):
            click = rng.standard_normal(t.size) * np.exp(-t / 0.006)
            thump = np.sin(2 * np.pi * rng.uniform(120, 300) * t) * np.exp(-t / 0.015)
            signal[start + offset : start + offset + t.size] += 6_000 * (click + thump)
    return bytes(signal.clip(-32768, 32767).astype("<i2").tobytes())


def test_typing_is_not_speech() -> None:
    assert detect(keystrokes(10)) == []


def test_speech_ends_although_the_user_types_on() -> None:
    speech = spoken()
    sound = SILENCE + speech + SILENCE * 3
    (utterance,) = detect(mix(sound, keystrokes(len(sound) / 32_000)), silence_s=0.2)
    assert utterance.end_s == pytest.approx(1.2 + len(speech) / 32_000, abs=0.35)


@pytest.mark.parametrize("level_dbfs", [-50, -40, -34])
def test_speech_is_found_beside_a_fan(level_dbfs: int) -> None:
    speech = spoken("Guten Tag, wie geht es Ihnen?", "de")
    sound = SILENCE * 3 + speech + SILENCE * 3
    low = np.cumsum(np.frombuffer(noise(len(sound) / 32_000, -60), "<i2").astype(float))
    low -= np.convolve(low, np.ones(3_200) / 3_200, "same")  # nothing below 5 Hz
    hum = np.sin(2 * np.pi * 50 / 16_000 * np.arange(len(low))) * low.std() / 2
    fan = (low + hum) * 10 ** (level_dbfs / 20) * 32768 / (low + hum).std()
    (utterance,) = detect(mix(sound, bytes(fan.clip(-32768, 32767).astype("<i2").tobytes())))
    assert utterance.start_s == pytest.approx(3.6, abs=TOLERANCE_S)
    assert utterance.end_s == pytest.approx(3.6 + len(speech) / 32_000, abs=TOLERANCE_S)


def test_a_constant_value_is_not_speech() -> None:
    assert detect(b"\x00\x20" * 160_000) == []


def test_quiet_voice_is_heard_in_a_quiet_room() -> None:
    samples = pcm.to_samples(SILENCE + spoken() + SILENCE)
    quiet = pcm.from_samples(type(samples)("h", (sample // 20 for sample in samples)))
    assert len(detect(quiet)) == 1


def test_speech_at_the_start_of_the_stream_is_found_completely() -> None:
    (utterance,) = detect(spoken() + SILENCE)
    assert utterance.start_s <= 0.06
    assert utterance.duration_s == pytest.approx(len(spoken()) / 32_000, abs=0.3)


def test_utterance_is_the_users_own_voice() -> None:
    sound = SILENCE + spoken() + SILENCE
    (utterance,) = detect(sound)
    assert utterance.pcm in sound
    assert utterance.pcm[: len(utterance.pcm) // 2] in spoken() + SILENCE or spoken()[:3200] in utterance.pcm


def test_how_audio_is_cut_does_not_matter() -> None:
    sound = SILENCE + spoken() + SILENCE
    generator = random.Random(3)
    detector = VoiceDetector(VoiceSettings())
    events: list[SpeechStarted | Utterance] = []
    position = 0
    while position < len(sound):
        size = generator.choice([1, 3, 100, 639, 641, 5000])
        events += detector.feed(sound[position : position + size], 16_000)
        position += size
    assert [event for event in events if isinstance(event, Utterance)] == detect(sound, chunk_bytes=3200)


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 44_100, 48_000])
def test_speech_is_found_at_any_rate(rate_hz: int) -> None:
    speech = spoken(rate_hz=rate_hz)
    quiet = bytes(pcm.PcmFormat(rate_hz).n_bytes(1.2))
    (utterance,) = detect(quiet + speech + quiet, rate_hz=rate_hz)
    assert utterance.rate_hz == rate_hz
    assert utterance.start_s == pytest.approx(1.2, abs=0.06)


def test_change_of_rate_ends_the_utterance() -> None:
    detector = VoiceDetector(VoiceSettings())
    events = detector.feed(SILENCE + spoken(), 16_000)
    events += detector.feed(bytes(4800), 24_000)
    assert [type(event) for event in events] == [SpeechStarted, Utterance]


@pytest.mark.parametrize(("silence_s", "expected"), [(0.2, 2), (0.8, 1)])
def test_silence_duration_decides_whether_a_pause_ends_an_utterance(silence_s: float, expected: int) -> None:
    sound = SILENCE + spoken("Hello.") + SILENCE[: 32_000 // 2] + spoken("Hello.") + SILENCE
    assert len(detect(sound, silence_s=silence_s)) == expected


@pytest.mark.parametrize("silence_s", [0.1, 0.5, 0.8])
def test_end_is_found_after_the_silence_that_was_asked_for(silence_s: float) -> None:
    detector = VoiceDetector(VoiceSettings(silence_s=silence_s))
    sound = SILENCE + spoken("Hello.") + SILENCE + SILENCE
    for start in range(0, len(sound), FRAME):
        ended = [event for event in detector.feed(sound[start : start + FRAME], 16_000) if isinstance(event, Utterance)]
        if ended:
            break
    # The end of an utterance keeps 80 ms of the quiet in which it fades.
    assert start / 32_000 + 0.02 == pytest.approx(ended[0].end_s - 0.08 + silence_s, abs=0.041)


def test_prefix_padding_is_the_least_speech_that_begins_an_utterance() -> None:
    short = spoken("Hello.")[: 32_000 // 5]
    sound = SILENCE + short + SILENCE
    assert len(detect(sound, prefix_s=0.02)) == 1
    assert detect(sound, prefix_s=0.5) == []


def test_with_low_sensitivity_speech_must_be_longer_to_begin() -> None:
    samples = pcm.to_samples(SILENCE + spoken() + SILENCE)
    faint = pcm.from_samples(type(samples)("h", (sample // 50 for sample in samples)))
    assert len(detect(faint, start_high=True)) == 1
    assert detect(faint, start_high=False) == []


def test_flush_ends_the_utterance_and_resets_the_detector() -> None:
    detector = VoiceDetector(VoiceSettings())
    first = detector.feed(SILENCE + spoken(), 16_000) + detector.flush()
    assert not detector.speaking
    second = detector.feed(SILENCE + spoken(), 16_000) + detector.flush()
    assert [type(event) for event in first + second] == [SpeechStarted, Utterance] * 2
    assert detector.flush() == []


def test_very_long_utterance_is_cut() -> None:
    detector = VoiceDetector(VoiceSettings())
    detector.feed(SILENCE, 16_000)
    lively = (spoken() * (1 + int(MAX_UTTERANCE_S / 2)))[: 32_000 * (int(MAX_UTTERANCE_S) + 5)]
    events = detector.feed(lively, 16_000)
    (utterance,) = (event for event in events if isinstance(event, Utterance))
    assert utterance.duration_s == pytest.approx(MAX_UTTERANCE_S, abs=1)
