"""Sound files in and out."""

import asyncio
import errno
import os
import random
import struct
import subprocess
import sys
import textwrap
import time
import tracemalloc
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gemini_live.audio import soundfiles
from gemini_live.audio.soundfiles import OutputFile, open_input
from gemini_live.errors import ConfigError, MissingExtraError
from tests.rig.analysis import Samples, examine_tone, find, make_tone, read_wav, resample, write_wav

EXTENSIBLE_PCM = bytes.fromhex("0100000000001000800000aa00389b71")


def build_wav(
    data: bytes, *, rate_hz: int = 16_000, channels: int = 1, sample_bytes: int = 2, size: int | None = None
) -> bytes:
    """Build a plain WAV file, with chunks that nobody needs before and after the data."""
    frame_bytes = channels * sample_bytes
    layout = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, 8 * sample_bytes)
    chunks = [(b"LIST", b"odd"), (b"fmt ", layout)]
    body = b"".join(struct.pack("<4sI", name, len(chunk)) + chunk + b"\0" * (len(chunk) % 2) for name, chunk in chunks)
    body += struct.pack("<4sI", b"data", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def read_all(path: Path) -> Samples:
    chunks = list(open_input(path).chunks())
    assert {len(chunk) for chunk in chunks[:-1]} <= {640}
    assert 0 < len(chunks[-1]) <= 640
    return np.frombuffer(b"".join(chunks), np.int16)


# Reading


def test_16_khz_mono_is_read_bit_by_bit(tmp_path: Path) -> None:
    pcm = random.Random(1).randbytes(640 * 3 + 100)
    (tmp_path / "in.wav").write_bytes(build_wav(pcm))
    file = open_input(tmp_path / "in.wav")
    assert file.duration_s == pytest.approx(len(pcm) / 32_000)
    assert [len(chunk) for chunk in file.chunks()] == [640, 640, 640, 100]
    assert read_all(tmp_path / "in.wav").tobytes() == pcm


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channels_become_16_khz_mono(tmp_path: Path, rate_hz: int, channels: int) -> None:
    tone = np.repeat(make_tone(440, 0.5, rate_hz), channels)
    write_wav(tmp_path / "in.wav", tone, rate_hz, channels)
    heard = read_all(tmp_path / "in.wav")
    report = examine_tone(heard, 16_000, 440)
    assert (report.n_gaps, report.n_phase_jumps) == (0, 0)
    assert len(heard) / 16_000 == pytest.approx(0.5, abs=0.001)
    assert report.frequency_hz == pytest.approx(440, abs=0.1)


@pytest.mark.parametrize(
    ("sample_bytes", "encode"),
    [
        (1, lambda x: (128 + x // 256).astype(np.uint8).tobytes()),
        (3, lambda x: b"".join(struct.pack("<i", int(v) << 8)[:3] for v in x)),
        (4, lambda x: (x.astype(np.int64) << 16).astype("<i4").tobytes()),
    ],
)
def test_wav_of_other_whole_numbers_needs_no_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_bytes: int, encode: Callable[[Samples], bytes]
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    tone = make_tone(440, 0.2, 16_000, amplitude=25_600)
    (tmp_path / "in.wav").write_bytes(build_wav(encode(tone), sample_bytes=sample_bytes))
    assert find(tone, read_all(tmp_path / "in.wav"), 16_000).correlation > 0.9999


def test_extensible_wav_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    pcm = make_tone(440, 0.1, 16_000).tobytes()
    layout = struct.pack("<HHIIHH", 0xFFFE, 1, 16_000, 32_000, 2, 16) + struct.pack("<HHI", 22, 16, 4) + EXTENSIBLE_PCM
    body = b"fmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(pcm)) + pcm
    (tmp_path / "in.wav").write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    assert read_all(tmp_path / "in.wav").tobytes() == pcm


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x7FFF_F000, 100_000])
def test_a_header_that_says_more_than_there_is_is_not_believed(tmp_path: Path, size: int) -> None:
    pcm = make_tone(440, 0.1, 16_000).tobytes()
    (tmp_path / "in.wav").write_bytes(build_wav(pcm, size=size))
    assert open_input(tmp_path / "in.wav").duration_s == pytest.approx(0.1)
    assert read_all(tmp_path / "in.wav").tobytes() == pcm


def test_a_frame_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    pcm = np.repeat(make_tone(440, 0.1, 16_000), 2).tobytes()
    (tmp_path / "in.wav").write_bytes(build_wav(pcm, channels=2)[:-3])
    assert len(read_all(tmp_path / "in.wav")) == 1_599


def test_a_chunk_after_the_data_is_no_sound(tmp_path: Path) -> None:
    pcm = make_tone(440, 0.1, 16_000).tobytes()
    (tmp_path / "in.wav").write_bytes(build_wav(pcm) + b"LIST" + struct.pack("<I", 4) + b"\x7f\x7f\x7f\x7f")
    assert read_all(tmp_path / "in.wav").tobytes() == pcm


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [
        ("flac", None),
        ("ogg", "VORBIS"),
        ("ogg", "OPUS"),
        ("mp3", None),
        ("aiff", None),
        ("wav", "FLOAT"),
        ("wav", "DOUBLE"),
        ("wav", "ULAW"),
        ("wav", "PCM_24"),
    ],
)
def test_with_the_extra_other_formats_are_read(tmp_path: Path, suffix: str, subtype: str | None) -> None:
    tone = make_tone(440, 1.0, 48_000)
    path = tmp_path / f"in.{suffix}"
    soundfile.write(path, np.stack([tone, tone], axis=1) / 32_768, 48_000, subtype=subtype)
    heard = read_all(path)
    match = find(resample(tone, 48_000, 16_000), heard, 16_000)
    assert match.correlation > 0.99
    assert match.gain == pytest.approx(1.0, abs=0.05)
    assert len(heard) / 16_000 == pytest.approx(1.0, abs=0.05)


def test_what_no_sample_can_be_is_clipped(tmp_path: Path) -> None:
    samples = np.array([0.0, 5.0, -5.0, np.inf, -np.inf, np.nan], np.float32)
    soundfile.write(tmp_path / "in.wav", samples, 16_000, subtype="FLOAT")
    assert list(read_all(tmp_path / "in.wav")) == [0, 32_767, -32_767, 32_767, -32_767, 0]


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3", "aiff", "wav"])
def test_without_the_extra_sound_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = tmp_path / f"in.{suffix}"
    soundfile.write(path, np.zeros(4_800, np.float32), 48_000, subtype="FLOAT" if suffix == "wav" else None)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtraError) as caught:
        open_input(path)
    assert str(caught.value) == (f"reading {path} needs a part that is not installed: pip install 'gemini-live[files]'")


@pytest.fixture(params=[True, False], ids=["with-extra", "without-extra"])
def _extra(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setitem(sys.modules, "soundfile", None)


@pytest.mark.usefixtures("_extra")
@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("empty.wav", b"", "is empty"),
        ("notes.txt", b"Dear diary,", "is not a sound file"),
        ("notes.wav", b"Dear diary,", "is not a sound file"),
        ("samples.raw", bytes(100), "is not a sound file"),
        ("cut.wav", build_wav(b"")[:30], "is a WAV file with"),
        ("no-data.wav", build_wav(b"")[:-8], "is a WAV file without sound in it"),
        ("no-layout.wav", b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "is a WAV file with a broken header"),
        ("short-layout.wav", b"RIFF\0\0\0\0WAVEfmt \4\0\0\0abcd", "is a WAV file with a broken header"),
        ("no-channels.wav", build_wav(bytes(100), channels=0), "is a WAV file with a broken header"),
        ("no-rate.wav", build_wav(bytes(100), rate_hz=0), "is a WAV file with a broken header"),
        ("wide.wav", build_wav(bytes(100), sample_bytes=8), "is a WAV file with a broken header"),
        ("silent.wav", build_wav(b""), "holds no sound"),
    ],
)
def test_what_is_no_sound_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        open_input(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} {complaint}")
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, MissingExtraError)


def test_a_sound_file_without_a_sound_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.aiff", np.zeros(0, np.int16), 48_000)
    with pytest.raises(ConfigError, match=r"in.aiff holds no sound$"):
        open_input(tmp_path / "in.aiff")


@pytest.mark.parametrize(
    ("name", "complaint"), [("missing.wav", "No such file or directory"), (".", "it is not a file")]
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, name: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_input(tmp_path / name)
    assert str(caught.value) == f"cannot read {tmp_path / name}: {complaint}"


def test_a_file_that_fails_half_way_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(build_wav(bytes(6_400)))
    file = open_input(tmp_path / "in.wav")

    def fail(_: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    object.__setattr__(file._source, "read", fail)
    with pytest.raises(ConfigError, match=r"in.wav cannot be read to its end: .*Input/output error"):
        list(file.chunks())


def test_two_hours_are_not_loaded_at_once(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    n_bytes = 2 * 3600 * 48_000 * 2
    with path.open("wb") as file:
        file.write(build_wav(b"", rate_hz=48_000, size=n_bytes))
        file.truncate(file.tell() + n_bytes)
    open_input(path)
    tracemalloc.start()
    long = open_input(path)
    chunks = long.chunks()
    for _ in range(100):
        next(chunks)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert long.duration_s == 7200
    assert peak_bytes < 1_000_000


# Writing


async def test_what_is_written_is_a_wav_file_of_24_khz(tmp_path: Path) -> None:
    file = OutputFile(tmp_path / "out.wav")
    pcm = make_tone(440, 1.0, 24_000).tobytes()
    for start in range(0, len(pcm), 777):
        file.write(pcm[start : start + 777], 24_000)
    await file.close()
    samples, rate_hz = read_wav(tmp_path / "out.wav")
    assert (rate_hz, samples.tobytes()) == (24_000, pcm)


async def test_other_rates_are_resampled(tmp_path: Path) -> None:
    file = OutputFile(tmp_path / "out.wav")
    for rate_hz in (16_000, 48_000, 24_000):
        file.write(make_tone(440, 0.5, rate_hz).tobytes(), rate_hz)
    await file.close()
    samples, _ = read_wav(tmp_path / "out.wav")
    assert len(samples) / 24_000 == pytest.approx(1.5, abs=0.01)
    for i in range(3):
        assert examine_tone(samples[12_500 * i : 12_500 * i + 11_000], 24_000, 440).n_phase_jumps == 0


async def test_a_file_into_which_nothing_was_written_is_empty_but_whole(tmp_path: Path) -> None:
    file = OutputFile(tmp_path / "out.wav")
    file.start()
    file.start()
    await file.close()
    await file.close()
    samples, rate_hz = read_wav(tmp_path / "out.wav")
    assert (len(samples), rate_hz) == (0, 24_000)


async def test_a_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.wav").write_bytes(bytes(10_000))
    file = OutputFile(tmp_path / "out.wav")
    file.write(bytes(960), 24_000)
    await file.close()
    assert (tmp_path / "out.wav").stat().st_size == 44 + 960


async def test_until_there_is_something_to_write_nothing_is_touched(tmp_path: Path) -> None:
    (tmp_path / "old.wav").write_bytes(b"as it was")
    for name in ("old.wav", "new.wav"):
        file = OutputFile(tmp_path / name)
        await file.close()
        await file.close()
    assert os.listdir(tmp_path) == ["old.wav"]
    assert (tmp_path / "old.wav").read_bytes() == b"as it was"


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no device that swallows everything")
async def test_a_device_that_can_be_wound_back_will_do() -> None:
    file = OutputFile(Path("/dev/null"))
    file.write(bytes(960), 24_000)
    await file.close()
    await OutputFile(Path("/dev/null")).close()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="every file can be written to")
async def test_a_file_that_may_not_be_written_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out.wav").write_bytes(b"as it was")
    (tmp_path / "out.wav").chmod(0o400)
    with pytest.raises(ConfigError, match=r"^cannot write .*: Permission denied$"):
        OutputFile(tmp_path / "out.wav")
    assert (tmp_path / "out.wav").read_bytes() == b"as it was"


@pytest.mark.parametrize(
    ("name", "complaint"), [(".", "Is a directory"), ("no/such/folder/out.wav", "No such file or directory")]
)
async def test_what_cannot_be_written_is_refused_in_one_line(tmp_path: Path, name: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OutputFile(tmp_path / name)
    assert str(caught.value) == f"cannot write {tmp_path / name}: {complaint}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes in the file system here")
async def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for refused in (OutputFile, open_input):
        with pytest.raises(ConfigError, match="it is not a file"):
            refused(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals in the file system here")
async def test_what_cannot_be_wound_back_is_refused() -> None:
    controller, terminal = os.openpty()
    with pytest.raises(ConfigError, match="it is not a file"):
        OutputFile(Path(os.ttyname(terminal)))
    os.close(controller)
    os.close(terminal)


@pytest.mark.parametrize("listens", [True, False])
async def test_a_full_disk_is_told_once_and_again_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    told: list[str] = []
    file = OutputFile(tmp_path / "out.wav", told.append if listens else None)

    def fail(_: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file, "_write", fail)
    for _ in range(3):
        file.write(bytes(960), 24_000)
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            await file.close()
        assert str(caught.value) == f"{tmp_path / 'out.wav'} is not complete: No space left on device"
    await asyncio.sleep(0)
    assert told == [f"{tmp_path / 'out.wav'} cannot be written any more: No space left on device"] * listens


async def test_a_disk_that_does_not_answer_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    monkeypatch.setattr(soundfiles, "_CLOSE_TIMEOUT_S", 0.05)
    file, answer = OutputFile(tmp_path / "out.wav"), Event()
    write = file._write
    monkeypatch.setattr(file, "_write", lambda pcm: (answer.wait(), write(pcm)))
    file.write(bytes(960), 24_000)
    with pytest.raises(ConfigError, match="is not complete: the disk does not answer"):
        await file.close()
    answer.set()
    await asyncio.wrap_future(file._done)


async def test_a_header_stands_still_where_wav_ends() -> None:
    header = soundfiles._build_header(10**10)
    assert struct.unpack_from("<I", header, 4) == (0xFFFF_FFFF - 8,)


WRITE_AND_WAIT = """
    import asyncio, sys
    from pathlib import Path
    from gemini_live.audio import soundfiles

    soundfiles._HEADER_EVERY_S = 0.02

    async def main():
        file = soundfiles.OutputFile(Path(sys.argv[1]))
        for _ in range(50):
            file.write(b"ab" * 480, 24_000)
            await asyncio.sleep(0.002)
        await asyncio.sleep(60)

    asyncio.run(main())
"""


def has_second(path: Path) -> bool:
    """Whether the header in a WAV file says that it holds a second of sound."""
    try:
        with wave.open(str(path)) as file:
            n_frames: int = file.getnframes()
            return n_frames == 24_000
    except (OSError, EOFError, wave.Error):
        return False


async def test_the_header_follows_while_the_file_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfiles, "_HEADER_EVERY_S", 0.01)
    file = OutputFile(tmp_path / "out.wav")
    file.write(bytes(48_000), 24_000)
    async with asyncio.timeout(10):
        while not has_second(tmp_path / "out.wav"):  # noqa: ASYNC110 - another thread does it
            await asyncio.sleep(0.005)
    await file.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_disk_that_is_full_from_the_beginning_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^cannot write /dev/full: No space left on device$"):
        OutputFile(Path("/dev/full"))


def test_after_a_kill_the_header_is_right(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    deadline_s = time.monotonic() + 20
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITE_AND_WAIT), str(path)]) as process:
        while not has_second(path) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        process.kill()
    samples, _ = read_wav(path)
    assert samples.tobytes() == b"ab" * 24_000


def test_the_loop_may_end_before_the_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    async def open_only() -> OutputFile:
        return OutputFile(tmp_path / "out.wav", told.append)

    file = asyncio.run(open_only())

    def fail(_: bytes) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(file, "_write", fail)
    file.write(bytes(960), 24_000)
    assert isinstance(file._done.exception(timeout=10), OSError)
    assert told == []
