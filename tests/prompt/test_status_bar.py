"""The status bar, for every state and width."""

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_live.output.status import (
    METER_CELLS,
    ConnectionState,
    Fragments,
    MicrophoneState,
    SoundMode,
    Status,
    meter_cells,
)
from gemini_live.prompt.status_bar import format_status

WIDE = 1000
FULL = Status(
    connection=ConnectionState.LIVE,
    since_s=754,
    server=None,
    waiting_s=None,
    calls=(),
    calling_s=0,
    microphone=MicrophoneState.LIVE,
    microphone_cells=3,
    plays=True,
    speaker_cells=6,
    queued_s=1.5,
    model="gemini-x",
    voice="Puck",
    latency_s=0.62,
    tokens=12_345,
    sound_mode=SoundMode.HALF_DUPLEX,
    erle_db=None,
    unsent=(),
)
FULL_TEXT = (
    "live 12:34 | mic [###   ] live | speaker [######] 1.5 s | latency 0.62 s | half duplex | 12.3k tokens"
    " | gemini-x, Puck"
)
NARROWER = [
    FULL_TEXT,
    "live 12:34 | mic [###   ] live | speaker [######] 1.5 s | latency 0.62 s | half duplex | 12.3k tokens | gemini-x",
    "live 12:34 | mic [###   ] live | speaker [######] 1.5 s | latency 0.62 s | half duplex | gemini-x",
    "live 12:34 | mic [###   ] live | speaker [######] 1.5 s | latency 0.62 s | half duplex",
    "live 12:34 | mic [###   ] live | speaker [######] 1.5 s | latency 0.62 s",
    "live 12:34 | mic [###   ] live | speaker 1.5 s | latency 0.62 s",
    "live 12:34 | mic live | speaker 1.5 s | latency 0.62 s",
    "live 12:34 | mic live | speaker 1.5 s",
    "live 12:34 | mic live",
    "live 12:34",
]
"""How the bar shrinks, step by step."""

LOUD = (MicrophoneState.LIVE, MicrophoneState.TALKING)
QUIET = (MicrophoneState.MUTED, MicrophoneState.WAITING, MicrophoneState.TALK_KEY_UP)
words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
statuses = st.builds(
    Status,
    connection=st.sampled_from(ConnectionState),
    since_s=st.integers(0, 10**6),
    server=st.none() | words,
    waiting_s=st.none() | st.integers(0, 1000),
    calls=st.lists(words, max_size=4).map(tuple),
    calling_s=st.integers(0, 1000),
    microphone=st.sampled_from(MicrophoneState),
    microphone_cells=st.integers(0, METER_CELLS),
    plays=st.booleans(),
    speaker_cells=st.integers(0, METER_CELLS),
    queued_s=st.floats(0, 10_000),
    model=words,
    voice=st.none() | words,
    latency_s=st.none() | st.floats(0, 1000),
    tokens=st.integers(0, 10**9),
    sound_mode=st.none() | st.sampled_from(SoundMode),
    erle_db=st.none() | st.integers(-10, 60),
    unsent=st.just(()),
)


def text_of(fragments: Fragments) -> str:
    return "".join(text for _, text in fragments)


def bar(width: int = WIDE, **changes: Any) -> str:
    """Return the text of a full bar, but for `changes`."""
    return text_of(format_status(dataclasses.replace(FULL, **changes), width))


def fields(**changes: Any) -> list[str]:
    return bar(**changes).split(" | ")


def style_of(text: str, **changes: Any) -> str:
    """Return the style that a part of the bar has."""
    (style,) = [style for style, part in format_status(dataclasses.replace(FULL, **changes), WIDE) if part == text]
    return style


# Meters


@pytest.mark.parametrize(
    ("level_dbfs", "cells"),
    [
        (-96.0, 0),
        (-60.0, 0),
        (-59.9, 1),
        (-50.0, 1),
        (-49.9, 2),
        (-40.0, 2),
        (-30.0, 3),
        (-20.0, 4),
        (-10.0, 5),
        (-9.9, 6),
        (0.0, 6),
        (0.1, 6),
    ],
)
def test_a_cell_is_ten_decibels(level_dbfs: float, cells: int) -> None:
    assert meter_cells(level_dbfs) == cells


@settings(deadline=None)
@given(st.floats(-96, 0), st.floats(-96, 0))
def test_a_louder_sound_never_fills_fewer_cells(one_dbfs: float, other_dbfs: float) -> None:
    quieter, louder = sorted((one_dbfs, other_dbfs))
    assert 0 <= meter_cells(quieter) <= meter_cells(louder) <= METER_CELLS


@pytest.mark.parametrize("cells", range(METER_CELLS + 1))
def test_a_meter_keeps_its_width(cells: int) -> None:
    meter = f"[{'#' * cells}{' ' * (METER_CELLS - cells)}]"
    assert fields(microphone_cells=cells)[1] == f"mic {meter} live"
    assert fields(speaker_cells=cells)[2] == f"speaker {meter} 1.5 s"


# Fields


def test_a_wide_bar_shows_everything() -> None:
    assert bar() == FULL_TEXT


def test_a_session_of_words_alone_shows_neither_microphone_nor_speaker() -> None:
    changes: dict[str, Any] = {"microphone": MicrophoneState.OFF, "plays": False, "latency_s": None, "tokens": 0}
    assert bar(**changes, sound_mode=None, voice=None) == "live 12:34 | gemini-x"


@pytest.mark.parametrize(
    ("connection", "since_s", "shown"),
    [
        (ConnectionState.CONNECTING, 0, "connecting 0 s"),
        (ConnectionState.LIVE, 7, "live 0:07"),
        (ConnectionState.LIVE, 3765, "live 1:02:45"),
        (ConnectionState.RESUMING, 75, "resuming 75 s"),
        (ConnectionState.ENDED, 3, "ended 3 s"),
    ],
)
def test_the_connection_is_shown_with_its_time(connection: ConnectionState, since_s: int, shown: str) -> None:
    assert fields(connection=connection, since_s=since_s)[0] == shown


def test_a_connection_that_is_not_live_stands_out() -> None:
    assert style_of("live", microphone=MicrophoneState.MUTED) == "class:on"
    for connection in set(ConnectionState) - {ConnectionState.LIVE}:
        assert style_of(f"{connection.value} 754 s", connection=connection) == "class:alert"


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"server": "simulator"}, "live 12:34 | simulator | mic"),
        ({"server": "proxy.example.com"}, "live 12:34 | proxy.example.com | mic"),
        ({"waiting_s": 3}, "live 12:34 | waiting 3 s | mic"),
        ({"server": "simulator", "waiting_s": 0}, "live 12:34 | simulator | waiting 0 s | mic"),
        ({"calls": ("look_up",), "calling_s": 4}, "live 12:34 | calling look_up 4 s | mic"),
        ({"calls": ("look_up", "a", "b"), "calling_s": 4}, "live 12:34 | calling look_up and 2 more, 4 s | mic"),
        ({"calls": ("look_up",), "waiting_s": 5}, "live 12:34 | calling look_up 0 s | mic"),
        ({"calls": ("x" * 100,)}, f"live 12:34 | calling {'x' * 40} 0 s | mic"),
        ({"calls": ("a\x1b[31m\nb",)}, "live 12:34 | calling a\\x1b[31m\\nb 0 s | mic"),
        ({}, "live 12:34 | mic"),
    ],
)
def test_the_server_and_what_the_user_waits_for_are_shown(changes: dict[str, Any], shown: str) -> None:
    assert bar(**changes).startswith(shown)


def test_a_narrow_bar_leaves_out_the_names_of_functions_and_then_the_server() -> None:
    changes: dict[str, Any] = {"server": "simulator", "calls": ("look_up", "other"), "calling_s": 4}
    assert bar(75, **changes) == "live 12:34 | simulator | calling 4 s | mic live | speaker 1.5 s"
    assert bar(60, **changes) == "live 12:34 | simulator | calling 4 s | mic live"
    assert bar(40, **changes) == "live 12:34 | calling 4 s | mic live"
    assert bar(30, **changes) == "live 12:34 | calling 4 s"


@pytest.mark.parametrize("microphone", [*LOUD, *QUIET])
def test_the_state_of_the_microphone_is_shown(microphone: MicrophoneState) -> None:
    assert fields(microphone=microphone)[1] == f"mic [###   ] {microphone}"


@pytest.mark.parametrize("microphone", [MicrophoneState.OFF, MicrophoneState.FILE])
def test_where_no_microphone_is_used_none_is_shown(microphone: MicrophoneState) -> None:
    assert "mic" not in bar(microphone=microphone)
    assert fields(microphone=microphone)[1].startswith("speaker")


def test_an_open_microphone_is_styled_differently_from_a_muted_one() -> None:
    closed = ConnectionState.ENDED
    assert {style_of(f" {state}", microphone=state, connection=closed) for state in LOUD} == {"class:on"}
    assert {style_of(f" {state}", microphone=state, connection=closed) for state in QUIET} == {"class:off"}


def test_queued_speech_is_shown_to_a_tenth_of_a_second() -> None:
    assert fields(queued_s=0.0)[2] == "speaker [######] 0.0 s"
    assert fields(queued_s=12.345)[2] == "speaker [######] 12.3 s"


def test_without_a_speaker_none_is_shown() -> None:
    assert "speaker" not in bar(plays=False)


def test_before_the_first_answer_no_latency_is_shown() -> None:
    assert "latency" not in bar(latency_s=None)


@pytest.mark.parametrize(
    ("latency_s", "shown", "style"),
    [
        (0.0, "latency 0.00 s", ""),
        (1.0, "latency 1.00 s", ""),
        (1.01, "latency 1.01 s!", "class:alert"),
        (12.3, "latency 12.30 s!", "class:alert"),
    ],
)
def test_a_slow_answer_is_marked(latency_s: float, shown: str, style: str) -> None:
    assert fields(latency_s=latency_s)[3] == shown
    assert style_of(shown, latency_s=latency_s) == style


def test_the_sound_mode_is_shown_if_it_is_worth_a_word() -> None:
    assert fields(sound_mode=SoundMode.PUSH_TO_TALK)[4] == "push to talk"
    assert fields(sound_mode=None)[4] == "12.3k tokens"
    assert fields(sound_mode=SoundMode.ECHO_CANCELLED, erle_db=35)[4] == "echo cancelled 35 dB"


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        (2, "2 tokens"),
        (999, "999 tokens"),
        (1_000, "1.0k tokens"),
        (999_949, "999.9k tokens"),
        (999_950, "1.0M tokens"),
        (12_345_678, "12.3M tokens"),
    ],
)
def test_token_counts_are_shortened_to_significant_digits(tokens: int, shown: str) -> None:
    assert fields(tokens=tokens)[5] == shown


def test_no_tokens_are_not_shown() -> None:
    assert "tokens" not in bar(tokens=0)


def test_the_model_is_shown_with_its_voice() -> None:
    assert fields(voice="Kore")[6] == "gemini-x, Kore"
    assert fields(voice=None)[6] == "gemini-x"


def test_unsent_lines_are_not_in_the_bar() -> None:
    assert bar(unsent=("one", "two")) == FULL_TEXT


# Nothing by colour alone


def test_states_with_different_styles_have_different_words() -> None:
    looks: dict[str, Fragments] = {}
    for connection, microphone, latency_s in itertools.product(
        ConnectionState, MicrophoneState, (None, 0.5, 1.0, 1.01, 5.0)
    ):
        status = dataclasses.replace(FULL, connection=connection, microphone=microphone, latency_s=latency_s)
        fragments = format_status(status, WIDE)
        assert looks.setdefault(text_of(fragments), fragments) == fragments
    shown = len(ConnectionState) * (len(MicrophoneState) - 1) * 5
    assert len(looks) == shown  # no microphone and a file in its place look the same


@settings(deadline=None)
@given(statuses, st.sampled_from(ConnectionState), st.integers(20, 300))
def test_every_connection_state_has_different_words_at_any_width(
    status: Status, connection: ConnectionState, width: int
) -> None:
    other = dataclasses.replace(status, connection=connection)
    reads_same = text_of(format_status(status, width)) == text_of(format_status(other, width))
    assert reads_same == (status.connection is connection)


# Width


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (200, FULL_TEXT),
        (120, FULL_TEXT),
        (80, "live 12:34 | mic [###   ] live | speaker [######] 1.5 s | latency 0.62 s"),
        (60, "live 12:34 | mic live | speaker 1.5 s | latency 0.62 s"),
        (40, "live 12:34 | mic live | speaker 1.5 s"),
        (20, "live 12:34"),
        (5, "live "),
        (0, ""),
    ],
)
def test_a_narrow_bar_shows_what_changes_most(width: int, shown: str) -> None:
    assert bar(width) == shown


def test_a_bar_shrinks_by_as_few_steps_as_needed() -> None:
    for width in range(len(FULL_TEXT), len(NARROWER[-1]) - 1, -1):
        assert bar(width) == next(text for text in NARROWER if len(text) <= width)


def test_an_absent_field_takes_no_step() -> None:
    without: dict[str, Any] = {"microphone": MicrophoneState.OFF, "sound_mode": None, "voice": None, "tokens": 0}
    assert bar(50, **without) == "live 12:34 | speaker 1.5 s | latency 0.62 s"
    assert bar(52, **without) == "live 12:34 | speaker [######] 1.5 s | latency 0.62 s"


def test_the_connection_is_cut_last() -> None:
    assert bar(14, connection=ConnectionState.RESUMING, since_s=75) == "resuming 75 s"
    assert bar(12, connection=ConnectionState.RESUMING, since_s=75) == "resuming 75 "


@settings(deadline=None)
@given(statuses, st.integers(0, 300))
def test_a_bar_is_never_wider_than_the_window(status: Status, width: int) -> None:
    text = text_of(format_status(status, width))
    assert len(text) <= width
    assert text.isascii()
    assert text.isprintable()


@settings(deadline=None)
@given(statuses, st.integers(0, 300))
def test_a_wider_bar_never_shows_less(status: Status, width: int) -> None:
    narrow, wide = text_of(format_status(status, width)), text_of(format_status(status, width + 1))
    assert len(narrow) <= len(wide)
    assert narrow.count(" | ") <= wide.count(" | ")


@settings(deadline=None)
@given(statuses)
def test_a_bar_that_fits_is_not_shortened(status: Status) -> None:
    whole = format_status(status, WIDE)
    assert format_status(status, len(text_of(whole))) == whole
