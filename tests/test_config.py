"""The defaults of a session, in the one place where they are written."""

import dataclasses

import pytest

from gemini_live.config import Color, Config, OutputFormat
from gemini_live.conversation.timings import Timings
from gemini_live.models import MODELS


def test_nothing_need_be_given() -> None:
    config = Config()
    assert config.voice == "Charon"
    assert config.model in MODELS
    assert config.base_url.startswith("https://")
    assert config.output_format is OutputFormat.TEXT
    assert config.color is Color.AUTO
    assert config.function_timeout_s == 60


def test_the_switches_of_the_old_script_keep_their_defaults() -> None:
    config = Config()
    assert not config.text_output
    assert not config.search
    assert not config.code_execution
    assert config.screen_capture_fps is None
    assert config.import_functions == ()
    assert config.initial_message_delay_s == 0


def test_a_switch_whose_explicit_use_matters_starts_as_not_given() -> None:
    config = Config()
    assert config.audio_input is None
    assert config.audio_output is None
    assert config.half_duplex is None
    assert config.api_version is None


def test_what_keeps_a_session_alive_is_on() -> None:
    config = Config()
    assert config.reconnect
    assert config.context_compression
    assert config.transcription
    assert config.stdin


@pytest.mark.parametrize(
    ("audio_output", "text_output", "plays"),
    [
        (None, False, True),
        (None, True, False),
        (True, False, True),
        (True, True, True),
        (False, False, False),
        (False, True, False),
    ],
)
def test_speech_is_played_unless_text_was_asked_for_or_sound_refused(
    audio_output: bool | None, text_output: bool, plays: bool
) -> None:
    assert Config(audio_output=audio_output, text_output=text_output).plays_audio is plays


def test_the_key_is_in_no_repr() -> None:
    config = Config(api_key="AIzaSecret")
    assert "AIzaSecret" not in repr(config)
    assert "AIzaSecret" not in str(dataclasses.replace(config, model="other"))


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().voice = "Puck"  # type: ignore[misc]


def test_settings_are_given_by_name_only() -> None:
    with pytest.raises(TypeError):
        Config("Be brief.")  # type: ignore[call-arg]


def test_two_configs_share_nothing_that_can_be_changed() -> None:
    assert Config().setup is not Config().setup


@pytest.mark.parametrize("enumeration", [OutputFormat, Color])
def test_the_values_of_an_option_are_its_words_on_the_command_line(enumeration: type[OutputFormat | Color]) -> None:
    assert all(member.value == str(member) == member.name.lower() for member in enumeration)


def test_every_wait_is_a_positive_number_of_seconds() -> None:
    waits = dataclasses.asdict(Timings())
    assert all(name.endswith("_s") and wait > 0 for name, wait in waits.items())


def test_the_waits_are_those_that_are_documented() -> None:
    timings = Timings()
    assert timings.missing_turn_complete_s == 5
    assert timings.empty_turn_s == 8
    assert timings.no_answer_s == 15
    assert timings.after_interruption_s == 5
    assert timings.after_call_s == 15
    assert timings.silence_s == 60
    assert timings.after_audio_end_s == 10


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, None),
        ({"base_url": "wss://us-central1-aiplatform.googleapis.com/"}, None),
        ({"base_url": "https://notgoogleapis.com"}, "notgoogleapis.com"),
        ({"base_url": "http://user:secret@Proxy.Example.com:8080/path?key=secret"}, "proxy.example.com"),
        ({"base_url": "http://[::1]:8080"}, "::1"),
        ({"base_url": "http://127.0.0.1:1", "simulate": ""}, "simulator"),
    ],
)
def test_a_server_that_is_not_googles_has_a_name(changes: dict[str, str], name: str | None) -> None:
    assert Config(**changes).server_name == name  # type: ignore[arg-type]
