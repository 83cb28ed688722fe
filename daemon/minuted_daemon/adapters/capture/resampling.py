"""From a source's own samples to the two renderings of a block: mono int16 at 16 kHz and at 24 kHz, in exact 100 ms.

Both are resampled from the native rate by themselves, so the wide one keeps what lies above 8 kHz. No clock, no I/O.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from minuted_daemon.core.samples import BLOCK, RATE_HZ, WIDE_BLOCK, WIDE_RATE_HZ, wide

BLOCK_S = BLOCK / RATE_HZ


@dataclass(frozen=True, slots=True)
class Silence:
    """Samples [start, end) of a rendered block that were put in for what was not heard."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """Block number `index` of a source: pcm int16 (1600,) at 16 kHz, wide int16 (2400,) at 24 kHz."""

    index: int
    pcm: NDArray[np.int16]
    wide: NDArray[np.int16]
    silences: tuple[Silence, ...] = ()


class Renderer:
    """Turns native mono samples into blocks. What is held back is at most 38 ms and comes with `finish`."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._narrow = _Rate(rate_hz, RATE_HZ, BLOCK)
        self._wide = _Rate(rate_hz, WIDE_RATE_HZ, WIDE_BLOCK)
        self._taken = 0
        self._given = 0
        self._silences: deque[tuple[int, int]] = deque()

    @property
    def taken(self) -> int:
        """How many native samples went in, silence included."""
        return self._taken

    def feed(self, mono: NDArray[np.float32]) -> Iterator[Rendered]:
        """Take native samples (full scale is 1.0; what exceeds it is clipped) and return the blocks they complete."""
        self._taken += len(mono)
        self._narrow.feed(mono)
        self._wide.feed(mono)
        return self._blocks()

    def fill(self, count: int) -> Iterator[Rendered]:
        """Take `count` native samples that were not heard."""
        start = self._at_16k(self._taken)
        blocks = self.feed(np.zeros(count, np.float32))
        self._silences.append((start, self._at_16k(self._taken)))
        return blocks

    def finish(self) -> Iterator[Rendered]:
        """Flush, pad the last block with silence and return what is left."""
        length = self._at_16k(self._taken)
        blocks = -(-length // BLOCK)
        self._narrow.finish(blocks * BLOCK)
        self._wide.finish(blocks * WIDE_BLOCK)
        return self._blocks()

    def _at_16k(self, native: int) -> int:
        return round(native * RATE_HZ / self._rate_hz)

    def _blocks(self) -> Iterator[Rendered]:
        while self._narrow.ready and self._wide.ready:
            begin = self._given * BLOCK
            silences = self._silences_in(begin)
            block = Rendered(self._given, self._narrow.take(), self._wide.take(), silences)
            for silence in silences:  # the resampler rings into it
                block.pcm[silence.start : silence.end] = 0
                block.wide[wide(silence.start) : wide(silence.end)] = 0
            self._given += 1
            yield block

    def _silences_in(self, begin: int) -> tuple[Silence, ...]:
        while self._silences and self._silences[0][1] <= begin:
            self._silences.popleft()
        return tuple(
            Silence(max(start, begin) - begin, min(end, begin + BLOCK) - begin)
            for start, end in self._silences
            if start < begin + BLOCK and start < end
        )


class _Rate:
    """One resampler and the output it has not given yet."""

    def __init__(self, rate_hz: int, out_hz: int, block: int) -> None:
        self._stream = None if rate_hz == out_hz else soxr.ResampleStream(rate_hz, out_hz, 1, "float32", "HQ")
        self._block = block
        self._held = np.zeros(0, np.int16)
        self._made = 0

    @property
    def ready(self) -> bool:
        return len(self._held) >= self._block

    def feed(self, mono: NDArray[np.float32], last: bool = False) -> None:
        made = mono if self._stream is None else self._stream.resample_chunk(np.ascontiguousarray(mono), last=last)
        self._made += len(made)
        scaled = np.clip(np.rint(made * np.float32(32768.0)), -32768.0, 32767.0).astype(np.int16)
        self._held = np.concatenate((self._held, scaled))

    def finish(self, total: int) -> None:
        self.feed(np.zeros(0, np.float32), last=True)
        missing = total - self._made
        if missing > 0:
            self._held = np.concatenate((self._held, np.zeros(missing, np.int16)))
        elif missing < 0:
            self._held = self._held[:missing]

    def take(self) -> NDArray[np.int16]:
        block, self._held = self._held[: self._block].copy(), self._held[self._block :]
        return block
