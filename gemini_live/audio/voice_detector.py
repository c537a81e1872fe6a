"""Find speech in audio by its energy, on the audio's own time: the speed at which audio arrives does not matter.

The simulator uses it for the voices of its clients, and the client for its user's voice, to know since when an answer
is due. A block of 20 ms is speech if it stands out of the noise floor, which is the quietest level of the last two
seconds. An utterance begins with enough speech in a row and ends with enough quiet. Pure; cheap enough for a hundred
sessions: a block costs some microseconds, because the energy is computed from every fourth sample.

`benchmarks/voice.py` compares it with others; the numbers below were chosen with it.
"""

import array
import math
from collections import deque
from dataclasses import dataclass

from ..frozen import Frozen
from .pcm import SAMPLE_BYTES, to_samples

BLOCK_S = 0.02
"""Duration of a block of audio that is judged as a whole."""
DEFAULT_SILENCE_S = 0.8
DEFAULT_PREFIX_S = 0.02
_DIGITAL_SILENCE_DBFS = -90.0
MAX_UTTERANCE_S = 120.0
"""A longer utterance is ended, so that endless noise does not fill the memory."""

_LOOKED_AT_HZ = 4_000
"""Samples per second from which the energy of a block is computed."""
_LAG = 3
"""Samples between the two whose difference counts."""

_ABSOLUTE_DBFS = {True: -52.0, False: -42.0}
"""Lowest level of speech in any room, by start sensitivity (True: high)."""
_START_MARGIN_DB = {True: 7.0, False: 11.0}
"""How far the start of speech stands above the noise floor, by start sensitivity (True: high)."""
_STAY_MARGIN_DB = {True: 5.0, False: 3.0}
"""How far continued speech stands above the noise floor, by end sensitivity (True: high, ends sooner)."""

_MIN_START_BLOCKS, _MIN_STAY_BLOCKS = 3, 2
"""Blocks of speech in a row with which an utterance begins, and goes on."""
_STEADY_DB = 8.0
"""Within how many dB they are: a keystroke may be as loud as speech, but dies away faster."""
_STAY_BELOW_DB = 6.0
"""How much quieter than its beginning the rest of an utterance may be."""
_FADE_DB = 22.0
"""How much quieter than its loudest block the rest of an utterance may be."""

_FLOOR_WINDOWS, _FLOOR_WINDOW_BLOCKS = 4, 25
_FIRST_BLOCKS = 10
"""Blocks at the start of a stream that make the first noise floor, before anything is decided."""
_MAX_FIRST_FLOOR_DBFS = -35.0
_EVEN_DB = 5.0
_ONSET_BLOCKS = 15
"""An utterance begins with the first block of speech among so many: a short word may rise too fast to be even, and yet
belongs to it."""
_FADING_BLOCKS = 4
"""Quiet blocks that still belong to an utterance, because speech fades out."""
_TAIL_BLOCKS = 5
"""Further quiet blocks in `Utterance.pcm`, so that it does not sound cut off."""


@dataclass(frozen=True)
class VoiceSettings:
    """How speech is detected. The defaults are those of the service, as far as known."""

    silence_s: float = DEFAULT_SILENCE_S
    """Seconds of quiet that end an utterance."""
    prefix_s: float = DEFAULT_PREFIX_S
    """Seconds of speech that begin an utterance."""
    start_high: bool = True
    """True if a faint start counts as speech (START_SENSITIVITY_HIGH)."""
    end_high: bool = True
    """True if a fading end counts as quiet (END_SENSITIVITY_HIGH)."""


class Utterance(Frozen):
    """Speech of the user, from its start to the silence that ends it."""

    pcm: bytes
    """The audio; empty if the detector does not keep it."""
    rate_hz: int
    start_s: float
    """Seconds of audio before the utterance."""
    end_s: float
    """Seconds of audio until the end of the utterance."""

    @property
    def duration_s(self) -> float:
        """Return the duration without the quiet that ended the utterance."""
        return len(self.pcm) / (SAMPLE_BYTES * self.rate_hz)


class SpeechStarted(Frozen):
    """The user began to speak."""

    offset_s: float
    """Seconds of audio before the speech."""


def energy_dbfs(samples: "array.array[int]") -> float:
    """Return the level of `samples` in dB relative to full scale, without what is deeper than voices; silence is -96.

    It is the level of the differences over `_LAG` samples. At 4 kHz, hum of 50 Hz loses 16 dB and white noise nothing.
    """
    row = tuple(samples)
    power = math.dist(row[_LAG:], row[:-_LAG]) ** 2 / (2 * max(1, len(row) - _LAG))
    return 10 * math.log10(power / 32768**2) if power > 0.27 else -96.0


class NoiseFloor:
    """The level of the noise: the quietest block of two seconds, so that it follows the noise and not the speech."""

    def __init__(self) -> None:
        self.level_dbfs = -96.0
        self._minima: deque[float] = deque(maxlen=_FLOOR_WINDOWS)
        """Quietest level of each finished window."""
        self._lowest, self._n_blocks = 0.0, 0
        """Lowest level and number of blocks in the current window."""

    def seed(self, level_dbfs: float) -> None:
        """Set the level of the noise and forget the past."""
        self.level_dbfs = level_dbfs
        self._minima.clear()
        self._lowest, self._n_blocks = level_dbfs, 0

    def add(self, level_dbfs: float) -> None:
        """Add the level of one block."""
        self._n_blocks += 1
        if level_dbfs < self._lowest:
            self._lowest = level_dbfs
            self.level_dbfs = min(self.level_dbfs, level_dbfs)
        if self._n_blocks == _FLOOR_WINDOW_BLOCKS:
            self._minima.append(self._lowest)
            self.level_dbfs = min(self._minima)
            self._lowest, self._n_blocks = 0.0, 0


class VoiceDetector:
    """Divides a stream of audio into utterances."""

    def __init__(self, settings: VoiceSettings, *, keeps_pcm: bool = True) -> None:
        """Begin with silence. `keeps_pcm`: True to return the audio of each utterance, and not only its times."""
        self._keeps_pcm = keeps_pcm
        self._rate_hz = self._block_bytes = self._step = 0
        self._partial = b""
        self._n_blocks = 0
        """Number of blocks that were judged since the beginning."""
        self._floor = NoiseFloor()
        self._first: list[tuple[bytes, float]] = []
        self._needed = max(_MIN_START_BLOCKS, round(settings.prefix_s / BLOCK_S))
        self._window = self._needed + self._needed // 3
        """Number of blocks among which `_needed` are speech as an utterance begins."""
        n_recent = max(_ONSET_BLOCKS, self._window)
        self._votes: deque[bool] = deque(maxlen=n_recent)
        """Which of the latest blocks were speech; empty during an utterance."""
        self._run: deque[float] = deque(maxlen=_MIN_START_BLOCKS)
        """The levels of the latest blocks, as far as they were speech in a row."""
        self._recent: deque[bytes] = deque(maxlen=n_recent + 1)
        self._start_dbfs, self._start_margin_db = (
            _ABSOLUTE_DBFS[settings.start_high],
            _START_MARGIN_DB[settings.start_high],
        )
        self._stay_dbfs, self._stay_margin_db = self._start_dbfs - _STAY_BELOW_DB, _STAY_MARGIN_DB[settings.end_high]
        self._utterance: list[bytes] = []
        self._speaking = False
        self._loudest_dbfs = 0.0
        """The loudest block of the present utterance."""
        self._quiet_blocks = 0
        self._patience = max(1, round(settings.silence_s / BLOCK_S))

    @property
    def speaking(self) -> bool:
        """True during an utterance."""
        return self._speaking

    @property
    def heard_s(self) -> float:
        """Return the seconds of audio that were judged: the present on the time of the events."""
        return self._n_blocks * BLOCK_S

    def feed(self, pcm: bytes, rate_hz: int) -> list[SpeechStarted | Utterance]:
        """Add audio of any length; return the events in it."""
        events: list[SpeechStarted | Utterance] = []
        if rate_hz != self._rate_hz:
            events += self.flush()
            self._rate_hz = rate_hz
            self._block_bytes = SAMPLE_BYTES * max(1, round(rate_hz * BLOCK_S))
            self._step = max(1, rate_hz // _LOOKED_AT_HZ)
        size = self._block_bytes
        if len(pcm) == size and not self._partial:  # as most clients send it
            self._judge(pcm, events)
            return events
        data = self._partial + pcm
        end = len(data) - len(data) % size
        for start in range(0, end, size):
            self._judge(data[start : start + size], events)
        self._partial = data[end:]
        return events

    def flush(self) -> list[SpeechStarted | Utterance]:
        """End the stream: return the utterance in progress, and get ready for a new stream."""
        events: list[SpeechStarted | Utterance] = []
        self._decide_first(events)
        if self._speaking:
            events.append(self._end())
        self._partial = b""
        self._recent.clear()
        self._votes.clear()
        self._run.clear()
        self._first = []
        return events

    def _judge(self, block: bytes, events: list[SpeechStarted | Utterance]) -> None:
        level = energy_dbfs(to_samples(block)[:: self._step])
        block = block if self._keeps_pcm else b""
        if len(self._first) < _FIRST_BLOCKS:
            self._first.append((block, level))
            if len(self._first) == _FIRST_BLOCKS:
                self._decide_first(events, whole=True)
            return
        self._decide(block, level, events)

    def _decide_first(self, events: list[SpeechStarted | Utterance], *, whole: bool = False) -> None:
        """Judge the first blocks of the stream, now that the noise below them is known."""
        if not self._first or (len(self._first) == _FIRST_BLOCKS and not whole):
            return
        levels = [level for _, level in self._first]
        # Noise is even: loud and uneven audio at the beginning is speech.
        even = len(levels) == _FIRST_BLOCKS and max(levels) - min(levels) < _EVEN_DB
        self._floor.seed(min(levels) if even else min(_MAX_FIRST_FLOOR_DBFS, *levels))
        for block, level in self._first:
            self._decide(block, level, events)

    def _decide(self, block: bytes, level: float, events: list[SpeechStarted | Utterance]) -> None:
        if level > _DIGITAL_SILENCE_DBFS:  # zeros, as in half duplex, say nothing about the room
            self._floor.add(level)
        self._n_blocks += 1
        floor_dbfs = self._floor.level_dbfs
        if self._speaking:
            self._loudest_dbfs = max(self._loudest_dbfs, level)
            least_dbfs = max(self._stay_dbfs, floor_dbfs + self._stay_margin_db, self._loudest_dbfs - _FADE_DB)
        else:
            least_dbfs = max(self._start_dbfs, floor_dbfs + self._start_margin_db)
        if level > least_dbfs:
            self._run.append(level)
        else:
            self._run.clear()
        if self._speaking:
            self._continue(block, events)
        else:
            self._wait_for_start(block, events)

    def _is_steady(self, n_blocks: int) -> bool:
        """True if the latest blocks are speech and even."""
        levels = list(self._run)[-n_blocks:]
        return len(levels) == n_blocks and max(levels) - min(levels) < _STEADY_DB

    def _wait_for_start(self, block: bytes, events: list[SpeechStarted | Utterance]) -> None:
        self._recent.append(block)
        self._votes.append(bool(self._run))
        if not self._is_steady(_MIN_START_BLOCKS) or sum(list(self._votes)[-self._window :]) < self._needed:
            return
        n_spoken = len(self._votes) - self._votes.index(True)
        self._utterance = list(self._recent)[-n_spoken - 1 :]
        self._start_s = (self._n_blocks - len(self._utterance)) * BLOCK_S
        self._speaking, self._quiet_blocks, self._loudest_dbfs = True, 0, max(self._run)
        self._recent.clear()
        self._votes.clear()
        events.append(SpeechStarted(self._start_s))

    def _continue(self, block: bytes, events: list[SpeechStarted | Utterance]) -> None:
        self._utterance.append(block)
        self._quiet_blocks = 0 if self._is_steady(_MIN_STAY_BLOCKS) else self._quiet_blocks + 1
        if self._quiet_blocks >= self._patience or len(self._utterance) * BLOCK_S >= MAX_UTTERANCE_S:
            events.append(self._end())

    def _end(self) -> Utterance:
        n_kept = len(self._utterance) - max(0, self._quiet_blocks - _FADING_BLOCKS)
        utterance = Utterance(
            pcm=b"".join(self._utterance[: n_kept + _TAIL_BLOCKS]),
            rate_hz=self._rate_hz,
            start_s=self._start_s,
            end_s=self._start_s + n_kept * BLOCK_S,
        )
        self._speaking, self._utterance = False, []
        self._run.clear()
        return utterance
