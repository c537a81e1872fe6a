"""Replays recordings of the real service through parser, dispatcher and conversation, at the recorded times."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gemini_live.conversation.outcomes import LateWords, Unfinished, UserSaid

from .client import Client, sound

FOLDER = Path(__file__).parents[3] / "shared" / "recordings"
STEP_S = 0.03
"""Between messages of recordings without times."""
END_S = 40.0
"""How long the client waits after the last message."""


def replay(path: Path) -> dict[str, Any]:
    """Return what a client writes that receives what a recording's client received, and its exit code."""
    lines = list(_read(path))
    setup: dict[str, Any] = next((line["message"]["setup"] for line in lines if "setup" in line.get("message", {})), {})
    client = Client(
        setup.get("model", "").rsplit("/", 1)[-1],
        has_functions="tools" in setup,
        shows_user_words="inputAudioTranscription" in setup,
        speaks_answers="outputAudioTranscription" in setup,
    )
    began_s = client.now_s
    for line in lines:
        at_s = line["at"] if line.get("at") is not None else client.now_s - began_s + STEP_S
        client.wait(max(0.0, began_s + at_s - client.now_s))
        message = line.get("message")
        if message is None:
            continue
        if line["direction"] == "received":
            client.receive(_with_sound(message, client.model.observed.audio_message_s))
        else:
            _send(client, message)
    client.end_inputs()
    if client.conversation.hears_user:
        client.end_audio()
    client.wait(END_S)
    client.dispatcher.apply(client.conversation.finish())
    client.dispatcher.apply(client.conversation.unfinished())
    return {
        "user": [item.text for item in client.written if isinstance(item, UserSaid)],
        "answers": client.answers,
        "late": [item.text for item in client.written if isinstance(item, LateWords)],
        "unfinished": [item.text for item in client.written if isinstance(item, Unfinished)],
        "warnings": client.warnings,
        "exit_code": client.exit_code,
    }


def _read(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if isinstance(entry.get("message", {}), dict):
            yield entry


def _with_sound(value: Any, seconds: float) -> Any:
    """Return a message with silence in place of the sound that the recording leaves out."""
    if isinstance(value, dict) and "inlineData" in value:
        return sound(seconds)
    if isinstance(value, dict):
        return {key: _with_sound(item, seconds) for key, item in value.items()}
    return [_with_sound(item, seconds) for item in value] if isinstance(value, list) else value


def _send(client: Client, message: dict[str, Any]) -> None:
    """Do what the recording's client did; older recordings spell the names with underscores."""
    for name, value in message.items():
        match name.replace("_", "").lower():
            case "clientcontent" if value.get("turnComplete", value.get("turn_complete", True)):
                client.enter(" ".join(_texts(value)) or "(no text)")
            case "realtimeinput" if "text" in value:
                client.enter(value["text"])
            case "realtimeinput" if "audio" in value or "mediaChunks" in value or "media_chunks" in value:
                client.speak(is_detected=False)
            case "toolresponse":
                for response in value.get("functionResponses", value.get("function_responses", [])):
                    client.finish_call(response.get("id", ""))


def _texts(content: dict[str, Any]) -> list[str]:
    turns = content.get("turns", [])
    last = turns[-1] if isinstance(turns, list) and turns else {}
    return [part["text"] for part in last.get("parts", []) if "text" in part]
