"""Finds the messages in a client's bytes that need no more of the WebSocket library than to be unmasked. Pure.

The library reads a frame in ten steps; a client with an open microphone sends fifty a second. Everything but a whole
message in one frame is left to the library, with what comes behind it in the same piece of data.
"""

from collections.abc import Callable

_WHOLE_MESSAGE = (0x81, 0x82)
"""First byte of an unfragmented text or binary frame. RFC 6455, section 5.2."""
_MASKED, _LENGTH = 0x80, 0x7F
"""Bits of the second byte."""
_LENGTH_16 = 126
"""The length that stands for one in two bytes; the next number stands for one in eight."""
_MASK_BYTES = 4


class FrameCutter:
    """Knows where the frames of one connection begin and end."""

    def __init__(self) -> None:
        self._n_due = 0
        """Bytes that are still to come of a frame that the library has begun to read."""
        self._held = b""
        """The beginning of a frame's header."""

    def cut(self, data: bytes, take: Callable[[bytes, bytes], bool]) -> bytes:
        """Offer the messages at the beginning of `data`; return what is left for the library.

        Args:
            data: The next bytes of the connection, of any length.
            take: Called with the payload and its mask; returns False for what the library is to read.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        size = len(data)
        n_taken, offers, position = 0, not self._n_due, self._n_due
        while position < size:
            if size - position < 2:
                return self._hold(data, n_taken, position)
            second = data[position + 1]
            length = second & _LENGTH
            start = position + 2
            if length >= _LENGTH_16:
                first, start = start, start + (2 if length == _LENGTH_16 else 8)
                length = int.from_bytes(data[first:start])
            if second & _MASKED:
                start += _MASK_BYTES
            if size < start:
                return self._hold(data, n_taken, position)
            end = start + length
            if offers:
                offers = (
                    end <= size
                    and data[position] in _WHOLE_MESSAGE
                    and bool(second & _MASKED)
                    and take(data[start:end], data[start - _MASK_BYTES : start])
                )
                n_taken = end if offers else n_taken
            position = end
        self._n_due = position - size
        return data[n_taken:]

    def _hold(self, data: bytes, n_taken: int, position: int) -> bytes:
        """Keep the beginning of a header until the rest has come."""
        self._n_due, self._held = 0, data[position:]
        return data[n_taken:position]
