"""OpenAI's sessions end every few seconds of a lively meeting: nobody notices but the vendor."""

from pathlib import Path

import pytest

from minuted import TextSource
from tests.e2e.daemon_process import run_daemon
from tests.e2e.live_run import EXCERPTS, PYANNOTE_KNOBS, play
from tests.fakes.meeting import load_meeting
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LENGTH_S = 40
EXPIRES_S = 9


async def test_no_word_is_lost_repeated_or_asked_for_twice(place: Path) -> None:
    rooms = [load_meeting(name, start_s, LENGTH_S) for name, start_s in EXCERPTS[:2]]
    with (
        pyannote_standin(rooms, knobs=PYANNOTE_KNOBS) as pyannote,
        openai_standin(rooms, knobs={"expires_s": EXPIRES_S}) as openai,
    ):
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:
            played = await play(client, rooms, place)
            heard = openai.stats()
    for one in played:
        ours = one.score
        assert (ours.words_lost, ours.words_repeated, ours.words_foreign) == (0, 0, 0), one.meeting.name
        assert {turn.text_source for turn in one.turns} == {TextSource.TEXT_SOURCE_COMPLETED}
    assert heard["words_twice"] == {}
    assert heard["twice_committed_s"] == 0
    assert {code for one in heard["connections"] for code in one["errors"]} <= {"session_expired"}
    assert len(heard["connections"]) >= 2 * LENGTH_S / EXPIRES_S
    assert daemon.log.count("link_renewed") >= 2 * LENGTH_S / EXPIRES_S - 2
    assert "link_lost" not in daemon.log

    sent_s = sum(one.session.transcriber_sent.ToNanoseconds() / 1e9 for one in played)
    assert sent_s == pytest.approx(sum(one["appended_s"] for one in heard["connections"]), abs=0.5)
    for one in played:
        assert one.session.diarizer_sent.ToNanoseconds() / 1e9 == pytest.approx(LENGTH_S, abs=2.0)
