"""Cutting a stream into messages and other frames, beside the library that reads it frame by frame."""

import random

import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from gemini_live.wire.frames import FrameCutter, Piece

MAX_BYTES = 100_000


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def cut(stream: bytes, sizes: list[int]) -> tuple[list[Piece], bytes]:
    """Cut a stream that arrives in chunks of these sizes, the last as large as it needs to be."""
    cutter = FrameCutter(MAX_BYTES)
    pieces: list[Piece] = []
    for size in [*sizes, len(stream)]:
        chunk, stream = stream[:size], stream[size:]
        pieces += cutter.cut(chunk) if chunk else []
    return pieces, cutter.rest


def read_by_library(stream: bytes) -> list[Frame]:
    protocol = Protocol(Side.CLIENT, state=OPEN, max_size=MAX_BYTES)
    protocol.receive_data(stream)
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, MAX_BYTES])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_a_message_of_any_size_is_cut_out(size: int, opcode: Opcode) -> None:
    stream = frame(opcode, b"x" * size)
    assert cut(stream * 2, []) == ([Piece(True, b"x" * size)] * 2, b"")


def test_a_message_that_arrives_byte_by_byte_is_cut_out_when_it_is_complete() -> None:
    cutter = FrameCutter(MAX_BYTES)
    stream = frame(Opcode.TEXT, b"x" * 200)
    for i in range(len(stream) - 1):
        assert cutter.cut(stream[i : i + 1]) == []
    assert cutter.rest == stream[:-1]
    assert cutter.cut(stream[-1:]) == [Piece(True, b"x" * 200)]
    assert cutter.rest == b""


def test_frames_between_messages_are_left_to_the_library_together_and_in_order() -> None:
    message, ping, pong = frame(Opcode.TEXT, b"{}"), frame(Opcode.PING, b"1"), frame(Opcode.PONG, b"2")
    pieces, rest = cut(ping + message + ping + pong + message, [])
    assert pieces == [Piece(False, ping), Piece(True, b"{}"), Piece(False, ping + pong), Piece(True, b"{}")]
    assert rest == b""


def test_a_message_in_several_frames_is_left_to_the_library() -> None:
    pieces = [frame(Opcode.TEXT, b"{", fin=False), frame(Opcode.PING, b""), frame(Opcode.CONT, b"}")]
    message = frame(Opcode.TEXT, b"[]")
    stream = b"".join(pieces)
    assert cut(stream + message, [])[0] == [Piece(False, stream), Piece(True, b"[]")]
    # A message in the middle of another is an error that the library must find.
    assert cut(pieces[0] + message, [])[0] == [Piece(False, pieces[0] + message)]


@pytest.mark.parametrize(
    "header",
    [b"\x81\x7f" + (MAX_BYTES + 1).to_bytes(8), b"\x82\x7f" + b"\xff" * 8, b"\x81\x82", b"\x81\xfe", b"\x81\xff"],
    ids=["large", "larger", "masked", "masked, 16 bits", "masked, 64 bits"],
)
def test_a_frame_that_no_server_may_send_is_left_to_the_library_at_once(header: bytes) -> None:
    message, ping = frame(Opcode.TEXT, b"{}"), frame(Opcode.PING, b"")
    assert cut(message + ping + header, [])[0] == [Piece(True, b"{}"), Piece(False, ping + header)]


def test_any_stream_in_any_chunks_is_read_as_by_the_library_alone() -> None:
    rng = random.Random(1)
    for _ in range(500):
        frames: list[bytes] = []
        for _ in range(rng.randrange(1, 8)):
            data = rng.randbytes(rng.choice((0, 1, 125, 126, 300)))
            frames += rng.choice(
                (
                    [frame(Opcode.TEXT, data)],
                    [frame(Opcode.BINARY, data)],
                    [frame(Opcode.PING, data[:125])],
                    [frame(Opcode.TEXT, data, fin=False), frame(Opcode.PONG, b""), frame(Opcode.CONT, data)],
                )
            )
        frames += [frame(Opcode.CLOSE, Close(1000, "").serialize())] * rng.randrange(2)
        stream = b"".join(frames)
        pieces, rest = cut(stream, [rng.choice((1, 2, 3, 10, 200)) for _ in range(rng.randrange(40))])
        left = b"".join(piece.data for piece in pieces if not piece.is_message)
        read = read_by_library(stream)
        whole = [event.data for event in read if event.opcode in (Opcode.TEXT, Opcode.BINARY) and event.fin]
        assert [piece.data for piece in pieces if piece.is_message] == whole
        assert [event.data for event in read_by_library(left)] == [
            event.data for event in read if event.opcode not in (Opcode.TEXT, Opcode.BINARY) or not event.fin
        ]
        assert rest == b""
