"""The functions and the MCP servers that the settings ask for, ready to be loaded.

The main thread runs this. What is slow to import is imported only if it is asked for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .config import Config
from .errors import MissingExtraError
from .frozen import Frozen
from .models import capabilities_of
from .output import events
from .output.events import Event
from .process.lines import LineWriter

if TYPE_CHECKING:
    from .functions.library import FunctionLibrary
    from .functions.mcp import McpServers


class Surroundings(Frozen, kw_only=True):
    """What functions need of this process."""

    environ: Mapping[str, str]
    """The environment, with the keys."""
    key: str
    """The API key, for functions that ask for it."""
    withheld: Sequence[str]
    """Variables that no other program may see."""
    emit: Callable[[Event], None]
    """Shows an event."""
    print_line: Callable[[str], None]
    """Shows a line that a function has printed."""
    end_line: Callable[[], None]
    """Shows the line that the thread of a function has begun."""
    keep_secrets: Callable[[Iterable[str]], None]
    """Masks texts in all output."""
    is_interrupted: Callable[[], bool]
    """Returns True if a `KeyboardInterrupt` comes from the user's Ctrl-C, not from a function."""


def load_library(config: Config, around: Surroundings) -> "FunctionLibrary | None":
    """Load the user's files, and prepare the MCP servers; return None if nothing is asked for.

    Raises:
        ConfigError: A server is described wrongly, or an extra is missing.
        FunctionDeclarationError: A file cannot be imported, or a function cannot be declared.
    """
    if not (config.import_functions or config.mcp or config.mcp_config):
        return None
    from .functions.key import keep_api_key  # noqa: PLC0415
    from .functions.library import FunctionLibrary  # noqa: PLC0415

    keep_api_key(around.key)
    return FunctionLibrary(
        config.import_functions,
        _prepare_servers(config, around),
        capabilities=capabilities_of(config.model),
        timeout_s=config.function_timeout_s,
        end_line=around.end_line,
        is_interrupted=around.is_interrupted,
    )


def _prepare_servers(config: Config, around: Surroundings) -> "McpServers | None":
    if not (config.mcp or config.mcp_config):
        return None
    from .functions.mcp_config import read_servers  # noqa: PLC0415

    specs, warnings = read_servers(
        config.mcp, config.mcp_config, around.environ, withheld=around.withheld, insecure=config.insecure
    )
    # A header is often a word and the secret, as in `Bearer abc`.
    secrets = [value for spec in specs for value in spec.headers.values()]
    around.keep_secrets([*secrets, *(value.split()[-1] for value in secrets)])
    for warning in warnings:
        around.emit(events.Warning(warning))
    try:
        from .functions.mcp import Listener, McpServers  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise MissingExtraError("--mcp", "mcp") from error

    def open_stderr(name: str) -> Callable[[bytes], None]:
        stderr = LineWriter(lambda line: around.print_line(f"{name}: {line}"))

        def write(data: bytes) -> None:
            stderr.buffer.write(data)

        return write

    listener = Listener(
        warn=lambda text: around.emit(events.Warning(text)),
        note=lambda text: around.emit(events.Status(text)),
        tell=lambda text: around.emit(events.Detail(text)),
        print_line=around.print_line,
        open_stderr=open_stderr,
        sees_pictures=capabilities_of(config.model).observed.sees_result_pictures,
    )
    return McpServers(specs, listener)
