"""A recording is written in the background, by its own rules, whatever the messages and the disk do."""

import base64
import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gemini_live.errors import RecordingError
from gemini_live.recording import write
from gemini_live.recording.format import Closed, Connected, Header, Local, Message
from gemini_live.recording.lines import MAX_INVALID_CHARS, timestamp
from gemini_live.recording.read import read_recording
from gemini_live.recording.write import Recorder

HEADER = Header(
    program="gemini-live 0",
    role="client",
    started_at="2026-11-28T21:15:00.123456Z",
    model="models/m",
    setup={"model": "models/m", "systemInstruction": {"parts": [{"text": "be brief"}]}},
)
SOUND = base64.b64encode(bytes(640)).decode()
AUDIO = {"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": SOUND}}}
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(write.__file__).parent / "recording.schema.json").read_text())
)


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.jsonl"


def record(path: Path, fill: Callable[[Recorder], object], **options: Any) -> list[Any]:
    """Record what `fill` says; return the lines, each of which must agree with the schema."""
    recorder = Recorder(path, header=HEADER, **options)
    fill(recorder)
    assert recorder.close()
    lines = lines_of(path)
    for line in lines:
        SCHEMA.validate(line)
    return lines


def test_everything_is_in_the_file_in_order_and_can_be_read(path: Path) -> None:
    times = iter([10.0, 10.5, 11.0, 11.25, 12.0])

    def fill(recorder: Recorder) -> None:
        recorder.connected(1, "wss://user:password@host:8443/ws/service?key=secret")
        recorder.message("client", 1, AUDIO)
        recorder.local("function_ran", id="c1", name="add", duration_s=0.25, level=float("-inf"))
        recorder.closed(1, 1011, "overloaded", "server")

    lines = record(path, fill, clock=lambda: next(times))
    assert lines[0] == {
        "format": "gemini-live-recording",
        "version": 1,
        "program": "gemini-live 0",
        "role": "client",
        "started_at": "2026-11-28T21:15:00.123456Z",
        "model": "models/m",
        "redacted": False,
        "setup": HEADER.setup,
    }
    assert read_recording(path).entries == (
        Connected(0.5, 0, 1, "wss://host:8443/ws/service"),
        Message(1.0, 0, "client", 1, AUDIO),
        Local(1.25, 0, "function_ran", {"id": "c1", "name": "add", "duration_s": 0.25, "level": None}),
        Closed(2.0, 0, 1, 1011, "overloaded", "server"),
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "raw",
    [
        '{"serverContent": {"turnComplete": true}}',
        b'{\n  "serverContent": {\r\n  "turnComplete": true}\n}\n',  # as the service writes it
        {"serverContent": {"turnComplete": True}},
    ],
    ids=["text", "bytes", "object"],
)
def test_a_message_is_kept_as_one_line(path: Path, raw: Any) -> None:
    lines = record(path, lambda recorder: recorder.message("server", 2, raw))
    assert lines[1]["message"] == {"serverContent": {"turnComplete": True}}
    assert (lines[1]["from"], lines[1]["connection"]) == ("server", 2)


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202e", "\x9b31m", "\x7f", "\u2028", "\ud83d"])
def test_the_file_holds_nothing_that_a_terminal_obeys(path: Path, text: str) -> None:
    raw = json.dumps({"text": text}, ensure_ascii="\ud800" <= text < "\ue000")
    lines = record(path, lambda recorder: recorder.message("server", 1, raw))
    assert lines[1]["message"] == {"text": text}
    assert all(32 <= byte < 127 or byte == 10 for byte in path.read_bytes())


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x00\xff", "not JSON"),
        ('{"n": NaN}', "not JSON"),
        ('{"n": ' + "9" * 5000 + "}", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not an object"),
        ('{"a":' * 150 + "1" + "}" * 150, "nested too deeply"),
        ('{"a":"' + "x" * (17 * 1024 * 1024) + '"}', "too long"),
        ({"text": float("nan")}, "not an object"),
    ],
    ids=["binary", "nan", "digits", "brackets", "list", "deep", "long", "object with nan"],
)
def test_a_message_that_no_reader_takes_becomes_a_note(path: Path, raw: Any, reason: str) -> None:
    lines = record(path, lambda recorder: recorder.message("server", 1, raw))
    assert lines[1]["event"] == "invalid_message"
    assert lines[1]["reason"] == reason
    assert len(lines[1]["text"]) <= MAX_INVALID_CHARS
    assert len(read_recording(path).entries) == 1


def test_bytes_in_an_object_become_base64_and_a_loop_in_it_does_no_harm(path: Path) -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop

    def fill(recorder: Recorder) -> None:
        recorder.message("client", 1, {"data": b"\x00\x01", "mimeType": "audio/pcm"})
        recorder.message("client", 1, loop)
        recorder.local("odd", loop=loop)

    lines = record(path, fill)
    assert lines[1]["message"] == {"data": "AAE=", "mimeType": "audio/pcm"}
    assert [line["event"] for line in lines[2:]] == ["invalid_message", "invalid_entry"]


def test_media_can_be_left_out(path: Path) -> None:
    lines = record(path, lambda recorder: recorder.message("client", 1, AUDIO), keep_media=False)
    assert lines[1]["message"]["realtimeInput"]["audio"] == {
        "mimeType": "audio/pcm;rate=16000",
        "data": "",
        "bytes": 640,
    }


def test_redacting_removes_words_media_arguments_and_results(path: Path) -> None:
    secret = "PRIVATE"
    call = {"functionCalls": [{"id": "c1", "name": "find", "args": {"who": secret, "number": 1234567}}]}
    results = [{"id": "c1", "name": "find", "response": {secret: {"result": secret}}}]
    said = {"modelTurn": {"role": "model", "parts": [{"text": secret}]}, "outputTranscription": {"text": secret}}

    def fill(recorder: Recorder) -> None:
        recorder.message("client", 1, AUDIO)
        recorder.message("client", 1, json.dumps({"realtimeInput": {"text": secret}}))
        recorder.message("client", 1, {"toolResponse": {"functionResponses": results}})
        recorder.message("server", 1, {"toolCall": call})
        recorder.message("server", 1, {"serverContent": said, "usageMetadata": {"totalTokenCount": 7}})
        recorder.message("server", 1, f"{secret} is not JSON")

    lines = record(path, fill, redact=True)
    assert lines[0]["redacted"] is True
    assert lines[0]["setup"] == {
        "model": "models/m",
        "systemInstruction": {"parts": [{"text": "<8 characters>"}]},
    }
    assert "PRIVATE" not in path.read_text()
    assert "1234567" not in path.read_text()
    assert lines[2]["message"] == {"realtimeInput": {"text": "<7 characters>"}}
    assert lines[4]["message"]["toolCall"]["functionCalls"][0] == {
        "id": "c1",
        "name": "find",
        "args": {"who": "<7 characters>", "number": "<7 characters>"},
    }
    assert lines[5]["message"]["usageMetadata"] == {"totalTokenCount": 7}
    assert lines[6]["n_bytes"] == len(f"{secret} is not JSON")


def test_a_secret_is_masked_wherever_it_appears(path: Path) -> None:
    key = 'AIza"quoted\\key-of-a-test'

    def fill(recorder: Recorder) -> None:
        recorder.message("server", 1, {"error": {"message": f"bad key {key}"}})
        recorder.closed(1, 1008, f"bad key {key}", "server")

    lines = record(path, fill, secrets=[key, "short"])
    assert lines[1]["message"] == {"error": {"message": "bad key ***"}}
    assert lines[2]["reason"] == "bad key ***"


def test_messages_of_many_threads_stay_whole_and_in_order(path: Path) -> None:
    def fill(recorder: Recorder) -> None:
        def send(number: int) -> None:
            for index in range(200):
                recorder.message("client", number, {"index": index})

        threads = [threading.Thread(target=send, args=(number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    record(path, fill)
    entries = read_recording(path).entries
    assert len(entries) == 1600
    for number in range(1, 9):
        own = [entry.message["index"] for entry in entries if isinstance(entry, Message) and entry.connection == number]
        assert own == list(range(200))


def test_flush_puts_into_the_file_what_was_recorded(path: Path) -> None:
    recorder = Recorder(path, header=HEADER)
    recorder.local("here")
    assert recorder.flush()
    assert lines_of(path)[1]["event"] == "here"
    assert recorder.close()
    recorder.local("too late")
    assert not recorder.flush()
    assert len(lines_of(path)) == 2


def test_a_killed_recorder_leaves_a_file_that_can_be_read(path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from gemini_live.recording.format import Header\n"
        "from gemini_live.recording.write import Recorder\n"
        "header = Header(program='p', role='client', started_at='2026-11-28T21:15:00.123456Z')\n"
        "recorder = Recorder(pathlib.Path(sys.argv[1]), header=header)\n"
        "recorder.local('first')\n"
        "print('ready', flush=True)\n"
        "while True: recorder.message('client', 1, {'text': 'x' * 100_000})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while path.stat().st_size < 3_000_000:
            pass
        process.kill()
    entries = read_recording(path).entries
    assert isinstance(entries[0], Local)
    assert len(entries) > 20


class _FullDisk(FileIO):
    def write(self, data: Any) -> int:
        if self.tell() > 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data[:700])


def test_a_full_disk_is_reported_once_and_nothing_else_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "open", lambda name, *_, **__: _FullDisk(name, "wb"), raising=False)
    said: list[str] = []
    recorder = Recorder(path, header=HEADER, on_failure=said.append)
    for _ in range(50):
        recorder.message("client", 1, AUDIO)
    assert not recorder.flush()
    recorder.message("client", 1, AUDIO)
    assert not recorder.close()
    assert said == [f"{path} is incomplete: No space left on device"] == [recorder.failure]
    assert read_recording(path).problems


def test_what_waits_for_a_slow_disk_has_a_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "MAX_WAITING_BYTES", 10_000)
    monkeypatch.setattr(write, "MAX_UNWRITTEN_BYTES", 1)
    gate, waits = threading.Event(), threading.Event()

    class SlowDisk(FileIO):
        def write(self, data: Any) -> int:
            waits.set()
            gate.wait()
            return super().write(data)

    monkeypatch.setattr(write, "open", lambda name, *_, **__: SlowDisk(name, "wb"), raising=False)

    def fill(recorder: Recorder) -> None:
        recorder.local("begin")
        waits.wait()
        for _ in range(100):
            recorder.message("client", 1, {"text": "x" * 1000})
        gate.set()
        recorder.flush()
        recorder.local("end")

    lines = record(path, fill)
    n_kept = sum(line.get("type") == "message" for line in lines)
    assert 5 < n_kept < 20
    assert [line["n"] for line in lines if line.get("event") == "messages_dropped"] == [100 - n_kept]


def test_a_recording_has_a_longest_length(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "MAX_FILE_BYTES", 2000)
    recorder = Recorder(path, header=HEADER)
    for _ in range(20):
        recorder.message("client", 1, AUDIO)
        recorder.flush()
    assert not recorder.close()
    assert "as long as it may be" in str(recorder.failure)
    assert path.stat().st_size <= 2000


def test_an_older_recording_is_kept_until_something_is_recorded(path: Path) -> None:
    record(path, lambda recorder: recorder.local("old"))
    assert Recorder(path, header=HEADER).close()
    assert lines_of(path)[1]["event"] == "old"
    record(path, lambda recorder: recorder.local("new"))
    assert [line.get("event") for line in lines_of(path)] == [None, "new"]


def test_foreign_json_is_overwritten_only_by_force_and_another_file_never(path: Path) -> None:
    for content in ("my thesis\n", '{"format": "something else"}\n'):
        path.write_text(content)
        path.chmod(0o644)
        with pytest.raises(RecordingError, match="it is not a recording; choose another name"):
            Recorder(path, header=HEADER)
        assert path.read_text() == content
    record(path, lambda recorder: recorder.local("new"), force=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("my thesis\n")
    with pytest.raises(RecordingError, match="--force overwrites JSON lines only"):
        Recorder(path, header=HEADER, force=True)


def test_two_recorders_do_not_write_one_file(path: Path) -> None:
    recorder = Recorder(path, header=HEADER)
    with pytest.raises(RecordingError, match="another program is writing this file"):
        Recorder(path, header=HEADER)
    assert recorder.close()


def test_what_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "x.jsonl", Path("/dev/null")):
        with pytest.raises(RecordingError, match="cannot write the recording"):
            Recorder(path, header=HEADER)


def test_the_time_is_written_in_utc_with_microseconds() -> None:
    SCHEMA.validate({**HEADER.to_json(), "started_at": timestamp()})
