"""The sources of questions, and their ends: the initial message, lines, sound files, the microphone.

Runs on the event loop. The inputs of a script are asked one after the other; typed lines are asked at once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from ..config import Config
from ..conversation.conversation import Conversation
from ..errors import ConfigError
from ..wire.setup_facts import missing_for_lines
from .media import Media
from .uplink import Uplink

MAX_WAITING_LINES = 100
"""If this many lines of a pipe wait for their answers, no more lines are read."""


class Inputs:
    """The inputs of one session."""

    def __init__(
        self,
        config: Config,
        conversation: Conversation,
        uplink: Uplink,
        media: Media,
        *,
        piped: AsyncIterator[str] | None,
        typed: AsyncIterator[str] | None,
        take_typed: Callable[[str], Awaitable[str]],
        live: asyncio.Event,
        next_change: Callable[[], Awaitable[None]],
        wake: Callable[[], None],
        warn: Callable[[str], None],
    ) -> None:
        """Prepare; read nothing yet.

        Args:
            config: The user's settings.
            conversation: Gets the questions.
            uplink: Gets the end of each sound file and of the microphone.
            media: Owns the sound files and the microphone, once they are open.
            piped: The lines of a script.
            typed: The lines that a person types.
            take_typed: Called with each typed line; returns the text to ask, which is empty for a command.
            live: Set while there is a connection.
            next_change: Waits until the state of the session changes.
            wake: Called after a change of the state.
            warn: Called with one line about an input that cannot be read, or is probably a mistake.
        """
        self._config, self._conversation, self._uplink, self._media = config, conversation, uplink, media
        self._piped, self._typed, self._take_typed = piped, typed, take_typed
        self._live, self._next_change, self._wake, self._warn = live, next_change, wake, warn
        self._line_warning = missing_for_lines(config)
        self._open: set[str] = set()
        self.failure: ConfigError | None = None
        """Why stdin could not be read to its end; reported when the lines before are answered."""

    @property
    def has_more_to_ask(self) -> bool:
        """True if the initial message or a sound file was not asked yet."""
        return bool(self._open & {"initial message", "file"})

    def find(self) -> None:
        """Find out which inputs there are. Must be called after the media are open."""
        present = {
            "initial message": self._config.initial_message is not None,
            "stdin": self._piped is not None or self._typed is not None,
            "file": bool(self._media.input_files),
            "microphone": self._media.microphone is not None,
        }
        self._open = {name for name, is_there in present.items() if is_there}
        self._conversation.hears_user = bool(self._open & {"file", "microphone"})
        if not self._open:
            self._warn("there is nothing to ask: give --initial-message, a pipe, --input-file or --audio-input")
            self._conversation.inputs_ended = True

    def tasks(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return the coroutine functions that read the inputs; they run concurrently."""
        return [self._give_script] if self._typed is None else [self._give_script, self._give_typed_lines]

    def end_microphone(self, *, by_hand: bool) -> None:
        """Stop the microphone if it is on; `by_hand`: the user has ended it, or the device has failed."""
        if "microphone" in self._open:
            self._media.stop_microphone()
            self._uplink.end_audio(by_hand=by_hand)
            self._end("microphone")

    def _end(self, name: str) -> None:
        self._open.discard(name)
        if not self._open:
            self._conversation.inputs_ended = True
        self._wake()

    async def _give_script(self) -> None:
        """Ask the initial message, then the lines of a pipe, then the sound files, one after the other."""
        await self._live.wait()
        if self._config.initial_message is not None:
            await asyncio.sleep(self._config.initial_message_delay_s)
            self._conversation.add_question(self._config.initial_message, waits=True)
            self._end("initial message")
        if self._piped is not None:
            is_empty = True
            async for line in self._read(self._piped):
                is_empty = is_empty and not line.strip()
                self._add_line(line, waits=True)
                while self._conversation.n_waiting >= MAX_WAITING_LINES:
                    await self._next_change()
            if is_empty and self._open == {"stdin"} and self._config.initial_message is None and self.failure is None:
                self._warn("stdin is empty: there is nothing to ask")
            self._end("stdin")
        for file in self._media.input_files:
            while not self._is_answered:
                await self._next_change()
            await self._media.give_file(file, self._live)
            self._uplink.end_audio(by_hand=False)
        self._end("file")

    @property
    def _is_answered(self) -> bool:
        """True if every line and sound file so far has its answer, or its answer is no longer expected."""
        conversation = self._conversation
        awaits_voice = self._uplink.ends_audio or conversation.awaits_voice
        return conversation.is_quiet and not conversation.has_unanswered and not awaits_voice

    async def _give_typed_lines(self) -> None:
        async for line in self._read(self._typed):
            self._add_line(await self._take_typed(line), waits=False)
        # Ctrl-D ends every input except the initial message, which is still asked.
        self.end_microphone(by_hand=True)
        for name in ("stdin", "file"):
            self._end(name)

    async def _read(self, lines: AsyncIterator[str] | None) -> AsyncIterator[str]:
        assert lines is not None
        try:
            async for line in lines:
                yield line
        except OSError as error:
            if lines is self._piped:
                self.failure = ConfigError(f"stdin cannot be read: {error.strerror}")
            else:  # the terminal is gone
                self._warn(f"stdin cannot be read: {error.strerror}")

    def _add_line(self, line: str, *, waits: bool) -> None:
        if line.strip():
            self._warn_of_lines()
            self._conversation.add_question(line, waits=waits)
            self._wake()

    def _warn_of_lines(self) -> None:
        """Warn once if the model is known not to accept typed lines."""
        warning, self._line_warning = self._line_warning, None
        if warning is not None:
            self._warn(warning)
