"""Long conversations through servers and lines that break in random, seeded ways: every question has its answer, once.

In accelerated time within this process; as a process in a pipe, in real time. `-s` shows the figures.
"""

import asyncio
import random
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

from tests.accelerated import accelerated
from tests.breaking import BREAKING, STALLING, count_turns, misbehaving
from tests.talk import CHUNK_S, Written, asked, read_numbers, speech, talking

pytestmark = pytest.mark.usefixtures("chaos", "typed_lines")
EVERY_MODEL = pytest.mark.parametrize(
    "model",
    [
        "gemini-3.8-live",
        "gemini-3.8-live-extended-thinking",
        "gemini-3.1-flash-live-preview",
        "gemini-2.5-flash-native-audio-latest",
    ],
)
FILLER = "One moment.\n"
"""What extended thinking says first."""
AGAIN = "asked again on the new connection: "


def questions_asked_again(written: Written, lines: list[str]) -> list[str]:
    """Return the lines that were asked again, each of which must not have had its answer yet."""
    answered, again = 0, []
    for _, kind, args in written.events:
        if kind == "answered":
            answered += 1
        elif kind == "detail" and args[0].startswith(AGAIN):
            line = args[0].removeprefix(AGAIN)
            assert line not in lines[:answered], f"{line} was asked again after its answer"
            again.append(line)
    return again


def show(what: str, **figures: Any) -> None:
    """Print figures, for the record."""
    print(f"\n{what}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))


async def soak(n_turns: int, seed: int, *, model: str | None = None) -> None:
    """Ask so many lines; `model`: one that speaks, in place of one that writes."""
    lines = [f"token-{i:04d}-{random.Random(i).randrange(10**6)}" for i in range(n_turns)]
    options = {"seed": seed, "pace": 8.0 if model else 0}
    speaker: dict[str, Any] = {"speaks": True, "model": model} if model else {}
    async with talking(*BREAKING, STALLING, verbose=True, simulator=options, **speaker) as (talk, server, proxy):
        talk.hide_messages()
        talk.type(*lines)
        async with misbehaving(server, proxy, seed):
            talk.end()
            await talk.ended()
    assert [answer.removeprefix(FILLER) for answer in talk.answers()] == lines
    assert talk.written.of("asked") == lines
    again = questions_asked_again(talk.written, lines)
    assert count_turns(server) <= n_turns + len(again)
    assert max(sum(line in turns for turns in asked(server)) for line in lines) <= 3
    outages = talk.written.of("status")
    assert len(server.sessions) > n_turns / 15
    show(
        f"{n_turns} turns, seed {seed}, {model or 'a model that writes'}",
        sessions=len(server.sessions),
        lines_of_status=len(outages),
        asked_again=len(again),
        lost=0,
    )


@pytest.mark.parametrize("seed", [1, 2])
@accelerated
async def test_every_turn_is_answered_once_whatever_breaks(seed: int) -> None:
    await soak(300, seed)


@accelerated
async def test_every_turn_of_a_speaking_model_is_answered_once_whatever_breaks() -> None:
    await soak(60, 3, model="gemini-3.8-live")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 15))
@accelerated
async def test_a_thousand_turns_are_answered_once_whatever_breaks(seed: int) -> None:
    await soak(1_000, seed)


@pytest.mark.long
@pytest.mark.timeout(1800)
@EVERY_MODEL
@accelerated
async def test_a_thousand_turns_of_each_model_that_speaks_are_answered_once_whatever_breaks(model: str) -> None:
    await soak(1_000, 20, model=model)


# Hours


@accelerated
async def test_memory_stays_flat_for_two_hours() -> None:
    await converse_for_two_hours()


@pytest.mark.long
@pytest.mark.timeout(900)
@EVERY_MODEL
@accelerated
async def test_memory_stays_flat_for_two_hours_with_each_model_that_speaks(model: str) -> None:
    await converse_for_two_hours(speaks=True, model=model)


async def converse_for_two_hours(**options: Any) -> None:
    line = 500 * "w"
    sizes: list[int] = []
    simulator = {"lifetime_s": 600.0, "keep": False}
    async with talking(simulator=simulator, is_terminal=False, **options) as (talk, server, _):
        talk.written.limit = 100
        tracemalloc.start()
        try:
            for _ in range(8):
                for _ in range(30):
                    talk.type(line)
                    await asyncio.sleep(30)
                sizes.append(_client_bytes())
        finally:
            tracemalloc.stop()
    assert count_turns(server) == 240
    assert len(server.sessions) >= 12
    assert sizes[-1] - sizes[3] < 100_000
    show("two hours, 240 turns", sessions=len(server.sessions), client_kb=[size // 1000 for size in sizes])


def _client_bytes() -> int:
    """Return how much memory was allocated by the client's own lines."""
    snapshot = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.Filter(True, "*/gemini_live/*.py"), tracemalloc.Filter(False, "*/simulator/*")]
    )
    return sum(trace.size for trace in snapshot.traces)


# Sound


async def converse_aloud(minutes: float, sound: SimpleNamespace, seed: int, model: str = "gemini-3.8-live") -> None:
    sound.speech = speech(1.6, pause_s=4.4)
    chance = random.Random(seed)
    options = {"lifetime_s": 300.0, "pace": 4.0}
    settings: dict[str, Any] = {"text_output": False, "audio_input": True, "model": model}
    async with talking(speaks=True, timings=None, simulator=options, **settings) as (talk, server, proxy):
        await server.wait_for_session(1)
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + 60 * minutes
        while (left_s := ends_s - loop.time()) > 0:
            await asyncio.sleep(min(left_s, chance.uniform(20, 60)))
            chance.choice([proxy.drop, proxy.reset])()
        await asyncio.sleep(5)
        sound.microphone.stop()
        await asyncio.sleep(5)
        await talk.stop()
    heard = [number for record in server.sessions for number in read_numbers(record.audio)]
    n_said = sound.microphone.n_chunks
    assert heard == sorted(set(heard))
    voice_turns = [turn for record in server.sessions for turn in record.turns]
    n_complete = sum(turn.complete for turn in voice_turns)
    n_losses = sum(line.startswith("connection lost") for line in talk.written.of("status"))
    lost_s = (n_said - len(heard)) * CHUNK_S
    assert lost_s <= 0.1 * n_losses  # what was on its way when the line broke
    assert sound.speaker.written_s == pytest.approx(sum(turn.audio_s for turn in voice_turns), rel=0.05)
    assert n_complete + n_losses >= n_said * CHUNK_S // 6 - 1  # a sentence that a drop cut in two is lost
    assert sound.speaker.n_clears <= len(voice_turns)
    show(
        f"{minutes} minutes aloud, {model}",
        sessions=len(server.sessions),
        outages=n_losses,
        lost_s=round(lost_s, 2),
        said_s=round(n_said * CHUNK_S),
        played_s=round(sound.speaker.written_s),
        turns=len(voice_turns),
        complete=n_complete,
        interrupted=sum(turn.interrupted for turn in voice_turns),
        warnings=len(talk.written.of("warning")),
    )


@accelerated
async def test_minutes_of_sound_both_ways_lose_only_what_was_on_its_way(virtual_sound: SimpleNamespace) -> None:
    await converse_aloud(3, virtual_sound, 1)


@pytest.mark.long
@pytest.mark.timeout(900)
@EVERY_MODEL
@accelerated
async def test_half_an_hour_of_sound_both_ways_loses_only_what_was_on_its_way(
    model: str, virtual_sound: SimpleNamespace
) -> None:
    await converse_aloud(30, virtual_sound, 2, model)
