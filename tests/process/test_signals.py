"""Ctrl-C, SIGTERM and SIGHUP."""

import os
import signal
import textwrap
import threading

import pytest

from gemini_live.process import signals as signals_module
from gemini_live.process.ending import Ending
from gemini_live.process.signals import Signals
from tests.command import LIVENESS_S, Timed

from .script import Ended, posix, run


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_raises_keyboard_interrupt_if_nothing_can_be_stopped(number: int, code: int, ending: Ending) -> None:
    signals = Signals(ending)
    with signals.caught(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        threading.Event().wait(LIVENESS_S)
    assert ending.code == code


@posix
def test_sigttou_is_ignored_after_a_signal_so_that_a_suspended_process_can_end() -> None:
    """One that was suspended, and is ended by another's signal, is not in the foreground."""
    script = """
        signals = Signals(make_ending())
        signals.stop = lambda: None
        with signals.caught():
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            print(signal.getsignal(signal.SIGTTOU) is signal.SIG_IGN)
    """
    assert run(script) == (0, "True\n", "")


@posix
def test_a_signal_calls_stop(ending: Ending) -> None:
    stopped = threading.Event()
    signals = Signals(ending)
    with signals.caught():
        signals.stop = stopped.set
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.wait(LIVENESS_S)
    assert ending.code == 143


@posix
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_within_a_second_changes_nothing(
    second: int, monkeypatch: pytest.MonkeyPatch, ending: Ending
) -> None:
    ended, stops = Ended(monkeypatch), list[int]()
    signals = Signals(ending)
    with signals.caught():
        signals.stop = lambda: stops.append(1)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), second)
    assert (ended, stops, ending.code) == ([], [1], 143)


@posix
def test_a_late_second_ctrl_c_restores_the_terminal_and_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, ending: Ending
) -> None:
    monkeypatch.setattr(signals_module, "SECOND_INTERRUPT_S", 0.0)
    ended, order = Ended(monkeypatch), list[object]()
    ending.restore_terminal = lambda: order.append(list(ended))
    signals = Signals(ending)
    with signals.caught():
        signals.stop = lambda: None
        os.kill(os.getpid(), signal.SIGINT)
        before = list(order)
        os.kill(os.getpid(), signal.SIGINT)
        assert ended.came.wait(LIVENESS_S)
    assert (before, order, ended) == ([], [[]], [130])


@posix
def test_sighup_calls_stop(ending: Ending) -> None:
    stopped = threading.Event()
    signals = Signals(ending)
    with signals.caught():
        signals.stop = stopped.set
        os.kill(os.getpid(), signal.SIGHUP)
        assert stopped.wait(LIVENESS_S)
    assert ending.code == 129


@posix
def test_an_ignored_sighup_stays_ignored(ending: Ending) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals, stopped = Signals(ending), list[int]()
        with signals.caught():
            signals.stop = lambda: stopped.append(1)
            os.kill(os.getpid(), signal.SIGHUP)
        assert (ending.code, stopped) == (None, [])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@posix
def test_the_handlers_of_before_are_restored(ending: Ending) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Signals(ending).caught():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_no_handler_is_set_outside_the_main_thread(ending: Ending) -> None:
    before, inside = signal.getsignal(signal.SIGINT), []

    def look() -> None:
        with Signals(ending).caught():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert inside == [before]


@posix
def test_a_signal_ends_the_process_though_the_main_thread_sleeps() -> None:
    """Let another thread get it, as if it had come just before the main one began to sleep."""
    script = """
        import time
        ending = make_ending()
        ending.write_last_line = lambda code: os.write(1, f"last line {code} ".encode())
        signals = Signals(ending)
        signals.wake = lambda: os.write(1, b"woken ")
        signals.stop = lambda: None  # should the main thread be awake after all: it goes to sleep
        with signals.caught():
            threading.Thread(target=time.sleep, args=[60], daemon=True).start()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
    """
    with Timed() as timed:
        assert run(script) == (130, "woken last line 130 ", "")
    assert timed.took_s < 20


HANDLED_BY_A_LOOP = """
    import asyncio
    signals = Signals(make_ending())

    async def main():
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        resized, woken = asyncio.Event(), threading.Event()
        signals.stop = lambda: loop.call_soon_threadsafe(task.cancel)

        def wake():
            woken.set()
            loop.call_soon_threadsafe(lambda: None)

        signals.wake = wake
        loop.add_signal_handler(signal.SIGWINCH, resized.set)
        signals.relay()
        {act}
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("stopped, the watcher", "knows" if woken.wait(20) else "does not know")

    with signals.caught():
        asyncio.run(main())
"""
"""A loop that handles a signal of its own, and then Ctrl-C."""


@posix
def test_a_relayed_signal_reaches_the_event_loop_and_the_watcher() -> None:
    act = """
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGWINCH)
            await asyncio.wait_for(resized.wait(), 20)
            resized.clear()
            print("resized", flush=True)
    """
    script = HANDLED_BY_A_LOOP.format(act=textwrap.indent(textwrap.dedent(act), " " * 8).strip())
    assert run(script) == (0, "resized\nresized\nstopped, the watcher knows\n", "")


@posix
def test_the_watcher_gets_signals_after_the_event_loop_gave_up_its_handler() -> None:
    act = """
        loop.remove_signal_handler(signal.SIGWINCH)
        signals.relay()
    """
    script = HANDLED_BY_A_LOOP.format(act=textwrap.indent(textwrap.dedent(act), " " * 8).strip())
    assert run(script) == (0, "stopped, the watcher knows\n", "")


@posix
def test_relay_does_nothing_outside_caught(ending: Ending) -> None:
    signals = Signals(ending)
    signals.relay()
    assert signal.set_wakeup_fd(-1) == -1


@posix
def test_the_watcher_continues_after_the_event_loop_was_closed() -> None:
    script = """
        import asyncio
        signals = Signals(make_ending())
        woken = threading.Event()
        signals.wake, signals.stop = woken.set, lambda: None

        async def main():
            asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, lambda: None)
            signals.relay()

        with signals.caught():
            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
            # Closed without a word to whoever relays: the descriptor is gone.
            own = signals._sender.fileno()
            loop.close()
            signal.set_wakeup_fd(own)
            os.kill(os.getpid(), signal.SIGTERM)
            print(woken.wait(20))
    """
    assert run(script) == (0, "True\n", "")
