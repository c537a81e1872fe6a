"""A session with a server that sends without end, or with an output that nobody reads: memory stays bounded."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from gemini_live.errors import ConnectionFailed, SessionClosed
from gemini_live.session.link import MAX_EXCHANGE_CHARS
from tests.scripted_server import Peer, scripted
from tests.talk import Talk, configure, install_typed_lines

WORDS = "words " * 100_000


@contextlib.contextmanager
def flooding(message: dict[str, Any]) -> Iterator[str]:
    """Serve connections that get one message again and again, and never a setupComplete; yield the address."""

    def flood(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                connection.send(json.dumps(message).encode())

    with serve(flood, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _typed_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    install_typed_lines(monkeypatch)


def call(n: int) -> dict[str, Any]:
    """Return the call number `n`, of a function that does not exist."""
    return {"id": f"call-{n}", "name": "nothing", "args": {"text": "x" * 4_000}}


PIECES: dict[str, Callable[[int], dict[str, Any]]] = {
    "long words": lambda n: {"serverContent": {"modelTurn": {"parts": [{"text": WORDS}]}}},
    "short words": lambda n: {"serverContent": {"modelTurn": {"parts": [{"text": "ab"}] * 1_000}}},
    "transcripts": lambda n: {"serverContent": {"outputTranscription": {"text": WORDS}}},
    "the user's words": lambda n: {"serverContent": {"inputTranscription": {"text": WORDS}}},
    "thoughts": lambda n: {"serverContent": {"modelTurn": {"parts": [{"text": WORDS, "thought": True}]}}},
    "code": lambda n: {"serverContent": {"modelTurn": {"parts": [{"executableCode": {"code": WORDS}}]}}},
    "pages": lambda n: {"serverContent": {"groundingMetadata": {"groundingChunks": [{"web": {"uri": WORDS}}]}}},
    "calls": lambda n: {"toolCall": {"functionCalls": [call(1_000 * n + i) for i in range(200)]}},
    "turns that go on": lambda n: {
        "serverContent": {
            "modelTurn": {"parts": [{"text": WORDS}]},
            "turnComplete": True,
            "interactionStatus": "IN_PROGRESS",
        }
    },
}
"""Messages of which each adds to the exchange that is being answered."""


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
async def test_an_exchange_without_an_end_ends_the_session(piece: Callable[[int], dict[str, Any]]) -> None:
    def talk_on(peer: Peer) -> None:
        peer.receive_line()
        for n in range(200):
            peer.send(**piece(n))

    with scripted(talk_on) as url:
        async with Talk(configure(url)) as talk:
            talk.type("hello")
            failure = await talk.failure()
    assert isinstance(failure, SessionClosed)
    assert "the server sent more than 8,388,608 characters that belong to one question" in str(failure)


async def test_long_answers_that_end_are_no_reason_to_end_the_session() -> None:
    n_answers = 2 * MAX_EXCHANGE_CHARS // len(WORDS)

    def answer(peer: Peer) -> None:
        for _ in range(n_answers):
            peer.receive_line()
            peer.send(serverContent={"modelTurn": {"parts": [{"text": WORDS}]}})
            peer.end_turn()

    with scripted(answer) as url:
        async with Talk(configure(url)) as talk:
            talk.type(*["hello"] * n_answers)
            await talk.written.wait_for("answered", n_answers)


async def test_a_server_that_talks_before_its_setup_is_complete_is_left() -> None:
    with flooding({"serverContent": {"modelTurn": {"parts": [{"text": "ab"}] * 500}}}) as url:
        async with Talk(configure(url, reconnect=False)) as talk:
            failure = await talk.failure()
    assert isinstance(failure, ConnectionFailed)
    assert "more than 1,000 events before setupComplete" in str(failure)


async def test_receiving_pauses_while_the_output_is_behind_and_nothing_is_lost() -> None:
    n_checks = 0

    def answer(peer: Peer) -> None:
        peer.receive_line()
        for number in range(20):
            peer.send(serverContent={"modelTurn": {"parts": [{"text": str(number)}]}})
        peer.end_turn()

    def check() -> bool:
        """Fall behind at the fifth message, and catch up after a while."""
        nonlocal n_checks
        n_checks += 1
        said.append(len(talk.written.of("model_said")))
        return 5 < n_checks < 10

    said: list[int] = []
    with scripted(answer) as url:
        async with Talk(configure(url), is_output_behind=check) as talk:
            talk.type("hello")
            await talk.written.wait_for("answered")
    assert len(set(said[5:10])) == 1
    assert talk.answers() == ["".join(map(str, range(20)))]
