"""Decides what the model answers by a function of the user's; the other way is a script (script.py)."""

import asyncio
import inspect
from collections.abc import Sequence
from typing import Any, Protocol

from .actions import Action, AnswerFunction, Play, Question, Say, as_actions, read_wav


class Answerer(Protocol):
    """What decides the answers of the model in place of the simulator's own rules."""

    def heard(self, turn: int, spoken_turn: int) -> str:
        """Return the transcript of a spoken question, by its numbers; empty: the length of the speech."""

    async def answer(self, question: Question, known: dict[str, str]) -> tuple[Action, ...] | None:
        """Return what the model does; None: what it would do without an answerer.

        Args:
            question: What is to be answered.
            known: What was learned in this conversation, by name; an answerer may add to it.
        """


class FunctionAnswerer:
    """Asks a function, sync or async, for each answer."""

    def __init__(self, function: AnswerFunction, heard: Sequence[str] = ()) -> None:
        """Ask `function`; `heard` are the transcripts of the spoken questions, in their order."""
        self._function, self._heard = function, tuple(heard)

    def heard(self, turn: int, spoken_turn: int) -> str:
        """Return the transcript of a spoken question."""
        return self._heard[spoken_turn - 1] if spoken_turn <= len(self._heard) else ""

    async def answer(self, question: Question, known: dict[str, str]) -> tuple[Action, ...] | None:
        """Return what the function says that the model does.

        Raises:
            TypeError: The function returned something that is no answer.
            ConfigError: A sound file cannot be played.
        """
        answer: Any = self._function(question)
        if inspect.isawaitable(answer):
            answer = await answer
        actions = as_actions(answer)
        return None if actions is None else tuple([await _load(action) for action in actions])


async def _load(action: Action) -> Action:
    """Return `action`, with the sound of a file in place of its name."""
    if isinstance(action, Play):
        return Say(action.words, await asyncio.to_thread(read_wav, action.file))
    return action
