"""What waits to be sent, and in which order; `run` is the one task that writes to the socket.

Runs on the event loop. Results of functions, typed turns and pictures are never dropped; speech is, oldest first, when
the network cannot keep up; of the screen only the newest frame waits. It outlives connections: what was not sent on one
is sent on the next.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..audio.buffers import MicQueue
from ..audio.pcm import INPUT
from ..conversation.conversation import Conversation
from ..conversation.outcomes import Exchange, Outcome, Question
from ..models import History, ModelCapabilities
from ..wire import messages as client_messages
from ..wire.connection import Connection
from ..wire.messages import FunctionResponse
from .stats import Stats

FIRST_FRAME_WAIT_S = 1.0
"""How long a typed turn waits for the first frame of the screen, so that it can be about what is on it."""

MAX_PICTURES = 4
"""That are shown again with a question that is asked again."""

OnAsked = Callable[[Question], None]
OnProgress = Callable[[list[Outcome]], None]
Message = Mapping[str, Any]

_PAUSE = b""
"""In the queue of the microphone: here the user has closed it for a while."""


class Result(NamedTuple):
    """The result of a function call."""

    response: FunctionResponse
    is_silent: bool
    """True if the model says nothing about it."""


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
        """Begin with nothing to send.

        Args:
            conversation: Says which question may be asked.
            capabilities: How the model takes typed turns.
            stats: What is counted.
            automatic_vad: Whether the server finds the beginning and end of speech; else it is told of them.
            shows_screen: Whether frames of the screen will come.
            on_asked: Called with each question just before it is sent.
            on_progress: Called with what came about when something else was sent that changes what is waited for.
            clock: The time in seconds.
        """
        self.microphone = MicQueue()
        self.shows_screen = shows_screen
        """Whether frames of the screen come, or will."""
        self.holds_questions = False
        """Whether questions wait for the next connection, because the server is about to close this one."""
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
        self._newest_frame: bytes | None = None
        self._questions_from_s = 0.0
        self._history: Message | None = None
        self._in_activity = False
        self._stream_has_ended = False
        """Whether nothing was heard since the server was told that the stream of the audio has ended."""
        self._in_hand = _PAUSE
        """Speech that is to follow the start of the activity that was just sent."""
        self._pictures: deque[tuple[bytes, Question | None]] = deque()
        """Each with the question that it was shown after, if there was one."""
        self._shown: deque[tuple[bytes, Question | None]] = deque(maxlen=MAX_PICTURES)
        """The newest pictures that were sent since the last question, likewise."""
        self._repeated: Question | None = None
        """The question that is asked again, once its pictures have been queued again."""
        self._audio_ends: bool | None = None
        """Whether the end of the audio is to be sent; if so, whether a person ended it."""

    @property
    def ends_audio(self) -> bool:
        """Whether the end of the user's voice, or what was said before it, is still to be sent."""
        return self._audio_ends is not None

    @property
    def ends_file(self) -> bool:
        """The same where no person ended it: it is the end of a file."""
        return self._audio_ends is False

    def wake(self) -> None:
        """Look again for something to send."""
        self._wake.set()

    def offer_audio(self, pcm: bytes) -> None:
        """Take a chunk of the user's voice, 16 kHz."""
        self.microphone.offer(pcm)
        self._wake.set()

    def end_audio(self, *, by_hand: bool) -> None:
        """Tell the server, after what waits, that the user's voice has ended; `by_hand`: a person ended it."""
        self._audio_ends = by_hand
        self._wake.set()

    def pause_audio(self) -> None:
        """Tell the server, after what waits, that the user has closed the microphone for a while."""
        self.microphone.offer(_PAUSE)
        self._wake.set()

    def discard_speech(self) -> bool:
        """Discard the audio that waits since the last pause; return True if the server has received a part of it."""
        self.microphone.discard_newest()
        # Audio that waits belongs to an earlier activity only if a pause follows it.
        if len(self.microphone):
            return False
        self._in_hand = _PAUSE
        return not self._stream_has_ended if self._automatic_vad else self._in_activity

    def offer_frame(self, jpeg: bytes) -> None:
        """Take a frame of the screen, in place of one that was not sent yet."""
        self._frame = self._newest_frame = jpeg
        self._wake.set()

    def end_screen(self) -> None:
        """Forget the frame that waits: no more will come."""
        self.shows_screen = False
        self._frame = self._newest_frame = None
        self._questions_from_s = 0.0

    def offer_picture(self, jpeg: bytes) -> None:
        """Take a picture that the user wants to show."""
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
            history: What to tell it of the conversation so far.
            announced: Whether the server waits for history, be it empty.
        """
        self._results.clear()  # their calls died with the connection
        self._in_activity = self._stream_has_ended = False
        self._in_hand = _PAUSE
        self._repeated = None
        self._pictures.extendleft(reversed(self._shown))
        self._shown.clear()
        self.holds_questions = False
        self._history = None
        if self.shows_screen:
            self._frame = self._newest_frame
            self._questions_from_s = self._clock() + FIRST_FRAME_WAIT_S
            asyncio.get_running_loop().call_later(FIRST_FRAME_WAIT_S, self._wake.set)
        self._wake.set()
        pairs = [(exchange.user, exchange.model) for exchange in history]
        if announced:
            return client_messages.build_history(pairs, turn_complete=True)
        if pairs and self._capabilities.history is not History.NOT_SUPPORTED:
            # An unfinished sequence makes the model wait: it goes out just before the question that finishes it.
            self._history = client_messages.build_history(pairs, turn_complete=False)
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
            self._next_response()
            or self._next_picture()
            or self._next_turn()
            or self._next_audio()
            or self._next_frame()
        )

    def _next_response(self) -> Message | None:
        if not self._results:
            return None
        results = self._results.popleft()
        for result in results:
            call_id, answered = result.response.id, not result.is_silent
            self._on_progress(self._conversation.call_closed(call_id, self._clock(), answered=answered))
        return client_messages.build_tool_response([result.response for result in results])

    def _next_picture(self) -> Message | None:
        if not self._pictures or self.holds_questions:
            return None
        jpeg, after = self._pictures[0]
        if after is not None and self._conversation.is_waiting(after):
            return None
        self._shown.append(self._pictures.popleft())
        return client_messages.build_video(jpeg)

    def _next_turn(self) -> Message | None:
        if self.holds_questions or (self.shows_screen and self._clock() < self._questions_from_s):
            return None
        question = self._conversation.next_question()
        if question is None:
            return None
        if self._history is not None:
            history, self._history = self._history, None
            return history
        if question.times_asked and question.pictures and self._repeated is not question:
            self._repeated = question
            self._pictures.extendleft((jpeg, None) for jpeg in reversed(question.pictures))
            return self._next_picture()
        question.pictures = tuple(jpeg for jpeg, _ in self._shown)
        self._shown.clear()
        self._on_asked(question)
        return client_messages.build_typed_turn(question.text, self._capabilities.typed_turn)

    def _next_audio(self) -> Message | None:
        if self._conversation.has_open_calls and not self._capabilities.hears_during_calls:
            return None
        while self._in_hand or len(self.microphone):
            chunk, self._in_hand = self._in_hand or self.microphone.take(), _PAUSE
            if chunk:
                return self._send_speech(chunk)
            if (pause := self._end_stretch()) is not None:
                return pause
        if self._audio_ends is None:
            return None
        by_hand, self._audio_ends = self._audio_ends, None
        self._conversation.audio_ended(self._clock(), by_hand=by_hand)
        self._on_progress([])
        return self._end_stretch()

    def _send_speech(self, chunk: bytes) -> Message:
        if not self._automatic_vad and not self._in_activity:
            self._in_activity, self._in_hand = True, chunk
            return client_messages.build_activity_start()
        self._stream_has_ended = False
        self._stats.heard_s += INPUT.duration_s(len(chunk))
        return client_messages.build_audio(chunk)

    def _end_stretch(self) -> Message | None:
        """Return what tells the server that the user has closed the microphone, if it does not know."""
        if self._automatic_vad:
            knows, self._stream_has_ended = self._stream_has_ended, True
            return None if knows else client_messages.build_audio_stream_end()
        was_active, self._in_activity = self._in_activity, False
        if was_active:
            self._stats.latency.asked(self._clock())
        return client_messages.build_activity_end() if was_active else None

    def _next_frame(self) -> Message | None:
        if self._frame is None:
            return None
        jpeg, self._frame = self._frame, None
        self._questions_from_s = 0.0
        return client_messages.build_video(jpeg)
