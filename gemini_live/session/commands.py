"""What a person at the terminal can have done by a line that begins with a slash.

Runs on the event loop. `help.py` has the words; nothing here is ever said to the model but by `/image` and `/screen`.
"""

import os
import shlex
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from pathlib import Path

from ..errors import GeminiLiveError
from ..output.events import Output, Reply, Summary
from ..output.help import COMMAND_MARK, COMMANDS, format_help, is_command, name_of
from ..output.status import MicrophoneState
from ..output.summary import format_summary
from .media import Media


class _Misused(Exception):
    """A command was given something that it does not take."""


class Commands:
    """The commands of one session."""

    def __init__(
        self,
        media: Media,
        output: Output,
        *,
        summary: Callable[[], Summary],
        save: Callable[[], str],
        quit_session: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            media: What they switch.
            output: Takes the replies.
            summary: Returns what the session amounts to.
            save: Returns the conversation as the person has seen it.
            quit_session: Ends the session.
        """
        self._media, self._output = media, output
        self._summary, self._save, self._quit = summary, save, quit_session
        self._saved: set[Path] = set()
        """The files that this session has made, and may write over."""
        self._commands: dict[str, Callable[[str], Awaitable[str | None]]] = {
            "/help": self._help,
            "/mute": self._mute,
            "/stats": self._stats,
            "/devices": self._devices,
            "/image": self._image,
            "/screen": self._screen,
            "/save": self._save_file,
            "/quit": self._leave,
        }

    async def run(self, line: str) -> str:
        """Do what a typed line says, if it is a command; return what of it is to be said to the model."""
        if not is_command(line):
            return line.removeprefix(COMMAND_MARK)
        name, _, argument = line.strip().partition(" ")
        command = self._commands.get(name.lower())
        if command is None:
            self._output.emit(Reply(_hint(name)))
            return ""
        try:
            reply = await command(argument.strip())
        except _Misused:
            usage = next(usage for usage in COMMANDS if name_of(usage) == name.lower())
            reply = f"{usage}: {COMMANDS[usage]}"
        except GeminiLiveError as error:
            reply = str(error)
        if reply is not None:
            self._output.emit(Reply(reply))
        return ""

    async def _help(self, argument: str) -> str:
        return format_help()

    async def _mute(self, argument: str) -> str:
        return self.toggle_microphone()

    def toggle_microphone(self) -> str:
        """Mute the microphone, or open it again; return what became of it."""
        self._media.toggle_microphone()
        return {
            MicrophoneState.OFF: "there is no microphone",
            MicrophoneState.FILE: "a file is played in place of the microphone",
            MicrophoneState.MUTED: "you are not heard",
            MicrophoneState.TALK_KEY_UP: "you are not heard",
        }.get(self._media.microphone_state, "you are heard")

    async def _stats(self, argument: str) -> str:
        return "\n".join(format_summary(self._summary()))

    async def _devices(self, argument: str) -> str:
        return await self._media.list_devices()

    async def _image(self, argument: str) -> str:
        path = _read_path(argument)
        await self._media.show_picture(path)
        return f"shown to the model: {path}"

    async def _screen(self, argument: str) -> str:
        if argument not in {"on", "off"}:
            raise _Misused
        await self._media.set_screen(on=argument == "on")
        shown = self._media.describe_screen()
        return "the screen is not shown" if shown is None else f"shown to the model: {shown}"

    async def _save_file(self, argument: str) -> str:
        path = _read_path(argument)
        try:
            with path.open("w" if path in self._saved else "x", encoding="utf-8", errors="backslashreplace") as file:
                self._saved.add(path)
                file.write(self._save())
        except FileExistsError:
            return f"{path} is there already: choose another name"
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            return f"{path} cannot be written: {getattr(error, 'strerror', None) or error}"
        return f"saved: {path}"

    async def _leave(self, argument: str) -> None:
        self._quit()


def _read_path(argument: str) -> Path:
    if not argument:
        raise _Misused
    # As a shell would take it, for so is a path written that is dragged into a terminal; but spaces need no quotes.
    try:
        words = shlex.split(argument) if os.name == "posix" else [argument.strip('"')]
    except ValueError:
        words = []
    return Path(os.path.expanduser(words[0] if len(words) == 1 else argument))


def _hint(name: str) -> str:
    similar = get_close_matches(name.lower(), [name_of(usage) for usage in COMMANDS if is_command(usage)], n=1)
    meant = f"; did you mean {similar[0]}?" if similar else ""
    return f"there is no command {name}{meant} (/help lists them; // begins a line with a slash)"
