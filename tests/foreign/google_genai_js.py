"""@google/genai through google_genai.mjs. Needs node and a folder in which `npm install @google/genai` was run.

Run it with `python -m tests.foreign.google_genai_js FOLDER`.
"""

import asyncio
import os
import sys
from pathlib import Path

from gemini_live.simulator import Simulator

from .report import MODELS, speech


async def main(folder: str) -> None:
    for model in MODELS:
        async with Simulator(espeak=False) as server:
            environ = {**os.environ, "GOOGLE_GEMINI_BASE_URL": server.url, "GOOGLE_API_KEY": "any"}
            script = str(Path(__file__).with_name("google_genai.mjs"))
            process = await asyncio.create_subprocess_exec(
                *("node", script, model), stdin=asyncio.subprocess.PIPE, cwd=folder, env=environ
            )
            async with asyncio.timeout(60):
                await process.communicate(b"".join(speech()))
            print("  mistakes:", "; ".join(server.mistakes) or "none", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
