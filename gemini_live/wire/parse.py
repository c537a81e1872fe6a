"""What the server says, as events: `parse_server_message` turns one WebSocket message into a tuple of them.

Every field and every part is read for itself, so that nothing hides anything else. A field of the wrong type is taken
for absent and reported by `Malformed`: a bad leaf costs no more than what cannot be understood without it (a part, a
call, a count). `ProtocolError` is left for a message of which nothing can be understood. Pure; any thread.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from ..audio import pcm
from ..errors import ProtocolError
from .json_fields import Findings, JsonObject

Status = Literal["IDLE", "IN_PROGRESS"]


@dataclass(frozen=True, slots=True)
class SetupComplete:
    """The session is open."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The model was cut off: what is queued for playing is to be dropped."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of the model's speech."""

    pcm: bytes
    """16-bit little-endian mono; a sample may be split between two chunks."""
    rate_hz: int


@dataclass(frozen=True, slots=True)
class ModelText:
    """A piece of an answer in words."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of the model's thinking, not part of its answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ExecutableCode:
    """A program that the model wrote and the server runs."""

    language: str
    code: str


@dataclass(frozen=True, slots=True)
class CodeResult:
    """What the server got by running the model's program."""

    outcome: str
    """`OUTCOME_OK`, `OUTCOME_FAILED` or `OUTCOME_DEADLINE_EXCEEDED`."""
    output: str


@dataclass(frozen=True, slots=True)
class InputTranscription:
    """More words that the server heard the user say: to be appended."""

    text: str


@dataclass(frozen=True, slots=True)
class InterimInputTranscription:
    """What the server thinks the user is saying: replaces the one before."""

    text: str


@dataclass(frozen=True, slots=True)
class OutputTranscription:
    """More words of what the model says aloud: to be appended."""

    text: str
    finished: bool
    """Often never sent."""


@dataclass(frozen=True, slots=True)
class Source:
    """A page or a document that an answer rests on; either field may be empty."""

    title: str
    uri: str


@dataclass(frozen=True, slots=True)
class Grounding:
    """What was searched for, and what an answer rests on."""

    queries: tuple[str, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class GenerationComplete:
    """The model has produced its answer; it may still have to be played."""


@dataclass(frozen=True, slots=True)
class TurnComplete:
    """The model's turn is over."""

    reason: str | None
    """Why it ended, where it ended badly: `MALFORMED_FUNCTION_CALL`, `PROHIBITED_INPUT_CONTENT` and so on."""
    status: Status | None
    """IN_PROGRESS: this turn was only a part of the answer. `None`: the server did not say, and the turn is all."""


@dataclass(frozen=True, slots=True)
class InteractionStatus:
    """A status that came without the end of a turn."""

    status: Status


@dataclass(frozen=True, slots=True)
class WaitingForInput:
    """The model expects the user to go on."""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call that the model wants made."""

    id: str
    """Empty where the server gave none."""
    name: str
    args: dict[str, Any] | None
    """`None`: they are not an object, or one that cannot be handled."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Calls that the model wants made."""

    calls: tuple[FunctionCall, ...]


@dataclass(frozen=True, slots=True)
class ToolCallCancellation:
    """Calls that the model no longer wants: they must not be answered."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GoAway:
    """The server will end this connection."""

    time_left_s: float | None


@dataclass(frozen=True, slots=True)
class ResumptionUpdate:
    """A handle with which the session can be gone on with on another connection."""

    handle: str
    resumable: bool
    """Whether it can be now: not while the model speaks or waits for a call; the handle is empty then."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a turn took; the prompt is the whole context again."""

    prompt_tokens: int = 0
    response_tokens: int = 0
    total_tokens: int = 0
    thoughts_tokens: int = 0
    tool_use_prompt_tokens: int = 0
    cached_tokens: int = 0
    prompt_by_modality: dict[str, int] = field(default_factory=dict)
    response_by_modality: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """The server heard the user begin or end to speak."""

    started: bool
    offset_s: float | None
    """Where in the audio sent, in seconds."""


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error as a message; it ends the session."""

    code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Fields, values and media that this program does not know, or has no use for."""

    keys: tuple[str, ...]
    """Dotted paths without indices; a value or a media type in brackets where that is what is unknown."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """What could not be understood of a message that was understood otherwise."""

    problems: tuple[str, ...]
    """One line each."""


ServerEvent = (
    SetupComplete
    | Interrupted
    | AudioChunk
    | ModelText
    | Thought
    | ExecutableCode
    | CodeResult
    | InputTranscription
    | InterimInputTranscription
    | OutputTranscription
    | Grounding
    | GenerationComplete
    | TurnComplete
    | InteractionStatus
    | WaitingForInput
    | ToolCall
    | ToolCallCancellation
    | GoAway
    | ResumptionUpdate
    | Usage
    | VoiceActivity
    | ServerError
    | Unrecognised
    | Malformed
)


_STATUSES: dict[str, Status | None] = {
    "": None,
    "INTERACTION_STATUS_UNSPECIFIED": None,
    "IN_PROGRESS": "IN_PROGRESS",
    "IDLE": "IDLE",
    # The old name of IDLE.
    "REQUIRES_ACTION": "IDLE",
}

_ACTIVITIES = {
    "ACTIVITY_START": True,
    "ACTIVITY_END": False,
    "VAD_SIGNAL_TYPE_SOS": True,
    "VAD_SIGNAL_TYPE_EOS": False,
}


def parse_server_message(raw: str | bytes) -> tuple[ServerEvent, ...]:
    """Return the events of one WebSocket message, in the order in which they are to be applied.

    `Interrupted` comes before the words and sounds of the same message, the user's words before the model's,
    `TurnComplete` after everything but a `ServerError`. A message that says nothing gives no event.

    Raises:
        ProtocolError: nothing in it can be understood.
    """
    findings = Findings()
    events = list(_read_message(JsonObject(_load_object(raw), findings)))
    problems, unknown = findings.problems(), findings.unknown()
    if problems and not events:
        raise ProtocolError("; ".join(problems[:3]))
    notes: list[ServerEvent] = []
    if unknown:
        notes.append(Unrecognised(unknown))
    if problems:
        notes.append(Malformed(problems))
    end = next((i for i, event in enumerate(events) if isinstance(event, TurnComplete | ServerError)), len(events))
    return (*events[:end], *notes, *events[end:])


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


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


def _read_message(message: JsonObject) -> Iterator[ServerEvent]:
    setup_complete = message.child("setupComplete")
    if setup_complete is not None:
        setup_complete.skip("sessionId", "voiceConsentSignature")
        yield SetupComplete()
    content = message.child_or_empty("serverContent")
    if content.flag("interrupted"):
        yield Interrupted()
    yield from _read_voice_activity(message)
    usage = message.child("usageMetadata")
    if usage is not None:
        yield _read_usage(usage)
    yield from _read_content(content)
    yield from _read_tool_calls(message)
    yield from _read_connection(message)
    yield from _read_end(message, content)
    yield from _read_error(message)


def _read_voice_activity(message: JsonObject) -> Iterator[ServerEvent]:
    activity = message.child_or_empty("voiceActivity")
    signal = message.child_or_empty("voiceActivityDetectionSignal")
    offset_s = activity.duration_s("audioOffset")
    # `type` is the name on the wire, `voiceActivityType` the one in Google's SDK.
    for object_, name in ((activity, "type"), (activity, "voiceActivityType"), (signal, "vadSignalType")):
        kind = object_.text(name)
        if kind in _ACTIVITIES:
            yield VoiceActivity(_ACTIVITIES[kind], offset_s if object_ is activity else None)
        elif kind and not kind.endswith("UNSPECIFIED"):
            object_.unknown(name, kind)


def _read_usage(usage: JsonObject) -> Usage:
    # The fields of Google's other API for the same service: they say candidate where this one says response.
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


def _read_content(content: JsonObject) -> Iterator[ServerEvent]:
    if text := _read_transcription(content.child_or_empty("inputTranscription"))[0]:
        yield InputTranscription(text)
    if text := _read_transcription(content.child_or_empty("interimInputTranscription"))[0]:
        yield InterimInputTranscription(text)
    turn = content.child_or_empty("modelTurn")
    turn.skip("role")
    for part in turn.children("parts"):
        yield from _read_part(part)
    text, finished = _read_transcription(content.child_or_empty("outputTranscription"))
    if text or finished:
        yield OutputTranscription(text, finished)
    yield from _read_grounding(content)


def _read_transcription(transcription: JsonObject) -> tuple[str, bool]:
    transcription.skip("languageCode", "speakerLabel", "words", "startOffset", "endOffset")
    return transcription.text("text"), transcription.flag("finished")


def _read_part(part: JsonObject) -> Iterator[ServerEvent]:
    part.skip("thoughtSignature", "partMetadata", "videoMetadata", "audioMetadata", "speechMetadata", "mediaResolution")
    is_thought = part.flag("thought")
    if text := part.text("text"):
        yield Thought(text) if is_thought else ModelText(text)
    blob = part.child("inlineData")
    if blob is not None:
        yield from _read_audio(blob)
    code = part.child("executableCode")
    if code is not None:
        code.skip("id")
        yield ExecutableCode(code.text("language"), code.text("code"))
    result = part.child("codeExecutionResult")
    if result is not None:
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
    metadata = content.child_or_empty("groundingMetadata")
    metadata.skip(
        "groundingSupports",
        "searchEntryPoint",
        "retrievalMetadata",
        "googleMapsWidgetContextToken",
        "sourceFlaggingUris",
    )
    queries = [
        query
        for name in ("webSearchQueries", "imageSearchQueries", "retrievalQueries")
        for query in metadata.strings(name)
        if query
    ]
    sources = [source for chunk in metadata.children("groundingChunks") for source in _read_sources(chunk)]
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


def _read_tool_calls(message: JsonObject) -> Iterator[ServerEvent]:
    calls = message.child_or_empty("toolCall").children("functionCalls")
    if made := [FunctionCall(call.text("id"), call.text("name"), call.struct("args")) for call in calls]:
        yield ToolCall(tuple(made))
    if ids := message.child_or_empty("toolCallCancellation").strings("ids"):
        yield ToolCallCancellation(ids)


def _read_connection(message: JsonObject) -> Iterator[ServerEvent]:
    go_away = message.child("goAway")
    if go_away is not None:
        yield GoAway(go_away.duration_s("timeLeft"))
    update = message.child("sessionResumptionUpdate")
    if update is not None:
        update.skip("lastConsumedClientMessageIndex")
        handle, resumable = update.text("newHandle"), update.flag("resumable")
        yield ResumptionUpdate(handle, resumable and handle != "")


def _read_end(message: JsonObject, content: JsonObject) -> Iterator[ServerEvent]:
    if content.flag("waitingForInput"):
        yield WaitingForInput()
    if content.flag("generationComplete"):
        yield GenerationComplete()
    reason = content.text("turnCompleteReason")
    if reason == "TURN_COMPLETE_REASON_UNSPECIFIED":
        reason = ""
    # Google's page about thinking models shows the status beside a toolCall, outside serverContent.
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
