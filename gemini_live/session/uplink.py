"""What waits to be sent, and in which order; `run` is the only task that writes to the socket.

Runs on the event loop. Results of functions, typed turns and pictures are never dropped; of the user's audio the newest
seconds are kept, and of the screen the newest frame. The queues outlive connections: what was not sent on one is sent
on the next. A little over 300 lines: one class, whose methods are the order in which things are sent.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

from ..audio.buffers import MicQueue
from ..audio.pcm import INPUT
from ..config import MAX_PICTURES
from ..conversation.conversation import Conversation
from ..conversation.outcomes import Exchange, Outcome, Question
from ..models import Coverage, History, ModelCapabilities, StreamEnd, TypedTurn
from ..wire import messages as client_messages
from ..wire.connection import Connection
from ..wire.messages import FunctionResponse
from .stats import Stats

FIRST_FRAME_WAIT_S = 1.0
"""How long a typed turn waits for the first frame of the screen, so that it can carry the frame."""
FRAME_EXPIRES_S = 10.0
"""A typed turn carries the newest frame of the screen if the frame is not older than this."""
MAX_RESULTS = 1_000
"""If more results of functions than this wait to be sent, nothing more is received: the server does not read them."""
SILENCE_CHUNK_S = 0.1
MIN_SILENCE_S, MAX_SILENCE_S = 1.2, 8.0
"""How much silence follows the user's audio on a model that ends a turn only while audio arrives: at least the first,
and then until a sign of an answer, but at most the second. `audioStreamEnd` alone ends nothing there (measured by
OpenClaw on 3.8 and extended thinking, 19-21 Sep 2026)."""

OnAsked = Callable[[Question], None]
OnProgress = Callable[[list[Outcome]], None]
Message = Mapping[str, Any] | bytes
"""An object, or JSON text."""

_PAUSE = b""
"""Marks in the queue of the microphone that the user muted it at this point."""


class AudioEnd(Enum):
    """Why the user's audio ends for good."""

    BY_HAND = auto()
    """A person ended the input, or the microphone is gone."""
    FILE = auto()
    """A sound file was sent to its end."""


class Result(NamedTuple):
    """The result of a function call."""

    response: FunctionResponse
    is_silent: bool
    """True if the model says nothing about it."""


@dataclass
class _Silence:
    """The silence that is sent after the user's audio, in real time."""

    began_s: float
    sent_s: float = 0.0
    is_answered: bool = False
    """True after a sign that the server has noticed the end of the speech."""

    @property
    def is_long_enough(self) -> bool:
        return self.sent_s >= (MIN_SILENCE_S if self.is_answered else MAX_SILENCE_S)


class Uplink:
    """The queues of one session towards the server."""

    def __init__(
        self,
        conversation: Conversation,
        capabilities: ModelCapabilities,
        stats: Stats,
        *,
        automatic_vad: bool,
        shows_screen: bool,
        on_asked: OnAsked,
        on_progress: OnProgress,
        clock: Callable[[], float],
    ) -> None:
        """Begin with nothing to send. Over 40 lines: its arguments and fields, and what they mean.

        Args:
            conversation: Says which question may be asked.
            capabilities: How the model takes typed turns and the end of audio.
            stats: Counts what is sent.
            automatic_vad: True if the server detects where speech begins and ends; else the client tells it.
            shows_screen: True if frames of the screen will come.
            on_asked: Called with each question just before it is sent.
            on_progress: Called after something else was sent that changes what the conversation waits for.
            clock: The time in seconds.
        """
        self.microphone = MicQueue()
        self.shows_screen = shows_screen
        """True if frames of the screen come, or will come."""
        self.holds_questions = False
        """True while questions wait for the next connection, because the server is about to close this one."""
        self.avoids_picture_turns = False
        """True if the server has refused pictures inside a typed turn: they are sent before it instead."""
        self.sent_picture_turn = False
        """True if a typed turn with pictures was sent on this connection, to a model whose typed turns are
        `realtimeInput.text`."""
        self._conversation = conversation
        self._capabilities = capabilities
        self._stats = stats
        self._automatic_vad = automatic_vad
        self._on_asked, self._on_progress = on_asked, on_progress
        self._clock = clock
        self._wake = asyncio.Event()
        self._results: deque[Sequence[Result]] = deque()
        """Each entry is sent as one message."""
        self._frame: bytes | None = None
        """The frame of the screen that waits to be sent."""
        self._newest_frame: tuple[bytes, float] | None = None
        """The newest frame and when it came."""
        self._questions_from_s = 0.0
        self._before_question: deque[Message] = deque()
        """Messages that go out just before the next question: history, and pictures of a model that refuses them
        inside the turn."""
        self._prepared: Question | None = None
        """The next question, once its pictures are settled."""
        self._live_pictures: deque[bytes] = deque()
        """Pictures to send at once, because the user may ask about them by voice."""
        self._pictures: deque[tuple[bytes, Question | None]] = deque(maxlen=MAX_PICTURES)
        """Pictures for the next typed turn, each with the newest question at the time it was shown."""
        self.last_audio_s = -math.inf
        """When audio was last sent, silence included."""
        self._in_activity = False
        self._first_speech: bytes | None = None
        """The chunk that follows the start of an activity."""
        self._is_open = False
        """True if audio was sent and the server was not told that it ended."""
        self._silence: _Silence | None = None
        self._audio_end: AudioEnd | None = None
        """The end of the user's audio that is still to be sent."""

    @property
    def ends_audio(self) -> bool:
        """True if the end of the user's audio, or audio before it, is still to be sent."""
        return self._audio_end is not None

    @property
    def ends_file(self) -> bool:
        """True if the end of a sound file, or audio before it, is still to be sent."""
        return self._audio_end is AudioEnd.FILE

    @property
    def has_too_many_results(self) -> bool:
        """True if so many results wait to be sent that the server may make no more calls."""
        return sum(map(len, self._results)) > MAX_RESULTS

    def wake(self) -> None:
        """Look again for something to send."""
        self._wake.set()

    def offer_audio(self, pcm: bytes) -> None:
        """Queue a chunk of the user's audio, 16 kHz; the oldest audio is dropped if too much waits."""
        n_dropped = self.microphone.n_bytes_dropped
        self.microphone.offer(pcm)
        if self._withholds_audio:
            self._stats.withheld_s += INPUT.duration_s(self.microphone.n_bytes_dropped - n_dropped)
        self._wake.set()

    def end_audio(self, *, by_hand: bool) -> None:
        """Tell the server, after the waiting audio, that the user's audio has ended; `by_hand`: a person ended it."""
        self._audio_end = AudioEnd.BY_HAND if by_hand else AudioEnd.FILE
        self._wake.set()

    def pause_audio(self) -> None:
        """Tell the server, after the waiting audio, that the user has muted the microphone."""
        self.microphone.offer(_PAUSE)
        self._wake.set()

    def discard_speech(self) -> bool:
        """Discard the audio that waits since the last pause; return True if the server has received a part of it."""
        self.microphone.discard_newest()
        # Audio that waits belongs to an earlier activity only if a pause follows it.
        if len(self.microphone):
            return False
        self._first_speech = None
        return self._is_open if self._automatic_vad else self._in_activity

    def note_sign_of_answer(self) -> None:
        """End the silence that follows the user's audio: the server has noticed the end of the speech."""
        if self._silence is not None:
            self._silence.is_answered = True

    def offer_frame(self, jpeg: bytes) -> None:
        """Queue a frame of the screen, in place of one that was not sent yet."""
        self._frame, self._newest_frame = jpeg, (jpeg, self._clock())
        self._wake.set()

    def end_screen(self) -> None:
        """Forget the frames: no more will come."""
        self.shows_screen = False
        self._frame = self._newest_frame = None
        self._questions_from_s = 0.0

    def offer_picture(self, jpeg: bytes) -> None:
        """Queue a picture that the user shows: for the next typed turn, and at once if the user may ask by voice."""
        if self._conversation.hears_user or self._capabilities.typed_turn is TypedTurn.NOT_SUPPORTED:
            self._live_pictures.append(jpeg)
        self._pictures.append((jpeg, self._conversation.last_question))
        self._wake.set()

    def respond(self, results: Sequence[Result]) -> None:
        """Send the results of the function calls of one message."""
        self._results.append(results)
        self._wake.set()

    def begin_connection(
        self, history: Sequence[Exchange], *, announced: bool, resumed: bool = False
    ) -> Message | None:
        """Prepare for a new connection; return the message, if any, that begins it.

        Args:
            history: The conversation so far, for a fresh session.
            announced: True if the setup announced history, so that the server waits for it, even for an empty one.
            resumed: True if the session was resumed.
        """
        self._results.clear()  # their calls ended with the connection
        self._before_question.clear()
        self._prepared = self._first_speech = self._silence = None
        self._in_activity = self._is_open = self.holds_questions = self.sent_picture_turn = False
        if self.shows_screen:
            is_known = resumed and self._capabilities.observed.handle_covers is Coverage.EVERYTHING
            self._frame = None if self._newest_frame is None or is_known else self._newest_frame[0]
            self._questions_from_s = self._clock() + FIRST_FRAME_WAIT_S if self._newest_frame is None else 0.0
            asyncio.get_running_loop().call_later(FIRST_FRAME_WAIT_S, self._wake.set)
        self._wake.set()
        pairs = [(exchange.user, exchange.model) for exchange in history]
        if announced:
            return client_messages.build_history(pairs, turn_complete=True)
        if pairs and self._capabilities.history is not History.NOT_SUPPORTED:
            # An unfinished sequence makes the model wait: it goes out just before the question that finishes it.
            self._before_question.append(client_messages.build_history(pairs, turn_complete=False))
        return None

    async def run(self, connection: Connection) -> None:
        """Send what there is to send, for as long as the connection lasts.

        Raises:
            SessionClosed: The connection is gone.
        """
        while True:
            self._wake.clear()
            while (message := self._next_message()) is not None:
                await connection.send(message)
            await self._wake.wait()

    def _next_message(self) -> Message | None:
        return (
            self._next_results()
            or self._next_picture()
            or self._next_turn()
            or self._next_audio()
            or self._next_frame()
        )

    def _next_results(self) -> Message | None:
        if not self._results:
            return None
        results = self._results.popleft()
        for result in results:
            if result.response.will_continue:
                continue  # the call stays open
            call_id, answered = result.response.id, not result.is_silent
            self._on_progress(self._conversation.call_closed(call_id, self._clock(), answered=answered))
        return client_messages.build_tool_response([result.response for result in results])

    def _next_picture(self) -> Message | None:
        if not self._live_pictures or self.holds_questions:
            return None
        return client_messages.encode_video(self._live_pictures.popleft())

    def _next_turn(self) -> Message | None:
        """Return the next question, or a message that goes before it."""
        if self.holds_questions or (self.shows_screen and self._clock() < self._questions_from_s):
            return None
        question = self._conversation.next_question()
        if question is None:
            return None
        if self._prepared is not question:
            self._prepared = question
            question.pictures += self._take_pictures()
            if self.avoids_picture_turns:
                self._before_question.extend(map(client_messages.encode_video, question.pictures))
        if self._before_question:
            return self._before_question.popleft()
        row, pictures = self._capabilities, self._seen_with(question)
        how = row.repeated_turn if question.is_repeated else row.typed_turn
        if pictures:
            self.sent_picture_turn |= how is TypedTurn.REALTIME_TEXT
            how = TypedTurn.CLIENT_CONTENT
        self._on_asked(question)
        return client_messages.build_typed_turn(question.text, how, pictures)

    def _take_pictures(self) -> tuple[bytes, ...]:
        """Remove and return the pictures that belong to the next question: shown after all questions before it."""
        taken = []
        while self._pictures and not self._is_waiting(self._pictures[0][1]):
            taken.append(self._pictures.popleft()[0])
        return tuple(taken)

    def _is_waiting(self, question: Question | None) -> bool:
        return question is not None and self._conversation.is_waiting(question)

    def _seen_with(self, question: Question) -> list[bytes]:
        """Return the pictures that go inside a typed turn: no model sees frames that were sent before it (probed by
        pydantic-ai on 3.8, 3.1, extended thinking and 2.5, 25 Sep and 27 Oct 2026)."""
        if self.avoids_picture_turns or self._capabilities.typed_turn is TypedTurn.NOT_SUPPORTED:
            return []
        frame, came_s = self._newest_frame or (None, 0.0)
        is_fresh = frame is not None and self._clock() - came_s < FRAME_EXPIRES_S
        return ([frame] if frame is not None and is_fresh else []) + list(question.pictures)

    @property
    def _withholds_audio(self) -> bool:
        """True while audio must not be sent, because a function call is open."""
        return self._conversation.has_open_calls and not self._capabilities.hears_during_calls

    def _next_audio(self) -> Message | None:
        if self._withholds_audio:
            return None
        if self._first_speech is not None:
            chunk, self._first_speech = self._first_speech, None
            return self._send_speech(chunk)
        while len(self.microphone):
            chunk = self.microphone.take()
            message = self._send_speech(chunk) if chunk != _PAUSE else self._end_speech()
            if message is not None:
                return message
        if self._audio_end is not None:
            end, self._audio_end = self._audio_end, None
            self._conversation.audio_ended(self._clock(), by_hand=end is AudioEnd.BY_HAND)
            self._on_progress([])
            if (message := self._end_speech()) is not None:
                return message
        return self._next_silence()

    def _send_speech(self, chunk: bytes) -> Message:
        self._silence = None
        if not self._automatic_vad and not self._in_activity:
            self._in_activity, self._first_speech = True, chunk
            return client_messages.build_activity_start()
        self._is_open = True
        self.last_audio_s = self._clock()
        self._conversation.audio_sent(self.last_audio_s)
        self._stats.heard_s += INPUT.duration_s(len(chunk))
        return client_messages.encode_audio(chunk)

    def _end_speech(self) -> Message | None:
        """End the audio for now: return the message that says so, or begin the silence that has to precede it."""
        if not self._automatic_vad:
            was_active, self._in_activity = self._in_activity, False
            if was_active:
                self._stats.latency.asked(self._clock())
            return client_messages.build_activity_end() if was_active else None
        if not self._is_open:
            return None
        if self._capabilities.observed.stream_end is StreamEnd.ENDS_NOTHING:
            self._silence = self._silence or _Silence(self._clock())
            return None
        self._is_open = False
        return client_messages.build_audio_stream_end()

    def _next_silence(self) -> Message | None:
        silence = self._silence
        if silence is None:
            return None
        if silence.is_long_enough:
            self._silence, self._is_open = None, False
            return client_messages.build_audio_stream_end()
        due_s = silence.began_s + silence.sent_s
        if self._clock() < due_s:
            asyncio.get_running_loop().call_later(due_s - self._clock(), self._wake.set)
            return None
        silence.sent_s += SILENCE_CHUNK_S
        self.last_audio_s = self._clock()
        return client_messages.encode_audio(bytes(INPUT.n_bytes(SILENCE_CHUNK_S)))

    def _next_frame(self) -> Message | None:
        if self._frame is None:
            return None
        jpeg, self._frame = self._frame, None
        self._questions_from_s = 0.0
        return client_messages.encode_video(jpeg)
