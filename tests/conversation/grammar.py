"""The grammar of the Live service, as data, and a server and a user that speak it and know the truth.

Written from recordings and dated reports of the service alone, not from the client: which messages may follow which, on
which model, with what delays. `play` makes a session from a seed: any user, any order that the grammar allows, drops
and resumptions included. Every word of the model is unique, so that a lost, repeated or misplaced word shows.
"""

import heapq
import itertools
import math
import random
import re
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any

from .client import END, ENDED, GENERATED, INTERRUPTED, START, Client, call, content, speech, transcript, words


class Turn(Enum):
    """How the model's side of an exchange may go."""

    PLAIN = auto()
    CALL = auto()
    """A blocking call: no turnComplete before the answer (3.8, 3.1, 2.5: pydantic-ai's recordings)."""
    BRIDGE = auto()
    """The same, after some speech in the same turn."""
    TWO_CALLS = auto()
    """Two calls, in one message or one after the other."""
    ASYNC_CALL = auto()
    """A NON_BLOCKING call whose turn ends with it or right after the result; perhaps an empty turn more; then the
    answer in a turn of its own (3.8: pydantic-ai's recordings and probes, Oct 2026)."""
    SPEECH_BESIDE_CALL = auto()
    """NON_BLOCKING: the model speaks on; the result interrupts it, or waits for its end (2.5: recordings)."""
    SILENT_CALL = auto()
    """NON_BLOCKING with a silent result: the model says what it has to say, nothing follows the result."""
    CALL_IN_EMPTY_TURN = auto()
    """generationComplete and an empty turnComplete after the result, before the answer (Vertex: recordings)."""
    REPEATED_CALL = auto()
    """The server cancels the call after a while and makes it again (3.1: livekit#5556)."""
    FILLER = auto()
    """Extended thinking: filler, an end with IN_PROGRESS or without status, a call, the answer, an end with IDLE."""
    FILLER_ONLY = auto()
    """Extended thinking: two turns without a call, the first with IN_PROGRESS."""
    EMPTY_THEN_ANSWER = auto()
    """One or two turns without output, and the answer within 8 s (3.8: reports, Oct 2026)."""
    EMPTY = auto()
    """A turn without output, each time (3.1, 3.8: reports)."""
    EMPTY_ONCE = auto()
    """The same, but the question is answered when it is sent again."""
    REJECTED = auto()
    """A turn without output that ends with a reason."""
    WAITS = auto()
    """The model waits for more input instead of answering, and says so (Google's reference, Nov 2026)."""
    IGNORED_ONCE = auto()
    """Nothing comes, one time in twenty (3.1: gemini-live-api-examples#55)."""
    SPURIOUS = auto()
    """`interrupted` before the answer, about one that the client has heard to its end (LiveKit's plugin)."""
    STRAY_TEXT = auto()
    """An answer written as unflagged text beside the speech (livekit-plugins-google 1.8.9)."""


class End(Enum):
    """How a turn ends after its last output."""

    FULL = auto()
    """generationComplete, playback, turnComplete: every complete recording."""
    NO_GENERATION_COMPLETE = auto()
    NO_TURN_COMPLETE = auto()
    """Once on 3.1 (interpretab's notes)."""


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """What one model may send."""

    model: str
    turns: tuple[Turn, ...]
    ends: tuple[End, ...] = (End.FULL,) * 8 + (End.NO_GENERATION_COMPLETE,)
    words_in_sound: bool = True
    """False: words have messages of their own, up to three before the first sound (2.5)."""
    words_only: bool = False
    """True if an answer may have words and no sound (3.1, a recording)."""
    transcript_is_whole: bool = True
    """False: pieces arrive while the user speaks (2.5)."""
    activity: float = 0.9
    """Share of the speech that voiceActivity announces."""
    typed_cuts: bool = True
    """True if a typed line cuts off the answer; False: it waits for its end (2.5)."""
    empty: tuple[Mapping[str, Any], ...] = ()
    """Messages without content, which may come before any other."""
    handles: bool = False
    """True if handles arrive all the time (3.1)."""
    knows_questions: bool = False
    """True if a resumed session knows a line that was not answered, and may answer it unasked (3.8)."""
    keeps_calls: bool = False
    """True if calls that a drop left open swallow the next input of a resumed session (3.8)."""


_ANY = (Turn.PLAIN,) * 6 + (Turn.CALL, Turn.BRIDGE, Turn.TWO_CALLS)
_BAD = (
    *(Turn.EMPTY_THEN_ANSWER, Turn.EMPTY, Turn.EMPTY_ONCE, Turn.REJECTED, Turn.SPURIOUS),
    *(Turn.STRAY_TEXT, Turn.WAITS),
)
_ASYNC = (Turn.ASYNC_CALL, Turn.SPEECH_BESIDE_CALL, Turn.SILENT_CALL)

GRAMMARS = (
    Grammar(
        model="gemini-3.8-live",
        turns=(*_ANY, *_BAD, *_ASYNC),
        empty=({}, content()),
        knows_questions=True,
        keeps_calls=True,
    ),
    Grammar(
        model="gemini-3.8-live-extended-thinking",
        turns=(*(Turn.FILLER,) * 3, Turn.FILLER_ONLY, *(Turn.PLAIN,) * 3, Turn.EMPTY_THEN_ANSWER, Turn.REJECTED),
        ends=(End.FULL,),
        empty=({}, content()),
        knows_questions=True,
        keeps_calls=True,
    ),
    Grammar(
        model="gemini-3.1-flash-live-preview",
        turns=(*_ANY, *_BAD, Turn.REPEATED_CALL, Turn.IGNORED_ONCE),
        ends=((End.FULL,) * 8 + (End.NO_GENERATION_COMPLETE, End.NO_TURN_COMPLETE)),
        words_only=True,
        empty=(content(),),
        handles=True,
    ),
    Grammar(
        model="gemini-2.5-flash-native-audio-latest",
        turns=(*_ANY, *_BAD, Turn.SPEECH_BESIDE_CALL, Turn.SILENT_CALL, Turn.CALL_IN_EMPTY_TURN),
        words_in_sound=False,
        transcript_is_whole=False,
        activity=0.0,
        typed_cuts=False,
    ),
)


class User(Enum):
    """Who uses the client."""

    PIPE = auto()
    TERMINAL = auto()
    """Lines that are typed at any time, and a microphone."""
    FILE = auto()
    """Speech, whose pauses are short or long."""


@dataclass(eq=False)
class Ask:
    """Something that the user types or says, and the truth about it."""

    name: str
    is_typed: bool
    turn: Turn
    times_received: int = 0
    said: list[str] = field(default_factory=list)
    """Every word of the model about it, on all connections."""
    final: list[str] = field(default_factory=list)
    """The words of the answer that was complete, or cut off."""
    is_answered: bool = False
    is_cut_off: bool = False
    is_lost: bool = False
    """It was spoken, and the connection was lost before it was answered."""
    is_noticed: bool = True
    """It was spoken, and voiceActivity or the client's own detector told so at once."""
    lacks_transcript: bool = False
    """It was spoken, and its transcript comes after the first sound of the answer."""
    late: set[str] = field(default_factory=set)
    """Words that came after the end of the answer: nobody can know whose they are."""

    def take(self) -> None:
        """Note that a server has received it, perhaps again, so that its answer begins anew."""
        self.times_received += 1
        self.final.clear()


class _CutError(Exception):
    """The user interrupts what the server is doing."""


Script = Generator[float]
"""Yields how many seconds to wait."""


class Server:
    """The server of one connection."""

    def __init__(self, play: "Play", known: Ask | None, *, has_stale_calls: bool) -> None:
        self.play, self.grammar, self.chance = play, play.grammar, play.chance
        self.inbox: deque[Ask] = deque()
        if known is not None:
            known.take()
            self.inbox.append(known)
        self.answering: Ask | None = None
        self.speaks = False
        """True from the first sound of a turn to its end."""
        self.results: set[str] = set()
        self.result_s = -math.inf
        """When the last result came."""
        self.open_calls: set[str] = set()
        self.wakes_s = math.inf
        self.playback_ends_s = 0.0
        self.has_stale_calls = has_stale_calls
        self._script = self._run()
        self._is_running = self._can_be_cut = False
        self.resume()

    # What happens to it

    def receive(self, ask: Ask) -> None:
        """Take something to answer; it may cut off what is being answered."""
        if ask in self.inbox or ask is self.answering:  # sent once more before anything came of it
            return
        ask.take()
        self.inbox.append(ask)
        cuts = not ask.is_typed or self.grammar.typed_cuts
        if self._is_running:
            return
        if self.answering is None:
            self.resume()
        elif cuts and self._can_be_cut:
            self.resume(_CutError())

    def take_result(self, call_id: str) -> None:
        """Take the result of a call."""
        self.results.add(call_id)
        self.result_s = self.play.client.now_s
        if self.wakes_s == math.inf:
            self.resume()

    def resume(self, error: Exception | None = None) -> None:
        """Run to the next wait."""
        self._is_running = True
        pause_s = next(self._script) if error is None else self._script.throw(error)
        self._is_running = False
        self.wakes_s = self.play.client.now_s + pause_s

    # What it does

    def _run(self) -> Script:
        while True:
            while not self.inbox:
                yield math.inf
            if self.has_stale_calls:  # the input only closes the old exchange
                self.has_stale_calls = False
                self.inbox.popleft()
                yield 0.1
                self.send(ENDED)
                continue
            ask = self.answering = self.inbox.popleft()
            self.speaks = False
            self._can_be_cut = True
            try:
                yield self._any(0.1, 0.4, 1.5)
                if not ask.is_typed:
                    yield from self._transcribe(ask)
                yield from self._answer(ask)
            except _CutError:
                self._can_be_cut = False
                yield from self._cut_off(ask)
            self._can_be_cut = False
            self.answering = None
            if self._rarely():
                yield self._any(0.2, 3.0)

    def _transcribe(self, ask: Ask) -> Script:
        """Send the transcript of speech: at its end or in pieces, and sometimes only after the first sound."""
        ask.lacks_transcript = self.chance.random() < 0.2
        if ask.lacks_transcript:
            return
        if self.grammar.transcript_is_whole:
            self._hear(ask, f"u{ask.name}.0 ")
            self.send(END)
            yield self._any(0.0, 1.0)
            return
        for i in range(3):
            self._hear(ask, f"u{ask.name}.{i} ")
            yield 0.1
        yield self._any(0.0, 1.0)

    def _hear(self, ask: Ask, text: str) -> None:
        self.play.heard.append(text.strip())
        self.send(transcript(text))

    def _answer(self, ask: Ask) -> Script:  # noqa: PLR0912 - one case for each kind of turn
        status: str | None = "IDLE" if self._thinks else None
        first_time = ask.times_received == 1
        match ask.turn:
            case Turn.CALL | Turn.BRIDGE:
                if ask.turn is Turn.BRIDGE:
                    yield from self._say(ask)
                yield from self._call(ask)
            case Turn.TWO_CALLS:
                ids = [f"{ask.name}-{ask.times_received}-{i}" for i in range(2)]
                if self._often():
                    self._open(*ids)
                else:
                    self._open(ids[0])
                    yield 0.1
                    self._open(ids[1])
                yield from self._wait_for(*ids)
            case Turn.ASYNC_CALL:
                call_id = self._open(f"{ask.name}-{ask.times_received}")
                if self._often():
                    self.send(GENERATED)
                if self._often():
                    yield 0.016
                    self.send(ENDED)
                    yield from self._wait_for(call_id)
                else:
                    yield from self._wait_for(call_id)
                    yield 0.014
                    self.send(ENDED)
                if self._rarely():
                    yield 0.01
                    self.send(ENDED)
                yield self._any(0.5, 3.0)
            case Turn.SPEECH_BESIDE_CALL:
                call_id = self._open(f"{ask.name}-{ask.times_received}")
                yield from self._say(ask)
                if self._often():
                    self.send(GENERATED)
                interrupts = self._often()
                if not interrupts and self._often():
                    yield from self._end_turn()
                    yield from self._wait_for(call_id)
                else:
                    yield from self._wait_for(call_id)
                    yield 0.05
                    if interrupts:
                        self.send(INTERRUPTED)
                    yield from self._end_turn()
                yield self._any(0.5, 3.0)
            case Turn.SILENT_CALL:
                call_id = self._open(f"{ask.name}-{ask.times_received}", silent=True)
                yield from self._say(ask)
                if self._often():
                    yield from self._wait_for(call_id)
                    yield from self._complete(ask)
                else:
                    yield from self._complete(ask)
                    yield from self._wait_for(call_id)
                return
            case Turn.CALL_IN_EMPTY_TURN:
                yield from self._call(ask)
                self.send(GENERATED, ENDED)
                yield self._any(0.2, 1.0)
            case Turn.REPEATED_CALL if first_time:
                call_id = self._open(f"{ask.name}-first", answered=False)
                yield 12.0
                self.open_calls.discard(call_id)
                self.send({"toolCallCancellation": {"ids": [call_id]}})
                yield 0.1
                yield from self._call(ask)
            case Turn.FILLER | Turn.FILLER_ONLY:
                yield from self._say(ask)
                self.send(GENERATED)
                yield self._any(0.1, 2.0)
                plain = ask.turn is Turn.FILLER and self._often()
                self.send(ENDED if plain else content(turnComplete=True, interactionStatus="IN_PROGRESS"))
                self.speaks = False
                yield self._any(0.1, 2.0, 20.0)
                if ask.turn is Turn.FILLER:
                    yield from self._call(ask)
            case Turn.EMPTY_THEN_ANSWER:
                for _ in range(self.chance.randint(1, 2)):
                    self.send(self._end(status))
                    yield self._any(0.1, 2.0)
            case Turn.EMPTY | Turn.EMPTY_ONCE if ask.turn is Turn.EMPTY or first_time:
                self.send(self._end(status))
                return
            case Turn.REJECTED:
                self.send(content(turnComplete=True, turnCompleteReason="RESPONSE_REJECTED"))
                return
            case Turn.WAITS:
                waits, end = content(waitingForInput=True), self._end(status)
                self.send(*self._any_of((waits, end), (end, waits), (waits,)))
                return
            case Turn.IGNORED_ONCE if first_time and ask.is_typed:
                return
            case Turn.SPURIOUS if self.play.user is User.PIPE:
                self.send(INTERRUPTED)
                yield 0.1
                self.send(ENDED)
                yield 0.5
            case Turn.STRAY_TEXT:
                self.send(content(modelTurn={"parts": [{"text": "a leaked thought"}]}))
        yield from self._say(ask)
        yield from self._complete(ask, status)

    def _say(self, ask: Ask) -> Script:
        grammar, silent = self.grammar, self.grammar.words_only and self._rarely()
        self.speaks = True
        if not grammar.words_in_sound:
            for _ in range(self.chance.randint(0, 3)):
                self.send(words(self._word(ask)))
        for _ in range(self.chance.randint(1, 4)):
            seconds = self._any(0.1, 0.5, 4.0)
            if silent:
                self.send(words(self._word(ask)))
            elif grammar.words_in_sound:
                self._sound(self._word(ask) if self._often() else "", seconds)
            else:
                self._sound("", seconds)
                if self._often():
                    self.send(words(self._word(ask)))
            if ask.lacks_transcript:
                ask.lacks_transcript = False
                yield self._any(0.0, 0.1, 0.4)
                self._hear(ask, f"u{ask.name}.0 ")
            yield self._any(0.0, 0.1, 0.4)
        if grammar.words_in_sound and not silent:
            self._sound(self._word(ask), 0.1)
        else:
            self.send(words(self._word(ask)))

    def _sound(self, text: str, seconds: float) -> None:
        self.playback_ends_s = max(self.playback_ends_s, self.play.client.now_s) + seconds
        self.send(speech(text, seconds))

    def _word(self, ask: Ask) -> str:
        word = f"m{ask.name}.{len(ask.said)} "
        ask.said.append(word)
        ask.final.append(word)
        return word

    def _complete(self, ask: Ask, status: str | None = None) -> Script:
        """End the last turn of an answer."""
        end = self.chance.choice(self.grammar.ends)
        if end is not End.NO_GENERATION_COMPLETE:
            self.send(GENERATED)
        ask.is_answered = True
        yield max(0.05, self.playback_ends_s - self.play.client.now_s - 0.1)
        if end is End.NO_TURN_COMPLETE:
            yield 6.0
        else:
            self.send(self._end(status))
            self.speaks = False
            if self.chance.random() < 0.05:  # reports of 2025 and early 2026; in no recording
                yield self._any(0.03, 0.3, 2.0)
                word = self._word(ask)
                ask.final.remove(word)
                ask.late.add(word.strip())
                self.send(words(word))
        self.speaks = False

    def _end_turn(self) -> Script:
        yield 0.05
        self.send(ENDED)
        self.speaks = False

    def _end(self, status: str | None) -> dict[str, Any]:
        return content(turnComplete=True, **({"interactionStatus": status} if status else {}))

    def _call(self, ask: Ask) -> Script:
        yield from self._wait_for(self._open(f"{ask.name}-{ask.times_received}-{len(self.results)}"))
        yield self._any(0.3, 1.0)

    def _open(self, *ids: str, silent: bool = False, answered: bool = True) -> str:
        self.open_calls.update(ids)
        self.send(call(*ids))
        for call_id in ids:
            if answered:
                self.play.run_function(call_id, self._any(0.0, 0.5, 10.0), silent=silent)
        return ids[0]

    def _wait_for(self, *ids: str) -> Script:
        while not self.results.issuperset(ids):
            yield math.inf
        self.open_calls.difference_update(ids)

    def _cut_off(self, ask: Ask) -> Script:
        """End a turn because of what has come into the inbox."""
        after_result_s = self.play.client.now_s - self.result_s
        if after_result_s <= 1.0 or (self.results and not self.inbox[0].is_noticed):
            self.play.has_two_readings = True
        if not ask.is_answered:
            ask.is_cut_off = True
        self.send(INTERRUPTED)
        if self.open_calls:
            self.send({"toolCallCancellation": {"ids": sorted(self.open_calls)}})
            self.open_calls.clear()
        self.playback_ends_s = self.play.client.now_s
        yield self._any(0.0, 0.2)
        self.send(ENDED)
        self.speaks = False

    # Chance, and sending

    @property
    def _thinks(self) -> bool:
        return Turn.FILLER in self.grammar.turns

    def _any(self, *choices: float) -> float:
        return self.chance.choice(choices)

    def _any_of(self, *choices: tuple[Mapping[str, Any], ...]) -> tuple[Mapping[str, Any], ...]:
        return self.chance.choice(choices)

    def _often(self) -> bool:
        return self.chance.random() < 0.5

    def _rarely(self) -> bool:
        return self.chance.random() < 0.1

    def send(self, *messages: Mapping[str, Any]) -> None:
        """Send messages, perhaps after some without content."""
        for message in messages:
            if self.grammar.empty and self._often():
                self.play.receive(self.chance.choice(self.grammar.empty))
            if self.grammar.handles and self._rarely():
                self.play.receive({"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}})
            self.play.receive(message)


class Play:
    """One session from its first question to its end."""

    def __init__(self, grammar: Grammar, user: User, seed: int, *, n_drops: int = 0) -> None:
        self.grammar, self.user, self.chance = grammar, user, random.Random(seed)
        self.client = Client(grammar.model)
        self.client.on_asked = self._sent
        self.asks: list[Ask] = []
        self.heard: list[str] = []
        """Every word of the user that was transcribed."""
        self.log: list[str] = []
        """What happened, for whoever looks for the reason of a failure."""
        self.n_dropped = 0
        self.has_two_readings = False
        """True if an interruption may have been caused by a result or by speech that nobody noticed."""
        self._agenda: list[tuple[float, int, Any]] = []
        """Times, and what is done then."""
        self._counter = itertools.count()
        self._is_silent = False
        self.client.on_silence = self._note_silence
        self.server = Server(self, None, has_stale_calls=False)
        self._begin_session()
        for _ in range(n_drops):
            self._plan(self.chance.uniform(0.0, 15.0), self._drop)

    def run(self) -> None:
        """Play to the end of the session."""
        client, last_s = self.client, self._plan_user()
        self._plan(last_s, self._end_inputs)
        end_s = client.now_s + last_s + 600.0
        while not (client.is_over and not self._agenda):
            deadline_s = client.conversation.deadline_s()
            planned_s = self._agenda[0][0] if self._agenda else math.inf
            when_s = min(self.server.wakes_s, planned_s, math.inf if deadline_s is None else deadline_s)
            assert when_s < end_s, f"the session does not end: {self.client.conversation._state}"
            client.now_s = max(client.now_s, when_s)
            if self._is_silent:
                self._is_silent = False
                self._drop()
            elif when_s == planned_s:
                heapq.heappop(self._agenda)[2]()
            elif when_s == self.server.wakes_s:
                self.server.resume()
            else:
                client.wait(0.0)
        client.dispatcher.apply(client.conversation.finish())

    def receive(self, message: Mapping[str, Any]) -> None:
        """Let the client receive a message."""
        self.log.append(f"{self.client.now_s:8.2f} < {_short(message)}")
        self.client.receive(message)

    def run_function(self, call_id: str, seconds: float, *, silent: bool) -> None:
        """Let the client answer a call after a time, unless it is cancelled."""

        def finish() -> None:
            if any(call_id == known for known, _ in self.client.open_calls):
                self.log.append(f"{self.client.now_s:8.2f} > result {call_id}")
                self.client.finish_call(call_id, silent=silent)
                self.server.take_result(call_id)

        self._plan(seconds, finish)

    def _plan(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.client.now_s + delay_s, next(self._counter), act))

    # The user

    def _plan_user(self) -> float:
        """Plan what the user does; return when that ends."""
        n_asks, when_s = self.chance.randint(1, 4), 0.0
        for i in range(n_asks):
            is_typed = self.user is User.PIPE or (self.user is User.TERMINAL and self.chance.random() < 0.6)
            self.asks.append(Ask(str(i), is_typed, self.chance.choice(self.grammar.turns)))
        if self.user is User.PIPE:
            self._plan(0.0, lambda: self.client.pipe(*(ask.name for ask in self.asks)))
            return 0.0
        for ask in self.asks:
            when_s += self.chance.choice((0.5, 2.0, 6.0, 40.0))
            self._plan(when_s, partial(self._type if ask.is_typed else self._speak, ask))
        return when_s + 2.0

    def _type(self, ask: Ask) -> None:
        self.client.enter(ask.name)

    def _sent(self, text: str) -> None:
        self.log.append(f"{self.client.now_s:8.2f} > {text}")
        self.server.receive(self.asks[int(text)])

    def _speak(self, ask: Ask) -> None:
        """Speak; the server knows half a second later, and hears the end a little later still."""
        self.log.append(f"{self.client.now_s:8.2f} > speech {ask.name}")
        is_announced = self.chance.random() < self.grammar.activity
        is_detected = self.chance.random() < 0.9
        ask.is_noticed = is_announced or is_detected
        self.client.speak(is_detected=is_detected)

        def arrive() -> None:
            if is_announced:
                self.receive(START)
            self.server.receive(ask)

        self._plan(0.5, arrive)

    def _end_inputs(self) -> None:
        if self.user is User.PIPE:
            self.client.end_inputs()
        else:
            self.client.end_audio(by_hand=self.user is User.TERMINAL)

    # The connection

    def _note_silence(self) -> None:
        self._is_silent = True

    def _drop(self) -> None:
        """Lose the connection, and open another."""
        self.n_dropped += 1
        self.log.append(f"{self.client.now_s:8.2f} - the connection is lost")
        old = self.server
        for ask in [*([old.answering] if old.answering else []), *old.inbox]:
            ask.is_lost |= not ask.is_typed
        had_calls, known = bool(old.open_calls), old.answering or (old.inbox[0] if old.inbox else None)
        mute = self.client.on_asked
        self.client.on_asked = lambda _text: None
        held: list[str] = []
        self.client.on_asked = held.append
        self.client.lose_connection()
        self.client.on_asked = mute
        resumes = self.client.opening.handle is not None
        answers_unasked = resumes and self.grammar.knows_questions and self.chance.random() < 0.3
        is_unanswered = known is not None and known.is_typed and not known.is_answered
        self.server = Server(
            self,
            known if answers_unasked and is_unanswered and not had_calls else None,
            has_stale_calls=resumes and had_calls and self.grammar.keeps_calls,
        )
        if self.client.opening.stale_calls and self.server.has_stale_calls:
            self.server.has_stale_calls = False
            self._plan(0.1, lambda: self.receive(ENDED))
        for text in held:
            self._sent(text)
        self._begin_session()

    def _begin_session(self) -> None:
        if self.grammar.knows_questions:
            self.receive({"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}})


def _short(message: Mapping[str, Any]) -> str:
    """Return a message without its sound."""
    return re.sub(r"'inlineData': \{[^}]*\}", "sound", str(message))
