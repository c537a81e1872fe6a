"""The conversation for people: the model's words on stdout, everything else on stderr, one line each.

Runs on the event loop. To a terminal, words are written as they come, with who says them; to a pipe or file, each
answer is written when it is complete, exactly as the model said it, ended by a newline. What comes from the network or
from a user's function is never written with its control characters.
"""

import io
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from .streams import BackgroundWriter, is_terminal

FOLD_CHARS = 400
"""Longer lines of tool calls, results and code are cut, and say so."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Embeddings, overrides and isolates (https://www.unicode.org/reports/tr9/): with them a link or an argument looks like
another. Where people speak they are part of the words, and so are the marks and joiners that many scripts need."""
_RESET = "\x1b[0m"
_STYLES = {"you": "\x1b[36m", "model": "\x1b[1;32m", "label": "\x1b[35m", "warning": "\x1b[33m", "error": "\x1b[1;31m"}


def escape(text: str) -> str:
    """Return `text` with its control characters, but for newline and tab, and halves of characters made visible."""
    return _UNPRINTABLE.sub(_show, text)


def _show(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def one_line(text: str, *, fold: bool = True) -> str:
    """Return `text` escaped, in the order of its characters, on one line, cut to a readable length unless told."""
    line = _REORDERING.sub(_show, escape(text)).replace("\n", "\\n")
    return line if not fold or len(line) <= FOLD_CHARS else f"{line[:FOLD_CHARS]}... ({len(line):,} characters)"


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
    ) -> None:
        self._writer = writer
        self._stdout, self._stderr = stdout, stderr
        self._streams_words = stdout_is_terminal
        self._stderr_is_terminal = is_terminal(stderr)
        self._stdout_color, self._stderr_color = stdout_color, stderr_color
        self._quiet, self._verbose = quiet, verbose
        self._speaker: str | None = None
        """Whose words the unfinished line on the terminal holds."""

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
        self._speaker = None  # whoever typed the line has ended the one on the screen

    def heard(self, text: str) -> None:
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
        arguments = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in args.items())
        self._labelled("call", f"{name}({arguments})")

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
            name = {"you": "you:", "model": "gemini:"}[who]
            styled = f"{_STYLES[who]}{name}{_RESET}" if self._stdout_color else name
            self._writer.write(self._stdout, f"{styled} ")
            self._speaker = who
        self._writer.write(self._stdout, escape(text))

    def _end_line(self) -> None:
        if self._speaker is not None:
            self._speaker = None
            self._writer.write(self._stdout, "\n")

    def _styled(self, style: str, text: str) -> str:
        return f"{_STYLES[style]}{text}{_RESET}" if self._stderr_color else text

    def _status(self, text: str) -> None:
        if not self._quiet:
            self._line(one_line(text, fold=False))

    def _labelled(self, label: str, text: str, *, fold: bool = True) -> None:
        if not self._quiet:
            self._line(f"{self._styled('label', f'[{label}]')} {one_line(text, fold=fold)}")

    def _line(self, text: str) -> None:
        if self._stderr_is_terminal:
            self._end_line()
        self._writer.write(self._stderr, f"{text}\n")


class FunctionOutput(io.TextIOBase):
    """Stands in for `sys.stdout` during a session: passes on, line by line, what the user's functions print."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        """Call `on_line` with each line, without its end, from whatever thread prints it."""
        self._on_line = on_line
        self._pending: dict[int, str] = {}
        """By thread, so that functions that run side by side do not write into each other's lines."""

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Take text; a line without an end waits for it."""
        thread = threading.get_ident()
        *lines, rest = (self._pending.pop(thread, "") + text).split("\n")
        if rest:
            self._pending[thread] = rest
        for line in lines:
            self._on_line(line)
        return len(text)

    def finish(self) -> None:
        """Pass on the lines that have not ended."""
        pending, self._pending = self._pending, {}
        for line in pending.values():
            self._on_line(line)
