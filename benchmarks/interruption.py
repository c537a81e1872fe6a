"""How long the speaker goes on after the server has said `interrupted`.

The real command, as a process of its own, plays a long tone from a simulated server on the rig's virtual sound card; a
word that is spoken into the virtual microphone cuts the tone off, with seconds of it still queued. Measured is the time
from the moment at which the server has sent `interrupted` to the last sound in a recording of the speaker.

The recording is late, too, and what it delays counts as the command's: so its own delay is measured first, as the time
from the server's answer to a request that mutes the speaker to the last sound in the recording.

    python -m benchmarks.interruption [--times 20]
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from unittest import mock

import numpy as np

from gemini_live.simulator import Simulator, speech
from gemini_live.simulator.records import SessionRecord
from gemini_live.simulator.speech import Sound
from tests.rig.analysis import make_tone, speak, write_wav
from tests.rig.virtual_audio import SpeakerTap, VirtualAudio

OPEN = ("--no-echo-cancellation", "--no-half-duplex")
"""The interruption comes with the first sound, when a canceller does not know the room yet."""
ROOT = Path(__file__).parent.parent
TONE_S = 10.0
LISTENING_S = 0.3
"""Of a new microphone, before it is spoken into: the server learns how quiet the room is."""


def measure_tap(audio: VirtualAudio, tap: SpeakerTap, folder: Path, times: int = 5) -> list[float]:
    """Return the seconds by which the recording is late: from the speaker being muted to the last sound in it."""
    environ = {**os.environ, **audio.environ}
    tone = folder / "tone.wav"
    write_wav(tone, make_tone(440, 60.0, 48_000), 48_000)

    def mute(how: str) -> None:
        subprocess.run(["pactl", "set-sink-mute", "speaker", how], env=environ, check=True)

    delays_s = []
    with subprocess.Popen(["paplay", "--device=speaker", str(tone)], env=environ) as player:
        for _ in range(times):
            tap.wait_for_sound()
            mute("1")
            muted_s = time.monotonic()
            delays_s.append(tap.wait_for_silence() - muted_s)
            mute("0")
        player.terminate()
    tap.wait_for_silence()
    return delays_s


class _Interruptions:
    """When the server said `interrupted`."""

    def __init__(self, record: SessionRecord) -> None:
        self._record = record
        self._n_seen = 0
        self.at_s: list[float] = []

    def look(self, _: SessionRecord) -> bool:
        """Note the time where the newest messages are interruptions; called after each message."""
        new, self._n_seen = self._record.sent[self._n_seen :], len(self._record.sent)
        found = [message for message in new if message.get("serverContent", {}).get("interrupted")]
        self.at_s += [time.monotonic()] * len(found)
        return bool(found)


@contextlib.asynccontextmanager
async def _talking(server: Simulator, audio: VirtualAudio) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command with microphone and speaker; lines of its stdin are questions."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gemini_live", "--quiet", "--base-url", server.url, "--audio-input", *OPEN),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, **audio.environ, "PYTHONPATH": str(ROOT), "GOOGLE_API_KEY": "any-key"},
    )
    try:
        yield command
    finally:
        command.terminate()
        await command.wait()


async def measure(audio: VirtualAudio, folder: Path, times: int) -> tuple[list[float], list[float]]:
    """Interrupt the command that many times.

    Returns:
        The seconds from `interrupted` to silence, the recording's own delay included; and measurements of that delay.
    """
    word = folder / "word.wav"
    write_wav(word, speak("Stop!", 48_000, folder), 48_000)
    tone = Sound(make_tone(440, TONE_S, 24_000).tobytes(), 24_000)
    delays_s = []
    with mock.patch.object(speech, "tones", lambda _: tone), audio.tap() as tap:
        tap_delays_s = await asyncio.to_thread(measure_tap, audio, tap, folder)
        async with Simulator(espeak=False) as server, _talking(server, audio) as command:
            record = await server.wait_for_session()
            await record.wait_for(lambda record: record.audio_s > LISTENING_S)
            interruptions = _Interruptions(record)
            for i in range(times):
                assert command.stdin is not None
                command.stdin.write(b"Say something long.\n")
                await asyncio.to_thread(tap.wait_for_sound)
                feeding = asyncio.create_task(asyncio.to_thread(audio.feed, word))
                await record.wait_for(interruptions.look)
                silent_s = await asyncio.to_thread(tap.wait_for_silence)
                delays_s.append(silent_s - interruptions.at_s[i])
                await feeding
                # The word itself is echoed, as the answer of another turn.
                await record.wait_for(_is_idle)
                await asyncio.to_thread(tap.wait_for_sound)
                await asyncio.to_thread(tap.wait_for_silence, 0.5)
    return delays_s, tap_delays_s


def _is_idle(record: SessionRecord) -> bool:
    turn = record.turns[-1]
    return turn.origin == "voice" and turn.complete


def format_figures(name: str, values_s: list[float]) -> str:
    """Return the median and the worst of some times."""
    values_ms = 1000 * np.array(values_s)
    return f"{name}: median {statistics.median(values_ms):.0f} ms, worst {values_ms.max():.0f} ms ({len(values_ms)})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=20, metavar="N", help="how often it is interrupted (20)")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        audio = VirtualAudio(Path(folder) / "audio")
        try:
            delays_s, tap_delays_s = asyncio.run(measure(audio, Path(folder), times))
        finally:
            audio.stop()
    print(format_figures("from interrupted to silence, as recorded", delays_s))
    print(format_figures("delay of the recording itself", tap_delays_s))
    tap_s = statistics.median(tap_delays_s)
    print(format_figures("from interrupted to silence, without it", [delay_s - tap_s for delay_s in delays_s]))


if __name__ == "__main__":
    main()
