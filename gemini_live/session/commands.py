"""The commands: typed lines that begin with a slash. `help.py` has the table of them.

Runs on the event loop. Only `/image` and `/screen` send anything to the model.
"""

import asyncio
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
from .function_commands import FunctionCommands
from .media import Media


class _WrongArgument(Exception):
    """The argument of a command is not one that it accepts."""


class Commands:
    """The commands of one session."""

    def __init__(
        self,
        media: Media,
        functions: FunctionCommands,
        output: Output,
        *,
        summary: Callable[[], Summary],
        save: Callable[[], str],
        save_recording: Callable[[Path, bool], None],
        discard_speech: Callable[[], None],
        quit_session: Callable[[], None],
    ) -> None:
        """Prepare the commands. Over 40 lines: its arguments and what they mean.

        Args:
            media: The microphone, the screen and the devices.
            functions: The commands about functions.
            output: Shows the replies.
            summary: Returns the statistics of the session so far.
            save: Returns the conversation as it was shown.
            save_recording: Writes the session so far to a file, in a worker thread; True: this session wrote it before.
            discard_speech: Mutes the microphone and discards what is being said with the talk key.
            quit_session: Ends the session.
        """
        self._media, self._output = media, output
        self._save_recording = save_recording
        self._summary, self._save, self._discard_speech, self._quit = summary, save, discard_speech, quit_session
        self._saved: set[Path] = set()
        """The files that this session created, and may overwrite."""
        self._commands: dict[str, Callable[[str], Awaitable[str | None]]] = {
            "/help": self._help,
            "/mute": self._mute,
            "/stats": self._stats,
            "/devices": self._devices,
            "/image": self._image,
            "/screen": self._screen,
            "/tools": functions.list_tools,
            "/call": functions.call,
            "/reload": functions.reload,
            "/save": self._save_file,
            "/quit": self._leave,
        }

    async def run(self, line: str) -> str:
        """Run a typed line if it is a command; return the text that is to be sent to the model, else an empty one."""
        if not is_command(line):
            return line.removeprefix(COMMAND_MARK)
        name, _, argument = line.strip().partition(" ")
        name, argument = name.lower(), argument.strip()
        command = self._commands.get(name)
        if command is None:
            self._output.emit(Reply(_suggest(name)))
            return ""
        usage = next(usage for usage in COMMANDS if name_of(usage) == name)
        try:
            is_refused = argument and usage == name
            reply = f"{name} takes no argument" if is_refused else await command(argument)
        except _WrongArgument:
            reply = f"{usage}: {COMMANDS[usage]}"
        except GeminiLiveError as error:
            reply = str(error)
        if reply is not None:
            self._output.emit(Reply(reply))
        return ""

    async def _help(self, argument: str) -> str:
        return format_help()

    async def _mute(self, argument: str) -> str:
        if argument not in {"", "on", "off"}:
            raise _WrongArgument
        state = self._media.microphone_state
        if state is MicrophoneState.TALKING and argument != "off":
            self._discard_speech()
            return "microphone muted; what you said is discarded"
        if state not in {MicrophoneState.TALKING, MicrophoneState.TALK_KEY_UP}:
            is_muted = state is MicrophoneState.MUTED
            if is_muted is not (argument == "on" if argument else not is_muted):
                self._media.toggle_microphone()
        return self.describe_microphone()

    def describe_microphone(self) -> str:
        """Return what happens to the user's voice, in words."""
        return {
            MicrophoneState.OFF: "there is no microphone",
            MicrophoneState.FILE: "a sound file replaces the microphone",
            MicrophoneState.MUTED: "microphone muted",
            MicrophoneState.TALK_KEY_UP: "microphone muted; press Space or Ctrl-T to talk",
        }.get(self._media.microphone_state, "microphone on")

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
            raise _WrongArgument
        await self._media.set_screen(on=argument == "on")
        shown = self._media.describe_screen()
        return "screen sharing is off" if shown is None else f"shown to the model: {shown}"

    async def _save_file(self, argument: str) -> str:
        path = _read_path(argument)
        if path.suffix.lower() == ".jsonl":
            return await self._save_as_recording(path)
        try:
            with path.open("w" if path in self._saved else "x", encoding="utf-8", errors="backslashreplace") as file:
                self._saved.add(path)
                file.write(self._save())
        except FileExistsError:
            return f"{path} exists already: choose another name"
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            return f"{path} cannot be written: {getattr(error, 'strerror', None) or error}"
        return f"saved: {path}"

    async def _save_as_recording(self, path: Path) -> str:
        try:
            await asyncio.to_thread(self._save_recording, path, path in self._saved)
        except FileExistsError:
            return f"{path} exists already: choose another name"
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            return f"{path} cannot be written: {getattr(error, 'strerror', None) or error}"
        self._saved.add(path)
        return f"saved: {path} (gemini-live inspect shows it)"

    async def _leave(self, argument: str) -> None:
        self._quit()


def _read_path(argument: str) -> Path:
    """Return the path in an argument.

    Quotes and backslashes mean what they mean in a shell, because terminals write a file that is dragged into them in
    that way; but a path with spaces needs no quotes.
    """
    if not argument:
        raise _WrongArgument
    try:
        words = shlex.split(argument) if os.name == "posix" else [argument.strip('"')]
    except ValueError:  # a single quote, as in "it's.txt"
        words = []
    return Path(os.path.expanduser(words[0] if len(words) == 1 else argument))


def _suggest(name: str) -> str:
    """Return the reply to an unknown command."""
    similar = get_close_matches(name, [name_of(usage) for usage in COMMANDS if is_command(usage)], n=1)
    meant = f"; did you mean {similar[0]}?" if similar else ""
    return f"there is no command {name}{meant} (/help lists the commands; to send a line that begins with /, type //)"
