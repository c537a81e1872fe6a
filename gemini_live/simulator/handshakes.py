"""Answers what comes before a session: who may connect, plain HTTP requests, and the opening of a WebSocket."""

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from .faults import FaultPlan
from .http import Callers, HttpFailure, HttpRequest, SocketRequest, read_socket_request, split_target
from .http_connection import HttpConnection
from .rest import RestService, build_error
from .session_list import SessionList
from .tokens import TokenBook
from .upstream import Upstream


class Handshakes:
    """The front door of one server."""

    def __init__(
        self,
        callers: Callers,
        *,
        key: str | None,
        tokens: TokenBook,
        plan: FaultPlan,
        upstream: Upstream | None,
        sessions: SessionList,
    ) -> None:
        """Let in whom `callers` allows with `key`; `upstream`: let it decide, about everything else too."""
        self._callers, self._key, self._tokens = callers, key, tokens
        self._rest = RestService(key, callers, tokens)
        self._plan, self._upstream, self._sessions = plan, upstream, sessions
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Future[None]] = set()

    def close(self) -> None:
        """Let go of the handshakes that a fault never answers."""
        self._closing.set()

    def make_connection(self, *args: Any, **options: Any) -> HttpConnection:
        """Return a connection for the WebSocket library."""
        return HttpConnection(*args, answer=self._answer, **options)

    def _answer(self, request: HttpRequest) -> Response | Awaitable[Response]:
        """Return the answer to a plain HTTP request."""
        if self._upstream is None:
            return self._rest.answer(request)
        try:
            self._callers.check(request.headers)
        except HttpFailure as failure:
            return build_error(failure)
        return self._upstream.forward(request)

    async def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer the handshakes that are not for the Live API, not allowed, or refused by a fault."""
        assert isinstance(connection, HttpConnection) and connection.http_request is not None
        try:
            self._callers.check(request.headers)
        except HttpFailure as failure:
            return self._refuse(failure)
        if self._upstream is not None:
            return await self._dial(connection, connection.http_request, self._upstream)
        read = read_socket_request(connection.http_request, self._key, self._tokens.names)
        if read is None:
            return self._rest.answer(connection.http_request)
        if self._plan.take("hang"):
            self._sessions.n_refused += 1
            await self._closing.wait()
            return build_error(HttpFailure(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", "The simulator ends."))
        if refuse := self._plan.take("refuse"):
            words = "Refused by the simulator, as it was asked to."
            response = self._refuse(HttpFailure(_status(refuse.number), "UNAVAILABLE", words))
            response.status_code = int(refuse.number)
            if refuse.text:
                response.headers["Retry-After"] = refuse.text
            return response
        connection.socket_request = read
        return None

    async def _dial(self, connection: HttpConnection, request: HttpRequest, upstream: Upstream) -> Response | None:
        """Open the connection behind that of a client; return the answer to the client if that fails."""
        dialled = await upstream.dial(request)
        if isinstance(dialled, Response):
            self._sessions.refused(f"{upstream.host} refused a connection with HTTP {dialled.status_code}")
            return dialled
        connection.upstream = dialled
        closing = asyncio.ensure_future(_close_after(connection, dialled))
        self._tasks.add(closing)
        closing.add_done_callback(self._tasks.discard)
        path, _ = split_target(request.target)
        connection.socket_request = SocketRequest(path, "", None)
        return None

    def _refuse(self, failure: HttpFailure) -> Response:
        self._sessions.refused(f"refused a connection: {failure.words}")
        return build_error(failure)


async def _close_after(connection: ServerConnection, dialled: ClientConnection) -> None:
    """Close the connection to the upstream server when the client's is closed, even after a failed handshake."""
    await connection.wait_closed()
    await dialled.close()


def answer_in_json(connection: ServerConnection, request: Request, response: Response) -> Response | None:
    """Give the WebSocket library's own refusals of a handshake the form of all other errors."""
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS or is_json:
        return None
    words = response.body.decode(errors="replace").strip()
    answer = build_error(HttpFailure(_status(response.status_code), "INVALID_ARGUMENT", words))
    for name in ("Upgrade", "Sec-WebSocket-Version"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer


def _status(number: float) -> HTTPStatus:
    try:
        return HTTPStatus(int(number))
    except ValueError:
        return HTTPStatus.SERVICE_UNAVAILABLE
