"""arguments.py and __main__.py: the command line, its help, its greeting and verdict, its exit codes."""

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gemini_live import __version__
from gemini_live.errors import ConfigError
from gemini_live.simulator import FAULT_KINDS, Simulator, SimulatorInThread
from gemini_live.simulator.__main__ import _LoopErrors, format_greeting, main
from gemini_live.simulator.arguments import build_parser, parse_arguments
from tests.command import clean_environ

from .peer import socket_url

SETUP = '{"setup": {"model": "models/gemini-3.8-live"}}'


def run_main(*argv: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    return main(argv, {}, stdout, stderr), stdout.getvalue(), stderr.getvalue()


def test_every_option_becomes_an_argument_of_the_simulator() -> None:
    argv = (
        "--host 0.0.0.0 --port 1234 --tls --key k --pace 0 --lifetime 60 --seed 7 --fault close:1011@turn2 "
        "--fault no-pong --log x.jsonl --log-media"
    )
    options = parse_arguments(argv.split())
    faults = [fault.kind.name for fault in options.pop("faults")]
    assert faults == ["close", "no-pong"]
    assert options == {
        "host": "0.0.0.0",
        "port": 1234,
        "tls": True,
        "key": "k",
        "pace": 0.0,
        "lifetime_s": 60.0,
        "seed": 7,
        "log": Path("x.jsonl"),
        "log_media": True,
        "keep": False,
    }
    Simulator(**options)


def test_greeting_of_a_proxy_says_where_clients_are_passed_on_to() -> None:
    server = Simulator(upstream="https://a.test")
    assert format_greeting(server).startswith(
        "passing on to a.test at http://127.0.0.1:0; with GOOGLE_GEMINI_BASE_URL="
    )


def test_no_option_leaves_every_default_to_the_simulator() -> None:
    assert parse_arguments([]) == {"faults": [], "keep": False}


WRONG = [
    (["--fault", "nonsense"], "--fault nonsense: not KIND"),
    (["--fault", "close:x"], "--fault close:x: 'x' is not a number"),
    (["--fault", "close:1005"], "--fault close:1005: '1005' is out of range for CODE"),
    (["--port", "x"], "argument --port: invalid int value: 'x'"),
    (["--port", "70000"], "argument --port: 70000 is no port"),
    (["--pace", "-1"], "argument --pace: invalid number, 0 or more value: '-1'"),
    (["--pace", "nan"], "argument --pace: invalid number, 0 or more value: 'nan'"),
    (["--lifetime", "0"], "argument --lifetime: invalid number of seconds above 0 value: '0'"),
    (["--log-media"], "--log-media needs --log FILE"),
    (["--script", "a", "--replay", "b"], "--script and --replay exclude each other: each decides the answers"),
    (["--replay", "a", "--lifetime", "5"], "--lifetime has no effect with --replay: the recording decides"),
    (
        ["--upstream", "https://a.test", "--fault", "hang"],
        "--fault has no effect with --upstream: everything is passed",
    ),
    (["--log", "-"], "--log -: stdout has the greeting"),
    (["--verdict", "-"], "--verdict -: stdout has the greeting"),
    (["--allow-origin", "foo"], "--allow-origin foo: not an origin as in http://app.test:3000, nor *"),
    (["--allow-origin", "http://a.test/page"], "--allow-origin http://a.test/page: not an origin"),
    (["--tls-name", "x"], "--tls-name needs --tls"),
    (["--tls-dir", "x"], "--tls-dir needs --tls"),
    (["--end-call-turn", "x"], "argument --end-call-turn: invalid number, 0 or more, or never value: 'x'"),
    (["--unknown"], "unrecognized arguments: --unknown"),
    (["--por", "1"], "unrecognized arguments: --por 1"),
]


@pytest.mark.parametrize(("argv", "words"), WRONG)
def test_wrong_option_is_one_line_and_exit_2(argv: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse_arguments(argv)
    code, out, err = run_main(*argv)
    assert (code, out) == (2, "")
    assert err.startswith(f"gemini-live-simulator: {words}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--upstream", "http://a.test"], "--upstream http://a.test: keys would travel unencrypted; use https"),
        (["--script", "/nowhere/a.toml"], "/nowhere/a.toml: No such file or directory"),
        (["--replay", "/nowhere/a.jsonl"], "/nowhere/a.jsonl: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_exit_2(argv: list[str], words: str) -> None:
    assert run_main(*argv) == (2, "", f"gemini-live-simulator: {words}\n")


def test_unwritable_log_is_one_line_and_exit_2(tmp_path: Path) -> None:
    code, _, err = run_main("--port", "0", "--log", str(tmp_path))
    assert code == 2
    assert err.startswith(f"gemini-live-simulator: --log {tmp_path}: ")
    assert err.count("\n") == 1


async def test_taken_port_is_one_line_and_exit_2() -> None:
    async with Simulator() as server:
        code, _, err = await asyncio.to_thread(run_main, "--port", str(server.port))
    assert code == 2
    assert err.startswith(f"gemini-live-simulator: cannot listen on 127.0.0.1:{server.port}: ")
    assert err.count("\n") == 1


def test_help_explains_every_fault_request_and_exit_code() -> None:
    code, text, _ = run_main("--help")
    assert code == 0
    assert all(f"  {kind.name}" in text and kind.meaning in text for kind in FAULT_KINDS)
    assert "count to N" in text and "exit codes:" in text


def test_parser_holds_no_default_twice() -> None:
    assert vars(build_parser().parse_args([])) == {}


async def test_greeting_says_how_to_point_clients_at_it() -> None:
    async with Simulator() as plain, Simulator(tls=True, key="k") as safe:
        assert f"GOOGLE_GEMINI_BASE_URL={plain.url} GOOGLE_API_KEY=any" in format_greeting(plain)
        assert safe.certificate is not None
        assert f"SSL_CERT_FILE={safe.certificate.path} GOOGLE_GEMINI_BASE_URL={safe.url}" in format_greeting(safe)
        assert "GOOGLE_API_KEY=k run" in format_greeting(safe)


def start(*argv: str) -> tuple[subprocess.Popen[str], Any]:
    """Start the command; return it with something that looks like a server for `socket_url`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gemini_live.simulator", "--port", "0", "--pace", "0", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    match = re.match(r"serving at (http://\S+);", process.stdout.readline())
    assert match is not None
    return process, type("Server", (), {"url": match[1]})


@pytest.mark.skipif(os.name != "posix", reason="there are no signals to send")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_with_a_verdict_and_exit_0(number: signal.Signals, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    process, server = start("--log", str(log))
    with connect(socket_url(server), compression=None) as websocket:
        websocket.send(SETUP)
        websocket.recv()
        websocket.send('{"realtimeInput": {"text": "Hello"}}')
        while b"turnComplete" not in websocket.recv():
            pass
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert err.splitlines() == [
        "session 1 opened: gemini-3.8-live at v1beta",
        "session 1 closed by the server with 1001: 1 turns, no mistakes",
    ]
    assert "session 1: /ws/" in out
    assert "1 turns, 1 complete" in out and "no protocol mistakes found" in out
    assert '"type":"closed"' in log.read_text(encoding="utf-8")


@pytest.mark.skipif("sys.platform == 'win32'", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize(
    ("redirect", "code", "err"),
    [
        (
            ">&-",
            2,
            "gemini-live-simulator: stdout is closed: redirect it, e.g. to /dev/null, if you do not want the output\n",
        ),
        (">&- 2>&-", 2, ""),
        ("2>&-", 2, ""),
    ],
)
def test_a_stream_that_was_closed_at_the_start_brings_no_traceback(redirect: str, code: int, err: str) -> None:
    command = [
        "/bin/sh",
        "-c",
        f'exec "$@" {redirect}',
        "sh",
        sys.executable,
        "-m",
        "gemini_live.simulator",
        "--pace",
        "x",
    ]
    done = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, err)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
@pytest.mark.parametrize("argv", [["--help"], ["--port", "0"]])
def test_stdout_that_cannot_be_written_is_an_error(argv: list[str]) -> None:
    command = [sys.executable, "-m", "gemini_live.simulator", *argv]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    error = "gemini-live-simulator: stdout cannot be written to: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, error)


@pytest.mark.skipif(os.name != "posix", reason="a pipe that breaks is another thing on Windows")
def test_closed_stdout_ends_it_quietly() -> None:
    process, server = start()
    assert process.stdout is not None and process.stderr is not None
    with connect(socket_url(server), compression=None) as websocket:
        websocket.send(SETUP)
        websocket.recv()
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    process.wait(20)
    with process.stderr:
        assert "Traceback" not in process.stderr.read()
        assert process.returncode == 141


@pytest.mark.skipif(os.name != "posix", reason="there are no signals to send")
@pytest.mark.skipif(os.name != "posix", reason="there are no signals to send")
@pytest.mark.parametrize(("text", "code"), [("Hello", 0), ("Goodbye", 1)])
def test_strict_fails_where_a_client_leaves_the_recording(text: str, code: int, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with SimulatorInThread(pace=0, espeak=False, log=path) as recorded:
        _converse(recorded.socket_url, "Hello")
    process, server = start("--replay", str(path), "--strict")
    _converse(socket_url(server), text)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    words = 'typed "Goodbye", where the recorded client typed "Hello"'
    assert (words in out) == (words in err) == bool(code)


def _converse(url: str, text: str) -> None:
    with connect(url, compression=None) as websocket:
        websocket.send(SETUP)
        websocket.send(json.dumps({"realtimeInput": {"text": text}}))
        while b"turnComplete" not in websocket.recv(decode=False):
            pass


@pytest.mark.parametrize(("strict", "text", "code"), [(True, "system", 1), (True, "user", 0), (False, "system", 0)])
def test_strict_fails_for_mistakes_and_the_verdict_is_a_file(
    strict: bool, text: str, code: int, tmp_path: Path
) -> None:
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(Simulator().verdict_data(), indent=2))  # an older verdict is overwritten
    process, server = start("--verdict", str(path), *(["--strict"] if strict else []))
    with connect(socket_url(server), compression=None) as websocket:
        websocket.send(SETUP)
        for expected in ("setupComplete", "sessionResumptionUpdate"):
            assert expected in json.loads(websocket.recv())
        websocket.send(json.dumps({"clientContent": {"turns": [{"role": text}]}}))
        if text == "system":
            with pytest.raises(ConnectionClosed):
                websocket.recv()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    verdict = json.loads(path.read_text(encoding="utf-8"))
    assert (process.returncode, verdict["mistakes"]) == (code, int(text == "system"))
    assert verdict["sessions"][0]["model"] == "gemini-3.8-live"
    assert ("session 1 mistake: Please use a valid role" in err) == (text == "system")


@pytest.mark.parametrize("content", ["RIFF", '{"format":"gemini-live-recording"}\n', '{"verdict": 1}\n'])
def test_the_verdict_overwrites_no_other_file(content: str, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text(content)
    refused = f"gemini-live-simulator: --verdict {path}: it holds something else; choose another name\n"
    assert run_main("--port", "0", "--verdict", str(path)) == (2, "", refused)
    assert path.read_text() == content


@pytest.mark.skipif(os.name != "posix", reason="Windows has no named pipes in folders")
def test_the_verdict_waits_for_no_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    refused = f"gemini-live-simulator: --verdict {path}: it is a device or a pipe, not a file\n"
    assert run_main("--port", "0", "--verdict", str(path)) == (2, "", refused)


@pytest.mark.parametrize("origin", ["*", "null", "http://app.test:3000/", "https://[::1]:80", "chrome-extension://abc"])
def test_origins_that_browsers_send_are_accepted(origin: str) -> None:
    assert parse_arguments(["--allow-origin", origin])["allow_origins"] == [origin]


@pytest.mark.skipif(sys.platform != "linux", reason="only there a process can be limited from outside")
def test_the_verdict_is_given_even_if_the_log_has_no_room(tmp_path: Path) -> None:
    import resource

    log, path = tmp_path / "log.jsonl", tmp_path / "verdict.json"
    process, server = start("--log", str(log), "--log-media", "--verdict", str(path))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (10_000, 10_000))
    _converse(socket_url(server), "Hello there")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, json.loads(path.read_text())["sessions"][0]["turns"]["total"]) == (2, 1)
    assert "no protocol mistakes found" in out
    assert err.splitlines()[-1] == f"gemini-live-simulator: --log: {log} is incomplete: File too large"


def test_version() -> None:
    assert run_main("--version") == (0, f"gemini-live-simulator {__version__}\n", "")


async def test_server_beyond_this_machine_is_greeted_by_a_usable_address_and_a_warning() -> None:
    async with Simulator("0.0.0.0") as server:
        assert server.is_open_to_others and f"http://127.0.0.1:{server.port}" in format_greeting(server)
    async with Simulator("0.0.0.0", key="a b") as server:
        assert not server.is_open_to_others and "GOOGLE_API_KEY='a b'" in format_greeting(server)


def test_simulate_refuses_what_is_the_commands() -> None:
    with pytest.raises(ConfigError, match="--strict and --verdict are for the command"):
        parse_arguments(["--strict"])


async def test_a_lack_of_descriptors_is_told_once_and_everything_else_as_usual() -> None:
    stderr, others = io.StringIO(), list[str]()
    loop = asyncio.new_event_loop()
    report = _LoopErrors(stderr)
    loop.default_exception_handler = lambda context: others.append(context["message"])  # type: ignore[method-assign]
    for _ in range(1_000):
        report(loop, {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many")})
    report(loop, {"message": "Exception in callback BaseSelectorEventLoop._start_serving()", "exception": ValueError()})
    report(loop, {"message": "a bug"})
    loop.close()
    assert others == ["a bug"]
    assert stderr.getvalue().splitlines() == [
        "gemini-live-simulator: out of file descriptors: new clients have to wait until others leave "
        "(ulimit -n allows more)"
    ]
