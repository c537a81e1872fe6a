"""The conversation for people, as a terminal, a pipe and a file get it."""

import io
from collections.abc import Callable

import pytest

from gemini_live.conversation.outcomes import (
    Answered,
    LateWords,
    ModelSaid,
    Restarted,
    Unfinished,
    UserSaid,
)
from gemini_live.escaping import FOLD_CHARS
from gemini_live.output import events
from gemini_live.output.plain import Terminal
from gemini_live.process.streams import BackgroundWriter

from .samples import NASTY, STARTED, is_harmless, sample_events

WAIT_S = 10


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Written:
    """A `Terminal` and what it wrote."""

    def __init__(
        self,
        *,
        stdout: io.StringIO | None = None,
        stderr: io.StringIO | None = None,
        color: bool = False,
        quiet: bool = False,
        verbose: bool = True,
        is_interactive: bool = False,
    ) -> None:
        self.stdout, self.stderr = stdout, stderr
        self.writer = BackgroundWriter()
        self.terminal = Terminal(
            self.writer,
            stdout,
            stderr,
            stdout_is_terminal=isinstance(stdout, Screen),
            stdout_color=color,
            stderr_color=color,
            quiet=quiet,
            verbose=verbose,
            is_interactive=is_interactive,
        )

    @property
    def out(self) -> str:
        return self._text(self.stdout)

    @property
    def err(self) -> str:
        return self._text(self.stderr)

    def _text(self, stream: io.StringIO | None) -> str:
        assert stream is not None
        assert self.writer.flush(WAIT_S)
        return stream.getvalue()


def in_a_pipe(**switches: bool) -> Written:
    return Written(stdout=io.StringIO(), stderr=io.StringIO(), **switches)


def on_a_screen(**switches: bool) -> Written:
    """Both streams on one screen: `out` and `err` are the same text."""
    screen = Screen()
    return Written(stdout=screen, stderr=screen, **switches)


def everything(terminal: Terminal, text: str) -> None:
    """Have the terminal write `text` by every way there is."""
    for event in sample_events(text):
        terminal.emit(event)


# Text from outside


REORDERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""What makes a text look as if its characters stood in another order."""


def test_facts_are_escaped_if_they_reorder_text() -> None:
    written = in_a_pipe()
    written.terminal.emit(events.Sources(1, [], [events.Source("gpj.\u202eexe", "https://example.com/\u2067")]))
    written.terminal.emit(events.ToolCall(1, "1", "f", {"path": "\u202efdp.exe"}))
    written.terminal.emit(events.FunctionOutput("\u202eprinted"))
    assert written.err == (
        '[source] gpj.\\u202eexe https://example.com/\\u2067\n[call] f(path="\\u202efdp.exe")\n\\u202eprinted\n'
    )


def test_direction_overrides_are_escaped_in_words_and_other_marks_are_kept() -> None:
    piped, shown = in_a_pipe(), on_a_screen()
    piped.terminal.emit(Answered(1, REORDERING, asked=True, cut_off=False))
    shown.terminal.emit(ModelSaid(1, REORDERING))
    visible = "\u202a\u202b\u202c\\u202d\\u202e\u2066\u2067\u2068\u2069"
    assert (piped.out, shown.out) == (f"{visible}\n", f"gemini: {visible}")


@pytest.mark.parametrize("make", [in_a_pipe, on_a_screen])
def test_text_from_outside_is_always_escaped(make: Callable[[], Written]) -> None:
    written = make()
    everything(written.terminal, NASTY)
    assert is_harmless(written.out + written.err)


def test_every_diagnostic_is_one_line() -> None:
    written = in_a_pipe()
    for event in sample_events("a\nb"):
        if not isinstance(event, events.Reply):
            written.terminal.emit(event)
    assert "a\\nb" in written.err
    assert "a\nb" not in written.err
    assert written.err.endswith("\n")


# Folding


def test_calls_results_and_code_are_folded_and_errors_are_not() -> None:
    long = "y" * 2_000
    written = in_a_pipe()
    written.terminal.emit(events.ToolCall(1, "1", "f", {"text": long}))
    written.terminal.emit(events.ToolResult(1, "1", "f", {"output": long}, failed=False))
    written.terminal.emit(events.Code(1, "PYTHON", long))
    written.terminal.emit(events.CodeResult(1, "OUTCOME_OK", long))
    assert all(len(line) < FOLD_CHARS + 50 for line in written.err.splitlines())
    before = len(written.err)
    written.terminal.emit(events.Error(long))
    written.terminal.emit(events.Warning(long))
    written.terminal.emit(events.Detail(long))
    assert written.err[before:].count(long) == 3


# A pipe


def test_a_pipe_gets_whole_answers_one_each_and_nothing_else() -> None:
    written = in_a_pipe()
    terminal = written.terminal
    terminal.emit(events.SessionStarted(model="m", voice=None))
    terminal.emit(events.Asked(1, "one?", typed=False))
    terminal.emit(ModelSaid(1, "An "))
    terminal.emit(UserSaid(1, "something", late=False))
    terminal.emit(ModelSaid(1, "answer."))
    assert written.out == ""
    terminal.emit(Answered(1, "An answer.", asked=True, cut_off=False))
    terminal.emit(events.Asked(1, "two?", typed=False))
    terminal.emit(Answered(1, "Two\n  lines\tof it ", asked=True, cut_off=False))
    terminal.emit(events.SessionEnded(0))
    assert written.out == "An answer.\nTwo\n  lines\tof it \n"


def test_an_empty_answer_to_a_typed_line_is_an_empty_line() -> None:
    written = in_a_pipe()
    written.terminal.emit(Answered(1, "", asked=True, cut_off=False))
    assert written.out == "\n"


def test_an_empty_answer_to_speech_is_not_written() -> None:
    written = in_a_pipe()
    written.terminal.emit(Answered(1, "", asked=False, cut_off=False))
    assert written.out == ""


def test_an_answer_to_speech_is_written_to_a_pipe() -> None:
    written = in_a_pipe()
    written.terminal.emit(Answered(1, "spoken", asked=False, cut_off=False))
    assert written.out == "spoken\n"


def test_late_words_go_to_stderr_if_stdout_is_a_pipe() -> None:
    written = in_a_pipe()
    written.terminal.emit(Answered(1, "early", asked=True, cut_off=False))
    written.terminal.emit(LateWords(1, " late\x1b"))
    assert written.out == "early\n"
    assert written.err == "[late words]  late\\x1b\n"


def test_an_unfinished_answer_goes_to_stderr_if_stdout_is_a_pipe() -> None:
    written = in_a_pipe()
    written.terminal.emit(Unfinished(1, "word " * FOLD_CHARS + "\nend"))
    assert written.out == ""
    assert written.err == f"[unfinished] {'word ' * FOLD_CHARS}\\nend\n"


def test_an_unfinished_answer_is_not_repeated_on_a_terminal() -> None:
    written = on_a_screen()
    written.terminal.emit(ModelSaid(1, "half"))
    written.terminal.emit(Unfinished(1, "half"))
    written.terminal.emit(events.SessionEnded(4))
    assert written.out == "gemini: half\n"


def test_discarded_words_never_reach_a_pipe() -> None:
    written = in_a_pipe()
    written.terminal.emit(ModelSaid(1, "wrong"))
    written.terminal.emit(Restarted(1, "wrong"))
    written.terminal.emit(Answered(1, "right", asked=True, cut_off=False))
    assert written.out == "right\n"
    assert written.err == ""


def test_a_pipe_gets_no_colour_unless_told() -> None:
    written = in_a_pipe()
    everything(written.terminal, "text")
    assert "\x1b" not in written.out + written.err


def test_missing_streams_are_ignored() -> None:
    written = Written()
    everything(written.terminal, "text")
    assert written.writer.flush(WAIT_S)


# A terminal


def test_a_terminal_shows_words_as_they_arrive_with_their_speaker() -> None:
    written = on_a_screen()
    terminal = written.terminal
    terminal.emit(events.Asked(1, "what is it?", typed=False))
    terminal.emit(ModelSaid(1, "It "))
    assert written.out == "you: what is it?\ngemini: It "
    terminal.emit(ModelSaid(1, "is."))
    terminal.emit(Answered(1, "It is.", asked=True, cut_off=False))
    terminal.emit(UserSaid(1, " and", late=False))
    terminal.emit(UserSaid(1, " now", late=False))
    terminal.emit(ModelSaid(1, "Now."))
    terminal.emit(events.SessionEnded(0))
    assert written.out == "you: what is it?\ngemini: It is.\nyou: and now\ngemini: Now.\n"


def test_a_line_that_was_typed_is_not_repeated() -> None:
    written = on_a_screen()
    written.terminal.emit(events.Asked(1, "typed here", typed=True))
    assert written.out == ""


def test_a_question_starts_on_a_new_line() -> None:
    written = on_a_screen()
    written.terminal.emit(ModelSaid(1, "I was say"))
    written.terminal.emit(events.Asked(1, "stop", typed=False))
    written.terminal.emit(ModelSaid(1, "Yes?"))
    assert written.out == "gemini: I was say\nyou: stop\ngemini: Yes?"


def test_a_typed_line_has_already_ended_the_line_on_the_screen() -> None:
    written = on_a_screen()
    written.terminal.emit(ModelSaid(1, "I was say"))
    before = len(written.out)
    written.terminal.emit(events.Asked(1, "stop", typed=True))
    written.terminal.emit(ModelSaid(1, "Yes?"))
    assert written.out[before:] == "gemini: Yes?"


def test_white_space_alone_starts_no_line() -> None:
    written = on_a_screen()
    written.terminal.emit(ModelSaid(1, " \n "))
    assert written.out == ""
    written.terminal.emit(ModelSaid(1, "  text"))
    assert written.out == "gemini: text"


def test_late_words_are_shown_on_a_terminal() -> None:
    written = on_a_screen()
    written.terminal.emit(ModelSaid(1, "early"))
    written.terminal.emit(Answered(1, "early late", asked=True, cut_off=False))
    written.terminal.emit(LateWords(1, "late"))
    assert written.out == "gemini: early\ngemini: late"


def test_a_status_line_starts_on_a_new_line() -> None:
    written = on_a_screen()
    terminal = written.terminal
    terminal.emit(ModelSaid(1, "The weather "))
    terminal.emit(events.ToolCall(1, "1", "weather", {"place": "Köln"}))
    terminal.emit(ModelSaid(1, "is fine."))
    terminal.emit(events.Warning("something"))
    terminal.emit(events.FunctionOutput("printed"))
    terminal.emit(ModelSaid(1, "More."))
    terminal.emit(events.SessionEnded(0))
    assert written.out.splitlines() == [
        "gemini: The weather ",
        '[call] weather(place="Köln")',
        "gemini: is fine.",
        "gemini-live: warning: something",
        "printed",
        "gemini: More.",
    ]


@pytest.mark.parametrize("end", [Answered(1, "It is fine.", asked=True, cut_off=False), events.SessionEnded(4)])
def test_a_reply_to_a_command_waits_for_the_end_of_the_answer_on_the_screen(end: events.Event) -> None:
    written = on_a_screen()
    written.terminal.emit(events.Reply("at once"))
    written.terminal.emit(ModelSaid(1, "It "))
    written.terminal.emit(events.Reply("one\ntwo"))
    written.terminal.emit(ModelSaid(1, "is fine."))
    written.terminal.emit(end)
    assert written.out.splitlines() == ["at once", "gemini: It is fine.", "one", "two"]


def test_status_lines_that_go_to_a_file_do_not_break_up_the_words_on_the_screen() -> None:
    written = Written(stdout=Screen(), stderr=io.StringIO())
    for piece in ("one ", "two ", "three"):
        written.terminal.emit(events.Detail("a message"))
        written.terminal.emit(ModelSaid(1, piece))
    assert written.out == "gemini: one two three"
    assert written.err == "a message\n" * 3


def test_an_answer_that_was_cut_off_is_marked() -> None:
    written = on_a_screen()
    written.terminal.emit(ModelSaid(1, "Once upon"))
    written.terminal.emit(Answered(1, "Once upon", asked=True, cut_off=True))
    assert written.out == "gemini: Once upon\n[cut off] the answer was interrupted\n"


def test_a_restarted_answer_shows_the_discarded_words() -> None:
    written = on_a_screen()
    written.terminal.emit(ModelSaid(1, "Once"))
    written.terminal.emit(Restarted(1, "Once"))
    written.terminal.emit(ModelSaid(1, "Twice"))
    assert written.out == "gemini: Once\n[cut off] the answer broke off; it had said: Once\ngemini: Twice"


# Colours


def test_speakers_are_coloured_and_their_words_are_not() -> None:
    written = on_a_screen(color=True)
    written.terminal.emit(events.Asked(1, "hi", typed=False))
    written.terminal.emit(ModelSaid(1, "hello"))
    assert written.out == "\x1b[36myou:\x1b[0m hi\n\x1b[1;32mgemini:\x1b[0m hello"


def test_labels_and_warnings_are_coloured_apart_from_their_text() -> None:
    written = in_a_pipe(color=True)
    written.terminal.emit(events.ToolCancelled(1, "1", "f"))
    written.terminal.emit(events.Warning("careful"))
    written.terminal.emit(events.Error("too late"))
    assert written.err.splitlines() == [
        "\x1b[35m[cancelled]\x1b[0m f",
        "\x1b[33mgemini-live: warning:\x1b[0m careful",
        "\x1b[1;31mgemini-live: error:\x1b[0m too late",
    ]


def test_without_colour_every_kind_of_line_has_a_label() -> None:
    written = on_a_screen()
    everything(written.terminal, "text")
    assert "\x1b" not in written.out
    for mark in ("you:", "gemini:", "[call]", "[failed]", "[code]", "[source]", "warning:", "error:"):
        assert mark in written.out


# What each line says


def test_the_first_line_names_model_voice_tools_screen_and_sound() -> None:
    written = in_a_pipe()
    written.terminal.emit(STARTED)
    assert written.err == "gemini-x; voice Puck; tools: search, f; screen 1 at 1 fps; microphone A; speaker B\n"


def test_the_first_line_leaves_out_what_is_not_in_use() -> None:
    written = in_a_pipe()
    written.terminal.emit(events.SessionStarted(model="m", voice=None))
    assert written.err == "m; tools: none\n"


@pytest.mark.parametrize(
    ("write", "line"),
    [
        (lambda t: t.emit(events.Code(1, "PYTHON", "print(1)\nprint(2)")), "[code] python: print(1)\\nprint(2)"),
        (lambda t: t.emit(events.CodeResult(1, "OUTCOME_OK", "1\n2\n")), "[code result] ok: 1\\n2\\n"),
        (lambda t: t.emit(events.CodeResult(1, "OUTCOME_FAILED", "x")), "[code result] failed: x"),
        (lambda t: t.emit(events.ToolCall(1, "1", "f", {})), "[call] f()"),
        (lambda t: t.emit(events.ToolCall(1, "1", "f", {"a": 1, "b": [None]})), "[call] f(a=1, b=[null])"),
        (
            lambda t: t.emit(events.ToolResult(1, "1", "f", {"output": "ö"}, failed=False)),
            '[result] f: {"output": "ö"}',
        ),
        (lambda t: t.emit(events.ToolResult(1, "1", "f", {"error": "no"}, failed=True)), '[failed] f: {"error": "no"}'),
        (lambda t: t.emit(events.ToolCancelled(1, "1", "f")), "[cancelled] f"),
        (lambda t: t.emit(events.FunctionOutput("a\tb\\n\x1b")), "a\tb\\n\\x1b"),
        (lambda t: t.emit(events.Status("all is well")), "all is well"),
        (lambda t: t.emit(events.Warning("careful")), "gemini-live: warning: careful"),
        (lambda t: t.emit(events.Error("it failed")), "gemini-live: error: it failed"),
        (lambda t: t.emit(events.Detail('< {"a":1}')), '< {"a":1}'),
        (lambda t: t.emit(events.Sources(1, [], [events.Source("Title", "https://x")])), "[source] Title https://x"),
        (lambda t: t.emit(events.Sources(1, [], [events.Source("", "https://x")])), "[source] https://x"),
        (lambda t: t.emit(events.Sources(1, ["one", "two"], [])), "[search] one, two"),
    ],
)
def test_each_event_is_one_line_on_stderr(write: Callable[[Terminal], None], line: str) -> None:
    written = in_a_pipe()
    write(written.terminal)
    assert (written.err, written.out) == (line + "\n", "")


def test_every_source_has_a_line_of_its_own() -> None:
    written = in_a_pipe()
    written.terminal.emit(events.Sources(1, ["q"], [events.Source("A", "https://a"), events.Source("B", "https://b")]))
    assert written.err == "[search] q\n[source] A https://a\n[source] B https://b\n"


def test_thoughts_and_token_counts_are_not_written() -> None:
    written = in_a_pipe()
    written.terminal.emit(events.Thought(1, "hm"))
    written.terminal.emit(events.Usage(total_tokens=1))
    assert written.out + written.err == ""


# Quiet


def test_quiet_keeps_answers_replies_and_errors() -> None:
    written = in_a_pipe(quiet=True, verbose=False)
    everything(written.terminal, "text")
    assert written.out == "text\n"
    assert written.err == "text\ngemini-live: error: text\n"


def test_details_are_shown_with_verbose_only() -> None:
    written = in_a_pipe(verbose=False)
    written.terminal.emit(events.Detail("a message"))
    assert written.err == ""
