"""Reads a setup message back: what the client acts on, whatever the user's `--setup` has changed.

Also the warnings about options that the model lacks, and the field of ours that a refusing server did not know. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import Config
from ..frozen import Frozen
from ..models import MODELS, VOICES, Behavior, Modality, ModelCapabilities, TypedTurn, capabilities_of
from .setup import OPTIONAL_FIELDS, camel_case

_TOOL_NAMES = {"googleSearch": "search", "codeExecution": "code"}

_UNKNOWN_NAME = re.compile(r"""unknown name ["']([^"']*)["']?(?: at ["']([^"']*))?""", re.IGNORECASE)
_WORD = re.compile(r"\w+", re.ASCII)


class SetupFacts(Frozen, kw_only=True):
    """What a setup message asks for, as far as the client acts on it."""

    voice: str | None
    """`None`: the message names none."""
    tools: tuple[str, ...]
    """The tools of the model: `search`, `code`, other built-in ones, and the names of functions."""
    modality: Modality
    transcribes_input: bool
    transcribes_output: bool
    vad: bool
    """True if the server detects the end of speech itself."""
    resumption: bool
    """True if the session can be resumed: with sessionResumption deleted, a handle would be of no effect."""
    history_config: bool
    """True if the server expects the history before anything else."""
    blocking: frozenset[str]
    """The functions that the model waits for. Something always follows their results."""


def read_setup(message: Mapping[str, Any]) -> SetupFacts:
    """Return the facts of a setup message, whatever the user has merged into it."""
    setup = message["setup"]
    modalities = _at(setup, "generationConfig", "responseModalities")
    row = capabilities_of(str(setup.get("model")))
    wanted = [output for output in Modality if isinstance(modalities, list) and output.value in modalities]
    voice = _at(setup, "generationConfig", "speechConfig", "voiceConfig", "prebuiltVoiceConfig", "voiceName")
    return SetupFacts(
        voice=voice if isinstance(voice, str) else None,
        tools=tuple(_tool_names(setup)),
        modality=(wanted or row.output)[0],
        transcribes_input="inputAudioTranscription" in setup,
        transcribes_output="outputAudioTranscription" in setup,
        vad=_at(setup, "realtimeInputConfig", "automaticActivityDetection", "disabled") is not True,
        resumption="sessionResumption" in setup,
        history_config=_at(setup, "historyConfig", "initialHistoryInClientContent") is True,
        blocking=frozenset(_blocking_functions(setup, row)),
    )


def lacks_words(config: Config, facts: SetupFacts) -> bool:
    """Return True if the user wants text, and the setup gives only speech without a transcript."""
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
    """Return the one of `OPTIONAL_FIELDS` that a refusal names, or `None`."""
    match = _UNKNOWN_NAME.search(reason)
    words = _WORD.findall(reason)
    if match is not None:
        # The place decides: the same name in another place is the user's own field.
        words = f"{match[2] or 'setup'}.{match[1]}".split(".")[1:2]
    return next((name for name in map(camel_case, words) if name in OPTIONAL_FIELDS), None)


def missing_for_lines(config: Config) -> str | None:
    """Return the warning for typed or piped text if the model is not known to accept it."""
    if capabilities_of(config.model).typed_turn is not TypedTurn.NOT_SUPPORTED:
        return None
    return f"{config.model} probably does not accept typed text (stdin)"


def missing_capabilities(config: Config, facts: SetupFacts) -> list[str]:
    """Return a warning for each thing asked for that the model probably lacks. Of a model without a row, none is known.

    Args:
        config: The user's settings.
        facts: What the setup message asks for, with `--setup` merged.
    """
    row = MODELS.get(config.model.removeprefix("models/"))
    if row is None:
        return []
    is_mute = Modality.AUDIO not in row.output
    no_typed_text = row.typed_turn is TypedTurn.NOT_SUPPORTED
    no_voice = row.speech_config and facts.voice is not None and facts.voice not in VOICES
    lacks = (
        ("search" in facts.tools and not row.search, "does not search (--search)"),
        ("code" in facts.tools and not row.code_execution, "does not execute code (--code-execution)"),
        (bool(config.import_functions) and not row.behaviors, "does not call functions (--import-functions)"),
        (config.screen_capture_fps is not None and not row.video_input, "does not see video (--screen-capture-fps)"),
        (bool(config.image) and not row.video_input, "does not see pictures (--image)"),
        (bool(config.system_instruction) and not row.system_instruction, "does not accept --system-instruction"),
        (config.initial_message is not None and no_typed_text, "does not accept typed text (--initial-message)"),
        (config.audio_output is True and is_mute, "does not speak (--audio-output)"),
        (config.output_file is not None and is_mute, "does not speak (--output-file)"),
        (no_voice, f"does not have the voice {facts.voice} (--voice)"),
    )
    return [f"{config.model} probably {what}" for is_missing, what in lacks if is_missing]
