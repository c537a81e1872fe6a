"""The prompt: the input line, the text in progress above it and the status bar below; the conversation scrolls above.

Runs on the event loop and owns the terminal while it is shown. It never asks the terminal for its cursor position: the
reply could get between the keys, or never come. This file is long because everything in it changes or draws the same
prompt_toolkit application; `keys.py`, `view.py`, `status_bar.py` and `tty.py` have what can stand alone.
"""

import asyncio
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
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.renderer import print_formatted_text

from ..escaping import escape
from ..output.help import COMMANDS, format_help, is_command
from ..output.status import Fragments, Status
from ..process.streams import BackgroundWriter
from .completer import CommandCompleter
from .keys import build_keys
from .tty import (
    TerminalSettings,
    TerminalStream,
    create_terminal_input,
    create_terminal_output,
    find_keys_encoding,
)
from .view import REPLY_STYLE, STYLE, PromptState, build_layout, wrap_words

REFRESH_S = 0.1
"""How often the bar and the text in progress are checked for changes and redrawn."""
PRINT_EVERY_S, MAX_BURST = 0.03, 20
"""A burst of at most `MAX_BURST` lines is printed line by line; then lines are collected and printed this often."""
BULK_CHARS = 100_000
"""More text at once is left to the terminal to wrap, without colours: whoever presses Ctrl-C must not wait for it."""
ESCAPE_S = 0.05
"""How long a lone Esc waits for bytes that would make it part of another key."""
META_S = 0.5
"""How long a key may follow Esc to mean the same as with Alt."""
SETTLE_S = 0.05
"""How long a process that was resumed waits for signals that were sent to it while it was suspended."""
MIN_ROWS = 2
"""The input line and the bar."""


class Controls(Protocol):
    """What the keys act on and the bar shows: a session."""

    def status(self) -> Status: ...
    def toggle_microphone(self) -> None: ...
    def stop_answer(self) -> None: ...
    def cancel_calls(self) -> None: ...
    @property
    def is_answering(self) -> bool: ...
    @property
    def is_calling(self) -> bool: ...
    @property
    def queued_s(self) -> float: ...
    @property
    def is_asking(self) -> bool: ...
    @property
    def function_names(self) -> list[str]: ...


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
        """Build the prompt without showing it. Over 40 lines: its arguments, and the parts of the application.

        Args:
            stdin: The terminal's keys.
            stdout: The terminal's screen.
            writer: Writes to the screen.
            term: The type of the terminal (TERM).
            color: True to use colours.
            history: Earlier lines, and the place for new ones; `None` keeps lines for this session only.
            push_to_talk: True if the space bar is a talk key.
            interrupt: Called for Ctrl-C on an empty line.
        """
        self.controls: Controls | None = None
        self.in_progress: Callable[[], Fragments] = list
        """Returns the text that is not complete yet, to be shown above the input line."""
        self._interrupt = interrupt
        if isinstance(stdin, io.TextIOWrapper):
            stdin.reconfigure(encoding=find_keys_encoding())
        self._settings = TerminalSettings(stdin, stdout)
        self._stream = TerminalStream(stdout, writer)
        self._output = create_terminal_output(self._stream, stdout, term)
        self._color_depth = None if color else ColorDepth.DEPTH_1_BIT
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._is_restored = False
        """True once the terminal was given back because the process ends."""
        self._failure: BaseException | None = None
        """A bug that ended one of the prompt's own tasks."""
        self._state = PromptState()
        self._to_print: Fragments = []
        self._is_help_last = False
        """True if the help is the last text that was printed: F1 does not print it twice in a row."""
        self._print_timer: asyncio.TimerHandle | None = None
        self._burst_left, self._burst_since_s = float(MAX_BURST), 0.0
        """How many lines may be printed one by one at the moment, as counted at a time of the loop's clock."""
        self._buffer = Buffer(
            name="line",
            accept_handler=self._accept,
            history=history or InMemoryHistory(),
            completer=ThreadedCompleter(
                CommandCompleter(COMMANDS, self._function_names)
            ),  # listing a folder may be slow
            complete_while_typing=True,
            read_only=Condition(lambda: self._state.has_ended),
        )
        self._app: Application[None] = Application(
            build_layout(self._buffer, self._state, self._output, push_to_talk=push_to_talk),
            style=STYLE,
            key_bindings=build_keys(
                self._buffer,
                self,
                push_to_talk=push_to_talk,
                has_more_keys=lambda: bool(self._app.key_processor.input_queue),
            ),
            color_depth=self._color_depth,
            erase_when_done=True,
            input=create_terminal_input(stdin),
            output=self._output,
        )
        self._app.ttimeoutlen, self._app.timeoutlen = ESCAPE_S, META_S

    @property
    def columns(self) -> int:
        """The width of the terminal."""
        return self._output.get_size().columns

    async def lines(self) -> AsyncIterator[str]:
        """Yield what the user sends, which may have several lines, until the input ends."""
        while (line := await self._lines.get()) is not None:
            yield line

    @contextlib.asynccontextmanager
    async def running(self, claim_signals: Callable[[], None]) -> AsyncIterator[None]:
        """Show the prompt while the body runs.

        Args:
            claim_signals: Called when the prompt is shown and when it is closed, because prompt_toolkit changes how
                the event loop handles signals.
        """
        is_shown = asyncio.Event()
        self._app.after_render += lambda _: is_shown.set()
        app = asyncio.create_task(self._app.run_async(handle_sigint=False, set_exception_handler=False), name="prompt")
        refresher = asyncio.create_task(self._refresh(), name="status bar")
        app.add_done_callback(lambda _: is_shown.set())
        app.add_done_callback(lambda _: self.end_input())
        for task in (app, refresher):
            task.add_done_callback(functools.partial(self._note_failure, asyncio.current_task()))
        try:
            await is_shown.wait()
            claim_signals()
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
        """Cancel the body if one of the prompt's own tasks failed, which is a bug."""
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not isinstance(failure, EOFError):  # EOFError: the terminal is gone
            self._failure = failure
            if body is not None:
                body.cancel()

    def restore(self) -> None:
        """Restore the terminal because the process is about to end; callable from any thread."""
        if self._is_shown:
            self._is_restored = True
            self._settings.restore()

    # The screen

    @property
    def _is_shown(self) -> bool:
        return self._app.is_running and not self._is_restored

    def print_above(self, fragments: Fragments) -> None:
        """Print complete lines above the input line, collecting them for a moment if very many come."""
        self._to_print += fragments
        self._is_help_last = False
        if not self._is_shown:
            self._print()
        elif self._print_timer is None:
            loop = asyncio.get_running_loop()
            elapsed_s, self._burst_since_s = loop.time() - self._burst_since_s, loop.time()
            self._burst_left = min(MAX_BURST, self._burst_left + elapsed_s / PRINT_EVERY_S)
            if self._burst_left >= 1:
                self._burst_left -= 1
                self._print()
            else:
                self._print_timer = loop.call_later(PRINT_EVERY_S, self._print)

    def _print(self) -> None:
        """Print the collected lines, and redraw the prompt below them."""
        if self._print_timer is not None:
            self._print_timer.cancel()
            self._print_timer = None
        fragments, self._to_print = self._to_print, []
        if not fragments:
            return
        if sum(len(text) for _, text in fragments) > BULK_CHARS:
            fragments = [("", "".join(text for _, text in fragments))]
        else:
            fragments = wrap_words(fragments, self.columns)
        if self._is_shown:
            self._state.in_progress = self.in_progress()
            self._redraw(fragments)
        else:
            print_formatted_text(self._output, [*fragments], STYLE, color_depth=self._color_depth)

    async def _refresh(self) -> None:
        """Keep the bar and the text in progress up to date."""
        while True:
            status, in_progress = self.controls.status() if self.controls else None, self.in_progress()
            if (status, in_progress) != (self._state.status, self._state.in_progress):
                self._state.status, self._state.in_progress = status, in_progress
                self._app.invalidate()
            self._shrink()
            await asyncio.sleep(REFRESH_S)

    def _shrink(self) -> None:
        """Give back rows that are no longer needed; prompt_toolkit alone never does."""
        screen, size = self._app.renderer.last_rendered_screen, self._output.get_size()
        if screen is None or screen.height <= MIN_ROWS or not self._app.is_running:
            return
        with set_app(self._app):
            needed = self._app.layout.container.preferred_height(size.columns, size.rows).preferred
        if needed < screen.height:
            self._redraw([])

    def _redraw(self, above: Fragments) -> None:
        """Print text above the prompt and draw the prompt again, in one write so that nothing flickers."""
        with self._stream.holding(), set_app(self._app):
            self._app.renderer.erase()
            print_formatted_text(self._output, [*above], STYLE, color_depth=self._color_depth)
            self._app.render_counter += 1  # else prompt_toolkit would reuse the layout of its last drawing
            self._app.renderer.render(self._app, self._app.layout)

    # The input line

    def _accept(self, buffer: Buffer) -> bool:
        """Send the line and return False; after the end of the input, return True to keep it in the buffer."""
        if not self._state.has_ended:
            self._lines.put_nowait(buffer.text)
        return self._state.has_ended

    def _show_unsent(self) -> None:
        """Print the lines that were typed and not sent, and add a half-typed one to the history."""
        unsent = list(self.controls.status().unsent) if self.controls is not None else []
        while not self._lines.empty():
            if (line := self._lines.get_nowait()) is not None and not is_command(line):
                unsent.append(line)
        if self._buffer.text.strip():
            self._buffer.append_to_history()
            unsent.append(self._buffer.text)
        for line in unsent:
            self.print_above([("class:waiting", "[not sent]"), ("", f" {escape(line)}\n")])

    def press_ctrl_c(self) -> None:
        """Process the Ctrl-C that the terminal sent as a signal, after the keys that were typed before it."""
        if not self._app.is_running:
            self._interrupt()
            return
        with set_app(self._app):
            keys = self._app.input.read_keys()
            self._app.key_processor.feed_multiple([*keys, KeyPress(Keys.ControlC)])
            self._app.key_processor.process_keys()

    # What keys do (`keys.Actions`)

    def interrupt(self) -> None:
        """End the session as Ctrl-C does."""
        self._interrupt()

    def end_input(self) -> None:
        """Accept no more lines."""
        if not self._state.has_ended:
            self._state.has_ended = True
            self._lines.put_nowait(None)

    def toggle_microphone(self) -> None:
        """Mute or unmute the microphone."""
        if self.controls is not None:
            self.controls.toggle_microphone()

    @property
    def _shows_completions(self) -> bool:
        return self._buffer.complete_state is not None and bool(self._buffer.complete_state.completions)

    @property
    def closes_something(self) -> bool:
        """True if Esc has something to close, to cancel or to stop."""
        is_open = self._state.shows_help or self._shows_completions
        return is_open or (self.controls is not None and (self.controls.is_calling or self.controls.is_answering))

    @property
    def is_asking(self) -> bool:
        """True if a question waits for an answer."""
        return self.controls is not None and self.controls.is_asking

    def _function_names(self) -> list[str]:
        return self.controls.function_names if self.controls is not None else []

    def close_topmost(self) -> None:
        """Close the help or the completions; if none is open, cancel the running functions; else stop the answer."""
        if self._state.shows_help:
            self.toggle_help()
        elif self._shows_completions:
            self._buffer.cancel_completion()
        elif self.controls is not None and self.controls.is_calling:
            self.controls.cancel_calls()
        elif self.controls is not None:
            self.controls.stop_answer()

    def toggle_help(self) -> None:
        """Show or hide the help above the line, or print it if the window is too small to show it."""
        size = self._output.get_size()
        text = wrap_words([(REPLY_STYLE, f"{format_help()}\n")], size.columns)
        n_rows = sum(part.count("\n") for _, part in text)
        if self._state.shows_help or n_rows + MIN_ROWS + 1 < size.rows:
            self._state.shows_help = not self._state.shows_help
        elif not self._is_help_last:
            self.print_above(text)
            self._is_help_last = True

    def suspend(self) -> None:
        """Suspend the process and its children as a shell's Ctrl-Z does, and redraw the prompt afterwards."""
        if sys.platform == "win32":
            return
        self._app.renderer.erase()
        self._stream.drain()
        with self._settings.original():
            os.kill(0, signal.SIGTSTP)
            # Signals that arrived while the process was suspended come first: a process that was told to end must
            # not change the terminal's settings again.
            time.sleep(SETTLE_S)
        self._app.renderer.reset()
        self._app.invalidate()
