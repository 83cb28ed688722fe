"""What goes when there is too much of it, and what is said about it."""

from itertools import pairwise

import pytest

from minuted_daemon.adapters.spool.spools import Bounds, Spools
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.spool import Loss
from tests.adapters.spool.rooms import ONE, SECOND, TWO, House, all_of, hear

MEGABYTE = 1_000_000


def on_disk(house: House) -> int:
    return sum(path.stat().st_size for session in (ONE, TWO) for path in house.segments(session))


async def settled(spools: Spools) -> None:
    """Removals come before this in the writing thread."""
    await spools.close(10)


async def test_beyond_the_size_the_oldest_goes_whichever_session_it_is_of(house: House) -> None:
    async with house.spools(Bounds(3 * MEGABYTE, 1e9)) as spools:
        one, two = spools.open(ONE), spools.open(TWO)
        await hear(one, 45)
        house.clock.pass_s(60)
        await hear(two, 60)
        assert spools.size <= 3 * MEGABYTE
        losses = one.take_losses()
        assert losses == [Loss(Sample(0), one.begin, "SPOOL_FULL")]
        assert one.begin > 20 * SECOND
        assert not one.take_losses()
        assert not two.take_losses()
        _, holes = await all_of(one, 0, 45 * SECOND)
        assert holes[0][0] == 0
        assert holes[-1][1] <= one.begin, "memory still has some of it"
        await settled(spools)
        assert on_disk(house) == spools.size


async def test_released_audio_that_is_only_kept_goes_first(house: House) -> None:
    async with house.spools(Bounds(5 * MEGABYTE // 2, 1e9)) as spools:
        one, two = spools.open(ONE), spools.open(TWO, keep_audio=True)
        await hear(one, 30)
        house.clock.pass_s(60)
        await hear(two, 30)
        two.release(Sample(30 * SECOND))
        assert len(house.segments(TWO)) == 2, "it is still there to be kept"
        await hear(two, 20)
        assert not one.take_losses()
        assert not two.take_losses(), "nobody needed it"
        assert two.held[0].segment.start > 0


async def test_beyond_the_age_it_goes_too(house: House) -> None:
    async with house.spools(Bounds(10**12, 3600)) as spools:
        one, kept = spools.open(ONE), spools.open(TWO, keep_audio=True)
        await hear(one, 25)
        await hear(kept, 25)
        house.clock.pass_s(3500)
        await hear(one, 25)
        spools.tend()
        assert not one.take_losses()
        house.clock.pass_s(200)
        spools.tend()
        (loss,) = one.take_losses()
        assert (loss.start, loss.reason) == (0, "SPOOL_AGED")
        assert 20 * SECOND <= loss.end <= 25 * SECOND
        assert (kept.begin, kept.take_losses()) == (0, [])


async def test_age_goes_on_while_the_daemon_is_away(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE), 10)
    house.clock.now_s = 5.0  # another boot
    house.clock.wall_s += 4000
    async with house.spools(Bounds(10**12, 3600)) as spools:
        spool = spools.open(ONE)
        assert spool.begin == 0, "nothing goes before it is known what is to be kept"
        spools.tend()
        assert spool.take_losses() == [Loss(Sample(0), Sample(10 * SECOND), "SPOOL_AGED")]
        assert (spool.begin, spool.end) == (10 * SECOND, 10 * SECOND)


@pytest.mark.parametrize("wall_s", [0.0, 1e6])
async def test_a_clock_that_was_not_set_makes_nothing_old(house: House, wall_s: float) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE), 10)
    house.clock.wall_s = wall_s
    async with house.spools(Bounds(10**12, 3600)) as spools:
        spools.tend()
        assert not spools.open(ONE).take_losses()


async def test_only_what_is_needed_is_told_as_lost(house: House) -> None:
    async with house.spools(Bounds(1, 1e9)) as spools:
        spool = spools.open(ONE)
        await hear(spool, 3)
        spool.release(Sample(2 * SECOND))
        spool.take_losses()
        await hear(spool, 25)
        losses = spool.take_losses()
        assert losses[0].start >= 2 * SECOND
        assert all(a.end <= b.start for a, b in pairwise(losses))


async def test_the_task_that_holds_the_bounds_tells_time_by_itself(house: House) -> None:
    async with house.spools() as spools:
        running = spools.run()
        waiting = running.send(None)
        assert waiting is not None
        running.close()
