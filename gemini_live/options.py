"""The command's options: the parser, and what argv and the environment make of a `Config`.

Defaults are those of `Config`, the only place that has any: the parser leaves out what was not given. Pure, but for the
file that `--setup @FILE` names, and a look at whether two names are one file.
"""

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from . import __version__
from .config import Color, Config, OutputFormat
from .errors import EXIT_CODE_MEANINGS, ConfigError, ExitCode
from .models import MODELS, VOICES
from .output.escaping import one_line
from .wire.setup import build_setup, model_of, parse_setup_option
from .wire.setup_facts import lacks_words, read_setup

PROG = "gemini-live"
SIMULATED_KEY = "simulated"
SHELLS = ("bash", "zsh", "fish")
MAX_FPS = 60.0
MIN_SCREEN_SIZE, MAX_SCREEN_SIZE = 16, 16_384

_DEFAULTS = {field.name: field.default for field in fields(Config)}
_API_VERSION = re.compile(r"v\d+((alpha|beta)\d*)?")
_VERTEX_VARIABLES = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")

_ENVIRONMENT = """\
environment:
  GOOGLE_API_KEY, GEMINI_API_KEY  the key, or a token (auth_tokens/...)
  GEMINI_LIVE_MODEL               the default of --model
  GOOGLE_GEMINI_BASE_URL          the default of --base-url
  GOOGLE_GENAI_API_VERSION        the default of --api-version
  HTTPS_PROXY, ALL_PROXY          a proxy; NO_PROXY: hosts without one
  SSL_CERT_FILE                   certificates to trust
  NO_COLOR                        no colours, unless --color always"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        self.exit(ExitCode.USAGE, f"{self.prog}: error: {one_line(message, fold=False)} (see {self.prog} --help)\n")


def _number(minimum: float, maximum: float = math.inf, *, above: bool = False) -> Any:
    """Return a converter for finite numbers from `minimum` (or `above` it) to `maximum`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not minimum <= value <= maximum or (above and value == minimum):
            bound = f"above {minimum:g}" if above else f"{minimum:g} or more"
            upper = "" if maximum == math.inf else f", at most {maximum:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {bound}{upper}")
        return value

    return convert


def _whole(minimum: int, maximum: int = 10**9) -> Any:
    """Return a converter for whole numbers from `minimum` to `maximum`."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"-?\d{1,10}", text) or not minimum <= int(text) <= maximum:
            upper = "" if maximum == 10**9 else f", at most {maximum}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, {minimum} or more{upper}")
        return int(text)

    return convert


def _setup(text: str) -> Mapping[str, Any]:
    try:
        return parse_setup_option(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--setup ").removeprefix("--setup: ")) from error


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; it gives only what was given, under the names of `Config`'s fields."""
    parser = _Parser(
        prog=PROG,
        usage=f"{PROG} [options]",
        description="Talk with Gemini through Google's Live API: by voice, text, screen and tools.",
        epilog=f"{_ENVIRONMENT}\n\nexit codes:\n{_format_exit_codes()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    _add_conversation(parser.add_argument_group("conversation"))
    _add_connection(parser.add_argument_group("connection"))
    _add_devices(parser.add_argument_group("sound and screen"))
    _add_scripting(parser.add_argument_group("scripting"))
    return parser


def _format_exit_codes() -> str:
    return "\n".join(f"  {code.value:<5}{meaning}" for code, meaning in EXIT_CODE_MEANINGS.items())


def _default(name: str) -> str:
    value = _DEFAULTS[name]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _switch(group: argparse._ArgumentGroup, name: str, text: str) -> None:
    group.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, help=text)


def _add_conversation(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--system-instruction", metavar="TEXT", help="what the model is to be and do")
    group.add_argument("--initial-message", metavar="TEXT", help="ask this first")
    group.add_argument(
        "--initial-message-delay",
        dest="initial_message_delay_s",
        metavar="SECONDS",
        type=_number(0),
        help=f"hold back the initial message, once [{_default('initial_message_delay_s')}]",
    )
    group.add_argument(
        "--voice", metavar="NAME", help=f"{', '.join(VOICES[:4])} and {len(VOICES) - 4} others [{_default('voice')}]"
    )
    _switch(group, "audio-input", "listen to the microphone [on where stdin is a terminal]")
    _switch(group, "audio-output", "play what the model says [on, unless --text-output]")
    _switch(group, "text-output", "answer in words: where the model only speaks, print them and play nothing [off]")
    _switch(group, "transcription", "ask for the words of what is heard and spoken [on]")
    _switch(group, "search", "let the model search with Google [off]")
    _switch(group, "code-execution", "let the model run code of its own, on models that can [off]")
    group.add_argument(
        "--import-functions",
        metavar="FILE",
        type=Path,
        action="append",
        help="let the model call the public functions of this Python file; may be repeated",
    )
    group.add_argument(
        "--function-timeout",
        dest="function_timeout_s",
        metavar="SECONDS",
        type=_number(0, above=True),
        help=f"give up a function after this time [{_default('function_timeout_s')}]",
    )
    _switch(group, "context-compression", "let the service forget the oldest turns of a long session [on]")
    group.add_argument(
        "--push-to-talk",
        action="store_true",
        help="be heard only while the talk key is on: Ctrl-T, or Space on an empty line, turns it on and off",
    )
    _switch(group, "half-duplex", "keep the microphone silent while the model is heard [off; on with --simulate]")


def _add_connection(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", metavar="ID", help=f"{', '.join(MODELS)}, or another [{_default('model')}]")
    group.add_argument("--base-url", metavar="URL", help=f"where the service is [{_default('base_url')}]")
    group.add_argument("--insecure", action="store_true", help="allow a plain http --base-url on another machine [off]")
    group.add_argument("--api-version", metavar="V", help="v1, v1beta or v1alpha [v1beta; v1alpha with a token]")
    group.add_argument(
        "--simulate",
        metavar="ARGS",
        nargs="?",
        const="",
        help="talk to the built-in simulator; needs no key. ARGS: its own options, as in --simulate='--pace 0'",
    )
    group.add_argument(
        "--setup",
        metavar="JSON",
        type=_setup,
        help="merge this, or @FILE, over the setup message (RFC 7386: null deletes)",
    )
    _switch(group, "reconnect", "go on with a new connection when one is lost [on]")


def _add_devices(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--list-devices", action="store_true", help="list the sound devices, and end")
    group.add_argument("--input-device", metavar="X", help="microphone: index or part of its name")
    group.add_argument("--output-device", metavar="X", help="speaker: index or part of its name")
    group.add_argument(
        "--input-file",
        metavar="FILE",
        type=Path,
        help="play this file to the model in place of the microphone (WAV; FLAC, Ogg, MP3 with the files extra)",
    )
    group.add_argument(
        "--output-file", metavar="FILE.wav", type=Path, help="write everything the model says, played or not"
    )
    group.add_argument(
        "--force", action="store_true", help="overwrite the output file even if gemini-live did not write it"
    )
    group.add_argument(
        "--screen-capture-fps",
        metavar="FPS",
        type=_number(0, MAX_FPS, above=True),
        help="show the screen to the model; it looks at one frame a second at most [off]",
    )
    group.add_argument("--monitor", metavar="N", type=_whole(0), help=f"which monitor; 0: all [{_default('monitor')}]")
    group.add_argument(
        "--screen-size",
        metavar="PX",
        type=_whole(MIN_SCREEN_SIZE, MAX_SCREEN_SIZE),
        help=f"longer side of a frame, in pixels [{_default('screen_size')}]",
    )


def _add_scripting(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--output-format",
        choices=[value.value for value in OutputFormat],
        help=f"jsonl: one JSON object an event [{_default('output_format')}]",
    )
    group.add_argument("--turns", metavar="N", type=_whole(1), help="leave after N complete answers")
    group.add_argument(
        "--timeout", dest="timeout_s", metavar="SECONDS", type=_number(0, above=True), help="leave after this time"
    )
    group.add_argument("--no-stdin", dest="stdin", action="store_false", help="do not read questions from stdin")
    group.add_argument("-v", "--verbose", action="store_true", help="every message both ways, on stderr")
    group.add_argument("-q", "--quiet", action="store_true", help="errors only on stderr")
    group.add_argument(
        "--color",
        choices=[value.value for value in Color],
        help=f"colours [{_default('color')}]",
    )
    group.add_argument(
        "--print-completion",
        metavar="SHELL",
        choices=SHELLS,
        help=f"print a script that completes these options in {', '.join(SHELLS[:-1])} or {SHELLS[-1]}, and end",
    )
    group.add_argument(
        "--no-history", dest="history", action="store_false", help="keep nothing of what is typed for the next session"
    )
    group.add_argument("--version", action="version", version=f"{PROG} {__version__}")


def read_config(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """Return the settings that the given arguments and the environment make.

    Raises:
        ConfigError: They contradict each other, or there is no key.
    """
    given = {name: value for name, value in arguments.items() if name in _DEFAULTS}
    if "import_functions" in given:
        given["import_functions"] = tuple(given["import_functions"])
    if not given.get("initial_message", "").strip():
        given.pop("initial_message", None)  # as an empty line of stdin: nothing is asked
    if given.get("simulate") is not None:
        if "base_url" in given:
            raise ConfigError("--simulate and --base-url: only one of them")
        given["api_key"] = SIMULATED_KEY
    else:
        given.setdefault("base_url", environ.get("GOOGLE_GEMINI_BASE_URL") or _DEFAULTS["base_url"])
        given["api_key"] = _read_key(environ)
        given["api_version"] = given.get("api_version") or environ.get("GOOGLE_GENAI_API_VERSION")
    given["api_version"] = _read_api_version(given.get("api_version") or "")
    for name, choice in (("output_format", OutputFormat), ("color", Color)):
        if name in given:
            given[name] = choice(given[name])
    given.setdefault("model", environ.get("GEMINI_LIVE_MODEL") or _DEFAULTS["model"])
    given["model"] = model_of(given.get("setup", {})) or given["model"]  # what is known of it is to be asked for
    # Naming a device asks for it.
    if "input_device" in given and "input_file" not in given:
        given.setdefault("audio_input", True)
    if "output_device" in given:
        given.setdefault("audio_output", True)
    config = Config(**given)
    _check(config)
    return config


def _read_api_version(text: str) -> str | None:
    version = text.strip()
    version = "v1beta" if version == "beta" else version
    if version and not _API_VERSION.fullmatch(version):
        raise ConfigError(f"--api-version: {version!r} is not a version such as v1, v1beta or v1alpha")
    return version or None


def _read_key(environ: Mapping[str, str]) -> str:
    key = environ.get("GOOGLE_API_KEY", "").strip() or environ.get("GEMINI_API_KEY", "").strip()
    if not key:
        vertex = _find_vertex(environ)
        raise ConfigError(
            "no API key: set GEMINI_API_KEY (make one at https://aistudio.google.com/apikey), "
            "or try the built-in simulator with --simulate"
            + (f"; {vertex} is set, but Vertex AI is not supported yet" if vertex else "")
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigError(
            "the API key in the environment has a space, a line break or another character in it that no key has: "
            "copy it again"
        )
    return key


def _check(config: Config) -> None:
    """Refuse what cannot be meant.

    Raises:
        ConfigError: Two options contradict each other.
    """
    if config.verbose and config.quiet:
        raise ConfigError("--verbose and --quiet: only one of them")
    if not config.model.strip() or not re.fullmatch(r"[!-~]+", config.model):
        raise ConfigError(f"--model: {config.model!r} is not the id of a model")
    if config.input_file is not None and (config.audio_input or config.input_device is not None):
        raise ConfigError("--input-file replaces the microphone: leave out --audio-input and --input-device")
    if config.push_to_talk and (config.input_file is not None or config.audio_input is False):
        raise ConfigError("--push-to-talk is for the microphone: leave out --input-file and --no-audio-input")
    for path in (config.input_file, *config.import_functions):
        if path is not None and config.output_file is not None and _is_same(path, config.output_file):
            raise ConfigError(f"--output-file would overwrite {path}, which --input-file or --import-functions reads")
    facts = read_setup(build_setup(config, [], handle=None, seeds_history=False))
    if lacks_words(config, facts):
        raise ConfigError(f"--text-output: {config.model} only speaks, and without --transcription there are no words")


def _is_same(one: Path, other: Path) -> bool:
    """Whether two names are of one file, through links too."""
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet
        return one.absolute() == other.absolute()


def find_warnings(config: Config, environ: Mapping[str, str]) -> list[str]:
    """Return a line for everything about the settings that may not be meant."""
    warnings = []
    vertex = _find_vertex(environ)
    if vertex and config.simulate is None:
        warnings.append(f"{vertex} is set, but Vertex AI is not supported yet: the Gemini API is used")
    return warnings


def _find_vertex(environ: Mapping[str, str]) -> str | None:
    """Return the variable, if any, that asks Google's SDKs to use Vertex AI."""
    return next((name for name in _VERTEX_VARIABLES if environ.get(name, "").strip().lower() in {"1", "true"}), None)


def parse(argv: Sequence[str]) -> dict[str, Any]:
    """Return the arguments that were given.

    Raises:
        SystemExit: They are wrong, or `--help` or `--version` was among them.
    """
    return vars(build_parser().parse_args(argv))
