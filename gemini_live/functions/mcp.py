"""Starts MCP servers, lists and calls their tools, and reports their failures. `mcp_tools.py` has the pure part.

Runs on the event loop. Each server has a task that holds its connection from its start to its end, because the `mcp`
package wants both in one task. A server that fails costs its own tools, never the session. This file is long because
it handles one server from start to end: its start, its calls, its notifications, and its end.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import SubscriptionLost
from mcp_types import (
    Implementation,
    JSONRPCRequest,
    LoggingMessageNotificationParams,
    ToolListChangedNotification,
)

from .. import __version__
from ..frozen import Frozen
from .json_values import describe_error, one_line
from .mcp_config import ServerSpec
from .mcp_process import MAX_MESSAGE_BYTES, CommandFailedError, Streams, run_server
from .mcp_streams import MESSAGES_PER_S, WatchedStream, open_http
from .mcp_tools import Tool, read_result
from .result import CallResult

START_S = 60.0
"""How long a server may take to start: `npx` and `uvx` may have to download it."""
TELL_START_S = 2.0
"""The user is informed if a start takes longer."""
MAX_PAGES, MAX_TOOLS = 100, 512
LIST_S = 30.0
"""How long a server may take to list its tools."""
MAX_CHANGES = 5
"""How often one server may change its tools by itself: each change may cost a new session."""
CHANGE_PAUSE_S = 0.5
"""How long a change of tools waits for more changes."""
CLOSE_S = 3.0

_ASKED = {
    "sampling/createMessage": "an answer of the model (sampling)",
    "elicitation/create": "input from the user (elicitation)",
    "roots/list": "folders (roots)",
}
_BARE_HTTP_ERRORS = {"Server returned an error response", "Session terminated", "Not Found"}
"""What the `mcp` package says of an answer with an HTTP status that means an error."""
_LOUD = {"warning", "error", "critical", "alert", "emergency"}
"""Levels of log messages that are shown like what a function prints."""


class Listener(Frozen, kw_only=True):
    """The functions that servers call to show lines to the user."""

    warn: Callable[[str], None]
    """Shows one line about a failure."""
    note: Callable[[str], None]
    """Shows one line about what happens."""
    tell: Callable[[str], None]
    """Shows one line of `--verbose`."""
    print_line: Callable[[str], None]
    """Shows a line that a server has written, as what functions print is shown."""
    open_stderr: Callable[[str], Callable[[bytes], None]]
    """Returns what shows the stderr of the server of this name."""
    sees_pictures: bool
    """True if the model sees pictures in results."""


class McpServers:
    """All MCP servers of one run."""

    def __init__(self, specs: Sequence[ServerSpec], listener: Listener) -> None:
        """Create the servers without starting any."""
        for name in ("mcp", "client", "httpx2", "httpcore2"):  # failures of servers are reported by `Listener.warn`
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.addHandler(logging.NullHandler())
        self.on_change: Callable[[], None] = lambda: None
        """Called after a server has changed its tools by itself."""
        self._listener = listener
        self._servers = [McpServer(spec, listener, self._note_change) for spec in specs]

    @property
    def tools(self) -> dict[str, list[Tool]]:
        """The tools of each server that has started."""
        return {server.spec.name: server.tools for server in self._servers}

    async def start(self) -> bool:
        """Start all servers; return False if one did not start. Each failure is shown as a warning."""
        timer = asyncio.get_running_loop().call_later(TELL_START_S, self._tell_starting)
        try:
            await asyncio.gather(*(server.start() for server in self._servers))
        finally:
            timer.cancel()
        return all(server.is_running for server in self._servers)

    def _tell_starting(self) -> None:
        """Show which servers are still starting."""
        names = ", ".join(server.spec.name for server in self._servers if not server.is_running)
        self._listener.note(f"waiting for MCP servers: {names}")

    async def call(self, name: str, tool: str, args: Mapping[str, Any]) -> CallResult:
        """Call a tool of the server `name`."""
        server = next(each for each in self._servers if each.spec.name == name)
        return await server.call(tool, args)

    def _note_change(self) -> None:
        self.on_change()

    async def reload(self) -> list[str]:
        """Start the servers that have ended, list all tools again, and return a line for each started server."""
        ended = [server for server in self._servers if not server.is_running]
        await asyncio.gather(*(server.start() if server in ended else server.relist() for server in self._servers))
        return [f"MCP server {server.spec.name}: started again" for server in ended if server.is_running]

    async def close(self) -> None:
        """End all servers."""
        await asyncio.gather(*(server.close() for server in self._servers))


class McpServer:
    """One MCP server, and the connection to it."""

    def __init__(self, spec: ServerSpec, listener: Listener, on_change: Callable[[], None]) -> None:
        """Create the server without starting it."""
        self.spec, self._listener, self._on_change = spec, listener, on_change
        self.tools: list[Tool] = []
        """Its tools as it has listed them last, without those that the user excludes."""
        self._client: Client | None = None
        """Set while it can be called."""
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._wake = asyncio.Event()
        self._leaves = self._has_changed = self._has_ended = False
        self._n_changes = 0
        self._told: set[str] = set()
        self._process: asyncio.subprocess.Process | None = None
        """The process that has ended."""
        self._bad_end = self._http_status = ""

    @property
    def is_running(self) -> bool:
        """True if its tools can be called."""
        return self._client is not None

    async def start(self) -> None:
        """Start the server and list its tools, unless it is running. A failure is shown as a warning."""
        async with self._starting:
            if self.is_running:
                return
            started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._leaves = self._has_changed = self._has_ended = False
            self._bad_end, self._process = "", None
            self._task = asyncio.create_task(self._run(started), name=f"MCP server {self.spec.name}")
            waiting: set[asyncio.Future[None]] = {started, self._task}
            await asyncio.wait(waiting, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                started.cancel()
                if not self._task.done():
                    self._warn(f"did not start within {START_S:g} s")
                    await self.close()

    async def close(self) -> None:
        """End the server: wait `CLOSE_S` for it to close, then cancel its task."""
        task, was_running, self._leaves, self._client = self._task, self.is_running, True, None
        self._wake.set()
        if task is None or task.done():
            return
        if not was_running:
            task.cancel()
        await asyncio.wait({task}, timeout=CLOSE_S)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_S)

    async def call(self, tool: str, args: Mapping[str, Any]) -> CallResult:
        """Call a tool; start the server again if it has ended. A failure becomes an error result for the model."""
        if not self.is_running:
            await self.start()
        client = self._client
        if client is None:
            return _error(f"the MCP server {self.spec.name} does not run")
        try:
            result = await client.call_tool(tool, dict(args), progress_callback=self._show_progress)
        except Exception as error:  # noqa: BLE001 - the model is told whatever goes wrong with a server
            if not self.is_running or self._has_ended:
                return _error(f"the MCP server {self.spec.name} ended during the call")
            return _error(f"the MCP server {self.spec.name} answered with an error: {self._describe(error)}")
        dumped = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return read_result(dumped, sees_pictures=self._listener.sees_pictures)

    async def relist(self) -> bool:
        """List the server's tools again; return True if they have changed. After a failure, keep the old list."""
        client, before = self._client, self.tools
        if client is None:
            return False
        try:
            self.tools = await self._list(client)
        except Exception as error:  # noqa: BLE001 - the tools before stay
            self._warn(f"did not list its tools: {self._describe(error)}")
        return self.tools != before

    # The task that holds the connection

    async def _run(self, started: "asyncio.Future[None]") -> None:
        """Hold the connection, and show a warning if it ends unasked; this is the server's task."""
        try:
            await self._hold(started)
        except asyncio.CancelledError:
            if not self._leaves and not self._has_ended:
                raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            if not self._has_ended and not self._bad_end:
                self._bad_end = self._describe(error)
        finally:
            has_started, self._client = started.done() and not started.cancelled(), None
        if not self._leaves:
            code = self._process.returncode if self._process is not None else None
            why = self._bad_end or f"it closed the connection{_describe_exit(code)}"
            self._warn(f"has ended: {why}; the next call starts it again" if has_started else f"does not start: {why}")

    async def _hold(self, started: "asyncio.Future[None]") -> None:
        """Connect, list the tools, complete `started`, and follow changes of the tools until the server ends."""
        client = Client(
            self._connect(),
            client_info=Implementation(name="gemini-live", version=__version__),
            message_handler=self._on_message,
            logging_callback=self._on_log,
            cache=None,
        )
        async with client:
            self.tools = await self._list(client)
            self._client = client
            if not started.done():
                started.set_result(None)
            listening = asyncio.create_task(self._listen(client), name=f"changes of {self.spec.name}")
            try:
                while not (self._leaves or self._has_ended):
                    await self._wake.wait()
                    self._wake.clear()
                    await self._follow_change()
            finally:
                self._client = None
                listening.cancel()
                await asyncio.wait({listening})

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Streams]:
        """Connect by HTTP or start the command; yield the streams, of which the reading one is a `WatchedStream`."""
        if self.spec.url:
            async with (
                open_http(self.spec, self._note_status) as client,
                streamable_http_client(
                    self.spec.url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES
                ) as streams,
            ):
                yield WatchedStream(streams[0], self._on_item, self._on_flood, self._on_end), streams[1]
            return
        on_stderr = self._listener.open_stderr(self.spec.name)
        async with run_server(self.spec, on_stderr=on_stderr, on_rubbish=self._on_rubbish) as (process, read, write):
            try:
                yield WatchedStream(read, self._on_item, self._on_flood, self._on_end), write
            finally:
                self._process = process  # its exit code is set later

    def _note_status(self, status: str) -> None:
        self._http_status = status

    def _describe(self, error: BaseException) -> str:
        """Describe an error in one line; add the HTTP status if the `mcp` package does not say it."""
        words = _describe(error)
        if self._http_status and words in _BARE_HTTP_ERRORS:
            return f"HTTP {self._http_status}"
        return words

    async def _list(self, client: Client) -> list[Tool]:
        """Ask the server for its tools, page by page; return those that the user wants, up to `MAX_TOOLS`."""
        tools: dict[str, Tool] = {}
        cursor = None
        async with asyncio.timeout(LIST_S):
            for _ in range(MAX_PAGES):
                page = await client.list_tools(cursor=cursor)
                for tool in page.tools:
                    tools.setdefault(tool.name, tool.model_dump(by_alias=True, mode="json", exclude_none=True))
                cursor = page.next_cursor
                if cursor is None or len(tools) > MAX_TOOLS:
                    break
        includes, excludes = self.spec.includes, self.spec.excludes
        for name in sorted((includes or set()) - set(tools)):
            self._warn_once(f"has no tool {name}, which includeTools names")
        wanted = [
            tool for name, tool in tools.items() if (includes is None or name in includes) and name not in excludes
        ]
        if len(wanted) > MAX_TOOLS:
            self._warn_once(f"has more than {MAX_TOOLS} tools: the rest is not offered")
        return wanted[:MAX_TOOLS]

    async def _listen(self, client: Client) -> None:
        """Subscribe to changes of the tools, which servers of the 2026 protocol report in this way."""
        capabilities = client.server_capabilities.tools
        if client.session.discover_result is None or capabilities is None or not capabilities.list_changed:
            return
        try:
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._note_change()
        except (MCPError, SubscriptionLost, TimeoutError) as error:
            self._listener.tell(f"MCP server {self.spec.name} does not report changes: {_describe(error)}")

    async def _follow_change(self) -> None:
        """If the server has reported a change of its tools, list them again, and call `on_change` if they differ."""
        if not self._has_changed or self._leaves or self._has_ended:
            return
        await asyncio.sleep(CHANGE_PAUSE_S)
        self._has_changed = False
        if await self.relist():
            self._n_changes += 1
            if self._n_changes <= MAX_CHANGES:
                self._on_change()
            else:
                self._warn_once("changes its tools often: later changes count after /reload")

    # What the server does

    def _on_item(self, item: Any) -> None:
        """Warn if a message of the server asks for something that the client does not support."""
        request = getattr(item, "message", None)
        if isinstance(request, JSONRPCRequest) and (wish := _ASKED.get(request.method)) is not None:
            self._warn_once(f"asked for {wish}, which is not supported")

    def _on_flood(self) -> None:
        self._warn_once(f"sends more than {MESSAGES_PER_S:g} messages a second: reading them slowly")

    def _on_end(self) -> None:
        """Record that the server has closed the stream, and wake the server's task."""
        self._has_ended = True
        self._wake.set()

    def _on_rubbish(self, text: str) -> None:
        """Warn of output that is not a message; keep a line that is too long as the reason of the end."""
        if text.startswith("a line of more"):
            self._bad_end = f"it sent {text}"
        else:
            self._warn_once("wrote something that is no message to stdout (logs belong on stderr)", text)

    async def _on_message(self, message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._note_change()

    def _note_change(self) -> None:
        self._has_changed = True
        self._wake.set()

    async def _on_log(self, params: LoggingMessageNotificationParams) -> None:
        text = params.data if isinstance(params.data, str) else repr(params.data)
        show = self._listener.print_line if params.level in _LOUD else self._listener.tell
        show(f"{self.spec.name}: {params.level}: {one_line(text)}")

    async def _show_progress(self, progress: float, total: float | None, message: str | None) -> None:
        of = f" of {total:g}" if total else ""
        self._listener.print_line(one_line(f"{self.spec.name}: {progress:g}{of}{f': {message}' if message else ''}"))

    def _warn(self, text: str) -> None:
        self._listener.warn(f"MCP server {self.spec.name} {text}")

    def _warn_once(self, text: str, example: str | None = None) -> None:
        if text not in self._told:
            self._told.add(text)
            self._warn(text if example is None else f"{text}: {example}")


def _error(text: str) -> CallResult:
    return CallResult(response={"error": one_line(text)}, failed=True)


def _describe(error: BaseException) -> str:
    """Describe an error in one line; of an exception group, its first exception."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, CommandFailedError | MCPError):
        return one_line(str(error))
    return describe_error(error)[:300]


def _describe_exit(code: int | None) -> str:
    if code is None or code == -getattr(signal, "SIGTERM", 15):  # because we ended it
        return ""
    return f" (exit code {code})" if code >= 0 else f" (killed by signal {-code})"
