"""Typed turns, calls, history and endings, as a client sees them on the wire."""

import base64
import re
from typing import Any

import pytest

from gemini_live.simulator import Simulator

from .peer import MODEL, ON_TIME, Peer, declare, session, setup

TEXT_MODEL = "models/gemini-robotics-er-2-streaming-preview"
THINKING_MODEL = "models/gemini-3.8-live-extended-thinking"
OLDEST_MODEL = "models/gemini-2.5-flash-native-audio-latest"
MODEL_3_1 = "models/gemini-3.1-flash-live-preview"
NO_THOUGHTS = {OLDEST_MODEL: {"thinkingConfig": {"thinkingBudget": 0}}}
THINKS = {"thinkingConfig": {"thinkingLevel": "LOW"}}


def quick(**options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, **options})


async def respond(peer: Peer, turn_or_calls: list[dict[str, Any]], *responses: dict[str, Any], **extra: Any) -> None:
    answers = [
        {"id": call["id"], "name": call["name"], "response": response, **extra}
        for call, response in zip(turn_or_calls, responses, strict=True)
    ]
    await peer.send({"toolResponse": {"functionResponses": answers}})


async def calls_of(peer: Peer) -> list[dict[str, Any]]:
    messages = await peer.until(lambda message: "toolCall" in message)
    calls: list[dict[str, Any]] = messages[-1]["toolCall"]["functionCalls"]
    return calls


async def test_typed_words_are_repeated_in_sound_and_transcript() -> None:
    async with quick(seed=ON_TIME) as server, session(server) as peer:
        turn = await peer.ask("Hello there, my dear friend. How are you?")
        assert turn.words == "Hello there, my dear friend. How are you?"
        assert {part["inlineData"]["mimeType"] for part in turn.parts} == {"audio/pcm;rate=24000"}
        assert {len(chunk) for chunk in turn.chunks[:-1]} <= {2, 9600}
        assert [sorted(c) for c in turn.contents[-2:]] == [["generationComplete"], ["turnComplete"]]
        assert "usageMetadata" in turn.messages[-1]
        assert not turn.has("interrupted")
    (record,) = server.sessions
    assert record.turns[0].words == "Hello there, my dear friend. How are you?"
    assert record.turns[0].complete and record.turns[0].generation_complete
    assert record.mistakes == []


async def pieces_of(server: Simulator, model: str, text: str) -> list[str]:
    async with session(server, model=model) as peer:
        turn = await peer.ask(text)
        return [c["outputTranscription"]["text"] for c in turn.contents if "outputTranscription" in c]


SAID = "one two three four five six seven eight nine ten eleven twelve"


@pytest.mark.parametrize(("model", "longest"), [(MODEL, 4), (MODEL_3_1, 2), (OLDEST_MODEL, 2)])
async def test_transcript_comes_in_pieces_that_make_up_the_words(model: str, longest: int) -> None:
    async with quick() as server:
        pieces = await pieces_of(server, model, SAID)
    assert "".join(pieces) == SAID
    assert len(pieces) > 2
    assert max(len(piece.split()) for piece in pieces) <= longest
    if model != MODEL:
        assert all(piece.startswith(" ") for piece in pieces[1:])


async def test_blanks_of_3_8_stand_on_either_side_of_a_piece() -> None:
    async with quick() as server:
        pieces = [piece for _ in range(4) for piece in await pieces_of(server, MODEL, SAID)]
    assert {piece.startswith(" ") for piece in pieces} == {piece.endswith(" ") for piece in pieces} == {True, False}


@pytest.mark.parametrize(("model", "together"), [(MODEL, True), (MODEL_3_1, True), (OLDEST_MODEL, False)])
async def test_transcript_rides_with_the_sound_on_the_third_generation_only(model: str, together: bool) -> None:
    async with quick() as server, session(server, model=model) as peer:
        turn = await peer.ask(SAID)
    assert all(("modelTurn" in c) is together for c in turn.contents if "outputTranscription" in c)
    assert all(len(c["modelTurn"]["parts"]) == 1 for c in turn.contents if "modelTurn" in c)


async def test_messages_hold_several_audio_parts_under_a_fault_only() -> None:
    async with quick(faults=["many-parts"]) as server, session(server) as peer:
        turn = await peer.ask("count to 40")
    assert {len(c["modelTurn"]["parts"]) for c in turn.contents if "modelTurn" in c} == {1, 2, 3}


@pytest.mark.parametrize(
    ("model", "before", "role"),
    [
        (MODEL, [{}, {"serverContent": {}}], True),
        (MODEL_3_1, [{"serverContent": {}}], False),
        (OLDEST_MODEL, [], False),
    ],
)
async def test_messages_without_content_precede_an_answer(model: str, before: list[dict[str, Any]], role: bool) -> None:
    async with quick() as server, session(server, model=model, generationConfig=NO_THOUGHTS.get(model)) as peer:
        await peer.content("count to 40")
        turn = await peer.turn()
    answer = [message for message in turn.messages if "sessionResumptionUpdate" not in message]
    assert answer[: len(before)] == before
    n_bare, n_sounds = turn.messages.count({}), sum("modelTurn" in c for c in turn.contents)
    assert (n_bare > n_sounds / 2) if model == MODEL else not n_bare
    assert {"role" in c["modelTurn"] for c in turn.contents if "modelTurn" in c} == {role}


async def test_json_is_indented_and_ends_with_a_newline() -> None:
    async with quick() as server, session(server) as peer:
        await peer.ask("Hello")
    assert peer.frames[0] == b'{\n  "setupComplete": {}\n}\n'


async def test_transcript_is_sent_only_to_those_who_ask_for_it() -> None:
    async with quick() as server, session(server, outputAudioTranscription=None) as peer:
        turn = await peer.ask("Hello there")
        assert not turn.has("outputTranscription")
        assert turn.audio


async def test_text_model_streams_its_text_as_a_transcript() -> None:
    async with quick() as server, session(server, model=TEXT_MODEL, outputAudioTranscription=None) as peer:
        turn = await peer.ask("Hello there, my dear friend")
        assert turn.words == "Hello there, my dear friend"
        assert not turn.parts


async def test_same_seed_gives_the_same_messages() -> None:
    async def run(seed: int) -> list[dict[str, Any]]:
        async with quick(seed=seed) as server, session(server, sessionResumption={}) as peer:
            await peer.ask("count to 30")
            return server.sessions[0].sent[:60]

    assert await run(5) == await run(5)
    assert await run(5) != await run(6)


async def test_usage_grows_with_the_context() -> None:
    async with quick(seed=ON_TIME) as server, session(server) as peer:
        first = (await peer.ask("one two three")).messages[-1]["usageMetadata"]
        second = (await peer.ask("four five six")).messages[-1]["usageMetadata"]
        assert second["promptTokenCount"] > first["promptTokenCount"] > 100
        assert first["totalTokenCount"] == first["promptTokenCount"] + first["responseTokenCount"]
        assert first["responseTokensDetails"] == [{"modality": "AUDIO", "tokenCount": first["responseTokenCount"]}]


async def test_client_content_is_answered_when_the_turn_is_complete() -> None:
    async with quick(seed=ON_TIME) as server, session(server) as peer:
        await peer.content("Hello", complete=False)
        await peer.content("there", complete=True)
        assert (await peer.turn()).words == "Hello there"
        await peer.content("Once more", complete=False)
        await peer.send({"clientContent": {"turnComplete": True}})
        assert (await peer.turn()).words == "Once more"


async def test_client_content_cuts_off_what_is_being_said() -> None:
    async with Simulator(pace=1, espeak=False, seed=ON_TIME) as server, session(server) as peer:
        await peer.say("count to 500")
        await peer.until(lambda m: "modelTurn" in m.get("serverContent", {}))
        await peer.content("stop")
        cut = await peer.turn()
        assert [sorted(c) for c in cut.contents[-2:]] == [["interrupted"], ["turnComplete"]]
        assert not cut.has("generationComplete")
        assert "usageMetadata" in cut.messages[-1]
        assert (await peer.turn()).words == "stop"
    assert [turn.interrupted for turn in server.sessions[0].turns] == [True, False]


async def test_bare_cancel_is_acknowledged_and_nothing_follows() -> None:
    async with Simulator(pace=1, espeak=False, seed=ON_TIME) as server, session(server) as peer:
        await peer.say("count to 500")
        await peer.until(lambda m: "modelTurn" in m.get("serverContent", {}))
        await peer.send({"clientContent": {"turnComplete": False}})
        assert (await peer.turn()).has("interrupted")
        assert (await peer.ask("Hello")).words == "Hello"


async def test_typed_realtime_text_ends_the_answer_in_progress() -> None:
    async with Simulator(pace=1, espeak=False) as server, session(server) as peer:
        await peer.say("count to 500")
        await peer.until(lambda m: "modelTurn" in m.get("serverContent", {}))
        await peer.say("stop")
        assert (await peer.turn()).has("interrupted")
        assert (await peer.turn()).words == "stop"


async def test_typed_realtime_text_waits_for_the_answer_before_it_if_asked_to() -> None:
    async with quick(typed_text="queues") as server, session(server) as peer:
        await peer.say("one")
        await peer.say("two")
        assert [(await peer.turn()).words, (await peer.turn()).words] == ["one", "two"]


async def test_blank_text_starts_the_answer_to_what_was_written_before() -> None:
    async with (
        quick(seed=ON_TIME) as server,
        session(server, historyConfig={"initialHistoryInClientContent": True}) as peer,
    ):
        await peer.content("Say hello", complete=True)
        assert (await peer.ask(" ")).words == "Say hello"
        turn = await peer.ask(" ")
        assert turn.words == "Yes?"
        assert turn.contents[-1]["waitingForInput"]


async def test_history_is_remembered_and_not_answered() -> None:
    async with (
        quick(seed=ON_TIME) as server,
        session(server, historyConfig={"initialHistoryInClientContent": True}) as peer,
    ):
        turns = [
            {"role": "user", "parts": [{"text": "I like birches"}]},
            {"role": "model", "parts": [{"text": "So do I"}]},
        ]
        await peer.send({"clientContent": {"turns": turns, "turnComplete": True}})
        assert (await peer.ask("what did I say before?")).words == "You said: I like birches"
    assert [turn.asked for turn in server.sessions[0].turns] == ["what did I say before?"]
    assert server.sessions[0].mistakes == []


async def test_history_by_content_with_roles() -> None:
    async with quick(seed=ON_TIME) as server, session(server) as peer:
        turns = [
            {"role": "user", "parts": [{"text": "I like oaks"}]},
            {"role": "model", "parts": [{"text": "So do I"}]},
            {"role": "user", "parts": [{"text": "what did I say before?"}]},
        ]
        await peer.send({"clientContent": {"turns": turns, "turnComplete": True}})
        assert (await peer.turn()).words == "You said: I like oaks"


async def test_input_before_the_announced_history_is_a_mistake() -> None:
    async with (
        quick(seed=ON_TIME) as server,
        session(server, historyConfig={"initialHistoryInClientContent": True}) as peer,
    ):
        assert (await peer.ask("Hello")).words == "Hello"
    assert "before the history" in server.sessions[0].mistakes[0]


async def test_search_has_sources_where_it_is_enabled() -> None:
    async with quick() as server, session(server, tools=[{"googleSearch": {}}]) as peer:
        turn = await peer.ask("search for Oslo weather")
        assert [sorted(content) for content in turn.contents[-3:]] == [
            ["groundingMetadata"],
            ["generationComplete"],
            ["turnComplete"],
        ]
        grounding = turn.contents[-3]["groundingMetadata"]
        assert grounding["webSearchQueries"] == ["Oslo weather"]
        titles = [chunk["web"]["title"] for chunk in grounding["groundingChunks"]]
        assert titles == ["Oslo weather - Example", "Oslo weather"]
    async with quick(seed=ON_TIME) as server, session(server) as peer:
        assert (await peer.ask("search for Oslo weather")).words == "search for Oslo weather"


async def test_search_shows_a_lone_result_on_the_models_of_the_second_generation() -> None:
    async with quick(seed=ON_TIME) as server, session(server, model=OLDEST_MODEL, tools=[{"googleSearch": {}}]) as peer:
        turn = await peer.ask("search for birches")
        kinds = [next(iter(part)) for part in turn.parts]
        assert kinds.count("codeExecutionResult") == 1 and "executableCode" not in kinds


async def test_thoughts_come_where_they_are_asked_for() -> None:
    generation = {"thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True}}
    async with quick(seed=ON_TIME) as server, session(server, model=TEXT_MODEL, generationConfig=generation) as peer:
        turn = await peer.ask("Hello there")
        assert turn.parts[0]["thought"] is True
        assert turn.words == "Hello there"


async def test_thinking_model_fills_the_time_and_ends_when_idle() -> None:
    async with quick(seed=ON_TIME) as server, session(server, model=THINKING_MODEL, generationConfig=THINKS) as peer:
        filler, answer = await peer.ask("Hello there"), await peer.turn()
        assert (filler.words, answer.words) == ("One moment.", "Hello there")
        assert filler.contents[-1] == {"turnComplete": True, "interactionStatus": "IN_PROGRESS"}
        assert answer.contents[-1] == {"turnComplete": True, "interactionStatus": "IDLE"}


async def test_blocking_calls_of_one_line_are_one_message_and_are_waited_for() -> None:
    async with quick(seed=ON_TIME) as server, session(server, tools=declare("f", "g"), sessionResumption={}) as peer:
        await peer.say('call f({"x": [1, "two"]}) and then call g()')
        first, second = await calls_of(peer)
        assert (first["name"], first["args"]) == ("f", {"x": [1, "two"]})
        assert (second["name"], second["args"]) == ("g", {})
        await respond(peer, [second], {"output": "4 C"})
        await respond(peer, [first], {"error": "ValueError: no"})
        turn = await peer.turn()
        assert turn.words == "f failed: ValueError: no. g returned 4 C"
    assert [call.open for call in server.sessions[0].calls.values()] == [False, False]


async def test_call_without_arguments_has_them_made_up() -> None:
    parameters = {
        "type": "OBJECT",
        "required": ["city", "days"],
        "properties": {"city": {"type": "STRING"}, "days": {"type": "INTEGER"}, "unit": {"type": "STRING"}},
    }
    tools = [{"functionDeclarations": [{"name": "weather", "parameters": parameters, "behavior": "BLOCKING"}]}]
    async with quick(seed=ON_TIME) as server, session(server, tools=tools) as peer:
        await peer.say("please call weather")
        assert [call["args"] for call in await calls_of(peer)] == [{"city": "example", "days": 1}]


async def test_call_that_cannot_be_read_is_malformed() -> None:
    async with quick(seed=ON_TIME) as server, session(server, tools=declare("f")) as peer:
        turn = await peer.ask("call f({no json})")
        assert turn.contents == [{"turnComplete": True, "turnCompleteReason": "MALFORMED_FUNCTION_CALL"}]


async def test_undeclared_function_is_called_where_any_is_declared() -> None:
    async with quick(seed=ON_TIME) as server, session(server, tools=declare("f")) as peer:
        await peer.say("call unknown()")
        assert [call["name"] for call in await calls_of(peer)] == ["unknown"]
    async with quick(seed=ON_TIME) as server, session(server) as peer:
        assert (await peer.ask("call f()")).words == "call f()"


async def test_new_input_cancels_a_blocking_call() -> None:
    async with quick(seed=ON_TIME) as server, session(server, model=MODEL_3_1, tools=declare("f")) as peer:
        await peer.say("call f()")
        (call,) = await calls_of(peer)
        await peer.say("never mind")
        cut = await peer.turn()
        assert {"toolCallCancellation": {"ids": [call["id"]]}} in cut.messages
        assert cut.has("interrupted")
        assert (await peer.turn()).words == "never mind"
        await respond(peer, [call], {"output": "late"})
        await peer.ask("Hello")
    assert server.sessions[0].mistakes == [f"answered f ({call['id']}) after it was cancelled"]
    assert server.sessions[0].calls[call["id"]].cancelled


async def test_answers_that_nobody_waits_for_are_mistakes() -> None:
    async with quick(seed=ON_TIME) as server, session(server, tools=declare("f")) as peer:
        await peer.say("call f()")
        (call,) = await calls_of(peer)
        await respond(peer, [call], {"output": 1})
        await respond(peer, [call], {"output": 2})
        await respond(peer, [{"id": "other", "name": "f"}], {"output": 3})
        await peer.turn()
        await peer.ask("Hello")
    assert server.sessions[0].mistakes == [
        f"answered f ({call['id']}) again",
        "answered a call that was never made: other",
    ]


async def test_non_blocking_call_of_3_8_ends_its_turn_and_the_result_is_answered_in_another() -> None:
    async with quick() as server, session(server, tools=declare("f", behavior=None)) as peer:
        await peer.say("call f()")
        (call,) = await calls_of(peer)
        turn = await peer.turn()
        assert [sorted(content) for content in turn.contents] == [["generationComplete"], ["turnComplete"]]
        await respond(peer, [call], {"output": "done"})
        answer = await peer.turn()
        assert answer.words == "f returned done" and not answer.has("interrupted")
    assert [turn.origin for turn in server.sessions[0].turns] == ["typed", "result"]


async def test_non_blocking_call_of_2_5_lets_the_model_speak_until_the_result() -> None:
    tools = declare("f", behavior="NON_BLOCKING")
    async with (
        Simulator(pace=4, espeak=False) as server,
        session(server, model=OLDEST_MODEL, tools=tools, generationConfig=NO_THOUGHTS[OLDEST_MODEL]) as peer,
    ):
        await peer.content("call f()")
        (call,) = await calls_of(peer)
        await peer.until(lambda message: "generationComplete" in message.get("serverContent", {}))
        await respond(peer, [call], {"output": "done"}, scheduling="INTERRUPT")
        cut = await peer.turn()
        assert [sorted(content) for content in cut.contents] == [["interrupted"], ["turnComplete"]]
        assert (await peer.turn()).words == "f returned done"
    assert server.sessions[0].turns[0].words == "I have called f."


async def test_non_blocking_call_of_3_1_is_waited_for() -> None:
    tools = declare("f", behavior="NON_BLOCKING")
    async with quick() as server, session(server, model=MODEL_3_1, tools=tools) as peer:
        await peer.say("call f()")
        (call,) = await calls_of(peer)
        await respond(peer, [call], {"output": "done"})
        assert (await peer.turn()).words == "f returned done"
    assert len(server.sessions[0].turns) == 1


@pytest.mark.parametrize(
    ("model", "behavior", "pattern"),
    [
        (MODEL, "BLOCKING", r"fc_\d{17,19}"),
        (MODEL, "NON_BLOCKING", r"call_\d{6}"),
        (MODEL_3_1, "BLOCKING", r"fc_\d{17,19}"),
        (OLDEST_MODEL, "BLOCKING", r"function-call-\d{17,20}"),
        (THINKING_MODEL, "NON_BLOCKING", r"call_\d{4}_fc_\d+_0"),
    ],
)
async def test_ids_of_calls_look_as_they_were_recorded(model: str, behavior: str, pattern: str) -> None:
    generation = THINKS if model == THINKING_MODEL else None
    tools = declare("f", "g", behavior=behavior)
    async with quick() as server, session(server, model=model, tools=tools, generationConfig=generation) as peer:
        await peer.say("call f() and call g()")
        ids = [call["id"] for call in await calls_of(peer)]
    assert len(set(ids)) == 2
    assert all(re.fullmatch(pattern, id_) for id_ in ids)


@pytest.mark.parametrize("inside", [False, True])
async def test_silent_result_is_not_spoken_of(inside: bool) -> None:
    async with quick(seed=ON_TIME) as server, session(server, tools=declare("f", behavior=None)) as peer:
        await peer.say("call f()")
        (call,) = await calls_of(peer)
        await peer.turn()
        if inside:
            await respond(peer, [call], {"output": "done", "scheduling": "SILENT"})
        else:
            await respond(peer, [call], {"output": "done"}, scheduling="SILENT")
        assert (await peer.ask("Hello")).words == "Hello"
    assert len(server.sessions[0].turns) == 2


@pytest.mark.parametrize("named", ["INTERRUPT", "INTERRUPTED"])
async def test_interrupting_result_cuts_off_what_is_being_said(named: str) -> None:
    async with (
        Simulator(pace=20, espeak=False, seed=ON_TIME) as server,
        session(server, tools=declare("f", behavior=None)) as peer,
    ):
        await peer.say("call f()")
        (call,) = await calls_of(peer)
        await peer.turn()
        await peer.say("count to 500")
        await peer.until(lambda m: "modelTurn" in m.get("serverContent", {}))
        await respond(peer, [call], {"output": "done", "scheduling": named})
        assert (await peer.turn()).has("interrupted")
        assert (await peer.turn()).words == "f returned done"


async def test_call_that_will_continue_stays_open() -> None:
    async with quick(seed=ON_TIME) as server, session(server, tools=declare("f", behavior=None)) as peer:
        await peer.say("call f()")
        (call,) = await calls_of(peer)
        await peer.turn()
        await respond(peer, [call], {"output": "half"}, willContinue=True)
        assert (await peer.turn()).words == "f returned half"
        await respond(peer, [call], {}, willContinue=False)
        await peer.ask("Hello")
    assert server.sessions[0].mistakes == []
    assert not server.sessions[0].calls[call["id"]].open
    assert len(server.sessions[0].calls[call["id"]].answers) == 2


async def test_thinking_model_waits_for_its_calls_before_it_is_idle() -> None:
    tools = declare("f", behavior=None)
    async with (
        quick(seed=ON_TIME) as server,
        session(server, model=THINKING_MODEL, generationConfig=THINKS, tools=tools) as peer,
    ):
        await peer.say("call f()")
        assert (await peer.turn()).contents[-1]["interactionStatus"] == "IN_PROGRESS"
        (call,) = await calls_of(peer)
        await respond(peer, [call], {"output": "done"})
        turn = await peer.turn()
        assert turn.words == "f returned done"
        assert turn.contents[-1]["interactionStatus"] == "IDLE"


async def test_tools_may_change_in_mid_session() -> None:
    async with quick(seed=ON_TIME) as server, session(server, tools=declare("f")) as peer:
        await peer.send({"contextUpdate": {"tools": {"tools": declare("g")}}})
        await peer.say("call g()")
        assert [call["name"] for call in await calls_of(peer)] == ["g"]


JPEG = bytes.fromhex("ffd8ffe000104a46494600010101004800480000ffc0000b080240040001011100ffd9")


async def test_frames_are_counted_and_a_typed_turn_does_not_see_them() -> None:
    async with quick(seed=ON_TIME) as server, session(server) as peer:
        blob = {"data": base64.urlsafe_b64encode(JPEG).decode(), "mimeType": "image/jpeg"}
        await peer.send({"realtimeInput": {"video": blob}})
        await peer.send({"realtimeInput": {"video": blob}})
        turn = await peer.ask("what do you see?")
        assert turn.words == "I have received no frames."
        details = turn.messages[-1]["usageMetadata"]["promptTokensDetails"]
        assert {"modality": "IMAGE", "tokenCount": 516} in details
    assert server.sessions[0].frames == [JPEG, JPEG]
    assert server.sessions[0].mistakes == ["frames at more than 1 a second: the service takes no more"]


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (setup(), 1007, "setup must be the first message"),
        ({"clientContent": {"turns": [{"parts": [{"text": "x"}]}]}}, 1007, "Please use a valid role: user, model."),
        (
            {"clientContent": {"turns": [{"role": "system", "parts": []}]}},
            1007,
            "Please use a valid role: user, model.",
        ),
        ({"realtimeInput": {"text": "x", "audioStreamEnd": True}}, 1007, "Request contains an invalid argument."),
        (
            {"realtimeInput": {"audio": {"data": "", "mimeType": "audio/wav"}}},
            1007,
            "Request contains an invalid argument.",
        ),
        (
            {"realtimeInput": {"video": {"data": "", "mimeType": "video/mp4"}}},
            1007,
            "Request contains an invalid argument.",
        ),
        ({"realtimeInput": {"activityStart": {}}}, 1007, "Explicit activity control is not supported when automatic"),
        ({"realtimeInput": {"activityEnd": {}}}, 1007, "Explicit activity control is not supported when automatic"),
        ({"toolResponse": {"functionResponses": [{"name": "f"}]}}, 1007, "Request contains an invalid argument."),
        (
            {"contextUpdate": {"tools": {"tools": [{"codeExecution": {}}]}}},
            1007,
            "Code Execution tool is not supported",
        ),
        ({"nonsense": 1}, 1007, "Invalid JSON payload received. Unknown name"),
    ],
)
async def test_wrong_message_ends_the_session(message: dict[str, Any], code: int, reason: str) -> None:
    async with quick() as server, session(server) as peer:
        await peer.send(message)
        closed = await peer.closed()
    assert closed[0] == code
    assert closed[1].startswith(reason)
    assert f"(closed with {code})" in server.sessions[0].mistakes[0]


async def test_3_8_ignores_media_chunks_and_3_1_closes() -> None:
    chunks = {"realtimeInput": {"mediaChunks": [{"data": "AAAA", "mimeType": "audio/pcm"}]}}
    async with quick() as server:
        async with session(server) as peer:
            await peer.send(chunks)
            assert (await peer.ask("Hello")).words == "Hello"
        async with session(server, model=MODEL_3_1) as peer:
            await peer.send(chunks)
            code, reason = await peer.closed()
    assert (code, reason[:42]) == (1007, "realtime_input.media_chunks is deprecated.")
    assert server.sessions[0].n_audio_bytes == 0
    assert server.sessions[0].mistakes == ["mediaChunks is deprecated: use audio and video"]


async def test_second_generation_takes_media_chunks_with_a_shrug() -> None:
    async with quick(seed=ON_TIME) as server, session(server, model=OLDEST_MODEL) as peer:
        await peer.send({"realtimeInput": {"mediaChunks": [{"data": "AAAA", "mimeType": "audio/pcm"}]}})
        await peer.send({"clientContent": {"turns": [{"parts": [{"text": "no role"}]}], "turnComplete": True}})
        assert (await peer.turn()).words == "no role"
    assert server.sessions[0].n_audio_bytes == 3
    assert server.sessions[0].mistakes == [
        "mediaChunks is deprecated: use audio and video",
        "audio that ends in the middle of a sample",
    ]


async def test_audio_in_client_content_is_a_mistake() -> None:
    async with quick(seed=ON_TIME) as server, session(server) as peer:
        parts = [{"inlineData": {"mimeType": "audio/pcm", "data": ""}}, {"text": "Hello"}]
        await peer.send({"clientContent": {"turns": [{"role": "user", "parts": parts}], "turnComplete": True}})
        assert (await peer.turn()).words == "Hello"
    assert server.sessions[0].mistakes == ["audio in clientContent: it belongs into realtimeInput"]
