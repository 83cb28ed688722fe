"""The newest audio of a session, in memory: what most reads want, and what the disk does not have yet. Pure."""

from bisect import bisect_left
from collections import deque

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.spans import Span, joined, within
from minuted_daemon.adapters.spool.writing import Heard
from minuted_daemon.core.samples import RATE_HZ, Sample, wide


class RecentAudio:
    """Blocks in order. From `begin` on it lacks nothing that was heard."""

    def __init__(self, begin: Sample) -> None:
        self._blocks: deque[Heard] = deque()
        self._begin = begin

    @property
    def begin(self) -> Sample:
        """The position from which on everything that was heard is here."""
        return self._begin

    def __len__(self) -> int:
        return len(self._blocks)

    def put(self, block: Heard) -> None:
        """Take the newest block."""
        self._blocks.append(block)

    def drop_oldest(self) -> Heard:
        """Let go of the oldest block and give it."""
        block = self._blocks.popleft()
        self._begin = block.end
        return block

    @property
    def oldest(self) -> Heard:
        """The oldest block there is. Raises IndexError if there is none."""
        return self._blocks[0]

    def since(self, position: Sample, most: int) -> list[Heard]:
        """Give at most so many blocks from a position on, the oldest first."""
        first = self._index(position)
        return [self._blocks[index] for index in range(first, min(len(self._blocks), first + most))]

    def count_since(self, position: Sample) -> int:
        """Give the number of blocks from a position on."""
        return len(self._blocks) - self._index(position)

    def copy_into(self, out: NDArray[np.int16], start: int, end: int, rate_hz: int) -> tuple[Span, ...]:
        """Put what is here of [start, end) into `out`, which begins at `start`, and give what that is."""
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
        """Give what is here of [start, end)."""
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
