"""The commands `/tools`, `/call` and `/reload`: the functions, a call without the model, and loading them again.

Runs on the event loop. A call runs in a task of its own, so that the prompt stays usable; nothing is sent to the model.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ..functions.call import FunctionCaller
from ..output.events import Output, Reply
from ..output.function_list import format_declarations
from ..wire.json_fields import refuse_constant


class FunctionCommands:
    """The commands about the functions of one session."""

    def __init__(
        self,
        functions: FunctionCaller,
        declarations: Sequence[Mapping[str, Any]],
        output: Output,
        *,
        reload: Callable[[], Awaitable[list[str]]] | None = None,
    ) -> None:
        """Prepare the commands.

        Args:
            functions: Runs the calls.
            declarations: What the model is told.
            output: Shows the results.
            reload: Loads the functions again, and returns what was done; None: there is nothing to load.
        """
        self._functions, self.declarations, self._output, self._reload = functions, declarations, output, reload
        self._tasks: dict[asyncio.Task[None], str] = {}

    @property
    def names(self) -> list[str]:
        """The names of the functions that can be called."""
        return list(self._functions.sources)

    @property
    def is_calling(self) -> bool:
        """True while a call of the user's runs."""
        return bool(self._tasks)

    def cancel(self) -> None:
        """Cancel the user's own calls."""
        for task, name in list(self._tasks.items()):
            note = self._functions.describe_running(name)
            task.cancel()
            self._output.emit(Reply(f"{name}: cancelled" + (f"; {note}" if note else "")))

    async def list_tools(self, argument: str) -> str:
        """Return the functions as the model was told about them."""
        return format_declarations(self.declarations, self._functions.sources)

    async def reload(self, argument: str) -> str:
        """Load changed files again, start ended MCP servers; return what was done."""
        if self._reload is None:
            return "there is nothing to load: start with --import-functions or --mcp"
        return "\n".join(await self._reload()) or "nothing has changed"

    async def call(self, argument: str) -> str | None:
        """Start a call, `NAME` or `NAME {"argument": value}`; return what is wrong with it, if anything is."""
        name, _, text = argument.partition(" ")
        if not name:
            return '/call needs the name of a function, as in /call NAME {"argument": "value"} (/tools lists them)'
        try:
            args = json.loads(text or "{}", parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            return f"/call {name}: the arguments are not JSON: {error}"
        if not isinstance(args, dict):
            return f'/call {name}: the arguments are not a JSON object, such as {{"argument": "value"}}'
        task = asyncio.create_task(self._run(name, args), name=f"/call {name}")
        self._tasks[task] = name
        task.add_done_callback(self._tasks.pop)
        return None

    async def _run(self, name: str, args: Mapping[str, Any]) -> None:
        result = await self._functions.call(name, args)
        self._output.emit(Reply(f"{name}: {json.dumps(result.response, ensure_ascii=False)}"))
        for line in filter(None, [result.note, result.traceback]):
            self._output.emit(Reply(line.rstrip()))
