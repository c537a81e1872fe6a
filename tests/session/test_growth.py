"""Nothing in a session grows with what a server makes up: ids, names, fields, handles, modalities, words that end.

The test does not know which collections there are. It looks at everything that can be reached from the parts of a
session, so a new set or dict that a server can fill fails it.
"""

import gc
import io
import itertools
import json
import types
from collections.abc import Iterator
from typing import Any

import pytest

from gemini_live.conversation.conversation import Conversation
from gemini_live.models import capabilities_of
from gemini_live.output.events import Output
from gemini_live.output.jsonl import Jsonl
from gemini_live.output.live import LiveTerminal
from gemini_live.output.plain import Terminal
from gemini_live.process.streams import BackgroundWriter
from gemini_live.session.dispatch import Dispatcher, StartCalls
from gemini_live.session.speech import UserSpeech
from gemini_live.session.stats import Stats
from gemini_live.wire.parse import parse_server_message

N_CYCLES = 100
LIMITS = {
    "gemini_live.session.dispatch.MAX_UNKNOWN": 20,
    "gemini_live.session.stats.MAX_MODALITIES": 8,
    "gemini_live.session.stats.MAX_LATENCIES": 20,
    "gemini_live.conversation.questions.MAX_KNOWN_CALLS": 20,
    "gemini_live.conversation.handles.MAX_STALE_CALLS": 20,
}
"""Smaller than the real ones, so that they are reached soon."""
GROWTH = 1.02
ENDS = {"turnComplete", "generationComplete", "interrupted"}
_SKIPPED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType)


class Sink(io.StringIO):
    """Forgets what is written."""

    def write(self, text: str) -> int:
        return len(text)


def reachable_size(*roots: Any) -> int:
    """Return the number of items and characters in everything that can be reached from `roots`."""
    seen: set[int] = set()
    found, size = list(roots), 0
    while found:
        thing = found.pop()
        if id(thing) in seen or isinstance(thing, _SKIPPED):
            continue
        seen.add(id(thing))
        if isinstance(thing, str | bytes | bytearray):
            size += len(thing)
        size += 1
        found += gc.get_referents(thing)
        if isinstance(thing, dict):
            found += thing  # the collector leaves out keys that are text
    return size


def messages(n: int) -> Iterator[dict[str, Any]]:
    """Yield the messages of exchange `n`: every name, id and text in them is new."""

    def content(**fields: Any) -> dict[str, Any]:
        return {"serverContent": fields}

    parts = [
        {"text": f"thought {n}", "thought": True},
        {"executableCode": {"language": f"L{n}", "code": f"code {n}"}},
        {"codeExecutionResult": {"outcome": f"O{n}", "output": f"output {n}"}},
        {"text": f"words {n}"},
        {f"part{n}": n, "inlineData": {"mimeType": f"image/{n}", "data": "AAAA"}},
        {"inlineData": {"mimeType": f"audio/pcm;rate={8_000 + n}", "data": "AAAA"}},
    ]
    counts = [{"modality": f"M{n}", "tokenCount": 1}]
    yield {f"field{n}": n, "sessionResumptionUpdate": {"newHandle": f"handle-{n:06d}", "resumable": True}}
    yield content(inputTranscription={"text": f"heard {n}"})
    yield content(modelTurn={"parts": parts, f"turn{n}": 1}, outputTranscription={"text": f"said {n}"})
    yield content(groundingMetadata={"webSearchQueries": [f"q{n}"], "groundingChunks": [{"web": {"uri": f"u{n}"}}]})
    yield {
        "toolCall": {"functionCalls": [{"id": f"call-{n}-{i}", "name": f"f{n}", "args": {f"a{n}": 1}} for i in (1, 2)]}
    }
    calls = [{"id": f"call-{n}-{i}", "name": f"f{n}", "args": {f"a{n}": 1}} for i in (1, 2)]
    yield {"toolCall": {"functionCalls": [*calls, {"id": "i" * 5_000 + str(n), "name": "f"}]}}
    yield {"usageMetadata": {"promptTokensDetails": counts, "responseTokensDetails": counts}}
    yield content(interrupted=n % 7 == 0, modelTurn={"parts": [{"text": 1}, n, {"text": "more"}]})
    yield content(generationComplete=True)
    yield content(turnComplete=True, turnCompleteReason=f"R{n}" if n % 11 == 0 else "", interactionStatus="IDLE")


@pytest.mark.parametrize(
    ("ends", "loses"),
    [(True, False), (True, True), (False, False)],
    ids=["answers that end", "connections that are lost", "one answer without an end"],
)
def test_nothing_grows_with_what_a_server_makes_up(monkeypatch: pytest.MonkeyPatch, *, ends: bool, loses: bool) -> None:
    for name, limit in LIMITS.items():
        monkeypatch.setattr(name, limit)
    clock = itertools.count(1_000.0, 0.01)
    writer = BackgroundWriter()
    terminal = Terminal(
        writer,
        Sink(),
        Sink(),
        stdout_is_terminal=True,
        stdout_color=True,
        stderr_color=True,
        quiet=False,
        verbose=True,
        is_interactive=True,
    )

    def now_s() -> float:
        return next(clock)

    live = LiveTerminal(
        writer,
        Sink(),
        Sink(),
        shares_stderr=True,
        print_above=lambda fragments: None,
        columns=lambda: 80,
        queued_s=lambda: 0.0,
        clock=now_s,
        quiet=False,
        verbose=True,
    )
    outputs: list[Output] = [terminal, live, Jsonl(writer, Sink(), terminal, clock=now_s)]

    class Everywhere:
        """Writes each event by every writer."""

        def emit(self, event: Any) -> None:
            for output in outputs:
                output.emit(event)

    conversation = Conversation(capabilities_of("gemini-3.8-live"))
    stats = Stats(now_s())
    speech = UserSpeech(stats.latency)
    dispatcher = Dispatcher(
        conversation,
        Everywhere(),
        stats,
        speech,
        record_event=lambda name, **facts: None,
        transcript_is_answer=False,
        speaks_answers=False,
        clock=now_s,
    )

    def hold(cycles: range) -> None:
        for n in cycles:
            if ends or not n:
                question = conversation.add_question(f"question {n}", waits=False)
                dispatcher.apply(conversation.asked(question, now_s()))
            for message in messages(n):
                if n and "sessionResumptionUpdate" in message and loses:
                    continue  # a newer handle would settle the calls that were open
                if not ends and not ENDS.isdisjoint(message.get("serverContent", {})):
                    continue
                for action in dispatcher.dispatch(parse_server_message(json.dumps(message))):
                    if isinstance(action, StartCalls):
                        for call in action.calls:
                            dispatcher.apply(conversation.call_closed(call.id, now_s(), answered=True))
            if ends:
                while (deadline_s := conversation.deadline_s()) is not None:
                    dispatcher.apply(conversation.tick(deadline_s))
            if loses:
                dispatcher.dispatch(parse_server_message(json.dumps(list(messages(n + 10**6))[4])))
                dispatcher.apply(conversation.connection_lost(now_s()))
                conversation.connected(conversation.connect(), now_s())
                conversation._questions.queue.clear()
        writer.flush(10)
        for output in (terminal, live):
            output._record.clear()  # has a limit of its own, which takes long to reach
        conversation._history.exchanges.clear()

    def size() -> int:
        gc.collect()
        return reachable_size(conversation, stats, speech, dispatcher, terminal, live)

    hold(range(N_CYCLES))
    before = size()
    hold(range(N_CYCLES, 2 * N_CYCLES))
    grown = size() - before
    if ends:
        assert grown < (GROWTH - 1) * before
    else:  # the text of one exchange is kept, up to the limit of an exchange
        assert grown < 30 * N_CYCLES
