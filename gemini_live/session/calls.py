"""The running function calls of the model: each runs in its own task, and is answered once or cancelled.

Runs on the event loop. `functions/call.py` runs one call; the results go out through the uplink.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..conversation.conversation import Conversation
from ..conversation.outcomes import Outcome
from ..functions.call import FunctionCaller
from ..functions.result import CallResult
from ..output import events
from ..output.events import Output
from ..wire.events import FunctionCall
from ..wire.messages import FunctionResponse
from .confirmations import Confirmations
from .journal import RecordEvent
from .uplink import Result, Uplink

MAX_RUNNING, MAX_OPEN = 32, 256
"""How many calls run at once, and how many may be open with those that wait for their turn. The model gets an error for
each call beyond that: a function may take a thread, and what a server asks for must have a bound."""


@dataclass(eq=False)
class _Group:
    """The calls of one message, which are answered in one message: with one result per message 3.8 speaks once for
    each, and every reply cuts off the one before (probed on 5 Oct 2026)."""

    n_open: int
    results: list[Result] = field(default_factory=list)


@dataclass(eq=False, frozen=True)
class _Open:
    """A call that runs."""

    call: FunctionCall
    exchange: int
    group: _Group
    task: asyncio.Task[None]
    started_s: float


class Calls:
    """The open calls of one session."""

    def __init__(
        self,
        functions: FunctionCaller,
        conversation: Conversation,
        uplink: Uplink,
        output: Output,
        *,
        record_event: RecordEvent,
        confirmations: Confirmations,
        blocking: frozenset[str],
        apply: Callable[[list[Outcome]], None],
        clock: Callable[[], float],
    ) -> None:
        """Begin without any call.

        Args:
            functions: Runs the calls.
            conversation: Is told of cancelled calls.
            uplink: Sends the results.
            output: Shows calls and results.
            record_event: Records how long each function ran.
            confirmations: Asks the user before a call.
            blocking: The functions that the model waits for: it always says something about their results.
            apply: Writes outcomes of the conversation.
            clock: The time in seconds.
        """
        self._functions, self._conversation = functions, conversation
        self._uplink, self._output = uplink, output
        self._confirmations, self._record_event = confirmations, record_event
        self.blocking, self._apply, self._clock = blocking, apply, clock
        self._open: list[_Open] = []
        self._turn = asyncio.Semaphore(MAX_RUNNING)

    @property
    def running(self) -> list[tuple[str, float]]:
        """The name of each running function and when it was called, the oldest first."""
        return [(entry.call.name, entry.started_s) for entry in self._open]

    def start(self, calls: Sequence[FunctionCall], exchange: int, tasks: asyncio.TaskGroup) -> None:
        """Run the functions that one message of an exchange calls, in `tasks`, and answer them together."""
        group = _Group(len(calls))
        for call in calls:
            self._output.emit(events.ToolCall(exchange, call.id, call.name, call.args or {}))
            if len(self._open) >= MAX_OPEN:
                error = f"too many calls are open ({MAX_OPEN}): call {call.name} again when others have ended"
                self._show(exchange, call, CallResult(response={"error": error}, failed=True), group)
                group.n_open -= 1
                continue
            task = tasks.create_task(self._run(call), name=f"call {call.name}")
            self._open.append(_Open(call, exchange, group, task, self._clock()))
        self._send_if_complete(group)

    def cancel(self, ids: Sequence[str] | None = None) -> None:
        """Stop the calls with `ids`, or all calls if it is None, without an answer."""
        for entry in list(self._open):
            if ids is None or entry.call.id in ids:
                self._output.emit(events.ToolCancelled(entry.exchange, entry.call.id, entry.call.name))
                self._stop(entry)
                self._apply(self._conversation.call_cancelled(entry.call.id, self._clock()))
                self._close(entry)

    def cancel_by_user(self) -> None:
        """Stop all calls, and tell the model that the user cancelled them."""
        for entry in list(self._open):
            self._stop(entry)
            self._answer(entry, CallResult(response={"error": "cancelled by the user"}, failed=True))

    def _stop(self, entry: _Open) -> None:
        note = self._functions.describe_running(entry.call.name)
        entry.task.cancel()
        if note is not None:
            self._output.emit(events.Warning(note))

    async def _run(self, call: FunctionCall) -> None:
        result = await self._perform(call)
        entry = next((entry for entry in self._open if entry.call is call), None)
        if entry is not None:
            self._answer(entry, result)

    async def _perform(self, call: FunctionCall) -> CallResult:
        """Run a call if the user allows it; return its result."""
        wants_confirmation = self._functions.wants_confirmation(call.name)
        refusal = await self._confirmations.refuse(call.name, call.args, wants_confirmation=wants_confirmation)
        if refusal is not None:
            return CallResult(response={"error": refusal}, failed=True)
        async with self._turn:
            report = None if call.name in self.blocking else lambda result: self._report(call, result)
            began_s = self._clock()
            result = await self._functions.call(call.name, call.args, report)
            duration_s = round(self._clock() - began_s, 6)
            self._record_event("function_ran", id=call.id, name=call.name, duration_s=duration_s, failed=result.failed)
            return result

    def _report(self, call: FunctionCall, result: CallResult) -> None:
        """Show and send what a function has to say before its end."""
        entry = next((entry for entry in self._open if entry.call is call), None)
        if entry is not None:
            progress = _Group(0)
            self._show(entry.exchange, call, result, progress)
            self._send_if_complete(progress)

    def _answer(self, entry: _Open, result: CallResult) -> None:
        self._show(entry.exchange, entry.call, result, entry.group)
        self._close(entry)

    def _show(self, exchange: int, call: FunctionCall, result: CallResult, group: _Group) -> None:
        """Show a result, and keep it until all calls of its message have ended."""
        self._output.emit(
            events.ToolResult(
                exchange, call.id, call.name, result.response, result.failed, continues=bool(result.continues)
            )
        )
        for line in (result.traceback or "").splitlines():
            self._output.emit(events.Detail(line))
        if result.note is not None:
            self._output.emit(events.Warning(result.note))
        response = FunctionResponse(
            id=call.id,
            name=call.name,
            response=result.response,
            pictures=[(picture.mime_type, picture.data) for picture in result.pictures],
            will_continue=result.continues,
            scheduling=result.scheduling,
        )
        is_silent = result.scheduling == "SILENT" and not result.is_spoken_of and call.name not in self.blocking
        group.results.append(Result(response, is_silent=is_silent))

    def _close(self, entry: _Open) -> None:
        """Forget a call that has ended; send the results of its message if it was the last one."""
        self._open.remove(entry)
        entry.group.n_open -= 1
        self._send_if_complete(entry.group)

    def _send_if_complete(self, group: _Group) -> None:
        if not group.n_open and group.results:
            self._uplink.respond(group.results)
