"""Which way of avoiding the echo is chosen: by the options, by what is installed, and by what is measured."""

from collections.abc import Callable
from itertools import groupby

import numpy as np
import pytest
import webrtcvad

from gemini_live.audio.echo import EchoPath
from gemini_live.audio.moved_echo import AUDIBLE_DBFS
from gemini_live.audio.pcm import OUTPUT
from gemini_live.audio.voice_detector import SpeechStarted, VoiceDetector, VoiceSettings
from gemini_live.output.status import SoundMode
from gemini_live.session.echo import EchoControl
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

NOISE = make_noise(12, -65, 2)
FAR = make_voice(12, -22, 1)


class Bench:
    """An `EchoControl` in a room, in the room's time."""

    def __init__(self, *, cancels: bool = True, half_duplex: bool | None = None, measures: bool = True) -> None:
        self.now_s = 0.0
        self.modes: list[SoundMode] = []
        self.control = EchoControl(
            EchoPath(OUTPUT.rate_hz, cancels=cancels) if measures else None,
            half_duplex=half_duplex,
            clock=lambda: self.now_s,
            on_mode=self.modes.append,
        )

    def hear(self, room: Room, is_playing: Callable[[], bool] = lambda: True) -> Signal:
        """Return what is sent while all of `room.far` is played."""

        def process(chunk: bytes) -> bytes:
            self.now_s += 0.02
            return b"".join(self.control.process(chunk, is_playing=is_playing()))

        return room.run(self.control.played, process)


@pytest.mark.parametrize(
    ("half_duplex", "cancels", "measures", "mode"),
    [
        (None, True, True, SoundMode.ECHO_CANCELLED),
        (True, True, True, SoundMode.HALF_DUPLEX),
        (False, True, True, SoundMode.ECHO_CANCELLED),
        (None, False, True, SoundMode.HALF_DUPLEX),
        (False, False, True, SoundMode.NOT_CANCELLED),
        (None, False, False, SoundMode.HALF_DUPLEX),
        (False, False, False, SoundMode.NOT_CANCELLED),
    ],
)
def test_the_first_mode_follows_the_options(
    *, half_duplex: bool | None, cancels: bool, measures: bool, mode: SoundMode
) -> None:
    assert Bench(cancels=cancels, half_duplex=half_duplex, measures=measures).control.mode is mode


def test_a_cancelled_echo_stays_cancelled_and_is_measured() -> None:
    bench, room = Bench(), Room(FAR, NOISE)
    sent = bench.hear(room)
    assert bench.modes == []
    assert level_db(sent[3 * RATE_HZ :]) < level_db(room.recorded[3 * RATE_HZ :]) - 30
    assert bench.control.leak_db == pytest.approx(-7, abs=3)
    assert bench.control.erle_db == pytest.approx(34, abs=5)
    assert bench.control.current_erle_db is not None


@pytest.mark.parametrize("cancels", [True, False])
def test_on_headphones_the_microphone_is_always_open(cancels: bool) -> None:
    bench = Bench(cancels=cancels)
    sent = bench.hear(Room(FAR, NOISE, gain=0))
    assert bench.modes == [SoundMode.HEADPHONES]
    assert np.count_nonzero(sent[8 * RATE_HZ :]) > RATE_HZ
    assert bench.control.erle_db is None
    bench.hear(Room(FAR, NOISE))  # the headphones are taken off
    assert bench.modes[1] is (SoundMode.ECHO_CANCELLED if cancels else SoundMode.HALF_DUPLEX)


def test_where_too_much_is_left_the_microphone_is_gated_until_cancellation_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    path = bench.control._path
    assert path is not None
    cancel: Callable[[bytes, bytes], bytes] = path._cancel
    monkeypatch.setattr(path, "_cancel", lambda recorded, reference: recorded)
    sent = bench.hear(Room(FAR, NOISE))
    assert bench.modes == [SoundMode.HALF_DUPLEX]
    assert bench.control.is_waiting
    assert np.count_nonzero(sent[8 * RATE_HZ :]) == 0
    monkeypatch.setattr(path, "_cancel", cancel)
    bench.hear(Room(FAR, NOISE))
    assert bench.modes == [SoundMode.HALF_DUPLEX, SoundMode.ECHO_CANCELLED]


def test_without_cancellation_no_echo_is_sent_and_a_loud_voice_breaks_in() -> None:
    near = make_voice(12, -12, 8, pitch_hz=210)
    near[: 8 * RATE_HZ] = 0
    bench = Bench(cancels=False)
    sent = bench.hear(Room(FAR, NOISE + near, gain=0.1))
    assert np.count_nonzero(sent[: 8 * RATE_HZ]) == 0
    assert level_db(sent[8 * RATE_HZ :]) > level_db(near[8 * RATE_HZ :]) - 6


def test_a_voice_as_loud_as_the_echo_does_not_break_in() -> None:
    near = make_voice(12, -30, 8, pitch_hz=210)
    bench = Bench(cancels=False)
    assert np.count_nonzero(bench.hear(Room(FAR, NOISE + near, gain=0.4))) == 0


def test_what_is_sent_and_recorded_has_the_same_length() -> None:
    room = Room(FAR, NOISE)
    for bench in (Bench(), Bench(cancels=False), Bench(measures=False)):
        assert len(bench.hear(room)) == len(room.recorded)


def speech_starts_s(sent: Signal) -> list[float]:
    """Return the times in seconds at which the service detects that speech begins."""
    detector = VoiceDetector(VoiceSettings(), keeps_pcm=False)
    return [event.offset_s for event in detector.feed(to_pcm(sent), RATE_HZ) if isinstance(event, SpeechStarted)]


@pytest.mark.parametrize("to_s", [0.02, 0.05, 0.14, 0.3])
@pytest.mark.parametrize("response", [np.ones(1), make_near_response(6.0)])
def test_an_echo_whose_delay_jumps_is_never_taken_for_the_user(to_s: float, response: Signal) -> None:
    far, noise = make_voice(20, -22, 1), make_noise(20, -65, 2)
    near = make_voice(20, -26, 8, pitch_hz=210)
    near[: 15 * RATE_HZ] = 0
    bench, room = Bench(), Room(far, noise + near, jumps=((8.0, to_s),), response=response)
    sent = bench.hear(room)
    heard = speech_starts_s(sent)
    assert heard, "a voice is heard again, seven seconds later"
    assert heard[0] == pytest.approx(15.0, abs=0.5)
    assert bench.modes == []


def test_a_late_buffer_closes_the_microphone_until_the_echo_is_seen_removed_again() -> None:
    bench, is_waiting = Bench(), []

    def process(chunk: bytes) -> bytes:
        bench.now_s += 0.02
        bench.control.process(chunk, is_playing=True, n_xruns=bench.now_s > 8.0)
        is_waiting.append(bench.control.is_waiting)
        return chunk

    Room(FAR, NOISE, response=np.ones(1)).run(bench.control.played, process)
    at = round(8.0 * 50)
    assert not any(is_waiting[5 * 50 : at])
    assert sum(is_waiting[at : at + 15]) >= 10
    assert not any(is_waiting[10 * 50 :])


@pytest.mark.parametrize(("near_dbfs", "after_s", "within_s"), [(-26, 0.3, 1.5), (-26, 0.8, 1.5), (-10, 0.8, 0.6)])
@pytest.mark.parametrize("response", [np.ones(1), make_near_response(6.0)])
@pytest.mark.parametrize("resets", [False, True])
def test_a_voice_over_the_first_answer_is_heard_before_it_ends(
    response: Signal, near_dbfs: float, after_s: float, within_s: float, *, resets: bool
) -> None:
    """The canceller does not know the room then, and the voice hides whether the echo is removed."""
    far, near = make_voice(9, -22, 1), make_voice(9, near_dbfs, 8, pitch_hz=210)
    far[: 3 * RATE_HZ] = 0
    near[: round((3 + after_s) * RATE_HZ)] = 0
    bench = Bench()
    assert bench.control._path is not None
    if resets:  # as when a device is late at the start
        bench.control._path.reset()
    room = Room(far, make_noise(9, -65, 2) + near, response=response)
    heard = speech_starts_s(bench.hear(room, is_playing=lambda: bench.now_s >= 3.0))
    assert heard
    assert 0 < heard[0] - (3 + after_s) < within_s


def test_a_voice_over_the_models_is_sent_whole_although_its_beginning_is_held() -> None:
    near = make_voice(12, -26, 8, pitch_hz=210)
    near[: 8 * RATE_HZ] = 0
    bench = Bench()
    sent = bench.hear(Room(FAR, NOISE + near, response=make_near_response(6.0)))
    assert level_db(sent[8 * RATE_HZ : 9 * RATE_HZ]) == pytest.approx(level_db(near[8 * RATE_HZ : 9 * RATE_HZ]), abs=3)


@pytest.mark.parametrize("gain", [0.1, 0.4])
@pytest.mark.parametrize("seed", [8, 9, 10])
def test_a_long_voice_over_the_models_is_never_cut(seed: int, gain: float) -> None:
    """A canceller that learns anew closes the microphone for a second or more."""
    far, near = make_voice(24, -22, 1), make_voice(24, -20, seed, pitch_hz=150)
    near[: 8 * RATE_HZ] = 0
    bench = Bench()
    sent = bench.hear(Room(far, make_noise(24, -65, 2) + near, gain=gain, response=np.ones(1)))
    seconds = range(8 * RATE_HZ, 24 * RATE_HZ, RATE_HZ)
    assert all(level_db(sent[n : n + RATE_HZ]) > level_db(near[n : n + RATE_HZ]) - 6 for n in seconds)


@pytest.mark.parametrize("gain", [0.2, 0.6])
@pytest.mark.parametrize("to_s", [0.05, 0.14])
def test_an_echo_whose_delay_and_level_change_is_not_taken_for_the_user(to_s: float, gain: float) -> None:
    """The device changes: from earbuds that leak a little to a loudspeaker."""
    far, noise = make_voice(20, -22, 1), make_noise(20, -65, 2)
    before, after = (
        Room(far, noise, gain=g, delay_s=s, response=make_near_response(6.0)) for g, s in ((0.1, 0.08), (gain, to_s))
    )
    before.recorded[8 * RATE_HZ :] = after.recorded[8 * RATE_HZ :]
    assert speech_starts_s(Bench().hear(before)) == []


def test_a_click_does_not_let_a_moved_echo_pass() -> None:
    room = Room(make_voice(12, -22, 1), make_noise(12, -65, 2), jumps=((8.0, 0.14),), response=np.ones(1))
    click = round(7.9 * RATE_HZ)
    room.recorded[click : click + RATE_HZ // 80] += 0.3 * np.sin(np.arange(RATE_HZ // 80))
    assert [s for s in speech_starts_s(Bench().hear(room)) if s >= 7.95] == []


def test_what_is_held_when_the_microphone_is_muted_is_not_sent() -> None:
    bench = Bench()
    near = make_voice(12, -26, 8, pitch_hz=210)
    near[: 8 * RATE_HZ] = 0
    room = Room(FAR, NOISE + near, response=np.ones(1))
    sent: list[list[bytes]] = []

    def process(chunk: bytes) -> bytes:
        bench.now_s += 0.02
        sent.append(bench.control.process(chunk, is_playing=True))
        if sent[-1] == []:
            bench.control.drop_held()
        return chunk

    room.run(bench.control.played, process)
    n_held = sum(not chunks for chunks in sent)
    assert n_held > 0
    assert sum(map(len, sent)) == len(sent) - n_held


def test_after_unmuting_the_microphone_stays_closed_until_the_room_is_silent() -> None:
    bench = Bench(half_duplex=True)
    chunk = b"\x00\x10" * 320
    assert bench.control.process(chunk, is_playing=True) == [bytes(640)]
    bench.now_s = 0.1
    bench.control.drop_held()
    assert bench.control.is_waiting
    assert bench.control.process(chunk, is_playing=False) == [bytes(640)]


def test_what_is_held_can_be_taken_once() -> None:
    bench = Bench()
    near = make_voice(12, -26, 8, pitch_hz=210)
    near[: 8 * RATE_HZ] = 0
    taken: list[list[bytes]] = []

    def process(chunk: bytes) -> bytes:
        bench.now_s += 0.02
        if not bench.control.process(chunk, is_playing=True):
            taken.extend((bench.control.take_held(), bench.control.take_held()))
        return chunk

    Room(FAR, NOISE + near, response=np.ones(1)).run(bench.control.played, process)
    assert [len(chunks) for chunks in taken[:2]] == [1, 0]


@pytest.mark.parametrize("cancels", [True, False])
@pytest.mark.parametrize("silent_until_s", [4.0, 8.37, 14.0])
def test_when_headphones_are_taken_off_the_model_does_not_hear_itself(silent_until_s: float, *, cancels: bool) -> None:
    noise = make_noise(24, -65, 2)
    bench, room = Bench(cancels=cancels), Room(make_voice(24, -22, 1), noise, response=make_near_response(6.0))
    n = round(silent_until_s * RATE_HZ)
    room.recorded[:n] = noise[:n]
    assert speech_starts_s(bench.hear(room)) == []
    assert bench.modes[0] is SoundMode.HEADPHONES
    assert bench.modes[-1] is (SoundMode.ECHO_CANCELLED if cancels else SoundMode.HALF_DUPLEX)


def test_a_microphone_that_was_muted_by_the_system_does_not_let_the_model_hear_itself() -> None:
    bench, room = Bench(), Room(make_voice(20, -22, 1), make_noise(20, -65, 2), response=make_near_response(6.0))
    room.recorded[8 * RATE_HZ : 11 * RATE_HZ] = 0
    assert all(start_s < 2 for start_s in speech_starts_s(bench.hear(room)))


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_an_ordinary_voice_breaks_into_half_duplex_if_no_echo_hides_it(gain: float) -> None:
    near = make_voice(12, -22, 8, pitch_hz=210)
    near[: 8 * RATE_HZ] = 0
    bench = Bench(half_duplex=True)
    sent = bench.hear(Room(FAR, NOISE + near, gain=gain, response=np.ones(1)))
    assert np.count_nonzero(sent[: 8 * RATE_HZ]) == 0
    assert level_db(sent[8 * RATE_HZ :]) > level_db(near[8 * RATE_HZ :]) - 6


@pytest.mark.parametrize("quiet_s", [0.0, 3.0])
def test_a_recognised_echo_is_replaced_by_the_noise_of_the_room(quiet_s: float) -> None:
    far = make_voice(14, -22, 1)
    far[: round(quiet_s * RATE_HZ)] = 0
    bench, room = Bench(), Room(far, make_noise(14, -65, 2), jumps=((10.3, 0.14),), response=np.ones(1))
    sent = bench.hear(room, is_playing=lambda: bench.now_s >= quiet_s)
    assert bench.control._path is not None
    assert bench.control._path.n_resets == 1
    pieces = sent[8 * RATE_HZ :].reshape(-1, RATE_HZ // 50)
    assert max(level_db(piece) for piece in pieces) < AUDIBLE_DBFS
    assert min(level_db(piece) for piece in pieces) > -75, "no digital silence"


@pytest.mark.parametrize("measures", [True, False])
def test_the_end_of_half_duplex_wakes_no_voice_detector(*, measures: bool) -> None:
    """The noise of the room passes for speech if it comes after digital silence."""
    far, noise = make_voice(12, -22, 1), make_noise(12, -65, 2)
    far[: 3 * RATE_HZ] = far[7 * RATE_HZ :] = 0
    bench, room = Bench(half_duplex=True, measures=measures), Room(far, noise)
    sent = bench.hear(room, is_playing=lambda: 3.0 <= bench.now_s < 7.0)
    assert level_db(sent[4 * RATE_HZ : 6 * RATE_HZ]) == pytest.approx(-65, abs=3)
    detector = webrtcvad.Vad(2)
    votes = [detector.is_speech(to_pcm(sent[n : n + 320]), RATE_HZ) for n in range(3 * RATE_HZ, len(sent) - 319, 320)]
    assert max((len(list(group)) for is_speech, group in groupby(votes) if is_speech), default=0) < 5


def test_half_duplex_waits_for_an_echo_that_comes_late() -> None:
    far = make_voice(9, -22, 1)
    far[6 * RATE_HZ :] = 0
    bench, room = Bench(half_duplex=True), Room(far, make_noise(9, -65, 2), delay_s=0.6, response=np.ones(1))
    sent = bench.hear(room, is_playing=lambda: bench.now_s < 6.0)
    assert speech_starts_s(sent) == []
    assert np.count_nonzero(sent[8 * RATE_HZ :]) > 0
