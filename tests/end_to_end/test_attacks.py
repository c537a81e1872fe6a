"""What a hostile or careless neighbour of the real commands can and cannot do, in processes of their own."""

import contextlib
import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ..command import LIVENESS_S, SIMULATED, TEXT_MODEL, Command, run
from ..output.samples import NASTY, is_harmless
from ..scripted_server import Peer, scripted
from ..test_hostile_text import ALL

posix = pytest.mark.skipif(sys.platform == "win32", reason="redirected by a POSIX shell")


@posix
@pytest.mark.parametrize("redirect", ["< {}", "> {}", "2>> {}", "<> {} >&0"])
def test_output_file_does_not_overwrite_what_a_stream_is_redirected_to(tmp_path: Path, redirect: str) -> None:
    path = tmp_path / "sound.wav"
    path.touch()
    arguments = (*SIMULATED, "--initial-message=Hi", f"--output-file={path}", "--force")
    with Command(*arguments, redirect=redirect.format(path)) as command:
        result = command.wait()
    assert result.code == 2
    assert "--output-file would overwrite" in result.err + path.read_text()


@pytest.mark.parametrize("how", ["itself", "link"])
def test_simulator_does_not_write_two_files_into_one(tmp_path: Path, how: str) -> None:
    log = verdict = tmp_path / "log"
    if how == "link":
        verdict = tmp_path / "verdict"
        verdict.symlink_to(log)
    with Command(f"--log={log}", f"--verdict={verdict}", "--port=0", module="gemini_live.simulator") as command:
        result = command.wait()
    assert (result.code, result.out) == (2, "")
    assert "--log would overwrite" in result.err


# Text from outside, through the whole of both programs


def say_everything(peer: Peer) -> None:
    """Send every control character through every field of a server's messages."""
    peer.receive()
    parts = [
        {"text": ALL, "thought": True},
        {"executableCode": {"language": ALL, "code": ALL}},
        {"codeExecutionResult": {"outcome": ALL, "output": ALL}},
        {"inlineData": {"mimeType": ALL, "data": ALL}},
        {"text": ALL, ALL: 1},
    ]
    page = {"web": {"uri": ALL, "title": ALL}}
    counts = [{"modality": ALL, "tokenCount": 1}]
    peer.send(**{ALL: {}}, serverContent={"modelTurn": {"parts": parts}, ALL: 1})
    peer.send(serverContent={"groundingMetadata": {"webSearchQueries": [ALL], "groundingChunks": [page]}})
    peer.send(toolCall={"functionCalls": [{"id": ALL, "name": ALL, "args": {ALL: [ALL]}}]})
    peer.receive()
    peer.send(
        sessionResumptionUpdate={"newHandle": ALL, "resumable": True}, usageMetadata={"promptTokensDetails": counts}
    )
    peer.send(serverContent={"inputTranscription": {"text": ALL}, "outputTranscription": {"text": ALL}})
    peer.send(serverContent={"interactionStatus": ALL, "turnCompleteReason": ALL, "turnComplete": True})
    peer.send(error={"code": 403, "message": f"permission {ALL}", "status": ALL})


@pytest.mark.parametrize("options", [(), ("--verbose",), ("--output-format=jsonl", "--verbose")], ids=" ".join)
def test_nothing_of_what_a_server_says_commands_a_terminal(options: tuple[str, ...]) -> None:
    with scripted(say_everything) as url:
        result = run(
            f"--base-url={url}",
            f"--model={TEXT_MODEL}",
            "--text-output",
            "--no-reconnect",
            "--no-stdin",
            "--initial-message=Hi",
            *options,
            environ={"GOOGLE_API_KEY": "AIza-a-key-of-no-one"},
        )
    assert result.code == 4
    assert "\\x1b" in result.out + result.err
    assert is_harmless(result.out + result.err), ascii(result.out + result.err)


def test_nothing_of_a_refusal_commands_a_terminal() -> None:
    body = f"<title>{NASTY}</title>".encode(errors="replace")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                head = f"HTTP/1.1 403 \x1b[31mNo\x9b\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode("latin-1") + body)

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"--base-url=http://127.0.0.1:{server.getsockname()[1]}"
        result = run(url, "--text-output", "--no-stdin", environ={"GOOGLE_API_KEY": "AIza-a-key-of-no-one"})
        thread.join()
    assert result.code == 4
    assert is_harmless(result.err), ascii(result.err)


@posix
def test_nothing_of_what_a_client_says_commands_a_terminal(tmp_path: Path) -> None:
    log, verdict = tmp_path / "log.jsonl", tmp_path / "verdict.json"
    options = ("--port=0", "--pace=0", f"--log={log}", f"--verdict={verdict}")
    nasty = ALL.encode(errors="surrogatepass")
    with Command(*options, module="gemini_live.simulator") as command:
        command.out.wait_for("serving at http://127.0.0.1:")
        port = int(command.out.text.split("http://127.0.0.1:")[1].split(";")[0])
        for path in (b"/" + nasty, b"/v1beta/models/%1b%9b%07", b"/v1beta/models?" + nasty):
            answer = exchange(port, b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + nasty + b"\r\n\r\n")
            assert b"\x1b" not in answer
        for origin in (b"http://\x1b[2J", b"http://x\x9b"):
            answer = exchange(port, b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: " + origin + b"\r\n\r\n")
            assert b"\x1b" not in answer
        setup: dict[str, Any] = {
            "model": "models/gemini-3.8-live",
            "generationConfig": {"responseModalities": ["AUDIO"]},
        }
        conversations: list[list[dict[str, Any]]] = [
            [{"setup": {"model": f"models/{NASTY}"}}],
            [{"setup": {**setup, "sessionResumption": {"handle": NASTY}}}],
            [{"setup": {**setup, "generationConfig": {"responseModalities": [NASTY]}}}],
            [{"setup": {**setup, NASTY: 1}}],
            [{"setup": setup}, {"realtimeInput": {"text": f"say {NASTY}"}}, {"realtimeInput": {NASTY: 1}}],
            [{"setup": setup}, {"toolResponse": {"functionResponses": [{"id": NASTY, "name": NASTY, "response": {}}]}}],
            [{"setup": setup}, {"realtimeInput": {"audio": {"data": "AAAA", "mimeType": NASTY}}}],
        ]
        for messages in conversations:
            converse(port, messages)
        command.interrupt()
        result = command.wait()
    assert result.code == 0, result.err
    assert "\\x1b" in result.out + result.err
    for text in (result.out + result.err, log.read_text(), verdict.read_text()):
        assert is_harmless(text), ascii(text)


def exchange(port: int, request: bytes) -> bytes:
    """Send a request to the simulator; return everything that it answers."""
    with socket.create_connection(("127.0.0.1", port), LIVENESS_S) as connection:
        connection.sendall(request)
        answer = b""
        while data := connection.recv(65_536):
            answer += data
        return answer


def converse(port: int, messages: list[dict[str, Any]]) -> None:
    """Send messages to the simulator, and close with a reason of control characters."""
    path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    with contextlib.suppress(ConnectionClosed), connect(f"ws://127.0.0.1:{port}{path}?key=any") as client:
        for message in messages:
            client.send(json.dumps(message))
            client.recv(LIVENESS_S)
        client.close(3000, "\x1b[2J\x9b\x07\x00")
