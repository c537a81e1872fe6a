"""The commands: typed lines that begin with a slash."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from gemini_live.config import Config
from gemini_live.errors import DeviceError
from gemini_live.functions.call import FunctionCaller
from gemini_live.output.events import Event, Reply, Summary
from gemini_live.output.help import COMMANDS, format_help
from gemini_live.output.status import MicrophoneState
from gemini_live.session import commands
from gemini_live.session.commands import Commands
from gemini_live.session.function_commands import FunctionCommands
from gemini_live.session.stats import Stats
from gemini_live.wire.events import Usage
from tests.fakes import FakeGrabber, FakePyAudio
from tests.session.test_media import Bench, write_chunks

posix = pytest.mark.skipif(sys.platform == "win32", reason="paths as a POSIX shell has them")


class Typed:
    """Commands on media that send nowhere, and what they replied."""

    def __init__(self, config: Config | None = None) -> None:
        self.bench = Bench(config or Config(audio_input=False), plays=False)
        self.replies: list[str] = []
        self.conversation = "you: hello\ngemini: Hi.\n"
        self.stats = Stats(0.0)
        self.n_quit = self.n_discarded = 0
        functions = FunctionCaller({}, schedules=False, timeout_s=1.0)
        self.recorded: list[tuple[Path, bool]] = []
        self._commands = Commands(
            self.bench.media,
            FunctionCommands(functions, [], self),
            self,
            summary=self._summarise,
            save_recording=lambda *saved: self.recorded.append(saved),
            save=lambda: self.conversation,
            discard_speech=self._discard_speech,
            quit_session=self._quit,
        )

    async def type(self, line: str) -> str:
        """Have a line done; return what of it is said to the model."""
        return await self._commands.run(line)

    async def reply_to(self, line: str) -> str:
        """Return the one reply to a command, which is not said to the model."""
        before = len(self.replies)
        assert await self.type(line) == ""
        (reply,) = self.replies[before:]
        return reply

    def emit(self, event: Event) -> None:
        """Keep a reply."""
        assert isinstance(event, Reply)
        self.replies.append(event.text)

    @asynccontextmanager
    async def with_devices(self) -> AsyncIterator[None]:
        async with self.bench.opened() as media:
            await media.start()
            yield

    def _summarise(self) -> Summary:
        return self.stats.summary(65.0)

    def _discard_speech(self) -> None:
        self.n_discarded += 1
        self.bench.media.discard_speech()

    def _quit(self) -> None:
        self.n_quit += 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, which is the present one and the user's home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


# What is a command


@pytest.mark.parametrize("line", ["hello", "", "  ", " /help", "1/2", "\\/help", "a\n/quit", "-/help", "\uff0fhelp"])
async def test_a_line_without_a_leading_slash_is_asked(line: str) -> None:
    typed = Typed()
    assert await typed.type(line) == line
    assert (typed.replies, typed.n_quit) == ([], 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [("//", "/"), ("//quit", "/quit"), ("///", "//"), ("// a remark\nand more", "/ a remark\nand more")],
)
async def test_a_line_with_two_slashes_is_asked_with_one(line: str, said: str) -> None:
    typed = Typed()
    assert await typed.type(line) == said
    assert (typed.replies, typed.n_quit) == ([], 0)


@pytest.mark.parametrize("line", ["/quit", "/QUIT", "/Quit  "])
async def test_commands_ignore_case_and_trailing_spaces(line: str) -> None:
    typed = Typed()
    assert await typed.type(line) == ""
    assert (typed.replies, typed.n_quit) == ([], 1)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("/hlep", "/help"),
        ("/sav x", "/save"),
        ("/exit", "/quit"),
        ("/SAV", "/save"),
        ("/nothing at all", None),
        ("/xyzzy", None),
        ("/", None),
    ],
)
async def test_an_unknown_command_is_refused_with_a_similar_one(line: str, meant: str | None) -> None:
    reply = await Typed().reply_to(line)
    assert reply.startswith(f"there is no command {line.partition(' ')[0].lower()}")
    assert ("did you mean" in reply) is (meant is not None)
    assert f"did you mean {meant}?" in reply or meant is None
    assert "/help" in reply


@pytest.mark.parametrize("usage", [usage for usage in COMMANDS if usage != "//"])
async def test_every_command_in_the_help_exists(
    usage: str, fake_pyaudio: FakePyAudio, fake_screen: type[FakeGrabber]
) -> None:
    typed = Typed()
    assert await typed.type(usage.partition(" ")[0]) == ""
    assert not any("there is no command" in reply for reply in typed.replies)


# What they do


async def test_help_shows_the_keys_and_commands() -> None:
    assert await Typed().reply_to("/help") == format_help()


async def test_stats_show_the_summary_so_far() -> None:
    typed = Typed()
    assert await typed.reply_to("/stats") == "session: 1:05; 0 answers; 0 reconnects"
    typed.stats.tokens.take(Usage(prompt_tokens=3, response_tokens=2))
    session, tokens = (await typed.reply_to("/stats")).split("\n")
    assert session.startswith("session: 1:05")
    assert tokens == "tokens, all turns: prompt 3 (other 3); response 2 (other 2); context now 3"


async def test_quit_ends_the_session_without_a_reply() -> None:
    typed = Typed()
    assert await typed.type("/quit") == ""
    assert (typed.replies, typed.n_quit) == ([], 1)


async def test_devices_are_listed(fake_pyaudio: FakePyAudio) -> None:
    assert "Fake" in await Typed().reply_to("/devices")


async def test_without_sound_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    assert "gemini-live[audio]" in await Typed().reply_to("/devices")


@pytest.mark.parametrize("argument", ["now", "/stats", "on"])
@pytest.mark.parametrize("command", [usage for usage in COMMANDS if " " not in usage and usage != "//"])
async def test_a_command_without_arguments_refuses_them(command: str, argument: str) -> None:
    typed = Typed()
    assert await typed.reply_to(f"{command} {argument}") == f"{command} takes no argument"
    assert typed.n_quit == 0


@pytest.mark.parametrize(
    ("lines", "reply", "state"),
    [
        (["/mute"], "microphone muted", MicrophoneState.MUTED),
        (["/MUTE on"], "microphone muted", MicrophoneState.MUTED),
        (["/mute on", "/mute on"], "microphone muted", MicrophoneState.MUTED),
        (["/mute", "/mute on"], "microphone muted", MicrophoneState.MUTED),
        (["/mute", "/mute"], "microphone on", MicrophoneState.LIVE),
        (["/mute off"], "microphone on", MicrophoneState.LIVE),
        (["/mute", "/mute off", "/mute  off"], "microphone on", MicrophoneState.LIVE),
        (["/mute loud"], f"/mute [on|off]: {COMMANDS['/mute [on|off]']}", MicrophoneState.LIVE),
        (["/mute on off"], f"/mute [on|off]: {COMMANDS['/mute [on|off]']}", MicrophoneState.LIVE),
    ],
)
async def test_mute_mutes_and_unmutes(
    fake_pyaudio: FakePyAudio, lines: list[str], reply: str, state: MicrophoneState
) -> None:
    typed = Typed(Config(audio_input=True))
    async with typed.with_devices():
        for line in lines:
            last = await typed.reply_to(line)
        assert (last, typed.bench.media.microphone_state) == (reply, state)
        assert typed.n_discarded == 0


@pytest.mark.parametrize("line", ["/mute", "/mute on"])
async def test_with_push_to_talk_mute_discards_the_current_speech(fake_pyaudio: FakePyAudio, line: str) -> None:
    typed = Typed(Config(audio_input=True, push_to_talk=True))
    async with typed.with_devices():
        for other in ("/mute", "/mute on", "/mute off"):
            assert await typed.reply_to(other) == "microphone muted; press Space or Ctrl-T to talk"
            assert typed.bench.media.microphone_state is MicrophoneState.TALK_KEY_UP
        assert typed.n_discarded == 0
        typed.bench.media.toggle_microphone()
        assert await typed.reply_to("/mute off") == "microphone on"
        assert typed.n_discarded == 0
        assert await typed.reply_to(line) == "microphone muted; what you said is discarded"
        assert typed.bench.media.microphone_state is MicrophoneState.TALK_KEY_UP
        assert typed.n_discarded == 1


async def test_without_a_microphone_mute_says_so(tmp_path: Path) -> None:
    assert await Typed().reply_to("/mute") == "there is no microphone"
    typed = Typed(Config(input_file=(write_chunks(tmp_path / "words.wav", 1),)))
    async with typed.with_devices():
        assert await typed.reply_to("/mute on") == "a sound file replaces the microphone"


# The screen


async def test_the_screen_is_shown_and_hidden(fake_screen: type[FakeGrabber]) -> None:
    typed = Typed(Config(monitor=2))
    for line, reply, is_running in (
        ("/screen on", "shown to the model: screen 2 at 1 fps", True),
        ("/screen   on", "shown to the model: screen 2 at 1 fps", True),
        ("/SCREEN off", "screen sharing is off", False),
        ("/screen off ", "screen sharing is off", False),
    ):
        assert await typed.reply_to(line) == reply
        assert [screen.is_running for screen in fake_screen.made] == [is_running]


@pytest.mark.parametrize("argument", ["", " ", " of", " on off", " 1"])
async def test_the_screen_command_with_a_wrong_argument_shows_its_usage(
    fake_screen: type[FakeGrabber], argument: str
) -> None:
    assert await Typed().reply_to(f"/screen{argument}") == f"/screen on|off: {COMMANDS['/screen on|off']}"
    assert fake_screen.made == []


async def test_a_screen_that_cannot_be_captured_is_reported_with_the_reason(fake_screen: type[FakeGrabber]) -> None:
    fake_screen.error = DeviceError("cannot capture the screen")
    typed = Typed()
    for _ in range(2):
        assert await typed.reply_to("/screen on") == "cannot capture the screen"
    assert await typed.reply_to("/screen off") == "screen sharing is off"


# Pictures


async def test_a_picture_is_shown_to_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (10, 10)).save(folder / "a picture.png")
    typed, shown = Typed(), list[bytes]()
    monkeypatch.setattr(typed.bench.uplink, "offer_picture", shown.append)
    assert await typed.reply_to("/image a picture.png") == "shown to the model: a picture.png"
    assert len(shown) == 1


@pytest.mark.parametrize("command", ["/image", "/image ", "/save", "/SAVE  "])
async def test_a_command_without_its_file_shows_its_usage(command: str) -> None:
    name = command.strip().lower()
    assert await Typed().reply_to(command) == f"{name} FILE: {COMMANDS[f'{name} FILE']}"


async def test_a_file_that_is_not_a_picture_is_reported_and_the_session_continues(folder: Path) -> None:
    (folder / "notes.txt").write_text("no picture")
    assert await Typed().reply_to("/image notes.txt") == "notes.txt is not a picture that can be read"
    assert (await Typed().reply_to("/image nothing.png")).startswith("nothing.png cannot be read: ")


async def test_without_pillow_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "gemini-live[screen]" in await Typed().reply_to("/image x.png")


# Files


async def test_the_conversation_is_saved_as_it_was_seen(folder: Path) -> None:
    typed = Typed()
    typed.conversation = "you: Grüße 日本\ngemini: 🎈\n"
    assert await typed.reply_to("/save talk.txt") == "saved: talk.txt"
    assert (folder / "talk.txt").read_text(encoding="utf-8").splitlines() == ["you: Grüße 日本", "gemini: 🎈"]


async def test_a_name_that_ends_in_jsonl_asks_for_a_recording(folder: Path) -> None:
    typed = Typed()
    for _ in range(2):
        reply = await typed.reply_to("/save talk.jsonl")
        assert reply == "saved: talk.jsonl (gemini-live inspect shows it)"
    assert typed.recorded == [(Path("talk.jsonl"), False), (Path("talk.jsonl"), True)]


async def test_save_does_not_overwrite_an_existing_file(folder: Path) -> None:
    (folder / "mine.txt").write_text("mine")
    assert await Typed().reply_to("/save mine.txt") == "mine.txt exists already: choose another name"
    assert (folder / "mine.txt").read_text() == "mine"


async def test_save_overwrites_a_file_that_it_wrote_before(folder: Path) -> None:
    typed = Typed()
    for typed.conversation in ("a longer conversation\n", "short\n"):
        assert await typed.reply_to("/save talk.txt") == "saved: talk.txt"
    assert (folder / "talk.txt").read_text() == "short\n"
    assert await Typed().reply_to("/save talk.txt") == "talk.txt exists already: choose another name"
    (folder / "talk.txt").unlink()
    assert await typed.reply_to("/save talk.txt") == "saved: talk.txt"
    assert (folder / "talk.txt").read_text() == "short\n"


@posix
@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("plain.txt", "plain.txt"),
        ("  plain.txt  ", "plain.txt"),
        ("with spaces in it.txt", "with spaces in it.txt"),
        ("'quoted name.txt'", "quoted name.txt"),
        ('"quoted name.txt"', "quoted name.txt"),
        ("dragged\\ here.txt", "dragged here.txt"),
        ("it\\'s.txt", "it's.txt"),
        ("it's.txt", "it's.txt"),
        ('5" floppy.txt', '5" floppy.txt'),
        ("#1.txt", "#1.txt"),
        ("Ümlaut 日本.txt", "Ümlaut 日本.txt"),
        ("~/home.txt", "home.txt"),
        ("~/home with spaces.txt", "home with spaces.txt"),
        ("$HOME.txt", "$HOME.txt"),
        ("*.txt", "*.txt"),
        ("./here.txt", "here.txt"),
        ("Case.TXT", "Case.TXT"),
    ],
)
async def test_a_path_is_read_as_in_a_shell_but_spaces_need_no_quotes(folder: Path, written: str, name: str) -> None:
    reply = await Typed().reply_to(f"/save {written}")
    assert reply.startswith("saved: ")
    assert os.listdir(folder) == [name]


@posix
@pytest.mark.parametrize("written", ["C:\\notes\\a talk.txt", '"C:\\notes\\a talk.txt"'])
async def test_on_windows_a_backslash_is_part_of_a_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setattr(commands, "os", SimpleNamespace(name="nt", path=os.path))
    await Typed().reply_to(f"/save {written}")
    assert os.listdir(folder) == ["C:\\notes\\a talk.txt"]


@posix
@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("no/such/folder.txt", "no/such/folder.txt cannot be written: No such file or directory"),
        (".", ". exists already: choose another name"),
        ("~nobody-of-that-name/x", "~nobody-of-that-name/x cannot be written: No such file or directory"),
        ("x" * 300, f"{'x' * 300} cannot be written: File name too long"),
    ],
)
async def test_a_file_that_cannot_be_written_is_reported_with_the_reason(
    folder: Path, argument: str, reply: str
) -> None:
    typed = Typed()
    assert await typed.reply_to(f"/save {argument}") == reply
    assert os.listdir(folder) == []
    assert await typed.reply_to("/save other.txt") == "saved: other.txt"


async def test_a_name_that_no_file_can_have_is_a_reply(folder: Path) -> None:
    reply = await Typed().reply_to("/save a\0b")
    assert reply.startswith("a\0b cannot be written: ")


async def test_a_file_that_was_written_in_part_may_be_overwritten(folder: Path) -> None:
    typed = Typed()
    typed.conversation = "half a character \ud83d\n"
    assert await typed.reply_to("/save talk.txt") == "saved: talk.txt"
    assert (folder / "talk.txt").read_text() == "half a character \\ud83d\n"
