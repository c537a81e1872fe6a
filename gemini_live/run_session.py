"""Runs one session in an event loop: connects `Session` with the prompt, the signals and the end of the process.

The main thread runs all of this. What is slow to import is imported where it is needed.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from .config import Config
from .errors import ExitCode, GeminiLiveError
from .output import events
from .output.events import Output
from .process.capture import captured_output
from .process.ending import OVER, TIMED_OUT, Ending
from .process.lines import LineWriter, MaskedStream, PrintedLines, read_bytes
from .process.signals import Signals
from .process.streams import BackgroundWriter, Streams, are_one_terminal, is_terminal

if TYPE_CHECKING:
    from .functions.library import FunctionLibrary
    from .prompt.prompt import Prompt
    from .recording.read import Recording
    from .session.session import Session


@dataclass(kw_only=True)
class SessionRun:
    """One session of the command."""

    config: Config
    server: AbstractAsyncContextManager[Config]
    """Starts the server, if it is ours, and yields the settings that reach it."""
    load_functions: "Callable[[LineWriter], FunctionLibrary | None]"
    """Imports the files and prepares the MCP servers; what their code prints by the line goes to the argument."""
    output: Output
    record: Callable[[], str]
    """Returns the conversation as the terminal showed it."""
    prompt: "Prompt | None"
    """Set if a person types and reads at a terminal."""
    stdin: TextIO | None
    """Set if questions are read from stdin."""
    stdin_sound: TextIO | None
    """Set if stdin is an input file."""
    streams: Streams
    writer: BackgroundWriter
    printed: PrintedLines
    ending: Ending
    signals: Signals
    started_s: float
    """When the command started, by the monotonic clock; `--timeout` counts from then."""
    replayed: "Recording | None" = None
    """Set to send what the client of a recording sent, and nothing else."""

    def run(self) -> int:
        """Import the user's functions, run the session, and return the exit code.

        Raises:
            GeminiLiveError: The functions cannot be loaded.
            KeyboardInterrupt: A signal came before the event loop ran, or after it.
        """
        # Also for what a file prints while it is imported, and to the end of the process: code that runs on must not
        # print after the conversation.
        lines = LineWriter(self.printed.put)
        sys.stdout = lines
        if self.streams.stderr is not None:
            sys.stderr = MaskedStream(self.streams.stderr, self.writer.mask)
        try:
            with self._capturing():
                library = self.load_functions(lines)
                return asyncio.run(self._run_in_loop(library))
        except asyncio.CancelledError:  # by a signal, or because stdout has failed
            if self.ending.code is None:
                raise
            return self.ending.code
        finally:
            self.ending.cancel_deadline(OVER)
            lines.finish()

    def _capturing(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which lines that libraries and child processes write appear above the prompt.

        Does nothing if there is no prompt, or if stdout and stderr are not one terminal.
        """
        stdout = self.streams.stdout
        if self.prompt is None or stdout is None or not are_one_terminal(stdout, self.streams.stderr):
            return contextlib.nullcontext()
        return captured_output(stdout, self.printed.put)

    async def _run_in_loop(self, library: "FunctionLibrary | None") -> int:
        """Run the session so that signals, a failing stdout and deadlines can stop it; return the exit code."""
        from .process.daemon_executor import DaemonExecutor  # noqa: PLC0415

        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        loop.set_default_executor(DaemonExecutor())
        loop.set_exception_handler(_report_loop_error)
        self.printed.use(loop)

        def post(function: Callable[[], Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(function)

        def stop() -> None:
            post(task.cancel)

        def note_failed(stream: TextIO, error: OSError) -> None:
            if stream is self.streams.stdout and self.ending.fail_stdout(error):
                stop()

        self.signals.stop, self.signals.wake = stop, lambda: post(lambda: None)
        self.writer.watch(note_failed)
        code: int = ExitCode.BUG
        try:
            code = await self._converse(library)
        finally:
            self.signals.stop = self.signals.wake = None
            self.writer.watch(None)
            # asyncio waits for every task, and a user's coroutine may ignore that it is cancelled.
            self.ending.start_deadline(OVER, code)
        return code

    async def _converse(self, library: "FunctionLibrary | None") -> int:
        """Hold the conversation to its end, to its failure or to `--timeout`; return the exit code."""
        from .session.replay import Replay  # noqa: PLC0415 - brings the WebSocket library
        from .session.session import Session  # noqa: PLC0415

        limit_s, ran_s = self.config.timeout_s, time.monotonic() - self.started_s
        try:
            async with (
                asyncio.timeout(None if limit_s is None else limit_s - ran_s) as limit,
                _started(library, self.output),
                self.server as reachable,
            ):
                if self.replayed is not None:
                    await Replay(reachable, self.output, self.replayed).run()
                    return ExitCode.DONE
                session = Session(
                    reachable,
                    self.output,
                    functions=library.caller if library is not None else None,
                    reload_functions=library.reload if library is not None else None,
                    stdin=self.stdin,
                    stdin_is_terminal=is_terminal(self.stdin),
                    stdin_sound=read_bytes(self.stdin_sound) if self.stdin_sound is not None else None,
                    typed_lines=self.prompt.lines() if self.prompt is not None else None,
                    save=self.record,
                    is_output_behind=lambda: self.writer.is_behind,
                )
                async with self._prompting(session):
                    await session.run()
        except TimeoutError:
            if not limit.expired():
                raise
            self.ending.happen(TIMED_OUT)
            return self.ending.code or ExitCode.TIMEOUT
        except GeminiLiveError as error:
            self.output.emit(events.Error(str(error)))
            return error.exit_code
        return ExitCode.DONE

    @contextlib.asynccontextmanager
    async def _prompting(self, session: "Session") -> AsyncIterator[None]:
        """Show the prompt, if there is one, while the body runs, and pass Ctrl-C to the prompt."""
        if self.prompt is None:
            yield
            return
        loop, prompt = asyncio.get_running_loop(), self.prompt

        def press_ctrl_c() -> None:
            self.signals.spare()
            prompt.press_ctrl_c()

        def post_ctrl_c() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(press_ctrl_c)

        prompt.controls = session.controls
        async with prompt.running(self.signals.relay):
            if sys.platform != "win32":  # whose console makes Ctrl-C a key at the prompt
                self.signals.on_ctrl_c = post_ctrl_c
            try:
                yield
            finally:
                self.signals.on_ctrl_c = None


@contextlib.asynccontextmanager
async def _started(library: "FunctionLibrary | None", output: Output) -> AsyncIterator[None]:
    """Run the MCP servers while the body runs, if there are any."""
    if library is None:
        yield
        return
    try:
        await library.start()
        for warning in library.caller.warnings:
            output.emit(events.Warning(warning))
        yield
    finally:
        await library.close()


def _report_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report an exception in a callback of the event loop, except known failures of the connection."""
    from .wire.connection import is_known_failure  # noqa: PLC0415 - brings the WebSocket library

    if not is_known_failure(context.get("exception")):
        loop.default_exception_handler(context)
