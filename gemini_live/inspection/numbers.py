"""Compute percentiles and costs. Pure; genai-prices is imported only if it is installed."""

import importlib.util
import math
from collections.abc import Sequence
from typing import Any

from .session import Session, Tokens, Turn

MEASURES = {
    "first_byte_after_s": "end of question to first byte",
    "first_sound_after_s": "end of question to first sound",
    "silent_after_s": "interruption to silence",
    "spoken_s": "length of the answer",
}
"""The measures of a turn that have percentiles, in words."""
PERCENTILES = (50, 90, 95, 99)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of sorted values: the smallest value that at least `percent` of them do not exceed."""
    return values[max(0, math.ceil(len(values) * percent / 100) - 1)]


def rounded(value: float | None) -> float | None:
    """Return a number for JSON, with four decimals."""
    return None if value is None else round(value, 4)


def values_of(session: Session, measure: str) -> list[float]:
    """Return a measure of all turns that have it, sorted."""
    found = (getattr(turn, measure) for turn in session.turns)
    return sorted(value for value in found if value is not None and (value or measure != "spoken_s"))


def add_costs(session: Session) -> None:
    """Set the cost of each turn, or say why there is none. Prices come with genai-prices; the network is not used."""
    if not any(turn.tokens.prompt or turn.tokens.response for turn in session.turns):
        return
    if importlib.util.find_spec("genai_prices") is None:
        session.cost_problem = "no costs: pip install 'gemini-live[cost]' brings the prices"
        return
    model = (session.header.model or "").removeprefix("models/")
    for turn in session.turns:
        if turn.tokens.prompt or turn.tokens.response:
            turn.cost = _price(model, turn.tokens)
            if turn.cost is None:
                session.cost_problem = f"no costs: genai-prices does not know {model or 'the model'}"
                return


def _price(model: str, tokens: Tokens) -> float | None:
    import genai_prices  # noqa: PLC0415 - an extra

    usage: dict[str, int] = {
        "input_tokens": sum(tokens.prompt.values()),
        "output_tokens": sum(tokens.response.values()),
        "input_audio_tokens": tokens.prompt.get("AUDIO", 0),
        "output_audio_tokens": tokens.response.get("AUDIO", 0),
        "cache_read_tokens": min(tokens.cached, sum(tokens.prompt.values()) - tokens.prompt.get("AUDIO", 0)),
    }
    try:
        price: Any = genai_prices.calc_price(genai_prices.Usage(**usage), model, provider_id="google")
    except (LookupError, ValueError):
        return None
    return float(price.total_price)


def total_tokens(turns: Sequence[Turn]) -> Tokens:
    """Return the tokens of all turns together."""
    total = Tokens()
    for turn in turns:
        total.add(turn.tokens)
    return total


def total_cost(turns: Sequence[Turn]) -> float | None:
    """Return the cost of all turns together, or None if none has one."""
    costs = [turn.cost for turn in turns if turn.cost is not None]
    return sum(costs) if costs else None
