"""Compares the simulator with recordings of the service: the same client messages, the same shapes, in the same order.

The recordings lie beside the checkout where there are any; elsewhere these tests are skipped. A shape is the set of
keys of a message at each depth. Of each turn the shapes are compared in the order in which they first appear, so that
runs count once: how many messages carry an answer is chance.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gemini_live.models import MODELS
from gemini_live.simulator import Simulator

from .peer import Peer, dial
from .sounds import SILENCE, spoken

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
NAMES = sorted(path.name for path in RECORDINGS.glob("*.jsonl")) if RECORDINGS.is_dir() else []


def without_response(shape: str) -> str:
    """Return a shape without the tokens of the response."""
    return "".join(f"{key} " for key in shape.split() if not key.startswith("usageMetadata.response"))


def unchanged(shape: str) -> str:
    return shape


def only_its_name(shape: str) -> str:
    return "groundingMetadata" if "groundingMetadata" in shape else shape


def without_activity(shape: str) -> str:
    return "" if shape.startswith("voiceActivity") else shape


def without_answer(shape: str) -> str:
    return "" if "Transcription" in shape or "modelTurn" in shape else without_response(shape)


NOT_SIMULATED = {
    "js-genai": "models that were shut down, and recordings that stop in mid answer",
    "vertex": "another service",
    "gateway": "another service",
    "test_gateway_gemini": "another service",
    "test_audio_tool_round_parity": "the simulated model calls no function when it is asked to by voice",
    "test_continuous_microphone_conversation_parity": "the same, in the second of three turns",
    "test_handle_barge_in_over_live_speech": "a burst of speech arrives after the whole answer was sent",
}
"""Recordings (or parts of their names) that the simulator does not answer, each with the reason."""

MEANT: dict[str, tuple[str, Callable[[str], str]]] = {
    "test_tool_result_image-True-gemini-3.8-live": (
        "the tokens of a call are not counted: responseTokenCount",
        without_response,
    ),
    "test_image_then_spoken_question-gemini-3.8-live": (
        "one spoken turn of 3.8 had no voiceActivity; the others have it",
        without_activity,
    ),
    "test_parity_ws__test_history_seeding_parity-google-current": (
        "one answer of 3.1 had words and no sound; the others have it",
        without_answer,
    ),
    "test_web_search_turn": (
        "made-up sources have fewer fields",
        only_its_name,
    ),
}
"""Differences that are meant, by the recording: the reason, and what makes the shapes of both sides equal."""


def reason_to_skip(name: str) -> str:
    return next((reason for part, reason in NOT_SIMULATED.items() if part in name), "")


def shape_of(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each key."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}{key}"
            yield from shape_of(item, f"{path}{key}.")
    elif isinstance(value, list):
        for item in value:
            yield from shape_of(item, path)


def shapes_of(messages: list[dict[str, Any]], name: str) -> list[list[str]]:
    """Return the shapes of each turn, each once. Handles have a test of their own: when they come varies."""
    _, mend = MEANT.get(next((part for part in MEANT if part in name), ""), ("", unchanged))
    turns: list[list[str]] = [[]]
    for message in messages:
        keys = {key for key in shape_of(message) if not key.startswith("toolCall.functionCalls.args.")}
        if "sessionResumptionUpdate" in keys or "setupComplete" in keys:
            continue
        if "2.5" in name or "google_ws" in name or "google-previous" in name:  # which thinks in some turns only
            if "serverContent.modelTurn.parts.thought" in keys:
                continue
            keys -= {"usageMetadata.thoughtsTokenCount"}
        shape = mend("".join(f"{key} " for key in sorted(keys)) or "{}")
        if shape and shape not in turns[-1]:
            turns[-1].append(shape)
        if "turnComplete" in message.get("serverContent", {}):
            turns.append([])
    return [turn for turn in turns if turn]


class Replayed:
    """The client of a recording, which sends to the simulator what it sent to the service."""

    def __init__(self, lines: list[dict[str, Any]], peer: Peer) -> None:
        self.lines, self.peer = lines, peer
        self.received: list[dict[str, Any]] = []
        self.call_ids: list[str] = []
        self._has_sound = False
        """True if the turn in progress has sent sound."""

    async def until(self, key: str) -> None:
        """Receive up to a message with that key, at the top or in its serverContent."""
        found = await self.peer.until(lambda m: key in m or key in m.get("serverContent", {}))
        self.received += found
        for message in found:
            self.call_ids += [call["id"] for call in message.get("toolCall", {}).get("functionCalls", [])]

    async def run(self) -> None:
        spoke, cut = False, False
        for i, line in enumerate(self.lines):
            message = line["message"]
            if line["direction"] == "received":
                content = message.get("serverContent", {})
                begins = "inlineData" in json.dumps(content) and not self._has_sound
                await self._follow(message)
                cut = cut or "interrupted" in content
                if begins or ("turnComplete" in content and not cut):
                    spoke, cut = False, False
                continue
            media = message.get("realtime_input") or message.get("realtimeInput")
            if media is None:
                await self.peer.send(self.revive(message, self._next_call(i)))
            elif "video" in media:
                image = {"data": "AAAA", "mimeType": "image/jpeg"}
                await self.peer.send({"realtimeInput": {"video": image}})
            elif not spoke and self._is_heard(i):
                spoke = True
                await self.peer.speak(SILENCE + spoken() + SILENCE)

    async def _follow(self, message: dict[str, Any]) -> None:
        content = message.get("serverContent", {})
        if "close" in message:
            return
        for key in ("setupComplete", "toolCall"):
            if key in message:
                await self.until(key)
        if "inlineData" in json.dumps(content) and not self._has_sound:
            self._has_sound = True
            await self.until("modelTurn")
        if "turnComplete" in content:
            self._has_sound = False
        for key in ("interrupted", "generationComplete", "turnComplete"):
            if key in content:
                await self.until(key)

    def _is_heard(self, start: int) -> bool:
        """Return True if the service transcribes, before the turn ends, what is sent from here on."""
        for line in self.lines[start:]:
            content = line.get("message", {}).get("serverContent", {})
            if "turnComplete" in content:
                return False
            if "inputTranscription" in content or "interrupted" in content:
                return True
        return False

    def _next_call(self, start: int) -> str:
        """Return the words that ask the simulated model for the call that the recorded one makes next."""
        for line in self.lines[start + 1 :]:
            if line["direction"] == "sent":
                return ""
            for call in line.get("message", {}).get("toolCall", {}).get("functionCalls", []):
                return f" call {call['name']}({json.dumps(call['args'])})"
        return ""

    def revive(self, message: dict[str, Any], call: str = "") -> dict[str, Any]:
        """Return a recorded message as it can be sent: a model of today, sound and pictures, ids of this session."""
        revived: dict[str, Any] = json.loads(json.dumps(message).replace("<44 characters>", "AAAA"))
        if "setup" in revived:
            model = revived["setup"]["model"]
            if model.removeprefix("models/") not in MODELS:
                revived["setup"]["model"] = "models/gemini-2.5-flash-native-audio-latest"
        content = revived.get("client_content")
        if content and call:
            content["turns"][-1]["parts"].append({"text": call})
        for name in ("toolResponse", "tool_response"):
            for response in revived.get(name, {}).get("functionResponses", []):
                response["id"] = self.call_ids.pop(0)
        return revived


def read(name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (RECORDINGS / name).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "direction" in line and "message" in line]


@pytest.mark.skipif(not NAMES, reason="there are no recordings beside this checkout")
@pytest.mark.parametrize("name", NAMES)
async def test_simulator_answers_in_the_shapes_of_a_recording(name: str) -> None:
    if reason := reason_to_skip(name):
        pytest.skip(reason)
    lines = read(name)
    barges_in = any("interrupted" in line["message"].get("serverContent", {}) for line in lines)
    async with Simulator(pace=2 if barges_in else 0, espeak=False) as server, dial(server) as peer:
        client = Replayed(lines, peer)
        if "rejected_config" in name:
            await peer.send(client.revive(lines[0]["message"]))
            assert (await peer.closed())[0] == 1007
            return
        await client.run()
    recorded = [line["message"] for line in lines if line["direction"] == "received"]
    assert shapes_of(client.received, name) == shapes_of(recorded, name)


@pytest.mark.skipif(not NAMES, reason="there are no recordings beside this checkout")
@pytest.mark.parametrize("name", NAMES)
def test_models_send_handles_as_the_table_says(name: str) -> None:
    if (reason_to_skip(name) and "parity" not in name) or "vertex" in name or "gateway" in name:
        pytest.skip("another service")
    lines = read(name)
    model = lines[0]["message"]["setup"]["model"].removeprefix("models/")
    seen = MODELS.get(model, MODELS["gemini-2.5-flash-native-audio-latest"]).observed
    places = [i for i, line in enumerate(lines) if "newHandle" in line["message"].get("sessionResumptionUpdate", {})]
    before = [line["message"] for line in lines[: places[0]]] if places else []
    answered = any(
        "toolResponse" in m or "tool_response" in m or "modelTurn" in m.get("serverContent", {}) for m in before
    )
    match seen.handles.name:
        case "AT_SETUP":
            assert len(places) == 1 and not answered
        case "WHILE_RUNNING":
            assert not places or answered
        case "IF_ASKED":
            assert not places
