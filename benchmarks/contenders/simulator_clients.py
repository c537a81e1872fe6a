"""Many clients of the simulator in one process, each as cheap as possible, so that what is measured is the simulator.

Each session speaks in real time (20 ms chunks: a sentence, a pause, a sentence, ...) and is answered in its own voice,
in real time, while it goes on speaking, so that sound flows both ways all the time. A chunk's lateness is how much
later than its place in the answer it arrives, compared with the chunk of that answer that came soonest.
"""

import array
import asyncio
import base64
import json
import math
import os
import random
import re
import time
from pathlib import Path

from . import run_task

CHUNK_S = 0.02
BURST_S = 0.2
BURST_BYTES = 9_600
_AUDIO = re.compile(rb'"data": ?"([^"]*)"')
RAMP_S, SETTLE_S = 0.025, 2.0
"""Seconds between two sessions that begin, and until the measurement."""
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SETUP = {
    "setup": {
        "model": "models/gemini-3.8-live",
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        "realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"},
    }
}


def build_frame(message: object) -> bytes:
    """Return a text frame, masked with zeros: masking is the client's cost, not the server's saving."""
    payload = json.dumps(message).encode()
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2)
    return b"\x81" + length + bytes(4) + payload


def make_speech(seconds: float, generator: random.Random) -> "array.array[int]":
    """Return something like a spoken sentence: a buzz in syllables, over noise."""
    samples = array.array("h")
    phase = 0.0
    for i in range(round(seconds * 16_000)):
        syllable = max(0.0, math.sin(2 * math.pi * 4 * i / 16_000)) ** 0.5
        phase = (phase + 130 / 16_000) % 1.0
        samples.append(round(9000 * syllable * (1 - 2 * phase) + generator.gauss(0, 40)))
    return samples


def build_microphone(generator: random.Random) -> list[bytes]:
    """Return the frames of a sentence and a pause, to be sent over and over."""
    quiet = array.array("h", (round(generator.gauss(0, 40)) for _ in range(round(1.4 * 16_000))))
    pcm = (make_speech(2.6, generator) + quiet).tobytes()
    frames = []
    for start in range(0, len(pcm) - len(pcm) % 640, 640):
        data = base64.b64encode(pcm[start : start + 640]).decode()
        frames.append(build_frame({"realtimeInput": {"audio": {"data": data, "mimeType": "audio/pcm;rate=16000"}}}))
    return frames


class Client(asyncio.Protocol):
    """One session."""

    def __init__(self, microphone: list[bytes], offset: int, lateness_s: list[float]) -> None:
        """Prepare. `microphone`: the frames to send over and over; empty: the client sends nothing."""
        self.microphone, self.position = microphone, offset
        self.lateness_s = lateness_s
        self.buffer = bytearray()
        self.transport: asyncio.Transport
        self.open = False
        self.measuring = False
        self.arrivals: list[float] = []
        self.n_bytes = 0
        self.n_turns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        transport.write(build_frame(SETUP))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.buffer += data
        if not self.open:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            del self.buffer[: end + 4]
            self.open = True
            self.next_s = now
            if self.microphone:
                self._tick()
        position = 0
        while len(self.buffer) - position >= 2:
            size, header = self.buffer[position + 1] & 127, 2
            if size == 126:
                size, header = int.from_bytes(self.buffer[position + 2 : position + 4]), 4
            elif size == 127:
                size, header = int.from_bytes(self.buffer[position + 2 : position + 10]), 10
            end = position + header + size
            if len(self.buffer) < end:
                break
            self._take(self.buffer[position + header : end], now)
            position = end
        del self.buffer[:position]

    def _take(self, payload: bytearray, now: float) -> None:
        n_bytes = sum(len(data) * 3 // 4 - data.count(b"=") for data in _AUDIO.findall(payload))
        if n_bytes:
            self.arrivals.append(now - self.n_bytes // BURST_BYTES * BURST_S)
            self.n_bytes += n_bytes
        elif b'"turnComplete"' in payload:
            if self.measuring and self.arrivals:
                soonest = min(self.arrivals)
                self.lateness_s += [arrival - soonest for arrival in self.arrivals]
                self.n_turns += 1
            self.arrivals, self.n_bytes = [], 0

    def _tick(self) -> None:
        """Send the next chunk of the microphone, every 20 ms."""
        if self.transport.is_closing():
            return
        self.transport.write(self.microphone[self.position % len(self.microphone)])
        self.position += 1
        self.next_s += CHUNK_S
        asyncio.get_running_loop().call_at(self.next_s, self._tick)


def _cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def talk(address: str, pid: int, sessions: int, seconds: float, speaks: bool = True) -> dict[str, float]:
    """Hold sessions with the simulator of process `pid`; return the lateness of its audio and its CPU a session."""
    host, port = address.split(":")
    loop = asyncio.get_running_loop()
    microphone = build_microphone(random.Random(1)) if speaks else []
    lateness_s: list[float] = []
    clients = []
    for i in range(sessions):
        offset = i * 37 % max(1, len(microphone))
        _, client = await loop.create_connection(
            lambda offset=offset: Client(microphone, offset, lateness_s),  # type: ignore[misc] # known to mypy
            host,
            int(port),
        )
        clients.append(client)
        await asyncio.sleep(RAMP_S)
    await asyncio.sleep(SETTLE_S)
    for client in clients:
        client.arrivals, client.measuring = [], True
    used_s, started_s = _cpu_s(pid), time.monotonic()
    await asyncio.sleep(seconds)
    cpu = (_cpu_s(pid) - used_s) / (time.monotonic() - started_s)
    for client in clients:
        client.transport.abort()
    figures = {"cpu_percent": 100 * cpu / sessions}
    if speaks:
        ordered = sorted(lateness_s)
        figures["late_ms"] = 1000 * ordered[len(ordered) * 99 // 100] if ordered else math.inf
    return figures


if __name__ == "__main__":
    run_task({"talk": talk})
