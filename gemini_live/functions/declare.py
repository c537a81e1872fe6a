"""Declare a Python function to the model: its name, docstring and parameters as a `functionDeclarations` entry.

Parameters are declared by the field `parameters`, which every model reads. (Some models ignore `parametersJsonSchema`:
issues of python-genai and LiveKit, 2025 and 2026.) pydantic makes a JSON schema of each annotation, and `openapi.py`
converts it. A call's arguments are validated against the annotations in any case.
"""

import contextlib
import functools
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..frozen import Frozen
from ..models import Behavior, ModelCapabilities
from .docstrings import read_parameter_docs
from .json_values import UnfitError, describe_error, to_json
from .openapi import to_openapi
from .tool import ToolOptions

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
    from pydantic_core import core_schema

FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Parameter(Frozen):
    """One parameter of a function that the model may call."""

    adapter: "TypeAdapter[Any]"
    """Validates and converts an argument to the annotated type."""
    default: Any
    """The default value; `inspect.Parameter.empty` if the parameter is required."""
    schema: dict[str, Any]
    """The type in the OpenAPI subset, with description and default."""

    @property
    def required(self) -> bool:
        """True if a call must pass this argument."""
        return self.default is inspect.Parameter.empty


class Function(Frozen):
    """A function that the model may call."""

    name: str
    file: Path
    line: int
    """Line of its `def` in `file`."""
    target: Callable[..., Any]
    parameters: Mapping[str, Parameter]
    declaration: dict[str, Any]
    """The function's entry in `functionDeclarations`."""
    reports_progress: bool = False
    """True for an async generator if the model takes its values as they come."""
    options: ToolOptions = field(default_factory=ToolOptions)
    """What `@tool` says about it."""

    @property
    def source(self) -> str:
        """Where it is from, for people."""
        return f"{self.file}:{self.line}"


class UndeclarableError(Exception):
    """A function cannot be declared. The message continues a sentence that begins with the function's name."""


def check_function(name: str, target: Any) -> None:
    """Check that `target` is a function with one result and a name that the API accepts.

    Raises:
        UndeclarableError: It is not.
    """
    if not callable(target) or isinstance(target, type):
        raise UndeclarableError(
            f"is no longer a function but of type {type(target).__name__}: return a function from its decorator, "
            "or begin its name with an underscore"
        )
    if inspect.isgeneratorfunction(target):
        raise UndeclarableError("is a generator, but a call has one result: return a list, or write `async def`")
    if not FUNCTION_NAME.fullmatch(name):
        raise UndeclarableError("has a name that the API forbids: use letters, digits and underscores, at most 64")


def hides_parameters(target: Any) -> bool:
    """True if `target` is a decorator's wrapper that passes on `*args, **kwargs` and copied no signature."""
    wrapper = getattr(target, "__code__", None)
    if wrapper is None or hasattr(target, "__wrapped__") or hasattr(target, "__signature__"):
        return False
    kinds = [parameter.kind for parameter in inspect.signature(target).parameters.values()]
    return kinds == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]


def read_parameters(target: Callable[..., Any], doc: str | None, namespace: dict[str, Any]) -> dict[str, Parameter]:
    """Return the parameters of `target`.

    Args:
        target: The function.
        doc: Its docstring.
        namespace: The globals of the file that defines it, in which its annotations are evaluated.

    Raises:
        UndeclarableError: The model cannot be told a parameter; the message names it and says what to write instead.
    """
    try:
        signature = inspect.signature(target)
        # Without the return annotation: it is not declared, and may be imported for type checkers only.
        written = {name: each.annotation for name, each in signature.parameters.items()}
        annotated = types.SimpleNamespace(__annotations__=written)
        own: dict[str, Any] = getattr(inspect.unwrap(target), "__globals__", {})
        annotations = typing.get_type_hints(annotated, globalns=namespace, localns=own, include_extras=True)
    except Exception as exc:
        raise UndeclarableError(f"has annotations that cannot be read: {describe_error(exc)}") from exc
    docs = read_parameter_docs(doc or "", list(signature.parameters))
    return {
        name: _read_parameter(parameter, annotations[name], docs.get(name))
        for name, parameter in signature.parameters.items()
    }


def _read_parameter(parameter: inspect.Parameter, annotation: Any, doc: str | None) -> Parameter:
    from pydantic import Field, TypeAdapter  # noqa: PLC0415 - an extra, and slow to import

    _check_parameter(parameter, annotation)
    default = parameter.default
    try:
        description = _find_description(annotation) or doc
        if default is None and not _accepts_none(TypeAdapter(annotation)):
            annotation = annotation | None
        if description:
            annotation = typing.Annotated[annotation, Field(description=description)]
        adapter = TypeAdapter(annotation)
        json_schema = adapter.json_schema(schema_generator=_schema_generator())
        json_schema.pop("default", None)  # from Field(default=...), which Python does not know
        schema = to_openapi(json_schema, json_schema.pop("$defs", {}))
    except Exception as exc:
        # pydantic explains in several lines and sentences, and ends with an address.
        reason = describe_error(exc).split(". ")[0].split(" For further information")[0]
        raise UndeclarableError(
            f"has a parameter `{parameter.name}` of a type that JSON cannot carry: use str, int, float, bool, list, "
            f"dict, an enum, a dataclass or a pydantic model ({reason})"
        ) from exc
    if default is not parameter.empty:
        # A default of another type, or that JSON cannot hold, works all the same: the model need not know it.
        with contextlib.suppress(Exception):
            dumped = adapter.dump_python(default, mode="json", warnings="error")
            adapter.validate_json(json.dumps(dumped, allow_nan=False))
            schema["default"] = to_json(dumped, "the default")
    return Parameter(adapter, default, schema)


@functools.cache
def _schema_generator() -> "type[GenerateJsonSchema]":
    from pydantic.json_schema import GenerateJsonSchema  # noqa: PLC0415 - an extra, and slow to import

    class WithKeys(GenerateJsonSchema):
        """Makes JSON schemas as pydantic does; but a Decimal is a number, and dicts with keys of numbers say so."""

        def decimal_schema(self, schema: "core_schema.DecimalSchema") -> "JsonSchemaValue":
            result: JsonSchemaValue = super().decimal_schema(schema)
            number: JsonSchemaValue = next(
                (each for each in result.get("anyOf", ()) if each["type"] == "number"), result
            )
            return number

        def dict_schema(self, schema: "core_schema.DictSchema") -> "JsonSchemaValue":
            result = super().dict_schema(schema)
            keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
            return result if keys in ({}, {"type": "string"}) else {**result, "propertyNames": keys}

    return WithKeys


def _check_parameter(parameter: inspect.Parameter, annotation: Any) -> None:
    from pydantic.fields import FieldInfo  # noqa: PLC0415 - an extra, and slow to import

    name = parameter.name
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise UndeclarableError(
            f"has a positional-only parameter `{name}`, but the model passes arguments by name: remove the `/`"
        )
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise UndeclarableError(
            f"takes `{parameter}`, but the model must be told each argument: write out the parameters (in a decorator, "
            "put @functools.wraps(function) above the inner function)"
        )
    if not PARAMETER_NAME.fullmatch(name):
        raise UndeclarableError(
            f"has a parameter `{name}`, a name that the API forbids: use letters, digits and underscores, at most 64"
        )
    if annotation is parameter.empty:
        raise UndeclarableError(f"has a parameter `{name}` without a type annotation: write for example `{name}: str`")
    if isinstance(parameter.default, FieldInfo):
        raise UndeclarableError(
            f"has a `Field` as the default of `{name}`: write `{name}: Annotated[type, Field(...)] = value`"
        )


def _accepts_none(adapter: "TypeAdapter[Any]") -> bool:
    from pydantic import ValidationError  # noqa: PLC0415 - an extra, and slow to import

    try:
        adapter.validate_json("null")
    except ValidationError:
        return False
    return True


def _find_description(annotation: Any) -> str | None:
    """Return the text of `Annotated[str, Field(description="the city")]` or `Annotated[str, "the city"]`."""
    from pydantic.fields import FieldInfo  # noqa: PLC0415 - an extra, and slow to import

    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        metadata = annotation.__metadata__
        texts = [each.description for each in metadata if isinstance(each, FieldInfo)]
        texts += [each for each in metadata if isinstance(each, str)]
    elif origin in (typing.Union, types.UnionType):
        texts = [_find_description(each) for each in typing.get_args(annotation)]
    else:
        texts = []
    return next(filter(None, texts), None)


def declare_parameters(parameters: Mapping[str, Parameter]) -> dict[str, Any] | None:
    """Return the field `parameters` of a declaration; None if there are none."""
    if not parameters:
        return None
    properties = {key: parameter.schema for key, parameter in parameters.items()}
    required = [key for key, parameter in parameters.items() if parameter.required]
    return {"type": "OBJECT", "properties": properties} | ({"required": required} if required else {})


def build_declaration(
    name: str,
    doc: str | None,
    parameters: Mapping[str, Any] | None,
    capabilities: ModelCapabilities,
    behavior: Behavior | None = None,
) -> dict[str, Any]:
    """Return a function's entry in `functionDeclarations`.

    Args:
        name: The function's name for the model.
        doc: Its docstring.
        parameters: Its parameters, as an object of the OpenAPI subset; None if it has none.
        capabilities: What the model can do.
        behavior: Whether the model shall wait for the result, if the model can do so; None: it shall.

    Raises:
        UndeclarableError: The docstring or a default is not valid Unicode.
    """
    declaration: dict[str, Any] = {"name": name}
    if doc:
        declaration["description"] = inspect.cleandoc(doc)
    wanted = behavior or Behavior.BLOCKING
    if capabilities.declares_behavior and wanted in capabilities.behaviors:
        declaration["behavior"] = wanted.value
    if parameters is not None:
        declaration["parameters"] = parameters
    try:
        converted: dict[str, Any] = to_json(declaration, "the declaration")
    except UnfitError as exc:
        raise UndeclarableError(f"cannot be declared: {exc}") from exc
    return converted
