"""A disk that is full, read-only, failing or asleep: it is told, memory holds what it may, and it goes on again."""

import asyncio
import errno
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minuted_daemon.adapters.spool.files.recovery import recover
from minuted_daemon.adapters.spool.session_spool import SessionSpool
from minuted_daemon.adapters.spool.write_queue import WAITING_BLOCKS
from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.spool import Loss
from tests.adapters.spool.disks import fill, remount, small_disk
from tests.adapters.spool.rooms import ONE, SECOND, TWO, House, all_of, block, hear, wide_noise


async def hear_on(spool: SessionSpool, length_s: float) -> None:
    """Put noise in, whatever becomes of it."""
    target = spool.end + round(length_s * SECOND)
    while spool.end < target:
        spool.append(block(spool.end))
        await spool.queue.settle(5)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[House]:
    with small_disk(tmp_path / "disk", "4M") as disk:
        yield House(disk)


async def test_a_full_disk_is_told_and_nothing_is_lost_once_space_returns(small: House) -> None:
    async with small.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 10)
        ballast = fill(small.state_dir)
        await hear_on(spool, 30)
        assert (spool.health.health, spool.health.reason) == (Health.DOWN, "DISK_FULL")
        assert spools.health == spool.health
        assert "free some" in spool.health.detail
        assert 25 * SECOND < spool.waiting <= 31 * SECOND
        with pytest.raises(StoreError) as raised:
            await spool.flush(5)
        assert raised.value.reason == "DISK_FULL"
        assert recover(small.directory()).damaged == ()
        assert len(small.segments()) <= 2, "no file for each try"
        ballast.unlink()
        await hear_on(spool, 3)
        assert spools.health.health is Health.UP
        await spool.flush(5)
        assert not spool.take_losses()
    assert recover(small.directory()).good == ((0, spool.end),)


async def test_memory_has_a_bound_and_what_it_let_go_is_told(small: House) -> None:
    async with small.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 2)
        ballast = fill(small.state_dir)
        while spool.end < (WAITING_BLOCKS + 200) * BLOCK:
            spool.append(block(spool.end))
            await asyncio.sleep(0)
        (loss,) = spool.take_losses()
        assert loss.reason == "SPOOL_MEMORY_FULL"
        assert 2 * SECOND <= loss.start < 3 * SECOND
        assert loss.end == spool.end - WAITING_BLOCKS * BLOCK
        ballast.unlink()
        await hear_on(spool, 2.5)
        lost = [loss, *spool.take_losses()]
        got = await spool.read(Sample(loss.start), Sample(loss.start + 60 * SECOND), 24_000)
        assert got.holes == tuple((one.start, one.end) for one in [Loss(lost[0].start, lost[-1].end, "")])


async def test_kept_audio_makes_room_for_what_is_needed(small: House) -> None:
    async with small.spools() as spools:
        await hear(spools.open(TWO, keep_audio=True), 40)
        await spools.finish(TWO)
        assert list(small.audio.iterdir())
        spool = spools.open(ONE)
        await hear(spool, 2)
        ballast = fill(small.state_dir)
        await hear_on(spool, 6)
        assert not list(small.audio.iterdir())
        assert spool.health.health is Health.UP
        assert ballast.exists()


async def test_a_read_only_disk(small: House) -> None:
    async with small.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 25)
        spool.files.seal()
        remount(small.state_dir, "ro")
        try:
            await hear_on(spool, 3)
            assert (spool.health.health, spool.health.reason) == (Health.DOWN, "DISK_READ_ONLY")
            spool.release(Sample(21 * SECOND))
            assert not (await spool.read(Sample(24 * SECOND), Sample(25 * SECOND), 24_000)).holes
        finally:
            remount(small.state_dir, "rw")
        await hear_on(spool, 3)
        assert spool.health.health is Health.UP


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES])
async def test_a_sync_that_fails_counts_as_not_written(house: House, code: int) -> None:
    failing = False

    def sync(_: int) -> None:
        if failing:
            raise OSError(code, os.strerror(code))

    async with house.spools(sync=sync) as spools:
        spool = spools.open(ONE)
        await hear(spool, 3)
        failing = True
        await hear_on(spool, 5)
        reasons = {errno.EIO: "DISK_FAILED", errno.EACCES: "SPOOL_FAILED"}
        assert spool.health.reason == reasons.get(code, "DISK_FULL")
        assert spool.waiting >= 4 * SECOND
        failing = False
        await hear_on(spool, 3)
        await spool.flush(5)
        pcm, holes = await all_of(spool, 0, 11 * SECOND)
        assert not holes
        assert np.array_equal(pcm, wide_noise(0, 11 * SECOND))
    found = recover(house.directory())
    assert (found.good, found.damaged) == (((0, 11 * SECOND),), ())


async def test_a_disk_that_sleeps_holds_up_nobody(house: House) -> None:
    awake = threading.Event()
    awake.set()
    async with house.spools(sync=lambda _: (awake.wait(15), None)[1]) as spools:
        spool = spools.open(ONE)
        await hear(spool, 1)
        awake.clear()
        for _ in range(100):
            spool.append(block(spool.end))
        assert (spool.health.health, spool.health.reason) == (Health.DOWN, "SPOOL_STALLED")
        with pytest.raises(StoreError) as raised:
            await spool.flush(0.05)
        assert raised.value.reason == "SPOOL_STALLED"
        assert not (await spool.read(Sample(0), Sample(11 * SECOND), 16_000)).holes
        awake.set()
        await spool.flush(5)
        assert spool.health.health is Health.UP


async def test_a_file_size_limit_is_a_full_disk(house: House) -> None:
    """For machines on which a test cannot have a disk of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
        try:
            await hear_on(spool, 2)
            assert spool.health.reason == "DISK_FULL"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await hear_on(spool, 3)
        await spool.flush(5)
    found = recover(house.directory())
    assert (found.good, found.damaged) == (((0, spool.end),), ())


async def test_a_segment_that_cannot_be_read_is_a_hole(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 75)
        second = house.segments()[1]
        second.unlink()
        second.mkdir()
        pcm, holes = await all_of(spool, 0, 40 * SECOND)
        low, high = holes[0][0], holes[-1][1]
        assert SECOND * 19 <= low < high
        assert np.array_equal(pcm[: low * 3 // 2], wide_noise(0, 40 * SECOND)[: low * 3 // 2])
        second.rmdir()
