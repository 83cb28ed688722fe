"""One subscriber of the hub: replay from the store up to what is published, then live from the ring."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from minuted_daemon.core.records import Seq, SessionId, SessionRecord, StoredTurn, TurnLife
from minuted_daemon.errors import CursorAhead, Exhausted, NotFound
from minuted_daemon.service.feed.change_ring import Lost
from minuted_daemon.service.views import CaughtUp, Delivery, Heartbeat, PartialTurn, StoredChange, StoredItem

if TYPE_CHECKING:
    from minuted_daemon.service.feed.hub import Hub

REPLAY_PAGE = 256


@dataclass(frozen=True, slots=True)
class _Page:
    """Some stored changes; with them all up to `end` is given. `erasures`: the hub's, before they were read."""

    changes: Sequence[StoredChange]
    end: Seq
    erasures: int


class Subscription:
    """A position in the changes and one in the partials. Registered nowhere: dropping it is enough."""

    def __init__(self, hub: "Hub", session_key: str | None, partials: bool, exclude_suspect: bool = False) -> None:
        self._hub = hub
        self._session_key = session_key
        self._partials = partials
        self._exclude_suspect = exclude_suspect
        self._session_id: SessionId | None = None
        self._session_name: str | None = None
        self._names: dict[SessionId, str] = {}
        self._cursor = Seq(0)  # all up to it that matches has been given
        self._position = 0
        self._version = 0

    async def deliveries(self, after: Seq | None) -> AsyncGenerator[Delivery, None]:
        """See Hub.subscribe."""
        await self._choose_sessions()
        await self._hub.start()
        self._cursor = self._hub.highest if after is None else after
        await self._check_cursor()
        caught_up = False
        quiet_since = asyncio.get_running_loop().time()
        while True:
            while (page := await self._page()) is not None:
                for change in page.changes:
                    if self._hub.erasures != page.erasures:
                        break  # the rest may hold what is erased by now: it is read again
                    status = self._status(change)
                    if status is not None:
                        yield status
                    self._cursor = change.seq
                else:
                    self._cursor = page.end
            if not caught_up:
                caught_up, self._version = True, self._hub.version
                yield CaughtUp(self._cursor)
            while True:
                bell, closing, given = self._hub.bell, self._hub.closed, False
                while isinstance(found := self._hub.ring.at(self._position), StoredChange):
                    if self._examine(found) and (status := self._status(found)) is not None:
                        given = True
                        yield status
                if found is Lost.SKIPPED:
                    break
                if found is Lost.TOO_SLOW:
                    raise self._too_slow()
                self._cursor = max(self._cursor, self._hub.highest)
                for entry in self._grown():
                    if self._hub.is_current(entry) and self._takes_partial(entry[1]):
                        given = True
                        yield entry[1]
                if closing:
                    return
                now = asyncio.get_running_loop().time()
                if given:
                    quiet_since = now
                elif now >= quiet_since + self._hub.heartbeat_s:
                    quiet_since = now
                    yield Heartbeat(self._cursor)
                    await self._hub.look_for_unpublished()
                await self._hub.wait(bell, quiet_since + self._hub.heartbeat_s)

    async def _page(self) -> "_Page | None":
        """Return the next stored changes up to what is published; behind the last, take a place on the ring."""
        top = self._hub.highest
        if self._cursor >= top:
            # Nothing is awaited between the comparison and here: there is no seam between replay and live.
            self._position = self._hub.ring.end
            return None
        erasures = self._hub.erasures
        items = await self._hub.store.changes(self._cursor, top, self._session_id, REPLAY_PAGE)
        changes = []
        for item in items:
            # Of a session that was deleted since they were read, only the deletion is told, and that comes later.
            with contextlib.suppress(NotFound):
                changes.append(await self._change(item))
        for item in items:
            self._hub.supersede_partial(item)
        wanted = [change for change in changes if self._takes(change.session_id, change.session_name)]
        return _Page(wanted, _seq(items[-1]) if len(items) == REPLAY_PAGE else top, erasures)

    def _examine(self, change: StoredChange) -> bool:
        """Go past a change on the ring, and tell whether it is one to give."""
        self._position += 1
        if change.seq <= self._cursor:  # a client may know a seq before it is published, from a list
            return False
        self._cursor = change.seq
        return self._takes(change.session_id, change.session_name)

    def _status(self, change: StoredChange) -> StoredChange | None:
        """Return a change as this subscriber is told it, None if it is not."""
        item = change.item
        if not self._exclude_suspect or not isinstance(item, StoredTurn) or item.turn.suspect is None:
            return change
        if item.turn.revision == 0 and not self._partials:
            return None  # it was never told
        gone = replace(item.turn, life=TurnLife.RETRACTED, text="")
        return replace(change, item=replace(item, turn=gone))

    def _takes_partial(self, partial: PartialTurn) -> bool:
        return self._takes(partial.turn.turn.session_id, partial.turn.session_name)

    def _grown(self) -> list[tuple[int, PartialTurn]]:
        if not self._partials:
            return []
        grown = self._hub.grown(self._version)
        if grown is None:
            raise self._too_slow()
        self._version = self._hub.version
        return grown

    async def _choose_sessions(self) -> None:
        if self._session_key:
            record = await self._hub.store.session(self._session_key)
            if record.id == self._session_key:
                self._session_id = record.id
            else:
                self._session_name = record.name

    def _takes(self, session_id: SessionId, session_name: str) -> bool:
        return self._session_id in (None, session_id) and self._session_name in (None, session_name)

    async def _check_cursor(self) -> None:
        if self._cursor > self._hub.highest:
            highest = await self._hub.store.highest_seq()
            if self._cursor > highest:
                raise CursorAhead(
                    "CURSOR_AHEAD",
                    f"after_seq {self._cursor} is above the highest seq of this store, {highest}: "
                    "it belongs to another store",
                    after_seq=str(self._cursor),
                    highest_seq=str(highest),
                    store_id=self._hub.store.store_id,
                )

    async def _change(self, item: StoredItem) -> StoredChange:
        """Put the session's name to a stored thing."""
        if isinstance(item, StoredTurn):
            return StoredChange(item.turn.seq, item.turn.session_id, item.session_name, item)
        if isinstance(item, SessionRecord):
            self._names[item.id] = item.name
            return StoredChange(item.seq, item.id, item.name, item)
        if item.session_id not in self._names:
            self._names[item.session_id] = (await self._hub.store.session(item.session_id)).name
        return StoredChange(item.seq, item.session_id, self._names[item.session_id], item)

    def _too_slow(self) -> Exhausted:
        return Exhausted(
            "SUBSCRIBER_TOO_SLOW",
            "the subscriber did not keep up and was cut off; subscribe again with the last seq received",
            examined_seq=str(self._cursor),
        )


def _seq(item: StoredItem) -> Seq:
    return item.turn.seq if isinstance(item, StoredTurn) else item.seq
