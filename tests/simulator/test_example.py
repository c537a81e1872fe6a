"""The ten lines that the docs show to those who test a client of their own."""

from websockets.asyncio.client import connect

from gemini_live.simulator import Simulator


async def test_my_client_asks_its_question() -> None:
    async with Simulator(pace=0) as server:
        async with connect(server.socket_url) as socket:  # here comes your client, pointed at server.url
            await socket.send('{"setup": {"model": "models/gemini-3.8-live"}}')
            await socket.send('{"realtimeInput": {"text": "Hello"}}')
            while b"turnComplete" not in await socket.recv(decode=False):
                pass
        assert server.sessions[0].turns[0].asked == "Hello"
        assert server.sessions[0].mistakes == []
