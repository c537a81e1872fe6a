"""The status bar: one line about the session, for any width of the terminal. Pure.

Whatever a field says in colour it also says in words, and in ASCII, which has the same width in every font. If the
fields do not all fit, they are shortened in the order of `_SHRINKING`: those that change least come first.
"""

from collections.abc import Callable

from ..escaping import one_line
from ..output.status import METER_CELLS, ConnectionState, Fragments, MicrophoneState, Status
from ..output.summary import format_duration

SLOW_S = 1.0
"""A longer latency is marked."""
MAX_NAME_CHARS = 40
"""A longer name of a function is cut."""
_SEPARATOR = " | "


def format_status(status: Status, width: int) -> Fragments:
    """Return the bar, at most `width` columns wide."""
    sizes = dict.fromkeys(_FIELDS, 0)
    fields = _format_fields(status, sizes)
    for name in _SHRINKING:
        if _width(fields) <= width:
            break
        sizes[name] += 1
        fields = _format_fields(status, sizes)
    return _cut(_join(fields), width)


def _format_fields(status: Status, sizes: dict[str, int]) -> list[Fragments]:
    fields = [field for name, size in sizes.items() if (field := _FIELDS[name](status, size))]
    return [[(style, one_line(text, fold=False)) for style, text in field] for field in fields]


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


# Each function formats one field. Size 0 is the longest form, and each larger size is shorter, down to nothing.


def _connection(status: Status, size: int) -> Fragments:
    """Format the state of the connection, which is always shown."""
    if status.connection is ConnectionState.LIVE:
        return [("class:on", "live"), ("", f" {format_duration(status.since_s)}")]
    return [("class:alert", f"{status.connection.value} {status.since_s} s")]


def _server(status: Status, size: int) -> Fragments:
    """Format the name of a server that is not Google's."""
    return [("", status.server)] if status.server is not None and not size else []


def _activity(status: Status, size: int) -> Fragments:
    """Format what the user waits for: a running function, or the start of an answer."""
    if status.calls:
        name, n_more = one_line(status.calls[0])[:MAX_NAME_CHARS], len(status.calls) - 1
        more = f" and {n_more} more," if n_more else ""
        return [("class:on", f"calling {name}{more}" if size == 0 else "calling"), ("", f" {status.calling_s} s")]
    if status.waiting_s is not None:
        return [("class:on", "waiting"), ("", f" {status.waiting_s} s")]
    return []


def _microphone(status: Status, size: int) -> Fragments:
    """Format the state of the microphone, with a level meter if there is room."""
    state = status.microphone
    if state in {MicrophoneState.OFF, MicrophoneState.FILE} or size > 1:
        return []
    is_open = state in {MicrophoneState.LIVE, MicrophoneState.TALKING}
    meter = [("", f" {_meter(status.microphone_cells)}")] if size == 0 else []
    return [("", "mic"), *meter, ("class:on" if is_open else "class:off", f" {state}")]


def _speaker(status: Status, size: int) -> Fragments:
    """Format how much speech is still to be played, with a level meter if there is room."""
    if not status.plays or size > 1:
        return []
    meter = f" {_meter(status.speaker_cells)}" if size == 0 else ""
    return [("", f"speaker{meter} {status.queued_s:.1f} s")]


def _latency(status: Status, size: int) -> Fragments:
    """Format the latency of the last answer."""
    if status.latency_s is None or size:
        return []
    is_slow = status.latency_s > SLOW_S
    return [("class:alert" if is_slow else "", f"latency {status.latency_s:.2f} s{'!' if is_slow else ''}")]


def _sound_mode(status: Status, size: int) -> Fragments:
    """Format how echo is avoided, with the measured reduction of the echo if there is room."""
    if status.sound_mode is None or size > 1:
        return []
    reduction = f" {status.erle_db} dB" if status.erle_db is not None and size == 0 else ""
    return [("", f"{status.sound_mode}{reduction}")]


def _tokens(status: Status, size: int) -> Fragments:
    """Format the number of tokens so far."""
    if not status.tokens or size:
        return []
    n = status.tokens
    count = f"{n}" if n < 1_000 else f"{n / 1e3:.1f}k" if n < 999_950 else f"{n / 1e6:.1f}M"
    return [("", f"{count} token{'' if n == 1 else 's'}")]


def _model(status: Status, size: int) -> Fragments:
    """Format the model, with the voice if there is room."""
    voice = f", {status.voice}" if status.voice and size == 0 else ""
    return [("", f"{status.model}{voice}")] if size < 2 else []


_FIELDS: dict[str, Callable[[Status, int], Fragments]] = {
    "connection": _connection,
    "server": _server,
    "activity": _activity,
    "microphone": _microphone,
    "speaker": _speaker,
    "latency": _latency,
    "sound mode": _sound_mode,
    "tokens": _tokens,
    "model": _model,
}
_SHRINKING = (
    *("model", "tokens", "sound mode", "model", "sound mode", "speaker", "microphone"),
    *("latency", "activity", "speaker", "server", "microphone"),
)
"""The fields in the order in which each takes its next shorter form, until all fit."""
