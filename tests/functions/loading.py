"""Loads files of functions for the tests of this folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gemini_live.errors import ExitCode, FunctionDeclarationError
from gemini_live.functions.call import FunctionCaller
from gemini_live.functions.declare import Function
from gemini_live.functions.library import FunctionLibrary
from gemini_live.models import ModelCapabilities, capabilities_of

FILES = Path(__file__).parent / "files"
DEFAULT = capabilities_of("gemini-3.8-live")
PATIENCE_S = 10.0

Write = Callable[..., Path]


def load_functions(files: Sequence[Path], **options: Any) -> FunctionCaller:
    """Load files as the command does, and return what calls their functions."""
    return FunctionLibrary(files, **options).caller


def load(*names: str, timeout_s: float = PATIENCE_S, capabilities: ModelCapabilities = DEFAULT) -> FunctionCaller:
    return load_functions([FILES / name for name in names], capabilities=capabilities, timeout_s=timeout_s)


def load_file(path: Path, capabilities: ModelCapabilities = DEFAULT) -> FunctionCaller:
    return load_functions([path], capabilities=capabilities, timeout_s=PATIENCE_S)


def refusal_of(*paths: Path) -> FunctionDeclarationError:
    with pytest.raises(FunctionDeclarationError) as caught:
        load_functions(paths, capabilities=DEFAULT, timeout_s=PATIENCE_S)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value


def globals_of(functions: FunctionCaller, name: str) -> dict[str, Any]:
    """Return the variables of the file that defines a function."""
    function = functions._functions[name]
    assert isinstance(function, Function)
    variables: dict[str, Any] = function.target.__globals__
    return variables


def names_of(functions: FunctionCaller) -> list[str]:
    return [declaration["name"] for declaration in functions.declarations]


def declaration_of(functions: FunctionCaller, name: str) -> dict[str, Any]:
    return next(declaration for declaration in functions.declarations if declaration["name"] == name)


def parameters_of(path: Path) -> dict[str, Any]:
    """Return the properties of the only function of a file."""
    (declaration,) = load_file(path).declarations
    properties: dict[str, Any] = declaration["parameters"]["properties"]
    return properties
