"""Send what the client of a recording sent to another server, and record what comes back.

Runs on the event loop. A message of the client is sent when the new session has come as far as the recorded one had
when it was sent (setup complete, n-th answer begun, n-th turn complete), and as long after that as in the recording.
Results of functions are sent when the model calls them. It is longer than 300 lines because it reads what other clients
sent as well.
"""

import asyncio
import copy
import itertools
import json
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from ..config import Config
from ..conversation.conversation import IN_PROGRESS
from ..errors import ConfigError, NotAnsweredError, ProtocolError, SessionClosed
from ..frozen import Frozen
from ..output import events
from ..output.events import Output
from ..recording.format import Message, find_media
from ..recording.read import Recording
from ..wire.address import build_url, check_certificates
from ..wire.connection import ABNORMAL_CLOSURE, NORMAL_CLOSURE, Connection
from ..wire.events import (
    AudioChunk,
    ExecutableCode,
    ModelText,
    OutputTranscription,
    ServerError,
    SetupComplete,
    ToolCall,
    TurnComplete,
)
from ..wire.messages import format_message
from ..wire.parse import parse_server_message
from ..wire.setup import merge_patch
from .journal import Journal

PATIENCE_S = 20.0
"""How much longer than the recorded session the new one may take to come as far."""
_OUTPUT = (AudioChunk, ModelText, OutputTranscription, ToolCall, ExecutableCode)


class Step(Frozen):
    """One message of the client, and when it was sent."""

    message: Mapping[str, Any]
    progress: int
    """How far the recorded session had come."""
    after_s: float
    """How long the recorded session had been there."""


class Progress:
    """How far a session has come: 1 is the complete setup, 2n the first output of the n-th turn, 2n + 1 its end."""

    def __init__(self) -> None:
        """Begin before the setup is complete."""
        self.value = 0
        self._reached_s = [0.0]

    def note(self, raw: str | bytes, now_s: float) -> bool:
        """Advance by a message of the server, if it brings the session further; return True if it ends a turn.

        The end of a turn without output is an end, but brings the session no further.
        """
        try:
            received = parse_server_message(raw)
        except ProtocolError:
            return False
        has_ended = False
        for event in received:
            is_end = isinstance(event, TurnComplete) and event.status != IN_PROGRESS
            has_ended = has_ended or is_end
            is_next = (
                (isinstance(event, SetupComplete) and self.value == 0)
                or (isinstance(event, _OUTPUT) and self.value > 0 and not self.is_in_turn)
                or (is_end and self.is_in_turn)
            )
            if is_next:
                self.value += 1
                self._reached_s.append(now_s)
        return has_ended

    def since_s(self, value: int) -> float | None:
        """Return when the session came as far as `value`, or None if it has not."""
        return self._reached_s[value] if value <= self.value else None

    @property
    def is_in_turn(self) -> bool:
        """True if a turn has begun that is not complete."""
        return self.value > 0 and self.value % 2 == 0

    @property
    def longest_s(self) -> float:
        """Return the longest time from one step to the next."""
        return max((b - a for a, b in itertools.pairwise(self._reached_s)), default=0.0)

    @property
    def n_turns(self) -> int:
        """Return how many turns are complete."""
        return max(0, (self.value - 1) // 2)


class Replay:
    """The client's half of a recording, on a new connection."""

    def __init__(self, config: Config, output: Output, recording: Recording) -> None:
        """Prepare; nothing is opened yet.

        Raises:
            ConfigError: The recording lacks what is to be sent, or has no turn, or the address cannot be used.
        """
        self._config, self._output, self._recording = config, output, recording
        self._clock = asyncio.get_running_loop().time
        self._setup = _build_setup(config, recording)
        self._steps, self._n_asked_turns, self._longest_wait_s = _plan(recording)
        self._results = _collect_results(recording)
        self._progress = Progress()
        self._changed = asyncio.Event()
        self._url = build_url(config.base_url, config.api_version, config.api_key, insecure=config.insecure)
        check_certificates(self._url)
        self._journal = Journal(config, self._setup, remembers=False, warn=self._warn, clock=self._clock)

    async def run(self) -> None:
        """Replay everything.

        Raises:
            ConfigError: The new recording cannot be written.
            ConnectionFailed: No session came about.
            SessionClosed: The server closed the session before the end.
            NotAnsweredError: The new session completed fewer turns than the recorded client asked for.
        """
        self._journal.open()
        try:
            connection = await Connection.open(self._url, self._config.api_key, on_message=self._note)
            self._journal.connected(self._url)
            try:
                await self._converse(connection)
            except SessionClosed as closed:
                self._journal.closed(closed.code, closed.reason, "server")
                raise
            finally:
                self._journal.closed(NORMAL_CLOSURE, "", "client")
                await connection.close()
        finally:
            await self._journal.close()
        n_missing = self._n_asked_turns - self._progress.n_turns
        done = f"{self._progress.n_turns} of {self._n_asked_turns} turns"
        self._output.emit(events.Status(f"replayed: {done}; recorded: {self._config.record}"))
        if n_missing > 0:
            raise NotAnsweredError(n_missing)

    async def _converse(self, connection: Connection) -> None:
        await connection.send(self._setup)
        receiving = asyncio.create_task(self._receive(connection))
        sending = asyncio.create_task(self._send(connection))
        try:
            await asyncio.wait((receiving, sending), return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                receiving.result()
            sending.result()
        finally:
            for task in (receiving, sending):
                task.cancel()
            await asyncio.gather(receiving, sending, return_exceptions=True)

    async def _send(self, connection: Connection) -> None:
        for step in self._steps:
            reached_s = await self._wait_for(step.progress)
            await asyncio.sleep(max(0.0, reached_s + step.after_s - self._clock()))
            await connection.send(step.message)
        await self._wait_for(2 * self._n_asked_turns + 1)

    async def _wait_for(self, progress: int) -> float:
        """Wait until the session has come as far as the recorded one; return when, or now if it takes too long."""
        try:
            async with asyncio.timeout(PATIENCE_S + self._longest_wait_s):
                while (since_s := self._progress.since_s(progress)) is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._warn(f"{_describe(progress)}, though much more time has passed than in the recording; going on")
            return self._clock()
        return since_s

    async def _receive(self, connection: Connection) -> None:
        while True:
            raw = await connection.receive()
            before = self._progress.value
            self._progress.note(raw, self._clock())
            if self._progress.value != before:
                self._changed.set()
            await self._answer(connection, raw)

    async def _answer(self, connection: Connection, raw: bytes) -> None:
        """Send the recorded results of the functions that one message calls."""
        try:
            received = parse_server_message(raw)
        except ProtocolError as error:
            self._warn(f"skipped an invalid message from the server: {error}")
            return
        for event in received:
            if isinstance(event, ServerError):
                raise SessionClosed(event.code or ABNORMAL_CLOSURE, event.message)
            if not isinstance(event, ToolCall):
                continue
            responses = [response for call in event.calls for response in self._respond(call.id, call.name)]
            await connection.send({"toolResponse": {"functionResponses": responses}})

    def _respond(self, call_id: str, name: str) -> list[dict[str, Any]]:
        if not self._results[name]:
            self._warn(f"the model calls {name}, for which the recording has no further result: answered with an error")
            error = {"error": "the recording has no result for this call"}
            return [{"id": call_id, "name": name, "response": error}]
        return [{**response, "id": call_id} for response in self._results[name].popleft()]

    def _note(self, direction: str, raw: str | bytes) -> None:
        self._journal.message("client" if direction == ">" else "server", raw)
        if self._config.verbose:
            self._output.emit(events.Detail(f"{direction} {format_message(raw)}"))

    def _warn(self, text: str) -> None:
        self._output.emit(events.Warning(text))


def _describe(progress: int) -> str:
    """Return what has not happened, in words."""
    if progress <= 1:
        return "the setup is not complete"
    return f"turn {progress // 2} has no output" if progress % 2 == 0 else f"turn {progress // 2} is not complete"


def _build_setup(config: Config, recording: Recording) -> dict[str, Any]:
    """Return the recorded setup with what the user wants otherwise, as for a new session."""
    if recording.header.redacted:
        raise ConfigError(f"{recording.path}: words and sound were left out of it (--redact): it cannot be replayed")
    if recording.header.setup is None:
        raise ConfigError(f"{recording.path}: it has no setup: it cannot be replayed")
    setup = copy.deepcopy(dict(recording.header.setup))
    if isinstance(setup.get("sessionResumption"), dict):
        setup["sessionResumption"].pop("handle", None)
    if config.model != str(setup.get("model")).removeprefix("models/"):
        setup["model"] = f"models/{config.model.removeprefix('models/')}"
    return {"setup": merge_patch(setup, config.setup)}


def _plan(recording: Recording) -> tuple[list[Step], int, float]:
    """Return what is to be sent when, how many turns that asks for, and the longest time from one step to the next.

    A line that was asked again on another connection is sent once. The last turn counts even if its client left early.
    """
    steps: list[Step] = []
    progress = Progress()
    asked: set[str] = set()
    is_asked = False
    for entry in recording.entries:
        if not isinstance(entry, Message):
            continue
        if entry.sender == "server":
            before = progress.n_turns
            has_ended = progress.note(json.dumps(entry.message), entry.t_s)
            is_asked = is_asked and not has_ended
            if progress.n_turns != before:
                asked.clear()
            continue
        if not {"realtimeInput", "clientContent", "realtime_input", "client_content"} & entry.message.keys():
            continue
        is_asked = is_asked or _asks(entry.message)
        text = json.dumps(entry.message)
        if not any(find_media(entry.message)):
            if entry.connection > 1 and text in asked:
                continue
            asked.add(text)
        if any(not media["data"] for media in find_media(entry.message)):
            raise ConfigError(f"{recording.path}:{entry.line}: sound was left out of it: it cannot be replayed")
        since_s = progress.since_s(progress.value) or 0.0
        steps.append(Step(entry.message, progress.value, entry.t_s - since_s))
    n_turns = progress.n_turns + (is_asked or progress.is_in_turn)
    if not n_turns and not any(_asks(step.message) for step in steps):
        raise ConfigError(f"{recording.path}: it has no turn: there is nothing to replay")
    return steps, n_turns, progress.longest_s


def _asks(message: Mapping[str, Any]) -> bool:
    """Return True if a message of the client ends a question: a typed one, or a spoken one that the client marked."""
    stream = _either(message, "realtimeInput", "realtime_input")
    content = _either(message, "clientContent", "client_content")
    if isinstance(stream, dict):
        return bool(str(stream.get("text") or "").strip()) or _either(stream, "activityEnd", "activity_end") is not None
    turns = content.get("turns") if isinstance(content, dict) else None
    is_history = isinstance(turns, list) and any(_either(turn, "role", "role") == "model" for turn in turns)
    return _either(content, "turnComplete", "turn_complete") is True and not is_history


def _either(fields: Any, name: str, other_name: str) -> Any:
    """Return the field with one of two names: google-genai writes some in snake_case."""
    return fields.get(name, fields.get(other_name)) if isinstance(fields, dict) else None


def _collect_results(recording: Recording) -> dict[str, deque[list[dict[str, Any]]]]:
    """Return the recorded results of each function, one list a call, in order."""
    calls: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in recording.entries:
        if isinstance(entry, Message) and entry.sender == "client":
            response = _either(entry.message, "toolResponse", "tool_response")
            found = _either(response, "functionResponses", "function_responses")
            for result in found if isinstance(found, list) else ():
                if isinstance(result, dict) and isinstance(result.get("name"), str):
                    key = (result["name"], str(result.get("id") or entry.line))
                    calls.setdefault(key, []).append(result)
    results: dict[str, deque[list[dict[str, Any]]]] = defaultdict(deque)
    for (name, _), responses in calls.items():
        results[name].append(responses)
    return results
