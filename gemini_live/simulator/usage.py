"""Token counts, about as the service would count them. Pure."""

from typing import Any

from .history import TOKENS_A_FRAME, TOKENS_A_SECOND, ConversationHistory
from .records import TurnRecord

_SYSTEM_TOKENS = 100
"""What a session costs before a word is said."""


def build_usage(conversation: ConversationHistory, turn: TurnRecord) -> dict[str, Any]:
    """Return the usageMetadata of a turn: the prompt is the whole context again, each time."""
    prompt = {"TEXT": _SYSTEM_TOKENS, "AUDIO": 0, "VIDEO": TOKENS_A_FRAME * conversation.n_frames}
    for said in conversation.said:
        prompt["AUDIO" if said.audio_s else "TEXT"] += said.tokens
    response = {"AUDIO": round(turn.audio_s * TOKENS_A_SECOND)} if turn.audio_s else {"TEXT": len(turn.words) // 4}
    usage = {
        "promptTokenCount": sum(prompt.values()),
        "responseTokenCount": sum(response.values()),
        "totalTokenCount": sum(prompt.values()) + sum(response.values()),
        "promptTokensDetails": _details(prompt),
        "responseTokensDetails": _details(response),
    }
    return {name: value for name, value in usage.items() if value}  # proto3 JSON: what is empty is not written


def _details(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [{"modality": modality, "tokenCount": count} for modality, count in counts.items() if count]
