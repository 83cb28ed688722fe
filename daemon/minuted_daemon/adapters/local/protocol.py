"""What the daemon and its offline worker say to each other: frames over a socket pair. Pure: bytes in, frames out.

A frame is a header and a payload. Audio is int16 in the machine's byte order, texts are UTF-8, events are JSON.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from minuted_daemon.core.events import DiarizerEvent, SpeakerEnded, SpeakerRelabelled, SpeakerStarted

_HEADER = struct.Struct("<BIqI")
LONGEST_PAYLOAD = 8_000_000
"""Bytes. A longer frame means that the other side is broken."""


class Kind(IntEnum):
    """What a frame says. `number` in brackets."""

    # to the worker
    OPEN_DIARIZER = 1
    OPEN_TRANSCRIBER = 2
    AUDIO = 3  # (utterance, or 0 for a diarizer)
    COMMIT = 4  # (utterance)
    CLEAR = 5  # (utterance)
    FINISH = 6
    CLOSE = 7
    # from the worker
    OPENED = 20
    PROGRESS = 21  # (samples worked on since the start of the stream)
    EVENTS = 22
    FINISHED = 23
    GREW = 24  # (utterance)
    COMPLETED = 25  # (utterance)
    FAILED = 26  # (utterance)


@dataclass(frozen=True, slots=True)
class Frame:
    """One message about one stream."""

    kind: Kind
    stream: int
    number: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return the frame as it goes over the socket."""
        return _HEADER.pack(self.kind, self.stream, self.number, len(self.payload)) + self.payload


@dataclass(slots=True)
class FrameReader:
    """Puts frames together from pieces of any size."""

    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next bytes and return the frames they complete.

        Raises ValueError if this is no frame; the connection is of no more use then.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, stream, number, length = _HEADER.unpack_from(self._buffer)
            if length > LONGEST_PAYLOAD:
                raise ValueError("frame too long")
            if len(self._buffer) < _HEADER.size + length:
                return
            payload = bytes(self._buffer[_HEADER.size : _HEADER.size + length])
            del self._buffer[: _HEADER.size + length]
            yield Frame(Kind(kind), stream, number, payload)


def encode_events(events: Sequence[DiarizerEvent]) -> bytes:
    """Return diarizer events as a payload."""
    rows: list[list[str | int]] = []
    for event in events:
        match event:
            case SpeakerStarted(label, at):
                rows.append(["started", label, at])
            case SpeakerEnded(label, at):
                rows.append(["ended", label, at])
            case SpeakerRelabelled(old, new, start, end):
                rows.append(["relabelled", old, new, start, end])
    return json.dumps(rows).encode()


def decode_events(payload: bytes) -> list[DiarizerEvent]:
    """Return the diarizer events of a payload. Raises ValueError if it holds something else."""
    events: list[DiarizerEvent] = []
    for row in json.loads(payload):
        match row:
            case ["started", str(label), int(at)]:
                events.append(SpeakerStarted(label, at))
            case ["ended", str(label), int(at)]:
                events.append(SpeakerEnded(label, at))
            case ["relabelled", str(old), str(new), int(start), int(end)]:
                events.append(SpeakerRelabelled(old, new, start, end))
            case _:
                raise ValueError("unknown event")
    return events


LENGTH = struct.Struct("<I")
