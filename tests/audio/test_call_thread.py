"""Blocking calls made for the loop."""

import asyncio
import threading
from functools import partial

import pytest

from gemini_live.audio.call_thread import CallThread


async def test_a_call_returns_its_result_and_raises_its_error() -> None:
    thread = CallThread("test")
    assert await thread.call(lambda: 6 * 7, 5) == 42
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 // 0, 5)
    thread.end()


async def test_calls_are_made_in_one_daemon_thread_in_order() -> None:
    thread, order = CallThread("test"), []

    def call(number: int) -> threading.Thread:
        order.append(number)
        return threading.current_thread()

    threads = await asyncio.gather(*(thread.call(partial(call, number), 5) for number in range(20)))
    assert order == list(range(20))
    assert len(set(threads)) == 1
    assert threads[0].daemon
    assert threads[0].name == "test"
    thread.end()
    threads[0].join(5)
    assert not threads[0].is_alive()


async def call_when_free(thread: CallThread) -> str:
    while True:
        try:
            return await thread.call(lambda: "again", 5)
        except TimeoutError:
            await asyncio.sleep(0)


async def test_no_call_is_made_after_one_that_hangs() -> None:
    thread, release, made = CallThread("test"), threading.Event(), []
    with pytest.raises(TimeoutError):
        await thread.call(release.wait, 0.01)
    assert thread.is_stuck
    with pytest.raises(TimeoutError):
        await thread.call(lambda: made.append(1), 60)
    release.set()
    async with asyncio.timeout(5):
        assert await call_when_free(thread) == "again"
    assert made == []
    thread.end()


async def test_a_call_that_waits_behind_a_hanging_one_is_never_made() -> None:
    thread, started, release, made = CallThread("test"), threading.Event(), threading.Event(), []

    def hang() -> None:
        started.set()
        release.wait()

    abandoned = asyncio.ensure_future(thread.call(hang, 60))
    await asyncio.to_thread(started.wait)
    abandoned.cancel()
    with pytest.raises(TimeoutError):
        await thread.call(lambda: made.append(1), 0.01)
    assert thread.is_stuck
    release.set()
    async with asyncio.timeout(5):
        assert await call_when_free(thread) == "again"
    assert made == []
    thread.end()


async def test_a_cancelled_call_leaves_the_thread_usable() -> None:
    thread, release = CallThread("test"), threading.Event()
    waiting = asyncio.ensure_future(thread.call(release.wait, 60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    assert await thread.call(lambda: "still here", 5) == "still here"
    thread.end()
