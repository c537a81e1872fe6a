"""Reads a setup message into the settings of a session, or refuses it as the service does for that model. Pure.

The words of the refusals are those of pydantic-ai's probes and recordings (Aug to Oct 2026) where they are known.
Longer than 300 lines: it has a reader for each part of a setup.
"""

from dataclasses import dataclass, field
from typing import Any

from gemini_live.models import (
    MODELS,
    VOICES,
    AffectiveDialog,
    Behavior,
    Modality,
    ModelCapabilities,
    ObservedBehavior,
    Thinking,
    capabilities_of,
)

from ..audio.voice_detector import DEFAULT_PREFIX_S, DEFAULT_SILENCE_S, VoiceSettings
from .close_reasons import (
    INVALID_PAYLOAD,
    POLICY_VIOLATION,
    Refusal,
    invalid_argument,
    invalid_value,
    not_for_this_model,
    not_supported,
    unknown_name,
)
from .schema import snake_case

_NOT_IN_LIVE = (
    "responseLogprobs",
    "logprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "stopSequences",
)
"""Fields of generationConfig that the Live API does not support, by its documentation."""

_VOICES = frozenset(name.lower() for name in VOICES)
_MAX_INT32 = 2**31 - 1
_LONGEST_WAIT_S = 60.0
"""Of silenceDurationMs and prefixPaddingMs: the detector keeps that much audio."""
_ALPHA = "v1alpha"
_THIRD_GENERATION = ("gemini-3", "gemini-robotics-er-2")


@dataclass(frozen=True)
class Declaration:
    """A function that the client declared."""

    name: str
    behavior: Behavior
    parameters: dict[str, Any] = field(default_factory=dict)
    """The schema of the arguments, whichever field held it; empty: no arguments."""


@dataclass(frozen=True)
class ActivitySettings(VoiceSettings):
    """How speech is detected, and whether it interrupts the model."""

    automatic: bool = True
    """True if the server detects speech; otherwise the client marks it."""
    interrupts: bool = True


@dataclass(frozen=True)
class Settings:
    """What the setup asked for."""

    model: str
    capabilities: ModelCapabilities
    modality: Modality
    activity: ActivitySettings
    declarations: dict[str, Declaration]
    search: bool = False
    voice: str = ""
    transcribes_input: bool = False
    transcribes_output: bool = False
    resumption: bool = False
    handle: str | None = None
    seeds_history: bool = False
    includes_thoughts: bool = False
    target_language: str = ""
    """The language that a translating model speaks."""
    closes_at_first_input: bool = False
    """True if the setup asked for affective dialog, which 3.8 refuses only when the first message comes."""

    thinks: bool = True
    """False if the client set a thinking budget of 0."""

    @property
    def observed(self) -> ObservedBehavior:
        """Return how the service behaves with the model."""
        return self.capabilities.observed

    @property
    def third_generation(self) -> bool:
        """True if the model belongs to the 3.x line."""
        return self.model.startswith(_THIRD_GENERATION)

    @property
    def spoken_language(self) -> str:
        """Return the user's language as a translating model reports it."""
        return "en" if self.capabilities.translates else ""

    @property
    def interprets(self) -> bool:
        """True if the model transcribes or translates, and does not converse."""
        return self.capabilities.translates or not self.capabilities.system_instruction


def read_settings(setup: dict[str, Any], api_version: str) -> Settings:
    """Return the settings that a setup message (already parsed) asks for. Over 40 lines: one field after the other.

    Raises:
        Refusal: The service would not open this session.
    """
    model = setup.get("model", "").removeprefix("models/")
    if not model:
        raise invalid_argument("setup has no model")
    if model not in MODELS:
        raise Refusal(
            POLICY_VIOLATION,
            f"models/{model} is not found for API version {api_version}, or is not supported for bidiGenerateContent. "
            "Call ListModels to see the list of available models and their supported methods.",
        )
    capabilities = capabilities_of(model)
    generation = setup.get("generationConfig", {})
    _check_features(setup, capabilities, api_version)
    _check_generation(generation, model, capabilities)
    tools = setup.get("tools", [])
    resumption = setup.get("sessionResumption")
    return Settings(
        model=model,
        capabilities=capabilities,
        modality=_read_modality(generation, model, capabilities),
        activity=read_activity(setup.get("realtimeInputConfig", {})),
        declarations=read_declarations(tools, model, capabilities),
        search=has_search(tools),
        voice=_read_voice(generation, model),
        transcribes_input="inputAudioTranscription" in setup or capabilities.translates,
        transcribes_output="outputAudioTranscription" in setup,
        resumption=resumption is not None,
        handle=(resumption or {}).get("handle") or None,
        seeds_history=capabilities.observed.takes_history_config
        and setup.get("historyConfig", {}).get("initialHistoryInClientContent", False),
        includes_thoughts=generation.get("thinkingConfig", {}).get("includeThoughts", False),
        thinks=generation.get("thinkingConfig", {}).get("thinkingBudget") != 0,
        target_language=generation.get("translationConfig", {}).get("targetLanguageCode", ""),
        closes_at_first_input=capabilities.observed.affective_dialog is AffectiveDialog.CLOSES_AT_FIRST_INPUT
        and "enableAffectiveDialog" in generation,
    )


def _read_voice(generation: dict[str, Any], model: str) -> str:
    voice = generation.get("speechConfig", {}).get("voiceConfig", {}).get("prebuiltVoiceConfig", {})
    name = str(voice.get("voiceName", ""))
    if name and name.lower() not in _VOICES:
        raise Refusal(INVALID_PAYLOAD, f"Requested voice api_name '{name}' is not available for model models/{model}")
    return name


def _read_modality(generation: dict[str, Any], model: str, capabilities: ModelCapabilities) -> Modality:
    asked = generation.get("responseModalities") or [capabilities.output[0]]
    if len(asked) != 1 or asked[0] not in capabilities.output:
        raise Refusal(
            INVALID_PAYLOAD,
            f"The requested combination of response modalities ({', '.join(sorted(asked))}) is not supported by the "
            f"model. models/{model}",
        )
    return Modality(asked[0])


def _check_generation(generation: dict[str, Any], model: str, capabilities: ModelCapabilities) -> None:
    for name in _NOT_IN_LIVE:
        if name in generation:
            raise invalid_argument(f"generationConfig.{name} does not exist in the Live API")
    if "enableAffectiveDialog" in generation and capabilities.observed.affective_dialog is AffectiveDialog.REFUSED:
        raise invalid_argument(f"{model} does not take enableAffectiveDialog")
    if capabilities.translates != ("translationConfig" in generation):
        wants = "needs" if capabilities.translates else "does not take"
        raise invalid_argument(f"{model} {wants} generationConfig.translationConfig")
    _check_thinking(generation.get("thinkingConfig", {}), capabilities)


def _check_thinking(thinking: dict[str, Any], capabilities: ModelCapabilities) -> None:
    if capabilities.thinking is Thinking.NONE:
        if thinking:
            raise not_for_this_model("Thinking level is not supported")
        return
    level = thinking.get("thinkingLevel")
    if capabilities.required_thinking_level and (level is None or "thinkingBudget" in thinking):
        raise not_for_this_model("Thinking level must be specified")
    if capabilities.required_thinking_level and level == "MINIMAL":
        raise not_for_this_model("Thinking level MINIMAL is not supported")


def _check_features(setup: dict[str, Any], capabilities: ModelCapabilities, api_version: str) -> None:
    if "proactivity" in setup and api_version != _ALPHA:
        raise unknown_name("proactivity", "setup")
    if "systemInstruction" in setup and not capabilities.system_instruction:
        raise not_supported("the model takes no systemInstruction")
    for name in ("inputAudioTranscription", "outputAudioTranscription"):
        transcription = setup.get(name, {})
        if transcription.get("mode") == "SMART" and (
            transcription.get("wordTimestamp") or transcription.get("diarization")
        ):
            raise invalid_argument(f"{name}: SMART goes with neither wordTimestamp nor diarization")


def has_search(tools: list[dict[str, Any]]) -> bool:
    """True if Google Search is among the tools."""
    return any(name in tool for tool in tools for name in ("googleSearch", "googleSearchRetrieval"))


def read_declarations(
    tools: list[dict[str, Any]], model: str, capabilities: ModelCapabilities
) -> dict[str, Declaration]:
    """Return the declared functions by name, from the `tools` of a setup or a context update.

    Raises:
        Refusal: A tool that this model does not have.
    """
    runs_code = capabilities.code_execution or capabilities.observed.ignores_code_execution
    if any("codeExecution" in tool for tool in tools) and not runs_code:
        raise not_for_this_model("Code Execution tool is not supported")
    if has_search(tools) and not capabilities.search:
        raise not_supported(f"{model} does not search")
    declarations: dict[str, Declaration] = {}
    for function in (function for tool in tools for function in tool.get("functionDeclarations", [])):
        declaration = _read_declaration(function, model, capabilities)
        if declaration.name in declarations:
            raise Refusal(INVALID_PAYLOAD, f"Duplicate function declaration found: {declaration.name}")
        declarations[declaration.name] = declaration
    return declarations


def _read_declaration(function: dict[str, Any], model: str, capabilities: ModelCapabilities) -> Declaration:
    name = function.get("name", "")
    if not name:
        raise invalid_argument("a function declaration has no name")
    if not capabilities.behaviors:
        raise not_supported(f"{model} calls no functions")
    if "parameters" in function and "parametersJsonSchema" in function:
        raise invalid_argument(f"{name}: parameters and parametersJsonSchema exclude each other")
    if "parametersJsonSchema" in function and not capabilities.observed.takes_json_schema:
        raise invalid_argument(f"{name}: {model} takes parameters, not parametersJsonSchema")
    schema = function.get("parametersJsonSchema", {})
    if not isinstance(schema, dict):
        path = "setup.tools.function_declarations.parameters_json_schema"
        raise invalid_value(path, "Value", type(schema).__name__)
    if not capabilities.observed.reads_json_schema:
        schema = {}  # the model is not told of the parameters, and calls without arguments
    return Declaration(
        name=name,
        behavior=_read_behavior(function, capabilities),
        parameters=function.get("parameters") or schema,
    )


def _read_behavior(function: dict[str, Any], capabilities: ModelCapabilities) -> Behavior:
    named = function.get("behavior")
    if named is None:
        return capabilities.observed.unset_behavior
    if named == Behavior.BLOCKING and Behavior.BLOCKING not in capabilities.behaviors:
        raise not_for_this_model("BLOCKING function calls are not supported")
    return Behavior(named)


def read_activity(config: dict[str, Any]) -> ActivitySettings:
    """Return how speech is detected, by `realtimeInputConfig`.

    Raises:
        Refusal: A time in it is no time.
    """
    detection = config.get("automaticActivityDetection", {})
    return ActivitySettings(
        automatic=not detection.get("disabled", False),
        silence_s=_read_milliseconds(detection, "silenceDurationMs", DEFAULT_SILENCE_S),
        prefix_s=_read_milliseconds(detection, "prefixPaddingMs", DEFAULT_PREFIX_S),
        start_high=detection.get("startOfSpeechSensitivity") != "START_SENSITIVITY_LOW",
        end_high=detection.get("endOfSpeechSensitivity") != "END_SENSITIVITY_LOW",
        interrupts=config.get("activityHandling") != "NO_INTERRUPTION",
    )


def _read_milliseconds(detection: dict[str, Any], name: str, default_s: float) -> float:
    """Return a time of the activity detection in seconds."""
    value = detection.get(name)
    if value is None:
        return default_s
    if value > _MAX_INT32:
        path = "setup.realtime_input_config.automatic_activity_detection"
        raise invalid_value(f"{path}.{snake_case(name)}", "TYPE_INT32", value)
    if value < 0:
        raise invalid_argument(f"{name} is negative")
    return min(float(value) / 1000, _LONGEST_WAIT_S)
