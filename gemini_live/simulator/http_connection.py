"""One TCP connection of a client: a WebSocket, or any other HTTP request, which gets an HTTP answer.

The WebSocket library reads GET without a body only and drops everything else without a word. Runs on the loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.frames import DATA_OPCODES, Frame
from websockets.http11 import Response
from websockets.protocol import Event

from .http import Arrival, HttpFailure, HttpRequest, SocketRequest, read_request
from .rest import build_error

SERVER_HEADER = "gemini-live-simulator"
MAX_UNSENT_PONG_BYTES = 256 * 1024
"""Answers to pings that a client does not read."""
MAX_FRAGMENTS = 4_000
"""Frames of one message."""
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
        self._arrival = Arrival()
        self._unsent_pong_bytes = self._n_fragments = 0
        self._is_answered = self._was_told_to_continue = False
        self.http_request: HttpRequest | None = None
        """The opening handshake, as soon as it is complete."""
        self.socket_request: SocketRequest | None = None
        """What the handshake says, if it is for the Live API."""
        self.upstream: ClientConnection | None = None
        """The connection to the server behind us, if clients are passed on."""
        self._answering: asyncio.Future[None] | None = None
        self.take_at_once: Callable[[bytes], bool] | None = None
        """Set while somebody waits for a message: called with each one that comes in one frame. If it returns False,
        that message waits to be received, and so does what comes behind it."""

    def data_received(self, data: bytes) -> None:
        """Read the request; hand the bytes on if it opens a WebSocket."""
        if self.http_request is not None:
            before_bytes = self.transport.get_write_buffer_size()
            super().data_received(data)  # writes the answers to pings without waiting
            self._unsent_pong_bytes += max(0, self.transport.get_write_buffer_size() - before_bytes)
            if self._unsent_pong_bytes > MAX_UNSENT_PONG_BYTES:
                self.transport.abort()
            return
        if self._is_answered:
            return
        self._received += data
        if not self._arrival.is_worth_reading(self._received):
            return
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

    def process_event(self, event: Event) -> None:
        """Process a frame: hand over a message at once if somebody waits for one.

        Drop a connection whose message comes in more than `MAX_FRAGMENTS` frames.
        """
        if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            is_whole = event.fin and not self._n_fragments
            if is_whole and self.take_at_once is not None and self.take_at_once(bytes(event.data)):
                return
            self.take_at_once = None
            self._n_fragments = 0 if event.fin else self._n_fragments + 1
            if self._n_fragments > MAX_FRAGMENTS:
                self.transport.abort()
                return
        super().process_event(event)

    def resume_writing(self) -> None:
        """Reset the count of unread answers to pings: the client reads again."""
        super().resume_writing()
        self._unsent_pong_bytes = 0

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
