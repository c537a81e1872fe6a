"""upstream.py, proxy_session.py: clients are passed on to another server, unchanged, and recorded."""

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.genai import types
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

from gemini_live.errors import ConfigError
from gemini_live.recording.format import Closed, Connected, Message
from gemini_live.recording.read import read_recording
from gemini_live.simulator import Simulator
from gemini_live.simulator.replay_steps import read_replay

from .peer import MODEL, declare, dial, session, setup
from .sounds import SILENCE, spoken
from .test_replay import without_ids
from .test_sdk import WORDS, client_of, receive_turn, words_of

KEY = "a-secret-key-of-somebody"


@contextlib.asynccontextmanager
async def proxied(log: Path | None = None, **options: Any) -> AsyncIterator[tuple[Simulator, Simulator]]:
    """Start a simulator, and another that passes clients on to it."""
    async with (
        Simulator(**{"pace": 0, "espeak": False, **options}) as behind,
        Simulator(upstream=behind.url, log=log, log_media=log is not None) as front,
    ):
        yield front, behind


async def converse(server: Simulator) -> None:
    async with session(server, tools=declare("f")) as peer:
        await peer.ask("Hello")
        await peer.say('call f({"a": "ü"})')
        messages = await peer.until(lambda message: "toolCall" in message)
        (call,) = messages[-1]["toolCall"]["functionCalls"]
        answer = {"id": call["id"], "name": "f", "response": {"output": 1}}
        await peer.send({"toolResponse": {"functionResponses": [answer]}})
        await peer.turn()
        await peer.speak(SILENCE + spoken() + SILENCE)
        await peer.turn()


async def test_recording_of_a_chain_equals_the_direct_one(tmp_path: Path) -> None:
    through, direct = tmp_path / "through.jsonl", tmp_path / "direct.jsonl"
    async with proxied(through) as (middle, _), Simulator(upstream=middle.url) as front:
        await converse(front)
    async with Simulator(pace=0, espeak=False, log=direct, log_media=True) as server:
        await converse(server)

    def story(path: Path) -> list[Any]:
        told: list[Any] = []
        for entry in read_recording(path).entries:
            match entry:
                case Message():
                    told.append((entry.sender, without_ids(_without_result_ids(entry.message))))
                case Closed():
                    told.append((entry.by, entry.code, entry.reason))
                case Connected():
                    told.append(entry.url.partition("/ws/")[2])
        return [*sorted(told[1:-1], key=lambda item: item[0] == "client"), told[0], told[-1]]

    assert story(through) == story(direct)
    assert read_recording(through).header.role == "proxy"
    assert len(read_replay(through)) == 1


def _without_result_ids(message: Any) -> Any:
    bare = json.loads(json.dumps(message))
    for response in bare.get("toolResponse", {}).get("functionResponses", []):
        response.pop("id")
    return bare


@pytest.mark.parametrize("way", ["header", "query"])
async def test_key_reaches_the_upstream_and_no_log(way: str, tmp_path: Path) -> None:
    told: list[str] = []
    log = tmp_path / "log.jsonl"
    async with (
        Simulator(pace=0, espeak=False, key=KEY) as behind,
        Simulator(upstream=behind.url, log=log, on_event=told.append) as front,
    ):
        url = front.socket_url + (f"?key={KEY}" if way == "query" else "")
        headers = {"x-goog-api-key": KEY} if way == "header" else {}
        async with dial(front, url, additional_headers=headers) as peer:
            await peer.send(setup())
            assert await peer.receive() == {"setupComplete": {}}
            await peer.ask(f"my key is {KEY}")
        async with dial(front) as peer:
            await peer.send(setup())
            assert (await peer.closed())[0] == 1008
    assert behind.sessions[0].turns[0].asked == f"my key is {KEY}"
    for text in (log.read_text(encoding="utf-8"), str(told), str(front.verdict()), str(front.sessions)):
        assert KEY not in text
    assert "my key is ***" in log.read_text(encoding="utf-8")


async def test_path_query_and_headers_arrive_as_they_were_sent() -> None:
    seen: list[Request] = []

    async def note(connection: Any, request: Request) -> None:
        seen.append(request)

    async def echo(websocket: Any) -> None:
        async for message in websocket:
            await websocket.send(message)

    async with serve(echo, "127.0.0.1", 0, process_request=note) as behind:
        port = next(iter(behind.sockets)).getsockname()[1]
        async with Simulator(upstream=f"http://127.0.0.1:{port}/prefix/") as front:
            url = f"{front.url.replace('http', 'ws')}//some/path?a=1&b=%20x"
            headers = [("X-A", "1"), ("X-A", "2"), ("Authorization", "Token abc")]
            async with connect(url, additional_headers=headers, user_agent_header="my client") as websocket:
                for raw in ("text ü", b"bytes", "", b""):
                    await websocket.send(raw)
                    assert await websocket.recv() == raw
    (request,) = seen
    assert request.path == "/prefix//some/path?a=1&b=%20x"
    assert request.headers.get_all("X-A") == ["1", "2"]
    assert (request.headers["Authorization"], request.headers["User-Agent"]) == ("Token abc", "my client")
    assert request.headers["Host"] == f"127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("fault", "code", "reason"), [("close:1011:gone", 1011, "gone"), ("close:1006", 1006, ""), ("reset", 1006, "")]
)
async def test_close_of_the_server_reaches_the_client(fault: str, code: int, reason: str) -> None:
    async with proxied(faults=[fault]) as (front, _), session(front) as peer:
        await peer.say("Hello")
        assert await peer.closed() == (code, reason)
    (record,) = front.sessions
    assert (record.close_code, record.close_reason, record.closed_by_client) == (code, reason, False)


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (4321, ""), (1005, ""), (1006, "")])
async def test_close_of_the_client_reaches_the_server(code: int, reason: str) -> None:
    async with proxied() as (front, behind):
        async with dial(front) as peer:
            await peer.send(setup())
            await peer.receive()
            if code == 1006:
                peer.websocket.transport.abort()
            elif code == 1005:
                with contextlib.suppress(ConnectionClosed):
                    async with peer.websocket.send_context():
                        peer.websocket.protocol.send_close()
            else:
                await peer.websocket.close(code, reason)
        (record,) = behind.sessions
        await record.wait_for(lambda record: not record.open)
        assert (record.close_code, record.close_reason) == (code, reason)
        await front.sessions[0].wait_for(lambda record: not record.open)
        assert front.sessions[0].close_code == code


async def test_text_frames_stay_text_frames() -> None:
    async with proxied(faults=["text-frames"]) as (front, _), dial(front) as peer:
        await peer.send(setup())
        assert isinstance(await peer.websocket.recv(), str)


async def test_error_of_the_handshake_reaches_the_client() -> None:
    async with proxied(faults=["refuse:429:7"]) as (front, behind):
        answers = []
        for server in (front, behind):
            with pytest.raises(InvalidStatus) as raised:
                async with dial(server):
                    pass
            response = raised.value.response
            answers.append((response.status_code, response.headers["Retry-After"], response.body))
        assert answers[0] == answers[1]
        assert answers[0][:2] == (429, "7")
        assert (front.n_refused, front.sessions) == (1, [])


async def test_redirect_is_passed_back_and_never_followed() -> None:
    asked: list[str] = []

    def redirect(connection: Any, request: Request) -> Response:
        asked.append(request.path)
        response: Response = connection.respond(302, "elsewhere")
        response.headers["Location"] = f"http://127.0.0.1:{port}/other"
        return response

    async with serve(lambda websocket: asyncio.sleep(0), "127.0.0.1", 0, process_request=redirect) as behind:
        port = next(iter(behind.sockets)).getsockname()[1]
        async with Simulator(upstream=f"http://127.0.0.1:{port}") as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            writer.write(f"GET /x?key={KEY} HTTP/1.1\r\nHost: localhost\r\n{upgrade}".encode())
            writer.write(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            head = (await reader.read()).decode()
            writer.close()
    assert head.startswith("HTTP/1.1 302 ") and f"Location: http://127.0.0.1:{port}/other" in head
    assert asked == [f"/x?key={KEY}"]


@pytest.mark.parametrize("upgrade", ["", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"])
@pytest.mark.parametrize("target", ["@127.0.0.1:{port}/x", "http://127.0.0.1:{port}/x", "{port}/x"])
async def test_request_cannot_name_another_host(target: str, upgrade: str) -> None:
    asked: list[str] = []

    def note(connection: Any, request: Request) -> None:
        asked.append(request.path)

    async with serve(lambda websocket: asyncio.sleep(0), "127.0.0.1", 0, process_request=note) as other:
        port = next(iter(other.sockets)).getsockname()[1]
        async with proxied() as (front, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(f"GET {target.format(port=port)} HTTP/1.1\r\nHost: localhost\r\n{upgrade}".encode())
            writer.write(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()
    assert asked == []


async def test_upstream_that_is_not_there_is_a_502() -> None:
    async with Simulator(upstream="http://127.0.0.1:9") as front:
        with pytest.raises(InvalidStatus) as raised:
            async with dial(front):
                pass
        assert raised.value.response.status_code == 502
        assert b"127.0.0.1:9, which cannot be reached" in bytes(raised.value.response.body or b"")
        status, body = await asyncio.to_thread(fetch, f"{front.url}/v1beta/models")
        assert (status, b"cannot be reached" in body) == (502, True)


def fetch(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize(
    ("path", "data"),
    [("/v1beta/models", None), ("/nothing", None), ("/v1alpha/auth_tokens", b"{}"), ("/v1alpha/auth_tokens", b"[")],
)
async def test_plain_requests_are_passed_on(path: str, data: bytes | None) -> None:
    async with proxied(seed=1) as (front, _), Simulator(pace=0, seed=1) as direct:
        through = await asyncio.to_thread(fetch, f"{front.url}{path}", data)
        straight = await asyncio.to_thread(fetch, f"{direct.url}{path}", data)
    assert through[0] == straight[0]
    assert set(json.loads(through[1])) == set(json.loads(straight[1]))


async def test_pages_of_other_origins_are_refused_here() -> None:
    async with proxied() as (front, behind):
        with pytest.raises(InvalidStatus) as raised:
            async with dial(front, origin="http://evil.test"):
                pass
        assert raised.value.response.status_code == 403
        status, _ = await asyncio.to_thread(fetch, f"{front.url}/v1beta/models", Origin="http://evil.test")
        assert status == 403
        async with session(front) as peer:
            await peer.ask("Hello")
        assert len(behind.sessions) == 1


async def test_google_genai_is_passed_on_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Simulator(pace=0, espeak=False, tls=True, key=KEY) as behind:
        assert behind.certificate is not None
        monkeypatch.setenv("SSL_CERT_FILE", str(behind.certificate.path))
        async with Simulator(upstream=behind.url, tls=True, log=tmp_path / "log.jsonl") as front:
            live = client_of(front, key=KEY, version="v1beta").aio.live
            async with live.connect(model="gemini-3.8-live", config=types.LiveConnectConfig(**WORDS)) as talk:
                await talk.send_realtime_input(text="Hello there")
                assert words_of(await receive_turn(talk)) == "Hello there"
    assert behind.mistakes == []
    assert front.sessions[0].setup["model"] == MODEL
    assert KEY not in (tmp_path / "log.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://a.test", "write an address such as https://host"),
        ("https://", "write an address such as https://host"),
        ("https://user@a.test", "without user or query"),
        ("https://a.test?key=x", "without user or query"),
        ("http://a.test", "keys would travel unencrypted; use https"),
        ("ws://192.0.2.1", "keys would travel unencrypted; use https"),
        ("https://a.test:port", "--upstream https://a.test:port: Port could not be cast"),
    ],
)
def test_address_that_is_no_upstream_is_one_line(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Simulator(upstream=url)


@pytest.mark.parametrize("options", [{"faults": ["hang"]}, {"key": KEY}, {"lifetime_s": 5.0}, {"answer": str}])
def test_upstream_decides_everything(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Simulator(upstream="http://127.0.0.1:9", **options)
