"""Builds the first message of a session: what the options ask for, with the user's `--setup` merged over it.

Pure, apart from reading the file that `--setup @FILE` names.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import ConfigError
from ..models import History, Modality, ModelCapabilities, capabilities_of
from .json_fields import refuse_constant

OPTIONAL_FIELDS = frozenset(
    {
        "inputAudioTranscription",
        "outputAudioTranscription",
        "contextWindowCompression",
        "sessionResumption",
        "historyConfig",
    }
)
"""Fields that the client adds itself, and leaves out if a server does not know them."""

MAX_SETUP_FILE_BYTES = 1024 * 1024

# Fields whose content is free-form: its keys are data, not names of fields.
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
# Fields whose keys are data, but whose values are objects of the protocol.
_MAPS = frozenset({"properties", "defs"})

_SNAKE = re.compile(r"(?<=[a-zA-Z0-9])_([a-z0-9])")


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
        config: The user's settings.
        declarations: The declarations of the user's functions, as JSON.
        handle: The handle of the session to resume; `None`: a new session.
        seeds_history: True if the earlier conversation will be sent on this connection.
        omit: Those of `OPTIONAL_FIELDS` that the server has refused.
    """
    row = capabilities_of(config.model)
    # The user may want speech for a file only.
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
    """Return `target` with `patch` merged over it by RFC 7386: null deletes, arrays are replaced."""
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
    """Return a JSON value with snake_case field names in camelCase. Free-form content stays as it is."""
    if isinstance(value, list):
        return [normalise_keys(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    normalised = {}
    for key, item in value.items():
        name = camel_case(key)
        if name in _MAPS and isinstance(item, Mapping):
            normalised[name] = {entry: normalise_keys(content) for entry, content in item.items()}
        else:
            normalised[name] = item if name in _FREE_FORM else normalise_keys(item)
    return normalised


def camel_case(name: str) -> str:
    """Return a snake_case name in camelCase."""
    return _SNAKE.sub(lambda match: match[1].upper(), name)


def _unwrapped(setup: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = setup.get("setup")
    return {**setup, "setup": None, **inner} if isinstance(inner, Mapping) else setup


def parse_setup_option(text: str) -> dict[str, Any]:
    """Return the object of `--setup`, given as JSON or as `@FILE`.

    Raises:
        ConfigError: The file cannot be read, or the text is not a JSON object.
    """
    source = "--setup"
    if text.startswith("@"):
        source = f"--setup {text}"
        text = _read_file(source, Path(os.path.expanduser(text[1:])))
    try:
        setup = normalise_keys(json.loads(text, parse_constant=refuse_constant))
    except json.JSONDecodeError as exc:
        raise ConfigError(f"{source} is not JSON: {exc.msg} (line {exc.lineno}, column {exc.colno})") from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{source} is not JSON that a server accepts: {exc}") from exc
    if not isinstance(setup, dict):
        raise ConfigError(f"{source} is not a JSON object")
    if not isinstance(setup.get("setup", {}), dict):
        raise ConfigError(f"{source}: its field setup is not a JSON object")
    return setup


def _read_file(source: str, path: Path) -> str:
    if str(path) == "-":
        raise ConfigError(f"{source}: stdin is for questions; name a file")
    try:
        if path.is_dir():  # Windows says "permission denied"
            raise ConfigError(f"{source} is a directory, not a file")
        if path.is_char_device() or path.is_block_device():
            raise ConfigError(f"{source} is a device, not a file")
        with path.open("rb") as file:  # perhaps a pipe: its size is not known before
            content = file.read(MAX_SETUP_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"{source}: {exc.strerror}") from exc
    if len(content) > MAX_SETUP_FILE_BYTES:
        raise ConfigError(f"{source} is larger than {MAX_SETUP_FILE_BYTES >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{source} is not UTF-8 text") from exc


def model_of(setup: Mapping[str, Any]) -> str | None:
    """Return the model that the value of `--setup` names, or `None`."""
    model = _unwrapped(setup).get("model")
    return model.removeprefix("models/") if isinstance(model, str) else None
