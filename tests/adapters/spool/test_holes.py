"""What a spool tells to lack, without reading: it must be what reading finds."""

import pytest

from minuted_daemon.adapters.spool.session_spool import SessionSpool
from minuted_daemon.core.samples import Sample
from tests.adapters.spool.rooms import ONE, SECOND, House, all_of, hear


async def same_as_read(spool: SessionSpool, end: int) -> list[tuple[int, int]]:
    told = list(spool.holes(Sample(0), Sample(end)))
    _, found = await all_of(spool, 0, end)
    merged: list[tuple[int, int]] = []
    for low, high in found:  # it was read a little at a time
        if merged and merged[-1][1] == low:
            low = merged.pop()[0]
        merged.append((low, high))
    assert told == merged
    return told


async def test_a_whole_spool_has_none(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 45)
        assert await same_as_read(spool, 45 * SECOND) == []
        assert spool.holes(Sample(44 * SECOND), Sample(47 * SECOND)) == ((45 * SECOND, 47 * SECOND),)


@pytest.mark.parametrize(
    ("index", "lacks"), [(0, (0, 20 * SECOND)), (1, (20 * SECOND, 40 * SECOND)), (2, (40 * SECOND, 45 * SECOND))]
)
async def test_a_segment_that_is_gone_or_no_good_is_a_hole(house: House, index: int, lacks: tuple[int, int]) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE), 45)
    broken = house.segments()[index]
    broken.write_bytes(broken.read_bytes()[:10])
    async with house.spools() as spools:
        assert await same_as_read(spools.open(ONE), 45 * SECOND) == [lacks]


async def test_what_was_skipped_or_erased_is_a_hole_in_this_life_and_the_next(house: House) -> None:
    expected = [(3 * SECOND, 5 * SECOND), (10 * SECOND, 14 * SECOND)]
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 10)
        spool.skip(Sample(14 * SECOND))
        await hear(spool, 4)
        await spools.erase(ONE, Sample(3 * SECOND), Sample(5 * SECOND))
        assert await same_as_read(spool, 18 * SECOND) == expected
    async with house.spools() as spools:
        assert await same_as_read(spools.open(ONE), 18 * SECOND) == expected


async def test_a_clock_that_goes_on_behind_an_erased_end_leaves_no_audio_misplaced(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 12)
        await spools.erase(ONE, Sample(8 * SECOND + 118), Sample(12 * SECOND))
    async with house.spools() as spools:
        spool = spools.open(ONE)
        assert spool.end == 8 * SECOND + 118
        spool.skip(Sample(12 * SECOND))
        await hear(spool, 2)
        assert spool.end == 14 * SECOND
        assert await same_as_read(spool, 14 * SECOND) == [(8 * SECOND + 118, 12 * SECOND)]
    async with house.spools() as spools:
        assert await same_as_read(spools.open(ONE), 14 * SECOND) == [(8 * SECOND + 118, 12 * SECOND)]
