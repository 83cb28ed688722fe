"""The minutes as they are read: what the feed and the RPCs need of a store, and nothing that changes it.

Rules that hold for every port stand in store.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from minuted_daemon.core.coverage import Claim
from minuted_daemon.core.records import IntervalRecord, Seq, SessionId, SessionRecord, SpeakerRecord, StoredTurn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `next_token` is None on the last one."""

    items: Sequence[T]
    next_token: str | None


class MinutesReader(Protocol):
    """Committed minutes, at their latest state."""

    @property
    def store_id(self) -> str:
        """Made once with the database; a cursor is good for one store only."""
        ...

    async def highest_seq(self) -> Seq:
        """Return the last seq ever given out. Raises StoreError."""
        ...

    async def session(self, key: str) -> SessionRecord:
        """Return a session by id, else the newest of that name.

        Raises NotFound (SESSION_NOT_FOUND).
        """
        ...

    async def sessions(self, limit: int, token: str | None) -> Page[SessionRecord]:
        """Return all sessions, newest first. Raises Invalid (BAD_PAGE_TOKEN)."""
        ...

    async def speakers(self, session_id: SessionId) -> Sequence[SpeakerRecord]:
        """Return a session's speakers, by label number."""
        ...

    async def turns(
        self,
        session_id: SessionId,
        limit: int,
        token: str | None,
        as_delivered: bool = False,
        exclude_suspect: bool = False,
    ) -> Page[StoredTurn]:
        """Return a session's FINAL turns at their latest revision, by start, then id. Raises Invalid (BAD_PAGE_TOKEN).

        `as_delivered`: every turn as it was when it first became FINAL, also those retracted since.
        `exclude_suspect`: without those that look invented, or did then.
        """
        ...

    async def claims(self, session_id: SessionId, limit: int, token: str | None) -> Page[Claim]:
        """Return what a session's FINAL turns and its intervals claim of its audio, by start (see core/coverage.py).

        What changes between two pages may be met twice, or not at all.
        Raises NotFound (SESSION_NOT_FOUND), Invalid (BAD_PAGE_TOKEN).
        """
        ...

    async def changes(
        self, after: Seq, up_to: Seq, session_id: SessionId | None, limit: int
    ) -> Sequence[SessionRecord | SpeakerRecord | StoredTurn | IntervalRecord]:
        """Return everything whose latest change has after < seq <= up_to, by seq, at most `limit` of them."""
        ...
