"""What clients can make a simulator keep is bounded, and what they send cannot keep it from serving others."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gemini_live.simulator import Simulator, http_connection, model_turns
from gemini_live.simulator.history import MAX_HANDLES, ConversationHistory, HandleBook, Said
from gemini_live.simulator.http import Arrival, read_request
from gemini_live.simulator.records import MAX_KEPT, MAX_WORDS, CallRecord, SessionRecord, TurnRecord, build_verdict
from gemini_live.simulator.tokens import TokenBook

from ..command import LIVENESS_S, Command
from .fake_clock import FakeClock
from .peer import dial, session

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
HANDSHAKE = (
    f"GET {PATH}?key=any HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()


def simulator(**options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, "keep": False, **options})


# Records


def record(*, keep: bool = False) -> SessionRecord:
    return SessionRecord(1, "/", "v1beta", 0.0, keep=keep)


def test_turns_and_calls_of_a_long_session_are_counted_and_not_kept() -> None:
    ours, whole = record(), record(keep=True)
    for each in (ours, whole):
        for n in range(3 * MAX_KEPT):
            each.add_turn(TurnRecord(n, "", "typed", complete=n % 2 == 0, interrupted=n % 3 == 0))
            each.add_call(CallRecord(f"c{n}", "f", {}, answers=[{}] * (n % 2), open=n % 5 == 0, n_late=n % 7))
    assert (len(ours.turns), len(ours.calls)) == (MAX_KEPT, MAX_KEPT)
    assert (len(whole.turns), len(whole.calls)) == (3 * MAX_KEPT, 3 * MAX_KEPT)
    verdicts = [build(each) for each in (ours, whole)]
    ours.forget_messages()
    assert verdicts[0] == verdicts[1] == build(ours)
    assert (ours.turns, ours.calls) == ([], {})


def build(each: SessionRecord) -> dict[str, Any]:

    return dict(build_verdict([each])["sessions"][0])


def test_mistakes_are_kept_short() -> None:
    ours = record()
    for n in range(1_000):
        ours.mistake(f"{n} " + "x" * 100_000)
        ours.note(f"{n} " + "x" * 100_000)
    assert len(ours.mistakes) <= 100
    assert len(ours.notes) <= 20
    assert max(map(len, [*ours.mistakes, *ours.notes])) <= MAX_WORDS


# Conversations, handles, tokens, questions


def test_handles_keep_a_bounded_number_of_bounded_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemini_live.simulator.history.MAX_HANDLE_CHARS", 100_000)
    book = HandleBook(1, FakeClock())
    handles = []
    for n in range(50):
        history = ConversationHistory()
        history.add(Said("user", "x" * 10_000))
        handles.append(book.save(history, n))
        handles.append(book.save(history, n))
    found = [handle for handle in handles if book.find(handle) is not None]
    assert found == handles[-len(found) :]
    assert 14 <= len(found) <= 22
    for n in range(MAX_HANDLES + 10):
        book.save(ConversationHistory(), n)
    assert len(book._saved) == MAX_HANDLES


def test_the_setups_of_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemini_live.simulator.tokens.MAX_TOKEN_BYTES", 50_000)
    book = TokenBook(FakeClock(), None)
    body = json.dumps({"bidiGenerateContentSetup": {"model": "models/" + "m" * 10_000}}).encode()
    names = [book.mint(body)["name"].removeprefix("auth_tokens/") for _ in range(20)]
    assert [name for name in names if name in book.names] == names[-4:]


FLOODS: dict[str, list[dict[str, Any]]] = {
    "words without an end": [{"clientContent": {"turns": [{"role": "user", "parts": [{"text": "x" * 10_000}]}]}}],
    "pictures without an end": [
        {"clientContent": {"turns": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png"}}] * 200}]}}
    ],
    "a history without an end": [
        {"clientContent": {"turns": [{"role": role, "parts": [{"text": "x" * 10_000}]} for role in ("user", "model")]}}
    ],
    "questions that wait": [{"realtimeInput": {"text": "say " + "x " * 100}}],
}


@pytest.mark.parametrize("messages", FLOODS.values(), ids=FLOODS)
async def test_what_a_client_makes_the_model_remember_is_bounded(
    messages: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("history", "client_messages"):
        monkeypatch.setattr(f"gemini_live.simulator.{module}.MAX_CONVERSATION_CHARS", 500_000)
    monkeypatch.setattr(model_turns, "MAX_ASKS", 20)
    async with simulator(typed_text="queues", pace=1) as server, session(server) as peer:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(200):
                for message in messages:
                    await peer.send(message)
                await asyncio.sleep(0)
        await peer.closed()
        await server.sessions[0].wait_for(lambda each: not each.open)
    assert server.sessions[0].close_code in {1007, 1008}
    assert server.mistakes


# The connection


async def flood(server: Simulator, data: bytes) -> None:
    """Open a WebSocket, send `data` again and again without reading, until the server has had enough."""
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1_024)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    try:
        async with asyncio.timeout(LIVENESS_S):
            while True:
                writer.write(data)
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.mark.parametrize(
    "data",
    [(b"\x89\xfd\0\0\0\0" + b"p" * 125) * 500, b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 2_000],
    ids=["pings", "pieces"],
)
async def test_a_flood_is_cut_off_and_others_are_served(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "MAX_UNSENT_PONG_BYTES", 10_000)
    monkeypatch.setattr(http_connection, "MAX_FRAGMENTS", 1_000)
    async with simulator() as server:
        await flood(server, data)
        async with session(server) as peer:
            assert await peer.ask("still there?")


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_request_in_small_pieces_is_read_once_it_may_be_whole(size: int) -> None:
    body = b"x" * 20_000
    request = b"POST /v1beta/models HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 20000\r\n\r\n" + body
    data, arrival, n_reads = bytearray(), Arrival(), 0
    read = None
    for start in range(0, len(request), size):
        data += request[start : start + size]
        if arrival.is_worth_reading(data):
            n_reads += 1
            read = read_request(bytes(data))
    assert read is not None
    assert read.body == body
    assert n_reads <= 3


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_headers_that_are_too_large_are_noticed_whatever_the_pieces(size: int) -> None:
    data, arrival = bytearray(b"GET / HTTP/1.1\r\n"), Arrival()
    assert arrival.is_worth_reading(data)  # not to be refused at once
    while not arrival.is_worth_reading(data):
        data += b"X" * size
        assert len(data) < 70_000
    assert len(data) > 65_000


# The command


@pytest.mark.skipif(sys.platform == "win32", reason="the voice is a shell script")
def test_the_command_ends_although_clients_vanish_while_the_voice_floods_its_pipe(tmp_path: Path) -> None:
    """A killed `communicate` left a pipe that nobody read, and the wait for the program had no end."""
    fake = tmp_path / "espeak-ng"
    fake.write_text("#!/bin/sh\nexec yes\n")
    fake.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    with Command("--port=0", module="gemini_live.simulator", environ=environ) as command:
        command.out.wait_for("serving at http://127.0.0.1:")
        port = int(command.out.text.split("http://127.0.0.1:")[1].split(";")[0])

        async def vanish() -> None:
            server = Simulator()
            server.port = port
            for n in range(3):
                async with dial(server) as peer:
                    await peer.send({"setup": {"model": "models/gemini-3.8-live"}})
                    await peer.receive()
                    await peer.send({"realtimeInput": {"text": f"say something {n}"}})
                    await peer.receive()
                    await asyncio.sleep(0.2)
                    peer.websocket.transport.abort()

        asyncio.run(vanish())
        began_s = time.monotonic()
        command.process.terminate()
        assert command.wait().code == 0
        assert time.monotonic() - began_s < 5


def test_the_command_serves_although_nobody_reads_its_lines() -> None:
    """Without a reader of stderr the loop waited for ever in the middle of a line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gemini_live.simulator", "--port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # never read
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    with process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split("http://127.0.0.1:")[1].split(";")[0])
        request = b"GET " + b"/" + b" HTTP/1.1\r\nHost: evil.example" + b"x" * 180 + b"\r\n\r\n"
        for _ in range(500):  # a line about each, 100 kB in all: more than a pipe holds
            with socket.create_connection(("127.0.0.1", port), LIVENESS_S) as client:
                client.sendall(HANDSHAKE.replace(b"localhost", b"evil.example" + b"x" * 180))
                assert client.recv(100).startswith(b"HTTP/1.1 403")
        with socket.create_connection(("127.0.0.1", port), LIVENESS_S) as client:
            client.sendall(request.replace(b"evil.example" + b"x" * 180, b"localhost"))
            assert client.recv(100).startswith(b"HTTP/1.1 404")
        process.terminate()
        assert process.wait(LIVENESS_S) == 0
