"""The open calls of a session: each is shown, run, and answered once or taken back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gemini_live.conversation.outcomes import Answered, Outcome, Question
from gemini_live.session.calls import MAX_OPEN, MAX_RUNNING, Calls
from gemini_live.session.confirmations import Confirmations
from gemini_live.wire.events import FunctionCall
from tests.functions.loading import globals_of, load_functions
from tests.protos import check_client_message
from tests.session import test_uplink as uplink_bench
from tests.session.test_dispatch import Recorder
from tests.session.test_uplink import Message, kinds, settle

WAIT_S = 10

FUNCTIONS = '''
import asyncio
import threading

released = threading.Event()
go_on = asyncio.Event()
ended = []

def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b

def fail() -> str:
    """Fail."""
    raise ValueError("no luck")

def hang() -> str:
    """Run until it is released."""
    released.wait()
    return "late"

async def wait(word: str) -> str:
    """Wait to be let go on."""
    try:
        await go_on.wait()
        return word
    finally:
        ended.append(word)

async def count():
    """Report progress."""
    yield 1
    await go_on.wait()
    yield {"n": 2, "scheduling": "SILENT"}

def plot() -> bytes:
    """Return a picture."""
    return b"\\xff\\xd8\\xff"

def keep_quiet() -> dict[str, str]:
    """Do something that is not worth a word."""
    return {"output": "done", "scheduling": "SILENT"}
'''


class Bench:
    """`Calls` with an uplink whose peer collects what is sent, and an output that notes what is shown."""

    def __init__(
        self,
        file: Path,
        *,
        blocking: frozenset[str] = frozenset(),
        timeout_s: float = 60.0,
        confirms_all: bool = False,
    ) -> None:
        model = uplink_bench.LIVE_3_8
        self.functions = load_functions([file], capabilities=model, timeout_s=timeout_s)
        self.uplink = uplink_bench.Bench(model, words_trail=False)
        self.recorder = Recorder()
        self.applied: list[Outcome] = []
        self.calls = Calls(
            self.functions,
            self.uplink.conversation,
            self.uplink.uplink,
            self.recorder,
            record_event=lambda *_, **__: None,
            confirmations=Confirmations(self.recorder, confirms_all=confirms_all, has_prompt=False),
            blocking=blocking,
            apply=self.applied.extend,
            clock=lambda: self.uplink.now_s,
        )
        self.tasks: asyncio.TaskGroup

    @property
    def module(self) -> dict[str, Any]:
        """What the functions' file has come to."""
        variables: dict[str, Any] = globals_of(self.functions, "wait")
        return variables

    @property
    def shown(self) -> list[tuple[Any, ...]]:
        return self.recorder.calls

    @property
    def answers(self) -> list[Message]:
        """The results that were sent, in order."""
        messages = self.uplink.peer.sent
        return [answer for message in messages for answer in message["toolResponse"]["functionResponses"]]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run what is called, on a connection, and see every call to its end."""
        async with self.uplink.connected(), asyncio.TaskGroup() as self.tasks:
            yield

    def call(self, name: str, call_id: str = "c", **args: Any) -> None:
        self.uplink.conversation.call_opened(call_id, self.uplink.now_s, name)
        self.calls.start([FunctionCall(id=call_id, name=name, args=args)], 1, self.tasks)

    def ask(self, text: str) -> Question:
        question = self.uplink.conversation.add_question(text, waits=False)
        self.uplink.conversation.asked(question, self.uplink.now_s)
        return question


Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function that returns a bench, with the arguments of `Bench`."""
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS)
    return lambda **options: Bench(path, **options)


async def test_a_call_is_shown_run_and_answered_once(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("add", "id-1", a=2, b=3)
        assert bench.shown == [("tool_call", "id-1", "add", {"a": 2, "b": 3})]
    assert bench.shown[1:] == [("tool_result", "id-1", "add", {"output": 5}, False, False)]
    assert bench.answers == [{"id": "id-1", "name": "add", "response": {"output": 5}}]
    assert not bench.uplink.conversation.has_open_calls


async def test_a_call_that_the_user_does_not_allow_is_answered_with_an_error_and_not_run(make: Make) -> None:
    bench = make(confirms_all=True)
    async with bench.running():
        bench.call("add", a=2, b=3)
    error = {"error": "add needs the user's confirmation, and there is no prompt to ask at"}
    assert bench.shown[1:] == [("tool_result", "c", "add", error, True, False)]
    assert bench.answers == [{"id": "c", "name": "add", "response": error}]


async def test_progress_is_sent_at_once_and_the_call_stays_open_until_the_end(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("count")
        async with asyncio.timeout(WAIT_S):
            while not bench.answers:
                await settle()
        first = {"id": "c", "name": "count", "response": {"output": 1}, "willContinue": True}
        assert bench.answers == [first]
        assert bench.uplink.conversation.has_open_calls
        bench.module["go_on"].set()
    second = {"id": "c", "name": "count", "response": {"n": 2}, "willContinue": True, "scheduling": "SILENT"}
    last = {"id": "c", "name": "count", "response": {}, "willContinue": False, "scheduling": "SILENT"}
    assert bench.answers == [first, second, last]
    for answer in bench.answers:
        check_client_message({"toolResponse": {"functionResponses": [answer]}})
    assert not bench.uplink.conversation.has_open_calls
    assert [shown[-1] for shown in bench.shown if shown[0] == "tool_result"] == [True, True, False]


async def test_a_function_that_the_model_waits_for_sends_its_last_value_only(make: Make) -> None:
    bench = make(blocking=frozenset({"count"}))
    async with bench.running():
        bench.module["go_on"].set()
        bench.call("count")
    assert [answer["response"] for answer in bench.answers] == [{"n": 2}]


async def test_a_picture_is_a_part_of_the_result(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("plot")
    assert bench.answers == [
        {
            "id": "c",
            "name": "plot",
            "response": {"output": "picture 1 (image/jpeg)"},
            "parts": [{"inlineData": {"mimeType": "image/jpeg", "data": "/9j/"}}],
        }
    ]
    check_client_message({"toolResponse": {"functionResponses": bench.answers}})


async def test_a_function_that_fails_is_answered_with_why_and_its_traceback_is_a_detail(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("fail")
    response = {"error": "ValueError: no luck"}
    assert bench.shown[1] == ("tool_result", "c", "fail", response, True, False)
    assert {kind for kind, *_ in bench.shown[2:]} == {"detail"}
    assert bench.shown[-1] == ("detail", "ValueError: no luck")
    assert bench.answers == [{"id": "c", "name": "fail", "response": response}]


async def test_a_call_of_an_unknown_function_is_answered_with_an_error(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("nothing")
    (answer,) = bench.answers
    assert answer["response"]["error"].startswith("there is no function 'nothing'")


async def test_running_and_waiting_calls_are_limited_and_further_ones_are_refused(make: Make) -> None:
    bench = make()
    n_calls = MAX_OPEN + 100
    async with bench.running():
        for number in range(n_calls):
            bench.call("hang", f"id-{number}")
        threads = [thread for thread in threading.enumerate() if thread.name == "function hang"]
        while len(threads) < MAX_RUNNING:
            await asyncio.sleep(0)
            threads = [thread for thread in threading.enumerate() if thread.name == "function hang"]
        assert len(bench.calls.running) == MAX_OPEN
        assert len(threads) == MAX_RUNNING
        bench.module["released"].set()
    assert sorted(answer["id"] for answer in bench.answers) == sorted(f"id-{number}" for number in range(n_calls))
    errors = [answer["response"]["error"] for answer in bench.answers if "error" in answer["response"]]
    assert len(errors) == 100
    assert errors[0] == "too many calls are open (256): call hang again when others have ended"
    assert bench.calls.running == []


async def test_calls_of_one_message_are_answered_together_also_if_some_of_them_are_refused(make: Make) -> None:
    bench = make()
    calls = [FunctionCall(f"id-{number}", "add", {"a": 1, "b": number}) for number in range(MAX_OPEN + 3)]
    async with bench.running():
        for call in calls:
            bench.uplink.conversation.call_opened(call.id, bench.uplink.now_s)
        bench.calls.start(calls, 1, bench.tasks)
    (message,) = bench.uplink.peer.sent
    assert len(message["toolResponse"]["functionResponses"]) == MAX_OPEN + 3


async def test_a_call_with_unreadable_arguments_is_answered_with_an_error(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.calls.start([FunctionCall("c", "add", None)], 1, bench.tasks)
    assert bench.answers[0]["response"] == {"error": "the arguments are not a valid JSON object"}


async def test_notices_of_a_call_are_warnings(make: Make) -> None:
    bench = make(timeout_s=0.01)
    async with bench.running():
        bench.call("hang")
    bench.module["released"].set()
    assert [args for kind, *args in bench.shown if kind == "warning"] == [
        ["hang is still running: a plain function cannot be stopped; its result will be discarded"]
    ]
    (answer,) = bench.answers
    assert answer["response"] == {"error": "TimeoutError: hang did not finish within 0.01 s"}


async def test_calls_run_side_by_side_and_are_answered_as_they_end(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("wait", "1", word="one")
        bench.call("wait", "2", word="two")
        bench.call("add", "3", a=1, b=1)
        await bench.uplink.peer.until(1)
        assert [answer["id"] for answer in bench.answers] == ["3"]
        bench.module["go_on"].set()
    assert [answer["id"] for answer in bench.answers] == ["3", "1", "2"]


async def test_a_question_remembers_what_was_called_for_it_once_each(make: Make) -> None:
    bench = make()
    async with bench.running():
        question = bench.ask("do it")
        bench.uplink.conversation.output_received(bench.uplink.now_s, text="I am on it.")
        bench.call("fail", "1")
        bench.call("add", "2", a=1, b=1)
        bench.call("fail", "3")
    assert list(question.called) == ["fail", "add"]


async def test_a_call_without_a_typed_question_runs_too(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("add", a=1, b=1)
    assert len(bench.answers) == 1


# Results that the model is to keep to itself


@pytest.mark.parametrize(
    ("blocking", "is_last_word"),
    [(frozenset(), True), (frozenset({"keep_quiet"}), False), (frozenset({"add"}), True)],
)
async def test_a_silent_result_ends_the_answer_unless_the_model_has_waited_for_it(
    make: Make, blocking: frozenset[str], is_last_word: bool
) -> None:
    bench = make(blocking=blocking)
    conversation = bench.uplink.conversation
    async with bench.running():
        bench.ask("do it")
        bench.call("keep_quiet")
        conversation.output_received(bench.uplink.now_s, text="I am on it.")
        conversation.turn_completed(bench.uplink.now_s)
    assert bench.answers[0]["scheduling"] == "SILENT"
    outcomes = [outcome for outcomes in bench.uplink.progress for outcome in outcomes]
    assert [isinstance(outcome, Answered) for outcome in outcomes] == [True] * is_last_word


# Calls that are taken back


async def test_a_cancelled_call_is_stopped_reported_and_not_answered(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("wait", "1", word="one")
        bench.call("wait", "2", word="two")
        await settle()
        bench.calls.cancel(["1"])
        await settle()
        assert bench.module["ended"] == ["one"]
        assert bench.shown[2:] == [("tool_cancelled", "1", "wait")]
        bench.module["go_on"].set()
    assert [answer["id"] for answer in bench.answers] == ["2"]
    assert not bench.uplink.conversation.has_open_calls


async def test_cancel_without_ids_cancels_all_calls(make: Make) -> None:
    bench = make()
    async with bench.running():
        for call_id in "123":
            bench.call("wait", call_id, word=call_id)
        await settle()
        bench.calls.cancel()
        bench.calls.cancel()
    assert bench.module["ended"] == ["1", "2", "3"]
    assert bench.shown[3:] == [("tool_cancelled", call_id, "wait") for call_id in "123"]
    assert bench.answers == []


async def test_a_call_that_has_not_begun_to_run_is_cancelled_too(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("add", a=1, b=1)
        bench.calls.cancel(["c"])
    assert bench.shown[1:] == [("tool_cancelled", "c", "add")]
    assert bench.answers == []


async def test_cancelling_an_unknown_or_answered_call_does_nothing(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("add", a=1, b=1)
        await bench.uplink.peer.until(1)
        bench.calls.cancel(["c", "unknown"])
        bench.calls.cancel()
    assert [kind for kind, *_ in bench.shown] == ["tool_call", "tool_result"]
    assert bench.applied == []


async def test_a_cancelled_plain_function_keeps_running_and_that_is_reported(make: Make) -> None:
    bench = make()
    released: threading.Event = bench.module["released"]
    async with bench.running():
        bench.call("hang")
        await settle()
        bench.calls.cancel()
        released.set()
        await settle()
    assert [kind for kind, *_ in bench.shown] == ["tool_call", "tool_cancelled", "warning"]
    assert "hang is still running" in bench.shown[-1][1]
    assert bench.answers == []


async def test_the_outcomes_of_a_cancelled_call_are_applied(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, outcome = make(), Answered(1, "", asked=False, cut_off=True)
    monkeypatch.setattr(bench.uplink.conversation, "call_cancelled", lambda call_id, now_s: [outcome])
    async with bench.running():
        bench.call("wait", word="one")
        bench.calls.cancel()
    assert bench.applied == [outcome]


async def test_results_of_separate_messages_are_sent_separately(make: Make) -> None:
    bench = make()
    async with bench.running():
        for call_id in "123":
            bench.call("add", call_id, a=1, b=1)
    assert kinds(bench.uplink.peer) == ["toolResponse"] * 3


async def test_the_calls_of_one_message_are_answered_in_one_message_after_the_last(make: Make) -> None:
    bench = make()
    calls = [FunctionCall("a", "add", {"a": 1, "b": 2}), FunctionCall("b", "wait", {"word": "done"})]
    async with bench.running():
        for call in calls:
            bench.uplink.conversation.call_opened(call.id, bench.uplink.now_s)
        bench.calls.start(calls, 1, bench.tasks)
        await settle()
        assert kinds(bench.uplink.peer) == []
        bench.module["go_on"].set()
    assert kinds(bench.uplink.peer) == ["toolResponse"]
    assert [answer["id"] for answer in bench.answers] == ["a", "b"]


async def test_the_rest_of_a_message_is_answered_if_the_server_cancels_one_of_its_calls(make: Make) -> None:
    bench = make()
    calls = [FunctionCall("a", "add", {"a": 1, "b": 2}), FunctionCall("b", "wait", {"word": "done"})]
    async with bench.running():
        for call in calls:
            bench.uplink.conversation.call_opened(call.id, bench.uplink.now_s)
        bench.calls.start(calls, 1, bench.tasks)
        await settle()
        bench.calls.cancel(["b"])
    assert [answer["id"] for answer in bench.answers] == ["a"]


async def test_calls_that_the_user_cancels_are_answered_with_an_error(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("wait", "c", word="never")
        await settle()
        assert [name for name, _ in bench.calls.running] == ["wait"]
        bench.calls.cancel_by_user()
        assert bench.calls.running == []
    assert [answer["response"] for answer in bench.answers] == [{"error": "cancelled by the user"}]
    assert bench.module["ended"] == ["never"]


async def test_two_calls_without_an_id_are_answered_one_by_one(make: Make) -> None:
    bench = make()
    async with bench.running():
        bench.call("wait", "", word="slow")
        bench.call("add", "", a=1, b=2)
        await settle()
        assert [name for name, _ in bench.calls.running] == ["wait"]
        bench.module["go_on"].set()
    assert [answer["response"] for answer in bench.answers] == [{"output": 3}, {"output": "slow"}]
