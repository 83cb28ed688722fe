"""What the service needs from the outside, as small protocols. Adapters implement them; only app.py joins the two.

Rules that hold for every port:
- Errors are those of errors.py; no third-party exception crosses a port.
- A stream object is one connection. It never reconnects and never retries: service/retry.py alone decides that.
- `close()` is idempotent, takes at most 2 s, never raises, and may be called at any time.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.events import DiarizerEvent, TranscriberEvent, UtteranceId
from minuted_daemon.core.records import (
    Health,
    IntervalRecord,
    Record,
    Seq,
    SessionId,
    SessionRecord,
    SpeakerRecord,
    StoredTurn,
    TurnRecord,
    WallPoint,
)
from minuted_daemon.core.samples import Sample

T = TypeVar("T")

# --- capture ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filled:
    """Samples [start, end) of a block that were not heard and are digital silence. `reason` is UPPER_SNAKE."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """100 ms of one source. Blocks are contiguous: what was not heard is filled with silence and listed in `filled`.

    pcm: int16, shape (1600,), 16 kHz mono. wide: int16, shape (2400,), 24 kHz mono, derived from the source itself.
    wall_s: wall time of the block's first sample, seconds since 1970.
    """

    pcm: NDArray[np.int16]
    wide: NDArray[np.int16]
    wall_s: float
    filled: tuple[Filled, ...] = ()


@dataclass(frozen=True, slots=True)
class CaptureHealth:
    """The source was lost (`DOWN`) or came back (`UP`). While it is away, silent blocks go on arriving in real time."""

    health: Health
    reason: str = ""
    detail: str = ""


class CaptureStream(Protocol):
    """One session's view of one source.

    Iteration ends when a file has been read to its end; it never ends for a device. A file that turns out damaged in
    the middle raises DeviceError behind its last good block. At most 2 s of blocks wait for a slow reader; a reader
    slower than that loses the oldest, which come as `filled` with reason OVERRUN.
    """

    def __aiter__(self) -> AsyncIterator[AudioBlock | CaptureHealth]:
        """Give blocks in order, each once."""
        ...

    async def close(self) -> None:
        """Release the source."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """An input as the administrator names it. `name` is stable over reboots and replugging."""

    name: str
    description: str
    host_api: str
    channels: int
    rate_hz: int
    is_default: bool


class Capture(Protocol):
    """All sources of this machine."""

    async def devices(self) -> Sequence[DeviceInfo]:
        """List the inputs there are now.

        Raises DeviceError (AUDIO_UNAVAILABLE) if the audio system cannot be asked.
        """
        ...

    async def open(self, device: str) -> CaptureStream:
        """Open a stable name, `default`, or `file:PATH`.

        Raises NotFound (DEVICE_NOT_FOUND, naming the devices there are), Invalid (FILE_NOT_FOUND, FILE_EMPTY,
        FILE_NOT_AUDIO, FILE_TRUNCATED, FILE_UNREADABLE), DeviceError (DEVICE_FAILED).
        """
        ...

    async def close(self) -> None:
        """End every worker."""
        ...


# --- engines ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DiarizerCapabilities:
    """What varies between diarizers. `lag_s`: the event lag to expect before any was measured.

    `max_stream_s`: how long a stream may last before the other side ends it, None where that never happens.
    `catch_up_s`: how much audio from before the connection it takes, faster than real time; 0 if it wants live audio.
    """

    name: str
    lag_s: float
    max_stream_s: float | None = None
    catch_up_s: float = 0.0


class DiarizerStream(Protocol):
    """One epoch."""

    async def send(self, pcm: NDArray[np.int16]) -> None:
        """Send the next 100 ms (int16, shape (1600,), 16 kHz), in real time; digital silence while nothing is heard.

        Only what `catch_up_s` covers may come faster.

        Raises VendorError once the connection is of no more use.
        """
        ...

    def events(self) -> AsyncIterator[DiarizerEvent]:
        """Give events as they arrive; positions count from the first sample sent. Ends after `finish()`.

        Raises Unavailable, Rejected or Garbled when the connection breaks.
        """
        ...

    async def finish(self) -> None:
        """Say that no more audio comes. `events()` gives what is left and ends, within 5 s at the most."""
        ...

    async def close(self) -> None:
        """Drop the connection."""
        ...


class Diarizer(Protocol):
    """An engine that tells who speaks when."""

    @property
    def capabilities(self) -> DiarizerCapabilities:
        """What this engine can do."""
        ...

    async def open(self) -> DiarizerStream:
        """Connect once. Takes at most 40 s.

        Raises Unavailable, Rejected or Garbled.
        """
        ...

    async def close(self) -> None:
        """Release what the streams share."""
        ...


@dataclass(frozen=True, slots=True)
class TranscriberCapabilities:
    """What varies between transcribers. `rate_hz`: 16000 or 24000, the rate of what `append` is given.

    `languages`: the languages it knows, as the first part of their BCP 47 codes; None if there is no end of them.
    """

    name: str
    rate_hz: int
    min_commit_s: float = 0.1
    languages: tuple[str, ...] | None = None


class TranscriberStream(Protocol):
    """One connection. Utterances come one after another: append*, then commit or clear, then the next."""

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until the vendor ends this connection, None where it does not say."""
        ...

    async def append(self, utterance: UtteranceId, pcm: NDArray[np.int16]) -> None:
        """Send audio (int16, shape (n,), any n, at `rate_hz`) of the utterance.

        Raises VendorError once the connection is of no more use.
        """
        ...

    async def commit(self, utterance: UtteranceId) -> None:
        """Ask for the utterance's text: exactly one TextCompleted or TextFailed should follow, in any order."""
        ...

    async def clear(self, utterance: UtteranceId) -> None:
        """Forget the utterance's audio; its text, should any still arrive, is dropped here."""
        ...

    def events(self) -> AsyncIterator[TranscriberEvent]:
        """Give texts as they arrive, each under its own utterance. Ends only after `close()`.

        Raises Unavailable, Rejected or Garbled when the connection breaks or the vendor ends it.
        """
        ...

    async def close(self) -> None:
        """Drop the connection."""
        ...


class Transcriber(Protocol):
    """An engine that tells what is said."""

    @property
    def capabilities(self) -> TranscriberCapabilities:
        """What this engine can do."""
        ...

    async def open(self, languages: Sequence[str]) -> TranscriberStream:
        """Connect once, configured and ready for audio. Takes at most 20 s.

        Raises Unavailable, Rejected or Garbled.
        """
        ...

    async def close(self) -> None:
        """Release what the streams share."""
        ...


class VoicePrinter(Protocol):
    """Tells voices apart by their sound. Optional: without it nobody is recognised by voice."""

    async def print(self, pcm: NDArray[np.int16]) -> NDArray[np.float32] | None:
        """Give the print of one voice (int16, shape (n,), 16 kHz, 0.5 s to 20 s of one person's speech).

        A unit vector, shape (d,): the dot product of two prints is high where the voice is the same; None where it
        sounds like noise and nobody can be known by it. Takes at most 20 s. Raises Unavailable or Rejected.
        """
        ...

    async def close(self) -> None:
        """Release what it holds."""
        ...


# --- audio that is still needed ---------------------------------------------------------------------------------------


class Spool(Protocol):
    """A session's audio that is not final yet, at one rate, contiguous from `begin` to `end`."""

    @property
    def begin(self) -> Sample:
        """The oldest sample still held."""
        ...

    @property
    def end(self) -> Sample:
        """One past the newest sample."""
        ...

    def append(self, block: AudioBlock) -> None:
        """Take the next block. Sheds the oldest audio when the bound is met."""
        ...

    def read(self, start: Sample, end: Sample) -> NDArray[np.int16]:
        """Give [start, end) at the spool's rate; what was shed comes as digital silence."""
        ...

    def release(self, before: Sample) -> None:
        """Audio before this position is no longer needed."""
        ...


# --- store ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `next_token` is None on the last one."""

    items: Sequence[T]
    next_token: str | None


class Store(Protocol):
    """The minutes on disk. Everything that returns has been committed durably."""

    @property
    def store_id(self) -> str:
        """Made once with the database; a cursor is good for one store only."""
        ...

    async def highest_seq(self) -> Seq:
        """The last seq ever given out."""
        ...

    async def write(self, records: Sequence[Record]) -> Sequence[Record]:
        """Insert or replace the records in one transaction, each getting the next seq, in order; give them back so.

        A TurnRecord whose id exists becomes its newest revision (`revision` is set by the store; earlier ones stay).
        Raises StoreError; then nothing of it was stored.
        """
        ...

    async def write_wall_points(self, session_id: SessionId, points: Sequence[WallPoint]) -> None:
        """Add points to a session's map from samples to wall time. They carry no seq."""
        ...

    async def session(self, key: str) -> SessionRecord:
        """Give a session by id, else the newest of that name.

        Raises NotFound (SESSION_NOT_FOUND).
        """
        ...

    async def sessions(self, limit: int, token: str | None) -> Page[SessionRecord]:
        """All sessions, newest first. Raises Invalid (BAD_PAGE_TOKEN)."""
        ...

    async def sessions_in_progress(self) -> Sequence[SessionRecord]:
        """Sessions whose stored state is a live one (left behind by a crash, when asked at start)."""
        ...

    async def speakers(self, session_id: SessionId) -> Sequence[SpeakerRecord]:
        """A session's speakers, by label number."""
        ...

    async def turns(
        self, session_id: SessionId, limit: int, token: str | None, as_delivered: bool = False
    ) -> Page[StoredTurn]:
        """A session's FINAL turns at their latest revision, by start, then id. Raises Invalid (BAD_PAGE_TOKEN).

        `as_delivered`: every turn as it was when it first became FINAL, also those retracted since.
        """
        ...

    async def stored_turn(self, turn: TurnRecord) -> StoredTurn:
        """Join a turn with its session's name and its speakers as they are now."""
        ...

    async def changes(
        self, after: Seq, up_to: Seq, session_id: SessionId | None, limit: int
    ) -> Sequence[SessionRecord | SpeakerRecord | StoredTurn | IntervalRecord]:
        """Everything whose latest change has after < seq <= up_to, by seq, at most `limit` of them."""
        ...

    async def close(self) -> None:
        """Finish what is being written and let go of the database."""
        ...
