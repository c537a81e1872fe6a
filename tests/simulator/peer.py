"""A bare client for the simulator's tests: it sends what it is told to and shows what came, nothing more."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gemini_live.simulator import Simulator

from ..protos import check_server_message

TIMEOUT_S = 20.0
MODEL = "models/gemini-3.8-live"
ON_TIME = 1130
"""A seed of the simulator's with which no words come after turnComplete, in the first turns of the first sessions."""


class Peer:
    """One WebSocket to the simulator. Whatever it receives is checked against what Google publishes."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.frames: list[str | bytes] = []
        self.strict = True
        """Whether only what the service itself could send is taken."""

    async def send(self, message: dict[str, Any]) -> None:
        await self.websocket.send(json.dumps(message))

    async def say(self, text: str) -> None:
        await self.send({"realtimeInput": {"text": text}})

    async def content(self, *texts: str, complete: bool = True) -> None:
        turns = [{"role": "user", "parts": [{"text": text}]} for text in texts]
        await self.send({"clientContent": {"turns": turns, "turnComplete": complete}})

    async def speak(self, pcm: bytes, *, rate_hz: int = 16_000, chunk_bytes: int = 640) -> None:
        for start in range(0, len(pcm), chunk_bytes):
            data = base64.b64encode(pcm[start : start + chunk_bytes]).decode()
            await self.send({"realtimeInput": {"audio": {"data": data, "mimeType": f"audio/pcm;rate={rate_hz}"}}})

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT_S):
            frame = await self.websocket.recv()
        self.frames.append(frame)
        message: dict[str, Any] = json.loads(frame)
        if self.strict:
            assert isinstance(frame, bytes), "the service sends binary frames"
            check_server_message(message)
        return message

    async def closed(self) -> tuple[int, str]:
        """Return code and reason of the close, skipping what comes before it."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as error:
            return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")

    async def until(self, found: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return the messages up to the first for which `found` holds, that one included."""
        messages = []
        while True:
            messages.append(await self.receive())
            if found(messages[-1]):
                return messages

    async def turn(self) -> "Turn":
        """Return the next turn, up to its turnComplete."""
        return Turn(await self.until(lambda message: "turnComplete" in message.get("serverContent", {})))

    async def ask(self, text: str) -> "Turn":
        await self.say(text)
        return await self.turn()


class Turn:
    """What came in one turn."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        self.contents = [message["serverContent"] for message in messages if "serverContent" in message]

    @property
    def parts(self) -> list[dict[str, Any]]:
        return [part for content in self.contents for part in content.get("modelTurn", {}).get("parts", [])]

    @property
    def chunks(self) -> list[bytes]:
        return [base64.b64decode(part["inlineData"]["data"]) for part in self.parts if "inlineData" in part]

    @property
    def audio(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def text(self) -> str:
        return "".join(part["text"] for part in self.parts if "text" in part and not part.get("thought"))

    @property
    def words(self) -> str:
        return "".join(c["outputTranscription"]["text"] for c in self.contents if "outputTranscription" in c)

    @property
    def heard(self) -> str:
        return "".join(c["inputTranscription"]["text"] for c in self.contents if "inputTranscription" in c)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [call for message in self.messages for call in message.get("toolCall", {}).get("functionCalls", [])]

    def has(self, name: str) -> bool:
        """Whether a message has that field, at the top or in its serverContent."""
        return any(name in message or name in message.get("serverContent", {}) for message in self.messages)


def setup(**fields: Any) -> dict[str, Any]:
    """A setup message for the default model, with transcripts."""
    plain = {"model": MODEL, "inputAudioTranscription": {}, "outputAudioTranscription": {}}
    return {"setup": {key: value for key, value in {**plain, **fields}.items() if value is not None}}


def declare(*names: str, behavior: str | None = "BLOCKING") -> list[dict[str, Any]]:
    """The `tools` field with functions of these names."""
    extra = {"behavior": behavior} if behavior else {}
    return [{"functionDeclarations": [{"name": name, **extra} for name in names]}]


def socket_url(server: Simulator, version: str = "v1beta", method: str = "BidiGenerateContent", query: str = "") -> str:
    base = server.url.replace("http", "ws", 1)
    return f"{base}/ws/google.ai.generativelanguage.{version}.GenerativeService.{method}{query}"


@asynccontextmanager
async def dial(server: Simulator, url: str | None = None, **options: Any) -> AsyncIterator[Peer]:
    """Connect, and send nothing."""
    options = {"compression": None, "max_size": None, "max_queue": None, **options}
    async with connect(url or socket_url(server), **options) as websocket:
        yield Peer(websocket)


@asynccontextmanager
async def session(server: Simulator, **fields: Any) -> AsyncIterator[Peer]:
    """Connect and set a session up."""
    async with dial(server) as peer:
        await peer.send(setup(**fields))
        assert await peer.receive() == {"setupComplete": {}}
        yield peer
