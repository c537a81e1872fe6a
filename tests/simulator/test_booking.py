"""The script of docs/simulator.md, run against our client and against google-genai; and the answer function there."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.genai import types

from gemini_live.simulator import Simulator

from ..command import ROOT
from .peer import declare, session
from .sounds import SILENCE, spoken
from .test_actions import respond
from .test_sdk import sdk_session

PAGE = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
RETURNS = {"find_table": '{"free": people < 5, "table": 7}', "book_table": '"booked"'}
ANSWERS = [
    "Let me look. Table 7 is free at 19:30. What is your name?",
    "Done, Ada: a table for 2 at 19:30.",
]
MODELS = ("gemini-3.8-live", "gemini-3.1-flash-live-preview", "gemini-2.5-flash-native-audio-latest")


def block(name: str) -> str:
    """Return the code of a marked block of the page."""
    match = re.search(rf"<!-- {name}: begin -->\n```\w+\n(.*?)```\n<!-- {name}: end -->", PAGE, flags=re.S)
    assert match is not None
    return match[1]


def documented_functions() -> dict[str, list[str]]:
    """Return the functions that the script's first line tells the client to declare, and their parameters."""
    first = block("booking script").partition("\n")[0]
    return {name: names.split(", ") for name, names in re.findall(r"(\w+)\(([\w, ]+)\)", first)}


def write_functions() -> str:
    """Return the documented functions in Python."""
    return "".join(
        f'def {name}({", ".join(map(annotate, names))}):\n    """Do it."""\n    return {RETURNS[name]}\n'
        for name, names in documented_functions().items()
    )


def annotate(name: str) -> str:
    """Return a parameter with its type."""
    return f"{name}: int" if name == "people" else f"{name}: str"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "booking.toml"
    path.write_text(block("booking script"), encoding="utf-8")
    (tmp_path / "tables.py").write_text(write_functions(), encoding="utf-8")
    return path


@pytest.mark.parametrize("model", MODELS)
def test_table_is_booked_by_our_client(model: str, script: Path) -> None:
    lines = "A table for 2 at 19:30, please.\nMy name is Ada.\nA table for 8 at 20:00!\n"
    completed = subprocess.run(
        [
            *(sys.executable, "-m", "gemini_live", f"--model={model}", "--text-output", "--import-functions=tables.py"),
            f"--simulate=--pace 0 --script {script.name}",
        ],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=script.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": ""},  # without espeak-ng it is quicker
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    refusal = "Let me look. I am sorry, there is no table for 8 at 20:00."
    assert completed.stdout.splitlines() == [*ANSWERS, refusal]


def declare_table(name: str, parameters: list[str]) -> dict[str, Any]:
    """Declare a function; `people` is a number, everything else a text."""
    types_of = {each: {"type": "INTEGER" if each == "people" else "STRING"} for each in parameters}
    return {"name": name, "parameters": {"type": "OBJECT", "properties": types_of, "required": parameters}}


@pytest.mark.parametrize("spoken_first", [False, True])
@pytest.mark.parametrize("model", MODELS)
async def test_table_is_booked_by_google_genai(model: str, spoken_first: bool, script: Path) -> None:
    tools = [declare_table(name, parameters) for name, parameters in documented_functions().items()]
    config = {
        "response_modalities": ["AUDIO"],
        "output_audio_transcription": {},
        "input_audio_transcription": {},
        "tools": [{"function_declarations": tools}],
    }
    results: dict[str, dict[str, Any]] = {"find_table": {"free": True, "table": 7}, "book_table": {"output": "ok"}}
    said, heard, named = "", "", False
    async with (
        Simulator(tls=True, pace=0, espeak=False, script=script) as server,
        sdk_session(server, config, model=model, version="v1beta") as live,
        asyncio.timeout(30),
    ):
        if spoken_first:
            await live.send_realtime_input(audio=types.Blob(data=SILENCE + spoken() + SILENCE, mime_type="audio/pcm"))
        else:
            await live.send_realtime_input(text="A table for 2 at 19:30, please.")
        async for message in _messages(live):
            for call in (message.tool_call and message.tool_call.function_calls) or []:
                answer = types.FunctionResponse(id=call.id, name=call.name, response=results[call.name or ""])
                await live.send_tool_response(function_responses=answer)
            content = message.server_content
            said += (content and content.output_transcription and content.output_transcription.text) or ""
            heard += (content and content.input_transcription and content.input_transcription.text) or ""
            ended = bool(content and content.turn_complete)
            if ended and said.endswith("name?") and not named:
                named = True
                await live.send_realtime_input(text="My name is Ada.")
            elif ended and said.endswith("19:30."):
                break
    assert re.sub(r"(?<=[.?])(?=\w)", " ", said) == " ".join(ANSWERS)
    calls = [(call.name, call.args) for call in server.sessions[0].calls.values()]
    assert calls == [("find_table", {"people": 2, "time": "19:30"}), ("book_table", {"people": 2, "name": "Ada"})]
    if spoken_first:
        assert heard.strip().startswith("A table for 2 at 19:30, please.")
        assert [words for words in server.mistakes if "pieces of more than" not in words] == []


async def _messages(live: Any) -> Any:
    """Yield messages over the ends of turns, at which `receive` ends."""
    while True:
        async for message in live.receive():
            yield message


async def test_function_of_the_page_answers() -> None:
    names: dict[str, Any] = {}
    exec(block("answer function"), names)
    tools = declare("get_weather")
    async with Simulator(pace=0, espeak=False, answer=names["answer"]) as server, session(server, tools=tools) as peer:
        await peer.say("the weather, please")
        await respond(peer, get_weather="4 C")
        assert (await peer.turn()).words == "It is 4 C in Oslo."
        assert (await peer.ask("Hello")).words == "Hello"
    assert json.dumps([call.args for call in server.sessions[0].calls.values()]) == '[{"city": "Oslo"}]'
