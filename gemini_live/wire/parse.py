"""Turns one WebSocket message of the server into a tuple of events.

Every field and every part is read on its own, so that none hides another. A field of the wrong type counts as absent
and is reported by `Malformed`: it costs no more than what makes no sense without it (a part, a call, a count).
`ProtocolError` is for a message in which nothing can be understood. Pure; any thread.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..audio import pcm
from ..errors import ProtocolError
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


_DECODER = json.JSONDecoder(parse_constant=refuse_constant)


def parse_server_message(raw: str | bytes) -> tuple[ServerEvent, ...]:
    """Return the events of one WebSocket message, in the order in which they must be applied.

    `Interrupted` comes before the text and audio of the same message, the user's transcript before the model's, and
    the end of a turn after everything except a `ServerError`. A message without content gives no event.

    Raises:
        ProtocolError: Nothing in it can be understood.
    """
    findings = Findings()
    message = JsonObject(_load_object(raw), findings)
    content = message.child_or_empty("serverContent")
    events = list(_read_message(message, content))
    ends = [*_read_end(message, content), *_read_error(message)]
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
        message = _DECODER.decode(raw.decode("utf-8") if isinstance(raw, bytes) else raw)
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


def _read_message(message: JsonObject, content: JsonObject) -> Iterator[ServerEvent]:
    """Yield everything but the end of a turn and errors."""
    if (setup_complete := message.child("setupComplete")) is not None:
        setup_complete.skip("sessionId", "voiceConsentSignature")
        yield SetupComplete()
    if content.flag("interrupted"):
        yield Interrupted()
    yield from _read_voice_activity(message)
    yield from _read_voice_activity(content)
    if (usage := message.child("usageMetadata")) is not None:
        yield _read_usage(usage)
    turn = content.child_or_empty("modelTurn")
    turn.skip("role")
    parts = turn.children("parts")
    yield from _read_content(content, parts)
    calls = [call for part in parts for call in _read_misplaced_calls(part)]
    if (tool_call := message.child("toolCall")) is not None:
        calls += [_read_call(call) for call in tool_call.children("functionCalls")]
    if calls:
        yield ToolCall(tuple(calls))
    if ids := message.child_or_empty("toolCallCancellation").strings("ids"):
        yield ToolCallCancellation(ids)
    if (go_away := message.child("goAway")) is not None:
        yield GoAway(go_away.duration_s("timeLeft"))
    if (update := message.child("sessionResumptionUpdate")) is not None:
        update.skip("lastConsumedClientMessageIndex")
        handle, resumable = update.text("newHandle"), update.flag("resumable")
        yield ResumptionUpdate(handle, resumable and handle != "")


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


def _read_usage(usage: JsonObject) -> Usage:
    # Google's enterprise API for the same service says candidates instead of response.
    candidates = usage.integer("candidatesTokenCount") or 0
    by_candidates = _read_by_modality(usage, "candidatesTokensDetails")
    usage.skip("cacheTokensDetails", "toolUsePromptTokensDetails", "serviceTier", "trafficType")
    return Usage(
        prompt_tokens=usage.integer("promptTokenCount") or 0,
        response_tokens=usage.integer("responseTokenCount") or candidates,
        total_tokens=usage.integer("totalTokenCount") or 0,
        thoughts_tokens=usage.integer("thoughtsTokenCount") or 0,
        tool_use_prompt_tokens=usage.integer("toolUsePromptTokenCount") or 0,
        cached_tokens=usage.integer("cachedContentTokenCount") or 0,
        prompt_by_modality=_read_by_modality(usage, "promptTokensDetails"),
        response_by_modality=_read_by_modality(usage, "responseTokensDetails") or by_candidates,
    )


def _read_by_modality(usage: JsonObject, name: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for detail in usage.children(name):
        modality = detail.text("modality")
        counts[modality] = counts.get(modality, 0) + (detail.integer("tokenCount") or 0)
    return counts


def _read_content(content: JsonObject, parts: Sequence[JsonObject]) -> Iterator[ServerEvent]:
    if text := _read_transcription(content, "inputTranscription"):
        yield InputTranscription(text)
    if text := _read_transcription(content, "interimInputTranscription"):
        yield InterimInputTranscription(text)
    for part in parts:
        yield from _read_part(part)
    if text := _read_transcription(content, "outputTranscription"):
        yield OutputTranscription(text)
    yield from _read_grounding(content)


def _read_transcription(content: JsonObject, name: str) -> str:
    if (transcription := content.child(name)) is None:
        return ""
    transcription.skip("finished", "languageCode", "speakerLabel", "words", "startOffset", "endOffset")
    return transcription.text("text")


def _read_part(part: JsonObject) -> Iterator[ServerEvent]:
    part.skip("thoughtSignature", "partMetadata", "videoMetadata", "audioMetadata", "speechMetadata", "mediaResolution")
    is_thought = part.flag("thought")
    if text := part.text("text"):
        yield Thought(text) if is_thought else ModelText(text)
    if (blob := part.child("inlineData")) is not None:
        yield from _read_audio(blob)
    if (code := part.child("executableCode")) is not None:
        code.skip("id")
        yield ExecutableCode(code.text("language"), code.text("code"))
    if (result := part.child("codeExecutionResult")) is not None:
        result.skip("id")
        yield CodeResult(result.text("outcome"), result.text("output"))


def _read_audio(blob: JsonObject) -> Iterator[ServerEvent]:
    mime_type = blob.text("mimeType")
    blob.skip("displayName")
    if mime_type.partition(";")[0].strip().lower() != "audio/pcm":
        blob.skip("data")
        blob.unknown("mimeType", mime_type or "none")
    elif data := blob.data("data"):
        yield AudioChunk(data, pcm.parse_rate_hz(mime_type, pcm.OUTPUT))


def _read_grounding(content: JsonObject) -> Iterator[ServerEvent]:
    queries: list[str] = []
    sources: list[Source] = []
    if (metadata := content.child("groundingMetadata")) is not None:
        metadata.skip(
            "groundingSupports",
            "searchEntryPoint",
            "retrievalMetadata",
            "googleMapsWidgetContextToken",
            "sourceFlaggingUris",
        )
        for name in ("webSearchQueries", "imageSearchQueries", "retrievalQueries"):
            queries += [query for query in metadata.strings(name) if query]
        sources += [source for chunk in metadata.children("groundingChunks") for source in _read_sources(chunk)]
    for page in content.child_or_empty("urlContextMetadata").children("urlMetadata"):
        uri, status = page.text("retrievedUrl"), page.text("urlRetrievalStatus").removeprefix("URL_RETRIEVAL_STATUS_")
        failed = status not in ("", "UNSPECIFIED", "SUCCESS")
        sources.append(Source(f"not retrieved: {status}" if failed else "", uri))
    known = dict.fromkeys(source for source in sources if source.title or source.uri)
    if queries or known:
        yield Grounding(tuple(dict.fromkeys(queries)), tuple(known))


def _read_sources(chunk: JsonObject) -> Iterator[Source]:
    for kind, uri in (("web", "uri"), ("maps", "uri"), ("retrievedContext", "uri"), ("image", "sourceUri")):
        place = chunk.child(kind)
        if place is not None:
            yield Source(place.text("title"), place.text(uri))
            place.skip(*place.left())


def _read_misplaced_calls(part: JsonObject) -> Iterator[FunctionCall]:
    """Yield a call that is a part of modelTurn. Its place is toolCall; here it would be lost without a word."""
    if (call := part.child("functionCall")) is not None:
        part.unknown("functionCall", "treated as a toolCall")
        yield _read_call(call)


def _read_call(call: JsonObject) -> FunctionCall:
    return FunctionCall(call.text("id"), call.text("name"), call.struct("args"))


def _read_end(message: JsonObject, content: JsonObject) -> Iterator[ServerEvent]:
    if content.flag("waitingForInput"):
        yield WaitingForInput()
    if content.flag("generationComplete"):
        yield GenerationComplete()
    reason = content.text("turnCompleteReason")
    if reason == "TURN_COMPLETE_REASON_UNSPECIFIED":
        reason = ""
    # Seen inside serverContent only (Sep 2026), but Google's page about thinking models shows it beside a toolCall.
    outer_status = _read_status(message)
    status = _read_status(content) or outer_status
    if content.flag("turnComplete"):
        yield TurnComplete(reason or None, status)
        return
    if reason:
        content.unknown("turnCompleteReason", reason)
    if status:
        yield InteractionStatus(status)


def _read_status(object_: JsonObject) -> Status | None:
    name = object_.text("interactionStatus")
    if name not in _STATUSES:
        object_.unknown("interactionStatus", name)
    return _STATUSES.get(name)


def _read_error(message: JsonObject) -> Iterator[ServerEvent]:
    if message.has("error"):
        error = message.child_or_text("error", "message")
    elif message.has("code", "message"):
        error = message
    else:
        return
    if error is not None:
        error.skip("details")
        code, words, status = error.integer("code"), error.text("message"), error.text("status")
        yield ServerError(code, words or status)
