"""Sound through a pipe, however it is split."""

import random
from collections.abc import AsyncIterator, Iterable

import numpy as np
import pytest

from gemini_live.audio.input_file import NotAudioError
from gemini_live.audio.input_stream import MAX_HEAD_BYTES, InputStream, StreamDecoder
from gemini_live.errors import ConfigError
from tests.rig.analysis import examine_tone, make_tone

from .test_input_file import build_wav

PCM = random.Random(1).randbytes(640 * 3 + 100)


def decode(data: bytes, step: int = 4_096) -> list[bytes]:
    """Return the chunks of `data`, which comes in pieces of `step` bytes."""
    decoder = StreamDecoder()
    chunks = [chunk for start in range(0, len(data), step) for chunk in decoder.feed(data[start : start + step])]
    return chunks + decoder.finish()


@pytest.mark.parametrize("step", [1, 7, 640, 100_000])
@pytest.mark.parametrize(
    "data",
    [
        build_wav(PCM),
        build_wav(PCM, size=0),
        build_wav(PCM, size=0xFFFF_FFFF),
        build_wav(PCM, size=0x7FFF_F000),
        build_wav(PCM) + b"LIST\4\0\0\0rest",
        PCM,
    ],
    ids=["wav", "size 0", "unknown size", "large size", "chunk after the sound", "raw"],
)
def test_wav_and_raw_pcm_are_decoded_bit_by_bit(data: bytes, step: int) -> None:
    chunks = decode(data, step)
    assert [len(chunk) for chunk in chunks] == [640, 640, 640, 100]
    assert b"".join(chunks) == PCM


@pytest.mark.parametrize("step", [3, 100_000])
def test_wav_of_another_rate_and_two_channels_becomes_16_khz_mono(step: int) -> None:
    tone = np.repeat(make_tone(440, 0.5, 48_000), 2)
    chunks = decode(build_wav(tone.tobytes(), rate_hz=48_000, channels=2), step)
    report = examine_tone(np.frombuffer(b"".join(chunks), np.int16), 16_000, 440)
    assert (report.n_gaps, report.n_phase_jumps) == (0, 0)
    assert report.frequency_hz == pytest.approx(440, abs=0.1)


def test_sound_is_decoded_as_it_comes() -> None:
    decoder, data = StreamDecoder(), build_wav(PCM)
    head = len(data) - len(PCM)
    assert decoder.feed(data[: head + 639]) == []
    assert decoder.feed(data[head + 639 : head + 640]) == [PCM[:640]]


def test_an_incomplete_last_sample_is_dropped() -> None:
    assert b"".join(decode(PCM + b"\1")) == PCM


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"Hello", "is text, not sound: leave out --input-file - to ask lines"),
        (b"What is the capital of Norway?\nAnd of Finland?\n" * 50, "is text, not sound"),
        (b"\1", "contains no sound"),
        (build_wav(b""), "contains no sound"),
        (build_wav(PCM)[:30], "is a WAV file without sound in it"),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "is a WAV file with a broken header"),
        (build_wav(PCM, channels=0, sample_bytes=2), "is a WAV file with a broken header"),
        (build_wav(PCM, tag=7), "is a WAV file with encoded samples: name the file instead of -"),
        (b"fLaC" + bytes(100), "is sound, but neither WAV nor raw PCM: name the file instead of -"),
        (b"ID3\4" + bytes(100), "is sound, but neither WAV nor raw PCM"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x0f" + bytes(MAX_HEAD_BYTES), "is a WAV file without sound in it"),
    ],
)
def test_what_is_no_sound_is_refused_with_a_reason(data: bytes, words: str) -> None:
    with pytest.raises(NotAudioError, match=words):
        decode(data)


async def pieces(data: Iterable[bytes], error: OSError | None = None) -> AsyncIterator[bytes]:
    for each in data:
        yield each
    if error is not None:
        raise error


async def test_a_stream_yields_the_chunks_of_its_pieces() -> None:
    stream = InputStream(pieces([PCM[:1], PCM[1:700], PCM[700:]]))
    assert b"".join([chunk async for chunk in stream.chunks()]) == PCM


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ([b"text is here"], None, "--input-file -: stdin is text, not sound: leave out --input-file - to ask lines"),
        ([PCM], OSError(5, "Input/output error"), "--input-file -: stdin cannot be read: Input/output error"),
    ],
)
async def test_a_stream_that_cannot_be_used_is_a_usage_error(
    data: list[bytes], error: OSError | None, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        async for _ in InputStream(pieces(data, error)).chunks():
            pass
    assert str(caught.value) == words
