"""What the simulated model says and does about what it was told: it repeats it, but for a few requests. Pure."""

import json
import re
from typing import Any

from .actions import Action, Call, End, Say, Search, Together
from .history import ConversationHistory
from .settings import Declaration

_MAX_COUNT = 10_000
_decoder = json.JSONDecoder()

_CALL = re.compile(r"\bcall\s+([A-Za-z_][\w.:-]*)", re.IGNORECASE)
_COUNT = re.compile(r"\bcount to (\d{1,9})\b", re.IGNORECASE)
_SEARCH = re.compile(r"^\s*search\s+(?:for\s+)?(.+?)\s*[.?!]?\s*$", re.IGNORECASE | re.DOTALL)
_BEFORE = re.compile(r"^\s*what did i (?:just )?say(?: before)?[\s?.!]*$", re.IGNORECASE)
_SEE = re.compile(r"^\s*what (?:do|can) you see[\s?.!]*$", re.IGNORECASE)

REQUESTS: tuple[tuple[str, str], ...] = (
    ("... count to N ...", "counts, which takes a while: something to interrupt"),
    ("... call NAME(JSON) ...", "calls the function; several in one line are one message with several calls"),
    ("... call NAME ...", "calls a declared function with arguments made up from its declaration"),
    ("search for X", "answers with sources, where the session has Google Search"),
    ("what did I say before?", "answers from the conversation, which a resumed session still has"),
    ("what do you see?", "says how many frames came, and how large the last one is"),
)
"""What a line may ask for besides being repeated; the help is made of this."""

MALFORMED_CALL = (End("MALFORMED_FUNCTION_CALL"),)
"""What the model does if it makes a mess of a call that it wanted to make."""


def plan_answer(
    text: str,
    *,
    declarations: dict[str, Declaration],
    search: bool,
    conversation: ConversationHistory,
    seen: str = "",
) -> tuple[Action, ...]:
    """Return what the model does about `text`."""
    actions = _plan_calls(text, declarations)
    if actions == MALFORMED_CALL:  # the client may have put the line into JSON, with a backslash at each quote
        actions = _plan_calls(text.replace('\\"', '"'), declarations)
    if actions:
        return actions
    if match := _COUNT.search(text):
        return (Say(", ".join(str(n) for n in range(1, min(int(match[1]), _MAX_COUNT) + 1)) + "."),)
    if search and (match := _SEARCH.match(text)):
        return (Search(match[1]), Say(f"I searched for {match[1]} and found two pages."))
    if _BEFORE.match(text):
        before = conversation.last_said()
        return (Say(f"You said: {before}" if before else "You have not said anything before."),)
    if _SEE.match(text):
        return (Say(seen),)
    return (Say(text.strip()),) if text.strip() else (Say("Yes?", waits_for_input=True),)


def _plan_calls(text: str, declarations: dict[str, Declaration]) -> tuple[Action, ...]:
    """Return the calls that the text asks for; nothing if it asks for none."""
    calls: list[Call] = []
    if not declarations:
        return ()
    position = 0
    while match := _CALL.search(text, position):
        name, position = match[1].rstrip(".:-"), match.end()
        declaration = declarations.get(name)
        if text[position : position + 1] == "(":
            args, end = _read_arguments(text, position + 1)
            if args is None and declaration is None:
                continue  # "call me (maybe)" asks for nothing
            if args is None:
                return MALFORMED_CALL
            calls.append(Call(name, args))
            position = end
        elif declaration is not None:
            calls.append(Call(name))
    return (Together(*calls),) if calls else ()


def _read_arguments(text: str, start: int) -> tuple[dict[str, Any] | None, int]:
    """Return the JSON object between parentheses, None if there is none, and where the text goes on behind them."""
    inside = text[start:].lstrip()
    if inside.startswith(")"):
        return {}, len(text) - len(inside) + 1
    try:
        args, end = _decoder.raw_decode(inside)
        json.dumps(args, allow_nan=False)  # 1e999 is infinite, which JSON cannot say
    except (ValueError, RecursionError):
        return None, start
    after = inside[end:].lstrip()
    if not isinstance(args, dict) or not after.startswith(")"):
        return None, start
    return args, len(text) - len(after) + 1


def describe_response(name: str, response: dict[str, Any]) -> str:
    """Return what the model says about the result of a function."""
    if "error" in response:
        return f"{name} failed: {_plain(response['error'])}"
    if set(response) == {"output"}:
        return f"{name} returned {_plain(response['output'])}"
    return f"{name} returned {_plain(response)}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def build_search_parts() -> list[dict[str, Any]]:
    """Return the part by which the 2.x models show that they search (pydantic-ai's recording, Aug 2026)."""
    output = "Looking up information on Google Search.\n"
    return [{"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": output}}]


def build_grounding(query: str, pages: tuple[tuple[str, str], ...], said: str) -> dict[str, Any]:
    """Return the groundingMetadata of a search.

    Args:
        query: What was searched for.
        pages: Address and title of each page; empty: two are made up.
        said: What the model said about the pages.
    """
    slug = re.sub(r"\W+", "-", query.lower()).strip("-")[:60] or "result"
    pages = pages or (
        (f"https://example.com/{slug}", f"{query} - Example"),
        (f"https://example.org/wiki/{slug}", query),
    )
    return {
        "webSearchQueries": [query],
        "groundingChunks": [{"web": {"uri": uri, "title": title}} for uri, title in pages],
        "groundingSupports": [
            {
                "segment": {"endIndex": len(said.encode()), "text": said},
                "groundingChunkIndices": list(range(len(pages))),
            }
        ],
        "searchEntryPoint": {"renderedContent": "<div>Google Search</div>"},
    }
