"""Committed changes in seq order: from memory as far as they are there, else from the store.

What was committed but never published (its writer was cancelled, or a number was burnt by a failed write) is asked for
in the store after a moment, so that it holds up no subscriber.
"""

import asyncio
from collections.abc import Sequence

import structlog

from minuted_daemon.core.records import Seq
from minuted_daemon.errors import StoreError
from minuted_daemon.ports.minutes import MinutesReader
from minuted_daemon.service.feed.change_ring import Lost, Ring
from minuted_daemon.service.feed.session_changes import SessionChanges
from minuted_daemon.service.feed.signal import Signal, sent
from minuted_daemon.service.views import StoredChange

log = structlog.get_logger()


class CommittedChanges:
    """One for the daemon."""

    def __init__(
        self, store: MinutesReader, sessions: SessionChanges, signal: Signal, capacity: int, overdue_s: float
    ) -> None:
        """`overdue_s`: how long a committed change may stay unpublished before the store is asked for it."""
        self._store = store
        self._sessions = sessions
        self._signal = signal
        self._ring = Ring(capacity)
        self._overdue_s = overdue_s
        self._uncertain_since: float | None = None  # since when something committed may be unpublished
        self._asking = asyncio.Lock()
        self._erasures = 0

    # --- publishing ---------------------------------------------------------------------------------------------------

    def publish(self, changes: Sequence[StoredChange]) -> None:
        """Tell what was committed. Commits may come in any order; a seq that comes twice is told once."""
        for change in changes:
            self._ring.put(change)
        self._sessions.note(self._ring.release())
        if self._ring.has_hole:
            self.mark_uncertain()
        self._signal.send()

    def mark_uncertain(self) -> None:
        """Something may have been committed that will never be published: the store is asked soon."""
        if self._uncertain_since is None:
            self._uncertain_since = _time()
            self._signal.send()

    def forget(self) -> None:
        """Something was erased: tell nothing from memory any more, only from the store."""
        self._erasures += 1
        self._sessions.note(self._ring.forget())
        self._signal.send()

    # --- reading ------------------------------------------------------------------------------------------------------

    @property
    def highest(self) -> Seq:
        """All up to it is published."""
        return self._ring.highest or Seq(0)

    @property
    def erasures(self) -> int:
        """How often something was erased: what was read from the store before the last time may be gone from it."""
        return self._erasures

    @property
    def end(self) -> int:
        """The position of the next change."""
        return self._ring.end

    def at(self, position: int) -> StoredChange | Lost | None:
        """Return the change at a position, None at the end."""
        return self._ring.at(position)

    async def start(self) -> None:
        """Find out where publishing begins, if nothing was published yet. Raises StoreError."""
        if self._ring.highest is None:
            self._ring.begin(await self._store.highest_seq())

    async def wait(self, signal: asyncio.Event, until: float) -> None:
        """Wait for the signal, at the latest until this time of the loop; see to what is overdue meanwhile."""
        if self._uncertain_since is not None:
            until = min(until, self._uncertain_since + self._overdue_s)
        if not await sent(signal, until - _time()):
            await self._skip_overdue()

    async def look_for_unpublished(self) -> None:
        """Make sure now and then that the store has nothing that was not published."""
        try:
            if await self._store.highest_seq() > self.highest:
                self.mark_uncertain()
        except StoreError as error:
            log.warning("store_read_failed", reason=error.reason)

    async def _skip_overdue(self) -> None:
        async with self._asking:
            if self._uncertain_since is None or _time() < self._uncertain_since + self._overdue_s:
                return
            self._uncertain_since = None
            try:
                highest = await self._store.highest_seq()
            except StoreError as error:
                log.warning("store_read_failed", reason=error.reason)
                self.mark_uncertain()
                return
            if highest > self.highest:
                log.info("unpublished_changes_found", count=highest - self.highest)
                self._ring.skip(highest)
                self.publish(())


def _time() -> float:
    return asyncio.get_running_loop().time()
