"""A private X server for one test, and what is drawn on it.

What is shown is painted on the root window, where it stays without a program that holds it.
"""

import ctypes
import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from . import RigError
from .scripts import run_script

_Z_PIXMAP = 2
_WORDS = ("def", "class", "return", "import", "self", "async", "await", "for", "if", "else", "try", "yield", "open")


class VirtualScreen:
    """An Xvfb of `width` x `height` pixels, 24 bits deep; `environ` is what a program needs to find it."""

    def __init__(self, folder: Path, size: str = "1920x1080") -> None:
        self._scope = {"VSCREEN_DIR": str(folder)}
        self.width, self.height = (int(side) for side in size.split("x"))
        self.environ = run_script("virtual-screen.sh", "start", size, environ=self._scope)
        self.display = self.environ["DISPLAY"]

    def stop(self) -> None:
        """End the server; programs that still use it lose it, as when a screen is unplugged."""
        run_script("virtual-screen.sh", "stop", environ=self._scope)

    def show(self, picture: Image.Image) -> None:
        """Draw `picture` on the root window, pixel by pixel, from the top left corner; it stays there."""
        bgrx = picture.convert("RGB").tobytes("raw", "BGRX")
        x11 = _load_x11()
        display = x11.XOpenDisplay(self.display.encode())
        if not display:
            raise RigError(f"cannot open display {self.display}")
        pixels = ctypes.create_string_buffer(bgrx, len(bgrx))
        width, height = picture.size
        image = x11.XCreateImage(
            display, x11.XDefaultVisual(display, 0), 24, _Z_PIXMAP, 0, pixels, width, height, 32, 0
        )
        root, context = x11.XDefaultRootWindow(display), x11.XDefaultGC(display, 0)
        x11.XPutImage(display, root, context, image, 0, 0, 0, 0, width, height)
        x11.XSync(display, 0)
        # XFree and not XDestroyImage: the pixels are Python's.
        x11.XFree(image)
        x11.XCloseDisplay(display)

    def show_desktop(self) -> Image.Image:
        """Fill the screen with a synthetic desktop and return the picture."""
        picture = draw_desktop(self.width, self.height)
        self.show(picture)
        return picture


def _load_x11() -> ctypes.CDLL:
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError as exc:
        raise RigError(f"{exc}: apt-get install libx11-6") from exc
    pointer, number, unsigned = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint
    x11.XOpenDisplay.argtypes, x11.XOpenDisplay.restype = [ctypes.c_char_p], pointer
    x11.XDefaultVisual.argtypes, x11.XDefaultVisual.restype = [pointer, number], pointer
    x11.XDefaultRootWindow.argtypes, x11.XDefaultRootWindow.restype = [pointer], ctypes.c_ulong
    x11.XDefaultGC.argtypes, x11.XDefaultGC.restype = [pointer, number], pointer
    x11.XCreateImage.argtypes = [
        pointer, pointer, unsigned, number, number, pointer, unsigned, unsigned, number, number,
    ]  # fmt: skip
    x11.XCreateImage.restype = pointer
    x11.XPutImage.argtypes = [
        pointer, ctypes.c_ulong, pointer, pointer, number, number, number, number, unsigned, unsigned,
    ]  # fmt: skip
    x11.XSync.argtypes = [pointer, number]
    x11.XFree.argtypes = [pointer]
    x11.XCloseDisplay.argtypes = [pointer]
    return x11


def draw_desktop(width: int, height: int) -> Image.Image:
    """Return the same synthetic desktop each time: half an editor, a quarter a page, a quarter a "photo"."""
    rng = random.Random(4)
    picture = Image.new("RGB", (width, height), (32, 44, 64))
    draw = ImageDraw.Draw(picture)
    line_px = height // 54
    font = ImageFont.load_default(line_px * 0.75)

    def write(box: tuple[int, int, int, int], *, paper: str, ink: str) -> None:
        draw.rectangle(box, fill=paper)
        left, top, right, bottom = box
        for y in range(top + line_px, bottom - line_px, line_px):
            text = " ".join(rng.choices(_WORDS, k=(right - left) // (4 * line_px)))
            draw.text((left + line_px, y), text, font=font, fill=ink)

    middle_x, middle_y = width // 2, height // 2
    write((line_px, 2 * line_px, middle_x - line_px, height - line_px), paper="#1e1e1e", ink="#d4d4d4")
    write((middle_x, 2 * line_px, width - line_px, middle_y - line_px), paper="#fafafa", ink="#323232")
    picture.paste(_draw_photo(width - line_px - middle_x, height - line_px - middle_y), (middle_x, middle_y))
    return picture


def _draw_photo(width: int, height: int) -> Image.Image:
    """Return fractal noise: as much detail at every size as a photograph has."""
    rng = np.random.default_rng(3)
    total: npt.NDArray[np.float32] = rng.normal(0, 0.012, (height, width, 3)).astype(np.float32)
    for octave in range(1, 9):
        grain = (rng.random((2**octave, 2 * 2**octave, 3)) * 255).astype(np.uint8)
        layer = Image.fromarray(grain).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer, np.float32) / 255 / 1.7**octave
    total = (total - total.min()) / np.ptp(total)
    return Image.fromarray((total * 255).astype(np.uint8))
