"""The WAV file of what the model says."""

import asyncio
import errno
import os
import struct
import subprocess
import sys
import textwrap
import threading
import time
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gemini_live.audio import output_file
from gemini_live.audio.output_file import OutputFile
from gemini_live.errors import ConfigError
from tests.rig.analysis import examine_tone, make_tone, read_wav

OURS = output_file._build_header(4) + b"abcd"
HEADER_BYTES = len(OURS) - 4


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


async def test_a_file_without_any_speech_is_a_valid_empty_wav(tmp_path: Path) -> None:
    file = OutputFile(tmp_path / "out.wav")
    file.start()
    file.start()
    await file.close()
    await file.close()
    samples, rate_hz = read_wav(tmp_path / "out.wav")
    assert (len(samples), rate_hz) == (0, 24_000)


@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX locks are known to work")
async def test_only_one_client_writes_a_file_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    first = OutputFile(path)
    first.write(make_tone(440, 0.5, 24_000).tobytes(), 24_000)
    for force in (False, True):
        with pytest.raises(ConfigError, match=r"out\.wav: another program is writing it; choose another name"):
            OutputFile(path, force=force)
    await first.close()
    samples, _ = read_wav(path)
    assert len(samples) == 12_000
    second = OutputFile(path)
    second.start()
    await second.close()


async def test_speech_that_waits_for_the_disk_is_bounded_and_dropped_speech_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = threading.Event()
    write = OutputFile._write

    def wait_and_write(self: OutputFile, pcm: bytes) -> None:
        disk.wait(20)
        write(self, pcm)

    monkeypatch.setattr(OutputFile, "_write", wait_and_write)
    errors: list[str] = []
    path = tmp_path / "out.wav"
    file = OutputFile(path, errors.append)
    for _ in range(200):
        file.write(bytes(1_000_000), 24_000)
    assert errors == [f"{path} will be incomplete: the disk is too slow"]
    disk.set()
    with pytest.raises(ConfigError, match="is incomplete: the disk was too slow"):
        await file.close()
    samples, _ = read_wav(path)
    assert 2 * len(samples) == 68_000_000  # 64 MiB in pieces of a megabyte


async def test_an_existing_file_of_ours_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.wav").write_bytes(output_file._build_header(0) + bytes(10_000))
    file = OutputFile(tmp_path / "out.wav")
    file.write(bytes(960), 24_000)
    await file.close()
    assert (tmp_path / "out.wav").stat().st_size == HEADER_BYTES + 960


async def test_the_file_is_not_touched_before_there_is_something_to_write(tmp_path: Path) -> None:
    (tmp_path / "old.wav").write_bytes(OURS)
    for name in ("old.wav", "new.wav"):
        file = OutputFile(tmp_path / name)
        await file.close()
        await file.close()
    assert os.listdir(tmp_path) == ["old.wav"]
    assert (tmp_path / "old.wav").read_bytes() == OURS


MUSIC = {
    "music": b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\xc0]\0\0\x80\xbb\0\0\2\0\x10\0data\0\0\0\0",
    "long music": b"RF64\xff\xff\xff\xffWAVEds64",
}
NO_MUSIC = {
    "named in the text": b"Dear gemini-live, " + OURS,
    "text": b"Dear diary",
}


@pytest.mark.parametrize("content", [*MUSIC.values(), *NO_MUSIC.values()], ids=[*MUSIC, *NO_MUSIC])
async def test_a_file_that_another_program_wrote_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        OutputFile(path)
    assert str(caught.value) == (
        f"cannot write {path}: gemini-live did not write this file; choose another name, or overwrite it with --force"
    )
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", MUSIC.values(), ids=MUSIC)
async def test_force_overwrites_the_sound_of_others(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(content)
    file = OutputFile(path, force=True)
    file.write(bytes(960), 24_000)
    await file.close()
    assert path.stat().st_size == HEADER_BYTES + 960


@pytest.mark.parametrize("content", NO_MUSIC.values(), ids=NO_MUSIC)
@pytest.mark.parametrize("is_link", [False, True])
async def test_force_overwrites_nothing_but_sound(tmp_path: Path, content: bytes, *, is_link: bool) -> None:
    target, path = tmp_path / "history", tmp_path / "out.wav"
    (target if is_link else path).write_bytes(content)
    if is_link:
        path.symlink_to(target)
    with pytest.raises(ConfigError, match="it is not a WAV file, whatever its name says"):
        OutputFile(path, force=True)
    assert path.read_bytes() == content


async def test_a_file_of_ours_may_be_overwritten_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "out.wav").touch()
    for n_bytes in (960, 1_920, 0):
        file = OutputFile(tmp_path / "out.wav")
        file.write(bytes(n_bytes), 24_000)
        await file.close()
        assert (tmp_path / "out.wav").stat().st_size == HEADER_BYTES + n_bytes


@pytest.mark.parametrize(("name", "better"), [("out.mp3", "out.wav"), ("out", "out.wav"), ("a.b.flac", "a.b.wav")])
@pytest.mark.parametrize("exists", [True, False])
async def test_a_name_of_another_format_is_refused(tmp_path: Path, name: str, better: str, exists: bool) -> None:
    if exists:
        (tmp_path / name).write_bytes(OURS)
    with pytest.raises(ConfigError) as caught:
        OutputFile(tmp_path / name, force=True)
    path = tmp_path / name
    assert str(caught.value) == f"cannot write {path}: --output-file writes WAV only; name it {tmp_path / better}"
    assert path.exists() is exists


async def test_the_end_of_the_name_may_be_in_capitals(tmp_path: Path) -> None:
    await OutputFile(tmp_path / "OUT.WAV").close()


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no device that swallows everything")
async def test_a_seekable_device_is_accepted() -> None:
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
async def test_a_path_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path, name: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OutputFile(tmp_path / name)
    assert str(caught.value) == f"cannot write {tmp_path / name}: {complaint}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes in the file system here")
async def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="it is a pipe, not a file"):
        OutputFile(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals in the file system here")
async def test_a_device_that_is_not_seekable_is_refused() -> None:
    controller, terminal = os.openpty()
    with pytest.raises(ConfigError, match="it is a terminal or a pipe, not a file"):
        OutputFile(Path(os.ttyname(terminal)))
    os.close(controller)
    os.close(terminal)


@pytest.mark.parametrize("listens", [True, False])
async def test_a_full_disk_is_reported_once_and_again_at_the_end(
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
        assert str(caught.value) == f"{tmp_path / 'out.wav'} is incomplete: No space left on device"
    await asyncio.sleep(0)
    assert told == [f"{tmp_path / 'out.wav'} cannot be written any more: No space left on device"] * listens


async def test_a_disk_that_hangs_does_not_block_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    monkeypatch.setattr(output_file, "_CLOSE_TIMEOUT_S", 0.05)
    file, answer = OutputFile(tmp_path / "out.wav"), Event()
    write = file._write
    monkeypatch.setattr(file, "_write", lambda pcm: (answer.wait(), write(pcm)))
    file.write(bytes(960), 24_000)
    with pytest.raises(ConfigError, match="is incomplete: the disk does not respond"):
        await file.close()
    answer.set()
    await asyncio.wrap_future(file._done)


async def test_the_header_stays_at_the_largest_size_that_wav_allows() -> None:
    header = output_file._build_header(10**10)
    assert struct.unpack_from("<I", header, 4) == (0xFFFF_FFFF - 8,)


WRITE_AND_WAIT = """
    import asyncio, sys
    from pathlib import Path
    from gemini_live.audio import output_file

    output_file._HEADER_EVERY_S = 0.02

    async def main():
        file = output_file.OutputFile(Path(sys.argv[1]))
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


async def test_the_header_is_updated_while_the_file_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_file, "_HEADER_EVERY_S", 0.01)
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


class FakeMsvcrt:
    """Locks bytes of files as Windows does: a locked byte cannot be locked again, by any handle."""

    LK_NBLCK = 2

    def __init__(self, error: int = errno.EACCES) -> None:
        self.locked: set[tuple[int, int, int]] = set()
        self._error = error

    def locking(self, descriptor: int, mode: int, n_bytes: int) -> None:
        """Lock a byte at the descriptor's position."""
        assert (mode, n_bytes) == (self.LK_NBLCK, 1)
        status = os.fstat(descriptor)
        byte = (status.st_dev, status.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
        if byte in self.locked or self._error == errno.EINVAL:
            raise OSError(self._error, "locked")
        self.locked.add(byte)


def lock_like_windows(monkeypatch: pytest.MonkeyPatch, fake: FakeMsvcrt) -> None:
    """Make `lock` take its branch for Windows."""
    monkeypatch.setattr("gemini_live.files.sys", SimpleNamespace(platform="win32"))
    monkeypatch.setitem(sys.modules, "msvcrt", fake)


async def test_on_windows_a_byte_beyond_the_sound_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeMsvcrt()
    lock_like_windows(monkeypatch, fake)
    path = tmp_path / "out.wav"
    first = OutputFile(path)
    # Windows locks for all handles, and others must be able to read the file while it grows.
    assert all(12 * 3600 * 48_000 < position < 2**31 for _, _, position in fake.locked)
    with pytest.raises(ConfigError, match=r"another program is writing it"):
        OutputFile(path)
    first.write(bytes(960), 24_000)
    await first.close()
    assert path.stat().st_size == HEADER_BYTES + 960  # the position before the lock counts


async def test_on_windows_a_drive_without_locks_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_like_windows(monkeypatch, FakeMsvcrt(errno.EINVAL))
    file = OutputFile(tmp_path / "out.wav")
    file.write(bytes(960), 24_000)
    await file.close()
    assert (tmp_path / "out.wav").stat().st_size == HEADER_BYTES + 960
