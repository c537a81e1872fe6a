"""The conversation for a person at a prompt: what is printed above it, in which order, and what is still growing."""

import io
from collections.abc import Callable

import pytest

from gemini_live.conversation.outcomes import (
    Answered,
    LateWords,
    ModelSaid,
    QuestionComplete,
    Restarted,
    SpeechLost,
    Unfinished,
    UserSaid,
)
from gemini_live.escaping import FOLD_CHARS
from gemini_live.output import events
from gemini_live.output.live import (
    BLOCK_LINES,
    CUT_OFF,
    FOLD_ROWS,
    LATE,
    MAX_HELD_LINES,
    NO_WORDS,
    PRINTED_LINES,
    STOPPED,
    UNFINISHED,
    LiveTerminal,
)
from gemini_live.output.status import Fragments
from gemini_live.process.streams import BackgroundWriter
from gemini_live.session.stats import Stats

from .samples import NASTY, START_LINE, STARTED, is_harmless, sample_events
from .test_plain import everything

WAIT_S = 10


class Prompt:
    """A `LiveTerminal`, what it printed above the prompt and to stderr, and a clock that the test moves."""

    def __init__(
        self,
        *,
        shares_stderr: bool = True,
        columns: int = 100,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        self.now_s = 1_000.0
        self.columns = columns
        self.queued_s = 0.0
        self.printed: Fragments = []
        self._stdout, self._stderr = io.StringIO(), io.StringIO()
        self._writer = BackgroundWriter()
        self.terminal = LiveTerminal(
            self._writer,
            self._stdout,
            self._stderr,
            shares_stderr=shares_stderr,
            print_above=self.printed.extend,
            columns=lambda: self.columns,
            queued_s=lambda: self.queued_s,
            clock=lambda: self.now_s,
            quiet=quiet,
            verbose=verbose,
        )

    @property
    def above(self) -> list[str]:
        """The lines above the prompt."""
        return plain(self.printed).splitlines()

    @property
    def growing(self) -> list[str]:
        """The lines of what is not whole yet."""
        return plain(self.terminal.pending()).splitlines()

    @property
    def err(self) -> str:
        assert self._writer.flush(WAIT_S)
        assert self._stdout.getvalue() == ""  # all goes through the prompt
        return self._stderr.getvalue()

    def ask(self, text: str, exchange: int = 1) -> None:
        """Have a person type a line, and the model begin to answer it."""
        self.terminal.emit(events.Asked(exchange, text, typed=True))
        self.terminal.emit(QuestionComplete(exchange))

    def answer(self, *words: str, exchange: int = 1, cut_off: bool = False) -> None:
        """Have the model answer a typed line."""
        for fragment in words:
            self.terminal.emit(ModelSaid(exchange, fragment))
        self.terminal.emit(Answered(exchange, "".join(words), asked=True, cut_off=cut_off))

    def complete_question(self, exchange: int = 1) -> None:
        """Let the time pass in which words of the user may come."""
        self.terminal.emit(QuestionComplete(exchange))


def plain(fragments: Fragments) -> str:
    return "".join(text for _, text in fragments)


def style_of(fragments: Fragments, part: str) -> str:
    """Return the style of the first fragment that holds `part`."""
    return next(style for style, text in fragments if part in text)


# What is said


def test_a_line_is_printed_when_it_is_sent_and_its_answer_when_it_is_whole() -> None:
    prompt = Prompt()
    prompt.ask("What is it?")
    assert prompt.above == ["you: What is it?"]
    prompt.terminal.emit(ModelSaid(1, "It "))
    prompt.terminal.emit(ModelSaid(1, "is."))
    assert (prompt.above, prompt.growing) == (["you: What is it?"], ["gemini: It is."])
    prompt.terminal.emit(Answered(1, "It is.", asked=True, cut_off=False))
    assert (prompt.above, prompt.growing) == (["you: What is it?", "gemini: It is."], [])


@pytest.mark.parametrize("echo", [False, True])
def test_a_line_is_printed_once_whoever_typed_it(echo: bool) -> None:
    prompt = Prompt()
    prompt.terminal.emit(events.Asked(1, "hello", typed=not echo))
    assert prompt.above == ["you: hello"]


def test_each_speaker_has_a_label_in_its_own_style() -> None:
    prompt = Prompt()
    prompt.ask("hello")
    prompt.answer("Hi.", cut_off=True)
    assert style_of(prompt.printed, "you:") == "class:you"
    assert style_of(prompt.printed, "gemini:") == "class:model"
    assert style_of(prompt.printed, CUT_OFF) == "class:mark"
    assert style_of(prompt.printed, "Hi.") == ""


def test_whole_lines_of_a_long_answer_are_printed_while_the_rest_grows() -> None:
    prompt = Prompt()
    prompt.ask("a poem")
    prompt.terminal.emit(ModelSaid(1, "Roses\nare red,\nvio"))
    assert prompt.above[1:] == ["gemini: Roses", "are red,"]
    assert prompt.growing == ["vio"]
    prompt.terminal.emit(ModelSaid(1, "lets"))
    assert prompt.growing == ["violets"]
    prompt.terminal.emit(Answered(1, "Roses\nare red,\nviolets", asked=True, cut_off=False))
    assert prompt.above[1:] == ["gemini: Roses", "are red,", "violets"]


def test_a_spoken_question_is_printed_before_its_answer_even_if_its_transcript_is_late() -> None:
    prompt = Prompt()
    prompt.terminal.emit(UserSaid(1, "What is", late=False))
    prompt.terminal.emit(ModelSaid(1, "It is "))
    prompt.terminal.emit(UserSaid(1, " the time?", late=True))
    prompt.terminal.emit(ModelSaid(1, "noon."))
    assert prompt.above == []
    assert prompt.growing == ["you: What is the time?", "gemini: It is noon."]
    prompt.terminal.emit(Answered(1, "It is noon.", asked=False, cut_off=False))
    assert prompt.above == ["you: What is the time?", "gemini: It is noon."]


def test_an_answer_is_printed_when_its_question_is_complete() -> None:
    prompt = Prompt()
    prompt.terminal.emit(ModelSaid(1, "Line one.\nLine two.\n"))
    assert prompt.above == []
    prompt.complete_question()
    assert prompt.above == ["gemini: Line one.", "Line two."]


def test_a_cut_off_answer_ends_with_a_mark() -> None:
    prompt = Prompt()
    prompt.ask("a story")
    prompt.answer("Once upon a", cut_off=True)
    assert prompt.above[-1] == f"gemini: Once upon a {CUT_OFF}"


@pytest.mark.parametrize("way", ["interrupted", "stopped"])
def test_the_mark_holds_the_words_that_were_not_played(way: str) -> None:
    mark = CUT_OFF if way == "interrupted" else STOPPED
    prompt = Prompt()
    prompt.ask("count")
    for n, word in enumerate(["One,", " two,", " three,", " four,"], start=1):
        prompt.queued_s = n
        prompt.terminal.emit(ModelSaid(1, word))
    prompt.now_s += 2.0
    prompt.terminal.emit(events.Silenced())
    if way == "stopped":
        prompt.terminal.emit(events.Stopped(1))
    prompt.now_s += 1.0
    prompt.terminal.emit(Answered(1, "One, two, three, four,", asked=True, cut_off=True))
    assert prompt.above == ["you: count", f"gemini: One, two, {mark[:-1]}, not played: three, four,]"]
    assert style_of(prompt.printed, "three") == "class:unheard"


def test_words_after_playback_was_cleared_are_shown_as_not_played() -> None:
    prompt = Prompt()
    prompt.ask("count")
    prompt.queued_s = 5.0
    prompt.terminal.emit(ModelSaid(1, "One"))
    prompt.now_s += 5.0
    prompt.terminal.emit(ModelSaid(1, " two"))
    prompt.terminal.emit(events.Silenced())
    assert prompt.growing == ["gemini: One [cut off, not played: two]"]
    prompt.answer(" three")
    assert prompt.above == ["you: count", "gemini: One [cut off, not played: two three]"]


def test_an_answer_that_is_cut_off_before_its_first_word_is_marked_too() -> None:
    prompt = Prompt()
    prompt.ask("a story")
    prompt.answer(cut_off=True)
    assert prompt.above[-1] == f"gemini: {CUT_OFF}"


def test_a_restarted_answer_marks_the_discarded_words() -> None:
    prompt = Prompt()
    prompt.ask("count")
    prompt.terminal.emit(ModelSaid(1, "One"))
    prompt.terminal.emit(Restarted(1, "One"))
    prompt.answer("One, two.")
    assert prompt.above[1:] == [f"gemini: One {CUT_OFF}", "gemini: One, two."]


def test_late_words_are_marked() -> None:
    prompt = Prompt()
    prompt.ask("count")
    prompt.answer("One")
    prompt.terminal.emit(LateWords(1, " two "))
    assert prompt.above[1:] == ["gemini: One", f"gemini: two {LATE}"]


@pytest.mark.parametrize(
    ("asked", "cut_off", "has_words", "shown"),
    [
        (True, False, True, [f"gemini: {NO_WORDS}"]),
        (True, False, False, []),
        (False, False, True, []),
        (True, True, True, [f"gemini: {CUT_OFF}"]),
        (False, True, True, [f"gemini: {CUT_OFF}"]),
    ],
)
def test_an_answer_without_words_is_marked_if_words_were_expected(
    asked: bool, cut_off: bool, has_words: bool, shown: list[str]
) -> None:
    prompt = Prompt()
    prompt.terminal.emit(events.SessionStarted(model="m", voice=None, has_words=has_words))
    n_before = len(prompt.above)
    prompt.terminal.emit(Answered(1, "", asked=asked, cut_off=cut_off))
    assert prompt.above[n_before:] == shown


def test_an_answer_of_nothing_but_white_space_has_no_words() -> None:
    prompt = Prompt()
    prompt.ask("?")
    prompt.answer("\n \n")
    assert prompt.above[1:] == [f"gemini: {NO_WORDS}"]


def test_an_unfinished_answer_is_printed_when_the_session_ends() -> None:
    prompt = Prompt()
    prompt.terminal.emit(UserSaid(1, "hello", late=False))
    prompt.terminal.emit(ModelSaid(1, "half"))
    prompt.terminal.emit(Unfinished(1, "half"))
    assert prompt.above == []
    prompt.terminal.emit(events.SessionEnded(4))
    assert (prompt.above, prompt.growing) == (["you: hello", f"gemini: half {UNFINISHED}"], [])


def test_a_stopped_answer_is_marked_and_its_later_words_are_not_shown() -> None:
    prompt = Prompt()
    prompt.ask("a story")
    prompt.terminal.emit(ModelSaid(1, "Once upon"))
    prompt.terminal.emit(events.Stopped(1))
    assert prompt.above[1:] == [f"gemini: Once upon {STOPPED}"]
    prompt.answer(" a time", cut_off=True)
    prompt.ask("and then?", exchange=2)
    prompt.answer("Yes?", exchange=2)
    assert prompt.above[2:] == ["you: and then?", "gemini: Yes?"]


def test_an_error_is_printed_after_the_conversation() -> None:
    prompt = Prompt()
    prompt.terminal.emit(UserSaid(1, "hello", late=False))
    prompt.terminal.emit(events.Error("it broke"))
    assert prompt.above == ["you: hello", "gemini-live: error: it broke"]


# What is done


@pytest.mark.parametrize(
    ("write", "lines"),
    [
        (
            lambda t: t.emit(events.Code(1, "PYTHON", "print(1)\nprint(2)\n")),
            ["[code] python", "    print(1)", "    print(2)"],
        ),
        (
            lambda t: t.emit(events.Code(1, "PYTHON", "if x:\n\tprint(1)")),
            ["[code] python", "    if x:", "        print(1)"],
        ),
        (lambda t: t.emit(events.Code(1, "PYTHON", "")), ["[code] python"]),
        (
            lambda t: t.emit(events.CodeResult(1, "OUTCOME_OK", "1\n\n2\n")),
            ["[code result] ok", "    1", "    ", "    2"],
        ),
        (lambda t: t.emit(events.CodeResult(1, "OUTCOME_FAILED", "\n")), ["[code result] failed"]),
        (lambda t: t.emit(events.ToolCall(1, "1", "f", {"a": 1, "b": ["x\ny"]})), ['[call] f(a=1, b=["x\\ny"])']),
        (
            lambda t: t.emit(events.ToolResult(1, "1", "f", {"output": "ö"}, failed=False)),
            ['[result] f: {"output": "ö"}'],
        ),
        (
            lambda t: t.emit(events.ToolResult(1, "1", "f", {"error": "no"}, failed=True)),
            ['[failed] f: {"error": "no"}'],
        ),
        (lambda t: t.emit(events.ToolCancelled(1, "1", "f")), ["[cancelled] f"]),
        (lambda t: t.emit(events.Sources(1, ["one", "two"], [])), ["[search] one, two"]),
        (
            lambda t: t.emit(
                events.Sources(1, [], [events.Source("A page", "https://x"), events.Source("", "https://y")])
            ),
            ["[source] A page https://x", "[source] https://y"],
        ),
        (lambda t: t.emit(events.Sources(1, [], [])), []),
        (lambda t: t.emit(events.FunctionOutput("a\tb\x1b")), ["| a\tb\\x1b"]),
        (lambda t: t.emit(events.Status("all is well\n")), ["all is well\\n"]),
        (lambda t: t.emit(events.Warning("careful")), ["gemini-live: warning: careful"]),
        (lambda t: t.emit(events.Error("too late")), ["gemini-live: error: too late"]),
        (lambda t: t.emit(STARTED), [START_LINE]),
        (lambda t: t.emit(events.Reply("one\ntwo")), ["one", "two"]),
        (lambda t: t.emit(events.Thought(1, "hm")), []),
        (lambda t: t.emit(events.Usage(total_tokens=1)), []),
    ],
)
def test_each_event_is_printed_as_a_line(write: Callable[[LiveTerminal], None], lines: list[str]) -> None:
    prompt = Prompt()
    prompt.ask("question")
    write(prompt.terminal)
    assert prompt.above[1:] == lines
    assert prompt.err == ""


def test_each_kind_of_line_has_its_own_style() -> None:
    prompt = Prompt()
    prompt.ask("question")
    everything(prompt.terminal, "text")
    styles = {
        "[call]": "class:label",
        "[failed]": "class:label",
        "[source]": "class:label",
        "| text": "class:printed",
        "warning:": "class:warning",
        "error:": "class:error",
    }
    assert {part: style_of(prompt.printed, part) for part in styles} == styles


def test_a_call_is_printed_between_the_words_before_and_after_it() -> None:
    prompt = Prompt()
    prompt.ask("the time?")
    prompt.terminal.emit(ModelSaid(1, "Let me see."))
    prompt.terminal.emit(events.ToolCall(1, "1", "clock", {}))
    prompt.terminal.emit(events.ToolResult(1, "1", "clock", {"output": "noon"}, failed=False))
    prompt.terminal.emit(ModelSaid(1, " It is noon."))
    prompt.terminal.emit(events.Code(1, "PYTHON", "1"))
    prompt.terminal.emit(events.CodeResult(1, "OUTCOME_OK", "1"))
    prompt.terminal.emit(ModelSaid(1, "Done."))
    prompt.terminal.emit(events.Sources(1, [], [events.Source("", "https://x")]))
    prompt.terminal.emit(Answered(1, "Let me see. It is noon. Done.", asked=True, cut_off=False))
    assert prompt.above[1:] == [
        "gemini: Let me see.",
        "[call] clock()",
        '[result] clock: {"output": "noon"}',
        "gemini: It is noon.",
        "[code] python",
        "    1",
        "[code result] ok",
        "    1",
        "gemini: Done.",
        "[source] https://x",
    ]


def test_a_call_waits_until_the_spoken_question_is_complete() -> None:
    prompt = Prompt()
    prompt.terminal.emit(UserSaid(1, "the time?", late=False))
    prompt.terminal.emit(events.ToolCall(1, "1", "clock", {}))
    prompt.terminal.emit(events.ToolResult(1, "1", "clock", {"output": "noon"}, failed=False))
    assert prompt.above == []
    assert prompt.growing == ["you: the time?", "[call] clock()", '[result] clock: {"output": "noon"}']
    prompt.complete_question()
    assert prompt.growing == []
    assert prompt.above == ["you: the time?", "[call] clock()", '[result] clock: {"output": "noon"}']


def test_function_output_is_printed_after_its_call() -> None:
    prompt = Prompt()
    prompt.terminal.emit(UserSaid(1, "the time?", late=False))
    prompt.terminal.emit(events.ToolCall(1, "1", "clock", {}))
    prompt.terminal.emit(events.FunctionOutput("ticking"))
    assert prompt.above == []
    prompt.terminal.emit(events.ToolResult(1, "1", "clock", {"output": "noon"}, failed=False))
    prompt.complete_question()
    assert prompt.above == ["you: the time?", "[call] clock()", "| ticking", '[result] clock: {"output": "noon"}']


def test_function_output_beyond_a_limit_is_counted() -> None:
    prompt = Prompt()
    prompt.ask("?")
    prompt.terminal.emit(events.ToolCall(1, "1", "f", {}))
    for n in range(PRINTED_LINES + 1_234):
        prompt.terminal.emit(events.FunctionOutput(str(n)))
    assert prompt.above[2:] == [f"| {n}" for n in range(PRINTED_LINES)]
    assert prompt.growing == ["| ... (1,234 more lines)"]
    prompt.terminal.emit(events.ToolResult(1, "1", "f", {"output": 1}, failed=False))
    assert prompt.above[2 + PRINTED_LINES :] == ["| ... (1,234 more lines)", '[result] f: {"output": 1}']
    prompt.terminal.emit(events.FunctionOutput("again"))
    assert prompt.above[-1] == "| again"
    assert prompt.growing == []


def test_the_count_of_hidden_function_output_is_printed_before_other_events() -> None:
    prompt = Prompt()
    others: list[Callable[[], None]] = [
        lambda: prompt.terminal.emit(events.Warning("w")),
        lambda: prompt.terminal.emit(events.Reply("r")),
        lambda: prompt.terminal.emit(events.Commanded("/c")),
        lambda: prompt.terminal.emit(events.Status("s")),
        lambda: prompt.terminal.emit(UserSaid(1, "h", late=False)),
        lambda: prompt.terminal.emit(LateWords(1, "l")),
    ]
    for other in others:
        for n in range(PRINTED_LINES + 5):
            prompt.terminal.emit(events.FunctionOutput(str(n)))
        other()
    assert plain(prompt.printed + prompt.terminal.pending()).count("| ... (5 more lines)") == len(others)


def test_quiet_hides_function_output_and_its_count() -> None:
    prompt = Prompt(quiet=True)
    for n in range(PRINTED_LINES + 5):
        prompt.terminal.emit(events.FunctionOutput(str(n)))
    assert (prompt.above, prompt.growing) == ([], [])


@pytest.mark.parametrize("options", [{"verbose": True}, {"shares_stderr": False}])
def test_function_output_is_complete_with_verbose_or_in_a_log(options: dict[str, bool]) -> None:
    prompt = Prompt(**options)
    for n in range(3 * PRINTED_LINES):
        prompt.terminal.emit(events.FunctionOutput(str(n)))
    shown = prompt.above if "verbose" in options else prompt.err.splitlines()
    assert shown == [f"| {n}" for n in range(3 * PRINTED_LINES)]


@pytest.mark.parametrize(("line", "seen"), [("0%\r50%\r100%", "100%"), ("done\r", "done"), ("\r\r", "")])
def test_a_progress_bar_shows_its_last_state(line: str, seen: str) -> None:
    prompt = Prompt()
    prompt.terminal.emit(events.FunctionOutput(line))
    assert plain(prompt.printed) == f"| {seen}\n"


def test_direction_overrides_are_escaped_and_other_marks_are_kept() -> None:
    prompt = Prompt()
    prompt.ask("a\u202eb")
    prompt.answer("\u202dx\u202c \u05d0\u200f \u2067y\u2069 \u2028z")
    assert prompt.above == ["you: a\\u202eb", "gemini: \\u202dx\u202c \u05d0\u200f \u2067y\u2069 \\u2028z"]


def test_the_result_of_a_slow_function_stands_between_two_answers() -> None:
    prompt = Prompt()
    prompt.ask("slow")
    prompt.terminal.emit(events.ToolCall(1, "1", "slow", {}))
    prompt.ask("another")
    prompt.terminal.emit(ModelSaid(1, "ok another"))
    prompt.terminal.emit(events.ToolResult(1, "1", "slow", {"output": 1}, failed=False))
    prompt.terminal.emit(ModelSaid(1, "\n"))
    prompt.terminal.emit(ModelSaid(1, "The result is in."))
    prompt.terminal.emit(Answered(1, "ok another\nThe result is in.", asked=True, cut_off=False))
    assert prompt.above[2:] == [
        "you: another",
        "gemini: ok another",
        '[result] slow: {"output": 1}',
        "gemini: The result is in.",
    ]


def test_lost_speech_is_printed() -> None:
    prompt = Prompt()
    prompt.terminal.emit(UserSaid(1, "hello", late=False))
    prompt.terminal.emit(SpeechLost(1))
    prompt.terminal.emit(events.Warning("the connection was lost"))
    prompt.terminal.emit(UserSaid(2, "again", late=False))
    assert prompt.above == ["you: hello", "gemini-live: warning: the connection was lost"]
    assert prompt.growing == ["you: again"]


def test_a_source_has_its_title_and_a_link_that_can_be_followed() -> None:
    prompt = Prompt(columns=20)
    prompt.complete_question()
    link = "https://example.com/" + "x" * 1_000
    prompt.terminal.emit(events.Sources(1, [], [events.Source("A page", link)]))
    assert prompt.above == [f"[source] A page {link}"]
    assert style_of(prompt.printed, "https:") == "class:link"


# Folding


def fold_lengths(prompt: Prompt) -> list[int]:
    return [len(line) for line in prompt.above]


@pytest.mark.parametrize("columns", [20, 80, 120])
def test_arguments_and_results_take_a_few_rows_at_most(columns: int) -> None:
    prompt = Prompt(columns=columns)
    prompt.ask("?")
    text = "y" * 390
    prompt.terminal.emit(events.ToolCall(1, "1", "f", {"text": text}))
    prompt.terminal.emit(events.ToolResult(1, "1", "f", {"output": text}, failed=True))
    prompt.terminal.emit(events.ToolCancelled(1, "1", text))
    prompt.terminal.emit(events.Sources(1, [text], []))
    rows = max(FOLD_ROWS, -(-90 // columns))  # forty characters are always shown
    assert len(prompt.above) == 5
    for line in prompt.above[1:]:
        assert len(line) <= rows * columns
        assert "... (" in line
    assert prompt.above[1].endswith("... (400 characters)")


def test_what_fits_is_not_folded() -> None:
    prompt = Prompt(columns=100)
    prompt.complete_question()
    prompt.terminal.emit(events.ToolCancelled(1, "1", "x" * 200))
    assert prompt.above == [f"[cancelled] {'x' * 200}"]


def test_folding_follows_the_width_of_the_window() -> None:
    prompt = Prompt(columns=40)
    prompt.complete_question()
    for prompt.columns in (40, 80):
        prompt.terminal.emit(events.ToolCancelled(1, "1", "x" * 300))
    narrow, wide = fold_lengths(prompt)
    assert 0.5 * 3 * 40 < narrow <= 3 * 40 < wide <= 3 * 80


def test_long_code_and_long_output_are_folded_by_lines() -> None:
    prompt = Prompt()
    prompt.ask("?")
    for n_lines in (BLOCK_LINES, BLOCK_LINES + 1, 5_000):
        text = "\n".join(map(str, range(n_lines)))
        shown = [f"    {n}" for n in range(BLOCK_LINES)]
        if n_lines > BLOCK_LINES:
            shown.append(f"    ... ({n_lines - BLOCK_LINES:,} more lines)")
        before = len(prompt.above)
        prompt.terminal.emit(events.Code(1, "PYTHON", text))
        prompt.terminal.emit(events.CodeResult(1, "OUTCOME_OK", text))
        assert prompt.above[before:] == ["[code] python", *shown, "[code result] ok", *shown]


def test_languages_and_outcomes_are_escaped() -> None:
    prompt = Prompt()
    prompt.ask("?")
    prompt.terminal.emit(events.Code(1, "PY\x9b31m\ud83d", "1"))
    prompt.terminal.emit(events.CodeResult(1, "OUTCOME_\x9b", "1"))
    assert prompt.above[1:] == ["[code] py\\x9b31m\\ud83d", "    1", "[code result] \\x9b", "    1"]


def test_a_stopped_answer_that_restarts_is_shown_again() -> None:
    prompt = Prompt()
    prompt.ask("q")
    prompt.terminal.emit(ModelSaid(1, "One"))
    prompt.terminal.emit(events.Stopped(1))
    prompt.terminal.emit(Restarted(1, "One"))
    prompt.terminal.emit(ModelSaid(1, "One two"))
    prompt.terminal.emit(Answered(1, "One two", asked=True, cut_off=False))
    assert prompt.above == ["you: q", "gemini: One [stopped]", "gemini: One two"]


def test_a_long_line_of_code_is_cut_and_says_so() -> None:
    prompt = Prompt()
    prompt.complete_question()
    prompt.terminal.emit(events.CodeResult(1, "OUTCOME_OK", "z" * 12_345))
    assert prompt.above[1] == f"    {'z' * FOLD_CHARS}... (12,345 characters)"


def test_words_function_output_warnings_and_errors_are_never_cut() -> None:
    prompt = Prompt(columns=20, verbose=True)
    long = "w" * 2_000
    prompt.ask(long)
    prompt.answer(long)
    prompt.terminal.emit(events.FunctionOutput(long))
    prompt.terminal.emit(events.Warning(long))
    prompt.terminal.emit(events.Status(long))
    prompt.terminal.emit(events.Detail(long))
    prompt.terminal.emit(events.Reply(long))
    prompt.terminal.emit(events.Error(long))
    assert plain(prompt.printed).count(long) == 8


# Quiet and verbose


def test_quiet_keeps_the_conversation_replies_and_errors() -> None:
    prompt = Prompt(quiet=True)
    everything(prompt.terminal, "text")
    assert prompt.above == [
        "you: text",
        "you: text",
        f"gemini: text {CUT_OFF}",
        f"gemini: text {CUT_OFF}",
        f"gemini: text {LATE}",
        "> text",
        "text",
        f"gemini: {STOPPED}",
        "gemini-live: error: text",
    ]


def test_quiet_does_not_split_an_answer_at_a_call() -> None:
    prompt = Prompt(quiet=True)
    prompt.ask("?")
    prompt.terminal.emit(ModelSaid(1, "Let me see."))
    prompt.terminal.emit(events.ToolCall(1, "1", "f", {}))
    prompt.answer(" Noon.")
    assert prompt.above == ["you: ?", "gemini: Let me see. Noon."]


def test_details_are_shown_with_verbose_only() -> None:
    for verbose, shown in ((False, []), (True, ['< {"a": 1}'])):
        prompt = Prompt(verbose=verbose)
        prompt.terminal.emit(events.Detail('< {"a": 1}'))
        assert prompt.above == shown


# The end


def test_the_summary_is_printed_after_the_conversation() -> None:
    prompt = Prompt()
    prompt.terminal.emit(UserSaid(1, "hello", late=False))
    prompt.terminal.emit(Stats(0.0).summary(7.0))
    assert prompt.above == ["you: hello", "session: 0:07; 0 answers; 0 reconnects"]


def test_an_empty_session_prints_nothing() -> None:
    prompt = Prompt()
    prompt.terminal.emit(events.SessionEnded(0))
    assert (prompt.printed, prompt.growing) == ([], [])


# Stderr in another place


def test_with_a_redirected_stderr_the_terminal_has_only_the_conversation_and_replies() -> None:
    prompt = Prompt(shares_stderr=False, verbose=True)
    everything(prompt.terminal, "text")
    assert prompt.above == [
        "you: text",
        "you: text",
        f"gemini: text {CUT_OFF}",
        f"gemini: text {CUT_OFF}",
        f"gemini: text {LATE}",
        "> text",
        "text",
        f"gemini: {STOPPED}",
    ]
    err = prompt.err.splitlines()
    assert "[cancelled] text" in err
    assert "| text" in err
    assert "gemini-live: error: text" in err
    assert not any("gemini: text" in line or "> text" in line for line in err)


def test_lines_for_a_redirected_stderr_are_not_pending_on_the_terminal() -> None:
    prompt = Prompt(shares_stderr=False)
    prompt.terminal.emit(UserSaid(1, "the time?", late=False))
    prompt.terminal.emit(events.ToolCall(1, "1", "clock", {}))
    prompt.terminal.emit(ModelSaid(1, "It is"))
    assert prompt.growing == ["you: the time?", "gemini: It is"]
    assert prompt.err == ""
    prompt.complete_question()
    assert prompt.err == "[call] clock()\n"


def test_a_redirected_stderr_gets_no_styles() -> None:
    prompt = Prompt(shares_stderr=False)
    prompt.complete_question()
    prompt.terminal.emit(events.Warning("careful"))
    prompt.terminal.emit(events.ToolCancelled(1, "1", "f"))
    assert prompt.err == "gemini-live: warning: careful\n[cancelled] f\n"
    assert prompt.printed == []


def test_the_conversation_is_printed_without_any_stderr() -> None:
    printed: Fragments = []
    terminal = LiveTerminal(
        BackgroundWriter(),
        io.StringIO(),
        None,
        shares_stderr=False,
        print_above=printed.extend,
        columns=lambda: 80,
        queued_s=lambda: 0.0,
        clock=lambda: 0.0,
        quiet=False,
        verbose=True,
    )
    everything(terminal, "text")
    assert "gemini: text" in plain(printed)


# The record


def test_the_record_is_the_conversation_with_what_is_pending() -> None:
    prompt = Prompt()
    assert prompt.terminal.record == ""
    prompt.ask("the time?")
    prompt.terminal.emit(events.ToolCall(1, "1", "clock", {}))
    prompt.terminal.emit(ModelSaid(1, "It is\nno"))
    assert prompt.terminal.record == "you: the time?\n[call] clock()\ngemini: It is\nno\n"
    prompt.terminal.emit(ModelSaid(1, "on."))
    prompt.terminal.emit(Answered(1, "It is\nnoon.", asked=True, cut_off=False))
    assert prompt.terminal.record == "you: the time?\n[call] clock()\ngemini: It is\nnoon.\n"


def test_the_record_has_no_status_warnings_or_replies() -> None:
    prompt = Prompt(verbose=True)
    prompt.terminal.emit(STARTED)
    prompt.ask("hello")
    prompt.terminal.emit(events.Status("status"))
    prompt.terminal.emit(events.Warning("warning"))
    prompt.terminal.emit(events.Detail("detail"))
    prompt.terminal.emit(events.Reply("reply"))
    prompt.answer("Hi.")
    prompt.terminal.emit(events.Error("error"))
    assert prompt.terminal.record == "you: hello\ngemini: Hi.\n"


def test_the_record_has_no_command_that_waits_for_the_end_of_an_answer() -> None:
    prompt = Prompt()
    prompt.ask("a poem")
    prompt.terminal.emit(ModelSaid(1, "Roses\nare"))
    prompt.terminal.emit(events.Commanded("/save talk.txt"))
    assert prompt.growing == ["are", "> /save talk.txt"]
    assert prompt.terminal.record == "you: a poem\ngemini: Roses\nare\n"


def test_reading_what_is_pending_changes_nothing() -> None:
    prompt = Prompt()
    prompt.terminal.emit(ModelSaid(1, "half"))
    before = prompt.terminal.pending()
    assert prompt.terminal.record == "gemini: half\n"
    assert prompt.terminal.pending() == before
    assert prompt.printed == []


# Text from outside


@pytest.mark.parametrize("shares_stderr", [False, True])
def test_text_from_outside_is_always_escaped(shares_stderr: bool) -> None:
    prompt = Prompt(shares_stderr=shares_stderr, verbose=True)
    for event in sample_events(NASTY):
        prompt.terminal.emit(event)
        assert is_harmless(plain(prompt.terminal.pending()) + prompt.terminal.record)
    assert is_harmless(plain(prompt.printed) + prompt.err)


# What would split an answer


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        ([events.Commanded("/stats"), events.Reply("one\ntwo")], ["> /stats", "one", "two"]),
        ([events.Status("all is well")], ["all is well"]),
        ([events.Warning("careful")], ["gemini-live: warning: careful"]),
        ([events.Detail("< {}")], ["< {}"]),
    ],
)
def test_other_lines_wait_while_an_answer_is_partly_printed(told: list[events.Event], lines: list[str]) -> None:
    prompt = Prompt(verbose=True)
    prompt.ask("a poem")
    prompt.terminal.emit(ModelSaid(1, "Roses\nare"))
    for event in told:
        prompt.terminal.emit(event)
    assert prompt.above == ["you: a poem", "gemini: Roses"]
    assert prompt.growing == ["are", *lines]
    prompt.terminal.emit(ModelSaid(1, " red.\nViolets"))
    prompt.terminal.emit(events.Asked(2, "another", typed=True))
    prompt.answer(" are blue.")
    assert prompt.above == ["you: a poem", "gemini: Roses", "are red.", "Violets are blue.", *lines, "you: another"]
    assert prompt.growing == []


def test_a_reply_is_printed_at_once_if_no_answer_is_partly_printed() -> None:
    prompt = Prompt()
    prompt.ask("hello")
    prompt.terminal.emit(ModelSaid(1, "Hi"))
    prompt.terminal.emit(events.Reply("a reply"))
    assert prompt.above == ["you: hello", "a reply"]
    assert prompt.growing == ["gemini: Hi"]


def test_lines_for_a_redirected_stderr_do_not_wait() -> None:
    prompt = Prompt(shares_stderr=False)
    prompt.ask("a poem")
    prompt.terminal.emit(ModelSaid(1, "Roses\nare"))
    prompt.terminal.emit(events.Warning("careful"))
    assert prompt.err == "gemini-live: warning: careful\n"


def test_waiting_lines_are_printed_when_the_session_ends() -> None:
    prompt = Prompt()
    prompt.ask("a poem")
    prompt.terminal.emit(ModelSaid(1, "Roses\nare"))
    prompt.terminal.emit(events.Reply("a reply"))
    prompt.terminal.emit(events.Error("it broke"))
    assert prompt.above[2:] == [f"are {UNFINISHED}", "a reply", "gemini-live: error: it broke"]


# Whose words, in which order


def test_late_words_of_an_answer_are_shown_before_the_speech_that_interrupted_it() -> None:
    prompt = Prompt()
    prompt.terminal.emit(UserSaid(1, "count"))
    prompt.terminal.emit(UserSaid(2, "stop"))
    prompt.terminal.emit(ModelSaid(1, "One, two"))
    assert prompt.growing == ["you: count", "gemini: One, two", "you: stop"]
    prompt.terminal.emit(Answered(1, "One, two", asked=False, cut_off=True))
    prompt.terminal.emit(Answered(2, "", asked=False, cut_off=False))
    assert prompt.above == ["you: count", f"gemini: One, two {CUT_OFF}", "you: stop"]


def test_lines_that_wait_for_the_end_of_an_utterance_are_bounded() -> None:
    prompt = Prompt()
    emit = prompt.terminal.emit
    for event in (STARTED, events.Asked(1, "hi", typed=True), QuestionComplete(1), ModelSaid(1, "one line\nand more")):
        emit(event)
    for number in range(5 * MAX_HELD_LINES):
        emit(events.Warning(f"warning {number}"))
        assert len(prompt.terminal._held_lines) <= MAX_HELD_LINES
    emit(Answered(1, "", asked=True, cut_off=False, reason=None))
    shown = "".join(text for _, text in prompt.printed)
    assert [f"warning {number}\n" in shown for number in range(5 * MAX_HELD_LINES)] == [True] * 5 * MAX_HELD_LINES
