"""The conversation for a person at a prompt: each utterance is printed above it once, whole, in the order it was said.

Runs on the event loop, and before there is one, one call at a time. What is not whole yet is `pending`, for the prompt
to show as it grows. Text is made of fragments, pairs of a style and a text, as prompt_toolkit has them; this module
does not know the library.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from ..process.streams import BackgroundWriter
from .plain import NAMES, Terminal, escape, format_call, one_line, show_character
from .status import Fragments
from .transcript import Piece, Speaker, Transcript

BLOCK_LINES = 12
"""Code, and what it printed, of more lines is folded."""
FOLD_ROWS = 3
"""What a tool is given or gives is folded to so many rows of the terminal."""
PRINTED_LINES = 20
"""Lines that functions print one after the other; more of them are counted, but for `--verbose`."""
CUT_OFF = "[cut off]"
STOPPED = "[stopped]"
UNFINISHED = "[unfinished]"
LATE = "[late words]"
NO_WORDS = "[no words]"

_INDENT = "    "
_OVERRIDES = re.compile("[\u202d\u202e\u2028\u2029]")
"""Characters that turn words around, which no language needs, and line breaks that no terminal knows."""
_STYLES = {Speaker.USER: "class:you", Speaker.MODEL: "class:model"}
_NAMES = {Speaker.USER: NAMES["you"], Speaker.MODEL: NAMES["model"]}


class LiveTerminal(Terminal):
    """Writes a conversation above the prompt."""

    def __init__(
        self,
        writer: BackgroundWriter,
        stdout: TextIO | None,
        stderr: TextIO | None,
        *,
        shares_stderr: bool,
        print_above: Callable[[Fragments], None],
        columns: Callable[[], int],
        queued_s: Callable[[], float],
        clock: Callable[[], float],
        quiet: bool,
        verbose: bool,
        has_words: bool,
    ) -> None:
        """Begin.

        Args:
            writer: Writes to stderr, where that is not the terminal.
            stdout: The terminal.
            stderr: Where what is not said goes.
            shares_stderr: Whether that is the terminal too, so that it has to be printed above the prompt.
            print_above: Prints whole lines above the prompt.
            columns: The width of the terminal.
            queued_s: How many seconds of the model's speech are still to be heard.
            clock: The time in seconds.
            quiet: Whether only errors are told of.
            verbose: Whether every message is shown.
            has_words: Whether an answer without words is worth a word.
        """
        super().__init__(
            writer,
            stdout,
            stderr,
            stdout_is_terminal=True,
            stdout_color=False,
            stderr_color=False,
            quiet=quiet,
            verbose=verbose,
            is_interactive=True,
        )
        self._transcript: Transcript[Fragments] = Transcript()
        self._print_above, self._columns = print_above, columns
        self._queued_s, self._clock = queued_s, clock
        self._shares_stderr = shares_stderr
        self._has_words = has_words
        self._n_printed = 0
        """Lines that functions have printed on the terminal since anything else has happened."""

    @property
    def record(self) -> str:
        """The conversation as it was shown, with what is not whole yet."""
        return super().record + self._writer.mask(_plain(self.pending()).removesuffix("\n"))

    def advance(self) -> None:
        """Print what has become whole; what waits for time to pass does when this is called again."""
        for item in self._transcript.take(self._clock()):
            is_said = isinstance(item, Piece)
            line = self._format_piece(item) if isinstance(item, Piece) else item
            self._keep(_plain(line))
            self._print(line, always=is_said)

    def pending(self) -> Fragments:
        """Return what is not whole yet, with a line break after each utterance."""
        fragments: Fragments = []
        for item in self._transcript.pending():
            if isinstance(item, Piece):
                fragments += [*self._format_piece(item), ("", "\n")]
            elif self._shares_stderr:
                fragments += [*item, ("", "\n")]
        if folded := self._format_folded():
            fragments += [*folded, ("", "\n")]
        return fragments

    # What is said

    def asked(self, text: str, *, echo: bool) -> None:
        """Take a question that was sent."""
        self._end_printed()
        self._transcript.typed(text)
        self.advance()

    def heard(self, text: str, *, late: bool) -> None:
        """Take transcribed words of the user."""
        self._end_printed()
        self._transcript.heard(text, late=late)

    def words(self, text: str) -> None:
        """Take words of the model."""
        self._end_printed()
        self._transcript.words(text, self._clock(), self._queued_s())
        self.advance()

    def answered(self, text: str, *, asked: bool, cut_off: bool) -> None:
        """Take a whole answer."""
        if not text.strip() and asked and not cut_off and self._has_words:
            self._transcript.words(NO_WORDS, self._clock())
        self._transcript.answered(CUT_OFF if cut_off else "")
        self.advance()

    def restarted(self, text: str) -> None:
        """Take words of an answer that begins anew: they do not count."""
        self._transcript.restarted(CUT_OFF)
        self.advance()

    def late_words(self, text: str) -> None:
        """Take words of an answer that was printed already."""
        self._end_printed()
        self._transcript.late_words(text, LATE)
        self.advance()

    # What is done

    def code(self, language: str, code: str) -> None:
        """Take code that the model runs."""
        self._act(_label("code", one_line(language.lower()), _format_block(code)))

    def code_result(self, outcome: str, output: str) -> None:
        """Take what the model's code printed."""
        how = one_line(outcome.removeprefix("OUTCOME_").lower())
        self._note(_label("code result", how, _format_block(output)))

    def tool_call(self, call_id: str, name: str, args: Mapping[str, Any]) -> None:
        """Take a function call of the model's."""
        self._act(_label("call", self._fold(format_call(name, args))))

    def sources(self, queries: Sequence[str], sources: Sequence[tuple[str, str]]) -> None:
        """Take the search queries and the title and link of every source."""
        if queries:
            self._labelled("search", ", ".join(queries))
        for title, uri in sources:
            # A link that is cut is none.
            named = f" {one_line(title)}" if title else ""
            self._note([("class:label", "[source]"), ("", f"{named} "), ("class:link", one_line(uri, fold=False))])

    def function_output(self, line: str) -> None:
        """Take a line that a user's function printed: it stands after the call that it belongs to."""
        self._n_printed += self._shares_stderr and not (self._verbose or self._quiet)
        if self._n_printed <= PRINTED_LINES:
            # Of a line that was written over, by a progress bar or so, what can be seen.
            seen = next((part for part in reversed(line.split("\r")) if part), "")
            self._add([("class:printed", f"| {one_line(seen, fold=False)}")])

    # What happens around it

    def stopped(self) -> None:
        """Take that the user stops the answer."""
        self._transcript.stopped(STOPPED)
        self.advance()

    def silenced(self) -> None:
        """Take that what was not heard yet will not be."""
        self._transcript.silenced(CUT_OFF, self._clock())

    def speech_lost(self, why: str) -> None:
        """Tell that the user said something that will not be answered."""
        self._transcript.speech_lost()
        self.advance()
        super().speech_lost(why)

    def warning(self, text: str) -> None:
        """Tell of something that may need attention."""
        self._end_printed()
        if not self._quiet:
            self._print([("class:warning", "gemini-live: warning:"), ("", f" {one_line(text, fold=False)}")])

    def error(self, text: str) -> None:
        """Tell why the session fails, after all that was said."""
        self._settle()
        self._print([("class:error", "gemini-live: error:"), ("", f" {one_line(text, fold=False)}")])

    def commanded(self, line: str) -> None:
        """Take a command of the user's."""
        self._end_printed()
        self._print([("class:prompt", "> "), ("", escape(line))], always=True)

    def reply(self, text: str) -> None:
        """Answer a command of the user's, on the terminal wherever stderr goes."""
        self._end_printed()
        for line in text.splitlines():
            self._print([("class:reply", escape(line))], always=True)

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Tell what the session amounts to, after all that was said."""
        self._settle()
        super().summary(summary)

    def session_ended(self, exit_code: int) -> None:
        """Print what is left."""
        self._settle()

    # Inside

    def _settle(self) -> None:
        self._end_printed()
        self._transcript.settle(UNFINISHED)
        self.advance()

    def _format_folded(self) -> Fragments:
        n = self._n_printed - PRINTED_LINES
        return [("class:printed", f"| ... ({n:,} more line{'' if n == 1 else 's'})")] if n > 0 else []

    def _end_printed(self) -> None:
        """Tell how much was printed that is not shown: something else follows."""
        if folded := self._format_folded():
            self._add(folded)
        self._n_printed = 0

    def _act(self, line: Fragments) -> None:
        self._end_printed()
        if not self._quiet:
            self._transcript.act(line, self._clock())
            self.advance()

    def _note(self, line: Fragments) -> None:
        self._end_printed()
        self._add(line)

    def _add(self, line: Fragments) -> None:
        if not self._quiet:
            self._transcript.note(line)
            self.advance()

    def _labelled(self, label: str, text: str, *, fold: bool = True) -> None:
        self._note(_label(label, self._fold(text) if fold else one_line(text, fold=False)))

    def _line(self, text: str) -> None:
        self._end_printed()
        self._print([("", text)])

    def _fold(self, text: str) -> str:
        line = one_line(text)
        most = max(40, FOLD_ROWS * self._columns() - len("[result] ... (1,000,000 characters)"))
        return line if len(line) <= most else f"{line[:most]}... ({len(text):,} characters)"

    def _format_piece(self, piece: Piece) -> Fragments:
        fragments: Fragments = []
        if piece.begins:
            fragments += [(_STYLES[piece.speaker], _NAMES[piece.speaker]), ("", " " if piece.text else "")]
        fragments.append(("", _escape_words(piece.text)))
        if piece.mark:
            fragments += [("", " "), ("class:mark", piece.mark)]
        if piece.unheard:
            fragments += [("", " "), ("class:unheard", _escape_words(piece.unheard))]
        return fragments

    def _print(self, line: Fragments, *, always: bool = False) -> None:
        """Print a line, or lines, where stderr goes; what is to be seen `always` goes to the terminal."""
        if always or self._shares_stderr:
            self._print_above([*line, ("", "\n")])
        else:
            self._writer.write(self._stderr, _plain(line))


def _escape_words(text: str) -> str:
    return _OVERRIDES.sub(show_character, escape(text))


def _plain(line: Fragments) -> str:
    return "".join(text for _, text in line) + "\n"


def _label(label: str, text: str, block: str = "") -> Fragments:
    return [("class:label", f"[{label}]"), ("", f" {text}"), ("", block)]


def _format_block(text: str) -> str:
    """Return lines of code or output as they stand below their label, indented; the rest of a long text is counted."""
    lines = escape(text).expandtabs(4).rstrip("\n").split("\n")
    shown = [one_line(line) for line in lines[:BLOCK_LINES]]
    if len(lines) > BLOCK_LINES:
        shown.append(f"... ({len(lines) - BLOCK_LINES:,} more lines)")
    return "".join(f"\n{_INDENT}{line}" for line in shown) if any(shown) else ""
