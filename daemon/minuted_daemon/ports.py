"""What the service needs from the outside, as small protocols. Adapters implement them; only app.py joins the two.

Rules that hold for every port:
- Errors are those of errors.py; no third-party exception crosses a port.
- A stream object is one connection. It never reconnects and never retries: service/retry.py alone decides that.
- `close()` is idempotent, takes at most 2 s, never raises, and may be called at any time.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.channels import EVERY_CHANNEL, ChannelChoice
from minuted_daemon.core.events import DiarizerNews, TranscriberEvent, UtteranceId
from minuted_daemon.core.ledger import Claim
from minuted_daemon.core.records import (
    Health,
    IntervalRecord,
    Link,
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
from minuted_daemon.core.speech import SpeechModel

T = TypeVar("T")

# --- capture ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filled:
    """Samples [start, end) of a block that were not heard and are digital silence. `reason` is UPPER_SNAKE."""

    start: int
    end: int
    reason: str


MUTED = "MUTED"
"""The reason of what was not heard because the session is paused."""


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
    """The source was lost (`DOWN`) or came back (`UP`). While it is away, silent blocks go on arriving in real time.

    Reasons of DOWN: DEVICE_ABSENT (not there yet), DEVICE_SILENT, DEVICE_ENDED, DEVICE_STALLED, DEVICE_RUNAWAY,
    DEVICE_MOVED (the sound server gave another source; nothing of that is ever passed on), DEFAULT_CHANGED,
    WORKER_FAILED. `filled` says DEVICE_ABSENT, DEVICE_MOVED, DEFAULT_CHANGED, DEVICE_LOST for all others, and
    DEVICE_GAP for samples a working device lost. UP with a reason: it works, but a person should know something
    (CHANNELS_CANCEL, CHANNEL_SILENT, CLIPPING; of a recording also HEADER_UNFINISHED, HEADER_WRONG, FILE_TRUNCATED).
    """

    health: Health
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A recording promised [start, end) beside what it holds, on its own sample clock. `reason` is UPPER_SNAKE.

    The last thing a stream gives. What lies before the end of the last block was padded with silence.
    """

    start: Sample
    end: Sample
    reason: str


class CaptureStream(Protocol):
    """One session's view of one source.

    Iteration ends when a file has been read to its end; it never ends for a device. A file that turns out damaged in
    the middle goes on behind the damage, which comes as `filled` with reason FILE_DAMAGED; where it cannot, it raises
    DeviceError behind its last good block. At most 2 s of blocks wait for a slow reader; a reader slower than that
    loses the oldest, which come as `filled` with reason OVERRUN.

    remark: how it is from the start where that is odd, as a CaptureHealth that is UP; told in the stream as well.
    """

    remark: CaptureHealth | None

    def __aiter__(self) -> AsyncIterator[AudioBlock | CaptureHealth | Missing]:
        """Give blocks in order, each once."""
        ...

    async def pause(self) -> None:
        """Hear nothing from now on; return once the device is released (at most 2 s), unless another session hears it.

        Blocks go on in real time, as silence with `filled` reason MUTED over all of them, and no health is told. A
        file stands still instead: no blocks come until `resume`.
        """
        ...

    async def resume(self) -> None:
        """Hear again, soon: UP comes in front of the first block that was heard, or DOWN if the device is lost.

        Until then blocks are silence with reason DEVICE_OPENING. Nothing captured before this call is ever given.
        """
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

    async def open(
        self, device: str, *, wait: bool = False, skip_blocks: int = 0, choice: ChannelChoice = EVERY_CHANNEL
    ) -> CaptureStream:
        """Open a stable name, `default`, or `file:PATH`; `choice`: which of its channels are heard, and how.

        `wait`: where the device is not there, wait for it. The stream then begins with DOWN (DEVICE_ABSENT), and gives
        silence with `filled` reason DEVICE_ABSENT in real time from the start. `skip_blocks`: where in a file to
        begin; devices know no past. `default` is followed wherever the sound server's default source goes; a name is
        always the same source.

        Raises NotFound (DEVICE_NOT_FOUND, naming the devices there are), Invalid (FILE_NOT_FOUND, FILE_EMPTY,
        FILE_NOT_AUDIO, FILE_TRUNCATED, FILE_UNREADABLE, CHANNEL_NOT_THERE), DeviceError (DEVICE_FAILED).
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
    `checked`: what it says is held against the voice that was heard, as its protocol may change without notice.
    """

    name: str
    lag_s: float
    max_stream_s: float | None = None
    catch_up_s: float = 0.0
    checked: bool = False


class DiarizerStream(Protocol):
    """One epoch."""

    async def send(self, pcm: NDArray[np.int16]) -> None:
        """Send the next 100 ms (int16, shape (1600,), 16 kHz), in real time; digital silence while nothing is heard.

        Only what `catch_up_s` covers may come faster.

        Raises VendorError once the connection is of no more use.
        """
        ...

    def events(self) -> AsyncIterator[DiarizerNews]:
        """Give events as they arrive; positions count from the first sample sent. Ends after `finish()`.

        What is no event that can be used is given as such.

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
    """What varies between transcribers. `rate_hz`: 16000 or 24000, the rate of its streams.

    `languages`: the languages it knows, as the first part of their BCP 47 codes; None if there is no end of them.
    `repeats`: asked again about the same audio, it says the same, so that there is no use in asking.
    """

    name: str
    rate_hz: int
    min_commit_s: float = 0.1
    languages: tuple[str, ...] | None = None
    repeats: bool = False


class TranscriberStream(Protocol):
    """One connection. Utterances come one after another: append*, then commit or clear, then the next."""

    @property
    def rate_hz(self) -> int:
        """The rate of what `append` is given: 16000 or 24000."""
        ...

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until the vendor ends this connection, None where it does not say."""
        ...

    @property
    def remarks(self) -> Mapping[str, str]:
        """What is to be said of this connection although it works: sentences by their UPPER_SNAKE reason."""
        ...

    async def append(self, utterance: UtteranceId, pcm: NDArray[np.int16]) -> None:
        """Send audio (int16, shape (n,), any n, at this stream's `rate_hz`) of the utterance.

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


class SpeechModels(Protocol):
    """Tells speech from other sounds. Optional: without it energy alone decides what is sent that nobody claims."""

    def stream(self) -> SpeechModel:
        """Give one for a session; what they have in common is loaded when the first is asked something."""
        ...


# --- audio that is still needed ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retained:
    """Audio that was asked for: int16, shape (n,). `holes` are the stretches of it that are not held, hence silent."""

    pcm: NDArray[np.int16]
    holes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Loss:
    """Audio [start, end) that was still needed and is gone. `reason` is UPPER_SNAKE."""

    start: Sample
    end: Sample
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be known again, should the daemon die, about [start, end] of the session's audio.

    `whole`: whoever reads it needs none of those before it for what lies behind `end`.
    """

    start: Sample
    end: Sample
    data: bytes
    whole: bool = False

    def touches(self, start: int, end: int) -> bool:
        """Tell whether it is about some of [start, end)."""
        return self.start < end and self.end >= start


class Spool(Protocol):
    """A session's audio that is not final yet, from `begin` to `end`. What it is told never waits for the disk."""

    @property
    def begin(self) -> Sample:
        """The oldest sample still held."""
        ...

    @property
    def end(self) -> Sample:
        """One past the newest sample."""
        ...

    @property
    def health(self) -> Link:
        """UP, or why the disk takes no audio at present: it waits in memory then, as much as there is room for."""
        ...

    def append(self, block: AudioBlock) -> None:
        """Take the next block."""
        ...

    def skip(self, to: Sample) -> None:
        """Go on at a later position: nothing was heard in between.

        Raises ValueError for a position before `end`, or an odd one.
        """
        ...

    def release(self, before: Sample) -> None:
        """Audio before this position is no longer needed."""
        ...

    def take_losses(self) -> Sequence[Loss]:
        """Give what was needed and lost since this was asked last, in the order it happened."""
        ...

    def note(self, note: Note) -> None:
        """Keep a note beside the audio, for as long as that. A power cut may take the newest, a full disk any."""
        ...

    async def notes(self) -> Sequence[Note]:
        """Give the notes that are kept, in the order in which they came; takes at most 10 s. Raises StoreError."""
        ...

    def holes(self, start: Sample, end: Sample) -> Sequence[tuple[int, int]]:
        """Give the stretches of [start, end) that are not held, in order: skipped, erased, let go of or lost."""
        ...

    async def read(self, start: Sample, end: Sample, rate_hz: int) -> Retained:
        """Give [start, end), two minutes at most, at 16 or 24 kHz; what is not held comes as digital silence.

        Takes at most 10 s, and does not wait at all for what was heard in the last 30 s. Raises StoreError.
        """
        ...


class Spools(Protocol):
    """All sessions' audio on one disk, also what an earlier life of the daemon left."""

    @property
    def spools(self) -> Mapping[SessionId, Spool]:
        """Every spool there is: opened since the start, or found at the start and not finished yet."""
        ...

    @property
    def health(self) -> Link:
        """UP, or what the disk said to the first spool that has trouble with it."""
        ...

    async def ensure_room(self) -> None:
        """Make sure that another session's audio finds room, if need be by giving up the oldest that is only kept.

        Raises StoreError (DISK_FULL).
        """
        ...

    def open(self, session_id: SessionId, keep_audio: bool = False) -> Spool:
        """Give the session's spool: the one found at the start, or an empty one. Never waits for the disk."""
        ...

    async def finish(self, session_id: SessionId) -> None:
        """All turns of the session are frozen: keep its audio where that is wanted, and remove its spool.

        Raises StoreError; then the spool is still there.
        """
        ...

    async def erase(self, session_id: SessionId, start: Sample, end: Sample) -> None:
        """Have no sample of [start, end) left, in the spool or in what was kept, and no note about it.

        Raises StoreError; then ask again.
        """
        ...

    async def delete(self, session_id: SessionId) -> None:
        """Remove all audio of the session: the spool and what was kept. Raises StoreError."""
        ...


# --- store ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `next_token` is None on the last one."""

    items: Sequence[T]
    next_token: str | None


REDACTED = "REDACTED"
"""The reason of the MUTED interval that a redaction leaves behind."""


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """How far a session's stored things go.

    `end`: up to it the sample clock is known to have run (told by the session, a turn or an interval). `turns_end`: the
    highest end of a FINAL turn, 0 if there is none. `generation`: the highest that any revision of a turn carries.
    `speakers`: all of them, by label number.
    """

    end: Sample
    turns_end: Sample
    generation: int | None
    speakers: tuple[SpeakerRecord, ...]


@dataclass(frozen=True, slots=True)
class OwedTurn:
    """A FINAL turn without its text, or with the first part of it only, and the stretch that it alone may be heard in.

    `free_from`: where the FINAL turn before it ends, `free_to`: where the one behind it begins, None without one.
    """

    stored: StoredTurn
    free_from: Sample | None = None
    free_to: Sample | None = None


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """What somebody wants gone: all of a session, or what was said in `interval`."""

    session_id: SessionId
    session_name: str
    interval: IntervalRecord | None = None


@dataclass(frozen=True, slots=True)
class Interruption:
    """The daemon's own end interrupted a session: when (seconds since 1970), and whether it was paused."""

    at_s: float
    paused: bool


NONE_INTERRUPTED: Mapping[SessionId, Interruption | None] = MappingProxyType({})


class Store(Protocol):
    """The minutes on disk. Everything that returns has been committed durably."""

    @property
    def store_id(self) -> str:
        """Made once with the database; a cursor is good for one store only."""
        ...

    async def highest_seq(self) -> Seq:
        """The last seq ever given out."""
        ...

    async def write(
        self, records: Sequence[Record], interruptions: Mapping[SessionId, Interruption | None] = NONE_INTERRUPTED
    ) -> Sequence[Record]:
        """Insert or replace the records in one transaction, each getting the next seq, in order; give them back so.

        In the same transaction sessions are marked as interrupted, or (None) no longer so. A mark is no change that is
        told, and stays until it is taken away, whatever else of its session is stored.
        A TurnRecord whose id exists becomes its newest revision (`revision` is set by the store; earlier ones stay).
        One that touches a redacted interval is stored, and given back, without its words (see core/redaction.py).
        Raises StoreError; then nothing of it was stored.
        """
        ...

    async def revise(self, record: TurnRecord | SessionRecord) -> Sequence[Record]:
        """Store what was read here and changed since, as `write` does, and give it back.

        Gives nothing, and stores nothing, if the store's own has another `seq` than the record by now, or is deleted.
        Raises StoreError; then nothing of it was stored.
        """
        ...

    async def write_wall_points(self, session_id: SessionId, points: Sequence[WallPoint]) -> None:
        """Add points to a session's map from samples to wall time. They carry no seq."""
        ...

    async def wall_points(self, session_id: SessionId) -> Sequence[WallPoint]:
        """Give a session's map from samples to wall time, by sample. Raises NotFound (SESSION_NOT_FOUND)."""
        ...

    async def resume_point(self, session_id: SessionId) -> ResumePoint:
        """Give how far a session's stored things go, for one that goes on. Raises NotFound (SESSION_NOT_FOUND)."""
        ...

    async def delete_session(self, session_id: SessionId) -> SessionRecord:
        """Delete an ended session for everybody who reads; give what is to be told: it in state DELETED, with a seq.

        Of all changes of the session only this one is left. Its bytes are gone once `erase` returns. The request to
        erase it is kept, in the same transaction, until `erased`.
        Raises NotFound (SESSION_NOT_FOUND), WrongState (SESSION_LIVE), StoreError; then nothing is deleted.
        """
        ...

    async def redact(self, interval: IntervalRecord) -> Sequence[Record]:
        """Store a MUTED interval with reason REDACTED, and take what was said in it out of the session's turns.

        Turns inside are retracted; turns that reach out lose all their words and keep the longer part outside (the
        interval takes in the shorter one); earlier revisions that touch it are forgotten. Gives what was stored, in
        order of seq: the interval first, then the first of the turns. To be called again with the same interval until
        it gives nothing: in between others may write. The bytes are gone once `erase` returns. The request to erase it
        is kept, in the transaction that stores the interval, until `erased`.
        Raises NotFound (SESSION_NOT_FOUND), StoreError; then nothing of this call was stored.
        """
        ...

    async def interrupted(self) -> Sequence[tuple[SessionRecord, Interruption]]:
        """Return the sessions that are marked as interrupted, oldest first. Raises StoreError."""
        ...

    async def erasures(self) -> Sequence[ErasureRequest]:
        """Return what is to be erased and is not known to be gone, oldest first. Raises StoreError."""
        ...

    async def erased(self, request: ErasureRequest) -> None:
        """Note that a request is done. Raises StoreError; then it is found again at the next start."""
        ...

    async def erase(self) -> None:
        """Make sure that nothing of what was deleted or redacted is left in the files.

        To be called after each of these, and once at start, for what a crash left. May take seconds; writes go on in
        between. Raises StoreError (ERASURE_DELAYED while another program reads an older state; then call it again).
        """
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
        self,
        session_id: SessionId,
        limit: int,
        token: str | None,
        as_delivered: bool = False,
        exclude_suspect: bool = False,
    ) -> Page[StoredTurn]:
        """A session's FINAL turns at their latest revision, by start, then id. Raises Invalid (BAD_PAGE_TOKEN).

        `as_delivered`: every turn as it was when it first became FINAL, also those retracted since.
        `exclude_suspect`: without those that look invented, or did then.
        """
        ...

    async def owed_turns(self, session_id: SessionId, limit: int, token: str | None) -> Page[OwedTurn]:
        """A session's FINAL turns whose text_source is NONE or PROVISIONAL, by start, then id.

        Those whose words somebody had taken out are owed none. Raises Invalid (BAD_PAGE_TOKEN).
        """
        ...

    async def claims(self, session_id: SessionId, limit: int, token: str | None) -> Page[Claim]:
        """What a session's FINAL turns and its intervals claim of its audio, by start (see core/ledger.py).

        What changes between two pages may be met twice, or not at all.
        Raises NotFound (SESSION_NOT_FOUND), Invalid (BAD_PAGE_TOKEN).
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
