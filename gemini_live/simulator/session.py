"""One session, from the setup to the close: what opens it, what ends it, and the tasks in between."""

import asyncio
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed

from .client_messages import ClientMessages
from .clock import Alarm, Clock, sleep
from .close_reasons import (
    ENTITY_NOT_FOUND,
    INTERNAL,
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    Refusal,
    invalid_argument,
    unknown_name,
)
from .faults import FaultPlan
from .history import ConversationHistory, HandleBook
from .model_turns import ModelTurns
from .schema import snake_case
from .settings import read_settings
from .speech import Speaker
from .wire import Wire

GO_AWAY_S = 50.0
"""How long before the end of a connection's life the service says goAway."""


@dataclass(frozen=True)
class ServerContext:
    """What the sessions of one server share."""

    clock: Clock
    speaker: Speaker
    handles: HandleBook
    plan: FaultPlan
    open_sessions: set[int]
    pace: float
    lifetime_s: float | None
    seed: int


class Session:
    """The server's side of one connection."""

    def __init__(self, wire: Wire, context: ServerContext, refusal: Refusal | None) -> None:
        self._wire = wire
        self._record = wire.record
        self._context = context
        self._refusal = refusal
        """Why the client may not have a session at all: its key is wrong."""
        self._turns: ModelTurns
        self._messages: ClientMessages
        self._lifetime = Alarm(context.clock)
        self._dies_at_s: float | None = None

    async def run(self) -> None:
        """Serve the client until one side closes."""
        refusal: Refusal | None = None
        try:
            await self._open()
            async with asyncio.TaskGroup() as tasks:
                turns = tasks.create_task(self._turns.run(), name="model turns")
                life = tasks.create_task(self._live(), name="lifetime")
                faults = tasks.create_task(self._watch_time(), name="faults")
                try:
                    while True:
                        self._messages.take(await self._wire.receive())
                finally:
                    for task in (turns, life, faults):
                        task.cancel()
        except* ConnectionClosed:
            pass  # how it ended is in the record
        except* Refusal as group:
            refusal = next(iter(_leaves(group)))
        if refusal is not None:
            self._record.mistake(f"{refusal.explanation} (closed with {refusal.code})")
            await self._wire.close(refusal.code, refusal.reason)

    async def _open(self) -> None:
        message = await self._wire.receive()
        if self._refusal is not None:
            raise self._refusal
        setup = message.get("setup")
        if setup is None:
            raise invalid_argument("the first message is not a setup")
        self._record.setup = setup
        self._record.changed()
        await self._break_setup(setup)
        settings = read_settings(setup, self._record.api_version)
        context = self._context
        self._turns = ModelTurns(
            self._wire,
            settings,
            self._remember(settings.handle),
            handles=context.handles,
            speaker=context.speaker,
            clock=context.clock,
            pace=context.pace,
            seed=context.seed,
        )
        self._messages = ClientMessages(self._turns, self._record, context.clock)
        self._wire.on_go_away = self._go_away
        await self._wire.send({"setupComplete": {}})
        await self._turns.send_handle()

    async def _break_setup(self, setup: dict[str, Any]) -> None:
        plan = self._context.plan
        if plan.take("no-setup-complete"):
            await self._wire.sleep(None)
        if slow := plan.take("slow-setup"):
            await self._wire.sleep(slow.number)
        unknown = next(
            (fault for fault in plan.faults if fault.kind.name == "unknown-name" and _has(setup, fault.argument)), None
        )
        if unknown and plan.spend(plan.faults.index(unknown)):
            *path, name = unknown.argument.split(".")
            raise unknown_name(name, ".".join(map(snake_case, ["setup", *path])))
        if setup.get("sessionResumption", {}).get("handle") and plan.take("stale-handle"):
            raise Refusal(POLICY_VIOLATION, ENTITY_NOT_FOUND, "the handle is stale (a fault)")

    def _remember(self, handle: str | None) -> ConversationHistory:
        if handle is None:
            return ConversationHistory()
        found = self._context.handles.find(handle)
        if found is None:
            raise Refusal(POLICY_VIOLATION, ENTITY_NOT_FOUND, "the session resumption handle is not known")
        conversation, session = found
        if session in self._context.open_sessions:
            raise Refusal(INTERNAL_ERROR, INTERNAL, "the session to resume is still connected: close it first")
        self._record.resumed_from = session
        return conversation

    def _go_away(self, time_left_s: float) -> None:
        self._dies_at_s = self._context.clock.time() + time_left_s
        self._lifetime.wake()

    async def _live(self) -> None:
        """Say goAway before the end of the connection's life, and end it."""
        lifetime_s = self._context.lifetime_s
        warn_at_s = None
        if lifetime_s is not None:
            warn_at_s = self._record.opened_s + lifetime_s - min(GO_AWAY_S, lifetime_s / 2)
        clock = self._context.clock
        while self._dies_at_s is None and (warn_at_s is None or clock.time() < warn_at_s):
            await self._lifetime.wait(warn_at_s)
        if self._dies_at_s is None:
            assert lifetime_s is not None
            self._dies_at_s = self._record.opened_s + lifetime_s
        time_left_s = round(self._dies_at_s - clock.time(), 3)
        await self._wire.send({"goAway": {"timeLeft": f"{time_left_s:g}s"}})
        await sleep(clock, time_left_s)
        self._record.mistake("stayed until the end after goAway")
        await self._wire.close_at_end_of_life()

    async def _watch_time(self) -> None:
        """Let the faults happen that are due at a time."""
        clock, faults = self._context.clock, self._wire.faults
        for elapsed_s in sorted(faults.timed):
            await sleep(clock, self._record.opened_s + elapsed_s - clock.time())
            faults.elapsed_s = max(faults.elapsed_s, elapsed_s)
            for fault in faults.moments(by_turn=False):
                await self._wire.fire(fault)


def _has(setup: dict[str, Any], dotted: str) -> bool:
    value: Any = setup
    for name in dotted.split("."):
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _leaves(group: BaseExceptionGroup[Refusal]) -> list[Refusal]:
    found: list[Refusal] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
