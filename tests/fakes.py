"""What stands in for the world outside: `FakePyAudio` for the sound card, `FakeGrabber` for the screen."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

_SAMPLE_BYTES = 2
_FORMAT = 8
_CONTINUE = 0
_INVALID_RATE, _INVALID_CHANNELS, _INVALID_DEVICE = -9997, -9998, -9996

Callback = Callable[[bytes | None, int, dict[str, float], int], tuple[bytes | None, int]]


@dataclass(frozen=True)
class FakeDevice:
    """A sound card that takes some rates and numbers of channels, and refuses others as PortAudio would."""

    name: str = "Fake"
    host_api: int = 0
    input_channels: int = 2
    output_channels: int = 2
    default_rate_hz: int = 44_100
    rates_hz: tuple[int, ...] = ()
    """Empty: all."""
    channels: tuple[int, ...] = (1, 2)

    def refusal(self, rate_hz: int, channels: int) -> OSError | None:
        """Return what opening it so raises."""
        if self.rates_hz and rate_hz not in self.rates_hz:
            return OSError(_INVALID_RATE, "Invalid sample rate")
        if channels not in self.channels:
            return OSError(_INVALID_CHANNELS, "Invalid number of channels")
        return None


class FakePyAudio(ModuleType):
    """Stands in for the module `pyaudio`: `monkeypatch.setitem(sys.modules, "pyaudio", FakePyAudio())`.

    Callbacks are called from a thread of their own, as PortAudio does. A test decides when, by `feed` and `pull`; or
    they come in real time (`paced`), then `feed` says what is heard next and `played` collects what was played.
    The first device is the default one in both directions.
    """

    paInt16 = _FORMAT
    paContinue = _CONTINUE

    def __init__(self, *devices: FakeDevice, paced: bool = False) -> None:
        super().__init__("pyaudio")
        self.devices = devices or (FakeDevice(),)
        self.paced = paced
        self.host_apis = ("FakeAPI", "OtherAPI")
        self.streams: list[FakeStream] = []
        """Those that were ever opened."""
        self.calls: list[str] = []
        """What was asked of it in which order, by method name."""
        self.hung = threading.Event()
        self.hung.set()
        """While it is clear, stopping a stream does not return."""
        self.start_error: OSError | None = None

    def PyAudio(self) -> "_FakePortAudio":
        """Do what the constructor of `pyaudio.PyAudio` does."""
        self.calls.append("PyAudio")
        return _FakePortAudio(self)

    @property
    def microphone(self) -> "FakeStream":
        """The microphone that was opened last."""
        return next(stream for stream in reversed(self.streams) if stream.is_input)

    @property
    def speaker(self) -> "FakeStream":
        """The speaker that was opened last."""
        return next(stream for stream in reversed(self.streams) if not stream.is_input)

    def feed(self, pcm: bytes) -> None:
        """Let the microphone hear `pcm`, in its own rate and channels; what does not fill a buffer waits for more."""
        self.microphone.feed(pcm)

    def pull(self, n_frames: int | None = None) -> bytes:
        """Let the speaker play one buffer, of the size that was asked for at opening if not told, and return it."""
        return self.speaker.pull(n_frames)

    @property
    def played(self) -> bytes:
        """What the speaker has played so far."""
        return bytes(self.speaker.played)


class FakeStream:
    """One opened stream."""

    def __init__(self, module: FakePyAudio, options: dict[str, Any]) -> None:
        self._module = module
        self._callback: Callback = options["stream_callback"]
        self.is_input: bool = options.get("input", False)
        self.rate_hz: int = options["rate"]
        self.channels: int = options["channels"]
        self.n_frames: int = options["frames_per_buffer"]
        self.is_closed = False
        self.played = bytearray()
        self._is_active = False
        self._heard = bytearray()
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, "fake-portaudio")
        self._clock: threading.Thread | None = None

    @property
    def _buffer_bytes(self) -> int:
        return self.n_frames * self.channels * _SAMPLE_BYTES

    def start_stream(self) -> None:
        self._module.calls.append("start_stream")
        if self._module.start_error is not None:
            raise self._module.start_error
        self._is_active = True
        if self._module.paced:
            self._clock = threading.Thread(target=self._pace, name="fake-clock", daemon=True)
            self._clock.start()

    def stop_stream(self) -> None:
        self._module.calls.append("stop_stream")
        self._module.hung.wait()
        self.lose()

    def close(self) -> None:
        self._module.calls.append("close")
        self.lose()
        self.is_closed = True
        self._thread.shutdown()

    def is_active(self) -> bool:
        return self._is_active

    def get_output_latency(self) -> float:
        return 0.04

    def lose(self) -> None:
        """Be pulled out: no callback comes any more, and the stream is not active."""
        self._is_active = False
        self.freeze()

    def freeze(self) -> None:
        """Call back no more, though the stream says that it is active."""
        self._stopped.set()
        if self._clock is not None:
            self._clock.join()

    def feed(self, pcm: bytes) -> None:
        self._heard += pcm
        while not self._module.paced and len(self._heard) >= self._buffer_bytes:
            self.call(self._take_heard())

    def pull(self, n_frames: int | None = None) -> bytes:
        pcm = self.call(None, n_frames)
        assert pcm is not None
        return pcm

    def call(self, heard: bytes | None, n_frames: int | None = None, flags: int = 0) -> bytes | None:
        """Call back once, from the stream's own thread, and check what comes back as PyAudio does."""
        n_frames = n_frames or self.n_frames
        # stream_io.c ends the stream where too little is returned, and where anything is raised.
        pcm, flag = self._thread.submit(self._callback, heard, n_frames, {}, flags).result()
        assert flag == _CONTINUE
        if self.is_input:
            assert pcm is None
        else:
            assert isinstance(pcm, bytes)
            assert len(pcm) == n_frames * self.channels * _SAMPLE_BYTES
            self.played += pcm
        return pcm

    def _take_heard(self) -> bytes:
        pcm = bytes(self._heard[: self._buffer_bytes])
        del self._heard[: self._buffer_bytes]
        return pcm.ljust(self._buffer_bytes, b"\0")

    def _pace(self) -> None:
        due_s = time.monotonic()
        while not self._stopped.wait(max(0.0, due_s - time.monotonic())):
            due_s += self.n_frames / self.rate_hz
            self.call(self._take_heard() if self.is_input else None)


class _FakePortAudio:
    """What `pyaudio.PyAudio()` returns."""

    def __init__(self, module: FakePyAudio) -> None:
        self._module = module

    def get_device_count(self) -> int:
        return len(self._module.devices)

    def get_device_info_by_index(self, index: int) -> dict[str, Any]:
        device = self._module.devices[index]
        return {
            "index": index,
            "name": device.name,
            "hostApi": device.host_api,
            "maxInputChannels": device.input_channels,
            "maxOutputChannels": device.output_channels,
            "defaultSampleRate": float(device.default_rate_hz),
        }

    def get_default_input_device_info(self) -> dict[str, Any]:
        return self._default(self._module.devices[0].input_channels if self._module.devices else 0)

    def get_default_output_device_info(self) -> dict[str, Any]:
        return self._default(self._module.devices[0].output_channels if self._module.devices else 0)

    def _default(self, channels: int) -> dict[str, Any]:
        if not channels:
            raise OSError("No Default Device Available")
        return self.get_device_info_by_index(0)

    def get_default_host_api_info(self) -> dict[str, Any]:
        return self.get_host_api_info_by_index(0)

    def get_host_api_info_by_index(self, index: int) -> dict[str, Any]:
        return {"index": index, "name": self._module.host_apis[index]}

    def open(self, **options: Any) -> FakeStream:
        self._module.calls.append("open")
        assert options["format"] == _FORMAT
        assert options["start"] is False
        direction = "input" if options.get("input") else "output"
        index = options[f"{direction}_device_index"]
        if index >= len(self._module.devices):
            raise OSError(_INVALID_DEVICE, "Invalid device")
        refusal = self._module.devices[index].refusal(options["rate"], options["channels"])
        if refusal is not None:
            raise refusal
        stream = FakeStream(self._module, options)
        self._module.streams.append(stream)
        return stream

    def terminate(self) -> None:
        self._module.calls.append("terminate")
        for stream in self._module.streams:
            if not stream.is_closed:
                stream.close()


class FakeGrabber:
    """Stands in for `screen.ScreenGrabber`: a test calls back what it wants, by `options`. The fixture empties it."""

    made: ClassVar[list["FakeGrabber"]] = []
    """Those that were made, in order."""
    error: ClassVar[Exception | None] = None
    """What the next start raises."""

    def __init__(self, **options: Any) -> None:
        self.options = SimpleNamespace(**options)
        self.is_running = False
        self.made.append(self)

    async def start(self) -> None:
        """Begin, or fail."""
        if self.error is not None:
            raise self.error
        self.is_running = True

    async def stop(self) -> None:
        """End."""
        self.is_running = False
