"""Answers by rules: the first rule whose conditions hold decides what the model does. Pure.

`script_file` reads the rules from a TOML file.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .actions import Action, Call, FunctionResult, Question, Say, Search, Think, Together

PLACEHOLDER = re.compile(r"\{(text|result(?:\.\w+)*|[A-Za-z_]\w*)\}")
"""What a script may leave to be filled in: the question's text, a result or a field of it, a name of an expression."""


@dataclass(frozen=True)
class Rule:
    """What the model does in one situation."""

    actions: tuple[Action, ...] | None
    """None: the rule only tells what was heard."""
    text: re.Pattern[str] | None = None
    """Found in the typed text or in the transcript."""
    voice: bool | int | None = None
    """True: spoken questions; False: typed ones; a number: the n-th spoken question."""
    turn: int | None = None
    """The n-th question."""
    result: str | None = None
    """The function that has a result; None: the rule is for questions."""
    returns: re.Pattern[str] | Mapping[str, Any] | None = None
    """What the result has to look like: found in its JSON, or a part of it."""
    heard: str = ""
    """The transcript of the spoken question that the rule is for."""

    def is_for_speech(self, turn: int, spoken_turn: int) -> bool:
        """True if the rule tells what is heard in a spoken question with these numbers."""
        return bool(self.heard) and self._is_for(turn, spoken_turn, spoken=True)

    def _is_for(self, turn: int, spoken_turn: int, *, spoken: bool) -> bool:
        if self.turn is not None and self.turn != turn:
            return False
        if isinstance(self.voice, bool):
            return self.voice == spoken
        if self.voice is not None:
            return spoken and self.voice == spoken_turn
        return spoken or not self.heard

    def match(self, question: Question) -> dict[str, Any] | None:
        """Return the values for the placeholders if the rule is for `question`; None if it is not."""
        if not self._is_for(question.turn, question.spoken_turn, spoken=question.spoken):
            return None
        if bool(question.results) != (self.result is not None):
            return None
        values: dict[str, Any] = {"text": question.text}
        if self.text is not None:
            found = self.text.search(question.text)
            if found is None:
                return None
            values |= {name: value for name, value in found.groupdict().items() if value is not None}
        if self.result is not None:
            result = next((result for result in question.results if self._is_answered_by(result)), None)
            if result is None:
                return None
            values["result"] = content_of(result)
        return values

    def _is_answered_by(self, result: FunctionResult) -> bool:
        if result.name != self.result:
            return False
        match self.returns:
            case None:
                return True
            case re.Pattern() as pattern:
                return pattern.search(_to_text(content_of(result))) is not None
            case part:
                return _contains(content_of(result), part) or _contains(result.response, part)


class Script:
    """The rules of one file."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules

    def heard(self, turn: int, spoken_turn: int) -> str:
        """Return the transcript of a spoken question; empty if no rule tells."""
        return next((rule.heard for rule in self._rules if rule.is_for_speech(turn, spoken_turn)), "")

    async def answer(self, question: Question, known: dict[str, str]) -> tuple[Action, ...] | None:
        """Return what the first rule for `question` says; None if there is none.

        The names that an expression finds are added to `known`: later answers may use them.
        """
        for rule in self._rules:
            if rule.actions is None or (values := rule.match(question)) is None:
                continue
            known |= {name: value for name, value in values.items() if name not in ("text", "result")}
            return tuple(fill(action, {**known, **values}) for action in rule.actions)
        return None


def content_of(result: FunctionResult) -> Any:
    """Return what a function returned, without the field in which clients put it."""
    response = result.response
    return next(iter(response.values())) if set(response) in ({"output"}, {"result"}) else response


def fill(action: Action, values: Mapping[str, Any]) -> Action:
    """Return an action with the placeholders of its texts filled in."""
    match action:
        case Say():
            return replace(action, words=_fill_text(action.words, values))
        case Think():
            return replace(action, thought=_fill_text(action.thought, values))
        case Search():
            return replace(action, query=_fill_text(action.query, values))
        case Call():
            return replace(action, args=_fill_value(action.args, values))
        case Together():
            return Together(*(replace(call, args=_fill_value(call.args, values)) for call in action.calls))
    return action


def _fill_value(value: Any, values: Mapping[str, Any]) -> Any:
    match value:
        case dict():
            return {name: _fill_value(item, values) for name, item in value.items()}
        case list():
            return [_fill_value(item, values) for item in value]
        case str() if whole := PLACEHOLDER.fullmatch(value):
            return _find(whole[1], values, whole[0])  # keeps its type
        case str():
            return _fill_text(value, values)
    return value


def _fill_text(text: str, values: Mapping[str, Any]) -> str:
    return PLACEHOLDER.sub(lambda match: _to_text(_find(match[1], values, match[0])), text)


def _find(name: str, values: Mapping[str, Any], missing: str) -> Any:
    """Return the value of a placeholder; a field that a result does not have stays as it is written."""
    first, *fields = name.split(".")
    value = values.get(first, missing)
    for part in fields:
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return missing
    return value


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _contains(value: Any, part: Any) -> bool:
    """True if `value` has at least what `part` has."""
    if isinstance(part, Mapping):
        return isinstance(value, dict) and all(
            name in value and _contains(value[name], item) for name, item in part.items()
        )
    return bool(value == part) and isinstance(value, bool) == isinstance(part, bool)
