"""What the service was observed to do, end to end: the real command and a scripted server, or a session and the
simulator in accelerated time.
"""

import asyncio
import wave
from pathlib import Path
from typing import Any

import pytest

from gemini_live.audio.pcm import INPUT
from gemini_live.functions.call import FunctionCaller
from gemini_live.models import capabilities_of
from tests.accelerated import accelerated
from tests.command import run
from tests.functions.loading import load_functions
from tests.scripted_server import Peer, scripted
from tests.talk import speech, talking

pytestmark = pytest.mark.usefixtures("typed_lines")

TOKEN = "auth_tokens/not-a-real-token-0123456789"
LIVE_3_1 = "gemini-3.1-flash-live-preview"
THINKING = "gemini-3.8-live-extended-thinking"
QUIET = ("--text-output", "--no-audio-input")


def test_a_token_travels_in_the_query_and_is_shown_nowhere() -> None:
    # The service was reported to refuse it in a header (18 Sep 2026).
    targets: list[str] = []

    def script(peer: Peer) -> None:
        targets.append(peer.target)
        peer.receive_line()
        if peer.number == 1:
            peer.close(1011, f"no luck with {TOKEN}")
            return
        peer.say("Hello.")
        peer.end_turn()

    with scripted(script) as url:
        result = run(f"--base-url={url}", *QUIET, "-v", stdin="hello\n", environ={"GEMINI_API_KEY": TOKEN})
    assert (result.code, result.out) == (0, "Hello.\n")
    path, _, query = targets[1].partition("?")
    assert path.endswith("v1alpha.GenerativeService.BidiGenerateContentConstrained")
    assert query == f"access_token={TOKEN}"
    assert "no luck with ***" in result.err
    assert TOKEN.removeprefix("auth_tokens/") not in result.err


def test_a_live_session_that_refuses_announced_history_is_replaced_by_one_that_is_told_it_unannounced() -> None:
    # 3.1 closed so in production (voiceclaw, Jun 2026).
    setups: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []

    def script(peer: Peer) -> None:
        setups.append(peer.setup)
        if peer.number == 2:
            peer.close(1007, "Request contains an invalid argument.")
            return
        if peer.number == 3:
            told.append(peer.receive())
        line = peer.receive_line()
        peer.say(f"{line}.")
        peer.end_turn()
        if peer.number == 1:
            peer.receive_line()
            peer.close(1011, "Internal error encountered.")

    with scripted(script) as url:
        result = run(f"--base-url={url}", *QUIET, stdin="one\ntwo\n", environ={"GEMINI_API_KEY": "any"})
    assert (result.code, result.out) == (0, "one.\ntwo.\n")
    assert ["historyConfig" in setup for setup in setups] == [False, True, False]
    assert [turn["parts"][0]["text"] for turn in told[0]["clientContent"]["turns"]] == ["one", "one."]
    assert "the service does not know historyConfig; connecting again without it" in result.err


# In accelerated time


def load_work(folder: Path, model: str) -> FunctionCaller:
    """Load a function that takes a while, as a model takes it."""
    path = folder / "working.py"
    path.write_text(
        "import asyncio\n"
        "async def work(seconds: float) -> str:\n"
        '    """Work for a while."""\n'
        "    await asyncio.sleep(seconds)\n"
        '    return "done"\n'
    )
    return load_functions([path], capabilities=capabilities_of(model), timeout_s=60.0)


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A sound file that ends in speech."""
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, INPUT.rate_hz, 0, "NONE", ""))
        file.writeframes(speech(2.0, pause_s=0.5))
    return path


@accelerated
async def test_a_file_that_ends_in_speech_is_answered_by_a_model_that_ignores_the_end_of_the_audio(
    spoken: Path,
) -> None:
    async with talking(speaks=True, input_file=(spoken,), simulator={"pace": 4.0}) as (talk, _, _):
        talk.end()
        await talk.ended()
    assert len(talk.answers()) == len(talk.written.of("heard")) == 1


@accelerated
async def test_transcripts_that_come_unasked_are_not_shown_if_nobody_wants_them(spoken: Path) -> None:
    options: dict[str, Any] = {"input_file": (spoken,), "transcription": False, "text_output": False}
    async with talking(speaks=True, simulator={"pace": 4.0}, **options) as (talk, server, _):
        talk.end()
        await talk.ended()
    assert any("inputTranscription" in str(message) for message in server.sessions[0].sent)
    assert talk.written.of("heard") == []
    assert talk.answers() == [""]


@accelerated
async def test_a_line_whose_call_a_drop_left_open_is_answered_once_and_not_empty(tmp_path: Path) -> None:
    functions = load_work(tmp_path, "gemini-3.8-live")
    async with talking(speaks=True, functions=functions) as (talk, server, proxy):
        talk.type('call work({"seconds": 30})')
        await talk.written.wait_for("tool_call")
        await asyncio.sleep(1)
        proxy.reset()
    assert talk.answers() == ["work returned done"]
    assert server.sessions[1].resumed_from == 1
    (stale,) = server.sessions[1].messages[1]["toolResponse"]["functionResponses"]
    assert "error" in stale["response"]


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("gemini-3.8-live", "empty-after-result"),
        (THINKING, "filler-without-status"),
        (THINKING, "empty-after-result"),
    ],
)
@accelerated
async def test_an_answer_to_a_call_is_printed_though_a_turn_ends_before_it(
    model: str, fault: str, tmp_path: Path
) -> None:
    functions = load_work(tmp_path, model)
    async with talking(fault, speaks=True, model=model, functions=functions) as (talk, server, _):
        talk.type('call work({"seconds": 1})')
        talk.end()
        await talk.ended()
    (answer,) = talk.answers()
    assert answer.splitlines()[-1] == "work returned done"
    assert len(server.sessions) == 1


@accelerated
async def test_an_echo_of_a_typed_line_is_no_speech_and_stands_once_in_the_history() -> None:
    async with talking("close:1011@turn2*1", model=LIVE_3_1, speaks=True) as (talk, server, _):
        talk.type("one", "two")
    assert any("inputTranscription" in str(message) for message in server.sessions[0].sent)
    assert talk.answers() == ["one", "two"]
    assert talk.written.of("heard") == talk.written.of("speech_lost") == []
    told = [message["clientContent"] for message in server.sessions[1].messages if "clientContent" in message]
    assert [part["text"] for turn in told[0]["turns"] for part in turn["parts"]] == ["one", "one"]


@accelerated
async def test_stray_text_of_a_speaking_model_is_no_part_of_its_answer() -> None:
    async with talking("stray-text", speaks=True) as (talk, _, _):
        talk.type("one", "two")
    assert talk.answers() == ["one", "two"]
    assert len(talk.written.of("thought")) == 2


@accelerated
async def test_a_line_that_the_service_ignored_is_sent_once_more_and_answered_within_20_s() -> None:
    async with talking("ignored-text@turn1*1", model=LIVE_3_1, speaks=True) as (talk, server, _):
        began_s = asyncio.get_running_loop().time()
        talk.type("one")
        await talk.written.wait_for("answered")
        assert asyncio.get_running_loop().time() - began_s < 20
    assert talk.answers() == ["one"]
    assert len(server.sessions) == 1


@accelerated
async def test_a_conversation_that_was_told_is_told_again_where_a_resumed_session_may_have_lost_it() -> None:
    async with talking("close:1011@turn2*1", "stale-handle*1", "lost-seed", speaks=True) as (talk, server, proxy):
        talk.type("one", "two")
        await talk.written.wait_for("answered", 2)
        proxy.reset()
        talk.type("what did I say before?")
    assert talk.answers() == ["one", "two", "You said: two"]
    assert [record.resumed_from for record in server.sessions] == [None] * 4
