"""CPU time of each message, in and out, without a sound card."""

from ..measure import ALL_LOOPS, run_contender, serving, take_turns
from ..results import Row, Scale, Section

_ONE_BY_ONE_S = 0.001
_BURST = "as fast as they are read"
_PACED = "one each millisecond"


def measure(scale: Scale) -> list[Section]:
    """Measure receiving audio, receiving everything, and sending."""
    receiving = [
        _receive_audio(scale, chunk_ms, messages, pace_s, at_most)
        for chunk_ms, messages, at_most in ((40, 3000, 1.15), (400, 1000, 1.15), (5, 3000, 1.3))
        for pace_s in (0.0, _ONE_BY_ONE_S)
    ]
    return [
        Section("Receiving", [*receiving, _receive_everything(scale)]),
        Section("Sending", [_send(scale)]),
    ]


def _receive_audio(scale: Scale, chunk_ms: int, messages: int, pace_s: float, at_most: float) -> Row:
    messages = scale.amount(messages // 2 if pace_s else messages)
    with serving(messages=messages, chunk_ms=chunk_ms, pace_s=pace_s) as address:
        figures = take_turns(
            ALL_LOOPS, scale, lambda contender: run_contender(contender, "receive", address, messages=messages)
        )
    how = _PACED if pace_s else _BURST
    return Row(f"a message of {chunk_ms} ms of audio, {how}", "us CPU", figures["cpu_us"], at_most=at_most)


def _receive_everything(scale: Scale) -> Row:
    turns, messages = scale.amount(60), 100
    with serving(messages=messages, turns=turns, mixed=True) as address:
        figures = take_turns(
            ALL_LOOPS,
            scale,
            lambda contender: run_contender(contender, "receive", address, messages=messages, turns=turns),
        )
    note = "turns of audio with transcripts, usage, handles, grounding and empty messages, as in recorded sessions"
    return Row(f"a message of a mix, {_BURST}", "us CPU", figures["cpu_us"], at_most=1.3, note=note)


def _send(scale: Scale) -> Row:
    chunks = scale.amount(400)
    with serving() as address:
        figures = take_turns(
            ALL_LOOPS,
            scale,
            lambda contender: run_contender(contender, "send", address, chunks=chunks, pace_s=0.005),
        )
    note = "from the call of PortAudio's callback to the socket, a chunk each 5 ms; ours listens for speech, too"
    return Row("a microphone chunk of 20 ms", "us CPU", figures["cpu_us"], at_most=1.15, note=note)
