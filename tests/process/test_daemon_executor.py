"""The executor of daemon threads."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gemini_live.process.daemon_executor import DaemonExecutor

WAIT_S = 10


def test_submit_gives_the_result() -> None:
    assert DaemonExecutor().submit(divmod, 7, 2).result(WAIT_S) == (3, 1)


def test_submit_passes_keyword_arguments() -> None:
    assert DaemonExecutor().submit(int, "ff", base=16).result(WAIT_S) == 255


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_an_exception_of_any_kind_belongs_to_who_waits(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind("mine")

    future = DaemonExecutor().submit(fail)
    assert isinstance(future.exception(WAIT_S), kind)


def test_every_piece_of_work_has_a_daemon_thread_of_its_own() -> None:
    executor, together = DaemonExecutor(), threading.Barrier(4)

    def work() -> threading.Thread:
        together.wait(WAIT_S)  # passes only if all four run at once
        return threading.current_thread()

    threads = [future.result(WAIT_S) for future in [executor.submit(work) for _ in range(4)]]
    assert len({id(thread) for thread in threads}) == 4
    assert all(thread.daemon for thread in threads)


def test_a_thread_is_named_after_its_work() -> None:
    def look_it_up() -> str:
        return threading.current_thread().name

    assert DaemonExecutor().submit(look_it_up).result(WAIT_S) == "executor: look_it_up"


def test_work_without_a_name_can_be_submitted() -> None:
    class Work:
        def __call__(self) -> str:
            return "done"

        def __repr__(self) -> str:
            return "a piece of work"

    assert DaemonExecutor().submit(Work()).result(WAIT_S) == "done"


def test_shutdown_waits_for_nothing() -> None:
    executor, release = DaemonExecutor(), threading.Event()
    future = executor.submit(release.wait, WAIT_S)
    executor.shutdown(wait=True, cancel_futures=True)
    assert not future.done()
    release.set()
    assert future.result(WAIT_S)


def test_it_is_one_that_asyncio_takes_as_its_default() -> None:
    assert issubclass(DaemonExecutor, ThreadPoolExecutor)


def test_the_loop_uses_it_and_ends_while_work_hangs() -> None:
    release = threading.Event()
    hanging: list[Future[bool]] = []

    async def converse() -> int:
        loop = asyncio.get_running_loop()
        executor = DaemonExecutor()
        loop.set_default_executor(executor)
        hanging.append(executor.submit(release.wait, WAIT_S))
        return await loop.run_in_executor(None, sum, [1, 2, 3])

    assert asyncio.run(converse()) == 6
    assert not hanging[0].done()
    release.set()
    assert hanging[0].result(WAIT_S)


def test_work_that_outlives_the_loop_says_nothing_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    threads: list[threading.Thread] = []

    async def converse() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(DaemonExecutor())
        begun = asyncio.Event()

        def work() -> None:
            threads.append(threading.current_thread())
            loop.call_soon_threadsafe(begun.set)
            release.wait(WAIT_S)

        waiting = asyncio.ensure_future(loop.run_in_executor(None, work))
        await begun.wait()
        waiting.cancel()

    asyncio.run(converse())
    release.set()
    threads[0].join(WAIT_S)
    assert not threads[0].is_alive()
    assert caplog.text == ""


def test_a_process_ends_while_work_hangs() -> None:
    program = (
        "import asyncio, threading\n"
        "from gemini_live.process.daemon_executor import DaemonExecutor\n"
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    loop.set_default_executor(DaemonExecutor())\n"
        "    loop.run_in_executor(None, threading.Event().wait)\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
        "print('left')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")
