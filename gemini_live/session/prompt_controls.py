"""What a person does at the prompt, and what the status bar shows of a session.

Runs on the event loop. The prompt knows nothing else of a session.
"""

from collections.abc import Callable, Sequence

from ..config import Config
from ..conversation.conversation import Conversation
from ..conversation.outcomes import Outcome
from ..output import events
from ..output.events import Output
from ..output.help import is_command
from ..output.status import ConnectionState, Status, meter_cells
from .calls import Calls
from .commands import Commands
from .confirmations import Confirmations
from .dispatch import Dispatcher
from .function_commands import FunctionCommands
from .media import Media
from .stats import Stats


class PromptControls:
    """The keys, the typed lines and the status of one session."""

    def __init__(
        self,
        config: Config,
        voice: str | None,
        *,
        conversation: Conversation,
        dispatcher: Dispatcher,
        media: Media,
        stats: Stats,
        calls: Calls,
        function_commands: FunctionCommands,
        confirmations: Confirmations,
        commands: Commands,
        output: Output,
        apply: Callable[[Sequence[Outcome]], None],
        wake: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """Begin without a connection. Over 40 lines: its arguments and what they mean.

        Args:
            config: The model and the server, for the status.
            voice: The name of the model's voice; `None`: it does not speak.
            conversation: Is told of a stopped answer.
            dispatcher: Stops the playback.
            media: The microphone and what plays.
            stats: Measures the latency.
            calls: The running functions.
            function_commands: Runs functions that the user calls.
            confirmations: Reads lines that answer a question about a call.
            commands: Runs lines that begin with a slash.
            output: Shows what was done.
            apply: Writes outcomes of the conversation.
            wake: Tells the session that something has changed.
            clock: The loop's time in seconds.
        """
        self._config, self.voice = config, voice
        self._conversation, self._dispatcher, self._media = conversation, dispatcher, media
        self._stats, self._calls, self._commands, self._output = stats, calls, commands, output
        self._function_commands, self._confirmations = function_commands, confirmations
        self._apply, self._wake, self._clock = apply, wake, clock
        self._state, self._state_since_s = ConnectionState.CONNECTING, clock()

    async def take_typed(self, line: str) -> str:
        """Run a line that is a command or an answer; return the text to ask the model, and stop the playback for it."""
        if self._confirmations.take(line):
            self._output.emit(events.Commanded(line))
            return ""
        if is_command(line):
            self._apply(self._conversation.finish())  # a complete answer is printed above the command
            self._output.emit(events.Commanded(line))
        text = await self._commands.run(line)
        if text.strip():
            self._dispatcher.stop_playing()
            self._stats.latency.asked(self._clock())
        return text

    def toggle_microphone(self) -> None:
        """Mute or unmute the microphone: the talk key."""
        self._media.toggle_microphone()
        if self._media.microphone is None:  # else the status bar shows it
            self._output.emit(events.Reply(self._commands.describe_microphone()))

    def stop_answer(self) -> None:
        """Stop the playback, and drop the rest of the answer as it comes."""
        self._dispatcher.stop_playing()
        exchange = self._conversation.answer_stopped()
        if exchange is not None:
            self._output.emit(events.Stopped(exchange))
        self._wake()

    def cancel_calls(self) -> None:
        """Cancel the running functions; the model is told that the user cancelled its calls."""
        self._calls.cancel_by_user()
        self._function_commands.cancel()

    @property
    def is_calling(self) -> bool:
        """True while a function runs."""
        return bool(self._calls.running) or self._function_commands.is_calling

    @property
    def is_asking(self) -> bool:
        """True if a question about a call waits for an answer."""
        return self._confirmations.question is not None

    @property
    def function_names(self) -> list[str]:
        """The functions that `/call` can call."""
        return self._function_commands.names

    @property
    def is_answering(self) -> bool:
        """True if there is an answer to stop."""
        return self._media.queued_s > 0 or self._conversation.is_generating

    @property
    def queued_s(self) -> float:
        """How many seconds of the model's speech are still to be played."""
        return self._media.queued_s

    def status(self) -> Status:
        """Return what the status bar shows."""
        media, latency = self._media, self._stats.latency
        latency_s, asked_s, now_s = latency.last_s, latency.asked_s, self._clock()
        waits = asked_s is not None and self._conversation.has_unanswered
        calls = self._calls.running
        return Status(
            connection=self._state,
            since_s=int(now_s - self._state_since_s),
            server=self._config.server_name,
            waiting_s=int(now_s - asked_s) if waits and asked_s is not None else None,
            calls=tuple(name for name, _ in calls),
            calling_s=int(now_s - calls[0][1]) if calls else 0,
            microphone=media.microphone_state,
            microphone_cells=meter_cells(media.user_level.read_dbfs()),
            plays=media.speaker is not None,
            speaker_cells=meter_cells(media.model_level.read_dbfs()),
            queued_s=round(media.queued_s, 1),
            model=self._config.model,
            voice=self.voice,
            latency_s=None if latency_s is None else round(latency_s, 2),
            tokens=self._stats.tokens.total,
            sound_mode=media.sound_mode,
            erle_db=media.erle_db,
            unsent=tuple(self._conversation.unsent),
            question=self._confirmations.question,
        )

    def set_connection(self, state: ConnectionState) -> None:
        """Store the state of the connection, for the status bar."""
        if state is not self._state:
            self._state, self._state_since_s = state, self._clock()
