"""Writes the session for people: the model's words on stdout, everything else on stderr, one line each.

Runs on the event loop. On a terminal, words are written as they arrive, with the name of who says them. In a pipe or a
file, each answer is written when it is complete, exactly as the model said it, ended by a newline.
"""

import json
from collections import deque
from collections.abc import Mapping
from typing import Any, TextIO

from ..conversation import outcomes
from ..escaping import escape, one_line
from ..process.streams import BackgroundWriter, is_terminal
from . import events
from .events import Event
from .summary import format_summary

MAX_RECORDED = 50_000
MAX_RECORDED_CHARS = 8 * 1024 * 1024
"""Pieces of text on the terminal that are kept, and their size, to be saved when the user asks for it."""
NAMES = {"you": "you:", "model": "gemini:"}

_RESET = "\x1b[0m"
_STYLES = {"you": "\x1b[36m", "model": "\x1b[1;32m", "label": "\x1b[35m", "warning": "\x1b[33m", "error": "\x1b[1;31m"}


def format_call(name: str, args: Mapping[str, Any]) -> str:
    """Return a function call as a person would write it."""
    return f"{name}({', '.join(f'{key}={format_json(value)}' for key, value in args.items())})"


def format_json(value: Any) -> str:
    """Return a value as JSON, with letters of all scripts as they are."""
    return json.dumps(value, ensure_ascii=False)


class Terminal:
    """The writer for a pipe, a file, and a terminal without a prompt."""

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
        """True if a person types and reads; False: a script."""
        self._speaker: str | None = None
        """Whose words are on the terminal's last line, which is not ended."""
        self._held: list[events.Reply] = []
        """Replies to commands that wait because they would split the answer on the last line."""
        self._record: deque[str] = deque()
        self._n_recorded_chars = 0

    @property
    def record(self) -> str:
        """The newest part of the conversation as it was shown on the terminal."""
        return self._writer.mask("".join(self._record))

    def emit(self, event: Event) -> None:  # noqa: PLR0912, PLR0915 - one case for each event
        """Write `event`, if people see it. Over 40 lines: one case for each event."""
        match event:
            case events.SessionStarted():
                self._write_status(format_start(event))
            case events.Asked():
                self._write_question(event)
            case outcomes.UserSaid(text=text):
                self._stream("you", text)
            case outcomes.ModelSaid(text=text):
                self._stream("model", text)
            case outcomes.Answered():
                self._write_answer(event)
            case outcomes.Restarted(text=text) if self._streams_words:
                self._end_line()
                self._write_labelled("cut off", f"the answer broke off; it had said: {text}")
            case outcomes.LateWords(text=text) if self._streams_words:
                self._stream("model", text)
            case outcomes.LateWords(text=text):  # a pipe gets each answer once
                self._write_labelled("late words", text)
            case outcomes.Unfinished(text=text) if not self._streams_words:
                self._write_labelled("unfinished", text, fold=False)
            case events.Code(language=language, code=code):
                self._write_labelled("code", f"{language.lower()}: {code}")
            case events.CodeResult(outcome=outcome, output=output):
                self._write_labelled("code result", f"{outcome.removeprefix('OUTCOME_').lower()}: {output}")
            case events.Sources(queries=queries, sources=sources):
                if queries:
                    self._write_labelled("search", ", ".join(queries))
                for source in sources:
                    self._write_labelled("source", f"{source.title} {source.uri}".strip())
            case events.ToolCall(name=name, args=args):
                self._write_labelled("call", format_call(name, args))
            case events.ToolResult(name=name, response=response, failed=failed, continues=continues):
                label = "failed" if failed else "progress" if continues else "result"
                self._write_labelled(label, f"{name}: {format_json(response)}")
            case events.ToolCancelled(name=name):
                self._write_labelled("cancelled", name)
            case events.FunctionOutput(text=text) if not self._quiet:
                self._write_line(one_line(text, fold=False))
            case events.Status(text=text):
                self._write_status(text)
            case events.Warning(text=text) if not self._quiet:
                self._write_line(f"{self._style('warning', 'gemini-live: warning:')} {one_line(text, fold=False)}")
            case events.Error(text=text):
                self._write_line(f"{self._style('error', 'gemini-live: error:')} {one_line(text, fold=False)}")
            case events.Detail(text=text):
                self._write_detail(text)
            case events.SoundModeChanged(mode=mode):
                self._write_detail(f"sound: {mode}")
            case events.Reply() if self._speaker == "model":
                self._held.append(event)
            case events.Reply():
                self._write_reply(event)
            case events.Summary():
                for line in format_summary(event):
                    (self._write_status if self._is_interactive else self._write_detail)(line)
            case events.SessionEnded():
                self._end_line()
                self._write_held()

    def _write_question(self, asked: events.Asked) -> None:
        if self._streams_words and not asked.typed:
            self._end_line()
            self._stream("you", asked.text)
            self._end_line()
        else:
            end = "\n" if self._speaker is not None else ""
            self._keep(f"{end}{NAMES['you']} {escape(asked.text)}\n")
        self._speaker = None  # the Enter key ended the terminal's line

    def _write_answer(self, answered: outcomes.Answered) -> None:
        if self._streams_words:
            self._end_line()
        elif answered.text or answered.asked:
            self._writer.write(self._stdout, escape(answered.text) + "\n")
        if answered.cut_off:
            self._write_labelled("cut off", "the answer was interrupted")
        self._write_held()

    def _write_reply(self, reply: events.Reply) -> None:
        for line in reply.text.splitlines():
            self._write_line(escape(line))

    def _write_held(self) -> None:
        """Write the replies that waited for the end of an answer."""
        for reply in self._held:
            self._write_reply(reply)
        self._held.clear()

    def _stream(self, who: str, text: str) -> None:
        """Write words to a terminal, after the name of the speaker if the speaker has changed."""
        if not self._streams_words:
            return
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
        """End the last line on the terminal, if it is incomplete."""
        if self._speaker is not None:
            self._speaker = None
            self._writer.write(self._stdout, "\n")
            self._keep("\n")

    def _keep(self, text: str) -> None:
        """Add `text` to the record, if a person may ask for it."""
        if self._streams_words:
            self._record.append(text)
            self._n_recorded_chars += len(text)
            while len(self._record) > MAX_RECORDED or self._n_recorded_chars > MAX_RECORDED_CHARS:
                self._n_recorded_chars -= len(self._record.popleft())

    def _style(self, style: str, text: str) -> str:
        return f"{_STYLES[style]}{text}{_RESET}" if self._stderr_color else text

    def _write_status(self, text: str) -> None:
        if not self._quiet:
            self._write_line(one_line(text, fold=False))

    def _write_detail(self, text: str) -> None:
        if self._verbose:
            self._write_line(one_line(text, fold=False))

    def _write_labelled(self, label: str, text: str, *, fold: bool = True) -> None:
        if not self._quiet:
            line = one_line(text, fold=fold)
            self._write_line(f"{self._style('label', f'[{label}]')} {line}")
            self._keep(f"[{label}] {line}\n")

    def _write_line(self, text: str) -> None:
        """Write a line to stderr; on a terminal, end an incomplete line first."""
        if self._stderr_is_terminal:
            self._end_line()
        self._writer.write(self._stderr, f"{text}\n")


def format_start(started: events.SessionStarted) -> str:
    """Return the start line: the server, if it is not Google's, the model, and what was set up."""
    parts = [started.server] if started.server else []
    parts.append(started.model)
    if started.voice:
        parts.append(f"voice {started.voice}")
    parts.append("tools: " + (", ".join(started.tools) or "none"))
    if started.screen:
        parts.append(started.screen)
    return "; ".join([*parts, *started.sound])
