"""What the sound card takes: the CPU time of playing, and how soon an interruption is silent."""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve

from tests.rig import RigError
from tests.rig.virtual_audio import SpeakerTap, VirtualAudio

from ..measure import ROOT, environment, run_contender, serving, take_turns
from ..results import Contender, Row, Scale, Section
from ..server import END, build_audio

PLAYERS = (Contender.OURS, Contender.CALLBACK)
_TITLE = "With the virtual sound card"
SPEECH_S, _CHUNK_MS = 3.0, 40
_SOUNDS_S = (0.2, 0.4)
"""The interruption comes at a random time in this range after the first sound."""


def measure(scale: Scale) -> list[Section]:
    """Measure playing and interruptions beside the callback script."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            audio = VirtualAudio(Path(folder) / "audio")
        except RigError as error:
            return [Section(_TITLE, skipped=str(error))]
        try:
            return [Section(_TITLE, [_play(audio, scale), _interrupt(audio, scale)])]
        finally:
            audio.stop()


def _play(audio: VirtualAudio, scale: Scale) -> Row:
    messages = scale.amount(150)

    def run(contender: str) -> dict[str, float]:
        arguments = {"plays": True} if contender == Contender.OURS else {}
        return run_contender(contender, "receive", address, audio.environ, messages=messages, **arguments)

    with serving(messages=messages, chunk_ms=_CHUNK_MS, pace_s=_CHUNK_MS / 1000) as address:
        figures = take_turns(PLAYERS, scale, run)
    note = "in real time, the speaker's thread included"
    return Row(
        f"{_CHUNK_MS} ms of audio, played", "us CPU", figures["cpu_us"], Contender.CALLBACK, at_most=1.0, note=note
    )


def _interrupt(audio: VirtualAudio, scale: Scale) -> Row:
    times = scale.amount(round(20 / scale.rounds))
    figures = take_turns(PLAYERS, scale, lambda contender: _median_delay(contender, audio, times))
    return Row(
        "from `interrupted` on the wire to silence at the card",
        "ms",
        figures["ms"],
        Contender.CALLBACK,
        at_most=1.0,
        note=f"median of {times} interruptions a round, the delay of the recording included",
    )


def _median_delay(contender: str, audio: VirtualAudio, times: int) -> dict[str, float]:
    delays_s = sorted(measure_interruptions(contender, audio, times))
    return {"ms": 1000 * delays_s[len(delays_s) // 2]}


def measure_interruptions(contender: str, audio: VirtualAudio, times: int) -> list[float]:
    """Return the seconds from `interrupted` to the last sound at the card, for so many interruptions."""
    with audio.tap() as tap:
        return asyncio.run(_Interrupter(tap, times).run(lambda url: _playing(contender, url, audio, times)))


@contextmanager
def _playing(contender: str, url: str, audio: VirtualAudio, times: int) -> Iterator[None]:
    """Run a contender that plays what the server sends."""
    if contender == Contender.OURS:
        options = ("--base-url", url, "--audio-output", "--no-audio-input", "--quiet", "--initial-message", "Hello")
        command = [sys.executable, "-m", "gemini_live", *options]
    else:
        arguments = json.dumps({"messages": 1, "turns": times})
        address = url.removeprefix("http://")
        command = [sys.executable, "-m", f"benchmarks.contenders.{contender}", "receive", address, arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(**audio.environ),
        stdin=subprocess.PIPE,  # open: more could be asked, so that the command does not end
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()


class _Interrupter:
    """A server that speaks and then interrupts itself, again and again."""

    def __init__(self, tap: SpeakerTap, times: int) -> None:
        self._tap, self._times = tap, times
        self._delays_s: list[float] = []
        self._done = asyncio.Event()

    async def run(self, playing: Callable[[str], AbstractContextManager[None]]) -> list[float]:
        """Serve until everything was measured, with a contender that connects to the address."""
        async with serve(self._handle, "127.0.0.1", 0, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with playing(f"http://127.0.0.1:{port}"):
                async with asyncio.timeout(20 + 5 * self._times):
                    await self._done.wait()
        return self._delays_s

    async def _handle(self, websocket: ServerConnection) -> None:
        await websocket.recv()
        await websocket.send(json.dumps({"setupComplete": {}}))
        await websocket.recv()
        audio = json.dumps(build_audio(_CHUNK_MS))
        clock = asyncio.get_running_loop().time  # the same clock as that of the tap
        for _ in range(self._times):
            for _ in range(round(1000 * SPEECH_S / _CHUNK_MS)):
                await websocket.send(audio)
            await asyncio.to_thread(self._tap.wait_for_sound)
            await asyncio.sleep(random.uniform(*_SOUNDS_S))
            interrupted_s = clock()
            await websocket.send(json.dumps({"serverContent": {"interrupted": True}}))
            self._delays_s.append(await asyncio.to_thread(self._tap.wait_for_silence) - interrupted_s)
            await websocket.send(json.dumps(END[-1]))
            await asyncio.sleep(0.3)
        self._done.set()
