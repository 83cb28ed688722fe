from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Speaker(_message.Message):
    __slots__ = ("id", "label", "display_name")
    ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    label: str
    display_name: str
    def __init__(self, id: _Optional[str] = ..., label: _Optional[str] = ..., display_name: _Optional[str] = ...) -> None: ...

class SpeakerChange(_message.Message):
    __slots__ = ("session_id", "session_name", "seq", "speaker")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NAME_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    session_name: str
    seq: int
    speaker: Speaker
    def __init__(self, session_id: _Optional[str] = ..., session_name: _Optional[str] = ..., seq: _Optional[int] = ..., speaker: _Optional[_Union[Speaker, _Mapping]] = ...) -> None: ...

class ListSpeakersRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class ListSpeakersResponse(_message.Message):
    __slots__ = ("speakers",)
    SPEAKERS_FIELD_NUMBER: _ClassVar[int]
    speakers: _containers.RepeatedCompositeFieldContainer[Speaker]
    def __init__(self, speakers: _Optional[_Iterable[_Union[Speaker, _Mapping]]] = ...) -> None: ...

class RenameSpeakerRequest(_message.Message):
    __slots__ = ("session", "speaker", "display_name")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    session: str
    speaker: str
    display_name: str
    def __init__(self, session: _Optional[str] = ..., speaker: _Optional[str] = ..., display_name: _Optional[str] = ...) -> None: ...

class RenameSpeakerResponse(_message.Message):
    __slots__ = ("speaker",)
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    speaker: Speaker
    def __init__(self, speaker: _Optional[_Union[Speaker, _Mapping]] = ...) -> None: ...

class MergeSpeakersRequest(_message.Message):
    __slots__ = ("session", "into")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    session: str
    into: str
    def __init__(self, session: _Optional[str] = ..., into: _Optional[str] = ..., **kwargs) -> None: ...

class MergeSpeakersResponse(_message.Message):
    __slots__ = ("speaker",)
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    speaker: Speaker
    def __init__(self, speaker: _Optional[_Union[Speaker, _Mapping]] = ...) -> None: ...
