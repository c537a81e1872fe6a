"""Capture, scale and encode pictures of the screen. The only module that imports `mss` and `PIL`.

A daemon thread does everything slow, without the GIL wherever the libraries allow: the event loop only receives
finished JPEGs, by `call_soon_threadsafe`, and the audio threads are not disturbed. It is longer than 300 lines because
capturing has to survive locked screens, unplugged monitors and lost displays on three systems.
"""

import asyncio
import contextlib
import ctypes
import io
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, DeviceError, MissingExtraError
from .files import describe_non_file

if TYPE_CHECKING:
    from mss import MSS
    from mss.models import Monitor
    from PIL import Image

_START_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 1.0

_LAYOUT_CHECK_S = 2.0
"""How often the layout of the monitors is read, which takes 1.5 ms. Until then pictures keep their place and size."""

_STRIP_BYTES = 4 * 2**20
"""Size of the strips in which a screen is captured on Linux: mss copies what it has captured while it holds the GIL,
which takes 7 ms for a whole screen of 3840x2160. Windows and macOS may need as long for a strip as for the screen."""

_PICTURE_QUALITY, _SCREEN_QUALITY = 80, 75
"""JPEG qualities. `docs/benchmarks.md` says how legible text is."""

_FILTER_FROM = 1.1
"""A screen is first reduced by a whole number, to no less than this many times the wanted size. The filter does the
rest: as legible as the filter alone, and 2 to 4 times as fast from 4K."""


def scaled_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """Return the size of a picture scaled so that its longer side is at most `longest` pixels; never enlarge it."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _whole_factor(width: int, height: int, longest: int) -> int:
    """Return the whole number by which a picture is reduced before the filter makes it `longest` pixels long."""
    return max(1, int(max(width, height) / longest / _FILTER_FROM))


def next_beat(beat: int, elapsed_s: float, fps: float) -> int:
    """Return the number of the beat to wait for after `beat`, skipping those that have passed."""
    return max(beat + 1, math.ceil(elapsed_s * fps))


def advise(platform: str, environ: Mapping[str, str]) -> str:
    """Return advice for a user of this `sys.platform` whose screen cannot be captured."""
    if platform == "darwin":
        return "allow the terminal to record the screen (System Settings, Privacy & Security) and restart it"
    if platform == "win32":
        return "run it in a desktop session that is not locked"
    if environ.get("WAYLAND_DISPLAY") or environ.get("XDG_SESSION_TYPE") == "wayland":
        return "a Wayland session does not let programs see the screen: log in to an X11 (Xorg) session"
    if not environ.get("DISPLAY"):
        return "DISPLAY is not set: run it inside a graphical session"
    return "check that DISPLAY names a running X server that lets you in"


def read_picture(path: Path, size: int) -> bytes:
    """Return a picture file as a JPEG whose longer side is at most `size` pixels. Slow; any thread.

    Raises:
        MissingExtraError: Pillow is not installed.
        ConfigError: The file cannot be read, or is not a picture.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as exc:
        raise MissingExtraError("a picture", "screen") from exc
    if (kind := describe_non_file(path)) is not None:
        raise ConfigError(f"cannot read {path}: {kind}")
    try:
        with Image.open(path) as opened:
            # Cameras store their orientation beside the picture, where a server may not look.
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I"):  # 16-bit grey, of which Pillow would keep the lower bits
                picture = picture.convert("I").point(lambda level: level / 256).convert("L")
            picture = picture.convert("RGBA")
    except UnidentifiedImageError as exc:
        raise ConfigError(f"{path} is not a picture that can be read") from exc
    except Exception as exc:  # decoders raise all kinds of errors for broken files
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ConfigError(f"{path} cannot be read: {reason}") from exc
    picture.thumbnail((size, size))
    # JPEG has no transparency: make transparent parts white.
    page = Image.new("RGB", picture.size, "white")
    page.paste(picture, mask=picture.getchannel("A"))
    return _encode(page, _PICTURE_QUALITY)


def _encode(picture: "Image.Image", quality: int) -> bytes:
    """Return `picture` as a baseline JPEG."""
    # This holds the GIL: 2 to 3 ms for 1024 pixels. A progressive JPEG would take five times as long.
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


class _UnavailableError(Exception):
    """The screen exists but cannot be captured at the moment: it is locked, asleep, or the monitor is unplugged."""


class _Screen:
    """One monitor. Worker thread only."""

    def __init__(self, monitor: int, size: int) -> None:
        try:
            import mss  # noqa: PLC0415 - an extra, and slow to import
            from PIL import Image  # noqa: PLC0415
        except ImportError as exc:
            raise MissingExtraError("--screen-capture-fps", "screen") from exc
        # Otherwise the first picture would load every format that Pillow knows.
        Image.preinit()
        self._connect_to_display: Callable[..., MSS] = mss.MSS
        self._pillow = Image
        # A lost X connection shows as a failed assertion in mss about the reply, or as a null pointer with python -O.
        self._failures = (mss.ScreenShotError, AssertionError, ValueError, OSError)
        self._monitor, self._size = monitor, size
        self._with_cursor = sys.platform == "linux"
        self._mss: MSS | None = None
        self._layout: list[Monitor] = []
        self._checked_s = -math.inf

    def grab(self) -> "Image.Image":
        """Return a scaled picture of the monitor.

        Raises:
            ConfigError: There is no such monitor.
            DeviceError: There is no display.
            _UnavailableError: There is a display, but it refuses.
        """
        if time.monotonic() - self._checked_s >= _LAYOUT_CHECK_S:
            self._connect()
        try:
            return self._shoot()
        except self._failures:
            return self._shoot_anew()

    def close(self) -> None:
        """Close the connection to the display."""
        if self._mss is None:
            return
        with contextlib.suppress(*self._failures):  # the display is gone already
            self._mss.close()
        self._mss = None

    def _connect(self, *, anew: bool = False) -> None:
        """Read the layout of the monitors over a new connection. Keep that one if the layout has changed, or if `anew`.

        mss reads the layout once per connection, and its shared memory keeps the size of that time.
        """
        try:
            fresh = self._connect_to_display(**({"with_cursor": True} if self._with_cursor else {}))
            self._checked_s = time.monotonic()
            if fresh.monitors == self._layout and not anew:
                fresh.close()
                return
            self.close()
            self._mss, self._layout = fresh, fresh.monitors
        except self._failures as exc:
            raise DeviceError(_first_line(exc)) from exc

    def _shoot(self) -> "Image.Image":
        assert self._mss is not None
        area = self._area()
        parts = []
        for strip in self._cut(area):
            shot = self._mss.grab(strip)
            # The layout of macOS is in points, of which each may be several pixels.
            width, height = shot.width, shot.height * area["height"] // strip["height"]
            factor = _whole_factor(width, height, self._size)
            # mss returns BGRX. Declared as RGBX, Pillow uses it in place; channels are swapped in the small picture.
            pixels: Any = shot.raw
            part = self._pillow.frombuffer("RGBX", (shot.width, shot.height), pixels, "raw", "RGBX", 0, 1)
            parts.append(part.reduce(factor) if factor > 1 else part)
            # Free its memory, so that the next strip gets the same: memory that is new to the process is slow.
            del shot, pixels, part
        picture, size = self._join(parts), scaled_size(width, height, self._size)
        if picture.size != size:
            box = (0, 0, width / factor, height / factor)  # the last pixels may lie partly outside
            picture = picture.resize(size, self._pillow.Resampling.BILINEAR, box)
        return self._pillow.frombytes("RGB", size, picture.tobytes(), "raw", "BGRX")

    def _cut(self, area: "Monitor") -> "list[Monitor]":
        """Return the strips of a monitor that are captured one by one, from top to bottom."""
        width, height = area["width"], area["height"]
        factor = _whole_factor(width, height, self._size)
        if sys.platform != "linux" or factor == 1:  # strips that stay large cost more to join than they save
            return [area]
        rows = max(1, _STRIP_BYTES // (4 * width * factor)) * factor
        return [
            {"left": area["left"], "top": area["top"] + top, "width": width, "height": min(rows, height - top)}
            for top in range(0, height, rows)
        ]

    def _shoot_anew(self) -> "Image.Image":
        """Capture over a new connection: the resolution may have changed, or this X server has no cursor to show."""
        reason = ""
        # mss 10.2 draws the cursor on Linux only.
        for self._with_cursor in (True, False) if sys.platform == "linux" else (False,):
            self._connect(anew=True)
            try:
                return self._shoot()
            except self._failures as exc:
                reason = _first_line(exc)
        raise _UnavailableError(reason)

    def _area(self) -> "Monitor":
        # The first entry is all monitors together; if there are no others, it is the only monitor.
        together, *monitors = self._layout
        if self._monitor == 0:
            return together
        monitors = monitors or [together]
        if not 0 < self._monitor <= len(monitors):
            count = "there is 1 monitor" if len(monitors) == 1 else f"there are {len(monitors)} monitors"
            raise ConfigError(f"--monitor {self._monitor}: {count}, counted from 1 (0 is all of them together)")
        return monitors[self._monitor - 1]

    def _join(self, parts: "list[Image.Image]") -> "Image.Image":
        """Return pictures of the same width as one, below each other."""
        if len(parts) == 1:
            return parts[0]
        whole, top = self._pillow.new("RGBX", (parts[0].width, sum(part.height for part in parts))), 0
        for part in parts:
            whole.paste(part, (0, top))
            top += part.height
        return whole


class ScreenGrabber:
    """Pictures of one monitor at a steady rate, for one session. Created on the event loop.

    Args:
        fps: Pictures per second; a picture that is late is skipped.
        monitor: Number of the monitor, counted from 1; 0 is all of them together.
        size: Pixels of the longer side, at most.
        on_picture: Called on the loop with each JPEG.
        on_lost: Called once, on the loop, with the reason when the display fails for good.
        warn: Called on the loop with a line about pictures that show less than the user may think.
    """

    def __init__(
        self,
        *,
        fps: float,
        monitor: int,
        size: int,
        on_picture: Callable[[bytes], None],
        on_lost: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._fps, self._monitor, self._size = fps, monitor, size
        self._offer, self._report_lost, self._warn = on_picture, on_lost, warn
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._stopping = threading.Event()
        # A daemon: a capture that never returns must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="screen", daemon=True)

    async def start(self) -> None:
        """Start capturing, and return after the first picture.

        Raises:
            MissingExtraError: mss or Pillow is not installed.
            ConfigError: There is no such monitor.
            DeviceError: There is no screen to capture, or it did not respond within 5 s.
        """
        self._thread.start()
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await self._started
        except TimeoutError as exc:
            self._stopping.set()
            raise _refusal(f"it did not respond within {_START_TIMEOUT_S:g} s") from exc
        except BaseException:
            self._stopping.set()
            raise

    async def stop(self) -> None:
        """Stop capturing and calling callbacks. Returns within a second even if a capture hangs."""
        self._stopping.set()
        if self._thread.ident is None:
            return
        # A thread that hangs is abandoned.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._ended.wait()

    def _deliver(self, jpeg: bytes) -> None:
        if self._stopping.is_set():
            return
        if not self._started.done():
            self._started.set_result(None)
        self._offer(jpeg)

    def _fail(self, error: Exception) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        if not self._started.done():
            self._started.set_exception(error)
        else:
            self._report_lost(f"the display is gone: {error}" if isinstance(error, DeviceError) else repr(error))

    def _work(self) -> None:
        """Worker thread. Capture until `stop` is called, and report an error."""
        try:
            self._capture()
        except Exception as exc:  # noqa: BLE001 - start() raises it, or on_lost reports it
            self._post(self._fail, exc)
        finally:
            self._post(self._ended.set)

    def _capture(self) -> None:
        screen = _Screen(self._monitor, self._size)
        try:
            jpeg, warning = _first_picture(screen)
            if warning is not None:
                self._post(self._warn, warning)
            self._post(self._deliver, jpeg)
            waiting = False
            for _ in self._beats():
                try:
                    jpeg = _encode(screen.grab(), _SCREEN_QUALITY)
                except (_UnavailableError, ConfigError) as exc:
                    if not waiting:
                        self._post(self._warn, f"the screen cannot be captured at the moment, waiting for it: {exc}")
                    waiting = True
                else:
                    waiting = False
                    self._post(self._deliver, jpeg)
        finally:
            screen.close()

    def _beats(self) -> Iterator[None]:
        """Worker thread. Yield at a steady rate, without drift, until `stop` is called."""
        start_s, beat = time.monotonic(), 0
        while True:
            beat = next_beat(beat, time.monotonic() - start_s, self._fps)
            wait_s = start_s + beat / self._fps - time.monotonic()
            if self._stopping.wait(min(wait_s, threading.TIMEOUT_MAX)):
                return
            yield

    def _post(self, callback: Callable[..., None], *args: object) -> None:
        """Worker thread. Call `callback` on the loop, if the loop still runs."""
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            self._stopping.set()


def _first_picture(screen: _Screen) -> tuple[bytes, str | None]:
    """Worker thread. Return the first picture, and a warning if it shows less than the screen.

    Raises:
        ConfigError: There is no such monitor.
        DeviceError: There is no screen, or it cannot be captured; the message says what to do.
    """
    try:
        picture = screen.grab()
    except (DeviceError, _UnavailableError) as exc:
        raise _refusal(str(exc)) from exc
    warning = None
    if _is_black(picture):
        warning = "the screen is black: it may be locked, or in a Wayland session, which hides it from programs"
    elif not _may_see_windows():
        warning = f"only the background of the screen can be captured: {advise(sys.platform, os.environ)}"
    return _encode(picture, _SCREEN_QUALITY), warning


def _refusal(reason: str) -> DeviceError:
    return DeviceError(f"cannot capture the screen: {reason}; {advise(sys.platform, os.environ)}")


def _is_black(picture: "Image.Image") -> bool:
    """Return True if `picture` is black, except perhaps for a cursor."""
    return picture.convert("L").histogram()[0] > 0.995 * picture.width * picture.height


def _first_line(error: Exception) -> str:
    """Return the first line of the message: in an X error, numbers follow."""
    return str(error).partition("\n")[0] or "the connection was lost"


def _may_see_windows() -> bool:
    """Return True if this process may capture other programs' windows. Otherwise macOS shows only the wallpaper."""
    if sys.platform != "darwin":
        return True
    try:
        graphics = ctypes.CDLL("/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics")
        may_capture = graphics.CGPreflightScreenCaptureAccess
    except (OSError, AttributeError):
        # Before macOS 11 no permission was needed.
        return True
    may_capture.restype = ctypes.c_bool
    return bool(may_capture())
