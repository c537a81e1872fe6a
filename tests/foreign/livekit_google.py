"""livekit-plugins-google through a typed turn, a spoken turn, a tool call and a resume.

Needs livekit-plugins-google and gemini-live[tls]. Run it with `python -m tests.foreign.livekit_google`.
"""

import asyncio
import os
from typing import Any

from gemini_live.simulator import SimulatorInThread

from .report import MODELS, report, speech


async def try_model(model: str, server: SimulatorInThread, results: dict[str, str]) -> None:
    from google.genai import types
    from livekit import rtc  # type: ignore[import-not-found]
    from livekit.agents import llm  # type: ignore[import-not-found]
    from livekit.plugins.google.realtime import RealtimeModel  # type: ignore[import-not-found]

    @llm.function_tool  # type: ignore[untyped-decorator]
    async def get_weather() -> str:
        """Say what the weather is."""
        return "4 C"

    def open_session(handle: str | None) -> tuple[Any, Any]:
        resumption = types.SessionResumptionConfig(handle=handle)
        session = RealtimeModel(model=model, session_resumption=resumption).session()
        generations: asyncio.Queue[Any] = asyncio.Queue()
        session.on("generation_created", generations.put_nowait)
        return session, generations

    async def hear(generations: Any) -> tuple[str, list[Any]]:
        """Return the words and the calls of the next generation."""
        async with asyncio.timeout(30):
            generation = await generations.get()
            words = ""
            async for message in generation.message_stream:
                words += "".join([str(text) async for text in message.text_stream])
            return words.strip(), [call async for call in generation.function_stream]

    async def type_line(session: Any, text: str) -> None:
        context = session.chat_ctx
        context.add_message(role="user", content=text)
        await session.update_chat_ctx(context)
        session.generate_reply()

    session, generations = open_session(None)
    await session.update_tools([get_weather])
    await asyncio.to_thread(server.wait_for_session, 1)
    await asyncio.sleep(0.5)
    await type_line(session, "My tree is a birch")
    words, _ = await hear(generations)
    results["typed"] = report("My tree is a birch" in words, words)
    for chunk in speech():
        session.push_audio(rtc.AudioFrame(chunk, 16_000, 1, 320))
    words, _ = await hear(generations)
    results["spoken"] = report("speech" in words, words)
    await type_line(session, "call get_weather()")
    words, calls = await hear(generations)
    context = session.chat_ctx
    for call in calls:
        context.items.append(llm.FunctionCallOutput(name=call.name, call_id=call.call_id, output="4 C", is_error=False))
    await session.update_chat_ctx(context)
    words, _ = await hear(generations) if calls else (words, [])
    results["call"] = report("4 C" in words, words)
    await asyncio.sleep(1.2)  # 3.8 refuses a handle within a second of audio
    handle = session.session_resumption_handle
    await session.aclose()
    session, generations = open_session(handle)
    await asyncio.sleep(0.5)
    await type_line(session, "what did I say before?")
    words, _ = await hear(generations)
    results["resume"] = report("You said: call get_weather()" in words, words)
    await session.aclose()


async def main() -> None:
    for model in MODELS:
        results: dict[str, str] = {}
        with SimulatorInThread(tls=True, espeak=False) as server:
            os.environ.update(server.environ)
            try:
                await try_model(model, server, results)
            except Exception as error:  # noqa: BLE001 - told, and the next model tried
                results["failed"] = f"NO: {error!r}"[:300]
            results["mistakes"] = "; ".join(server.mistakes) or "none"
        print("livekit-plugins-google", model, results, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
