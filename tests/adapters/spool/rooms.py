"""Audio that tells where it belongs, and spools to put it into."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.adapters.spool.files.segment import Sync
from minuted_daemon.adapters.spool.session_spool import SessionSpool
from minuted_daemon.adapters.spool.spools import Bounds, Spools, open_spools
from minuted_daemon.core.records import SessionId
from minuted_daemon.core.samples import BLOCK, RATE_HZ, WIDE_BLOCK, Sample, wide
from minuted_daemon.ports.capture import AudioBlock

ONE = SessionId("01JSPOOL0000000000000000AA")
TWO = SessionId("01JSPOOL0000000000000000BB")
WALL_S = 1_790_000_000.0
UNBOUND = Bounds(10**12, 1e9)
SECOND = RATE_HZ


def wide_noise(start: int, end: int, seed: int = 0) -> NDArray[np.int16]:
    """What `block` puts into [start, end) at 24 kHz: noise, never zero, another in every block. Both block-aligned."""
    blocks = [
        np.random.default_rng([seed, at]).integers(1, 3000, WIDE_BLOCK, dtype=np.int16)
        for at in range(start // BLOCK, end // BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)


def block(start: int, seed: int = 0) -> AudioBlock:
    sound = wide_noise(start, start + BLOCK, seed)
    # Not what a resampler would make of it: this tells memory from disk.
    return AudioBlock(sound[:BLOCK].copy(), sound, WALL_S + start / RATE_HZ)


@dataclass
class Clock:
    """Both clocks; they stand still unless told."""

    now_s: float = 1000.0
    wall_s: float = WALL_S

    def pass_s(self, length_s: float) -> None:
        self.now_s += length_s
        self.wall_s += length_s


@dataclass
class House:
    """A state directory, and spools over it."""

    state_dir: Path
    clock: Clock = field(default_factory=Clock)

    @asynccontextmanager
    async def spools(self, bounds: Bounds = UNBOUND, sync: Sync = lambda _: None) -> AsyncIterator[Spools]:
        # The disk is not asked to keep anything, unless a test is about that: it only costs time.
        spools = await open_spools(self.state_dir, bounds, lambda: self.clock.now_s, lambda: self.clock.wall_s, sync)
        try:
            yield spools
        finally:
            await spools.close(10)

    @property
    def audio(self) -> Path:
        return self.state_dir / "audio"

    def directory(self, session: SessionId = ONE) -> Path:
        return self.state_dir / "spool" / session

    def segments(self, session: SessionId = ONE) -> list[Path]:
        return sorted(self.directory(session).glob("*.seg"))


async def hear(spool: SessionSpool, length_s: float, seed: int = 0) -> None:
    """Put noise into the spool, all of it on the disk at the end."""
    target = spool.end + round(length_s * RATE_HZ)
    while spool.end < target:
        for _ in range(min(100, (target - spool.end) // BLOCK)):
            spool.append(block(spool.end, seed))
        await spool.flush(10)


async def all_of(spool: SessionSpool, start: int, end: int) -> tuple[NDArray[np.int16], tuple[tuple[int, int], ...]]:
    """Read at 24 kHz, a little at a time: the audio and its holes."""
    pieces: list[NDArray[np.int16]] = []
    holes: list[tuple[int, int]] = []
    for at in range(start, end, 7 * SECOND):
        got = await spool.read(Sample(at), Sample(min(end, at + 7 * SECOND)), 24_000)
        pieces.append(got.pcm)
        holes += got.holes
    return np.concatenate(pieces), tuple(holes)


def silent(pcm: NDArray[np.int16], start: int, end: int, origin: int = 0) -> NDArray[np.int16]:
    """Return the audio, which begins at `origin`, with [start, end) silent."""
    out = pcm.copy()
    out[wide(start) - wide(origin) : wide(end) - wide(origin)] = 0
    return out


def files_under(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())
