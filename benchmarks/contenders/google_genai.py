"""Google's own SDK: `client.aio.live` of google-genai."""

import asyncio
from typing import Any

from google import genai
from google.genai import live, types

from . import CpuClock, run_task
from .floor import MODEL
from .microphone import feed

CONFIG = types.LiveConnectConfig(response_modalities=[types.Modality.AUDIO])


async def receive(address: str, messages: int, turns: int = 1) -> dict[str, float]:
    """Receive turns, and put their audio into one buffer."""
    buffer = bytearray()
    n_complete = 0
    async with _client(address).aio.live.connect(model=MODEL, config=CONFIG) as session:
        cpu = CpuClock()
        await session.send_realtime_input(text="Hello")
        while n_complete < turns:
            async for message in session.receive():
                content = message.server_content
                if content is None:
                    continue
                for part in (content.model_turn and content.model_turn.parts) or ():
                    if part.inline_data is not None:
                        buffer += part.inline_data.data or b""
                n_complete += bool(content.turn_complete)
        return {"cpu_us": cpu.us_each(messages * turns), "bytes": len(buffer)}


async def send(address: str, chunks: int, pace_s: float) -> dict[str, float]:
    """Send chunks of a microphone whose callback posts them to the loop."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    async with _client(address).aio.live.connect(model=MODEL, config=CONFIG) as session:
        cpu = CpuClock()
        feed(lambda chunk: loop.call_soon_threadsafe(queue.put_nowait, chunk), chunks, pace_s)
        for _ in range(chunks):
            audio = types.Blob(data=await queue.get(), mime_type="audio/pcm;rate=16000")
            await session.send_realtime_input(audio=audio)
        return {"cpu_us": cpu.us_each(chunks)}


def _client(address: str) -> genai.Client:
    """Return a client that dials without TLS, as the other contenders do: the SDK itself always dials `wss`."""
    dial: Any = vars(live)["ws_connect"]

    def dial_plainly(url: str, *, ssl: object = None, **options: Any) -> Any:
        return dial(url.replace("wss://", "ws://", 1), **options)

    vars(live)["ws_connect"] = dial_plainly
    return genai.Client(api_key="any-key", http_options=types.HttpOptions(base_url=f"http://{address}"))


if __name__ == "__main__":
    run_task({"receive": receive, "send": send})
