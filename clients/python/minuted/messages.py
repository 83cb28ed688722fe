"""The contract's messages under short names. They are the generated types; nothing is wrapped."""

from minuted.v1.daemon_pb2 import Engine, GetInfoResponse
from minuted.v1.devices_pb2 import Device, StreamLevelsResponse
from minuted.v1.sessions_pb2 import (
    Coverage,
    Failure,
    Link,
    LinkHealth,
    Loss,
    RedactSessionResponse,
    RetriedLink,
    Session,
    SessionState,
)
from minuted.v1.speakers_pb2 import Speaker, SpeakerChange
from minuted.v1.turns_pb2 import (
    Attribution,
    CaughtUp,
    ExportFormat,
    Heartbeat,
    Interval,
    IntervalKind,
    OverlappingSpeaker,
    StreamTurnsResponse,
    Suspect,
    SuspectReason,
    TextSource,
    Turn,
    TurnState,
)

__all__ = [
    "Attribution",
    "CaughtUp",
    "Coverage",
    "Device",
    "Engine",
    "ExportFormat",
    "Failure",
    "GetInfoResponse",
    "Heartbeat",
    "Interval",
    "IntervalKind",
    "Link",
    "LinkHealth",
    "Loss",
    "OverlappingSpeaker",
    "RedactSessionResponse",
    "RetriedLink",
    "Session",
    "SessionState",
    "Speaker",
    "SpeakerChange",
    "StreamLevelsResponse",
    "StreamTurnsResponse",
    "Suspect",
    "SuspectReason",
    "TextSource",
    "Turn",
    "TurnState",
]
