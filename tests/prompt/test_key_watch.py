"""Keys that are read while the event loop is stuck."""

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import Context
from types import FrameType
from typing import TypeVarTuple

import pytest

from gemini_live.prompt import key_watch
from gemini_live.prompt.key_watch import KeyWatch

if sys.platform == "win32":
    pytest.skip("a Windows console has no descriptor to read from", allow_module_level=True)

import tty

WAIT_S = 30
CTRL_C = b"\x03"

Args = TypeVarTuple("Args")


class Loop(asyncio.SelectorEventLoop):
    """An event loop that tells how often other threads have asked it to turn."""

    def __init__(self) -> None:
        super().__init__()
        self._n_asked = 0
        self._changed = threading.Condition()

    def call_soon_threadsafe(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        with self._changed:
            self._n_asked += 1
            self._changed.notify_all()
        return super().call_soon_threadsafe(callback, *args, context=context)

    def wait_until_asked(self, times: int) -> None:
        """Wait, in any thread, until it was asked so many more times."""
        with self._changed:
            n_asked = self._n_asked + times
            assert self._changed.wait_for(lambda: self._n_asked >= n_asked, WAIT_S)

    def turn(self, times: int) -> None:
        """Run until it was asked to turn so many more times."""
        self.run_until_complete(asyncio.to_thread(self.wait_until_asked, times))

    def get_stuck_in(self, function: Callable[[], None]) -> None:
        """Have the loop call a function, and not turn meanwhile."""

        async def call() -> None:
            function()

        self.run_until_complete(call())


class Keyboard:
    """What is typed, one read for each time; the watch reads from `descriptor`."""

    def __init__(self) -> None:
        self._sender, self._receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._receiver.setblocking(False)
        self.descriptor = self._receiver.fileno()

    def type(self, *keys: bytes) -> None:
        for key in keys:
            self._sender.send(key)

    def read(self) -> list[bytes]:
        """Return what was typed and not read yet."""
        typed: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                typed.append(self._receiver.recv(100))
        return typed

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()


class Interruption:
    """The Ctrl-C that this process gets."""

    def __init__(self) -> None:
        self._came = threading.Event()

    def handle(self, number: int, frame: FrameType | None) -> None:
        self._came.set()

    def wait(self) -> None:
        """Wait for it, in slices: a signal that comes just before one begins does not end it."""
        assert any(self._came.wait(WAIT_S / 100) for _ in range(100))
        self._came.clear()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch looks often, and takes a loop for stuck soon."""
    monkeypatch.setattr(key_watch, "CHECK_S", 0.005)
    monkeypatch.setattr(key_watch, "STUCK_S", 0.02)


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    made = Keyboard()
    yield made
    made.close()


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    made = Interruption()
    before = signal.signal(signal.SIGINT, made.handle)
    yield made
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@contextlib.contextmanager
def watched(loop: Loop, descriptor: int, feed: Callable[[bytes], None]) -> Iterator[list[threading.Thread]]:
    """Watch over `loop`, which turns only where the body has it do so; yield the threads that do it: they end."""

    async def make() -> KeyWatch:
        return KeyWatch(descriptor, feed)

    watch = loop.run_until_complete(make())
    before = threading.enumerate()
    with watch.watching():
        threads = [thread for thread in threading.enumerate() if thread not in before]
        yield threads
    for thread in threads:
        if key_watch.STUCK_S == WAIT_S:  # the watch waits for the loop
            loop.run_until_complete(asyncio.to_thread(thread.join, WAIT_S))
        thread.join(WAIT_S)
        assert not thread.is_alive()


def ignore(keys: bytes) -> None:
    """Take keys that do not matter."""


# A loop that is stuck


def test_ctrl_c_reaches_the_process_though_the_loop_is_stuck(
    loop: Loop, keyboard: Keyboard, interruption: Interruption
) -> None:
    fed: list[bytes] = []

    def hang() -> None:
        keyboard.type(CTRL_C)
        interruption.wait()

    with watched(loop, keyboard.descriptor, fed.append):
        loop.get_stuck_in(hang)
        loop.turn(1)
    assert fed == []


def test_ctrl_c_is_found_between_other_keys_of_a_terminal(loop: Loop, interruption: Interruption) -> None:
    user, program = os.openpty()
    tty.setraw(program)

    def hang() -> None:
        os.write(user, b"ab" + CTRL_C + b"c")
        interruption.wait()

    with watched(loop, program, ignore):
        loop.get_stuck_in(hang)
    os.close(user)
    os.close(program)


def test_other_keys_are_fed_in_order_once_the_loop_turns(
    loop: Loop, keyboard: Keyboard, interruption: Interruption
) -> None:
    fed: list[bytes] = []
    keys = [b"a", b"\x1b[A", "é".encode(), b"b" * 80]

    def hang() -> None:
        keyboard.type(*keys, CTRL_C)
        interruption.wait()  # so all of them have been read
        assert fed == []

    with watched(loop, keyboard.descriptor, fed.append):
        loop.get_stuck_in(hang)
        loop.turn(1)
    assert fed == keys


def test_keys_are_fed_in_the_loops_thread(loop: Loop, keyboard: Keyboard, interruption: Interruption) -> None:
    threads: list[threading.Thread] = []

    def hang() -> None:
        keyboard.type(b"a", CTRL_C)
        interruption.wait()

    with watched(loop, keyboard.descriptor, lambda keys: threads.append(threading.current_thread())):
        loop.get_stuck_in(hang)
        loop.turn(1)
    assert threads == [threading.current_thread()]


def test_a_loop_may_get_stuck_more_than_once(loop: Loop, keyboard: Keyboard, interruption: Interruption) -> None:
    fed: list[bytes] = []

    def hang(key: bytes) -> None:
        keyboard.type(key, CTRL_C)
        interruption.wait()

    with watched(loop, keyboard.descriptor, fed.append):
        for key in (b"a", b"b"):
            loop.get_stuck_in(functools.partial(hang, key))
            loop.turn(1)
    assert fed == [b"a", b"b"]


# A loop that turns


def test_a_loop_that_turns_is_left_its_keys(loop: Loop, keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_watch, "STUCK_S", WAIT_S)
    fed: list[bytes] = []
    with watched(loop, keyboard.descriptor, fed.append):
        keyboard.type(b"a", CTRL_C)
        loop.turn(20)
    assert keyboard.read() == [b"a", CTRL_C]
    assert fed == []


def test_a_loop_that_turns_again_is_left_its_keys(
    loop: Loop, keyboard: Keyboard, interruption: Interruption, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[bytes] = []

    def hang() -> None:
        keyboard.type(CTRL_C)
        interruption.wait()
        monkeypatch.setattr(key_watch, "STUCK_S", WAIT_S)

    with watched(loop, keyboard.descriptor, fed.append):
        loop.get_stuck_in(hang)
        loop.turn(3)
        keyboard.type(b"a", CTRL_C)
        loop.turn(20)
    assert keyboard.read() == [b"a", CTRL_C]
    assert fed == []


# The end


def test_the_watch_ends_with_the_body(loop: Loop, keyboard: Keyboard) -> None:
    with watched(loop, keyboard.descriptor, ignore) as threads:
        (thread,) = threads
        assert thread.daemon
    keyboard.type(CTRL_C)
    assert keyboard.read() == [CTRL_C]


def test_the_watch_ends_with_the_body_though_the_loop_is_stuck(
    loop: Loop, keyboard: Keyboard, interruption: Interruption
) -> None:
    with watched(loop, keyboard.descriptor, ignore) as threads:
        keyboard.type(CTRL_C)
        interruption.wait()
        assert threads[0].is_alive()


def test_the_watch_ends_with_the_body_though_it_fails(loop: Loop, keyboard: Keyboard) -> None:
    with (
        contextlib.suppress(RuntimeError),
        watched(loop, keyboard.descriptor, ignore) as threads,
    ):
        raise RuntimeError
    threads[0].join(WAIT_S)
    assert not threads[0].is_alive()


def test_the_watch_ends_with_the_loop(keyboard: Keyboard) -> None:
    loop = Loop()
    with watched(loop, keyboard.descriptor, ignore) as threads:
        loop.close()
        threads[0].join(WAIT_S)
        assert not threads[0].is_alive()


def test_keys_that_come_after_the_end_of_a_stuck_loop_end_the_watch(
    keyboard: Keyboard, interruption: Interruption
) -> None:
    loop = Loop()
    fed: list[bytes] = []
    with watched(loop, keyboard.descriptor, fed.append) as threads:
        keyboard.type(CTRL_C)
        interruption.wait()  # it reads
        loop.close()
        keyboard.type(b"a")
        threads[0].join(WAIT_S)
        assert not threads[0].is_alive()
    assert fed == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this read ends, and does not fail")
def test_a_terminal_that_is_gone_is_no_error(loop: Loop, interruption: Interruption) -> None:
    descriptor, terminal = os.openpty()  # this way round: a read fails once the other side is closed
    tty.setraw(terminal)
    fed: list[bytes] = []
    with watched(loop, descriptor, fed.append) as threads:
        os.write(terminal, CTRL_C)
        interruption.wait()  # it reads
        os.close(terminal)
        loop.wait_until_asked(2)  # it looks again, and again
        assert threads[0].is_alive()
    os.close(descriptor)
    assert fed == []


@pytest.mark.parametrize("closed", ["sender", "receiver"])
def test_a_stream_that_has_ended_or_was_closed_is_no_key(loop: Loop, closed: str) -> None:
    receiver, sender = os.pipe()
    fed: list[bytes] = []
    with watched(loop, receiver, fed.append) as threads:
        os.close(sender if closed == "sender" else receiver)
        loop.wait_until_asked(2)  # it looks whether the loop turns, reads in its place, and looks again
        assert threads[0].is_alive()
    os.close(receiver if closed == "sender" else sender)
    assert fed == []


def test_on_windows_nothing_is_watched(loop: Loop, keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with watched(loop, keyboard.descriptor, ignore) as threads:
        assert threads == []
