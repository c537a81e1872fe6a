"""Performs what the model does in one turn: says, calls, thinks, searches, and ends the turn, in the service's order.

Runs in the task of `ModelTurns`. Nothing else sends what belongs to a turn, so that turns never mix. Longer than
300 lines: it is one order of events.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from gemini_live.models import EmptyMessages, Modality

from .actions import Action, Call, Close, End, Say, Search, Silent, Think, Together, Wait
from .answers import build_grounding, build_search_parts
from .asks import Ask, Origin
from .calls import CallBatch, CallBook, Result
from .clock import TurnClock, sleep
from .delivery import Delivery
from .handle_messages import HandleMessages
from .history import ConversationHistory, Said
from .records import TurnRecord
from .settings import Settings
from .speech import Sound, Synthesizer
from .usage import build_usage
from .wire import Wire

_ASYNC_END_S = 0.015
"""From a NON_BLOCKING call of 3.8 to its turnComplete. pydantic-ai's recording, Oct 2026."""
_GENERATION_END_S = 0.02
"""From the last sound to generationComplete. pydantic-ai's recordings, Aug-Oct 2026: 3 to 52 ms."""
_PLAYED_EARLY_S = 0.1
"""How much turnComplete precedes the end of playback. The same recordings: 0.04 to 0.25 s."""
_LATE_CALL_S = 2.0
_FILLER = "One moment."
_STRAY_TEXT = "I should answer this in a friendly tone."

PlanResults = Callable[[Ask, Sequence[Result]], Awaitable[tuple[Action, ...]]]
"""Returns what the model does about the results of its calls."""


class Performer:
    """Performs the turns of one session."""

    def __init__(
        self,
        wire: Wire,
        settings: Settings,
        history: ConversationHistory,
        *,
        calls: CallBook,
        handles: HandleMessages,
        synthesizer: Synthesizer,
        clock: TurnClock,
        pace: float,
        seed: str,
        plan_results: PlanResults,
    ) -> None:
        """Begin without a turn. Over 40 lines: its arguments and fields."""
        self.settings = settings
        self.interruptible = False
        """False from the moment that a turn begins to end."""
        self.ends_call_turn_s: float | None = None
        """How long the turn of a call that nobody answers stays open; None: until the answer."""
        self.scripted = False
        """True if a script or a function decided what the turn says: no words are added to it."""
        self._observed = settings.observed
        self._wire = wire
        self._faults = wire.faults
        self._history = history
        self._calls = calls
        self._handles = handles
        self._synthesizer = synthesizer
        self._clock = clock
        self._pace = pace
        self._plan_results = plan_results
        self.delivery = Delivery(wire, settings, clock, pace=pace, seed=seed, halfway=self.meet_halfway)
        self._random = Random(f"director {seed}")
        self._turn = TurnRecord(0, "", "")
        self._ask = Ask(Origin.TYPED)
        self._met_halfway = self._announced = self._has_spoken = self._thought = self._has_thought_unasked = False
        self._played_s = 0.0
        """When the sound of the turn will have been played."""
        self._search: Search | None = None
        """A search whose sources are shown after the words."""
        self._trailing = ""
        """Words that come after the turn's end."""

    def begin(self, turn: TurnRecord, ask: Ask) -> None:
        """Begin a turn."""
        self._turn, self._ask = turn, ask
        self._met_halfway = self._announced = self._has_spoken = self._thought = self._has_thought_unasked = False
        self._search, self._trailing = None, ""
        self._played_s = self._now_s
        self.interruptible, self.scripted = True, False

    @property
    def _now_s(self) -> float:
        return self._clock.clock.time()

    async def perform(self, actions: Sequence[Action]) -> str:
        """Perform the actions of the turn and end it; return the words that come after its end.

        Raises:
            CutOff: The turn was interrupted.
            ConfigError: A sound file cannot be played.
        """
        await self._announce_slow_answer(actions)
        waits_for_input = False
        rest = deque(actions)
        while rest:
            action = rest.popleft()
            if not isinstance(action, Silent | End | Close | Wait):
                await self._announce(action)
            match action:
                case Say():
                    waits_for_input = action.waits_for_input
                    await self._say(action.words, action.sound, is_last=not rest)
                case Think():
                    await self._think(action.thought)
                case Search():
                    await self._begin_search(action)
                case Wait():
                    await self._clock.pause_until(self._now_s + (action.seconds / self._pace if self._pace else 0.0))
                case Call() | Together():
                    calls = action.calls if isinstance(action, Together) else (action,)
                    results = await self._call(calls, tuple(rest))
                    if results is None:
                        return await self._end_without_results(calls)
                    rest = rest or deque(await self._plan_results(self._ask, results))
                case Silent():
                    return ""
                case End(reason):
                    await self.complete(**({"turnCompleteReason": reason} if reason else {}))
                    return ""
                case Close():
                    await self._wire.end(action.code, action.reason)
                    return ""
        return await self._finish({"waitingForInput": True} if waits_for_input else {})

    async def _announce_slow_answer(self, actions: Sequence[Action]) -> None:
        """Say something to pass the time, as a model that thinks first does; its end is not the answer's."""
        is_slow = self.settings.capabilities.interaction_status and self._ask.origin is not Origin.RESULT
        if not is_slow or not actions or isinstance(actions[0], Silent | End | Close):
            return
        self._announced = True
        await self.delivery.announce()
        await self.delivery.deliver(_FILLER, await self._synthesizer.say(_FILLER, self.settings.voice), self._turn)
        await self.delivery.send_content(generationComplete=True)
        content: dict[str, Any] = {"turnComplete": True}
        if isinstance(actions[0], Call | Together) and self._faults.at_turn("filler-without-status"):
            await self._wire.send({"serverContent": content, "usageMetadata": self.usage()})
            await self._clock.pause_until(self._now_s + _LATE_CALL_S)
            return
        content["interactionStatus"] = "IN_PROGRESS"
        await self._wire.send({"serverContent": content, "usageMetadata": self.usage()})

    async def _announce(self, action: Action) -> None:
        """Send what precedes the first output of a turn."""
        if self._announced:
            return
        self._announced = True
        # pydantic-ai's recordings of 3.1, Aug 2026: one before a typed answer or call, three after speech, two before
        # a call that speech asked for.
        is_call = isinstance(action, Call | Together)
        await self.delivery.announce(1 if self._ask.origin is not Origin.VOICE else 2 if is_call else 3)

    async def _say(self, words: str, sound: Sound | None, *, is_last: bool) -> None:
        """Say words, or play the sound for which they stand."""
        await self._think_unasked()
        if self._faults.at_turn("stray-text"):
            await self.delivery.send_parts({"text": _STRAY_TEXT})
        if self._faults.at_turn("repeated-sentence"):
            words, sound = " ".join([words] * 3), None
        if sound is None and words and self.settings.modality is Modality.AUDIO:
            sound = await self._synthesizer.say(words, self.settings.voice)
        self._played_s = max(self._played_s, self._now_s)
        if self._has_spoken and words:
            words = f" {words}"
        self._has_spoken = True
        late = is_last and self._faults.at_turn("late-words") is not None
        if words or sound:
            self._trailing = await self.delivery.deliver(words, sound, self._turn, keeps_last=late)
        if sound and self.settings.modality is Modality.AUDIO:
            self._played_s += sound.duration_s

    async def _think_unasked(self) -> None:
        """Send a thought in a session that gets thoughts, where no script says which."""
        if self.scripted or self._has_thought_unasked:
            return
        self._has_thought_unasked = True
        thinks = self._observed.thinks_unasked and self.settings.thinks and self._random.random() < 0.5
        if self.settings.includes_thoughts or thinks:
            self._thought = True
            text = f"The user wants an answer to: {self._turn.asked}"
            await self.delivery.send_parts({"text": text, "thought": True})

    async def _think(self, thought: str) -> None:
        """Send a thought, if the session gets to see thoughts; it costs tokens in any case."""
        self._thought = True
        if self.settings.includes_thoughts or (self._observed.thinks_unasked and self.settings.thinks):
            await self.delivery.send_parts({"text": thought, "thought": True})

    async def _begin_search(self, search: Search) -> None:
        if not self.settings.search:
            self._wire.record.note("a script searches, but the client did not ask for Google Search")
            return
        await self._think_unasked()
        self._search = search
        if not self.settings.third_generation:
            for part in build_search_parts():
                await self.delivery.send_parts(part)

    async def _call(self, calls: tuple[Call, ...], next_actions: tuple[Action, ...]) -> list[Result] | None:
        """Call functions; return the results, or None if the model does not wait for them."""
        for call in calls:
            if self.scripted and call.name not in self.settings.declarations:
                self._wire.record.mistake(f"did not declare {call.name}, which the script calls")
        awaited, message = self._calls.make(calls, self.settings)
        ids = [call["id"] for call in message["toolCall"]["functionCalls"]]
        if self.scripted and not awaited:
            about = self._ask.about or self._ask.text
            self._calls.add_batch(CallBatch(frozenset(ids), next_actions, about, self._ask.is_spoken))
        await self._handles.withhold()
        await self.delivery.send_output(message)
        if self._faults.at_turn("duplicate-call"):
            await self._wire.send(message)
        if cancel := self._faults.at_turn("cancel-call"):
            await self._clock.wait_for(lambda: False, self._now_s + cancel.number)
            await self.cancel_calls(ids)
        return await self._wait_for_results(calls, awaited) if awaited else None

    async def _end_without_results(self, calls: tuple[Call, ...]) -> str:
        """End the turn of calls that the model does not wait for; return the words that come after its end."""
        if self._observed.speaks_during_calls:
            if not self.scripted:
                await self._say(f"I have called {', '.join(call.name for call in calls)}.", None, is_last=True)
            return await self._finish({})
        self.interruptible = False
        await self.delivery.send_content(generationComplete=True)
        if self._pace:
            await sleep(self._clock.clock, _ASYNC_END_S)
        await self.complete()
        return ""

    async def _wait_for_results(self, calls: tuple[Call, ...], awaited: list[str]) -> list[Result]:
        """Wait for the results of calls."""
        if self.ends_call_turn_s is not None:
            await self._clock.wait_for(lambda: self._calls.settled(awaited), self._now_s + self.ends_call_turn_s)
            if not self._calls.settled(awaited):
                await self.delivery.send_content(turnComplete=True)
        await self._clock.wait_for(lambda: self._calls.settled(awaited))
        if self._faults.at_turn("repeated-call"):
            again, message = self._calls.make(calls, self.settings)
            await self.delivery.send_output(message)
            await self._clock.wait_for(lambda: self._calls.settled(again))
            awaited += again
        results = self._calls.take(awaited)
        if self.settings.capabilities.interaction_status:
            # OpenClaw's probes, Sep 2026: what follows a response with willContinue is taken and never spoken.
            results = list({result.id: result for result in reversed(results)}.values())[::-1]
        self._handles.may_offer = True
        await self._handles.offer()
        await self.delivery.announce()
        return results

    async def cancel_calls(self, ids: list[str]) -> None:
        """Cancel those of the calls that are open."""
        cancelled = self._calls.cancel(ids)
        if cancelled:
            await self._wire.send({"toolCallCancellation": {"ids": cancelled}})

    async def _finish(self, extra: dict[str, Any]) -> str:
        """End the turn when its sound would have been played; return the words that come after its end."""
        turn = self._turn
        if self._search is not None:
            grounding = build_grounding(self._search.query, self._search.pages, turn.words)
            await self.delivery.send_content(groundingMetadata=grounding)
        await self.meet_halfway()
        if self._faults.at_turn("no-turn-end"):
            return ""
        await self._clock.pause_until(self._now_s + (_GENERATION_END_S if self._pace else 0.0))
        turn.generation_complete = True
        await self.delivery.send_content(generationComplete=True)
        if self._pace:
            await self._clock.pause_until(self._played_s - _PLAYED_EARLY_S)
        if late := self._faults.at_turn("late-turn-complete"):
            await self._clock.pause_until(self._now_s + late.number)
        turn.words += self._trailing
        self._history.add(Said("model", turn.words, turn.audio_s))
        if not self._faults.at_turn("no-turn-complete"):
            await self.complete(**extra)
        return self._trailing

    async def complete(self, **extra: Any) -> None:
        """Send turnComplete; `extra` stands beside it."""
        self.interruptible = False
        if self.settings.capabilities.interaction_status:
            extra["interactionStatus"] = "IDLE"
        content = {"turnComplete": True, **extra}
        await self._wire.send({"serverContent": content, "usageMetadata": self.usage()})
        self._turn.complete = True

    def usage(self) -> dict[str, Any]:
        """Return the usageMetadata of the turn in progress."""
        thought = self._thought or self._observed.empty_messages is EmptyMessages.BARE
        status = self.settings.capabilities.interaction_status
        return build_usage(self._history, self._turn, self._observed, thought=thought, thoughts_in_total=status)

    async def meet_halfway(self) -> None:
        """Let the faults happen that belong into the middle of a turn."""
        if self._met_halfway:
            return
        self._met_halfway = True
        for fault in self._faults.moments(by_turn=True):
            await self._wire.fire(fault)
        if self._faults.at_turn("early-turn-complete"):
            await self.delivery.send_content(turnComplete=True)
