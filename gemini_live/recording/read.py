"""Read a recording, also a damaged or hostile one: each problem is one clear line. Reads the file, else pure.

What cannot be trusted is refused with the number of the line: text that is not JSON, times out of order, huge lines.
What is merely unknown is skipped, and a last line that was cut off is reported as a problem.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import RecordingError
from .format import (
    FORMAT,
    MAX_FILE_BYTES,
    MAX_LINE_BYTES,
    MAX_T_S,
    VERSION,
    Closed,
    Connected,
    Entry,
    Header,
    Local,
    Message,
    find_media,
    is_too_deep,
    refuse_constant,
    remove_media,
)

MAX_PROBLEMS = 20
_BOM = b"\xef\xbb\xbf"
_CHUNK = re.compile(
    rb'\{"t_s":([\d.]{1,20}),"type":"message","from":"client","connection":([1-9]\d{0,8}),"message":'
    rb'(\{"realtimeInput":\{"audio":\{(?:"mimeType":"[\w/;=]{1,60}",)?"data":")'
)
"""The start of a line with a chunk of the user's sound, up to the sound itself. Nearly all lines are of this kind."""
_MAX_TAIL_BYTES = 100
_LONG_BYTES = 2_000
_DATA = b'"data":"'


@dataclass(frozen=True)
class Recording:
    """A recording in memory."""

    path: Path
    header: Header
    entries: tuple[Entry, ...]
    """In order of time."""
    problems: tuple[str, ...]
    """What was skipped, one line each."""

    @property
    def duration_s(self) -> float:
        """Return the time of the last entry."""
        return self.entries[-1].t_s if self.entries else 0.0


def read_recording(path: Path, *, keep_media: bool = True) -> Recording:
    """Read a whole recording.

    Args:
        path: The file.
        keep_media: False to leave sound and pictures out of memory; `bytes` beside the empty `data` tells how long they
            were.

    Raises:
        RecordingError: The file cannot be read, is not a recording, is damaged, or is of a version that is not known.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file, keep_media=keep_media).read()
    except OSError as exc:
        raise RecordingError(str(path), None, f"cannot be read: {exc.strerror}") from exc


class _Reader:
    def __init__(self, path: Path, file: BinaryIO, *, keep_media: bool) -> None:
        self._path, self._file, self._keep_media = path, file, keep_media
        self._line = 0
        self._n_bytes = 0
        self._problems: list[str] = []
        self._unknown: Counter[str] = Counter()
        self._chunks: dict[tuple[bytes, bytes, int], dict[str, Any]] = {}
        """Messages with sound that was left out: those that are alike share one object."""

    def read(self) -> Recording:
        header = self._read_header()
        entries = tuple(self._read_entries())
        if header.setup is None:
            header = _complete(header, entries)
        for kind, n in self._unknown.most_common():
            self._note(f"{n} {'entry' if n == 1 else 'entries'} of unknown type {kind} skipped")
        return Recording(self._path, header, entries, tuple(self._problems[:MAX_PROBLEMS]))

    def _read_header(self) -> Header:
        raw = self._next_line().removeprefix(_BOM)
        if not raw:
            raise self._damage("the file is empty")
        self._line = 1
        foreign = f"not a recording: the first line is not the header of a {FORMAT}"
        try:
            fields = self._parse(raw)
        except RecordingError:
            raise self._damage(foreign) from None
        if fields.get("format") != FORMAT:
            raise self._damage(foreign)
        version = fields.get("version")
        if version != VERSION or isinstance(version, bool):
            shown = str(version)[:20]
            raise self._damage(f"version {shown} of the format is not known; this program reads version {VERSION}")
        for name in ("program", "role", "started_at"):
            if not isinstance(fields.get(name), str):
                raise self._damage(f"the header has no {name}")
        model, setup = fields.get("model"), fields.get("setup")
        return Header(
            program=fields["program"],
            role=fields["role"],
            started_at=fields["started_at"],
            model=model if isinstance(model, str) else None,
            redacted=fields.get("redacted") is True,
            setup=setup if isinstance(setup, dict) else None,
        )

    def _read_entries(self) -> Iterator[Entry]:
        last_s = 0.0
        while raw := self._next_line():
            self._line += 1
            chunk = None if self._keep_media else self._read_chunk(raw, last_s)
            if chunk is not None:
                last_s = chunk.t_s
                yield chunk
                continue
            is_cut = not raw.endswith(b"\n")
            if raw.isspace():
                continue
            try:
                fields = self._parse(raw)
            except RecordingError as error:
                if not is_cut:
                    raise
                self._note(f"line {self._line} is cut off, and was skipped ({error.reason})")
                return
            t_s = self._read_time(fields, last_s)
            last_s = t_s
            entry = self._read_entry(t_s, fields)
            if entry is not None:
                yield entry

    def _read_chunk(self, raw: bytes, last_s: float) -> Message | None:
        """Read a chunk of the user's sound without the sound, if the line is one and in order: the fast way."""
        start = _CHUNK.match(raw)
        if start is None or not raw.endswith(b"}}}}\n"):
            return None
        begin = start.end()
        end = raw.find(b'"', begin)
        head, tail = start[3], raw[end:]
        key = (head, tail, end - begin - raw.count(b"=", end - 2, end))
        if end == begin or len(tail) > _MAX_TAIL_BYTES or start[1].count(b".") > 1:
            return None
        t_s = float(start[1])
        if not last_s <= t_s <= MAX_T_S:
            return None
        message = self._chunks.get(key)
        if message is None:
            try:
                message = json.loads(head + tail[:-2])
            except ValueError:
                return None
            message["realtimeInput"]["audio"]["bytes"] = key[2] * 3 // 4
            self._chunks[key] = message
        return Message(t_s, self._line, "client", int(start[2]), message)

    def _next_line(self) -> bytes:
        raw = self._file.readline(MAX_LINE_BYTES + 1)
        self._n_bytes += len(raw)
        if len(raw) > MAX_LINE_BYTES:
            self._line += 1
            raise self._damage(f"the line is longer than {MAX_LINE_BYTES >> 20} MiB")
        if self._n_bytes > MAX_FILE_BYTES:
            raise self._damage(f"the file is longer than {MAX_FILE_BYTES >> 30} GiB")
        return raw

    def _parse(self, raw: bytes) -> dict[str, Any]:
        try:
            fields = self._load(raw)
        except UnicodeDecodeError:
            raise self._damage("the line is not UTF-8 text") from None
        except json.JSONDecodeError as exc:
            raise self._damage(f"the line is not JSON: {exc.msg.lower()} at column {exc.colno}") from None
        except ValueError:
            raise self._damage("the line holds a number that JSON does not allow, or a huge one") from None
        except RecursionError:
            raise self._damage("the line is nested too deeply") from None
        if not isinstance(fields, dict):
            raise self._damage("the line is not a JSON object")
        if is_too_deep(fields):
            raise self._damage("the line is nested too deeply")
        return fields

    def _load(self, raw: bytes) -> Any:
        """Return the JSON of a line; long media that will not be kept are cut out before, which is fast."""
        if not self._keep_media and len(raw) > _LONG_BYTES:
            begin = raw.find(_DATA) + len(_DATA)
            end = raw.find(b'"', begin)
            if begin >= len(_DATA) and b"\\" not in raw[begin:end]:
                fields = json.loads((raw[:begin] + raw[end:]).decode(), parse_constant=refuse_constant)
                emptied = [media for media in find_media(fields) if not media["data"]]
                if len(emptied) == 1 and "bytes" not in emptied[0]:
                    emptied[0]["bytes"] = (end - begin) * 3 // 4 - raw.count(b"=", end - 2, end)
                    return fields
        return json.loads(raw.decode(), parse_constant=refuse_constant)

    def _read_time(self, fields: Mapping[str, Any], last_s: float) -> float:
        if "t_s" not in fields and fields.get("format") == FORMAT:
            raise self._damage("a second header: two recordings in one file")
        t_s = fields.get("t_s")
        if isinstance(t_s, bool) or not isinstance(t_s, (int, float)):
            raise self._damage("the line has no time (t_s)")
        if not (0 <= t_s <= MAX_T_S and math.isfinite(t_s)):
            raise self._damage("the time (t_s) is not a number of seconds since the header")
        if t_s < last_s:
            raise self._damage(f"out of order: t_s {t_s:g} comes after {last_s:g}")
        return float(t_s)

    def _read_entry(self, t_s: float, fields: dict[str, Any]) -> Entry | None:
        match kind := fields.get("type"):
            case "message":
                message, sender = fields.get("message"), fields.get("from")
                if not isinstance(message, dict):
                    raise self._damage("the message is not an object")
                if sender not in ("client", "server"):
                    raise self._damage('from is neither "client" nor "server"')
                if not self._keep_media:
                    remove_media(message)
                return Message(t_s, self._line, sender, self._read_connection(fields), message)
            case "connected":
                return Connected(t_s, self._line, self._read_connection(fields), _text(fields.get("url")))
            case "closed":
                code = fields.get("code")
                return Closed(
                    t_s,
                    self._line,
                    self._read_connection(fields),
                    code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 2**16 else None,
                    _text(fields.get("reason")),
                    "client" if fields.get("by") == "client" else "server",
                )
            case "local":
                event = fields.get("event")
                if not isinstance(event, str):
                    raise self._damage("the local entry has no event")
                facts = {name: value for name, value in fields.items() if name not in ("t_s", "type", "event")}
                return Local(t_s, self._line, event, facts)
            case str():
                self._unknown[kind if kind.isidentifier() and len(kind) <= 40 else "?"] += 1
                return None
            case _:
                raise self._damage("the line has no type")

    def _read_connection(self, fields: Mapping[str, Any]) -> int:
        number = fields.get("connection")
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number < 2**31:
            raise self._damage("connection is not a number from 1 on")
        return number

    def _note(self, problem: str) -> None:
        self._problems.append(problem)

    def _damage(self, reason: str) -> RecordingError:
        return RecordingError(str(self._path), self._line or None, reason)


def _complete(header: Header, entries: Iterable[Entry]) -> Header:
    """Return a header with the first setup that was sent: a server writes its header before anybody has connected."""
    messages = (entry.message for entry in entries if isinstance(entry, Message) and entry.sender == "client")
    setup = next((message["setup"] for message in messages if isinstance(message.get("setup"), dict)), None)
    model = setup.get("model") if setup is not None else None
    return replace(
        header, setup=setup, model=model if header.model is None and isinstance(model, str) else header.model
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
