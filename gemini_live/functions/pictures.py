"""Finds pictures in results: bytes of a picture file, and images of Pillow. Pure; any thread."""

import io
from typing import Any

from ..frozen import Frozen

_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


class Picture(Frozen):
    """A picture in a result."""

    mime_type: str
    data: bytes


def find_picture(value: Any) -> Picture | None:
    """Return the picture that a value is: the bytes of a PNG, JPEG or WebP file, or an image of Pillow."""
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        kind = next((mime_type for start, mime_type in _SIGNATURES if data.startswith(start)), None)
        if kind is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            kind = "image/webp"
        return None if kind is None else Picture(kind, data)
    if any(each.__module__ == "PIL.Image" and each.__name__ == "Image" for each in type(value).__mro__):
        file = io.BytesIO()
        value.save(file, format="PNG")
        return Picture("image/png", file.getvalue())
    return None
