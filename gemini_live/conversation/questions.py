"""The questions that wait to be sent, and the exchanges that wait for an answer. Pure."""

from collections import deque
from dataclasses import dataclass, field

from .outcomes import Question

MAX_ASKED = 3
"""On how many connections one question is asked."""
MAX_KNOWN_CALLS = 1_000
"""Ids of the calls of one exchange that are remembered: a call that comes twice is run once."""


@dataclass(eq=False, kw_only=True)
class OpenExchange:
    """An exchange that has not ended: what the user typed and said, and what the model has answered so far."""

    number: int
    began_s: float
    """When it was sent or heard; once there is output: when that began."""
    question: Question | None = None
    """`None`: it was only spoken, or the model speaks unasked."""
    heard: list[str] = field(default_factory=list)
    """The transcript of what the user said."""
    words: list[str] = field(default_factory=list)
    """The text of the answer."""
    stray: list[str] = field(default_factory=list)
    """Text that a model which speaks has written instead of saying it."""
    calls: dict[str, None] = field(default_factory=dict)
    """The ids of the calls that the model made for it, the newest last."""
    has_output: bool = False
    """True if there is anything that can be an answer, be it a result that needs none."""
    answered_call: bool = False
    """True if output followed the result of a call."""
    new_line: bool = False
    """True if the next words belong to another server turn."""
    question_is_complete: bool = False
    """True if `QuestionComplete` was returned."""
    is_stopped: bool = False
    """True if the user wants no more of the answer, which the server does not know."""
    is_cut_off: bool = False
    is_answered: bool = False
    reason: str | None = None
    """Why the service ended the turn early."""

    @property
    def text(self) -> str:
        """The text of the answer."""
        return "".join(self.words)

    @property
    def user_text(self) -> str:
        """What the user said and typed."""
        said = "".join(self.heard).strip(), self.question.text if self.question else ""
        return "\n".join(filter(None, said))

    def add_call(self, call_id: str, name: str) -> None:
        """Remember the id of a call, and its function if the exchange has a question."""
        self.calls[call_id] = None
        if len(self.calls) > MAX_KNOWN_CALLS:
            del self.calls[next(iter(self.calls))]
        if self.question is not None and len(self.question.called) < MAX_KNOWN_CALLS:
            self.question.called.setdefault(name)

    def add_words(self, text: str) -> str:
        """Append words to the answer; return them, after a line break if a new server turn needs one."""
        if self.new_line and self.words and not (self.words[-1][-1].isspace() or text[0].isspace()):
            text = f"\n{text}"
        self.new_line = False
        self.words.append(text)
        return text


class Questions:
    """Everything that was asked and whose answer has not begun."""

    def __init__(self) -> None:
        self.queue: deque[Question] = deque()
        """Questions that were not sent on this connection."""
        self.waiting: deque[OpenExchange] = deque()
        """Exchanges that were sent or heard on this connection."""
        self.to_repeat: Question | None = None
        """A question of `waiting` that is to be sent once more on this connection."""
        self._n_exchanges = 0
        self._echo = ""
        """The letters of the last typed line that the service has not echoed as the user's speech."""
        self._was_echo = False
        """True if the last transcript was such an echo."""

    def new_exchange(self, now_s: float) -> OpenExchange:
        """Return an exchange with the next number."""
        self._n_exchanges += 1
        return OpenExchange(number=self._n_exchanges, began_s=now_s)

    @property
    def first(self) -> OpenExchange | None:
        """The exchange that is answered next, if one waits."""
        return self.waiting[0] if self.waiting else None

    @property
    def next_number(self) -> int:
        """The number of the exchange that is answered next."""
        return self.waiting[0].number if self.waiting else self._n_exchanges + 1

    def send(self, question: Question, now_s: float) -> None:
        """Move the first question of the queue to `waiting`; it joins what the user has only said so far."""
        assert question is self.queue[0]
        self.queue.popleft()
        question.times_asked += 1
        self._echo, self._was_echo = _letters(question.text), False
        self.wait(question, now_s)

    def wait(self, question: Question, now_s: float, *, is_known: bool = False) -> None:
        """Let a question wait for its answer; `is_known`: the server has it from the connection before."""
        if self.waiting and self.waiting[-1].question is None and not question.exchange:
            exchange = self.waiting[-1]
        elif question.exchange:
            exchange = OpenExchange(number=question.exchange, began_s=now_s)
            self.waiting.append(exchange)
        else:
            exchange = self.new_exchange(now_s)
            self.waiting.append(exchange)
        exchange.question, question.exchange, exchange.question_is_complete = question, exchange.number, is_known

    def hear(self, text: str, now_s: float) -> OpenExchange:
        """Add what the user said to the newest exchange that waits; return that."""
        if not self.waiting or self.waiting[-1].question_is_complete:
            self.waiting.append(self.new_exchange(now_s))
        self.waiting[-1].heard.append(text)
        return self.waiting[-1]

    def is_echo(self, text: str) -> bool:
        """True if a transcript only spells the next letters of the last typed line, which the service then echoes."""
        letters = _letters(text)
        self._was_echo = self._echo.startswith(letters) if letters else self._was_echo
        if self._was_echo:
            self._echo = self._echo.removeprefix(letters)
        return self._was_echo

    def repeat(self) -> bool:
        """Mark the first question that waits to be sent once more; return False if it was sent twice, or was spoken."""
        question = self.waiting[0].question
        if question is None or question.is_repeated:
            return False
        question.is_repeated = True
        self.to_repeat = question
        return True

    def requeue(self, question: Question) -> None:
        """Put a question that was sent back in front of the queue, to be asked on another connection."""
        question.waits = True  # one after the other, so that no question cuts off the answer before it
        question.is_repeated = False
        self.queue.appendleft(question)

    def lose(self) -> OpenExchange | None:
        """Put every question that waits back in the queue; return the exchange, if any, that was only spoken."""
        spoken = next((exchange for exchange in self.waiting if exchange.question is None), None)
        for exchange in reversed(self.waiting):
            if exchange.question is not None:
                self.requeue(exchange.question)
        self.waiting.clear()
        self.to_repeat = None
        return spoken


def _letters(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return "".join(filter(str.isalnum, text.casefold()))
