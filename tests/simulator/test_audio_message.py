"""audio_message.py: what it recognises it reads as the long way does; what it does not know, it leaves alone."""

import base64
import json
from typing import Any

import pytest

from gemini_live.simulator.audio_message import read_audio_message
from gemini_live.simulator.schema import parse_client_message

PCM = bytes(range(256)) * 2 + b"\xfb\xff\xfe"
DATA = base64.b64encode(PCM).decode()
TYPE = "audio/pcm;rate=16000"


def audio(data: str = DATA, mime_type: str = TYPE) -> dict[str, Any]:
    return {"realtimeInput": {"audio": {"data": data, "mimeType": mime_type}}}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(audio()),
        json.dumps(audio(), indent=2) + "\n",
        json.dumps(audio(), separators=(",", ":")),
        json.dumps({"realtimeInput": {"audio": {"mimeType": TYPE, "data": DATA}}}),
        json.dumps({"realtime_input": {"audio": {"mime_type": TYPE, "data": DATA}}}),
        json.dumps(audio(base64.urlsafe_b64encode(PCM).decode())),
        json.dumps(audio(DATA.rstrip("="))),
        json.dumps(audio(mime_type="audio/pcm")),
    ],
)
def test_a_message_of_audio_is_read_as_the_long_way_does(text: str) -> None:
    assert read_audio_message(text.encode()) == (PCM, parse_type(text))
    assert parse_client_message(text) == parse_client_message(text.encode())  # a str takes the long way


def parse_type(text: str) -> str:
    mime_type: str = parse_client_message(text)["realtimeInput"]["audio"]["mimeType"]
    return mime_type


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(audio("")),
        json.dumps(audio("AA=A")),
        json.dumps(audio("AAAAA")),
        json.dumps(audio("AAA\u00e9")),
        json.dumps(audio(mime_type="video/mp4")),
        json.dumps(audio(mime_type="audio/pcm\n")),
        json.dumps(audio()).replace("audio/pcm", "audio\\/pcm"),
        json.dumps({"realtimeInput": {"audio": {"data": DATA}}}),
        json.dumps({"realtimeInput": {"audio": {"mimeType": TYPE, "data": DATA, "mime_type": TYPE}}}),
        json.dumps({"realtimeInput": {"audio": {"mimeType": TYPE, "data": DATA}, "text": None}}),
        json.dumps({**audio(), "setup": None}),
        json.dumps(audio()) + "}",
        json.dumps(audio())[:-1],
        json.dumps(audio())[: len(DATA)],
        "",
    ],
)
def test_any_other_message_is_left_to_the_long_way(text: str) -> None:
    assert read_audio_message(text.encode()) is None
