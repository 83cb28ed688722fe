"""The fan-out: what was committed goes to whoever listens, in seq order, without gap or duplicate.

Subscribers pull (subscription.py): the hub keeps everything once and rings a bell, so that publishing costs the same
for one subscriber as for a hundred, and one that stops reading holds no memory.

Rules for full: changes, see ring.py. A partial turn is kept in its latest state only; past the bound the oldest give
way, sooner those that are gone, and a subscriber that had not seen them is cut off.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import takewhile

import structlog

from minuted_daemon.core.records import Seq, SessionId, SessionRecord, SessionState, StoredTurn, TurnId, TurnLife
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.store import Store
from minuted_daemon.service.feed.change_ring import CAPACITY, Ring
from minuted_daemon.service.feed.subscription import Subscription
from minuted_daemon.service.views import Delivery, PartialTurn, StoredChange, StoredItem

HEARTBEAT_S = 15.0
OVERDUE_S = 1.0
"""How long a committed change may stay unpublished before the store is asked for it."""
PARTIALS = 1024
RETRACTED = 64
"""Turns that were gone before they were final, of those: whoever listens has been told within moments."""
CLOSED_TURNS = 512
"""Turns whose final was published last. A partial that comes behind its final comes within seconds of it."""
TOUCHED_SESSIONS = 1024

log = structlog.get_logger()


class Hub:
    """One for the daemon, on its event loop. Publishing never blocks and never fails."""

    def __init__(
        self,
        store: Store,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        overdue_s: float = OVERDUE_S,
        capacity: int = CAPACITY,
    ) -> None:
        self.store = store
        self.heartbeat_s = heartbeat_s
        self.ring = Ring(capacity)
        self.closed = False
        self.version = 0
        """Number of the last partial or touch."""
        self.subscribers = 0
        self.erasures = 0
        """How often something was erased: what was read from the store before the last time may be gone from it."""
        self._overdue_s = overdue_s
        self._bell = asyncio.Event()
        self._doubted_at: float | None = None  # since when something committed may be unpublished
        self._asking = asyncio.Lock()
        self._partials: OrderedDict[TurnId, tuple[int, PartialTurn]] = OrderedDict()  # by version
        self._partials_lost = 0  # the highest version that gave way
        self._retracted: deque[TurnId] = deque()
        self._closed_turns: OrderedDict[TurnId, None] = OrderedDict()
        self._touched: OrderedDict[SessionId, int] = OrderedDict()  # to version
        self._deletions: OrderedDict[SessionId, SessionRecord] = OrderedDict()

    # --- for those who publish ----------------------------------------------------------------------------------------

    def publish(self, changes: Sequence[StoredChange]) -> None:
        """Tell what was committed. Commits may come in any order; a seq that comes twice is told once."""
        for change in changes:
            self.ring.put(change)
            self._close_turn(change.item)
        self._note_sessions(self.ring.release())
        if self.ring.has_hole:
            self.doubt()
        self._ring_bell()

    def publish_partial(self, partial: PartialTurn) -> None:
        """Return how a turn grows, or that it is gone before it was final.

        One that comes after its final is dropped.
        """
        turn_id = partial.turn.turn.id
        if turn_id in self._closed_turns:
            return
        self.version += 1
        self._partials[turn_id] = (self.version, partial)
        self._partials.move_to_end(turn_id)
        if len(self._partials) > PARTIALS:
            self._give_way(next(iter(self._partials)))
        if partial.turn.turn.life is TurnLife.RETRACTED:
            self._retracted.append(turn_id)
            if len(self._retracted) > RETRACTED:
                self._give_way(self._retracted.popleft())
        self._ring_bell()

    def forget(self, session_id: SessionId) -> None:
        """Something of a session was erased: tell nothing of it from memory any more, only from the store."""
        self.erasures += 1
        self._note_sessions(self.ring.forget())
        for turn_id, (_, partial) in list(self._partials.items()):
            if partial.turn.turn.session_id == session_id:
                del self._partials[turn_id]
                if partial.turn.turn.life is TurnLife.RETRACTED:  # whoever has not seen that yet still must
                    self.version += 1
                    self._partials[turn_id] = (self.version, _wordless(partial))
        self._ring_bell()

    def touch(self, session_id: SessionId) -> None:
        """Tell that a session's live state changed (a link's health) without anything having been stored."""
        self._touch(session_id)
        self._ring_bell()

    def doubt(self) -> None:
        """Say that something may have been committed that will never be published: the store is asked soon.

        A writer was cancelled between commit and publishing, say, or a number was burnt by a failed write.
        """
        if self._doubted_at is None:
            self._doubted_at = _time()
            self._ring_bell()

    def close(self) -> None:
        """Let every subscriber have what was published, then end. Final."""
        self.closed = True
        self._ring_bell()

    # --- for those who listen -----------------------------------------------------------------------------------------

    async def subscribe(
        self, session_key: str | None, after: Seq | None, partials: bool, exclude_suspect: bool = False
    ) -> AsyncGenerator[Delivery, None]:
        """Return what is stored behind `after` at its latest state, CaughtUp, then what happens; ends with the hub.

        session_key: an id, or a name, which follows later sessions of that name; None means all. Without `after` it
        begins now. A turn's partials never come after its final. Close the iterator to leave.
        exclude_suspect: turns that look invented are left out, or told as RETRACTED where they may have been given.
        Raises NotFound (SESSION_NOT_FOUND), CursorAhead, Exhausted (SUBSCRIBER_TOO_SLOW), StoreError.
        """
        subscription = Subscription(self, session_key, partials, exclude_suspect)
        self.subscribers += 1
        try:
            async with aclosing(subscription.deliveries(after)) as deliveries:
                async for delivery in deliveries:
                    yield delivery
        finally:
            self.subscribers -= 1

    async def touches(self, poll_s: float) -> AsyncGenerator[frozenset[SessionId], None]:
        """Return the ids of sessions that changed since the last time, at the latest every `poll_s`; ends with the hub.

        The first set is empty and comes at once.
        """
        version = self.version
        changed: frozenset[SessionId] = frozenset()
        while not self.closed:
            bell = self._bell
            yield changed
            await _rung(bell, poll_s)
            since, version = version, self.version
            changed = frozenset(session_id for session_id, told in self._touched.items() if told > since)

    def deletion(self, session_id: SessionId) -> SessionRecord | None:
        """Return a session that was deleted lately, as that was told: in state DELETED."""
        return self._deletions.get(session_id)

    # --- for subscriptions --------------------------------------------------------------------------------------------

    @property
    def bell(self) -> asyncio.Event:
        """Set at the next publishing of anything. To be taken before looking at what there is."""
        return self._bell

    @property
    def highest(self) -> Seq:
        """All up to it is published."""
        return self.ring.highest or Seq(0)

    async def start(self) -> None:
        """Find out where publishing begins, if nothing was published yet."""
        if self.ring.highest is None:
            stored = await self.store.highest_seq()
            if self.ring.highest is None:
                self.ring.highest = stored

    def grown(self, version: int) -> list[tuple[int, PartialTurn]] | None:
        """Return the partials behind `version`, oldest first; None if some of them gave way."""
        if self._partials_lost > version:
            return None
        fresh = list(takewhile(lambda entry: entry[0] > version, reversed(self._partials.values())))
        fresh.reverse()
        return fresh

    def is_current(self, entry: tuple[int, PartialTurn]) -> bool:
        """Return whether a partial is neither outdated nor superseded by a final."""
        return self._partials.get(entry[1].turn.turn.id) is entry

    def supersede_partial(self, item: StoredItem) -> None:
        """A subscriber is about to give this from the store: should it be a turn, its partial is out of date."""
        if isinstance(item, StoredTurn) and item.turn.id in self._partials:
            self._close_turn(item)

    async def wait(self, bell: asyncio.Event, until: float) -> None:
        """Wait for the bell, at the latest until this time of the loop; see to what is overdue meanwhile."""
        if self._doubted_at is not None:
            until = min(until, self._doubted_at + self._overdue_s)
        if not await _rung(bell, until - _time()):
            await self._skip_what_is_overdue()

    async def look_for_unpublished(self) -> None:
        """Make sure now and then that the store has nothing that was not published."""
        try:
            if await self.store.highest_seq() > self.highest:
                self.doubt()
        except StoreError as error:
            log.warning("store_not_asked", reason=error.reason)

    async def _skip_what_is_overdue(self) -> None:
        async with self._asking:
            if self._doubted_at is None or _time() < self._doubted_at + self._overdue_s:
                return
            self._doubted_at = None
            try:
                highest = await self.store.highest_seq()
            except StoreError as error:
                log.warning("store_not_asked", reason=error.reason)
                self.doubt()
                return
            if highest > self.highest:
                log.info("changes_overdue", count=highest - self.highest)
                self.ring.skip(highest)
                self.publish(())

    def _give_way(self, turn_id: TurnId) -> None:
        version, _ = self._partials.pop(turn_id, (0, None))
        self._partials_lost = max(self._partials_lost, version)

    def _close_turn(self, item: StoredItem) -> None:
        if isinstance(item, StoredTurn):
            self._partials.pop(item.turn.id, None)
            self._closed_turns[item.turn.id] = None
            if len(self._closed_turns) > CLOSED_TURNS:
                self._closed_turns.popitem(last=False)

    def _note_sessions(self, told: Sequence[StoredChange]) -> None:
        for change in told:
            if isinstance(change.item, SessionRecord):
                self._touch(change.session_id)
                if change.item.state is SessionState.DELETED:
                    self._deletions[change.session_id] = change.item
                    if len(self._deletions) > TOUCHED_SESSIONS:
                        self._deletions.popitem(last=False)

    def _touch(self, session_id: SessionId) -> None:
        if session_id in self._deletions:
            return  # it is told once, as the last of a session
        self.version += 1
        self._touched[session_id] = self.version
        self._touched.move_to_end(session_id)
        if len(self._touched) > TOUCHED_SESSIONS:
            self._touched.popitem(last=False)

    def _ring_bell(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()


def _wordless(partial: PartialTurn) -> PartialTurn:
    return PartialTurn(replace(partial.turn, turn=replace(partial.turn.turn, text="")))


def _time() -> float:
    return asyncio.get_running_loop().time()


async def _rung(bell: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await bell.wait()
    except TimeoutError:
        return False
    return True
