"""The playout buffer and the microphone's queue."""

import asyncio
import random
import threading

from gemini_live.audio.buffers import MicQueue, PlayoutBuffer


def test_read_returns_what_was_written_in_order() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"abcd")
    buffer.write(b"efgh")
    assert buffer.read(6) == b"abcdef"
    assert buffer.read(2) == b"gh"


def test_read_pads_with_silence_when_empty() -> None:
    assert PlayoutBuffer().read(6) == bytes(6)


def test_read_pads_what_is_too_short() -> None:
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


def test_running_dry_counts_once() -> None:
    buffer = PlayoutBuffer()
    buffer.read(4)
    assert buffer.n_underruns == 0
    buffer.write(b"abcdef")
    for _ in range(4):
        buffer.read(4)
    assert buffer.n_underruns == 1
    buffer.write(b"abcd")
    buffer.read(4)
    buffer.read(4)
    assert buffer.n_underruns == 2


def test_clearing_is_no_underrun() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"abcdefgh")
    buffer.read(4)
    buffer.clear()
    buffer.read(4)
    assert buffer.n_underruns == 0


def test_the_tail_is_played_once_after_the_rest() -> None:
    buffer = PlayoutBuffer()
    buffer.write(b"ab", tail=b"1122")
    assert buffer.n_bytes == 2
    assert buffer.read(4) == b"ab11"
    assert buffer.read(4) == b"22\0\0"
    assert buffer.read(4) == bytes(4)


def test_a_write_takes_the_tail_back() -> None:
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


def test_peek_takes_nothing() -> None:
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


async def test_queue_gives_the_oldest_first() -> None:
    queue = MicQueue()
    queue.offer(b"one")
    queue.offer(b"two")
    assert (len(queue), queue.n_bytes) == (2, 6)
    assert [await queue.get(), await queue.get()] == [b"one", b"two"]
    assert (len(queue), queue.n_bytes) == (0, 0)


async def test_queue_wakes_who_waits() -> None:
    queue = MicQueue()
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.offer(b"late")
    assert await waiting == b"late"


async def test_queue_keeps_the_newest_and_counts_what_it_dropped() -> None:
    queue = MicQueue(max_bytes=10)
    for chunk in (b"aaaa", b"bbbb", b"cccc", b"dddd"):
        queue.offer(chunk)
    assert queue.n_bytes_dropped == 8
    assert [await queue.get(), await queue.get()] == [b"cccc", b"dddd"]


async def test_queue_keeps_a_chunk_that_is_too_large_by_itself() -> None:
    queue = MicQueue(max_bytes=10)
    queue.offer(bytes(50))
    assert (len(queue), queue.n_bytes_dropped) == (1, 0)


async def test_queue_holds_five_seconds_unless_told() -> None:
    queue = MicQueue()
    for _ in range(300):
        queue.offer(bytes(640))
    assert (queue.n_bytes, queue.n_bytes_dropped) == (160_000, 32_000)


async def test_the_mark_of_a_pause_waits_in_line() -> None:
    queue = MicQueue(max_bytes=10)
    for chunk in (b"aaaa", b"", b"bbbb"):
        queue.offer(chunk)
    assert [await queue.get() for _ in range(3)] == [b"aaaa", b"", b"bbbb"]


async def test_cleared_queue_is_empty_and_has_dropped_nothing() -> None:
    queue = MicQueue()
    queue.offer(b"old")
    queue.clear()
    assert (len(queue), queue.n_bytes, queue.n_bytes_dropped) == (0, 0, 0)
    queue.offer(b"new")
    assert await queue.get() == b"new"


async def test_a_cancelled_get_loses_no_chunk() -> None:
    queue = MicQueue()
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.offer(b"kept")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await queue.get() == b"kept"
    assert queue.n_bytes == 0
