"""What the service needs from the outside, as small protocols. Adapters implement them; only app.py joins the two.

Rules that hold for every port:
- Errors are those of errors.py; no third-party exception crosses a port.
- A stream object is one connection. It never reconnects and never retries: service/retries alone decides that.
- `close()` is idempotent, takes at most 2 s, never raises, and may be called at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from minuted_daemon.core.records import (
    IntervalRecord,
    Record,
    SessionId,
    SessionRecord,
    SpeakerRecord,
    StoredTurn,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.minutes import MinutesReader, Page

REDACTED = "REDACTED"
"""The reason of the MUTED interval that a redaction leaves behind."""


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """How far a session's stored things go.

    `end`: up to it the sample clock is known to have run (told by the session, a turn or an interval). `turns_end`: the
    highest end of a FINAL turn, 0 if there is none. `generation`: the highest that any revision of a turn carries.
    `speakers`: all of them, by label number.
    """

    end: Sample
    turns_end: Sample
    generation: int | None
    speakers: tuple[SpeakerRecord, ...]


@dataclass(frozen=True, slots=True)
class OwedTurn:
    """A FINAL turn without its text, or with the first part of it only, and the stretch that it alone may be heard in.

    `free_from`: where the FINAL turn before it ends, `free_to`: where the one after it begins, None without one.
    """

    stored: StoredTurn
    free_from: Sample | None = None
    free_to: Sample | None = None


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """What is to be erased: all of a session, or what was said in `interval`."""

    session_id: SessionId
    session_name: str
    interval: IntervalRecord | None = None


@dataclass(frozen=True, slots=True)
class Interruption:
    """The daemon's own end interrupted a session: when (seconds since 1970), and whether it was paused."""

    at_s: float
    paused: bool


NONE_INTERRUPTED: Mapping[SessionId, Interruption | None] = MappingProxyType({})


class Store(MinutesReader, Protocol):
    """The minutes on disk, read and written. Everything that returns has been committed durably."""

    async def write(
        self, records: Sequence[Record], interruptions: Mapping[SessionId, Interruption | None] = NONE_INTERRUPTED
    ) -> Sequence[Record]:
        """Insert or replace the records in one transaction, each getting the next seq, in order; return them so.

        In the same transaction sessions are marked as interrupted, or (None) no longer so. A mark is no change that is
        told, and stays until it is taken away, whatever else of its session is stored.
        A TurnRecord whose id exists becomes its newest revision (`revision` is set by the store; earlier ones stay).
        One that touches a redacted interval is stored, and given back, without its words (see core/redaction.py).
        Raises StoreError; then nothing of it was stored.
        """
        ...

    async def revise(self, record: TurnRecord | SessionRecord) -> Sequence[Record]:
        """Store what was read here and changed since, as `write` does, and give it back.

        Returns nothing, and stores nothing, if the store's own has another `seq` than the record by now, or is deleted.
        Raises StoreError; then nothing of it was stored.
        """
        ...

    async def write_wall_points(self, session_id: SessionId, points: Sequence[WallPoint]) -> None:
        """Add points to a session's map from samples to wall time. They carry no seq."""
        ...

    async def wall_points(self, session_id: SessionId) -> Sequence[WallPoint]:
        """Return a session's map from samples to wall time, by sample. Raises NotFound (SESSION_NOT_FOUND)."""
        ...

    async def resume_point(self, session_id: SessionId) -> ResumePoint:
        """Return how far a session's stored things go, for one that goes on. Raises NotFound (SESSION_NOT_FOUND)."""
        ...

    async def delete_session(self, session_id: SessionId) -> SessionRecord:
        """Delete an ended session for every reader; return what is to be told: it in state DELETED, with a seq.

        Of all changes of the session only this one is left. Its bytes are gone once `erase` returns. The request to
        erase it is kept, in the same transaction, until `erased`.
        Raises NotFound (SESSION_NOT_FOUND), WrongState (SESSION_LIVE), StoreError; then nothing is deleted.
        """
        ...

    async def redact(self, interval: IntervalRecord) -> Sequence[Record]:
        """Store a MUTED interval with reason REDACTED, and take what was said in it out of the session's turns.

        Turns inside are retracted; turns that reach out lose all their words and keep the longer part outside (the
        interval takes in the shorter one); earlier revisions that touch it are forgotten. Returns what was stored, in
        order of seq: the interval first, then the first of the turns. To be called again with the same interval until
        it returns nothing: in between others may write. The bytes are gone once `erase` returns. The request to erase
        it is kept, in the transaction that stores the interval, until `erased`.
        Raises NotFound (SESSION_NOT_FOUND), StoreError; then nothing of this call was stored.
        """
        ...

    async def interrupted(self) -> Sequence[tuple[SessionRecord, Interruption]]:
        """Return the sessions that are marked as interrupted, oldest first. Raises StoreError."""
        ...

    async def erasures(self) -> Sequence[ErasureRequest]:
        """Return what is to be erased and is not known to be gone, oldest first. Raises StoreError."""
        ...

    async def erased(self, request: ErasureRequest) -> None:
        """Note that a request is done. Raises StoreError; then it is found again at the next start."""
        ...

    async def erase(self) -> None:
        """Make sure that nothing of what was deleted or redacted is left in the files.

        To be called after each of these, and once at start, for what a crash left. May take seconds; writes go on in
        between. Raises StoreError (ERASURE_DELAYED while another program reads an older state; then call it again).
        """
        ...

    async def sessions_in_progress(self) -> Sequence[SessionRecord]:
        """Sessions whose stored state is a live one (left behind by a crash, when asked at start)."""
        ...

    async def owed_turns(self, session_id: SessionId, limit: int, token: str | None) -> Page[OwedTurn]:
        """A session's FINAL turns whose text_source is NONE or PROVISIONAL, by start, then id.

        Redacted ones lack none. Raises Invalid (BAD_PAGE_TOKEN).
        """
        ...

    async def stored_turn(self, turn: TurnRecord) -> StoredTurn:
        """Join a turn with its session's name and its speakers as they are now."""
        ...

    async def close(self) -> None:
        """Finish what is being written and let go of the database."""
        ...
