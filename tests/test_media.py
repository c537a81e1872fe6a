"""What a session hears, plays and shows with: what is demanded, what is done without, and half duplex."""

import asyncio
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gemini_live import pcm
from gemini_live.config import Config
from gemini_live.conversation import Conversation
from gemini_live.errors import DeviceError
from gemini_live.media import ECHO_TAIL_S, Media
from gemini_live.models import capabilities_of
from gemini_live.stats import Latency, Stats
from gemini_live.uplink import Uplink

from .command import Timed
from .fakes import FakeDevice, FakePyAudio

REFUSES = OSError(-9999, "Unanticipated host error")
CHUNK = b"\x01\x02" * 320


@dataclass
class Bench:
    """A `Media` with an uplink that sends nowhere, and what it said."""

    config: Config
    listens: bool = False
    plays: bool = True
    warnings: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build it."""
        capabilities = capabilities_of(self.config.model)
        self.latency = Latency()
        self.uplink = Uplink(
            Conversation(plays=True, words_trail=True),
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
            self.latency,
            plays=self.plays,
            listens=self.listens,
            shows_levels=True,
            warn=self.warnings.append,
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
        """Return the next chunks that are to be sent."""
        async with asyncio.timeout(10):
            return [await self.uplink.microphone.get() for _ in range(n)]


async def test_the_output_file_is_begun_when_the_session_is_live(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"as it was")
    bench = Bench(Config(output_file=path, audio_output=False), plays=False)
    async with bench.opened():
        pass
    assert path.read_bytes() == b"as it was"
    async with bench.opened() as media:
        await media.start()
    with wave.open(str(path)) as file:
        assert file.getnframes() == 0


async def test_a_device_that_does_not_start_is_done_without(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.start_error = REFUSES
    bench = Bench(Config(), listens=True)
    async with bench.opened() as media:
        await media.start()
        assert media.speaker is None
    assert bench.warnings == [
        "the loudspeaker 'Fake' does not start: Unanticipated host error; the answers are no longer played",
        "the microphone 'Fake' does not start: Unanticipated host error; you are no longer heard",
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
            *(["use headphones"] if len(opened) == 2 else []),
        ]


async def test_without_any_device_there_is_one_warning_for_each_direction(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.devices = ()
    bench = Bench(Config(), listens=True)
    async with bench.opened() as media:
        await media.start()
        assert (media.microphone, media.speaker, media.queued_s) == (None, None, 0.0)
    assert bench.warnings == [
        "this machine has no loudspeaker; the answers are not played",
        "this machine has no microphone; you are not heard",
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
    ("half_duplex", "simulate", "silent"),
    [(None, "", True), (None, None, False), (True, None, True), (False, "", False)],
)
async def test_half_duplex_is_silence_while_the_model_is_heard(
    fake_pyaudio: FakePyAudio, *, half_duplex: bool | None, simulate: str | None, silent: bool
) -> None:
    fake_pyaudio.devices = (FakeDevice(rates_hz=(16_000, 24_000), channels=(1,)),)
    bench = Bench(Config(audio_input=True, half_duplex=half_duplex, simulate=simulate))
    async with bench.opened() as media:
        await media.start()
        fake_pyaudio.feed(CHUNK)
        assert await bench.heard(1) == [CHUNK]
        assert media.speaker is not None
        media.speaker.write(b"\x01\x02" * 2_400, 24_000)
        fake_pyaudio.feed(CHUNK)
        assert await bench.heard(1) == [bytes(len(CHUNK)) if silent else CHUNK]
        assert media.describe_sound()[-1] == ("half duplex" if silent else "use headphones")


async def test_half_duplex_hears_again_when_the_room_is_quiet(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.devices = (FakeDevice(rates_hz=(16_000, 24_000), channels=(1,)),)
    bench = Bench(Config(audio_input=True, half_duplex=True))
    async with bench.opened() as media:
        await media.start()
        assert media.speaker is not None
        media.speaker.write(b"\x01\x02" * 480, 24_000)
        fake_pyaudio.pull()
        fake_pyaudio.pull()
        started_s = asyncio.get_running_loop().time()
        chunks = [bytes(len(CHUNK))]
        while chunks[-1] != CHUNK:
            fake_pyaudio.feed(CHUNK)
            chunks += await bench.heard(1)
        assert asyncio.get_running_loop().time() - started_s >= ECHO_TAIL_S
        assert set(chunks) == {CHUNK, bytes(len(CHUNK))}


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


async def test_a_file_stands_still_while_there_is_no_connection(tmp_path: Path) -> None:
    bench = Bench(Config(input_file=write_chunks(tmp_path / "words.wav", 10)), plays=False)
    live = asyncio.Event()
    live.set()
    async with bench.opened() as media, asyncio.TaskGroup() as tasks:
        giving = tasks.create_task(media.give_file(live))
        await bench.heard(3)
        live.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await bench.uplink.microphone.get()
        assert not giving.done()
        live.set()
    assert len(bench.uplink.microphone) == 7


async def test_a_file_that_was_held_up_is_not_made_up_for_in_a_burst(tmp_path: Path) -> None:
    bench = Bench(Config(input_file=write_chunks(tmp_path / "words.wav", 20)), plays=False)
    live = asyncio.Event()
    live.set()
    async with bench.opened() as media, asyncio.TaskGroup() as tasks:
        tasks.create_task(media.give_file(live))
        await bench.heard(1)
        time.sleep(0.5)  # noqa: ASYNC251 - the loop is held up, as by a machine that sleeps
        with Timed() as giving:
            await bench.heard(19)
    assert giving.took_s > 0.3
