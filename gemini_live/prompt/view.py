"""The look of the prompt: its colours, and the rows above, in and below the input line.

Runs on the event loop when prompt_toolkit draws. It only reads the state, and changes nothing.
"""

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, has_completions, is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
    VerticalAlign,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import AfterInput, ConditionalProcessor
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth
from prompt_toolkit.widgets import SearchToolbar

from ..escaping import escape
from ..output.help import format_help
from ..output.status import Fragments, MicrophoneState, Status
from .status_bar import format_status

MENU_ROWS = 8
MIN_ROWS_WITH_DOTS = 3
"""With fewer rows for the text in progress, all of them show text; with more, the first says that there is more."""
REPLY_STYLE = "class:reply"
"""The style of replies to commands."""
NARROW_INDENT = 4
_FIRST_COLUMN = re.compile(r"\S.*?\S {2,}(?=\S)|\S {2,}(?=\S)")
"""The first column of a line that has two: text that is followed by several spaces."""
_PARTS = re.compile(r"\n|[ \t]+|[^ \t\n]+")

# Only the sixteen colours of the terminal itself, because a user's theme makes them readable on its background.
STYLE = Style.from_dict(
    {
        "you": "ansicyan bold",
        "model": "ansigreen bold",
        "label": "ansimagenta",
        "mark": "bold",
        "unheard": "dim",
        "warning": "ansiyellow",
        "error": "ansired bold",
        "link": "underline",
        "prompt": "bold",
        "placeholder": "dim",
        "waiting": "dim",
        "bar": "reverse",
        "bar.off": "bold",
        "bar.alert": "bold",
        "completion-menu": "noinherit",
        "completion-menu.completion": "noinherit",
        "completion-menu.completion.current": "noinherit reverse",
        "completion-menu.meta.completion": "noinherit",
        "completion-menu.meta.completion.current": "noinherit reverse",
        "scrollbar.background": "noinherit",
        "scrollbar.button": "noinherit reverse",
        "scrollbar.arrow": "noinherit",
    }
)


@dataclass
class PromptState:
    """What the prompt shows beside the input line. The code that changes it also redraws the prompt."""

    has_ended: bool = False
    """True once the input has ended, and no more lines are accepted."""
    shows_help: bool = False
    status: Status | None = None
    in_progress: Fragments = field(default_factory=list)
    """The part of the conversation that is not complete yet."""


def build_layout(buffer: Buffer, state: PromptState, output: Output, *, push_to_talk: bool) -> Layout:
    """Return the rows of the prompt, from the text in progress down to the status bar.

    Args:
        buffer: The input line.
        state: The rest that is shown; it may change at any time.
        output: Tells the size of the terminal.
        push_to_talk: True if the space bar is a talk key.
    """
    search = SearchToolbar()
    placeholder = AfterInput(lambda: _format_placeholder(state, output, push_to_talk=push_to_talk))
    line = BufferControl(
        buffer,
        search_buffer_control=search.control,
        preview_search=True,
        input_processors=[ConditionalProcessor(placeholder, Condition(lambda: not buffer.text) & ~is_searching)],
    )
    return Layout(
        HSplit(
            [
                _shown_if(lambda: _has_text_above(state), lambda: _format_above(state, output)),
                _shown_if(lambda: state.shows_help, lambda: _format_help(output)),
                Window(
                    line,
                    height=lambda: Dimension(min=1, max=max(1, output.get_size().rows // 3)),
                    wrap_lines=True,
                    dont_extend_height=True,
                    get_line_prefix=lambda number, wraps: [("class:prompt", "  " if number or wraps else "> ")],
                ),
                ConditionalContainer(CompletionsMenu(max_height=MENU_ROWS), has_completions),
                search,
                Window(FormattedTextControl(lambda: _format_bar(state, output)), height=1, style="class:bar"),
            ],
            align=VerticalAlign.TOP,
        )
    )


def _shown_if(is_shown: Callable[[], bool], text: Callable[[], StyleAndTextTuples]) -> ConditionalContainer:
    """Return a window with a text that is shown while `is_shown` returns true."""
    window = Window(FormattedTextControl(text), wrap_lines=True, dont_extend_height=True)
    return ConditionalContainer(window, Condition(is_shown))


def _has_text_above(state: PromptState) -> bool:
    return bool(state.in_progress or _unsent(state) or _question(state))


def _question(state: PromptState) -> str | None:
    """Return the question that the next typed line answers."""
    return state.status.question if state.status is not None else None


def _unsent(state: PromptState) -> tuple[str, ...]:
    """Return the lines that were typed and not sent yet."""
    return state.status.unsent if state.status is not None else ()


def _format_placeholder(state: PromptState, output: Output, *, push_to_talk: bool) -> StyleAndTextTuples:
    """Return the hint in an empty input line, or its first half if the window is narrow."""
    if state.has_ended:
        words = "input ended; waiting for answers"
    elif state.status is None or state.status.microphone is MicrophoneState.OFF:
        words = "type a line; F1 shows the keys"
    elif push_to_talk:
        words = "type, or press Space to talk; F1 shows the keys"
    else:
        words = "type, or speak; F1 shows the keys"
    columns = output.get_size().columns
    fitting = (form for form in (words, words.partition(";")[0]) if len(f"> {form}") < columns)
    return [("class:placeholder", next(fitting, ""))]


def _format_above(state: PromptState, output: Output) -> StyleAndTextTuples:
    """Return the newest rows of the text in progress, in at most half of the window."""
    size = output.get_size()
    fragments = _newest(state.in_progress, size.columns * size.rows)
    for text in _unsent(state):
        fragments += [("class:you", "you:"), ("", f" {escape(text)} "), ("class:waiting", "[not sent yet]"), ("", "\n")]
    if (question := _question(state)) is not None:
        fragments += [("class:waiting", escape(question)), ("", "\n")]
    wrapped, rows = wrap_words(fragments, size.columns), max(1, size.rows // 2 - 2)
    shown = last_rows(wrapped, size.columns, rows)
    if rows > MIN_ROWS_WITH_DOTS and len(shown) < len(last_rows(wrapped, size.columns, rows + 1)):
        return [("", "...\n"), *last_rows(wrapped, size.columns, rows - 1)]
    return shown


def _newest(fragments: Fragments, n_characters: int) -> Fragments:
    """Return the end of each long part of a text, because wrapping all of it for each drawing would be slow.

    A part that grows is cut at a multiple of `n_characters`, so that its rows stay where they are for a while.
    """
    return [(style, text[max(0, len(text) // n_characters - 1) * n_characters :]) for style, text in fragments]


def _format_help(output: Output) -> StyleAndTextTuples:
    """Return the help, wrapped."""
    return [*wrap_words([(REPLY_STYLE, format_help())], output.get_size().columns)]


def _format_bar(state: PromptState, output: Output) -> StyleAndTextTuples:
    """Return the status bar."""
    if state.status is None:
        return []
    bar = format_status(state.status, output.get_size().columns)
    return [(style.replace("class:", "class:bar."), text) for style, text in bar]


def wrap_words(fragments: Fragments, columns: int) -> Fragments:
    """Return a text with line breaks between words so that each row fits, without spaces at the ends of rows.

    A word that is longer than a row, such as text of a script without spaces, is left to the terminal to break. Rows of
    a reply to a command that has two columns, such as the help, are indented to the second column.
    """
    wrapped: Fragments = []
    column, spaces = 0, ""
    for style, text in fragments:
        if style == REPLY_STYLE:
            text = "\n".join(_indent_rows(line, columns) for line in text.split("\n"))  # noqa: PLW2901
        for part in _PARTS.findall(text):
            if part == "\n":
                column, spaces = 0, ""
                wrapped.append((style, part))
            elif part.isspace():
                spaces += part
            else:
                width = get_cwidth(part)
                if column and column + len(spaces) + width > columns >= width:
                    column, spaces = 0, "\n"
                else:
                    column += len(spaces)
                column = (column + width) % columns or columns
                wrapped += [("", spaces), (style, part)] if spaces else [(style, part)]
                spaces = ""
    return wrapped


def _indent_rows(line: str, columns: int) -> str:
    """Return a line wrapped to rows; if it has two columns, all rows but the first are indented to the second one."""
    first_column = _FIRST_COLUMN.match(line)
    if first_column is None:
        return line
    indent = first_column.end()
    if indent > columns // 2:  # too narrow for two columns
        line, indent = f"{first_column[0].rstrip()}  {line[indent:]}", min(NARROW_INDENT, columns // 4)
    return "\n".join(
        textwrap.wrap(
            line, columns, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False, tabsize=4
        )
    )


def last_rows(fragments: Fragments, columns: int, rows: int) -> StyleAndTextTuples:
    """Return the last `rows` rows of a text, broken into rows as a terminal does it."""
    wrapped: list[StyleAndTextTuples] = [[]]
    width = 0
    for style, text in _tail(fragments, 2 * rows * columns):
        for character in text:
            size = get_cwidth(character)
            if character == "\n" or width + size > columns:
                wrapped.append([])
                width = 0
            if character != "\n":
                wrapped[-1].append((style, character))
                width += size
    if not wrapped[-1]:
        wrapped.pop()
    shown = wrapped[-rows:]
    return [part for index, row in enumerate(shown) for part in (*([("", "\n")] if index else []), *row)]


def _tail(fragments: Fragments, n_characters: int) -> Fragments:
    """Return the last parts of a text that have at least `n_characters` together, without cutting a part."""
    tail: Fragments = []
    for style, text in reversed(fragments):
        tail.append((style, text.expandtabs(4)))
        n_characters -= len(text)
        if n_characters <= 0:
            break
    return tail[::-1]
