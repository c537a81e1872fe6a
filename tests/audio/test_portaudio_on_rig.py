"""Microphone and speaker on real PortAudio and virtual cards: what is played is captured, what is fed is heard."""

import asyncio
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gemini_live.audio.buffers import PlayoutBuffer
from gemini_live.audio.portaudio import AudioSystem, Speaker
from gemini_live.errors import DeviceError
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
    write_wav,
)
from tests.rig.virtual_audio import VirtualAudio
from tests.rig.virtual_card import VirtualCard

pytestmark = pytest.mark.rig

SENTENCE = "The quick brown fox jumps."
MakeCard = Callable[..., VirtualCard]
Speak = Callable[[str, int], Samples]


async def play(speaker: Speaker, pcm: bytes, *, burst_bytes: int = 9_601, pause_s: float = 0.02) -> None:
    """Write `pcm` in bursts that split samples, ten times as fast as it is played; wait for the last sound."""
    for start in range(0, len(pcm), burst_bytes):
        speaker.write(pcm[start : start + burst_bytes], 24_000)
        await asyncio.sleep(pause_s)
    await play_out(speaker)


async def play_out(speaker: Speaker) -> None:
    async with asyncio.timeout(30):
        while speaker.queued_s:  # noqa: ASYNC110 - it is real time that is waited for
            await asyncio.sleep(0.01)


def ignore(_: object) -> None:
    """Take what is of no interest."""


async def start_speaker(system: AudioSystem, lost: list[str]) -> tuple[Speaker, PlayoutBuffer]:
    buffer = PlayoutBuffer()
    speaker = await system.open_speaker(None, buffer, lost.append)
    await speaker.start()
    return speaker, buffer


def join(chunks: list[bytes]) -> np.ndarray:
    assert {len(chunk) for chunk in chunks} == {640}
    return np.frombuffer(b"".join(chunks), np.int16)


async def test_a_tone_is_played_without_a_gap_or_a_repeated_sample(virtual_audio: VirtualAudio, tmp_path: Path) -> None:
    lost: list[str] = []
    async with AudioSystem() as system:
        speaker, _ = await start_speaker(system, lost)
        with virtual_audio.record(tmp_path / "played.wav"):
            await play(speaker, make_tone(440, 5.0, 24_000).tobytes())
    report = examine_tone(*read_wav(tmp_path / "played.wav"), 440)
    assert (report.n_gaps, report.n_phase_jumps) == (0, 0), report
    assert report.duration_s == pytest.approx(5.0, abs=0.004)
    assert report.frequency_hz == pytest.approx(440, abs=0.05)
    assert lost == []


async def test_a_sentence_is_heard_in_chunks_of_20_ms(
    virtual_audio: VirtualAudio, speak: Speak, tmp_path: Path
) -> None:
    chunks: list[bytes] = []
    sentence = speak(SENTENCE, 48_000)
    write_wav(tmp_path / "sentence.wav", sentence, 48_000)
    async with AudioSystem() as system:
        microphone = await system.open_microphone(None, chunks.append, pytest.fail)
        await microphone.start()
        await asyncio.to_thread(virtual_audio.feed, tmp_path / "sentence.wav")
        await asyncio.sleep(0.2)
    heard = join(chunks)
    assert find(resample(sentence, 48_000, 16_000), heard, 16_000).correlation >= 0.95


async def test_an_echo_comes_back_delayed_and_softer(virtual_audio: VirtualAudio) -> None:
    chunks: list[bytes] = []
    async with AudioSystem() as system:
        microphone = await system.open_microphone(None, chunks.append, pytest.fail)
        speaker, _ = await start_speaker(system, [])
        with virtual_audio.echo(delay_ms=60, gain=0.4):
            await microphone.start()
            await play(speaker, make_tone(440, 0.5, 24_000).tobytes())
            await asyncio.sleep(0.2)
    match = find(make_tone(440, 0.45, 16_000), join(chunks), 16_000)
    assert match.correlation > 0.95
    assert match.gain == pytest.approx(0.4, abs=0.1)


async def test_clear_is_silence_at_the_speaker_in_a_tenth_of_a_second(virtual_audio: VirtualAudio) -> None:
    delays_ms = []
    async with AudioSystem() as system:
        speaker, _ = await start_speaker(system, [])
        with virtual_audio.tap() as tap:
            for _ in range(6):
                speaker.write(make_tone(440, 2.0, 24_000).tobytes(), 24_000)
                await asyncio.to_thread(tap.wait_for_sound)
                await asyncio.sleep(0.1)
                cleared_s = time.monotonic()
                speaker.clear()
                delays_ms.append(1000 * (await asyncio.to_thread(tap.wait_for_silence) - cleared_s))
    print(f"clear to silence: median {statistics.median(delays_ms):.0f} ms, worst {max(delays_ms):.0f} ms")
    assert statistics.median(delays_ms) < 120
    assert max(delays_ms) < 250


async def test_a_card_that_refuses_our_rates_is_opened_at_its_own(vcard: MakeCard, speak: Speak) -> None:
    sentence = speak(SENTENCE, 48_000)
    card = vcard(np.pad(sentence, (9_600, 9_600)).tobytes(), min_rate=44_100, patience_ms=2_000)
    chunks: list[bytes] = []
    async with AudioSystem() as system:
        microphone = await system.open_microphone(None, chunks.append, pytest.fail)
        speaker, _ = await start_speaker(system, [])
        assert (microphone.rate_hz, speaker.rate_hz) == (48_000, 48_000)
        await microphone.start()
        await play(speaker, make_tone(440, 1.0, 24_000).tobytes())
        await asyncio.sleep(len(sentence) / 48_000 - 0.5)
    assert find(resample(sentence, 48_000, 16_000), join(chunks), 16_000).correlation > 0.98
    report = examine_tone(np.frombuffer(card.played, np.int16), 48_000, 440)
    assert (report.n_gaps, report.n_phase_jumps) == (0, 0), report
    assert report.duration_s == pytest.approx(1.0, abs=0.006)


async def test_a_card_of_44_1_khz_and_two_channels_plays_on_both(vcard: MakeCard) -> None:
    card = vcard(min_rate=44_100, max_rate=44_100, min_channels=2, patience_ms=2_000)
    async with AudioSystem() as system:
        speaker, _ = await start_speaker(system, [])
        assert speaker.rate_hz == 44_100
        await play(speaker, make_tone(440, 0.5, 24_000).tobytes())
    left, right = np.frombuffer(card.played, np.int16).reshape(-1, 2).T
    assert np.array_equal(left, right)
    report = examine_tone(left, 44_100, 440)
    assert (report.n_gaps, report.n_phase_jumps) == (0, 0), report
    assert report.duration_s == pytest.approx(0.5, abs=0.006)


async def test_cards_are_listed_and_chosen_by_name(vcard: MakeCard) -> None:
    vcard(names=("default", "headset", "camera"))
    async with AudioSystem() as system:
        assert {device.name for device in system.devices()} == {"default", "headset", "camera"}
        microphone = await system.open_microphone("HEAD", ignore, ignore)
        assert microphone.device.name == "headset"
        with pytest.raises(DeviceError, match="no loudspeaker 'hdmi'; choose one: "):
            await system.open_speaker("hdmi", PlayoutBuffer(), pytest.fail)


async def test_a_machine_without_a_card_has_no_devices(vcard: MakeCard) -> None:
    vcard(names=())
    async with AudioSystem() as system:
        with pytest.raises(DeviceError, match=r"^this machine has no microphone$"):
            await system.open_microphone(None, ignore, ignore)
        with pytest.raises(DeviceError, match=r"^this machine has no loudspeaker$"):
            await system.open_speaker(None, PlayoutBuffer(), pytest.fail)


@pytest.mark.parametrize("duration_s", [2, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(400)])])
async def test_no_frame_of_a_counter_is_lost_or_out_of_order(vcard: MakeCard, duration_s: int) -> None:
    vcard(make_counter(16_000 * duration_s), patience_ms=2_000)
    chunks: list[bytes] = []
    async with AudioSystem() as system:
        microphone = await system.open_microphone(None, chunks.append, pytest.fail)
        await start_speaker(system, [])
        await microphone.start()
        async with asyncio.timeout(duration_s + 30):
            while len(chunks) < 50 * (duration_s + 0.2):  # noqa: ASYNC110 - it is real time that is waited for
                await asyncio.sleep(0.05)
        assert microphone.n_xruns == 0
    report = examine_counter(b"".join(chunks))
    assert (report.first, report.n_frames, report.n_breaks) == (1, 16_000 * duration_s, 0)


# Devices that go away


async def wait_until_lost(lost: list[str], n_devices: int) -> float:
    started_s = time.monotonic()
    async with asyncio.timeout(10):
        while len(lost) < n_devices:  # noqa: ASYNC110 - it is real time that is waited for
            await asyncio.sleep(0.02)
    return time.monotonic() - started_s


async def test_a_sound_server_that_dies_is_noticed_in_a_second(virtual_audio: VirtualAudio) -> None:
    lost: list[str] = []
    system = AudioSystem()
    await system.open()
    microphone = await system.open_microphone(None, ignore, lost.append)
    speaker, _ = await start_speaker(system, lost)
    await microphone.start()
    speaker.write(make_tone(440, 2.0, 24_000).tobytes(), 24_000)
    await asyncio.sleep(0.2)
    virtual_audio.kill()
    assert await wait_until_lost(lost, 2) < 2.0
    cpu_s = time.process_time()
    await asyncio.sleep(0.5)
    assert time.process_time() - cpu_s < 0.25
    assert sorted(reason.split(":")[0] for reason in lost) == [
        "the loudspeaker 'default' is gone",
        "the microphone 'default' is gone",
    ]
    assert speaker.queued_s == 0
    await system.close()


@pytest.mark.parametrize("device", ["speaker", "mic"])
async def test_sound_continues_when_the_server_moves_it_to_another_device(
    virtual_audio: VirtualAudio, device: str
) -> None:
    lost: list[str] = []
    n_heard = 0

    def count(_: bytes) -> None:
        nonlocal n_heard
        n_heard += 1

    system = AudioSystem()
    await system.open()
    microphone = await system.open_microphone(None, count, lost.append)
    speaker, _ = await start_speaker(system, lost)
    await microphone.start()
    virtual_audio.unplug(device)
    n_heard = 0
    await play(speaker, make_tone(440, 0.5, 24_000).tobytes())
    assert lost == []
    assert n_heard > 15
    await system.close()


async def test_a_sound_server_that_hangs_does_not_block_the_loop(virtual_audio: VirtualAudio) -> None:
    lost: list[str] = []
    system = AudioSystem(check_s=0.1)
    await system.open()
    microphone = await system.open_microphone(None, ignore, lost.append)
    await microphone.start()
    await asyncio.sleep(0.3)
    with virtual_audio.frozen():
        assert await wait_until_lost(lost, 1) < 1.5
        assert lost == ["the microphone 'default' has stopped: it has not delivered or asked for audio for seconds"]
        closing_s = time.monotonic()
        await system.close()
        assert time.monotonic() - closing_s < 1.5


# What is printed, and how a program ends: in a process of its own


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(program), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


PLAY_AND_HEAR = """
    import asyncio, sys
    from gemini_live.audio.portaudio import AudioSystem
    from gemini_live.audio.buffers import PlayoutBuffer

    async def main():
        async with AudioSystem() as system:
            lost = []
            if system.devices():
                microphone = await system.open_microphone(None, lambda _: None, lost.append)
                speaker = await system.open_speaker(None, PlayoutBuffer(), lost.append)
                await microphone.start()
                await speaker.start()
                print("started", flush=True)
                await asyncio.to_thread(sys.stdin.readline)
                while len(lost) < int(sys.argv[1]):
                    await asyncio.sleep(0.05)

    asyncio.run(main())
"""


def test_nothing_is_printed_where_there_is_no_sound_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULSE_SERVER", raising=False)
    done = run(PLAY_AND_HEAR, "0")
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_printed_by_a_card_that_refuses(vcard: MakeCard) -> None:
    vcard(min_rate=44_100)
    done = run(PLAY_AND_HEAR, "0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")


def test_nothing_is_printed_when_the_server_dies(virtual_audio: VirtualAudio) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(PLAY_AND_HEAR), "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        virtual_audio.kill()
        stdout, stderr = process.communicate("\n", timeout=20)
    assert (process.returncode, stdout, stderr) == (0, "", "")


def test_a_program_ends_though_its_sound_server_hangs(virtual_audio: VirtualAudio) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PLAY_AND_HEAR), "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        with virtual_audio.frozen():
            started_s = time.monotonic()
            _, stderr = process.communicate("\n", timeout=20)
    assert time.monotonic() - started_s < 4.0
    assert (process.returncode, stderr) == (0, "")


def test_the_microphone_rig_hears_what_it_is_fed(virtual_audio: VirtualAudio, tmp_path: Path) -> None:
    with virtual_audio.record(tmp_path / "nothing.wav"):
        time.sleep(0.2)
    silence, _ = read_wav(tmp_path / "nothing.wav")
    with pytest.raises(AssertionError, match="nothing but silence"):
        find_span(silence, 24_000)
