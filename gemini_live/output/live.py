"""Writes the session for a person at a prompt: each utterance is printed above the prompt once, when it is complete.

Runs on the event loop, and before the loop starts, one call at a time. `transcript.py` decides the order. The prompt
shows what is not complete yet (`pending`) as it grows. Text is made of fragments, pairs of a style and a text, as
prompt_toolkit has them; this module does not know the library. Longer than 300 lines: it has a case for each event.
"""

from collections.abc import Callable, Iterable
from typing import TextIO

from ..conversation import outcomes
from ..escaping import escape, one_line
from ..frozen import Frozen
from ..process.streams import BackgroundWriter
from . import events
from .events import Event
from .plain import NAMES, Terminal, format_call, format_json
from .status import Fragments
from .transcript import Piece, Role, Transcript

BLOCK_LINES = 12
"""Longer code, and longer output of code, is cut to this many lines."""
FOLD_ROWS = 3
"""Arguments and results of functions are cut to this many rows of the terminal."""
MAX_HELD_LINES = 200
"""With more lines that wait for the end of an utterance, they are printed in its middle."""
PRINTED_LINES = 20
"""How many lines in a row that functions print are shown without `--verbose`; the others are counted."""
CUT_OFF = "[cut off]"
STOPPED = "[stopped]"
UNFINISHED = "[unfinished]"
LATE = "[late words]"
NO_WORDS = "[no words]"

_INDENT = "    "
_STYLES = {Role.USER: "class:you", Role.MODEL: "class:model"}
_NAMES = {Role.USER: NAMES["you"], Role.MODEL: NAMES["model"]}


class _Line(Frozen):
    """A line, or several, that is not a part of an utterance."""

    fragments: Fragments
    always: bool = False
    """True if it goes to the terminal wherever stderr goes."""


class LiveTerminal(Terminal):
    """The writer for a terminal with a prompt."""

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
    ) -> None:
        """Begin with nothing said. Over 40 lines: its arguments and what they mean.

        Args:
            writer: Writes to stderr, if that is not the terminal.
            stdout: The terminal.
            stderr: Receives everything that is not said.
            shares_stderr: True if stderr is the terminal too, so that its lines are printed above the prompt.
            print_above: Prints complete lines above the prompt.
            columns: Returns the width of the terminal.
            queued_s: Returns how many seconds of the model's speech are still to be played.
            clock: Returns the time in seconds.
            quiet: True if only errors are shown beside the conversation.
            verbose: True if every message is shown.
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
        self._transcript: Transcript[_Line] = Transcript()
        self._print_above, self._columns = print_above, columns
        self._queued_s, self._clock = queued_s, clock
        self._shares_stderr = shares_stderr
        self._has_words = True
        """True if answers come with words, so that one without words is marked."""
        self._exchange = 0
        """The exchange of the newest call, which functions print for."""
        self._held_lines: list[_Line] = []
        """Lines outside the conversation that wait because they would split an utterance."""
        self._n_printed = 0
        """How many lines functions have printed since anything else was shown."""

    @property
    def record(self) -> str:
        """The conversation as it was shown, including what is not complete yet."""
        pending = _plain(self._format_items(self._transcript.pending()))
        return super().record + self._writer.mask(pending.removesuffix("\n"))

    def pending(self) -> Fragments:
        """Return everything that waits to be printed, with a line break after each utterance."""
        fragments = self._format_items((*self._transcript.pending(), *self._held_lines))
        if folded := self._format_folded():
            fragments += [*folded, ("", "\n")]
        return fragments

    def _format_items(self, items: Iterable[Piece | _Line]) -> Fragments:
        """Return what of `items` is shown on the terminal, with a line break after each."""
        fragments: Fragments = []
        for item in items:
            if isinstance(item, Piece):
                fragments += [*_format_piece(item), ("", "\n")]
            elif self._shares_stderr or item.always:
                fragments += [*item.fragments, ("", "\n")]
        return fragments

    def emit(self, event: Event) -> None:
        """Show `event`, if a person at a prompt sees it, and print what is complete now."""
        if not isinstance(event, events.FunctionOutput | events.Detail | outcomes.QuestionComplete):
            self._end_printed()
        self._show(event)
        self._print_complete()

    def _show(self, event: Event) -> None:  # noqa: PLR0912, PLR0915 - one case for each event
        """Add `event` to the transcript, or print it. Over 40 lines: one case for each event."""
        transcript, now_s = self._transcript, self._clock()
        match event:
            case events.SessionStarted():
                self._has_words = event.has_words
                super().emit(event)
            case events.Asked():
                transcript.typed(event.exchange, event.text)
            case outcomes.UserSaid():
                transcript.heard(event.exchange, event.text)
            case outcomes.QuestionComplete(exchange=exchange):
                transcript.question_complete(exchange)
            case outcomes.SpeechLost(exchange=exchange):
                transcript.question_complete(exchange or 0)
            case outcomes.ModelSaid():
                transcript.words(event.exchange, event.text, now_s, self._queued_s())
            case outcomes.Answered():
                self._show_answer(event)
            case outcomes.Restarted(exchange=exchange):
                transcript.restarted(exchange, CUT_OFF)
            case events.Stopped(exchange=exchange):
                transcript.stopped(exchange, STOPPED)
            case events.Silenced():
                transcript.silenced(CUT_OFF, now_s)
            case outcomes.LateWords():
                transcript.late_words(event.exchange, event.text, LATE)
            case outcomes.Unfinished():
                pass  # its words are pending
            case events.Code():
                self._act(event.exchange, _label("code", one_line(event.language.lower()), _format_block(event.code)))
            case events.CodeResult():
                outcome = one_line(event.outcome.removeprefix("OUTCOME_").lower())
                self._note(event.exchange, _label("code result", outcome, _format_block(event.output)))
            case events.ToolCall():
                self._exchange = event.exchange
                self._act(event.exchange, _label("call", self._fold(format_call(event.name, event.args))))
            case events.ToolResult():
                text = f"{event.name}: {format_json(event.response)}"
                label = "failed" if event.failed else "progress" if event.continues else "result"
                self._note(event.exchange, _label(label, self._fold(text)))
            case events.ToolCancelled():
                self._note(event.exchange, _label("cancelled", self._fold(event.name)))
            case events.Sources():
                self._show_sources(event)
            case events.FunctionOutput(text=text):
                self._show_printed(text)
            case events.Warning(text=text) if not self._quiet:
                self._print([("class:warning", "gemini-live: warning:"), ("", f" {one_line(text, fold=False)}")])
            case events.Error(text=text):
                transcript.finish(UNFINISHED)
                self._print_complete()
                self._print([("class:error", "gemini-live: error:"), ("", f" {one_line(text, fold=False)}")])
            case events.Commanded(line=line):
                self._print([("class:prompt", "> "), ("", escape(line))], always=True)
            case events.Reply(text=text):
                for line in text.splitlines():
                    self._print([("class:reply", escape(line))], always=True)
            case events.Summary() | events.SessionEnded():
                transcript.finish(UNFINISHED)
                self._print_complete()
                super().emit(event)
            case events.Status() | events.Detail() | events.SoundModeChanged():
                super().emit(event)

    def _show_answer(self, answered: outcomes.Answered) -> None:
        if self._has_words and answered.asked and not (answered.cut_off or answered.text.strip()):
            self._transcript.words(answered.exchange, NO_WORDS, self._clock())
        self._transcript.answered(answered.exchange, CUT_OFF if answered.cut_off else "")

    def _show_sources(self, found: events.Sources) -> None:
        if found.queries:
            self._note(found.exchange, _label("search", self._fold(", ".join(found.queries))))
        for source in found.sources:
            # A link that is cut cannot be followed.
            title = f" {one_line(source.title)}" if source.title else ""
            link = ("class:link", one_line(source.uri, fold=False))
            self._note(found.exchange, [("class:label", "[source]"), ("", f"{title} "), link])

    def _show_printed(self, line: str) -> None:
        """Show a line that a function printed, after the call that it belongs to, or count it."""
        self._n_printed += self._shares_stderr and not (self._verbose or self._quiet)
        if self._n_printed <= PRINTED_LINES:
            # A progress bar writes over its line: show the last state.
            seen = next((part for part in reversed(line.split("\r")) if part), "")
            self._note(self._exchange, [("class:printed", f"| {one_line(seen, fold=False)}")])

    def _end_printed(self) -> None:
        """Show how many lines of functions were not shown: something else follows."""
        if folded := self._format_folded():
            self._note(self._exchange, folded)
        self._n_printed = 0

    def _format_folded(self) -> Fragments:
        n = self._n_printed - PRINTED_LINES
        return [("class:printed", f"| ... ({n:,} more line{'' if n == 1 else 's'})")] if n > 0 else []

    def _act(self, exchange: int, line: Fragments) -> None:
        if not self._quiet:
            self._transcript.act(exchange, _Line(line))

    def _note(self, exchange: int, line: Fragments) -> None:
        if not self._quiet:
            self._transcript.note(exchange, _Line(line))

    def _write_line(self, text: str) -> None:
        self._print([("", text)])

    def _fold(self, text: str) -> str:
        """Return `text` on one line that takes at most `FOLD_ROWS` rows."""
        line = one_line(text)
        most = max(40, FOLD_ROWS * self._columns() - len("[result] ... (1,000,000 characters)"))
        return line if len(line) <= most else f"{line[:most]}... ({len(text):,} characters)"

    def _print_complete(self) -> None:
        """Print what is complete now, and the lines that waited for the end of an utterance."""
        for item in self._transcript.take():
            if not (isinstance(item, Piece) and not item.begins):
                self._print_held()
            line = _Line(_format_piece(item), always=True) if isinstance(item, Piece) else item
            self._keep(_plain(line.fragments))
            self._print_now(line)
        if not self._transcript.is_inside_utterance:
            self._print_held()

    def _print_held(self) -> None:
        for line in self._held_lines:
            self._print_now(line)
        self._held_lines.clear()

    def _print(self, fragments: Fragments, *, always: bool = False) -> None:
        """Print a line outside the conversation: at once, or after the utterance that it would split."""
        line = _Line(fragments, always)
        if self._transcript.is_inside_utterance and (always or self._shares_stderr):
            self._held_lines.append(line)
            if len(self._held_lines) > MAX_HELD_LINES:
                self._print_held()
        else:
            self._print_now(line)

    def _print_now(self, line: _Line) -> None:
        if line.always or self._shares_stderr:
            self._print_above([*line.fragments, ("", "\n")])
        else:
            self._writer.write(self._stderr, _plain(line.fragments))


def _format_piece(piece: Piece) -> Fragments:
    """Return a piece with the name of its speaker and its mark, which holds the words that were not played."""
    fragments: Fragments = []
    if piece.begins:
        fragments += [(_STYLES[piece.speaker], _NAMES[piece.speaker]), ("", " " if piece.text else "")]
    fragments.append(("", escape(piece.text)))
    if piece.unplayed:
        mark = piece.mark.removesuffix("]")
        unplayed = ("class:unheard", escape(piece.unplayed))
        fragments += [("", " "), ("class:mark", f"{mark}, not played: "), unplayed, ("class:mark", "]")]
    elif piece.mark:
        fragments += [("", " "), ("class:mark", piece.mark)]
    return fragments


def _plain(line: Fragments) -> str:
    return "".join(text for _, text in line) + "\n"


def _label(label: str, text: str, block: str = "") -> Fragments:
    return [("class:label", f"[{label}]"), ("", f" {text}"), ("", block)]


def _format_block(text: str) -> str:
    """Return code or output as indented lines to stand below their label; a long text is cut and counted."""
    lines = escape(text).expandtabs(4).rstrip("\n").split("\n")
    shown = [one_line(line) for line in lines[:BLOCK_LINES]]
    if len(lines) > BLOCK_LINES:
        shown.append(f"... ({len(lines) - BLOCK_LINES:,} more lines)")
    return "".join(f"\n{_INDENT}{line}" for line in shown) if any(shown) else ""
