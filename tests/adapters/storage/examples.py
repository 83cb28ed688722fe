"""Records with sensible values, for tests to vary."""

from dataclasses import replace
from typing import Any

from minuted_daemon.core.events import Attribution, TextSource
from minuted_daemon.core.records import (
    IntervalId,
    IntervalKind,
    IntervalRecord,
    OverlapRecord,
    SessionId,
    SessionRecord,
    SessionSettings,
    SessionState,
    SpeakerId,
    SpeakerRecord,
    TurnId,
    TurnLife,
    TurnRecord,
)
from minuted_daemon.core.samples import Sample

SESSION = SessionId("01J00000000000000000000001")


def session(session_id: str = SESSION, name: str = "boardroom", **changes: Any) -> SessionRecord:
    record = SessionRecord(
        id=SessionId(session_id),
        name=name,
        settings=SessionSettings("default", "local", "local", ("en", "pt-BR")),
        state=SessionState.RUNNING,
        created_s=1_795_000_000.25,
    )
    return replace(record, **changes)


def speaker(number: int, session_id: str = SESSION, **changes: Any) -> SpeakerRecord:
    record = SpeakerRecord(SpeakerId(f"{session_id}-S{number}"), SessionId(session_id), f"S{number}")
    return replace(record, **changes)


def turn(number: int, held_by: SpeakerRecord | None = None, session_id: str = SESSION, **changes: Any) -> TurnRecord:
    record = TurnRecord(
        id=TurnId(f"{session_id}-T{number:05}"),
        session_id=SessionId(session_id),
        start=Sample(number * 16_000),
        end=Sample(number * 16_000 + 12_000),
        speaker_id=None if held_by is None else held_by.id,
        attribution=Attribution.UNKNOWN if held_by is None else Attribution.DIARIZED,
        text=f"What was said as number {number}.",
        text_source=TextSource.COMPLETED,
        life=TurnLife.FINAL,
        start_wall_s=1_795_000_000.25 + number,
        generation=number,
        latency_s=0.75,
    )
    return replace(record, **changes)


def overlap(other: SpeakerRecord, duration: int = 4_000) -> OverlapRecord:
    return OverlapRecord(other.id, duration)


def interval(number: int, session_id: str = SESSION, **changes: Any) -> IntervalRecord:
    record = IntervalRecord(
        id=IntervalId(f"{session_id}-I{number:05}"),
        session_id=SessionId(session_id),
        kind=IntervalKind.GAP,
        start=Sample(number * 16_000),
        end=Sample(number * 16_000 + 800),
        start_wall_s=1_795_000_000.25 + number,
        reason="DEVICE_LOST",
    )
    return replace(record, **changes)
