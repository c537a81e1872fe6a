"""Questions to the user before a function runs."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gemini_live.functions.call import FunctionCaller
from gemini_live.functions.result import CallResult, RemoteFunction
from gemini_live.functions.tool import ToolOptions
from gemini_live.output.events import Event, Reply
from gemini_live.session.confirmations import Confirmations

REFUSED = "the user did not allow the call of f"


class Bench:
    """Confirmations whose questions are noted."""

    def __init__(self, *, confirms_all: bool = True, has_prompt: bool = True, answer_within_s: float = 10.0) -> None:
        self.shown: list[str] = []
        self.asked = asyncio.Event()
        self.confirmations = Confirmations(
            self, confirms_all=confirms_all, has_prompt=has_prompt, answer_within_s=answer_within_s
        )

    def emit(self, event: Event) -> None:
        assert isinstance(event, Reply)
        self.shown.append(event.text)
        self.asked.set()

    async def call(self, *lines: str, name: str = "f", **args: Any) -> str | None:
        """Return why a call must not run, where the user types `lines` at the question."""
        self.asked.clear()
        refusing = asyncio.create_task(self.confirmations.refuse(name, args, wants_confirmation=False))
        waiting = asyncio.create_task(self.asked.wait())
        await asyncio.wait({refusing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self.taken = [self.confirmations.take(line) for line in lines]
        return await refusing


@pytest.mark.parametrize("answer", ["y", "Y", "yes", " y "])
async def test_the_user_allows_one_call(answer: str) -> None:
    bench = Bench()
    assert await bench.call(answer, city="Oslo", days=[1, None], text="a\n\x1b") is None
    assert bench.shown == ['run f(city="Oslo", days=[1, null], text="a\\n\\u001b")? [y/N/always]']
    assert await bench.call("no") == REFUSED
    assert len(bench.shown) == 2


@pytest.mark.parametrize("answer", ["n", "N", "no", "NO", "", "  "])
async def test_the_user_refuses_a_call(answer: str) -> None:
    assert await Bench().call(answer) == REFUSED


async def test_the_user_allows_a_function_always() -> None:
    bench = Bench()
    assert await bench.call("always") is None
    assert await bench.call() is None
    assert bench.shown == ["run f()? [y/N/always]"]
    assert await bench.call("n", name="g") == "the user did not allow the call of g"


async def test_another_line_leaves_the_question_open() -> None:
    bench = Bench()
    assert await bench.call("hello", "yes please", "/y", "y", "y") is None
    assert bench.taken == [False, False, False, True, False]


async def test_no_answer_in_time_means_no() -> None:
    bench = Bench(answer_within_s=0.01)
    assert await bench.call() == REFUSED
    assert bench.shown[1:] == ["f not run: no answer within 0.01 s"]
    assert not bench.confirmations.take("y")


async def test_one_question_at_a_time() -> None:
    bench = Bench()
    calls = [asyncio.create_task(bench.confirmations.refuse(name, {}, wants_confirmation=False)) for name in "fgh"]
    await bench.asked.wait()
    assert bench.shown == ["run f()? [y/N/always]"]
    assert bench.confirmations.question == "run f? [y/N/always]"
    calls[0].cancel()
    while len(bench.shown) < 3:
        bench.asked.clear()
        await bench.asked.wait()
    assert bench.shown[1:] == ["f not run: the call was cancelled", "run g()? [y/N/always]"]
    assert bench.confirmations.question == "run g? [y/N/always]"
    bench.asked.clear()
    assert bench.confirmations.take("y")
    await bench.asked.wait()
    assert bench.confirmations.take("n")
    assert await asyncio.gather(*calls[1:]) == [None, "the user did not allow the call of h"]
    assert bench.confirmations.question is None
    assert not bench.confirmations.take("")


async def test_a_function_that_wants_a_confirmation_gets_it() -> None:
    bench = Bench(confirms_all=False)
    assert await bench.confirmations.refuse("f", {}, wants_confirmation=False) is None
    asking = asyncio.create_task(bench.confirmations.refuse("f", None, wants_confirmation=True))
    await bench.asked.wait()
    assert bench.confirmations.take("y")
    assert await asking is None


async def test_without_a_prompt_a_call_that_needs_a_confirmation_is_refused() -> None:
    bench = Bench(confirms_all=False, has_prompt=False)
    reason = "f needs the user's confirmation, and there is no prompt to ask at"
    assert await bench.confirmations.refuse("f", {}, wants_confirmation=True) == reason
    assert bench.shown == []


async def test_allowed_functions_run_without_a_question() -> None:
    caller = FunctionCaller({name: remote(name) for name in ("read_a", "write_a")}, schedules=False, timeout_s=1)
    confirmations = Confirmations(
        Bench(), confirms_all=False, has_prompt=False, allowed=("read_*", "send"), answer_within_s=1
    )
    assert await confirmations.refuse("read_a", {}, wants_confirmation=True) is None
    assert await confirmations.refuse("write_a", {}, wants_confirmation=True) is not None
    assert confirmations.find_warnings(caller) == [
        "--allow send: no function has this name",
        "refused, since there is no prompt to confirm them at: write_a; allow with --allow NAME",
    ]


def remote(name: str) -> RemoteFunction:
    async def perform(args: Mapping[str, Any]) -> CallResult:
        raise AssertionError(name)

    options = ToolOptions(confirm=True)
    return RemoteFunction(name=name, source="elsewhere", declaration={}, perform=perform, options=options)
