"""`turns.py`: every row can be reached, ends, and is drawn in the documentation. As a script, this draws it anew."""

import dataclasses
import re
from collections import defaultdict
from pathlib import Path

from gemini_live.conversation.timings import Timings
from gemini_live.conversation.turns import TABLE, Event, State, Wait

INTERNALS = Path(__file__).parents[2] / "docs" / "internals.md"
MARKERS = re.compile(r"(<!-- turns: begin -->\n).*?(<!-- turns: end -->)", re.S)
NEXT = {State.ASKED, State.QUIET}


def draw() -> str:
    """Return the table as a Mermaid state diagram and a list of the states."""
    arrows: dict[tuple[State, State], list[str]] = defaultdict(list)
    for state, row in TABLE.items():
        for event, step in row.steps.items():
            if step.state is not state:
                arrows[state, step.state].append(event.value)
    lines = [f"    {a.name} --> {b.name}: {' / '.join(events)}" for (a, b), events in arrows.items()]
    lines += [f"    NEXT --> {state.name}" for state in State if state in NEXT]
    times = {name: f"{time_s:g}" for name, time_s in dataclasses.asdict(Timings()).items()}
    states = [f"| {state.name} | {state.value} | {TABLE[state].wait.value.format(**times)} |" for state in TABLE]
    return "\n".join(
        (
            "```mermaid\nstateDiagram-v2\n    [*] --> QUIET",
            *lines,
            "```\n",
            "| state | meaning | may last, without a message |\n|---|---|---|",
            *states,
            "",
        )
    )


def test_the_documentation_draws_the_table() -> None:
    text = INTERNALS.read_text(encoding="utf-8")
    match = MARKERS.search(text)
    assert match is not None
    assert match[0] == f"{match[1]}{draw()}{match[2]}", "run: python -m tests.conversation.test_turns"


def test_every_state_has_a_row() -> None:
    assert set(TABLE) == set(State) - {State.NEXT}


def test_every_state_can_be_reached_and_left_for_quiet() -> None:
    follows = {state: {step.state for step in row.steps.values()} for state, row in TABLE.items()}
    follows[State.NEXT] = NEXT
    for first in TABLE:
        reached, new = {first}, {first}
        while new:
            new = set().union(*(follows[state] for state in new)) - reached
            reached |= new
        assert State.QUIET in reached
        assert reached >= set(State) - {State.RESUMED}  # a new connection enters that


def test_a_state_with_a_deadline_says_what_it_brings_about_and_only_such_a_state() -> None:
    assert all((Event.DEADLINE in row.steps) == (row.wait is not Wait.NONE) for row in TABLE.values())


if __name__ == "__main__":
    text = INTERNALS.read_text(encoding="utf-8")
    INTERNALS.write_text(MARKERS.sub(lambda match: f"{match[1]}{draw()}{match[2]}", text), encoding="utf-8")
