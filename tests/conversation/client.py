"""The receiving half of the client on a clock of its own: parser, dispatcher and conversation, without a connection.

It is driven by messages of the server, as they are on the wire, and by what a user does. It asks what may be asked, as
the uplink does, and answers calls when it is told to.
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

from gemini_live.audio.pcm import MIN_RATE_HZ
from gemini_live.conversation.conversation import Conversation
from gemini_live.conversation.outcomes import (
    Answered,
    LateWords,
    ModelSaid,
    Outcome,
    Question,
    Restarted,
    SpeechLost,
    Unfinished,
    UserSaid,
)
from gemini_live.models import ModelCapabilities, capabilities_of
from gemini_live.output.events import Event, Thought, Warning
from gemini_live.session.dispatch import CancelCalls, Dispatcher, StartCalls
from gemini_live.session.speech import UserSpeech
from gemini_live.session.stats import Stats
from gemini_live.wire.parse import parse_server_message

from .contract import Contract

LOSE_S = 0.05
"""From the loss of a connection to the next one."""


def sound(seconds: float) -> dict[str, Any]:
    """Return an audio part that plays for a time; at a low sample rate, so that it is short."""
    pcm = bytes(2 * max(1, round(seconds * MIN_RATE_HZ)))
    return {"inlineData": {"mimeType": f"audio/pcm;rate={MIN_RATE_HZ}", "data": base64.b64encode(pcm).decode()}}


def content(**fields: Any) -> dict[str, Any]:
    """Return a message with `serverContent`."""
    return {"serverContent": fields}


def words(text: str) -> dict[str, Any]:
    """Return a message with words of the model and no sound."""
    return content(outputTranscription={"text": text})


def speech(text: str = "", seconds: float = 0.2) -> dict[str, Any]:
    """Return a message with sound, and the words that ride in it."""
    transcript = {"outputTranscription": {"text": text}} if text else {}
    return content(modelTurn={"parts": [sound(seconds)]}, **transcript)


def transcript(text: str) -> dict[str, Any]:
    """Return a message with words of the user."""
    return content(inputTranscription={"text": text})


def call(*ids: str, name: str = "lookup") -> dict[str, Any]:
    """Return a message with function calls."""
    return {"toolCall": {"functionCalls": [{"id": call_id, "name": name, "args": {}} for call_id in ids]}}


GENERATED = content(generationComplete=True)
INTERRUPTED = content(interrupted=True)
ENDED = content(turnComplete=True)
START = {"voiceActivity": {"type": "ACTIVITY_START", "audioOffset": "1s"}}
END = {"voiceActivity": {"type": "ACTIVITY_END", "audioOffset": "2s"}}


class Client:
    """See the module. `written` is everything that the user is told, in order."""

    def __init__(
        self,
        model: str | ModelCapabilities = "gemini-3.8-live",
        *,
        has_functions: bool = True,
        shows_user_words: bool = True,
        speaks_answers: bool | None = None,
        turns: int | None = None,
    ) -> None:
        self.now_s = 100.0
        self.model = capabilities_of(model) if isinstance(model, str) else model
        self.written: list[Event | Outcome] = []
        self.asked: list[str] = []
        """Every line that was sent, in order, and again if it was sent again."""
        self.typed: dict[int, str] = {}
        """What was typed, by exchange."""
        self.open_calls: list[tuple[str, int]] = []
        """The id and exchange of each call that the client runs."""
        self.on_asked: Callable[[str], None] = lambda _text: None
        self.on_silence: Callable[[], None] = lambda: None
        speaks = "AUDIO" in self.model.output
        self.conversation = Conversation(
            self.model,
            words_trail=speaks or self.model.transcript_is_answer,
            may_call=has_functions,
            shows_user_words=shows_user_words,
            turns=turns,
        )
        self._contract = Contract()
        self._streams = False
        """True while audio of the user is sent, all the time."""
        self.stats = Stats(self.now_s)
        self.speech = UserSpeech(self.stats.latency)
        self.dispatcher = Dispatcher(
            self.conversation,
            self,
            self.stats,
            self.speech,
            record_event=lambda *_, **__: None,
            transcript_is_answer=self.model.transcript_is_answer,
            speaks_answers=speaks if speaks_answers is None else speaks_answers,
            clock=lambda: self.now_s,
        )
        self.connect()

    # What the user does

    def enter(self, *lines: str) -> None:
        """Type lines at a terminal."""
        for line in lines:
            self.conversation.add_question(line, waits=False)
            self.step([])

    def pipe(self, *lines: str) -> None:
        """Give lines on a pipe."""
        for line in lines:
            self.conversation.add_question(line, waits=True)
        self.step([])

    def speak(self, *, is_detected: bool = True) -> None:
        """Speak into the microphone; the client's own detector hears it if `is_detected`."""
        self._streams = self.conversation.hears_user = True
        self.step([])
        if is_detected:
            self.speech.began(self.now_s)

    def end_inputs(self) -> None:
        """End every input but the user's voice."""
        self.conversation.inputs_ended = True
        self.step([])

    def end_audio(self, *, by_hand: bool = False) -> None:
        """End the user's voice, the last input."""
        self.conversation.inputs_ended, self._streams = True, False
        self.conversation.audio_ended(self.now_s, by_hand=by_hand)
        self.step([])

    def finish_call(self, call_id: str, *, silent: bool = False) -> None:
        """Send the result of a call."""
        self.open_calls = [known for known in self.open_calls if known[0] != call_id]
        self.step(self.conversation.call_closed(call_id, self.now_s, answered=not silent))

    # What the server does

    def receive(self, *messages: Mapping[str, Any]) -> None:
        """Receive messages, all at the same time."""
        for message in messages:
            self._stream()
            for action in self.dispatcher.dispatch(parse_server_message(json.dumps(message).encode())):
                match action:
                    case StartCalls(calls=calls, exchange=exchange):
                        self.open_calls += [(made.id, exchange) for made in calls]
                    case CancelCalls(ids=ids):
                        self._cancel(ids)
            self.step([])

    def _stream(self) -> None:
        if self._streams:
            self.conversation.audio_sent(self.now_s)

    def _cancel(self, ids: tuple[str, ...]) -> None:
        for call_id in [known for known, _ in self.open_calls if known in ids]:
            self.open_calls = [known for known in self.open_calls if known[0] != call_id]
            self.step(self.conversation.call_cancelled(call_id, self.now_s))

    def lose_connection(self) -> None:
        """Lose the connection, and open another one at once."""
        self.open_calls.clear()
        speaks = self.speech.is_unanswered(self.now_s)
        self.dispatcher.apply(self.conversation.connection_lost(self.now_s, speaks=speaks))
        self.connect()
        self.step([])

    def connect(self) -> None:
        """Open a connection; `opening` is what it began with."""
        self.opening = self.conversation.connect()
        self.dispatcher.begin_connection()
        self.conversation.connected(self.opening, self.now_s)

    # Time

    def wait(self, seconds: float) -> None:
        """Let time pass, and wake when the conversation wants to."""
        end_s = self.now_s + seconds
        while (deadline_s := self.conversation.deadline_s()) is not None and deadline_s <= end_s:
            self.now_s = max(self.now_s, deadline_s)
            self.step([])
        self.now_s = end_s

    def step(self, outcomes: list[Outcome]) -> None:
        """Write outcomes, let the conversation look at the time, and send what may be sent."""
        self._stream()
        self.dispatcher.apply(outcomes + self.conversation.tick(self.now_s))
        if self.conversation.silence_s is not None:
            self.on_silence()
        while (question := self.conversation.next_question()) is not None:
            self._ask(question)

    def _ask(self, question: Question) -> None:
        self.dispatcher.apply(self.conversation.asked(question, self.now_s))
        if not question.is_repeated:
            self._contract.asked(question.exchange)
        self.asked.append(question.text)
        self.typed[question.exchange] = question.text
        self.on_asked(question.text)

    # What came of it

    def emit(self, event: Event) -> None:
        """Take what the dispatcher writes, and hold outcomes to their contract."""
        self.written.append(event)
        if isinstance(event, get_args(Outcome)):
            self._contract.check([event])

    @property
    def answers(self) -> list[str]:
        """Every answer, as `question: text`; `?` for a spoken question, `~` at the end of one that was cut off."""
        return [
            f"{self.typed[item.exchange] if item.asked else '?'}: {item.text}{'~' * item.cut_off}"
            for item in self.written
            if isinstance(item, Answered)
        ]

    @property
    def warnings(self) -> list[str]:
        """Every warning."""
        return [item.text for item in self.written if isinstance(item, Warning)]

    @property
    def user_words(self) -> list[tuple[int, str]]:
        """What the user said, each piece with its exchange."""
        return [(item.exchange, item.text) for item in self.written if isinstance(item, UserSaid)]

    def all_of(self, kind: type[LateWords | ModelSaid | Restarted | Unfinished | Thought]) -> list[str]:
        """The text of everything of one kind."""
        return [item.text for item in self.written if isinstance(item, kind)]

    @property
    def n_lost(self) -> int:
        """How often speech was reported lost."""
        return sum(isinstance(item, SpeechLost) for item in self.written)

    @property
    def is_over(self) -> bool:
        """True if the session would end, but for playback."""
        return self.conversation.is_over

    @property
    def exit_code(self) -> int:
        """The exit code of a session that ends now without a failure."""
        return 4 if self.conversation.n_unanswered else 0
