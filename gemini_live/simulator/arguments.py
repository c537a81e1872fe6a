"""The simulator's own options, as the command and the client's `--simulate=ARGS` take them."""

import argparse
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from gemini_live import __version__

from ..errors import ConfigError
from ..files import is_same_file
from .answers import REQUESTS
from .faults import FAULT_KINDS, Scope, parse_fault

PROGRAM = "gemini-live-simulator"
DEFAULT_PORT = 8765
_WRITTEN = {"log", "verdict"}
"""Options that name a file to be written."""
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^\s/?#@]+/?", re.IGNORECASE)
"""What a browser can send as the origin of a page, and `*`. `null` is the origin of a page in a file."""


_NOT_WITH_REPLAY = (
    {"lifetime_s": "--lifetime", "ends_call_turn_s": "--end-call-turn", "typed_text": "--typed-text"},
    "the recording decides",
)
_NOT_WITH_UPSTREAM = (
    {**_NOT_WITH_REPLAY[0], "pace": "--pace", "seed": "--seed", "key": "--key", "faults": "--fault"},
    "everything is passed on unchanged",
)


@dataclass(frozen=True)
class CommandOptions:
    """What concerns the command, not the server."""

    strict: bool = False
    """True if a client's mistake makes the exit code 1."""
    verdict: Path | None = None
    """The file for the verdict, as JSON."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or number < 0:
        raise ValueError
    return number


_number.__name__ = "number, 0 or more"


def _seconds(text: str) -> float:
    number = _number(text)
    if number == 0:
        raise ValueError
    return number


_seconds.__name__ = "number of seconds above 0"


def _seconds_or_never(text: str) -> float | None:
    return None if text == "never" else _number(text)


_seconds_or_never.__name__ = "number, 0 or more, or never"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; what is not given is not in its result. Over 40 lines: one entry for each option."""
    parser = _Parser(
        prog=PROGRAM,
        description="A Live API server on this machine: an echo service that keeps the protocol, and breaks on demand.",
        epilog=format_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help=f"port to listen on; 0: any that is free ({DEFAULT_PORT})")
    parser.add_argument("--tls", action="store_true", help="speak https and wss, with a certificate of its own")
    parser.add_argument(
        "--tls-name", dest="tls_names", action="append", metavar="NAME", help="a name that clients use for this host"
    )
    parser.add_argument("--tls-dir", type=Path, metavar="DIR", help="keep the certificate in DIR and use it again")
    parser.add_argument("--key", help="accept this API key only (default: any, or none)")
    parser.add_argument(
        "--allow-origin",
        dest="allow_origins",
        action="append",
        metavar="ORIGIN",
        help="let web pages of ORIGIN connect, as in http://app.test:3000; *: all (pages of this machine always may)",
    )
    parser.add_argument(
        "--pace",
        type=_number,
        metavar="X",
        help="send speech X times faster than real time; 0: at once (4; --replay: 1)",
    )
    parser.add_argument(
        "--lifetime", dest="lifetime_s", type=_seconds, metavar="S", help="end connections after S seconds"
    )
    parser.add_argument(
        "--end-call-turn",
        dest="ends_call_turn_s",
        type=_seconds_or_never,
        metavar="S",
        help="2.5 models: end the turn of a call S seconds after it if nobody has answered; never: do not (0.1)",
    )
    parser.add_argument(
        "--typed-text",
        choices=("interrupts", "queues"),
        help="what realtimeInput.text does to an answer in progress (interrupts)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of everything that is random; makes handles and tokens repeatable too"
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="answer by the rules in FILE, in TOML")
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="FILE",
        help="serve the recording in FILE, with its timing at --pace 1",
    )
    parser.add_argument(
        "--upstream", metavar="URL", help="pass clients on to the server at URL, unchanged; record them with --log"
    )
    parser.add_argument("--fault", dest="faults", action="append", metavar="SPEC", help="do something wrong; see below")
    parser.add_argument("--log", type=Path, metavar="FILE", help="record every message in FILE (docs/recording.md)")
    parser.add_argument("--log-media", action="store_true", help="record sound and pictures too")
    parser.add_argument(
        "--verdict", type=Path, metavar="FILE", help="write the verdict on the clients to FILE, as JSON"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 if a client made mistakes or left the recording, for CI"
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def format_epilog() -> str:
    """Return the part of the help that tells what the model can be asked and what can go wrong."""
    lines = ["what the model does besides repeating what it is told:"]
    lines += [f"  {request:<24}{meaning}" for request, meaning in REQUESTS]
    lines += [
        "",
        "faults, --fault KIND[:ARG][@WHEN][*TIMES]:",
        "  WHEN is @2.5s (since the session began), @turn3 or @message10 (sent by the server);",
        "  TIMES is how often at most, over all sessions.",
    ]
    for scope in Scope:
        lines.append(f"  {scope.value}, where no WHEN says otherwise:")
        for kind in FAULT_KINDS:
            if kind.scope is scope:
                spec = f"{kind.name}:{kind.argument}" if kind.argument else kind.name
                lines.append(f"    {spec:<28}{kind.meaning}{f' [{kind.default}]' if kind.default else ''}")
    lines += [
        "",
        "stderr has one line for each session, function call and mistake.",
        "",
        "exit codes: 0 ended by Ctrl-C or SIGTERM; 1 a client made mistakes (--strict); 2 usage: an option, the port,",
        "  a file, a missing extra; 141 whoever read stdout closed it",
    ]
    return "\n".join(lines)


def parse_arguments(argv: Sequence[str]) -> dict[str, Any]:
    """Return the keyword arguments of `Simulator` that the command's options stand for.

    Raises:
        ConfigError: One line on what is wrong with them; or they concern the command only.
    """
    options, command = parse_command(argv)
    if command != CommandOptions():
        raise ConfigError("--strict and --verdict are for the command gemini-live-simulator")
    return options


def _check_deciders(options: Mapping[str, Any]) -> None:
    """Refuse options that contradict each other, or that have no effect.

    Raises:
        ConfigError: There are such options.
    """
    deciders = [name for name in ("script", "replay", "upstream") if name in options]
    if len(deciders) > 1:
        raise ConfigError(f"--{deciders[0]} and --{deciders[1]} exclude each other: each decides the answers")
    without_effect = {"upstream": _NOT_WITH_UPSTREAM, "replay": _NOT_WITH_REPLAY}
    for decider, (names, reason) in without_effect.items():
        for name in names if decider in options else ():
            if name in options:
                raise ConfigError(f"{names[name]} has no effect with --{decider}: {reason}")


def parse_command(argv: Sequence[str]) -> tuple[dict[str, Any], CommandOptions]:
    """Return the keyword arguments of `Simulator`, and what concerns the command.

    Raises:
        ConfigError: One line on what is wrong with them.
    """
    options = vars(build_parser().parse_args(argv))
    if not 0 <= options.get("port", 0) <= 65_535:
        raise ConfigError(f"argument --port: {options['port']} is no port")
    for origin in options.get("allow_origins", ()):
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(f"--allow-origin {origin}: not an origin as in http://app.test:3000, nor *")
    if options.get("log_media") and "log" not in options:
        raise ConfigError("--log-media needs --log FILE")
    for name in ("log", "verdict"):
        if options.get(name) == Path("-"):
            raise ConfigError(f"--{name} -: stdout has the greeting and the verdict for people; name a file")
    paths = [(name, value) for name, value in options.items() if isinstance(value, Path)]
    for (one, path), (other, other_path) in itertools.permutations(paths, 2):
        if one in _WRITTEN and is_same_file(path, other_path):
            raise ConfigError(f"--{one} would overwrite {other_path}, which is also given as --{other}")
    _check_deciders(options)
    for name in ("tls_names", "tls_dir"):
        if name in options and not options.get("tls"):
            raise ConfigError(f"--{name.removesuffix('s').replace('_', '-')} needs --tls")
    options["faults"] = [parse_fault(spec) for spec in options.get("faults", ())]
    command = CommandOptions(options.pop("strict", False), options.pop("verdict", None))
    return {"keep": False, **options}, command
