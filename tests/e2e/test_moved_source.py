"""A sound server that moves a session's stream to another room: what is said there is in nothing that is kept."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted import AsyncClient, Session, SessionState
from minuted.v1.sessions_pb2 import LinkHealth
from minuted_daemon.core.samples import WIDE_BLOCK
from minuted_daemon.ports.capture import AudioBlock
from tests.e2e.daemon_process import run_daemon
from tests.fakes.processes import pyannote_standin
from tests.rig.fixtures import SoundServer
from tests.rig.hearing import pitch_hz, workers_of, zombies_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

OURS_HZ, THEIRS_HZ = 1_000, 3_000
MOVED_S, BACK_S = 3.0, 5.0


@pytest.fixture
def rooms(sound_server: SoundServer, tmp_path: Path) -> Iterator[SoundServer]:
    """Each room sounds at a pitch of its own."""
    with ExitStack() as stack:
        for room, pitch in (("room_a", OURS_HZ), ("room_b", THEIRS_HZ)):
            path = tmp_path / f"{room}.wav"
            soundfile.write(path, 0.5 * np.sin(2 * np.pi * pitch * np.arange(48_000 * 40) / 48_000), 48_000)
            stack.enter_context(sound_server.playing(path, room, latency_ms=500))
        yield sound_server


async def linked(client: AsyncClient, session: Session, health: int) -> Session:
    """Wait for the session's capture link."""
    async with asyncio.timeout(20), aclosing(client.watch_sessions()) as changes:
        async for change in changes:
            if change.id == session.id and change.capture_link.health == health:
                return change
    raise AssertionError("a watch ends only when it is left")


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def pitches(recording: Path) -> list[int]:
    """The strongest tone of each block of 100 ms at 24 kHz, 0 for silence."""
    pcm, _ = soundfile.read(recording, dtype="int16")
    blocks = pcm[: len(pcm) // WIDE_BLOCK * WIDE_BLOCK].reshape(-1, WIDE_BLOCK)
    return [pitch_hz(AudioBlock(block, block, 0.0)) for block in blocks]


async def test_nothing_of_the_wrong_room_is_kept(rooms: SoundServer, place: Path) -> None:
    with pyannote_standin([]) as pyannote:
        async with (
            run_daemon(place, pyannote.base_url, merge={"freeze_s": 1.0}) as daemon,
            daemon.client() as client,
        ):
            session = await client.start("boardroom", device="front_mic", transcriber="none", keep_audio=True)
            await linked(client, session, LinkHealth.LINK_HEALTH_UP)
            await asyncio.sleep(4.0)
            moved_s = time.monotonic()
            await asyncio.to_thread(rooms.move_recordings, "room_b")
            lost = await linked(client, session, LinkHealth.LINK_HEALTH_DOWN)
            assert lost.capture_link.reason == "DEVICE_MOVED"
            assert time.monotonic() - moved_s < MOVED_S
            await linked(client, session, LinkHealth.LINK_HEALTH_UP)
            assert time.monotonic() - moved_s < BACK_S
            await asyncio.sleep(3.0)
            assert list(rooms.recorders().values()) == ["room_a.monitor"]
            assert len(workers_of(daemon.pid)) == 1
            assert zombies_of(daemon.pid) == []
            ended = await client.stop(session.id)
            assert ended.state == SessionState.SESSION_STATE_STOPPED
            async with asyncio.timeout(10):
                while True:
                    if not files_in(daemon.state_dir / "spool"):
                        break
                    await asyncio.sleep(0.05)
            (kept,) = files_in(daemon.state_dir / "audio")
            heard = pitches(kept)
    assert len(heard) == pytest.approx(ended.duration.ToNanoseconds() / 1e8, abs=1)
    assert THEIRS_HZ not in heard
    first, last = heard.index(OURS_HZ), len(heard) - heard[::-1].index(OURS_HZ)
    assert 0 in heard[first:last], "the time away is silence"
    assert heard.count(OURS_HZ) > 40
    assert last > len(heard) - 10, "and the right room is heard again"
