"""A server that says what a test tells it to, whatever the client does: a thread of its own, over a real WebSocket."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from .command import LIVENESS_S

AUDIO = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAAAAAAAAA="}}


class Peer:
    """One connection, as the server has it."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    def receive(self) -> Any:
        """Return the next message of the client's."""
        return json.loads(self._connection.recv(LIVENESS_S))

    def receive_line(self) -> str:
        """Return the next line that the user typed."""
        while True:
            message = self.receive()
            if (text := message.get("realtimeInput", {}).get("text")) is not None:
                return str(text)

    def send(self, **message: Any) -> None:
        """Send a message."""
        self._connection.send(json.dumps(message).encode())

    def hear(self, text: str) -> None:
        """Say what was understood of the user's voice."""
        self.send(serverContent={"inputTranscription": {"text": text}})

    def say(self, text: str, *, sounds: bool = True) -> None:
        """Say some words, with a little sound."""
        turn = {"modelTurn": {"parts": [AUDIO]}} if sounds else {}
        self.send(serverContent={**turn, "outputTranscription": {"text": text}})

    def end_turn(self) -> None:
        """End the answer."""
        self.send(serverContent={"generationComplete": True})
        self.send(serverContent={"turnComplete": True})

    def wait_closed(self) -> None:
        """Wait until the client has gone."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._connection.recv(LIVENESS_S)


@contextlib.contextmanager
def scripted(script: Callable[[Peer], None]) -> Iterator[str]:
    """Serve connections that play `script` once they are set up; yield the address."""

    def play(connection: ServerConnection) -> None:
        peer = Peer(connection)
        with contextlib.suppress(ConnectionClosed):
            peer.receive()
            peer.send(setupComplete={})
            script(peer)
            peer.wait_closed()

    with serve(play, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, name="scripted server", daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join(LIVENESS_S)
