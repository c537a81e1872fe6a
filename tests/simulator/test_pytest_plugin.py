"""pytest_plugin.py, in_thread.py: the fixture, as a user's tests use it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from websockets.sync.client import connect

from gemini_live.simulator import SimulatorInThread

PLUGIN = "gemini_live.simulator.pytest_plugin"
ROOT = Path(__file__).parents[2]
TESTS = """
import asyncio, json
import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

SETUP = '{"setup": {"model": "models/gemini-3.8-live"}}'

def converse(server):
    with connect(server.socket_url) as socket:
        socket.send(SETUP)
        socket.send('{"realtimeInput": {"text": "Hello"}}')
        while b"turnComplete" not in socket.recv(decode=False):
            pass

def test_sync(live_simulator):
    converse(live_simulator)
    live_simulator.wait_for(lambda server: not server.sessions[0].open)
    assert live_simulator.wait_for_session(1).turns[0].asked == "Hello"
    assert live_simulator.mistakes == []
    assert live_simulator.environ["GOOGLE_GEMINI_BASE_URL"] == live_simulator.url

def test_async(live_simulator):
    async def talk():
        async with connect_async(live_simulator.socket_url) as socket:
            await socket.send(SETUP)
            await socket.recv()
    asyncio.run(talk())
    assert len(live_simulator.sessions) == 1

@pytest.mark.live_simulator(key="k", faults=["close:1011@turn1"])
def test_options(live_simulator):
    assert live_simulator.environ["GOOGLE_API_KEY"] == "k"

@pytest.mark.live_simulator(script="rules.toml")
def test_script(live_simulator):
    converse(live_simulator)
    live_simulator.wait_for(lambda server: server.sessions[0].turns[0].words == "Good day")

@pytest.mark.live_simulator(strict=True)
def test_strict(live_simulator):
    with connect(live_simulator.socket_url) as socket:
        socket.send('{"nonsense": 1}')
        with pytest.raises(Exception):
            socket.recv()
"""
IDLE = """
import sys
def test_nothing(request):
    assert not {"gemini_live.simulator.server", "websockets"} & sys.modules.keys()
"""


def run_pytest(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_user.py").write_text(text, encoding="utf-8")
    options = ["-q", "-p", PLUGIN, "-p", "no:cacheprovider", "-p", "no:asyncio", "--strict-markers", "test_user.py"]
    command = [sys.executable, "-m", "pytest", *options]
    # Where the package is installed, its entry point would load the plugin a second time.
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, env=environ, check=False)


def test_fixture_in_sync_and_async_tests_with_options_and_strict(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("[[rule]]\nsay = 'Good day'\n")
    done = run_pytest(tmp_path, TESTS)
    assert "5 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "the client made mistakes:" in done.stdout and 'Unknown name "nonsense"' in done.stdout


def test_a_run_without_the_fixture_loads_no_server(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, IDLE)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_plugin_is_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert PLUGIN in project["entry-points"]["pytest11"].values()


def test_wait_that_times_out_says_what_came() -> None:
    with SimulatorInThread(pace=0) as server:
        with connect(server.socket_url) as socket:
            socket.send('{"setup": {"model": "models/gemini-3.8-live"}}')
            socket.recv()
            with pytest.raises(TimeoutError, match=r"not within 0\.05 s: session 1 is open; received setup; sent "):
                server.wait_for(lambda server: len(server.sessions) == 2, 0.05)
        with pytest.raises(TimeoutError, match=r"no session 3 within 0\.05 s: 1 sessions, 0 handshakes refused"):
            server.wait_for_session(3, 0.05)


def test_failure_to_start_is_the_callers() -> None:
    with (
        SimulatorInThread() as server,
        pytest.raises(Exception, match="port is in use"),
        SimulatorInThread(port=int(server.url.rpartition(":")[2])),
    ):
        pass
