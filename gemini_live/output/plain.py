"""The conversation for people: the model's words on stdout, everything else on stderr, one line each.

Runs on the event loop. To a terminal, words are written as they come, with who says them; to a pipe or file, each
answer is written when it is complete, exactly as the model said it, ended by a newline. What comes from the network or
from a user's function is never written with its control characters.
"""

import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ..process.streams import BackgroundWriter, is_terminal
from .summary import format_summary

FOLD_CHARS = 400
"""Longer lines of tool calls, results and code are cut, and say so."""
MAX_RECORDED = 50_000
"""Pieces of text on the terminal that are kept, to be saved when the user asks for it."""
NAMES = {"you": "you:", "model": "gemini:"}

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Embeddings, overrides and isolates (https://www.unicode.org/reports/tr9/): with them a link or an argument looks like
another. Where people speak they are part of the words, and so are the marks and joiners that many scripts need."""
_RESET = "\x1b[0m"
_STYLES = {"you": "\x1b[36m", "model": "\x1b[1;32m", "label": "\x1b[35m", "warning": "\x1b[33m", "error": "\x1b[1;31m"}


def escape(text: str) -> str:
    """Return `text` with its control characters, but for newline and tab, and halves of characters made visible."""
    return _UNPRINTABLE.sub(show_character, text)


def show_character(match: re.Match[str]) -> str:
    """Return a matched character as Python writes it."""
    return match[0].encode("unicode_escape").decode("ascii")


def one_line(text: str, *, fold: bool = True) -> str:
    """Return `text` escaped, in the order of its characters, on one line, cut to a readable length unless told."""
    line = _REORDERING.sub(show_character, escape(text)).replace("\n", "\\n")
    return line if not fold or len(line) <= FOLD_CHARS else f"{line[:FOLD_CHARS]}... ({len(line):,} characters)"


def format_call(name: str, args: Mapping[str, Any]) -> str:
    """Return a function call as a person would write it."""
    arguments = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in args.items())
    return f"{name}({arguments})"


class Terminal:
    """Writes a conversation for people."""

    def __init__(
        self,
        writer: BackgroundWriter,
        stdout: TextIO | None,
        stderr: TextIO | None,
        *,
        stdout_is_terminal: bool,
        stdout_color: bool,
        stderr_color: bool,
        quiet: bool,
        verbose: bool,
        is_interactive: bool,
    ) -> None:
        self._writer = writer
        self._stdout, self._stderr = stdout, stderr
        self._streams_words = stdout_is_terminal
        self._stderr_is_terminal = is_terminal(stderr)
        self._stdout_color, self._stderr_color = stdout_color, stderr_color
        self._quiet, self._verbose = quiet, verbose
        self._is_interactive = is_interactive
        """Whether a person types and reads; else it is a script."""
        self._speaker: str | None = None
        """Whose words the unfinished line on the terminal holds."""
        self._record: deque[str] = deque(maxlen=MAX_RECORDED)

    @property
    def record(self) -> str:
        """The conversation as it was shown on the terminal, the newest of it."""
        return self._writer.mask("".join(self._record))

    # What is said

    def session_started(self, facts: Mapping[str, Any]) -> None:
        """Tell what was set up, in one line."""
        parts = [str(facts["model"])]
        if facts["voice"]:
            parts.append(f"voice {facts['voice']}")
        parts.append("tools: " + (", ".join(facts["tools"]) or "none"))
        if facts["screen"]:
            parts.append(str(facts["screen"]))
        parts.extend(facts["sound"])
        self._status("; ".join(parts))

    def asked(self, text: str, *, echo: bool) -> None:
        """Take a question that was sent; `echo`: the user did not type it here."""
        if self._streams_words and echo:
            self._end_line()
            self._say("you", text)
            self._end_line()
        else:
            end = "\n" if self._speaker is not None else ""
            self._keep(f"{end}{NAMES['you']} {escape(text)}\n")
        self._speaker = None  # whoever typed the line has ended the one on the screen

    def heard(self, text: str, *, late: bool) -> None:
        """Take transcribed words of the user."""
        if self._streams_words:
            self._say("you", text)

    def words(self, text: str) -> None:
        """Take words of the model."""
        if self._streams_words:
            self._say("model", text)

    def answered(self, text: str, *, asked: bool, cut_off: bool) -> None:
        """Take a whole answer; `asked`: to a question that was typed."""
        if self._streams_words:
            self._end_line()
        elif text or asked:
            self._writer.write(self._stdout, escape(text) + "\n")
        if cut_off:
            self._labelled("cut off", "the answer was interrupted")

    def restarted(self, text: str) -> None:
        """Take words of an answer that begins anew: they do not count, where they have been seen at all."""
        if self._streams_words:
            self._end_line()
            self._labelled("cut off", f"the answer broke off; it had said: {text}")

    def late_words(self, text: str) -> None:
        """Take words of an answer that was written already."""
        if self._streams_words:
            self._say("model", text)
        else:  # a pipe gets each answer once, and whole
            self._labelled("late words", text)

    def unfinished(self, text: str) -> None:
        """Take words of an answer that will not be whole: a pipe has seen none of them."""
        if not self._streams_words:
            self._labelled("unfinished", text, fold=False)

    # What is done

    def thought(self, text: str) -> None:
        """Take a summary of the model's thinking, which is no part of the conversation."""

    def code(self, language: str, code: str) -> None:
        """Take code that the model runs."""
        self._labelled("code", f"{language.lower()}: {code}")

    def code_result(self, outcome: str, output: str) -> None:
        """Take what the model's code printed."""
        self._labelled("code result", f"{outcome.removeprefix('OUTCOME_').lower()}: {output}")

    def sources(self, queries: Sequence[str], sources: Sequence[tuple[str, str]]) -> None:
        """Take the search queries and the title and link of every source."""
        if queries:
            self._labelled("search", ", ".join(queries))
        for title, uri in sources:
            self._labelled("source", f"{title} {uri}".strip())

    def tool_call(self, call_id: str, name: str, args: Mapping[str, Any]) -> None:
        """Take a function call of the model's."""
        self._labelled("call", format_call(name, args))

    def tool_result(self, call_id: str, name: str, response: Mapping[str, Any], *, failed: bool) -> None:
        """Take what was answered to a call."""
        self._labelled("failed" if failed else "result", f"{name}: {json.dumps(response, ensure_ascii=False)}")

    def tool_cancelled(self, call_id: str, name: str) -> None:
        """Take the end of a call that is not answered."""
        self._labelled("cancelled", name)

    def function_output(self, line: str) -> None:
        """Take a line that a user's function printed."""
        if not self._quiet:
            self._line(one_line(line, fold=False))

    def usage(self, usage: Mapping[str, Any]) -> None:
        """Take token counts, which are for programs."""

    # What happens around it

    def stopped(self) -> None:
        """Take that the user stops the answer, which takes keys to do."""

    def silenced(self) -> None:
        """Take that what was not heard yet of an answer will not be: its words are the same."""

    def speech_lost(self, why: str) -> None:
        """Tell that the user said something that will not be answered."""
        self.warning(why)

    def status(self, text: str) -> None:
        """Tell of something that needs no attention."""
        self._status(text)

    def warning(self, text: str) -> None:
        """Tell of something that may need attention."""
        if not self._quiet:
            self._line(f"{self._styled('warning', 'gemini-live: warning:')} {one_line(text, fold=False)}")

    def error(self, text: str) -> None:
        """Tell why the session fails."""
        self._line(f"{self._styled('error', 'gemini-live: error:')} {one_line(text, fold=False)}")

    def detail(self, text: str) -> None:
        """Take a line that only `--verbose` shows."""
        if self._verbose:
            self._line(one_line(text, fold=False))

    def commanded(self, line: str) -> None:
        """Take a command of the user's: the terminal has shown it as it was typed."""

    def reply(self, text: str) -> None:
        """Answer a command of the user's, in one line or several."""
        for line in text.splitlines():
            self._line(escape(line))

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Tell a person what the session amounts to, and a script where it asks for details."""
        for line in format_summary(summary):
            (self._status if self._is_interactive else self.detail)(line)

    def session_ended(self, exit_code: int) -> None:
        """Finish the line that is open."""
        self._end_line()

    # Inside

    def _say(self, who: str, text: str) -> None:
        if self._speaker != who:
            self._end_line()
            text = text.lstrip()
            if not text:
                return
            name = NAMES[who]
            styled = f"{_STYLES[who]}{name}{_RESET}" if self._stdout_color else name
            self._writer.write(self._stdout, f"{styled} ")
            self._keep(f"{name} ")
            self._speaker = who
        self._writer.write(self._stdout, escape(text))
        self._keep(escape(text))

    def _end_line(self) -> None:
        if self._speaker is not None:
            self._speaker = None
            self._writer.write(self._stdout, "\n")
            self._keep("\n")

    def _keep(self, text: str) -> None:
        """Keep what has been shown, where a person may ask for it."""
        if self._streams_words:
            self._record.append(text)

    def _styled(self, style: str, text: str) -> str:
        return f"{_STYLES[style]}{text}{_RESET}" if self._stderr_color else text

    def _status(self, text: str) -> None:
        if not self._quiet:
            self._line(one_line(text, fold=False))

    def _labelled(self, label: str, text: str, *, fold: bool = True) -> None:
        if not self._quiet:
            line = one_line(text, fold=fold)
            self._line(f"{self._styled('label', f'[{label}]')} {line}")
            self._keep(f"[{label}] {line}\n")

    def _line(self, text: str) -> None:
        if self._stderr_is_terminal:
            self._end_line()
        self._writer.write(self._stderr, f"{text}\n")
