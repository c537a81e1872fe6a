"""Messages that hold audio and nothing else: recognised by their text, and read as the JSON parser reads them."""

import base64
import json
import random
from typing import Any

import pytest

from gemini_live.wire.audio_message import read_audio_message
from gemini_live.wire.events import AudioChunk
from gemini_live.wire.parse import parse_server_message

DATA = base64.b64encode(bytes(range(256)) * 3).decode()


def build(data: Any = DATA, mime_type: Any = "audio/pcm;rate=24000", **turn: Any) -> Any:
    part = {"inlineData": {"mimeType": mime_type, "data": data}}
    return {"serverContent": {"modelTurn": {"parts": [part], **turn}}}


RECOGNISED = {
    "as most models send it": json.dumps(build()),
    "with a role after the parts": json.dumps(build(role="model")),
    "with a role before the parts": json.dumps(
        {"serverContent": {"modelTurn": {"role": "model", **build()["serverContent"]["modelTurn"]}}}
    ),
    "indented": json.dumps(build(role="model"), indent=2) + "\n",
    "compact": json.dumps(build(), separators=(",", ":")),
    "without a rate": json.dumps(build(mime_type="audio/pcm")),
    "with a rate after a blank": json.dumps(build(mime_type="audio/pcm; rate=16000")),
    "with a rate that is not plausible": json.dumps(build(mime_type="audio/pcm;rate=5")),
}

LEFT = {
    "another type": build(mime_type="audio/ogg"),
    "another spelling": build(mime_type="Audio/PCM;rate=24000"),
    "no audio": build(data=""),
    "bad base64": build(data="AAA"),
    "base64 for URLs": build(data="_-8="),
    "data that is not a string": build(data=5),
    "two parts": {"serverContent": {"modelTurn": {"parts": build()["serverContent"]["modelTurn"]["parts"] * 2}}},
    "words beside it": {"serverContent": {**build()["serverContent"], "outputTranscription": {"text": "Yes."}}},
    "usage beside it": {**build(), "usageMetadata": {}},
    "an unknown field": {**build(), "tomorrow": 1},
    "the user's role": build(role="user"),
}


@pytest.mark.parametrize("text", RECOGNISED.values(), ids=RECOGNISED)
def test_audio_alone_is_recognised_and_read_as_json_is(text: str) -> None:
    events = parse_server_message(text)  # a string is always parsed as JSON
    assert (read_audio_message(text.encode()),) == events == parse_server_message(text.encode())
    assert [type(event) for event in events] == [AudioChunk]


@pytest.mark.parametrize("message", LEFT.values(), ids=LEFT)
def test_any_other_message_is_left_to_the_parser(message: Any) -> None:
    assert read_audio_message(json.dumps(message).encode()) is None


@pytest.mark.parametrize("text", ["", "{}", " " * 9, RECOGNISED["compact"][:-1], RECOGNISED["compact"] + "}", "\x0b"])
def test_what_is_not_whole_is_left_to_the_parser(text: str) -> None:
    assert read_audio_message(text.encode()) is None


def test_a_changed_byte_changes_nothing_but_the_reading_of_the_json_parser() -> None:
    rng = random.Random(1)
    for text in RECOGNISED.values():
        for _ in range(300):
            raw = bytearray(text.encode())
            raw[rng.randrange(len(raw))] = rng.choice(b'\x00\t\n "\\{}[]:,=-_Aa0\x7f\xe9')
            if (chunk := read_audio_message(bytes(raw))) is not None:
                assert parse_server_message(raw.decode()) == (chunk,)
