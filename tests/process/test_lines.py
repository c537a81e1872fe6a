"""Lines from stdin, and the streams that stand in for stdout and stderr."""

import asyncio
import gc
import io
import logging
import os
import sys
import threading
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import pytest

from gemini_live.process import lines as line_io
from gemini_live.process.lines import (
    MAX_LINE_CHARS,
    MAX_PRINTED_LINE_CHARS,
    MAX_PRINTED_LINES,
    LineWriter,
    MaskedStream,
    PrintedLines,
    read_lines,
)
from gemini_live.process.streams import BackgroundWriter

from .conftest import WAIT_S, Closing
from .script import posix


async def lines_of(stdin: TextIO) -> list[str]:
    async with asyncio.timeout(WAIT_S):
        return [line async for line in read_lines(stdin)]


def stdin_with(data: bytes, closing: Closing) -> TextIO:
    """Return a pipe that holds `data` and has ended."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return closing(os.fdopen(reader, encoding="ascii"))


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\n", ["one"]),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\ntwo", ["one", "two"]),
        (b"\n\n", ["", ""]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"one\r\ntwo\r", ["one", "two"]),
        (b"car\rriage\n", ["car\rriage"]),
        ("Grüße 日本 🎈\n".encode(), ["Grüße 日本 🎈"]),
        (b"\xef\xbb\xbfmarked\n\xef\xbb\xbftwice\n", ["marked", "\ufefftwice"]),
        (b"bad \xff\xfe bytes\ngood\n", ["bad \ufffd\ufffd bytes", "good"]),
        (b"\xe6\x97", ["\ufffd"]),
        (b"latin \xe9t\xe9\n", ["latin \ufffdt\ufffd"]),
        (b"nul\0 and \x1b[31m\n", ["nul\0 and \x1b[31m"]),
        ("a\u2028b\x0bc\x85d\n".encode(), ["a\u2028b\x0bc\x85d"]),
    ],
)
@pytest.mark.parametrize("read_bytes", [65_536, 1])
async def test_lines_are_the_same_however_they_arrive(
    data: bytes, lines: list[str], read_bytes: int, closing: Closing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_io, "_READ_BYTES", read_bytes)
    assert await lines_of(stdin_with(data, closing)) == lines


async def test_a_line_is_yielded_as_soon_as_it_is_complete(pipe: tuple[TextIO, TextIO]) -> None:
    reader, writer = pipe
    lines = read_lines(reader)
    async with asyncio.timeout(WAIT_S):
        for text in ("one", "two"):
            os.write(writer.fileno(), f"{text}\npart of the next".encode())
            assert (await anext(lines)).endswith(text)
        writer.close()
        assert await anext(lines) == "part of the next"
        with pytest.raises(StopAsyncIteration):
            await anext(lines)


async def test_a_line_of_a_million_characters_is_yielded_whole(tmp_path: Path) -> None:
    line = "ab" * 500_000
    path = tmp_path / "long"
    path.write_text(line + "\nnext\n")
    with path.open() as stdin:
        assert await lines_of(stdin) == [line, "next"]


async def test_a_line_over_the_limit_raises_after_the_lines_before_it(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"short\n" + b"x" * (MAX_LINE_CHARS + 1) + b"\nnext\n")
    found = []
    with path.open() as stdin, pytest.raises(OSError, match="a line is longer than 1,048,576 characters"):
        async for line in read_lines(stdin):
            found.append(line)
    assert found == ["short"]


@posix
async def test_endless_input_without_line_breaks_raises(closing: Closing) -> None:
    stdin = closing(os.fdopen(os.open("/dev/zero", os.O_RDONLY)))
    with pytest.raises(OSError, match="longer than"):
        await lines_of(stdin)


async def test_reading_leaves_stdin_open(closing: Closing) -> None:
    stdin = stdin_with(b"one\n", closing)
    assert await lines_of(stdin) == ["one"]
    assert not stdin.closed
    assert os.read(stdin.fileno(), 1) == b""


async def test_a_stdin_that_is_closed_has_no_lines(closing: Closing) -> None:
    stdin = stdin_with(b"one\n", closing)
    stdin.close()
    assert await lines_of(stdin) == []


async def test_the_null_device_has_no_lines(closing: Closing) -> None:
    assert await lines_of(closing(os.fdopen(os.open(os.devnull, os.O_RDONLY), encoding="utf-8"))) == []


async def test_a_stdin_that_cannot_be_read_is_an_oserror(pipe: tuple[TextIO, TextIO]) -> None:
    _, writer = pipe
    with pytest.raises(OSError, match="Bad file descriptor"):
        await lines_of(writer)


@posix
async def test_a_non_blocking_stdin_is_waited_for(pipe: tuple[TextIO, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pipe
    os.set_blocking(reader.fileno(), False)
    waits: list[object] = []

    def fill(*sets: object) -> None:
        waits.append(sets)
        os.write(writer.fileno(), b"late\n")
        writer.close()

    monkeypatch.setattr("select.select", fill)
    assert await lines_of(reader) == ["late"]
    assert len(waits) == 1


@posix
async def test_ctrl_d_at_a_terminal_ends_the_lines(closing: Closing) -> None:
    master, slave = os.openpty()
    stdin = closing(os.fdopen(slave, encoding="utf-8"))
    os.write(master, b"typed\n\x04")
    assert await lines_of(stdin) == ["typed"]
    os.close(master)


async def test_reading_can_be_cancelled(pipe: tuple[TextIO, TextIO]) -> None:
    reader, writer = pipe
    listening = asyncio.ensure_future(anext(read_lines(reader)))
    await asyncio.sleep(0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    writer.close()  # frees the thread, which nobody stops


def test_printed_text_is_passed_on_by_line() -> None:
    lines: list[str] = []
    output = LineWriter(lines.append)
    with redirect_stdout(output):
        print("one", "two")
        print("three\nfour", end="")
        assert lines == ["one two", "three"]
        print(" and five", flush=True)
        sys.stdout.writelines(["six\n", "seven\n"])
    assert lines == ["one two", "three", "four and five", "six", "seven"]


def test_finish_passes_on_an_incomplete_line() -> None:
    lines: list[str] = []
    output = LineWriter(lines.append)
    output.write("no end")
    assert lines == []
    output.finish()
    output.finish()
    assert lines == ["no end"]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["\r1 %", "\r50 %", "\r100 %", "\n"], ["100 %"]),
        (["1 %\r", "50 %\r", "100 %\r"], ["100 %"]),
        (["windows\r\nlines\r", "\n"], ["windows", "lines"]),
        (["begun, ", "and overwritten\rnew"], ["new"]),
    ],
)
def test_text_before_a_carriage_return_is_overwritten_as_on_a_terminal(pieces: list[str], expected: list[str]) -> None:
    lines: list[str] = []
    output = LineWriter(lines.append)
    for piece in pieces:
        output.write(piece)
    output.finish()
    assert lines == expected


@pytest.mark.parametrize("size", [10, 1_000, 10_000_000])
def test_the_rest_of_a_huge_line_is_dropped_and_counted(size: int) -> None:
    lines: list[str] = []
    output = LineWriter(lines.append)
    for _ in range(max(2, 200_000 // size)):
        output.write("x" * size)
    output.write("\nnext\n")
    n_chars = size * max(2, 200_000 // size)
    assert lines == [f"{'x' * MAX_PRINTED_LINE_CHARS}... ({n_chars:,} characters)", "next"]


def test_the_pieces_of_an_incomplete_line_are_bounded() -> None:
    """Otherwise joining them would take quadratic time, or a function that prints dots would fill the memory."""
    lines: list[str] = []
    output = LineWriter(lines.append)
    for _ in range(2_500):
        output.write(".")
    (line,) = output._pending.values()
    assert len(line._pieces) <= line_io._MAX_PIECES
    output.finish()
    assert lines == ["." * 2_500]


def test_bytes_are_decoded_as_utf_8() -> None:
    lines: list[str] = []
    writer = LineWriter(lines.append)
    writer.write("text and ")
    assert writer.buffer.writable()
    assert writer.buffer.write("bytes, Grüße\n".encode()) == 15
    writer.buffer.write(bytearray(b"bad \xff\n"))
    assert lines == ["text and bytes, Grüße", "bad \ufffd"]


def test_end_line_ends_only_the_line_of_its_own_thread() -> None:
    lines: list[str] = []
    writer = LineWriter(lines.append)
    writer.end_line()
    writer.write("mine")

    def begin_and_end() -> None:
        writer.write("of another")
        writer.end_line()

    other = threading.Thread(target=begin_and_end)
    other.start()
    other.join(WAIT_S)
    assert lines == ["of another"]
    writer.end_line()
    writer.write("a new one\n")
    assert lines == ["of another", "mine", "a new one"]


def test_a_line_writer_is_a_writable_stream_and_no_terminal() -> None:
    output = LineWriter(lambda _: None)
    assert output.writable()
    assert not output.isatty()
    assert not output.readable()
    assert output.write("four") == 4
    output.flush()


def test_two_threads_do_not_write_into_each_others_lines() -> None:
    lines: list[str] = []
    output = LineWriter(lines.append)
    turn = threading.Barrier(2)

    def work(name: str) -> None:
        for part in range(20):
            output.write(f"{name}{part} ")  # as print does: the text first, and then the end of the line
            turn.wait(WAIT_S)
            output.write("\n")
            turn.wait(WAIT_S)

    threads = [threading.Thread(target=work, args=[name]) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert [line for line in lines if line[0] == "a"] == [f"a{part} " for part in range(20)]
    assert [line for line in lines if line[0] == "b"] == [f"b{part} " for part in range(20)]
    assert len(lines) == 40


def test_lines_of_many_threads_are_all_passed_on() -> None:
    lines: list[str] = []
    output = LineWriter(lines.append)
    threads = [
        threading.Thread(target=lambda name=name: [print(name, number, file=output) for number in range(200)])
        for name in "abcde"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(lines) == sorted(f"{name} {number}" for name in "abcde" for number in range(200))


def test_the_receiver_of_a_line_may_print() -> None:
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if line == "outer":
            output.write("inner\n")

    output = LineWriter(take)
    output.write("outer\n")
    assert lines == ["outer", "inner"]


def test_the_key_is_masked_in_print_log_and_bytes_to_stderr() -> None:
    writer, stream = BackgroundWriter(), io.StringIO()
    writer.keep_secrets(["AIza-not-a-real-key"])
    masked = MaskedStream(stream, writer.mask)
    handler = logging.StreamHandler(masked)
    handler.emit(logging.makeLogRecord({"msg": "log: AIza-not-a-real-key"}))
    print("print: AIza-not-a-real-key", end="", file=masked)
    masked.buffer.write(b" bytes: AIza-not-a-real-key")
    assert stream.getvalue() == "log: ***\nprint: *** bytes: ***"


def test_closing_the_stand_in_streams_has_no_effect() -> None:
    stream, lines = io.StringIO(), list[str]()
    masked, printed = MaskedStream(stream, str), LineWriter(lines.append)
    for each in (masked, printed):
        each.buffer.close()
        each.close()
        each.buffer.write(b"still ")
        each.write("there\n")
    assert stream.getvalue() == "still there\n"
    assert lines == ["still there"]
    assert masked.isatty() is False
    assert masked.writable()


# Lines that other threads print


class Printing:
    """A loop in a thread of its own that writes printed lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.printed = PrintedLines(self._write)
        self.writes = threading.Event()
        self.writes.set()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def _write(self, line: str) -> None:
        assert self.writes.wait(WAIT_S)
        self.lines.append(line)

    def _run(self) -> None:
        self.loop.call_soon(self.printed.use, self.loop)
        self.loop.run_forever()

    def __enter__(self) -> "Printing":
        self._thread.start()
        self.do(lambda: None)
        return self

    def __exit__(self, *_: object) -> None:
        self.writes.set()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_S)
        self.loop.close()

    def do(self, function: Any) -> None:
        """Call `function` in the loop's thread, and wait for its end."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(function)
        self.loop.call_soon_threadsafe(done.set)
        assert done.wait(WAIT_S)


def test_lines_before_the_loop_are_written_at_once() -> None:
    lines: list[str] = []
    printed = PrintedLines(lines.append)
    printed.put("one")
    assert lines == ["one"]


def test_lines_of_another_thread_are_written_in_the_loops_thread_in_order() -> None:
    with Printing() as it:
        expected = [str(number) for number in range(3 * MAX_PRINTED_LINES)]
        for line in expected:
            it.printed.put(line)
        it.do(lambda: None)
        assert it.lines == expected


def test_the_loops_own_thread_never_waits() -> None:
    with Printing() as it:

        def flood() -> None:
            for number in range(3 * MAX_PRINTED_LINES):
                it.printed.put(str(number))

        it.do(flood)
        assert len(it.lines) == 3 * MAX_PRINTED_LINES


def test_a_thread_that_prints_waits_for_a_loop_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_io, "LOOP_HANGS_S", WAIT_S)
    with Printing() as it:
        it.writes.clear()
        has_ended = threading.Event()

        def print_much() -> None:
            for _ in range(MAX_PRINTED_LINES + 10):
                it.printed.put("line")
            has_ended.set()

        flood = threading.Thread(target=print_much)
        flood.start()
        assert not has_ended.wait(0.05)
        it.writes.set()
        flood.join(WAIT_S)
        assert has_ended.is_set()


def test_a_thread_that_prints_does_not_wait_for_a_loop_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_io, "LOOP_HANGS_S", 0.01)
    with Printing() as it:
        it.writes.clear()
        for _ in range(2 * MAX_PRINTED_LINES):
            it.printed.put("line")
        it.writes.set()
        it.do(lambda: None)
        it.printed.close()
        assert len(it.lines) == 2 * MAX_PRINTED_LINES


def test_lines_for_a_loop_that_hangs_are_dropped_and_counted_beyond_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_io, "LOOP_HANGS_S", 0.01)
    monkeypatch.setattr(line_io, "MAX_HELD_LINES", 3 * MAX_PRINTED_LINES)
    with Printing() as it:
        it.writes.clear()
        for _ in range(5 * MAX_PRINTED_LINES):
            it.printed.put("line")
        it.writes.set()
        it.do(lambda: None)
        it.printed.close()
        *lines, last = it.lines
        assert len(lines) <= 3 * MAX_PRINTED_LINES
        n_dropped = 5 * MAX_PRINTED_LINES - len(lines)
        assert last == f"({n_dropped:,} printed lines were dropped, because a function blocked the event loop)"


def test_a_callback_of_the_loop_runs_between_many_lines() -> None:
    """Keys stay quick: the lines that come while others are written wait for the next turn of the loop."""
    with Printing() as it:
        order: list[str] = []

        def write(line: str) -> None:
            order.append(line)
            if len(order) < 5:
                it.printed.put("again")

        def flood() -> None:
            it.printed._write = write
            it.loop.call_soon(order.append, "key")
            it.printed.put("first")

        it.do(flood)
        it.do(lambda: None)
        it.do(lambda: None)
        assert order.index("key") <= 2


def test_a_line_printed_while_another_is_written_comes_next() -> None:
    lines: list[str] = []

    def write(line: str) -> None:
        lines.append(line)
        if line == "outer":
            printed.put("inner")

    printed = PrintedLines(write)
    printed.put("outer")
    printed.put("last")
    assert lines == ["outer", "inner", "last"]


def test_lines_that_the_garbage_collector_prints_in_the_middle_of_others_are_all_written() -> None:
    class Noisy:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            it.printed.put("deleted")

    with Printing() as it:
        before = gc.get_threshold()
        gc.set_threshold(1)
        try:
            for _ in range(500):
                Noisy()
                it.printed.put("line")
        finally:
            gc.set_threshold(*before)
        gc.collect()
        it.do(lambda: None)
        it.printed.close()
    assert (it.lines.count("line"), it.lines.count("deleted")) == (500, 500)


def test_close_writes_what_waits_and_drops_what_comes_later() -> None:
    lines: list[str] = []
    printed = PrintedLines(lines.append)
    loop = asyncio.new_event_loop()
    printed.use(loop)
    other = threading.Thread(target=printed.put, args=["waits"])
    other.start()
    other.join(WAIT_S)
    loop.close()
    assert lines == []
    printed.close()
    printed.put("late")
    assert lines == ["waits"]


def test_lines_printed_after_the_loop_has_ended_are_written_at_close() -> None:
    lines: list[str] = []
    printed = PrintedLines(lines.append)
    loop = asyncio.new_event_loop()
    printed.use(loop)
    loop.close()
    other = threading.Thread(target=printed.put, args=["waits"])
    other.start()
    other.join(WAIT_S)
    printed.close()
    assert lines == ["waits"]
