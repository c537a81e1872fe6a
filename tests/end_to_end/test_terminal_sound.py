"""Talking at the prompt: the real command in a pseudo-terminal, on the virtual sound card, with the simulator."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("termios", reason="pseudo-terminals are POSIX's")

from gemini_live.simulator import SessionRecord
from tests.command import LIVENESS_S, Served, serving
from tests.pseudo_terminal import PseudoTerminal
from tests.rig.analysis import speak, write_wav
from tests.rig.virtual_audio import VirtualAudio
from tests.scripted_server import Peer, scripted

pytestmark = pytest.mark.rig

WITH_KEY = {"GEMINI_API_KEY": "a-key-of-no-one-at-all"}
QUIET_S = 1.0
"""Of every recording, at its beginning: the microphone begins to hear at some moment after the first line."""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state directory of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def say(virtual_audio: VirtualAudio, tmp_path: Path) -> Callable[[str], None]:
    """A function that says something to the microphone, and returns when it has been said."""

    def say_it(text: str) -> None:
        words = np.pad(speak(text, 48_000, tmp_path), (round(QUIET_S * 48_000), 0))
        write_wav(tmp_path / "words.wav", words, 48_000)
        virtual_audio.feed(tmp_path / "words.wav")

    return say_it


@contextmanager
def at_prompt(server: Served, *arguments: str) -> Iterator[PseudoTerminal]:
    with PseudoTerminal(f"--base-url={server.url}", *arguments, environ=WITH_KEY, columns=140) as terminal:
        terminal.wait_for_prompt()
        yield terminal


def test_one_talks_and_types(say: Callable[[str], None]) -> None:
    with PseudoTerminal("--simulate", "--voice=Aoede", columns=140) as terminal:
        terminal.wait_for("voice Aoede; tools: none; microphone default; speaker default; echo cancelled", "mic")
        say("Good morning.")
        terminal.wait_for("you: (speech, ", "gemini: (speech, ", "latency", "echo cancelled")
        terminal.type("Hello\n")
        terminal.wait_for("you: Hello", "gemini: Hello")
        terminal.type("\x04")
        assert terminal.wait() == 0
        assert any("audio in" in line and "2 answers" in line for line in terminal.lines)


def test_the_bar_shows_who_is_heard_and_how_long_it_took(say: Callable[[str], None]) -> None:
    answer = threading.Event()

    def script(peer: Peer) -> None:
        while not answer.is_set():
            peer.hears_speech()
        peer.speak(3.0)
        peer.say("Here I am.", sounds=False)

    with scripted(script) as url, PseudoTerminal(f"--base-url={url}", environ=WITH_KEY, columns=140) as terminal:
        terminal.wait_for("live 0:", "127.0.0.1", "mic [      ] live", "echo cancelled")
        talker = threading.Thread(target=say, args=["Is anybody there? I have been waiting for so long."])
        talker.start()
        terminal.wait_for("mic [###")
        talker.join(LIVENESS_S)
        answer.set()
        terminal.wait_until(lambda: "speaker [##" in terminal.bar and " s | latency" in terminal.bar)
        terminal.type("\x03")
        assert terminal.wait() == 130


def n_marks(record: SessionRecord) -> tuple[int, int]:
    """Return how many activities the client has begun and ended."""
    parts = [message["realtimeInput"] for message in record.messages if "realtimeInput" in message]
    return sum("activityStart" in part for part in parts), sum("activityEnd" in part for part in parts)


def test_push_to_talk_is_heard_from_one_press_to_the_next(say: Callable[[str], None]) -> None:
    with serving(espeak=False) as server, at_prompt(server, "--push-to-talk") as terminal:
        terminal.wait_for("talk key up", "push to talk")
        say("Nobody hears this.")
        assert server.sessions[0].audio == b""
        assert n_marks(server.sessions[0]) == (0, 0)
        terminal.type(" ")
        terminal.wait_for("talking")
        say("This is heard.")
        terminal.type("\x14")
        terminal.wait_for("talk key up")
        server.wait_for(lambda record: n_marks(record) == (1, 1))
        terminal.wait_for("you: (speech, ", "gemini: (speech, ")
        terminal.type("A line with spaces\r")
        terminal.wait_for("gemini: A line with spaces")
        assert server.sessions[0].mistakes == []
        terminal.type("\x03")
        assert terminal.wait() == 130


def test_muting_while_the_talk_key_is_down_discards_what_was_said(say: Callable[[str], None]) -> None:
    with serving(espeak=False) as server, at_prompt(server, "--push-to-talk") as terminal:
        terminal.type(" ")
        terminal.wait_for("talking")
        say("This is discarded.")
        assert len(server.sessions[0].audio) > 0
        terminal.type("/mute\r")
        terminal.wait_for("microphone muted; what you said is discarded", "connecting again", "talk key up")
        terminal.wait_until(lambda: len(server.sessions) == 2 and terminal.bar.startswith("live"))
        terminal.type(" ")
        terminal.wait_for("talking")
        say("This is not.")
        terminal.type(" ")
        terminal.wait_for("you: (speech, ", "gemini: (speech, ")
        terminal.type("/stats\r")
        terminal.wait_for("1 answer")
        assert n_marks(server.sessions[0]) == (1, 0)
        assert n_marks(server.sessions[1]) == (1, 1)
        assert server.sessions[0].turns == []
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_a_muted_microphone_is_not_heard_and_the_server_knows_of_it(say: Callable[[str], None]) -> None:
    with serving(espeak=False) as server, at_prompt(server) as terminal:
        terminal.wait_for("mic [")
        server.wait_for(lambda record: len(record.audio) > 0)
        terminal.type("\x14")
        terminal.wait_for("muted")
        server.wait_for(lambda record: any("audioStreamEnd" in str(message) for message in record.messages))
        n_bytes = len(server.sessions[0].audio)
        say("Nobody hears this.")
        assert len(server.sessions[0].audio) == n_bytes
        terminal.type("/mute\r")
        terminal.wait_for("microphone on")
        say("But this.")
        terminal.wait_for("you: (speech, ")
        assert server.sessions[0].mistakes == []
        terminal.type("\x03")
        assert terminal.wait() == 130


def test_esc_stops_what_is_being_said(virtual_audio: VirtualAudio) -> None:
    with serving() as server, at_prompt(server, "--no-audio-input") as terminal, virtual_audio.tap() as tap:
        terminal.type("count to 60\r")
        tap.wait_for_sound()
        terminal.type("half a li\x1b")
        tap.wait_for_silence()
        terminal.wait_for("> half a li", "speaker [      ] 0.0 s")
        assert not server.sessions[0].turns[0].interrupted
        terminal.clear_line()
        terminal.type("\x03")
        assert terminal.wait() == 130


@pytest.mark.usefixtures("virtual_audio")
def test_an_answer_that_is_stopped_is_marked_where_it_was_last_heard() -> None:
    words = [f"word{n}" for n in range(20)]

    def script(peer: Peer) -> None:
        peer.receive_line()
        for word in words:
            peer.speak(1.0)
            peer.say(f" {word}", sounds=False)
        peer.receive_line()

    with (
        scripted(script) as url,
        PseudoTerminal(f"--base-url={url}", "--no-audio-input", environ=WITH_KEY, columns=200) as terminal,
    ):
        terminal.wait_for_prompt()
        terminal.type("count\r")
        terminal.wait_for("gemini: word0", "word19")
        # Of twenty seconds, more than two have been heard.
        terminal.wait_until(lambda: any(f" {n}." in terminal.bar for n in range(12, 18)))
        terminal.type("\x1b")
        terminal.wait_for("gemini: word0", "[stopped, not played:", "word19")
        answer = next(line for line in terminal.conversation if line.startswith("gemini: "))
        heard, unheard = answer.removeprefix("gemini: ").removesuffix("]").split(" [stopped, not played: ")
        assert [*heard.split(), *unheard.split()] == words
        assert len(heard.split()) in range(2, 10)
        terminal.type("\x03")
        assert terminal.wait() == 130
