"""Messages that are taken as they arrive: a session gets each one once, in its order, however the bytes come."""

import asyncio
import base64
import json
import random
from typing import Any

import pytest

from gemini_live.simulator import Simulator

from .peer import setup

HANDSHAKE = (
    b"GET /ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent HTTP/1.1\r\nHost: localhost\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


def frame(payload: bytes, first: int = 0x81, mask: bytes = b"\x05\x00\xff\x21") -> bytes:
    """A frame of a client."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    return bytes([first]) + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def cut_at_random(stream: bytes, generator: random.Random) -> list[bytes]:
    """The stream in pieces of any size."""
    pieces, position = [], 0
    while position < len(stream):
        size = generator.choice([1, 2, 3, 7, 40, 700, 3_000, 70_000])
        pieces.append(stream[position : position + size])
        position += size
    return pieces


def messages() -> list[dict[str, Any]]:
    """A microphone that hears silence, and what else a client sends, in between."""
    pcm = bytes(range(200)) * 3
    found: list[dict[str, Any]] = [setup()]
    for i in range(30):
        data = base64.b64encode(bytes([i]) * 40 + pcm).decode()
        found.append({"realtimeInput": {"audio": {"data": data, "mimeType": "audio/pcm;rate=16000"}}})
        if i % 7 == 3:
            found.append({"realtimeInput": {"activityStart": {}} if i < 20 else {"activityEnd": {}}})
        if i % 11 == 5:
            found.append({"clientContent": {"turns": [{"role": "user", "parts": [{"text": f"{i}"}]}]}})
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_a_session_gets_every_message_in_its_order_however_the_bytes_come(seed: int) -> None:
    generator = random.Random(seed)
    sent = messages()
    sent[0] = setup(realtimeInputConfig={"automaticActivityDetection": {"disabled": True}})
    stream = bytearray(HANDSHAKE)
    for message in sent:
        payload = json.dumps(message).encode()
        if generator.random() < 0.2:  # in two fragments, with a ping between them
            stream += frame(payload[:50], 0x01) + frame(b"", 0x89) + frame(payload[50:], 0x80)
        else:
            stream += frame(payload, generator.choice([0x81, 0x82]))
    async with Simulator(espeak=False, pace=0) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        for piece in [bytes(stream)] if seed == 0 else cut_at_random(bytes(stream), generator):
            writer.write(piece)
            await asyncio.sleep(0)
        record = await server.wait_for_session()
        await record.wait_for(lambda record: record.n_received == len(sent))
        writer.close()
        assert [next(iter(message)) for message in record.messages] == [next(iter(message)) for message in sent]
        pieces = [each["realtimeInput"]["audio"] for each in sent if "audio" in each.get("realtimeInput", {})]
        assert bytes(record.audio) == b"".join(base64.b64decode(piece["data"]) for piece in pieces)
        kinds = [[*message["realtimeInput"]] for message in record.messages if "realtimeInput" in message]
        assert kinds == [[*message["realtimeInput"]] for message in sent if "realtimeInput" in message]
        await reader.read(100)
