"""The offline engine hears a recorded meeting: what `minuted demo` shows and keeps."""

import numpy as np
import pytest
import soundfile

from minuted import SessionState
from minuted_daemon import demo
from tests.e2e.demonstration import Demonstration
from tests.e2e.quiet_network import why_not_here
from tests.e2e.standup import LENGTH_S, RECORDING, error_rate, shown, speakers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_the_demo_plays_the_recorded_meeting() -> None:
    played, heard = soundfile.read(demo.RECORDING, dtype="int16"), soundfile.read(RECORDING, dtype="int16")
    assert np.array_equal(played[0], heard[0])
    assert played[1] == heard[1]


def test_the_demo_shows_three_speakers_and_ends_by_itself(demonstration: Demonstration) -> None:
    assert demonstration.code == 0
    assert {speaker for speaker, _ in demonstration.lines} == {"S1", "S2", "S3"}
    assert f"{len(demonstration.lines)} turns of 3 speakers are stored" in demonstration.output
    assert "Traceback" not in demonstration.log
    assert " error " not in demonstration.log


def test_the_minutes_are_read_after_a_restart(demonstration: Demonstration) -> None:
    told = [(turn.speaker.label, turn.text) for turn in demonstration.turns]
    assert sorted(told) == sorted(demonstration.lines)
    session = demonstration.session
    assert session.state == SessionState.SESSION_STATE_STOPPED
    heard_s = (session.end_time.ToNanoseconds() - session.start_time.ToNanoseconds()) / 1e9
    assert LENGTH_S < heard_s < LENGTH_S + 25


def test_the_offline_transcript_is_good(demonstration: Demonstration) -> None:
    turns = demonstration.turns
    assert speakers(turns) == ["S1", "S2", "S3"], shown(turns)
    assert error_rate(turns) <= 0.12, shown(turns)


def test_the_demo_looks_up_no_name_and_leaves_no_file_outside_its_directory(demonstration: Demonstration) -> None:
    assert demonstration.left_at_home == []
    if demonstration.lookups is None:
        pytest.skip(why_not_here() or "")
    assert demonstration.lookups == []
