"""Tracks what was asked, what was answered, and what is still open. Pure: the caller passes the time to each method.

The session reports what happens to `Conversation`, which returns outcomes. `Conversation` classifies each message as an
event of `turns.py`, whose table says what follows. The service does not say who caused an interruption. It counts as
the user's if speech was heard or a line typed since the answer began, or if audio was sent since then and no function
result was sent in the last second.

Over 300 lines: one class has a method for everything that a session reports or queries.
"""

import math
from collections.abc import Callable, Iterator

from ..models import ModelCapabilities
from .handles import Handles
from .history import History
from .outcomes import (
    Answered,
    Exchange,
    LateWords,
    ModelSaid,
    Notice,
    Opening,
    Outcome,
    Question,
    QuestionComplete,
    Restarted,
    SpeechLost,
    Unfinished,
    UserSaid,
)
from .questions import MAX_ASKED, OpenExchange, Questions
from .timings import Timings
from .turns import TABLE, Act, Event, State, Wait

IN_PROGRESS = "IN_PROGRESS"
"""The interaction status of a turn that another one follows."""
RESULT_INTERRUPTS_S = 1.0
"""For so long after a function's result, it may be the cause of an interruption."""
NEED_MORE_INPUT = "NEED_MORE_INPUT"
"""The reason of a `turnComplete` that says the same as `waitingForInput`."""
_HARMLESS_REASONS = {"TURN_COMPLETE_REASON_UNSPECIFIED", NEED_MORE_INPUT}
"""Reasons of a `turnComplete` that reject nothing."""
_RESULT_SENT = {State.AWAITING, State.FINISHING}
_ANSWER_DUE = _RESULT_SENT | {State.RESUMED, State.ASKED, State.ASKED_AGAIN, State.EMPTY, State.ANSWERING, State.PAUSED}
_CALL_OPEN_IN_SILENCE = (State.CALLING, State.BETWEEN)
_GENERATING = (State.ANSWERING, State.SPEAKING, State.FINISHING)


class Conversation:
    """The state of one conversation, across connections."""

    def __init__(
        self,
        model: ModelCapabilities,
        *,
        timings: Timings | None = None,
        words_trail: bool = True,
        may_call: bool = True,
        shows_user_words: bool = True,
        turns: int | None = None,
    ) -> None:
        """Begin with nothing asked. Over 40 lines: the fields, each with its meaning.

        Args:
            model: What is known of the model.
            timings: How long to wait for what.
            words_trail: True if the text of answers is a transcript of speech, which may arrive late.
            may_call: True if the session has functions or tools, for which a model may end a turn early.
            shows_user_words: True if the transcript of the user's speech was asked for.
            turns: The number of complete answers after which no more questions are asked; `None`: no limit.
        """
        self.timings = timings or Timings()
        self.inputs_ended = False
        """True if every input has ended: nothing more will be asked."""
        self.hears_user = False
        """True if the user's voice is an input."""
        self.turns_complete = 0
        self.n_begun = 0
        """How many answers have begun."""
        self.n_unanswered = 0
        """How many questions, typed or spoken, were reported as unanswered."""
        self.last_question: Question | None = None
        """The newest question, asked or not."""
        self.silence_s: float | None = None
        """Set if the connection must be closed because of the server's silence: how long the silence lasted."""
        self._model = model
        self._thinks_long = model.interaction_status
        self._plain_end_pauses = model.interaction_status and may_call
        self._shows_user_words = shows_user_words
        self._turns = turns
        self._questions = Questions()
        self._handles = Handles(model.observed)
        self._history = History()
        self._state = State.QUIET
        self._current: OpenExchange | None = None
        """The exchange that is being answered, up to the end of its trailing words."""
        self._last_number = 0
        """The number of the last exchange that was returned as `Answered`."""
        self._reason: str | None = None
        """Why the service ended the last server turn early."""
        self._open_calls: list[tuple[str, str]] = []
        """The id and name of each call that has no result; several calls may lack an id."""
        self._result_due = False
        """True if a result was sent that a turn will follow."""
        self._voice_wait_s: float | None = None
        """How long to wait for an answer to the user's audio, which has ended; `None`: no answer is awaited."""
        self._voice_ended = self._voice_answered = False
        """True if the user's audio has ended; true if what the user said in it has an answer, as far as known."""
        self._entered_s = self._message_s = self._words_s = 0.0
        """Times: the present state was entered; the last message came, or question went; the last words came."""
        self._result_s = -math.inf
        """When the newest result was sent."""
        self._playback_ends_s = 0.0
        """When the audio received so far will have been played."""
        self._audio_sent_s: float | None = None
        """When audio of the user was last sent."""
        times, long_s = self.timings, self.timings.long_thought_s if self._thinks_long else None
        self._waits_s = {
            Wait.RESUME: times.known_question_s,
            Wait.ANSWER: long_s or times.no_answer_s,
            Wait.EMPTY: long_s or times.empty_turn_s,
            Wait.SILENCE: times.silence_s,
            Wait.END: long_s or times.missing_turn_complete_s,
            Wait.PAUSE: times.long_thought_s,
            Wait.CUT: times.after_interruption_s,
            Wait.RESULT: long_s or times.after_call_s,
            Wait.TRAIL: model.observed.words_trail_s if words_trail else 0.0,
        }
        self._acts: dict[Act, Callable[[float], list[Outcome]]] = {
            Act.BEGIN: self._begin,
            Act.NEW_LINE: self._begin_line,
            Act.COMPLETE: self._complete,
            Act.HAND_OUT: self._hand_out,
            Act.REPEAT: self._repeat,
            Act.REQUEUE: self._requeue,
            Act.REPORT: self._report,
            Act.LOSE: self._lose,
        }

    # What the user does

    def add_question(self, text: str, *, waits: bool) -> Question:
        """Queue a typed line for `next_question`.

        `waits`: True if the line must not be sent before all earlier questions are answered.
        """
        question = self.last_question = Question(text=text, waits=waits)
        self._questions.queue.append(question)
        return question

    def next_question(self) -> Question | None:
        """Return the question that may be sent now, if there is one; the caller sends it and calls `asked`."""
        if self._questions.to_repeat is not None:
            return self._questions.to_repeat
        if not self._questions.queue or self._turns_reached or self._state is State.RESUMED:
            return None
        question = self._questions.queue[0]
        return None if question.waits and not self.is_quiet else question

    def asked(self, question: Question, now_s: float) -> list[Outcome]:
        """Record that a question is being sent, for the first time or again, and start the wait for its answer."""
        self._message_s = now_s
        if not question.waits:
            self._playback_ends_s = now_s  # a line that is typed at a terminal clears playback
        if question is self._questions.to_repeat:
            self._questions.to_repeat = None
            return self._step(Event.REPEATED, now_s)
        self._questions.send(question, now_s)
        return self._step(Event.SENT, now_s)

    def audio_sent(self, now_s: float) -> None:
        """Record that audio of the user is being sent, from the microphone or from a file."""
        if self._voice_ended:
            self._voice_ended = self._voice_answered = False
        self._audio_sent_s = now_s

    def audio_ended(self, now_s: float, *, by_hand: bool) -> None:
        """Record that the user's audio has ended, and start the wait for its answer.

        `by_hand`: a person ended the audio. The wait is short then if no question is open.
        """
        self._message_s, self._voice_ended = now_s, True
        said_nothing = by_hand and self._current is None and not self._questions.waiting
        self._voice_answered |= said_nothing
        self._voice_wait_s = self.timings.after_last_word_s if said_nothing else self.timings.after_audio_end_s

    def answer_stopped(self) -> int | None:
        """Mark the present answer as stopped by the user; return its exchange, or `None` if nothing is being answered.

        The question of a stopped answer is not asked again on another connection.
        """
        if self._current is None:
            return None
        self._current.is_stopped = True
        return self._current.number

    # What the server says

    def message_received(self, now_s: float) -> None:
        """Restart the deadline of the present state, because the server sent more than a new handle."""
        self._message_s = now_s

    def heard(self, text: str, now_s: float, *, speaks: bool = False) -> list[Outcome]:
        """Add transcribed words of the user to the exchange that they belong to; ignore an echo of typed text.

        `speaks`: the user began to speak after the newest answer began.
        """
        if not (text and self._may_hear):
            return []
        if not speaks and self._questions.is_echo(text):
            return []
        text = text if self._shows_user_words else ""
        current = self._current
        if current is not None and not speaks and self._is_late(current):
            current.heard.append(text)
            return [UserSaid(current.number, text, late=True)] if text else []
        outcomes = self._complete_question(current)
        exchange = self._questions.hear(text, now_s)
        self._voice_answered = False
        outcomes += self._step(Event.HEARD, now_s)
        return [*outcomes, UserSaid(exchange.number, text)] if text else outcomes

    def words_received(self, text: str, now_s: float, *, speaks: bool = False) -> list[Outcome]:
        """Add a piece of the transcript of the model's speech to its answer.

        If no answer is due, the piece belongs to the last answer (`LateWords`). If the user has spoken since that
        answer began (`speaks`), the piece begins a new answer.
        """
        if not text:
            return []
        if self._state is State.QUIET and self._last_number and not speaks:
            self._history.extend_last(text)
            return [LateWords(self._last_number, text)]
        return self._output(Event.WORDS, now_s) + self._add_words(text, now_s)

    def output_received(self, now_s: float, *, text: str = "", speech_s: float = 0.0) -> list[Outcome]:
        """Add output of the model to the present answer: written text, speech of `speech_s` seconds, or code."""
        if self._state in _CALL_OPEN_IN_SILENCE:
            self._result_due = False
        outcomes = self._output(Event.OUTPUT, now_s)
        self._playback_ends_s = max(self._playback_ends_s, now_s) + speech_s
        if text:
            outcomes += self._add_words(text, now_s)
        if not self._model.ends_turns:
            outcomes += self._step(Event.GENERATED, now_s)
        return outcomes

    def stray_text_received(self, text: str) -> None:
        """Store text that a speaking model wrote; the text becomes the answer if the turn has no other output."""
        exchange = self._current or self._questions.first
        if exchange is not None:
            exchange.stray.append(text)

    def generation_completed(self, now_s: float) -> list[Outcome]:
        """Apply `generationComplete`: wait for the end of the turn only, not for more output."""
        return self._step(Event.GENERATED, now_s)

    def interrupted(self, now_s: float, *, speaks: bool = False) -> list[Outcome]:
        """Apply `interrupted`, after deciding who caused it; `speaks`: the user spoke since the newest answer began."""
        self._playback_ends_s = now_s
        current, first, n_waiting = self._current, self._questions.first, len(self._questions.waiting)
        if current is not None:
            by_user = bool(n_waiting) or speaks
            if now_s - self._result_s > RESULT_INTERRUPTS_S:  # else the result may be the cause
                by_user |= self._audio_sent_s is not None and self._audio_sent_s >= current.began_s
        else:  # only a typed line is cut off before its answer; speech goes on
            by_user = first is not None and first.question is not None and (n_waiting > 1 or speaks)
        return self._step(Event.CUT if by_user else Event.BROKEN, now_s)

    def input_awaited(self, now_s: float) -> list[Outcome]:
        """Apply `waitingForInput`.

        After speech, stop waiting for an answer: the user may go on. After a typed line, keep waiting, but do not send
        the line again.
        """
        first = self._questions.first
        if self._current is not None or first is None:
            return []
        if first.question is None:
            return self._step(Event.WAITS, now_s)
        first.question.is_repeated = True
        return self._step(Event.ENDED, now_s)

    def turn_completed(self, now_s: float, status: str | None = None, reason: str | None = None) -> list[Outcome]:
        """Apply `turnComplete`, with the interaction status and the reason for an early end, if there are any."""
        outcomes = self._count_stray_text(now_s)
        self._reason = None if reason in _HARMLESS_REASONS else reason
        if reason == NEED_MORE_INPUT:
            outcomes += self.input_awaited(now_s)
        is_plain = status is None and self._plain_end_pauses
        if self._reason is not None:
            event = Event.REJECTED
        elif status == IN_PROGRESS or (is_plain and not (self._current and self._current.answered_call)):
            event = Event.PAUSED
        else:
            event = Event.ENDED
        return outcomes + self._step(event, now_s)

    def knows_call(self, call_id: str) -> bool:
        """True if the server has sent this call before: the call is open, or belongs to the present exchange."""
        is_open = any(call_id == known for known, _ in self._open_calls)
        return bool(call_id) and (is_open or (self._current is not None and call_id in self._current.calls))

    def call_opened(self, call_id: str, now_s: float, name: str = "") -> list[Outcome]:
        """Open a function call: its exchange is not complete until the call is closed."""
        outcomes = self._step(Event.CALLED, now_s)
        self._open_calls.append((call_id, name))
        if self._current is not None:
            self._current.add_call(call_id, name)
        return outcomes

    def call_closed(self, call_id: str, now_s: float, *, answered: bool) -> list[Outcome]:
        """Close a call whose result is being sent; `answered`: the model will say something about the result."""
        if not self._close_call(call_id):
            return []
        self._result_due |= answered
        if self._current is not None:
            self._current.has_output |= not answered
        self._result_s = now_s
        if self._open_calls:
            return []
        event, self._result_due = (Event.RESULT if self._result_due else Event.CLOSED), False
        return self._step(event, now_s)

    def call_cancelled(self, call_id: str, now_s: float) -> list[Outcome]:
        """Close a call that the server cancels, because the user interrupted it or because it will be made again."""
        if not self._close_call(call_id) or self._current is None:
            return []
        self._current.calls.pop(call_id, None)  # the same id may come again
        if self._open_calls:
            return []
        return self._step(Event.CUT if self._questions.waiting else Event.CANCELLED, now_s)

    # Time

    def deadline_s(self) -> float | None:
        """Return the time of the next deadline, when `tick` must be called; `None` if there is no deadline."""
        return min((when_s for when_s, _ in self._deadlines()), default=None)

    def tick(self, now_s: float) -> list[Outcome]:
        """Apply the deadlines that have passed; return the outcomes."""
        outcomes: list[Outcome] = []
        while due := [act for when_s, act in self._deadlines() if when_s <= now_s]:
            outcomes += due[0](now_s)
        return outcomes

    def _deadlines(self) -> Iterator[tuple[float, Callable[[float], list[Outcome]]]]:
        """Yield each deadline with the function that applies it.

        One is for the late transcript of a spoken question, the other for the present state.
        """
        current = self._current
        if current is not None and current.has_output and self._awaits_transcript(current):
            when_s = current.began_s + self.timings.late_transcript_s
            yield when_s, lambda _now_s: self._complete_question(current)
        if (wait_s := self._wait_s()) is not None:
            yield self._quiet_since_s() + wait_s, lambda now_s: self._step(Event.DEADLINE, now_s)

    def _wait_s(self) -> float | None:
        """Return how long the present state may last."""
        wait = TABLE[self._state].wait
        if wait is Wait.VOICE:
            return self._voice_wait_s
        if wait is Wait.RESUME and self._handles.stale_calls:
            return self.timings.stale_calls_s
        return self._waits_s.get(wait)

    def _quiet_since_s(self) -> float:
        """Return the time from which the limit of the present state counts."""
        if self._state is State.TRAILING:
            return max(self._entered_s, self._words_s)
        return max(self._entered_s, self._message_s, self._playback_ends_s)

    # What the session asks

    @property
    def is_busy(self) -> bool:
        """True while a question that was sent or transcribed has no complete answer, or a function call is open."""
        return self._state not in {State.QUIET, State.TRAILING} or bool(self._open_calls)

    @property
    def is_settling(self) -> bool:
        """True while the answer is complete, but the end of its transcript may still arrive."""
        return self._state is State.TRAILING

    @property
    def is_quiet(self) -> bool:
        """True if no exchange is open: neither `is_busy` nor `is_settling`. Queued questions do not count."""
        return not (self.is_busy or self.is_settling)

    @property
    def awaits_voice(self) -> bool:
        """True after the user's audio has ended, until its answer is complete or no longer expected."""
        return self._voice_wait_s is not None

    @property
    def exchange(self) -> int:
        """The number of the exchange that is being answered, or that is answered next."""
        return self._current.number if self._current is not None else self._questions.next_number

    @property
    def next_exchange(self) -> int:
        """The number of the exchange that new output belongs to: the next one if the answer is complete or cut off."""
        has_ended = self._state in {State.TRAILING, State.CUT}
        return self._questions.next_number if has_ended else self.exchange

    @property
    def waits_since_s(self) -> float | None:
        """When the wait for the server began: its last message or the end of playback; `None` if no answer is due."""
        is_due = self._state in _ANSWER_DUE or (self._state is State.QUIET and self.awaits_voice)
        return self._quiet_since_s() if is_due else None

    @property
    def is_generating(self) -> bool:
        """True while the model generates output for an answer that has begun."""
        return self._state in _GENERATING

    @property
    def n_waiting(self) -> int:
        """How many questions are queued, and not sent on this connection."""
        return len(self._questions.queue)

    def is_waiting(self, question: Question) -> bool:
        """True if a question is queued, and not sent on this connection."""
        return question in self._questions.queue

    @property
    def unsent(self) -> list[str]:
        """The lines that were never sent, the oldest first."""
        return [question.text for question in self._questions.queue if not question.times_asked]

    @property
    def has_open_calls(self) -> bool:
        """True if a function call has no result."""
        return bool(self._open_calls)

    @property
    def has_unanswered(self) -> bool:
        """True if a typed line has no complete answer, whether the line was sent or not."""
        return (
            bool(self._questions.queue)
            or any(e.question for e in self._questions.waiting)
            or (self._current is not None and self._current.question is not None and not self.is_settling)
        )

    @property
    def is_over(self) -> bool:
        """True if no further answer can come; the last answer may still be playing."""
        if self._turns_reached:
            return not self.is_settling
        return self.inputs_ended and self.is_quiet and not (self._questions.queue or self.awaits_voice)

    # Connections

    def connect(self) -> Opening:
        """Return the handle or the history that the next connection begins with; change nothing."""
        handle = self._handles.handle
        history = () if handle else tuple(self._history.exchanges)
        omitted = self._history.omitted if history else 0
        return Opening(handle=handle, history=history, omitted=omitted, stale_calls=dict(self._handles.stale_calls))

    def connected(self, opening: Opening, now_s: float) -> None:
        """Record that a connection has begun.

        If the resumed session has received the first queued question, wait for its answer before sending it again.
        """
        self._handles.begin_connection(is_seeded=bool(opening.history))
        self._message_s, self.silence_s = now_s, None
        queue = self._questions.queue
        is_known = self._handles.knows_questions and bool(queue) and queue[0].times_asked > 0
        if is_known:
            self._questions.wait(queue.popleft(), now_s, is_known=True)
        if is_known or opening.stale_calls:
            self._state, self._entered_s = State.RESUMED, now_s

    def resumption_updated(self, handle: str, *, resumable: bool) -> None:
        """Store a new handle, if the session can be resumed with it."""
        self._handles.offer(handle, resumable=resumable, is_settled=self._state is not State.RESUMED)

    def handle_refused(self) -> None:
        """Delete the handle: the server refuses it."""
        self._handles.drop()

    def connection_lost(self, now_s: float, *, speaks: bool = False) -> list[Outcome]:
        """End the open exchanges, and queue the typed questions without an answer again, in order; return the outcomes.

        `speaks`: the user said something that has no answer, even if it was not transcribed.
        """
        outcomes = self.finish()
        speech_lost = speaks or (self._voice_wait_s is not None and not self._voice_answered)
        spoken = self._questions.lose()
        current = self._current
        if current is not None and (
            self._state is State.CUT or (self._state is State.GENERATED and not self._thinks_long)
        ):
            outcomes += self._complete(now_s) + self._hand_out(now_s)
        elif current is not None and current.question is not None and not current.is_stopped:
            outcomes += self._restart(current)
            self._questions.requeue(current.question)
        elif current is not None:
            spoken = spoken if current.is_stopped else spoken or current
            current.is_cut_off = current.is_answered = True
            outcomes += self._hand_out(now_s)
        if spoken is not None or speech_lost:
            self.n_unanswered += 1
            outcomes.append(SpeechLost(spoken.number if spoken is not None else None))
            outcomes.append(Notice("the connection was lost during a spoken turn, which cannot be asked again"))
        self._handles.connection_lost({call_id: name for call_id, name in self._open_calls if call_id})
        self._open_calls.clear()
        self._current = self._voice_wait_s = None
        self._result_due, self._state = False, State.QUIET
        return outcomes

    def finish(self) -> list[Outcome]:
        """Stop waiting for the last words of a complete answer, if one is waiting; return its `Answered`."""
        if self._state is not State.TRAILING:
            return []
        outcomes = self._hand_out(self._words_s)
        self._state, self._entered_s = self._next_state, self._words_s
        return outcomes

    def unfinished(self) -> list[Outcome]:
        """Return the text of each partial answer, because the session has ended and no question is asked again."""
        current = self._current
        open_texts = [(current.number, current.text)] if current is not None else []
        questions = [*(exchange.question for exchange in self._questions.waiting), *self._questions.queue]
        if current is not None and not current.words:
            questions.insert(0, current.question)
        open_texts += [(question.exchange, question.lost_text) for question in questions if question is not None]
        return [Unfinished(number, text) for number, text in open_texts if text]

    @property
    def n_to_ask_again(self) -> int:
        """How many queued questions were asked on an earlier connection."""
        return sum(question.times_asked > 0 for question in self._questions.queue)

    @property
    def asked_too_often(self) -> Question | None:
        """A queued question that has been asked on the largest permitted number of connections, if there is one."""
        return next((question for question in self._questions.queue if question.times_asked >= MAX_ASKED), None)

    # The table's actions, each described in `turns.Act`

    def _step(self, event: Event, now_s: float) -> list[Outcome]:
        """Perform the table's step for an event in the present state; return the outcomes."""
        outcomes: list[Outcome] = []
        step = TABLE[self._state].steps.get(event)
        if step is not None:
            for act in step.acts:
                outcomes += self._acts[act](now_s)
            self._state = self._next_state if step.state is State.NEXT else step.state
            self._entered_s = now_s
        if self._state is State.TRAILING and not self._waits_s[Wait.TRAIL]:
            outcomes += self._step(Event.DEADLINE, now_s)
        return outcomes

    @property
    def _next_state(self) -> State:
        """The state that follows the end of an exchange."""
        return State.ASKED if self._questions.waiting else State.QUIET

    def _begin(self, now_s: float) -> list[Outcome]:
        waiting = self._questions.waiting
        current = waiting.popleft() if waiting else self._questions.new_exchange(now_s)
        if current.question is self._questions.to_repeat:
            self._questions.to_repeat = None
        self._current, current.began_s = current, now_s
        self.n_begun += 1
        return [] if self._awaits_transcript(current) else self._complete_question(current)

    def _begin_line(self, _now_s: float) -> list[Outcome]:
        if self._current is not None:
            self._current.new_line = True
        return []

    def _complete(self, now_s: float) -> list[Outcome]:
        current = self._current
        assert current is not None
        current.is_cut_off = self._state in {State.CUT, State.BROKEN}
        current.reason = self._reason
        current.is_answered = self._reason is None and (current.has_output or self._state is State.CUT)
        self.turns_complete += current.is_answered and not current.is_cut_off
        self._voice_answered |= current.is_answered and current.question is None
        self._words_s = now_s
        self._handles.exchange_ended()
        return []

    def _hand_out(self, _now_s: float) -> list[Outcome]:
        current, self._current, self._reason = self._current, None, None
        assert current is not None
        user, text, asked = current.user_text, current.text, current.question is not None
        if not (user or current.has_output):
            return []  # nobody asked, and nothing came
        outcomes = self._complete_question(current)
        outcomes.append(Answered(current.number, text, asked, current.is_cut_off, current.reason))
        if not current.is_answered:
            self.n_unanswered += 1
            outcomes.append(Notice(f"no answer came to: {user}"))
        if not (current.is_cut_off or self._questions.waiting):
            self._voice_wait_s = None
        self._history.add(Exchange(user, text))
        self._last_number = current.number
        return outcomes

    def _repeat(self, now_s: float) -> list[Outcome]:
        if self._questions.to_repeat is not None or self._questions.repeat():
            return []
        return self._begin(now_s) + self._complete(now_s) + self._hand_out(now_s)

    def _requeue(self, _now_s: float) -> list[Outcome]:
        self._questions.lose()
        return []

    def _report(self, _now_s: float) -> list[Outcome]:
        current = self._current
        if current is not None:
            is_missed = current.has_output and not current.answered_call
            return [Notice("no answer followed the function call")] if is_missed else []
        self._voice_wait_s = None
        if self._voice_answered:
            return []
        self.n_unanswered += 1
        return [Notice("no answer came after the end of the audio")]

    def _lose(self, now_s: float) -> list[Outcome]:
        self.silence_s = now_s - self._message_s
        return []

    # Inside

    def _close_call(self, call_id: str) -> bool:
        """Remove an open call; return False if there is none with that id."""
        call = next((call for call in self._open_calls if call[0] == call_id), None)
        if call is not None:
            self._open_calls.remove(call)
        return call is not None

    def _output(self, event: Event, now_s: float) -> list[Outcome]:
        """Apply the table's step for output of the model, and mark the present exchange as having output."""
        follows_result = self._state in _RESULT_SENT
        outcomes = self._step(event, now_s)
        current = self._current
        assert current is not None
        if not current.has_output:
            current.has_output, current.began_s = True, now_s
        current.answered_call |= follows_result
        return outcomes

    def _add_words(self, text: str, now_s: float) -> list[Outcome]:
        """Append words to the present answer."""
        assert self._current is not None
        self._words_s = now_s
        return [ModelSaid(self._current.number, self._current.add_words(text))]

    def _count_stray_text(self, now_s: float) -> list[Outcome]:
        """Use text that the model wrote beside its speech as its answer, if the turn has brought nothing else."""
        exchange = self._current or self._questions.first
        if exchange is None or not exchange.stray or exchange.has_output:
            return []
        text = "".join(exchange.stray)
        exchange.stray.clear()
        return [*self.output_received(now_s, text=text), Notice("the model wrote this answer instead of speaking it")]

    def _complete_question(self, exchange: OpenExchange | None) -> list[Outcome]:
        """Mark the question of an exchange as complete; return `QuestionComplete` the first time, else nothing."""
        if exchange is None or exchange.question_is_complete:
            return []
        exchange.question_is_complete = True
        return [QuestionComplete(exchange.number)]

    def _awaits_transcript(self, exchange: OpenExchange) -> bool:
        """True if the transcript of what the user said may arrive, though the answer has begun."""
        return self._may_hear and not (exchange.question_is_complete or exchange.is_cut_off)

    @property
    def _may_hear(self) -> bool:
        """True if a transcript of the user may be speech. If only typed lines were sent, a transcript repeats one."""
        return self._audio_sent_s is not None or self.last_question is None

    def _is_late(self, current: OpenExchange) -> bool:
        """True if words of the user belong to the question whose answer has begun, not to a new one."""
        has_new = bool(self._questions.waiting) or self._state in {State.CUT, State.BROKEN, State.TRAILING}
        return self._awaits_transcript(current) and not has_new

    def _restart(self, current: OpenExchange) -> list[Outcome]:
        """Discard the partial answer to a question that will be asked again; return `Restarted` if there was text."""
        assert current.question is not None
        text = current.text
        if not text:
            return []
        current.question.lost_text = text
        return [Restarted(current.number, text)]

    @property
    def _turns_reached(self) -> bool:
        return self._turns is not None and self.turns_complete >= self._turns
