"""Takes a session's records to the store: in order, without making the audio wait, and never given up early.

Rule for full: final turns wait. While the store fails they pile up to MAX_WAITING records; beyond that the oldest turns
and gaps are dropped (counted, logged, and stored as lost: losses.py); speakers, sessions and pauses never are.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import structlog

from minuted_daemon.core.records import IntervalKind, IntervalRecord, Record, TurnRecord, WallPoint
from minuted_daemon.errors import StoreError
from minuted_daemon.service.persistence.losses import Losses

MAX_WAITING = 20_000
MAX_TRANSACTION = 256
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


class RecordSink(Protocol):
    """Where one session's records are stored."""

    def stamp(self, record: Record) -> Record:
        """Fill in what is known only when a record is about to be stored."""
        ...

    async def write(self, records: Sequence[Record]) -> Sequence[Record]:
        """Store records in one transaction; return them with their seqs. Raises StoreError."""
        ...

    async def write_points(self, points: Sequence[WallPoint]) -> None:
        """Store points of the map from samples to wall time. Raises StoreError."""
        ...

    def stored(self, records: Sequence[Record]) -> None:
        """These are stored so."""
        ...

    def health(self, error: StoreError | None) -> None:
        """The store fails, or (None) works again."""
        ...


class WriteBehindQueue:
    """One for each session."""

    def __init__(
        self,
        sink: RecordSink,
        losses: Losses,
        log: structlog.stdlib.BoundLogger,
        *,
        max_waiting: int = MAX_WAITING,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> None:
        self._sink = sink
        self._longest_pause_s = longest_pause_s
        self._losses = losses
        self._log = log
        self._max_waiting = max_waiting
        self._batches: deque[tuple[Record, ...]] = deque()
        self._under_way: Sequence[tuple[Record, ...]] = ()
        self._points: list[WallPoint] = []
        self._waiting = 0
        self._shed = 0
        self._wake = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()

    @property
    def waiting(self) -> int:
        """Records not stored yet."""
        return self._waiting

    def unstored(self) -> Iterator[Record]:
        """Everything that was put and may not be stored yet, in order; first what is lost of it."""
        yield from self._losses.waiting
        for batch in (*self._under_way, *self._batches):
            yield from batch

    def put(self, records: Sequence[Record]) -> None:
        """Have these stored in one transaction, after all that was put before. Never waits."""
        if not records:
            return
        self._batches.append(tuple(records))
        self._waiting += len(records)
        while self._waiting > self._max_waiting and self._shed_oldest():
            pass
        self._note_work()

    def put_point(self, point: WallPoint) -> None:
        """Have a point of the map from samples to wall time stored. Never waits."""
        self._points.append(point)
        self._note_work()

    async def flush(self, limit_s: float) -> bool:
        """Wait until all is stored; return False if that took longer than `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await self._flushed.wait()
        except TimeoutError:
            self._log.error("records_not_stored", records=self._waiting)
            return False
        return True

    async def run(self) -> None:
        """Store what is put, until cancelled."""
        failures = 0
        while True:
            self._under_way = ()
            if not self._batches and not self._points and not self._losses.waiting:
                self._wake.clear()
                self._flushed.set()
                await self._wake.wait()
            # After a failure one batch at a time, so that one that cannot be stored does not hold up the others.
            batches = self._under_way = self._take(1 if failures else MAX_TRANSACTION)
            try:
                await self._store(batches)
            except StoreError as error:
                self._put_back(batches)
                if failures == 0:
                    self._log.error("store_failed", reason=error.reason, records=self._waiting)
                    self._sink.health(error)
                await asyncio.sleep(min(FIRST_PAUSE_S * 2**failures, self._longest_pause_s))
                failures = min(failures + 1, 16)
            except Exception:  # noqa: BLE001 - a bug below, not the disk: trying again would block the minutes for good
                self._log.exception("store_fault", records=sum(map(len, batches)))
                if len(batches) > 1:
                    self._put_back(batches)
                    failures = max(failures, 1)
                else:
                    self._lose([record for batch in batches for record in batch])
            else:
                if failures:
                    self._log.info("store_recovered", records=self._waiting, shed=self._shed)
                    self._sink.health(None)
                failures = 0

    async def _store(self, batches: Sequence[tuple[Record, ...]]) -> None:
        losses = self._losses.waiting
        records = [*losses, *(self._sink.stamp(record) for batch in batches for record in batch)]
        if records:
            self._sink.stored(await self._sink.write(records))
            self._losses.stored(losses)
        if self._points:
            points, self._points = self._points, []
            try:
                await self._sink.write_points(points)
            except StoreError:
                # The records are stored: only the points are to be tried again, with the next batch.
                self._points = points + self._points
                if not records:
                    raise

    def _take(self, most: int) -> list[tuple[Record, ...]]:
        batches: list[tuple[Record, ...]] = []
        count = 0
        while self._batches and (not batches or count + len(self._batches[0]) <= most):
            batches.append(self._batches.popleft())
            count += len(batches[-1])
        self._waiting -= count
        return batches

    def _put_back(self, batches: Sequence[tuple[Record, ...]]) -> None:
        self._under_way = ()
        self._batches.extendleft(reversed(batches))
        self._waiting += sum(map(len, batches))

    def _note_work(self) -> None:
        self._flushed.clear()
        self._wake.set()

    def _shed_oldest(self) -> bool:
        """Drop the oldest turns and gaps; return False if there are none."""
        for index, batch in enumerate(self._batches):
            gone = [record for record in batch if _may_go(record)]
            if gone:
                if self._shed == 0:
                    self._log.error("records_dropped", limit=self._max_waiting)
                self._waiting -= len(gone)
                kept = tuple(record for record in batch if not _may_go(record))
                if kept:
                    self._batches[index] = kept
                else:
                    del self._batches[index]
                self._lose(gone)
                return True
        return False

    def _lose(self, gone: Sequence[Record]) -> None:
        self._shed += len(gone)
        self._losses.note(gone)


def _may_go(record: Record) -> bool:
    gap = isinstance(record, IntervalRecord) and record.kind is IntervalKind.GAP
    return gap or isinstance(record, TurnRecord)
