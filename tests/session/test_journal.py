"""What `--record` and `/save FILE.jsonl` write of a session."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from gemini_live.config import Config
from gemini_live.errors import ConfigError, RecordingError
from gemini_live.functions.call import FunctionCaller
from gemini_live.recording import memory
from gemini_live.recording.format import Closed, Connected, Local, Message
from gemini_live.recording.read import Recording, read_recording
from gemini_live.session.journal import Journal
from tests.fakes import FakePyAudio

from .test_session import KEY, TEXT_MODEL, Lines, Written, configure, hold, simulator
from .test_session import functions as functions  # noqa: PLC0414 - a fixture
from .test_session import stdin as stdin  # noqa: PLC0414 - a fixture

CALL = 'call add({"a": 2, "b": 3})'


def of_kind(recording: Recording, kind: type[Any]) -> list[Any]:
    return [entry for entry in recording.entries if isinstance(entry, kind)]


def journal(tmp_path: Path, **settings: Any) -> Journal:
    config = Config(api_key=KEY, **settings)
    remembers = settings.get("record") is None
    return Journal(config, {"setup": {"model": "models/m"}}, remembers=remembers, warn=print, clock=lambda: 1.0)


async def test_a_session_is_recorded_with_its_calls_and_connections(
    tmp_path: Path, functions: FunctionCaller, stdin: Lines
) -> None:
    path = tmp_path / "session.jsonl"
    stdin.type(CALL, "and on")
    stdin.end()
    async with simulator("reset@turn2*1") as server:
        written = await hold(configure(server, record=path), functions=functions, stdin=stdin)
    assert len(written.of("answered")) == 2
    recording = read_recording(path)
    assert recording.problems == ()
    assert (recording.header.role, recording.header.model) == ("client", f"models/{TEXT_MODEL}")
    messages = of_kind(recording, Message)
    assert messages[0].message == {"setup": recording.header.setup}
    assert [message.sender for message in messages[:2]] == ["client", "server"]
    url = f"ws://{server.url.partition('//')[2]}/ws/google.ai.generativelanguage.v1beta.GenerativeService"
    assert [(entry.connection, entry.url) for entry in of_kind(recording, Connected)] == [
        (n, f"{url}.BidiGenerateContent") for n in (1, 2)
    ]
    first, second = of_kind(recording, Closed)
    assert (first.connection, first.by, second.connection, second.by, second.code) == (1, "server", 2, "client", 1000)
    (ran,) = [entry.facts for entry in of_kind(recording, Local) if entry.event == "function_ran"]
    (call,) = [m.message["toolCall"]["functionCalls"][0] for m in messages if "toolCall" in m.message]
    assert (ran["id"], ran["name"], ran["failed"]) == (call["id"], "add", False)
    assert 0 <= ran["duration_s"] < 10
    # Everything that travelled is there, in both directions.
    assert sum(m.sender == "client" for m in messages) == sum(r.n_received for r in server.sessions)
    assert sum(m.sender == "server" for m in messages) <= sum(r.n_sent for r in server.sessions)
    assert KEY not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_redacted_recording_holds_no_word(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    async with simulator() as server:
        await hold(configure(server, record=path, redact=True, initial_message="Xylophone"))
    assert read_recording(path).header.redacted
    assert "ylophone" not in path.read_text()
    assert "<9 characters>" in path.read_text()


async def test_a_failed_connection_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    with pytest.raises(Exception, match="could not connect"):
        await hold(configure("http://127.0.0.1:1", record=path, reconnect=False, initial_message="Hello"))
    failed = [entry for entry in of_kind(read_recording(path), Local) if entry.event == "connection_failed"]
    assert failed
    assert failed[0].facts["http_status"] is None


async def test_what_the_user_says_and_what_is_played_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyaudio", FakePyAudio(paced=True))
    path = tmp_path / "session.jsonl"
    async with simulator(pace=1) as server:
        config = configure(server, speaks=True, record=path, text_output=False, initial_message="Hi")
        await hold(config)
    events = [entry for entry in of_kind(read_recording(path), Local) if entry.event != "microphone_level"]
    assert [entry.event for entry in events] == ["first_sound", "playback_ended"]
    assert 0 < events[0].facts["latency_s"] < 1
    sound = next(entry for entry in of_kind(read_recording(path), Message) if "modelTurn" in json.dumps(entry.message))
    assert events[0].t_s >= sound.t_s


async def test_a_file_that_is_no_recording_ends_the_session_before_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text('{"my": "notes"}\n')
    with pytest.raises(RecordingError, match="it is not a recording"):
        await hold(configure("http://127.0.0.1:1", record=path, initial_message="Hello"))
    assert path.read_text() == '{"my": "notes"}\n'


async def test_a_full_disk_is_one_warning_and_the_session_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stdin: Lines
) -> None:
    from gemini_live.recording import write

    monkeypatch.setattr(write, "MAX_FILE_BYTES", 300)
    stdin.type("one", "two")
    stdin.end()
    written = Written()
    async with simulator() as server:
        await hold(configure(server, record=tmp_path / "session.jsonl"), stdin=stdin, written=written)
    assert written.of("answered") == ["one", "two"]
    assert sum("is incomplete" in warning for warning in written.of("warning")) <= 1


async def test_saving_copies_the_recording(tmp_path: Path) -> None:
    recorded = journal(tmp_path, record=tmp_path / "session.jsonl")
    recorded.open()
    recorded.connected("wss://host/path")
    recorded.save(tmp_path / "saved.jsonl", False)
    assert [type(entry) for entry in read_recording(tmp_path / "saved.jsonl").entries] == [Connected]
    with pytest.raises(FileExistsError):
        recorded.save(tmp_path / "saved.jsonl", False)
    recorded.local("later")
    recorded.save(tmp_path / "saved.jsonl", True)
    assert len(read_recording(tmp_path / "saved.jsonl").entries) == 2
    assert stat.S_IMODE(os.stat(tmp_path / "saved.jsonl").st_mode) == 0o600
    await recorded.close()


def test_a_session_that_is_not_recorded_is_remembered_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_WHOLE_BYTES", 20_000)
    monkeypatch.setattr(memory, "MAX_OLDER_BYTES", 10_000)
    remembered = journal(tmp_path)
    remembered.open()
    remembered.connected("wss://host/path")
    for index in range(30):
        blob = {"mimeType": "audio/pcm", "data": "AAAA" * 500}
        remembered.message("client", json.dumps({"realtimeInput": {"audio": blob}, "index": index, "key": KEY}))
    remembered.save(tmp_path / "saved.jsonl", False)
    messages = of_kind(read_recording(tmp_path / "saved.jsonl"), Message)
    assert [m.message["index"] for m in messages] == list(range(30 - len(messages), 30))
    sizes = [len(m.message["realtimeInput"]["audio"]["data"]) for m in messages]
    n_whole = sum(size > 0 for size in sizes)
    assert sizes == [0] * (len(sizes) - n_whole) + [2000] * n_whole
    assert 5 <= n_whole <= 10
    assert len(messages) - n_whole <= 20
    assert messages[0].message["realtimeInput"]["audio"]["bytes"] == 1500
    assert KEY not in (tmp_path / "saved.jsonl").read_text()
    assert stat.S_IMODE((tmp_path / "saved.jsonl").stat().st_mode) == 0o600


def test_redacting_applies_to_what_is_saved_too(tmp_path: Path) -> None:
    remembered = journal(tmp_path, redact=True)
    remembered.open()
    remembered.connected("wss://host/path")
    remembered.message("client", '{"realtimeInput": {"text": "Xylophone"}}')
    remembered.save(tmp_path / "saved.jsonl", False)
    assert read_recording(tmp_path / "saved.jsonl").header.redacted
    assert "ylophone" not in (tmp_path / "saved.jsonl").read_text()


def test_what_is_neither_recorded_nor_remembered_cannot_be_saved(tmp_path: Path) -> None:
    silent = Journal(Config(), {"setup": {}}, remembers=False, warn=print, clock=lambda: 1.0)
    silent.open()
    silent.connected("wss://host/path")
    with pytest.raises(ConfigError, match="start it with --record"):
        silent.save(tmp_path / "x.jsonl", False)
