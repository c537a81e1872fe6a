"""The shortest script that asks one question and prints the answer: what starting and leaving cost at least.

python benchmarks/contenders/minimal_script.py ADDRESS
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect


async def ask(address: str) -> None:
    """Ask, print the words of the answer, and leave."""
    async with connect(f"ws://{address}/", compression=None) as websocket:
        await websocket.send(json.dumps({"setup": {"model": "models/gemini-3.8-live"}}))
        await websocket.recv()
        await websocket.send(json.dumps({"realtimeInput": {"text": "Hello"}}))
        is_complete = False
        while not is_complete:
            content = json.loads(await websocket.recv()).get("serverContent", {})
            sys.stdout.write(content.get("outputTranscription", {}).get("text", ""))
            is_complete = "turnComplete" in content


if __name__ == "__main__":
    asyncio.run(ask(sys.argv[1]))
