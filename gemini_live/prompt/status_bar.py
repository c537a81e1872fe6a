"""The one line that says how the session stands, for whatever width the terminal has. Pure.

Fields say in words what they say in colour, and in ASCII, which has the same width in every font. Where they do not all
fit they shrink in the order of `_SHRINKING`: what changes least is looked at least.
"""

from collections.abc import Callable

from ..output.status import METER_CELLS, ConnectionState, Fragments, MicrophoneState, Status
from ..output.summary import format_duration

SLOW_S = 1.0
"""A latency above this is marked."""
_SEPARATOR = " | "


def format_status(status: Status, width: int) -> Fragments:
    """Return the bar, at most `width` columns of it."""
    sizes = dict.fromkeys(_FIELDS, 0)
    fields = _format_fields(status, sizes)
    for name in _SHRINKING:
        if _width(fields) <= width:
            break
        sizes[name] += 1
        fields = _format_fields(status, sizes)
    return _cut(_join(fields), width)


def _format_fields(status: Status, sizes: dict[str, int]) -> list[Fragments]:
    return [field for name, size in sizes.items() if (field := _FIELDS[name](status, size))]


def _width(fields: list[Fragments]) -> int:
    return sum(len(text) for _, text in _join(fields))


def _join(fields: list[Fragments]) -> Fragments:
    fragments: Fragments = []
    for field in fields:
        if fragments:
            fragments.append(("", _SEPARATOR))
        fragments += field
    return fragments


def _cut(fragments: Fragments, width: int) -> Fragments:
    cut: Fragments = []
    for style, text in fragments:
        cut.append((style, text[:width]))
        width -= len(cut[-1][1])
    return cut


def _meter(cells: int) -> str:
    return f"[{'#' * cells}{' ' * (METER_CELLS - cells)}]"


# Each field takes a size: 0 is the longest form, and beyond its shortest there is nothing.


def _microphone(status: Status, size: int) -> Fragments:
    state = status.microphone
    if state in {MicrophoneState.OFF, MicrophoneState.FILE} or size > 1:
        return []
    is_open = state in {MicrophoneState.LIVE, MicrophoneState.TALKING}
    meter = [("", f" {_meter(status.microphone_cells)}")] if size == 0 else []
    return [("", "mic"), *meter, ("class:on" if is_open else "class:off", f" {state}")]


def _speaker(status: Status, size: int) -> Fragments:
    if not status.plays or size > 1:
        return []
    meter = f" {_meter(status.speaker_cells)}" if size == 0 else ""
    return [("", f"speaker{meter} {status.queued_s:.1f} s")]


def _connection(status: Status, size: int) -> Fragments:
    if status.connection is ConnectionState.LIVE:
        return [("class:on", "live"), ("", f" {format_duration(status.since_s)}")]
    return [("class:alert", f"{status.connection.value} {status.since_s} s")]


def _model(status: Status, size: int) -> Fragments:
    voice = f", {status.voice}" if status.voice and size == 0 else ""
    return [("", f"{status.model}{voice}")] if size < 2 else []


def _latency(status: Status, size: int) -> Fragments:
    if status.latency_s is None or size:
        return []
    is_slow = status.latency_s > SLOW_S
    return [("class:alert" if is_slow else "", f"latency {status.latency_s:.2f} s{'!' if is_slow else ''}")]


def _tokens(status: Status, size: int) -> Fragments:
    if not status.tokens or size:
        return []
    n = status.tokens
    count = f"{n}" if n < 1_000 else f"{n / 1e3:.1f}k" if n < 999_950 else f"{n / 1e6:.1f}M"
    return [("", f"{count} token{'' if n == 1 else 's'}")]


def _sound_mode(status: Status, size: int) -> Fragments:
    return [("", status.sound_mode)] if status.sound_mode and not size else []


_FIELDS: dict[str, Callable[[Status, int], Fragments]] = {
    "connection": _connection,
    "microphone": _microphone,
    "speaker": _speaker,
    "latency": _latency,
    "sound mode": _sound_mode,
    "tokens": _tokens,
    "model": _model,
}
_SHRINKING = (
    *("model", "tokens", "model", "sound mode", "speaker", "microphone"),
    *("latency", "speaker", "microphone"),
)
"""Which field takes its next shorter form, one after the other, until all fit; the connection always stays."""
