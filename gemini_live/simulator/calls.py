"""Keeps the function calls that the simulated model made, and reads the answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from gemini_live.models import Behavior, CallId, StaleCalls

from .actions import Action, Call
from .close_reasons import Refusal, invalid_argument
from .example_values import fit_value, make_up_value
from .history import ConversationHistory
from .records import CallRecord, SessionRecord
from .settings import Settings


class Scheduling(StrEnum):
    """What the model does with a result that it did not wait for."""

    SILENT = "SILENT"
    WHEN_IDLE = "WHEN_IDLE"
    INTERRUPT = "INTERRUPT"


@dataclass(frozen=True)
class Result:
    """A function response that the model has to act on."""

    id: str
    name: str
    response: dict[str, Any]
    scheduling: Scheduling

    @property
    def is_spoken(self) -> bool:
        """True if the model may speak of it."""
        return self.scheduling is not Scheduling.SILENT and bool(self.response)


@dataclass
class CallBatch:
    """Calls of one scripted message that the model does not wait for."""

    ids: frozenset[str]
    next_actions: tuple[Action, ...]
    """What the model does when all have results; empty: the script is asked."""
    about: str
    """The question that the calls belong to."""
    is_about_speech: bool
    """True if that question was spoken."""
    results: dict[str, Result] = field(default_factory=dict)
    """By id, the last result that the model may speak of."""


class CallBook:
    """The calls of one session."""

    def __init__(self, record: SessionRecord, settings: Settings, history: ConversationHistory, seed: str) -> None:
        self._record = record
        self._observed = settings.observed
        self._model = settings.model
        self._history = history
        self._random = Random(f"calls {seed}")
        self._awaited: dict[str, list[Result]] = {}
        """By id, the results of the calls that the model waits for."""
        self._blocking: set[str] = set()
        self._unanswered: list[Call] = []
        """Blocking calls that were cut off before their answer, and that the model makes again."""
        self.stale: set[str] = set()
        """Calls of the session that this one resumes, as far as the service still takes them for open."""
        self._stale_closed = False
        self._batches: list[CallBatch] = []

    @property
    def open_ids(self) -> list[str]:
        """Return the calls that await an answer."""
        return [call.id for call in self._record.calls.values() if call.open]

    @property
    def open_blocking_ids(self) -> list[str]:
        """Return the open calls that the model waits for."""
        return [id_ for id_ in self.open_ids if id_ in self._blocking]

    def make(self, calls: Sequence[Call], settings: Settings) -> tuple[list[str], dict[str, Any]]:
        """Return the ids of the calls that the model will wait for, and the message that makes them all."""
        awaited, made = [], []
        for call in calls:
            declaration = settings.declarations.get(call.name)
            parameters = declaration.parameters if declaration else {}
            args = make_up_value(parameters) if call.args is None else fit_value(call.args, parameters)
            args = args if isinstance(args, dict) else {}
            behavior = declaration.behavior if declaration else Behavior.BLOCKING
            blocks = behavior is Behavior.BLOCKING or self._observed.non_blocking_waits
            id_ = self._new_id(self._observed.call_id if blocks else self._observed.async_call_id)
            self._drop(self._record.add_call(CallRecord(id_, call.name, args)))
            self._history.open_calls.add(id_)
            made.append({"name": call.name, "args": args, "id": id_})
            if blocks:
                self._blocking.add(id_)
            if blocks or settings.capabilities.interaction_status:
                awaited.append(id_)
        self._awaited |= {id_: [] for id_ in awaited}
        return awaited, {"toolCall": {"functionCalls": made}}

    def _drop(self, call: CallRecord | None) -> None:
        """Forget a call that the record has dropped."""
        if call is not None:
            call.open = False
            self._history.open_calls.discard(call.id)
            self._blocking.discard(call.id)
            self._awaited.pop(call.id, None)

    def _new_id(self, kind: CallId) -> str:
        """Return an id as the service makes them (pydantic-ai's recordings, Aug-Oct 2026), unique in the session."""
        n = self._record.n_calls
        match kind:
            case CallId.CALL:
                id_ = f"call_{self._random.randrange(10**5, 10**6)}"
            case CallId.CALL_FC:
                id_ = f"call_{self._random.randrange(10**3, 10**4)}_fc_{n}_0"
            case CallId.FUNCTION_CALL | CallId.FC:
                id_ = f"{kind.value}{self._random.randrange(10**17, 10**19)}"
        return id_ if id_ not in self._record.calls else self._new_id(kind)

    def settled(self, ids: Sequence[str]) -> bool:
        """Return True if every one of these calls has its last answer, or was cancelled."""
        return not any(self._is_open(id_) for id_ in ids)

    def _is_open(self, id_: str) -> bool:
        call = self._record.calls.get(id_)
        return call is not None and call.open

    def cancel(self, ids: Sequence[str]) -> list[str]:
        """Cancel calls; return those that were open."""
        cancelled = [id_ for id_ in ids if self._is_open(id_)]
        for id_ in cancelled:
            self._record.calls[id_].open = False
            self._record.calls[id_].cancelled = True
            self._history.open_calls.discard(id_)
            self._awaited.pop(id_, None)
        return cancelled

    def abandon(self) -> None:
        """Stop waiting for the open blocking calls; the model makes them again at the next input."""
        for id_ in self.open_blocking_ids:
            if id_ not in self._awaited:
                continue
            call = self._record.calls[id_]
            self._unanswered.append(Call(call.name, call.args))
        self.stop_waiting()

    def stop_waiting(self) -> None:
        """Leave the calls that are still open to be answered when their results come."""
        self._awaited.clear()

    def take_unanswered(self) -> tuple[Call, ...]:
        """Return the calls that the model makes again; the client may drop the first ones."""
        calls = tuple(self._unanswered)
        self._unanswered.clear()
        return calls

    def answer(self, response: dict[str, Any]) -> Result | None:
        """Read one function response; return the result unless a turn waits for it or nothing comes of it.

        Over 40 lines: each thing that can be wrong has its case.

        Raises:
            Refusal: The response has no id, or a field that the model refuses.
        """
        id_ = response.get("id", "")
        if not id_:
            raise invalid_argument("a function response has no id")
        if "scheduling" in response and not self._observed.takes_scheduling:
            raise Refusal(1007, "Function response scheduling is not supported for this model")
        call = self._record.calls.get(id_)
        if call is None:
            self._answer_unknown(id_)
            return None
        if call.cancelled:
            call.n_late += 1
            self._record.mistake(f"answered {call.name} ({id_}) after it was cancelled")
            return None
        if response.get("name") != call.name:
            self._record.mistake(f"answered {call.name} ({id_}) under the name {response.get('name')}")
        content = {key: value for key, value in response.get("response", {}).items() if key != "scheduling"}
        result = Result(id_, call.name, content, _read_scheduling(response))
        if not call.open:
            # A generator whose responses lack willContinue: the service speaks of each of them.
            call.n_again += 1
            self._record.mistake(f"answered {call.name} ({id_}) again")
            return None if id_ in self._blocking else result
        call.answers.append(response)
        call.open = response.get("willContinue", False)
        if not call.open:
            self._history.open_calls.discard(id_)
        if id_ in self._awaited:
            self._awaited[id_].append(result)
            return None
        if id_ in self._blocking:
            # The turn that made the call was cut off. The result counts if the model has not called again since.
            again = Call(call.name, call.args)
            if again not in self._unanswered:
                return None
            self._unanswered.remove(again)
        return result

    def _answer_unknown(self, id_: str) -> None:
        if id_ not in self.stale:
            self._record.mistake(f"answered a call that was never made: {id_}")
            return
        match self._observed.stale_calls:
            case StaleCalls.SWALLOW_AN_INPUT:
                self.stale.discard(id_)
                self._history.open_calls.discard(id_)
                self._stale_closed = not self.stale
            case StaleCalls.MUTE:
                self._history.muted = True
                self._record.mistake(f"answered a call of the session before: {self._model} no longer answers then")
            case StaleCalls.IGNORED:
                self._record.mistake(f"answered a call of the session before, which {self._model} ignores: {id_}")

    def add_batch(self, batch: CallBatch) -> None:
        """Gather the results of these calls until all are in."""
        self._batches.append(batch)

    def gather(self, result: Result) -> CallBatch | None:
        """Add a result to the batch of its call; return the batch, or None if the call is in none."""
        batch = next((batch for batch in self._batches if result.id in batch.ids), None)
        if batch is not None and result.is_spoken:
            batch.results[result.id] = result
        return batch

    def close_batch(self, batch: CallBatch) -> bool:
        """Remove a batch if all its calls are answered; return True if they are."""
        settled = self.settled(list(batch.ids))
        if settled:
            self._batches.remove(batch)
        return settled

    def take_stale_closed(self) -> bool:
        """Return True once when the client has answered the last of the stale calls."""
        closed, self._stale_closed = self._stale_closed, False
        return closed

    def take(self, ids: Sequence[str]) -> list[Result]:
        """Return the results of calls that a turn waited for."""
        return [result for id_ in ids for result in self._awaited.pop(id_, [])]


def _read_scheduling(response: dict[str, Any]) -> Scheduling:
    # The SDK writes it beside the response, Google's own samples inside, and their documentation also as INTERRUPTED.
    named = response.get("scheduling") or response.get("response", {}).get("scheduling")
    if named in ("INTERRUPT", "INTERRUPTED"):
        return Scheduling.INTERRUPT
    return Scheduling.SILENT if named == "SILENT" else Scheduling.WHEN_IDLE
