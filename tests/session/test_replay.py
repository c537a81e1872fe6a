"""`gemini-live replay`: the client's half of a recording, sent to another server and recorded anew."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gemini_live.config import Config
from gemini_live.errors import ConfigError, ExitCode, NotAnsweredError, SessionClosed
from gemini_live.functions.call import FunctionCaller
from gemini_live.inspection.analyse import analyse
from gemini_live.inspection.diff import compare
from gemini_live.inspection.session import Ending
from gemini_live.recording.read import read_recording
from gemini_live.session import replay as replay_module
from gemini_live.session.replay import Progress, Replay
from tests.inspection.tape import Tape

from .test_session import KEY, LIVENESS_S, Lines, Written, configure, hold, simulator
from .test_session import functions as functions  # noqa: PLC0414 - a fixture
from .test_session import stdin as stdin  # noqa: PLC0414 - a fixture


async def replay(path: Path, url: str, **settings: Any) -> tuple[Written, Path]:
    """Replay a recording; return what was told, and the new recording."""
    written, new = Written(), path.with_name("new.jsonl")
    recording = read_recording(path)
    model = (recording.header.model or "").removeprefix("models/")
    config = Config(**{"model": model, "base_url": url, "api_key": KEY, "record": new, "force": True, **settings})
    async with asyncio.timeout(LIVENESS_S):
        await Replay(config, written, recording).run()
    return written, new


async def test_a_replayed_session_is_the_same_session(tmp_path: Path, functions: FunctionCaller, stdin: Lines) -> None:
    path = tmp_path / "old.jsonl"
    stdin.type('call add({"a": 2, "b": 3})', "and on", "goodbye")
    stdin.end()
    async with simulator("reset@turn2*1") as server:
        await hold(configure(server, record=path), functions=functions, stdin=stdin)
    async with simulator() as server:
        written, new = await replay(path, server.url)
        assert [turn.asked for turn in server.sessions[0].turns if turn.origin == "typed"] == [
            *('call add({"a": 2, "b": 3})', "and on", "goodbye")
        ]
        assert server.sessions[0].mistakes == []
    assert written.of("status") == [f"replayed: 3 of 3 turns; recorded: {new}"]
    old, again = (analyse(read_recording(each)) for each in (path, new))
    assert compare(old, again).differences == []
    assert [call.name for call in again.turns[0].calls] == ["add"]


async def test_another_model_and_setup_can_be_asked(tmp_path: Path) -> None:
    path = (
        Tape().connect().at(0.1).type("Hello").at(0.2).words("Hi").done().at(0.3).close().save(tmp_path / "old.jsonl")
    )
    async with simulator() as server:
        await replay(path, server.url, model="gemini-3.1-flash-live-preview", setup={"systemInstruction": None})
    assert server.sessions[0].setup["model"] == "models/gemini-3.1-flash-live-preview"


async def test_a_call_without_a_recorded_result_is_answered_with_an_error(tmp_path: Path) -> None:
    text = 'call nothing({"a": 1})'
    tools = [{"functionDeclarations": [{"name": "nothing", "parameters": {"type": "OBJECT"}}]}]
    path = Tape(tools=tools).connect().at(0.1).type(text).at(0.2).words("Hi").done().save(tmp_path / "old.jsonl")
    async with simulator() as server:
        written, _ = await replay(path, server.url)
    assert written.of("warning")[0].startswith("the model calls nothing, for which the recording has no further result")
    (call,) = server.sessions[0].calls.values()
    assert "error" in call.answers[0]["response"]


@pytest.mark.parametrize("name", ["toolResponse", "tool_response"])
async def test_a_call_gets_the_recorded_result_whoever_sent_it(name: str, tmp_path: Path) -> None:
    tools = [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}]
    tape = Tape(tools=tools).connect().at(0.1).type("call f({})").at(0.2).call("f", {})
    tape.client({name: {"functionResponses": [{"id": "c1", "name": "f", "response": {"x": 7}}]}})
    async with simulator() as server:
        written, _ = await replay(tape.at(0.3).words("Hi").done().save(tmp_path / "old.jsonl"), server.url)
    (call,) = server.sessions[0].calls.values()
    assert (written.of("warning"), call.answers[0]["response"]) == ([], {"x": 7})


async def test_a_turn_that_does_not_come_is_reported_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_module, "PATIENCE_S", 0.2)
    tape = Tape().connect().at(0.1).type("Hello").at(0.2).words("Hi").done()
    path = tape.at(0.3).type("More").at(0.4).words("Yes").done().save(tmp_path / "old.jsonl")
    async with simulator("no-answer@turn2") as server:
        with pytest.raises(NotAnsweredError, match="1 question had no answer"):
            await replay(path, server.url)


async def test_a_session_that_the_server_closes_fails(tmp_path: Path) -> None:
    tape = Tape().connect().at(0.1).type("Hello").at(0.2).words("Hi").done()
    async with simulator("close:1011@turn1") as server:
        with pytest.raises(SessionClosed):
            await replay(tape.save(tmp_path / "old.jsonl"), server.url)
    assert "closed" in (tmp_path / "new.jsonl").read_text()


async def test_what_lacks_sound_words_or_setup_cannot_be_replayed(tmp_path: Path) -> None:
    redacted, silent, bare = Tape().connect(), Tape().connect(), Tape()
    redacted.lines[0]["redacted"] = True
    silent.client({"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": "", "bytes": 640}}})
    bare.lines[0]["setup"] = None
    for tape, said in ((redacted, "--redact"), (silent, "sound was left out"), (bare, "no setup")):
        with pytest.raises(ConfigError, match=said):
            await replay(tape.save(tmp_path / "old.jsonl"), "http://127.0.0.1:1")


ASKED = {"turns": [{"role": "user", "parts": [{"text": "Hello"}]}], "turn_complete": True}
TOLD = {"turns": [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model"}], "turnComplete": True}


def first_turn() -> Tape:
    return Tape().connect().type("Hello").words("Hi").done().at(0.1)


LEFT_EARLY = {
    "in mid-answer": (Tape().connect().type("Hello").words("Hi"), 1),
    "before the answer": (Tape().connect().type("Hello"), 1),
    "in the second turn": (first_turn().type("More").words("Yes"), 2),
    "before the second answer": (first_turn().type("More"), 2),
    "after an empty answer": (first_turn().type("More").done(), 1),
    "after clientContent": (Tape().connect().client({"client_content": ASKED}), 1),
}
"""Recordings of clients that left, and how many turns they asked for that have an answer or may still get one."""


@pytest.mark.parametrize("when", LEFT_EARLY)
async def test_a_turn_whose_client_left_first_is_replayed_to_its_end(when: str, tmp_path: Path) -> None:
    tape, n_turns = LEFT_EARLY[when]
    async with simulator() as server:
        written, new = await replay(tape.save(tmp_path / "old.jsonl"), server.url)
    assert written.of("status") == [f"replayed: {n_turns} of {n_turns} turns; recorded: {new}"]
    assert [turn.ending for turn in analyse(read_recording(new)).turns[:n_turns]] == [Ending.COMPLETE] * n_turns


NOTHING_ASKED = {
    "only a header": Tape(),
    "no more than a setup": Tape().connect().close(),
    "silence": Tape().connect().microphone(0.5).close(),
    "history": Tape().connect().client({"clientContent": TOLD}),
}


@pytest.mark.parametrize("holds", NOTHING_ASKED)
async def test_a_recording_without_a_turn_is_refused(holds: str, tmp_path: Path) -> None:
    path = NOTHING_ASKED[holds].save(tmp_path / "old.jsonl")
    with pytest.raises(ConfigError, match="no turn: there is nothing to replay") as caught:
        await replay(path, "http://127.0.0.1:1")
    assert caught.value.exit_code == ExitCode.USAGE
    assert not (tmp_path / "new.jsonl").exists()


def test_progress_counts_setups_outputs_and_ends_of_turns() -> None:
    progress = Progress()
    for t_s, raw in enumerate(
        (
            '{"setupComplete": {}}',
            '{"serverContent": {"turnComplete": true}}',  # of an empty turn
            '{"serverContent": {"modelTurn": {"parts": [{"text": "a"}]}}}',
            '{"serverContent": {"turnComplete": true, "interactionStatus": "IN_PROGRESS"}}',
            '{"serverContent": {"modelTurn": {"parts": [{"text": "b"}]}}}',
            '{"serverContent": {"turnComplete": true}}',
            "not JSON",
        )
    ):
        progress.note(raw, float(t_s))
    assert (progress.value, progress.n_turns, progress.longest_s) == (3, 1, 3.0)
    assert [progress.since_s(value) for value in (1, 2, 3, 4)] == [0.0, 2.0, 5.0, None]
