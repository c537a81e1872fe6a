"""actions.py, answerer.py, performer.py: a function decides what the model answers, seen on the wire."""

import asyncio
import wave
from pathlib import Path
from typing import Any

import pytest

from gemini_live.errors import ConfigError
from gemini_live.simulator import (
    Call,
    Close,
    End,
    Play,
    Question,
    Say,
    Search,
    Silent,
    Simulator,
    Think,
    Together,
    Wait,
)
from gemini_live.simulator.actions import as_actions, read_wav

from .fake_clock import FakeClock
from .peer import MODEL, Peer, Turn, declare, session
from .sounds import SILENCE, spoken

OLDEST_MODEL = "models/gemini-2.5-flash-native-audio-latest"
MODEL_3_1 = "models/gemini-3.1-flash-live-preview"
THINKING_MODEL = "models/gemini-3.8-live-extended-thinking"
THINKS = {"thinkingConfig": {"thinkingLevel": "LOW"}}


def quick(answer: Any, **options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, "answer": answer, **options})


def write_wav(path: Path, *, channels: int = 1, width: int = 2, n_frames: int = 2400) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(24_000)
        file.writeframes(bytes(range(10)) * (n_frames * channels * width // 10))
    return path


async def ask(answer: Any, text: str = "Hello", **fields: Any) -> Turn:
    async with quick(answer) as server, session(server, **fields) as peer:
        return await peer.ask(text)


async def respond(peer: Peer, **results: Any) -> None:
    """Receive a message with calls, and answer each of them by its name."""
    messages = await peer.until(lambda message: "toolCall" in message)
    calls = messages[-1]["toolCall"]["functionCalls"]
    assert {call["name"] for call in calls} == set(results)
    answers = [
        {"id": call["id"], "name": call["name"], "response": {"output": results[call["name"]]}} for call in calls
    ]
    await peer.send({"toolResponse": {"functionResponses": answers}})


async def test_text_is_said() -> None:
    turn = await ask(lambda question: f"You typed {question.text}.")
    assert turn.words == "You typed Hello."
    assert turn.audio


async def test_none_leaves_the_answer_to_the_simulator() -> None:
    assert (await ask(lambda question: None)).words == "Hello"


async def test_async_function_is_awaited() -> None:
    async def answer(question: Question) -> str:
        await asyncio.sleep(0)
        return "later"

    assert (await ask(answer)).words == "later"


async def test_actions_are_performed_in_order() -> None:
    turn = await ask(
        lambda question: [Think("Hm."), Say("One."), Wait(5), Say("Two."), Search("x", (("https://a.test", "A"),))],
        generationConfig={"thinkingConfig": {"includeThoughts": True}},
        model=OLDEST_MODEL,
        tools=[{"googleSearch": {}}],
    )
    assert turn.words == "One. Two."
    assert [part["text"] for part in turn.parts if part.get("thought")] == ["Hm."]
    (grounding,) = [content["groundingMetadata"] for content in turn.contents if "groundingMetadata" in content]
    assert grounding["groundingChunks"] == [{"web": {"uri": "https://a.test", "title": "A"}}]
    assert grounding["groundingSupports"][0]["segment"]["text"] == "One. Two."


async def test_thoughts_go_only_to_sessions_that_see_them() -> None:
    turn = await ask(lambda question: [Think("Hm."), Say("One.")])
    assert not any(part.get("thought") for part in turn.parts)


async def test_wait_has_the_pace_of_speech() -> None:
    clock = FakeClock()
    async with quick(lambda question: [Wait(10), Close(1000)], clock=clock, pace=2) as server, session(server) as peer:
        await peer.say("Hello")
        await clock.waited_on()
        clock.advance(4.9)
        assert not server.sessions[0].turns[0].complete
        clock.advance(0.2)
        assert (await peer.closed())[0] == 1000


async def test_wav_file_is_played_with_its_words(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav")
    turn = await ask(lambda question: Play(path, "as recorded"))
    assert turn.words == "as recorded"
    assert turn.audio.removeprefix(bytes(2)) == read_wav(path).data or turn.audio == read_wav(path).data


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path, "No such file"),
        (lambda path: path.write_bytes(b"RIFF") and path, "not a WAV file"),
        (lambda path: path.write_bytes(b"hello hello hello") and path, "not a WAV file"),
        (lambda path: write_wav(path, width=3), "PCM of 24 bits"),
        (lambda path: write_wav(path, channels=20), "20 channels"),
    ],
)
def test_sound_that_cannot_be_played_is_named(make: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(ConfigError, match=words):
        read_wav(path)


def test_channels_are_mixed(tmp_path: Path) -> None:
    sound = read_wav(write_wav(tmp_path / "a.wav", channels=2))
    assert (len(sound.data), sound.rate_hz) == (4800, 24_000)


@pytest.mark.parametrize(
    ("model", "behavior"),
    [
        (MODEL, "BLOCKING"),
        (MODEL, "NON_BLOCKING"),
        (MODEL_3_1, "BLOCKING"),
        (OLDEST_MODEL, "BLOCKING"),
        (OLDEST_MODEL, "NON_BLOCKING"),
        (THINKING_MODEL, "NON_BLOCKING"),
    ],
)
async def test_chain_of_calls_looks_at_the_results(model: str, behavior: str) -> None:
    def answer(question: Question) -> Any:
        match [(result.name, result.response["output"]) for result in question.results]:
            case []:
                return [Say("First."), Together(Call("f", {"x": "1"}), Call("g", {}))]
            case [("f", one), ("g", two)]:
                return Call("f", {"x": one + two})
            case [("f", total)]:
                return f"{question.text}: {total}"

    config = THINKS if model == THINKING_MODEL else None
    async with (
        quick(answer) as server,
        session(server, model=model, tools=declare("f", "g", behavior=behavior), generationConfig=config) as peer,
    ):
        await peer.say("Add")
        await respond(peer, f=1, g=2)
        await respond(peer, f=3)
        while (
            not server.sessions[0].turns[-1].words.endswith("Add: 3")
            or server.sessions[0].turns[-1].state != "complete"
        ):
            await peer.turn()
    (record,) = server.sessions
    assert [call.args for call in record.calls.values()] == [{"x": "1"}, {}, {"x": 3}]
    assert record.mistakes == []


@pytest.mark.parametrize("behavior", ["BLOCKING", "NON_BLOCKING"])
async def test_what_follows_a_call_waits_for_its_result(behavior: str) -> None:
    answer = [Call("f"), Say("Done.")]
    async with quick(lambda question: answer) as server, session(server, tools=declare("f", behavior=behavior)) as peer:
        await peer.say("Go")
        await respond(peer, f="ok")
        await server.sessions[0].wait_for(lambda record: record.turns[-1].words == "Done.")


async def test_silent_results_say_nothing() -> None:
    answer = [Call("f"), Say("Done.")]
    tools = declare("f", behavior="NON_BLOCKING")
    async with quick(lambda question: answer) as server, session(server, tools=tools) as peer:
        await peer.say("Go")
        messages = await peer.until(lambda message: "toolCall" in message)
        (call,) = messages[-1]["toolCall"]["functionCalls"]
        answered = {"id": call["id"], "name": "f", "response": {"output": 1}, "scheduling": "SILENT"}
        await peer.send({"toolResponse": {"functionResponses": [answered]}})
        await peer.turn()
        await peer.say("Again")
        await peer.turn()
    assert [turn.asked for turn in server.sessions[0].turns] == ["Go", "Again"]


async def test_function_that_was_not_declared_is_a_mistake() -> None:
    async with quick(lambda question: Call("f", {})) as server, session(server) as peer:
        await peer.say("Go")
        await peer.until(lambda message: "toolCall" in message)
    assert server.mistakes == ["did not declare f, which the script calls"]


async def test_silence_has_no_end_and_the_next_question_is_answered() -> None:
    def answer(question: Question) -> Any:
        return Silent() if question.turn == 1 else "Here I am."

    async with quick(answer) as server, session(server) as peer:
        await peer.say("Hello?")
        turn = await peer.ask("Are you there?")
        assert turn.words == "Here I am."
        assert [turn.state for turn in server.sessions[0].turns] == ["not complete", "complete"]


@pytest.mark.parametrize("reason", ["", "RESPONSE_REJECTED"])
async def test_turn_ends_with_a_reason(reason: str) -> None:
    turn = await ask(lambda question: End(reason))
    assert turn.contents == [{"turnComplete": True, **({"turnCompleteReason": reason} if reason else {})}]


@pytest.mark.parametrize(("code", "reason"), [(1011, "gone"), (1006, "")])
async def test_session_is_closed(code: int, reason: str) -> None:
    async with quick(lambda question: [Say("Bye."), Close(code, reason)]) as server, session(server) as peer:
        await peer.say("Hello")
        assert await peer.closed() == (code, reason)
    assert server.sessions[0].turns[0].words == "Bye."


@pytest.mark.parametrize("answer", [lambda question: 3, lambda question: [3], lambda question: 1 / 0])
async def test_function_that_fails_ends_the_session_and_is_named(answer: Any) -> None:
    async with quick(answer) as server, session(server) as peer:
        await peer.say("Hello")
        assert (await peer.closed())[0] == 1011
    (mistake,) = server.mistakes
    assert mistake.startswith("the answer function failed: ")


async def test_interruption_does_not_wait_for_the_function() -> None:
    asked = asyncio.Event()

    async def answer(question: Question) -> str:
        if question.text == "one":
            asked.set()
            await asyncio.Event().wait()
        return "done"

    async with quick(answer) as server, session(server) as peer:
        await peer.say("one")
        await asked.wait()
        await peer.say("two")
        await peer.turn()
        assert (await peer.turn()).words == "done"
    assert server.sessions[0].turns[0].interrupted


@pytest.mark.parametrize("model", [MODEL, MODEL_3_1, OLDEST_MODEL])
async def test_spoken_question_has_its_sound_and_what_was_heard(model: str) -> None:
    questions: list[Question] = []

    def answer(question: Question) -> str:
        questions.append(question)
        return "I hear you."

    heard = ["Good morning to you all", "Bye"]
    async with quick(answer, heard=heard) as server, session(server, model=model) as peer:
        for words in (*heard, "(speech,"):
            await peer.speak(SILENCE + spoken() + SILENCE)
            turn = await peer.turn()
            assert turn.words == "I hear you."
            assert turn.heard.strip().startswith(words)
        await peer.ask("typed")
    assert [(q.turn, q.spoken_turn, q.spoken, bool(q.pcm)) for q in questions] == [
        (1, 1, True, True),
        (2, 2, True, True),
        (3, 3, True, True),
        (4, 3, False, False),
    ]


async def test_resumed_session_goes_on_counting() -> None:
    async with quick(lambda question: f"question {question.turn}") as server:
        async with session(server) as peer:
            assert (await peer.ask("a")).words == "question 1"
            handle = next(m for m in server.sessions[0].sent if "sessionResumptionUpdate" in m)
        resumption = {"handle": handle["sessionResumptionUpdate"]["newHandle"]}
        await server.sessions[0].wait_for(lambda record: not record.open)
        async with session(server, sessionResumption=resumption) as peer:
            assert (await peer.ask("b")).words == "question 2"


def test_answers_are_actions() -> None:
    assert as_actions(None) is None
    assert as_actions("a") == (Say("a"),)
    assert as_actions([Say("a"), "b", (Wait(1), None)]) == (Say("a"), Say("b"), Wait(1))
    with pytest.raises(TypeError, match="not 5"):
        as_actions(5)


def test_script_and_function_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one thing decides"):
        Simulator(script=tmp_path / "a.toml", answer=lambda question: "x")
    with pytest.raises(ConfigError, match="heard is for an answer function"):
        Simulator(heard=["Hello"], script="script.toml")
