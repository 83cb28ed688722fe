"""OpenAI away for a minute, or pyannote for half of one: no word is lost or said twice, and then all is as before."""

import asyncio
from pathlib import Path

import pytest

from minuted import TextSource
from tests.e2e.daemon_process import run_daemon
from tests.e2e.live_run import EXCERPTS, PYANNOTE_KNOBS, play
from tests.fakes.meeting import load_meeting
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

LENGTH_S = 92
FROM_S, OUTAGE_S = 8.0, 60.0
BACK_S = 10.0


async def test_a_minute_without_the_transcriber(place: Path) -> None:
    room = load_meeting(*EXCERPTS[0], LENGTH_S)
    with (
        pyannote_standin([room], knobs=PYANNOTE_KNOBS) as pyannote,
        openai_standin([room]) as openai,
    ):
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:

            async def away() -> None:
                await asyncio.sleep(FROM_S)
                await asyncio.to_thread(openai.outage, OUTAGE_S)

            async with asyncio.TaskGroup() as group:
                group.create_task(away())
                played = group.create_task(play(client, [room], place))
            heard = openai.stats()
    (one,) = played.result()
    assert (one.score.words_lost, one.score.words_repeated, one.score.words_foreign) == (0, 0, 0)
    assert {turn.text_source for turn in one.turns} == {TextSource.TEXT_SOURCE_COMPLETED}
    assert [turn.seq for turn in one.seen.turns if turn.seq] != []
    late = [
        (turn.start_offset.ToTimedelta().total_seconds(), turn.latency.ToTimedelta().total_seconds())
        for turn in one.turns
        if turn.start_offset.ToTimedelta().total_seconds() > FROM_S + OUTAGE_S + BACK_S
    ]
    assert late, "the meeting goes on behind the outage"
    assert max(latency_s for _, latency_s in late) < 3.0, late
    assert len(heard["connections"]) >= 3, "one before, one after, and one beside it"
    assert daemon.log.count("link_lost") <= 20
    assert not list((daemon.state_dir / "spool").iterdir()), "all is settled: no audio is left"
    assert abs(one.score.right - one.best.right) <= 0.01 * one.best.right


async def test_half_a_minute_without_the_diarizer(place: Path) -> None:
    room = load_meeting(*EXCERPTS[1], 60)
    with (
        pyannote_standin([room], knobs=PYANNOTE_KNOBS) as pyannote,
        openai_standin([room]) as openai,
    ):
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:

            async def away() -> None:
                await asyncio.sleep(10.0)
                await asyncio.to_thread(pyannote.outage, 30.0)

            async with asyncio.TaskGroup() as group:
                group.create_task(away())
                played = group.create_task(play(client, [room], place))
    (one,) = played.result()
    assert (one.score.words_lost, one.score.words_repeated, one.score.words_foreign) == (0, 0, 0)
    assert "1008" not in daemon.log, "nothing came in a burst"
    assert any(turn.speaker.label for turn in one.turns if turn.start_offset.ToTimedelta().total_seconds() > 50.0)
