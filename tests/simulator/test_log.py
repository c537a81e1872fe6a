"""log.py: the simulator's log is a recording of all sessions."""

import base64
from pathlib import Path
from typing import Any

import pytest

from gemini_live.errors import ConfigError
from gemini_live.recording.format import Closed, Connected, Local, Message
from gemini_live.recording.read import Recording, read_recording
from gemini_live.simulator import Simulator

from .fake_clock import FakeClock
from .peer import MODEL, dial, session, setup

AUDIO_TYPE = "audio/pcm;rate=16000"


def messages_of(recording: Recording, sender: str) -> list[Any]:
    return [entry.message for entry in recording.entries if isinstance(entry, Message) and entry.sender == sender]


async def test_log_has_every_message_both_ways_without_media(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "log.jsonl"
    async with Simulator(pace=0, espeak=False, log=path, clock=clock) as server, session(server) as peer:
        clock.advance(1.5)
        await peer.speak(bytes(640))
        await peer.ask("Grüße")
    recording = read_recording(path)
    (record,) = server.sessions
    assert (recording.header.role, recording.problems) == ("simulator", ())
    first, last = recording.entries[0], recording.entries[-1]
    assert isinstance(first, Connected) and first.url == server.socket_url
    assert isinstance(last, Closed) and (last.code, last.by) == (1000, "client")
    sent = messages_of(recording, "client")
    assert sent[0] == setup()
    assert sent[1] == {"realtimeInput": {"audio": {"data": "", "mimeType": AUDIO_TYPE, "bytes": 640}}}
    assert sent[2] == {"realtimeInput": {"text": "Grüße"}}
    assert [entry.t_s for entry in recording.entries if isinstance(entry, Message)][-1] == 1.5
    assert (len(sent), len(messages_of(recording, "server"))) == (record.n_received, record.n_sent)


async def test_log_may_hold_the_media_too(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    async with Simulator(pace=0, espeak=False, log=path, log_media=True) as server, session(server) as peer:
        await peer.speak(bytes(range(256)))
        await peer.ask("Hello")
    recording = read_recording(path)
    data = base64.b64encode(bytes(range(256))).decode()
    assert {"realtimeInput": {"audio": {"data": data, "mimeType": AUDIO_TYPE}}} in messages_of(recording, "client")
    assert messages_of(recording, "server") == server.sessions[0].sent


async def test_sessions_have_numbers_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    async with Simulator(pace=0, espeak=False, log=path) as server:
        for _ in range(2):
            async with session(server) as peer:
                await peer.ask("Hello")
    entries = read_recording(path).entries
    assert [entry.connection for entry in entries if isinstance(entry, Connected)] == [1, 2]
    assert {entry.connection for entry in entries if isinstance(entry, Message)} == {1, 2}


async def test_log_names_mistakes_and_never_a_key(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    options: dict[str, Any] = {"key": "s3cret-of-somebody", "log": path}
    async with Simulator(**options) as server, dial(server, f"{server.socket_url}?key=s3cret-of-somebody") as peer:
        await peer.send({"setup": {"model": MODEL}})
        await peer.receive()
        await peer.send({"clientContent": {"turns": [{"role": "system"}]}})
        await peer.closed()
    assert "s3cret" not in path.read_text(encoding="utf-8")
    (mistake,) = [entry for entry in read_recording(path).entries if isinstance(entry, Local)]
    assert mistake.event == "mistake"
    assert mistake.facts == {"connection": 1, "words": "Please use a valid role: user, model. (closed with 1007)"}


async def test_message_that_is_no_json_is_logged_as_such(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    async with Simulator(pace=0, log=path) as server, dial(server) as peer:
        await peer.websocket.send("{")
        await peer.closed()
    assert [entry.event for entry in read_recording(path).entries if isinstance(entry, Local)] == [
        "invalid_message",
        "mistake",
    ]


@pytest.mark.parametrize(
    ("name", "words"), [("nowhere/log.jsonl", "No such file or directory"), ("notes.txt", "it is not a recording")]
)
async def test_log_that_cannot_be_written_is_one_line(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError) as raised:
        async with Simulator(log=tmp_path / name):
            pass
    assert str(raised.value).startswith(f"--log {tmp_path / name}: {words}")
    assert (tmp_path / "notes.txt").read_text() == "mine"


async def test_full_disk_is_told_once_and_the_sessions_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("gemini_live.recording.write.MAX_FILE_BYTES", 2000)
    with pytest.raises(ConfigError, match="is incomplete"):
        async with Simulator(pace=0, espeak=False, log=tmp_path / "log.jsonl", on_event=told.append) as server:
            for _ in range(2):
                async with session(server) as peer:
                    await peer.ask("Hello")
    assert [record.mistakes for record in server.sessions] == [[], []]
    assert len([words for words in told if words.startswith("the log")]) == 1
