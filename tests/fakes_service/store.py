"""The store itself, on a database in memory and without its threads, so that it lives in virtual time.

Only three things are not the real ones: the file, the threads, and that tests can have it fail or take its time.
"""

import asyncio
import random
import sqlite3
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, StaticPool, create_engine, delete, event, select, update

from minuted_daemon.adapters.storage import schema
from minuted_daemon.adapters.storage.changes.deletion import purge
from minuted_daemon.adapters.storage.changes.erasures import keep_request, read_requests
from minuted_daemon.adapters.storage.changes.interruptions import read_interrupted
from minuted_daemon.adapters.storage.changes.transactions import GroupCommit
from minuted_daemon.adapters.storage.limits import ERASURE_LIMITS
from minuted_daemon.adapters.storage.queries.turns_and_sessions import (
    read_highest_seq,
    read_sessions,
    read_speakers,
    read_turns,
)
from minuted_daemon.adapters.storage.row_mapping import interval_record
from minuted_daemon.adapters.storage.store import SqlStore
from minuted_daemon.core.records import (
    IntervalRecord,
    Record,
    SessionId,
    SessionRecord,
    SpeakerRecord,
    StoredTurn,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.store import NONE_INTERRUPTED, ErasureRequest, Interruption

STORE_ID = "01STORE"
_EVERYTHING = 1_000_000


class MemoryStore(SqlStore):
    """A ports.Store with all the rules of the real one. `image`: a database to begin with.

    `fault` is raised by every write, and by claims, as long as it is there. Writes take `write_takes_s`. `patience`:
    every call returns up to so many turns of the loop later, at random.
    """

    def __init__(self, seed: int = 0, patience: int = 0, image: bytes | None = None) -> None:
        self.transactions: list[list[Record]] = []
        """What each call stored."""
        self.fault: Exception | None = None
        self.write_takes_s = 0.0
        self.reads = 0
        """How many turns were joined one by one."""
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.deserialize(_fresh() if image is None else image)
        self._database.execute("PRAGMA foreign_keys = ON")
        weakref.finalize(self, self._database.close)
        self._engine = _engine(self._database)
        self._random = random.Random(seed)
        self._patience = patience

        self._store_id = STORE_ID
        self._path = Path(":memory:")
        self._limits = ERASURE_LIMITS
        self._writer = _Writer(GroupCommit(self._engine, self._path), self._before_write, self._pause)  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, object]) -> "MemoryStore":
        """Return what is on the disk at this moment."""
        return MemoryStore(image=self._database.serialize())

    async def _before_write(self) -> None:
        await asyncio.sleep(self.write_takes_s)
        await self._pause()
        if self.fault is not None:
            raise self.fault

    async def _read(self, query: Callable[[Connection], Any]) -> Any:
        await self._pause()
        found = self._now(query)
        await self._pause()
        return found

    def _now(self, query: Callable[[Connection], Any]) -> Any:
        with self._engine.begin() as connection:
            return query(connection)

    async def _pause(self) -> None:
        for _ in range(self._random.randint(0, self._patience)):
            await asyncio.sleep(0)

    def _note(self, stored: Sequence[Record]) -> Sequence[Record]:
        if stored:
            self.transactions.append(list(stored))
        return stored

    async def write(
        self, records: Sequence[Record], interruptions: Mapping[SessionId, Interruption | None] = NONE_INTERRUPTED
    ) -> Sequence[Record]:
        return self._note(await super().write(records, interruptions))

    async def revise(self, record: TurnRecord | SessionRecord) -> Sequence[Record]:
        return self._note(await super().revise(record))

    async def redact(self, interval: IntervalRecord) -> Sequence[Record]:
        return self._note(await super().redact(interval))

    async def erase(self) -> None:
        """There are no files in which anything could be left."""
        while await self._writer.call(lambda transaction: purge(transaction, 500)):
            pass

    async def claims(self, session_id: SessionId, limit: int, token: str | None) -> Any:
        if self.fault is not None:
            raise self.fault
        return await super().claims(session_id, limit, token)

    async def stored_turn(self, turn: TurnRecord) -> StoredTurn:
        self.reads += 1
        return await super().stored_turn(turn)

    async def close(self) -> None:
        return

    # --- what tests do and look at ---

    def break_with(self, reason: str = "DISK_FULL") -> None:
        self.fault = StoreError(reason, "the disk is full")

    async def committed(self, seq: int) -> None:
        """Wait until this seq was given out."""
        while self._now(read_highest_seq) < seq:  # noqa: ASYNC110 - a commit wakes nobody here
            await asyncio.sleep(0)

    def burn(self, seq: int) -> None:
        """Have all seqs up to this one given out, and none of them used."""
        self._now(lambda connection: connection.execute(update(schema.store).values(highest_seq=seq)))

    def lose(self, interval: IntervalRecord) -> None:
        """Have an interval not stored, as if the daemon had died before that."""
        table = schema.intervals
        self._now(lambda connection: connection.execute(delete(table).where(table.c.id == interval.id)))

    def ask(self, request: ErasureRequest) -> None:
        """Have a request to erase something kept, as an earlier life of the daemon left it."""
        self._now(lambda connection: keep_request(connection, request))

    @property
    def sessions_known(self) -> list[SessionRecord]:
        page = self._now(lambda connection: read_sessions(connection, _EVERYTHING, None))
        return list(reversed(page.items))

    @property
    def speakers_known(self) -> list[SpeakerRecord]:
        found: list[SpeakerRecord] = []
        for session in self.sessions_known:
            found += self._now(partial(read_speakers, session_id=session.id))
        return found

    @property
    def turns_known(self) -> list[TurnRecord]:
        found: list[TurnRecord] = []
        for session in self.sessions_known:
            page = self._now(
                partial(read_turns, session_id=session.id, limit=_EVERYTHING, token=None, as_delivered=False)
            )
            found += [one.turn for one in page.items]
        return sorted(found, key=lambda turn: turn.start)

    @property
    def intervals_known(self) -> list[IntervalRecord]:
        query = select(schema.intervals).order_by(schema.intervals.c.seq)
        return [interval_record(row) for row in self._now(lambda connection: connection.execute(query).all())]

    @property
    def points(self) -> list[WallPoint]:
        rows = self._now(lambda connection: connection.execute(select(schema.wall_points)).all())
        return [WallPoint(Sample(row.at), row.wall_s) for row in rows]

    @property
    def marks(self) -> dict[SessionId, Interruption]:
        return {record.id: mark for record, mark in self._now(read_interrupted)}

    @property
    def requests(self) -> list[ErasureRequest]:
        return list(self._now(read_requests))


class _Writer:
    """Takes the place of the store's thread: writes one after the other, each at once."""

    def __init__(self, commit: GroupCommit, before: Callable[[], Any], after: Callable[[], Any]) -> None:
        self._commit = commit
        self._before = before
        self._after = after

    async def call(self, request: Any) -> Any:
        await self._before()
        (outcome,) = self._commit.handle([request])
        await self._after()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def _engine(database: sqlite3.Connection) -> Engine:
    engine = create_engine("sqlite://", creator=lambda: database, poolclass=StaticPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


@cache
def _fresh() -> bytes:
    """Return an empty database."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    with _engine(database).begin() as connection:
        schema.metadata.create_all(connection)
        connection.exec_driver_sql("INSERT INTO store VALUES (1, ?, 0)", (STORE_ID,))
    image = database.serialize()
    database.close()
    return image
