"""A bare loop of `websockets`, `json` and `base64`: the least that anything in Python on these three can cost.

It reads only the audio and the end of a turn, trusts every message, and knows no sound card.
"""

import asyncio
import base64
import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from . import CpuClock, run_task
from .microphone import feed

MODEL = "models/gemini-3.8-live"
SETUP: dict[str, Any] = {"setup": {"model": MODEL, "generationConfig": {"responseModalities": ["AUDIO"]}}}
QUESTION = {"realtimeInput": {"text": "Hello"}}


async def receive(address: str, messages: int, turns: int = 1) -> dict[str, float]:
    """Receive turns of the server, and put their audio into one buffer; return the CPU time for each message."""
    buffer = bytearray()
    n_complete = 0
    async with connect(f"ws://{address}/", compression=None) as websocket:
        await set_up(websocket)
        cpu = CpuClock()
        await websocket.send(json.dumps(QUESTION))
        while n_complete < turns:
            content = json.loads(await websocket.recv()).get("serverContent", {})
            for part in content.get("modelTurn", {}).get("parts", ()):
                if "inlineData" in part:
                    buffer += base64.b64decode(part["inlineData"]["data"])
            n_complete += "turnComplete" in content
        return {"cpu_us": cpu.us_each(messages * turns), "bytes": len(buffer)}


async def send(address: str, chunks: int, pace_s: float) -> dict[str, float]:
    """Send chunks of a microphone whose callback posts them to the loop; return the CPU time for each chunk."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    async with connect(f"ws://{address}/", compression=None) as websocket:
        await set_up(websocket)
        cpu = CpuClock()
        feed(lambda chunk: loop.call_soon_threadsafe(queue.put_nowait, chunk), chunks, pace_s)
        for _ in range(chunks):
            data = base64.b64encode(await queue.get()).decode()
            audio = {"mimeType": "audio/pcm;rate=16000", "data": data}
            await websocket.send(json.dumps({"realtimeInput": {"audio": audio}}))
        return {"cpu_us": cpu.us_each(chunks)}


async def set_up(websocket: ClientConnection) -> None:
    """Send the setup and wait until it is complete."""
    await websocket.send(json.dumps(SETUP))
    while "setupComplete" not in json.loads(await websocket.recv()):
        pass


if __name__ == "__main__":
    run_task({"receive": receive, "send": send})
