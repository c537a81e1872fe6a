"""The faults that were seen on the service, as a client meets them."""

import array
from typing import Any

import pytest

from gemini_live.simulator import Simulator
from gemini_live.simulator.faults import CHAOS, END_CAUSES, parse_fault

from .fake_clock import FakeClock
from .peer import Peer, declare, dial, session, setup
from .sounds import SILENCE, spoken

THINKING = "models/gemini-3.8-live-extended-thinking"
LEVEL = {"thinkingConfig": {"thinkingLevel": "LOW"}}


def faulty(*faults: str, **options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, "faults": faults, **options})


async def handle_of(peer: Peer) -> str:
    messages = await peer.until(lambda message: "newHandle" in message.get("sessionResumptionUpdate", {}))
    return str(messages[-1]["sessionResumptionUpdate"]["newHandle"])


async def first_session(server: Simulator, *words: str) -> str:
    """Hold a session that says `words`; return its handle."""
    async with session(server, sessionResumption={}, historyConfig=None) as peer:
        handle = await handle_of(peer)
        for text in words:
            await peer.ask(text)
    await server.sessions[0].wait_for(lambda record: not record.open)
    return handle


async def call_of(peer: Peer) -> dict[str, Any]:
    messages = await peer.until(lambda message: "toolCall" in message)
    call: dict[str, Any] = messages[-1]["toolCall"]["functionCalls"][0]
    return call


async def respond(peer: Peer, call: dict[str, Any]) -> None:
    answer = {"id": call["id"], "name": call["name"], "response": {"output": "done"}}
    await peer.send({"toolResponse": {"functionResponses": [answer]}})


async def test_resumed_session_is_mute_and_hears() -> None:
    async with faulty("mute-resume") as server:
        handle = await first_session(server, "Hello")
        async with session(server, sessionResumption={"handle": handle}) as peer:
            await peer.speak(SILENCE + spoken("Hello there.") + SILENCE)
            await peer.until(lambda message: "inputTranscription" in message.get("serverContent", {}))
            await peer.say("Hello")
            await server.sessions[1].wait_for(lambda record: len(record.turns) == 2)
    assert not any("modelTurn" in message.get("serverContent", {}) for message in server.sessions[1].sent)


async def test_poisoned_handle_fails_for_ever_and_a_fresh_session_works() -> None:
    async with faulty("poisoned-handle") as server:
        handle = await first_session(server)
        for _ in range(2):
            async with dial(server) as peer:
                await peer.send(setup(sessionResumption={"handle": handle}))
                assert await peer.closed() == (1011, "Internal error encountered.")
        async with session(server) as peer:
            assert (await peer.ask("Hello")).words == "Hello"


async def test_history_config_is_refused() -> None:
    seeds = {"historyConfig": {"initialHistoryInClientContent": True}}
    async with faulty("refused-history-config*1") as server:
        async with dial(server) as peer:
            await peer.send(setup(**seeds))
            assert await peer.closed() == (1007, "Request contains an invalid argument.")
        async with session(server, **seeds):
            pass


async def test_resumed_session_has_lost_the_history_that_the_client_gave() -> None:
    async with faulty("lost-seed") as server:
        async with session(server, sessionResumption={}) as peer:
            handle = await handle_of(peer)
            turns = [
                {"role": "user", "parts": [{"text": "I like birches"}]},
                {"role": "model", "parts": [{"text": "So do I"}]},
            ]
            await peer.send({"clientContent": {"turns": turns, "turnComplete": False}})
            assert (await peer.ask("what did I say before?")).words == "You said: I like birches"
        await server.sessions[0].wait_for(lambda record: not record.open)
        async with session(server, sessionResumption={"handle": handle}) as peer:
            assert (await peer.ask("what did I say before?")).words == "You said: what did I say before?"


@pytest.mark.parametrize("cause", END_CAUSES)
async def test_session_ends_with_the_words_of_a_cause(cause: str) -> None:
    async with faulty(f"end:{cause}") as server, session(server) as peer:
        await peer.say("Hello")
        code, reason = await peer.closed()
    assert code == END_CAUSES[cause][0]
    assert reason and END_CAUSES[cause][1].startswith(reason)


async def test_go_away_of_300_s_comes_at_once_and_the_session_goes_on() -> None:
    clock = FakeClock()
    async with faulty("go-away:300@1s", clock=clock) as server, session(server) as peer:
        await clock.waited_on()
        clock.advance(1)
        messages = await peer.until(lambda message: "goAway" in message)
        assert messages[-1] == {"goAway": {"timeLeft": "300s"}}
        clock.advance(290)
        assert (await peer.ask("Hello")).words == "Hello"
        clock.advance(10)
        assert (await peer.closed())[0] == 1008


async def test_ignored_text_has_no_output_and_the_next_is_answered() -> None:
    async with faulty("ignored-text@turn1") as server, session(server) as peer:
        await peer.say("lost")
        await server.sessions[0].wait_for(lambda record: len(record.turns) == 1)
        assert [turn.words for turn in [await peer.ask("Hello")]] == ["Hello"]
    assert [turn.complete for turn in server.sessions[0].turns] == [False, True]


async def test_rejected_turn_has_a_reason_and_nothing_else() -> None:
    async with faulty("rejected") as server, session(server) as peer:
        assert (await peer.ask("Hello")).contents == [{"turnComplete": True, "turnCompleteReason": "RESPONSE_REJECTED"}]


async def test_empty_turn_comes_between_a_result_and_its_answer() -> None:
    async with faulty("empty-after-result") as server, session(server, tools=declare("f", behavior=None)) as peer:
        await peer.say("call f()")
        call = await call_of(peer)
        await peer.turn()
        await respond(peer, call)
        empty, answer = await peer.turn(), await peer.turn()
    assert [sorted(content) for content in empty.contents] == [["turnComplete"]]
    assert answer.words == "f returned done"


async def test_stray_text_is_neither_spoken_nor_marked_as_a_thought() -> None:
    async with faulty("stray-text") as server, session(server) as peer:
        turn = await peer.ask("Hello")
    assert turn.text and turn.text not in turn.words
    assert turn.words == "Hello"


async def test_sentence_is_said_three_times() -> None:
    async with faulty("repeated-sentence") as server, session(server) as peer:
        assert (await peer.ask("Hello there.")).words == "Hello there. Hello there. Hello there."


async def test_sound_is_as_long_as_ever_and_nearly_silent() -> None:
    async with faulty("near-silent@turn2") as server, session(server) as peer:
        loud, quiet = await peer.ask("Hello there."), await peer.ask("Hello there.")
    # Either may begin with a part of 2 bytes.
    assert abs(len(quiet.audio) - len(loud.audio)) <= 2
    assert max(array.array("h", quiet.audio)) < 10 < max(array.array("h", loud.audio))


async def test_filler_ends_without_a_status_and_the_call_comes_2_s_later() -> None:
    clock = FakeClock()
    tools = declare("f", behavior="NON_BLOCKING")
    async with (
        faulty("filler-without-status", clock=clock) as server,
        session(server, model=THINKING, generationConfig=LEVEL, tools=tools) as peer,
    ):
        await peer.say("call f()")
        filler = await peer.turn()
        assert filler.contents[-1] == {"turnComplete": True}
        await clock.waited_on()
        assert not server.sessions[0].calls
        clock.advance(2)
        await respond(peer, await call_of(peer))
        assert (await peer.turn()).contents[-1]["interactionStatus"] == "IDLE"


async def test_call_is_made_again_after_its_answer() -> None:
    async with faulty("repeated-call") as server, session(server, tools=declare("f")) as peer:
        await peer.say("call f()")
        first = await call_of(peer)
        await respond(peer, first)
        again = await call_of(peer)
        assert again["name"] == first["name"] and again["id"] != first["id"]
        await respond(peer, again)
        assert (await peer.turn()).words == "f returned done. f returned done"


def test_chaos_chooses_only_what_a_client_can_survive() -> None:
    names = {parse_fault(spec).kind.name for spec in CHAOS}
    assert not names & {"end", "poisoned-handle", "mute-resume", "ignored-text", "rejected", "no-answer", "silence"}
