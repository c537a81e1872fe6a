"""One WebSocket, against servers and proxies of the test's own on loopback."""

import asyncio
import base64
import contextlib
import datetime
import errno
import hashlib
import json
import logging
import os
import socket
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gemini_live.errors import ConfigError, ConnectionFailed, ExitCode, MissingExtraError, SessionClosed
from gemini_live.wire import connection
from gemini_live.wire.address import build_url, check_certificates
from gemini_live.wire.connection import Connection, is_known_failure

WAIT_S = 10
KEY = "AIza-not-a-real-key-0123456789"
TOKEN = "auth_tokens/not-a-real-token-0123456789"
SERVICE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"

RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Handler = Callable[[ServerConnection], Awaitable[None]]


@pytest.fixture(autouse=True)
def environment_without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("SSL_CERT"):
            monkeypatch.delenv(name)


# Servers


@contextlib.asynccontextmanager
async def raw_server(handler: RawHandler, host: str = "127.0.0.1", **options: Any) -> AsyncIterator[int]:
    """Serve plain TCP, or TLS; yield the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(handle(reader, writer)))

    server = await asyncio.start_server(accept, host, 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def websocket_server(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """Serve WebSocket; yield the base address."""
    async with serve(handler, "127.0.0.1", 0, max_size=None, **options) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def answering(response: bytes) -> RawHandler:
    """Return a handler that answers every request with `response`, and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response)
        await writer.drain()

    return handle


def refusing(status: str, headers: str = "", body: bytes = b"") -> RawHandler:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return answering(head.encode() + body)


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as a WebSocket server does."""
    request = await read_request(reader)
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")).split()[1]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def refuse_to_resolve(*_args: Any, **_named: Any) -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def echo(server: ServerConnection) -> None:
    async for message in server:
        await server.send(message)


async def be_quiet(server: ServerConnection) -> None:
    await server.wait_closed()


@contextlib.asynccontextmanager
async def connected(base_url: str, **options: Any) -> AsyncIterator[Connection]:
    async with asyncio.timeout(WAIT_S), await Connection.open(build_url(base_url, None, KEY), KEY, **options) as c:
        yield c


async def failure_of(url: str, api_key: str = KEY) -> ConnectionFailed:
    """Return how a dial fails; nothing about it may show the key."""
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(ConnectionFailed) as failed:
            await Connection.open(url, api_key)
    error = failed.value
    assert error.exit_code == ExitCode.SESSION
    assert "\n" not in str(error)
    shown = f"{error} {error!r} {error.args} {''.join(traceback.format_exception(error))}"
    assert KEY not in shown
    assert TOKEN not in shown
    return error


async def refusal(handler: RawHandler) -> ConnectionFailed:
    async with raw_server(handler) as port:
        return await failure_of(f"ws://127.0.0.1:{port}/")


# Talking


async def test_the_handshake_carries_the_key_in_a_header_and_offers_no_compression() -> None:
    async with websocket_server(be_quiet, process_request=lambda server, request: requests.append(request)) as url:
        requests: list[Any] = []
        async with connected(url):
            pass
    (request,) = requests
    assert request.path == SERVICE
    assert request.headers["x-goog-api-key"] == KEY
    assert request.headers["User-Agent"].startswith("gemini-live/")
    assert "Sec-WebSocket-Extensions" not in request.headers
    assert "Origin" not in request.headers


async def test_messages_go_both_ways_as_compact_json_text() -> None:
    received: list[str | bytes] = []

    async def handle(server: ServerConnection) -> None:
        received.append(await server.recv())
        await server.send('{"setupComplete":{}}')
        await server.send(b'{"binary":true}')
        await server.wait_closed()

    async with websocket_server(handle) as url, connected(url) as c:
        await c.send({"text": "Grüße", "list": [1, None, True]})
        assert [await c.receive(), await c.receive()] == [b'{"setupComplete":{}}', b'{"binary":true}']
    assert received == ['{"text":"Grüße","list":[1,null,true]}']


async def test_half_a_character_is_replaced_and_the_rest_arrives() -> None:
    async with websocket_server(echo) as url, connected(url) as c:
        await c.send({"text": "a\ud83db \U0001f388"})
        assert json.loads(await c.receive()) == {"text": "a\ufffdb \U0001f388"}


@pytest.mark.parametrize("n_bytes", [2 * 1024 * 1024, 9 * 1024 * 1024])
async def test_messages_of_many_megabytes_pass(n_bytes: int) -> None:
    async with websocket_server(echo) as url, connected(url) as c:
        sending = asyncio.ensure_future(c.send({"data": "x" * n_bytes}))
        assert len(await c.receive()) > n_bytes
        await sending


async def test_a_message_over_the_limit_closes_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_MESSAGE_BYTES", 1_000)
    async with websocket_server(echo) as url, connected(url) as c:
        await c.send({"data": "x" * 2_000})
        with pytest.raises(SessionClosed) as closed:
            await c.receive()
    assert closed.value.code == 1009
    assert "the server sent a message of more than" in closed.value.reason


async def test_a_message_of_sixteen_mebibytes_is_the_largest() -> None:
    assert connection.MAX_MESSAGE_BYTES == 16 * 1024 * 1024

    async def handle(server: ServerConnection) -> None:
        await server.send(b"x" * connection.MAX_MESSAGE_BYTES)
        await server.send(b"x" * (connection.MAX_MESSAGE_BYTES + 1))

    async with websocket_server(handle) as url, connected(url) as c:
        assert len(await c.receive()) == connection.MAX_MESSAGE_BYTES
        with pytest.raises(SessionClosed, match="a message of more than 16 MiB") as closed:
            await c.receive()
    assert "likely cause: the server sent more than this program accepts" in str(closed.value)


async def test_text_that_is_not_utf_8_reaches_the_parser_and_closes_nothing() -> None:
    async def handle(server: ServerConnection) -> None:
        await server.send(b'{"text":"\xff"}', text=True)
        await server.send("{}")
        await server.wait_closed()

    async with websocket_server(handle) as url, connected(url) as c:
        assert await c.receive() == b'{"text":"\xff"}'
        assert await c.receive() == b"{}"


async def test_every_message_is_passed_to_on_message() -> None:
    seen: list[tuple[str, str | bytes]] = []

    def show(direction: str, raw: str | bytes) -> None:
        seen.append((direction, raw))

    async with websocket_server(echo) as url, connected(url, on_message=show) as c:
        await c.send({"a": 1})
        await c.receive()
    assert seen == [(">", b'{"a":1}'), ("<", b'{"a":1}')]


async def test_ipv6_works() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        writer.write(b"\x81\x02{}")
        await reader.read(100)

    try:
        async with raw_server(handle, "::1") as port, connected(f"http://[::1]:{port}") as c:
            assert await c.receive() == b"{}"
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")


# The end of a session


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, ""),
        (1001, "going away"),
        (1007, "API key not valid. Please pass a valid API key."),
        (1008, "Requested entity was not found."),
        (1011, "The service is currently overloaded. Ünïcode."),
        (1012, "restart"),
        (1013, ""),
        (4999, "own"),
    ],
)
async def test_code_and_words_of_a_close_are_kept(code: int, reason: str) -> None:
    async with websocket_server(lambda server: server.close(code, reason)) as url, connected(url) as c:
        with pytest.raises(SessionClosed) as closed:
            await c.receive()
        with pytest.raises(SessionClosed) as closed_again:
            await c.send({})
    for error in (closed.value, closed_again.value):
        assert (error.code, error.reason) == (code, reason)
        assert error.exit_code == ExitCode.SESSION


async def test_messages_before_a_close_are_still_received() -> None:
    async def handle(server: ServerConnection) -> None:
        await server.send("last words")
        await server.close(1011, "")

    async with websocket_server(handle) as url, connected(url) as c:
        assert await c.receive() == b"last words"
        with pytest.raises(SessionClosed):
            await c.receive()


async def test_a_close_without_a_code_is_1005() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        writer.write(b"\x88\x00")
        await reader.read(100)

    async with raw_server(handle) as port, connected(f"http://127.0.0.1:{port}") as c:
        with pytest.raises(SessionClosed) as closed:
            await c.receive()
    assert closed.value.code == 1005


@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_lost_without_a_close_has_code_1006(reset: bool) -> None:
    async def handle(server: ServerConnection) -> None:
        await server.recv()
        if reset:
            raw = server.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.transport.abort()

    async with websocket_server(handle) as url, connected(url) as c:
        await c.send({})
        with pytest.raises(SessionClosed) as closed:
            await c.receive()
        with pytest.raises(SessionClosed) as closed_again:
            await c.send({})
    assert closed.value.code == closed_again.value.code == 1006


async def test_a_server_that_breaks_the_protocol_is_told_apart() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        writer.write(b"\x83\x00")  # an opcode that does not exist
        await reader.read(100)

    async with raw_server(handle) as port, connected(f"http://127.0.0.1:{port}") as c:
        with pytest.raises(SessionClosed) as closed:
            await c.receive()
    assert closed.value.code == 1002


async def test_a_server_that_answers_no_ping_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.PING_TIMEOUT_S > 30
    assert connection.PING_INTERVAL_S + connection.PING_TIMEOUT_S + connection.CLOSE_TIMEOUT_S == 55
    monkeypatch.setattr(connection, "PING_INTERVAL_S", 0.02)
    monkeypatch.setattr(connection, "PING_TIMEOUT_S", 0.02)
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.02)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await wait_for_ever()

    async with raw_server(handle) as port, connected(f"http://127.0.0.1:{port}") as c:
        with pytest.raises(SessionClosed, match=r"has not answered for 0\.02 s") as closed:
            await c.receive()
    assert closed.value.code == 1006


async def test_a_server_that_reads_nothing_is_lost_although_pings_wait_behind_the_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert connection.SEND_TIMEOUT_S == 40
    monkeypatch.setattr(connection, "SEND_TIMEOUT_S", 0.1)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await wait_for_ever()

    async with raw_server(handle, limit=1_024) as port, connected(f"http://127.0.0.1:{port}") as c:
        await c.send({"data": "x" * 20_000_000})  # returns, for what is lost is for `receive` to say
        with pytest.raises(SessionClosed, match=r"the network has accepted nothing for 0\.1 s") as closed:
            await c.receive()
    assert closed.value.code == 1006


async def test_a_slow_network_that_accepts_a_little_is_not_lost() -> None:
    reads = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await reads.wait()
        while await reader.read(1_000_000):
            pass

    async with raw_server(handle, limit=1_024) as port, connected(f"http://127.0.0.1:{port}") as c:
        socket = c._websocket
        sending = asyncio.ensure_future(c.send({"data": "x" * 20_000_000}))
        await asyncio.sleep(0)
        assert socket.paused
        unsent_bytes = socket.transport.get_write_buffer_size()
        reads.set()
        while socket.transport.get_write_buffer_size() >= unsent_bytes:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
        socket._check_progress()
        await sending
        assert socket.lost_reason == ""
        assert not socket.transport.is_closing()


async def test_a_flood_of_pings_from_a_server_that_reads_no_pongs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_UNSENT_PONG_BYTES", 10_000)
    pings = (b"\x89\x7d" + b"p" * 125) * 1_000
    n_sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n_sent
        await shake_hands(reader, writer)
        while True:  # and reads nothing
            writer.write(pings)
            await writer.drain()
            n_sent += 1_000

    async with raw_server(handle, limit=1_024) as port, connected(f"http://127.0.0.1:{port}") as c:
        with pytest.raises(SessionClosed, match="the server sends pings and does not read the answers"):
            await c.receive()


async def test_a_message_in_too_many_pieces_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_FRAGMENTS", 1_000)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        writer.write(b"\x01\x00" + b"\x00\x00" * 998 + b"\x80\x02{}")  # as many as may be
        writer.write(b"\x01\x00")
        while True:
            writer.write(b"\x00\x00" * 1_000)
            await writer.drain()

    async with raw_server(handle) as port, connected(f"http://127.0.0.1:{port}") as c:
        assert await c.receive() == b"{}"
        with pytest.raises(SessionClosed, match="the server sent a message in more than 1,000 pieces"):
            await c.receive()


async def test_many_pings_from_a_server_that_reads_pongs_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_UNSENT_PONG_BYTES", 10_000)

    async def handle(server: ServerConnection) -> None:
        for number in range(1_000):
            await (await server.ping(str(number).ljust(125)))
        await server.send("{}")
        await server.wait_closed()

    async with websocket_server(handle) as url, connected(url) as c:
        assert await c.receive() == b"{}"


async def test_the_key_is_masked_in_the_words_of_a_close() -> None:
    async with websocket_server(lambda server: server.close(1008, f"bad key {KEY}")) as url, connected(url) as c:
        with pytest.raises(SessionClosed) as closed:
            await c.receive()
    assert closed.value.reason == "bad key ***"
    assert KEY not in repr(closed.value) + "".join(traceback.format_exception(closed.value))


# Leaving


async def test_close_sends_1000_and_can_be_repeated() -> None:
    left: list[tuple[int | None, str | None]] = []

    async def handle(server: ServerConnection) -> None:
        await server.wait_closed()
        left.append((server.close_code, server.close_reason))

    async with websocket_server(handle) as url, connected(url) as c:
        await c.close()
        await c.close()
    assert left == [(1000, "")]


async def test_leaving_the_context_closes() -> None:
    async with websocket_server(echo) as url:
        async with connected(url) as c:
            pass
        with pytest.raises(SessionClosed):
            await c.send({})


async def test_close_does_not_wait_for_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.CLOSE_TIMEOUT_S <= 0.5
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.02)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await wait_for_ever()

    async with raw_server(handle) as port, connected(f"http://127.0.0.1:{port}") as c:
        await c.close()
        with pytest.raises(SessionClosed) as closed:
            await c.receive()
    assert closed.value.code == 1006


async def test_a_close_that_is_cancelled_leaves_nothing_open() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await wait_for_ever()

    async with raw_server(handle) as port:
        c = await Connection.open(build_url(f"http://127.0.0.1:{port}", None, KEY), KEY)
        transport = c._websocket.transport
        closing = asyncio.ensure_future(c.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert transport.is_closing()


async def test_close_releases_a_blocked_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.02)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        await wait_for_ever()  # reads nothing

    async with raw_server(handle, limit=1_024) as port, connected(f"http://127.0.0.1:{port}") as c:
        sending = asyncio.ensure_future(c.send({"data": "x" * 20_000_000}))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not sending.done()
        await c.close()
        await asyncio.gather(sending, return_exceptions=True)
        with pytest.raises(SessionClosed):
            await c.receive()


# Refusals


@pytest.mark.parametrize(
    ("status", "transient"),
    [
        ("400 Bad Request", False),
        ("401 Unauthorized", False),
        ("403 Forbidden", False),
        ("404 Not Found", False),
        ("408 Request Timeout", True),
        ("429 Too Many Requests", True),
        ("500 Internal Server Error", True),
        ("502 Bad Gateway", True),
        ("503 Service Unavailable", True),
        ("200 OK", False),
        ("204 No Content", False),
    ],
)
async def test_a_refused_handshake_tells_its_status_and_whether_to_try_again(status: str, transient: bool) -> None:
    error = await refusal(refusing(status))
    assert (error.http_status, error.transient, error.reason) == (int(status[:3]), transient, "")
    assert f"HTTP {status[:3]}" in str(error)
    assert error.retry_after_s is None


async def test_a_quota_that_is_used_up_is_final_unless_the_server_says_when_to_come_back() -> None:
    body = b'{"error": {"message": "You exceeded your current quota, please check your plan and billing details."}}'
    assert not (await refusal(refusing("429 Too Many Requests", body=body))).transient
    error = await refusal(refusing("429 Too Many Requests", "Retry-After: 7\r\n", body=body))
    assert (error.transient, error.retry_after_s) == (True, 7.0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": {"code": 429, "message": "Quota\\n  exceeded.", "status": "X"}}', "Quota exceeded."),
        (b'{"error": "other"}', '{"error": "other"}'),
        (b"[1, 2]", "[1, 2]"),
        (b"null", "null"),
        (b"plain words", "plain words"),
        (b"", ""),
        ("Ümlaut".encode(), "Ümlaut"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (
            b"<!DOCTYPE html><html><head><title>Error 404</title><style>*{margin:0}\nb{x:y}</style>"
            b"<SCRIPT>alert(1)</SCRIPT></head><body><p>That&rsquo;s an <b>error</b>.</body></html>",
            "Error 404 That\u2019s an error .",
        ),
        (b"x" * 1_000, "x" * 300 + "..."),
        (b"[" * 100_000, "[" * 300 + "..."),
        (b"<" * 500_000, "<" * 300 + "..."),
    ],
)
async def test_a_refusal_tells_the_servers_words_in_one_short_line(body: bytes, reason: str) -> None:
    error = await refusal(refusing("503 Service Unavailable", body=body))
    assert error.reason == reason


async def test_a_refusal_in_chunks_is_read() -> None:
    chunks = b"HTTP/1.1 429 Too Many\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nplain\r\n6\r\n words\r\n0\r\n\r\n"
    error = await refusal(answering(chunks))
    assert (error.http_status, error.reason) == (429, "plain words")


async def test_a_refusal_without_a_length_is_read_to_its_end() -> None:
    error = await refusal(answering(b"HTTP/1.1 403 Forbidden\r\n\r\nplain words"))
    assert (error.http_status, error.reason) == (403, "plain words")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 17\r\n", 17.0),
        ("retry-after: 0\r\n", 0.0),
        ("Retry-After: 5\r\nRetry-After: 7\r\n", 5.0),
        ("Retry-After: soon\r\n", None),
        ("Retry-After: -5\r\n", None),
        ("Retry-After: 1.5\r\n", None),
        ("Retry-After: \u0661\r\n", None),
        ("Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", 0.0),
        ("Retry-After: Fri, 99 Dec 1999 23:59:59 GMT\r\n", None),
        ("", None),
    ],
)
async def test_retry_after_is_read(header: str, seconds: float | None) -> None:
    error = await refusal(refusing("429 Too Many Requests", header))
    assert error.retry_after_s == seconds


async def test_retry_after_may_be_a_date() -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    error = await refusal(refusing("503 Service Unavailable", f"Retry-After: {format_datetime(then, usegmt=True)}\r\n"))
    assert error.retry_after_s is not None
    assert 80 < error.retry_after_s <= 90


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("same_host", [True, False])
async def test_a_redirect_is_not_followed_and_the_key_reaches_no_other_place(status: int, same_host: bool) -> None:
    elsewhere: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        elsewhere.append(await read_request(reader))

    async with raw_server(listen) as other:
        host = "127.0.0.1" if same_host else "localhost"
        error = await refusal(refusing(f"{status} Moved", f"Location: ws://{host}:{other}/\r\n"))
    assert (error.http_status, error.transient) == (status, False)
    assert elsewhere == []


@pytest.mark.parametrize("api_key", [KEY, TOKEN])
@pytest.mark.parametrize("filler", ["", "x" * 280])
async def test_a_refusal_that_repeats_the_request_does_not_show_the_key(api_key: str, filler: str) -> None:
    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = filler.encode() + await read_request(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async with raw_server(repeat) as port:
        error = await failure_of(f"ws://127.0.0.1:{port}/", api_key)
    assert "AIza" not in error.reason
    assert "auth_tokens" not in error.reason


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46\r\n",
        b"HTTP/1.1 abc What\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: bad\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000 + b"\r\n",
        b"HTTP/1.1 400 Bad\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: gzip\r\n\r\n",
        f"HTTP/1.1 400 Bad\r\n{KEY}\r\n\r\n".encode(),
    ],
)
async def test_an_answer_that_is_no_websocket_servers_says_so_and_is_final(answer: bytes) -> None:
    error = await refusal(answering(answer))
    assert "did not answer as a WebSocket server" in str(error)
    assert "127.0.0.1" in str(error)
    assert "--base-url" in str(error)
    assert (error.http_status, error.transient) == (None, False)


# The network


async def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = await failure_of(f"ws://127.0.0.1:{port}/")
    assert error.transient
    assert "127.0.0.1 refused the connection" in str(error)
    assert "--base-url" in str(error)


async def test_a_name_that_does_not_resolve_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", refuse_to_resolve)
    error = await failure_of("wss://no-such-host.invalid/")
    assert error.transient
    assert "no-such-host.invalid cannot be resolved" in str(error)


async def test_a_server_that_does_not_answer_in_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.OPEN_TIMEOUT_S == 10
    monkeypatch.setattr(connection, "OPEN_TIMEOUT_S", 0.05)

    async def handle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    error = await refusal(handle)
    assert error.transient
    assert "127.0.0.1 did not answer within 0.05 s" in str(error)


async def test_a_server_that_drips_its_answer_is_given_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OPEN_TIMEOUT_S", 0.05)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 101 Switching")
        await reader.read()

    assert "did not answer within" in str(await refusal(drip))


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 101 Swit", b"HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhalf"])
async def test_a_server_that_closes_before_its_answer_is_whole_may_be_tried_again(head: bytes) -> None:
    error = await refusal(answering(head))
    assert error.transient
    assert "closed the connection before it answered" in str(error)


async def test_a_server_that_resets_the_connection_may_be_tried_again() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    error = await refusal(reset)
    assert error.transient


async def test_a_tls_server_that_fails_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_self: object) -> NoReturn:
        error = ssl.SSLError(1, "[SSL] internal error")
        error.reason = "TLSV1_ALERT_INTERNAL_ERROR"
        raise error

    monkeypatch.setattr(connection._Connect, "__await__", lambda self: fail(self).__await__())
    error = await failure_of("wss://127.0.0.1:1/")
    assert error.transient
    assert "TLS with 127.0.0.1 failed: TLSV1_ALERT_INTERNAL_ERROR" in str(error)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
        (OSError(), "OSError"),
        (ConnectionResetError(), "closed the connection before it answered"),
        (ConnectionClosed(None, None), "closed the connection before it answered"),
    ],
)
async def test_other_failures_of_the_network_may_be_tried_again(
    cause: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_self: object) -> NoReturn:
        raise cause

    monkeypatch.setattr(connection._Connect, "__await__", lambda self: fail(self).__await__())
    error = await failure_of("ws://127.0.0.1:1/")
    assert error.transient
    assert words in str(error)


async def test_an_unexpected_exception_is_not_reported_as_a_network_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_self: object) -> NoReturn:
        raise RuntimeError("a bug")

    monkeypatch.setattr(connection._Connect, "__await__", lambda self: fail(self).__await__())
    with pytest.raises(RuntimeError, match="a bug"):
        await Connection.open("ws://127.0.0.1:1/", KEY)


async def test_an_address_that_the_library_does_not_take_is_a_usage_error() -> None:
    with pytest.raises(ConfigError, match="--base-url") as refused:
        await Connection.open("ftp://127.0.0.1/", KEY)
    assert refused.value.exit_code == ExitCode.USAGE


async def test_a_dial_that_is_cancelled_leaves_nothing_behind() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await reader.read()
        gone.set()

    async with raw_server(handle) as port, asyncio.timeout(WAIT_S):
        dialling = asyncio.ensure_future(Connection.open(f"ws://127.0.0.1:{port}/", KEY))
        await arrived.wait()
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await gone.wait()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost and service.test that nobody has signed, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.DNSName("service.test")]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_that_nobody_trusts_is_refused_before_the_key_is_sent(tls: ssl.SSLContext) -> None:
    requests: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.read())

    async with raw_server(listen, ssl=tls) as port:
        error = await failure_of(f"wss://localhost:{port}/")
    assert not error.transient
    assert "the certificate of localhost is not trusted: self-signed certificate" in str(error).replace(
        "self signed", "self-signed"
    )
    assert "SSL_CERT_FILE" in str(error)
    assert b"".join(requests) == b""


async def test_a_certificate_of_ones_own_is_trusted_by_ssl_cert_file(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with (
        websocket_server(echo, ssl=tls) as url,
        connected(url.replace("http://127.0.0.1", "https://localhost")) as c,
    ):
        await c.send({"a": 1})
        assert await c.receive() == b'{"a":1}'


@pytest.mark.parametrize("value", [None, "", "{certificate}"])
def test_readable_or_unset_certificates_are_accepted(
    value: str | None, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("SSL_CERT_FILE", value.format(certificate=certificate))
    check_certificates("wss://service.test/")


async def test_a_certificate_for_another_name_is_refused(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with websocket_server(echo, ssl=tls) as url:
        error = await failure_of(url.replace("http", "wss") + "/")
    assert not error.transient
    assert "127.0.0.1 is not trusted" in str(error)


async def test_a_server_without_tls_says_so() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with raw_server(refuse) as port:
        error = await failure_of(f"wss://127.0.0.1:{port}/")
    assert "TLS with 127.0.0.1 failed" in str(error)


async def test_a_server_with_tls_only_says_so(tls: ssl.SSLContext) -> None:
    async with websocket_server(echo, ssl=tls) as url:
        error = await failure_of(url.replace("http", "ws") + "/")
    assert "127.0.0.1" in str(error)


# Proxies


class Proxy:
    """An HTTP proxy for CONNECT, which leads every request to one port of this machine."""

    def __init__(self, target: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.target, self.answer = target, answer
        self.requests: list[bytes] = []
        self.carried = bytearray()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await read_request(reader))
        writer.write(self.answer)
        if self.answer.startswith(b"HTTP/1.1 200"):
            await self.carry_both(reader, writer)

    async def carry_both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what comes from either side to the other."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._carry(reader, far_writer))
                directions.create_task(self._carry(far_reader, writer))
        finally:
            far_writer.close()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            self.carried += data
            sink.write(data)
        if sink.can_write_eof():
            sink.write_eof()


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_a_proxy_that_closes_early_is_a_failed_dial_and_nothing_else(
    reply: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)

    reported: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    async with raw_server(close) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(ConnectionFailed, match="closed the connection before it answered"):
            await Connection.open("wss://service.test/", KEY)
        await asyncio.sleep(0)
    assert reported
    assert all(is_known_failure(error) for error in reported)
    assert not is_known_failure(ValueError("another"))
    assert not is_known_failure(None)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "WSS_PROXY"])
async def test_a_proxy_of_the_environment_carries_the_session_and_never_sees_the_key(
    variable: str, tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with websocket_server(echo, ssl=tls) as url:
        proxy = Proxy(int(url.rsplit(":", 1)[1]))
        async with raw_server(proxy.handle) as port:
            monkeypatch.setenv(variable, f"http://user:password@127.0.0.1:{port}")
            async with connected("https://service.test") as c:
                await c.send({"a": 1})
                assert await c.receive() == b'{"a":1}'
    (request,) = proxy.requests
    assert request.startswith(b"CONNECT service.test:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:password") in request
    assert KEY.encode() not in request + proxy.carried


@pytest.mark.parametrize(
    ("answer", "words", "transient"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants a user name and a password", False),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "the proxy {proxy} refused: HTTP 403", False),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "the proxy {proxy} refused: HTTP 502", True),
        (b"HTTP/1.0 503 Busy\r\n\r\n", "the proxy {proxy} refused: HTTP 503", True),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "the proxy {proxy} refused", False),
        (b"", "service.test (through the proxy {proxy}) closed the connection before it answered", True),
    ],
)
async def test_a_proxy_that_refuses_says_so(
    answer: bytes, words: str, transient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw_server(Proxy(0, answer).handle) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:s3cret@127.0.0.1:{port}")
        error = await failure_of("wss://service.test/")
    assert words.format(proxy=f"http://127.0.0.1:{port}") in str(error)
    assert error.transient is transient
    assert "s3cret" not in str(error)
    assert "enable the Gemini API" not in str(error)  # that is what a 403 of the service means


async def test_a_refusal_of_the_server_behind_a_proxy_is_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    server = refusing("503 Busy", "Retry-After: 3\r\n", b"come back")
    async with raw_server(server) as target, raw_server(Proxy(target).handle) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        error = await failure_of("ws://service.test/")
    assert (error.http_status, error.reason, error.retry_after_s) == (503, "come back", 3.0)


PROXY_SCHEMES = ("http", "https", "socks5h", "socks5", "socks4")


@pytest.mark.parametrize("scheme", PROXY_SCHEMES)
async def test_a_proxy_that_is_not_there_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:s3cret@127.0.0.1:{port}")
    error = await failure_of("wss://service.test/")
    assert error.transient
    assert error.reason == (
        f"the proxy {scheme}://127.0.0.1:{port} cannot be reached: it refuses the connection; "
        "check the network and the proxy settings"
    )


@pytest.mark.parametrize("scheme", PROXY_SCHEMES)
async def test_a_proxy_whose_name_does_not_resolve_is_named(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", refuse_to_resolve)
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://proxy.invalid:3128")
    error = await failure_of("wss://service.test/")
    assert f"the proxy {scheme}://proxy.invalid:3128 cannot be reached: its name cannot be resolved" in str(error)


@pytest.mark.parametrize("scheme", PROXY_SCHEMES)
async def test_a_network_without_a_way_to_the_proxy_is_said_in_words(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_loop: object, sock: object, address: object) -> NoReturn:
        raise OSError(errno.EHOSTUNREACH, f"Connect call failed {address}")  # as asyncio does

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", fail)
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://192.0.2.1:3128")
    error = await failure_of("wss://service.test/")
    assert f"cannot be reached: {os.strerror(errno.EHOSTUNREACH)}; check" in str(error)


async def test_a_name_resolved_by_us_for_a_socks_proxy_is_not_blamed_on_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(3)
        writer.write(b"\x05\x00")
        await reader.read()

    async with raw_server(serve) as port:
        resolve = socket.getaddrinfo

        def resolve_this_machine(host: str | None, *args: Any, **named: Any) -> Any:
            return resolve(host, *args, **named) if host == "127.0.0.1" else refuse_to_resolve(host, *args, **named)

        monkeypatch.setattr(socket, "getaddrinfo", resolve_this_machine)
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{port}")
        error = await failure_of("wss://service.test/")
    assert "the name service.test cannot be resolved" in str(error)


async def test_silence_behind_a_proxy_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OPEN_TIMEOUT_S", 0.05)

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(serve) as port:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
        error = await failure_of("wss://service.test/")
    assert f"service.test (through the proxy http://127.0.0.1:{port}) did not answer within 0.05 s" in str(error)


@pytest.mark.parametrize(
    "proxy",
    [
        "proxy.corp:3128",
        "ftp://proxy:3128",
        "http://",
        "http://proxy:port",
        "http://proxy:99999",
        "http://user:s3cret@proxy:3128/path",
        "http://user:s3/cret@proxy:3128",
        "http://user@proxy:3128",
    ],
)
async def test_a_proxy_that_is_no_address_is_a_usage_error_that_shows_no_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigError) as refused:
        await Connection.open("wss://service.test/", KEY)
    shown = "".join(traceback.format_exception(refused.value))
    assert "HTTPS_PROXY" in str(refused.value)
    assert "http://host:port" in str(refused.value)
    assert "s3" not in shown
    assert "\n" not in str(refused.value)


async def test_a_socks_proxy_carries_the_session_and_never_sees_the_key(
    tls: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    named: list[bytes] = []
    async with websocket_server(echo, ssl=tls) as url:
        proxy = Proxy(int(url.rsplit(":", 1)[1]))

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # RFC 1928: greeting, then CONNECT to a name.
            _, n_methods = await reader.readexactly(2)
            await reader.readexactly(n_methods)
            writer.write(b"\x05\x00")
            *_, kind, length = await reader.readexactly(5)
            assert kind == 3
            named.append(await reader.readexactly(length))
            await reader.readexactly(2)
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
            await proxy.carry_both(reader, writer)

        async with raw_server(handle) as port:
            monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{port}")
            async with connected("https://service.test") as c:
                await c.send({"a": 1})
                assert await c.receive() == b'{"a":1}'
    assert named == [b"service.test"]
    assert KEY.encode() not in proxy.carried


async def test_a_socks_proxy_without_its_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    # As the library behaves without python-socks, which may be installed here.
    async def connect_socks_proxy(*_args: Any, **_named: Any) -> NoReturn:
        raise ImportError("connecting through a SOCKS proxy requires python-socks")

    monkeypatch.setattr("websockets.asyncio.client.connect_socks_proxy", connect_socks_proxy)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(MissingExtraError, match=r"pip install 'gemini-live\[socks\]'") as missing:
        await Connection.open("wss://service.test/", KEY)
    assert missing.value.exit_code == ExitCode.USAGE


# The key


@pytest.mark.parametrize("secret", [KEY, TOKEN])
async def test_the_key_is_in_no_log_of_any_level(caplog: pytest.LogCaptureFixture, secret: str) -> None:
    caplog.set_level(logging.NOTSET)
    for name in ("websockets", "websockets.client", "websockets.server", "asyncio", connection.__name__):
        caplog.set_level(logging.NOTSET, name)
    asyncio.get_running_loop().set_debug(True)
    logger = logging.getLogger("test.server")
    logger.disabled = True  # the server's own log is another program's
    async with (
        websocket_server(echo, logger=logger) as url,
        await Connection.open(build_url(url, None, secret), secret) as c,
    ):
        await c.send({"text": "hello"})
        await c.receive()
    for handler in (refusing("503 Busy"), answering(b"nonsense\r\n")):
        async with raw_server(handler) as port:
            await failure_of(f"ws://127.0.0.1:{port}/", secret)
    assert caplog.records != []  # of asyncio, at least: the trap works
    for record in caplog.records:
        shown = record.getMessage() + repr(record.args) + repr(record.__dict__)
        assert secret not in shown
        assert "x-goog-api-key" not in shown
        assert "access_token" not in shown
    assert not any(record.name.startswith(("websockets", "gemini_live")) for record in caplog.records)


async def test_a_token_is_in_no_traceback_of_an_address_that_the_library_refuses() -> None:
    with pytest.raises(ConfigError) as refused:
        await Connection.open("ftp://127.0.0.1/", TOKEN)
    assert "auth_tokens" not in "".join(traceback.format_exception(refused.value))


async def test_a_token_that_the_server_repeats_in_another_spelling_is_masked() -> None:
    bare = TOKEN.removeprefix("auth_tokens/")
    async with raw_server(refusing("404 Not Found", "", f"no /ws?access_token=auth_tokens%2F{bare}".encode())) as port:
        assert bare not in str(await failure_of(f"ws://127.0.0.1:{port}/", TOKEN))


async def test_the_key_is_in_no_repr() -> None:
    async with websocket_server(echo) as url, connected(url) as c:
        assert KEY not in repr(c) + str(c)
