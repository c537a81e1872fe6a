"""Ours and an idle loop under load: how old a microphone sample is when it is sent, and how late the event loop is.

The load is what a session can have at once: a screen of 3840x2160 shared at two pictures a second, the model's audio
ten times as fast as real time, and the microphone.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from gemini_live.wire import connection
from tests.fakes import FakePyAudio

from . import run_task
from .microphone import CHUNK, feed
from .ours import Ends, configure, hold

_TICK_S = 0.005
_CHUNK_S = 0.02


class _Lateness:
    """Measures how late the event loop calls what is due."""

    def __init__(self) -> None:
        self.late_s: list[float] = []

    async def watch(self) -> None:
        """Look every 5 ms, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self.late_s.append(loop.time() - due_s)


def _percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {
        f"{name} p50": 1000 * ordered[len(ordered) // 2],
        f"{name} p99": 1000 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
    }


async def idle(address: str, seconds: float) -> dict[str, float]:
    """Do nothing but post chunks to the loop: the control."""
    loop = asyncio.get_running_loop()
    lateness, ages_s = _Lateness(), []
    task = asyncio.create_task(lateness.watch())

    def post(chunk: bytes) -> None:
        posted_s = time.monotonic()
        loop.call_soon_threadsafe(lambda: ages_s.append(time.monotonic() - posted_s))

    feed(post, round(seconds / _CHUNK_S), _CHUNK_S)
    await asyncio.sleep(seconds + 0.2)
    task.cancel()
    return {**_percentiles("age", ages_s), **_percentiles("lag", lateness.late_s)}


async def loaded(address: str, seconds: float) -> dict[str, float]:
    """Hold a session with everything in it."""
    card = FakePyAudio()
    sys.modules["pyaudio"] = card
    posted_s: deque[float] = deque()
    ages_s: list[float] = []
    send = connection.Connection.send

    async def send_and_note(self: connection.Connection, message: Mapping[str, Any] | bytes) -> None:
        await send(self, message)
        if isinstance(message, bytes) and b'"audio/pcm' in message[:80]:
            ages_s.append(time.monotonic() - posted_s.popleft())

    connection.Connection.send = send_and_note  # type: ignore[method-assign]
    config = configure(
        address, audio_output=True, audio_input=True, screen_capture_fps=2.0, initial_message="Hello", half_duplex=False
    )
    lateness = _Lateness()
    async with hold(config, Ends()):
        while len(card.streams) < 2 or not card.microphone.is_active():  # noqa: ASYNC110 - a fake card tells nobody
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)  # until the first picture was taken
        callback = card.microphone._callback

        def record(chunk: bytes) -> None:
            posted_s.append(time.monotonic())
            callback(chunk, len(CHUNK) // 2, {}, 0)

        task = asyncio.create_task(lateness.watch())
        feed(record, round(seconds / _CHUNK_S), _CHUNK_S)
        await asyncio.sleep(seconds + 0.2)
        task.cancel()
    return {**_percentiles("age", ages_s), **_percentiles("lag", lateness.late_s)}


if __name__ == "__main__":
    run_task({"idle": idle, "loaded": loaded})
