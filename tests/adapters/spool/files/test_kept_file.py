"""How a session's audio becomes a file for good, or leaves no trace."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.spool.files.kept_file import KeptFile
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from tests.adapters.spool.disks import fill, small_disk
from tests.adapters.spool.rooms import ONE, SECOND, House, block, hear, silent, wide_noise


def kept(house: House) -> Path:
    return house.audio / f"{ONE}.flac"


async def test_a_sample_keeps_its_place(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE, keep_audio=True)
        await hear(spool, 30)
        spool.skip(Sample(90 * SECOND))
        await hear(spool, 5)
        spool.release(spool.end)
        spool.append(block(spool.end))
        await spools.finish(ONE)
        assert not spools.spools
    pcm, rate_hz = soundfile.read(kept(house), dtype="int16")
    expected = silent(wide_noise(0, 95 * SECOND + 1600), 30 * SECOND, 90 * SECOND)
    assert rate_hz == 24_000
    assert np.array_equal(pcm, expected)
    assert not house.directory().exists()
    assert (house.audio.stat().st_mode & 0o777, kept(house).stat().st_mode & 0o777) == (0o700, 0o600)


async def test_without_the_wish_nothing_is_kept(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE), 3)
        await spools.finish(ONE)
        await spools.finish(ONE)
    assert not list((house.state_dir / "spool").iterdir())
    assert not list(house.audio.iterdir())


async def test_an_empty_session_keeps_no_file(house: House) -> None:
    async with house.spools() as spools:
        spools.open(ONE, keep_audio=True)
        await spools.finish(ONE)
    assert not list(house.audio.iterdir())


async def test_what_a_crash_left_is_kept_in_the_next_life(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE, keep_audio=True), 30)
        file = KeptFile(kept(house), lambda _: None)
        file.add(wide_noise(0, 3 * SECOND))  # and here it was killed
    assert list(house.audio.iterdir())
    async with house.spools() as spools:
        assert not list(house.audio.iterdir())
        spools.open(ONE, keep_audio=True)
        await spools.finish(ONE)
    pcm, _ = soundfile.read(kept(house), dtype="int16")
    assert np.array_equal(pcm, wide_noise(0, 30 * SECOND))
    file.abandon()


async def test_deleting_leaves_nothing(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE, keep_audio=True), 3)
        await spools.finish(ONE)
        await hear(spools.open(ONE), 3)
        await spools.delete(ONE)
        await spools.delete(ONE)
        assert not spools.spools
    assert not list(house.audio.iterdir())
    assert not list((house.state_dir / "spool").iterdir())


async def test_others_are_read_while_a_long_file_is_made(house: House) -> None:
    async with house.spools() as spools:
        long, other = spools.open(ONE, keep_audio=True), spools.open(type(ONE)("OTHER"))
        await hear(long, 120)
        await hear(other, 40)
        async with asyncio.TaskGroup() as group:
            finishing = group.create_task(spools.finish(ONE))
            reads = 0
            while not finishing.done():
                assert not (await other.read(Sample(0), Sample(3200), 16_000)).holes
                reads += 1
        assert reads > 3


async def test_without_space_the_spool_stays_and_it_can_be_asked_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "6M") as disk:
        house = House(disk)
        async with house.spools() as spools:
            spool = spools.open(ONE, keep_audio=True)
            await hear(spool, 60)
            ballast = fill(disk)
            with pytest.raises(StoreError) as raised:
                await spools.finish(ONE)
            assert raised.value.reason == "DISK_FULL"
            ballast.unlink()
            await spools.reading.call(lambda: None, 5)  # what was begun is removed there, before this
            assert [path.name for path in house.audio.iterdir()] == []
            spool.append(block(spool.end))
            await spools.finish(ONE)
        pcm, _ = soundfile.read(kept(house), dtype="int16")
        assert np.array_equal(pcm, wide_noise(0, 60 * SECOND + 1600))
