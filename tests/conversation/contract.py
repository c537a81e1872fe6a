"""What the outcomes of a conversation must be, whatever happens: the rules at the top of `outcomes.py`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gemini_live.conversation.outcomes import (
    Answered,
    LateWords,
    ModelSaid,
    Outcome,
    QuestionComplete,
    Restarted,
    SpeechLost,
    Unfinished,
    UserSaid,
)


@dataclass
class _Exchange:
    answer: list[str] = field(default_factory=list)
    is_question_complete: bool = False
    is_lost: bool = False
    is_answered: bool = False


class Contract:
    """Checks outcomes one after the other."""

    def __init__(self) -> None:
        self._exchanges: dict[int, _Exchange] = {}

    def check(self, outcomes: Iterable[Outcome]) -> None:
        """Assert that `outcomes` may follow those that were checked before."""
        for outcome in outcomes:
            number = getattr(outcome, "exchange", None)
            if number is not None:
                assert number > 0
                self._check(outcome, self._exchanges.setdefault(number, _Exchange()))

    def asked(self, exchange: int) -> None:
        """Let more be said in an exchange: its question is asked, perhaps once more on a new connection."""
        self._exchanges.setdefault(exchange, _Exchange()).is_question_complete = False

    def _check(self, outcome: Outcome, exchange: _Exchange) -> None:
        assert not exchange.is_answered or isinstance(outcome, LateWords | SpeechLost), f"{outcome} after the end"
        match outcome:
            case UserSaid():
                assert not exchange.is_question_complete, f"{outcome} after QuestionComplete"
                assert outcome.text
                assert not exchange.answer or outcome.late, f"{outcome} is late, and does not say so"
            case QuestionComplete():
                assert not exchange.is_question_complete, f"{outcome} comes twice"
                exchange.is_question_complete = True
            case ModelSaid(text=text):
                assert text
                exchange.answer.append(text)
            case Restarted(text=text):
                assert text == "".join(exchange.answer)
                exchange.answer.clear()
            case Answered(text=text):
                assert text == "".join(exchange.answer)
                exchange.is_answered = True
            case LateWords():
                assert exchange.is_answered
            case Unfinished(text=text):
                assert text
            case SpeechLost():
                assert not exchange.is_lost
                exchange.is_lost = True
