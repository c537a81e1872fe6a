"""Ours in sessions that are hours long on their own clock: whether memory and CPU time stay flat.

The loop's time is injected (`tests.accelerated`): it jumps to the next timer while nothing happens. Sockets are real.
"""

import asyncio
import gc
import io
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from gemini_live.conversation.outcomes import Answered
from gemini_live.session.session import Session
from tests import accelerated
from tests.fakes import FakePyAudio

from . import Task, parse_task
from .microphone import CHUNK
from .ours import Ends, configure, hold

_CHUNK_S = 0.02
_SPEAKER_S, _SPEAKER_FRAMES = 0.01, 240
_PARTS = 10
"""CPU time and memory are compared between the second and the last of so many equal parts of a session."""


class _Parts:
    """CPU time and memory of the parts of a session."""

    def __init__(self) -> None:
        self._cpu_s = time.process_time()
        self.cpu_s: list[float] = []
        self.mib: list[float] = []

    def end(self) -> None:
        """End a part."""
        self.cpu_s.append(time.process_time() - self._cpu_s)
        gc.collect()
        self.mib.append(_resident_mib())
        self._cpu_s = time.process_time()

    def figures(self, n: int) -> dict[str, float]:
        """Return what the second and the last part cost for each of `n` things, and how much memory grew between."""
        return {
            "cpu_us_early": self.cpu_s[1] / n * 1e6,
            "cpu_us_late": self.cpu_s[-1] / n * 1e6,
            "grown_mib": self.mib[-1] - self.mib[1],
        }


def _resident_mib() -> float:
    """Return the memory that this process has at present."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def audio(address: str, seconds: float) -> dict[str, float]:
    """Send and play audio for so many seconds of the session's time; the server sends as much as it receives."""
    card = FakePyAudio()
    sys.modules["pyaudio"] = card
    config = configure(address, audio_output=True, audio_input=True, half_duplex=False)
    async with hold(config, Ends()):
        while len(card.streams) < 2 or not card.speaker.is_active():  # noqa: ASYNC110 - a fake card tells nobody
            await asyncio.sleep(0.01)
        hear, play = card.microphone._callback, card.speaker._callback
        per_part = round(seconds / _CHUNK_S / _PARTS)
        parts = _Parts()
        for _ in range(_PARTS):
            for _ in range(per_part):
                hear(CHUNK, len(CHUNK) // 2, {}, 0)
                for _ in range(round(_CHUNK_S / _SPEAKER_S)):
                    play(None, _SPEAKER_FRAMES, {}, 0)
                await asyncio.sleep(_CHUNK_S)
            parts.end()
    return parts.figures(per_part)


class _Turns(Ends):
    """Ends a part of the session each time that so many questions are answered."""

    def __init__(self, per_part: int) -> None:
        super().__init__()
        self.parts = _Parts()
        self._per_part = per_part

    def emit(self, event: object) -> None:
        super().emit(event)
        if isinstance(event, Answered) and self.n_answers % self._per_part == 0:
            self.parts.end()


class _Lines(io.StringIO):
    """A stdin that `Session` takes for open, while the lines come from `typed_lines`."""


async def turns(address: str, turns: int, line_chars: int = 20) -> dict[str, float]:
    """Ask so many piped questions, each when the previous answer is complete."""
    per_part = turns // _PARTS
    ends = _Turns(per_part)

    async def lines() -> AsyncIterator[str]:
        for i in range(turns):
            yield f"{i} ".ljust(line_chars, "x")

    config = configure(address, audio_output=False, text_output=True)
    session = Session(config, ends, stdin=_Lines(), typed_lines=lines())
    await session.run()
    return ends.parts.figures(per_part)


def _run(task: Task, address: str, arguments: dict[str, float]) -> dict[str, float]:
    accelerated.GRACE_S = 0.5  # seconds in which a server on a busy machine answers
    with asyncio.Runner(loop_factory=accelerated.AcceleratedLoop) as runner:
        return runner.run(task(address, **arguments))  # type: ignore[arg-type] # tasks are coroutines


if __name__ == "__main__":
    task, address, arguments = parse_task({"audio": audio, "turns": turns})
    sys.stdout.write(json.dumps(_run(task, address, arguments)) + "\n")
