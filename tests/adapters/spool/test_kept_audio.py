"""Kept files erased from, removed and made at the same time: one thing after another, and nothing comes back."""

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.files.flac import packed
from minuted_daemon.adapters.spool.files.kept_file import erasing
from minuted_daemon.adapters.spool.spools import Spools
from minuted_daemon.core.records import SessionId
from minuted_daemon.core.samples import WIDE_RATE_HZ, Sample
from minuted_daemon.errors import StoreError
from tests.adapters.spool.rooms import ONE, SECOND, TWO, House, hear, silent, wide_noise

LENGTH_S = 90


def kept(house: House, session: SessionId = ONE) -> Path:
    return house.audio / f"{session}.flac"


def audio_in(path: Path) -> NDArray[np.int16]:
    pcm, _ = soundfile.read(path, dtype="int16")
    found: NDArray[np.int16] = pcm
    return found


async def keep(spools: Spools, session: SessionId = ONE, length_s: float = LENGTH_S) -> None:
    await hear(spools.open(session, keep_audio=True), length_s)
    await spools.finish(session)


async def under_way(spools: Spools) -> None:
    """Come back when an erasure that was begun has done a few of its steps, and has more to do."""
    for _ in range(3):
        await spools.reading.call(lambda: None, 5)


async def test_overlapping_erasures_of_one_session_are_all_done_and_harm_nothing_else(house: House) -> None:
    gone = [(at * SECOND, (at + 3) * SECOND) for at in (5, 20, 21, 60)]
    async with house.spools() as spools:
        await keep(spools)
        async with asyncio.TaskGroup() as group:
            for low, high in gone:
                group.create_task(spools.erase(ONE, Sample(low), Sample(high)))
                await under_way(spools)
        assert list(house.audio.iterdir()) == [kept(house)]
        assert not spools.kept_audio.in_use, "nothing is remembered of a session that nobody asks about"
    expected = wide_noise(0, LENGTH_S * SECOND)
    for low, high in gone:
        expected = silent(expected, low, high)
    assert np.array_equal(audio_in(kept(house)), expected)


async def test_a_session_does_not_wait_for_another_ones_erasure(house: House) -> None:
    async with house.spools() as spools:
        await keep(spools)
        await keep(spools, TWO, 5)
        async with asyncio.TaskGroup() as group:
            long = group.create_task(spools.erase(ONE, Sample(0), Sample(SECOND)))
            await under_way(spools)
            await spools.erase(TWO, Sample(0), Sample(SECOND))
            assert not long.done()
    assert np.array_equal(audio_in(kept(house, TWO)), silent(wide_noise(0, 5 * SECOND), 0, SECOND))


async def test_what_is_deleted_in_the_middle_of_an_erasure_stays_deleted(house: House) -> None:
    async with house.spools() as spools:
        await keep(spools)
        async with asyncio.TaskGroup() as group:
            group.create_task(spools.erase(ONE, Sample(0), Sample(SECOND)))
            await under_way(spools)
            assert (house.audio / f"{ONE}.part").exists()
            await spools.delete(ONE)
            assert not list(house.audio.iterdir())
        await spools.erase(ONE, Sample(0), Sample(SECOND))
        assert not list(house.audio.iterdir())


async def test_what_was_given_up_for_room_in_the_middle_of_an_erasure_does_not_come_back(house: House) -> None:
    async with house.spools() as spools:
        await keep(spools)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(spools.erase(ONE, Sample(0), Sample(SECOND)))
            await under_way(spools)
            assert await spools.kept_audio.make_room(1) == 1
            assert not task.done()
        await spools.reading.call(lambda: None, 5)
        assert not list(house.audio.iterdir())


async def test_an_asker_who_goes_leaves_the_file_as_it_was(house: House) -> None:
    async with house.spools() as spools:
        await keep(spools)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(spools.erase(ONE, Sample(0), Sample(SECOND)))
            await under_way(spools)
            assert task.cancel()
        await spools.erase(ONE, Sample(2 * SECOND), Sample(3 * SECOND))
        assert list(house.audio.iterdir()) == [kept(house)]
    expected = silent(wide_noise(0, LENGTH_S * SECOND), 2 * SECOND, 3 * SECOND)
    assert np.array_equal(audio_in(kept(house)), expected)


async def test_audio_that_is_kept_again_waits_for_an_erasure_from_the_older_file(house: House) -> None:
    async with house.spools() as spools:
        await keep(spools)
        await hear(spools.open(ONE, keep_audio=True), LENGTH_S, seed=1)
        async with asyncio.TaskGroup() as group:
            group.create_task(spools.kept_audio.erase(ONE, Sample(0), Sample(SECOND)))
            await under_way(spools)
            group.create_task(spools.finish(ONE))
        assert list(house.audio.iterdir()) == [kept(house)]
    assert np.array_equal(audio_in(kept(house)), wide_noise(0, LENGTH_S * SECOND, seed=1))


@pytest.mark.parametrize("by", ["zeros", "noise"])
async def test_a_kept_file_of_which_much_is_damaged_is_erased_from(house: House, by: str) -> None:
    async with house.spools() as spools:
        await keep(spools)
        data = kept(house).read_bytes()
        third = len(data) // 3
        middle = np.random.default_rng(3).bytes(third) if by == "noise" else bytes(third)
        kept(house).write_bytes(data[:third] + middle + data[2 * third :])
        await spools.erase(ONE, Sample(SECOND), Sample(2 * SECOND))
    pcm, expected = audio_in(kept(house)), silent(wide_noise(0, LENGTH_S * SECOND), SECOND, 2 * SECOND)
    assert len(pcm) == len(expected)
    hit = np.flatnonzero(pcm != expected) / WIDE_RATE_HZ
    assert LENGTH_S / 3 - 1 < hit[0] < hit[-1] < LENGTH_S * 2 / 3 + 1
    assert not pcm[pcm != expected].any(), "what cannot be read is silence"


async def test_a_disk_that_fails_in_the_middle_leaves_the_file_as_it_was(house: House) -> None:
    broken = False

    def sync(_: int) -> None:
        if broken:
            raise OSError(5, "as a failing disk says it")

    async with house.spools(sync=sync) as spools:
        await keep(spools)
        before, broken = kept(house).read_bytes(), True
        with pytest.raises(StoreError) as raised:
            await spools.erase(ONE, Sample(0), Sample(SECOND))
        assert raised.value.reason == "DISK_FAILED"
        await spools.reading.call(lambda: None, 5)
        assert list(house.audio.iterdir()) == [kept(house)]
        assert kept(house).read_bytes() == before
        broken = False
        await spools.erase(ONE, Sample(0), Sample(SECOND))
    assert np.array_equal(audio_in(kept(house)), silent(wide_noise(0, LENGTH_S * SECOND), 0, SECOND))


@pytest.mark.parametrize("left_early", [True, False])
def test_a_long_file_goes_to_the_disk_and_from_it_a_part_at_a_time(tmp_path: Path, left_early: bool) -> None:
    path = tmp_path / "audio.flac"
    synced: list[int] = []
    path.write_bytes(packed(wide_noise(0, 60 * SECOND)))
    old = os.open(path, os.O_RDONLY)
    size = os.fstat(old).st_size
    steps = erasing(path, 0, SECOND, synced.append, step_bytes=300_000)
    while next(steps, steps) is not steps:
        if left_early and path.stat().st_ino != os.fstat(old).st_ino:
            assert any(os.pread(old, size, 0)), "it is in the middle of it"
            steps.close()
    assert len(synced) >= 5 + (2 if left_early else 7)
    assert not any(os.pread(old, size, 0)), "left early or not"
    os.close(old)
    assert list(tmp_path.iterdir()) == [path]
    assert np.array_equal(audio_in(path), silent(wide_noise(0, 60 * SECOND), 0, SECOND))
