"""`gemini-live` with WebRTC's noise suppression behind the echo canceller: only to measure what that would change."""

from unittest import mock

import numpy as np
from pywebrtc_audio import NoiseSuppressor

from gemini_live.audio.echo import EchoPath
from gemini_live.audio.pcm import INPUT
from gemini_live.cli import run

_FRAME = INPUT.rate_hz // 100
"""It takes 10 ms at a time."""


def main() -> None:
    """Run the command."""
    suppressor, cancel = NoiseSuppressor(INPUT.rate_hz), EchoPath._cancel

    def cancel_and_suppress(path: EchoPath, recorded: bytes, reference: bytes) -> bytes:
        cleaned = np.frombuffer(cancel(path, recorded, reference), "<i2").astype(np.int16)
        frames = (cleaned[start : start + _FRAME] for start in range(0, len(cleaned), _FRAME))
        return b"".join(suppressor.process(frame).astype("<i2").tobytes() for frame in frames)

    with mock.patch.object(EchoPath, "_cancel", cancel_and_suppress):
        run()


if __name__ == "__main__":
    main()
