"""pydantic-ai through a typed turn, a spoken turn, a tool call, a resume after a lost connection, and a replay.

Needs `pip install 'pydantic-ai-slim[google]'` and gemini-live[tls].
Run it with `python -m tests.foreign.pydantic_ai_slim`.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from google import genai
from google.genai import types

from gemini_live.simulator import Simulator

from .recorded import ANSWERS, LINES, record
from .report import MODELS, report, speech

SETTINGS: Any = {"reconnect": {"max_attempts": 3}}


async def try_model(model: str, results: dict[str, str]) -> None:
    from pydantic_ai import Agent  # type: ignore[import-not-found]
    from pydantic_ai.providers.google import GoogleProvider  # type: ignore[import-not-found]
    from pydantic_ai.realtime.google import GoogleRealtimeModel  # type: ignore[import-not-found]

    agent = Agent(instructions="Be brief.")

    @agent.tool_plain  # type: ignore[untyped-decorator]
    def get_weather() -> str:
        """Say what the weather is."""
        return "4 C"

    async with Simulator(tls=True, espeak=False, faults=["close:1006@turn4*1"]) as server:
        assert server.certificate is not None
        context = server.certificate.client_context
        options = types.HttpOptions(base_url=server.url, api_version="v1beta", async_client_args={"ssl": context})
        provider = GoogleProvider(client=genai.Client(api_key="any", http_options=options))
        realtime: Any = agent.realtime(GoogleRealtimeModel(model, provider=provider, settings=SETTINGS))
        async with realtime.session() as session, asyncio.timeout(60):

            async def ask(text: str) -> str:
                await session.send(text)
                await session.wait_for_reply()
                return repr(session.all_messages()[-1])

            words = await ask("My tree is a birch")
            results["typed"] = report("My tree is a birch" in words, words)
            for chunk in speech():
                await session.send_audio(chunk)
            await server.sessions[0].wait_for(lambda record: sum(turn.complete for turn in record.turns) == 2, 20)
            results["spoken"] = report(server.sessions[0].n_utterances == 1, server.sessions[0].describe())
            words = await ask("call get_weather()")
            results["call"] = report("get_weather returned 4 C" in words, words)
            listening = asyncio.create_task(_listen(session))  # it reconnects only while somebody listens
            await session.send("Goodbye for now")  # the server drops the connection in its answer
            await server.wait_for_session(2)
            await server.sessions[1].wait_for(lambda record: record.n_sent > 0)
            await asyncio.sleep(1.0)
            words = await ask("what did I say before?")
            listening.cancel()
            # The handle may stand for the talk before the line that the drop cut off.
            known = any(f"You said: {said}" in words for said in ("Goodbye for now", "call get_weather()"))
            results["resume"] = report(len(server.sessions) == 2 and known, words)
        results["mistakes"] = "; ".join(server.mistakes) or "none"


async def try_replay(model: str, results: dict[str, str]) -> None:
    """Hold the conversation of a recording that another client made."""
    from pydantic_ai import Agent
    from pydantic_ai.providers.google import GoogleProvider
    from pydantic_ai.realtime.google import GoogleRealtimeModel

    agent = Agent(instructions="Be brief.")

    @agent.tool_plain  # type: ignore[untyped-decorator]
    def get_weather() -> str:
        """Say what the weather is."""
        return "4 C"

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.jsonl"
        await record(model, path)
        async with Simulator(tls=True, replay=path, pace=4) as server:
            assert server.certificate is not None
            context = server.certificate.client_context
            options = types.HttpOptions(base_url=server.url, api_version="v1beta", async_client_args={"ssl": context})
            provider = GoogleProvider(client=genai.Client(api_key="any", http_options=options))
            realtime: Any = agent.realtime(GoogleRealtimeModel(model, provider=provider, settings=SETTINGS))
            async with realtime.session() as session, asyncio.timeout(60):
                said = []
                for line in (LINES[0], None, LINES[1]):
                    if line is not None:
                        await session.send(line)
                        await session.wait_for_reply()
                    else:
                        for chunk in speech():
                            await session.send_audio(chunk)
                        await server.sessions[0].wait_for(lambda r: sum(turn.complete for turn in r.turns) == 2, 20)
                    said.append(server.sessions[0].turns[-1].words)
                    await asyncio.sleep(0.2)
                words = repr(session.all_messages())
        results["replay"] = report(all(answer in words for answer in ANSWERS), f"{said} {words[-600:]}")
        results["departures"] = "; ".join(server.departures) or "none"


async def _listen(session: Any) -> None:
    async for _ in session:
        pass


async def main() -> None:
    for model in MODELS:
        results: dict[str, str] = {}
        try:
            await try_model(model, results)
        except Exception as error:  # noqa: BLE001 - told, and the next model tried
            results["failed"] = f"NO: {error!r}"[:300]
        try:
            await try_replay(model, results)
        except Exception as error:  # noqa: BLE001 - the same
            results["replay"] = f"NO: {error!r}"[:300]
        print("pydantic-ai", model, results, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
