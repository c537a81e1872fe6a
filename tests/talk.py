"""A session and the simulator on one accelerated loop: what a test types and says, and what came of it."""

import asyncio
import io
import math
import os
import random
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Self, TextIO, cast

import pytest

from gemini_live.audio.pcm import INPUT, PcmFormat
from gemini_live.config import Config
from gemini_live.conversation.timings import Timings
from gemini_live.functions.call import FunctionCaller
from gemini_live.output.events import Event
from gemini_live.session import session as session_module
from gemini_live.session.media import Media
from gemini_live.session.session import Session
from gemini_live.simulator import Simulator

from .proxy import Proxy
from .told import describe

TEXT_MODEL = "gemini-robotics-er-2-streaming-preview"
KEY = "AIza-not-a-real-key-0123456789"
CHUNK_S = 0.02


class Written:
    """Stands in for the terminal: keeps what it is told, with the time."""

    def __init__(self) -> None:
        self.events: list[tuple[float, str, tuple[Any, ...]]] = []
        self.limit: int | None = None
        """How many events are kept; `None`: all."""
        self.ignores: tuple[str, ...] = ()
        """Beginnings of details that are not kept."""
        self.end = ""
        self._changed = asyncio.Event()

    def emit(self, event: Event) -> None:
        """Keep an event."""
        kind, *args = describe(event)
        if kind == "detail" and self.ignores and args[0].startswith(self.ignores):
            return
        if self.limit is None or len(self.events) < self.limit:
            self.events.append((asyncio.get_running_loop().time(), kind, tuple(args)))
        self._changed.set()

    def of(self, kind: str) -> list[Any]:
        """Return the first argument of every event of a kind."""
        return [args[0] for _, name, args in self.events if name == kind]

    def times(self, kind: str) -> list[float]:
        """Return when the events of a kind came."""
        return [time_s for time_s, name, _ in self.events if name == kind]

    async def wait_for(self, kind: str, n: int = 1) -> None:
        """Wait for the n-th event of a kind."""
        while len(self.of(kind)) < n:
            assert not self.end, f"{self.end} has written {self.events[-5:]}"
            self._changed.clear()
            await self._changed.wait()

    def close(self, end: str) -> None:
        """Let nobody wait for more, and say why."""
        self.end = end
        self._changed.set()


class Talk:
    """One session through a proxy, which a test types into and may speak into."""

    def __init__(self, config: Config, **options: Any) -> None:
        """Prepare; `options` are those of `Session`."""
        self.written = Written()
        self.session: Session
        self._config, self._options = config, options
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._task: asyncio.Task[None]
        self._failure_is_known = False

    def type(self, *lines: str) -> None:
        """Give lines on stdin."""
        for line in lines:
            self._lines.put_nowait(line)

    def end(self) -> None:
        """End stdin."""
        self._lines.put_nowait(None)

    def hide_messages(self) -> None:
        """Keep no record of the messages that `verbose` shows."""
        self.written.ignores = ("> ", "< ")

    def answers(self) -> list[str]:
        """Return the answers that were written."""
        return self.written.of("answered")

    async def __aenter__(self) -> Self:
        self.session = Session(self._config, self.written, stdin=cast(TextIO, _Stdin(self._lines)), **self._options)
        self._task = asyncio.create_task(self.session.run())
        self._task.add_done_callback(lambda task: self.written.close(repr(task)))
        return self

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        assert KEY not in repr(self.written.events)
        if error is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        elif not self._failure_is_known:
            self.end()
            await self._task

    async def ended(self) -> None:
        """Wait for the end of the session."""
        await self._task

    async def failure(self) -> BaseException:
        """Wait until the session fails, and return why."""
        self._failure_is_known = True
        await asyncio.wait([self._task])
        failure = self._task.exception()
        assert failure is not None
        return failure

    async def stop(self) -> None:
        """End the session, as Ctrl-C does."""
        self._failure_is_known = True
        self._task.cancel()
        await asyncio.wait([self._task])
        assert self._task.cancelled()


class _Stdin(io.StringIO):
    """What `read_lines` of these tests is given."""

    def __init__(self, lines: asyncio.Queue[str | None]) -> None:
        super().__init__()
        self.lines = lines


async def _read_lines(stdin: TextIO) -> AsyncIterator[str]:
    while (line := await cast(_Stdin, stdin).lines.get()) is not None:
        yield line


class Speaker:
    """Plays in the loop's time."""

    device = SimpleNamespace(name="Virtual")
    latency_s = 0.0
    n_xruns = 0

    def __init__(self) -> None:
        self.written_s = 0.0
        self.n_clears = 0
        self._silent_s = 0.0

    @property
    def queued_s(self) -> float:
        """How long it will be heard."""
        return max(0.0, self._silent_s - asyncio.get_running_loop().time())

    @property
    def is_dry(self) -> bool:
        """Whether nothing is heard any more."""
        return self.queued_s <= 0

    async def start(self) -> None: ...

    def write(self, pcm: bytes, rate_hz: int) -> None:
        duration_s = PcmFormat(rate_hz).duration_s(len(pcm))
        self.written_s += duration_s
        self._silent_s = max(self._silent_s, asyncio.get_running_loop().time()) + duration_s

    def clear(self) -> None:
        self.n_clears += 1
        self._silent_s = 0.0


def speech(seconds: float, *, pause_s: float) -> bytes:
    """Return the noise of a quiet room, and then something that a server takes for speech."""
    chance = random.Random(0)
    n_quiet, n_loud = round(pause_s * INPUT.rate_hz), round(seconds * INPUT.rate_hz)
    samples = [chance.randint(-40, 40) for _ in range(n_quiet)]
    samples += [round(8000 * math.sin(i / 8) * (0.6 + 0.4 * math.sin(i / 700))) for i in range(n_loud)]
    return struct.pack(f"<{len(samples)}h", *samples)


def number_chunk(number: int) -> bytes:
    """Return three samples, too soft to be heard, that tell the number of a chunk, below a million."""
    return struct.pack("<3h", number // 10_000, number // 100 % 100, number % 100)


def read_numbers(audio: bytes | bytearray) -> list[int]:
    """Return the numbers of the chunks that `audio` is made of."""
    starts = range(0, len(audio), INPUT.n_bytes(CHUNK_S))
    digits = (struct.unpack_from("<3h", audio, start) for start in starts)
    return [10_000 * high + 100 * middle + low for high, middle, low in digits]


class Microphone:
    """Hears what a test says, a chunk every 20 ms of the loop's time, each numbered in its first samples."""

    device = SimpleNamespace(name="Virtual")
    n_xruns = 0

    def __init__(self, offer: Callable[[bytes], None], speech: bytes) -> None:
        self.n_chunks = 0
        self._offer, self._speech = offer, speech
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._next_s = asyncio.get_running_loop().time()
        self._tick()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        n_bytes = INPUT.n_bytes(CHUNK_S)
        at = self.n_chunks * n_bytes % len(self._speech)
        chunk = self._speech[at : at + n_bytes]
        self.n_chunks += 1
        self._offer(number_chunk(self.n_chunks) + chunk[6:])
        self._next_s += CHUNK_S
        self._timer = asyncio.get_running_loop().call_at(self._next_s, self._tick)


def install_virtual_sound(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give every session devices that live in the loop's time; `speech` is what the microphone hears."""
    sound = SimpleNamespace(speaker=None, microphone=None, speech=b"")

    async def open_sound(media: Any) -> None:
        if media._wants_speaker:
            sound.speaker = media.speaker = Speaker()
        if media._wants_microphone:
            sound.microphone = media.microphone = Microphone(media._take_chunk, sound.speech)

    monkeypatch.setattr(Media, "_open_sound", open_sound)
    return sound


def install_typed_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sessions read what `Talk.type` gives: a thread that waits for a pipe would hold up time."""
    monkeypatch.setenv("SSL_CERT_FILE", "")
    monkeypatch.delenv("SSL_CERT_FILE")  # set where a server has a certificate, and put back afterwards
    monkeypatch.setattr(session_module, "read_lines", _read_lines)


def configure(url: str, *, speaks: bool = False, **settings: Any) -> Config:
    """Return the settings of a text session; `speaks`: with a model that only speaks."""
    model = {} if speaks else {"model": TEXT_MODEL}
    quiet = {"text_output": True, "audio_input": False}
    return Config(**{"base_url": url, "api_key": KEY, **quiet, **model, **settings})


@asynccontextmanager
async def talking(
    *faults: str,
    speaks: bool = False,
    timings: Timings | None = None,
    functions: FunctionCaller | None = None,
    is_terminal: bool = False,
    simulator: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Talk, Simulator, Proxy]]:
    """Hold a session through a proxy with a simulator; at the end of the block stdin ends, and the session has to."""
    options: dict[str, Any] = {"pace": 0, "espeak": False, "faults": faults, **(simulator or {})}
    async with Simulator(**options) as server, Proxy(server.port) as proxy:
        url = proxy.url
        if server.certificate is not None:
            url = url.replace("http:", "https:")
            os.environ["SSL_CERT_FILE"] = str(server.certificate.path)
        config = configure(url, speaks=speaks, **settings)
        async with Talk(config, timings=timings, functions=functions, stdin_is_terminal=is_terminal) as talk:
            yield talk, server, proxy


def asked(server: Simulator) -> list[Sequence[str]]:
    """Return what the server was asked, by session."""
    return [[turn.asked for turn in record.turns] for record in server.sessions]
