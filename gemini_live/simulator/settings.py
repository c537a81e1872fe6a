"""Reads a setup message into the settings of a session, or refuses it as the service would for that model. Pure."""

from dataclasses import dataclass, field
from typing import Any

from gemini_live.models import MODELS, Behavior, Modality, ModelCapabilities, Thinking, capabilities_of

from ..audio.voice_detector import DEFAULT_PREFIX_S, DEFAULT_SILENCE_S, VoiceSettings
from .close_reasons import INVALID_PAYLOAD, POLICY_VIOLATION, Refusal, invalid_argument, not_supported, unknown_name

_NOT_IN_LIVE = (
    "responseLogprobs",
    "logprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "stopSequences",
)
"""Fields of generationConfig that the Live API's documentation takes back."""

_ROLES_REQUIRED = "gemini-3.8-"
_THIRD_GENERATION = ("gemini-3", "gemini-robotics-er-2")


@dataclass(frozen=True)
class Declaration:
    """A function that the client declared."""

    name: str
    behavior: Behavior
    parameters: dict[str, Any] = field(default_factory=dict)
    """The schema of its arguments, whichever field it came in; empty: no arguments."""


@dataclass(frozen=True)
class ActivitySettings(VoiceSettings):
    """How the client's speech is found, if it is, and what it does."""

    automatic: bool = True
    """Whether the server finds it; else the client marks it."""
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
    """What a translating model speaks."""

    @property
    def third_generation(self) -> bool:
        """Whether the model belongs to the 3.x line: several parts in a message, no mediaChunks."""
        return self.model.startswith(_THIRD_GENERATION)

    @property
    def requires_roles(self) -> bool:
        """Whether each Content that the client sends must say whose it is."""
        return self.model.startswith(_ROLES_REQUIRED)

    @property
    def spoken_language(self) -> str:
        """What a translating model takes the user to speak."""
        return "en" if self.capabilities.translates else ""

    @property
    def interprets(self) -> bool:
        """Whether the model only turns speech into words or other speech, and cannot be talked with."""
        return self.capabilities.translates or not self.capabilities.system_instruction


def read_settings(setup: dict[str, Any], api_version: str) -> Settings:
    """Return the settings that a setup message (already parsed) asks for.

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
    _check_generation(generation, model, capabilities, api_version)
    _check_features(setup, capabilities)
    tools = setup.get("tools", [])
    resumption = setup.get("sessionResumption")
    return Settings(
        model=model,
        capabilities=capabilities,
        modality=_read_modality(generation, model, capabilities),
        activity=_read_activity(setup.get("realtimeInputConfig", {})),
        declarations=read_declarations(tools, model, capabilities),
        search=has_search(tools),
        voice=_read_voice(generation),
        transcribes_input="inputAudioTranscription" in setup or capabilities.translates,
        transcribes_output="outputAudioTranscription" in setup,
        resumption=resumption is not None,
        handle=(resumption or {}).get("handle") or None,
        seeds_history=setup.get("historyConfig", {}).get("initialHistoryInClientContent", False),
        includes_thoughts=generation.get("thinkingConfig", {}).get("includeThoughts", False),
        target_language=generation.get("translationConfig", {}).get("targetLanguageCode", ""),
    )


def _read_voice(generation: dict[str, Any]) -> str:
    voice = generation.get("speechConfig", {}).get("voiceConfig", {}).get("prebuiltVoiceConfig", {})
    return str(voice.get("voiceName", ""))


def _read_modality(generation: dict[str, Any], model: str, capabilities: ModelCapabilities) -> Modality:
    asked = generation.get("responseModalities") or [capabilities.output[0]]
    if len(asked) != 1 or asked[0] not in capabilities.output:
        raise Refusal(
            INVALID_PAYLOAD,
            f"The requested combination of response modalities ({', '.join(sorted(asked))}) is not supported by the "
            f"model. models/{model}",
        )
    return Modality(asked[0])


def _check_generation(
    generation: dict[str, Any], model: str, capabilities: ModelCapabilities, api_version: str
) -> None:
    for name in _NOT_IN_LIVE:
        if name in generation:
            raise invalid_argument(f"generationConfig.{name} does not exist in the Live API")
    if "enableAffectiveDialog" in generation and (api_version != "v1alpha" or not model.startswith("gemini-2.5")):
        raise unknown_name("enable_affective_dialog", "setup.generation_config")
    if capabilities.translates != ("translationConfig" in generation):
        wants = "needs" if capabilities.translates else "does not take"
        raise invalid_argument(f"{model} {wants} generationConfig.translationConfig")
    _check_thinking(generation.get("thinkingConfig", {}), model, capabilities)


def _check_thinking(thinking: dict[str, Any], model: str, capabilities: ModelCapabilities) -> None:
    if "thinkingLevel" in thinking and "thinkingBudget" in thinking:
        raise invalid_argument("thinkingLevel and thinkingBudget exclude each other")
    for name, kind, label in (
        ("thinkingLevel", Thinking.LEVEL, "Thinking level"),
        ("thinkingBudget", Thinking.BUDGET, "Thinking budget"),
    ):
        if name in thinking and capabilities.thinking is not kind:
            raise Refusal(INVALID_PAYLOAD, f"{label} is not supported for this model.")
    if capabilities.required_thinking_level and "thinkingLevel" not in thinking:
        raise invalid_argument(f"{model} needs generationConfig.thinkingConfig.thinkingLevel")


def _check_features(setup: dict[str, Any], capabilities: ModelCapabilities) -> None:
    if setup.get("proactivity", {}).get("proactiveAudio") is False:
        raise invalid_argument("proactive audio cannot be switched off")
    if "systemInstruction" in setup and not capabilities.system_instruction:
        raise not_supported("the model takes no systemInstruction")
    for name in ("inputAudioTranscription", "outputAudioTranscription"):
        transcription = setup.get(name, {})
        if transcription.get("mode") == "SMART" and (
            transcription.get("wordTimestamp") or transcription.get("diarization")
        ):
            raise invalid_argument(f"{name}: SMART goes with neither wordTimestamp nor diarization")


def has_search(tools: list[dict[str, Any]]) -> bool:
    """Return whether Google Search is among the tools."""
    return any(name in tool for tool in tools for name in ("googleSearch", "googleSearchRetrieval"))


def read_declarations(
    tools: list[dict[str, Any]], model: str, capabilities: ModelCapabilities
) -> dict[str, Declaration]:
    """Return the declared functions by name, from the `tools` of a setup or a context update.

    Raises:
        Refusal: A tool that this model does not have.
    """
    if any("codeExecution" in tool for tool in tools) and not capabilities.code_execution:
        raise not_supported(f"{model} runs no code")
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
    return Declaration(
        name=name,
        behavior=_read_behavior(function, model, capabilities),
        parameters=function.get("parameters") or function.get("parametersJsonSchema") or {},
    )


def _read_behavior(function: dict[str, Any], model: str, capabilities: ModelCapabilities) -> Behavior:
    named = function.get("behavior", "UNSPECIFIED")
    if named == "UNSPECIFIED":
        waits = not model.startswith(_ROLES_REQUIRED) and Behavior.BLOCKING in capabilities.behaviors
        return Behavior.BLOCKING if waits else Behavior.NON_BLOCKING
    if not capabilities.declares_behavior or Behavior(named) not in capabilities.behaviors:
        raise not_supported(f"{function['name']}: {model} does not take the behavior {named}")
    return Behavior(named)


def _read_activity(config: dict[str, Any]) -> ActivitySettings:
    detection = config.get("automaticActivityDetection", {})
    for name in ("silenceDurationMs", "prefixPaddingMs"):
        if detection.get(name, 0) < 0:
            raise invalid_argument(f"{name} is negative")
    return ActivitySettings(
        automatic=not detection.get("disabled", False),
        silence_s=detection.get("silenceDurationMs", DEFAULT_SILENCE_S * 1000) / 1000,
        prefix_s=detection.get("prefixPaddingMs", DEFAULT_PREFIX_S * 1000) / 1000,
        start_high=detection.get("startOfSpeechSensitivity") != "START_SENSITIVITY_LOW",
        end_high=detection.get("endOfSpeechSensitivity") != "END_SENSITIVITY_LOW",
        interrupts=config.get("activityHandling") != "NO_INTERRUPTION",
    )
