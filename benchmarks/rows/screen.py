"""What a picture of the screen costs, in CPU time and in bytes, beside Pillow's JPEG at full size."""

import os
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import mss
from PIL import Image

from gemini_live.config import Config
from gemini_live.screen import _SCREEN_QUALITY, _encode, _Screen
from tests.rig import RigError
from tests.rig.virtual_screen import VirtualScreen

from ..measure import take_turns
from ..results import Row, Scale, Section

_TITLE = "The screen"
_PILLOW, _OURS = "Pillow at full size", "ours"
_SIZES = (("1920x1080", 1.0), ("3840x2160", 0.5))
_BYTES_AIM = 0.2


def measure(scale: Scale) -> list[Section]:
    """Measure pictures of a synthetic desktop in two sizes."""
    rows: list[Row] = []
    for size, at_most in _SIZES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                screen = VirtualScreen(Path(folder) / "screen", size)
            except RigError as error:
                return [Section(_TITLE, rows, skipped=str(error))]
            try:
                screen.show_desktop()
                rows += _measure_size(screen, size, at_most, scale)
            finally:
                screen.stop()
    return [Section(_TITLE, rows)]


def _measure_size(screen: VirtualScreen, size: str, at_most: float, scale: Scale) -> list[Row]:
    os.environ["DISPLAY"] = screen.display
    pictures = scale.amount(20)
    grabber = _Screen(monitor=1, size=Config().screen_size)
    display = mss.MSS(with_cursor=True)

    def grab_ours() -> bytes:
        return _encode(grabber.grab(), _SCREEN_QUALITY)

    def grab_plainly() -> bytes:
        shot = display.grab(display.monitors[1])
        file = BytesIO()
        Image.frombytes("RGB", shot.size, shot.bgra, "raw", "BGRX").save(file, "JPEG", quality=80)
        return file.getvalue()

    def measure_one(contender: str) -> dict[str, float]:
        grab: Callable[[], bytes] = grab_ours if contender == _OURS else grab_plainly
        n_bytes = len(grab())
        started_s = time.process_time()
        for _ in range(pictures):
            grab()
        return {"ms": (time.process_time() - started_s) / pictures * 1000, "bytes": n_bytes}

    found = take_turns((_PILLOW, _OURS), scale, measure_one)
    grabber.close()
    display.close()
    return [
        Row(f"a picture of {size}", "ms CPU", found["ms"], _PILLOW, at_most),
        Row(f"a picture of {size}, size", "bytes", found["bytes"], _PILLOW, _BYTES_AIM),
    ]
