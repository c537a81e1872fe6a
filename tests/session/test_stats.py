"""Latency, tokens and the summary of a session."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_live.output.events import Summary
from gemini_live.output.summary import format_duration, format_summary
from gemini_live.session.stats import MAX_LATENCIES, Latency, Stats, Tokens
from gemini_live.wire.events import Usage

counts = st.integers(0, 10_000)


def summary(**changes: Any) -> Summary:
    """Return the summary of a session of a minute and a bit in which nothing happened, but for `changes`."""
    return dataclasses.replace(Stats(0.0).summary(67.0), **changes)


def tokens_of(*turns: list[Usage]) -> Tokens:
    """Return what has been counted after turns with these reports."""
    tokens = Tokens()
    for reports in turns:
        for report in reports:
            tokens.take(report)
    return tokens


# Latency


def test_there_is_no_latency_at_first() -> None:
    latency = Latency()
    assert (latency.last_s, latency.median_s, latency.worst_s) == (None, None, None)


def test_a_typed_line_is_waited_for_from_enter_to_the_answer() -> None:
    latency = Latency()
    latency.asked(10.0)
    latency.answer_began(10.5)
    assert (latency.last_s, latency.median_s, latency.worst_s) == (0.5, 0.5, 0.5)


def test_an_answer_without_a_question_has_no_latency() -> None:
    latency = Latency()
    latency.answer_began(1.0)
    assert latency.last_s is None


def test_an_answer_is_counted_once() -> None:
    latency = Latency()
    latency.asked(0.0)
    latency.answer_began(1.0)
    latency.answer_began(9.0)
    assert (latency.last_s, latency.worst_s) == (1.0, 1.0)


def test_the_latency_counts_from_the_newest_line() -> None:
    latency = Latency()
    latency.asked(0.0)
    latency.asked(3.0)
    latency.answer_began(4.0)
    assert latency.last_s == 1.0


def test_unfinished_speech_has_no_latency() -> None:
    latency = Latency()
    latency.asked(0.0)
    latency.cancel()
    latency.answer_began(1.0)
    assert latency.last_s is None


def test_an_answer_that_begins_before_the_question_has_ended_has_no_latency() -> None:
    latency = Latency()
    latency.asked(2.0)
    latency.answer_began(1.9)
    assert latency.last_s is None
    latency.answer_began(3.0)
    assert latency.last_s is None


def test_an_immediate_answer_has_a_latency_of_zero() -> None:
    latency = Latency()
    latency.asked(2.0)
    latency.answer_began(2.0)
    assert latency.last_s == 0.0


def test_the_median_and_the_worst_are_of_all_answers_and_the_last_is_the_last() -> None:
    latency = Latency()
    for waited_s in (0.5, 4.0, 1.0, 0.25):
        latency.asked(0.0)
        latency.answer_began(waited_s)
    assert (latency.last_s, latency.median_s, latency.worst_s) == (0.25, 0.75, 4.0)


def test_only_the_newest_answers_are_kept() -> None:
    latency = Latency()
    for waited_s in (100.0, *[1.0] * MAX_LATENCIES):
        latency.asked(0.0)
        latency.answer_began(waited_s)
    assert latency.worst_s == 1.0


# Tokens


def test_no_tokens_were_counted_at_first() -> None:
    tokens = Tokens()
    assert (tokens.total, tokens.context) == (0, 0)
    assert tokens.by_modality("prompt") == tokens.by_modality("response") == {}


def test_a_report_is_counted_by_side_and_modality_the_most_first() -> None:
    usage = Usage(
        prompt_tokens=110,
        response_tokens=50,
        prompt_by_modality={"TEXT": 10, "AUDIO": 100},
        response_by_modality={"TEXT": 20, "AUDIO": 30},
    )
    tokens = tokens_of([usage])
    assert list(tokens.by_modality("prompt").items()) == [("AUDIO", 100), ("TEXT", 10)]
    assert list(tokens.by_modality("response").items()) == [("AUDIO", 30), ("TEXT", 20)]
    assert tokens.total == 160
    assert tokens.context == 110


def test_a_report_counts_before_its_turn_has_ended() -> None:
    tokens = Tokens()
    tokens.take(Usage(prompt_tokens=7, response_tokens=3))
    assert tokens.total == 10


def test_tokens_that_belong_to_no_modality_are_counted_as_others() -> None:
    usage = Usage(prompt_tokens=15, response_tokens=4, prompt_by_modality={"TEXT": 10, "IMAGE": 0})
    tokens = tokens_of([usage])
    assert tokens.by_modality("prompt") == {"TEXT": 10, "OTHER": 5}
    assert tokens.by_modality("response") == {"OTHER": 4}


def test_what_a_tool_reads_belongs_to_the_prompt_and_thoughts_to_the_response() -> None:
    usage = Usage(
        prompt_tokens=10,
        tool_use_prompt_tokens=5,
        prompt_by_modality={"TEXT": 10},
        response_tokens=20,
        thoughts_tokens=8,
        response_by_modality={"AUDIO": 20},
    )
    tokens = tokens_of([usage])
    assert tokens.by_modality("prompt") == {"TEXT": 10, "OTHER": 5}
    assert tokens.by_modality("response") == {"AUDIO": 20, "OTHER": 8}
    assert tokens.context == 10


def test_modalities_that_exceed_the_total_are_counted_as_reported() -> None:
    tokens = tokens_of([Usage(response_tokens=5, response_by_modality={"AUDIO": 9})])
    assert tokens.by_modality("response") == {"AUDIO": 9}


def test_a_report_without_tokens_counts_nothing() -> None:
    tokens = tokens_of([Usage(prompt_tokens=10, response_tokens=1), Usage()])
    assert (tokens.total, tokens.context) == (11, 10)


@settings(deadline=None)
@given(st.lists(st.lists(counts, min_size=1), max_size=5))
def test_every_report_counts_in_full(turns: list[list[int]]) -> None:
    tokens = tokens_of(*([Usage(response_tokens=n) for n in turn] for turn in turns))
    assert tokens.total == sum(map(sum, turns))


def test_every_turn_reads_the_whole_context_again() -> None:
    tokens = tokens_of([Usage(prompt_tokens=100)], [Usage(prompt_tokens=150)], [Usage(prompt_tokens=40)])
    assert tokens.by_modality("prompt") == {"OTHER": 290}
    assert tokens.context == 40


def test_the_end_of_a_turn_without_a_report_changes_nothing() -> None:
    tokens = tokens_of([Usage(prompt_tokens=2)], [], [])
    assert tokens.total == 2


# The summary


def test_a_session_in_which_nothing_happened_has_a_summary_too() -> None:
    assert Stats(5.0).summary(6.23456) == Summary(
        duration_s=1.235,
        answers=0,
        interruptions=0,
        latency_median_s=None,
        latency_worst_s=None,
        audio_in_s=0.0,
        audio_out_s=0.0,
        audio_dropped_s=0.0,
        underruns=0,
        xruns=0,
        echo_leak_db=None,
        erle_db=None,
        reconnects=0,
        prompt_tokens={},
        response_tokens={},
        context_tokens=0,
    )


def test_the_summary_has_all_that_was_counted_as_json_can_hold_it() -> None:
    stats = Stats(100.0)
    stats.n_answers, stats.n_interruptions, stats.n_underruns, stats.n_connections = 3, 1, 2, 4
    stats.n_xruns = 3
    stats.echo_leak_db, stats.erle_db = -8.25, 35.5
    stats.heard_s, stats.spoken_s, stats.dropped_s = 1.23456, 7.0, 0.5
    for waited_s in (0.5, 0.33333):
        stats.latency.asked(0.0)
        stats.latency.answer_began(waited_s)
    stats.tokens.take(Usage(prompt_tokens=9, response_tokens=4, response_by_modality={"TEXT": 4}))
    made = stats.summary(160.0)
    assert json.loads(json.dumps(dataclasses.asdict(made))) == dataclasses.asdict(made)
    assert made == Summary(
        duration_s=60.0,
        answers=3,
        interruptions=1,
        latency_median_s=0.417,
        latency_worst_s=0.5,
        audio_in_s=1.235,
        audio_out_s=7.0,
        audio_dropped_s=0.5,
        underruns=2,
        xruns=3,
        echo_leak_db=-8.25,
        erle_db=35.5,
        reconnects=3,
        prompt_tokens={"OTHER": 9},
        response_tokens={"TEXT": 4},
        context_tokens=9,
    )


def test_the_first_connection_is_no_reconnect() -> None:
    stats = Stats(0.0)
    stats.n_connections = 1
    assert stats.summary(1.0).reconnects == 0


# For people


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00"),
        (7.99, "0:07"),
        (59.999, "0:59"),
        (60, "1:00"),
        (723, "12:03"),
        (3599.9, "59:59"),
        (3600, "1:00:00"),
        (3765, "1:02:45"),
        (100 * 3600, "100:00:00"),
    ],
)
def test_a_duration_is_shown_as_on_a_clock(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


def test_the_summary_leaves_out_zeros_except_answers_and_reconnects() -> None:
    assert format_summary(summary()) == ["session: 1:07; 0 answers; 0 reconnects"]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"answers": 1}, "1 answer"),
        ({"answers": 1234}, "1,234 answers"),
        ({"latency_median_s": 0.0, "latency_worst_s": 1.239}, "latency median 0.00 s, worst 1.24 s"),
        ({"interruptions": 1}, "1 interruption"),
        ({"interruptions": 2}, "2 interruptions"),
        ({"audio_in_s": 12.34}, "audio in 12.3 s, out 0.0 s"),
        ({"audio_out_s": 0.06}, "audio in 0.0 s, out 0.1 s"),
        ({"audio_out_s": 1.0}, "0 underruns"),
        ({"audio_in_s": 1.0, "underruns": 1}, "1 underrun"),
        ({"audio_dropped_s": 2.5}, "2.5 s of your voice dropped"),
        ({"echo_leak_db": -8.4}, "echo at -8 dB"),
        ({"echo_leak_db": -8.4, "erle_db": 35.4}, "echo at -8 dB, reduced by 35 dB"),
        ({"reconnects": 1}, "1 reconnect"),
    ],
)
def test_the_summary_is_one_line(changes: dict[str, Any], part: str) -> None:
    (line,) = format_summary(summary(**changes))
    assert part in line.removeprefix("session: ").split("; ")


def test_the_parts_of_the_line_have_an_order() -> None:
    made = summary(
        answers=2,
        latency_median_s=0.5,
        latency_worst_s=0.75,
        interruptions=1,
        audio_in_s=3.0,
        audio_out_s=4.0,
        underruns=5,
        audio_dropped_s=0.1,
        reconnects=6,
    )
    assert format_summary(made) == [
        "session: 1:07; 2 answers; latency median 0.50 s, worst 0.75 s; 1 interruption; audio in 3.0 s, out 4.0 s; "
        "5 underruns; 0.1 s of your voice dropped; 6 reconnects"
    ]


def test_tokens_have_their_own_line_by_side_and_modality() -> None:
    made = summary(prompt_tokens={"AUDIO": 12_000, "TEXT": 345}, response_tokens={"OTHER": 1}, context_tokens=4_321)
    assert format_summary(made)[1:] == [
        "tokens, all turns: prompt 12,345 (audio 12,000, text 345); response 1 (other 1); context now 4,321"
    ]


@pytest.mark.parametrize("side", ["prompt", "response"])
def test_a_side_without_tokens_is_left_out(side: str) -> None:
    made = summary(**{f"{side}_tokens": {"TEXT": 2}})
    assert format_summary(made)[1:] == [f"tokens, all turns: {side} 2 (text 2); context now 0"]
