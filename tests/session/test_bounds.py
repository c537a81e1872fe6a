"""A session with a server that sends without end, or with an output that nobody reads: memory stays bounded."""

import pytest

from gemini_live.errors import SessionClosed
from gemini_live.session.link import MAX_TURN_CHARS
from tests.scripted_server import Peer, scripted
from tests.talk import Talk, configure, install_typed_lines

WORDS = "words " * 100_000


@pytest.fixture(autouse=True)
def _typed_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    install_typed_lines(monkeypatch)


async def test_a_turn_without_an_end_ends_the_session() -> None:
    def talk_on(peer: Peer) -> None:
        peer.receive_line()
        for _ in range(MAX_TURN_CHARS // len(WORDS) + 1):
            peer.send(serverContent={"modelTurn": {"parts": [{"text": WORDS}]}})

    with scripted(talk_on) as url:
        async with Talk(configure(url)) as talk:
            talk.type("hello")
            failure = await talk.failure()
    assert isinstance(failure, SessionClosed)
    assert "the server sent more than 4,194,304 characters in one turn" in str(failure)


async def test_long_turns_that_end_are_no_reason_to_end_the_session() -> None:
    n_answers = 2 * MAX_TURN_CHARS // len(WORDS)

    def answer(peer: Peer) -> None:
        for _ in range(n_answers):
            peer.receive_line()
            peer.send(serverContent={"modelTurn": {"parts": [{"text": WORDS}]}})
            peer.end_turn()

    with scripted(answer) as url:
        async with Talk(configure(url)) as talk:
            talk.type(*["hello"] * n_answers)
            await talk.written.wait_for("answered", n_answers)


async def test_nothing_is_received_while_the_output_is_far_behind_and_nothing_is_lost() -> None:
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
