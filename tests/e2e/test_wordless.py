"""A transcriber whose first answers all fail, and whose every second text is empty: no word is lost, and it is told."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from minuted import AsyncClient, LinkHealth
from tests.bench.reference import reference
from tests.bench.scoring import score
from tests.e2e.daemon_process import run_daemon
from tests.e2e.live_run import PYANNOTE_KNOBS, play, scored
from tests.fakes.meeting import load_meeting
from tests.fakes.processes import openai_standin, pyannote_standin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

ROOM = load_meeting("IB4010", 2825.5, 24)
FAULTS = [
    {"at": "commit", "do": "failed", "code": "server_error", "times": 6},
    {"at": "commit", "do": "says", "transcript": "", "every": 2, "times": 0},
]


async def reasons_of(client: AsyncClient, found: list[tuple[int, str]]) -> None:
    async with aclosing(client.watch_sessions()) as changes:
        async for session in changes:
            link = session.transcriber_link
            found.append((link.health, link.reason))


async def test_no_word_is_lost_and_the_link_says_what_is_wrong(place: Path) -> None:
    with openai_standin([ROOM]) as openai, pyannote_standin([ROOM], knobs=PYANNOTE_KNOBS) as pyannote:
        openai.control(faults=FAULTS)
        links: list[tuple[int, str]] = []
        async with (
            run_daemon(place, pyannote.base_url, openai.base_url) as daemon,
            daemon.client() as client,
            asyncio.TaskGroup() as group,
        ):
            watching = group.create_task(reasons_of(client, links))
            (played,) = await play(client, [ROOM], place)
            watching.cancel()
    found = score(ROOM, scored(played.turns))
    assert (found.words_lost, found.words_repeated, found.words_foreign) == (0, 0, 0)
    assert found.right >= reference(ROOM).right - 0.02
    assert not played.session.coverage.lost
    assert (LinkHealth.LINK_HEALTH_DOWN, "SERVER_ERROR") in links
    assert "transcriber_failing" in daemon.log
    assert "transcriber_recovered" in daemon.log
