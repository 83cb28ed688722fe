"""The fan-out: what was committed goes to all subscribers, in seq order, without gap or duplicate.

Subscribers pull (subscription.py): everything is kept once and a signal is sent, so that publishing costs the same for
one subscriber as for a hundred, and one that stops reading holds no memory.

Rules for full: changes, see change_ring.py; partial turns, see partials.py.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from minuted_daemon.core.records import Seq, SessionId, SessionRecord
from minuted_daemon.ports.minutes import MinutesReader
from minuted_daemon.service.feed.change_ring import CAPACITY
from minuted_daemon.service.feed.committed_changes import CommittedChanges
from minuted_daemon.service.feed.partials import Partials
from minuted_daemon.service.feed.session_changes import SessionChanges
from minuted_daemon.service.feed.signal import Signal
from minuted_daemon.service.feed.subscription import Filter, Subscription
from minuted_daemon.service.views import Delivery, PartialTurn, StoredChange

HEARTBEAT_S = 15.0
OVERDUE_S = 1.0
"""How long a committed change may stay unpublished before the store is asked for it."""


class Hub:
    """One for the daemon, on its event loop. Publishing never blocks and never fails."""

    def __init__(
        self,
        store: MinutesReader,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        overdue_s: float = OVERDUE_S,
        capacity: int = CAPACITY,
    ) -> None:
        self._store = store
        self._heartbeat_s = heartbeat_s
        self._signal = Signal()
        self._partials = Partials()
        self._sessions = SessionChanges(self._signal)
        self._changes = CommittedChanges(store, self._sessions, self._signal, capacity, overdue_s)
        self._subscribers = 0

    @property
    def subscribers(self) -> int:
        """How many there are now."""
        return self._subscribers

    @property
    def highest(self) -> Seq:
        """All up to it is published."""
        return self._changes.highest

    @property
    def closed(self) -> bool:
        """True once nothing more is published."""
        return self._signal.closed

    # --- publishing ---------------------------------------------------------------------------------------------------

    def publish(self, changes: Sequence[StoredChange]) -> None:
        """Tell what was committed. Commits may come in any order; a seq that comes twice is told once."""
        for change in changes:
            self._partials.close_turn(change.item)
        self._changes.publish(changes)

    def publish_partial(self, partial: PartialTurn) -> None:
        """Tell how a turn grows, or that it is gone before it was final. One that comes after its final is dropped."""
        if self._partials.put(partial):
            self._signal.send()

    def forget(self, session_id: SessionId) -> None:
        """Something of a session was erased: tell nothing of it from memory any more, only from the store."""
        self._partials.forget(session_id)
        self._changes.forget()

    def touch(self, session_id: SessionId) -> None:
        """Tell that a session's live state changed (a link's health) without anything having been stored."""
        self._sessions.touch(session_id)
        self._signal.send()

    def mark_uncertain(self) -> None:
        """Something may have been committed that will never be published: the store is asked soon.

        A writer was cancelled between commit and publishing, say, or a number was burnt by a failed write.
        """
        self._changes.mark_uncertain()

    def close(self) -> None:
        """Let every subscriber have what was published, then end. Final."""
        self._signal.close()

    # --- subscribing --------------------------------------------------------------------------------------------------

    async def subscribe(
        self, session_key: str | None, after: Seq | None, partials: bool, exclude_suspect: bool = False
    ) -> AsyncGenerator[Delivery, None]:
        """Return what is stored after `after` at its latest state, CaughtUp, then what happens; ends with the hub.

        session_key: an id, or a name, which follows later sessions of that name; None means all. Without `after` it
        begins now. A turn's partials never come after its final. Close the iterator to leave.
        exclude_suspect: turns that look invented are left out, or told as RETRACTED where they may have been given.
        Raises NotFound (SESSION_NOT_FOUND), CursorAhead, Exhausted (SUBSCRIBER_TOO_SLOW), StoreError.
        """
        chosen = Filter(session_key, partials, exclude_suspect)
        subscription = Subscription(
            self._store, self._changes, self._partials, self._signal, chosen, heartbeat_s=self._heartbeat_s
        )
        self._subscribers += 1
        try:
            async with aclosing(subscription.deliveries(after)) as deliveries:
                async for delivery in deliveries:
                    yield delivery
        finally:
            self._subscribers -= 1

    def touches(self, poll_s: float) -> AsyncGenerator[frozenset[SessionId], None]:
        """See SessionChanges.touches."""
        return self._sessions.touches(poll_s)

    def deletion(self, session_id: SessionId) -> SessionRecord | None:
        """See SessionChanges.deletion."""
        return self._sessions.deletion(session_id)
