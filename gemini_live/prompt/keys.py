"""The keys of the prompt: a table of keys, conditions and actions. Runs on the event loop.

Keys that edit the line are prompt_toolkit's own (those of Emacs and readline).
"""

from collections.abc import Callable
from typing import Protocol

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Always, Condition, Filter, is_searching
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import SearchDirection, start_search, stop_search

_NEW_LINE_SEQUENCES = ("\x1b[13;2u", "\x1b[27;2;13~", "\x1b[13;3u", "\x1b[27;3;13~")
"""Shift-Enter and Alt-Enter in the two ways that terminals encode them: CSI u, and xterm's modifyOtherKeys."""


class Actions(Protocol):
    """What the keys do beside editing the line: the prompt."""

    @property
    def closes_something(self) -> bool:
        """True if Esc has an effect now."""

    @property
    def is_asking(self) -> bool:
        """True if a question waits for an answer, which may be an empty line."""

    def interrupt(self) -> None:
        """End the session as Ctrl-C does."""

    def end_input(self) -> None:
        """Accept no more lines."""

    def suspend(self) -> None:
        """Suspend the process as a shell's Ctrl-Z does."""

    def toggle_help(self) -> None:
        """Show or hide the keys and commands."""

    def toggle_microphone(self) -> None:
        """Mute or unmute the microphone."""

    def close_topmost(self) -> None:
        """Do what Esc does: close what is open, or cancel running functions, or stop the model's answer."""


def build_keys(
    buffer: Buffer, actions: Actions, *, push_to_talk: bool, has_more_keys: Callable[[], bool]
) -> KeyBindings:
    """Return the keys of the prompt. Over 40 lines: one entry for each key.

    Args:
        buffer: The input line.
        actions: What other keys do.
        push_to_talk: True if the space bar is a talk key.
        has_more_keys: Returns True if more keys were read at the same time and wait to be processed.
    """
    ANSI_SEQUENCES.update(dict.fromkeys(_NEW_LINE_SEQUENCES, (Keys.Escape, Keys.ControlM)))
    search = _Search(buffer)
    is_editing = ~is_searching
    is_empty = is_editing & Condition(lambda: not buffer.text)

    def send() -> None:
        """Send the line unless it is blank and answers nothing."""
        if buffer.text.strip() or actions.is_asking:
            buffer.validate_and_handle()
        else:
            buffer.reset()

    def clear_or_interrupt() -> None:
        """Clear the line, or end the session if the line is empty."""
        if buffer.text:
            buffer.reset()
        else:
            actions.interrupt()

    table: list[tuple[tuple[Keys | str, ...], Filter, Callable[[], None]]] = [
        (("enter",), is_editing, send),
        (("escape", "enter"), Always(), lambda: buffer.insert_text("\n")),
        (("escape", "c-j"), Always(), lambda: buffer.insert_text("\n")),
        (("c-c",), is_editing, clear_or_interrupt),
        (("c-c",), is_searching, search.cancel),
        (("c-g",), is_searching, search.cancel),
        (("c-r",), is_editing, lambda: search.begin(SearchDirection.BACKWARD)),
        (("c-s",), is_editing, lambda: search.begin(SearchDirection.FORWARD)),
        (("c-d",), is_empty, actions.end_input),
        (("c-z",), Always(), actions.suspend),
        (("c-t",), Always(), actions.toggle_microphone),
        ((" ",), is_empty & Condition(lambda: push_to_talk), actions.toggle_microphone),
        (("f1",), Always(), actions.toggle_help),
        # A paste may look like a mouse event. The mouse is not in use, and prompt_toolkit fails on malformed events.
        ((Keys.Vt100MouseEvent,), Always(), lambda: None),
    ]
    keys = KeyBindings()
    for names, condition, action in table:
        keys.add(*names, filter=condition)(_ignore_event(action))
    # Other keys begin with Esc, too, and arrive in one piece: Esc alone acts at once, without waiting for more.
    is_alone = ~Condition(has_more_keys) & Condition(lambda: actions.closes_something)
    keys.add("escape", filter=is_alone, eager=True)(_ignore_event(actions.close_topmost))
    return keys


def _ignore_event(action: Callable[[], None]) -> Callable[[KeyPressEvent], None]:
    return lambda event: action()


class _Search:
    """The search for earlier lines, which brings the draft back if the user cancels it; prompt_toolkit's does not."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._draft = (0, 0)
        """The index of the line that was being edited, and its cursor position."""

    def begin(self, direction: SearchDirection) -> None:
        """Begin to search."""
        self._draft = self._buffer.working_index, self._buffer.cursor_position
        start_search(direction=direction)

    def cancel(self) -> None:
        """End the search and return to the draft."""
        stop_search()
        self._buffer.working_index, self._buffer.cursor_position = self._draft
