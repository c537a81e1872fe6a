"""The conversation for a person at a prompt: what is printed above it, in which order, and what is still growing."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gemini_live.output.live import (
    BLOCK_LINES,
    CUT_OFF,
    FOLD_ROWS,
    LATE,
    NO_WORDS,
    PRINTED_LINES,
    STOPPED,
    UNFINISHED,
    LiveTerminal,
)
from gemini_live.output.plain import FOLD_CHARS
from gemini_live.output.status import Fragments
from gemini_live.output.transcript import LATE_S
from gemini_live.process.streams import BackgroundWriter
from gemini_live.session.stats import Stats
from tests.output.test_plain import NASTY, STARTED, everything

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
        has_words: bool = True,
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
            has_words=has_words,
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

    def answer(self, *words: str, cut_off: bool = False) -> None:
        """Have the model answer a typed line."""
        for fragment in words:
            self.terminal.words(fragment)
        self.terminal.answered("".join(words), asked=True, cut_off=cut_off)

    def wait(self) -> None:
        """Let the time pass in which words of the user may come."""
        self.now_s += LATE_S
        self.terminal.advance()


def plain(fragments: Fragments) -> str:
    return "".join(text for _, text in fragments)


def style_of(fragments: Fragments, part: str) -> str:
    """Return the style of the first fragment that holds `part`."""
    return next(style for style, text in fragments if part in text)


# What is said


def test_a_line_is_printed_when_it_is_sent_and_its_answer_when_it_is_whole() -> None:
    prompt = Prompt()
    prompt.terminal.asked("What is it?", echo=False)
    assert prompt.above == ["you: What is it?"]
    prompt.terminal.words("It ")
    prompt.terminal.words("is.")
    assert (prompt.above, prompt.growing) == (["you: What is it?"], ["gemini: It is."])
    prompt.terminal.answered("It is.", asked=True, cut_off=False)
    assert (prompt.above, prompt.growing) == (["you: What is it?", "gemini: It is."], [])


@pytest.mark.parametrize("echo", [False, True])
def test_a_line_is_printed_once_whoever_typed_it(echo: bool) -> None:
    prompt = Prompt()
    prompt.terminal.asked("hello", echo=echo)
    assert prompt.above == ["you: hello"]


def test_who_says_something_stands_before_it_in_a_style_of_its_own() -> None:
    prompt = Prompt()
    prompt.terminal.asked("hello", echo=False)
    prompt.answer("Hi.", cut_off=True)
    assert style_of(prompt.printed, "you:") == "class:you"
    assert style_of(prompt.printed, "gemini:") == "class:model"
    assert style_of(prompt.printed, CUT_OFF) == "class:mark"
    assert style_of(prompt.printed, "Hi.") == ""


def test_whole_lines_of_a_long_answer_are_printed_while_the_rest_grows() -> None:
    prompt = Prompt()
    prompt.terminal.asked("a poem", echo=False)
    prompt.terminal.words("Roses\nare red,\nvio")
    assert prompt.above[1:] == ["gemini: Roses", "are red,"]
    assert prompt.growing == ["vio"]
    prompt.terminal.words("lets")
    assert prompt.growing == ["violets"]
    prompt.terminal.answered("Roses\nare red,\nviolets", asked=True, cut_off=False)
    assert prompt.above[1:] == ["gemini: Roses", "are red,", "violets"]


def test_what_the_user_said_stands_before_the_answer_to_it_however_late_it_comes() -> None:
    prompt = Prompt()
    prompt.terminal.heard("What is", late=False)
    prompt.terminal.words("It is ")
    prompt.terminal.heard(" the time?", late=True)
    prompt.terminal.words("noon.")
    assert prompt.above == []
    assert prompt.growing == ["you: What is the time?", "gemini: It is noon."]
    prompt.terminal.answered("It is noon.", asked=False, cut_off=False)
    assert prompt.above == ["you: What is the time?", "gemini: It is noon."]


def test_what_waited_for_late_words_is_printed_when_none_can_come_any_more() -> None:
    prompt = Prompt()
    prompt.terminal.words("Line one.\nLine two.\n")
    prompt.terminal.advance()
    assert prompt.above == []
    prompt.wait()
    assert prompt.above == ["gemini: Line one.", "Line two."]


def test_an_answer_that_was_cut_off_is_marked_where_it_was() -> None:
    prompt = Prompt()
    prompt.terminal.asked("a story", echo=False)
    prompt.answer("Once upon a", cut_off=True)
    assert prompt.above[-1] == f"gemini: Once upon a {CUT_OFF}"


@pytest.mark.parametrize("way", ["interrupted", "stopped"])
def test_an_answer_whose_sound_was_cut_off_is_marked_where_it_was_last_heard(way: str) -> None:
    mark = CUT_OFF if way == "interrupted" else STOPPED
    prompt = Prompt()
    prompt.terminal.asked("count", echo=False)
    for n, word in enumerate(["One,", " two,", " three,", " four,"], start=1):
        prompt.queued_s = n
        prompt.terminal.words(word)
    prompt.now_s += 2.0
    prompt.terminal.silenced()
    if way == "stopped":
        prompt.terminal.stopped()
    prompt.now_s += 1.0
    prompt.terminal.answered("One, two, three, four,", asked=True, cut_off=True)
    assert prompt.above == ["you: count", f"gemini: One, two, {mark} three, four,"]
    assert style_of(prompt.printed, "three") == "class:unheard"


def test_an_answer_that_goes_on_after_its_sound_was_dropped_shows_what_is_not_heard() -> None:
    prompt = Prompt()
    prompt.terminal.asked("count", echo=False)
    prompt.queued_s = 5.0
    prompt.terminal.words("One")
    prompt.now_s += 5.0
    prompt.terminal.words(" two")
    prompt.terminal.silenced()
    assert prompt.growing == [f"gemini: One {CUT_OFF} two"]
    prompt.answer(" three")
    assert prompt.above == ["you: count", f"gemini: One {CUT_OFF} two three"]


def test_an_answer_that_was_cut_off_before_its_first_word_is_told_of_all_the_same() -> None:
    prompt = Prompt()
    prompt.terminal.asked("a story", echo=False)
    prompt.answer(cut_off=True)
    assert prompt.above[-1] == f"gemini: {CUT_OFF}"


def test_an_answer_that_begins_anew_shows_what_does_not_count() -> None:
    prompt = Prompt()
    prompt.terminal.asked("count", echo=False)
    prompt.terminal.words("One")
    prompt.terminal.restarted("One")
    prompt.answer("One, two.")
    assert prompt.above[1:] == [f"gemini: One {CUT_OFF}", "gemini: One, two."]


def test_words_that_come_after_their_answer_are_marked() -> None:
    prompt = Prompt()
    prompt.terminal.asked("count", echo=False)
    prompt.answer("One")
    prompt.terminal.late_words(" two ")
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
def test_an_answer_without_words_is_told_of_where_words_were_to_be_expected(
    asked: bool, cut_off: bool, has_words: bool, shown: list[str]
) -> None:
    prompt = Prompt(has_words=has_words)
    prompt.terminal.answered("", asked=asked, cut_off=cut_off)
    assert prompt.above == shown


def test_an_answer_of_nothing_but_white_space_has_no_words() -> None:
    prompt = Prompt()
    prompt.terminal.asked("?", echo=False)
    prompt.answer("\n \n")
    assert prompt.above[1:] == [f"gemini: {NO_WORDS}"]


def test_an_answer_that_never_ends_is_printed_with_the_end_of_the_session() -> None:
    prompt = Prompt()
    prompt.terminal.heard("hello", late=False)
    prompt.terminal.words("half")
    prompt.terminal.unfinished("half")
    assert prompt.above == []
    prompt.terminal.session_ended(4)
    assert (prompt.above, prompt.growing) == (["you: hello", f"gemini: half {UNFINISHED}"], [])


def test_an_answer_that_the_user_stops_is_marked_where_it_was_and_no_more_of_it_is_shown() -> None:
    prompt = Prompt()
    prompt.terminal.asked("a story", echo=False)
    prompt.terminal.words("Once upon")
    prompt.terminal.stopped()
    assert prompt.above[1:] == [f"gemini: Once upon {STOPPED}"]
    prompt.answer(" a time", cut_off=True)
    prompt.answer("Yes?")
    assert prompt.above[2:] == ["gemini: Yes?"]


def test_where_nothing_is_said_there_is_nothing_to_stop() -> None:
    prompt = Prompt()
    prompt.terminal.stopped()
    prompt.terminal.asked("hello", echo=False)
    prompt.answer("Hi.")
    assert prompt.above == ["you: hello", "gemini: Hi."]


def test_an_error_stands_below_all_that_was_said() -> None:
    prompt = Prompt()
    prompt.terminal.heard("hello", late=False)
    prompt.terminal.error("it broke")
    assert prompt.above == ["you: hello", "gemini-live: error: it broke"]


# What is done


@pytest.mark.parametrize(
    ("write", "lines"),
    [
        (lambda t: t.code("PYTHON", "print(1)\nprint(2)\n"), ["[code] python", "    print(1)", "    print(2)"]),
        (lambda t: t.code("PYTHON", "if x:\n\tprint(1)"), ["[code] python", "    if x:", "        print(1)"]),
        (lambda t: t.code("PYTHON", ""), ["[code] python"]),
        (lambda t: t.code_result("OUTCOME_OK", "1\n\n2\n"), ["[code result] ok", "    1", "    ", "    2"]),
        (lambda t: t.code_result("OUTCOME_FAILED", "\n"), ["[code result] failed"]),
        (lambda t: t.tool_call("1", "f", {"a": 1, "b": ["x\ny"]}), ['[call] f(a=1, b=["x\\ny"])']),
        (lambda t: t.tool_result("1", "f", {"output": "ö"}, failed=False), ['[result] f: {"output": "ö"}']),
        (lambda t: t.tool_result("1", "f", {"error": "no"}, failed=True), ['[failed] f: {"error": "no"}']),
        (lambda t: t.tool_cancelled("1", "f"), ["[cancelled] f"]),
        (lambda t: t.sources(["one", "two"], []), ["[search] one, two"]),
        (
            lambda t: t.sources([], [("A page", "https://x"), ("", "https://y")]),
            ["[source] A page https://x", "[source] https://y"],
        ),
        (lambda t: t.sources([], []), []),
        (lambda t: t.function_output("a\tb\x1b"), ["| a\tb\\x1b"]),
        (lambda t: t.status("all is well\n"), ["all is well\\n"]),
        (lambda t: t.warning("careful"), ["gemini-live: warning: careful"]),
        (lambda t: t.error("too late"), ["gemini-live: error: too late"]),
        (lambda t: t.session_started(STARTED), ["gemini-x; voice Puck; tools: search, f"]),
        (lambda t: t.reply("one\ntwo"), ["one", "two"]),
        (lambda t: t.thought("hm"), []),
        (lambda t: t.usage({"total_tokens": 1}), []),
    ],
)
def test_what_is_done_is_printed(write: Callable[[LiveTerminal], None], lines: list[str]) -> None:
    prompt = Prompt()
    prompt.terminal.asked("question", echo=False)
    write(prompt.terminal)
    assert prompt.above[1:] == lines
    assert prompt.err == ""


def test_each_kind_of_line_has_a_style_that_its_words_say_too() -> None:
    prompt = Prompt()
    prompt.terminal.asked("question", echo=False)
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


def test_what_the_model_does_stands_between_what_it_says_before_and_after_it() -> None:
    prompt = Prompt()
    prompt.terminal.asked("the time?", echo=False)
    prompt.terminal.words("Let me see.")
    prompt.terminal.tool_call("1", "clock", {})
    prompt.terminal.tool_result("1", "clock", {"output": "noon"}, failed=False)
    prompt.terminal.words(" It is noon.")
    prompt.terminal.code("PYTHON", "1")
    prompt.terminal.code_result("OUTCOME_OK", "1")
    prompt.terminal.words("Done.")
    prompt.terminal.sources([], [("", "https://x")])
    prompt.terminal.answered("Let me see. It is noon. Done.", asked=True, cut_off=False)
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


def test_what_is_done_waits_for_the_words_of_the_user_that_it_follows() -> None:
    prompt = Prompt()
    prompt.terminal.heard("the time?", late=False)
    prompt.terminal.tool_call("1", "clock", {})
    prompt.terminal.tool_result("1", "clock", {"output": "noon"}, failed=False)
    assert prompt.above == []
    assert prompt.growing == ["you: the time?", "[call] clock()", '[result] clock: {"output": "noon"}']
    prompt.wait()
    assert prompt.growing == []
    assert prompt.above == ["you: the time?", "[call] clock()", '[result] clock: {"output": "noon"}']


def test_what_a_function_prints_stands_after_the_call_that_it_belongs_to() -> None:
    prompt = Prompt()
    prompt.terminal.heard("the time?", late=False)
    prompt.terminal.tool_call("1", "clock", {})
    prompt.terminal.function_output("ticking")
    assert prompt.above == []
    prompt.terminal.tool_result("1", "clock", {"output": "noon"}, failed=False)
    prompt.wait()
    assert prompt.above == ["you: the time?", "[call] clock()", "| ticking", '[result] clock: {"output": "noon"}']


def test_of_all_that_functions_print_at_a_time_the_rest_is_counted() -> None:
    prompt = Prompt()
    prompt.terminal.asked("?", echo=False)
    prompt.terminal.tool_call("1", "f", {})
    for n in range(PRINTED_LINES + 1_234):
        prompt.terminal.function_output(str(n))
    assert prompt.above[2:] == [f"| {n}" for n in range(PRINTED_LINES)]
    assert prompt.growing == ["| ... (1,234 more lines)"]
    prompt.terminal.tool_result("1", "f", {"output": 1}, failed=False)
    assert prompt.above[2 + PRINTED_LINES :] == ["| ... (1,234 more lines)", '[result] f: {"output": 1}']
    prompt.terminal.function_output("again")
    assert prompt.above[-1] == "| again"
    assert prompt.growing == []


def test_what_is_not_shown_of_what_functions_print_is_told_before_anything_else() -> None:
    prompt = Prompt()
    others: list[Callable[[], None]] = [
        lambda: prompt.terminal.warning("w"),
        lambda: prompt.terminal.reply("r"),
        lambda: prompt.terminal.commanded("/c"),
        lambda: prompt.terminal.status("s"),
        lambda: prompt.terminal.heard("h", late=False),
        lambda: prompt.terminal.late_words("l"),
    ]
    for other in others:
        for n in range(PRINTED_LINES + 5):
            prompt.terminal.function_output(str(n))
        other()
    assert plain(prompt.printed + prompt.terminal.pending()).count("| ... (5 more lines)") == len(others)


def test_quiet_counts_nothing_of_what_functions_print() -> None:
    prompt = Prompt(quiet=True)
    for n in range(PRINTED_LINES + 5):
        prompt.terminal.function_output(str(n))
    assert (prompt.above, prompt.growing) == ([], [])


@pytest.mark.parametrize("options", [{"verbose": True}, {"shares_stderr": False}])
def test_what_functions_print_is_shown_whole_to_those_who_want_it(options: dict[str, bool]) -> None:
    prompt = Prompt(**options)
    for n in range(3 * PRINTED_LINES):
        prompt.terminal.function_output(str(n))
    shown = prompt.above if "verbose" in options else prompt.err.splitlines()
    assert shown == [f"| {n}" for n in range(3 * PRINTED_LINES)]


@pytest.mark.parametrize(("line", "seen"), [("0%\r50%\r100%", "100%"), ("done\r", "done"), ("\r\r", "")])
def test_of_a_line_that_was_written_over_the_last_state_is_shown(line: str, seen: str) -> None:
    prompt = Prompt()
    prompt.terminal.function_output(line)
    assert plain(prompt.printed) == f"| {seen}\n"


def test_what_would_turn_words_around_is_made_visible_and_what_languages_need_is_not() -> None:
    prompt = Prompt()
    prompt.terminal.asked("a\u202eb", echo=False)
    prompt.answer("\u202dx\u202c \u05d0\u200f \u2067y\u2069 \u2028z")
    assert prompt.above == ["you: a\\u202eb", "gemini: \\u202dx\u202c \u05d0\u200f \u2067y\u2069 \\u2028z"]


def test_the_result_of_a_slow_function_stands_between_two_answers() -> None:
    prompt = Prompt()
    prompt.terminal.asked("slow", echo=False)
    prompt.terminal.tool_call("1", "slow", {})
    prompt.terminal.asked("another", echo=False)
    prompt.terminal.words("ok another")
    prompt.terminal.tool_result("1", "slow", {"output": 1}, failed=False)
    prompt.terminal.words("\n")
    prompt.terminal.words("The result is in.")
    prompt.terminal.answered("ok another\nThe result is in.", asked=True, cut_off=False)
    assert prompt.above[2:] == [
        "you: another",
        "gemini: ok another",
        '[result] slow: {"output": 1}',
        "gemini: The result is in.",
    ]


def test_what_the_user_said_is_printed_though_it_will_not_be_answered() -> None:
    prompt = Prompt()
    prompt.terminal.heard("hello", late=False)
    prompt.terminal.speech_lost("the connection was lost")
    prompt.terminal.heard("again", late=False)
    assert prompt.above == ["you: hello", "gemini-live: warning: the connection was lost"]
    assert prompt.growing == ["you: again"]


def test_a_source_has_its_title_and_a_link_that_can_be_followed() -> None:
    prompt = Prompt(columns=20)
    link = "https://example.com/" + "x" * 1_000
    prompt.terminal.sources([], [("A page", link)])
    assert prompt.above == [f"[source] A page {link}"]
    assert style_of(prompt.printed, "https:") == "class:link"


# Folding


def fold_lengths(prompt: Prompt) -> list[int]:
    return [len(line) for line in prompt.above]


@pytest.mark.parametrize("columns", [20, 80, 120])
def test_what_a_tool_is_given_and_gives_takes_a_few_rows_at_most(columns: int) -> None:
    prompt = Prompt(columns=columns)
    prompt.terminal.asked("?", echo=False)
    text = "y" * 390
    prompt.terminal.tool_call("1", "f", {"text": text})
    prompt.terminal.tool_result("1", "f", {"output": text}, failed=True)
    prompt.terminal.tool_cancelled("1", text)
    prompt.terminal.sources([text], [])
    rows = max(FOLD_ROWS, -(-90 // columns))  # forty characters are always shown
    assert len(prompt.above) == 5
    for line in prompt.above[1:]:
        assert len(line) <= rows * columns
        assert "... (" in line
    assert prompt.above[1].endswith("... (400 characters)")


def test_what_fits_is_not_folded() -> None:
    prompt = Prompt(columns=100)
    prompt.terminal.tool_cancelled("1", "x" * 200)
    assert prompt.above == [f"[cancelled] {'x' * 200}"]


def test_folding_follows_the_width_of_the_window() -> None:
    prompt = Prompt(columns=40)
    for prompt.columns in (40, 80):
        prompt.terminal.tool_cancelled("1", "x" * 300)
    narrow, wide = fold_lengths(prompt)
    assert 0.5 * 3 * 40 < narrow <= 3 * 40 < wide <= 3 * 80


def test_long_code_and_long_output_are_folded_by_lines() -> None:
    prompt = Prompt()
    prompt.terminal.asked("?", echo=False)
    for n_lines in (BLOCK_LINES, BLOCK_LINES + 1, 5_000):
        text = "\n".join(map(str, range(n_lines)))
        shown = [f"    {n}" for n in range(BLOCK_LINES)]
        if n_lines > BLOCK_LINES:
            shown.append(f"    ... ({n_lines - BLOCK_LINES:,} more lines)")
        before = len(prompt.above)
        prompt.terminal.code("PYTHON", text)
        prompt.terminal.code_result("OUTCOME_OK", text)
        assert prompt.above[before:] == ["[code] python", *shown, "[code result] ok", *shown]


def test_languages_and_outcomes_are_shown_without_their_control_characters() -> None:
    prompt = Prompt()
    prompt.terminal.asked("?", echo=False)
    prompt.terminal.code("PY\x9b31m\ud83d", "1")
    prompt.terminal.code_result("OUTCOME_\x9b", "1")
    assert prompt.above[1:] == ["[code] py\\x9b31m\\ud83d", "    1", "[code result] \\x9b", "    1"]


def test_an_answer_that_is_asked_for_again_after_it_was_stopped_is_shown() -> None:
    prompt = Prompt()
    prompt.terminal.asked("q", echo=False)
    prompt.terminal.words("One")
    prompt.terminal.stopped()
    prompt.terminal.restarted("One")
    prompt.terminal.words("One two")
    prompt.terminal.answered("One two", asked=True, cut_off=False)
    assert prompt.above == ["you: q", "gemini: One [stopped]", "gemini: One two"]


def test_a_long_line_of_code_is_cut_and_says_so() -> None:
    prompt = Prompt()
    prompt.terminal.code_result("OUTCOME_OK", "z" * 12_345)
    assert prompt.above[1] == f"    {'z' * FOLD_CHARS}... (12,345 characters)"


def test_what_is_said_printed_warned_and_failed_is_never_folded() -> None:
    prompt = Prompt(columns=20, verbose=True)
    long = "w" * 2_000
    prompt.terminal.asked(long, echo=False)
    prompt.answer(long)
    prompt.terminal.function_output(long)
    prompt.terminal.warning(long)
    prompt.terminal.status(long)
    prompt.terminal.detail(long)
    prompt.terminal.reply(long)
    prompt.terminal.error(long)
    assert plain(prompt.printed).count(long) == 8


# Quiet and verbose


def test_quiet_leaves_what_is_said_the_replies_and_the_errors() -> None:
    prompt = Prompt(quiet=True)
    everything(prompt.terminal, "text")
    prompt.terminal.reply("a reply")
    prompt.terminal.summary(Stats(0.0).summary(1.0))
    assert prompt.above == [
        "you: text",
        "you: text",
        f"gemini: text {CUT_OFF}",
        f"gemini: text {LATE}",
        "gemini-live: error: text",
        "a reply",
    ]


def test_quiet_leaves_what_is_said_before_and_after_a_call_in_one_piece() -> None:
    prompt = Prompt(quiet=True)
    prompt.terminal.asked("?", echo=False)
    prompt.terminal.words("Let me see.")
    prompt.terminal.tool_call("1", "f", {})
    prompt.answer(" Noon.")
    assert prompt.above == ["you: ?", "gemini: Let me see. Noon."]


def test_messages_are_for_verbose() -> None:
    for verbose, shown in ((False, []), (True, ['< {"a": 1}'])):
        prompt = Prompt(verbose=verbose)
        prompt.terminal.detail('< {"a": 1}')
        assert prompt.above == shown


# The end


def test_what_the_session_amounts_to_stands_below_all_that_was_said() -> None:
    prompt = Prompt()
    prompt.terminal.heard("hello", late=False)
    prompt.terminal.summary(Stats(0.0).summary(7.0))
    assert prompt.above == ["you: hello", "session: 0:07; 0 answers; 0 reconnects"]


def test_the_end_of_nothing_prints_nothing() -> None:
    prompt = Prompt()
    prompt.terminal.session_ended(0)
    assert (prompt.printed, prompt.growing) == ([], [])


# Stderr in another place


def test_where_stderr_is_another_place_only_what_is_said_and_replied_is_on_the_terminal() -> None:
    prompt = Prompt(shares_stderr=False, verbose=True)
    everything(prompt.terminal, "text")
    prompt.terminal.reply("a reply")
    assert prompt.above == [
        "you: text",
        "you: text",
        f"gemini: text {CUT_OFF}",
        f"gemini: text {LATE}",
        "a reply",
    ]
    err = prompt.err.splitlines()
    assert "[cancelled] text" in err
    assert "| text" in err
    assert "gemini-live: error: text" in err
    assert not any("gemini: text" in line or "reply" in line for line in err)


def test_what_goes_to_another_place_is_not_shown_as_it_waits_either() -> None:
    prompt = Prompt(shares_stderr=False)
    prompt.terminal.heard("the time?", late=False)
    prompt.terminal.tool_call("1", "clock", {})
    prompt.terminal.words("It is")
    assert prompt.growing == ["you: the time?", "gemini: It is"]
    assert prompt.err == ""
    prompt.wait()
    assert prompt.err == "[call] clock()\n"


def test_another_place_gets_no_styles() -> None:
    prompt = Prompt(shares_stderr=False)
    prompt.terminal.warning("careful")
    prompt.terminal.tool_cancelled("1", "f")
    assert prompt.err == "gemini-live: warning: careful\n[cancelled] f\n"
    assert prompt.printed == []


def test_without_any_stderr_what_is_said_is_printed_still() -> None:
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
        has_words=True,
    )
    everything(terminal, "text")
    assert "gemini: text" in plain(printed)


# The record


def test_the_record_is_the_conversation_in_its_order_with_what_is_not_whole_yet() -> None:
    prompt = Prompt()
    assert prompt.terminal.record == ""
    prompt.terminal.asked("the time?", echo=False)
    prompt.terminal.tool_call("1", "clock", {})
    prompt.terminal.words("It is\nno")
    assert prompt.terminal.record == "you: the time?\n[call] clock()\ngemini: It is\nno\n"
    prompt.terminal.words("on.")
    prompt.terminal.answered("It is\nnoon.", asked=True, cut_off=False)
    assert prompt.terminal.record == "you: the time?\n[call] clock()\ngemini: It is\nnoon.\n"


def test_the_record_has_nothing_of_what_happens_around_the_conversation() -> None:
    prompt = Prompt(verbose=True)
    prompt.terminal.session_started(STARTED)
    prompt.terminal.asked("hello", echo=False)
    prompt.terminal.status("status")
    prompt.terminal.warning("warning")
    prompt.terminal.detail("detail")
    prompt.terminal.reply("reply")
    prompt.answer("Hi.")
    prompt.terminal.error("error")
    assert prompt.terminal.record == "you: hello\ngemini: Hi.\n"


def test_looking_at_what_grows_changes_nothing() -> None:
    prompt = Prompt()
    prompt.terminal.words("half")
    before = prompt.terminal.pending()
    assert prompt.terminal.record == "gemini: half\n"
    assert prompt.terminal.pending() == before
    assert prompt.printed == []


# Control characters


def assert_clean(text: str) -> None:
    """Assert that no terminal takes anything of `text` for a command."""
    for character in text:
        assert character in "\n\t" or (character >= " " and not "\x7f" <= character <= "\x9f"), repr(text)
    text.encode()


SAYS: Sequence[Callable[[LiveTerminal, str], Any]] = (
    lambda t, text: t.asked(text, echo=True),
    lambda t, text: t.heard(text, late=False),
    lambda t, text: t.words(text),
    lambda t, text: t.restarted(text),
    lambda t, text: t.late_words(text),
    lambda t, text: t.code("PYTHON", text),
    lambda t, text: t.code_result("OUTCOME_OK", text),
    lambda t, text: t.sources([text], [(text, text)]),
    lambda t, text: t.tool_call(text, text, {text: text, "list": [text]}),
    lambda t, text: t.tool_result(text, text, {text: text}, failed=True),
    lambda t, text: t.tool_cancelled(text, text),
    lambda t, text: t.function_output(text),
    lambda t, text: t.status(text),
    lambda t, text: t.warning(text),
    lambda t, text: t.error(text),
    lambda t, text: t.detail(text),
    lambda t, text: t.reply(text),
    lambda t, text: t.session_started({"model": text, "voice": text, "tools": [text], "screen": text, "sound": [text]}),
)


@pytest.mark.parametrize("say", SAYS)
@pytest.mark.parametrize("shares_stderr", [False, True])
def test_no_control_character_of_another_program_is_ever_written(
    say: Callable[[LiveTerminal, str], Any], shares_stderr: bool
) -> None:
    prompt = Prompt(shares_stderr=shares_stderr, verbose=True)
    prompt.terminal.asked("?", echo=False)
    say(prompt.terminal, NASTY)
    assert_clean(plain(prompt.terminal.pending()))
    assert_clean(prompt.terminal.record)
    prompt.terminal.session_ended(0)
    assert_clean(plain(prompt.printed) + prompt.err)
