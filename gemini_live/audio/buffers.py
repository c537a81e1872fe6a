"""The two buffers between the network and the sound card.

`PlayoutBuffer` is shared with the loudspeaker's thread, under a lock that is held for microseconds. `MicQueue` belongs
to the event loop alone. Neither computes anything, and neither blocks.
"""

import threading
from collections import deque

from . import pcm as formats

MIC_QUEUE_S = 5.0
"""Seconds of the newest microphone audio that are kept if the socket cannot keep up."""


class PlayoutBuffer:
    """Audio that is still to be played: the event loop writes, the loudspeaker's thread reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pcm = bytearray()
        """May end in half a sample, which waits for the write that brings its other half."""
        self._tail = b""
        self._tail_begun = False
        self._is_sounding = False

    @property
    def n_bytes(self) -> int:
        """Return the size of the audio to play, in whole samples and without the tail."""
        return len(self._pcm) & -formats.SAMPLE_BYTES

    @property
    def is_silent(self) -> bool:
        """True if the buffer is empty and the last read found less than it asked for."""
        return not self._is_sounding and len(self._pcm) < formats.SAMPLE_BYTES

    def write(self, pcm: bytes, tail: bytes = b"") -> None:
        """Append `pcm`, which may have any length: a sample that is split between two writes is joined again.

        Args:
            pcm: Played after everything that was written before.
            tail: Played once after `pcm` if the next write comes too late, such as a fade that avoids a click. The next
                write discards it, unless it has begun to play.
        """
        with self._lock:
            if self._tail_begun:
                self._pcm += self._tail
            self._pcm += pcm
            self._tail, self._tail_begun = tail, False

    def read(self, n_bytes: int) -> bytes:
        """Remove and return exactly `n_bytes`, in whole samples: the audio, then the tail, then silence."""
        with self._lock:
            if len(self._pcm) >= n_bytes:
                self._is_sounding = True
                taken = bytes(self._pcm[:n_bytes])
                del self._pcm[:n_bytes]
                return taken
            self._is_sounding = False
            taken = bytes(self._pcm[: self.n_bytes])
            del self._pcm[: len(taken)]
            missing = n_bytes - len(taken)
            self._tail_begun = True
            if not self._tail:
                return taken.ljust(n_bytes, b"\0")
            tail, self._tail = self._tail[:missing], self._tail[missing:]
        return (taken + tail).ljust(n_bytes, b"\0")

    def peek(self, n_bytes: int) -> bytes:
        """Return up to `n_bytes` of the audio that the next read begins with, without removing it."""
        with self._lock:
            return bytes(self._pcm[: min(n_bytes, self.n_bytes)])

    def clear(self, tail: bytes = b"") -> None:
        """Discard all audio, including half a sample, and play `tail` instead."""
        with self._lock:
            self._pcm.clear()
            self._tail, self._tail_begun = tail, False
            self._is_sounding = False


class MicQueue:
    """Microphone audio that waits for the socket: the newest `max_bytes` of it. Event loop only.

    An empty chunk marks a pause: the user closed the microphone at this point. Marks are never dropped, because the
    server must be told about the pause even if the audio before it was lost.
    """

    def __init__(self, max_bytes: int = formats.INPUT.n_bytes(MIC_QUEUE_S)) -> None:
        self._max_bytes = max_bytes
        self._chunks: deque[bytes] = deque()
        """Never holds two pause marks in a row."""
        self.n_bytes = 0
        """Size of the audio in the queue."""
        self.n_bytes_dropped = 0
        """Size of the audio that was dropped since the beginning, because it was not taken in time."""

    def __len__(self) -> int:
        """Return the number of waiting chunks and pause marks."""
        return len(self._chunks)

    def offer(self, chunk: bytes) -> None:
        """Append a chunk, or a pause mark if `chunk` is empty; drop the oldest chunks if the queue is too large now."""
        if chunk or not self._chunks or self._chunks[-1]:
            self._chunks.append(chunk)
            self.n_bytes += len(chunk)
        while self.n_bytes > self._max_bytes and (oldest := 0 if self._chunks[0] else 1) < len(self._chunks) - 1:
            n_bytes = len(self._chunks[oldest])
            del self._chunks[oldest]
            self.n_bytes -= n_bytes
            self.n_bytes_dropped += n_bytes
            if oldest and not self._chunks[oldest]:
                del self._chunks[oldest]

    def discard_newest(self) -> None:
        """Remove the chunks that came after the last pause mark."""
        while self._chunks and self._chunks[-1]:
            self.n_bytes -= len(self._chunks.pop())

    def take(self) -> bytes:
        """Remove and return the oldest chunk or pause mark; there must be one."""
        chunk = self._chunks.popleft()
        self.n_bytes -= len(chunk)
        return chunk
