"""Both vendors away at once: nothing that is said is lost or told twice, and then all is as it was before."""

import asyncio
import time
from pathlib import Path

import pytest

from minuted import TextSource, Turn
from tests.bench.chaos_judge import BEFORE_S, LATEST_S, Window, adds_up, counted, latest_s, start_at
from tests.e2e.daemon_process import run_daemon
from tests.e2e.live_run import EXCERPTS, PYANNOTE_KNOBS, play
from tests.fakes.meeting import load_meeting
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

LENGTH_S = 90
FROM_S, OUTAGE_S = 25.0, 20.0


async def test_twenty_seconds_without_either(place: Path) -> None:
    room = load_meeting(*EXCERPTS[1], LENGTH_S)
    with (
        pyannote_standin([room], knobs=PYANNOTE_KNOBS) as pyannote,
        openai_standin([room]) as openai,
    ):
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon, daemon.client() as client:

            async def away() -> Window:
                await asyncio.sleep(FROM_S)
                began_at = time.time()
                for vendor in (pyannote, openai):
                    await asyncio.to_thread(vendor.outage, OUTAGE_S)
                return Window(began_at, began_at + OUTAGE_S)

            async with asyncio.TaskGroup() as group:
                outage = group.create_task(away())
                playing = group.create_task(play(client, [room], place))
            session = await client.session("room-0")
    (one,) = playing.result()
    assert {turn.text_source for turn in one.turns} == {TextSource.TEXT_SOURCE_COMPLETED}
    assert adds_up(session)
    assert not session.coverage.lost

    window = outage.result()
    zero_at = start_at(one.turns[0]) - one.turns[0].start_offset.ToNanoseconds() / 1e9
    nobody_knows = (window.began_at - BEFORE_S - zero_at, window.over_at - zero_at)
    counts = counted(room, one.turns, nobody_knows, LENGTH_S)
    print(counts)
    assert (counts.lost, counts.repeated, counts.foreign) == (0, 0, 0)
    assert counts.outside > 0.5 * counts.words
    assert counts.wrong <= counts.wrong_allowed, "outside of the outage speakers are as without it"
    finals = {turn.id: start_at(turn) + length_s(turn) + turn.latency.ToNanoseconds() / 1e9 for turn in one.turns}
    late_s = latest_s(window, one.turns, finals, LENGTH_S)
    assert late_s is not None, "the meeting goes on behind the outage"
    print(f"latest turn behind the outage: {late_s:.2f} s")
    assert late_s < LATEST_S
    assert not list((daemon.state_dir / "spool").iterdir()), "all is settled: no audio is left"


def length_s(turn: Turn) -> float:
    return (turn.end_offset.ToNanoseconds() - turn.start_offset.ToNanoseconds()) / 1e9
