"""The settings of a session: one frozen object, and the only place with defaults.

`options` builds it from argv and the environment; everybody else reads it. Pure.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .frozen import Frozen

DEFAULT_MODEL = "gemini-3.8-live"
DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
MAX_PICTURES = 16
"""How many pictures a question carries."""
GOOGLE_DOMAIN = "googleapis.com"


class OutputFormat(StrEnum):
    """What stdout carries."""

    TEXT = "text"
    JSONL = "jsonl"


class Color(StrEnum):
    """When the terminal's colours are used."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class McpOption(Frozen):
    """An MCP server on the command line."""

    server: str
    """A command, or a URL that begins with http."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers for a URL: each name with the environment variable that holds the value."""


class Config(Frozen, kw_only=True):
    """The settings of one session. A switch that is `None` was not given; its effect depends on other settings."""

    system_instruction: str | None = None
    initial_message: str | None = None
    initial_message_delay_s: float = 0.0
    voice: str = "Charon"
    audio_input: bool | None = None
    audio_output: bool | None = None
    text_output: bool = False
    search: bool = False
    code_execution: bool = False
    screen_capture_fps: float | None = None
    import_functions: tuple[Path, ...] = ()
    image: tuple[Path, ...] = ()
    """Pictures that are shown with the first question."""

    model: str = DEFAULT_MODEL
    base_url: str = DEFAULT_BASE_URL
    api_version: str | None = None
    """`None`: v1beta with a key, v1alpha with an ephemeral token."""
    insecure: bool = False
    """True to allow a plain-http `base_url` beyond this machine."""
    api_key: str = field(default="", repr=False)
    simulate: str | None = None
    """The simulator's own arguments; `None`: the real service."""
    setup: Mapping[str, Any] = field(default_factory=dict)
    """Merged over the setup message, RFC 7386."""
    setup_file: Path | None = None
    """The file that `setup` was read from, if it was."""
    reconnect: bool = True

    transcription: bool = True
    context_compression: bool = True
    push_to_talk: bool = False
    half_duplex: bool | None = None
    echo_cancellation: bool | None = None
    """`None`: on if the extra is installed."""

    input_device: str | None = None
    """The microphone's index, or a part of its name; `None`: the system's default."""
    output_device: str | None = None
    """The loudspeaker's index, or a part of its name; `None`: the system's default."""
    input_file: tuple[Path, ...] = ()
    """Sound files in place of the microphone, played one after the other."""
    output_file: Path | None = None
    record: Path | None = None
    """The file that the session is recorded to."""
    redact: bool = False
    """True to record no media, and of words only their length."""
    force: bool = False
    """True to overwrite an output file or a recording that another program wrote."""
    monitor: int = 1
    screen_size: int = 1024
    """Longest side of a screen frame, in pixels."""

    output_format: OutputFormat = OutputFormat.TEXT
    turns: int | None = None
    timeout_s: float | None = None
    stdin: bool = True
    verbose: bool = False
    quiet: bool = False
    color: Color = Color.AUTO
    history: bool = True
    """True to save what is typed for the next session."""
    function_timeout_s: float = 60.0
    confirm_functions: bool = False
    """True to ask at the prompt before each call."""
    allow: tuple[str, ...] = ()
    """Functions that run without a confirmation; `*` stands for any text."""
    mcp: tuple[McpOption, ...] = ()
    mcp_config: tuple[Path, ...] = ()
    """Files that describe MCP servers."""

    @property
    def plays_audio(self) -> bool:
        """True if the model's speech is played: by default unless text was asked for."""
        return self.audio_output if self.audio_output is not None else not self.text_output

    @property
    def server_name(self) -> str | None:
        """The name of a server that is not Google's: `simulator`, or the host of the base URL; `None` for Google's."""
        if self.simulate is not None:
            return "simulator"
        host = urlsplit(self.base_url).hostname or ""
        return None if host == GOOGLE_DOMAIN or host.endswith(f".{GOOGLE_DOMAIN}") else host
