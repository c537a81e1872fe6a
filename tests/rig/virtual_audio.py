"""A private PulseAudio server for one test: what its microphone hears and what its speaker plays."""

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from . import RigError
from .scripts import run_script

_TAP_HZ = 48_000
_TAP_BLOCK_BYTES = 480
"""5 ms."""
_SOUND = 200
"""What is louder than this, of 32768, is sound: -44 dBFS."""


class VirtualAudio:
    """A speaker and a microphone without a sound card; `environ` is what a program needs to find them."""

    def __init__(self, folder: Path) -> None:
        self._scope = {"VAUDIO_DIR": str(folder)}
        self._folder = folder
        self.environ = self._run("start")

    def _run(self, *arguments: str, timeout_s: float | None = 20.0) -> dict[str, str]:
        return run_script("virtual-audio.sh", *arguments, environ=self._scope, timeout_s=timeout_s)

    def feed(self, wav: Path) -> None:
        """Play a file into the microphone; return when it has been played."""
        self._run("feed", str(wav), timeout_s=None)

    @contextmanager
    def record(self, wav: Path, rate_hz: int = 24_000) -> Iterator[None]:
        """Write what the speaker plays meanwhile, mono and 16 bits."""
        self._run("record-start", str(wav), str(rate_hz))
        try:
            yield
        finally:
            self._run("record-stop")

    @contextmanager
    def echo(self, delay_ms: int = 60, gain: float = 0.4) -> Iterator[None]:
        """Let the speaker leak into the microphone meanwhile."""
        self._run("echo-on", str(delay_ms), str(gain))
        try:
            yield
        finally:
            self._run("echo-off")

    def set_echo(self, delay_ms: int, gain: float) -> None:
        """Change the echo that is on; there is none for a moment."""
        self._run("echo-off")
        self._run("echo-on", str(delay_ms), str(gain))

    @contextmanager
    def tap(self) -> Iterator["SpeakerTap"]:
        """Listen to the speaker as it plays, to know when it sounds and when it does not."""
        command = ["parec", "--device=speaker.monitor", f"--rate={_TAP_HZ}", "--channels=1", "--format=s16le", "--raw"]
        process = subprocess.Popen(
            [*command, "--latency-msec=5"], stdout=subprocess.PIPE, env={**os.environ, **self.environ}
        )
        with process:
            tap = SpeakerTap(process)
            try:
                yield tap
            finally:
                process.terminate()
                tap.join()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the server answer nothing meanwhile, as one that hangs."""
        pid = int((self._folder / "run" / "pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def unplug(self, device: str) -> None:
        """Take "speaker" or "mic" away; the server moves what uses it to another one, if there is one."""
        self._run("unplug", device)

    def kill(self) -> None:
        """End the server without a goodbye."""
        self._run("kill")

    def stop(self) -> None:
        """End the server and remove its files."""
        self._run("stop")


class SpeakerTap:
    """When the speaker sounded, by `time.monotonic()`. Later than the truth by the tap's own delay, some 10 ms."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        self._stdout = process.stdout
        self._blocks: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="tap", daemon=True)
        self._reader.start()
        self._next()

    def join(self) -> None:
        """Wait until the tap is dry, when its process has ended."""
        self._reader.join()

    def _read(self) -> None:
        # Ends when the process does, with a short block.
        while len(block := self._stdout.read(_TAP_BLOCK_BYTES)) == _TAP_BLOCK_BYTES:
            self._blocks.put((time.monotonic(), block))

    def _next(self) -> tuple[float, bytes]:
        try:
            return self._blocks.get(timeout=5)
        except queue.Empty:
            raise RigError("the tap on the speaker is dry") from None

    def wait_for_sound(self, timeout_s: float = 5.0) -> float:
        """Return when the first sound from now on was heard."""
        return self._wait(timeout_s, sound=True)

    def wait_for_silence(self, for_s: float = 0.1, timeout_s: float = 5.0) -> float:
        """Return when the sound ended that was followed by silence for so long."""
        deadline_s = time.monotonic() + timeout_s
        end_s = self._wait(timeout_s, sound=False)
        quiet_s = 0.0
        while quiet_s < for_s:
            heard_s, block = self._next()
            quiet_s += len(block) / 2 / _TAP_HZ
            if _is_sound(block):
                end_s, quiet_s = heard_s, 0.0
            if heard_s > deadline_s:
                raise RigError("the speaker does not fall silent")
        return end_s

    def _wait(self, timeout_s: float, *, sound: bool) -> float:
        deadline_s = time.monotonic() + timeout_s
        while True:
            heard_s, block = self._next()
            if _is_sound(block) is sound:
                return heard_s
            if heard_s > deadline_s:
                raise RigError(f"no {'sound' if sound else 'silence'} from the speaker in {timeout_s:.1f} s")


def _is_sound(block: bytes) -> bool:
    return bool(np.abs(np.frombuffer(block, "<i2").astype(np.int32)).max() > _SOUND)
