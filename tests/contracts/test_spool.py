"""What every Spool promises: the one on disk, and the fake that tests of the service use."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from minuted_daemon.core.records import Health
from minuted_daemon.core.samples import BLOCK, Sample, wide
from minuted_daemon.ports.spool import Note, Spool, Spools
from tests.adapters.spool.rooms import ONE, TWO, block

S = Sample


def put(spool: Spool, blocks: int) -> None:
    for _ in range(blocks):
        spool.append(block(spool.end))


async def test_audio_is_read_as_it_was_put_in_at_both_rates(spools: Spools) -> None:
    spool = spools.open(ONE)
    put(spool, 5)
    assert (spool.begin, spool.end, spool.health.health) == (0, 5 * BLOCK, Health.UP)
    start, end = S(BLOCK // 2), S(4 * BLOCK)
    for rate_hz, place in ((16_000, int), (24_000, wide)):
        got = await spool.read(start, end, rate_hz)
        blocks = [block(at * BLOCK) for at in range(5)]
        sound = np.concatenate([one.pcm if rate_hz == 16_000 else one.wide for one in blocks])
        assert got.holes == ()
        assert (got.pcm == sound[place(start) : place(end)]).all()


async def test_what_is_not_held_is_silence_and_said_to_be(spools: Spools) -> None:
    spool = spools.open(ONE)
    put(spool, 2)
    spool.skip(S(4 * BLOCK))
    put(spool, 1)
    assert spool.end == 5 * BLOCK
    got = await spool.read(S(0), S(6 * BLOCK), 16_000)
    assert got.holes == ((2 * BLOCK, 4 * BLOCK), (5 * BLOCK, 6 * BLOCK))
    assert list(spool.holes(S(0), S(6 * BLOCK))) == list(got.holes)
    assert not got.pcm[2 * BLOCK : 4 * BLOCK].any()
    assert got.pcm[4 * BLOCK : 5 * BLOCK].any()
    for position in (4 * BLOCK, 6 * BLOCK + 1):
        with pytest.raises(ValueError, match=r"\d"):
            spool.skip(S(position))


async def test_what_is_released_is_let_go_of_and_no_loss(spools: Spools) -> None:
    spool = spools.open(ONE)
    put(spool, 10)
    spool.release(S(4 * BLOCK))
    spool.release(S(2 * BLOCK))  # it does not come back
    assert spool.begin == 4 * BLOCK
    assert list(spool.holes(S(4 * BLOCK), S(10 * BLOCK))) == []
    spool.release(S(10 * BLOCK))
    assert spool.begin == spool.end == 10 * BLOCK
    assert list(spool.take_losses()) == []


async def test_notes_come_back_in_order(spools: Spools) -> None:
    spool = spools.open(ONE)
    put(spool, 3)
    notes = [Note(S(at), S(at + BLOCK), f"note {at}".encode()) for at in (0, BLOCK, 2 * BLOCK)]
    for note in notes:
        spool.note(note)
    async with asyncio.timeout(5.0):
        while len(kept := await spool.notes()) < len(notes):  # noqa: ASYNC110 - kept is what has reached the disk
            await asyncio.sleep(0.01)
    assert list(kept) == notes


async def test_an_erased_stretch_is_a_hole_without_notes(spools: Spools) -> None:
    spool = spools.open(ONE)
    put(spool, 6)
    notes = [Note(S(at * BLOCK), S(at * BLOCK + 10), b"x") for at in range(6)]
    for note in notes:
        spool.note(note)
    await spools.erase(ONE, S(2 * BLOCK), S(4 * BLOCK))
    got = await spool.read(S(0), S(6 * BLOCK), 24_000)
    assert got.holes == ((2 * BLOCK, 4 * BLOCK),)
    assert not got.pcm[wide(2 * BLOCK) : wide(4 * BLOCK)].any()
    assert list(await spool.notes()) == [notes[0], notes[1], notes[4], notes[5]]
    assert list(spool.take_losses()) == [], "nobody needs it any more"
    put(spool, 1)
    assert spool.end == 7 * BLOCK


async def test_a_session_has_one_spool_until_it_is_finished_or_deleted(spools: Spools) -> None:
    first, other = spools.open(ONE), spools.open(TWO)
    put(first, 1)
    assert spools.open(ONE).end == first.end
    assert set(spools.spools) == {ONE, TWO}
    await spools.finish(ONE)
    await spools.finish(ONE)
    assert set(spools.spools) == {TWO}
    put(other, 2)
    await spools.delete(TWO)
    await spools.delete(TWO)
    assert dict(spools.spools) == {}
    assert spools.open(TWO).end == 0
    assert spools.health.health is Health.UP


async def test_reading_in_pieces_gives_the_same(spools: Spools) -> None:
    spool = spools.open(ONE)
    put(spool, 8)
    whole = await spool.read(S(0), S(8 * BLOCK), 24_000)
    edges = [0, 2, 1_000, 1_600, 5_002, 8 * BLOCK]
    pieces = [(await spool.read(S(low), S(high), 24_000)).pcm for low, high in pairwise(edges)]
    assert (np.concatenate(pieces) == whole.pcm).all()
