"""Microphone and speaker on a sound card that the test moves by hand."""

import asyncio
import builtins
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from gemini_live.audio.buffers import PlayoutBuffer
from gemini_live.audio.portaudio import AudioSystem, Microphone, Speaker, list_devices
from gemini_live.errors import DeviceError, MissingExtraError
from tests.fakes import FakeDevice, FakePyAudio
from tests.rig.analysis import examine_tone, make_tone

CHECK_S = 0.005


@pytest.fixture
async def system(fake_pyaudio: FakePyAudio) -> AsyncIterator[AudioSystem]:
    async with AudioSystem(check_s=60) as system:
        yield system


def ignore(_: Any) -> None:
    """Take what is of no interest."""


async def start_microphone(system: AudioSystem, offer: Any = ignore, on_lost: Any = ignore) -> Microphone:
    microphone = await system.open_microphone(None, offer, on_lost)
    await microphone.start()
    return microphone


async def start_speaker(
    system: AudioSystem, on_lost: Any = ignore, on_played: Any = None
) -> tuple[Speaker, PlayoutBuffer]:
    buffer = PlayoutBuffer()
    speaker = await system.open_speaker(None, buffer, on_lost, on_played)
    await speaker.start()
    return speaker, buffer


async def settle() -> None:
    """Let the loop handle what other threads have posted so far."""
    await asyncio.sleep(0)


async def wait_until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - it is the loop's own clock and timers that are waited for
            await asyncio.sleep(CHECK_S)


# Opening


async def test_devices_are_opened_without_being_started(system: AudioSystem, fake_pyaudio: FakePyAudio) -> None:
    microphone = await system.open_microphone(None, ignore, ignore)
    speaker = await system.open_speaker(None, PlayoutBuffer(), ignore)
    assert (microphone.rate_hz, microphone.channels, fake_pyaudio.microphone.n_frames) == (16_000, 1, 320)
    assert (speaker.rate_hz, speaker.channels, fake_pyaudio.speaker.n_frames) == (24_000, 1, 240)
    assert "start_stream" not in fake_pyaudio.calls


@pytest.mark.parametrize(
    ("device", "opened"),
    [
        (FakeDevice(rates_hz=(44_100, 48_000)), (48_000, 1)),
        (FakeDevice(rates_hz=(44_100,)), (44_100, 1)),
        (FakeDevice(rates_hz=(22_050,), default_rate_hz=22_050), (22_050, 1)),
        (FakeDevice(channels=(2,)), (24_000, 2)),
        (FakeDevice(channels=(2,), rates_hz=(96_000,), default_rate_hz=96_000), (96_000, 2)),
        (FakeDevice(channels=(6,), output_channels=6), (24_000, 6)),
    ],
)
async def test_a_device_is_opened_with_its_own_rate_and_channels(
    monkeypatch: pytest.MonkeyPatch, device: FakeDevice, opened: tuple[int, int]
) -> None:
    fake = FakePyAudio(device)
    monkeypatch.setitem(sys.modules, "pyaudio", fake)
    async with AudioSystem() as system:
        speaker = await system.open_speaker(None, PlayoutBuffer(), ignore)
        assert (speaker.rate_hz, speaker.channels) == opened
        assert fake.speaker.n_frames == round(opened[0] / 100)


async def test_a_device_that_refuses_every_format_is_an_error_with_portaudios_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", FakePyAudio(FakeDevice("Odd", rates_hz=(1,))))
    async with AudioSystem() as system:
        with pytest.raises(DeviceError, match=r"^the microphone 'Odd' cannot be opened: Invalid sample rate$"):
            await system.open_microphone(None, ignore, ignore)


async def test_a_device_that_does_not_start_is_an_error(system: AudioSystem, fake_pyaudio: FakePyAudio) -> None:
    microphone = await system.open_microphone(None, ignore, ignore)
    fake_pyaudio.start_error = OSError(-9985, "Device unavailable")
    with pytest.raises(DeviceError, match=r"^the microphone 'Fake' does not start: Device unavailable$"):
        await microphone.start()


async def test_an_unknown_device_is_an_error(system: AudioSystem) -> None:
    with pytest.raises(DeviceError, match="no loudspeaker 'nope'"):
        await system.open_speaker("nope", PlayoutBuffer(), ignore)


async def test_a_machine_without_devices_opens_but_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePyAudio()
    fake.devices = ()
    monkeypatch.setitem(sys.modules, "pyaudio", fake)
    async with AudioSystem() as system:
        assert system.devices() == ()
        with pytest.raises(DeviceError, match="this machine has no microphone"):
            await system.open_microphone(None, ignore, ignore)


async def test_devices_carry_what_the_list_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    odd_name = FakeDevice("Line\r\nbreak", host_api=1, input_channels=0, default_rate_hz=48_000)
    monkeypatch.setitem(sys.modules, "pyaudio", FakePyAudio(FakeDevice(), odd_name))
    async with AudioSystem() as system:
        first, second = system.devices()
    assert sorted(first.default_for) == ["input", "output"]
    assert (second.index, second.name, second.host_api) == (1, "Line break", "OtherAPI")
    assert (second.input_channels, second.output_channels, second.default_rate_hz) == (0, 2, 48_000)
    assert (first.is_of_default_api, second.is_of_default_api, second.default_for) == (True, False, frozenset())


async def test_without_pyaudio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(MissingExtraError, match=r"gemini-live\[audio\]"):
        await AudioSystem().open()


async def test_a_pyaudio_that_does_not_load_is_a_device_error_and_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import_module = builtins.__import__

    def fail(name: str, *args: Any) -> Any:
        if name == "pyaudio":
            print("Could not import the PyAudio C module 'pyaudio._portaudio'.")
            raise ImportError("libportaudio.so.2: cannot open shared object file")
        return import_module(name, *args)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(DeviceError, match=r"libportaudio.so.2.*apt-get install libportaudio2"):
        await AudioSystem().open()
    assert capfd.readouterr().out == ""


async def test_portaudio_that_does_not_start_is_a_device_error(
    fake_pyaudio: FakePyAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(-10_000, "PortAudio not initialized")

    monkeypatch.setattr(fake_pyaudio, "PyAudio", fail)
    system = AudioSystem()
    with pytest.raises(DeviceError, match=r"^the sound system does not start: PortAudio not initialized$"):
        await system.open()
    await system.close()


async def test_the_devices_are_listed_by_the_sound_system_that_runs_or_by_one_for_that(
    system: AudioSystem, fake_pyaudio: FakePyAudio
) -> None:
    assert "Fake" in await list_devices(system)
    assert fake_pyaudio.calls.count("PyAudio") == 1
    assert await list_devices(None) == await list_devices(system)
    assert (fake_pyaudio.calls.count("PyAudio"), fake_pyaudio.calls.count("terminate")) == (2, 1)


# The microphone


async def test_the_microphone_offers_20_ms_chunks_on_the_loop(system: AudioSystem, fake_pyaudio: FakePyAudio) -> None:
    chunks: list[bytes] = []
    threads = set()

    def offer(chunk: bytes) -> None:
        chunks.append(chunk)
        threads.add(threading.current_thread())

    await start_microphone(system, offer)
    pcm = make_tone(440, 0.2, 16_000).tobytes()
    fake_pyaudio.feed(pcm)
    assert chunks == []
    await settle()
    assert b"".join(chunks) == pcm
    assert {len(chunk) for chunk in chunks} == {640}
    assert threads == {threading.current_thread()}


async def test_a_stereo_microphone_of_another_rate_is_heard_right(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePyAudio(FakeDevice(rates_hz=(44_100,), channels=(2,)))
    monkeypatch.setitem(sys.modules, "pyaudio", fake)
    chunks: list[bytes] = []
    async with AudioSystem() as system:
        await start_microphone(system, chunks.append)
        fake.feed(np.repeat(make_tone(440, 1.0, 44_100), 2).tobytes())
        await settle()
    assert {len(chunk) for chunk in chunks} == {640}
    report = examine_tone(np.frombuffer(b"".join(chunks), np.int16), 16_000, 440)
    assert (report.n_phase_jumps, report.n_gaps) == (0, 0)
    assert report.duration_s == pytest.approx(1.0, abs=0.06)


async def test_a_stopped_microphone_drops_audio_that_was_posted_before(
    system: AudioSystem, fake_pyaudio: FakePyAudio
) -> None:
    chunks: list[bytes] = []
    microphone = await start_microphone(system, chunks.append)
    fake_pyaudio.feed(bytes(6400))
    stopping = asyncio.ensure_future(microphone.stop())
    await stopping
    await settle()
    assert len(chunks) <= 10
    n_chunks = len(chunks)
    microphone._receive(bytes(640))
    assert len(chunks) == n_chunks
    assert not microphone.is_open


async def test_lost_audio_is_counted(system: AudioSystem, fake_pyaudio: FakePyAudio) -> None:
    microphone = await start_microphone(system)
    fake_pyaudio.microphone.call(bytes(640), flags=2)
    fake_pyaudio.microphone.call(bytes(640), flags=0)
    await settle()
    assert microphone.n_xruns == 1


# The speaker


async def test_the_speaker_plays_audio_that_is_written_in_any_pieces(
    system: AudioSystem, fake_pyaudio: FakePyAudio
) -> None:
    speaker, _ = await start_speaker(system)
    pcm = make_tone(440, 0.1, 24_000).tobytes()
    for start in range(0, len(pcm), 333):
        speaker.write(pcm[start : start + 333], 24_000)
    for _ in range(10):
        fake_pyaudio.pull()
    assert fake_pyaudio.played == pcm


async def test_a_speaker_keeps_ten_minutes_of_speech_and_reports_what_it_drops(
    system: AudioSystem, fake_pyaudio: FakePyAudio
) -> None:
    speaker, _ = await start_speaker(system)
    n_dropped = 0

    def count() -> None:
        nonlocal n_dropped
        n_dropped += 1

    speaker.on_full = count
    for _ in range(1_250):  # 12,500 s: 600 MB
        speaker.write(bytes(480_000), 24_000)
    assert 600 <= speaker.queued_s <= 611
    assert n_dropped == 1_250 - 60
    speaker.clear()
    speaker.write(bytes(480_000), 24_000)
    assert n_dropped == 1_250 - 60


async def test_the_speaker_plays_silence_if_nothing_is_queued(system: AudioSystem, fake_pyaudio: FakePyAudio) -> None:
    await start_speaker(system)
    assert fake_pyaudio.pull(480) == bytes(960)


@pytest.mark.parametrize("device", [FakeDevice(), FakeDevice(rates_hz=(48_000,), channels=(2,))])
async def test_a_sound_that_ends_inside_a_buffer_does_not_click(
    monkeypatch: pytest.MonkeyPatch, device: FakeDevice
) -> None:
    fake = FakePyAudio(device)
    monkeypatch.setitem(sys.modules, "pyaudio", fake)
    async with AudioSystem() as system:
        speaker, _ = await start_speaker(system)
        # A quarter of a wave more than whole ones: it ends at its loudest.
        speaker.write(make_tone(100, 0.0525, 24_000, amplitude=20_000).tobytes(), 24_000)
        for _ in range(14):
            fake.pull()
            await settle()
        track = np.frombuffer(fake.played, np.int16)[:: speaker.channels].astype(int)
    assert np.abs(track).max() > 19_000
    assert np.abs(np.diff(track)).max() < 1_000
    assert not track[-480:].any()


async def test_a_speaker_of_another_rate_plays_to_the_last_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePyAudio(FakeDevice(rates_hz=(48_000,), channels=(2,)))
    monkeypatch.setitem(sys.modules, "pyaudio", fake)
    async with AudioSystem() as system:
        speaker, _ = await start_speaker(system)
        pcm = make_tone(440, 1.0, 24_000).tobytes()
        for start in range(0, len(pcm), 9_601):
            speaker.write(pcm[start : start + 9_601], 24_000)
        while speaker.queued_s > speaker.latency_s or speaker._converter.withholds:
            fake.pull()
            await settle()
        for _ in range(3):
            fake.pull()
    left, right = np.frombuffer(fake.played, np.int16).reshape(-1, 2).T
    assert np.array_equal(left, right)
    report = examine_tone(left, 48_000, 440)
    assert (report.n_phase_jumps, report.n_gaps) == (0, 0)
    assert report.duration_s == pytest.approx(1.0, abs=0.004)


async def test_clear_is_silent_at_once_and_without_a_click(system: AudioSystem, fake_pyaudio: FakePyAudio) -> None:
    speaker, buffer = await start_speaker(system)
    speaker.write(make_tone(100, 1.0, 24_000, amplitude=20_000).tobytes() + b"x", 24_000)
    fake_pyaudio.pull()
    speaker.clear()
    assert buffer.n_bytes == 0
    fake_pyaudio.pull()
    assert fake_pyaudio.pull() == bytes(480)
    track = np.frombuffer(fake_pyaudio.played, np.int16).astype(int)
    assert np.abs(np.diff(track)).max() < 1_000
    assert not track[240 + 60 :].any()
    speaker.write(b"\x12\x01", 24_000)
    assert fake_pyaudio.pull(1) == b"\x12\x01"


async def test_after_clear_no_audio_comes_out_of_the_resampler(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePyAudio(FakeDevice(rates_hz=(48_000,)))
    monkeypatch.setitem(sys.modules, "pyaudio", fake)
    async with AudioSystem() as system:
        speaker, _ = await start_speaker(system)
        speaker.write(make_tone(440, 0.05, 24_000, amplitude=30_000).tobytes(), 24_000)
        speaker.clear()
        fake.pull()
        n_played = len(fake.played)
        speaker.write(bytes(9_600), 24_000)
        for _ in range(10):
            fake.pull()
            await settle()
    assert np.abs(np.frombuffer(fake.played[n_played:], np.int16).astype(int)).max() <= 1


async def test_queued_s_is_the_queued_audio_and_the_devices_delay(
    system: AudioSystem, fake_pyaudio: FakePyAudio
) -> None:
    speaker, _ = await start_speaker(system)
    assert speaker.latency_s == pytest.approx(0.05)
    assert speaker.queued_s == 0
    speaker.write(bytes(4_800), 24_000)
    assert speaker.queued_s == pytest.approx(0.15)
    for _ in range(9):
        fake_pyaudio.pull()
        await settle()
    assert speaker.queued_s == pytest.approx(0.06)
    fake_pyaudio.pull()
    await settle()
    assert 0.0 < speaker.queued_s <= 0.05
    await wait_until(lambda: not speaker.queued_s)


async def test_a_speaker_has_run_dry_after_the_device_asked_for_more_than_was_queued(
    system: AudioSystem, fake_pyaudio: FakePyAudio
) -> None:
    speaker, _ = await start_speaker(system)
    dry = [speaker.is_dry]  # it has played nothing yet
    speaker.write(bytes(960), 24_000)
    for _ in range(4):
        dry.append(speaker.is_dry)
        fake_pyaudio.pull()
    dry.append(speaker.is_dry)
    speaker.write(bytes(960), 24_000)
    dry.append(speaker.is_dry)
    assert dry == [True, False, False, False, True, True, False]


async def test_a_speaker_tells_when_sound_begins_ends_and_is_discarded(
    system: AudioSystem, fake_pyaudio: FakePyAudio
) -> None:
    speaker, _ = await start_speaker(system)
    told: list[tuple[str, float]] = []
    speaker.on_playback = lambda event, seconds: told.append((event, round(seconds, 3)))

    async def pull(n: int) -> None:
        for _ in range(n):
            fake_pyaudio.pull()
            await settle()

    await pull(2)
    speaker.write(bytes(960), 24_000)
    assert told == []  # the device has not taken it yet
    await pull(1)
    assert told == [("first_sound", 0.05)]
    await pull(3)
    assert told[1:] == [("playback_ended", 0.05)]
    speaker.write(bytes(9_600), 24_000)
    await pull(1)
    speaker.clear()
    await pull(2)
    assert told[2:] == [("first_sound", 0.05), ("playback_cleared", 0.19)]


async def test_a_cleared_speaker_has_run_dry(system: AudioSystem, fake_pyaudio: FakePyAudio) -> None:
    speaker, _ = await start_speaker(system)
    speaker.write(bytes(9_600), 24_000)
    fake_pyaudio.pull()
    before = speaker.is_dry
    speaker.clear()
    assert (before, speaker.is_dry) == (False, True)


async def test_after_clear_only_the_devices_delay_is_left(system: AudioSystem, fake_pyaudio: FakePyAudio) -> None:
    speaker, _ = await start_speaker(system)
    speaker.clear()
    assert speaker.queued_s == 0
    speaker.write(bytes(48_000), 24_000)
    fake_pyaudio.pull()
    speaker.clear()
    assert 0.0 < speaker.queued_s <= 0.06


async def test_the_played_audio_is_reported_in_mono(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakePyAudio(FakeDevice(channels=(2,)))
    monkeypatch.setitem(sys.modules, "pyaudio", fake)
    told: list[bytes] = []
    async with AudioSystem() as system:
        speaker, _ = await start_speaker(system, on_played=told.append)
        pcm = make_tone(440, 0.03, 24_000).tobytes()
        speaker.write(pcm, 24_000)
        for _ in range(4):
            fake.pull()
        await settle()
    assert b"".join(told)[: len(pcm)] == pcm
    assert len(b"".join(told)) == 4 * 480


async def test_the_loop_is_woken_only_at_the_end_of_the_audio(
    system: AudioSystem, fake_pyaudio: FakePyAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker, _ = await start_speaker(system)
    speaker.write(bytes(9_600), 24_000)
    read_at: list[int] = []
    handle = speaker._after_read

    def count(pcm: bytes) -> None:
        read_at.append(len(fake_pyaudio.played))
        handle(pcm)

    monkeypatch.setattr(speaker, "_after_read", count)
    for _ in range(30):
        fake_pyaudio.pull()
        await settle()
    assert read_at == [20 * 480]


async def test_played_and_heard_arrive_in_the_order_in_which_they_happened(
    system: AudioSystem, fake_pyaudio: FakePyAudio
) -> None:
    order: list[str] = []
    await start_microphone(system, lambda _: order.append("heard"))
    await start_speaker(system, on_played=lambda _: order.append("played"))
    for _ in range(3):
        fake_pyaudio.pull()
        fake_pyaudio.feed(bytes(640))
    await settle()
    assert order == ["played", "heard"] * 3


async def test_a_closed_speaker_drops_audio(system: AudioSystem) -> None:
    speaker, buffer = await start_speaker(system)
    await speaker.stop()
    speaker.write(bytes(4_800), 24_000)
    speaker.clear()
    assert (buffer.n_bytes, speaker.queued_s, speaker.latency_s) == (0, 0, 0)


# Devices that go away


async def test_an_unplugged_device_is_reported_once_and_closed(fake_pyaudio: FakePyAudio) -> None:
    reasons: list[str] = []
    async with AudioSystem(check_s=CHECK_S) as system:
        speaker, _ = await start_speaker(system, on_lost=reasons.append)
        fake_pyaudio.speaker.lose()
        await wait_until(lambda: bool(reasons))
        await asyncio.sleep(5 * CHECK_S)
        assert reasons == [
            "the loudspeaker 'Fake' is gone: it was unplugged, or its sound server has ended",
        ]
        assert not speaker.is_open
        assert fake_pyaudio.speaker.is_closed


async def test_a_device_whose_state_cannot_be_read_counts_as_unplugged(
    fake_pyaudio: FakePyAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> bool:
        raise OSError(-9988, "Invalid stream pointer")

    reasons: list[str] = []
    async with AudioSystem(check_s=CHECK_S) as system:
        await start_microphone(system, on_lost=reasons.append)
        monkeypatch.setattr(fake_pyaudio.microphone, "is_active", fail)
        await wait_until(lambda: bool(reasons))
    assert reasons == ["the microphone 'Fake' is gone: it was unplugged, or its sound server has ended"]


async def test_a_device_that_is_silent_for_five_checks_is_lost(fake_pyaudio: FakePyAudio) -> None:
    reasons: list[str] = []
    async with AudioSystem(check_s=CHECK_S) as system:
        await start_microphone(system, on_lost=reasons.append)
        fake_pyaudio.feed(bytes(640))
        await wait_until(lambda: bool(reasons))
        assert reasons == ["the microphone 'Fake' has stopped: it has not delivered or asked for audio for seconds"]


async def test_a_device_that_is_busy_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", FakePyAudio(paced=True))
    reasons: list[str] = []
    async with AudioSystem(check_s=0.04) as system:
        await start_microphone(system, on_lost=reasons.append)
        await start_speaker(system, on_lost=reasons.append)
        await asyncio.sleep(0.5)
    assert reasons == []


async def test_a_stopped_device_is_no_longer_watched(fake_pyaudio: FakePyAudio) -> None:
    reasons: list[str] = []
    async with AudioSystem(check_s=CHECK_S) as system:
        microphone = await start_microphone(system, on_lost=reasons.append)
        await microphone.stop()
        await microphone.stop()
        await asyncio.sleep(15 * CHECK_S)
    assert reasons == []


# The end


async def test_closing_ends_streams_and_portaudio(fake_pyaudio: FakePyAudio) -> None:
    system = AudioSystem()
    await system.open()
    await start_microphone(system)
    await start_speaker(system)
    await system.close()
    assert fake_pyaudio.calls[-5:] == ["stop_stream", "close", "stop_stream", "close", "terminate"]
    await system.close()
    assert fake_pyaudio.calls.count("terminate") == 1


async def test_close_without_open_does_nothing() -> None:
    await AudioSystem().close()


async def test_a_device_that_hangs_when_stopped_is_abandoned(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.hung.clear()
    system = AudioSystem(stop_timeout_s=0.05)
    await system.open()
    microphone = await start_microphone(system)
    await start_speaker(system)
    waiting = await system.open_microphone(None, ignore, ignore)
    started_s = asyncio.get_running_loop().time()
    await microphone.stop()
    with pytest.raises(DeviceError, match=r"^the microphone 'Fake' does not start: it does not respond$"):
        await waiting.start()
    await system.close()
    assert asyncio.get_running_loop().time() - started_s < 1.0
    assert fake_pyaudio.calls.count("stop_stream") == 1
    fake_pyaudio.hung.set()


async def test_a_callback_after_the_loop_has_ended_is_harmless(fake_pyaudio: FakePyAudio) -> None:
    def run_and_leave() -> None:
        async def open_only() -> None:
            system = AudioSystem(check_s=60)
            await system.open()
            await start_microphone(system)
            await start_speaker(system)

        asyncio.run(open_only())
        fake_pyaudio.feed(bytes(640))
        assert fake_pyaudio.pull() == bytes(480)

    await asyncio.to_thread(run_and_leave)
