"""The function calls of the model that are going on: each runs in a task of its own, and is answered once or cancelled.

Runs on the event loop. `functions/call.py` runs one call; what came of it goes out through the uplink.
"""

import asyncio
from collections.abc import Callable, Sequence

from ..conversation.conversation import Conversation
from ..conversation.outcomes import Outcome
from ..functions.call import FunctionCaller
from ..output import events
from ..output.events import Output
from ..wire.events import FunctionCall
from ..wire.messages import FunctionResponse
from .uplink import Uplink


class Calls:
    """The open calls of one session."""

    def __init__(
        self,
        functions: FunctionCaller,
        conversation: Conversation,
        uplink: Uplink,
        output: Output,
        *,
        blocking: frozenset[str],
        apply: Callable[[list[Outcome]], None],
        clock: Callable[[], float],
    ) -> None:
        """Begin with no call open.

        Args:
            functions: Runs them.
            conversation: Is told of their ends.
            uplink: Takes the responses.
            output: Shows what is called and answered.
            blocking: The functions that the model waits for, so that something always follows their results.
            apply: Writes what comes about.
            clock: The time in seconds.
        """
        self._functions, self._conversation = functions, conversation
        self._uplink, self._output = uplink, output
        self._blocking, self._apply, self._clock = blocking, apply, clock
        self._open: dict[str, tuple[int, str, asyncio.Task[None]]] = {}
        """By id: the exchange, the function, and the task that runs it."""

    def start(self, call: FunctionCall, exchange: int, tasks: asyncio.TaskGroup) -> None:
        """Run a function that was called in `exchange`, as one of `tasks`, and answer the call."""
        if (question := self._conversation.question_in_answer) is not None:
            question.called.setdefault(call.name)
        self._output.emit(events.ToolCall(exchange, call.id, call.name, call.args or {}))
        task = tasks.create_task(self._answer(call, exchange), name=f"call {call.name}")
        self._open[call.id] = exchange, call.name, task

    def cancel(self, ids: Sequence[str] | None = None) -> None:
        """Stop the calls `ids`, by default all of them; they are not answered."""
        for call_id in list(self._open) if ids is None else ids:
            if call_id not in self._open:
                continue
            exchange, name, task = self._open.pop(call_id)
            note = self._functions.describe_running(name)
            task.cancel()
            self._output.emit(events.ToolCancelled(exchange, call_id, name))
            if note is not None:
                self._output.emit(events.Warning(note))
            self._apply(self._conversation.call_cancelled(call_id, self._clock()))

    async def _answer(self, call: FunctionCall, exchange: int) -> None:
        result = await self._functions.call(call.name, call.args)
        self._open.pop(call.id, None)
        self._output.emit(events.ToolResult(exchange, call.id, call.name, result.response, result.failed))
        for line in (result.traceback or "").splitlines():
            self._output.emit(events.Detail(line))
        if result.note is not None:
            self._output.emit(events.Warning(result.note))
        response = FunctionResponse(id=call.id, name=call.name, response=result.response, scheduling=result.scheduling)
        self._uplink.respond(response, silent=result.scheduling == "SILENT" and call.name not in self._blocking)
