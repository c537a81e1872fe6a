"""Async generators: calls that report their progress."""

import asyncio
import dataclasses
from typing import Any

import pytest

from gemini_live.functions.result import CallResult
from gemini_live.models import MODELS
from tests.functions.loading import Write, globals_of, load_file

FILE = """
    import asyncio, functools
    from gemini_live.functions import tool

    closed = []

    async def search(word: str):
        "Search."
        try:
            yield "looking"
            yield {"found": word, "scheduling": "INTERRUPT"}
        finally:
            closed.append(word)

    @tool(behavior="BLOCKING")
    async def wait_for_it():
        yield 1
        yield 2

    def _logged(function):
        @functools.wraps(function)
        def wrapper(*arguments, **named):
            return function(*arguments, **named)
        return wrapper

    @_logged
    async def wrapped():
        yield "a"

    async def quiet():
        yield {"scheduling": "SILENT"}

    async def fail():
        yield "begun"
        raise ValueError("no luck")

    async def nothing():
        if False:
            yield

    async def hang():
        try:
            yield "begun"
            await asyncio.Event().wait()
        finally:
            closed.append("hang")
"""
LAST = CallResult(response={}, continues=False, is_spoken_of=True, scheduling="SILENT")


class Reports(list[CallResult]):
    """Progress, and the first of it as an event."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    def add(self, result: CallResult) -> None:
        self.append(result)
        self.came.set()


async def test_each_value_is_reported_and_the_end_is_silent(write: Write) -> None:
    functions, reports = load_file(write(FILE)), Reports()
    assert await functions.call("search", {"word": "x"}, reports.add) == LAST
    assert reports == [
        CallResult(response={"output": "looking"}, continues=True),
        CallResult(response={"found": "x"}, continues=True, scheduling="INTERRUPT"),
    ]
    assert await functions.call("wrapped", {}, reports.add) == LAST
    assert await functions.call("quiet", {}, reports.add) == dataclasses.replace(LAST, is_spoken_of=False)


async def test_without_reports_the_last_value_is_the_result(write: Write) -> None:
    functions, reports = load_file(write(FILE)), Reports()
    assert (await functions.call("search", {"word": "x"})).response == {"found": "x"}
    assert await functions.call("wait_for_it", {}, reports.add) == CallResult(response={"output": 2})
    assert reports == []


@pytest.mark.parametrize(
    ("model", "behavior", "reports"),
    [
        ("gemini-3.8-live", "NON_BLOCKING", True),
        ("gemini-2.5-flash-native-audio-latest", "NON_BLOCKING", True),
        ("gemini-3.1-flash-live-preview", None, False),
        ("gemini-3.8-live-extended-thinking", None, False),
    ],
)
async def test_progress_is_for_models_that_take_it(
    write: Write, model: str, behavior: str | None, reports: bool
) -> None:
    functions, reported = load_file(write(FILE), MODELS[model]), Reports()
    assert functions.declarations[0].get("behavior") == behavior
    result = await functions.call("search", {"word": "x"}, reported.add)
    assert (len(reported), result.response.get("found")) == ((2, None) if reports else (0, "x"))


@pytest.mark.parametrize(
    ("name", "args", "error", "n_reports"),
    [
        ("fail", {}, "ValueError: no luck", 1),
        ("nothing", {}, "nothing yielded nothing, so there is no result", 0),
        ("search", {}, "the arguments do not fit search: missing word", 0),
    ],
)
async def test_a_generator_that_fails_ends_the_call_with_an_error(
    write: Write, name: str, args: dict[str, Any], error: str, n_reports: int
) -> None:
    functions, reports = load_file(write(FILE)), Reports()
    result = await functions.call(name, args, reports.add)
    assert (result.response, result.failed, result.continues) == ({"error": error}, True, None)
    assert len(reports) == n_reports


async def test_a_call_that_is_cancelled_closes_its_generator(write: Write) -> None:
    functions, reports = load_file(write(FILE)), Reports()
    closed = globals_of(functions, "hang")["closed"]
    call = asyncio.create_task(functions.call("hang", {}, reports.add))
    await reports.came.wait()
    running = next(task for task in asyncio.all_tasks() if task.get_name() == "function hang")
    call.cancel()
    await asyncio.wait({call, running}, timeout=10)
    assert closed == ["hang"]
