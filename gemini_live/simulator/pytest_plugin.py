"""A pytest fixture: a Live API server for one test, on this machine, without a key.

It comes with the package; nothing need be imported. The server runs in a thread of its own, so that plain tests and
async tests of any framework can use it. google-genai insists on TLS (`pip install 'gemini-live[tls]'`):

    @pytest.mark.live_simulator(tls=True)
    async def test_my_assistant(live_simulator, monkeypatch):
        for name, value in live_simulator.environ.items():
            monkeypatch.setenv(name, value)
        async with genai.Client().aio.live.connect(model="gemini-3.8-live", config=CONFIG) as session:
            await session.send_realtime_input(text="Hello")
            ...
        assert live_simulator.sessions[0].turns[0].asked == "Hello"

The mark takes the arguments of `gemini_live.simulator.Simulator`; `pace` is 0 unless it says otherwise: nothing waits.
With `strict=True` a test fails if a client made a mistake. The fixture has `url`, `socket_url`, `environ`, `sessions`,
`mistakes`, `verdict()`, `wait_for(condition)` and `wait_for_session(n)`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .in_thread import SimulatorInThread


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers",
        "live_simulator(**options): arguments of gemini_live.simulator.Simulator for the fixture live_simulator; "
        "strict=True: fail if a client makes a mistake",
    )


@pytest.fixture
def live_simulator(request: pytest.FixtureRequest) -> "Iterator[SimulatorInThread]":
    """A Live API server for one test; `pytest.mark.live_simulator` takes its options."""
    from .in_thread import SimulatorInThread  # noqa: PLC0415 - a run that needs no server loads none

    mark = request.node.get_closest_marker("live_simulator")
    options = {"pace": 0.0, **(mark.kwargs if mark is not None else {})}
    strict = options.pop("strict", False)
    with SimulatorInThread(**options) as server:
        yield server
    if strict and (server.mistakes or server.departures):
        pytest.fail("the client made mistakes:\n" + "\n".join(server.verdict()), pytrace=False)
