"""The newest audio of a session, in memory: what most reads want, and what the disk does not have yet."""

import mmap
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.files.session_files import Heard
from minuted_daemon.core.ranges import Span, joined, within
from minuted_daemon.core.samples import BLOCK, RATE_HZ, WIDE_BLOCK, Sample, wide

SLAB_BLOCKS = 10
"""Blocks that share a piece of memory (80 kB), which goes when the last of them is let go of."""


class RecentAudio:
    """Blocks in order. From `begin` on it lacks nothing that was heard."""

    def __init__(self, begin: Sample) -> None:
        self._blocks: deque[Heard] = deque()
        self._begin = begin
        self._room: Iterator[NDArray[np.int16]] = iter(())

    @property
    def begin(self) -> Sample:
        """The position from which on everything that was heard is here."""
        return self._begin

    def __len__(self) -> int:
        return len(self._blocks)

    def put(self, start: Sample, wall_s: float, pcm: NDArray[np.int16], wide_pcm: NDArray[np.int16]) -> Heard:
        """Keep a copy of the newest block and return it."""
        room = next(self._room, None)
        if room is None:
            self._room = iter(_slab())
            room = next(self._room)
        room[:BLOCK], room[BLOCK:] = pcm, wide_pcm
        block = Heard(start, wall_s, room[:BLOCK], room[BLOCK:])
        self._blocks.append(block)
        return block

    def drop_oldest(self) -> Heard:
        """Drop the oldest block and return it."""
        block = self._blocks.popleft()
        self._begin = block.end
        return block

    @property
    def oldest(self) -> Heard:
        """The oldest block there is. Raises IndexError if there is none."""
        return self._blocks[0]

    def since(self, position: Sample, most: int) -> list[Heard]:
        """Return at most so many blocks from a position on, the oldest first."""
        first = self._index(position)
        return [self._blocks[index] for index in range(first, min(len(self._blocks), first + most))]

    def count_since(self, position: Sample) -> int:
        """Return the number of blocks from a position on."""
        return len(self._blocks) - self._index(position)

    def copy_into(self, out: NDArray[np.int16], start: int, end: int, rate_hz: int) -> tuple[Span, ...]:
        """Put what is here of [start, end) into `out`, which begins at `start`, and return which parts that is."""
        narrow = rate_hz == RATE_HZ
        found: list[Span] = []
        origin = start if narrow else wide(start)
        for index in range(max(0, self._index(Sample(start)) - 1), len(self._blocks)):
            block = self._blocks[index]
            if block.start >= end:
                break
            low, high = max(start, block.start), min(end, block.end)
            if low >= high:
                continue
            a, b, zero = (low, high, block.start) if narrow else (wide(low), wide(high), wide(block.start))
            out[a - origin : b - origin] = (block.pcm if narrow else block.wide)[a - zero : b - zero]
            found.append((low, high))
        return joined(found)

    def held(self, start: int, end: int) -> tuple[Span, ...]:
        """Return what is here of [start, end)."""
        return within(start, end, joined((block.start, block.end) for block in self._blocks))

    def blank(self, start: int, end: int) -> None:
        """Overwrite [start, end) with silence, wherever these blocks are held."""
        for block in self._blocks:
            low, high = max(start, block.start), min(end, block.end)
            if low < high:
                block.pcm[low - block.start : high - block.start] = 0
                block.wide[wide(low) - wide(block.start) : wide(high) - wide(block.start)] = 0

    def _index(self, position: Sample) -> int:
        return bisect_left(self._blocks, position, key=lambda block: block.start)


def _slab() -> NDArray[np.int16]:
    """Return room for blocks, one a row, in a mapping of its own.

    Blocks live for half a minute. On the heap they would lie between what lives for a moment and what stays, and it
    would grow by the holes that they leave, for hours.
    """
    shape = SLAB_BLOCKS, BLOCK + WIDE_BLOCK
    size = SLAB_BLOCKS * (BLOCK + WIDE_BLOCK) * np.dtype(np.int16).itemsize
    mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(mapping, np.int16).reshape(shape)
