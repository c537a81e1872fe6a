"""clock.py: pauses on a clock that a test moves, cut off and woken."""

import asyncio

import pytest

from gemini_live.simulator.clock import Alarm, CutOff, TurnClock, sleep

from .fake_clock import FakeClock


async def test_pause_ends_at_its_time_and_not_before() -> None:
    clock = FakeClock()
    turn_clock = TurnClock(clock)
    pause = asyncio.create_task(turn_clock.pause_until(clock.now + 2))
    await clock.waited_on()
    clock.advance(1.9)
    await asyncio.sleep(0)
    assert not pause.done()
    clock.advance(0.2)
    await pause


async def test_pause_that_is_over_lets_others_run() -> None:
    clock = FakeClock()
    ran: list[int] = []
    other = asyncio.create_task(asyncio.to_thread(ran.append, 1))
    turn_clock = TurnClock(clock)
    while not ran:
        await turn_clock.pause_until(clock.now - 1)
    await other
    assert ran == [1]


async def test_cut_ends_a_pause_at_once_and_every_later_one() -> None:
    clock = FakeClock()
    turn_clock = TurnClock(clock)
    pause = asyncio.create_task(turn_clock.pause_until(clock.now + 2))
    await clock.waited_on()
    turn_clock.cut_off()
    with pytest.raises(CutOff):
        await pause
    with pytest.raises(CutOff):
        await turn_clock.pause_until(0)
    with pytest.raises(CutOff):
        await turn_clock.wait_for(lambda: True)
    turn_clock.begin()
    await turn_clock.wait_for(lambda: True)


async def test_condition_is_looked_at_when_woken() -> None:
    clock = FakeClock()
    turn_clock = TurnClock(clock)
    found: list[int] = []
    waiting = asyncio.create_task(turn_clock.wait_for(lambda: bool(found), clock.now + 60))
    await clock.waited_on()
    turn_clock.wake()
    await asyncio.sleep(0)
    assert not waiting.done()
    found.append(1)
    turn_clock.wake()
    await waiting
    assert clock.now == 1000


async def test_alarm_that_nobody_waits_for_may_be_woken() -> None:
    Alarm(FakeClock()).wake()


async def test_alarm_takes_its_timer_back() -> None:
    clock = FakeClock()
    waiting = asyncio.create_task(Alarm(clock).wait(clock.now + 5))
    await clock.waited_on()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(TimeoutError):
        await clock.waited_on(timeout_s=0.01)


async def test_no_time_is_no_sleep() -> None:
    await sleep(FakeClock(), 0)
    await sleep(FakeClock(), -1)
