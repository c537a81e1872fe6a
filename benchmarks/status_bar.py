"""What the prompt and its status bar cost: the CPU of a voice session with them and without them, side by side.

Two clients run at once, each in a pseudo-terminal of its own, talking with one simulator in another process, through
the rig's virtual sound card: one at a terminal that shows the prompt, one at `TERM=dumb`, which gets plain lines. Both
hear the same voice, and answers of the same length are played to both. Counted is the CPU time of each client's
process, once it is live, so that start-up does not count; and what is written to each terminal.

    python -m benchmarks.status_bar [--seconds 60]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from tests.command import clean_environ
from tests.pseudo_terminal import PseudoTerminal
from tests.rig.analysis import speak, write_wav
from tests.rig.virtual_audio import VirtualAudio

WARM_UP_S = 5.0
QUESTION, PAUSE_S = "What is the capital of Norway, and what is the capital of Finland?", 6.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process so far, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


@contextmanager
def simulator() -> Iterator[str]:
    """Run a simulator in a process of its own; yield its address."""
    argv = [sys.executable, "-m", "gemini_live.simulator", "--port=0", "--pace=1"]
    with subprocess.Popen(argv, env=clean_environ(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2].rstrip(";")
        process.terminate()


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """Return for each client its CPU in percent of one core, and the bytes a second that its terminal got."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        audio = VirtualAudio(folder / "audio")
        stack.callback(audio.stop)
        write_wav(folder / "words.wav", np.pad(speak(QUESTION, 48_000, folder), (0, round(48_000 * PAUSE_S))), 48_000)
        arguments = (f"--base-url={stack.enter_context(simulator())}", "--no-history")
        environ = {**audio.environ, "GEMINI_API_KEY": "any"}
        clients = {
            name: stack.enter_context(PseudoTerminal(*arguments, environ={**environ, "TERM": term}, program=COMMAND))
            for name, term in (("with the prompt", "xterm-256color"), ("without", "dumb"))
        }
        for client in clients.values():
            client.wait_for("echo cancelled")
        has_ended = threading.Event()

        def talk() -> None:
            while not has_ended.is_set():
                audio.feed(folder / "words.wav")

        talker = threading.Thread(target=talk)
        talker.start()
        time.sleep(WARM_UP_S)
        before = {name: (cpu_s(c.process.pid), len(c.written.data)) for name, c in clients.items()}
        began_s = time.monotonic()
        time.sleep(seconds)
        after = {name: (cpu_s(c.process.pid), len(c.written.data)) for name, c in clients.items()}
        took_s = time.monotonic() - began_s
        has_ended.set()
        talker.join()
        return {
            name: {
                "cpu_percent": 100 * (after[name][0] - before[name][0]) / took_s,
                "bytes_a_second": (after[name][1] - before[name][1]) / took_s,
            }
            for name in clients
        }


COMMAND = (sys.executable, "-m", "gemini_live")
"""Not in Python's development mode, which costs more than either."""


def main() -> None:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    figures = measure(parser.parse_args().seconds)
    for name, figure in figures.items():
        print(f"{name:<16} {figure['cpu_percent']:5.2f} % of a core, {figure['bytes_a_second']:6.0f} bytes a second")
    one, other = (figure["cpu_percent"] for figure in figures.values())
    print(f"ratio            {one / other:5.2f}")


if __name__ == "__main__":
    main()
