"""Open speakers, end to end: the real command, real PortAudio, a virtual card whose speaker leaks into its microphone.

`benchmarks/echo.py` measures; here its figures are checked. Only the first test is part of the default suite.
"""

import json
import statistics
from pathlib import Path

import pytest

from benchmarks.echo import DISTURBANCES, OPEN, converse
from benchmarks.echo_scene import OneClock, TwoClocks
from tests.command import run
from tests.rig.virtual_audio import VirtualAudio

pytestmark = pytest.mark.rig
LONG = [pytest.mark.long, pytest.mark.timeout(900)]


async def test_on_open_speakers_only_a_near_voice_interrupts(virtual_audio: VirtualAudio, tmp_path: Path) -> None:
    report = await converse(OneClock(virtual_audio, tmp_path), tmp_path, seconds=5.0, n_near=1)
    print(report.format())
    assert statistics.median(report.erles_db) > 20
    assert report.n_false == 0
    assert None not in report.near_delays_s
    assert report.summary["echo_leak_db"] == pytest.approx(-8, abs=2)
    assert report.summary["erle_db"] > 20
    assert "half duplex" not in report.modes


@pytest.mark.parametrize(
    ("delay_ms", "gain"),
    [pytest.param(delay_ms, gain, marks=LONG) for delay_ms in (20, 80, 250) for gain in (0.1, 0.4, 1.0)],
)
async def test_at_all_delays_and_gains(virtual_audio: VirtualAudio, tmp_path: Path, delay_ms: int, gain: float) -> None:
    report = await converse(
        OneClock(virtual_audio, tmp_path, delay_ms=delay_ms, gain=gain), tmp_path, seconds=30.0, n_near=2
    )
    print(report.format())
    assert statistics.median(report.erles_db) > (18 if gain == 0.1 else 28)
    assert report.n_false == 0
    assert None not in report.near_delays_s


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_ten_minutes_of_the_models_voice_interrupt_nothing(virtual_audio: VirtualAudio, tmp_path: Path) -> None:
    report = await converse(OneClock(virtual_audio, tmp_path), tmp_path, seconds=600.0, n_near=3)
    print(report.format())
    assert report.n_false == 0
    assert None not in report.near_delays_s


@pytest.mark.long
async def test_without_cancellation_the_model_interrupts_itself(virtual_audio: VirtualAudio, tmp_path: Path) -> None:
    report = await converse(OneClock(virtual_audio, tmp_path), tmp_path, *OPEN, seconds=20.0)
    assert report.n_false > 3


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", DISTURBANCES)
async def test_no_sudden_change_lets_the_model_interrupt_itself(
    virtual_audio: VirtualAudio, tmp_path: Path, name: str
) -> None:
    report = await converse(
        OneClock(virtual_audio, tmp_path), tmp_path, seconds=20.0, n_near=2, disturb=DISTURBANCES[name]
    )
    print(report.format(), report.erles_db)
    assert report.n_false == 0
    assert min(report.erles_db[-5:]) > 20
    assert None not in report.near_delays_s


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ppm", [100, -100])
async def test_two_clocks_that_differ_let_the_model_interrupt_nothing(tmp_path: Path, ppm: int) -> None:
    report = await converse(TwoClocks(tmp_path, ppm=ppm), tmp_path, seconds=300.0, n_near=3)
    print(report.format(), report.erles_db)
    assert report.n_false == 0
    assert statistics.median(report.erles_db) > 28
    assert None not in report.near_delays_s


@pytest.mark.long
@pytest.mark.parametrize(("gain", "mode"), [(0.4, "echo cancelled"), (None, "no microphone")])
def test_check_audio_measures_this_machine(virtual_audio: VirtualAudio, gain: float | None, mode: str) -> None:
    if gain is None:
        result = run("--check-audio", "--output-format=jsonl")
    else:
        with virtual_audio.echo(80, gain):
            result = run("--check-audio", "--output-format=jsonl")
    reports = [json.loads(line) for line in result.out.splitlines()]
    (report,) = [report for report in reports if report["type"] == "audio_report"]
    assert (report["mode"], result.code) == (mode, 0 if gain else 3)
    if gain:
        assert report["echo_leak_db"] == pytest.approx(-8, abs=2)
        assert 0.08 < report["round_trip_s"] < 0.25
        assert report["erle_db"] > 20
    print(report)


def test_check_audio_without_a_device_is_exit_3_and_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "asound.conf").write_text('pcm.nothing { type empty slave.pcm "none" }\n')
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    assert run("--check-audio") == (3, "", "gemini-live: error: this machine has no loudspeaker\n")
