"""The first message of a session: what is asked for, what the user's `--setup` makes of it, and what came out.

Also what to say before connecting about options that the model's row in `models.py` says it lacks, and which field of
ours a server that refuses did not know. Pure, but for reading the file that `--setup @FILE` names.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..config import Config
from ..errors import ConfigError
from ..models import MODELS, VOICES, Behavior, History, Modality, ModelCapabilities, TypedTurn, capabilities_of

OPTIONAL_FIELDS = frozenset(
    {
        "inputAudioTranscription",
        "outputAudioTranscription",
        "contextWindowCompression",
        "sessionResumption",
        "historyConfig",
    }
)
"""Fields that the client adds on its own, and can do without where a server does not know them."""

# Whose content is the user's own, so that its keys are data and not names of fields.
_FREE_FORM = frozenset(
    {
        "args",
        "response",
        "labels",
        "parametersJsonSchema",
        "responseJsonSchema",
        "partMetadata",
        "default",
        "example",
    }
)
# Whose keys are the user's own, but not what is under them.
_MAPS = frozenset({"properties", "defs"})

_TOOL_NAMES = {"googleSearch": "search", "codeExecution": "code"}

_SNAKE = re.compile(r"(?<=[a-zA-Z0-9])_([a-z0-9])")
_UNKNOWN_NAME = re.compile(r"""unknown name ["']([^"']*)["']?(?: at ["']([^"']*))?""", re.IGNORECASE)
_WORD = re.compile(r"\w+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class SetupFacts:
    """What a setup message asks for, as far as the client acts on it."""

    voice: str | None
    """`None`: none is named."""
    tools: tuple[str, ...]
    """What the model is given to use: `search`, `code`, the names of functions."""
    modality: Modality
    transcribes_output: bool
    transcribes_input: bool
    vad: bool
    """Whether the server finds the ends of speech itself."""
    resumption: bool
    history_config: bool
    """Whether the server waits for history before anything else."""
    no_interruption: bool
    """Whether the model goes on speaking when the user speaks."""
    blocking: frozenset[str]
    """The functions that the model waits for, so that something always follows their results."""


def build_setup(
    config: Config,
    declarations: Sequence[dict[str, Any]],
    *,
    handle: str | None,
    seeds_history: bool,
    omit: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return the setup message of one connection, with `config.setup` merged over it.

    Args:
        declarations: of the user's functions, as JSON.
        handle: of the session to go on with.
        seeds_history: whether the earlier conversation will be given on this connection.
        omit: of `OPTIONAL_FIELDS`, those that the server has refused.
    """
    row = capabilities_of(config.model)
    # Sound that goes into a file is wanted as much as sound that is played.
    wants_sound = config.plays_audio or config.output_file is not None
    modality = row.modality(text_only=config.text_output and not wants_sound)
    setup: dict[str, Any] = {
        "model": config.model if "/" in config.model else f"models/{config.model}",
        "generationConfig": _generation_config(row, modality, config.voice),
    }
    if config.system_instruction:
        setup["systemInstruction"] = {"parts": [{"text": config.system_instruction}]}
    if tools := _tools(config, declarations):
        setup["tools"] = tools
    setup |= _transcription(row, modality) if config.transcription else {}
    setup |= _continuity(config, handle)
    if config.push_to_talk:
        setup["realtimeInputConfig"] = {"automaticActivityDetection": {"disabled": True}}
    if seeds_history and row.history is History.HISTORY_CONFIG:
        setup["historyConfig"] = {"initialHistoryInClientContent": True}
    setup = {name: value for name, value in setup.items() if name not in omit}
    return {"setup": merge_patch(setup, _unwrapped(normalise_keys(config.setup)))}


def _generation_config(row: ModelCapabilities, modality: Modality, voice: str) -> dict[str, Any]:
    generation: dict[str, Any] = {"responseModalities": [modality.value]}
    if row.speech_config and modality is Modality.AUDIO:
        generation["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
    if row.required_thinking_level is not None:
        generation["thinkingConfig"] = {"thinkingLevel": row.required_thinking_level}
    if row.translates:
        generation["translationConfig"] = {"targetLanguageCode": "en"}
    return generation


def _tools(config: Config, declarations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = []
    if config.search:
        tools.append({"googleSearch": {}})
    if config.code_execution:
        tools.append({"codeExecution": {}})
    if declarations:
        tools.append({"functionDeclarations": list(declarations)})
    return tools


def _transcription(row: ModelCapabilities, modality: Modality) -> dict[str, Any]:
    if not row.transcription:
        return {}
    heard: dict[str, Any] = {"inputAudioTranscription": {}}
    return heard | {"outputAudioTranscription": {}} if modality is Modality.AUDIO else heard


def _continuity(config: Config, handle: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if handle is not None:
        fields["sessionResumption"] = {"handle": handle}
    elif config.reconnect:
        fields["sessionResumption"] = {}
    if config.context_compression:
        fields["contextWindowCompression"] = {"slidingWindow": {}}
    return fields


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with `patch` merged over it as RFC 7386 says: null deletes, and arrays are replaced."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def normalise_keys(value: Any) -> Any:
    """Return a JSON value with its snake_case field names in camelCase, what is free-form in it left alone."""
    if isinstance(value, list):
        return [normalise_keys(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    normalised = {}
    for key, item in value.items():
        name = _camel_case(key)
        if name in _MAPS and isinstance(item, Mapping):
            normalised[name] = {entry: normalise_keys(content) for entry, content in item.items()}
        else:
            normalised[name] = item if name in _FREE_FORM else normalise_keys(item)
    return normalised


def _camel_case(name: str) -> str:
    return _SNAKE.sub(lambda match: match[1].upper(), name)


def _unwrapped(setup: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = setup.get("setup")
    return {**setup, "setup": None, **inner} if isinstance(inner, Mapping) else setup


def parse_setup_option(text: str) -> dict[str, Any]:
    """Return the object that `--setup` gives, as JSON or as `@FILE`.

    Raises:
        ConfigError: the file cannot be read, or it is not JSON, or not an object.
    """
    source = f"--setup {text}" if text.startswith("@") else "--setup"
    if text.startswith("@"):
        try:
            text = Path(os.path.expanduser(text[1:])).read_text(encoding="utf-8-sig")
        except OSError as exc:
            raise ConfigError(f"{source}: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{source} is not UTF-8 text") from exc
    try:
        setup = normalise_keys(json.loads(text, parse_constant=_refuse_constant))
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{source} is not JSON: {exc.msg} (line {exc.lineno}, column {exc.colno})") from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{source} is not JSON that a server would take: {exc}") from exc
    if not isinstance(setup, dict):
        raise ConfigError(f"{source} is not a JSON object")
    if not isinstance(setup.get("setup", {}), dict):
        raise ConfigError(f"{source}: its field setup is not a JSON object")
    return setup


def model_of(setup: Mapping[str, Any]) -> str | None:
    """Return the model that the value of `--setup` names, if it does."""
    model = _unwrapped(setup).get("model")
    return model.removeprefix("models/") if isinstance(model, str) else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def read_setup(message: Mapping[str, Any]) -> SetupFacts:
    """Return what a setup message asks for, whatever the user has merged into it."""
    setup = message["setup"]
    modalities = _at(setup, "generationConfig", "responseModalities")
    row = capabilities_of(str(setup.get("model")))
    wanted = [output for output in Modality if isinstance(modalities, list) and output.value in modalities]
    voice = _at(setup, "generationConfig", "speechConfig", "voiceConfig", "prebuiltVoiceConfig", "voiceName")
    return SetupFacts(
        voice=voice if isinstance(voice, str) else None,
        tools=tuple(_tool_names(setup)),
        modality=(wanted or row.output)[0],
        transcribes_output="outputAudioTranscription" in setup,
        transcribes_input="inputAudioTranscription" in setup,
        vad=_at(setup, "realtimeInputConfig", "automaticActivityDetection", "disabled") is not True,
        resumption="sessionResumption" in setup,
        history_config=_at(setup, "historyConfig", "initialHistoryInClientContent") is True,
        no_interruption=_at(setup, "realtimeInputConfig", "activityHandling") == "NO_INTERRUPTION",
        blocking=frozenset(_blocking_functions(setup, row)),
    )


def lacks_words(config: Config, facts: SetupFacts) -> bool:
    """Whether words are what the user wants, and a setup brings none: speech that nobody writes down."""
    return config.text_output and facts.modality is Modality.AUDIO and not facts.transcribes_output


def _tool_names(setup: Mapping[str, Any]) -> Iterator[str]:
    for tool in _list_at(setup, "tools"):
        for kind in tool if isinstance(tool, Mapping) else ():
            if kind != "functionDeclarations":
                yield _TOOL_NAMES.get(kind, str(kind))
        yield from (str(_at(declaration, "name")) for declaration in _list_at(tool, "functionDeclarations"))


def _blocking_functions(setup: Mapping[str, Any], row: ModelCapabilities) -> Iterator[str]:
    default = Behavior.NON_BLOCKING if Behavior.NON_BLOCKING in row.behaviors else Behavior.BLOCKING
    for tool in _list_at(setup, "tools"):
        for declaration in _list_at(tool, "functionDeclarations"):
            if (_at(declaration, "behavior") or default) == Behavior.BLOCKING:
                yield str(_at(declaration, "name"))


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _list_at(value: Any, name: str) -> list[Any]:
    items = _at(value, name)
    return items if isinstance(items, list) else []


def unknown_field(reason: str) -> str | None:
    """Return which of `OPTIONAL_FIELDS` the server's words of refusal name, if they name one."""
    match = _UNKNOWN_NAME.search(reason)
    words = _WORD.findall(reason)
    if match is not None:
        # The place decides: the same name in another place is a field that the user has put there.
        words = f"{match[2] or 'setup'}.{match[1]}".split(".")[1:2]
    return next((name for name in map(_camel_case, words) if name in OPTIONAL_FIELDS), None)


def missing_for_lines(config: Config) -> str | None:
    """Return the line to show when something is typed or piped that the model's row says it does not take."""
    if capabilities_of(config.model).typed_turn is not TypedTurn.NOT_SUPPORTED:
        return None
    return f"as far as is known, {config.model} takes no typed words (stdin)"


def missing_capabilities(config: Config) -> list[str]:
    """Return a line for each option that the model's row says it lacks; nothing is known of a model without a row."""
    row = MODELS.get(config.model.removeprefix("models/"))
    if row is None:
        return []
    is_mute = Modality.AUDIO not in row.output
    takes_no_words = row.typed_turn is TypedTurn.NOT_SUPPORTED
    lacks = (
        (config.search and not row.search, "does not search (--search)"),
        (config.code_execution and not row.code_execution, "does not execute code (--code-execution)"),
        (bool(config.import_functions) and not row.behaviors, "calls no functions (--import-functions)"),
        (config.screen_capture_fps is not None and not row.video_input, "sees no screen (--screen-capture-fps)"),
        (bool(config.system_instruction) and not row.system_instruction, "takes no --system-instruction"),
        (config.initial_message is not None and takes_no_words, "takes no typed words (--initial-message)"),
        (config.audio_output is True and is_mute, "does not speak (--audio-output)"),
        (config.output_file is not None and is_mute, "does not speak (--output-file)"),
        (row.speech_config and config.voice not in VOICES, f"has no voice {config.voice} (--voice)"),
    )
    return [f"as far as is known, {config.model} {what}" for is_missing, what in lacks if is_missing]
