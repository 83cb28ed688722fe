import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATE_UNSPECIFIED: _ClassVar[SessionState]
    SESSION_STATE_STARTING: _ClassVar[SessionState]
    SESSION_STATE_RUNNING: _ClassVar[SessionState]
    SESSION_STATE_PAUSED: _ClassVar[SessionState]
    SESSION_STATE_STOPPING: _ClassVar[SessionState]
    SESSION_STATE_STOPPED: _ClassVar[SessionState]
    SESSION_STATE_FAILED: _ClassVar[SessionState]
    SESSION_STATE_DELETED: _ClassVar[SessionState]

class LinkHealth(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LINK_HEALTH_UNSPECIFIED: _ClassVar[LinkHealth]
    LINK_HEALTH_OFF: _ClassVar[LinkHealth]
    LINK_HEALTH_CONNECTING: _ClassVar[LinkHealth]
    LINK_HEALTH_UP: _ClassVar[LinkHealth]
    LINK_HEALTH_DOWN: _ClassVar[LinkHealth]
    LINK_HEALTH_REFUSED: _ClassVar[LinkHealth]
SESSION_STATE_UNSPECIFIED: SessionState
SESSION_STATE_STARTING: SessionState
SESSION_STATE_RUNNING: SessionState
SESSION_STATE_PAUSED: SessionState
SESSION_STATE_STOPPING: SessionState
SESSION_STATE_STOPPED: SessionState
SESSION_STATE_FAILED: SessionState
SESSION_STATE_DELETED: SessionState
LINK_HEALTH_UNSPECIFIED: LinkHealth
LINK_HEALTH_OFF: LinkHealth
LINK_HEALTH_CONNECTING: LinkHealth
LINK_HEALTH_UP: LinkHealth
LINK_HEALTH_DOWN: LinkHealth
LINK_HEALTH_REFUSED: LinkHealth

class Link(_message.Message):
    __slots__ = ("health", "reason", "detail", "since", "next_attempt")
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    health: LinkHealth
    reason: str
    detail: str
    since: _timestamp_pb2.Timestamp
    next_attempt: _timestamp_pb2.Timestamp
    def __init__(self, health: _Optional[_Union[LinkHealth, str]] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_attempt: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("reason", "detail")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    reason: str
    detail: str
    def __init__(self, reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class Loss(_message.Message):
    __slots__ = ("reason", "duration")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    reason: str
    duration: _duration_pb2.Duration
    def __init__(self, reason: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("text", "silence", "muted", "pending", "lost")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SILENCE_FIELD_NUMBER: _ClassVar[int]
    MUTED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    text: _duration_pb2.Duration
    silence: _duration_pb2.Duration
    muted: _duration_pb2.Duration
    pending: _duration_pb2.Duration
    lost: _containers.RepeatedCompositeFieldContainer[Loss]
    def __init__(self, text: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., silence: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., muted: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., pending: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lost: _Optional[_Iterable[_Union[Loss, _Mapping]]] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("id", "name", "seq", "state", "device", "diarizer", "transcriber", "start_time", "end_time", "duration", "capture_link", "diarizer_link", "transcriber_link", "degraded", "failure", "languages", "fallback", "diarizer_sent", "transcriber_sent", "coverage", "spool_link", "keep_audio", "channels", "mix")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    DIARIZER_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIBER_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_LINK_FIELD_NUMBER: _ClassVar[int]
    DIARIZER_LINK_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIBER_LINK_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    DIARIZER_SENT_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIBER_SENT_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    SPOOL_LINK_FIELD_NUMBER: _ClassVar[int]
    KEEP_AUDIO_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    MIX_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    seq: int
    state: SessionState
    device: str
    diarizer: str
    transcriber: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    duration: _duration_pb2.Duration
    capture_link: Link
    diarizer_link: Link
    transcriber_link: Link
    degraded: bool
    failure: Failure
    languages: _containers.RepeatedScalarFieldContainer[str]
    fallback: str
    diarizer_sent: _duration_pb2.Duration
    transcriber_sent: _duration_pb2.Duration
    coverage: Coverage
    spool_link: Link
    keep_audio: bool
    channels: _containers.RepeatedScalarFieldContainer[int]
    mix: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., seq: _Optional[int] = ..., state: _Optional[_Union[SessionState, str]] = ..., device: _Optional[str] = ..., diarizer: _Optional[str] = ..., transcriber: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., capture_link: _Optional[_Union[Link, _Mapping]] = ..., diarizer_link: _Optional[_Union[Link, _Mapping]] = ..., transcriber_link: _Optional[_Union[Link, _Mapping]] = ..., degraded: _Optional[bool] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., languages: _Optional[_Iterable[str]] = ..., fallback: _Optional[str] = ..., diarizer_sent: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., transcriber_sent: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., spool_link: _Optional[_Union[Link, _Mapping]] = ..., keep_audio: _Optional[bool] = ..., channels: _Optional[_Iterable[int]] = ..., mix: _Optional[str] = ...) -> None: ...

class StartSessionRequest(_message.Message):
    __slots__ = ("name", "device", "diarizer", "transcriber", "languages", "fallback", "keep_audio", "channels", "mix")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    DIARIZER_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIBER_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    KEEP_AUDIO_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    MIX_FIELD_NUMBER: _ClassVar[int]
    name: str
    device: str
    diarizer: str
    transcriber: str
    languages: _containers.RepeatedScalarFieldContainer[str]
    fallback: str
    keep_audio: bool
    channels: _containers.RepeatedScalarFieldContainer[int]
    mix: str
    def __init__(self, name: _Optional[str] = ..., device: _Optional[str] = ..., diarizer: _Optional[str] = ..., transcriber: _Optional[str] = ..., languages: _Optional[_Iterable[str]] = ..., fallback: _Optional[str] = ..., keep_audio: _Optional[bool] = ..., channels: _Optional[_Iterable[int]] = ..., mix: _Optional[str] = ...) -> None: ...

class StartSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class StopSessionRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class StopSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class PauseSessionRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class PauseSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ResumeSessionRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class ResumeSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteSessionRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class DeleteSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RedactSessionRequest(_message.Message):
    __slots__ = ("session", "last", "start_offset", "end_offset")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    END_OFFSET_FIELD_NUMBER: _ClassVar[int]
    session: str
    last: _duration_pb2.Duration
    start_offset: _duration_pb2.Duration
    end_offset: _duration_pb2.Duration
    def __init__(self, session: _Optional[str] = ..., last: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., start_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., end_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RedactSessionResponse(_message.Message):
    __slots__ = ("start_offset", "end_offset", "turns")
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    END_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    start_offset: _duration_pb2.Duration
    end_offset: _duration_pb2.Duration
    turns: int
    def __init__(self, start_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., end_offset: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., turns: _Optional[int] = ...) -> None: ...

class RetryLinksRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class RetriedLink(_message.Message):
    __slots__ = ("session_id", "session_name", "role", "engine", "asked", "link")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    session_name: str
    role: str
    engine: str
    asked: bool
    link: Link
    def __init__(self, session_id: _Optional[str] = ..., session_name: _Optional[str] = ..., role: _Optional[str] = ..., engine: _Optional[str] = ..., asked: _Optional[bool] = ..., link: _Optional[_Union[Link, _Mapping]] = ...) -> None: ...

class RetryLinksResponse(_message.Message):
    __slots__ = ("links",)
    LINKS_FIELD_NUMBER: _ClassVar[int]
    links: _containers.RepeatedCompositeFieldContainer[RetriedLink]
    def __init__(self, links: _Optional[_Iterable[_Union[RetriedLink, _Mapping]]] = ...) -> None: ...

class WatchSessionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchSessionsResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...
