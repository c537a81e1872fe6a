"""What argv and the environment make of a `Config`, and what bad ones print."""

import argparse
import contextlib
import io
import itertools
import re
import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TextIO

import pytest

from gemini_live import __version__, options
from gemini_live.config import DEFAULT_BASE_URL, DEFAULT_MODEL, MAX_PICTURES, Color, Config, McpOption, OutputFormat
from gemini_live.errors import EXIT_CODE_MEANINGS, ConfigError, ExitCode
from gemini_live.files import STDIN
from gemini_live.models import MODELS, Modality
from gemini_live.options import SHELLS, SIMULATED_KEY, build_parser, find_warnings, parse, read_config

KEY = "AIza-not-a-real-key"
ENVIRON = {"GEMINI_API_KEY": KEY}
TEXT_MODEL = next(name for name, row in MODELS.items() if Modality.AUDIO not in row.output)

SWITCHES = ("search", "code-execution", "text-output", "transcription", "context-compression", "reconnect")
OPTIONAL_SWITCHES = ("audio-input", "audio-output", "half-duplex", "echo-cancellation")
VALUES = {
    "--system-instruction": ("Be brief.", "system_instruction", "Be brief."),
    "--initial-message": ("Hello", "initial_message", "Hello"),
    "--initial-message-delay": ("1.5", "initial_message_delay_s", 1.5),
    "--voice": ("Aoede", "voice", "Aoede"),
    "--screen-capture-fps": ("0.5", "screen_capture_fps", 0.5),
    "--model": ("gemini-x", "model", "gemini-x"),
    "--base-url": ("https://host/path", "base_url", "https://host/path"),
    "--api-version": ("v1alpha", "api_version", "v1alpha"),
    "--setup": ('{"a": 1}', "setup", {"a": 1}),
    "--input-device": ("3", "input_device", "3"),
    "--output-device": ("USB", "output_device", "USB"),
    "--input-file": ("in.wav", "input_file", (Path("in.wav"),)),
    "--output-file": ("out.wav", "output_file", Path("out.wav")),
    "--image": ("cat.png", "image", (Path("cat.png"),)),
    "--record": ("talk.jsonl", "record", Path("talk.jsonl")),
    "--monitor": ("2", "monitor", 2),
    "--screen-size": ("640", "screen_size", 640),
    "--output-format": ("jsonl", "output_format", OutputFormat.JSONL),
    "--turns": ("3", "turns", 3),
    "--timeout": ("2.5", "timeout_s", 2.5),
    "--color": ("never", "color", Color.NEVER),
    "--function-timeout": ("0.1", "function_timeout_s", 0.1),
    "--simulate": ("--pace 0", "simulate", "--pace 0"),
    "--mcp": ("https://host/mcp", "mcp", (McpOption("https://host/mcp"),)),
    "--mcp-config": ("mcp.json", "mcp_config", (Path("mcp.json"),)),
    "--allow": ("read_*", "allow", ("read_*",)),
}
FLAGS = {
    "--no-stdin": ("stdin", False),
    "--verbose": ("verbose", True),
    "-v": ("verbose", True),
    "--quiet": ("quiet", True),
    "-q": ("quiet", True),
    "--push-to-talk": ("push_to_talk", True),
    "--insecure": ("insecure", True),
    "--confirm-functions": ("confirm_functions", True),
    "--force": ("force", True),
    "--redact": ("redact", True),
    "--no-history": ("history", False),
}


def config_of(*argv: str, environ: Mapping[str, str] = ENVIRON) -> Config:
    return read_config(parse(argv), environ)


def usage_error(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Return the one line that wrong arguments print."""
    with pytest.raises(SystemExit) as leaving:
        parse(argv)
    assert leaving.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith(" (see gemini-live --help)\n")
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("gemini-live: error: ").removesuffix(" (see gemini-live --help)\n")


def config_error(*argv: str, environ: Mapping[str, str] = ENVIRON) -> str:
    """Return the one line that arguments print which contradict each other."""
    with pytest.raises(ConfigError) as failure:
        config_of(*argv, environ=environ)
    assert failure.value.exit_code == ExitCode.USAGE
    assert "\n" not in str(failure.value)
    assert KEY not in str(failure.value)
    return str(failure.value)


# What is given


def test_nothing_given_is_the_defaults_of_config() -> None:
    assert config_of() == Config(api_key=KEY)


def test_the_parser_gives_only_what_was_given() -> None:
    assert parse([]) == {}
    assert parse(["--search", "--turns", "2"]) == {"search": True, "turns": 2}


def test_no_default_is_written_but_in_config() -> None:
    source = Path(options.__file__).read_text(encoding="utf-8")
    assert not re.search(r"\bdefault=", source)
    assert "set_defaults" not in source


@pytest.mark.parametrize("option", VALUES)
@pytest.mark.parametrize("joined", [False, True])
def test_an_option_with_a_value_sets_its_field(option: str, joined: bool) -> None:
    text, name, value = VALUES[option]
    argv = [f"{option}={text}"] if joined or text.startswith("-") else [option, text]
    assert getattr(config_of(*argv), name) == value


@pytest.mark.parametrize("option", FLAGS)
def test_a_flag_sets_its_field(option: str) -> None:
    name, value = FLAGS[option]
    assert getattr(config_of(option), name) is value


@pytest.mark.parametrize("switch", SWITCHES + OPTIONAL_SWITCHES)
def test_a_switch_can_be_turned_on_and_off(switch: str) -> None:
    name = switch.replace("-", "_")
    assert getattr(config_of(f"--{switch}"), name) is True
    with_model = ("--model", TEXT_MODEL)  # on which nothing about words contradicts
    assert getattr(config_of(f"--no-{switch}", *with_model), name) is False


@pytest.mark.parametrize("switch", OPTIONAL_SWITCHES)
def test_a_switch_whose_explicit_use_matters_is_none_unless_given(switch: str) -> None:
    assert getattr(config_of(), switch.replace("-", "_")) is None


def test_options_with_files_can_be_repeated() -> None:
    for option, field in (
        ("--import-functions", "import_functions"),
        ("--input-file", "input_file"),
        ("--image", "image"),
    ):
        assert getattr(config_of(option, "a", option, "b"), field) == (Path("a"), Path("b"))


def test_an_input_file_may_be_stdin_or_a_file_of_that_name() -> None:
    config = config_of("--input-file", "-", "--input-file", "./-")
    assert config.input_file == (STDIN, Path("-").absolute())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        (None, "stdin is closed: pipe a WAV file into it"),
        (Terminal(), "stdin is a terminal: pipe a WAV file into it"),
        (io.StringIO(), None),
    ],
)
def test_stdin_as_an_input_file_must_be_open_and_no_terminal(stdin: TextIO | None, words: str | None) -> None:
    config = config_of("--input-file", "-")
    with pytest.raises(ConfigError, match=words) if words else contextlib.nullcontext():
        options.check_streams(config, stdin, io.StringIO(), io.StringIO())


@pytest.mark.parametrize("name", ["output_file", "record"])
def test_a_file_to_which_a_stream_is_redirected_is_not_overwritten(name: str, tmp_path: Path) -> None:
    path, other = tmp_path / "a.wav", tmp_path / "b.wav"
    settings: dict[str, Any] = {name: path}
    config = replace(config_of(), **settings)
    with path.open("w") as stream, other.open("w") as harmless:
        options.check_streams(config, io.StringIO(), harmless, None)
        with pytest.raises(ConfigError, match=r"would overwrite .*a\.wav, to which a stream is redirected"):
            options.check_streams(config, None, harmless, stream)


def test_taking_the_keys_removes_them_from_the_environment_only() -> None:
    environ = {"GEMINI_API_KEY": "one", "GOOGLE_API_KEY": "two", "PATH": "/bin"}
    before = dict(environ)
    assert options.take_keys(environ) == before
    assert environ == {"PATH": "/bin"}
    assert options.take_keys(environ) == {"PATH": "/bin"}


def test_every_field_of_config_can_be_set() -> None:
    tried = {name for _, name, _ in VALUES.values()} | {name for name, _ in FLAGS.values()}
    tried |= {switch.replace("-", "_") for switch in SWITCHES + OPTIONAL_SWITCHES}
    assert {field.name for field in fields(Config)} == tried | {"import_functions", "api_key", "setup_file"}


def test_a_header_belongs_to_the_server_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    config = config_of("--mcp", "https://a/", "--mcp", "https://b/", "--mcp-header", "X-Key=KEY", "--mcp", "time --utc")
    assert config.mcp == (
        McpOption("https://a/"),
        McpOption("https://b/", (("X-Key", "KEY"),)),
        McpOption("time --utc"),
    )
    message = usage_error(capsys, "--mcp-header", "X-Key=KEY", "--mcp", "https://a/")
    assert message == "argument --mcp-header: belongs after the --mcp URL that it is for"
    for wrong in ("Authorization=Bearer secret", "Authorization: Bearer secret", "secret"):
        assert usage_error(capsys, "--mcp", "https://a/", "--mcp-header", wrong) == (
            "argument --mcp-header: is not NAME=ENV: give the environment variable that holds the value, "
            "as in Authorization=MY_TOKEN"
        )


def test_setup_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "setup.json"
    path.write_text('{"generation_config": {"temperature": 0.5}}')
    config = config_of("--setup", f"@{path}")
    assert config.setup
    assert config.setup_file == path


def _read_settings() -> list[str]:
    """Return the settings that name a file which is read: a new one is covered without a change here."""
    paths = [field.name for field in fields(Config) if "Path" in str(field.type)]
    assert {"input_file", "import_functions", "setup_file"} <= set(paths)
    return sorted(set(paths) - options._WRITTEN)


@pytest.mark.parametrize("written", sorted(options._WRITTEN))
@pytest.mark.parametrize("read", _read_settings())
@pytest.mark.parametrize("how", ["itself", "symbolic link", "hard link", "dots", "not there yet"])
def test_no_file_is_overwritten_that_is_read(tmp_path: Path, written: str, read: str, how: str) -> None:
    path, other = tmp_path / "file.wav", tmp_path / "other.wav"
    if how != "not there yet":
        path.write_text("{}")
    if how == "symbolic link":
        other.symlink_to(path)
    elif how == "hard link":
        other.hardlink_to(path)
    else:
        other = tmp_path / "." / "x" / ".." / "file.wav" if how == "dots" else path
        (tmp_path / "x").mkdir()
    is_repeatable = next("tuple" in str(field.type) for field in fields(Config) if field.name == read)
    given: dict[str, Any] = {written: other, read: (path,) if is_repeatable else path}
    with pytest.raises(ConfigError, match=f"^{options._option_of(written)} would overwrite"):
        options._check_files(Config(**given))


def test_listing_devices_is_not_a_setting() -> None:
    assert parse(["--list-devices"]) == {"list_devices": True}


def test_printing_a_completion_script_is_not_a_setting() -> None:
    for shell in SHELLS:
        assert parse(["--print-completion", shell]) == {"print_completion": shell}


def test_a_text_may_begin_with_a_dash_or_span_lines() -> None:
    assert config_of("--initial-message=--hello\nthere").initial_message == "--hello\nthere"


# What is wrong


def test_an_option_given_twice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    repeatable = {"--image", "--import-functions", "--input-file", "--help", "--version"}
    repeatable |= {"--mcp", "--mcp-header", "--mcp-config", "--allow"}
    for action in build_parser()._actions:
        if repeatable & set(action.option_strings):
            continue
        value = next((VALUES[option][0] for option in action.option_strings if option in VALUES), None)
        if "--print-completion" in action.option_strings:
            value = "bash"
        # In every spelling: -v and --verbose, --search and --no-search.
        for first, second in itertools.product(action.option_strings, repeat=2):
            argv = [first, second] if value is None else [f"{first}={value}", f"{second}={value}"]
            message = usage_error(capsys, *argv)
            assert message == f"argument {'/'.join(action.option_strings)}: may be given only once"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--voise", "unknown option: --voise; did you mean --voice?"),
        ("--voise=Puck", "unknown option: --voise; did you mean --voice?"),
        ("--voi", "unknown option: --voi; did you mean --voice?"),
        ("--no-voice", "unknown option: --no-voice; did you mean --voice?"),
        ("--inital-message=Hello", "unknown option: --inital-message; did you mean --initial-message?"),
        ("--push", "unknown option: --push; did you mean --push-to-talk?"),
        ("--qqqq", "unknown option: --qqqq"),
        ("-x", "unknown option: -x"),
        ("Hello", "unexpected argument: Hello; ask with --initial-message, or through stdin"),
    ],
)
def test_an_unknown_option_tells_the_nearest_one(
    argument: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert usage_error(capsys, argument) == message


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--output-file", "stdout is for the conversation; name a .wav file"),
        ("--import-functions", "stdin is for questions; name a Python file"),
        ("--image", "stdin is for questions; name a picture"),
    ],
)
def test_a_standard_stream_is_not_a_file(option: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_error(capsys, f"{option}=-") == f"argument {option}: '-' is not a file: {reason}"


@pytest.mark.parametrize("value", ["", " "])
@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("--voice", "voice"),
        ("--input-device", "device"),
        ("--output-device", "device"),
        *(
            (option, "file")
            for option in ("--input-file", "--output-file", "--import-functions", "--record", "--image")
        ),
    ],
)
def test_an_empty_name_is_refused(option: str, what: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_error(capsys, f"{option}={value}") == f"argument {option}: {value!r} is not the name of a {what}"


def test_a_setup_file_without_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_error(capsys, "--setup=@") == "argument --setup: '' is not the name of a file"


def test_more_pictures_than_a_question_carries_are_refused() -> None:
    images = [f"--image={n}.png" for n in range(MAX_PICTURES + 1)]
    with pytest.raises(ConfigError, match="--image is given 17 times; a question carries 16 pictures at most"):
        config_of(*images)
    assert len(config_of(*images[1:]).image) == MAX_PICTURES


@pytest.mark.parametrize(
    "argv",
    [
        ["--no-such-option"],
        ["--voi", "Puck"],
        ["--sear"],
        ["positional"],
        ["positional\nof two lines \x1b[31m"],
        ["--voice"],
        ["--turns"],
        ["--verbose=1"],
        ["--search=yes"],
        ["--no-voice"],
        ["--push"],
    ],
)
def test_wrong_usage_is_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    message = usage_error(capsys, *argv)
    assert "\x1b" not in message


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--initial-message-delay", ["-1", "x", "nan", "inf", "1e999", ""]),
        ("--screen-capture-fps", ["0", "-1", "nan", "61", "1,5", ""]),
        ("--timeout", ["0", "-0.1", "soon", "inf"]),
        ("--function-timeout", ["0", "-1", "nan"]),
        ("--turns", ["0", "-1", "1.5", "x", "", "99999999999"]),
        ("--monitor", ["-1", "x", "1.0"]),
        ("--screen-size", ["15", "16385", "x"]),
        ("--output-format", ["xml", "JSONL", ""]),
        ("--color", ["red", "Always"]),
        ("--print-completion", ["tcsh", "Bash", "/bin/bash", ""]),
        ("--setup", ["{", "[]", "1", "null", '"x"', "", "@/no/such/file", "@", '{"a": NaN}', "[" * 20_000]),
    ],
)
def test_a_bad_value_is_one_line_that_names_option_and_value(
    option: str, values: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for value in values:
        message = usage_error(capsys, f"{option}={value}")
        assert option in message
        assert len(message) < 400
        if option not in ("--setup",):
            assert repr(value) in message


def test_errors_name_the_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    assert usage_error(capsys, "--screen-capture-fps=0").endswith("'0' is not a number above 0, at most 60")
    assert usage_error(capsys, "--initial-message-delay=-1").endswith("'-1' is not a number 0 or more")
    assert usage_error(capsys, "--turns=0").endswith("'0' is not a whole number, 1 or more")
    assert usage_error(capsys, "--screen-size=9").endswith("'9' is not a whole number, 16 or more, at most 16384")


@pytest.mark.parametrize(("option", "value"), [("--screen-capture-fps", "60"), ("--screen-size", "16384")])
def test_the_bounds_themselves_are_accepted(option: str, value: str) -> None:
    config_of(option, value)


def test_a_setup_file_that_cannot_be_read_says_which_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No such file" in usage_error(capsys, f"--setup=@{tmp_path / 'none'}")
    assert "directory" in usage_error(capsys, f"--setup=@{tmp_path}").lower()
    (tmp_path / "bad").write_bytes(b"\xff\xfe{}")
    assert "UTF-8" in usage_error(capsys, f"--setup=@{tmp_path / 'bad'}")


def test_setup_errors_name_the_option_once(capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("[]", "{"):
        assert usage_error(capsys, f"--setup={value}").count("--setup") == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["-v", "-q"], ["--verbose", "--quiet"]),
        (["-vq"], ["--verbose", "--quiet"]),
        (["--simulate", "--base-url", "https://host"], ["--simulate", "--base-url"]),
        (["--input-file", "a.wav", "--audio-input"], ["--input-file", "--audio-input"]),
        (["--input-file", "a.wav", "--input-device", "1"], ["--input-file", "--input-device"]),
        (["--input-file", "-", "--input-file", "-"], ["--input-file", "stdin can be read only once"]),
        (["--input-file", "-", "--no-stdin"], ["--input-file", "--no-stdin"]),
        (["--input-file", "a.wav", "--output-file", "a.wav"], ["--input-file", "--output-file"]),
        (["--text-output", "--no-transcription"], ["--text-output", "--no-transcription"]),
        (["--text-output", "--audio-output", "--no-transcription"], ["--text-output", "--no-transcription"]),
        (["--text-output", "--setup", '{"outputAudioTranscription": null}'], ["--text-output"]),
        (["--model", ""], ["--model"]),
        (["--model", "two words"], ["--model"]),
        (["--model", "line\nbreak"], ["--model"]),
        (["--api-version", "1"], ["--api-version", "v1beta"]),
        (["--api-version", "v1/../x"], ["--api-version"]),
    ],
)
def test_contradicting_options_are_one_line_that_names_them(argv: list[str], words: list[str]) -> None:
    message = config_error(*argv)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "argv",
    [
        ["--input-file", "a.wav", "--no-audio-input"],
        ["--input-file", "a.wav", "--output-file", "b.wav"],
        ["--text-output", "--audio-output"],
        ["--text-output", "--no-transcription", "--model", TEXT_MODEL],
        ["--no-transcription"],
        ["--no-audio-output", "--no-audio-input"],
    ],
)
def test_options_that_only_seem_to_contradict_are_accepted(argv: list[str]) -> None:
    config_of(*argv)


def test_any_pair_of_options_makes_settings_or_one_clear_line() -> None:
    singles = [[f"{option}={text}"] for option, (text, _, _) in VALUES.items()]
    singles += [[option] for option in FLAGS]
    singles += [[f"--{prefix}{switch}"] for switch in SWITCHES + OPTIONAL_SWITCHES for prefix in ("", "no-")]
    parser, refused, given_twice = build_parser(), set(), set()
    for first, second in itertools.combinations(singles, 2):
        try:
            config = read_config(vars(parser.parse_args(first + second)), ENVIRON)
        except SystemExit:
            given_twice.add((first[0], second[0]))
        except ConfigError as error:
            assert "\n" not in str(error)
            refused.add((first[0].split("=")[0], second[0].split("=")[0]))
        else:
            assert isinstance(config, Config)
    assert given_twice == {
        ("--verbose", "-v"),
        ("--quiet", "-q"),
        *((f"--{switch}", f"--no-{switch}") for switch in SWITCHES + OPTIONAL_SWITCHES),
    }
    assert refused == {
        ("--base-url", "--simulate"),
        ("--input-device", "--input-file"),
        ("--input-file", "--audio-input"),
        ("--input-file", "--push-to-talk"),
        ("--push-to-talk", "--no-audio-input"),
        ("--text-output", "--no-transcription"),
        *itertools.product(("--verbose", "-v"), ("--quiet", "-q")),
    }


@pytest.mark.parametrize(
    "setup",
    [
        "{}",
        '{"setup": {}}',
        '{"model": null}',
        '{"generationConfig": null}',
        '{"generationConfig": 5}',
        '{"generation_config": {"response_modalities": "TEXT"}}',
        '{"generationConfig": {"responseModalities": []}}',
        '{"realtimeInputConfig": [1, 2]}',
        '{"tools": {}}',
    ],
)
def test_a_setup_of_any_shape_is_passed_on_to_the_server(setup: str) -> None:
    config_of("--setup", setup)


# The environment


def test_the_environment_gives_defaults() -> None:
    environ = ENVIRON | {
        "GEMINI_LIVE_MODEL": "gemini-env",
        "GOOGLE_GEMINI_BASE_URL": "https://env",
        "GOOGLE_GENAI_API_VERSION": "v1",
    }
    config = config_of(environ=environ)
    assert (config.model, config.base_url, config.api_version) == ("gemini-env", "https://env", "v1")


def test_options_win_over_the_environment() -> None:
    environ = ENVIRON | {
        "GEMINI_LIVE_MODEL": "gemini-env",
        "GOOGLE_GEMINI_BASE_URL": "https://env",
        "GOOGLE_GENAI_API_VERSION": "v1",
    }
    config = config_of("--model", "m", "--base-url", "https://b", "--api-version", "v1alpha", environ=environ)
    assert (config.model, config.base_url, config.api_version) == ("m", "https://b", "v1alpha")


def test_empty_variables_count_as_not_set() -> None:
    environ = ENVIRON | {"GEMINI_LIVE_MODEL": "", "GOOGLE_GEMINI_BASE_URL": "", "GOOGLE_GENAI_API_VERSION": ""}
    config = config_of(environ=environ)
    assert (config.model, config.base_url, config.api_version) == (DEFAULT_MODEL, DEFAULT_BASE_URL, None)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("beta", "v1beta"),
        (" beta ", "v1beta"),
        ("", None),
        ("v1", "v1"),
        ("v1alpha", "v1alpha"),
        ("v1beta2", "v1beta2"),
    ],
)
def test_api_versions_are_read_alike_from_everywhere(text: str, version: str | None) -> None:
    assert config_of("--api-version", text).api_version == version
    assert config_of(environ=ENVIRON | {"GOOGLE_GENAI_API_VERSION": text}).api_version == version
    assert config_of("--simulate", "--api-version", text, environ={}).api_version == version


def test_variables_that_are_wrong_are_one_line_too() -> None:
    assert "--api-version" in config_error(environ=ENVIRON | {"GOOGLE_GENAI_API_VERSION": "latest"})
    assert "--model" in config_error(environ=ENVIRON | {"GEMINI_LIVE_MODEL": " \n"})


# The key


def test_the_first_key_wins() -> None:
    assert config_of(environ={"GOOGLE_API_KEY": "first", "GEMINI_API_KEY": "second"}).api_key == "first"
    assert config_of(environ={"GOOGLE_API_KEY": " \n", "GEMINI_API_KEY": "second"}).api_key == "second"
    assert config_of(environ={"GEMINI_API_KEY": "second"}).api_key == "second"


def test_white_space_around_a_key_is_not_part_of_it() -> None:
    assert config_of(environ={"GOOGLE_API_KEY": f" \t{KEY}\r\n"}).api_key == KEY


@pytest.mark.parametrize("environ", [{}, {"GOOGLE_API_KEY": ""}, {"GEMINI_API_KEY": " \n"}])
def test_a_missing_key_says_where_to_get_one_and_what_works_without(environ: dict[str, str]) -> None:
    message = config_error(environ=environ)
    assert "GEMINI_API_KEY" in message
    assert "https://aistudio.google.com/apikey" in message
    assert "--simulate" in message


@pytest.mark.parametrize("key", ["AIzaQ\nQQQ", "two words", "tab\there", "ümlaut", "nul\0", "\ufeffmarked"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(key: str) -> None:
    message = config_error(environ={"GOOGLE_API_KEY": key})
    assert "API key" in message
    assert not any(part in message for part in re.findall(r"\w+", key))


def test_a_token_is_taken_as_it_is() -> None:
    assert config_of(environ={"GOOGLE_API_KEY": "auth_tokens/abc"}).api_key == "auth_tokens/abc"


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(config_of())


# The simulator


def test_the_simulator_needs_no_key_and_takes_none() -> None:
    assert config_of("--simulate", environ={}).api_key == SIMULATED_KEY
    assert config_of("--simulate", environ=ENVIRON).api_key == SIMULATED_KEY


def test_the_simulators_arguments_are_passed_on() -> None:
    assert config_of("--simulate", environ={}).simulate == ""
    assert config_of("--simulate=--pace 0 --seed 3", environ={}).simulate == "--pace 0 --seed 3"
    assert config_of().simulate is None


def test_the_simulator_ignores_the_environment() -> None:
    environ = {"GOOGLE_GEMINI_BASE_URL": "https://env", "GOOGLE_GENAI_API_VERSION": "nonsense"}
    config = config_of("--simulate", environ=environ)
    assert (config.base_url, config.api_version) == (DEFAULT_BASE_URL, None)


# Devices


def test_naming_a_device_asks_for_it() -> None:
    config = config_of("--input-device", "USB", "--output-device", "0")
    assert (config.audio_input, config.audio_output) == (True, True)


def test_refusing_a_direction_wins_over_naming_its_device() -> None:
    config = config_of("--input-device", "USB", "--no-audio-input", "--output-device", "0", "--no-audio-output")
    assert (config.audio_input, config.audio_output) == (False, False)


# Warnings


@pytest.mark.parametrize("variable", ["GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE"])
@pytest.mark.parametrize("value", ["1", "true", " TRUE "])
def test_vertex_is_not_supported_and_one_line_says_so(variable: str, value: str) -> None:
    (line,) = find_warnings(Config(), {variable: value})
    assert variable in line
    assert "Vertex" in line
    assert "\n" not in line
    assert find_warnings(Config(simulate=""), {variable: value}) == []


def test_a_warning_names_the_key_that_is_used_if_two_differ() -> None:
    environ = {"GOOGLE_API_KEY": "first-secret", "GEMINI_API_KEY": "second-secret"}
    assert find_warnings(Config(), environ) == ["GOOGLE_API_KEY and GEMINI_API_KEY differ: using GOOGLE_API_KEY"]
    assert find_warnings(Config(simulate=""), environ) == []
    assert find_warnings(Config(), {"GOOGLE_API_KEY": "same", "GEMINI_API_KEY": " same\n"}) == []
    assert find_warnings(Config(), {"GOOGLE_API_KEY": " ", "GEMINI_API_KEY": "only"}) == []


def test_the_help_fits_into_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, build_parser().format_help().splitlines())) <= 80


def test_without_a_key_vertex_is_said_not_to_be_supported_too() -> None:
    with pytest.raises(ConfigError, match=r"no API key: .*; GOOGLE_GENAI_USE_VERTEXAI is set, but Vertex AI is not"):
        read_config({}, {"GOOGLE_GENAI_USE_VERTEXAI": "true"})


def test_the_model_that_setup_names_is_the_model() -> None:
    arguments = {"model": "gemini-9", "setup": {"model": "models/gemini-2.5-flash-native-audio-latest"}}
    assert read_config(arguments, {"GEMINI_API_KEY": "key"}).model == "gemini-2.5-flash-native-audio-latest"


@pytest.mark.parametrize("value", ["", "0", "false", "no"])
def test_vertex_that_is_off_causes_no_warning(value: str) -> None:
    assert find_warnings(Config(), {"GOOGLE_GENAI_USE_VERTEXAI": value}) == []


# Help


@pytest.fixture
def help_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as leaving:
        parse(["--help"])
    assert leaving.value.code == ExitCode.DONE
    return capsys.readouterr().out


def test_help_tells_every_option_and_what_it_means(help_text: str) -> None:
    for action in build_parser()._actions:
        assert action.help
        for option in action.option_strings:
            assert option in help_text or option.replace("--no-", "--[no-]") in help_text or "--no-" in option
    for option in VALUES:
        assert f"  {option} " in help_text


def test_help_tells_every_exit_code(help_text: str) -> None:
    section = help_text.split("exit codes:\n")[1].split("\n\n", maxsplit=1)[0]
    assert [int(line.split()[0]) for line in section.splitlines()] == [0, 1, 2, 3, 4, 124, 129, 130, 141, 143]
    for code, meaning in EXIT_CODE_MEANINGS.items():
        assert re.search(rf"^  {code.value} +{re.escape(meaning)}$", section, re.MULTILINE)


def test_help_tells_every_variable_that_is_read(help_text: str) -> None:
    for name in (
        "GOOGLE_API_KEY",
        "GEMINI_API_KEY",
        "GEMINI_LIVE_MODEL",
        "GOOGLE_GEMINI_BASE_URL",
        "GOOGLE_GENAI_API_VERSION",
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
        "NO_COLOR",
    ):
        assert name in help_text


def test_help_tells_the_defaults_of_config(help_text: str) -> None:
    words = " ".join(help_text.split())
    for default in (
        f"[{DEFAULT_MODEL}]",
        f"[{DEFAULT_BASE_URL}]",
        f"[{Config().voice}]",
        f"[{Config().screen_size}]",
        f"[{Config().monitor}]",
        f"[{Config().function_timeout_s:g}]",
        f"[{Config().initial_message_delay_s:g}]",
        f"[{Config().output_format}]",
        f"[{Config().color}]",
    ):
        assert default in words


def test_help_ends_with_three_examples_and_the_place_of_the_docs(help_text: str) -> None:
    examples, after = help_text.split("examples:\n")[1].split("\n\n")
    commands = [line.split("| ")[-1] for line in examples.splitlines() if "gemini-live" in line]
    assert len(commands) == 3
    for command in commands:
        config_of(*shlex.split(command)[1:])
    assert "docs/" in after


@pytest.mark.parametrize("switch", SWITCHES)
def test_help_tells_truly_whether_a_switch_is_on(switch: str) -> None:
    action = next(action for action in build_parser()._actions if f"--{switch}" in action.option_strings)
    assert isinstance(action, argparse.BooleanOptionalAction)
    state = "on" if getattr(Config(), switch.replace("-", "_")) else "off"
    assert action.help is not None
    assert action.help.endswith(f"[{state}]")


def test_version_tells_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        parse(["--version"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out == f"gemini-live {__version__}\n"


def test_force_without_a_file_to_write_is_warned_about() -> None:
    said = ["--force has no effect: it is for --output-file and --record"]
    assert find_warnings(config_of("--force"), {}) == find_warnings(config_of("--force", "--simulate"), {}) == said
    assert find_warnings(config_of("--force", "--record=a.jsonl"), {}) == []
