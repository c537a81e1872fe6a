"""Recognises a message that is a piece of the microphone's audio and nothing else, without parsing its JSON.

Such messages come fifty times a second from every client. They have one shape, in two spellings, and the payload ends
at the next quotation mark, because base64 contains neither quotation marks nor backslashes. Any other message, and one
with bad base64, is left to `schema`. Pure.
"""

import binascii
import re

_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _compile(*tokens: str) -> re.Pattern[bytes]:
    """Return a pattern for tokens of JSON with any white space between them."""
    return re.compile(r"[ \t\r\n]*".join(tokens).encode("ascii"))


_MIME_TYPE = ('"mime(?:Type|_type)"', ":", r'"(audio/pcm[^"\\\x00-\x1f\x7f-\xff]*)"')
_BEFORE = _compile(
    *("", r"\{", '"realtime(?:Input|_input)"', ":", r"\{", '"audio"', ":", r"\{"),
    *("(?:", *_MIME_TYPE, ",", ')?"data"', ":", '"'),
)
_AFTER = _compile('"', "(?:,", *_MIME_TYPE, r")?\}", r"\}", r"\}", "")


def read_audio_message(raw: bytes) -> tuple[bytes, str] | None:
    """Return the audio and the MIME type of a message that holds nothing else; `None` if it has another shape."""
    before = _BEFORE.match(raw)
    if before is None:
        return None
    start = before.end()
    end = raw.find(b'"', start)
    after = _AFTER.fullmatch(raw, end) if end > start else None
    if after is None or (before[1] is None) == (after[1] is None):
        return None
    data = raw[start:end]
    if b"-" in data or b"_" in data:
        data = data.translate(_URL_SAFE)
    try:
        pcm = binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except ValueError:
        return None
    return pcm, (before[1] or after[1]).decode("ascii")
