"""The command `gemini-live-simulator`: serves until Ctrl-C or SIGTERM, then gives its verdict on the clients."""

import asyncio
import gc
import json
import os
import queue
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from gemini_live import __version__
from gemini_live.errors import ConfigError, ExitCode
from gemini_live.escaping import one_line
from gemini_live.files import describe_non_file

from .arguments import DEFAULT_PORT, PROGRAM, build_parser, parse_command
from .server import Simulator

MAX_UNREAD_LINES, LAST_LINES_S = 1_000, 1.0
"""Lines that wait for a reader of stderr, and how long they are waited for at the end."""
VERDICT_START = '{"v":1,"mistakes":'
"""How the file of a verdict begins, without blanks."""
MISTAKES = 1
"""Exit code of `--strict` if a client made mistakes."""


def main(argv: Sequence[str], environ: Mapping[str, str], stdout: TextIO, stderr: TextIO) -> int:
    """Run the command; return its exit code. The environment changes nothing."""
    events = _Lines(stderr)
    failure: ConfigError | None = None
    try:
        if "-h" in argv or "--help" in argv:
            _print(stdout, build_parser().format_help())
            return ExitCode.DONE
        if "--version" in argv:
            _print(stdout, f"{PROGRAM} {__version__}\n")
            return ExitCode.DONE
        options, command = parse_command(argv)
        server = Simulator(**{"port": DEFAULT_PORT, "on_event": events.write, **options})
        if command.verdict is not None:
            _begin_file(command.verdict)  # before the clients come: a wrong path is known at once
        try:
            # KeyboardInterrupt comes where the loop has no signal handlers, and of a second Ctrl-C during the end.
            with suppress(KeyboardInterrupt):
                asyncio.run(_serve(server, stdout, stderr))
        except ConfigError as error:
            if not server.sessions:
                raise
            failure = error  # the log is incomplete; the verdict is not
        events.finish()
        for line in server.verdict():
            _print(stdout, f"{_to_line(stdout, line)}\n")
        if command.verdict is not None:
            _write_file(command.verdict, json.dumps(server.verdict_data(), indent=2) + "\n")
        if failure is not None:
            raise failure
    except ConfigError as error:
        _write(stderr, f"{PROGRAM}: {error}")
        return error.exit_code
    except BrokenPipeError:
        return ExitCode.CLOSED_STDOUT
    return MISTAKES if command.strict and (server.mistakes or server.departures) else ExitCode.DONE


def _write(stream: TextIO, line: str) -> None:
    """Write a line."""
    stream.write(f"{_to_line(stream, line)}\n")
    stream.flush()


def _to_line(stream: TextIO, text: str) -> str:
    """Return text with escapes for what a terminal obeys and for what the stream's encoding does not have."""
    encoding = stream.encoding or "utf-8"
    return one_line(text, fold=False).encode(encoding, "backslashreplace").decode(encoding)


def _print(stdout: TextIO, text: str) -> None:
    """Write text to stdout as it is.

    Raises:
        BrokenPipeError: The reader of stdout has closed it.
        ConfigError: stdout cannot be written to.
    """
    try:
        stdout.write(text)
        stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"stdout cannot be written to: {error.strerror}") from error


def _begin_file(path: Path) -> None:
    """Empty the file of the verdict; a file that is no verdict is refused."""
    try:
        if (reason := describe_non_file(path)) is not None:
            raise ConfigError(f"--verdict {path}: {reason}")
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                start = "".join(file.read(100).split())
            if start and not start.startswith(VERDICT_START):
                raise ConfigError(f"--verdict {path}: it holds something else; choose another name")
    except OSError as error:
        raise ConfigError(f"--verdict {path}: {error.strerror}") from error
    _write_file(path, "")


def _write_file(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--verdict {path}: {error.strerror}") from error


class _Lines:
    """Writes lines in a thread, so that sessions go on if nobody reads; beyond `MAX_UNREAD_LINES` they are dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_UNREAD_LINES)
        self._n_dropped = 0
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line."""
        try:
            if self._n_dropped:
                self._lines.put_nowait(f"{PROGRAM}: {self._n_dropped} lines were not read, and dropped")
                self._n_dropped = 0
            self._lines.put_nowait(line)
        except queue.Full:
            self._n_dropped += 1

    def finish(self) -> None:
        """Wait until the lines are written, for a moment."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=LAST_LINES_S)
            self._thread.join(LAST_LINES_S)

    def _run(self) -> None:
        with suppress(OSError, ValueError):  # nobody reads any more
            while (line := self._lines.get()) is not None:
                _write(self._stream, line)


class _LoopErrors:
    """Reports what asyncio finds wrong; it tells of every connection it has no descriptor for, with a traceback."""

    def __init__(self, stderr: TextIO) -> None:
        self._stderr = stderr
        self._is_told = False

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        is_lack = "out of system resource" in context["message"]
        # asyncio listens again a second after each lack, even if the server was closed meanwhile.
        if not is_lack and not (self._is_told and "_start_serving" in context["message"]):
            loop.default_exception_handler(context)
        elif not self._is_told:
            self._is_told = True
            words = "out of file descriptors: new clients have to wait until others leave (ulimit -n allows more)"
            _write(self._stderr, f"{PROGRAM}: {words}")


async def _serve(server: Simulator, stdout: TextIO, stderr: TextIO) -> None:
    asyncio.get_running_loop().set_exception_handler(_LoopErrors(stderr))
    async with server:
        with _stopped_by_signals() as stopped:
            _print(stdout, f"{_to_line(stdout, format_greeting(server))}\n")
            if server.is_open_to_others:
                _write(
                    stderr, f"{PROGRAM}: whoever reaches {server.host}:{server.port} can use it; --key K asks for a key"
                )
            gc.freeze()  # what is loaded by now stays: looking through it again and again makes every session late
            await stopped.wait()


@contextmanager
def _stopped_by_signals() -> Iterator[asyncio.Event]:
    """Give an event that Ctrl-C and SIGTERM set; on Windows, Ctrl-C raises KeyboardInterrupt instead."""
    stopped = asyncio.Event()
    if sys.platform == "win32":
        yield stopped
        return
    loop = asyncio.get_running_loop()
    names = (signal.SIGINT, signal.SIGTERM)
    for name in names:
        loop.add_signal_handler(name, stopped.set)
    try:
        yield stopped
    finally:
        for name in names:
            loop.remove_signal_handler(name)


def format_greeting(server: Simulator) -> str:
    """Return the line that says where the server is, with settings for clients that work when they are copied."""
    if server.upstream_host:
        trust = f"SSL_CERT_FILE={shlex.quote(str(server.certificate.path))} " if server.certificate else ""
        settings = f"{trust}GOOGLE_GEMINI_BASE_URL={server.url} GOOGLE_API_KEY=..."
        return f"passing on to {server.upstream_host} at {server.url}; with {settings} run your client; Ctrl-C ends it"
    key = "any" if server.key is None else shlex.quote(server.key)
    settings = f"GOOGLE_GEMINI_BASE_URL={server.url} GOOGLE_API_KEY={key}"
    if server.certificate is None:
        return f"serving at {server.url}; with {settings} run gemini-live (google-genai needs --tls); Ctrl-C ends it"
    trust = f"SSL_CERT_FILE={shlex.quote(str(server.certificate.path))}"
    return f"serving at {server.url}; with {trust} {settings} run gemini-live or google-genai; Ctrl-C ends it"


def run() -> None:
    """Entry point of the command."""
    # A closed stream is `None`. The null device takes its number, so that no socket gets it.
    stderr = sys.stderr if sys.stderr is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        _write(stderr, f"{PROGRAM}: stdout is closed: redirect it, e.g. to /dev/null, if you do not want the output")
        sys.exit(ExitCode.USAGE)
    exit_code = main(sys.argv[1:], os.environ, sys.stdout, stderr)
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes stdout once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(exit_code)


if __name__ == "__main__":
    run()
