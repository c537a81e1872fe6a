"""The two buffers between the network and the sound card.

`PlayoutBuffer` is shared with the speaker's thread, under a lock that is held for microseconds; `MicQueue` belongs to
the event loop alone. Neither computes, and neither ever blocks.
"""

import asyncio
import threading

from . import pcm as formats

MIC_QUEUE_S = 5.0
"""How much of the newest speech is kept for a socket that cannot keep up."""


class PlayoutBuffer:
    """What is still to be played: the event loop writes, the speaker's thread reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pcm = bytearray()
        """May end in half a sample, which stays until the write that brings the other half."""
        self._tail = b""
        self._tail_begun = False
        self._is_sounding = False
        self.n_underruns = 0
        """Times that it ran dry after it had played something; the end of each answer is one of them."""

    @property
    def n_bytes(self) -> int:
        """How much is to be played, in whole samples, the tail not counted."""
        return len(self._pcm) // formats.SAMPLE_BYTES * formats.SAMPLE_BYTES

    @property
    def is_silent(self) -> bool:
        """Whether a write would break a silence: there is nothing to play, and was too little for the last read."""
        return not self._is_sounding and not self.n_bytes

    def write(self, pcm: bytes, tail: bytes = b"") -> None:
        """Add `pcm`, of any length; a sample that it splits is put together again.

        Args:
            pcm: what to play after all that was written before.
            tail: played once after it if nothing more is written in time, such as a fade against the click of a sudden
                end; the next write takes it back, unless it has begun.
        """
        with self._lock:
            if self._tail_begun:
                self._pcm += self._tail
            self._pcm += pcm
            self._set_tail(tail)

    def read(self, n_bytes: int) -> bytes:
        """Take exactly `n_bytes`, whole samples: what there is, then the tail, then silence."""
        with self._lock:
            taken = bytes(self._pcm[: min(n_bytes, self.n_bytes)])
            del self._pcm[: len(taken)]
            missing = n_bytes - len(taken)
            if not missing:
                self._is_sounding = True
                return taken
            if self._is_sounding or taken:
                self.n_underruns += 1
            self._is_sounding = False
            self._tail_begun = True
            tail, self._tail = self._tail[:missing], self._tail[missing:]
        return (taken + tail).ljust(n_bytes, b"\0")

    def peek(self, n_bytes: int) -> bytes:
        """Return what the next read would begin with, at most `n_bytes` of it, and leave it there."""
        with self._lock:
            return bytes(self._pcm[: min(n_bytes, self.n_bytes)])

    def clear(self, tail: bytes = b"") -> None:
        """Drop everything, half a sample too; `tail` is played instead. This is no underrun."""
        with self._lock:
            self._pcm.clear()
            self._set_tail(tail)
            self._is_sounding = False

    def _set_tail(self, tail: bytes) -> None:
        self._tail, self._tail_begun = tail, False


class MicQueue:
    """What the microphone heard and the socket has not taken yet: the newest `max_bytes` of it. Event loop only."""

    def __init__(self, max_bytes: int = formats.INPUT.n_bytes(MIC_QUEUE_S)) -> None:
        self._max_bytes = max_bytes
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self.n_bytes = 0
        self.n_bytes_dropped = 0
        """How much was dropped since the beginning, oldest first, because nobody took it in time."""

    def __len__(self) -> int:
        """Return the number of chunks that wait."""
        return self._chunks.qsize()

    def offer(self, chunk: bytes) -> None:
        """Add a chunk, and drop the oldest ones if there are too many now; an empty one marks a pause."""
        self._chunks.put_nowait(chunk)
        self.n_bytes += len(chunk)
        while self.n_bytes > self._max_bytes and len(self) > 1:
            n_bytes = len(self._chunks.get_nowait())
            self.n_bytes -= n_bytes
            self.n_bytes_dropped += n_bytes

    async def get(self) -> bytes:
        """Wait for a chunk and take the oldest."""
        chunk = await self._chunks.get()
        self.n_bytes -= len(chunk)
        return chunk

    def clear(self) -> None:
        """Forget what waits, without counting it as dropped."""
        while self._chunks.qsize():
            self._chunks.get_nowait()
        self.n_bytes = 0
