"""The minutes in one SQLite file: ports.Store, by one thread that writes and one that reads.

The queries are in queries/, the writes in changes/; this file decides only in which thread they run, and for how long.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from minuted_daemon.adapters.storage.changes.deletion import mark_deleted, purge
from minuted_daemon.adapters.storage.changes.erasures import drop_request, read_requests
from minuted_daemon.adapters.storage.changes.interruptions import mark, read_interrupted
from minuted_daemon.adapters.storage.changes.redaction import redact
from minuted_daemon.adapters.storage.changes.scrub import DELAYED, scrub
from minuted_daemon.adapters.storage.changes.transactions import Exclusive, GroupCommit, Transaction, Write
from minuted_daemon.adapters.storage.database.opener import database_path, prepare
from minuted_daemon.adapters.storage.database.sqlite_engines import read_engine, write_engine
from minuted_daemon.adapters.storage.faults import FAULTS, as_store_error
from minuted_daemon.adapters.storage.limits import DATABASE_LIMITS, ERASURE_LIMITS, DatabaseLimits, ErasureLimits
from minuted_daemon.adapters.storage.queries.claims import read_claims
from minuted_daemon.adapters.storage.queries.resume import read_resume_point, read_wall_points
from minuted_daemon.adapters.storage.queries.turns_and_sessions import (
    Change,
    read_changes,
    read_highest_seq,
    read_owed_turns,
    read_session,
    read_sessions,
    read_sessions_in_progress,
    read_speakers,
    read_stored_turn,
    read_turns,
)
from minuted_daemon.adapters.storage.worker_thread import Worker
from minuted_daemon.core.coverage import Claim
from minuted_daemon.core.records import (
    IntervalKind,
    IntervalRecord,
    Record,
    Seq,
    SessionId,
    SessionRecord,
    SpeakerRecord,
    StoredTurn,
    TurnLife,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.minutes import Page
from minuted_daemon.ports.store import (
    NONE_INTERRUPTED,
    REDACTED,
    ErasureRequest,
    Interruption,
    OwedTurn,
    ResumePoint,
)

T = TypeVar("T")
Read = Callable[[Connection], Any]

READ_LIMIT_S = 30.0
CLOSE_LIMIT_S = 2.0
ERASE_PAUSE_S = 0.1


async def open_store(
    url: str,
    state_dir: Path | None = None,
    database: DatabaseLimits = DATABASE_LIMITS,
    erasure: ErasureLimits = ERASURE_LIMITS,
) -> "SqlStore":
    """Open the database of a `sqlite:///FILE` url, creating or upgrading it where needed. The caller closes it.

    What an older version kept in files in the `state_dir` is taken into it.
    Raises ConfigError (DATABASE_UNSUPPORTED, DATABASE_UNUSABLE, DATABASE_CORRUPT, DATABASE_TOO_NEW), and StoreError
    where the trouble may pass by itself (DISK_FULL, DATABASE_LOCKED).
    """
    path = database_path(url)
    store_id = await asyncio.to_thread(prepare, path, state_dir, database)
    writer, reader = (engine(path, busy_ms=database.busy_ms) for engine in (write_engine, read_engine))
    store = SqlStore(path, store_id, writer, reader, erasure)
    try:
        await store.connect()
    except BaseException:
        await store.close()
        raise
    return store


class SqlStore:
    """A ports.Store over a database that `open_store` has made ready.

    A record may refer to what was written before it, or stands before it in the same call. Writes have no deadline
    beyond that for a lock: a caller could not know whether a commit it gave up on was stored.
    """

    def __init__(
        self, path: Path, store_id: str, writer: Engine, reader: Engine, limits: ErasureLimits = ERASURE_LIMITS
    ) -> None:
        self._store_id = store_id
        self._path = path
        self._limits = limits
        # Opened before the connections and closed after them: see changes/scrub.py.
        self._file = path.open("r+b", buffering=0)
        self._reader = Worker[Read, Any]("store-reader", Reads(reader, path))
        self._writer = Worker[Write | Exclusive, Any]("store-writer", GroupCommit(writer, path))

    async def connect(self) -> None:
        """Open both connections now, the writer first: a reader alone cannot recover a log.

        Raises StoreError.
        """
        await self._writer.call(lambda _: None)
        await self.highest_seq()

    @property
    def store_id(self) -> str:
        """Made once with the database; a cursor is good for one store only."""
        return self._store_id

    async def highest_seq(self) -> Seq:
        """The last seq ever given out."""
        return await self._read(read_highest_seq)

    async def write(
        self, records: Sequence[Record], interruptions: Mapping[SessionId, Interruption | None] = NONE_INTERRUPTED
    ) -> Sequence[Record]:
        """Insert or replace the records in one transaction, each getting the next seq, in order; return them so.

        In the same transaction sessions are marked as interrupted, or (None) no longer so.
        Raises StoreError; then nothing of it was stored.
        """
        records, interruptions = tuple(records), dict(interruptions)
        if any(isinstance(record, TurnRecord) and record.life is TurnLife.PARTIAL for record in records):
            raise ValueError("PARTIAL turns are never stored")
        if not records and not interruptions:
            return ()

        def put(transaction: Transaction) -> Sequence[Record]:
            stored = [transaction.put(record) for record in records]
            mark(transaction.connection, interruptions)
            return stored

        stored: Sequence[Record] = await self._writer.call(put)
        return stored

    async def revise(self, record: TurnRecord | SessionRecord) -> Sequence[Record]:
        """Store a record that was read here and then changed; return nothing if it was stored or deleted in between.

        Raises StoreError; then nothing of it was stored.
        """
        stored: Sequence[Record] = await self._writer.call(lambda transaction: transaction.revise(record))
        return stored

    async def write_wall_points(self, session_id: SessionId, points: Sequence[WallPoint]) -> None:
        """Add points to a session's map from samples to wall time. They carry no seq.

        Raises StoreError; then nothing of it was stored.
        """
        points = tuple(points)
        if points:
            await self._writer.call(lambda transaction: transaction.put_wall_points(session_id, points))

    async def wall_points(self, session_id: SessionId) -> Sequence[WallPoint]:
        """A session's map from samples to wall time, by sample.

        Raises NotFound (SESSION_NOT_FOUND).
        """
        return await self._read(lambda connection: read_wall_points(connection, session_id))

    async def resume_point(self, session_id: SessionId) -> ResumePoint:
        """How far a session's stored things go.

        Raises NotFound (SESSION_NOT_FOUND).
        """
        return await self._read(lambda connection: read_resume_point(connection, session_id))

    async def delete_session(self, session_id: SessionId) -> SessionRecord:
        """Delete an ended session for all readers; `erase` does the rest.

        Raises NotFound (SESSION_NOT_FOUND), WrongState (SESSION_LIVE), StoreError.
        """
        deletion: SessionRecord = await self._writer.call(lambda transaction: mark_deleted(transaction, session_id))
        return deletion

    async def redact(self, interval: IntervalRecord) -> Sequence[Record]:
        """Take what was said in the interval out of the next turns, until there are none; `erase` does the rest.

        Raises NotFound (SESSION_NOT_FOUND), StoreError; then nothing of this call was stored.
        """
        if interval.kind is not IntervalKind.MUTED or interval.reason != REDACTED or interval.end <= interval.start:
            raise ValueError("not an interval that a redaction makes")
        stored: Sequence[Record] = await self._writer.call(
            lambda transaction: redact(transaction, interval, self._limits.turns)
        )
        return stored

    async def interrupted(self) -> Sequence[tuple[SessionRecord, Interruption]]:
        """Return the sessions that are marked as interrupted, oldest first."""
        return await self._read(read_interrupted)

    async def erasures(self) -> Sequence[ErasureRequest]:
        """Return what is to be erased and is not known to be gone, oldest first."""
        return await self._read(read_requests)

    async def erased(self, request: ErasureRequest) -> None:
        """Note that a request is done. Raises StoreError; then it is still kept."""
        await self._writer.call(lambda transaction: drop_request(transaction.connection, request))

    async def erase(self) -> None:
        """Purge what is deleted, and leave no trace of it in the files.

        Raises StoreError (ERASURE_DELAYED while another connection reads an older state).
        """
        while await self._writer.call(lambda transaction: purge(transaction, self._limits.rows)):
            pass
        page: int | None = 1
        while page is not None:
            page = await self._scrub(page)

    async def _scrub(self, first: int) -> int | None:
        clock = asyncio.get_running_loop().time
        until = clock() + self._limits.total_s
        while True:
            try:
                next_page: int | None = await self._writer.call(
                    Exclusive(lambda engine: scrub(self._file, self._path, engine, first, self._limits))
                )
            except StoreError as error:
                if error.reason != DELAYED or clock() > until:
                    raise
                await asyncio.sleep(ERASE_PAUSE_S)
            else:
                return next_page

    async def session(self, key: str) -> SessionRecord:
        """Return a session by id, else the newest of that name.

        Raises NotFound (SESSION_NOT_FOUND).
        """
        return await self._read(lambda connection: read_session(connection, key))

    async def sessions(self, limit: int, token: str | None) -> Page[SessionRecord]:
        """All sessions, newest first: the one that was stored first last, whatever the clock said.

        Raises Invalid (BAD_PAGE_TOKEN).
        """
        return await self._read(lambda connection: read_sessions(connection, limit, token))

    async def sessions_in_progress(self) -> Sequence[SessionRecord]:
        """Sessions whose stored state is a live one, oldest first."""
        return await self._read(read_sessions_in_progress)

    async def speakers(self, session_id: SessionId) -> Sequence[SpeakerRecord]:
        """A session's speakers, by label number."""
        return await self._read(lambda connection: read_speakers(connection, session_id))

    async def turns(
        self,
        session_id: SessionId,
        limit: int,
        token: str | None,
        as_delivered: bool = False,
        exclude_suspect: bool = False,
    ) -> Page[StoredTurn]:
        """A session's FINAL turns at their latest revision, or all its turns at revision 0, by start, then id.

        Raises Invalid (BAD_PAGE_TOKEN).
        """
        return await self._read(
            lambda connection: read_turns(connection, session_id, limit, token, as_delivered, exclude_suspect)
        )

    async def owed_turns(self, session_id: SessionId, limit: int, token: str | None) -> Page[OwedTurn]:
        """A session's FINAL turns without their text, or all of it, by start, then id.

        Raises Invalid (BAD_PAGE_TOKEN).
        """
        return await self._read(lambda connection: read_owed_turns(connection, session_id, limit, token))

    async def claims(self, session_id: SessionId, limit: int, token: str | None) -> Page[Claim]:
        """What a session's FINAL turns and its intervals claim of its audio, by start.

        Raises NotFound (SESSION_NOT_FOUND), Invalid (BAD_PAGE_TOKEN).
        """
        return await self._read(lambda connection: read_claims(connection, session_id, limit, token))

    async def stored_turn(self, turn: TurnRecord) -> StoredTurn:
        """Join a turn with its session's name and its speakers as they are now.

        Raises NotFound (SESSION_NOT_FOUND).
        """
        return await self._read(lambda connection: read_stored_turn(connection, turn))

    async def changes(self, after: Seq, up_to: Seq, session_id: SessionId | None, limit: int) -> Sequence[Change]:
        """Everything whose latest change has after < seq <= up_to, by seq, at most `limit` of them."""
        return await self._read(lambda connection: read_changes(connection, after, up_to, session_id, limit))

    async def close(self) -> None:
        """Finish what is being written and close the database. Takes at most 2 s; what is not done then fails."""
        # The writer goes last: the last connection to go puts the log into the database file, and must be able to.
        await self._reader.close(CLOSE_LIMIT_S / 2)
        await self._writer.close(CLOSE_LIMIT_S / 2)
        if self._reader.ended and self._writer.ended:
            self._file.close()

    async def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                result: T = await self._reader.call(query)
        except TimeoutError as error:
            text = f"the database {self._path} gave no answer for {READ_LIMIT_S:g} s: the disk may be failing"
            raise StoreError("STORE_FAILED", text, path=str(self._path)) from error
        return result


class Reads:
    """Answers queries, each in a transaction of its own: see worker_thread.Handler."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path

    def handle(self, queries: Sequence[Read]) -> Sequence[Any]:
        """Return for each query its result, or the exception it met."""
        return [self._answer(query) for query in queries]

    def finish(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _answer(self, query: Read) -> Any:
        try:
            with self._engine.begin() as connection:
                return query(connection)
        except FAULTS as fault:
            error = as_store_error(fault, self._path)
            error.__cause__ = fault
            return error
        except Exception as refusal:  # noqa: BLE001 - NotFound and Invalid are answers; a bug belongs to its caller
            return refusal
