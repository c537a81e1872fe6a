"""The claimed standard streams, and output in the background."""

import errno
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from gemini_live.process.streams import (
    MAX_UNREAD_CHARS,
    MAX_UNREAD_DIAGNOSTICS_CHARS,
    BackgroundWriter,
    are_one_terminal,
    is_closed_pipe,
    is_terminal,
)

from .conftest import WAIT_S, Closing
from .script import posix, run


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


@posix
def test_after_claim_stdout_other_writers_reach_stderr() -> None:
    script = """
        import os, subprocess
        own = claim_stdout()
        os.write(1, b"descriptor ")
        subprocess.run(["printf", "child "])
        print("ours", file=own, flush=True)
        Ending(BackgroundWriter(), Streams(None, own, None)).leave(0)
    """
    assert run(script) == (0, "ours\n", "descriptor child ")


@posix
def test_after_claim_stdin_other_readers_find_nothing(tmp_path: Path) -> None:
    (tmp_path / "questions").write_text("one\nGrüße\n")
    script = """
        import subprocess
        own = claim_stdin()
        print(subprocess.run(["cat"], stdout=subprocess.PIPE).stdout, os.read(0, 10), repr(sys.stdin.read()))
        print(own.read(), end="")
    """
    assert run(script, f"<{tmp_path / 'questions'}") == (0, "b'' b'' ''\none\nGrüße\n", "")


@posix
def test_claim_stdin_returns_none_if_stdin_is_closed() -> None:
    assert run("print(claim_stdin())", "<&-") == (0, "None\n", "")


@posix
def test_print_writes_to_the_claimed_stdout() -> None:
    assert run("claim_stdout()\nprint('help')") == (0, "help\n", "")


@posix
@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_socket_gets_the_number_of_a_closed_standard_stream(redirect: str) -> None:
    script = """
        import os, socket
        claim_stdout()
        left, right = socket.socketpair()
        os._exit(0 if min(left.fileno(), right.fileno()) > 2 else 1)
    """
    assert run(script, redirect)[0] == 0


@posix
@pytest.mark.parametrize(
    ("environ", "out"),
    [
        ({"LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "é\n"),
        ({"PYTHONIOENCODING": "ascii"}, "\\xe9\n"),
    ],
)
def test_a_pipe_gets_utf_8_unless_another_encoding_was_asked_for(environ: dict[str, str], out: str) -> None:
    assert run("print(chr(233), file=claim_stdout())", environ=environ) == (0, out, "")


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


def test_flush_writes_text_without_a_line_break(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer = BackgroundWriter()
    writer.write(stream, "no end")
    assert writer.flush(WAIT_S)
    os.set_blocking(reader.fileno(), False)
    assert os.read(reader.fileno(), 100) == b"no end"


def test_flush_without_a_timeout_waits_until_all_is_written() -> None:
    writer, stream = BackgroundWriter(), io.StringIO()
    writer.write(stream, "text")
    assert writer.flush(None)
    assert stream.getvalue() == "text"


def test_texts_of_several_threads_are_not_mixed() -> None:
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


def test_write_does_not_wait_for_a_slow_reader(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer = BackgroundWriter()
    for number in range(2_000):
        writer.write(stream, f"{number:04} {'x' * 500}\n")  # a megabyte: far more than a pipe holds
    assert not writer.flush(0.01)
    assert writer.error_of(stream) is None
    lines = [reader.readline() for _ in range(2_000)]  # it was only late: nothing is lost
    assert [int(line[:4]) for line in lines] == list(range(2_000))
    assert writer.flush(WAIT_S)


def test_a_full_pipe_delays_the_other_stream_to_keep_the_order(pipe: tuple[TextIO, TextIO]) -> None:
    reader, stream = pipe
    writer, other = BackgroundWriter(), io.StringIO()
    writer.write(stream, "x" * 1_000_000)
    writer.write(other, "after it")
    assert not writer.flush(0.01)
    assert other.getvalue() == ""
    assert len(reader.read(1_000_000)) == 1_000_000
    assert writer.flush(WAIT_S)
    assert other.getvalue() == "after it"


def test_a_closed_pipe_is_reported_once_and_later_text_is_dropped(pipe: tuple[TextIO, TextIO]) -> None:
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


def test_a_reader_that_closes_a_full_pipe_releases_the_writer(pipe: tuple[TextIO, TextIO]) -> None:
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
def test_a_full_disk_is_not_a_closed_pipe(closing: Closing) -> None:
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


def test_watch_reports_streams_that_failed_before() -> None:
    writer, stream = BackgroundWriter(), io.StringIO()
    stream.close()
    writer.write(stream, "lost")
    assert writer.flush(WAIT_S)
    failures: list[TextIO] = []
    writer.watch(lambda failed, _: failures.append(failed))
    assert failures == [stream]


def test_nothing_is_reported_after_watch_none() -> None:
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
def test_is_closed_pipe_tells_epipe_from_other_errors(number: int, closed: bool) -> None:
    assert is_closed_pipe(OSError(number, "")) is closed


def test_a_secret_is_written_as_asterisks() -> None:
    secret = "AIza-not-a-real-key"

    def write(writer: BackgroundWriter, stream: TextIO) -> None:
        writer.keep_secrets([secret])
        writer.write(stream, f"key={secret}, again {secret}{secret}\n")

    assert written_by(write) == "key=***, again ******\n"


@pytest.mark.parametrize("secret", ["", "short", "simulated"])
def test_a_text_too_short_for_a_key_is_not_masked(secret: str) -> None:
    def write(writer: BackgroundWriter, stream: TextIO) -> None:
        writer.keep_secrets([secret])
        writer.write(stream, "this short text is simulated")

    assert written_by(write) == "this short text is simulated"


def test_mask_removes_the_secret_from_a_text() -> None:
    writer = BackgroundWriter()
    assert writer.mask("AIza-not-a-real-key") == "AIza-not-a-real-key"
    writer.keep_secrets(["AIza-not-a-real-key"])
    assert writer.mask("twice: AIza-not-a-real-key, AIza-not-a-real-key") == "twice: ***, ***"


def test_the_writers_thread_is_a_daemon() -> None:
    BackgroundWriter()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "writer")


def test_text_for_stdout_is_never_dropped_and_is_behind_tells_to_wait(pipe: tuple[TextIO, TextIO]) -> None:
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


def test_unread_lines_for_stderr_are_dropped_and_counted(pipe: tuple[TextIO, TextIO]) -> None:
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


@posix
def test_is_terminal_is_true_only_for_an_open_terminal(pipe: tuple[TextIO, TextIO], closing: Closing) -> None:
    master, slave = os.openpty()
    terminal = closing(os.fdopen(slave, "r", encoding="utf-8"))
    assert is_terminal(terminal)
    assert not is_terminal(pipe[0])
    assert not is_terminal(None)
    terminal.close()
    assert not is_terminal(terminal)
    os.close(master)


@posix
def test_are_one_terminal_compares_the_terminals_of_two_streams(closing: Closing) -> None:
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
