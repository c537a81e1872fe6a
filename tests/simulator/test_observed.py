"""Each fact about the service that the simulator acts on, with the model that it is a fact about."""

import asyncio
import base64
import itertools
from typing import Any

import pytest

from gemini_live.simulator import Simulator

from .fake_clock import FakeClock
from .peer import MODEL, Peer, declare, dial, session, setup
from .sounds import SILENCE, spoken

MODEL_3_1 = "models/gemini-3.1-flash-live-preview"
MODEL_2_5 = "models/gemini-2.5-flash-native-audio-latest"
THINKING = "models/gemini-3.8-live-extended-thinking"
LEVEL = {"thinkingConfig": {"thinkingLevel": "LOW"}}
NO_THOUGHTS = {"thinkingConfig": {"thinkingBudget": 0}}
END = {"realtimeInput": {"audioStreamEnd": True}}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + (64).to_bytes(4) + (48).to_bytes(4)


def quick(**options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, **options})


def has_audio(message: dict[str, Any]) -> bool:
    return "modelTurn" in message.get("serverContent", {})


async def call_of(peer: Peer) -> dict[str, Any]:
    messages = await peer.until(lambda message: "toolCall" in message)
    call: dict[str, Any] = messages[-1]["toolCall"]["functionCalls"][0]
    return call


async def respond(peer: Peer, call: dict[str, Any], response: dict[str, Any], **extra: Any) -> None:
    answer = {"id": call["id"], "name": call["name"], "response": response, **extra}
    await peer.send({"toolResponse": {"functionResponses": [answer]}})


async def handle_of(peer: Peer) -> str:
    messages = await peer.until(lambda message: "newHandle" in message.get("sessionResumptionUpdate", {}))
    return str(messages[-1]["sessionResumptionUpdate"]["newHandle"])


# Speech.


async def test_end_of_the_stream_ends_nothing_on_3_8_and_the_utterance_merges_with_the_next() -> None:
    async with quick() as server, session(server) as peer:
        await peer.speak(SILENCE + spoken("Hello there."))
        await peer.send(END)
        await peer.speak(spoken("Hello there.") + SILENCE)
        turn = await peer.turn()
    (record,) = server.sessions
    assert record.n_utterances == 1
    assert len(turn.audio) / 48_000 > 1.5 * len(spoken("Hello there.")) / 32_000


@pytest.mark.parametrize("model", [MODEL_3_1, MODEL_2_5])
async def test_end_of_the_stream_ends_the_turn_of_others(model: str) -> None:
    async with quick() as server, session(server, model=model) as peer:
        await peer.speak(SILENCE + spoken("Hello there."))
        await peer.send(END)
        assert (await peer.turn()).heard.strip().startswith("(speech, ")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (MODEL, ["ACTIVITY_START", "words", "ACTIVITY_END", "{}", "content", "{}", "sound"]),
        (MODEL_3_1, ["ACTIVITY_START", "words", "ACTIVITY_END", "content", "content", "content", "sound"]),
        (MODEL_2_5, ["words", "words", "words", "sound"]),
    ],
)
async def test_a_spoken_turn_begins_in_the_order_of_the_recordings(model: str, expected: list[str]) -> None:
    generation = NO_THOUGHTS if model == MODEL_2_5 else None
    async with (
        quick() as server,
        session(server, model=model, generationConfig=generation, outputAudioTranscription=None) as peer,
    ):
        await peer.speak(SILENCE + spoken("Hello there.") + SILENCE)
        messages = await peer.until(has_audio)
    kinds = [kind_of(message) for message in messages if "sessionResumptionUpdate" not in message]
    assert kinds == expected


def kind_of(message: dict[str, Any]) -> str:
    if "voiceActivity" in message:
        return str(message["voiceActivity"]["type"])
    content = message.get("serverContent")
    if content is None:
        return "{}"
    return "words" if "inputTranscription" in content else "sound" if "modelTurn" in content else "content"


@pytest.mark.parametrize(("model", "unasked"), [(MODEL, True), (MODEL_3_1, True), (MODEL_2_5, False)])
async def test_user_s_words_come_unasked_on_the_third_generation(model: str, unasked: bool) -> None:
    async with quick() as server, session(server, model=model, inputAudioTranscription=None) as peer:
        await peer.speak(SILENCE + spoken("Hello there.") + SILENCE)
        assert bool((await peer.turn()).heard) is unasked


async def test_words_of_2_5_come_during_the_speech_and_break_inside_words() -> None:
    async with quick() as server, session(server, model=MODEL_2_5) as peer:
        await peer.speak(SILENCE + spoken("Hello there."))
        first, second = await peer.receive(), await peer.receive()
        assert server.sessions[0].n_utterances == 0
        await peer.speak(SILENCE)
        turn = await peer.turn()
    early = [message["serverContent"]["inputTranscription"]["text"] for message in (first, second)]
    assert "".join(early) + turn.heard == f" {server.sessions[0].turns[0].asked}"
    assert not early[0].endswith(" ") and not early[1].startswith(" ")


async def test_typed_text_is_echoed_on_3_1_before_its_answer() -> None:
    async with quick() as server:
        async with session(server, model=MODEL_3_1) as peer:
            turn = await peer.ask("Hello there")
            assert turn.heard.strip() == "Hello there"
            assert has_audio(turn.messages[-3]) and "inputTranscription" in turn.contents[0]
        async with session(server) as peer:
            assert not (await peer.ask("Hello there")).heard


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (MODEL, ["ACTIVITY_START", "interrupted"]),
        (MODEL_3_1, ["ACTIVITY_START", "interrupted"]),
        (MODEL_2_5, ["interrupted"]),
    ],
)
async def test_speech_that_cuts_off_is_announced_first(model: str, expected: list[str]) -> None:
    async with Simulator(pace=1, espeak=False) as server, session(server, model=model) as peer:
        await peer.content("count to 500")
        await peer.until(has_audio)
        await peer.speak(SILENCE + spoken("Stop it."))
        cut = await peer.turn()
    seen = [
        message["voiceActivity"]["type"] if "voiceActivity" in message else "interrupted"
        for message in cut.messages
        if "voiceActivity" in message or "interrupted" in message.get("serverContent", {})
    ]
    assert seen == expected
    assert not cut.has("generationComplete") and not cut.heard
    assert sorted(cut.contents[-1]) == ["turnComplete"]


# What cuts an answer off.


@pytest.mark.parametrize(("model", "cuts"), [(MODEL, True), (MODEL_3_1, True), (MODEL_2_5, False)])
async def test_content_in_mid_answer_cuts_or_waits(model: str, cuts: bool) -> None:
    async with Simulator(pace=20, espeak=False) as server, session(server, model=model) as peer:
        await peer.content("count to 8")
        await peer.until(has_audio)
        await peer.content("stop")
        first, second = await peer.turn(), await peer.turn()
    assert first.has("interrupted") is cuts
    assert first.has("generationComplete") is not cuts
    assert second.words == "stop"


async def test_new_input_cancels_an_open_call_of_3_1() -> None:
    async with quick() as server, session(server, model=MODEL_3_1, tools=declare("f")) as peer:
        await peer.say("call f()")
        call = await call_of(peer)
        await peer.content("never mind")
        cut = await peer.turn()
        assert {"toolCallCancellation": {"ids": [call["id"]]}} in cut.messages
        assert (await peer.turn()).words == "never mind"


async def test_3_8_makes_an_unanswered_call_again_at_the_next_input() -> None:
    async with quick() as server, session(server, tools=declare("f")) as peer:
        await peer.say("call f()")
        first = await call_of(peer)
        for _ in range(2):
            await peer.say("never mind")
            cut = await peer.turn()
            assert cut.has("interrupted") and not cut.has("toolCallCancellation")
            again = await call_of(peer)
            assert (again["name"], again["args"]) == (first["name"], first["args"]) and again["id"] != first["id"]
        await respond(peer, again, {"output": "done"})
        assert (await peer.turn()).words == "f returned done"


async def test_2_5_answers_nothing_while_a_call_is_open() -> None:
    async with quick() as server, session(server, model=MODEL_2_5, tools=declare("f")) as peer:
        await peer.content("call f()")
        call = await call_of(peer)
        await peer.content("never mind")
        await server.sessions[0].wait_for(lambda record: record.n_received == 3)
        n_sent = server.sessions[0].n_sent
        await respond(peer, call, {"output": "done"})
        assert (await peer.turn()).words == "f returned done"
        assert (await peer.turn()).words == "never mind"
    assert server.sessions[0].turns[0].complete and n_sent < server.sessions[0].n_sent


async def test_results_of_3_8_cut_each_other_off() -> None:
    async with (
        Simulator(pace=4, espeak=False) as server,
        session(server, tools=declare("f", "g", behavior=None)) as peer,
    ):
        await peer.say("call f() and call g()")
        messages = await peer.until(lambda message: "toolCall" in message)
        first, second = messages[-1]["toolCall"]["functionCalls"]
        await peer.turn()
        await respond(peer, first, {"output": "one"})
        await peer.until(has_audio)
        await respond(peer, second, {"output": "two"})
        assert (await peer.turn()).has("interrupted")
        assert (await peer.turn()).words == "g returned two"


async def test_empty_content_while_an_answer_is_owed_adds_nothing() -> None:
    manual = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}
    async with quick() as server, session(server, **manual) as peer:
        await peer.send({"realtimeInput": {"activityStart": {}}})
        await peer.speak(spoken("Hello there."))
        await peer.send({"realtimeInput": {"activityEnd": {}}})
        await peer.send({"clientContent": {"turnComplete": True}})
        assert (await peer.turn()).has("generationComplete")
        assert (await peer.ask("Hello")).words == "Hello"
    assert [turn.origin for turn in server.sessions[0].turns] == ["voice", "typed"]


# Handles.


async def test_3_8_sends_one_handle_unasked() -> None:
    async with quick() as server, session(server) as peer:
        first = await peer.receive()
        assert first["sessionResumptionUpdate"]["resumable"]
        await peer.ask("Hello")
        await peer.ask("Hello")
    assert sum("sessionResumptionUpdate" in message for message in server.sessions[0].sent) == 1


async def test_handle_of_3_8_covers_what_came_after_it() -> None:
    async with quick() as server:
        async with session(server) as peer:
            handle = await handle_of(peer)
            await peer.ask("I like birches")
        await server.sessions[0].wait_for(lambda record: not record.open)
        async with session(server, sessionResumption={"handle": handle}) as peer:
            await peer.receive()
            assert (await peer.ask("what did I say before?")).words == "You said: I like birches"


async def test_3_1_sends_handles_after_a_result_and_while_the_microphone_streams() -> None:
    async with quick() as server, session(server, model=MODEL_3_1, tools=declare("f")) as peer:
        await peer.ask("Hello")
        await peer.say("call f()")
        call = await call_of(peer)
        assert not any("sessionResumptionUpdate" in message for message in server.sessions[0].sent)
        await respond(peer, call, {"output": "done"})
        turn = await peer.turn()
        assert [next(iter(message)) for message in turn.messages[:2]] == ["sessionResumptionUpdate", "serverContent"]
        await peer.speak(SILENCE)
        for _ in range(2):
            assert (await peer.receive())["sessionResumptionUpdate"]["resumable"]


async def test_2_5_sends_handles_only_if_asked_and_not_during_typed_turns() -> None:
    async with quick() as server:
        async with session(server, model=MODEL_2_5) as peer:
            await peer.content("Hello")
            assert not (await peer.turn()).has("sessionResumptionUpdate")
        async with session(server, model=MODEL_2_5, sessionResumption={}) as peer:
            await handle_of(peer)
            await peer.content("Hello")
            assert (await peer.receive()) == {"sessionResumptionUpdate": {}}
            await peer.turn()
            await handle_of(peer)


async def test_resume_right_after_audio_is_refused_for_a_moment() -> None:
    clock = FakeClock()
    async with quick(clock=clock) as server:
        async with session(server) as peer:
            handle = await handle_of(peer)
            await peer.speak(SILENCE)
            await server.sessions[0].wait_for(lambda record: record.audio_s > 1.1)
        await server.sessions[0].wait_for(lambda record: not record.open)
        async with dial(server) as peer:
            await peer.send(setup(sessionResumption={"handle": handle}))
            assert await peer.closed() == (1011, "Internal error encountered.")
        clock.advance(1)
        async with session(server, sessionResumption={"handle": handle}) as peer:
            assert (await peer.ask("Hello")).words == "Hello"


# Calls that were open when the connection dropped.


async def drop_during_a_call(server: Simulator, model: str) -> tuple[str, dict[str, Any]]:
    """Leave a call of a session open; return the session's handle and the call."""
    number = len(server.sessions)
    async with session(server, model=model, tools=declare("f"), sessionResumption={}) as peer:
        handle = "" if model == MODEL_3_1 else await handle_of(peer)
        if model == MODEL_3_1:
            await peer.speak(SILENCE + spoken("Hello there.") + SILENCE)
            handle = await handle_of(peer)
        await peer.content("call f()")
        call = await call_of(peer)
    await server.sessions[number].wait_for(lambda record: not record.open)
    return handle, call


async def test_stale_call_of_3_8_swallows_the_next_input() -> None:
    async with quick() as server:
        handle, _ = await drop_during_a_call(server, MODEL)
        async with session(server, sessionResumption={"handle": handle}, tools=declare("f")) as peer:
            empty = await peer.ask("Hello")
            assert [sorted(content) for content in empty.contents] == [["turnComplete"]]
            assert (await peer.ask("Hello")).words == "Hello"


async def test_errors_for_stale_calls_of_3_8_close_them_and_are_owed_until_a_newer_handle() -> None:
    async with quick() as server:
        old, call = await drop_during_a_call(server, MODEL)
        handles: list[str] = []
        for i in range(2):
            async with session(server, sessionResumption={"handle": [old, *handles][i]}) as peer:
                handles.append(await handle_of(peer))
                await respond(peer, call, {"error": "the connection was lost"})
                assert [sorted(content) for content in (await peer.turn()).contents] == [["turnComplete"]]
                assert (await peer.ask("Hello")).words == "Hello"
            await server.sessions[-1].wait_for(lambda record: not record.open)
        async with session(server, sessionResumption={"handle": handles[1]}) as peer:
            assert (await peer.ask("Hello")).words == "Hello"
    assert all(record.mistakes == [] for record in server.sessions)


async def test_2_5_ignores_the_result_of_a_stale_call() -> None:
    async with quick() as server:
        handle, call = await drop_during_a_call(server, MODEL_2_5)
        async with session(server, model=MODEL_2_5, sessionResumption={"handle": handle}) as peer:
            await respond(peer, call, {"output": "late"})
            await peer.content("Hello")
            assert (await peer.turn()).words == "Hello"
    assert "which gemini-2.5-flash-native-audio-latest ignores" in server.sessions[1].mistakes[0]


async def test_result_of_a_stale_call_silences_3_1() -> None:
    async with quick() as server:
        handle, call = await drop_during_a_call(server, MODEL_3_1)
        async with session(server, model=MODEL_3_1, sessionResumption={"handle": handle}) as peer:
            await respond(peer, call, {"output": "late"})
            await peer.say("Hello")
            await server.sessions[1].wait_for(lambda record: len(record.turns) == 1)
            await peer.say("Hello")
            await server.sessions[1].wait_for(lambda record: len(record.turns) == 2)
    assert not any(has_audio(message) for message in server.sessions[1].sent)


# Pictures.


@pytest.mark.parametrize("model", [MODEL, MODEL_3_1, MODEL_2_5])
async def test_typed_turn_sees_only_the_pictures_inside_it(model: str) -> None:
    generation = NO_THOUGHTS if model == MODEL_2_5 else None
    async with quick() as server, session(server, model=model, generationConfig=generation) as peer:
        blob = {"data": base64.b64encode(PNG).decode(), "mimeType": "image/png"}
        await peer.send({"realtimeInput": {"video": blob}})
        await peer.content("what do you see?")
        assert (await peer.turn()).words == "I have received no frames."
        parts = [{"inlineData": blob}, {"text": "what do you see?"}]
        await peer.send({"clientContent": {"turns": [{"role": "user", "parts": parts}], "turnComplete": True}})
        turn = await peer.turn()
    assert turn.words == "I have received 1 frame, the last one 64 by 48."
    assert {"modality": "IMAGE", "tokenCount": 516} in turn.messages[-1]["usageMetadata"]["promptTokensDetails"]


# History that the client gives.


async def test_seeded_sound_is_recalled_on_3_8_and_closes_2_5() -> None:
    def history(rate_hz: int) -> dict[str, Any]:
        sound = {
            "inlineData": {"data": base64.b64encode(bytes(32_000)).decode(), "mimeType": f"audio/pcm;rate={rate_hz}"}
        }
        turns = [{"role": "user", "parts": [sound]}, {"role": "model", "parts": [{"text": "Hello"}]}]
        return {"clientContent": {"turns": turns, "turnComplete": False}}

    async with quick() as server:
        async with session(server) as peer:
            await peer.send(history(16_000))
            await peer.content("what did I say before?")
            assert (await peer.turn()).words == "You said: (speech, 1.0 s)"
        async with session(server) as peer:
            await peer.send(history(24_000))
            assert await peer.closed() == (1008, "Operation is not implemented, or supported, or enabled.")
        async with session(server, model=MODEL_2_5) as peer:
            await peer.send(history(16_000))
            assert await peer.closed() == (1007, "Precondition check failed.")
    assert server.sessions[0].mistakes == []


async def test_function_parts_in_the_history_are_no_words_of_the_user_and_close_2_5() -> None:
    turns = [
        {"role": "user", "parts": [{"text": "I like birches"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"output": 1}}}]},
        {"role": "model", "parts": [{"text": "So do I"}]},
    ]
    history = {"clientContent": {"turns": turns, "turnComplete": False}}
    async with quick() as server:
        async with session(server) as peer:
            await peer.send(history)
            await peer.content("what did I say before?")
            assert (await peer.turn()).words == "You said: I like birches"
        async with session(server, model=MODEL_2_5) as peer:
            await peer.send(history)
            assert await peer.closed() == (1007, "Request contains an invalid argument.")


# Thoughts, tokens, thinking.


async def test_2_5_thinks_unasked_unless_its_budget_is_0() -> None:
    async def thoughts(generation: dict[str, Any] | None) -> int:
        async with quick() as server, session(server, model=MODEL_2_5, generationConfig=generation) as peer:
            n = 0
            for _ in range(8):
                await peer.content("Hello")
                turn = await peer.turn()
                thought = any(part.get("thought") for part in turn.parts)
                assert ("thoughtsTokenCount" in turn.messages[-1]["usageMetadata"]) is thought
                n += thought
            return n

    assert 0 < await thoughts(None) < 8
    assert await thoughts(NO_THOUGHTS) == 0


async def test_token_counts_of_3_8_do_not_add_up() -> None:
    async with quick() as server, session(server) as peer:
        usage = (await peer.ask("Hello there, my dear friend")).messages[-1]["usageMetadata"]
    details = sum(detail["tokenCount"] for detail in usage["promptTokensDetails"])
    assert usage["promptTokenCount"] - details == 27
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["responseTokenCount"]
    assert usage["thoughtsTokenCount"] > 0


async def test_extended_thinking_counts_its_thoughts_in_the_last_total_and_speaks_one_result_only() -> None:
    tools = declare("f", behavior="NON_BLOCKING")
    async with quick() as server, session(server, model=THINKING, generationConfig=LEVEL, tools=tools) as peer:
        await peer.content("call f()")
        filler = await peer.turn()
        assert filler.contents[-1] == {"turnComplete": True, "interactionStatus": "IN_PROGRESS"}
        call = await call_of(peer)
        await respond(peer, call, {"output": "half"}, willContinue=True)
        await respond(peer, call, {"output": "whole"})
        turn = await peer.turn()
    usage = turn.messages[-1]["usageMetadata"]
    assert turn.words == "f returned half"
    parts = ("promptTokenCount", "responseTokenCount", "thoughtsTokenCount")
    assert usage["totalTokenCount"] == sum(usage[name] for name in parts)


async def test_scheduling_closes_extended_thinking() -> None:
    tools = declare("f", behavior="NON_BLOCKING")
    async with quick() as server, session(server, model=THINKING, generationConfig=LEVEL, tools=tools) as peer:
        await peer.content("call f()")
        call = await call_of(peer)
        await respond(peer, call, {"output": 1}, scheduling="SILENT")
        assert await peer.closed() == (1007, "Function response scheduling is not supported for this model")


async def test_a_turn_costs_no_more_in_a_long_conversation() -> None:
    async with quick() as server, session(server) as peer:
        counts = [(await peer.ask("Hello")).messages[-1]["usageMetadata"]["promptTokenCount"] for _ in range(4)]
    steps = {after - before for before, after in itertools.pairwise(counts[1:])}
    assert len(steps) == 1 and steps.pop() > 0


async def test_transcribing_model_completes_each_utterance() -> None:
    transcribe = {"model": "models/gemini-3.5-transcribe-live", "outputAudioTranscription": None}
    async with quick() as server, session(server, **transcribe) as peer:
        await peer.speak((SILENCE + spoken("Hello there.") + SILENCE) * 2)
        for _ in range(2):
            messages = await peer.until(lambda message: "generationComplete" in message.get("serverContent", {}))
            assert "inputTranscription" in messages[-2]["serverContent"]


# Ends.


async def test_interruption_while_turn_complete_is_sent_changes_nothing() -> None:
    faults = ["late-words@turn1", "drip:4000"]  # slow enough for turnComplete to take several pieces
    async with Simulator(pace=4, espeak=False, faults=faults) as server, session(server) as peer:
        await peer.say("Oh no")
        await peer.until(lambda message: "generationComplete" in message.get("serverContent", {}))
        await server.sessions[0].wait_for(lambda record: "turnComplete" in record.sent[-1].get("serverContent", {}))
        await peer.content("no")
        first, second = await peer.turn(), await peer.turn()
    assert not first.has("interrupted")
    assert second.words.endswith("no")
    assert server.sessions[0].close_code == 1000


async def test_turn_is_complete_when_its_sound_would_have_been_played() -> None:
    clock = FakeClock()
    async with Simulator(pace=4, espeak=False, clock=clock) as server, session(server) as peer:
        record = server.sessions[0]
        await peer.say("count to 5")
        await clock.waited_on()
        started_s = clock.now
        while not record.turns[0].complete:
            clock.advance(0.01)
            await asyncio.sleep(0)
            if not record.turns[0].complete:
                await clock.waited_on()
        played_s = record.sent[-1]["usageMetadata"]["responseTokensDetails"][0]["tokenCount"] / 25
    assert played_s - 0.25 <= clock.now - started_s <= played_s
