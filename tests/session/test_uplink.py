"""What is sent, in which order, and what is never dropped."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from gemini_live.conversation.conversation import Conversation
from gemini_live.conversation.outcomes import Answered, Exchange, Outcome, Question
from gemini_live.errors import SessionClosed
from gemini_live.models import MODELS, ModelCapabilities, capabilities_of
from gemini_live.session import uplink as uplink_module
from gemini_live.session.stats import Stats
from gemini_live.session.uplink import (
    FIRST_FRAME_WAIT_S,
    FRAME_EXPIRES_S,
    MAX_RESULTS,
    MAX_SILENCE_S,
    MIN_SILENCE_S,
    SILENCE_CHUNK_S,
    Result,
    Uplink,
)
from gemini_live.wire.connection import Connection
from gemini_live.wire.messages import FunctionResponse

WAIT_S = 10
LIVE_3_1 = capabilities_of("gemini-3.1-flash-live-preview")
LIVE_3_8, LIVE_2_5 = capabilities_of("gemini-3.8-live"), capabilities_of("gemini-2.5-flash-native-audio-latest")
TRANSLATE = MODELS["gemini-3.5-live-translate-preview"]
Message = dict[str, Any]


class Peer:
    """Stands for the connection: collects what is sent, and may be made slow or be lost."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.keeps_up = asyncio.Event()
        self.keeps_up.set()
        self.lost = False
        self._came = asyncio.Event()

    async def until(self, count: int) -> None:
        """Wait until so many messages have come."""
        async with asyncio.timeout(WAIT_S):
            while len(self.sent) < count:
                self._came.clear()
                await self._came.wait()

    async def send(self, message: Message | bytes) -> None:
        await self.keeps_up.wait()
        if self.lost:
            raise SessionClosed(1006, "")
        self.sent.append(json.loads(message) if isinstance(message, bytes) else message)
        self._came.set()


class Bench:
    """An `Uplink` on a conversation of its own, with a clock that the test moves."""

    def __init__(
        self,
        capabilities: ModelCapabilities = LIVE_3_1,
        *,
        automatic_vad: bool = True,
        shows_screen: bool = False,
        clock: Callable[[], float] | None = None,
        words_trail: bool = True,
    ) -> None:
        self.now_s = 1_000.0
        self.conversation = Conversation(capabilities, words_trail=words_trail)
        self.asked: list[str] = []
        self.progress: list[list[Outcome]] = []
        self.peer = Peer()
        self.stats = Stats(self.now_s)
        self.uplink = Uplink(
            self.conversation,
            capabilities,
            self.stats,
            automatic_vad=automatic_vad,
            shows_screen=shows_screen,
            on_asked=self._on_asked,
            on_progress=self.progress.append,
            clock=clock or (lambda: self.now_s),
        )

    def _on_asked(self, question: Question) -> None:
        self.asked.append(question.text)
        self.conversation.asked(question, self.now_s)

    def ask(self, text: str, *, waits: bool = False) -> None:
        self.conversation.add_question(text, waits=waits)
        self.uplink.wake()

    def answer(self) -> None:
        """Have the server answer the open question in full."""
        self.conversation.output_received(self.now_s, text="answer")
        self.conversation.turn_completed(self.now_s)
        self.now_s += 2
        self.conversation.tick(self.now_s)
        self.uplink.wake()

    @asynccontextmanager
    async def connected(self, peer: Peer | None = None) -> AsyncIterator[None]:
        """Run the uplink on a connection."""
        running = asyncio.ensure_future(self.uplink.run(cast(Connection, peer or self.peer)))
        try:
            await settle()
            yield
            await settle()
            if running.done():
                running.result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def settle() -> None:
    """Let every task do what it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def kind_of(message: Message) -> str:
    """Return the name of what a message carries."""
    (top,) = message
    return next(iter(message[top])) if top == "realtimeInput" else str(top)


def kinds(peer: Peer) -> list[str]:
    return [kind_of(message) for message in peer.sent]


def texts(peer: Peer) -> list[str]:
    return [message["realtimeInput"]["text"] for message in peer.sent if kind_of(message) == "text"]


def data_of(message: Message, kind: str) -> bytes:
    return base64.b64decode(message["realtimeInput"][kind]["data"])


def response(call_id: str) -> FunctionResponse:
    return FunctionResponse(id=call_id, name="f", response={"output": call_id})


# Typed turns


async def test_a_typed_line_is_sent_at_once_and_reported_before() -> None:
    bench = Bench()
    async with bench.connected():
        bench.ask("hello")
        await settle()
        assert bench.peer.sent == [{"realtimeInput": {"text": "hello"}}]
        assert bench.asked == ["hello"]


async def test_lines_of_a_terminal_do_not_wait_for_answers() -> None:
    bench = Bench()
    async with bench.connected():
        for text in ("one", "two", "three"):
            bench.ask(text)
        await settle()
        assert texts(bench.peer) == ["one", "two", "three"]


async def test_piped_lines_are_asked_each_after_the_previous_answer() -> None:
    bench = Bench()
    async with bench.connected():
        for text in ("one", "two", "three"):
            bench.ask(text, waits=True)
        for count in (1, 2, 3):
            await settle()
            assert texts(bench.peer) == ["one", "two", "three"][:count]
            bench.answer()


async def test_a_model_that_needs_client_content_gets_it() -> None:
    bench = Bench(LIVE_2_5)
    async with bench.connected():
        bench.ask("hello")
        await settle()
        (message,) = bench.peer.sent
        assert message["clientContent"]["turnComplete"] is True
        assert message["clientContent"]["turns"] == [{"role": "user", "parts": [{"text": "hello"}]}]


async def test_only_questions_are_held_while_the_server_is_about_to_close() -> None:
    bench = Bench()
    async with bench.connected():
        bench.uplink.holds_questions = True
        bench.ask("later")
        bench.uplink.offer_audio(b"pcm!")
        await settle()
        assert kinds(bench.peer) == ["audio"]
    bench.uplink.begin_connection([], announced=False)
    async with bench.connected():
        assert kinds(bench.peer) == ["audio", "text"]


async def test_what_was_not_sent_on_one_connection_is_sent_on_the_next() -> None:
    bench = Bench()
    bench.peer.keeps_up.clear()
    async with bench.connected():
        bench.uplink.offer_audio(b"stuck in the socket")
        await settle()
        bench.ask("line")
        bench.uplink.offer_audio(b"waits")
        bench.uplink.offer_frame(b"frame")
    after = Peer()
    bench.uplink.begin_connection([], announced=False)
    async with bench.connected(after):
        assert kinds(after) == ["clientContent", "audio", "video"]
        assert data_of(after.sent[1], "audio") == b"waits"


async def test_a_lost_connection_ends_the_task() -> None:
    bench = Bench()
    bench.peer.lost = True
    bench.ask("hello")
    with pytest.raises(SessionClosed):
        async with asyncio.timeout(WAIT_S):
            await bench.uplink.run(cast(Connection, bench.peer))


async def test_the_end_of_audio_is_pending_until_the_audio_before_it_is_sent() -> None:
    bench = Bench()
    assert not bench.uplink.ends_audio
    bench.uplink.offer_audio(b"last words")
    bench.uplink.end_audio(by_hand=False)
    assert bench.uplink.ends_audio
    assert bench.uplink.ends_file
    async with bench.connected():
        assert kinds(bench.peer) == ["audio", "audioStreamEnd"]
    assert not bench.uplink.ends_audio
    bench.uplink.end_audio(by_hand=True)
    assert bench.uplink.ends_audio
    assert not bench.uplink.ends_file


# Order


async def test_results_go_first_then_lines_then_speech_then_the_screen() -> None:
    bench = Bench()
    bench.conversation.call_opened("c", bench.now_s)
    bench.uplink.offer_frame(b"frame")
    bench.uplink.offer_audio(b"pcm!")
    bench.ask("line")
    bench.uplink.respond([Result(response("c"), is_silent=False)])
    async with bench.connected():
        assert kinds(bench.peer) == ["toolResponse", "clientContent", "audio", "video"]


async def test_a_line_overtakes_the_speech_that_waits() -> None:
    bench = Bench()
    bench.peer.keeps_up.clear()
    async with bench.connected():
        for _ in range(5):
            bench.uplink.offer_audio(b"pcm!")
        await settle()
        bench.ask("now")
        bench.peer.keeps_up.set()
        await settle()
        assert kinds(bench.peer) == ["audio", "text", "audio", "audio", "audio", "audio"]


# Function results


async def test_results_that_a_server_does_not_read_are_bounded() -> None:
    uplink = Bench().uplink
    result = Result(response("c1"), is_silent=False)
    uplink.respond([result] * MAX_RESULTS)
    assert not uplink.has_too_many_results
    uplink.respond([result])
    assert uplink.has_too_many_results


async def test_every_result_is_sent_once_in_a_message_of_its_own() -> None:
    bench = Bench()
    for call_id in "abc":
        bench.conversation.call_opened(call_id, bench.now_s)
        bench.uplink.respond([Result(response(call_id), is_silent=False)])
    async with bench.connected():
        assert bench.peer.sent == [
            {"toolResponse": {"functionResponses": [{"id": call_id, "name": "f", "response": {"output": call_id}}]}}
            for call_id in "abc"
        ]
    assert not bench.conversation.has_open_calls
    assert len(bench.progress) == 3


async def test_results_for_calls_of_a_lost_connection_are_not_sent_on_the_next() -> None:
    bench = Bench()
    bench.conversation.call_opened("c", bench.now_s)
    bench.uplink.respond([Result(response("c"), is_silent=False)])
    bench.uplink.begin_connection([], announced=False)
    async with bench.connected():
        assert bench.peer.sent == []


async def test_an_answer_completed_by_a_silent_result_is_returned() -> None:
    bench = Bench(words_trail=False)  # a model that writes: nothing is waited for after the end of its turn
    async with bench.connected():
        bench.ask("do it")
        await settle()
        bench.conversation.call_opened("c", bench.now_s)
        bench.conversation.output_received(bench.now_s, text="I am on it.")
        assert bench.conversation.turn_completed(bench.now_s) == []
        bench.uplink.respond([Result(response("c"), is_silent=True)])
        await settle()
    ((answered,),) = bench.progress
    assert isinstance(answered, Answered)
    assert answered.text == "I am on it."


# Speech


async def test_speech_is_sent_in_order_as_16_khz() -> None:
    bench = Bench()
    async with bench.connected():
        for number in range(5):
            bench.uplink.offer_audio(bytes([number, 0]))
        await settle()
        assert [data_of(message, "audio") for message in bench.peer.sent] == [bytes([n, 0]) for n in range(5)]
        assert bench.peer.sent[0]["realtimeInput"]["audio"]["mimeType"] == "audio/pcm;rate=16000"


async def test_a_socket_that_cannot_keep_up_gets_the_newest_five_seconds() -> None:
    bench = Bench()
    bench.peer.keeps_up.clear()
    async with bench.connected():
        for number in range(300):  # 6 s in chunks of 20 ms
            bench.uplink.offer_audio(number.to_bytes(2, "little") * 320)
        await settle()
        bench.peer.keeps_up.set()
        await bench.peer.until(250)
    numbers = [int.from_bytes(data_of(message, "audio")[:2], "little") for message in bench.peer.sent]
    assert numbers == list(range(50, 300))
    assert bench.uplink.microphone.n_bytes_dropped == 50 * 640


async def test_typed_lines_and_results_are_never_dropped_by_a_slow_socket() -> None:
    bench = Bench()
    bench.peer.keeps_up.clear()
    async with bench.connected():
        for number in range(1_000):
            bench.ask(f"line {number}")
            bench.uplink.respond([Result(response(str(number)), is_silent=False)])
        bench.peer.keeps_up.set()
        await bench.peer.until(2_000)
    assert texts(bench.peer) == [f"line {number}" for number in range(1_000)]


async def test_the_end_of_the_audio_follows_all_of_it() -> None:
    bench = Bench()
    for _ in range(3):
        bench.uplink.offer_audio(b"pcm!")
    bench.uplink.end_audio(by_hand=False)
    async with bench.connected():
        assert kinds(bench.peer) == ["audio", "audio", "audio", "audioStreamEnd"]
        assert bench.peer.sent[-1] == {"realtimeInput": {"audioStreamEnd": True}}


async def test_the_end_of_the_audio_is_sent_once_and_starts_the_clock() -> None:
    bench = Bench()
    async with bench.connected():
        assert bench.conversation.deadline_s() is None
        bench.uplink.offer_audio(b"pcm!")
        bench.uplink.end_audio(by_hand=False)
        await settle()
        bench.uplink.wake()
        await settle()
        assert kinds(bench.peer) == ["audio", "audioStreamEnd"]
        assert bench.progress == [[]]
        assert bench.conversation.deadline_s() == bench.now_s + bench.conversation.timings.after_audio_end_s


async def test_the_conversation_learns_if_the_user_ended_the_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, told = Bench(), list[bool]()
    monkeypatch.setattr(bench.conversation, "audio_ended", lambda _now_s, *, by_hand: told.append(by_hand))
    async with bench.connected():
        for by_hand in (True, False):
            bench.uplink.end_audio(by_hand=by_hand)
            await settle()
    assert told == [True, False]


# Speech whose ends the server is told


async def test_without_the_servers_detection_speech_is_framed_by_activity() -> None:
    bench = Bench(automatic_vad=False)
    for _ in range(2):
        bench.uplink.offer_audio(b"pcm!")
    bench.uplink.end_audio(by_hand=True)
    async with bench.connected():
        assert kinds(bench.peer) == ["activityStart", "audio", "audio", "activityEnd"]
        bench.uplink.offer_audio(b"pcm!")
        await settle()
        assert kinds(bench.peer)[4:] == ["activityStart", "audio"]


async def test_an_activity_that_never_began_does_not_end() -> None:
    bench = Bench(automatic_vad=False)
    bench.uplink.end_audio(by_hand=True)
    bench.uplink.offer_frame(b"frame")
    async with bench.connected():
        assert kinds(bench.peer) == ["video"]


async def test_speech_that_goes_on_after_a_reconnect_begins_an_activity_there() -> None:
    bench = Bench(automatic_vad=False)
    bench.uplink.offer_audio(b"pcm!")
    async with bench.connected():
        pass
    after = Peer()
    bench.uplink.begin_connection([], announced=False)
    bench.uplink.offer_audio(b"pcm!")
    async with bench.connected(after):
        assert kinds(after) == ["activityStart", "audio"]


# Speech during calls


async def test_audio_during_a_call_is_sent_afterwards_to_a_model_that_forbids_it() -> None:
    bench = Bench(LIVE_2_5)
    bench.conversation.call_opened("c", bench.now_s)
    async with bench.connected():
        bench.uplink.offer_audio(b"pcm!")
        bench.uplink.end_audio(by_hand=False)
        await settle()
        assert bench.peer.sent == []
        bench.uplink.respond([Result(response("c"), is_silent=False)])
        await settle()
        assert kinds(bench.peer) == ["toolResponse", "audio", "audioStreamEnd"]


async def test_other_models_get_audio_during_calls() -> None:
    bench = Bench()
    bench.conversation.call_opened("c", bench.now_s)
    bench.uplink.offer_audio(b"pcm!")
    async with bench.connected():
        assert kinds(bench.peer) == ["audio"]


# The screen


async def test_only_the_newest_frame_waits() -> None:
    bench = Bench(shows_screen=True)
    bench.peer.keeps_up.clear()
    async with bench.connected():
        bench.uplink.offer_audio(b"stuck")
        await settle()
        for number in range(10):
            bench.uplink.offer_frame(bytes([number]))
        bench.peer.keeps_up.set()
        await settle()
        assert kinds(bench.peer) == ["audio", "video"]
        assert data_of(bench.peer.sent[1], "video") == bytes([9])
        assert bench.peer.sent[1]["realtimeInput"]["video"]["mimeType"] == "image/jpeg"


async def test_a_frame_is_sent_once() -> None:
    bench = Bench(shows_screen=True)
    bench.uplink.offer_frame(b"frame")
    async with bench.connected():
        bench.uplink.wake()
        await settle()
        assert kinds(bench.peer) == ["video"]


async def test_the_first_line_waits_for_the_first_frame_and_follows_it() -> None:
    bench = Bench(shows_screen=True)
    bench.uplink.begin_connection([], announced=False)
    async with bench.connected():
        bench.ask("what do you see?")
        await settle()
        assert bench.peer.sent == []
        bench.uplink.offer_frame(b"frame")
        await settle()
        assert kinds(bench.peer) == ["video", "clientContent"]
        bench.ask("and now?")
        await settle()
        assert kinds(bench.peer) == ["video", "clientContent", "clientContent"]


async def test_the_first_line_waits_for_a_frame_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FIRST_FRAME_WAIT_S == 1
    monkeypatch.setattr(uplink_module, "FIRST_FRAME_WAIT_S", 0.02)
    bench = Bench(shows_screen=True, clock=asyncio.get_running_loop().time)
    bench.uplink.begin_connection([], announced=False)
    async with bench.connected():
        bench.ask("what do you see?")
        await settle()
        assert bench.peer.sent == []
        await bench.peer.until(1)
        assert kinds(bench.peer) == ["text"]


async def test_a_new_connection_is_shown_the_newest_frame_before_anything_is_asked() -> None:
    bench = Bench(shows_screen=True)
    bench.uplink.offer_frame(b"old")
    bench.uplink.offer_frame(b"newest")
    async with bench.connected():
        pass
    after = Peer()
    bench.uplink.begin_connection([], announced=False)
    bench.ask("still there?")
    async with bench.connected(after):
        assert turns(after) == [("still there?", [b"newest"])]


async def test_without_a_screen_nothing_waits_for_a_frame() -> None:
    bench = Bench()
    bench.uplink.begin_connection([], announced=False)
    bench.ask("at once")
    async with bench.connected():
        assert texts(bench.peer) == ["at once"]


# History


HISTORY = [Exchange("Hi", "Hello!"), Exchange("", "spoken")]


async def test_announced_history_is_one_message_that_ends_it() -> None:
    message = Bench().uplink.begin_connection(HISTORY, announced=True)
    assert message == {
        "clientContent": {
            "turns": [
                {"role": "user", "parts": [{"text": "Hi"}]},
                {"role": "model", "parts": [{"text": "Hello!"}]},
                {"role": "model", "parts": [{"text": "spoken"}]},
            ],
            "turnComplete": True,
        }
    }


async def test_history_that_was_not_announced_goes_out_unfinished_just_before_the_question() -> None:
    bench = Bench(LIVE_2_5)
    assert bench.uplink.begin_connection(HISTORY, announced=False) is None
    async with bench.connected():
        await settle()
        assert bench.peer.sent == []
        bench.ask("go on")
        bench.ask("and on")
        await settle()
        history, *questions = bench.peer.sent
        assert history["clientContent"]["turnComplete"] is False
        assert len(history["clientContent"]["turns"]) == 3
        assert [message["clientContent"]["turns"][0]["parts"][0]["text"] for message in questions] == [
            "go on",
            "and on",
        ]
        assert bench.asked == ["go on", "and on"]


async def test_history_that_was_not_sent_before_the_next_connection_is_forgotten() -> None:
    bench = Bench(LIVE_2_5)
    bench.uplink.begin_connection(HISTORY, announced=False)
    bench.uplink.begin_connection([], announced=False)
    bench.ask("go on")
    async with bench.connected():
        assert len(bench.peer.sent) == 1


async def test_a_model_that_takes_no_history_gets_none() -> None:
    bench = Bench(TRANSLATE)
    assert bench.uplink.begin_connection(HISTORY, announced=False) is None
    bench.uplink.offer_audio(b"pcm!")
    async with bench.connected():
        assert kinds(bench.peer) == ["audio"]


async def test_a_server_that_expects_history_gets_an_empty_one() -> None:
    message = Bench().uplink.begin_connection([], announced=True)
    assert message == {"clientContent": {"turns": [], "turnComplete": True}}


async def test_without_history_there_is_no_message() -> None:
    assert Bench().uplink.begin_connection([], announced=False) is None


# The microphone that the user closes for a while


async def test_closing_the_microphone_ends_the_stream_of_the_audio_after_what_waits() -> None:
    bench = Bench()
    for _ in range(2):
        bench.uplink.offer_audio(b"pcm!")
    bench.uplink.pause_audio()
    bench.uplink.offer_audio(b"pcm!")
    async with bench.connected():
        assert kinds(bench.peer) == ["audio", "audio", "audioStreamEnd", "audio"]
        bench.uplink.pause_audio()
        await settle()
        assert kinds(bench.peer)[4:] == ["audioStreamEnd"]
    assert not bench.uplink.ends_audio  # it is no end, and nothing is waited for after it


async def test_a_stream_that_has_ended_does_not_end_again_before_something_is_heard() -> None:
    bench = Bench()
    bench.uplink.offer_audio(b"pcm!")
    for _ in range(3):
        bench.uplink.pause_audio()
    async with bench.connected():
        assert kinds(bench.peer) == ["audio", "audioStreamEnd"]
        bench.uplink.end_audio(by_hand=True)
        await settle()
        assert kinds(bench.peer) == ["audio", "audioStreamEnd"]
    assert not bench.uplink.ends_audio


async def test_a_microphone_muted_before_any_audio_sends_one_end_at_most() -> None:
    bench = Bench()
    async with bench.connected():
        for _ in range(3):
            bench.uplink.pause_audio()
            await settle()
        assert kinds(bench.peer) in ([], ["audioStreamEnd"])


async def test_each_press_of_the_talk_key_is_a_turn() -> None:
    bench = Bench(automatic_vad=False)
    for _ in range(2):
        bench.uplink.offer_audio(b"one!")
        bench.uplink.offer_audio(b"two!")
        bench.uplink.pause_audio()
    async with bench.connected():
        assert kinds(bench.peer) == ["activityStart", "audio", "audio", "activityEnd"] * 2
        assert [data_of(bench.peer.sent[index], "audio") for index in (1, 2)] == [b"one!", b"two!"]


async def test_a_talk_key_pressed_in_silence_is_not_a_turn() -> None:
    bench = Bench(automatic_vad=False)
    async with bench.connected():
        for _ in range(3):
            bench.uplink.pause_audio()
        await settle()
        assert bench.peer.sent == []
        bench.uplink.offer_audio(b"pcm!")
        bench.uplink.pause_audio()
        bench.uplink.pause_audio()
        bench.uplink.end_audio(by_hand=True)
        await settle()
        assert kinds(bench.peer) == ["activityStart", "audio", "activityEnd"]


async def test_an_answer_is_expected_after_the_talk_key_is_released() -> None:
    bench = Bench(automatic_vad=False)
    async with bench.connected():
        bench.uplink.offer_audio(b"pcm!")
        await settle()
        bench.now_s += 5
        bench.uplink.pause_audio()
        await settle()
        bench.stats.latency.answer_began(bench.now_s + 0.7)
    assert bench.stats.latency.last_s == pytest.approx(0.7)


async def test_with_the_servers_detection_muting_does_not_end_the_speech() -> None:
    bench = Bench()
    async with bench.connected():
        bench.uplink.offer_audio(b"pcm!")
        bench.uplink.pause_audio()
        await settle()
        bench.stats.latency.answer_began(bench.now_s + 0.7)
    assert bench.stats.latency.last_s is None


async def test_speech_that_ended_without_a_connection_is_sent_on_the_next() -> None:
    for automatic_vad, told in (
        (True, ["audio", "audioStreamEnd", "audio"]),
        (False, ["activityStart", "audio", "activityEnd", "activityStart", "audio"]),
    ):
        bench = Bench(automatic_vad=automatic_vad)
        bench.uplink.offer_audio(b"pcm!")
        async with bench.connected():
            pass
        after = Peer()
        bench.uplink.begin_connection([], announced=False)
        bench.uplink.offer_audio(b"pcm!")
        bench.uplink.pause_audio()
        bench.uplink.offer_audio(b"pcm!")
        async with bench.connected(after):
            assert kinds(after) == told


async def test_a_turn_that_a_lost_connection_has_cut_off_does_not_end_on_the_next() -> None:
    bench = Bench(automatic_vad=False)
    bench.uplink.offer_audio(b"pcm!")
    async with bench.connected():
        assert kinds(bench.peer) == ["activityStart", "audio"]
    after = Peer()
    bench.uplink.begin_connection([], announced=False)
    bench.uplink.pause_audio()
    async with bench.connected(after):
        assert after.sent == []


async def test_a_connection_lost_at_the_start_of_a_turn_leaves_no_state() -> None:
    bench = Bench(automatic_vad=False)
    bench.peer.keeps_up.clear()
    bench.uplink.offer_audio(b"pcm!")
    async with bench.connected():
        pass  # the start of the activity is stuck in the socket
    after = Peer()
    bench.uplink.begin_connection([], announced=False)
    bench.uplink.offer_audio(b"next")
    async with bench.connected(after):
        assert kinds(after) == ["activityStart", "audio"]
        assert data_of(after.sent[1], "audio") == b"next"


async def test_a_mute_during_a_call_is_sent_afterwards_to_a_model_that_forbids_audio() -> None:
    bench = Bench(LIVE_2_5)
    bench.conversation.call_opened("c", bench.now_s)
    async with bench.connected():
        bench.uplink.offer_audio(b"pcm!")
        bench.uplink.pause_audio()
        await settle()
        assert bench.peer.sent == []
        bench.uplink.respond([Result(response("c"), is_silent=False)])
        await settle()
        assert kinds(bench.peer) == ["toolResponse", "audio", "audioStreamEnd"]


# Pictures


def turns(peer: Peer) -> list[tuple[str, list[bytes]]]:
    """Return the typed turns that were sent: the text, and the pictures inside."""
    found: list[tuple[str, list[bytes]]] = []
    for message in peer.sent:
        if kind_of(message) == "text":
            found.append((message["realtimeInput"]["text"], []))
        elif kind_of(message) == "clientContent":
            (turn,) = message["clientContent"]["turns"]
            *images, text = turn["parts"]
            assert message["clientContent"]["turnComplete"]
            assert all(image["inlineData"]["mimeType"] == "image/jpeg" for image in images)
            found.append((text["text"], [base64.b64decode(image["inlineData"]["data"]) for image in images]))
    return found


@asynccontextmanager
async def reconnected(bench: Bench) -> AsyncIterator[Peer]:
    """Lose the connection, and hold a new one."""
    peer = Peer()
    bench.conversation.connection_lost(bench.now_s)
    bench.uplink.begin_connection([], announced=False)
    async with bench.connected(peer):
        yield peer


@pytest.mark.parametrize("model", [LIVE_3_1, LIVE_3_8, LIVE_2_5])
async def test_pictures_go_inside_the_question_that_follows_them(model: ModelCapabilities) -> None:
    bench = Bench(model)
    async with bench.connected():
        bench.uplink.offer_picture(b"one")
        bench.uplink.offer_picture(b"two")
        await settle()
        assert bench.peer.sent == []
        bench.ask("what do you see?")
        bench.ask("and now?")
        await settle()
        assert turns(bench.peer) == [("what do you see?", [b"one", b"two"]), ("and now?", [])]


async def test_a_picture_is_also_sent_at_once_where_the_user_may_ask_by_voice() -> None:
    bench = Bench()
    bench.conversation.hears_user = True
    async with bench.connected():
        bench.uplink.offer_picture(b"one")
        await settle()
        assert [data_of(message, "video") for message in bench.peer.sent] == [b"one"]


async def test_a_picture_waits_as_questions_do_while_the_server_is_about_to_close() -> None:
    bench = Bench()
    async with bench.connected():
        bench.uplink.holds_questions = True
        bench.uplink.offer_picture(b"one")
        bench.ask("what do you see?")
        await settle()
        assert bench.peer.sent == []
    async with reconnected(bench) as after:
        assert turns(after) == [("what do you see?", [b"one"])]


async def test_a_question_that_is_asked_again_has_its_pictures_again() -> None:
    bench = Bench()
    async with bench.connected():
        for name in ("one", "two"):
            bench.uplink.offer_picture(name.encode())
            bench.ask(name)
            await settle()
    for _ in range(2):
        async with reconnected(bench) as after:
            assert turns(after) == [("one", [b"one"])]
    async with reconnected(bench) as after:
        bench.answer()
        await settle()
        assert turns(after) == [("one", [b"one"]), ("two", [b"two"])]


async def test_a_picture_of_a_question_that_was_answered_is_not_sent_again() -> None:
    bench = Bench()
    bench.uplink.offer_picture(b"one")
    bench.ask("what do you see?")
    async with bench.connected():
        await settle()
        bench.answer()
        await settle()
    async with reconnected(bench) as after:
        bench.ask("and now?")
        await settle()
        assert turns(after) == [("and now?", [])]


async def test_a_picture_belongs_to_the_first_question_after_it() -> None:
    bench = Bench()
    bench.ask("Q1")
    bench.uplink.offer_picture(b"B")
    bench.ask("Q2")
    async with bench.connected():
        await settle()
        assert turns(bench.peer) == [("Q1", []), ("Q2", [b"B"])]


async def test_a_model_that_refuses_pictures_inside_a_turn_gets_them_before_it() -> None:
    bench = Bench()
    bench.uplink.offer_picture(b"one")
    bench.ask("what do you see?")
    async with bench.connected():
        await settle()
        assert bench.uplink.sent_picture_turn
    bench.uplink.avoids_picture_turns = True
    async with reconnected(bench) as after:
        assert kinds(after) == ["video", "text"]
        assert not bench.uplink.sent_picture_turn


async def test_a_typed_turn_carries_the_newest_frame_of_the_screen_but_no_old_one() -> None:
    bench = Bench(shows_screen=True)
    async with bench.connected():
        bench.uplink.offer_frame(b"old")
        bench.uplink.offer_frame(b"new")
        bench.uplink.offer_picture(b"picture")
        bench.ask("what do you see?")
        await settle()
        bench.now_s += FRAME_EXPIRES_S
        bench.ask("and now?")
        await settle()
        assert turns(bench.peer) == [("what do you see?", [b"new", b"picture"]), ("and now?", [])]


async def test_a_frame_is_not_sent_again_to_a_resumed_session_that_knows_it() -> None:
    for resumed in (False, True):
        bench = Bench(LIVE_3_8, shows_screen=True)
        bench.uplink.offer_frame(b"frame")
        async with bench.connected():
            await settle()
        bench.uplink.begin_connection([], announced=False, resumed=resumed)
        after = Peer()
        async with bench.connected(after):
            assert kinds(after) == ([] if resumed else ["video"])


async def test_frames_of_the_screen_are_no_pictures_of_a_question() -> None:
    bench = Bench(shows_screen=True)
    bench.uplink.offer_frame(b"frame")
    async with bench.connected():
        bench.ask("what do you see?")
        await settle()
    bench.uplink.end_screen()
    async with reconnected(bench) as after:
        assert kinds(after) == ["text"]


# Silence after the user's audio


async def send_silence(bench: Bench, seconds: float) -> None:
    """Let time pass in steps in which silence is sent."""
    for _ in range(round(seconds / SILENCE_CHUNK_S)):
        bench.now_s += SILENCE_CHUNK_S
        bench.uplink.wake()
        await settle()


@pytest.mark.parametrize("end", ["file", "hand", "mute"])
async def test_silence_in_real_time_precedes_the_end_of_the_audio_on_a_model_that_needs_it(end: str) -> None:
    bench = Bench(LIVE_3_8)
    bench.uplink.offer_audio(b"pcm!")
    if end == "mute":
        bench.uplink.pause_audio()
    else:
        bench.uplink.end_audio(by_hand=end == "hand")
    async with bench.connected():
        await send_silence(bench, 0.5)
        bench.uplink.note_sign_of_answer()
        assert 6 <= len(bench.peer.sent) <= 8
        assert not any(data_of(bench.peer.sent[-1], "audio"))
        await send_silence(bench, 1.0)
        assert kinds(bench.peer)[-1] == "audioStreamEnd"
        silence_s = sum(len(data_of(message, "audio")) for message in bench.peer.sent[1:-1]) / 32_000
        assert silence_s == pytest.approx(MIN_SILENCE_S)
    assert bench.stats.heard_s < 0.01


async def test_silence_ends_without_a_sign_of_an_answer_too() -> None:
    bench = Bench(LIVE_3_8)
    bench.uplink.offer_audio(b"pcm!")
    bench.uplink.end_audio(by_hand=False)
    async with bench.connected():
        await send_silence(bench, MAX_SILENCE_S - 1)
        assert kinds(bench.peer)[-1] == "audio"
        await send_silence(bench, 2)
        assert kinds(bench.peer)[-1] == "audioStreamEnd"


async def test_speech_ends_the_silence_without_an_end_of_audio() -> None:
    bench = Bench(LIVE_3_8)
    bench.uplink.offer_audio(b"one!")
    bench.uplink.pause_audio()
    async with bench.connected():
        await send_silence(bench, 0.3)
        bench.uplink.offer_audio(b"two!")
        await send_silence(bench, 0.3)
        assert data_of(bench.peer.sent[-1], "audio") == b"two!"
        assert set(kinds(bench.peer)) == {"audio"}


async def test_a_microphone_that_was_never_heard_has_no_end() -> None:
    bench = Bench(LIVE_3_8)
    bench.uplink.pause_audio()
    async with bench.connected():
        await send_silence(bench, 2)
        assert bench.peer.sent == []


async def test_audio_that_waited_for_a_call_is_not_counted_as_dropped_by_the_network() -> None:
    bench = Bench(LIVE_2_5)
    bench.conversation.call_opened("c", bench.now_s)
    for _ in range(300):  # 6 s in chunks of 20 ms
        bench.uplink.offer_audio(bytes(640))
    assert bench.stats.withheld_s == pytest.approx(1.0)


# The end of the screen


async def test_a_screen_that_is_no_longer_shared_leaves_no_frame() -> None:
    bench = Bench(shows_screen=True)
    bench.uplink.offer_frame(b"frame")
    bench.uplink.end_screen()
    async with bench.connected():
        assert bench.peer.sent == []
    bench.uplink.begin_connection([], announced=False)
    bench.ask("at once")
    async with bench.connected():
        assert kinds(bench.peer) == ["text"]


async def test_a_question_stops_waiting_for_a_frame_when_none_will_come() -> None:
    bench = Bench(shows_screen=True)
    bench.uplink.begin_connection([], announced=False)
    async with bench.connected():
        bench.ask("what do you see?")
        await settle()
        assert bench.peer.sent == []
        bench.uplink.end_screen()
        bench.uplink.wake()
        await settle()
        assert kinds(bench.peer) == ["text"]


# What is counted


async def test_speech_is_counted_as_it_is_sent() -> None:
    bench = Bench()
    for _ in range(10):
        bench.uplink.offer_audio(bytes(640))
    bench.uplink.pause_audio()
    assert bench.stats.heard_s == 0
    async with bench.connected():
        await bench.peer.until(11)
    assert bench.stats.heard_s == pytest.approx(0.2)


async def test_speech_dropped_by_a_slow_network_is_not_counted_as_sent() -> None:
    bench = Bench()
    for _ in range(300):
        bench.uplink.offer_audio(bytes(640))
    async with bench.connected():
        await bench.peer.until(250)
    assert bench.stats.heard_s == pytest.approx(5)
