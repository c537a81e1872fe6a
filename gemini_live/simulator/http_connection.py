"""One TCP connection of a client: a WebSocket, or any other HTTP request, which gets an HTTP answer.

The WebSocket library reads GET without a body only and drops everything else without a word. Runs on the loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from .http import HttpFailure, HttpRequest, SocketRequest, read_request
from .rest import build_error

SERVER_HEADER = "gemini-live-simulator"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpConnection(ServerConnection):
    """Looks at the first request of a connection before the WebSocket library does."""

    def __init__(
        self, *args: Any, answer: Callable[[HttpRequest], Response | Awaitable[Response]], **options: Any
    ) -> None:
        """Prepare the connection; `answer` is called with each request that is not for a WebSocket."""
        super().__init__(*args, **options)
        self._answer = answer
        self._received = bytearray()
        self._is_answered = self._was_told_to_continue = False
        self.http_request: HttpRequest | None = None
        """The opening handshake, as soon as it is complete."""
        self.socket_request: SocketRequest | None = None
        """What the handshake says, if it is for the Live API."""
        self.upstream: ClientConnection | None = None
        """The connection to the server behind us, if clients are passed on."""
        self._answering: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Read the request; hand the bytes on if it opens a WebSocket."""
        if self.http_request is not None:
            super().data_received(data)
            return
        if self._is_answered:
            return
        self._received += data
        try:
            request = read_request(bytes(self._received))
        except HttpFailure as failure:
            self._respond(build_error(failure))
            return
        if request is None:
            self._encourage()
        elif request.wants_socket:
            self.http_request = request
            super().data_received(bytes(self._received))
        else:
            answer = self._answer(request)
            if isinstance(answer, Response):
                self._respond(answer)
            else:
                self._is_answered = True
                self._answering = asyncio.ensure_future(self._respond_later(answer))

    async def _respond_later(self, answer: Awaitable[Response]) -> None:
        self._respond(await answer)

    def _encourage(self) -> None:
        """Tell a client that waits with its body that the body is welcome."""
        if not self._was_told_to_continue and b"100-continue" in self._received.lower():
            self._was_told_to_continue = True
            self.transport.write(_CONTINUE)

    def _respond(self, response: Response) -> None:
        self._is_answered = True
        self._received.clear()
        if "Server" not in response.headers:
            response.headers["Server"] = SERVER_HEADER
        self.transport.write(response.serialize())
        self.transport.close()
