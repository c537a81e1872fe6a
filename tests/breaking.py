"""A server and a line that break in random, seeded ways every few turns."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from gemini_live.simulator import Simulator, faults

from .proxy import Proxy

CHAOS = (
    *("close:1011", "close:1006", "close:1001", "close:1012", "close:1013", "reset", "error:500", "go-away:3"),
    *("stall:0.3", "malformed", "huge:0.5", "end:aborted", "end:session-not-found", "end:unavailable"),
)
"""What the server does between messages. An interruption by nobody is left out: it rightly makes half an answer."""
BREAKING = (
    *("chaos:0.1@turn2", "stale-handle", "poisoned-handle", "refused-history-config", "lost-seed"),
    *("refuse:503", "slow-setup:1"),
)
"""Every session but its first turn is in danger, so that no question is unlucky three times."""
STALLING = "no-setup-complete"
"""Costs ten seconds: for accelerated time."""


def install_chaos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the faults of connections and setups happen now and then, not every time."""
    take, chance = faults.FaultPlan.take, random.Random(0)
    monkeypatch.setattr(faults, "CHAOS", CHAOS)
    monkeypatch.setattr(
        faults.FaultPlan, "take", lambda plan, name: take(plan, name) if chance.random() < 0.1 else None
    )


@contextlib.asynccontextmanager
async def misbehaving(server: Simulator, proxy: Proxy, seed: int, *, cuts: bool = True) -> AsyncIterator[None]:
    """Have the line break as well, every few turns; `cuts`: also without a word, which takes a minute to notice."""

    async def misbehave() -> None:
        chance = random.Random(seed)
        due = 5
        while True:
            if count_turns(server) < due:
                await asyncio.sleep(0.01)
                continue
            due += chance.randint(5, 25)
            match chance.choice(["drop", "reset", "refuse", "slow"] + ["cut"] * cuts):
                case "drop":
                    proxy.drop()
                case "reset":
                    proxy.reset()
                case "cut":
                    proxy.cut()
                case "refuse":
                    proxy.refuses = True
                    proxy.reset()
                    await asyncio.sleep(chance.uniform(0, 3))
                    proxy.refuses = False
                case "slow":
                    proxy.delay_s = chance.uniform(0, 0.3)
                    await asyncio.sleep(1)
                    proxy.delay_s = 0.0

    task = asyncio.create_task(misbehave())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def count_turns(server: Simulator) -> int:
    """Return how many turns the server has begun, on all connections."""
    return sum(record.n_turns for record in server.sessions)
