"""Calling the user's functions: arguments, results, errors, threads and time."""

import asyncio
import contextvars
import json
import threading
from typing import Any

import pytest

from gemini_live.functions.call import MAX_THREADS
from gemini_live.functions.result import CallResult
from gemini_live.models import Behavior, ModelCapabilities
from tests.functions.files import gates
from tests.functions.loading import DEFAULT, PATIENCE_S, Write, load, load_file, load_functions

FITTING: list[tuple[str, Any, str]] = [
    ("take_string", "x\n\x1b", "'x\\n\\x1b'"),
    ("take_integer", 3, "3"),
    ("take_integer", 3.0, "3"),
    ("take_number", 3, "3.0"),
    ("take_boolean", True, "True"),
    ("take_enum", "red", "<Color.RED: 'red'>"),
    ("take_integer_enum", 2, "<Level.HIGH: 2>"),
    ("take_integer_enum", 2.0, "<Level.HIGH: 2>"),
    ("take_literal", "b", "'b'"),
    ("take_optional", None, "None"),
    ("take_union", "3", "'3'"),
    ("take_list", [1, 2], "[1, 2]"),
    ("take_set", ["b", "a", "b"], "['a', 'b']"),
    ("take_tuple", [1, 2], "(1, 2)"),
    ("take_mixed_tuple", [1, "x"], "(1, 'x')"),
    ("take_named_tuple", [1, "x"], "Pair(left=1, right='x')"),
    ("take_dict", {"a": 1}, "{'a': 1}"),
    ("take_dataclass", {"x": 1}, "Point(x=1, y=0)"),
    ("take_typed_dict", {"text": "x", "color": "blue"}, "{'text': 'x', 'color': <Color.BLUE: 'blue'>}"),
    ("take_model", {"name": "n", "points": [{"x": 1}]}, "Shape(name='n', points=[Point(x=1, y=0)])"),
    ("take_list_of_dataclasses", [{"x": 1, "y": 2}], "[Point(x=1, y=2)]"),
    ("take_datetime", "2026-11-22T10:00:00", "datetime.datetime(2026, 11, 22, 10, 0)"),
    ("take_date", "2026-11-22", "datetime.date(2026, 11, 22)"),
    ("take_decimal", "1.10", "Decimal('1.10')"),
    ("take_uuid", "12345678123456781234567812345678", "UUID('12345678-1234-5678-1234-567812345678')"),
    ("take_path", "a/b", "a/b"),
    ("take_described", 0, "0"),
    ("take_anything", {"a": [1, None]}, "{'a': [1, None]}"),
    (
        "take_recursive",
        {"value": 1, "children": [{"value": 2}]},
        "Node(value=1, children=[Node(value=2, children=[])])",
    ),
]


async def test_arguments_are_converted_to_the_annotated_types() -> None:
    functions = load("typed.py")
    for name, value, shown in FITTING:
        assert await functions.call(name, {"value": value}) == CallResult(response={"output": shown})


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("take_integer", {}, "missing value"),
        ("take_integer", {"value": 1, "a": 2, "b": 3}, "unknown a, b (it takes value)"),
        ("take_nothing", {"a": 2}, "unknown a (it takes no arguments)"),
        ("take_integer", {"valu": 1}, "missing value; unknown valu (it takes value)"),
        ("take_integer", {"value": "three"}, "value: Input should be a valid integer"),
        ("take_integer", {"value": 1.5}, "value: Input should be a valid integer, got a number with a fractional part"),
        ("take_integer", {"value": None}, "value: Input should be a valid integer"),
        ("take_string", {"value": 3}, "value: Input should be a valid string"),
        ("take_enum", {"value": "green"}, "value: Input should be 'red' or 'blue'"),
        ("take_dataclass", {"value": {"y": "x"}}, "value.x: Field required; value.y: Input should be a valid integer"),
        ("take_list_of_dataclasses", {"value": [{"x": 1}, {}]}, "value.1.x: Field required"),
        ("take_date", {"value": "tomorrow"}, "value: Input should be a valid date"),
        ("take_described", {"value": -1}, "value: Input should be greater than or equal to 0"),
        ("take_tuple", {"value": [1]}, "value.1: Field required"),
        ("take_string", {"value": "\ud800"}, "value: Invalid JSON"),
    ],
)
async def test_arguments_that_do_not_fit_are_an_error_that_names_them(
    name: str, args: dict[str, Any], error: str
) -> None:
    result = await load("typed.py").call(name, args)
    assert result.failed
    assert result.traceback is None
    assert result.response["error"].startswith(f"the arguments do not fit {name}: ")
    assert error in result.response["error"]
    json.dumps(result.response).encode()


async def test_arguments_nested_beyond_reason_are_an_error() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    result = await load("typed.py").call("take_anything", {"value": value})
    assert "RecursionError" in result.response["error"]
    while value:  # Python 3.11 overflows its stack when it frees the whole at once
        value = value[0]


@pytest.mark.parametrize(("number", "error"), [(-1, "negative"), (13, "value: KeyError: 'unlucky'")])
async def test_a_validator_that_refuses_or_fails_is_an_error(number: int, error: str) -> None:
    result = await load("running.py").call("validated", {"value": {"number": number}})
    assert error in result.response["error"]


async def test_what_may_be_left_out_takes_its_default() -> None:
    functions = load("defaults.py")
    result = await functions.call("paint", {"thing": "door", "anything": None, "factor": 2})
    assert result.response == {"output": "door None Color.RED Point(x=1, y=0) None None nan unset 2"}
    given = {"thing": "", "anything": 1, "color": "blue", "tags": None, "weight": 2, "size": 4, "factor": 2}
    result = await functions.call("paint", given)
    assert result.response == {"output": " 1 Color.BLUE Point(x=1, y=0) None 2.0 nan 4 2"}


async def test_an_unknown_name_is_an_error_that_lists_the_known_ones(write: Write) -> None:
    functions = load_file(write("def f(): ...\ndef g(): ..."))
    assert await functions.call("h", {}) == CallResult(
        response={"error": "there is no function 'h'; the functions are: f, g"}, failed=True
    )
    empty = load_functions([], capabilities=DEFAULT, timeout_s=1)
    assert (await empty.call("h", {})).response == {"error": "there is no function 'h'; the functions are: none"}


# Results.

READING = {"when": "2026-11-22", "mood": "good"}
SENDABLE: dict[str, dict[str, Any]] = {
    "dict": {"a": 1, "b": [None, True, 1.5, "x"]},
    "empty dict": {},
    "none": {"output": None},
    "string": {"output": "x"},
    "list": {"output": [1, 2]},
    "tuple": {"output": [1, 2]},
    "enum": {"output": "good"},
    "enum key": {"good": 1},
    "date": {"output": "2026-11-22"},
    "dataclass": {"output": READING},
    "model": {"output": {"reading": READING, "delay": "PT1M30S"}},
    "set": {"a": [[1, 2]]},
    "nan": {"a": [1.0, None]},
    "infinity": {"output": None},
    "nan inside": {"output": {"when": "2026-11-22", "mood": None}},
    "integer key": {"1": "a"},
    "tuple key": {"a": {"x" * 80 + ",2": "a"}},
    "model inside": {"models": [{"reading": READING, "delay": "PT1M30S"}]},
}


@pytest.mark.parametrize("name", ["give", "give_later"])
async def test_a_dict_is_the_response_and_anything_else_its_output(name: str) -> None:
    functions = load("running.py")
    for key, response in SENDABLE.items():
        result = await functions.call(name, {"key": key})
        assert result == CallResult(response=response), key
        assert json.loads(json.dumps(result.response)) == response
    deep = (await functions.call(name, {"key": "deep"})).response
    assert str(deep["output"]) == "[" * 64 + "]" * 64


UNSENDABLE = {
    "circle": "the result[0]['again'] contains itself",
    "too deep": "the result is nested more than 64 levels deep",
    "object": "the result['it'] is of type lock (PydanticSerializationError: Unable to serialize unknown type",
    "generator": "the result is of type generator",
    "half a character": "the result[0] is not valid Unicode",
    "half a character in a key": "a key of the result is not valid Unicode",
    "large number": "the result is too large a number",
}


@pytest.mark.parametrize("name", ["give", "give_later"])
async def test_a_result_that_json_cannot_hold_is_an_error_that_says_where(name: str) -> None:
    functions = load("running.py")
    for key, error in UNSENDABLE.items():
        result = await functions.call(name, {"key": key})
        assert result.failed, key
        assert result.response["error"].startswith("the function returned a value that JSON cannot hold: "), key
        assert error in result.response["error"], key
        assert len(result.response["error"]) < 2_000
        json.dumps(result.response).encode()


async def test_what_only_a_with_statement_can_use_is_an_error() -> None:
    functions = load("running.py")
    for name in ("managed", "managed_later"):
        assert "GeneratorContextManager" in (await functions.call(name, {})).response["error"]


@pytest.mark.parametrize("how", ["SILENT", "WHEN_IDLE", "INTERRUPT"])
async def test_scheduling_in_the_dict_is_taken_out_for_a_model_that_knows_it(how: str) -> None:
    result = await load("running.py").call("schedule", {"how": how})
    assert result == CallResult(response={"output": "x"}, scheduling=how)


async def test_what_is_no_scheduling_stays_in_the_response() -> None:
    functions = load("running.py")
    result = await functions.call("schedule", {"how": "daily"})
    assert result == CallResult(response={"output": "x", "scheduling": "daily"})
    result = await functions.call("schedule_oddly", {})
    assert result == CallResult(response={"scheduling": {"how": "SILENT"}})


@pytest.mark.parametrize("behavior", list(Behavior))
async def test_scheduling_stays_in_the_response_for_a_model_without_it(behavior: Behavior, write: Write) -> None:
    path = write("def schedule(how: str) -> dict: return {'scheduling': how}")
    result = await load_file(path, ModelCapabilities(behaviors=(behavior,))).call("schedule", {"how": "SILENT"})
    assert result == CallResult(response={"scheduling": "SILENT"})


# Errors.

RAISED = {
    "value": "ValueError: no such city",
    "lines": "ValueError: one two three",
    "no message": "ValueError",
    "awkward": "Awkward: (its message cannot be shown)",
    "half a character": "ValueError: \\udcff",
    "unusual": "Unusual: raised",
    "exit": "SystemExit: bye",
    "generator exit": "GeneratorExit",
    "group": "ExceptionGroup: several (2 sub-exceptions)",
    "timeout": "TimeoutError: the oven",
}


@pytest.mark.parametrize("name", ["fail", "fail_later"])
async def test_what_a_function_raises_is_an_error_in_one_line_with_its_traceback_kept(name: str) -> None:
    functions = load("running.py")
    for key, error in RAISED.items():
        result = await functions.call(name, {"key": key})
        assert (result.response, result.failed) == ({"error": error}, True), key
        assert result.traceback is not None
        assert "ERRORS[key]()" in result.traceback
        assert "functions/call.py" not in result.traceback
        result.traceback.encode()


async def test_a_long_error_is_cut() -> None:
    error = (await load("running.py").call("fail", {"key": "long"})).response["error"]
    assert len(error) == 2_000
    assert error.startswith("ValueError: xxx")
    assert error.endswith("x…")


async def test_sys_exit_in_a_function_is_an_error() -> None:
    assert (await load("running.py").call("leave", {})).response == {"error": "SystemExit: 3"}


async def test_stop_iteration_ends_nothing() -> None:
    functions = load("running.py")
    assert (await functions.call("fail", {"key": "stop iteration"})).response == {"error": "StopIteration: 3"}
    result = await functions.call("fail_later", {"key": "stop iteration"})
    assert result.response == {"error": "RuntimeError: coroutine raised StopIteration"}


async def test_keyboard_interrupt_in_a_thread_is_the_functions_own_error() -> None:
    result = await load("running.py").call("fail", {"key": "interrupt"})
    assert result.response == {"error": "KeyboardInterrupt: from a thread"}


async def test_keyboard_interrupt_on_the_loop_is_the_functions_own_error_too() -> None:
    result = await load("running.py").call("fail_later", {"key": "interrupt"})
    assert (result.response, result.failed) == ({"error": "KeyboardInterrupt: from a thread"}, True)


async def test_cancelled_error_of_a_functions_own_is_an_error() -> None:
    functions = load("running.py")
    assert (await functions.call("fail", {"key": "cancelled"})).response == {"error": "CancelledError"}
    result = await functions.call("fail_later", {"key": "cancelled"})
    assert result.response == {"error": "CancelledError: fail_later cancelled itself"}
    assert result.failed


async def test_a_thread_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    functions = load("running.py")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    result = await functions.call("show_thread", {})
    assert result.response == {"error": "RuntimeError: can't start new thread"}


# Threads, the loop, and time.


async def test_a_plain_function_runs_in_a_daemon_thread_of_its_own_with_the_callers_context() -> None:
    functions = load("running.py")
    gates.caller.set("test")
    expected = {"name": "function show_thread", "daemon": True, "caller": "test"}
    assert (await functions.call("show_thread", {})).response == expected
    assert (await functions.call("change_caller", {})).response == {"output": "changed"}
    assert gates.caller.get() == "test"


async def test_a_coroutine_function_runs_on_the_loop_with_the_callers_context() -> None:
    gates.caller.set("test")
    result = await load("running.py").call("show_loop_thread", {})
    assert result.response == {"main": True, "caller": "test"}


async def test_a_plain_function_that_returns_an_awaitable_is_awaited_on_the_loop() -> None:
    result = await load("running.py").call("decorated", {})
    assert result.response == {"output": threading.current_thread().name}
    assert gates.log == ["function decorated"]
    failed = await load("running.py").call("decorated_fail", {})
    assert failed.response == {"error": "ValueError: after all"}


async def test_calls_run_at_the_same_time() -> None:
    functions = load("running.py")
    results = await asyncio.gather(*(functions.call("meet", {"names": [name]}) for name in "abc"))
    assert [result.response for result in results] == [{"output": 1}] * 3


async def test_the_loop_goes_on_while_a_plain_function_blocks() -> None:
    functions = load("running.py")
    call = asyncio.create_task(functions.call("block", {}))
    await pass_gate(gates.entered)
    assert not call.done()
    gates.released.set()
    assert (await call).response == {"output": "late"}


async def test_threads_that_nobody_waits_for_any_more_are_counted_and_bounded() -> None:
    functions = load("running.py", timeout_s=0.05)
    await asyncio.gather(*(functions.call("block", {}) for _ in range(MAX_THREADS)))
    refused = await functions.call("block", {})
    assert refused.response == {"error": f"{MAX_THREADS} earlier calls have not ended yet: call block again later"}
    gates.released.set()
    await join_functions()
    await asyncio.sleep(0)
    assert (await functions.call("block", {})).response == {"output": "late"}


async def test_a_plain_function_that_takes_too_long_is_an_error_and_its_result_is_dropped() -> None:
    functions = load("running.py", timeout_s=0.05)
    result = await functions.call("block", {})
    assert result == CallResult(
        response={"error": "TimeoutError: block did not finish within 0.05 s"},
        failed=True,
        note="block is still running: a plain function cannot be stopped; its result will be discarded",
    )
    assert not gates.left.is_set()
    gates.released.set()
    await join_functions()
    await asyncio.sleep(0)
    assert functions.describe_running("block") is None


async def pass_gate(gate: threading.Event) -> None:
    assert await asyncio.to_thread(gate.wait, PATIENCE_S)


async def join_functions() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("function "):
            await asyncio.to_thread(thread.join, PATIENCE_S)


async def test_a_coroutine_that_comes_too_late_to_be_awaited_is_closed() -> None:
    functions = load("running.py", timeout_s=0.05)
    assert (await functions.call("block_then_return_coroutine", {})).failed
    gates.released.set()
    await join_functions()
    await asyncio.sleep(0)
    assert gates.log == []


@pytest.mark.parametrize("name", ["block", "block_then_return_coroutine"])
def test_a_plain_function_that_outlives_the_loop_ends_quietly(name: str) -> None:
    functions = load("running.py", timeout_s=0.05)
    assert asyncio.run(functions.call(name, {})).failed
    gates.released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("function "):
            thread.join(PATIENCE_S)
    assert gates.log == []


async def test_a_coroutine_function_that_takes_too_long_is_cancelled_and_cleans_up() -> None:
    functions = load("running.py", timeout_s=0.05)
    result = await functions.call("wait", {})
    assert result == CallResult(
        response={"error": "TimeoutError: wait did not finish within 0.05 s"}, failed=True, note=None
    )
    await pass_gate(gates.left)


@pytest.mark.parametrize("name", ["insist", "insist_and_fail"])
async def test_a_coroutine_that_ignores_its_cancellation_holds_nobody_up(name: str) -> None:
    result = await load("running.py", timeout_s=0.05).call(name, {})
    assert "TimeoutError" in result.response["error"]
    await pass_gate(gates.left)


async def test_an_awaitable_of_a_plain_function_is_cancelled_when_it_takes_too_long() -> None:
    result = await load("running.py", timeout_s=1.0).call("decorated_wait", {})
    assert "TimeoutError" in result.response["error"]
    assert gates.entered.is_set()
    assert result.note is None


async def test_cancelling_a_call_cancels_a_coroutine_function() -> None:
    functions = load("running.py")
    call = asyncio.create_task(functions.call("wait", {}))
    await pass_gate(gates.entered)
    assert functions.describe_running("wait") is None
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await pass_gate(gates.left)


async def test_cancelling_a_call_gives_up_a_plain_function_and_says_that_it_describe_running() -> None:
    functions = load("running.py")
    notes = []

    async def call() -> None:
        try:
            await functions.call("block", {})
        except asyncio.CancelledError:
            notes.append(functions.describe_running("block"))
            raise

    task = asyncio.create_task(call())
    await pass_gate(gates.entered)
    assert functions.describe_running("block") is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notes == ["block is still running: a plain function cannot be stopped; its result will be discarded"]
    assert not gates.left.is_set()


async def test_a_cancelled_call_of_one_function_leaves_the_others_alone() -> None:
    functions = load("running.py")
    waiting = asyncio.create_task(functions.call("wait", {}))
    blocking = asyncio.create_task(functions.call("block", {}))
    await pass_gate(gates.entered)
    waiting.cancel()
    gates.released.set()
    assert (await blocking).response == {"output": "late"}
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_call_does_not_see_the_context_that_another_left() -> None:
    functions = load("running.py")
    first = (await functions.call("copy_context", {})).response["output"]
    contextvars.ContextVar[int]("one more").set(1)
    assert (await functions.call("copy_context", {})).response["output"] == first + 1
