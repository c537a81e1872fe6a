"""Write an analysed session as text for people, and as JSON. Pure.

Longer than 300 lines: it is one report in two forms.
"""

from collections.abc import Iterator
from typing import Any

from ..escaping import escape, one_line
from ..output.plain import format_call, format_json
from ..output.summary import format_duration
from .numbers import MEASURES, PERCENTILES, percentile, rounded, total_cost, total_tokens, values_of
from .playback import spans_of
from .session import Call, Ending, Mark, Origin, Session, Span, Tokens, Turn
from .style import TextLayout, fold, format_table, wrap

_TIME_COLUMNS, _NAME_COLUMNS, _MIN_TEXT_COLUMNS = 9, 9, 12
_SHOWN_MARKS = {
    "connected": "connect",
    "closed": "closed",
    "connection failed": "failed",
    "history": "history",
    "go away": "server",
    "error": "error",
    "underrun": "underrun",
    "microphone muted": "mic",
    "microphone on": "mic",
    "messages dropped": "recorder",
    "invalid message": "recorder",
    "cancelled": "cancelled",
    "picture": "picture",
}
"""What the time line shows beside the turns, and under which name."""
_MAX_PICTURES = 1
"""Pictures of a row that are shown: a shared screen sends one a second."""


def format_report(session: Session, layout: TextLayout) -> str:
    """Return the whole report: what it is, the time line, the turns as a table, percentiles, tokens and cost."""
    parts = [
        *_format_head(session, layout),
        "",
        *(_format_strip(session, layout) if layout.width else ()),
        *_format_timeline(session, layout),
        "",
        *_format_turns(session, layout),
        "",
        *_format_percentiles(session, layout),
        *_format_totals(session),
        *(layout.paint("warning", f"warning: {one_line(problem)}") for problem in session.problems),
    ]
    return "\n".join(parts) + "\n"


def _format_head(session: Session, layout: TextLayout) -> Iterator[str]:
    header = session.header
    ready = [c.ready_s - c.opened_s for c in session.connections if c.ready_s is not None]
    facts = [
        (header.model or "unknown model").removeprefix("models/"),
        header.started_at[:19].replace("T", " ") + " UTC",
        format_duration(session.duration_s),
        f"{len(session.connections)} connection{'' if len(session.connections) == 1 else 's'}",
        *([f"setup {ready[0]:.2f} s"] if ready else []),
        f"recorded by {header.program} ({header.role})",
        *(["redacted"] if header.redacted else []),
        *([] if session.is_played else ["nothing was played"]),
    ]
    text = one_line("; ".join(facts), fold=False)
    yield from (layout.paint("bold", line) for line in (wrap(text, layout.width) if layout.width else (text,)))


def _format_strip(session: Session, layout: TextLayout) -> Iterator[str]:
    """Yield who spoke when, in lines as wide as the terminal."""
    assert layout.width is not None
    width = layout.width - _NAME_COLUMNS - 1
    if width < 20 or session.duration_s <= 0:
        return
    step_s = session.duration_s / width
    lanes: tuple[tuple[str, str, list[Span]], ...] = (
        ("you", "you", session.speech),
        ("gemini", "model", spans_of(session.model_sounds)),
    )
    for name, style, spans in lanes:
        cells = [" "] * width
        for start_s, end_s in spans:
            for i in range(min(int(start_s / step_s), width - 1), min(int(end_s / step_s), width - 1) + 1):
                cells[i] = "━"
        yield f"{name:<{_NAME_COLUMNS}}" + layout.paint(style, "".join(cells).rstrip())
    marks = [" "] * width
    signs = {"call": "f", "interrupted": "!", "closed": "x", "connected": "+", "underrun": "u", "typed": "t"}
    for mark in session.marks:
        if mark.kind in signs:
            marks[min(int(mark.t_s / step_s), width - 1)] = signs[mark.kind]
    yield f"{'':<{_NAME_COLUMNS}}" + layout.paint("label", "".join(marks).rstrip())
    scale = ""
    for part in range(4):
        label = format_duration(session.duration_s * part / 4)
        scale = f"{scale:<{part * width // 4}}{label}"
    yield f"{'':<{_NAME_COLUMNS}}" + layout.paint("dim", scale)
    legend = "t typed, f function call, ! interrupted, + connected, x closed, u underrun"
    yield f"{'':<{_NAME_COLUMNS}}" + layout.paint("dim", fold(legend, width))
    yield ""


def _format_timeline(session: Session, layout: TextLayout) -> Iterator[str]:
    is_long = session.duration_s >= 100
    lines = [(mark.t_s, _SHOWN_MARKS[mark.kind], "label", _describe_mark(mark)) for mark in _shown_marks(session)]
    for turn in session.turns:
        lines += _lines_of(turn)
    lines.sort(key=lambda line: line[0])
    for t_s, name, style, text in lines:
        minutes, seconds = divmod(t_s, 60)
        time = f"{int(minutes)}:{seconds:05.2f}" if is_long else f"{t_s:.2f}"
        head = (
            f"{layout.paint('dim', f'{time:>{_TIME_COLUMNS - 2}}')}  {layout.paint(style, f'{name:<{_NAME_COLUMNS}}')}"
        )
        width = max(_MIN_TEXT_COLUMNS, (layout.width or 0) - _TIME_COLUMNS - _NAME_COLUMNS)
        pieces = list(wrap(text, width)) if layout.width else [text.replace("\n", " ")]
        yield f"{head}{pieces[0]}".rstrip()
        yield from (" " * (_TIME_COLUMNS + _NAME_COLUMNS) + piece for piece in pieces[1:])


def _shown_marks(session: Session) -> Iterator[Mark]:
    n_pictures = 0
    for mark in session.marks:
        n_pictures = n_pictures + 1 if mark.kind == "picture" else n_pictures * (mark.kind not in {"typed", "heard"})
        if mark.kind in _SHOWN_MARKS and (mark.kind != "picture" or n_pictures <= _MAX_PICTURES):
            yield mark


def _describe_mark(mark: Mark) -> str:
    text = one_line(mark.text)
    match mark.kind:
        case "go away":
            return f"will close the connection in {text}" if text else "will close the connection"
        case "microphone muted" | "microphone on":
            return mark.kind.removeprefix("microphone ")
        case "connected":
            return text.partition("//")[2].partition("/")[0] or text
        case "underrun":
            return "sound came too late"
        case "messages dropped" | "invalid message":
            return f"{mark.kind}: {text}"
    return text


def _lines_of(turn: Turn) -> Iterator[tuple[float, str, str, str]]:
    """Yield the lines of one turn: time, name, style and text."""
    if turn.origin is not Origin.MODEL:
        how = "" if turn.question else "(no transcript)"
        yield turn.began_s, "you", "you", escape(turn.question.strip()) or how
    for call in turn.calls:
        yield call.called_s, "[call]", "label", _describe_call(call)
        if call.answered_s is not None:
            yield call.answered_s, "[result]", "label", one_line(f"{call.name}: {format_json(call.response)}")
    if turn.speaks_s is not None:
        text = escape(turn.words.strip()) or f"({turn.spoken_s:.1f} s of speech without a transcript)"
        if turn.ending is Ending.INTERRUPTED:
            text += " [interrupted]"
        elif turn.ending is Ending.UNFINISHED:
            text += " [unfinished]"
        if turn.reason:
            text += f" [{one_line(turn.reason)}]"
        first_s = turn.first_sound_s if turn.first_sound_s is not None else turn.speaks_s
        yield first_s, "gemini", "model", text
    if turn.silent_after_s is not None and turn.silent_s is not None:
        yield turn.silent_s, "silence", "label", f"{turn.silent_after_s:.2f} s after the interruption"


def _describe_call(call: Call) -> str:
    args = call.args if isinstance(call.args, dict) else {}
    times = []
    if call.answered_s is not None:
        times.append(f"answered after {call.answered_s - call.called_s:.2f} s")
    if call.ran_s is not None:
        times.append(f"ran {call.ran_s:.2f} s")
    if call.is_cancelled:
        times.append("cancelled")
    return one_line(format_call(call.name, args)) + (f"  ({', '.join(times)})" if times else "")


def _format_turns(session: Session, layout: TextLayout) -> Iterator[str]:
    if not session.turns:
        yield "no turns"
        return
    has_cost = any(turn.cost is not None for turn in session.turns)
    head = ["turn", "asked", "first byte", "first sound", "length", "heard", "to silence", "talk-over", "tokens in"]
    rows = [[*head, "out", *(["cost"] if has_cost else []), "ending"]]
    for turn in session.turns:
        rows.append(
            [
                str(turn.number),
                turn.origin,
                _seconds(turn.first_byte_after_s),
                _seconds(turn.first_sound_after_s),
                _seconds(turn.spoken_s or None),
                _seconds(turn.heard_s or None) if session.is_played else "-",
                _seconds(turn.silent_after_s),
                _seconds(turn.talk_over_s or None),
                _count(turn.tokens.prompt),
                _count(turn.tokens.response),
                *([_dollars(turn.cost)] if has_cost else []),
                str(turn.ending),
            ]
        )
    table = format_table(rows, left=(1, len(rows[0]) - 1))
    yield layout.paint("bold", fold(table[0], layout.width) if layout.width else table[0])
    yield from (fold(line, layout.width) if layout.width else line for line in table[1:])


def _format_percentiles(session: Session, layout: TextLayout) -> Iterator[str]:
    rows = [["in seconds", "n", *(f"p{percent}" for percent in PERCENTILES), "max"]]
    for measure, words in MEASURES.items():
        values = values_of(session, measure)
        if values:
            found = [percentile(values, percent) for percent in PERCENTILES]
            rows.append([words, str(len(values)), *(f"{value:.2f}" for value in [*found, values[-1]])])
    if len(rows) > 1:
        table = format_table(rows, left=(0,))
        yield layout.paint("bold", table[0])
        yield from (*table[1:], "")


def _format_totals(session: Session) -> Iterator[str]:
    tokens, cost = total_tokens(session.turns), total_cost(session.turns)
    if tokens.prompt or tokens.response:
        sides = (("in", tokens.prompt), ("out", tokens.response))
        counts = "; ".join(f"{side} {_count(counts)} ({_modalities(counts)})" for side, counts in sides if counts)
        yield f"tokens, all turns: {counts}" + ("" if cost is None else f"; cost {_dollars(cost)}")
    if session.cost_problem:
        yield one_line(session.cost_problem)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _count(counts: dict[str, int]) -> str:
    return f"{sum(counts.values()):,}" if counts else "-"


def _modalities(counts: dict[str, int]) -> str:
    return one_line(", ".join(f"{modality.lower()} {n:,}" for modality, n in counts.items()))


def _dollars(cost: float | None) -> str:
    return "-" if cost is None else f"${cost:.4f}"


def to_json(session: Session) -> dict[str, Any]:
    """Return the analysis as JSON. Times are seconds since the recording began, if no other word says otherwise."""
    header = session.header
    return {
        "v": 1,
        "program": header.program,
        "role": header.role,
        "started_at": header.started_at,
        "model": header.model,
        "redacted": header.redacted,
        "duration_s": rounded(session.duration_s),
        "played": session.is_played,
        "connections": [
            {"number": c.number, "opened_s": rounded(c.opened_s), "url": c.url, "ready_s": rounded(c.ready_s)}
            for c in session.connections
        ],
        "turns": [_turn_to_json(turn) for turn in session.turns],
        "user_speech": [[rounded(start_s), rounded(end_s)] for start_s, end_s in session.speech],
        "model_speech": [[rounded(start_s), rounded(end_s)] for start_s, end_s in spans_of(session.model_sounds)],
        "percentiles": {
            measure: {f"p{percent}": rounded(percentile(values, percent)) for percent in PERCENTILES}
            | {"max": rounded(values[-1]), "n": len(values)}
            for measure in MEASURES
            if (values := values_of(session, measure))
        },
        "tokens": _tokens_to_json(total_tokens(session.turns)),
        "cost_usd": total_cost(session.turns),
        "problems": [*session.problems, *([session.cost_problem] if session.cost_problem else [])],
    }


def _turn_to_json(turn: Turn) -> dict[str, Any]:
    return {
        "number": turn.number,
        "origin": turn.origin,
        "question": turn.question,
        "words": turn.words,
        "ending": turn.ending,
        "reason": turn.reason or None,
        "began_s": rounded(turn.began_s),
        "asked_s": rounded(turn.asked_s),
        "first_byte_s": rounded(turn.first_byte_s),
        "first_sound_s": rounded(turn.first_sound_s),
        "ended_s": rounded(turn.ended_s),
        "first_byte_after_s": rounded(turn.first_byte_after_s),
        "first_sound_after_s": rounded(turn.first_sound_after_s),
        "spoken_s": rounded(turn.spoken_s),
        "heard_s": rounded(turn.heard_s),
        "barge_in_s": rounded(turn.barge_in_s),
        "silent_after_s": rounded(turn.silent_after_s),
        "talk_over_s": rounded(turn.talk_over_s),
        "calls": [
            {
                "id": call.id,
                "name": call.name,
                "args": call.args,
                "response": call.response,
                "called_s": rounded(call.called_s),
                "answered_s": rounded(call.answered_s),
                "ran_s": rounded(call.ran_s),
                "cancelled": call.is_cancelled,
            }
            for call in turn.calls
        ],
        "tokens": _tokens_to_json(turn.tokens),
        "cost_usd": turn.cost,
    }


def _tokens_to_json(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt": sum(tokens.prompt.values()),
        "response": sum(tokens.response.values()),
        "cached": tokens.cached,
        "prompt_by_modality": tokens.prompt,
        "response_by_modality": tokens.response,
    }
