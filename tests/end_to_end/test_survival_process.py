"""The command in a process of its own, in real time, while server and line break: what a script or a person gets."""

import asyncio
import json
import random
import signal
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gemini_live.simulator import Simulator
from tests.breaking import BREAKING, count_turns, misbehaving
from tests.command import TEXT_MODEL, Command
from tests.proxy import Proxy
from tests.talk import KEY

pytestmark = pytest.mark.usefixtures("chaos")
LEAVES_WITHIN_S = 2.0
"""Where nothing is unanswered: one line may be, when stdin ends."""
SLOW_MACHINE_S = 3.0
"""What a machine under load may add."""


@asynccontextmanager
async def breaking_server(seed: int, faults: tuple[str, ...]) -> AsyncIterator[tuple[Simulator, Proxy]]:
    """Serve on this loop, behind a line that breaks, but never without a word, which takes a minute to notice."""
    options = {"pace": 0, "espeak": False, "faults": faults, "seed": seed}
    async with (
        Simulator(**options) as server,  # type: ignore[arg-type]
        Proxy(server.port) as proxy,
        misbehaving(server, proxy, seed, cuts=False),
    ):
        yield server, proxy


def start(proxy: Proxy, *arguments: str) -> Command:
    """Start the command on the server behind `proxy`."""
    settings = ("--text-output", "--no-audio-input", f"--model={TEXT_MODEL}", f"--base-url={proxy.url}")
    return Command(*settings, *arguments, environ={"GOOGLE_API_KEY": KEY})


async def soak(n_turns: int, seed: int, timeout_s: float) -> None:
    lines = [f"token-{i:04d}-{random.Random(i).randrange(10**6)}" for i in range(n_turns)]
    async with breaking_server(seed, BREAKING) as (server, proxy):
        with start(proxy, "--verbose") as command:
            began_s = time.monotonic()
            command.send("".join(f"{line}\n" for line in lines))
            command.close_stdin()
            await asyncio.to_thread(command.process.wait, timeout_s)
            result = await asyncio.to_thread(command.wait)
    assert result.code == 0, result.err[-3000:]
    assert result.out.splitlines() == lines
    again = [line for line in result.err.splitlines() if line.startswith("asked again on the new connection: ")]
    assert count_turns(server) <= n_turns + len(again)
    print(
        f"\n{n_turns} turns through a pipe, seed {seed}: {len(server.sessions)} sessions, "
        f"{len(again)} asked again, 0 lost, {time.monotonic() - began_s:.0f} s"
    )


async def test_a_pipe_reads_every_answer_once_and_in_order_whatever_breaks() -> None:
    await soak(40, 1, 60)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_a_pipe_reads_a_thousand_answers_in_order_whatever_breaks() -> None:
    await soak(1_000, 2, 1_000)


# From a drop to live again


async def measure_recoveries(n: int) -> list[float]:
    """Return how long it took from each drop to the next complete setup, in seconds, at the client."""
    options = {"pace": 0, "espeak": False}
    async with Simulator(**options) as server, Proxy(server.port) as proxy:  # type: ignore[arg-type]
        with start(proxy, "--output-format=jsonl", "--verbose") as command:
            chance, times = random.Random(1), list[float]()
            for i in range(n):
                record = await server.wait_for_session(i + 1)
                await record.wait_for(lambda r: r.n_sent > 0)
                command.send(f"line {i}\n")
                await record.wait_for(lambda r: bool(r.turns and r.turns[-1].complete))
                await asyncio.sleep(0.05)
                dropped_s = time.monotonic()
                chance.choice([proxy.drop, proxy.reset])()
                record = await server.wait_for_session(i + 2)
                await record.wait_for(lambda r: r.n_sent > 0)
                times.append(time.monotonic() - dropped_s)
            command.close_stdin()
            result = await asyncio.to_thread(command.wait)
    assert result.code == 0
    answers = [event["text"] for line in result.out.splitlines() if (event := json.loads(line))["type"] == "answered"]
    assert answers == [f"line {i}" for i in range(n)]
    print(f"\nfrom a drop to live again, {n} drops: median {statistics.median(times):.2f} s, worst {max(times):.2f} s")
    return times


async def test_a_dropped_connection_is_replaced_at_once() -> None:
    assert statistics.median(await measure_recoveries(5)) < 2


@pytest.mark.long
async def test_a_hundred_drops_are_recovered_from_at_once() -> None:
    assert statistics.median(await measure_recoveries(100)) < 1


# Leaving at any moment


async def leave(kind: str, moment_s: float, seed: int) -> float:
    """Leave a session that breaks all the time in one way, at one moment; return how long it took, in seconds."""
    timeout_s = 1.5 + moment_s
    async with breaking_server(seed, BREAKING) as (_, proxy):
        with start(proxy, *([f"--timeout={timeout_s:.3f}"] if kind == "timeout" else [])) as command:
            started_s = time.monotonic()
            typing = asyncio.create_task(type_for_ever(command))
            if kind == "timeout":
                ends_s = started_s + timeout_s
            else:
                await asyncio.to_thread(command.err.wait_for, TEXT_MODEL)
                await asyncio.sleep(moment_s)
                ends_s = time.monotonic()
            if kind in {"SIGINT", "SIGTERM"}:
                command.process.send_signal(getattr(signal, kind))
            elif kind == "EOF":
                typing.cancel()
                await asyncio.gather(typing, return_exceptions=True)
                command.close_stdin()
            await asyncio.to_thread(command.process.wait, 60)
            took_s = time.monotonic() - ends_s
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)
            result = await asyncio.to_thread(command.wait)  # which looks for complaints, orphans and the key
    expected = {"SIGINT": 130, "SIGTERM": 143, "EOF": 0, "timeout": 124}[kind]
    assert result.code == expected, result.err[-2000:]
    return took_s


async def type_for_ever(command: Command) -> None:
    """Type a line when the one before has its answer."""
    for i in range(10_000):
        try:
            command.send(f"line {i}\n")
        except BrokenPipeError:
            return
        while f"line {i}\n" not in command.out.text:  # noqa: ASYNC110 - threads read it
            await asyncio.sleep(0.02)


async def leave_often(n: int, seed: int, within_s: float) -> None:
    chance, times = random.Random(seed), list[tuple[float, str]]()
    for i in range(n):
        kind = ["SIGINT", "SIGTERM", "EOF", "timeout"][i % 4]
        times.append((await leave(kind, chance.uniform(0, within_s), seed + i), kind))
    prompt = [took_s for took_s, kind in times if kind != "EOF"]
    slowest_eof = max(took_s for took_s, kind in times if kind == "EOF")
    assert max(prompt) < LEAVES_WITHIN_S + SLOW_MACHINE_S, times
    print(
        f"\nleft {n} times: median {statistics.median(prompt):.2f} s, worst {max(prompt):.2f} s; "
        f"by the end of stdin, worst {slowest_eof:.2f} s"
    )


@pytest.mark.skipif("sys.platform == 'win32'", reason="signals are POSIX's")
async def test_it_can_be_left_at_any_moment() -> None:
    await leave_often(8, 100, 1.5)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif("sys.platform == 'win32'", reason="signals are POSIX's")
async def test_it_can_be_left_at_fifty_moments() -> None:
    await leave_often(50, 200, 6)
