"""Choosing and listing sound devices."""

import pytest

from gemini_live.audio.devices import Device, Direction, choose_device, format_devices
from gemini_live.errors import DeviceError


def make_device(index: int, name: str, *, inputs: int = 0, outputs: int = 0, preferred: bool = True) -> Device:
    return Device(
        index=index,
        name=name,
        host_api="ALSA" if preferred else "JACK",
        input_channels=inputs,
        output_channels=outputs,
        default_rate_hz=48_000,
        default_for=frozenset(Direction if index == 1 else ()),
        is_of_default_api=preferred,
    )


DEVICES = (
    make_device(0, "HDMI", outputs=8),
    make_device(1, "Built-in Audio", inputs=2, outputs=2),
    make_device(2, "USB Headset", inputs=1, outputs=2),
    make_device(3, "USB Camera", inputs=2),
    make_device(4, "Headset", inputs=1, preferred=False),
    make_device(5, "Dock 4", inputs=1),
    make_device(6, "Dock 4", inputs=1, preferred=False),
)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (None, 1),
        ("2", 2),
        (" 2 ", 2),
        ("camera", 3),
        ("BUILT-IN", 1),
        ("usb headset", 2),
        ("headset", 4),  # a whole name, though part of another
        ("dock", 5),  # twice the same name: the preferred host API's
    ],
)
def test_a_microphone_is_found_by_index_name_or_part_of_it(wanted: str | None, index: int) -> None:
    assert choose_device(DEVICES, wanted, Direction.INPUT).index == index


@pytest.mark.parametrize("wanted", ["0", "HDMI", "7", "nothing like it"])
def test_a_device_that_is_not_a_microphone_is_refused_with_the_list_of_microphones(wanted: str) -> None:
    with pytest.raises(DeviceError) as caught:
        choose_device(DEVICES, wanted, Direction.INPUT)
    assert f"no microphone '{wanted}'" in str(caught.value)
    assert "2 (USB Headset, ALSA)" in str(caught.value)
    assert "HDMI" not in str(caught.value).removeprefix(f"there is no microphone '{wanted}'")


def test_an_ambiguous_name_lists_the_candidates_only() -> None:
    with pytest.raises(DeviceError) as caught:
        choose_device(DEVICES, "usb", Direction.INPUT)
    assert str(caught.value) == (
        "'usb' names more than one microphone; choose one by its index: 2 (USB Headset, ALSA), 3 (USB Camera, ALSA)"
    )


def test_a_name_that_only_one_direction_has_is_not_ambiguous() -> None:
    assert choose_device(DEVICES, "usb", Direction.OUTPUT).index == 2


@pytest.mark.parametrize("wanted", [None, "1", "any"])
def test_a_machine_without_microphone_says_so(wanted: str | None) -> None:
    with pytest.raises(DeviceError, match=r"^this machine has no microphone$"):
        choose_device(DEVICES[:1], wanted, Direction.INPUT)


def test_a_machine_without_default_lists_what_there_is() -> None:
    with pytest.raises(DeviceError, match=r"^there is no default loudspeaker; choose one: 2 \(USB Headset, ALSA\)$"):
        choose_device(DEVICES[2:3], None, Direction.OUTPUT)


def test_the_list_is_a_table_with_the_defaults_marked() -> None:
    assert format_devices(DEVICES[:3]).splitlines() == [
        "index  in  out   rate  default       host API  name",
        "    0   0    8  48000  -             ALSA      HDMI",
        "    1   2    2  48000  input+output  ALSA      Built-in Audio",
        "    2   1    2  48000  -             ALSA      USB Headset",
    ]


def test_the_list_without_devices_is_a_sentence() -> None:
    assert format_devices(()) == "This machine has no sound devices."
