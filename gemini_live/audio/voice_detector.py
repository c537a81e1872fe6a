"""Finds speech in audio by its energy, on the audio's own time: how fast it comes does not matter.

The simulator hears its clients with it, and the client its user, to know since when an answer is due. Frames of 20 ms
are speech when they stand out of the noise floor, which is the quietest that the last two seconds have been. An
utterance begins with enough speech in a row and ends with enough quiet. Pure; cheap enough for a hundred sessions (a
frame costs some microseconds: every fourth sample is looked at).
"""

import array
import math
from collections import deque
from dataclasses import dataclass
from operator import mul

from .pcm import SAMPLE_BYTES, to_samples

FRAME_S = 0.02
DEFAULT_SILENCE_S = 0.8
DEFAULT_PREFIX_S = 0.02
_DIGITAL_SILENCE_DBFS = -90.0
MAX_UTTERANCE_S = 120.0
"""An utterance that is longer is ended, so that a noise without end does not fill the memory."""

_LOOKED_AT_HZ = 4_000
"""Samples a second that the energy of a frame is computed from."""

_ABSOLUTE_DBFS = {True: -52.0, False: -42.0}
"""By start sensitivity (high, low): quieter than this is not speech in any room."""
_START_MARGIN_DB = {True: 7.0, False: 11.0}
_STAY_MARGIN_DB = {True: 5.0, False: 3.0}
"""By end sensitivity: a fading end is quiet sooner where the sensitivity is high."""

_STAY_BELOW_DB = 6.0
"""How much quieter than what begins an utterance the rest of it may be."""

_FLOOR_WINDOWS, _FLOOR_WINDOW_FRAMES = 4, 25
_FIRST_FRAMES = 10
"""Frames at the start of a stream before anything is decided: they are the first noise floor."""
_MAX_FIRST_FLOOR_DBFS = -35.0
_EVEN_DB = 5.0
_MIN_START_FRAMES = 3
_PREROLL_FRAMES = 5
_FADING_FRAMES = 4
"""Quiet frames that still belong to an utterance: speech fades out."""
_TAIL_FRAMES = 5
"""More of them that are sent back, so that an echo does not sound cut off."""


@dataclass(frozen=True)
class VoiceSettings:
    """How speech is found; the defaults are the service's, as far as they are known."""

    silence_s: float = DEFAULT_SILENCE_S
    """Quiet that ends an utterance."""
    prefix_s: float = DEFAULT_PREFIX_S
    """Speech that begins one."""
    start_high: bool = True
    """Whether a faint start counts (START_SENSITIVITY_HIGH)."""
    end_high: bool = True
    """Whether a fading end counts as quiet (END_SENSITIVITY_HIGH)."""


@dataclass(frozen=True)
class Utterance:
    """What the user said, in their own voice."""

    pcm: bytes
    rate_hz: int
    start_s: float
    """Since the first audio of the session, on the audio's own time."""
    end_s: float

    @property
    def duration_s(self) -> float:
        """How long it lasts, without the quiet that ended it."""
        return len(self.pcm) / (SAMPLE_BYTES * self.rate_hz)


@dataclass(frozen=True)
class SpeechStarted:
    """The user began to speak."""

    offset_s: float


def energy_dbfs(samples: "array.array[int]") -> float:
    """Return the level of `samples` in dB below full scale, whatever constant they carry; silence is -96."""
    n = len(samples)
    if not n:
        return -96.0
    mean = sum(samples) / n
    power = sum(map(mul, samples, samples)) / n - mean * mean
    return 10 * math.log10(power / 32768**2) if power > 0.27 else -96.0


class NoiseFloor:
    """The level of the noise: the quietest of the last two seconds, so that it follows noise and not speech."""

    def __init__(self) -> None:
        self.level_dbfs = -96.0
        self._minima: deque[float] = deque(maxlen=_FLOOR_WINDOWS)
        """The quietest of each of the last windows."""
        self._lowest, self._n_frames = 0.0, 0
        """Of the window that is going on."""

    def seed(self, level_dbfs: float) -> None:
        """Begin at a level."""
        self.level_dbfs = level_dbfs
        self._minima.clear()
        self._lowest, self._n_frames = level_dbfs, 0

    def add(self, level_dbfs: float) -> None:
        """Take the level of one more frame."""
        self._n_frames += 1
        if level_dbfs < self._lowest:
            self._lowest = level_dbfs
            self.level_dbfs = min(self.level_dbfs, level_dbfs)
        if self._n_frames == _FLOOR_WINDOW_FRAMES:
            self._minima.append(self._lowest)
            self.level_dbfs = min(self._minima)
            self._lowest, self._n_frames = 0.0, 0


class VoiceDetector:
    """Cuts a stream of audio into utterances."""

    def __init__(self, settings: VoiceSettings, *, keeps_pcm: bool = True) -> None:
        """Begin with silence; whoever wants only the times of what is said need not keep it."""
        self._keeps_pcm = keeps_pcm
        self._rate_hz = self._frame_bytes = self._step = 0
        self._partial = b""
        self._n_frames = 0
        """Frames decided on since the session began."""
        self._floor = NoiseFloor()
        self._first: list[tuple[bytes, float]] = []
        self._needed = max(_MIN_START_FRAMES, round(settings.prefix_s / FRAME_S))
        window = self._needed + self._needed // 3
        self._votes: deque[bool] = deque(maxlen=window)
        """Which of the latest frames were speech, while nobody is known to speak."""
        self._recent: deque[bytes] = deque(maxlen=window + _PREROLL_FRAMES)
        self._start_dbfs, self._start_margin_db = (
            _ABSOLUTE_DBFS[settings.start_high],
            _START_MARGIN_DB[settings.start_high],
        )
        self._stay_dbfs, self._stay_margin_db = self._start_dbfs - _STAY_BELOW_DB, _STAY_MARGIN_DB[settings.end_high]
        self._utterance: list[bytes] = []
        self._speaking = False
        self._quiet_frames = self._speech_run = 0
        self._patience = max(1, round(settings.silence_s / FRAME_S))

    @property
    def speaking(self) -> bool:
        """Whether an utterance is going on."""
        return self._speaking

    @property
    def heard_s(self) -> float:
        """How much audio has been decided on: the present, on the time of what is found."""
        return self._n_frames * FRAME_S

    def feed(self, pcm: bytes, rate_hz: int) -> list[SpeechStarted | Utterance]:
        """Take more audio, in pieces of any length; return what it brought."""
        events: list[SpeechStarted | Utterance] = []
        if rate_hz != self._rate_hz:
            events += self.flush()
            self._rate_hz = rate_hz
            self._frame_bytes = SAMPLE_BYTES * max(1, round(rate_hz * FRAME_S))
            self._step = max(1, rate_hz // _LOOKED_AT_HZ)
        size = self._frame_bytes
        if len(pcm) == size and not self._partial:  # as most clients send it
            self._hear(pcm, events)
            return events
        data = self._partial + pcm
        end = len(data) - len(data) % size
        for start in range(0, end, size):
            self._hear(data[start : start + size], events)
        self._partial = data[end:]
        return events

    def flush(self) -> list[SpeechStarted | Utterance]:
        """Take the stream for ended: return the utterance that was going on, and be ready for another stream."""
        events: list[SpeechStarted | Utterance] = []
        self._settle_first(events)
        if self._speaking:
            events.append(self._end())
        self._partial = b""
        self._recent.clear()
        self._votes.clear()
        self._first = []
        return events

    def _hear(self, frame: bytes, events: list[SpeechStarted | Utterance]) -> None:
        level = energy_dbfs(to_samples(frame)[:: self._step])
        frame = frame if self._keeps_pcm else b""
        if len(self._first) < _FIRST_FRAMES:
            self._first.append((frame, level))
            if len(self._first) == _FIRST_FRAMES:
                self._settle_first(events, whole=True)
            return
        self._decide(frame, level, events)

    def _settle_first(self, events: list[SpeechStarted | Utterance], *, whole: bool = False) -> None:
        """Decide on the frames that the stream began with, now that the noise under them is known."""
        if not self._first or (len(self._first) == _FIRST_FRAMES and not whole):
            return
        levels = [level for _, level in self._first]
        # Noise is even; what is loud and uneven from the first moment is speech.
        even = len(levels) == _FIRST_FRAMES and max(levels) - min(levels) < _EVEN_DB
        self._floor.seed(min(levels) if even else min(_MAX_FIRST_FLOOR_DBFS, *levels))
        for frame, level in self._first:
            self._decide(frame, level, events)

    def _decide(self, frame: bytes, level: float, events: list[SpeechStarted | Utterance]) -> None:
        if level > _DIGITAL_SILENCE_DBFS:  # zeros, as a client in half duplex sends them, tell nothing of the room
            self._floor.add(level)
        self._n_frames += 1
        if self._speaking:
            self._go_on(frame, level > max(self._stay_dbfs, self._floor.level_dbfs + self._stay_margin_db), events)
        else:
            speech = level > max(self._start_dbfs, self._floor.level_dbfs + self._start_margin_db)
            self._wait_for_start(frame, speech, events)

    def _wait_for_start(self, frame: bytes, speech: bool, events: list[SpeechStarted | Utterance]) -> None:
        self._recent.append(frame)
        self._votes.append(speech)
        if not speech or sum(self._votes) < self._needed:
            return
        n_before = len(self._recent) - len(self._votes) + self._votes.index(True)
        keep_from = max(0, n_before - 1)
        self._utterance = list(self._recent)[keep_from:]
        self._start_s = (self._n_frames - len(self._utterance)) * FRAME_S
        self._speaking, self._quiet_frames, self._speech_run = True, 0, 0
        self._recent.clear()
        self._votes.clear()
        events.append(SpeechStarted(self._start_s))

    def _go_on(self, frame: bytes, speech: bool, events: list[SpeechStarted | Utterance]) -> None:
        self._utterance.append(frame)
        self._speech_run = self._speech_run + 1 if speech else 0
        # One loud frame alone is a click, not the sentence going on.
        self._quiet_frames = 0 if self._speech_run >= 2 else self._quiet_frames + 1
        if self._quiet_frames >= self._patience or len(self._utterance) * FRAME_S >= MAX_UTTERANCE_S:
            events.append(self._end())

    def _end(self) -> Utterance:
        n_heard = len(self._utterance) - max(0, self._quiet_frames - _FADING_FRAMES)
        utterance = Utterance(
            pcm=b"".join(self._utterance[: n_heard + _TAIL_FRAMES]),
            rate_hz=self._rate_hz,
            start_s=self._start_s,
            end_s=self._start_s + n_heard * FRAME_S,
        )
        self._speaking, self._utterance = False, []
        return utterance
