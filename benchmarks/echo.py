"""What reaches the server of the model's own voice, on open speakers: the real command on a virtual sound card.

The card's speaker leaks into its microphone, with noise in the room. A simulated server lets the model speak all the
time. Each second of what the command sends is compared with what the microphone records at that moment: their ratio is
the ERLE. Counted is how often the server, and webrtcvad, take what they get for speech, while nobody speaks; and how
often a near voice, now and then, interrupts the model.

    python -m benchmarks.echo [--seconds 30] [--delay 80] [--gain 0.4] [--near 5] [ARGUMENTS OF GEMINI-LIVE ...]
    python -m benchmarks.echo --matrix [--seconds 15] [--near 2]
    python -m benchmarks.echo --recovery [--near 2]
    python -m benchmarks.echo --ppm 100 [--seconds 300] [--near 3]

Numbers are for espeak-ng voices and a loopback without a room: real loudspeakers and rooms are worse.
"""

import argparse
import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from tests.rig.virtual_audio import VirtualAudio

from .echo_report import HEADER, Report
from .echo_scene import COMMAND, VOICE_HZ, OneClock, OpenSpeakers, Scene, TwoClocks, make_near, read_events, talking

SETTLES_S = 3.0
"""The ERLE is not measured in this time, in which the canceller learns the room; interruptions count."""
OPEN = ("--no-echo-cancellation", "--no-half-duplex")
SUPPRESSING = ("-m", "benchmarks.noise_suppression")
_NEAR_S = 25
"""Upper bound of what one near voice takes, with all that is around it."""

Disturb = Callable[[Scene], Awaitable[None]]


async def converse(
    card: OpenSpeakers,
    folder: Path,
    *arguments: str,
    seconds: float = 30.0,
    n_near: int = 0,
    disturb: Disturb | None = None,
    command: Sequence[str] = COMMAND,
) -> Report:
    """Let the model speak for `seconds` on open speakers, then let a near voice speak over it `n_near` times.

    Args:
        card: The virtual sound card.
        folder: For files.
        arguments: Further arguments of the command.
        seconds: How long the model speaks alone.
        n_near: How often the near voice speaks.
        disturb: Called in the middle of the time in which the model speaks alone.
        command: What Python runs.
    """
    report, near = Report(), make_near(folder)
    card.set_voice(near)
    async with talking(card, folder, *arguments, seconds=seconds + _NEAR_S * n_near + 60, command=command) as scene:
        scene.ask()
        await scene.until_it_speaks()
        await asyncio.sleep(SETTLES_S)
        report.n_false += scene.n_interrupted()
        await _speak_alone(scene, seconds, report, disturb)
        for number in range(n_near):
            scene.ask()
            await scene.until_it_speaks()
            await asyncio.sleep(3.0)
            begin = scene.mark()
            report.add_near(scene, begin, near, await scene.interrupt())
            if number + 1 < n_near:  # the server answers with an echo of the voice
                await asyncio.sleep(len(near) / VOICE_HZ + 3)
    report.summary = next(iter(read_events(folder, "summary")), {})
    report.modes = [event["mode"] for event in read_events(folder, "sound_mode_changed")]
    return report


async def _speak_alone(scene: Scene, seconds: float, report: Report, disturb: Disturb | None) -> None:
    """Let nobody but the model speak, and compare what is recorded and sent."""
    left_s = seconds
    while left_s > 0:
        part_s = min(left_s, 10.0)
        begin = scene.mark()
        if disturb is not None and left_s <= seconds / 2:
            await disturb(scene)
            disturb = None
        await asyncio.sleep(part_s)
        report.add_alone(scene, begin, scene.mark())
        left_s -= part_s
        n_false = scene.n_interrupted()
        report.n_false += n_false
        if n_false or scene.is_nearly_silent:
            scene.ask()


async def stop_program(scene: Scene) -> None:
    """Let the command stand still for 0.6 s: its speaker runs dry, and its microphone's audio waits."""
    scene.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.6)
    scene.process.send_signal(signal.SIGCONT)


async def interrupt(scene: Scene) -> None:
    """Let the model be interrupted and answer again: what was handed to the speaker is discarded there."""
    scene.ask()
    await scene.until_it_speaks()
    scene.n_interrupted()


DISTURBANCES: dict[str, Disturb] = {
    "delay from 80 to 140 ms": lambda scene: scene.card.set_echo(140, 0.4),
    "delay from 80 to 20 ms": lambda scene: scene.card.set_echo(20, 0.4),
    "the program stands still for 0.6 s": stop_program,
    "an interruption discards what was to be played": interrupt,
}


async def run_recovery(audio: VirtualAudio, folder: Path, n_near: int, command: Sequence[str]) -> None:
    """Measure how soon the echo is removed again after each disturbance, and print a table."""
    print(f"after 20 s | ERLE by second since | {HEADER}")
    for name, disturb in DISTURBANCES.items():
        card = OneClock(audio, folder)
        report = await converse(card, folder, seconds=40.0, n_near=n_near, disturb=disturb, command=command)
        after = " ".join(f"{value:.0f}" for value in report.erles_db[20:])
        print(f"{name} | {after} | {report.format()} | {report.modes}", flush=True)


async def run_matrix(audio: VirtualAudio, folder: Path, seconds: float, n_near: int, command: Sequence[str]) -> None:
    """Measure at all delays and gains, and print a table."""
    print(f"delay | gain | {HEADER}")
    for delay_ms in (20, 80, 250):
        for gain in (0.1, 0.4, 1.0):
            card = OneClock(audio, folder, delay_ms=delay_ms, gain=gain)
            report = await converse(card, folder, seconds=seconds, n_near=n_near, command=command)
            print(f"{delay_ms} ms | {gain} | {report.format()} | {report.modes}", flush=True)


async def run_once(
    card: OpenSpeakers, folder: Path, *arguments: str, seconds: float, n_near: int, command: Sequence[str]
) -> None:
    """Measure one conversation and print everything."""
    report = await converse(card, folder, *arguments, seconds=seconds, n_near=n_near, command=command)
    print(HEADER)
    print(report.format())
    print("ERLE by second:", " ".join(f"{value:.0f}" for value in report.erles_db))
    print("sent, dBFS:", " ".join(f"{value:.0f}" for value in report.sent_dbfs))
    print(f"{report.seconds:.0f} s; modes {report.modes}; near delays {report.near_delays_s}")
    print(report.summary)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the model speaks alone (30)")
    parser.add_argument("--delay", type=int, default=80, metavar="MS", help="delay of the echo (80)")
    parser.add_argument("--gain", type=float, default=0.4, help="gain of the echo (0.4)")
    parser.add_argument("--near", type=int, default=0, metavar="N", help="how often a near voice speaks (0)")
    parser.add_argument("--noise-suppression", action="store_true", help="with WebRTC's noise suppression too")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--matrix", action="store_true", help="all delays and gains")
    what.add_argument("--recovery", action="store_true", help="disturbances in mid-session")
    what.add_argument("--ppm", type=int, help="a loudspeaker with a clock of its own, so much faster: 100 or -100, say")
    options, arguments = parser.parse_known_args(argv)
    if arguments and (options.matrix or options.recovery):
        parser.error("arguments of gemini-live go with one conversation only")
    command = SUPPRESSING if options.noise_suppression else COMMAND
    echo = {"delay_ms": options.delay, "gain": options.gain}
    length = {"seconds": options.seconds, "n_near": options.near}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        if options.ppm is not None:
            card: OpenSpeakers = TwoClocks(folder, ppm=options.ppm, **echo)
            asyncio.run(run_once(card, folder, *arguments, **length, command=command))
            return
        audio = VirtualAudio(folder / "audio")
        stack.callback(audio.stop)
        if options.recovery:
            asyncio.run(run_recovery(audio, folder, options.near, command))
        elif options.matrix:
            asyncio.run(run_matrix(audio, folder, **length, command=command))
        else:
            asyncio.run(run_once(OneClock(audio, folder, **echo), folder, *arguments, **length, command=command))


if __name__ == "__main__":
    main()
