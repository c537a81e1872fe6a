"""Keep the model from hearing its own voice: choose between cancellation, half duplex and nothing, by measurement.

Runs on the event loop, for every chunk of the microphone. `audio/` does the work.
"""

import math
from collections.abc import Callable
from statistics import median

from ..audio.conversion import CHUNK_S
from ..audio.echo import ECHO_DBFS, EchoPath
from ..audio.echo_meter import PLAYED_DBFS, Leak
from ..audio.half_duplex import HalfDuplex
from ..audio.moved_echo import Verdict
from ..audio.pcm import level_dbfs
from ..output.status import SoundMode

DOUBT_S = 3.0
"""How long cancellation may take to work: at first in sound that was played, later after audio was lost or late."""
FIRST_TRUST_S, TRUST_S = 1.0, 0.2
"""How long the echo has to be removed, while there is one, before cancellation is trusted: at first, and again. A new
canceller removes everything before it learns."""
_REMOVED_DB = 15.0
"""A loud echo (`ECHO_DBFS`) is removed if so much less of it is left."""
MAX_LEAK_DB = 0.0
"""The leak that is assumed until it is measured: the microphone records as much as was played."""


class EchoControl:
    """What happens to the microphone's audio while a loudspeaker is open."""

    def __init__(
        self,
        path: EchoPath | None,
        *,
        half_duplex: bool | None,
        clock: Callable[[], float],
        on_mode: Callable[[SoundMode], None],
    ) -> None:
        """Begin in silence.

        Args:
            path: Cancels or measures the echo; None if neither is possible.
            half_duplex: True to use half duplex always, False never; None where it is needed.
            clock: Returns the time in seconds.
            on_mode: Called with the new mode when the measurements change it.
        """
        self._path, self._half_duplex, self._clock, self._on_mode = path, half_duplex, clock, on_mode
        self._gate = HalfDuplex()
        self._n_disturbances = 0
        self._held: list[bytes] = []
        """Chunks that may be an echo, or a voice."""
        self._n_resets = 0
        self._is_new = True
        """True until the canceller has learned the room, at first and after a reset."""
        self._doubted_until_s = self._removed_s = 0.0
        self.mode = self._choose_mode()
        """How the model is kept from hearing its own voice at present."""

    @property
    def is_waiting(self) -> bool:
        """True while half duplex keeps the microphone closed."""
        return self._gate.is_closed

    @property
    def leak_db(self) -> float | None:
        """Return the median of the measured leaks, in dB relative to the level that was played; None if none was."""
        return median(self._path.meter.leaks_db) if self._path and self._path.meter.leaks_db else None

    @property
    def erle_db(self) -> float | None:
        """Return the median of the measured ERLE in dB; None without a canceller or a measurement."""
        return (
            median(self._path.meter.erles_db)
            if self._path and self._path.cancels and self._path.meter.erles_db
            else None
        )

    @property
    def current_erle_db(self) -> float | None:
        """Return the newest ERLE in dB, while the echo is cancelled."""
        return self._path.meter.erle_db if self._path and self.mode is SoundMode.ECHO_CANCELLED else None

    def played(self, pcm: bytes) -> None:
        """Add mono PCM that was just handed to the loudspeaker's device."""
        if self._path is not None:
            self._path.played(pcm)

    def process(self, chunk: bytes, *, is_playing: bool, n_xruns: int = 0) -> list[bytes]:
        """Return the chunks to send in place of a chunk of the microphone's audio.

        It is an empty list while the chunk may be a voice or an echo. A later call returns the held chunks first.

        Args:
            chunk: 20 ms of audio.
            is_playing: True while the model's speech is played.
            n_xruns: Number of buffers that the devices reported as late or lost until now.
        """
        if self._path is None:
            cleaned = chunk
        else:
            cleaned = self._path.process(chunk)
            mode = self._choose_mode()
            if mode is not self.mode:
                self.mode = mode
                self._on_mode(mode)
        held = self.take_held()
        is_doubted = self._doubts(chunk, cleaned, n_xruns)
        if is_doubted or self.mode is SoundMode.HALF_DUPLEX:
            gated = self._gate.process(
                chunk if self._is_learning else cleaned,  # a new canceller removes every voice too
                cleaned,
                self._clock(),
                is_playing=is_playing,
                is_echo_due=self._is_echo_due,
                expected_dbfs=self._expect_echo_dbfs() if self._path is not None else None,
            )
            # They may be an echo. If they are a voice, 0.1 s of it is lost.
            return [self._gate.noise.make(len(chunk)) for chunk in held] + gated
        self._gate.reset()
        chunks = [*held, cleaned]
        if self._half_duplex is False:
            return chunks
        if self._path is None or self._path.verdict is not Verdict.WAITING:
            self._gate.noise.learn(cleaned)
            return chunks
        self._held = chunks
        return []

    def drop_held(self) -> None:
        """Discard all chunks that wait to be sent, because the user mutes or unmutes the microphone."""
        self._held.clear()
        self._gate.drop_withheld()

    def take_held(self) -> list[bytes]:
        """Remove and return the held chunks; the caller decides what becomes of them."""
        held, self._held = self._held, []
        return held

    def _doubts(self, recorded: bytes, cleaned: bytes, n_xruns: int) -> bool:
        """Return True at first, and after audio was late or lost, until the echo is seen to be removed."""
        if self._path is None or not self._path.cancels or self._half_duplex is False:
            return False
        if self.mode is SoundMode.HEADPHONES:
            return False
        now_s, n_disturbances = self._clock(), self._path.reference.n_disturbances + n_xruns
        if self._path.n_resets != self._n_resets:
            self._n_resets, self._is_new, self._removed_s = self._path.n_resets, True, 0.0
        if n_disturbances != self._n_disturbances:
            self._n_disturbances = n_disturbances
            self._doubted_until_s, self._removed_s = now_s + DOUBT_S, 0.0
        self._is_new = self._is_new and self._path.learned_s < DOUBT_S
        if now_s >= self._doubted_until_s and not self._is_new:
            return False
        recorded_dbfs = level_dbfs(recorded)
        if recorded_dbfs > ECHO_DBFS:
            is_removed = level_dbfs(cleaned) < recorded_dbfs - _REMOVED_DB
            self._removed_s = self._removed_s + CHUNK_S if is_removed else 0.0
            is_seen = self._is_new and self._path.is_first_removed
            if is_seen or self._removed_s >= (FIRST_TRUST_S if self._is_new else TRUST_S):
                self._doubted_until_s, self._is_new = 0.0, False
        return True

    def _choose_mode(self) -> SoundMode:
        if self._half_duplex:
            return SoundMode.HALF_DUPLEX
        if self._path is not None and self._path.meter.leak is Leak.ABSENT:
            return SoundMode.HEADPHONES
        if self._path is not None and self._path.cancels and not self._path.meter.is_audible:
            return SoundMode.ECHO_CANCELLED
        return SoundMode.NOT_CANCELLED if self._half_duplex is False else SoundMode.HALF_DUPLEX

    @property
    def _is_learning(self) -> bool:
        """True while there is a canceller that does not know the room yet."""
        return self._is_new and self._path is not None and self._path.cancels

    @property
    def _is_echo_due(self) -> bool:
        """True while an echo of what was played can still come."""
        meter = self._path.meter if self._path is not None else None
        return meter is not None and meter.leak is not Leak.ABSENT and meter.expected_dbfs(0.0) > PLAYED_DBFS

    def _expect_echo_dbfs(self) -> float:
        """Return the highest level that the echo can have at present in what `path` returns."""
        assert self._path is not None
        meter = self._path.meter
        if meter.leak is Leak.ABSENT:
            return -math.inf
        leak_db = meter.leak_db
        if leak_db is None or self._is_learning:
            leak_db = self._path.highest_leak_db
        if leak_db is None:
            leak_db = MAX_LEAK_DB
        is_doubted = self._is_new or self._clock() < self._doubted_until_s
        return meter.expected_dbfs(leak_db - (0.0 if is_doubted or meter.erle_db is None else meter.erle_db))
