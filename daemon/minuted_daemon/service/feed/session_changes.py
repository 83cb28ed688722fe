"""Which sessions changed lately, stored or not, and which were deleted."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable

from minuted_daemon.core.records import SessionId, SessionRecord, SessionState
from minuted_daemon.service.feed.signal import Signal, sent
from minuted_daemon.service.views import StoredChange

REMEMBERED = 1024
"""So many sessions; the oldest are forgotten."""


class SessionChanges:
    """One for the daemon."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._version = 0
        self._touched: OrderedDict[SessionId, int] = OrderedDict()  # to version
        self._deletions: OrderedDict[SessionId, SessionRecord] = OrderedDict()

    def note(self, released: Iterable[StoredChange]) -> None:
        """These were published; the caller sends the signal."""
        for change in released:
            if isinstance(change.item, SessionRecord):
                self.touch(change.session_id)
                if change.item.state is SessionState.DELETED:
                    self._deletions[change.session_id] = change.item
                    if len(self._deletions) > REMEMBERED:
                        self._deletions.popitem(last=False)

    def touch(self, session_id: SessionId) -> None:
        """A session changed; the caller sends the signal. One that was deleted is told once, as its last change."""
        if session_id in self._deletions:
            return
        self._version += 1
        self._touched[session_id] = self._version
        self._touched.move_to_end(session_id)
        if len(self._touched) > REMEMBERED:
            self._touched.popitem(last=False)

    def deletion(self, session_id: SessionId) -> SessionRecord | None:
        """Return a session that was deleted lately, as that was told: in state DELETED."""
        return self._deletions.get(session_id)

    async def touches(self, poll_s: float) -> AsyncGenerator[frozenset[SessionId], None]:
        """Return the ids of sessions that changed since the last time, at the latest every `poll_s`; ends with the hub.

        The first set is empty and comes at once.
        """
        version = self._version
        changed: frozenset[SessionId] = frozenset()
        while not self._signal.closed:
            following = self._signal.next
            yield changed
            await sent(following, poll_s)
            since, version = version, self._version
            changed = frozenset(session_id for session_id, told in self._touched.items() if told > since)
