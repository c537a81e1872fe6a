"""The prompt: the input line, what grows above it and the status bar below, inline, the conversation in the scrollback.

Runs on the event loop, and owns the terminal while it does. Nothing asks the terminal where its cursor is: the answer
may get in between the keys, or not come at all.
"""

import asyncio
import codecs
import contextlib
import functools
import io
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Protocol, TextIO

from prompt_toolkit.application import Application
from prompt_toolkit.application.current import set_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import ThreadedCompleter
from prompt_toolkit.filters import Condition, has_completions, is_searching
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.search import SearchDirection, start_search, stop_search

from ..output.help import COMMANDS, format_help, is_command
from ..output.plain import escape
from ..output.status import Fragments, Status
from ..process.streams import BackgroundWriter
from .completer import CommandCompleter
from .key_watch import KeyWatch
from .tty import Paper, TerminalSettings, create_terminal_output, find_keys_encoding
from .view import STYLE, PromptState, build_layout, wrap_words

REFRESH_S = 0.1
"""How often it is looked whether the bar or what grows has changed, and is drawn anew."""
PRINT_EVERY_S, MOST_AT_ONCE = 0.03, 20
"""Lines that come closer together, and more of them in a row, are printed together."""
ESCAPE_S = 0.05
"""How long a lone Esc waits for what would make it part of another key."""
META_S = 0.5
"""How long Esc makes of the key that follows it what Alt does."""
SETTLE_S = 0.05
"""For the signals that wait for a process that was suspended."""
ANOTHER_LINE = ("\x1b[13;2u", "\x1b[27;2;13~", "\x1b[13;3u", "\x1b[27;3;13~")
"""Shift-Enter and Alt-Enter as terminals spell them that tell more keys apart: CSI u, and xterm's modifyOtherKeys."""
FEWEST_ROWS = 2
"""The input line and the bar."""


class Controls(Protocol):
    """What the keys act on, and the bar shows: a session."""

    def status(self) -> Status: ...
    def toggle_microphone(self) -> None: ...
    def stop_answer(self) -> None: ...
    @property
    def is_answering(self) -> bool: ...
    @property
    def queued_s(self) -> float: ...


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
        """Prepare; nothing is shown until `running`.

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
        encoding = find_keys_encoding()
        if isinstance(stdin, io.TextIOWrapper):
            stdin.reconfigure(encoding=encoding)
        self._settings = TerminalSettings(stdin, stdout)
        self._paper = Paper(stdout, writer)
        self._output = create_terminal_output(self._paper, stdout, term)
        self._color_depth = None if color else ColorDepth.DEPTH_1_BIT
        self._push_to_talk, self._interrupt = push_to_talk, interrupt
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._is_given_back = False
        """Whether the terminal was given back in haste."""
        self._failure: BaseException | None = None
        """Of the prompt itself."""
        self._state = PromptState()
        self._to_print: Fragments = []
        self._print_timer: asyncio.TimerHandle | None = None
        self._counted_s = 0.0
        self._n_at_once = float(MOST_AT_ONCE)
        """How many times it may print just now without making others wait."""
        self._buffer = Buffer(
            name="line",
            accept_handler=self._accept,
            history=history or InMemoryHistory(),
            completer=ThreadedCompleter(CommandCompleter(COMMANDS)),  # a folder may be large, or far away
            complete_while_typing=True,
            read_only=Condition(lambda: self._state.has_ended),
        )
        self._draft = (0, 0)
        """Which line stood here before earlier ones were searched, and where its cursor was."""
        ANSI_SEQUENCES.update(dict.fromkeys(ANOTHER_LINE, (Keys.Escape, Keys.ControlM)))
        self._app: Application[None] = Application(
            build_layout(self._buffer, self._state, self._output, push_to_talk=push_to_talk),
            style=STYLE,
            key_bindings=self._build_keys(),
            color_depth=self._color_depth,
            erase_when_done=True,
            input=create_input(stdin),
            output=self._output,
        )
        self._app.ttimeoutlen, self._app.timeoutlen = ESCAPE_S, META_S

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
            waited_s, self._counted_s = loop.time() - self._counted_s, loop.time()
            self._n_at_once = min(MOST_AT_ONCE, self._n_at_once + waited_s / PRINT_EVERY_S)
            if self._n_at_once >= 1:
                self._n_at_once -= 1
                self._print()
            else:
                self._print_timer = loop.call_later(PRINT_EVERY_S, self._print)

    @contextlib.asynccontextmanager
    async def running(self, claim_signals: Callable[[], None]) -> AsyncIterator[None]:
        """Show the prompt while the body runs.

        Args:
            claim_signals: Called once it is shown, and again when it is gone, for it has taken to handling signals.
        """
        is_shown = asyncio.Event()
        self._app.after_render += lambda _: is_shown.set()
        app = asyncio.create_task(self._app.run_async(handle_sigint=False, set_exception_handler=False), name="prompt")
        refresher = asyncio.create_task(self._refresh(), name="status bar")
        app.add_done_callback(lambda _: is_shown.set())
        app.add_done_callback(lambda _: self._end_input())
        for task in (app, refresher):
            task.add_done_callback(functools.partial(self._note_failure, asyncio.current_task()))
        watch = KeyWatch(self._descriptor, self._feed)
        try:
            await is_shown.wait()
            claim_signals()
            with watch.watching():
                yield
        finally:
            refresher.cancel()
            if self._app.is_running:
                if self._failure is None:
                    self._show_unsent()
                    self._print()
                self._app.exit()
            await asyncio.wait([app, refresher])
            claim_signals()
            if self._failure is not None:
                raise self._failure

    def _note_failure(self, body: "asyncio.Task[object] | None", task: "asyncio.Task[None]") -> None:
        """End the body where a task of the prompt's own fails: a bug."""
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not isinstance(failure, EOFError):  # which says that the terminal is gone
            self._failure = failure
            if body is not None:
                body.cancel()

    def restore(self) -> None:
        """Give the terminal back as it was, from any thread, because the process ends at once."""
        if self._is_shown:
            self._is_given_back = True
            self._settings.restore()

    # What is seen

    @property
    def _is_shown(self) -> bool:
        return self._app.is_running and not self._is_given_back

    async def _refresh(self) -> None:
        while True:
            self.advance()
            status, growing = self.controls.status() if self.controls else None, self.grows()
            if (status, growing) != (self._state.status, self._state.growing):
                self._state.status, self._state.growing = status, growing
                self._app.invalidate()
            self._shrink()
            await asyncio.sleep(REFRESH_S)

    def _shrink(self) -> None:
        """Take no more rows than are needed: prompt_toolkit keeps those that it once had."""
        screen, size = self._app.renderer.last_rendered_screen, self._output.get_size()
        if screen is None or screen.height <= FEWEST_ROWS or not self._app.is_running:
            return
        with set_app(self._app):
            needed = self._app.layout.container.preferred_height(size.columns, size.rows).preferred
        if needed < screen.height:
            self._draw_anew([])

    def _print(self) -> None:
        """Print what is to be printed, and the prompt again below it."""
        if self._print_timer is not None:
            self._print_timer.cancel()
            self._print_timer = None
        fragments, self._to_print = self._to_print, []
        if not fragments:
            return
        fragments = wrap_words(fragments, self.columns)
        if not self._is_shown:
            print_formatted_text(self._output, [*fragments], STYLE, color_depth=self._color_depth)
            return
        self._state.growing = self.grows()
        self._draw_anew(fragments)

    def _draw_anew(self, above: Fragments) -> None:
        """Print what comes above the prompt, and the prompt again, as small as it can be, in one piece: no flicker."""
        with self._paper.holding(), set_app(self._app):
            self._app.renderer.erase()
            print_formatted_text(self._output, [*above], STYLE, color_depth=self._color_depth)
            self._app.render_counter += 1  # or it would draw what it has drawn
            self._app.renderer.render(self._app, self._app.layout)

    # What is typed

    def _accept(self, buffer: Buffer) -> bool:
        line = buffer.text
        if self._state.has_ended:
            return True  # it stays where it is
        self._lines.put_nowait(line)
        return False

    def _end_input(self) -> None:
        if not self._state.has_ended:
            self._state.has_ended = True
            self._lines.put_nowait(None)

    def _show_unsent(self) -> None:
        """Show what the user has typed and was not sent, down to a line that was not finished, which history keeps."""
        unsent = list(self.controls.status().unsent) if self.controls is not None else []
        while not self._lines.empty():
            if (line := self._lines.get_nowait()) is not None and not is_command(line):
                unsent.append(line)
        if self._buffer.text.strip():
            self._buffer.append_to_history()
            unsent.append(self._buffer.text)
        for line in unsent:
            self.print_above([("class:waiting", "[not sent]"), ("", f" {escape(line)}\n")])

    def _feed(self, data: bytes) -> None:
        """Take keys that were read in another way; on POSIX, as whoever does that."""
        # By the application's own parser: a paste may have come in several reads, some of them its own.
        keys = self._app.input
        keys.vt100_parser.feed(self._decoder.decode(data))  # type: ignore[attr-defined]
        with set_app(self._app):
            self._app.key_processor.feed_multiple(keys.flush_keys())
            self._app.key_processor.process_keys()

    def _build_keys(self) -> KeyBindings:
        keys = KeyBindings()
        is_empty = Condition(lambda: not self._buffer.text) & ~is_searching
        is_line = ~is_searching  # else the keys are those of the search
        has_more_keys = Condition(lambda: bool(self._app.key_processor.input_queue))
        is_answering = Condition(lambda: self.controls is not None and self.controls.is_answering)
        shows_help = Condition(lambda: self._state.shows_help)

        @keys.add("enter", filter=is_line)
        def _(event: KeyPressEvent) -> None:
            if self._buffer.text.strip():
                self._buffer.validate_and_handle()
            else:
                self._buffer.reset()

        @keys.add("escape", "enter")
        @keys.add("escape", "c-j")
        def _(event: KeyPressEvent) -> None:
            self._buffer.insert_text("\n")

        @keys.add("c-c", filter=is_line)
        def _(event: KeyPressEvent) -> None:
            if self._buffer.text:
                self._buffer.reset()
            else:
                self._interrupt()

        # The library leaves the line that was found before the last where a search is given up.
        @keys.add("c-r", filter=is_line)
        def _(event: KeyPressEvent) -> None:
            self._begin_search(SearchDirection.BACKWARD)

        @keys.add("c-s", filter=is_line)
        def _(event: KeyPressEvent) -> None:
            self._begin_search(SearchDirection.FORWARD)

        @keys.add("c-c", filter=is_searching)
        @keys.add("c-g", filter=is_searching)
        def _(event: KeyPressEvent) -> None:
            stop_search()
            self._buffer.working_index, self._buffer.cursor_position = self._draft

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

        @keys.add("escape", filter=has_completions & ~has_more_keys, eager=True)
        def _(event: KeyPressEvent) -> None:
            self._buffer.cancel_completion()

        @keys.add("f1")
        @keys.add("escape", filter=shows_help & ~has_more_keys, eager=True)
        def _(event: KeyPressEvent) -> None:
            self._toggle_help()

        @keys.add(Keys.Vt100MouseEvent)
        def _(event: KeyPressEvent) -> None:
            """Take what a paste may look like: no mouse is asked for, and the library expects well-formed ones."""

        return keys

    def _begin_search(self, direction: SearchDirection) -> None:
        self._draft = self._buffer.working_index, self._buffer.cursor_position
        start_search(direction=direction)

    def _toggle_help(self) -> None:
        """Show the help above the line, or hide it; print it where the window is too small."""
        help_text = format_help()
        n_rows = 1 + sum(text.count("\n") for _, text in wrap_words([("", help_text)], self.columns))
        if self._state.shows_help or n_rows + FEWEST_ROWS + 1 < self._output.get_size().rows:
            self._state.shows_help = not self._state.shows_help
        else:
            self.print_above([("", f"{help_text}\n")])

    def _suspend(self) -> None:
        """Stop the process, as the shell's job control does, and go on where the user brings it back."""
        if sys.platform == "win32":
            return
        self._app.renderer.erase()
        self._paper.drain()
        with self._settings.lent():
            os.kill(0, signal.SIGTSTP)
            # What it was sent while it stood still is handled first: told to end, it must not ask for the terminal.
            time.sleep(SETTLE_S)
        self._app.renderer.reset()
        self._app.invalidate()
