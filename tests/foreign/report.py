"""What the scripts of all foreign clients share: models, speech, and how a result is written."""

import math
import struct
from collections.abc import Iterator

MODELS = ("gemini-3.8-live", "gemini-3.1-flash-live-preview", "gemini-2.5-flash-native-audio-latest")
_RATE_HZ, _CHUNK = 16_000, 320


def report(passed: bool, words: str) -> str:
    """Return a result; what came instead if it is not what was expected."""
    return "yes" if passed else f"NO: {words[:80]!r}"


def speech() -> Iterator[bytes]:
    """Yield chunks of 20 ms: quiet, a second that the simulator takes for speech, and two seconds of quiet."""
    for i in range(int(3.3 * _RATE_HZ / _CHUNK)):
        now_s = i * _CHUNK / _RATE_HZ
        loud = 9000 if 0.3 <= now_s < 1.3 and int(now_s * 1000) % 200 < 150 else 0
        times = (now_s + n / _RATE_HZ for n in range(_CHUNK))
        yield struct.pack(f"<{_CHUNK}h", *(int(loud * math.sin(2 * math.pi * 220 * t)) for t in times))
