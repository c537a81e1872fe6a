"""Turns one WebSocket message of the server into a tuple of events.

Every field and every part is read on its own, so that none hides another. A field of the wrong type counts as absent
and is reported by `Malformed`: it costs no more than what makes no sense without it (a part, a call, a count).
`ProtocolError` is for a message in which nothing can be understood. Pure; any thread.

`_STEPS` says which fields are read in which order; only the fields that are present are looked at. A message that holds
audio and nothing else is recognised before, by `audio_message`. Over 300 lines: one function for each kind of event.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ..audio import pcm
from ..errors import ProtocolError
from .audio_message import read_audio_message
from .events import (
    AudioChunk,
    CodeResult,
    ExecutableCode,
    FunctionCall,
    GenerationComplete,
    GoAway,
    Grounding,
    InputTranscription,
    InteractionStatus,
    InterimInputTranscription,
    Interrupted,
    Malformed,
    ModelText,
    OutputTranscription,
    ResumptionUpdate,
    ServerError,
    ServerEvent,
    SetupComplete,
    Source,
    Status,
    Thought,
    ToolCall,
    ToolCallCancellation,
    TurnComplete,
    Unrecognised,
    Usage,
    VoiceActivity,
    WaitingForInput,
)
from .json_fields import Findings, JsonObject, refuse_constant

_STATUSES: dict[str, Status | None] = {
    "": None,
    "INTERACTION_STATUS_UNSPECIFIED": None,
    "IN_PROGRESS": "IN_PROGRESS",
    "IDLE": "IDLE",
    # The former name of IDLE.
    "REQUIRES_ACTION": "IDLE",
}

_ACTIVITIES = {
    "ACTIVITY_START": True,
    "ACTIVITY_END": False,
    "VAD_SIGNAL_TYPE_SOS": True,
    "VAD_SIGNAL_TYPE_EOS": False,
}


MAX_NAME_CHARS = 1_000
"""The id and name of a call, and the name of a modality: they are kept."""

_DECODER = json.JSONDecoder(parse_constant=refuse_constant)
_WHITE_SPACE = " \t\r\n"


def parse_server_message(raw: str | bytes) -> tuple[ServerEvent, ...]:
    """Return the events of one WebSocket message, in the order in which they must be applied.

    `Interrupted` comes before the text and audio of the same message, the user's transcript before the model's, and
    the end of a turn after everything except a `ServerError`. A message without content gives no event.

    Raises:
        ProtocolError: Nothing in it can be understood.
    """
    if isinstance(raw, bytes) and (chunk := read_audio_message(raw)) is not None:
        return (chunk,)
    findings = Findings()
    message = _Message(_load_object(raw), findings)
    for number in message.steps():
        _STEPS[number].read(message)
    events, ends = message.events, message.ends
    problems, unknown = findings.problems(), findings.unknown()
    if problems and not (events or ends):
        raise ProtocolError("; ".join(problems[:3]))
    if unknown:
        events.append(Unrecognised(unknown))
    if problems:
        events.append(Malformed(problems))
    return (*events, *ends)


def _load_object(raw: str | bytes) -> dict[str, Any]:
    try:
        message = _decode(raw.decode("utf-8") if isinstance(raw, bytes) else raw)
    except UnicodeDecodeError as exc:
        raise ProtocolError("the message is not UTF-8") from exc
    except json.JSONDecodeError as exc:
        raise ProtocolError(f"the message is not JSON: {exc.msg} at character {exc.pos}") from exc
    except ValueError as exc:
        raise ProtocolError(f"the message is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise ProtocolError("the message is nested too deeply") from exc
    if not isinstance(message, dict):
        raise ProtocolError("the message is not a JSON object")
    return message


def _decode(text: str) -> Any:
    """Return the value of JSON text; `decode` of the same class costs more, because it skips white space by a pattern.

    Raises:
        ValueError: It is not JSON.
    """
    value, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip(_WHITE_SPACE)))
    # `decode` says where the value ends.
    return _DECODER.decode(text) if end < len(text) and text[end:].strip(_WHITE_SPACE) else value


class _Message:
    """One message, while it is read, and the events in it."""

    __slots__ = ("calls", "content", "ends", "events", "fields")

    def __init__(self, fields: dict[str, Any], findings: Findings) -> None:
        self.fields = JsonObject(fields, findings)
        self.content = self.fields.child_or_empty("serverContent")
        self.events: list[ServerEvent] = []
        self.ends: list[ServerEvent] = []
        """Events that follow the notes on the message: the end of a turn, and an error."""
        self.calls: list[FunctionCall] = []
        """Calls that came in the wrong place."""

    def steps(self) -> list[int]:
        """Return the numbers of the steps that the fields of this message need, in order."""
        due: list[int] = []
        for name in self.fields.fields:
            due += _IN_MESSAGE.get(name, ())
        for name in self.content.fields:
            due += _IN_CONTENT.get(name, ())
        return sorted(set(due)) if len(due) > 1 else due


def _read_setup_complete(message: _Message) -> None:
    if (setup_complete := message.fields.child("setupComplete")) is not None:
        setup_complete.skip("sessionId", "voiceConsentSignature")
        message.events.append(SetupComplete())


def _read_interrupted(message: _Message) -> None:
    if message.content.flag("interrupted"):
        message.events.append(Interrupted())


def _read_activity(message: _Message) -> None:
    message.events += _read_voice_activity(message.fields)
    message.events += _read_voice_activity(message.content)


def _read_voice_activity(place: JsonObject) -> Iterator[ServerEvent]:
    """Yield the activity in the message itself, where recordings have it, or inside serverContent."""
    # `type` is the name on the wire, `voiceActivityType` the one in Google's SDK.
    for name, types in (
        ("voiceActivity", ("type", "voiceActivityType")),
        ("voiceActivityDetectionSignal", ("vadSignalType",)),
    ):
        if (activity := place.child(name)) is None:
            continue
        offset_s = activity.duration_s("audioOffset")
        for type_ in types:
            kind = activity.text(type_)
            if kind in _ACTIVITIES:
                yield VoiceActivity(_ACTIVITIES[kind], offset_s)
            elif kind and not kind.endswith("UNSPECIFIED"):
                activity.unknown(type_, kind)


_COUNTS = {
    "promptTokenCount": "prompt_tokens",
    "responseTokenCount": "response_tokens",
    "totalTokenCount": "total_tokens",
    "thoughtsTokenCount": "thoughts_tokens",
    "toolUsePromptTokenCount": "tool_use_prompt_tokens",
    "cachedContentTokenCount": "cached_tokens",
}


def _read_usage(message: _Message) -> None:
    if (usage := message.fields.child("usageMetadata")) is None:
        return
    counts = {field: usage.integer(name) or 0 for name, field in _COUNTS.items()}
    prompt_by_modality = _read_by_modality(usage, "promptTokensDetails")
    by_modality = _read_by_modality(usage, "responseTokensDetails")
    # Google's enterprise API for the same service says candidates instead of response.
    candidates = usage.integer("candidatesTokenCount") or 0
    by_candidates = _read_by_modality(usage, "candidatesTokensDetails")
    counts["response_tokens"] = counts["response_tokens"] or candidates
    by_modality = by_modality or by_candidates
    message.events.append(Usage(**counts, prompt_by_modality=prompt_by_modality, response_by_modality=by_modality))
    usage.skip("cacheTokensDetails", "toolUsePromptTokensDetails", "serviceTier", "trafficType")


def _read_by_modality(usage: JsonObject, name: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for detail in usage.children(name):
        modality = detail.text("modality")[:MAX_NAME_CHARS]
        counts[modality] = counts.get(modality, 0) + (detail.integer("tokenCount") or 0)
    return counts


def _read_input_transcription(message: _Message) -> None:
    if text := _read_transcription(message.content, "inputTranscription"):
        message.events.append(InputTranscription(text))


def _read_interim_transcription(message: _Message) -> None:
    if text := _read_transcription(message.content, "interimInputTranscription"):
        message.events.append(InterimInputTranscription(text))


def _read_model_turn(message: _Message) -> None:
    turn = message.content.child_or_empty("modelTurn")
    turn.skip("role")
    for part in turn.children("parts"):
        _read_part(part, message.events)
        if part.fields:
            message.calls += _read_misplaced_calls(part)


def _read_output_transcription(message: _Message) -> None:
    if text := _read_transcription(message.content, "outputTranscription"):
        message.events.append(OutputTranscription(text))


def _read_transcription(content: JsonObject, name: str) -> str:
    if (transcription := content.child(name)) is None:
        return ""
    text = transcription.text("text")
    transcription.skip("finished", "languageCode", "speakerLabel", "words", "startOffset", "endOffset")
    return text


def _read_part(part: JsonObject, events: list[ServerEvent]) -> None:
    fields = part.fields
    is_thought = "thought" in fields and part.flag("thought")
    if "text" in fields and (text := part.text("text")):
        events.append(Thought(text) if is_thought else ModelText(text))
    if "inlineData" in fields and (blob := part.child("inlineData")) is not None:
        _read_audio(blob, events)
    if not fields:
        return
    if (code := part.child("executableCode")) is not None:
        code.skip("id")
        events.append(ExecutableCode(code.text("language"), code.text("code")))
    if (result := part.child("codeExecutionResult")) is not None:
        result.skip("id")
        events.append(CodeResult(result.text("outcome"), result.text("output")))
    part.skip("thoughtSignature", "partMetadata", "videoMetadata", "audioMetadata", "speechMetadata", "mediaResolution")


def _read_audio(blob: JsonObject, events: list[ServerEvent]) -> None:
    mime_type = blob.text("mimeType")
    if mime_type.partition(";")[0].strip().lower() != "audio/pcm":
        blob.skip("data")
        blob.unknown("mimeType", mime_type or "none")
    elif data := blob.data("data"):
        events.append(AudioChunk(data, pcm.parse_rate_hz(mime_type, pcm.OUTPUT)))
    blob.skip("displayName")


def _read_grounding(message: _Message) -> None:
    content = message.content
    queries: list[str] = []
    sources: list[Source] = []
    if (metadata := content.child("groundingMetadata")) is not None:
        for name in ("webSearchQueries", "imageSearchQueries", "retrievalQueries"):
            queries += [query for query in metadata.strings(name) if query]
        for chunk in metadata.children("groundingChunks"):
            sources += _read_sources(chunk)
        metadata.skip(
            "groundingSupports",
            "searchEntryPoint",
            "retrievalMetadata",
            "googleMapsWidgetContextToken",
            "sourceFlaggingUris",
        )
    sources += map(_read_page, content.child_or_empty("urlContextMetadata").children("urlMetadata"))
    known = dict.fromkeys(source for source in sources if source.title or source.uri)
    if queries or known:
        message.events.append(Grounding(tuple(dict.fromkeys(queries)), tuple(known)))


def _read_sources(chunk: JsonObject) -> Iterator[Source]:
    for kind, uri in (("web", "uri"), ("maps", "uri"), ("retrievedContext", "uri"), ("image", "sourceUri")):
        if kind in chunk.fields and (place := chunk.child(kind)) is not None:
            yield Source(place.text("title"), place.text(uri))
            place.fields.clear()  # whatever else it says


def _read_page(page: JsonObject) -> Source:
    uri, status = page.text("retrievedUrl"), page.text("urlRetrievalStatus").removeprefix("URL_RETRIEVAL_STATUS_")
    failed = status not in ("", "UNSPECIFIED", "SUCCESS")
    return Source(f"not retrieved: {status}" if failed else "", uri)


def _read_misplaced_calls(part: JsonObject) -> Iterator[FunctionCall]:
    """Yield a call that is a part of modelTurn. Its place is toolCall; here it would be lost without a word."""
    if (call := part.child("functionCall")) is not None:
        part.unknown("functionCall", "treated as a toolCall")
        yield from _read_call(call)


def _read_call(call: JsonObject) -> Iterator[FunctionCall]:
    """Yield a call, unless its id or name is so long that it can only be meant to fill the memory."""
    call_id, name = call.text("id"), call.text("name")
    if max(len(call_id), len(name)) > MAX_NAME_CHARS:
        call.wrong("id" if len(call_id) > MAX_NAME_CHARS else "name", f"is longer than {MAX_NAME_CHARS:,} characters")
        call.skip("args")
        return
    yield FunctionCall(call_id, name, call.struct("args"))


def _read_calls(message: _Message) -> None:
    if (tool_call := message.fields.child("toolCall")) is not None:
        message.calls += [each for call in tool_call.children("functionCalls") for each in _read_call(call)]
    if message.calls:
        message.events.append(ToolCall(tuple(message.calls)))


def _read_cancellation(message: _Message) -> None:
    if ids := message.fields.child_or_empty("toolCallCancellation").strings("ids"):
        message.events.append(ToolCallCancellation(ids))


def _read_go_away(message: _Message) -> None:
    if (go_away := message.fields.child("goAway")) is not None:
        message.events.append(GoAway(go_away.duration_s("timeLeft")))


def _read_resumption(message: _Message) -> None:
    if (update := message.fields.child("sessionResumptionUpdate")) is not None:
        handle, resumable = update.text("newHandle"), update.flag("resumable")
        update.skip("lastConsumedClientMessageIndex")
        message.events.append(ResumptionUpdate(handle, resumable and handle != ""))


def _read_waiting(message: _Message) -> None:
    if message.content.flag("waitingForInput"):
        message.ends.append(WaitingForInput())


def _read_generation_complete(message: _Message) -> None:
    if message.content.flag("generationComplete"):
        message.ends.append(GenerationComplete())


def _read_end(message: _Message) -> None:
    content = message.content
    reason = content.text("turnCompleteReason")
    if reason == "TURN_COMPLETE_REASON_UNSPECIFIED":
        reason = ""
    # Seen inside serverContent only (Sep 2026), but Google's page about thinking models shows it beside a toolCall.
    outer_status = _read_status(message.fields)
    status = _read_status(content) or outer_status
    if content.flag("turnComplete"):
        message.ends.append(TurnComplete(reason or None, status))
        return
    if reason:
        content.unknown("turnCompleteReason", reason)
    if status:
        message.ends.append(InteractionStatus(status))


def _read_status(object_: JsonObject) -> Status | None:
    name = object_.text("interactionStatus")
    if name not in _STATUSES:
        object_.unknown("interactionStatus", name)
    return _STATUSES.get(name)


def _read_error(message: _Message) -> None:
    fields = message.fields
    if fields.has("error"):
        error = fields.child_or_text("error", "message")
    elif fields.has("code", "message"):
        error = fields
    else:
        return
    if error is not None:
        error.skip("details")
        code, words, status = error.integer("code"), error.text("message"), error.text("status")
        message.ends.append(ServerError(code, words or status))


class _Step(NamedTuple):
    """Reads some fields of a message."""

    read: Callable[[_Message], None]
    in_message: tuple[str, ...] = ()
    """Fields of the message itself, at least one of which must be present."""
    in_content: tuple[str, ...] = ()
    """Or fields of serverContent."""


_ACTIVITY_FIELDS = ("voiceActivity", "voiceActivityDetectionSignal")
_STEPS = (
    _Step(_read_setup_complete, ("setupComplete",)),
    _Step(_read_interrupted, (), ("interrupted",)),
    _Step(_read_activity, _ACTIVITY_FIELDS, _ACTIVITY_FIELDS),
    _Step(_read_usage, ("usageMetadata",)),
    _Step(_read_input_transcription, (), ("inputTranscription",)),
    _Step(_read_interim_transcription, (), ("interimInputTranscription",)),
    _Step(_read_model_turn, (), ("modelTurn",)),
    _Step(_read_output_transcription, (), ("outputTranscription",)),
    _Step(_read_grounding, (), ("groundingMetadata", "urlContextMetadata")),
    _Step(_read_calls, ("toolCall",), ("modelTurn",)),
    _Step(_read_cancellation, ("toolCallCancellation",)),
    _Step(_read_go_away, ("goAway",)),
    _Step(_read_resumption, ("sessionResumptionUpdate",)),
    _Step(_read_waiting, (), ("waitingForInput",)),
    _Step(_read_generation_complete, (), ("generationComplete",)),
    _Step(_read_end, ("interactionStatus",), ("turnComplete", "turnCompleteReason", "interactionStatus")),
    _Step(_read_error, ("error", "code", "message")),
)
"""In the order of the events. Only the steps whose fields are present are taken."""


def _by_name(fields: Iterable[tuple[str, ...]]) -> dict[str, list[int]]:
    """Return the numbers of the steps that read a field, by its name."""
    numbers: dict[str, list[int]] = {}
    for number, names in enumerate(fields):
        for name in names:
            numbers.setdefault(name, []).append(number)
    return numbers


_IN_MESSAGE = _by_name(step.in_message for step in _STEPS)
_IN_CONTENT = _by_name(step.in_content for step in _STEPS)
