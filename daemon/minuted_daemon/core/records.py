"""What the daemon stores and tells: sessions, speakers, turns and intervals as plain data.

Both the store and the service speak in these; protobuf and SQL rows stay in their adapters. `seq` is 0 until stored.
Wall times are seconds since 1970 (UTC).
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

from minuted_daemon.core.events import Attribution, Evidence, SuspectReason, TextSource
from minuted_daemon.core.samples import Sample

SessionId = NewType("SessionId", str)
TurnId = NewType("TurnId", str)
SpeakerId = NewType("SpeakerId", str)
IntervalId = NewType("IntervalId", str)
Seq = NewType("Seq", int)


class SessionState(Enum):
    """A session's life; service/session/status.py holds the table of its transitions."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    DELETED = "deleted"  # published once, as the last change of a session; no stored session is in this state


LIVE_STATES = frozenset({SessionState.STARTING, SessionState.RUNNING, SessionState.PAUSED, SessionState.STOPPING})


class Health(Enum):
    """How one link of a session (capture, diarizer, transcriber) is."""

    OFF = "off"  # the session does not use it
    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"  # being retried
    REFUSED = "refused"  # asked again seldom, until the configuration or account changes


@dataclass(frozen=True, slots=True)
class Link:
    """The health of one link, with a reason (UPPER_SNAKE) and one sentence unless all is well.

    A link that is UP may have a reason, too: it works, but not as it was meant to. Of one that is DOWN or REFUSED
    `since_s` tells since when, and `next_s` when it is tried next, unless somebody wants it sooner: in seconds since
    1970. Two links that differ in nothing else are the same.
    """

    health: Health
    reason: str = ""
    detail: str = ""
    since_s: float | None = field(default=None, compare=False)
    next_s: float | None = field(default=None, compare=False)


class TurnLife(Enum):
    """PARTIAL turns are never stored."""

    PARTIAL = "partial"
    FINAL = "final"
    RETRACTED = "retracted"


class IntervalKind(Enum):
    """Why a stretch of the sample clock holds no speech to be attributed."""

    GAP = "gap"
    MUTED = "muted"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a client asked for; equal settings make StartSession idempotent."""

    device: str
    diarizer: str  # pyannote, local or none: never auto, which is resolved before
    transcriber: str  # openai, local or none
    languages: tuple[str, ...] = ()
    fallback: str = "none"  # or local: who takes over while an engine refuses
    keep_audio: bool = False  # all of it, for good
    channels: tuple[int, ...] = ()  # of the source, from 1 on; none named: all of them
    mix: str = "best"  # see core/downmix.py


@dataclass(frozen=True, slots=True)
class WallPoint:
    """At sample `at` the wall clock showed `wall_s`: one point of the map from samples to time."""

    at: Sample
    wall_s: float


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as stored. Link health is live state and not stored, but `reason` of a FAILED session is.

    `diarizer_sent` and `transcriber_sent`: samples at 16 kHz that went to each engine, as of the last change of state.
    """

    id: SessionId
    name: str
    settings: SessionSettings
    state: SessionState
    created_s: float
    ended_s: float | None = None
    heard: Sample = Sample(0)  # noqa: RUF009  a NewType
    reason: str = ""
    detail: str = ""
    diarizer_sent: int = 0
    transcriber_sent: int = 0
    seq: Seq = Seq(0)


@dataclass(frozen=True, slots=True)
class SpeakerRecord:
    """A person as far as the session can tell. `label` is S1, S2, ...; `display_name` is empty until given."""

    id: SpeakerId
    session_id: SessionId
    label: str
    display_name: str = ""
    seq: Seq = Seq(0)


@dataclass(frozen=True, slots=True)
class OverlapRecord:
    """Another speaker who spoke during a turn, and for how many samples."""

    speaker_id: SpeakerId
    duration: int


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One revision of a turn. `generation` numbers the commit its text answers, None where there is none.

    `suspect`: why the text looks invented, None if it does not. `evidence`: what was heard in its audio, None if
    unknown.
    """

    id: TurnId
    session_id: SessionId
    start: Sample
    end: Sample
    speaker_id: SpeakerId | None
    attribution: Attribution
    text: str
    text_source: TextSource
    life: TurnLife
    start_wall_s: float
    overlapping: tuple[OverlapRecord, ...] = ()
    revision: int = 0
    generation: int | None = None
    latency_s: float | None = None
    seq: Seq = Seq(0)
    suspect: SuspectReason | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class IntervalRecord:
    """A stretch of the sample clock that is not speech to be attributed. `reason` is UPPER_SNAKE."""

    id: IntervalId
    session_id: SessionId
    kind: IntervalKind
    start: Sample
    end: Sample
    start_wall_s: float
    reason: str = ""
    seq: Seq = Seq(0)


Record = SessionRecord | SpeakerRecord | TurnRecord | IntervalRecord


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn with what a reader needs beside it: its session's name and the speakers it refers to."""

    turn: TurnRecord
    session_name: str
    speakers: tuple[SpeakerRecord, ...] = field(default=())
