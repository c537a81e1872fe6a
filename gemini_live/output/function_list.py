"""Formats the declarations of functions, for `--list-functions` and `/tools`. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..functions.openapi import format_in_words


def find_declarations(setup: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all function declarations of a setup message, `--setup` included."""
    tools = setup["setup"].get("tools")
    found = [tool.get("functionDeclarations") for tool in tools or () if isinstance(tool, dict)]
    return [each for declarations in found if isinstance(declarations, list) for each in declarations]


def format_declarations(declarations: Sequence[Mapping[str, Any]], sources: Mapping[str, str] | None = None) -> str:
    """Return functions as text for people: name, description and one line for each parameter.

    Args:
        declarations: The declarations that the model gets.
        sources: Where each function is from, by name.
    """
    texts = [
        _format_declaration(declaration, (sources or {}).get(str(declaration.get("name"))))
        for declaration in declarations
    ]
    return "\n\n".join(texts) or "the model can call no functions"


def format_json_lines(declarations: Sequence[Mapping[str, Any]]) -> str:
    """Return each declaration as it is sent, one JSON object a line."""
    return "\n".join(json.dumps(declaration, ensure_ascii=False) for declaration in declarations)


def _format_declaration(declaration: Mapping[str, Any], source: str | None) -> str:
    lines = [" ".join(str(declaration[key]) for key in ("name", "behavior") if key in declaration)]
    lines[0] += f"  ({source})" if source is not None else ""
    lines += [f"  {line}".rstrip() for line in str(declaration.get("description", "")).splitlines()]
    parameters = declaration.get("parameters")
    if not isinstance(parameters, dict) or not isinstance(parameters.get("properties"), dict):
        # It comes from --setup, and may have any form.
        others = {key: value for key, value in declaration.items() if key not in ("name", "behavior", "description")}
        return "\n".join([*lines, *([f"  {json.dumps(others, ensure_ascii=False)}"] if others else [])])
    for name, schema in parameters["properties"].items():
        lines.append(f"  - {name}: {_format_schema(schema, is_required=name in parameters.get('required', ()))}")
    return "\n".join(lines)


def _format_schema(schema: Any, *, is_required: bool) -> str:
    try:
        words = format_in_words(schema)
    except (AttributeError, KeyError, TypeError):  # from --setup
        words = json.dumps(schema, ensure_ascii=False)
    if is_required:
        return words
    if isinstance(schema, dict) and "default" in schema:
        return f"{words}; default: {json.dumps(schema['default'], ensure_ascii=False)}"
    return f"{words}; optional"
