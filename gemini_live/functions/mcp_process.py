"""The transport of an MCP server that is a command: JSON lines over its stdin and stdout.

Runs on the event loop. The transport of the `mcp` package keeps an incomplete line of any length in memory, and logs
lines that are not JSON.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from .mcp_config import ServerSpec

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A server that sends a longer line is disconnected: it would fill the memory."""
STDERR_BYTES, STDERR_PAUSE_S = 4_096, 0.01
"""stderr is read in pieces of this size, this often: a server that writes very much waits, as it would for a pipe."""
LEAVE_S, KILL_S = 1.0, 0.5
"""How long a server may take to end after its stdin is closed, and then after it is told to end."""

Streams = tuple[Any, Any]
"""What the `mcp` package reads messages from and writes them to."""


class CommandFailedError(Exception):
    """Raised if the command of a server does not start. The message says why."""


@contextlib.asynccontextmanager
async def run_server(
    spec: ServerSpec, *, on_stderr: Callable[[bytes], None], on_rubbish: Callable[[str], None]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any, Any]]:
    """Start a server, yield its process and its streams, and finally end the server and its child processes.

    Args:
        spec: The server, with its command.
        on_stderr: Called with the bytes that the server writes to stderr.
        on_rubbish: Called with a shortened text, or a description, of each line on stdout that is not a message.

    Raises:
        CommandFailedError: The command does not start.
    """
    process = await _start(spec)
    received, read = anyio.create_memory_object_stream[Any](0)
    write, to_send = anyio.create_memory_object_stream[Any](0)
    tasks = [
        asyncio.create_task(_read_messages(process, received, on_rubbish), name=f"stdout of {spec.name}"),
        asyncio.create_task(_write_messages(process, to_send, received), name=f"stdin of {spec.name}"),
        asyncio.create_task(_read_stderr(process, on_stderr), name=f"stderr of {spec.name}"),
    ]
    try:
        yield process, read, write
    finally:
        ending = asyncio.create_task(_close(process, tasks, (received, read, write, to_send)))
        with anyio.CancelScope(shield=True):  # from scopes of the `mcp` package; `shield` from a plain cancellation
            await asyncio.shield(ending)


async def _close(process: asyncio.subprocess.Process, tasks: Sequence[asyncio.Task[None]], streams: Any) -> None:
    """End the server, read the rest of its stderr, and close everything that belongs to it."""
    tasks[0].cancel()
    await _end(process)
    await asyncio.wait(tasks[2:], timeout=KILL_S)  # its last words
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for stream in streams:
        stream.close()
    process._transport.close()  # type: ignore[attr-defined]  # a grandchild may hold a pipe open


async def _start(spec: ServerSpec) -> asyncio.subprocess.Process:
    path = spec.environ.get("PATH", spec.environ.get("Path"))
    program = shutil.which(spec.command[0], path=path)  # on Windows it finds npx.cmd
    if program is None:
        raise CommandFailedError(f"there is no command {spec.command[0]}")
    try:
        return await asyncio.create_subprocess_exec(
            program,
            *spec.command[1:],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=MAX_MESSAGE_BYTES,
            env=spec.environ,
            cwd=spec.cwd,
            start_new_session=sys.platform != "win32",
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        raise CommandFailedError(getattr(error, "strerror", None) or str(error)) from error


async def _read_messages(process: asyncio.subprocess.Process, received: Any, on_rubbish: Callable[[str], None]) -> None:
    """Pass on messages from stdout until it ends or a line is too long; then end the connection."""
    assert process.stdout is not None
    with received:
        while True:
            try:
                line = await process.stdout.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                on_rubbish(f"a line of more than {MAX_MESSAGE_BYTES >> 20} MiB")
                return
            except asyncio.IncompleteReadError as end:
                if end.partial.strip():
                    on_rubbish(_shorten(end.partial))
                return
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                if line.strip():
                    on_rubbish(_shorten(line))
                    await asyncio.sleep(0)
                continue
            try:
                await received.send(SessionMessage(message))
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return


async def _write_messages(process: asyncio.subprocess.Process, to_send: Any, received: Any) -> None:
    """Write messages to stdin until the server reads no more; then end the connection."""
    assert process.stdin is not None
    try:
        async for item in to_send:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(f"{text}\n".encode())
            await process.stdin.drain()
    except OSError:
        pass  # it reads no more
    finally:
        received.close()  # no request would ever be answered


async def _read_stderr(process: asyncio.subprocess.Process, on_stderr: Callable[[bytes], None]) -> None:
    assert process.stderr is not None
    while data := await process.stderr.read(STDERR_BYTES):
        on_stderr(data)
        await asyncio.sleep(STDERR_PAUSE_S if len(data) == STDERR_BYTES else 0)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a server in the order that the protocol says: close its stdin, tell it to end, kill it."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    for wait_s, sends in ((LEAVE_S, "SIGTERM"), (KILL_S, "SIGKILL"), (KILL_S, None)):
        deadline_s = asyncio.get_running_loop().time() + wait_s
        # Not `wait()`, which also waits for the pipes, and a child of the server may hold them.
        while process.returncode is None and asyncio.get_running_loop().time() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if process.returncode is not None or sends is None:
            break
        await asyncio.to_thread(_send_signal, process.pid, sends)  # taskkill takes its time
    if sys.platform != "win32":
        _send_signal(process.pid, "SIGKILL")  # what the server has started


def _send_signal(pid: int, name: str) -> None:
    """Send a signal to a server and its child processes; on Windows, kill them."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, getattr(signal, name))


def _shorten(data: bytes) -> str:
    text = " ".join(data[:400].decode(errors="replace").split())
    return text if len(text) <= 80 else f"{text[:79]}…"
