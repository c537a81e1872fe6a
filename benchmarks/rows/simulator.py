"""How many sessions the simulator serves in real time, and what a session costs by what it does."""

import math
import re
import subprocess
import sys

from ..measure import ROOT, BenchmarkError, environment, run_contender
from ..results import Row, Scale, Section

_SESSIONS = (200, 150, 100, 50)
_LIMIT_MS = 20.0
_SECONDS = 10.0


def measure(scale: Scale) -> list[Section]:
    """Measure fewer and fewer sessions until their audio comes in time."""
    seconds = max(6.0, _SECONDS * scale.share)
    sizes = [max(2, round(n * scale.share)) for n in _SESSIONS]
    late_ms: dict[str, list[float]] = {}
    in_time = 0
    for n in sizes:
        figures = _talk(n, seconds)
        late_ms[f"{n} sessions"] = [figures["late_ms"]]
        speaking = figures["cpu_percent"]
        if figures["late_ms"] <= _LIMIT_MS:
            in_time = n
            break
    silent = _talk(sizes[-1], min(seconds, 3.0), speaks=False)["cpu_percent"]
    most = f"{sizes[0]} sessions"
    cost = {"speaks and is answered": [speaking], "is open and silent": [silent]}
    note = f"{in_time} sessions were served in time: p99 below {_LIMIT_MS:g} ms"
    return [
        Section(
            "The simulator",
            [
                Row("lateness of its audio, p99", "ms", late_ms, "", _LIMIT_MS, note, ours=most),
                Row("a session, of one core", "% CPU", cost, "", ours="speaks and is answered"),
            ],
        )
    ]


def _talk(sessions: int, seconds: float, *, speaks: bool = True) -> dict[str, float]:
    """Hold sessions with a simulator of their own."""
    command = [sys.executable, "-m", "gemini_live.simulator", "--port", "0", "--pace", "1"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as simulator:
        assert simulator.stdout is not None
        found = re.search(r"http://([\d.]+:\d+)", simulator.stdout.readline())
        if found is None:
            raise BenchmarkError("the simulator does not start")
        try:
            figures = run_contender(
                "simulator_clients",
                "talk",
                found[1],
                pid=simulator.pid,
                sessions=sessions,
                seconds=seconds,
                speaks=speaks,
            )
        finally:
            simulator.terminate()
    return {"late_ms": math.inf, **figures}
