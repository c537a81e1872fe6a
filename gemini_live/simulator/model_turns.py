"""Performs the turns of the simulated model, one after the other, in the order of the service.

One task a session runs `ModelTurns.run`; other code asks for an answer (`ask`) or cuts one off (`interrupt`).
Only this task sends what belongs to a turn, so that turns never mix.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from gemini_live.models import Modality

from .answers import Plan, build_grounding, build_search_parts, describe_response, plan_answer
from .calls import CallBook, Result
from .clock import Clock, CutOff, TurnClock
from .delivery import Delivery
from .history import ConversationHistory, HandleBook, Said
from .records import TurnRecord
from .settings import Settings
from .speech import Sound, Speaker
from .usage import build_usage
from .wire import Wire

_TRAILING_S = 0.1
"""How long after turnComplete the last words come where they come after it."""
_FILLER = "One moment."


class Origin(StrEnum):
    """Where a turn comes from."""

    TYPED = "typed"
    CONTENT = "content"
    VOICE = "voice"
    RESULT = "result"
    END = "end"
    """Of the stream, where the model only transcribes."""


@dataclass(frozen=True)
class Ask:
    """Something for the model to answer."""

    origin: Origin
    text: str = ""
    sound: Sound | None = None
    """The user's voice, to be echoed; None: what is answered is said by the speaker."""
    results: tuple[Result, ...] = ()


class ModelTurns:
    """The model's side of the conversation."""

    def __init__(
        self,
        wire: Wire,
        settings: Settings,
        conversation: ConversationHistory,
        *,
        handles: HandleBook,
        speaker: Speaker,
        clock: Clock,
        pace: float,
        seed: int,
    ) -> None:
        self.settings = settings
        self.conversation = conversation
        self.calls = CallBook(wire.record)
        self._wire = wire
        self._faults = wire.faults
        self._record = wire.record
        self._handles = handles
        self._speaker = speaker
        self._pace = pace
        self._clock = TurnClock(clock)
        own_seed = f"{seed} {wire.record.number}"
        self._delivery = Delivery(wire, settings, self._clock, pace=pace, seed=own_seed, halfway=self._meet_halfway)
        self._random = Random(f"director {own_seed}")
        self._agenda: deque[Ask] = deque()
        self._turn: TurnRecord | None = None
        self._met_halfway = False
        wire.on_interrupted = self.interrupt

    @property
    def waits_for_calls(self) -> bool:
        """Whether the turn stands still until the client answers a call."""
        return bool(self._turn and self.calls.open_blocking_ids)

    def ask(self, ask: Ask, *, first: bool = False) -> None:
        """Have something answered, after what was asked before or first of all."""
        if first:
            self._agenda.appendleft(ask)
        else:
            self._agenda.append(ask)
        self._clock.wake()

    def interrupt(self) -> None:
        """Cut the turn off that is going on, if one is."""
        if self._turn is not None:
            self._clock.cut_off()

    def wake(self) -> None:
        """A call was answered: a turn may be waiting for it."""
        self._clock.wake()

    async def run(self) -> None:
        """Perform turns until cancelled."""
        while True:
            self._clock.begin()
            await self._clock.wait_for(lambda: bool(self._agenda))
            await self._perform(self._agenda.popleft())

    async def send_handle(self) -> None:
        """Give the client a handle for the conversation as it is now, if it asked for handles."""
        if self.settings.resumption:
            handle = self._handles.save(self.conversation, self._record.number)
            await self._wire.send({"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}})

    async def _perform(self, ask: Ask) -> None:
        self._faults.turn += 1
        turn = TurnRecord(number=self._faults.turn, asked=ask.text, origin=ask.origin)
        self._record.turns.append(turn)
        self._turn, self._met_halfway = turn, False
        self._record.changed()
        trailing = ""
        try:
            trailing = await self._answer(ask, turn)
        except CutOff:
            await self._end_interrupted(turn)
        finally:
            self._turn = None
            self._record.changed()
        if trailing:
            await self._send_trailing(trailing)
        await self.send_handle()

    async def _send_trailing(self, words: str) -> None:
        if self._pace:
            await self._clock.wait_for(lambda: bool(self._agenda), self._clock.clock.time() + _TRAILING_S)
        await self._delivery.send_content(outputTranscription={"text": words})

    async def _answer(self, ask: Ask, turn: TurnRecord) -> str:
        """Perform one turn; return the words that come after its end."""
        if self._faults.at_turn("no-answer"):
            await self._clock.wait_for(lambda: False)
        if self.settings.interprets:
            await self._interpret(ask, turn)
            return ""
        if ask.origin is Origin.VOICE:
            await self._delivery.send_heard(ask.text)
        if self._faults.at_turn("empty-turn"):
            await self._meet_halfway()
            await self._complete(turn)
            return ""
        plan = self._plan(ask)
        if ask.origin is not Origin.RESULT:
            audio_s = ask.sound.duration_s if ask.sound else 0.0
            self.conversation.said.append(Said("user", ask.text, audio_s))
        if plan.malformed_call:
            await self._complete(turn, turnCompleteReason="MALFORMED_FUNCTION_CALL")
            return ""
        if self.settings.capabilities.interaction_status and ask.origin is not Origin.RESULT:
            await self._send_filler(turn)
        words = await self._call(plan) if plan.calls else plan.words
        return await self._say(words, ask.sound, turn, plan)

    async def _interpret(self, ask: Ask, turn: TurnRecord) -> None:
        """Transcribe or translate: no conversation, and no end of a turn before the end of the stream."""
        if ask.origin is Origin.END:
            if not self.settings.capabilities.translates:
                await self._delivery.send_content(generationComplete=True)
                await self._complete(turn)
        elif self.settings.capabilities.translates:
            await self._delivery.send_heard(ask.text)
            await self._delivery.deliver(ask.text, ask.sound, turn, trails=False)
            await self._wire.send({"usageMetadata": build_usage(self.conversation, turn)})
        else:
            await self._delivery.send_interim(ask.text)

    def _plan(self, ask: Ask) -> Plan:
        if ask.origin is Origin.RESULT:
            return Plan(words=". ".join(describe_response(result.name, result.response) for result in ask.results))
        if ask.sound is not None:
            return Plan(words=ask.text)
        return plan_answer(
            ask.text,
            declarations=self.settings.declarations,
            search=self.settings.search,
            conversation=self.conversation,
        )

    async def _send_filler(self, turn: TurnRecord) -> None:
        """Say something to pass the time, as a model that thinks first does; its end is not the answer's."""
        await self._delivery.fill(_FILLER, await self._speaker.say(_FILLER, self.settings.voice), turn)
        await self._delivery.send_content(generationComplete=True)
        await self._delivery.send_content(turnComplete=True, interactionStatus="IN_PROGRESS")

    async def _call(self, plan: Plan) -> str:
        """Call functions; return what is to be said, after the results where the model waits for them."""
        awaited, message = self.calls.make(plan.calls, self.settings)
        if self.settings.resumption:
            # Nothing to resume to while a call is open: false and empty are not written (proto3 JSON).
            await self._wire.send({"sessionResumptionUpdate": {}})
        await self._wire.send(message)
        if self._faults.at_turn("duplicate-call"):
            await self._wire.send(message)
        if cancel := self._faults.at_turn("cancel-call"):
            await self._clock.wait_for(lambda: False, self._clock.clock.time() + cancel.number)
            await self._cancel_calls([call["id"] for call in message["toolCall"]["functionCalls"]])
        if not awaited:
            return f"I have called {', '.join(call.name for call in plan.calls)}."
        await self._clock.wait_for(lambda: self.calls.settled(awaited))
        return ". ".join(describe_response(result.name, result.response) for result in self.calls.take(awaited))

    async def _cancel_calls(self, ids: list[str]) -> None:
        cancelled = self.calls.cancel(ids)
        if cancelled:
            await self._wire.send({"toolCallCancellation": {"ids": cancelled}})

    async def _say(self, words: str, sound: Sound | None, turn: TurnRecord, plan: Plan) -> str:
        """Say the answer of a turn and end it; return the words that come after its end."""
        if self.settings.includes_thoughts:
            await self._delivery.send_parts({"text": f"The user wants an answer to: {turn.asked}", "thought": True})
        if plan.query and not self.settings.third_generation:
            for part in build_search_parts(plan.query):
                await self._delivery.send_parts(part)
        if sound is None and words and self.settings.modality is Modality.AUDIO:
            sound = await self._speaker.say(words, self.settings.voice)
        started_s = self._clock.clock.time()
        late = self._faults.at_turn("late-words") is not None
        trailing = await self._delivery.deliver(words, sound, turn, trails=late) if words else ""
        extra: dict[str, Any] = {"waitingForInput": True} if plan.waits_for_input else {}
        if plan.query:
            grounding = {"groundingMetadata": build_grounding(plan.query)}
            if self._random.random() < 0.5:
                await self._delivery.send_content(**grounding)
            else:
                extra |= grounding
        spoken_s = sound.duration_s if sound and self.settings.modality is Modality.AUDIO else 0.0
        return await self._finish(turn, started_s + spoken_s, trailing, extra)

    async def _finish(self, turn: TurnRecord, heard_until_s: float, trailing: str, extra: dict[str, Any]) -> str:
        """End a turn after the time that playing it takes; return the words that come after its end."""
        await self._meet_halfway()
        if self._faults.at_turn("no-turn-end"):
            return ""
        turn.generation_complete = True
        await self._delivery.send_content(generationComplete=True)
        if self._pace:
            await self._clock.pause_until(heard_until_s)
        if late := self._faults.at_turn("late-turn-complete"):
            await self._clock.pause_until(self._clock.clock.time() + late.number)
        turn.words += trailing
        self.conversation.said.append(Said("model", turn.words, turn.audio_s))
        if not self._faults.at_turn("no-turn-complete"):
            await self._complete(turn, **extra)
        return trailing

    async def _complete(self, turn: TurnRecord, **extra: Any) -> None:
        if self.settings.capabilities.interaction_status:
            extra["interactionStatus"] = "IDLE"
        content = {"turnComplete": True, **extra}
        await self._wire.send({"serverContent": content, "usageMetadata": build_usage(self.conversation, turn)})
        turn.complete = True

    async def _end_interrupted(self, turn: TurnRecord) -> None:
        turn.interrupted = True
        self.conversation.said.append(Said("model", turn.words, turn.audio_s))
        await self._delivery.send_content(interrupted=True)
        await self._cancel_calls(self.calls.open_blocking_ids)
        self.calls.stop_waiting()
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
