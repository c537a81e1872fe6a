"""Serves one session from the setup to the close, in four tasks: receiver, model turns, lifetime, faults."""

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .answerer import Answerer
from .client_messages import ClientMessages
from .clock import Alarm, Clock, sleep
from .close_reasons import (
    ENTITY_NOT_FOUND,
    INTERNAL,
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    TOKEN_EXPIRED_IN_SESSION,
    Refusal,
    invalid_argument,
    unknown_name,
)
from .faults import FaultPlan
from .history import ConversationHistory, HandleBook, Resumed
from .http import SocketRequest
from .model_turns import ModelTurns
from .opening import end_as_the_service, receive_setup
from .schema import snake_case
from .settings import Settings, read_settings
from .speech import Synthesizer
from .tokens import TokenBook
from .wire import Wire

GO_AWAY_S = 50.0
"""How long before the end of a connection's life the service says goAway."""


@dataclass(frozen=True)
class ServerContext:
    """What the sessions of one server share."""

    clock: Clock
    synthesizer: Synthesizer
    handles: HandleBook
    plan: FaultPlan
    open_sessions: Mapping[int, Wire]
    tokens: TokenBook
    pace: float
    lifetime_s: float | None
    seed: int
    ends_call_turn_s: float | None
    typed_text_cuts: bool
    """True if typed text ends an answer in progress; else it waits."""
    answerer: Answerer | None = None
    """A script or a function that decides the answers."""


class Session:
    """The server's side of one connection."""

    def __init__(self, wire: Wire, context: ServerContext, request: SocketRequest) -> None:
        self._wire = wire
        self._record = wire.record
        self._context = context
        self._request = request
        self._turns: ModelTurns
        self._messages: ClientMessages
        self._lifetime = Alarm(context.clock)
        self._dies_at_s: float | None = None
        self._token_expires_s: float | None = None

    async def run(self) -> None:
        """Serve the client until one side closes."""
        await end_as_the_service(self._wire, self._serve())

    async def _serve(self) -> None:
        await self._open()
        async with asyncio.TaskGroup() as tasks:
            turns = tasks.create_task(self._turns.run(), name="model turns")
            life = tasks.create_task(self._live(), name="lifetime")
            faults = tasks.create_task(self._watch_time(), name="faults")
            token = tasks.create_task(self._end_with_token(), name="token")
            try:
                while True:
                    await self._messages.take(await self._wire.receive())
            finally:
                for task in (turns, life, faults, token):
                    task.cancel()

    async def _open(self) -> None:
        setup, self._token_expires_s = await receive_setup(self._wire, self._request, self._context.tokens)
        await self._break_setup(setup)
        settings = read_settings(setup, self._record.api_version)
        context = self._context
        resumed = self._resume(settings) if settings.handle is not None else None
        self._turns = ModelTurns(
            self._wire,
            settings,
            resumed.history if resumed else ConversationHistory(),
            handles=context.handles,
            synthesizer=context.synthesizer,
            clock=context.clock,
            pace=context.pace,
            seed=context.seed,
            answerer=context.answerer,
        )
        self._turns.history.session = self._record.number
        if not settings.third_generation:
            self._turns.performer.ends_call_turn_s = context.ends_call_turn_s
        if resumed is not None:
            self._turns.calls.stale = set(resumed.stale_calls)
            self._turns.mute = self._wire.faults.state("mute-resume") is not None
        self._messages = ClientMessages(
            self._turns, self._record, context.clock, typed_text_cuts=context.typed_text_cuts
        )
        self._wire.on_go_away = self._go_away
        self._wire.on_audio = self._messages.listen
        if self._record.api_version == "v1":
            self._record.note("v1: Google's own tests say that the Live API is at v1beta only")
        if "historyConfig" in setup and not settings.seeds_history:
            self._record.note(f"historyConfig: {settings.model} does not know it, and answers the history")
        how = f", resumes session {self._record.resumed_from}" if self._record.resumed_from else ""
        self._record.on_event(f"opened: {settings.model} at {self._record.api_version}{how}")
        await self._wire.send({"setupComplete": {}})
        await self._turns.handles.send_first()

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
        if "historyConfig" in setup and plan.take("refused-history-config"):
            raise invalid_argument("historyConfig (a fault)")
        if setup.get("sessionResumption", {}).get("handle"):
            if plan.take("stale-handle"):
                raise Refusal(POLICY_VIOLATION, ENTITY_NOT_FOUND, "the handle is stale (a fault)")
            if plan.take("poisoned-handle"):
                raise Refusal(INTERNAL_ERROR, INTERNAL, "the handle is poisoned (a fault)")

    def _resume(self, settings: Settings) -> Resumed:
        """Return what the handle in a setup stands for.

        Raises:
            Refusal: The handle is not known, or the service is not ready to resume it.
        """
        assert settings.handle is not None
        resumed = self._context.handles.find(settings.handle)
        if resumed is None:
            raise Refusal(POLICY_VIOLATION, ENTITY_NOT_FOUND, "the session resumption handle is not known")
        others = {resumed.session, resumed.history.session} - {self._record.number}
        if any(not wire.is_closing for n, wire in self._context.open_sessions.items() if n in others):
            raise Refusal(INTERNAL_ERROR, INTERNAL, "the session to resume is still connected: close it first")
        since_audio_s = self._context.clock.time() - resumed.history.last_audio_s
        if since_audio_s < settings.observed.settles_s:
            words = f"resumed {since_audio_s:.1f} s after audio: the service needs a moment; the same handle works then"
            raise Refusal(INTERNAL_ERROR, INTERNAL, words)
        self._record.resumed_from = resumed.session
        if self._context.plan.take("lost-seed"):
            return dataclasses.replace(resumed, history=resumed.history.without_seed())
        return resumed

    def _go_away(self, time_left_s: float) -> None:
        self._dies_at_s = self._context.clock.time() + time_left_s
        self._lifetime.wake()

    async def _live(self) -> None:
        """Send goAway before the end of the connection's life, and end it."""
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

    async def _end_with_token(self) -> None:
        """Close the session when its token expires, if it has one."""
        if self._token_expires_s is not None:
            await sleep(self._context.clock, self._token_expires_s - self._context.clock.time())
            await self._wire.close(INTERNAL_ERROR, TOKEN_EXPIRED_IN_SESSION)

    async def _watch_time(self) -> None:
        """Fire the faults that are due at a time."""
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
