"""The playout buffer and the microphone's queue."""

import random
import threading

import pytest

from gemini_live.audio.buffers import MicQueue, PlayoutBuffer


def test_read_returns_what_was_written_in_order() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"abcd")
    buffer.write(b"efgh")
    assert buffer.read(6) == b"abcdef"
    assert buffer.read(2) == b"gh"


def test_read_pads_with_silence_when_empty() -> None:
    assert PlayoutBuffer().read(6) == bytes(6)


def test_read_pads_a_short_rest_with_silence() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"ab")
    assert buffer.read(6) == b"ab\0\0\0\0"
    assert buffer.n_bytes == 0


def test_a_split_sample_waits_for_its_other_half() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"abc")
    assert buffer.n_bytes == 2
    assert buffer.read(4) == b"ab\0\0"
    buffer.write(b"def")
    assert buffer.read(4) == b"cdef"


def test_random_splits_lose_and_repeat_nothing() -> None:
    rng = random.Random(1)
    pcm = rng.randbytes(20_000)
    buffer, played = PlayoutBuffer(), b""
    written = 0
    while written < len(pcm) or buffer.n_bytes:
        n_written = rng.randrange(1, 400)
        buffer.write(pcm[written : written + n_written])
        written += n_written
        available = buffer.n_bytes
        chunk = buffer.read(2 * rng.randrange(1, 200))
        assert not any(chunk[available:])
        played += chunk[:available]
    assert played == pcm


def test_clear_leaves_silence_and_forgets_half_a_sample() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"abc")
    buffer.clear()
    assert buffer.n_bytes == 0
    buffer.write(b"xy")
    assert buffer.read(4) == b"xy\0\0"


def test_the_tail_is_played_once_at_the_end() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"ab", tail=b"1122")
    assert buffer.n_bytes == 2
    assert buffer.read(4) == b"ab11"
    assert buffer.read(4) == b"22\0\0"
    assert buffer.read(4) == bytes(4)


def test_a_write_cancels_the_tail() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"ab", tail=b"11")
    buffer.write(b"cd")
    assert buffer.read(6) == b"abcd\0\0"


def test_a_tail_that_has_begun_is_played_to_its_end() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"ab", tail=b"1122")
    assert buffer.read(4) == b"ab11"
    buffer.write(b"cd")
    assert buffer.read(6) == b"22cd\0\0"


def test_it_is_silent_until_a_write_and_again_after_a_read_that_was_too_short() -> None:
    buffer = PlayoutBuffer()
    assert buffer.is_silent
    buffer.write(b"abcd")
    assert not buffer.is_silent
    buffer.read(4)
    assert not buffer.is_silent
    buffer.read(4)
    assert buffer.is_silent


def test_clear_can_leave_a_tail_of_its_own() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"abcd", tail=b"11")
    buffer.clear(tail=b"22")
    assert buffer.n_bytes == 0
    assert buffer.read(4) == b"22\0\0"


def test_peek_leaves_the_audio_in_the_buffer() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"abcde")
    assert buffer.peek(2) == b"ab"
    assert buffer.peek(100) == b"abcd"
    assert buffer.read(4) == b"abcd"


def test_reader_and_writer_in_two_threads_lose_nothing() -> None:
    buffer, played = PlayoutBuffer(), bytearray()
    n_samples = 30_000
    pcm = b"".join((1 + i % 65_535).to_bytes(2, "little") for i in range(n_samples))

    def read_all() -> None:
        while len(played) < len(pcm):
            chunk = buffer.read(960)
            # No sample of this signal is zero: what is zero is padding.
            played.extend(chunk[:last_sound] if (last_sound := len(chunk.rstrip(b"\0")) + 1 & ~1) else b"")

    reader = threading.Thread(target=read_all)
    reader.start()
    for start in range(0, len(pcm), 333):
        buffer.write(pcm[start : start + 333])
    reader.join(timeout=20)
    assert bytes(played) == pcm


def take_all(queue: MicQueue) -> list[bytes]:
    return [queue.take() for _ in range(len(queue))]


def test_the_queue_returns_the_oldest_chunk_first() -> None:
    queue = MicQueue()
    queue.offer(b"one")
    queue.offer(b"two")
    assert (len(queue), queue.n_bytes) == (2, 6)
    assert take_all(queue) == [b"one", b"two"]
    assert (len(queue), queue.n_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("offered", "kept", "n_bytes_dropped"),
    [
        ("aaaa bbbb cccc dddd", "cccc dddd", 8),
        ("aaaa | bbbb", "aaaa | bbbb", 0),
        ("aaaa | bbbbbbbbbb", "| bbbbbbbbbb", 4),
        ("aaaa | bbbb | cccccccccc", "| cccccccccc", 8),
        ("aaaa | bbbb cccc dddd", "| cccc dddd", 8),
        ("aaaaa | bbbbb bbbbb bbbbb", "| bbbbb bbbbb", 10),
        ("| | aaaa | |", "| aaaa |", 0),
        ("| aaaaaaaaaaaaaaa", "| aaaaaaaaaaaaaaa", 0),
        ("aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaa", 0),
        ("aaaa bbbbbbbbb |", "bbbbbbbbb |", 4),
    ],
)
def test_a_queue_of_ten_bytes_keeps_the_newest_audio_and_every_pause(
    offered: str, kept: str, n_bytes_dropped: int
) -> None:
    """Each word is a chunk of audio, and a bar is a pause."""
    queue = MicQueue(max_bytes=10)
    for word in offered.split():
        queue.offer(b"" if word == "|" else word.encode())
    assert queue.n_bytes_dropped == n_bytes_dropped
    assert queue.n_bytes == len(kept.replace(" ", "").replace("|", ""))
    assert " ".join(chunk.decode() or "|" for chunk in take_all(queue)) == kept


def test_queue_holds_five_seconds_by_default() -> None:
    queue = MicQueue()
    for _ in range(300):
        queue.offer(bytes(640))
    assert (queue.n_bytes, queue.n_bytes_dropped) == (160_000, 32_000)
