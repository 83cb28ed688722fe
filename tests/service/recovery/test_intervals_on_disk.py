"""What was no speech is found again in a spool on a disk, to the sample."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from minuted_daemon.adapters.spool.session_spool import SessionSpool
from minuted_daemon.core.records import (
    IntervalRecord,
    Record,
    SessionRecord,
    SessionSettings,
    SessionState,
    WallPoint,
)
from minuted_daemon.core.samples import BLOCK, WIDE_BLOCK, Sample, samples
from minuted_daemon.ports.capture import AudioBlock, Filled
from minuted_daemon.ports.spool import Spool
from minuted_daemon.service.ids import UlidSource
from minuted_daemon.service.merge.intervals import IntervalRecords
from minuted_daemon.service.recovery.state import resumed
from minuted_daemon.service.session.nonspeech import NonSpeechTracker
from minuted_daemon.service.session.wall_clock import WallClock
from tests.adapters.spool.rooms import ONE, WALL_S, House, hear
from tests.fakes_service.store import MemoryStore

FREEZE = samples(300.0)
RECORD = SessionRecord(ONE, "room", SessionSettings("default", "none", "openai"), SessionState.RUNNING, WALL_S)


class Put:
    def __init__(self, records: list[Record]) -> None:
        self.put = records.extend


def nonspeech(spool: Spool, put: list[Record]) -> NonSpeechTracker:
    intervals = IntervalRecords(ONE, UlidSource(lambda: WALL_S), WallClock([WallPoint(Sample(0), WALL_S)]))
    return NonSpeechTracker(intervals, Put(put), spool)


def silent(start: Sample) -> AudioBlock:
    return AudioBlock(np.zeros(BLOCK, np.int16), np.zeros(WIDE_BLOCK, np.int16), WALL_S + start / 16_000)


async def recalled(spool: Spool, store: MemoryStore) -> list[IntervalRecord]:
    put: list[Record] = []
    await nonspeech(spool, put).recall(await resumed(RECORD, store, spool), FREEZE)  # type: ignore[arg-type]
    await store.write(put)
    return [one for one in put if isinstance(one, IntervalRecord)]


@asynccontextmanager
async def a_first_life(house: House, store: MemoryStore) -> AsyncIterator[tuple[SessionSpool, NonSpeechTracker]]:
    """A daemon that has just begun the session, until it dies."""
    await store.write([RECORD])
    async with house.spools() as spools:
        spool = spools.open(ONE)
        yield spool, nonspeech(spool, [])


async def test_a_gap_right_behind_a_sound_is_found_to_its_end_and_once(tmp_path: Path) -> None:
    house, store = House(tmp_path), MemoryStore()
    async with a_first_life(house, store) as (spool, before):
        await hear(spool, 6)
        for index in range(30):
            start = spool.end
            # The first block has but its end filled, right behind the loudest sound.
            before.heard(start, Sample(start + BLOCK), [Filled(1500 if index == 0 else 0, BLOCK, "DEVICE_LOST")])
            block = silent(start)
            block.wide[: 2250 if index == 0 else 0] = 20_000
            spool.append(block)
        await spool.flush(10)
    async with house.spools() as spools:
        spool = spools.open(ONE)
        (gap,) = await recalled(spool, store)
        assert (gap.start, gap.end, gap.reason) == (samples(6.0) + 1500, samples(9.0), "DEVICE_LOST")
        spool.skip(Sample(samples(12.0)))  # the daemon was away
        await hear(spool, 1)
    async with house.spools() as spools:
        (away,) = await recalled(spools.open(ONE), store)
        assert (away.start, away.end, away.reason) == (samples(9.0), samples(12.0), "SPOOL_DAMAGED")
    async with house.spools() as spools:
        assert await recalled(spools.open(ONE), store) == []


async def test_a_gap_ends_where_something_is_heard_again(tmp_path: Path) -> None:
    house, store = House(tmp_path), MemoryStore()
    async with a_first_life(house, store) as (spool, before):
        await hear(spool, 1)
        for _ in range(250):
            before.heard(spool.end, Sample(spool.end + BLOCK), [Filled(0, BLOCK, "DEVICE_LOST")])
            spool.append(silent(spool.end))
        back = silent(spool.end)
        back.wide[300] = 1
        spool.append(back)
        await hear(spool, 2)
        assert len(await spool.notes()) == 1, "that it ended was not noted"
    async with house.spools() as spools:
        (gap,) = await recalled(spools.open(ONE), store)
        assert gap.end == samples(26.0) + 200
