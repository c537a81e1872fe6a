"""Tells how the simulator behaves with each model: as observed, but for what our client does not handle yet. Pure."""

from dataclasses import replace
from typing import Any

from gemini_live.models import (
    Coverage,
    Handles,
    ModelCapabilities,
    ObservedBehavior,
    StaleCalls,
    StreamEnd,
    UnansweredCall,
)

_NOT_YET: dict[str, Any] = {
    "stream_end": StreamEnd.ENDS_TURN,
    "handles": Handles.IF_ASKED,
    "handle_covers": Coverage.SNAPSHOT,
    "settles_s": 0.0,
    "stale_calls": StaleCalls.IGNORED,
    "unanswered_call": UnansweredCall.CANCELLED,
    "typed_turn_sees_frames": True,
    "echoes_typed_text": False,
    "reads_json_schema": True,
}
"""Facts that the client of this package does not cope with yet, as the simulator treats them until then."""


def observed_for(capabilities: ModelCapabilities) -> ObservedBehavior:
    """Return how the simulator behaves with a model."""
    return replace(capabilities.observed, **_NOT_YET)
