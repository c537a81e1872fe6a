"""Cuts whole messages out of a WebSocket's stream, so that the library parses only the other frames.

The library reads a frame in 6 us, field by field, and most frames are whole messages. RFC 6455, 5.2 has the format.
Pure; any thread.
"""

from typing import NamedTuple

_WHOLE_MESSAGES = {0x81, 0x82}
"""The first byte of a frame that is a whole message, text or binary, without extensions."""
_LAST, _OPCODE, _FIRST_CONTROL, _MASKED = 0x80, 0x0F, 8, 0x80
_LENGTH_BYTES = {126: 2, 127: 8}
"""How many bytes the length has, by the byte that stands for it."""


class Piece(NamedTuple):
    """A piece of the stream."""

    is_message: bool
    """True for the payload of one message, False for frames that the library must read."""
    data: bytes


class FrameCutter:
    """The stream of one server, from the beginning of a frame."""

    def __init__(self, max_bytes: int) -> None:
        """Begin. A frame of more than `max_bytes` is left to the library, which refuses it."""
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._wanted_bytes = 0
        """Size that `_rest` must have before more can be cut."""
        self._is_in_pieces = False
        """True in the middle of a message that consists of several frames."""

    @property
    def rest(self) -> bytes:
        """The beginning of a frame that has not arrived completely."""
        return bytes(self._rest)

    def cut(self, data: bytes) -> list[Piece]:
        """Add data that has arrived; return the pieces that are complete, in order."""
        pieces: list[Piece] = []
        position = 0
        while self._rest:
            n_missing = self._wanted_bytes - len(self._rest)
            self._rest += data[position : position + n_missing]
            position += n_missing
            if position > len(data):
                return pieces
            begun, self._rest = bytes(self._rest), bytearray()
            self._cut(begun, 0, pieces)
        self._cut(data, position, pieces)
        return pieces

    def _cut(self, data: bytes, position: int, pieces: list[Piece]) -> None:
        """Append the complete pieces of `data`, which begins a frame at `position`; keep the rest."""
        others = position  # where the frames begin that the library must read
        size = len(data)
        while (end := position + 2) <= size:
            first, length = data[position], data[position + 1]
            if length in _LENGTH_BYTES:
                n_bytes = _LENGTH_BYTES[length]
                end += n_bytes
                if end > size:
                    break
                length = int.from_bytes(data[end - n_bytes : end])
            elif length & _MASKED:
                length = self._max_bytes + 1  # no server may mask: the library refuses that, too
            if length > self._max_bytes:
                pieces.append(Piece(False, data[others:]))
                return
            if (end := end + length) > size:
                break
            if first in _WHOLE_MESSAGES and not self._is_in_pieces:
                if others < position:
                    pieces.append(Piece(False, data[others:position]))
                pieces.append(Piece(True, data[end - length : end]))
                others = end
            elif first & _OPCODE < _FIRST_CONTROL:
                self._is_in_pieces = not first & _LAST
            position = end
        if others < position:
            pieces.append(Piece(False, data[others:position]))
        self._rest += data[position:]
        self._wanted_bytes = end - position
