"""What a failure means, and when to connect again: DESIGN's table, row by row."""

import pytest

from gemini_live.errors import ConnectionFailed, SessionClosed
from gemini_live.session.recovery import (
    FIRST_DELAY_S,
    FIRST_TRIES,
    LONGEST_DELAY_S,
    OUTAGE_S,
    Recovery,
    ResumedSession,
    Stage,
)

Failure = ConnectionFailed | SessionClosed

NO_NETWORK = ConnectionFailed("refused", transient=True)
BAD_CERTIFICATE = ConnectionFailed("not trusted")
DROPPED = [1001, 1006, 1011, 1012, 1013]
REFUSED = [1007, 1008]
UNKNOWN = [1002, 1003, 1009, 1010, 1014, 3000, 4999]
ENDED = [1000, 1005, 1008]


def http(status: int, retry_after_s: float | None = None) -> ConnectionFailed:
    """Return a refused handshake, as `connection.py` reports it."""
    transient = status in (408, 429) or status >= 500
    return ConnectionFailed("", http_status=status, retry_after_s=retry_after_s, transient=transient)


def closed(code: int, reason: str = "") -> SessionClosed:
    return SessionClosed(code, reason)


def new(*, was_live: bool = False, jitter: float = 1.0, enabled: bool = True) -> Recovery:
    recovery = Recovery(enabled=enabled, jitter=lambda: jitter)
    if was_live:
        recovery.went_live()
    return recovery


def delays(
    recovery: Recovery, failure: Failure, stage: Stage, *, lasting_s: float = 0.0, now_s: float = 0.0
) -> list[float]:
    """Return the delays until it is final, when every try lasts `lasting_s` and fails the same way."""
    result = list[float]()
    while (delay_s := recovery.delay_s(failure, stage, now_s)) is not None:
        result.append(delay_s)
        now_s += delay_s + lasting_s
    return result


# Before the first setup is complete


def test_an_unreachable_network_is_tried_three_times() -> None:
    waits = delays(new(), NO_NETWORK, Stage.OPENING)
    assert len(waits) == FIRST_TRIES - 1 == 2


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_a_server_that_is_busy_is_tried_for_a_minute(status: int) -> None:
    waits = delays(new(), http(status), Stage.OPENING)
    assert OUTAGE_S - LONGEST_DELAY_S < sum(waits) <= OUTAGE_S == 60


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 407, 410])
def test_another_http_status_is_final(status: int) -> None:
    assert delays(new(), http(status), Stage.OPENING) == []


def test_a_certificate_that_is_not_trusted_is_final() -> None:
    assert delays(new(), BAD_CERTIFICATE, Stage.OPENING) == []


@pytest.mark.parametrize("code", [1000, *REFUSED, *UNKNOWN])
def test_a_refused_setup_is_final(code: int) -> None:
    assert delays(new(), closed(code), Stage.OPENING) == []


@pytest.mark.parametrize("code", DROPPED)
def test_a_connection_that_drops_before_its_setup_is_tried_again(code: int) -> None:
    assert new().delay_s(closed(code), Stage.OPENING, 0.0) is not None


def test_retry_after_is_honoured() -> None:
    recovery = new()
    assert recovery.delay_s(http(429, retry_after_s=17.5), Stage.OPENING, 0.0) == 17.5
    assert recovery.delay_s(http(503, retry_after_s=0.0), Stage.OPENING, 17.5) == 2 * FIRST_DELAY_S


def test_a_retry_after_beyond_the_minute_is_final() -> None:
    assert new().delay_s(http(429, retry_after_s=OUTAGE_S + 1), Stage.OPENING, 0.0) is None
    assert new().delay_s(http(429, retry_after_s=OUTAGE_S), Stage.OPENING, 0.0) == OUTAGE_S


# Live


@pytest.mark.parametrize("code", DROPPED)
@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.LEAVING])
def test_a_lost_connection_is_replaced(code: int, stage: Stage) -> None:
    assert new(was_live=True).delay_s(closed(code), stage, 0.0) is not None


@pytest.mark.parametrize("code", ENDED)
@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.LEAVING])
def test_a_session_that_the_service_ended_is_replaced(code: int, stage: Stage) -> None:
    assert new(was_live=True).delay_s(closed(code), stage, 0.0) is not None


@pytest.mark.parametrize(
    "reason",
    [
        "BidiGenerateContent session not found",  # every two hours without input, Sep 2026
        "The operation was aborted.",  # 3.1 after 150 s without input, Aug 2026
        "words that nobody knows",
    ],
)
def test_a_1008_is_retried_unless_its_words_are_final(reason: str) -> None:
    assert new(was_live=True).delay_s(closed(1008, reason), Stage.LIVE, 0.0) is not None


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize(
    "reason",
    ["Your prepayment credits are depleted.", "Token has been used too many times", "API key expired. Please renew."],
)
def test_final_words_are_final_with_any_code(reason: str, stage: Stage) -> None:
    assert new(was_live=True).delay_s(closed(1011, reason), stage, 0.0) is None


@pytest.mark.parametrize("code", [1007, *UNKNOWN])
def test_another_close_of_a_live_session_is_final(code: int) -> None:
    assert new(was_live=True).delay_s(closed(code), Stage.LIVE, 0.0) is None


@pytest.mark.parametrize(("code", "final"), [(1000, False), (1008, False), (1007, True), (1009, True)])
def test_a_polite_or_refusing_close_after_a_goaway_is_no_failure(code: int, final: bool) -> None:
    assert (new(was_live=True).delay_s(closed(code), Stage.LEAVING, 0.0) is None) is final


def test_a_server_that_keeps_leaving_is_followed_with_growing_delays() -> None:
    recovery = new(was_live=True)
    waits = delays(recovery, closed(1001), Stage.LEAVING)
    assert waits[:4] == [0.0, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S, 8 * FIRST_DELAY_S]
    assert sum(waits) <= OUTAGE_S
    recovery.is_stable()
    assert recovery.delay_s(closed(1001), Stage.LEAVING, 100.0) == 0.0


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("code", [1011, 1008, 1006])
def test_a_quota_that_is_used_up_is_final(stage: Stage, code: int) -> None:
    failure = closed(code, "You EXCEEDED your current quota, please check your plan and billing details.")
    assert new(was_live=True).delay_s(failure, stage, 0.0) is None


def test_once_there_was_a_session_the_network_is_waited_for_a_minute() -> None:
    waits = delays(new(was_live=True), NO_NETWORK, Stage.OPENING)
    assert OUTAGE_S - LONGEST_DELAY_S < sum(waits) <= OUTAGE_S


def test_tries_that_take_long_count_towards_the_minute() -> None:
    waits = delays(new(was_live=True), NO_NETWORK, Stage.RESUMING, lasting_s=10)
    assert OUTAGE_S - LONGEST_DELAY_S - 10 < sum(waits) + 10 * len(waits) <= OUTAGE_S + 10


# At a setup with a handle


@pytest.mark.parametrize("code", REFUSED)
def test_a_refused_handle_is_dropped_and_tried_without_once(code: int) -> None:
    recovery = new(was_live=True)
    assert recovery.drops_handle(closed(code), Stage.RESUMING)
    assert recovery.delay_s(closed(code), Stage.RESUMING, 0.0) is not None
    assert not recovery.drops_handle(closed(code), Stage.OPENING)
    assert recovery.delay_s(closed(code), Stage.OPENING, 1.0) is None


def test_an_internal_error_at_a_handle_is_tried_three_times_with_it_and_then_without() -> None:
    recovery, now_s, seen = new(was_live=True), 0.0, []
    for _ in range(4):
        drops = recovery.drops_handle(closed(1011), Stage.RESUMING)
        delay_s = recovery.delay_s(closed(1011), Stage.RESUMING, now_s)
        assert delay_s is not None
        seen.append((drops, delay_s))
        now_s += delay_s
    assert seen == [(False, 0.5), (False, 1.0), (False, 2.0), (True, 0.0)]


def test_a_handle_whose_socket_never_opened_is_kept() -> None:
    recovery = new(was_live=True)
    for _ in range(5):
        assert not recovery.drops_handle(NO_NETWORK, Stage.RESUMING)
        assert not recovery.drops_handle(http(503), Stage.RESUMING)
    assert not recovery.drops_handle(closed(1011), Stage.RESUMING)


@pytest.mark.parametrize("stage", [Stage.OPENING, Stage.LIVE, Stage.LEAVING])
@pytest.mark.parametrize("code", [1006, 1007, 1008, 1011])
def test_a_handle_is_dropped_at_a_setup_with_it_only(stage: Stage, code: int) -> None:
    recovery = new(was_live=True)
    assert not any(recovery.drops_handle(closed(code), stage) for _ in range(5))


def test_a_resumption_that_works_forgets_the_one_that_failed_before() -> None:
    recovery = new(was_live=True)
    assert not recovery.drops_handle(closed(1011), Stage.RESUMING)
    recovery.went_live()
    assert not recovery.drops_handle(closed(1011), Stage.RESUMING)


# Backoff


def test_delays_double_from_a_quarter_second_to_eight() -> None:
    waits = delays(new(was_live=True), closed(1006), Stage.LIVE)
    assert waits[:7] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert max(waits) == LONGEST_DELAY_S == 8
    assert FIRST_DELAY_S == 0.25


def test_jitter_shortens_a_delay_by_half_at_most() -> None:
    shortest = delays(new(was_live=True, jitter=0.0), closed(1006), Stage.LIVE)
    assert shortest[:6] == [0.125, 0.25, 0.5, 1.0, 2.0, 4.0]
    between = Recovery(enabled=True)
    between.went_live()
    for longest_s in (0.25, 0.5, 1.0):
        delay_s = between.delay_s(closed(1006), Stage.LIVE, 0.0)
        assert delay_s is not None
        assert longest_s / 2 <= delay_s <= longest_s


def test_the_outage_continues_until_a_connection_is_stable() -> None:
    recovery = new(was_live=True)
    assert recovery.delay_s(closed(1006), Stage.LIVE, 0.0) == 0.25
    recovery.went_live()  # connected again, but neither a whole answer nor half a minute
    assert recovery.delay_s(closed(1006), Stage.LIVE, 20.0) == 0.5
    recovery.went_live()
    assert recovery.delay_s(closed(1006), Stage.LIVE, OUTAGE_S + 1) is None


def test_a_stable_connection_ends_the_outage() -> None:
    recovery = new(was_live=True)
    assert delays(recovery, closed(1006), Stage.LIVE)
    recovery.is_stable()
    waits = delays(recovery, closed(1011), Stage.LIVE, now_s=2 * OUTAGE_S)
    assert waits[0] == FIRST_DELAY_S
    assert sum(waits) > OUTAGE_S - LONGEST_DELAY_S


# Without reconnecting


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("failure", [NO_NETWORK, http(503), closed(1006), closed(1011), closed(1008)])
def test_no_reconnect_allows_no_retry(stage: Stage, failure: Failure) -> None:
    assert new(enabled=False, was_live=True).delay_s(failure, stage, 0.0) is None


def test_a_handle_with_which_no_setup_is_completed_is_dropped_at_the_second_try() -> None:
    recovery = new(was_live=True)
    silent = ConnectionFailed("no setupComplete", opened=True, transient=True)
    assert not recovery.drops_handle(NO_NETWORK, Stage.RESUMING)
    assert not recovery.drops_handle(silent, Stage.RESUMING)
    assert recovery.drops_handle(silent, Stage.RESUMING)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_an_error_message_that_says_that_the_service_failed_is_a_lost_connection(status: int) -> None:
    assert new(was_live=True).delay_s(closed(status), Stage.LIVE, 0.0) is not None


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_an_error_message_that_refuses_is_final(status: int) -> None:
    assert new(was_live=True).delay_s(closed(status), Stage.LIVE, 0.0) is None


# How often


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.LEAVING, Stage.RESUMING])
def test_connections_start_at_most_about_once_a_second_whatever_ends_them(stage: Stage) -> None:
    recovery, now_s, n = new(was_live=True), 0.0, 0
    while now_s < 30:
        recovery.went_live()
        recovery.is_stable()
        delay_s = recovery.delay_s(closed(1008), stage, now_s)
        assert delay_s is not None
        now_s += delay_s
        n += 1
    assert n <= 30 + 4


def test_planned_reconnects_are_not_an_outage_but_are_limited() -> None:
    recovery, now_s, n = new(was_live=True), 0.0, 0
    while now_s < 200:
        now_s += recovery.delay_after_leaving_s(now_s)
        n += 1
    assert 190 < n <= 204
    assert recovery.delay_s(closed(1006), Stage.LIVE, now_s) is not None  # no outage has begun before


def test_a_connection_that_is_left_in_time_is_replaced_at_once() -> None:
    assert new(was_live=True).delay_after_leaving_s(0.0) == 0.0


# A resumed session that generates nothing


def resumed() -> ResumedSession:
    session = ResumedSession(patience_s=9.0)
    session.begin_connection(resumed=True)
    return session


def test_a_resumed_session_is_mute_if_it_generates_nothing_after_a_question() -> None:
    session = resumed()
    assert session.deadline_s is None
    session.asked(100.0)
    session.asked(105.0)
    assert session.deadline_s == 109.0
    session.generated()
    assert session.deadline_s is None


def test_a_fresh_session_is_never_mute() -> None:
    session = ResumedSession(patience_s=9.0)
    session.begin_connection(resumed=False)
    session.asked(100.0)
    assert session.deadline_s is None
    assert not session.was_useless(1011, 200.0)


@pytest.mark.parametrize(("code", "useless"), [(1011, True), (1008, True), (1000, True), (1006, False)])
def test_a_handle_is_useless_if_the_server_closes_its_session_before_it_generates(code: int, useless: bool) -> None:
    assert resumed().was_useless(code, 0.0) is useless


def test_a_handle_is_useless_after_two_sessions_that_were_lost_before_they_generated() -> None:
    session = resumed()
    assert not session.was_useless(1006, 0.0)
    session.begin_connection(resumed=True)
    assert session.was_useless(1006, 1.0)


def test_a_handle_is_good_if_its_session_has_generated() -> None:
    session = resumed()
    session.generated()
    assert not session.was_useless(1011, 0.0)


def test_the_handle_of_a_mute_session_is_useless() -> None:
    session = resumed()
    session.asked(0.0)
    assert session.was_useless(1006, 9.0)
