"""The functions to try with, as the README names them."""

from pathlib import Path

import pytest

from tests.functions.loading import load_file, names_of

EXAMPLES = Path(__file__).parents[2] / "function_examples.py"


async def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    functions = load_file(EXAMPLES)
    assert names_of(functions)[:2] == ["get_current_weather", "line_printer"]
    weather = (await functions.call("get_current_weather", {"location": "Oslo"})).response
    assert weather["unit"] == "celsius"
    warmer = (await functions.call("get_current_weather", {"location": " OSLO", "unit": "fahrenheit"})).response
    assert warmer["temperature"] == round(weather["temperature"] * 9 / 5 + 32)
    assert (await functions.call("line_printer", {"lines": ["one", "two"]})).response == {"output": "printed 2 lines"}
    assert capsys.readouterr().out == "one\ntwo\n"
    assert (await functions.call("set_timer", {"seconds": 0.001})).response == {
        "output": "timer: 0.001 seconds are over"
    }
    assert (await functions.call("divide", {"dividend": 1, "divisor": 4})).response == {"output": 0.25}
    assert "ZeroDivisionError" in (await functions.call("divide", {"dividend": 1, "divisor": 0})).response["error"]
    stops = [
        {"name": "Lisbon", "latitude": 38.72, "longitude": -9.14},
        {"name": "Tallinn", "latitude": 59.44, "longitude": 24.75},
    ]
    km = (await functions.call("measure_route", {"stops": stops})).response
    assert km == {"length": pytest.approx(3320, abs=30), "unit": "km"}
    assert (await functions.call("measure_route", {"stops": stops, "unit": "miles"})).response["length"] < km["length"]
    assert "two stops" in (await functions.call("measure_route", {"stops": []})).response["error"]
    args = {"first_day": "2026-11-21", "busy": ["2026-11-23"]}
    assert (await functions.call("find_meeting_day", args)).response == {"output": "2026-11-24"}


def test_the_examples_are_declared_with_a_description_each() -> None:
    for declaration in load_file(EXAMPLES).declarations:
        assert declaration["description"].endswith(".")
