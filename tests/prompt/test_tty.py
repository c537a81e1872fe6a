"""The terminal itself, as a pseudo-terminal: what is written to it, its size and its settings."""

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("a pseudo-terminal is POSIX's", allow_module_level=True)

import contextlib
import fcntl
import io
import os
import signal
import struct
import termios
import threading
import tty
from collections.abc import Iterator
from typing import TextIO

from prompt_toolkit.data_structures import Size
from prompt_toolkit.output import DummyOutput

import gemini_live.prompt.tty
from gemini_live.process.streams import BackgroundWriter
from gemini_live.prompt.tty import (
    TerminalSettings,
    TerminalStream,
    create_terminal_input,
    create_terminal_output,
    find_keys_encoding,
)

WAIT_S = 10
RESET = b"\x1b[?2004l\x1b[?25h\x1b[0m\r\x1b[J"


class PseudoTerminal:
    """A terminal: `stream` is the program's side of it, the rest is the user's."""

    def __init__(self) -> None:
        self._user, program = os.openpty()
        tty.setraw(program)  # what is written comes out as it is
        self.stream: TextIO = os.fdopen(program, "w", encoding="utf-8")

    @property
    def settings(self) -> list[object]:
        return termios.tcgetattr(self._user)

    def change_settings(self) -> None:
        """Change them as a prompt does."""
        changed = termios.tcgetattr(self._user)
        changed[3] ^= termios.ECHO | termios.ICANON
        termios.tcsetattr(self.stream.fileno(), termios.TCSANOW, changed)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._user, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self) -> bytes:
        """Return what was written and not read yet, waiting for some."""
        return os.read(self._user, 65_536)

    def hang_up(self) -> None:
        if self._user >= 0:
            os.close(self._user)
            self._user = -1

    def close(self) -> None:
        self.hang_up()
        with contextlib.suppress(OSError):
            self.stream.close()


@pytest.fixture
def terminal() -> Iterator[PseudoTerminal]:
    made = PseudoTerminal()
    yield made
    made.close()


class Pieces(io.StringIO):
    """A stream that keeps what is written to it as it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return len(text)


# Writing


def test_written_text_reaches_the_terminal(terminal: PseudoTerminal) -> None:
    out = TerminalStream(terminal.stream, BackgroundWriter())
    assert out.write("héllo") == 5
    out.flush()
    assert terminal.read() == "héllo".encode()


def test_held_text_is_written_in_one_piece_and_in_order() -> None:
    stream, writer = Pieces(), BackgroundWriter()
    out = TerminalStream(stream, writer)
    out.write("before ")
    with out.holding():
        assert out.write("one ") == 4
        out.write("two ")
        assert writer.flush(WAIT_S)
        assert stream.pieces == ["before "]
    out.write("after")
    assert writer.flush(WAIT_S)
    assert stream.pieces == ["before ", "one two ", "after"]


def test_held_text_is_written_after_an_exception() -> None:
    stream, writer = Pieces(), BackgroundWriter()
    out = TerminalStream(stream, writer)
    with pytest.raises(ValueError, match="mine"), out.holding():
        out.write("held")
        raise ValueError("mine")
    out.write("after")
    assert writer.flush(WAIT_S)
    assert stream.pieces == ["held", "after"]


def test_nothing_held_writes_nothing() -> None:
    stream, writer = Pieces(), BackgroundWriter()
    with TerminalStream(stream, writer).holding():
        pass
    assert writer.flush(WAIT_S)
    assert stream.pieces == []


def test_drain_waits_until_the_terminal_has_accepted_the_text(terminal: PseudoTerminal) -> None:
    out = TerminalStream(terminal.stream, BackgroundWriter())
    out.write("all of it")
    out.drain()
    assert terminal.read() == b"all of it"


def test_drain_has_a_timeout_for_a_terminal_that_accepts_nothing(
    terminal: PseudoTerminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemini_live.prompt.tty, "DRAIN_S", 0.01)
    writer = BackgroundWriter()
    out = TerminalStream(terminal.stream, writer)
    out.write("x" * 200_000)  # more than a terminal holds
    out.drain()
    n_read = 0
    while n_read < 200_000:
        n_read += len(terminal.read())
    assert writer.flush(WAIT_S)


def test_the_stream_has_the_descriptor_and_encoding_of_the_terminal(terminal: PseudoTerminal) -> None:
    out = TerminalStream(terminal.stream, BackgroundWriter())
    assert out.fileno() == terminal.stream.fileno()
    assert out.encoding == "utf-8"


# Keys


@pytest.mark.parametrize("ignores", [False, True])
def test_in_raw_mode_ctrl_c_alone_is_a_signal_unless_the_process_ignores_it(
    terminal: PseudoTerminal, ignores: bool
) -> None:
    before = terminal.settings
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN if ignores else signal.default_int_handler)
    try:
        with create_terminal_input(terminal.stream).raw_mode():
            flags, keys = termios.tcgetattr(terminal.stream.fileno())[3::3]
            assert not flags & (termios.ICANON | termios.ECHO)
            assert bool(flags & termios.ISIG) is not ignores
            if not ignores:
                disabled = bytes([os.fpathconf(terminal.stream.fileno(), "PC_VDISABLE")])
                signals = [keys[index] for index in (termios.VINTR, termios.VSUSP, termios.VQUIT)]
                assert signals == [b"\x03", disabled, disabled]
                assert flags & termios.NOFLSH
    finally:
        signal.signal(signal.SIGINT, handler)
    assert terminal.settings == before


# Drawing


def test_drawing_goes_through_the_writer_and_sends_no_queries(terminal: PseudoTerminal) -> None:
    out = TerminalStream(terminal.stream, BackgroundWriter())
    output = create_terminal_output(out, terminal.stream, "xterm")
    output.write("bar")
    output.write_raw("\x1b[0m")
    output.bell()
    output.flush()
    out.drain()
    assert terminal.read() == b"bar\x1b[0m"
    assert not output.responds_to_cpr


def test_the_size_is_the_terminals_own_and_follows_it(terminal: PseudoTerminal) -> None:
    output = create_terminal_output(TerminalStream(terminal.stream, BackgroundWriter()), terminal.stream, "xterm")
    for columns, rows in ((100, 30), (20, 5)):
        terminal.resize(columns, rows)
        assert output.get_size() == Size(rows=rows, columns=columns)


@pytest.mark.parametrize(("columns", "rows"), [(0, 0), (100, 0), (0, 30)])
def test_a_terminal_without_a_size_uses_the_environment(
    terminal: PseudoTerminal, monkeypatch: pytest.MonkeyPatch, columns: int, rows: int
) -> None:
    monkeypatch.setenv("COLUMNS", "77")
    monkeypatch.setenv("LINES", "22")
    terminal.resize(columns, rows)
    output = create_terminal_output(TerminalStream(terminal.stream, BackgroundWriter()), terminal.stream, "xterm")
    assert output.get_size() == Size(rows=22, columns=77)


def test_a_terminal_that_is_gone_has_a_default_size(terminal: PseudoTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "77")
    monkeypatch.setenv("LINES", "22")
    output = create_terminal_output(TerminalStream(terminal.stream, BackgroundWriter()), terminal.stream, None)
    terminal.hang_up()
    assert output.get_size() == Size(rows=22, columns=77)
    terminal.stream.close()
    assert output.get_size() == Size(rows=22, columns=77)


def test_on_windows_prompt_toolkits_own_output_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[TextIO, DummyOutput] = {}
    monkeypatch.setattr(gemini_live.prompt.tty, "create_output", lambda stream: made.setdefault(stream, DummyOutput()))
    monkeypatch.setattr(sys, "platform", "win32")
    stream = io.StringIO()
    assert create_terminal_output(TerminalStream(stream, BackgroundWriter()), stream, None) is made[stream]


# Settings


def test_restore_resets_the_settings_and_the_modes_of_the_prompt(terminal: PseudoTerminal) -> None:
    before = terminal.settings
    settings = TerminalSettings(terminal.stream, terminal.stream)
    terminal.change_settings()
    assert terminal.settings != before
    settings.restore()
    assert terminal.settings == before
    assert terminal.read() == RESET


def test_restore_can_be_called_more_than_once(terminal: PseudoTerminal) -> None:
    before = terminal.settings
    settings = TerminalSettings(terminal.stream, terminal.stream)
    for _ in range(2):
        terminal.change_settings()
        assert terminal.settings != before
        settings.restore()
        assert terminal.settings == before


def test_original_restores_the_settings_only_inside_the_block(terminal: PseudoTerminal) -> None:
    before = terminal.settings
    settings = TerminalSettings(terminal.stream, terminal.stream)
    tty.setraw(terminal.stream.fileno())
    terminal.change_settings()
    ours = terminal.settings
    with pytest.raises(ValueError, match="stopped"), settings.original():
        assert terminal.settings == before
        raise ValueError("stopped")
    assert terminal.settings == ours != before


def test_original_does_nothing_without_a_terminal() -> None:
    with open(os.devnull) as stdin, TerminalSettings(stdin, stdin).original():
        pass


@pytest.mark.parametrize(
    ("locale", "encoding"),
    [("US-ASCII", "utf-8"), ("ANSI_X3.4-1968", "utf-8"), ("UTF-8", "utf-8"), ("CP1252", "cp1252")],
)
def test_keys_are_in_the_encoding_of_the_locale_but_never_in_ascii(
    locale: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.getencoding", lambda: locale)
    assert find_keys_encoding() == encoding


def test_restore_writes_nothing_without_a_terminal() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, os.fdopen(writer, "w") as stdout:
        TerminalSettings(stdin, stdout).restore()
        os.set_blocking(stdin.fileno(), False)
        with pytest.raises(BlockingIOError):
            os.read(stdin.fileno(), 1)


def test_a_terminal_that_is_gone_is_left_alone(terminal: PseudoTerminal) -> None:
    settings = TerminalSettings(terminal.stream, terminal.stream)
    terminal.hang_up()
    settings.restore()


def test_the_settings_are_restored_if_the_screen_is_gone(terminal: PseudoTerminal) -> None:
    before = terminal.settings
    screen = PseudoTerminal()
    settings = TerminalSettings(terminal.stream, screen.stream)
    screen.hang_up()
    terminal.change_settings()
    assert terminal.settings != before
    settings.restore()
    assert terminal.settings == before
    screen.close()


def test_restore_does_not_wait_for_a_terminal_that_accepts_nothing(terminal: PseudoTerminal) -> None:
    settings = TerminalSettings(terminal.stream, terminal.stream)
    before = terminal.settings
    terminal.change_settings()
    descriptor = terminal.stream.fileno()
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"x" * 1000)
    os.set_blocking(descriptor, True)
    thread = threading.Thread(target=settings.restore, daemon=True)
    thread.start()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert terminal.settings == before


def test_on_windows_there_is_nothing_to_set(terminal: PseudoTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    TerminalSettings(terminal.stream, terminal.stream).restore()
    TerminalStream(terminal.stream, BackgroundWriter()).write("only this")
    assert terminal.read() == b"only this"
