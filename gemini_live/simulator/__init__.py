"""A Live API server for tests and for trying things out: an echo service that keeps the protocol, and breaks on demand.

from gemini_live.simulator import Simulator

async with Simulator(pace=0) as server:
    ...  # a client at server.url; what it did is in server.sessions
"""

from .faults import FAULT_KINDS, Fault, parse_fault
from .records import CallRecord, SessionRecord, TurnRecord
from .server import Simulator

__all__ = ["FAULT_KINDS", "CallRecord", "Fault", "SessionRecord", "Simulator", "TurnRecord", "parse_fault"]
