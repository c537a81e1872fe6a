"""The command: does what argv and the environment say, and returns the exit code.

The main thread runs all of this. What is slow to import is imported where it is needed, so that `--help` is fast.
Longer than 300 lines: it does each thing that the command can do.
"""

import contextlib
import dataclasses
import functools
import os
import shlex
import sys
import time
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from . import options
from .config import Color, Config, OutputFormat
from .errors import ConfigError, ExitCode, GeminiLiveError
from .escaping import escape, one_line
from .files import STDIN
from .options import PROG
from .process.ending import Ending
from .process.lines import LineWriter, PrintedLines
from .process.signals import Signals
from .process.streams import BackgroundWriter, Streams, claim_stdin, claim_stdout, is_terminal
from .wire.address import TOKEN_PREFIX

if TYPE_CHECKING:
    from .choose_output import Outputs
    from .functions.library import FunctionLibrary
    from .output.events import Event, Output
    from .recording.read import Recording


def run() -> NoReturn:
    """Run the command on the process's own arguments, environment and streams, and end the process."""
    stdout = claim_stdout()
    streams = Streams(claim_stdin(), stdout, sys.stderr)
    command = _Command(options.take_keys(os.environ), streams)
    command.ending.leave(command.main(sys.argv[1:]))


def main(argv: Sequence[str], environ: Mapping[str, str], streams: Streams) -> int:
    """Run the command and return its exit code.

    Args:
        argv: The arguments, without the program's name.
        environ: The environment variables.
        streams: Where it reads and writes; stdin is read through its file descriptor.
    """
    with contextlib.redirect_stdout(sys.stdout), contextlib.redirect_stderr(sys.stderr):  # restores them
        return _Command(environ, streams).main(argv)


class _Command:
    """One run of the command."""

    def __init__(self, environ: Mapping[str, str], streams: Streams) -> None:
        self._environ, self._streams = environ, streams
        self._started_s = time.monotonic()
        self._writer = BackgroundWriter(diagnostics=streams.stderr)
        self._keys = list(options.find_keys(environ).values())
        self._writer.keep_secrets([*self._keys, *(key.removeprefix(TOKEN_PREFIX) for key in self._keys)])
        self.ending = Ending(self._writer, streams)
        self._signals = Signals(self.ending)
        self._output: Output | None = None
        """Writes the events, once it is known how."""
        self._printed = PrintedLines(self._write_printed)
        self.ending.report = self._report
        self.ending.write_last_line = self._write_last_line

    @functools.cached_property
    def _outputs(self) -> "Outputs":
        """How events are written. They are slow to import, and `--help` needs none."""
        from .choose_output import Outputs  # noqa: PLC0415

        return Outputs(self._environ, self._streams, self._writer)

    def main(self, argv: Sequence[str]) -> int:
        """Do what the arguments say, whatever happens, and return the exit code."""
        with self._signals.caught():
            code: int = ExitCode.BUG
            try:
                code = self._run(argv)
                self._signals.stop = self.ending.interrupt
            except KeyboardInterrupt:
                code = self.ending.code or ExitCode.INTERRUPTED
                self._signals.stop = self.ending.interrupt
            return self.ending.finish(code)

    def _run(self, argv: Sequence[str]) -> int:
        """Do what the arguments say, report what fails, and return the exit code."""
        arguments: Mapping[str, Any] = {}
        try:
            if argv and argv[0] == options.REPLAY:
                return self._replay(options.parse_replay(argv[1:]))
            if argv and argv[0] in options.COMMANDS:
                return self._run_command(argv)
            arguments = options.parse(argv)
            return self._do(arguments)
        except GeminiLiveError as error:
            if self._output is None:
                self._use(self._outputs.build_plain(OutputFormat(arguments.get("output_format", OutputFormat.TEXT))))
            self._report(str(error))
            return error.exit_code
        except SystemExit as leaving:  # of the parser, which has said why
            code = leaving.code if isinstance(leaving.code, int) else ExitCode.DONE
            if code == ExitCode.DONE:
                self._flush_help()
            return code
        except Exception:  # noqa: BLE001 - a bug: the one place that says so
            bug = f"{traceback.format_exc()}{PROG}: this is a bug in {PROG}\n"
            self._writer.write(self._streams.stderr, escape(bug))
            return ExitCode.BUG

    def _do(self, arguments: Mapping[str, Any]) -> int:
        """Do what the arguments say and return the exit code."""
        self._require_stdout()
        if arguments.get("list_devices"):
            import asyncio  # noqa: PLC0415 - as in the other places, slow to import

            self._print(escape(asyncio.run(_list_devices())) + "\n")
        elif arguments.get("check_audio"):
            return self._check_audio(options.read_config(arguments, self._environ, connects=False))
        elif (shell := arguments.get("print_completion")) is not None:
            self._print(_format_completion(shell))
        elif arguments.get("list_functions"):
            return self._list_functions(options.read_config(arguments, self._environ, connects=False))
        else:
            return self._run_session(options.read_config(arguments, self._environ))
        return ExitCode.DONE

    def _flush_help(self) -> None:
        """Write what the parser has printed, and end the process if that fails, which the parser ignores."""
        try:
            if self._streams.stdout is not None:
                self._streams.stdout.flush()
        except OSError as error:
            self.ending.fail_stdout(error)

    def _run_command(self, argv: Sequence[str]) -> int:
        """Run a command that reads recordings and return the exit code.

        Raises:
            GeminiLiveError: A file cannot be read or written, or an argument is wrong.
        """
        self._require_stdout()
        import shutil  # noqa: PLC0415

        from .inspection import commands  # noqa: PLC0415 - a session needs none
        from .inspection.style import TextLayout  # noqa: PLC0415

        stdout = self._streams.stdout

        def layout_for(color: Color) -> TextLayout:
            width = shutil.get_terminal_size().columns if is_terminal(stdout) else None
            return TextLayout(width, self._outputs.has_colors(color, stdout))

        def warn(line: str) -> None:
            self._writer.write(self._streams.stderr, f"{PROG}: {one_line(line, fold=False)}\n")

        code = commands.run(argv, self._print, warn, layout_for)
        self._writer.flush(None)
        if (error := self._writer.error_of(stdout)) is not None:
            self.ending.fail_stdout(error)  # even if the code is not 0: nobody has seen the differences
        return code

    def _require_stdout(self) -> None:
        """Check that stdout was not closed when the process started.

        Raises:
            ConfigError: It was.
        """
        if self._streams.stdout is None:
            raise ConfigError("stdout is closed: redirect it, e.g. to /dev/null, if you do not want the output")

    def _replay(self, arguments: Mapping[str, Any]) -> int:
        """Replay a recording and return the exit code; its model is used unless another one is given.

        Raises:
            GeminiLiveError: The recording cannot be read, or an argument is wrong.
        """
        from .recording.read import read_recording  # noqa: PLC0415 - a session needs none

        recording = read_recording(arguments["file"])
        model = (recording.header.model or "").removeprefix("models/")
        settings = {"model": model, **arguments} if model else arguments
        return self._run_session(options.read_config(settings, self._environ), recording)

    def _run_session(self, config: Config, replayed: "Recording | None" = None) -> int:
        """Run a session, perhaps one whose client is `replayed`, and return the exit code."""
        from .output import events  # noqa: PLC0415
        from .output.plain import Terminal  # noqa: PLC0415
        from .run_session import SessionRun  # noqa: PLC0415

        options.check_streams(config, self._streams.stdin, self._streams.stdout, self._streams.stderr)
        simulator = _read_simulate(config.simulate)
        output, prompt = self._outputs.build(config, self._signals.interrupt)
        self._use(output)
        if prompt is not None:
            self.ending.restore_terminal = prompt.restore
        if config.timeout_s is not None:
            self.ending.limit(config.timeout_s)
        for warning in options.find_warnings(config, self._environ):
            self._emit(events.Warning(warning))
        assert self._output is not None
        return SessionRun(
            config=config,
            server=_simulated(config, simulator),
            load_functions=lambda lines: self._load_functions(config, lines),
            output=self._output,
            record=lambda: output.record if isinstance(output, Terminal) else "",
            prompt=prompt,
            stdin=self._streams.stdin if self._outputs.reads_stdin(config) else None,
            stdin_sound=self._streams.stdin if STDIN in config.input_file else None,
            streams=self._streams,
            writer=self._writer,
            printed=self._printed,
            ending=self.ending,
            signals=self._signals,
            started_s=self._started_s,
            replayed=replayed,
        ).run()

    def _check_audio(self, config: Config) -> int:
        """Measure this machine's sound, print the report, and return the exit code.

        Raises:
            GeminiLiveError: There is no device, it fails, or an extra is not installed.
        """
        import asyncio  # noqa: PLC0415

        from .audio.check import check_audio  # noqa: PLC0415 - an extra
        from .audio.report import NO_MICROPHONE  # noqa: PLC0415
        from .output import events  # noqa: PLC0415
        from .output.audio_report import format_audio_report  # noqa: PLC0415

        self._use(self._outputs.build_plain(config.output_format))

        def tell(text: str) -> None:
            if not config.quiet:
                self._emit(events.Status(text))

        report = asyncio.run(check_audio(config.input_device, config.output_device, tell=tell))
        if config.output_format is OutputFormat.JSONL:
            self._emit(report)
        else:
            self._print(escape(format_audio_report(report)) + "\n")
        return ExitCode.DEVICE if report.mode == NO_MICROPHONE else ExitCode.DONE

    def _list_functions(self, config: Config) -> int:
        """Print the functions as the model would see them; return the exit code.

        Raises:
            GeminiLiveError: There is no file of functions, or a function cannot be declared.
        """
        import asyncio  # noqa: PLC0415

        from .output.function_list import find_declarations, format_declarations, format_json_lines  # noqa: PLC0415
        from .wire.setup import build_setup  # noqa: PLC0415

        sys.stdout = lines = LineWriter(self._printed.put)  # what the files print goes to stderr
        library = self._load_functions(config, lines)
        if library is None:
            raise ConfigError("--list-functions needs functions: add --import-functions FILE or --mcp SERVER")
        is_complete = asyncio.run(_list_tools(library)) if library.has_servers else True
        lines.finish()
        functions = library.caller.declarations
        declarations = find_declarations(build_setup(config, functions, handle=None, seeds_history=False))
        is_json = config.output_format is OutputFormat.JSONL
        text = format_json_lines(declarations) if is_json else escape(format_declarations(declarations))
        self._print(f"{text}\n" if text else "")
        return ExitCode.DONE if is_complete else ExitCode.USAGE

    def _load_functions(self, config: Config, lines: LineWriter) -> "FunctionLibrary | None":
        """Import the user's files and prepare the MCP servers, if there are any; what code prints goes to `lines`.

        Raises:
            GeminiLiveError: A file cannot be imported, a function cannot be declared, or a server is described wrongly.
        """
        from .choose_functions import Surroundings, load_library  # noqa: PLC0415

        output = self._output if self._output is not None else self._outputs.build_plain()
        around = Surroundings(
            environ=self._environ,
            key=self._keys[0] if self._keys else "",
            withheld=options.KEY_VARIABLES,
            emit=output.emit,
            print_line=self._printed.put,
            end_line=lines.end_line,
            keep_secrets=self._writer.keep_secrets,
            is_interrupted=lambda: self.ending.code is not None,
        )
        return load_library(config, around)

    def _use(self, output: "Output") -> None:
        """Write all events to `output` from now on."""
        from .output.until_ended import UntilEnded  # noqa: PLC0415

        self._output = UntilEnded(output)

    def _report(self, error: str) -> None:
        """Write an error, if it is known how."""
        from .output import events  # noqa: PLC0415

        self._emit(events.Error(error))

    def _emit(self, event: "Event") -> None:
        """Write an event, if it is known how."""
        if self._output is not None:
            self._output.emit(event)

    def _write_printed(self, line: str) -> None:
        """Write a line that a function, or the file that defines it, has printed."""
        from .output import events  # noqa: PLC0415

        output = self._output if self._output is not None else self._outputs.build_plain()
        output.emit(events.FunctionOutput(line))

    def _write_last_line(self, code: int) -> None:
        """Write what functions have printed, and then the last event; nothing if that was written."""
        self._printed.close()
        if self._output is not None:
            from .output import events  # noqa: PLC0415

            self._output.emit(events.SessionEnded(int(code)))

    def _print(self, text: str) -> None:
        """Write text to stdout."""
        self._writer.write(self._streams.stdout, text)


def _read_simulate(text: str | None) -> Mapping[str, Any] | None:
    """Return the arguments of the simulator that `--simulate` asks for, or `None` without that option.

    Raises:
        ConfigError: They are wrong, or make no sense here.
        SystemExit: They ask for help, which was printed.
    """
    if text is None:
        return None
    from .simulator.arguments import parse_arguments  # noqa: PLC0415 - most sessions need none

    try:
        arguments = parse_arguments(shlex.split(text))
    except (ConfigError, ValueError) as error:  # ValueError: a quotation mark is missing
        raise ConfigError(f"--simulate: {error}") from error
    for name in ("host", "port", "tls", "key", "upstream"):
        if name in arguments:
            raise ConfigError(f"--simulate: --{name} is for other clients: run gemini-live-simulator for them")
    return arguments


@contextlib.asynccontextmanager
async def _simulated(config: Config, arguments: Mapping[str, Any] | None) -> AsyncIterator[Config]:
    """Run the simulator, unless `arguments` is `None`; yield the settings that reach the server."""
    if arguments is None:
        yield config
        return
    from .simulator import Simulator  # noqa: PLC0415 - most sessions need none

    async with Simulator(**arguments) as server:
        yield dataclasses.replace(config, base_url=server.url)


async def _list_tools(library: "FunctionLibrary") -> bool:
    """Start the MCP servers, which list their tools, and end them; return False if one does not start."""
    try:
        return await library.start()
    finally:
        await library.close()


async def _list_devices() -> str:
    """Return a list of the sound devices, for people."""
    from .audio.portaudio import list_devices  # noqa: PLC0415 - an extra

    return await list_devices(None)


def _format_completion(shell: str) -> str:
    """Return the script that completes the options in `shell`."""
    from .completion import format_completion  # noqa: PLC0415 - a session needs none

    return format_completion(options.build_parser(), shell, options.COMMANDS)
