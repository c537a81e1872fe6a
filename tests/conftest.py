"""Fixtures that many tests share. A rig that does not start fails the test in CI, and skips it elsewhere."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from .fakes import FakePyAudio
from .rig import RigError
from .rig.analysis import Samples
from .rig.analysis import speak as speak_into
from .rig.virtual_audio import VirtualAudio
from .rig.virtual_card import VirtualCard
from .rig.virtual_screen import VirtualScreen


def _refuse(error: RigError) -> NoReturn:
    if os.environ.get("CI") or os.environ.get("GEMINI_LIVE_RIG") == "1":
        pytest.fail(f"the rig does not start: {error}")
    pytest.skip(f"the rig does not start (GEMINI_LIVE_RIG=1 makes this a failure): {error}")


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
