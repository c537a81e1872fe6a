"""Measure this machine's sound for `--check-audio`: play a noise, listen, and compare. Event loop; imports numpy.

The noise rises and falls like speech, so the canceller and the meter work as in a conversation. Its spectrum is flat
up to 7 kHz, so its delay can be measured to a fraction of a sample.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, MissingExtraError
from . import echo
from . import pcm as formats
from .buffers import PlayoutBuffer
from .correlation import correlate
from .moved_echo import MAX_CANCELLED_DELAY_S
from .portaudio import AudioSystem, Microphone, Speaker
from .reference import LowDelayResampler
from .report import NO_MICROPHONE, AudioReport

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SILENCE_S, SOUND_S, TAIL_S = 1.5, 8.0, 1.0
"""How long it listens to the room, plays, and listens again."""
CONVERGED_S = 3.0
"""The canceller has learned the room after this time of sound."""
NOISE_DBFS = -22.0
"""Level of the noise that is played."""
GOOD_ERLE_DB, INAUDIBLE_DBFS = 20.0, -50.0
"""Cancellation works if it removes so much of the echo, or leaves so little."""
_WINDOW_S, _MAX_DELAY_S = 0.5, 1.0
_MIN_CORRELATION = 0.1
"""Correlation of a window of the recording with what was played that shows an echo. By chance it stays below 0.06."""
_N_WINDOWS = 4
"""An echo is heard in at least so many windows."""
_DIGITAL_SILENCE_DBFS = -95.0


async def check_audio(
    input_device: str | None, output_device: str | None, *, tell: Callable[[str], None] = lambda _: None
) -> AudioReport:
    """Play a noise and return what the microphone makes of it, after about 11 s.

    Args:
        input_device: Index or part of a name; None for the system's default.
        output_device: Index or part of a name; None for the system's default.
        tell: Called with a line about what happens next.

    Raises:
        MissingExtraError: PyAudio or numpy is not installed.
        DeviceError: There is no such device, or it cannot be opened, or fails.
    """
    if not echo.can_measure():
        raise MissingExtraError("--check-audio", "audio")
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def lose(reason: str) -> None:
        if not lost.done():
            lost.set_exception(DeviceError(reason))

    recording = _Recording()
    async with AudioSystem() as system:
        speaker = await system.open_speaker(output_device, PlayoutBuffer(), lose, recording.played)
        microphone = await system.open_microphone(input_device, recording.recorded, lose)
        recording.begin(speaker)
        await speaker.start()
        await microphone.start()
        tell(f"listening to {microphone.device.name!r} for {SILENCE_S:g} s: please be quiet")
        await _wait(SILENCE_S, lost)
        tell(f"playing a noise on {speaker.device.name!r} for {SOUND_S:g} s, at the volume of a conversation")
        recording.mark_sound()
        speaker.write(make_noise(SOUND_S), formats.OUTPUT.rate_hz)
        await _wait(SOUND_S + TAIL_S, lost)
        return recording.report(microphone, speaker)


async def _wait(duration_s: float, lost: "asyncio.Future[None]") -> None:
    await asyncio.wait([lost], timeout=duration_s)
    if lost.done():
        lost.result()


def make_noise(duration_s: float) -> bytes:
    """Return 24 kHz PCM: noise up to 7 kHz, in syllables of 0.2 s and with pauses, always the same."""
    import numpy as np  # noqa: PLC0415 - an extra

    rate_hz = formats.OUTPUT.rate_hz
    n = round(duration_s * rate_hz)
    random = np.random.default_rng(1)
    spectrum = np.fft.rfft(random.standard_normal(n))
    frequencies_hz = np.fft.rfftfreq(n, 1 / rate_hz)
    spectrum[(frequencies_hz < 150) | (frequencies_hz > 7_000)] = 0
    noise = np.fft.irfft(spectrum, n)
    n_syllable = round(0.2 * rate_hz)
    heights = np.repeat(random.uniform(0.15, 1.0, n // n_syllable + 1), n_syllable)[:n]
    heights *= np.sin(np.pi * (np.arange(n) % n_syllable) / n_syllable) ** 0.5
    heights *= (np.arange(n) % (10 * n_syllable)) < 9 * n_syllable
    noise *= heights
    noise *= 10 ** (NOISE_DBFS / 20) / np.sqrt(np.mean(noise[np.abs(noise) > 0.01 * np.abs(noise).max()] ** 2))
    return bytes(np.round(noise.clip(-1, 1) * 32767).astype("<i2").tobytes())


class _Recording:
    """What was played, recorded and cleaned, with the time at which each piece came."""

    def __init__(self) -> None:
        import numpy as np  # noqa: PLC0415 - an extra

        self._np: Any = np
        self._played, self._recorded, self._cleaned = bytearray(), bytearray(), bytearray()
        self._played_s: list[tuple[int, float]] = []
        """Number of samples and time, after each piece that was handed to the loudspeaker."""
        self._recorded_s: list[tuple[int, float]] = []
        """Number of samples and time, after each piece that came from the microphone."""
        self._n_before_sound = 0
        self._clock = asyncio.get_running_loop().time

    def begin(self, speaker: Speaker) -> None:
        """Get ready: the rate of the loudspeaker is known."""
        self._resampler = LowDelayResampler(speaker.rate_hz)
        self._path = echo.EchoPath(
            speaker.rate_hz, cancels=echo.is_installed(), device_delay_s=speaker.device_latency_s
        )

    def played(self, pcm: bytes) -> None:
        """Add what was handed to the loudspeaker."""
        self._played += self._resampler.feed(pcm)
        self._played_s.append((len(self._played) // formats.SAMPLE_BYTES, self._clock()))
        self._path.played(pcm)

    def recorded(self, chunk: bytes) -> None:
        """Add what the microphone recorded."""
        self._recorded += chunk
        self._recorded_s.append((len(self._recorded) // formats.SAMPLE_BYTES, self._clock()))
        self._cleaned += self._path.process(chunk)

    def mark_sound(self) -> None:
        """Record that the sound begins now."""
        self._n_before_sound = len(self._recorded) // formats.SAMPLE_BYTES

    def report(self, microphone: Microphone, speaker: Speaker) -> AudioReport:
        """Return what was measured."""
        played, recorded, cleaned = map(self._to_signal, (self._played, self._recorded, self._cleaned))
        rate_hz, start = formats.INPUT.rate_hz, self._n_before_sound
        # The first moments of a stream may be louder.
        noise_dbfs = self._level_dbfs(recorded[start // 3 : start])
        lags = self._find_lags(played, recorded)
        round_trip_s = leak_db = erle_db = drift_ppm = rest_dbfs = None
        if len(lags) >= _N_WINDOWS:
            delay, drift_ppm = self._fit(lags)
            round_trip_s = self._round_trip_s(delay)
            sound = recorded[start : start + round(SOUND_S * rate_hz)]
            excess = max(1e-10, float((sound**2).mean()) - 10 ** (noise_dbfs / 10))
            leak_db = 10 * float(self._np.log10(excess / (played**2).sum() * len(sound)))
            converged = slice(start + round(CONVERGED_S * rate_hz), start + round(SOUND_S * rate_hz))
            rest_dbfs = self._level_dbfs(cleaned[converged])
            if self._path.cancels:
                erle_db = self._level_dbfs(recorded[converged]) - rest_dbfs
        silent = self._level_dbfs(recorded) < _DIGITAL_SILENCE_DBFS
        mode, advice = _recommend(
            silent=silent, leak_db=leak_db, erle_db=erle_db, rest_dbfs=rest_dbfs, round_trip_s=round_trip_s
        )
        return AudioReport(
            microphone=microphone.device.name,
            microphone_rate_hz=microphone.rate_hz,
            speaker=speaker.device.name,
            speaker_rate_hz=speaker.rate_hz,
            noise_dbfs=round(noise_dbfs, 1),
            round_trip_s=_rounded(round_trip_s, 3),
            echo_leak_db=_rounded(leak_db, 1),
            erle_db=_rounded(erle_db, 1),
            drift_ppm=_rounded(drift_ppm, 0),
            dropped_blocks=microphone.n_xruns + speaker.n_xruns,
            mode=mode,
            advice=advice,
        )

    def _to_signal(self, pcm: bytearray) -> "npt.NDArray[np.float64]":
        signal: npt.NDArray[np.float64] = self._np.frombuffer(bytes(pcm), "<i2").astype(self._np.float64) / 32768
        return signal

    def _level_dbfs(self, signal: "npt.NDArray[np.float64]") -> float:
        return 10 * float(self._np.log10(self._np.mean(signal**2) + 2.6e-10)) if len(signal) else -96.0

    def _find_lags(
        self, played: "npt.NDArray[np.float64]", recorded: "npt.NDArray[np.float64]"
    ) -> list[tuple[float, float]]:
        """Return the position in `played` and the lag in `recorded`, in samples, of each window with an echo."""
        np = self._np
        size, reach = round(_WINDOW_S * formats.INPUT.rate_hz), round(_MAX_DELAY_S * formats.INPUT.rate_hz)
        offset = self._start_offset()
        lags = []
        for at in range(0, len(played) - size + 1, size):
            window = played[at : at + size]
            begin = at - offset
            if self._level_dbfs(window) < NOISE_DBFS - 20 or begin < 0:
                continue
            section = recorded[begin : begin + size + reach]
            if len(section) < size + reach:
                break
            correlation = correlate(window, section)[:reach]
            best = int(np.abs(correlation).argmax())
            if 0 < best < reach - 1 and abs(correlation[best]) >= _MIN_CORRELATION:
                before, peak, after = np.abs(correlation[best - 1 : best + 2])
                lags.append((float(at), best + 0.5 * float((before - after) / (before - 2 * peak + after))))
        return lags

    def _start_offset(self) -> int:
        """Return how many samples had been played when the recording began."""
        n_first, first_s = self._recorded_s[0]
        began_s = first_s - n_first / formats.INPUT.rate_hz
        return max((n for n, at_s in self._played_s if at_s <= began_s), default=0)

    def _fit(self, lags: list[tuple[float, float]]) -> tuple[float, float]:
        """Return the median lag in samples, and its slope in parts per million, without windows that are far off."""
        np = self._np
        positions, values = np.array(lags).T
        median = float(np.median(values))
        near = np.abs(values - median) < 0.005 * formats.INPUT.rate_hz
        # A loudspeaker that runs fast plays each sample earlier by the microphone's clock.
        slope = -float(np.polyfit(positions[near], values[near], 1)[0]) if near.sum() >= _N_WINDOWS else 0.0
        return median, 1e6 * slope

    def _round_trip_s(self, lag: float) -> float:
        """Return the time from handing a sample over to getting its echo, as the median over all pieces."""
        np = self._np
        offset = self._start_offset()
        recorded, recorded_s = np.array(self._recorded_s).T
        handed, handed_s = np.array(self._played_s).T
        due_s = np.interp(handed - offset + lag, recorded, recorded_s, left=np.nan, right=np.nan)
        return float(np.nanmedian(due_s - handed_s))


def _recommend(
    *, silent: bool, leak_db: float | None, erle_db: float | None, rest_dbfs: float | None, round_trip_s: float | None
) -> tuple[str, str]:
    """Return the recommended mode and what to do."""
    if silent:
        return NO_MICROPHONE, (
            "the microphone records nothing at all: unmute it, and let this program use it; if it removes noise by "
            "itself, unmute the loudspeaker too"
        )
    if leak_db is None:
        return "headphones", "nothing comes back from the loudspeaker: no option is needed"
    if erle_db is None:
        return "half duplex", "for cancellation, which lets you interrupt: pip install 'gemini-live[echo]'"
    assert rest_dbfs is not None
    if erle_db >= GOOD_ERLE_DB or rest_dbfs <= INAUDIBLE_DBFS:
        return "echo cancelled", "the echo is removed: no option is needed"
    if round_trip_s is not None and round_trip_s > MAX_CANCELLED_DELAY_S:
        return "half duplex", (
            f"the echo comes later than the {MAX_CANCELLED_DELAY_S:g} s in which it can be removed: use --half-duplex, "
            "or a loudspeaker with a shorter delay, such as one without Bluetooth"
        )
    return "half duplex", (
        "too much echo is left: lower the volume, move the microphone away from the loudspeaker, or use --half-duplex"
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
