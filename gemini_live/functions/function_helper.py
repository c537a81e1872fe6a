"""The user's functions: imports their files, declares them to the model, and runs one call.

`load` runs before the session; `call` belongs to the event loop. A coroutine function runs on the loop, a plain one
in a daemon thread of its own, which computes the whole `CallResult` and posts it. The only importer of google-genai,
which brings pydantic: both are an extra and slow to import, so it is done where there is a file to load, not before.

It is longer than other modules because importing, declaring, binding and answering share what they know of a parameter.
"""

import ast
import asyncio
import contextlib
import contextvars
import enum
import importlib.machinery
import importlib.util
import inspect
import itertools
import json
import logging
import math
import re
import sys
import threading
import traceback
import types
import typing
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FunctionDeclarationError, MissingExtraError
from ..models import Behavior, ModelCapabilities

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEDULINGS = ("SILENT", "WHEN_IDLE", "INTERRUPT")
"""What a function's dict may say under `scheduling`: when the model takes notice of the result."""

MAX_ERROR_CHARS = 2_000
"""An error is for the model to read: one line, no longer than this."""

MAX_DEPTH = 64
"""How deep a result may be nested: protobuf parsers stop at 100."""

_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_module_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What a call has come to."""

    response: dict[str, Any]
    """For the wire: JSON by construction."""
    failed: bool = False
    """Whether `response` is an error."""
    traceback: str | None = None
    """Of what the function raised; several lines."""
    note: str | None = None
    """One line for the user, beyond the response."""
    scheduling: str | None = None
    """One of `SCHEDULINGS` where the function asked for it; the service heeds it for NON_BLOCKING functions only."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    annotation: Any
    adapter: "TypeAdapter[Any]"
    default: Any

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class _Function:
    name: str
    file: Path
    line: int
    target: Callable[..., Any]
    parameters: Mapping[str, _Parameter]
    declaration: dict[str, Any]


class FunctionHelper:
    """The functions that the model may call."""

    def __init__(
        self,
        functions: Mapping[str, _Function],
        *,
        schedules: bool,
        timeout_s: float,
        end_line: Callable[[], None] = lambda: None,
    ) -> None:
        self._functions = functions
        self._end_line = end_line
        self._schedules = schedules
        self._timeout_s = timeout_s
        self._tasks: set[asyncio.Task[CallResult]] = set()
        """Every call that has not ended, given up or not: the loop itself keeps only weak references."""
        self._in_threads: dict[asyncio.Task[CallResult], str] = {}
        """The calls that wait for a thread, and the function that each runs."""

    @classmethod
    def load(
        cls,
        files: Sequence[Path],
        *,
        capabilities: ModelCapabilities,
        timeout_s: float,
        end_line: Callable[[], None] = lambda: None,
    ) -> "FunctionHelper":
        """Import `files` and declare every public function defined in them.

        It runs the files' code: call it outside the event loop. `end_line` is called at the end of each function, in
        its own thread, to show what it printed without a line break.

        Raises:
            MissingExtraError: google-genai is not installed.
            FunctionDeclarationError: a file does not import, or a function cannot be offered as it is written.
        """
        functions: dict[str, _Function] = {}
        if files:
            _require_sdk()
        seen = set()
        for file in files:
            if file.resolve() in seen:
                raise FunctionDeclarationError(str(file), None, "is given twice")
            seen.add(file.resolve())
            for function in _load_file(file, capabilities):
                first = functions.setdefault(function.name, function)
                if first is not function:
                    raise FunctionDeclarationError(
                        str(file), function.line, f"`{function.name}` is already defined in {first.file}:{first.line}"
                    )
        schedules = {Behavior.BLOCKING, Behavior.NON_BLOCKING} <= set(capabilities.behaviors)
        return cls(functions, schedules=schedules, timeout_s=timeout_s, end_line=end_line)

    @property
    def declarations(self) -> list[dict[str, Any]]:
        """The JSON of `functionDeclarations`, in the order of the files."""
        return [function.declaration for function in self._functions.values()]

    @property
    def names(self) -> tuple[str, ...]:
        """The functions' names, in the order of the files."""
        return tuple(self._functions)

    def runs_on(self, name: str) -> str | None:
        """Return the line to show when a call of `name` is given up now and cannot be stopped, else None."""
        if name not in self._in_threads.values():
            return None
        return f"{name} runs on, for a plain function cannot be stopped; its result will be dropped"

    async def call(self, name: str, args: Mapping[str, Any] | None) -> CallResult:
        """Run one call to its end, or to the timeout; raises nothing but CancelledError.

        Cancelling it cancels a coroutine function and gives up the thread of a plain one (see `runs_on`).
        """
        function = self._functions.get(name)
        if function is None:
            known = ", ".join(self._functions) or "there are none"
            return _refusal(f"there is no function {name!r}; the functions: {known}")
        if args is None:
            return _refusal("the arguments are not a JSON object that can be read")
        task = asyncio.create_task(self._perform(function, args), name=f"function {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait({task}, timeout=self._timeout_s)
            if not task.done():
                note = self.runs_on(name) if task in self._in_threads else None
                return _refusal(f"TimeoutError: {name} did not finish within {self._timeout_s:g} s", note=note)
        finally:
            # Not awaited: a coroutine that takes its time to clean up, or ignores this, must hold nobody up.
            task.cancel()
        if task.cancelled():
            return _refusal(f"CancelledError: {name} cancelled itself")
        return task.result()

    async def _perform(self, function: _Function, args: Mapping[str, Any]) -> CallResult:
        try:
            if inspect.iscoroutinefunction(function.target):
                try:
                    value = await function.target(**_bind(function, args))
                finally:
                    self._end_line()
            else:
                posted = await self._in_thread(function, args)
                if isinstance(posted, CallResult):
                    return posted
                value = await posted
            return self._answer(value)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001 - whatever a user's function raises is an answer
            # KeyboardInterrupt too: during a session Ctrl-C raises none (`process.py`), so it is the function's own.
            return _failure(exc)

    async def _in_thread(self, function: _Function, args: Mapping[str, Any]) -> CallResult | Awaitable[Any]:
        loop = asyncio.get_running_loop()
        posted: asyncio.Future[CallResult | Awaitable[Any]] = loop.create_future()
        context = contextvars.copy_context()

        def post(result: CallResult | Awaitable[Any]) -> None:
            if posted.done():
                _drop(result)
            else:
                posted.set_result(result)

        def run() -> None:
            result = context.run(self._invoke, function, args)
            try:
                loop.call_soon_threadsafe(post, result)
            except RuntimeError:  # the loop is closed: the session is over, and nobody waits
                _drop(result)

        threading.Thread(target=run, name=f"function {function.name}", daemon=True).start()
        task = asyncio.current_task()
        assert task is not None
        self._in_threads[task] = function.name
        try:
            return await posted
        finally:
            del self._in_threads[task]

    def _invoke(self, function: _Function, args: Mapping[str, Any]) -> CallResult | Awaitable[Any]:
        """Run a plain function, in its thread; what it returns is awaited on the loop if it can be."""
        try:
            value = function.target(**_bind(function, args))
            return value if inspect.isawaitable(value) else self._answer(value)
        except BaseException as exc:  # noqa: BLE001 - likewise
            return _failure(exc)
        finally:
            self._end_line()

    def _answer(self, value: Any) -> CallResult:
        try:
            converted = _to_json(value, "the result")
        except _UnfitError as exc:
            raise _UnfitError(f"the function returned what JSON cannot hold: {exc}") from exc
        if not isinstance(value, dict):
            return CallResult(response={"output": converted})
        scheduling = converted.get("scheduling")
        if self._schedules and scheduling in SCHEDULINGS:
            # Google's samples put it inside the response, its proto beside it.
            del converted["scheduling"]
            return CallResult(response=converted, scheduling=scheduling)
        return CallResult(response=converted)


def _drop(result: CallResult | Awaitable[Any]) -> None:
    """Let go of what nobody waits for; a coroutine that is never awaited would warn."""
    if inspect.iscoroutine(result):
        result.close()


# Answers.


class _UnfitError(Exception):
    """What the model passed, or the function returned, does not fit; the message is all there is to say."""


def _refusal(reason: str, *, note: str | None = None) -> CallResult:
    return CallResult(response={"error": _one_line(reason)}, failed=True, note=note)


def _failure(exc: BaseException) -> CallResult:
    if isinstance(exc, _UnfitError):
        return _refusal(str(exc))
    frames = exc.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(exc), exc, frames))
    return CallResult(response={"error": _describe(exc)}, failed=True, traceback=_printable(text))


def _describe(exc: BaseException) -> str:
    try:
        message = str(exc)
    except Exception:  # noqa: BLE001 - the user's own `__str__`
        message = "(its message cannot be shown)"
    name = type(exc).__name__
    return _one_line(f"{name}: {message}" if message else name)


def _one_line(text: str) -> str:
    line = " ".join(_printable(text).split())
    return line if len(line) <= MAX_ERROR_CHARS else f"{line[: MAX_ERROR_CHARS - 1]}…"


def _printable(text: str) -> str:
    """Escape lone surrogates, which UTF-8 cannot carry."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _bind(function: _Function, args: Mapping[str, Any]) -> dict[str, Any]:
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
            except _UnfitError as exc:
                problems.append(str(exc))
    if problems:
        raise _UnfitError(f"the arguments do not fit {function.name}: {'; '.join(problems)}")
    return bound


def _convert(name: str, parameter: _Parameter, value: Any) -> Any:
    from pydantic import ValidationError  # noqa: PLC0415 - see the head of this file

    try:
        # Its JSON mode knows that a date or a tuple cannot come as such.
        return parameter.adapter.validate_json(json.dumps(value))
    except ValidationError as exc:
        found = [f"{'.'.join(map(str, (name, *error['loc'])))}: {error['msg']}" for error in exc.errors()]
        raise _UnfitError("; ".join(found)) from exc
    except Exception as exc:
        # A validator of the user's, or arguments nested too deeply.
        raise _UnfitError(f"{name}: {_describe(exc)}") from exc


def _to_json(value: Any, place: str, inside: tuple[int, ...] = ()) -> Any:
    """Return `value` as what JSON can carry, or raise _UnfitError naming the place that it cannot."""
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | float | str):
        _check_scalar(value, place)
        return value
    if id(value) in inside:
        raise _UnfitError(f"{place} contains itself")
    if len(inside) == MAX_DEPTH:
        raise _UnfitError(f"{place} is nested too deeply")
    inside = (*inside, id(value))
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise _UnfitError(f"{place} has a key that is no string, {key!r:.40}")
            _check_scalar(key, f"a key of {place}")
        return {str.__str__(key): _to_json(item, f"{place}[{key!r:.40}]", inside) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item, f"{place}[{index}]", inside) for index, item in enumerate(value)]
    return _to_json(_object_to_json(value, place), place, inside)


def _check_scalar(value: Any, place: str) -> None:
    if isinstance(value, str):
        if _printable(value) != value:
            raise _UnfitError(f"{place} is not valid Unicode")
    elif isinstance(value, float) and not math.isfinite(value):
        raise _UnfitError(f"{place} is {value}")
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        # The service reads numbers as doubles.
        raise _UnfitError(f"{place} is too large a number")


def _object_to_json(value: Any, place: str) -> Any:
    """Let pydantic convert its models, dataclasses, dates and such, but nothing that JSON has no word for."""
    from pydantic_core import to_jsonable_python  # noqa: PLC0415 - see the head of this file

    kind = f"{place} is of type {type(value).__name__}"
    if isinstance(value, bytes | bytearray | memoryview | set | frozenset | Iterator):
        raise _UnfitError(kind)
    try:
        return to_jsonable_python(value)
    except Exception as exc:
        raise _UnfitError(f"{kind} ({_describe(exc)})") from exc


# Importing.


@contextlib.contextmanager
def _quiet_sdk() -> Iterator[None]:
    """Keep google-genai's log lines and everyone's warnings off stderr: what matters is raised."""
    logger = logging.getLogger("google_genai")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _require_sdk() -> None:
    try:
        with _quiet_sdk():
            importlib.import_module("google.genai.types")
    except ImportError as exc:
        raise MissingExtraError("--import-functions", "functions") from exc


def _load_file(file: Path, capabilities: ModelCapabilities) -> list[_Function]:
    try:
        source = file.read_bytes()
    except OSError as exc:
        raise FunctionDeclarationError(str(file), None, f"cannot be read: {exc.strerror}") from exc
    path = str(file.resolve())
    try:
        tree = ast.parse(source, path)
        code = compile(tree, path, "exec")
    except SyntaxError as exc:
        raise FunctionDeclarationError(str(file), exc.lineno or None, f"does not import: {exc.msg}") from exc
    except (ValueError, RecursionError, MemoryError) as exc:
        raise FunctionDeclarationError(str(file), None, f"does not import: {_describe(exc)}") from exc
    definitions: dict[str, list[_Definition]] = {}
    for definition in _public_definitions(tree):
        definitions.setdefault(definition.name, []).append(definition)
    namespace = _run_module(file, path, code)
    functions = [
        _declare_function(name, namespace[name], file, nodes, capabilities)
        for name, nodes in definitions.items()
        if name in namespace
    ]
    if not functions:
        raise FunctionDeclarationError(str(file), None, "no public function is defined in it")
    return functions


_Definition = ast.FunctionDef | ast.AsyncFunctionDef


def _public_definitions(node: ast.AST) -> Iterator[_Definition]:
    """Yield every `def` that binds a public name of the module, those under `if`, `try` and the like too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            if not child.name.startswith("_"):
                yield child
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case) and not isinstance(child, ast.ClassDef):
            yield from _public_definitions(child)


def _run_module(file: Path, path: str, code: Any) -> dict[str, Any]:
    """Execute a module under a name of its own, so that neither another file nor a library of that name is replaced."""
    name = f"gemini_live_functions_{next(_module_numbers)}"
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(Path(path).parent)
    sys.modules[name] = module
    sys.path.insert(0, folder)
    try:
        exec(code, module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        del sys.modules[name]
        lines = [line for frame, line in traceback.walk_tb(exc.__traceback__) if frame.f_code.co_filename == path]
        raise FunctionDeclarationError(
            str(file), lines[-1] if lines else None, f"does not import: {_describe(exc)}"
        ) from exc
    finally:
        with contextlib.suppress(ValueError):  # the file may have rearranged sys.path
            sys.path.remove(folder)
    return module.__dict__


# Declaring.


class _UndeclarableError(Exception):
    """A function cannot be offered to the model; the message says why."""


def _declare_function(
    name: str, target: Any, file: Path, nodes: Sequence[_Definition], capabilities: ModelCapabilities
) -> _Function:
    line = _line_of(target, nodes)
    try:
        _check_kind(name, target)
        with _quiet_sdk():
            parameters = _read_parameters(target)
            declaration = _build_declaration(name, target.__doc__, parameters, capabilities)
    except _UndeclarableError as exc:
        raise FunctionDeclarationError(str(file), line, f"`{name}` {exc}") from exc
    return _Function(name, file, line, target, parameters, declaration)


def _line_of(target: Any, nodes: Sequence[_Definition]) -> int:
    """Return the line of the `def` that made `target`: of several (overloads, branches), the one its code names."""
    code = getattr(inspect.unwrap(target), "__code__", None)
    for node in nodes:
        first_lines = [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
        if code is not None and code.co_firstlineno in first_lines:
            return node.lineno
    return nodes[-1].lineno


def _check_kind(name: str, target: Any) -> None:
    if not callable(target) or isinstance(target, type):
        raise _UndeclarableError(f"is no function any more but a {type(target).__name__}")
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise _UndeclarableError("is a generator, and a call has one result: return a list")
    if not _FUNCTION_NAME.fullmatch(name):
        raise _UndeclarableError("is a name that the API forbids: letters, digits and underscores, 64 at most")


def _read_parameters(target: Callable[..., Any]) -> dict[str, _Parameter]:
    try:
        # Without the return's, which is not declared, and may be imported for type checkers only.
        annotations = {name: each for name, each in target.__annotations__.items() if name != "return"}
        bare = types.SimpleNamespace(__annotations__=annotations)
        names: dict[str, Any] = getattr(inspect.unwrap(target), "__globals__", {})
        hints = typing.get_type_hints(bare, globalns=names, include_extras=True)
        signature = inspect.signature(target)
    except Exception as exc:
        raise _UndeclarableError(f"has annotations that cannot be read: {_describe(exc)}") from exc
    return {
        name: _read_parameter(parameter, hints.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
    }


def _read_parameter(parameter: inspect.Parameter, annotation: Any) -> _Parameter:
    from pydantic import TypeAdapter  # noqa: PLC0415 - see the head of this file
    from pydantic.fields import FieldInfo  # noqa: PLC0415

    name, default = parameter.name, parameter.default
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise _UndeclarableError(f"has a positional-only parameter `{name}`, and the model passes arguments by name")
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise _UndeclarableError(f"takes `{parameter}`, and the model has to be told each argument's name")
    if not _PARAMETER_NAME.fullmatch(name):
        raise _UndeclarableError(
            f"has a parameter `{name}`, a name that the API forbids: letters, digits and underscores, 64 at most"
        )
    if annotation is parameter.empty:
        raise _UndeclarableError(f"has a parameter `{name}` without a type annotation, and the model needs its type")
    if isinstance(default, FieldInfo):
        raise _UndeclarableError(
            f"has a `Field` for the default of `{name}`: write Annotated[type, Field(...)] = value"
        )
    try:
        if default is None and not _takes_none(TypeAdapter(annotation)):
            annotation = annotation | None
        return _Parameter(annotation, TypeAdapter(annotation), default)
    except Exception as exc:
        raise _UndeclarableError(_bad_type(name, exc)) from exc


def _bad_type(name: str, exc: Exception) -> str:
    # pydantic explains in several lines, and ends with an address.
    return (
        f"has a parameter `{name}` of a type that the model cannot be told: {_one_line(str(exc).partition(chr(10))[0])}"
    )


def _takes_none(adapter: "TypeAdapter[Any]") -> bool:
    from pydantic import ValidationError  # noqa: PLC0415 - see the head of this file

    try:
        adapter.validate_json("null")
    except ValidationError:
        return False
    return True


def _build_declaration(
    name: str, doc: str | None, parameters: Mapping[str, _Parameter], capabilities: ModelCapabilities
) -> dict[str, Any]:
    description, schema = _ask_sdk(name, doc, parameters)
    declaration: dict[str, Any] = {"name": name}
    if description:
        declaration["description"] = description
    if capabilities.declares_behavior and Behavior.BLOCKING in capabilities.behaviors:
        declaration["behavior"] = Behavior.BLOCKING.value
    if parameters:
        if capabilities.json_schema:
            declaration["parametersJsonSchema"] = schema
        else:
            declaration["parameters"] = _to_openapi(schema, schema.pop("$defs", {}))
    try:
        converted: dict[str, Any] = _to_json(declaration, "the declaration")
    except _UnfitError as exc:
        raise _UndeclarableError(f"cannot be declared: {exc}") from exc
    return converted


def _ask_sdk(name: str, doc: str | None, parameters: Mapping[str, _Parameter]) -> tuple[str | None, dict[str, Any]]:
    """Return google-genai's description and JSON schema, with its losses made good or refused."""
    from google.genai.types import FunctionDeclaration  # noqa: PLC0415 - see the head of this file
    from typing_extensions import TypeAliasType  # noqa: PLC0415 - pydantic's, for Python < 3.12

    def stand_in() -> None:
        """Carries the name and the resolved annotations, without the return's: the SDK raises on many of those."""

    # Under an alias, for the SDK gives each annotation a pydantic config, which dataclasses and the like refuse.
    alias: Any = TypeAliasType
    stand_in.__name__, stand_in.__doc__ = name, doc
    stand_in.__annotations__ = {key: alias(key, parameter.annotation) for key, parameter in parameters.items()}
    vars(stand_in)["__signature__"] = inspect.Signature(
        [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
            for key, annotation in stand_in.__annotations__.items()
        ]
    )
    definitions: dict[str, Any] = {}
    for key, parameter in parameters.items():
        try:
            own = parameter.adapter.json_schema().get("$defs", {})
        except Exception as exc:
            raise _UndeclarableError(_bad_type(key, exc)) from exc
        clash = next((each for each in own if definitions.setdefault(each, own[each]) != own[each]), None)
        if clash is not None:
            raise _UndeclarableError(f"has parameters of two types called {clash}: rename one")
    try:
        declared = FunctionDeclaration.from_callable_with_api_option(callable=stand_in, use_json_schema=True)
    except Exception as exc:
        raise _UndeclarableError(f"cannot be declared: {_describe(exc)}") from exc
    schema = declared.parameters_json_schema or {"properties": {}}
    lost = [key for key in parameters if key not in schema["properties"]]
    if lost:
        raise _UndeclarableError(f"loses its parameter `{lost[0]}` when google-genai declares it")
    _set_defaults(schema, parameters)
    return declared.description, schema


def _set_defaults(schema: dict[str, Any], parameters: Mapping[str, _Parameter]) -> None:
    """Say what is required, which google-genai guesses from the types, and what the other defaults are."""
    required = [key for key, parameter in parameters.items() if parameter.required]
    schema.pop("required", None)
    if required:
        schema["required"] = required
    for key, parameter in parameters.items():
        if not parameter.required:
            # A default that JSON cannot hold works all the same: the model need not know it.
            with contextlib.suppress(Exception):
                dumped = parameter.adapter.dump_python(parameter.default, mode="json", warnings="error")
                schema["properties"][key]["default"] = _to_json(dumped, "the default")


_OPENAPI_KEYS = {
    *("title", "description", "default", "required", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("minItems", "maxItems", "minProperties", "maxProperties"),
}


def _to_openapi(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], above: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return a JSON schema as the OpenAPI subset of `parameters`.

    What the subset cannot say is told in the description, or left out where it only narrows a type: a call's arguments
    are held against the annotations in any case.
    """
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        if name in above:
            raise _UndeclarableError(
                f"takes a {name}, which contains itself, and this model cannot be told such a type"
            )
        merged = {**definitions[name], **{key: schema[key] for key in schema if key != "$ref"}}
        return _to_openapi(merged, definitions, (*above, name))

    def convert(part: Mapping[str, Any]) -> dict[str, Any]:
        return _to_openapi(part, definitions, above)

    result = {key: schema[key] for key in schema if key in _OPENAPI_KEYS}
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        others = [choice for index, choice in enumerate(choices) if choice not in choices[:index]]
        others = [choice for choice in others if choice != {"type": "null"}]
        result |= convert(others[0]) if len(others) == 1 else {"anyOf": [convert(choice) for choice in others]}
        return result | {"nullable": True} if {"type": "null"} in choices else result
    if "type" not in schema:
        raise _UndeclarableError("has a parameter of no one type, and this model has to be told one")
    result["type"] = schema["type"].upper()
    if "properties" in schema:
        result["properties"] = {key: convert(part) for key, part in schema["properties"].items()}
    if "prefixItems" in schema:
        result["items"] = convert({"anyOf": schema["prefixItems"]})
    elif "items" in schema:
        result["items"] = convert(schema["items"])
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values and result["type"] == "STRING":
        result |= {"format": "enum", "enum": values}
    elif values:
        _remark(result, f"One of {', '.join(map(str, values))}.")
    elif schema.get("format") == "date-time":
        result["format"] = "date-time"
    elif "format" in schema:
        _remark(result, f"Format: {schema['format']}.")
    return result


def _remark(schema: dict[str, Any], words: str) -> None:
    schema["description"] = f"{schema['description']} {words}" if "description" in schema else words
