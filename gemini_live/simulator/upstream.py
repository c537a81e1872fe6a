"""Passes a client on to another server, the real service or a simulator, and what that server answers back to it.

Everything goes on unchanged: the path, the query, the headers with the key, messages, close codes, errors of the
handshake. The key goes to that one server only: redirects are passed back, not followed.
"""

import asyncio
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidProxy, InvalidStatus
from websockets.http11 import Response

from gemini_live.errors import ConfigError
from gemini_live.hosts import is_loopback

from .close_reasons import NO_STATUS
from .http import HttpFailure, HttpRequest
from .rest import build_error

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
OPEN_TIMEOUT_S, _HTTP_TIMEOUT_S = 30.0, 60.0
_PING_INTERVAL_S, _PING_TIMEOUT_S = 30.0, 120.0
_MAX_ANSWER_BYTES = 16 * 2**20
_NOT_PASSED = {
    *("host", "connection", "upgrade", "keep-alive", "te", "trailer", "transfer-encoding", "content-length", "expect"),
    *("proxy-authorization", "proxy-connection", "proxy-authenticate", "origin"),
}
"""Headers that belong to one connection."""

OnMessage = Callable[[str | bytes], None]


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow no redirect: the library would send the key to another host."""
        return exc


class _NoErrors(urllib.request.HTTPErrorProcessor):
    """Returns every answer as it is, errors and redirects too."""

    def http_response(self, request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:
        return response

    https_response = http_response


class Upstream:
    """One server that clients are passed on to."""

    def __init__(self, url: str, *, max_message_bytes: int) -> None:
        """Pass clients on to `url`: http, https, ws or wss.

        Raises:
            ConfigError: It is no such address, or would send keys unencrypted over a network.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ConfigError(f"--upstream {url}: {error}") from error
        scheme = _SCHEMES.get(parts.scheme.lower())
        if scheme is None or not host or parts.query or parts.fragment or parts.username is not None:
            raise ConfigError(f"--upstream {url[:200]!r}: write an address such as https://host, without user or query")
        if scheme == "ws" and not is_loopback(host):
            raise ConfigError(f"--upstream {url}: keys would travel unencrypted; use https")
        name = f"[{host}]" if ":" in host else host
        self.host = name if port is None else f"{name}:{port}"
        self._is_local = is_loopback(host)
        self._base = f"{scheme}://{self.host}{parts.path.rstrip('/')}"
        self._max_message_bytes = max_message_bytes
        self._context = ssl.create_default_context() if scheme == "wss" else None

    def socket_url(self, path: str) -> str:
        """Return the address of a path, without its query."""
        return f"{self._base}{path}"

    async def dial(self, request: HttpRequest) -> ClientConnection | Response:
        """Open a WebSocket as the client asks for it; return the error for the client if that fails."""
        if not request.target.startswith("/"):
            return _refuse_target()
        headers = [
            (name, value) for name, value in _pass_on(request.headers) if not name.lower().startswith("sec-websocket-")
        ]
        try:
            return await _Connect(
                f"{self._base}{request.target}",
                additional_headers=headers,
                user_agent_header=None,
                compression=None,
                proxy=None if self._is_local else True,
                ssl=self._context,
                max_size=self._max_message_bytes,
                open_timeout=OPEN_TIMEOUT_S,
                ping_interval=_PING_INTERVAL_S,
                ping_timeout=_PING_TIMEOUT_S,
            )
        except InvalidStatus as error:
            answer = error.response
            return _build_response(answer.status_code, answer.reason_phrase, answer.headers.raw_items(), answer.body)
        except (OSError, TimeoutError, InvalidHandshake, InvalidProxy) as error:
            return self._explain(error)

    def _explain(self, error: Exception) -> Response:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        words = f"The simulator passes clients on to {self.host}, which cannot be reached: {reason}"
        return build_error(HttpFailure(HTTPStatus.BAD_GATEWAY, "UNAVAILABLE", words))

    async def forward(self, request: HttpRequest) -> Response:
        """Return the answer of the server to a plain HTTP request."""
        if not request.target.startswith("/"):
            return _refuse_target()
        return await asyncio.to_thread(self._fetch, request)

    def _fetch(self, request: HttpRequest) -> Response:
        url = f"{self._base.replace('ws', 'http', 1)}{request.target}"
        passed = urllib.request.Request(
            url, request.body or None, dict(_pass_on(request.headers)), method=request.method
        )
        handlers: list[urllib.request.BaseHandler] = [_NoErrors()]
        if self._context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=self._context))
        if self._is_local:
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            with urllib.request.build_opener(*handlers).open(passed, timeout=_HTTP_TIMEOUT_S) as answer:
                body = answer.read(_MAX_ANSWER_BYTES)
                return _build_response(answer.status, answer.reason, answer.getheaders(), body)
        except urllib.error.URLError as error:
            reason = error.reason
            return self._explain(reason if isinstance(reason, Exception) else error)
        except (OSError, ValueError, HTTPException) as error:
            return self._explain(error)


def _refuse_target() -> Response:
    """Return the answer to a request for anything but a path, such as `@host/`, which would name another host."""
    return build_error(HttpFailure(HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", "The request is for no path."))


def _pass_on(headers: Headers) -> list[tuple[str, str]]:
    """Return the headers that concern the other end, not the connection."""
    dropped = _NOT_PASSED | {
        name.strip().lower() for value in headers.get_all("Connection") for name in value.split(",")
    }
    return [(name, value) for name, value in headers.raw_items() if name.lower() not in dropped]


def _build_response(
    status: int, reason: str, items: Iterable[tuple[str, str]], body: bytes | bytearray | None
) -> Response:
    headers = Headers(_pass_on(Headers(items)))
    body = bytes(body or b"")
    headers["Connection"], headers["Content-Length"] = "close", str(len(body))
    return Response(status, reason, headers, body)


async def pass_on(
    client: ServerConnection, server: ClientConnection, *, on_received: OnMessage, on_sent: OnMessage
) -> bool:
    """Pass messages on in both directions until one side closes, and then the close.

    Args:
        client: Who connected to us.
        server: The server behind us.
        on_received: Called with each message of the client, before it is passed on.
        on_sent: Called with each message of the server, before it is passed on.

    Returns:
        True if the client closed, or was lost, first.
    """
    closed: list[Connection] = []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_pump(client, server, on_received, closed))
        tasks.create_task(_pump(server, client, on_sent, closed))
    return closed[0] is client


async def _pump(source: Connection, target: Connection, on_message: OnMessage, closed: list[Connection]) -> None:
    """Pass messages on until `source` closes, or `target` cannot be reached; add to `closed` which one it was."""
    try:
        while True:
            raw = await source.recv()
            on_message(raw)
            try:
                await target.send(raw)
            except ConnectionClosed:
                closed.append(target)
                return  # the other direction passes the close on
    except ConnectionClosed:
        closed.append(source)
        await _close_like(source, target)


async def _close_like(source: Connection, target: Connection) -> None:
    """Close `target` as `source` was closed."""
    received = source.protocol.close_rcvd
    if received is None:
        target.transport.abort()
    elif received.code == NO_STATUS:
        with suppress(ConnectionClosed):
            async with target.send_context():
                target.protocol.send_close()
    else:
        await target.close(received.code, received.reason)
