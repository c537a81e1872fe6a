"""One WebSocket of the simulator: messages in and out, logged and recorded, and what may go wrong on the way out.

The only module that knows frames. Runs on the loop; any task may send.
"""

import asyncio
import json
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from .audio_message import read_audio_message
from .clock import Alarm, Clock, sleep
from .close_reasons import (
    ABNORMAL_CLOSURE,
    ABORTED,
    DEADLINE,
    INTERNAL,
    INTERNAL_ERROR,
    INVALID_ARGUMENT,
    INVALID_PAYLOAD,
    POLICY_VIOLATION,
    cut_reason,
)
from .faults import END_CAUSES, Fault, SessionFaults
from .http_connection import HttpConnection
from .log import Log
from .records import SessionRecord
from .schema import build_audio, parse_client_message

_encoder = json.JSONEncoder(ensure_ascii=False, indent=2)
_READ_BYTES = 65_536
_DRIPS_A_SECOND = 10
_REASONS = {INVALID_PAYLOAD: INVALID_ARGUMENT, POLICY_VIOLATION: ABORTED, INTERNAL_ERROR: INTERNAL}
"""What a close says where a fault gives no reason."""
_UNKNOWN_FIELD = {"someFieldOfTheFuture": {"level": 3, "names": ["a", "b"]}}


def encode_message(message: dict[str, Any]) -> str:
    """Return a message as the service writes it: indented by two, with a newline at the end."""
    text = f"{_encoder.encode(message)}\n"
    # A lone surrogate, which a recording may have, has no UTF-8; JSON writes it as an escape.
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


class Wire:
    """Sends and receives the messages of one session."""

    def __init__(
        self,
        websocket: HttpConnection,
        record: SessionRecord,
        faults: SessionFaults,
        *,
        clock: Clock,
        log: Log | None,
    ) -> None:
        self._websocket = websocket
        self.record = record
        self.faults = faults
        self._clock = clock
        self._log = log
        self._stalled_until_s = 0.0
        self._dripping = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_go_away: Callable[[float], None] = lambda time_left_s: None
        self.on_interrupted: Callable[[], None] = lambda: None
        self.on_audio: Callable[[bytes, str], bool] = lambda pcm, mime_type: False
        """Called with a piece of audio and its type as it arrives; False: `receive` is to return it."""
        if log is not None:
            record.on_mistake = lambda words: log.mistake(record.number, words)
            record.on_departure = lambda words: log.departure(record.number, words)
        self._intercept_pongs()
        self._read_in_small_pieces()

    async def receive(self) -> dict[str, Any]:
        """Return the next message of the client.

        Raises:
            ConnectionClosed: There are no more.
            Refusal: It is not a message of the API.
        """
        self._websocket.take_at_once = self._take_at_once
        try:
            raw = await self._websocket.recv(decode=False)
        finally:
            self._websocket.take_at_once = None
        if self._log is not None:
            self._log.received(self.record.number, raw)
        message = parse_client_message(raw)
        self.record.received(message)
        return message

    def _take_at_once(self, raw: bytes) -> bool:
        """Take a message of audio that is not to be answered; waking the session's task would cost more than this."""
        audio = read_audio_message(raw)
        if audio is None or not self.on_audio(*audio):
            return False
        if self._log is not None:
            self._log.received(self.record.number, raw)
        self.record.received(build_audio(*audio))
        self.record.changed()
        return True

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message, unless a fault is in the way.

        Raises:
            ConnectionClosed: The session is over.
        """
        if self.faults:
            self._look_at_the_clock()
            for fault in self.faults.moments(by_turn=False):
                await self.fire(fault)
            if chaos := self.faults.chaos():
                await self.fire(chaos)
            if self.faults.state("unknown-fields"):
                message = add_unknown_fields(message)
        await self._transmit(encode_message(message), message)

    async def _transmit(self, text: str, message: dict[str, Any]) -> None:
        if self.faults:
            if self.faults.state("silence"):
                return
            await sleep(self._clock, self._stalled_until_s - self._clock.time())
        self.faults.n_sent += 1
        self.record.n_sent += 1
        if self.record.keep:
            self.record.sent.append(message)
        if "toolCall" in message:
            self.record.report_calls(message["toolCall"]["functionCalls"])
        if self._log is not None:
            self._log.sent(self.record.number, text)
        if drip := self.faults.state("drip"):
            async with self._dripping:
                await self._websocket.send(self._drops(text.encode(), drip.number))
        elif self.faults.state("text-frames"):
            await self._websocket.send(text)
        else:
            await self._websocket.send(text.encode())
        self.record.changed()

    async def _drops(self, data: bytes, bytes_per_s: float) -> AsyncIterator[bytes]:
        size = max(1, round(bytes_per_s / _DRIPS_A_SECOND))
        for start in range(0, len(data), size):
            yield data[start : start + size]
            await sleep(self._clock, size / bytes_per_s)

    async def fire(self, fault: Fault) -> None:
        """Do what a fault of the moment says."""
        match fault.kind.name:
            case "end":
                code, reason = END_CAUSES[fault.argument]
                await self.close(code, reason)
            case "close":
                await self.end(int(fault.number), fault.text or _REASONS.get(int(fault.number), ""))
            case "reset":
                self._reset()
            case "flat-error":  # for this shape google-genai 3.6 raises APIError, for the nested one TypeError
                error = {"code": int(fault.number), "message": fault.text or INTERNAL, "status": "INTERNAL"}
                await self._transmit(encode_message(error), error)
            case "error":
                error = {"code": int(fault.number), "message": fault.text or INTERNAL, "status": "INTERNAL"}
                await self._transmit(encode_message({"error": error}), {"error": error})
            case "go-away":
                self.on_go_away(fault.number)
            case "stall":
                self._stalled_until_s = self._clock.time() + fault.number
            case "malformed":
                await self._transmit('{"serverContent": {"modelTurn": {"parts": [', {"malformed": True})
            case "huge":
                await self._transmit(encode_message(_thought(round(fault.number * 2**20))), {"huge": True})
            case "interrupted":
                self.on_interrupted()

    @property
    def is_closing(self) -> bool:
        """True as soon as one side has sent its close frame, or the connection is lost."""
        protocol = self._websocket.protocol
        sent_or_received = protocol.close_rcvd is not None or protocol.close_sent is not None
        return sent_or_received or self._websocket.transport.is_closing()

    def close_soon(self, code: int, reason: str) -> None:
        """Close the session without waiting for it."""
        task = asyncio.get_running_loop().create_task(self.close(code, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self, code: int, reason: str) -> None:
        """Close the session, or with 1006 drop the connection."""
        if code == ABNORMAL_CLOSURE:
            self._websocket.transport.abort()
        else:
            await self.close(code, reason)

    async def close(self, code: int, reason: str) -> None:
        """Close the session."""
        await self._websocket.close(code, cut_reason(reason))

    async def close_at_end_of_life(self) -> None:
        """Close the session as the service does when a connection has lived too long."""
        await self.close(POLICY_VIOLATION, DEADLINE)

    async def sleep(self, seconds: float | None) -> None:
        """Do nothing for that long, or for ever, but only while the connection is open."""
        alarm = Alarm(self._clock)
        closed = asyncio.create_task(self._websocket.wait_closed())
        closed.add_done_callback(lambda _: alarm.wake())
        try:
            await alarm.wait(None if seconds is None else self._clock.time() + seconds)
        finally:
            closed.cancel()
        if seconds is None:
            await self.receive()

    def settle(self) -> None:
        """Record how the session ended."""
        protocol = self._websocket.protocol
        by_client = bool(protocol.close_rcvd_then_sent)
        close = protocol.close_rcvd if by_client else protocol.close_sent
        self.record.closed_by_client = by_client
        self.record.close_code = close.code if close else 1006
        self.record.close_reason = close.reason if close else ""
        if self._log is not None:
            self._log.closed(self.record.number, self.record.close_code, self.record.close_reason, by_client=by_client)
        reason = f" ({self.record.close_reason})" if self.record.close_reason else ""
        by = "client" if by_client else "server"
        n_mistakes = len(self.record.mistakes)
        self.record.on_event(
            f"closed by the {by} with {self.record.close_code}{reason}: {self.record.n_turns} turns, "
            f"{n_mistakes or 'no'} mistake{'' if n_mistakes == 1 else 's'}"
        )
        # Otherwise the record, which is kept, would keep the whole session.
        self.record.on_mistake = self.record.on_departure = lambda words: None
        self.record.changed()

    def _reset(self) -> None:
        transport = self._websocket.transport
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            # Lingering for no time makes the kernel send RST, not FIN. The fields are short on Windows.
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()

    def _intercept_pongs(self) -> None:
        # websockets answers pings by itself, below everything that can be overridden but this.
        protocol = self._websocket.protocol
        send_frame = protocol.send_frame

        def send_frame_but_late(frame: Frame) -> None:
            if frame.opcode is Opcode.PONG and self.faults:
                self._look_at_the_clock()
                if self.faults.state("no-pong"):
                    return
                if slow := self.faults.state("slow-pong"):
                    self._clock.call_at(self._clock.time() + slow.number, self._pong_late, frame.data)
                    return
            send_frame(frame)

        protocol.send_frame = send_frame_but_late  # type: ignore[method-assign]
        self._send_frame = send_frame

    def _look_at_the_clock(self) -> None:
        self.faults.elapsed_s = self._clock.time() - self.record.opened_s

    def _read_in_small_pieces(self) -> None:
        # asyncio asks the kernel for 256 KiB at a time. A buffer of that size is mapped anew for every message, which
        # takes longer than reading it. Transports that are not asyncio's own plain ones have no such attribute.
        if hasattr(self._websocket.transport, "max_size"):
            self._websocket.transport.max_size = _READ_BYTES

    def _pong_late(self, data: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._send_pong(data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_pong(self, data: bytes) -> None:
        with suppress(ConnectionClosed):
            async with self._websocket.send_context():
                self._send_frame(Frame(Opcode.PONG, data))


def _thought(n_bytes: int) -> dict[str, Any]:
    return {"serverContent": {"modelTurn": {"role": "model", "parts": [{"text": "m" * n_bytes, "thought": True}]}}}


def add_unknown_fields(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message with fields that no client knows, beside its own and one level down."""
    return {
        **{key: {**value, **_UNKNOWN_FIELD} if isinstance(value, dict) else value for key, value in message.items()},
        **_UNKNOWN_FIELD,
    }
