"""Performs the turns of the simulated model, one after the other, in the order of the service.

One task a session runs `ModelTurns.run`; other code asks for an answer (`ask`) or cuts one off (`interrupt`).
Only this task sends what belongs to a turn, so that turns never mix. Longer than 300 lines: it is one order of events.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from gemini_live.models import (
    EmptyMessages,
    Handles,
    Modality,
    StaleCalls,
    UnansweredCall,
    UserTranscript,
)

from .answers import Call, Plan, build_grounding, build_search_parts, describe_response, plan_answer
from .calls import CallBook, Result
from .clock import Clock, CutOff, TurnClock, sleep
from .delivery import Delivery, cut_user_words
from .history import ConversationHistory, HandleBook, Said, describe_images
from .records import TurnRecord
from .settings import Settings
from .speech import Sound, Synthesizer
from .usage import build_usage
from .wire import Wire

_TRAILING_S = 0.1
"""How long after turnComplete the last words come under the fault `late-words`."""
_ASYNC_END_S = 0.015
"""From a NON_BLOCKING call of 3.8 to its turnComplete. pydantic-ai's recording, Oct 2026."""
_GENERATION_END_S = 0.02
"""From the last sound to generationComplete. pydantic-ai's recordings, Aug-Oct 2026: 3 to 52 ms."""
_PLAYED_EARLY_S = 0.1
"""How much turnComplete precedes the end of playback. The same recordings: 0.04 to 0.25 s."""
_CUT_END_S = {EmptyMessages.CONTENT: 0.2}
"""From `interrupted` to turnComplete. The same recordings: 0.2 s on 3.1, at once elsewhere."""
_LATE_CALL_S = 2.0
_FILLER = "One moment."
_STRAY_TEXT = "I should answer this in a friendly tone."


class Origin(StrEnum):
    """What a turn answers."""

    TYPED = "typed"
    CONTENT = "content"
    VOICE = "voice"
    RESULT = "result"
    STALE = "stale"
    """Calls of an earlier session, which the client has answered."""
    END = "end"
    """Of the stream, where the model only transcribes."""


_INPUTS = (Origin.TYPED, Origin.CONTENT, Origin.VOICE)


@dataclass(frozen=True)
class Ask:
    """Something for the model to answer."""

    origin: Origin
    text: str = ""
    sound: Sound | None = None
    """The user's voice, to be echoed; None: the synthesizer says the answer."""
    results: tuple[Result, ...] = ()
    images: tuple[tuple[int, int] | None, ...] = ()
    """Width and height of the pictures inside a typed turn."""
    end_s: float = 0.0
    """Where a spoken question ended, in seconds of the session's audio."""


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
    ) -> None:
        own_seed = f"{seed} {wire.record.number}"
        self.settings = settings
        self.history = history
        self.calls = CallBook(wire.record, settings, history, own_seed)
        self.observed = settings.observed
        self.mute = False
        """True if the session hears and never generates: the fault `mute-resume`."""
        self.ends_call_turn_s: float | None = None
        """How long the turn of a call that nobody answers stays open; None: until the answer."""
        self._gives_handles = False
        """True once a session of a model that sends handles while it runs may send them."""
        self._wire = wire
        self._faults = wire.faults
        self._record = wire.record
        self._handles = handles
        self._synthesizer = synthesizer
        self._pace = pace
        self._clock = TurnClock(clock)
        self._delivery = Delivery(wire, settings, self._clock, pace=pace, seed=own_seed, halfway=self._meet_halfway)
        self._random = Random(f"director {own_seed}")
        self._agenda: deque[Ask] = deque()
        self._turn: TurnRecord | None = None
        self._interruptible = False
        """False from the moment that a turn begins to end."""
        self._met_halfway = False
        self._thought = False
        self._words_sent_early: list[str] = []
        """Pieces of the user's transcript that were sent during the speech."""
        wire.on_interrupted = self.interrupt

    @property
    def waits_for_calls(self) -> bool:
        """Return True while the turn stands still until the client answers a call."""
        return bool(self._turn and self.calls.open_blocking_ids)

    @property
    def is_busy(self) -> bool:
        """Return True if an answer is in progress or queued."""
        return self._turn is not None or bool(self._agenda)

    def ask(self, ask: Ask, *, first: bool = False) -> None:
        """Queue something to be answered, at the end or before everything else."""
        if first:
            self._agenda.appendleft(ask)
        else:
            self._agenda.append(ask)
        self._clock.wake()

    def interrupt(self) -> None:
        """Cut off the turn in progress, if there is one that has not begun to end."""
        if self._turn is None or not self._interruptible:
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

    async def send_first_words(self, words: str) -> None:
        """Send the first pieces of the user's transcript during the speech, as the 2.x models do."""
        deltas = self.observed.user_transcript is UserTranscript.DELTAS and self.settings.transcribes_input
        if not deltas or self._turn is not None or self.settings.interprets:
            return
        for piece in cut_user_words(f"({words}")[:2]:
            self._words_sent_early.append(piece)
            await self._delivery.send_content(inputTranscription={"text": piece})

    async def send_handle(self) -> None:
        """Send a handle for resuming the session."""
        handle = self._handles.save(self.history, self._record.number, self.observed.handle_covers)
        await self._wire.send({"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}})

    async def offer_handle(self) -> None:
        """Send a handle in the middle of the session, where the model does and no call is open."""
        if self._gives_handles and self.observed.handles is Handles.WHILE_RUNNING and not self.calls.open_ids:
            await self.send_handle()

    async def send_first_handle(self) -> None:
        """Send the handle that follows setupComplete, where the model sends one."""
        at_setup = self.observed.handles is Handles.AT_SETUP
        if at_setup or (self.observed.handles is Handles.IF_ASKED and self.settings.resumption):
            await self.send_handle()

    async def _perform(self, ask: Ask) -> None:
        self._faults.turn += 1
        turn = TurnRecord(number=self._faults.turn, asked=ask.text, origin=ask.origin)
        self._record.turns.append(turn)
        self._turn, self._interruptible, self._met_halfway, self._thought = turn, True, False, False
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
        if self.observed.handles is Handles.IF_ASKED and self.settings.resumption:
            await self.send_handle()
        elif ask.origin is Origin.VOICE:
            await self.offer_handle()

    async def _send_trailing(self, words: str) -> None:
        if self._pace:
            await self._clock.wait_for(lambda: bool(self._agenda), self._clock.clock.time() + _TRAILING_S)
        await self._delivery.send_content(outputTranscription={"text": words})

    async def _answer(self, ask: Ask, turn: TurnRecord) -> str:
        """Perform one turn; return the words that come after its end."""
        if ask.origin is Origin.TYPED and self._faults.at_turn("ignored-text"):
            return ""
        if self._faults.at_turn("no-answer"):
            await self._clock.wait_for(lambda: False)
        if self.settings.interprets:
            await self._interpret(ask, turn)
            return ""
        if ask.origin in (Origin.TYPED, Origin.CONTENT):
            await self._withhold_handle()
        await self._send_heard(ask)
        if self.mute or self.history.muted or await self._end_early(ask, turn):
            return ""
        return await self._generate(ask, turn)

    async def _generate(self, ask: Ask, turn: TurnRecord) -> str:
        """Answer in words or by calls; return the words that come after the turn's end."""
        plan = self._plan(ask)
        self._remember(ask)
        if plan.malformed_call:
            await self._complete(turn, turnCompleteReason="MALFORMED_FUNCTION_CALL")
            return ""
        if self.settings.capabilities.interaction_status and ask.origin is not Origin.RESULT:
            await self._send_filler(turn, calls=bool(plan.calls))
        else:
            await self._delivery.announce(self._n_announcements(ask, plan))
        words = await self._call(plan, turn) if plan.calls else plan.words
        if words is None:
            return ""
        return await self._say(words, ask.sound, turn, plan)

    def _n_announcements(self, ask: Ask, plan: Plan) -> int:
        # pydantic-ai's recordings of 3.1, Aug 2026: one before a typed answer or call, three after speech, two before
        # a call that speech asked for.
        if ask.origin is not Origin.VOICE:
            return 1
        return 2 if plan.calls else 3

    async def _send_heard(self, ask: Ask) -> None:
        """Send the transcript of the user's words, and the end of the speech."""
        if ask.origin is Origin.VOICE:
            self._gives_handles = True
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

    async def _end_early(self, ask: Ask, turn: TurnRecord) -> bool:
        """End a turn that brings no answer; return False if it brings one."""
        stale = self.calls.stale and self.observed.stale_calls is StaleCalls.SWALLOW_AN_INPUT
        if ask.origin is Origin.STALE or (stale and ask.origin in _INPUTS):
            self.history.open_calls -= self.calls.stale
            self.calls.stale.clear()
            await self._complete(turn)
        elif self._faults.at_turn("empty-turn"):
            await self._meet_halfway()
            await self._complete(turn)
        elif ask.origin is Origin.RESULT and self._faults.at_turn("empty-after-result"):
            await self._complete(turn)
            self._interruptible = True
            return False
        elif self._faults.at_turn("rejected"):
            await self._complete(turn, turnCompleteReason="RESPONSE_REJECTED")
        else:
            return False
        return True

    def _remember(self, ask: Ask) -> None:
        if ask.origin in _INPUTS:
            audio_s = ask.sound.duration_s if ask.sound else 0.0
            self.history.add(Said("user", ask.text, audio_s, n_images=len(ask.images)))

    async def _interpret(self, ask: Ask, turn: TurnRecord) -> None:
        """Transcribe or translate: no conversation, and no end of a turn before the end of the stream."""
        if ask.origin is Origin.END:
            if not self.settings.capabilities.translates:
                await self._complete(turn)
        elif self.settings.capabilities.translates:
            await self._delivery.send_user_words(ask.text)
            await self._delivery.deliver(ask.text, ask.sound, turn)
            await self._wire.send({"usageMetadata": self._usage(turn)})
        else:
            await self._delivery.send_interim(ask.text)
            turn.generation_complete = True
            await self._delivery.send_content(generationComplete=True)

    def _plan(self, ask: Ask) -> Plan:
        if ask.origin is Origin.RESULT:
            return Plan(words=". ".join(describe_response(result.name, result.response) for result in ask.results))
        repeated = self.calls.take_unanswered()
        if repeated:
            return Plan(calls=repeated)
        if ask.sound is not None:
            return Plan(words=ask.text)
        return plan_answer(
            ask.text,
            declarations=self.settings.declarations,
            search=self.settings.search,
            conversation=self.history,
            seen=self._describe_seen(ask),
        )

    def _describe_seen(self, ask: Ask) -> str:
        """Return a sentence about the pictures that the model sees in a turn."""
        if ask.origin is Origin.VOICE or (self.observed.typed_turn_sees_frames and not ask.images):
            return self.history.describe_frames()
        return describe_images(len(ask.images), ask.images[-1] if ask.images else None)

    async def _send_filler(self, turn: TurnRecord, *, calls: bool) -> None:
        """Say something to pass the time, as a model that thinks first does; its end is not the answer's."""
        await self._delivery.announce()
        await self._delivery.deliver(_FILLER, await self._synthesizer.say(_FILLER, self.settings.voice), turn)
        await self._delivery.send_content(generationComplete=True)
        content: dict[str, Any] = {"turnComplete": True}
        if calls and self._faults.at_turn("filler-without-status"):
            await self._wire.send({"serverContent": content, "usageMetadata": self._usage(turn)})
            await self._clock.pause_until(self._clock.clock.time() + _LATE_CALL_S)
            return
        content["interactionStatus"] = "IN_PROGRESS"
        await self._wire.send({"serverContent": content, "usageMetadata": self._usage(turn)})

    async def _call(self, plan: Plan, turn: TurnRecord) -> str | None:
        """Call functions; return what is to be said, after the results where the model waits for them.

        Returns:
            None if the turn is over: the model does not speak in a turn with a call that it does not wait for.
        """
        awaited, message = self.calls.make(plan.calls, self.settings)
        await self._withhold_handle()
        await self._delivery.send_output(message)
        if self._faults.at_turn("duplicate-call"):
            await self._wire.send(message)
        if cancel := self._faults.at_turn("cancel-call"):
            await self._clock.wait_for(lambda: False, self._clock.clock.time() + cancel.number)
            await self._cancel_calls([call["id"] for call in message["toolCall"]["functionCalls"]])
        if awaited:
            return await self._wait_for_results(plan.calls, awaited)
        if self.observed.speaks_during_calls:
            return f"I have called {', '.join(call.name for call in plan.calls)}."
        self._interruptible = False
        await self._delivery.send_content(generationComplete=True)
        if self._pace:
            await sleep(self._clock.clock, _ASYNC_END_S)
        await self._complete(turn)
        return None

    async def _wait_for_results(self, calls: tuple[Call, ...], awaited: list[str]) -> str:
        """Wait for the results of calls; return what the model says about them."""
        if self.ends_call_turn_s is not None:
            await self._clock.wait_for(
                lambda: self.calls.settled(awaited), self._clock.clock.time() + self.ends_call_turn_s
            )
            if not self.calls.settled(awaited):
                await self._delivery.send_content(turnComplete=True)
        await self._clock.wait_for(lambda: self.calls.settled(awaited))
        if self._faults.at_turn("repeated-call"):
            again, message = self.calls.make(calls, self.settings)
            await self._delivery.send_output(message)
            await self._clock.wait_for(lambda: self.calls.settled(again))
            awaited += again
        results = self.calls.take(awaited)
        if self.settings.capabilities.interaction_status:
            # OpenClaw's probes, Sep 2026: what follows a response with willContinue is taken and never spoken.
            results = list({result.id: result for result in reversed(results)}.values())[::-1]
        self._gives_handles = True
        await self.offer_handle()
        await self._delivery.announce()
        return ". ".join(describe_response(result.name, result.response) for result in results)

    async def _withhold_handle(self) -> None:
        """Tell a client of the 2.x models that there is nothing to resume while a call or a typed turn runs."""
        if self.settings.capabilities.observed.handles is Handles.IF_ASKED and self.settings.resumption:
            await self._wire.send({"sessionResumptionUpdate": {}})  # proto3 JSON leaves false and empty out

    async def _cancel_calls(self, ids: list[str]) -> None:
        cancelled = self.calls.cancel(ids)
        if cancelled:
            await self._wire.send({"toolCallCancellation": {"ids": cancelled}})

    async def _say(self, words: str, sound: Sound | None, turn: TurnRecord, plan: Plan) -> str:
        """Say the answer of a turn and end it; return the words that come after its end."""
        await self._send_unspoken(turn, plan)
        if self._faults.at_turn("repeated-sentence"):
            words, sound = " ".join([words] * 3), None
        if sound is None and words and self.settings.modality is Modality.AUDIO:
            sound = await self._synthesizer.say(words, self.settings.voice)
        started_s = self._clock.clock.time()
        late = self._faults.at_turn("late-words") is not None
        trailing = await self._delivery.deliver(words, sound, turn, keeps_last=late) if words else ""
        if plan.query:
            await self._delivery.send_content(groundingMetadata=build_grounding(plan.query))
        spoken_s = sound.duration_s if sound and self.settings.modality is Modality.AUDIO else 0.0
        extra: dict[str, Any] = {"waitingForInput": True} if plan.waits_for_input else {}
        return await self._finish(turn, started_s + spoken_s - _PLAYED_EARLY_S, trailing, extra)

    async def _send_unspoken(self, turn: TurnRecord, plan: Plan) -> None:
        """Send the parts that precede an answer's words: thoughts, the sign of a search, a fault's stray text."""
        thinks = self.observed.thinks_unasked and self.settings.thinks and self._random.random() < 0.5
        if self.settings.includes_thoughts or thinks:
            self._thought = True
            await self._delivery.send_parts({"text": f"The user wants an answer to: {turn.asked}", "thought": True})
        if plan.query and not self.settings.third_generation:
            for part in build_search_parts():
                await self._delivery.send_parts(part)
        if self._faults.at_turn("stray-text"):
            await self._delivery.send_parts({"text": _STRAY_TEXT})

    async def _finish(self, turn: TurnRecord, played_s: float, trailing: str, extra: dict[str, Any]) -> str:
        """End a turn when its sound would have been played; return the words that come after its end."""
        await self._meet_halfway()
        if self._faults.at_turn("no-turn-end"):
            return ""
        await self._clock.pause_until(self._clock.clock.time() + (_GENERATION_END_S if self._pace else 0.0))
        turn.generation_complete = True
        await self._delivery.send_content(generationComplete=True)
        if self._pace:
            await self._clock.pause_until(played_s)
        if late := self._faults.at_turn("late-turn-complete"):
            await self._clock.pause_until(self._clock.clock.time() + late.number)
        turn.words += trailing
        self.history.add(Said("model", turn.words, turn.audio_s))
        if not self._faults.at_turn("no-turn-complete"):
            await self._complete(turn, **extra)
        return trailing

    async def _complete(self, turn: TurnRecord, **extra: Any) -> None:
        self._interruptible = False
        if self.settings.capabilities.interaction_status:
            extra["interactionStatus"] = "IDLE"
        content = {"turnComplete": True, **extra}
        await self._wire.send({"serverContent": content, "usageMetadata": self._usage(turn)})
        turn.complete = True

    def _usage(self, turn: TurnRecord) -> dict[str, Any]:
        always = self.observed.empty_messages is EmptyMessages.BARE
        status = self.settings.capabilities.interaction_status
        return build_usage(self.history, turn, self.observed, thought=always or self._thought, thoughts_in_total=status)

    async def _end_interrupted(self, turn: TurnRecord) -> None:
        self._interruptible = False
        turn.interrupted = True
        self.history.add(Said("model", turn.words, turn.audio_s))
        await self._delivery.send_content(interrupted=True)
        if self.observed.unanswered_call is UnansweredCall.REPEATED:
            self.calls.abandon()
        else:
            await self._cancel_calls(self.calls.open_blocking_ids)
            self.calls.stop_waiting()
        if self._pace:
            await sleep(self._clock.clock, _CUT_END_S.get(self.observed.empty_messages, 0.0))
        await self._complete(turn)

    async def _meet_halfway(self) -> None:
        """In the middle of a turn: let the faults happen that belong there."""
        if self._met_halfway:
            return
        self._met_halfway = True
        for fault in self._faults.moments(by_turn=True):
            await self._wire.fire(fault)
        if self._faults.at_turn("early-turn-complete"):
            await self._delivery.send_content(turnComplete=True)
