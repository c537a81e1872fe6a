"""A sound card that is files and clocks: bit-exact, without a daemon, and as choosy as a test wants it."""

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from . import RigError
from .analysis import Samples

_SOURCE = Path(__file__).parent / "vcard" / "pcm_vcard.c"


class VirtualCard:
    """An ALSA configuration with virtual cards and nothing else; `environ` is what a program needs to find them."""

    def __init__(self, folder: Path, mic: bytes = b"", *, names: tuple[str, ...] = ("default",), **limits: int) -> None:
        """Write the configuration.

        Args:
            folder: where `mic.raw`, `speaker.raw` and the configuration are.
            mic: raw PCM in the rate and channels that the program opens the microphone with; silence follows it.
            names: one card each, all alike and with the same files; none: a machine without sound.
            limits: what the cards take: min_rate, max_rate, min_channels, max_channels; ppm and mic_ppm, the errors of
                their clocks; echo_ms and echo_percent, how the speaker leaks into the microphone (one card and one
                channel then); and patience_ms, how late a program on a busy machine may be, beyond its own buffer,
                and still lose nothing.
        """
        self._mic, self._speaker, self._heard = (folder / name for name in ("mic.raw", "speaker.raw", "heard.raw"))
        folder.mkdir(parents=True, exist_ok=True)
        self._mic.write_bytes(mic)
        self._speaker.write_bytes(b"")
        self._heard.write_bytes(b"")
        self.environ = {"ALSA_CONFIG_PATH": str(folder / "asound.conf")}
        # Without any `pcm` at all PortAudio aborts; an empty one is no device.
        lines = [f'pcm_type.vcard {{ lib "{_build_plugin()}" }}', 'pcm.nothing { type empty slave.pcm "none" }']
        for name in names:
            lines += [
                f'pcm.!"{name}" {{',
                "    type vcard",
                f'    infile "{self._mic}"',
                f'    outfile "{self._speaker}"',
                f'    heardfile "{self._heard}"',
                *(f"    {key} {value}" for key, value in limits.items()),
                "}",
            ]
        (folder / "asound.conf").write_text("\n".join(lines) + "\n")

    @property
    def played(self) -> bytes:
        """Raw PCM of what was played, in the rate and channels of the card."""
        return self._speaker.read_bytes()

    @property
    def heard(self) -> bytes:
        """Raw PCM of what was recorded, the echo included."""
        return self._heard.read_bytes()

    def write_voice(self, samples: Samples, after_s: float, rate_hz: int) -> None:
        """Add a voice to what the microphone hears from `after_s` seconds after now, if it was opened once: mono."""
        with self._mic.open("r+b") as file:
            position = self._heard.stat().st_size + 2 * round(after_s * rate_hz)
            file.seek(position)
            there = np.frombuffer(file.read(2 * len(samples)).ljust(2 * len(samples), b"\0"), "<i2")
            file.seek(position)
            file.write((there.astype(np.int32) + samples).clip(-32768, 32767).astype("<i2").tobytes())


@cache
def _build_plugin() -> Path:
    """Compile the ALSA plugin, once a process, and return where it is."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RigError("no C compiler: apt-get install gcc libasound2-dev")
    folder = Path(tempfile.mkdtemp(prefix="vcard-"))
    atexit.register(shutil.rmtree, folder)
    library = folder / "libasound_module_pcm_vcard.so"
    libraries = ["-lasound", "-lm", "-lpthread"]
    command = [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-DPIC", "-o", str(library), str(_SOURCE), *libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RigError(f"the virtual card does not compile: {done.stderr.strip()}")
    return library
