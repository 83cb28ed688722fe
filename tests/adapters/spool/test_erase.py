"""What is erased is gone: from memory, from the files, from where the files were, from what is kept."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.spool.files.record import AudioRecord, scan
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.errors import StoreError
from tests.adapters.spool.disks import fill, mounted_image
from tests.adapters.spool.rooms import ONE, SECOND, House, all_of, block, files_under, hear, silent, wide_noise

START, END = 18 * SECOND + 320, 23 * SECOND + 1610
"""Over the edge of two segments, cutting a record at both ends."""


def traces(paths: list[Path], start: int, end: int) -> set[bytes]:
    """Bytes that can only come from [start, end): pieces of the FLAC streams that hold nothing else."""
    found: set[bytes] = set()
    for path in paths:
        for item in scan(path.read_bytes()):
            if isinstance(item, AudioRecord) and start <= item.start and item.end <= end:
                found |= {item.payload[at : at + 16] for at in range(200, len(item.payload) - 16, 2500)}
    assert len(found) > 20
    return found


def left_in(data: bytes, of: set[bytes]) -> int:
    return sum(trace in data for trace in of)


async def test_erased_audio_is_read_as_a_hole_at_once_and_for_good(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 60)
        await spools.erase(ONE, Sample(START), Sample(END))
        await spools.erase(ONE, Sample(55 * SECOND), Sample(56 * SECOND))
        expected = silent(silent(wide_noise(0, 60 * SECOND), START, END), 55 * SECOND, 56 * SECOND)
        for _ in range(2):
            pcm, _ = await all_of(spool, 0, 60 * SECOND)
            assert np.array_equal(pcm, expected)
            got = await spool.read(Sample(START - 5), Sample(END + 5), 16_000)
            assert got.holes == ((START, END),)
            assert not got.pcm[5:-5].any()
    async with house.spools() as spools:
        pcm, holes = await all_of(spools.open(ONE), 0, 60 * SECOND)
        assert np.array_equal(pcm, expected)
        assert sum(high - low for low, high in holes) == END - START + SECOND
        assert not spools.spools[ONE].recovered.holes, "a hole on purpose is no damage"


async def test_no_byte_of_it_is_left_in_the_files_nor_where_they_were(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 60)
        before = house.segments()
        gone = traces(before, START, END)
        assert left_in(b"".join(path.read_bytes() for path in before), gone) == len(gone)
        old = [os.open(path, os.O_RDONLY) for path in before[:2]]
        await spools.erase(ONE, Sample(START), Sample(END))
        for file in old:
            size = os.fstat(file).st_size
            assert size > 100_000
            assert not any(os.pread(file, size, 0)), "the bytes of the old file, which has no name any more"
            os.close(file)
        assert all(not left_in(path.read_bytes(), gone) for path in files_under(house.state_dir))
        assert not list(house.directory().glob("*.part"))


async def test_what_waits_in_memory_is_erased_there(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        for at in range(0, 3 * BLOCK, BLOCK):
            spool.append(block(at))
        held = [spool.queue.recent.since(Sample(0), 10)[index].wide for index in range(3)]
        await spool.erase(Sample(0), Sample(2 * BLOCK))
        assert [bool(pcm.any()) for pcm in held] == [False, False, True]
        assert (await spool.read(Sample(0), Sample(3 * BLOCK), 16_000)).holes == ((0, 2 * BLOCK),)


async def test_a_crash_in_the_middle_is_made_good_at_the_next_start(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE), 60)
    gone = traces(house.segments(), START, END)
    (house.directory() / "erased").write_bytes(b"\n%d %d\n" % (START, END))
    async with house.spools() as spools:
        pcm, _ = await all_of(spools.open(ONE), 0, 60 * SECOND)
        assert np.array_equal(pcm, silent(wide_noise(0, 60 * SECOND), START, END))
        assert all(not left_in(path.read_bytes(), gone) for path in files_under(house.state_dir))


async def test_a_damaged_file_gives_up_what_cannot_be_placed(house: House) -> None:
    """Bytes that are no record may be from anywhere."""
    async with house.spools() as spools:
        await hear(spools.open(ONE), 20)
    (path,) = house.segments()
    data = bytearray(path.read_bytes())
    data[50_000] ^= 1
    path.write_bytes(data)
    async with house.spools() as spools:
        await spools.erase(ONE, Sample(15 * SECOND), Sample(16 * SECOND))
        assert all(isinstance(item, AudioRecord) for item in scan(path.read_bytes()))


async def test_a_segment_of_which_nothing_is_left_goes(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 25)
        await spool.erase(Sample(0), Sample(25 * SECOND))
        assert not house.segments()
        assert spools.size == 0
        await hear(spool, 1)
        assert not (await spool.read(Sample(25 * SECOND), Sample(26 * SECOND), 16_000)).holes


async def test_what_is_heard_after_erasing_from_the_newest_segment_is_not_lost(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 25)
        await spool.erase(Sample(22 * SECOND), Sample(23 * SECOND))
        await hear(spool, 5)
    async with house.spools() as spools:
        pcm, holes = await all_of(spools.open(ONE), 0, 30 * SECOND)
        assert holes == ((22 * SECOND, 23 * SECOND),)
        assert np.array_equal(pcm, silent(wide_noise(0, 30 * SECOND), 22 * SECOND, 23 * SECOND))


async def test_kept_audio_is_erased_too(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE, keep_audio=True), 50)
        await spools.finish(ONE)
        path = house.audio / f"{ONE}.flac"
        old = os.open(path, os.O_RDONLY)
        size = os.fstat(old).st_size
        await spools.erase(ONE, Sample(START), Sample(END))
        assert not any(os.pread(old, size, 0))
        os.close(old)
        pcm, _ = soundfile.read(path, dtype="int16")
        assert np.array_equal(pcm, silent(wide_noise(0, 50 * SECOND), START, END))
        assert list(house.audio.iterdir()) == [path]


async def test_a_damaged_kept_file_loses_no_more_than_it_must(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE, keep_audio=True), 50)
        await spools.finish(ONE)
        path = house.audio / f"{ONE}.flac"
        data = bytearray(path.read_bytes())
        data[len(data) // 5 : len(data) // 5 + 400] = bytes(400)
        path.write_bytes(data)
        await spools.erase(ONE, Sample(0), Sample(SECOND))
        pcm, _ = soundfile.read(path, dtype="int16")
        assert not pcm[:24_000].any()
        assert np.array_equal(pcm[42 * 24_000 :], wide_noise(42 * SECOND, 50 * SECOND))
        path.write_bytes(b"no FLAC at all")
        await spools.erase(ONE, Sample(0), Sample(SECOND))
        assert not path.exists()


async def test_erasing_nothing_and_from_nothing(house: House) -> None:
    async with house.spools() as spools:
        await spools.erase(ONE, Sample(0), Sample(SECOND))
        spool = spools.open(ONE)
        await spool.erase(Sample(5), Sample(5))
        await spool.erase(Sample(0), Sample(SECOND))
        spool.append(block(0))
        assert not (await spool.read(Sample(0), Sample(BLOCK), 16_000)).holes, "what comes later is not meant"


@pytest.fixture
def image(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    with mounted_image(tmp_path, "12M") as both:
        yield both


async def test_not_a_byte_is_left_on_the_disk_itself(image: tuple[Path, Path]) -> None:
    device, mount = image
    house = House(mount / "state")
    async with house.spools(sync=os.fdatasync) as spools:
        await hear(spools.open(ONE, keep_audio=True), 40)
        os.sync()
        gone = traces(house.segments(), START, END)
        stays = traces(house.segments(), 25 * SECOND, 40 * SECOND)
        assert left_in(device.read_bytes(), gone) == len(gone)
        await spools.erase(ONE, Sample(START), Sample(END))
        os.sync()
        assert left_in(device.read_bytes(), gone) == 0
        assert left_in(device.read_bytes(), stays) == len(stays)


async def test_erasing_on_a_full_disk_gives_up_the_records_it_touches(image: tuple[Path, Path]) -> None:
    device, mount = image
    house = House(mount / "state")
    async with house.spools(sync=os.fdatasync) as spools:
        spool = spools.open(ONE)
        await hear(spool, 60)
        gone = traces(house.segments(), START, END)
        fill(mount)
        await spools.erase(ONE, Sample(START), Sample(END))
        os.sync()
        assert left_in(device.read_bytes(), gone) == 0
        pcm, holes = await all_of(spool, 0, 60 * SECOND)
        lost = sum(high - low for low, high in holes)
        assert END - START <= lost <= END - START + 2 * SECOND
        expected = wide_noise(0, 60 * SECOND)
        for low, high in holes:
            expected = silent(expected, low, high)
        assert np.array_equal(pcm, expected)


async def test_on_a_disk_that_takes_nothing_it_is_an_error_and_still_not_read(house: House) -> None:
    broken = False

    def sync(_: int) -> None:
        if broken:
            raise OSError(5, "as a failing disk says it")

    async with house.spools(sync=sync) as spools:
        spool = spools.open(ONE)
        await hear(spool, 40)
        broken = True
        with pytest.raises(StoreError) as raised:
            await spools.erase(ONE, Sample(0), Sample(SECOND))
        assert raised.value.reason == "DISK_FAILED"
        assert (await spool.read(Sample(0), Sample(2 * SECOND), 24_000)).holes == ((0, SECOND),)
        broken = False
        await spools.erase(ONE, Sample(0), Sample(SECOND))
