"""Counts tokens about as the service does, with the details that do not add up. Pure."""

from typing import Any

from gemini_live.models import EmptyMessages, ObservedBehavior

from .history import TOKENS_A_SECOND, ConversationHistory
from .records import TurnRecord

_SYSTEM_TOKENS = {EmptyMessages.BARE: 312, EmptyMessages.CONTENT: 153, EmptyMessages.NONE: 500}
"""The context of a session before a word is said. pydantic-ai's recordings, Aug-Oct 2026."""
_UNATTRIBUTED_TOKENS = {EmptyMessages.BARE: 27, EmptyMessages.CONTENT: 25, EmptyMessages.NONE: 0}
"""Prompt tokens that no modality accounts for. The same recordings."""
_THOUGHT_TOKENS = 46
"""The same recordings: 40 to 62."""


def build_usage(
    history: ConversationHistory,
    turn: TurnRecord,
    observed: ObservedBehavior,
    *,
    thought: bool,
    thoughts_in_total: bool,
) -> dict[str, Any]:
    """Return the usageMetadata of a turn, whose prompt is the whole context again.

    Args:
        history: The conversation so far.
        turn: The turn that ends.
        observed: How the service counts for this model.
        thought: True if the model thought in this turn.
        thoughts_in_total: True if the total includes the thoughts, as in the last turn of extended thinking.
    """
    style = observed.empty_messages
    prompt = {
        "TEXT": _SYSTEM_TOKENS[style] + history.tokens["TEXT"],
        "AUDIO": history.tokens["AUDIO"],
        "IMAGE": history.tokens["IMAGE"],
    }
    response = {"AUDIO": round(turn.audio_s * TOKENS_A_SECOND)} if turn.audio_s else {"TEXT": len(turn.words) // 4}
    n_prompt = sum(prompt.values()) + _UNATTRIBUTED_TOKENS[style]
    n_response = sum(response.values())
    n_thoughts = _THOUGHT_TOKENS if thought else 0
    usage = {
        "promptTokenCount": n_prompt,
        "responseTokenCount": n_response,
        "totalTokenCount": n_prompt + n_response + (n_thoughts if thoughts_in_total else 0),
        "promptTokensDetails": _details(prompt),
        "responseTokensDetails": _details(response),
        "thoughtsTokenCount": n_thoughts,
    }
    return {name: value for name, value in usage.items() if value}  # proto3 JSON leaves empty fields out


def _details(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [{"modality": modality, "tokenCount": count} for modality, count in counts.items() if count]
