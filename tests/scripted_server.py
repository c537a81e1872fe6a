"""A server that says what a test tells it to, whatever the client does: a thread of its own, over a real WebSocket."""

import base64
import contextlib
import itertools
import json
import math
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from gemini_live.audio.pcm import level_dbfs

from .command import LIVENESS_S

LOUD_DBFS = -45.0

AUDIO = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAAAAAAAAA="}}


class Peer:
    """One connection, as the server has it."""

    def __init__(self, connection: ServerConnection, number: int) -> None:
        self._connection = connection
        self.number = number
        """1 for the first connection, 2 for the next, and so on."""
        assert connection.request is not None
        self.target = connection.request.path
        """The path and the query of the handshake."""
        self.setup: dict[str, Any] = {}

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

    def hears_speech(self) -> bool:
        """Wait for the next of the user's sound; return whether it is loud."""
        while (audio := self.receive().get("realtimeInput", {}).get("audio")) is None:
            pass
        return level_dbfs(base64.b64decode(audio["data"])) > LOUD_DBFS

    def speak(self, seconds: float) -> None:
        """Let a voice be heard for so long."""
        voice = [round(9_000 * math.sin(n / 20) * (1 + math.sin(n / 1_700))) for n in range(round(24_000 * seconds))]
        data = base64.b64encode(struct.pack(f"<{len(voice)}h", *voice)).decode()
        blob = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}
        self.send(serverContent={"modelTurn": {"parts": [blob]}})

    def call(self, name: str, args: dict[str, Any]) -> Any:
        """Call a function; return its response."""
        self.send(toolCall={"functionCalls": [{"id": f"call-{name}", "name": name, "args": args}]})
        while "toolResponse" not in (message := self.receive()):
            pass
        return message["toolResponse"]["functionResponses"][0]["response"]

    def end_turn(self, **tokens: int) -> None:
        """End the answer; `tokens` are what it took, by modality."""
        self.send(serverContent={"generationComplete": True})
        details = [{"modality": modality, "tokenCount": n} for modality, n in tokens.items()]
        usage = {"promptTokenCount": sum(tokens.values()), "promptTokensDetails": details}
        self.send(serverContent={"turnComplete": True}, **({"usageMetadata": usage} if tokens else {}))

    def close(self, code: int, reason: str = "") -> None:
        """Close the session."""
        self._connection.close(code, reason)

    def drop(self) -> None:
        """Break the connection."""
        self._connection.socket.shutdown(socket.SHUT_RDWR)

    def wait_closed(self) -> None:
        """Wait until the client has gone."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._connection.recv(LIVENESS_S)


@contextlib.contextmanager
def scripted(script: Callable[[Peer], None]) -> Iterator[str]:
    """Serve connections that play `script` once they are set up; yield the address."""

    numbers = itertools.count(1)

    def play(connection: ServerConnection) -> None:
        peer = Peer(connection, next(numbers))
        with contextlib.suppress(ConnectionClosed):
            peer.setup = peer.receive()["setup"]
            peer.send(setupComplete={})
            script(peer)
            peer.wait_closed()

    with serve(play, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, name="scripted server", daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join(LIVENESS_S)
