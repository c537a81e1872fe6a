"""Measure recordings: an hour of conversation recorded and inspected, and what recording costs a session.

python -m benchmarks.recordings hour [FOLDER]     size, memory and time of an hour
python -m benchmarks.recordings cost [SECONDS]    CPU and lag of the loop with and without --record
"""

import array
import asyncio
import base64
import json
import math
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gemini_live.audio.pcm import from_samples
from gemini_live.config import Config
from gemini_live.output.events import Event
from gemini_live.recording.format import Header
from gemini_live.recording.write import Recorder

MEASURED = """
import resource, sys, time
from gemini_live.__main__ import run
began = time.perf_counter()
sys.argv[0] = "gemini-live"
import gemini_live.cli as cli
from gemini_live.process.streams import Streams
import os
code = cli.main(sys.argv[1:], {}, Streams(None, open(os.devnull, "w"), sys.stderr))
used = resource.getrusage(resource.RUSAGE_SELF)
cpu_s, mib = used.ru_utime + used.ru_stime, used.ru_maxrss // 1024
print(f"exit {code}, {time.perf_counter() - began:.2f} s, CPU {cpu_s:.2f} s, {mib} MiB")
"""


def noise(seconds: float, rate_hz: int, amplitude: int) -> str:
    """Return noise with a tone, as base64."""
    step = 2 * math.pi * 220 / rate_hz
    levels = (math.sin(step * i) + random.uniform(-0.2, 0.2) for i in range(round(seconds * rate_hz)))
    return base64.b64encode(from_samples(array.array("h", (round(amplitude * level) for level in levels)))).decode()


def record_hour(path: Path) -> None:
    """Record an hour with the microphone open all the time: a turn every 20 s, half of it speech of the model."""
    now_s = 0.0
    started_at, model = "2026-11-28T21:15:00.000000Z", "models/gemini-3.8-live"
    header = Header(program="benchmark", role="client", started_at=started_at, model=model)
    quiet, loud, speech = noise(0.02, 16_000, 20), noise(0.02, 16_000, 8_000), noise(0.2, 24_000, 8_000)
    recorder = Recorder(path, header=header, force=True, clock=lambda: now_s)
    recorder.connected(1, "wss://host/path")
    recorder.message("server", 1, {"setupComplete": {}})
    cpu_s, began_s = time.process_time(), time.perf_counter()
    for index in range(180_000):
        now_s = index * 0.02
        in_turn_s = index % 1000 / 50
        data = loud if 1 <= in_turn_s < 5 else quiet
        recorder.message("client", 1, _audio("realtimeInput", data))
        if index % 50 == 0:
            recorder.local("microphone_level", dbfs=-30.0)
        if in_turn_s == 1.2:
            recorder.local("speech_began", ago_s=0.2)
        if in_turn_s == 5.2:
            recorder.local("speech_ended", ago_s=0.2)
            heard = {"inputTranscription": {"text": "What about number seven?"}}
            recorder.message("server", 1, {"serverContent": heard})
        if 6 <= in_turn_s < 12 and index % 6 == 0:
            part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": speech}}
            recorder.message("server", 1, {"serverContent": {"modelTurn": {"parts": [part]}}})
            recorder.message("server", 1, {"serverContent": {"outputTranscription": {"text": "some words "}}})
            if in_turn_s < 6.1:
                recorder.local("first_sound", latency_s=0.05)
        if in_turn_s == 17:
            usage = {"promptTokenCount": 1000, "responseTokenCount": 250}
            recorder.message("server", 1, {"serverContent": {"turnComplete": True}, "usageMetadata": usage})
        if index % 5000 == 0:
            recorder.flush(60)
    assert recorder.close(60), recorder.failure
    mib = path.stat().st_size / 2**20
    print(f"recorded: {mib:.0f} MiB; CPU {time.process_time() - cpu_s:.1f} s in {time.perf_counter() - began_s:.1f} s")


def _audio(name: str, data: str) -> str:
    blob = {"mimeType": "audio/pcm;rate=16000", "data": data}
    return json.dumps({name: {"audio": blob}}, separators=(",", ":"))


def measure_hour(folder: Path) -> None:
    """Record an hour, and make everything of it that can be made."""
    path = folder / "hour.jsonl"
    record_hour(path)
    print(f"memory of the recorder: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    for argv in (
        ["inspect", str(path)],
        ["inspect", str(path), "--json"],
        ["diff", str(path), str(path)],
        ["inspect", str(path), "--html", str(folder / "hour.html")],
        ["inspect", str(path), "--wav", str(folder / "hour.wav"), "--force"],
    ):
        done = subprocess.run([sys.executable, "-c", MEASURED, *argv], capture_output=True, text=True, check=True)
        print(" ".join(word for word in argv if "/" not in word), "->", done.stdout.strip())
    print(f"page: {(folder / 'hour.html').stat().st_size / 2**20:.0f} MiB")


class _Silent:
    def emit(self, event: Event) -> None:
        pass


async def measure_session(url: str, seconds: float, record: Path | None) -> dict[str, float]:
    """Hold a session that streams a sound file; return its CPU and the lag of its loop."""
    from gemini_live.session.session import Session  # noqa: PLC0415

    options: dict[str, Any] = {"base_url": url, "api_key": "x" * 20, "text_output": True, "force": True}
    session = Session(Config(**options, record=record, input_file=(Path(sys.argv[-1]),)), _Silent())
    lags: list[float] = []

    async def tick() -> None:
        while True:
            due_s = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - due_s)

    ticking = asyncio.create_task(tick())
    cpu_s = time.process_time()
    try:
        async with asyncio.timeout(seconds):
            await session.run()
    except TimeoutError:
        pass
    cpu_s = time.process_time() - cpu_s
    ticking.cancel()
    lags.sort()
    return {"cpu": cpu_s / seconds, "p50": lags[len(lags) // 2], "p99": lags[len(lags) * 99 // 100], "max": lags[-1]}


def measure_cost(seconds: float) -> None:
    """Hold sessions with and without a recorder, in turn, against a simulator in another process."""
    import wave  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.wav"
        with wave.open(str(sound), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            talk, pause = base64.b64decode(noise(3.0, 16_000, 8_000)), bytes(5 * 32_000)
            file.writeframes((talk + pause) * (int(seconds / 8) + 1))
        sys.argv.append(str(sound))
        command = [sys.executable, "-m", "gemini_live.simulator", "--port", "0", "--pace", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            assert server.stdout is not None
            url = re.findall(r"http://[\d.:]+", server.stdout.readline())[0]
            try:
                for _ in range(2):
                    for record in (None, Path(folder) / "session.jsonl"):
                        found = asyncio.run(measure_session(url, seconds, record))
                        name = "with a recorder" if record else "without"
                        cpu = found.pop("cpu")
                        shown = ", ".join(f"{key} {value * 1000:.2f} ms" for key, value in found.items())
                        print(f"{name:<16} CPU {100 * cpu:.2f} %, lag of the loop {shown}")
            finally:
                server.terminate()


if __name__ == "__main__":
    if sys.argv[1:2] == ["hour"]:
        measure_hour(Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp()))
    else:
        measure_cost(float(sys.argv[2]) if len(sys.argv) > 2 else 20.0)
