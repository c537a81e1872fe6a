"""Functions to try with `gemini-live --import-functions function_examples.py`.

Every public function of the file is offered to the model, which reads its name, its docstring and its types (with their
docstrings), and decides when to call it. Ask for the weather in Oslo, for a poem to be printed, for a timer, or how far
it is from Lisbon to Tallinn by way of Vienna.
"""

import asyncio
import zlib
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt
from typing import Annotated, Literal

from pydantic import Field


class TemperatureUnit(StrEnum):
    """The unit of a temperature."""

    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


@dataclass
class Place:
    """A place on the earth, its coordinates in degrees, north and east positive."""

    name: str
    latitude: float
    longitude: float


def get_current_weather(location: str, unit: TemperatureUnit = TemperatureUnit.CELSIUS) -> dict[str, object]:
    """Return the current weather in a city, with the temperature in the unit asked for."""
    # Invented, but always the same for one place.
    number = zlib.crc32(location.strip().lower().encode())
    celsius = number % 35 - 5
    return {
        "location": location,
        "temperature": celsius if unit is TemperatureUnit.CELSIUS else round(celsius * 9 / 5 + 32),
        "unit": unit,
        "sky": ("clear", "cloudy", "rain", "fog")[number % 4],
    }


def line_printer(lines: list[str]) -> str:
    """Print lines of text on the user's screen, in the order given."""
    for line in lines:
        print(line)
    # Say what was done: a model that gets no result may call again.
    return f"printed {len(lines)} lines"


async def set_timer(seconds: Annotated[float, Field(gt=0, le=50)], label: str = "timer") -> str:
    """Wait for a number of seconds, then report that the time is up."""
    # A coroutine function is stopped when the call is cancelled; a plain function runs to its end.
    await asyncio.sleep(seconds)
    return f"{label}: {seconds:g} seconds are over"


def divide(dividend: float, divisor: float) -> float:
    """Divide one number by another. Dividing by zero is an error."""
    # The model is told what a function raises, and explains it to the user.
    return dividend / divisor


def measure_route(stops: list[Place], unit: Literal["km", "miles"] = "km") -> dict[str, float | str]:
    """Return the length of a route through two or more places, as the crow flies."""
    if len(stops) < 2:
        raise ValueError("a route needs two stops at least")
    km = sum(_distance_km(a, b) for a, b in pairwise(stops))
    return {"length": round(km if unit == "km" else km / 1.609344, 1), "unit": unit}


def find_meeting_day(first_day: date, busy: set[date] | None = None) -> date:
    """Return the first weekday from a day on that is not among the busy days."""
    day = first_day
    while day.weekday() >= 5 or day in (busy or ()):
        day += timedelta(days=1)
    return day


def _distance_km(a: Place, b: Place) -> float:
    """Return the great-circle distance. The underscore keeps this function from the model."""
    phi_a, phi_b = radians(a.latitude), radians(b.latitude)
    half = sin((phi_b - phi_a) / 2) ** 2
    half += cos(phi_a) * cos(phi_b) * sin(radians(b.longitude - a.longitude) / 2) ** 2
    return 2 * 6371.0 * asin(sqrt(half))
