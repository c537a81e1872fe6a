"""What a session hears, plays and shows with: what is demanded, what is done without, who is heard and when."""

import asyncio
import io
import struct
import threading
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gemini_live import screen as screen_module
from gemini_live.audio import pcm
from gemini_live.audio.half_duplex import TAIL_S
from gemini_live.config import Config
from gemini_live.conversation.conversation import Conversation
from gemini_live.errors import ConfigError, DeviceError
from gemini_live.files import STDIN
from gemini_live.models import capabilities_of
from gemini_live.output.events import SoundModeChanged
from gemini_live.output.status import MicrophoneState
from gemini_live.session import media as media_module
from gemini_live.session.echo import EchoControl
from gemini_live.session.media import DEFAULT_FPS, LEVEL_S, PAUSE_S, PREROLL_S, Level, Media
from gemini_live.session.speech import UserSpeech
from gemini_live.session.stats import Latency, Stats
from gemini_live.session.uplink import Uplink
from tests.command import Timed
from tests.fakes import FakeDevice, FakeGrabber, FakePyAudio
from tests.talk import speech

REFUSES = OSError(-9999, "Unanticipated host error")
CHUNK = b"\x01\x02" * 320
LOUD, SOFT = struct.pack("<h", 16_384) * 320, struct.pack("<h", 164) * 320


@dataclass
class Bench:
    """A `Media` with an uplink that sends nowhere, and what it said."""

    config: Config
    listens: bool = False
    plays: bool = True
    shows_levels: bool = True
    stdin_sound: AsyncIterator[bytes] | None = None
    warnings: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    modes: list[SoundModeChanged] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build it."""
        capabilities = capabilities_of(self.config.model)
        self.latency = Latency()
        self.speech = UserSpeech(self.latency)
        self.uplink = Uplink(
            Conversation(capabilities),
            capabilities,
            Stats(0.0),
            automatic_vad=True,
            shows_screen=False,
            on_asked=lambda _: None,
            on_progress=lambda _: None,
            clock=asyncio.get_running_loop().time,
        )
        self.media = Media(
            self.config,
            self.uplink,
            self.speech,
            record_event=lambda *_, **__: None,
            plays=self.plays,
            listens=self.listens,
            shows_levels=self.shows_levels,
            stdin_sound=self.stdin_sound,
            warn=self.warnings.append,
            on_sound_mode=self.modes.append,
            on_microphone_lost=lambda: self.lost.append("microphone"),
            on_speaker_lost=lambda: self.lost.append("speaker"),
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Media]:
        await self.media.open()
        try:
            yield self.media
        finally:
            await self.media.close()

    async def heard(self, n: int) -> list[bytes]:
        """Return the next `n` chunks that are to be sent."""
        async with asyncio.timeout(10):
            while len(self.uplink.microphone) < n:  # noqa: ASYNC110 - threads and timers offer them
                await asyncio.sleep(0.001)
        return [self.uplink.microphone.take() for _ in range(n)]


async def test_the_output_file_is_begun_when_the_session_is_live(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVEas it was")
    bench = Bench(Config(output_file=path, audio_output=False, force=True), plays=False)
    async with bench.opened():
        pass
    assert path.read_bytes() == b"RIFF\0\0\0\0WAVEas it was"
    async with bench.opened() as media:
        await media.start()
    with wave.open(str(path)) as file:
        assert file.getnframes() == 0


async def test_dropped_speech_is_reported_once(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(), listens=True)
    async with bench.opened() as media:
        await media.start()
        assert media.speaker is not None
        for _ in range(62):
            media.speaker.write(bytes(480_000), 24_000)  # 10 s
    assert bench.warnings == [
        "ten minutes of speech wait to be played; more is dropped (--output-file keeps everything)"
    ]


@pytest.mark.parametrize("is_muted", [False, True])
async def test_what_is_held_when_the_speaker_is_lost_is_sent_unless_muted(
    fake_pyaudio: FakePyAudio, *, is_muted: bool
) -> None:
    bench = Bench(Config(), listens=True)
    async with bench.opened() as media:
        assert media._echo is not None
        if is_muted:
            media.toggle_microphone()
        media._echo._held = [b"\x01\x00" * 320]
        media._lose_speaker("the loudspeaker is gone")
        sent = [bench.uplink.microphone.take() for _ in range(len(bench.uplink.microphone))]
    assert [chunk for chunk in sent if chunk == b"\x01\x00" * 320] == ([] if is_muted else [b"\x01\x00" * 320])


async def test_an_optional_device_that_does_not_start_is_left_out(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.start_error = REFUSES
    bench = Bench(Config(), listens=True)
    async with bench.opened() as media:
        await media.start()
        assert media.speaker is None
    assert bench.warnings == [
        "the loudspeaker 'Fake' does not start: Unanticipated host error; the answers are no longer played",
        "the microphone 'Fake' does not start: Unanticipated host error; the microphone is off",
    ]
    assert bench.lost == ["speaker", "microphone"]


@pytest.mark.parametrize("config", [Config(audio_output=True), Config(audio_input=True), Config(input_device="Fake")])
async def test_a_demanded_device_that_does_not_start_is_an_error(fake_pyaudio: FakePyAudio, config: Config) -> None:
    fake_pyaudio.start_error = REFUSES
    bench = Bench(config, listens=True)
    async with bench.opened() as media:
        with pytest.raises(DeviceError, match="does not start"):
            await media.start()


@pytest.mark.parametrize(
    ("config", "listens", "opened"),
    [
        (Config(), True, ["microphone", "speaker"]),
        (Config(), False, ["speaker"]),
        (Config(audio_input=False), True, ["speaker"]),
        (Config(audio_input=True), False, ["microphone", "speaker"]),
    ],
)
async def test_the_microphone_is_on_where_a_person_types_or_asked_for_it(
    fake_pyaudio: FakePyAudio, config: Config, *, listens: bool, opened: list[str]
) -> None:
    async with Bench(config, listens=listens).opened() as media:
        found = {"microphone": media.microphone, "speaker": media.speaker}
        assert [name for name, stream in found.items() if stream is not None] == opened
        assert media.describe_sound() == [
            *(f"{name} Fake" for name in opened),
            *(["echo cancelled"] if len(opened) == 2 else []),
        ]


async def test_without_any_device_there_is_one_warning_for_each_direction(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.devices = ()
    bench = Bench(Config(), listens=True)
    async with bench.opened() as media:
        await media.start()
        assert (media.microphone, media.speaker, media.queued_s) == (None, None, 0.0)
    assert bench.warnings == [
        "this machine has no loudspeaker; the answers are not played",
        "this machine has no microphone; the microphone is off",
    ]


async def test_a_named_device_is_demanded(fake_pyaudio: FakePyAudio) -> None:
    with pytest.raises(DeviceError, match="no loudspeaker 'usb'"):
        await Bench(Config(output_device="usb")).media.open()


async def test_streams_are_started_once(fake_pyaudio: FakePyAudio) -> None:
    async with Bench(Config(), listens=True).opened() as media:
        await media.start()
        await media.start()
    assert fake_pyaudio.calls.count("start_stream") == 2


@pytest.mark.parametrize(
    ("half_duplex", "silent"),
    [(None, True), (True, True), (False, False)],
)
async def test_without_cancellation_the_microphone_is_silent_while_the_model_is_heard(
    fake_pyaudio: FakePyAudio, *, half_duplex: bool | None, silent: bool
) -> None:
    fake_pyaudio.devices = (FakeDevice(rates_hz=(16_000, 24_000), channels=(1,)),)
    bench = Bench(Config(audio_input=True, echo_cancellation=False, half_duplex=half_duplex))
    async with bench.opened() as media:
        await media.start()
        fake_pyaudio.feed(CHUNK)
        assert await bench.heard(1) == [CHUNK]
        assert media.speaker is not None
        media.speaker.write(b"\x01\x02" * 2_400, 24_000)
        fake_pyaudio.feed(CHUNK)
        assert await bench.heard(1) == [bytes(len(CHUNK)) if silent else CHUNK]
        assert media.describe_sound()[-1] == ("half duplex" if silent else "echo not cancelled")


async def test_half_duplex_opens_the_microphone_again_when_the_room_is_quiet(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.devices = (FakeDevice(rates_hz=(16_000, 24_000), channels=(1,)),)
    bench = Bench(Config(audio_input=True, half_duplex=True, echo_cancellation=False))
    async with bench.opened() as media:
        await media.start()
        assert media.speaker is not None
        media.speaker.write(b"\x01\x02" * 480, 24_000)
        fake_pyaudio.pull()
        fake_pyaudio.pull()
        started_s = asyncio.get_running_loop().time()
        chunks = [bytes(len(SOFT))]
        while chunks[-1] != SOFT:
            fake_pyaudio.feed(SOFT)
            chunks += await bench.heard(1)
        assert asyncio.get_running_loop().time() - started_s >= TAIL_S
        assert set(chunks) == {SOFT, bytes(len(SOFT))}


async def test_a_stopped_microphone_offers_nothing(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True), plays=False)
    async with bench.opened() as media:
        await media.start()
        media.stop_microphone()
        fake_pyaudio.feed(bytes(4 * fake_pyaudio.microphone.n_frames))
        await asyncio.to_thread(lambda: None)
    assert len(bench.uplink.microphone) == 0


def write_chunks(path: Path, n_chunks: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(pcm.INPUT.rate_hz)
        file.writeframes(CHUNK * n_chunks)
    return path


async def test_a_file_pauses_while_there_is_no_connection(tmp_path: Path) -> None:
    bench = Bench(Config(input_file=(write_chunks(tmp_path / "words.wav", 10),)), plays=False)
    live = asyncio.Event()
    live.set()
    async with bench.opened() as media, asyncio.TaskGroup() as tasks:
        giving = tasks.create_task(media.give_file(media.input_files[0], live))
        await bench.heard(3)
        live.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await bench.heard(1)
        assert not giving.done()
        live.set()
    assert len(bench.uplink.microphone) == 7


async def test_stdin_is_an_input_file_among_others(tmp_path: Path) -> None:
    async def stdin() -> AsyncIterator[bytes]:
        yield CHUNK[:1]
        yield CHUNK[1:] + CHUNK

    files = (write_chunks(tmp_path / "first.wav", 1), STDIN)
    bench = Bench(Config(input_file=files), plays=False, stdin_sound=stdin())
    live = asyncio.Event()
    live.set()
    async with bench.opened() as media:
        assert media.describe_sound() == [f"file {files[0]}, stdin"]
        await media.give_file(media.input_files[0], live)
        assert await bench.heard(1) == [CHUNK]
        await media.give_file(media.input_files[1], live)
        assert await bench.heard(2) == [CHUNK, CHUNK]


async def test_a_delayed_file_is_not_sent_in_a_burst(tmp_path: Path) -> None:
    bench = Bench(Config(input_file=(write_chunks(tmp_path / "words.wav", 20),)), plays=False)
    live = asyncio.Event()
    live.set()
    async with bench.opened() as media, asyncio.TaskGroup() as tasks:
        tasks.create_task(media.give_file(media.input_files[0], live))
        await bench.heard(1)
        time.sleep(0.5)  # noqa: ASYNC251 - the loop is held up, as by a machine that sleeps
        with Timed() as giving:
            await bench.heard(19)
    assert giving.took_s > 0.3


# The microphone that is closed for a while

PAUSE = b""
"""What stands in the queue of the microphone where it was closed."""


def number_chunks(first: int, n: int) -> list[bytes]:
    """Return chunks that are told apart by their samples."""
    return [struct.pack("<h", number) * 320 for number in range(first, first + n)]


async def hear(fake_pyaudio: FakePyAudio, chunks: list[bytes]) -> None:
    """Have the microphone hear `chunks`."""
    for chunk in chunks:
        fake_pyaudio.feed(chunk)
    await asyncio.sleep(0)


def waiting(bench: Bench) -> int:
    """Return how many chunks and pauses are to be sent."""
    return len(bench.uplink.microphone)


async def test_a_muted_microphone_sends_nothing_until_it_is_unmuted(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True), plays=False)
    before, meanwhile, after = number_chunks(1, 2), number_chunks(3, 30), number_chunks(33, 2)
    async with bench.opened() as media:
        await media.start()
        await hear(fake_pyaudio, before)
        media.toggle_microphone()
        await hear(fake_pyaudio, meanwhile)
        media.toggle_microphone()
        await hear(fake_pyaudio, after)
        assert waiting(bench) == 5
        assert await bench.heard(5) == [*before, PAUSE, *after]


async def test_a_microphone_that_is_muted_again_before_any_audio_is_one_pause(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True), plays=False)
    async with bench.opened() as media:
        for _ in range(6):
            media.toggle_microphone()
    assert await bench.heard(1) == [PAUSE]
    assert waiting(bench) == 0


async def test_the_talk_key_also_sends_the_audio_just_before_it(
    fake_pyaudio: FakePyAudio,
) -> None:
    bench = Bench(Config(audio_input=True, push_to_talk=True), plays=False)
    n_before = round(PREROLL_S / 0.02)
    before, talk = number_chunks(1, 40), number_chunks(41, 3)
    async with bench.opened() as media:
        await media.start()
        await hear(fake_pyaudio, before)
        assert waiting(bench) == 0
        media.toggle_microphone()
        await hear(fake_pyaudio, talk)
        media.toggle_microphone()
        assert n_before == 15
        assert waiting(bench) == n_before + 4
        assert await bench.heard(n_before + 4) == [*before[-n_before:], *talk, PAUSE]


async def test_no_audio_is_sent_twice_when_the_talk_key_is_pressed_again(
    fake_pyaudio: FakePyAudio,
) -> None:
    bench = Bench(Config(audio_input=True, push_to_talk=True), plays=False)
    chunks = number_chunks(1, 6)
    async with bench.opened() as media:
        await media.start()
        media.toggle_microphone()
        await hear(fake_pyaudio, chunks[:2])
        media.toggle_microphone()
        await hear(fake_pyaudio, chunks[2:4])
        media.toggle_microphone()
        await hear(fake_pyaudio, chunks[4:])
        assert waiting(bench) == 7
        assert await bench.heard(7) == [*chunks[:2], PAUSE, *chunks[2:]]


async def test_discarded_speech_is_not_sent_but_the_speech_before_it_is(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True, push_to_talk=True), plays=False)
    chunks = number_chunks(1, 6)
    async with bench.opened() as media:
        await media.start()
        media.toggle_microphone()
        await hear(fake_pyaudio, chunks[:2])
        media.toggle_microphone()
        await hear(fake_pyaudio, chunks[2:3])
        media.toggle_microphone()
        await hear(fake_pyaudio, chunks[3:5])
        assert not media.discard_speech()  # the server has received none of it
        assert media.microphone_state is MicrophoneState.TALK_KEY_UP
        media.toggle_microphone()
        await hear(fake_pyaudio, chunks[5:])
        media.toggle_microphone()
        assert await bench.heard(5) == [*chunks[:2], PAUSE, chunks[5], PAUSE]


async def test_without_a_microphone_the_mute_key_does_nothing() -> None:
    bench = Bench(Config(audio_input=False), plays=False)
    async with bench.opened() as media:
        media.toggle_microphone()
        assert media.microphone_state is MicrophoneState.OFF
    assert waiting(bench) == 0


async def test_the_state_of_the_microphone_follows_the_mute_key(fake_pyaudio: FakePyAudio) -> None:
    async with Bench(Config(audio_input=True), plays=False).opened() as media:
        states = [media.microphone_state]
        for _ in range(2):
            media.toggle_microphone()
            states.append(media.microphone_state)
        assert states == [MicrophoneState.LIVE, MicrophoneState.MUTED, MicrophoneState.LIVE]
        media.stop_microphone()
        assert media.microphone_state is MicrophoneState.OFF


async def test_the_state_of_the_microphone_follows_the_talk_key(fake_pyaudio: FakePyAudio) -> None:
    async with Bench(Config(audio_input=True, push_to_talk=True)).opened() as media:
        states = [media.microphone_state]
        for _ in range(2):
            media.toggle_microphone()
            states.append(media.microphone_state)
        assert states == [MicrophoneState.TALK_KEY_UP, MicrophoneState.TALKING, MicrophoneState.TALK_KEY_UP]


async def test_in_half_duplex_the_microphone_waits_while_the_model_is_heard(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.devices = (FakeDevice(rates_hz=(16_000, 24_000), channels=(1,)),)
    async with Bench(Config(audio_input=True, half_duplex=True)).opened() as media:
        await media.start()
        await hear(fake_pyaudio, [CHUNK])
        states = [media.microphone_state]
        assert media.speaker is not None
        media.speaker.write(CHUNK, 24_000)
        await hear(fake_pyaudio, [CHUNK])
        states.append(media.microphone_state)
        media.toggle_microphone()
        states.append(media.microphone_state)
        assert states == [MicrophoneState.LIVE, MicrophoneState.WAITING, MicrophoneState.MUTED]


async def test_a_sound_file_replaces_the_microphone(tmp_path: Path) -> None:
    bench = Bench(Config(input_file=(write_chunks(tmp_path / "words.wav", 1),)), listens=True, plays=False)
    async with bench.opened() as media:
        assert media.microphone_state is MicrophoneState.FILE
        media.toggle_microphone()
        assert media.microphone_state is MicrophoneState.FILE
        assert media.describe_sound() == [f"file {tmp_path / 'words.wav'}"]


@pytest.mark.parametrize(
    ("settings", "plays", "mode"),
    [
        ({}, True, "echo cancelled"),
        ({"half_duplex": True}, True, "half duplex"),
        ({"echo_cancellation": False}, True, "half duplex"),
        ({"echo_cancellation": False, "half_duplex": False}, True, "echo not cancelled"),
        ({"half_duplex": False}, True, "echo cancelled"),
        ({"simulate": ""}, True, "echo cancelled"),
        ({"push_to_talk": True}, True, "push to talk"),
        ({"push_to_talk": True, "half_duplex": True}, True, "push to talk"),
        ({"half_duplex": True}, False, None),
        ({"audio_input": False, "half_duplex": True}, True, None),
    ],
)
async def test_the_sound_mode_is_described_if_there_is_one(
    fake_pyaudio: FakePyAudio, settings: dict[str, Any], plays: bool, mode: str | None
) -> None:
    async with Bench(Config(**{"audio_input": True, **settings}), plays=plays).opened() as media:
        assert media.sound_mode == mode
        assert mode in (None, media.describe_sound()[-1])


@pytest.mark.parametrize(("push_to_talk", "erle_db"), [(False, 35), (True, None)])
async def test_the_bar_shows_how_much_echo_is_removed_where_it_says_what_the_number_is(
    fake_pyaudio: FakePyAudio, monkeypatch: pytest.MonkeyPatch, *, push_to_talk: bool, erle_db: int | None
) -> None:
    monkeypatch.setattr(EchoControl, "current_erle_db", 35.2)
    async with Bench(Config(audio_input=True, push_to_talk=push_to_talk)).opened() as media:
        assert media.erle_db == erle_db


async def test_push_to_talk_turns_half_duplex_off(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.devices = (FakeDevice(rates_hz=(16_000, 24_000), channels=(1,)),)
    bench = Bench(Config(audio_input=True, half_duplex=True, push_to_talk=True, echo_cancellation=False))
    async with bench.opened() as media:
        await media.start()
        media.toggle_microphone()
        assert media.speaker is not None
        media.speaker.write(CHUNK * 10, 24_000)
        await hear(fake_pyaudio, [CHUNK])
        assert await bench.heard(1) == [CHUNK]


# Levels


def test_a_level_covers_the_newest_audio_since_the_last_reading() -> None:
    level = Level(chunk_s=0.02)
    assert level.read_dbfs() == -96
    for _ in range(50):
        level.take(LOUD)
    for _ in range(round(LEVEL_S / 0.02)):
        level.take(SOFT)
    assert level.read_dbfs() == pytest.approx(-46, abs=0.1)
    assert level.read_dbfs() == -96
    level.take(LOUD)
    assert level.read_dbfs() == pytest.approx(-6, abs=0.1)


@pytest.mark.parametrize("shows_levels", [False, True])
async def test_levels_are_measured_only_if_they_are_shown(fake_pyaudio: FakePyAudio, shows_levels: bool) -> None:
    fake_pyaudio.devices = (FakeDevice(rates_hz=(16_000, 24_000), channels=(1,)),)
    bench = Bench(Config(audio_input=True, echo_cancellation=False, half_duplex=False), shows_levels=shows_levels)
    async with bench.opened() as media:
        await media.start()
        await hear(fake_pyaudio, [LOUD])
        assert media.speaker is not None
        media.speaker.write(LOUD * 4, 24_000)
        fake_pyaudio.pull()
        await asyncio.sleep(0)
        levels = [media.user_level.read_dbfs(), media.model_level.read_dbfs()]
    assert levels == pytest.approx([-6, -6] if shows_levels else [-96, -96], abs=1)


async def test_a_muted_microphone_shows_no_level(fake_pyaudio: FakePyAudio) -> None:
    async with Bench(Config(audio_input=True), plays=False).opened() as media:
        await media.start()
        media.toggle_microphone()
        await hear(fake_pyaudio, [LOUD])
        assert media.user_level.read_dbfs() == -96


# Latency


def seconds(sound: bytes) -> list[bytes]:
    """Return `sound` in chunks of 20 ms."""
    return [sound[start : start + 640] for start in range(0, len(sound), 640)]


QUIET = speech(0.0, pause_s=0.5)
WORDS = speech(0.5, pause_s=0.5)


def answer_latency_s(bench: Bench) -> float | None:
    """Have an answer begin now, and return what it was waited for."""
    bench.latency.answer_began(asyncio.get_running_loop().time())
    bench.speech.answered()
    return bench.latency.last_s


async def test_an_answer_is_expected_after_the_user_stops_speaking(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True), plays=False)
    async with bench.opened() as media:
        await media.start()
        await hear(fake_pyaudio, seconds(WORDS + QUIET[: pcm.INPUT.n_bytes(PAUSE_S + 0.04)]))
        latency_s = answer_latency_s(bench)
    # All came at once: what was quiet at its end is what the user has waited since.
    assert latency_s == pytest.approx(PAUSE_S, abs=0.15)


async def test_no_answer_is_expected_while_the_user_speaks(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True), plays=False)
    bench.latency.asked(asyncio.get_running_loop().time())
    async with bench.opened() as media:
        await media.start()
        await hear(fake_pyaudio, seconds(WORDS))
    assert answer_latency_s(bench) is None


async def test_no_answer_is_expected_to_speech_into_a_muted_microphone(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True), plays=False)
    async with bench.opened() as media:
        await media.start()
        media.toggle_microphone()
        await hear(fake_pyaudio, seconds(WORDS + QUIET))
    assert answer_latency_s(bench) is None


async def test_speech_in_a_sound_file_expects_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "words.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, pcm.INPUT.rate_hz, 0, "NONE", ""))
        file.writeframes(WORDS + QUIET)
    bench = Bench(Config(input_file=(path,)), plays=False)
    live = asyncio.Event()
    live.set()
    async with bench.opened() as media:
        await media.give_file(media.input_files[0], live)
    latency_s = answer_latency_s(bench)
    assert latency_s is not None
    assert 0.3 < latency_s < 5.0


# The screen


async def test_the_screen_is_shared_from_the_start_if_asked_for(fake_screen: type[FakeGrabber]) -> None:
    bench = Bench(Config(screen_capture_fps=0.5, monitor=2, screen_size=640), plays=False)
    async with bench.opened() as media:
        (screen,) = fake_screen.made
        assert screen.is_running
        assert (screen.options.fps, screen.options.monitor, screen.options.size) == (0.5, 2, 640)
        assert media.describe_screen() == "screen 2 at 0.5 fps"
    assert not screen.is_running
    assert bench.warnings == []


async def test_a_rate_above_one_frame_a_second_is_warned_about(fake_screen: type[FakeGrabber]) -> None:
    bench = Bench(Config(screen_capture_fps=2.0), plays=False)
    async with bench.opened():
        pass
    assert bench.warnings == ["the service looks at one frame a second at most: --screen-capture-fps above 1 is wasted"]


async def test_sharing_the_screen_can_be_started_and_stopped_repeatedly(fake_screen: type[FakeGrabber]) -> None:
    bench = Bench(Config(), plays=False)
    async with bench.opened() as media:
        assert (media.describe_screen(), bench.uplink.shows_screen) == (None, False)
        for n_made in (1, 2):
            for _ in range(2):  # what is so already stays so
                await media.set_screen(on=True)
                assert [screen.is_running for screen in fake_screen.made] == [*[False] * (n_made - 1), True]
                assert (media.describe_screen(), bench.uplink.shows_screen) == ("screen 1 at 1 fps", True)
            for _ in range(2):
                await media.set_screen(on=False)
                assert [screen.is_running for screen in fake_screen.made] == [False] * n_made
                assert (media.describe_screen(), bench.uplink.shows_screen) == (None, False)
    assert fake_screen.made[0].options.fps == DEFAULT_FPS
    assert bench.warnings == []


async def test_a_screen_that_cannot_be_shared_does_not_hold_back_questions(fake_screen: type[FakeGrabber]) -> None:
    fake_screen.error = DeviceError("no screen")
    bench = Bench(Config(), plays=False)
    async with bench.opened() as media:
        for _ in range(2):
            with pytest.raises(DeviceError, match="no screen"):
                await media.set_screen(on=True)
            assert (media.describe_screen(), bench.uplink.shows_screen) == (None, False)
        fake_screen.error = None
        await media.set_screen(on=True)
        assert media.describe_screen() == "screen 1 at 1 fps"


async def test_a_lost_screen_is_reported_and_can_be_shared_again(fake_screen: type[FakeGrabber]) -> None:
    bench = Bench(Config(screen_capture_fps=1.0), plays=False)
    bench.uplink.shows_screen = True
    async with bench.opened() as media:
        fake_screen.made[0].options.on_lost("the display is gone: it was")
        assert (media.describe_screen(), bench.uplink.shows_screen) == (None, False)
        await media.set_screen(on=True)
        assert media.describe_screen() == "screen 1 at 1 fps"
    assert bench.warnings == ["the display is gone: it was; the screen is no longer shown"]


async def test_warnings_of_the_screen_are_shown(fake_screen: type[FakeGrabber]) -> None:
    bench = Bench(Config(screen_capture_fps=1.0), plays=False)
    async with bench.opened():
        fake_screen.made[0].options.warn("the screen is black")
    assert bench.warnings == ["the screen is black"]


# Pictures


async def test_a_picture_is_scaled_like_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (300, 100), "red").save(tmp_path / "red.png")
    bench, shown = Bench(Config(screen_size=150), plays=False), list[bytes]()
    monkeypatch.setattr(bench.uplink, "offer_picture", shown.append)
    await bench.media.show_picture(tmp_path / "red.png")
    (jpeg,) = shown
    with image.open(io.BytesIO(jpeg)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (150, 50))


async def test_a_file_that_is_not_a_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, shown = Bench(Config(), plays=False), list[bytes]()
    monkeypatch.setattr(bench.uplink, "offer_picture", shown.append)
    with pytest.raises(ConfigError, match="cannot be read"):
        await bench.media.show_picture(tmp_path / "nothing.png")
    assert shown == []


async def test_a_picture_that_cannot_be_read_in_time_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(_path: Path, _size: int) -> bytes:
        released.wait()
        return b""

    monkeypatch.setattr(screen_module, "read_picture", hang)
    monkeypatch.setattr(media_module, "PICTURE_TIMEOUT_S", 0.01)
    bench, shown = Bench(Config(), plays=False), list[bytes]()
    monkeypatch.setattr(bench.uplink, "offer_picture", shown.append)
    try:
        with pytest.raises(ConfigError, match=r"x\.png cannot be read within 0\.01 s"):
            await bench.media.show_picture(tmp_path / "x.png")
    finally:
        released.set()
    assert shown == []


# Devices


async def test_lost_audio_is_counted_in_both_directions(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True))
    assert bench.media.n_xruns == 0
    async with bench.opened() as media:
        await media.start()
        fake_pyaudio.microphone.call(bytes(640), flags=2)
        for _ in range(2):
            fake_pyaudio.speaker.call(None, flags=4)
        await asyncio.sleep(0)
        assert media.n_xruns == 3


async def test_lost_audio_still_counts_after_the_microphone_was_closed(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True))
    async with bench.opened() as media:
        await media.start()
        fake_pyaudio.microphone.call(bytes(640), flags=2)
        await asyncio.sleep(0)
        media.stop_microphone()
        assert media.n_xruns == 1


@pytest.mark.parametrize("config", [Config(audio_input=False), Config(audio_input=True)])
async def test_the_devices_are_listed_whether_any_is_open_or_not(fake_pyaudio: FakePyAudio, config: Config) -> None:
    bench = Bench(config, plays=False)
    async with bench.opened() as media:
        assert "Fake" in await media.list_devices()
        assert fake_pyaudio.calls.count("PyAudio") == 1
    assert fake_pyaudio.calls.count("terminate") == 1


async def test_without_a_sound_system_the_session_continues(
    fake_pyaudio: FakePyAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError(-10_000, "PortAudio not initialized")

    monkeypatch.setattr(fake_pyaudio, "PyAudio", fail)
    bench = Bench(Config(), listens=True)
    async with bench.opened() as media:
        assert (media.speaker, media.microphone) == (None, None)
    assert bench.warnings == ["the sound system does not start: PortAudio not initialized; there is no sound"]
