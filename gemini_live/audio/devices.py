"""Find sound devices, choose one by index or name, and list them. Devices are values."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from ..errors import DeviceError
from ..frozen import Frozen


class Direction(StrEnum):
    """Direction of the audio, in PortAudio's words."""

    INPUT = "input"
    OUTPUT = "output"

    @property
    def noun(self) -> str:
        """Return the usual name of a device of this direction."""
        return "microphone" if self is Direction.INPUT else "loudspeaker"


class Device(Frozen):
    """One sound device of one host API. A device of several host APIs is listed once for each."""

    index: int
    name: str
    host_api: str
    input_channels: int
    output_channels: int
    default_rate_hz: int
    default_for: frozenset[Direction] = frozenset()
    is_of_default_api: bool = True
    """True if the device belongs to the host API that the system prefers."""

    def channels(self, direction: Direction) -> int:
        """Return the largest number of channels in a direction."""
        return self.input_channels if direction is Direction.INPUT else self.output_channels


def find_devices(portaudio: Any) -> tuple[Device, ...]:
    """Return the devices of an initialised `PyAudio`."""
    defaults = {direction: _default_index(portaudio, direction) for direction in Direction}
    infos = [portaudio.get_device_info_by_index(index) for index in range(portaudio.get_device_count())]
    if not infos:
        return ()
    default_api = portaudio.get_default_host_api_info()["index"]
    return tuple(
        Device(
            index=info["index"],
            # Names on Windows may contain line breaks, and PyAudio leaves names that it cannot decode as bytes.
            name=" ".join(str(info["name"]).split()),
            host_api=portaudio.get_host_api_info_by_index(info["hostApi"])["name"],
            input_channels=info["maxInputChannels"],
            output_channels=info["maxOutputChannels"],
            default_rate_hz=round(info["defaultSampleRate"]),
            default_for=frozenset(direction for direction, index in defaults.items() if index == info["index"]),
            is_of_default_api=info["hostApi"] == default_api,
        )
        for info in infos
    )


def _default_index(portaudio: Any, direction: Direction) -> int | None:
    ask = {
        Direction.INPUT: portaudio.get_default_input_device_info,
        Direction.OUTPUT: portaudio.get_default_output_device_info,
    }
    try:
        index: int = ask[direction]()["index"]
    except OSError:
        return None
    return index


def choose_device(devices: Sequence[Device], wanted: str | None, direction: Direction) -> Device:
    """Return the device that the user asked for.

    Args:
        devices: All devices.
        wanted: An index, a name, or part of a name, in any case; None for the system's default. A whole name takes
            precedence over a part of one, and the preferred host API over the others.
        direction: What the device is for.

    Raises:
        DeviceError: There is no such device, or more than one.
    """
    able = [device for device in devices if device.channels(direction)]
    if not able:
        raise DeviceError(f"this machine has no {direction.noun}")
    if wanted is None:
        default = next((device for device in able if direction in device.default_for), None)
        if default is None:
            raise DeviceError(f"there is no default {direction.noun}; choose one: {_list_briefly(able)}")
        return default
    if wanted.strip().isdecimal():
        found = [device for device in able if device.index == int(wanted)]
    else:
        found = _find_by_name(able, wanted)
    if len(found) == 1:
        return found[0]
    if not found:
        raise DeviceError(f"there is no {direction.noun} {wanted!r}; choose one: {_list_briefly(able)}")
    raise DeviceError(
        f"{wanted!r} names more than one {direction.noun}; choose one by its index: {_list_briefly(found)}"
    )


def _find_by_name(devices: Sequence[Device], wanted: str) -> list[Device]:
    name = wanted.strip().casefold()
    found = [device for device in devices if device.name.casefold() == name]
    found = found or [device for device in devices if name in device.name.casefold()]
    preferred = [device for device in found if device.is_of_default_api]
    return preferred if len(preferred) == 1 else found


def _list_briefly(devices: Sequence[Device]) -> str:
    return ", ".join(f"{device.index} ({device.name}, {device.host_api})" for device in devices)


def format_devices(devices: Sequence[Device]) -> str:
    """Return the table of `--list-devices`: one line per device, the defaults marked."""
    if not devices:
        return "This machine has no sound devices."
    rows = [("index", "in", "out", "rate", "default", "host API", "name")]
    rows += [
        (
            str(device.index),
            str(device.input_channels),
            str(device.output_channels),
            str(device.default_rate_hz),
            "+".join(sorted(device.default_for)) or "-",
            device.host_api,
            device.name,
        )
        for device in devices
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [cell.rjust(width) for cell, width in zip(row[:4], widths[:4], strict=True)]
            + [cell.ljust(width) for cell, width in zip(row[4:6], widths[4:6], strict=True)]
            + [row[6]]
        )
        for row in rows
    )
