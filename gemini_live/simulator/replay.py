"""Replays one recorded connection: sends the server's messages, each after the client has done the same as then.

The client need not be the recorded one. It may send the same turns in other messages. If its turns differ, the record
of the session lists each difference (`departures`), and the replay continues with the recording. Longer than 300 lines:
it is one way through a recording.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from ..audio.pcm import OUTPUT
from ..recording.format import count_media_bytes
from .client_events import ClientEvent, ClientEvents, Kind
from .clock import Alarm, Clock
from .close_reasons import ABNORMAL_CLOSURE, INVALID_PAYLOAD, Refusal
from .records import CallRecord, SessionRecord, TurnRecord
from .replay_ids import ReplayIds
from .replay_steps import RecordedConnection, Send, WaitFor, restore_media
from .wire import Wire

_MAX_HAPPENED = 1_000
NO_ANSWER = "The recording has no answer to this."
_MAX_SETUP_DIFFERENCES = 5


class Replay:
    """One session of a replay."""

    def __init__(
        self,
        wire: Wire,
        setup: dict[str, Any],
        ids: ReplayIds,
        recorded: RecordedConnection,
        *,
        clock: Clock,
        pace: float,
    ) -> None:
        """Prepare the session that `setup` opens.

        Raises:
            Refusal: The setup's speech detection makes no sense.
        """
        self._wire, self._record = wire, wire.record
        self._ids, self._recorded = ids, recorded
        self._clock, self._pace = clock, pace
        self._events = ClientEvents(setup)
        self._happened: deque[ClientEvent] = deque(maxlen=_MAX_HAPPENED)
        """What the client did and the replay has not used yet, without function results; the oldest are dropped."""
        self._results: dict[str, ClientEvent] = {}
        """The client's function results, by the recorded id of the call."""
        self._alarm = Alarm(clock)
        self._recorded_s, self._began_s = recorded.setup_t_s, clock.time()
        """The time of the last common point, in the recording and in the replay."""
        self._position = 0
        self._turn: TurnRecord | None = None
        self._is_turn_over = True
        """True if all messages of the present turn were sent."""
        self._typed_for_speech = False
        """True if the client typed what was spoken in the recording."""
        self._told_early = False
        _compare_setups(self._record, recorded, setup)

    def take(self, message: dict[str, Any]) -> None:
        """Read a message of the client.

        Raises:
            Refusal: The message does not go with the setup.
        """
        if "setup" in message:
            raise Refusal(INVALID_PAYLOAD, "setup must be the first message and only the first", "a second setup")
        for event in self._events.read(message):
            if event.kind is Kind.RESULT:
                self._take_result(event, message)
            else:
                self._happened.append(event)
        if self._events.pcm:
            self._record.heard(self._events.pcm, self._events.duration_s, self._clock.time())
        self._record.changed()
        self._alarm.wake()

    def _take_result(self, event: ClientEvent, message: dict[str, Any]) -> None:
        """Store a function result and close its call in the record."""
        recorded_id = self._ids.find(event.call_id) if event.call_id else event.name
        call = self._record.calls.get(event.call_id)
        if recorded_id is None:
            self._record.mistake(f"answered a call that was never made: {event.call_id}")
            return
        if call is not None:
            call.open = False
            call.answers += [r for r in message["toolResponse"]["functionResponses"] if r.get("id") == event.call_id]
        self._results[recorded_id] = event

    async def run(self) -> None:
        """Perform all steps of the recording, then its end."""
        steps = self._recorded.steps
        while self._position < len(steps):
            step = steps[self._position]
            self._position += 1
            if isinstance(step, Send):
                await self._send_when_due(step)
            else:
                await self._wait_for(step)
        await self._end()

    async def _end(self) -> None:
        """Close as the recorded server did. If it did not, wait for the client, and close if it asks anything more."""
        closed = self._recorded.closed
        if closed is not None:
            await self._wait_until(self._due_s(closed.t_s))
            code = ABNORMAL_CLOSURE if closed.code is None else closed.code
            await self._wire.end(code, closed.reason)
            return
        while True:
            while self._happened:
                event = self._happened.popleft()
                if event.kind is not Kind.SPEECH_START:
                    self._record.departure(f"{event.describe()}, after the end of the recording")
                    await self._wire.close(INVALID_PAYLOAD, NO_ANSWER)
                    return
            await self._alarm.wait(None)

    def tell_rest(self) -> None:
        """Record, at the end of a session, what the recorded client did after this point and this client did not."""
        rest = [step for step in self._recorded.steps[self._position :] if isinstance(step, WaitFor)]
        current = self._recorded.steps[self._position - 1 : self._position]
        if current and isinstance(current[0], WaitFor) and not self._is_met(current[0]):
            rest.insert(0, current[0])
        rest = [awaited for awaited in rest if awaited.event.kind is not Kind.SPEECH_START]
        if rest:
            more = f", and {len(rest) - 1} more" if len(rest) > 1 else ""
            self._record.departure(f"{_place(rest[0])}: left before the recorded client {_describe(rest[0])}{more}")

    # Sending

    def _due_s(self, t_s: float) -> float:
        """Return the time in the replay for a time in the recording."""
        return self._began_s + ((t_s - self._recorded_s) / self._pace if self._pace else 0.0)

    async def _wait_until(self, when_s: float) -> None:
        while self._clock.time() < when_s:
            await self._alarm.wait(when_s)

    async def _send_when_due(self, step: Send) -> None:
        """Send a message at its time; skip the rest of the answer if the client has interrupted it as recorded."""
        due_s = self._due_s(step.t_s)
        while self._clock.time() < due_s:
            if self._next_has_come():
                if self._next_cuts():
                    self._drop_answer()
                    return
                if self._is_turn_over:
                    break  # only handles and the like are left: send them now, the client need not wait
                self._tell_early(step)
            await self._alarm.wait(due_s)
        await self._send(step)

    def _next_awaited(self) -> WaitFor | None:
        return next((step for step in self._recorded.steps[self._position :] if isinstance(step, WaitFor)), None)

    def _next_has_come(self) -> bool:
        """True if the client has already done what the replay waits for next; a function result does not count."""
        awaited = self._next_awaited()
        return (
            awaited is not None
            and awaited.event.kind is not Kind.RESULT
            and bool(self._happened)
            and self._fits(awaited)
        )

    def _fits(self, awaited: WaitFor) -> bool:
        """True if the oldest unused action of the client is what is awaited."""
        event = self._happened[0]
        return event.kind is awaited.event.kind and (
            event.kind is not Kind.TYPED or event.content == awaited.event.content
        )

    def _next_cuts(self) -> bool:
        """True if the next action of the recorded client interrupted the answer."""
        steps = self._recorded.steps[self._position :]
        first = next(i for i, step in enumerate(steps) if isinstance(step, WaitFor))
        for step in steps[first + 1 :]:
            if isinstance(step, WaitFor):
                return False
            content = step.message.get("serverContent", {})
            if "interrupted" in content:
                return True
            if "modelTurn" in content or "turnComplete" in content:
                return False
        return False

    def _drop_answer(self) -> None:
        """Skip the rest of the answer: continue at the next action of the recorded client."""
        while isinstance(self._recorded.steps[self._position], Send):
            self._position += 1

    def _tell_early(self, step: Send) -> None:
        """Record, once in a turn, that the client acts before the recorded answer is over."""
        if not self._told_early and self._happened[0].kind is not Kind.SPEECH_START:
            self._told_early = True
            event = self._happened[0]
            self._record.departure(f"{_place(step)}: {event.describe()} before the recorded answer was over; it waits")

    async def _send(self, step: Send) -> None:
        message = self._ids.renew_in(restore_media(step.message))
        self._follow(message)
        await self._wire.send(message)

    def _follow(self, message: Mapping[str, Any]) -> None:
        """Update the record of turns and calls with a message that is being sent."""
        for call in message.get("toolCall", {}).get("functionCalls", []):
            id_ = call.get("id", call.get("name", ""))
            self._record.add_call(CallRecord(id_, call.get("name", ""), call.get("args", {})))
        for id_ in message.get("toolCallCancellation", {}).get("ids", []):
            if id_ in self._record.calls:
                self._record.calls[id_].open, self._record.calls[id_].cancelled = False, True
        content = message.get("serverContent", {})
        if content.get("modelTurn") or content.get("outputTranscription"):
            self._is_turn_over = False
        if content.get("turnComplete"):
            self._is_turn_over, self._told_early = True, False
        if self._turn is not None:
            _add_to_turn(self._turn, content)

    # Waiting for the client

    async def _wait_for(self, awaited: WaitFor) -> None:
        """Wait until the client has done what the replay waits for; record what the client does instead."""
        n_left = awaited.n
        while not self._is_met(awaited):
            if not self._happened or awaited.event.kind is Kind.RESULT:
                await self._alarm.wait(None)
            elif self._fits(awaited):
                self._happened.popleft()
                n_left -= 1
                if n_left <= 0:
                    break
            elif self._settle_difference(awaited):
                break
            elif self._recorded.steps[self._position - 1] is not awaited:
                return  # went on elsewhere in the recording
        self._met(awaited)

    def _is_met(self, awaited: WaitFor) -> bool:
        """True if what is awaited has happened already: a function has its result, or the speech was typed instead."""
        if awaited.event.kind is Kind.RESULT:
            return (awaited.event.call_id or awaited.event.name) in self._results
        return self._typed_for_speech and awaited.event.kind is Kind.SPEECH_END

    def _settle_difference(self, awaited: WaitFor) -> bool:
        """Use an action of the client that is not what the replay waits for; return True if it counts as that.

        The start of speech never counts, nor does its end if a start is demanded. A line that is the transcript of the
        demanded speech counts. A line that the recorded client typed later moves the replay there. Anything else
        counts, and is recorded as a departure.
        """
        event = self._happened.popleft()
        if event.kind is Kind.SPEECH_START or (
            event.kind is Kind.SPEECH_END and awaited.event.kind is Kind.SPEECH_START
        ):
            return False
        if event.kind is Kind.TYPED:
            if awaited.event.kind is not Kind.TYPED and event.content == self._transcript_of(awaited):
                self._typed_for_speech = awaited.event.kind is Kind.SPEECH_START
                return True
            found = self._find_later(event)
            if found is not None:
                self._record.departure(
                    f"{_place(awaited)}: left out what the recorded client did: {_describe(awaited)}"
                )
                self._position = found
                self._happened.appendleft(event)
                return False
        self._typed_for_speech = awaited.event.kind is Kind.SPEECH_START
        self._record.departure(f"{_place(awaited)}: {event.describe()}, where the recorded client {_describe(awaited)}")
        return True

    def _transcript_of(self, awaited: WaitFor) -> str:
        """Return the transcript of the speech whose start or end is awaited, for a comparison."""
        steps = self._recorded.steps[self._position - 1 :]
        speech = next(
            (step for step in steps if isinstance(step, WaitFor) and step.event.kind is Kind.SPEECH_END), awaited
        )
        return " ".join(speech.transcript.split()).casefold()

    def _find_later(self, event: ClientEvent) -> int | None:
        """Return the position at which the recorded client typed the same line later, if it did."""
        steps = self._recorded.steps
        return next(
            (
                i
                for i in range(self._position, len(steps))
                if isinstance(step := steps[i], WaitFor)
                and step.event.kind is Kind.TYPED
                and step.event.content == event.content
            ),
            None,
        )

    def _met(self, awaited: WaitFor) -> None:
        """Continue the recording after what was awaited: set the common point in time, and begin a turn if it asks."""
        kind = awaited.event.kind
        if kind is Kind.RESULT:
            self._compare_results(awaited)
        self._recorded_s, self._began_s = awaited.t_s, self._clock.time()
        if kind is Kind.SPEECH_END:
            self._typed_for_speech = False
            self._record.n_utterances += 1
        if kind in (Kind.TYPED, Kind.SPEECH_END):
            asked = awaited.event.text if kind is Kind.TYPED else awaited.transcript or awaited.event.text
            origin = "typed" if kind is Kind.TYPED else "voice"
            self._turn = TurnRecord(self._record.n_turns + 1, asked, origin)
            self._record.add_turn(self._turn)
            self._wire.faults.turn += 1
        self._record.changed()

    def _compare_results(self, awaited: WaitFor) -> None:
        result = self._results[awaited.event.call_id or awaited.event.name]
        if result.response != awaited.event.response:
            self._record.departure(
                f"{_place(awaited)}: answered {awaited.event.name} with {result.response}, "
                f"where the recorded client answered {awaited.event.response}"
            )


def _place(step: WaitFor | Send) -> str:
    return f"line {step.line} of the recording ({step.t_s:.1f} s)"


def _describe(awaited: WaitFor) -> str:
    if awaited.event.kind is Kind.SPEECH_START or (awaited.event.kind is Kind.SPEECH_END and not awaited.transcript):
        return "spoke"
    return f'said "{awaited.transcript}"' if awaited.event.kind is Kind.SPEECH_END else awaited.event.describe()


def _add_to_turn(turn: TurnRecord, content: Mapping[str, Any]) -> None:
    turn.words += content.get("outputTranscription", {}).get("text", "")
    for part in content.get("modelTurn", {}).get("parts", []):
        if "inlineData" in part:
            turn.audio_s += OUTPUT.duration_s(count_media_bytes({"data": "", **part["inlineData"]}))
        elif not part.get("thought"):
            turn.words += part.get("text", "")
    turn.generation_complete |= bool(content.get("generationComplete"))
    turn.interrupted |= bool(content.get("interrupted"))
    turn.complete |= bool(content.get("turnComplete"))


def _compare_setups(record: SessionRecord, recorded: RecordedConnection, setup: dict[str, Any]) -> None:
    """Record where the setups differ, and which recorded functions the client did not declare."""
    different = sorted(
        name
        for name in {*setup, *recorded.setup}
        if name != "sessionResumption" and setup.get(name) != recorded.setup.get(name)
    )
    if different:
        shown = ", ".join(different[:_MAX_SETUP_DIFFERENCES])
        record.note(f"the setup differs from the recorded one in {shown}")
    declared = {
        function.get("name", "") for tool in setup.get("tools", []) for function in tool.get("functionDeclarations", [])
    }
    for name in sorted(recorded.function_names - declared):
        record.departure(f"did not declare {name}, which the recording calls")
