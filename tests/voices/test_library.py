"""The recorded meetings: their truth fits their sound and their scripts."""

import numpy as np
import pytest

from tests.fakes.meeting import RATE_HZ
from tests.voices.dialogue import read_script
from tests.voices.library import load, names


def test_the_held_out_and_the_identity_meetings_are_there() -> None:
    assert names("H") == ["H1", "H2", "H3"]
    assert names("I") == [f"I{number}" for number in range(1, 11)]


def test_a_meeting_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="Z9"):
        load("Z9")


@pytest.mark.parametrize("name", names())
def test_the_truth_fits_the_sound_and_the_script(name: str) -> None:
    meeting, script = load(name), read_script(name)
    assert meeting.audio.shape == (meeting.duration,)
    assert meeting.voices == script.voices
    assert set(meeting.speakers) == set(script.voices)
    assert sorted((s.speaker, s.text) for s in meeting.segments) == sorted((x.speaker, x.text) for x in script.lines)
    assert [s.start for s in meeting.segments] == sorted(s.start for s in meeting.segments)
    silent = np.ones(meeting.duration, dtype=bool)
    for segment in meeting.segments:
        assert 0 <= segment.start < segment.end <= meeting.duration
        silent[segment.start : segment.end + RATE_HZ // 2] = False
    quiet = np.std(meeting.audio[silent].astype(np.float64))
    for segment in meeting.segments:
        # From the first to the last 0.1 s: cut where the speech is.
        assert np.std(meeting.audio[segment.start : segment.end].astype(np.float64)) > 3 * quiet
