"""How old a microphone sample is when it goes out, and how late the event loop is, while everything else goes on."""

import tempfile
from pathlib import Path

from tests.rig import RigError
from tests.rig.virtual_screen import VirtualScreen

from ..measure import run_contender, serving, take_turns
from ..results import Row, Scale, Section

_TITLE = "Under load"
_IDLE, _LOADED = "idle loop", "ours"
_AIM_MS = 5.0
_SECONDS = 8.0
_CHUNK_MS, _SPEED = 40, 10


def measure(scale: Scale) -> list[Section]:
    """Measure a session with microphone, speech and a shared screen beside an idle loop."""
    seconds = max(1.0, _SECONDS * scale.share)
    with tempfile.TemporaryDirectory() as folder:
        try:
            screen = VirtualScreen(Path(folder) / "screen", "3840x2160")
        except RigError as error:
            return [Section(_TITLE, skipped=str(error))]
        try:
            screen.show_desktop()
            pace_s = _CHUNK_MS / 1000 / _SPEED
            messages = round((seconds + 3.0) / pace_s)
            with serving(messages=messages, chunk_ms=_CHUNK_MS, pace_s=pace_s) as address:
                found = take_turns(
                    (_IDLE, _LOADED),
                    scale,
                    lambda case: run_contender(
                        "loaded",
                        "idle" if case == _IDLE else "loaded",
                        address,
                        {"DISPLAY": screen.display},
                        seconds=seconds,
                    ),
                )
        finally:
            screen.stop()
    note = "screen of 3840x2160 at 2 fps, speech at ten times real time"
    return [
        Section(
            _TITLE,
            [
                Row("age of a microphone chunk when it was sent, p50", "ms", found["age p50"], "", note=note),
                Row("age of a microphone chunk when it was sent, p99", "ms", found["age p99"], "", _AIM_MS, note),
                Row("lateness of the event loop, p50", "ms", found["lag p50"], "", note=note),
                Row("lateness of the event loop, p99", "ms", found["lag p99"], "", _AIM_MS, note),
            ],
        )
    ]
