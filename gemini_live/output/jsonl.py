"""The conversation for programs: one JSON object a line on stdout, streamed, without media.

Runs on the event loop. Every object has `v` (the version of this schema), `type`, `t_s` (seconds since the start) and
`turn` (how many answers had ended before). Within one version, fields and types are added but none is changed or
removed. The README's table of types is made from `EVENT_TYPES`.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from ..process.streams import BackgroundWriter

SCHEMA_VERSION = 1

EVENT_TYPES: dict[str, str] = {
    "session_started": "`model`, `voice`, `tools`, `screen`, `sound`: what was set up",
    "asked": "`text`: a typed line or the initial message was sent",
    "heard": "`text`, `late`: transcribed words of the user, a piece; `late`: of what is being answered already",
    "words": "`text`: words of the model, a piece",
    "answered": "`text`, `asked`, `cut_off`: a whole answer; `asked`: to a typed line; `cut_off`: it was interrupted",
    "restarted": "`text`: what the answer had said does not count, it begins anew",
    "late_words": "`text`: words that came after their answer was written",
    "unfinished": "`text`: words of an answer that was not whole when the session failed or was ended from outside",
    "thought": "`text`: a summary of the model's thinking",
    "code": "`language`, `code`: code that the model runs",
    "code_result": "`outcome`, `output`: what it printed",
    "sources": "`queries`, `sources` (each `title`, `uri`): what was searched, and found",
    "tool_call": "`id`, `name`, `args`: the model calls a function",
    "tool_result": "`id`, `name`, `response`, `failed`: what was answered",
    "tool_cancelled": "`id`, `name`: the call ended without an answer",
    "function_output": "`text`: a line that a function printed",
    "usage": "token counts as the service gave them",
    "status": "`text`: something that happened, for people",
    "warning": "`text`: something that may need attention, for people",
    "error": "`text`: why the session fails, for people",
    "reply": "`text`: the answer to a command that was typed",
    "summary": "`duration_s`, `answers`, `interruptions`, `latency_median_s`, `latency_worst_s`, `audio_in_s`,"
    " `audio_out_s`, `audio_dropped_s`, `underruns`, `xruns`, `reconnects`, `prompt_tokens`, `response_tokens`,"
    " `context_tokens`: what the session amounts to; tokens by modality, of all turns",
    "session_ended": "`exit_code`: always the last, but where the options themselves cannot be read",
}

_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Jsonl:
    """Writes a conversation for programs; warnings and errors go to stderr as well."""

    def __init__(
        self,
        writer: BackgroundWriter,
        stdout: TextIO | None,
        *,
        clock: Callable[[], float],
        warn: Callable[[str], None],
        fail: Callable[[str], None],
        detail: Callable[[str], None],
    ) -> None:
        """Write to `stdout`, and pass warnings, errors and the lines of `--verbose` to the callables too."""
        self._writer, self._stdout = writer, stdout
        self._clock = clock
        self._started_s = clock()
        self._turn = 0
        self._warn, self._fail, self._detail = warn, fail, detail

    def session_started(self, facts: Mapping[str, Any]) -> None:
        """Tell what was set up."""
        self._write("session_started", **facts)

    def asked(self, text: str, *, echo: bool) -> None:
        """Take a question that was sent."""
        self._write("asked", text=text)

    def heard(self, text: str, *, late: bool) -> None:
        """Take transcribed words of the user."""
        self._write("heard", text=text, late=late)

    def words(self, text: str) -> None:
        """Take words of the model."""
        self._write("words", text=text)

    def answered(self, text: str, *, asked: bool, cut_off: bool) -> None:
        """Take a whole answer."""
        self._write("answered", text=text, asked=asked, cut_off=cut_off)
        self._turn += 1

    def restarted(self, text: str) -> None:
        """Take words of an answer that begins anew."""
        self._write("restarted", text=text)

    def late_words(self, text: str) -> None:
        """Take words of an answer that was written already."""
        self._write("late_words", text=text)

    def unfinished(self, text: str) -> None:
        """Take words of an answer that will not be whole."""
        self._write("unfinished", text=text)

    def thought(self, text: str) -> None:
        """Take a summary of the model's thinking."""
        self._write("thought", text=text)

    def code(self, language: str, code: str) -> None:
        """Take code that the model runs."""
        self._write("code", language=language, code=code)

    def code_result(self, outcome: str, output: str) -> None:
        """Take what the model's code printed."""
        self._write("code_result", outcome=outcome, output=output)

    def sources(self, queries: Sequence[str], sources: Sequence[tuple[str, str]]) -> None:
        """Take the search queries and the title and link of every source."""
        self._write("sources", queries=list(queries), sources=[{"title": title, "uri": uri} for title, uri in sources])

    def tool_call(self, call_id: str, name: str, args: Mapping[str, Any]) -> None:
        """Take a function call of the model's."""
        self._write("tool_call", id=call_id, name=name, args=args)

    def tool_result(self, call_id: str, name: str, response: Mapping[str, Any], *, failed: bool) -> None:
        """Take what was answered to a call."""
        self._write("tool_result", id=call_id, name=name, response=response, failed=failed)

    def tool_cancelled(self, call_id: str, name: str) -> None:
        """Take the end of a call that is not answered."""
        self._write("tool_cancelled", id=call_id, name=name)

    def function_output(self, line: str) -> None:
        """Take a line that a user's function printed."""
        self._write("function_output", text=line)

    def usage(self, usage: Mapping[str, Any]) -> None:
        """Take token counts."""
        self._write("usage", **usage)

    def stopped(self) -> None:
        """Take that the user stops the answer, which takes keys to do."""

    def silenced(self) -> None:
        """Take that what was not heard yet of an answer will not be: its words are the same."""

    def speech_lost(self, why: str) -> None:
        """Tell that the user said something that will not be answered."""
        self.warning(why)

    def status(self, text: str) -> None:
        """Tell of something that needs no attention."""
        self._write("status", text=text)

    def warning(self, text: str) -> None:
        """Tell of something that may need attention."""
        self._write("warning", text=text)
        self._warn(text)

    def error(self, text: str) -> None:
        """Tell why the session fails."""
        self._write("error", text=text)
        self._fail(text)

    def detail(self, text: str) -> None:
        """Write a line of `--verbose`, to stderr."""
        self._detail(text)

    def commanded(self, line: str) -> None:
        """Take a command of the user's, who has seen it; programs see the reply."""

    def reply(self, text: str) -> None:
        """Answer a command of the user's."""
        self._write("reply", text=text)

    def summary(self, summary: Mapping[str, Any]) -> None:
        """Take what the session amounts to."""
        self._write("summary", **summary)

    def session_ended(self, exit_code: int) -> None:
        """Write the last line."""
        self._write("session_ended", exit_code=exit_code)

    def _write(self, kind: str, **fields: Any) -> None:
        event = {
            "v": SCHEMA_VERSION,
            "type": kind,
            "t_s": round(self._clock() - self._started_s, 3),
            "turn": self._turn,
            **fields,
        }
        # JSON escapes C0 itself; C1 and DEL would reach a terminal, line separators end a line for many readers, and
        # halves of characters break UTF-8.
        line = json.dumps(event, ensure_ascii=False)
        line = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", line)
        self._writer.write(self._stdout, line + "\n")
