"""The programs that are compared, each in a module of its own name. Each run is a process of its own.

    python -m benchmarks.contenders.floor receive 127.0.0.1:8080 '{"messages": 2000}'

runs one task of one contender, and prints what it measured as one JSON object. What a task means is said in `floor`.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Task = Callable[..., Awaitable[dict[str, float]]]
"""Takes the address of the server and the task's own arguments; returns figures by name."""


class CpuClock:
    """Measures the CPU time of this process, all threads and the kernel's work included."""

    def __init__(self) -> None:
        self._started_s = time.process_time()

    def restart(self) -> None:
        """Begin at zero again."""
        self._started_s = time.process_time()

    def us_each(self, n: int) -> float:
        """Return the microseconds since the start for each of `n` things."""
        return (time.process_time() - self._started_s) / n * 1e6


def parse_task(tasks: Mapping[str, Task]) -> tuple[Task, str, dict[str, Any]]:
    """Return the task that the process's arguments name, the address of the server, and the task's arguments."""
    parser = argparse.ArgumentParser(description="Runs one task of one contender and prints its figures as JSON.")
    parser.add_argument("task", choices=tasks)
    parser.add_argument("address", help="host and port of the server")
    parser.add_argument("arguments", type=json.loads, help="of the task, as JSON")
    arguments = parser.parse_args()
    return tasks[arguments.task], arguments.address, arguments.arguments


def run_task(tasks: Mapping[str, Task]) -> None:
    """Run the task that the process's arguments name, and print its figures."""
    task, address, arguments = parse_task(tasks)

    async def run() -> dict[str, float]:
        return await task(address, **arguments)

    sys.stdout.write(json.dumps(asyncio.run(run())) + "\n")
