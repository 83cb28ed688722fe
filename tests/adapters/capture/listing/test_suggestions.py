"""The hint that a person gets who named a device that is not there."""

import pytest

from minuted_daemon.adapters.capture.listing.device_list import device_not_found
from minuted_daemon.adapters.capture.listing.naming import ListedInput, name_inputs

INPUTS = name_inputs(
    [
        ListedInput(0, "Jabra SPEAK 510 USB: Audio (hw:97,0)", "ALSA", 1, 48_000, is_default=True),
        ListedInput(1, "front_mic", "ALSA", 1, 48_000, is_default=False),
    ]
)


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("/srv/meeting.wav", "file:/srv/meeting.wav"),
        ("./meeting", "file:./meeting"),
        ("meeting.WAV", "file:meeting.WAV"),
        ("Monday 3.m4a", "file:Monday 3.m4a"),
        ("File:/srv/meeting.wav", "file:/srv/meeting.wav"),
        (" file:/srv/meeting.wav", "file:/srv/meeting.wav"),
        ("https://room.example/meeting.wav", "file of the daemon's machine"),
        ("Front_Mic", "did you mean front_mic?"),
        ("front-mic", "did you mean front_mic?"),
        ("jabra-speak-510", "did you mean jabra-speak-510-usb?"),
        ("JABRA SPEAK 510 USB: Audio (hw:97,0)", "did you mean Jabra SPEAK 510 USB: Audio (hw:97,0)?"),
    ],
)
def test_a_slip_is_told_with_what_was_meant(wanted: str, hint: str) -> None:
    told = device_not_found(wanted, INPUTS)
    assert hint in told.message
    assert "there are: jabra-speak-510-usb, front_mic" in told.message


@pytest.mark.parametrize("wanted", ["default", "desk", "usb1"])
def test_where_nothing_is_like_it_there_is_no_hint(wanted: str) -> None:
    told = device_not_found(wanted, INPUTS).message
    assert "mean" not in told
    assert "file:" not in told
