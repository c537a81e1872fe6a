"""The real command and a scripted server that does what the service was observed to do."""

from typing import Any

from tests.command import run
from tests.scripted_server import Peer, scripted

TOKEN = "auth_tokens/not-a-real-token-0123456789"
QUIET = ("--text-output", "--no-audio-input")


def test_a_token_travels_in_the_query_and_is_shown_nowhere() -> None:
    # The service was reported to refuse it in a header (18 Sep 2026).
    targets: list[str] = []

    def script(peer: Peer) -> None:
        targets.append(peer.target)
        peer.receive_line()
        if peer.number == 1:
            peer.close(1011, f"no luck with {TOKEN}")
            return
        peer.say("Hello.")
        peer.end_turn()

    with scripted(script) as url:
        result = run(f"--base-url={url}", *QUIET, "-v", stdin="hello\n", environ={"GEMINI_API_KEY": TOKEN})
    assert (result.code, result.out) == (0, "Hello.\n")
    path, _, query = targets[1].partition("?")
    assert path.endswith("v1alpha.GenerativeService.BidiGenerateContentConstrained")
    assert query == f"access_token={TOKEN}"
    assert "no luck with ***" in result.err
    assert TOKEN.removeprefix("auth_tokens/") not in result.err


def test_a_live_session_that_refuses_announced_history_is_replaced_by_one_that_is_told_it_unannounced() -> None:
    # 3.1 closed so in production (voiceclaw, Jun 2026).
    setups: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []

    def script(peer: Peer) -> None:
        setups.append(peer.setup)
        if peer.number == 2:
            peer.close(1007, "Request contains an invalid argument.")
            return
        if peer.number == 3:
            told.append(peer.receive())
        line = peer.receive_line()
        peer.say(f"{line}.")
        peer.end_turn()
        if peer.number == 1:
            peer.receive_line()
            peer.close(1011, "Internal error encountered.")

    with scripted(script) as url:
        result = run(f"--base-url={url}", *QUIET, stdin="one\ntwo\n", environ={"GEMINI_API_KEY": "any"})
    assert (result.code, result.out) == (0, "one.\ntwo.\n")
    assert ["historyConfig" in setup for setup in setups] == [False, True, False]
    assert [turn["parts"][0]["text"] for turn in told[0]["clientContent"]["turns"]] == ["one", "one."]
    assert "the service does not know historyConfig; connecting again without it" in result.err
