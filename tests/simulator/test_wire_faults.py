"""Every kind of fault, as a client meets it; and when it happens."""

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gemini_live.simulator import FAULT_KINDS, Simulator
from gemini_live.simulator.faults import CHAOS

from .fake_clock import FakeClock
from .peer import ON_TIME, Peer, Turn, declare, dial, session, setup

SAID = "one two three four five six seven eight nine"


def faulty(*faults: str, **options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, "seed": ON_TIME, "faults": faults, **options})


async def closed_after_turn(peer: Peer) -> tuple[int, str]:
    await peer.say(SAID)
    return await peer.closed()


async def everything_of(peer: Peer, text: str = SAID) -> list[str | bytes]:
    """Every frame of a turn, unread."""
    peer.strict = False
    await peer.say(text)
    frames: list[str | bytes] = []
    async with asyncio.timeout(10):
        while not frames or b"turnComplete" not in as_bytes(frames[-1]):
            frames.append(await peer.websocket.recv())
    return frames


def as_bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


@pytest.mark.parametrize(
    ("fault", "close"),
    [
        ("close", (1011, "Internal error encountered.")),
        ("close:1007", (1007, "Request contains an invalid argument.")),
        ("close:1008", (1008, "The operation was aborted.")),
        ("close:1012", (1012, "")),
        ("close:4001:any reason: at all", (4001, "any reason: at all")),
        ("close:1006", (1006, "")),
        ("reset", (1006, "")),
    ],
)
async def test_close_and_reset_in_the_middle_of_a_turn(fault: str, close: tuple[int, str]) -> None:
    async with faulty(fault) as server, session(server) as peer:
        assert await closed_after_turn(peer) == close
        (record,) = server.sessions
        await record.wait_for(lambda record: not record.open)
    assert (record.close_code, record.close_reason, record.closed_by_client) == (*close, False)
    assert 0 < record.turns[0].audio_s < 5
    assert not record.turns[0].complete


async def test_close_at_a_turn_leaves_the_turns_before_alone() -> None:
    async with faulty("close:1011@turn2") as server, session(server) as peer:
        await peer.ask(SAID)
        assert (await closed_after_turn(peer))[0] == 1011


async def test_close_at_a_count_of_messages() -> None:
    async with faulty("close:1011@message5") as server, session(server) as peer:
        assert (await closed_after_turn(peer))[0] == 1011
    assert server.sessions[0].n_sent == 4


async def test_close_at_a_time_needs_no_turn() -> None:
    clock = FakeClock()
    async with faulty("close:1011@2.5s", clock=clock) as server, session(server) as peer:
        await clock.waited_on()
        clock.advance(2.4)
        assert server.sessions[0].open
        clock.advance(0.2)
        assert (await peer.closed())[0] == 1011


async def test_fault_happens_in_every_session_unless_it_is_counted() -> None:
    async with faulty("close:1011@turn1*2") as server:
        for _ in range(2):
            async with session(server) as peer:
                assert (await closed_after_turn(peer))[0] == 1011
        async with session(server) as peer:
            assert (await peer.ask(SAID)).has("turnComplete")


async def test_status_without_a_name_is_sent_all_the_same() -> None:
    async with faulty("refuse:599") as server:
        with pytest.raises(InvalidStatus) as caught:
            async with session(server):
                pass
    assert caught.value.response.status_code == 599
    assert "Retry-After" not in caught.value.response.headers


async def test_refused_handshake_with_status_and_retry_after() -> None:
    async with faulty("refuse:429:7*1") as server:
        with pytest.raises(InvalidStatus) as caught:
            async with session(server):
                pass
        async with session(server) as peer:
            await peer.ask("Hello")
    response = caught.value.response
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert json.loads(response.body or b"")["error"]["code"] == 429
    assert (server.n_refused, len(server.sessions)) == (1, 1)


async def test_handshake_that_hangs_ends_with_the_server(caplog: pytest.LogCaptureFixture) -> None:
    async with faulty("hang") as server:
        with pytest.raises(TimeoutError):
            async with dial(server, open_timeout=0.2):
                pass
    assert server.sessions == []
    assert caplog.records == []


async def test_setup_that_is_never_answered_does_not_keep_the_server() -> None:
    async with faulty("no-setup-complete") as server:
        async with dial(server) as peer:
            await peer.send(setup())
            record = await server.wait_for_session()
            await record.wait_for(lambda record: record.n_received == 1)
        await record.wait_for(lambda record: not record.open)
    assert record.n_sent == 0


async def test_setup_that_is_answered_late() -> None:
    clock = FakeClock()
    async with faulty("slow-setup:3", clock=clock) as server, dial(server) as peer:
        await peer.send(setup())
        await clock.waited_on()
        assert server.sessions[0].n_sent == 0
        clock.advance(3)
        assert await peer.receive() == {"setupComplete": {}}


async def test_name_that_this_service_does_not_know() -> None:
    async with faulty("unknown-name:contextWindowCompression.slidingWindow") as server:
        async with session(server) as peer:
            await peer.ask("Hello")
        async with dial(server) as peer:
            await peer.send(setup(contextWindowCompression={"slidingWindow": {}}))
            code, reason = await peer.closed()
    assert code == 1007
    assert "Unknown name \"slidingWindow\" at 'setup.context_window_compression'" in reason


async def test_stale_handle() -> None:
    async with faulty("stale-handle*1") as server:
        async with session(server, sessionResumption={}) as peer:
            handle = (await peer.receive())["sessionResumptionUpdate"]["newHandle"]
        await server.sessions[0].wait_for(lambda record: not record.open)
        async with dial(server) as peer:
            await peer.send(setup(sessionResumption={"handle": handle}))
            assert await peer.closed() == (1008, "Requested entity was not found.")
        async with session(server, sessionResumption={"handle": handle}) as peer:
            await peer.ask("Hello")
    assert server.sessions[2].resumed_from == 1


async def test_top_level_error_message() -> None:
    async with faulty("error:503:Overloaded") as server, session(server) as peer:
        errors = [json.loads(frame) for frame in await everything_of(peer) if b"error" in as_bytes(frame)]
    assert errors == [{"error": {"code": 503, "message": "Overloaded", "status": "INTERNAL"}}]


async def test_malformed_json_between_good_messages() -> None:
    async with faulty("malformed") as server, session(server) as peer:
        frames = await everything_of(peer)
    bad = [frame for frame in frames if not is_json(frame)]
    assert len(bad) == 1


def is_json(frame: str | bytes) -> bool:
    try:
        json.loads(frame)
    except ValueError:
        return False
    return True


async def test_message_of_more_than_a_mebibyte_is_a_thought() -> None:
    async with faulty("huge:1.5") as server, session(server) as peer:
        turn = await peer.ask(SAID)
        assert max(map(len, peer.frames)) > 1.5 * 2**20
        assert [part for part in turn.parts if part.get("thought")]


async def test_spurious_interruption() -> None:
    async with faulty("interrupted") as server, session(server) as peer:
        turn = await peer.ask(SAID)
        assert turn.has("interrupted") and not turn.has("generationComplete")
        assert len(turn.words) < len(SAID)


async def test_go_away_and_the_close_after_it() -> None:
    clock = FakeClock()
    async with faulty("go-away:5", clock=clock) as server, session(server) as peer:
        await peer.say(SAID)
        messages = await peer.until(lambda message: "goAway" in message)
        assert messages[-1] == {"goAway": {"timeLeft": "5s"}}
        await clock.waited_on()
        clock.advance(5.1)
        assert (await peer.closed())[0] == 1008


async def test_turn_without_a_turn_complete() -> None:
    async with faulty("no-turn-complete@turn1") as server, session(server) as peer:
        await peer.say(SAID)
        await peer.say("Hello")
        turn = await peer.turn()
        assert [sorted(content) for content in turn.contents].count(["generationComplete"]) == 2
    assert [turn.complete for turn in server.sessions[0].turns] == [False, True]


async def test_turn_without_any_end() -> None:
    async with faulty("no-turn-end@turn1") as server, session(server) as peer:
        await peer.say(SAID)
        await peer.say("Hello")
        turn = await peer.turn()
        assert [sorted(content) for content in turn.contents].count(["generationComplete"]) == 1


async def test_turn_complete_in_mid_sentence_and_again_at_the_end() -> None:
    async with faulty("early-turn-complete") as server, session(server) as peer:
        early, rest = await peer.ask(SAID), await peer.turn()
        assert early.words + rest.words == SAID
        assert early.audio and rest.audio


async def test_empty_turn() -> None:
    async with faulty("empty-turn@turn2") as server, session(server) as peer:
        await peer.ask(SAID)
        turn = await peer.ask(SAID)
        assert turn.contents == [{"turnComplete": True}]


async def test_no_answer_until_somebody_interrupts() -> None:
    async with faulty("no-answer@turn1") as server, session(server) as peer:
        await peer.say(SAID)
        await server.sessions[0].wait_for(lambda record: bool(record.turns))
        await peer.content("Hello")
        assert (await peer.turn()).has("interrupted")
        assert (await peer.turn()).words == "Hello"


async def test_words_after_the_end() -> None:
    async with faulty("late-words") as server, session(server) as peer:
        turn = await peer.ask("Hello")
        assert turn.words == ""
        assert (await peer.receive())["serverContent"]["outputTranscription"]["text"] == "Hello"


async def test_call_made_twice_with_one_id() -> None:
    async with faulty("duplicate-call") as server, session(server, tools=declare("f")) as peer:
        await peer.say("call f()")
        first, second = [await peer.until(lambda m: "toolCall" in m) for _ in range(2)]
        assert first[-1] == second[-1]


async def test_call_that_is_cancelled_is_not_spoken_of() -> None:
    async with faulty("cancel-call") as server, session(server, tools=declare("f")) as peer:
        turn = await peer.ask("call f()")
        assert turn.has("toolCallCancellation")
        assert not turn.parts
    assert [call.cancelled for call in server.sessions[0].calls.values()] == [True]


async def test_silence_leaves_the_connection_alive() -> None:
    async with faulty("silence@turn1") as server, session(server) as peer:
        await peer.say(SAID)
        await server.sessions[0].wait_for(lambda record: bool(record.turns) and record.turns[0].complete)
        async with asyncio.timeout(5):
            await (await peer.websocket.ping())
    assert [next(iter(message)) for message in server.sessions[0].sent] == ["setupComplete", "sessionResumptionUpdate"]


async def test_dripping_sends_fragments_at_a_rate() -> None:
    async with faulty("drip:100000") as server, dial(server) as peer:
        await peer.send(setup())
        fragments = [piece async for piece in peer.websocket.recv_streaming()]
        await peer.say("Hello")
        long = [piece async for piece in peer.websocket.recv_streaming()]
    assert b"".join(as_bytes(piece) for piece in fragments) == b'{\n  "setupComplete": {}\n}\n'
    assert all(len(piece) <= 10_000 for piece in long)


async def test_dripping_takes_its_time() -> None:
    clock = FakeClock()
    async with faulty("drip:100", clock=clock) as server, dial(server) as peer:
        await peer.send(setup())
        received = asyncio.create_task(peer.receive())
        steps = 0
        while not received.done():
            await clock.waited_on()
            clock.advance(0.1)
            steps += 1
            if steps >= 3:
                break
        assert await received == {"setupComplete": {}}
        assert steps == 3  # 21 bytes, ten at a time


async def test_no_pong_and_late_pong() -> None:
    async with faulty("no-pong") as server, session(server) as peer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await (await peer.websocket.ping())
    clock = FakeClock()
    async with faulty("slow-pong:10", clock=clock) as server, session(server) as peer:
        pong = asyncio.ensure_future(await peer.websocket.ping())
        await clock.waited_on()
        assert not pong.done()
        clock.advance(10.1)
        async with asyncio.timeout(5):
            await pong
        await peer.websocket.ping()
        await clock.waited_on()
    await server.sessions[0].wait_for(lambda record: not record.open)
    clock.advance(10.1)


async def test_text_frames() -> None:
    async with faulty("text-frames") as server, dial(server) as peer:
        peer.strict = False
        await peer.send(setup())
        assert await peer.receive() == {"setupComplete": {}}
        frames = peer.frames + await everything_of(peer)
        assert {type(frame) for frame in frames} == {str}


async def test_unknown_fields_everywhere() -> None:
    async with faulty("unknown-fields") as server, dial(server) as peer:
        peer.strict = False
        await peer.send(setup())
        message = await peer.receive()
        assert set(message) == {"setupComplete", "someFieldOfTheFuture"}
        assert set(message["setupComplete"]) == {"someFieldOfTheFuture"}
        frames = await everything_of(peer)
        assert all(b"someFieldOfTheFuture" in as_bytes(frame) for frame in frames)


async def test_another_rate_is_named_and_true() -> None:
    async with faulty() as server, session(server) as peer:
        plain = await peer.ask(SAID)
    async with faulty("wrong-rate:16000") as server, session(server) as peer:
        turn = await peer.ask(SAID)
    assert {part["inlineData"]["mimeType"] for part in turn.parts} == {"audio/pcm;rate=16000"}
    assert len(turn.audio) / 32_000 == pytest.approx(len(plain.audio) / 48_000, abs=0.01)


async def test_odd_chunks_split_samples_and_lose_none() -> None:
    async with faulty() as server, session(server) as peer:
        plain = await peer.ask(SAID)
    async with faulty("odd-chunks") as server, session(server) as peer:
        turn = await peer.ask(SAID)
    assert turn.audio == plain.audio
    assert all(len(chunk) % 2 for chunk in turn.chunks[:-1])


async def chaos(seed: int) -> list[list[str]]:
    """What comes in each of a few sessions under chaos, in kinds of messages."""
    came = []
    async with faulty("chaos:0.1", seed=seed) as server:
        for _ in range(6):
            kinds: list[str] = []
            try:
                async with dial(server) as peer:
                    await peer.send(setup())
                    await peer.say(SAID)
                    while not any("turnComplete" in kind for kind in kinds):
                        frame = as_bytes(await peer.websocket.recv())
                        kinds.append(
                            str(sorted(json.loads(frame).get("serverContent", "?"))) if is_json(frame) else "bad"
                        )
            except ConnectionClosed as error:
                kinds.append(str(error))
            came.append(kinds)
    return came


def is_same_session(one: list[str], other: list[str]) -> bool:
    """True if both ended alike, with the same messages before; a connection that is aborted loses the last few."""
    *messages, end = one
    *others, other_end = other
    shared = min(len(messages), len(others)) if "no close frame" in end else None
    return end == other_end and messages[:shared] == others[:shared]


async def test_chaos_is_repeatable_by_its_seed() -> None:
    first = await chaos(1)
    assert all(map(is_same_session, first, await chaos(1)))
    assert first != await chaos(2)
    assert len({str(kinds) for kinds in first}) > 1


def test_chaos_chooses_from_what_there_is() -> None:
    assert {spec.partition(":")[0] for spec in CHAOS} <= {kind.name for kind in FAULT_KINDS}


async def test_turn_of_a_faultless_server_is_whole() -> None:
    async with faulty() as server, session(server) as peer:
        turn: Turn = await peer.ask(SAID)
        assert turn.words == SAID
