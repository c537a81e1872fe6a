"""A script in the manner of the one that this client replaced: PyAudio callbacks and one shared `bytearray`.

PortAudio's buffers hold 256 frames, as in that script. It knows no resampling, no fades and no device but the default.
"""

import base64
import json

import pyaudio
from websockets.asyncio.client import connect

from . import CpuClock, run_task
from .floor import QUESTION, set_up

_FRAMES_PER_BUFFER = 256
_SAMPLE_BYTES = 2


class _Playback:
    """Plays what is in its buffer."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self._portaudio = pyaudio.PyAudio()
        self._stream = self._portaudio.open(
            rate=24_000,
            channels=1,
            format=pyaudio.paInt16,
            output=True,
            frames_per_buffer=_FRAMES_PER_BUFFER,
            stream_callback=self._on_audio,
        )

    def _on_audio(self, recorded: object, n_frames: int, time_info: object, flags: int) -> tuple[bytes, int]:
        n_bytes = n_frames * _SAMPLE_BYTES
        pcm = bytes(self.buffer[:n_bytes])
        del self.buffer[:n_bytes]
        return pcm.ljust(n_bytes, b"\0"), pyaudio.paContinue

    def close(self) -> None:
        self._stream.close()
        self._portaudio.terminate()


async def receive(address: str, messages: int, turns: int = 1) -> dict[str, float]:
    """Receive turns and play them; return the CPU time for each message, that of the callbacks included."""
    n_complete = 0
    async with connect(f"ws://{address}/", compression=None) as websocket:
        await set_up(websocket)
        playback = _Playback()
        cpu = CpuClock()
        await websocket.send(json.dumps(QUESTION))
        while n_complete < turns:
            content = json.loads(await websocket.recv()).get("serverContent", {})
            for part in content.get("modelTurn", {}).get("parts", ()):
                playback.buffer += base64.b64decode(part["inlineData"]["data"])
            if content.get("interrupted"):
                playback.buffer.clear()
            n_complete += "turnComplete" in content
        figures = {"cpu_us": cpu.us_each(messages * turns)}
        playback.close()
        return figures


if __name__ == "__main__":
    run_task({"receive": receive})
