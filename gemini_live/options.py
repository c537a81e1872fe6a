"""The command's options: the parser, and the `Config` that argv and the environment make.

Only `Config` holds defaults: the parser leaves out what was not given. Pure, except for reading the file of
`--setup @FILE` and checking which paths and streams are the same file.

The length: one entry for each option, and `--help` reads best if all of them are in one place.
"""

import argparse
import difflib
import math
import os
import re
import stat
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TextIO

from . import __version__
from .config import MAX_PICTURES, Color, Config, McpOption, OutputFormat
from .errors import EXIT_CODE_MEANINGS, ConfigError, ExitCode
from .escaping import one_line
from .files import STDIN, is_same_file
from .models import MODELS, VOICES
from .wire.setup import build_setup, model_of, parse_setup_option
from .wire.setup_facts import lacks_words, read_setup

PROG = "gemini-live"
REPLAY = "replay"
COMMANDS = ("inspect", "diff", REPLAY)
"""A first argument that is one of these is a command of its own, with its own options."""
SIMULATED_KEY = "simulated"
SHELLS = ("bash", "zsh", "fish")
MAX_FPS = 60.0
MIN_SCREEN_SIZE, MAX_SCREEN_SIZE = 16, 16_384

_DEFAULTS = {field.name: field.default for field in fields(Config)}
_API_VERSION = re.compile(r"v\d+((alpha|beta)\d*)?")
_VERTEX_VARIABLES = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")

KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""The first one that is set is used."""

_ENVIRONMENT = """\
environment:
  GOOGLE_API_KEY, GEMINI_API_KEY  the key, or a token (auth_tokens/...)
  GEMINI_LIVE_MODEL               the default of --model
  GOOGLE_GEMINI_BASE_URL          the default of --base-url
  GOOGLE_GENAI_API_VERSION        the default of --api-version
  HTTPS_PROXY, ALL_PROXY          a proxy; NO_PROXY: hosts without one
  SSL_CERT_FILE                   certificates to trust
  NO_COLOR                        no colours, unless --color always"""

_COMMANDS = """\
commands (each has its own --help):
  inspect FILE  show a recording (--record): who said what when, how quickly
  diff A B      compare two recordings turn by turn
  replay FILE   send what its client sent to a server, and record it anew"""

_EXAMPLES = """\
examples:
  gemini-live --voice Aoede
      talk, with a microphone and a speaker
  gemini-live --import-functions tools.py
      let the model call your Python functions
  echo 'What is a monad?' | gemini-live --text-output
      ask from a script; the answer goes to stdout

Try it without a key: gemini-live --simulate
Documentation: README.md and the folder docs/ of the repository"""


class _Once(argparse.Action):
    """Mixin: refuses an option that is given twice, instead of using the last one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if hasattr(namespace, self.dest):  # the parser sets no defaults
            raise argparse.ArgumentError(self, "may be given only once")
        super().__call__(parser, namespace, values, option_string)


class _Store(_Once, argparse._StoreAction):
    pass


class _StoreSetup(_Store):
    """Stores the setup under `setup`, and the path of its file, if it has one, under `setup_file`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setup, file = values
        super().__call__(parser, namespace, setup, option_string)
        if file is not None:
            namespace.setup_file = file


class _StoreTrue(_Once, argparse._StoreTrueAction):
    pass


class _StoreFalse(_Once, argparse._StoreFalseAction):
    pass


class _Switch(_Once, argparse.BooleanOptionalAction):
    pass


class _AppendServer(argparse.Action):
    """Collects the servers of `--mcp`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, (*getattr(namespace, self.dest, ()), McpOption(values)))


class _AddHeader(argparse.Action):
    """Adds a header to the server of the `--mcp` before it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        *others, last = getattr(namespace, "mcp", ()) or (None,)
        if last is None:
            raise argparse.ArgumentError(self, "belongs after the --mcp URL that it is for")
        namespace.mcp = (*others, McpOption(last.server, (*last.headers, values)))


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, action in ((None, _Store), ("store_true", _StoreTrue), ("store_false", _StoreFalse)):
            self.register("action", name, action)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong in one line, and exit."""
        self.exit(ExitCode.USAGE, f"{self.prog}: error: {one_line(message, fold=False)} (see {self.prog} --help)\n")

    def refuse_unknown(self, argument: str) -> NoReturn:
        """Print that an argument is unknown, with the most similar option if there is one, and exit."""
        if not argument.startswith("-"):
            self.error(f"unexpected argument: {argument}; ask with --initial-message, or through stdin")
        name = argument.partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        near = [option for option in known if option.startswith(name)] or difflib.get_close_matches(name, known, n=1)
        self.error(f"unknown option: {name}" + (f"; did you mean {near[0]}?" if near else ""))


def _number(minimum: float, maximum: float = math.inf, *, above: bool = False) -> Any:
    """Return a converter for finite numbers from `minimum` to `maximum`; `above` excludes the minimum itself."""

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


def _name(of: str) -> Any:
    """Return a converter that refuses an empty text, which names nothing; `of` tells what is named."""

    def convert(text: str) -> str:
        if not text.strip():
            raise argparse.ArgumentTypeError(f"{text!r} is not the name of a {of}")
        return text

    return convert


def _file(purpose: str) -> Any:
    """Return a converter for the path of a file; `purpose` tells why it cannot be a standard stream."""

    def convert(text: str) -> Path:
        _name("file")(text)
        if text == "-":
            raise argparse.ArgumentTypeError(f"'-' is not a file: {purpose}")
        return Path(text)

    return convert


def _sound(text: str) -> Path:
    """Return the path of a sound file, which may be stdin."""
    _name("file")(text)
    path = Path(text)
    return path if text == "-" or path != STDIN else path.absolute()  # ./- is a file


def _header(text: str) -> tuple[str, str]:
    """Return the name of a header and the environment variable with its value."""
    name, _, variable = text.partition("=")
    if not re.fullmatch(r"[\w-]+", name) or not re.fullmatch(r"[A-Za-z_]\w*", variable):
        raise argparse.ArgumentTypeError(  # without the text, which may hold the secret itself
            "is not NAME=ENV: give the environment variable that holds the value, as in Authorization=MY_TOKEN"
        )
    return name, variable


def _setup(text: str) -> tuple[Mapping[str, Any], Path | None]:
    """Return the setup and the path of the file that it was read from."""
    if text.startswith("@"):
        _name("file")(text[1:])
    try:
        return parse_setup_option(text), Path(text[1:]).expanduser() if text.startswith("@") else None
    except ConfigError as error:
        raise argparse.ArgumentTypeError(
            str(error).removeprefix("--setup: ").replace("--setup is", "it is").removeprefix("--setup ")
        ) from error


def build_parser() -> _Parser:
    """Return the parser. Its result holds only what was given, under the names of `Config`'s fields."""
    parser = _Parser(
        prog=PROG,
        usage=f"{PROG} [options]\n       {PROG} {{{','.join(COMMANDS)}}} ...",
        description="Talk with Gemini through Google's Live API: by voice, text and screen.",
        epilog=f"{_COMMANDS}\n\n{_ENVIRONMENT}\n\nexit codes:\n{_format_exit_codes()}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    _add_conversation(parser.add_argument_group("conversation"))
    _add_functions(parser.add_argument_group("functions"))
    _add_connection(parser.add_argument_group("connection"))
    _add_devices(parser.add_argument_group("sound and screen"))
    _add_recording(parser.add_argument_group("recording"))
    _add_scripting(parser.add_argument_group("scripting"))
    return parser


def build_replay_parser() -> _Parser:
    """Return the parser of `gemini-live replay`."""
    parser = _Parser(
        prog=f"{PROG} {REPLAY}",
        description="Send what the client of a recording sent to a server or another model, and record what comes "
        "back: gemini-live diff compares both recordings.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="the recording to replay")
    _add_server(parser.add_argument_group("connection"))
    recording = parser.add_argument_group("recording")
    _add_recording(recording)
    recording.add_argument("--force", action="store_true", help="let --record overwrite any file with JSON lines [off]")
    _add_process(parser.add_argument_group("scripting"))
    return parser


def _format_exit_codes() -> str:
    return "\n".join(f"  {code.value:<5}{meaning}" for code, meaning in EXIT_CODE_MEANINGS.items())


def _default(name: str) -> str:
    value = _DEFAULTS[name]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _switch(group: argparse._ArgumentGroup, name: str, text: str) -> None:
    group.add_argument(f"--{name}", action=_Switch, help=text)


def _add_conversation(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--system-instruction", metavar="TEXT", help="tell the model how to behave")
    group.add_argument("--initial-message", metavar="TEXT", help="ask this first")
    group.add_argument(
        "--initial-message-delay",
        dest="initial_message_delay_s",
        metavar="SECONDS",
        type=_number(0),
        help=f"wait before asking the initial message [{_default('initial_message_delay_s')}]",
    )
    group.add_argument(
        "--voice",
        metavar="NAME",
        type=_name("voice"),
        help=f"{', '.join(VOICES[:4])} and {len(VOICES) - 4} others [{_default('voice')}]",
    )
    group.add_argument(
        "--image",
        metavar="FILE",
        type=_file("stdin is for questions; name a picture"),
        action="append",
        help=f"show this picture with the first question; repeatable, up to {MAX_PICTURES} times",
    )
    _switch(group, "audio-input", "listen to the microphone [on if stdin is a terminal]")
    _switch(group, "audio-output", "play what the model says [on, unless --text-output]")
    _switch(group, "text-output", "print the answers as text, and play nothing [off]")
    _switch(group, "transcription", "ask for the words of what you and the model say, and show them [on]")
    _switch(group, "search", "let the model search with Google [off]")
    _switch(group, "code-execution", "let the service run code that the model writes, on models that can [off]")
    _switch(group, "context-compression", "let the service drop the oldest turns of a long session [on]")
    group.add_argument(
        "--push-to-talk",
        action="store_true",
        help="keep the microphone off until you press the talk key: Ctrl-T, or Space on an empty line",
    )
    _switch(
        group,
        "half-duplex",
        "mute the microphone while the model speaks, until a loud voice breaks in [on if the echo is not cancelled]",
    )


def _add_functions(group: argparse._ArgumentGroup) -> None:
    """Add the options about functions. Over 40 lines: one entry for each option."""
    group.add_argument(
        "--import-functions",
        metavar="FILE",
        type=_file("stdin is for questions; name a Python file"),
        action="append",
        help="let the model call the public functions of this Python file; repeatable",
    )
    group.add_argument(
        "--mcp",
        metavar="SERVER",
        action=_AppendServer,
        help="let the model call the tools of this MCP server: a command such as 'uvx mcp-server-time', or a URL; "
        "repeatable",
    )
    group.add_argument(
        "--mcp-header",
        dest="mcp",
        metavar="NAME=ENV",
        type=_header,
        action=_AddHeader,
        help="send this header to the --mcp URL before it, with the value of the environment variable ENV; repeatable",
    )
    group.add_argument(
        "--mcp-config",
        metavar="FILE",
        type=_file("stdin is for questions; name a JSON file"),
        action="append",
        help="use the MCP servers of this JSON file (mcpServers, as other clients read it); repeatable",
    )
    group.add_argument(
        "--list-functions",
        action="store_true",
        help="print the functions as the model would see them, and exit; needs no key",
    )
    group.add_argument(
        "--confirm-functions",
        action="store_true",
        help="ask at the prompt before each call: run NAME(arguments)? [y/N/always] [off]",
    )
    group.add_argument(
        "--allow",
        metavar="NAME",
        action="append",
        help="run this function without asking; * stands for any text; repeatable. MCP tools are asked about unless "
        "their server says that they only read",
    )
    group.add_argument(
        "--function-timeout",
        dest="function_timeout_s",
        metavar="SECONDS",
        type=_number(0, above=True),
        help=f"answer a call with an error after this time [{_default('function_timeout_s')}]",
    )


def _add_connection(group: argparse._ArgumentGroup) -> None:
    _add_server(group)
    _switch(group, "reconnect", "open a new connection if one is lost [on]")


def _add_server(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", metavar="ID", help=f"{', '.join(MODELS)}, or another [{_default('model')}]")
    group.add_argument("--base-url", metavar="URL", help=f"address of the service [{_default('base_url')}]")
    group.add_argument("--insecure", action="store_true", help="allow a plain http --base-url on another machine [off]")
    group.add_argument("--api-version", metavar="V", help="v1, v1beta or v1alpha [v1beta; v1alpha with a token]")
    group.add_argument(
        "--simulate",
        metavar="ARGS",
        nargs="?",
        const="",
        help="talk to the built-in simulator, without a key; ARGS: its own options, as in --simulate='--pace 0'",
    )
    group.add_argument(
        "--setup",
        metavar="JSON",
        type=_setup,
        action=_StoreSetup,
        help="merge this JSON, or @FILE, over the setup message (RFC 7386: null deletes)",
    )


def _add_recording(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--record",
        metavar="FILE.jsonl",
        type=_file("stdout is for the conversation; name a .jsonl file"),
        help="record the session: every message with its time, sound included; inspect, diff and replay read it",
    )
    group.add_argument(
        "--redact",
        action="store_true",
        help="write only the length of sound, pictures and words into recordings [off]",
    )


def _add_devices(group: argparse._ArgumentGroup) -> None:
    """Add the options about devices and sound files. Over 40 lines: one entry for each option."""
    group.add_argument("--list-devices", action="store_true", help="list the sound devices, and exit")
    group.add_argument(
        "--check-audio",
        action="store_true",
        help="play a noise, measure echo, delay and noise on this machine, recommend a mode, and exit; needs no key",
    )
    _switch(group, "echo-cancellation", "remove the model's voice from the microphone's audio [on with the echo extra]")
    for device, what in (("input", "microphone"), ("output", "speaker")):
        group.add_argument(
            f"--{device}-device", metavar="X", type=_name("device"), help=f"{what}: index or part of its name"
        )
    group.add_argument(
        "--input-file",
        metavar="FILE",
        type=_sound,
        action="append",
        help="send this sound file instead of the microphone (WAV; FLAC, Ogg, MP3 with the files extra; -: stdin, WAV "
        "or 16-bit PCM of 16 kHz, mono); repeatable: each waits for the answer to the one before",
    )
    group.add_argument(
        "--output-file",
        metavar="FILE.wav",
        type=_file("stdout is for the conversation; name a .wav file"),
        help="write everything the model says, played or not",
    )
    group.add_argument(
        "--force", action="store_true", help="let --output-file and --record overwrite what they did not write [off]"
    )
    group.add_argument(
        "--screen-capture-fps",
        metavar="FPS",
        type=_number(0, MAX_FPS, above=True),
        help="share the screen with the model, which looks at one frame a second at most [off]",
    )
    group.add_argument("--monitor", metavar="N", type=_whole(0), help=f"which monitor; 0: all [{_default('monitor')}]")
    group.add_argument(
        "--screen-size",
        metavar="PX",
        type=_whole(MIN_SCREEN_SIZE, MAX_SCREEN_SIZE),
        help=f"longer side of a picture, in pixels [{_default('screen_size')}]",
    )


def _add_scripting(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--output-format",
        choices=[value.value for value in OutputFormat],
        help=f"jsonl: one JSON object per event [{_default('output_format')}]",
    )
    group.add_argument("--turns", metavar="N", type=_whole(1), help="exit after N complete answers")
    group.add_argument("--no-stdin", dest="stdin", action="store_false", help="do not read questions from stdin")
    _add_process(group)
    group.add_argument(
        "--print-completion",
        metavar="SHELL",
        choices=SHELLS,
        help=f"print a script that completes these options in {', '.join(SHELLS[:-1])} or {SHELLS[-1]}, and exit",
    )
    group.add_argument(
        "--no-history", dest="history", action="store_false", help="do not save what you type for the next session"
    )
    group.add_argument("--version", action="version", version=f"{PROG} {__version__}")


def _add_process(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--timeout", dest="timeout_s", metavar="SECONDS", type=_number(0, above=True), help="exit after this time"
    )
    group.add_argument("-v", "--verbose", action="store_true", help="print every message, both ways, to stderr")
    group.add_argument("-q", "--quiet", action="store_true", help="print only errors to stderr")
    group.add_argument(
        "--color",
        choices=[value.value for value in Color],
        help=f"use colours [{_default('color')}]",
    )


def read_config(arguments: Mapping[str, Any], environ: Mapping[str, str], *, connects: bool = True) -> Config:
    """Return the settings from the given arguments and the environment; without a key unless it `connects`.

    Raises:
        ConfigError: They contradict each other, or there is no key.
    """
    given = {name: value for name, value in arguments.items() if name in _DEFAULTS}
    for name in ("import_functions", "input_file", "image", "mcp_config", "allow"):
        if name in given:
            given[name] = tuple(given[name])
    if not given.get("initial_message", "").strip():
        given.pop("initial_message", None)  # like an empty line of stdin, it asks nothing
    if given.get("simulate") is not None:
        if "base_url" in given:
            raise ConfigError("--simulate starts a server of its own: leave out --base-url")
        given["api_key"] = SIMULATED_KEY
    else:
        given.setdefault("base_url", environ.get("GOOGLE_GEMINI_BASE_URL") or _DEFAULTS["base_url"])
        given["api_key"] = _read_key(environ) if connects else ""
        given["api_version"] = given.get("api_version") or environ.get("GOOGLE_GENAI_API_VERSION")
    given["api_version"] = _read_api_version(given.get("api_version") or "")
    for name, choice in (("output_format", OutputFormat), ("color", Color)):
        if name in given:
            given[name] = choice(given[name])
    given.setdefault("model", environ.get("GEMINI_LIVE_MODEL") or _DEFAULTS["model"])
    given["model"] = model_of(given.get("setup", {})) or given["model"]  # --setup wins
    # A named device is wanted.
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
    key = next(iter(find_keys(environ).values()), "")
    if not key:
        vertex = _find_vertex(environ)
        raise ConfigError(
            "no API key: set GEMINI_API_KEY (make one at https://aistudio.google.com/apikey), "
            "or try the built-in simulator with --simulate"
            + (f"; {vertex} is set, but Vertex AI is not supported yet" if vertex else "")
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigError(
            "the API key in the environment contains a space, a line break or another character that no key has: "
            "copy it again"
        )
    return key


def take_keys(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Remove the API keys from `environ`, so that no child process inherits them; return a copy that has the keys."""
    before = dict(environ)
    for name in KEY_VARIABLES:
        environ.pop(name, None)
    return before


def find_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of the environment by variable, the one that is used first."""
    keys = {name: environ.get(name, "").strip() for name in KEY_VARIABLES}
    return {name: key for name, key in keys.items() if key}


def _check(config: Config) -> None:
    """Check what the options mean together.

    Raises:
        ConfigError: Two options contradict each other.
    """
    if config.verbose and config.quiet:
        raise ConfigError("--verbose and --quiet contradict each other: leave out one of them")
    if not config.model.strip() or not re.fullmatch(r"[!-~]+", config.model):
        raise ConfigError(f"--model: {config.model!r} is not the id of a model")
    if config.input_file and (config.audio_input or config.input_device is not None):
        raise ConfigError("--input-file replaces the microphone: leave out --audio-input and --input-device")
    if len(config.image) > MAX_PICTURES:
        raise ConfigError(
            f"--image is given {len(config.image)} times; a question carries {MAX_PICTURES} pictures at most"
        )
    if config.input_file.count(STDIN) > 1:
        raise ConfigError("--input-file - is given twice, but stdin can be read only once: leave out one of them")
    if STDIN in config.input_file and not config.stdin:
        raise ConfigError("--no-stdin and --input-file - contradict each other: leave out one of them")
    if config.push_to_talk and (config.input_file or config.audio_input is False):
        raise ConfigError("--push-to-talk needs the microphone: leave out --input-file and --no-audio-input")
    if config.record is not None and config.record.suffix.lower() != ".jsonl":
        raise ConfigError(f"--record writes JSON lines only; name it {config.record.with_suffix('.jsonl')}")
    _check_files(config)
    facts = read_setup(build_setup(config, [], handle=None, seeds_history=False))
    if lacks_words(config, facts):
        raise ConfigError(
            f"--text-output: {config.model} only speaks, and without a transcript there is no text: "
            "leave out --no-transcription, and outputAudioTranscription in --setup"
        )


_WRITTEN = {"output_file", "record"}
"""The settings that name a file to be written; all others with a path name a file to be read."""


def _check_files(config: Config) -> None:
    """Check that no file is written that is also read, or written twice.

    Raises:
        ConfigError: Two options name the same file, perhaps through links.
    """
    files = [(field.name, path) for field in fields(config) for path in _paths(getattr(config, field.name))]
    for i, (written, path) in enumerate(files):
        for j, (name, other) in enumerate(files):
            if written in _WRITTEN and i != j and is_same_file(path, other):
                raise ConfigError(
                    f"{_option_of(written)} would overwrite {other}, which is also given as {_option_of(name)}"
                )


def _paths(value: object) -> Sequence[Path]:
    values = value if isinstance(value, tuple) else (value,)
    return [each for each in values if isinstance(each, Path) and each != STDIN]


def _option_of(setting: str) -> str:
    return "--setup" if setting == "setup_file" else f"--{setting.replace('_', '-')}"


def check_streams(config: Config, stdin: TextIO | None, stdout: TextIO | None, stderr: TextIO | None) -> None:
    """Check that the standard streams can be used as the options say, and that no option overwrites their files.

    Raises:
        ConfigError: stdin is to be read as sound, but is closed or a terminal; or an option names a stream's own file.
    """
    if STDIN in config.input_file and (stdin is None or stdin.closed or stdin.isatty()):
        what = "a terminal" if stdin is not None and not stdin.closed else "closed"
        raise ConfigError(f"--input-file - reads sound from stdin, but stdin is {what}: pipe a WAV file into it")
    for stream in (stdin, stdout, stderr):
        try:
            status = os.fstat(stream.fileno()) if stream is not None else None
        except (OSError, ValueError):  # a stream without a descriptor, or closed
            continue
        if status is None or not stat.S_ISREG(status.st_mode):
            continue
        for setting in _WRITTEN:
            for path in _paths(getattr(config, setting)):
                if path.exists() and os.path.samestat(path.stat(), status):
                    raise ConfigError(f"{_option_of(setting)} would overwrite {path}, to which a stream is redirected")


def find_warnings(config: Config, environ: Mapping[str, str]) -> list[str]:
    """Return a line for everything in the settings that may be a mistake."""
    warnings = []
    if config.force and config.output_file is None and config.record is None:
        warnings.append("--force has no effect: it is for --output-file and --record")
    if config.simulate is not None:
        return warnings
    vertex = _find_vertex(environ)
    if vertex:
        warnings.append(f"{vertex} is set, but Vertex AI is not supported yet: using the Gemini API")
    keys = find_keys(environ)
    if len(set(keys.values())) > 1:
        used, *others = keys
        warnings.append(f"{used} and {', '.join(others)} differ: using {used}")
    return warnings


def _find_vertex(environ: Mapping[str, str]) -> str | None:
    """Return the variable that asks Google's SDKs to use Vertex AI, or `None`."""
    return next((name for name in _VERTEX_VARIABLES if environ.get(name, "").strip().lower() in {"1", "true"}), None)


def parse_replay(argv: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `gemini-live replay` that were given; `file` is the recording.

    Raises:
        ConfigError: There is no file for the new recording.
        SystemExit: They are wrong, or `--help` was among them.
    """
    parser = build_replay_parser()
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.refuse_unknown(unknown[0])
    arguments = vars(namespace)
    if "record" not in arguments:
        raise ConfigError("replay records what comes back: add --record FILE.jsonl")
    if is_same_file(arguments["file"], arguments["record"]):
        raise ConfigError(f"--record would overwrite {arguments['record']}, which is replayed")
    return {**arguments, "stdin": False}


def parse(argv: Sequence[str]) -> dict[str, Any]:
    """Return the arguments that were given.

    Raises:
        SystemExit: They are wrong, or `--help` or `--version` was among them.
    """
    parser = build_parser()
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.refuse_unknown(unknown[0])
    return vars(namespace)
