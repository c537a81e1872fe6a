"""The prompt: the input line, what grows above it and the status bar below, inline, the conversation in the scrollback.

Runs on the event loop, and owns the terminal while it does. Nothing asks the terminal where its cursor is: the answer
may get in between the keys, or not come at all.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Protocol, TextIO

from prompt_toolkit.application import Application
from prompt_toolkit.application.current import set_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, has_completions, is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyBindings, KeyPress
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
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
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth
from prompt_toolkit.widgets import SearchToolbar

from .command_completer import CommandCompleter
from .help import COMMAND_MARK, COMMANDS, format_help
from .key_watch import KeyWatch
from .status_bar import Fragments, MicrophoneState, Status, format_status
from .streams import BackgroundWriter
from .terminal import escape
from .tty import Paper, TerminalSettings, create_terminal_output

REFRESH_S = 0.1
"""How often it is looked whether the bar or what grows has changed, and is drawn anew."""
PRINT_EVERY_S, MOST_AT_ONCE = 0.03, 20
"""Lines that come closer together, and more of them in a row, are printed together."""
ESCAPE_S = 0.05
"""How long a lone Esc waits for what would make it part of another key."""
MENU_ROWS = 8
FEWEST_ROWS = 2
"""The input line and the bar."""

# The sixteen colours are the terminal's own, so that they suit its background, be it dark or light.
_STYLE = Style.from_dict(
    {
        "you": "ansicyan bold",
        "model": "ansigreen bold",
        "label": "ansimagenta",
        "mark": "ansiyellow bold",
        "warning": "ansiyellow bold",
        "error": "ansired bold",
        "link": "underline",
        "printed": "",
        "reply": "",
        "prompt": "bold",
        "placeholder": "ansibrightblack",
        "waiting": "italic",
        "bar": "reverse",
        "bar.on": "",
        "bar.off": "bold",
        "bar.alert": "bold",
        "completion-menu": "reverse noreverse",
        "completion-menu.completion": "reverse",
        "completion-menu.completion.current": "noreverse bold",
        "completion-menu.meta.completion": "reverse",
        "completion-menu.meta.completion.current": "noreverse",
        "scrollbar.background": "",
        "scrollbar.button": "",
    }
)


class Controls(Protocol):
    """What the keys act on, and the bar shows: a session."""

    def status(self) -> Status: ...
    def toggle_microphone(self) -> None: ...
    def stop_answer(self) -> None: ...
    @property
    def is_answering(self) -> bool: ...


class Prompt:
    """The prompt of one session."""

    def __init__(
        self,
        stdin: TextIO,
        stdout: TextIO,
        writer: BackgroundWriter,
        *,
        term: str | None,
        color: bool,
        history: History | None,
        push_to_talk: bool,
        interrupt: Callable[[], None],
    ) -> None:
        """Prepare; the terminal is left alone until `running`.

        Args:
            stdin: The terminal's keys.
            stdout: Its screen.
            writer: Writes to it.
            term: Which kind of terminal it is, as TERM says.
            color: Whether colours are used.
            history: The lines of earlier sessions, and where to keep new ones; `None`: neither.
            push_to_talk: Whether the space bar is a talk key.
            interrupt: Called for Ctrl-C on an empty line.
        """
        self.controls: Controls | None = None
        self.grows: Callable[[], Fragments] = list
        """What is not whole yet, and stands above the input line."""
        self.advance: Callable[[], None] = lambda: None
        """Called often, to print what time has made whole."""
        self._descriptor = stdin.fileno()
        self._settings = TerminalSettings(stdin, stdout)
        self._paper = Paper(stdout, writer)
        self._input: Input = create_input(stdin)
        self._output = create_terminal_output(self._paper, stdout, term)
        self._color_depth = None if color else ColorDepth.DEPTH_1_BIT
        self._push_to_talk, self._interrupt = push_to_talk, interrupt
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._is_given_back = False
        """Whether the terminal was given back in haste."""
        self._has_ended = False
        """Whether the user has ended the input."""
        self._shows_help = False
        self._status: Status | None = None
        self._growing: Fragments = []
        self._to_print: Fragments = []
        self._print_timer: asyncio.TimerHandle | None = None
        self._printed_s = 0.0
        self._n_at_once = float(MOST_AT_ONCE)
        """How many times it may print just now without making others wait."""
        self._buffer = Buffer(
            name="line",
            accept_handler=self._accept,
            history=history or InMemoryHistory(),
            completer=CommandCompleter(COMMANDS),
            complete_while_typing=True,
            read_only=Condition(lambda: self._has_ended),
        )
        self._app = self._build_app()

    @property
    def columns(self) -> int:
        """The width of the terminal."""
        return self._output.get_size().columns

    async def lines(self) -> AsyncIterator[str]:
        """Yield each line, or lines, that the user sends, until there are no more."""
        while (line := await self._lines.get()) is not None:
            yield line

    def print_above(self, fragments: Fragments) -> None:
        """Print whole lines above the input line: at once, or soon, together, where very many come."""
        self._to_print += fragments
        if not self._is_shown:
            self._print()
        elif self._print_timer is None:
            loop = asyncio.get_running_loop()
            waited_s, self._printed_s = loop.time() - self._printed_s, loop.time()
            self._n_at_once = min(MOST_AT_ONCE, self._n_at_once + waited_s / PRINT_EVERY_S)
            if self._n_at_once >= 1:
                self._n_at_once -= 1
                self._print()
            else:
                self._print_timer = loop.call_later(PRINT_EVERY_S, self._print)

    @contextlib.asynccontextmanager
    async def running(self, on_started: Callable[[], None]) -> AsyncIterator[None]:
        """Show the prompt while the body runs.

        Args:
            on_started: Called once it is shown, and again when it is gone: it sets handlers of signals.
        """
        is_shown = asyncio.Event()
        self._app.after_render += lambda _: is_shown.set()
        app = asyncio.create_task(self._app.run_async(handle_sigint=False, set_exception_handler=False), name="prompt")
        app.add_done_callback(lambda _: is_shown.set())
        app.add_done_callback(lambda _: self._end_input())
        refresher = asyncio.create_task(self._refresh(), name="status bar")
        watch = KeyWatch(self._descriptor, self._feed)
        try:
            await is_shown.wait()
            on_started()
            with watch.watching():
                yield
        finally:
            refresher.cancel()
            self._leave_draft()
            self._print()
            if self._app.is_running:
                self._app.exit()
            with contextlib.suppress(EOFError):  # the terminal is gone
                await app
            on_started()

    def restore(self) -> None:
        """Give the terminal back as it was, from any thread, because the process ends at once."""
        if self._is_shown:
            self._is_given_back = True
            self._settings.restore()

    # What is seen

    @property
    def _is_shown(self) -> bool:
        return self._app.is_running and not self._is_given_back

    def _build_app(self) -> Application[None]:
        search = SearchToolbar()
        line = BufferControl(
            self._buffer,
            search_buffer_control=search.control,
            preview_search=True,
            input_processors=[
                ConditionalProcessor(
                    AfterInput(self._placeholder), Condition(lambda: not self._buffer.text) & ~is_searching
                )
            ],
        )
        layout = HSplit(
            [
                ConditionalContainer(
                    Window(FormattedTextControl(self._show_growing), dont_extend_height=True),
                    Condition(lambda: bool(self._growing or self._waiting)),
                ),
                ConditionalContainer(
                    Window(FormattedTextControl(format_help), wrap_lines=True, dont_extend_height=True),
                    Condition(lambda: self._shows_help),
                ),
                Window(
                    line,
                    height=self._line_height,
                    wrap_lines=True,
                    dont_extend_height=True,
                    get_line_prefix=lambda number, wraps: [("class:prompt", "  " if number or wraps else "> ")],
                ),
                ConditionalContainer(CompletionsMenu(max_height=MENU_ROWS), has_completions),
                search,
                Window(FormattedTextControl(self._show_bar), height=1, style="class:bar", dont_extend_height=True),
            ],
            align=VerticalAlign.TOP,
        )
        app: Application[None] = Application(
            Layout(layout),
            style=_STYLE,
            key_bindings=self._build_keys(),
            color_depth=self._color_depth,
            erase_when_done=True,
            input=self._input,
            output=self._output,
        )
        app.ttimeoutlen = ESCAPE_S
        return app

    @property
    def _waiting(self) -> tuple[str, ...]:
        return self._status.waiting if self._status is not None else ()

    def _placeholder(self) -> StyleAndTextTuples:
        if self._has_ended:
            return [("class:placeholder", "no more input; waiting for what is open")]
        if self._status is None or self._status.microphone is MicrophoneState.OFF:
            ways = "type a line"
        else:
            ways = "type, or press Space to talk" if self._push_to_talk else "type, or speak"
        return [("class:placeholder", f"{ways}; F1 shows the keys")]

    def _line_height(self) -> Dimension:
        return Dimension(min=1, max=max(1, self._output.get_size().rows // 3))

    def _show_growing(self) -> StyleAndTextTuples:
        size = self._output.get_size()
        fragments = list(self._growing)
        for text in self._waiting:
            fragments += [("class:you", "you:"), ("", f" {text} "), ("class:waiting", "[not sent yet]"), ("", "\n")]
        return last_rows(fragments, size.columns, max(1, size.rows // 2 - 2))

    def _show_bar(self) -> StyleAndTextTuples:
        if self._status is None:
            return []
        bar = format_status(self._status, self.columns)
        return [(style.replace("class:", "class:bar."), text) for style, text in bar]

    async def _refresh(self) -> None:
        while True:
            self.advance()
            status, growing = self.controls.status() if self.controls else None, self.grows()
            if (status, growing) != (self._status, self._growing):
                self._status, self._growing = status, growing
                self._app.invalidate()
            self._shrink()
            await asyncio.sleep(REFRESH_S)

    def _shrink(self) -> None:
        """Take no more rows than are needed: prompt_toolkit keeps those that it once had."""
        screen, size = self._app.renderer.last_rendered_screen, self._output.get_size()
        if screen is None or screen.height <= FEWEST_ROWS or not self._app.is_running:
            return
        with set_app(self._app):
            if self._app.layout.container.preferred_height(size.columns, size.rows).preferred < screen.height:
                self._app.renderer.erase()
                self._app.invalidate()

    def _print(self) -> None:
        """Print what is to be printed, and the prompt again below it."""
        if self._print_timer is not None:
            self._print_timer.cancel()
            self._print_timer = None
        fragments, self._to_print = self._to_print, []
        if not fragments:
            return
        depth = self._color_depth or self._output.get_default_color_depth()
        if not self._is_shown:
            print_formatted_text(self._output, [*fragments], _STYLE, color_depth=depth)
            return
        self._growing = self.grows()
        # In one piece, or the prompt would flicker.
        with self._paper.holding(), set_app(self._app):
            self._app.renderer.erase()
            print_formatted_text(self._output, [*fragments], _STYLE, color_depth=depth)
            self._app.render_counter += 1  # or it would draw what it has drawn
            self._app.renderer.render(self._app, self._app.layout)

    # What is typed

    def _accept(self, buffer: Buffer) -> bool:
        line = buffer.text
        if line.strip():
            self._lines.put_nowait(line)
            if line.startswith(COMMAND_MARK) and not line.startswith(COMMAND_MARK * 2):
                self.print_above([("class:prompt", "> "), ("", f"{escape(line)}\n")])
        return False

    def _end_input(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._lines.put_nowait(None)

    def _leave_draft(self) -> None:
        """Show, and keep in the history, a line that was not sent: the session has ended under the user's hands."""
        draft = self._buffer.text
        if draft.strip():
            self._buffer.append_to_history()
            self.print_above([("class:waiting", "[not sent]"), ("", f" {escape(draft)}\n")])

    def _feed(self, data: bytes) -> None:
        """Take keys that were read in another way."""
        keys: list[KeyPress] = []
        Vt100Parser(keys.append).feed_and_flush(data.decode(errors="replace"))
        with set_app(self._app):
            self._app.key_processor.feed_multiple(keys)
            self._app.key_processor.process_keys()

    def _build_keys(self) -> KeyBindings:
        keys = KeyBindings()
        is_empty = Condition(lambda: not self._buffer.text)
        has_more_keys = Condition(lambda: bool(self._app.key_processor.input_queue))
        is_answering = Condition(lambda: self.controls is not None and self.controls.is_answering)
        shows_help = Condition(lambda: self._shows_help)

        @keys.add("enter")
        def _(event: KeyPressEvent) -> None:
            self._buffer.validate_and_handle()

        @keys.add("escape", "enter")
        @keys.add("escape", "c-j")
        def _(event: KeyPressEvent) -> None:
            self._buffer.insert_text("\n")

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            if self._buffer.text:
                self._buffer.reset()
            else:
                self._interrupt()

        @keys.add("c-d", filter=is_empty)
        def _(event: KeyPressEvent) -> None:
            self._end_input()

        @keys.add("c-z")
        def _(event: KeyPressEvent) -> None:
            self._suspend()

        @keys.add("c-t")
        @keys.add(" ", filter=is_empty & Condition(lambda: self._push_to_talk))
        def _(event: KeyPressEvent) -> None:
            if self.controls is not None:
                self.controls.toggle_microphone()

        # Esc begins other keys, too, which come in one piece with it: alone, it need not wait for them.
        @keys.add("escape", filter=is_answering & ~has_more_keys, eager=True)
        def _(event: KeyPressEvent) -> None:
            if self.controls is not None:
                self.controls.stop_answer()

        @keys.add("f1")
        @keys.add("escape", filter=shows_help & ~has_more_keys, eager=True)
        def _(event: KeyPressEvent) -> None:
            self._shows_help = not self._shows_help

        return keys

    def _suspend(self) -> None:
        """Stop the process, as the shell's job control does, and go on where the user brings it back."""
        if sys.platform == "win32":
            return
        self._app.renderer.erase()
        self._paper.drain()
        with self._input.cooked_mode():
            os.kill(0, signal.SIGTSTP)
        self._app.renderer.reset()
        self._app.invalidate()


def last_rows(fragments: Fragments, columns: int, rows: int) -> StyleAndTextTuples:
    """Return the end of a text, as many rows as fit, wrapped as a terminal wraps."""
    wrapped: list[StyleAndTextTuples] = [[]]
    width = 0
    for style, text in fragments[-4 * rows :]:
        for character in text.expandtabs(4)[-rows * columns :]:
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
