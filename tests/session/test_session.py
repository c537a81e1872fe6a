"""Whole sessions in one loop with the simulator, over a real WebSocket, with the waiting times shortened."""

import asyncio
import io
import os
import threading
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gemini_live.config import DEFAULT_MODEL, Config
from gemini_live.conversation.timings import Timings
from gemini_live.errors import ConfigError, ConnectionFailed, DeviceError, NotAnsweredError, SessionClosed
from gemini_live.functions.call import FunctionCaller
from gemini_live.models import MODELS, capabilities_of
from gemini_live.output.events import Event
from gemini_live.output.status import ConnectionState, MicrophoneState
from gemini_live.process.daemon_executor import DaemonExecutor
from gemini_live.session import inputs as inputs_module
from gemini_live.session import link as link_module
from gemini_live.session import recovery
from gemini_live.session.session import Session
from gemini_live.simulator import SessionRecord, Simulator
from tests.accelerated import run_accelerated
from tests.fakes import FakePyAudio
from tests.functions.loading import globals_of, load_functions
from tests.told import describe

TEXT_MODEL = "gemini-robotics-er-2-streaming-preview"
LIVENESS_S = 30.0
KEY = "a-key-of-no-one-at-all"
QUICK = Timings(
    missing_turn_complete_s=0.4,
    after_interruption_s=0.4,
    empty_turn_s=0.4,
    no_answer_s=0.3,
    after_call_s=0.4,
    silence_s=0.6,
    after_audio_end_s=0.5,
    after_last_word_s=0.2,
    late_transcript_s=0.2,
)

FUNCTIONS = '''
import asyncio
import threading

cancelled = []
released = threading.Event()

def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b

def fail() -> str:
    """Fail."""
    raise ValueError("no luck")

def hang() -> str:
    """Never end by itself."""
    released.wait()
    return "late"

async def wait() -> str:
    """Never end."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled.append("wait")
        raise
    return "never"
'''


class Written:
    """Stands in for a terminal: keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, tuple[Any, ...]]] = []
        self.session: asyncio.Task[Written] | None = None
        self._changed = asyncio.Event()

    def emit(self, event: Event) -> None:
        """Keep an event."""
        kind, *args = describe(event)
        self.events.append((kind, tuple(args)))
        self._changed.set()

    def of(self, kind: str) -> list[Any]:
        """Return the first argument of every event of a kind."""
        return [args[0] for name, args in self.events if name == kind]

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    async def wait_for(self, kind: str, n: int = 1) -> None:
        """Wait for the n-th event of a kind."""
        async with asyncio.timeout(LIVENESS_S):
            while len(self.of(kind)) < n:
                if self.session is not None and self.session.done():
                    self.session.result()
                    pytest.fail(f"the session has ended without a {kind}: {self.events}")
                self._changed.clear()
                await self._changed.wait()

    def belong_to(self, session: "asyncio.Task[Written]") -> None:
        """Have `wait_for` notice that the session has ended."""
        self.session = session
        session.add_done_callback(lambda _: self._changed.set())


class Lines:
    """A stdin that a test writes to."""

    def __init__(self) -> None:
        receiver, self._sender = os.pipe()
        self.stream = os.fdopen(receiver, encoding="utf-8")
        self._open = True

    def type(self, *lines: str) -> None:
        os.write(self._sender, "".join(f"{line}\n" for line in lines).encode())

    def end(self) -> None:
        if self._open:
            os.close(self._sender)
            self._open = False


@pytest.fixture
def stdin() -> Iterator[Lines]:
    lines = Lines()
    yield lines
    lines.end()
    lines.stream.close()


@pytest.fixture
def functions(tmp_path: Path) -> FunctionCaller:
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS)
    return load_functions([path], capabilities=capabilities_of(TEXT_MODEL), timeout_s=30.0)


def trail_words(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have the default model's words awaited for a time after the end of each answer."""
    row = MODELS[DEFAULT_MODEL]
    monkeypatch.setitem(MODELS, DEFAULT_MODEL, replace(row, observed=replace(row.observed, words_trail_s=seconds)))


def simulator(*faults: str, **options: Any) -> Simulator:
    return Simulator(**{"pace": 0, "espeak": False, "faults": faults, **options})


def configure(server: Simulator | str, *, speaks: bool = False, **settings: Any) -> Config:
    """Return the settings of a text session; `speaks`: with a model that only speaks."""
    url = server if isinstance(server, str) else server.url
    model = {} if speaks else {"model": TEXT_MODEL}
    return Config(**{"text_output": True, "base_url": url, "api_key": KEY, **model, **settings})


async def hold(
    config: Config,
    *,
    functions: FunctionCaller | None = None,
    stdin: Lines | None = None,
    is_terminal: bool = False,
    timings: Timings = QUICK,
    written: Written | None = None,
) -> Written:
    """Hold a session to its end."""
    written = written or Written()
    asyncio.get_running_loop().set_default_executor(DaemonExecutor())
    session = Session(
        config,
        written,
        functions=functions,
        stdin=stdin.stream if stdin else None,
        stdin_is_terminal=is_terminal,
        timings=timings,
    )
    async with asyncio.timeout(LIVENESS_S):
        await session.run()
    return written


@asynccontextmanager
async def holding(config: Config, **options: Any) -> AsyncIterator[tuple[Written, asyncio.Task[Written]]]:
    """Hold a session while a test acts; it must have ended, or end, by the end of the block."""
    written = Written()
    task = asyncio.create_task(hold(config, written=written, **options))
    written.belong_to(task)
    try:
        yield written, task
        await task
    finally:
        task.cancel()


def typed(record: SessionRecord) -> list[str]:
    """Return the lines that the server was asked, in order."""
    return [turn.asked for turn in record.turns]


def write_wav(path: Path, seconds: float) -> Path:
    """Write a file of silence."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(int(seconds * 32_000)))
    return path


def sounding_s(pyaudio: FakePyAudio) -> float:
    """Return for how many seconds the speaker has sounded, in steps of a hundredth."""
    step = 2 * pyaudio.speaker.channels * (pyaudio.speaker.rate_hz // 100)
    return sum(any(pyaudio.played[i : i + step]) for i in range(0, len(pyaudio.played), step)) / 100


# Pictures


@pytest.mark.parametrize("asks", ["initial message", "line"])
async def test_pictures_of_the_command_line_are_shown_with_the_first_question(
    asks: str, tmp_path: Path, stdin: Lines
) -> None:
    image = pytest.importorskip("PIL.Image")
    paths = (tmp_path / "first.png", tmp_path / "second.png")
    for path in paths:
        image.new("RGB", (8, 8)).save(path)
    async with Simulator(pace=0) as server:
        settings: dict[str, Any] = {"image": paths}
        if asks == "initial message":
            await hold(configure(server, speaks=True, initial_message="one", stdin=False, **settings))
        else:
            stdin.type("one", "two")
            stdin.end()
            await hold(configure(server, speaks=True, **settings), stdin=stdin)
    turns = [message["clientContent"] for message in server.sessions[0].messages if "clientContent" in message]
    pictures = [[part for part in turn["turns"][0]["parts"] if "inlineData" in part] for turn in turns]
    assert [len(each) for each in pictures] == [2]
    assert typed(server.sessions[0])[0] == "one"


async def test_a_picture_that_cannot_be_read_ends_the_session_before_it_connects(tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image")
    async with Simulator(pace=0) as server:
        with pytest.raises(ConfigError, match=r"no\.png cannot be read: No such file"):
            await hold(configure(server, initial_message="one", image=(tmp_path / "no.png",)))
        assert server.sessions == []


# The end of a session.


async def test_it_ends_when_the_initial_message_has_its_answer() -> None:
    async with simulator() as server:
        written = await hold(configure(server, initial_message="Good morning."))
    assert written.of("answered") == ["Good morning."]
    assert server.sessions[0].closed_by_client
    assert server.sessions[0].close_code == 1000
    assert server.sessions[0].mistakes == []


async def test_it_ends_after_the_last_piped_line_and_every_line_is_asked_in_order(stdin: Lines) -> None:
    stdin.type("one", "two", "", "   ", "three\r")
    stdin.end()
    async with simulator() as server:
        written = await hold(configure(server, initial_message="zero"), stdin=stdin)
    assert written.of("answered") == ["zero", "one", "two", "three"]
    assert typed(server.sessions[0]) == ["zero", "one", "two", "three"]


async def test_a_piped_line_is_asked_when_the_answer_before_it_is_complete(stdin: Lines) -> None:
    stdin.type("first", "second")
    stdin.end()
    async with simulator(pace=20) as server:
        written = await hold(configure(server, speaks=True), stdin=stdin)
    assert written.of("answered") == ["first", "second"]
    order = [kind for kind in written.kinds if kind in {"asked", "answered"}]
    assert order == ["asked", "answered", "asked", "answered"]
    assert not any(turn.interrupted for turn in server.sessions[0].turns)


async def test_without_any_input_it_warns_and_ends() -> None:
    async with simulator() as server:
        written = await hold(configure(server))
    assert "nothing to ask" in written.of("warning")[0]
    assert written.of("answered") == []


async def test_end_of_file_before_any_line_ends_it(stdin: Lines) -> None:
    stdin.end()
    async with simulator() as server:
        written = await hold(configure(server), stdin=stdin)
    assert written.of("answered") == []


async def test_the_last_line_counts_without_a_newline(stdin: Lines) -> None:
    os.write(stdin._sender, b"no newline")
    stdin.end()
    async with simulator() as server:
        written = await hold(configure(server), stdin=stdin)
    assert written.of("answered") == ["no newline"]


async def test_an_unreadable_stdin_is_reported_after_the_remaining_answers(tmp_path: Path) -> None:
    written = Written()
    descriptor = os.open(tmp_path, os.O_RDONLY)  # a folder, as `< .` gives
    lines = Lines()
    lines.end()
    os.dup2(descriptor, lines.stream.fileno())
    os.close(descriptor)
    async with simulator() as server:
        with pytest.raises(ConfigError, match="stdin cannot be read: Is a directory"):
            await hold(configure(server, initial_message="Hello."), stdin=lines, written=written)
    lines.stream.close()
    assert written.of("answered") == ["Hello."]


async def test_words_after_the_end_of_the_turn_belong_to_the_answer(stdin: Lines) -> None:
    stdin.type("one two three four", "five six seven eight")
    stdin.end()
    async with simulator("late-words") as server:
        written = await hold(configure(server, speaks=True), stdin=stdin, timings=QUICK)
    assert written.of("answered") == ["one two three four", "five six seven eight"]
    assert written.of("late_words") == []


async def test_generation_complete_alone_completes_an_answer_after_a_delay(stdin: Lines) -> None:
    stdin.type("first", "second")
    stdin.end()
    async with simulator("no-turn-complete") as server:
        written = await hold(configure(server, speaks=True), stdin=stdin)
    assert written.of("answered") == ["first", "second"]
    assert written.of("warning") == []


async def test_a_late_turn_complete_does_not_complete_the_next_answer(stdin: Lines) -> None:
    stdin.type("first", "second", "third")
    stdin.end()
    async with simulator("late-turn-complete:0.7@turn1*1", pace=50) as server:
        written = await hold(configure(server, speaks=True), stdin=stdin)
    assert written.of("answered") == ["first", "second", "third"]


async def test_a_question_that_brings_an_empty_turn_is_asked_once_more(stdin: Lines) -> None:
    stdin.type("first", "second")
    stdin.end()
    async with simulator("empty-turn@turn1") as server:
        written = await hold(configure(server), stdin=stdin)
    assert written.of("answered") == ["first", "second"]
    assert written.of("asked") == ["first", "second"]


async def test_a_question_that_brings_nothing_but_empty_turns_fails_the_session(stdin: Lines) -> None:
    stdin.type("first", "second")
    stdin.end()
    written = Written()
    async with simulator("empty-turn@turn1", "empty-turn@turn2") as server:
        with pytest.raises(NotAnsweredError, match="1 question had no answer"):
            await hold(configure(server), stdin=stdin, written=written)
    assert typed(server.sessions[0]) == ["first", "first", "second"]
    assert written.of("answered") == ["", "second"]
    assert written.of("warning") == ["no answer came to: first"]


async def test_an_answer_interrupted_by_nobody_is_waited_for_again() -> None:
    async with simulator("interrupted@turn1") as server:
        written = await hold(configure(server, speaks=True, initial_message="one two three four five six"))
    # The simulator does not begin anew: what is waited for does not come, and the session ends.
    [(text, _asked, cut_off, _reason)] = [args for kind, args in written.events if kind == "answered"]
    assert cut_off is True
    assert "one two three four five six".startswith(text.strip())


async def test_turns_counts_complete_answers_and_drops_what_was_not_sent(stdin: Lines) -> None:
    stdin.type(*"abcdef")
    async with simulator() as server:
        async with holding(configure(server, turns=2), stdin=stdin) as (written, _):
            await written.wait_for("answered", 2)
        assert typed(server.sessions[0]) == ["a", "b"]
    assert written.of("answered") == ["a", "b"]
    assert written.of("warning") == ["--turns 2 reached; lines that were not sent: 4"]


async def test_lines_that_were_read_ahead_are_not_all_that_were_not_sent(stdin: Lines) -> None:
    stdin.type(*map(str, range(inputs_module.MAX_WAITING_LINES + 9)))
    async with simulator() as server:
        written = await hold(configure(server, turns=1), stdin=stdin)
    [warning] = written.of("warning")
    assert warning.startswith("--turns 1 reached; lines that were not sent: ")
    assert warning.endswith(" or more")


async def test_turns_counts_empty_answers_but_not_interrupted_ones(stdin: Lines) -> None:
    stdin.type(*"abcdef")
    stdin.end()
    async with simulator("empty-turn@turn1", "interrupted@turn2") as server:
        written = await hold(configure(server, speaks=True, turns=3), stdin=stdin)
    assert len(written.of("answered")) == 4


async def test_lines_typed_in_a_terminal_go_at_once(stdin: Lines) -> None:
    async with (
        simulator(pace=1, typed_text="queues") as server,
        holding(configure(server, speaks=True, turns=2), stdin=stdin, is_terminal=True) as (written, _),
    ):
        stdin.type("count to 3")
        await written.wait_for("words")
        stdin.type("stop")
        await written.wait_for("asked", 2)
        assert written.of("answered") == []


async def test_end_of_input_in_a_terminal_ends_it(stdin: Lines) -> None:
    async with simulator() as server, holding(configure(server), stdin=stdin, is_terminal=True) as (written, task):
        stdin.type("hello")
        await written.wait_for("answered")
        assert not task.done()
        stdin.end()


async def test_only_the_initial_message_is_delayed(stdin: Lines) -> None:
    async with simulator() as server:
        config = configure(server, initial_message="later", initial_message_delay_s=0.5)
        async with holding(config, stdin=stdin, is_terminal=True) as (written, _):
            stdin.type("now")
            await written.wait_for("answered", 2)
            stdin.end()
    assert written.of("answered") == ["now", "later"]


# Silence, errors, closes.


async def test_a_silent_server_counts_as_lost_and_is_asked_on_three_connections_at_most() -> None:
    async with simulator("silence@turn1") as server:
        written = Written()
        with pytest.raises(SessionClosed, match="has said nothing"):
            await hold(configure(server, initial_message="Anybody?"), written=written)
    assert [typed(record) for record in server.sessions] == [["Anybody?"] * 2] * 3  # and once more on each
    assert "no connection lasted long enough to answer: Anybody?" in written.of("warning")
    assert written.of("asked") == ["Anybody?"]


async def test_a_question_is_asked_again_where_its_answer_was_cut_short(stdin: Lines) -> None:
    stdin.type("first", "second one two three", "third")
    stdin.end()
    async with simulator("close:1011@turn2*1") as server:
        written = await hold(configure(server), stdin=stdin)
    assert written.of("answered") == ["first", "second one two three", "third"]
    assert typed(server.sessions[1])[0] == "second one two three"
    assert server.sessions[1].resumed_from == 1


async def test_without_reconnecting_a_lost_connection_is_final() -> None:
    async with simulator("close:1011") as server:
        with pytest.raises(SessionClosed) as raised:
            await hold(configure(server, initial_message="Hello.", reconnect=False))
    assert raised.value.code == 1011
    assert len(server.sessions) == 1


async def test_a_connection_lost_after_the_last_answer_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    trail_words(monkeypatch, 20.0)
    # The answer has come, its last words are waited for when the connection goes.
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulator())
        config = configure(server, speaks=True, initial_message="Hello.", reconnect=False)
        async with holding(config) as (written, _):
            record = await server.wait_for_session()
            await record.wait_for(lambda record: any(turn.complete for turn in record.turns))
            await stack.aclose()
    assert written.of("answered") == ["Hello."]


async def test_a_polite_end_with_nothing_unanswered_is_the_end(stdin: Lines) -> None:
    async with simulator("close:1000@0.5s") as server, holding(configure(server), stdin=stdin) as (written, _):
        stdin.type("hello")
        await written.wait_for("status")
    assert written.of("answered") == ["hello"]
    assert written.of("status") == ["the server ended the session"]


async def test_a_polite_end_with_a_question_unanswered_is_an_error() -> None:
    async with simulator("close:1000") as server:
        with pytest.raises(SessionClosed) as raised:
            await hold(configure(server, initial_message="Hello."))
    assert raised.value.code == 1000


async def test_a_refusal_in_a_live_session_is_final() -> None:
    async with simulator("close:1007:no more") as server:
        with pytest.raises(SessionClosed, match="no more"):
            await hold(configure(server, initial_message="Hello."))
    assert len(server.sessions) == 1


@pytest.mark.parametrize(
    ("fault", "reconnect", "asked"),
    [
        ("close:1007:no more@turn2", True, ["first", "second"]),  # final
        ("close:1011@turn2", False, ["first", "second"]),
        ("close:1011", True, ["first"]),  # on three connections
    ],
)
async def test_lines_that_a_failure_leaves_are_counted(
    fault: str, reconnect: bool, asked: list[str], stdin: Lines
) -> None:
    stdin.type("first", "second", "third", "fourth")
    stdin.end()
    written = Written()
    async with simulator(fault) as server:
        with pytest.raises(SessionClosed):
            await hold(configure(server, reconnect=reconnect), stdin=stdin, written=written)
    assert written.of("asked") == asked
    assert written.of("warning")[-1] == f"lines that were not sent: {4 - len(asked)}"


async def test_a_failure_counts_no_line_that_was_sent(stdin: Lines) -> None:
    stdin.type("first", "second")
    stdin.end()
    written = Written()
    async with simulator("close:1007:no more@turn2") as server:
        with pytest.raises(SessionClosed):
            await hold(configure(server), stdin=stdin, written=written)
    assert written.of("warning") == []


async def test_an_error_message_ends_the_session() -> None:
    async with simulator("error:400:you may not") as server:
        with pytest.raises(SessionClosed, match="you may not"):
            await hold(configure(server, initial_message="Hello."))


async def test_a_message_that_cannot_be_read_ends_nothing() -> None:
    async with simulator("malformed") as server:
        written = await hold(configure(server, initial_message="Hello."))
    assert written.of("answered") == ["Hello."]
    assert any("skipped" in warning for warning in written.of("warning"))


@pytest.mark.parametrize(
    "fault", ["unknown-fields", "text-frames", "huge:2", "odd-chunks", "wrong-rate:16000", "drip:100000"]
)
async def test_odd_messages_of_the_server_change_no_answer(fault: str) -> None:
    async with simulator(fault) as server:
        written = await hold(configure(server, speaks=True, initial_message="Hello there."))
    assert written.of("answered") == ["Hello there."]


async def test_a_field_that_the_service_does_not_know_is_left_out_once() -> None:
    async with simulator("unknown-name:contextWindowCompression") as server:
        written = await hold(configure(server, initial_message="Hello."))
    assert written.of("answered") == ["Hello."]
    assert written.of("warning") == ["the service does not know contextWindowCompression; connecting again without it"]
    assert "contextWindowCompression" not in server.sessions[1].setup


async def test_an_unknown_field_from_setup_is_final() -> None:
    async with simulator("unknown-name:generationConfig.seed") as server:
        with pytest.raises(SessionClosed, match="seed"):
            await hold(configure(server, initial_message="Hi.", setup={"generationConfig": {"seed": 1}}))
    assert len(server.sessions) == 1


async def test_a_field_that_the_user_has_put_there_too_is_not_said_to_be_left_out() -> None:
    setup = {"contextWindowCompression": {"triggerTokens": 9000}}
    async with simulator("unknown-name:contextWindowCompression") as server:
        written = Written()
        with pytest.raises(SessionClosed, match="contextWindowCompression"):
            await hold(configure(server, initial_message="Hi.", setup=setup), written=written)
    assert written.of("warning") == []
    assert len(server.sessions) == 1


async def test_text_output_fails_without_the_transcript_of_a_model_that_only_speaks() -> None:
    async with simulator("unknown-name:outputAudioTranscription") as server:
        written = Written()
        with pytest.raises(SessionClosed, match="cannot transcribe what the model says"):
            await hold(configure(server, speaks=True, initial_message="Hi."), written=written)
    assert written.of("warning") == written.of("answered") == []
    assert len(server.sessions) == 1


async def test_a_played_session_continues_without_a_transcript(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.paced = True
    async with simulator("unknown-name:outputAudioTranscription") as server:
        written = await hold(configure(server, speaks=True, text_output=False, initial_message="Hi."))
    assert written.of("warning") == ["the service does not know outputAudioTranscription; connecting again without it"]
    assert written.of("answered") == [""]
    assert sounding_s(fake_pyaudio) > 0


async def test_an_incomplete_setup_is_tried_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "SETUP_TIMEOUT_S", 0.1)
    async with simulator("no-setup-complete") as server:
        written = Written()
        with pytest.raises(ConnectionFailed, match="not completed the setup"):
            await hold(configure(server, initial_message="Hi."), written=written)
    assert len(server.sessions) == 3
    assert len(written.of("status")) == 1


async def test_unreadable_certificates_are_reported_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "no.pem"))
    written = Written()
    with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
        await hold(configure("https://localhost:1"), written=written)
    assert written.events == []
    async with simulator() as server:  # which needs none
        await hold(configure(server))


@pytest.mark.parametrize("is_terminal", [False, True])
async def test_a_model_without_typed_input_is_warned_about_with_the_first_line(is_terminal: bool, stdin: Lines) -> None:
    warning = "gemini-3.5-transcribe-live probably does not accept typed text (stdin)"
    async with simulator() as server:
        config = configure(server, model="gemini-3.5-transcribe-live", audio_input=False)
        with pytest.raises(SessionClosed):
            async with holding(config, stdin=stdin, is_terminal=is_terminal) as (written, _):
                stdin.type("")
                await server.wait_for_session()
                assert written.of("warning") == []
                stdin.type("one", "two")
    assert written.of("warning").count(warning) == 1


async def test_a_refused_connection_is_tried_three_times() -> None:
    async with simulator() as server:
        url = server.url
    written = Written()
    with pytest.raises(ConnectionFailed, match="refused"):
        await hold(configure(url, initial_message="Hi."), written=written)
    assert [*written.of("status"), *written.of("detail")] == [
        "no connection (127.0.0.1 refused the connection; check the network and --base-url); connecting again"
    ] * 2


async def test_a_refused_handshake_is_tried_again() -> None:
    async with simulator("refuse:503*1") as server:
        written = await hold(configure(server, initial_message="Hi."))
    assert written.of("answered") == ["Hi."]
    assert server.n_refused == 1


async def test_a_wrong_key_is_final_and_is_never_shown() -> None:
    async with simulator(key="another-key-altogether") as server:
        written = Written()
        with pytest.raises(SessionClosed, match="API key not valid"):
            await hold(configure(server, initial_message="Hi.", verbose=True), written=written)
    assert len(server.sessions) == 1
    assert KEY not in repr(written.events)


async def test_an_unknown_model_is_final() -> None:
    async with simulator() as server:
        with pytest.raises(SessionClosed, match="not found"):
            await hold(configure(server, model="gemini-0-dead", initial_message="Hi."))


# Leaving a connection that the server will close.


async def test_a_goaway_leads_to_a_new_connection_without_losing_a_line(stdin: Lines) -> None:
    async with simulator("go-away:30@turn1*1") as server, holding(configure(server), stdin=stdin) as (written, _):
        stdin.type("first")
        await server.wait_for_session(2)
        stdin.type("second")
        await written.wait_for("answered", 2)
        stdin.end()
    assert written.of("answered") == ["first", "second"]
    assert server.sessions[0].closed_by_client
    assert server.sessions[1].resumed_from == 1
    assert typed(server.sessions[1]) == ["second"]


async def test_a_question_still_open_at_the_end_of_a_goaway_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "LEAVE_SHORT_NOTICE_S", 0.1)
    async with simulator("go-away:0.4@turn1*1", "no-turn-end@turn1*1") as server:
        written = await hold(configure(server, initial_message="Hello."), timings=replace(QUICK, silence_s=20.0))
    assert written.of("answered") == ["Hello."]
    assert len(server.sessions) == 2


async def test_waiting_lines_do_not_make_the_loop_spin_after_the_time_to_leave(
    monkeypatch: pytest.MonkeyPatch, stdin: Lines
) -> None:
    """Lines that wait while the connection is out must not make the loop spin."""
    monkeypatch.setattr(recovery, "LEAVE_SHORT_NOTICE_S", 30.0)
    monkeypatch.setattr(inputs_module, "MAX_WAITING_LINES", 1)
    stdin.type(*"abc")
    stdin.end()
    async with simulator("go-away:1@turn1*1", "slow-setup:0.5") as server:
        loop = asyncio.get_running_loop()
        run_once, n_rounds = loop._run_once, 0  # type: ignore[attr-defined]

        def count() -> None:
            nonlocal n_rounds
            n_rounds += 1
            run_once()

        monkeypatch.setattr(loop, "_run_once", count)
        written = await hold(configure(server), stdin=stdin)
    assert written.of("answered") == ["a", "b", "c"]
    assert n_rounds < 2000


# Functions.


async def test_a_function_is_called_and_its_result_is_spoken_of(functions: FunctionCaller) -> None:
    async with simulator() as server:
        config = configure(server, initial_message='call add({"a": 2, "b": 3})')
        written = await hold(config, functions=functions)
    assert written.of("answered") == ["add returned 5"]
    kinds = [kind for kind in written.kinds if kind.startswith("tool") or kind == "answered"]
    assert kinds == ["tool_call", "tool_result", "answered"]
    assert server.sessions[0].mistakes == []


async def test_calls_of_one_message_are_all_answered(functions: FunctionCaller) -> None:
    text = 'call add({"a": 1, "b": 1}) and call fail() and call nothing()'
    async with simulator() as server:
        written = await hold(configure(server, initial_message=text), functions=functions)
    [answer] = written.of("answered")
    assert "add returned 2" in answer
    assert "fail failed: ValueError: no luck" in answer
    assert "nothing failed: there is no function 'nothing'" in answer
    assert [len(call.answers) for call in server.sessions[0].calls.values()] == [1, 1, 1]
    assert any("ValueError: no luck" in line for line in written.of("detail"))


async def test_a_call_that_comes_twice_is_answered_once(functions: FunctionCaller) -> None:
    async with simulator("duplicate-call") as server:
        config = configure(server, initial_message='call add({"a": 2, "b": 3})')
        written = await hold(config, functions=functions)
    assert [len(call.answers) for call in server.sessions[0].calls.values()] == [1]
    assert len(written.of("tool_call")) == 1


async def test_no_answer_completes_and_no_silence_is_reported_while_a_call_is_open(functions: FunctionCaller) -> None:
    released: threading.Event = globals_of(functions, "hang")["released"]
    async with simulator() as server:
        config = configure(server, initial_message="call hang")
        timings = replace(QUICK, silence_s=0.2, missing_turn_complete_s=0.1)
        async with holding(config, functions=functions, timings=timings) as (written, task):
            await written.wait_for("tool_call")
            await asyncio.wait({task}, timeout=0.6)
            assert not task.done()
            released.set()
    assert written.of("answered") == ["hang returned late"]
    assert len(server.sessions) == 1


async def test_a_call_cancelled_by_the_server_is_shown_and_not_answered(functions: FunctionCaller) -> None:
    released: threading.Event = globals_of(functions, "hang")["released"]
    async with simulator("cancel-call") as server:
        written = Written()
        with pytest.raises(NotAnsweredError):
            await hold(configure(server, initial_message="call hang"), functions=functions, written=written)
    released.set()
    assert written.kinds.index("tool_call") < written.kinds.index("tool_cancelled")
    assert [call.answers for call in server.sessions[0].calls.values()] == [[]]


async def test_a_cancelled_plain_function_keeps_running_and_that_is_reported(functions: FunctionCaller) -> None:
    module = globals_of(functions, "hang")
    async with simulator("cancel-call:0.3") as server:
        written = Written()
        with pytest.raises(NotAnsweredError):
            await hold(configure(server, initial_message="call hang"), functions=functions, written=written)
    module["released"].set()
    assert any("hang is still running" in warning for warning in written.of("warning"))


async def test_a_result_without_a_following_turn_is_waited_for_and_reported(functions: FunctionCaller) -> None:
    async with simulator("silence@message4") as server:
        config = configure(server, initial_message='call add({"a": 2, "b": 3})')
        written = Written()
        with pytest.raises(NotAnsweredError):
            await hold(config, functions=functions, written=written)
    assert written.of("answered") == [""]
    assert written.of("warning") == ['no answer came to: call add({"a": 2, "b": 3})']


async def test_a_call_of_a_lost_connection_is_not_answered_on_the_next(functions: FunctionCaller) -> None:
    module = globals_of(functions, "hang")
    async with simulator("close:1011@0.3s*1") as server:
        config = configure(server, initial_message="call hang")
        async with holding(config, functions=functions) as (written, _):
            await written.wait_for("tool_call", 2)
            module["released"].set()
    assert written.of("answered") == ["hang returned late"]
    assert [call.answers for call in server.sessions[0].calls.values()] == [[]]
    assert [len(call.answers) for call in server.sessions[1].calls.values()] == [1]
    assert [id_ for id_ in written.of("tool_cancelled")] == list(server.sessions[0].calls)


async def test_an_open_call_ends_with_the_session(functions: FunctionCaller) -> None:
    module = globals_of(functions, "wait")
    async with simulator("close:1007@0.3s") as server:
        with pytest.raises(SessionClosed):
            await hold(configure(server, initial_message="call wait"), functions=functions)
    assert module["cancelled"] == ["wait"]


# Sound files.


async def test_a_file_follows_the_lines_and_ends_the_session(tmp_path: Path, stdin: Lines) -> None:
    stdin.type("hello")
    stdin.end()
    path = write_wav(tmp_path / "silence.wav", 0.2)
    async with simulator() as server:
        written = Written()
        with pytest.raises(NotAnsweredError):
            config = configure(server, input_file=(path,), initial_message="first")
            await hold(config, stdin=stdin, written=written)
    record = server.sessions[0]
    sent = [next(iter(message["realtimeInput"])) for message in record.messages[1:]]
    assert sent[:12] == ["text", "text", *["audio"] * 10]
    assert set(sent[12:]) == {"audio"}  # silence, until an answer comes or is waited for no longer
    assert written.of("answered") == ["first", "hello"]
    assert written.of("warning") == ["no answer came after the end of the audio"]
    assert record.mistakes == []


async def test_everything_the_model_says_is_recorded_though_nothing_is_played(tmp_path: Path) -> None:
    path = tmp_path / "said.wav"
    async with simulator() as server:
        await hold(configure(server, speaks=True, initial_message="Hello there.", output_file=path))
    with wave.open(str(path)) as file:
        assert file.getparams()[:3] == (1, 2, 24_000)
        seconds = file.getnframes() / 24_000
    assert seconds == pytest.approx(server.sessions[0].turns[0].audio_s)


async def test_a_session_that_never_started_does_not_change_the_output_file(tmp_path: Path) -> None:
    old, new = tmp_path / "old.wav", tmp_path / "new.wav"
    old.write_bytes(b"RIFF\0\0\0\0WAVEas it was")
    async with simulator("refuse:403") as server:
        for path in (old, new):
            with pytest.raises(ConnectionFailed):
                await hold(configure(server, initial_message="Hi.", output_file=path, force=True))
    assert old.read_bytes() == b"RIFF\0\0\0\0WAVEas it was"
    assert not new.exists()


@pytest.mark.parametrize("option", ["input_file", "output_file"])
async def test_a_file_that_cannot_be_opened_is_said_before_connecting(option: str, tmp_path: Path) -> None:
    path = tmp_path / "no" / "such.wav"
    files: dict[str, Any] = {option: (path,) if option == "input_file" else path}
    async with simulator() as server:
        with pytest.raises(ConfigError, match=str(tmp_path)):
            await hold(configure(server, **files))
        assert server.sessions == []


# Devices.


async def test_a_device_that_was_demanded_is_looked_for_before_connecting(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.devices = ()
    async with simulator() as server:
        with pytest.raises(DeviceError):
            await hold(configure(server, audio_input=True))
        assert server.sessions == []


async def test_without_a_speaker_words_are_printed_and_a_warning_is_shown(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.devices = ()
    async with simulator() as server:
        written = await hold(configure(server, speaks=True, text_output=False, initial_message="Hello."))
    assert written.of("answered") == ["Hello."]
    assert len(written.of("warning")) == 1
    assert "not played" in written.of("warning")[0]


async def test_it_ends_when_all_has_been_played(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.paced = True
    async with simulator() as server:
        written = await hold(configure(server, speaks=True, text_output=False, initial_message="Hi."))
        said_s = server.sessions[0].turns[0].audio_s
    assert written.of("answered") == ["Hi."]
    assert sounding_s(fake_pyaudio) == pytest.approx(said_s, abs=0.1)


async def test_a_line_typed_during_playback_clears_it(fake_pyaudio: FakePyAudio, stdin: Lines) -> None:
    fake_pyaudio.paced = True
    async with simulator(pace=4) as server:
        config = configure(server, speaks=True, text_output=False, audio_input=False)
        async with holding(config, stdin=stdin, is_terminal=True) as (written, _):
            stdin.type("count to 10")
            await written.wait_for("words")
            stdin.type("Hi.")
            stdin.end()
        first, second = server.sessions[0].turns
    assert len(written.of("answered")) == 2
    assert sounding_s(fake_pyaudio) < first.audio_s / 2 + second.audio_s


async def test_the_session_continues_after_the_speaker_was_unplugged(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.paced = True
    async with simulator(pace=4) as server:
        config = configure(server, speaks=True, text_output=False, initial_message="count to 10")
        async with holding(config) as (written, _):
            await written.wait_for("words")
            fake_pyaudio.speaker.lose()
    assert written.of("answered") == ["1, 2, 3, 4, 5, 6, 7, 8, 9, 10."]
    assert any("no longer played" in warning for warning in written.of("warning"))


async def test_an_unplugged_microphone_ends_the_input(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.paced = True
    config: dict[str, Any] = {"model": "gemini-3.1-flash-live-preview", "audio_input": True}
    async with simulator() as server, holding(configure(server, **config)) as (written, _):
        record = await server.wait_for_session()
        await record.wait_for(lambda record: record.audio_s > 0.1)
        fake_pyaudio.microphone.lose()
    assert any("the microphone is off" in warning for warning in written.of("warning"))
    assert "audioStreamEnd" in record.messages[-1]["realtimeInput"]


# At a prompt.


class AtPrompt:
    """A session that a person types into at a prompt, and whose state is looked at."""

    def __init__(self, config: Config, *, functions: FunctionCaller | None = None, save: str = "") -> None:
        self.written = Written()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        asyncio.get_running_loop().set_default_executor(DaemonExecutor())
        self.session = Session(
            config,
            self.written,
            functions=functions,
            stdin=io.StringIO(),
            stdin_is_terminal=True,
            typed_lines=self._read(),
            save=lambda: save,
            timings=QUICK,
        )
        self.task: asyncio.Task[None]

    def type(self, *lines: str) -> None:
        for line in lines:
            self._lines.put_nowait(line)

    def end(self) -> None:
        self._lines.put_nowait(None)

    @property
    def connection(self) -> ConnectionState:
        return self.session.controls.status().connection

    async def ended(self) -> None:
        """Wait for the end."""
        async with asyncio.timeout(LIVENESS_S):
            await self.task

    async def _read(self) -> AsyncIterator[str]:
        while (line := await self._lines.get()) is not None:
            yield line


@asynccontextmanager
async def at_prompt(config: Config, **options: Any) -> AsyncIterator[AtPrompt]:
    """Hold a session at a prompt, which has to have ended at the end of the block, or ends with its input there."""
    prompt = AtPrompt(config, **options)
    prompt.task = asyncio.create_task(prompt.session.run())
    prompt.task.add_done_callback(lambda _: prompt.written._changed.set())
    try:
        yield prompt
        prompt.end()
        await prompt.ended()
    finally:
        prompt.task.cancel()
        await asyncio.wait([prompt.task])


async def test_typed_lines_come_from_the_prompt_and_commands_run(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    async with simulator() as server, at_prompt(configure(server), save="the talk") as prompt:
        prompt.type("/stats", "hello", " ", "//etc/passwd", f"/save {path}", "/nothing")
        await prompt.written.wait_for("answered", 2)
        await prompt.written.wait_for("reply", 3)
    assert prompt.written.of("answered") == ["hello", "/etc/passwd"]
    assert typed(server.sessions[0]) == ["hello", "/etc/passwd"]
    stats, saved, hint = prompt.written.of("reply")
    assert stats.startswith("session: 0:0")
    assert saved == f"saved: {path}"
    assert "/nothing" in hint
    assert path.read_text() == "the talk"


async def test_typed_lines_are_not_shown_again_but_the_initial_message_is() -> None:
    async with simulator() as server, at_prompt(configure(server, initial_message="first")) as prompt:
        await prompt.written.wait_for("answered")
        prompt.type("second")
        await prompt.written.wait_for("answered", 2)
    assert [args for kind, args in prompt.written.events if kind == "asked"] == [("first", False), ("second", True)]


async def test_the_status_follows_the_connection_from_its_beginning_to_its_end() -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulator("slow-setup:0.3"))
        states = []
        async with at_prompt(configure(server)) as prompt:
            states.append(prompt.connection)
            await server.wait_for_session()
            states.append(prompt.connection)
            prompt.type("hello")
            await prompt.written.wait_for("answered")
            states.append(prompt.connection)
            await stack.aclose()
            await prompt.written.wait_for("detail")  # it has been tried twice
            states.append(prompt.connection)
            prompt.type("/quit")
            await prompt.ended()
            states.append(prompt.connection)
    connecting, live = ConnectionState.CONNECTING, ConnectionState.LIVE
    assert states == [connecting, connecting, live, ConnectionState.RESUMING, ConnectionState.ENDED]


async def test_a_session_that_fails_has_ended_too() -> None:
    async with simulator("refuse:403") as server:
        prompt = AtPrompt(configure(server))
        with pytest.raises(ConnectionFailed):
            await prompt.session.run()
    assert prompt.connection is ConnectionState.ENDED


def test_the_status_has_the_time_since_the_last_change() -> None:
    async def main() -> None:
        session = AtPrompt(Config(base_url="http://localhost:1")).session
        ages_s = []
        for wait_s in (0, 0.9, 62.6):
            await asyncio.sleep(wait_s)
            ages_s.append(session.controls.status().since_s)
        assert ages_s == [0, 0, 63]

    run_accelerated(main())


async def test_lines_that_cannot_be_sent_yet_are_in_the_status_until_they_are() -> None:
    async with simulator("slow-setup:0.5") as server, at_prompt(configure(server)) as prompt:
        prompt.type("early", "bird")
        await server.wait_for_session()
        waiting = prompt.session.controls.status().unsent
        await prompt.written.wait_for("answered", 2)
        assert prompt.session.controls.status().unsent == ()
    assert waiting == ("early", "bird")


async def test_the_status_tells_of_model_voice_latency_and_tokens() -> None:
    async with simulator() as server, at_prompt(configure(server, speaks=True, voice="Puck")) as prompt:
        before = prompt.session.controls.status()
        prompt.type("hello")
        await prompt.written.wait_for("answered")
        after = prompt.session.controls.status()
    assert (before.model, before.voice) == ("gemini-3.8-live", "Puck")
    assert (before.latency_s, before.tokens, before.queued_s) == (None, 0, 0.0)
    assert (before.plays, before.microphone, before.sound_mode) == (False, MicrophoneState.OFF, None)
    assert after.latency_s is not None
    assert 0 <= after.latency_s < LIVENESS_S
    assert after.tokens > 0


async def test_a_model_that_only_writes_has_no_voice() -> None:
    async with simulator() as server:
        prompt = AtPrompt(configure(server))
    assert (prompt.session.controls.status().model, prompt.session.controls.status().voice) == (TEXT_MODEL, None)


async def test_the_status_shows_the_devices_and_the_keys_change_them(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.paced = True
    async with simulator(pace=4) as server:
        config = configure(server, speaks=True, text_output=False, half_duplex=True)
        async with at_prompt(config) as prompt:
            session = prompt.session
            prompt.type("count to 9")
            await prompt.written.wait_for("words")
            while not session.controls.status().queued_s:  # noqa: ASYNC110 - it is looked at as the status bar does
                await asyncio.sleep(0)
            speaking, answers = session.controls.status(), session.controls.is_answering
            session.controls.stop_answer()
            silenced = session.controls.status()
            session.controls.toggle_microphone()
            muted = session.controls.status().microphone
            await prompt.written.wait_for("answered")
            prompt.type("/quit")
            await prompt.ended()
    assert (speaking.plays, speaking.sound_mode) == (True, "half duplex")
    assert answers
    assert speaking.queued_s > silenced.queued_s
    assert silenced.queued_s <= 0.1  # the device's own delay
    assert muted is MicrophoneState.MUTED


async def test_stop_does_nothing_without_an_answer() -> None:
    async with simulator() as server, at_prompt(configure(server)) as prompt:
        before = prompt.session.controls.is_answering
        prompt.type("hello")
        await prompt.written.wait_for("answered")
        prompt.session.controls.stop_answer()
        assert (before, prompt.session.controls.is_answering) == (False, False)


# Quitting.


async def test_quit_works_before_the_first_connection() -> None:
    async with simulator("slow-setup:20") as server:
        prompt = AtPrompt(configure(server, audio_input=False, initial_message="never asked"))
        prompt.type("/quit")
        async with asyncio.timeout(LIVENESS_S / 2):
            await prompt.session.run()
    assert prompt.written.of("asked") == prompt.written.of("summary") == []


@pytest.mark.parametrize("leave", ["/quit", None])
async def test_quit_works_while_waiting_to_reconnect(leave: str | None) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulator())
        async with at_prompt(configure(server, audio_input=False)) as prompt:
            prompt.type("hello")
            await prompt.written.wait_for("answered")
            await stack.aclose()
            await prompt.written.wait_for("status")
            prompt._lines.put_nowait(leave)
            async with asyncio.timeout(LIVENESS_S / 2):
                await prompt.task
    assert len(prompt.written.of("summary")) == 1


async def test_quit_does_not_wait_for_a_connection_attempt() -> None:
    async with simulator("slow-setup:20") as server, at_prompt(configure(server)) as prompt:
        prompt.type("never asked")
        await server.wait_for_session()
        prompt.type("/quit")
        async with asyncio.timeout(LIVENESS_S / 2):
            await prompt.task
    assert prompt.written.of("asked") == prompt.written.of("summary") == []


async def test_quit_does_not_wait_for_the_end_of_an_answer(fake_pyaudio: FakePyAudio) -> None:
    fake_pyaudio.paced = True
    async with simulator(pace=1) as server:
        config = configure(server, speaks=True, text_output=False, audio_input=False)
        async with at_prompt(config) as prompt:
            prompt.type("count to 99")
            await prompt.written.wait_for("words")
            prompt.type("/quit")
            async with asyncio.timeout(LIVENESS_S / 2):
                await prompt.task
    assert not any("99" in text for text in prompt.written.of("answered"))
    assert prompt.written.of("asked") == ["count to 99"]
    assert len(prompt.written.of("summary")) == 1
    assert server.sessions[0].closed_by_client


async def test_quit_cancels_a_running_call(functions: FunctionCaller) -> None:
    module = globals_of(functions, "wait")
    async with simulator() as server, at_prompt(configure(server), functions=functions) as prompt:
        prompt.type("call wait")
        await prompt.written.wait_for("tool_call")
        prompt.type("/quit")
        await prompt.ended()
    assert module["cancelled"] == ["wait"]


# What it amounts to.


async def test_a_live_session_ends_with_a_summary() -> None:
    async with simulator() as server:
        written = await hold(configure(server, initial_message="Hi."))
    (summary,) = written.of("summary")
    assert (summary.answers, summary.reconnects, summary.interruptions) == (1, 0, 0)
    assert summary.latency_median_s is not None
    assert written.kinds[-1] == "summary"


async def test_a_lost_session_ends_with_a_summary_too() -> None:
    async with simulator("close:1007") as server:
        written = Written()
        with pytest.raises(SessionClosed):
            await hold(configure(server, initial_message="Hi."), written=written)
    assert len(written.of("summary")) == 1


async def test_every_connection_but_the_first_is_a_reconnect(stdin: Lines) -> None:
    stdin.type("first", "second one two three")
    stdin.end()
    async with simulator("close:1011@turn2*1") as server:
        written = await hold(configure(server), stdin=stdin)
    (summary,) = written.of("summary")
    assert (summary.answers, summary.reconnects) == (2, 1)


async def test_a_session_that_never_started_has_no_summary() -> None:
    async with simulator("refuse:403") as server:
        written = Written()
        with pytest.raises(ConnectionFailed):
            await hold(configure(server, initial_message="Hi."), written=written)
    assert written.of("summary") == []


# What a session is told to begin with.


async def test_each_attempt_is_reported_and_the_start_when_the_session_is_live() -> None:
    async with simulator("refuse:503*2", "slow-setup:0.1") as server:
        written = await hold(configure(server, initial_message="Hi."))
    beginning = [kind for kind in written.kinds if kind not in ("status", "detail")][:5]
    assert beginning == ["connecting", "connecting", "connecting", "session_started", "asked"]
    assert written.of("connecting") == [1, 2, 3]
    assert written.kinds.count("session_started") == 1


async def test_a_session_that_never_was_live_has_attempts_and_no_start() -> None:
    written = Written()
    async with simulator("refuse:403") as server:
        with pytest.raises(ConnectionFailed):
            await hold(configure(server, initial_message="Hi."), written=written)
    assert written.kinds == ["connecting"]


async def test_a_new_connection_counts_its_attempts_anew_and_starts_no_session(stdin: Lines) -> None:
    stdin.type("first", "second one two three")
    stdin.end()
    async with simulator("close:1011@turn2*1") as server:
        written = await hold(configure(server), stdin=stdin)
    assert written.of("connecting") == [1, 1]
    assert written.kinds.count("session_started") == 1


@pytest.mark.parametrize(
    ("simulate", "host"), [("--pace 0", "simulator"), (None, "127.0.0.1")], ids=["simulator", "base URL"]
)
async def test_a_server_that_is_not_googles_is_named(simulate: str | None, host: str) -> None:
    async with simulator() as server:
        written = await hold(configure(server, simulate=simulate, initial_message="Hi."))
    (started,) = written.of("session_started")
    assert started.server == host
    assert ("connecting", (1, host)) in written.events


@pytest.mark.parametrize(
    ("settings", "has_words"),
    [
        ({}, True),
        ({"transcription": False}, True),  # a model that writes needs no transcript
        ({"speaks": True}, True),
        ({"speaks": True, "setup": {"outputAudioTranscription": None}}, False),
        ({"speaks": True, "text_output": False, "transcription": False}, False),
        ({"speaks": True, "transcription": False, "setup": {"outputAudioTranscription": {}}}, True),
    ],
)
async def test_whether_answers_have_words_follows_the_merged_setup(
    settings: dict[str, Any], has_words: bool, fake_pyaudio: FakePyAudio
) -> None:
    async with simulator() as server:
        written = await hold(configure(server, initial_message="Hi.", **settings))
    (started,) = written.of("session_started")
    assert started.has_words is has_words
