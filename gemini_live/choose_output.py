"""Chooses the writer of the conversation: at a prompt, as plain text, or as JSON lines.

Runs in the main thread before the event loop starts. Modules that only a prompt needs are imported only for a prompt.
"""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

from .config import Color, Config, OutputFormat
from .errors import ConfigError
from .files import STDIN
from .output.events import Output, Warning
from .output.jsonl import Jsonl
from .output.plain import Terminal
from .process.streams import BackgroundWriter, Streams, are_one_terminal, is_terminal

if TYPE_CHECKING:
    from .prompt.prompt import Prompt


class Outputs:
    """Builds the writer of the conversation that fits the options and the streams."""

    def __init__(self, environ: Mapping[str, str], streams: Streams, writer: BackgroundWriter) -> None:
        """Choose by the environment and the kinds of the streams; `writer` writes to the streams."""
        self._environ, self._streams, self._writer = environ, streams, writer

    def reads_stdin(self, config: Config) -> bool:
        """True if lines are read from stdin: it is no input file, and no terminal unless stdout is one too."""
        stdin, stdout = self._streams.stdin, self._streams.stdout
        if stdin is None or not config.stdin or STDIN in config.input_file:
            return False
        return not is_terminal(stdin) or is_terminal(stdout)

    def build(self, config: Config, interrupt: Callable[[], None]) -> "tuple[Output, Prompt | None]":
        """Return the writer of the conversation, and the prompt if there is one.

        Args:
            config: What the user asked for.
            interrupt: Called for Ctrl-C on an empty line of the prompt.

        Raises:
            ConfigError: An option needs a prompt, but there is none.
        """
        if self._has_prompt(config):
            return self._build_at_prompt(config, interrupt)
        if config.push_to_talk:
            raise ConfigError(f"--push-to-talk needs keys to press: {self._why_no_prompt(config)}")
        if config.confirm_functions:
            raise ConfigError(f"--confirm-functions needs a prompt to ask at: {self._why_no_prompt(config)}")
        if config.redact and config.record is None:
            raise ConfigError("--redact has nothing to redact: add --record FILE.jsonl, or leave it out")
        return self._build_for_script(config), None

    def build_plain(self, output_format: OutputFormat = OutputFormat.TEXT) -> Output:
        """Return a writer for an error that comes before a session."""
        return self._build_for_script(Config(output_format=output_format))

    def _build_for_script(self, config: Config) -> Output:
        terminal = self._build_terminal(config)
        if config.output_format is OutputFormat.TEXT:
            return terminal
        return Jsonl(self._writer, self._streams.stdout, terminal, clock=time.monotonic)

    def _build_terminal(self, config: Config) -> Terminal:
        stdout, stderr = self._streams.stdout, self._streams.stderr
        return Terminal(
            self._writer,
            stdout,
            stderr,
            stdout_is_terminal=is_terminal(stdout),
            stdout_color=self.has_colors(config.color, stdout),
            stderr_color=self.has_colors(config.color, stderr),
            quiet=config.quiet,
            verbose=config.verbose,
            is_interactive=self._is_interactive(config),
        )

    def _build_at_prompt(self, config: Config, interrupt: Callable[[], None]) -> "tuple[Output, Prompt]":
        from .output.live import LiveTerminal  # noqa: PLC0415
        from .prompt.line_history import LineHistory, history_path  # noqa: PLC0415 - slow to import, and only for people
        from .prompt.prompt import Prompt  # noqa: PLC0415

        stdin, stdout, stderr = self._streams.stdin, self._streams.stdout, self._streams.stderr
        assert stdin is not None
        assert stdout is not None

        def warn(text: str) -> None:
            terminal.emit(Warning(text))

        prompt = Prompt(
            stdin,
            stdout,
            self._writer,
            term=self._environ.get("TERM"),
            color=self.has_colors(config.color, stdout),
            history=LineHistory(history_path(), warn, self._is_secret) if config.history else None,
            push_to_talk=config.push_to_talk,
            interrupt=interrupt,
        )
        terminal = LiveTerminal(
            self._writer,
            stdout,
            stderr,
            shares_stderr=are_one_terminal(stdout, stderr),
            print_above=prompt.print_above,
            columns=lambda: prompt.columns,
            queued_s=lambda: prompt.controls.queued_s if prompt.controls is not None else 0.0,
            clock=time.monotonic,
            quiet=config.quiet,
            verbose=config.verbose,
        )
        prompt.in_progress = terminal.pending
        return terminal, prompt

    def _is_secret(self, line: str) -> bool:
        """True if a line holds the key."""
        return self._writer.mask(line) != line

    def _is_interactive(self, config: Config) -> bool:
        """True if a person types lines and reads the answers in a terminal."""
        return self.reads_stdin(config) and is_terminal(self._streams.stdin) and is_terminal(self._streams.stdout)

    @property
    def _can_draw(self) -> bool:
        """True if the terminal understands escape codes."""
        return sys.platform == "win32" or self._environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}

    def _has_prompt(self, config: Config) -> bool:
        """True if there is a prompt: a person types and reads in a terminal that can move its cursor."""
        return self._is_interactive(config) and self._can_draw and config.output_format is OutputFormat.TEXT

    def _why_no_prompt(self, config: Config) -> str:
        """Return what to change so that there is a prompt."""
        if not config.stdin:
            return "leave out --no-stdin"
        if config.output_format is not OutputFormat.TEXT:
            return f"leave out --output-format {config.output_format}"
        if not self._is_interactive(config):
            return "run it where stdin and stdout are a terminal"
        return f"this terminal cannot show a prompt (TERM={self._environ.get('TERM', '')})"

    def has_colors(self, color: Color, stream: TextIO | None) -> bool:
        """True if `stream` gets colours: by default only if stdin, stdout and `stream` are terminals."""
        is_plain = bool(self._environ.get("NO_COLOR")) or not self._can_draw
        are_terminals = all(is_terminal(each) for each in (self._streams.stdin, self._streams.stdout, stream))
        return color is Color.ALWAYS or (color is Color.AUTO and are_terminals and not is_plain)
