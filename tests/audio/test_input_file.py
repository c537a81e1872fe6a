"""Sound files in place of the microphone."""

import errno
import os
import random
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gemini_live.audio.input_file import open_input
from gemini_live.errors import ConfigError, MissingExtraError
from tests.rig.analysis import Samples, examine_tone, find, make_tone, resample, write_wav

EXTENSIBLE_PCM = bytes.fromhex("0100000000001000800000aa00389b71")


def build_wav(
    data: bytes,
    *,
    rate_hz: int = 16_000,
    channels: int = 1,
    sample_bytes: int = 2,
    size: int | None = None,
    tag: int = 1,
) -> bytes:
    """Build a plain WAV file, with chunks that nobody needs before and after the data."""
    frame_bytes = channels * sample_bytes
    layout = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, 8 * sample_bytes)
    chunks = [(b"LIST", b"odd"), (b"fmt ", layout)]
    body = b"".join(struct.pack("<4sI", name, len(chunk)) + chunk + b"\0" * (len(chunk) % 2) for name, chunk in chunks)
    body += struct.pack("<4sI", b"data", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def read_all(path: Path) -> Samples:
    chunks = list(open_input(path).chunks())
    assert {len(chunk) for chunk in chunks[:-1]} <= {640}
    assert 0 < len(chunks[-1]) <= 640
    return np.frombuffer(b"".join(chunks), np.int16)


def test_16_khz_mono_is_read_bit_by_bit(tmp_path: Path) -> None:
    pcm = random.Random(1).randbytes(640 * 3 + 100)
    (tmp_path / "in.wav").write_bytes(build_wav(pcm))
    assert [len(chunk) for chunk in open_input(tmp_path / "in.wav").chunks()] == [640, 640, 640, 100]
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


@pytest.mark.parametrize("sample_bytes", [4, 8])
@pytest.mark.parametrize("size", [None, 0, 0xFFFF_FFFF])
def test_wav_of_floating_point_needs_no_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_bytes: int, size: int | None
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    tone = make_tone(440, 0.2, 16_000, amplitude=25_600)
    data = (tone / 32_767).astype("<f4" if sample_bytes == 4 else "<f8").tobytes()
    (tmp_path / "in.wav").write_bytes(build_wav(data, sample_bytes=sample_bytes, tag=3, size=size))
    assert np.array_equal(read_all(tmp_path / "in.wav"), tone)


def test_extensible_wav_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    pcm = make_tone(440, 0.1, 16_000).tobytes()
    layout = struct.pack("<HHIIHH", 0xFFFE, 1, 16_000, 32_000, 2, 16) + struct.pack("<HHI", 22, 16, 4) + EXTENSIBLE_PCM
    body = b"fmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(pcm)) + pcm
    (tmp_path / "in.wav").write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    assert read_all(tmp_path / "in.wav").tobytes() == pcm


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x7FFF_F000, 100_000])
def test_a_header_with_a_size_beyond_the_end_of_the_file_is_corrected(tmp_path: Path, size: int) -> None:
    pcm = make_tone(440, 0.1, 16_000).tobytes()
    (tmp_path / "in.wav").write_bytes(build_wav(pcm, size=size))
    assert read_all(tmp_path / "in.wav").tobytes() == pcm


@pytest.mark.parametrize("riff_size", [0, 0xFFFF_FFFF])
def test_a_header_with_the_unknown_size_of_a_stream_reads_to_the_end(tmp_path: Path, riff_size: int) -> None:
    pcm = make_tone(440, 0.1, 16_000).tobytes()
    wav = build_wav(pcm, size=riff_size)
    (tmp_path / "in.wav").write_bytes(wav[:4] + struct.pack("<I", riff_size) + wav[8:])
    assert read_all(tmp_path / "in.wav").tobytes() == pcm


def test_an_empty_data_chunk_before_another_chunk_is_empty(tmp_path: Path) -> None:
    comment = b"INFO" + struct.pack("<4sI", b"ISFT", 6) + b"other\0"
    (tmp_path / "in.wav").write_bytes(build_wav(b"") + b"LIST" + struct.pack("<I", len(comment)) + comment)
    with pytest.raises(ConfigError, match=r"in.wav contains no sound$"):
        open_input(tmp_path / "in.wav")


def test_a_frame_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    pcm = np.repeat(make_tone(440, 0.1, 16_000), 2).tobytes()
    (tmp_path / "in.wav").write_bytes(build_wav(pcm, channels=2)[:-3])
    assert len(read_all(tmp_path / "in.wav")) == 1_599


def test_a_chunk_after_the_data_is_ignored(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["in.wav", "in.aiff"])
def test_samples_out_of_range_are_clipped_and_nan_is_silence(tmp_path: Path, name: str) -> None:
    samples = np.array([0.0, 5.0, -5.0, np.inf, -np.inf, np.nan], np.float32)
    soundfile.write(tmp_path / name, samples, 16_000, subtype="FLOAT")
    assert list(read_all(tmp_path / name)) == [0, 32_767, -32_767, 32_767, -32_767, 0]


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3", "aiff", "wav"])
def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = tmp_path / f"in.{suffix}"
    soundfile.write(path, np.zeros(4_800, np.float32), 48_000, subtype="ULAW" if suffix == "wav" else None)
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
        ("silent.wav", build_wav(b""), "contains no sound"),
    ],
)
def test_a_file_that_is_not_sound_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        open_input(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} {complaint}")
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, MissingExtraError)


def test_a_sound_file_without_a_sound_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.aiff", np.zeros(0, np.int16), 48_000)
    with pytest.raises(ConfigError, match=r"in.aiff contains no sound$"):
        open_input(tmp_path / "in.aiff")


@pytest.mark.parametrize(
    ("name", "complaint"), [("missing.wav", "No such file or directory"), (".", "it is a directory")]
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, name: str, complaint: str) -> None:
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
    assert peak_bytes < 1_000_000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes in the file system here")
def test_a_pipe_or_a_device_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(ConfigError) as caught:
            open_input(path)
        assert str(caught.value) == f"cannot read {path}: it is a device or a pipe, not a file"


@pytest.mark.parametrize("size", [0xFFFF_FFFE, 2**31])
def test_a_header_that_claims_gigabytes_costs_no_memory(tmp_path: Path, size: int) -> None:
    path = tmp_path / "huge.wav"
    layout = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI", b"fmt ", size) + layout)
    os.truncate(path, 3 * 2**30)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="is a WAV file without sound in it"):
            open_input(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
