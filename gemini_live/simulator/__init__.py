"""A Live API server for tests and for trying things out: an echo service that keeps the protocol, and breaks on demand.

from gemini_live.simulator import Simulator

async with Simulator(pace=0) as server:
    ...  # a client at server.url; what it did is in server.sessions

The server is loaded when one of the names is used: pytest imports this package in every run, for its plugin.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .actions import (
        Answer,
        Call,
        Close,
        End,
        FunctionResult,
        Play,
        Question,
        Say,
        Search,
        Silent,
        Think,
        Together,
        Wait,
    )
    from .faults import FAULT_KINDS, Fault, parse_fault
    from .in_thread import SimulatorInThread
    from .records import CallRecord, SessionRecord, TurnRecord
    from .server import Simulator

__all__ = [
    "FAULT_KINDS",
    "Answer",
    "Call",
    "CallRecord",
    "Close",
    "End",
    "Fault",
    "FunctionResult",
    "Play",
    "Question",
    "Say",
    "Search",
    "SessionRecord",
    "Silent",
    "Simulator",
    "SimulatorInThread",
    "Think",
    "Together",
    "TurnRecord",
    "Wait",
    "parse_fault",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import actions, faults, in_thread, records, server  # noqa: PLC0415 - see above

    modules = (actions, faults, in_thread, records, server)
    return next(getattr(module, name) for module in modules if hasattr(module, name))
