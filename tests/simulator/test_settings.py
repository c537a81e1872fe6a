"""settings.py: what a setup asks for, and what each model refuses."""

from typing import Any

import pytest

from gemini_live.models import MODELS, Behavior, Modality
from gemini_live.simulator.close_reasons import INVALID_ARGUMENT, NOT_SUPPORTED, Refusal
from gemini_live.simulator.settings import Settings, read_settings

DEFAULT = "gemini-3.8-live"
THINKING = "gemini-3.8-live-extended-thinking"
OLDER = "gemini-3.1-flash-live-preview"
OLDEST = "gemini-2.5-flash-native-audio-latest"
ROBOT = "gemini-robotics-er-2-streaming-preview"
TRANSLATE = "gemini-3.5-live-translate-preview"
TRANSCRIBE = "gemini-3.5-transcribe-live"
LOW = {"thinkingConfig": {"thinkingLevel": "LOW"}}


def read(model: str = DEFAULT, version: str = "v1beta", **fields: Any) -> Settings:
    return read_settings({"model": f"models/{model}", **fields}, version)


def function(name: str = "f", **fields: Any) -> list[dict[str, Any]]:
    return [{"functionDeclarations": [{"name": name, **fields}]}]


def test_bare_setup_has_the_services_defaults() -> None:
    settings = read()
    assert settings.modality is Modality.AUDIO
    assert settings.activity.automatic and settings.activity.interrupts
    assert (settings.activity.silence_s, settings.activity.prefix_s) == (0.8, 0.02)
    assert settings.activity.start_high and settings.activity.end_high
    assert not settings.transcribes_input and not settings.transcribes_output and not settings.resumption
    assert settings.handle is None and not settings.search and not settings.declarations


def test_everything_that_can_be_asked_for_is_read() -> None:
    settings = read(
        generationConfig={"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}},
        tools=[{"googleSearch": {}}, *function(parameters={"type": "OBJECT"})],
        realtimeInputConfig={
            "automaticActivityDetection": {
                "disabled": True,
                "silenceDurationMs": 300,
                "prefixPaddingMs": 100,
                "startOfSpeechSensitivity": "START_SENSITIVITY_LOW",
                "endOfSpeechSensitivity": "END_SENSITIVITY_LOW",
            },
            "activityHandling": "NO_INTERRUPTION",
        },
        inputAudioTranscription={},
        outputAudioTranscription={},
        sessionResumption={"handle": "h"},
        historyConfig={"initialHistoryInClientContent": True},
    )
    activity = settings.activity
    assert (activity.automatic, activity.interrupts, activity.start_high, activity.end_high) == (False,) * 4
    assert (activity.silence_s, activity.prefix_s) == (0.3, 0.1)
    assert settings.transcribes_input and settings.transcribes_output and settings.resumption
    assert (settings.handle, settings.seeds_history, settings.search, settings.voice) == ("h", True, True, "Kore")
    assert settings.declarations["f"].parameters == {"type": "OBJECT"}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_of_the_table_opens_with_what_it_needs(model: str) -> None:
    generation: dict[str, Any] = {"responseModalities": [MODELS[model].output[0]]}
    if MODELS[model].required_thinking_level:
        generation |= LOW
    if MODELS[model].translates:
        generation["translationConfig"] = {"targetLanguageCode": "de"}
    settings = read(model, generationConfig=generation)
    assert settings.modality in MODELS[model].output


@pytest.mark.parametrize(
    ("model", "behavior", "expected"),
    [
        (DEFAULT, None, Behavior.NON_BLOCKING),
        (DEFAULT, "BLOCKING", Behavior.BLOCKING),
        (OLDER, None, Behavior.BLOCKING),
        (OLDEST, None, Behavior.BLOCKING),
        (OLDEST, "NON_BLOCKING", Behavior.NON_BLOCKING),
        (ROBOT, None, Behavior.BLOCKING),
        (OLDER, "NON_BLOCKING", Behavior.NON_BLOCKING),
    ],
)
def test_behavior_of_a_function_by_model(model: str, behavior: str | None, expected: Behavior) -> None:
    fields = {"behavior": behavior} if behavior else {}
    assert read(model, tools=function(**fields)).declarations["f"].behavior is expected


TEXT_REFUSED = "The requested combination of response modalities (TEXT) is not supported by the model. models/"
NO_CODE = "Code Execution tool is not supported for this model."
NEEDS_LEVEL = "Thinking level must be specified for this model."
BLOCKING = "BLOCKING function calls are not supported for this model."
PROACTIVITY = "Invalid JSON payload received. Unknown name \"proactivity\" at 'setup': Cannot find field."
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("", {}, 1007, INVALID_ARGUMENT),
    ("gemini-9", {}, 1008, "models/gemini-9 is not found for API version v1beta, or is not supported for"),
    (DEFAULT, {"generationConfig": {"responseModalities": ["TEXT"]}}, 1007, TEXT_REFUSED + DEFAULT),
    (DEFAULT, {"generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}, 1007, "The requested combination of"),
    (ROBOT, {"generationConfig": {"responseModalities": ["AUDIO"]}}, 1007, "The requested combination of response"),
    (DEFAULT, {"generationConfig": LOW}, 1007, "Thinking level is not supported for this model."),
    (DEFAULT, {"generationConfig": {"responseMimeType": "text/plain"}}, 1007, INVALID_ARGUMENT),
    (DEFAULT, {"generationConfig": {"translationConfig": {}}}, 1007, INVALID_ARGUMENT),
    (TRANSLATE, {}, 1007, INVALID_ARGUMENT),
    (DEFAULT, {"tools": [{"codeExecution": {}}]}, 1007, NO_CODE),
    (OLDEST, {"tools": [{"codeExecution": {}}]}, 1007, NO_CODE),
    (DEFAULT, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, 1007, "Thinking level is not supported"),
    (DEFAULT, {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}, 1007, "Thinking level is not"),
    (THINKING, {}, 1007, NEEDS_LEVEL),
    (THINKING, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, 1007, NEEDS_LEVEL),
    (
        THINKING,
        {"generationConfig": {"thinkingConfig": {**LOW["thinkingConfig"], "thinkingBudget": 0}}},
        1007,
        NEEDS_LEVEL,
    ),
    (
        THINKING,
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}},
        1007,
        "Thinking level MINIMAL is not supported for this model.",
    ),
    (OLDER, {"generationConfig": {"enableAffectiveDialog": True}}, 1007, INVALID_ARGUMENT),
    *((model, {"proactivity": {}}, 1007, PROACTIVITY) for model in (DEFAULT, THINKING, OLDER, OLDEST)),
    *(
        (
            model,
            {"generationConfig": {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "alloy"}}}}},
            1007,
            f"Requested voice api_name 'alloy' is not available for model models/{model}"[:123],
        )
        for model in (DEFAULT, OLDEST)
    ),
    (TRANSCRIBE, {"tools": [{"googleSearch": {}}]}, 1008, NOT_SUPPORTED),
    (TRANSCRIBE, {"tools": function()}, 1008, NOT_SUPPORTED),
    (TRANSCRIBE, {"systemInstruction": {"parts": [{"text": "x"}]}}, 1008, NOT_SUPPORTED),
    (THINKING, {"generationConfig": LOW, "tools": function(behavior="BLOCKING")}, 1007, BLOCKING),
    (THINKING, {"generationConfig": LOW, "tools": function(parametersJsonSchema={})}, 1007, INVALID_ARGUMENT),
    (DEFAULT, {"tools": function(parametersJsonSchema=["x"])}, 1007, "Invalid value at 'setup.tools.function"),
    (DEFAULT, {"tools": function("")}, 1007, INVALID_ARGUMENT),
    (DEFAULT, {"tools": function() + function()}, 1007, "Duplicate function declaration found: f"),
    (DEFAULT, {"tools": function(parameters={}, parametersJsonSchema={})}, 1007, INVALID_ARGUMENT),
    (DEFAULT, {"outputAudioTranscription": {"mode": "SMART", "wordTimestamp": True}}, 1007, INVALID_ARGUMENT),
    (
        DEFAULT,
        {"realtimeInputConfig": {"automaticActivityDetection": {"silenceDurationMs": -1}}},
        1007,
        INVALID_ARGUMENT,
    ),
    (
        DEFAULT,
        {"realtimeInputConfig": {"automaticActivityDetection": {"prefixPaddingMs": 10**30}}},
        1007,
        "Invalid value at 'setup.realtime_input_config.automatic_activity_detection.prefix_padding_ms' (TYPE_INT32)",
    ),
]


@pytest.mark.parametrize(("model", "fields", "code", "reason"), REFUSED)
def test_refusals_by_model(model: str, fields: dict[str, Any], code: int, reason: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(model, **fields)
    assert caught.value.code == code
    assert caught.value.reason.startswith(reason)
    assert caught.value.explanation


TAKEN: list[tuple[str, dict[str, Any], str]] = [
    *((model, {"generationConfig": LOW}, "v1beta") for model in (OLDER, OLDEST, ROBOT)),
    *((model, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, "v1beta") for model in (OLDER, OLDEST)),
    (OLDER, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0, "thinkingLevel": "LOW"}}}, "v1beta"),
    (OLDER, {"tools": [{"codeExecution": {}}, {"urlContext": {}}]}, "v1beta"),
    (OLDER, {"tools": function(behavior="NON_BLOCKING")}, "v1beta"),
    *((model, {"proactivity": {"proactiveAudio": True}}, "v1alpha") for model in (DEFAULT, OLDER, OLDEST)),
    (OLDEST, {"generationConfig": {"enableAffectiveDialog": True}}, "v1alpha"),
]


@pytest.mark.parametrize(("model", "fields", "version"), TAKEN)
def test_what_each_model_takes(model: str, fields: dict[str, Any], version: str) -> None:
    assert not read(model, version, **fields).closes_at_first_input


@pytest.mark.parametrize("model", [DEFAULT, THINKING])
def test_affective_dialog_opens_a_session_that_closes_at_its_first_input(model: str) -> None:
    generation = {"enableAffectiveDialog": True, **(LOW if model == THINKING else {})}
    assert read(model, generationConfig=generation).closes_at_first_input


@pytest.mark.parametrize(("model", "seeds"), [(DEFAULT, True), (OLDER, True), (OLDEST, False)])
def test_history_config_is_for_the_third_generation(model: str, seeds: bool) -> None:
    assert read(model, historyConfig={"initialHistoryInClientContent": True}).seeds_history is seeds


@pytest.mark.parametrize(("model", "known"), [(DEFAULT, True), (OLDER, True), (OLDEST, False)])
def test_json_schema_does_not_reach_the_second_generation(model: str, known: bool) -> None:
    schema = {"type": "object", "required": ["city"]}
    (declaration,) = read(model, tools=function(parametersJsonSchema=schema)).declarations.values()
    assert declaration.parameters == (schema if known else {})
    (declaration,) = read(model, tools=function(parameters=schema)).declarations.values()
    assert declaration.parameters == schema


def test_absurd_times_are_bounded() -> None:
    detection = {"silenceDurationMs": 2**31 - 1, "prefixPaddingMs": 2**31 - 1}
    activity = read(realtimeInputConfig={"automaticActivityDetection": detection}).activity
    assert activity.silence_s == activity.prefix_s == 60.0


def test_model_traits_that_the_protocol_depends_on() -> None:
    assert read().observed.requires_role and read(OLDER).observed.requires_role and read().third_generation
    assert not read(OLDEST).observed.requires_role and not read(OLDEST).third_generation
    translate = read(TRANSLATE, generationConfig={"translationConfig": {"targetLanguageCode": "de"}})
    assert translate.interprets and (translate.spoken_language, translate.target_language) == ("en", "de")
    assert read(TRANSCRIBE).interprets and not read().interprets
