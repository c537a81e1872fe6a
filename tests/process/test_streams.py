"""The standard streams: output in the background, input line by line."""

import asyncio
import contextlib
import errno
import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TextIO

import pytest

from gemini_live.process import lines as line_io
from gemini_live.process.lines import MAX_LINE_CHARS, MAX_PRINTED_LINE_CHARS, LineWriter, MaskedStream, read_lines
from gemini_live.process.streams import (
    MAX_UNREAD_CHARS,
    MAX_UNREAD_DIAGNOSTICS_CHARS,
    BackgroundWriter,
    are_one_terminal,
    is_closed_pipe,
    is_terminal,
)

WAIT_S = 10
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="a device or a behaviour of POSIX")

Closing = Callable[[TextIO], TextIO]


@pytest.fixture
def closing() -> Iterator[Closing]:
    """A function that has a stream closed after the test, even one whose flush fails."""
    opened: list[TextIO] = []

    def note(stream: TextIO) -> TextIO:
        opened.append(stream)
        return stream

    yield note
    for stream in opened:
        with contextlib.suppress(OSError):
            stream.close()


@pytest.fixture
def pipe(closing: Closing) -> tuple[TextIO, TextIO]:
    """The reading and the writing end of a pipe, as text."""
    reader, writer = os.pipe()
    return closing(os.fdopen(reader, encoding="utf-8")), closing(os.fdopen(writer, "w", encoding="utf-8"))


class Journal(io.StringIO):
    """A stream that notes in a journal, shared with others, what reaches whoever looks at it: what was flushed."""

    def __init__(self, name: str, journal: list[tuple[str, str]]) -> None:
        super().__init__()
        self._name, self._journal = name, journal

    def flush(self) -> None:
        text = self.getvalue()
        if text:
            self._journal.append((self._name, text))
        self.seek(0)
        self.truncate()


def written_by(write: Callable[[BackgroundWriter, TextIO], None]) -> str:
    """Return what a fresh writer wrote."""
    writer, stream = BackgroundWriter(), io.StringIO()
    write(writer, stream)
    assert writer.flush(WAIT_S)
    return stream.getvalue()


# Output


def test_write_reaches_the_stream() -> None:
    assert written_by(lambda writer, stream: writer.write(stream, "héllo\n")) == "héllo\n"


def test_writing_to_a_missing_stream_does_nothing() -> None:
    assert written_by(lambda writer, _: writer.write(None, "lost")) == ""


def test_an_empty_text_writes_nothing() -> None:
    writer, journal = BackgroundWriter(), list[tuple[str, str]]()
    stream = Journal("out", journal)
    writer.write(stream, "")
    writer.write(stream, "x")
    assert writer.flush(WAIT_S)
    assert journal == [("out", "x")]


def test_texts_for_several_streams_are_written_in_the_order_they_were_given() -> None:
    journal: list[tuple[str, str]] = []
    out, err = Journal("out", journal), Journal("err", journal)
    writer = BackgroundWriter()
    expected = []
    for number in range(200):
        name, stream = ("out", out) if number % 3 else ("err", err)
        writer.write(stream, f"{number}")  # no end of line: a buffer must not hold one back behind another stream
        expected.append((name, f"{number}"))
    assert writer.flush(WAIT_S)
    assert journal == expected


def test_flush_waits_until_words_without_an_end_of_line_have_arrived(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer = BackgroundWriter()
    writer.write(stream, "no end")
    assert writer.flush(WAIT_S)
    os.set_blocking(reader.fileno(), False)
    assert os.read(reader.fileno(), 100) == b"no end"


def test_flush_may_wait_as_long_as_it_takes() -> None:
    writer, stream = BackgroundWriter(), io.StringIO()
    writer.write(stream, "text")
    assert writer.flush(None)
    assert stream.getvalue() == "text"


def test_texts_of_several_threads_are_whole() -> None:
    lines = [f"{thread} {number} {'x' * 100}\n" for thread in range(5) for number in range(50)]

    def write(writer: BackgroundWriter, stream: TextIO) -> None:
        def give(part: list[str]) -> None:
            for line in part:
                writer.write(stream, line)

        threads = [threading.Thread(target=give, args=[lines[start : start + 50]]) for start in range(0, 250, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)

    written = written_by(write).splitlines(keepends=True)
    assert sorted(written) == sorted(lines)
    assert [line for line in written if line.startswith("0 ")] == lines[:50]


def test_a_reader_that_never_reads_holds_up_nobody_but_the_writer(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer = BackgroundWriter()
    for number in range(2_000):
        writer.write(stream, f"{number:04} {'x' * 500}\n")  # a megabyte: far more than a pipe holds
    assert not writer.flush(0.01)
    assert writer.error_of(stream) is None
    lines = [reader.readline() for _ in range(2_000)]  # it was only late: nothing is lost
    assert [int(line[:4]) for line in lines] == list(range(2_000))
    assert writer.flush(WAIT_S)


def test_a_full_pipe_holds_up_the_other_stream_too_for_order_matters_more(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer, other = BackgroundWriter(), io.StringIO()
    writer.write(stream, "x" * 1_000_000)
    writer.write(other, "after it")
    assert not writer.flush(0.01)
    assert other.getvalue() == ""
    assert len(reader.read(1_000_000)) == 1_000_000
    assert writer.flush(WAIT_S)
    assert other.getvalue() == "after it"


def test_a_closed_pipe_is_reported_and_what_follows_is_dropped(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer, other = BackgroundWriter(), io.StringIO()
    failures: list[tuple[TextIO, OSError]] = []
    writer.watch(lambda failed, error: failures.append((failed, error)))
    reader.close()
    for _ in range(3):
        writer.write(stream, "lost\n")
        writer.write(other, "kept\n")
    assert writer.flush(WAIT_S)
    assert [failed for failed, _ in failures] == [stream]
    error = writer.error_of(stream)
    assert error is failures[0][1]
    assert is_closed_pipe(error)
    assert writer.error_of(other) is None
    assert other.getvalue() == "kept\n" * 3


def test_a_reader_that_goes_away_while_the_pipe_is_full_frees_the_writer(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer = BackgroundWriter()
    writer.write(stream, "x" * 1_000_000)
    assert not writer.flush(0.01)
    reader.close()
    assert writer.flush(WAIT_S)
    error = writer.error_of(stream)
    assert error is not None
    assert is_closed_pipe(error)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_an_error_and_no_closed_pipe(closing: Closing) -> None:
    stream = closing(os.fdopen(os.open("/dev/full", os.O_WRONLY), "w", encoding="utf-8"))
    writer = BackgroundWriter()
    writer.write(stream, "lost\n")
    assert writer.flush(WAIT_S)
    error = writer.error_of(stream)
    assert error is not None
    assert error.errno == errno.ENOSPC
    assert not is_closed_pipe(error)


def test_a_stream_object_that_was_closed_counts_as_a_closed_pipe() -> None:
    writer, stream = BackgroundWriter(), io.StringIO()
    stream.close()
    writer.write(stream, "lost")
    assert writer.flush(WAIT_S)
    error = writer.error_of(stream)
    assert error is not None
    assert is_closed_pipe(error)


def test_who_begins_to_watch_is_told_of_what_has_failed_already() -> None:
    writer, stream = BackgroundWriter(), io.StringIO()
    stream.close()
    writer.write(stream, "lost")
    assert writer.flush(WAIT_S)
    failures: list[TextIO] = []
    writer.watch(lambda failed, _: failures.append(failed))
    assert failures == [stream]


def test_who_watches_no_more_is_told_nothing() -> None:
    writer, stream = BackgroundWriter(), io.StringIO()
    failures: list[TextIO] = []
    writer.watch(lambda failed, _: failures.append(failed))
    writer.watch(None)
    stream.close()
    writer.write(stream, "lost")
    assert writer.flush(WAIT_S)
    assert failures == []


def test_a_missing_stream_has_no_error() -> None:
    assert BackgroundWriter().error_of(None) is None


@pytest.mark.parametrize(("number", "closed"), [(errno.EPIPE, True), (errno.ENOSPC, False), (errno.EIO, False)])
def test_only_a_closed_pipe_is_one(number: int, closed: bool) -> None:
    assert is_closed_pipe(OSError(number, "")) is closed


def test_a_secret_is_never_written() -> None:
    secret = "AIza-not-a-real-key"

    def write(writer: BackgroundWriter, stream: TextIO) -> None:
        writer.keep_secrets([secret])
        writer.write(stream, f"key={secret}, again {secret}{secret}\n")

    assert written_by(write) == "key=***, again ******\n"


@pytest.mark.parametrize("secret", ["", "short", "simulated"])
def test_what_is_too_short_for_a_key_is_no_secret(secret: str) -> None:
    def write(writer: BackgroundWriter, stream: TextIO) -> None:
        writer.keep_secrets([secret])
        writer.write(stream, "this short text is simulated")

    assert written_by(write) == "this short text is simulated"


def test_a_secret_can_be_taken_out_of_what_is_written_elsewhere() -> None:
    writer = BackgroundWriter()
    assert writer.mask("AIza-not-a-real-key") == "AIza-not-a-real-key"
    writer.keep_secrets(["AIza-not-a-real-key"])
    assert writer.mask("twice: AIza-not-a-real-key, AIza-not-a-real-key") == "twice: ***, ***"


def test_the_writer_keeps_no_process_from_ending() -> None:
    BackgroundWriter()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "writer")


# Streams that nobody reads


def test_what_waits_for_stdout_is_never_dropped_but_its_producer_is_told_to_wait(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer = BackgroundWriter(diagnostics=io.StringIO())
    line = "x" * 999_999 + "\n"
    n_lines = 0
    while not writer.is_behind:
        writer.write(stream, line)
        n_lines += 1
    assert n_lines in {MAX_UNREAD_CHARS // 1_000_000 + 1, MAX_UNREAD_CHARS // 1_000_000 + 2}
    assert len(reader.read(n_lines * 1_000_000)) == n_lines * 1_000_000
    assert writer.flush(WAIT_S)
    assert not writer.is_behind


def test_lines_for_stderr_that_nobody_reads_are_dropped_and_counted(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer = BackgroundWriter(diagnostics=stream)
    blocking = "x" * 999_999 + "\n"  # larger than the pipe: the writer waits inside it, and frees no room for others
    lines = [f"{number:06} {'x' * 992}\n" for number in range(5_000)]  # 5 MB
    for line in (blocking, *lines):
        writer.write(stream, line)
    assert not writer.is_behind
    n_kept = (MAX_UNREAD_DIAGNOSTICS_CHARS - len(blocking)) // len(lines[0])
    written: list[str] = []
    reading = threading.Thread(target=lambda: written.extend(reader))
    reading.start()
    assert writer.flush(WAIT_S)
    writer.write(stream, "the end\n")
    assert writer.flush(WAIT_S)
    stream.close()
    reading.join(WAIT_S)
    report = f"gemini-live: warning: the output was not read: {5_000 - n_kept} lines of stderr dropped\n"
    assert written == [blocking, *lines[:n_kept], report, "the end\n"]


def test_a_single_text_of_any_size_is_written_to_stderr() -> None:
    stream = io.StringIO()
    writer = BackgroundWriter(diagnostics=stream)
    writer.write(stream, "x" * (2 * MAX_UNREAD_DIAGNOSTICS_CHARS))
    assert writer.flush(WAIT_S)
    assert len(stream.getvalue()) == 2 * MAX_UNREAD_DIAGNOSTICS_CHARS


# Terminals


@posix_only
def test_a_terminal_is_told_from_everything_else(pipe: tuple[TextIO, TextIO], closing: Closing) -> None:
    master, slave = os.openpty()
    terminal = closing(os.fdopen(slave, "r", encoding="utf-8"))
    assert is_terminal(terminal)
    assert not is_terminal(pipe[0])
    assert not is_terminal(None)
    terminal.close()
    assert not is_terminal(terminal)
    os.close(master)


# Input


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


async def test_a_line_is_given_as_soon_as_it_has_ended(pipe: tuple[TextIO, TextIO]) -> None:
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


async def test_a_long_line_is_whole(tmp_path: Path) -> None:
    line = "ab" * 500_000
    path = tmp_path / "long"
    path.write_text(line + "\nnext\n")
    with path.open() as stdin:
        assert await lines_of(stdin) == [line, "next"]


async def test_a_line_that_is_too_long_is_refused_and_those_before_it_are_not(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"short\n" + b"x" * (MAX_LINE_CHARS + 1) + b"\nnext\n")
    found = []
    with path.open() as stdin, pytest.raises(OSError, match="a line is longer than 1,048,576 characters"):
        async for line in read_lines(stdin):
            found.append(line)
    assert found == ["short"]


@posix_only
async def test_a_stdin_without_any_end_of_line_is_refused_soon(closing: Closing) -> None:
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


@posix_only
async def test_a_stdin_that_somebody_made_non_blocking_is_waited_for(
    pipe: tuple[TextIO, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
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


@posix_only
async def test_the_end_key_of_a_terminal_ends_the_lines(closing: Closing) -> None:
    master, slave = os.openpty()
    stdin = closing(os.fdopen(slave, encoding="utf-8"))
    os.write(master, b"typed\n\x04")
    assert await lines_of(stdin) == ["typed"]
    os.close(master)


async def test_who_stops_listening_leaves_the_loop_free(pipe: tuple[TextIO, TextIO]) -> None:
    reader, writer = pipe
    listening = asyncio.ensure_future(anext(read_lines(reader)))
    await asyncio.sleep(0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    writer.close()  # frees the thread, which nobody stops


# What functions print


def test_what_a_function_prints_is_passed_on_line_by_line() -> None:
    lines: list[str] = []
    output = LineWriter(lines.append)
    with redirect_stdout(output):
        print("one", "two")
        print("three\nfour", end="")
        assert lines == ["one two", "three"]
        print(" and five", flush=True)
        sys.stdout.writelines(["six\n", "seven\n"])
    assert lines == ["one two", "three", "four and five", "six", "seven"]


def test_a_line_without_an_end_is_passed_on_at_the_end() -> None:
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
def test_of_a_line_with_carriage_returns_only_what_a_terminal_would_show_is_passed_on(
    pieces: list[str], expected: list[str]
) -> None:
    lines: list[str] = []
    output = LineWriter(lines.append)
    for piece in pieces:
        output.write(piece)
    output.finish()
    assert lines == expected


@pytest.mark.parametrize("size", [1, 1_000, 10_000_000])
def test_the_rest_of_a_huge_line_is_dropped_and_counted(size: int) -> None:
    lines: list[str] = []
    output = LineWriter(lines.append)
    for _ in range(max(2, 200_000 // size)):
        output.write("x" * size)
    output.write("\nnext\n")
    n_chars = size * max(2, 200_000 // size)
    assert lines == [f"{'x' * MAX_PRINTED_LINE_CHARS}... ({n_chars:,} characters)", "next"]


def test_the_cost_of_a_line_without_an_end_grows_with_its_length_only() -> None:
    """300,000 pieces: joined anew at each one, this would take minutes."""
    lines: list[str] = []
    output = LineWriter(lines.append)
    for _ in range(300_000):
        output.write(".")
    output.finish()
    assert len(lines) == 1


def test_bytes_are_passed_on_as_text() -> None:
    lines: list[str] = []
    writer = LineWriter(lines.append)
    writer.write("text and ")
    assert writer.buffer.writable()
    assert writer.buffer.write("bytes, Grüße\n".encode()) == 15
    writer.buffer.write(bytearray(b"bad \xff\n"))
    assert lines == ["text and bytes, Grüße", "bad \ufffd"]


def test_who_has_begun_a_line_may_end_it_and_those_of_others_go_on() -> None:
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


def test_it_behaves_like_a_stream_that_is_no_terminal() -> None:
    output = LineWriter(lambda _: None)
    assert output.writable()
    assert not output.isatty()
    assert not output.readable()
    assert output.write("four") == 4
    output.flush()


def test_functions_that_print_side_by_side_do_not_write_into_each_others_lines() -> None:
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


def test_nothing_that_many_threads_print_is_lost() -> None:
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


def test_a_handler_may_print_itself() -> None:
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if line == "outer":
            output.write("inner\n")

    output = LineWriter(take)
    output.write("outer\n")
    assert lines == ["outer", "inner"]


# One terminal or two


@posix_only
def test_two_streams_of_one_terminal_are_told_from_two_terminals(closing: Closing) -> None:
    pairs = [os.openpty() for _ in range(2)]
    slaves = (pairs[0][1], pairs[0][1], pairs[1][1])
    first, again, other = (closing(os.fdopen(os.dup(slave), "w")) for slave in slaves)
    assert are_one_terminal(first, again)
    assert not are_one_terminal(first, other)
    assert not are_one_terminal(first, None)
    assert not are_one_terminal(first, io.StringIO())
    for pair in pairs:
        for descriptor in pair:
            os.close(descriptor)


# What functions write to stderr


def test_what_functions_write_to_stderr_and_log_is_written_at_once_without_the_key() -> None:
    writer, stream = BackgroundWriter(), io.StringIO()
    writer.keep_secrets(["AIza-not-a-real-key"])
    masked = MaskedStream(stream, writer.mask)
    handler = logging.StreamHandler(masked)
    handler.emit(logging.makeLogRecord({"msg": "log: AIza-not-a-real-key"}))
    print("print: AIza-not-a-real-key", end="", file=masked)
    masked.buffer.write(b" bytes: AIza-not-a-real-key")
    assert stream.getvalue() == "log: ***\nprint: *** bytes: ***"


def test_functions_cannot_close_the_streams_of_others() -> None:
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
