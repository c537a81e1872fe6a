"""Translates the tools and results of MCP servers for the model: names, schemas, content. Pure; JSON in and out.

Does not import the `mcp` package, which is slow to load.
"""

import base64
import binascii
import hashlib
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from ..models import ModelCapabilities
from .declare import FUNCTION_NAME, PARAMETER_NAME, build_declaration
from .json_schema import simplify_schema
from .json_values import MAX_ERROR_CHARS, UnfitError, printable, to_json
from .openapi import to_openapi
from .pictures import Picture, find_picture
from .result import CallResult, RemoteFunction
from .tool import ToolOptions

MAX_NAME_CHARS = 64
MAX_DESCRIPTION_CHARS = 8_000
MAX_DECLARATION_CHARS = 64 * 1024
"""A longer declaration is not offered: all of them go into one message."""
MAX_RESULT_CHARS = 1024 * 1024
"""A longer result is an error, which tells the model to ask for less."""

Call = Callable[[str, Mapping[str, Any]], Awaitable[CallResult]]
"""Calls a tool of a server by the server's name for it."""
Tool = Mapping[str, Any]
"""A tool as the protocol writes it."""


def name_tools(tools: Mapping[str, Sequence[Tool]], taken: Iterable[str]) -> dict[tuple[str, str], str]:
    """Choose a unique name for each tool, by which the model calls it; the keys are the server and the tool's own name.

    A tool keeps its own name if no other function or tool has it. If one has, the server's name is put in front, and a
    number at the end if that is not enough.

    Args:
        tools: The tools of each server.
        taken: Names of other functions.
    """
    plain = {(server, tool["name"]): _clean(tool["name"]) for server, listed in tools.items() for tool in listed}
    used = set(taken)
    counts = Counter([*used, *plain.values()])
    named = {}
    for (server, tool), name in plain.items():
        wanted = name if counts[name] == 1 else _clean(f"{server}_{name}")
        number = 2
        while wanted in used:
            wanted = _clean(f"{server}_{name}_{number}")
            number += 1
        used.add(wanted)
        named[server, tool] = wanted
    return named


def _clean(name: str) -> str:
    """Return a name that the API accepts."""
    clean = re.sub(r"[^A-Za-z0-9_.:-]", "_", name) or "_"
    clean = clean if re.match(r"[A-Za-z_]", clean) else f"_{clean}"
    if len(clean) > MAX_NAME_CHARS:
        digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
        clean = f"{clean[: MAX_NAME_CHARS - 9]}_{digest}"
    assert FUNCTION_NAME.fullmatch(clean)
    return clean


def declare_tool(
    server: str, tool: Tool, name: str, call: Call, capabilities: ModelCapabilities
) -> RemoteFunction | None:
    """Build the function by which the model calls a tool; return None if its declaration is too long.

    Args:
        server: The name of its server.
        tool: The tool.
        name: The tool's name for the model.
        call: Calls a tool of the server by the tool's own name.
        capabilities: What the model can do.
    """
    schema = to_openapi(simplify_schema({"type": "object", **_object(tool.get("inputSchema"))}), {})
    parameters, own_names = _with_valid_names(schema)
    texts = (str(tool.get("description") or tool.get("title") or "").strip(), schema.get("description", ""))
    description = "\n\n".join(filter(None, texts))
    if len(description) > MAX_DESCRIPTION_CHARS:
        description = f"{description[: MAX_DESCRIPTION_CHARS - 1]}…"
    declaration = build_declaration(name, printable(description), _printable(parameters), capabilities)
    if len(json.dumps(declaration)) > MAX_DECLARATION_CHARS:
        return None
    is_read_only = _object(tool.get("annotations")).get("readOnlyHint") is True

    def perform(args: Mapping[str, Any]) -> Awaitable[CallResult]:
        return call(tool["name"], {own_names.get(key, key): _printable(value) for key, value in args.items()})

    options = ToolOptions(confirm=not is_read_only)
    return RemoteFunction(
        name=name, source=f"MCP server {server}", declaration=declaration, perform=perform, options=options
    )


def _with_valid_names(schema: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Return the parameters with names that the API accepts, and the server's name for each that was changed."""
    properties: dict[str, Any] = schema.get("properties", {})
    if not properties:
        return None, {}
    valid: dict[str, str] = {}
    for own in properties:
        name = own if PARAMETER_NAME.fullmatch(own) else re.sub(r"\W", "_", f"_{own}", flags=re.ASCII)[:MAX_NAME_CHARS]
        while name in valid.values() or (name != own and name in properties):
            name = f"_{name}"[:MAX_NAME_CHARS]
        valid[own] = name
    declared: dict[str, Any] = {"type": "OBJECT", "properties": {valid[own]: properties[own] for own in properties}}
    if required := [valid[own] for own in schema.get("required", ())]:
        declared["required"] = required
    return declared, {name: own for own, name in valid.items() if name != own}


def read_result(result: Mapping[str, Any], *, sees_pictures: bool) -> CallResult:
    """Return the result of a tool as the response for the model.

    Structured content is the response. Text that only repeats it is left out; other text is added.

    Args:
        result: A `CallToolResult` as the protocol writes it.
        sees_pictures: True if the model sees pictures beside a response.
    """
    pictures: list[Picture] = []
    blocks = [block for block in result.get("content") or () if isinstance(block, Mapping)]
    texts = [_block_to_text(block, pictures if sees_pictures else None) for block in blocks]
    if result.get("isError") is True:
        text = "\n".join(texts).strip() or "the tool failed and did not say why"
        return CallResult(response={"error": printable(text)[:MAX_ERROR_CHARS]}, failed=True)
    structured = result.get("structuredContent")
    response: dict[str, Any]
    if isinstance(structured, Mapping):
        more = [text for text in texts if not _repeats(text, structured)]
        response = {**structured, **({"text": "\n".join(more)} if more and "text" not in structured else {})}
    else:
        response = {"output": "\n".join(texts) if texts else "done, without a result"}
    try:
        response = to_json(response, "the result")
    except UnfitError as error:
        return CallResult(response={"error": str(error)}, failed=True)
    if (n_chars := len(json.dumps(response))) > MAX_RESULT_CHARS:
        error_text = f"the result is too large ({n_chars:,} characters; at most {MAX_RESULT_CHARS:,}): ask for less"
        return CallResult(response={"error": error_text}, failed=True)
    return CallResult(response=response, pictures=tuple(pictures))


def _block_to_text(block: Mapping[str, Any], pictures: list[Picture] | None) -> str:
    """Return a piece of a result as text; a picture that the model sees is added to `pictures`."""
    kind, inner = block.get("type"), _object(block.get("resource"))
    if kind == "text":
        return printable(str(block.get("text", "")))
    if kind == "resource_link":
        about = f" ({block['description']})" if block.get("description") else ""
        return printable(f"{block.get('title') or block.get('name')}: {block.get('uri')}{about}")
    if kind == "resource" and isinstance(inner.get("text"), str):
        return printable(f"{inner.get('uri')}:\n{inner['text']}")
    return printable(_data_to_text(str(kind), block, pictures))


def _data_to_text(kind: str, block: Mapping[str, Any], pictures: list[Picture] | None) -> str:
    """Decode a base64 piece of a result; return its text, or a description if it is not text.

    A picture is also added to `pictures`, if the model sees pictures.
    """
    inner = _object(block.get("resource"))
    mime_type = str(block.get("mimeType") or inner.get("mimeType") or "unknown type")
    try:
        data = base64.b64decode(str(block.get("data") or inner.get("blob") or ""), validate=True)
    except binascii.Error:
        return f"{kind} ({mime_type}) that is not valid base64"
    name = f"{inner['uri']}: " if inner.get("uri") else ""
    if mime_type.startswith("text/"):
        return f"{name}{data.decode(errors='replace')}"
    picture = find_picture(data)
    if picture is not None and pictures is not None:
        pictures.append(picture)
        return f"{name}picture {len(pictures)} ({picture.mime_type})"
    what = "a picture" if picture is not None or mime_type.startswith("image/") else kind
    what = "data" if what == "resource" else what
    kind_of_data = picture.mime_type if picture is not None else mime_type
    return f"{name}{what} ({kind_of_data}, {len(data):,} bytes), which this model cannot use in a result"


def _repeats(text: str, structured: Mapping[str, Any]) -> bool:
    """True if a text, read as JSON, equals the structured content, its only value, or an item of that value."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    only = next(iter(structured.values())) if len(structured) == 1 else None
    is_in_list = isinstance(only, list) and value in only
    return value in (structured, only) or is_in_list


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _printable(value: Any) -> Any:
    """Return a JSON value with lone surrogates escaped."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value
