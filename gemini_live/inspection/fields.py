"""Read the fields of recorded messages, whoever sent them: nothing in them can be trusted to be there. Pure."""

import base64
import binascii
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..audio.pcm import INPUT, OUTPUT, PcmFormat, parse_rate_hz
from ..recording.format import count_media_bytes, is_media

_FROM_URL = str.maketrans("-_", "+/")
MAX_COUNT = 10**12
"""A larger number of tokens is no count."""


def field(value: Any, *path: str) -> Any:
    """Return the field at `path` of nested objects, or None; names are camelCase, and snake_case is found too."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name) if name in value else value.get(_snake_case(name))
    return value


def text_of(value: Any, *path: str) -> str:
    """Return the text at `path`, or an empty one."""
    found = field(value, *path)
    return found if isinstance(found, str) else ""


def items_of(value: Any, *path: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of the list at `path`."""
    found = field(value, *path)
    yield from (item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()


def count_of(value: Any, *path: str) -> int:
    """Return the count at `path`, or 0."""
    found = field(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < MAX_COUNT else 0


def user_media(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the sound and pictures that a client streams in one message."""
    stream = field(message, "realtimeInput")
    for name in ("audio", "video"):
        if is_media(media := field(stream, name)):
            yield media
    yield from filter(is_media, items_of(stream, "mediaChunks"))


def model_media(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the sound that a model says in one message."""
    for part in items_of(message, "serverContent", "modelTurn", "parts"):
        if is_media(media := field(part, "inlineData")):
            yield media


def is_sound(media: Mapping[str, Any]) -> bool:
    """Return True if an object with media holds PCM."""
    return mime_type_of(media).startswith("audio/pcm")


def mime_type_of(media: Mapping[str, Any]) -> str:
    """Return the type of media, in lower case."""
    return text_of(media, "mimeType").lower()


def format_of(media: Mapping[str, Any], *, is_users: bool) -> PcmFormat:
    """Return the format of PCM; without a rate it is that of the Live API."""
    return PcmFormat(parse_rate_hz(mime_type_of(media), INPUT if is_users else OUTPUT))


def pcm_of(media: Mapping[str, Any]) -> bytes:
    """Return the samples of PCM: silence of the same length if they were not recorded or are no base64.

    Both alphabets of base64 are read, and padding may be missing: google-genai sends that of URLs.
    """
    text: str = media["data"].translate(_FROM_URL)
    try:
        pcm = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        pcm = b""
    return pcm[: len(pcm) & ~1] if pcm else bytes(count_media_bytes(media) & ~1)


def duration_of(media: Mapping[str, Any], *, is_users: bool) -> float:
    """Return the duration of PCM in seconds."""
    return format_of(media, is_users=is_users).duration_s(count_media_bytes(media))


@functools.lru_cache(maxsize=200)
def _snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", name)
