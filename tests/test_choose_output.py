"""Who writes the conversation: for each kind of streams, of terminal and of format, and with which colours."""

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("a pseudo-terminal is POSIX's", allow_module_level=True)

import contextlib
import fcntl
import json
import os
import re
import struct
import termios
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from gemini_live.choose_output import Outputs
from gemini_live.config import Color, Config, OutputFormat
from gemini_live.conversation.outcomes import Answered, ModelSaid, QuestionComplete
from gemini_live.errors import ConfigError
from gemini_live.output import events
from gemini_live.output.events import Output
from gemini_live.output.jsonl import Jsonl
from gemini_live.output.live import LiveTerminal
from gemini_live.output.plain import Terminal
from gemini_live.process.streams import BackgroundWriter, Streams
from gemini_live.prompt.prompt import Prompt
from gemini_live.session.stats import Stats

WAIT_S = 10
XTERM = {"TERM": "xterm-256color"}
COLOR = re.compile(rb"\x1b\[[\d;]*3[0-7]")
"""The beginning of a text in one of the terminal's colours."""


class Place:
    """Where a stream of the process leads: a terminal, or a pipe."""

    def __init__(self, *, is_terminal: bool) -> None:
        if is_terminal:
            self._far, self._near = os.openpty()
            tty.setraw(self._near)  # what is written comes out as it is
        else:
            self._far, self._near = os.pipe()
        self.is_terminal = is_terminal
        self._streams: list[TextIO] = []

    def read_from(self) -> TextIO:
        """Return a stream that reads what comes from there."""
        return self._note(os.fdopen(os.dup(self._near if self.is_terminal else self._far)))

    def write_to(self) -> TextIO:
        """Return a stream that leads there."""
        return self._note(os.fdopen(os.dup(self._near), "w"))

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._near, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self) -> bytes:
        """Return what was written there and not read yet."""
        os.set_blocking(self._far, False)
        data = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                data += os.read(self._far, 65_536)
        return data

    def _note(self, stream: TextIO) -> TextIO:
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        os.close(self._far)
        os.close(self._near)


class Process:
    """The streams of a process, what it chooses for them, and what is written to them."""

    def __init__(
        self, stdin: Place | None, stdout: Place | None, stderr: Place | None, environ: dict[str, str]
    ) -> None:
        self.stdout, self.stderr = stdout, stderr
        self._writer = BackgroundWriter()
        streams = Streams(
            stdin.read_from() if stdin else None,
            stdout.write_to() if stdout else None,
            stderr.write_to() if stderr else None,
        )
        self.outputs = Outputs(environ, streams, self._writer)
        self.n_interrupted = 0

    def build(self, config: Config | None = None) -> tuple[Output, Prompt | None]:
        return self.outputs.build(config or Config(), self._interrupt)

    @property
    def out(self) -> bytes:
        return self._read(self.stdout)

    @property
    def err(self) -> bytes:
        return self._read(self.stderr)

    def _read(self, place: Place | None) -> bytes:
        assert place is not None
        assert self._writer.flush(WAIT_S)
        return place.read()

    def _interrupt(self) -> None:
        self.n_interrupted += 1


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """A function that returns a process with stdin, stdout and stderr of the kinds that three letters say.

    `t` is a terminal, the same for all, `o` another one, `p` a pipe, `-` nothing.
    """
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    terminal = Place(is_terminal=True)
    places = [terminal]

    def find(kind: str) -> Place | None:
        if kind in "po":
            places.append(Place(is_terminal=kind == "o"))
            return places[-1]
        return terminal if kind == "t" else None

    def make(kinds: str, environ: dict[str, str] | None = None) -> Process:
        stdin, stdout, stderr = map(find, kinds)
        return Process(stdin, stdout, stderr, XTERM if environ is None else environ)

    yield make
    for place in places:
        place.close()


# Where lines come from


@pytest.mark.parametrize(
    ("kinds", "reads"),
    [("ttt", True), ("ttp", True), ("tpt", False), ("tpp", False), ("ptt", True), ("ppp", True), ("-tt", False)],
)
def test_a_keyboard_is_an_input_where_its_answers_are_seen_and_everything_else_always(
    start: Start, kinds: str, reads: bool
) -> None:
    outputs = start(kinds).outputs
    assert outputs.reads_stdin(Config()) is reads
    assert not outputs.reads_stdin(Config(stdin=False))


# Who writes


@pytest.mark.parametrize(
    ("kinds", "environ", "config", "writes"),
    [
        ("ttt", XTERM, Config(), LiveTerminal),
        ("ttp", XTERM, Config(), LiveTerminal),
        ("tto", XTERM, Config(), LiveTerminal),
        ("tt-", XTERM, Config(), LiveTerminal),
        ("ttt", {"TERM": "linux"}, Config(text_output=True), LiveTerminal),
        ("ttt", XTERM | {"NO_COLOR": "1"}, Config(), LiveTerminal),
        ("ttt", {"TERM": "dumb"}, Config(), Terminal),
        ("ttt", {"TERM": "unknown"}, Config(), Terminal),
        ("ttt", {"TERM": ""}, Config(), Terminal),
        ("ttt", {}, Config(), Terminal),
        ("ttt", XTERM, Config(stdin=False), Terminal),
        ("ptt", XTERM, Config(), Terminal),
        ("-tt", XTERM, Config(), Terminal),
        ("tpt", XTERM, Config(), Terminal),
        ("t-t", XTERM, Config(), Terminal),
        ("ppp", XTERM, Config(), Terminal),
        ("---", XTERM, Config(), Terminal),
        ("ttt", XTERM, Config(output_format=OutputFormat.JSONL), Jsonl),
        ("ppp", {}, Config(output_format=OutputFormat.JSONL), Jsonl),
    ],
)
def test_a_person_has_a_prompt_where_one_can_be_drawn_and_programs_have_objects(
    start: Start, kinds: str, environ: dict[str, str], config: Config, writes: type
) -> None:
    output, prompt = start(kinds, environ).build(config)
    assert type(output) is writes
    assert (prompt is not None) is (writes is LiveTerminal)


@pytest.mark.parametrize(
    ("kinds", "environ", "settings", "why"),
    [
        ("ptt", XTERM, {}, "stdin and stdout"),
        ("tpt", XTERM, {}, "stdin and stdout"),
        ("-tt", XTERM, {}, "stdin and stdout"),
        ("ttt", {"TERM": "dumb"}, {}, "TERM=dumb"),
        ("ttt", {}, {}, "TERM="),
        ("ttt", XTERM, {"stdin": False}, "--no-stdin"),
        ("ttt", XTERM, {"output_format": OutputFormat.JSONL}, "--output-format jsonl"),
    ],
)
def test_a_talk_key_needs_a_prompt(
    start: Start, kinds: str, environ: dict[str, str], settings: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=f"^--push-to-talk needs .*{why}"):
        start(kinds, environ).build(Config(push_to_talk=True, **settings))


def test_redaction_needs_a_recording_or_a_prompt(start: Start) -> None:
    with pytest.raises(ConfigError, match=r"^--redact has nothing to redact: add --record FILE\.jsonl"):
        start("fpp").build(Config(redact=True))
    start("fpp").build(Config(redact=True, record=Path("a.jsonl")))
    assert start("ttt", XTERM).build(Config(redact=True))[1] is not None


def test_confirmations_need_a_prompt(start: Start) -> None:
    with pytest.raises(ConfigError, match=r"^--confirm-functions needs a prompt to ask at"):
        start("fpp").build(Config(confirm_functions=True))
    assert start("ttt").build(Config(confirm_functions=True))[1] is not None


def test_at_a_prompt_there_may_be_a_talk_key(start: Start) -> None:
    assert start("ttt").build(Config(push_to_talk=True))[1] is not None


# What a prompt writes


def test_above_a_prompt_everything_goes_to_the_one_terminal(start: Start) -> None:
    process = start("ttt")
    output, _ = process.build()
    output.emit(events.Asked(1, "hello", typed=True))
    output.emit(events.Warning("careful"))
    written = process.out
    assert b"hello" in written
    assert b"careful" in written


@pytest.mark.parametrize("kinds", ["ttp", "tto"])
def test_a_stderr_that_is_another_place_gets_what_is_not_said(start: Start, kinds: str) -> None:
    process = start(kinds)
    output, _ = process.build()
    output.emit(events.Asked(1, "hello", typed=True))
    output.emit(events.Warning("careful"))
    assert process.err == b"gemini-live: warning: careful\n"
    assert b"careful" not in process.out


def test_a_prompt_shows_an_answer_as_it_grows_and_prints_it_when_it_is_whole(start: Start) -> None:
    process = start("ttt")
    output, prompt = process.build()
    assert prompt is not None
    output.emit(ModelSaid(1, "half a sentence"))
    assert "".join(text for _, text in prompt.in_progress()) == "gemini: half a sentence\n"
    assert b"half" not in process.out
    output.emit(Answered(1, "half a sentence", asked=False, cut_off=False))
    assert prompt.in_progress() == []
    assert b"half a sentence" in process.out


def test_the_width_of_the_window_says_how_much_of_a_result_is_shown(start: Start) -> None:
    process = start("ttt")
    output, _ = process.build()
    assert process.stdout is not None
    lengths = []
    output.emit(QuestionComplete(1))
    for columns in (40, 100):
        process.stdout.resize(columns)
        output.emit(events.ToolResult(1, "1", "f", {"output": "x" * 380}, failed=False))
        lengths.append(process.out.count(b"x"))
    assert lengths[0] < 3 * 40 < lengths[1] < 3 * 100


async def show(prompt: Prompt | None) -> None:
    """Show the prompt for a moment."""
    assert prompt is not None
    async with prompt.running(lambda: None):
        pass


@pytest.mark.parametrize("history", [False, True])
async def test_what_is_typed_is_kept_unless_told(start: Start, tmp_path: Path, history: bool) -> None:
    process = start("ttt")
    _, prompt = process.build(Config(history=history))
    await show(prompt)
    assert (tmp_path / "state" / "gemini-live" / "history").exists() is history


async def test_a_history_that_cannot_be_kept_is_warned_of_and_keeps_nobody_from_typing(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    process = start("ttp")
    _, prompt = process.build()
    await show(prompt)
    assert process.err.startswith(b"gemini-live: warning: what you type is not kept for the next session: ")


def test_without_a_prompt_no_history_is_begun(start: Start, tmp_path: Path) -> None:
    for kinds in ("ppp", "ptt"):
        start(kinds).build()
    assert not (tmp_path / "state").exists()


# What is written without one


def test_a_pipe_gets_answers_and_stderr_the_rest(start: Start) -> None:
    process = start("ppp")
    output, _ = process.build()
    output.emit(events.Asked(1, "hello", typed=True))
    output.emit(Answered(1, "Hi.", asked=True, cut_off=False))
    output.emit(events.Warning("careful"))
    assert (process.out, process.err) == (b"Hi.\n", b"gemini-live: warning: careful\n")


def test_programs_get_objects_and_people_the_complaints(start: Start) -> None:
    process = start("ppp")
    output, _ = process.build(Config(output_format=OutputFormat.JSONL, verbose=True))
    output.emit(Answered(1, "Hi.", asked=True, cut_off=False))
    output.emit(events.Warning("careful"))
    output.emit(events.Error("it broke"))
    output.emit(events.Detail("a message"))
    for line in process.out.splitlines():
        assert json.loads(line)["v"]
    assert process.err == (b"gemini-live: warning: careful\ngemini-live: error: it broke\na message\n")


@pytest.mark.parametrize(("kinds", "shown"), [("ttp", True), ("ptp", False), ("ppp", False)])
def test_a_person_is_told_what_the_session_amounts_to_and_a_script_is_not(
    start: Start, kinds: str, shown: bool
) -> None:
    process = start(kinds, {"TERM": "dumb"})
    output, _ = process.build()
    output.emit(Stats(0.0).summary(1.0))
    assert (b"session: 0:01" in process.err) is shown


@pytest.mark.parametrize("environ", [XTERM, {"TERM": "dumb"}])
def test_quiet_and_verbose_hold_for_whoever_writes(start: Start, environ: dict[str, str]) -> None:
    for config, parts in (
        (Config(quiet=True), set()),
        (Config(), {b"careful"}),
        (Config(verbose=True), {b"careful", b"a message"}),
    ):
        process = start("ttp", environ)
        output, _ = process.build(config)
        output.emit(events.Warning("careful"))
        output.emit(events.Detail("a message"))
        written = process.err
        assert {part for part in (b"careful", b"a message") if part in written} == parts


# Colours


def colored(process: Process, config: Config) -> tuple[bool, bool]:
    """Return whether what is said, and what is warned of, has colours."""
    output, _ = process.build(config)
    output.emit(events.Asked(1, "hello", typed=False))
    output.emit(ModelSaid(1, "Hi."))
    output.emit(Answered(1, "Hi.", asked=True, cut_off=False))
    said = bool(COLOR.search(process.out)) if process.stdout else False
    output.emit(events.Warning("careful"))
    warned = bool(COLOR.search(process.err)) if process.stderr else False
    return said, warned


DUMB = {"TERM": "dumb"}
ALWAYS, NEVER = Config(color=Color.ALWAYS), Config(color=Color.NEVER)


@pytest.mark.parametrize(
    ("kinds", "environ", "config", "colors"),
    [
        # at a prompt
        ("ttt", XTERM, Config(), (True, True)),
        ("ttt", XTERM, NEVER, (False, False)),
        ("ttt", XTERM | {"NO_COLOR": "1"}, Config(), (False, False)),
        ("ttt", XTERM | {"NO_COLOR": ""}, Config(), (True, True)),
        ("ttt", XTERM | {"NO_COLOR": "1"}, ALWAYS, (True, True)),
        ("ttp", XTERM, ALWAYS, (True, False)),
        # without one
        ("ttt", XTERM, Config(stdin=False), (True, True)),
        ("ttp", XTERM, Config(stdin=False), (True, False)),
        ("ttt", {}, Config(), (False, False)),
        ("ttt", DUMB, Config(), (False, False)),
        ("ttt", DUMB, ALWAYS, (True, True)),
        ("ttt", {}, NEVER, (False, False)),
        ("ptt", XTERM, Config(), (False, False)),
        ("ptt", XTERM, ALWAYS, (True, True)),
        ("ppt", XTERM, Config(), (False, False)),
        ("ppp", XTERM, Config(), (False, False)),
        ("ppp", XTERM, ALWAYS, (False, True)),  # a pipe gets the model's words exactly
    ],
)
def test_colours_are_where_a_person_types_and_reads(
    start: Start, kinds: str, environ: dict[str, str], config: Config, colors: tuple[bool, bool]
) -> None:
    assert colored(start(kinds, environ), config) == colors


def test_without_anything_else_it_can_be_said_why(start: Start) -> None:
    process = start("ppp", DUMB)
    process.outputs.build_plain().emit(events.Error("there is no such option"))
    assert (process.out, process.err) == (b"", b"gemini-live: error: there is no such option\n")


def test_without_any_stream_nothing_is_said_and_nothing_breaks(start: Start) -> None:
    process = start("---")
    process.outputs.build_plain().emit(events.Error("lost"))
    output, _ = process.build()
    output.emit(Answered(1, "lost", asked=True, cut_off=False))
