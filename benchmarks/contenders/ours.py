"""This client: a whole session as the command holds it, with the output thrown away."""

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import AsyncIterator

from gemini_live.config import Config
from gemini_live.conversation.outcomes import Answered
from gemini_live.output import events
from gemini_live.session.session import Session
from tests.fakes import FakePyAudio

from . import CpuClock, run_task
from .floor import MODEL
from .microphone import feed


class Ends:
    """Follows a session by what it writes: when it is live, and how many answers are complete."""

    def __init__(self) -> None:
        self.cpu = CpuClock()
        self.n_answers = 0
        self.answered = asyncio.Event()
        self.wanted = 1

    def emit(self, event: object) -> None:
        """Take an event, as every writer of a session does."""
        if isinstance(event, events.SessionStarted):
            self.cpu.restart()
        elif isinstance(event, Answered):
            self.n_answers += 1
            if self.n_answers == self.wanted:
                self.answered.set()


@contextlib.asynccontextmanager
async def hold(config: Config, ends: Ends) -> AsyncIterator[Session]:
    """Hold a session until the caller is done with it."""
    session = Session(config, ends)
    task = asyncio.create_task(session.run())
    try:
        yield session
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def configure(address: str, **options: object) -> Config:
    """Return the settings of a session with the server at `address`."""
    config = Config(api_key="any-key", base_url=f"http://{address}", model=MODEL.removeprefix("models/"))
    return dataclasses.replace(config, **options)  # type: ignore[arg-type]


async def receive(address: str, messages: int, turns: int = 1, plays: bool = False) -> dict[str, float]:
    """Receive turns into the playout buffer of a sound card that never asks for audio; `plays`: of the real one."""
    if not plays:
        sys.modules["pyaudio"] = FakePyAudio()
    ends = Ends()
    ends.wanted = turns
    async with hold(configure(address, audio_output=True, initial_message="Hello"), ends) as session:
        await ends.answered.wait()
        us = ends.cpu.us_each(messages * turns)
        speaker = session._media.speaker
        assert speaker is not None
        n_bytes = speaker._buffer.n_bytes
    return {"cpu_us": us, "bytes": n_bytes}


async def send(address: str, chunks: int, pace_s: float) -> dict[str, float]:
    """Send chunks of the microphone, whose callback PortAudio's thread calls."""
    card = FakePyAudio()
    sys.modules["pyaudio"] = card
    ends = Ends()
    async with hold(configure(address, audio_output=False, audio_input=True), ends) as session:
        while not card.streams or not card.microphone.is_active():  # noqa: ASYNC110 - a fake card tells nobody
            await asyncio.sleep(0.01)
        callback = card.microphone._callback
        ends.cpu.restart()
        feed(lambda chunk: callback(chunk, len(chunk) // 2, {}, 0), chunks, pace_s)
        while session._stats.heard_s < 0.02 * chunks - 0.001:  # noqa: ASYNC110 - nor does the uplink
            await asyncio.sleep(0.1)
        return {"cpu_us": ends.cpu.us_each(chunks)}


if __name__ == "__main__":
    run_task({"receive": receive, "send": send})
