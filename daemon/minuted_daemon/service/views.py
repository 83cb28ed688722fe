"""What the service tells the RPC layer: sessions with their live state, and the things a subscriber receives."""

from dataclasses import dataclass

from minuted_daemon.core.coverage import Coverage
from minuted_daemon.core.records import (
    Health,
    IntervalRecord,
    Link,
    Seq,
    SessionId,
    SessionRecord,
    SpeakerRecord,
    StoredTurn,
)
from minuted_daemon.core.samples import Sample


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A StartSession as it came in. Empty strings mean: as configured for this name, else the default."""

    name: str
    device: str = ""
    diarizer: str = ""
    transcriber: str = ""
    languages: tuple[str, ...] = ()
    fallback: str = ""
    keep_audio: bool | None = None  # None: as configured
    channels: tuple[int, ...] = ()
    mix: str = ""


@dataclass(frozen=True, slots=True)
class Links:
    """The health of a live session's links: to its three partners, and to the disk that its audio goes to."""

    capture: Link
    diarizer: Link
    transcriber: Link
    spool: Link = Link(Health.OFF)  # noqa: RUF009  frozen


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as it is now. `links` is None once it has ended; `heard` is how far its sample clock has run.

    `coverage` is there where it was asked for, and adds up to `heard`.
    """

    record: SessionRecord
    links: Links | None
    heard: Sample
    coverage: Coverage | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Either the `last` samples of a session as it is now, or what lies from `start` on and before `end`.

    No `end`: up to now.
    """

    last: int | None = None
    start: Sample = Sample(0)  # noqa: RUF009  a NewType
    end: Sample | None = None


@dataclass(frozen=True, slots=True)
class Redaction:
    """What a redaction left: nothing of [start, end), which may be more than was asked for, and `turns` changed."""

    start: Sample
    end: Sample
    turns: int


@dataclass(frozen=True, slots=True)
class RetriedLink:
    """A link that was refused: whether its engine was asked again now, and how it is.

    Without a session: the texts that ended sessions are owed.
    """

    session_id: SessionId
    session_name: str
    role: str
    engine: str
    asked: bool
    link: Link


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """An engine and whether a session could use it now; `reason` is UPPER_SNAKE where not."""

    name: str
    role: str
    available: bool
    reason: str = ""


StoredItem = SessionRecord | SpeakerRecord | StoredTurn | IntervalRecord
"""The same union that Store.changes gives; a StoredTurn's seq is `item.turn.seq`."""


@dataclass(frozen=True, slots=True)
class StoredChange:
    """Something that was committed to the store, and is therefore told."""

    seq: Seq
    session_id: SessionId
    session_name: str
    item: StoredItem


@dataclass(frozen=True, slots=True)
class PartialTurn:
    """A turn that is still growing (life PARTIAL), or was taken back before it was ever final (life RETRACTED)."""

    turn: StoredTurn


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """All up to `seq` that matches the subscriber's filter has been given."""

    seq: Seq


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened for a while; all up to `seq` that matches has been given."""

    seq: Seq


Delivery = StoredChange | PartialTurn | CaughtUp | Heartbeat
