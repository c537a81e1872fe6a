"""The screen as the model sees it: the real command as a process, a virtual display, the simulator as server."""

import asyncio
import io
import time

import numpy as np
import pytest
from PIL import Image

from gemini_live.simulator import Simulator
from gemini_live.simulator.records import SessionRecord
from tests.command import Command, Result, run
from tests.rig.virtual_screen import VirtualScreen

pytestmark = pytest.mark.rig

START_LINE = "127.0.0.1; gemini-3.8-live; voice Charon; tools: none"
TOO_FAST = (
    "gemini-live: warning: the service looks at one frame a second at most: --screen-capture-fps above 1 is wasted"
)


def show(server: Simulator, *arguments: str) -> Command:
    """Run the command in text against a simulator of the test's own; it is asked what it sees."""
    question = "--initial-message=What do you see?"
    return Command("--base-url", server.url, "--text-output", question, *arguments, environ={"GOOGLE_API_KEY": "a-key"})


async def end(command: Command) -> Result:
    command.close_stdin()
    return await asyncio.to_thread(command.wait)


async def frames_of(server: Simulator, n: int) -> SessionRecord:
    """Return the record of the first session when so many frames have come."""
    record = await server.wait_for_session()
    await record.wait_for(lambda record: record.n_frames >= n)
    return record


def kinds_of(record: SessionRecord) -> list[str]:
    """Return what the client has sent, by the names of the fields."""
    return [next(iter(message.get("realtimeInput", message))) for message in record.messages]


def decode(jpeg: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.format == "JPEG"
    return picture


async def test_the_screen_is_seen_scaled_at_the_pace_asked_for_and_before_the_question(
    virtual_screen: VirtualScreen,
) -> None:
    shown = virtual_screen.show_desktop()
    async with Simulator(espeak=False, pace=0) as server:
        with show(server, "--screen-capture-fps=2") as command:
            record = await frames_of(server, 2)
            second_s = time.monotonic()
            await frames_of(server, 6)
            took_s = time.monotonic() - second_s
            result = await end(command)
    assert kinds_of(record)[:3] == ["setup", "video", "clientContent"]
    assert all(message["realtimeInput"]["video"]["mimeType"] == "image/jpeg" for message in record.messages[1:2])
    assert {decode(frame).size for frame in record.frames} == {(1024, 576)}
    assert took_s == pytest.approx(2.0, abs=0.3)
    print(f"4 frames in {took_s:.2f} s of 2, {len(record.frames[0])} bytes each")
    seen = np.asarray(decode(record.frames[-1]).convert("RGB"), np.int16)
    expected = np.asarray(shown.resize((1024, 576), Image.Resampling.LANCZOS), np.int16)
    assert np.abs(seen - expected).mean() < 8
    assert result.code == 0
    assert result.out == "I have received 1 frame, the last one 1024 by 576.\n"
    assert result.err.splitlines() == [TOO_FAST, f"{START_LINE}; screen 1 at 2 fps"]
    assert record.mistakes == ["frames at more than 1 a second: the service takes no more"]


async def test_the_long_side_is_as_long_as_asked_for(virtual_screen: VirtualScreen) -> None:
    virtual_screen.show_desktop()
    async with Simulator(espeak=False, pace=0) as server:
        with show(server, "--screen-capture-fps=0.1", "--screen-size=640") as command:
            record = await frames_of(server, 1)
            result = await end(command)
    assert [decode(frame).size for frame in record.frames] == [(640, 360)]
    assert record.mistakes == []
    assert result.err == f"{START_LINE}; screen 1 at 0.1 fps\n"


async def test_a_screen_that_is_lost_is_one_warning_and_the_session_goes_on(virtual_screen: VirtualScreen) -> None:
    virtual_screen.show_desktop()
    async with Simulator(espeak=False, pace=0) as server:
        with show(server, "--screen-capture-fps=1") as command:
            await frames_of(server, 1)
            virtual_screen.stop()
            await asyncio.to_thread(command.err.wait_for, "no longer shown\n")
            command.send("And now?\n")
            result = await end(command)
    assert (result.code, result.out.splitlines()[-1]) == (0, "And now?")
    start, warning = result.err.splitlines()
    assert start == f"{START_LINE}; screen 1 at 1 fps"
    assert warning.startswith("gemini-live: warning: the display is gone: ")


def test_without_a_display_it_is_exit_3_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    result = run("--simulate", "--text-output", "--no-stdin", "--initial-message=Hello", "--screen-capture-fps=1")
    assert (result.code, result.out) == (3, "")
    (line,) = result.err.splitlines()
    assert line.startswith("gemini-live: error: cannot capture the screen: ")
    assert line.endswith("DISPLAY is not set: run it inside a graphical session")


def test_a_monitor_that_is_not_there_is_exit_2_and_one_line(virtual_screen: VirtualScreen) -> None:
    result = run("--simulate", "--no-stdin", "--initial-message=Hello", "--screen-capture-fps=1", "--monitor=2")
    reason = "--monitor 2: there is 1 monitor, counted from 1 (0 is all of them together)"
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines()[-1] == f"gemini-live: error: {reason}"


@pytest.mark.parametrize(("option", "n_warnings"), [("--output-format=jsonl", 1), ("--quiet", 0)])
def test_a_black_screen_is_a_warning_like_others(virtual_screen: VirtualScreen, option: str, n_warnings: int) -> None:
    arguments = ("--text-output", "--no-stdin", "--initial-message=Hello", "--screen-capture-fps=1")
    result = run("--simulate=--pace 0", *arguments, option)
    assert result.code == 0
    lines = [line for line in result.err.splitlines() if "the screen is black" in line]
    assert len(lines) == n_warnings
    assert all(line.startswith("gemini-live: warning: ") for line in lines)
    assert ('"type": "warning"' in result.out) is (option == "--output-format=jsonl")
