"""Foreign clients fell over these: each with that client's own messages."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect

from gemini_live.simulator import Simulator, opening

from .fake_clock import FakeClock
from .peer import ON_TIME, declare, dial, session, setup
from .sounds import SILENCE, spoken

NEWEST, OLDER = "models/gemini-3.8-live", "models/gemini-3.1-flash-live-preview"
OLDEST = "models/gemini-2.5-flash-native-audio-latest"


def quick(**options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, "seed": ON_TIME, **options})


@pytest.mark.parametrize("model", [NEWEST, OLDER, OLDEST])
async def test_adk_for_javascript_sends_affective_dialog_false(model: str) -> None:
    generation = {"responseModalities": ["AUDIO"], "enableAffectiveDialog": False}
    async with quick() as server, session(server, model=model, generationConfig=generation) as peer:
        assert (await peer.ask("Hello")).words.strip() == "Hello"
    assert server.mistakes == []


@pytest.mark.parametrize(("model", "answered"), [(NEWEST, False), (OLDER, False), (OLDEST, True)])
async def test_pipecat_seeds_with_history_config(model: str, answered: bool) -> None:
    history = {"initialHistoryInClientContent": True}
    async with quick() as server, session(server, model=model, historyConfig=history) as peer:
        await peer.content("My name is Ada")
        if answered:
            assert (await peer.turn()).words.strip() == "My name is Ada"
        assert "Ada" in (await peer.ask("what did I say before?")).words
    assert [len(record.turns) for record in server.sessions] == [2 if answered else 1]
    assert bool(server.sessions[0].notes) == answered
    assert server.mistakes == []


@pytest.mark.parametrize("answer_first", [False, True])
async def test_adk_waits_for_turn_complete_while_a_2_5_call_is_open(answer_first: bool) -> None:
    clock = FakeClock()
    async with quick(clock=clock) as server, session(server, model=OLDEST, tools=declare("f", behavior=None)) as peer:
        await peer.say("call f()")
        (call,) = (await peer.until(lambda m: "toolCall" in m))[-1]["toolCall"]["functionCalls"]
        answer = {"functionResponses": [{"id": call["id"], "name": "f", "response": {"output": "4 C"}}]}
        if not answer_first:
            await clock.waited_on()
            clock.advance(0.2)
            assert (await peer.receive())["serverContent"] == {"turnComplete": True}
        await peer.send({"toolResponse": answer})
        assert (await peer.turn()).words.strip() == "f returned 4 C"
    assert server.mistakes == []


async def test_livekit_ends_push_to_talk_with_an_empty_client_content() -> None:
    detection = {"automaticActivityDetection": {"disabled": True}}
    async with quick(pace=1) as server, session(server, realtimeInputConfig=detection) as peer:
        await peer.send({"realtimeInput": {"activityStart": {}}})
        await peer.speak(SILENCE + spoken())
        await peer.send({"realtimeInput": {"activityEnd": {}}})
        await peer.send({"clientContent": {"turnComplete": True}})
        turn = await peer.turn()
        assert turn.audio and not turn.has("interrupted")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await peer.turn()
    assert len(server.sessions[0].turns) == 1


@pytest.mark.parametrize(("model", "closed"), [(NEWEST, False), (OLDER, True)])
async def test_mastra_sends_media_chunks(model: str, closed: bool) -> None:
    async with quick() as server, session(server, model=model) as peer:
        await peer.send({"realtimeInput": {"mediaChunks": [{"mimeType": "audio/pcm;rate=16000", "data": "AAAA"}]}})
        if closed:
            assert (await peer.closed())[0] == 1007
        else:
            assert (await peer.ask("Hello")).words.strip() == "Hello"
    assert any("mediaChunks" in words or "media_chunks" in words for words in server.mistakes)


async def test_js_sdk_reconnects_before_its_old_connection_is_gone() -> None:
    async with quick() as server, dial(server) as old:
        await old.send(setup(sessionResumption={}))
        update = (await old.until(lambda message: "sessionResumptionUpdate" in message))[-1]
        handle = update["sessionResumptionUpdate"]["newHandle"]
        # A close frame, and the TCP connection stays: nobody reads the server's answer to it.
        old.websocket.transport.pause_reading()
        closing = asyncio.create_task(old.websocket.close())
        async with dial(server) as new:
            await new.send(setup(sessionResumption={"handle": handle}))
            assert await new.receive() == {"setupComplete": {}}
        old.websocket.transport.abort()
        await closing
    assert server.sessions[1].resumed_from == 1


async def test_adk_streams_results_without_will_continue() -> None:
    async with quick() as server, session(server, tools=declare("watch", behavior="NON_BLOCKING")) as peer:
        await peer.say("call watch()")
        (call,) = (await peer.turn()).calls
        for text in ("one", "two"):
            response = {"id": call["id"], "name": "watch", "response": {"output": text}}
            await peer.send({"toolResponse": {"functionResponses": [response]}})
            assert (await peer.turn()).words.strip() == f"watch returned {text}"
    assert [words for words in server.mistakes if "again" in words]


async def test_error_with_its_code_at_the_top_is_what_the_python_sdk_understands() -> None:
    async with quick(faults=["flat-error:503:Overloaded@turn1"]) as server, session(server) as peer:
        peer.strict = False
        await peer.say("Hello there my friend")
        error = (await peer.until(lambda message: "code" in message))[-1]
    assert error == {"code": 503, "message": "Overloaded", "status": "INTERNAL"}


async def test_connection_without_a_setup_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "SETUP_S", 0.05)
    async with quick() as server, connect(server.socket_url) as websocket:
        await websocket.wait_closed()
        assert websocket.close_code == 1008
    assert server.mistakes == ["sent no setup within 0.05 s"]
