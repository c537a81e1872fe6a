"""What the prompt looks like, row by row, in windows of every size: drawn on a pseudo-terminal and read from there."""

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("a pseudo-terminal is POSIX's", allow_module_level=True)

import re
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.application import Application
from prompt_toolkit.application.current import set_app
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import Completion
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import DummyInput
from prompt_toolkit.layout import BufferControl
from prompt_toolkit.search import SearchDirection, start_search
from prompt_toolkit.utils import get_cwidth

from gemini_live.output.help import COMMANDS, KEYS
from gemini_live.output.status import ConnectionState, MicrophoneState
from gemini_live.process.streams import BackgroundWriter
from gemini_live.prompt.tty import TerminalStream, create_terminal_output
from gemini_live.prompt.view import (
    MENU_ROWS,
    MIN_ROWS_WITH_DOTS,
    STYLE,
    PromptState,
    build_layout,
    last_rows,
    wrap_words,
)
from tests.prompt.test_prompt import BAR, PLACEHOLDER, STATUS
from tests.window import WAIT_S, Window, opened


class View:
    """The rows of a prompt in a window; nothing runs but a loop, and the test says when they are drawn."""

    def __init__(self, window: Window, *, push_to_talk: bool = False) -> None:
        self.window = window
        self.state = PromptState(status=STATUS)
        self.buffer = Buffer()
        self._writer = BackgroundWriter()
        output = create_terminal_output(TerminalStream(window.screen, self._writer), window.screen, "xterm-256color")
        self._app: Application[None] = Application(
            build_layout(self.buffer, self.state, output, push_to_talk=push_to_talk),
            style=STYLE,
            input=DummyInput(),
            output=output,
        )

    def draw(self) -> list[str]:
        """Draw, and return the rows up to the last that is not empty."""
        with set_app(self._app):
            self._app.renderer.erase()
            self._app.render_counter += 1  # what is kept of the drawing before is not to be looked at
            self._app.renderer.render(self._app, self._app.layout)
        assert self._writer.flush(WAIT_S)
        return self.window.text.split("\n")

    def search(self, text: str) -> None:
        """Search for an earlier line, as Ctrl-R does."""
        control = self._app.layout.current_control
        assert isinstance(control, BufferControl)
        with set_app(self._app):
            start_search(control, SearchDirection.BACKWARD)
            self._app.layout.current_buffer.insert_text(text)  # type: ignore[union-attr]

    def offer(self, *names: str) -> None:
        """Offer completions."""
        completions = [Completion(name, display_meta=f"what {name} does") for name in names]
        self.buffer.complete_state = CompletionState(self.buffer.document, completions)


@pytest.fixture
def window() -> Iterator[Window]:
    with opened() as made:
        yield made


@pytest.fixture
def view(window: Window) -> View:
    return View(window)


# The line and the bar


async def test_the_bar_is_below_the_input_line(view: View) -> None:
    assert view.draw() == [f"> {PLACEHOLDER}", BAR]
    view.buffer.insert_text("half a line")
    assert view.draw() == ["> half a line", BAR]
    assert view.window.cursor == (len("> half a line"), 0)


@pytest.mark.parametrize(
    ("state", "push_to_talk", "words"),
    [
        (PromptState(), False, PLACEHOLDER),
        (PromptState(status=STATUS), False, PLACEHOLDER),
        (PromptState(status=STATUS), True, PLACEHOLDER),
        (
            PromptState(status=replace(STATUS, microphone=MicrophoneState.LIVE)),
            False,
            "type, or speak; F1 shows the keys",
        ),
        (
            PromptState(status=replace(STATUS, microphone=MicrophoneState.TALK_KEY_UP)),
            True,
            "type, or press Space to talk; F1 shows the keys",
        ),
        (
            PromptState(has_ended=True, status=replace(STATUS, microphone=MicrophoneState.LIVE)),
            True,
            "input ended; waiting for answers",
        ),
    ],
)
async def test_an_empty_line_shows_the_placeholder(
    window: Window, state: PromptState, push_to_talk: bool, words: str
) -> None:
    view = View(window, push_to_talk=push_to_talk)
    vars(view.state).update(vars(state))
    assert view.draw()[0] == f"> {words}"
    assert window.cursor == (2, 0)
    view.buffer.text = " "
    assert view.draw()[0] == ">"


async def test_the_bar_is_empty_before_the_session(view: View) -> None:
    view.state.status = None
    assert view.draw() == [f"> {PLACEHOLDER}"]
    assert view.window.style_at(PLACEHOLDER).fg == "default"


async def test_several_lines_are_shown_below_each_other(view: View) -> None:
    view.buffer.text = f"one\n{'x' * 70}\nthree"
    assert view.draw() == ["> one", f"  {'x' * 58}", f"  {'x' * 12}", "  three", BAR]


@pytest.mark.parametrize("rows", [3, 9, 16, 60])
async def test_the_line_takes_a_third_of_the_window_at_most_and_shows_where_the_cursor_is(rows: int) -> None:
    with opened(rows=rows) as window:
        view = View(window)
        view.buffer.text = "\n".join(map(str, range(100)))
        view.buffer.cursor_position = len(view.buffer.text)
        shown = view.draw()
        assert shown[-2:] == ["  99", BAR]
        assert len(shown) == 1 + max(1, rows // 3)


async def test_wide_characters_take_two_columns(view: View) -> None:
    view.buffer.text = "日本語 e\u0301"
    view.buffer.cursor_position = len(view.buffer.text)
    view.draw()
    assert view.window.cursor == (2 + 6 + 2, 0)


@pytest.mark.parametrize("columns", [5, 10, 17, 40, 200])
async def test_the_bar_is_cut_to_the_width_of_the_window(columns: int) -> None:
    with opened(columns=columns) as window:
        view = View(window)
        view.buffer.text = "x"
        shown = view.draw()
        assert shown[-1] == (BAR if columns >= len(BAR) else "live 0:05"[:columns].rstrip())
        assert window.style_at("live").reverse


async def test_highlights_in_the_bar_do_not_need_colours(view: View) -> None:
    view.state.status = replace(STATUS, microphone=MicrophoneState.MUTED, latency_s=2.5)
    assert view.draw()[-1] == "live 0:05 | mic [      ] muted | latency 2.50 s! | model"
    bold = {part: view.window.style_at(part).bold for part in ("live", "mic", "muted", "latency", "model")}
    assert bold == {"live": False, "mic": False, "muted": True, "latency": True, "model": False}
    view.state.status = replace(STATUS, connection=ConnectionState.RESUMING)
    view.draw()
    assert view.window.style_at("resuming").bold


# What stands above the line


async def test_text_in_progress_keeps_its_styles(view: View) -> None:
    view.buffer.text = "half"
    view.state.in_progress = [("class:model", "gemini:"), ("", " once upon a"), ("", "\n"), ("class:label", "[call]")]
    assert view.draw() == ["gemini: once upon a", "[call]", "> half", BAR]
    assert (view.window.style_at("gemini:").fg, view.window.style_at("once").fg) == ("green", "default")
    assert view.window.style_at("[call]").fg == "magenta"


@pytest.mark.parametrize(("rows", "n_shown"), [(4, 1), (6, 1), (8, 2), (16, 6), (60, 28)])
async def test_text_in_progress_takes_less_than_half_of_the_window(rows: int, n_shown: int) -> None:
    with opened(rows=rows) as window:
        view = View(window)
        view.state.in_progress = [("", f"row {number}\n") for number in range(100)]
        newest = [f"row {number}" for number in range(100 - n_shown, 100)]
        if n_shown > MIN_ROWS_WITH_DOTS:
            newest[0] = "..."  # there is more
        assert view.draw() == [*newest, f"> {PLACEHOLDER}", BAR]
        view.state.in_progress = view.state.in_progress[-n_shown:]
        assert view.draw()[0] == f"row {100 - n_shown}"


async def test_a_long_word_in_progress_is_wrapped_at_the_width_of_the_window(view: View) -> None:
    view.state.in_progress = [("class:you", "you:"), ("", " " + "x" * 100)]
    assert view.draw()[:2] == [f"you: {'x' * 55}", "x" * 45]


async def test_the_end_of_a_very_long_answer_is_shown(view: View) -> None:
    text = " ".join(f"word{number}" for number in range(100_000))
    for end in (len(text), len(text) - 3, 500_000):
        view.state.in_progress = [("class:model", "gemini:"), ("", f" {text[:end]}"), ("", "\n")]
        *grown, line, bar = view.draw()
        assert (line, bar) == (f"> {PLACEHOLDER}", BAR)
        assert len(grown) == 6
        assert grown[0] == "..."
        assert text[:end].rstrip().endswith(" ".join(" ".join(grown[1:]).split()))


async def test_unsent_lines_are_shown_below_the_text_in_progress(view: View) -> None:
    view.state.in_progress = [("", "once upon\n")]
    view.state.status = replace(STATUS, unsent=("one", "two\nlines"))
    assert view.draw() == [
        "once upon",
        "you: one [not sent yet]",
        "you: two",
        "lines [not sent yet]",
        f"> {PLACEHOLDER}",
        BAR,
    ]
    assert view.window.style_at("you:").fg == "cyan"
    view.state.in_progress = []
    view.state.status = STATUS
    assert view.draw() == [f"> {PLACEHOLDER}", BAR]


@pytest.mark.parametrize("columns", [40, 100])
async def test_the_keys_and_commands_are_shown_above_the_line_and_no_word_of_them_is_broken(columns: int) -> None:
    with opened(columns=columns, rows=60) as window:
        view = View(window)
        view.state.shows_help = True
        *shown, line, bar = view.draw()
        assert (line, bar) == (f"> {PLACEHOLDER}"[:columns], BAR)
        words = " ".join(shown).split()
        assert words == " ".join(f"{name} {what}" for name, what in (*KEYS.items(), *COMMANDS.items())).split()
        view.state.shows_help = False
        assert view.draw() == [line, bar]


# What stands below it


async def test_completions_are_offered_between_the_line_and_the_bar(view: View) -> None:
    view.buffer.text = "/s"
    view.offer("/stats", "/save")
    shown = view.draw()
    assert [row.split() for row in shown] == [
        [">", "/s"],
        ["/stats", "what", "/stats", "does"],
        ["/save", "what", "/save", "does"],
        BAR.split(),
    ]


@pytest.mark.parametrize("rows", [6, 60])
async def test_a_few_of_many_completions_are_shown(rows: int) -> None:
    with opened(rows=rows) as window:
        view = View(window)
        view.buffer.text = "/"
        view.offer(*(f"/command{number}" for number in range(50)))
        shown = view.draw()
        assert shown[0] == "> /"
        assert shown[-1] == BAR
        assert len(shown) == 2 + min(MENU_ROWS, rows - 2)


async def test_a_search_has_its_own_row_and_hides_the_placeholder(view: View) -> None:
    view.search("need")
    assert view.draw() == [">", "I-search backward: need", BAR]


# Windows of every size


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 20, 300])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 50])
async def test_the_prompt_can_be_drawn_in_a_window_of_any_size(columns: int, rows: int) -> None:
    with opened(columns=columns, rows=rows) as window:
        view = View(window)
        view.draw()
        view.state.in_progress = [("class:model", "gemini: "), ("", "日本語 and words " * 30)]
        view.state.status = replace(STATUS, unsent=("a line",), microphone=MicrophoneState.LIVE)
        view.draw()
        view.state.shows_help = True
        view.buffer.text = "日本 half a line\n" * 10
        view.offer("/one", "/two")
        view.draw()
        window.resize(20, 4)
        view.draw()
        view.buffer.text = "x"
        view.state.shows_help = False
        view.state.in_progress, view.state.status = [], STATUS
        assert view.draw()[-2:] == ["> x", BAR]


# Colours


def test_the_colours_are_those_of_the_terminal_itself() -> None:
    """They suit its background; what has none needs none."""
    names = {name for _, style in STYLE.style_rules for name in style.split()}
    plain = {"bold", "dim", "italic", "underline", "reverse", "noinherit"}
    assert {
        name for name in names - plain if not re.fullmatch(r"ansi(red|green|yellow|blue|magenta|cyan)", name)
    } == set()


async def test_no_other_colours_are_drawn(view: View) -> None:
    view.state.in_progress = [(style, "text ") for style in ("class:you", "class:error", "class:link", "class:printed")]
    view.draw()
    codes = set(re.findall(rb"\x1b\[([\d;]*)m", view.window.written))
    assert codes
    assert not [code for code in codes if re.search(rb"(^|;)([34]8|4\d|10\d)($|;)", code)]


# Rows of text


def plain(fragments: StyleAndTextTuples) -> str:
    return "".join(fragment[1] for fragment in fragments)


def rows_of(text: str, columns: int, rows: int) -> list[str]:
    return plain(last_rows([("", text)], columns, rows)).split("\n")


@pytest.mark.parametrize(
    ("text", "columns", "rows", "shown"),
    [
        ("", 10, 3, [""]),
        ("abc", 10, 3, ["abc"]),
        ("abc\n", 10, 3, ["abc"]),
        ("one\ntwo\n\nfour", 10, 3, ["two", "", "four"]),
        ("abcdefghijklm", 10, 3, ["abcdefghij", "klm"]),
        ("abcdefghij", 10, 3, ["abcdefghij"]),
        ("abcdefghij" * 5, 10, 2, ["abcdefghij"] * 2),
        ("日本語日本語", 10, 3, ["日本語日本", "語"]),
        ("a日本語日本語", 10, 3, ["a日本語日", "本語"]),  # a wide character is not broken
        ("e\u0301" * 10 + "x", 10, 3, ["e\u0301" * 10, "x"]),
        ("🎈" * 6, 10, 1, ["🎈"]),
        ("a\tb", 10, 1, ["a   b"]),
        ("日本", 1, 2, ["日", "本"]),
        ("abc", 1, 2, ["b", "c"]),
        ("abcde", 2, 3, ["ab", "cd", "e"]),
        ("one\n" * 1_000 + "last", 10, 2, ["one", "last"]),
    ],
)
def test_the_last_rows_of_a_text_are_wrapped_as_a_terminal_wraps(
    text: str, columns: int, rows: int, shown: list[str]
) -> None:
    assert rows_of(text, columns, rows) == shown


def test_every_character_keeps_its_style() -> None:
    shown = last_rows([("class:a", "abc"), ("class:b", "defg\nhi")], 4, 5)
    assert [(style, text) for style, text, *_ in shown if text != "\n"] == [
        *(("class:a", character) for character in "abc"),
        *(("class:b", character) for character in "defghi"),
    ]


TEXTS = st.text(st.sampled_from("ab, \n日🎈e\u0301\t"), max_size=300)
SIZES = st.tuples(st.integers(2, 30), st.integers(1, 6))


@settings(deadline=None)
@given(TEXTS, SIZES)
def test_the_rows_that_are_shown_fit_and_are_the_end_of_the_text(text: str, size: tuple[int, int]) -> None:
    columns, rows = size
    shown = rows_of(text, columns, rows)
    assert len(shown) <= rows
    assert all(get_cwidth(row) <= columns for row in shown)
    whole = text.expandtabs(4).replace("\n", "")
    assert whole.endswith("".join(shown))


# Words


@pytest.mark.parametrize(
    ("text", "columns", "wrapped"),
    [
        ("", 10, ""),
        ("short", 10, "short"),
        ("one two three", 10, "one two\nthree"),
        ("one two  three", 10, "one two\nthree"),
        ("one\ntwo three four", 10, "one\ntwo three\nfour"),
        ("one two", 7, "one two"),
        ("one two", 6, "one\ntwo"),
        ("    indented", 20, "    indented"),
        ("a  b", 10, "a  b"),
        ("at its end \n", 20, "at its end\n"),
        ("see abcdefghijklmno now", 10, "see abcdefghijklmno\nnow"),
        ("日本 日本 日本", 10, "日本 日本\n日本"),
        ("\n\n", 10, "\n\n"),
        ("x" * 50, 10, "x" * 50),
        ("0123456789 abc", 10, "0123456789\nabc"),
        ("01234 6789 abc def", 10, "01234 6789\nabc def"),
    ],
)
def test_rows_are_broken_between_words(text: str, columns: int, wrapped: str) -> None:
    assert plain([*wrap_words([("", text)], columns)]) == wrapped


def test_words_are_put_together_across_styles() -> None:
    fragments = [("class:a", "one"), ("", " "), ("class:b", "two"), ("", " three")]
    wrapped = wrap_words(fragments, 10)
    assert plain([*wrapped]) == "one two\nthree"
    assert [(style, text) for style, text in wrapped if text.strip()] == [
        ("class:a", "one"),
        ("class:b", "two"),
        ("", "three"),
    ]


@settings(deadline=None)
@given(TEXTS, st.integers(1, 30))
def test_no_word_is_lost_moved_or_broken(text: str, columns: int) -> None:
    wrapped = plain([*wrap_words([("", text)], columns)])
    assert wrapped.split() == text.split()
    assert "".join(wrapped.split()) == "".join(text.split())
