"""What the simulated model says and does about what it was told: it repeats it, but for a few requests. Pure."""

import json
import re
from dataclasses import dataclass
from typing import Any

from .history import ConversationHistory
from .settings import Declaration

_MAX_COUNT = 10_000

_CALL = re.compile(r"\bcall\s+([A-Za-z_][\w.:-]*)", re.IGNORECASE)
_COUNT = re.compile(r"^\s*count to (\d{1,9})\s*[.!]?\s*$", re.IGNORECASE)
_SEARCH = re.compile(r"^\s*search\s+(?:for\s+)?(.+?)\s*[.?!]?\s*$", re.IGNORECASE | re.DOTALL)
_BEFORE = re.compile(r"^\s*what did i (?:just )?say(?: before)?\s*[?.!]*\s*$", re.IGNORECASE)
_SEE = re.compile(r"^\s*what (?:do|can) you see\s*[?.!]*\s*$", re.IGNORECASE)

REQUESTS: tuple[tuple[str, str], ...] = (
    ("count to N", "counts, which takes a while: something to interrupt"),
    ("call NAME(JSON)", "calls the function; several in one line are one message with several calls"),
    ("call NAME", "calls it with arguments made up from its declaration"),
    ("search for X", "answers with sources, where the session has Google Search"),
    ("what did I say before?", "answers from the conversation, which a resumed session still has"),
    ("what do you see?", "says how many frames came, and how large the last one is"),
)
"""What a line may ask for besides being repeated; the help is made of this."""


@dataclass(frozen=True)
class Call:
    """A function that the model wants called."""

    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What the model will do about one message."""

    words: str = ""
    calls: tuple[Call, ...] = ()
    query: str = ""
    """What it searched for, if it did."""
    waits_for_input: bool = False
    """It had nothing to answer, and expects the user to go on."""
    malformed_call: bool = False
    """It wanted to call a function and made a mess of it."""


def plan_answer(
    text: str,
    *,
    declarations: dict[str, Declaration],
    search: bool,
    conversation: ConversationHistory,
) -> Plan:
    """Return what the model does about `text`."""
    if declarations and _CALL.search(text):
        return _plan_calls(text, declarations)
    if match := _COUNT.match(text):
        return Plan(words=", ".join(str(n) for n in range(1, min(int(match[1]), _MAX_COUNT) + 1)) + ".")
    if search and (match := _SEARCH.match(text)):
        return Plan(words=f"I searched for {match[1]} and found two pages.", query=match[1])
    if _BEFORE.match(text):
        before = conversation.last_said()
        return Plan(words=f"You said: {before}" if before else "You have not said anything before.")
    if _SEE.match(text):
        return Plan(words=conversation.describe_frames())
    return Plan(words=text.strip()) if text.strip() else Plan(words="Yes?", waits_for_input=True)


def _plan_calls(text: str, declarations: dict[str, Declaration]) -> Plan:
    calls = []
    decoder = json.JSONDecoder()
    position = 0
    while match := _CALL.search(text, position):
        name, position = match[1].rstrip(".:"), match.end()
        if text[position : position + 1] != "(":
            declaration = declarations.get(name)
            calls.append(Call(name, make_up(declaration.parameters) if declaration else {}))
            continue
        inside = text[position + 1 :].lstrip()
        if inside.startswith(")"):
            args: Any = {}
            after = inside
        else:
            try:
                args, end = decoder.raw_decode(inside)
            except (ValueError, RecursionError):
                return Plan(malformed_call=True)
            after = inside[end:].lstrip()
        if not isinstance(args, dict) or not after.startswith(")"):
            return Plan(malformed_call=True)
        calls.append(Call(name, args))
        position = len(text) - len(after) + 1
    return Plan(calls=tuple(calls))


def make_up(schema: dict[str, Any], depth: int = 0) -> Any:
    """Return a value that fits a JSON schema or the API's own subset of it, required properties only."""
    if schema.get("enum"):
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            return make_up(schema[choice][0], depth)
    kind = schema.get("type", "object" if depth == 0 else "string")
    kind = str(kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: make_up(properties.get(name, {}), depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        items = schema.get("items", {})
        return [make_up(items, depth + 1) for _ in range(int(schema.get("minItems", 1)))]
    made_up: dict[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "null": None}
    return made_up.get(kind, "example")


def describe_response(name: str, response: dict[str, Any]) -> str:
    """Return what the model says about the result of a function."""
    if "error" in response:
        return f"{name} failed: {_plain(response['error'])}"
    if set(response) == {"output"}:
        return f"{name} returned {_plain(response['output'])}"
    return f"{name} returned {_plain(response)}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def build_search_parts(query: str) -> list[dict[str, Any]]:
    """Return the parts by which the models of the 2.x line show that they search."""
    code = f"print(google_search.search(queries=[{query!r}]))"
    return [
        {"executableCode": {"language": "PYTHON", "code": code}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "Looked up.\n"}},
    ]


def build_grounding(query: str) -> dict[str, Any]:
    """Return the groundingMetadata of a search."""
    slug = re.sub(r"\W+", "-", query.lower()).strip("-")[:60] or "result"
    pages = [(f"https://example.com/{slug}", f"{query} - Example"), (f"https://example.org/wiki/{slug}", query)]
    said = f"I searched for {query} and found two pages."
    return {
        "webSearchQueries": [query],
        "groundingChunks": [{"web": {"uri": uri, "title": title}} for uri, title in pages],
        "groundingSupports": [
            {
                "segment": {"endIndex": len(said.encode()), "text": said},
                "groundingChunkIndices": [0, 1],
            }
        ],
        "searchEntryPoint": {"renderedContent": "<div>Google Search</div>"},
    }
