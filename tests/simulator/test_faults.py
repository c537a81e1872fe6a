"""faults.py: what a --fault says, and when it is due."""

import pytest

from gemini_live.errors import ConfigError
from gemini_live.simulator.faults import FAULT_KINDS, FaultPlan, Moment, SessionFaults, parse_fault


def session_of(*specs: str, session: int = 1, seed: int = 0) -> SessionFaults:
    return SessionFaults(FaultPlan(tuple(parse_fault(spec) for spec in specs), seed), session)


@pytest.mark.parametrize("kind", FAULT_KINDS, ids=lambda kind: kind.name)
def test_every_kind_stands_alone_with_its_default(kind: object) -> None:
    name, default = getattr(kind, "name"), getattr(kind, "default")  # noqa: B009
    fault = parse_fault(name)
    assert (fault.kind, fault.argument, fault.moment, fault.times) == (kind, default, None, None)


@pytest.mark.parametrize(
    ("spec", "argument", "moment", "times"),
    [
        ("close:1008:no: really@turn2*3", "1008:no: really", Moment(turn=2), 3),
        ("stall:0.5@12.5s", "0.5", Moment(elapsed_s=12.5), None),
        ("malformed@message10", "", Moment(message=10), None),
        ("unknown-name:sessionResumption", "sessionResumption", None, None),
        ("close:1011:mail me@example.com", "1011:mail me@example.com", None, None),
        ("refuse:503:5*2", "503:5", None, 2),
    ],
)
def test_spec_is_kind_argument_moment_and_times(
    spec: str, argument: str, moment: Moment | None, times: int | None
) -> None:
    fault = parse_fault(spec)
    assert (fault.argument, fault.moment, fault.times) == (argument, moment, times)


def test_argument_has_a_number_and_a_text() -> None:
    fault = parse_fault("close:1008:no way")
    assert (fault.number, fault.text) == (1008, "no way")


@pytest.mark.parametrize(
    "spec",
    [
        "", "nonsense", "CLOSE", "close:abc", "close:999", "close:1005", "close:1015", "close:5000", "reset:1",
        "stall:-1",
        "stall:nan", "stall:inf", "refuse:200", "refuse:503:x", "refuse@turn1", "stale-handle@2s", "chaos:2", "drip:1",
        "wrong-rate:16000.5", "huge:1000", "close@turn", "close@2", "close*",
    ],
)  # fmt: skip
def test_what_is_no_fault_is_one_line(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"^--fault ") as caught:
        parse_fault(spec)
    assert "\n" not in str(caught.value)


def test_turn_fault_without_a_moment_is_in_every_turn_once() -> None:
    faults = session_of("empty-turn")
    for faults.turn in (1, 2, 3):
        assert faults.at_turn("empty-turn")
        assert not faults.at_turn("empty-turn")


def test_turn_fault_at_a_turn_is_in_that_one_or_the_next_that_can() -> None:
    faults = session_of("duplicate-call@turn2")
    faults.turn = 1
    assert not faults.at_turn("duplicate-call")
    faults.turn = 3
    assert faults.at_turn("duplicate-call")
    faults.turn = 4
    assert not faults.at_turn("duplicate-call")


def test_moment_in_the_middle_of_a_turn_waits_for_it() -> None:
    faults = session_of("close@turn1")
    faults.turn = 1
    assert faults.moments(by_turn=False) == []
    assert [fault.kind.name for fault in faults.moments(by_turn=True)] == ["close"]
    assert faults.moments(by_turn=True) == []


def test_moment_by_count_and_by_time() -> None:
    faults = session_of("close@message3", "reset@2s")
    assert faults.timed == [2.0]
    faults.n_sent = 1
    assert faults.moments(by_turn=False) == []
    faults.n_sent = 2
    assert [fault.kind.name for fault in faults.moments(by_turn=False)] == ["close"]
    faults.elapsed_s = 2.0
    assert [fault.kind.name for fault in faults.moments(by_turn=False)] == ["reset"]


def test_state_begins_and_stays() -> None:
    faults = session_of("text-frames@turn2", "odd-chunks")
    assert faults.state("odd-chunks") and not faults.state("text-frames")
    faults.turn = 2
    assert faults.state("text-frames")
    faults.turn = 3
    assert faults.state("text-frames")


def test_times_are_counted_over_all_sessions() -> None:
    plan = FaultPlan((parse_fault("close@turn1*2"), parse_fault("refuse*1")), 0)
    assert plan.take("refuse") and not plan.take("refuse") and not plan.take("hang")
    happened = []
    for number in (1, 2, 3):
        faults = SessionFaults(plan, number)
        faults.turn = 1
        happened.append(len(faults.moments(by_turn=True)))
    assert happened == [1, 1, 0]


def test_session_without_faults_is_false() -> None:
    assert not session_of()
    assert session_of("close")


def test_chaos_comes_at_its_rate_and_by_its_seed() -> None:
    def draw(seed: int) -> list[str]:
        faults = session_of("chaos:0.1", seed=seed)
        return [fault.kind.name if (fault := faults.chaos()) else "" for _ in range(1000)]

    assert draw(1) == draw(1) != draw(2)
    assert 60 < sum(map(bool, draw(1))) < 140
    assert session_of("close").chaos() is None
