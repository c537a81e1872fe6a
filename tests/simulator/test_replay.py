"""replay.py, replay_steps.py, replay_check.py, replay_ids.py, client_events.py: recordings are served to any client."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.genai import types

from gemini_live.errors import ConfigError
from gemini_live.simulator import Simulator
from gemini_live.simulator.client_events import Kind
from gemini_live.simulator.replay_ids import ReplayIds
from gemini_live.simulator.replay_steps import RecordedConnection, Send, WaitFor, read_replay, restore_media

from .fake_clock import FakeClock
from .peer import Peer, declare, dial, session, setup
from .service_recordings import convert
from .sounds import SILENCE, spoken
from .test_recordings import NAMES, RECORDINGS
from .test_sdk import WORDS, receive_turn, sdk_session, words_of


def without_ids(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message without what is new in every session."""
    bare: dict[str, Any] = json.loads(json.dumps(message))
    bare.get("sessionResumptionUpdate", {}).pop("newHandle", None)
    bare.get("toolCallCancellation", {}).pop("ids", None)
    for call in bare.get("toolCall", {}).get("functionCalls", []):
        call.pop("id", None)
    return bare


class RecordedClient:
    """Does what the recorded client did, and expects what it got."""

    def __init__(self, recorded: RecordedConnection, peer: Peer) -> None:
        self.recorded, self.peer = recorded, peer
        peer.strict = False
        config = recorded.setup.get("realtimeInputConfig", {})
        self.marks = config.get("automaticActivityDetection", {}).get("disabled", False)
        self.ids: dict[str, str] = {}
        """By recorded id, the id of the call in this session."""

    async def run(self, *, until: int | None = None, handle: str | None = None) -> None:
        connect = dict(self.recorded.setup)
        if handle:
            connect["sessionResumption"] = {"handle": handle}
        await self.peer.send({"setup": connect})
        for step in self.recorded.steps[:until]:
            if isinstance(step, Send):
                await self.expect(step)
            else:
                await self.do(step)

    async def expect(self, step: Send) -> None:
        message = await self.peer.receive()
        assert without_ids(message) == without_ids(restore_media(step.message)), f"line {step.line}"
        calls = message.get("toolCall", {}).get("functionCalls", [])
        recorded = step.message.get("toolCall", {}).get("functionCalls", [])
        self.ids |= {old["id"]: new["id"] for old, new in zip(recorded, calls, strict=True) if "id" in old}

    async def do(self, awaited: WaitFor) -> None:
        match awaited.event.kind:
            case Kind.TYPED:
                await self.peer.say(awaited.event.text)
            case Kind.SPEECH_START | Kind.SPEECH_END if self.marks:
                mark = "activityStart" if awaited.event.kind is Kind.SPEECH_START else "activityEnd"
                await self.peer.send({"realtimeInput": {mark: {}}})
            case Kind.SPEECH_START:
                await self.peer.speak(SILENCE[:9600] + spoken())
            case Kind.SPEECH_END:
                await self.peer.speak(SILENCE)
                for _ in range(awaited.n - 1):
                    await self.peer.speak(spoken() + SILENCE)
            case Kind.RESULT:
                answer = {"name": awaited.event.name, "response": awaited.event.response}
                if awaited.event.call_id:
                    answer["id"] = self.ids[awaited.event.call_id]
                await self.peer.send({"toolResponse": {"functionResponses": [answer]}})


def is_answered(recorded: RecordedConnection) -> bool:
    """True if the last thing that the client did has an answer."""
    return isinstance(recorded.steps[-1], Send)


@pytest.mark.skipif(not NAMES, reason="there are no recordings beside this checkout")
@pytest.mark.parametrize("name", NAMES)
async def test_recording_of_the_service_is_served_as_it_was(name: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    convert(RECORDINGS / name, path)
    (recorded,) = read_replay(path)
    async with Simulator(pace=0, replay=path) as server, dial(server) as peer:
        client = RecordedClient(recorded, peer)
        await client.run()
        if recorded.closed:
            assert await peer.closed() == (recorded.closed.code, recorded.closed.reason)
        else:
            (record,) = server.sessions
            if is_answered(recorded):
                await record.wait_for(lambda record: record.n_sent == sum(isinstance(s, Send) for s in recorded.steps))
    assert server.departures == []
    n_typed = sum(isinstance(step, WaitFor) and step.event.kind is Kind.TYPED for step in recorded.steps)
    assert sum(turn.origin == "typed" for turn in record.turns) == n_typed if not recorded.closed else True


CONVERSATION_TOOLS = declare("f", "g")


async def record_conversation(path: Path) -> None:
    """Record typed turns, calls, a spoken turn, and a resumed session."""
    clock = FakeClock()
    async with Simulator(pace=0, espeak=False, log=path, log_media=True, clock=clock) as server:
        async with session(server, tools=CONVERSATION_TOOLS) as peer:
            await peer.ask("Hello there")
            await peer.say('call f({"a": 1}) call g()')
            messages = await peer.until(lambda message: "toolCall" in message)
            for call in messages[-1]["toolCall"]["functionCalls"]:
                answer = {"id": call["id"], "name": call["name"], "response": {"output": call["name"]}}
                await peer.send({"toolResponse": {"functionResponses": [answer]}})
            await peer.turn()
            await peer.speak(SILENCE + spoken() + SILENCE)
            await peer.turn()
            handle = next(
                message["sessionResumptionUpdate"]["newHandle"]
                for message in server.sessions[0].sent
                if "sessionResumptionUpdate" in message
            )
        await server.sessions[0].wait_for(lambda record: not record.open)
        clock.advance(2)  # 3.8 resumes no session within a second of audio
        async with session(server, tools=CONVERSATION_TOOLS, sessionResumption={"handle": handle}) as peer:
            assert (await peer.ask("what did I say before?")).words.startswith("You said: (speech")


async def test_conversation_is_served_to_the_same_client_with_new_ids(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await record_conversation(path)
    first, second = read_replay(path)
    kinds = [step.event.kind for step in first.steps if isinstance(step, WaitFor)]
    assert kinds == [Kind.TYPED, Kind.TYPED, Kind.RESULT, Kind.RESULT, Kind.SPEECH_START, Kind.SPEECH_END]
    recorded_text = path.read_text(encoding="utf-8")
    async with Simulator(pace=0, replay=path) as server:
        for _ in range(2):  # two clients, each from the beginning
            async with dial(server) as peer:
                client = RecordedClient(first, peer)
                await client.run()
                sent = server.sessions[-1].sent
            handle = next(m["sessionResumptionUpdate"]["newHandle"] for m in sent if "sessionResumptionUpdate" in m)
            assert all(new not in recorded_text for new in (*client.ids.values(), handle))
            await server.sessions[-1].wait_for(lambda record: not record.open)
            async with dial(server) as peer:
                await RecordedClient(second, peer).run(handle=handle)
            await server.sessions[-1].wait_for(lambda record: not record.open)
    assert server.departures == server.mistakes == []
    assert [turn.asked for turn in server.sessions[0].turns][:2] == ["Hello there", 'call f({"a": 1}) call g()']
    assert server.sessions[0].calls and not any(call.open for call in server.sessions[0].calls.values())


async def test_client_may_send_the_same_turns_in_other_messages(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await record_conversation(path)
    async with Simulator(pace=0, replay=path) as server, session(server, tools=CONVERSATION_TOOLS) as peer:
        await peer.content("hello  ", complete=False)
        await peer.content(" THERE")
        assert (await peer.turn()).words == "Hello there"
        await peer.content('call f({"a": 1}) call g()')
        messages = await peer.until(lambda message: "toolCall" in message)
        answers = [
            {"id": call["id"], "name": call["name"], "response": {"output": call["name"]}}
            for call in reversed(messages[-1]["toolCall"]["functionCalls"])
        ]
        await peer.send({"toolResponse": {"functionResponses": answers}})
        assert (await peer.turn()).words == "f returned f. g returned g"
        await peer.speak(SILENCE + spoken("Something else entirely") + SILENCE, chunk_bytes=3200)
        assert (await peer.turn()).heard.startswith("(speech")
    assert server.departures == server.mistakes == []


async def replayed_departures(path: Path, *texts: str) -> tuple[list[str], list[str], tuple[int, str] | None]:
    """Return the words of the answers to typed lines, the departures, and how the session was closed."""
    words: list[str] = []
    closed = None
    async with Simulator(pace=0, replay=path) as server, session(server, tools=CONVERSATION_TOOLS) as peer:
        for text in texts:
            await peer.say(text)
            turn = asyncio.ensure_future(peer.turn())
            await asyncio.wait(
                [turn, asyncio.ensure_future(peer.websocket.wait_closed())], return_when="FIRST_COMPLETED"
            )
            if turn.done() and turn.exception() is None:
                words.append(turn.result().words)
            else:
                turn.cancel()
                closed = (peer.websocket.close_code or 0, peer.websocket.close_reason or "")
    return words, server.departures, closed


async def record_lines(path: Path, *texts: str) -> None:
    async with Simulator(pace=0, espeak=False, log=path, log_media=True) as server, session(server) as peer:
        for text in texts:
            await peer.ask(text)


@pytest.mark.parametrize(
    ("texts", "words", "departures", "closed"),
    [
        (("one", "two", "three"), ["one", "two", "three"], [], None),
        (("one", "TWO ", "three"), ["one", "two", "three"], [], None),
        (
            ("one", "deux", "three"),
            ["one", "two", "three"],
            ['typed "deux", where the recorded client typed "two"'],
            None,
        ),
        (("one", "three"), ["one", "three"], ['left out what the recorded client did: typed "two"'], None),
        (("one",), ["one"], ['left before the recorded client typed "two", and 1 more'], None),
        (
            ("one", "two", "three", "four"),
            ["one", "two", "three"],
            ['typed "four", after the end of the recording'],
            (1007, "The recording has no answer to this."),
        ),
    ],
)
async def test_verdict_says_where_the_client_left_the_recording(
    texts: tuple[str, ...],
    words: list[str],
    departures: list[str],
    closed: tuple[int, str] | None,
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.jsonl"
    await record_lines(path, "one", "two", "three")
    said, left, how = await replayed_departures(path, *texts)
    assert (said, how) == (words, closed)
    assert [words.rpartition("s): ")[2] for words in left] == departures
    assert all(words.startswith("line ") for words in left) or closed


async def test_line_before_the_end_of_an_answer_waits_and_is_told(tmp_path: Path) -> None:
    path, clock = tmp_path / "r.jsonl", FakeClock()
    async with (
        Simulator(pace=1, espeak=False, log=path, log_media=True, clock=clock) as server,
        session(server) as peer,
    ):
        turns = asyncio.ensure_future(_ask_in_turn(peer, "one two three four five six", "seven"))
        await _run_clock(clock, turns)
    replay_clock = FakeClock()
    async with Simulator(replay=path, clock=replay_clock) as server, session(server) as peer:
        await peer.say("one two three four five six")
        await peer.until(lambda message: "modelTurn" in message.get("serverContent", {}))
        await peer.say("seven")
        turns = asyncio.ensure_future(_two_turns(peer))
        await _run_clock(replay_clock, turns)
        assert [turn.words for turn in await turns][1] == "seven"
        assert not any(turn.has("interrupted") for turn in await turns)
    (departure,) = server.departures
    assert departure.endswith('typed "seven" before the recorded answer was over; it waits')


async def _ask_in_turn(peer: Peer, *texts: str) -> list[Any]:
    return [await peer.ask(text) for text in texts]


async def _two_turns(peer: Peer) -> list[Any]:
    return [await peer.turn(), await peer.turn()]


async def _run_clock(clock: FakeClock, until: "asyncio.Future[Any]") -> None:
    """Let time pass until something is done."""
    while not until.done():
        clock.advance(0.05)
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("pace", [1.0, 2.0])
async def test_answer_has_the_recorded_timing_scaled_by_pace(pace: float, tmp_path: Path) -> None:
    path, clock = tmp_path / "r.jsonl", FakeClock()
    async with (
        Simulator(pace=1, espeak=False, log=path, log_media=True, clock=clock) as server,
        session(server) as peer,
    ):
        await _run_clock(clock, asyncio.ensure_future(peer.ask("one two three four five six seven")))
    (recorded,) = read_replay(path)
    question = next(step for step in recorded.steps if isinstance(step, WaitFor))
    sends = [step for step in recorded.steps if isinstance(step, Send) and step.line > question.line]
    took_s = sends[-1].t_s - question.t_s
    assert took_s > 2
    replay_clock = FakeClock()
    async with Simulator(replay=path, clock=replay_clock, pace=pace) as server, session(server) as peer:
        (record,) = server.sessions
        await peer.say("one two three four five six seven")
        await record.wait_for(lambda record: len(record.turns) == 1)
        began_s = replay_clock.now
        turn = asyncio.ensure_future(peer.turn())
        await _run_clock(replay_clock, turn)
    assert replay_clock.now - began_s == pytest.approx(took_s / pace, abs=0.2)


async def test_barge_in_cuts_the_answer_where_the_client_speaks(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    async with Simulator(pace=1, espeak=False, log=path, log_media=True) as server, session(server) as peer:
        await peer.say("count to 30")
        await peer.until(lambda message: "modelTurn" in message.get("serverContent", {}))
        await peer.speak(SILENCE[:9600] + spoken() + SILENCE)
        await peer.turn()
        await peer.until(lambda message: "modelTurn" in message.get("serverContent", {}))
    (recorded,) = read_replay(path)
    kinds = [step.event.kind for step in recorded.steps if isinstance(step, WaitFor)]
    assert kinds == [Kind.TYPED, Kind.SPEECH_START, Kind.SPEECH_END]
    async with Simulator(pace=0, replay=path) as server, dial(server) as peer:
        await RecordedClient(recorded, peer).run()
        assert server.sessions[0].turns[0].interrupted
    assert server.departures == []


async def test_line_is_taken_for_the_same_words_spoken(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    options: dict[str, Any] = {"answer": lambda question: "Yes.", "heard": ["Is it open?"]}
    async with (
        Simulator(pace=0, espeak=False, log=path, log_media=True, **options) as server,
        session(server) as peer,
    ):
        await peer.speak(SILENCE + spoken() + SILENCE)
        await peer.turn()
    for text, n in (("is it open?", 0), ("is it closed?", 1)):
        async with Simulator(pace=0, replay=path) as server, session(server) as peer:
            assert (await peer.ask(text)).words == "Yes."
        assert len(server.departures) == n
    assert server.departures[0].endswith('typed "is it closed?", where the recorded client spoke')


async def test_differences_of_setup_and_results_are_told(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await record_conversation(path)
    async with Simulator(pace=0, replay=path) as server, session(server, tools=declare("f")) as peer:
        await peer.ask("Hello there")
        await peer.say('call f({"a": 1}) call g()')
        messages = await peer.until(lambda message: "toolCall" in message)
        for call in messages[-1]["toolCall"]["functionCalls"]:
            answer = {"id": call["id"], "name": call["name"], "response": {"output": 5}}
            await peer.send({"toolResponse": {"functionResponses": [answer]}})
        await peer.send({"toolResponse": {"functionResponses": [{"id": "fc_1", "name": "f", "response": {}}]}})
        await peer.turn()
    told = server.departures
    assert told[0] == "did not declare g, which the recording calls"
    assert "answered f with {'output': 5}, where the recorded client answered {'output': 'f'}" in told[1]
    assert server.sessions[0].notes == ["the setup differs from the recorded one in tools"]
    assert server.mistakes == ["answered a call that was never made: fc_1"]
    assert any("left the recording: 4" in line for line in server.verdict())
    assert server.verdict_data()["departures"] == 4


async def test_recording_without_media_is_served_with_silence(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    async with Simulator(pace=0, espeak=False, log=path) as server, session(server) as peer:
        n_bytes = len((await peer.ask("Hello")).audio)
        await peer.speak(SILENCE + spoken() + SILENCE)
        await peer.turn()
    async with Simulator(pace=0, replay=path) as server, session(server) as peer:
        assert (await peer.ask("Hello")).audio == bytes(n_bytes)
        await peer.speak(SILENCE + spoken() + SILENCE)
        assert (await peer.turn()).heard.startswith("(speech")
    assert server.departures == []


@pytest.mark.parametrize("handle", ["unknown", None])
async def test_handle_that_is_not_known_is_refused(handle: str | None, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await record_lines(path, "one")
    async with Simulator(pace=0, replay=path) as server:
        async with dial(server) as peer:
            await peer.send(setup())
            messages = await peer.until(lambda message: "sessionResumptionUpdate" in message)
        await server.sessions[0].wait_for(lambda record: not record.open)
        async with dial(server) as peer:
            known = messages[-1]["sessionResumptionUpdate"]["newHandle"]
            await peer.send(setup(sessionResumption={"handle": handle or known}))
            assert (await peer.closed())[0] == (1008 if handle else 1007)


async def test_close_of_the_service_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    async with (
        Simulator(pace=0, espeak=False, log=path, faults=["close:1011:gone@turn1*1"]) as server,
        session(server) as peer,
    ):
        await peer.say("Hello")
        await peer.closed()
        async with session(server) as other:
            await other.ask("Hello")
    async with Simulator(pace=0, replay=path) as server:
        async with session(server) as peer:
            await peer.say("Hello")
            assert await peer.closed() == (1011, "gone")
        async with session(server) as peer:  # which goes on with the second connection of the recording
            assert (await peer.ask("Hello")).words == "Hello"
    assert server.departures == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        (
            '{"format": "gemini-live-recording", "version": 1, "program": "x", "role": "client", "started_at": ""}\n',
            "no session",
        ),
        (
            '{"format": "gemini-live-recording", "version": 1, "program": "x", "role": "client", "started_at": "", '
            '"redacted": true}\n',
            "a redacted recording cannot be replayed",
        ),
        (None, "cannot be read: No such file"),
    ],
)
def test_file_that_cannot_be_replayed_is_one_line(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        Simulator(replay=path)
    assert str(raised.value).startswith(str(path)) and words in str(raised.value)


def write_answer(path: Path, *messages: Any, asked: Any = None) -> None:
    """Write a recording in which a client asks and the server sends `messages`."""
    sent = [("client", setup()), ("client", asked or {"realtimeInput": {"text": "Hello"}})]
    header = {"format": "gemini-live-recording", "version": 1, "program": "x", "role": "client", "started_at": ""}
    lines = [header] + [
        {"t_s": 1, "type": "message", "from": sender, "connection": 1, "message": message}
        for sender, message in [*sent, *(("server", message) for message in messages)]
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"serverContent": None}, "serverContent is not an object"),
        ({"serverContent": {"modelTurn": {"parts": {}}}}, "serverContent.modelTurn.parts is not a list"),
        ({"serverContent": {"modelTurn": {"parts": [{"inlineData": 1}]}}}, "parts.inlineData is not an object"),
        ({"serverContent": {"outputTranscription": {"text": 7}}}, "outputTranscription.text is not a text"),
        ({"voiceActivity": 5}, "voiceActivity is not an object"),
        ({"toolCall": {"functionCalls": [5]}}, "toolCall.functionCalls is not an object"),
        ({"toolCall": {"functionCalls": [{"name": "f", "id": []}]}}, "toolCall.functionCalls.id is not a text"),
        ({"toolCallCancellation": {"ids": [None]}}, "toolCallCancellation.ids is not a text"),
        ({"sessionResumptionUpdate": "x"}, "sessionResumptionUpdate is not an object"),
    ],
)
def test_what_no_server_sends_is_one_line(message: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_answer(path, {"serverContent": {}}, message)
    with pytest.raises(ConfigError) as raised:
        Simulator(replay=path)
    assert str(raised.value).startswith(f"{path}:5: not a message of a server: ") and words in str(raised.value)


async def test_odd_content_of_a_recording_is_served(tmp_path: Path) -> None:
    """Half a character in words, sound without data or far too long, a message that was refused."""
    path = tmp_path / "r.jsonl"
    sounds = [{"mimeType": "audio/pcm"}, {"mimeType": "audio/pcm", "data": "", "bytes": 10**11}]
    parts = [{"inlineData": sound} for sound in sounds]
    answer = {"modelTurn": {"parts": parts}, "outputTranscription": {"text": "\ud83d!"}, "turnComplete": True}
    write_answer(path, {"setupComplete": {}}, {"serverContent": answer}, asked={"realtimeInput": 5})
    async with Simulator(pace=0, replay=path) as server, session(server):
        await server.sessions[0].wait_for(lambda record: record.n_sent == 2)
    content = server.sessions[0].sent[1]["serverContent"]
    assert content["outputTranscription"] == {"text": "\ud83d!"}
    assert content["modelTurn"]["parts"][1]["inlineData"]["data"] == ""


def test_replay_and_script_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one thing decides"):
        Simulator(replay=tmp_path / "r.jsonl", answer=lambda question: "x")


@pytest.mark.parametrize(
    "recorded",
    ["fc_123456789", "call_3850_fc_0_0", "function-call-42", "53ebe315-1e7e-40b4-964f-68bfea12726c", "abc", "7"],
)
def test_new_ids_have_the_form_of_the_recorded_ones(recorded: str) -> None:
    ids = ReplayIds(Random(1))
    new = ids.renew(recorded)
    assert new != recorded and ids.renew(recorded) == new and ids.find(new) == recorded
    assert ids.find("another") is None
    if recorded != "abc":
        assert [c.isdigit() for c in new] == [c.isdigit() for c in recorded] or "-" in recorded
        assert len(new) == len(recorded)


def test_more_short_ids_than_there_are_digits_stay_apart() -> None:
    ids = ReplayIds(Random(1))
    assert len({ids.renew(str(n)) for n in range(10)} | {ids.renew("x")}) == 11


async def test_google_genai_is_served_by_a_recording_of_another_client(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await record_conversation(path)
    config = {**WORDS, "tools": [{"function_declarations": [{"name": name, "behavior": "BLOCKING"} for name in "fg"]}]}
    async with Simulator(tls=True, pace=0, replay=path) as server, sdk_session(server, config) as live:
        await live.send_client_content(turns=types.Content(role="user", parts=[types.Part(text="Hello there")]))
        assert words_of(await receive_turn(live)) == "Hello there"
        await live.send_realtime_input(text='call f({"a": 1}) call g()')
        async for message in live.receive():
            if message.tool_call:
                answers = [
                    types.FunctionResponse(id=call.id, name=call.name, response={"output": call.name})
                    for call in message.tool_call.function_calls or []
                ]
                await live.send_tool_response(function_responses=answers)
                break
        assert words_of(await receive_turn(live)) == "f returned f. g returned g"
        for chunk in (SILENCE, spoken(), SILENCE):
            await live.send_realtime_input(audio=types.Blob(data=chunk, mime_type="audio/pcm;rate=16000"))
        assert words_of(await receive_turn(live)).startswith("(speech")
    assert server.departures == []


async def test_answer_is_cut_off_when_the_client_speaks_sooner_than_the_recorded_one(tmp_path: Path) -> None:
    path, clock = tmp_path / "r.jsonl", FakeClock()
    options: dict[str, Any] = {"espeak": False, "log": path, "log_media": True, "clock": clock}
    async with Simulator(pace=1, **options) as server, session(server) as peer:
        await peer.say("count to 30")
        heard = asyncio.ensure_future(_hear(peer, 20))
        await _run_clock(clock, heard)
        await peer.speak(SILENCE[:9600] + spoken() + SILENCE)
        await peer.turn()
        await _run_clock(clock, asyncio.ensure_future(peer.turn()))
    replay_clock = FakeClock()
    async with Simulator(replay=path, clock=replay_clock) as server, session(server) as peer:
        await peer.say("count to 30")
        await _run_clock(replay_clock, asyncio.ensure_future(_hear(peer, 3)))
        await peer.speak(SILENCE[:9600] + spoken() + SILENCE)
        cut = await peer.turn()
        assert cut.has("interrupted") and len(cut.chunks) < 10
        turn = asyncio.ensure_future(peer.turn())
        await _run_clock(replay_clock, turn)
        assert turn.result().words.startswith("(speech")
    assert server.departures == []


@pytest.mark.parametrize("fault", ["late-words", "close", "close:1011@turn1", "stale-handle", "many-parts", "chaos"])
async def test_fault_of_a_model_is_refused(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await record_lines(path, "one")
    with pytest.raises(ConfigError, match=f"--fault {fault.partition(':')[0]} has no effect in a replay"):
        Simulator(replay=path, faults=[fault])


async def test_fault_of_the_connection_happens_in_a_replay(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await record_lines(path, "one")
    faults = ["close:1011:gone@message6", "text-frames@turn1"]
    async with Simulator(pace=0, replay=path, faults=faults) as server, session(server) as peer:
        peer.strict = False
        await peer.say("one")
        assert await peer.closed() == (1011, "gone")
        assert isinstance(peer.frames[-1], str)


async def _hear(peer: Peer, n: int) -> None:
    """Receive that many messages with sound."""
    for _ in range(n):
        await peer.until(lambda message: "modelTurn" in message.get("serverContent", {}))
