"""Serves a recording to clients: chooses the recorded connection for each client, and keeps the ids of each."""

import asyncio
from collections import deque
from random import Random

from .clock import Clock
from .close_reasons import ENTITY_NOT_FOUND, INVALID_PAYLOAD, POLICY_VIOLATION, Refusal
from .http import SocketRequest
from .opening import end_as_the_service, receive_setup
from .replay import NO_ANSWER, Replay
from .replay_ids import ReplayIds
from .replay_steps import RecordedConnection
from .tokens import TokenBook
from .wire import Wire

_MAX_RUNS = 1_000
"""Clients whose ids and handles are kept; the oldest are forgotten first."""


class ReplayRun:
    """One client on its way through the recording, over one or more connections."""

    def __init__(self, random: Random) -> None:
        self.ids = ReplayIds(random)
        self.n_served = 0
        """Recorded connections that were served or passed over."""
        self.is_connected = False


class ReplayBook:
    """The recording, and the progress of each client through it."""

    def __init__(self, connections: list[RecordedConnection], seed: int | None) -> None:
        self._connections = connections
        self._random = Random() if seed is None else Random(f"replay {seed}")
        self._runs: deque[ReplayRun] = deque(maxlen=_MAX_RUNS)

    async def serve(self, wire: Wire, request: SocketRequest, tokens: TokenBook, *, clock: Clock, pace: float) -> None:
        """Replay the connection that is next for a client, until one side closes."""
        await end_as_the_service(wire, self._serve(wire, request, tokens, clock=clock, pace=pace))

    async def _serve(self, wire: Wire, request: SocketRequest, tokens: TokenBook, *, clock: Clock, pace: float) -> None:
        setup, _ = await receive_setup(wire, request, tokens)
        run, recorded = self.choose(setup.get("sessionResumption", {}).get("handle"))
        replay = Replay(wire, setup, run.ids, recorded, clock=clock, pace=pace)
        wire.record.on_event(f"opened: {setup.get('model', '').removeprefix('models/')}, from a recording")
        run.is_connected = True
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(replay.run(), name="replay")
                try:
                    while True:
                        replay.take(await wire.receive())
                finally:
                    sending.cancel()
        finally:
            run.is_connected = False
            replay.tell_rest()

    def choose(self, handle: str | None) -> tuple[ReplayRun, RecordedConnection]:
        """Choose the recorded connection for a client by its handle, and advance the client to it; return both.

        A client without a handle continues a run that is not connected if a fresh connection is next there; if none
        is, a new run begins.

        Raises:
            Refusal: The handle is unknown, or the recording has no connection after that session.
        """
        if handle is not None:
            run = next((run for run in reversed(self._runs) if run.ids.find(handle) is not None), None)
            if run is None:
                raise Refusal(POLICY_VIOLATION, ENTITY_NOT_FOUND, "the session resumption handle is not known")
            return run, self._find_resumed(run, handle)
        for run in reversed(self._runs):
            following = self._connections[run.n_served :][:1]
            if following and following[0].handle is None and not run.is_connected:
                run.n_served += 1
                return run, following[0]
        self._runs.append(ReplayRun(Random(self._random.getrandbits(64))))
        self._runs[-1].n_served = 1
        return self._runs[-1], self._connections[0]

    def _find_resumed(self, run: ReplayRun, handle: str) -> RecordedConnection:
        """Choose the recorded connection that resumed with the same handle, else the next one; advance the run."""
        recorded = run.ids.find(handle)
        numbers = range(run.n_served, len(self._connections))
        number = next((n for n in numbers if self._connections[n].handle == recorded), run.n_served)
        if number >= len(self._connections):
            raise Refusal(INVALID_PAYLOAD, NO_ANSWER, "resumed the session, where the recording ends")
        run.n_served = number + 1
        return self._connections[number]
