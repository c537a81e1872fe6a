"""Find the turns of a recorded session, and measure them. Pure.

The recording may come from our client, a simulator or a proxy before any client, so that only the wire is sure to be
there. A turn begins with what the user says or types, and ends where the next one begins; output that nobody asked for
after its end (the answer to a function's result) belongs to it. It is longer than 300 lines because it knows every
message.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

from ..audio.voice_detector import SpeechStarted, VoiceDetector, VoiceSettings
from ..recording.format import Closed, Connected, Entry, Local, Message
from ..recording.read import Recording
from .fields import (
    count_of,
    duration_of,
    field,
    format_of,
    is_sound,
    items_of,
    mime_type_of,
    model_media,
    pcm_of,
    text_of,
    user_media,
)
from .playback import Playback, merge, overlap_s, spans_of
from .session import Call, Connection, Ending, Mark, Origin, Session, Sound, Tokens, Turn

PAUSE_S = 0.2
"""Quiet that ends the user's speech, as for the client's own detector."""
_IN_PROGRESS = "IN_PROGRESS"


def analyse(recording: Recording) -> Session:
    """Return what a recorded session was."""
    return _Analysis(recording).run()


def lacks_speech_events(recording: Recording) -> bool:
    """Return True if nothing but the sound tells when the user spoke."""
    return not any(
        isinstance(entry, Local) and entry.event in {"speech_began", "speech_ended"} for entry in recording.entries
    )


def _find_speech(recording: Recording) -> Iterator[Local]:
    """Yield when the user began and stopped speaking, as a client's recording tells it, found in the recorded sound."""
    detector = VoiceDetector(VoiceSettings(silence_s=PAUSE_S), keeps_pcm=False)
    for entry in recording.entries:
        if not isinstance(entry, Message) or entry.sender != "client":
            continue
        for media in filter(is_sound, user_media(entry.message)):
            if not media["data"]:
                return
            for event in detector.feed(pcm_of(media), format_of(media, is_users=True).rate_hz):
                is_start = isinstance(event, SpeechStarted)
                then_s = event.offset_s if isinstance(event, SpeechStarted) else event.end_s
                name = "speech_began" if is_start else "speech_ended"
                yield Local(entry.t_s, entry.line, name, {"ago_s": detector.heard_s - then_s})


class _Analysis:
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        events = {entry.event for entry in recording.entries if isinstance(entry, Local)}
        self._finds_speech = lacks_speech_events(recording)
        self._tells_playback = "first_sound" in events
        self._is_client = recording.header.role == "client"
        self._is_played = self._tells_playback or not self._is_client
        self._playback = Playback()
        self._user_sounds: list[Sound] = []
        self._sent_until_s = 0.0
        self._bare: set[int] = set()
        """Messages that hold nothing but sound that was left out; those that are alike are one object."""
        self._turns: list[Turn] = []
        self._turn: Turn | None = None
        self._calls: dict[str, Call] = {}
        self._marks: list[Mark] = []
        self._connections: list[Connection] = []
        self._speech: list[tuple[float, float]] = []
        self._speech_began_s: float | None = None
        """When the user's present speech began."""
        self._new_speech_s: float | None = None
        """When the newest speech began that no turn has answered."""
        self._early_words = ""
        """Words of the user that came while the model still answered something else."""

    def run(self) -> Session:
        """Look at every entry, in order."""
        entries: Iterable[Entry] = self._recording.entries
        if self._finds_speech:
            entries = heapq.merge(entries, _find_speech(self._recording), key=lambda entry: entry.t_s)
        for entry in entries:
            if not (isinstance(entry, Message) and id(entry.message) in self._bare):
                self._take(entry)
        if self._tells_playback:  # what still waited was not played when the client left
            self._playback.clear(self._recording.duration_s)
        played_s = max((sound.end_s for sound in self._playback.sounds), default=0.0)
        duration_s = max(self._recording.duration_s, played_s)
        if self._speech_began_s is not None:
            self._speech.append((self._speech_began_s, self._recording.duration_s))
        self._measure_talk_over()
        self._marks.sort(key=lambda mark: mark.t_s)
        return Session(
            header=self._recording.header,
            duration_s=duration_s,
            turns=self._turns,
            marks=self._marks,
            user_sounds=self._user_sounds,
            model_sounds=self._playback.sounds,
            speech=merge(self._speech),
            connections=self._connections,
            is_played=self._is_played,
            problems=list(self._recording.problems),
        )

    def _take(self, entry: Entry) -> None:
        match entry:
            case Message(sender="client"):
                self._take_client(entry)
            case Message():
                self._take_server(entry)
            case Connected():
                self._connections.append(Connection(entry.connection, entry.t_s, entry.url, None))
                self._mark(entry, "connected", entry.url)
            case Closed():
                said = " ".join(filter(None, (str(entry.code or ""), entry.reason)))
                self._mark(entry, "closed", f"by the {entry.by}" + (f": {said}" if said else ""))
            case Local():
                self._take_local(entry)

    def _mark(self, entry: Entry, kind: str, text: str = "") -> None:
        self._marks.append(Mark(entry.t_s, kind, text, entry.line))

    # What the client sent

    def _take_client(self, entry: Message) -> None:
        message = entry.message
        if message.keys() == {"realtimeInput"} and field(message, "realtimeInput", "audio", "data") == "":
            self._bare.add(id(message))
        if "setup" in message:
            handle = text_of(message, "setup", "sessionResumption", "handle")
            self._mark(entry, "setup", "with a handle" if handle else "")
        for media in user_media(message):
            if is_sound(media):
                self._add_user_sound(entry.t_s, media)
            else:
                self._mark(entry, "picture", mime_type_of(media))
        stream = field(message, "realtimeInput")
        if text := text_of(stream, "text"):
            self._typed(entry, text)
        if isinstance(field(stream, "activityStart"), dict):
            self._speech_begins(entry.t_s)
            self._mark(entry, "activity start")
        if isinstance(field(stream, "activityEnd"), dict):
            self._speech_ends(entry.t_s)
            self._mark(entry, "activity end")
        if field(stream, "audioStreamEnd"):
            self._mark(entry, "audio end")
        self._take_content(entry)
        for response in items_of(message, "toolResponse", "functionResponses"):
            self._take_response(entry, response)

    def _take_content(self, entry: Message) -> None:
        content = field(entry.message, "clientContent")
        if not isinstance(content, dict):
            return
        turns = list(items_of(content, "turns"))
        text = "".join(text_of(part, "text") for part in items_of(turns[-1], "parts")) if turns else ""
        is_question = bool(field(content, "turnComplete")) and text_of(turns[-1] if turns else {}, "role") != "model"
        if not turns or not is_question or (any(text_of(turn, "role") == "model" for turn in turns[:-1]) and not text):
            self._mark(entry, "history", f"{len(turns)} turns")
        else:
            self._typed(entry, text)

    def _typed(self, entry: Message, text: str) -> None:
        turn = self._turn
        self._mark(entry, "typed", text)
        if turn is not None and not turn.is_closed and turn.origin is Origin.TYPED and turn.question == text:
            turn.words = ""  # asked again: the answer begins anew
            return
        if turn is not None and (self._playback.is_playing(entry.t_s) or not turn.is_closed) and turn.first_byte_s:
            turn.barge_in_s = turn.barge_in_s or entry.t_s
        self._begin(Origin.TYPED, entry.t_s, text).asked_s = entry.t_s

    def _add_user_sound(self, t_s: float, media: dict[str, Any]) -> None:
        """Add a chunk of the user's sound: chunks sent in a burst follow each other."""
        duration_s = duration_of(media, is_users=True)
        start_s = max(t_s - duration_s, 0.0)
        if 0 < self._sent_until_s - start_s < 60:
            start_s = self._sent_until_s
        elif 0 <= start_s - self._sent_until_s < PAUSE_S / 2:
            start_s = self._sent_until_s  # the clock of the network trembles, that of the microphone does not
        self._sent_until_s = start_s + duration_s
        pcm_format = format_of(media, is_users=True)
        self._user_sounds.append(Sound(start_s, media, pcm_format, duration_s, duration_s))

    def _take_response(self, entry: Message, response: dict[str, Any]) -> None:
        call = self._calls.get(text_of(response, "id")) or self._find_open_call(text_of(response, "name"))
        name = text_of(response, "name") or (call.name if call else "")
        self._mark(entry, "result", name)
        if call is not None and not field(response, "willContinue"):
            call.answered_s, call.response = entry.t_s, field(response, "response")
            for turn in self._turns:
                if call in turn.calls:
                    turn.actions.append(f"result {call.name}")

    def _find_open_call(self, name: str) -> Call | None:
        return next((call for call in self._calls.values() if call.name == name and call.answered_s is None), None)

    # What the server sent

    def _take_server(self, entry: Message) -> None:
        message = entry.message
        content = field(message, "serverContent")
        if field(message, "setupComplete") is not None:
            self._setup_complete(entry)
        if field(content, "interrupted") is True:
            self._interrupted(entry)
        if (kind := text_of(message, "voiceActivity", "type")) and self._finds_speech and not self._speech:
            # A recording without sound: the server's own detector is all there is.
            (self._speech_begins if kind.endswith("START") else self._speech_ends)(entry.t_s)
        if text := text_of(content, "inputTranscription", "text"):
            self._heard(entry, text)
        self._take_output(entry, content)
        for call in items_of(message, "toolCall", "functionCalls"):
            self._take_call(entry, call)
        self._take_cancellation(entry)
        if field(content, "generationComplete") is True:
            self._mark(entry, "generation complete")
        if usage := field(message, "usageMetadata"):
            self._take_usage(usage)
        if field(content, "turnComplete") is True:
            self._turn_complete(entry, content)
        if "goAway" in message:
            self._mark(entry, "go away", text_of(message, "goAway", "timeLeft"))
        if field(message, "error") is not None:
            self._mark(entry, "error", text_of(message, "error", "message"))

    def _setup_complete(self, entry: Message) -> None:
        if self._connections and self._connections[-1].ready_s is None:
            last = self._connections[-1]
            self._connections[-1] = Connection(last.number, last.opened_s, last.url, entry.t_s)
        self._mark(entry, "setup complete")

    def _take_output(self, entry: Message, content: Any) -> None:
        t_s = entry.t_s
        for media in model_media(entry.message):
            if not is_sound(media):
                continue
            turn = self._output(t_s, "sound")
            turn.speaks_s = turn.speaks_s if turn.speaks_s is not None else t_s
            pcm_format = format_of(media, is_users=False)
            sound = self._playback.add(t_s, media, pcm_format, duration_of(media, is_users=False))
            if field(content, "interrupted") is True:
                sound.played_s = 0.0
            turn.sounds.append(sound)
            if self._is_played and not self._tells_playback:
                turn.first_sound_s = turn.first_sound_s or sound.start_s
        for part in items_of(content, "modelTurn", "parts"):
            if code := text_of(part, "executableCode", "code"):
                self._output(t_s, "code")
                self._mark(entry, "code", code)
            if not (text := text_of(part, "text")):
                continue
            if field(part, "thought") is True:
                self._output(t_s, "thought")
                self._mark(entry, "thought", text)
            else:
                self._said(entry, text)
        if text := text_of(content, "outputTranscription", "text"):
            self._said(entry, text)

    def _said(self, entry: Message, text: str) -> None:
        turn = self._output(entry.t_s, "words")
        turn.words += text
        turn.speaks_s = turn.speaks_s if turn.speaks_s is not None else entry.t_s
        self._mark(entry, "words", text)

    def _take_call(self, entry: Message, fields: dict[str, Any]) -> None:
        name = text_of(fields, "name")
        turn = self._output(entry.t_s, f"call {name}")
        call = Call(text_of(fields, "id"), name, field(fields, "args") or {}, entry.t_s)
        turn.calls.append(call)
        self._calls[call.id or f"{name} {entry.line}"] = call
        self._mark(entry, "call", name)

    def _take_cancellation(self, entry: Message) -> None:
        ids = field(entry.message, "toolCallCancellation", "ids")
        for call_id in ids if isinstance(ids, list) else ():
            call = self._calls.get(call_id) if isinstance(call_id, str) else None
            if call is not None:
                call.is_cancelled = True
                self._mark(entry, "cancelled", call.name)

    def _take_usage(self, usage: Any) -> None:
        turn = self._turn
        if turn is None:
            return
        tokens = Tokens(cached=count_of(usage, "cachedContentTokenCount"))
        response = "responseTokenCount" if field(usage, "responseTokenCount") is not None else "candidatesTokenCount"
        for side, total, extra, details in (
            (tokens.prompt, "promptTokenCount", "toolUsePromptTokenCount", "promptTokensDetails"),
            (tokens.response, response, "thoughtsTokenCount", response.replace("Count", "sDetails")),
        ):
            for detail in items_of(usage, details):
                modality = text_of(detail, "modality") or "OTHER"
                side[modality] = side.get(modality, 0) + count_of(detail, "tokenCount")
            rest = count_of(usage, total) + count_of(usage, extra) - sum(side.values())
            if rest > 0:
                side["OTHER"] = side.get("OTHER", 0) + rest
        turn.tokens.add(tokens)

    # Turns

    def _begin(self, origin: Origin, t_s: float, question: str = "") -> Turn:
        self._turn = Turn(len(self._turns) + 1, origin, t_s, question)
        self._turns.append(self._turn)
        return self._turn

    def _begin_spoken(self, t_s: float) -> Turn:
        began_s, self._new_speech_s = self._new_speech_s, None
        words, self._early_words = self._early_words, ""
        return self._begin(Origin.SPOKEN, t_s if began_s is None else began_s, words)

    def _heard(self, entry: Message, text: str) -> None:
        """Add words of the user to the turn that they begin, or that has begun already."""
        turn = self._turn
        self._mark(entry, "heard", text)
        if turn is not None and turn.is_closed and self._new_speech_s is None and not turn.question:
            turn.question, turn.origin = text, Origin.SPOKEN  # late
        elif turn is None or turn.is_closed:
            self._begin_spoken(entry.t_s).question += text
        elif turn.first_byte_s is None or (self._new_speech_s is None and turn.origin is Origin.SPOKEN):
            turn.question += text
            if turn.origin is Origin.MODEL:
                turn.origin = Origin.SPOKEN
        else:
            self._early_words += text

    def _output(self, t_s: float, action: str) -> Turn:
        """Return the turn that an output at a time belongs to."""
        turn = self._turn
        if turn is None or (turn.is_closed and (self._new_speech_s is not None or self._early_words)):
            has_question = self._new_speech_s is not None or self._early_words
            turn = self._begin_spoken(t_s) if has_question else self._begin(Origin.MODEL, t_s)
        elif turn.is_closed and turn.ending is Ending.COMPLETE:
            turn.ending, turn.ended_s = Ending.UNFINISHED, None
        if turn.first_byte_s is None:
            turn.first_byte_s = t_s
            if turn.origin is not Origin.TYPED:
                turn.asked_s = self._last_speech_end_s(turn.began_s)
                self._new_speech_s = None
        if not turn.actions or turn.actions[-1] != action:
            turn.actions.append(action)
        return turn

    def _last_speech_end_s(self, since_s: float) -> float | None:
        """Return when the user stopped speaking, unless the user still speaks or did not speak since a time."""
        if self._speech_began_s is not None or not self._speech:
            return None
        return self._speech[-1][1] if self._speech[-1][1] >= since_s else None

    def _interrupted(self, entry: Message) -> None:
        self._mark(entry, "interrupted")
        turn = self._turn
        if turn is not None and turn.first_byte_s is None and len(self._turns) > 1:
            turn = self._turns[-2]  # the typed line that interrupted it has begun a turn already
        if turn is None:
            return
        turn.ending, turn.ended_s = Ending.INTERRUPTED, entry.t_s
        if turn.barge_in_s is None:
            turn.barge_in_s = self._new_speech_s
        if not self._tells_playback:
            self._cleared(entry.t_s)
        if self._early_words:
            self._begin_spoken(entry.t_s)

    def _cleared(self, t_s: float) -> None:
        silent_s = self._playback.clear(t_s)
        if silent_s is None or not self._is_played:
            return
        turn = next((turn for turn in reversed(self._turns) if turn.sounds), None)
        if turn is not None:
            turn.silent_s = silent_s

    def _turn_complete(self, entry: Message, content: Any) -> None:
        status, reason = text_of(content, "interactionStatus"), text_of(content, "turnCompleteReason")
        self._mark(entry, "turn complete", " ".join(filter(None, (reason, status))))
        turn = self._turn
        if turn is None or status == _IN_PROGRESS or turn.is_closed or (turn.first_byte_s is None and not reason):
            return
        turn.ending, turn.ended_s, turn.reason = Ending.COMPLETE, entry.t_s, reason

    # What the wire does not show

    def _take_local(self, entry: Local) -> None:
        t_s, facts = entry.t_s, entry.facts
        match entry.event:
            case "speech_began":
                self._speech_begins(max(0.0, t_s - _seconds(facts, "ago_s")))
            case "speech_ended":
                self._speech_ends(max(0.0, t_s - _seconds(facts, "ago_s")))
            case "first_sound":
                self._playback.begin(t_s, _seconds(facts, "latency_s"))
                self._first_sound_heard(t_s + _seconds(facts, "latency_s"))
                self._mark(entry, "first sound")
            case "playback_cleared":
                self._cleared(t_s)
                self._mark(entry, "playback cleared", f"{_seconds(facts, 'discarded_s'):.2f} s discarded")
            case "function_ran":
                self._function_ran(facts)
            case "microphone_level":
                pass
            case _:
                said = ", ".join(f"{name} {value}" for name, value in facts.items())
                self._mark(entry, entry.event.replace("_", " "), said)

    def _first_sound_heard(self, heard_s: float) -> None:
        for turn in reversed(self._turns):
            if turn.sounds:
                turn.first_sound_s = turn.first_sound_s or heard_s
                return

    def _function_ran(self, facts: Any) -> None:
        call_id = facts.get("id")
        call = self._calls.get(call_id) if isinstance(call_id, str) else None
        if call is not None:
            call.ran_s = _seconds(facts, "duration_s")

    def _speech_begins(self, began_s: float) -> None:
        turn = self._turn
        if self._speech_began_s is None:
            self._speech_began_s = began_s
        if turn is None or turn.first_byte_s is not None:
            self._new_speech_s = self._new_speech_s if self._new_speech_s is not None else began_s
        is_heard = turn is not None and turn.sounds and self._playback.is_playing(began_s)
        if turn is not None and turn.barge_in_s is None and is_heard:
            turn.barge_in_s = began_s

    def _speech_ends(self, ended_s: float) -> None:
        began_s, self._speech_began_s = self._speech_began_s, None
        if began_s is not None:
            self._speech.append((began_s, max(began_s, ended_s)))
            self._marks.append(Mark(began_s, "speech", f"{max(0.0, ended_s - began_s):.2f} s"))

    def _measure_talk_over(self) -> None:
        speech = merge(self._speech)
        if not self._is_played:
            return
        for turn in self._turns:
            turn.talk_over_s = overlap_s(spans_of(turn.sounds), speech)
            if turn.first_sound_s is None and self._tells_playback:
                # It followed the sound before it without a silence between.
                turn.first_sound_s = next((sound.start_s for sound in turn.sounds if sound.played_s > 0), None)
            if turn.ending is not Ending.INTERRUPTED and turn.silent_s is None:
                turn.barge_in_s = None


def _seconds(facts: Any, name: str) -> float:
    value = facts.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and -1e6 < value < 1e6 else 0.0
