from pathlib import Path

import pytest

from minuted_daemon.adapters.capture.listing.naming import ListedInput, find_input, name_inputs


def listed(label: str, channels: int = 1, rate_hz: int = 48_000, is_default: bool = False) -> ListedInput:
    return ListedInput(0, label, "ALSA", channels, rate_hz, is_default)


@pytest.fixture
def sound_class(tmp_path: Path) -> Path:
    """sysfs with cards 0 (PCI), 1 and 2 (USB)."""
    for number, place in enumerate(("0000:00:1f.3", "1-2:1.0", "1-4.1:1.0")):
        device = tmp_path / "devices" / place
        device.mkdir(parents=True)
        card = tmp_path / "class" / f"card{number}"
        card.mkdir(parents=True)
        (card / "device").symlink_to(device)
    return tmp_path / "class"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("HDA Intel PCH: ALC257 Analog (hw:0,0)", "hda-intel-pch"),
        ("HDA Intel PCH: ALC257 Alt Analog (hw:0,2)", "hda-intel-pch-2"),
        ("Jabra SPEAK 510 USB: Audio (hw:1,0)", "jabra-speak-510-usb"),
        ("Jabra SPEAK 510 USB: Audio (hw:7,0)", "jabra-speak-510-usb"),
        ("front_mic", "front_mic"),
        ("Größe: 5 $(rm)", "Gr-e-5-rm"),
        ("---", "input"),
    ],
)
def test_a_name_tells_the_device_and_not_its_number(label: str, name: str, sound_class: Path) -> None:
    (item,) = name_inputs([listed(label)], sound_class)
    assert item.name == name


def test_two_of_a_kind_are_told_apart_by_their_ports(sound_class: Path) -> None:
    inputs = name_inputs([listed("Jabra: Audio (hw:1,0)"), listed("Jabra: Audio (hw:2,0)")], sound_class)
    assert [item.name for item in inputs] == ["jabra@1-2", "jabra@1-4.1"]
    assert find_input(inputs, "jabra") is None
    assert find_input(inputs, "jabra", port="1-2") is inputs[0]
    assert find_input(inputs, "jabra@1-4.1") is inputs[1]


def test_names_of_which_no_letter_is_left_are_told_apart_by_their_ports(sound_class: Path) -> None:
    labels = [f"{card}\ufffd: USB Audio (hw:{number},0)" for number, card in ((1, "会議"), (2, "マイク"))]
    inputs = name_inputs(map(listed, labels), sound_class)
    again = name_inputs(map(listed, reversed(labels)), sound_class)
    assert {item.listed.label: item.name for item in inputs} == {item.listed.label: item.name for item in again}
    assert [item.name for item in inputs] == ["input@1-2", "input@1-4.1"]
    assert find_input(inputs, labels[1]) is inputs[1]


def test_a_port_can_be_named_even_where_it_need_not_be(sound_class: Path) -> None:
    inputs = name_inputs([listed("Jabra: Audio (hw:2,0)")], sound_class)
    assert inputs[0].name == "jabra"
    assert find_input(inputs, "jabra@1-4.1") is inputs[0]
    assert find_input(inputs, "jabra@1-2") is None


def test_a_device_in_another_port_is_the_same_if_it_is_the_only_one(sound_class: Path) -> None:
    inputs = name_inputs([listed("Jabra: Audio (hw:2,0)")], sound_class)
    assert find_input(inputs, "jabra", port="1-2") is inputs[0]


def test_names_are_unique_without_ports_too(tmp_path: Path) -> None:
    inputs = name_inputs([listed("a b"), listed("a-b"), listed("a b")], tmp_path)
    assert len({item.name for item in inputs}) == 3


def test_portaudios_own_name_is_accepted(sound_class: Path) -> None:
    inputs = name_inputs([listed("front mic"), listed("Jabra: Audio (hw:1,0)")], sound_class)
    assert find_input(inputs, "front mic") is inputs[0]
    assert find_input(inputs, "Jabra: Audio (hw:1,0)") is inputs[1]
    assert find_input(inputs, "hw:1,0") is None


def test_default_is_the_systems_and_nothing_else_is_called_so(tmp_path: Path) -> None:
    inputs = name_inputs([listed("default"), listed("usb0", is_default=True)], tmp_path)
    assert find_input(inputs, "default") is inputs[1]
    assert "default" not in {item.name for item in inputs}
    assert find_input(inputs[:1], "default") is None


def test_a_sound_server_is_asked_for_mono(tmp_path: Path) -> None:
    (item,) = name_inputs([listed("pulse", channels=32, rate_hz=44_100)], tmp_path)
    assert (item.channels, item.rate_hz, item.is_server) == (1, 48_000, True)
    (card,) = name_inputs([listed("Desk: USB (hw:1,0)", channels=32, rate_hz=44_100)], tmp_path)
    assert (card.channels, card.rate_hz, card.is_server) == (32, 44_100, False)
