"""The command: runs a session as argv and the environment say, and maps how it ended to an exit code.

The main thread runs all of this. What is slow to import is imported where it is needed, so that `--help` is not.
"""

import asyncio
import contextlib
import dataclasses
import os
import shlex
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from . import options
from .choose_output import Outputs
from .config import Config, OutputFormat
from .errors import ConfigError, ExitCode, GeminiLiveError
from .models import capabilities_of
from .options import PROG
from .output import events
from .output.escaping import escape
from .output.plain import Terminal
from .process.capture import captured_output
from .process.ending import LAST_WORDS_S, LEAVE_WITHIN_S, Deadline, leave
from .process.lines import LineWriter, MaskedStream
from .process.signals import Signals
from .process.streams import (
    BackgroundWriter,
    Streams,
    are_one_terminal,
    claim_stdin,
    claim_stdout,
    is_closed_pipe,
    is_terminal,
)
from .wire.address import TOKEN_PREFIX

if TYPE_CHECKING:
    from .functions.call import FunctionCaller
    from .output.events import Output
    from .prompt.prompt import Prompt
    from .session.session import Session

MAX_PASSED_ON, PASS_ON_AGAIN_S, READER_HANGS_S = 1_000, 0.01, 0.5
"""Lines that a user's functions have printed and nobody has written yet: with more of them, the functions wait."""
LAST_LINE_S = 0.2
"""How long the last line may take to be written where the process hangs and is ended."""


def run() -> NoReturn:
    """Run the command on the process's own arguments, environment and streams, and end the process."""
    stdout = claim_stdout()
    streams = Streams(claim_stdin(), stdout, sys.stderr)
    command = _Command(options.take_keys(os.environ), streams)
    leave(command.main(sys.argv[1:]), streams.stdout, streams.stderr)


def main(argv: Sequence[str], environ: Mapping[str, str], streams: Streams) -> int:
    """Run the command and return its exit code.

    Args:
        argv: The arguments, without the program's name.
        environ: The environment variables.
        streams: Where it reads and writes; stdin is read through its file descriptor.
    """
    with contextlib.redirect_stdout(sys.stdout), contextlib.redirect_stderr(sys.stderr):  # gives them back
        return _Command(environ, streams).main(argv)


class _Command:
    """One run of the command."""

    def __init__(self, environ: Mapping[str, str], streams: Streams) -> None:
        self.signals = Signals(self._say_last_words)
        self.writer = BackgroundWriter(diagnostics=streams.stderr)
        self._keys = list(options.find_keys(environ).values())
        self.writer.keep_secrets([*self._keys, *(key.removeprefix(TOKEN_PREFIX) for key in self._keys)])
        self._environ, self._streams = environ, streams
        self._outputs = Outputs(environ, streams, self.writer)
        self._started_s = time.monotonic()
        self._timeout, self._shutdown = Deadline(self._say_last_words), Deadline(self._say_last_words)
        self._output: Output | None = None
        self._prompt: Prompt | None = None
        """There is one where a person types and reads at a terminal."""
        self._output_ended = False
        self._ending = threading.RLock()
        """Held while a line is written that must not follow the last one."""
        self._timeout_report: str | None = None
        """What is to be said when the time is over; `None`: there is no limit, or it has been said."""
        self._printed = LineWriter(self._pass_on)
        self._passed_on: deque[str] = deque()
        """Lines that a user's code has printed and that were not written yet."""
        self._is_passing_on = False
        """Whether the loop will come to them."""
        self._reader_hangs = False
        self._passing_on = threading.Lock()
        self._thread = threading.get_ident()
        self._loop: asyncio.AbstractEventLoop | None = None

    def main(self, argv: Sequence[str]) -> int:
        """Run, whatever happens, and return the exit code."""
        with self.signals.caught():
            try:
                code = self._run(argv)
            except KeyboardInterrupt:
                code = self.signals.exit_code or ExitCode.INTERRUPTED
            except SystemExit as leaving:  # of the parser, which has said why
                code = leaving.code if isinstance(leaving.code, int) else ExitCode.DONE
            except Exception:  # noqa: BLE001 - a bug: the one place that says so
                bug = f"{traceback.format_exc()}{PROG}: this is a bug in {PROG}\n"
                self.writer.write(self._streams.stderr, escape(bug))
                code = ExitCode.BUG
            return self._finish(code)

    def _run(self, argv: Sequence[str]) -> int:
        """Do what the arguments say and return the exit code."""
        arguments = options.parse(argv)
        try:
            if arguments.get("list_devices"):
                self.writer.write(self._streams.stdout, escape(asyncio.run(_list_devices())) + "\n")
                return ExitCode.DONE
            if (shell := arguments.get("print_completion")) is not None:
                self.writer.write(self._streams.stdout, _format_completion(shell))
                return ExitCode.DONE
            if arguments.get("list_functions"):
                return self._list_functions(arguments)
            config = options.read_config(arguments, self._environ)
            streams = self._streams
            options.check_streams(config, (streams.stdin, streams.stdout, streams.stderr))
            simulator = _read_simulate(config.simulate)
        except GeminiLiveError as error:
            return self._refuse(error, arguments)
        try:
            self._output, self._prompt = self._outputs.build(config, self.signals.interrupt)
        except ConfigError as error:
            return self._refuse(error, arguments)
        if config.timeout_s is not None:
            self._timeout_report = f"timed out after {config.timeout_s:g} s (--timeout)"
            self._timeout.set(config.timeout_s + LEAVE_WITHIN_S, ExitCode.TIMEOUT)
        code: int = ExitCode.BUG
        try:
            code = self._hold(config, self._output, simulator)
        except GeminiLiveError as error:
            self._output.emit(events.Error(str(error)))
            code = error.exit_code
        except KeyboardInterrupt:
            code = self.signals.exit_code or ExitCode.INTERRUPTED
        finally:
            self._end_output(code)
        return code

    def _list_functions(self, arguments: Mapping[str, Any]) -> int:
        """Print what the model would be told about the functions and return the exit code.

        Raises:
            GeminiLiveError: There is no file of functions, or a function cannot be declared.
        """
        from .output.function_list import find_declarations, format_declarations, format_json_lines  # noqa: PLC0415
        from .wire.setup import build_setup  # noqa: PLC0415

        config = options.read_config(arguments, self._environ, connects=False)
        self._output = self._outputs.build_plain()
        sys.stdout = self._printed  # what the files print goes to stderr
        functions = self._load_functions(config)
        if functions is None:
            raise ConfigError("--list-functions needs functions: add --import-functions FILE")
        self._printed.finish()
        self._write_passed_on()
        declarations = find_declarations(build_setup(config, functions.declarations, handle=None, seeds_history=False))
        is_json = config.output_format is OutputFormat.JSONL
        text = format_json_lines(declarations) if is_json else escape(format_declarations(declarations))
        self.writer.write(self._streams.stdout, f"{text}\n" if text else "")
        return ExitCode.DONE

    def _load_functions(self, config: Config) -> "FunctionCaller | None":
        """Import the user's files, if there are any.

        Raises:
            GeminiLiveError: A file cannot be imported, or a function cannot be declared.
        """
        if not config.import_functions:
            return None
        from .functions.key import keep_api_key  # noqa: PLC0415
        from .functions.load import load_functions  # noqa: PLC0415 - an extra

        keep_api_key(self._keys[0] if self._keys else "")
        return load_functions(
            config.import_functions,
            capabilities=capabilities_of(config.model),
            timeout_s=config.function_timeout_s,
            end_line=self._printed.end_line,
            is_interrupted=lambda: self.signals.exit_code is not None,
        )

    def _refuse(self, error: GeminiLiveError, arguments: Mapping[str, Any]) -> int:
        """Say what keeps the session from coming about, as whoever reads expects it, and return the exit code."""
        output = self._outputs.build_plain(OutputFormat(arguments.get("output_format", OutputFormat.TEXT)))
        output.emit(events.Error(str(error)))
        output.emit(events.SessionEnded(error.exit_code))
        return error.exit_code

    def _finish(self, code: int) -> int:
        """Wait until all output has been read, unless we were told to leave; return the exit code."""
        told_to_leave = code in {ExitCode.TIMEOUT, ExitCode.HANGUP, ExitCode.INTERRUPTED, ExitCode.TERMINATED}
        try:
            self.writer.flush(LAST_WORDS_S if told_to_leave else None)
        except KeyboardInterrupt:
            code = self.signals.exit_code or ExitCode.INTERRUPTED
        self._timeout.lift()
        return self._judge_output(code)

    def _judge_output(self, code: int) -> int:
        """Return the exit code that a run has whose stdout could not be written to, else `code`."""
        error = self.writer.error_of(self._streams.stdout)
        if error is None or code not in {ExitCode.DONE, ExitCode.CLOSED_STDOUT}:
            return code
        if is_closed_pipe(error):
            return ExitCode.CLOSED_STDOUT
        self._outputs.build_plain().emit(events.Error(f"stdout cannot be written to: {error.strerror}"))
        self.writer.flush(LAST_WORDS_S)
        return ExitCode.USAGE

    def _end_output(self, code: int) -> None:
        """Write the last line, once."""
        if self._output is not None and not self._output_ended:
            self._printed.finish()
            self._write_passed_on()
            # The main thread may be in the middle of a line, or hang in it.
            is_free = self._ending.acquire(timeout=LAST_LINE_S)
            try:
                self._output_ended = True
                self._output.emit(events.SessionEnded(int(code)))
            finally:
                if is_free:
                    self._ending.release()

    def _report_timeout(self) -> None:
        """Say that the time is over, once."""
        report, self._timeout_report = self._timeout_report, None
        if self._output is not None and report is not None:
            self._output.emit(events.Error(report))

    def _say_last_words(self, code: int) -> None:
        """Write the last lines from a deadline's thread: the main thread hangs."""
        if self._prompt is not None:
            self._prompt.restore()
        if code == ExitCode.TIMEOUT:
            self._report_timeout()
        self._end_output(code)
        self.writer.flush(LAST_LINE_S)

    def _hold(self, config: Config, output: "Output", simulator: Mapping[str, Any] | None) -> int:
        """Hold a session and return the exit code."""
        for warning in options.find_warnings(config, self._environ):
            output.emit(events.Warning(warning))
        # What a user's file prints while it is imported belongs to it as much as what its functions print. One that
        # runs on must not print after the conversation either, so this lasts to the end of the process.
        sys.stdout = self._printed
        if self._streams.stderr is not None:
            sys.stderr = MaskedStream(self._streams.stderr, self.writer.mask)
        try:
            with self._capturing():
                functions = self._load_functions(config)
                for warning in functions.warnings if functions else ():
                    output.emit(events.Warning(warning))
                return asyncio.run(self._run_session(config, output, functions, simulator))
        except asyncio.CancelledError:
            if self.signals.exit_code is not None:
                return self.signals.exit_code
            if self.writer.error_of(self._streams.stdout) is not None:
                return ExitCode.CLOSED_STDOUT
            raise
        finally:
            self._shutdown.lift()

    def _capturing(self) -> contextlib.AbstractContextManager[None]:
        """Pass on what is written past us to a terminal that has a prompt, or is about to."""
        stdout = self._streams.stdout
        if self._prompt is None or stdout is None or not are_one_terminal(stdout, self._streams.stderr):
            return contextlib.nullcontext()
        return captured_output(stdout, self._pass_on)

    def _pass_on(self, line: str) -> None:
        """Take a line that a user's code has printed, in whatever thread."""
        is_elsewhere = self._loop is not None and threading.get_ident() != self._thread
        if is_elsewhere and len(self._passed_on) >= MAX_PASSED_ON:
            self._wait_for_reader()
        if self._output_ended:
            return
        self._passed_on.append(line)
        if not is_elsewhere:
            self._write_passed_on()
        elif not self._is_passing_on:  # once for many lines, so that there is time for keys between them
            self._is_passing_on = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._write_passed_on)

    def _wait_for_reader(self) -> None:
        """Have a thread that prints very much wait, as whoever writes to a pipe does, but not for a loop that hangs."""
        give_up_s = time.monotonic() + READER_HANGS_S
        while len(self._passed_on) >= MAX_PASSED_ON and not (self._reader_hangs or self._output_ended):
            if time.monotonic() > give_up_s:
                self._reader_hangs = True
            time.sleep(PASS_ON_AGAIN_S)

    def _write_passed_on(self) -> None:
        """Write the lines that are there now; more may come meanwhile, and come next."""
        if not self._passing_on.acquire(blocking=False):  # it is being done, perhaps below us, in a `__del__`
            return
        try:
            self._is_passing_on = self._reader_hangs = False
            for _ in range(len(self._passed_on)):
                line = self._passed_on.popleft()
                with self._ending:
                    if self._output is not None and not self._output_ended:
                        self._output.emit(events.FunctionOutput(line))
        finally:
            self._passing_on.release()

    async def _run_session(
        self,
        config: Config,
        output: "Output",
        functions: "FunctionCaller | None",
        simulator: Mapping[str, Any] | None,
    ) -> int:
        from .process.daemon_executor import DaemonExecutor  # noqa: PLC0415

        loop = self._loop = asyncio.get_running_loop()
        loop.set_default_executor(DaemonExecutor())
        loop.set_exception_handler(_report_loop_error)
        task = asyncio.current_task()
        assert task is not None

        def post(function: Callable[[], Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(function)

        def stop() -> None:
            post(task.cancel)

        self.signals.stop, self.signals.wake = stop, lambda: post(lambda: None)
        self.writer.watch(lambda stream, _: stop() if stream is self._streams.stdout else None)
        code: int = ExitCode.BUG
        try:
            code = await self._converse(config, output, functions, simulator)
        finally:
            self.signals.stop = self.signals.wake = None
            self.writer.watch(None)
            # asyncio waits for every task, and a coroutine of the user's may ignore that it is cancelled.
            self._shutdown.set(LEAVE_WITHIN_S, self.signals.exit_code or code)
        return code

    async def _converse(
        self,
        config: Config,
        output: "Output",
        functions: "FunctionCaller | None",
        simulator: Mapping[str, Any] | None,
    ) -> int:
        from .session.session import Session  # noqa: PLC0415 - brings the WebSocket library

        stdin = self._streams.stdin if self._outputs.reads_stdin(config) else None
        remaining_s = None if config.timeout_s is None else config.timeout_s - (time.monotonic() - self._started_s)
        try:
            async with asyncio.timeout(remaining_s) as limit, _simulated(config, simulator) as reachable:
                session = Session(
                    reachable,
                    output,
                    functions=functions,
                    stdin=stdin,
                    stdin_is_terminal=is_terminal(stdin),
                    typed_lines=self._prompt.lines() if self._prompt is not None else None,
                    save=(lambda: output.record) if isinstance(output, Terminal) else str,
                    is_output_behind=lambda: self.writer.is_behind,
                )
                async with self._prompting(session):
                    await session.run()
        except TimeoutError:
            if not limit.expired():
                raise
            self._report_timeout()
            return ExitCode.TIMEOUT
        except GeminiLiveError as error:
            output.emit(events.Error(str(error)))
            return error.exit_code
        return ExitCode.DONE

    @contextlib.asynccontextmanager
    async def _prompting(self, session: "Session") -> AsyncIterator[None]:
        """Show the prompt, where there is one; what others write to its terminal is printed above it."""
        if self._prompt is None:
            yield
            return
        loop, prompt = asyncio.get_running_loop(), self._prompt

        def press_ctrl_c() -> None:
            self.signals.spare()
            prompt.press_ctrl_c()

        def post_ctrl_c() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(press_ctrl_c)

        prompt.controls = session.controls
        self.signals.restore = prompt.restore
        async with prompt.running(self.signals.relay):
            if sys.platform != "win32":  # whose console makes Ctrl-C a key at the prompt
                self.signals.on_ctrl_c = post_ctrl_c
            try:
                yield
            finally:
                self.signals.on_ctrl_c = None


def _report_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what was raised in a callback of the loop's, for nobody else would."""
    from .wire.connection import is_known_failure  # noqa: PLC0415 - brings the WebSocket library

    if not is_known_failure(context.get("exception")):
        loop.default_exception_handler(context)


def _read_simulate(text: str | None) -> Mapping[str, Any] | None:
    """Return the arguments of the simulator that `--simulate` asks for, if it does.

    Raises:
        ConfigError: They are wrong, or make no sense here.
        SystemExit: They ask for help, which has been given.
    """
    if text is None:
        return None
    from .simulator.arguments import parse_arguments  # noqa: PLC0415 - most sessions need none

    try:
        arguments = parse_arguments(shlex.split(text))
    except (ConfigError, ValueError) as error:  # ValueError: a quotation mark is missing
        raise ConfigError(f"--simulate: {error}") from error
    for name in ("host", "port", "tls", "key"):
        if name in arguments:
            raise ConfigError(f"--simulate: --{name} is for other clients: run gemini-live-simulator for them")
    return arguments


@contextlib.asynccontextmanager
async def _simulated(config: Config, arguments: Mapping[str, Any] | None) -> AsyncIterator[Config]:
    """Start the simulator where it was asked for; yield the settings that reach the server."""
    if arguments is None:
        yield config
        return
    from .simulator import Simulator  # noqa: PLC0415 - most sessions need none

    async with Simulator(**arguments) as server:
        yield dataclasses.replace(config, base_url=server.url)


async def _list_devices() -> str:
    from .audio.portaudio import list_devices  # noqa: PLC0415 - an extra

    return await list_devices(None)


def _format_completion(shell: str) -> str:
    from .completion import format_completion  # noqa: PLC0415 - a session needs none

    return format_completion(options.build_parser(), shell)
