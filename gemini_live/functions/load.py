"""Import files of Python functions, and declare every public function that is defined in them.

Loading runs the files' code: it happens before the session, outside the event loop. pydantic is an extra and slow to
import, so it is imported only if there is a file to load.
"""

import __future__

import ast
import contextlib
import importlib.machinery
import importlib.util
import inspect
import itertools
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import FunctionDeclarationError, MissingExtraError
from ..files import describe_non_file
from ..models import Behavior, ModelCapabilities
from .call import FunctionCaller
from .declare import (
    Function,
    UndeclarableError,
    build_declaration,
    check_function,
    declare_parameters,
    hides_parameters,
    read_parameters,
)
from .json_values import describe_error
from .result import RemoteFunction
from .tool import options_of

MAX_FILE_BYTES = 16 * 1024 * 1024
"""A larger file is no program that somebody wrote."""

_module_numbers = itertools.count(1)


def make_caller(
    functions: Mapping[str, Function | RemoteFunction],
    *,
    capabilities: ModelCapabilities,
    timeout_s: float,
    end_line: Callable[[], None] = lambda: None,
) -> FunctionCaller:
    """Return what calls `functions`, which are given by name.

    Args:
        capabilities: What the model can do.
        timeout_s: How long a call may take.
        end_line: Called at the end of each function, in its thread, to show printed text without a line break.
    """
    return FunctionCaller(
        functions,
        schedules={Behavior.BLOCKING, Behavior.NON_BLOCKING} <= set(capabilities.behaviors),
        timeout_s=timeout_s,
        sees_pictures=capabilities.observed.sees_result_pictures,
        end_line=end_line,
        warnings=find_ignored_behaviors(functions.values(), capabilities),
    )


def check_files(files: Sequence[Path]) -> None:
    """Check that what loads functions is installed, if there is a file, and that no file is given twice.

    Raises:
        MissingExtraError: pydantic is not installed.
        FunctionDeclarationError: A file is given twice.
    """
    if files:
        _require_pydantic()
    for index, file in enumerate(files):
        if file.resolve() in [each.resolve() for each in files[:index]]:
            raise FunctionDeclarationError(str(file), None, "is given twice")


def index_functions(loaded: Iterable[Sequence[Function]]) -> dict[str, Function]:
    """Return the functions of all files by name.

    Raises:
        FunctionDeclarationError: Two functions have the same name.
    """
    functions: dict[str, Function] = {}
    for function in itertools.chain.from_iterable(loaded):
        first = functions.setdefault(function.name, function)
        if first is not function:
            raise FunctionDeclarationError(
                str(function.file),
                function.line,
                f"`{function.name}` is already defined in {first.file}:{first.line}: rename one of them",
            )
    return functions


def find_ignored_behaviors(
    functions: Iterable[Function | RemoteFunction], capabilities: ModelCapabilities
) -> list[str]:
    """Return a line for each function whose behavior the model does not support."""
    return [
        f"{function.source}: `{function.name}` wants behavior {wanted}, but with this model every call "
        f"is {capabilities.observed.unset_behavior}"
        for function in functions
        if (wanted := function.options.behavior) is not None
        and function.declaration.get("behavior", capabilities.observed.unset_behavior) != wanted
    ]


def _require_pydantic() -> None:
    try:
        importlib.import_module("pydantic")
    except ImportError as exc:
        raise MissingExtraError("--import-functions", "functions") from exc


def load_file(file: Path, capabilities: ModelCapabilities, is_interrupted: Callable[[], bool]) -> list[Function]:
    """Import one file and declare its public functions.

    Args:
        capabilities: What the model can do.
        is_interrupted: Returns True if a `KeyboardInterrupt` comes from the user's Ctrl-C, not from the file.

    Raises:
        FunctionDeclarationError: The file cannot be imported, or a function cannot be declared.
    """
    source = read_source(file)
    path = str(file.resolve())
    try:
        tree = ast.parse(source, path)
        code = compile(tree, path, "exec")
    except SyntaxError as exc:
        raise FunctionDeclarationError(str(file), exc.lineno or None, f"cannot be imported: {exc.msg}") from exc
    except (ValueError, RecursionError, MemoryError) as exc:
        raise FunctionDeclarationError(str(file), None, f"cannot be imported: {describe_error(exc)}") from exc
    definitions: dict[str, list[_Definition]] = {}
    for definition in _public_definitions(tree):
        definitions.setdefault(definition.name, []).append(definition)
    namespace = _run_module(file, path, code, is_interrupted)
    postponed = code.co_flags & __future__.annotations.compiler_flag
    functions = [
        _declare_function(name, namespace, file, nodes, capabilities=capabilities, postponed=postponed)
        for name, nodes in definitions.items()
        if name in namespace
    ]
    if not functions:
        raise FunctionDeclarationError(str(file), None, "defines no public function: write one with `def`")
    return functions


def read_source(file: Path) -> bytes:
    """Return the content of a file of functions.

    Raises:
        FunctionDeclarationError: It is no file, cannot be read, or is too large.
    """
    try:
        if (kind := describe_non_file(file)) is not None:
            raise FunctionDeclarationError(str(file), None, f"cannot be read: {kind}")
        if file.stat().st_size > MAX_FILE_BYTES:
            raise FunctionDeclarationError(str(file), None, f"is larger than {MAX_FILE_BYTES >> 20} MiB")
        return file.read_bytes()
    except OSError as exc:
        raise FunctionDeclarationError(str(file), None, f"cannot be read: {exc.strerror}") from exc


_Definition = ast.FunctionDef | ast.AsyncFunctionDef


def _public_definitions(node: ast.AST) -> Iterator[_Definition]:
    """Yield every `def` that binds a public name of the module, also under `if`, `try` and similar statements."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            if not child.name.startswith("_"):
                yield child
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case) and not isinstance(child, ast.ClassDef):
            yield from _public_definitions(child)


def _run_module(file: Path, path: str, code: Any, is_interrupted: Callable[[], bool]) -> dict[str, Any]:
    """Execute a module and return its namespace.

    The module gets a name of its own, so that it replaces neither another file nor a library. Its folder is searched
    first while the module is imported, and afterwards last: functions may import their neighbours when they are called,
    but a neighbour that is named like a library must not replace the library in this program.
    """
    name = f"gemini_live_functions_{next(_module_numbers)}"
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(Path(path).parent)
    sys.modules[name] = module
    sys.path.insert(0, folder)
    try:
        with _standard_descriptors_kept(file):
            exec(code, module.__dict__)
    except FunctionDeclarationError:
        del sys.modules[name]
        raise
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt) and is_interrupted():
            raise
        del sys.modules[name]
        lines = [line for frame, line in traceback.walk_tb(exc.__traceback__) if frame.f_code.co_filename == path]
        reason = f"cannot be imported: {describe_error(exc)}"
        raise FunctionDeclarationError(str(file), lines[-1] if lines else None, reason) from exc
    finally:
        if folder in sys.path:  # the file may have rearranged it
            sys.path.remove(folder)
    if folder not in sys.path:
        sys.path.append(folder)
    return module.__dict__


@contextlib.contextmanager
def _standard_descriptors_kept(file: Path) -> Iterator[None]:
    """Refuse a file that closes stdin, stdout or stderr: the next socket would get their number, and their output."""
    copies = {}
    for number in range(3):
        with contextlib.suppress(OSError):  # it was closed before
            copies[number] = os.dup(number)
    closed = []
    try:
        yield
    finally:
        for number, copy in copies.items():
            try:
                os.fstat(number)
            except OSError:
                os.dup2(copy, number)
                closed.append(("stdin", "stdout", "stderr")[number])
            os.close(copy)
    if closed:
        raise FunctionDeclarationError(str(file), None, f"cannot be imported: it closes {' and '.join(closed)}")


def _declare_function(
    name: str,
    namespace: dict[str, Any],
    file: Path,
    nodes: Sequence[_Definition],
    *,
    capabilities: ModelCapabilities,
    postponed: int,
) -> Function:
    target = namespace[name]
    node = _definition_of(target, nodes)
    options = options_of(target)
    takes_progress = inspect.isasyncgenfunction(inspect.unwrap(target)) and capabilities.observed.takes_progress
    behavior = options.behavior or (Behavior.NON_BLOCKING if takes_progress else None)
    reports = takes_progress and behavior is Behavior.NON_BLOCKING
    try:
        check_function(options.name or name, target)
        described = _undecorated(node, namespace, postponed) if hides_parameters(target) else target
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is raised
            doc = target.__doc__ or ast.get_docstring(node)  # a decorator may have lost it
            parameters = read_parameters(described, doc, namespace)
            declaration = build_declaration(
                options.name or name, doc, declare_parameters(parameters), capabilities, behavior
            )
    except UndeclarableError as exc:
        raise FunctionDeclarationError(str(file), node.lineno, f"`{name}` {exc}") from exc
    return Function(options.name or name, file, node.lineno, target, parameters, declaration, reports, options)


def _definition_of(target: Any, nodes: Sequence[_Definition]) -> _Definition:
    """Return the `def` that made `target`: of several (overloads, branches), the one its code names."""
    code = getattr(inspect.unwrap(target), "__code__", None)
    for node in nodes:
        first_lines = [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
        if code is not None and code.co_firstlineno in first_lines:
            return node
    return nodes[-1]


def _undecorated(node: _Definition, namespace: dict[str, Any], postponed: int) -> Callable[..., Any]:
    """Return a function with the parameters of a `def`, without its decorators and its code.

    Args:
        node: The `def`.
        namespace: The globals of its file.
        postponed: The compiler's flag for postponed annotations, if the file has it; else 0.
    """
    bare = ast.FunctionDef(node.name, node.args, [ast.Pass()], decorator_list=[])
    bare.__dict__.update({"type_params": getattr(node, "type_params", [])})  # since Python 3.12
    module = ast.Module([ast.copy_location(bare, node)], type_ignores=[])
    defined: dict[str, Any] = {}
    try:
        code = compile(ast.fix_missing_locations(module), node.name, "exec", postponed, dont_inherit=True)
        exec(code, namespace, defined)
    except Exception as exc:
        raise UndeclarableError(f"has a signature that cannot be read: {describe_error(exc)}") from exc
    function: Callable[..., Any] = defined[node.name]
    return function
