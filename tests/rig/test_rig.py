"""The rig itself: a broken one would find fault where there is none, or none where there is."""

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gemini_live.audio.quiet_stderr import mute_c_stderr
from tests.rig import RigError
from tests.rig.analysis import (
    Samples,
    examine_counter,
    examine_tone,
    find,
    find_span,
    make_counter,
    make_tone,
    read_wav,
    resample,
)
from tests.rig.scripts import run_script
from tests.rig.virtual_audio import VirtualAudio
from tests.rig.virtual_card import VirtualCard
from tests.rig.virtual_screen import VirtualScreen

RATE_HZ = 24_000


def test_a_whole_tone_has_no_fault() -> None:
    silence = np.zeros(10_000, np.int16)
    report = examine_tone(np.concatenate([silence, make_tone(440, 2.0, RATE_HZ), silence]), RATE_HZ, 440)
    assert (report.n_gaps, report.n_phase_jumps) == (0, 0)
    assert report.start_s == pytest.approx(10_000 / RATE_HZ, abs=0.001)
    assert report.duration_s == pytest.approx(2.0, abs=0.001)
    assert report.frequency_hz == pytest.approx(440, abs=0.001)


@pytest.mark.parametrize("place", [5_000, 20_123, 43_000])
@pytest.mark.parametrize("how", ["lost", "repeated", "block lost", "block repeated"])
def test_a_single_lost_or_repeated_sample_is_found_in_a_tone(place: int, how: str) -> None:
    tone = make_tone(440, 2.0, RATE_HZ)
    faulty = {
        "lost": np.delete(tone, place),
        "repeated": np.insert(tone, place, tone[place]),
        "block lost": np.delete(tone, slice(place, place + 480)),
        "block repeated": np.insert(tone, place, tone[place - 480 : place]),
    }[how]
    assert examine_tone(faulty, RATE_HZ, 440).n_phase_jumps == 1


def test_a_gap_of_five_milliseconds_is_found_in_a_tone() -> None:
    tone = make_tone(440, 2.0, RATE_HZ)
    tone[20_000:20_120] = 0
    assert examine_tone(tone, RATE_HZ, 440).n_gaps > 0


@pytest.mark.rig
def test_a_sentence_is_found_where_it_is(speak: Callable[[str, int], Samples]) -> None:
    sentence = speak("One, two, three.", RATE_HZ)
    noise = np.random.default_rng(1).integers(-20, 20, 6 * RATE_HZ)
    recording = noise.astype(np.int16)
    recording[30_000 : 30_000 + len(sentence)] += sentence // 2
    match = find(sentence, recording, RATE_HZ)
    assert match.offset_s == pytest.approx(30_000 / RATE_HZ)
    assert match.correlation > 0.99
    assert match.gain == pytest.approx(0.5, abs=0.01)
    assert abs(find(sentence, noise.astype(np.int16), RATE_HZ).correlation) < 0.1


def test_a_signal_that_was_cut_off_fits_less() -> None:
    tone = make_tone(440, 1.0, RATE_HZ)
    match = find(tone, tone[RATE_HZ // 2 :], RATE_HZ)
    assert match.correlation == pytest.approx(0.71, abs=0.02)


def test_the_span_of_a_sound_leaves_out_the_silence_around_it() -> None:
    recording = np.zeros(RATE_HZ, np.int16)
    recording[6_000:12_000] = 1_000
    assert find_span(recording, RATE_HZ) == (0.25, 0.5)


def test_a_whole_counter_has_no_fault() -> None:
    report = examine_counter(bytes(1_000) + make_counter(200_000) + bytes(1_000))
    assert (report.first, report.n_frames, report.n_breaks, report.n_lost) == (1, 200_000, 0, 0)


def test_lost_and_swapped_frames_are_found_in_a_counter() -> None:
    pcm = make_counter(200_000)
    lost = examine_counter(pcm[:100_000] + pcm[100_640:])
    assert (lost.n_breaks, lost.n_lost) == (1, 320)
    swapped = examine_counter(pcm[:640] + pcm[1_280:1_920] + pcm[640:1_280] + pcm[1_920:])
    assert swapped.n_breaks == 3


def test_resampling_keeps_a_tone() -> None:
    tone = make_tone(440, 1.0, 48_000)
    assert find(make_tone(440, 1.0, 16_000), resample(tone, 48_000, 16_000), 16_000).correlation > 0.999


def test_a_script_that_fails_says_why() -> None:
    with pytest.raises(RigError, match=r"virtual-audio.sh unplug nothing: virtual-audio: no device nothing"):
        run_script("virtual-audio.sh", "unplug", "nothing", environ={})


@pytest.mark.rig
def test_two_sound_servers_run_side_by_side(virtual_audio: VirtualAudio, tmp_path: Path) -> None:
    other = VirtualAudio(tmp_path / "other")
    try:
        assert other.environ["PULSE_SERVER"] != virtual_audio.environ["PULSE_SERVER"]
        other.stop()
        with virtual_audio.record(tmp_path / "silence.wav"):
            subprocess.run(["pactl", "info"], check=True, capture_output=True)
    finally:
        other.stop()
    assert not read_wav(tmp_path / "silence.wav")[0].any()


@pytest.mark.rig
@pytest.mark.parametrize(("patience_ms", "overruns"), [(0, True), (2_000, False)])
def test_a_card_overruns_when_a_program_is_late_unless_it_is_patient(
    vcard: Callable[..., VirtualCard], patience_ms: int, overruns: bool
) -> None:
    import pyaudio

    vcard(make_counter(48_000), patience_ms=patience_ms)
    heard: list[bytes] = []
    flags_seen = set()
    is_enough = threading.Event()

    def take(pcm: bytes, n_frames: int, time_info: object, flags: int) -> tuple[None, int]:
        heard.append(pcm)
        flags_seen.add(flags)
        if len(heard) == 10:
            time.sleep(0.2)
        if len(heard) == 40:
            is_enough.set()
        return None, pyaudio.paContinue

    with mute_c_stderr():
        portaudio = pyaudio.PyAudio()
        portaudio.open(
            format=pyaudio.paInt16, channels=1, rate=16_000, input=True, frames_per_buffer=320, stream_callback=take
        )
        assert is_enough.wait(20)
        portaudio.terminate()
    assert (pyaudio.paInputOverflow in flags_seen) is overruns
    # What it gives is the file's next part even then.
    assert examine_counter(b"".join(heard)).n_breaks == 0


def listen_while_playing(pcm: bytes, n_chunks: int, then: Callable[[], None] = lambda: None) -> Samples:
    """Play at 24 kHz, and return the chunks of 20 ms that were recorded at 16 kHz; `then` is called after playing."""
    import pyaudio

    heard: list[bytes] = []
    is_enough = threading.Event()

    def take(chunk: bytes, n_frames: int, time_info: object, flags: int) -> tuple[None, int]:
        heard.append(chunk)
        if len(heard) == n_chunks:
            is_enough.set()
        return None, pyaudio.paContinue

    with mute_c_stderr():
        portaudio = pyaudio.PyAudio()
        how = {"format": pyaudio.paInt16, "channels": 1}
        portaudio.open(rate=16_000, input=True, frames_per_buffer=320, stream_callback=take, **how)
        speaker = portaudio.open(rate=RATE_HZ, output=True, frames_per_buffer=480, **how)
        speaker.write(pcm)
        then()
        assert is_enough.wait(20)
        portaudio.terminate()
    return np.frombuffer(b"".join(heard), "<i2")


@pytest.mark.rig
def test_a_card_hears_what_it_plays_on_its_other_clock(vcard: Callable[..., VirtualCard]) -> None:
    card = vcard(ppm=2_000, mic_ppm=-1_000, echo_ms=80, echo_percent=40)
    recorded = listen_while_playing(make_tone(1_000, 3.0, RATE_HZ).astype("<i2").tobytes(), 200)
    assert card.heard.startswith(recorded.tobytes())
    echo = examine_tone(recorded, 16_000, 1_000)
    assert echo.frequency_hz == pytest.approx(1_003, abs=0.1)
    assert (echo.n_gaps, echo.n_phase_jumps) == (0, 0)
    assert np.abs(recorded).max() == pytest.approx(0.4 * 9_000, rel=0.05)


@pytest.mark.rig
def test_the_echo_of_a_card_comes_as_late_as_it_should(vcard: Callable[..., VirtualCard]) -> None:
    sound = np.random.default_rng(1).integers(-9_000, 9_000, RATE_HZ).astype("<i2")
    offsets_s = []
    for echo_ms in (20, 420):
        vcard(echo_ms=echo_ms, echo_percent=40)
        recorded = listen_while_playing(sound.tobytes(), 100)
        offsets_s.append(find(resample(sound, RATE_HZ, 16_000), recorded, 16_000).offset_s)
    # Both devices of a process start within some milliseconds of each other, but never at the same time.
    assert offsets_s[1] - offsets_s[0] == pytest.approx(0.4, abs=0.1)


@pytest.mark.rig
def test_a_voice_is_heard_soon_after_it_was_written(vcard: Callable[..., VirtualCard]) -> None:
    card, voice = vcard(bytes(2 * 32_000)), make_tone(500, 0.3, 16_000)
    recorded = listen_while_playing(bytes(2 * 4_800), 75, lambda: card.write_voice(voice, 0.1, 16_000))
    match = find(voice, recorded, 16_000)
    assert match.correlation > 0.99
    assert 0.1 < match.offset_s < 1.0


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["800x600"], indirect=True)
def test_the_screen_shows_what_was_drawn(virtual_screen: VirtualScreen) -> None:
    from mss import MSS
    from PIL import Image

    picture = virtual_screen.show_desktop()
    with MSS() as grabber:
        shot = grabber.grab(grabber.monitors[0])
    assert (virtual_screen.width, virtual_screen.height) == shot.size == (800, 600)
    assert Image.frombytes("RGB", shot.size, shot.bgra, "raw", "BGRX").tobytes() == picture.tobytes()
