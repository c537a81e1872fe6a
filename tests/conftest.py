"""Fixtures that many tests share. A rig that does not start fails the test in CI, and skips it elsewhere."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from gemini_live import screen

from .breaking import install_chaos
from .fakes import FakeGrabber, FakePyAudio
from .rig import RigError
from .rig.analysis import Samples
from .rig.analysis import speak as speak_into
from .rig.virtual_audio import VirtualAudio
from .rig.virtual_card import VirtualCard
from .rig.virtual_screen import VirtualScreen
from .talk import install_typed_lines, install_virtual_sound


def _refuse(error: RigError) -> NoReturn:
    if os.environ.get("CI") or os.environ.get("GEMINI_LIVE_RIG") == "1":
        pytest.fail(f"the rig does not start: {error}")
    pytest.skip(f"the rig does not start (GEMINI_LIVE_RIG=1 makes this a failure): {error}")


_SLOW_MARKERS = {"rig", "long", "service"}


def pytest_configure() -> None:
    """Handle the signals that the tests send, even if the parent ignores them, as `nohup` and `&` in a script do.

    Children inherit an ignored signal, but not a handler.
    """
    for name in ("SIGHUP", "SIGINT", "SIGTERM"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast tests; try one that needs real time up to three times: it is scarce on a busy machine."""
    for item in items:
        markers = {marker.name for marker in item.iter_markers()}
        is_whole = "tests/end_to_end" in item.path.as_posix()
        if "rig" in markers or is_whole:
            item.add_marker(pytest.mark.flaky(reruns=2))
        if not (markers & _SLOW_MARKERS or is_whole):
            item.add_marker("fast")


KEYS = ("AIza-not-a-real-key", "not-a-real-token", "a-key-of-no-one-at-all")
"""What the tests' API keys and tokens have in common with no other text."""
_MAX_FILE_BYTES = 10_000_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail every test that shows a key on its streams, in its log or in a file that it leaves."""
    report = yield
    if report.when == "call" and report.passed:
        places = [name for name, text in report.sections if any(key in text for key in KEYS)]
        folder = getattr(item, "funcargs", {}).get("tmp_path")
        for path in folder.rglob("*") if folder is not None else ():
            if path.is_file() and path.stat().st_size < _MAX_FILE_BYTES and _shows_key(path):
                places.append(str(path))
        if places:
            report.outcome = "failed"
            report.longrepr = f"an API key was shown: {', '.join(places)}"
    return report


def _shows_key(path: Path) -> bool:
    data = path.read_bytes()
    return any(key.encode() in data for key in KEYS)


@pytest.fixture
def virtual_screen(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[VirtualScreen]:
    """A screen of its own for one test, with DISPLAY set; 1920x1080 or what `indirect` parametrization says."""
    try:
        screen = VirtualScreen(tmp_path / "screen", getattr(request, "param", "1920x1080"))
    except RigError as exc:
        _refuse(exc)
    monkeypatch.setenv("DISPLAY", screen.display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    yield screen
    screen.stop()


@pytest.fixture
def virtual_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualAudio]:
    """A PulseAudio server of its own for one test, which this process and its children use for sound."""
    try:
        audio = VirtualAudio(tmp_path / "audio")
    except RigError as exc:
        _refuse(exc)
    for name, value in audio.environ.items():
        monkeypatch.setenv(name, value)
    yield audio
    audio.stop()


@pytest.fixture
def vcard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., VirtualCard]:
    """A function that makes a bit-exact sound card, with the arguments of `VirtualCard`, the only one to be seen."""

    def make(mic: bytes = b"", *, names: tuple[str, ...] = ("default",), **limits: Any) -> VirtualCard:
        try:
            card = VirtualCard(tmp_path / "card", mic, names=names, **limits)
        except RigError as exc:
            _refuse(exc)
        for name, value in card.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("PULSE_SERVER", raising=False)
        return card

    return make


@pytest.fixture
def speak(tmp_path: Path) -> Callable[[str, int], Samples]:
    """A function that says a text at a rate in Hz."""

    def say(text: str, rate_hz: int) -> Samples:
        try:
            return speak_into(text, rate_hz, tmp_path)
        except RigError as exc:
            _refuse(exc)

    return say


@pytest.fixture
def fake_pyaudio(monkeypatch: pytest.MonkeyPatch) -> FakePyAudio:
    """A sound card that the test itself moves, in place of PyAudio."""
    module = FakePyAudio()
    monkeypatch.setitem(sys.modules, "pyaudio", module)
    return module


@pytest.fixture
def fake_screen(monkeypatch: pytest.MonkeyPatch) -> type[FakeGrabber]:
    """A screen that the test itself moves."""
    monkeypatch.setattr(FakeGrabber, "made", [])
    monkeypatch.setattr(FakeGrabber, "error", None)
    monkeypatch.setattr(screen, "ScreenGrabber", FakeGrabber)
    return FakeGrabber


@pytest.fixture
def typed_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions read what `Talk.type` gives."""
    install_typed_lines(monkeypatch)


@pytest.fixture
def virtual_sound(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Devices in the loop's time for every session; what the microphone hears is its `speech`."""
    return install_virtual_sound(monkeypatch)


@pytest.fixture
def chaos(monkeypatch: pytest.MonkeyPatch) -> None:
    """The faults of connections and setups happen now and then, and chaos is what `breaking` says."""
    install_chaos(monkeypatch)
