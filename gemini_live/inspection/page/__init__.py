"""Write a session as one page that needs nothing else: `page.html` with its style, its script, the data and the sound.

The page loads nothing and runs only its own script: a policy in it says so to the browser. All that was said comes as
JSON in which no character can end the element, and the script shows it as text only.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import zip_longest
from typing import Any, BinaryIO

from ...audio.pcm import to_samples
from ...errors import ConfigError
from ...escaping import one_line
from ...output.summary import format_duration
from ...recording.format import Message
from ...recording.read import Recording
from ..numbers import MEASURES, PERCENTILES, percentile, total_cost, values_of
from ..session import Session, Sound, Turn
from ..wave_file import runs_of, windows_of

MAGIC = b"<!doctype html><!-- gemini-live inspect -->"
PEAKS_PER_S = 100
SHORT_S = 600.0
SHORT_HZ, LONG_HZ = 16_000, 8_000
"""The rate of the sound in the page: of sessions up to ten minutes, and of longer ones."""
MAX_DURATION_S = 12 * 3600
MAX_MARKS = 50_000
MAX_MESSAGE_CHARS = 4_000
"""A longer message behind a mark is cut."""
_PIECE_S = 1.0
_QUIET = 60
"""A second whose samples are all smaller is left out of the sound."""
_NAMED = ("typed", "call", "result", "interrupted", "closed", "connected", "error", "underrun", "go away", "speech")
"""The marks whose names are written on the time line."""
_COLUMNS = (
    *(("turn", ""), ("asked", "w"), ("question", "w"), ("answer", "w"), ("first byte", ""), ("first sound", "")),
    *(("length", ""), ("heard", ""), ("to silence", ""), ("talk-over", ""), ("tokens in", ""), ("out", "")),
    *(("cost", ""), ("ending", "w")),
)


def write_page(session: Session, recording: Recording, file: BinaryIO) -> None:
    """Write the page.

    Args:
        session: The session, with its sound.
        recording: The same recording; its messages are shown, so it needs no sound.
        file: Where to.

    Raises:
        ConfigError: The session is too long.
    """
    if session.duration_s > MAX_DURATION_S:
        raise ConfigError(f"--html: the session is longer than {MAX_DURATION_S // 3600} hours")
    style, script = _read("page.css"), _read("page.js")
    rate_hz = SHORT_HZ if session.duration_s <= SHORT_S else LONG_HZ
    values = {
        "title": html.escape(_title(session)),
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        "data": _to_safe_json(_build_data(session, recording, rate_hz)),
    }
    for part in re.split(r"(\{\{\w+\}\})", _read("page.html")):
        name = part.strip("{}")
        if part == "{{sounds}}":
            for lane, sounds in enumerate((session.user_sounds, session.model_sounds)):
                file.writelines(_format_sounds(sounds, lane, rate_hz))
        else:
            text = values[name] if part.startswith("{{") else part
            file.write(text.encode(errors="replace"))


def _read(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _to_safe_json(value: Any) -> str:
    """Return JSON that cannot end the element that it stands in, whatever was said."""
    return (
        json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    )


def _title(session: Session) -> str:
    model = (session.header.model or "unknown model").removeprefix("models/")
    return one_line(f"{model}, {session.header.started_at[:19].replace('T', ' ')} UTC")


def _build_data(session: Session, recording: Recording, rate_hz: int) -> dict[str, Any]:
    marks = session.marks[:MAX_MARKS]
    lines = {mark.line for mark in marks if mark.line is not None}
    messages = {
        entry.line: _format_message(entry.message)
        for entry in recording.entries
        if isinstance(entry, Message) and entry.line in lines
    }
    return {
        "title": _title(session),
        "facts": _facts(session),
        "duration_s": round(session.duration_s, 3),
        "peaks_per_s": PEAKS_PER_S,
        "peaks": [_peaks(sounds, session.duration_s) for sounds in (session.user_sounds, session.model_sounds)],
        "sound_hz": rate_hz,
        "named": _NAMED,
        "marks": [
            {"t": round(mark.t_s, 4), "kind": mark.kind, "text": one_line(mark.text), "line": mark.line}
            for mark in marks
        ],
        "messages": messages,
        "columns": _COLUMNS,
        "turns": [_turn_data(turn, until_s) for turn, until_s in _with_ends(session)],
        "percentiles": _percentile_rows(session),
    }


def _facts(session: Session) -> list[str]:
    header, cost = session.header, total_cost(session.turns)
    facts = [
        format_duration(session.duration_s),
        f"{len(session.turns)} turn{'' if len(session.turns) == 1 else 's'}",
        f"{len(session.connections)} connection{'' if len(session.connections) == 1 else 's'}",
        f"recorded by {header.program} ({header.role})",
        *(["redacted"] if header.redacted else []),
        *([] if session.is_played else ["nothing was played"]),
        *([] if cost is None else [f"${cost:.4f}"]),
        *session.problems,
    ]
    return [one_line(fact) for fact in facts]


def _format_message(message: Any) -> str:
    text = json.dumps(message, indent=1, ensure_ascii=False)
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}\n... ({len(text):,} characters)"


def _with_ends(session: Session) -> Iterator[tuple[Turn, float]]:
    """Yield each turn with the time of its end on the time line."""
    for turn, following in zip_longest(session.turns, session.turns[1:]):
        last_s = max((sound.end_s for sound in turn.sounds), default=turn.began_s)
        until_s = max(last_s, turn.ended_s or turn.began_s)
        yield turn, until_s if following is None else min(until_s, max(following.began_s, turn.began_s))


def _turn_data(turn: Turn, until_s: float) -> dict[str, Any]:
    cells = [
        str(turn.number),
        turn.origin,
        one_line(turn.question),
        one_line(turn.words),
        *map(
            _seconds,
            (
                turn.first_byte_after_s,
                turn.first_sound_after_s,
                turn.spoken_s or None,
                turn.heard_s or None,
                turn.silent_after_s,
                turn.talk_over_s or None,
            ),
        ),
        f"{sum(turn.tokens.prompt.values()):,}" if turn.tokens.prompt else "",
        f"{sum(turn.tokens.response.values()):,}" if turn.tokens.response else "",
        "" if turn.cost is None else f"${turn.cost:.4f}",
        f"{turn.ending} {one_line(turn.reason)}".strip(),
    ]
    return {
        "number": turn.number,
        "began_s": round(turn.began_s, 4),
        "until_s": round(until_s, 4),
        "first_byte_after_s": turn.first_byte_after_s,
        "first_sound_after_s": turn.first_sound_after_s,
        "cells": cells,
    }


def _percentile_rows(session: Session) -> list[list[str]]:
    rows = [["measure", "n", *(f"p{percent}" for percent in PERCENTILES), "max"]]
    for measure, words in MEASURES.items():
        if values := values_of(session, measure):
            found = [percentile(values, percent) for percent in PERCENTILES]
            rows.append([words, str(len(values)), *map(_seconds, [*found, values[-1]])])
    return rows


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


# Sound


def _peaks(sounds: Sequence[Sound], duration_s: float) -> str:
    """Return the largest sample of each hundredth of a second, in one byte each, as base64."""
    rate_hz = LONG_HZ
    step = rate_hz // PEAKS_PER_S
    peaks = bytearray()
    for window in windows_of(sounds, duration_s, rate_hz):
        if not any(window):
            peaks += bytes(-(-len(window) // step))
            continue
        for i in range(0, len(window), step):
            piece = window[i : i + step]
            peaks.append(min(255, _loudest(piece) >> 7))
    return base64.b64encode(peaks).decode()


def _format_sounds(sounds: Sequence[Sound], lane: int, rate_hz: int) -> Iterator[bytes]:
    """Yield an element for each piece of sound that is not silent."""
    size = round(_PIECE_S * rate_hz)
    for start_s, pcm in runs_of(sounds, rate_hz):
        samples = to_samples(pcm)
        loud: list[int] = []
        for i in [*range(0, len(samples), size), -1]:
            piece = samples[i : i + size] if i >= 0 else ()
            if _loudest(piece) >= _QUIET:
                loud.append(i)
            elif loud:
                sound = samples[loud[0] : loud[-1] + size]
                begins_s, length_s = start_s + loud[0] / rate_hz, len(sound) / rate_hz
                encoded = base64.b64encode(_to_mu_law(sound)).decode()
                head = f'<script type="text/plain" class="sound" data-lane="{lane}" data-start="{begins_s:.4f}"'
                yield f'{head} data-length="{length_s:.4f}">{encoded}</script>\n'.encode()
                loud = []


def _loudest(samples: Sequence[int]) -> int:
    return max(abs(max(samples)), abs(min(samples))) if samples else 0


def _to_mu_law(samples: Sequence[int]) -> bytes:
    """Return samples in 8 bits each (ITU-T G.711)."""
    return bytes(map(_MU_LAW.__getitem__, samples))


def _encode_sample(sample: int) -> int:
    sign, size = (0x80, -sample) if sample < 0 else (0, sample)
    size = min(size, 32_635) + 132
    exponent = max(0, size.bit_length() - 8)
    return ~(sign | exponent << 4 | (size >> (exponent + 3) & 15)) & 255


_MU_LAW = [_encode_sample(sample if sample < 2**15 else sample - 2**16) for sample in range(2**16)]
"""By sample; negative ones count from the end."""
