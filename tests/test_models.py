"""The table of models against what Google's pages say of them."""

import dataclasses

import pytest

from gemini_live.config import DEFAULT_MODEL
from gemini_live.models import (
    MODELS,
    VOICES,
    Behavior,
    EmptyMessages,
    Handles,
    History,
    MidAnswer,
    Modality,
    ModelCapabilities,
    Thinking,
    TypedTurn,
    capabilities_of,
)

SPEAKING = [name for name, row in MODELS.items() if Modality.AUDIO in row.output]


def test_the_models_are_those_of_november_2026() -> None:
    assert set(MODELS) == {
        "gemini-3.8-live",
        "gemini-3.8-live-extended-thinking",
        "gemini-3.1-flash-live-preview",
        "gemini-2.5-flash-native-audio-preview-12-2025",
        "gemini-2.5-flash-native-audio-latest",
        "gemini-robotics-er-2-streaming-preview",
        "gemini-3.5-live-translate-preview",
        "gemini-3.5-transcribe-live",
    }


def test_the_default_model_speaks_searches_and_calls_functions_either_way() -> None:
    row = MODELS[DEFAULT_MODEL]
    assert row.output == (Modality.AUDIO,)
    assert row.typed_turn is TypedTurn.REALTIME_TEXT
    assert row.thinking is Thinking.NONE
    assert row.required_thinking_level is None
    assert set(row.behaviors) == {Behavior.BLOCKING, Behavior.NON_BLOCKING}
    assert row.search
    assert not row.code_execution


def test_extended_thinking_wants_a_level_and_waits_for_nothing() -> None:
    row = MODELS["gemini-3.8-live-extended-thinking"]
    assert (row.thinking, row.required_thinking_level) == (Thinking.LEVEL, "LOW")
    assert row.behaviors == (Behavior.NON_BLOCKING,)
    assert not row.observed.takes_json_schema
    assert row.interaction_status


def test_only_extended_thinking_goes_by_the_interaction_s_status() -> None:
    assert [name for name, row in MODELS.items() if row.interaction_status] == ["gemini-3.8-live-extended-thinking"]


def test_flash_3_1_always_waits_and_is_not_told_so() -> None:
    row = MODELS["gemini-3.1-flash-live-preview"]
    assert row.behaviors == (Behavior.BLOCKING,)
    assert not row.declares_behavior
    assert (row.typed_turn, row.history) == (TypedTurn.REALTIME_TEXT, History.HISTORY_CONFIG)


@pytest.mark.parametrize("name", [name for name in MODELS if "2.5" in name])
def test_2_5_takes_client_content_and_thinks_by_budget(name: str) -> None:
    row = MODELS[name]
    assert (row.typed_turn, row.history) == (TypedTurn.CLIENT_CONTENT, History.CLIENT_CONTENT)
    assert row.thinking is Thinking.BUDGET


@pytest.mark.parametrize("name", ["gemini-robotics-er-2-streaming-preview", "gemini-3.5-transcribe-live"])
def test_models_that_answer_in_text_have_no_voice(name: str) -> None:
    assert MODELS[name].output == (Modality.TEXT,)
    assert not MODELS[name].speech_config


@pytest.mark.parametrize("name", ["gemini-3.5-live-translate-preview", "gemini-3.5-transcribe-live"])
def test_models_for_one_task_take_speech_alone(name: str) -> None:
    row = MODELS[name]
    assert (row.typed_turn, row.history) == (TypedTurn.NOT_SUPPORTED, History.NOT_SUPPORTED)
    assert row.behaviors == ()
    assert not row.search
    assert not row.video_input
    assert row.thinking is Thinking.NONE
    assert row.translates is ("translate" in name)


def test_only_2_5_hears_nothing_while_a_call_is_open() -> None:
    assert [name for name, row in MODELS.items() if not row.hears_during_calls] == [n for n in MODELS if "2.5" in n]


def test_only_the_transcriber_s_answer_is_the_transcript() -> None:
    assert [name for name, row in MODELS.items() if row.transcript_is_answer] == ["gemini-3.5-transcribe-live"]


def test_no_current_model_executes_code() -> None:
    assert not any(row.code_execution for row in MODELS.values())


def test_a_level_is_required_only_where_levels_are_taken() -> None:
    assert all(row.thinking is Thinking.LEVEL for row in MODELS.values() if row.required_thinking_level)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_found_with_and_without_its_collection(name: str) -> None:
    assert capabilities_of(name) is capabilities_of(f"models/{name}") is MODELS[name]


@pytest.mark.parametrize("name", ["gemini-9-live", "", "models/", "tunedModels/x"])
def test_an_unknown_model_is_taken_for_the_default_one(name: str) -> None:
    assert capabilities_of(name) is MODELS[DEFAULT_MODEL]


@pytest.mark.parametrize("text_only", [True, False])
def test_the_modality_is_one_that_the_model_has(text_only: bool) -> None:
    for row in MODELS.values():
        assert row.modality(text_only=text_only) in row.output


def test_a_model_that_has_both_gives_text_where_only_text_is_wanted() -> None:
    both = ModelCapabilities(output=(Modality.AUDIO, Modality.TEXT))
    assert both.modality(text_only=True) is Modality.TEXT
    assert both.modality(text_only=False) is Modality.AUDIO


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODELS[DEFAULT_MODEL].search = False  # type: ignore[misc]


def test_there_are_thirty_voices() -> None:
    assert len(VOICES) == len(set(VOICES)) == 30
    assert list(VOICES) == sorted(VOICES)
    assert "Charon" in VOICES


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        ("3.8-live", ("ends nothing", True, EmptyMessages.BARE, Handles.AT_SETUP, MidAnswer.CUT, "NON_BLOCKING")),
        (
            "3.8-live-extended-thinking",
            ("ends nothing", True, EmptyMessages.BARE, Handles.AT_SETUP, MidAnswer.CUT, "NON_BLOCKING"),
        ),
        (
            "3.1-flash-live-preview",
            ("ends the turn", True, EmptyMessages.CONTENT, Handles.WHILE_RUNNING, MidAnswer.CUT_AND_CANCEL, "BLOCKING"),
        ),
        (
            "2.5-flash-native-audio-latest",
            ("ends the turn", False, EmptyMessages.NONE, Handles.IF_ASKED, MidAnswer.WAIT, "BLOCKING"),
        ),
    ],
)
def test_what_the_service_was_seen_to_do(model: str, facts: tuple[object, ...]) -> None:
    seen = MODELS[f"gemini-{model}"].observed
    assert facts == (
        *(seen.stream_end, seen.transcribes_unasked, seen.empty_messages),
        *(seen.handles, seen.mid_answer, seen.unset_behavior),
    )


def test_unknown_model_is_taken_to_behave_as_the_default_model() -> None:
    assert capabilities_of("gemini-9-live").observed == MODELS[DEFAULT_MODEL].observed
