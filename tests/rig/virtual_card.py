"""A sound card that is two files and a clock: bit-exact, without a daemon, and as choosy as a test wants it."""

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from . import RigError

_SOURCE = Path(__file__).parent / "vcard" / "pcm_vcard.c"


class VirtualCard:
    """An ALSA configuration with virtual cards and nothing else; `environ` is what a program needs to find them."""

    def __init__(self, folder: Path, mic: bytes = b"", *, names: tuple[str, ...] = ("default",), **limits: int) -> None:
        """Write the configuration.

        Args:
            folder: where `mic.raw`, `speaker.raw` and the configuration are.
            mic: raw PCM in the rate and channels that the program opens the microphone with; silence follows it.
            names: one card each, all alike and with the same files; none: a machine without sound.
            limits: what the cards take: min_rate, max_rate, min_channels, max_channels; ppm, their clocks' error; and
                patience_ms, how late a program on a busy machine may be, beyond its own buffer, and still lose nothing.
        """
        self._speaker = folder / "speaker.raw"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mic.raw").write_bytes(mic)
        self.environ = {"ALSA_CONFIG_PATH": str(folder / "asound.conf")}
        # Without any `pcm` at all PortAudio aborts; an empty one is no device.
        lines = [f'pcm_type.vcard {{ lib "{_build_plugin()}" }}', 'pcm.nothing { type empty slave.pcm "none" }']
        for name in names:
            lines += [
                f'pcm.!"{name}" {{',
                "    type vcard",
                f'    infile "{folder / "mic.raw"}"',
                f'    outfile "{self._speaker}"',
                *(f"    {key} {value}" for key, value in limits.items()),
                "}",
            ]
        (folder / "asound.conf").write_text("\n".join(lines) + "\n")

    @property
    def played(self) -> bytes:
        """Raw PCM of what was played, in the rate and channels of the card."""
        return self._speaker.read_bytes() if self._speaker.exists() else b""


@cache
def _build_plugin() -> Path:
    """Compile the ALSA plugin, once a process, and return where it is."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RigError("no C compiler: apt-get install gcc libasound2-dev")
    folder = Path(tempfile.mkdtemp(prefix="vcard-"))
    atexit.register(shutil.rmtree, folder)
    library = folder / "libasound_module_pcm_vcard.so"
    command = [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-DPIC", "-o", str(library), str(_SOURCE), "-lasound"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RigError(f"the virtual card does not compile: {done.stderr.strip()}")
    return library
