"""Audio that waits for its text, and the notes a crash leaves behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from minuted_daemon.core.records import (
    Link,
    SessionId,
)
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.capture import AudioBlock


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
        """Return whether it is about some of [start, end)."""
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
        """Return what was needed and lost since this was asked last, in the order it happened."""
        ...

    def note(self, note: Note) -> None:
        """Keep a note beside the audio, for as long as that. A power cut may take the newest, a full disk any."""
        ...

    async def notes(self) -> Sequence[Note]:
        """Return the notes that are kept, in the order in which they came; takes at most 10 s. Raises StoreError."""
        ...

    def holes(self, start: Sample, end: Sample) -> Sequence[tuple[int, int]]:
        """Return the stretches of [start, end) that are not held, in order: skipped, erased, let go of or lost."""
        ...

    async def read(self, start: Sample, end: Sample, rate_hz: int) -> Retained:
        """Return [start, end), two minutes at most, at 16 or 24 kHz; what is not held comes as digital silence.

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
        """Return the session's spool: the one found at the start, or an empty one. Never waits for the disk."""
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
