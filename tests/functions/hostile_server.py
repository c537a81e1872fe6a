"""An MCP server that does all that a server may do, and what none should: one tool for each. Plain JSON, no library.

`--never-ready`: answers nothing. `--exit CODE`: ends at once. `--not-json`: writes text in place of messages.
"""

import base64
import json
import os
import sys
import threading
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"
SIZE = 17 * 1024 * 1024
ANYTHING = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS: dict[str, dict[str, Any]] = {
    "echo": {"description": "Say it again.", "annotations": {"readOnlyHint": True}},
    **{name: {} for name in ("structured", "several", "fail", "refuse", "hang", "progress", "die", "flood", "endless")},
    **{name: {} for name in ("large", "chatter", "sample", "elicit", "change", "noise", "environment", "empty")},
    "odd/name with ünicode": {
        "inputSchema": {"type": "object", "properties": {"$filter": {"type": "string"}, "a-b": {"$ref": "#/nowhere"}}}
    },
}
lock = threading.Lock()


def send(**message: Any) -> None:
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def notify(method: str, **params: Any) -> None:
    send(method=f"notifications/{method}", params=params)


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def call(request: Any, name: str, args: dict[str, Any], token: Any) -> None:  # noqa: PLR0912 - a case for each tool
    result: dict[str, Any] = text("done")
    match name:
        case "echo":
            result = text(args.get("text", ""))
        case "odd/name with ünicode":
            result = text(json.dumps(args))
        case "structured":
            structured = {"sum": 3, "parts": [1, 2]}
            result = {"content": [{"type": "text", "text": json.dumps(structured)}], "structuredContent": structured}
        case "several":
            blob = {"uri": "file:///b", "mimeType": "application/pdf", "blob": b64(b"%PDF")}
            result["content"] += [
                {"type": "image", "mimeType": "image/png", "data": b64(PNG)},
                {"type": "audio", "mimeType": "audio/wav", "data": b64(b"RIFF")},
                {"type": "resource", "resource": {"uri": "file:///a", "text": "words"}},
                {"type": "resource", "resource": blob},
                {"type": "resource_link", "name": "c", "uri": "file:///c"},
            ]
        case "fail":
            result = {**text("the disk\nis full"), "isError": True}
        case "refuse":
            send(id=request, error={"code": -32000, "message": "not today"})
            return
        case "hang":
            sys.stderr.write("hanging\n")
            sys.stderr.flush()
            return
        case "progress":
            for step in (1, 2):
                notify("progress", progressToken=token, progress=step, total=2, message=f"step {step}")
        case "die":
            os._exit(3)
        case "flood":
            for _ in range(80):
                notify("message", level="debug", data="x")
        case "endless":
            sys.stdout.write("x" * SIZE)
            sys.stdout.flush()
            return
        case "large":
            result = text("x" * (SIZE // 8))
        case "chatter":
            sys.stdout.write("Processing...\nStill processing...\n")
            notify("message", level="warning", data="disk \x1b[31mfull", logger="l")
        case "sample" | "elicit":
            method = {"sample": "sampling/createMessage", "elicit": "elicitation/create"}[name]
            params: dict[str, Any] = {"messages": [], "maxTokens": 1} if name == "sample" else {"message": "x"}
            params |= {} if name == "sample" else {"requestedSchema": {"type": "object", "properties": {}}}
            send(id=f"ask-{request}", method=method, params=params)
            waiting[f"ask-{request}"] = request
            return
        case "change":
            TOOLS["late"] = {}
            TOOLS.pop("empty", None)
            send(method="notifications/tools/list_changed")
        case "noise":
            sys.stderr.write("key AIza-not-a-real-key \x1b[31m\n" + "y" * 200_000 + "\n")
            sys.stderr.flush()
        case "environment":
            result = text("\n".join(sorted(os.environ)))
        case "empty":
            result = {"content": []}
        case _:
            send(id=request, error={"code": -32602, "message": f"Unknown tool: {name}"})
            return
    send(id=request, result=result)


waiting: dict[Any, Any] = {}


def answer(message: dict[str, Any]) -> None:
    request, params = message.get("id"), message.get("params", {})
    match message.get("method"):
        case "initialize":
            info = {"name": "hostile", "version": "1"}
            capabilities = {"tools": {"listChanged": True}, "logging": {}}
            result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info}
            send(id=request, result=result)
        case "tools/list":  # two pages
            names = list(TOOLS)
            first = "cursor" not in params
            page = names[:5] if first else names[5:]
            tools = [{"name": name, "inputSchema": ANYTHING, **TOOLS[name]} for name in page]
            send(id=request, result={"tools": tools, **({"nextCursor": "2"} if first else {})})
        case "tools/call":
            call(request, params["name"], params.get("arguments", {}), params.get("_meta", {}).get("progressToken"))
        case "notifications/cancelled":
            sys.stderr.write("cancelled\n")
            sys.stderr.flush()
        case None:
            if request in waiting:
                send(id=waiting.pop(request), result=text(json.dumps(message.get("error", message.get("result")))))
        case method if request is not None:
            send(id=request, error={"code": -32601, "message": f"no {method}"})


def main(argv: list[str]) -> None:
    if argv[:1] == ["--exit"]:
        sys.stderr.write("cannot read the settings\n")
        sys.exit(int(argv[1]))
    if argv[:1] == ["--not-json"]:
        print("Usage: hostile [options]")
        sys.exit(0)
    for line in sys.stdin:
        if argv[:1] != ["--never-ready"]:
            answer(json.loads(line))


if __name__ == "__main__":
    main(sys.argv[1:])
