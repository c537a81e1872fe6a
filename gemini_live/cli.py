"""The command: runs a session as argv and the environment say, and maps how it ended to an exit code.

The main thread runs all of this. What is slow to import is imported where it is needed, so that `--help` is not.
"""

import asyncio
import contextlib
import dataclasses
import os
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from . import options
from .config import Color, Config, OutputFormat
from .errors import ExitCode, GeminiLiveError
from .jsonl import Jsonl
from .models import capabilities_of
from .options import PROG
from .streams import BackgroundWriter, Streams, is_closed_pipe, is_terminal
from .terminal import FunctionOutput, Terminal

if TYPE_CHECKING:
    from .dispatch import Output
    from .function_helper import FunctionHelper

LAST_WORDS_S = 1.0
"""How long whoever reads our output has to take the rest of it, once all is over."""
LEAVE_WITHIN_S = 1.8
"""After Ctrl-C or SIGTERM: then the process ends, whatever hangs."""


def run() -> NoReturn:
    """Run the command on the process's own arguments, environment and streams, and end the process."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # A pipe gets UTF-8 everywhere, and no character stops the program.
            encoding = stream.encoding if stream.isatty() or "PYTHONIOENCODING" in os.environ else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")  # type: ignore[union-attr]
    streams = Streams(sys.stdin, sys.stdout, sys.stderr)
    _leave(main(sys.argv[1:], os.environ, streams), streams)


def _leave(code: int, streams: Streams) -> NoReturn:
    """End the process, even where a thread of a user's function or of a library does not end."""
    for stream in (streams.stdout, streams.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it: keep the interpreter from trying again
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    deadline_s = time.monotonic() + LAST_WORDS_S
    threads = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in threads:
        if not thread.daemon:
            thread.join(max(0.0, deadline_s - time.monotonic()))
    if any(thread.is_alive() for thread in threads if not thread.daemon):
        os._exit(code)
    sys.exit(code)


def main(argv: Sequence[str], environ: Mapping[str, str], streams: Streams) -> int:
    """Run the command and return its exit code.

    Args:
        argv: The arguments, without the program's name.
        environ: The environment variables.
        streams: Where it reads and writes; stdin is read through its file descriptor.
    """
    command = _Command(environ, streams)
    with command.signals.caught():
        try:
            code = command.run(argv)
        except KeyboardInterrupt:
            code = command.signals.exit_code or ExitCode.INTERRUPTED
        except SystemExit as leaving:  # of the parser, which has said why
            code = leaving.code if isinstance(leaving.code, int) else ExitCode.DONE
        except Exception:  # noqa: BLE001 - a bug: the one place that says so
            command.writer.write(streams.stderr, f"{traceback.format_exc()}{PROG}: this is a bug in {PROG}\n")
            code = ExitCode.BUG
        command.writer.flush(LAST_WORDS_S)
    return command.judge_output(code)


class _Signals:
    """Ctrl-C and SIGTERM: the first stops the session, the second the process."""

    def __init__(self) -> None:
        self.exit_code: ExitCode | None = None
        """Of the signal that came."""
        self.stop: Callable[[], None] | None = None
        """Stops the session; while there is none, a signal is raised as `KeyboardInterrupt` where it comes."""

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Handle the signals; not outside the main thread, where that is impossible."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        code = ExitCode.TERMINATED if number == signal.SIGTERM else ExitCode.INTERRUPTED
        if self.exit_code is not None:
            os._exit(code)
        self.exit_code = code
        watchdog = threading.Timer(LEAVE_WITHIN_S, os._exit, [int(code)])
        watchdog.daemon = True
        watchdog.start()
        if self.stop is None:
            raise KeyboardInterrupt
        self.stop()


class _Command:
    """One run of the command."""

    def __init__(self, environ: Mapping[str, str], streams: Streams) -> None:
        self.signals = _Signals()
        self.writer = BackgroundWriter()
        self._environ, self._streams = environ, streams
        self._started_s = time.monotonic()

    def run(self, argv: Sequence[str]) -> int:
        """Do what the arguments say and return the exit code."""
        arguments = options.parse(argv)
        try:
            if arguments.get("list_devices"):
                self.writer.write(self._streams.stdout, asyncio.run(_list_devices()) + "\n")
                return ExitCode.DONE
            config = options.read_config(arguments, self._environ)
        except GeminiLiveError as error:
            self._build_terminal(Color.AUTO).error(str(error))
            return error.exit_code
        self.writer.keep_secret(config.api_key)
        output = self._build_output(config)
        code: int = ExitCode.BUG
        try:
            code = self._hold(config, output)
        except GeminiLiveError as error:
            output.error(str(error))
            code = error.exit_code
        except KeyboardInterrupt:
            code = self.signals.exit_code or ExitCode.INTERRUPTED
        finally:
            output.session_ended(int(code))
        return code

    def judge_output(self, code: int) -> int:
        """Return the exit code that a run has whose stdout could not be written to, else `code`."""
        error = self.writer.error_of(self._streams.stdout)
        if error is None or code not in {ExitCode.DONE, ExitCode.CLOSED_STDOUT}:
            return code
        if is_closed_pipe(error):
            return ExitCode.CLOSED_STDOUT
        self.writer.write(self._streams.stderr, f"error: stdout cannot be written: {error.strerror}\n")
        self.writer.flush(LAST_WORDS_S)
        return ExitCode.USAGE

    def _hold(self, config: Config, output: "Output") -> int:
        """Hold a session and return the exit code."""
        for warning in options.find_warnings(config, self._environ):
            output.warning(warning)
        # What a user's file prints while it is imported belongs to it as much as what its functions print.
        with _captured_stdout(output.function_output):
            functions = _load_functions(config)
        try:
            return asyncio.run(self._run_session(config, output, functions))
        except asyncio.CancelledError:
            if self.signals.exit_code is not None:
                return self.signals.exit_code
            if self.writer.error_of(self._streams.stdout) is not None:
                return ExitCode.CLOSED_STDOUT
            raise

    async def _run_session(self, config: Config, output: "Output", functions: "FunctionHelper | None") -> int:
        from .session import Session  # noqa: PLC0415 - brings the WebSocket library
        from .threads import DaemonExecutor  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        loop.set_default_executor(DaemonExecutor())
        task = asyncio.current_task()
        assert task is not None

        def stop() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(task.cancel)

        def print_line(line: str) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(output.function_output, line)

        self.signals.stop = stop
        self.writer.watch(lambda stream, _: stop() if stream is self._streams.stdout else None)
        stdin = self._streams.stdin if self._reads_stdin(config) else None
        remaining_s = None if config.timeout_s is None else config.timeout_s - (time.monotonic() - self._started_s)
        try:
            async with asyncio.timeout(remaining_s) as limit:
                with _captured_stdout(print_line):
                    async with _simulated(config) as reachable:
                        session = Session(
                            reachable,
                            output,
                            functions=functions,
                            stdin=stdin,
                            stdin_is_terminal=is_terminal(stdin),
                        )
                        await session.run()
        except TimeoutError:
            if not limit.expired():
                raise
            output.error(f"--timeout: {config.timeout_s:g} s are over")
            return ExitCode.TIMEOUT
        finally:
            self.signals.stop = None
            self.writer.watch(None)
        return ExitCode.DONE

    def _reads_stdin(self, config: Config) -> bool:
        """Whether stdin is an input: always when it is no terminal, and when a person sees the answers too."""
        stdin, stdout = self._streams.stdin, self._streams.stdout
        if stdin is None or not config.stdin:
            return False
        return not is_terminal(stdin) or is_terminal(stdout)

    def _build_output(self, config: Config) -> "Output":
        terminal = self._build_terminal(config.color, quiet=config.quiet, verbose=config.verbose)
        if config.output_format is OutputFormat.TEXT:
            return terminal
        return Jsonl(
            self.writer,
            self._streams.stdout,
            clock=time.monotonic,
            warn=terminal.warning,
            fail=terminal.error,
            detail=terminal.detail,
        )

    def _build_terminal(self, color: Color, *, quiet: bool = False, verbose: bool = False) -> Terminal:
        stdout, stderr = self._streams.stdout, self._streams.stderr
        plain = bool(self._environ.get("NO_COLOR")) or self._environ.get("TERM") == "dumb"

        def colors(terminal: bool) -> bool:
            return color is Color.ALWAYS or (color is Color.AUTO and terminal and not plain)

        return Terminal(
            self.writer,
            stdout,
            stderr,
            stdout_is_terminal=is_terminal(stdout),
            stdout_color=colors(is_terminal(stdout)),
            stderr_color=colors(is_terminal(stderr)),
            quiet=quiet,
            verbose=verbose,
        )


@contextlib.contextmanager
def _captured_stdout(on_line: Callable[[str], None]) -> Iterator[None]:
    """Pass on what user code prints, for stdout carries the conversation and nothing else."""
    printed = FunctionOutput(on_line)
    with contextlib.redirect_stdout(printed):
        yield
        printed.finish()


@contextlib.asynccontextmanager
async def _simulated(config: Config) -> AsyncIterator[Config]:
    """Start the simulator where it was asked for; yield the settings that reach the server."""
    if config.simulate is None:
        yield config
        return
    from .simulator import Simulator  # noqa: PLC0415 - most sessions need none
    from .simulator.arguments import parse_arguments  # noqa: PLC0415

    async with Simulator(**parse_arguments(shlex.split(config.simulate))) as server:
        yield dataclasses.replace(config, base_url=server.url)


def _load_functions(config: Config) -> "FunctionHelper | None":
    if not config.import_functions:
        return None
    from .function_helper import FunctionHelper  # noqa: PLC0415 - an extra

    return FunctionHelper.load(
        config.import_functions, capabilities=capabilities_of(config.model), timeout_s=config.function_timeout_s
    )


async def _list_devices() -> str:
    from .audio import AudioSystem  # noqa: PLC0415 - an extra
    from .devices import format_devices  # noqa: PLC0415

    async with AudioSystem() as audio:
        return format_devices(audio.devices())
