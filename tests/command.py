"""The real command in a process of its own, captured while it runs. (`pseudo_terminal.py`: as a person has it.)

The environment is free of keys, proxies and locales of the machine's. Time limits only tell a hang from a slow machine.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from gemini_live.simulator import SessionRecord, Simulator

from .kept_recordings import RECORDINGS

ROOT = Path(__file__).parent.parent
LIVENESS_S = 40.0
"""No step takes as long, however busy the machine is."""
TEXT_MODEL = "gemini-robotics-er-2-streaming-preview"
"""It writes its words itself, so that none are waited for after the end of a turn: the fastest sessions."""
SIMULATED = ("--simulate=--pace 0", f"--model={TEXT_MODEL}", "--text-output")
"""A text session with the simulator in the same process."""

COMPLAINTS = (
    "Traceback",
    "Exception ignored",
    "Exception in",
    "exception was never retrieved",
    "never awaited",
    "was destroyed",
    "ResourceWarning",
    "DeprecationWarning",
    "this is a bug",
)
"""What Python in its development mode, asyncio or the command itself write about a mistake of ours."""

_SCRUBBED = re.compile(r"(GOOGLE|GEMINI|PYTHON)_?.*|LC_.*|LANG.*|.*_PROXY|NO_COLOR|TERM|SSL_CERT_.*", re.IGNORECASE)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_SLOW_CALLBACK = re.compile(r"^Executing <.* took \d+\.\d+ seconds\n", re.MULTILINE)


def clean_environ(**more: str) -> dict[str, str]:
    """Return this process's environment without what the command reads, but for `more`."""
    kept = {name: value for name, value in os.environ.items() if not _SCRUBBED.fullmatch(name)}
    return {**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **more}


class Result(NamedTuple):
    """How a run ended, and what it wrote."""

    code: int
    out: str
    err: str


class Captured:
    """What one stream has carried so far; a thread reads it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = b""
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def data(self) -> bytes:
        """The bytes so far."""
        with self._changed:
            return self._data

    @property
    def text(self) -> str:
        """The text so far, without colours, and the lines that asyncio's debug mode adds about a slow machine."""
        return _SLOW_CALLBACK.sub("", _COLOR.sub("", self.data.decode("utf-8", errors="replace")))

    def wait_for(self, *parts: str) -> None:
        """Wait until `parts` have come, one after the other."""
        assert self.wait_until(lambda: self._has(parts)), f"{parts} has not come, but: {self.text[-2000:]}"

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Wait until `condition` holds, which is looked at whenever something comes; return whether it does."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._ended, LIVENESS_S)
        return condition()

    def join(self) -> None:
        """Wait for the end of the stream."""
        if self._stream.closed:
            return
        self._thread.join(LIVENESS_S)
        assert not self._thread.is_alive(), "a child of the command holds its output open"
        self._stream.close()

    def _has(self, parts: Sequence[str]) -> bool:
        text, position = self.text, 0
        for part in parts:
            position = text.find(part, position)
            if position < 0:
                return False
            position += len(part)
        return True

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._stream.fileno(), 65_536)
            except OSError:  # a pseudo-terminal whose other end is closed, on Linux
                data = b""
            with self._changed:
                self._data += data
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return


class Command:
    """One run of the command, with pipes for its streams."""

    def __init__(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        stdin: int | IO[Any] = subprocess.PIPE,
        stdout: int | IO[Any] = subprocess.PIPE,
        redirect: str = "",
        cwd: Path | None = None,
        module: str = "gemini_live",
    ) -> None:
        """Start it in Python's development mode.

        Args:
            arguments: Its own.
            environ: In addition to the clean environment.
            stdin: As `subprocess` takes it, and likewise `stdout`.
            redirect: What a shell puts after the command, such as `>&-`.
            cwd: Where it runs.
            module: What `python -m` runs.
        """
        arguments = RECORDINGS.recorded(arguments) if module == "gemini_live" else arguments
        argv: Sequence[str] = (sys.executable, "-X", "dev", "-m", module, *arguments)
        if redirect:
            argv = ("/bin/sh", "-c", f'{{ "$@" {redirect}' if "}" in redirect else f'exec "$@" {redirect}', "sh", *argv)
        self.process = subprocess.Popen(
            argv, env=clean_environ(**(environ or {})), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=cwd
        )
        assert self.process.stderr is not None
        self._keys = [value for name, value in (environ or {}).items() if name.endswith("_API_KEY") and value.strip()]
        self.err = Captured(self.process.stderr)
        self._out = Captured(self.process.stdout) if self.process.stdout is not None else None

    @property
    def out(self) -> Captured:
        """Its stdout."""
        assert self._out is not None
        return self._out

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.close_stdin()
        for captured in (self.err, self._out):
            if captured is not None:
                captured.join()

    def send(self, text: str | bytes) -> None:
        """Write to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text if isinstance(text, bytes) else text.encode())
        self.process.stdin.flush()

    def close_stdin(self) -> None:
        """End its stdin."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # what it did not read any more
                self.process.stdin.close()

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, *, complaints: bool = False) -> Result:
        """Wait for its end; unless `complaints` are expected, fail where there are any, or where the key is shown."""
        code = self.process.wait(LIVENESS_S)
        self.err.join()
        if self._out is not None:
            self._out.join()
        out = self._out.data.decode("utf-8", errors="replace") if self._out is not None else ""
        result = Result(code, out, self.err.text)
        assert not any(key.strip() in out + result.err for key in self._keys if len(key) > 11), "the key was shown"
        assert complaints or not any(words in result.err for words in COMPLAINTS), result.err
        return result

    def finish(self, stdin: str | bytes = b"") -> Result:
        """Give it the whole of its stdin, and wait for its end."""
        self.send(stdin)
        self.close_stdin()
        return self.wait()


def run(*arguments: str, stdin: str | bytes = b"", environ: Mapping[str, str] | None = None) -> Result:
    """Run the command from its beginning to its end."""
    with Command(*arguments, environ=environ) as command:
        return command.finish(stdin)


IN_A_TERMINAL = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
"""A program for Python: it makes stdin the terminal that a command's Ctrl-C belongs to, and runs the command."""


class Served:
    """A simulator that runs in a thread of its own."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self._simulator, self._loop = simulator, loop
        self.url = simulator.url
        self.sessions = simulator.sessions
        """What is read of them is what they were at some moment."""

    def wait_for(self, condition: Callable[[SessionRecord], bool]) -> None:
        """Wait until `condition` holds for the first session."""

        async def wait() -> None:
            record = await self._simulator.wait_for_session(1, LIVENESS_S)
            await record.wait_for(condition, LIVENESS_S)

        asyncio.run_coroutine_threadsafe(wait(), self._loop).result()


@contextlib.contextmanager
def serving(*faults: str, **options: Any) -> Iterator[Served]:
    """Run a simulator in a thread of its own."""
    simulator = Simulator(**{"pace": 0, "espeak": False, "faults": faults, **options})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(simulator.__aenter__(), loop).result(LIVENESS_S)
        try:
            yield Served(simulator, loop)
        finally:
            asyncio.run_coroutine_threadsafe(simulator.__aexit__(None, None, None), loop).result(LIVENESS_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIVENESS_S)
        loop.close()


class Timed:
    """How long something took, in seconds."""

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self.took_s = 0.0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.took_s = time.monotonic() - self._began_s
