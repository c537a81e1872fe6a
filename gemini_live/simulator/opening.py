"""Opens a session by its first message, and ends it in the service's words; every kind of session does both."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from websockets.exceptions import ConnectionClosed

from .close_reasons import DEADLINE, POLICY_VIOLATION, Refusal, invalid_argument
from .http import SocketRequest
from .tokens import TokenBook
from .wire import Wire

SETUP_S = 10.0
"""How long a connection may be open without a setup."""


async def receive_setup(wire: Wire, request: SocketRequest, tokens: TokenBook) -> tuple[dict[str, Any], float | None]:
    """Return the setup that a client sends, and when its token expires, if it came with one.

    Raises:
        ConnectionClosed: The client is gone, or sent no setup in time.
        Refusal: The key or the token is not accepted, or the first message is no setup.
    """
    timer = asyncio.get_running_loop().call_later(SETUP_S, _give_up, wire)  # real time, whatever the clock
    try:
        message = await wire.receive()
    finally:
        timer.cancel()
    if request.refusal is not None:
        raise request.refusal
    setup = message.get("setup")
    if setup is None:
        raise invalid_argument("the first message is not a setup")
    expires_s = None
    if request.token:
        setup, expires_s = tokens.use(request.token, setup)
    wire.record.setup = setup
    wire.record.changed()
    return setup, expires_s


def _give_up(wire: Wire) -> None:
    wire.record.mistake(f"sent no setup within {SETUP_S:g} s")
    wire.close_soon(POLICY_VIOLATION, DEADLINE)


async def end_as_the_service(wire: Wire, serving: Coroutine[Any, Any, None]) -> None:
    """Serve a session; close it as the service does if the client is refused."""
    refusal: Refusal | None = None
    try:
        await serving
    except* ConnectionClosed:
        pass  # how it ended is in the record
    except* Refusal as group:
        refusal = next(iter(_leaves(group)))
    if refusal is not None:
        wire.record.mistake(f"{refusal.explanation} (closed with {refusal.code})")
        await wire.close(refusal.code, refusal.reason)


def _leaves(group: BaseExceptionGroup[Refusal]) -> list[Refusal]:
    found: list[Refusal] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
