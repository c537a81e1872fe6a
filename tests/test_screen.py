"""The real thing on a virtual screen: nothing is faked but what is missing."""

import asyncio
import ctypes
import io
import os
import re
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat, features

from gemini_live import screen
from gemini_live.errors import ConfigError, DeviceError, MissingExtraError
from gemini_live.screen import ScreenGrabber, advise, next_beat, read_picture, scaled_size

from .rig.virtual_screen import VirtualScreen

PATIENCE_S = 10.0

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="X11")


class Watch:
    """What a grabber calls back, in order."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.lost: asyncio.Queue[str] = asyncio.Queue()
        self.warnings: asyncio.Queue[str] = asyncio.Queue()

    async def next_frame(self) -> Image.Image:
        jpeg = await asyncio.wait_for(self.frames.get(), PATIENCE_S)
        return Image.open(io.BytesIO(jpeg))

    async def next_frame_of_size(self, size: tuple[int, int]) -> Image.Image:
        async with asyncio.timeout(PATIENCE_S):
            while (frame := await self.next_frame()).size != size:
                pass
        return frame


def make_grabber(watch: Watch, *, fps: float = 20.0, monitor: int = 1, size: int = 1024) -> ScreenGrabber:
    return ScreenGrabber(
        fps=fps,
        monitor=monitor,
        size=size,
        on_picture=watch.frames.put_nowait,
        on_lost=watch.lost.put_nowait,
        warn=watch.warnings.put_nowait,
    )


@asynccontextmanager
async def watching(*, fps: float = 20.0, monitor: int = 1, size: int = 1024) -> AsyncIterator[Watch]:
    watch = Watch()
    grabber = make_grabber(watch, fps=fps, monitor=monitor, size=size)
    await grabber.start()
    try:
        yield watch
    finally:
        await grabber.stop()


def assert_threads_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "screen":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other)).mean) / 3


class _MonitorInfo(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_ulong),
        *((name, ctypes.c_int) for name in ("primary", "automatic", "outputs_count", "x", "y", "width", "height")),
        *((name, ctypes.c_int) for name in ("width_mm", "height_mm")),
        ("outputs", ctypes.c_void_p),
    )


class _Resources(ctypes.Structure):
    _fields_ = (
        ("timestamp", ctypes.c_ulong),
        ("config_timestamp", ctypes.c_ulong),
        ("crtc_count", ctypes.c_int),
        ("crtcs", ctypes.POINTER(ctypes.c_ulong)),
    )


class RandR:
    """Changes the monitors of an X server while it runs, as the display settings of a desktop do."""

    def __init__(self, display: str) -> None:
        self._x11, self._randr = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXrandr.so.2")
        pointer, unsigned, number = ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int
        signatures: tuple[tuple[Any, Any, list[Any]], ...] = (
            (self._x11.XOpenDisplay, pointer, [ctypes.c_char_p]),
            (self._x11.XDefaultRootWindow, unsigned, [pointer]),
            (self._x11.XInternAtom, unsigned, [pointer, ctypes.c_char_p, number]),
            (self._x11.XCloseDisplay, number, [pointer]),
            (self._randr.XRRSetMonitor, None, [pointer, unsigned, ctypes.POINTER(_MonitorInfo)]),
            (self._randr.XRRDeleteMonitor, None, [pointer, unsigned, unsigned]),
            (self._randr.XRRSetScreenSize, None, [pointer, unsigned, number, number, number, number]),
            (self._randr.XRRGetScreenResources, ctypes.POINTER(_Resources), [pointer, unsigned]),
            (self._randr.XRRFreeScreenResources, None, [pointer]),
            (
                self._randr.XRRSetCrtcConfig,
                number,
                [pointer, pointer, unsigned, unsigned, number, number, unsigned, ctypes.c_ushort, pointer, number],
            ),
        )
        for function, result, arguments in signatures:
            function.restype, function.argtypes = result, arguments
        self._name = display.encode()

    def _change(self, change: Callable[[int, int], object]) -> None:
        display = self._x11.XOpenDisplay(self._name)
        assert display
        change(display, self._x11.XDefaultRootWindow(display))
        self._x11.XCloseDisplay(display)  # which waits until it is done

    def add_monitor(self, name: str, x: int, y: int, width: int, height: int) -> None:
        def add(display: int, root: int) -> None:
            atom = self._x11.XInternAtom(display, name.encode(), 0)
            info = _MonitorInfo(atom, 0, 0, 0, x, y, width, height, 1, 1, None)
            self._randr.XRRSetMonitor(display, root, ctypes.byref(info))

        self._change(add)

    def remove_monitor(self, name: str) -> None:
        self._change(
            lambda display, root: self._randr.XRRDeleteMonitor(
                display, root, self._x11.XInternAtom(display, name.encode(), 0)
            )
        )

    def remove_built_in_monitor(self) -> None:
        """Leave only those that were added, and the size of the whole free to change."""

        def switch_off(display: int, root: int) -> None:
            resources = self._randr.XRRGetScreenResources(display, root)
            crtc = resources.contents.crtcs[0]
            self._randr.XRRSetCrtcConfig(display, resources, crtc, 0, 0, 0, 0, 1, None, 0)
            self._randr.XRRFreeScreenResources(resources)

        self._change(switch_off)

    def resize(self, width: int, height: int) -> None:
        self._change(lambda display, root: self._randr.XRRSetScreenSize(display, root, width, height, 1, 1))


@pytest.fixture
def randr(virtual_screen: VirtualScreen, monkeypatch: pytest.MonkeyPatch) -> RandR:
    monkeypatch.setattr(screen, "_LAYOUT_CHECK_S", 0.0)
    return RandR(virtual_screen.display)


@pytest.fixture
def x_server_pid(virtual_screen: VirtualScreen, tmp_path: Path) -> int:
    return int((tmp_path / "screen" / "pid").read_text())


@pytest.mark.parametrize(
    ("width", "height", "longest", "expected"),
    [
        (1920, 1080, 1024, (1024, 576)),
        (3840, 2160, 1024, (1024, 576)),
        (1080, 1920, 1024, (576, 1024)),
        (2560, 1600, 768, (768, 480)),
        (1366, 768, 1024, (1024, 576)),
        (1000, 1000, 100, (100, 100)),
        (800, 600, 1024, (800, 600)),
        (1024, 768, 1024, (1024, 768)),
        (10000, 1, 100, (100, 1)),
    ],
)
def test_a_picture_is_scaled_by_its_longer_side_and_never_enlarged(
    width: int, height: int, longest: int, expected: tuple[int, int]
) -> None:
    assert scaled_size(width, height, longest) == expected


@pytest.mark.parametrize(
    ("beat", "elapsed_s", "fps", "expected"),
    [
        (0, 0.01, 2.0, 1),
        (1, 0.52, 2.0, 2),
        (1, 0.5, 2.0, 2),
        (1, 1.7, 2.0, 4),  # a frame took 1.2 s: the beats at 1.0 and 1.5 s are gone
        (2, 0.999, 2.0, 3),  # woken a little early: not the same beat again
        (0, 0.0, 0.001, 1),
    ],
)
def test_the_clock_leaves_out_the_beats_that_were_missed(
    beat: int, elapsed_s: float, fps: float, expected: int
) -> None:
    assert next_beat(beat, elapsed_s, fps) == expected


@pytest.mark.parametrize(
    ("platform", "environ", "word"),
    [
        ("darwin", {}, "Privacy & Security"),
        ("win32", {}, "locked"),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, "Wayland"),
        ("linux", {"XDG_SESSION_TYPE": "wayland", "DISPLAY": ":0"}, "Wayland"),
        ("linux", {}, "DISPLAY is not set"),
        ("linux", {"DISPLAY": ":0"}, "X server"),
    ],
)
def test_advice_fits_the_system(platform: str, environ: dict[str, str], word: str) -> None:
    assert word in advise(platform, environ)


def test_a_system_that_does_not_ask_for_permission_is_taken_to_have_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda path: object())
    assert screen._may_see_windows()


@pytest.mark.parametrize("package", ["mss", "PIL"])
async def test_a_missing_package_is_named_by_its_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"--screen-capture-fps .*gemini-live\[screen\]"):
        await make_grabber(Watch()).start()


@linux_only
async def test_without_a_display_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    grabber = make_grabber(Watch())
    with pytest.raises(DeviceError, match=r"cannot capture the screen: .*DISPLAY is not set") as caught:
        await grabber.start()
    assert "\n" not in str(caught.value)
    await grabber.stop()


@linux_only
async def test_a_display_that_nobody_serves_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":64999")
    with pytest.raises(DeviceError, match="could not be established"):
        await make_grabber(Watch()).start()


# Pictures in files

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def save(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def reread(path: Path, size: int = 1024) -> Image.Image:
    """Return what the model is shown of a picture."""
    picture = Image.open(io.BytesIO(read_picture(path, size)))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    assert "progressive" not in picture.info
    return picture


def assert_color(picture: Image.Image, place: tuple[int, int], color: tuple[int, int, int]) -> None:
    found = picture.getpixel(place)
    assert isinstance(found, tuple)
    assert all(abs(one - other) < 12 for one, other in zip(found, color, strict=True)), found


@pytest.mark.parametrize(
    ("size", "longest", "shown"),
    [
        ((200, 100), 1024, (200, 100)),
        ((200, 100), 200, (200, 100)),
        ((200, 100), 50, (50, 25)),
        ((100, 200), 50, (25, 50)),
        ((1, 1), 10, (1, 1)),
        ((2_000, 1), 100, (100, 1)),
    ],
)
def test_a_picture_in_a_file_is_scaled_by_its_longer_side_and_never_enlarged(
    tmp_path: Path, size: tuple[int, int], longest: int, shown: tuple[int, int]
) -> None:
    assert reread(save(tmp_path / "x.png", Image.new("RGB", size, RED)), longest).size == shown


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.gif", "x.webp", "x.bmp", "x.tiff", "no extension"])
def test_a_picture_is_known_by_what_is_in_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save(path, Image.new("RGB", (40, 20), RED), **({} if path.suffix else {"format": "PNG"}))
    picture = reread(path)
    assert picture.size == (40, 20)
    assert_color(picture, (20, 10), RED)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_a_picture_is_read_however_its_colours_are_written(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    picture = reread(save(path, Image.new("RGB", (16, 16), WHITE).convert(mode)))
    assert_color(picture, (8, 8), WHITE)


def test_what_one_sees_through_is_white_as_on_a_page(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (64, 32), (0, 0, 0, 0))
    picture.paste((*RED, 255), (32, 0, 64, 32))
    shown = reread(save(tmp_path / "x.png", picture))
    assert_color(shown, (8, 16), WHITE)
    assert_color(shown, (56, 16), RED)
    half = reread(save(tmp_path / "half.png", Image.new("RGBA", (16, 16), (*RED, 128))))
    assert_color(half, (8, 8), (255, 127, 127))


def test_a_transparent_colour_of_a_palette_is_white_too(tmp_path: Path) -> None:
    picture = Image.new("P", (64, 32), 0)
    picture.putpalette([*GREEN, *RED])
    picture.paste(1, (32, 0, 64, 32))
    shown = reread(save(tmp_path / "x.png", picture, transparency=0))
    assert_color(shown, (8, 16), WHITE)
    assert_color(shown, (56, 16), RED)


def test_a_picture_stands_as_the_camera_was_held(tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 32), WHITE)
    picture.paste(RED, (0, 0, 32, 32))
    for orientation, size, red in ((1, (64, 32), (8, 16)), (3, (64, 32), (56, 16)), (6, (32, 64), (16, 8))):
        exif = Image.Exif()
        exif[0x0112] = orientation
        shown = reread(save(tmp_path / "x.jpg", picture, exif=exif, quality=95))
        assert shown.size == size
        assert_color(shown, red, RED)
        assert 0x0112 not in shown.getexif()  # it is turned already


def test_of_a_picture_that_moves_the_first_one_is_shown(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (16, 16), color) for color in (RED, GREEN))
    path = save(tmp_path / "x.gif", first, save_all=True, append_images=[second])
    assert_color(reread(path), (8, 8), RED)


def test_what_is_shown_says_nothing_that_was_written_beside_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    path = save(tmp_path / "x.jpg", Image.new("RGB", (16, 16)), exif=exif, comment=b"and what I think")
    jpeg = read_picture(path, 100)
    assert b"where I live" not in jpeg
    assert b"what I think" not in jpeg


@pytest.mark.parametrize(
    "content", [b"", b"some words\n", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_a_file_that_is_no_picture_is_told_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))} is not a picture that can be read$"):
        read_picture(path, 100)


def test_a_picture_of_which_a_part_is_missing_is_told_so(tmp_path: Path) -> None:
    path = save(tmp_path / "x.jpg", Image.effect_noise((200, 200), 100).convert("RGB"))
    path.write_bytes(path.read_bytes()[:-5_000])
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))} cannot be read: image file is truncated"):
        read_picture(path, 100)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow knows no AVIF")
def test_whatever_a_decoder_says_of_a_broken_file_is_told(tmp_path: Path) -> None:
    path = save(tmp_path / "x.avif", Image.effect_noise((100, 100), 100).convert("RGB"))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))} cannot be read: "):
        read_picture(path, 100)


def test_what_is_written_wrongly_beside_a_picture_is_told(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "x.webp", Image.new("RGB", (16, 16)), exif=exif)
    path.write_bytes(path.read_bytes().replace(b"MM\0*", b"MM\xff*").replace(b"II*\0", b"II*\xff"))
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))} cannot be read: "):
        read_picture(path, 100)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe with a name is POSIX's")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"^cannot read .*pipe: it is a device or a pipe, not a file$"):
        read_picture(tmp_path / "pipe", 100)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.png cannot be read: No such file or directory$"):
        read_picture(tmp_path / "no.png", 100)
    with pytest.raises(ConfigError, match=f"^cannot read {re.escape(str(tmp_path))}: it is a directory$"):
        read_picture(tmp_path, 100)
    with pytest.raises(ConfigError, match="cannot be read: embedded null byte"):
        read_picture(tmp_path / "nu\0l.png", 100)


def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.png", Image.new("L", (300, 300)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300 * 300 // 3)
    with pytest.raises(ConfigError, match=r"cannot be read: Image size .* decompression bomb"):
        read_picture(path, 100)


def test_a_picture_needs_the_extra_for_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"^a picture .*gemini-live\[screen\]"):
        read_picture(tmp_path / "x.png", 100)


# The screen


async def test_stop_before_start_does_nothing() -> None:
    await make_grabber(Watch()).stop()


@pytest.mark.rig
async def test_a_frame_shows_what_is_on_the_screen(virtual_screen: VirtualScreen) -> None:
    picture = virtual_screen.show_desktop()
    async with watching() as watch:
        frame = await watch.next_frame()
    assert frame.format == "JPEG"
    assert frame.size == (1024, 576)
    assert "progressive" not in frame.info
    assert difference(frame, picture.resize((1024, 576), Image.Resampling.LANCZOS)) < 5.0


@pytest.mark.rig
@pytest.mark.skipif(sys.platform != "linux", reason="other systems capture a screen at once")
def test_a_screen_captured_in_strips_is_the_same_picture(
    virtual_screen: VirtualScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    virtual_screen.show_desktop()
    grabbed = []
    for strip_bytes in (2**30, 100_000):  # the second: strips of some rows, and a smaller one at the end
        monkeypatch.setattr("gemini_live.screen._STRIP_BYTES", strip_bytes)
        grabber = screen._Screen(monitor=1, size=333)
        grabbed.append(grabber.grab())
        grabber.close()
    assert grabbed[0].size == scaled_size(virtual_screen.width, virtual_screen.height, 333)
    assert difference(*grabbed) == 0.0


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_a_small_screen_is_not_enlarged(virtual_screen: VirtualScreen) -> None:
    red = Image.new("RGB", (640, 480), (200, 30, 90))
    virtual_screen.show(red)
    async with watching() as watch:
        frame = await watch.next_frame()
    assert difference(frame, red) < 2.0


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_the_cursor_is_in_the_picture(virtual_screen: VirtualScreen) -> None:
    virtual_screen.show(Image.new("RGB", (640, 480), (128, 128, 128)))
    async with watching() as watch:
        frame = await watch.next_frame()
    assert difference(frame.crop((0, 0, 200, 200)), Image.new("RGB", (200, 200), (128, 128, 128))) < 1.0
    # An X server puts it in the middle.
    assert difference(frame.crop((310, 230, 330, 250)), Image.new("RGB", (20, 20), (128, 128, 128))) > 20.0


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_without_the_extension_for_cursors_there_are_frames_without(
    virtual_screen: VirtualScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Xvfb itself can leave the extension out, but aborts when a client of such a server goes.
    monkeypatch.setattr("mss.linux.base.MSSImplXCBBase._cursor_check_xfixes", lambda self: False)
    grey = Image.new("RGB", (640, 480), (128, 128, 128))
    virtual_screen.show(grey)
    async with watching() as watch:
        for _ in range(3):
            assert difference(await watch.next_frame(), grey) < 0.1


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_a_black_screen_is_warned_about(virtual_screen: VirtualScreen) -> None:
    virtual_screen.show(Image.new("RGB", (640, 480)))
    async with watching() as watch:
        assert "the screen is black" in watch.warnings.get_nowait()
    virtual_screen.show(Image.new("RGB", (640, 480), (40, 40, 40)))
    async with watching() as watch:
        assert watch.warnings.empty()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_a_screen_that_shows_only_its_background_is_warned_about(
    virtual_screen: VirtualScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    virtual_screen.show(Image.new("RGB", (640, 480), (40, 40, 40)))
    monkeypatch.setattr(screen, "_may_see_windows", lambda: False)
    async with watching() as watch:
        assert "only the background" in watch.warnings.get_nowait()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_frames_come_at_the_asked_pace(virtual_screen: VirtualScreen) -> None:
    async with watching(fps=20.0) as watch:
        await watch.next_frame()
        began_s = time.monotonic()
        for _ in range(10):
            await watch.next_frame()
        elapsed_s = time.monotonic() - began_s
    # The first one may have waited for the loop; a busy machine leaves frames out.
    assert 0.4 < elapsed_s < 5.0


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_frames_follow_the_screen(virtual_screen: VirtualScreen) -> None:
    async with watching() as watch:
        for shade in (50, 200):
            shown = Image.new("RGB", (640, 480), (shade, shade, 100))
            virtual_screen.show(shown)
            async with asyncio.timeout(PATIENCE_S):
                while difference(await watch.next_frame(), shown) > 2.0:
                    pass


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_nothing_is_called_back_after_stop(virtual_screen: VirtualScreen) -> None:
    async with watching(fps=100.0) as watch:
        await watch.next_frame()
    frame_count = watch.frames.qsize()
    virtual_screen.stop()
    await asyncio.sleep(0)
    assert watch.frames.qsize() == frame_count
    assert watch.lost.empty()
    assert_threads_end()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
def test_the_thread_ends_when_its_loop_is_closed(virtual_screen: VirtualScreen) -> None:
    async def start_only() -> None:
        await make_grabber(Watch()).start()

    asyncio.run(start_only())
    assert_threads_end()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_a_display_that_goes_away_is_reported_once(virtual_screen: VirtualScreen) -> None:
    async with watching() as watch:
        await watch.next_frame()
        virtual_screen.stop()
        reason = await asyncio.wait_for(watch.lost.get(), PATIENCE_S)
        assert reason.startswith("the display is gone: ")
        assert "\n" not in reason
    assert watch.lost.empty()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_a_killed_x_server_is_reported(virtual_screen: VirtualScreen, x_server_pid: int) -> None:
    async with watching(fps=100.0) as watch:
        os.kill(x_server_pid, signal.SIGKILL)
        assert await asyncio.wait_for(watch.lost.get(), PATIENCE_S)


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_a_hanging_x_server_holds_up_neither_start_nor_stop(
    virtual_screen: VirtualScreen, x_server_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "_START_TIMEOUT_S", 0.3)
    monkeypatch.setattr(screen, "_STOP_TIMEOUT_S", 0.3)
    watch = Watch()
    grabber = make_grabber(watch, fps=100.0)
    await grabber.start()
    try:
        os.kill(x_server_pid, signal.SIGSTOP)
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(DeviceError, match=r"did not respond within 0\.3 s"):
                await make_grabber(Watch()).start()
            await grabber.stop()
    finally:
        os.kill(x_server_pid, signal.SIGCONT)
    assert watch.lost.empty()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["640x480"], indirect=True)
async def test_a_cancelled_start_ends_its_thread(virtual_screen: VirtualScreen) -> None:
    grabber = make_grabber(Watch())
    starting = asyncio.create_task(grabber.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await grabber.stop()
    assert_threads_end()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["1280x720"], indirect=True)
async def test_a_bug_in_the_thread_ends_the_frames_with_its_name(
    virtual_screen: VirtualScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("a bug")

    async with watching() as watch:
        monkeypatch.setattr(screen, "next_beat", fail)
        assert await asyncio.wait_for(watch.lost.get(), PATIENCE_S) == "LookupError('a bug')"
    monkeypatch.setattr(screen, "scaled_size", fail)
    with pytest.raises(LookupError, match="a bug"):
        await make_grabber(Watch()).start()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["1280x720"], indirect=True)
async def test_monitors_are_counted_from_1_and_0_is_all_of_them(virtual_screen: VirtualScreen, randr: RandR) -> None:
    randr.remove_built_in_monitor()
    randr.add_monitor("left", 0, 0, 480, 720)
    randr.add_monitor("right", 480, 0, 800, 720)
    picture = virtual_screen.show_desktop()
    for monitor, box in ((1, (0, 0, 480, 720)), (2, (480, 0, 1280, 720)), (0, (0, 0, 1280, 720))):
        async with watching(monitor=monitor, size=1280) as watch:
            frame = await watch.next_frame()
        assert difference(frame, picture.crop(box)) < 10.0
    for monitor in (3, -1):
        with pytest.raises(ConfigError, match=f"--monitor {monitor}: there are 2 monitors"):
            await make_grabber(Watch(), monitor=monitor).start()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["1280x720"], indirect=True)
async def test_a_screen_without_monitors_is_one(virtual_screen: VirtualScreen, randr: RandR) -> None:
    randr.remove_built_in_monitor()
    async with watching() as watch:
        assert (await watch.next_frame()).size == (1024, 576)
    with pytest.raises(ConfigError, match="--monitor 2: there is 1 monitor"):
        await make_grabber(Watch(), monitor=2).start()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["1280x720"], indirect=True)
async def test_frames_take_the_new_size_when_the_resolution_changes(
    virtual_screen: VirtualScreen, randr: RandR
) -> None:
    randr.remove_built_in_monitor()
    async with watching() as watch:
        await watch.next_frame_of_size((1024, 576))
        randr.resize(800, 600)
        await watch.next_frame_of_size((800, 600))
        randr.resize(1280, 720)
        await watch.next_frame_of_size((1024, 576))
    assert watch.lost.empty()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["1280x720"], indirect=True)
async def test_a_smaller_resolution_is_noticed_at_the_first_refused_frame(
    virtual_screen: VirtualScreen, randr: RandR, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "_LAYOUT_CHECK_S", 3600.0)
    randr.remove_built_in_monitor()
    async with watching() as watch:
        randr.resize(800, 600)
        await watch.next_frame_of_size((800, 600))


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["1280x720"], indirect=True)
async def test_an_unplugged_monitor_is_waited_for(virtual_screen: VirtualScreen, randr: RandR) -> None:
    virtual_screen.show_desktop()
    randr.add_monitor("second", 0, 0, 320, 240)
    async with watching(monitor=2) as watch:
        await watch.next_frame()
        randr.remove_monitor("second")
        warning = await asyncio.wait_for(watch.warnings.get(), PATIENCE_S)
        while not watch.frames.empty():
            watch.frames.get_nowait()
        randr.add_monitor("second", 0, 0, 320, 240)
        await watch.next_frame()
    assert "waiting for it: --monitor 2: there is 1 monitor" in warning
    assert watch.warnings.empty()
    assert watch.lost.empty()


@pytest.mark.rig
@pytest.mark.parametrize("virtual_screen", ["1280x720"], indirect=True)
async def test_a_monitor_that_cannot_be_captured_is_refused(virtual_screen: VirtualScreen, randr: RandR) -> None:
    randr.remove_built_in_monitor()
    randr.add_monitor("beyond", 640, 0, 1280, 720)
    with pytest.raises(DeviceError, match="cannot capture the screen: X11 Protocol Error; ") as caught:
        await make_grabber(Watch()).start()
    assert "\n" not in str(caught.value)


def test_a_picture_of_sixteen_bits_of_grey_keeps_its_greys(tmp_path: Path) -> None:
    path = save(tmp_path / "grey.png", Image.new("I;16", (40, 40), 32_768))
    assert_color(reread(path), (20, 20), (128, 128, 128))
