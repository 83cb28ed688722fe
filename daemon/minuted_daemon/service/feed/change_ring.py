"""The last committed changes in seq order, read by any number of readers at their own positions. Pure; no I/O.

Seqs are given out without holes, so a change waits here until the one before it came. A hole that will not be filled
is skipped: what lies in it, if anything, is in the store, and readers are sent there.

Rule for full: the oldest change is dropped, and a reader that had not come so far has lost its place. Too many changes
waiting after a hole: the hole is skipped.
"""

from collections import deque
from enum import Enum, auto

from minuted_daemon.core.records import Seq
from minuted_daemon.service.views import StoredChange

CAPACITY = 1024


class Lost(Enum):
    """Why there is nothing for a reader at its position."""

    TOO_SLOW = auto()
    SKIPPED = auto()


class Ring:
    """Positions count the changes that were ever released; they have nothing to do with seqs."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._changes: deque[StoredChange] = deque()
        self._first = 0  # position of the oldest change
        self._skipped_to = 0  # readers at a lower position have a hole before them
        self._waiting: dict[Seq, StoredChange] = {}
        self._highest: Seq | None = None

    @property
    def highest(self) -> Seq | None:
        """All up to it was released, skipped, or is older than this ring; None before anything is known."""
        return self._highest

    def __len__(self) -> int:
        """Return how many changes it holds, with those that wait for one before them."""
        return len(self._changes) + len(self._waiting)

    @property
    def end(self) -> int:
        """The position of the next change to be released."""
        return self._first + len(self._changes)

    @property
    def has_hole(self) -> bool:
        """True while a change waits for one before it."""
        return bool(self._waiting)

    def begin(self, highest: Seq) -> None:
        """All up to this seq is older than this ring; ignored once a change was put."""
        if self._highest is None:
            self._highest = highest

    def put(self, change: StoredChange) -> None:
        """Take in a change; one that was released or skipped before is dropped. Call `release` after the last."""
        if self._highest is None:
            self._highest = Seq(change.seq - 1)
        if change.seq > self._highest:
            self._waiting[change.seq] = change

    def release(self) -> list[StoredChange]:
        """Return what can be read from now on."""
        if len(self._waiting) > self._capacity:
            self.skip(Seq(min(self._waiting) - 1))
        released = []
        while (change := self._waiting.pop(Seq((self._highest or 0) + 1), None)) is not None:
            self._highest = change.seq
            self._changes.append(change)
            released.append(change)
        while len(self._changes) > self._capacity:
            self._changes.popleft()
            self._first += 1
        return released

    def skip(self, up_to: Seq) -> None:
        """Wait no longer for anything up to this seq: present readers must take it from the store."""
        if self._highest is None or up_to > self._highest:
            self._highest = up_to
            self._waiting = {seq: change for seq, change in self._waiting.items() if seq > up_to}
            self.drop()

    def drop(self) -> None:
        """Forget the changes: readers that had not come so far must take them from the store, as they are now."""
        self._first += len(self._changes) + 1
        self._skipped_to = self._first
        self._changes.clear()

    def forget(self) -> list[StoredChange]:
        """Forget all changes, also those that wait for one before them: what is told late of these is dropped, too.

        Returns those that waited. Readers must take everything from the store, as it is now.
        """
        waited = list(self._waiting.values())
        if waited:
            self.skip(max(self._waiting))
        self.drop()
        return waited

    def at(self, position: int) -> StoredChange | Lost | None:
        """Return the change at a position, None at the end."""
        if position < self._skipped_to:
            return Lost.SKIPPED
        if position < self._first:
            return Lost.TOO_SLOW
        index = position - self._first
        return self._changes[index] if index < len(self._changes) else None
