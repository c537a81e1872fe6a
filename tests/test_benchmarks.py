"""What the benchmarks make of their figures. That they run is checked by `python -m benchmarks --short` in CI."""

import json
import sys
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as command
from benchmarks import measure
from benchmarks.chart import draw_chart
from benchmarks.report import format_table, to_json
from benchmarks.results import Row, Scale, Section
from benchmarks.server import build_frame, build_mix

RATIO = Row("receive <audio>", "us CPU", {"floor": [10.0, 20.0, 10.0], "ours": [11.0, 20.0, 15.0]}, at_most=1.15)
ALONE = Row("start", "ms", {"ours": [5.0, 7.0]}, "", at_most=5.5)


def test_a_ratio_is_taken_within_each_round() -> None:
    assert RATIO.ratios == pytest.approx([1.1, 1.0, 1.5])
    assert RATIO.result == pytest.approx(1.1)
    assert (RATIO.spread, RATIO.is_met) == ((1.0, 1.5), True)


def test_a_figure_that_stands_alone_is_compared_with_its_aim() -> None:
    assert (ALONE.ratios, ALONE.result, ALONE.is_met) == ([], 6.0, False)


def test_a_small_scale_leaves_something_to_do() -> None:
    assert [Scale(1, 0.01).amount(n) for n in (10, 1000)] == [1, 10]


def test_a_row_becomes_a_line_of_a_table_a_bar_and_json() -> None:
    sections = [Section("Receiving", [RATIO, ALONE]), Section("Sound", skipped="no card")]
    table = format_table(sections)
    assert "| receive <audio> | floor 10, ours 15 (us CPU) | 1.1 of floor | 1 to 1.5 | 1.15 of floor | yes |" in table
    assert "Not measured: no card" in table
    chart = ElementTree.fromstring(draw_chart(sections))
    assert "receive <audio> / floor" in [text.text for text in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert json.loads(to_json({}, sections))["sections"][0]["rows"][1]["is_met"] is False


def test_frames_say_their_size_as_the_protocol_wants() -> None:
    for text, header in (("", b"\x81\x02"), ("x" * 200, b"\x81\x7e\x00\xca"), ("x" * 70_000, b"\x81\x7f" + bytes(5))):
        assert build_frame(text).startswith(header)


def test_a_mix_has_as_many_messages_as_asked_for() -> None:
    assert len(build_mix({"serverContent": {}}, 37)) == 37


def test_a_kind_that_cannot_be_measured_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(scale: Scale) -> list[Section]:
        measure.run_to_its_end([sys.executable, "-c", "raise SystemExit('no such server')"])
        return []

    monkeypatch.setattr(command, "KINDS", {"first": fail, "second": lambda scale: [Section("Second", [ALONE])]})
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--short"])
    monkeypatch.setenv("CI", "true")
    assert command.main() == 1
    printed = capsys.readouterr().out
    assert "no such server" in printed
    assert "| start |" in printed
