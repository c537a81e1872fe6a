"""What the client reads back from a setup message: facts, warnings, the field that a server refused."""

from pathlib import Path
from typing import Any

import pytest

from gemini_live.config import Config
from gemini_live.models import MODELS, Modality
from gemini_live.wire.setup import build_setup
from gemini_live.wire.setup_facts import (
    SetupFacts,
    missing_capabilities,
    missing_for_lines,
    read_setup,
    unknown_field,
)


def facts(**setup: Any) -> SetupFacts:
    return read_setup(build_setup(Config(setup=setup), (), handle=None, seeds_history=False))


def test_the_facts_of_the_default_session() -> None:
    assert facts() == SetupFacts(
        voice="Charon",
        tools=(),
        modality=Modality.AUDIO,
        transcribes_input=True,
        transcribes_output=True,
        vad=True,
        resumption=True,
        history_config=False,
        blocking=frozenset(),
    )


def test_the_facts_are_what_the_user_s_setup_makes_of_the_message() -> None:
    changed = facts(
        generation_config={"response_modalities": ["TEXT"], "speech_config": None},
        tools=[
            {"google_search": {}, "url_context": {}},
            {"function_declarations": [{"name": "f", "behavior": "NON_BLOCKING"}]},
        ],
        input_audio_transcription=None,
        output_audio_transcription=None,
        session_resumption=None,
        history_config={"initial_history_in_client_content": True},
        realtime_input_config={
            "automatic_activity_detection": {"disabled": True},
            "activity_handling": "NO_INTERRUPTION",
        },
    )
    assert changed == SetupFacts(
        voice=None,
        tools=("search", "urlContext", "f"),
        modality=Modality.TEXT,
        transcribes_input=False,
        transcribes_output=False,
        vad=False,
        resumption=False,
        history_config=True,
        blocking=frozenset(),
    )


@pytest.mark.parametrize(
    ("model", "behavior", "waits"),
    [
        ("gemini-3.8-live", "BLOCKING", True),
        ("gemini-3.8-live", "NON_BLOCKING", False),
        ("gemini-3.8-live", None, False),
        ("gemini-3.1-flash-live-preview", None, True),
        ("gemini-3.8-live-extended-thinking", None, False),
    ],
)
def test_whether_the_model_waits_for_a_function(model: str, behavior: str | None, waits: bool) -> None:
    declaration = {"name": "f", **({"behavior": behavior} if behavior else {})}
    message = build_setup(Config(model=model), (declaration,), handle=None, seeds_history=False)
    assert read_setup(message).blocking == (frozenset({"f"}) if waits else frozenset())


def test_a_modality_that_is_not_named_is_the_model_s() -> None:
    without = {"responseModalities": None}
    assert facts(generationConfig=without).modality is Modality.AUDIO
    assert facts(generationConfig=without, model="models/gemini-3.5-transcribe-live").modality is Modality.TEXT


@pytest.mark.parametrize("junk", [5, "x", [], ["x", {}], {"responseModalities": 5, "disabled": {}}])
def test_facts_can_be_read_whatever_the_user_merged(junk: Any) -> None:
    fields = ("generationConfig", "model", "realtimeInputConfig", "historyConfig", "sessionResumption")
    assert facts(**dict.fromkeys(fields, junk)).vad


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        (
            "Invalid JSON payload received. Unknown name \"historyConfig\" at 'setup': Cannot find field.",
            "historyConfig",
        ),
        ("Unknown name \"session_resumption\" at 'setup': Cannot find field.", "sessionResumption"),
        ("Unknown name \"slidingWindow\" at 'setup.context_window_compression': Cannot", "contextWindowCompression"),
        ('Unknown name "outputAudioTranscription": Cannot find field.', "outputAudioTranscription"),
        ('Unknown name "input_audio_transcription', "inputAudioTranscription"),
        ("inputAudioTranscription is not supported by this model.", "inputAudioTranscription"),
        ("setup.context_window_compression is not enabled", "contextWindowCompression"),
        ("Unknown name \"inputAudioTranscription\" at 'setup.generation_config': Cannot find field.", None),
        ("Unknown name \"handle\" at 'setup.generation_config': Cannot find field.", None),
        ("Unknown name \"mood\" at 'setup': Cannot find field.", None),
        ("Request contains an invalid argument.", None),
        ("", None),
    ],
)
def test_the_field_that_a_server_refuses_is_found(reason: str, field: str | None) -> None:
    assert unknown_field(reason) == field


def warnings(**options: Any) -> list[str]:
    """Return the warnings about options; with `--import-functions` there is a function."""
    config = Config(**options)
    declarations = [{"name": "f"}] if config.import_functions else []
    message = build_setup(config, declarations, handle=None, seeds_history=False)
    return missing_capabilities(config, read_setup(message))


def test_no_warning_of_a_model_that_has_everything_or_has_no_row() -> None:
    assert warnings(search=True, import_functions=(Path("f.py"),), screen_capture_fps=1.0) == []
    assert warnings(model="gemini-9-live", code_execution=True, voice="Nobody") == []


def test_a_warning_for_each_thing_that_a_model_lacks() -> None:
    assert warnings(
        model="gemini-3.5-transcribe-live",
        search=True,
        code_execution=True,
        import_functions=(Path("f.py"),),
        screen_capture_fps=1.0,
        system_instruction="Be brief.",
        initial_message="hi",
        audio_output=True,
        output_file=Path("x.wav"),
    ) == [
        f"gemini-3.5-transcribe-live probably {what}"
        for what in (
            "does not search (--search)",
            "does not execute code (--code-execution)",
            "does not call functions (--import-functions)",
            "does not see video (--screen-capture-fps)",
            "does not accept --system-instruction",
            "does not accept typed text (--initial-message)",
            "does not speak (--audio-output)",
            "does not speak (--output-file)",
        )
    ]
    assert warnings(voice="Bruce") == ["gemini-3.8-live probably does not have the voice Bruce (--voice)"]


def test_warnings_are_about_what_the_setup_option_leaves() -> None:
    code: dict[str, Any] = {"tools": [{"codeExecution": {}}]}
    voice = {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}
    assert warnings(code_execution=True, setup={"tools": None}) == []
    assert warnings(setup=code) == ["gemini-3.8-live probably does not execute code (--code-execution)"]
    assert warnings(voice="Bruce", setup={"generationConfig": voice}) == []
    assert warnings(voice="Bruce", setup={"generationConfig": {"speechConfig": None}}) == []


@pytest.mark.parametrize("model", [*MODELS, "gemini-9-live"])
def test_a_warning_for_typed_lines_where_a_model_takes_none(model: str) -> None:
    warning = f"{model} probably does not accept typed text (stdin)"
    takes_none = model in {"gemini-3.5-transcribe-live", "gemini-3.5-live-translate-preview"}
    assert missing_for_lines(Config(model=model)) == (warning if takes_none else None)
