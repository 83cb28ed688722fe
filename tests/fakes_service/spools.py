"""Sessions' audio in memory, at both rates: what ports.Spools promises, without a disk or a thread."""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from itertools import islice, takewhile

import numpy as np

from minuted_daemon.core.ranges import outside
from minuted_daemon.core.records import Health, Link, SessionId
from minuted_daemon.core.samples import BLOCK, RATE_HZ, Sample, wide
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.capture import AudioBlock
from minuted_daemon.ports.spool import Loss, Note, Retained

UP = Link(Health.UP)


class FakeSpool:
    """Holds what was not released. Beyond `bound_s` seconds the oldest is shed; `read_fault` is raised by `read`."""

    def __init__(self, bound_s: float = float("inf"), keep_audio: bool = False) -> None:
        self.bound_s = bound_s
        self.keep_audio = keep_audio
        self.health = UP
        self.read_fault: StoreError | None = None
        self.most_held = 0
        self.rates_read: set[int] = set()
        self._blocks: deque[tuple[int, AudioBlock]] = deque()
        self._released = 0
        self._end = 0
        self._losses: list[Loss] = []
        self._notes: list[Note] = []
        self._erased: list[tuple[int, int]] = []

    @property
    def begin(self) -> Sample:
        oldest = self._blocks[0][0] if self._blocks else self._end
        return Sample(min(max(oldest, self._released), self._end))

    @property
    def end(self) -> Sample:
        return Sample(self._end)

    def append(self, block: AudioBlock) -> None:
        self._blocks.append((self._end, block))
        self._end += BLOCK
        while len(self._blocks) * BLOCK > self.bound_s * RATE_HZ:
            start, _ = self._blocks.popleft()
            if start + BLOCK > self._released:
                self._losses.append(Loss(Sample(max(start, self._released)), Sample(start + BLOCK), "SPOOL_FULL"))
        self.most_held = max(self.most_held, len(self._blocks))

    def skip(self, to: Sample) -> None:
        if to < self._end or to % 2:
            raise ValueError(f"audio cannot go on at {to}")
        self._end = to

    def release(self, before: Sample) -> None:
        self._released = max(self._released, before)
        while self._blocks and self._blocks[0][0] + BLOCK <= before and not self.keep_audio:
            self._blocks.popleft()

    def take_losses(self) -> list[Loss]:
        losses, self._losses = self._losses, []
        return losses

    def note(self, note: Note) -> None:
        self._notes.append(note)

    async def notes(self) -> list[Note]:
        return list(self._notes)

    def holes(self, start: Sample, end: Sample) -> list[tuple[int, int]]:
        first = bisect_left(self._blocks, start - BLOCK + 1, key=lambda held: held[0])
        held = takewhile(lambda at: at < end, (at for at, _ in islice(self._blocks, first, None)))
        return outside(start, end, [piece for at in held for piece in outside(at, at + BLOCK, self._erased)])

    def erase(self, start: Sample, end: Sample) -> None:
        self._erased = sorted([*self._erased, (start, end)])
        self._notes = [note for note in self._notes if not note.touches(start, end)]

    def lose(self, start: int, end: int) -> None:
        """Be as a restart finds a spool whose disk has lost all blocks that begin in [start, end)."""
        self._blocks = deque(held for held in self._blocks if not start <= held[0] < end)
        if end >= self._end:
            self._end = start

    async def read(self, start: Sample, end: Sample, rate_hz: int) -> Retained:
        if self.read_fault is not None:
            raise self.read_fault
        self.rates_read.add(rate_hz)

        def place(position: int) -> int:
            return position if rate_hz == RATE_HZ else wide(position)

        out = np.zeros(place(end) - place(start), np.int16)
        first = bisect_left(self._blocks, start - BLOCK + 1, key=lambda held: held[0])
        for at, block in islice(self._blocks, first, None):
            low, high = max(start, at), min(end, at + BLOCK)
            if low >= high:
                break
            pcm = block.pcm if rate_hz == RATE_HZ else block.wide
            piece = pcm[place(low) - place(at) : place(high) - place(at)]
            out[place(low) - place(start) : place(high) - place(start)] = piece
        holes = tuple(self.holes(start, end))
        for low, high in holes:
            out[place(low) - place(start) : place(high) - place(start)] = 0
        return Retained(out, holes)


class FakeSpools:
    """`full`: there is no room. `fault` is raised by what waits for the disk."""

    def __init__(self, bound_s: float = float("inf")) -> None:
        self.bound_s = bound_s
        self.full = False
        self.fault: StoreError | None = None
        self.finished: list[SessionId] = []
        self.deleted: list[SessionId] = []
        self.erased: list[tuple[SessionId, Sample, Sample]] = []
        self.opened: dict[SessionId, FakeSpool] = {}
        self._spools: dict[SessionId, FakeSpool] = {}

    @property
    def spools(self) -> Mapping[SessionId, FakeSpool]:
        return self._spools

    @property
    def health(self) -> Link:
        return next((spool.health for spool in self._spools.values() if spool.health != UP), UP)

    async def ensure_room(self) -> None:
        if self.full:
            raise StoreError("DISK_FULL", "there is no room for a session's audio")

    def open(self, session_id: SessionId, keep_audio: bool = False) -> FakeSpool:
        spool = self._spools.setdefault(session_id, FakeSpool(self.bound_s))
        spool.keep_audio = keep_audio
        self.opened[session_id] = spool
        return spool

    async def finish(self, session_id: SessionId) -> None:
        if self.fault is not None:
            raise self.fault
        if self._spools.pop(session_id, None) is not None:
            self.finished.append(session_id)

    async def erase(self, session_id: SessionId, start: Sample, end: Sample) -> None:
        if self.fault is not None:
            raise self.fault
        self.erased.append((session_id, start, end))
        if session_id in self._spools:
            self._spools[session_id].erase(start, end)

    async def delete(self, session_id: SessionId) -> None:
        if self.fault is not None:
            raise self.fault
        self._spools.pop(session_id, None)
        self.deleted.append(session_id)
