"""Every damage of a recording is one clear line; what is merely unknown is skipped."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gemini_live.errors import RecordingError
from gemini_live.recording import read
from gemini_live.recording.format import Local, Message, remove_media
from gemini_live.recording.read import read_recording

HEADER = {
    "format": "gemini-live-recording",
    "version": 1,
    "program": "gemini-live 0",
    "role": "client",
    "started_at": "2026-11-28T21:15:00.123456Z",
    "model": None,
    "redacted": False,
    "setup": None,
}
ENTRY = {"t_s": 1.5, "type": "message", "from": "client", "connection": 1, "message": {"setup": {}}}


def build(*entries: Any, header: Any = HEADER) -> bytes:
    """Return the bytes of a recording; an entry that is text is a line as it is."""
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in (header, *entries)]
    return "".join(f"{line}\n" for line in lines).encode()


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ENTRY.items() if key != name}


DAMAGED = {
    "empty": (b"", "the file is empty"),
    "text": (b"my thesis\n", "1: not a recording: the first line is not the header"),
    "foreign JSON lines": (b'{"direction": "sent", "message": {}}\n', "1: not a recording"),
    "foreign JSON": (b"[1, 2]", "1: not a recording"),
    "binary": (bytes(range(256)) * 10, "1: not a recording"),
    "compressed": (gzip.compress(build(ENTRY)), "1: not a recording"),
    "UTF-16": (build(ENTRY).decode().encode("utf-16"), "1: not a recording"),
    "cut in the header": (build()[:40], "1: not a recording"),
    "an entry first": (build(header=ENTRY), "1: not a recording"),
    "newer version": (build(header=HEADER | {"version": 2}), "1: version 2 of the format is not known"),
    "odd version": (build(header=HEADER | {"version": True}), "1: version True of the format is not known"),
    "hostile version": (build(header=HEADER | {"version": "\x1b" * 999}), "1: version"),
    "no program": (build(header={k: v for k, v in HEADER.items() if k != "program"}), "1: the header has no program"),
    "not JSON": (build(ENTRY, "{oops}", ENTRY), "3: the line is not JSON: expecting property name"),
    "not UTF-8": (build() + b'{"t_s": 1, "type": "\xff"}\n', "2: the line is not UTF-8 text"),
    "not an object": (build("[]"), "2: the line is not a JSON object"),
    "deep": (build('{"a":' * 200 + "1" + "}" * 200), "2: the line is nested too deeply"),
    "very deep": (build("[" * 100_000), "2: the line is nested too deeply"),
    "many digits": (build('{"t_s": ' + "1" * 5000 + "}"), "2: the line holds a number that JSON does not allow"),
    "NaN": (build('{"t_s": NaN, "type": "local"}'), "2: the line holds a number that JSON does not allow"),
    "no time": (build(without("t_s")), "2: the line has no time"),
    "a time in words": (build(ENTRY | {"t_s": "1"}), "2: the line has no time"),
    "a time that is true": (build(ENTRY | {"t_s": True}), "2: the line has no time"),
    "negative time": (build(ENTRY | {"t_s": -1}), "2: the time (t_s) is not a number of seconds"),
    "huge time": (build(ENTRY | {"t_s": 10**300}), "2: the time (t_s) is not a number of seconds"),
    "infinite time": (build('{"t_s": 1e999, "type": "local"}'), "2: the time (t_s) is not a number of seconds"),
    "out of order": (build(ENTRY, ENTRY | {"t_s": 1.25}), "3: out of order: t_s 1.25 comes after 1.5"),
    "two recordings": (build(ENTRY, HEADER), "3: a second header: two recordings in one file"),
    "no type": (build(without("type")), "2: the line has no type"),
    "no sender": (build(without("from")), "2: from is neither"),
    "no message": (build(ENTRY | {"message": [1]}), "2: the message is not an object"),
    "no connection": (build(without("connection")), "2: connection is not a number"),
    "connection 0": (build(ENTRY | {"connection": 0}), "2: connection is not a number"),
    "huge connection": (build(ENTRY | {"connection": 10**100}), "2: connection is not a number"),
    "no event": (build({"t_s": 1, "type": "local"}), "2: the local entry has no event"),
}


@pytest.mark.parametrize(("content", "said"), DAMAGED.values(), ids=DAMAGED.keys())
def test_each_damage_is_one_line_that_names_the_file(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    line = str(caught.value)
    assert line.startswith(f"{path}:")
    assert said in line
    assert len(line) < len(str(path)) + 150
    assert "\n" not in line


def test_a_line_and_a_file_have_a_longest_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.jsonl"
    path.write_bytes(build(ENTRY | {"message": {"text": "x" * (33 * 1024 * 1024)}}))
    with pytest.raises(RecordingError, match=r"huge.jsonl:2: the line is longer than 32 MiB"):
        read_recording(path)
    path.write_bytes(build(*[ENTRY] * 100))
    monkeypatch.setattr(read, "MAX_FILE_BYTES", 1000)
    with pytest.raises(RecordingError, match=r"huge.jsonl:\d+: the file is longer"):
        read_recording(path)


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="/dev/zero:1: the line is longer than 32 MiB"):
        read_recording(Path("/dev/zero"))


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError, match="cannot be read: "):
        read_recording(tmp_path / name)


@pytest.mark.parametrize("end", [b'{"t_s": 2, "type": "mess', b"\0" * 4096, b'{"t_s": 2, "x": "\xc3'])
def test_a_last_line_that_was_cut_off_is_skipped_and_told(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_bytes(build(ENTRY) + end)
    recording = read_recording(path)
    assert len(recording.entries) == 1
    assert recording.duration_s == 1.5
    assert recording.problems[0].startswith("line 3 is cut off, and was skipped")


def test_what_is_not_known_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "newer.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf"  # some editors write it
        + build(
            ENTRY | {"new": 1},
            "",
            {"t_s": 2, "type": "new_kind"},
            {"t_s": 2, "type": "new_kind"},
            {"t_s": 2, "type": "\x1b[2J"},
            {"t_s": 3, "type": "local", "event": "new_event", "x": 1},
            header=HEADER | {"new": 1},
        )
    )
    recording = read_recording(path)
    assert recording.entries == (
        Message(1.5, 0, "client", 1, {"setup": {}}),
        Local(3.0, 0, "new_event", {"x": 1}),
    )
    assert [entry.line for entry in recording.entries] == [2, 7]
    assert recording.problems == (
        "2 entries of unknown type new_kind skipped",
        "1 entry of unknown type ? skipped",
    )


def test_what_the_header_does_not_know_is_taken_from_the_first_setup(tmp_path: Path) -> None:
    """A simulator and a proxy write their header before anybody has connected."""
    first, later = ({"setup": {"model": model}} for model in ("models/a", "models/b"))
    path = tmp_path / "log.jsonl"
    path.write_bytes(
        build({"t_s": 1, "type": "local", "event": "x"}, ENTRY | {"message": first}, ENTRY | {"message": later})
    )
    header = read_recording(path).header
    assert (header.model, header.setup) == ("models/a", {"model": "models/a"})
    path.write_bytes(build(ENTRY | {"message": later}, header=HEADER | {"model": "models/c", "setup": {"a": 1}}))
    header = read_recording(path).header
    assert (header.model, header.setup) == ("models/c", {"a": 1})
    path.write_bytes(build(ENTRY | {"message": {"setup": {"model": 7}}}, ENTRY | {"message": {"setup": []}}))
    header = read_recording(path).header
    assert (header.model, header.setup) == (None, {"model": 7})


def test_media_can_be_left_out_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "sound.jsonl"
    blob = {"mimeType": "audio/pcm", "data": "AAECAw=="}
    path.write_bytes(build(ENTRY | {"message": {"realtimeInput": {"mediaChunks": [blob]}, "data": "a word"}}))
    (entry,) = read_recording(path, keep_media=False).entries
    assert isinstance(entry, Message)
    assert entry.message == {
        "realtimeInput": {"mediaChunks": [{"mimeType": "audio/pcm", "data": "", "bytes": 4}]},
        "data": "a word",
    }


def test_leaving_out_sound_is_fast_and_reads_the_same(tmp_path: Path) -> None:
    """Chunks of the user's sound and long lines are read in a faster way, and mean the same in every form."""
    lines: list[Any] = []
    t_s = 0.0
    forms = [
        {"mimeType": "audio/pcm;rate=16000", "data": "AAAA" * 200},
        {"mimeType": "audio/pcm;rate=16000", "data": "AAAA" * 200 + "AAA="},
        {"data": "AAAA" * 1000 + "AA==", "mimeType": "audio/pcm;rate=8000"},
        {"mimeType": "audio/pcm", "data": 'with \\ and " in it' * 200},
        {"mimeType": "audio/pcm", "data": ""},
        {"mimeType": "audio/pcm", "data": "", "bytes": 640},
        {"mimeType": "audio/pcm", "data": "AAAA" * 1000, "more": {"data": "x", "mimeType": "y"}},
        {"mimeType": "audio/pcm", "data": "", "more": "x" * 3000},
    ]
    for form in forms * 2:
        stream = {"audio": form}
        for message in ({"realtimeInput": stream}, {"x": [form]}, {"realtimeInput": stream | {"text": "a"}}):
            t_s += 0.5
            entry = ENTRY | {"t_s": t_s, "message": message}
            lines += [entry, json.dumps(entry, separators=(",", ":"))]
    path = tmp_path / "sound.jsonl"
    path.write_bytes(build(*lines))
    slow, fast = read_recording(path), read_recording(path, keep_media=False)
    assert len(slow.entries) == len(fast.entries) == len(lines)
    for one, other in zip(slow.entries, fast.entries, strict=True):
        assert isinstance(one, Message)
        assert isinstance(other, Message)
        remove_media(one.message)
        assert one == other
        assert one.line == other.line
