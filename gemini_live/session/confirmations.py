"""Asks the user before a function runs: `run NAME(arguments)? [y/N/always]`.

Runs on the event loop. One question is open at a time; a typed line answers it. No answer in time means no.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ..functions.call import FunctionCaller
from ..output.events import Output, Reply

ANSWER_WITHIN_S = 60.0
"""How long the user may think. Models wait for a result this long."""

YES, NO, ALWAYS = frozenset({"y", "yes"}), frozenset({"", "n", "no"}), "always"


class Confirmations:
    """The questions to the user in one session."""

    def __init__(
        self,
        output: Output,
        *,
        confirms_all: bool,
        has_prompt: bool,
        allowed: Sequence[str] = (),
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        """Begin without a question.

        Args:
            output: Shows the questions.
            confirms_all: True to ask before each function, False to ask before those that want it.
            has_prompt: True if the user can answer.
            allowed: Names of functions that run without a question; `*` stands for any text.
            answer_within_s: How long a question stays open.
        """
        self._output, self._confirms_all, self._has_prompt = output, confirms_all, has_prompt
        self._allowed, self._answer_within_s = allowed, answer_within_s
        self._always: set[str] = set()
        """Functions that run without a question, because the user said so."""
        self._turn = asyncio.Lock()
        self._open: asyncio.Future[str] | None = None
        """Gets the answer to the question that is shown."""
        self._asks_about = ""
        """The function that the question is about."""

    @property
    def question(self) -> str | None:
        """The question that waits for an answer, in short; None if there is none."""
        return None if self._open is None or self._open.done() else f"run {self._asks_about}? [y/N/always]"

    def find_warnings(self, functions: FunctionCaller) -> list[str]:
        """Return what the user should know about the confirmation of these functions, one line each."""
        names = list(functions.sources)
        warnings = [
            f"--allow {pattern}: no function has this name"
            for pattern in self._allowed
            if not any(fnmatchcase(name, pattern) for name in names)
        ]
        refused = [name for name in names if functions.wants_confirmation(name) and not self._is_allowed(name)]
        if refused and not self._has_prompt:
            those = ", ".join(refused)
            warnings.append(f"refused, since there is no prompt to confirm them at: {those}; allow with --allow NAME")
        return warnings

    def _is_allowed(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._allowed)

    async def refuse(self, name: str, args: Mapping[str, Any] | None, *, wants_confirmation: bool) -> str | None:
        """Return why a call must not run, for the model; None if it may run.

        Args:
            name: The function.
            args: The arguments of the call.
            wants_confirmation: True if the function itself asks for a confirmation.
        """
        if not (self._confirms_all or wants_confirmation) or self._is_allowed(name):
            return None
        if not self._has_prompt:
            return f"{name} needs the user's confirmation, and there is no prompt to ask at"
        async with self._turn:
            if name in self._always:
                return None
            self._output.emit(Reply(f"run {_format_call(name, args or {})}? [y/N/always]"))
            self._open, self._asks_about = asyncio.get_running_loop().create_future(), name
            try:
                answer = await asyncio.wait_for(self._open, self._answer_within_s)
            except TimeoutError:
                answer = ""
                self._output.emit(Reply(f"{name} not run: no answer within {self._answer_within_s:g} s"))
            except asyncio.CancelledError:
                self._output.emit(Reply(f"{name} not run: the call was cancelled"))
                raise
            finally:
                self._open = None
        if answer == ALWAYS:
            self._always.add(name)
        return None if answer in YES or answer == ALWAYS else f"the user did not allow the call of {name}"

    def take(self, line: str) -> bool:
        """Read a typed line; return True if it answered the question that is shown."""
        answer = line.strip().lower()
        if self._open is None or self._open.done() or answer not in {*YES, *NO, ALWAYS}:
            return False
        self._open.set_result(answer)
        return True


def _format_call(name: str, args: Mapping[str, Any]) -> str:
    """Return a call as Python writes it, with JSON values. All of it: the user decides by it."""
    return f"{name}({', '.join(f'{key}={json.dumps(value, ensure_ascii=False)}' for key, value in args.items())})"
