"""Where one session's records and partials go: the store, the subscribers, and back to what has to know of it."""

from collections.abc import Sequence
from typing import Protocol

from minuted_daemon.core.records import Record, SessionRecord, WallPoint
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.store import Store
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.merge.turn_records import TurnRecords
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.views import PartialTurn


class StoredSession(Protocol):
    """A session that has to know what of it is stored."""

    @property
    def record(self) -> SessionRecord:
        """The session as it was stored last, or is about to be."""
        ...

    def stored(self, record: SessionRecord) -> None:
        """The record is stored as it was put."""
        ...

    def store_health(self, error: StoreError | None) -> None:
        """The store fails, or works again."""
        ...


class RecordSink:
    """One session's. What is written when is the write-behind queue's to decide."""

    def __init__(
        self, session: StoredSession, turn_records: TurnRecords, store: Store, publisher: ChangePublisher, hub: Hub
    ) -> None:
        self._session = session
        self._turn_records = turn_records
        self._store = store
        self._publisher = publisher
        self._hub = hub

    def stamp(self, record: Record) -> Record:
        """Fill in what is known only when a record is about to be stored."""
        return self._turn_records.stamped(record)

    async def write(self, records: Sequence[Record]) -> Sequence[Record]:
        """Store records in one transaction, tell them, and return them with their seqs. Raises StoreError."""
        return await self._publisher.write(records, self._session.record.name)

    async def write_points(self, points: Sequence[WallPoint]) -> None:
        """Store points of the map from samples to wall time. Raises StoreError."""
        await self._store.write_wall_points(self._session.record.id, points)

    def stored(self, records: Sequence[Record]) -> None:
        """These are stored so."""
        self._turn_records.stored(records)
        for record in records:
            if isinstance(record, SessionRecord):
                self._session.stored(record)

    def health(self, error: StoreError | None) -> None:
        """The store fails, or works again."""
        self._session.store_health(error)

    def tell(self, partial: PartialTurn) -> None:
        """Tell subscribers how a turn grows, or that it is gone."""
        if self._turn_records.all_stored(partial):
            # The publisher knows what the speakers are called by now.
            self._publisher.tell_partial(partial.turn.turn, self._session.record.name)
        else:
            self._hub.publish_partial(partial)
