"""Whatever a client sends, the simulator answers it or closes: it never fails."""

import asyncio
import base64
import json
import logging
import random
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gemini_live.models import MODELS
from gemini_live.simulator import Simulator

from ..output.samples import NASTY
from ..random_messages import mutate_bytes, mutate_tree
from . import generate_schema
from .peer import dial

SCHEMA = generate_schema.build_schema()
FAVOURITES = {"model", "role", "parts", "text", "turns", "turnComplete", "functionDeclarations", "tools", "name", "id"}
VALUES: dict[str, list[Any]] = {
    "string": [
        "",
        "user",
        "model",
        "call f()",
        "call f",
        "Please count to 3",
        "what did I say before?",
        "f",
        "audio/pcm;rate=1",
        "image/png",
        *(NASTY, "\ud800", "say \udfff", "\u202e\x1b]0;title\x07", "x" * 20_000, "../../etc/passwd", "0" * 400),
    ],
    "int": [0, -1, 5, "7", 2**31 - 1, 2**40, 2**63 - 1, 1e30, "1e30", -(2**31)],
    "number": [0, -1.5, "2", 1e300, -1e-300, "NaN", "Infinity"],
    "bool": [True, False],
    "bytes": ["", "AAAA", "_9g", base64.b64encode(bytes(2000)).decode()],
    "any": [
        *(None, True, 5, [], {}, {"a": [1]}, "x", {"type": "object", "properties": {"x": True}, "required": ["x", 5]}),
        *(
            {"type": "string", "enum": {"a": 1}},
            {"$ref": "#"},
            {"type": "array", "minItems": 1e30, "items": {"$ref": "#"}},
        ),
        *({"pattern": "(a+)+$", "minLength": "x"}, {"type": "integer", "minimum": 1e300, "multipleOf": 1e-300}),
    ],
    "struct": [{}, {"output": 1}, {"error": "x", "scheduling": "SILENT"}, {"output": {"deep": [None]}}],
}


def random_value(rng: random.Random, kind: str, depth: int) -> Any:
    if kind.startswith("[]"):
        return [random_value(rng, kind[2:], depth + 1) for _ in range(rng.choice((0, 1, 1, 2)))]
    if kind.startswith("map:"):
        return {
            name: random_value(rng, kind[4:], depth + 1) for name in rng.sample(["a", "b_c", "dE"], rng.randrange(3))
        }
    if kind.startswith("enum:"):
        return rng.choice(SCHEMA["enums"][kind[5:]])
    if kind in VALUES:
        return rng.choice(VALUES[kind])
    return random_message(rng, kind, depth + 1)


def random_message(rng: random.Random, name: str, depth: int = 0) -> dict[str, Any]:
    fields = SCHEMA["messages"][name]
    chance = 0.25 / (1 + depth)
    chosen = {field: kind for field, kind in fields.items() if rng.random() < (0.7 if field in FAVOURITES else chance)}
    return {field: random_value(rng, kind, depth) for field, kind in chosen.items()} if depth < 7 else {}


def random_client_message(rng: random.Random) -> dict[str, Any]:
    """One valid message, of any kind but a setup."""
    name = rng.choice(["clientContent", "realtimeInput", "realtimeInput", "toolResponse", "contextUpdate"])
    kind = SCHEMA["messages"]["LiveClientMessage"][name]
    if name == "realtimeInput":
        field = rng.choice(list(SCHEMA["messages"][kind]))
        return {name: {field: random_value(rng, SCHEMA["messages"][kind][field], 1)}}
    return {name: random_message(rng, kind)}


def random_setup(rng: random.Random) -> dict[str, Any]:
    setup: dict[str, Any] = {}
    if rng.random() < 0.3:
        setup = random_message(rng, "LiveClientSetup")
    functions: list[dict[str, Any]] = [
        {"name": "f", "behavior": rng.choice(["BLOCKING", "NON_BLOCKING", "UNSPECIFIED"])}
    ]
    if rng.random() < 0.3:
        functions[0]["parametersJsonSchema"] = random_value(rng, "any", 0)
    elif rng.random() < 0.3:
        functions[0]["parameters"] = random_message(rng, "Schema", 1)
    if rng.random() < 0.3:
        setup["realtimeInputConfig"] = {"automaticActivityDetection": random_message(rng, "AutomaticActivityDetection")}
    if rng.random() < 0.3:
        setup["sessionResumption"] = {}
    return {
        "setup": {
            **setup,
            "model": f"models/{rng.choice(list(MODELS))}",
            "tools": [{"functionDeclarations": functions}],
        }
    }


@pytest.mark.parametrize("seed", range(3))
async def test_any_sequence_of_messages_is_answered_or_refused(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    rng = random.Random(seed)
    n_open = 0
    async with Simulator(pace=0, espeak=False, seed=seed) as server:
        for _ in range(40):
            try:
                async with dial(server) as peer:
                    setup = random_setup(rng)
                    await peer.send(mutate_tree(rng, setup) if rng.random() < 0.1 else setup)
                    reading = asyncio.create_task(peer.closed())
                    for _ in range(rng.randrange(12)):
                        message = random_client_message(rng)
                        if rng.random() < 0.1:
                            message = mutate_tree(rng, message)
                        text = json.dumps(message)
                        if rng.random() < 0.05:
                            text = text[: rng.randrange(len(text))]
                        await peer.websocket.send(text if rng.random() < 0.9 else mutate_bytes(rng, text.encode()))
                    # What the server still has to say about these comes before the answer to a closing handshake.
                    await peer.websocket.close()
                    await reading
            except ConnectionClosed:
                pass
        await asyncio.gather(*(record.wait_for(lambda record: not record.open) for record in server.sessions))
    n_open = sum(record.n_sent > 0 for record in server.sessions)
    assert n_open > 5
    assert {record.close_code for record in server.sessions} <= {1000, 1007, 1008, 1011}
    assert [record.getMessage() for record in caplog.records] == []
    # The only 1011 of the service's own is that of an unfinished session; here it would be a failure of ours.
    assert not [record for record in server.sessions if record.close_code == 1011]
