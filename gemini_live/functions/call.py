"""Call the user's functions: bind the arguments, run one call, and make its result the response.

`FunctionCaller.call` belongs to the event loop. A coroutine function runs on the loop, a plain function in a daemon
thread of its own, which computes the whole `CallResult` and posts it.
"""

import asyncio
import contextlib
import contextvars
import dataclasses
import inspect
import json
import threading
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from .declare import Function, Parameter
from .json_values import UnfitError, describe_error, one_line, printable, to_json
from .pictures import Picture
from .result import CallResult, RemoteFunction
from .tool import SCHEDULINGS

MAX_THREADS = 64
"""Threads of plain functions at once, with those that nobody waits for any more: a thread cannot be stopped."""


_Posted = CallResult | Awaitable[Any] | AsyncGenerator[Any, None]
"""What a plain function's thread hands to the loop."""


class FunctionCaller:
    """Calls the functions that were declared to the model."""

    def __init__(
        self,
        functions: Mapping[str, Function | RemoteFunction],
        *,
        schedules: bool,
        timeout_s: float,
        sees_pictures: bool = False,
        end_line: Callable[[], None] = lambda: None,
        warnings: Sequence[str] = (),
    ) -> None:
        self.warnings = warnings
        """What the user should know about the functions, one line each."""
        self.on_replaced: Callable[[], None] = lambda: None
        """Called after the declarations have changed."""
        self._functions = functions
        self._end_line = end_line
        self._schedules, self._sees_pictures = schedules, sees_pictures
        self._timeout_s = timeout_s
        self._tasks: set[asyncio.Task[CallResult]] = set()
        """All unfinished calls, also those that timed out or were cancelled: the loop keeps only weak references."""
        self._in_threads: dict[asyncio.Task[CallResult], str] = {}
        """The calls that wait for a thread, with the names of their functions."""
        self._n_threads = 0

    @property
    def declarations(self) -> list[dict[str, Any]]:
        """Return the list `functionDeclarations`, in the order of the files."""
        return [function.declaration for function in self._functions.values()]

    @property
    def sources(self) -> dict[str, str]:
        """Return where each function is from, for people, by name."""
        return {name: function.source for name, function in self._functions.items()}

    def replace(self, functions: Mapping[str, Function | RemoteFunction], warnings: Sequence[str]) -> None:
        """Call `functions` from now on. Calls that run go on as they began."""
        before = self.declarations
        self._functions, self.warnings = functions, warnings
        if self.declarations != before:
            self.on_replaced()

    def wants_confirmation(self, name: str) -> bool:
        """True if the user must be asked before each call of `name`."""
        function = self._functions.get(name)
        return function is not None and function.options.confirm

    def describe_running(self, name: str) -> str | None:
        """Return the line to show if a call of `name` is cancelled now but its thread goes on; None if none does."""
        if name not in self._in_threads.values():
            return None
        return f"{name} is still running: a plain function cannot be stopped; its result will be discarded"

    async def call(
        self, name: str, args: Mapping[str, Any] | None, report: Callable[[CallResult], None] | None = None
    ) -> CallResult:
        """Run one call until its end or the timeout. The only exception that it raises is CancelledError.

        Cancelling it cancels a coroutine function and abandons the thread of a plain one (see `describe_running`).

        Args:
            name: The function.
            args: The arguments as the model sent them; None: they were no JSON object.
            report: Sends the progress of an async generator, if the model takes it.
        """
        function = self._functions.get(name)
        if function is None:
            known = ", ".join(self._functions) or "none"
            return _refusal(f"there is no function {name!r}; the functions are: {known}")
        if args is None:
            return _refusal("the arguments are not a valid JSON object")
        task = asyncio.create_task(self._perform(function, args, report), name=f"function {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            timeout_s = function.options.timeout_s or self._timeout_s
            await asyncio.wait({task}, timeout=timeout_s)
            if not task.done():
                note = self.describe_running(name) if task in self._in_threads else None
                return _refusal(f"TimeoutError: {name} did not finish within {timeout_s:g} s", note=note)
        finally:
            # Not awaited: a coroutine that cleans up slowly, or ignores the cancellation, must not delay anything.
            task.cancel()
        if task.cancelled():
            return _refusal(f"CancelledError: {name} cancelled itself")
        return task.result()

    async def _perform(
        self, function: Function | RemoteFunction, args: Mapping[str, Any], report: Callable[[CallResult], None] | None
    ) -> CallResult:
        try:
            if isinstance(function, RemoteFunction):
                return await function.perform(args)
            if inspect.isasyncgenfunction(function.target):
                return await self._follow(function, function.target(**_bind(function, args)), report)
            if inspect.iscoroutinefunction(function.target):
                try:
                    value = await function.target(**_bind(function, args))
                finally:
                    self._end_line()
            else:
                posted = await self._in_thread(function, args)
                if isinstance(posted, CallResult):
                    return posted
                if isinstance(posted, AsyncGenerator):
                    return await self._follow(function, posted, report)
                value = await posted
            return self._answer(function, value)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001 - the model is told whatever a user's function raises
            # KeyboardInterrupt too: during a session Ctrl-C does not raise it, so the function did.
            return _failure(exc)

    async def _follow(
        self, function: Function, values: AsyncGenerator[Any, None], report: Callable[[CallResult], None] | None
    ) -> CallResult:
        """Report each value of an async generator; without reports, its last value is the result."""
        result = None
        try:
            async with contextlib.aclosing(values):
                async for value in values:
                    result = self._answer(function, value)
                    if report is not None and function.reports_progress:
                        report(dataclasses.replace(result, continues=True))
        finally:
            self._end_line()
        if result is None:
            raise UnfitError(f"{function.name} yielded nothing, so there is no result")
        if report is None or not function.reports_progress:
            return result
        # All has been said: the end of the call shall not make the model speak again (python-genai's `will_continue`).
        is_spoken_of = result.scheduling != "SILENT"
        return CallResult(response={}, continues=False, is_spoken_of=is_spoken_of, scheduling="SILENT")

    async def _in_thread(self, function: Function, args: Mapping[str, Any]) -> _Posted:
        if self._n_threads >= MAX_THREADS:
            return _refusal(f"{self._n_threads} earlier calls have not ended yet: call {function.name} again later")
        loop = asyncio.get_running_loop()
        posted: asyncio.Future[_Posted] = loop.create_future()
        context = contextvars.copy_context()

        def post(result: _Posted) -> None:
            self._n_threads -= 1
            if posted.done():
                _drop(result)
            else:
                posted.set_result(result)

        def run() -> None:
            result = context.run(self._invoke, function, args)
            try:
                loop.call_soon_threadsafe(post, result)
            except RuntimeError:  # the loop is closed, because the session is over
                _drop(result)

        threading.Thread(target=run, name=f"function {function.name}", daemon=True).start()
        self._n_threads += 1
        task = asyncio.current_task()
        assert task is not None
        self._in_threads[task] = function.name
        try:
            return await posted
        finally:
            del self._in_threads[task]

    def _invoke(self, function: Function, args: Mapping[str, Any]) -> _Posted:
        """Run a plain function in its thread. Return an awaitable or an async generator as it is, for the loop."""
        try:
            value = function.target(**_bind(function, args))
            is_for_loop = inspect.isawaitable(value) or inspect.isasyncgen(value)
            return value if is_for_loop else self._answer(function, value)
        except BaseException as exc:  # noqa: BLE001 - the model is told whatever a user's function raises
            return _failure(exc)
        finally:
            self._end_line()

    def _answer(self, function: Function, value: Any) -> CallResult:
        pictures: list[Picture] = []
        try:
            converted = to_json(value, "the result", pictures if self._sees_pictures else None)
        except UnfitError as exc:
            raise UnfitError(f"the function returned a value that JSON cannot hold: {exc}") from exc
        usual = function.options.scheduling if self._schedules else None
        if not isinstance(value, dict):
            return CallResult(response={"output": converted}, pictures=tuple(pictures), scheduling=usual)
        scheduling = converted.get("scheduling")
        if self._schedules and scheduling in SCHEDULINGS:
            # Google's samples put it inside the response, the proto beside it.
            del converted["scheduling"]
            return CallResult(response=converted, pictures=tuple(pictures), scheduling=scheduling)
        return CallResult(response=converted, pictures=tuple(pictures), scheduling=usual)


def _drop(result: _Posted) -> None:
    """Discard a late result. A coroutine that is never awaited would cause a warning, so close it."""
    if inspect.iscoroutine(result):
        result.close()


def _refusal(reason: str, *, note: str | None = None) -> CallResult:
    return CallResult(response={"error": one_line(reason)}, failed=True, note=note)


def _failure(exc: BaseException) -> CallResult:
    if isinstance(exc, UnfitError):
        return _refusal(str(exc))
    frames = exc.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(exc), exc, frames))
    return CallResult(response={"error": describe_error(exc)}, failed=True, traceback=printable(text))


def _bind(function: Function, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return `args` converted to the annotated types."""
    parameters = function.parameters
    problems = []
    if missing := [name for name, parameter in parameters.items() if parameter.required and name not in args]:
        problems.append(f"missing {', '.join(missing)}")
    if unknown := [name for name in args if name not in parameters]:
        problems.append(f"unknown {', '.join(unknown)} (it takes {', '.join(parameters) or 'no arguments'})")
    bound = {}
    for name, parameter in parameters.items():
        if name in args:
            try:
                bound[name] = _convert(name, parameter, args[name])
            except UnfitError as exc:
                problems.append(str(exc))
    if problems:
        raise UnfitError(f"the arguments do not fit {function.name}: {'; '.join(problems)}")
    return bound


def _convert(name: str, parameter: Parameter, value: Any) -> Any:
    from pydantic import ValidationError  # noqa: PLC0415 - an extra, and slow to import

    try:
        # In JSON mode pydantic accepts a string for a date and a list for a tuple.
        return parameter.adapter.validate_json(json.dumps(value))
    except ValidationError as exc:
        found = [f"{'.'.join(map(str, (name, *error['loc'])))}: {error['msg']}" for error in exc.errors()]
        raise UnfitError("; ".join(found)) from exc
    except Exception as exc:
        # From a user's validator, or because the arguments are nested too deeply.
        raise UnfitError(f"{name}: {describe_error(exc)}") from exc
