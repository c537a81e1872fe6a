"""Limits the rate and the size of the messages that MCP servers send to the `mcp` package.

Runs on the event loop.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
from anyio import ClosedResourceError, EndOfStream

from .. import __version__
from .mcp_config import ServerSpec
from .mcp_process import MAX_MESSAGE_BYTES

CONNECT_S, READ_S = 30.0, 300.0
"""How long a server may take to be connected, and to send the next piece of an answer; as in the `mcp` package."""
MAX_MESSAGES, MESSAGES_PER_S = 1_000, 500.0
"""A server may send a burst of the first number of messages; beyond that, messages are read at the second rate."""


class WatchedStream:
    """Passes on the messages of a server, and reads them slowly if there are too many."""

    def __init__(
        self, stream: Any, on_item: Callable[[Any], None], on_flood: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        self._stream, self._on_item, self._on_flood, self._on_end = stream, on_item, on_flood, on_end
        self._n_left, self._since_s = float(MAX_MESSAGES), asyncio.get_running_loop().time()

    @property
    def last_context(self) -> Any:
        """The `last_context` of the inner stream, which the `mcp` package reads; `None` if there is none."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:
        """Return the next message; wait before if the server sends too many, and call `on_flood`."""
        now_s = asyncio.get_running_loop().time()
        self._n_left = min(MAX_MESSAGES, self._n_left + (now_s - self._since_s) * MESSAGES_PER_S) - 1
        self._since_s = now_s
        if self._n_left < 0:
            self._on_flood()
            await asyncio.sleep(-self._n_left / MESSAGES_PER_S)
        item = await self._stream.receive()
        self._on_item(item)
        return item

    def __aiter__(self) -> "WatchedStream":
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except (EndOfStream, ClosedResourceError):
            self._on_end()
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    async def __aenter__(self) -> "WatchedStream":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def open_http(spec: ServerSpec, on_refused: Callable[[str], None]) -> httpx2.AsyncClient:
    """Return an HTTP client that reads bodies up to the size of one message.

    Args:
        spec: The server.
        on_refused: Called with the HTTP status of each POST that fails.
    """

    async def bound(response: httpx2.Response) -> None:
        if response.status_code >= 400 and response.request.method == "POST":
            on_refused(f"{response.status_code} {response.reason_phrase}".strip())
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise httpx2.StreamError("the server compresses its answer, although it was asked not to")
        if response.headers.get("content-type", "").lower().startswith("application/json"):
            response.stream = _BoundedBody(response.stream)

    timeout = httpx2.Timeout(CONNECT_S, read=READ_S)
    headers = {"Accept-Encoding": "identity", "User-Agent": f"gemini-live/{__version__}", **spec.headers}
    return httpx2.AsyncClient(headers=headers, timeout=timeout, event_hooks={"response": [bound]})


class _BoundedBody(httpx2.AsyncByteStream):
    """The body of an HTTP response; raises an error if it is larger than a message may be."""

    def __init__(self, body: Any) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        n_bytes = 0
        async for data in self._body:
            n_bytes += len(data)
            if n_bytes > MAX_MESSAGE_BYTES:
                raise httpx2.StreamError(f"the answer is larger than {MAX_MESSAGE_BYTES >> 20} MiB")
            yield data

    async def aclose(self) -> None:
        await self._body.aclose()
