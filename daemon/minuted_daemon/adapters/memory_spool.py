"""Audio that is still needed, kept in memory: gone with the process, and bounded."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.samples import BLOCK, RATE_HZ, WIDE_RATE_HZ, Sample, wide
from minuted_daemon.ports import AudioBlock

DEFAULT_BOUND_S = 600.0


class MemorySpool:
    """A session's audio at one rate, in whole blocks. The oldest is shed beyond `bound_s` seconds."""

    def __init__(self, rate_hz: int, bound_s: float = DEFAULT_BOUND_S) -> None:
        if rate_hz not in (RATE_HZ, WIDE_RATE_HZ):
            raise ValueError(f"a spool holds {RATE_HZ} or {WIDE_RATE_HZ} Hz, not {rate_hz}")
        self._wide = rate_hz == WIDE_RATE_HZ
        self._bound_blocks = max(1, int(bound_s * RATE_HZ) // BLOCK)
        self._blocks: deque[NDArray[np.int16]] = deque()
        self._begin = Sample(0)
        self._block_samples = self._place(BLOCK)

    @property
    def begin(self) -> Sample:
        """The oldest sample still held."""
        return self._begin

    @property
    def end(self) -> Sample:
        """One past the newest sample."""
        return Sample(self._begin + len(self._blocks) * BLOCK)

    def append(self, block: AudioBlock) -> None:
        """Take the next block. Sheds the oldest when the bound is met."""
        # A copy, because the block may be a view of a larger buffer that would live as long.
        self._blocks.append((block.wide if self._wide else block.pcm).copy())
        if len(self._blocks) > self._bound_blocks:
            self._blocks.popleft()
            self._begin = Sample(self._begin + BLOCK)

    def read(self, start: Sample, end: Sample) -> NDArray[np.int16]:
        """Give [start, end) at the spool's rate; what is not held comes as digital silence."""
        out = np.zeros(max(0, self._place(end) - self._place(start)), np.int16)
        first = max(start, self._begin)
        last = min(end, self.end)
        if first >= last:
            return out
        lead = self._place(first) - self._place(start)
        index = (first - self._begin) // BLOCK
        offset = self._place(first) - self._place(self._begin) - index * self._block_samples
        wanted = self._place(last) - self._place(first)
        while wanted > 0:
            piece = self._blocks[index][offset : offset + wanted]
            out[lead : lead + len(piece)] = piece
            lead += len(piece)
            wanted -= len(piece)
            index += 1
            offset = 0
        return out

    def release(self, before: Sample) -> None:
        """Audio before this position is no longer needed; whole blocks are let go."""
        while self._blocks and self._begin + BLOCK <= before:
            self._blocks.popleft()
            self._begin = Sample(self._begin + BLOCK)

    def _place(self, position: int) -> int:
        return wide(position) if self._wide else position
