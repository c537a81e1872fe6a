"""`conversation.py` against a model of the truth: a server that answers as the protocol allows, and any user.

The server is a generator that waits (`yield seconds`) and sends; `World` moves the time from one thing that happens to
the next, does what a session does, and compares what the conversation hands out with what the server really said. Every
word names what it answers, so that one in the wrong place shows.

Where an order can be read in two ways, and nobody could know which is meant, the server keeps to the likely one: the
comments that begin with "Ambiguous" say where.
"""

import copy
import math
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import Enum, auto

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gemini_live.conversation.conversation import MAX_ASKED, Conversation
from gemini_live.conversation.outcomes import (
    Answered,
    Exchange,
    LateWords,
    Notice,
    Outcome,
    Question,
    Restarted,
    Silence,
    SpeechLost,
)
from gemini_live.conversation.timings import Timings
from tests.conversation.contract import Contract

TIMINGS = Timings()
SETTLED_S = 2 * TIMINGS.trailing_words_s
"""After this, no answer waits for trailing words."""
LONGEST_END_S = 100.0
"""Within this, when everything has been played, a conversation that nothing more happens to comes to an end."""


class Kind(Enum):
    """Where the user's words come from."""

    PIPE = auto()
    TERMINAL = auto()
    """Typed lines, and a microphone."""
    FILE = auto()
    """Lines from a pipe, then speech."""


class Shape(Enum):
    """How a turn goes."""

    PLAIN = auto()
    EMPTY = auto()
    TOO_EARLY = auto()
    """With a `turnComplete` in the middle."""
    CALL = auto()
    SILENT_CALL = auto()
    CANCELLED_CALL = auto()
    """By the server itself, which makes it again."""
    TALK_DURING_CALL = auto()
    SPURIOUS = auto()
    """Interrupted by nobody, and begun anew."""
    SPURIOUS_END = auto()
    """Interrupted by nobody, and nothing follows."""
    NEVER_ENDS = auto()
    """The server falls silent for good."""


class End(Enum):
    """Whether a turn has its `turnComplete`."""

    ON_TIME = auto()
    LATE = auto()
    MISSING = auto()


@dataclass(frozen=True)
class Plan:
    """What the server makes of one question."""

    shape: Shape
    end: End
    n_pieces: int
    words_first: bool
    pause_s: float
    speech_s: float
    """Of each piece."""
    end_delay_s: float
    """From the end of playing to the end of the turn."""
    trailing_s: float | None
    """When the last words come, after the end of the turn."""
    late_words: bool
    """Whether there are words even later."""
    call_s: float
    """How long the function takes."""
    ends_first_turn: bool
    """Whether a turn that calls or is interrupted has a `turnComplete` of its own."""
    heard_late: bool
    """Whether what the user said is transcribed as late as can be."""
    gives_handle: bool


PLANS = st.builds(
    Plan,
    shape=st.sampled_from([Shape.PLAIN, *Shape]),
    end=st.sampled_from([End.ON_TIME, *End]),
    n_pieces=st.integers(1, 3),
    words_first=st.booleans(),
    pause_s=st.sampled_from([0.0, 0.05, 0.4, 3.0]),
    speech_s=st.sampled_from([0.0, 0.5, 4.0, 30.0]),
    end_delay_s=st.sampled_from([0.0, 0.3, 4.5]),
    trailing_s=st.sampled_from([None, 0.0, 0.5, 0.9]),
    late_words=st.booleans(),
    call_s=st.sampled_from([0.0, 0.5, 8.0, 100.0]),
    ends_first_turn=st.booleans(),
    heard_late=st.booleans(),
    gives_handle=st.booleans(),
)
STEPS_S = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0])


@dataclass(eq=False)
class Ask:
    """A typed line or an utterance, and what is true about it."""

    name: str
    question: Question | None
    plan: Plan
    times_asked: int = 0
    said: list[str] = field(default_factory=list)
    """By the server, since its answer last began."""
    n_words: int = 0
    heard: str = ""
    """The transcript of an utterance, so far."""
    was_heard_late: bool = False
    is_complete: bool = False
    """The server has completed its answer, or the user has cut it off: it is not to be asked again."""
    was_interrupted: bool = False
    is_settled: bool = False
    """Its answer was handed out."""
    is_lost: bool = False
    """It was spoken, and a drop came before its answer was complete."""

    @property
    def text(self) -> str:
        """What a history tells of it."""
        return self.question.text if self.question else self.heard


class CutOffError(Exception):
    """The turn that is going on is cut off by the user."""


Script = Generator[float]
"""Yields for how many seconds it waits."""


class Server:
    """The server of one connection."""

    def __init__(self, world: "World", knows: list[Ask]) -> None:
        self.world = world
        self.knows = knows
        """What it would go on with if it were resumed now."""
        self.inbox: deque[Ask] = deque()
        self.present: Ask | None = None
        """What it answers."""
        self.has_begun = False
        """Whether anything of that was sent."""
        self.begun_s = -math.inf
        self.turn_is_open = False
        self.is_generating = False
        """Whether it is in the middle of its sound."""
        self.yields_to_user = False
        """What the user says or types is answered next, without an interruption."""
        self.sound_first = False
        """Ambiguous: words that come first, after a turn without an end, could be its last ones."""
        self.lacked_end = False
        self.owes_end = False
        self.open_calls: dict[str, bool] = {}
        """Whether each has its result."""
        self.last_sent_s = -math.inf
        self.wakes_s = math.inf
        self.is_mute = False
        self._is_running = False
        self._script = self._run()
        self.resume()

    # What happens to it

    def receive(self, ask: Ask, *, cuts: bool) -> None:
        """Take something to answer; `cuts`: it interrupts what is being answered."""
        self.inbox.append(ask)
        if self._is_running or self.is_mute:
            return
        if self.present is None:
            self.resume()
        elif cuts or self.yields_to_user:
            self.resume(CutOffError())

    def take_result(self, call_id: str) -> None:
        self.open_calls[call_id] = True
        if self.wakes_s == math.inf and not self.is_mute:
            self.resume()

    def resume(self, error: Exception | None = None) -> None:
        self._is_running = True
        pause_s = next(self._script) if error is None else self._script.throw(error)
        self._is_running = False
        self.wakes_s = self.world.now_s + pause_s

    # What it does

    def _run(self) -> Script:
        while True:
            while not self.inbox:
                yield math.inf
            ask = self.present = self.inbox.popleft()
            self.has_begun = self.turn_is_open = self.is_generating = False
            self.open_calls.clear()
            try:
                yield 0.3 if ask.question else 1.1
                yield from self._answer(ask)
                self.knows.append(ask)
                self.present = None
                yield from self._come_after(ask)
            except CutOffError:
                self.knows.append(ask)
                yield from self._end_cut_off(ask)
                self.present = None
            if ask.plan.gives_handle:
                self.world.give_handle(self.knows)

    def _answer(self, ask: Ask) -> Script:  # noqa: PLR0912 - one branch a shape
        plan = ask.plan
        match plan.shape:
            case Shape.EMPTY if not self.sound_first:
                if self.lacked_end:  # Ambiguous: else its end could be the one that is still missing
                    self._generation_complete()
                ask.is_complete = True
                self._turn_complete()
                return
            # Ambiguous: when another line was sent, what goes on could be the answer to that.
            case Shape.TOO_EARLY if not self.inbox:
                yield from self._say(ask)
                if not self.inbox:
                    if self.lacked_end:  # Ambiguous: else this end could be the one that is still missing
                        self._generation_complete()
                    self._turn_complete()
                    yield from self._yield_to_user(0.2)
            case Shape.CALL:
                yield from self._call(ask, "call")
            case Shape.SILENT_CALL:
                yield from self._call(ask, "call", silent=True)
                ask.is_complete = True
                if not plan.ends_first_turn:
                    self._turn_complete()
                return
            case Shape.CANCELLED_CALL:
                yield from self._call(ask, "cancelled", cancelled=True)
                self.world.expect_restart(ask)
                yield from self._call(ask, "call")
            case Shape.TALK_DURING_CALL:
                yield from self._talk_during_call(ask)
            # Ambiguous: likewise.
            # Ambiguous, too: while an end is missing, that of the interrupted turn could be it.
            case Shape.SPURIOUS if not self.inbox and not self.owes_end:
                yield from self._say(ask)
                if not self.inbox:
                    yield from self._be_interrupted(ask, 4.0)
                    self.world.expect_restart(ask)
            case Shape.SPURIOUS_END if not self.inbox and not self.owes_end:
                yield from self._say(ask)
                yield from self._be_interrupted(ask, 6.0)
                return
            case Shape.NEVER_ENDS:
                self.is_mute = True
                if plan.words_first:
                    self._sound(plan.speech_s)
                while True:
                    yield math.inf
        yield from self._say(ask)
        self._generation_complete()
        yield from self._play(plan.end_delay_s)
        if plan.end is End.ON_TIME:
            ask.is_complete = True
            self._turn_complete()
            return
        self.lacked_end = True
        if plan.end is End.LATE and self.world.lines_cut:
            yield 8.0  # and until then, it can be cut off
            self.send(lambda c, t: c.turn_completed(t))
        else:
            self.sound_first = True
            self.owes_end = plan.end is End.LATE

    def _say(self, ask: Ask) -> Script:
        for i in range(ask.plan.n_pieces):
            # Ambiguous: words before the sound could still belong to the answer before.
            settled = ask.question is not None or self.world.now_s - self.last_sent_s > SETTLED_S
            words_first = ask.plan.words_first and not self.sound_first and (settled or i > 0)
            if words_first:
                self._word(ask)
            self._sound(ask.plan.speech_s)
            self._hear_late(ask)
            if not words_first:
                self._word(ask)
            if ask.plan.words_first:
                self._send_owed_end()
            yield ask.plan.pause_s

    def _hear_late(self, ask: Ask) -> None:
        """Transcribe the rest of what was said when the answer to it has begun."""
        if ask.question is None and ask.plan.heard_late and not ask.was_heard_late:
            ask.was_heard_late = True
            self.world.hear(ask)

    def _play(self, more_s: float) -> Script:
        yield max(0.0, self.world.speech_ends_s - self.world.now_s) + more_s

    def _be_interrupted(self, ask: Ask, seconds: float) -> Script:
        """Be interrupted by nobody."""
        ask.was_interrupted = True
        self.world.interrupt()
        if ask.plan.ends_first_turn:
            self._word(ask)
            self._turn_complete()
        else:
            self.sound_first = self.lacked_end = True
        yield from self._yield_to_user(seconds)

    def _yield_to_user(self, seconds: float) -> Script:
        self.yields_to_user = True
        yield seconds
        self.yields_to_user = False

    def _call(self, ask: Ask, name: str, *, silent: bool = False, cancelled: bool = False) -> Script:
        call_id = f"{ask.name} {name}"
        self._open_call(call_id)
        self._hear_late(ask)
        if not cancelled:
            self.world.run_function(call_id, ask.plan.call_s, silent=silent)
        if ask.plan.ends_first_turn:
            yield 0.05
            if self.lacked_end:  # Ambiguous: else its end could be the one that is still missing
                self._generation_complete()
            self._turn_complete()
        if cancelled:
            yield 12.0
            if self.inbox:
                raise CutOffError
            ask.was_interrupted = True
            self.lacked_end |= self.turn_is_open
            self._cancel_call(call_id)
            yield from self._yield_to_user(0.5)
            return
        while not self.open_calls[call_id]:
            yield math.inf
        del self.open_calls[call_id]
        if not silent:
            yield 0.5

    def _talk_during_call(self, ask: Ask) -> Script:
        call_id = f"{ask.name} call"
        self._open_call(call_id)
        self._hear_late(ask)
        # Ambiguous: talk that begins after the result could be what follows it.
        self.world.run_function(call_id, ask.plan.call_s + 0.1, silent=False)
        yield from self._say(ask)
        self._generation_complete()
        yield from self._play(0.0)
        self._turn_complete()
        while not self.open_calls[call_id]:
            yield math.inf
        del self.open_calls[call_id]
        yield 2.0

    def _end_cut_off(self, ask: Ask) -> Script:
        """End the turn because of what has come into the inbox."""
        cause = self.inbox[0]
        heard_last = cause.question is None and cause.plan.heard_late
        calls = [call_id for call_id, has_result in self.open_calls.items() if not has_result]
        if not self.yields_to_user:
            ask.was_interrupted = True
            if ask.said or not calls or ask.plan.words_first:  # else taking the calls back is all
                self.turn_is_open = True
                self.world.interrupt()
        self.yields_to_user = False
        for call_id in calls:
            self._cancel_call(call_id)
        if cause.question is None and not heard_last:
            self.world.hear(cause)
        if self.turn_is_open:
            if self.is_generating and not self.sound_first:
                self._word(ask)
            self._turn_complete()
        self.sound_first = False
        if cause.question is None and heard_last:
            yield 0.5
            self.world.hear(cause)
        ask.is_complete = True

    def _come_after(self, ask: Ask) -> Script:
        """Send what comes after the end of a turn, unless the user goes on: then nobody could tell whose it is."""
        if self.owes_end:
            yield 8.0
            if not self.inbox:
                self._send_owed_end()
        elif ask.is_complete and ask.said:
            if ask.plan.trailing_s is not None:
                yield ask.plan.trailing_s
                if not self.inbox and not ask.is_settled:
                    self._word(ask)
            if ask.plan.late_words:
                yield 1.5
                if not self.inbox and ask.is_settled:
                    self._word(ask, late=True)

    # What it sends

    def send(self, act: Callable[[Conversation, float], list[Outcome] | None]) -> None:
        self.last_sent_s = self.world.now_s
        if not self.has_begun:
            self.has_begun, self.begun_s = True, self.world.now_s
        self.world.message(act)

    def _word(self, ask: Ask, *, late: bool = False) -> None:
        ask.n_words += 1
        word = f"{ask.name}.{ask.n_words} "
        if late:
            self.world.expected_late = word
        else:
            ask.said.append(word)
        self.send(lambda c, t: c.words_received(word, t))

    def _sound(self, seconds: float) -> None:
        self.sound_first = False
        self.turn_is_open = self.is_generating = True
        self.world.speech_ends_s = max(self.world.speech_ends_s, self.world.now_s) + seconds
        self.send(lambda c, t: c.output_received(t, speech_s=seconds))

    def _generation_complete(self) -> None:
        self._send_owed_end()  # Ambiguous: later, it would be taken for the end of this turn
        self.is_generating = False
        self.send(lambda c, t: c.generation_completed(t))

    def _turn_complete(self) -> None:
        self._send_owed_end()
        self.turn_is_open = False
        self.send(lambda c, t: c.turn_completed(t))

    def _send_owed_end(self) -> None:
        if self.owes_end:
            self.owes_end = False
            self.send(lambda c, t: c.turn_completed(t))

    def _open_call(self, call_id: str) -> None:
        self.open_calls[call_id] = False
        self.turn_is_open = True
        self.send(lambda c, t: c.call_opened(call_id, t))

    def _cancel_call(self, call_id: str) -> None:
        del self.open_calls[call_id]
        self.world.functions.pop(call_id, None)
        self.send(lambda c, t: c.call_cancelled(call_id, t))


class World:
    """The user, the client around the conversation, the time, and the truth."""

    def __init__(self, kind: Kind, *, plays: bool, lines_cut: bool, turns: int | None) -> None:
        self.contract = Contract()
        self.kind = kind
        self.lines_cut = lines_cut
        """Whether a typed line interrupts the model, as speech does."""
        self.turns = turns
        self.conversation = Conversation(plays=plays, words_trail=True, turns=turns)
        self.conversation.hears_user = kind is not Kind.PIPE
        self.now_s = 1000.0
        self.speech_ends_s = 0.0
        self.asks: list[Ask] = []
        self.settled: list[Ask] = []
        """In the order in which the answers were handed out."""
        self.told: list[Exchange] = []
        """The same, as a history tells it."""
        self.functions: dict[str, tuple[float, bool]] = {}
        """When each function that runs returns, and whether it does so silently."""
        self.handles: dict[str, list[Ask]] = {}
        self.expected_restart: str | None = None
        self.expected_late: str | None = None
        self.has_given_up = False
        self.n_not_cut_off = 0
        self.server = Server(self, [])
        self.conversation.connect()

    # The user

    def type(self, plan: Plan) -> None:
        name = f"q{len(self.asks)}"
        question = self.conversation.add_question(name, waits=self.kind is not Kind.TERMINAL)
        self.asks.append(Ask(name=name, question=question, plan=plan))
        self.step([])

    def speak(self, plan: Plan) -> None:
        ask = Ask(name=f"u{len(self.asks)}", question=None, plan=plan)
        self.asks.append(ask)
        if self.server.present is None:
            self.hear(ask)
        self.server.receive(ask, cuts=True)

    def end_inputs(self) -> None:
        self.conversation.inputs_ended = True
        if self.kind is not Kind.PIPE:
            self.conversation.audio_ended(self.now_s, by_hand=self.kind is Kind.TERMINAL)
        self.step([])

    @property
    def open_lines(self) -> list[Ask]:
        """The typed lines that have no answer yet."""
        return [ask for ask in self.asks if ask.question and not ask.is_settled]

    # The client

    def message(self, act: Callable[[Conversation, float], list[Outcome] | None]) -> None:
        self.conversation.message_received(self.now_s)
        self.step(act(self.conversation, self.now_s) or [])

    def step(self, outcomes: list[Outcome]) -> None:
        """Do what a session does after everything that happens."""
        outcomes = outcomes + self.conversation.tick(self.now_s)
        self.contract.check(outcomes)
        for outcome in outcomes:
            self._check(outcome)
        while not self.is_over and (question := self.conversation.next_question()) is not None:
            ask = next(ask for ask in self.asks if ask.question is question)
            assert not ask.is_complete, f"{ask.name} is asked again, and was answered"
            assert not ask.is_settled
            assert ask.times_asked < MAX_ASKED
            ask.times_asked += 1
            ask.said.clear()
            ask.was_interrupted = False
            outcomes = self.conversation.asked(question, self.now_s)
            self.contract.check(outcomes)
            self.contract.asked(question.exchange)
            for outcome in outcomes:
                self._check(outcome)
            self.server.receive(ask, cuts=self.lines_cut)

    def run_function(self, call_id: str, seconds: float, *, silent: bool) -> None:
        self.functions[call_id] = (self.now_s + seconds, silent)

    def drop(self, *, early_handle: bool) -> None:
        """Lose the connection and make another."""
        open_asks = [ask for ask in self.asks if not ask.is_complete and not ask.is_settled]
        said = [ask for ask in open_asks if ask.question and ask.times_asked and ask.said]
        restarts = ["".join(ask.said) for ask in said]
        self.functions.clear()
        outcomes = self.conversation.connection_lost(self.now_s)
        self.contract.check(outcomes)
        for outcome in outcomes:
            if isinstance(outcome, Restarted):
                assert outcome.text in restarts
            else:
                self._check(outcome)
        for ask in open_asks:
            if not ask.question:
                ask.is_lost = True
                if not ask.is_settled:
                    ask.is_complete = True
        too_often = self.conversation.asked_too_often
        if too_often is not None:
            assert too_often.times_asked == MAX_ASKED
            self.has_given_up = True
            return
        self._reconnect(early_handle=early_handle)

    def _reconnect(self, *, early_handle: bool) -> None:
        opening = self.conversation.connect()
        if opening.handle is not None:
            knows = list(self.handles[opening.handle])
            forgotten = [ask.name for ask in self.settled if ask not in knows and not ask.is_lost]
            assert not forgotten, "a handle is resumed that does not know of these"
            early = knows
        else:
            knows = list(self.settled)
            assert list(opening.history) == self.told
            early = []
        self.server = Server(self, knows)
        if early_handle:
            self.give_handle(early)
        self.step([])

    # The server's doings that the world takes part in

    def hear(self, ask: Ask) -> None:
        """Transcribe a piece of an utterance."""
        piece = f"{ask.name} heard"
        ask.heard += piece
        self.server.send(lambda c, t: c.heard(piece, t))

    def interrupt(self) -> None:
        self.speech_ends_s = self.now_s
        self.server.send(lambda c, t: c.interrupted(t))

    def give_handle(self, knows: list[Ask]) -> None:
        handle = f"handle {len(self.handles)}"
        self.handles[handle] = list(knows)
        self.conversation.resumption_updated(handle, resumable=True)

    def expect_restart(self, ask: Ask) -> None:
        """What the server has said to `ask` does not count: it begins anew."""
        self.expected_restart = "".join(ask.said) or None
        ask.said.clear()
        ask.was_interrupted = False

    # The time

    def advance(self, seconds: float) -> None:
        """Let everything happen that happens within `seconds`, in its order."""
        end_s = self.now_s + seconds
        while not self.is_over and (when_s := self._next_s()) <= end_s:
            self.now_s = max(self.now_s, when_s)
            self._happen()
        self.now_s = max(self.now_s, end_s)

    def _next_s(self) -> float:
        deadline_s = self.conversation.deadline_s()
        return min(
            self.server.wakes_s,
            math.inf if deadline_s is None else deadline_s,
            *(returns_s for returns_s, _ in self.functions.values()),
            math.inf,
        )

    def _happen(self) -> None:
        due = [call_id for call_id, (returns_s, _) in self.functions.items() if returns_s <= self.now_s]
        if due:
            _, silent = self.functions.pop(due[0])
            self.step(self.conversation.call_closed(due[0], self.now_s, answered=not silent))
            self.server.take_result(due[0])
        elif self.server.wakes_s <= self.now_s:
            self.server.resume()
        else:
            self.step([])

    @property
    def is_over(self) -> bool:
        return self.has_given_up or self.conversation.is_over

    # The truth

    def _check(self, outcome: Outcome) -> None:
        match outcome:
            case Answered():
                self._check_answer(outcome)
            case Restarted():
                assert outcome.text == self.expected_restart
                self.expected_restart = None
            case LateWords():
                assert outcome.text == self.expected_late
                self.expected_late = None
                last = self.told.pop()
                self.told.append(Exchange(last.user, last.model + outcome.text))
            case Notice() | SpeechLost():
                assert self.kind is not Kind.PIPE
            case Silence():
                assert self.server.is_mute
                self.drop(early_handle=False)

    def _check_answer(self, answered: Answered) -> None:
        ask = self._find(answered)
        assert not ask.is_settled, f"{ask.name} is answered twice"
        assert answered.text == "".join(ask.said)
        if answered.cut_off:
            assert ask.was_interrupted or ask.question is None
        else:
            self.n_not_cut_off += 1
        ask.is_settled = True
        if ask.question:
            assert ask is min([*self.open_lines, ask], key=self.asks.index), "an answer has overtaken another"
        self.settled.append(ask)
        if ask.text or answered.text:
            self.told.append(Exchange(ask.text, answered.text))

    def _find(self, answered: Answered) -> Ask:
        if answered.asked:
            return next(ask for ask in self.asks if ask.question and ask.question.exchange == answered.exchange)
        name = answered.text.partition(".")[0]
        spoken = [ask for ask in self.asks if not ask.question and not ask.is_settled and not ask.is_lost]
        return next(ask for ask in spoken if (ask.name == name if name else not ask.said))


class ConversationMachine(RuleBasedStateMachine):
    """Any user, any server, any drop."""

    world: World

    @initialize(
        kind=st.sampled_from(Kind),
        plays=st.booleans(),
        lines_cut=st.booleans(),
        turns=st.sampled_from([None, None, None, 1, 3]),
    )
    def begin(self, kind: Kind, plays: bool, lines_cut: bool, turns: int | None) -> None:
        self.world = World(kind, plays=plays, lines_cut=lines_cut, turns=turns)

    # Rules

    @precondition(lambda self: self.may_type)
    @rule(plan=PLANS, wait_s=STEPS_S)
    def type(self, plan: Plan, wait_s: float) -> None:
        self.world.type(plan)
        self.world.advance(wait_s)

    @precondition(lambda self: self.may_speak)
    @rule(plan=PLANS, wait_s=STEPS_S)
    def speak(self, plan: Plan, wait_s: float) -> None:
        self.world.speak(plan)
        self.world.advance(wait_s)

    @rule(seconds=STEPS_S)
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @precondition(lambda self: self.world.server.has_begun and not self.world.is_over)
    @rule(early_handle=st.booleans())
    def drop(self, early_handle: bool) -> None:
        self.world.drop(early_handle=early_handle)

    @precondition(lambda self: len(self.world.asks) > 3 and not self.is_ending)
    @rule()
    def end_inputs(self) -> None:
        self.world.end_inputs()

    # When the user does what

    @property
    def is_ending(self) -> bool:
        return self.world.is_over or self.world.conversation.inputs_ended

    @property
    def may_type(self) -> bool:
        world = self.world
        if self.is_ending:
            return False
        if world.kind is Kind.FILE:
            return all(ask.question for ask in world.asks)
        # Ambiguous: the answer to something said could be the one to what was typed after it, and an interruption
        # could be one of the answer whose end is missing.
        server = world.server
        unclear = server.sound_first and server.present is not None and not server.has_begun
        return not (unclear or self._awaits_voice or any(ask.question is None for ask in server.inbox))

    @property
    def may_speak(self) -> bool:
        world = self.world
        if self.is_ending or world.kind is Kind.PIPE or self._awaits_voice:
            return False
        # Ambiguous: likewise, and a line that waits is not held back for speech; while the end of an answer is missing,
        # what is heard soon after its beginning could be the rest of what it answers.
        server = world.server
        unclear = server.sound_first and world.now_s - server.begun_s <= TIMINGS.late_transcript_s
        unanswered = server.present is not None and not server.has_begun
        return not (unclear or unanswered or server.inbox or world.conversation.n_waiting)

    @property
    def _awaits_voice(self) -> bool:
        server = self.world.server
        return server.present is not None and server.present.question is None and not server.has_begun

    # What is always true

    @invariant()
    def the_deadline_is_not_past_and_ticks_before_it_do_nothing(self) -> None:
        conversation, now_s = self.world.conversation, self.world.now_s
        deadline_s = conversation.deadline_s()
        assert deadline_s is None or deadline_s > now_s or self.world.is_over
        assert self.world.is_over or conversation.tick(now_s) == []
        assert conversation.deadline_s() == deadline_s

    @invariant()
    def a_pipe_asks_one_question_at_a_time(self) -> None:
        if self.world.kind is not Kind.TERMINAL:
            asked = [ask for ask in self.world.open_lines if ask.times_asked]
            assert len(asked) <= 1

    @invariant()
    def it_is_not_over_while_a_line_is_open(self) -> None:
        if self.world.turns is None and self.world.conversation.is_over:
            assert not self.world.open_lines

    @invariant()
    def what_had_to_come_has_come(self) -> None:
        assert self.world.expected_late is None

    @invariant()
    def it_ends_if_nothing_more_happens(self) -> None:
        if not self.world.has_given_up:
            world = self.world
            assert_ends(copy.deepcopy(world.conversation), world.now_s, max(world.now_s, world.speech_ends_s))

    def teardown(self) -> None:
        if not hasattr(self, "world") or self.world.has_given_up:
            return
        world = self.world
        if not (world.is_over or world.conversation.inputs_ended):
            world.end_inputs()
        for _ in range(100):
            if world.is_over:
                break
            world.advance(60.0)
        assert world.is_over
        if world.turns is None and not world.has_given_up:
            assert not world.open_lines
            assert world.conversation.n_waiting == 0


def assert_ends(conversation: Conversation, now_s: float, quiet_s: float) -> None:
    """Let the server be silent and the functions return: all is over, or the silence is noticed, before long."""
    conversation.inputs_ended = True
    for call_id in list(conversation._open_calls):
        conversation.call_closed(call_id, now_s, answered=True)
    for _ in range(20):
        question = conversation.next_question()
        if question is not None:
            conversation.asked(question, now_s)
        if conversation.is_over:
            return
        deadline_s = conversation.deadline_s()
        assert deadline_s is not None
        now_s = max(now_s, deadline_s)
        assert now_s <= quiet_s + LONGEST_END_S
        if any(isinstance(outcome, Silence) for outcome in conversation.tick(now_s)):
            return
    pytest.fail("there is no end")


def run(max_examples: int, steps: int, *phases: Phase) -> None:
    run_state_machine_as_test(
        ConversationMachine,
        settings=settings(
            max_examples=max_examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_conversation_agrees_with_the_truth() -> None:
    run(150, 30, Phase.generate)  # shrinking a failure takes minutes: the long variant does it


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_conversation_agrees_with_the_truth_in_many_more_cases() -> None:
    run(20_000, 60, Phase.generate, Phase.shrink)
