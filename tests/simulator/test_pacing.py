"""When things are sent: bursts faster than real time, the end of a turn after the time that playing it takes."""

from typing import Any

from gemini_live.simulator import Simulator
from gemini_live.simulator.records import SessionRecord

from .fake_clock import FakeClock
from .peer import ON_TIME, Peer, session

TEXT_MODEL = "models/gemini-robotics-er-2-streaming-preview"


def simulator(clock: FakeClock, **options: Any) -> Simulator:
    return Simulator(**{"pace": 4, "espeak": False, "seed": ON_TIME, "clock": clock, **options})


async def begin(server: Simulator, peer: Peer, clock: FakeClock, text: str) -> SessionRecord:
    record = server.sessions[0]
    await peer.say(text)
    await clock.waited_on()
    return record


async def test_speech_is_sent_in_bursts_at_the_pace_that_was_asked_for() -> None:
    clock = FakeClock()
    async with simulator(clock) as server, session(server) as peer:
        record = await begin(server, peer, clock, "count to 40")
        (turn,) = record.turns
        for burst in range(1, 20):
            assert 0.2 * burst - 0.0001 <= turn.audio_s < 0.2 * burst + 0.0401, burst
            sent = record.n_sent
            clock.advance(0.049)
            assert record.n_sent == sent
            clock.advance(0.0015)
            await clock.waited_on()
            assert record.n_sent > sent


async def test_turn_is_complete_when_it_would_have_been_played() -> None:
    clock = FakeClock()
    async with simulator(clock) as server, session(server) as peer:
        record = await begin(server, peer, clock, "count to 5")
        started = clock.now
        (turn,) = record.turns
        while not turn.generation_complete:
            clock.advance(0.051)
            await clock.waited_on()
        assert clock.now - started < turn.audio_s / 3
        clock.advance(started + turn.audio_s - clock.now - 0.01)
        assert not turn.complete
        clock.advance(0.02)
        await record.wait_for(lambda record: record.turns[0].complete)


async def test_text_is_sent_piece_by_piece() -> None:
    clock = FakeClock()
    async with simulator(clock, pace=1) as server, session(server, model=TEXT_MODEL) as peer:
        record = await begin(server, peer, clock, "one two three four five six seven eight nine")
        assert record.turns[0].words == "one two three"
        await clock.waited_on()
        clock.advance(0.051)
        await clock.waited_on()
        assert record.turns[0].words == "one two three four five six"
        clock.advance(0.051)
        await clock.waited_on()
        clock.advance(0.021)
        await record.wait_for(lambda record: record.turns[0].complete)


async def test_late_turn_complete_is_late_at_any_pace() -> None:
    clock = FakeClock()
    async with simulator(clock, pace=0, faults=["late-turn-complete:7"]) as server, session(server) as peer:
        record = await begin(server, peer, clock, "Hello")
        assert record.turns[0].generation_complete
        clock.advance(6.9)
        assert not record.turns[0].complete
        clock.advance(0.2)
        await record.wait_for(lambda record: record.turns[0].complete)


async def test_stall_holds_everything_back_and_lets_it_go_at_once() -> None:
    clock = FakeClock()
    async with simulator(clock, pace=0, faults=["stall:5"]) as server, session(server) as peer:
        record = await begin(server, peer, clock, "count to 10")
        (turn,) = record.turns
        held = turn.audio_s
        clock.advance(4.9)
        assert turn.audio_s == held
        clock.advance(0.2)
        await record.wait_for(lambda record: turn.complete)
        assert turn.audio_s > held


async def test_words_after_the_end_come_a_moment_later() -> None:
    clock = FakeClock()
    async with simulator(clock, faults=["late-words"]) as server, session(server) as peer:
        record = await begin(server, peer, clock, "Hello")
        while not record.turns[0].complete:
            clock.advance(0.1)
            await clock.waited_on()
        assert not any("outputTranscription" in message.get("serverContent", {}) for message in record.sent)
        clock.advance(0.1)
        await record.wait_for(lambda record: "outputTranscription" in record.sent[-1].get("serverContent", {}))
