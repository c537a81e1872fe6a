"""The function calls that the simulated model made, and what came of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gemini_live.models import Behavior

from .answers import Call
from .close_reasons import invalid_argument
from .records import CallRecord, SessionRecord
from .settings import Settings


class Scheduling(StrEnum):
    """What the model does with a result that it did not wait for."""

    SILENT = "SILENT"
    WHEN_IDLE = "WHEN_IDLE"
    INTERRUPT = "INTERRUPT"


@dataclass(frozen=True)
class Result:
    """A function response that the model has to do something about."""

    id: str
    name: str
    response: dict[str, Any]
    scheduling: Scheduling


class CallBook:
    """The calls of one session."""

    def __init__(self, record: SessionRecord) -> None:
        self._record = record
        self._awaited: dict[str, list[Result]] = {}
        """By id, the results of the calls that the model waits for."""
        self._blocking: set[str] = set()

    @property
    def open_ids(self) -> list[str]:
        """Calls that await an answer."""
        return [call.id for call in self._record.calls.values() if call.open]

    @property
    def open_blocking_ids(self) -> list[str]:
        """Those of them that were declared as BLOCKING: they do not outlive an interruption."""
        return [id_ for id_ in self.open_ids if id_ in self._blocking]

    def stop_waiting(self) -> None:
        """The turn that waited is over: what is still open is answered when its result comes."""
        self._awaited.clear()

    def make(self, calls: Sequence[Call], settings: Settings) -> tuple[list[str], dict[str, Any]]:
        """Return the ids of the calls that the model will wait for, and the message that makes them all."""
        blocking, awaited, made = [], [], []
        for call in calls:
            id_ = f"function-call-{self._record.number:02d}{len(self._record.calls) + 1:04d}"
            self._record.calls[id_] = CallRecord(id_, call.name, call.args)
            made.append({"id": id_, "name": call.name, "args": call.args})
            declaration = settings.declarations.get(call.name)
            if declaration is None or declaration.behavior is Behavior.BLOCKING:
                blocking.append(id_)
            elif settings.capabilities.interaction_status:
                awaited.append(id_)
        self._awaited |= {id_: [] for id_ in blocking + awaited}
        self._blocking.update(blocking)
        return blocking + awaited, {"toolCall": {"functionCalls": made}}

    def settled(self, ids: Sequence[str]) -> bool:
        """Return whether every one of these calls has its last answer, or was cancelled."""
        return not any(self._record.calls[id_].open for id_ in ids)

    def cancel(self, ids: Sequence[str]) -> list[str]:
        """Take calls back; return those that were open."""
        cancelled = [id_ for id_ in ids if self._record.calls[id_].open]
        for id_ in cancelled:
            self._record.calls[id_].open = False
            self._record.calls[id_].cancelled = True
        return cancelled

    def answer(self, response: dict[str, Any]) -> Result | None:
        """Take one function response; return the result if nobody waits for it.

        Raises:
            Refusal: It has no id.
        """
        id_ = response.get("id", "")
        if not id_:
            raise invalid_argument("a function response has no id")
        call = self._record.calls.get(id_)
        if call is None:
            self._record.mistake(f"answered a call that was never made: {id_}")
            return None
        if not call.open:
            how = "after it was cancelled" if call.cancelled else "again"
            call.n_late += call.cancelled
            call.n_again += not call.cancelled
            self._record.mistake(f"answered {call.name} ({id_}) {how}")
            return None
        if response.get("name") != call.name:
            self._record.mistake(f"answered {call.name} ({id_}) under the name {response.get('name')}")
        call.answers.append(response)
        call.open = response.get("willContinue", False)
        content = {key: value for key, value in response.get("response", {}).items() if key != "scheduling"}
        result = Result(id_, call.name, content, _read_scheduling(response))
        if id_ in self._awaited:
            self._awaited[id_].append(result)
            return None
        return result

    def take(self, ids: Sequence[str]) -> list[Result]:
        """Return the results of calls that were waited for."""
        return [result for id_ in ids for result in self._awaited.pop(id_, [])]


def _read_scheduling(response: dict[str, Any]) -> Scheduling:
    # The SDK writes it beside the response, Google's own samples inside, and their documentation also as INTERRUPTED.
    named = response.get("scheduling") or response.get("response", {}).get("scheduling")
    if named in ("INTERRUPT", "INTERRUPTED"):
        return Scheduling.INTERRUPT
    return Scheduling.SILENT if named == "SILENT" else Scheduling.WHEN_IDLE
