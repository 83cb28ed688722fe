import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from minuted.v1 import sessions_pb2 as _sessions_pb2
from minuted.v1 import speakers_pb2 as _speakers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TurnState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TURN_STATE_UNSPECIFIED: _ClassVar[TurnState]
    TURN_STATE_PARTIAL: _ClassVar[TurnState]
    TURN_STATE_FINAL: _ClassVar[TurnState]
    TURN_STATE_RETRACTED: _ClassVar[TurnState]

class Attribution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTRIBUTION_UNSPECIFIED: _ClassVar[Attribution]
    ATTRIBUTION_DIARIZED: _ClassVar[Attribution]
    ATTRIBUTION_INFERRED: _ClassVar[Attribution]
    ATTRIBUTION_UNKNOWN: _ClassVar[Attribution]

class TextSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_SOURCE_UNSPECIFIED: _ClassVar[TextSource]
    TEXT_SOURCE_COMPLETED: _ClassVar[TextSource]
    TEXT_SOURCE_PROVISIONAL: _ClassVar[TextSource]
    TEXT_SOURCE_NONE: _ClassVar[TextSource]

class SuspectReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUSPECT_REASON_UNSPECIFIED: _ClassVar[SuspectReason]
    SUSPECT_REASON_NO_SPEECH: _ClassVar[SuspectReason]
    SUSPECT_REASON_BOILERPLATE: _ClassVar[SuspectReason]
    SUSPECT_REASON_REPETITION: _ClassVar[SuspectReason]
    SUSPECT_REASON_TOO_FAST: _ClassVar[SuspectReason]
    SUSPECT_REASON_CUMULATIVE: _ClassVar[SuspectReason]

class IntervalKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INTERVAL_KIND_UNSPECIFIED: _ClassVar[IntervalKind]
    INTERVAL_KIND_GAP: _ClassVar[IntervalKind]
    INTERVAL_KIND_MUTED: _ClassVar[IntervalKind]
    INTERVAL_KIND_LOST: _ClassVar[IntervalKind]

class ExportFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPORT_FORMAT_UNSPECIFIED: _ClassVar[ExportFormat]
    EXPORT_FORMAT_SRT: _ClassVar[ExportFormat]
    EXPORT_FORMAT_VTT: _ClassVar[ExportFormat]
    EXPORT_FORMAT_TXT: _ClassVar[ExportFormat]
    EXPORT_FORMAT_MD: _ClassVar[ExportFormat]
    EXPORT_FORMAT_JSON: _ClassVar[ExportFormat]
    EXPORT_FORMAT_RTTM: _ClassVar[ExportFormat]
    EXPORT_FORMAT_STM: _ClassVar[ExportFormat]
    EXPORT_FORMAT_SEGLST: _ClassVar[ExportFormat]
TURN_STATE_UNSPECIFIED: TurnState
TURN_STATE_PARTIAL: TurnState
TURN_STATE_FINAL: TurnState
TURN_STATE_RETRACTED: TurnState
ATTRIBUTION_UNSPECIFIED: Attribution
ATTRIBUTION_DIARIZED: Attribution
ATTRIBUTION_INFERRED: Attribution
ATTRIBUTION_UNKNOWN: Attribution
TEXT_SOURCE_UNSPECIFIED: TextSource
TEXT_SOURCE_COMPLETED: TextSource
TEXT_SOURCE_PROVISIONAL: TextSource
TEXT_SOURCE_NONE: TextSource
SUSPECT_REASON_UNSPECIFIED: SuspectReason
SUSPECT_REASON_NO_SPEECH: SuspectReason
SUSPECT_REASON_BOILERPLATE: SuspectReason
SUSPECT_REASON_REPETITION: SuspectReason
SUSPECT_REASON_TOO_FAST: SuspectReason
SUSPECT_REASON_CUMULATIVE: SuspectReason
INTERVAL_KIND_UNSPECIFIED: IntervalKind
INTERVAL_KIND_GAP: IntervalKind
INTERVAL_KIND_MUTED: IntervalKind
INTERVAL_KIND_LOST: IntervalKind
EXPORT_FORMAT_UNSPECIFIED: ExportFormat
EXPORT_FORMAT_SRT: ExportFormat
EXPORT_FORMAT_VTT: ExportFormat
EXPORT_FORMAT_TXT: ExportFormat
EXPORT_FORMAT_MD: ExportFormat
EXPORT_FORMAT_JSON: ExportFormat
EXPORT_FORMAT_RTTM: ExportFormat
EXPORT_FORMAT_STM: ExportFormat
EXPORT_FORMAT_SEGLST: ExportFormat

class Suspect(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: SuspectReason
    def __init__(self, reason: _Optional[_Union[SuspectReason, str]] = ...) -> None: ...

class OverlappingSpeaker(_message.Message):
    __slots__ = ("speaker", "duration")
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    speaker: _speakers_pb2.Speaker
    duration: _duration_pb2.Duration
    def __init__(self, speaker: _Optional[_Union[_speakers_pb2.Speaker, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Turn(_message.Message):
    __slots__ = ("id", "session_id", "session_name", "seq", "speaker", "overlapping_speakers", "text", "state", "revision", "start_offset", "end_offset", "start_time", "attribution", "text_source", "latency", "suspect")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NAME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    OVERLAPPING_SPEAKERS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    END_OFFSET_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    TEXT_SOURCE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    SUSPECT_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    session_name: str
    seq: int
    speaker: _speakers_pb2.Speaker
    overlapping_speakers: _containers.RepeatedCompositeFieldContainer[OverlappingSpeaker]
    text: str
    state: TurnState
    revision: int
    start_offset: _duration_pb2.Duration
    end_offset: _duration_pb2.Duration
    start_time: _timestamp_pb2.Timestamp
    attribution: Attribution
    text_source: TextSource
    latency: _duration_pb2.Duration
    suspect: Suspect
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., session_name: _Optional[str] = ..., seq: _Optional[int] = ..., speaker: _Optional[_Union[_speakers_pb2.Speaker, _Mapping]] = ..., overlapping_speakers: _Optional[_Iterable[_Union[OverlappingSpeaker, _Mapping]]] = ..., text: _Optional[str] = ..., state: _Optional[_Union[TurnState, str]] = ..., revision: _Optional[int] = ..., start_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., end_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attribution: _Optional[_Union[Attribution, str]] = ..., text_source: _Optional[_Union[TextSource, str]] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., suspect: _Optional[_Union[Suspect, _Mapping]] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("id", "session_id", "session_name", "seq", "kind", "reason", "start_offset", "end_offset", "start_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NAME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    END_OFFSET_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    session_name: str
    seq: int
    kind: IntervalKind
    reason: str
    start_offset: _duration_pb2.Duration
    end_offset: _duration_pb2.Duration
    start_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., session_name: _Optional[str] = ..., seq: _Optional[int] = ..., kind: _Optional[_Union[IntervalKind, str]] = ..., reason: _Optional[str] = ..., start_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., end_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StreamTurnsRequest(_message.Message):
    __slots__ = ("session", "after_seq", "include_partials", "exclude_suspect")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PARTIALS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_SUSPECT_FIELD_NUMBER: _ClassVar[int]
    session: str
    after_seq: int
    include_partials: bool
    exclude_suspect: bool
    def __init__(self, session: _Optional[str] = ..., after_seq: _Optional[int] = ..., include_partials: _Optional[bool] = ..., exclude_suspect: _Optional[bool] = ...) -> None: ...

class CaughtUp(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class StreamTurnsResponse(_message.Message):
    __slots__ = ("turn", "speaker", "interval", "session", "caught_up", "heartbeat")
    TURN_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    turn: Turn
    speaker: _speakers_pb2.SpeakerChange
    interval: Interval
    session: _sessions_pb2.Session
    caught_up: CaughtUp
    heartbeat: Heartbeat
    def __init__(self, turn: _Optional[_Union[Turn, _Mapping]] = ..., speaker: _Optional[_Union[_speakers_pb2.SpeakerChange, _Mapping]] = ..., interval: _Optional[_Union[Interval, _Mapping]] = ..., session: _Optional[_Union[_sessions_pb2.Session, _Mapping]] = ..., caught_up: _Optional[_Union[CaughtUp, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class ListTurnsRequest(_message.Message):
    __slots__ = ("session", "page_size", "page_token", "as_delivered", "exclude_suspect")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AS_DELIVERED_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_SUSPECT_FIELD_NUMBER: _ClassVar[int]
    session: str
    page_size: int
    page_token: str
    as_delivered: bool
    exclude_suspect: bool
    def __init__(self, session: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., as_delivered: _Optional[bool] = ..., exclude_suspect: _Optional[bool] = ...) -> None: ...

class ListTurnsResponse(_message.Message):
    __slots__ = ("turns", "next_page_token")
    TURNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    turns: _containers.RepeatedCompositeFieldContainer[Turn]
    next_page_token: str
    def __init__(self, turns: _Optional[_Iterable[_Union[Turn, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SearchTurnsRequest(_message.Message):
    __slots__ = ("query", "session", "page_size", "page_token", "exclude_suspect")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_SUSPECT_FIELD_NUMBER: _ClassVar[int]
    query: str
    session: str
    page_size: int
    page_token: str
    exclude_suspect: bool
    def __init__(self, query: _Optional[str] = ..., session: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., exclude_suspect: _Optional[bool] = ...) -> None: ...

class SearchTurnsResponse(_message.Message):
    __slots__ = ("turns", "next_page_token")
    TURNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    turns: _containers.RepeatedCompositeFieldContainer[Turn]
    next_page_token: str
    def __init__(self, turns: _Optional[_Iterable[_Union[Turn, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExportTranscriptRequest(_message.Message):
    __slots__ = ("session", "format", "exclude_suspect")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_SUSPECT_FIELD_NUMBER: _ClassVar[int]
    session: str
    format: ExportFormat
    exclude_suspect: bool
    def __init__(self, session: _Optional[str] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., exclude_suspect: _Optional[bool] = ...) -> None: ...

class ExportTranscriptResponse(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...
