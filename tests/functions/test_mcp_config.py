"""Which servers the options and the files describe, and what each mistake prints."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gemini_live.config import McpOption
from gemini_live.errors import ConfigError
from gemini_live.functions.mcp_config import ServerSpec, name_command, read_servers, split_command

ENVIRON = {"PATH": "/bin", "GEMINI_API_KEY": "AIza-not-a-real-key", "TOKEN": "t0ken", "EMPTY": ""}


def read(
    *options: McpOption, files: tuple[Path, ...] = (), insecure: bool = False
) -> tuple[list[ServerSpec], list[str]]:
    return read_servers(options, files, ENVIRON, withheld=["GEMINI_API_KEY"], insecure=insecure)


def write(tmp_path: Path, servers: Any) -> Path:
    path = tmp_path / "mcp.json"
    path.write_text(servers if isinstance(servers, str) else json.dumps({"mcpServers": servers}))
    return path


def test_a_command_inherits_the_environment_without_keys_and_headers() -> None:
    inherited = {"PATH": "/bin", "EMPTY": ""}
    specs, warnings = read(
        McpOption("uvx 'mcp server' --zone UTC"), McpOption("https://host:8/mcp", (("Authorization", "TOKEN"),))
    )
    assert specs == [
        ServerSpec(name="mcp_server", command=("uvx", "mcp server", "--zone", "UTC"), environ=inherited),
        ServerSpec(name="host", url="https://host:8/mcp", headers={"Authorization": "t0ken"}),
    ]
    assert warnings == []
    assert "t0ken" not in repr(specs)


def test_a_file_describes_servers_as_other_clients_read_it(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {
            "time": {
                "command": "uvx",
                "args": ["mcp-server-time", "${ZONE:-UTC}"],
                "env": {"A": "${TOKEN}"},
                "cwd": "/",
            },
            "off": {"command": "x", "disabled": True},
            "web": {"type": "http", "url": "https://h/mcp", "headers": {"Authorization": "Bearer ${env:TOKEN}"}},
            "cli": {
                "httpUrl": "http://localhost:1/",
                "includeTools": ["a"],
                "excludeTools": ["b"],
                "timeout": 5,
                "trust": 1,
            },
        },
    )
    specs, warnings = read(McpOption("time"), files=(file,))
    inherited = {"PATH": "/bin", "TOKEN": "t0ken", "EMPTY": ""}
    assert specs == [
        ServerSpec(name="time", command=("time",), environ=inherited),
        ServerSpec(
            name="time_2", command=("uvx", "mcp-server-time", "UTC"), environ={**inherited, "A": "t0ken"}, cwd=Path("/")
        ),
        ServerSpec(name="web", url="https://h/mcp", headers={"Authorization": "Bearer t0ken"}),
        ServerSpec(name="cli", url="http://localhost:1/", includes=frozenset("a"), excludes=frozenset("b")),
    ]
    assert warnings == [f"{file}: server cli: not supported, ignored: timeout, trust"]


WRONG_OPTIONS: dict[McpOption, str] = {
    McpOption(""): "--mcp: the command is empty; give a command such as 'uvx mcp-server-time', or a URL",
    McpOption("uvx 'x"): "--mcp uvx 'x: not a command: No closing quotation",
    McpOption("x", (("A", "TOKEN"),)): "--mcp x: --mcp-header is for a server with a URL, and this is a command",
    McpOption("https://h", (("A", "NOPE"),)): "--mcp-header A=NOPE: the environment variable NOPE is not set",
    McpOption("https://h", (("A", "EMPTY"),)): "--mcp-header A=EMPTY: the environment variable EMPTY is not set",
    McpOption("https://"): "--mcp https://: not a URL such as https://example.com/mcp",
    McpOption("https://h:x"): "--mcp https://h:x: not a URL: Port could not be cast to integer value as 'x'",
    McpOption("https://me:secret@h"): "--mcp https://***: no password in the URL, which others can read: use "
    "--mcp-header Authorization=VARIABLE",
    McpOption("http://host/mcp"): "--mcp http://host/mcp: plain http to another machine can be read by others: "
    "use https, or add --insecure",
}


@pytest.mark.parametrize("option", WRONG_OPTIONS, ids=lambda option: option.server)
def test_a_wrong_option_is_told_in_one_line(option: McpOption) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(WRONG_OPTIONS[option])}$"):
        read(option)


def test_plain_http_is_for_this_machine_unless_insecure() -> None:
    assert read(McpOption("http://127.0.0.1:8/mcp"), McpOption("http://[::1]/"))[0]
    assert read(McpOption("http://host/mcp"), insecure=True)[0]


SHAPE = 'there is no object mcpServers, as in {"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"]}}}'
WRONG_FILES: list[tuple[Any, str]] = [
    ("{", "--mcp-config FILE is not JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
    ("[" * 100_000, "--mcp-config FILE is not JSON: maximum recursion depth exceeded while decoding a JSON array"),
    ("[]", f"--mcp-config FILE: {SHAPE}"),
    ('{"mcpServers": []}', f"--mcp-config FILE: {SHAPE}"),
    (" " * 1_100_000, "--mcp-config FILE is larger than 1 MiB"),
    ({"s": 3}, "FILE: server s: not a JSON object"),
    ({"s": {}}, "FILE: server s: give either command (with args) or url"),
    ({"s": {"command": "x", "url": "https://h"}}, "FILE: server s: give either command (with args) or url"),
    ({"s": {"command": ["x"]}}, "FILE: server s: command is not a string"),
    ({"s": {"command": "x", "args": "y"}}, "FILE: server s: args is not a list of strings"),
    ({"s": {"command": "x", "env": {"A": 1}}}, "FILE: server s: env is not an object of strings"),
    (
        {"s": {"type": "sse", "url": "https://h"}},
        "FILE: server s: type sse is not supported: use stdio (command) or http (url)",
    ),
    (
        {"s": {"url": "https://h", "headers": {"A": "${NOPE}"}}},
        "FILE: server s: headers.A: the environment variable NOPE is not set",
    ),
    (
        {"s": {"url": "https://h", "headers": {"A": "a\nb"}}},
        "FILE: server s: the value of the header A has a character that no header may have",
    ),
    ({"s": {"url": "https://h", "headers": {"A b": "c"}}}, "FILE: server s: 'A b' is not the name of a header"),
    (
        {"s": {"url": "http://h"}},
        "FILE: server s: plain http to another machine can be read by others: use https, or add --insecure",
    ),
    ({"s": {"url": "ftp://h"}}, "FILE: server s: not a URL such as https://example.com/mcp"),
]


@pytest.mark.parametrize(("content", "message"), WRONG_FILES, ids=[row[1][:50] for row in WRONG_FILES])
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        read(files=(file,))
    assert str(caught.value).replace(str(file), "FILE").startswith(message)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "it is a directory"), (tmp_path / "no", "No such file or directory")):
        with pytest.raises(ConfigError, match=re.escape(f"--mcp-config {path}: {why}")):
            read(files=(path,))


@pytest.mark.parametrize(
    ("text", "posix", "windows"),
    [
        ("uvx mcp-server-time", ["uvx", "mcp-server-time"], ["uvx", "mcp-server-time"]),
        (r'"C:\a b\x.exe" C:\c', [r"C:\a b\x.exe", "C:c"], [r"C:\a b\x.exe", r"C:\c"]),
        ("a 'b c'", ["a", "b c"], ["a", "b c"]),
    ],
)
def test_a_command_is_split_as_its_platform_does(text: str, posix: list[str], windows: list[str]) -> None:
    assert split_command(text, windows=False) == posix
    assert split_command(text, windows=True) == windows


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("uvx mcp-server-time --x", "mcp_server_time"),
        ("uvx mcp-server-time==1.2", "mcp_server_time"),
        ("npx -y @modelcontextprotocol/server-filesystem@2026.8.31 /tmp", "server_filesystem"),
        ("python3.12 -m mcp_server_time", "mcp_server_time"),
        ("/usr/bin/python tools/my-server.py", "my_server"),
        ("docker run -i --rm mcp/time", "time"),
        (r"C:\bin\files.exe", "files"),
        ("npx", "npx"),
        ("-", "server"),
    ],
)
def test_a_server_is_named_after_its_command(command: str, name: str) -> None:
    assert name_command(command.split()) == name
