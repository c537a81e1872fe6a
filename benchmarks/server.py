"""A server that costs as little as possible: it sends prepared frames to one client after the other.

    python -m benchmarks.server '{"messages": 2000, "chunk_ms": 40}'

Prints its port, then serves until stdin is closed. It reads no more of a message than the plan needs, so that what is
measured is the client. `Plan` says what it does.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Of the WebSocket handshake (RFC 6455, 1.3)."""
RATE_HZ = 24_000


@dataclass(frozen=True)
class Plan:
    """What the server sends after a client has sent its setup and one more message."""

    messages: int = 0
    """How many messages of audio follow, in each turn."""
    turns: int = 1
    """How many turns follow."""
    chunk_ms: int = 40
    """Duration of the audio in each message."""
    pace_s: float = 0.0
    """Seconds from one message to the next; 0 sends all at once."""
    mixed: bool = False
    """True to send words, usage, handles, sources and empty messages between the audio, as recorded sessions have."""
    answers: bool = False
    """True to answer each message of the client with a few words and the end of a turn."""
    echo_every: int = 0
    """Sends a message of audio for so many of the client's; 0: none."""


def build_frame(message: Any) -> bytes:
    """Return a text frame from a server, which is not masked."""
    payload = json.dumps(message).encode()
    size = len(payload)
    length = b"\x7f" + size.to_bytes(8)
    if size < 65_536:
        length = b"\x7e" + size.to_bytes(2) if size > 125 else bytes([size])
    return b"\x81" + length + payload


def build_audio(chunk_ms: int) -> dict[str, Any]:
    """Return a message with a tone, loud from its first sample to its last."""
    n_samples = RATE_HZ * chunk_ms // 1000
    pcm = b"".join((12_000 + i * 997 % 8_000).to_bytes(2, "little", signed=True) for i in range(n_samples))
    data = base64.b64encode(pcm).decode()
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}
    return {"serverContent": {"modelTurn": {"parts": [part]}}}


END = [{"serverContent": {"generationComplete": True}}, {"serverContent": {"turnComplete": True}}]
USAGE = [
    {
        "usageMetadata": {
            "promptTokenCount": 147,
            "responseTokenCount": 36,
            "totalTokenCount": 183,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 147}],
            "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 36}],
        }
    }
]
SOURCES = {
    "serverContent": {
        "groundingMetadata": {
            "webSearchQueries": ["oslo weather"],
            "groundingChunks": [{"web": {"uri": "https://yr.example/oslo", "title": "yr.no"}}],
        }
    }
}
ANSWER = [{"serverContent": {"outputTranscription": {"text": "Yes."}}}, *END]


def build_mix(audio: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """Return the messages of one spoken turn: seven of ten are audio, and one of these has words."""
    words = {"serverContent": {**audio["serverContent"], "outputTranscription": {"text": " and so"}}}
    ten = [audio, audio, words, audio, {"serverContent": {"outputTranscription": {"text": " it is"}}}] + [audio] * 3
    first: list[dict[str, Any]] = [
        {},
        {"serverContent": {}},
        {"serverContent": {"inputTranscription": {"text": " What is"}}},
        {"serverContent": {"inputTranscription": {"text": " it?"}}},
        {"sessionResumptionUpdate": {"newHandle": "h" * 60, "resumable": True}},
    ]
    return (first + [*ten, *USAGE, SOURCES] * (n // 10 + 1))[:n]


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, plan: Plan, frames: list[bytes]) -> None:
        self._plan, self._frames = plan, frames
        self._end, self._answer = b"".join(map(build_frame, END)), b"".join(map(build_frame, ANSWER))
        self._received = bytearray()
        self._n_messages = 0
        self._is_open = False
        self._sending: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sending is not None:
            self._sending.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._is_open:
            self._shake_hands()
        for opcode in self._take_frames():
            if opcode == 8:
                self._transport.write(b"\x88\x02\x03\xe8")
                self._transport.close()
            elif opcode in (1, 2):
                self._n_messages += 1
                self._handle_message()

    def _shake_hands(self) -> None:
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        key = {name.lower(): value for name, value in headers.items()}["sec-websocket-key"]
        accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        self._received, self._is_open = rest, True

    def _take_frames(self) -> Iterator[int]:
        """Yield the opcode of each complete frame of the client, whose frames are masked."""
        while self._is_open and len(self._received) >= 2:
            size, header = self._received[1] & 127, 6
            if size == 126:
                size, header = int.from_bytes(self._received[2:4]), 8
            elif size == 127:
                size, header = int.from_bytes(self._received[2:10]), 14
            if len(self._received) < header + size:
                return
            opcode = self._received[0] & 15
            del self._received[: header + size]
            yield opcode

    def _handle_message(self) -> None:
        if self._n_messages == 1:
            self._transport.write(build_frame({"setupComplete": {}}))
        elif self._plan.answers:
            self._transport.write(self._answer)
        elif self._plan.echo_every:
            if self._n_messages % self._plan.echo_every == 0:
                self._transport.write(self._frames[0])
        elif self._plan.messages and self._sending is None:
            self._sending = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        for _ in range(self._plan.turns):
            for i in range(self._plan.messages):
                await self._writable.wait()
                self._transport.write(self._frames[i % len(self._frames)])
                if self._plan.pace_s:
                    next_s += self._plan.pace_s
                    await asyncio.sleep(max(0.0, next_s - loop.time()))
            self._transport.write(self._end)


async def serve(plan: Plan) -> None:
    """Serve on a free port of the loopback interface until stdin is closed."""
    audio = build_audio(plan.chunk_ms)
    frames = [build_frame(message) for message in (build_mix(audio, plan.messages) if plan.mixed else [audio])]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Client(plan, frames), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    closed = asyncio.Event()

    def wait_for_parent() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=wait_for_parent, daemon=True).start()
    await closed.wait()


def main() -> None:
    """Serve as the plan in the arguments says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("plan", type=json.loads, help="the fields of Plan, as JSON")
    asyncio.run(serve(Plan(**parser.parse_args().plan)))


if __name__ == "__main__":
    main()
