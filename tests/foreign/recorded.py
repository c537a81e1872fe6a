"""A recording for the foreign clients to be served: a typed turn, a spoken turn and a tool call, by a bare client."""

import base64
import json
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from gemini_live.simulator import Question, Simulator

from .report import speech

LINES = ("My tree is a birch", "What is the weather?")
ANSWERS = ("A birch has white bark.", "You spoke for a second.", "It is 4 C.")
RESULT = {"output": "4 C"}


def answer(question: Question) -> object:
    """Answer as the recorded model does."""
    from gemini_live.simulator import Call

    if question.results:
        return ANSWERS[2]
    if question.spoken:
        return ANSWERS[1]
    return Call("get_weather", {}) if "weather" in question.text else ANSWERS[0]


async def record(model: str, path: Path) -> None:
    """Record a conversation with a model."""
    tools = [{"functionDeclarations": [{"name": "get_weather", "behavior": "BLOCKING"}]}]
    setup = {
        "model": f"models/{model}",
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        "sessionResumption": {},
        "tools": tools,
    }
    options = {"pace": 0, "espeak": False, "log": path, "log_media": True, "answer": answer, "heard": ["I am here"]}
    async with Simulator(**options) as server, connect(server.socket_url) as socket:  # type: ignore[arg-type]
        await _send(socket, setup=setup)
        await _send(socket, realtimeInput={"text": LINES[0]})
        await _finish_turn(socket)
        for chunk in speech():
            audio = {"data": base64.b64encode(chunk).decode(), "mimeType": "audio/pcm;rate=16000"}
            await _send(socket, realtimeInput={"audio": audio})
        await _finish_turn(socket)
        await _send(socket, realtimeInput={"text": LINES[1]})
        await _finish_turn(socket)


async def _send(socket: ClientConnection, **message: object) -> None:
    await socket.send(json.dumps(message))


async def _finish_turn(socket: ClientConnection) -> None:
    """Receive up to the end of a turn, answering calls on the way."""
    while True:
        message = json.loads(await socket.recv())
        for call in message.get("toolCall", {}).get("functionCalls", []):
            response = {"id": call["id"], "name": call["name"], "response": RESULT}
            await _send(socket, toolResponse={"functionResponses": [response]})
        if "turnComplete" in message.get("serverContent", {}):
            return
