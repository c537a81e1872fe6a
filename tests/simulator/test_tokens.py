"""tokens.py: what a token is minted with, and what a session with it may do."""

import asyncio
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gemini_live.simulator import Simulator

from .fake_clock import FakeClock
from .peer import dial, setup, socket_url

CONSTRAINED = "BidiGenerateContentConstrained"
SPENT, EXPIRED = (1011, "Token has been used too many times"), (1011, "Token has expired")


def quick(**options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, "key": "k-of-test", **options})


async def mint(server: Simulator, version: str = "v1alpha", key: str = "k-of-test", **fields: Any) -> Any:
    """The resource of a new token, or status and message of the refusal."""

    def post() -> Any:
        headers = {"x-goog-api-key": key, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{server.url}/{version}/auth_tokens", json.dumps(fields).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["error"]["message"]

    return await asyncio.to_thread(post)


async def begin(server: Simulator, token: dict[str, str], **fields: Any) -> Any:
    """What the server answers to a setup: a message, or code and reason of its close."""
    url = socket_url(server, "v1alpha", CONSTRAINED, f"?access_token={token['name']}")
    async with dial(server, url) as peer:
        await peer.send(setup(**fields))
        try:
            return await peer.receive()
        except ConnectionClosed:
            return await peer.closed()


@pytest.mark.parametrize("version", ["v1alpha", "v1beta"])
async def test_token_is_minted_with_the_key_and_opens_as_many_sessions_as_it_says(version: str) -> None:
    async with quick() as server:
        token = await mint(server, version, uses=2)
        assert token.keys() == {"name"} and token["name"].startswith("auth_tokens/")
        assert [await begin(server, token) for _ in range(3)] == [{"setupComplete": {}}] * 2 + [SPENT]
        assert await begin(server, await mint(server)) == {"setupComplete": {}}
        unlimited = await mint(server, uses=0)
        assert [await begin(server, unlimited) for _ in range(3)] == [{"setupComplete": {}}] * 3
        assert (await mint(server, key="wrong"))[0] == 400
        assert (await mint(server, key=""))[0] == 403
        assert (await begin(server, {"name": "auth_tokens/unknown"}))[0] == 1007
        assert token["name"].removeprefix("auth_tokens/") not in repr(server.sessions)


async def test_resuming_does_not_count_as_a_use() -> None:
    async with quick() as server:
        token = await mint(server)
        url = socket_url(server, "v1alpha", CONSTRAINED, f"?access_token={token['name']}")
        async with dial(server, url) as peer:
            await peer.send(setup(sessionResumption={}))
            update = (await peer.until(lambda message: "sessionResumptionUpdate" in message))[-1]
        handle = update["sessionResumptionUpdate"]["newHandle"]
        assert await begin(server, token, sessionResumption={"handle": handle}) == {"setupComplete": {}}
        assert server.sessions[1].resumed_from == 1
        assert await begin(server, token) == SPENT


async def test_token_expires_for_new_sessions_and_then_for_all() -> None:
    clock = FakeClock()
    async with quick(clock=clock) as server:
        token = await mint(server, uses=0)
        clock.advance(61)
        assert await begin(server, token) == EXPIRED
        later = datetime.now(UTC) + timedelta(minutes=5)
        token = await mint(server, uses=0, newSessionExpireTime=later.isoformat())
        clock.advance(61)
        url = socket_url(server, "v1alpha", CONSTRAINED, f"?access_token={token['name']}")
        async with dial(server, url) as peer:
            await peer.send(setup())
            assert await peer.receive() == {"setupComplete": {}}
            await clock.waited_on()
            clock.advance(30 * 60)
            assert await peer.closed() == (1011, "auth token has expired")
        assert await begin(server, token) == EXPIRED


@pytest.mark.parametrize(
    ("fields", "effective"),
    [
        # Without a mask the token's setup replaces the client's.
        ({}, {"model": "models/gemini-3.1-flash-live-preview", "generationConfig": {"temperature": 0.5}}),
        (
            {"fieldMask": "model"},
            {"model": "models/gemini-3.1-flash-live-preview", "generationConfig": {"temperature": 1.0, "topK": 3}},
        ),
        (
            {"field_mask": "generation_config.temperature,generationConfig.topK,sessionResumption"},
            {"model": "models/gemini-3.8-live", "generationConfig": {"temperature": 0.5}},
        ),
    ],
)
async def test_token_overrides_the_setup(fields: dict[str, Any], effective: dict[str, Any]) -> None:
    fixed = {"model": "models/gemini-3.1-flash-live-preview", "generation_config": {"temperature": 0.5}}
    async with quick() as server:
        token = await mint(server, bidiGenerateContentSetup=fixed, **fields)
        own = {"generationConfig": {"temperature": 1.0, "topK": 3}}
        answer = await begin(server, token, **own, inputAudioTranscription=None, outputAudioTranscription=None)
        assert answer == {"setupComplete": {}}
    assert server.sessions[0].setup == effective


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"liveConnectConstraints": {}}, "Unknown name \"liveConnectConstraints\" at 'auth_token': Cannot find field."),
    ({"uses": -1}, "Invalid value at 'auth_token.uses'"),
    ({"uses": "many"}, "Invalid value at 'auth_token.uses'"),
    ({"expireTime": "tomorrow"}, "Invalid value at 'auth_token.expire_time'"),
    ({"expireTime": "2026-01-01T00:00:00"}, "Invalid value at 'auth_token.expire_time'"),
    ({"expireTime": 5}, "Invalid value at 'auth_token.expire_time'"),
    ({"expireTime": "2020-01-01T00:00:00Z"}, "expire_time must be in the future"),
    ({"newSessionExpireTime": "9999-01-01T00:00:00Z"}, "new_session_expire_time is too far in the future. Maximum lif"),
    ({"fieldMask": ["model"]}, "Invalid value at 'auth_token.field_mask'"),
    ({"bidiGenerateContentSetup": {"nonsense": 1}}, 'Unknown name "nonsense" at \'auth_token.bidi_generate_content'),
]


@pytest.mark.parametrize(("fields", "words"), WRONG)
async def test_wrong_wishes_are_refused(fields: dict[str, Any], words: str) -> None:
    async with quick() as server:
        status, message = await mint(server, **fields)
    assert status == 400 and words in message


async def test_a_token_is_no_key() -> None:
    async with Simulator(pace=0) as server:
        token = await mint(server)
        async with dial(server, socket_url(server, query=f"?key={token['name']}")) as peer:
            await peer.send(setup())
            assert (await peer.closed())[0] == 1007


async def test_tokens_and_handles_are_secret_unless_a_seed_is_given() -> None:
    names = []
    for seed in (None, None, 7, 7):
        async with quick(seed=seed) as server:
            names.append((await mint(server))["name"])
    assert len(set(names[:3])) == 3 and names[2] == names[3]
