"""A TCP proxy that does on command what networks do: drops, resets, goes deaf, is slow, breaks bytes.

It runs on the test's own loop. What it does concerns the connections that are open, or all, as each attribute says.
"""

import asyncio
import socket
import struct
import sys
from types import TracebackType
from typing import Self

_BUFFER_BYTES = 65_536


class Proxy:
    """Passes what comes to a server on this machine, for as long as it is told to."""

    def __init__(self, port: int) -> None:
        """Pass everything to `port`."""
        self.delay_s = 0.0
        """How long every piece is held back, in both directions."""
        self.one_byte_at_a_time = False
        self.corrupts = False
        """Whether a bit of every piece of the server's is flipped, the first of a connection excepted."""
        self.refuses = False
        """Whether new connections are closed at once."""
        self.n_accepted = 0
        self._target = port
        self._server: asyncio.Server
        self._links: set[_Link] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The address of the server behind it."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        links = list(self._links)
        self.drop()
        await asyncio.gather(*(link.task for link in links), return_exceptions=True)
        await self._server.wait_closed()

    def drop(self) -> None:
        """End every connection without a word of WebSocket's, as a program that crashes does."""
        for link in list(self._links):
            link.end()

    def reset(self) -> None:
        """End every connection as a firewall does that has forgotten it."""
        for link in list(self._links):
            link.reset()

    def cut(self) -> None:
        """Pass nothing on over the connections that are open, and tell nobody: the cable is pulled out."""
        for link in self._links:
            link.is_cut = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_accepted += 1
        if self.refuses:
            writer.close()
            return
        there = await asyncio.open_connection("127.0.0.1", self._target)
        task = asyncio.current_task()
        assert task is not None
        link = _Link(self, (reader, writer), there, task)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


class _Link:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        task: asyncio.Task[None],
    ) -> None:
        self.task = task
        self.is_cut = False
        self._proxy, self._client, self._server = proxy, client, server

    async def run(self) -> None:
        ways = [
            asyncio.ensure_future(self._pass(self._client[0], self._server[1], of_server=False)),
            asyncio.ensure_future(self._pass(self._server[0], self._client[1], of_server=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            return  # ended by the test
        finally:
            for way in ways:
                way.cancel()
            for writer in (self._client[1], self._server[1]):
                writer.close()
            await asyncio.gather(*ways, return_exceptions=True)  # may be cancelled itself

    def end(self) -> None:
        self.task.cancel()

    def reset(self) -> None:
        for _, writer in (self._client, self._server):
            sock = writer.get_extra_info("socket")
            # Lingering for no time makes the kernel send RST, not FIN. The fields are short on Windows.
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        self.task.cancel()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, of_server: bool) -> None:
        proxy, is_first = self._proxy, True
        while data := await reader.read(_BUFFER_BYTES):
            if self.is_cut:
                continue
            if proxy.delay_s:
                await asyncio.sleep(proxy.delay_s)
            if proxy.corrupts and of_server and not is_first:
                data = data[:-1] + bytes([data[-1] ^ 1])
            is_first = False
            if not proxy.one_byte_at_a_time:
                writer.write(data)
            for i in range(len(data)) if proxy.one_byte_at_a_time else ():
                writer.write(data[i : i + 1])
                await asyncio.sleep(0)  # let it be read before the next
            await writer.drain()
        if self.is_cut:
            await asyncio.get_running_loop().create_future()  # the other side does not hear of this end
