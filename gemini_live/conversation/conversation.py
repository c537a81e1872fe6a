"""What was asked, what was answered, what is still open, and when it is over.

Pure bookkeeping on the loop's clock: every method takes the time, none reads it, sleeps or does I/O. `dispatch.py` and
`session.py` report what happened and call `tick` after it; this module decides what it means.

The service's signals come late, twice or not at all, and some orders can be read in two ways. They are read so:

- Transcripts lag: words of the model belong to the answer that was last, until sound of another comes or it was asked.
  But a server whose answers begin with words says so with the first of them: then words are the next answer's once the
  user was heard, or the second is over; likewise where that was after words that were cut off or had a full stop.
- Sound within the second after `turnComplete`, when nothing was asked or heard since, belongs to the same answer: the
  turn ended too early, or the result of a quick function follows.
- An answer that ended without its `turnComplete` leaves one owed: the next that comes in the middle of another answer
  is that one, unless nothing follows it: then it was the other's own. Should it never come, an empty answer without
  `generationComplete` is mistaken for it and asked again.
- What the user says or types after `interrupted` caused it, even if its transcript came later.
- Words that come first after the end of a server turn inside an answer are of the next turn if sound came before them,
  or a second has passed, or a sentence had ended: a line break stands between them, where there is no white space.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

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
    Silence,
    SpeechLost,
    Unfinished,
    UserSaid,
)
from .timings import Timings

IN_PROGRESS = "IN_PROGRESS"
"""The interaction status of a turn that another one follows."""


TURN_SEAM = "\n"
"""What stands in the text of an answer between two server turns that have no white space between them."""
_SENTENCE_ENDS = (".", "!", "?", "\u2026", "\u3002", "\uff01", "\uff1f", "\u061f", "\u0964")
"""The last five: ideographic full stop, full-width marks, Arabic question mark, danda."""

MAX_ASKED = 3
"""On how many connections one question is asked."""


class _Turn(Enum):
    """Where the server turn stands that an answer has come to."""

    SILENT = auto()
    """It has brought no sound yet, or none since it called a function or was interrupted."""
    SPEAKING = auto()
    ENDED = auto()
    """Its `turnComplete` has come, and did not complete the answer."""


@dataclass(eq=False, kw_only=True)
class _Answer:
    """The model's side of one exchange: one server turn, or several with function calls or statuses between them."""

    exchange: int
    question: Question | None
    heard: list[str]
    """What the user said that it answers."""
    began_s: float
    words: list[str] = field(default_factory=list)
    turn: _Turn = _Turn.SILENT
    has_sounded: bool = False
    generation_complete_s: float | None = None
    may_have_ended: bool = False
    """Whether a `turnComplete` came that was taken for one that is owed, and no output has followed it."""
    in_progress: bool = False
    """The last interaction status said that more comes."""
    interrupted: bool = False
    """No sound has followed an interruption."""
    n_taken_back: int | None = None
    """If that was no more than a call of its that the server took back: how many fragments there were of its words."""
    is_stopped: bool = False
    """Whether the user wants no more of it, which the server does not know."""
    called: bool = False
    """Whether a function was called for it."""
    seam_s: float | None = None
    """When the server turn ended whose words are the last ones, unless words of another have come."""
    follow_up_since_s: float | None = None
    """Since when another turn is waited for: after a function's result, or after an interruption."""
    knows_question: bool = False
    """True if `QuestionComplete` was returned for its exchange."""
    reason: str | None = None
    """Why the service ended its last turn early."""

    @property
    def has_more(self) -> bool:
        """Whether more is to come, as far as the server has said."""
        return self.generation_complete_s is None or self.in_progress or self.follow_up_since_s is not None


class Conversation:
    """The state of one conversation, across connections."""

    def __init__(  # noqa: PLR0915 - one statement for each attribute
        self,
        *,
        timings: Timings | None = None,
        plays: bool,
        words_trail: bool,
        generation_ends_turn: bool = True,
        turns: int | None = None,
    ) -> None:
        """Begin with nothing asked.

        Args:
            timings: How long to wait for what.
            plays: Whether the answers are heard; else the last one need not wait for the time that playing takes.
            words_trail: Whether words are a transcript of speech, which may come after the end of the turn.
            generation_ends_turn: Whether `generationComplete` says that the model has nothing more to say; not so on
                models whose turns end by interaction status.
            turns: After how many complete answers to ask no more.
        """
        self.timings = timings or Timings()
        self.plays = plays
        self.inputs_ended = False
        """Whether every input has ended: what is open now is all that is waited for."""
        self.hears_user = False
        """Whether the user's voice is an input, live or from a file, so that answers come without a typed question."""
        self.turns_complete = 0
        self.n_begun = 0
        """Answers that have begun."""
        self._n_exchanges = 0
        """The highest number that an exchange has."""
        self._open_exchange: int | None = None
        """The number of an exchange that began with speech and has neither a typed question nor an answer yet."""
        self._last_answered = 0
        """The exchange of the newest answer that was returned as `Answered`."""
        self.last_question: Question | None = None
        """The newest that there is, asked or not."""
        self._words_trail = words_trail
        self._generation_ends_turn = generation_ends_turn
        self._turns = turns
        self._queue: deque[Question] = deque()
        self._asked: deque[Question] = deque()
        """Sent and not answered; the first is the one that `_answer` answers, if that answers a question."""
        self._heard: list[str] = []
        """Words of the user that no answer has begun to answer."""
        self._answer: _Answer | None = None
        self._settling: _Answer | None = None
        """The answer that has ended and whose last words may still come."""
        self._settles_s = 0.0
        self._open_calls: set[str] = set()
        self._owed_ends = 0
        """How many answers ended without their `turnComplete`: as many may still come, and settle nothing."""
        self._last_message_s = 0.0
        self._last_sign_s = 0.0
        """Of the last transcript or output."""
        self._speech_ends_s = 0.0
        """When the audio received so far would have been played, had it begun when it came."""
        self._voice_wait_s: float | None = None
        """For how long a sign is waited for, once the user's voice has ended."""
        self._voice_unanswered = True
        """Whether nothing has answered the user's voice, as far as it is known to have spoken."""
        self._sends_words_alone = True
        """Whether the server has sent no output but words so far."""
        self._words_lead = False
        """Whether the newest answer that was spoken began with words, before any sound."""
        self._handle: str | None = None
        """Covers every settled exchange: it is forgotten when it is older than one."""
        self._history = History()
        self._history_is_known = True
        """Whether the server of this connection knows the conversation so far, so that a handle covers it."""

    # What the user does

    def add_question(self, text: str, *, waits: bool) -> Question:
        """Take a line; it is asked when `next_question` says so."""
        question = self.last_question = Question(text=text, waits=waits)
        self._queue.append(question)
        return question

    def next_question(self) -> Question | None:
        """Return the question that may be asked now, if any; `asked` takes it off the queue."""
        if not self._queue or self._turns_reached:
            return None
        question = self._queue[0]
        return None if question.waits and not self.is_quiet else question

    def asked(self, question: Question, now_s: float) -> list[Outcome]:
        """Note that the first question of the queue is being sent."""
        assert question is self._queue[0]
        outcomes = self._settle()
        if self._answer is not None and self._answer.interrupted and self._answer.turn is _Turn.ENDED:
            outcomes += self._end_answer(now_s) + self._settle()  # what follows answers this question
        self._queue.popleft()
        if not question.exchange:  # it joins what the user said since the last answer began
            question.exchange = self._open_exchange or self._new_exchange()
            self._open_exchange = None
        question.times_asked += 1
        self._asked.append(question)
        self._last_message_s = now_s
        return outcomes

    def audio_ended(self, now_s: float, *, by_hand: bool) -> None:
        """Note that the user's voice has ended: a file at its end, or a microphone that a person closed (`by_hand`)."""
        self._last_sign_s = now_s
        if by_hand and self._answer is None and not self._heard:
            self._voice_unanswered = False
            self._voice_wait_s = self.timings.after_last_word_s
        else:
            self._voice_wait_s = self.timings.after_audio_end_s

    def answer_stopped(self) -> int | None:
        """Give up the present answer: the user wants no more of it, and it is not asked for again.

        Returns:
            Its exchange; `None` if there is no answer whose words can still come.
        """
        if self._answer is not None:
            self._answer.is_stopped = True
        answer = self._answer or self._settling
        return None if answer is None else answer.exchange

    # What the server says

    def message_received(self, now_s: float) -> None:
        """Note that there was a message, whatever it said."""
        self._last_message_s = now_s

    def heard(self, text: str, now_s: float, *, speaks: bool = False) -> list[Outcome]:
        """Add transcribed words of the user to the exchange that they belong to.

        `speaks`: the user is known to have begun to speak since the answer began, so that the words are new.
        """
        self._last_sign_s = now_s
        self.hears_user = True
        answer = self._answer
        if answer is not None and not (answer.knows_question or answer.interrupted or speaks):
            answer.heard.append(text)
            return [UserSaid(answer.exchange, text, late=True)]
        self._heard.append(text)
        return [UserSaid(self._next_exchange(), text)]

    def words_received(self, text: str, now_s: float) -> list[Outcome]:
        """Take words of the model that are a transcript: they may belong to the turn that has just ended."""
        if not text:
            return []
        self._last_sign_s = now_s
        answer = self._answer
        if answer is None and not self._asked:
            if self._settling is not None and not self._has_all_words(self._settling):
                self._settling.words.append(text)
                self._settles_s = now_s + self._trailing_s
                return [ModelSaid(self._settling.exchange, text)]
            late = now_s - self._settles_s <= self.timings.late_transcript_s and not (self._heard or self._words_lead)
            if self._history.exchanges and (late or not self.hears_user):
                self._history.extend_last(text)
                return [LateWords(self._last_answered, text)]
        outcomes: list[Outcome] = []
        if answer is None or self._is_past(answer, now_s):
            answer, outcomes = self._take_up(now_s)
        if self._sends_words_alone and not answer.interrupted:
            self._go_on(answer)  # there is no sound that they might lag behind
        return outcomes + self._add_words(answer, text, now_s)

    def output_received(self, now_s: float, *, text: str = "", speech_s: float = 0.0) -> list[Outcome]:
        """Take output of the model: text of its own, speech of `speech_s` seconds, code."""
        self._last_sign_s = now_s
        answer, outcomes = self._take_up(now_s)
        if not (text or answer.has_sounded or answer.called):
            self._words_lead = bool(answer.words)
        answer.has_sounded |= not text
        self._speech_ends_s = max(self._speech_ends_s, now_s) + speech_s
        self._sends_words_alone &= bool(text)
        self._go_on(answer)
        if text:
            outcomes += self._add_words(answer, text, now_s)
        return outcomes

    def generation_completed(self, now_s: float) -> list[Outcome]:
        """Note `generationComplete`."""
        outcomes: list[Outcome] = []
        if self._answer is None and (self._asked or self._heard):
            self._begin_answer(now_s, outcomes)
        answer = self._answer
        if answer is not None and self._has_gone_on(answer):
            answer.interrupted, answer.follow_up_since_s = False, None
        if answer is not None and not answer.interrupted:
            answer.generation_complete_s = now_s
        return outcomes

    def interrupted(self, now_s: float) -> list[Outcome]:
        """Note `interrupted`: by something the user said or typed, or by nobody."""
        outcomes: list[Outcome] = []
        if self._answer is None:
            if not self._asked or (self._owed_ends and len(self._asked) == 1):  # what it cuts off has ended for us
                self._owed_ends = max(self._owed_ends, 1)
                return []
            outcomes = self._settle()
        answer = self._answer or self._begin_answer(now_s, outcomes)
        answer.interrupted, answer.n_taken_back = True, None
        answer.in_progress = False
        answer.may_have_ended = False
        answer.turn = _Turn.SILENT
        answer.generation_complete_s = None
        answer.follow_up_since_s = now_s
        self._speech_ends_s = now_s
        return outcomes

    def turn_completed(self, now_s: float, status: str | None = None, reason: str | None = None) -> list[Outcome]:
        """Note `turnComplete`, with the interaction status and the reason for an early end, if there are any."""
        answer = self._answer
        mid_answer = answer is None or (answer.generation_complete_s is None and not answer.interrupted)
        if self._owed_ends and mid_answer and status != IN_PROGRESS:
            self._owed_ends -= 1
            if answer is not None and answer.turn is _Turn.SPEAKING:
                answer.may_have_ended = True
            return []
        outcomes: list[Outcome] = []
        if answer is None:
            if not (self._asked or self._heard) and (self._settling or not self.hears_user):
                return []  # nobody asked, and nothing was said
            outcomes = self._settle()
            answer = self._begin_answer(now_s, outcomes)
        answer.reason = reason
        answer.in_progress = status == IN_PROGRESS
        follows = answer.follow_up_since_s is not None and answer.turn is not _Turn.ENDED
        if answer.words or answer.turn is _Turn.SPEAKING:
            answer.seam_s = now_s
        answer.turn = _Turn.ENDED
        if not (answer.in_progress or self._open_calls or (follows and not self._is_cut_off(answer))):
            return outcomes + self._end_answer(now_s)
        answer.generation_complete_s = None
        if follows:
            answer.follow_up_since_s = now_s
        return outcomes

    def interaction_in_progress(self, now_s: float) -> list[Outcome]:
        """Note a status, outside the end of a turn, which says that more comes."""
        if not (self._answer or self._settling or self._asked or self.hears_user):
            return []  # nobody asked
        answer, outcomes = self._take_up(now_s)
        answer.in_progress = True
        return outcomes

    def call_opened(self, call_id: str, now_s: float) -> list[Outcome]:
        """Note a function call: nothing is complete until it is closed."""
        self._last_sign_s = now_s
        answer, outcomes = self._take_up(now_s)
        self._open_calls.add(call_id)
        answer.called = True
        answer.generation_complete_s = None
        answer.may_have_ended = False
        answer.follow_up_since_s = None
        answer.turn = _Turn.SILENT
        return outcomes

    def call_closed(self, call_id: str, now_s: float, *, answered: bool) -> list[Outcome]:
        """Note that the result of a call is sent; `answered`: another turn is to follow it, it is not kept silent."""
        answer = self._close_call(call_id, now_s)
        if answer is None:
            return []
        if answer.words and answer.turn is _Turn.SILENT:  # else a turn goes on, or its end was noted
            answer.seam_s = now_s
        if answered:
            answer.follow_up_since_s = now_s
        elif self._open_calls or answer.follow_up_since_s is not None:
            return []
        elif answer.turn is _Turn.ENDED:
            return self._end_answer(now_s)
        else:
            answer.generation_complete_s = now_s  # nothing more is to come but the turn's end
        return []

    def call_cancelled(self, call_id: str, now_s: float) -> list[Outcome]:
        """Note that the server takes a call back: for what the user said or typed meanwhile, or to make it again."""
        answer = self._close_call(call_id, now_s)
        if answer is not None and not self._open_calls and not answer.interrupted:
            answer.interrupted, answer.n_taken_back = True, len(answer.words)
            answer.follow_up_since_s = now_s
        return []

    # Time

    def deadline_s(self) -> float | None:
        """Return when `tick` will have something to say, if nothing happens before."""
        return min((when for when, _ in self._timers()), default=None)

    def tick(self, now_s: float) -> list[Outcome]:
        """Return what the passing of time has brought about."""
        outcomes: list[Outcome] = []
        while due := [(when, act) for when, act in self._timers() if when <= now_s]:
            _, act = min(due, key=lambda timer: timer[0])
            outcomes += act(now_s)
            if any(isinstance(outcome, Silence) for outcome in outcomes):
                break
        return outcomes

    @property
    def is_quiet(self) -> bool:
        """Whether every question that was asked has its whole answer, and no answer or call is open."""
        return not (self.is_busy or self._settling)

    @property
    def awaits_voice(self) -> bool:
        """True from the end of the user's audio until it is answered, or no answer is expected any more."""
        return self._voice_wait_s is not None

    @property
    def is_idle(self) -> bool:
        """Whether it is quiet, and the user is not known to be speaking either."""
        return self.is_quiet and not self._heard

    @property
    def question_in_answer(self) -> Question | None:
        """The typed question that the model is answering, if it is one."""
        return self._answer.question if self._answer is not None else None

    @property
    def exchange(self) -> int:
        """The number of the exchange being answered; else of the next one to be answered, else of the last one."""
        if self._answer is not None:
            return self._answer.exchange
        if self._asked:
            return self._asked[0].exchange
        return self._open_exchange or (self._settling.exchange if self._settling else self._last_answered)

    @property
    def is_busy(self) -> bool:
        """Whether an answer or a call is open, or a question was asked that is not answered yet."""
        return bool(self._answer or self._open_calls or self._asked)

    @property
    def is_generating(self) -> bool:
        """Whether more of the speech that has begun is to come, as far as the server has said."""
        answer = self._answer
        return answer is not None and answer.turn is _Turn.SPEAKING and answer.generation_complete_s is None

    @property
    def n_waiting(self) -> int:
        """How many questions were not asked yet."""
        return len(self._queue)

    @property
    def is_settling(self) -> bool:
        """Whether an answer has ended whose last words may still come."""
        return self._settling is not None

    def is_waiting(self, question: Question) -> bool:
        """Whether a question is still to be asked, be it again."""
        return question in self._queue

    @property
    def unsent(self) -> list[str]:
        """The lines that were never sent so far, the oldest first."""
        return [question.text for question in self._queue if not question.times_asked]

    @property
    def has_open_calls(self) -> bool:
        """Whether a function call waits for its result."""
        return bool(self._open_calls)

    @property
    def has_unanswered(self) -> bool:
        """Whether a typed line was not answered yet, asked or not."""
        return bool(self._asked or self._queue)

    @property
    def is_over(self) -> bool:
        """Whether everything has ended that could bring another answer; what was said may still be playing."""
        if self._turns_reached:
            return self._settling is None
        return self.inputs_ended and not self._queue and self.is_quiet and self._voice_wait_s is None

    # Connections

    def connect(self) -> Opening:
        """Return what the next connection begins with."""
        exchanges = () if self._handle else tuple(self._history.exchanges)
        self._history_is_known = not exchanges  # else a handle covers it from the first answer on
        return Opening(handle=self._handle, history=exchanges, omitted=self._history.omitted if exchanges else 0)

    def resumption_updated(self, handle: str, *, resumable: bool) -> None:
        """Keep the newest handle that can be resumed."""
        if resumable and handle and self._history_is_known:
            self._handle = handle

    def handle_refused(self) -> None:
        """Forget the handle: the server does not know it."""
        self._handle = None

    def connection_lost(self, now_s: float, *, speaks: bool = False) -> list[Outcome]:
        """Put what was asked and not answered back, in order, before everything else.

        Args:
            now_s: The time.
            speaks: Whether the user has said something that is not answered, heard or not.

        Returns:
            The ends of answers that were complete or cannot be asked for again, with a notice for the latter.
        """
        outcomes = self._settle()
        answer = self._answer
        lost_exchange = self._next_exchange() if self._heard else None
        was_heard = bool(self._heard) and now_s - self._last_sign_s <= self.timings.after_audio_end_s
        awaits_answer = was_heard or (self._voice_wait_s is not None and self._voice_unanswered)
        voice_lost = speaks or awaits_answer
        is_done = answer is not None and (self._is_cut_off(answer) or answer.is_stopped)
        if answer is not None and (is_done or not (answer.question or answer.has_more)):
            outcomes += self._end_answer(now_s) + self._settle()
        elif answer is not None and answer.question is None:
            # What the server knows of it is gone, but the handle is still worth more than the history.
            voice_lost = answer.interrupted = True
            lost_exchange = lost_exchange or answer.exchange
            self._settling = answer
            outcomes += self._settle()
        elif answer is not None:
            outcomes += self._break_off(answer)
        if voice_lost:
            outcomes.append(SpeechLost(lost_exchange))
            outcomes.append(Notice("the connection was lost during a spoken turn, which cannot be asked again"))
            if lost_exchange == self._open_exchange:
                self._open_exchange = None
        self._answer = self._voice_wait_s = None
        self._heard.clear()
        self._open_calls.clear()
        self._owed_ends = 0
        for question in reversed(self._asked):
            question.waits = True  # one after the other, so that none cuts off the answer before it
            self._queue.appendleft(question)
        self._asked.clear()
        return outcomes

    def finish(self) -> list[Outcome]:
        """Hand out the answer whose last words were still waited for, if there is one: the session ends."""
        return self._settle()

    def unfinished(self) -> list[Outcome]:
        """Return what was said of answers that are not whole: the session fails or is ended, and nobody asks again."""
        answer = self._answer
        if answer is not None and answer.question is not None:
            self._break_off(answer)
        spoken = [(answer.exchange, "".join(answer.words))] if answer is not None else []
        typed = [(question.exchange, question.lost_text) for question in (*self._asked, *self._queue)]
        return [Unfinished(exchange, text) for exchange, text in (*spoken, *typed) if text]

    @property
    def n_to_ask_again(self) -> int:
        """How many questions wait that were asked on an earlier connection."""
        return sum(question.times_asked > 0 for question in self._queue)

    @property
    def asked_too_often(self) -> Question | None:
        """The question, if any, that has been asked on as many connections as it may be and is still unanswered."""
        return next((question for question in self._queue if question.times_asked >= MAX_ASKED), None)

    # Inside

    def _new_exchange(self) -> int:
        self._n_exchanges += 1
        return self._n_exchanges

    def _next_exchange(self) -> int:
        """Return the number of the exchange that comes after the present answer: the one that is answered next."""
        n_in_answer = int(self._answer is not None and self._answer.question is not None)
        if len(self._asked) > n_in_answer:
            return self._asked[n_in_answer].exchange
        if self._open_exchange is None:
            self._open_exchange = self._new_exchange()
        return self._open_exchange

    @property
    def _trailing_s(self) -> float:
        if not self._words_trail:
            return 0.0
        return self.timings.trailing_words_in_queue_s if self._queue else self.timings.trailing_words_s

    @property
    def _turns_reached(self) -> bool:
        return self._turns is not None and self.turns_complete >= self._turns

    def _others_asked(self, answer: _Answer) -> bool:
        return len(self._asked) > (answer.question is not None)

    def _user_came(self, answer: _Answer) -> bool:
        """Whether the user has said or typed something since `answer` began."""
        return bool(self._heard) or self._others_asked(answer)

    def _is_cut_off(self, answer: _Answer) -> bool:
        """Whether `answer` was interrupted by the user, so that no more of it comes but the end of its turn."""
        return answer.interrupted and self._user_came(answer)

    def _is_finished(self, answer: _Answer) -> bool:
        """Whether sound cannot belong to `answer`, because it answers what the user said or typed since."""
        whole = not (answer.has_more or self._open_calls)
        return self._user_came(answer) and (answer.interrupted or whole)

    def _is_past(self, answer: _Answer, now_s: float) -> bool:
        """Whether words cannot belong to `answer`: its turn was cut off and is over, or it is whole for a while."""
        if answer.interrupted:
            return answer.turn is _Turn.ENDED
        since_s = answer.generation_complete_s
        return since_s is not None and self._is_finished(answer) and now_s - since_s > self.timings.trailing_words_s

    def _has_all_words(self, answer: _Answer) -> bool:
        """Whether words cannot be the last ones of `answer`, which has ended: the user was heard since."""
        knows_its_own = bool(answer.question or answer.heard)  # else it may be what this answers that is heard late
        is_whole = answer.interrupted or "".join(answer.words).rstrip().endswith(_SENTENCE_ENDS)
        return bool(self._heard and answer.words and knows_its_own and (is_whole or self._words_lead))

    def _has_gone_on(self, answer: _Answer) -> bool:
        """Whether no more was interrupted than a call that was taken back, and words have come since, without sound."""
        if not answer.interrupted or answer.n_taken_back is None or self._user_came(answer):
            return False
        return len(answer.words) > answer.n_taken_back

    def _go_on(self, answer: _Answer) -> None:
        """Note that output has come which belongs to `answer`."""
        answer.generation_complete_s = None
        answer.may_have_ended = False
        if answer.turn is not _Turn.SPEAKING:  # else a turn goes on that the function's result was sent into
            answer.follow_up_since_s = None
            answer.turn = _Turn.SPEAKING

    def _take_up(self, now_s: float) -> tuple[_Answer, list[Outcome]]:
        """Return the answer that output belongs to, ending the one before, or beginning it anew, where need be."""
        outcomes: list[Outcome] = []
        if self._answer is not None and self._is_finished(self._answer):
            outcomes += self._end_answer(now_s)
        settling = self._settling
        if self._answer is None and settling and not (settling.interrupted or self._asked or self._heard):
            self._resume(settling)
        outcomes += self._settle()
        answer = self._answer or self._begin_answer(now_s, outcomes)
        if answer.interrupted:  # by nobody
            outcomes += self._break_off(answer)
            if answer.turn is not _Turn.ENDED:
                self._owed_ends += 1
            answer.interrupted = False
            answer.turn = _Turn.SILENT
            answer.follow_up_since_s = None
        return answer, outcomes

    def _add_words(self, answer: _Answer, text: str, now_s: float) -> list[Outcome]:
        """Add words to `answer`, apart from those of the server turn before them."""
        outcomes: list[Outcome] = []
        if answer.seam_s is not None and not self._lag(answer, now_s - answer.seam_s):
            answer.seam_s = None
            if answer.words and not (answer.words[-1][-1].isspace() or text[0].isspace()):
                answer.words.append(TURN_SEAM)
                outcomes.append(ModelSaid(answer.exchange, TURN_SEAM))
        answer.words.append(text)
        return [*outcomes, ModelSaid(answer.exchange, text)]

    def _lag(self, answer: _Answer, since_s: float) -> bool:
        """Whether words can still be the last ones of a server turn that ended `since_s` ago.

        A transcript may come after the end of its turn, and before its sound: sound, time or a full stop tell which.
        """
        if answer.turn is _Turn.SPEAKING or since_s > self.timings.trailing_words_s:
            return False
        return not (answer.words and answer.words[-1].endswith(_SENTENCE_ENDS))

    def _break_off(self, answer: _Answer) -> list[Outcome]:
        """Take back what `answer` has said: it begins anew."""
        answer.seam_s = None
        if not answer.words:
            return []
        text = "".join(answer.words)
        answer.words.clear()
        if answer.question is not None:
            answer.question.lost_text = text
        return [Restarted(answer.exchange, text)]

    def _begin_answer(self, now_s: float, outcomes: list[Outcome]) -> _Answer:
        """Begin the answer of the next exchange; append to `outcomes` what came of that."""
        exchange, question = self._next_exchange(), self._asked[0] if self._asked else None
        if exchange == self._open_exchange:
            self._open_exchange = None
        answer = _Answer(exchange=exchange, question=question, heard=self._heard, began_s=now_s)
        self._answer, self._heard = answer, []
        self.n_begun += 1
        if question is not None:  # else more words of the user may follow: transcripts lag
            outcomes += self._complete_question(answer)
        return answer

    def _complete_question(self, answer: _Answer) -> list[Outcome]:
        answer.knows_question = True
        return [QuestionComplete(answer.exchange)]

    def _end_answer(self, now_s: float) -> list[Outcome]:
        """Take the present answer for complete; it is handed out when its last words have come."""
        answer = self._answer
        assert answer is not None
        outcomes = self._settle()
        self._answer = None
        if answer.question is not None:
            self._asked.popleft()
        else:
            self._voice_unanswered = False
        if answer.turn is not _Turn.ENDED:
            self._owed_ends += 1
        if not answer.interrupted:
            self.turns_complete += 1
            if not self._heard:
                self._voice_wait_s = None
        self._handle = None
        self._history_is_known = True
        self._settling = answer
        self._settles_s = now_s + self._trailing_s
        return outcomes if self._trailing_s else outcomes + self._settle()

    def _resume(self, settling: _Answer) -> None:
        """Take back that an answer has ended: too early, in the middle of its words, or a result is told."""
        if not (settling.called or "".join(settling.words[-1:]).endswith(_SENTENCE_ENDS)):
            settling.seam_s = None
        self._answer, self._settling = settling, None
        self.turns_complete -= 1
        if settling.question is not None:
            self._asked.append(settling.question)

    def _settle(self) -> list[Outcome]:
        """Hand out the answer whose last words were waited for."""
        answer, self._settling = self._settling, None
        if answer is None:
            return []
        text = "".join(answer.words)
        said = ["".join(answer.heard).strip(), answer.question.text if answer.question else ""]
        user = "\n".join(filter(None, said))
        if user or text:
            self._history.add(Exchange(user, text))
        self._last_answered = answer.exchange
        asked = answer.question is not None
        return [Answered(answer.exchange, text, asked=asked, cut_off=answer.interrupted, reason=answer.reason)]

    def _close_call(self, call_id: str, now_s: float) -> _Answer | None:
        """Return the answer that a call, which is open no more, belongs to."""
        if call_id not in self._open_calls:
            return None
        self._open_calls.discard(call_id)
        self._last_message_s = self._last_sign_s = now_s
        return self._answer

    def _timers(self) -> Iterator[tuple[float, Callable[[float], list[Outcome]]]]:
        """Everything that waits for a time, with what it then does."""
        if self._settling is not None:
            yield self._settles_s, lambda _now_s: self._settle()
        answer = self._answer
        if answer is not None and not answer.knows_question:
            complete_s = answer.began_s + self.timings.late_transcript_s
            yield complete_s, lambda _now_s: self._complete_question(answer)
        if self._open_calls:
            return
        if answer is not None and answer.follow_up_since_s is not None and not answer.in_progress:
            yield self._follow_up_ends_s(answer, answer.follow_up_since_s), self._give_up_follow_up
        elif answer is not None and answer.generation_complete_s is not None and not answer.in_progress:
            yield self._missing_end_s(answer, answer.generation_complete_s), self._end_answer
        elif answer is not None and answer.may_have_ended and not answer.in_progress:
            quiet_since_s = max(self._last_message_s, self._speech_ends_s)
            yield quiet_since_s + self.timings.missing_turn_complete_s, self._end_answer
        elif self._asked or (answer is not None and answer.in_progress):
            quiet_since_s = max(self._last_message_s, self._speech_ends_s)
            yield quiet_since_s + self.timings.silence_s, self._report_silence
        elif answer is not None or self._voice_wait_s is not None:
            quiet_since_s = max(self._last_sign_s, self._speech_ends_s)
            yield quiet_since_s + self._unasked_wait_s, self._give_up_unasked

    def _follow_up_ends_s(self, answer: _Answer, since_s: float) -> float:
        if self._is_cut_off(answer) and answer.turn is _Turn.ENDED:
            return since_s
        wait_s = self.timings.after_interruption_s if answer.interrupted else self.timings.after_call_s
        return max(since_s, self._speech_ends_s) + wait_s

    def _missing_end_s(self, answer: _Answer, generation_complete_s: float) -> float:
        quiet_since_s = max(generation_complete_s, self._last_message_s)
        if self._is_last(answer) and not self.plays and self._generation_ends_turn:
            return quiet_since_s + self.timings.last_answer_s
        return max(quiet_since_s, self._speech_ends_s) + self.timings.missing_turn_complete_s

    def _is_last(self, answer: _Answer) -> bool:
        """Whether `answer` is the last one of the session."""
        if self._turns is not None and self.turns_complete + 1 >= self._turns:
            return True
        return self.inputs_ended and not (self._queue or self._user_came(answer))

    @property
    def _unasked_wait_s(self) -> float:
        """For how long a sign of the model is waited for that nobody typed for."""
        if self._voice_wait_s is not None:
            return self._voice_wait_s
        return self.timings.after_audio_end_s if self.inputs_ended else self.timings.silence_s

    def _give_up_follow_up(self, now_s: float) -> list[Outcome]:
        answer = self._answer
        assert answer is not None
        ended = self._end_answer(now_s)
        return ended if answer.interrupted else [Notice("no answer followed the function call"), *ended]

    def _give_up_unasked(self, now_s: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if self._voice_wait_s is not None and (self._answer or self._heard or self._voice_unanswered):
            outcomes.append(Notice("no answer came after the end of the audio"))
        self._voice_wait_s = None
        return outcomes + (self._end_answer(now_s) if self._answer is not None else [])

    def _report_silence(self, now_s: float) -> list[Outcome]:
        silence_s = now_s - self._last_message_s
        self._last_message_s = now_s
        return [Silence(silence_s)]
