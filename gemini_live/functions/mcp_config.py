"""Which MCP servers the user wants: `--mcp`, `--mcp-header`, and files with `mcpServers` as other clients read them.

Pure, except for reading the file. Imports nothing of the `mcp` package, which is slow to load.
"""

import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from ..config import McpOption
from ..errors import ConfigError
from ..files import describe_non_file
from ..frozen import Frozen
from ..hosts import is_loopback

MAX_FILE_BYTES = 1024 * 1024
_LAUNCHERS = {"npx", "npm", "bunx", "bun", "node", "deno", "uvx", "uv", "pipx", "py", "docker", "podman", "cmd", "sh"}
_SUBCOMMANDS = {"run", "exec", "tool", "x", "start", "/c"}
_VARIABLE = re.compile(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_KNOWN_FIELDS = {
    *("command", "args", "env", "cwd", "type", "transport", "url", "httpUrl", "headers"),
    *("disabled", "includeTools", "excludeTools"),
}


class ServerSpec(Frozen, kw_only=True):
    """How to start or reach one MCP server, and which of its tools to offer."""

    name: str
    """Its short name, for messages and for prefixes of tools; unique."""
    command: tuple[str, ...] = ()
    """The command that starts the server; empty if the server has a URL."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The whole environment of the command."""
    cwd: Path | None = None
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    includes: frozenset[str] | None = None
    """The only tools to offer; None: all."""
    excludes: frozenset[str] = frozenset()
    """Tools that are not offered."""


def read_servers(
    options: Sequence[McpOption],
    files: Sequence[Path],
    environ: Mapping[str, str],
    *,
    withheld: Sequence[str],
    insecure: bool = False,
) -> tuple[list[ServerSpec], list[str]]:
    """Return the servers of the options and the files, and a warning for each server of a file with unknown fields.

    Args:
        options: The servers of the command line.
        files: Files with `mcpServers`.
        environ: The environment of this process.
        withheld: Variables that no server inherits: the API key.
        insecure: True to allow plain http beyond this machine.

    Raises:
        ConfigError: A server is described wrongly, or a file cannot be read.
    """
    hidden = {*withheld, *(variable for option in options for _, variable in option.headers)}
    inherited = {name: value for name, value in environ.items() if name not in hidden}
    specs, warnings = [], []
    for option in options:
        specs.append(_read_option(option, environ, inherited, insecure=insecure))
    for file in files:
        for name, entry in _read_file(file).items():
            spec, unknown = _read_entry(f"{file}: server {name}", name, entry, environ, inherited, insecure=insecure)
            specs += [] if spec is None else [spec]
            warnings += [f"{file}: server {name}: not supported, ignored: {', '.join(unknown)}"] if unknown else []
    return _with_unique_names(specs), warnings


def _read_option(
    option: McpOption, environ: Mapping[str, str], inherited: Mapping[str, str], *, insecure: bool
) -> ServerSpec:
    place = f"--mcp {option.server}"
    if is_url(option.server):
        headers = {}
        for header, variable in option.headers:
            if not environ.get(variable):
                raise ConfigError(f"--mcp-header {header}={variable}: the environment variable {variable} is not set")
            headers[header] = environ[variable]
        _check_url(place, option.server, insecure=insecure)
        _check_headers(place, headers)
        name = _clean(urlsplit(option.server).hostname or "")
        return ServerSpec(name=name, url=option.server, headers=headers)
    if option.headers:
        raise ConfigError(f"{place}: --mcp-header is for a server with a URL, and this is a command")
    try:
        words = split_command(option.server, windows=sys.platform == "win32")
    except ValueError as error:  # a quotation mark is missing
        raise ConfigError(f"{place}: not a command: {error}") from error
    if not words:
        raise ConfigError("--mcp: the command is empty; give a command such as 'uvx mcp-server-time', or a URL")
    return ServerSpec(name=name_command(words), command=tuple(words), environ=inherited)


def _read_file(file: Path) -> Mapping[str, Any]:
    """Return the servers of a file by name."""
    place = f"--mcp-config {file}"
    try:
        if (kind := describe_non_file(file)) is not None:
            raise ConfigError(f"{place}: {kind}")
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{place}: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{place} is larger than {MAX_FILE_BYTES >> 20} MiB")
    try:
        read = json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{place} is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{place} is not JSON: {error}") from error
    servers = read.get("mcpServers", read.get("servers")) if isinstance(read, dict) else None
    if not isinstance(servers, dict):
        raise ConfigError(
            f'{place}: there is no object mcpServers, as in {{"mcpServers": {{"time": {{"command": "uvx", "args": '
            '["mcp-server-time"]}}}'
        )
    return servers


def _read_entry(
    place: str,
    name: str,
    entry: Any,
    environ: Mapping[str, str],
    inherited: Mapping[str, str],
    *,
    insecure: bool,
) -> tuple[ServerSpec | None, list[str]]:
    """Return one server of a file, or None if it is disabled, and the names of its unknown fields.

    Over 40 lines: one check after the other.
    """
    if not isinstance(entry, dict):
        raise ConfigError(f"{place}: not a JSON object")
    if entry.get("disabled") is True:
        return None, []
    texts = _Fields(place, entry, environ)
    command, url = texts.text("command"), texts.text("url") or texts.text("httpUrl")
    kind = (texts.text("type") or texts.text("transport") or "").lower()
    if kind == "sse" or kind not in {"", "stdio", "http", "streamable-http", "streamablehttp", "streamable_http"}:
        raise ConfigError(f"{place}: type {kind} is not supported: use stdio (command) or http (url)")
    if bool(command) == bool(url):
        raise ConfigError(f"{place}: give either command (with args) or url")
    includes = frozenset(texts.words("includeTools")) if "includeTools" in entry else None
    excludes = frozenset(texts.words("excludeTools"))
    unknown = sorted(set(entry) - _KNOWN_FIELDS)
    name = _clean(name)
    if url:
        headers = texts.table("headers")
        _check_url(place, url, insecure=insecure)
        _check_headers(place, headers)
        spec = ServerSpec(name=name, url=url, headers=headers, includes=includes, excludes=excludes)
        return spec, unknown
    cwd = texts.text("cwd")
    spec = ServerSpec(
        name=name,
        command=(command, *texts.words("args")),
        environ={**inherited, **texts.table("env")},
        cwd=Path(cwd).expanduser() if cwd else None,
        includes=includes,
        excludes=excludes,
    )
    return spec, unknown


class _Fields(Frozen):
    """The fields of one server in a file, checked, with environment variables in place of `${NAME}`."""

    place: str
    entry: Mapping[str, Any]
    environ: Mapping[str, str]

    def text(self, key: str) -> str:
        """Return a field that is a string; empty if it is absent."""
        value = self.entry.get(key, "")
        if not isinstance(value, str):
            raise ConfigError(f"{self.place}: {key} is not a string")
        return self._expand(key, value)

    def words(self, key: str) -> tuple[str, ...]:
        """Return a field that is a list of strings."""
        value = self.entry.get(key, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise ConfigError(f"{self.place}: {key} is not a list of strings")
        return tuple(self._expand(key, word) for word in value)

    def table(self, key: str) -> dict[str, str]:
        """Return a field that is an object of strings."""
        value = self.entry.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise ConfigError(f"{self.place}: {key} is not an object of strings")
        return {name: self._expand(f"{key}.{name}", text) for name, text in value.items()}

    def _expand(self, key: str, text: str) -> str:
        def replace(match: re.Match[str]) -> str:
            name, default = match.groups()
            if (value := self.environ.get(name) or default) is None:
                raise ConfigError(f"{self.place}: {key}: the environment variable {name} is not set")
            return value

        return _VARIABLE.sub(replace, text)


def is_url(server: str) -> bool:
    """True if the value of `--mcp` is a URL, not a command."""
    return re.match(r"https?://", server, re.IGNORECASE) is not None


def _check_url(place: str, url: str, *, insecure: bool) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{place}: not a URL: {error}") from error
    if not host or parts.scheme.lower() not in {"http", "https"}:
        raise ConfigError(f"{place}: not a URL such as https://example.com/mcp")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"{place.replace(parts.netloc, '***')}: no password in the URL, which others can read: "
            "use --mcp-header Authorization=VARIABLE"
        )
    if parts.scheme.lower() == "http" and not insecure and not is_loopback(host):
        raise ConfigError(f"{place}: plain http to another machine can be read by others: use https, or add --insecure")


def _check_headers(place: str, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigError(f"{place}: {name!r} is not the name of a header")
        if not re.fullmatch(r"[ -~]+", value) or value != value.strip():
            raise ConfigError(f"{place}: the value of the header {name} has a character that no header may have")


def split_command(text: str, *, windows: bool) -> list[str]:
    r"""Split a command into words as a shell does; on Windows, a backslash is an ordinary character.

    Raises:
        ValueError: A quotation mark is missing.
    """
    if not windows:
        return shlex.split(text)
    words = shlex.split(text, posix=False)
    return [word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word for word in words]


def name_command(words: Sequence[str]) -> str:
    """Return a short name for the server that a command starts: its last path component, past `npx`, `python -m`..."""
    for word in words:
        base = PurePath(word.replace("\\", "/")).name
        stem = re.sub(r"\.(py|js|mjs|ts|exe|cmd|bat|sh)$", "", re.sub(r"(?<=.)@[^@]*$|[=<>].*$", "", base))
        is_launcher = stem in _LAUNCHERS or re.fullmatch(r"(python|pypy)[\d.]*w?", stem) is not None
        if not word.startswith("-") and not is_launcher and base not in _SUBCOMMANDS:
            return _clean(stem)
    return _clean(PurePath(words[0]).stem)


def _clean(name: str) -> str:
    """Return a name with the characters that the name of a function may have."""
    return re.sub(r"\W", "_", name, flags=re.ASCII).strip("_")[:32] or "server"


def _with_unique_names(specs: Sequence[ServerSpec]) -> list[ServerSpec]:
    """Return the servers with unique names: a number is appended to a name that an earlier server has."""
    named: dict[str, ServerSpec] = {}
    for spec in specs:
        numbered = (spec.name if number == 1 else f"{spec.name}_{number}" for number in range(1, len(specs) + 2))
        name = next(each for each in numbered if each not in named)
        named[name] = dataclasses.replace(spec, name=name)
    return list(named.values())
