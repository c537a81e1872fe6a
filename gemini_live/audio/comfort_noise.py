"""Noise like that of the room, to send in place of audio that must not be sent. Pure; event loop only.

A voice detector follows the noise of the room. After digital silence it takes that noise for speech, for some 0.3 s:
webrtcvad did after each end of half duplex (virtual sound card, noise at -65 dBFS, 2026-11-29).
"""

import random
from collections import deque

from .pcm import level_dbfs
from .voice_detector import NoiseFloor

_QUIET_DB = 6.0
"""A chunk that is at most so much louder than the quietest one is noise of the room."""
_N_KEPT = 50
"""Chunks that are kept: 1 s of audio, so that nobody notices that they repeat."""
_N_LEARNED = 100
"""Chunks after which the noise is known: 2 s of speech contain a pause."""


class ComfortNoise:
    """Remembers quiet chunks of the microphone's audio and repeats them in a random order."""

    def __init__(self) -> None:
        self._floor = NoiseFloor()
        self._n_learned = 0
        self._quiet: deque[tuple[float, bytes]] = deque(maxlen=_N_KEPT)
        """Chunks that were quiet when they came, with their levels."""
        self._random = random.Random(1)

    def learn(self, chunk: bytes) -> None:
        """Add a chunk of 20 ms in which no echo is audible."""
        if not any(chunk):  # a device that starts, or that the system has muted
            return
        level = level_dbfs(chunk)
        if not self._n_learned:
            self._floor.seed(level)
        self._floor.add(level)
        self._n_learned += 1
        if level <= self._floor.level_dbfs + _QUIET_DB:
            self._quiet.append((level, chunk))

    def make(self, n_bytes: int) -> bytes:
        """Return noise as long as a chunk, `n_bytes`; digital silence until 2 s of audio were learned."""
        if self._n_learned < _N_LEARNED:
            return bytes(n_bytes)
        quiet = [chunk for level, chunk in self._quiet if level <= self._floor.level_dbfs + _QUIET_DB]
        return self._random.choice(quiet) if quiet else bytes(n_bytes)
