"""The reference: in step with the microphone, never behind its echo, whatever the clocks and buffers of the devices."""

import numpy as np
import pytest

from gemini_live.audio.pcm import INPUT, OUTPUT
from gemini_live.audio.reference import MIN_RESERVE_S, LowDelayResampler, ReferenceQueue

CHUNK = INPUT.n_bytes(0.02)
RESERVE = INPUT.n_bytes(MIN_RESERVE_S) // 2
MS = INPUT.rate_hz // 1000


def number(first: int, n: int) -> bytes:
    """Return samples that say their own position, modulo 30,000, from 1."""
    return ((np.arange(first, first + n) % 30_000) + 1).astype("<i2").tobytes()


class Devices:
    """A loudspeaker and a microphone with buffers of 20 ms; the reference is numbered."""

    def __init__(self) -> None:
        self.queue = ReferenceQueue()
        self.n_played = self.n_recorded = 0
        self.lags: list[int] = []
        """For each chunk that was recorded: how many samples its reference lay behind the newest one."""

    def play(self, n_samples: int = CHUNK // 2) -> None:
        self.queue.put(number(self.n_played, n_samples))
        self.n_played += n_samples

    def record(self) -> bytes:
        taken = self.queue.take(CHUNK)
        self.n_recorded += CHUNK // 2
        last = int(np.frombuffer(taken, "<i2")[-1])
        if last:
            self.lags.append((self.n_played - last) % 30_000)
        return taken

    def both(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.play()
            self.record()


def test_each_sample_is_used_once_in_order_after_the_reserve() -> None:
    devices = Devices()
    taken = b""
    for _ in range(200):
        devices.play()
        taken += devices.record()
    assert taken == bytes(2 * RESERVE) + number(0, devices.n_played - RESERVE)
    assert set(devices.lags) == {RESERVE}


def test_audio_played_before_the_microphone_started_is_skipped() -> None:
    devices = Devices()
    for _ in range(20):
        devices.play()
    devices.both(2)
    assert set(devices.lags[1:]) <= {RESERVE, RESERVE + CHUNK // 2}
    assert devices.lags[-1] == RESERVE


def test_without_a_loudspeaker_the_reference_is_silence() -> None:
    devices = Devices()
    assert {devices.record() for _ in range(100)} == {bytes(CHUNK)}
    devices.both(1)
    assert devices.lags[-1] == RESERVE
    assert devices.queue.n_late_samples == 0


def test_a_buffer_that_is_late_once_leaves_a_hole_and_moves_nothing() -> None:
    devices = Devices()
    devices.both(3)
    hole = devices.record()
    assert np.count_nonzero(np.frombuffer(hole, "<i2")) == RESERVE
    devices.play()
    devices.both(1)
    assert devices.lags[-1] == RESERVE
    assert devices.queue.n_late_samples == CHUNK // 2 - RESERVE


def test_a_loudspeaker_that_catches_up_in_a_burst_moves_nothing() -> None:
    """The program was slow, and the device played from its own buffer meanwhile."""
    devices = Devices()
    devices.both(3)
    for _ in range(7):
        devices.record()
    for _ in range(7):
        devices.play()
    devices.both(10)
    assert set(devices.lags[-400:]) == {RESERVE}


def test_a_larger_reserve_bears_a_later_buffer() -> None:
    queue = ReferenceQueue(0.06)
    for _ in range(100):
        queue.put(number(0, CHUNK // 2))
        queue.take(CHUNK)
    for _ in range(3):
        queue.take(CHUNK)
    assert (queue.n_late_samples, queue.n_disturbances) == (0, 0)


def test_a_loudspeaker_that_pauses_is_followed_after_a_tenth_of_a_second() -> None:
    """An underrun of the device: it played nothing for a while, so every later echo is later too."""
    devices = Devices()
    devices.both(3)
    for _ in range(3):
        devices.record()
    devices.both(0.2)
    n_disturbances = devices.queue.n_disturbances
    n = len(devices.lags)
    devices.both(20)
    assert set(devices.lags[n:]) == {RESERVE}, "the whole reserve is back at once"
    assert (devices.queue.n_gaps, devices.queue.n_delayed) == (0, 1)
    assert devices.queue.n_disturbances == n_disturbances


@pytest.mark.parametrize("after_s", [0.3, 0.98, 2.0])
def test_an_underrun_is_followed_once_whenever_it_comes(after_s: float) -> None:
    devices = Devices()
    devices.both(after_s)
    for _ in range(3):
        devices.record()
    devices.both(0.2)
    n = len(devices.lags)
    devices.both(12)
    assert set(devices.lags[n:]) == {RESERVE}


def test_a_microphone_that_lost_audio_is_followed_too() -> None:
    devices = Devices()
    devices.both(3)
    for _ in range(3):
        devices.play()
    devices.both(11)
    assert devices.lags[-1] == RESERVE
    assert devices.queue.n_gaps == 0


@pytest.mark.parametrize("paused", ["loudspeaker", "microphone"])
def test_a_long_pause_of_a_device_is_a_gap(paused: str) -> None:
    devices = Devices()
    devices.both(3)
    for _ in range(50):
        devices.record() if paused == "loudspeaker" else devices.play()
    devices.both(2)
    assert devices.queue.n_gaps == 1
    assert devices.lags[-1] == RESERVE


@pytest.mark.parametrize("ppm", [100, -100, 200, -200])
def test_clocks_that_differ_keep_a_reserve_and_lose_no_reference(ppm: int) -> None:
    devices = Devices()
    for n in range(600 * 50):
        while devices.n_played < (n + 1) * (CHUNK // 2) * (1 + ppm * 1e-6):
            devices.play(CHUNK // 4)
        devices.record()
    assert devices.queue.n_late_samples == 0
    assert devices.queue.n_gaps == 0
    # The last buffer may be half used.
    assert max(devices.lags) <= 55 * MS
    assert bool(devices.queue.n_delayed) is (ppm < 0)
    assert bool(devices.queue.n_disturbances) is (ppm > 0)


def test_buffers_that_overtake_each_other_are_no_drift() -> None:
    queue = ReferenceQueue(0.02)
    for number in range(6):  # ten seconds each: a buffer comes before the microphone's chunk, or just after it
        queue.put(bytes(2 * (30 if number % 2 else 10) * MS))
        queue.take(2 * 20 * MS)
        for _ in range(500):
            queue.put(bytes(2 * 20 * MS))
            queue.take(2 * 20 * MS)
    assert (queue.n_late_samples, queue.n_delayed, queue.n_disturbances) == (0, 0, 0)


PATTERNS = {"even": [1], "in pairs": [2, 0], "in fours": [0, 0, 0, 4], "as PipeWire does": [1, 2, 0, 1, 1, 0, 2, 1]}
"""How many buffers of 20 ms the loudspeaker takes before each chunk of the microphone, over and over."""


@pytest.mark.parametrize("name", PATTERNS)
def test_uneven_buffers_are_all_used_in_order(name: str) -> None:
    devices, pattern = Devices(), PATTERNS[name]
    for n in range(500):
        for _ in range(pattern[n % len(pattern)]):
            devices.play()
        devices.record()
    late = devices.queue.n_late_samples
    taken = b""
    for n in range(500, 1_000):
        for _ in range(pattern[n % len(pattern)]):
            devices.play()
        taken += devices.record()
    assert devices.queue.n_late_samples == late, name
    steps = np.diff(np.frombuffer(taken, "<i2").astype(int)) % 30_000
    assert set(steps) == {1}, name
    assert max(devices.lags[-200:]) <= 90 * MS, name


@pytest.mark.parametrize("from_hz", [16_000, 24_000, 44_100, 48_000])
def test_the_reference_is_resampled_without_a_noticeable_delay(from_hz: int) -> None:
    t = np.arange(from_hz) / from_hz
    tone = (10_000 * np.sin(2 * np.pi * 1_000 * t)).astype("<i2").tobytes()
    resampler, size = LowDelayResampler(from_hz), 2 * (from_hz // 100)
    pieces = [resampler.feed(tone[start : start + size]) for start in range(0, len(tone), size)]
    lengths = [len(piece) // 2 for piece in pieces]
    assert max(lengths) - min(lengths) <= 1
    assert abs(sum(lengths) - INPUT.rate_hz) <= 1
    output = np.frombuffer(b"".join(pieces), "<i2").astype(float)[160:]
    n = np.arange(160, 160 + len(output)) / INPUT.rate_hz
    sine, cosine = np.sin(2 * np.pi * 1_000 * n), np.cos(2 * np.pi * 1_000 * n)
    in_phase, quadrature = 2 * np.mean(output * sine), 2 * np.mean(output * cosine)
    assert np.hypot(in_phase, quadrature) == pytest.approx(10_000, rel=0.01)
    turns = -np.arctan2(quadrature, in_phase) / (2 * np.pi)
    delay_s = ((turns + 0.01) % 1 - 0.01) / 1_000
    assert delay_s <= 0.00075
    assert np.std(output - in_phase * sine - quadrature * cosine) < 5


def test_frequencies_that_the_canceller_cannot_use_are_filtered_out() -> None:
    t = np.arange(OUTPUT.rate_hz) / OUTPUT.rate_hz
    tone = (10_000 * np.sin(2 * np.pi * 10_000 * t)).astype("<i2").tobytes()
    output = np.frombuffer(LowDelayResampler(OUTPUT.rate_hz).feed(tone), "<i2").astype(float)
    assert np.std(output[100:]) < 10_000 / np.sqrt(2) / 100
