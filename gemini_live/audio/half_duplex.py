"""Half duplex: replace the microphone's audio by noise while the model is heard. A loud voice can break in. Pure."""

from collections import deque

from .comfort_noise import ComfortNoise
from .pcm import level_dbfs

TAIL_S = 0.3
"""How long the microphone stays closed after the end of playback, until the room is silent."""
BREAK_IN_DB = 8.0
"""How far a voice has to stand out of the loudest echo that is expected."""
_MIN_VOICE_DBFS = -45.0
"""A voice that breaks in is at least this loud."""
_WATCHED, _LOUD = 8, 6
"""Chunks of 20 ms that are watched for a voice, and how many of them have to be loud."""
_KEPT = 15
"""Chunks that are sent too when a voice breaks in, because its beginning is softer."""
_STAYS_OPEN_S = 0.5
"""How long the microphone stays open after the last loud chunk."""


class HalfDuplex:
    """Decides which chunks of the microphone's audio are sent while the model speaks."""

    def __init__(self) -> None:
        self.noise = ComfortNoise()
        """What is sent in place of chunks."""
        self.is_closed = False
        """True if the last chunk was replaced."""
        self._closed_until_s = self._open_until_s = 0.0
        self._is_loud: deque[bool] = deque(maxlen=_WATCHED)
        self._withheld: deque[bytes] = deque(maxlen=_KEPT)

    def process(
        self,
        chunk: bytes,
        cleaned: bytes,
        now_s: float,
        *,
        is_playing: bool,
        is_echo_due: bool,
        expected_dbfs: float | None,
    ) -> list[bytes]:
        """Return what to send in place of a chunk of 20 ms: noise, the chunk, or the chunk after the withheld ones.

        Noise is sent and not nothing, because the server measures time in samples.

        Args:
            chunk: Audio in which a voice is looked for, and which is sent if it is loud.
            cleaned: The same with less echo, which is sent if it is not loud and the microphone is open.
            now_s: The time.
            is_playing: True while the model's speech is played.
            is_echo_due: True while an echo of it can still come.
            expected_dbfs: The highest level that an echo can have now; None if no voice can be told from an echo.
        """
        if is_playing:
            self._closed_until_s = now_s + TAIL_S
        if now_s >= self._closed_until_s and not is_echo_due:
            self.reset()
            self.noise.learn(cleaned)
            return [cleaned]
        is_loud = expected_dbfs is not None and (level_dbfs(chunk) > max(_MIN_VOICE_DBFS, expected_dbfs + BREAK_IN_DB))
        self._is_loud.append(is_loud)
        chunk = chunk if is_loud else cleaned
        if now_s < self._open_until_s:
            if is_loud:
                self._open_until_s = now_s + _STAYS_OPEN_S
            return [chunk]
        self._withheld.append(chunk)
        if sum(self._is_loud) < _LOUD:
            self.is_closed = True
            return [self.noise.make(len(chunk))]
        chunks = list(self._withheld)
        self._withheld.clear()
        self._open_until_s, self.is_closed = now_s + _STAYS_OPEN_S, False
        return chunks

    def reset(self) -> None:
        """Open the microphone and forget what was withheld."""
        self.is_closed = False
        self._open_until_s = self._closed_until_s = 0.0
        self.drop_withheld()

    def drop_withheld(self) -> None:
        """Discard what was withheld; the microphone stays closed or open."""
        self._is_loud.clear()
        self._withheld.clear()
