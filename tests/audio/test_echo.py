"""Echo cancellation in a synthetic room: how much is removed, how soon after a disturbance, what a voice keeps."""

import numpy as np
import pytest

from gemini_live.audio.echo import EchoPath
from gemini_live.audio.echo_meter import Leak
from gemini_live.audio.moved_echo import Verdict
from gemini_live.audio.pcm import OUTPUT
from gemini_live.audio.voice_detector import SpeechStarted, VoiceDetector, VoiceSettings
from tests.audio.room import RATE_HZ, Room, Signal, level_db, make_noise, make_voice, to_pcm

pytest.importorskip("pywebrtc_audio")

NOISE_DBFS = -65.0


def clean(room: Room) -> tuple[EchoPath, Signal]:
    path = EchoPath(OUTPUT.rate_hz, cancels=True)
    return path, room.run(path.played, path.process)


def erles(room: Room, cleaned: Signal) -> list[float]:
    """Return the ERLE of each second, in dB."""
    starts = range(0, len(cleaned) - RATE_HZ + 1, RATE_HZ)
    return [level_db(room.recorded[s : s + RATE_HZ]) - level_db(cleaned[s : s + RATE_HZ]) for s in starts]


def count_speech(signal: Signal) -> int:
    detector = VoiceDetector(VoiceSettings(), keeps_pcm=False)
    return sum(isinstance(event, SpeechStarted) for event in detector.feed(to_pcm(signal), RATE_HZ))


@pytest.mark.parametrize("delay_s", [0.02, 0.08, 0.25])
@pytest.mark.parametrize(("gain", "at_least_db"), [(0.1, 20), (0.4, 30), (1.0, 33)])
def test_the_echo_is_removed_down_to_the_noise(delay_s: float, gain: float, at_least_db: float) -> None:
    room = Room(make_voice(10, -22, 1), make_noise(10, NOISE_DBFS, 2), delay_s=delay_s, gain=gain)
    path, cleaned = clean(room)
    assert min(erles(room, cleaned)[2:]) > at_least_db
    assert count_speech(room.recorded[RATE_HZ:]) > 0
    assert count_speech(cleaned[RATE_HZ:]) == 0
    assert path.meter.leak is Leak.PRESENT
    assert path.meter.erle_db == pytest.approx(erles(room, cleaned)[-1], abs=6)
    assert not path.meter.is_audible


@pytest.mark.parametrize("ppm", [100.0, -100.0])
def test_the_echo_is_removed_if_the_two_clocks_differ(ppm: float) -> None:
    room = Room(make_voice(40, -22, 1), make_noise(40, NOISE_DBFS, 2), ppm=ppm)
    path, cleaned = clean(room)
    assert min(erles(room, cleaned)[2:]) > 28
    assert path.reference.n_late_samples == path.reference.n_gaps == 0


def seconds_to_recover(room: Room, cleaned: Signal, from_s: int, erle_db: float = 20.0) -> int:
    """Return after how many seconds of echo every later one reaches the ERLE."""
    values = erles(room, cleaned)[from_s:]
    return max((second + 1 for second, value in enumerate(values) if value < erle_db), default=0)


@pytest.mark.parametrize(("to_s", "within_s"), [(0.14, 1), (0.06, 2), (0.02, 2)])
def test_it_recovers_from_a_jump_of_the_delay(to_s: float, within_s: int) -> None:
    room = Room(make_voice(16, -22, 1), make_noise(16, NOISE_DBFS, 2), jumps=((8.0, to_s),))
    _, cleaned = clean(room)
    assert seconds_to_recover(room, cleaned, 8) <= within_s


def test_the_echo_is_removed_if_buffers_are_uneven() -> None:
    rng = np.random.default_rng(4)
    early = rng.integers(0, 3, 2_000)
    room = Room(make_voice(16, -22, 1), make_noise(16, NOISE_DBFS, 2), jitter=lambda n: int(early[n]))
    _, cleaned = clean(room)
    assert min(erles(room, cleaned)[3:]) > 25


def test_sound_that_is_cut_off_leaves_no_echo() -> None:
    """An interruption clears playback: the reference is what was played, not what was received."""
    far = make_voice(16, -22, 1)
    for second in range(3, 16, 2):
        far[second * RATE_HZ : second * RATE_HZ + RATE_HZ // 2] = 0
    room = Room(far, make_noise(16, NOISE_DBFS, 2))
    _, cleaned = clean(room)
    assert count_speech(cleaned[RATE_HZ:]) == 0


def test_a_voice_alone_is_not_changed() -> None:
    near = make_voice(10, -26, 8, pitch_hz=210)
    room = Room(np.zeros_like(near), near + make_noise(10, NOISE_DBFS, 2))
    _, cleaned = clean(room)
    assert level_db(cleaned) == pytest.approx(level_db(near), abs=0.5)
    before, after = (signal.reshape(-1, RATE_HZ // 50) for signal in (near[:-320], cleaned[128:-192]))
    assert np.corrcoef(np.sqrt((before**2).mean(1)), np.sqrt((after**2).mean(1)))[0, 1] > 0.98


def test_a_voice_during_playback_is_kept() -> None:
    near = make_voice(20, -26, 8, pitch_hz=210)
    near[: 10 * RATE_HZ] = 0
    room = Room(make_voice(20, -22, 1), near + make_noise(20, NOISE_DBFS, 2))
    _, cleaned = clean(room)
    assert count_speech(cleaned[RATE_HZ : 10 * RATE_HZ]) == 0
    assert count_speech(cleaned[8 * RATE_HZ : 12 * RATE_HZ]) >= 1
    assert level_db(cleaned[10 * RATE_HZ :]) > level_db(near[10 * RATE_HZ :]) - 6


@pytest.mark.parametrize("after_s", [1, 3, 6, 10, 14])
def test_on_headphones_a_voice_over_the_models_is_left_as_it_is(after_s: int) -> None:
    """AEC3 expects an echo at first, and removes a voice by 40 dB."""
    far, near = make_voice(20, -22, 1), np.zeros(20 * RATE_HZ)
    far[: 2 * RATE_HZ] = 0
    start, word = (2 + after_s) * RATE_HZ, make_voice(0.5, -26, 8, pitch_hz=210)
    near[start : start + len(word)] = word
    path, cleaned = clean(Room(far, near + make_noise(20, NOISE_DBFS, 2), gain=0))
    assert path.meter.leak is Leak.ABSENT
    assert level_db(cleaned[start : start + len(word) + 128]) > level_db(word) - 1.5


def test_when_headphones_are_taken_off_the_echo_is_cancelled_within_three_seconds() -> None:
    far, noise = make_voice(20, -22, 1), make_noise(20, NOISE_DBFS, 2)
    for from_s in (4, 14):
        room = Room(far, noise)
        room.recorded[: from_s * RATE_HZ] = noise[: from_s * RATE_HZ]
        path, cleaned = clean(room)
        assert min(erles(room, cleaned)[from_s + 3 :]) > 20
        assert path.meter.leak is Leak.PRESENT


def test_without_the_extra_the_echo_is_measured_and_left() -> None:
    room = Room(make_voice(6, -22, 1), make_noise(6, NOISE_DBFS, 2))
    path = EchoPath(OUTPUT.rate_hz, cancels=False)
    cleaned = room.run(path.played, path.process)
    assert to_pcm(cleaned) == to_pcm(room.recorded)
    assert not path.cancels
    assert path.meter.leak is Leak.PRESENT
    assert path.meter.erle_db == pytest.approx(0, abs=0.01)
    assert path.meter.is_audible


def test_a_gap_begins_a_new_measurement() -> None:
    room = Room(make_voice(6, -22, 1), make_noise(6, NOISE_DBFS, 2))
    path, _ = clean(room)
    assert path.meter.leak is Leak.PRESENT
    for _ in range(50):  # the loudspeaker has stopped
        path.process(bytes(640))
    assert (path.reference.n_gaps, path.meter.leak) == (1, Leak.UNKNOWN)


def test_a_canceller_that_left_an_echo_is_not_reset_again_while_nothing_is_played() -> None:
    path = EchoPath(OUTPUT.rate_hz, cancels=True)
    path.meter._n_audible = 1
    silence = make_noise(30, NOISE_DBFS, 2)
    Room(np.zeros_like(silence), silence).run(path.played, path.process)
    assert path.n_resets == 0


def test_in_a_noisy_room_the_beginning_of_a_voice_is_held_too() -> None:
    """Noise that is audible all the time is no voice that goes on."""
    near = make_voice(10, -20, 8, pitch_hz=210)
    near[: 8 * RATE_HZ] = 0
    path, verdicts = EchoPath(OUTPUT.rate_hz, cancels=True), []

    def process(recorded: bytes) -> bytes:
        cleaned = path.process(recorded)
        verdicts.append(path.verdict)
        return cleaned

    Room(make_voice(10, -22, 1), near + make_noise(10, -47, 2), gain=1.0, response=np.ones(1)).run(path.played, process)
    assert Verdict.WAITING in verdicts[8 * 50 : 9 * 50]


def test_a_reset_forgets_the_level_of_the_echo() -> None:
    path = EchoPath(OUTPUT.rate_hz, cancels=True)
    Room(make_voice(4, -22, 1), make_noise(4, -65, 2), response=np.ones(1)).run(path.played, path.process)
    assert path.highest_leak_db == pytest.approx(-8, abs=2)
    path.reset()
    assert path.highest_leak_db is None
