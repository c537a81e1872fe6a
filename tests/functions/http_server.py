"""An MCP server over streamable HTTP, made with the official package. Prints its URL; wants a header with a key."""

import asyncio
import socket
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("http")
KEY = b"s3cret-header-value"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
async def grow(ctx: Context[Any, Any]) -> str:
    """Get another tool."""
    await ctx.report_progress(1, 1, "growing")
    server.add_tool(lambda: "late", name="late")
    await ctx.notify_tools_changed()
    return "grown"


@server.tool()
async def wait() -> str:
    """Never return."""
    await asyncio.Event().wait()
    return ""


inner = server.streamable_http_app()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Refuse who does not send the header."""
    if scope["type"] == "http" and dict(scope["headers"]).get(b"x-key") != KEY:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"who are you?"})
        return
    await inner(scope, receive, send)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])
