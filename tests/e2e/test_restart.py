"""The daemon is restarted in a meeting, as by an upgrade: the session goes on, and only the gap is missing."""

import asyncio
from pathlib import Path

import pytest
import soundfile

from minuted import SessionState
from tests.e2e.daemon_process import run_daemon
from tests.e2e.live_run import PYANNOTE_KNOBS
from tests.e2e.talking import DEVICE_HZ, ROOM, begin_of_meeting_s, of, recording, up, watching
from tests.fakes.meeting import RATE_HZ
from tests.fakes.processes import openai_standin, pyannote_standin
from tests.rig.fixtures import SoundServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

BEFORE_S = 11.0
EDGE_S = 0.8
"""What is said around the edges of the gap may be on either side."""


async def test_a_meeting_goes_on_over_a_restart(sound_server: SoundServer, tmp_path: Path, place: Path) -> None:
    talk = tmp_path / "talk.wav"
    soundfile.write(talk, recording(), DEVICE_HZ, subtype="PCM_16")
    with pyannote_standin([ROOM], knobs=PYANNOTE_KNOBS) as pyannote, openai_standin([ROOM]) as openai:
        async with run_daemon(place, pyannote.base_url, openai.base_url) as daemon:
            async with daemon.client() as client:
                session = await client.start("room", device="front_mic")
                await up(client, session.id)
            with sound_server.playing(talk, latency_ms=500):
                await asyncio.sleep(BEFORE_S)
                await daemon.stop()
                await daemon.start()
                async with daemon.client() as client, watching(client) as intervals:
                    before = {turn.id: turn.seq async for turn in client.turns(session.id)}
                    await up(client, session.id)
                    again = await client.session("room")
                    await asyncio.sleep(ROOM.duration / RATE_HZ - BEFORE_S)
                    ended = await client.stop("room")
                    turns = [turn async for turn in client.turns(session.id)]
    assert (again.id, again.state) == (session.id, SessionState.SESSION_STATE_RUNNING)
    assert (ended.id, ended.state) == (session.id, SessionState.SESSION_STATE_STOPPED)
    assert len(before) >= 2
    assert {turn.id: turn.seq for turn in turns if turn.id in before} == before, "what was stored stays as it was"

    away = [of(one) for one in intervals.values() if one.reason in ("DAEMON_AWAY", "DEVICE_OPENING")]
    assert sum(one.reason == "DAEMON_AWAY" for one in intervals.values()) == 1
    since_s, until_s = min(start for start, _ in away), max(end for _, end in away)
    assert until_s - since_s < 12.0
    shift_s = begin_of_meeting_s(turns)
    told = [word for turn in turns for word in turn.text.split()]
    assert len(told) == len(set(told))
    outside = {
        word.text
        for word in ROOM.words
        if word.end / RATE_HZ + shift_s < since_s - EDGE_S or word.start / RATE_HZ + shift_s > until_s + EDGE_S
    }
    assert len(outside) > 20
    assert outside <= set(told), sorted(outside - set(told))
