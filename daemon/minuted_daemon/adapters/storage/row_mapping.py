"""Records to rows and back. Nothing here talks to a database."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from minuted_daemon.core.events import Attribution, Evidence, SuspectReason, TextSource
from minuted_daemon.core.records import (
    IntervalId,
    IntervalKind,
    IntervalRecord,
    OverlapRecord,
    Seq,
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

Values = Mapping[str, str | int | float | None]
AnyRow = Row[*tuple[Any, ...]]


def session_values(record: SessionRecord) -> Values:
    """Return all columns of `sessions` but `created_seq` and those of an interruption."""
    return {
        "id": record.id,
        "name": record.name,
        "device": record.settings.device,
        "diarizer": record.settings.diarizer,
        "transcriber": record.settings.transcriber,
        "languages": json.dumps(record.settings.languages),
        "fallback": record.settings.fallback,
        "keep_audio": int(record.settings.keep_audio),
        "channels": json.dumps(record.settings.channels),
        "mix": record.settings.mix,
        "state": record.state.value,
        "created_s": record.created_s,
        "ended_s": record.ended_s,
        "heard": record.heard,
        "reason": record.reason,
        "detail": record.detail,
        "diarizer_sent": record.diarizer_sent,
        "transcriber_sent": record.transcriber_sent,
        "seq": record.seq,
    }


def session_record(row: AnyRow) -> SessionRecord:
    """Read a row of `sessions`."""
    return SessionRecord(
        id=SessionId(row.id),
        name=row.name,
        settings=SessionSettings(
            row.device,
            row.diarizer,
            row.transcriber,
            tuple(json.loads(row.languages)),
            row.fallback,
            bool(row.keep_audio),
            tuple(json.loads(row.channels)),
            row.mix,
        ),
        state=SessionState(row.state),
        created_s=row.created_s,
        ended_s=row.ended_s,
        heard=Sample(row.heard),
        reason=row.reason,
        detail=row.detail,
        diarizer_sent=row.diarizer_sent,
        transcriber_sent=row.transcriber_sent,
        seq=Seq(row.seq),
    )


def deletion_record(row: AnyRow) -> SessionRecord:
    """Read a row of `deleted_sessions`."""
    nothing = SessionSettings("", "", "")
    return SessionRecord(
        SessionId(row.id), row.name, nothing, SessionState.DELETED, created_s=row.created_s, seq=Seq(row.seq)
    )


def speaker_values(record: SpeakerRecord) -> Values:
    """Return all columns of `speakers`."""
    return {
        "id": record.id,
        "session_id": record.session_id,
        "label": record.label,
        "display_name": record.display_name,
        "seq": record.seq,
    }


def speaker_record(row: AnyRow) -> SpeakerRecord:
    """Read a row of `speakers`."""
    return SpeakerRecord(SpeakerId(row.id), SessionId(row.session_id), row.label, row.display_name, Seq(row.seq))


def turn_values(record: TurnRecord) -> Values:
    """Return all columns of `turns` but `number`."""
    return {
        "id": record.id,
        "session_id": record.session_id,
        "revision": record.revision,
        "start": record.start,
        "end": record.end,
        "speaker_id": record.speaker_id,
        "attribution": record.attribution.value,
        "text": record.text,
        "text_source": record.text_source.value,
        "life": record.life.value,
        "start_wall_s": record.start_wall_s,
        "generation": record.generation,
        "latency_s": record.latency_s,
        "seq": record.seq,
        "suspect": None if record.suspect is None else record.suspect.value,
        "spoken": None if record.evidence is None else record.evidence.spoken,
        "voiced": None if record.evidence is None else record.evidence.voiced,
    }


def overlap_values(record: TurnRecord) -> Sequence[Values]:
    """Return the rows of `turn_overlaps` of this revision."""
    return [
        {
            "turn_id": record.id,
            "revision": record.revision,
            "position": position,
            "speaker_id": overlap.speaker_id,
            "duration": overlap.duration,
        }
        for position, overlap in enumerate(record.overlapping)
    ]


def turn_record(row: AnyRow, overlapping: tuple[OverlapRecord, ...]) -> TurnRecord:
    """Read a row of `turns`."""
    return TurnRecord(
        id=TurnId(row.id),
        session_id=SessionId(row.session_id),
        start=Sample(row.start),
        end=Sample(row.end),
        speaker_id=None if row.speaker_id is None else SpeakerId(row.speaker_id),
        attribution=Attribution(row.attribution),
        text=row.text,
        text_source=TextSource(row.text_source),
        life=TurnLife(row.life),
        start_wall_s=row.start_wall_s,
        overlapping=overlapping,
        revision=row.revision,
        generation=row.generation,
        latency_s=row.latency_s,
        seq=Seq(row.seq),
        suspect=None if row.suspect is None else SuspectReason(row.suspect),
        evidence=None if row.spoken is None else Evidence(row.spoken, row.voiced),
    )


def interval_values(record: IntervalRecord) -> Values:
    """Return all columns of `intervals`."""
    return {
        "id": record.id,
        "session_id": record.session_id,
        "kind": record.kind.value,
        "start": record.start,
        "end": record.end,
        "start_wall_s": record.start_wall_s,
        "reason": record.reason,
        "seq": record.seq,
    }


def interval_record(row: AnyRow) -> IntervalRecord:
    """Read a row of `intervals`."""
    return IntervalRecord(
        id=IntervalId(row.id),
        session_id=SessionId(row.session_id),
        kind=IntervalKind(row.kind),
        start=Sample(row.start),
        end=Sample(row.end),
        start_wall_s=row.start_wall_s,
        reason=row.reason,
        seq=Seq(row.seq),
    )
