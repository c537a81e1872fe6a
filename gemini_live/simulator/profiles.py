"""Tells how the simulator behaves with each model: as observed, but for what our client does not handle yet. Pure."""

from dataclasses import replace
from typing import Any

from gemini_live.models import ModelCapabilities, ObservedBehavior

_NOT_YET: dict[str, Any] = {
    "settles_s": 0.0,
}
"""Facts that the client of this package does not cope with yet, as the simulator treats them until then."""


def observed_for(capabilities: ModelCapabilities) -> ObservedBehavior:
    """Return how the simulator behaves with a model."""
    return replace(capabilities.observed, **_NOT_YET)
