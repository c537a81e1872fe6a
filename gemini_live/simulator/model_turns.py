"""Takes the turns of the simulated model, one after the other: what is asked, in which order, and what cuts it off.

One task a session runs `ModelTurns.run`; other code asks for an answer (`ask`) or cuts one off (`interrupt`).
`Performer` performs what a turn says and does. Longer than 300 lines: it is one life of a turn, from the question on.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from gemini_live.models import EmptyMessages, StaleCalls, UnansweredCall, UserTranscript

from .actions import Action, FunctionResult, Question, Say, Together
from .answerer import Answerer
from .answers import describe_response, plan_answer
from .asks import INPUTS, Ask, Origin
from .calls import CallBook, Result
from .clock import Clock, CutOff, TurnClock, sleep
from .close_reasons import INTERNAL, INTERNAL_ERROR, POLICY_VIOLATION, Refusal
from .delivery import cut_user_words
from .handle_messages import HandleMessages
from .history import ConversationHistory, HandleBook, Said, describe_images
from .performer import Performer
from .records import TurnRecord
from .settings import Settings
from .speech import Synthesizer
from .wire import Wire

logger = logging.getLogger(__name__)

SPEECH = "speech"
"""What a spoken turn is transcribed as, with its length, if nobody says what was heard."""
_TRAILING_S = 0.1
"""How long after turnComplete the last words come under the fault `late-words`."""
_CUT_END_S = {EmptyMessages.CONTENT: 0.2}
"""From `interrupted` to turnComplete. pydantic-ai's recordings, Aug-Oct 2026: 0.2 s on 3.1, at once elsewhere."""


MAX_ASKS, MAX_ASK_BYTES = 1_000, 64 * 1024 * 1024
"""How many questions of a client may wait, and their size with their sound: it need not wait for answers."""


class ModelTurns:
    """The model's side of the conversation."""

    def __init__(
        self,
        wire: Wire,
        settings: Settings,
        history: ConversationHistory,
        *,
        handles: HandleBook,
        synthesizer: Synthesizer,
        clock: Clock,
        pace: float,
        seed: int,
        answerer: Answerer | None = None,
    ) -> None:
        """Begin with nothing asked. Over 40 lines: it builds and joins the parts of a session."""
        own_seed = f"{seed} {wire.record.number}"
        self.history = history
        self.calls = CallBook(wire.record, settings, history, own_seed)
        self.handles = HandleMessages(wire, settings, history, handles, self.calls)
        self.observed = settings.observed
        self.mute = False
        """True if the session hears and never generates: the fault `mute-resume`."""
        self._answerer = answerer
        self._wire = wire
        self._faults = wire.faults
        self._record = wire.record
        self._pace = pace
        self._clock = TurnClock(clock)
        self.performer = Performer(
            wire,
            settings,
            history,
            calls=self.calls,
            handles=self.handles,
            synthesizer=synthesizer,
            clock=self._clock,
            pace=pace,
            seed=own_seed,
            plan_results=self._plan_results,
        )
        self._delivery = self.performer.delivery
        self._agenda: deque[Ask] = deque()
        self._turn: TurnRecord | None = None
        self._words_sent_early: list[str] = []
        """Pieces of the user's transcript that were sent during the speech."""
        wire.on_interrupted = self.interrupt

    @property
    def settings(self) -> Settings:
        """The settings of the session, which a contextUpdate changes."""
        return self.performer.settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self.performer.settings = settings

    @property
    def waits_for_calls(self) -> bool:
        """Return True while the turn stands still until the client answers a call."""
        return bool(self._turn and self.calls.open_blocking_ids)

    @property
    def is_busy(self) -> bool:
        """Return True if an answer is in progress or queued."""
        return self._turn is not None or bool(self._agenda)

    def ask(self, ask: Ask, *, first: bool = False) -> None:
        """Queue something to be answered, at the end or before everything else.

        Raises:
            Refusal: Too much waits already.
        """
        if len(self._agenda) >= MAX_ASKS or sum(map(_size, self._agenda)) > MAX_ASK_BYTES:
            raise Refusal(
                POLICY_VIOLATION, "Too many requests are waiting.", "too many questions wait for their answers"
            )
        if first:
            self._agenda.appendleft(ask)
        else:
            self._agenda.append(ask)
        self._clock.wake()

    def interrupt(self) -> None:
        """Cut off the turn in progress, if there is one that has not begun to end."""
        if self._turn is None or not self.performer.interruptible:
            return
        if self.waits_for_calls and self.observed.unanswered_call is UnansweredCall.BLOCKS:
            return
        self._clock.cut_off()

    def wake(self) -> None:
        """Look again at what the turn in progress waits for: a call was answered."""
        self._clock.wake()

    async def run(self) -> None:
        """Perform turns until cancelled."""
        while True:
            self._clock.begin()
            await self._clock.wait_for(lambda: bool(self._agenda))
            await self._perform(self._agenda.popleft())

    async def begin_speech(self, offset_s: float) -> None:
        """Tell the client that its user began to speak."""
        await self._delivery.send_activity("ACTIVITY_START", offset_s)

    def heard(self) -> str:
        """Return the transcript of the next spoken question; empty if nobody says what was heard."""
        if self._answerer is None:
            return ""
        n_waiting = sum(ask.origin in INPUTS for ask in self._agenda)
        n_spoken = sum(ask.origin is Origin.VOICE for ask in self._agenda)
        turn, spoken_turn = self.history.n_questions + n_waiting + 1, self.history.n_spoken + n_spoken + 1
        return self._answerer.heard(turn, spoken_turn)

    async def send_first_words(self) -> None:
        """Send the first pieces of the user's transcript during the speech, as the 2.x models do."""
        deltas = self.observed.user_transcript is UserTranscript.DELTAS and self.settings.transcribes_input
        if not deltas or self._turn is not None or self.settings.interprets:
            return
        for piece in cut_user_words(self.heard() or f"({SPEECH}")[:2]:
            self._words_sent_early.append(piece)
            await self._delivery.send_content(inputTranscription={"text": piece})

    async def _perform(self, ask: Ask) -> None:
        self._faults.turn += 1
        turn = TurnRecord(number=self._faults.turn, asked=ask.text, origin=ask.origin)
        self._record.add_turn(turn)
        self._turn = turn
        self.performer.begin(turn, ask)
        self._record.changed()
        try:
            trailing = await self._answer(ask, turn)
            if trailing:
                await self._send_trailing(trailing)
        except CutOff:
            await self._end_interrupted(turn)
        finally:
            self._turn = None
            self._record.changed()
        await self.handles.send_if_asked()
        if ask.origin is Origin.VOICE:
            await self.handles.offer()

    async def _send_trailing(self, words: str) -> None:
        if self._pace:
            await self._clock.wait_for(lambda: bool(self._agenda), self._clock.clock.time() + _TRAILING_S)
        await self._delivery.send_content(outputTranscription={"text": words})

    async def _answer(self, ask: Ask, turn: TurnRecord) -> str:
        """Perform one turn; return the words that come after its end."""
        if ask.origin in INPUTS:
            self.history.n_questions += 1
            self.history.n_spoken += ask.origin is Origin.VOICE
        if ask.origin is Origin.TYPED and self._faults.at_turn("ignored-text"):
            return ""
        if self._faults.at_turn("no-answer"):
            await self._clock.wait_for(lambda: False)
        if self.settings.interprets:
            await self._interpret(ask, turn)
            return ""
        if ask.origin in (Origin.TYPED, Origin.CONTENT):
            await self.handles.withhold()
        await self._send_heard(ask)
        if self.mute or self.history.muted or await self._end_early(ask):
            return ""
        actions = await self._plan(ask)
        if ask.origin in INPUTS:
            audio_s = ask.sound.duration_s if ask.sound else 0.0
            self.history.add(Said("user", ask.text, audio_s, n_images=len(ask.images)))
        return await self.performer.perform(actions)

    async def _send_heard(self, ask: Ask) -> None:
        """Send the transcript of the user's words, and the end of the speech."""
        if ask.origin is Origin.VOICE:
            self.handles.may_offer = True
            early = "".join(self._words_sent_early)
            self._words_sent_early.clear()
            if early:
                await self._delivery.send_content(inputTranscription={"text": f" {ask.text}"[len(early) :]})
            else:
                await self._delivery.send_user_words(ask.text)
            await self._delivery.send_activity("ACTIVITY_END", ask.end_s)
        elif ask.origin is Origin.TYPED and self.observed.echoes_typed_text:
            for text in cut_user_words(ask.text.strip()):
                await self._delivery.send_content(inputTranscription={"text": text})

    async def _end_early(self, ask: Ask) -> bool:
        """End a turn that brings no answer; return False if it brings one."""
        stale = self.calls.stale and self.observed.stale_calls is StaleCalls.SWALLOW_AN_INPUT
        if ask.origin is Origin.STALE or (stale and ask.origin in INPUTS):
            self.history.open_calls -= self.calls.stale
            self.calls.stale.clear()
            await self.performer.complete()
        elif self._faults.at_turn("empty-turn"):
            await self.performer.meet_halfway()
            await self.performer.complete()
        elif ask.origin is Origin.RESULT and self._faults.at_turn("empty-after-result"):
            await self.performer.complete()
            self.performer.interruptible = True
            return False
        elif self._faults.at_turn("rejected"):
            await self.performer.complete(turnCompleteReason="RESPONSE_REJECTED")
        else:
            return False
        return True

    async def _interpret(self, ask: Ask, turn: TurnRecord) -> None:
        """Transcribe or translate: no conversation, and no end of a turn before the end of the stream."""
        if ask.origin is Origin.END:
            if not self.settings.capabilities.translates:
                await self.performer.complete()
        elif self.settings.capabilities.translates:
            await self._delivery.send_user_words(ask.text)
            await self._delivery.deliver(ask.text, ask.sound, turn)
            await self._wire.send({"usageMetadata": self.performer.usage()})
        else:
            await self._delivery.send_interim(ask.text)
            turn.generation_complete = True
            await self._delivery.send_content(generationComplete=True)

    async def _plan(self, ask: Ask) -> Sequence[Action]:
        """Return what the model does in a turn."""
        if ask.origin is Origin.RESULT:
            self.performer.scripted = bool(ask.about)
            return ask.next_actions or await self._plan_results(ask, ask.results)
        repeated = self.calls.take_unanswered()
        if repeated:
            return (Together(*repeated),)
        actions = await self._consult(ask)
        if actions is not None:
            self.performer.scripted = True
            return actions
        if ask.sound is not None:
            return (Say(ask.text, ask.sound),)
        return plan_answer(
            ask.text,
            declarations=self.settings.declarations,
            search=self.settings.search,
            conversation=self.history,
            seen=self._describe_seen(ask),
        )

    async def _plan_results(self, ask: Ask, results: Sequence[Result]) -> tuple[Action, ...]:
        """Return what the model does about the results of its calls."""
        actions = await self._consult(ask, results)
        if actions is not None:
            return actions
        return (Say(". ".join(describe_response(result.name, result.response) for result in results)),)

    async def _consult(self, ask: Ask, results: Sequence[Result] = ()) -> tuple[Action, ...] | None:
        """Return what the script or the user's function says that the model does; None if neither has a say in it.

        Raises:
            CutOff: The turn was interrupted before the function returned.
            Refusal: The function failed.
        """
        if self._answerer is None:
            return None
        question = Question(
            text=ask.about or ask.text,
            spoken=ask.is_spoken,
            turn=self.history.n_questions,
            spoken_turn=self.history.n_spoken,
            results=tuple(FunctionResult(result.name, result.response) for result in results),
            pcm=ask.sound.data if ask.sound else b"",
            rate_hz=ask.sound.rate_hz if ask.sound else 0,
            n_pictures=self._n_seen(ask),
            model=self.settings.model,
            handle=self.settings.handle,
        )
        task = asyncio.ensure_future(self._answerer.answer(question, self.history.known))
        task.add_done_callback(lambda _: self._clock.wake())
        try:
            await self._clock.wait_for(task.done)
            return task.result()
        except (CutOff, asyncio.CancelledError):
            raise
        except Exception as error:
            logger.exception("the answer function failed")
            words = f"the answer function failed: {type(error).__name__}: {error}"
            raise Refusal(INTERNAL_ERROR, INTERNAL, words) from error
        finally:
            task.cancel()

    def _sees_frames(self, ask: Ask) -> bool:
        """True if the model sees the frames of the session in a turn, not pictures inside the turn."""
        return ask.origin is Origin.VOICE or (self.observed.typed_turn_sees_frames and not ask.images)

    def _n_seen(self, ask: Ask) -> int:
        return self.history.n_frames if self._sees_frames(ask) else len(ask.images)

    def _describe_seen(self, ask: Ask) -> str:
        """Return a sentence about the pictures that the model sees in a turn."""
        if self._sees_frames(ask):
            return self.history.describe_frames()
        return describe_images(len(ask.images), ask.images[-1] if ask.images else None)

    async def _end_interrupted(self, turn: TurnRecord) -> None:
        self.performer.interruptible = False
        turn.interrupted = True
        self.history.add(Said("model", turn.words, turn.audio_s))
        await self._delivery.send_content(interrupted=True)
        if self.observed.unanswered_call is UnansweredCall.REPEATED:
            self.calls.abandon()
        else:
            await self.performer.cancel_calls(self.calls.open_blocking_ids)
            self.calls.stop_waiting()
        if self._pace:
            await sleep(self._clock.clock, _CUT_END_S.get(self.observed.empty_messages, 0.0))
        await self.performer.complete()


def _size(ask: Ask) -> int:
    """Return how much memory a question takes, about."""
    return len(ask.text) + (len(ask.sound.data) if ask.sound is not None else 0)
