"""One subscriber of the hub: replay from the store up to what is published, then live from the ring."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace

from minuted_daemon.core.records import Seq, SessionId, SessionRecord, StoredTurn, TurnLife
from minuted_daemon.errors import CursorAhead, Exhausted, NotFound
from minuted_daemon.ports.minutes import MinutesReader
from minuted_daemon.service.feed.change_ring import Lost
from minuted_daemon.service.feed.committed_changes import CommittedChanges
from minuted_daemon.service.feed.partials import Partials
from minuted_daemon.service.feed.signal import Signal
from minuted_daemon.service.views import CaughtUp, Delivery, Heartbeat, PartialTurn, StoredChange, StoredItem

REPLAY_PAGE = 256


@dataclass(frozen=True, slots=True)
class Filter:
    """What a subscriber wants to be told; see Hub.subscribe."""

    session_key: str | None
    partials: bool
    exclude_suspect: bool


@dataclass(frozen=True, slots=True)
class _Page:
    """Some stored changes; with them all up to `end` is given. `erasures`: those before they were read."""

    changes: Sequence[StoredChange]
    end: Seq
    erasures: int


class Subscription:
    """A position in the changes and one in the partials. Registered nowhere: dropping it is enough."""

    def __init__(
        self,
        store: MinutesReader,
        changes: CommittedChanges,
        partials: Partials,
        signal: Signal,
        chosen: Filter,
        *,
        heartbeat_s: float,
    ) -> None:
        self._store = store
        self._changes = changes
        self._partials = partials
        self._signal = signal
        self._chosen = chosen
        self._heartbeat_s = heartbeat_s
        self._session_id: SessionId | None = None
        self._session_name: str | None = None
        self._names: dict[SessionId, str] = {}
        self._cursor = Seq(0)  # all up to it that matches has been given
        self._position = 0
        self._version = 0

    async def deliveries(self, after: Seq | None) -> AsyncGenerator[Delivery, None]:
        """See Hub.subscribe."""
        await self._choose_sessions()
        await self._changes.start()
        self._cursor = self._changes.highest if after is None else after
        await self._check_cursor()
        caught_up = False
        quiet_since = _time()
        while True:
            while (page := await self._page()) is not None:
                for change in self._replayed(page):
                    yield change
            if not caught_up:
                caught_up, self._version = True, self._partials.version
                yield CaughtUp(self._cursor)
            while True:
                signal, closing, given = self._signal.next, self._signal.closed, False
                while isinstance(found := self._changes.at(self._position), StoredChange):
                    if self._examine(found) and (told := self._told(found)) is not None:
                        given = True
                        yield told
                if found is Lost.SKIPPED:
                    break
                if found is Lost.TOO_SLOW:
                    raise self._too_slow()
                self._cursor = max(self._cursor, self._changes.highest)
                for partial in self._grown():
                    given = True
                    yield partial
                if closing:
                    return
                if given:
                    quiet_since = _time()
                elif _time() >= quiet_since + self._heartbeat_s:
                    quiet_since = _time()
                    yield Heartbeat(self._cursor)
                    await self._changes.look_for_unpublished()
                await self._changes.wait(signal, quiet_since + self._heartbeat_s)

    def _replayed(self, page: _Page) -> Iterator[StoredChange]:
        """Return what is told of a page, and move the cursor on with it."""
        for change in page.changes:
            if self._changes.erasures != page.erasures:
                return  # the rest may hold what is erased by now: it is read again
            told = self._told(change)
            if told is not None:
                yield told
            self._cursor = change.seq
        self._cursor = page.end

    async def _page(self) -> _Page | None:
        """Return the next stored changes up to what is published; after the last, take a place on the ring."""
        top = self._changes.highest
        if self._cursor >= top:
            # Nothing is awaited between the comparison and here: there is no seam between replay and live.
            self._position = self._changes.end
            return None
        erasures = self._changes.erasures
        items = await self._store.changes(self._cursor, top, self._session_id, REPLAY_PAGE)
        changes = []
        for item in items:
            # Of a session that was deleted since they were read, only the deletion is told, and that comes later.
            with contextlib.suppress(NotFound):
                changes.append(await self._change(item))
        for item in items:
            self._partials.supersede(item)
        wanted = [change for change in changes if self._takes(change.session_id, change.session_name)]
        return _Page(wanted, _seq(items[-1]) if len(items) == REPLAY_PAGE else top, erasures)

    def _examine(self, change: StoredChange) -> bool:
        """Go past a change in memory; return whether it is one to give."""
        self._position += 1
        if change.seq <= self._cursor:  # a client may know a seq before it is published, from a list
            return False
        self._cursor = change.seq
        return self._takes(change.session_id, change.session_name)

    def _told(self, change: StoredChange) -> StoredChange | None:
        """Return a change as this subscriber is told it, None if it is not."""
        item = change.item
        if not self._chosen.exclude_suspect or not isinstance(item, StoredTurn) or item.turn.suspect is None:
            return change
        if item.turn.revision == 0 and not self._chosen.partials:
            return None  # it was never told
        gone = replace(item.turn, life=TurnLife.RETRACTED, text="")
        return replace(change, item=replace(item, turn=gone))

    def _grown(self) -> Iterator[PartialTurn]:
        """Return the partials since the last time, each unless it is out of date when its turn comes."""
        if not self._chosen.partials:
            return
        grown = self._partials.since(self._version)
        if grown is None:
            raise self._too_slow()
        self._version = self._partials.version
        for entry in grown:
            turn = entry.partial.turn
            if self._partials.is_current(entry) and self._takes(turn.turn.session_id, turn.session_name):
                yield entry.partial

    async def _choose_sessions(self) -> None:
        if self._chosen.session_key:
            record = await self._store.session(self._chosen.session_key)
            if record.id == self._chosen.session_key:
                self._session_id = record.id
            else:
                self._session_name = record.name

    def _takes(self, session_id: SessionId, session_name: str) -> bool:
        return self._session_id in (None, session_id) and self._session_name in (None, session_name)

    async def _check_cursor(self) -> None:
        if self._cursor > self._changes.highest:
            highest = await self._store.highest_seq()
            if self._cursor > highest:
                raise CursorAhead(
                    "CURSOR_AHEAD",
                    f"after_seq {self._cursor} is above the highest seq of this store, {highest}: "
                    "it belongs to another store",
                    after_seq=str(self._cursor),
                    highest_seq=str(highest),
                    store_id=self._store.store_id,
                )

    async def _change(self, item: StoredItem) -> StoredChange:
        """Put the session's name to a stored thing."""
        if isinstance(item, StoredTurn):
            return StoredChange(item.turn.seq, item.turn.session_id, item.session_name, item)
        if isinstance(item, SessionRecord):
            self._names[item.id] = item.name
            return StoredChange(item.seq, item.id, item.name, item)
        if item.session_id not in self._names:
            self._names[item.session_id] = (await self._store.session(item.session_id)).name
        return StoredChange(item.seq, item.session_id, self._names[item.session_id], item)

    def _too_slow(self) -> Exhausted:
        return Exhausted(
            "SUBSCRIBER_TOO_SLOW",
            "the subscriber did not keep up and was cut off; subscribe again with the last seq received",
            examined_seq=str(self._cursor),
        )


def _seq(item: StoredItem) -> Seq:
    return item.turn.seq if isinstance(item, StoredTurn) else item.seq


def _time() -> float:
    return asyncio.get_running_loop().time()
