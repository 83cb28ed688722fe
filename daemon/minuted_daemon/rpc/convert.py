"""From the service's plain data to the contract's messages. No decisions, no I/O."""

from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from minuted.v1 import daemon_pb2, devices_pb2, sessions_pb2, speakers_pb2, turns_pb2
from minuted_daemon.core import records
from minuted_daemon.core.coverage import Coverage
from minuted_daemon.core.events import Attribution, SuspectReason, TextSource
from minuted_daemon.core.records import Health, IntervalKind, SessionState, TurnLife
from minuted_daemon.core.samples import RATE_HZ
from minuted_daemon.ports.capture import DeviceInfo
from minuted_daemon.service.views import (
    CaughtUp,
    Delivery,
    EngineInfo,
    Heartbeat,
    Links,
    PartialTurn,
    RetriedLink,
    SessionView,
    StoredItem,
)

NANOS = 1_000_000_000
SAMPLE_NANOS = NANOS // RATE_HZ
"""62,500: a whole number, so a position on the sample clock is exact as a Duration."""

STATES: Mapping[SessionState, sessions_pb2.SessionState] = {
    SessionState.STARTING: sessions_pb2.SESSION_STATE_STARTING,
    SessionState.RUNNING: sessions_pb2.SESSION_STATE_RUNNING,
    SessionState.PAUSED: sessions_pb2.SESSION_STATE_PAUSED,
    SessionState.STOPPING: sessions_pb2.SESSION_STATE_STOPPING,
    SessionState.STOPPED: sessions_pb2.SESSION_STATE_STOPPED,
    SessionState.FAILED: sessions_pb2.SESSION_STATE_FAILED,
    SessionState.DELETED: sessions_pb2.SESSION_STATE_DELETED,
}
HEALTHS: Mapping[Health, sessions_pb2.LinkHealth] = {
    Health.OFF: sessions_pb2.LINK_HEALTH_OFF,
    Health.CONNECTING: sessions_pb2.LINK_HEALTH_CONNECTING,
    Health.UP: sessions_pb2.LINK_HEALTH_UP,
    Health.DOWN: sessions_pb2.LINK_HEALTH_DOWN,
    Health.REFUSED: sessions_pb2.LINK_HEALTH_REFUSED,
}
LIVES: Mapping[TurnLife, turns_pb2.TurnState] = {
    TurnLife.PARTIAL: turns_pb2.TURN_STATE_PARTIAL,
    TurnLife.FINAL: turns_pb2.TURN_STATE_FINAL,
    TurnLife.RETRACTED: turns_pb2.TURN_STATE_RETRACTED,
}
ATTRIBUTIONS: Mapping[Attribution, turns_pb2.Attribution] = {
    Attribution.DIARIZED: turns_pb2.ATTRIBUTION_DIARIZED,
    Attribution.INFERRED: turns_pb2.ATTRIBUTION_INFERRED,
    Attribution.UNKNOWN: turns_pb2.ATTRIBUTION_UNKNOWN,
}
TEXT_SOURCES: Mapping[TextSource, turns_pb2.TextSource] = {
    TextSource.COMPLETED: turns_pb2.TEXT_SOURCE_COMPLETED,
    TextSource.PROVISIONAL: turns_pb2.TEXT_SOURCE_PROVISIONAL,
    TextSource.NONE: turns_pb2.TEXT_SOURCE_NONE,
}
SUSPECT_REASONS: Mapping[SuspectReason, turns_pb2.SuspectReason] = {
    SuspectReason.NO_SPEECH: turns_pb2.SUSPECT_REASON_NO_SPEECH,
    SuspectReason.BOILERPLATE: turns_pb2.SUSPECT_REASON_BOILERPLATE,
    SuspectReason.REPETITION: turns_pb2.SUSPECT_REASON_REPETITION,
    SuspectReason.TOO_FAST: turns_pb2.SUSPECT_REASON_TOO_FAST,
    SuspectReason.CUMULATIVE: turns_pb2.SUSPECT_REASON_CUMULATIVE,
}
KINDS: Mapping[IntervalKind, turns_pb2.IntervalKind] = {
    IntervalKind.GAP: turns_pb2.INTERVAL_KIND_GAP,
    IntervalKind.MUTED: turns_pb2.INTERVAL_KIND_MUTED,
    IntervalKind.LOST: turns_pb2.INTERVAL_KIND_LOST,
}


def offset(position: int) -> Duration:
    """Return a position or length on the sample clock, exactly."""
    whole, rest = divmod(position, RATE_HZ)
    return Duration(seconds=whole, nanos=rest * SAMPLE_NANOS)


def length(length_s: float) -> Duration:
    """Return a length of at least 0, to the microsecond."""
    whole, micros = divmod(round(max(length_s, 0.0) * 1_000_000), 1_000_000)
    return Duration(seconds=whole, nanos=micros * 1_000)


def time(wall_s: float) -> Timestamp:
    """Return a wall time, to the microsecond: a float holds no more."""
    whole, micros = divmod(round(wall_s * 1_000_000), 1_000_000)
    return Timestamp(seconds=whole, nanos=micros * 1_000)


def session(view: SessionView) -> sessions_pb2.Session:
    """Return a session with its live state."""
    message = stored_session(view.record)
    message.duration.CopyFrom(offset(view.heard))
    if view.coverage is not None:
        message.coverage.CopyFrom(coverage(view.coverage))
    if view.links and view.record.state in records.LIVE_STATES:
        message.capture_link.CopyFrom(link(view.links.capture))
        message.diarizer_link.CopyFrom(link(view.links.diarizer))
        message.transcriber_link.CopyFrom(link(view.links.transcriber))
        message.spool_link.CopyFrom(link(view.links.spool))
        message.degraded = _degraded(view.links)
    return message


def coverage(value: Coverage) -> sessions_pb2.Coverage:
    """Return the coverage of a session's audio."""
    return sessions_pb2.Coverage(
        text=offset(value.text),
        silence=offset(value.silence),
        muted=offset(value.muted),
        pending=offset(value.pending),
        lost=[sessions_pb2.Loss(reason=reason, duration=offset(lost)) for reason, lost in value.lost.items()],
    )


def stored_session(record: records.SessionRecord) -> sessions_pb2.Session:
    """Return a session as stored: without the health of its links."""
    message = sessions_pb2.Session(
        id=record.id,
        name=record.name,
        seq=record.seq,
        state=STATES[record.state],
        device=record.settings.device,
        diarizer=record.settings.diarizer,
        transcriber=record.settings.transcriber,
        languages=record.settings.languages,
        fallback=record.settings.fallback,
        keep_audio=record.settings.keep_audio,
        channels=record.settings.channels,
        mix=record.settings.mix,
        diarizer_sent=offset(record.diarizer_sent),
        transcriber_sent=offset(record.transcriber_sent),
        start_time=time(record.created_s),
        duration=offset(record.heard),
    )
    if record.ended_s is not None:
        message.end_time.CopyFrom(time(record.ended_s))
    if record.state is SessionState.FAILED:
        message.failure.CopyFrom(sessions_pb2.Failure(reason=record.reason, detail=record.detail))
    return message


def link(value: records.Link) -> sessions_pb2.Link:
    """Return one link's health."""
    message = sessions_pb2.Link(health=HEALTHS[value.health], reason=value.reason, detail=value.detail)
    if value.since_s is not None:
        message.since.CopyFrom(time(value.since_s))
    if value.next_s is not None:
        message.next_attempt.CopyFrom(time(value.next_s))
    return message


def retried_link(value: RetriedLink) -> sessions_pb2.RetriedLink:
    """Return a link that was refused, and its state after it was asked again."""
    return sessions_pb2.RetriedLink(
        session_id=value.session_id,
        session_name=value.session_name,
        role=value.role,
        engine=value.engine,
        asked=value.asked,
        link=link(value.link),
    )


def _degraded(links: Links) -> bool:
    used = (links.capture, links.diarizer, links.transcriber, links.spool)
    return any(one.health not in (Health.UP, Health.OFF) or one.reason for one in used)


def speaker(record: records.SpeakerRecord) -> speakers_pb2.Speaker:
    """Return a speaker as a turn names it."""
    return speakers_pb2.Speaker(id=record.id, label=record.label, display_name=record.display_name)


def turn(stored: records.StoredTurn) -> turns_pb2.Turn:
    """Return a turn, partial or stored."""
    record = stored.turn
    speakers = {one.id: speaker(one) for one in stored.speakers}
    message = turns_pb2.Turn(
        id=record.id,
        session_id=record.session_id,
        session_name=stored.session_name,
        seq=record.seq,
        text=record.text,
        state=LIVES[record.life],
        revision=record.revision,
        start_offset=offset(record.start),
        end_offset=offset(record.end),
        start_time=time(record.start_wall_s),
        attribution=ATTRIBUTIONS[record.attribution],
        speaker=speakers.get(record.speaker_id) if record.speaker_id else None,
        overlapping_speakers=[
            turns_pb2.OverlappingSpeaker(speaker=speakers[other.speaker_id], duration=offset(other.duration))
            for other in record.overlapping
            if other.speaker_id in speakers
        ],
    )
    if record.life is not TurnLife.PARTIAL:
        message.text_source = TEXT_SOURCES[record.text_source]
        if record.latency_s is not None:
            message.latency.CopyFrom(length(record.latency_s))
        if record.suspect is not None:
            message.suspect.reason = SUSPECT_REASONS[record.suspect]
    return message


def interval(record: records.IntervalRecord, session_name: str) -> turns_pb2.Interval:
    """Return an interval."""
    return turns_pb2.Interval(
        id=record.id,
        session_id=record.session_id,
        session_name=session_name,
        seq=record.seq,
        kind=KINDS[record.kind],
        reason=record.reason,
        start_offset=offset(record.start),
        end_offset=offset(record.end),
        start_time=time(record.start_wall_s),
    )


def delivery(given: Delivery) -> turns_pb2.StreamTurnsResponse:
    """Return one message of a subscriber's stream."""
    if isinstance(given, CaughtUp):
        return turns_pb2.StreamTurnsResponse(caught_up=turns_pb2.CaughtUp(seq=given.seq))
    if isinstance(given, Heartbeat):
        return turns_pb2.StreamTurnsResponse(heartbeat=turns_pb2.Heartbeat(seq=given.seq))
    if isinstance(given, PartialTurn):
        return turns_pb2.StreamTurnsResponse(turn=turn(given.turn))
    return _stored(given.item, given.session_name)


def _stored(item: StoredItem, session_name: str) -> turns_pb2.StreamTurnsResponse:
    if isinstance(item, records.StoredTurn):
        return turns_pb2.StreamTurnsResponse(turn=turn(item))
    if isinstance(item, records.SpeakerRecord):
        return turns_pb2.StreamTurnsResponse(
            speaker=speakers_pb2.SpeakerChange(
                session_id=item.session_id, session_name=session_name, seq=item.seq, speaker=speaker(item)
            )
        )
    if isinstance(item, records.IntervalRecord):
        return turns_pb2.StreamTurnsResponse(interval=interval(item, session_name))
    return turns_pb2.StreamTurnsResponse(session=stored_session(item))


def device(info: DeviceInfo) -> devices_pb2.Device:
    """Return an input of this machine."""
    return devices_pb2.Device(
        name=info.name,
        description=info.description,
        host_api=info.host_api,
        channels=info.channels,
        rate_hz=info.rate_hz,
        is_default=info.is_default,
    )


def engine(info: EngineInfo) -> daemon_pb2.Engine:
    """Return an engine and whether it can be used."""
    return daemon_pb2.Engine(name=info.name, role=info.role, available=info.available, reason=info.reason)
