"""http.py, http_connection.py, rest.py: each request has an answer, and pages of others have none but 403."""

import asyncio
import json
import logging
import random
from http.client import parse_headers
from io import BytesIO
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus

from gemini_live.simulator import Simulator
from gemini_live.simulator.http import Callers, HttpFailure, HttpRequest, read_request
from gemini_live.simulator.rest import RestService
from gemini_live.simulator.tokens import TokenBook

from .fake_clock import FakeClock
from .peer import dial, setup

SOCKET = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


def quick(**options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, **options})


async def exchange(server: Simulator, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes; return the last status, its headers and the body. An answer must come."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(raw)
        async with asyncio.timeout(10):
            answer = await reader.read()
    finally:
        writer.close()
    while answer.startswith(b"HTTP/1.1 100"):
        answer = answer.partition(b"\r\n\r\n")[2]
    status_line, _, rest = answer.partition(b"\r\n")
    headers = parse_headers(BytesIO(rest))
    return int(status_line.split()[1]), dict(headers.items()), rest.partition(b"\r\n\r\n")[2]


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    lines = {"Host": "127.0.0.1", **({"Content-Length": str(len(body))} if body else {}), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


ANSWERS: list[tuple[bytes, int, str]] = [
    (request("GET", "/"), 404, "NOT_FOUND"),
    (request("GET", "/v1beta/auth_tokens"), 404, "NOT_FOUND"),
    (request("POST", "/v1/auth_tokens"), 404, "NOT_FOUND"),
    (request("PUT", "/v1beta/auth_tokens"), 405, "INVALID_ARGUMENT"),
    (request("POST", "/v1beta/models"), 405, "INVALID_ARGUMENT"),
    (request("DELETE", "/v1/models/gemini-3.8-live"), 405, "INVALID_ARGUMENT"),
    (request("POST", SOCKET, body=b"{}"), 405, "INVALID_ARGUMENT"),
    (request("GET", SOCKET), 426, "FAILED_PRECONDITION"),
    (request("GET", SOCKET, {"Upgrade": "websocket"}), 426, "INVALID_ARGUMENT"),
    (request("GET", SOCKET, {"Upgrade": "websocket"}, b"x"), 400, "INVALID_ARGUMENT"),
    (request("POST", "/v1beta/models/gemini-3.8-flash:generateContent", body=b"{}"), 501, "UNIMPLEMENTED"),
    (request("POST", "/upload/v1beta/files", body=b"x"), 501, "UNIMPLEMENTED"),
    (request("GET", "/v1beta/cachedContents?pageSize=5"), 501, "UNIMPLEMENTED"),
    (request("BREW", "/pot"), 501, "UNIMPLEMENTED"),
    (request("OPTIONS", "*"), 404, "NOT_FOUND"),
    (request("POST", "/x", {"Transfer-Encoding": "chunked"}), 411, "INVALID_ARGUMENT"),
    (request("POST", "/x", {"Content-Length": "-1"}), 400, "INVALID_ARGUMENT"),
    (request("POST", "/x", {"Content-Length": "9" * 99}), 413, "INVALID_ARGUMENT"),
    (request("GET", "/" + "x" * 9000), 431, "INVALID_ARGUMENT"),
    (request("GET", "/", {f"X-{i}": "x" for i in range(200)}), 431, "INVALID_ARGUMENT"),
    (b"x" * 70_000, 431, "INVALID_ARGUMENT"),
    (b"\x16\x03\x01\x02\x00\x01\x00", 400, "INVALID_ARGUMENT"),
    (b"GET / HTTP/2\r\n\r\n", 400, "INVALID_ARGUMENT"),
    (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400, "INVALID_ARGUMENT"),
    (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400, "INVALID_ARGUMENT"),
    (request("POST", "/v1beta/auth_tokens", body=b"nonsense"), 400, "INVALID_ARGUMENT"),
    (request("GET", "/v1/models", {"Origin": "https://evil.example"}), 403, "PERMISSION_DENIED"),
    (request("GET", "/v1/models", {"Origin": "null"}), 403, "PERMISSION_DENIED"),
    (request("GET", "/v1/models", {"Host": "evil.example:80"}), 403, "PERMISSION_DENIED"),
    (request("OPTIONS", "/v1beta/auth_tokens", {"Origin": "https://evil.example"}), 403, "PERMISSION_DENIED"),
]


@pytest.mark.parametrize(("raw", "status", "name"), ANSWERS)
async def test_every_request_has_an_answer_in_json(raw: bytes, status: int, name: str) -> None:
    async with quick() as server:
        got, headers, body = await exchange(server, raw)
        error = json.loads(body)["error"]
        assert (got, error["code"], error["status"]) == (status, status, name)
        assert error["message"]
        assert ("Allow" in headers) == (status == 405)


async def test_head_has_no_body_and_options_of_an_allowed_page_no_content() -> None:
    async with quick(allow_origins=["http://app.test:3000/"]) as server:
        status, headers, body = await exchange(server, request("HEAD", "/v1/models"))
        assert (status, body) == (200, b"") and int(headers["Content-Length"]) > 100
        assert "Access-Control-Allow-Origin" not in headers
        for origin in ("http://localhost:5173", "http://[::1]", "http://APP.test:3000"):
            asked = {"Origin": origin, "Access-Control-Request-Headers": "x-goog-api-key, content-type"}
            status, headers, body = await exchange(server, request("OPTIONS", "/v1beta/auth_tokens", asked))
            assert (status, body, headers["Access-Control-Allow-Origin"]) == (204, b"", origin)
            assert headers["Access-Control-Allow-Headers"] == "x-goog-api-key, content-type"
            assert "POST" in headers["Access-Control-Allow-Methods"]
        status, headers, _ = await exchange(server, request("GET", "/v1/models", {"Origin": "http://localhost"}))
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, "http://localhost")


async def test_a_body_may_wait_for_its_invitation() -> None:
    async with quick() as server:
        raw = request("POST", "/v1beta/auth_tokens", {"Expect": "100-continue"}, b"{}")
        status, _, body = await exchange(server, raw)
        assert (status, json.loads(body)["name"][:12]) == (200, "auth_tokens/")


ANYWHERE = ("/", "/v1beta/models", "/v1alpha/auth_tokens", "/upload/v1beta/files", "/no/such/page", SOCKET)


@pytest.mark.parametrize("path", ANYWHERE)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE", "BREW"])
@pytest.mark.parametrize(
    "header",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "file://"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80", "Origin": "http://localhost"},
        {"Host": "localhost.evil.example"},
    ],
    ids=str,
)
def test_whatever_a_page_of_another_origin_or_name_asks_for_is_refused(
    method: str, path: str, header: dict[str, str]
) -> None:
    service = RestService(None, Callers("127.0.0.1"), TokenBook(FakeClock(), None))
    response = service.answer(HttpRequest(method, path, Headers(header)))
    assert response.status_code == 403
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


async def test_a_page_that_gives_its_name_to_this_machine_opens_no_socket() -> None:
    async with quick() as server:
        for host in ("evil.example", "localhost.evil.example:80"):
            opening = {
                "Host": host,
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
                "Sec-WebSocket-Version": "13",
            }
            status, _, body = await exchange(server, request("GET", SOCKET, opening))
            assert status == 403
            assert b"which is not this server" in body
        assert server.n_refused == 2
        assert server.n_sessions == 0


async def test_page_of_another_origin_opens_no_socket() -> None:
    events: list[str] = []
    async with quick(on_event=events.append) as server:
        for origin in ("https://evil.example", "null"):
            with pytest.raises(InvalidStatus) as caught:
                async with dial(server, origin=origin):
                    pass
            assert caught.value.response.status_code == 403
        async with dial(server, origin="http://localhost:3000") as peer:
            await peer.send(setup())
            assert await peer.receive() == {"setupComplete": {}}
        assert (len(server.sessions), server.n_refused) == (1, 2)
    assert events[0].startswith("refused a connection: Pages of https://evil.example may not call the simulator;")
    async with quick(allow_origins=["*"]) as server, dial(server, origin="https://any.example"):
        pass


def test_hosts_that_a_server_of_this_machine_answers_to() -> None:
    callers = Callers("127.0.0.1", frozenset({"sim.test"}))

    def passes(host: str) -> bool:
        try:
            callers.check(HttpRequest("GET", "/", _headers(Host=host)).headers)
        except HttpFailure:
            return False
        return True

    for host in ("localhost", "localhost:80", "LOCALHOST.", "127.0.0.1:9", "[::1]:9", "10.0.0.1", "sim.test"):
        assert passes(host), host
    for host in ("evil.example", "localhost.evil.example", "", "[", "127.0.0.1.evil.example"):
        assert not passes(host), host
    assert Callers("0.0.0.0").check(_headers(Host="simulator:8765")) == ""


def _headers(**fields: str) -> Any:
    read = read_request(b"GET / HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()).encode() + b"\r\n")
    assert read is not None
    return read.headers


def test_a_request_in_pieces_is_read_when_it_is_whole() -> None:
    raw = request("POST", "/x?y", {"A": " b "}, b"12345")
    assert all(read_request(raw[:end]) is None for end in range(len(raw)))
    whole = read_request(raw)
    assert whole is not None
    assert (whole.method, whole.target, whole.headers["a"], whole.body) == ("POST", "/x?y", "b", b"12345")
    assert not whole.wants_socket


METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS", "PATCH", "TRACE", "get", "X" * 99)
PATHS = (
    *("/", "//", "/v1/models", "/v1beta/models/%00", "/v1beta/auth_tokens", SOCKET, f"/{SOCKET}?key=%ff&key", "*"),
    *("http://a/b", "/a?" + "b&" * 2000),
)
HEADERS = (
    *("Host: [", "Host: x", "Origin: http://[", "Origin: x://", "Origin: null", "Upgrade: websocket"),
    *("Connection: Upgrade", "Upgrade: h2c"),
    *("Sec-WebSocket-Key: x", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"),
    *("Sec-WebSocket-Version: 9", "Sec-WebSocket-Extensions: ;;", "Sec-WebSocket-Protocol: ,", "Content-Length: 3"),
    *(
        "Content-Length: x",
        "Expect: 100-continue",
        "x-goog-api-key: \xff",
        "Authorization: Token",
        "A: \x01",
        "B",
        ": c",
    ),
)
BODIES = (b"", b"{}", b"[]", b'{"uses": -1}', b"\xff" * 3, b'{"bidiGenerateContentSetup": 5}', b"[" * 9999)


@pytest.mark.parametrize("seed", range(2))
async def test_any_request_is_answered_without_a_failure(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    rng = random.Random(seed)
    async with quick() as server:
        for _ in range(400):
            lines = [rng.choice(HEADERS) for _ in range(rng.randrange(9))]
            body = rng.choice(BODIES)
            if rng.random() < 0.7 and not any(line.startswith("Content-Length") for line in lines):
                lines.append(f"Content-Length: {len(body)}")
            head = "\r\n".join([f"{rng.choice(METHODS)} {rng.choice(PATHS)} HTTP/1.{rng.randrange(2)}", *lines])
            raw = head.encode("latin-1") + b"\r\n\r\n" + body
            if rng.random() < 0.1:
                raw = raw[: rng.randrange(len(raw))]
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(raw)
            await writer.drain()
            writer.close()
        status, *_ = await exchange(server, request("GET", "/v1/models"))
        assert status == 200
    assert [record.getMessage() for record in caplog.records] == []
