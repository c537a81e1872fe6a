"""How many sessions the simulator serves at once before what it says comes late.

Each session speaks in real time (20 ms chunks: a sentence, a pause, a sentence, ...) and is answered in its own voice,
at real-time pace, while it goes on speaking, so that sound flows both ways all the time. A chunk's lateness is how much
later than its place in the answer it arrives, against the chunk of that answer that came soonest. The server is a
process of its own; this one is a client that does as little as possible, so that what is measured is the server.

    python benchmarks/simulator_capacity.py [--sessions 50 100 150 ...] [--seconds 20]

Prints a line for each number of sessions and stops after the first whose 99th percentile passes 20 ms.
"""

import argparse
import array
import asyncio
import base64
import json
import math
import os
import random
import re
import resource
import sys
import time
from pathlib import Path

LIMIT_S = 0.020
CHUNK_S = 0.02
BURST_S = 0.2
BURST_BYTES = 9_600
_AUDIO = re.compile(rb'"data": ?"([^"]*)"')
RAMP_S = 5.0
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
            self.tick()
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
            self.take(self.buffer[position + header : end], now)
            position = end
        del self.buffer[:position]

    def take(self, payload: bytearray, now: float) -> None:
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

    def tick(self) -> None:
        """Send the next chunk of the microphone, every 20 ms."""
        if self.transport.is_closing():
            return
        self.transport.write(self.microphone[self.position % len(self.microphone)])
        self.position += 1
        self.next_s += CHUNK_S
        asyncio.get_running_loop().call_at(self.next_s, self.tick)


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


async def measure(n_sessions: int, seconds: float, microphone: list[bytes]) -> float:
    """Run one number of sessions, print what it takes, and return the 99th percentile of the lateness in seconds."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gemini_live.simulator", "--port", "0", "--pace", "1"), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    match = re.search(rb"http://([\d.]+):(\d+)", await server.stdout.readline())
    assert match is not None
    loop = asyncio.get_running_loop()
    lateness_s: list[float] = []
    idle_mib = memory_mib(server.pid)
    clients = []
    for i in range(n_sessions):
        offset = i * 37 % len(microphone)
        _, client = await loop.create_connection(
            lambda o=offset: Client(microphone, o, lateness_s), match[1].decode(), int(match[2])
        )
        clients.append(client)
        await asyncio.sleep(RAMP_S / n_sessions)
    await asyncio.sleep(5)
    for client in clients:
        client.arrivals, client.measuring = [], True
    used_s, mine_s, started_s = cpu_s(server.pid), resource.getrusage(resource.RUSAGE_SELF).ru_utime, time.monotonic()
    await asyncio.sleep(seconds)
    elapsed_s = time.monotonic() - started_s
    cpu = (cpu_s(server.pid) - used_s) / elapsed_s
    mine = (resource.getrusage(resource.RUSAGE_SELF).ru_utime - mine_s) / elapsed_s
    mib = memory_mib(server.pid) - idle_mib
    for client in clients:
        client.transport.abort()
    server.terminate()
    await server.communicate()
    lateness_s.sort()
    p50, p99 = (lateness_s[int(len(lateness_s) * share)] for share in (0.5, 0.99))
    print(
        f"{n_sessions:4d} sessions: {len(lateness_s):6d} messages in {sum(c.n_turns for c in clients)} answers, "
        f"late by {p50 * 1000:.1f} ms (median) {p99 * 1000:.1f} ms (p99) {lateness_s[-1] * 1000:.1f} ms (worst); "
        f"server {cpu * 100:.0f} % of a core, {cpu / n_sessions * 100:.2f} % and {mib / n_sessions:.2f} MiB a session; "
        f"client {mine * 100:.0f} %",
        flush=True,
    )
    return p99


def main() -> None:
    parser = argparse.ArgumentParser(description="How many sessions the simulator serves in real time.")
    parser.add_argument("--sessions", type=int, nargs="+", default=[10, 50, 100, 125, 150, 175, 200])
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    microphone = build_microphone(random.Random(1))
    for n_sessions in options.sessions:
        if asyncio.run(measure(n_sessions, options.seconds, microphone)) > LIMIT_S:
            break


if __name__ == "__main__":
    main()
