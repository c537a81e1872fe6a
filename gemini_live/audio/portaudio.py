"""Owns PyAudio: a `Microphone` and a `Speaker` whose callbacks only read and post.

Three kinds of threads meet here. PortAudio's threads call the methods named `_on_*`, which only hand bytes over. One
daemon thread of ours makes all other calls into PortAudio, because such calls must not overlap, and may block for ever
when a device dies. Everything else (channels, rates, chunks, supervision) happens on the event loop.

It is longer than 300 lines because a microphone and a loudspeaker share their stream's life.
"""

import asyncio
import contextlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from ..errors import DeviceError, MissingExtraError
from . import pcm as formats
from .buffers import PlayoutBuffer
from .call_thread import CallThread
from .conversion import CHUNK_S, SPEAKER_BUFFER_S, MicrophoneConverter, SpeakerConverter
from .devices import Device, Direction, choose_device, find_devices, format_devices
from .quiet_stderr import mute_c_stderr

_COMMON_RATES_HZ = (48_000, 44_100)
_MAX_CHANNELS = 8
"""A device with more channels is a sound server, which accepts one or two."""
_PA_CONTINUE = 0

MAX_QUEUED_S = 600.0
"""Speech that may wait to be played; more is dropped."""
_OPEN_TIMEOUT_S = 10.0
"""Long, because a Bluetooth headset may have to wake up."""
_LOW_S = 0.04
"""Near the end of the audio: less than this is left to be played."""
_CALLBACKS_BEFORE_FLUSH = 6
"""Callbacks since the last write after which no more audio is expected soon."""
_QUIET_CHECKS = 5
"""A stream without a callback for this many checks is lost; a new stream gets twice as many."""


class AudioSystem:
    """PortAudio, from its start to its end; closing it closes all streams that it opened."""

    _thread: CallThread

    def __init__(self, *, check_s: float = 0.5, stop_timeout_s: float = 1.0) -> None:
        self._check_s = check_s
        self._stop_timeout_s = stop_timeout_s
        self._resources = contextlib.ExitStack()
        self._portaudio: Any = None
        self._streams: list[_Stream] = []
        self._devices: tuple[Device, ...] = ()

    async def __aenter__(self) -> "AudioSystem":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Start PortAudio. Until `close`, messages of PortAudio and its libraries stay off the terminal.

        Raises:
            MissingExtraError: PyAudio is not installed.
            DeviceError: PortAudio does not start or does not respond.
        """
        pyaudio = _import_pyaudio()
        with contextlib.ExitStack() as resources:
            resources.enter_context(mute_c_stderr())
            self._thread = CallThread("portaudio")
            resources.callback(self._thread.end)
            try:
                portaudio = await self._thread.call(pyaudio.PyAudio, _OPEN_TIMEOUT_S)
                self._devices = await self._thread.call(lambda: find_devices(portaudio), _OPEN_TIMEOUT_S)
            except (OSError, TimeoutError) as exc:
                raise DeviceError(f"the sound system does not start: {_reason(exc)}") from exc
            self._portaudio, self._resources = portaudio, resources.pop_all()

    def devices(self) -> tuple[Device, ...]:
        """Return the devices that existed when PortAudio was started."""
        return self._devices

    async def open_microphone(
        self, device: str | None, offer: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> "Microphone":
        """Open a microphone without starting it.

        Args:
            device: Index or part of a name; None for the system's default.
            offer: Called on the loop with each 20 ms of 16 kHz mono PCM.
            on_lost: Called once, on the loop, with the reason when the microphone fails. The device closes itself.

        Raises:
            DeviceError: There is no such device, or it cannot be opened.
        """
        microphone = Microphone(self, choose_device(self._devices, device, Direction.INPUT), on_lost, offer)
        await microphone._open(self._portaudio)
        return microphone

    async def open_speaker(
        self,
        device: str | None,
        buffer: PlayoutBuffer,
        on_lost: Callable[[str], None],
        on_played: Callable[[bytes], None] | None = None,
    ) -> "Speaker":
        """Open a loudspeaker without starting it.

        Args:
            device: Index or part of a name; None for the system's default.
            buffer: Holds the audio to play, in the device's own rate and channels. Only `Speaker.write` may fill it.
            on_lost: Called once, on the loop, with the reason when the loudspeaker fails. The device closes itself.
            on_played: Called on the loop with the audio that the device just took, including silence, as mono PCM at
                the speaker's `rate_hz`. The calls are in order with those of the microphone's `offer`.

        Raises:
            DeviceError: There is no such device, or it cannot be opened.
        """
        chosen = choose_device(self._devices, device, Direction.OUTPUT)
        speaker = Speaker(self, chosen, on_lost, buffer, on_played)
        await speaker._open(self._portaudio)
        return speaker

    async def close(self) -> None:
        """Close every stream and PortAudio, in about a second at most; may be called in any state.

        A thread that hangs inside PortAudio is left behind. The process then has to leave by `os._exit`: a callback
        during the interpreter's shutdown may crash it.
        """
        portaudio, self._portaudio = self._portaudio, None
        if portaudio is None:
            return
        with self._resources.pop_all():
            for stream in self._streams:
                await stream.stop()
            with contextlib.suppress(TimeoutError):
                await self._thread.call(portaudio.terminate, self._stop_timeout_s)


class _Stream(ABC):
    """One PortAudio stream and its supervision: what a microphone and a loudspeaker have in common."""

    _direction: Direction
    _wanted: formats.PcmFormat
    _buffer_s: float
    """Duration of one of the device's buffers."""

    def __init__(self, system: AudioSystem, device: Device, on_lost: Callable[[str], None]) -> None:
        self.device = device
        self.rate_hz = self._wanted.rate_hz
        """Rate at which the device was opened."""
        self.channels = 1
        """Number of channels with which the device was opened."""
        self.n_xruns = 0
        """Number of buffers that PortAudio reported as late or lost."""
        self._loop = asyncio.get_running_loop()
        self._thread = system._thread
        self._check_s = system._check_s
        self._stop_timeout_s = system._stop_timeout_s
        self._report_lost = on_lost
        self._stream: Any = None
        """PyAudio's stream; None before it is opened and after it is closed."""
        self._watcher: asyncio.Task[None] | None = None
        self._n_callbacks = 0
        """Number of callbacks since the stream was started. Only PortAudio's thread changes it."""
        system._streams.append(self)

    def __str__(self) -> str:
        return f"the {self._direction.noun} {self.device.name!r}"

    @property
    def is_open(self) -> bool:
        """True if the stream can still record or play."""
        return self._stream is not None

    async def start(self) -> None:
        """Start the stream.

        Raises:
            DeviceError: The device refuses.
        """
        try:
            await self._thread.call(self._stream.start_stream, _OPEN_TIMEOUT_S)
        except (OSError, TimeoutError) as exc:
            raise DeviceError(f"{self} does not start: {_reason(exc)}") from exc
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self}")

    async def stop(self) -> None:
        """Close the stream, in a second at most; may be called in any state."""
        if self._watcher is not None:
            self._watcher.cancel()
        await self._release()

    async def _open(self, portaudio: Any) -> None:
        try:
            opened = await self._thread.call(lambda: self._open_best(portaudio), _OPEN_TIMEOUT_S)
        except (OSError, TimeoutError) as exc:
            raise DeviceError(f"{self} cannot be opened: {_reason(exc)}") from exc
        self._stream, self.rate_hz, self.channels = opened

    def _open_best(self, portaudio: Any) -> tuple[Any, int, int]:
        """Open the stream at the first rate and channels that work. In PortAudio's control thread: it may take long."""
        refusals = []
        for rate_hz, channels in self._rates_and_channels():
            request: dict[str, Any] = {
                self._direction.value: True,
                f"{self._direction.value}_device_index": self.device.index,
                "format": _import_pyaudio().paInt16,
                "rate": rate_hz,
                "channels": channels,
                "frames_per_buffer": round(rate_hz * self._buffer_s),
            }
            try:
                stream = portaudio.open(**request, start=False, stream_callback=self._on_audio)
            except OSError as exc:
                refusals.append(exc)
            else:
                self._prepare(rate_hz, channels)
                return stream, rate_hz, channels
        # The last attempt was with the device's own rate and channels, so its error is the reason.
        raise refusals[-1]

    def _rates_and_channels(self) -> Iterator[tuple[int, int]]:
        """Yield rates and channels, best first: those that need no conversion, then those that the device prefers."""
        most = self.device.channels(self._direction)
        for channels in dict.fromkeys((1, min(2, most), most if most <= _MAX_CHANNELS else 1)):
            for rate_hz in dict.fromkeys((self._wanted.rate_hz, *_COMMON_RATES_HZ, self.device.default_rate_hz)):
                yield rate_hz, channels

    @abstractmethod
    def _prepare(self, rate_hz: int, channels: int) -> None:
        """Create the converter, which may import numpy."""

    @abstractmethod
    def _on_audio(self, recorded: Any, n_frames: int, time_info: object, flags: int) -> tuple[bytes | None, int]:
        """PortAudio thread. Take or return the audio of one buffer."""

    def _count(self, flags: int) -> None:
        """PortAudio thread. Count a callback."""
        self._n_callbacks += 1
        if flags:
            self.n_xruns += 1

    def _post(self, handle: Callable[[bytes], None], pcm: bytes) -> None:
        """PortAudio thread. Call `handle` on the loop."""
        try:
            self._loop.call_soon_threadsafe(handle, pcm)
        except RuntimeError:  # the last buffers may come after the loop has ended
            if not self._loop.is_closed():
                raise

    async def _watch(self) -> None:
        reason = await self._wait_until_lost()
        self._report_lost(f"{self} {reason}")
        await self._release()

    async def _wait_until_lost(self) -> str:
        """Wait until the stream has failed, and return the reason.

        Missing callbacks are counted in checks, not in seconds: a machine that slept missed one check at most.
        """
        n_quiet, n_before = -_QUIET_CHECKS, self._n_callbacks
        while n_quiet < _QUIET_CHECKS:
            await asyncio.sleep(self._check_s)
            n_quiet = 0 if self._n_callbacks != n_before else n_quiet + 1
            n_before = self._n_callbacks
            # While another call hangs, PortAudio cannot be asked; then the missing callbacks show the failure.
            with contextlib.suppress(TimeoutError):
                if not await self._thread.call(self._is_active, self._stop_timeout_s):
                    return "is gone: it was unplugged, or its sound server has ended"
        return "has stopped: it has not delivered or asked for audio for seconds"

    def _is_active(self) -> bool:
        try:
            return bool(self._stream.is_active())
        except OSError:
            return False

    async def _release(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return

        def stop_and_close() -> None:
            # A device that is gone may refuse to be stopped.
            with contextlib.suppress(OSError):
                stream.stop_stream()
            stream.close()

        with contextlib.suppress(OSError, TimeoutError):
            await self._thread.call(stop_and_close, self._stop_timeout_s)


class Microphone(_Stream):
    """Offers its audio in chunks of 20 ms, 16 kHz mono, whatever the device's own rate and channels."""

    _direction = Direction.INPUT
    _wanted = formats.INPUT
    _buffer_s = CHUNK_S
    _converter: MicrophoneConverter

    def __init__(
        self, system: AudioSystem, device: Device, on_lost: Callable[[str], None], offer: Callable[[bytes], None]
    ) -> None:
        super().__init__(system, device, on_lost)
        self._offer = offer

    def _prepare(self, rate_hz: int, channels: int) -> None:
        self._converter = MicrophoneConverter(rate_hz, channels)

    def _on_audio(self, recorded: Any, n_frames: int, time_info: object, flags: int) -> tuple[bytes | None, int]:
        """PortAudio thread. Post the recorded bytes, which are a copy already."""
        self._count(flags)
        self._post(self._receive, recorded)
        return None, _PA_CONTINUE

    def _receive(self, pcm: bytes) -> None:
        if self.is_open:
            for chunk in self._converter.feed(pcm):
                self._offer(chunk)


class Speaker(_Stream):
    """Plays written audio at once; fades to silence without a click when there is no more."""

    _direction = Direction.OUTPUT
    _wanted = formats.OUTPUT
    _buffer_s = SPEAKER_BUFFER_S
    _converter: SpeakerConverter

    def __init__(
        self,
        system: AudioSystem,
        device: Device,
        on_lost: Callable[[str], None],
        buffer: PlayoutBuffer,
        on_played: Callable[[bytes], None] | None,
    ) -> None:
        super().__init__(system, device, on_lost)
        self._buffer = buffer
        self._report_played = on_played
        self.on_full: Callable[[], None] | None = None
        """Called when speech is dropped because `MAX_QUEUED_S` of it wait."""
        self.on_playback: Callable[[str, float], None] | None = None
        """Called on the loop as sound begins (`first_sound`) or ends (`playback_ended`), with the delay
        to the ear in seconds, or is discarded (`playback_cleared`), with how many seconds of it."""
        self._is_starting = False
        """True from the first write after silence until the device takes sound."""
        self._n_callbacks_at_write = 0
        """Number of callbacks before the last write."""
        self._frame_bytes = self._low_bytes = 0
        """Size of one frame of the device, and of `_LOW_S` of audio."""
        self._is_sounding = False
        self._silent_at_s = 0.0
        """When playback of the last audio ends, by the loop's clock."""

    def _prepare(self, rate_hz: int, channels: int) -> None:
        self._converter = SpeakerConverter(rate_hz, channels)
        self._frame_bytes = self._converter.frame_bytes
        self._low_bytes = round(_LOW_S * rate_hz) * self._frame_bytes
        self._max_bytes = round(MAX_QUEUED_S * rate_hz) * self._frame_bytes

    @property
    def latency_s(self) -> float:
        """Return the delay from here to the ear, as far as the device knows it; 0 if the speaker is closed."""
        return self._buffer_s + self.device_latency_s if self.is_open else 0.0

    @property
    def device_latency_s(self) -> float:
        """Return the delay of the device alone, as it reports it; 0 if the speaker is closed."""
        return float(self._stream.get_output_latency()) if self.is_open else 0.0

    @property
    def queued_s(self) -> float:
        """Return the seconds of audio that are still to be played, including the device's own delay."""
        if not self.is_open:
            return 0.0
        if self._is_sounding:
            return self._buffer.n_bytes / (self._frame_bytes * self.rate_hz) + self.latency_s
        return max(0.0, self._silent_at_s - self._loop.time())

    @property
    def is_dry(self) -> bool:
        """True if there is nothing to play, and the device has asked for audio since."""
        return self._buffer.is_silent

    def write(self, pcm: bytes, rate_hz: int) -> None:
        """Play mono PCM of any length and rate after everything written before.

        A closed speaker drops it, and a full one, which reports it to `on_full`.
        """
        if self._stream is None:
            return
        buffer = self._buffer
        if buffer.n_bytes >= self._max_bytes:
            if self.on_full is not None:
                self.on_full()
            return
        self._is_sounding = True
        self._n_callbacks_at_write = self._n_callbacks
        after_silence = buffer.is_silent
        if output := self._converter.feed(pcm, rate_hz, after_silence=after_silence):
            self._enqueue(output, after_silence=after_silence)
        if after_silence:
            self._is_starting = True

    def clear(self) -> None:
        """Stop playback at once and discard everything that was written."""
        if not self.is_open:
            return
        discarded_s = self._buffer.n_bytes / (self._frame_bytes * self.rate_hz)
        self._is_starting = False
        self._buffer.clear(self._converter.fade_out(self._buffer.peek(self._converter.fade_bytes)))
        self._converter.reset()
        if self._is_sounding:
            self._end_sound("playback_cleared", discarded_s)

    def _on_audio(self, recorded: Any, n_frames: int, time_info: object, flags: int) -> tuple[bytes | None, int]:
        """PortAudio thread. Return the next audio, exactly as much as is asked for: less would end the stream.

        The event loop is woken only if it has something to do: at the end of the audio, or to report what was played.
        """
        starts = self._is_starting and self._buffer.n_bytes > 0
        pcm = self._buffer.read(n_frames * self._frame_bytes)
        self._count(flags)
        if starts:
            self._is_starting = False
            self._post(self._begin_sound, pcm)
        if self._report_played is not None or (self._is_sounding and self._is_ending()):
            self._post(self._after_read, pcm)
        return pcm, _PA_CONTINUE

    def _is_ending(self) -> bool:
        """True if the audio has been played, or if what the converter holds back is due."""
        return self._is_flush_due() if self._converter.withholds else not self._buffer.n_bytes

    def _is_flush_due(self) -> bool:
        """True if the audio is nearly at its end, and no more is expected soon."""
        n_since_write = self._n_callbacks - self._n_callbacks_at_write
        return n_since_write >= _CALLBACKS_BEFORE_FLUSH and self._buffer.n_bytes < self._low_bytes

    def _after_read(self, pcm: bytes) -> None:
        # A resampler holds back the last milliseconds until more input comes. If none comes, they are due now.
        if self._is_flush_due():
            rest = self._converter.flush()
            if rest:
                self._enqueue(rest, after_silence=self._buffer.is_silent)
        if self._is_sounding and not self._converter.withholds and not self._buffer.n_bytes:
            self._end_sound("playback_ended", self.latency_s)
        if self._report_played is not None and self.is_open:
            # All channels are alike.
            self._report_played(formats.from_samples(formats.to_samples(pcm)[:: self.channels]))

    def _enqueue(self, pcm: bytes, *, after_silence: bool) -> None:
        if after_silence:
            pcm = self._converter.fade_in(pcm) + pcm
        self._buffer.write(pcm, self._converter.fade_to_silence(pcm))

    def _begin_sound(self, pcm: bytes) -> None:
        if self.on_playback is not None:
            self.on_playback("first_sound", self.latency_s)

    def _end_sound(self, event: str, seconds: float) -> None:
        self._is_sounding = False
        self._silent_at_s = self._loop.time() + self.latency_s
        if self.on_playback is not None:
            self.on_playback(event, seconds)


async def list_devices(audio: AudioSystem | None) -> str:
    """Return the table of sound devices that `audio`, or else a sound system started for this, knows.

    Raises:
        MissingExtraError: PyAudio is not installed.
        DeviceError: PortAudio does not start or does not respond.
    """
    if audio is not None:
        return format_devices(audio.devices())
    async with AudioSystem() as started:
        return format_devices(started.devices())


def _import_pyaudio() -> ModuleType:
    try:
        # If its C part does not load, PyAudio prints a message to stdout, which carries the conversation.
        with contextlib.redirect_stdout(io.StringIO()):
            import pyaudio  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as exc:
        raise MissingExtraError("sound", "audio") from exc
    except ImportError as exc:
        raise DeviceError(f"PyAudio cannot be used ({exc}); on Debian: apt-get install libportaudio2") from exc
    module: ModuleType = pyaudio
    return module


def _reason(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "it does not respond"
    # PortAudio's message comes after its number.
    return str(exc.args[-1]) if exc.args else str(exc)
