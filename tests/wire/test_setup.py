"""The setup message: what each option adds, what `--setup` makes of it, and every pair of options before two judges."""

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gemini_live.config import Config
from gemini_live.errors import ConfigError
from gemini_live.models import MODELS, Modality
from gemini_live.wire.setup import (
    MAX_SETUP_FILE_BYTES,
    OPTIONAL_FIELDS,
    build_setup,
    merge_patch,
    model_of,
    normalise_keys,
    parse_setup_option,
)
from gemini_live.wire.setup_facts import read_setup
from tests.protos import Message, check_client_message

WEATHER = {
    "name": "get_current_weather",
    "description": "Get the weather.",
    "behavior": "BLOCKING",
    "parametersJsonSchema": {"type": "object", "properties": {"max_days": {"type": "integer"}}},
}
PRINTER = {
    "name": "line_printer",
    "parameters": {"type": "OBJECT", "properties": {"line_text": {"type": "STRING"}}, "required": ["line_text"]},
}


def build(
    config: Config | None = None,
    declarations: tuple[Message, ...] = (),
    *,
    handle: str | None = None,
    seeds_history: bool = False,
    omit: frozenset[str] = frozenset(),
) -> Message:
    message = build_setup(config or Config(), declarations, handle=handle, seeds_history=seeds_history, omit=omit)
    setup: Message = message.pop("setup")
    assert not message
    return setup


def test_the_default_session_asks_for_speech_and_its_words() -> None:
    assert build() == {
        "model": "models/gemini-3.8-live",
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Charon"}}},
        },
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        "sessionResumption": {},
        "contextWindowCompression": {"slidingWindow": {}},
    }


def test_everything_at_once() -> None:
    config = Config(
        model="gemini-3.8-live-extended-thinking",
        voice="Kore",
        system_instruction="Be brief.",
        search=True,
        code_execution=True,
        setup={"generation_config": {"temperature": 0.5, "speech_config": None}, "labels": {"my_key": "x"}},
    )
    assert build(config, (WEATHER, PRINTER), handle="h-1", seeds_history=True) == {
        "model": "models/gemini-3.8-live-extended-thinking",
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "thinkingConfig": {"thinkingLevel": "LOW"},
            "temperature": 0.5,
        },
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"googleSearch": {}}, {"codeExecution": {}}, {"functionDeclarations": [WEATHER, PRINTER]}],
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        "sessionResumption": {"handle": "h-1"},
        "contextWindowCompression": {"slidingWindow": {}},
        "historyConfig": {"initialHistoryInClientContent": True},
        "labels": {"my_key": "x"},
    }


def test_a_bare_session_asks_for_nothing_of_its_own() -> None:
    config = Config(transcription=False, context_compression=False, reconnect=False, system_instruction="")
    assert build(config).keys() == {"model", "generationConfig"}


def test_a_model_that_answers_in_text_gets_no_voice() -> None:
    setup = build(Config(model="gemini-robotics-er-2-streaming-preview", audio_output=True))
    assert setup["generationConfig"] == {"responseModalities": ["TEXT"]}
    assert "inputAudioTranscription" in setup
    assert "outputAudioTranscription" not in setup


def test_text_output_on_a_model_that_only_speaks_asks_for_speech_and_its_words() -> None:
    setup = build(Config(text_output=True))
    assert setup["generationConfig"]["responseModalities"] == ["AUDIO"]
    assert setup["outputAudioTranscription"] == {}


def test_a_translator_is_told_the_language() -> None:
    setup = build(Config(model="gemini-3.5-live-translate-preview"))
    assert setup["generationConfig"]["translationConfig"] == {"targetLanguageCode": "en"}


def test_a_model_without_transcription_is_not_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    row = MODELS["gemini-3.8-live"].__class__(transcription=False)
    monkeypatch.setitem(MODELS, "mute", row)
    assert not {"inputAudioTranscription", "outputAudioTranscription"} & build(Config(model="mute")).keys()


@pytest.mark.parametrize(
    ("model", "announces"),
    [
        ("gemini-3.8-live", True),
        ("gemini-2.5-flash-native-audio-latest", False),
        ("gemini-3.5-transcribe-live", False),
    ],
)
def test_history_is_announced_only_to_models_that_want_that(model: str, announces: bool) -> None:
    assert ("historyConfig" in build(Config(model=model), seeds_history=True)) is announces
    assert "historyConfig" not in build(Config(model=model))


@pytest.mark.parametrize(
    ("model", "name"),
    [("x", "models/x"), ("models/x", "models/x"), ("tunedModels/x", "tunedModels/x")],
)
def test_a_model_is_named_with_its_collection(model: str, name: str) -> None:
    assert build(Config(model=model))["model"] == name


@pytest.mark.parametrize("field", sorted(OPTIONAL_FIELDS))
def test_a_field_that_was_refused_is_left_out_unless_the_user_asks_for_it(field: str) -> None:
    everything = build(seeds_history=True)
    rest = {name: value for name, value in everything.items() if name != field}
    assert everything.keys() - rest.keys() == {field}
    assert build(seeds_history=True, omit=frozenset({field})) == rest
    asked = build(Config(setup={field: {}}), seeds_history=True, omit=frozenset({field}))
    assert asked == rest | {field: {}}


def test_the_user_s_setup_may_be_wrapped_and_snake_cased_and_contain_both() -> None:
    config = Config(setup={"setup": {"system_instruction": {"parts": [{"text": "b"}]}}, "model": "models/y"})
    setup = build(config)
    assert setup["systemInstruction"] == {"parts": [{"text": "b"}]}
    assert setup["model"] == "models/y"
    assert "setup" not in setup


def test_a_patch_replaces_arrays_and_null_deletes() -> None:
    target = {"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": {"f": 1}}
    patch = {"a": {"c": [3], "x": {"y": None, "z": 0}}, "d": None, "e": "g", "h": {}, "absent": None}
    assert merge_patch(target, patch) == {"a": {"b": 1, "c": [3], "x": {"z": 0}}, "e": "g", "h": {}}
    assert target == {"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": {"f": 1}}


@pytest.mark.parametrize("patch", [5, "x", None, [1]])
def test_a_patch_that_is_no_object_replaces_everything(patch: Any) -> None:
    assert merge_patch({"a": 1}, patch) == patch


def test_keys_become_camel_case_but_not_where_they_are_data() -> None:
    value = {
        "realtime_input_config": {"automatic_activity_detection": {"prefix_padding_ms": 20}},
        "tools": [
            {
                "function_declarations": [
                    {
                        "name": "a_b",
                        "parameters": {"properties": {"c_d": {"any_of": [{"max_length": 5}], "default": {"e_f": 1}}}},
                        "parameters_json_schema": {"$defs": {"g_h": {"min_length": 1}}},
                        "response": {"properties": {"i_j": {}}},
                    }
                ]
            }
        ],
        "labels": {"safety_identifier": "x"},
        "_private": {"__a": 1},
    }
    assert normalise_keys(value) == {
        "realtimeInputConfig": {"automaticActivityDetection": {"prefixPaddingMs": 20}},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "a_b",
                        "parameters": {"properties": {"c_d": {"anyOf": [{"maxLength": 5}], "default": {"e_f": 1}}}},
                        "parametersJsonSchema": {"$defs": {"g_h": {"min_length": 1}}},
                        "response": {"properties": {"i_j": {}}},
                    }
                ]
            }
        ],
        "labels": {"safety_identifier": "x"},
        "_private": {"__a": 1},
    }
    assert normalise_keys(normalise_keys(value)) == normalise_keys(value)


def test_the_setup_option_is_json_or_a_file(tmp_path: Path) -> None:
    text = '{"generation_config": {"temperature": 1}}'
    file = tmp_path / "setup é.json"
    file.write_text("\ufeff" + text, encoding="utf-8")
    assert parse_setup_option(text) == parse_setup_option(f"@{file}") == {"generationConfig": {"temperature": 1}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"--setup is not JSON: Expecting value \(line 1, column 1\)"),
        ("{'a': 1}", "--setup is not JSON: "),
        ("[]", "--setup is not a JSON object"),
        ("5", "--setup is not a JSON object"),
        ("null", "--setup is not a JSON object"),
        ('{"setup": []}', "its field setup is not a JSON object"),
        ('{"setup": null}', "its field setup is not a JSON object"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ("[" + "9" * 5000 + "]", "not JSON that a server accepts"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "not JSON that a server accepts"),
        ("@", "--setup @ is a directory"),
        ("@-", "--setup @-: stdin is for questions; name a file"),
        ("@/nonexistent/x.json", "--setup @/nonexistent/x.json: No such file or directory"),
        ("@~nobody-of-that-name/x", "No such file or directory"),
    ],
)
def test_a_bad_setup_option_is_one_line_of_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        parse_setup_option(text)
    assert "\n" not in str(caught.value)


def refusal_of_file(path: Path | str) -> str:
    with pytest.raises(ConfigError) as refused:
        parse_setup_option(f"@{path}")
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(f"--setup @{path}")
    return str(refused.value).removeprefix(f"--setup @{path}")


def test_only_a_file_of_a_bearable_size_is_read(tmp_path: Path) -> None:
    assert MAX_SETUP_FILE_BYTES == 1024 * 1024
    assert refusal_of_file(tmp_path) == " is a directory, not a file"
    largest = tmp_path / "largest.json"
    largest.write_bytes(b'{"a": 1}'.ljust(MAX_SETUP_FILE_BYTES))
    assert parse_setup_option(f"@{largest}") == {"a": 1}
    larger = tmp_path / "larger.json"
    larger.write_bytes(b'{"a": 1}'.ljust(MAX_SETUP_FILE_BYTES + 1))
    assert refusal_of_file(larger) == " is larger than 1 MiB"


@pytest.mark.skipif(sys.platform == "win32", reason="devices are not files there")
def test_a_device_is_refused_and_a_pipe_is_read(tmp_path: Path) -> None:
    assert refusal_of_file("/dev/zero") == " is a device, not a file"
    reader, writer = os.pipe()  # as a shell's @<(...) is
    os.write(writer, b'{"a": 1}')
    os.close(writer)
    try:
        assert parse_setup_option(f"@/dev/fd/{reader}") == {"a": 1}
    finally:
        os.close(reader)


def test_a_setup_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "setup.json"
    file.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match=r"setup\.json is not UTF-8 text"):
        parse_setup_option(f"@{file}")


def test_the_model_that_the_user_s_setup_names_is_known() -> None:
    assert model_of({"setup": {"model": "models/one"}}) == "one"
    assert model_of({"model": "two"}) == "two"
    assert model_of({"model": 5}) is model_of({}) is None


SETUPS: tuple[Message, ...] = (
    {},
    {"generationConfig": {"temperature": 0.5, "maxOutputTokens": 100, "mediaResolution": "MEDIA_RESOLUTION_LOW"}},
    {"realtime_input_config": {"automatic_activity_detection": {"disabled": True, "silence_duration_ms": 600}}},
    {"realtimeInputConfig": {"turnCoverage": "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO"}},
    {"setup": {"proactivity": {"proactive_audio": True}, "labels": {"a_b": "c"}}},
    {"input_audio_transcription": {"language_codes": ["en-US"], "word_timestamp": True}},
    {"tools": [{"urlContext": {}}], "contextWindowCompression": {"triggerTokens": "16000"}},
    {"generation_config": {"thinking_config": {"thinking_level": "HIGH"}, "speech_config": None}},
    dict.fromkeys(OPTIONAL_FIELDS),
)

CHOICES: dict[str, tuple[Any, ...]] = {
    "model": (*MODELS, "models/gemini-3.8-live", "gemini-of-tomorrow"),
    "voice": ("Charon", "Kore", "voice_123"),
    "text_output": (False, True),
    "audio_output": (None, False, True),
    "output_file": (None, Path("x.wav")),
    "system_instruction": (None, "", "Be brief.\né 漢 🎤"),
    "search": (False, True),
    "code_execution": (False, True),
    "transcription": (True, False),
    "context_compression": (True, False),
    "reconnect": (True, False),
    "setup": SETUPS,
    "declarations": ((), (WEATHER,), (PRINTER,), (WEATHER, PRINTER)),
    "handle": (None, "h-1"),
    "seeds_history": (False, True),
    "omit": (frozenset(), *(frozenset({field}) for field in sorted(OPTIONAL_FIELDS)), OPTIONAL_FIELDS),
}
"""Every option that the setup message depends on."""

Row = dict[str, int]
"""For each option the index of its value in `CHOICES`."""


def all_pairs() -> list[Row]:
    """Return rows in which every two values of two options meet at least once; greedy, and the same every time."""
    names = sorted(CHOICES, key=lambda name: (-len(CHOICES[name]), name))
    # A dict, for its order is the same every time.
    missing = dict.fromkeys(
        ((a, i), (b, j))
        for a, b in itertools.combinations(names, 2)
        for i in range(len(CHOICES[a]))
        for j in range(len(CHOICES[b]))
    )
    rows: list[Row] = []
    while missing:
        row = dict(next(iter(missing)))
        for name in names:
            if name not in row:
                row[name] = max(range(len(CHOICES[name])), key=lambda i: n_new(missing, row, name, i))
        for pair in itertools.combinations([(name, row[name]) for name in names], 2):
            missing.pop(pair, None)
        rows.append(row)
    return rows


def n_new(missing: dict[Any, None], row: Row, name: str, index: int) -> int:
    """Return how many missing pairs a value would add to a row."""
    return sum(((name, index), other) in missing or (other, (name, index)) in missing for other in row.items())


def test_google_s_protos_and_types_accept_every_pair_of_options() -> None:
    rows, met = all_pairs(), set()
    assert len(rows) < 200
    for row in rows:
        chosen = {name: CHOICES[name][index] for name, index in row.items()}
        try:
            check_setup(chosen)
        except Exception as error:
            error.add_note(f"with {chosen}")
            raise
        met |= {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}
    for a, b in itertools.combinations(CHOICES, 2):
        for i, j in itertools.product(range(len(CHOICES[a])), range(len(CHOICES[b]))):
            assert frozenset({(a, i), (b, j)}) in met


def check_setup(chosen: dict[str, Any]) -> None:
    """Build the message of some options and check it: by Google's descriptions, and by what must hold of it."""
    arguments = {name: chosen.pop(name) for name in ("declarations", "handle", "seeds_history", "omit")}
    config = Config(**chosen)
    message = build_setup(config, **arguments)
    check_client_message(message)
    assert json.loads(json.dumps(message)) == message
    setup, known, asked = message["setup"], read_setup(message), normalise_keys(config.setup)
    output = MODELS[config.model].output if config.model in MODELS else (Modality.AUDIO,)
    assert known.modality in output
    assert known.resumption is ("sessionResumption" in setup)
    for field in arguments["omit"]:
        assert (field in setup) is (asked.get(field) is not None)
