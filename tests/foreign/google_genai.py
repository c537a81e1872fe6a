"""google-genai through a typed turn, a spoken turn, a tool call, a resume and a replay.

Needs google-genai and gemini-live[tls]. Run it with `python -m tests.foreign.google_genai`.
"""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

from google import genai
from google.genai import types

from gemini_live.simulator import Simulator

from .recorded import ANSWERS, LINES, record
from .report import MODELS, report, speech

CONFIG: dict[str, Any] = {
    "response_modalities": ["AUDIO"],
    "output_audio_transcription": {},
    "input_audio_transcription": {},
    "session_resumption": {},
    "tools": [{"function_declarations": [{"name": "get_weather", "behavior": "BLOCKING"}]}],
}


async def receive(session: Any) -> tuple[str, str]:
    """Return the words of a turn and the last handle that came, answering calls on the way."""
    words, handle = "", ""
    async with asyncio.timeout(30):
        async for message in session.receive():
            if message.session_resumption_update and message.session_resumption_update.new_handle:
                handle = message.session_resumption_update.new_handle
            content = message.server_content
            if content and content.output_transcription:
                words += content.output_transcription.text or ""
            for call in (message.tool_call.function_calls or []) if message.tool_call else []:
                answer = types.FunctionResponse(id=call.id, name=call.name, response={"output": "4 C"})
                await session.send_tool_response(function_responses=answer)
    return words.strip(), handle


async def receive_late_handle(session: Any) -> str:
    """Return the last handle of the next 1.2 s. 3.8 refuses a handle within a second of audio."""
    handle = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.2):
            async for message in session.receive():
                update = message.session_resumption_update
                handle = (update and update.new_handle) or handle
            await asyncio.sleep(1.2)
    return handle


async def try_model(model: str, results: dict[str, str]) -> None:
    async with Simulator(tls=True, pace=4, espeak=False) as server:
        assert server.certificate is not None
        context = server.certificate.client_context
        options = types.HttpOptions(base_url=server.url, api_version="v1beta", async_client_args={"ssl": context})
        live = genai.Client(api_key="any", http_options=options).aio.live
        async with live.connect(model=model, config=CONFIG) as session:  # type: ignore[arg-type]
            await session.send_client_content(
                turns=types.Content(role="user", parts=[types.Part(text="My tree is a birch")]), turn_complete=True
            )
            words, handle = await receive(session)
            results["typed"] = report(words == "My tree is a birch", words)
            for chunk in speech():
                await session.send_realtime_input(audio=types.Blob(data=chunk, mime_type="audio/pcm;rate=16000"))
            words, newer = await receive(session)
            results["spoken"] = report("speech" in words, words)
            await session.send_realtime_input(text="call get_weather()")
            words, newest = await receive(session)
            results["call"] = report(words == "get_weather returned 4 C", words)
            late = await receive_late_handle(session)
        handle = late or newest or newer or handle
        config = {**CONFIG, "session_resumption": {"handle": handle}}
        async with live.connect(model=model, config=config) as session:  # type: ignore[arg-type]
            await session.send_realtime_input(text="what did I say before?")
            words, _ = await receive(session)
            results["resume"] = report(words == "You said: call get_weather()", words)
        results["mistakes"] = "; ".join(server.mistakes) or "none"


async def try_replay(model: str, results: dict[str, str]) -> None:
    """Hold the conversation of a recording that another client made."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.jsonl"
        await record(model, path)
        async with Simulator(tls=True, replay=path, pace=4) as server:
            assert server.certificate is not None
            context = server.certificate.client_context
            options = types.HttpOptions(base_url=server.url, api_version="v1beta", async_client_args={"ssl": context})
            live = genai.Client(api_key="any", http_options=options).aio.live
            async with live.connect(model=model, config=CONFIG) as session:  # type: ignore[arg-type]
                await session.send_realtime_input(text=LINES[0])
                said = [(await receive(session))[0]]
                for chunk in speech():
                    await session.send_realtime_input(audio=types.Blob(data=chunk, mime_type="audio/pcm;rate=16000"))
                said.append((await receive(session))[0])
                await session.send_realtime_input(text=LINES[1])
                said.append((await receive(session))[0])
        results["replay"] = report(said == list(ANSWERS), str(said))
        results["departures"] = "; ".join(server.departures) or "none"


async def main() -> None:
    for model in MODELS:
        results: dict[str, str] = {}
        try:
            await try_model(model, results)
            await try_replay(model, results)
        finally:
            print(f"google-genai {genai.__version__}", model, results, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
