"""The command in this process: what its arguments, environment and streams lead to, and its exit codes."""

import contextlib
import io
import json
import re
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gemini_live import __version__, cli
from gemini_live.audio import check
from gemini_live.cli import main
from gemini_live.conversation import conversation
from gemini_live.conversation.timings import Timings
from gemini_live.errors import EXIT_CODE_MEANINGS, DeviceError, ExitCode
from gemini_live.options import SHELLS
from gemini_live.process.streams import Streams
from gemini_live.session.dispatch import Dispatcher

from .command import SIMULATED, serving
from .fakes import FakeDevice, FakePyAudio
from .rig.analysis import make_tone, write_wav
from .scripted_server import Peer, scripted

KEY = "a-key-of-no-one-at-all"
WITH_KEY = {"GEMINI_API_KEY": KEY}
ASK = ("--no-stdin", "--initial-message=Good morning.")

FUNCTIONS = '''
import threading

print("imported")

def greet(name: str) -> str:
    """Greet somebody."""
    print(f"greeting {name}")
    print("from another thread:", end=" ")
    thread = threading.Thread(target=print, args=("hello",))
    thread.start()
    thread.join()
    print("done", end="")
    return f"Hello {name}"

async def whisper() -> str:
    """Whisper."""
    print("psst")
    return "whispered"

def stumble() -> str:
    """Fail."""
    raise RuntimeError("stumbled")
'''


class Result(NamedTuple):
    """How the command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of stdout, as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def call(
    *argv: str,
    environ: Mapping[str, str] | None = None,
    stdin: Path | None = None,
    stdout: io.StringIO | None = None,
    stderr: io.StringIO | None = None,
) -> Result:
    """Run the command here."""
    out, err = stdout or io.StringIO(), stderr or io.StringIO()
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(stdin.open()) if stdin is not None else None
        # The parser writes to the process's own streams.
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        code = main(argv, environ or {}, Streams(lines, out, err))
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture
def functions(tmp_path: Path) -> str:
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS)
    return f"--import-functions={path}"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("one\ntwo\nthree\n")
    return path


# A session that works.


def test_the_answer_is_on_stdout_and_the_rest_on_stderr() -> None:
    assert call(*SIMULATED, *ASK) == (
        0,
        "Good morning.\n",
        f"simulator; {SIMULATED[1].removeprefix('--model=')}; tools: none\n",
    )


def test_a_file_of_lines_is_answered_line_by_line(lines: Path) -> None:
    result = call(*SIMULATED, stdin=lines)
    assert (result.code, result.out) == (0, "one\ntwo\nthree\n")


def test_quiet_leaves_only_errors_on_stderr(functions: str) -> None:
    asked = call(*SIMULATED, "-q", "--no-stdin", "--initial-message=call greet", functions)
    assert asked == (0, "greet returned Hello example\n", "")
    failed = call("--simulate=--pace 0 --fault close:1007:no", *SIMULATED[1:], "-q", *ASK)
    assert (failed.code, len(failed.err.splitlines())) == (4, 1)


def test_verbose_shows_every_message_in_one_line_without_media() -> None:
    result = call("--simulate=--pace 0", "--text-output", "-v", *ASK)
    messages = [line for line in result.err.splitlines() if line[:2] in {"> ", "< "}]
    assert [json.loads(line[2:]).popitem()[0] for line in messages[:2]] == ["setup", "setupComplete"]
    assert any(re.search(r'"data":"<\d+ bytes>"', line) for line in messages)
    assert not re.search(r"[A-Za-z0-9+/_-]{200}", result.err)


@pytest.mark.parametrize("verbosity", [[], ["-v"], ["-q"], ["--output-format=jsonl", "-v"]])
@pytest.mark.parametrize("code", [1007, 1011])
def test_the_key_is_never_shown_not_even_where_the_server_repeats_it(verbosity: list[str], code: int) -> None:
    with serving(f"close:{code}:the key {KEY} is no good", key=KEY) as server:
        options = [f"--base-url={server.url}", *SIMULATED[1:], "--no-reconnect", *ASK, *verbosity]
        result = call(*options, environ=WITH_KEY)
    assert result.code == 4
    assert "is no good" in result.err
    assert KEY not in result.out + result.err


def test_a_key_in_a_traceback_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"a bug that knows {KEY}")

    monkeypatch.setattr(cli._Command, "_load_functions", fail)
    result = call(*ASK, environ=WITH_KEY)
    assert result.code == 1
    assert "a bug that knows ***" in result.err
    assert "this is a bug in gemini-live" in result.err
    assert KEY not in result.err


@pytest.mark.parametrize("output_format", ["text", "jsonl"])
def test_a_bug_in_a_session_is_exit_1_with_its_traceback(output_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(Dispatcher, "dispatch", fail)
    result = call(*SIMULATED, *ASK, f"--output-format={output_format}")
    assert result.code == 1
    assert "KeyError: 'a bug'" in result.err
    assert result.err.endswith("gemini-live: this is a bug in gemini-live\n")
    assert output_format == "text" or result.events[-1]["exit_code"] == 1


def test_a_session_without_any_input_says_so() -> None:
    result = call(*SIMULATED)
    assert result.code == 0
    assert "nothing to ask" in result.err


def test_a_sound_file_is_played_when_the_typed_questions_before_it_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "Timings", lambda: Timings(after_audio_end_s=0.5))
    write_wav(tmp_path / "hum.wav", make_tone(300, 0.4, 16_000), 16_000)
    result = call(*SIMULATED, *ASK, f"--input-file={tmp_path / 'hum.wav'}")
    assert (result.code, result.out) == (4, "Good morning.\n")
    assert "no answer came after the end of the audio" in result.err  # a hum is no speech, but it was sent


def test_a_log_of_the_simulator_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    result = call(f"--simulate=--pace 0 --log {tmp_path / 'mine'}", "--text-output", "-q", *ASK)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "it is not a recording" in result.err


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_stdin_is_told(text: str, tmp_path: Path) -> None:
    stdin = tmp_path / "stdin"
    stdin.write_text(text)
    result = call("--simulate=--pace 0", "--text-output", stdin=stdin)
    assert (result.code, result.out) == (0, "")
    assert result.err.count("stdin is empty: there is nothing to ask\n") == 1
    asked = call("--simulate=--pace 0", "--text-output", *ASK, stdin=stdin)
    assert "nothing to ask" not in asked.err


def test_without_resumption_in_the_setup_a_handle_that_comes_unasked_is_not_relied_on(tmp_path: Path) -> None:
    first_messages: list[Any] = []

    def script(peer: Peer) -> None:
        if not first_messages:
            first_messages.append(peer.receive())
            peer.say("Good morning.")
            peer.end_turn()
            peer.send(sessionResumptionUpdate={"newHandle": "h", "resumable": True})
            peer.receive_line()
            peer.drop()
        else:
            first_messages.append(peer.receive())
            peer.receive_line()
            peer.say("Good night.")
            peer.end_turn()

    stdin = tmp_path / "stdin"
    stdin.write_text("one\ntwo\n")
    with scripted(script) as url:
        options = ("--text-output", f"--base-url={url}", '--setup={"sessionResumption": null}')
        result = call(*options, environ=WITH_KEY, stdin=stdin)
    assert (result.code, result.out) == (0, "Good morning.\nGood night.\n")
    assert [turn["parts"][0]["text"] for turn in first_messages[1]["clientContent"]["turns"]] == [
        "one",
        "Good morning.",
    ]


@pytest.mark.parametrize("message", ["", "  "])
def test_an_empty_initial_message_is_none(message: str) -> None:
    result = call(*SIMULATED, f"--initial-message={message}")
    assert (result.code, result.out) == (0, "")
    assert "nothing to ask" in result.err


def test_an_answer_of_several_lines_and_scripts_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("你好 世界\nzażółć\tgęślą\n\x1b[31mred\x07\n")
    result = call(*SIMULATED, stdin=path)
    assert result.out == "你好 世界\nzażółć\tgęślą\n\\x1b[31mred\\x07\n"


# A terminal.


def test_a_terminal_gets_words_with_who_says_them() -> None:
    result = call(*SIMULATED, *ASK, "--color=never", stdout=Terminal())
    assert result.out == "you: Good morning.\ngemini: Good morning.\n"


@pytest.mark.parametrize(
    ("options", "environ", "colored"),
    [
        ([], {}, False),  # as a script has it: stdin is no terminal
        (["--color=always"], {}, True),
        (["--color=never"], {}, False),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"TERM": "dumb"}, False),
        (["--color=always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_a_script_gets_colours_only_if_it_asks_for_them(
    options: list[str], environ: dict[str, str], *, colored: bool
) -> None:
    result = call(*SIMULATED, *ASK, *options, environ=environ, stdout=Terminal())
    assert ("\x1b[" in result.out) is colored


# Functions.


def test_what_functions_print_is_on_stderr_and_the_answer_alone_on_stdout(functions: str) -> None:
    asked = 'call greet({"name": "you"}) and call whisper() and call stumble()'
    result = call(*SIMULATED, functions, "--no-stdin", f"--initial-message={asked}")
    assert result.out.splitlines() == [
        "greet returned Hello you. whisper returned whispered. stumble failed: RuntimeError: stumbled"
    ]
    said = result.err.splitlines()
    for line in ("imported", "greeting you", "hello", "from another thread: done", "psst"):
        assert line in said
    assert said.index("[call] whisper()") < said.index("psst") < said.index('[result] whisper: {"output": "whispered"}')
    assert '[failed] stumble: {"error": "RuntimeError: stumbled"}' in said
    assert "Traceback" not in result.err


def test_verbose_shows_the_traceback_of_a_function_that_failed(functions: str) -> None:
    result = call(*SIMULATED, functions, "-v", "--no-stdin", "--initial-message=call stumble")
    assert re.search(r"^  File .*functions\.py", result.err, re.MULTILINE)
    assert result.code == 0


def test_stdout_is_given_back(functions: str) -> None:
    before = sys.stdout
    call(*SIMULATED, functions, "--no-stdin", "--initial-message=call greet")
    assert sys.stdout is before


# Programs.


def test_jsonl_is_one_object_an_event_and_says_how_it_ended(functions: str) -> None:
    asked = '--initial-message=call greet({"name": "you"})'
    result = call(*SIMULATED, functions, "--no-stdin", "--output-format=jsonl", asked)
    kinds = [event["type"] for event in result.events]
    assert kinds[0] == "function_output"  # of the import
    assert kinds[1:5] == ["connecting", "session_started", "asked", "tool_call"]
    assert kinds[-1] == "session_ended"
    assert {"tool_result", "words", "usage", "answered"} < set(kinds)
    assert all(event["v"] == 1 and event["t_s"] >= 0 for event in result.events)
    printed = [event["text"] for event in result.events if event["type"] == "function_output"]
    assert printed == ["imported", "greeting you", "hello", "from another thread: done"]
    assert result.events[-1]["exit_code"] == 0
    assert result.err == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--simulate=--pace 0 --fault close:1007:no", *ASK], 4),
        (["--simulate=--pace 0 --fault no-answer", *ASK, "--timeout=0.5"], 124),
        (["--simulate=--pace 0", *ASK, "--import-functions=missing.py"], 2),
        (["--simulate=--pace 0", *ASK, "--input-file=missing.wav"], 2),
        (["--simulate=--pace 0", *ASK, "--input-device=no such thing"], 3),
    ],
)
def test_jsonl_ends_with_the_exit_code_and_the_error_is_on_both_streams(
    arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", FakePyAudio())
    result = call(*arguments, *SIMULATED[1:], "--output-format=jsonl")
    assert result.code == code
    *_, error, ended = result.events
    assert error["type"] == "error"
    assert ended == {**ended, "type": "session_ended", "exit_code": code}
    assert result.err == f"gemini-live: error: {error['text']}\n"


# --turns and --timeout.


def test_turns_leaves_and_says_what_was_not_sent(lines: Path) -> None:
    result = call(*SIMULATED, "--turns=2", stdin=lines)
    assert (result.code, result.out) == (0, "one\ntwo\n")
    assert "gemini-live: warning: --turns 2 reached; lines that were not sent: 1" in result.err


@pytest.mark.parametrize(
    "faults",
    ["hang", "no-setup-complete", "silence", "no-turn-end", "refuse:503"],
)
def test_timeout_holds_in_every_state(faults: str) -> None:
    result = call(f"--simulate=--pace 0 --fault {faults}", *SIMULATED[1:], *ASK, "--timeout=0.7")
    assert result.code == 124
    assert result.err.splitlines()[-1] == "gemini-live: error: timed out after 0.7 s (--timeout)"


def test_a_timeout_that_is_over_before_the_session_begins(functions: str) -> None:
    assert call(*SIMULATED, functions, *ASK, "--timeout=0.001").code == 124


def test_an_endless_timeout_is_none() -> None:
    assert call(*SIMULATED, *ASK, "--timeout=1e300").code == 0


# Bad input: one line, an exit code, no traceback.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with bad files, on a machine with one sound device."""
    (tmp_path / "broken.py").write_text("x = 1\nprint('hello'\n")
    (tmp_path / "raises.py").write_text("{}['x']\n")
    monkeypatch.setitem(sys.modules, "pyaudio", FakePyAudio())
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "environ", "code", "words"),
    [
        ([], {}, 2, "no API key: set GEMINI_API_KEY"),
        ([], {"GOOGLE_API_KEY": " \n"}, 2, "no API key"),
        ([], {"GEMINI_API_KEY": "two\nlines-of-a-key"}, 2, "the API key in the environment contains a space"),
        (["--simulate=--pace 0 --fault 'close:1007:API key not valid'", *ASK], {}, 4, "API key not valid"),
        (["--simulate=--pace 0", "--model=gemini-9", *ASK], {}, 4, "models/gemini-9 is not found"),
        (["--simulate", "--model=two words"], {}, 2, "--model: 'two words' is not the id of a model"),
        (["--output-format=xml"], {}, 2, "argument --output-format: invalid choice: 'xml'"),
        (["--colour=never"], {}, 2, "unknown option: --colour; did you mean --color?"),
        (["--init=Hello"], {}, 2, "unknown option: --init; did you mean --initial-message?"),
        (["stray"], {}, 2, "unexpected argument: stray; ask with"),
        (["--simulate", "--import-functions={tmp}/broken.py"], {}, 2, "broken.py:2: cannot be imported: '(' was never"),
        (["--simulate", "--import-functions={tmp}/raises.py"], {}, 2, "raises.py:1: cannot be imported: KeyError: 'x'"),
        (["--simulate", "--import-functions={tmp}/missing.py"], {}, 2, "missing.py: cannot be read: No such file"),
        (["--simulate", "--import-functions={tmp}"], {}, 2, "cannot be read: it is a directory"),
        (["--simulate", "--input-file={tmp}/broken.py"], {}, 2, "broken.py"),
        (["--simulate", "--input-file={tmp}/missing.wav"], {}, 2, "missing.wav"),
        (["--simulate", "--input-file={tmp}"], {}, 2, "{tmp}"),
        (["--simulate", "--input-file={tmp}/x.wav", "--audio-input"], {}, 2, "--input-file replaces the microphone"),
        (["--simulate", "--output-file={tmp}/no/out.wav"], {}, 2, "{tmp}/no/out.wav"),
        (["--simulate", "--output-file={tmp}"], {}, 2, "{tmp}"),
        (["--simulate", "--input-file={tmp}/x.wav", "--output-file={tmp}/x.wav"], {}, 2, "would overwrite"),
        (["--simulate", "--setup={"], {}, 2, "argument --setup: "),
        (["--simulate", "--setup=[1]"], {}, 2, "argument --setup: "),
        (["--simulate", "--setup=@{tmp}/missing.json"], {}, 2, "argument --setup: "),
        (["--simulate", "--setup=@{tmp}"], {}, 2, "argument --setup: "),
        (["--simulate", "--input-device=no such thing"], {}, 3, "no such thing"),
        (["--simulate", "--screen-capture-fps=0"], {}, 2, "'0' is not a number above 0"),
        (["--simulate", "--screen-capture-fps=-1"], {}, 2, "'-1' is not a number above 0"),
        (["--simulate", "--screen-capture-fps=nan"], {}, 2, "'nan' is not a number above 0"),
        (["--simulate", "--screen-capture-fps=inf"], {}, 2, "'inf' is not a number above 0"),
        (["--simulate", "--timeout=0"], {}, 2, "argument --timeout: '0' is not a number above 0"),
        (["--simulate", "--turns=0"], {}, 2, "argument --turns: '0' is not a whole number, 1 or more"),
        (["--simulate", "--turns=1.5"], {}, 2, "argument --turns: '1.5' is not a whole number"),
        (["--simulate", "--initial-message-delay=soon"], {}, 2, "'soon' is not a number 0 or more"),
        (["--simulate", "-v", "-q"], {}, 2, "--verbose and --quiet"),
        (["--simulate", "--base-url=https://x"], {}, 2, "--simulate starts a server of its own: leave out --base-url"),
        (["--base-url=http://example.com"], WITH_KEY, 2, "would send the API key unencrypted"),
        (["--base-url=ftp://example.com"], WITH_KEY, 2, "is not an address such as https://host"),
        (["--api-version=two"], WITH_KEY, 2, "--api-version: 'two' is not a version"),
        (["--simulate", "--text-output", "--no-transcription"], {}, 2, "without a transcript there is no text"),
        (["--simulate=--fault nonsense"], {}, 2, "--simulate: --fault nonsense: not KIND"),
        (["--simulate=--log 'x"], {}, 2, "--simulate: No closing quotation"),
        (["--simulate=--nonsense"], {}, 2, "--simulate: unrecognized arguments: --nonsense"),
        (["--simulate=--tls"], {}, 2, "--simulate: --tls is for other clients"),
        (["--simulate=--host ::1"], {}, 2, "--simulate: --host is for other clients"),
        (["--simulate=--port 1"], {}, 2, "--simulate: --port is for other clients"),
        (["--simulate=--key another"], {}, 2, "--simulate: --key is for other clients"),
        (["--simulate=--upstream https://a.test"], {}, 2, "--simulate: --upstream is for other clients"),
        (["--simulate=--script {tmp}/no.toml"], {}, 2, "{tmp}/no.toml: No such file or directory"),
        (["--simulate=--replay {tmp}/no.jsonl"], {}, 2, "{tmp}/no.jsonl: cannot be read: No such file or directory"),
        (["--simulate=--log {tmp}/no/log"], {}, 2, "--log {tmp}/no/log: No such file"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(
    argv: list[str], environ: dict[str, str], code: int, words: str, folder: Path
) -> None:
    quiet = [] if {"-v", "-q"} & set(argv) else ["-q"]
    result = call(*(word.replace("{tmp}", str(folder)) for word in argv), *quiet, environ=environ)
    assert result.code == code
    assert re.fullmatch(r"gemini-live: error: [^\n]+\n", result.err), result.err
    assert words.replace("{tmp}", str(folder)) in result.err
    assert result.out == ""


def test_an_unknown_model_is_told_how_to_go_on() -> None:
    result = call("--simulate=--pace 0", "--model=gemini-9", *ASK, "-q")
    assert "choose another --model" in result.err


@pytest.mark.parametrize("option", [[], ["-v", "-q"], ["--simulate=--pase 0"], ["--push-to-talk", "--simulate"]])
def test_a_program_that_reads_events_is_told_too_what_keeps_a_session_from_coming_about(option: list[str]) -> None:
    result = call("--output-format=jsonl", *option)
    assert result.code == 2
    assert [event["type"] for event in result.events] == ["error", "session_ended"]
    assert result.events[1]["exit_code"] == 2
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_vertex_is_said_not_to_be_supported(value: str) -> None:
    with serving() as server:
        options = (f"--base-url={server.url}", *SIMULATED[1:], *ASK)
        result = call(*options, environ={**WITH_KEY, "GOOGLE_GENAI_USE_VERTEXAI": value})
    assert result.out == "Good morning.\n"
    assert len([line for line in result.err.splitlines() if "Vertex" in line]) == 1


# Help, version, the simulator's own help.


def test_help_names_every_exit_code() -> None:
    result = call("--help")
    assert result.code == 0
    assert result.err == ""
    for code, meaning in EXIT_CODE_MEANINGS.items():
        assert re.search(rf"^  {code.value} +{re.escape(meaning)}$", result.out, re.MULTILINE)


def test_version() -> None:
    assert call("--version") == (0, f"gemini-live {__version__}\n", "")


def test_the_simulators_help_is_given_for_its_arguments() -> None:
    result = call("--simulate=--help")
    assert (result.code, result.err) == (0, "")
    assert "usage: gemini-live-simulator" in result.out


def test_devices_are_listed_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", FakePyAudio(FakeDevice("A Headset")))
    result = call("--list-devices")
    assert (result.code, result.err) == (0, "")
    assert "A Headset" in result.out


def test_functions_are_listed_without_a_key(tmp_path: Path) -> None:
    tools = tmp_path / "tools.py"
    tools.write_text("print('importing')\ndef greet(name: str) -> str:\n    'Greet.'\n")
    result = call("--import-functions", str(tools), "--list-functions")
    assert (result.code, result.out) == (0, "greet BLOCKING\n  Greet.\n  - name: string\n")
    assert "importing" in result.err
    result = call(
        *("--import-functions", str(tools), "--list-functions", "--output-format", "jsonl"),
        *("--model", "gemini-3.1-flash-live-preview"),
    )
    assert result.code == 0
    assert json.loads(result.out) == {
        "name": "greet",
        "description": "Greet.",
        "parameters": {"type": "OBJECT", "properties": {"name": {"type": "STRING"}}, "required": ["name"]},
    }


def test_functions_cannot_be_listed_without_a_file() -> None:
    result = call("--list-functions")
    assert (result.code, result.out) == (2, "")
    assert "--list-functions needs functions: add --import-functions FILE" in result.err


def test_a_file_whose_functions_cannot_be_listed_is_named(tmp_path: Path) -> None:
    tools = tmp_path / "tools.py"
    tools.write_text("def greet(name) -> str: ...")
    result = call("--import-functions", str(tools), "--list-functions")
    assert (result.code, result.out) == (2, "")
    assert f"{tools}:1: `greet` has a parameter `name` without a type annotation" in result.err


def test_devices_cannot_be_listed_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    result = call("--list-devices")
    assert result.code == 2
    assert "pip install 'gemini-live[audio]'" in result.err


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completion_script_is_printed_without_a_key(shell: str) -> None:
    result = call("--print-completion", shell)
    assert (result.code, result.err) == (0, "")
    assert "--import-functions" in result.out or "-l import-functions" in result.out
    assert result.out.endswith("\n")


def test_a_shell_that_is_not_known_is_a_wrong_argument() -> None:
    result = call("--print-completion=tcsh")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert "tcsh" in result.err


# Streams that fail or are not there.


class Closed(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


class Full(io.StringIO):
    """A disk with no room."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_closed_stdout_ends_the_session_quietly(lines: Path) -> None:
    result = call(*SIMULATED, "-q", stdin=lines, stdout=Closed())
    assert (result.code, result.err) == (ExitCode.CLOSED_STDOUT, "")


def test_a_full_disk_is_an_error(lines: Path) -> None:
    result = call(*SIMULATED, "-q", stdin=lines, stdout=Full())
    assert result.code == ExitCode.USAGE
    assert result.err == "gemini-live: error: stdout cannot be written to: No space left on device\n"


def test_a_failure_is_worth_more_than_a_closed_stdout() -> None:
    result = call("--simulate=--pace 0 --fault close:1007:no", *SIMULATED[1:], "-q", *ASK, stdout=Closed())
    assert result.code == ExitCode.SESSION


@pytest.mark.parametrize(
    "argv", [[*SIMULATED, *ASK], ["--print-completion", "bash"], ["--list-devices"], ["inspect", "talk.jsonl"]]
)
def test_a_closed_stdout_is_a_usage_error(argv: list[str]) -> None:
    err = io.StringIO()
    assert main(argv, {}, Streams(None, None, err)) == ExitCode.USAGE
    assert err.getvalue().startswith("gemini-live: error: stdout is closed: redirect it, e.g. to /dev/null")
    assert main(argv, {}, Streams(None, None, None)) == ExitCode.USAGE


def test_without_stdin_and_stderr_it_answers() -> None:
    out = io.StringIO()
    assert main([*SIMULATED, *ASK], {}, Streams(None, out, None)) == 0
    assert out.getvalue() == "Good morning.\n"


def test_outside_the_main_thread_it_works_without_signals() -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(call(*SIMULATED, *ASK)))
    thread.start()
    thread.join()
    assert [result.code for result in results] == [0]


@pytest.mark.parametrize(("options", "told"), [((), "listening\n"), (("-q",), "")])
def test_check_audio_says_what_happens_unless_it_is_to_be_quiet(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: str
) -> None:
    async def check_audio(*_: object, tell: Callable[[str], None]) -> None:
        tell("listening")
        raise DeviceError("gone")

    monkeypatch.setattr(check, "check_audio", check_audio)
    assert call("--check-audio", *options) == (3, "", f"{told}gemini-live: error: gone\n")
