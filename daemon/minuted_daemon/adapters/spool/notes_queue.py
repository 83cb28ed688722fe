"""From the event loop to the notes beside the audio: notes wait here while the disk is busy with earlier ones.

Rule for full: while the disk takes nothing, MOST_WAITING notes wait; beyond that the oldest go. Notes
only help recovery, so a failure is logged and not raised.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from minuted_daemon.errors import StoreError
from minuted_daemon.ports.spool import Note

MOST_WAITING = 5_000


class NotesQueue:
    """One session's. At most one write is under way."""

    def __init__(
        self, write: Callable[[Sequence[Note]], "asyncio.Future[None]"], log: structlog.stdlib.BoundLogger
    ) -> None:
        self._write_notes = write
        self._log = log
        self._waiting: deque[Note] = deque(maxlen=MOST_WAITING)
        self._writing: asyncio.Future[None] | None = None
        self._failing = False
        self._forgotten: list[tuple[int, int]] = []

    def put(self, note: Note) -> None:
        """Write the note; never waits. After a failure the next note has both tried again."""
        self._waiting.append(note)
        self._write()

    def forget(self, start: int, end: int) -> None:
        """Drop waiting notes that are about some of [start, end)."""
        if self._writing is not None:
            self._forgotten.append((start, end))
        self._waiting = deque((note for note in self._waiting if not note.touches(start, end)), MOST_WAITING)

    def _write(self) -> None:
        if self._writing is None and self._waiting:
            batch = tuple(self._waiting)
            self._waiting.clear()
            self._writing = self._write_notes(batch)
            self._writing.add_done_callback(partial(self._written, batch))

    def _written(self, batch: Sequence[Note], write: "asyncio.Future[None]") -> None:
        self._writing = None
        forgotten, self._forgotten = self._forgotten, []
        fault = write.exception()
        if fault is None:
            self._failing = False
            self._write()
            return
        if not isinstance(fault, OSError | StoreError):
            self._log.error("notes_write_failed", exc_info=fault, lost=len(batch))
            return
        left = (note for note in batch if not any(note.touches(*stretch) for stretch in forgotten))
        self._waiting = deque((*left, *self._waiting), MOST_WAITING)
        if not self._failing:
            self._failing = True
            self._log.warning("notes_not_written", error=type(fault).__name__, waiting=len(self._waiting))
