"""Recognises a message that is a piece of speech and nothing else, as most messages are, without parsing its JSON.

Such a message has one shape, and its payload ends at the next quotation mark, because base64 contains neither quotation
marks nor backslashes. Any other message, and one with bad base64, is left to `parse`. Pure; any thread.
"""

import binascii
import re
from functools import lru_cache

from ..audio import pcm
from .events import AudioChunk


def _compile(*tokens: str) -> re.Pattern[bytes]:
    """Return a pattern for tokens of JSON with any white space between them."""
    return re.compile(r"[ \t\r\n]*".join(tokens).encode("ascii"))


_MIME_TYPE = r'"(audio/pcm(?:; ?rate=[0-9]{1,9})?)"'
_BEFORE = _compile(
    *("", r"\{", '"serverContent"', ":", r"\{", '"modelTurn"', ":", r"\{"),
    *('(?:"role"', ":", '"model"', ",", r')?"parts"', ":", r"\[", r"\{"),
    *('"inlineData"', ":", r"\{", '"mimeType"', ":", _MIME_TYPE, ",", '"data"', ":", '"'),
)
_AFTER = _compile('"', r"\}", r"\}", r"\]", "(?:,", '"role"', ":", '"model")?', r"\}", r"\}", r"\}", "")


def read_audio_message(raw: bytes) -> AudioChunk | None:
    """Return the audio of a message that holds nothing else; `None` if the message has another shape."""
    before = _BEFORE.match(raw)
    if before is None:
        return None
    start = before.end()
    end = raw.find(b'"', start)
    if end <= start or _AFTER.fullmatch(raw, end) is None:
        return None
    try:
        data = binascii.a2b_base64(raw[start:end], strict_mode=True)
    except ValueError:
        return None
    return AudioChunk(data, _read_rate_hz(before[1]))


@lru_cache(maxsize=16)
def _read_rate_hz(mime_type: bytes) -> int:
    return pcm.parse_rate_hz(mime_type.decode("ascii"), pcm.OUTPUT)
