"""One session's spool: what comes out of it, from memory and from disk, and when it lets go."""

import asyncio
import time

import numpy as np
import pytest

from minuted_daemon.adapters.spool.write_queue import RECENT_BLOCKS
from minuted_daemon.core.samples import BLOCK, Sample
from minuted_daemon.errors import StoreError
from tests.adapters.spool.rooms import ONE, SECOND, TWO, House, all_of, block, hear, silent, wide_noise


async def test_audio_comes_back_as_it_was_from_memory_and_from_disk(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 75)
        assert (spool.begin, spool.end, spool.waiting) == (0, 75 * SECOND, 0)
        pcm, holes = await all_of(spool, 0, 75 * SECOND)
        assert not holes
        assert np.array_equal(pcm, wide_noise(0, 75 * SECOND))
        for start, end in [(0, 1), (1, 2), (16_001, 16_100), (44 * SECOND + 3, 46 * SECOND + 8), (7, 7)]:
            got = (await spool.read(Sample(start), Sample(end), 24_000)).pcm
            assert np.array_equal(got, pcm[start * 3 // 2 : end * 3 // 2]), (start, end)
            assert len((await spool.read(Sample(start), Sample(end), 16_000)).pcm) == end - start


async def test_recent_audio_is_given_without_waiting_at_both_rates(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        spool.append(block(0))
        reading = spool.read(Sample(0), Sample(BLOCK), 16_000)
        with pytest.raises(StopIteration) as given:
            reading.send(None)
        assert np.array_equal(given.value.value.pcm, block(0).pcm)


async def test_16_khz_from_the_disk_is_the_same_sound(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        ramp = np.arange(40 * 24_000) / 24_000
        sine = (np.sin(ramp * 2 * np.pi * 440) * 20_000).astype(np.int16)
        narrow = (np.sin(np.arange(40 * SECOND) / SECOND * 2 * np.pi * 440) * 20_000).astype(np.int16)
        for at in range(0, 40 * SECOND, BLOCK):
            sound = block(at)
            sound.wide[:] = sine[at * 3 // 2 : (at + BLOCK) * 3 // 2]
            sound.pcm[:] = narrow[at : at + BLOCK]
            spool.append(sound)
        await spool.flush(10)
        got = (await spool.read(Sample(SECOND), Sample(39 * SECOND), 16_000)).pcm
        assert np.abs(got.astype(int) - narrow[SECOND : 39 * SECOND]).max() <= 2


async def test_what_is_not_held_is_silent_and_told(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 1)
        spool.skip(Sample(3 * SECOND))
        await hear(spool, 1)
        got = await spool.read(Sample(0), Sample(5 * SECOND), 24_000)
        assert got.holes == ((SECOND, 3 * SECOND), (4 * SECOND, 5 * SECOND))
        assert not got.pcm[24_000 : 3 * 24_000].any()
        assert np.array_equal(got.pcm[3 * 24_000 : 4 * 24_000], wide_noise(3 * SECOND, 4 * SECOND))


@pytest.mark.parametrize(("start", "end", "rate_hz"), [(0, 1600, 8000), (0, 121 * SECOND, 16_000), (1600, 0, 24_000)])
async def test_what_cannot_be_asked(house: House, start: int, end: int, rate_hz: int) -> None:
    async with house.spools() as spools:
        with pytest.raises(ValueError, match="cannot read"):
            await spools.open(ONE).read(Sample(start), Sample(end), rate_hz)


async def test_a_position_between_samples_or_behind_is_refused(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        spool.append(block(0))
        for to in (0, BLOCK + 1):
            with pytest.raises(ValueError, match="cannot go on"):
                spool.skip(Sample(to))


async def test_released_audio_leaves_the_disk(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 65)
        assert len(house.segments()) == 4
        spool.release(Sample(45 * SECOND))
        assert spool.begin == 45 * SECOND
        await spool.erase(Sample(0), Sample(0))  # nothing; and
        await hear(spool, 1)  # behind what was asked for
        assert len(house.segments()) == 2
        assert (await spool.read(Sample(0), Sample(SECOND), 24_000)).holes == ((0, SECOND),)
        spool.release(spool.end)
        spool.tend()
        await spools.close(5)
        assert not house.segments()
        assert spool.begin == spool.end
        assert not spool.take_losses()


async def test_audio_released_before_it_is_written_is_not_written(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        for at in range(0, 3 * BLOCK, BLOCK):
            spool.append(block(at))
        spool.release(Sample(3 * BLOCK))
        await spool.flush(5)
        assert not house.directory().exists()


async def test_memory_keeps_only_what_is_recent(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 90)
        assert len(spool.queue.recent) == RECENT_BLOCKS


async def test_reading_while_writing_erasing_and_letting_go(house: House) -> None:
    """Whatever is read is either what was heard or told as a hole."""
    async with house.spools() as spools:
        spool = spools.open(ONE)
        await hear(spool, 60)

        async def listen() -> None:
            while True:
                spool.append(block(spool.end))
                if spool.end % (10 * SECOND) == 0:
                    spool.release(Sample(spool.end - 70 * SECOND))
                await (spool.flush(10) if spool.end % SECOND == 0 else asyncio.sleep(0))

        async def check(seed: int) -> None:
            random = np.random.default_rng(seed)
            for count in range(40):
                if count == 20 * seed:
                    await spool.erase(Sample(50 * SECOND), Sample(spool.end - 5 * SECOND))
                start = int(random.integers(0, spool.end // BLOCK - 30)) * BLOCK
                got = await spool.read(Sample(start), Sample(start + 30 * BLOCK), 24_000)
                expected = wide_noise(start, start + 30 * BLOCK)
                for low, high in got.holes:
                    expected = silent(expected, low, high, start)
                assert np.array_equal(got.pcm, expected)

        async with asyncio.TaskGroup() as group:
            listening = group.create_task(listen())
            checks = [group.create_task(check(seed)) for seed in (1, 2)]
            await asyncio.wait(checks)
            listening.cancel()
        assert spool.end > 61 * SECOND


async def test_sessions_do_not_mix(house: House) -> None:
    async with house.spools() as spools:
        await hear(spools.open(ONE), 2, seed=1)
        await hear(spools.open(TWO), 2, seed=2)
    async with house.spools() as spools:
        for seed, session in ((1, ONE), (2, TWO)):
            pcm, _ = await all_of(spools.open(session), 0, 2 * SECOND)
            assert np.array_equal(pcm, wide_noise(0, 2 * SECOND, seed))


async def test_closing_writes_out_what_waits(house: House) -> None:
    async with house.spools() as spools:
        spools.open(ONE).append(block(0))
    async with house.spools() as spools:
        assert spools.spools[ONE].end == BLOCK
        closed = spools.spools[ONE]
    with pytest.raises(StoreError) as raised:
        await closed.read(Sample(0), Sample(BLOCK), 16_000)
    assert raised.value.reason == "SPOOL_CLOSED"


async def test_a_pause_writes_out_what_waits(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        for at in range(0, 5 * BLOCK, BLOCK):
            spool.append(block(at))
        spool.skip(Sample(6 * BLOCK))
        await spool.queue.settle(5)
        await spool.queue.settle(5)
        assert not spool.waiting


async def test_appending_is_cheap(house: House) -> None:
    async with house.spools() as spools:
        spool = spools.open(ONE)
        sounds = [block(at) for at in range(0, 60 * SECOND, BLOCK)]
        costs = []
        for sound in sounds:
            began = time.thread_time()
            spool.append(sound)
            spool.release(Sample(max(0, spool.end - 40 * SECOND)))
            costs.append(time.thread_time() - began)
            await asyncio.sleep(0)
        assert np.median(costs) < 0.0002
        assert np.percentile(costs, 99) < 0.001
