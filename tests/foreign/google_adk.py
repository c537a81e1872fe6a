"""google-adk through a typed turn, a spoken turn, a tool call and a resume. Needs google-adk and gemini-live[tls].

Run it with `python -m tests.foreign.google_adk`.
"""

import asyncio
import os
from typing import Any

from google.genai import types

from gemini_live.simulator import SimulatorInThread

from .report import MODELS, report, speech


class Conversation:
    """One `run_live` of the agent, in a session of google-adk that has no history of its own."""

    def __init__(self, runner: Any, name: str, handle: str | None = None) -> None:
        from google.adk.agents.live_request_queue import LiveRequestQueue

        self.runner, self.name, self.handle = runner, name, handle
        self.queue = LiveRequestQueue()

    async def start(self) -> None:
        from google.adk.agents.run_config import RunConfig, StreamingMode

        await self.runner.session_service.create_session(app_name="app", user_id="user", session_id=self.name)
        config = RunConfig(
            streaming_mode=StreamingMode.BIDI,
            response_modalities=[types.Modality.AUDIO],
            session_resumption=types.SessionResumptionConfig(handle=self.handle),
        )
        self.events = self.runner.run_live(
            user_id="user", session_id=self.name, live_request_queue=self.queue, run_config=config
        )

    def say(self, text: str) -> None:
        self.queue.send_content(types.Content(role="user", parts=[types.Part(text=text)]))

    async def turn(self) -> str:
        """Return the words of the next turn that has any."""
        words = ""
        async with asyncio.timeout(30):
            async for event in self.events:
                update = event.live_session_resumption_update
                self.handle = (update and update.new_handle) or self.handle
                if event.output_transcription and event.partial:
                    words += event.output_transcription.text or ""
                if event.turn_complete and words:
                    return words.strip()
        return f"ended: {words}"

    async def read_handle(self) -> None:
        """Go on reading for a second: a handle may come after the turn."""
        reading = asyncio.create_task(self.turn())
        await asyncio.wait([reading], timeout=1.2)  # 3.8 refuses a handle within a second of audio
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def get_weather() -> str:
    """Say what the weather is."""
    return "4 C"


async def try_model(model: str, results: dict[str, str]) -> None:
    from google.adk.agents import Agent
    from google.adk.runners import InMemoryRunner

    runner = InMemoryRunner(agent=Agent(name="agent", model=model, tools=[get_weather]), app_name="app")
    first = Conversation(runner, "first")
    await first.start()
    first.say("My tree is a birch")
    words = await first.turn()
    results["typed"] = report(words == "My tree is a birch", words)
    for chunk in speech():
        first.queue.send_realtime(types.Blob(data=chunk, mime_type="audio/pcm;rate=16000"))
    words = await first.turn()
    results["spoken"] = report("speech" in words, words)
    first.say("call get_weather()")
    words = await first.turn()
    results["call"] = report("4 C" in words, words)
    await first.read_handle()
    first.queue.close()
    second = Conversation(runner, "second", first.handle)
    await second.start()
    second.say("what did I say before?")
    words = await second.turn()
    results["resume"] = report(words == "You said: call get_weather()", words)
    second.queue.close()


async def main() -> None:
    for model in MODELS:
        results: dict[str, str] = {}
        with SimulatorInThread(tls=True, espeak=False) as server:
            os.environ.update(server.environ)
            try:
                await try_model(model, results)
            except Exception as error:  # noqa: BLE001 - told, and the next model tried
                results["failed"] = f"NO: {error!r}"[:300]
            results["mistakes"] = "; ".join(server.mistakes) or "none"
        print("google-adk", model, results, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
