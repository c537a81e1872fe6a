"""The prompt on a real pseudo-terminal: keys go in at one side, and a terminal emulator reads what is drawn."""

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("a pseudo-terminal is POSIX's", allow_module_level=True)

import asyncio
import contextlib
import io
import os
import re
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

from prompt_toolkit.history import InMemoryHistory

from gemini_live.output.help import COMMANDS, KEYS
from gemini_live.output.status import ConnectionState, Fragments, MicrophoneState, Status
from gemini_live.process.streams import BackgroundWriter
from gemini_live.prompt.prompt import BULK_CHARS, MAX_BURST, Prompt
from gemini_live.prompt.view import wrap_words
from tests.window import WAIT_S, Window, opened

STATUS = Status(
    connection=ConnectionState.LIVE,
    since_s=5,
    server=None,
    waiting_s=None,
    calls=(),
    calling_s=0,
    microphone=MicrophoneState.OFF,
    microphone_cells=0,
    plays=False,
    speaker_cells=0,
    queued_s=0.0,
    model="model",
    voice=None,
    latency_s=None,
    tokens=0,
    sound_mode=None,
    erle_db=None,
    unsent=(),
)
BAR = "live 0:05 | model"
PLACEHOLDER = "type a line; F1 shows the keys"
ALT_ENTER, CTRL_D, CTRL_G, CTRL_T, CTRL_Z, ESCAPE = "\x1b\r", "\x04", "\x07", "\x14", "\x1a", "\x1b"
F1, LEFT, UP, DOWN = "\x1bOP", "\x1b[D", "\x1b[A", "\x1b[B"


class Controls:
    """Stands for a session: what the bar shows, and how often the keys have asked for what."""

    def __init__(self) -> None:
        self.shown = STATUS
        self.is_answering = self.is_calling = self.is_asking = False
        self.function_names: list[str] = []
        self.queued_s = 0.0
        self.n_toggled = self.n_stopped = self.n_cancelled = 0

    def status(self) -> Status:
        return self.shown

    def toggle_microphone(self) -> None:
        self.n_toggled += 1

    def stop_answer(self) -> None:
        self.n_stopped += 1

    def cancel_calls(self) -> None:
        self.n_cancelled += 1


class Desk:
    """A prompt in a window, what was sent from it, and what was asked of others."""

    def __init__(self, window: Window, history: InMemoryHistory | None, *, color: bool, push_to_talk: bool) -> None:
        self.window = window
        self.controls = Controls()
        self.n_interrupted = self.n_handlers_set = 0
        self.sent: list[str] = []
        self.writer = BackgroundWriter()
        self.prompt = Prompt(
            window.keys,
            window.screen,
            self.writer,
            term="xterm-256color",
            color=color,
            history=history,
            push_to_talk=push_to_talk,
            interrupt=self._interrupt,
        )
        self.prompt.controls = self.controls
        self.ended = asyncio.create_task(self._collect())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Show the prompt, and what the window shows at its end."""
        async with self.prompt.running(self._set_handlers):
            yield
        await asyncio.to_thread(self.writer.flush, WAIT_S)
        self.window.look()

    def say(self, *lines: str) -> None:
        """Print lines above the prompt."""
        for line in lines:
            self.prompt.print_above([("", f"{line}\n")])

    async def has_sent(self, *lines: str) -> None:
        await self.window.until(lambda: self.sent == [*lines])

    async def settle(self) -> None:
        """Wait until everything that was typed so far has been taken, by having a key come after it."""
        n_toggled = self.controls.n_toggled
        self.window.type(CTRL_T)
        await self.window.until(lambda: self.controls.n_toggled > n_toggled)
        self.controls.n_toggled -= 1

    async def _collect(self) -> None:
        async for line in self.prompt.lines():
            self.sent.append(line)

    def _interrupt(self) -> None:
        self.n_interrupted += 1

    def _set_handlers(self) -> None:
        self.n_handlers_set += 1


@pytest.fixture
def window() -> Iterator[Window]:
    with opened() as made:
        yield made


@contextlib.asynccontextmanager
async def sitting_at(
    window: Window,
    *,
    history: InMemoryHistory | None = None,
    color: bool = True,
    push_to_talk: bool = False,
    status: Status = STATUS,
) -> AsyncIterator[Desk]:
    """Show a prompt in a window, and wait for it."""
    desk = Desk(window, history, color=color, push_to_talk=push_to_talk)
    desk.controls.shown = status
    async with desk.running():
        await window.shows(">", "live")
        yield desk
    desk.ended.cancel()


# Lines


async def test_an_empty_line_shows_a_hint(window: Window) -> None:
    async with sitting_at(window):
        assert window.text == f"> {PLACEHOLDER}\n{BAR}"
        assert window.cursor == (2, 0)


async def test_each_line_is_yielded_when_it_is_sent(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("one")
        await window.shows("> one")
        assert desk.sent == []
        window.type("\r")
        await desk.has_sent("one")
        await window.shows(PLACEHOLDER)
        window.type("two\rthree\r")
        await desk.has_sent("one", "two", "three")


async def test_a_blank_line_is_not_sent(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("\r \r\t\rone\r")
        await desk.has_sent("one")


async def test_an_empty_line_answers_a_question(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.controls.is_asking = True
        desk.controls.shown = replace(STATUS, question="run f? [y/N/always]")
        await window.until(lambda: "run f? [y/N/always]" in window.text)
        window.type("\r")
        await desk.has_sent("")
        desk.controls.shown = STATUS
        await window.until(lambda: "run f?" not in window.text)


async def test_a_blank_line_is_not_added_to_the_history(window: Window) -> None:
    history = InMemoryHistory()
    async with sitting_at(window, history=history) as desk:
        window.type("  \rone\r")
        await desk.has_sent("one")
        await desk.settle()
    assert history.get_strings() == ["one"]


@pytest.mark.parametrize("key", ["\x1b[13;2u", "\x1b[27;2;13~", "\x1b\r", "\x1b\n"])
async def test_every_encoding_of_shift_enter_and_alt_enter_starts_a_new_line(window: Window, key: str) -> None:
    async with sitting_at(window) as desk:
        window.type(f"one{key}two\r")
        await desk.has_sent("one\ntwo")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
async def test_keys_are_utf_8_whatever_the_encoding_of_the_streams_is(window: Window, encoding: str) -> None:
    assert isinstance(window.keys, io.TextIOWrapper)
    window.keys.reconfigure(encoding=encoding, errors="surrogateescape")
    async with sitting_at(window) as desk:
        window.type("\u00e9 \u65e5\u672c\r")
        await desk.has_sent("\u00e9 \u65e5\u672c")


async def test_a_line_is_sent_as_it_was_typed(window: Window) -> None:
    line = "  Grüße, 日本 e\u0301 🎈 \\n "
    async with sitting_at(window) as desk:
        window.type(f"{line}\r")
        await desk.has_sent(line)


async def test_a_line_can_be_edited_at_the_cursor(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type(f"ac{LEFT}b\x01<\x05>\r")
        await desk.has_sent("<abc>")


async def test_a_line_may_have_several_lines(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type(f"one{ALT_ENTER}two")
        await window.shows("> one\n  two\n")
        window.type("\x1b\nthree\r")
        await desk.has_sent("one\ntwo\nthree")
        await window.until(lambda: window.text == f"> {PLACEHOLDER}\n{BAR}")


async def test_pasted_text_is_one_line_and_contains_no_keys(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("\x1b[200~one\rtwo\x04\n\x1b[201~")
        await window.shows("> one\n  two")
        assert desk.sent == []
        window.type("\r")
        await window.until(lambda: bool(desk.sent))
        assert desk.sent[0].startswith("one\ntwo")


async def test_a_long_line_is_wrapped_and_takes_a_third_of_the_window_at_most() -> None:
    with opened(columns=20, rows=15) as window:
        async with sitting_at(window) as desk:
            window.type("x" * 30)
            await window.shows(f"> {'x' * 18}\n  {'x' * 12}\nlive")
            window.type("y" * 400)
            await window.until(lambda: "x" not in window.text and window.text.endswith(f"y\n{BAR}"))
            assert len(window.text.splitlines()) == 15 // 3 + 1
            window.type("\r")
            await desk.has_sent("x" * 30 + "y" * 400)


async def test_the_up_key_recalls_earlier_lines(window: Window) -> None:
    history = InMemoryHistory(["of yesterday"])
    async with sitting_at(window, history=history) as desk:
        window.type("first\rsecond\r")
        await desk.has_sent("first", "second")
        await window.shows(PLACEHOLDER)
        await desk.settle()
        for line in ("second", "first", "of yesterday"):
            window.type(UP)
            await window.shows(f"> {line}\n")
        window.type(DOWN)
        await window.shows("> first\n")
        window.type("!\r")
        await desk.has_sent("first", "second", "first!")
    assert history.get_strings() == ["of yesterday", "first", "second", "first!"]


async def test_earlier_lines_are_found_by_a_part_of_them(window: Window) -> None:
    history = InMemoryHistory(["a needle in it", "hay", "more hay"])
    async with sitting_at(window, history=history):
        window.type("\x12need")
        await window.shows("> a needle in it", "need")


async def test_a_line_that_was_found_can_be_changed_and_sent(window: Window) -> None:
    async with sitting_at(window, history=InMemoryHistory(["a needle in it", "hay"])) as desk:
        window.type("\x12need")
        await window.shows("> a needle in it", "need")
        window.type("\r")
        await window.until(lambda: window.text == f"> a needle in it\n{BAR}")
        assert desk.sent == []
        window.type("\x05!\r")
        await desk.has_sent("a needle in it!")


@pytest.mark.parametrize("by_signal", [False, True])
async def test_a_cancelled_search_restores_the_draft(window: Window, by_signal: bool) -> None:
    async with sitting_at(window, history=InMemoryHistory(["alpha one", "alpha two"])) as desk:
        window.type("my draft\x12alp")
        await window.shows("alpha two")
        window.type("\x12")
        await window.shows("alpha one")
        if by_signal:
            desk.prompt.press_ctrl_c()
        else:
            window.type(CTRL_G)
        await window.shows("> my draft\n")
        window.type("!\r")
        await desk.has_sent("my draft!")
        assert desk.n_interrupted == 0


async def test_a_cancelled_search_leaves_the_line_unchanged(window: Window) -> None:
    async with sitting_at(window, history=InMemoryHistory(["a needle in it"])) as desk:
        window.type("half\x12need")
        await window.shows("> a needle in it", "need")
        desk.prompt.press_ctrl_c()
        await window.until(lambda: window.text == f"> half\n{BAR}")
        assert desk.n_interrupted == 0


async def test_during_a_search_the_keys_of_an_empty_line_have_no_effect(window: Window) -> None:
    async with sitting_at(window, history=InMemoryHistory(["a needle"]), push_to_talk=True) as desk:
        window.type(f"\x12a n{CTRL_D}")
        await window.shows("> a needle", "a n")
        await desk.settle()
        assert desk.controls.n_toggled == 0
        assert not desk.ended.done()
        desk.prompt.press_ctrl_c()
        await window.until(lambda: window.text == f"> {PLACEHOLDER}\n{BAR}")
        assert desk.n_interrupted == 0


async def test_without_a_history_file_lines_of_the_same_session_are_recalled(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("first\r")
        await desk.has_sent("first")
        await window.shows(PLACEHOLDER)
        await desk.settle()
        window.type(UP)
        await window.shows("> first\n")


# Keys


async def test_ctrl_c_clears_a_line_and_interrupts_on_an_empty_one(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("half a line")
        await window.shows("> half a line")
        desk.prompt.press_ctrl_c()
        await window.shows(PLACEHOLDER)
        assert desk.n_interrupted == 0
        desk.prompt.press_ctrl_c()
        await window.until(lambda: desk.n_interrupted == 1)
        assert desk.sent == []
        assert not desk.ended.done()


async def test_ctrl_d_deletes_in_a_line_and_ends_the_input_on_an_empty_one(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type(f"abc\x01{CTRL_D}")
        await window.shows("> bc")
        assert not desk.ended.done()
        desk.prompt.press_ctrl_c()
        window.type(CTRL_D)
        await window.until(desk.ended.done)
        await window.shows("> input ended; waiting for answers")


async def test_after_the_end_of_the_input_no_line_is_accepted(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("last\r")
        await desk.has_sent("last")
        window.type(f"{CTRL_D}abc\r{ALT_ENTER}{CTRL_D}")
        await desk.settle()
        await window.until(lambda: window.text == f"> input ended; waiting for answers\n{BAR}")
        desk.prompt.press_ctrl_c()
        await window.until(lambda: desk.n_interrupted == 1)
    assert desk.sent == ["last"]
    assert window.lines == []


@pytest.mark.parametrize("push_to_talk", [False, True])
async def test_ctrl_t_toggles_the_microphone_with_text_in_the_line_too(window: Window, push_to_talk: bool) -> None:
    async with sitting_at(window, push_to_talk=push_to_talk) as desk:
        for n_toggled in (1, 2):
            window.type(f"word{CTRL_T}")
            await window.until(lambda n=n_toggled: desk.controls.n_toggled == n)  # type: ignore[misc]
        await window.shows("> wordword")


async def test_with_push_to_talk_space_on_an_empty_line_is_the_talk_key(window: Window) -> None:
    async with sitting_at(window, push_to_talk=True) as desk:
        window.type("  ")
        await window.until(lambda: desk.controls.n_toggled == 2)
        window.type("two words\r")
        await desk.has_sent("two words")
        assert desk.controls.n_toggled == 2


async def test_without_push_to_talk_space_is_a_space(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type(" word\r")
        await desk.has_sent(" word")
        assert desk.controls.n_toggled == 0


async def test_escape_stops_the_answer(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.controls.is_answering = True
        window.type("half a line")
        await window.shows("> half a line")
        window.type(ESCAPE)
        await window.until(lambda: desk.controls.n_stopped == 1)
        assert "> half a line" in window.text


async def test_escape_does_nothing_without_an_answer(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type(ESCAPE)
        await desk.settle()
        desk.controls.is_answering = True
        await desk.settle()
        assert desk.controls.n_stopped == 0


async def test_keys_encoded_with_escape_work_during_an_answer(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.controls.is_answering = True
        window.type(f"one{ALT_ENTER}two words")
        await window.shows("> one\n  two words")
        window.type("\x1bb")  # a word back
        window.type(f"{LEFT}{LEFT}-\r")
        await desk.has_sent("one\ntw-o words")
        window.type(F1)
        await window.until(lambda: any("Ctrl-R" in line for line in window.lines))
        assert desk.controls.n_stopped == 0


async def test_f1_shows_the_keys_and_commands_and_hides_them(window: Window) -> None:
    with opened(columns=80, rows=40) as tall:
        async with sitting_at(tall) as desk:
            tall.type("half")
            for hide in (F1, ESCAPE):
                tall.type(F1)
                await tall.shows("Ctrl-R", "/quit", "> half", BAR)
                tall.type(hide)
                await tall.until(lambda: tall.text == f"> half\n{BAR}")
            assert desk.controls.n_stopped == 0


async def test_in_a_window_that_is_too_small_for_them_the_keys_are_printed(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type(f"half{F1}")
        await window.shows("/quit", f"> half\n{BAR}")
        window.type(F1)
        await desk.settle()
        assert sum("Ctrl-R" in line for line in window.lines) == 1
        desk.say("what is said next")
        await window.shows("/quit", f"what is said next\n> half\n{BAR}")
        window.type(F1)
        await window.until(lambda: sum("Ctrl-R" in line for line in window.lines) == 2)


async def test_rows_of_the_help_are_indented_to_its_second_column() -> None:
    with opened(columns=50, rows=20) as window:
        async with sitting_at(window):
            window.type(F1)
            await window.shows("/quit")
            rows = [row for row in window.lines if not row.startswith((">", "live"))]
            assert len(rows) > len(KEYS) + len(COMMANDS)
            names = tuple(f"{name} " for name in (*KEYS, *COMMANDS))
            indent = rows[0].index("send")
            assert all(row.startswith(names) or row[:indent].isspace() for row in rows)


async def test_keys_before_the_session_have_no_effect(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.prompt.controls = None
        window.type(f"{CTRL_T}{ESCAPE}")
        await window.until(lambda: window.text == f"> {PLACEHOLDER}")
        window.type("word\r")
        await desk.has_sent("word")


async def test_ctrl_c_comes_after_the_keys_that_were_typed_before_it(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("half a line")
        desk.prompt.press_ctrl_c()  # before the event loop has read the line
        assert desk.n_interrupted == 0
        window.type("one\r")
        await desk.has_sent("one")


async def test_ctrl_c_after_the_prompt_has_ended_interrupts(window: Window) -> None:
    async with sitting_at(window) as desk:
        pass
    desk.prompt.press_ctrl_c()
    assert desk.n_interrupted == 1


async def test_escape_cancels_running_functions_before_it_stops_the_answer(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.controls.is_answering = desk.controls.is_calling = True
        window.type(ESCAPE)
        await window.until(lambda: desk.controls.n_cancelled == 1)
        assert desk.controls.n_stopped == 0
        desk.controls.is_calling = False
        window.type(ESCAPE)
        await window.until(lambda: desk.controls.n_stopped == 1)
        assert desk.controls.n_cancelled == 1


# Commands


async def test_commands_are_yielded_like_lines(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("/stats\r//said\rplain\r")
        await desk.has_sent("/stats", "//said", "plain")
        await desk.settle()
        await window.until(lambda: window.text == f"> {PLACEHOLDER}\n{BAR}")


async def test_the_commands_are_offered_as_one_is_typed(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("/")
        await window.shows("> /\n", "/help", "show the keys", "/mute", "live")
        window.type("s")
        await window.until(lambda: "/help" not in window.text)
        await window.shows("> /s\n", "/stats", "/screen on|off", "/save FILE", "live")
        window.type("t")
        await window.shows("> /st\n /stats  show")
        await window.until(lambda: "/save" not in window.text)
        await desk.settle()
        window.type("\t")
        await window.shows("> /stats\n")
        window.type("\r")
        await desk.has_sent("/stats")
        await window.until(lambda: window.text == f"> {PLACEHOLDER}\n{BAR}")


async def test_escape_closes_the_completions_before_it_stops_the_answer(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.controls.is_answering = True
        window.type("/s")
        await window.shows("/stats", "/screen")
        window.type(ESCAPE)
        await window.until(lambda: window.text == f"> /s\n{BAR}")
        assert desk.controls.n_stopped == 0
        window.type(ESCAPE)
        await window.until(lambda: desk.controls.n_stopped == 1)


async def test_text_that_is_not_a_command_gets_no_completions(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("stats /s")
        await desk.settle()
        await window.until(lambda: window.text == f"> stats /s\n{BAR}")


# Printing above


async def test_printed_text_appears_above_the_half_typed_line(window: Window) -> None:
    async with sitting_at(window) as desk:
        for number, character in enumerate("half a line"):
            window.type(character)
            desk.say(f"printed {number}")
        await window.shows("printed 10\n> half a line")
        assert window.cursor[0] == len("> half a line")
        assert window.text.splitlines() == [*(f"printed {n}" for n in range(11)), "> half a line", BAR]
        window.type("\r")
        await desk.has_sent("half a line")


async def test_all_printed_text_scrolls_and_is_kept(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("half")
        await window.shows("> half")
        for number in range(60):
            desk.say(f"printed {number}")
            await window.shows(f"printed {number}\n> half\n{BAR}")
        assert window.lines == [*(f"printed {n}" for n in range(60)), "> half", BAR]


async def test_very_many_lines_are_printed_together_in_their_order(window: Window) -> None:
    n_lines = 3_000
    async with sitting_at(window) as desk:
        window.type("half")
        await window.shows("> half")
        before = len(window.written)
        for number in range(n_lines):
            desk.say(f"{number}")
        await window.shows(f"{n_lines - 1}\n> half\n{BAR}")
        assert window.lines == [*map(str, range(n_lines)), "> half", BAR]
        # Each time that something is printed, the bar is drawn anew below it.
        assert window.written[before:].count(b"model") <= MAX_BURST + 5


async def test_a_few_lines_are_printed_at_once(window: Window) -> None:
    async with sitting_at(window) as desk:
        for number in range(MAX_BURST):
            desk.say(f"printed {number}")
            assert desk.writer.flush(WAIT_S)
            assert f"printed {number}\n> type" in window.text


async def test_text_collected_in_a_burst_is_printed_at_the_end(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.say(*map(str, range(500)))
    assert window.lines == [*map(str, range(500))]


async def test_before_and_after_the_prompt_lines_are_printed_directly(window: Window) -> None:
    desk = Desk(window, None, color=False, push_to_talk=False)
    desk.say("before")
    assert desk.writer.flush(WAIT_S)
    assert window.text == "before"
    async with desk.running():
        await window.shows("before\n> ", BAR)
    desk.say("after")
    assert desk.writer.flush(WAIT_S)
    assert window.text == "before\nafter"
    assert not window.hides_cursor
    desk.ended.cancel()


async def test_nothing_is_drawn_where_nothing_changes(window: Window) -> None:
    async with sitting_at(window) as desk:
        lengths: list[int] = []

        def look() -> Fragments:
            window.look()
            lengths.append(len(window.written))
            return []

        desk.prompt.in_progress = look  # called at every look at what may have changed
        await window.until(lambda: len(lengths) >= 4 and len(set(lengths[-4:])) == 1)


async def test_no_line_of_the_conversation_is_broken_in_a_word() -> None:
    with opened(columns=20) as window:
        async with sitting_at(window) as desk:
            desk.say("gemini: a quick yellow fox jumps over a lazy dog")
            await window.shows("gemini: a quick\nyellow fox jumps\nover a lazy dog\n> type")


async def test_styles_are_shown_and_end_with_what_has_them(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.prompt.print_above([("class:you", "you:"), ("", " hello "), ("class:mark", "[cut off]"), ("", "\n")])
        await window.shows("you: hello [cut off]\n> ")
        assert (window.style_at("you:").fg, window.style_at("you:").bold) == ("cyan", True)
        assert (window.style_at("hello").fg, window.style_at("hello").bold) == ("default", False)
        assert window.style_at(BAR).reverse
        assert not window.style_at("> type").reverse


async def test_without_colours_there_are_none(window: Window) -> None:
    async with sitting_at(window, color=False) as desk:
        desk.prompt.print_above([("class:you", "you:"), ("class:error", " it broke\n")])
        window.type("/")
        await window.shows("you: it broke\n> /", "/help")
        window.type(F1)
        await desk.settle()
    codes = set(re.findall(rb"\x1b\[([\d;]*)m", window.written))
    assert not [code for code in codes if re.search(rb"(^|;)([349]\d|10\d)($|;)", code)]


# What grows


async def test_text_in_progress_is_shown_above_the_line_until_it_is_printed(window: Window) -> None:
    growing: Fragments = []
    async with sitting_at(window) as desk:
        desk.prompt.in_progress = lambda: [*growing]
        window.type("half")
        for word in ("once", "upon", "a time"):
            growing.append(("", f" {word}"))
            await window.shows(word, "\n> half")
        assert window.text == f" once upon a time\n> half\n{BAR}"
        text = "".join(text for _, text in growing).strip()
        growing.clear()
        desk.say(text)
        await window.until(lambda: window.text == f"once upon a time\n> half\n{BAR}")
        assert window.lines.count("once upon a time") == 1


async def test_lines_that_wait_for_a_connection_stand_above_the_prompt(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.controls.shown = replace(STATUS, connection=ConnectionState.RESUMING, unsent=("one", "two"))
        await window.shows("you: one [not sent yet]\nyou: two [not sent yet]\n> type", "resuming")
        desk.controls.shown = STATUS
        await window.until(lambda: window.text == f"> {PLACEHOLDER}\n{BAR}")


async def test_the_bar_follows_the_session(window: Window) -> None:
    async with sitting_at(window) as desk:
        for since_s in (6, 65):
            desk.controls.shown = replace(STATUS, since_s=since_s)
            await window.shows(f"live {since_s // 60}:{since_s % 60:02} | model")


# The window


async def test_the_prompt_follows_the_size_of_the_window(window: Window) -> None:
    line = "a line that is longer than thirty columns are wide"
    async with sitting_at(window, status=replace(STATUS, model="a model with a long name")) as desk:
        window.type(line)
        await window.shows(f"> {line}")
        assert desk.prompt.columns == 60
        for columns, rows in ((30, 10), (100, 30)):
            window.resize(columns, rows)
            os.kill(os.getpid(), signal.SIGWINCH)
            await window.until(lambda: line in window.text.replace("\n  ", "").replace("> ", ""))
            await window.until(lambda: window.text.splitlines()[-1].startswith("live"))
            assert desk.prompt.columns == columns
        window.type("\r")
        await desk.has_sent(line)


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (3, 2), (20, 1), (20, 2), (200, 3), (2, 30)])
async def test_in_the_smallest_window_lines_can_be_sent_and_what_is_said_is_printed(columns: int, rows: int) -> None:
    with opened(columns, rows) as window:
        desk = Desk(window, None, color=True, push_to_talk=False)
        async with desk.running():
            window.type("hello\r/\x7f")
            await desk.has_sent("hello")
            desk.prompt.in_progress = lambda: [("", "growing " * 50)]
            desk.controls.shown = replace(STATUS, unsent=("one", "two"))
            desk.say("what is said")
            window.type(f"{F1}world\r")
            await desk.has_sent("hello", "world")
        assert "".join("".join(window.lines).split()).startswith("whatissaid"[: columns * rows])
        desk.ended.cancel()


@pytest.mark.parametrize(("columns", "said"), [(33, PLACEHOLDER), (32, "type a line"), (14, "type a line"), (13, "")])
async def test_the_hint_is_shortened_to_the_width_of_the_window(columns: int, said: str) -> None:
    assert len(PLACEHOLDER) == 30
    with opened(columns=columns, rows=5) as window:
        async with sitting_at(window):
            await window.until(lambda: window.look()[0] == f"> {said}".rstrip())


async def test_in_a_window_of_two_rows_there_is_a_line_and_a_bar() -> None:
    with opened(columns=30, rows=2) as window:
        async with sitting_at(window):
            window.type("hello")
            await window.until(lambda: window.text == f"> hello\n{BAR}")


# The end


async def test_a_line_that_was_not_sent_is_shown_and_kept(window: Window) -> None:
    history = InMemoryHistory()
    async with sitting_at(window, history=history) as desk:
        window.type("half a li")
        await window.shows("> half a li")
    assert window.lines == ["[not sent] half a li"]
    assert history.get_strings() == ["half a li"]
    await asyncio.wait_for(desk.ended, WAIT_S)
    assert desk.sent == []


async def test_unsent_lines_are_shown_at_the_end_but_commands_are_not(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.ended.cancel()  # nobody takes lines any more
        await asyncio.wait([desk.ended])
        window.type("three\r/stats\rfour\rfi")
        await window.shows("> fi\n")
        desk.controls.shown = replace(STATUS, unsent=("one", "two\nlines"))
    assert window.lines == [
        "[not sent] one",
        "[not sent] two",
        "lines",
        "[not sent] three",
        "[not sent] four",
        "[not sent] fi",
    ]


async def test_a_recalled_line_is_not_sent_after_the_end_of_the_input(window: Window) -> None:
    async with sitting_at(window, history=InMemoryHistory(["earlier"])) as desk:
        window.type(CTRL_D)
        await window.until(desk.ended.done)
        window.type(f"{UP}\r")
        await desk.settle()
    assert desk.sent == []


async def test_a_failing_prompt_cancels_the_body_and_restores_the_terminal(window: Window) -> None:
    before = window.settings
    with pytest.raises(ZeroDivisionError):
        async with sitting_at(window) as desk:
            desk.prompt.in_progress = lambda: 1 // 0  # type: ignore[assignment, return-value]
            await asyncio.Event().wait()
    assert window.settings == before


async def test_the_prompt_is_erased_at_the_end(window: Window) -> None:
    async with sitting_at(window) as desk:
        desk.say("what was said")
        window.type("/s ")
        await window.shows("> /s")
        desk.prompt.press_ctrl_c()
        window.type("  ")
        await window.until(lambda: window.text == f"what was said\n>\n{BAR}")
    assert window.lines == ["what was said"]


async def test_the_terminals_settings_are_restored_at_the_end(window: Window) -> None:
    before = window.settings
    async with sitting_at(window) as desk:
        assert not window.is_cooked
        assert desk.n_handlers_set == 1
        assert b"\x1b[?2004h" in window.written  # a paste comes in brackets
    assert desk.n_handlers_set == 2
    assert window.settings == before
    assert window.written.rfind(b"\x1b[?2004l") > window.written.rfind(b"\x1b[?2004h")
    assert not window.hides_cursor


async def test_the_terminals_settings_are_restored_after_an_exception(window: Window) -> None:
    before = window.settings
    with pytest.raises(ValueError, match="mine"):
        async with sitting_at(window):
            raise ValueError("mine")
    assert window.settings == before
    await window.until(lambda: window.text == "")


async def test_the_lines_end_with_the_prompt(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.type("one\r")
        await desk.has_sent("one")
        ended = desk.ended
    assert desk.sent == ["one"]
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(ended, WAIT_S)


async def test_restore_works_from_any_thread_and_printing_continues(window: Window) -> None:
    before = window.settings
    async with sitting_at(window) as desk:
        desk.say("what was said")
        await window.shows("what was said\n> type")
        thread = threading.Thread(target=desk.prompt.restore)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert window.settings == before
        await window.until(lambda: window.text == "what was said")
        desk.say("the end")
        assert desk.writer.flush(WAIT_S)
        assert window.text == "what was said\nthe end"
        desk.prompt.restore()
    assert window.settings == before


async def test_restore_does_nothing_while_the_prompt_is_not_shown(window: Window) -> None:
    desk = Desk(window, None, color=True, push_to_talk=False)
    before = window.settings
    desk.prompt.restore()
    assert desk.writer.flush(WAIT_S)
    window.look()
    assert b"\x1b[J" not in window.written
    assert window.settings == before
    desk.ended.cancel()


async def test_a_terminal_that_is_closed_ends_the_lines_and_nothing_else(window: Window) -> None:
    async with sitting_at(window) as desk:
        window.hang_up()
        await asyncio.wait_for(desk.ended, WAIT_S)
        desk.say("nobody reads this")


# Job control


async def test_suspend_restores_the_terminal_and_resuming_shows_the_line_again(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[tuple[int, int, list[Any], str]] = []
    before = window.settings

    def stop(pid: int, number: int) -> None:
        stopped.append((pid, number, window.settings, window.text))

    async with sitting_at(window) as desk:
        desk.say("what was said")
        window.type("half")
        await window.shows("what was said\n> half")
        with monkeypatch.context() as patched:
            patched.setattr(os, "kill", stop)
            window.type(CTRL_Z)
            await window.until(lambda: bool(stopped))
        await window.shows("what was said\n> half")
        assert not window.is_cooked
        window.type(" a line\r")
        await desk.has_sent("half a line")
    # The whole group of processes is stopped, as the shell would, with nothing of the prompt left on the screen.
    assert stopped == [(0, signal.SIGTSTP, before, "what was said")]


async def test_suspend_does_nothing_without_job_control(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sitting_at(window) as desk:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "platform", "win32")
            patched.setattr(os, "kill", lambda *_: pytest.fail("it stops itself"))
            window.type(f"{CTRL_Z}word\r")
            await desk.has_sent("word")


async def test_a_very_long_text_is_wrapped_by_the_terminal(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    n_wrapped: list[int] = []

    def wrap(fragments: Fragments, columns: int) -> Fragments:
        n_wrapped.append(sum(len(text) for _, text in fragments))
        return wrap_words(fragments, columns)

    monkeypatch.setattr("gemini_live.prompt.prompt.wrap_words", wrap)
    n_words = 2 * BULK_CHARS // 5
    async with sitting_at(window) as desk:
        desk.say("word " * n_words)
        desk.say("the end")
        await window.shows("the end")
        assert window.written.count(b"word ") >= n_words - 1
    assert max(n_wrapped) <= BULK_CHARS
