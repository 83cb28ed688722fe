"""The recorded meeting played into a room and captured through PortAudio: as good as the recording itself."""

import asyncio
from pathlib import Path

import pytest

from minuted import AsyncClient, Error, Session, SessionState
from tests.e2e.daemon_process import run_daemon
from tests.e2e.demonstration import Demonstration
from tests.e2e.following import Seen, follow
from tests.e2e.standup import LENGTH_S, RECORDING, error_rate, shown, speakers
from tests.rig.fixtures import SoundServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

WORSE = 0.04
"""How much larger the share of wrong words may be than with the recording as a file."""


def capturing(seen: Seen) -> bool:
    return any(session.state == SessionState.SESSION_STATE_RUNNING for session in seen.sessions.values())


async def started(client: AsyncClient) -> Session:
    """Ask again, as a person would: a sound server that has only just come up may give no audio for seconds."""
    for _ in range(2):
        try:
            return await client.start("boardroom", device="front_mic", diarizer="local", transcriber="local")
        except Error as error:
            if error.reason != "DEVICE_FAILED":
                raise
            print(f"asked again: {error.message}")
    return await client.start("boardroom", device="front_mic", diarizer="local", transcriber="local")


async def test_a_played_meeting_is_minuted_like_its_recording(
    sound_server: SoundServer, place: Path, demonstration: Demonstration
) -> None:
    async with run_daemon(place) as daemon, daemon.client() as client:
        began = (await client.info()).highest_seq
        session = await started(client)
        async with asyncio.timeout(30):
            await follow(client, capturing, session.id, after=began)
        with sound_server.playing(RECORDING) as player:
            assert await asyncio.to_thread(player.wait, LENGTH_S + 30) == 0
        ended = await client.stop(session.id)
        turns = [turn async for turn in client.turns(session.id)]
    assert ended.state == SessionState.SESSION_STATE_STOPPED
    recorded = demonstration.turns
    both = f"{shown(turns)}\n\nfrom the file:\n{shown(recorded)}"
    assert speakers(turns) == speakers(recorded), both
    print(f"cpWER from the device {100 * error_rate(turns):.1f} %, from the file {100 * error_rate(recorded):.1f} %")
    assert error_rate(turns) <= error_rate(recorded) + WORSE, both
