"""The newest audio in memory: copies, each for as long as it is held, and no longer."""

import weakref
from pathlib import Path

import numpy as np

from minuted_daemon.adapters.spool.recent_audio import SLAB_BLOCKS, RecentAudio
from minuted_daemon.core.samples import BLOCK, RATE_HZ, WIDE_BLOCK, Sample


def fill(recent: RecentAudio, blocks: int) -> None:
    for number in range(blocks):
        pcm, wide = np.full(BLOCK, number + 1, np.int16), np.full(WIDE_BLOCK, -number - 1, np.int16)
        recent.put(Sample(number * BLOCK), 1.8e9, pcm, wide)
        pcm[:], wide[:] = 0, 0  # whoever gave it may use it again


def test_each_block_is_a_copy_of_its_own() -> None:
    recent = RecentAudio(Sample(0))
    fill(recent, 3 * SLAB_BLOCKS)
    recent.blank(5 * BLOCK, 6 * BLOCK)
    for number, block in enumerate(recent.since(Sample(0), 3 * SLAB_BLOCKS)):
        wanted = 0 if number == 5 else number + 1
        assert (block.pcm == wanted).all()
        assert (block.wide == -wanted).all()
    out = np.empty(BLOCK, np.int16)
    recent.copy_into(out, SLAB_BLOCKS * BLOCK - BLOCK // 2, SLAB_BLOCKS * BLOCK + BLOCK // 2, RATE_HZ)
    assert set(out) == {SLAB_BLOCKS, SLAB_BLOCKS + 1}


def test_memory_goes_with_the_last_of_its_blocks() -> None:
    recent = RecentAudio(Sample(0))
    fill(recent, 2 * SLAB_BLOCKS)
    slabs = [weakref.ref(block.pcm.base) for block in recent.since(Sample(0), 2 * SLAB_BLOCKS)[::SLAB_BLOCKS]]
    for _ in range(SLAB_BLOCKS - 1):
        recent.drop_oldest()
    written = recent.drop_oldest()
    assert slabs[0]() is not None, "the disk's thread may still have it"
    assert (written.wide == -SLAB_BLOCKS).all()
    del written
    assert [slab() is None for slab in slabs] == [True, False]


def test_it_counts_as_memory_of_the_process_alone() -> None:
    recent = RecentAudio(Sample(0))
    before = _private_kb()
    fill(recent, 10 * SLAB_BLOCKS)
    assert _private_kb() - before > 9 * SLAB_BLOCKS * (BLOCK + WIDE_BLOCK) * 2 / 1024


def _private_kb() -> int:
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return int(rollup.split("Anonymous:")[1].split()[0])
