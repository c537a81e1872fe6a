"""What brings the questions: in which order, how far ahead, and when there are no more."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gemini_live.config import Config
from gemini_live.conversation.outcomes import Question
from gemini_live.models import ModelCapabilities
from gemini_live.session import inputs as inputs_module
from gemini_live.session.inputs import Inputs
from gemini_live.session.media import Media
from gemini_live.session.speech import UserSpeech
from tests.accelerated import run_accelerated
from tests.fakes import FakePyAudio
from tests.session import test_uplink as uplink_bench
from tests.session.test_media import write_chunks
from tests.session.test_uplink import kinds, settle, texts

WAIT_S = 10


class Lines:
    """What is typed, or comes through a pipe, as a test gives it."""

    def __init__(self) -> None:
        self._given: asyncio.Queue[str | OSError | None] = asyncio.Queue()
        self.n_read = 0

    def give(self, *lines: str) -> None:
        for line in lines:
            self._given.put_nowait(line)

    def fail(self, number: int) -> None:
        self._given.put_nowait(OSError(number, os.strerror(number)))

    def end(self) -> None:
        self._given.put_nowait(None)

    async def read(self) -> AsyncIterator[str]:
        while (line := await self._given.get()) is not None:
            if isinstance(line, OSError):
                raise line
            self.n_read += 1
            yield line


class Sending(uplink_bench.Bench):
    """An uplink that tells of each question that it sends, as that of a session does."""

    def __init__(self, capabilities: ModelCapabilities, on_change: Callable[[], None]) -> None:
        super().__init__(capabilities, words_trail=False)
        self._on_change = on_change

    def _on_asked(self, question: Question) -> None:
        super()._on_asked(question)
        self._on_change()


class Bench:
    """`Inputs` with a conversation and an uplink of their own, on a connection that collects what is sent."""

    def __init__(
        self, config: Config | None = None, *, piped: bool = False, typed: bool = False, live: bool = True
    ) -> None:
        config = config or Config(audio_input=False)
        self.piped, self.typed = Lines(), Lines()
        self.warnings: list[str] = []
        self.taken: list[str] = []
        self.live = asyncio.Event()
        if live:
            self.live.set()
        self.uplink = Sending(uplink_bench.LIVE_3_1, self.wake)
        self.conversation = self.uplink.conversation
        self._changed = asyncio.Event()
        self.media = Media(
            config,
            self.uplink.uplink,
            UserSpeech(self.uplink.stats.latency),
            record_event=lambda *_, **__: None,
            plays=False,
            listens=False,
            shows_levels=False,
            warn=self.warnings.append,
            on_sound_mode=lambda _: None,
            on_microphone_lost=lambda: None,
            on_speaker_lost=lambda: None,
        )
        self.inputs = Inputs(
            config,
            self.conversation,
            self.uplink.uplink,
            self.media,
            piped=self.piped.read() if piped else None,
            typed=self.typed.read() if typed else None,
            take_typed=self._take,
            live=self.live,
            next_change=self._next_change,
            wake=self.wake,
            warn=self.warnings.append,
        )

    @property
    def asked(self) -> list[str]:
        return texts(self.uplink.peer)

    def wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        self.uplink.uplink.wake()

    def answer(self) -> None:
        """Have the server answer what is open."""
        self.uplink.answer()
        self.wake()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Give the inputs; what does not end by itself is cancelled at the end of the block."""
        await self.media.open()
        try:
            self.inputs.find()
            async with self.uplink.connected():
                tasks = [asyncio.ensure_future(give()) for give in self.inputs.tasks()]
                await settle()
                yield
                await settle()
                for task in tasks:
                    if task.done():
                        task.result()
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self.media.close()

    async def _take(self, line: str) -> str:
        """Take a line as commands do: those that begin with a slash are done, not said."""
        self.taken.append(line)
        await asyncio.sleep(0)
        return "" if line.startswith("/") else line.removeprefix("!")

    async def _next_change(self) -> None:
        await self._changed.wait()


# Which there are


@pytest.mark.parametrize(
    ("settings", "stdin", "n_tasks", "hears"),
    [
        ({"initial_message": "hello"}, None, 1, False),
        ({}, "piped", 1, False),
        ({}, "typed", 2, False),
        ({"audio_input": True}, None, 1, True),
        ({"initial_message": "hello", "audio_input": True}, "typed", 2, True),
    ],
)
async def test_every_source_of_questions_is_an_input(
    fake_pyaudio: FakePyAudio, settings: dict[str, Any], stdin: str | None, n_tasks: int, hears: bool
) -> None:
    config = Config(**{"audio_input": False, **settings})
    bench = Bench(config, piped=stdin == "piped", typed=stdin == "typed")
    await bench.media.open()
    bench.inputs.find()
    await bench.media.close()
    assert len(bench.inputs.tasks()) == n_tasks
    assert bench.conversation.hears_user is hears
    assert not bench.conversation.inputs_ended
    assert bench.warnings == []


async def test_without_any_input_a_warning_is_shown_and_the_inputs_have_ended() -> None:
    bench = Bench()
    async with bench.running():
        assert bench.conversation.inputs_ended
        assert not bench.conversation.hears_user
    assert bench.warnings == ["there is nothing to ask: give --initial-message, a pipe, --input-file or --audio-input"]


async def test_a_missing_microphone_is_not_an_input(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.devices = ()
    bench = Bench(Config(audio_input=None))
    async with bench.running():
        assert bench.conversation.inputs_ended


# The initial message


async def test_the_initial_message_is_asked_once_there_is_a_connection() -> None:
    bench = Bench(Config(initial_message="hello", audio_input=False), live=False)
    async with bench.running():
        assert bench.conversation.n_waiting == 0
        assert not bench.conversation.inputs_ended
        bench.live.set()
        await settle()
        assert bench.asked == ["hello"]
        assert bench.conversation.inputs_ended


def test_the_initial_message_waits_for_its_delay() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        bench = Bench(Config(initial_message="hello", initial_message_delay_s=7.5, audio_input=False), live=False)
        async with bench.running():
            await asyncio.sleep(100)
            before_s = loop.time()
            bench.live.set()
            await bench.uplink.peer.until(1)
            assert loop.time() - before_s == pytest.approx(7.5, abs=0.01)
        assert bench.asked == ["hello"]

    run_accelerated(main())


async def test_the_initial_message_waits_for_the_answer_to_what_was_typed_before_it() -> None:
    bench = Bench(Config(initial_message="zero", audio_input=False), typed=True, live=False)
    async with bench.running():
        bench.typed.give("typed")
        await settle()
        bench.live.set()
        await settle()
        assert bench.asked == ["typed"]
        bench.answer()
        await settle()
        assert bench.asked == ["typed", "zero"]


async def test_an_empty_initial_message_is_asked() -> None:
    bench = Bench(Config(initial_message="", audio_input=False))
    async with bench.running():
        assert bench.asked == [""]


# A pipe


async def test_piped_lines_follow_the_initial_message_each_after_the_previous_answer() -> None:
    bench = Bench(Config(initial_message="zero", audio_input=False), piped=True)
    bench.piped.give("one", "", "  ", "two")
    bench.piped.end()
    async with bench.running():
        for number in range(1, 4):
            assert bench.asked == ["zero", "one", "two"][:number]
            bench.answer()
            await settle()
        assert bench.conversation.inputs_ended
    assert bench.taken == []  # nothing in a script is a command


async def test_a_pipe_is_an_input_until_its_end() -> None:
    bench = Bench(piped=True)
    async with bench.running():
        bench.piped.give("one")
        await settle()
        bench.answer()
        await settle()
        assert not bench.conversation.inputs_ended
        bench.piped.end()
        await settle()
        assert bench.conversation.inputs_ended


async def test_a_pipe_is_read_ahead_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_module, "MAX_WAITING_LINES", 3)
    bench = Bench(piped=True)
    bench.piped.give(*map(str, range(10)))
    async with bench.running():
        for n_answers in range(4):
            assert len(bench.asked) == 1 + n_answers
            assert bench.conversation.n_waiting == 3
            assert bench.piped.n_read == 4 + n_answers
            bench.answer()
            await settle()


@pytest.mark.parametrize("typed", [False, True])
async def test_an_unreadable_stdin_ends_and_is_reported(typed: bool) -> None:
    bench = Bench(Config(initial_message="zero", audio_input=False), piped=not typed, typed=typed)
    lines = bench.typed if typed else bench.piped
    lines.give("one")
    lines.fail(errno.EIO)
    async with bench.running():
        bench.answer()
        await settle()
        assert sorted(bench.asked) == ["one", "zero"]
        assert bench.conversation.inputs_ended
    why = f"stdin cannot be read: {os.strerror(errno.EIO)}"
    failure = bench.inputs.failure
    # A terminal may have been closed; a script has to know that not everything was asked.
    assert (bench.warnings, failure and str(failure)) == (([why], None) if typed else ([], why))


# A person


async def test_typed_lines_are_asked_at_once_and_commands_are_not() -> None:
    bench = Bench(typed=True)
    async with bench.running():
        bench.typed.give("one", "/mute", "!two", " ")
        await settle()
        assert bench.asked == ["one", "two"]
        assert bench.taken == ["one", "/mute", "!two", " "]
        assert not bench.conversation.inputs_ended


async def test_typed_lines_do_not_wait_for_a_connection() -> None:
    bench = Bench(typed=True, live=False)
    async with bench.running():
        bench.typed.give("/devices", "one")
        await settle()
        assert bench.taken == ["/devices", "one"]


async def test_ctrl_d_ends_every_input(fake_pyaudio: FakePyAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, told = Bench(Config(audio_input=True), typed=True), list[bool]()
    monkeypatch.setattr(bench.conversation, "audio_ended", lambda _now_s, *, by_hand: told.append(by_hand))
    async with bench.running():
        assert bench.media.microphone is not None
        bench.typed.end()
        await settle()
        assert bench.media.microphone is None
        assert bench.conversation.inputs_ended
        assert kinds(bench.uplink.peer) == []  # nothing was heard
    assert told == [True]


async def test_the_initial_message_is_asked_after_ctrl_d() -> None:
    bench = Bench(Config(initial_message="first", audio_input=False), typed=True, live=False)
    async with bench.running():
        bench.typed.end()
        await settle()
        assert not bench.conversation.inputs_ended
        bench.live.set()
        await settle()
        assert bench.asked == ["first"]
        assert bench.conversation.inputs_ended


async def test_ctrl_d_does_not_wait_for_the_end_of_a_file(tmp_path: Path) -> None:
    bench = Bench(Config(input_file=(write_chunks(tmp_path / "words.wav", 500),)), typed=True)
    async with bench.running():
        bench.typed.end()
        await settle()
        assert bench.conversation.inputs_ended


async def test_commands_run_however_many_lines_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs_module, "MAX_WAITING_LINES", 3)
    bench = Bench(typed=True)
    bench.uplink.uplink.holds_questions = True
    async with bench.running():
        bench.typed.give(*map(str, range(10)), "/quit")
        await settle()
        assert bench.conversation.n_waiting == 10
        assert bench.taken[-1] == "/quit"


async def test_the_end_of_a_file_does_not_end_typed_input(tmp_path: Path) -> None:
    bench = Bench(Config(input_file=(write_chunks(tmp_path / "words.wav", 1),)), typed=True)
    async with bench.running():
        await bench.uplink.peer.until(2)
        await settle()
        assert kinds(bench.uplink.peer) == ["audio", "audioStreamEnd"]
        assert not bench.conversation.inputs_ended
        bench.typed.give("and now?")
        await settle()
        assert bench.asked == ["and now?"]


# A sound file


async def test_a_sound_file_counts_as_the_users_voice(tmp_path: Path) -> None:
    bench = Bench(Config(input_file=(write_chunks(tmp_path / "words.wav", 1),)))
    async with bench.running():
        assert bench.conversation.hears_user


async def test_a_sound_file_is_played_after_all_lines_are_answered(tmp_path: Path) -> None:
    path = write_chunks(tmp_path / "words.wav", 2)
    bench = Bench(Config(input_file=(path,), initial_message="zero"), piped=True)
    bench.piped.give("one")
    bench.piped.end()
    async with bench.running():
        for n_questions in (1, 2):
            assert kinds(bench.uplink.peer) == ["text"] * n_questions
            bench.answer()
            await settle()
        await bench.uplink.peer.until(5)
        await settle()
        assert kinds(bench.uplink.peer) == ["text", "text", "audio", "audio", "audioStreamEnd"]
        assert bench.conversation.inputs_ended


async def test_the_end_of_a_sound_file_is_not_the_users_doing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, told = Bench(Config(input_file=(write_chunks(tmp_path / "words.wav", 1),))), list[bool]()
    monkeypatch.setattr(bench.conversation, "audio_ended", lambda _now_s, *, by_hand: told.append(by_hand))
    async with bench.running():
        await bench.uplink.peer.until(2)
    assert told == [False]


# The microphone


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_microphone_ends_once(
    fake_pyaudio: FakePyAudio, monkeypatch: pytest.MonkeyPatch, by_hand: bool
) -> None:
    bench, told = Bench(Config(audio_input=True)), list[bool]()
    monkeypatch.setattr(bench.conversation, "audio_ended", lambda _now_s, *, by_hand: told.append(by_hand))
    async with bench.running():
        for _ in range(2):
            bench.inputs.end_microphone(by_hand=by_hand)
            await settle()
        assert bench.media.microphone is None
        assert bench.conversation.inputs_ended
    assert told == [by_hand]


async def test_ending_a_missing_microphone_does_nothing() -> None:
    bench = Bench(typed=True)
    async with bench.running():
        bench.inputs.end_microphone(by_hand=True)
        await settle()
        assert not bench.uplink.uplink.ends_audio
        assert bench.uplink.peer.sent == []


async def test_a_microphone_is_an_input_beside_what_is_typed(fake_pyaudio: FakePyAudio) -> None:
    bench = Bench(Config(audio_input=True), typed=True)
    async with bench.running():
        bench.inputs.end_microphone(by_hand=False)
        await settle()
        assert not bench.conversation.inputs_ended
        bench.typed.end()
        await settle()
        assert bench.conversation.inputs_ended


# Models that take no lines


@pytest.mark.parametrize("typed", [False, True])
async def test_a_model_without_typed_input_is_warned_about_once(typed: bool) -> None:
    config = Config(model="gemini-3.5-transcribe-live", audio_input=False)
    bench = Bench(config, piped=not typed, typed=typed)
    lines = bench.typed if typed else bench.piped
    async with bench.running():
        lines.give("", *(["/help"] if typed else []))
        await settle()
        before = list(bench.warnings)
        lines.give("one", "two")
        await settle()
    assert before == []
    assert bench.warnings == ["gemini-3.5-transcribe-live probably does not accept typed text (stdin)"]
