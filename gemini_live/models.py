"""What each model of the Live API can do, as data.

One row a model, from Google's model pages and the SDKs as of November 2026. The server has the last word: a row only
decides how a session is asked for, and what is warned about before connecting. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum

# fmt: off
VOICES = (
    "Achernar", "Achird", "Algenib", "Algieba", "Alnilam", "Aoede",
    "Autonoe", "Callirrhoe", "Charon", "Despina", "Enceladus", "Erinome",
    "Fenrir", "Gacrux", "Iapetus", "Kore", "Laomedeia", "Leda",
    "Orus", "Puck", "Pulcherrima", "Rasalgethi", "Sadachbia", "Sadaltager",
    "Schedar", "Sulafat", "Umbriel", "Vindemiatrix", "Zephyr", "Zubenelgenubi",
)
# fmt: on
"""The prebuilt voices. The service may know others: a name outside this list is worth a warning, no more."""


class Modality(StrEnum):
    """What a model answers in."""

    AUDIO = "AUDIO"
    TEXT = "TEXT"


class TypedTurn(StrEnum):
    """How a line that the user typed is sent."""

    REALTIME_TEXT = "realtimeInput.text"
    CLIENT_CONTENT = "clientContent"
    NOT_SUPPORTED = "not supported"


class History(StrEnum):
    """How an earlier conversation is given to a new session."""

    HISTORY_CONFIG = "clientContent announced by historyConfig"
    CLIENT_CONTENT = "clientContent"
    NOT_SUPPORTED = "not supported"


class Thinking(StrEnum):
    """Which field of thinkingConfig a model takes."""

    NONE = "none"
    LEVEL = "thinkingLevel"
    BUDGET = "thinkingBudget"


class Behavior(StrEnum):
    """Whether the model waits for a function's result."""

    BLOCKING = "BLOCKING"
    NON_BLOCKING = "NON_BLOCKING"


@dataclass(frozen=True, kw_only=True)
class ModelCapabilities:
    """One row of the table: what a model takes and gives."""

    output: tuple[Modality, ...] = (Modality.AUDIO,)
    typed_turn: TypedTurn = TypedTurn.REALTIME_TEXT
    history: History = History.HISTORY_CONFIG
    thinking: Thinking = Thinking.NONE
    required_thinking_level: str | None = None
    """Sent where the model insists on a level; `--setup` may name another."""
    behaviors: tuple[Behavior, ...] = (Behavior.BLOCKING, Behavior.NON_BLOCKING)
    """Which a function declaration may name; empty: the model calls no functions."""
    declares_behavior: bool = True
    """Whether declarations may carry the `behavior` field at all."""
    json_schema: bool = True
    """Whether functions may be declared by `parametersJsonSchema`."""
    search: bool = True
    code_execution: bool = False
    video_input: bool = True
    system_instruction: bool = True
    speech_config: bool = True
    transcription: bool = True
    """Whether the session's transcription fields may be set."""
    translates: bool = False
    """Whether the model wants `translationConfig`."""
    hears_during_calls: bool = True
    """Whether audio may be sent while a function call is open; a session is closed for it otherwise."""
    transcript_is_answer: bool = False
    """Whether the model's product is the transcript of what it hears."""
    interaction_status: bool = False
    """Whether a turn ends by `interactionStatus`: filler speech completes a generation, not the answer."""

    def modality(self, *, text_only: bool) -> Modality:
        """Return what to ask the model to answer in: text where it can and only text is wanted, else speech."""
        if Modality.AUDIO not in self.output or (text_only and Modality.TEXT in self.output):
            return Modality.TEXT
        return Modality.AUDIO


_LIVE_3_8 = ModelCapabilities()
_LIVE_2_5 = ModelCapabilities(
    typed_turn=TypedTurn.CLIENT_CONTENT,
    history=History.CLIENT_CONTENT,
    thinking=Thinking.BUDGET,
    hears_during_calls=False,
)

MODELS: dict[str, ModelCapabilities] = {
    "gemini-3.8-live": _LIVE_3_8,
    "gemini-3.8-live-extended-thinking": ModelCapabilities(
        thinking=Thinking.LEVEL,
        required_thinking_level="LOW",
        behaviors=(Behavior.NON_BLOCKING,),
        json_schema=False,
        interaction_status=True,
    ),
    "gemini-3.1-flash-live-preview": ModelCapabilities(
        thinking=Thinking.LEVEL, behaviors=(Behavior.BLOCKING,), declares_behavior=False
    ),
    "gemini-2.5-flash-native-audio-preview-12-2025": _LIVE_2_5,
    "gemini-2.5-flash-native-audio-latest": _LIVE_2_5,
    "gemini-robotics-er-2-streaming-preview": ModelCapabilities(
        output=(Modality.TEXT,), thinking=Thinking.LEVEL, speech_config=False
    ),
    "gemini-3.5-live-translate-preview": ModelCapabilities(
        typed_turn=TypedTurn.NOT_SUPPORTED,
        history=History.NOT_SUPPORTED,
        behaviors=(),
        search=False,
        video_input=False,
        system_instruction=False,
        translates=True,
    ),
    "gemini-3.5-transcribe-live": ModelCapabilities(
        output=(Modality.TEXT,),
        typed_turn=TypedTurn.NOT_SUPPORTED,
        history=History.NOT_SUPPORTED,
        behaviors=(),
        search=False,
        video_input=False,
        system_instruction=False,
        speech_config=False,
        transcript_is_answer=True,
    ),
}


def capabilities_of(model: str) -> ModelCapabilities:
    """Return the row of `model` (with or without `models/`); an unknown model gets that of 3.8."""
    return MODELS.get(model.removeprefix("models/"), _LIVE_3_8)
