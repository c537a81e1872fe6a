"""Builds recordings line by line, in the way that a client, a simulator or a proxy writes them."""

import array
import base64
import json
import math
from pathlib import Path
from typing import Any, Self

from gemini_live.audio.pcm import from_samples
from gemini_live.inspection.analyse import analyse
from gemini_live.inspection.session import Session
from gemini_live.recording.read import read_recording


def tone(seconds: float, rate_hz: int, amplitude: int = 8_000) -> bytes:
    """Return a tone of 440 Hz."""
    step = 2 * math.pi * 440 / rate_hz
    return from_samples(
        array.array("h", (round(amplitude * math.sin(step * i)) for i in range(round(seconds * rate_hz))))
    )


def blob(pcm: bytes, rate_hz: int) -> dict[str, str]:
    return {"mimeType": f"audio/pcm;rate={rate_hz}", "data": base64.b64encode(pcm).decode()}


class Tape:
    """A recording; each method adds an entry at the present time."""

    def __init__(self, *, role: str = "client", model: str = "models/gemini-3.8-live", **setup: Any) -> None:
        self.t_s = 0.0
        self.lines: list[Any] = [
            {
                "format": "gemini-live-recording",
                "version": 1,
                "program": "gemini-live 9",
                "role": role,
                "started_at": "2026-11-28T21:15:00.000000Z",
                "model": model,
                "redacted": False,
                "setup": {"model": model, **setup},
            }
        ]
        self._connection = 0

    def at(self, t_s: float) -> Self:
        self.t_s = t_s
        return self

    def connect(self) -> Self:
        self._connection += 1
        self._add({"type": "connected", "connection": self._connection, "url": "wss://host/path"})
        self.client({"setup": self.lines[0]["setup"]})
        return self.server({"setupComplete": {}})

    def close(self, code: int = 1000, reason: str = "", by: str = "client") -> Self:
        closed = {"type": "closed", "connection": self._connection, "code": code, "reason": reason, "by": by}
        return self._add(closed)

    def client(self, message: dict[str, Any]) -> Self:
        return self._message("client", message)

    def server(self, message: dict[str, Any]) -> Self:
        return self._message("server", message)

    def content(self, **fields: Any) -> Self:
        return self.server({"serverContent": fields})

    def type(self, text: str) -> Self:
        return self.client({"realtimeInput": {"text": text}})

    def heard(self, text: str) -> Self:
        return self.content(inputTranscription={"text": text})

    def words(self, text: str) -> Self:
        return self.content(outputTranscription={"text": text})

    def sound(self, seconds: float, amplitude: int = 8_000, rate_hz: int = 24_000) -> Self:
        part = {"inlineData": blob(tone(seconds, rate_hz, amplitude), rate_hz)}
        return self.content(modelTurn={"parts": [part]})

    def microphone(self, until_s: float, amplitude: int = 0) -> Self:
        """Send chunks of 100 ms until a time."""
        chunk = blob(tone(0.1, 16_000, amplitude), 16_000)
        while self.t_s < until_s - 1e-6:
            self.t_s = round(self.t_s + 0.1, 6)
            self.client({"realtimeInput": {"audio": chunk}})
        return self

    def call(self, name: str, args: dict[str, Any], call_id: str = "c1") -> Self:
        return self.server({"toolCall": {"functionCalls": [{"id": call_id, "name": name, "args": args}]}})

    def result(self, name: str, response: dict[str, Any], call_id: str = "c1") -> Self:
        responses = [{"id": call_id, "name": name, "response": response}]
        return self.client({"toolResponse": {"functionResponses": responses}})

    def local(self, event: str, **facts: Any) -> Self:
        return self._add({"type": "local", "event": event, **facts})

    def usage(self, prompt: int, response: int) -> Self:
        details = [{"modality": "AUDIO", "tokenCount": response}]
        usage = {"promptTokenCount": prompt, "responseTokenCount": response, "responseTokensDetails": details}
        return self.server({"usageMetadata": usage})

    def done(self, **fields: Any) -> Self:
        return self.content(turnComplete=True, **fields)

    def save(self, path: Path) -> Path:
        path.write_text("".join(f"{json.dumps(line)}\n" for line in self.lines))
        return path

    def analyse(self, folder: Path) -> Session:
        return analyse(read_recording(self.save(folder / "tape.jsonl")))

    def _message(self, sender: str, message: dict[str, Any]) -> Self:
        return self._add({"type": "message", "from": sender, "connection": self._connection, "message": message})

    def _add(self, fields: dict[str, Any]) -> Self:
        self.lines.append({"t_s": self.t_s, **fields})
        return self


def conversation(answer: str = "It is sunny in Oslo.", city: str = "Oslo") -> Tape:
    """Return a client's recording of a typed turn with a call, a spoken turn that is interrupted, and a reconnect."""
    tape = Tape().connect()
    tape.at(1.0).type("What is the weather?")
    tape.at(1.5).call("weather", {"city": city})
    tape.at(1.75).local("function_ran", id="c1", name="weather", duration_s=0.25, failed=False)
    tape.at(1.76).result("weather", {"sky": "clear"})
    tape.at(2.0).words(answer).sound(1.0)
    tape.at(2.01).local("first_sound", latency_s=0.04)
    tape.at(2.5).sound(0.5).usage(100, 40)
    tape.at(3.4).done()
    tape.at(4.0).local("speech_began", ago_s=0.1)
    tape.at(5.0).heard("tell me a story")
    tape.at(5.2).local("speech_ended", ago_s=0.2)
    tape.at(5.6).words("Once upon a time").sound(4.0)
    tape.at(5.62).local("first_sound", latency_s=0.04)
    tape.at(7.3).local("speech_began", ago_s=0.3)
    tape.at(7.5).content(interrupted=True)
    tape.at(7.51).local("playback_cleared", discarded_s=2.0)
    tape.at(7.6).done().usage(200, 60)
    tape.at(8.0).local("speech_ended", ago_s=0.2)
    tape.at(8.1).heard("stop")
    tape.at(8.5).close(1011, "overloaded", "server")
    tape.at(8.9).connect()
    tape.at(9.2).words("Stopped.").sound(0.5)
    tape.at(9.22).local("first_sound", latency_s=0.04)
    tape.at(9.9).done().usage(300, 10)
    return tape.at(10.0).close()
